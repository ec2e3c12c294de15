"""Numbers that a process keeps of itself. Writing one costs a lock; nothing here is a library.

What counts is written at the edges, where it happens; what simply is, is read when somebody
fetches it. Without an address nobody does.
"""

import threading
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from .catalogue import Kind, Metric

Sample = tuple[Metric, tuple[str, ...], float]
"""A metric, the values of its labels in order, and its number."""

Read = Callable[[], Iterable[Sample]]

MOST_SERIES = 4096
"""Sets of labels of one metric; more of them are counted together, as `other`."""


@dataclass(frozen=True, slots=True)
class Distribution:
    """A histogram: how many were at most each bucket's bound, all of them, and their sum."""

    counts: tuple[int, ...]
    sum: float

    def with_one(self, metric: Metric, value: float) -> "Distribution":
        """Return it with one value more."""
        at = bisect_left(metric.buckets, value)
        counts = tuple(count + (place == at) for place, count in enumerate(self.counts))
        return Distribution(counts, self.sum + value)


class Book:
    """Counts and measurements of one process; safe to write from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[Metric, dict[tuple[str, ...], float]] = {}
        self._distributions: dict[Metric, dict[tuple[str, ...], Distribution]] = {}
        self._read: list[Read] = []

    def add(self, metric: Metric, amount: float = 1.0, *labels: str) -> None:
        """Count more of something."""
        assert metric.kind is Kind.COUNTER  # a gauge is read, not counted
        with self._lock:
            of = self._counts.setdefault(metric, {})
            named = _within(of, labels)
            of[named] = of.get(named, 0.0) + amount

    def observe(self, metric: Metric, value: float, *labels: str) -> None:
        """Note one measurement."""
        with self._lock:
            of = self._distributions.setdefault(metric, {})
            named = _within(of, labels)
            before = of.get(named, Distribution((0,) * (len(metric.buckets) + 1), 0.0))
            of[named] = before.with_one(metric, value)

    def watch(self, read: Read) -> None:
        """Let `read` be called whenever somebody fetches; what it raises leaves it out."""
        with self._lock:
            self._read.append(read)

    def forget(self, read: Read) -> None:
        """Call it no more: what it reads from is gone."""
        with self._lock:
            self._read = [each for each in self._read if each != read]

    def samples(self) -> Iterator[Sample]:
        """Yield all numbers that are not distributions."""
        with self._lock:
            counts = [(m, dict(of)) for m, of in self._counts.items()]
            reads = list(self._read)
        for metric, of in counts:
            yield from ((metric, labels, value) for labels, value in of.items())
        for read in reads:
            yield from _read(read)

    def distributions(self) -> Iterator[tuple[Metric, tuple[str, ...], Distribution]]:
        """Yield all distributions."""
        with self._lock:
            found = [(m, dict(of)) for m, of in self._distributions.items()]
        for metric, of in found:
            yield from ((metric, labels, each) for labels, each in of.items())


def _within(
    of: "dict[tuple[str, ...], float] | dict[tuple[str, ...], Distribution]",
    labels: tuple[str, ...],
) -> tuple[str, ...]:
    full = len(of) >= MOST_SERIES and labels not in of
    return tuple("other" for _ in labels) if full else labels


def _read(read: Read) -> list[Sample]:
    try:
        return list(read())
    except Exception:
        # A database that is away must not take all other numbers with it.
        return []
