"""The ledger holds through kills, restarts, races and tampering."""

import hashlib
import json
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import rfc8785

from participant.ledger.site_ledger import SiteLedger
from privacy.accounting import UnitOfPrivacy, epsilon_of
from privacy.budget import SpendLimits, spend_of, total
from privacy.errors import (
    BudgetExhausted,
    ConfigError,
    ConflictingContribution,
    IllegalEvent,
    InsecureKeyFile,
    MalformedMessage,
    RootMismatch,
    SchemaMismatch,
    StoreUnavailable,
    UnsafeParameters,
)
from privacy.events import Events, Gaussian
from privacy.ledger import (
    NOTHING_SENT,
    Audited,
    Checkpoint,
    Noise,
    Released,
    Result,
    Row,
    Witness,
    check_signature,
    sign_row,
)
from tests.participant.kept_ledger import (
    DELTA,
    EVENT,
    EVENTS,
    HEARTS,
    KEY,
    OTHER,
    OUT,
    OVER,
    PLAN,
    begun,
    both,
    key_of,
    opened,
    public,
    reserve,
    types,
    without_triggers,
)

ROOT = Path(__file__).parents[3]
LARGE = Gaussian("1")
PREAMBLE = """
import os, signal, sys, time
from pathlib import Path
from privacy.errors import BudgetExhausted
from privacy.events import Gaussian
from tests.participant.kept_ledger import both, opened, reserve
ledger = opened(Path(sys.argv[1]))
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.sqlite"


@pytest.fixture
def ledger(path: Path) -> Iterator[SiteLedger]:
    kept = begun(path)
    yield kept
    kept.close()


def rounds_that_fit() -> int:
    """How many rounds of the usual cost the limit for life holds."""
    fit = 0
    while total([spend_of(EVENT)] * (fit + 1)).epsilon(DELTA) <= 3.0:
        fit += 1
    return fit


def started(code: str, path: Path, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", PREAMBLE + textwrap.dedent(code), str(path), *arguments]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def test_a_round_is_reserved_committed_and_sent(ledger: SiteLedger) -> None:
    """The story of one release, in the order that protects."""
    reservation = reserve(ledger)
    ledger.commit(reservation, 1, OUT)
    ledger.sent(reservation, 1)

    assert types(ledger) == ["DATASET_REGISTER", "RESERVE", "COMMIT", "SENT"]
    assert ledger.spent_epsilon("hearts", DELTA) == pytest.approx(epsilon_of(EVENT, DELTA))
    assert ledger.remaining("hearts") == pytest.approx(3 - epsilon_of(EVENT, DELTA))
    ledger.verify_chain()


def test_a_row_has_the_public_shape(ledger: SiteLedger, path: Path) -> None:
    """An auditor reads rows without our code: canonical JSON, chained by SHA-256, and signed."""
    ledger.commit(reserve(ledger, rounds=2), 12, OUT)

    entries = sqlite3.connect(path).execute("SELECT body, signature FROM row").fetchall()
    bodies = [body for body, _ in entries]
    rows = [json.loads(body) for body in bodies]

    assert [rfc8785.dumps(row) for row in rows] == bodies
    assert [row["seq"] for row in rows] == [1, 2, 3]
    chain = ["0" * 64] + [hashlib.sha256(body).hexdigest() for body in bodies]
    assert [row["prev"] for row in rows] == chain[:-1]
    _, reserved, commit = rows
    assert commit["dataset"] == {
        "id": "hearts",
        "version": 1,
        "parent": None,
        "unit": "patient",
        "max_records_per_unit": 4,
        "neighbor": "add_remove",
    }
    assert (commit["v"], commit["type"], commit["ledger"]) == (1, "COMMIT", "north")
    assert (commit["job"], commit["round"], commit["clip"]) == ("j-1", 12, "1")
    assert (commit["out"], commit["ts"]) == (OUT, "2027-01-15T08:00:00.000+00:00")
    assert (reserved["rounds"], reserved["evidence"], commit["key"]) == (2, PLAN, public("north"))
    event = {"class": "Gaussian", "noise_multiplier": "4"}
    assert commit["event"]["sums"]["event"] == {
        "class": "PoissonSampled",
        "q": "0.25",
        "event": event,
    }
    assert commit["event"]["vector"] == commit["event"]["sums"]
    assert (
        len(commit["rdp"]["orders"]) == len(commit["rdp"]["sums"]) == len(commit["rdp"]["vector"])
    )
    assert float(commit["cum"]["sums"]["committed"]) >= epsilon_of(EVENT, DELTA)
    assert float(commit["cum"]["vector"]["charged"]) > float(commit["cum"]["sums"]["committed"])
    for row, (body, signature) in zip(ledger.rows(), entries, strict=True):
        check_signature(row, body, signature, [public("north")])


def test_a_retry_of_the_same_output_costs_nothing(ledger: SiteLedger) -> None:
    """Identical bytes tell nobody anything new."""
    reservation = reserve(ledger, rounds=2)
    for _ in range(2):
        ledger.commit(reservation, 1, OUT)
    for _ in range(2):
        ledger.sent(reservation, 1)
    ledger.commit(reservation, 1, OUT)

    assert types(ledger) == ["DATASET_REGISTER", "RESERVE", "COMMIT", "SENT"]
    assert ledger.reservation(reservation).left == 1


def test_a_second_output_for_a_round_is_refused(ledger: SiteLedger) -> None:
    """Fresh noise on the same round is a second release, whatever else is reserved."""
    reservation = reserve(ledger, rounds=3)
    ledger.commit(reservation, 1, OUT)
    other = reserve(ledger, rounds=2, clip="2")

    for held in (reservation, other):
        with pytest.raises(ConflictingContribution, match="second release"):
            ledger.commit(held, 1, OTHER)

    assert types(ledger).count("COMMIT") == 1


def test_a_reservation_is_found_again_after_a_restart(ledger: SiteLedger, path: Path) -> None:
    """The programme goes on without a second charge."""
    first = reserve(ledger, rounds=3)
    again = reserve(opened(path), rounds=3)

    assert again == first
    assert types(ledger) == ["DATASET_REGISTER", "RESERVE"]
    assert [(held.id, held.left) for held in ledger.reserved()] == [(first, 3)]


def test_a_whole_schedule_is_reserved_before_the_first_round(ledger: SiteLedger) -> None:
    """A programme that cannot be finished is not begun."""
    fit = rounds_that_fit()

    with pytest.raises(BudgetExhausted) as refusal:
        reserve(ledger, rounds=fit + 1)
    assert types(ledger) == ["DATASET_REGISTER"]
    assert refusal.value.spent == 0.0
    reservation = reserve(ledger, rounds=fit)

    assert ledger.reservation(reservation).left == fit
    assert ledger.remaining("hearts") < epsilon_of(EVENT, DELTA)


def test_a_schedule_goes_on_without_another_reservation(ledger: SiteLedger) -> None:
    """Each round finds its place among those that were set aside."""
    for number in (1, 2, 3):
        ledger.commit(reserve(ledger, rounds=4 - number), number, f"{number:064x}")

    assert types(ledger).count("RESERVE") == 1
    assert ledger.reserved() == ()


def test_an_aborted_round_costs_no_second_reservation(ledger: SiteLedger) -> None:
    """Round 1 ended before this site committed; as many rounds are still wanted."""
    reservation = reserve(ledger, rounds=3)

    again = reserve(ledger, rounds=3)
    ledger.commit(again, 2, OUT)

    assert again == reservation
    assert types(ledger).count("RESERVE") == 1
    assert ledger.reservation(reservation).left == 2


def test_an_aborted_round_that_was_committed_is_paid_for_again(ledger: SiteLedger) -> None:
    """What is missing is reserved, and no more."""
    first = reserve(ledger, rounds=3)
    ledger.commit(first, 1, OUT)

    again = reserve(ledger, rounds=3)

    (top_up,) = [row for row in ledger.rows() if row.type == "RESERVE" and row.reservation != first]
    assert (again, top_up.rounds) == (first, 1)
    assert sum(held.left for held in ledger.reserved()) == 3


def test_a_missing_round_that_does_not_fit_stops_the_schedule(path: Path) -> None:
    """All rounds that are wanted, or none: what could not be finished is not spent."""
    event = Gaussian("8")
    limit = f"{total([spend_of(event)] * 2).epsilon(DELTA) + 0.01:.6f}".rstrip("0")
    ledger = begun(path, limits=SpendLimits("0.001", limit, limit))
    first = reserve(ledger, rounds=2, events=both(event))
    ledger.commit(first, 1, OUT)

    with pytest.raises(BudgetExhausted):
        reserve(ledger, rounds=2, events=both(event))

    assert sum(held.left for held in ledger.reserved()) == 1


def test_another_event_gives_back_what_was_set_aside_for_the_first(ledger: SiteLedger) -> None:
    """The charge belongs to what was announced; a new plan of the same job replaces the old."""
    first = reserve(ledger, rounds=3)
    ledger.commit(first, 1, OUT)

    second = reserve(ledger, rounds=2, events=both(Gaussian("50")))

    assert types(ledger)[-2:] == ["RETIRE", "RESERVE"]
    assert ledger.rows()[-2].evidence == PLAN
    assert [held.id for held in ledger.reserved()] == [second]
    assert ledger.spent_epsilon("hearts", DELTA) == pytest.approx(epsilon_of(EVENT, DELTA))
    with pytest.raises(IllegalEvent):
        ledger.commit(first, 2, OTHER)


def test_another_event_that_does_not_fit_gives_nothing_back(ledger: SiteLedger) -> None:
    """One transaction: the old rounds stay set aside."""
    first = reserve(ledger, rounds=3)

    with pytest.raises(BudgetExhausted):
        reserve(ledger, rounds=300, events=both(Gaussian("3")))

    assert [held.id for held in ledger.reserved()] == [first]
    assert types(ledger) == ["DATASET_REGISTER", "RESERVE"]


def test_other_jobs_keep_what_they_have_reserved(ledger: SiteLedger) -> None:
    """Programmes on one dataset share its budget, and nothing else."""
    first = reserve(ledger, job="j-1", rounds=2)

    second = reserve(ledger, job="j-2", rounds=2, events=both(Gaussian("50")))

    assert {held.id for held in ledger.reserved()} == {first, second}


def test_no_rounds_are_no_reservation(ledger: SiteLedger) -> None:
    """A plan of zero rounds would be free."""
    with pytest.raises(MalformedMessage):
        reserve(ledger, rounds=0)


def test_both_views_have_limits_of_their_own(path: Path) -> None:
    """What an opener could see is refused, although the sum would fit."""
    limits = SpendLimits("0.001", "3", "2", "1.5", "1")
    ledger = begun(path, limits=limits)
    events = Events(Gaussian("20"), Gaussian("2.5"))
    assert epsilon_of(events.sums, DELTA) < 1 < epsilon_of(events.vector, DELTA) < 2

    with pytest.raises(BudgetExhausted, match="vector") as refusal:
        reserve(ledger, events=events)

    assert refusal.value.limit == 1.0
    assert types(ledger) == ["DATASET_REGISTER"]


def test_the_vectors_view_is_added_up_beside_that_of_sums(ledger: SiteLedger) -> None:
    """Two numbers for one round, and the larger one for those who can open an update."""
    events = Events(Gaussian("20"), Gaussian("10"))
    ledger.commit(reserve(ledger, rounds=2, events=events), 1, OUT)

    status = ledger.status("hearts")

    assert status.sums.committed == pytest.approx(epsilon_of(events.sums, DELTA))
    assert status.vector.committed == pytest.approx(epsilon_of(events.vector, DELTA))
    assert status.vector.charged > status.vector.committed > status.sums.committed
    assert (status.sums.limit, status.vector.limit, status.delta) == (3.0, 3.0, "0.001")
    assert ledger.spent_epsilon("hearts", DELTA, "vector") == status.vector.committed
    assert ledger.remaining("hearts", "vector") == 3.0 - status.vector.charged


def test_an_opened_update_is_never_the_cheaper_one(ledger: SiteLedger) -> None:
    """Whoever sees the update could have added it up."""
    with pytest.raises(UnsafeParameters, match="opened update"):
        reserve(ledger, events=Events(Gaussian("5"), Gaussian("6")))


def test_an_exhausted_budget_writes_nothing(ledger: SiteLedger) -> None:
    """The refusal comes before anything happens, over all jobs."""
    for number in range(1, 100):
        try:
            ledger.commit(reserve(ledger, job=f"j-{number}"), number, OUT)
        except BudgetExhausted as refusal:
            error = refusal
            break
    written = len(ledger.rows())

    with pytest.raises(BudgetExhausted):
        reserve(ledger, job="j-1000")

    assert len(ledger.rows()) == written
    assert error.limit == 3.0
    assert ledger.spent_epsilon("hearts", DELTA) == pytest.approx(error.spent)
    assert error.spent <= 3.0 < error.spent + error.cost


def test_one_round_has_its_own_limit(ledger: SiteLedger) -> None:
    """A large first round is refused although a life's budget would hold it."""
    assert epsilon_of(LARGE, DELTA) > 2

    with pytest.raises(BudgetExhausted) as refusal:
        reserve(ledger, events=both(LARGE))

    assert (refusal.value.spent, refusal.value.limit) == (0.0, 2.0)
    assert types(ledger) == ["DATASET_REGISTER"]


def test_a_lower_limit_counts_what_was_spent_before(ledger: SiteLedger, path: Path) -> None:
    """A changed policy cannot forget."""
    ledger.commit(reserve(ledger), 1, OUT)

    stricter = opened(path, limits=SpendLimits("0.001", "0.5", "0.5"))

    assert stricter.remaining("hearts") == 0.0
    with pytest.raises(BudgetExhausted):
        reserve(stricter, job="j-2", events=both(Gaussian("500")))


def test_a_lower_limit_stops_what_was_set_aside_under_the_higher(
    ledger: SiteLedger, path: Path
) -> None:
    """Whoever lowers a limit means the next round, too."""
    reserve(ledger, rounds=3)

    stricter = opened(path, limits=SpendLimits("0.001", "1.2", "1"))

    with pytest.raises(BudgetExhausted):
        reserve(stricter, rounds=3)


def test_what_was_not_committed_is_given_back_with_evidence(ledger: SiteLedger) -> None:
    """The programme is over: what its rounds did not spend is free again, and nothing else."""
    reservation = reserve(ledger, rounds=3)
    ledger.commit(reservation, 1, OUT)
    ledger.retire(reservation, OVER)
    ledger.retire(reservation, OVER)

    assert types(ledger) == ["DATASET_REGISTER", "RESERVE", "COMMIT", "RETIRE"]
    assert ledger.rows()[-1].evidence == OVER
    assert ledger.remaining("hearts") == pytest.approx(3.0 - epsilon_of(EVENT, DELTA))
    with pytest.raises(IllegalEvent):
        ledger.commit(reservation, 2, OTHER)
    ledger.commit(reservation, 1, OUT)


def test_a_commit_is_never_given_back(ledger: SiteLedger) -> None:
    """Committed stays, sent or not."""
    reservation = reserve(ledger)
    ledger.commit(reservation, 1, OUT)

    with pytest.raises(IllegalEvent):
        ledger.retire(reservation, OVER)
    ledger.sent(reservation, 1)
    with pytest.raises(IllegalEvent):
        ledger.retire(reservation, OVER)

    assert ledger.spent_epsilon("hearts", DELTA) > 0


def test_a_reservation_is_not_spent_more_often_than_it_has_rounds(ledger: SiteLedger) -> None:
    """The budget was checked for so many."""
    reservation = reserve(ledger, rounds=2)
    for number in (1, 2):
        ledger.commit(reservation, number, OUT)

    with pytest.raises(IllegalEvent, match="not open"):
        ledger.commit(reservation, 3, OUT)


def test_nothing_is_sent_without_a_commit(ledger: SiteLedger) -> None:
    """Spend is on disk before the bytes leave."""
    with pytest.raises(IllegalEvent):
        ledger.sent(reserve(ledger), 1)


@pytest.mark.parametrize(
    ("act", "arguments"),
    [("commit", ("r-99", 1, OUT)), ("retire", ("r-99", OUT)), ("sent", ("r-99", 1))],
)
def test_an_unknown_reservation_is_refused(
    ledger: SiteLedger, act: str, arguments: tuple[Any, ...]
) -> None:
    """Nothing was set aside under that name."""
    with pytest.raises(IllegalEvent):
        getattr(ledger, act)(*arguments)


def test_a_new_version_of_a_dataset_inherits_its_spend(ledger: SiteLedger) -> None:
    """Erasing or adding patients refunds nothing: how far versions overlap is not known."""
    held = reserve(ledger, rounds=2)
    ledger.commit(held, 1, OUT)
    spent, left = ledger.spent_epsilon("hearts", DELTA), ledger.remaining("hearts")

    ledger.register(msgspec.structs.replace(HEARTS, version=2, parent=1))
    ledger.register(HEARTS)

    assert ledger.spent_epsilon("hearts", DELTA) == spent
    assert ledger.remaining("hearts") == left
    with pytest.raises(ConflictingContribution):
        ledger.commit(reserve(ledger, rounds=1), 1, OTHER)
    assert ledger.rows()[-1].dataset.version == 2


@pytest.mark.parametrize(
    "changes",
    [
        {"version": 2, "parent": None},
        {"version": 2, "parent": 7},
        {"version": 1, "parent": 1},
        {"max_records_per_unit": 9},
    ],
)
def test_a_version_without_lineage_is_refused(ledger: SiteLedger, changes: dict[str, Any]) -> None:
    """A dataset does not lose its past by a new name for its version."""
    with pytest.raises(IllegalEvent):
        ledger.register(msgspec.structs.replace(HEARTS, **changes))


def test_another_dataset_begins_without_a_parent(ledger: SiteLedger) -> None:
    """What has a parent is a version of it, and has its budget."""
    with pytest.raises(IllegalEvent):
        ledger.register(msgspec.structs.replace(HEARTS, id="fresh", parent=1), another=True)


def test_a_new_name_alone_begins_no_new_budget(ledger: SiteLedger) -> None:
    """An edited line of a file would make the same patients fresh ones."""
    renamed = msgspec.structs.replace(HEARTS, id="hearts2")

    with pytest.raises(ConfigError, match=r"keeps the budget of hearts.*veilsum budget dataset"):
        ledger.register(renamed)

    assert types(ledger) == ["DATASET_REGISTER"]
    ledger.register(renamed, another=True)
    ledger.register(renamed)
    assert types(ledger) == ["DATASET_REGISTER", "DATASET_REGISTER"]


def test_a_new_version_protects_the_same_unit(ledger: SiteLedger) -> None:
    """Epsilons of patients and of records do not add up."""
    records = msgspec.structs.replace(
        HEARTS, version=2, parent=1, unit=UnitOfPrivacy.RECORD, max_records_per_unit=1
    )

    with pytest.raises(UnsafeParameters):
        ledger.register(records)


def test_several_records_per_record_make_no_sense() -> None:
    """Rows of one patient are hidden together only under the unit 'patient'."""
    with pytest.raises(UnsafeParameters):
        msgspec.structs.replace(HEARTS, unit=UnitOfPrivacy.RECORD)


def test_an_unregistered_dataset_cannot_be_spent(ledger: SiteLedger) -> None:
    """A budget belongs to a dataset that somebody has described."""
    with pytest.raises(IllegalEvent):
        ledger.reserve("lungs", "j-1", EVENTS, "1", 1, PLAN)
    with pytest.raises(IllegalEvent):
        ledger.preprocess("lungs", EVENTS, "a mean")
    with pytest.raises(IllegalEvent):
        ledger.spent_epsilon("lungs", DELTA)


def test_datasets_have_budgets_of_their_own(ledger: SiteLedger) -> None:
    """No patient is in both, says who registered them."""
    ledger.register(msgspec.structs.replace(HEARTS, id="lungs"), another=True)
    ledger.commit(reserve(ledger), 1, OUT)

    assert ledger.spent_epsilon("lungs", DELTA) == 0.0


@pytest.mark.parametrize(
    ("job", "clip"), [("j 1", "1"), ("", "1"), ("j\n", "1"), ("j", "nan"), ("j", "01")]
)
def test_what_no_reader_would_accept_is_not_written(
    ledger: SiteLedger, job: str, clip: str
) -> None:
    """A ledger that cannot be read back would stop the site for good."""
    with pytest.raises(MalformedMessage):
        reserve(ledger, job=job, clip=clip)

    assert types(ledger) == ["DATASET_REGISTER"]
    reserve(ledger)


@pytest.mark.parametrize(("number", "out"), [(1, "yes"), (1, OUT.upper()), (0, OUT)])
def test_an_output_is_a_digest_of_a_round(ledger: SiteLedger, number: int, out: str) -> None:
    """The commit names the exact bytes."""
    reservation = reserve(ledger)

    with pytest.raises(MalformedMessage):
        ledger.commit(reservation, number, out)

    assert types(ledger) == ["DATASET_REGISTER", "RESERVE"]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE row SET body = x'00' WHERE seq = 1",
        "DELETE FROM row",
        "DELETE FROM row WHERE seq = 2",
        "INSERT OR REPLACE INTO row (seq, body) VALUES (2, x'00')",
        "REPLACE INTO row (seq, body) VALUES (1, x'00')",
        "INSERT INTO row (seq, body) VALUES (9, x'00')",
        "UPDATE OR REPLACE row SET seq = 1 WHERE seq = 2",
    ],
)
def test_the_database_itself_refuses_to_forget(
    ledger: SiteLedger, path: Path, statement: str
) -> None:
    """Not even our own code, with an error in it, can rewrite a row."""
    reserve(ledger)

    with pytest.raises(sqlite3.IntegrityError, match="ledger rows"):
        sqlite3.connect(path, isolation_level=None).execute(statement)

    assert types(ledger) == ["DATASET_REGISTER", "RESERVE"]


@pytest.mark.parametrize(
    ("statement", "first_bad"),
    [
        ("UPDATE row SET body = CAST(replace(body, '\"round\":1', '\"round\":9') AS BLOB)", 3),
        ("UPDATE row SET body = CAST(replace(body, 'patient', 'record') AS BLOB)", 1),
        ("UPDATE row SET body = CAST(body || ' ' AS BLOB) WHERE seq = 3", 3),
        ("UPDATE row SET body = x'7b' WHERE seq = 2", 2),
        ("DELETE FROM row WHERE seq = 2", 3),
        ("DELETE FROM row WHERE seq = 1", 2),
        ("INSERT INTO row SELECT 5, body, signature FROM row WHERE seq = 4", 5),
        ("UPDATE row SET signature = zeroblob(64) WHERE seq = 4", 4),
        ("UPDATE row SET signature = (SELECT signature FROM row WHERE seq = 2) WHERE seq = 3", 3),
        ("UPDATE row SET signature = x'' WHERE seq = 1", 1),
    ],
)
def test_tampering_is_found_and_named(
    ledger: SiteLedger, path: Path, statement: str, first_bad: int
) -> None:
    """Whoever drops the triggers has chain and signatures against them."""
    reservation = reserve(ledger, rounds=2)
    ledger.commit(reservation, 1, OUT)
    ledger.commit(reservation, 2, OTHER)
    without_triggers(path).execute(statement)

    with pytest.raises(RootMismatch, match=f"row {first_bad}"):
        ledger.verify_chain()
    with pytest.raises(RootMismatch, match=f"row {first_bad}"):
        opened(path)


def test_a_row_of_somebody_elses_key_is_refused(ledger: SiteLedger, path: Path) -> None:
    """Who can write the file, and is not the site, cannot give back what the site reserved."""
    reserve(ledger, rounds=3)
    forger = opened(path, key=key_of("forger"), also=[public("north")])
    forger.retire("r-2", OVER)

    with pytest.raises(RootMismatch, match=r"row 3: .* a key not known here"):
        opened(path)
    with pytest.raises(RootMismatch, match="row 3"):
        ledger.remaining("hearts")


def test_a_key_of_the_site_in_another_federation_is_accepted_where_it_is_named(path: Path) -> None:
    """One dataset in two federations has one ledger, and two keys of one site."""
    begun(path).close()
    second = opened(path, key=key_of("north elsewhere"), also=[public("north")])
    reserve(second)

    assert types(opened(path, also=[public("north elsewhere")])) == ["DATASET_REGISTER", "RESERVE"]


def test_a_cut_tail_is_found_only_by_who_saw_it(ledger: SiteLedger, path: Path) -> None:
    """A chain cannot show what came after it: that takes a checkpoint held by others."""
    ledger.commit(reserve(ledger), 1, OUT)
    without_triggers(path).execute("DELETE FROM row WHERE seq = 3")

    opened(path).verify_chain()

    assert types(opened(path)) == ["DATASET_REGISTER", "RESERVE"]


def test_a_cost_below_the_event_is_found(ledger: SiteLedger, path: Path) -> None:
    """A chain can be rebuilt over a lie, by the site itself; the event still says what it costs."""
    reserve(ledger)
    row = ledger.rows()[1]
    assert row.rdp is not None
    cheap = msgspec.structs.replace(row.rdp, vector=tuple("0.000001" for _ in row.rdp.sums))
    forge(path, msgspec.structs.replace(row, rdp=cheap))

    with pytest.raises(RootMismatch, match="row 2: the cost stated"):
        opened(path).verify_chain()


def test_a_sum_below_what_the_rows_add_up_to_is_found(ledger: SiteLedger, path: Path) -> None:
    """What a reader sees at first sight is checked as well."""
    reserve(ledger)
    row = ledger.rows()[1]
    assert row.cum is not None
    small = msgspec.structs.replace(row.cum.vector, charged="0.5")
    forge(path, msgspec.structs.replace(row, cum=msgspec.structs.replace(row.cum, vector=small)))

    with pytest.raises(RootMismatch, match="row 2: the epsilon stated"):
        opened(path).verify_chain()


def forge(path: Path, row: Row) -> None:
    """Put another row in the place of one, signed as it must be."""
    body = rfc8785.dumps(msgspec.to_builtins(row))
    written = (body, sign_row(KEY, body), row.seq)
    without_triggers(path).execute("UPDATE row SET body = ?, signature = ? WHERE seq = ?", written)


def test_another_sites_ledger_is_refused(ledger: SiteLedger, path: Path) -> None:
    """Copied state would mix two sites' budgets."""
    with pytest.raises(SchemaMismatch, match="not the ledger of south"):
        opened(path, site="south")


@pytest.mark.parametrize(("version", "words"), [(7, "this Veilsum reads 2"), (1, "not signed")])
def test_another_schema_is_refused(path: Path, version: int, words: str) -> None:
    """A later Veilsum's rows are not guessed at, and an earlier one's were not signed."""
    opened(path).close()
    sqlite3.connect(path).execute(f"PRAGMA user_version={version}")

    with pytest.raises(SchemaMismatch, match=words):
        opened(path)


def test_only_the_owner_can_open_the_files(ledger: SiteLedger, path: Path) -> None:
    """The log and the shared memory beside it as well."""
    reserve(ledger)

    assert {item.name: item.stat().st_mode & 0o777 for item in path.parent.iterdir()} == {
        "ledger.sqlite": 0o600,
        "ledger.sqlite-wal": 0o600,
        "ledger.sqlite-shm": 0o600,
    }


@pytest.mark.parametrize("mode", [0o644, 0o660, 0o602])
def test_a_file_open_to_others_is_refused(ledger: SiteLedger, path: Path, mode: int) -> None:
    """Somebody else may have written in it."""
    path.chmod(mode)

    with pytest.raises(InsecureKeyFile):
        opened(path)


def test_a_file_that_is_no_database_is_refused(path: Path) -> None:
    """Nothing is guessed from it, and it is not overwritten."""
    path.write_bytes(b"not a database" * 100)
    path.chmod(0o600)

    with pytest.raises(ConfigError, match=f"{path}: .*is damaged"):
        opened(path)

    assert path.read_bytes().startswith(b"not a database")


def test_what_returns_is_on_disk(ledger: SiteLedger) -> None:
    """The settings under which SQLite syncs its log at every commit."""
    database = ledger._store._database

    assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert database.execute("PRAGMA synchronous").fetchone() == (2,)


@pytest.mark.parametrize("stop", ["reserved", "committed", "sent"])
def test_a_kill_after_any_step_loses_nothing(ledger: SiteLedger, path: Path, stop: str) -> None:
    """A SIGKILL in the same instant as the step returns: what it did still counts."""
    child = started(
        """
        def done(step):
            if step == sys.argv[2]:
                os.kill(os.getpid(), signal.SIGKILL)
        name = reserve(ledger)
        done("reserved")
        ledger.commit(name, 1, "a" * 64)
        done("committed")
        ledger.sent(name, 1)
        done("sent")
        """,
        path,
        stop,
    )
    assert child.wait(timeout=30) == -signal.SIGKILL

    after = opened(path)

    after.verify_chain()
    assert after.remaining("hearts") == pytest.approx(3 - epsilon_of(EVENT, DELTA))
    made = after.committed("hearts", "j-1", 1)
    assert after.reservation("r-2").left == (stop == "reserved")
    assert (made is not None) == (stop != "reserved")
    assert (made is not None and made.sent) == (stop == "sent")


@pytest.mark.parametrize("lines", [1, 2, 4, 7, 11])
def test_a_kill_at_any_moment_loses_nothing_that_returned(
    ledger: SiteLedger, path: Path, lines: int
) -> None:
    """Killed in full run, the ledger opens, verifies, and holds all that was reported."""
    child = started(
        """
        for number in range(1, 10_000):
            name = reserve(ledger, events=both(Gaussian("2000")))
            print("reserved", name, number, flush=True)
            ledger.commit(name, number, f"{number:064x}")
            print("committed", name, number, flush=True)
        """,
        path,
    )
    assert child.stdout is not None
    seen = [child.stdout.readline().split() for _ in range(lines)]
    child.kill()
    seen += [line.split() for line in child.communicate()[0].splitlines(keepends=True)]

    after = opened(path)

    after.verify_chain()
    whole = [line for line in seen if len(line) == 3]
    committed = [int(number) for step, _, number in whole if step[0] == "c"]
    assert all(after.committed("hearts", "j-1", number) for number in committed[:-1])
    floor = total(spend_of(Gaussian("2000")) for _ in committed[:-1]).epsilon(DELTA)
    assert after.spent_epsilon("hearts", DELTA) >= floor
    assert len(after.reserved()) <= 1


def test_two_processes_cannot_overspend(path: Path) -> None:
    """Four agents race for one budget; together they get what one would have got."""
    kept = begun(path)
    children = [
        started(
            """
            won = 0
            for number in range(1, 100):
                try:
                    name = reserve(ledger, job=sys.argv[2])
                    ledger.commit(name, number, "a" * 64)
                    won += 1
                except BudgetExhausted:
                    break
            print(won)
            """,
            path,
            f"job-{index}",
        )
        for index in range(4)
    ]
    won = sum(int(child.communicate(timeout=60)[0]) for child in children)

    assert won == rounds_that_fit()
    assert kept.spent_epsilon("hearts", DELTA) <= 3.0
    assert types(kept).count("COMMIT") == won
    kept.verify_chain()


def test_two_processes_cannot_both_have_the_last_schedule(path: Path) -> None:
    """Two programmes that each fit, and not both: one gets all of its rounds, the other none."""
    kept, fit = begun(path), rounds_that_fit()
    code = """
    try:
        print(reserve(ledger, job=sys.argv[2], rounds=int(sys.argv[3])) != "")
    except BudgetExhausted:
        print("none")
    """
    wanted = fit // 2 + 1
    children = [started(code, path, f"job-{index}", str(wanted)) for index in range(2)]
    answers = sorted(child.communicate(timeout=60)[0].strip() for child in children)

    assert answers == ["True", "none"]
    assert [held.rounds for held in kept.reserved()] == [wanted]
    assert kept.status("hearts").sums.charged <= 3.0


def test_two_processes_share_the_reservation_of_a_round(path: Path) -> None:
    """Of three agents in one round, one output is committed and the others refused."""
    kept = begun(path)
    code = """
    from privacy.errors import ConflictingContribution, IllegalEvent
    name = reserve(ledger)
    print("reserved", flush=True)
    sys.stdin.readline()
    try:
        ledger.commit(name, 1, sys.argv[2] * 64)
        print("committed")
    except ConflictingContribution:
        print("refused")
    """
    children = [asked(code, path, letter) for letter in "abc"]
    reserved = [child.stdout.readline() for child in children if child.stdout]
    answers = sorted(child.communicate("go\n", timeout=60)[0].strip() for child in children)

    assert reserved == ["reserved\n"] * 3
    assert answers == ["committed", "refused", "refused"]
    assert types(kept) == ["DATASET_REGISTER", "RESERVE", "COMMIT"]


def asked(code: str, path: Path, *arguments: str) -> subprocess.Popen[str]:
    """The same, of a process that waits for a line."""
    command = [sys.executable, "-c", PREAMBLE + textwrap.dedent(code), str(path), *arguments]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, text=True)


def test_a_new_ledger_can_be_begun_by_several_processes_at_once(path: Path) -> None:
    """Started together, they agree on one file."""
    children = [started("print('open')", path) for _ in range(4)]

    answers = [child.communicate(timeout=60)[0].strip() for child in children]

    assert answers == ["open"] * 4


def test_threads_share_one_ledger(ledger: SiteLedger) -> None:
    """An agent's pool may hold the same object."""
    jobs = [(f"j-{index}", 1, both(Gaussian("3000"))) for index in range(8)]
    threads = [threading.Thread(target=reserve, args=(ledger, *job)) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert types(ledger).count("RESERVE") == 8
    ledger.verify_chain()


def test_rows_read_as_values(ledger: SiteLedger) -> None:
    """What a report or an auditor's tool starts from."""
    rows = ledger.rows()

    assert all(isinstance(row, Row) for row in rows)
    assert rows[0].dataset == HEARTS


# -- what became of a round, and what happens outside of rounds ----------------------

RESULT = Result(PLAN, "c" * 64, 4, 3)
RELEASED = Released("1" * 64, "2" * 64)


def test_a_round_that_was_paid_for_is_told_to_its_end(ledger: SiteLedger) -> None:
    """From the reservation to the model, in one place, once."""
    ledger.commit(reserve(ledger), 1, OUT, Noise("discrete_gaussian", "81/4", 3, 1))
    for _ in range(2):
        ledger.result("hearts", "j-1", 1, RESULT)
        ledger.released("hearts", "j-1", 1, RELEASED)

    made = ledger.committed("hearts", "j-1", 1)

    assert made is not None
    assert (made.result, made.release) == (RESULT, RELEASED)
    assert types(ledger)[-3:] == ["COMMIT", "ROUND_RESULT", "RELEASE"]
    assert ledger.rows()[2].noise == Noise("discrete_gaussian", "81/4", 3, 1)


def test_a_round_has_one_end(ledger: SiteLedger) -> None:
    """Another release of the same round is another history."""
    ledger.commit(reserve(ledger), 1, OUT)
    ledger.result("hearts", "j-1", 1, RESULT)
    ledger.released("hearts", "j-1", 1, RELEASED)

    with pytest.raises(ConflictingContribution):
        ledger.result("hearts", "j-1", 1, Result(PLAN, "c" * 64, 3, 2))
    with pytest.raises(ConflictingContribution):
        ledger.released("hearts", "j-1", 1, Released("1" * 64, "3" * 64))


def test_a_round_without_an_output_has_no_end(ledger: SiteLedger) -> None:
    """A release that this site paid nothing for is not in its ledger."""
    with pytest.raises(IllegalEvent):
        ledger.result("hearts", "j-1", 1, RESULT)
    with pytest.raises(IllegalEvent):
        ledger.released("hearts", "j-1", 1, RELEASED)


def test_a_look_at_the_data_costs_like_a_round(ledger: SiteLedger) -> None:
    """Imputation, scaling, a choice of parameters: what is not in a plan is in the ledger."""
    ledger.preprocess("hearts", EVENTS, "mean of the ages, to fill gaps")

    assert ledger.spent_epsilon("hearts", DELTA) == pytest.approx(epsilon_of(EVENT, DELTA))
    assert ledger.rows()[-1].text == "mean of the ages, to fill gaps"
    ledger.verify_chain()


def test_a_look_that_does_not_fit_is_refused(ledger: SiteLedger) -> None:
    """In either view, and nothing is written."""
    for events in (both(Gaussian("0.5")), Events(Gaussian("50"), Gaussian("0.5"))):
        with pytest.raises(BudgetExhausted):
            ledger.preprocess("hearts", events, "all of it")

    assert types(ledger) == ["DATASET_REGISTER"]


def test_a_correction_is_never_refused_and_stops_what_comes_after(ledger: SiteLedger) -> None:
    """What was spent was spent; the budget may end below zero, and then nothing more fits."""
    reserve(ledger, rounds=2)

    ledger.adjust_up("hearts", both(Gaussian("0.5")), "a run of 2025 that nobody had recorded")

    assert ledger.remaining("hearts") == 0.0
    assert ledger.spent_epsilon("hearts", DELTA) > 3.0
    with pytest.raises(BudgetExhausted):
        reserve(ledger, rounds=2)
    ledger.verify_chain()


def test_a_limit_that_was_lowered_binds_what_was_reserved_before(
    ledger: SiteLedger, path: Path
) -> None:
    """Reserved is not released: nothing has left yet, and the lower limit counts at once."""
    held = reserve(ledger, rounds=2)
    for lower in (SpendLimits("0.001", "1", "1"), SpendLimits("0.001", "3", "0.1")):
        lowered = opened(path, limits=lower)

        with pytest.raises(BudgetExhausted):
            lowered.commit(held, 1, OUT)

        assert types(lowered) == ["DATASET_REGISTER", "RESERVE"]
        lowered.close()
    ledger.commit(held, 1, OUT)


def test_a_correction_above_the_limit_stops_what_was_reserved_before(ledger: SiteLedger) -> None:
    """What is charged is above the limit, whoever came first."""
    held = reserve(ledger)
    ledger.adjust_up("hearts", both(Gaussian("0.5")), "a run of 2025 that nobody had recorded")

    with pytest.raises(BudgetExhausted):
        ledger.commit(held, 1, OUT)


def test_a_round_that_sent_nothing_is_recorded_whatever_the_limit_is(
    ledger: SiteLedger, path: Path
) -> None:
    """The data was used; and what was committed before a limit fell is sent again for nothing."""
    held = reserve(ledger, rounds=2)
    ledger.commit(held, 1, OUT)
    lowered = opened(path, limits=SpendLimits("0.001", "0.1", "0.1"))

    lowered.commit(held, 2, NOTHING_SENT)
    lowered.commit(held, 1, OUT)

    assert types(lowered)[-2:] == ["COMMIT", "COMMIT"]
    lowered.verify_chain()


@pytest.mark.parametrize("text", ["", "x" * 501])
def test_a_use_outside_of_rounds_says_what_it_was(ledger: SiteLedger, text: str) -> None:
    """An auditor reads it."""
    with pytest.raises(MalformedMessage):
        ledger.preprocess("hearts", EVENTS, text)


def test_an_audit_is_in_the_ledger(ledger: SiteLedger) -> None:
    """What was found, and the digest of the report that says how."""
    audit = Audited("7" * 64, "1", "0.52", "0.95", "0.00001", 1000, passed=True)

    ledger.audited("hearts", audit)

    assert ledger.rows()[-1].audit == audit


def test_another_sites_checkpoint_is_noted_once(ledger: SiteLedger) -> None:
    """It is evidence against that site, should it show a shorter ledger later."""
    seen = Witness("south", 12, "5" * 64, "6" * 64)
    ledger.witness(seen)
    ledger.witness(seen)

    ledger.witness(msgspec.structs.replace(seen, size=13, root="7" * 64))

    assert types(ledger) == ["DATASET_REGISTER", "WITNESS", "WITNESS"]
    assert ledger.rows()[1].witness == seen


def test_what_a_cohort_shows_is_one_transaction(path: Path) -> None:
    """All of it or nothing: a hundred sites are no hundred syncs of a disk."""
    kept: list[Checkpoint] = []
    ledger = begun(path, keeps=kept.append)
    seen = [Witness(f"site-{at}", 12, "5" * 64, "6" * 64) for at in range(3)]
    kept.clear()

    ledger.witness(*seen)
    with pytest.raises(MalformedMessage):
        ledger.witness(Witness("late", 12, "5" * 64, "6" * 64), Witness("no name", 0, "", ""))

    assert [row.witness for row in ledger.rows()[1:]] == seen
    assert [head.size for head in kept] == [4]


def test_a_checkpoint_is_the_head_of_all_rows_before_it(ledger: SiteLedger) -> None:
    """Its root is RFC 6962's, over the rows as they are signed."""
    reserve(ledger)
    head = ledger.checkpoint()

    marked = ledger.mark()

    assert marked == head == Checkpoint(2, ledger.root_at(2))
    assert ledger.rows()[-1].checkpoint == head
    first, second = (hashlib.sha256(b"\0" + body).digest() for body, _ in ledger.entries()[:2])
    assert hashlib.sha256(b"\1" + first + second).hexdigest() == head.root
    assert ledger.checkpoint().size == 3


def test_an_empty_ledger_has_no_head(path: Path) -> None:
    """There is nothing to sign."""
    with pytest.raises(IllegalEvent):
        opened(path).checkpoint()
    with pytest.raises(IllegalEvent):
        opened(path).mark()


@pytest.mark.parametrize("size", [0, 3, -1])
def test_only_sizes_that_were_have_roots(ledger: SiteLedger, size: int) -> None:
    """Nobody has seen the others."""
    reserve(ledger)

    with pytest.raises(IllegalEvent):
        ledger.root_at(size)


def test_the_head_is_told_before_a_write_returns(path: Path) -> None:
    """Whoever keeps it notices an older copy; nothing leaves before it is kept."""
    told: list[Checkpoint] = []
    ledger = begun(path, keeps=told.append)
    reserve(ledger)

    ledger.register(HEARTS)

    assert [head.size for head in told] == [1, 2]
    assert told[-1] == ledger.checkpoint()


def test_a_head_that_could_not_be_kept_is_told_again(path: Path) -> None:
    """The row is there; the retry changes nothing and tells the head."""
    told: list[Checkpoint] = []

    def keeps(head: Checkpoint) -> None:
        if head.size == 2 and not told:
            told.append(head)
            raise StoreUnavailable("disk full")
        told.append(head)

    ledger = opened(path, keeps=keeps)
    told.append(Checkpoint(1, OUT))
    ledger.register(HEARTS)
    told.clear()
    with pytest.raises(StoreUnavailable):
        reserve(ledger)

    reserve(ledger)

    assert types(ledger) == ["DATASET_REGISTER", "RESERVE"]
    assert [head.size for head in told] == [2, 2]
