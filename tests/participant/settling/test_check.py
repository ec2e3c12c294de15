"""A site's own look at what it is said to have earned, and the proofs that it makes of a lie."""

from dataclasses import replace

import pytest
from msgspec.structs import replace as changed

from coordinator.settling.settle import Salts, Statement, statement
from participant.settling.check import Offer, accusation_of, measured_by, require_earned
from participant.settling.programme import State
from privacy.errors import FalsePayout, UnsafeParameters
from privacy.settlement.accusation import Accusation
from privacy.settlement.payouts import Domain, Entitlement, check
from privacy.settlement.sum_proof import Fault
from privacy.settlement.sum_verdict import Context, verdict
from tests.contracts.reading import read_proof
from tests.contracts.settlement_run import result
from tests.participant.settling.offers import offer, with_leaf

DOMAIN = Domain(1, "0x" + "11" * 20, "22" * 32)
PAYEES = {"0x" + "0a" * 20: 3, "0x" + "0b" * 20: 1}


def stated(number: int, before: Statement | None = None) -> Statement:
    """A round that divides 100, three parts to one payee and one to the other."""
    salts = {
        payee: Salts(bytes([number, index]) * 16, bytes([index, number, 9, 9]) * 8)
        for index, payee in enumerate(PAYEES)
    }
    return statement(DOMAIN, before, result(number, 2), 100, PAYEES, salts)


def judged(accusation: Accusation, payouts_before: bytes) -> bool:
    """What the contract would say, by its twin."""
    context = Context(
        DOMAIN, "0x" + "00" * 20, bytes(32), 1, 1, payouts_before, accusation.commit,
        lambda digest, signature: None,
    )  # fmt: skip
    return verdict(context, read_proof(accusation.number(), accusation.body()))


def first() -> Statement:
    return stated(1)


def second(of: Statement) -> Statement:
    return stated(2, of)


def test_what_follows_from_the_scores_is_right() -> None:
    """In the first round, and with what was earned before."""
    one, two = first(), second(first())

    require_earned(offer(one))
    require_earned(offer(two, before=one.entitlements[0]))

    assert accusation_of(offer(one), 0) is None
    assert accusation_of(offer(two, before=one.entitlements[0]), 1) is None


@pytest.mark.parametrize(
    "change", [{"earned": "74"}, {"earned": "76"}, {"score": "2"}, {"score": "5"}]
)
def test_what_is_not_by_the_formula_is_proved(change: dict) -> None:
    """The leaf is under the root: only the site that was told its score can know."""
    one = first()
    lie = with_leaf(one, changed(one.entitlements[0], **change))

    with pytest.raises(FalsePayout, match="challenge the round before it matures"):
        require_earned(offer(lie))

    found = accusation_of(offer(lie), 0)
    assert found is not None
    assert judged(found, bytes(32))


@pytest.mark.parametrize("change", [{"score": str(1 << 128)}, {"earned": str(1 << 255)}])
def test_numbers_that_no_entry_may_have_are_proved_by_their_words(change: dict) -> None:
    """They once could not be looked at, and the round stayed open until it had matured."""
    one = first()
    lie = with_leaf(one, changed(one.entitlements[0], **change))
    mine = next(each for each in lie.entitlements if each.payee == one.entitlements[0].payee)

    check(mine, bytes.fromhex(lie.commit.payouts))
    with pytest.raises(FalsePayout, match="challenge the round before it matures"):
        require_earned(offer(lie))

    found = accusation_of(offer(lie), 0)
    assert found is not None
    assert judged(found, bytes(32))


def test_a_number_that_is_no_word_is_under_no_root() -> None:
    one = first()

    with pytest.raises(UnsafeParameters, match="2\\^256"):
        check(changed(one.entitlements[0], score=str(1 << 256)), bytes(32))


def test_less_in_all_than_in_this_round_is_proved() -> None:
    one = first()
    lie = with_leaf(one, changed(one.entitlements[0], cumulative="74"))

    with pytest.raises(FalsePayout, match="74 token units in all, where 75 were earned"):
        require_earned(offer(lie))

    found = accusation_of(offer(lie), 0)
    assert found is not None
    assert judged(found, bytes(32))


def test_a_fall_from_what_was_kept_is_proved_by_the_leaf_that_was_kept() -> None:
    """Whoever keeps nothing cannot prove it."""
    one = first()
    two = second(one)
    lie = with_leaf(two, changed(two.entitlements[0], cumulative="80"))
    kept = one.entitlements[0]

    with pytest.raises(FalsePayout, match="80 token units in all, where 150 were earned"):
        require_earned(offer(lie, before=kept))

    found = accusation_of(offer(lie, before=kept), 1)
    assert found is not None
    assert judged(found, bytes.fromhex(one.commit.payouts))
    require_earned(offer(lie))


def test_a_fall_from_an_earlier_round_than_the_one_before_is_noticed_and_not_provable() -> None:
    """The contract compares neighbours; the site says so all the same."""
    one = first()
    two = second(one)
    lie = with_leaf(two, changed(two.entitlements[0], cumulative="80"))
    fallen = offer(lie, before=one.entitlements[0])

    with pytest.raises(FalsePayout):
        require_earned(fallen)

    assert accusation_of(fallen, 7) is None


def test_two_leaves_of_one_round_are_proved() -> None:
    """A coordinator that has shown a site two of its leaves has committed to both."""
    one = first()
    mine = one.entitlements[0]
    twin = changed(mine, cumulative="60", score="0", earned="0", salt="77" * 32)
    both = with_two(one, twin)
    kept = both.entitlements[0]
    shown = Offer(both.entitlements[-1], both.commit, kept)

    with pytest.raises(FalsePayout, match="60 token units in all, where 75 were earned"):
        require_earned(shown)

    found = accusation_of(shown, 0)
    assert found is not None
    assert read_proof(found.number(), found.body()).fault is Fault.TWIN
    assert judged(found, bytes(32))


def test_what_was_kept_is_no_measure_elsewhere_or_once_it_is_void() -> None:
    """A site that goes on in another programme begins at nothing; a void round promised nothing."""
    one, running = first(), State(0, 0, 0, 1, None)
    mine = one.entitlements[0]
    kept = changed(mine, cumulative="900")
    elsewhere = changed(kept, domain=changed(DOMAIN, programme="33" * 32))
    others = changed(kept, payee="0x" + "0c" * 20)

    assert measured_by(offer(one, before=kept), running).before == kept
    assert measured_by(offer(one, before=elsewhere), running).before is None
    assert measured_by(offer(one, before=others), running).before is None
    assert measured_by(offer(one, before=kept), replace(running, void_from=1)).before is None


def with_two(made: Statement, twin: Entitlement) -> Statement:
    """A statement whose tree has two leaves of its first payee."""
    more = Statement(made.commit, (*made.entitlements, twin))
    return with_leaf(more, made.entitlements[0])
