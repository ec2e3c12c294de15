"""Challenge: a proof costs the coordinator its bond, once, and its maker no more than gas."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace as changed

from coordinator.settling.settle import Statement
from participant.settling.challenge import Challenged, Challenger, seal_of
from participant.settling.check import accusation_of
from participant.settling.claim import claim, due
from participant.settling.programme import programme_at
from participant.settling.standing import standing_of
from privacy.errors import ChainUnavailable, WrongContext
from privacy.settlement.accusation import Accusation
from tests.contracts.settlement_run import BOND, Run, settlement_run
from tests.participant.settling.offers import HOUR, offer, with_leaf
from veilsum.demo.chain import embedded_chain

UNSENT = "must be noticed before anything is sent"


@dataclass(frozen=True)
class Cheated:
    """A chain on which the coordinator has committed to a payout that is not by the formula."""

    run: Run
    honest: Statement
    false: Statement

    def challenger(self, **other: Any) -> Challenger:
        run = self.run
        contract = str(run.chain.contract.address)
        return Challenger(run.endpoint, run.gas_key, run.journal, contract, **other)

    def proof(self) -> Accusation:
        found = accusation_of(offer(self.false), self.honest.commit.round)
        assert found is not None
        return found

    def nonce(self) -> int:
        return self.run.endpoint.web3.eth.get_transaction_count(self.run.gas_key.address)

    def programme(self):
        return programme_at(
            self.run.endpoint, str(self.run.chain.contract.address), self.run.programme
        )


def cheated_run(url: str, folder: Path, window: int = HOUR) -> Cheated:
    """Round 3 is right, and in round 5 one payee has a unit more than it earned, of another."""
    run = settlement_run(url, folder, sites=2, window=window)
    honest = run.statement(3, budget=400)
    run.chain.commit(honest)
    right = run.statement(5, budget=400, before=honest)
    one = right.entitlements[0]
    lie = changed(one, earned="199", cumulative="399")
    false = with_leaf(right, lie)
    run.chain.commit(false)
    return Cheated(run, honest, false)


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """A chain and a folder; contracts are deployed once for all programmes there."""
    with embedded_chain() as url:
        yield url, tmp_path_factory.mktemp("chain")


@pytest.fixture(scope="module")
def cheated(chain: tuple[str, Path]) -> Cheated:
    return cheated_run(*chain)


@pytest.fixture(scope="module")
def convicted(chain: tuple[str, Path]) -> tuple[Cheated, Challenged]:
    found = cheated_run(*chain)
    return found, found.challenger().challenge(found.proof())


def test_half_of_the_bond_is_the_challengers_and_the_rest_is_burned(
    convicted: tuple[Cheated, Challenged],
) -> None:
    """And it is paid out at once."""
    cheated, done = convicted

    assert (done.slashed, done.rewarded, done.burned) == (str(BOND), str(BOND // 2), str(BOND // 2))
    assert done.collected == str(BOND // 2)
    assert cheated.programme().credit_of(cheated.run.gas_key.address) == 0
    assert set(done.gas) == {"seal", "challenge", "collect"}
    assert all(used > 21_000 for used in done.gas.values())


def test_the_round_is_void_and_the_one_before_it_stands(
    convicted: tuple[Cheated, Challenged],
) -> None:
    """What was earned up to then is not touched."""
    cheated, _ = convicted

    standing = standing_of(cheated.programme())

    assert (standing.state, standing.void_from, standing.head) == ("halted", 5, 3)
    assert [(each.number, each.state) for each in standing.rounds] == [(5, "void"), (3, "open")]
    assert standing.bond.bonded == "0"


def test_challenging_again_sends_nothing_and_answers_the_same(
    convicted: tuple[Cheated, Challenged],
) -> None:
    """After a crash the command is simply run again."""
    cheated, first = convicted
    nonce = cheated.nonce()

    second = cheated.challenger().challenge(cheated.proof())

    assert second == first
    assert cheated.nonce() == nonce


def test_a_round_that_is_void_already_is_not_challenged_again(
    convicted: tuple[Cheated, Challenged], tmp_path: Path
) -> None:
    """Somebody else was first: a second one would pay for a refusal."""
    cheated, _ = convicted
    other = Challenger(
        cheated.run.endpoint,
        cheated.run.gas_key,
        type(cheated.run.journal)(tmp_path),
        str(cheated.run.chain.contract.address),
    )
    nonce = cheated.nonce()

    with pytest.raises(WrongContext, match="void already"):
        other.challenge(cheated.proof())

    assert cheated.nonce() == nonce, UNSENT


def test_a_payout_of_a_void_round_is_refused_and_the_round_that_stands_is_named(
    convicted: tuple[Cheated, Challenged],
) -> None:
    """A site must not think that it will be paid some day."""
    cheated, _ = convicted
    one = offer(cheated.false, 1)
    contract = str(cheated.run.chain.contract.address)

    with pytest.raises(WrongContext, match=r"round 5 is void: .* round 3"):
        due(cheated.run.endpoint, one, payee=one.entitlement.payee, contract=contract)


def test_what_a_void_round_promised_before_does_not_hold_up_the_round_that_stands(
    convicted: tuple[Cheated, Challenged],
) -> None:
    """The site has kept the offer of round 5; round 3 is the newest there is now."""
    cheated, _ = convicted
    one = offer(cheated.honest, 1, before=cheated.false.entitlements[1])
    contract = str(cheated.run.chain.contract.address)

    owed = due(cheated.run.endpoint, one, payee=one.entitlement.payee, contract=contract)

    assert owed.round.number == 3


@pytest.mark.parametrize("body", ["00", "ff" * 640, ""])
def test_a_proof_that_proves_nothing_costs_nothing(cheated: Cheated, body: str) -> None:
    """It is judged before it is sealed, by the contract that would judge it."""
    false = changed(cheated.proof(), proof=body or cheated.proof().proof, kind="bad_top")
    nonce = cheated.nonce()

    with pytest.raises(WrongContext, match="proves nothing against round 5; nothing was sent"):
        cheated.challenger().challenge(false)

    assert cheated.nonce() == nonce, UNSENT


def test_a_proof_against_another_commit_than_the_chains_is_refused(cheated: Cheated) -> None:
    """A proof is of one commit, whatever its maker was shown."""
    proof = cheated.proof()
    other = changed(proof, commit=changed(proof.commit, budget="399"))

    with pytest.raises(WrongContext, match="another commit for round 5"):
        cheated.challenger().challenge(other)


def test_a_proof_against_a_round_that_there_is_not_is_refused(cheated: Cheated) -> None:
    proof = cheated.proof()
    other = changed(proof, commit=changed(proof.commit, round=6))

    with pytest.raises(WrongContext, match="or none"):
        cheated.challenger().challenge(other)


def test_a_chain_without_a_next_block_is_waited_for_and_not_for_ever(
    cheated: Cheated, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The seal stays, and the next try goes on from there."""
    naps: list[float] = []
    monkeypatch.setattr("participant.settling.programme.Programme.height", lambda self: 0)

    with pytest.raises(ChainUnavailable, match="no block has followed the seal"):
        cheated.challenger(sleep=naps.append).challenge(cheated.proof())

    programme, seal = cheated.programme(), seal_of(cheated.proof(), cheated.run.gas_key.address)
    assert sum(naps) == 60
    assert programme.endpoint.read(programme.settlement.functions.sealedAt(seal)) > 0


def test_a_round_that_has_matured_is_challenged_no_more(chain: tuple[str, Path]) -> None:
    """Whoever comes too late is told so, and pays nothing."""
    cheated = cheated_run(*chain, window=600)
    cheated.run.mature(5)
    one, contract = offer(cheated.false, 1), str(cheated.run.chain.contract.address)
    owed = due(cheated.run.endpoint, one, payee=one.entitlement.payee, contract=contract)
    claim(owed, cheated.run.gas_key, cheated.run.journal)

    with pytest.raises(WrongContext, match="has matured at Unix time"):
        cheated.challenger().challenge(cheated.proof())


def test_the_seal_is_the_contracts(cheated: Cheated) -> None:
    """One that is not would be found out only by the challenge's refusal."""
    proof, me = cheated.proof(), cheated.run.gas_key.address
    programme = cheated.programme()
    theirs = programme.settlement.functions.sealOf(
        programme.word, 5, me, programme.endpoint.web3.keccak(proof.body())
    )

    assert seal_of(proof, me) == programme.endpoint.read(theirs)
