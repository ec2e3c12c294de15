"""What is hashed is the same in Python and on the chain."""

from dataclasses import fields, replace

from eth_abi.abi import encode
from eth_utils.crypto import keccak
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from privacy.settlement import commitment
from privacy.settlement.payouts import Domain, leaf
from tests.contracts.settling import (
    TERMS,
    Chain,
    Commit,
    Programme,
    Terms,
    payout_leaf,
)

WORDS = st.binary(min_size=32, max_size=32)
ADDRESSES = st.binary(min_size=20, max_size=20).map(lambda body: "0x" + body.hex())
AMOUNTS = st.integers(0, 2**128 - 1)
COUNTS = st.integers(0, 2**32 - 1)
ROUNDS = st.integers(1, 2**53 - 1)


def domain_of(chain: Chain, programme: bytes) -> Domain:
    address = chain.settlement.address.lower()
    return Domain(chain.web3.eth.chain_id, address, programme.hex())


@settings(max_examples=20, deadline=None)
@given(
    programme=WORDS, payee=ADDRESSES, cumulative=st.integers(0, 2**256 - 1), salt=WORDS, entry=WORDS
)
def test_a_leaf_is_the_contracts_leaf(
    shared_chain: Chain, programme: bytes, payee: str, cumulative: int, salt: bytes, entry: bytes
) -> None:
    """Two implementations of one hash: the participant checks with one, is paid by the other."""
    domain = domain_of(shared_chain, programme)
    to = shared_chain.web3.to_checksum_address(payee)
    asked = (programme, to, cumulative, salt, entry)

    theirs = shared_chain.settlement.functions.leafOf(*asked).call()

    assert leaf(domain, payee, cumulative, salt, entry) == theirs
    address = shared_chain.settlement.address
    assert payout_leaf(domain.chain_id, address, programme, to, cumulative, salt, entry) == theirs


@settings(max_examples=20, deadline=None)
@given(
    commit=st.builds(
        Commit,
        programme=WORDS,
        round=ROUNDS,
        parent=WORDS,
        slots=COUNTS,
        plan=WORDS,
        cohort=WORDS,
        sum_trees=WORDS,
        sum=WORDS,
        model=WORDS,
        payouts=WORDS,
        total=AMOUNTS,
        budget=AMOUNTS,
        scores=AMOUNTS,
    )
)
def test_a_commit_has_the_contracts_hash(shared_chain: Chain, commit: Commit) -> None:
    """It is the next one's parent, and what a dispute must show."""
    hashed = shared_chain.settlement.functions.commitmentOf(commit.fields()).call()

    values = (getattr(commit, each.name) for each in fields(commit))
    texts = [value.hex() if isinstance(value, bytes) else value for value in values]
    ours = commitment.Commit(*texts[:-3], *map(str, texts[-3:]))
    assert ours.digest() == commit.digest() == hashed


@settings(max_examples=15, deadline=None)
@given(programme=WORDS, round_number=ROUNDS, accused=ADDRESSES, evidence=WORDS)
def test_judges_sign_what_the_contract_checks(
    shared_chain: Chain, programme: bytes, round_number: int, accused: str, evidence: bytes
) -> None:
    """EIP-712, on this chain, for this contract; receipts rest on the same domain."""
    functions = shared_chain.settlement.functions
    domain = domain_of(shared_chain, programme)
    checksummed = shared_chain.web3.to_checksum_address(accused)

    theirs = functions.verdictOf(programme, round_number, checksummed, evidence).call()

    assert commitment.verdict_digest(domain, round_number, accused, evidence) == theirs
    assert commitment.domain_separator(domain) == functions.domainSeparator().call()


@settings(max_examples=15, deadline=None)
@given(
    address=ADDRESSES,
    judges=st.lists(ADDRESSES, max_size=4),
    number=st.integers(0, 2**64 - 1),
    amount=AMOUNTS,
    count=COUNTS,
    word=WORDS,
)
def test_a_programme_has_the_contracts_identifier(
    shared_chain: Chain,
    address: str,
    judges: list[str],
    number: int,
    amount: int,
    count: int,
    word: bytes,
) -> None:
    """The coordinator names a programme before it is open."""
    checksum = shared_chain.web3.to_checksum_address
    four = [checksum(address)] * 4
    named = tuple(checksum(each) for each in judges)
    terms = Terms(*four, named, len(judges), number, number, number, amount, amount)
    terms = replace(
        terms, arithmetic=word, leaves_per_chunk=count, last_chunk_leaves=count, label=word
    )

    theirs = shared_chain.settlement.functions.programmeOf(terms.fields()).call()

    assert keccak(encode([TERMS], [terms.fields()])) == theirs


@settings(max_examples=15, deadline=None)
@given(programme=WORDS, round_number=ROUNDS, challenger=ADDRESSES, proof=st.binary(max_size=80))
def test_a_seal_is_the_hash_of_whom_it_names_and_what_it_hides(
    shared_chain: Chain, programme: bytes, round_number: int, challenger: str, proof: bytes
) -> None:
    """A challenger makes it before anyone may see the proof, without asking a node for it."""
    to = shared_chain.web3.to_checksum_address(challenger)
    asked = (programme, round_number, to, keccak(proof))

    theirs = shared_chain.settlement.functions.sealOf(*asked).call()

    assert keccak(encode(["bytes32", "uint64", "address", "bytes32"], asked)) == theirs


@settings(
    max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(count=st.integers(1, 40), data=st.data())
def test_the_contract_takes_every_proof_of_a_tree_of_any_size(
    programme: Programme, count: int, data: st.DataObject
) -> None:
    """Also where the number of leaves is no power of two."""
    chain = programme.chain
    checksum = chain.web3.to_checksum_address
    payees = [checksum(f"0x{index + 1:040x}") for index in range(count)]
    snapshot = chain.tester.take_snapshot()
    made = programme.settle(dict.fromkeys(payees, 3))
    one = data.draw(st.sampled_from(made.payouts))

    refusal = chain.refusal(programme.claim_call(one), chain.account(9))
    chain.tester.revert_to_snapshot(snapshot)

    assert refusal is None
