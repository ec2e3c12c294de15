"""Claim: a site is paid once, after it has checked the chain itself, and once a round matured."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import pytest

from participant.settling.check import Offer
from participant.settling.claim import Claimed, Later, claim, due, require_final
from privacy.errors import ChainUnavailable, RootMismatch, WrongContext
from privacy.settlement.payouts import Entitlement
from tests.contracts.settlement_run import ESCROW, Run, settlement_run
from tests.participant.settling.offers import HOUR, offer
from veilsum.demo.chain import embedded_chain

UNSENT = "must be noticed before anything is sent"


@dataclass(frozen=True)
class Settled:
    run: Run
    offers: tuple[Offer, ...]

    def claim(self, one: Offer, wait_seconds: float = 15.0, **other: object) -> Claimed | Later:
        run = self.run
        place = {"payee": one.entitlement.payee, "contract": run.chain.contract.address, **other}
        owed = due(run.endpoint, one, **place)
        return claim(owed, run.gas_key, run.journal, wait_seconds=wait_seconds)

    def nonce(self) -> int:
        return self.run.endpoint.web3.eth.get_transaction_count(self.run.gas_key.address)


def settled_run(url: str, folder: Path, sites: int = 4, **other: int) -> Settled:
    run = settlement_run(url, folder, sites, **other)
    made = run.statement()
    run.chain.commit(made)
    return Settled(run, tuple(offer(made, index) for index in range(sites)))


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """A chain and a folder; contracts are deployed once for all programmes there."""
    with embedded_chain() as url:
        yield url, tmp_path_factory.mktemp("chain")


@pytest.fixture(scope="module")
def settled(chain: tuple[str, Path]) -> Settled:
    """A round that has matured."""
    found = settled_run(*chain)
    found.run.mature()
    return found


@pytest.fixture
def open_round(chain: tuple[str, Path]) -> Settled:
    """A round that can be challenged for an hour yet; other tests move the time."""
    return settled_run(*chain, sites=1, window=HOUR)


def changed(one: Offer, **change: object) -> Offer:
    return replace(one, entitlement=msgspec.structs.replace(one.entitlement, **change))


def test_a_site_without_ether_is_paid_what_it_earned(settled: Settled) -> None:
    """The gas key pays the gas and receives no tokens."""
    one = settled.offers[0]

    claimed = settled.claim(one)

    assert isinstance(claimed, Claimed)
    assert (claimed.paid, claimed.cumulative) == (ESCROW // 4, ESCROW // 4)
    payee = settled.run.endpoint.web3.to_checksum_address(one.entitlement.payee)
    assert settled.run.balance(payee) == ESCROW // 4
    assert settled.run.balance(settled.run.gas_key.address) == 0
    assert settled.run.endpoint.web3.eth.get_balance(payee) == 0


def test_claiming_again_sends_nothing_and_answers_the_same(settled: Settled) -> None:
    """After a crash an agent simply claims again."""
    one = settled.offers[1]
    first = settled.claim(one)
    nonce = settled.nonce()

    second = settled.claim(one)

    assert second == first
    assert settled.nonce() == nonce


def test_a_payout_that_somebody_else_claimed_is_reported_as_paid(
    settled: Settled, tmp_path: Path
) -> None:
    """Anyone may submit; the site then knows no transaction of its own."""
    one = settled.offers[2]
    settled.claim(one)
    elsewhere = Settled(replace(settled.run, folder=tmp_path), settled.offers)

    claimed = elsewhere.claim(one)

    assert claimed == Claimed(cumulative=ESCROW // 4)


def test_a_round_that_matures_in_an_hour_is_not_waited_for(open_round: Settled) -> None:
    """The site is told when, and nothing is sent that the contract would refuse."""
    one, nonce = open_round.offers[0], open_round.nonce()

    later = open_round.claim(one)

    kept = open_round.run.chain.stands(open_round.run.programme, one.entitlement.round)
    assert later == Later(kept.matures_at)
    assert open_round.nonce() == nonce, UNSENT


def test_a_wait_that_the_chain_makes_too_long_ends(
    open_round: Settled, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A chain whose time stands still would be waited for without an end."""
    one = open_round.offers[0]
    place = {"payee": one.entitlement.payee, "contract": open_round.run.chain.contract.address}
    owed = due(open_round.run.endpoint, one, **place)
    stands_still = owed.round.matures_at - 9
    monkeypatch.setattr("participant.settling.programme.Programme.time", lambda _: stands_still)
    naps: list[float] = []

    later = claim(
        owed, open_round.run.gas_key, open_round.run.journal, wait_seconds=10, sleep=naps.append
    )

    assert isinstance(later, Later)
    assert sum(naps) == 10


def test_what_is_paid_for_good_is_told_from_what_may_be_undone(settled: Settled) -> None:
    """A payment that a fork takes back was none."""
    settled.claim(settled.offers[0])
    run, one = settled.run, settled.offers[0].entitlement
    more = msgspec.structs.replace(one, cumulative=str(one.amount() + 1))

    with pytest.raises(ChainUnavailable, match="paid for good"):
        require_final(run.endpoint, run.gas_key, run.journal, more)


@pytest.mark.parametrize(
    "change",
    [
        {"cumulative": "251"},
        {"salt": "00" * 32},
        {"entry_salt": "00" * 32},
        {"score": "2"},
        {"earned": "251"},
        {"proof": ()},
    ],
    ids=lambda change: next(iter(change)),
)
def test_an_entitlement_that_is_not_under_the_root_is_not_sent(
    settled: Settled, change: dict
) -> None:
    """The site finds out for nothing what the contract would tell it for gas."""
    nonce = settled.nonce()

    with pytest.raises(RootMismatch, match="not under the root"):
        settled.claim(changed(settled.offers[3], **change))

    assert settled.nonce() == nonce, UNSENT


@pytest.mark.parametrize("field", ["budget", "scores", "total", "parent"])
def test_a_commit_that_is_not_the_chains_is_refused(settled: Settled, field: str) -> None:
    """By another budget the formula would make whatever the coordinator likes."""
    one = settled.offers[3]
    other = "ff" * 32 if field == "parent" else "17"
    false = msgspec.structs.replace(one.commit, **{field: other})

    with pytest.raises(RootMismatch, match="not the one on the chain"):
        settled.claim(replace(one, commit=false))


def test_a_commit_of_another_round_is_refused(settled: Settled) -> None:
    one = changed(settled.offers[3], round=4)

    with pytest.raises(ChainUnavailable, match="has no round 4"):
        settled.claim(one)


@pytest.mark.parametrize("field", ["chain", "contract", "payee"])
def test_an_entitlement_for_elsewhere_or_another_is_not_sent(settled: Settled, field: str) -> None:
    """A coordinator cannot point a site at a contract that its operator did not agree to."""
    one = settled.offers[3].entitlement
    other = {
        "chain": {"domain": msgspec.structs.replace(one.domain, chain_id=one.domain.chain_id + 1)},
        "contract": {"domain": msgspec.structs.replace(one.domain, contract="0x" + "12" * 20)},
        "payee": {"payee": "0x" + "12" * 20},
    }[field]

    with pytest.raises(WrongContext, match="the coordinator must issue the right one"):
        settled.claim(changed(settled.offers[3], **other), payee=one.payee)


def test_a_contract_with_other_code_is_refused(settled: Settled) -> None:
    """The address that was agreed must hold this version's contract."""
    one, token = settled.offers[3], settled.run.token
    domain = msgspec.structs.replace(one.entitlement.domain, contract=token)

    with pytest.raises(WrongContext, match="is not that of Settlement"):
        settled.claim(changed(one, domain=domain), contract=token)


def test_an_older_round_than_was_offered_before_is_refused(settled: Settled) -> None:
    """It would pay less than the site knows that it has earned."""
    one: Entitlement = settled.offers[3].entitlement
    newer = msgspec.structs.replace(one, round=9)

    with pytest.raises(WrongContext, match="must issue the newest"):
        settled.claim(replace(settled.offers[3], before=newer))


def test_a_chain_that_is_down_is_unavailable(tmp_path: Path) -> None:
    """Time heals it; nothing is lost."""
    with embedded_chain() as url:
        settled = settled_run(url, tmp_path, sites=1)

    with pytest.raises(ChainUnavailable, match="does not answer"):
        settled.claim(settled.offers[0])
