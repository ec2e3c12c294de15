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
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from participant.ledger import SiteLedger
from privacy.accounting import NeighbouringRelation, UnitOfPrivacy, epsilon_of
from privacy.budget import SpendLimits, spend_of, total
from privacy.errors import (
    BudgetExhausted,
    ConflictingContribution,
    IllegalEvent,
    InsecureKeyFile,
    MalformedMessage,
    RootMismatch,
    SchemaMismatch,
    StoreUnavailable,
    UnsafeParameters,
)
from privacy.events import Gaussian, PoissonSampled, SelfComposed
from privacy.ledger import Dataset, Row, RowType

ROOT = Path(__file__).parents[2]
DELTA = 1e-3
LIMITS = SpendLimits(delta="0.001", epsilon_for_life="3", epsilon_per_round="2")
EVENT = SelfComposed(20, PoissonSampled("0.25", Gaussian("4")))
LARGE = Gaussian("1")
OUT, OTHER = "a" * 64, "b" * 64
OVER = "e" * 64
HEARTS = Dataset(
    id="hearts",
    version=1,
    parent=None,
    unit=UnitOfPrivacy.PATIENT,
    max_records_per_unit=4,
    neighbor=NeighbouringRelation.ADD_OR_REMOVE_ONE,
)
PREAMBLE = """
import os, signal, sys, time
from pathlib import Path
from participant.ledger import SiteLedger
from privacy.budget import SpendLimits
from privacy.errors import BudgetExhausted
from privacy.events import Gaussian, PoissonSampled, SelfComposed
event = SelfComposed(20, PoissonSampled("0.25", Gaussian("4")))
limits = SpendLimits(delta="0.001", epsilon_for_life="3", epsilon_per_round="2")
ledger = SiteLedger(Path(sys.argv[1]), time.time, site="north", limits=limits)
"""


def opened(path: Path, **changes: Any) -> SiteLedger:
    settled = {"site": "north", "limits": LIMITS, **changes}
    return SiteLedger(path, lambda: 1_800_000_000.0, **settled)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.sqlite"


@pytest.fixture
def ledger(path: Path) -> Iterator[SiteLedger]:
    begun = opened(path)
    begun.register(HEARTS)
    yield begun
    begun.close()


def reserve(ledger: SiteLedger, round_: int, job: str = "j-1") -> str:
    return ledger.reserve("hearts", job, round_, EVENT, "1")


def types(ledger: SiteLedger) -> list[str]:
    return [row.type.value for row in ledger.rows()]


def started(code: str, path: Path, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", PREAMBLE + textwrap.dedent(code), str(path), *arguments]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def test_a_round_is_reserved_committed_and_sent(ledger: SiteLedger) -> None:
    """The story of one release, in the order that protects."""
    reservation = reserve(ledger, 1)
    ledger.commit(reservation, OUT)
    ledger.sent(reservation)

    assert types(ledger) == ["DATASET_REGISTER", "RESERVE", "COMMIT", "SENT"]
    assert ledger.spent_epsilon("hearts", DELTA) == pytest.approx(epsilon_of(EVENT, DELTA))
    assert ledger.remaining("hearts") == pytest.approx(3 - epsilon_of(EVENT, DELTA))
    ledger.verify_chain()


def test_a_row_has_the_public_shape(ledger: SiteLedger, path: Path) -> None:
    """An auditor reads rows without our code: canonical JSON, chained by SHA-256."""
    ledger.commit(reserve(ledger, 12), OUT)

    bodies = [body for (body,) in sqlite3.connect(path).execute("SELECT body FROM row")]
    rows = [json.loads(body) for body in bodies]

    assert [rfc8785.dumps(row) for row in rows] == bodies
    assert [row["seq"] for row in rows] == [1, 2, 3]
    chain = ["0" * 64] + [hashlib.sha256(body).hexdigest() for body in bodies]
    assert [row["prev"] for row in rows] == chain[:-1]
    commit = rows[-1]
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
    assert commit["event"]["event"] == {
        "class": "PoissonSampled",
        "q": "0.25",
        "event": {"class": "Gaussian", "noise_multiplier": "4"},
    }
    assert len(commit["rdp"]["orders"]) == len(commit["rdp"]["eps"])
    assert float(commit["cum"]["eps_committed"]) >= epsilon_of(EVENT, DELTA)


def test_a_retry_of_the_same_output_costs_nothing(ledger: SiteLedger) -> None:
    """Identical bytes tell nobody anything new."""
    reservation = reserve(ledger, 1)
    ledger.commit(reservation, OUT)
    ledger.commit(reservation, OUT)
    ledger.sent(reservation)
    ledger.sent(reservation)
    ledger.commit(reservation, OUT)

    assert types(ledger) == ["DATASET_REGISTER", "RESERVE", "COMMIT", "SENT"]


def test_a_second_output_for_a_round_is_refused(ledger: SiteLedger) -> None:
    """Fresh noise on the same round is a second release; one commit covers one output."""
    reservation = reserve(ledger, 1)
    ledger.commit(reservation, OUT)

    with pytest.raises(ConflictingContribution):
        ledger.commit(reservation, OTHER)
    with pytest.raises(ConflictingContribution):
        reserve(ledger, 1)

    assert types(ledger) == ["DATASET_REGISTER", "RESERVE", "COMMIT"]


def test_a_reservation_is_found_again_after_a_restart(ledger: SiteLedger, path: Path) -> None:
    """The round goes on without a second charge: one reservation covers one output."""
    first = reserve(ledger, 1)
    again = reserve(opened(path), 1)

    assert again == first
    assert types(ledger) == ["DATASET_REGISTER", "RESERVE"]
    assert [held.id for held in ledger.reserved()] == [first]


def test_a_round_is_not_reserved_for_two_events(ledger: SiteLedger) -> None:
    """The charge belongs to what was announced."""
    reserve(ledger, 1)

    with pytest.raises(ConflictingContribution):
        ledger.reserve("hearts", "j-1", 1, Gaussian("50"), "1")
    with pytest.raises(ConflictingContribution):
        ledger.reserve("hearts", "j-1", 1, EVENT, "2")


def test_an_exhausted_budget_writes_nothing(ledger: SiteLedger) -> None:
    """The refusal comes before anything happens, over all jobs."""
    for number in range(1, 100):
        try:
            ledger.commit(reserve(ledger, number, job=f"j-{number}"), OUT)
        except BudgetExhausted as refusal:
            error = refusal
            break
    written = len(ledger.rows())

    with pytest.raises(BudgetExhausted):
        reserve(ledger, 1000)

    assert len(ledger.rows()) == written
    assert error.limit == 3.0
    assert ledger.spent_epsilon("hearts", DELTA) == pytest.approx(error.spent)
    assert error.spent <= 3.0 < error.spent + error.cost


def test_one_round_has_its_own_limit(ledger: SiteLedger) -> None:
    """A large first round is refused although a life's budget would hold it."""
    assert epsilon_of(LARGE, DELTA) > 2

    with pytest.raises(BudgetExhausted) as refusal:
        ledger.reserve("hearts", "j-1", 1, LARGE, "1")

    assert (refusal.value.spent, refusal.value.limit) == (0.0, 2.0)
    assert types(ledger) == ["DATASET_REGISTER"]


def test_a_lower_limit_counts_what_was_spent_before(ledger: SiteLedger, path: Path) -> None:
    """A changed policy cannot forget."""
    ledger.commit(reserve(ledger, 1), OUT)

    stricter = opened(path, limits=SpendLimits("0.001", "0.5", "0.5"))

    assert stricter.remaining("hearts") == 0.0
    with pytest.raises(BudgetExhausted):
        stricter.reserve("hearts", "j-1", 2, Gaussian("500"), "1")


def test_an_unused_reservation_is_given_back_with_evidence(ledger: SiteLedger) -> None:
    """A round that is over without a commit has released nothing."""
    reservation = reserve(ledger, 1)
    ledger.retire(reservation, OVER)
    ledger.retire(reservation, OVER)

    assert types(ledger) == ["DATASET_REGISTER", "RESERVE", "RETIRE"]
    assert ledger.rows()[-1].evidence == OVER
    assert ledger.remaining("hearts") == 3.0
    with pytest.raises(IllegalEvent):
        ledger.commit(reservation, OUT)


def test_a_commit_is_never_given_back(ledger: SiteLedger) -> None:
    """Committed stays, sent or not."""
    reservation = reserve(ledger, 1)
    ledger.commit(reservation, OUT)

    with pytest.raises(IllegalEvent):
        ledger.retire(reservation, OVER)
    ledger.sent(reservation)
    with pytest.raises(IllegalEvent):
        ledger.retire(reservation, OVER)

    assert ledger.spent_epsilon("hearts", DELTA) > 0


def test_nothing_is_sent_without_a_commit(ledger: SiteLedger) -> None:
    """Spend is on disk before the bytes leave."""
    with pytest.raises(IllegalEvent):
        ledger.sent(reserve(ledger, 1))


@pytest.mark.parametrize("act", ["commit", "retire", "sent"])
def test_an_unknown_reservation_is_refused(ledger: SiteLedger, act: str) -> None:
    """Nothing was set aside under that name."""
    arguments = ["r-99"] if act == "sent" else ["r-99", OUT]

    with pytest.raises(IllegalEvent):
        getattr(ledger, act)(*arguments)


def test_a_new_version_of_a_dataset_inherits_its_spend(ledger: SiteLedger) -> None:
    """Erasing or adding patients refunds nothing: how far versions overlap is not known."""
    ledger.commit(reserve(ledger, 1), OUT)
    spent = ledger.spent_epsilon("hearts", DELTA)

    ledger.register(msgspec.structs.replace(HEARTS, version=2, parent=1))
    ledger.register(HEARTS)

    assert ledger.spent_epsilon("hearts", DELTA) == spent
    with pytest.raises(ConflictingContribution):
        reserve(ledger, 1)
    assert ledger.rows()[-1].dataset.version == 2


@pytest.mark.parametrize(
    "changes",
    [
        {"version": 2, "parent": None},
        {"version": 2, "parent": 7},
        {"version": 1, "parent": 1},
        {"id": "fresh", "parent": 1},
        {"max_records_per_unit": 9},
    ],
)
def test_a_version_without_lineage_is_refused(ledger: SiteLedger, changes: dict[str, Any]) -> None:
    """A dataset does not lose its past by a new name for its version."""
    with pytest.raises(IllegalEvent):
        ledger.register(msgspec.structs.replace(HEARTS, **changes))


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
        ledger.reserve("lungs", "j-1", 1, EVENT, "1")
    with pytest.raises(IllegalEvent):
        ledger.spent_epsilon("lungs", DELTA)


def test_datasets_have_budgets_of_their_own(ledger: SiteLedger) -> None:
    """No patient is in both, says who registered them."""
    ledger.register(msgspec.structs.replace(HEARTS, id="lungs"))
    ledger.commit(reserve(ledger, 1), OUT)

    assert ledger.spent_epsilon("lungs", DELTA) == 0.0


@pytest.mark.parametrize(
    ("job", "round_", "clip"), [("j 1", 1, "1"), ("", 1, "1"), ("j", 0, "1"), ("j", 1, "nan")]
)
def test_what_no_reader_would_accept_is_not_written(
    ledger: SiteLedger, job: str, round_: int, clip: str
) -> None:
    """A ledger that cannot be read back would stop the site for good."""
    with pytest.raises(MalformedMessage):
        ledger.reserve("hearts", job, round_, EVENT, clip)

    assert types(ledger) == ["DATASET_REGISTER"]
    reserve(ledger, 1)


def test_an_output_is_a_digest(ledger: SiteLedger) -> None:
    """The commit names the exact bytes."""
    reservation = reserve(ledger, 1)

    with pytest.raises(MalformedMessage):
        ledger.commit(reservation, "yes")

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
    reserve(ledger, 1)

    with pytest.raises(sqlite3.IntegrityError, match="ledger rows"):
        sqlite3.connect(path, isolation_level=None).execute(statement)

    assert types(ledger) == ["DATASET_REGISTER", "RESERVE"]


def without_triggers(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path, isolation_level=None)
    for name in ("row_follows", "row_stays", "row_remains"):
        database.execute(f"DROP TRIGGER {name}")
    return database


@pytest.mark.parametrize(
    ("statement", "first_bad"),
    [
        ("UPDATE row SET body = CAST(replace(body, '\"round\":1', '\"round\":9') AS BLOB)", 3),
        ("UPDATE row SET body = CAST(replace(body, 'patient', 'record') AS BLOB)", 1),
        ("UPDATE row SET body = CAST(body || ' ' AS BLOB) WHERE seq = 3", 3),
        ("UPDATE row SET body = x'7b' WHERE seq = 2", 2),
        ("DELETE FROM row WHERE seq = 2", 3),
        ("DELETE FROM row WHERE seq = 1", 2),
        ("INSERT INTO row SELECT 6, body FROM row WHERE seq = 5", 6),
    ],
)
def test_tampering_is_found_and_named(
    ledger: SiteLedger, path: Path, statement: str, first_bad: int
) -> None:
    """Whoever drops the triggers has the chain against them; a change shows in the next row."""
    ledger.commit(reserve(ledger, 1), OUT)
    ledger.commit(reserve(ledger, 2), OTHER)
    without_triggers(path).execute(statement)

    with pytest.raises(RootMismatch, match=f"row {first_bad}"):
        ledger.verify_chain()
    with pytest.raises(RootMismatch, match=f"row {first_bad}"):
        opened(path)


def test_a_cut_tail_is_found_only_by_who_saw_it(ledger: SiteLedger, path: Path) -> None:
    """A chain cannot show what came after it: that takes a checkpoint held by others."""
    ledger.commit(reserve(ledger, 1), OUT)
    without_triggers(path).execute("DELETE FROM row WHERE seq = 3")

    opened(path).verify_chain()

    assert types(opened(path)) == ["DATASET_REGISTER", "RESERVE"]


def test_a_cost_below_the_event_is_found(ledger: SiteLedger, path: Path) -> None:
    """A chain can be rebuilt over a lie; the event in it still says what it costs."""
    reserve(ledger, 1)
    row = ledger.rows()[1]
    assert row.rdp is not None
    cheap = msgspec.structs.replace(row.rdp, eps=tuple("0.000001" for _ in row.rdp.eps))
    forged = rfc8785.dumps(msgspec.to_builtins(msgspec.structs.replace(row, rdp=cheap)))
    without_triggers(path).execute("UPDATE row SET body = ? WHERE seq = 2", (forged,))

    with pytest.raises(RootMismatch, match="row 2: the cost stated"):
        opened(path).verify_chain()


def test_another_sites_ledger_is_refused(ledger: SiteLedger, path: Path) -> None:
    """Copied state would mix two sites' budgets."""
    with pytest.raises(SchemaMismatch, match="not the ledger of south"):
        opened(path, site="south")


def test_another_schema_is_refused(path: Path) -> None:
    """A later Veilsum's rows are not guessed at."""
    opened(path).close()
    sqlite3.connect(path).execute("PRAGMA user_version=7")

    with pytest.raises(SchemaMismatch):
        opened(path)


def test_only_the_owner_can_open_the_files(ledger: SiteLedger, path: Path) -> None:
    """The log and the shared memory beside it as well."""
    reserve(ledger, 1)

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

    with pytest.raises(StoreUnavailable):
        opened(path)

    assert path.read_bytes().startswith(b"not a database")


def test_what_returns_is_on_disk(ledger: SiteLedger) -> None:
    """The settings under which SQLite syncs its log at every commit."""
    database = ledger._database

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
        name = ledger.reserve("hearts", "j-1", 1, event, "1")
        done("reserved")
        ledger.commit(name, "a" * 64)
        done("committed")
        ledger.sent(name)
        done("sent")
        """,
        path,
        stop,
    )
    assert child.wait(timeout=30) == -signal.SIGKILL

    after = opened(path)

    after.verify_chain()
    assert after.remaining("hearts") == pytest.approx(3 - epsilon_of(EVENT, DELTA))
    (expected,) = {"reserved": [RowType.RESERVE], "committed": [RowType.COMMIT]}.get(
        stop, [RowType.SENT]
    )
    assert after.reservation("r-2").status is expected


@pytest.mark.parametrize("lines", [1, 2, 4, 7, 11])
def test_a_kill_at_any_moment_loses_nothing_that_returned(
    ledger: SiteLedger, path: Path, lines: int
) -> None:
    """Killed in full run, the ledger opens, verifies, and holds all that was reported."""
    child = started(
        """
        for number in range(1, 10_000):
            name = ledger.reserve("hearts", "j-1", number, Gaussian("2000"), "1")
            print("reserved", name, flush=True)
            ledger.commit(name, f"{number:064x}")
            print("committed", name, flush=True)
        """,
        path,
    )
    assert child.stdout is not None
    seen = [child.stdout.readline().split() for _ in range(lines)]
    child.kill()
    seen += [line.split() for line in child.communicate()[0].splitlines(keepends=True)]

    after = opened(path)

    after.verify_chain()
    committed = [name for step, name in (line for line in seen if len(line) == 2) if step[0] == "c"]
    assert all(after.reservation(name).status is RowType.COMMIT for name in committed)
    floor = total(spend_of(Gaussian("2000")) for _ in committed).epsilon(DELTA)
    assert after.spent_epsilon("hearts", DELTA) >= floor
    assert len(after.reserved()) <= 1


def test_two_processes_cannot_overspend(path: Path) -> None:
    """Four agents race for one budget; together they get what one would have got."""
    begun = opened(path)
    begun.register(HEARTS)
    children = [
        started(
            """
            won = 0
            for number in range(1, 100):
                try:
                    name = ledger.reserve("hearts", sys.argv[2], number, event, "1")
                    ledger.commit(name, "a" * 64)
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

    alone = 0
    while total([spend_of(EVENT)] * (alone + 1)).epsilon(DELTA) <= 3.0:
        alone += 1
    assert won == alone
    assert begun.spent_epsilon("hearts", DELTA) <= 3.0
    assert types(begun).count("COMMIT") == won
    begun.verify_chain()


def test_two_processes_share_the_reservation_of_a_round(path: Path) -> None:
    """Of two agents in one round, one output is committed and the other refused."""
    begun = opened(path)
    begun.register(HEARTS)
    code = """
    from privacy.errors import ConflictingContribution
    try:
        ledger.commit(ledger.reserve("hearts", "j-1", 1, event, "1"), sys.argv[2] * 64)
        print("committed")
    except ConflictingContribution:
        print("refused")
    """
    children = [started(code, path, letter) for letter in "abc"]
    answers = sorted(child.communicate(timeout=60)[0].strip() for child in children)

    assert answers == ["committed", "refused", "refused"]
    assert types(begun) == ["DATASET_REGISTER", "RESERVE", "COMMIT"]


def test_a_new_ledger_can_be_begun_by_several_processes_at_once(path: Path) -> None:
    """Started together, they agree on one file."""
    children = [started("print('open')", path) for _ in range(4)]

    answers = [child.communicate(timeout=60)[0].strip() for child in children]

    assert answers == ["open"] * 4


def test_threads_share_one_ledger(ledger: SiteLedger) -> None:
    """An agent's pool may hold the same object."""
    event = Gaussian("3000")
    threads = [
        threading.Thread(target=ledger.reserve, args=("hearts", f"j-{index}", 1, event, "1"))
        for index in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert types(ledger).count("RESERVE") == 8
    ledger.verify_chain()


operations = st.lists(
    st.tuples(
        st.sampled_from(["reserve", "commit", "other", "sent", "retire", "reopen"]),
        st.integers(1, 6),
        st.sampled_from(["2", "6", "20"]),
    ),
    max_size=15,
)


@given(operations)
@settings(
    deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_no_history_overspends_or_refunds(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int, str]]
) -> None:
    """Any operations in any order, restarts included, against sums kept beside it."""
    path = tmp_path_factory.mktemp("history") / "ledger.sqlite"
    ledger = opened(path)
    ledger.register(HEARTS)
    names: dict[int, str] = {}
    released: dict[tuple[int, str], Any] = {}
    refusals = (BudgetExhausted, ConflictingContribution, IllegalEvent)

    for act, number, sigma in steps:
        before = ledger.spent_epsilon("hearts", DELTA)
        name = names.get(number, "r-99")
        try:
            if act == "reserve":
                names[number] = ledger.reserve("hearts", "j-1", number, Gaussian(sigma), "1")
            elif act in ("commit", "other"):
                out = OUT if act == "commit" else OTHER
                ledger.commit(name, out)
                released[number, out] = spend_of(ledger.reservation(name).event)
            elif act == "sent":
                ledger.sent(name)
            elif act == "retire":
                ledger.retire(name, OVER)
            else:
                ledger.close()
                ledger = opened(path)
        except refusals:
            pass

        held = [spend_of(item.event) for item in ledger.reserved()]
        assert total([*released.values(), *held]).epsilon(DELTA) <= 3.0
        assert ledger.spent_epsilon("hearts", DELTA) >= before
        assert ledger.spent_epsilon("hearts", DELTA) == total(released.values()).epsilon(DELTA)
        assert len({number for number, _ in released}) == len(released)
    ledger.verify_chain()
    ledger.close()


def test_rows_read_as_values(ledger: SiteLedger) -> None:
    """What a report or an auditor's tool starts from."""
    rows = ledger.rows()

    assert all(isinstance(row, Row) for row in rows)
    assert rows[0].dataset == HEARTS
