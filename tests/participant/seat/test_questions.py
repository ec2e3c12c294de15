"""Three seats, each a process of its own, answer about updates that none of them can open.

CrypTen has one communicator for a process, so it takes processes to show that it works.
"""

import asyncio

import numpy as np
import pytest

from participant.seat import questions
from participant.seat.memory import SeatMemory
from participant.seat.norms import Norms
from participant.seat.questions import Asking
from privacy.errors import (
    InvalidSignature,
    MalformedMessage,
    OpeningRefused,
    PeerUnreachable,
    SeatsDisagree,
    UnsafeParameters,
    WrongContext,
)
from privacy.records import Scores
from tests.participant.seat.asked import BOUND, plan, three_holdings, with_silence, words
from tests.participant.seat.seat_process import CONTEXT, answer, serving, start
from tests.participant.seat.table import Relay, three_parties

pytest.importorskip("torch")
pytest.importorskip("omegaconf")

DIMENSION = 5200
PLAN = plan(DIMENSION)
ATTACKS = {
    "one-at-2-32": words([1 << 32], DIMENSION),
    "two-at-2-63": words([1 << 63, 1 << 63], DIMENSION),
    "just-over": words([BOUND, 1], DIMENSION),
}
HONEST = {
    "at-the-bound": words([-BOUND], DIMENSION),
    "long": words([-10] * 5000, DIMENSION),
    "nothing": words([], DIMENSION),
    "spread": words([13, -13] * (DIMENSION // 2), DIMENSION),
}
FOUND = Norms((*HONEST, *ATTACKS), tuple(ATTACKS))


@pytest.fixture
def memory(tmp_path):
    found = SeatMemory(tmp_path)
    yield found
    found.close()


async def all_three(relay, question, holdings, between=None):
    async with serving(relay) as port:
        started = [start(seat, port, question, held) for seat, held in enumerate(holdings)]
        if between is not None:
            await between(port, started)
        try:
            return [await answer(pipe) for _, pipe in started]
        finally:
            for process, _ in started:
                process.kill()


@pytest.mark.timeout(90)
async def test_updates_over_the_bound_are_named_and_honest_ones_are_not():
    """(2^32, 0, …) and (2^63, 2^63, 0, …) have a squared norm of 0 modulo 2^64."""
    holdings = three_holdings(PLAN, HONEST | ATTACKS)

    answers = await all_three(Relay(), "bounded", holdings)

    assert [found for found, _ in answers] == [FOUND] * 3


@pytest.mark.timeout(90)
async def test_a_seat_killed_in_the_middle_starts_again_and_all_get_one_answer():
    """It remembers nothing of the session; the two others begin again with it."""
    relay, holdings = Relay(), three_holdings(PLAN, HONEST | ATTACKS)

    async def kill_one(port, started):
        while not any("/frame/" in topic and len(body) > 60 for *_, topic, body in relay.posted):
            await asyncio.sleep(0.02)
        started[1][0].kill()
        started[1] = start(1, port, "bounded", holdings[1])

    answers = await all_three(relay, "bounded", holdings, kill_one)

    assert [found for found, _ in answers] == [FOUND] * 3


@pytest.mark.timeout(90)
async def test_a_changed_frame_costs_a_session_and_no_answer():
    flipped = []

    def carry(sender, recipient, topic, body):
        if "/frame/" in topic and sender == "west" and len(body) > 1000 and not flipped:
            flipped.append(topic)
            return [body[:500] + bytes([body[500] ^ 1]) + body[501:]]
        return [body]

    answers = await all_three(Relay(carry), "bounded", three_holdings(PLAN, HONEST | ATTACKS))

    assert flipped
    assert [found for found, _ in answers] == [FOUND] * 3


@pytest.mark.timeout(90)
async def test_scores_are_rounded_norms_and_products_with_the_sum():
    vectors = {"amber": words([100, 7], DIMENSION), "birch": words([-30, 50], DIMENSION)}

    answers = await all_three(Relay(), "scores", three_holdings(PLAN, vectors))

    found = answers[0][0]
    assert isinstance(found, Scores)
    assert [each for each, _ in answers] == [found] * 3
    # Source: by hand, to multiples of 16: 10049, 100·70 + 7·57 = 7399; 3400, -30·70 + 50·57 = 750.
    told = {each.participant: (each.squared_norm, each.alignment) for each in found.scores}
    assert told == {"amber": ("10048", "7392"), "birch": ("3408", "752")}
    assert found.void == ""


@pytest.mark.timeout(90)
async def test_a_site_that_declares_another_norm_voids_the_scores():
    vectors = {"amber": words([100, 7], DIMENSION), "birch": words([-30, 50], DIMENSION)}
    holdings = three_holdings(PLAN, vectors, {"amber": 10049, "birch": 3401})

    answers = await all_three(Relay(), "scores", holdings)

    assert len({found for found, _ in answers}) == 1
    assert answers[0][0].scores == ()
    assert answers[0][0].void == "not the squared norm that was declared: birch"


@pytest.mark.usefixtures("lively")
async def test_scores_are_void_where_a_seat_is_away(memory):
    agreed = with_silence(PLAN, "0.3")
    holdings = three_holdings(agreed, HONEST)

    async with three_parties(Relay()) as parties:
        found = await Asking(parties[0], memory).scores(CONTEXT, holdings[0], checked=True)

    assert found.scores == ()
    assert "has said nothing for 0.3 seconds" in found.void


@pytest.mark.usefixtures("lively")
async def test_what_the_plan_does_not_ask_is_not_answered(memory):
    agreed = plan(DIMENSION, norm_bound=None, score_step_log2=None)
    held = three_holdings(agreed, HONEST)[0]

    async with three_parties(Relay()) as parties:
        with pytest.raises(UnsafeParameters, match="bounds no norm"):
            await Asking(parties[0], memory).bounded(CONTEXT, held)
        with pytest.raises(UnsafeParameters, match="asks for no scores"):
            await Asking(parties[0], memory).scores(CONTEXT, held, checked=True)


def ending_with(monkeypatch, error):
    """Sessions that end with this."""

    async def together(party, meeting, silence_seconds, work):
        raise error

    monkeypatch.setattr(questions, "together", together)


NONSENSE = [MalformedMessage, SeatsDisagree, WrongContext, InvalidSignature]


@pytest.mark.parametrize("kind", NONSENSE)
async def test_a_seat_that_sends_nonsense_is_as_good_as_silent(monkeypatch, memory, kind):
    """Or one message of one seat would end every round."""
    ending_with(monkeypatch, kind("seat 2 sends 7 bytes"))
    held = three_holdings(PLAN, HONEST)[0]

    async with three_parties(Relay()) as parties:
        asking = Asking(parties[0], memory)
        with pytest.raises(PeerUnreachable, match="does not follow the protocol: seat 2 sends 7"):
            await asking.bounded(CONTEXT, held)
        scores = await asking.scores(CONTEXT, held, checked=True)

    assert scores.void == "a seat does not follow the protocol: seat 2 sends 7 bytes"


async def test_after_the_last_session_there_is_no_norm_and_no_score(monkeypatch, memory):
    """Norms end unasked, or the round waits; scores are void."""
    ending_with(monkeypatch, OpeningRefused("asked 3 times"))
    held = three_holdings(PLAN, HONEST)[0]

    async with three_parties(Relay()) as parties:
        asking = Asking(parties[0], memory)
        with pytest.raises(OpeningRefused):
            await asking.bounded(CONTEXT, held)
        scores = await asking.scores(CONTEXT, held, checked=True)

    assert (scores.scores, scores.void) == ((), "asked 3 times")


def test_the_attacks_have_norms_that_a_squared_norm_alone_lets_pass():
    """What the test of attacks rests on."""
    squares = {name: int(np.sum(vector * vector)) for name, vector in ATTACKS.items()}

    assert squares["one-at-2-32"] == 0
    assert squares["two-at-2-63"] == 0
    assert squares["just-over"] == BOUND**2 + 1
