"""Two thousand rounds of a small model in one life of a coordinator: nothing of it grows.

What stays for ever, stays on the disk: documents and the rounds themselves, some kilobytes each
round. Rows and files of chunks, descriptors, threads and memory are bounded.
"""

import os
import sqlite3
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from tests.deep import simulated
from tests.deep.footprint import footprint

ROUNDS, WARM_UP, EVERY = 2_000, 200, 20
SITES = 4
MOST_SLOPE = 1.0
"""MiB in 100 rounds."""

EVIDENCE = ("rounds", "documents", "uploads")
"""Tables that grow by the same for each round; all others must not grow."""


@dataclass(frozen=True)
class Look:
    """What there was after a round."""

    number: int
    mebibytes: float
    descriptors: int
    threads: int
    files: int
    rows: dict[str, int]


def look(made, number):
    """Return what the coordinator has after a round: in memory, in its database, on its disk."""
    taken = footprint(made.pid)
    files = sum(len(names) for _, _, names in os.walk(made.settings.state / "objects"))
    rows = rows_of(made.folder / "coordinator.db")
    return Look(number, taken.mebibytes, taken.descriptors, taken.threads, files, rows)


def rows_of(database: Path) -> dict[str, int]:
    """Return how many rows each table has."""
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
    try:
        query = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
        tables = [name for (name,) in connection.execute(query)]
        count = "SELECT count(*) FROM {}"
        return {each: connection.execute(count.format(each)).fetchone()[0] for each in tables}
    finally:
        connection.close()


def slope(looks):
    """Return by how many MiB memory grows in 100 rounds: least squares, after a warm-up."""
    settled = [each for each in looks if each.number > WARM_UP]
    numbers, sizes = [e.number for e in settled], [e.mebibytes for e in settled]
    return 100 * float(np.polyfit(numbers, sizes, 1)[0])


async def soak(folder, count):
    """Play so many rounds; return what was seen now and then."""
    looks = []
    with simulated.federation(folder, simulated.some_sites(SITES), wanted=count) as made:
        made.start()
        async with made.members() as members:
            rounds = simulated.Rounds(made, members)
            await rounds.found()
            for number in range(1, count + 1):
                await rounds.play(number)
                if number % EVERY == 0:
                    looks.append(look(made, number))
    return looks


def say(looks):
    """Print what was seen past pytest's capture."""
    for each in looks[:: max(1, len(looks) // 10)] + looks[-1:]:
        sys.__stdout__.write(f"{each}\n")
    sys.__stdout__.write(f"slope {slope(looks):.3f} MiB in 100 rounds\n")
    sys.__stdout__.flush()


@pytest.mark.deep
@pytest.mark.timeout(0)
async def test_two_thousand_rounds_in_one_life(tmp_path):
    looks = await soak(tmp_path, ROUNDS)

    say(looks)
    settled = [each for each in looks if each.number > WARM_UP]
    early, late = settled[: len(settled) // 2], settled[len(settled) // 2 :]
    assert slope(looks) < MOST_SLOPE
    for what in ("descriptors", "threads", "files"):
        # what comes and goes within a round comes and goes in both halves
        most = max(getattr(each, what) for each in early)
        assert max(getattr(each, what) for each in late) <= 1.1 * most + 2, what
    for table in looks[-1].rows.keys() - set(EVIDENCE):
        most = max(each.rows[table] for each in early)
        assert max(each.rows[table] for each in late) <= 1.1 * most + 8, table
    for table in EVIDENCE:
        half = late[0].number
        before, after = early[-1].rows[table] / early[-1].number, late[-1].rows[table]
        assert after <= 1.01 * before * late[-1].number + 8, (table, half)
