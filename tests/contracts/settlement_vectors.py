"""Commits, proofs against them and whether they are guilty, for every implementation to agree on.

`python -m tests.contracts.settlement_vectors` writes tests/vectors/settlement: one file for each
kind. A case's `call` is what the contract is called with, `verdict(context, kind, proof)`. Whether
it is guilty was written down by hand, here, beside what the coordinator has done.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from privacy.arithmetic import ModulusRange
from privacy.settlement.sum_proof import BadPayout, Fault, Kind, Layer, Omitted, Proof, Tree
from privacy.settlement.sum_tree import Wrong, prove_leaf, prove_sum, prove_top
from privacy.settlement.sum_verdict import Context
from tests.contracts.verifying import Verifier
from tests.privacy.example_sums import (
    OTHER_KEY,
    PAYEE,
    PRIME,
    TWO_64,
    Example,
    Paid,
    entry,
    preimage,
)

FOLDER = Path(__file__).parents[1] / "vectors" / "settlement"
ONE = Example(slots=1, chunks=1, leaves=1, last_leaves=1)
TWO = Example(slots=2, chunks=1, leaves=2, last_leaves=2)
FIVE = Example(slots=5, chunks=3, leaves=4, last_leaves=3)
SEVEN = Example(slots=7, chunks=2, leaves=3, last_leaves=1, modulus=TWO_64)

RANGES = (
    ModulusRange(0, 2, 0, PRIME),
    ModulusRange(0, 2, 1, 97),
    ModulusRange(2, 3, 0, TWO_64),
)
MIXED = replace(FIVE, ranges=RANGES)
"""Two moduli in the first chunks, of which these words have the first; another in the last."""


@dataclass(frozen=True)
class Case:
    name: str
    guilty: bool
    context: Context
    proof: Proof


def changed(body: bytes, word: int, value: int) -> bytes:
    at = 13 + 8 * word
    return body[:at] + value.to_bytes(8, "little") + body[at + 8 :]


def word_of(body: bytes, word: int) -> int:
    return int.from_bytes(body[13 + 8 * word : 21 + 8 * word], "little")


def off_by_one(example: Example, where: tuple[int, int, int, int], word: int) -> Example:
    body = example.body_of(*where)
    wrong = (word_of(body, word) + 1) % example.modulus_at(where[0])
    return example.with_lies(words={where: changed(body, word, wrong)})


def sum_case(example: Example, where: tuple[int, int, int, int]) -> tuple[Context, Proof]:
    chunk, leaf, level, index = where
    wrong = Wrong(example.served(chunk, leaf), level, index)
    rows = example.words_at(chunk, leaf)
    proof = prove_sum(wrong, example.place(chunk, leaf), rows, example.arithmetic)
    return example.context, proof


def sums() -> Iterator[Case]:
    """Extremes stand in the first words of every leaf: 0 + 0, and (q-1) + (q-1)."""
    places = {
        "two slots": (TWO, (0, 1, 1, 0)),
        "five slots, children that are leaves": (FIVE, (1, 2, 1, 1)),
        "five slots, children that are sums": (FIVE, (0, 3, 2, 0)),
        "five slots, one of whom was carried up": (FIVE, (1, 0, 3, 0)),
        "last leaf of the last chunk": (FIVE, (2, 2, 2, 0)),
        "2^64, seven slots": (SEVEN, (1, 0, 3, 0)),
        "2^64, one child a leaf that was carried up": (SEVEN, (0, 2, 2, 1)),
        "several moduli, a chunk of the first": (MIXED, (1, 0, 2, 0)),
        "several moduli, the chunk modulo 2^64": (MIXED, (2, 0, 2, 0)),
    }
    for name, (example, where) in places.items():
        yield Case(f"{name}: honest", False, *sum_case(example, where))
        for word in (0, 1, 255) if example in (TWO, MIXED) else (1,):
            said = f"{name}: word {word} is one too many"
            yield Case(said, True, *sum_case(off_by_one(example, where, word), where))
    where = (1, 2, 1, 1)
    body = FIVE.body_of(*where)
    short = FIVE.with_lies(words={where: body[:-8]})
    yield Case("the sum's words are too few", True, *sum_case(short, where))
    unreduced = FIVE.with_lies(words={where: changed(body, 0, PRIME)})
    yield Case("the sum is congruent and not canonical", True, *sum_case(unreduced, where))
    relabelled = FIVE.with_lies(words={where: preimage(1, 3, body[13:])})
    yield Case("the sum says another leaf", True, *sum_case(relabelled, where))
    yield from _odd_sums(where)


def _odd_sums(where: tuple[int, int, int, int]) -> Iterator[Case]:
    child = (1, 2, 0, 2)
    beyond = changed(FIVE.body_of(*child), 5, PRIME)
    bad = FIVE.with_lies(words={child: beyond})
    context, proof = sum_case(bad, where)
    proof = replace(proof, left=beyond[13:])
    yield Case("a child is not canonical", True, context, proof)
    index = preimage(1, 2, FIVE.body_of(*child)[13:], index=1)
    bad = FIVE.with_lies(words={child: index})
    context, proof = sum_case(bad, where)
    yield Case(
        "a child says a modulus that there is not", True, context, replace(proof, left_modulus=1)
    )
    other = replace(bad, ranges=RANGES)
    context, proof = sum_case(other, where)
    yield Case("children of two moduli", True, context, replace(proof, left_modulus=1))
    sibling = (1, 2, 0, 3)
    index = preimage(1, 2, FIVE.body_of(*sibling)[13:], index=1)
    other = replace(FIVE.with_lies(words={sibling: index}), ranges=RANGES)
    right, its = sum_case(other, where)
    yield Case("children of two moduli, the right", True, right, replace(its, right_modulus=1))
    yield Case("the proof misquotes the child's modulus", False, context, proof)
    lie = off_by_one(FIVE, where, 0)
    context, proof = sum_case(lie, where)
    yield from _unled(context, proof)
    shares = replace(lie, scheme="shares/1")
    yield Case("words of shares are not judged", False, *sum_case(shares, where))
    yield Case("under another commit", False, FIVE.context, proof)
    yield Case("a word of the left child is changed", False, context, _flipped(proof, "left"))
    yield Case("too few words", False, context, replace(proof, left=proof.left[:-8]))
    yield Case("level 0", False, context, replace(proof, level=0))
    yield Case("a level that there is not", False, context, replace(proof, level=33))
    yield Case("another index", False, context, replace(proof, index=0))
    yield Case("another leaf", False, context, replace(proof, leaf=1))
    yield Case("a chunk that there is not", False, context, replace(proof, chunk=3))
    other = replace(proof, arithmetic=replace(FIVE, modulus=97).arithmetic)
    yield Case("another arithmetic", False, context, other)


def _unled(context: Context, proof: Proof) -> Iterator[Case]:
    yield Case("a step too few", False, context, replace(proof, steps=proof.steps[:-1]))
    more = (*proof.steps, bytes(32))
    yield Case("a step too many", False, context, replace(proof, steps=more))
    yield Case("no steps", False, context, replace(proof, steps=()))
    turned = proof.steps[::-1]
    yield Case("steps in another order", False, context, replace(proof, steps=turned))


def _flipped(proof: Proof, name: str) -> Proof:
    body = getattr(proof, name)
    return replace(proof, **{name: bytes([body[0] ^ 1]) + body[1:]})


def leaf_case(example: Example, chunk: int, leaf: int, slot: int) -> tuple[Context, Proof]:
    own, path = example.own_leaf(slot, chunk, leaf), example.cohort_tree.path(slot)
    wrong = Wrong(example.served(chunk, leaf), 0, slot)
    slot_id = example.cohort[slot].slot_id
    return example.context, prove_leaf(wrong, slot_id, own, path, example.arithmetic)


def leaves() -> Iterator[Case]:
    for name, example, (chunk, leaf), slot in (
        ("one slot", ONE, (0, 0), 0),
        ("the last of five", FIVE, (2, 2), 4),
        ("the third of seven", SEVEN, (0, 1), 2),
    ):
        yield Case(f"{name}: honest", False, *leaf_case(example, chunk, leaf, slot))
        lie = off_by_one(example, (chunk, leaf, 0, slot), 9)
        yield Case(f"{name}: altered", True, *leaf_case(lie, chunk, leaf, slot))
        zero = example.with_lies(words={(chunk, leaf, 0, slot): preimage(chunk, leaf, bytes(2048))})
        yield Case(f"{name}: dropped", True, *leaf_case(zero, chunk, leaf, slot))
    doubled = FIVE.with_lies(words={(0, 0, 0, 1): FIVE.body_of(0, 0, 0, 0)})
    context, proof = leaf_case(doubled, 0, 0, 1)
    yield Case("another's stands twice", True, context, proof)
    yield from _unled(context, proof)
    yield Case("a slot that there is not", False, context, replace(proof, slot=5))
    yield Case("another slot", False, context, replace(proof, slot=2))
    yield Case("another slot id", False, context, replace(proof, slot_id=5))
    shares = replace(doubled, scheme="shares/1")
    yield Case("under shares", False, *leaf_case(shares, 0, 0, 1))


def top_case(example: Example, chunk: int, leaf: int) -> tuple[Context, Proof]:
    located = example.published.located(chunk, leaf)
    return example.context, prove_top(example.served(chunk, leaf), located, example.arithmetic)


def tops() -> Iterator[Case]:
    for name, example, place in (
        ("one slot", ONE, (0, 0)),
        ("five slots", FIVE, (1, 3)),
        ("the last chunk", SEVEN, (1, 0)),
    ):
        yield Case(f"{name}: honest", False, *top_case(example, *place))
        body = changed(example.top_body(*place), 0, 7)
        lie = example.with_lies(published={place: body})
        yield Case(f"{name}: altered", True, *top_case(lie, *place))
    context, proof = top_case(FIVE.with_lies(published={(0, 0): b"no words"}), 0, 0)
    yield Case("the published leaf is no words at all", True, context, proof)
    yield from _unled(context, proof)


def forms() -> Iterator[Case]:
    yield from _forms_of_words()
    yield from _forms_of_nodes()
    yield from _forms_of_slots()


def _forms_of_words() -> Iterator[Case]:
    for where in ((1, 2, 0, 3), (1, 2, 2, 0)):
        name, body = f"level {where[2]}", FIVE.body_of(*where)
        wrong = {
            "too short": body[:-1],
            "too long": body + b"\0",
            "empty": b"\0",
            "the mark of a node": b"\x01" + body[1:],
            "another chunk": preimage(0, 2, body[13:]),
            "another leaf": preimage(1, 1, body[13:]),
            "another modulus": preimage(1, 2, body[13:], index=1),
            "the modulus itself": changed(body, 255, PRIME),
            "all ones": changed(body, 100, TWO_64 - 1),
            "the top bit": changed(body, 0, 1 << 63),
        }
        yield Case(f"{name}: honest", False, FIVE.context, FIVE.malformed_words(*where))
        for said, lie in wrong.items():
            example = FIVE.with_lies(words={where: lie})
            proof = example.malformed_words(*where)
            yield Case(f"{name}: {said}", True, example.context, proof)
    example = FIVE.with_lies(words={(1, 2, 2, 0): changed(FIVE.body_of(1, 2, 2, 0), 0, 7)})
    proof = example.malformed_words(1, 2, 2, 0)
    yield Case("a false sum of good form", False, example.context, proof)
    full = SEVEN.with_lies(words={(0, 0, 0, 0): changed(SEVEN.body_of(0, 0, 0, 0), 0, TWO_64 - 1)})
    proof = full.malformed_words(0, 0, 0, 0)
    yield Case("2^64: no word is beyond", False, full.context, proof)
    for tree in (Tree.PUBLISHED_SUM, Tree.CONTRIBUTION):
        place = {"published": {(2, 1): b"short"}, "contributed": {(3, 2, 1): b"short"}}
        example = FIVE.with_lies(**place)
        slot = 3 if tree is Tree.CONTRIBUTION else 0
        yield Case(
            f"{tree.name}: short", True, example.context, example.malformed_leaf(tree, 2, 1, slot)
        )
        yield Case(
            f"{tree.name}: honest", False, FIVE.context, FIVE.malformed_leaf(tree, 2, 1, slot)
        )
    shares = replace(FIVE.with_lies(words={(0, 0, 0, 0): b"short"}), scheme="shares/1")
    proof = shares.malformed_words(0, 0, 0, 0)
    yield Case("words of shares are not judged", False, shares.context, proof)


def _forms_of_nodes() -> Iterator[Case]:
    where = (0, 1, 2, 0)
    yield Case("a sum's node: honest", False, FIVE.context, FIVE.malformed_node(*where))
    for said, lie in (("short", b"\x02" * 96), ("the mark of a join", b"\x01" * 97)):
        example = FIVE.with_lies(nodes={where: lie})
        yield Case(f"a sum's node: {said}", True, example.context, example.malformed_node(*where))
    for tree in (Tree.SUM_TREES, Tree.PUBLISHED_SUM, Tree.CONTRIBUTION):
        for layer, level in ((Layer.LEAVES, 2), (Layer.CHUNKS, 1)):
            name, body = f"{tree.name}, {layer.name}", b"\x01" * 66
            honest = FIVE.malformed_join(tree, layer, level, 0, 1)
            yield Case(f"{name}: honest", False, FIVE.context, honest)
            lies = {"leaves": {(tree, 1, 2, 0): body}}
            if layer is Layer.CHUNKS:
                lies = {"chunks": {(tree, 1, 0): body}}
            example = FIVE.with_lies(**lies)
            proof = example.malformed_join(tree, layer, level, 0, 1)
            yield Case(f"{name}: too long", True, example.context, proof)
    carried = replace(FIVE.malformed_node(0, 1, 3, 0), level=1, index=2)
    yield Case("a node that was carried up", False, FIVE.context, carried)


def _forms_of_slots() -> Iterator[Case]:
    for level, index, said in ((0, 4, b"\x04" * 38), (1, 1, b"\x04" * 65), (3, 0, b"\x01" * 64)):
        name = f"the cohort, level {level}"
        yield Case(f"{name}: honest", False, FIVE.context, FIVE.malformed_slot(level, index))
        lie = FIVE.with_lies(slots={(level, index): said})
        yield Case(f"{name}: malformed", True, lie.context, lie.malformed_slot(level, index))
        shares = replace(lie, scheme="shares/1")
        said_too = f"{name}: malformed, under shares"
        yield Case(said_too, True, shares.context, shares.malformed_slot(level, index))


def omissions() -> Iterator[Case]:
    """Slot ids of five slots are 1, 4, 7, 10 and 13."""
    held = FIVE.cohort[2].contribution
    for said, guilty, at, slot_id in (
        ("before the first", True, [0], 0),
        ("after the last", True, [4], 14),
        ("between neighbours", True, [1, 2], 5),
        ("another in its slot", True, [2], 7),
        ("neighbours that it is not between", False, [0, 1], 5),
        ("slots that are not neighbours' ids", False, [1, 2], 4),
        ("not before the first", False, [1], 0),
        ("not after the last", False, [3], 14),
        ("one neighbour alone", False, [1], 5),
    ):
        yield Case(said, guilty, FIVE.context, FIVE.omitted(at, slot_id))
    yield Case("it is there", False, FIVE.context, FIVE.omitted([2], 7, held))
    yield Case("another's signature", False, FIVE.context, FIVE.omitted([1, 2], 5, key=OTHER_KEY))
    earlier = FIVE.omitted([1, 2], 5, round_number=6)
    yield Case("a receipt of another round", False, FIVE.context, earlier)
    unsigned = replace(FIVE.omitted([1, 2], 5), signature=b"")
    yield Case("no signature", False, FIVE.context, unsigned)
    for said, ids in (("fall", (1, 4, 3, 10, 13)), ("repeat", (1, 4, 4, 10, 13))):
        example = replace(FIVE, slot_ids=ids)
        proof = replace(example.omitted([1, 2], 99), signature=b"")
        yield Case(f"slot ids {said}", True, example.context, proof)
    yield Case("one slot, after it", True, ONE.context, ONE.omitted([0], 2))
    yield Case(
        "one slot, it is there", False, ONE.context, ONE.omitted([0], 1, ONE.cohort[0].contribution)
    )
    shares = replace(FIVE, scheme="shares/1")
    yield Case("under shares", True, shares.context, shares.omitted([1, 2], 5))
    proof = FIVE.omitted([1, 2], 5)
    yield from _unled(FIVE.context, proof)
    yield Case("two slots, one far off", False, FIVE.context, _apart(proof))
    empty = replace(FIVE.context, commit=_without_slots())
    yield Case("a commit without slots", True, empty, FIVE.omitted([], 5))


def _apart(proof: Omitted) -> Omitted:
    far = FIVE.omitted([1, 3], 5)
    return replace(proof, slots=far.slots, steps=far.steps)


def _without_slots():
    return msgspec.structs.replace(FIVE.commit, slots=0)


def payouts() -> Iterator[Case]:
    """The budget is 100, the scores are 9 in all; 4 of them earn 44."""
    right = entry(4, 44)
    for said, guilty, body in (
        ("by the formula", False, right),
        ("a unit more", True, entry(4, 45)),
        ("a unit less", True, entry(4, 43)),
        ("another round", True, entry(4, 44, 6)),
        ("a score above the sum", True, entry(10, 111)),
        ("no score, no part", False, entry(0, 0)),
        ("all the scores", False, entry(9, 100)),
        ("too short", True, right[:-1]),
        ("too long", True, right + b"\0"),
        ("another domain", True, bytes(32) + right[32:]),
        ("an amount of 2^128", True, right[:96] + (1 << 128).to_bytes(32, "big") + right[128:]),
    ):
        yield _paid_case(said, guilty, Paid(200, body))
    yield _paid_case("less in all than in this round", True, Paid(43, right))
    first = {"payouts_before": bytes(32)}
    yield _paid_case("the first round", False, Paid(44, right), **first)
    yield _paid_case("the first round, with more", True, Paid(45, right), **first)
    yield from _paid_before(right)
    yield from _paid_twice(right)


def _paid_case(said: str, guilty: bool, paid: Paid, **other: object) -> Case:
    fields = {"payouts_before": b"\x77" * 32, "budget": 100, "scores": 9, **other}
    example = replace(ONE, payouts=paid.root, **fields)
    proof = BadPayout(Fault.FORMULA, PAYEE, paid.payout(), paid.entry)
    return Case(said, guilty, example.context, proof)


def _paid_before(right: bytes) -> Iterator[Case]:
    for said, guilty, before, now in (
        ("follows the round before", False, 100, 144),
        ("is more than follows", True, 100, 145),
        ("is less than follows", True, 100, 143),
    ):
        earlier, paid = Paid(before, b"any", b"\x02" * 32), Paid(now, right)
        example = replace(ONE, payouts=paid.root, payouts_before=earlier.root, budget=100, scores=9)
        proof = BadPayout(Fault.REGRESSION, PAYEE, paid.payout(), right, earlier.payout())
        yield Case(said, guilty, example.context, proof)
        stranger = replace(proof, payee="0x" + f"{1:040x}")
        yield Case(f"{said}, said of another payee", False, example.context, stranger)


def _paid_twice(right: bytes) -> Iterator[Case]:
    for said, guilty, twin in (("two leaves", True, 60), ("one leaf", False, None)):
        paid = Paid(44, right, twin=twin)
        example = replace(ONE, payouts=paid.root, budget=100, scores=9)
        other = paid.payout(3 if twin else 0)
        proof = BadPayout(Fault.TWIN, PAYEE, paid.payout(), b"", other)
        yield Case(said, guilty, example.context, proof)


MAKERS = {
    Kind.BAD_SUM: sums,
    Kind.BAD_LEAF: leaves,
    Kind.BAD_TOP: tops,
    Kind.MALFORMED: forms,
    Kind.OMITTED: omissions,
    Kind.BAD_PAYOUT: payouts,
}


def files() -> Iterator[tuple[Path, str]]:
    verifier = Verifier()
    for kind, make in MAKERS.items():
        cases = [
            {
                "name": case.name,
                "guilty": case.guilty,
                "call": "0x" + verifier.verdict_call(case.context, kind, case.proof.encode()).hex(),
            }
            for case in make()
        ]
        note = "calls of SumVerifier.verdict; made by tests/contracts/settlement_vectors.py"
        body = {"source": note, "kind": int(kind), "count": len(cases), "cases": cases}
        yield FOLDER / f"{kind.name.lower()}.json", json.dumps(body, indent=1) + "\n"


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for path, text in files():
        path.write_text(text)
