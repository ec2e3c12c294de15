"""Wire to values and back."""

import msgspec
import pytest

from coordinator import codec
from coordinator.state import Phase, Round, Rules
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
