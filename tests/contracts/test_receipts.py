"""Receipts as a coordinator signs them: the contract takes them as proof of an omission."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest
from msgspec.structs import replace

from coordinator.build import _key, _signing
from coordinator.config import SettlementSettings
from coordinator.settling.shown import Receipt
from participant.settling.challenge import Challenger, context_of
from participant.settling.programme import programme_at
from privacy.settlement.accusation import accuse
from privacy.settlement.commitment import Cohort, Commit, receipt_digest
from privacy.settlement.sum_proof import Kind, Omitted
from tests.chain.fake_signer import FakeSigner, listening, served
from tests.contracts.settlement_run import BOND, Run, settlement_run
from tests.coordinator.settling.settled_round import SettledRound
from tests.fakes import SITES
from veilsum.chain.access import SignerAccess
from veilsum.chain.digests import signer_of_digest
from veilsum.demo.chain import embedded_chain

HOUR = 3600
HOLDERS = ("keystore", "web3signer", "clef")
"""Who has the coordinator's key; the receipt of the site of the same place is signed there."""


@dataclass(frozen=True)
class Promised:
    """A round that is frozen, and committed to honestly; receipts by each of the holders."""

    run: Run
    settled: SettledRound
    settings: dict[str, SettlementSettings]

    def receipt(self, holder: str) -> Receipt:
        """Signed as a coordinator of these settings does."""
        signs = _signing(_key(self.settings[holder]))
        object.__setattr__(self.settled.shown, "sign", signs)
        return self.settled.shown.receipt(SITES[HOLDERS.index(holder)], 1)


def settings_of(run: Run, folder: Path, url: str = "") -> SettlementSettings:
    """Return the coordinator's settings, with the key that `run` has made, or a signer for it."""
    (folder / "passphrase").write_text("of the test")
    (folder / "passphrase").chmod(0o600)
    address = run.chain.key.address
    return SettlementSettings(
        rpc="http://127.0.0.1:1",
        chain_id=run.endpoint.chain_id,
        contract=str(run.chain.contract.address),
        programme=run.programme,
        escrow="1000",
        keystore=None if url else folder / "coordinator.json",
        passphrase=None if url else folder / "passphrase",
        signer=SignerAccess(url, address) if url else None,
    )


@pytest.fixture(scope="module")
def promised(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Promised]:
    folder = tmp_path_factory.mktemp("chain")
    with ExitStack() as stack:
        run = settlement_run(stack.enter_context(embedded_chain()), folder, sites=1, window=HOUR)
        key = run.chain.key
        urls = {
            "web3signer": stack.enter_context(served(FakeSigner(key=key))),
            "clef": stack.enter_context(listening(FakeSigner(key=key, clef=True), folder)),
        }
        settled = SettledRound(chain=run.chain, domain=run.chain.domain(run.programme))
        settled.freeze()
        settings = {each: settings_of(run, folder, urls.get(each, "")) for each in HOLDERS}
        yield Promised(run, settled, settings)


def without(whole: Cohort, receipt: Receipt) -> Cohort:
    """Return a cohort that lacks what was promised."""
    return Cohort(tuple(each for each in whole.slots if each.slot_id != receipt.slot.slot_id))


def with_cohort(commit: Commit, cohort: Cohort) -> Commit:
    return replace(commit, cohort=cohort.root().hex(), slots=len(cohort.slots))


@pytest.mark.parametrize("holder", HOLDERS)
def test_a_site_that_was_left_out_convicts_with_its_receipt(
    promised: Promised, holder: str
) -> None:
    """Whoever holds the key; and of a commit that keeps the promise nothing is proved."""
    run, settled = promised.run, promised.settled
    receipt = promised.receipt(holder)
    whole = settled.slots()
    honest = with_cohort(run.statement(1).commit, whole)
    others = without(whole, receipt)
    programme = programme_at(run.endpoint, str(run.chain.contract.address), run.programme)
    cases = {"false": (with_cohort(honest, others), others), "honest": (honest, whole)}
    verdicts = {}

    for name, (commit, cohort) in cases.items():
        context = context_of(programme, commit, bytes(32))
        proof = omission(cohort, receipt)
        call = programme.verifier.functions.verdict(context, Kind.OMITTED, proof.encode())
        verdicts[name] = run.endpoint.read(call)

    assert verdicts == {"false": True, "honest": False}
    digest = receipt_digest(settled.domain, 1, receipt.slot)
    assert signer_of_digest(digest, receipt.signature) == run.chain.key.address.lower()


def test_a_receipt_by_a_signer_elsewhere_costs_the_coordinator_its_bond(
    promised: Promised,
) -> None:
    """The whole way: the false commit is on the chain, sealed, challenged and slashed."""
    run = promised.run
    receipt = promised.receipt("web3signer")
    others = without(promised.settled.slots(), receipt)
    statement = run.statement(1)
    commit = with_cohort(statement.commit, others)
    run.chain.commit(SimpleNamespace(commit=commit, entitlements=statement.entitlements))
    contract = str(run.chain.contract.address)

    def mine(_: float) -> None:
        run.endpoint.web3.provider.make_request("evm_mine", [1])

    challenger = Challenger(run.endpoint, run.gas_key, run.journal, contract, sleep=mine)

    done = challenger.challenge(accuse(commit, omission(others, receipt)))

    assert (done.slashed, done.collected) == (str(BOND), str(BOND // 2))


def omission(cohort: Cohort, receipt: Receipt) -> Omitted:
    around = cohort.around(receipt.slot.slot_id)
    slots = tuple(cohort.slots[index] for index in around)
    steps = tuple(step for index in around for step in cohort.path(index))
    return Omitted(receipt.slot, receipt.signature, around[0], slots, steps)
