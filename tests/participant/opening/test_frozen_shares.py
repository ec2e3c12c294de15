"""A frozen round under `shares`, checked by whoever certifies, adds or opens it."""

import msgspec
import pytest

from participant.opening.frozen import Frozen, check_frozen, check_frozen_cohort, check_header
from participant.opening.reveal import check as check_opening
from privacy.documents import Signed
from privacy.errors import (
    InvalidSignature,
    MalformedMessage,
    WrongContext,
    WrongIdentity,
)
from privacy.records import digest_of
from tests.participant import shared_round as made
from tests.participant import signed_round

ROUND = made.Round()
AMBER = ROUND.updates["amber"].header
replaced = msgspec.structs.replace


def header(changed, name="amber"):
    return check_header(ROUND.plan, name, signed_round.signed_by(changed, name), made.roster())


def test_a_header_of_the_plans_shape_is_read():
    """The control of the refusals below."""
    assert header(AMBER) == AMBER


PIECE = AMBER.pieces[0]


@pytest.mark.parametrize(
    "pieces",
    [
        (),
        (PIECE, PIECE),
        (replaced(PIECE, recipient="coordinator"),),
        (replaced(PIECE, scheme="ckks/1"),),
        (replaced(PIECE, chunks=PIECE.chunks + 1),),
        (replaced(PIECE, length=PIECE.length - 1),),
    ],
    ids=["none", "two", "recipient", "scheme", "chunks", "length"],
)
def test_other_pieces_than_the_plans_are_refused(pieces):
    with pytest.raises(MalformedMessage, match="other pieces than the plan's"):
        header(replaced(AMBER, pieces=pieces))


SEALS = AMBER.seals


@pytest.mark.parametrize(
    "seals",
    [
        SEALS[::-1],
        (SEALS[0], SEALS[1], replaced(SEALS[2], seat="amber")),
        (SEALS[0], SEALS[0], SEALS[2]),
    ],
    ids=["another order", "a stranger", "one twice"],
)
def test_parts_sealed_to_others_than_the_plans_seats_are_refused(seals):
    """The order says which seat holds which components."""
    with pytest.raises(MalformedMessage, match="amber sealed its parts to others"):
        header(replaced(AMBER, seals=seals))


@pytest.mark.parametrize("changes", [{"round": 2}, {"plan": "0" * 64}, {"federation": "other"}])
def test_a_header_of_another_round_is_refused(changes):
    with pytest.raises(WrongContext):
        header(replaced(AMBER, **changes))


def test_a_header_in_anothers_name_is_refused():
    """Signed by birch, of amber's update: or signed by nobody whom the entry names."""
    with pytest.raises(WrongContext):
        header(AMBER, "birch")
    with pytest.raises(InvalidSignature):
        check_header(ROUND.plan, "amber", signed_round.signed_by(AMBER, "birch"), made.roster())


def test_only_trainers_contribute():
    with pytest.raises(WrongIdentity, match="elm is no trainer"):
        header(replaced(AMBER, participant="elm"), "elm")


def test_a_header_of_the_other_scheme_is_none():
    """Its signature is for another purpose."""
    other = signed_round.signed_by(signed_round.header_of(signed_round.plan(), "amber"), "amber")

    with pytest.raises(InvalidSignature):
        check_header(ROUND.plan, "amber", other, made.roster())


def frozen(signed_cohort, total=ROUND.sum):
    return check_frozen(
        ROUND.plan,
        made.policy(),
        made.roster(),
        signed_cohort,
        ROUND.headers,
        signed_round.by_coordinator(total),
        {},
    )


def test_a_frozen_round_is_read_as_it_is():
    signed = made.certified(ROUND.cohort)

    assert frozen(signed) == Frozen(ROUND.cohort, ROUND.sum)
    assert ROUND.cohort == check_frozen_cohort(
        ROUND.plan, made.policy(), made.roster(), signed, ROUND.headers, {}
    )


@pytest.mark.parametrize("changes", [{"length": 1}, {"chunks": 1}])
def test_a_sum_of_another_length_than_the_plans_is_refused(changes):
    with pytest.raises(MalformedMessage, match="another length"):
        frozen(made.certified(ROUND.cohort), replaced(ROUND.sum, **changes))


# -- what an opener asks for beside it ----------------------------------------------


def opening(signed_cohort, total=ROUND.sum, of=ROUND):
    manifest = signed_round.by_coordinator(total)
    policy, roster = made.policy(), made.roster()
    return check_opening(of.plan, policy, roster, signed_cohort, of.headers, manifest, {})


@pytest.mark.parametrize(
    "signers",
    [made.SEATS, (*made.SEATS[1:], *made.TRAINERS[:3]), (*made.SEATS, *made.TRAINERS)],
    ids=["three seats", "two and most trainers", "everybody"],
)
def test_a_certified_cohort_may_be_opened(signers):
    assert opening(made.certified(ROUND.cohort, *signers)) == Frozen(ROUND.cohort, ROUND.sum)


@pytest.mark.parametrize(
    "signers",
    [
        (),
        made.SEATS[:2],
        (*made.SEATS[:2], *made.TRAINERS[:2]),
        (made.SEATS[0], *made.TRAINERS),
        (*made.SEATS[:2], "watch"),
    ],
    ids=["none", "two seats", "and too few trainers", "one and all trainers", "an auditor"],
)
def test_without_a_certificate_nothing_is_opened(signers):
    """However many have signed that are not enough."""
    with pytest.raises(InvalidSignature):
        opening(made.certified(ROUND.cohort, *signers))


def test_a_certificate_of_another_cohort_does_not_count():
    """Signatures are over the cohort's bytes."""
    other = made.Round(names=made.TRAINERS[:3])
    stolen = made.certified(other.cohort, *made.SEATS)
    cohort = signed_round.by_coordinator(ROUND.cohort)

    with pytest.raises(InvalidSignature):
        opening(Signed(cohort.body, {**stolen.signatures, **cohort.signatures}))


def test_no_auditor_signs_a_sum_that_seats_state():
    """It is named for disputes; what under ckks it signs, two seats sign here."""
    of = made.Round(made.plan(auditor="watch"))
    cohort = made.certified(of.cohort, *made.SEATS)

    assert opening(cohort, of.sum, of).sum.cohort == digest_of(of.cohort)
