"""Opener and auditor check a frozen round by one implementation: what only its shape shows."""

import msgspec
import pytest

from participant.frozen import Frozen, check_frozen
from privacy.errors import CohortTooSmall, InvalidSignature, MalformedMessage
from privacy.records import Entry, digest_of
from tests.participant import auditor_at_work as work
from tests.participant import signed_round as made

PLAN = made.plan(auditor="watch")
ROUND = made.Round(PLAN, made.TRAINERS)


def check(cohort, headers, total, policy=None):
    return check_frozen(PLAN, policy or made.policy(), made.roster(), cohort, headers, total)


def replaced(record, **members):
    return msgspec.structs.replace(record, **members)


def test_an_auditor_needs_no_countersignature_that_it_has_not_made_yet():
    """It is an opener that asks for one; of what both check, nothing is left out."""
    assert check(*ROUND.parts()) == Frozen(ROUND.cohort, ROUND.sum)


def test_the_policy_may_be_an_auditors(tmp_path):
    """Its own smallest cohort counts, as a site's does."""
    policy = work.config(tmp_path, smallest_cohort=5).policy

    with pytest.raises(CohortTooSmall, match=r"policy\.smallest_cohort = 5"):
        check(*ROUND.parts(), policy)


@pytest.mark.parametrize("members", [{"chunks": 1}, {"chunks": 3}, {"length": 1}])
def test_a_sum_of_another_length_than_the_plans_is_refused(members):
    """What follows its chunks would be in no tree."""
    cohort, headers, _ = ROUND.parts()

    with pytest.raises(MalformedMessage, match="another length"):
        check(cohort, headers, made.by_coordinator(replaced(ROUND.sum, **members)))


def with_pieces(*pieces):
    """The round, where amber has signed a header with these pieces."""
    return with_header(replaced(made.header_of(PLAN, "amber"), pieces=pieces))


def with_header(header):
    """The round, where amber has signed this header."""
    roots = tuple(piece.root for piece in header.pieces)
    entry = Entry("amber", digest_of(header), roots)
    cohort = replaced(ROUND.cohort, entries=(entry, *ROUND.cohort.entries[1:]))
    total = replaced(ROUND.sum, cohort=digest_of(cohort))
    headers = [made.signed_by(header, "amber"), *ROUND.headers[1:]]
    return made.by_coordinator(cohort), headers, made.by_coordinator(total)


PIECE = made.header_of(PLAN, "amber").pieces[0]


def test_the_plans_one_piece_is_accepted():
    """The control of the refusals below."""
    assert check(*with_pieces(PIECE)).cohort.entries[0].roots == (PIECE.root,)


@pytest.mark.parametrize(
    "pieces",
    [
        (),
        (PIECE, PIECE),
        (replaced(PIECE, recipient="delta"),),
        (replaced(PIECE, scheme="plain/1"),),
        (replaced(PIECE, chunks=1),),
        (replaced(PIECE, length=PIECE.length + 1),),
    ],
    ids=["none", "two", "recipient", "scheme", "chunks", "length"],
)
def test_other_pieces_than_the_plans_are_refused(pieces):
    """Of two roots, which one is added is the coordinator's to choose."""
    with pytest.raises(MalformedMessage, match="other pieces than the plan's"):
        check(*with_pieces(*pieces))


MASKS = made.header_of(PLAN, "amber").masks


def with_masks(*masks):
    """The round, where amber has signed a header with these seals of its mask."""
    return with_header(replaced(made.header_of(PLAN, "amber"), masks=masks))


def test_a_mask_sealed_to_the_plans_openers_is_accepted():
    """The control of the refusals below."""
    assert check(*with_masks(*MASKS)).cohort.entries[0].participant == "amber"


@pytest.mark.parametrize(
    "masks",
    [
        (),
        MASKS[:-1],
        (*MASKS, replaced(MASKS[0], opener="delta")),
        (*MASKS, MASKS[0]),
        (*MASKS[:-1], replaced(MASKS[-1], opener="delta")),
        (*MASKS[:-1], replaced(MASKS[-1], opener=MASKS[0].opener)),
        MASKS[::-1],
    ],
    ids=["none", "one less", "one more", "one twice", "another", "one for two", "another order"],
)
def test_a_mask_sealed_to_others_than_the_plans_openers_is_refused(masks):
    """An opener without a mask could not open; one more is somebody whom no site has accepted."""
    with pytest.raises(MalformedMessage, match="amber sealed its mask to others"):
        check(*with_masks(*masks))


def test_the_auditors_signature_is_no_coordinators():
    """Who may say what the sum is, and who may confirm it."""
    cohort, headers, _ = ROUND.parts()

    with pytest.raises(InvalidSignature):
        check(cohort, headers, made.signed_by(ROUND.sum, "watch"))
