"""What seats say of the candidates counts once, and is about these candidates."""

import pytest

from coordinator.rounds.state import LeftOut, Phase
from privacy import canonical
from privacy.documents import Signed
from privacy.errors import (
    ConflictingContribution,
    InvalidSignature,
    MalformedMessage,
    NotYet,
    WrongContext,
    WrongIdentity,
)
from privacy.records import Refused
from tests.coordinator.seated_round import SEATS, Seated
from tests.fakes import AUDITOR, SITES, signed_by

OTHER = "ee" * 32


def test_candidates_come_with_the_header_of_each():
    seated = Seated(Phase.JUDGING)

    signed, headers = seated.seats.judging.candidates(SEATS[2], 1)

    assert signed.body == canonical.encode(seated.candidates)
    assert [header.body for header in headers] == [f"header of {n}".encode() for n in SITES]


def test_there_are_no_candidates_while_the_round_is_open():
    with pytest.raises(NotYet, match="not signed yet"):
        Seated().seats.judging.candidates(SEATS[0], 1)


def test_a_verdict_counts_and_names_whom_it_leaves_out():
    seated = Seated(Phase.JUDGING)
    refused = Refused(SITES[1], "norm_over_bound", "norm 12.5 over 1.0")

    seated.judge(SEATS[0], refused)

    assert [each.seat for each in seated.round().judged] == [SEATS[0]]
    assert seated.round().left_out == (
        LeftOut(SITES[1], SEATS[0], "norm_over_bound", "norm 12.5 over 1.0"),
    )
    kept = seated.archive.document("verdict", seated.round().judged[0].verdict)
    assert list(kept.signatures) == [SEATS[0]]


def test_the_same_verdict_again_changes_nothing_in_any_phase():
    """The answer to the first was lost; meanwhile the round has gone on."""
    seated = Seated(Phase.SUMMING)
    before = seated.round()

    for _ in range(2):
        seated.judge(SEATS[0])

    assert seated.round() == before


def test_a_seat_judges_once():
    seated = Seated(Phase.JUDGING)
    seated.judge(SEATS[0])

    with pytest.raises(ConflictingContribution):
        seated.judge(SEATS[0], Refused(SITES[0], "root_mismatch", "x"))

    assert seated.round().left_out == ()
    assert len(seated.store.documents("verdict")) == 1


@pytest.mark.parametrize(
    ("other", "error"),
    [
        ({"candidates": OTHER}, WrongContext),
        ({"plan": OTHER}, WrongContext),
        ({"federation": "cardiology"}, WrongContext),
        ({"round": 2}, NotYet),
        ({"seat": SEATS[1]}, WrongIdentity),
        ({"refused": (Refused("hospital-z", "root_mismatch", "x"),)}, MalformedMessage),
        ({"refused": (Refused(SITES[0], "root_mismatch", "x"),) * 2}, MalformedMessage),
        ({"refused": (Refused(SITES[0], "root_mismatch", "\x1b[2J"),)}, MalformedMessage),
        ({"unasked": "two\nlines"}, MalformedMessage),
    ],
)
def test_a_verdict_on_something_else_is_refused(other, error):
    seated = Seated(Phase.JUDGING)

    with pytest.raises(error):
        seated.seats.judging.put_verdict(
            SEATS[0], signed_by(SEATS[0], seated.verdict(SEATS[0], **other))
        )

    assert seated.round().judged == ()
    assert seated.store.documents("verdict") == []


@pytest.mark.parametrize("caller", [SITES[0], AUDITOR, "seat-d"])
def test_only_seats_judge(caller):
    seated = Seated(Phase.JUDGING)

    with pytest.raises(WrongIdentity):
        seated.seats.judging.put_verdict(caller, signed_by(caller, seated.verdict(caller)))


@pytest.mark.parametrize("signed_as", [{}, {SEATS[0]: b"\x00" * 64}, {SEATS[1]: None}])
def test_a_verdict_without_its_seats_signature_is_refused(signed_as):
    seated = Seated(Phase.JUDGING)
    signed = signed_by(SEATS[0], seated.verdict(SEATS[0]), key=SEATS[1])
    made = {who: value or signed.signatures[SEATS[0]] for who, value in signed_as.items()}

    for each in (signed, Signed(signed.body, made)):
        with pytest.raises(InvalidSignature):
            seated.seats.judging.put_verdict(SEATS[0], each)

    assert seated.round().judged == ()


def test_only_the_signature_that_was_checked_is_kept():
    """A stranger's beside it is thrown away, and the same verdict is the same again."""
    seated = Seated(Phase.JUDGING)
    signed = signed_by(SEATS[0], seated.verdict(SEATS[0]))

    seated.seats.judging.put_verdict(
        SEATS[0], Signed(signed.body, {**signed.signatures, "x": b"y"})
    )
    seated.judge(SEATS[0])

    assert [list(each.signatures) for each in seated.archive.all_of("verdict")] == [[SEATS[0]]]
