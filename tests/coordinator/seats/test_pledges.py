"""Pledges are taken of those who stated the same, and shown when statements are."""

from functools import partial

import pytest
from eth_account import Account
from msgspec.structs import replace

from coordinator.rounds.state import Phase
from coordinator.seats.pledges import Bonds
from privacy import canonical
from privacy.documents import Signed
from privacy.errors import (
    ConflictingContribution,
    IllegalEvent,
    InvalidSignature,
    NotYet,
    RootMismatch,
    WrongContext,
    WrongIdentity,
)
from privacy.records import SealedWords
from privacy.settlement import pledge as pledges
from privacy.settlement.payouts import Domain
from privacy.settlement.pledge import Pledge
from privacy.settlement.typed import TypedData
from tests.chain.fake_signer import with_nonce
from tests.coordinator.seated_round import SEATS, Seated
from tests.fakes import AUDITOR, OPENERS, SITES, signing_key
from veilsum.chain.digests import sign_typed, signer_of_digest

HERE = Domain(31337, "0x" + "5e" * 20, "70" * 32)
ONE, TWO, THREE = SEATS


def seated(phase: Phase = Phase.SUMMING) -> Seated:
    return Seated(phase, bonds=lambda: Bonds(HERE, signer_of_digest))


def account(seat: str):
    return Account.from_key(bytes([7 + SEATS.index(seat)]) * 32)


def pledge(of: Seated, seat: str, domain: Domain = HERE, key: str = "", **other: object) -> Signed:
    """What a seat pledges for what it states, or for something else."""
    stated, mine = of.statement(seat, **other), account(seat)
    return pledges.make(
        stated,
        domain,
        mine.address,
        partial(sign_typed, mine),
        signing_key(key or seat),
    )


def test_a_pledge_is_taken_once_its_sums_are_stated() -> None:
    """Before that there is nothing to hold it against."""
    of = seated()

    with pytest.raises(NotYet):
        of.seats.pledges.put(ONE, pledge(of, ONE))
    of.state(ONE)
    of.seats.pledges.put(ONE, pledge(of, ONE))
    of.seats.pledges.put(ONE, pledge(of, ONE))  # a retry: the answer to the first was lost

    assert len(of.archive.all_of("pledge")) == 1


def test_pledges_are_shown_when_statements_are() -> None:
    """Nobody copies another's root into its own statement."""
    of = seated()
    for seat in (ONE, TWO):
        of.state(seat)
        of.seats.pledges.put(seat, pledge(of, seat))
    with pytest.raises(NotYet, match="not compared"):
        of.seats.pledges.of(THREE, 1)
    of.state(THREE)

    for caller in (SITES[0], OPENERS[0], THREE, AUDITOR):
        shown = of.seats.pledges.of(caller, 1)
        assert [canonical.decode(each.body, Pledge).seat for each in shown] == [ONE, TWO]
    with pytest.raises(WrongIdentity, match="has no part"):
        of.seats.pledges.of("stranger", 1)


def test_a_pledge_that_comes_after_the_release_is_taken() -> None:
    """No round waits for the key of a bond."""
    of = seated(Phase.DONE)

    of.seats.pledges.put(ONE, pledge(of, ONE))

    assert len(of.seats.pledges.of(AUDITOR, 1)) == 1


def test_a_pledge_for_other_roots_than_stated_is_refused() -> None:
    """Else a seat that lies would pledge for the truth."""
    of = seated()
    of.state(ONE)
    first, second = of.statement(ONE).sums
    other = SealedWords(first.component, "ee" * 32, first.ciphertext, first.length)

    with pytest.raises(RootMismatch, match="other roots than it has stated"):
        of.seats.pledges.put(ONE, pledge(of, ONE, sums=(other, second)))

    assert of.archive.all_of("pledge") == []


def test_a_pledge_for_another_programme_is_refused() -> None:
    """There it has a bond that nobody here could slash."""
    of = seated()
    of.state(ONE)

    for other in ({"programme": "71" * 32}, {"contract": "0x" + "5f" * 20}, {"chain_id": 1}):
        with pytest.raises(WrongContext, match="the seat's operator must correct settlement"):
            of.seats.pledges.put(ONE, pledge(of, ONE, replace(HERE, **other)))


def test_a_pledge_by_others_or_of_something_else_is_refused() -> None:
    of = seated()
    for seat in SEATS[:2]:
        of.state(seat)

    with pytest.raises(InvalidSignature):
        of.seats.pledges.put(ONE, pledge(of, ONE, key=TWO))
    with pytest.raises(InvalidSignature):
        of.seats.pledges.put(TWO, pledge(of, ONE))
    with pytest.raises(WrongIdentity):
        of.seats.pledges.put(SITES[0], pledge(of, ONE))
    with pytest.raises(WrongContext):
        of.seats.pledges.put(ONE, pledge(of, ONE, cohort="ee" * 32))


def test_a_seat_pledges_once() -> None:
    """With another account it would have two that answer, or none."""
    of = seated()
    of.state(ONE)
    of.seats.pledges.put(ONE, pledge(of, ONE))
    mine = Account.from_key(b"\x31" * 32)
    other = pledges.make(
        of.statement(ONE),
        HERE,
        mine.address,
        partial(sign_typed, mine),
        signing_key(ONE),
    )

    with pytest.raises(ConflictingContribution):
        of.seats.pledges.put(ONE, other)


def test_the_same_pledge_by_a_signer_that_never_signs_the_same_twice_is_the_same() -> None:
    """A seat that died after it was taken makes it again; the first is the one that counts."""
    of = seated()
    of.state(ONE)
    first, mine = pledge(of, ONE), account(ONE)
    of.seats.pledges.put(ONE, first)

    def signs(said: TypedData) -> bytes:
        # The same key over the same, and other bytes.
        return with_nonce(mine, said.digest(), 2)

    again = pledges.make(of.statement(ONE), HERE, mine.address, signs, signing_key(ONE))
    of.seats.pledges.put(ONE, again)

    assert again.body != first.body
    for seat in (TWO, THREE):
        of.state(seat)
    assert of.seats.pledges.of(AUDITOR, 1) == [first]


@pytest.mark.parametrize("phase", [Phase.OPEN, Phase.JUDGING, Phase.CERTIFYING])
def test_no_pledge_is_taken_before_sums_are_added(phase: Phase) -> None:
    of = seated(phase)

    with pytest.raises(IllegalEvent, match="no pledges are taken"):
        of.seats.pledges.put(ONE, pledge(of, ONE))


def test_where_nothing_is_settled_no_pledge_is_taken() -> None:
    """There is no programme that it could be for."""
    of = Seated(Phase.SUMMING)
    of.state(ONE)

    with pytest.raises(IllegalEvent, match="nothing is settled on a chain here"):
        of.seats.pledges.put(ONE, pledge(of, ONE))
