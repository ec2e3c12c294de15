"""A site calls a commit sound if all it sent was added; else it proves that, or what to demand."""

import dataclasses
from pathlib import Path

import pytest
from eth_keys.datatypes import PrivateKey
from msgspec.structs import replace

from participant.sending.outbox import Outbox
from participant.settling.dossier import Dossier, Receipt, Standing
from participant.settling.own_round import OwnRound
from privacy.errors import NotYet
from privacy.merkle import inclusion_path, tree_root
from privacy.settlement.commitment import Cohort, Commit, Slot, cohort_of, receipt_digest
from privacy.settlement.sum_proof import Kind, Node, Opening, Tree
from tests.contracts.verifying import Verifier
from tests.participant import at_dispute
from tests.participant import signed_round as made
from tests.participant.auditing import committed_round as on_chain
from tests.participant.auditing.committed_round import (
    DOMAIN,
    PLAN,
    ROUND,
    Shown,
    Trees,
    commit,
    off_by_one,
)

SITE = "birch"
SLOT = made.TRAINERS.index(SITE)
COHORT = cohort_of(ROUND.cohort.entries, made.TRAINERS)
KEY = PrivateKey(b"c" * 32)
COORDINATOR = KEY.public_key.to_address()


@pytest.fixture
def outbox(tmp_path: Path) -> Outbox:
    """What the site has sent, as it keeps it."""
    found = Outbox(tmp_path, 1)
    chunks = found.start()
    for at, payload in enumerate(ROUND.payloads(SITE)):
        (chunks / f"{at:08d}").write_bytes(payload)
    found.finish(ROUND.headers[SLOT], ())
    return found


def dossier(receipt: Receipt | None = None) -> Dossier:
    slot = COHORT.slots[SLOT]
    return Dossier(
        round=1,
        arithmetic=PLAN.arithmetic.encode().hex(),
        scheme=PLAN.arithmetic.scheme,
        plan=PLAN.digest(),
        slot_id=slot.slot_id,
        contribution=slot.contribution.hex(),
        receipt=receipt,
    )


def receipt() -> Receipt:
    """The coordinator's promise of the site's slot."""
    slot = COHORT.slots[SLOT]
    signature = KEY.sign_msg_hash(receipt_digest(DOMAIN, 1, slot)).to_bytes()
    body = signature[:64] + bytes([27 + signature[64]])
    return Receipt(DOMAIN, slot.slot_id, slot.contribution.hex(), body.hex())


def own(
    outbox: Outbox, shown: Shown, cohort: Cohort = COHORT, kept: Dossier | None = None
) -> OwnRound:
    return OwnRound(kept or dossier(), PLAN, outbox, cohort, shown)  # type: ignore[arg-type]


def without_the_site() -> Cohort:
    return Cohort(tuple(slot for slot in COHORT.slots if slot.slot_id != SLOT))


def of_cohort(cohort: Cohort) -> Commit:
    return commit(cohort=cohort.root().hex(), slots=len(cohort.slots))


async def test_a_commit_that_has_all_it_sent_is_sound(outbox: Outbox) -> None:
    judged = await own(outbox, Shown(Trees(), slot=SLOT)).judge(commit())

    assert judged.standing is Standing.SOUND


async def test_another_sites_altered_leaf_is_not_its_business(outbox: Outbox) -> None:
    """A site is shown its own hashes alone; that site, or the auditor, finds it."""
    trees = Trees({(1, 7, 0, SLOT + 1): off_by_one, (0, 0, 1, 0): off_by_one})

    judged = await own(outbox, Shown(trees, slot=SLOT)).judge(commit(trees))

    assert judged.standing is Standing.SOUND


@pytest.mark.parametrize("at", [(0, 0), (0, 31), (1, 7)])
async def test_a_leaf_that_is_not_its_own_is_proved(outbox: Outbox, at: tuple[int, int]) -> None:
    """To the contract, which takes no word of it; and not against an honest commit."""
    trees = Trees({(*at, 0, SLOT): off_by_one})
    false = commit(trees)

    judged = await own(outbox, Shown(trees, slot=SLOT)).judge(false)

    assert judged.standing is Standing.FALSE
    assert f"chunk {at[0]}, leaf {at[1]}" in judged.reason
    assert judged.accusation is not None
    assert judged.accusation.number() is Kind.BAD_LEAF
    assert _convinced(false, judged.accusation.body(), Kind.BAD_LEAF)
    assert not _convinced(commit(), judged.accusation.body(), Kind.BAD_LEAF)


async def test_who_is_left_out_against_its_receipt_proves_it(outbox: Outbox) -> None:
    cohort = without_the_site()
    false = of_cohort(cohort)

    judged = await own(outbox, Shown(Trees()), cohort, dossier(receipt())).judge(false)

    assert judged.standing is Standing.FALSE
    assert judged.accusation is not None
    assert judged.accusation.number() is Kind.OMITTED
    assert _convinced(false, judged.accusation.body(), Kind.OMITTED)


async def test_who_is_shown_a_cohort_and_left_out_of_the_committed_one_proves_it(
    outbox: Outbox,
) -> None:
    """Which slots there are without it, it can tell by itself: nothing has to be demanded."""
    false = of_cohort(without_the_site())

    judged = await own(outbox, Shown(Trees()), kept=dossier(receipt())).judge(false)
    alone = await own(outbox, Shown(Trees())).judge(false)

    assert judged.standing is Standing.FALSE
    assert judged.accusation is not None
    assert judged.accusation.number() is Kind.OMITTED
    assert _convinced(false, judged.accusation.body(), Kind.OMITTED)
    assert alone.standing is Standing.WITHHELD, "without a receipt nothing can be proved"


async def test_another_contribution_in_its_slot_is_proved_by_the_receipt(outbox: Outbox) -> None:
    """Somebody else's update, or an old one of its own."""
    other = Slot(SLOT, b"x" * 32)
    cohort = Cohort(tuple(other if each.slot_id == SLOT else each for each in COHORT.slots))
    false = of_cohort(cohort)

    judged = await own(outbox, Shown(Trees()), cohort, dossier(receipt())).judge(false)
    alone = await own(outbox, Shown(Trees()), cohort).judge(false)

    assert judged.standing is Standing.FALSE
    assert judged.accusation is not None
    assert _convinced(false, judged.accusation.body(), Kind.OMITTED)
    assert (alone.standing, alone.accusation) == (Standing.UNPROVED, None)


async def test_who_was_promised_nothing_is_simply_left_out(outbox: Outbox) -> None:
    """It came too late, or never: nobody is guilty of that."""
    cohort = without_the_site()

    judged = await own(outbox, Shown(Trees()), cohort).judge(of_cohort(cohort))

    assert judged.standing is Standing.LEFT_OUT


async def test_another_cohort_than_was_signed_is_to_be_demanded(outbox: Outbox) -> None:
    """Who shows the members one cohort and commits to another hides the second."""
    judged = await own(outbox, Shown(Trees())).judge(commit(cohort="ab" * 32))

    assert judged.standing is Standing.WITHHELD
    assert judged.demand is not None
    assert (judged.demand.tree, judged.demand.index) == (Tree.COHORT, SLOT)


@pytest.mark.parametrize("ids", [(0, 2, 3, 3), (3, 2, 1, 0), (0, 9, 10, 11), (0, 0, 0, 0, 0), ()])
async def test_answers_lead_to_the_proof_whatever_cohort_was_committed(
    outbox: Outbox, ids: tuple[int, ...]
) -> None:
    """It need not be one that rises, nor has anything in common with the one that was signed."""
    slots = tuple(Slot(each, bytes([each, at]) * 16) for at, each in enumerate(ids))
    false, answers = of_slots(slots), dict[Node, Opening]()
    site = dataclasses.replace(
        own(outbox, Shown(Trees()), kept=dossier(receipt())), answers=lambda: answers
    )

    while (judged := await site.judge(false)).demand is not None:
        assert judged.standing is Standing.WITHHELD
        assert judged.demand not in answers, "each demand is another one"
        answers[judged.demand] = opened(slots, judged.demand.index)

    assert judged.standing is Standing.FALSE
    assert judged.accusation is not None
    assert len(answers) <= len(slots).bit_length()
    assert _convinced(false, judged.accusation.body(), Kind.OMITTED)


async def test_what_another_site_may_prove_this_one_may_not(outbox: Outbox) -> None:
    """Its own slot is where it must be, and what is wrong elsewhere it has no receipt for."""
    slots = (*COHORT.slots[:SLOT], COHORT.slots[SLOT], Slot(40, b"x" * 32))
    answers = {Node(Tree.COHORT, index=at): opened(slots, at) for at in range(len(slots))}
    site = own(outbox, Shown(Trees()), kept=dossier(receipt()))

    judged = await dataclasses.replace(site, answers=lambda: answers).judge(of_slots(slots))
    alone = dataclasses.replace(own(outbox, Shown(Trees())), answers=lambda: answers)

    assert (judged.standing, judged.demand) == (Standing.UNPROVED, None)
    assert "its own slot is there" in judged.reason
    assert "no receipt" in (await alone.judge(of_slots(slots))).reason


def of_slots(slots: tuple[Slot, ...]) -> Commit:
    """A commit of slots that nobody has looked at."""
    root = tree_root([each.node() for each in slots]) if slots else bytes(32)
    return commit(cohort=root.hex(), slots=len(slots))


def opened(slots: tuple[Slot, ...], index: int) -> Opening:
    path = inclusion_path([each.node() for each in slots], index)
    return Opening((slots[index].contribution, *path), b"", slots[index].slot_id)


async def test_paths_that_lead_elsewhere_are_to_be_demanded(outbox: Outbox) -> None:
    """Down to the leaf: on the chain that one is answered or paid for."""
    trees = Trees({(1, 7, 0, SLOT): off_by_one})

    judged = await own(outbox, Shown(Trees(), slot=SLOT)).judge(commit(trees))

    assert judged.standing is Standing.WITHHELD
    assert judged.demand is not None
    assert (judged.demand.tree, judged.demand.index) == (Tree.SUM_TREES, SLOT)


async def test_another_sites_paths_are_no_answer(outbox: Outbox) -> None:
    """The slot is the site's own, whatever the coordinator says it is."""
    judged = await own(outbox, Shown(Trees(), slot=SLOT + 1)).judge(commit())

    assert judged.standing is Standing.WITHHELD


async def test_paths_that_are_not_shown_leave_it_undecided(outbox: Outbox) -> None:
    """Whoever asks again decides when silence is no accident any more."""
    with pytest.raises(NotYet):
        await own(outbox, Shown(Trees(), ("own_paths",))).judge(commit())


async def test_another_plan_is_said_and_cannot_be_proved(outbox: Outbox) -> None:
    judged = await own(outbox, Shown(Trees())).judge(commit(plan="ab" * 32))

    assert judged.standing is Standing.UNPROVED


async def test_under_shares_the_slot_is_all_there_is_to_see(outbox: Outbox) -> None:
    """No words, no sum trees: nothing more is asked for."""
    plan = at_dispute.plan()
    kept = replace(dossier(), plan=plan.digest())
    looked = OwnRound(kept, plan, outbox, COHORT, Shown(Trees(), ("own_paths",)))  # type: ignore[arg-type]

    judged = await looked.judge(commit(plan=plan.digest(), sum_trees="00" * 32))

    assert judged.standing is Standing.SOUND


_VERIFIER = Verifier()


def _convinced(of: Commit, body: bytes, kind: Kind) -> bool:
    context = dataclasses.replace(on_chain.context(of), coordinator=COORDINATOR)
    return bool(_VERIFIER.run(_VERIFIER.verdict_call(context, kind, body)))
