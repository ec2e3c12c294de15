"""The settlement contract holds tokens it does not trust."""

import pytest
from eth_utils.crypto import keccak

from tests.contracts.settling import ESCROW, SUPPLY, Chain, Programme, hostile, open_programme


def funding(programme: Programme, amount: int):
    return programme.contract.functions.fund(programme.word, amount)


def unfunded(chain: Chain, name: str) -> Programme:
    programme = open_programme(chain, chain.deploy(hostile(name), SUPPLY), escrow=0)
    approve = programme.token.functions.approve(chain.settlement.address, SUPPLY)
    chain.send(approve, chain.account(0))
    return programme


def test_a_token_that_keeps_a_fee_cannot_be_funded(chain: Chain) -> None:
    """The contract would owe more than it received."""
    programme = unfunded(chain, "FeeToken")

    refusal = chain.refusal(funding(programme, 1_000), chain.account(0))

    assert refusal == "SettlementUnexpectedTransfer"
    assert programme.funded_committed_paid()[0] == 0


def test_a_transfer_that_answers_false_is_no_payment(chain: Chain) -> None:
    """A claim that did not pay must not count as paid."""
    programme = unfunded(chain, "FalseToken")
    chain.send(funding(programme, ESCROW), chain.account(0))
    (one,) = programme.commit({programme.payee(0): 10}).entitlements
    chain.send(programme.token.functions.breakNow(), chain.account(0))

    refusals = [
        chain.refusal(programme.claim_call(one), chain.account(9)),
        chain.refusal(funding(programme, 1), chain.account(0)),
    ]

    # SafeERC20FailedOperation(address), which is in the interface since the library throws it
    assert refusals == ["SafeERC20FailedOperation"] * 2
    assert programme.contract.functions.claimedBy(programme.word, chain.account(2)).call() == 0


@pytest.mark.parametrize("entry", ["claim", "fund", "reclaim"])
def test_a_token_that_calls_back_during_a_claim_changes_nothing(chain: Chain, entry: str) -> None:
    """The second entry is refused and the first pays once."""
    programme = unfunded(chain, "CallbackToken")
    chain.send(funding(programme, ESCROW), chain.account(0))
    one, _ = programme.commit({programme.payee(0): 10, programme.payee(1): 5}).entitlements
    claim = programme.claim_call(one)
    again = {
        "claim": claim,
        "fund": funding(programme, 0),
        "reclaim": programme.contract.functions.reclaim(programme.word),
    }[entry]
    chain.send(_arm(programme, again), chain.account(0))

    chain.send(claim, chain.account(9))

    functions = programme.token.functions
    assert (functions.called().call(), functions.succeeded().call()) == (True, False)
    assert functions.answer().call() == _selector("ReentrancyGuardReentrantCall()")
    assert programme.balance(one.payee) == 10
    assert programme.funded_committed_paid() == (ESCROW, 15, 10)


def test_a_claim_during_funding_cannot_hide_in_the_measurement(chain: Chain) -> None:
    """Tokens that leave while others arrive would be credited wrongly."""
    programme = unfunded(chain, "CallbackToken")
    chain.send(funding(programme, ESCROW), chain.account(0))
    one, _ = programme.commit({programme.payee(0): 10, programme.payee(1): 5}).entitlements
    chain.send(_arm(programme, programme.claim_call(one)), chain.account(0))

    chain.send(funding(programme, 10), chain.account(0))

    assert programme.token.functions.succeeded().call() is False
    assert programme.balance(one.payee) == 0
    assert programme.funded_committed_paid() == (ESCROW + 10, 15, 0)


def _arm(programme: Programme, call):
    data = call.build_transaction({"from": programme.chain.account(9), "gas": 1_000_000})["data"]
    return programme.token.functions.arm(programme.contract.address, data)


def _selector(signature: str) -> bytes:
    return keccak(text=signature)[:4]
