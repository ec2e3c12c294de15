"""How far a long piece of work is: said every few seconds."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import msgspec
import structlog

log = structlog.get_logger()

SAY_EVERY_SECONDS = 5.0
_MIB = float(1 << 20)


class Progress(msgspec.Struct, frozen=True, tag=True):
    """How many chunks are done, of how many, how fast, and what is left at that rate."""

    chunks: int
    of: int
    mib_per_second: float
    seconds_left: float


Say = Callable[[Progress], None]


def say_nothing(progress: Progress) -> None:
    """Take note of no progress."""


def say_in_log(event: str, number: int) -> Say:
    """Return what notes progress in a round as an event of the log."""

    def say(progress: Progress) -> None:
        log.info(event, round=number, **msgspec.structs.asdict(progress))

    return say


@dataclass
class Pace:
    """Counts the chunks of one piece of work; `done` of them were there when it began."""

    of: int
    say: Say
    done: int = 0
    clock: Callable[[], float] = time.monotonic

    def __post_init__(self) -> None:
        self._from, self._bytes = self.done, 0
        self._began = self._said = self.clock()
        self._spoke = False

    def step(self, length: int) -> None:
        """Count one chunk of `length` bytes, and say so if it is time to."""
        self.done += 1
        self._bytes += length
        now = self.clock()
        # Work that is over before there was anything to say needs no words; what was spoken of
        # says that it is over.
        if now - self._said >= SAY_EVERY_SECONDS or (self._spoke and self.done == self.of):
            self._said, self._spoke = now, True
            self.say(self._progress(now - self._began))

    def _progress(self, seconds: float) -> Progress:
        left = (self.of - self.done) * seconds / (self.done - self._from)
        return Progress(
            chunks=self.done,
            of=self.of,
            mib_per_second=round(self._bytes / _MIB / seconds, 1),
            seconds_left=round(left, 1),
        )
