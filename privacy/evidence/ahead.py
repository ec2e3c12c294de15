"""Many checks at once, on several cores, and their findings in order.

What takes the time is Ed25519, and OpenSSL checks a signature without the interpreter's lock: so
threads do, and nothing is copied to other processes.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from types import TracebackType
from typing import Final, Self

from .finding import Check, Finding

_THREADS: Final = 3
"""More of them wait for the interpreter between two signatures, and gain nothing; measured."""

_TOGETHER: Final = 32
"""Checks handed to a thread at a time: about 4 ms, so that handing over costs little."""


class Ahead:
    """Runs checks before they are asked about; at its end those that nobody asked about are left.

    The order of findings is that of the checks, however many threads there are.
    """

    def __init__(self, threads: int = _THREADS) -> None:
        self._pool = ThreadPoolExecutor(threads)

    def __enter__(self) -> Self:
        """Start no thread yet; the first checks do."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave what has not begun."""
        self._pool.shutdown(cancel_futures=True)

    def run(self, checks: Sequence[Check]) -> Iterator[tuple[Finding, ...]]:
        """Begin at once, and return what each of `checks` found, in their order."""
        starts = range(0, len(checks), _TOGETHER)
        some = [checks[start : start + _TOGETHER] for start in starts]
        return chain.from_iterable(self._pool.map(_findings, some))


def _findings(checks: Sequence[Check]) -> list[tuple[Finding, ...]]:
    return [tuple(each.findings()) for each in checks]
