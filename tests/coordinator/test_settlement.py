"""Who has earned what, before any chain knows of it."""

from pathlib import Path

import pytest

from coordinator.round import Phase, Round, Rules
from coordinator.settlement import Settlement, participation
from privacy.errors import NotYet
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
