"""However slots are ordered under a root, a few of them lead to the proof, if there is one."""

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from privacy.merkle import inclusion_path, tree_root
from privacy.settlement.commitment import Slot, receipt_digest
from privacy.settlement.slot_search import Shown, seek_doubled, seek_promised
from privacy.settlement.sum_proof import Omitted
from privacy.settlement.sum_verdict import Context, verdict
from tests.privacy.example_sums import DOMAIN, OTHER_KEY, ROUND, Example, sign

EXAMPLE = Example()

slot_ids = st.integers(0, 12)
slots_of_any_order = st.lists(slot_ids, min_size=1, max_size=17).map(
    lambda ids: tuple(Slot(each, bytes([each, at]) * 16) for at, each in enumerate(ids))
)


def committed(slots: tuple[Slot, ...]) -> Context:
    """What a commit of these slots is judged under; whether they rise, nobody has looked."""
    root = tree_root([each.node() for each in slots])
    commit = msgspec.structs.replace(EXAMPLE.commit, slots=len(slots), cohort=root.hex())
    return replace(EXAMPLE.context, commit=commit)


def ended(
    slots: tuple[Slot, ...], seek: Callable[[dict[int, Shown]], Omitted | int | None]
) -> tuple[Omitted | None, int]:
    """Answer each demand as the commit makes one do; return what came of it, and of how many."""
    shown: dict[int, Shown] = {}
    while isinstance(found := seek(shown), int):
        assert found not in shown
        nodes = [each.node() for each in slots]
        shown[found] = Shown(slots[found], tuple(inclusion_path(nodes, found)))
    return found, len(shown)


@given(slots_of_any_order, slot_ids, st.booleans())
def test_whoever_was_promised_a_slot_proves_that_it_is_not_there(
    slots: tuple[Slot, ...], slot_id: int, there: bool
) -> None:
    """Or sees it there; where slots do not rise it may prove that in passing, never a lie."""
    context = committed(slots)
    with_that_id = [each for each in slots if each.slot_id == slot_id]
    promised = with_that_id[0] if there and with_that_id else Slot(slot_id, b"p" * 32)
    signature = sign(receipt_digest(DOMAIN, ROUND, promised))

    proof, demands = ended(
        slots, lambda shown: seek_promised(shown, len(slots), promised, signature)
    )

    assert demands <= 2 * len(slots).bit_length()
    if proof is None:
        assert promised in slots
    else:
        assert verdict(context, proof)
    if promised not in slots:
        assert proof is not None


@given(st.lists(slot_ids, min_size=1, max_size=13, unique=True).map(sorted), slot_ids)
def test_nothing_is_proved_where_what_was_promised_was_kept(ids: list[int], slot_id: int) -> None:
    """An honest coordinator keeps its bond, and nobody else's word counts as its receipt."""
    slots = tuple(Slot(each, bytes([each]) * 32) for each in ids)
    kept, other = slots[len(slots) // 2], Slot(slot_id, b"p" * 32)

    proof, _ = ended(slots, lambda shown: seek_promised(shown, len(slots), kept, b""))
    forged = sign(receipt_digest(DOMAIN, ROUND, other), OTHER_KEY)
    false, _ = ended(slots, lambda shown: seek_promised(shown, len(slots), other, forged))

    assert proof is None
    assert false is not None
    assert not verdict(committed(slots), false)


@given(slots_of_any_order.filter(lambda slots: len(slots) > 1), st.data())
def test_more_slots_than_were_signed_do_not_rise_or_one_is_nobodys(
    slots: tuple[Slot, ...], data: st.DataObject
) -> None:
    """What stands twice is found, wherever the other slots of the commit stand."""
    count = data.draw(st.integers(1, len(slots) - 1))
    signed = data.draw(st.permutations(range(13)).map(lambda ids: sorted(ids[:count])))

    proof, demands = ended(slots, lambda shown: seek_doubled(shown, len(slots), signed))

    assert demands <= len(signed).bit_length() + 2
    rises = all(one.slot_id < other.slot_id for one, other in pairwise(slots))
    if proof is None:
        assert not {each.slot_id for each in slots} <= set(signed)
    else:
        assert not rises
        assert verdict(committed(slots), proof)


@pytest.mark.parametrize("ids", ["rising", "all the same", "strangers"])
def test_a_commit_of_endless_slots_takes_no_more_demands(ids: str) -> None:
    """Each takes time and a bond: with 32 of them no window would be long enough."""
    promised, signed = Slot(37, b"p" * 32), tuple(range(50))

    def slot(at: int) -> Slot:
        number = {"rising": at + (at >= promised.slot_id), "all the same": 5, "strangers": 60 + at}
        return Slot(number[ids], at.to_bytes(32, "big"))

    promise = _demanded(slot, lambda shown: seek_promised(shown, 2**32 - 1, promised, b""))
    twice = _demanded(slot, lambda shown: seek_doubled(shown, 2**32 - 1, signed))

    assert promise <= 12
    assert twice <= 8


def _demanded(
    slot: Callable[[int], Slot], seek: Callable[[dict[int, Shown]], Omitted | int | None]
) -> int:
    shown: dict[int, Shown] = {}
    while isinstance(found := seek(shown), int):
        shown[found] = Shown(slot(found), ())
    return len(shown)


def test_a_slot_that_stands_twice_among_many_is_proved_in_a_dozen_demands() -> None:
    """As cohorts are: rising slot ids, not all in a row, and one contribution once more."""
    ids = [7 * at for at in range(1000)]
    doubled = sorted([*ids, ids[613]])
    slots = tuple(Slot(each, each.to_bytes(32, "big")) for each in doubled)

    proof, demands = ended(slots, lambda shown: seek_doubled(shown, len(slots), ids))

    assert proof is not None
    assert verdict(committed(slots), proof)
    assert demands == 12
