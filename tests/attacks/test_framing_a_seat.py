"""A seat that has signed a false sum, and would have an auditor blame the other holder.

It has all that both holders have: every site's words of the component, and every path under
every signed root. It chooses freely what it shows. The honest holder answers what it is asked.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from privacy.errors import MalformedMessage, RootMismatch
from privacy.merkle import tree_root
from privacy.schemes.shares import evidence as shown_leaves
from privacy.schemes.shares.dispute import Evidence, holders_of, judge
from privacy.schemes.shares.evidence import ChunkRoots, LeafHashes
from privacy.schemes.shares.layout import VALUE_WORDS
from tests.privacy.schemes.shares import disputed
from tests.privacy.schemes.shares.disputed import DIMENSION, LEAVES, PARAMETERS, SITES, honest

CHUNK, LEAF, WORD = 1, 2, 100
SIDES = [(c, *pair) for c in range(3) for pair in (holders_of(c), holders_of(c)[::-1])]
sides = pytest.mark.parametrize(("component", "liar", "victim"), SIDES)


class Attack:
    """One lie, and what the liar can lay its hands on."""

    def __init__(self, component, liar, victim):
        self.component, self.liar, self.victim = component, liar, victim
        self.false = honest(component).changed(CHUNK, LEAF, WORD, 2**63)
        self.sums = {liar: self.false, victim: honest(component)}
        self.dispute = disputed.dispute(component, self.sums)
        self.place = disputed.find(self.dispute, self.sums)
        self.truth = disputed.evidence(component, honest(component), self.place)
        self.own = disputed.evidence(component, self.false, self.place)

    def sites(self, **changed):
        """Leaves of all sites, some of them others."""
        return {**self.own.sites, **changed}

    def fitting(self):
        """A leaf of amber that would make the sum what the liar says, in a tree made for it."""
        made = disputed.sites(self.component)["amber"].changed(CHUNK, LEAF, WORD, 2**63)
        return made.leaf(CHUNK, LEAF)

    def judged(self, evidence):
        """What the auditor finds when the liar shows this, and the victim what it has."""
        return judge(self.dispute, self.place, {self.liar: evidence, self.victim: self.truth})


def words_of(shown):
    return np.frombuffer(shown.words, "<u8")


def swapped(attack):
    leaves = attack.own.sites
    return attack.sites(amber=leaves["birch"], birch=leaves["amber"])


def elsewhere(attack, component, round_, chunk, leaf):
    others = disputed.sites(component, round_)
    return {site: each.leaf(chunk, leaf) for site, each in others.items()}


def on_a_true_path(attack):
    """The words that fit the lie, with the path of the right ones."""
    true = attack.own.sites["amber"]
    return attack.sites(amber=replace(true, words=attack.fitting().words))


def stretched(attack):
    """A step more, between leaf and root."""
    true = attack.own.sites["amber"]
    return attack.sites(amber=replace(true, leaf_path=(*true.leaf_path, true.chunk_root)))


def moved_step(attack):
    """The chunk's steps as leaf's steps: the same hashes on the way, other places."""
    true = attack.own.sites["amber"]
    steps = (*true.leaf_path, *true.chunk_path)
    return attack.sites(amber=replace(true, leaf_path=steps, chunk_path=()))


SHOWN_SITES = {
    "true ones": lambda a: a.own.sites,
    "a leaf that fits the lie": lambda a: a.sites(amber=a.fitting()),
    "the same on a true path": on_a_true_path,
    "two sites exchanged": swapped,
    "another leaf": lambda a: elsewhere(a, a.component, 7, CHUNK, LEAF - 1),
    "another chunk": lambda a: elsewhere(a, a.component, 7, 0, LEAF),
    "another round": lambda a: elsewhere(a, a.component, 8, CHUNK, LEAF),
    "another component": lambda a: elsewhere(a, (a.component + 1) % 3, 7, CHUNK, LEAF),
    "a longer path": stretched,
    "a path cut elsewhere": moved_step,
    "one missing": lambda a: {site: a.own.sites[site] for site in SITES[1:]},
    "none": lambda a: {},
    "one site more": lambda a: {**a.own.sites, "dogwood": a.fitting()},
    "sums for sites": lambda a: dict.fromkeys(SITES, a.own.total),
}
SHOWN_SUMS = {
    "its own": lambda a: a.own.total,
    "the right one": lambda a: a.truth.total,
    "the right words on its path": lambda a: replace(a.own.total, words=a.truth.total.words),
    "another leaf": lambda a: a.false.leaf(CHUNK, LEAF - 1),
    "a leaf where it is right": lambda a: a.false.leaf(0, LEAF),
    "a site's": lambda a: a.own.sites["amber"],
}


@sides
@pytest.mark.parametrize("sites", SHOWN_SITES)
@pytest.mark.parametrize("total", SHOWN_SUMS)
def test_the_liar_is_named_and_nobody_else(component, liar, victim, sites, total):
    """Whatever it shows, and whichever of the two it is."""
    attack = Attack(component, liar, victim)

    ruling = attack.judged(Evidence(SHOWN_SUMS[total](attack), SHOWN_SITES[sites](attack)))

    assert ruling.named == (liar,)


@sides
def test_silence_names_the_silent(component, liar, victim):
    attack = Attack(component, liar, victim)

    assert attack.judged(None).named == (liar,)


FIRST = Attack(*SIDES[1])
POOL = [
    *FIRST.own.sites.values(),
    *(FIRST.own.total, FIRST.truth.total, FIRST.fitting()),
    *(each for a in ("another round", "another chunk") for each in SHOWN_SITES[a](FIRST).values()),
]
leaves = st.builds(
    lambda *parts: replace(
        parts[0],
        leaf_path=parts[1].leaf_path,
        chunk_root=parts[2].chunk_root,
        chunk_path=parts[3].chunk_path,
    ),
    *(4 * (st.sampled_from(POOL),)),
)


@given(leaves | st.just(FIRST.own.total), st.dictionaries(st.sampled_from(SITES), leaves))
@settings(deadline=None, max_examples=150)
def test_no_patchwork_of_true_parts_frames_a_seat(total, sites):
    """Words, paths and roots that are all real, put together at will."""
    ruling = FIRST.judged(Evidence(total, {**FIRST.own.sites, **sites}))

    assert ruling.named == (FIRST.liar,)


@sides
def test_no_place_frames_a_seat(component, liar, victim):
    """Should the auditor ask for another leaf than the one in which they differ."""
    attack = Attack(component, liar, victim)
    for chunk, count in enumerate(LEAVES):
        for leaf in set(range(count)) - ({LEAF} if chunk == CHUNK else set()):
            place = attack.dispute.place(chunk, leaf)
            shown = {
                seat: disputed.evidence(component, each, place)
                for seat, each in attack.sums.items()
            }
            with pytest.raises(MalformedMessage, match="both right"):
                judge(attack.dispute, place, shown)
            assert judge(attack.dispute, place, {**shown, liar: None}).named == (liar,)


def test_lists_cannot_lead_the_auditor_elsewhere():
    """They lead to the liar's own signed root, or are refused under its name."""
    true, false = honest(FIRST.component), FIRST.false
    above = ChunkRoots((tree_root(false.roots.roots[:2]), false.roots.roots[2]))
    moved = ChunkRoots((*false.roots.roots[:2], true.roots.roots[0]))
    pairs = [tree_root(false.hashes(CHUNK).hashes[at : at + 2]) for at in (0, 2)]

    assert above.component_root() == false.root
    for roots in (true.roots, above, moved):
        with pytest.raises(RootMismatch, match=f"seat {FIRST.liar} shows"):
            FIRST.dispute.check_roots(FIRST.liar, roots)
    for hashes in (true.hashes(CHUNK), LeafHashes(tuple(pairs)), false.hashes(0)):
        with pytest.raises(RootMismatch, match=f"seat {FIRST.liar} shows"):
            FIRST.dispute.check_hashes(FIRST.liar, CHUNK, false.roots, hashes)


# -- controls --------------------------------------------------------------------------------


@pytest.mark.parametrize("component", range(3))
def test_an_auditor_that_does_not_follow_paths_blames_the_honest_seat(component, monkeypatch):
    """The control: one false leaf of one site, and the sum is what the liar says."""
    victim, liar = holders_of(component)
    attack = Attack(component, liar, victim)
    framing = Evidence(attack.own.total, attack.sites(amber=attack.fitting()))
    monkeypatch.setattr(shown_leaves, "verify_inclusion", lambda *_: None)

    assert attack.judged(framing).liars == (victim,)


def test_what_the_auditor_is_shown_opens_values_for_the_third_seat():
    """Why a leaf goes to an auditor that runs no seat, and nowhere else."""
    attack = Attack(2, 1, 2)
    third = disputed.sent("amber", 7).held(PARAMETERS, DIMENSION, 0)
    first, second = third.blocks(CHUNK, None)

    opened = first[LEAF] + second[LEAF] + words_of(attack.own.sites["amber"])

    start = (CHUNK * 4 + LEAF) * VALUE_WORDS
    values = opened[:VALUE_WORDS].view(np.int64)
    assert np.array_equal(values, disputed.update("amber")[start:][:VALUE_WORDS])
