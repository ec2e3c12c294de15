"""Opener and auditor check a frozen round by one implementation: what only its shape shows."""

import msgspec
import pytest

from participant.opening.frozen import Frozen, check_frozen
from privacy.errors import (
    CohortTooSmall,
    InvalidSignature,
    MalformedMessage,
    PeerLedgerRolledBack,
)
from privacy.growth import LastSeen
from privacy.records import Entry, digest_of
from tests.participant import auditor_at_work as work
from tests.participant import signed_round as made

PLAN = made.plan(auditor="watch")
ROUND = made.Round(PLAN, made.TRAINERS)


def check(cohort, headers, total, policy=None, seen=None):
    accepting, roster = policy or made.policy(), made.roster()
    return check_frozen(PLAN, accepting, roster, cohort, headers, total, seen or {})


def seen_of(name, rows, number=0):
    """What was seen of a site's ledger in a header of another round."""
    return {name: LastSeen(number, "0" * 64, made.ledger_of(name, number, rows))}


@pytest.mark.parametrize("rows", [1, 9])
def test_headers_of_ledgers_that_grew_are_those_of_a_round(rows):
    """The control: each has ten rows, and fewer were seen of one."""
    assert check(*ROUND.parts(), seen=seen_of("cedar", rows)) == Frozen(ROUND.cohort, ROUND.sum)


@pytest.mark.parametrize("rows", [10, 11])
def test_a_header_with_an_older_ledger_than_was_seen_is_refused(rows):
    """And its site is named: an old backup was put back there."""
    with pytest.raises(PeerLedgerRolledBack, match=r"^cedar: "):
        check(*ROUND.parts(), seen=seen_of("cedar", rows))


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


@pytest.mark.parametrize("names", [made.TRAINERS[:3], made.TRAINERS])
def test_no_sum_with_less_noise_than_was_accounted_is_opened(names):
    """Two honest sites and two colluders are four: openers and auditors refuse a sum of three."""
    plan = made.plan(**made.shared_noise(colluders=2), cohort_minimum=4, quorum=4)
    parts = made.Round(plan, names).parts()

    def checked():
        return check_frozen(plan, made.policy(), made.roster(), *parts, {})

    if len(names) == 4:
        assert len(checked().cohort.entries) == 4
    else:
        with pytest.raises(CohortTooSmall):
            checked()
