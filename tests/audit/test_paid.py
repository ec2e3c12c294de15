"""What a chain has paid to a site, in its bundle, and asked again by who verifies."""

from types import SimpleNamespace

import pytest

from participant.settling.check import Offer
from participant.settling.claim import claim, due
from participant.settling.payout import Offered, Payouts
from participant.settling.payout import Paid as Receipt
from privacy import canonical
from privacy.errors import ConfigError
from privacy.evidence.bundle import encode_entry
from privacy.evidence.finding import Outcome
from privacy.evidence.verify import read_bundle, verify
from tests.contracts.settlement_run import ESCROW, settlement_run
from tests.privacy.evidence import example_bundle as made
from veilsum.audit.paid import paid_to, read_paid
from veilsum.demo.chain import embedded_chain


@pytest.fixture(scope="module")
def claimed(tmp_path_factory):
    """A chain on which a site has claimed, and what the site has kept of it: for two rounds."""
    folder = tmp_path_factory.mktemp("chain")
    with embedded_chain() as url:
        run = settlement_run(url, folder)
        settled = run.statement()
        run.chain.commit(settled)
        run.mature()
        one = settled.entitlements[0]
        address = run.chain.contract.address
        offer = Offer(one, settled.commit)
        owed = due(run.endpoint, offer, payee=one.payee, contract=address)
        claim(owed, run.gas_key, run.journal)
        config = SimpleNamespace(state=folder)
        receipt = Receipt(one.payee, one.cumulative, "", 0, rounds=2, round=one.round)
        offered = Offered(one, settled.commit, 2)
        Payouts(config).offer.write_bytes(canonical.encode(offered))
        Payouts(config).receipt.write_bytes(canonical.encode(receipt))
        yield SimpleNamespace(url=url, config=config)


def bundle_with(paid):
    return made.sealed(made.head(), made.CONFIG, *made.rows(), *made.documents(1, 2), paid)


def test_what_the_contract_has_paid_is_asked_of_the_contract(claimed):
    """Not of the site's own receipt, which says what it likes."""
    paid = paid_to(claimed.config, claimed.url)

    assert (int(paid.claimed), paid.rounds) == (ESCROW // 4, 2)
    assert paid.block > 0


def test_who_verifies_asks_the_chain_again_or_reads_what_it_said(claimed, tmp_path):
    paid = paid_to(claimed.config, claimed.url)
    text = bundle_with(paid)
    bundle, _ = read_bundle(text)
    (tmp_path / "snapshot.json").write_bytes(encode_entry(paid) + b"\n")

    again = read_paid(claimed.url, bundle)

    assert again == read_paid(str(tmp_path / "snapshot.json"), bundle) == paid
    verdict = verify(text, made.POLICY, made.KEYS, paid=again, second=lambda events, delta: None)
    assert verdict.outcome is Outcome.OK


def test_a_bundle_that_names_no_contract_is_not_taken_for_one_that_was_asked_about():
    """Who asks for the chain must not believe that it was asked."""
    bundle, _ = read_bundle(made.bundle())

    with pytest.raises(ConfigError, match="names no contract"):
        read_paid("http://127.0.0.1:1", bundle)


def test_a_site_that_has_claimed_nothing_has_nothing_to_ask_about(tmp_path):
    with pytest.raises(ConfigError, match="claimed nothing"):
        paid_to(SimpleNamespace(state=tmp_path), "http://127.0.0.1:1")
