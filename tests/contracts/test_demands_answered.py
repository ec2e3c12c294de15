"""Demands on a chain with the real contracts: the coordinator's door hears and answers them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from coordinator.adapters.chain import SettlementChain, _commit, attach
from coordinator.settling.disputes import LOOKS_IN_A_RESPONSE, Disputes, demand_id
from coordinator.settling.settlement import End
from privacy.errors import ChainUnavailable
from privacy.settlement.sum_proof import Node, Tree
from tests.chain.dripping import dripping
from tests.contracts.settlement_run import Run, settlement_run
from tests.coordinator.settling.settled_round import SettledRound
from tests.fakes import make_plan
from veilsum.chain.endpoint import connect
from veilsum.demo.chain import embedded_chain

HOUR = 3600
RESPONSE = 600
EVERY_TREE = (
    Node(Tree.SUM_TREES, 1, 31, 2, 0),
    Node(Tree.SUM_TREES, 0, 7, 0, 3),
    Node(Tree.PUBLISHED_SUM, 1, 4),
    Node(Tree.COHORT, index=2),
    Node(Tree.CONTRIBUTION, 0, 9, 0, 1),
)


@dataclass(frozen=True)
class Asked:
    """A committed round on a chain, whoever demands, and the coordinator's watch of it."""

    run: Run
    settled: SettledRound
    url: str

    def beside(self, second: str) -> SettlementChain:
        """The same contract, by a second endpoint as well."""
        endpoint = connect(self.url, second=second, answer_seconds=0.5)
        chain = self.run.chain
        return attach(endpoint, chain.key, self.run.journal, chain.contract.address)

    def disputes(self, chain: SettlementChain | None = None) -> Disputes:
        """Return the watch as a new process has it."""
        self.settled.start()
        return Disputes(
            self.run.programme,
            self.settled.federation.service.store,
            self.settled.settlement,
            lambda: chain or self.run.chain,
            self.settled.openings.of,
        )

    def demand(self, node: Node) -> bytes:
        chain, commit = self.run.chain, self.settled.commit()
        chain._approve(f"allow-{node.tree}-{node.leaf}", self.run.programme, chain.vault, 10)
        arithmetic, _ = self.settled.federation.service.archive.plan_parts(1)
        place = (node.tree, node.chunk, node.leaf, node.level, node.index)
        call = chain.contract.functions.demand(_commit(commit), place, arithmetic)
        chain._send(f"demand-{node.tree}-{node.leaf}", call)
        return demand_id(self.run.programme, 1, node)

    def bonded(self) -> int:
        return self.run.chain._bonded(self.run.programme)

    def sent(self) -> int:
        return self.run.endpoint.web3.eth.get_transaction_count(self.run.chain.key.address)


@pytest.fixture
def asked(tmp_path: Path) -> Iterator[Asked]:
    digest = make_plan().arithmetic.digest()
    with embedded_chain() as url:
        run = settlement_run(
            url, tmp_path, sites=1, window=HOUR, response=RESPONSE, arithmetic=digest
        )
        settled = SettledRound(chain=run.chain, domain=run.chain.domain(run.programme))
        settled.freeze()
        yield Asked(run, settled.finish(), url)


def test_a_demand_for_each_tree_is_answered_and_pays_its_bond(asked: Asked) -> None:
    """What the contract takes is what was opened from stored contributions."""
    names = [asked.demand(node) for node in EVERY_TREE]
    assert [asked.run.chain.asked(name).closed for name in names] == [False] * 5

    asked.disputes().look()

    assert [asked.run.chain.asked(name).closed for name in names] == [True] * 5
    assert asked.run.chain.answered_by(names[0]).startswith("0x")


def test_an_answer_is_sent_once_whatever_process_looks(asked: Asked) -> None:
    """The journal knows it, and so does the contract."""
    asked.demand(EVERY_TREE[0])
    asked.disputes().look()
    sent = asked.sent()

    first = asked.disputes()
    first.look()
    first.look()

    assert asked.sent() == sent
    assert first.waiting == 0


def test_killed_behind_the_journal_it_answers_with_what_was_signed(asked: Asked) -> None:
    """Two answers would be two nonces, and one that is refused pays gas for nothing."""

    class Killed(BaseException):
        pass

    def dies(place: str) -> None:
        if place == "chain.after_journal":
            raise Killed

    name, before = asked.demand(EVERY_TREE[1]), asked.sent()
    endpoint = asked.run.endpoint
    dying = replace(endpoint, terms=replace(endpoint.terms, step=dies))
    with pytest.raises(Killed):
        asked.disputes(replace(asked.run.chain, endpoint=dying)).look()
    assert asked.sent() == before

    asked.disputes().look()

    assert asked.sent() == before + 1
    assert asked.run.chain.asked(name).closed


def test_a_round_that_has_matured_is_closed_and_not_before(asked: Asked) -> None:
    """Its contributions may go then, and no answer is owed any more."""
    settled, chain = asked.settled, asked.run.chain
    asked.disputes().look()
    assert settled.settlement.holds(1)

    matures_at = chain.stands(asked.run.programme, 1).matures_at
    later = Later(chain, matures_at)
    disputes = asked.disputes(later)
    disputes.look()

    assert settled.settlement.ends() == {1: End.MATURED}
    assert not settled.settlement.holds(1)
    assert disputes.rounds["open"] == 1
    disputes.look()
    assert disputes.rounds == {"matured": 1, "open": 0}


@dataclass(frozen=True)
class Later:
    """The same chain when a time has come."""

    chain: SettlementChain
    seconds: int

    def __getattr__(self, name: str) -> object:
        return getattr(self.chain, name)

    def is_settled(self, programme: str, number: int) -> bool:
        return self.chain.stands(programme, number).matures_at <= self.seconds


def test_a_chain_that_is_away_is_asked_again(asked: Asked) -> None:
    name = asked.demand(EVERY_TREE[3])

    def away() -> SettlementChain:
        raise ChainUnavailable("down")

    disputes = asked.disputes()
    chain, disputes.attach = disputes.attach, away
    with pytest.raises(ChainUnavailable):
        disputes.look()
    disputes.attach = chain
    disputes.look()

    assert asked.run.chain.asked(name).closed


@pytest.mark.parametrize("has_looked", [True, False], ids=["looked before", "never looked"])
def test_a_demand_is_answered_while_the_second_endpoint_drips(
    asked: Asked, *, has_looked: bool
) -> None:
    """It says a byte now and then, for ever: for what is final it counts as away."""
    if has_looked:
        asked.disputes().look()
    name, began = asked.demand(EVERY_TREE[3]), time.monotonic()
    with dripping("header") as address:
        disputes = asked.disputes()
        disputes.attach = lambda: asked.beside(f"http://{address}")

        with pytest.raises(ChainUnavailable):
            disputes.look()

    assert asked.run.chain.asked(name).closed
    assert time.monotonic() - began < RESPONSE / LOOKS_IN_A_RESPONSE
