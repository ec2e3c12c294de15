"""All that is PostgreSQL's own: how it is reached, what it must promise, how long it may take.

The one door to psycopg. Nothing about a connection is left to the environment or to the
URL's taste: over a network the server shows a certificate for its name, what is committed is
on its disk, and a server that hangs is unavailable after seconds.
"""

import os
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final, TypeVar

from psycopg import Connection as PsycopgConnection
from psycopg import OperationalError
from psycopg.abc import PQGen
from psycopg.pq import TransactionStatus
from sqlalchemy import URL, Connection, Engine, create_engine, event, text

from coordinator.replicas.lease import COORDINATOR
from privacy.errors import ConfigError, StoreUnavailable, VeilsumError
from veilsum.files import read_secret

Result = TypeVar("Result")

_OLDEST: Final = 15
_CONNECT_SECONDS: Final = 10
_LOCK_SECONDS: Final = 10
_STATEMENT_SECONDS: Final = 20
# The server's own limit comes first: it says why. This one is for a server that says nothing.
_ANSWER_SECONDS: Final = 25.0
_IDLE_SECONDS: Final = 60
_MIGRATION_SECONDS: Final = 3600
_CONNECTIONS: Final = 8
_TABLE_SECONDS: Final = 1.5
_MIGRATION_LOCK: Final = 0x7665696C  # "veil": any number that nobody else uses

_LEADER: Final = (
    "SELECT holder, until > extract(epoch FROM clock_timestamp()) AS held FROM leases "
    "WHERE name = :name"
)

_OPTIONS: Final = frozenset(
    ("host", "port", "sslcert", "sslcrl", "sslkey", "sslmode", "sslrootcert")
)
# These would lead a connection elsewhere, or change it, behind the settings' back.
_OVERRULING: Final = ("PGHOSTADDR", "PGOPTIONS", "PGSERVICE")


class Bounded(PsycopgConnection[Any]):
    """A connection that is given up when the server has said nothing for too long."""

    answer_seconds = _ANSWER_SECONDS

    def wait(
        self, gen: PQGen[Result], interval: float = 0.1, timeout: float | None = None
    ) -> Result:
        """Return what the server answers.

        Raises:
            OperationalError: it refuses, is gone, or does not answer; then this is closed.
        """
        try:
            return super().wait(gen, interval, timeout or self.answer_seconds)
        except OperationalError as error:
            if self.pgconn.transaction_status != TransactionStatus.ACTIVE:
                raise
            self.pgconn.finish()
            raise OperationalError(f"no answer within {self.answer_seconds:g} s") from error


class _Patient(Bounded):
    answer_seconds = float(_MIGRATION_SECONDS)


def check(url: URL, password: Path | None) -> URL:
    """Return the address with psycopg as its driver and, over a network, verified TLS.

    Raises:
        ConfigError: it names another driver, holds a password, or says how to be less safe; or
            the environment does.
        InsecureKeyFile: others can read the password.
    """
    if url.drivername not in ("postgresql", "postgresql+psycopg"):
        raise ConfigError(
            f"database: {url.drivername}:// is another driver; the one that is used is psycopg: "
            "write postgresql://"
        )
    if url.password is not None:
        raise ConfigError(
            "database: a password stands in the URL; write it to a file that only this account "
            "can read, and name the file in database_password"
        )
    _check_query(url)
    if password is not None:
        _password(password)
    return _with_tls(url.set(drivername="postgresql+psycopg"))


def engine(url: URL, password: Path | None, *, migrating: bool = False) -> Engine:
    """Return an engine for a checked address; one that migrates waits for as long as it takes."""
    statement = _MIGRATION_SECONDS if migrating else _STATEMENT_SECONDS
    lock = _MIGRATION_SECONDS if migrating else _LOCK_SECONDS
    made = create_engine(
        url,
        hide_parameters=True,
        isolation_level="READ COMMITTED" if migrating else "SERIALIZABLE",
        pool_size=_CONNECTIONS,
        max_overflow=_CONNECTIONS,
        pool_timeout=_LOCK_SECONDS,
        connect_args={
            "connect_timeout": _CONNECT_SECONDS,
            "application_name": "veilsum",
            "options": f"-c statement_timeout={statement}s -c lock_timeout={lock}s "
            f"-c idle_in_transaction_session_timeout={_IDLE_SECONDS}s",
            "keepalives_idle": 10,
            "keepalives_interval": 5,
            "keepalives_count": 3,
            "tcp_user_timeout": int(_ANSWER_SECONDS * 1000),
        },
    )
    kind = _Patient if migrating else Bounded

    @event.listens_for(made, "do_connect")
    def connect(_: object, __: object, ___: object, given: dict[str, Any]) -> Bounded:
        # Read each time, so that a password can be changed without a restart.
        secret = None if password is None else _password_again(password)
        return kind.connect(**given, password=secret)

    return made


def check_server(connection: Connection) -> None:
    """Return if the server keeps what it acknowledges, and is not too old.

    Raises:
        ConfigError: it was told not to force commits to its disk; or it is too old.
    """
    version = int(_setting(connection, "server_version_num")) // 10_000
    if version < _OLDEST:
        raise ConfigError(f"database: PostgreSQL {version}; install {_OLDEST} or a newer one")
    for name, good in (
        ("fsync", ("on",)),
        ("full_page_writes", ("on",)),
        ("synchronous_commit", ("on", "remote_apply")),
    ):
        value = _setting(connection, name)
        if value not in good:
            raise ConfigError(
                f"database: the server has {name} = {value}, so a commit can be lost; its "
                f"administrator sets {name} = {good[0]}"
            )


def take_turns(connection: Connection) -> None:
    """Wait until no other process migrates; until this transaction ends, none begins to.

    For a table this transaction then waits no longer than others may be kept waiting behind it.
    """
    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})
    milliseconds = str(int(1000 * _TABLE_SECONDS))
    connection.execute(
        text("SELECT set_config('lock_timeout', :value, true)"), {"value": milliseconds}
    )


def used_by(connection: Connection) -> list[str]:
    """Return a few sessions that hold tables of this database, by name and process."""
    held = text(
        "SELECT DISTINCT application_name || ' (pid ' || pid || ', ' || usename || ')' "
        "FROM pg_locks JOIN pg_stat_activity USING (pid) "
        "JOIN pg_class ON pg_class.oid = pg_locks.relation "
        "WHERE granted AND relkind = 'r' AND pg_locks.database = "
        "(SELECT oid FROM pg_database WHERE datname = current_database()) "
        "AND relnamespace = current_schema()::regnamespace AND pid <> pg_backend_pid() "
        "ORDER BY 1 LIMIT 5"
    )
    return [str(each) for each in connection.scalars(held)]


def check_nobody_leads(connection: Connection) -> None:
    """Return if no coordinator leads with the database; until this transaction ends, none begins.

    Raises:
        StoreUnavailable: one does, with the schema as it is.
    """
    if connection.scalar(text("SELECT to_regclass('leases')")) is None:
        return
    for lock in ("", " FOR UPDATE"):  # who leads is kept waiting by no lock
        row = connection.execute(text(_LEADER + lock), {"name": COORDINATOR}).one_or_none()
        if row is not None and row.held:
            raise StoreUnavailable(
                f"the coordinator {row.holder} leads with the schema that the database has: stop "
                "it, and the schema is moved; until then this one waits"
            )


def _check_query(url: URL) -> None:
    unknown = sorted(url.query.keys() - _OPTIONS)
    if unknown:
        raise ConfigError(
            f"database: the URL may not set {unknown[0]}; it may set {', '.join(sorted(_OPTIONS))}"
        )
    for name in _OVERRULING:
        if os.environ.get(name):
            raise ConfigError(f"the variable {name} would overrule the setting database; unset it")
    if not url.database:
        raise ConfigError("database: the URL names no database: postgresql://user@host/name")


def _with_tls(url: URL) -> URL:
    """Return the URL with all that TLS needs, if it leads out of this machine."""
    if url.query.get("sslmode", "verify-full") != "verify-full":
        raise ConfigError("database: sslmode is verify-full or left out; nothing less is a choice")
    if all(map(_is_here, _hosts(url))):
        return url
    if "sslrootcert" not in url.query:
        raise ConfigError(
            "database: the server is on another machine; name the file with its authority's "
            "certificate: postgresql://user@host/name?sslrootcert=/path (or =system)"
        )
    return url.update_query_dict(
        {"sslmode": "verify-full", "ssl_min_protocol_version": "TLSv1.3", "gssencmode": "disable"}
    )


def _hosts(url: URL) -> list[str]:
    named = url.query.get("host", ())
    hosts = [url.host or "", *([named] if isinstance(named, str) else named)]
    found = [each for host in hosts for each in host.split(",") if each]
    if not found:
        raise ConfigError(
            "database: the URL names no host: postgresql://user@host/name, or "
            "postgresql://user@/name?host=/folder/of/its/socket"
        )
    return found


def _is_here(host: str) -> bool:
    if host.startswith("/") or host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _password(path: Path) -> str:
    try:
        return read_secret(path).decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise ConfigError(f"database_password: {path} is not UTF-8; write it anew") from None
    except OSError as error:  # it was there a moment ago
        raise ConfigError(f"database_password: {path}: {error.strerror}") from None


def _password_again(path: Path) -> str:
    """Return the password, once this process has started: what is wrong with it is waited for."""
    try:
        return _password(path)
    except VeilsumError as error:
        raise StoreUnavailable(
            f"database_password: no connection is made until the file is right: {error}"
        ) from error


def _setting(connection: Connection, name: str) -> str:
    value = connection.scalar(text("SELECT current_setting(:name)"), {"name": name})
    return str(value)
