"""Leases in a PostgreSQL database, by its clock alone, and the fence that keeps a zombie out.

Every transaction that writes holds the lease's row shared until it ends. Who takes the lease
over needs the row alone, so it waits for writes on their way or they fail; and what commits
later has another token than the row. Renewing changes no key, and so waits for nobody.
"""

from typing import Any, Final

from sqlalchemy import (
    Connection,
    Double,
    Engine,
    Select,
    cast,
    extract,
    func,
    literal,
    select,
    update,
)

from coordinator.replicas.lease import COORDINATOR, Leader
from privacy.errors import LeaseLost

from .database import door
from .schema import leases

_LOCK_SECONDS: Final = 1.0
"""How long an acquisition waits for writes on their way; it is tried again."""

_MINE: Final = leases.c.name == COORDINATOR


class SqlLeases:
    """`Leases` in the database of the coordinators."""

    def __init__(self, engine: Engine) -> None:
        # What waited for a row must then see it as it is, and not as it was before the wait.
        self._engine = engine.execution_options(isolation_level="READ COMMITTED")

    def acquire(self, holder: str, seconds: float) -> int | None:
        """Take the lease if no other holds it; return its new token, or None."""
        with door(self._engine.url):
            if not self._is_free(holder):
                return None
            with self._engine.begin() as connection:
                return _take(connection, holder, seconds)

    def leader(self) -> Leader | None:
        """Return who holds the lease, or None."""
        query = select(leases.c.holder, leases.c.until).where(_MINE, leases.c.until > _now())
        with door(self._engine.url), self._engine.begin() as connection:
            row = connection.execute(query).one_or_none()
        return None if row is None else Leader(row.holder, row.until)

    def renew(self, token: int, seconds: float) -> bool:
        """Hold the lease for `seconds` from now; return whether it is still held."""
        return self._set_until(token, _now() + seconds)

    def release(self, token: int) -> None:
        """Let go of the lease, if it is held."""
        self._set_until(token, literal(0.0))

    def close(self) -> None:
        """Let go of the database."""
        self._engine.dispose()

    def _is_free(self, holder: str) -> bool:
        with self._engine.begin() as connection:
            if connection.scalar(select(leases.c.token).where(_MINE)) is None:
                _make_row(connection)
            return connection.scalar(select(leases.c.token).where(_free(holder))) is not None

    def _set_until(self, token: int, until: Any) -> bool:  # noqa: ANN401
        held = _MINE & (leases.c.token == token) & (leases.c.until > _now())
        with door(self._engine.url), self._engine.begin() as connection:
            return connection.execute(update(leases).where(held).values(until=until)).rowcount == 1


class SqlFence:
    """Lets a transaction write only while the lease with one token is held.

    A process that is stopped in the middle of a transaction loses it after `seconds`, so that
    it keeps no other from taking over.
    """

    def __init__(self, token: int, seconds: float) -> None:
        self._token = token
        self._query = _fence(seconds)

    def check(self, connection: Connection) -> None:
        """Hold the lease's row until the transaction ends.

        Raises:
            LeaseLost: another process has taken it, or may.
        """
        row = connection.execute(self._query).one_or_none()
        if row is None or row.token != self._token or not row.held:
            found = row.token if row else 0
            raise LeaseLost(
                f"the coordinators' lease is at token {found}, this process wrote under "
                f"{self._token}: nothing was saved"
            )


def _take(connection: Connection, holder: str, seconds: float) -> int | None:
    _within(connection, _LOCK_SECONDS)
    free = select(leases.c.token).where(_free(holder)).with_for_update()
    if connection.scalar(free) is None:
        return None
    taken = update(leases).where(_MINE).returning(leases.c.token)
    token: int | None = connection.scalar(
        taken.values(holder=holder, token=leases.c.token + 1, until=_now() + seconds)
    )
    return token


def _free(holder: str) -> Any:  # noqa: ANN401
    # One's own is that of a process that has ended: see `holder_of`.
    return _MINE & ((leases.c.until <= _now()) | (leases.c.holder == holder))


def _make_row(connection: Connection) -> None:
    from sqlalchemy.dialects import postgresql  # noqa: PLC0415  only where there are replicas

    row = {"name": COORDINATOR, "holder": "", "token": 0, "until": 0.0}
    connection.execute(postgresql.insert(leases).values(row).on_conflict_do_nothing())


def _within(connection: Connection, seconds: float) -> None:
    connection.execute(select(func.set_config("lock_timeout", _milliseconds(seconds), True)))


def _fence(seconds: float) -> Select[Any]:
    idle = func.set_config(
        "idle_in_transaction_session_timeout", _milliseconds(seconds), True
    ).label("idle")
    held = (leases.c.until > _now()).label("held")
    return (
        select(leases.c.token, held, idle).where(_MINE).with_for_update(read=True, key_share=True)
    )


def _now() -> Any:  # noqa: ANN401
    # The time of the statement: that of its transaction is from before it waited for a row.
    return cast(extract("epoch", func.clock_timestamp()), Double)


def _milliseconds(seconds: float) -> str:
    return str(int(1000 * seconds))
