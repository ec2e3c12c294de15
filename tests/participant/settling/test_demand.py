"""Demand: what is not shown is answered on the chain in time, or costs the coordinator its bond."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from msgspec.structs import replace
from web3.types import TxReceipt

from coordinator.settling.settle import Statement
from participant.settling import challenge, demand
from participant.settling.demand import Demander, answers_of, demand_of, node_of, tree_named
from participant.settling.programme import Programme, commit_of, programme_at
from participant.settling.standing import standing_of
from privacy.errors import ConfigError, IllegalEvent, NotYet, RootMismatch, WrongContext
from privacy.settlement.abi import WORD
from privacy.settlement.commitment import Cohort, Slot
from privacy.settlement.sum_proof import Hashes, Node, Opening, Tree
from tests.contracts import settlement_run as running
from tests.contracts.settlement_run import BOND, Run, settlement_run
from tests.participant.settling.offers import HOUR
from veilsum.chain.endpoint import checksummed
from veilsum.chain.journal import FolderJournal
from veilsum.chain.logs import Found
from veilsum.demo.chain import embedded_chain

NODE = Node(Tree.COHORT, index=1)
DEMAND_BOND = 10
COHORT = Cohort(tuple(Slot(3 * at, bytes([at]) * 32) for at in range(4)))


@dataclass(frozen=True)
class Committed:
    """A chain on which round 3 is committed, and somebody who has tokens for a demand."""

    run: Run
    made: Statement
    folder: Path

    @property
    def journal(self) -> FolderJournal:
        return FolderJournal(self.folder)

    def demander(self) -> Demander:
        contract = str(self.run.chain.contract.address)
        return Demander(self.run.endpoint, self.run.gas_key, self.journal, contract)

    def programme(self) -> Programme:
        contract = str(self.run.chain.contract.address)
        return programme_at(self.run.endpoint, contract, self.run.programme)

    def answer(self, node: Node) -> None:
        steps = (COHORT.slots[node.index].contribution, *COHORT.path(node.index))
        opening = Opening(steps, b"", COHORT.slots[node.index].slot_id)
        call = self.run.chain.contract.functions.answer(
            challenge.fields(self.made.commit), node_of(node), opening.encode()
        )
        purpose = f"answer-{self.run.programme}-{node.index}"
        self.run.endpoint.send(self.run.chain.key, self.run.journal, purpose, call)

    def answer_oddly(self, node: Node, opening: bytes) -> None:
        """Answer by way of a contract that calls the settlement, with what nobody signs for."""
        call = self.run.chain.contract.functions.answer(
            challenge.fields(self.made.commit), node_of(node), opening
        )
        made = self.mined({"data": relay_to(str(self.run.chain.contract.address))})
        relayed = call.build_transaction({"from": self.run.chain.key.address})["data"]
        # The last byte stands behind the opening.
        self.mined({"to": made["contractAddress"], "data": relayed[:-2] + "66"})

    def mined(self, fields: dict[str, str]) -> TxReceipt:
        key, web3 = self.run.chain.key, self.run.endpoint.web3
        nonce = web3.eth.get_transaction_count(key.address)
        fees = {"maxFeePerGas": 10**11, "maxPriorityFeePerGas": 1, "gas": 1_000_000}
        place = {"chainId": web3.eth.chain_id, "nonce": nonce, "value": 0}
        signed = key.sign_transaction({**place, **fields, **fees})
        sent = web3.eth.send_raw_transaction(signed.raw_transaction)
        mined = web3.eth.wait_for_transaction_receipt(sent)
        assert mined["status"] == 1
        return mined

    def nonce(self) -> int:
        return self.run.endpoint.web3.eth.get_transaction_count(self.run.gas_key.address)

    def tokens(self) -> int:
        return self.run.balance(self.run.gas_key.address)


def relay_to(address: str) -> str:
    """Return the code that makes a contract which calls `address` with whatever it is called."""
    copies, calls = "366000600037", "600060003660006000"
    runtime = f"{copies}{calls}73{address[2:].lower()}5af1602e5760006000fd5b00"
    return f"0x6030600c60003960306000f3{runtime}"


def dirty(opening: bytes) -> bytes:
    """Return an opening with bytes behind its one byte of arithmetic, and behind itself."""
    return opening[:-1] + b"d" + b"e"


def overlapping(opening: bytes) -> bytes:
    """Return an opening whose arithmetic begins at its first word: so long as its slot says."""
    third = 3 * WORD
    return opening[:third] + bytes(WORD) + opening[third + WORD :]


ODD = {"dirt between the parts": dirty, "a part within the head": overlapping}


def committed(url: str, folder: Path, window: int = HOUR, response: int = 60) -> Committed:
    run = settlement_run(url, folder, window=window, response=response)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(running, "Cohort", lambda _: COHORT)
        made = run.statement(3)
    token = run.chain.endpoint.at(running.load("DemoToken"), run.token)
    given = token.functions.transfer(checksummed(run.gas_key.address), 100)
    run.endpoint.send(run.chain.key, run.journal, f"give-{run.programme}", given)
    run.chain.commit(made)
    own = folder / f"demander-{run.programme[:8]}"
    own.mkdir()
    return Committed(run, made, own)


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """A chain and a folder; contracts are deployed once for all programmes there."""
    with embedded_chain() as url:
        yield url, tmp_path_factory.mktemp("chain")


@pytest.fixture
def here(chain: tuple[str, Path]) -> Committed:
    return committed(*chain)


def test_a_node_is_demanded_once_whoever_runs_it_again(here: Committed) -> None:
    """After a crash the command is run again; a second bond would be lost to the first answer."""
    before = here.tokens()

    first = here.demander().demand(here.made.commit, NODE, b"")
    nonce = here.nonce()
    second = here.demander().demand(here.made.commit, NODE, b"")

    assert first == second
    assert here.nonce() == nonce
    assert (first.state, first.bond, here.tokens()) == ("open", "10", before - DEMAND_BOND)
    assert first.demand == demand_of(here.programme(), 3, NODE).hex()
    (shown,) = standing_of(here.programme()).demands or ()
    assert (shown.demand, shown.deadline) == (first.demand, first.deadline)


def test_an_answer_is_shown_to_whoever_demanded(here: Committed) -> None:
    """It is why it was demanded; and the bond is the coordinator's for its gas."""
    here.demander().demand(here.made.commit, NODE, b"")
    here.answer(NODE)

    done = here.demander().demand(here.made.commit, NODE, b"")

    steps = (COHORT.slots[1].contribution, *COHORT.path(1))
    assert (done.state, done.slot_id) == ("answered", 3)
    assert done.steps == tuple(each.hex() for each in steps)
    assert answers_of(here.programme(), here.made.commit, b"")[NODE].steps == steps
    with pytest.raises(WrongContext, match="is answered; nothing is left to do"):
        here.demander().expire(here.programme(), 3, NODE)


@pytest.mark.parametrize("odd", ["dirt between the parts", "a part within the head"])
def test_an_answer_is_read_though_it_came_oddly_and_through_another_contract(
    here: Committed, odd: str
) -> None:
    """The contract takes it, so whoever demanded must see it: else a demand could be evaded."""
    here.demander().demand(here.made.commit, NODE, b"")
    steps = (COHORT.slots[1].contribution, *COHORT.path(1))
    opening = Opening(steps, b"a", COHORT.slots[1].slot_id).encode()
    here.answer_oddly(NODE, ODD[odd](opening))

    found = answers_of(here.programme(), here.made.commit, b"")

    assert found[NODE].steps == steps
    shown = here.demander().demand(here.made.commit, NODE, b"")
    assert (shown.state, shown.steps) == ("answered", tuple(each.hex() for each in steps))


@pytest.mark.parametrize("steps", [(b"x" * 32, *COHORT.path(1)), COHORT.path(1), ()])
def test_an_answer_that_an_endpoint_makes_up_opens_nothing(
    here: Committed, monkeypatch: pytest.MonkeyPatch, steps: Hashes
) -> None:
    """What any one endpoint tells is looked at; the verifier says what is under the commit."""
    here.demander().demand(here.made.commit, NODE, b"")
    here.answer(NODE)
    forged = Opening(steps, b"", 3)
    monkeypatch.setattr(demand, "_opening", lambda _: forged)

    assert answers_of(here.programme(), here.made.commit, b"") == {}


def test_how_a_demand_was_closed_is_not_guessed(
    here: Committed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An endpoint that keeps no events of it must not make an answer look like silence."""
    here.demander().demand(here.made.commit, NODE, b"")
    here.answer(NODE)
    monkeypatch.setattr(demand, "logged", lambda *_: Found((), by_all=True, until=0))

    assert here.demander().demand(here.made.commit, NODE, b"").state == "closed"


def test_silence_costs_the_bond_and_the_demander_has_its_own_back(
    chain: tuple[str, Path],
) -> None:
    """Half of the coordinator's bond is the demander's, and the rest is burned."""
    here = committed(*chain)
    before = here.tokens()
    asked = here.demander().demand(here.made.commit, NODE, b"")
    here.run.pass_until(asked.deadline)

    done = here.demander().expire(here.programme(), 3, NODE)

    assert (done.slashed, done.rewarded, done.burned) == (str(BOND), str(BOND // 2), str(BOND // 2))
    assert int(done.collected) == BOND // 2 + DEMAND_BOND
    assert here.tokens() == before + BOND // 2
    assert set(done.gas) == {"expire", "collect"}
    assert standing_of(here.programme()).void_from == 3
    assert here.demander().expire(here.programme(), 3, NODE) == done
    assert here.demander().demand(here.made.commit, NODE, b"").state == "expired"


def test_whoever_demanded_collects_though_another_has_ended_the_demand(here: Committed) -> None:
    """The reward is the demander's, whoever pays the gas of it."""
    before = here.tokens()
    asked = here.demander().demand(here.made.commit, NODE, b"")
    here.run.pass_until(asked.deadline)
    programme, contract = here.programme(), str(here.run.chain.contract.address)
    other = Demander(here.run.endpoint, here.run.chain.key, here.run.journal, contract)

    others = other.expire(programme, 3, NODE)
    mine = here.demander().expire(programme, 3, NODE)

    assert {others.slashed, mine.slashed} == {str(BOND)}
    assert mine.rewarded == str(BOND // 2)
    assert int(mine.collected) == BOND // 2 + DEMAND_BOND
    assert here.tokens() == before + BOND // 2
    assert set(mine.gas) == {"collect"}
    assert here.demander().expire(programme, 3, NODE) == mine


def test_nobody_is_slashed_while_the_coordinator_may_answer(here: Committed) -> None:
    """The time to answer is the programme's, not the demander's."""
    asked = here.demander().demand(here.made.commit, NODE, b"")

    with pytest.raises(NotYet, match=f"until Unix time {asked.deadline}"):
        here.demander().expire(here.programme(), 3, NODE)


def test_what_nobody_demanded_does_not_expire(here: Committed) -> None:
    with pytest.raises(WrongContext, match="nobody has demanded"):
        here.demander().expire(here.programme(), 3, NODE)


@pytest.mark.parametrize("node", [Node(Tree.COHORT, index=4), Node(Tree.SUM_TREES)])
def test_a_node_that_there_is_not_costs_nothing(here: Committed, node: Node) -> None:
    """Four slots have no fifth; and of other trees the plans' arithmetic says where nodes are."""
    nonce = here.nonce()

    with pytest.raises(WrongContext, match="no node of round 3's commit; nothing was sent"):
        here.demander().demand(here.made.commit, node, b"")

    assert here.nonce() == nonce


def test_a_demand_that_leaves_no_time_for_its_answer_is_not_sent(chain: tuple[str, Path]) -> None:
    """The contract would refuse it, and the gas be lost."""
    here = committed(*chain, response=600)
    matures_at = here.programme().round(3).matures_at  # type: ignore[union-attr]
    here.run.pass_until(matures_at - 2 * 600)

    with pytest.raises(WrongContext, match="leaves no time for an answer"):
        here.demander().demand(here.made.commit, NODE, b"")


def test_who_has_no_tokens_is_told_by_the_contract(here: Committed) -> None:
    token = here.run.endpoint.at(running.load("DemoToken"), here.run.token)
    away = token.functions.transfer(here.run.chain.contract.address, here.tokens())
    here.run.endpoint.send(here.run.gas_key, here.journal, "away", away)

    with pytest.raises(IllegalEvent):
        here.demander().demand(here.made.commit, NODE, b"")


def test_the_commit_is_found_without_the_coordinator(here: Committed) -> None:
    """It is on the chain; who withholds it hides nothing."""
    assert commit_of(here.programme(), 3) == here.made.commit


def test_another_commit_than_the_chains_does_not_count(here: Committed) -> None:
    """Whoever shows it: the chain is asked what it is the hash of."""
    other = replace(here.made.commit, budget="1")

    assert commit_of(here.programme(), 3, other) == here.made.commit


def test_a_commit_that_nobody_shows_is_an_error(
    here: Committed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An endpoint that keeps no old events, and a coordinator that says nothing."""
    monkeypatch.setattr(Programme, "committed", lambda *_: None)

    with pytest.raises(RootMismatch, match="nobody shows what that is the hash of"):
        commit_of(here.programme(), 3)


def test_a_round_that_is_not_committed_is_said_to_be(here: Committed) -> None:
    with pytest.raises(NotYet, match="round 4 is not committed"):
        commit_of(here.programme(), 4)


def test_trees_are_named_as_findings_name_them() -> None:
    assert tree_named("sum_trees") is Tree.SUM_TREES
    with pytest.raises(ConfigError, match="one of sum_trees, published_sum, cohort, contribution"):
        tree_named("oak")
