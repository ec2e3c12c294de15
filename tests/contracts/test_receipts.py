"""Receipts as a coordinator signs them: the contract takes them as proof of an omission."""

from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from coordinator.config import SettlementSettings
from participant.settling.challenge import context_of
from participant.settling.programme import programme_at
from privacy.errors import ConfigError
from privacy.settlement.commitment import Cohort, receipt_digest
from privacy.settlement.sum_proof import Kind, Omitted
from tests.contracts.settlement_run import Run, settlement_run
from tests.coordinator.settling.settled_round import SettledRound
from tests.fakes import SITES
from veilsum.chain.access import SignerAccess
from veilsum.chain.digests import sign_digest, signer_of_digest
from veilsum.chain.endpoint import signer_of
from veilsum.demo.chain import embedded_chain

HOUR = 3600
LEFT_OUT = 2


def signs_by(settings: SettlementSettings) -> Callable[[bytes], bytes]:
    """Return what signs as a coordinator with these settings does."""
    return lambda digest: sign_digest(signer_of(settings), digest)


def settings_of(run: Run, folder: Path, **other: object) -> SettlementSettings:
    """Return the coordinator's settings, with the key that `run` has made."""
    (folder / "passphrase").write_text("of the test")
    (folder / "passphrase").chmod(0o600)
    files = {"keystore": folder / "coordinator.json", "passphrase": folder / "passphrase"}
    return SettlementSettings(
        rpc="http://127.0.0.1:1",
        chain_id=run.endpoint.chain_id,
        contract=str(run.chain.contract.address),
        programme=run.programme,
        escrow="1000",
        **(files | other),
    )


def test_a_site_that_was_left_out_convicts_with_its_receipt(tmp_path: Path) -> None:
    """Signed at the freeze by the key in the keystore, judged by the deployed contract."""
    with embedded_chain() as url:
        run = settlement_run(url, tmp_path, sites=1, window=HOUR)
        domain = run.chain.domain(run.programme)
        settled = SettledRound(chain=run.chain, domain=domain)
        object.__setattr__(settled.shown, "sign", signs_by(settings_of(run, tmp_path)))
        settled.freeze()
        receipt = settled.shown.receipt(SITES[LEFT_OUT], 1)
        honest = settled.finish().commit()
        whole = settled.slots()
        others = Cohort(tuple(each for each in whole.slots if each.slot_id != LEFT_OUT))
        false = replace(honest, cohort=others.root().hex(), slots=len(others.slots))
        programme = programme_at(run.endpoint, str(run.chain.contract.address), run.programme)
        verdicts = {}
        for name, commit, cohort in (("false", false, others), ("honest", honest, whole)):
            proof = omission(cohort, receipt)
            context = context_of(programme, commit, bytes(32))
            call = programme.verifier.functions.verdict(context, Kind.OMITTED, proof.encode())
            verdicts[name] = run.endpoint.read(call)

    assert verdicts == {"false": True, "honest": False}
    digest = receipt_digest(domain, 1, receipt.slot)
    assert signer_of_digest(digest, receipt.signature) == run.chain.key.address.lower()


def omission(cohort, receipt):
    around = cohort.around(receipt.slot.slot_id)
    slots = tuple(cohort.slots[index] for index in around)
    steps = tuple(step for index in around for step in cohort.path(index))
    return Omitted(receipt.slot, receipt.signature, around[0], slots, steps)


def test_a_key_elsewhere_signs_no_receipts_and_says_what_to_do(tmp_path: Path) -> None:
    """Until it is asked nothing is wrong: commits need no digest signed."""
    signer = SignerAccess("https://signer.example:9000", "0x" + "aa" * 20)
    settings = SettlementSettings(
        rpc="http://127.0.0.1:1",
        chain_id=1,
        contract="0x" + "c3" * 20,
        programme="d4" * 32,
        escrow="1",
        signer=signer,
    )

    sign = signs_by(settings)

    with pytest.raises(ConfigError, match="set keystore and passphrase"):
        sign(bytes(32))
