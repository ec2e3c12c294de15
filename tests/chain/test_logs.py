"""What was logged: told by each endpoint by itself, in ranges that a node accepts."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest
import requests
from hexbytes import HexBytes
from web3.exceptions import Web3RPCError as RpcError

from privacy.errors import ChainUnavailable
from veilsum.chain import logs
from veilsum.chain.logs import block_at, earliest_block_at, logged

WHERE = {"programme": b"\x01" * 32}


@dataclass
class Node:
    """An endpoint that has logged something, and searches so many blocks at once."""

    name: str
    head: int = 100
    has: dict[int, str] = field(default_factory=dict)
    most: int = 10**9
    down: bool = False
    asked: list[tuple[int, int]] = field(default_factory=list)

    @property
    def block_number(self) -> int:
        if self.down:
            raise requests.ConnectionError(self.name)
        return self.head

    @property
    def eth(self) -> Node:
        return self

    @property
    def provider(self) -> str:
        return self.name

    def contract(self, address: str, abi: object) -> SimpleNamespace:
        return SimpleNamespace(events={"Demanded": lambda: self})

    def get_logs(self, from_block: int, to_block: int, argument_filters: object) -> list[dict]:
        assert argument_filters == WHERE
        self.asked.append((from_block, to_block))
        if to_block - from_block + 1 > self.most:
            raise RpcError("query exceeds the range of blocks")
        return [
            {
                "blockNumber": block,
                "logIndex": 0,
                "blockHash": HexBytes(what.encode()),
                "transactionHash": HexBytes(b"\x01" + what.encode()),
                "args": {"is": what},
            }
            for block, what in self.has.items()
            if from_block <= block <= to_block
        ]

    def get_block(self, number: int) -> dict[str, int]:
        return {"timestamp": 1_000 + 12 * number}


def found(*nodes: Node, first: int = 0) -> logs.Found:
    endpoint = SimpleNamespace(finality=SimpleNamespace(each=nodes))
    contract = SimpleNamespace(address="0x" + "70" * 20, abi=[])
    return logged(endpoint, contract, "Demanded", WHERE, first)


def told(answer: logs.Found) -> list[tuple[int, str]]:
    return [(each.block, each.arguments["is"]) for each in answer.events]


def test_what_both_endpoints_tell_is_one_event() -> None:
    answer = found(Node("a", has={7: "x"}), Node("b", has={7: "x"}))

    assert told(answer) == [(7, "x")]
    assert answer.by_all


def test_what_one_endpoint_hides_the_other_tells() -> None:
    """That nothing was logged, nobody can prove."""
    answer = found(Node("a"), Node("b", has={7: "x", 9: "y"}))

    assert told(answer) == [(7, "x"), (9, "y")]


def test_blocks_of_two_forks_are_both_told() -> None:
    answer = found(Node("a", has={7: "x"}), Node("b", has={7: "z"}))

    assert len(answer.events) == 2


def test_an_endpoint_that_is_away_is_said_and_the_other_one_counts() -> None:
    answer = found(Node("a", down=True), Node("b", has={7: "x"}))

    assert told(answer) == [(7, "x")]
    assert not answer.by_all


def test_where_no_endpoint_answers_nothing_is_taken_for_nothing_logged() -> None:
    with pytest.raises(ChainUnavailable):
        found(Node("a", down=True), Node("b", down=True))


def test_no_range_is_larger_than_nodes_accept() -> None:
    """Most search a thousand blocks at once, and some ten."""
    node = Node("a", head=2_500, has={0: "first", 999: "edge", 1_000: "next", 2_500: "last"})

    answer = found(node)

    assert [what for _, what in told(answer)] == ["first", "edge", "next", "last"]
    assert node.asked == [(0, 999), (1_000, 1_999), (2_000, 2_500)]


@pytest.mark.parametrize("most", [1, 10, 700])
def test_a_node_that_refuses_a_range_is_asked_for_less(most: int) -> None:
    node = Node("a", head=1_300, has={0: "x", 650: "y", 1_300: "z"}, most=most)

    answer = found(node)

    assert [what for _, what in told(answer)] == ["x", "y", "z"]
    taken = [each for each in node.asked if each[1] - each[0] + 1 <= most]
    covered = [block for first, last in taken for block in range(first, last + 1)]
    assert covered == list(range(1_301))


def test_a_node_that_refuses_one_block_is_away() -> None:
    with pytest.raises(ChainUnavailable):
        found(Node("a", most=0))


def test_a_node_is_asked_no_further_than_it_has_come() -> None:
    """Some answer with an error, and some with nothing, about blocks that they do not have."""
    behind = Node("a", head=40)

    found(behind, Node("b", head=90), first=60)

    assert behind.asked == []


def test_what_both_have_told_of_is_known() -> None:
    """Whoever watches goes on from there."""
    assert found(Node("a", head=40), Node("b", head=90)).until == 40
    assert found(Node("a", down=True), Node("b", head=90), first=7).until == 6


def test_an_endpoint_of_endless_blocks_keeps_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has a deadline hears what it and the other one have told until then."""
    clock = itertools.count()
    monkeypatch.setattr(logs.time, "monotonic", lambda: next(clock))
    liar = Node("a", head=1 << 62, has={7: "x"})

    answer = found(liar, Node("b", has={9: "y"}))

    assert told(answer) == [(7, "x"), (9, "y")]
    assert not answer.by_all
    assert len(liar.asked) <= logs.TELLING_SECONDS
    assert answer.until == 100


def test_each_event_has_its_transaction() -> None:
    [event] = found(Node("a", has={7: "x"})).events

    assert event.transaction == "0x0178"


def test_the_earliest_block_of_a_time_is_that_of_any_endpoint() -> None:
    """One that lies must not have demands passed over."""
    ahead, away = Node("b", head=100), Node("c", down=True)
    ahead.get_block = lambda _: {"timestamp": 0}
    endpoint = SimpleNamespace(finality=SimpleNamespace(each=(ahead, Node("a"), away)))

    assert earliest_block_at(endpoint, 1_120) == 10
    with pytest.raises(ChainUnavailable, match="no endpoint tells"):
        earliest_block_at(SimpleNamespace(finality=SimpleNamespace(each=(away,))), 5)


@pytest.mark.parametrize(
    ("seconds", "block"), [(0, 0), (1_000, 0), (1_001, 1), (1_012, 1), (1_013, 2), (10**9, 100)]
)
def test_the_first_block_of_a_time_is_found(seconds: int, block: int) -> None:
    assert block_at(SimpleNamespace(web3=Node("a")), seconds) == block


def test_few_blocks_are_looked_at_for_a_time() -> None:
    """A chain has millions."""
    node, looked = Node("a", head=30_000_000), []
    read = node.get_block
    node.get_block = lambda number: looked.append(number) or read(number)

    found_at = block_at(SimpleNamespace(web3=node), 1_000 + 12 * 123_456)

    assert found_at == 123_456
    assert len(looked) <= 25
