"""Wire to values and back."""

import msgspec
import pytest

from coordinator.rounds.state import (
    Disagreement,
    Judgement,
    LeftOut,
    Phase,
    Round,
    Rules,
    Scoring,
    Stated,
)
from coordinator.wire import codec
from privacy.documents import Signed
from privacy.errors import MalformedMessage
from veilsum.v1 import document_pb2, round_pb2

RULES = Rules(("a", "b"), ("a", "b", "c"), 2, 2, 5.0, 60.0)


def test_a_signed_document_survives_the_wire():
    signed = Signed(b"{}", {"hospital-b": b"2", "hospital-a": b"1"})

    travelled = document_pb2.SignedDocument.FromString(
        codec.signed_to_wire(signed).SerializeToString()
    )

    assert codec.signed_from_wire(travelled) == signed


def test_two_signatures_of_one_signer_are_refused():
    """Which of the two would count?"""
    twice = [document_pb2.Signature(signer="hospital-a", value=each) for each in (b"1", b"2")]

    with pytest.raises(MalformedMessage, match="signed twice"):
        codec.signed_from_wire(document_pb2.SignedDocument(body=b"{}", signatures=twice))


@pytest.mark.parametrize("phase", Phase)
def test_every_phase_has_its_name_on_the_wire(phase):
    (status,) = codec.statuses_to_wire({1: Round(1, RULES, phase)}) or [None]

    if phase is Phase.ABORTED:
        assert round_pb2.Phase.Name(status.phase) == "PHASE_ABORTED"
    assert round_pb2.Phase.Name(status.phase) == f"PHASE_{phase.name}"


@pytest.mark.parametrize("auditor", ["", "watch"])
def test_members_see_who_audits(auditor):
    """An auditor learns from the status that a round waits for it, and not for another."""
    rules = msgspec.structs.replace(RULES, auditor=auditor)

    (status,) = codec.statuses_to_wire({1: Round(1, rules, Phase.OPEN)})

    assert status.auditor == auditor


def test_members_see_what_they_still_have_to_do_with():
    """The last released model, and every round that goes on."""
    phases = (Phase.DONE, Phase.ABORTED, Phase.DONE, Phase.ABORTED, Phase.OPEN, Phase.KEYING)
    rounds = {at: Round(at, RULES, phase) for at, phase in enumerate(phases, 1)}

    shown = [status.number for status in codec.statuses_to_wire(rounds)]

    assert shown == [3, 4, 5, 6]


def test_of_many_rounds_whose_scores_are_waited_for_the_oldest_and_newest_are_shown():
    """Openers that are behind must not make the status too large to be sent."""
    waits = Scoring.JUDGING
    rounds = {at: Round(at, RULES, Phase.DONE, scoring=waits) for at in range(1, 100)}

    shown = [status.number for status in codec.statuses_to_wire(rounds)]

    assert shown == [1, 96, 97, 98, 99]


def test_of_many_aborted_rounds_the_last_few_are_shown():
    """A federation that fails for weeks has a status of the same size."""
    rounds = {at: Round(at, RULES, Phase.ABORTED) for at in range(1, 1_000)}
    rounds |= {1: Round(1, RULES, Phase.DONE), 4: Round(4, RULES, Phase.OPEN)}
    rounds[1_000] = Round(1_000, RULES, Phase.KEYING)

    shown = [status.number for status in codec.statuses_to_wire(rounds)]

    assert shown == [1, 4, 995, 996, 997, 998, 999, 1_000]


def test_a_status_says_what_seats_have_said():
    """Each member sees whom the round waits for, and who was left out and why."""
    seated = Round(
        3,
        Rules(("a", "b"), ("a", "b", "c"), 2, 2, 5.0, 60.0, "watch", ("x", "y", "z")),
        Phase.DISPUTED,
        candidates="1" * 64,
        judged=(Judgement("x", "2" * 64), Judgement("y", "3" * 64)),
        left_out=(LeftOut("c", "x", "root_mismatch", "another root"),),
        certified=("a", "x", "y"),
        stated=(Stated("x", "4" * 64, ("5", "6", "")), Stated("y", "7" * 64, ("", "8", "9"))),
        disputed=Disagreement(("x", "y"), 1),
        liars=("z",),
    )

    (status,) = codec.statuses_to_wire({3: seated})

    assert status.phase == round_pb2.PHASE_DISPUTED
    assert [*status.seats] == ["x", "y", "z"]
    assert status.candidates == "1" * 64
    assert [*status.judged] == ["x", "y"]
    assert [*status.certified] == ["a", "x", "y"]
    assert [*status.summed] == ["x", "y"]
    assert [*status.disputed] == ["x", "y"]
    assert [*status.liars] == ["z"]
    (left_out,) = status.left_out
    assert (left_out.participant, left_out.seat) == ("c", "x")
    assert (left_out.code, left_out.reason) == ("root_mismatch", "another root")


def test_no_seat_fills_a_status_with_its_reasons():
    """Everybody's watching would fail of it: a message has a limit."""
    rows = tuple(LeftOut(f"site-{at}", "x", "e" * 64, "r" * 300) for at in range(3_000))
    seated = Round(1, Rules(("a", "b"), ("a", "b"), 2, 2, 5.0, 60.0), Phase.OPEN, left_out=rows)

    (status,) = codec.statuses_to_wire({1: seated})

    assert len(status.left_out) == codec.MOST_LEFT_OUT
    assert status.ByteSize() < 1 << 17
