"""From the start of a coordinator's process to its first answer, and to an upload that goes on.

The process is killed in the middle of an upload and started again: on a database with no round,
with a hundred and with two thousand that are over. The site goes on over the connection it had.
"""

import asyncio
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from msgspec.structs import replace as with_fields

from coordinator.adapters.objects.files import open_objects
from coordinator.adapters.sql.store import open_store
from tests import fakes
from tests.deep import simulated

MOST_SECONDS = 5.0
CHUNKS = 8
BEFORE_THE_KILL = 3
PAST_ROUNDS = (0, 100, 2_000)


@dataclass(frozen=True)
class Recovery:
    """Seconds from the start of the process."""

    database: str
    rounds: int
    answered: float
    resumed: float

    def row(self) -> str:
        """Return it as a line of a table."""
        return f"| {self.database} | {self.rounds} | {self.answered:.2f} s | {self.resumed:.2f} s |"


@contextmanager
def federation(folder, database, past):
    """A federation whose chunks are of one ciphertext, as those of its past were."""
    with simulated.federation(
        folder,
        fakes.SITES,
        wanted=past + 1,
        dimension=4096 * CHUNKS,
        database=database,
        per_chunk=1,
    ) as made:
        yield made


def play_past(made, database, count):
    """Let the same members play rounds of one chunk each, in this process, in a database."""
    settings = with_fields(made.settings, model=with_fields(made.settings.model, dimension=4096))
    store = open_store(database)
    objects = open_objects(made.settings.state / "objects")
    past = fakes.Federation(settings, made.roster, store=store, objects=objects)
    for number in range(1, count + 1):
        past.open_round(number)
        for name in made.sites:
            past.begin(name, number)
            past.put(name, number, chunks=1)
            past.service.contributions.commit(name, number)
        past.tick()
        past.finish(number)
        past.tick()
        for each in (fakes.words, fakes.chunk_of, fakes.root_of):
            each.cache_clear()
    store.close()


def play_past_in_memory(made, count):
    """Play the past where nothing waits for a disk, and put the database where it belongs."""
    with tempfile.TemporaryDirectory(dir=_fastest()) as folder:
        quick = Path(folder) / "coordinator.db"
        play_past(made, f"sqlite:///{quick}", count)
        shutil.copy(quick, made.folder / "coordinator.db")


async def recovery(made, database, past):
    """Kill a coordinator in the middle of an upload; return how soon the next takes the rest."""
    made.start()
    async with made.members() as members:
        rounds, site = simulated.Rounds(made, members), members[made.sites[0]]
        await rounds.found()
        contents = rounds.contents(await rounds.open(past + 1))
        await site.send_some(contents, BEFORE_THE_KILL)
        made.kill()
        began = time.monotonic()
        made.start()
        resuming = asyncio.create_task(site.send_some(contents, 1))
        await answered(made)
        seconds = time.monotonic() - began
        await resuming
        found = Recovery(database, past, seconds, time.monotonic() - began)
        assert await site.offset(past + 1) == BEFORE_THE_KILL + 1
    sys.__stdout__.write(f"{found.row()}\n")
    sys.__stdout__.flush()
    return found


async def answered(made):
    """Return once a call over a new connection is answered."""
    async with made.members([made.sites[1]]) as members:
        await simulated.Rounds(made, members).answered()


def _fastest() -> str | None:
    memory = Path("/dev/shm")
    return str(memory) if memory.is_dir() else None


@pytest.mark.slow
async def test_an_upload_goes_on_soon_after_a_kill(tmp_path):
    """With a short past; how soon, the runs below say on a machine that does nothing else."""
    with federation(tmp_path, "", 3) as made:
        play_past_in_memory(made, 3)
        found = await recovery(made, "SQLite", 3)

    assert found.answered <= found.resumed < 60


@pytest.mark.deep
@pytest.mark.timeout(0)
@pytest.mark.parametrize("past", PAST_ROUNDS)
async def test_recovery_takes_seconds_whatever_the_past_on_sqlite(tmp_path, past):
    with federation(tmp_path, "", past) as made:
        play_past_in_memory(made, past)
        found = await recovery(made, "SQLite", past)

    assert found.resumed <= MOST_SECONDS


@pytest.mark.deep
@pytest.mark.timeout(0)
@pytest.mark.parametrize("past", PAST_ROUNDS)
async def test_recovery_takes_seconds_whatever_the_past_on_postgresql(
    tmp_path, past, postgres_server, monkeypatch
):
    with impatient(postgres_server) as database, federation(tmp_path, database, past) as made:
        # The past alone is played where a commit waits for no disk, which no coordinator accepts.
        with monkeypatch.context() as patch:
            patch.setattr("coordinator.adapters.sql.postgres.check_server", lambda _: None)
            play_past(made, database, past)
        postgres_server.run("ALTER SYSTEM RESET synchronous_commit")
        postgres_server.run("SELECT pg_reload_conf()")
        found = await recovery(made, "PostgreSQL", past)

    assert found.resumed <= MOST_SECONDS


@contextmanager
def impatient(server) -> Iterator[str]:
    """Give the URL of an empty database whose server waits for no disk, until it is told to."""
    server.run("ALTER SYSTEM SET synchronous_commit = off")
    server.run("SELECT pg_reload_conf()")
    name = server.fresh()
    try:
        yield server.url(name)
    finally:
        server.run("ALTER SYSTEM RESET synchronous_commit")
        server.run("SELECT pg_reload_conf()")
        server.drop(name)
