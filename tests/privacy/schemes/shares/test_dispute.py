"""Of two holders that state different sums, an auditor names the one that is wrong."""

from dataclasses import replace

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from privacy.errors import MalformedMessage, NotYet, RootMismatch, UnsafeParameters
from privacy.schemes.shares.dispute import Evidence, holders_of, judge
from privacy.schemes.shares.evidence import ChunkRoots, LeafHashes, Place
from privacy.schemes.shares.layout import WORDS_PER_LEAF, held_by
from tests.privacy.schemes.shares import disputed
from tests.privacy.schemes.shares.disputed import LEAVES, SITES, honest

# Both ways round for each component: component, who lies, who does not.
SIDES = [
    (component, *pair)
    for component in range(3)
    for pair in (holders_of(component), holders_of(component)[::-1])
]
sides = pytest.mark.parametrize(("component", "liar", "other"), SIDES)

places = st.integers(0, 2).flatmap(
    lambda chunk: st.tuples(
        st.just(chunk), st.integers(0, LEAVES[chunk] - 1), st.integers(0, WORDS_PER_LEAF - 1)
    )
)
amounts = st.integers(1, 2**64 - 1)


@pytest.fixture
def case():
    """Of component 2, seat 2 has signed a false sum, and seat 1 the right one."""
    sums = {1: honest(2), 2: honest(2).changed(1, 3, 17)}
    opened = disputed.dispute(2, sums)
    place = disputed.find(opened, sums)
    return opened, place, {seat: disputed.evidence(2, each, place) for seat, each in sums.items()}


@pytest.mark.parametrize("component", range(3))
def test_a_component_has_the_two_holders_that_hold_it(component):
    holders = holders_of(component)

    assert holders == tuple(seat for seat in range(3) if component in held_by(seat))


@given(st.sampled_from(SIDES), places, amounts)
@settings(deadline=None, max_examples=60)
def test_any_changed_word_is_found_and_its_maker_named(side, where, by):
    """Any component, either holder, any word of any leaf, blinding too, by any amount."""
    component, liar, other = side
    chunk, leaf, word = where
    sums = {liar: honest(component).changed(chunk, leaf, word, by), other: honest(component)}

    ruling = disputed.settled(component, sums)

    assert (ruling.place.chunk, ruling.place.leaf) == (chunk, leaf)
    assert (ruling.liars, ruling.withheld, ruling.named) == ((liar,), (), (liar,))


@given(st.sampled_from(SIDES), st.tuples(places, amounts), st.tuples(places, amounts))
@settings(deadline=None, max_examples=40)
def test_where_both_lie_one_is_named_and_both_where_they_lie_in_one_leaf(side, one, other):
    """One leaf is judged; who lies elsewhere only is not seen, and nobody is named for nothing."""
    component, first, second = side
    (place, by), (other_place, other_by) = one, other
    sums = {
        first: honest(component).changed(*place, by),
        second: honest(component).changed(*other_place, other_by),
    }
    assume(sums[first].root != sums[second].root)

    ruling = disputed.settled(component, sums)

    here = (ruling.place.chunk, ruling.place.leaf)
    lied = {seat for seat, at in ((first, place), (second, other_place)) if at[:2] == here}
    assert set(ruling.liars) == lied != set()


@sides
def test_who_refuses_is_named_where_the_other_is_right(component, liar, other):
    """Silence must not be better than a lie."""
    sums = {liar: honest(component).changed(0, 1, 2), other: honest(component)}
    opened = disputed.dispute(component, sums)
    place = disputed.find(opened, sums)

    ruling = judge(
        opened, place, {liar: None, other: disputed.evidence(component, sums[other], place)}
    )

    assert (ruling.liars, ruling.withheld) == ((), (liar,))


@sides
def test_a_liar_is_named_though_the_other_does_not_answer(component, liar, other):
    """Its own leaves of the sites lead to their signed roots, and against it."""
    sums = {liar: honest(component).changed(2, 1, WORDS_PER_LEAF - 1), other: honest(component)}
    opened = disputed.dispute(component, sums)
    place = disputed.find(opened, sums)

    ruling = judge(
        opened, place, {liar: disputed.evidence(component, sums[liar], place), other: None}
    )

    assert ruling.liars == (liar,)


def test_who_shows_a_leaf_that_is_not_under_its_root_is_named(case):
    """It would like to have signed the right one."""
    opened, place, shown = case

    ruling = judge(opened, place, {**shown, 2: shown[1]})

    assert ruling.named == (2,)


def test_who_shows_a_false_leaf_of_a_site_gains_nothing_by_it(case):
    """It is not added, and its holder has not shown what it must."""
    opened, place, shown = case
    false = disputed.forged(shown[2].sites["birch"], honest(2).blocks[0][0])
    sites = {**shown[2].sites, "birch": false}

    ruling = judge(opened, place, {**shown, 2: Evidence(shown[2].total, sites)})

    assert (ruling.liars, ruling.withheld) == ((2,), (2,))
    assert ruling.named == (2,)


def test_leaves_of_sites_may_come_from_either(case):
    """Each site's from whoever shows one that leads to its root."""
    opened, place, shown = case
    parts = {
        1: Evidence(shown[1].total, {"amber": shown[1].sites["amber"]}),
        2: Evidence(shown[2].total, {each: shown[2].sites[each] for each in SITES[1:]}),
    }

    assert judge(opened, place, parts).liars == (2,)


def test_nobody_is_named_while_a_leaf_of_a_site_is_missing(case):
    opened, place, shown = case
    sites = {each: shown[1].sites[each] for each in SITES[1:]}

    with pytest.raises(NotYet, match="leaf of amber"):
        judge(opened, place, {1: Evidence(shown[1].total, sites), 2: None})


def test_nobody_is_named_while_no_holder_has_shown_its_sum(case):
    opened, place, shown = case

    with pytest.raises(NotYet):
        judge(opened, place, {1: None, 2: None})
    with pytest.raises(NotYet, match="has shown its sum"):
        judge(opened, place, {1: Evidence(shown[2].total, shown[1].sites), 2: None})


def test_equal_leaves_elsewhere_accuse_nobody(case):
    """A place at which the holders do not differ says nothing."""
    opened, _, _ = case
    place = opened.place(0, 0)
    shown = {1: disputed.evidence(2, honest(2), place)}
    shown[2] = disputed.evidence(2, honest(2).changed(1, 3, 17), place)

    with pytest.raises(MalformedMessage, match="both right about leaf 0 of chunk 0"):
        judge(opened, place, shown)


@pytest.mark.parametrize("place", [Place(1, 3, 3, 5), Place(1, 4, 3, 4)])
def test_a_place_in_a_tree_of_another_shape_is_refused(case, place):
    opened, _, shown = case

    with pytest.raises(MalformedMessage, match="not a place of this dispute"):
        judge(opened, place, shown)


def test_false_lists_are_refused_by_name(case):
    """Who leads the auditor astray is known before anything is judged."""
    opened, _, _ = case
    roots, other = honest(2).roots, honest(1)

    with pytest.raises(RootMismatch, match="seat 2 shows roots"):
        opened.check_roots(2, roots)
    with pytest.raises(RootMismatch, match="seat 1 shows roots"):
        opened.check_roots(1, ChunkRoots(roots.roots[:1]))
    for false in (other.hashes(1), LeafHashes(honest(2).hashes(1).hashes[:1]), honest(2).hashes(0)):
        with pytest.raises(RootMismatch, match="seat 1 shows hashes"):
            opened.check_hashes(1, 1, roots, false)


@pytest.mark.parametrize(
    "change",
    [
        {"component": 3},
        {"component": 0},
        {"sums": {1: bytes(32)}},
        {"sums": {1: bytes(32), 2: bytes(32)}},
        {"sums": {1: bytes(32), 2: bytes(31)}},
        {"sums": {0: bytes(32), 2: b"\1" * 32}},
        {"sites": {"amber": b""}},
    ],
)
def test_what_is_no_dispute_is_refused(case, change):
    """Other seats, the same root twice, or no roots."""
    with pytest.raises(MalformedMessage):
        replace(case[0], **change)


@pytest.mark.parametrize("count", [0, 9])
def test_a_cohort_that_the_plan_does_not_allow_is_refused(case, count):
    with pytest.raises(UnsafeParameters):
        replace(case[0], sites={f"site-{at}": bytes(32) for at in range(count)})


def test_words_do_not_print(case):
    """Neither of sites nor of sums."""
    opened, place, shown = case

    ruling = judge(opened, place, shown)

    assert "words" not in repr(shown[1]) + repr(ruling)
