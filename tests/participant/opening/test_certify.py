"""A trainer signs one cohort of a round, ever, and only one that may be summed."""

import msgspec
import pytest

from participant.memory import Memory
from participant.opening.certify import Certifier
from privacy.documents import Signed
from privacy.errors import (
    CohortTooSmall,
    InvalidSignature,
    MalformedMessage,
    NotYet,
    OpeningRefused,
    PeerLedgerRolledBack,
    PeerUnreachable,
    PolicyRefusal,
    WrongContext,
)
from privacy.failpoints import Failpoints
from privacy.growth import LastSeen
from privacy.plan import SharesTerms
from privacy.records import digest_of
from privacy.signing import Purpose, verify
from tests.participant import kept_ledger, signed_round
from tests.participant import shared_round as made
from tests.participant.agent_at_work import Showing

ROUND = made.Round()
OTHER = made.Round(names=made.TRAINERS[:3])
replaced = msgspec.structs.replace


@pytest.fixture
def shown():
    coordinator = Showing()
    made.shown_by(coordinator, ROUND)
    return coordinator


@pytest.fixture
def seats():
    answers = made.Seats({1: ROUND})
    with made.answering(answers):
        yield answers


def certifier(folder, coordinator, failpoints=None, **policy):
    memory = Memory(folder)
    return Certifier(
        signed_round.keys("amber").signing,
        made.policy(**policy),
        made.roster(),
        memory,
        kept_ledger.peers(folder, memory),
        coordinator,
        failpoints or Failpoints(),
    )


def shows_cohort(coordinator, cohort, headers):
    coordinator.cohorts[1] = signed_round.by_coordinator(cohort), headers


async def test_a_cohort_is_signed_as_a_part_of_its_certificate(tmp_path, shown, seats):
    """The cohort's own bytes, for that purpose and no other."""
    await certifier(tmp_path, shown).certify(1, digest_of(ROUND.cohort))

    ((number, cohort, signature),) = seats.signed
    assert (number, cohort) == (1, digest_of(ROUND.cohort))
    key = signed_round.keys("amber").signing_public
    verify(key, Purpose.CERTIFICATE, signed_round.encoded(ROUND.cohort), signature)
    with pytest.raises(InvalidSignature):
        verify(key, Purpose.COHORT, signed_round.encoded(ROUND.cohort), signature)


async def test_the_same_cohort_is_signed_again(tmp_path, shown, seats):
    """The answer to the first was lost; the second signature is the first one."""
    for _ in range(2):
        at_work = certifier(tmp_path, shown)
        await at_work.certify(1, digest_of(ROUND.cohort))
        at_work.memory.close()

    assert len(seats.signed) == 2
    assert len(set(seats.signed)) == 1


@pytest.mark.parametrize("restarted", [False, True])
async def test_a_second_cohort_of_a_round_is_never_signed(tmp_path, shown, seats, restarted):
    """After a restart neither; it is recorded before it is signed."""
    at_work = certifier(tmp_path, shown)
    await at_work.certify(1, digest_of(ROUND.cohort))
    if restarted:
        at_work.memory.close()
        at_work = certifier(tmp_path, shown)
    shows_cohort(shown, OTHER.cohort, OTHER.headers)

    with pytest.raises(OpeningRefused, match="another cohort was certified"):
        await at_work.certify(1, digest_of(OTHER.cohort))

    assert len(seats.signed) == 1


async def test_what_was_recorded_and_never_signed_binds_as_well(tmp_path, shown, seats):
    """A crash in between: nobody can tell whether the signature left."""

    def dies(name):
        raise PeerUnreachable(name)

    failpoints = Failpoints()
    failpoints.hit = dies
    with pytest.raises(PeerUnreachable, match="before_sign"):
        await certifier(tmp_path, shown, failpoints).certify(1, digest_of(ROUND.cohort))
    shows_cohort(shown, OTHER.cohort, OTHER.headers)

    with pytest.raises(OpeningRefused):
        await certifier(tmp_path, shown).certify(1, digest_of(OTHER.cohort))

    assert seats.signed == []


async def test_another_cohort_than_the_task_is_for_waits(tmp_path, shown, seats):
    """And binds nobody."""
    at_work = certifier(tmp_path, shown)

    with pytest.raises(NotYet):
        await at_work.certify(1, digest_of(OTHER.cohort))

    assert at_work.memory.newest_certified() == 0


async def test_a_cohort_with_an_older_ledger_than_was_seen_is_not_signed(tmp_path, shown, seats):
    """Not even after a restart; and the certificate is signed where the ledger only grew."""
    header = ROUND.updates["cedar"].header
    at_work = certifier(tmp_path, shown)
    longer = signed_round.ledger_of("cedar", 0, header.ledger.size)
    at_work.memory.sees_ledger("cedar", LastSeen(0, "0" * 64, longer))
    at_work.memory.close()

    with pytest.raises(PeerLedgerRolledBack, match=r"^cedar: "):
        await certifier(tmp_path, shown).certify(1, digest_of(ROUND.cohort))

    assert seats.signed == []
    await certifier(tmp_path / "another", shown).certify(1, digest_of(ROUND.cohort))
    assert len(seats.signed) == 1


async def test_who_signs_a_cohort_has_recorded_its_ledgers_before(tmp_path, shown, seats):
    """In its memory, and as witness in its own ledger."""

    def dies(name):
        raise PeerUnreachable(name)

    failpoints = Failpoints()
    failpoints.hit = dies
    at_work = certifier(tmp_path, shown, failpoints)

    with pytest.raises(PeerUnreachable, match="before_sign"):
        await at_work.certify(1, digest_of(ROUND.cohort))

    assert set(at_work.peers.seen()) == set(made.TRAINERS)
    assert len([row for row in at_work.peers.ledger.rows() if row.witness]) == 3


def tampered_header():
    header = replaced(ROUND.updates["delta"].header, seals=ROUND.updates["amber"].header.seals)
    cohort = made.cohort_of(ROUND.plan, [*(h for h in headers()[:3]), header])
    return cohort, ROUND.headers


def headers():
    return [each.header for each in ROUND.updates.values()]


def twice():
    entries = (ROUND.cohort.entries[0], *ROUND.cohort.entries)
    return replaced(ROUND.cohort, entries=entries), [ROUND.headers[0], *ROUND.headers]


def unsigned():
    stolen = Signed(ROUND.headers[3].body, {"delta": ROUND.headers[0].signatures["amber"]})
    return ROUND.cohort, [*ROUND.headers[:3], stolen]


def of_another_plan():
    return replaced(ROUND.cohort, plan="0" * 64), ROUND.headers


def small():
    return made.cohort_of(ROUND.plan, headers()[:2]), ROUND.headers[:2]


@pytest.mark.parametrize(
    ("cohort", "error"),
    [
        (tampered_header, WrongContext),
        (twice, MalformedMessage),
        (unsigned, InvalidSignature),
        (of_another_plan, WrongContext),
        (small, CohortTooSmall),
    ],
    ids=["other seals", "one site twice", "not signed by its site", "another plan", "too small"],
)
async def test_a_cohort_that_may_not_be_summed_is_not_signed(tmp_path, shown, seats, cohort, error):
    """Neither recorded: another one of the round may be in order."""
    body, shown_headers = cohort()
    shows_cohort(shown, body, shown_headers)
    at_work = certifier(tmp_path, shown)

    with pytest.raises(error):
        await at_work.certify(1, digest_of(body))

    assert (seats.signed, at_work.memory.newest_certified()) == ([], 0)


async def test_a_cohort_that_the_coordinator_has_not_signed_is_not_signed(tmp_path, shown, seats):
    shown.cohorts[1] = signed_round.signed_by(ROUND.cohort, "delta"), ROUND.headers

    with pytest.raises(InvalidSignature):
        await certifier(tmp_path, shown).certify(1, digest_of(ROUND.cohort))

    assert seats.signed == []


async def test_the_sites_own_policy_has_the_last_word(tmp_path, shown, seats):
    """On the smallest cohort, and on the scheme."""
    with pytest.raises(PolicyRefusal, match=r"policy\.smallest_cohort"):
        await certifier(tmp_path / "a", shown, smallest_cohort=5).certify(
            1, digest_of(ROUND.cohort)
        )
    with pytest.raises(PolicyRefusal, match=r"policy\.schemes"):
        await certifier(tmp_path / "b", shown, schemes=("ckks/1",)).certify(
            1, digest_of(ROUND.cohort)
        )

    assert seats.signed == []


async def test_a_plan_that_the_coordinator_did_not_sign_is_refused(tmp_path, shown, seats):
    shown.signer = signed_round.keys("delta").signing

    with pytest.raises(InvalidSignature):
        await certifier(tmp_path, shown).certify(1, digest_of(ROUND.cohort))

    assert seats.signed == []


def test_a_plan_with_other_questions_is_another_plan():
    """What seats are asked is in the digest that every header names."""
    asked = made.plan(scheme=SharesTerms(1, 2, 4, made.STARTS, unchecked=True))

    assert asked.digest() != ROUND.plan.digest()


async def test_a_cohort_with_less_noise_than_was_accounted_is_not_signed(tmp_path, shown, seats):
    """Two honest sites and two colluders are four, and this cohort has three."""
    noise = signed_round.shared_noise(colluders=2)
    plan = made.plan(**noise, cohort_minimum=4, quorum=4)
    few = made.Round(plan, made.TRAINERS[:3])
    made.shown_by(shown, few)
    at_work = certifier(tmp_path, shown)

    with pytest.raises(CohortTooSmall):
        await at_work.certify(1, digest_of(few.cohort))

    assert (seats.signed, at_work.memory.newest_certified()) == ([], 0)
