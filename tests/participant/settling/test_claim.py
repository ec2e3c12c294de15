"""Claim: a site is paid once, after it has checked the chain itself."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import pytest

from participant.settling.claim import Claimed, claim
from privacy.errors import ChainUnavailable, RootMismatch, WrongContext
from privacy.payouts import Entitlement
from tests.contracts.settlement_run import ESCROW, Run, settlement_run
from veilsum.demo.chain import embedded_chain

UNSENT = "must be noticed before anything is sent"


@dataclass(frozen=True)
class Settled:
    run: Run
    entitlements: tuple[Entitlement, ...]

    def claim(self, one: Entitlement, **other: object) -> Claimed:
        run = self.run
        fields = {"payee": one.payee, "contract": run.chain.contract.address, **other}
        return claim(run.endpoint, run.gas_key, run.journal, one, **fields)

    def nonce(self) -> int:
        return self.run.endpoint.web3.eth.get_transaction_count(self.run.gas_key.address)


@pytest.fixture(scope="module")
def settled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settled]:
    with embedded_chain() as url:
        run = settlement_run(url, tmp_path_factory.mktemp("chain"))
        made = run.statement()
        run.chain.commit(made)
        yield Settled(run, made.entitlements)


def test_a_site_without_ether_is_paid_what_it_earned(settled: Settled) -> None:
    """The gas key pays the gas and receives none of the tokens."""
    one = settled.entitlements[0]

    claimed = settled.claim(one)

    assert (claimed.paid, claimed.cumulative) == (ESCROW // 4, ESCROW // 4)
    assert settled.run.balance(one.payee) == ESCROW // 4
    assert settled.run.balance(settled.run.gas_key.address) == 0
    assert (
        settled.run.endpoint.web3.eth.get_balance(
            settled.run.endpoint.web3.to_checksum_address(one.payee)
        )
        == 0
    )


def test_claiming_again_sends_nothing_and_answers_the_same(settled: Settled) -> None:
    """After a crash an agent simply claims again."""
    one = settled.entitlements[1]
    first = settled.claim(one)
    nonce = settled.nonce()

    second = settled.claim(one)

    assert second == first
    assert settled.nonce() == nonce


def test_a_payout_that_somebody_else_claimed_is_reported_as_paid(
    settled: Settled, tmp_path: Path
) -> None:
    """Anyone may submit; the site then knows no transaction of its own."""
    one = settled.entitlements[2]
    settled.claim(one)
    elsewhere = Settled(replace(settled.run, folder=tmp_path), settled.entitlements)

    claimed = elsewhere.claim(one)

    assert claimed == Claimed(cumulative=ESCROW // 4)


@pytest.mark.parametrize(
    "change",
    [{"cumulative": "251"}, {"salt": "00" * 32}, {"proof": ()}],
)
def test_an_entitlement_that_is_not_under_the_root_is_not_sent(
    settled: Settled, change: dict
) -> None:
    """The site finds out for nothing what the contract would tell it for gas."""
    one = msgspec.structs.replace(settled.entitlements[3], **change)
    nonce = settled.nonce()

    with pytest.raises(RootMismatch):
        settled.claim(one)

    assert settled.nonce() == nonce, UNSENT


@pytest.mark.parametrize("field", ["chain", "contract", "payee"])
def test_an_entitlement_for_elsewhere_or_another_is_not_sent(settled: Settled, field: str) -> None:
    """A coordinator cannot point a site at a contract that its operator did not agree to."""
    one = settled.entitlements[3]
    domain = one.domain
    other = {
        "chain": msgspec.structs.replace(
            one, domain=msgspec.structs.replace(domain, chain_id=domain.chain_id + 1)
        ),
        "contract": msgspec.structs.replace(
            one, domain=msgspec.structs.replace(domain, contract="0x" + "12" * 20)
        ),
        "payee": msgspec.structs.replace(one, payee="0x" + "12" * 20),
    }[field]

    with pytest.raises(WrongContext, match="the coordinator must issue the right one"):
        settled.claim(other, payee=one.payee)


def test_a_contract_with_other_code_is_refused(settled: Settled) -> None:
    """The address that was agreed must hold this version's contract."""
    one = settled.entitlements[3]
    elsewhere = msgspec.structs.replace(
        one, domain=msgspec.structs.replace(one.domain, contract=settled.run.token)
    )

    with pytest.raises(WrongContext, match="is not that of Settlement"):
        settled.claim(elsewhere, contract=settled.run.token)


def test_a_chain_that_is_down_is_unavailable(tmp_path: Path) -> None:
    """Time heals it; nothing is lost."""
    with embedded_chain() as url:
        run = settlement_run(url, tmp_path, sites=1)
        made = run.statement()
        run.chain.commit(made)

    with pytest.raises(ChainUnavailable, match="does not answer"):
        Settled(run, made.entitlements).claim(made.entitlements[0])
