"""Who has earned what, before any chain knows of it."""

import itertools
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest

from coordinator.rounds.state import Phase, Round, Rules
from coordinator.settling.settlement import Settlement, participation
from coordinator.wire.codec import payout_to_wire
from privacy import canonical
from privacy.errors import NotYet, WrongContext
from privacy.payouts import Domain, Entitlement
from privacy.records import Entry
from tests import fakes
from tests.coordinator.memory_store import MemoryStore

RULES = Rules(fakes.OPENERS, fakes.SITES, 2, 2, 5.0, 60.0)


def a_round(number, phase, *names):
    entries = tuple(Entry(name, "a" * 64, ()) for name in names)
    return Round(number, RULES, phase, committed=entries)


def test_only_released_rounds_count_and_each_once_for_each_site():
    rounds = {
        1: a_round(1, Phase.DONE, "hospital-a", "hospital-b"),
        2: a_round(2, Phase.ABORTED, "hospital-a", "hospital-c"),
        3: a_round(3, Phase.DONE, "hospital-a"),
        4: a_round(4, Phase.OPENING, "hospital-d"),
    }

    assert participation(rounds) == {"hospital-a": 2, "hospital-b": 1}
    assert participation({}) == {}


def test_nothing_is_paid_before_it_is_settled():
    settlement = Settlement(None, MemoryStore(), fakes.make_roster, bytes, Path("/nowhere"))

    assert not settlement.is_done()
    assert settlement.transaction() == ""
    with pytest.raises(NotYet, match="not settled yet"):
        settlement.payout("hospital-a")


def test_a_settlement_that_is_on_the_chain_is_not_made_again():
    """It returns before it reads a key or opens a connection; there is neither here."""
    store = MemoryStore()
    store.put_document("settlement", "transaction", b"0xabc")
    settlement = Settlement(None, store, fakes.make_roster, bytes, Path("/nowhere"))
    settlement_settings = type("Unset", (), {})()
    settlement.settings = settlement_settings

    settlement.run({})

    assert settlement.is_done()
    assert settlement.transaction() == "0xabc"


PAYEE = "0x" + "a1" * 20


@pytest.fixture
def settled():
    """A programme in which hospital-a alone has earned something; it and b have addresses."""
    roster, store = fakes.make_roster(), MemoryStore()
    addresses = {"hospital-a": PAYEE, "hospital-b": "0x" + "b2" * 20}
    members = tuple(
        msgspec.structs.replace(each, payout_address=addresses.get(each.participant, ""))
        for each in roster.members
    )
    domain = Domain(1, "0x" + "c3" * 20, "d4" * 32)
    earned = Entitlement(domain, 2, PAYEE, "5", "e5" * 32, ())
    statement = {
        "parent": "00" * 32,
        "round": 2,
        "root": "ff" * 32,
        "total": "5",
        "entitlements": [canonical.builtins(earned)],
    }
    store.put_document("settlement", "statement", msgspec.json.encode(statement, order="sorted"))
    store.put_document("settlement", "transaction", b"0xabc")
    paid = msgspec.structs.replace(roster, members=members)
    settings = SimpleNamespace(contract=domain.contract)
    return Settlement(settings, store, lambda: paid, bytes, Path("/nowhere"))


def test_a_participant_is_told_its_own_entitlement(settled):
    entitlement, contract = settled.payout("hospital-a")

    assert (entitlement.payee, entitlement.cumulative) == (PAYEE, "5")
    assert payout_to_wire(entitlement, contract, 2).entitlement == canonical.encode(entitlement)


@pytest.mark.parametrize("name", ["hospital-b", "hospital-c", "auditor"])
def test_who_earned_nothing_is_told_so_and_does_not_wait(settled, name):
    """With an address or without; it must be able to end when the programme has."""
    entitlement, contract = settled.payout(name)

    assert entitlement is None
    assert payout_to_wire(entitlement, contract, 0).entitlement == b""


def test_a_settlement_that_is_done_is_not_looked_up_again(settled, monkeypatch):
    """Every watching site asks, again and again."""
    assert settled.is_done()
    monkeypatch.setattr(settled.store, "documents", None)

    assert settled.is_done()


def test_a_settlement_that_is_not_done_is_not_looked_up_either(monkeypatch):
    """Who watches asks on the loop, where a database that hangs would stop every call."""
    store = MemoryStore()
    settlement = Settlement(None, store, fakes.make_roster, bytes, Path("/nowhere"))
    monkeypatch.setattr(store, "documents", None)

    assert not settlement.is_done()


@pytest.fixture
def earning():
    """A programme of two rounds, whose statement is made and not yet sent."""
    roster = fakes.make_roster()
    addresses = {"hospital-a": PAYEE, "hospital-b": "0x" + "b2" * 20}
    members = tuple(
        msgspec.structs.replace(each, payout_address=addresses.get(each.participant, ""))
        for each in roster.members
    )
    drawn = itertools.count(1)
    made = Settlement(
        SimpleNamespace(contract="0x" + "c3" * 20, escrow="1000"),
        MemoryStore(),
        lambda: msgspec.structs.replace(roster, members=members),
        lambda count: next(drawn).to_bytes(count, "big"),
        Path("/nowhere"),
    )
    made._statement(DOMAIN, ROUNDS)
    return made


DOMAIN = Domain(1, "0x" + "c3" * 20, "d4" * 32)
ROUNDS = {
    1: a_round(1, Phase.DONE, "hospital-a", "hospital-b"),
    2: a_round(2, Phase.DONE, "hospital-a"),
}


def test_the_same_statement_is_sent_after_a_crash_and_after_more_rounds(earning):
    """Its salts are kept; rounds that came later are none of its own."""
    before = earning._statement(DOMAIN, ROUNDS)

    again = earning._statement(DOMAIN, {**ROUNDS, 3: a_round(3, Phase.DONE, "hospital-b")})

    assert again == before
    assert before.head.total == 1000


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (PAYEE, "0x" + "ee" * 20),
        ('"total":"1000"', '"total":"999"'),
        ('"salt":"00', '"salt":"01'),
    ],
)
def test_a_statement_that_was_changed_in_the_database_is_not_sent(earning, old, new):
    """Who can write to the database must not say who is paid."""
    kept = earning.store._documents
    changed = kept["settlement", "statement"].decode().replace(old, new)
    assert changed.encode() != kept["settlement", "statement"]
    kept["settlement", "statement"] = changed.encode()

    with pytest.raises(WrongContext, match="not what its rounds have earned"):
        earning._statement(DOMAIN, ROUNDS)
