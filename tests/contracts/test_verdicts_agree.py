"""The contract judges proofs as the Python twin does, and as was written down."""

import json
from dataclasses import replace
from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from web3 import Web3

from privacy.settlement.sum_proof import Kind, Node, Opening, Tree
from privacy.settlement.sum_tree import Wrong, find, open_node, prove_sum
from privacy.settlement.sum_verdict import exists, opens, verdict
from tests.contracts.proof_cases import Cases
from tests.contracts.settlement_vectors import FIVE, FOLDER, SEVEN
from tests.contracts.verifying import Verifier
from tests.privacy.example_sums import LEAF_BYTES, PRIME, TWO_64, Example
from tests.privacy.settlement.test_sum_verdict import NODES, OTHERS, opening_of
from veilsum.chain.compiled import load

CASES_OF_ONE_SEED = 120


@pytest.fixture(scope="module")
def verifier() -> Verifier:
    return Verifier()


@pytest.mark.parametrize("kind", Kind, ids=lambda kind: kind.name)
def test_the_vectors_are_judged_as_was_written_down(verifier: Verifier, kind: Kind) -> None:
    """A commit that is malformed is guilty; no call of these reverts."""
    cases = json.loads((FOLDER / f"{kind.name.lower()}.json").read_text())["cases"]

    judged = {case["name"]: verifier.run(bytes.fromhex(case["call"][2:])) for case in cases}

    assert judged == {case["name"]: case["guilty"] for case in cases}


@pytest.mark.parametrize("seed", range(10))
def test_contract_and_twin_agree_on_random_commits_and_proofs(
    verifier: Verifier, seed: int
) -> None:
    """Honest and lying coordinators, whole and damaged proofs: 1e5 of them under `deep`."""
    cases = list(Cases(seed).take(CASES_OF_ONE_SEED))

    theirs = [verifier.verdict(context, proof) for context, proof in cases]

    assert theirs == [verdict(context, proof) for context, proof in cases]
    assert {True, False} == set(theirs)


@settings(deadline=None, max_examples=25)
@given(slots=st.integers(2, 9), modulus=st.sampled_from([PRIME, TWO_64]), data=st.data())
def test_every_coefficient_of_every_sum_can_be_slashed_for(
    verifier: Verifier, slots: int, modulus: int, data: st.DataObject
) -> None:
    """Found, proved and judged on the chain; untouched, the same proof is not guilty."""
    honest = Example(slots, chunks=2, leaves=2, last_leaves=1, modulus=modulus)
    where = (*data.draw(st.sampled_from(list(honest.places()))), 1, 0)
    word = 13 + 8 * data.draw(st.integers(0, LEAF_BYTES // 8 - 1))
    body = bytearray(honest.body_of(*where))
    body[word] ^= 1
    liar = honest.with_lies(words={where: bytes(body)})

    wrong = find(bytes.fromhex(liar.commit.sum_trees), liar, honest)

    assert wrong is not None
    place, rows = honest.place(*where[:2]), honest.words_at(*where[:2])
    proof = prove_sum(wrong, place, rows, honest.arithmetic)
    assert verifier.verdict(liar.context, proof) is True
    untouched = Wrong(honest.served(*where[:2]), *where[2:])
    same = prove_sum(untouched, place, rows, honest.arithmetic)
    assert verifier.verdict(honest.context, same) is False


@settings(deadline=None, max_examples=40)
@given(data=st.data())
def test_bytes_that_are_no_proof_never_convict(verifier: Verifier, data: st.DataObject) -> None:
    """Wherever they point: offsets and lengths are checked before anything is read."""
    kind = data.draw(st.sampled_from(list(Kind)))
    cases = json.loads((FOLDER / f"{kind.name.lower()}.json").read_text())["cases"]
    honest = [case for case in cases if not case["guilty"] and "honest" in case["name"]] or cases
    call = bytearray.fromhex(data.draw(st.sampled_from(honest))["call"][2:])
    first = 4 + 23 * 32
    for _ in range(data.draw(st.integers(1, 4))):
        # Heads and lengths are near the beginning, and at word boundaries.
        at = first + data.draw(st.integers(0, min(len(call) - first, 800) - 1))
        call[at] = data.draw(st.integers(0, 255))

    if honest is not cases:
        assert verifier.run(bytes(call)) in (None, False)


def test_a_call_is_encoded_as_web3_encodes_it(verifier: Verifier) -> None:
    """Whoever challenges uses a library, and the tests do not."""
    contract = Web3().eth.contract(abi=load("SumVerifier").abi)
    context, proof = FIVE.context, FIVE.omitted([1, 2], 5)
    made = verifier.verdict_call(context, proof.kind, proof.encode())

    commit = {
        "programme": bytes.fromhex(context.commit.programme),
        "round": context.commit.round,
        "parent": bytes.fromhex(context.commit.parent),
        "slots": context.commit.slots,
        "plan": bytes.fromhex(context.commit.plan),
        "cohort": bytes.fromhex(context.commit.cohort),
        "sumTrees": bytes.fromhex(context.commit.sum_trees),
        "sum": bytes.fromhex(context.commit.sum),
        "model": bytes.fromhex(context.commit.model),
        "payouts": bytes.fromhex(context.commit.payouts),
        "total": int(context.commit.total),
        "budget": int(context.commit.budget),
        "scores": int(context.commit.scores),
    }
    named = {
        "chainId": context.domain.chain_id,
        "settlement": Web3.to_checksum_address(context.domain.contract),
        "domain": made[4 + 64 : 4 + 96],
        "coordinator": Web3.to_checksum_address(context.coordinator),
        "arithmetic": context.arithmetic,
        "leavesPerChunk": context.leaves_per_chunk,
        "lastChunkLeaves": context.last_chunk_leaves,
        "payoutsBefore": context.payouts_before,
        "commit": commit,
    }
    theirs = contract.encode_abi("verdict", [named, int(proof.kind), proof.encode()])

    assert made.hex() == theirs.removeprefix("0x")


@pytest.mark.parametrize(("node", "there"), NODES)
def test_the_contract_has_the_nodes_that_the_twin_has(
    verifier: Verifier, node: Node, there: bool
) -> None:
    """What cannot be shown cannot be demanded."""
    for example in (FIVE, replace(FIVE, scheme="shares/1")):
        mine = exists(example.context, node, example.arithmetic)
        assert verifier.exists(example.context, node, example.arithmetic) is mine
    assert verifier.exists(FIVE.context, node, FIVE.arithmetic) is there
    assert verifier.exists(FIVE.context, node, SEVEN.arithmetic) is (
        node.tree is Tree.COHORT and there
    )


def openings(node: Node) -> list[Opening]:
    if node.tree is Tree.SUM_TREES:
        right = open_node(FIVE.served(node.chunk, node.leaf), node, FIVE.arithmetic)
    else:
        right = opening_of(FIVE, node)
    steps = right.steps
    changed = [(), steps[1:], steps[:-1], (*steps, steps[0]), (bytes(32), *steps[1:])]
    return [right, *(replace(right, steps=each) for each in changed), replace(right, slot_id=99)]


SUMS = [node for node, there in NODES if there and node.tree is Tree.SUM_TREES]


@pytest.mark.parametrize("node", SUMS + OTHERS)
def test_the_contract_takes_the_openings_that_the_twin_takes(
    verifier: Verifier, node: Node
) -> None:
    """An answer that only one of them takes would be slashed, or would stall a dispute."""
    tried = openings(node)

    theirs = [verifier.opens(FIVE.context, node, opening) for opening in tried]

    assert theirs == [opens(FIVE.context, node, opening) for opening in tried]
    # Neither the sum nor its trees have slot ids: those are not looked at.
    free = node.tree in (Tree.SUM_TREES, Tree.PUBLISHED_SUM)
    assert theirs == [True, *[False] * 5, free]


def test_the_vectors_show_a_moduluss_last_residue_and_its_first() -> None:
    """q - 1 and 0 stand in the first words of every contribution."""
    words = FIVE.words_at(0, 0)[:, :3]

    assert words.tolist() == [[0, PRIME - 1, PRIME - 1]] * 5
    assert sha256(FIVE.arithmetic).digest() == FIVE.context.arithmetic
