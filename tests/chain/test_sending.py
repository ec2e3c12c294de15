"""One purpose has one effect, whatever the mempool, forks and other processes do."""

import pytest

from privacy.errors import (
    ChainUnavailable,
    FeeAboveCeiling,
    FolderHeld,
    IllegalEvent,
    WrongContext,
)
from tests.chain.door import CEILING, KEY, Door, transfer
from tests.chain.fake_node import GWEI, FakeBlock
from veilsum.chain.sending import STUCK_BLOCKS, Standing
from veilsum.chain.signing import fields_of, name_of
from veilsum.chain.wallet import make_key

LIGHT = 1 << 12


def nonces(door: Door) -> list[int]:
    return [one.nonce for one in door.node.mined()]


def calls(door: Door) -> list[str]:
    """What each mined transaction said, the fees apart."""
    return [fields_of(one.raw)["data"].hex()[-4:] for one in door.node.mined()]


def test_what_is_sent_is_journalled_before_any_node_sees_it(door: Door) -> None:
    """A crash between the two would otherwise sign a second one."""
    door.node.automine = False
    journalled = []

    def look() -> None:
        journalled.append([entry.newest.bytes() for entry in door.open()])
        door.node.mine()

    door.time.then = [look]
    door.send()

    assert journalled == [door.node.seen[:1]]
    assert door.steps.index("chain.after_journal") < door.steps.index("chain.after_broadcast")


def test_a_purpose_is_served_once(door: Door) -> None:
    """Whoever is not sure whether it sent something sends it again."""
    first = door.send("pay")

    again = door.send("pay")

    assert again == first
    assert nonces(door) == [0]


def test_purposes_have_nonces_in_the_order_in_which_they_are_sent(door: Door) -> None:
    """Each is mined before the next one is signed."""
    for purpose in ("one", "two", "three"):
        door.send(purpose)

    assert nonces(door) == [0, 1, 2]


def test_what_is_posted_waits_for_no_block(door: Door) -> None:
    """Answers have deadlines: many go into one block."""
    door.node.automine = False

    for at, purpose in enumerate(("one", "two", "three")):
        door.post(purpose, at)

    assert door.time.seconds == 0.0
    assert [entry.nonce for entry in door.open()] == [0, 1, 2]
    door.node.mine()
    assert nonces(door) == [0, 1, 2]


def test_what_is_posted_again_is_looked_after_and_sent_once(door: Door) -> None:
    """Also when a node has forgotten it, a fork has undone it, or another process asks."""
    door.node.automine = False
    door.post("pay")
    door.node.pool.clear()
    door.post("pay")
    door.node.mine()
    door.node.reorganise(1)
    door.post("pay")
    door.node.mine()

    door.post("pay")

    assert nonces(door) == [0]
    assert len(set(door.node.seen)) == 1


def test_already_known_means_go_and_look(door: Door) -> None:
    """A node that has it already refuses it, and has it all the same."""
    door.node.automine = False
    with pytest.raises(ChainUnavailable, match="not mined yet"):
        door.send(patience_seconds=0.1)
    door.time.then = [door.node.mine]

    receipt = door.send()

    assert [name_of(raw) for raw in door.node.seen] == [receipt.transaction] * 2
    assert nonces(door) == [0]


def test_nonce_too_low_means_go_and_look(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was mined between two questions: the receipt is there by then."""
    door.node.automine = False
    with pytest.raises(ChainUnavailable):
        door.send(patience_seconds=0.1)
    late, count = type(door.node).eth_getTransactionCount, 0

    def slowly(node, address, which):
        nonlocal count
        count += 1
        if count == 1:
            known = late(node, address, which)
            node.mine()
            return known
        return late(node, address, which)

    monkeypatch.setattr(type(door.node), "eth_getTransactionCount", slowly)
    receipt = door.send()

    assert [one.name for one in door.node.mined()] == [receipt.transaction]


def test_a_nonce_comes_from_the_journal_and_the_mined_count(door: Door) -> None:
    """Never from a pool, whose transactions may vanish."""
    door.node.automine = False
    for purpose in ("one", "two"):
        with pytest.raises(ChainUnavailable):
            door.send(purpose, patience_seconds=0.1)
    door.node.forget()

    with pytest.raises(ChainUnavailable):
        door.send("three", patience_seconds=0.1)

    assert [entry.nonce for entry in door.open()] == [0, 1, 2]
    assert sorted(nonce for _, nonce in door.node.pool) == [0, 1, 2]


def test_a_fork_is_answered_with_every_transaction_in_order(door: Door) -> None:
    """The last one alone would wait for ever behind those before it."""
    door.node.finalized = 0
    sent = [door.send(f"pay-{units}", units) for units in (1, 2, 3)]
    door.node.reorganise(3)
    assert nonces(door) == []
    door.node.automine = False
    door.node.seen.clear()

    standing = door.tend()
    door.node.mine()

    assert standing == Standing(pending=3, mined=0)
    assert [fields_of(raw)["nonce"] for raw in door.node.seen] == [0, 1, 2]
    assert [one.name for one in door.node.mined()] == [each.transaction for each in sent]


def test_what_is_sent_again_after_a_fork_is_not_replaced_for_its_age(door: Door) -> None:
    """It was mined at once when it was first sent; a node has it only since now."""
    door.node.finalized = 0
    door.send()
    door.node.mine(2 * STUCK_BLOCKS)
    door.node.automine = False
    door.node.reorganise(2 * STUCK_BLOCKS + 1)

    door.tend()

    assert [len(entry.versions) for entry in door.open()] == [1]
    assert len(door.node.pool) == 1


def test_a_purpose_that_a_fork_undid_is_mined_again_when_it_is_asked_for(door: Door) -> None:
    """A dropped commit is committed again, and what came before it first."""
    door.node.finalized = 0
    door.send("one", 1)
    door.send("two", 2)
    door.node.reorganise(2)

    door.send("two", 2)

    assert calls(door) == ["0001", "0002"]


def test_what_is_final_is_never_looked_at_again(door: Door) -> None:
    """Years of rounds must not make each send slower."""
    door.send("one")
    door.tend()
    asked = len(door.node.asked)

    standing = door.tend()

    assert standing == Standing(0, 0)
    assert "eth_getTransactionReceipt" not in door.node.asked[asked:]


def test_what_is_not_final_is_kept_in_hand(door: Door) -> None:
    """A block that may be undone proves nothing."""
    door.node.finalized = 0

    door.send("one")

    assert door.tend() == Standing(pending=0, mined=1)
    door.node.finalized = "head"
    assert door.tend() == Standing(pending=0, mined=0)


def test_a_chain_without_a_word_for_final_is_waited_for_in_blocks(door: Door) -> None:
    """Sixty-four of them, or as many as the settings say."""
    door.node.finalized = None
    receipt = door.send("one")
    door.node.mine(63)

    with pytest.raises(ChainUnavailable, match="final are those up to 0; run this again"):
        door.endpoint().require_final(receipt)
    door.node.mine()

    door.endpoint().require_final(receipt)
    with pytest.raises(ChainUnavailable, match="final are those up to 0"):
        door.endpoint(finality_blocks=65).require_final(receipt)


def test_a_receipt_of_a_block_that_was_undone_is_not_final(door: Door) -> None:
    """The number is the same, and the block another."""
    receipt = door.send("one")
    door.node.reorganise(1)

    with pytest.raises(ChainUnavailable, match="run this again"):
        door.endpoint().require_final(receipt)


# -- fees ------------------------------------------------------------------------------


def test_a_base_fee_that_rises_above_what_was_offered_is_followed(door: Door) -> None:
    """With the same nonce, so that one of the two is mined, and not both."""
    door.node.automine = False
    with pytest.raises(ChainUnavailable):
        door.send(patience_seconds=0.1)
    door.node.base = 20 * GWEI
    door.time.then = [door.node.mine]

    receipt = door.send()

    (entry,) = door.open() or [door.journal.find(door.endpoint().chain, "pay")]
    old, new = (fields_of(version.bytes()) for version in entry.versions)
    assert new["maxFeePerGas"] > 20 * GWEI > old["maxFeePerGas"]
    assert new["maxPriorityFeePerGas"] > old["maxPriorityFeePerGas"]
    fees = {"maxFeePerGas", "maxPriorityFeePerGas"}
    assert {name for name in old if old[name] != new[name]} == fees
    assert receipt.transaction == name_of(entry.newest.bytes())
    assert nonces(door) == [0]


def test_a_replacement_that_loses_is_found_by_its_nonce(door: Door) -> None:
    """A miner may have the older version: it is the same purpose."""
    door.node.automine = False
    with pytest.raises(ChainUnavailable):
        door.send(patience_seconds=0.1)
    older = door.node.seen[0]
    door.node.base = 20 * GWEI
    with pytest.raises(ChainUnavailable):
        door.send(patience_seconds=0.1)
    door.node.base = GWEI
    door.node.pool[KEY.address, 0] = older
    door.node.mine()

    receipt = door.send()

    assert receipt.transaction == name_of(older)
    assert nonces(door) == [0]


def test_one_that_others_overtake_is_replaced_after_some_blocks(door: Door) -> None:
    """A tip that was enough once is not enough for ever."""
    door.node.automine = False
    with pytest.raises(ChainUnavailable):
        door.send(patience_seconds=0.1)
    waiting, door.node.pool = door.node.pool, {}
    door.node.mine(STUCK_BLOCKS - 1)
    door.node.pool = waiting

    door.tend()
    before = len(door.open()[0].versions)
    door.node.pool, held = {}, door.node.pool
    door.node.mine()
    door.node.pool = held
    door.tend()

    assert (before, len(door.open()[0].versions)) == (1, 2)


def test_one_that_waits_for_another_is_not_replaced(door: Door) -> None:
    """Only the first in line is passed over; those behind it pay no more for that."""
    door.node.automine = False
    for purpose in ("one", "two"):
        with pytest.raises(ChainUnavailable):
            door.send(purpose, patience_seconds=0.1)
    door.node.base = 3 * GWEI + 1

    door.tend()

    assert [len(entry.versions) for entry in door.open()] == [2, 1]


def test_above_the_ceiling_nothing_is_signed(door: Door) -> None:
    """It waits, and says so."""
    door.node.base = CEILING

    with pytest.raises(FeeAboveCeiling, match=r"101\.000 gwei and at most 100\.000 is paid"):
        door.send()

    assert door.open() == ()
    assert door.node.seen == []


def test_above_the_ceiling_nothing_is_replaced_and_below_it_all_goes_on(door: Door) -> None:
    """What was offered stands, and is never more than was allowed."""
    door.node.automine = False
    with pytest.raises(ChainUnavailable):
        door.send(patience_seconds=0.1)
    door.node.base = CEILING + 1

    with pytest.raises(FeeAboveCeiling):
        door.send()
    (entry,) = door.open()
    door.node.base, door.time.then = GWEI, [door.node.mine]
    receipt = door.send()

    assert len(entry.versions) == 1
    assert receipt.transaction == name_of(entry.newest.bytes())
    assert all(fields_of(raw)["maxFeePerGas"] <= CEILING for raw in door.node.seen)


def test_a_node_that_lies_about_fees_gets_no_more_than_the_ceiling(door: Door) -> None:
    """An endpoint that works with a miner would otherwise name its price."""
    door.node.tip = 10**6 * GWEI

    with pytest.raises(FeeAboveCeiling):
        door.send()

    assert door.node.seen == []


# -- others, and failures ----------------------------------------------------------------


def test_a_nonce_that_somebody_else_used_is_not_given_up_before_that_is_final(door: Door) -> None:
    """What a fork brings back would be a second effect."""
    door.node.automine, door.node.finalized = False, 0
    with pytest.raises(ChainUnavailable):
        door.send(patience_seconds=0.1)
    door.node.forget()
    door.node.use_nonce(KEY.address, 0)

    with pytest.raises(ChainUnavailable, match="find who else sends with this key"):
        door.send()
    assert [entry.nonce for entry in door.open()] == [0]
    door.node.finalized, door.node.automine = "head", True
    door.send()

    assert nonces(door) == [0, 1]


def test_a_failed_transaction_is_sent_anew_only_when_its_failure_is_final(door: Door) -> None:
    """A fork could make it succeed after all."""
    door.node.finalized, door.node.succeeds = 0, False
    for _ in range(2):
        with pytest.raises(IllegalEvent, match="was mined and failed"):
            door.send()
    assert nonces(door) == [0]
    door.node.finalized, door.node.succeeds = "head", True

    door.send()

    assert nonces(door) == [0, 1]


def test_two_processes_do_not_send_with_one_key(door: Door) -> None:
    """They would take the same nonce."""
    endpoint = door.endpoint()

    with (
        door.journal.held(endpoint.chain, KEY.address),
        pytest.raises(FolderHeld, match="another process sends with the key"),
    ):
        door.send()

    assert door.node.seen == []
    door.send()


def test_a_purpose_stays_with_the_key_that_signed_it(door: Door) -> None:
    """With another key it would have another nonce, and a second effect."""
    door.send()
    other = make_key(door.folder / "other.json", "word", work_factor=LIGHT)
    endpoint = door.endpoint()

    with pytest.raises(WrongContext, match=KEY.address):
        endpoint.send(other, door.journal, "pay", transfer(endpoint, 1))

    assert nonces(door) == [0]


def test_a_journal_of_a_chain_that_is_gone_is_no_journal_of_this_one(door: Door) -> None:
    """A test chain that is begun again has the number of the old one, and other blocks."""
    door.send()
    door.node.genesis = "0x" + "22" * 32
    door.node.blocks = [FakeBlock(door.node.genesis)]

    door.send()

    assert nonces(door) == [0]


def test_a_key_without_ether_is_told_so(door: Door) -> None:
    """Its operator can send it some and run the same again."""
    door.node.balance = 0

    with pytest.raises(ChainUnavailable, match="has no ether for gas; send it some"):
        door.send()


def test_gas_is_asked_for_with_a_margin_and_never_above_what_a_chain_allows(door: Door) -> None:
    """What a call needs may change until it is mined; the margin is not paid."""
    door.send("one")
    door.node.eth_estimateGas = lambda *_: hex((1 << 24) - 5)
    door.send("two")

    assert [fields_of(one.raw)["gas"] for one in door.node.mined()] == [50_000, 1 << 24]
