"""The three stages of a protected sum, each timed as it runs: protect, fold, open.

A stage holds one role and one chunk at a time; what it makes lies in a folder, where the next
stage finds it. Making the values, reading and writing are not counted. Figures are medians
over chunks, in microseconds per parameter.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean, median
from time import perf_counter

import numpy as np

from privacy.errors import SumOffGrid
from privacy.schemes.base import Combiner, Protector, Revealer

from .workload import Workload

_MICROSECONDS = 1e6


@dataclass(frozen=True, slots=True)
class Roles:
    """How each process makes its own role, and nobody else's."""

    protector: Callable[[], Protector] = field(repr=False)
    combiner: Callable[[], Combiner] = field(repr=False)
    revealer: Callable[[], Revealer] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Protected:
    """Bytes of one contribution for each parameter, and the time to make them."""

    bytes_per_parameter: float
    us_per_parameter: float


@dataclass(frozen=True, slots=True)
class Folded:
    """Bytes of the sum for each parameter, and the time its making took.

    Attributes:
        us_per_parameter: to read one contribution's form and add it to the sum.
        hash_us_per_parameter: to check one contribution as it comes in, and hash it.
        finish_us_per_parameter: to write the sum's form, once for all contributions.
    """

    bytes_per_parameter: float
    us_per_parameter: float
    hash_us_per_parameter: float
    finish_us_per_parameter: float


def protect(make: Callable[[], Protector], workload: Workload, folder: Path) -> Protected:
    """Protect every distinct vector into `folder`, as each site does with its own."""
    protector, geometry = make(), workload.geometry
    length, times = 0, []
    for vector in range(workload.distinct):
        for chunk in range(geometry.chunks):
            values = workload.values(vector, chunk)
            start = perf_counter()
            payload = protector.protect(chunk, values)
            times.append((perf_counter() - start) / values.size)
            _contribution(folder, vector, chunk).write_bytes(payload)
            length += len(payload)
    return Protected(length / workload.distinct / geometry.dimension, median(times) * _MICROSECONDS)


def fold(make: Callable[[], Combiner], workload: Workload, folder: Path) -> Folded:
    """Add all contributions in `folder`, chunk by chunk, one contribution at a time."""
    combiner, geometry = make(), workload.geometry
    length, adding, hashing, finishing = 0, [], [], []
    for chunk in range(geometry.chunks):
        size = geometry.values_in(chunk)
        hashing.append(_check(combiner, chunk, folder) / size)
        laps = _Laps(_contributions(workload, chunk, folder))
        total = combiner.combine(chunk, laps)
        finishing.append((perf_counter() - laps.ended) / size)
        # The first contribution is only read, there is nothing yet to add it to.
        adding.append(fmean(laps.seconds[1:] or laps.seconds) / size)
        _sum(folder, chunk).write_bytes(total)
        length += len(total)
    return Folded(
        length / geometry.dimension,
        median(adding) * _MICROSECONDS,
        median(hashing) * _MICROSECONDS,
        median(finishing) * _MICROSECONDS,
    )


def open_sum(make: Callable[[], Revealer], workload: Workload, folder: Path) -> float:
    """Open the sum in `folder` into `folder`, and return the time it took per parameter.

    A chunk that does not open leaves nothing behind, so `is_exact` misses it.
    """
    revealer, geometry = make(), workload.geometry
    times = []
    for chunk in range(geometry.chunks):
        total = _sum(folder, chunk).read_bytes()
        start = perf_counter()
        try:
            opened = revealer.reveal(chunk, total, workload.participants)
        except SumOffGrid:
            continue
        finally:
            times.append((perf_counter() - start) / geometry.values_in(chunk))
        _opened(folder, chunk).write_bytes(opened.astype("<i8").tobytes())
    return median(times) * _MICROSECONDS


def is_exact(workload: Workload, folder: Path) -> bool:
    """True if every chunk in `folder` opened to the plaintext sum, to the last bit."""
    return all(
        _opened(folder, chunk).exists()
        and np.array_equal(np.fromfile(_opened(folder, chunk), "<i8"), workload.total(chunk))
        for chunk in range(workload.geometry.chunks)
    )


class _Laps:
    """Hands out payloads, and notes how long the taker kept each before it asked again."""

    def __init__(self, payloads: Iterator[bytes]) -> None:
        self._payloads = payloads
        self.seconds: list[float] = []
        self.ended = 0.0

    def __iter__(self) -> Iterator[bytes]:
        for payload in self._payloads:
            start = perf_counter()
            yield payload
            self.seconds.append(perf_counter() - start)
        self.ended = perf_counter()


def _check(combiner: Combiner, chunk: int, folder: Path) -> float:
    payload = _contribution(folder, 0, chunk).read_bytes()
    start = perf_counter()
    combiner.check(chunk, payload)
    return perf_counter() - start


def _contributions(workload: Workload, chunk: int, folder: Path) -> Iterator[bytes]:
    for participant in range(workload.participants):
        yield _contribution(folder, participant % workload.distinct, chunk).read_bytes()


def _contribution(folder: Path, vector: int, chunk: int) -> Path:
    return folder / f"contribution-{vector}-{chunk}"


def _sum(folder: Path, chunk: int) -> Path:
    return folder / f"sum-{chunk}"


def _opened(folder: Path, chunk: int) -> Path:
    return folder / f"opened-{chunk}"
