"""On disk as well, a limit rises when two officers say so; who writes the rows is the site."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from participant.ledger.site_ledger import SiteLedger
from privacy.budget import SpendLimits
from privacy.errors import (
    BudgetExhausted,
    ConfigError,
    IllegalEvent,
    InvalidSignature,
    UnsafeParameters,
)
from privacy.events import Gaussian
from tests.participant.kept_ledger import (
    HEARTS,
    LIMITS,
    begun,
    both,
    key_of,
    opened,
    public,
    reserve,
    types,
)

OFFICERS = {name: public(name) for name in ("alice", "bob")}
HIGHER = SpendLimits("0.001", "9", "6")
LARGE = both(Gaussian("0.8"))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.sqlite"


@pytest.fixture
def ledger(path: Path) -> Iterator[SiteLedger]:
    """A ledger whose file has been raised already, and whose officers have not agreed."""
    first = begun(path)
    first.set_policy(OFFICERS)
    first.close()
    raised = opened(path, limits=HIGHER)
    raised.set_policy(OFFICERS)
    yield raised
    raised.close()


def test_a_limit_raised_in_the_file_alone_does_not_count(ledger: SiteLedger) -> None:
    """The change is recorded, and the old limit stays."""
    with pytest.raises(BudgetExhausted) as refusal:
        reserve(ledger, events=LARGE)

    assert refusal.value.limit == 2.0
    assert ledger.limits() == LIMITS
    assert types(ledger) == ["DATASET_REGISTER", "POLICY_SET", "POLICY_SET"]


def test_a_limit_that_one_officer_proposed_does_not_count(ledger: SiteLedger) -> None:
    """Nor does the proposer's own approval, under whatever name."""
    row = ledger.propose(HIGHER, "alice", key_of("alice"))
    for name, key in (("alice", "alice"), ("bob", "alice"), ("alice", "bob")):
        with pytest.raises(IllegalEvent):
            ledger.approve(row, name, key_of(key))

    assert ledger.limits() == LIMITS
    with pytest.raises(BudgetExhausted):
        reserve(ledger, events=LARGE)
    assert types(ledger)[-1] == "POLICY_SET"


def test_a_limit_that_two_officers_agree_on_counts(ledger: SiteLedger, path: Path) -> None:
    """Everywhere where the ledger is read, and after a restart."""
    other = opened(path, limits=HIGHER)
    row = ledger.propose(HIGHER, "alice", key_of("alice"))

    ledger.approve(row, "bob", key_of("bob"))

    assert ledger.limits() == other.limits() == HIGHER
    reserve(other, events=LARGE)
    opened(path, limits=HIGHER).verify_chain()


def test_what_the_officers_agreed_on_does_not_raise_the_file(
    ledger: SiteLedger, path: Path
) -> None:
    """The lower of the two, number by number."""
    row = ledger.propose(SpendLimits("0.01", "30", "1"), "bob", key_of("bob"))
    ledger.approve(row, "alice", key_of("alice"))

    assert ledger.limits() == SpendLimits("0.001", "9", "1")


def test_a_proposal_under_another_key_is_not_written(ledger: SiteLedger) -> None:
    """Who has the file and the site's key is no officer."""
    with pytest.raises(InvalidSignature):
        ledger.propose(HIGHER, "alice", key_of("north"))
    with pytest.raises(IllegalEvent):
        ledger.propose(HIGHER, "mallory", key_of("mallory"))

    assert types(ledger) == ["DATASET_REGISTER", "POLICY_SET", "POLICY_SET"]


def test_a_proposal_keeps_the_officers_whatever_the_file_says(
    ledger: SiteLedger, path: Path
) -> None:
    """Who may edit the file would else be two officers of her own, once alice lowers a limit."""
    ledger.set_policy({**OFFICERS, "eve-1": public("eve-1"), "eve-2": public("eve-2")})
    row = ledger.propose(SpendLimits("0.001", "2.5", "2"), "alice", key_of("alice"))
    ledger.approve(row, "bob", key_of("bob"))

    with pytest.raises(IllegalEvent, match="eve-1: not one of the officers"):
        ledger.propose(HIGHER, "eve-1", key_of("eve-1"))
    assert dict(ledger.state().standing.officers()) == OFFICERS


def test_two_officers_change_who_the_officers_are_where_they_say_so(ledger: SiteLedger) -> None:
    """A change of its own, that both have signed."""
    others = {name: public(name) for name in ("dora", "emil")}
    row = ledger.propose(LIMITS, "alice", key_of("alice"), officers=others)

    ledger.approve(row, "bob", key_of("bob"))

    assert dict(ledger.state().standing.officers()) == others


def test_a_new_dataset_needs_two_officers(ledger: SiteLedger) -> None:
    """Its budget is a new one, so it is a higher limit; one who says so, twice, is one."""
    renamed = replace(HEARTS, id="hearts2")
    row = ledger.propose(LIMITS, "alice", key_of("alice"), datasets=("hearts2",))
    for another in (False, True):
        with pytest.raises(ConfigError, match="veilsum budget set --dataset hearts2"):
            ledger.register(renamed, another=another)

    ledger.approve(row, "bob", key_of("bob"))

    ledger.register(renamed)
    later = ledger.propose(LIMITS, "bob", key_of("bob"))
    ledger.approve(later, "alice", key_of("alice"))
    assert ledger.state().standing.datasets() == ("hearts2",)
    ledger.verify_chain()


def test_one_officer_alone_is_refused(path: Path) -> None:
    """Before anything is written."""
    ledger = begun(path)

    with pytest.raises(UnsafeParameters, match="two persons"):
        ledger.set_policy({"alice": public("alice")})
    assert types(ledger) == ["DATASET_REGISTER"]


def test_the_same_policy_is_recorded_once(path: Path) -> None:
    """At every start of the agent."""
    for _ in range(3):
        ledger = begun(path)
        ledger.set_policy(OFFICERS)
        ledger.close()

    assert types(opened(path)) == ["DATASET_REGISTER", "POLICY_SET"]
