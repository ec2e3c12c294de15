"""The leaf and the tree are the same in Python and on the chain."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coordinator.settling.settle import Terms, programme_of
from privacy.payouts import Domain, leaf
from tests.contracts.settling import Chain, Programme

WORDS = st.binary(min_size=32, max_size=32)
ADDRESSES = st.binary(min_size=20, max_size=20).map(lambda body: "0x" + body.hex())


@settings(max_examples=25, deadline=None)
@given(programme=WORDS, payee=ADDRESSES, cumulative=st.integers(0, 2**256 - 1), salt=WORDS)
def test_a_leaf_is_the_contracts_leaf(
    shared_chain: Chain, programme: bytes, payee: str, cumulative: int, salt: bytes
) -> None:
    """Two implementations of one hash: the participant checks with one, is paid by the other."""
    contract = shared_chain.settlement
    domain = Domain(shared_chain.web3.eth.chain_id, contract.address.lower(), programme.hex())
    to = shared_chain.web3.to_checksum_address(payee)

    theirs = contract.functions.leafOf(programme, to, cumulative, salt).call()

    assert leaf(domain, payee, cumulative, salt) == theirs


@settings(max_examples=15, deadline=None)
@given(token=ADDRESSES, who=ADDRESSES, end=st.integers(0, 2**64 - 1), label=WORDS)
def test_a_programme_has_the_contracts_identifier(
    shared_chain: Chain, token: str, who: str, end: int, label: bytes
) -> None:
    """The coordinator names a programme before it is open."""
    checksum = shared_chain.web3.to_checksum_address
    fields = (checksum(token), checksum(who), checksum(token), end, label)

    theirs = shared_chain.settlement.functions.programmeOf(fields).call()

    assert programme_of(Terms(token, who, token, end, label)) == theirs.hex()


@settings(
    max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(count=st.integers(1, 40), data=st.data())
def test_the_contract_takes_every_proof_of_a_tree_of_any_size(
    programme: Programme, count: int, data: st.DataObject
) -> None:
    """Also where the number of leaves is no power of two."""
    chain = programme.chain
    payees = [f"0x{index + 1:040x}" for index in range(count)]
    made = programme.state_of(dict.fromkeys(payees, 3))
    snapshot = chain.tester.take_snapshot()
    chain.send(programme.commit_call(made), programme.terms.coordinator)
    one = data.draw(st.sampled_from(made.entitlements))

    refusal = chain.refusal(programme.claim_call(one), chain.account(9))
    chain.tester.revert_to_snapshot(snapshot)

    assert refusal is None
