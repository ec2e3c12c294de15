"""Leases in a real PostgreSQL: by its clock, one at a time, and a fence around every write."""

import threading
import time

import pytest
from sqlalchemy import select, text

from coordinator.adapters.sql.database import (
    door,
    downgrade,
    migrating,
    open_database,
    upgrade,
    writer,
)
from coordinator.adapters.sql.leases import SqlFence, SqlLeases
from coordinator.adapters.sql.postgres import check_nobody_leads
from coordinator.adapters.sql.schema import REVISIONS, documents, leases
from coordinator.adapters.sql.store import SqlStore, open_store
from privacy.errors import LeaseLost, NotYet, StoreUnavailable


@pytest.fixture
def database(postgres_url):
    engine = open_database(postgres_url)
    yield engine
    engine.dispose()


@pytest.fixture
def held(database):
    return SqlLeases(database)


def fenced(database, token, seconds=5.0):
    return SqlStore(database, fence=SqlFence(token, seconds))


def expire(database):
    """Let the lease end, as time would."""
    with writer(database).begin() as connection:
        connection.execute(leases.update().values(until=0.0))


def test_of_many_that_ask_at_once_one_takes_it(held):
    """A compare-and-swap in the database; nobody's clock decides."""
    tokens = []
    start = threading.Barrier(4)

    def ask(name):
        start.wait()
        tokens.append(held.acquire(name, 5.0))

    asking = [threading.Thread(target=ask, args=(f"replica-{n}",)) for n in range(4)]
    for each in asking:
        each.start()
    for each in asking:
        each.join()

    assert sorted(tokens, key=str) == [1, None, None, None]


def test_each_holder_has_a_higher_token_and_only_it_renews(database, held):
    first = held.acquire("first", 5.0)
    expire(database)
    second = held.acquire("second", 5.0)

    assert (first, second) == (1, 2)
    assert (held.renew(first, 5.0), held.renew(second, 5.0)) == (False, True)


def test_a_lease_ends_by_the_databases_clock(held):
    first = held.acquire("first", 0.2)

    assert held.acquire("second", 5.0) is None
    time.sleep(0.25)
    assert not held.renew(first, 5.0)
    assert held.acquire("second", 5.0) == 2


def test_who_lets_go_is_followed_at_once_and_others_cannot_let_go(held):
    first = held.acquire("first", 5.0)

    held.release(first + 1)
    assert held.acquire("second", 5.0) is None
    held.release(first)
    assert held.acquire("second", 5.0) == 2


def test_the_same_holder_takes_its_own_lease_over_and_no_other_does(database, held):
    """It can only be one whose process has ended; writes under its old token save nothing."""
    first = held.acquire("north", 5.0)

    assert held.acquire("south", 5.0) is None
    assert held.acquire("north", 5.0) == first + 1
    assert not held.renew(first, 5.0)
    with pytest.raises(LeaseLost):
        fenced(database, first).put_document("plan", "1", b"mine")


def test_it_is_known_who_leads_and_until_when(database, held):
    before = held.leader()
    held.acquire("north", 5.0)
    leading = held.leader()
    held.renew(1, 7.0)
    renewed = held.leader()
    expire(database)

    assert (before, held.leader()) == (None, None)
    assert (leading.holder, renewed.holder) == ("north", "north")
    assert renewed.until > leading.until + 1


def test_nobody_moves_the_schema_of_who_leads(postgres_url, database, held):
    """A newer version that stands by would take the tables away under an older one."""
    token = held.acquire("north", 5.0)
    revision = REVISIONS[-2]

    with pytest.raises(StoreUnavailable, match=r"north leads with the schema .* stop it"):
        downgrade(postgres_url, to=revision)
    held.renew(token, 5.0)
    held.release(token)

    assert downgrade(postgres_url, to=revision) == (REVISIONS[-1], revision)
    assert upgrade(postgres_url) == (revision, REVISIONS[-1])


def test_a_newer_version_waits_for_who_leads_with_the_older_schema(postgres_url, database, held):
    downgrade(postgres_url, to=REVISIONS[-2])
    token = held.acquire("north", 5.0)

    with pytest.raises(StoreUnavailable, match="north leads"):
        open_database(postgres_url)
    held.release(token)
    opened = open_database(postgres_url)

    with opened.begin() as connection:
        asked = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    assert asked == REVISIONS[-1]
    opened.dispose()


def test_while_the_schema_is_moved_nobody_begins_to_lead(postgres_url, database, held):
    held.release(held.acquire("north", 5.0))

    with migrating(database.url) as connection:
        check_nobody_leads(connection)
        with pytest.raises(StoreUnavailable):
            held.acquire("south", 5.0)

    assert held.acquire("south", 5.0) == 2


def test_a_write_under_an_older_token_saves_nothing(database, held):
    """What a process does that was stopped and goes on: its first write finds another token."""
    zombie = fenced(database, held.acquire("first", 5.0))
    zombie.put_document("plan", "1", b"mine")
    expire(database)
    leader = fenced(database, held.acquire("second", 5.0))
    leader.put_document("plan", "2", b"its")

    for write in (
        lambda: zombie.put_document("plan", "3", b"mine"),
        lambda: zombie.save_step(1, None, b"state", [b"effect"]),
        lambda: zombie.finish_effect(1),
    ):
        with pytest.raises(LeaseLost, match="at token 2, this process wrote under 1"):
            write()

    assert leader.documents("plan") == [("1", b"mine"), ("2", b"its")]
    assert leader.round_numbers() == []


def test_a_write_under_a_lease_that_has_ended_saves_nothing(database, held):
    """Though nobody has taken it: who asks now must see everything that was ever saved."""
    store = fenced(database, held.acquire("first", 5.0))
    expire(database)

    with pytest.raises(LeaseLost):
        store.put_document("plan", "1", b"mine")


def test_a_transaction_that_waited_for_long_is_judged_by_the_time_after_its_wait(database, held):
    """Its own time is that of its beginning, when the lease was still held."""
    fence = SqlFence(held.acquire("first", 0.2), 5.0)

    with writer(database).begin() as connection:
        connection.execute(select(1))
        time.sleep(0.25)
        with pytest.raises(LeaseLost):
            fence.check(connection)


def test_a_write_without_any_lease_saves_nothing(database):
    with pytest.raises(LeaseLost, match="at token 0"):
        fenced(database, 1).put_document("plan", "1", b"mine")


def test_who_takes_over_waits_for_a_write_on_its_way(database, held):
    """Otherwise it would load what the write then changes."""
    token = held.acquire("first", 5.0)
    taken = []

    with writer(database).begin() as connection:
        SqlFence(token, 5.0).check(connection)
        connection.execute(documents.insert().values(kind="plan", name="1", body=b"mine"))
        _expire_beside(database)
        waiting = threading.Thread(target=lambda: taken.append(held.acquire("second", 5.0)))
        waiting.start()
        time.sleep(0.3)
        before = list(taken)
    waiting.join()

    assert (before, taken) == ([], [2])
    assert SqlStore(database).document("plan", "1") == b"mine"


def test_a_write_that_stops_half_way_keeps_nobody_from_taking_over(database, held):
    """The database ends its transaction; a stopped process would hold the row for ever."""
    token = held.acquire("first", 0.5)

    with pytest.raises(StoreUnavailable):
        _write_and_stop(database, token)

    assert held.acquire("second", 5.0) == 2
    with pytest.raises(NotYet):
        SqlStore(database).document("plan", "1")


def test_renewing_waits_for_no_write_and_no_write_for_it(database, held):
    """A renewal behind a slow write would lose the lease; a write beside one must not fail."""
    token = held.acquire("first", 5.0)
    store, stop, renewed = fenced(database, token), threading.Event(), []

    def renew():
        while not stop.is_set():
            renewed.append(held.renew(token, 5.0))

    renewing = threading.Thread(target=renew)
    renewing.start()
    for number in range(100):
        store.put_document("plan", str(number), b"x")
    stop.set()
    renewing.join()

    with writer(database).begin() as connection:
        SqlFence(token, 5.0).check(connection)
        assert held.renew(token, 5.0)
    assert len(renewed) > 20
    assert all(renewed)


def test_a_store_that_is_opened_with_a_fence_asks_it(postgres_url, held):
    store = open_store(postgres_url, fence=SqlFence(held.acquire("first", 5.0), 5.0))

    store.put_document("plan", "1", b"mine")
    held.release(1)
    with pytest.raises(LeaseLost):
        store.put_document("plan", "2", b"mine")
    store.close()


def _expire_beside(database):
    with database.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(leases.update().values(until=0.0))


def _write_and_stop(database, token):
    with door(database.url), writer(database).begin() as connection:
        SqlFence(token, 0.5).check(connection)
        connection.execute(documents.insert().values(kind="plan", name="1", body=b"mine"))
        time.sleep(1.0)
        connection.execute(select(1))
