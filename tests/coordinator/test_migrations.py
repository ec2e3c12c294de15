"""The schema moves up and down with its data, whole or not at all, and never past what is known."""

import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import OperationalError
from sqlalchemy.schema import CreateTable

from coordinator.adapters import database, migrations, schema
from coordinator.adapters.store import open_store
from coordinator.ports import SumChunk
from privacy.errors import SchemaMismatch, StoreUnavailable
from tests import fakes

NEXT = """
import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade():
    op.add_column("rounds", sa.Column("owner", sa.Text, server_default="nobody"))
    {failure}


def downgrade():
    with op.batch_alter_table("rounds") as table:
        table.drop_column("owner")
"""

MADE = SumChunk(0, bytes(32), 61_470, 4)


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "coordinator.db"
    store = open_store(f"sqlite:///{path}")
    store.save_step(7, None, b"state", [b"effect"])
    store.close()
    return path


@pytest.fixture
def engine(path):
    engine = database.open_database(f"sqlite:///{path}")
    yield engine
    engine.dispose()


def scripts(tmp_path, failure=""):
    """A later version of Veilsum: the revisions there are and one more."""
    folder = tmp_path / "later"
    shutil.copytree(migrations.HERE, folder)
    (folder / "versions" / "v0005_next.py").write_text(NEXT.format(failure=failure))
    return folder


def ask(path, statement):
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute(statement).fetchall()
        connection.commit()
        return rows


def test_the_revisions_that_are_known_are_those_that_are_there():
    files = ScriptDirectory(migrations.HERE)

    found = [script.revision for script in files.walk_revisions()]

    assert tuple(reversed(found)) == schema.REVISIONS


def test_the_migrations_make_the_schema_that_the_code_uses(engine):
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})

        differences = compare_metadata(context, schema.metadata)

    assert differences == []


def test_the_tables_are_postgresqls_too():
    """By its dialect alone; a server is asked by the tests that have one."""
    made = [
        str(CreateTable(table).compile(dialect=postgresql.dialect()))
        for table in schema.metadata.sorted_tables
    ]

    assert "BIGSERIAL" in "".join(made)
    assert "BYTEA" in "".join(made)


def test_a_database_goes_up_and_down_with_its_data(engine, path, tmp_path):
    later = scripts(tmp_path)

    with database.migrating(engine.url) as connection:
        migrations.upgrade(connection, "0005", scripts=later)
    above = ask(path, "SELECT number, state, owner FROM rounds")
    with database.migrating(engine.url) as connection:
        migrations.downgrade(connection, "0004", scripts=later)

    assert above == [(7, b"state", "nobody")]
    assert ask(path, "SELECT * FROM rounds") == [(7, 1, b"state")]
    assert ask(path, "SELECT version_num FROM alembic_version") == [("0004",)]
    assert len(open_store(f"sqlite:///{path}").pending_effects()) == 1


def test_the_rows_of_sums_come_and_go_and_take_nothing_with_them(engine, path):
    """A database of the version before, and the way back to it in the middle of a fold."""
    with database.migrating(engine.url) as connection:
        migrations.downgrade(connection, "0001")
        before = inspect(connection).get_table_names()
    version = ask(path, "SELECT version_num FROM alembic_version")

    store = open_store(f"sqlite:///{path}")
    store.record_sum_chunk(7, MADE)
    found = store.sum_chunks(7)
    store.close()
    with database.migrating(engine.url) as connection:
        migrations.downgrade(connection, "0001")
    after = {name: ask(path, f"SELECT * FROM {name}") for name in ("rounds", "effects")}
    again = open_store(f"sqlite:///{path}")

    assert "sum_chunks" not in before
    assert version == [("0001",)]
    assert found == [MADE]
    assert after == {"rounds": [(7, 1, b"state")], "effects": [(1, 7, b"effect")]}
    assert again.sum_chunks(7) == []
    assert again.load_round(7).state == b"state"


def test_the_number_alone_keeps_a_version_without_seats_away(engine, path):
    """Its tables are the same; it could read none of the rounds that have seats."""
    with database.migrating(engine.url) as connection:
        migrations.downgrade(connection, "0002")
    before = {name: ask(path, f"SELECT * FROM {name}") for name in ("rounds", "effects")}
    made = ask(path, "SELECT name, sql FROM sqlite_master")

    with database.migrating(engine.url) as connection:
        migrations.upgrade(connection, "0003")

    assert ask(path, "SELECT version_num FROM alembic_version") == [("0003",)]
    assert ask(path, "SELECT name, sql FROM sqlite_master") == made
    assert {name: ask(path, f"SELECT * FROM {name}") for name in before} == before


def test_how_far_ledgers_were_seen_comes_and_goes_and_takes_nothing_with_it(engine, path):
    """A database of the version before, with a contribution; and the way back to it."""
    with database.migrating(engine.url) as connection:
        migrations.downgrade(connection, "0003")
        before = inspect(connection).get_table_names()
    ask(path, f"INSERT INTO uploads VALUES (7, 'a', '{'ab' * 32}', x'00', 1)")

    store = open_store(f"sqlite:///{path}")
    nothing = store.newest_header("a")
    store.begin_upload("a", fakes.seen("a", 8, "cd" * 32), b"header", at=0.0)
    found = store.newest_header("a")
    store.close()
    with database.migrating(engine.url) as connection:
        migrations.downgrade(connection, "0003")
    after = {name: ask(path, f"SELECT * FROM {name}") for name in ("rounds", "effects")}
    uploads = ask(path, "SELECT round FROM uploads ORDER BY round")
    again = open_store(f"sqlite:///{path}")

    assert "checkpoints" not in before
    assert (nothing, found) == (None, b"header")
    assert after == {"rounds": [(7, 1, b"state")], "effects": [(1, 7, b"effect")]}
    assert uploads == [(7,), (8,)]
    assert again.newest_header("a") is None


def test_a_migration_that_fails_leaves_the_database_as_it_was(engine, path, tmp_path):
    later = scripts(tmp_path, failure='op.execute("INSERT INTO nowhere VALUES (1)")')

    with pytest.raises(OperationalError), database.migrating(engine.url) as connection:
        migrations.upgrade(connection, "0005", scripts=later)

    assert ask(path, "SELECT * FROM rounds") == [(7, 1, b"state")]
    assert ask(path, "SELECT version_num FROM alembic_version") == [("0004",)]


def test_a_migration_that_loses_what_rows_refer_to_is_undone(engine, path, tmp_path):
    later = scripts(tmp_path, failure='op.execute("DELETE FROM rounds")')

    with (
        pytest.raises(StoreUnavailable, match="rows of effects refer to rows of rounds"),
        database.migrating(engine.url) as connection,
    ):
        migrations.upgrade(connection, "0005", scripts=later)

    assert ask(path, "SELECT * FROM rounds") == [(7, 1, b"state")]


def test_every_revision_goes_down_to_nothing_and_up_again(engine, path):
    with database.migrating(engine.url) as connection:
        migrations.downgrade(connection, "base")
        left = inspect(connection).get_table_names()

    again = open_store(f"sqlite:///{path}")

    assert left == ["alembic_version"]
    assert again.round_numbers() == []


def test_a_newer_schema_is_refused_with_both_revisions_named(path):
    ask(path, "UPDATE alembic_version SET version_num = '0009'")

    with pytest.raises(SchemaMismatch, match=r"0009.*0004"):
        open_store(f"sqlite:///{path}")

    assert ask(path, "SELECT number FROM rounds") == [(7,)]


def test_tables_without_a_revision_are_refused_and_left_alone(path):
    ask(path, "DROP TABLE alembic_version")

    with pytest.raises(SchemaMismatch, match="no schema revision"):
        open_store(f"sqlite:///{path}")

    assert ask(path, "SELECT number FROM rounds") == [(7,)]


def test_a_database_that_is_up_to_date_starts_without_alembic(path):
    """Its import would be most of the time that a restart takes."""
    program = (
        "import sys\n"
        "from coordinator.adapters.store import open_store\n"
        f"print(open_store('sqlite:///{path}').round_numbers(), 'alembic' in sys.modules)\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )

    assert done.stdout.strip() == "[7] False"


def test_two_processes_that_start_at_once_make_one_schema(tmp_path):
    program = (
        "from coordinator.adapters.store import open_store\n"
        f"open_store('sqlite:///{tmp_path}/new.db').close()\n"
    )

    started = [subprocess.Popen([sys.executable, "-c", program]) for _ in range(3)]

    assert [process.wait(timeout=60) for process in started] == [0, 0, 0]
    assert ask(tmp_path / "new.db", "SELECT version_num FROM alembic_version") == [("0004",)]


def test_a_database_that_another_process_holds_is_unavailable_and_not_broken(path, monkeypatch):
    monkeypatch.setattr(database, "_BUSY_SECONDS", 0.05)
    store = open_store(f"sqlite:///{path}")
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")

        with pytest.raises(StoreUnavailable, match="locked"):
            store.put_document("plan", "1", b"body")
        other.execute("ROLLBACK")

    store.put_document("plan", "1", b"body")
    assert store.document("plan", "1") == b"body"
