"""What members are shown of a commit: their own, in hashes, and what it proves."""

import os

import pytest
from structlog.testing import capture_logs

from coordinator.settling.settlement import End
from privacy.errors import (
    ChainUnavailable,
    ConfigError,
    InvalidSignature,
    MalformedMessage,
    NotYet,
    WrongContext,
)
from privacy.merkle import tree_root, verify_inclusion
from privacy.settlement.commitment import Slot, typed_receipt
from privacy.settlement.sum_proof import Node, Opening, Tree
from privacy.settlement.sum_tree import Served, unpack_levels
from privacy.settlement.sum_verdict import opens
from tests.coordinator.settling.settled_round import DOMAIN, SettledRound, settled_round
from tests.coordinator.settling.test_openings import LEAVES, context
from tests.fakes import SITES, root_of, seed_of

CHUNKS = 2


@pytest.fixture(scope="module")
def done():
    return settled_round()


@pytest.fixture(scope="module")
def without_last():
    """Three sites of four: the last is in no cohort."""
    return settled_round(SITES[:3])


# -- commits ---------------------------------------------------------------------------


def test_a_commit_is_shown_once_it_is_on_the_chain(done):
    assert done.shown.commit(1).digest() == done.chain.commits[0]

    with pytest.raises(NotYet):
        done.shown.commit(2)


def test_a_commit_that_is_not_sent_yet_is_not_shown():
    """What is on no chain binds nobody."""
    early = SettledRound()
    early.freeze()
    early.federation.finish()

    with pytest.raises(NotYet):
        early.shown.commit(1)


# -- receipts --------------------------------------------------------------------------


def test_a_receipt_is_given_as_soon_as_the_cohort_is_frozen():
    """Before anything is released or committed: that is when it is worth something."""
    early = SettledRound()
    early.federation.open_round()
    with pytest.raises(NotYet):
        early.shown.receipt(SITES[1], 1)
    for name in SITES:
        early.federation.contribute(name)
    early.federation.tick()

    receipt = early.shown.receipt(SITES[1], 1)

    roots = [root_of(seed_of(SITES[1], 1), chunk) for chunk in range(CHUNKS)]
    assert receipt.slot == Slot(1, tree_root(roots))
    assert early.signed == [typed_receipt(DOMAIN, 1, receipt.slot)]
    assert receipt.signature[:32] == early.signed[0].digest()


def test_a_receipt_is_signed_once_and_stored_before_it_is_shown():
    """After a crash the same one: two that differ would be proofs against each other."""
    early = SettledRound()
    early.freeze()
    first = early.shown.receipt(SITES[0], 1)

    early.start()

    assert early.shown.receipt(SITES[0], 1) == first
    assert len(early.signed) == 1


def test_nothing_is_shown_of_a_receipt_that_could_not_be_stored(monkeypatch):
    """What the coordinator does not know that it promised, it could break."""
    early = SettledRound()
    early.freeze()
    store = early.federation.service.store

    def fails(*_):
        raise ConfigError("the disk is full")

    monkeypatch.setattr(store, "put_document", fails)
    with pytest.raises(ConfigError):
        early.shown.receipt(SITES[0], 1)


def test_each_site_is_given_its_own_receipt_and_the_slots_are_those_of_the_commit(done):
    slots = [done.shown.receipt(name, 1).slot for name in SITES]

    assert tuple(slots) == done.slots().slots
    assert len(set(slots)) == len(SITES)


@pytest.mark.parametrize("caller", [SITES[3], "auditor", "hospital-z"])
def test_who_is_not_in_the_cohort_is_promised_nothing(without_last, caller):
    """A receipt for somebody who was left out is a proof of omission."""
    before = len(without_last.signed)

    with pytest.raises(WrongContext, match="not in the cohort"):
        without_last.shown.receipt(caller, 1)
    with pytest.raises(WrongContext, match="not in the cohort"):
        without_last.shown.paths(caller, 1, 0)

    assert len(without_last.signed) == before


@pytest.mark.parametrize("error", [ChainUnavailable, InvalidSignature, ConfigError])
def test_a_key_that_cannot_sign_now_is_asked_again_the_next_time(error):
    """Where it is, and what it did, is said to the operator alone; nothing of it is kept."""
    early = SettledRound()
    early.freeze()
    signs = early.shown.sign

    def fails(_):
        raise error("the signer at https://10.0.0.7:9000 is away")

    object.__setattr__(early.shown, "sign", fails)
    with capture_logs() as logs, pytest.raises(ChainUnavailable, match="Ask again") as told:
        early.shown.receipt(SITES[0], 1)
    object.__setattr__(early.shown, "sign", signs)
    early.shown.receipt(SITES[0], 1)

    (line,) = [each for each in logs if each["event"] == "receipt_not_signed"]
    assert (line["code"], line["round"]) == (error.code, 1)
    assert "10.0.0.7" in line["reason"]
    assert "10.0.0.7" not in str(told.value)


def test_of_two_signatures_on_one_receipt_the_first_that_was_stored_is_shown():
    """A site asks twice at once, and some signers never sign the same twice."""
    early = SettledRound()
    early.freeze()
    first = []

    def signs(said):
        if not first:
            first.append(None)  # its second call comes while the first is signed
            first[0] = early.shown.receipt(SITES[0], 1)
        return said.digest() + os.urandom(32) + b"\x1b"

    object.__setattr__(early.shown, "sign", signs)
    later = early.shown.receipt(SITES[0], 1)

    assert later == first[0] == early.shown.receipt(SITES[0], 1)


# -- sum paths -------------------------------------------------------------------------


@pytest.mark.parametrize("sites", [SITES, SITES[:3]])
@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_every_leaf_of_every_site_leads_to_the_committed_trees(sites, chunk, done, without_last):
    """As the contract walks: the steps of a proof, neither too few nor too many."""
    settled = done if len(sites) == len(SITES) else without_last
    arithmetic, _ = settled.federation.service.archive.plan_parts(1)
    for index, name in enumerate(sites):
        own, paths = settled.shown.paths(name, 1, chunk)

        assert (own.index, own.slot_id) == (index, SITES.index(name))
        slot = settled.slots().slots[index]
        root = bytes.fromhex(settled.commit().cohort)
        verify_inclusion(slot.node(), index, len(sites), own.path, root)
        assert len(paths) == LEAVES
        for leaf in (0, 13, LEAVES - 1):
            node = Node(Tree.SUM_TREES, chunk, leaf, 0, index)
            opening = Opening((paths[leaf].digest, *paths[leaf].steps), arithmetic)
            assert opens(context(settled), node, opening)
        of_site = root_of(seed_of(name, 1), chunk)
        assert tree_root([path.digest for path in paths]) == of_site


def test_a_site_is_shown_no_digest_that_is_not_of_its_own_way(done):
    """Hashes of others' leaves only where they are beside its own way up."""
    _, paths = done.shown.paths(SITES[0], 1, 0)
    _, of_last = done.shown.paths(SITES[3], 1, 0)

    assert {path.digest for path in of_last}.isdisjoint(
        step for path in paths for step in path.steps
    )


@pytest.mark.parametrize("chunk", [CHUNKS, 1 << 30])
def test_a_chunk_that_is_none_is_refused(done, chunk):
    with pytest.raises(MalformedMessage):
        done.shown.paths(SITES[0], 1, chunk)
    with pytest.raises(MalformedMessage):
        done.shown.tree(1, chunk, 0)


# -- sum trees -------------------------------------------------------------------------


def test_an_auditor_is_shown_all_that_leads_to_the_root(done):
    """`Served.check` is what it does with it."""
    roots = hashes(done.shown.tree(1, None, None))
    tops = hashes(done.shown.tree(1, 1, None))
    levels = unpack_levels(done.shown.tree(1, 1, 5), done.commit().slots)

    Served(1, 5, roots, tops, levels).check(bytes.fromhex(done.commit().sum_trees))

    assert len(roots) == CHUNKS


def hashes(packed):
    return tuple(packed[at : at + 32] for at in range(0, len(packed), 32))


def test_a_leaf_of_no_chunk_is_refused(done):
    with pytest.raises(MalformedMessage, match="name it, too"):
        done.shown.tree(1, None, 0)


def test_what_can_be_disputed_no_more_is_not_shown():
    """It is erased then, and a site must not take that for a withheld tree."""
    settled = settled_round()
    settled.shown.paths(SITES[0], 1, 0)

    settled.settlement.close(1, End.MATURED)

    with pytest.raises(WrongContext, match="disputed no more"):
        settled.shown.paths(SITES[0], 1, 0)
    with pytest.raises(WrongContext, match="disputed no more"):
        settled.shown.tree(1, None, None)


def test_nothing_is_erased_that_can_still_be_disputed():
    """Retention asks; a round that is committed keeps all that an answer is made of."""
    settled = settled_round()
    service, names_of = settled.federation.service, settled.federation.objects.names
    before = names_of("rounds/000001/contributions")

    service.retention.erase(1)
    service.retention.sweep(1)
    kept = [name for name in before if name in names_of("rounds/000001/contributions")]
    assert {name.split("/")[3] for name in kept} == set(SITES)
    settled.openings.of(settled.commit(), Node(Tree.CONTRIBUTION, 1, 3, 0, 2))

    settled.settlement.close(1, End.MATURED)
    service.retention.erase(1)

    assert names_of("rounds/000001/contributions") == []
