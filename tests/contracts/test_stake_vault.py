"""The vault of bonds: what is in it, when it leaves, and who may touch it."""

import pytest

from privacy.settlement.sum_proof import Opening
from tests.contracts.settling import (
    ARITHMETIC,
    BOND,
    BURNED,
    DEMAND_BOND,
    RESPONSE,
    SUPPLY,
    WINDOW,
    Chain,
    Programme,
    open_programme,
)
from veilsum.chain.compiled import load

UNKNOWN = b"\x0f" * 32


def stake(programme: Programme, account: str) -> tuple[int, int, int]:
    return tuple(programme.vault.stakeOf(programme.word, account).call())


def thaw(programme: Programme, amount: int) -> None:
    call = programme.vault.thaw(programme.word, amount)
    programme.chain.send(call, programme.terms.coordinator)


def test_anyone_bonds_in_an_open_programme(programme: Programme) -> None:
    """A seat answers for what it signs as a coordinator does."""
    seat = programme.chain.account(8)

    programme.bond(seat, 40)
    programme.bond(seat, 2)

    assert stake(programme, seat) == (42, 0, 0)
    assert programme.bonded(seat) == 42
    assert programme.balance(programme.chain.vault.address) == BOND + 42


def test_a_bond_leaves_after_everything_it_answers_for_has_matured(programme: Programme) -> None:
    """Half-open again: one response after the last round that it could have backed."""
    chain, coordinator = programme.chain, programme.terms.coordinator
    withdraw = programme.vault.withdraw(programme.word)
    programme.commit({programme.payee(0): 1})
    last = programme.matures_at()
    thaw(programme, BOND)
    began = chain.now()
    chain.until(began + WINDOW + RESPONSE - 1)
    early = chain.refusal(withdraw, coordinator)
    before = programme.balance(coordinator)

    chain.send(withdraw, coordinator)

    assert early == "StakeVaultThawing"
    assert chain.now() >= last + RESPONSE
    assert programme.balance(coordinator) == before + BOND
    assert stake(programme, coordinator) == (0, 0, 0)
    assert chain.refusal(withdraw, coordinator) == "StakeVaultNothing"


def test_what_thaws_begins_again_with_what_joins_it(programme: Programme) -> None:
    """One clock for each account: a later thaw never leaves sooner than its own window."""
    chain, coordinator = programme.chain, programme.terms.coordinator
    thaw(programme, 100)
    first = chain.now()
    chain.until(first + WINDOW)

    thaw(programme, 50)

    assert stake(programme, coordinator) == (350, 150, chain.now() + WINDOW + RESPONSE)
    chain.until(first + WINDOW + RESPONSE)
    refusal = chain.refusal(programme.vault.withdraw(programme.word), coordinator)
    assert refusal == "StakeVaultThawing"


@pytest.mark.parametrize(
    ("act", "amount", "error"),
    [
        ("bond", 0, "StakeVaultNothing"),
        ("thaw", 0, "StakeVaultNothing"),
        ("thaw", BOND + 1, "StakeVaultInsufficient"),
        ("thaw", BOND, None),
        ("thaw", 2**128 + 1, "StakeVaultInsufficient"),
    ],
)
def test_amounts_are_what_there_is(
    programme: Programme, act: str, amount: int, error: str | None
) -> None:
    """Nothing is no bond, and nobody thaws more than it has."""
    call = getattr(programme.vault, act)(programme.word, amount)

    assert programme.chain.refusal(call, programme.terms.coordinator) == error


def test_a_bond_beyond_the_word_it_is_kept_in_is_refused(chain: Chain) -> None:
    """Cut off, it would be credited as another."""
    token = chain.deploy(load("DemoToken"), 2**200)
    programme = open_programme(chain, token, escrow=0, bond=0)
    programme.approve_vault(chain.account(0), 2**200)

    refusal = chain.refusal(programme.vault.bond(programme.word, 2**128), chain.account(0))

    assert refusal == "SafeCastOverflowedUintDowncast"


def test_nobody_bonds_in_a_programme_that_is_none(programme: Programme) -> None:
    """Its token is unknown."""
    refusal = programme.chain.refusal(programme.vault.bond(UNKNOWN, 1), programme.chain.account(0))

    assert refusal == "StakeVaultUnknownProgramme"


@pytest.mark.parametrize("act", ["slash", "lock", "release"])
def test_only_the_settlement_slashes_locks_and_releases(programme: Programme, act: str) -> None:
    """Not the deployer, the coordinator, the funder or the guardian."""
    victim = programme.terms.coordinator
    last = programme.chain.account(9) if act == "slash" else 1
    call = getattr(programme.vault, act)(programme.word, victim, last)

    refusals = [programme.chain.refusal(call, programme.chain.account(who)) for who in (0, 1, 6, 9)]

    assert refusals == ["StakeVaultUnauthorized"] * 4


def test_the_settlement_made_its_vault_and_the_vault_knows_no_other(chain: Chain) -> None:
    """Nobody can wire one to a stranger."""
    assert chain.vault.functions.settlement().call() == chain.settlement.address
    assert chain.settlement.functions.vault().call() == chain.vault.address
    assert chain.vault.functions.BURNED().call() == BURNED


def test_a_halt_holds_back_nobody_elses_bond(programme: Programme) -> None:
    """A seat that lied about nothing takes its bond out of a programme that is over."""
    chain, seat = programme.chain, programme.chain.account(8)
    programme.bond(seat, 40)
    programme.convict(programme.commit({programme.payee(0): 1}).commit)
    chain.send(programme.vault.thaw(programme.word, 40), seat)
    chain.until(stake(programme, seat)[2])

    chain.send(programme.vault.withdraw(programme.word), seat)

    assert programme.balance(seat) == 40


def test_a_credit_goes_to_its_owner_once_whoever_asks(programme: Programme) -> None:
    """The burned half too: anyone can send it where nobody finds it."""
    chain, token = programme.chain, programme.token.address
    programme.convict(programme.commit({programme.payee(0): 1}).commit)
    owners = [chain.account(7), BURNED]
    for owner in owners:
        chain.send(programme.vault.collect(token, owner), chain.account(9))

    again = [chain.refusal(programme.vault.collect(token, owner), owner) for owner in owners[:1]]

    assert [programme.balance(owner) for owner in owners] == [BOND // 2, BOND - BOND // 2]
    assert programme.balance(programme.chain.vault.address) == 0
    assert again == ["StakeVaultNothing"]


def test_the_vault_holds_what_it_owes_to_the_last_unit(programme: Programme) -> None:
    """Stakes, what is locked, and credits: nothing else is in it, and nothing is missing."""
    chain, seat = programme.chain, programme.chain.account(8)
    programme.bond(seat, 61)
    commit = programme.commit({programme.payee(0): 1}).commit
    programme.bond(chain.account(9), 3)
    programme.approve_vault(chain.account(0), 10 * DEMAND_BOND)
    for index in range(3):
        demand = programme.call.demand(commit.fields(), (0, 0, 0, 0, index), ARITHMETIC)
        chain.send(demand, chain.account(0))
    answer = Opening((commit.digest(),)).encode()
    chain.send(programme.call.answer(commit.fields(), (0, 0, 0, 0, 0), answer), seat)

    programme.convict(commit)
    chain.send(programme.vault.collect(programme.token.address, chain.account(7)), seat)
    chain.until(chain.now() + WINDOW)
    chain.send(programme.call.expire(programme.word, 1, (0, 0, 0, 0, 1)), seat)

    owed = programme.vault.lockedIn(programme.word).call()
    for account in (*(chain.account(index) for index in range(10)), BURNED):
        owed += sum(stake(programme, account)[:2]) + programme.credit(account)
    assert owed == programme.balance(chain.vault.address)
    assert owed == 61 + 3 + 3 * DEMAND_BOND + BOND - BOND // 2


def test_an_odd_unit_of_a_bond_is_burned(chain: Chain) -> None:
    """Never more than half to whoever proves it."""
    programme = open_programme(chain, chain.deploy(load("DemoToken"), SUPPLY), bond=BOND + 1)

    programme.convict(programme.commit({programme.payee(0): 1}).commit)

    assert programme.credit(chain.account(7)) == BOND // 2
    assert programme.credit(BURNED) == BOND // 2 + 1
