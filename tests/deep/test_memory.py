"""A coordinator's memory is the same however large contributions are.

A real process, real gRPC with mutual TLS, and sites that are simulated: upload, fold, downloads of
the sum by three openers, a sealed model. Peaks are the kernel's own (VmHWM), of the coordinator
and of the worst of the workers that add up. The largest run writes 27 GB.
"""

import asyncio
import shutil
import sys
from dataclasses import dataclass

import pytest

from tests.deep import simulated
from tests.deep.disk import require_disk
from tests.deep.footprint import peaks_of

MOST_GROWTH = 1.05
SITES, SIZES = 100, (16, 64, 256)
FEW, LARGEST = 8, 1024


@dataclass(frozen=True)
class Measured:
    """Peaks of one round, in MiB."""

    sites: int
    mebibytes: int
    coordinator: float
    worker: float

    def row(self) -> str:
        """Return it as a line of a table."""
        return (
            f"| {self.sites} sites, {self.mebibytes} MiB each | {self.coordinator:.0f} MiB | "
            f"{self.worker:.0f} MiB |"
        )


async def measured(folder, sites, mebibytes):
    """Return the peaks of a coordinator that played one round, and leave nothing on the disk."""
    folder.mkdir()
    dimension = simulated.dimension_of(mebibytes, sites)
    try:
        names = simulated.some_sites(sites)
        with simulated.federation(folder, names, dimension=dimension, wanted=1) as made:
            made.start()
            async with made.members() as members:
                rounds = simulated.Rounds(made, members)
                await rounds.found()
                async with peaks_of(made.pid) as peaks:
                    await rounds.play(1)
                    await erased(made, 1)
    finally:
        shutil.rmtree(folder)
    found = Measured(sites, mebibytes, peaks.mib["coordinator"], peaks.mib.get("worker", 0.0))
    sys.__stdout__.write(f"{found.row()}\n")
    sys.__stdout__.flush()
    return found


async def erased(made, number):
    """Return when a coordinator has erased the contributions of a round that is over."""
    left = made.settings.state / "objects" / "rounds" / f"{number:06d}" / "contributions"
    while left.exists():
        await asyncio.sleep(0.1)


@pytest.mark.slow
async def test_a_round_of_simulated_members_takes_a_coordinator_little_memory(tmp_path):
    """The larger runs below stand on the same members; this one is small enough for every day."""
    found = await measured(tmp_path / "small", 5, 2)

    assert 0 < found.coordinator < 400


@pytest.mark.deep
@pytest.mark.timeout(0)
async def test_peaks_do_not_grow_with_contributions(tmp_path):
    """16 to 256 MiB of each of 100 sites, and 1,024 MiB of each of eight: at most 5 % more."""
    runs = [*((SITES, size) for size in SIZES), (FEW, LARGEST)]
    # of the largest: every contribution, the sum, the model that is made of it
    require_disk(tmp_path, max((sites + 2) * (size << 20) for sites, size in runs))

    found = [await measured(tmp_path / f"{s}-{size}", s, size) for s, size in runs]

    smallest = found[0]
    assert max(each.coordinator for each in found) <= MOST_GROWTH * smallest.coordinator, found
    assert max(each.worker for each in found) <= MOST_GROWTH * smallest.worker, found
