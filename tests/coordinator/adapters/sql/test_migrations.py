"""The schema moves up and down with its data, whole or not at all, and never past what is known."""

import shutil
import sqlite3
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import MetaData, inspect, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import DBAPIError
from sqlalchemy.schema import CreateTable
from structlog.testing import capture_logs

from coordinator.adapters.sql import database, migrations, postgres, schema, sqlite
from coordinator.adapters.sql.store import open_store
from coordinator.ports import SumChunk
from privacy.errors import ConfigError, SchemaMismatch, StoreUnavailable
from tests import fakes

*_, BEFORE, HEAD = schema.REVISIONS
LATER = f"{int(HEAD) + 1:04d}"

NEXT = """
import sqlalchemy as sa
from alembic import op

revision = "{revision}"
down_revision = "{before}"


def upgrade():
    op.add_column("rounds", sa.Column("owner", sa.Text, server_default="nobody"))
    {failure}


def downgrade():
    with op.batch_alter_table("rounds") as table:
        table.drop_column("owner")
"""

MADE = SumChunk(0, bytes(32), 61_470, 4)


@pytest.fixture(params=["sqlite", "postgres"])
def url(request, tmp_path):
    """A new database of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/coordinator.db"
    return request.getfixturevalue("postgres_url")


@pytest.fixture
def filled(url):
    store = open_store(url)
    store.save_step(7, None, b"state", [b"effect"])
    store.close()
    return url


@pytest.fixture
def path(tmp_path):
    """The file of an SQLite database with a round."""
    store = open_store(f"sqlite:///{tmp_path}/coordinator.db")
    store.save_step(7, None, b"state", [b"effect"])
    store.close()
    return tmp_path / "coordinator.db"


def scripts(tmp_path, failure=""):
    """A later version of Veilsum: the revisions there are and one more."""
    folder = tmp_path / "later"
    shutil.copytree(migrations.HERE, folder)
    script = NEXT.format(revision=LATER, before=HEAD, failure=failure)
    (folder / "versions" / f"v{LATER}_next.py").write_text(script)
    return folder


def migrating(url):
    return database.migrating(database.parse(url))


def move(url, to, **options):
    with migrating(url) as connection:
        current = connection.scalar(text("SELECT version_num FROM alembic_version"))
        way = migrations.upgrade if to != "base" and to > current else migrations.downgrade
        way(connection, to, **options)


def ask(url, statement, **values):
    with migrating(url) as connection:
        result = connection.execute(text(statement), values)
        return [tuple(row) for row in result] if result.returns_rows else []


def version(url):
    return ask(url, "SELECT version_num FROM alembic_version")


def rows(url):
    """Return all that is in a database: for each table its rows, each column under its name."""
    with migrating(url) as connection:
        tables = reflected(connection)
        return {
            table.name: [dict(row) for row in connection.execute(table.select()).mappings()]
            for table in tables.sorted_tables
            if table.name != "alembic_version"
        }


def reflected(connection):
    tables = MetaData()
    tables.reflect(connection)
    return tables


def fill(url):
    """Put three rows into every table, of values as long as its columns take."""
    with migrating(url) as connection:
        for table in reflected(connection).sorted_tables:
            for number in range(3 if table.name != "alembic_version" else 0):
                row = {column.name: value(column, number) for column in table.columns}
                connection.execute(table.insert(), row)


def value(column, number):
    kind = column.type.python_type
    if column.name in ("number", "round"):
        return number  # rows refer to rows
    if kind is str:
        return (f"{number}é" * 80)[: column.type.length or 300]
    if kind is bytes:
        return bytes([number, 0, 255]) * (11 if column.name == "root" else 10_000)
    largest = 2**62 if "BIGINT" in str(column.type) else 2**30
    return {int: number and largest + number, float: 1.8e9 + number / 3, bool: number == 1}[kind]


def common(before, after):
    """Return the part of `after` whose tables and columns are those of `before`."""
    return {
        name: [{key: row[key] for key in before[name][0]} for row in after[name]] for name in before
    }


# -- up and down ----------------------------------------------------------------------


def test_the_revisions_that_are_known_are_those_that_are_there():
    files = ScriptDirectory(migrations.HERE)

    found = [script.revision for script in files.walk_revisions()]

    assert tuple(reversed(found)) == schema.REVISIONS


def test_the_migrations_make_the_schema_that_the_code_uses(url):
    open_store(url).close()

    with migrating(url) as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        differences = compare_metadata(context, schema.metadata)

    assert differences == []


def test_the_tables_are_postgresqls_too():
    """Ids that count for ever, and bytes."""
    made = [
        str(CreateTable(table).compile(dialect=postgresql.dialect()))
        for table in schema.metadata.sorted_tables
    ]

    assert "BIGSERIAL" in "".join(made)
    assert "BYTEA" in "".join(made)


@pytest.mark.parametrize("revision", schema.REVISIONS)
def test_what_any_version_has_written_goes_up_to_this_one_down_and_up_again(url, revision):
    """Every row and every byte; what an older version has no place for is all that goes."""
    database.upgrade(url, to=revision)
    fill(url)
    first = rows(url)

    open_store(url).close()
    above = rows(url)
    database.downgrade(url, to=revision)
    below = rows(url)
    open_store(url).close()

    assert common(first, above) == first
    assert below == first
    assert common(first, rows(url)) == first
    assert version(url) == [(HEAD,)]


def test_a_database_goes_up_to_a_later_version_and_back(filled, tmp_path):
    later = scripts(tmp_path)

    move(filled, LATER, scripts=later)
    above = ask(filled, "SELECT number, state, owner FROM rounds")
    move(filled, HEAD, scripts=later)

    assert above == [(7, b"state", "nobody")]
    assert ask(filled, "SELECT number, revision, state FROM rounds") == [(7, 1, b"state")]
    assert version(filled) == [(HEAD,)]
    assert len(open_store(filled).pending_effects()) == 1


def test_every_revision_goes_down_to_nothing_and_up_again(filled):
    move(filled, "base")
    with migrating(filled) as connection:
        left = inspect(connection).get_table_names()

    again = open_store(filled)

    assert left == ["alembic_version"]
    assert again.round_numbers() == []


def test_the_rows_of_sums_come_and_go_and_take_nothing_with_them(filled):
    """A database of the version before, and the way back to it in the middle of a fold."""
    move(filled, "0001")
    before = rows(filled)

    store = open_store(filled)
    store.record_sum_chunk(7, MADE)
    found = store.sum_chunks(7)
    store.close()
    move(filled, "0001")
    after = rows(filled)
    again = open_store(filled)

    assert "sum_chunks" not in before
    assert found == [MADE]
    assert after == before
    assert again.sum_chunks(7) == []
    assert again.load_round(7).state == b"state"


def test_the_number_alone_keeps_a_version_without_seats_away(filled):
    """Its tables are the same; it could read none of the rounds that have seats."""
    move(filled, "0002")
    before = rows(filled)

    move(filled, "0003")

    assert version(filled) == [("0003",)]
    assert rows(filled) == before


def test_how_far_ledgers_were_seen_comes_and_goes_and_takes_nothing_with_it(filled):
    """A database of the version before, with a contribution; and the way back to it."""
    move(filled, "0003")
    before = rows(filled)
    ask(filled, "INSERT INTO uploads VALUES (7, 'a', :digest, :header, :yes)",
        digest="ab" * 32, header=b"\0", yes=True)  # fmt: skip

    store = open_store(filled)
    nothing = store.newest_header("a")
    store.begin_upload("a", fakes.seen("a", 8, "cd" * 32), b"header", at=0.0)
    found = store.newest_header("a")
    store.close()
    move(filled, "0003")
    after = rows(filled)
    again = open_store(filled)

    assert "checkpoints" not in before
    assert (nothing, found) == (None, b"header")
    assert {name: after[name] for name in ("rounds", "effects")} == {
        name: before[name] for name in ("rounds", "effects")
    }
    assert [row["round"] for row in after["uploads"]] == [7, 8]
    assert again.newest_header("a") is None


# -- failures -------------------------------------------------------------------------


def test_a_migration_that_fails_leaves_the_database_as_it_was(filled, tmp_path):
    later = scripts(tmp_path, failure='op.execute("INSERT INTO nowhere VALUES (1)")')
    before = rows(filled)

    with pytest.raises(DBAPIError):
        move(filled, LATER, scripts=later)

    assert rows(filled) == before
    assert version(filled) == [(HEAD,)]


def test_a_migration_that_loses_what_rows_refer_to_is_undone(filled, tmp_path):
    later = scripts(tmp_path, failure='op.execute("DELETE FROM rounds")')
    before = rows(filled)

    with pytest.raises((StoreUnavailable, DBAPIError), match=r"refer|foreign key"):
        move(filled, LATER, scripts=later)

    assert rows(filled) == before


# -- what is refused ------------------------------------------------------------------


def test_a_newer_schema_is_refused_with_both_revisions_named(filled):
    ask(filled, "UPDATE alembic_version SET version_num = '0099'")

    with pytest.raises(SchemaMismatch, match=rf"0099.*{HEAD}"):
        open_store(filled)
    with pytest.raises(SchemaMismatch, match=rf"0099.*{HEAD}"):
        database.downgrade(filled, to=BEFORE)

    assert ask(filled, "SELECT number FROM rounds") == [(7,)]


def test_tables_without_a_revision_are_refused_and_left_alone(filled):
    ask(filled, "DROP TABLE alembic_version")

    with pytest.raises(SchemaMismatch, match="no schema revision"):
        open_store(filled)

    assert ask(filled, "SELECT number FROM rounds") == [(7,)]


def test_a_database_of_somebody_else_is_refused_and_left_alone(url):
    """Also where none of its tables has a name of ours."""
    ask(url, "CREATE TABLE invoices (number INTEGER)")

    with pytest.raises(SchemaMismatch, match="give an empty database"):
        open_store(url)
    with pytest.raises(SchemaMismatch, match="give an empty database"):
        database.upgrade(url)

    assert list(rows(url)) == ["invoices"]


def test_a_revision_that_there_is_not_or_lies_the_other_way_is_refused(url):
    with pytest.raises(ConfigError, match="the database is at nothing; that way is `upgrade`"):
        database.downgrade(url, to=BEFORE)
    with pytest.raises(ConfigError, match=rf"--to 0099.*{HEAD}"):
        database.upgrade(url, to="0099")

    assert database.upgrade(url, to=BEFORE) == (None, BEFORE)
    with pytest.raises(ConfigError, match=f"at {BEFORE}; that way is `upgrade`"):
        database.downgrade(url, to=HEAD)
    with pytest.raises(ConfigError, match=f"at {BEFORE}; that way is `downgrade`"):
        database.upgrade(url, to="0001")

    assert version(url) == [(BEFORE,)]


# -- at the start ---------------------------------------------------------------------


def test_a_database_that_is_up_to_date_starts_without_alembic(filled):
    """Its import would be most of the time that a restart takes."""
    program = (
        "import sys\n"
        "from coordinator.adapters.sql.store import open_store\n"
        f"print(open_store({filled!r}).round_numbers(), 'alembic' in sys.modules)\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )

    assert done.stdout.strip() == "[7] False"


def test_a_file_is_opened_without_postgresqls_driver(path):
    program = (
        "import sys\n"
        "from coordinator.adapters.sql.store import open_store\n"
        f"print(open_store('sqlite:///{path}').round_numbers(), 'psycopg' in sys.modules)\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )

    assert done.stdout.strip() == "[7] False"


def test_processes_that_start_at_once_make_one_schema(url):
    program = (
        f"from coordinator.adapters.sql.store import open_store\nopen_store({url!r}).close()\n"
    )

    started = [subprocess.Popen([sys.executable, "-c", program]) for _ in range(3)]

    assert [process.wait(timeout=60) for process in started] == [0, 0, 0]
    assert version(url) == [(HEAD,)]


def test_who_starts_while_another_migrates_waits_and_finds_it_done(url):
    with ThreadPoolExecutor(1) as thread:
        with migrating(url) as connection:
            migrations.upgrade(connection, HEAD)
            other = thread.submit(open_store, url)
            time.sleep(0.3)
            waited = not other.done()

        opened = other.result(timeout=30)

    assert waited
    assert opened.round_numbers() == []
    opened.close()


def test_a_database_that_another_process_holds_is_unavailable_and_not_broken(path, monkeypatch):
    monkeypatch.setattr(sqlite, "_BUSY_SECONDS", 0.05)
    store = open_store(f"sqlite:///{path}")
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")

        with pytest.raises(StoreUnavailable, match="locked"):
            store.put_document("plan", "1", b"body")
        other.execute("ROLLBACK")

    store.put_document("plan", "1", b"body")
    assert store.document("plan", "1") == b"body"


ALTERED = "0005"
"""The revision after it changes tables that there are, and so must wait for who reads them."""


@pytest.mark.timeout(60)
def test_a_migration_keeps_nobody_waiting_behind_it_while_a_table_is_in_use(
    postgres_url, monkeypatch
):
    """A backup holds every table for as long as it takes; the leader answers meanwhile."""
    monkeypatch.setattr(database, "_IN_USE_PAUSE", 0.1)
    database.upgrade(postgres_url, to=ALTERED)
    url = database.parse(postgres_url)
    backup, leader = database._engine(url, None), database._engine(url, None)
    with ThreadPoolExecutor(1) as thread, capture_logs() as said:
        with backup.connect() as connection:
            names = ", ".join(tables_of(connection))
            connection.execute(text(f"LOCK TABLE {names} IN ACCESS SHARE MODE"))
            moving = thread.submit(database.upgrade, postgres_url)
            waits = []
            while not any(each["event"] == "migration_waits" for each in said):
                asked = time.monotonic()
                with leader.begin() as asking:
                    asking.execute(text("SELECT count(*) FROM rounds"))
                waits.append(time.monotonic() - asked)
                time.sleep(0.05)
            was_moving = not moving.done()
            connection.rollback()
        moved = moving.result(timeout=30)

    assert was_moving
    assert moved == (ALTERED, HEAD)
    assert max(waits) < 5
    (line, *_) = [each for each in said if each["event"] == "migration_waits"]
    assert any("veilsum (pid" in each for each in line["used_by"])
    backup.dispose()
    leader.dispose()


def tables_of(connection):
    return [name for name in inspect(connection).get_table_names() if name != "alembic_version"]


def test_a_table_that_is_in_use_for_too_long_ends_the_attempt(postgres_url, monkeypatch):
    monkeypatch.setattr(database, "_IN_USE_SECONDS", 0.0)
    monkeypatch.setattr(postgres, "_TABLE_SECONDS", 0.05)
    database.upgrade(postgres_url, to=ALTERED)
    backup = database._engine(database.parse(postgres_url), None)
    with backup.connect() as connection:
        names = ", ".join(tables_of(connection))
        connection.execute(text(f"LOCK TABLE {names} IN ACCESS SHARE MODE"))

        with pytest.raises(StoreUnavailable, match="lock timeout"):
            database.upgrade(postgres_url)

    assert version(postgres_url) == [(ALTERED,)]
    backup.dispose()
