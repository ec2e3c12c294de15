"""A trainer's agent in a round under `shares`: it certifies, opens once, and answers seats."""

import asyncio
from dataclasses import replace

import numpy as np
import pytest

from participant.model.models import Models
from participant.opening.apply import Application
from participant.session import Agree, Certify, Open, SealModel
from participant.training.workshop import Workshop
from participant.view import LeftOut, RoundView, View
from participant.wire.letters import Letter
from privacy import canonical
from privacy.documents import check_signer, unpack
from privacy.errors import (
    ConfigError,
    InvalidSignature,
    NotYet,
    OpeningRefused,
    PeerLedgerRolledBack,
    PeerUnreachable,
    PolicyRefusal,
    SeatsDisagree,
    SumOffGrid,
)
from privacy.growth import seen_in
from privacy.plan import pack
from privacy.records import Recollection, Release, SealedModel, digest_of
from privacy.signing import Purpose
from tests.participant import agent_at_work as work
from tests.participant import shared_round as made
from tests.participant import signed_round
from tests.participant.roster_versions import versions

ROUND = made.Round()


@pytest.fixture
def shown():
    coordinator = work.Showing()
    made.shown_by(coordinator, ROUND)
    return coordinator


@pytest.fixture
def seats():
    answers = made.Seats({1: ROUND})
    with made.answering(answers):
        yield answers


class Hands(work.Hands):
    """A worker in this process that opens sums in shares."""

    fails = None

    async def reveal_shares(self, plan, frozen, sums):
        self.opened += 1
        if self.fails:
            raise self.fails
        workshop = Workshop(None, None)
        workshop.shapes = lambda: signed_round.SHAPES
        return workshop.reveal_shares(pack(plan), frozen, sums, self._models.folder)


def agent(folder, shown, name="amber", **policy):
    limits = {"schemes": ("shares/1",), "without_auditor": False, "roster": made.roster().digest()}
    at_work = work.agent(folder, shown, name, **(limits | policy))
    at_work._versions = versions(made.roster())
    at_work._worker = Hands(at_work._models.folder)
    return at_work


def next_model(of=ROUND):
    count = len(of.cohort.entries)
    return Application(of.plan, count).part(signed_round.FIRST, of.total())


def left(at_work):
    """What is left of sums in the state folder."""
    return [path for path in (at_work.config.state / "opening").rglob("*") if path.is_file()]


async def test_an_opener_certifies_opens_seals_and_agrees(tmp_path, shown, seats):
    """The whole of its part; the model is that of the plain sum, to the bit."""
    amber = agent(tmp_path, shown)

    await amber._carry_out(Certify(1, digest_of(ROUND.cohort)))
    await amber._carry_out(Open(1))
    await amber._carry_out(SealModel(1))
    shown.models[1] = shown.put[0]
    await amber._carry_out(Agree(1, "s"))

    expected = signed_round.model_digest(signed_round.SHAPES, next_model())
    assert len(seats.signed) == 1
    assert canonical.decode(shown.put[0][0].body, SealedModel).model == expected
    assert canonical.decode(shown.signed_releases[0].body, Release).model == expected
    assert amber._memory.opening(1) == (digest_of(ROUND.cohort), digest_of(ROUND.sum))
    assert left(amber) == []


async def test_the_model_is_that_of_a_round_under_ckks(tmp_path, shown, seats):
    """Bit for bit, so what protects the updates can change between two rounds."""
    ckks = signed_round.Round(signed_round.plan(), made.TRAINERS)
    amber = agent(tmp_path, shown)

    await amber._carry_out(Open(1))

    opened = Models(amber._models.folder).vector(amber._openings[1].model)
    assert opened.tobytes() == work.next_model(ckks).tobytes()


async def test_a_sum_with_an_older_ledger_than_was_seen_is_not_opened(tmp_path, shown, seats):
    """Certified as it may be; what is opened is witnessed before."""
    amber, birch = agent(tmp_path / "amber", shown), agent(tmp_path / "birch", shown, "birch")
    said = seen_in(ROUND.updates["cedar"].header)
    amber._memory.sees_ledger("cedar", replace(said, round=0))

    with pytest.raises(PeerLedgerRolledBack, match=r"^cedar: "):
        await amber._carry_out(Open(1))

    assert (amber._worker.opened, amber._memory.opening(1)) == (0, None)
    await birch._carry_out(Open(1))
    assert birch._peers.seen()["cedar"] == said


async def test_a_second_cohort_is_not_opened_after_a_restart_either(tmp_path, shown, seats):
    """Even where enough have signed both: this opener opens one sum of a round."""
    first = agent(tmp_path, shown)
    await first._carry_out(Open(1))
    work.ends(first)
    other = made.Round(names=made.TRAINERS[:3])
    made.shown_by(shown, other)
    seats.rounds[1] = other
    again = agent(tmp_path, shown)

    with pytest.raises(OpeningRefused):
        await again._carry_out(Open(1))

    assert again._worker.opened == 0


@pytest.mark.parametrize(
    "signers", [("elm",), made.SEATS[:2], (*made.SEATS[:2], *made.TRAINERS[:2])], ids=len
)
async def test_without_a_certificate_no_key_is_unwrapped(tmp_path, shown, seats, signers):
    made.shown_by(shown, ROUND, *signers)
    amber = agent(tmp_path, shown)

    with pytest.raises(InvalidSignature):
        await amber._carry_out(Open(1))

    assert amber._memory.opening(1) is None
    assert seats.asked == []


async def test_statements_that_disagree_open_nothing(tmp_path, shown, seats):
    """Two seats, one of which lies; nothing is recorded, and nothing fetched."""
    seats.rounds[1] = made.Round(seats=(0, 1), lies={1: made.flipped(1)})
    amber = agent(tmp_path, shown)

    with pytest.raises(SeatsDisagree):
        await amber._carry_out(Open(1))

    assert (amber._memory.opening(1), seats.asked) == (None, [])


async def test_a_cut_goes_on_where_it_stopped_and_a_dead_worker_finds_the_chunks(
    tmp_path, shown, seats
):
    """What has been fetched is not asked for again."""
    amber = agent(tmp_path, shown)
    seats.cut_after = 2
    with pytest.raises(PeerUnreachable):
        await amber._carry_out(Open(1))
    seats.cut_after, amber._worker.fails = None, PeerUnreachable("died")
    with pytest.raises(PeerUnreachable):
        await amber._carry_out(Open(1))
    asked, amber._worker.fails = list(seats.asked), None

    await amber._carry_out(Open(1))

    assert asked[:2] == [("elm", 0, 0), ("elm", 0, 2)]
    assert seats.asked == asked


async def test_a_sum_that_is_refused_leaves_nothing_on_the_disk(tmp_path, shown, seats):
    amber = agent(tmp_path, shown)
    amber._worker.fails = SumOffGrid("beyond")

    with pytest.raises(SumOffGrid):
        await amber._carry_out(Open(1))

    assert left(amber) == []
    assert amber._openings == {}


async def test_seats_that_have_not_stated_are_waited_for(tmp_path, shown, seats):
    seats.rounds[1] = made.Round(seats=(1,))

    with pytest.raises(NotYet):
        await agent(tmp_path, shown)._carry_out(Open(1))


async def test_a_plan_whose_seats_are_one_hand_is_refused_before_anything(tmp_path, shown, seats):
    """By whoever certifies and by whoever opens."""
    amber = agent(tmp_path, shown)
    moved = made.roster_with("elm", organisation="fern clinic")
    amber._versions = versions(moved)
    shown.plans[1] = made.plan(roster=moved.digest())

    for task in (Certify(1, digest_of(ROUND.cohort)), Open(1)):
        with pytest.raises(PolicyRefusal, match="different organisations"):
            await amber._carry_out(task)


# -- what the operator is told -------------------------------------------------------

MINE = LeftOut("amber", "elm", "norm_over_bound", "a norm over the bound")
SEEN = RoundView(1, "certifying", "", (), "", (), (), "", (), left_out=(MINE,))


async def test_a_site_that_was_left_out_says_so_once(tmp_path, shown, monkeypatch):
    """At the level of an error, with who acts; what others are told is not this site's."""
    amber, said = agent(tmp_path, shown), []
    monkeypatch.setattr(
        "participant.agent.log.error", lambda event, **more: said.append((event, more))
    )
    others = LeftOut("birch", "elm", "root_mismatch", "w")
    mismatch = LeftOut("amber", "fern", "root_mismatch", "not what was signed")
    views = iter(
        View(revision=at, rounds=(replace(SEEN, left_out=each),))
        for at, each in enumerate([(others,), (MINE,), (MINE,), (MINE, mismatch), (MINE, mismatch)])
    )

    class Watched:
        async def watch(self, seen, working_on, wait):
            try:
                return next(views)
            except StopIteration:
                raise ConfigError("the test is over") from None

    amber._coordinator = Watched()
    with pytest.raises(ConfigError):
        await amber._watch()

    assert [event for event, _ in said] == ["left_out", "left_out"]
    first, second = (more for _, more in said)
    assert first["reason"] == "a norm over the bound"
    assert (first["seat"], first["code"], first["round"]) == ("elm", "norm_over_bound", 1)
    assert first["who_acts"].startswith("nobody: the guarantee comes first")
    assert second["who_acts"] == "this site's operator"


# -- what seats ask ------------------------------------------------------------------


class Relay:
    """A relay with one question for this trainer."""

    def __init__(self, *letters):
        self.letters, self.posted, self.asked = list(letters), [], asyncio.Event()

    async def post(self, recipient, topic, body):
        self.posted.append((recipient, topic, body))
        self.asked.set()

    async def collect(self, after, wait_seconds):
        if not self.letters:
            await asyncio.sleep(60)
        letters, self.letters = self.letters, []
        return 1, letters


async def test_a_seat_that_asks_is_told_the_newest_round_that_was_certified(
    tmp_path, shown, seats, monkeypatch
):
    """Signed, and for this question alone."""
    amber = agent(tmp_path, shown)
    await amber._carry_out(Certify(1, digest_of(ROUND.cohort)))
    relay = Relay(Letter(1, "elm", "recall/ask", b"a" * 64))
    monkeypatch.setattr("participant.agent.Letters", lambda _: relay)

    answering = asyncio.create_task(amber._answer_seats())
    await asyncio.wait_for(relay.asked.wait(), 5)
    answering.cancel()

    ((recipient, topic, body),) = relay.posted
    signed = unpack(body)
    check_signer(signed, Purpose.RECOLLECTION, "amber", signed_round.keys("amber").signing_public)
    answer = canonical.decode(signed.body, Recollection)
    assert (recipient, topic) == ("elm", "recall/answer")
    assert (answer.asker, answer.nonce, answer.newest) == ("elm", "a" * 64, 1)


@pytest.mark.parametrize(
    ("schemes", "trains", "answers"),
    [(("shares/1",), True, True), (("ckks/1",), True, False), (("shares/1",), False, False)],
    ids=["shares", "ckks", "no trainer"],
)
async def test_only_trainers_under_shares_collect_letters(
    tmp_path, shown, monkeypatch, schemes, trains, answers
):
    """Nobody else is asked; a coordinator without a relay is not bothered."""
    amber, called = agent(tmp_path, shown, schemes=schemes), []
    amber._standing = replace(amber._standing, trains=trains)

    async def noted(name):
        called.append(name)

    monkeypatch.setattr(amber, "_watch", lambda: noted("watch"))
    monkeypatch.setattr(amber, "_answer_seats", lambda: noted("answer"))

    await amber._attend()

    assert called == ["watch", *(["answer"] if answers else [])]


def test_the_sum_is_that_of_the_updates():
    """The control of the models above."""
    names = made.TRAINERS

    assert np.array_equal(ROUND.total(), sum(signed_round.update(name) for name in names))
