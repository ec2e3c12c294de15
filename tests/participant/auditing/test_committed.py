"""A commit that is not of the contributions is proved wrong; one that is hidden is demanded."""

import tracemalloc

import pytest

from participant.auditing.recount import Recount
from participant.settling.dossier import Standing
from privacy.errors import MalformedMessage, NotYet, PeerUnreachable, RootMismatch
from privacy.merkle import inclusion_path, tree_root
from privacy.settlement.commitment import Slot, cohort_of
from privacy.settlement.sum_proof import Kind, Node, Opening, Tree
from privacy.settlement.sum_tree import Served, open_node
from tests.contracts.verifying import Verifier
from tests.participant import auditor_at_work as work
from tests.participant import signed_round as made
from tests.participant.auditing import committed_round as on_chain
from tests.participant.auditing.committed_round import (
    ROUND,
    SLOTS,
    Shown,
    Trees,
    audit,
    commit,
    off_by_one,
)

COHORT = cohort_of(ROUND.cohort.entries, made.TRAINERS)


@pytest.fixture
def coordinator():
    found = work.Audited()
    found.audits(ROUND)
    return found


async def test_an_honest_commit_is_sound() -> None:
    """And its trees are not even asked for: the root says it all."""
    held = await audit(commit(), Shown(Trees(), ("chunk_roots", "tops", "levels"))).run()

    assert (held.finding.standing, held.accusation) == (Standing.SOUND, None)


@pytest.mark.parametrize(
    "at", [(0, 0, 1, 0), (0, 31, 1, 1), (1, 5, 2, 0)], ids=["first", "last leaf", "top"]
)
async def test_one_word_of_one_sum_is_found_and_proved(at: tuple[int, int, int, int]) -> None:
    """Whatever follows from it above is not what is accused of: its children are right."""
    trees = Trees({at: off_by_one})
    false = commit(trees)

    held = await audit(false, Shown(trees)).run()

    assert (held.finding.standing, held.finding.proof) == (Standing.FALSE, "bad_sum")
    chunk, leaf, level, index = at
    assert held.finding.reason == (
        f"chunk {chunk}, leaf {leaf}: node {index} of level {level} is not the sum of its children"
    )
    assert held.accusation is not None
    assert (held.accusation.commit, held.accusation.number()) == (false, Kind.BAD_SUM)


@pytest.mark.parametrize("slot", range(SLOTS))
async def test_a_contribution_that_was_altered_is_found_and_proved(slot: int) -> None:
    """By hashes alone: no word of it is published."""
    trees = Trees({(1, 7, 0, slot): off_by_one})
    false = commit(trees)

    held = await audit(false, Shown(trees)).run()

    assert (held.finding.standing, held.finding.proof) == (Standing.FALSE, "bad_leaf")
    assert made.TRAINERS[slot] in held.finding.reason


async def test_a_sum_that_is_not_the_trees_top_is_found_and_proved(coordinator) -> None:
    """Who opened it opened something else than what was added."""
    chunks = on_chain.sum_with(off_by_one, 1, 9)
    false = commit(sum=on_chain.root_of(chunks))
    coordinator.sums[1] = (coordinator.sums[1][0], chunks)

    held = await audit(false, Shown(Trees()), coordinator).run()

    assert (held.finding.standing, held.finding.proof) == (Standing.FALSE, "bad_top")
    assert "chunk 1, leaf 9" in held.finding.reason


@pytest.mark.parametrize("level", [0, 1, 2])
async def test_the_contract_is_convinced(level: int) -> None:
    """A proof that only its maker believes voids nothing; nor does it touch an honest commit."""
    trees = Trees({(0, 3, level, 0): off_by_one})
    false = commit(trees)

    held = await audit(false, Shown(trees)).run()

    assert held.accusation is not None
    kind, body = held.accusation.number(), held.accusation.body()
    assert _judged(false, kind, body)
    assert not _judged(commit(), kind, body)


@pytest.mark.parametrize(
    ("withheld", "chunk", "leaf"), [("chunk_roots", 0, 0), ("tops", 1, 0), ("levels", 1, 4)]
)
async def test_of_trees_that_are_not_shown_a_node_is_named(
    withheld: str, chunk: int, leaf: int
) -> None:
    """As deep as they were shown; on the chain it is answered, or paid for."""
    trees = Trees({(1, 4, 1, 0): off_by_one})

    held = await audit(commit(trees), Shown(trees, (withheld,))).run()

    finding = held.finding
    assert (finding.standing, held.accusation) == (Standing.WITHHELD, None)
    assert finding.demand is not None
    assert (finding.demand.tree, finding.demand.chunk, finding.demand.leaf) == (
        "sum_trees",
        chunk,
        leaf,
    )


@pytest.mark.parametrize(
    "at", [(0, 0, 1, 0), (0, 31, 1, 1), (1, 5, 2, 0), (1, 30, 0, 3), (0, 17, 0, 0)]
)
async def test_answers_on_the_chain_lead_to_the_proof_where_nothing_else_is_shown(
    at: tuple[int, int, int, int],
) -> None:
    """One way is answered for each demand, and the trees have no more levels than these."""
    trees = Trees({at: off_by_one})
    false, answers = commit(trees), dict[Node, Opening]()
    shown = Shown(trees, ("chunk_roots", "tops", "levels"))

    while (held := await audit(false, shown, answers=answers).run()).accusation is None:
        demand = held.finding.demand
        assert demand is not None
        assert demand.tree == "sum_trees"
        node = Node(Tree.SUM_TREES, demand.chunk, demand.leaf, demand.level, demand.index)
        assert node not in answers, "each demand is another one"
        answers[node] = answered(trees, node)
        assert len(answers) <= 8

    assert held.finding.standing is Standing.FALSE
    assert held.finding.reason.startswith(f"chunk {at[0]}, leaf {at[1]}: ")
    assert _judged(false, held.accusation.number(), held.accusation.body())


async def test_honest_trees_that_are_shown_for_false_ones_are_withheld_ones() -> None:
    """They do not lead to what was committed."""
    trees = Trees({(1, 4, 1, 0): off_by_one})

    held = await audit(commit(trees), Shown(Trees())).run()

    assert held.finding.standing is Standing.WITHHELD
    assert "do not lead to the committed root" in held.finding.reason


async def test_a_sum_that_is_not_shown_is_to_be_demanded() -> None:
    """The commit names one that nobody has seen."""
    held = await audit(commit(sum="12" * 32), Shown(Trees())).run()

    assert held.finding.standing is Standing.WITHHELD
    assert held.finding.demand is not None
    assert held.finding.demand.tree == "published_sum"


@pytest.mark.parametrize("other", [{"slots": 3}, {"cohort": "ab" * 32}])
async def test_another_cohort_than_was_signed_is_to_be_demanded(other: dict[str, object]) -> None:
    """Who is left out has a receipt; the auditor has none."""
    held = await audit(commit(**other), Shown(Trees())).run()

    assert held.finding.standing is Standing.WITHHELD
    assert held.finding.demand is not None
    assert held.finding.demand.tree == "cohort"


@pytest.mark.parametrize("again", range(SLOTS))
async def test_a_contribution_that_was_committed_twice_is_found_and_proved(again: int) -> None:
    """By answers on the chain: who has committed to it shows nobody that cohort."""
    slots = tuple(sorted([*COHORT.slots, COHORT.slots[again]], key=lambda slot: slot.slot_id))
    nodes = [each.node() for each in slots]
    false, answers = commit(cohort=tree_root(nodes).hex(), slots=len(slots)), dict[Node, Opening]()

    while (held := await audit(false, Shown(Trees()), answers=answers).run()).accusation is None:
        assert held.finding.demand is not None
        at = held.finding.demand.index
        steps = (slots[at].contribution, *inclusion_path(nodes, at))
        answers[Node(Tree.COHORT, index=at)] = Opening(steps, b"", slots[at].slot_id)
        assert len(answers) <= 4

    assert (held.finding.standing, held.finding.proof) == (Standing.FALSE, "omitted")
    assert f"slots {again} and {again + 1} do not rise" in held.finding.reason
    assert _judged(false, held.accusation.number(), held.accusation.body())


async def test_a_slot_of_nobodys_is_said_and_cannot_be_proved() -> None:
    """Which slots there may be, no contract knows."""
    slots = (*COHORT.slots, Slot(COHORT.slots[-1].slot_id + 1, b"x" * 32))
    nodes = [each.node() for each in slots]
    answers = {
        Node(Tree.COHORT, index=at): Opening(
            (slot.contribution, *inclusion_path(nodes, at)), b"", slot.slot_id
        )
        for at, slot in enumerate(slots)
    }
    false = commit(cohort=tree_root(nodes).hex(), slots=len(slots))

    held = await audit(false, Shown(Trees()), answers=answers).run()

    assert (held.finding.standing, held.finding.demand) == (Standing.UNPROVED, None)
    assert "is nobody's" in held.finding.reason


async def test_what_only_sites_can_prove_is_left_to_them_once_it_is_answered() -> None:
    """Before that it is demanded: who has committed to what it cannot open is slashed."""
    opening = Opening((b"x" * 32,), b"", 1)

    held = await audit(
        commit(slots=1, cohort="ab" * 32),
        Shown(Trees()),
        answers={Node(Tree.COHORT): opening},
    ).run()

    assert (held.finding.standing, held.finding.demand) == (Standing.UNPROVED, None)
    assert "proves it by its receipt" in held.finding.reason


async def test_another_plan_is_said_and_cannot_be_proved() -> None:
    held = await audit(commit(plan="ab" * 32), Shown(Trees())).run()

    assert held.finding.standing is Standing.UNPROVED


async def test_nobody_is_accused_by_contributions_that_were_never_signed(coordinator) -> None:
    """A coordinator that shows its auditor others would have it prove nonsense, and pay for it."""
    coordinator.payloads[1] = lambda name: ROUND.payloads("birch" if name == "amber" else name)

    with pytest.raises(RootMismatch, match="contribution of amber"):
        await audit(commit(), Shown(Trees()), coordinator).run()


async def test_contributions_that_come_again_as_others_make_no_proof(coordinator) -> None:
    """The first time they were right; what is published must be, too."""
    trees, seen = Trees({(0, 3, 1, 0): off_by_one}), []

    def payloads(name: str):
        seen.append(name)
        swapped = len(seen) > 2 * SLOTS and name == "amber"
        return ROUND.payloads("birch" if swapped else name)

    coordinator.payloads[1] = payloads

    with pytest.raises(RootMismatch, match="came again as others in chunk 0"):
        await audit(commit(trees), Shown(trees), coordinator).run()


async def test_a_stream_that_breaks_goes_on_from_its_chunk(coordinator) -> None:
    coordinator.breaks = [SLOTS + 2]

    held = await audit(commit(), Shown(Trees()), coordinator).run()

    assert held.finding.standing is Standing.SOUND
    assert coordinator.streams == [(1, 0), (1, 1)]


async def test_a_stream_that_ends_too_early_is_not_asked_for_for_ever(coordinator) -> None:
    coordinator.ends = [2]

    with pytest.raises(MalformedMessage, match="end in chunk 0"):
        await audit(commit(), Shown(Trees()), coordinator).run()


async def test_contributions_that_are_gone_are_said_to_be(coordinator) -> None:
    """Nobody can say; that is no proof."""
    coordinator.payloads.clear()

    with pytest.raises(NotYet):
        await audit(commit(), Shown(Trees()), coordinator).run()


async def test_a_coordinator_that_goes_away_is_one_that_withholds() -> None:
    """Nobody but it can show them, and on the chain it can be asked."""
    trees = Trees({(0, 0, 1, 0): off_by_one})
    shown = Shown(trees)

    async def away(*_: int):
        raise PeerUnreachable("connection refused")

    shown.tops = away  # type: ignore[method-assign]

    held = await audit(commit(trees), shown).run()

    assert held.finding.standing is Standing.WITHHELD


def test_a_recount_holds_no_more_than_a_chunk_for_each_bit_of_the_slots() -> None:
    """Ten thousand contributions are added in the room of fourteen."""
    entries = [ROUND.cohort.entries[0]] * 256
    payload = ROUND.payloads("amber")[0]
    count = Recount(on_chain.PLAN, entries)
    chunk_bytes = on_chain.READER.words(0, payload).nbytes
    tracemalloc.start()

    for slot in range(256):
        count.take(0, slot, payload)

    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20 * chunk_bytes


def answered(trees: Trees, node: Node) -> Opening:
    """What the coordinator answers: the way it has committed to."""
    levels = trees.levels(node.chunk, node.leaf)
    served = Served(node.chunk, node.leaf, trees.chunk_roots(), trees.tops(node.chunk), levels)
    return open_node(served, node, b"")


_VERIFIER = Verifier()


def _judged(of, kind: Kind, body: bytes) -> bool:
    """What the compiled contract says of the bytes of a proof."""
    return bool(_VERIFIER.run(_VERIFIER.verdict_call(on_chain.context(of), kind, body)))
