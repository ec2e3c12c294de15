"""A site sees by hashes whether its leaf was added; what is not its own leaf is proved."""

from dataclasses import replace

import pytest

from privacy.errors import MalformedMessage, RootMismatch
from privacy.settlement.commitment import Cohort, Slot, receipt_digest
from privacy.settlement.own_leaf import OwnLeaf, check_slot, omission
from privacy.settlement.sum_verdict import verdict
from tests.privacy.example_sums import DOMAIN, LEAF_BYTES, OTHER_KEY, ROUND, Example, sign

PROMISED = Slot(6, b"p" * 32)


def shown(example: Example, slot: int, chunk: int, leaf: int) -> OwnLeaf:
    """One leaf of a slot as an honest coordinator shows it."""
    served = example.served(chunk, leaf)
    leaves, chunks = len(served.tops), len(served.chunk_roots)
    digest = served.levels[0][slot].digest
    return OwnLeaf(chunk, leaf, leaves, chunks, digest, served.upwards(0, slot))


@pytest.mark.parametrize("slots", [1, 2, 3, 5, 8])
def test_every_leaf_of_every_slot_leads_to_the_commit(slots: int) -> None:
    """One that is carried up has no step on that level."""
    example = Example(slots=slots)

    for chunk, leaf in example.places():
        for slot in range(slots):
            shown(example, slot, chunk, leaf).check_shown(slot, example.commit)


@pytest.mark.parametrize("slots", [2, 3, 5])
def test_at_another_slot_it_does_not(slots: int) -> None:
    """Else another site's leaf could stand for this one's."""
    example = Example(slots=slots)

    with pytest.raises((RootMismatch, MalformedMessage)):
        shown(example, 0, 0, 0).check_shown(1, example.commit)


@pytest.mark.parametrize("change", ["digest", "first step", "no step", "one more step", "empty"])
def test_what_was_changed_on_the_way_does_not_lead_there(change: str) -> None:
    example = Example()
    right = shown(example, 2, 1, 0)
    steps = right.steps
    wrong = {
        "digest": replace(right, digest=b"x" * 32),
        "first step": replace(right, steps=(b"x" * 32, *steps[1:])),
        "no step": replace(right, steps=steps[:-1]),
        "one more step": replace(right, steps=(*steps, b"x" * 32)),
        "empty": replace(right, steps=()),
    }[change]

    with pytest.raises(RootMismatch):
        wrong.check_shown(2, example.commit)


def test_a_slot_is_found_by_its_number_and_its_contribution() -> None:
    cohort = Cohort((Slot(2, b"a" * 32), PROMISED, Slot(9, b"c" * 32)))

    assert check_slot(cohort, PROMISED) == 1
    assert check_slot(cohort, Slot(6, b"q" * 32)) is None
    assert check_slot(cohort, Slot(7, b"p" * 32)) is None
    assert check_slot(cohort, Slot(1, b"p" * 32)) is None


@pytest.mark.parametrize(("slot_id", "found"), [(0, 1), (5, 2), (99, 1)])
def test_an_omission_shows_the_slots_around_it(slot_id: int, found: int) -> None:
    """Before the first, between two, and after the last."""
    cohort = Cohort(tuple(Slot(at, bytes([at]) * 32) for at in (2, 4, 6, 8)))

    proof = omission(cohort, Slot(slot_id, b"p" * 32), b"s" * 65)

    assert len(proof.slots) == found
    assert proof.slots == cohort.slots[proof.slot : proof.slot + found]


def test_a_leaf_that_is_not_the_sites_own_convinces_the_verifier() -> None:
    """By hashes alone; against honest trees the same proof shows nothing."""
    slot, (chunk, leaf) = 3, (1, 0)
    lying = Example().with_lies(words={(chunk, leaf, 0, slot): bytes(LEAF_BYTES)})
    at = shown(lying, slot, chunk, leaf)

    at.check_shown(slot, lying.commit)
    own, path = lying.own_leaf(slot, chunk, leaf), lying.cohort_tree.path(slot)
    proof = at.accuse(slot, lying.cohort[slot].slot_id, own, path, lying.arithmetic)

    assert at.digest != own.digest
    assert verdict(lying.context, proof)
    assert not verdict(Example().context, proof)


@pytest.mark.parametrize("slot_id", [0, 1, 99])
def test_an_omission_convinces_the_verifier_with_the_coordinators_receipt(slot_id: int) -> None:
    """And with nobody else's: a receipt is a signature."""
    example = Example()
    cohort, promised = Cohort(example.cohort), Slot(slot_id, b"p" * 32)
    digest = receipt_digest(DOMAIN, ROUND, promised)

    assert verdict(example.context, omission(cohort, promised, sign(digest)))
    assert not verdict(example.context, omission(cohort, promised, sign(digest, OTHER_KEY)))


def test_who_is_in_the_cohort_as_promised_proves_no_omission() -> None:
    """An honest coordinator cannot be slashed by its own receipt."""
    example = Example()
    promised = example.cohort[2]
    digest = receipt_digest(DOMAIN, ROUND, promised)

    proof = omission(Cohort(example.cohort), promised, sign(digest))

    assert not verdict(example.context, proof)
