"""PostgreSQL alone: reached safely, patient for seconds, and never counted twice."""

import os
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from sqlalchemy import make_url
from sqlalchemy.exc import DBAPIError

from coordinator.adapters.sql import database, postgres
from coordinator.adapters.sql.store import open_store
from coordinator.ports import StoredRound
from privacy.errors import (
    ConfigError,
    ConflictingContribution,
    InsecureKeyFile,
    StoreUnavailable,
)
from tests.missing_tools import missing

from .test_store_law import OTHER, TOKEN, WRITES, after, begin, prepare, seen

FAR = "postgresql://veilsum@db.example.org/veilsum"
TRUSTED = f"{FAR}?sslrootcert=system"


def name_of(url):
    return make_url(url).database


@pytest.fixture
def cut(postgres_server, postgres_url):
    """Cut every connection that there is to this test's database."""

    def terminate():
        postgres_server.run(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
            f"WHERE datname = '{name_of(postgres_url)}'"
        )

    return terminate


# -- how it is reached ----------------------------------------------------------------


def test_a_password_is_read_from_a_file(postgres_server, postgres_url):
    url = postgres_server.tcp_url(name_of(postgres_url))

    store = open_store(url, postgres_server.password)
    store.put_document("plan", "1", b"body")

    assert store.document("plan", "1") == b"body"
    assert postgres_server.password.read_text() not in repr((store._engine, store._engine.url))
    store.close()


def test_a_password_is_read_again_for_each_connection(postgres_server, postgres_url, tmp_path, cut):
    """So that it can be changed while the coordinator runs."""
    password = tmp_path / "password"
    password.touch(mode=0o600)
    password.write_text(postgres_server.password.read_text() + "\n")
    store = open_store(postgres_server.tcp_url(name_of(postgres_url)), password)
    password.write_text("another")
    cut()

    with pytest.raises(StoreUnavailable, match="password authentication failed"):
        store.round_numbers()
    password.write_text(postgres_server.password.read_text())

    assert store.round_numbers() == []
    store.close()


@pytest.mark.parametrize(
    ("trouble", "says"),
    [
        (lambda path: path.chmod(0o644), "mode 0644"),
        (lambda path: path.unlink(), "No such file"),
        (lambda path: path.write_bytes(b"gr\xfc\xdfe"), "not UTF-8"),
    ],
    ids=["others can read it", "gone", "latin-1"],
)
def test_a_password_that_cannot_be_read_for_a_moment_is_waited_for(
    postgres_server, postgres_url, tmp_path, cut, trouble, says
):
    """Who puts another one there may write it, and then take it from others' eyes."""
    password, secret = tmp_path / "password", postgres_server.password.read_text()
    password.touch(mode=0o600)
    password.write_text(secret)
    store = open_store(postgres_server.tcp_url(name_of(postgres_url)), password)
    trouble(password)
    cut()

    with pytest.raises(StoreUnavailable, match=f"database_password.*{says}"):
        store.round_numbers()

    password.touch(mode=0o600)
    password.write_text(secret)
    password.chmod(0o600)
    assert store.round_numbers() == []
    store.close()


def test_a_password_that_is_no_text_stops_the_start_and_is_named(tmp_path):
    password = tmp_path / "password"
    password.touch(mode=0o600)
    password.write_bytes(b"gr\xfc\xdfe")

    with pytest.raises(ConfigError, match=rf"database_password: {password} is not UTF-8"):
        open_store("postgresql://veilsum@127.0.0.1/veilsum", password)


def test_a_password_that_others_can_read_is_refused(tmp_path):
    password = tmp_path / "password"
    password.write_text("secret")
    password.chmod(0o644)

    with pytest.raises(InsecureKeyFile, match="chmod 600"):
        open_store("postgresql://veilsum@127.0.0.1/veilsum", password)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("postgresql://veilsum:secret@127.0.0.1/veilsum", "database_password"),
        ("postgresql+psycopg2://veilsum@127.0.0.1/veilsum", "write postgresql://"),
        ("postgresql+asyncpg://veilsum@127.0.0.1/veilsum", "write postgresql://"),
        ("postgresql:///veilsum", "names no host"),
        ("postgresql://veilsum@127.0.0.1", "names no database"),
        (f"{TRUSTED}&options=-csynchronous_commit=off", "may not set options"),
        ("postgresql://127.0.0.1/veilsum?password=secret", "may not set password"),
        (f"{TRUSTED}&hostaddr=10.0.0.1", "may not set hostaddr"),
        (f"{TRUSTED}&sslmode=require", "verify-full"),
        ("postgresql://127.0.0.1/veilsum?sslmode=disable", "verify-full"),
        (FAR, "sslrootcert"),
        ("postgresql://veilsum@10.0.0.1/veilsum", "sslrootcert"),
        ("postgresql://veilsum@/veilsum?host=db.example.org", "sslrootcert"),
        ("postgresql://veilsum@127.0.0.1,db.example.org/veilsum", "sslrootcert"),
        ("postgresql://veilsum@/veilsum?host=/run&host=db.example.org", "sslrootcert"),
    ],
)
def test_an_address_that_is_less_than_safe_is_refused(url, says):
    with pytest.raises(ConfigError, match=says) as refused:
        open_store(url)

    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("name", ["PGHOSTADDR", "PGOPTIONS", "PGSERVICE"])
def test_the_environment_does_not_overrule_the_settings(monkeypatch, name):
    monkeypatch.setenv(name, "elsewhere")

    with pytest.raises(ConfigError, match=f"{name} would overrule"):
        open_store("postgresql://veilsum@127.0.0.1/veilsum")


@pytest.mark.parametrize("url", [TRUSTED, f"{TRUSTED}&sslmode=verify-full"])
def test_another_machine_shows_a_certificate_for_its_name(url):
    checked = postgres.check(make_url(url), None)

    assert checked.drivername == "postgresql+psycopg"
    assert checked.query["sslmode"] == "verify-full"
    assert checked.query["ssl_min_protocol_version"] == "TLSv1.3"
    assert checked.query["gssencmode"] == "disable"


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "localhost"])
def test_this_machine_needs_no_certificate(host):
    checked = postgres.check(make_url(f"postgresql://veilsum@{host}/veilsum"), None)

    assert "sslmode" not in checked.query


def test_without_the_driver_the_extra_is_named():
    program = (
        "import sys\n"
        "sys.modules['psycopg'] = None\n"
        "from coordinator.adapters.sql.store import open_store\n"
        "from privacy.errors import MissingDependency\n"
        "try:\n"
        "    open_store('postgresql://veilsum@127.0.0.1/veilsum')\n"
        "except MissingDependency as error:\n"
        "    print(error)\n"
    )

    said = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )

    assert "install the extra `postgres`" in said.stdout


# -- what it must promise -------------------------------------------------------------


def test_each_commit_is_forced_to_the_disk(postgres_url):
    store = open_store(postgres_url)

    with store._writing() as connection:
        settings = [
            connection.exec_driver_sql(f"SHOW {name}").scalar()
            for name in ("fsync", "synchronous_commit", "transaction_isolation", "lock_timeout")
        ]

    assert settings == ["on", "on", "serializable", "10s"]
    store.close()


@pytest.mark.parametrize("value", ["off", "local"])
def test_a_server_that_acknowledges_what_it_may_lose_is_refused(
    postgres_server, postgres_url, value
):
    postgres_server.run(f"ALTER DATABASE {name_of(postgres_url)} SET synchronous_commit = {value}")

    with pytest.raises(ConfigError, match=f"synchronous_commit = {value}.*administrator"):
        open_store(postgres_url)


def test_an_old_server_is_refused(postgres_url, monkeypatch):
    monkeypatch.setattr(postgres, "_OLDEST", 99)

    with pytest.raises(ConfigError, match=r"PostgreSQL \d\d; install 99"):
        open_store(postgres_url)


def test_what_was_acknowledged_outlives_the_server_and_the_store_goes_on(
    postgres_server, postgres_url
):
    """Killed, not stopped: it finds what was committed in its log. No connection is left of it."""
    store = open_store(postgres_url)
    store.save_step(1, None, b"state", [b"effect"])

    postgres_server.kill()
    with pytest.raises(StoreUnavailable, match="check that it is there"):
        store.save_step(1, 1, b"two", [])
    postgres_server.start()

    assert store.load_round(1) == StoredRound(b"state", 1)
    assert store.save_step(1, 1, b"two", []) == 2
    store.close()


@pytest.fixture
def small(postgres_server):
    """Yield the URL of a database on a small disk, and the function that makes the disk larger."""
    folder = postgres_server.folder / "small"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=16m,mode=0777", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(command, check=False).returncode != 0:
        folder.rmdir()
        missing("a small disk: only root may mount one, and not in every container")
    shutil.chown(folder, *(("nobody", "nogroup")))
    folder.chmod(0o700)
    try:
        postgres_server.run(f"CREATE TABLESPACE small OWNER veilsum LOCATION '{folder}'")
        postgres_server.run("CREATE DATABASE small OWNER veilsum TABLESPACE small")
        larger = ["mount", "-o", "remount,size=64m", str(folder)]
        yield postgres_server.url("small"), lambda: subprocess.run(larger, check=True, timeout=10)
        subprocess.run(larger, check=True, timeout=10)
        postgres_server.drop("small")
        postgres_server.run("DROP TABLESPACE small")
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True, timeout=10)
        folder.rmdir()


def test_a_full_disk_saves_nothing_and_the_store_goes_on_when_there_is_space(small):
    url, enlarge = small
    store = open_store(url)
    store.save_step(1, None, b"one", [])
    large = os.urandom(20_000_000)  # nothing that could be compressed

    with pytest.raises(StoreUnavailable, match="No space left") as refused:
        store.save_step(1, 1, large, [b"effect"])
    enlarge()  # until then even reading may fail: what it evicts from memory has no room
    there = store.load_round(1), store.pending_effects()

    assert "INSERT" not in str(refused.value)
    assert there == (StoredRound(b"one", 1), [])
    assert store.save_step(1, 1, large, [b"effect"]) == 2
    store.close()


# -- what fails and may be tried again ------------------------------------------------


def test_a_step_that_another_process_disturbs_is_tried_again(postgres_url):
    """Each of two refusals was counted without the other: of the two, one must look again."""
    other, asked = open_store(postgres_url), []

    def refuse(store, digest):
        with pytest.raises(ConflictingContribution):
            begin(store, digest=digest)

    def disturb(place):
        asked.append(place)
        if asked == ["store.before_commit"]:
            refuse(other, "c3" * 32)

    begin(other)
    store = open_store(postgres_url, step=disturb)
    asked.clear()

    refuse(store, OTHER)

    assert asked == ["store.before_commit"] * 2 + ["store.after_commit"]
    assert {each.offered for each in store.refusals(1)} == {OTHER, "c3" * 32}
    store.close()
    other.close()


def test_what_is_disturbed_for_ever_is_unavailable(postgres_url, monkeypatch):
    """The times are bounded; nothing is kept of any of them."""
    monkeypatch.setattr(database, "_PAUSES", (0.0, 0.0))
    other, asked = open_store(postgres_url), []

    def disturb(place):
        asked.append(place)
        with pytest.raises(ConflictingContribution):
            begin(other, digest=f"{len(asked):064x}")

    begin(other)
    store = open_store(postgres_url)
    store._step = disturb

    with pytest.raises(StoreUnavailable, match="could not serialize access"):
        begin(store, digest=OTHER)

    assert asked == ["store.before_commit"] * 3
    assert OTHER not in {each.offered for each in store.refusals(1)}
    store.close()
    other.close()


def test_what_takes_long_is_not_asked_again_and_again(monkeypatch):
    """A server that takes calls and answers none would hold a caller for minutes."""
    monkeypatch.setattr(database, "_RETRY_SECONDS", 0.02)
    asked = []

    def hang():
        asked.append(time.sleep(0.03))
        raise DBAPIError("SELECT 1", {}, Exception("no answer"), connection_invalidated=True)

    with pytest.raises(DBAPIError):
        database.again(hang)

    assert len(asked) == 1


def test_connections_that_were_cut_while_nobody_used_them_are_made_anew(postgres_url, cut):
    store = open_store(postgres_url)
    prepare(store)

    cut()
    before = seen(store)
    cut()
    store.put_document("plan", "1", b"body")

    assert before[0] == StoredRound(b"one", 1)
    assert store.document("plan", "1") == b"body"
    store.close()


def say_again(store, name):
    """Do what the caller of a store does when nobody knows whether a write was kept."""
    looked_at = {
        "save_step": lambda: store.load_round(1).revision,
        "save_invitation": lambda: store.invitation(TOKEN).revision,
    }
    if name not in looked_at or looked_at[name]() == 1:
        WRITES[name](store)


@pytest.mark.parametrize("name", WRITES)
def test_a_write_whose_connection_is_cut_before_it_is_kept_is_kept_once(postgres_url, cut, name):
    store = open_store(postgres_url)
    prepare(store)
    store._step = lambda place: cut()

    with pytest.raises(StoreUnavailable, match="nobody knows whether it is"):
        WRITES[name](store)
    store._step = lambda place: None
    kept = seen(store)
    say_again(store, name)

    assert kept == after(lambda _: None)
    assert seen(store) == after(WRITES[name])
    store.close()


@pytest.fixture
def unanswered(postgres_server, postgres_url):
    """Make every commit wait, once it is kept, for a replica that there is not; then cut it."""
    waits = "wait_event = 'SyncRep'"
    mine = f"FROM pg_stat_activity WHERE datname = '{name_of(postgres_url)}' AND {waits}"

    def cut_when_kept():
        end = time.monotonic() + 10
        while not postgres_server.run(f"SELECT pid {mine}"):
            assert time.monotonic() < end
            time.sleep(0.01)
        postgres_server.run(f"SELECT pg_terminate_backend(pid, 5000) {mine}")

    def wait_for(replica):
        postgres_server.run(f"ALTER SYSTEM SET synchronous_standby_names = '{replica}'")
        postgres_server.run("SELECT pg_reload_conf()")
        end = time.monotonic() + 10
        shown = None
        while shown != [(replica,)] and time.monotonic() < end:
            time.sleep(0.01)
            shown = postgres_server.run("SHOW synchronous_standby_names")

    yield wait_for, cut_when_kept
    wait_for("")


@pytest.mark.parametrize("name", WRITES)
def test_a_write_that_is_kept_and_never_answered_is_kept_once(postgres_url, unanswered, name):
    """The connection ends between the commit and its answer: the one moment that tells nothing."""
    wait_for, cut_when_kept = unanswered
    store = open_store(postgres_url)
    prepare(store)
    wait_for("nobody")

    with ThreadPoolExecutor(1) as thread:
        cutting = thread.submit(cut_when_kept)
        with pytest.raises(StoreUnavailable, match="nobody knows whether it is"):
            WRITES[name](store)
        cutting.result()
    wait_for("")
    kept = seen(store)
    say_again(store, name)

    assert kept == seen(store) == after(WRITES[name])
    store.close()


def test_a_server_that_hangs_is_unavailable_after_seconds(
    postgres_server, postgres_url, monkeypatch
):
    """Stopped as a whole, as a frozen machine is: it takes connections and says nothing."""
    monkeypatch.setattr(postgres.Bounded, "answer_seconds", 0.3)
    monkeypatch.setattr(postgres, "_CONNECT_SECONDS", 2)
    store = open_store(postgres_url)
    store.put_document("plan", "1", b"body")

    with frozen(postgres_server):
        began = time.monotonic()
        with pytest.raises(StoreUnavailable):
            store.document("plan", "1")
        took = time.monotonic() - began

    assert took < 5
    assert store.document("plan", "1") == b"body"
    store.close()


@contextmanager
def frozen(server):
    """Stop every process of a server, and let them go on at the end.

    The first one first: what it has not waited for keeps its number, so none is gone
    between the list and the signal.
    """
    first = int((server.folder / "data" / "postmaster.pid").read_text().split()[0])
    stopped = [first]
    try:
        os.kill(first, signal.SIGSTOP)
        wait_until_stopped(first)
        children = Path(f"/proc/{first}/task/{first}/children").read_text().split()
        for pid in map(int, children):
            os.kill(pid, signal.SIGSTOP)
            stopped.append(pid)
        yield
    finally:
        for pid in stopped:
            with suppress(ProcessLookupError):  # it ends as soon as it goes on
                os.kill(pid, signal.SIGCONT)


def wait_until_stopped(pid):
    """Wait for the kernel: the signal is sent at once and heeded a little later."""
    while Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "T":
        time.sleep(0.001)


def test_a_row_that_another_holds_for_too_long_is_unavailable(
    postgres_server, postgres_url, monkeypatch
):
    monkeypatch.setattr(postgres, "_LOCK_SECONDS", 1)
    store, other = open_store(postgres_url), open_store(postgres_url)
    store.save_step(1, None, b"one", [])

    with other._writing() as connection:
        connection.exec_driver_sql("UPDATE rounds SET revision = 1")
        with pytest.raises(StoreUnavailable, match="lock timeout"):
            store.save_step(1, 1, b"two", [])

    store.close()
    other.close()
