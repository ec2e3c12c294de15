"""The contracts hold tokens that they do not trust."""

import pytest
from eth_utils.crypto import keccak

from tests.contracts.settling import (
    ARITHMETIC,
    BOND,
    BURNED,
    DEMAND_BOND,
    ESCROW,
    SUPPLY,
    Chain,
    Programme,
    hostile,
    open_programme,
)


def funding(programme: Programme, amount: int):
    return programme.contract.functions.fund(programme.word, amount)


def bonding(programme: Programme, amount: int):
    return programme.vault.bond(programme.word, amount)


def with_token(chain: Chain, name: str, *, escrow: int = 0, bond: int = 0) -> Programme:
    """A programme in the token `name`, with allowances for account 0 beyond what it has."""
    token = chain.deploy(hostile(name), SUPPLY)
    programme = open_programme(chain, token, escrow=escrow, bond=bond)
    for spender in (chain.settlement, chain.vault):
        chain.send(token.functions.approve(spender.address, SUPPLY), chain.account(0))
    return programme


def test_a_token_that_keeps_a_fee_can_be_neither_funded_nor_bonded(chain: Chain) -> None:
    """The contracts would owe more than they received."""
    programme = with_token(chain, "FeeToken")

    refusals = [
        chain.refusal(funding(programme, 1_000), chain.account(0)),
        chain.refusal(bonding(programme, 1_000), chain.account(0)),
    ]

    assert refusals == ["SettlementUnexpectedTransfer", "StakeVaultUnexpectedTransfer"]
    assert programme.funded_committed_paid()[0] == 0


def test_a_transfer_that_answers_false_is_no_payment(chain: Chain) -> None:
    """A claim that did not pay must not count as paid, nor a withdrawal as withdrawn."""
    programme = with_token(chain, "FalseToken", escrow=ESCROW, bond=BOND)
    (one,) = programme.settle({programme.payee(0): 10}).payouts
    coordinator = programme.terms.coordinator
    chain.send(programme.vault.thaw(programme.word, BOND), coordinator)
    chain.send(programme.token.functions.breakNow(), chain.account(0))
    chain.until(programme.vault.stakeOf(programme.word, coordinator).call()[2])

    refusals = [
        chain.refusal(programme.claim_call(one), chain.account(9)),
        chain.refusal(funding(programme, 1), chain.account(0)),
        chain.refusal(bonding(programme, 1), chain.account(0)),
        chain.refusal(programme.vault.withdraw(programme.word), coordinator),
    ]

    # SafeERC20FailedOperation(address), which is in the interface since the library throws it
    assert refusals == ["SafeERC20FailedOperation"] * 4
    assert programme.contract.functions.claimedBy(programme.word, chain.account(2)).call() == 0


def test_a_token_that_stops_moving_stops_no_verdict(chain: Chain) -> None:
    """Slashing writes credits: a coordinator whose token breaks is still out of its bond."""
    programme = with_token(chain, "FalseToken", escrow=ESCROW, bond=BOND)
    made = programme.commit({programme.payee(0): 10})
    chain.send(programme.token.functions.breakNow(), chain.account(0))

    programme.convict(made.commit)

    assert programme.bonded(programme.terms.coordinator) == 0
    assert programme.credit(chain.account(7)) == BOND // 2
    collect = programme.vault.collect(programme.token.address, BURNED)
    assert chain.refusal(collect, chain.account(9)) == "SafeERC20FailedOperation"
    assert programme.credit(BURNED) == BOND - BOND // 2


@pytest.mark.parametrize("entry", ["claim", "fund", "reclaim"])
def test_a_token_that_calls_back_during_a_claim_changes_nothing(chain: Chain, entry: str) -> None:
    """The second entry is refused and the first pays once."""
    programme = with_token(chain, "CallbackToken", escrow=ESCROW, bond=BOND)
    one, _ = programme.settle({programme.payee(0): 10, programme.payee(1): 5}).payouts
    claim = programme.claim_call(one)
    again = {
        "claim": claim,
        "fund": funding(programme, 0),
        "reclaim": programme.contract.functions.reclaim(programme.word),
    }[entry]
    _arm(programme, again)

    chain.send(claim, chain.account(9))

    _assert_called_back_in_vain(programme)
    assert programme.balance(one.payee) == 10
    assert programme.funded_committed_paid() == (ESCROW, 15, 10)


def test_a_claim_during_funding_cannot_hide_in_the_measurement(chain: Chain) -> None:
    """Tokens that leave while others arrive would be credited wrongly."""
    programme = with_token(chain, "CallbackToken", escrow=ESCROW, bond=BOND)
    one, _ = programme.settle({programme.payee(0): 10, programme.payee(1): 5}).payouts
    _arm(programme, programme.claim_call(one))

    chain.send(funding(programme, 10), chain.account(0))

    assert programme.token.functions.succeeded().call() is False
    assert programme.balance(one.payee) == 0
    assert programme.funded_committed_paid() == (ESCROW + 10, 15, 0)


@pytest.mark.parametrize("entry", ["bond", "withdraw", "collect"])
def test_the_vault_is_not_entered_during_a_bond(chain: Chain, entry: str) -> None:
    """What leaves while a bond arrives would make the bond smaller, or pass for it."""
    programme = with_token(chain, "CallbackToken", bond=BOND)
    again = {
        "bond": bonding(programme, 1),
        "withdraw": programme.vault.withdraw(programme.word),
        "collect": programme.vault.collect(programme.token.address, BURNED),
    }[entry]
    _arm(programme, again)

    chain.send(bonding(programme, 10), chain.account(0))

    _assert_called_back_in_vain(programme)
    assert programme.bonded(chain.account(0)) == 10
    assert programme.balance(chain.vault.address) == BOND + 10


def test_a_withdrawal_that_calls_back_withdraws_once(chain: Chain) -> None:
    """The stake is gone before the token is asked."""
    programme = with_token(chain, "CallbackToken", bond=BOND)
    coordinator = programme.terms.coordinator
    chain.send(programme.vault.thaw(programme.word, 100), coordinator)
    chain.until(programme.vault.stakeOf(programme.word, coordinator).call()[2])
    withdraw = programme.vault.withdraw(programme.word)
    before = programme.balance(coordinator)
    _arm(programme, withdraw)

    chain.send(withdraw, coordinator)

    _assert_called_back_in_vain(programme)
    assert programme.balance(coordinator) == before + 100
    assert programme.bonded(coordinator) == BOND - 100


@pytest.mark.parametrize("entry", ["demand", "claim"])
def test_a_demand_that_calls_back_locks_once(chain: Chain, entry: str) -> None:
    """The demand is written before the token is asked for its bond."""
    programme = with_token(chain, "CallbackToken", escrow=ESCROW, bond=BOND)
    made = programme.commit({programme.payee(0): 10})
    demand = programme.call.demand(made.commit.fields(), (0, 0, 0, 0, 0), ARITHMETIC)
    again = {"demand": demand, "claim": programme.claim_call(made.payouts[0])}[entry]
    _arm(programme, again)

    chain.send(demand, chain.account(0))

    _assert_called_back_in_vain(programme)
    assert programme.vault.lockedIn(programme.word).call() == DEMAND_BOND


def test_a_bond_counts_only_once_it_has_arrived(chain: Chain) -> None:
    """A commit from within the transfer finds no bond yet."""
    programme = with_token(chain, "CallbackToken", escrow=ESCROW)
    commit = programme.commit_call(programme.make({programme.payee(0): 10}).commit)
    chain.send(
        programme.token.functions.transfer(programme.terms.coordinator, BOND), chain.account(0)
    )
    programme.approve_vault(programme.terms.coordinator, BOND)
    _arm(programme, commit)

    chain.send(bonding(programme, BOND), programme.terms.coordinator)

    assert programme.token.functions.called().call()
    assert not programme.token.functions.succeeded().call()
    assert programme.head()[0] == 0


def _arm(programme: Programme, call) -> None:
    asked = {"from": programme.chain.account(9), "gas": 1_000_000}
    data = call.build_transaction(asked)["data"]
    armed = programme.token.functions.arm(call.address, data)
    programme.chain.send(armed, programme.chain.account(0))


def _assert_called_back_in_vain(programme: Programme) -> None:
    functions = programme.token.functions
    assert (functions.called().call(), functions.succeeded().call()) == (True, False)
    assert functions.answer().call() == _selector("ReentrancyGuardReentrantCall()")


def _selector(signature: str) -> bytes:
    return keccak(text=signature)[:4]
