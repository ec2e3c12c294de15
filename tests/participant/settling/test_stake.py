"""Stake: what is bonded, thaws and comes back is what was asked for, however often it is asked."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from participant.settling.programme import programme_at
from participant.settling.stake import Staking
from participant.settling.standing import standing_of
from privacy.errors import IllegalEvent, NotYet, WrongContext
from tests.contracts.settlement_run import BOND, Run, settlement_run
from tests.participant.settling.offers import HOUR
from veilsum.demo.chain import embedded_chain


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    with embedded_chain() as url:
        yield url, tmp_path_factory.mktemp("chain")


def staking(run: Run) -> Staking:
    """Of the coordinator, whose bond is `BOND` already."""
    programme = programme_at(run.endpoint, str(run.chain.contract.address), run.programme)
    return Staking(programme, run.chain.key, run.journal)


def test_a_bond_goes_up_thaws_and_comes_back_more_than_once(chain: tuple[str, Path]) -> None:
    """The second time is another act, and not a memory of the first."""
    run = settlement_run(*chain)
    mine, before = staking(run), run.balance(run.chain.key.address)

    for _ in range(2):
        assert mine.bond_up_to(BOND + 70)
        assert mine.bond_up_to(BOND + 70) == ()
        assert mine.stake().bonded == BOND + 70
        mine.thaw_down_to(BOND)
        assert (mine.stake().bonded, mine.stake().thawing) == (BOND, 70)
        run.pass_until(mine.stake().thaws_at)
        mine.withdraw()

    assert (mine.stake().bonded, mine.stake().thawing) == (BOND, 0)
    assert run.balance(run.chain.key.address) == before
    assert mine.withdraw() == ()


def test_what_has_not_thawed_is_not_asked_for(chain: tuple[str, Path]) -> None:
    """The vault would refuse, for gas."""
    run = settlement_run(*chain, window=HOUR)
    mine = staking(run)
    mine.thaw_down_to(1)

    with pytest.raises(NotYet, match=f"{BOND - 1} token units thaw until Unix time"):
        mine.withdraw()

    standing = standing_of(mine.programme)
    assert (standing.bond.bonded, standing.bond.thawing) == ("1", str(BOND - 1))


def test_more_than_the_key_has_is_refused_by_the_token(chain: tuple[str, Path]) -> None:
    run = settlement_run(*chain)

    with pytest.raises(IllegalEvent, match="ERC20InsufficientBalance"):
        staking(run).bond_up_to(10**30)


def test_a_programme_that_is_not_open_is_refused(chain: tuple[str, Path]) -> None:
    """A wrong word in the settings would bond for nothing."""
    run = settlement_run(*chain)
    programme = programme_at(run.endpoint, str(run.chain.contract.address), "ab" * 32)

    with pytest.raises(WrongContext, match="is not open on"):
        standing_of(programme)
    with pytest.raises(WrongContext, match="is not open on"):
        Staking(programme, run.chain.key, run.journal).bond_up_to(1)


def test_a_standing_shows_rounds_the_escrow_and_what_a_payee_waits_for(
    chain: tuple[str, Path],
) -> None:
    """All that a member asks about, in one place."""
    run = settlement_run(*chain, sites=2, window=2 * HOUR)
    mine = staking(run)
    made = run.statement(4)
    run.chain.commit(made)
    one = made.entitlements[0]

    shown = standing_of(mine.programme, account=one.payee, payee=one.payee, offered=one)

    assert (shown.state, shown.head, shown.demands) == ("running", 4, ())
    assert [(each.number, each.state) for each in shown.rounds] == [(4, "open")]
    assert shown.payee is not None
    assert (shown.payee.claimable, shown.payee.waiting) == ("0", one.cumulative)
    assert shown.own is not None
    assert shown.own.bonded == "0"
    assert shown.window == 2 * HOUR
