"""From answer to answer to the proof, where a commit is of another cohort than was signed.

Of the committed cohort nobody is shown more than the slots that are demanded of it. A search by
halves ends after a few of them, however they are ordered, and however many the commit says there
are: where slots rise, one of a small slot id is among the first.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from .commitment import Slot
from .sum_proof import Hashes, Node, Omitted, Opening, Tree

_NO_RECEIPT: Final = Slot(0, bytes(32))


@dataclass(frozen=True, slots=True)
class Shown:
    """A slot as it was answered, with its siblings up to the committed root."""

    slot: Slot
    path: Hashes


def shown_slots(answers: Mapping[Node, Opening]) -> dict[int, Shown]:
    """Return the slots of the committed cohort that answers on the chain show, by index."""
    return {
        node.index: Shown(Slot(each.slot_id, each.steps[0]), each.steps[1:])
        for node, each in answers.items()
        if node.tree is Tree.COHORT
    }


def seek_promised(
    shown: Mapping[int, Shown], slots: int, promised: Slot, signature: bytes
) -> Omitted | int | None:
    """Return the proof that a promised slot is not there; or the index to demand next.

    None if it is there, as it was promised.

    Args:
        shown: what was answered, by index, under the commit.
        slots: how many the commit has.
        promised: what the receipt says.
        signature: the coordinator's, under the receipt.
    """
    # The slot at an index has at least that slot id, where slots rise.
    low, high = -1, min(slots, promised.slot_id + 1)
    while high - low > 1:
        at = (low + high) // 2
        if at not in shown:
            return at
        found = shown[at].slot
        if found == promised:
            return None
        if found.slot_id == promised.slot_id:
            return _proof(shown, (at,), promised, signature)
        low, high = (at, high) if found.slot_id < promised.slot_id else (low, at)
    if low == promised.slot_id and high < slots:
        return _seek_fall(shown, low)
    beside = tuple(at for at in (low, high) if 0 <= at < slots)
    return _proof(shown, beside, promised, signature)


def _seek_fall(shown: Mapping[int, Shown], last: int) -> Omitted | int:
    """Return the proof that slots do not rise up to one whose slot id is below its index."""
    low, high = -1, last
    while high - low > 1:
        at = (low + high) // 2
        if at not in shown:
            return at
        low, high = (low, at) if shown[at].slot.slot_id < at else (at, high)
    return _proof(shown, (low, high), _NO_RECEIPT, b"")


def seek_doubled(
    shown: Mapping[int, Shown], slots: int, signed: Sequence[int]
) -> Omitted | int | None:
    """Return the proof that slots do not rise, where there are more than were signed.

    Or the index to demand next. None if they rise: then one of them is nobody's, which no contract
    can know.

    Args:
        shown, slots: as for `seek_promised`; `slots` above the number of `signed`.
        signed: the slot ids that were signed, at least one.
    """
    low, high = 0, min(slots - 1, len(signed))
    for at in (low, high):
        if at not in shown:
            return at
    while high - low > 1:
        middle = (low + high) // 2
        if middle not in shown:
            return middle
        # One half at least has more slots than there are signed ids between its ends.
        crowded = _has_more(shown, low, middle, signed)
        low, high = (low, middle) if crowded else (middle, high)
    if shown[low].slot.slot_id < shown[high].slot.slot_id:
        return None
    return _proof(shown, (low, high), _NO_RECEIPT, b"")


def _has_more(shown: Mapping[int, Shown], low: int, high: int, signed: Sequence[int]) -> bool:
    first, last = shown[low].slot.slot_id, shown[high].slot.slot_id
    return high - low + 1 > sum(first <= each <= last for each in signed)


def _proof(
    shown: Mapping[int, Shown], at: tuple[int, ...], receipt: Slot, signature: bytes
) -> Omitted:
    first = at[0] if at else 0
    steps = tuple(step for index in at for step in shown[index].path)
    return Omitted(receipt, signature, first, tuple(shown[index].slot for index in at), steps)
