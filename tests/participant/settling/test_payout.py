"""A site claims from its own process, once, and keeps the receipt."""

from types import SimpleNamespace

import pytest

from participant.settling import payout as module
from participant.settling.payout import Paid, Payouts
from participant.view import Payout
from privacy import canonical
from privacy.errors import ConfigError, MalformedMessage


def config(folder, settlement=None):
    return SimpleNamespace(state=folder, settlement=settlement)


def test_a_site_without_a_chain_cannot_claim(tmp_path):
    """The operator has to say where the chain is."""
    with pytest.raises(ConfigError, match="settlement"):
        Payouts(config(tmp_path)).claim(Payout(b"", "", 0))


def test_an_entitlement_that_is_none_is_refused_before_the_chain_is_asked(tmp_path):
    """And before the gas key is unlocked."""
    with pytest.raises(MalformedMessage):
        Payouts(config(tmp_path, SimpleNamespace())).claim(Payout(b"{}", "", 0))


def test_the_receipt_has_no_key():
    """What was paid, to whom, in which transaction."""
    paid = Paid("0xabc", "12", "0xdef", 21000, 3)

    assert canonical.decode(canonical.encode(paid), Paid) == paid
    assert set(Paid.__struct_fields__) == {"payee", "cumulative", "transaction", "gas", "rounds"}
    assert module.__doc__
