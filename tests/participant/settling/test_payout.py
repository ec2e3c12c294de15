"""A site claims from its own process, once, and keeps what it was offered, paid, and lied about."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from msgspec.structs import replace as changed

from coordinator.settling.settle import Statement
from participant.config import SettlementAccess
from participant.settling import payout as module
from participant.settling.payout import Offered, Paid, Payouts, Waits
from participant.view import Payout
from privacy import canonical
from privacy.errors import ConfigError, FalsePayout, MalformedMessage, WrongContext
from privacy.settlement import accusation
from tests.contracts.settlement_run import ESCROW, Run, settlement_run
from tests.participant.settling.offers import HOUR, with_leaf
from veilsum.demo.chain import embedded_chain


def config(folder: Path, settlement: object = None) -> SimpleNamespace:
    return SimpleNamespace(state=folder, settlement=settlement)


def access(run: Run, url: str, payee: str, **other: object) -> SettlementAccess:
    (run.folder / "passphrase").write_text("of the test")
    (run.folder / "passphrase").chmod(0o600)
    return SettlementAccess(
        rpc=url,
        chain_id=run.endpoint.chain_id,
        keystore=run.folder / "gas.json",
        passphrase=run.folder / "passphrase",
        finality_blocks=0,
        contract=str(run.chain.contract.address),
        payee=payee,
        **other,
    )


def offered(made: Statement, index: int = 0) -> Payout:
    entitlement = canonical.encode(made.entitlements[index])
    return Payout(entitlement, "", 2, canonical.encode(made.commit))


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    with embedded_chain() as url:
        yield url, tmp_path_factory.mktemp("chain")


def test_a_claim_that_must_wait_is_kept_and_carried_out_without_the_coordinator(
    chain: tuple[str, Path], tmp_path: Path
) -> None:
    """The window is over when the coordinator may be gone."""
    url, folder = chain
    run = settlement_run(url, folder, sites=2)
    made = run.statement()
    run.chain.commit(made)
    payouts = Payouts(config(tmp_path, access(run, url, made.entitlements[0].payee)))

    waits = payouts.claim(offered(made))
    run.pass_until(waits.matures_at)
    paid = payouts.claim_kept()

    assert isinstance(waits, Waits)
    assert isinstance(paid, Paid)
    assert (paid.cumulative, paid.rounds, paid.round) == (str(ESCROW // 2), 2, 3)
    assert canonical.decode(payouts.receipt.read_bytes(), Paid) == paid
    assert payouts.offered() == Offered(made.entitlements[0], made.commit, 2)


def test_a_false_payout_is_not_kept_and_its_proof_is(
    chain: tuple[str, Path], tmp_path: Path
) -> None:
    """`veilsum settle challenge` takes the file as it is."""
    url, folder = chain
    run = settlement_run(url, folder, sites=2, window=HOUR)
    right = run.statement()
    lie = changed(right.entitlements[0], earned="1", cumulative="1")
    made = with_leaf(right, lie)
    run.chain.commit(made)
    payouts = Payouts(config(tmp_path, access(run, url, lie.payee)))

    with pytest.raises(FalsePayout, match="1 token units for a score of 1 of 2"):
        payouts.claim(offered(made))

    assert payouts.offered() is None
    found = accusation.decode(payouts.proof(3).read_bytes())
    assert (found.kind, found.commit) == ("bad_payout", made.commit)


def test_a_round_that_was_asked_for_is_looked_at_and_the_newest_offer_stays(
    chain: tuple[str, Path], tmp_path: Path
) -> None:
    """Less was earned by then: that is no fall, and what is claimed is the newest."""
    url, folder = chain
    run = settlement_run(url, folder, sites=2, window=HOUR)
    first = run.statement(3, 400)
    run.chain.commit(first)
    second = run.statement(4, 400, first)
    run.chain.commit(second)
    payouts = Payouts(config(tmp_path, access(run, url, first.entitlements[0].payee)))

    payouts.check(offered(second))
    payouts.check(offered(first))

    kept = payouts.offered()
    assert kept is not None
    assert kept.commit == second.commit
    with pytest.raises(WrongContext, match="the coordinator must issue the newest"):
        payouts.claim(offered(first))


def test_a_payout_of_another_programme_than_was_agreed_is_refused(
    chain: tuple[str, Path], tmp_path: Path
) -> None:
    """A site that names its programme is paid by no other, whatever the contract holds."""
    url, folder = chain
    run = settlement_run(url, folder, sites=1)
    made = run.statement()
    payee = made.entitlements[0].payee
    payouts = Payouts(config(tmp_path, access(run, url, payee, programme="ab" * 32)))

    with pytest.raises(WrongContext, match=r"settlement\.programme is abababababababab"):
        payouts.claim(offered(made))


def test_a_site_without_a_chain_cannot_claim(tmp_path: Path) -> None:
    """The operator has to say where the chain is."""
    with pytest.raises(ConfigError, match="settlement"):
        Payouts(config(tmp_path)).claim(Payout(b"", "", 0))


def test_a_site_that_was_offered_nothing_has_nothing_to_claim(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="was offered nothing yet"):
        Payouts(config(tmp_path, SimpleNamespace())).claim_kept()


def test_a_kept_offer_that_is_damaged_is_not_passed_over(tmp_path: Path) -> None:
    """Without it a fall would not be noticed; somebody must decide that."""
    payouts = Payouts(config(tmp_path))
    payouts.offer.write_bytes(b"{")

    with pytest.raises(ConfigError, match="check that disk"):
        payouts.offered()


@pytest.mark.parametrize("payout", [Payout(b"{}", "", 0), Payout(b"", "", 0, b"{}")])
def test_an_entitlement_that_is_none_is_refused_before_the_chain_is_asked(
    tmp_path: Path, payout: Payout
) -> None:
    """And before the gas key is unlocked."""
    with pytest.raises(MalformedMessage):
        Payouts(config(tmp_path, SimpleNamespace())).claim(payout)


def test_the_receipt_has_no_key() -> None:
    """What was paid, to whom, in which transaction."""
    paid = Paid("0xabc", "12", "0xdef", 21000, 3, 7)

    fields = {"payee", "cumulative", "transaction", "gas", "rounds", "round"}
    assert canonical.decode(canonical.encode(paid), Paid) == paid
    assert set(Paid.__struct_fields__) == fields
    assert module.__doc__
