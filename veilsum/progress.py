"""How far a long command is: a bar on a terminal, plain lines elsewhere; always on stderr."""

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, Protocol, TextIO

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

SAY_EVERY_SECONDS: Final = 5.0

FORGET_SECONDS: Final = 30.0

_MIB: Final = float(1 << 20)

_PROGRESS: Final = frozenset({"chunks", "of", "mib_per_second", "seconds_left"})


class Meter(Protocol):
    """Is told how much of one piece of work is done."""

    def total(self, of: int) -> None:
        """Take note of how much there is to do."""

    def step(self, length: int = 0) -> None:
        """Count one of them, of so many bytes."""

    def say(self, words: str) -> None:
        """Show a line of its own, above what changes."""


class _Silent:
    def total(self, of: int) -> None:
        pass

    def step(self, length: int = 0) -> None:
        pass

    def say(self, words: str) -> None:
        pass


SILENT: Final[Meter] = _Silent()
"""For a caller that nobody watches."""


@contextmanager
def meter(
    what: str,
    unit: str,
    out: TextIO | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Meter]:
    """Give what shows the progress of a block: `backing up`, `objects`.

    Args:
        out: stderr by default. What is no terminal gets whole lines, without escape codes, at
            most every `SAY_EVERY_SECONDS`.
    """
    out = out or sys.stderr
    if not out.isatty():
        yield Lines(what, unit, out, clock)
        return
    with bars(out) as shown:
        yield Bar(what, unit, shown)


class Lines:
    """Progress for a file or a pipe."""

    def __init__(self, what: str, unit: str, out: TextIO, clock: Callable[[], float]) -> None:
        self._what, self._unit, self._out, self._clock = what, unit, out, clock
        self._of = self._done = self._bytes = 0
        self._began = self._said = clock()

    def total(self, of: int) -> None:
        """Take note of how much there is to do."""
        self._of = of

    def step(self, length: int = 0) -> None:
        """Count one; say so if there was nothing to read for long."""
        self._done += 1
        self._bytes += length
        now = self._clock()
        if now - self._said >= SAY_EVERY_SECONDS:
            self._said = now
            self.say(self._words(now - self._began))

    def say(self, words: str) -> None:
        """Write a line."""
        self._out.write(f"{words}\n")
        self._out.flush()

    def _words(self, seconds: float) -> str:
        words = f"{self._what}: {self._done} of {self._of} {self._unit}"
        if self._bytes:
            words += f", {self._bytes / _MIB / seconds:.1f} MiB/s"
        left = (self._of - self._done) * seconds / self._done
        return f"{words}, {in_words(left)} left"


class Bar:
    """Progress for a person at a terminal."""

    def __init__(self, what: str, unit: str, shown: "Progress") -> None:
        self._unit, self._shown = unit, shown
        self._task = shown.add_task(what, total=None, rate="")
        self._bytes = 0

    def total(self, of: int) -> None:
        """Take note of how much there is to do."""
        self._shown.update(self._task, total=of)

    def step(self, length: int = 0) -> None:
        """Count one."""
        self._bytes += length
        self._shown.update(self._task, advance=1, rate=self._rate())

    def say(self, words: str) -> None:
        """Show a line above the bar."""
        self._shown.console.print(words, markup=False, highlight=False)

    def _rate(self) -> str:
        seconds = self._shown.tasks[0].elapsed or 0.0
        if not (self._bytes and seconds):
            return self._unit
        return f"{self._unit}, {self._bytes / _MIB / seconds:.1f} MiB/s"


class LogBars:
    """Shows the log on a terminal, and what in it is progress as bars below it.

    An event is progress if it has what participant/pace.py says of a piece of work. In a file or
    a pipe the same events are lines like all others.
    """

    def __init__(self, out: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._out, self._clock = out, clock
        self._shown: Progress | None = None
        self._tasks: dict[tuple[str, object], tuple[TaskID, float]] = {}

    def __call__(self, _: object, __: str, event: Any) -> Any:  # noqa: ANN401 - as structlog types it
        """Keep an event of progress for a bar; return any other."""
        self._forget()
        if not event.keys() >= _PROGRESS:
            return event
        import structlog  # noqa: PLC0415 - who calls this has it

        self._show(event)
        raise structlog.DropEvent

    def write(self, text: str) -> None:
        """Write a part of the log, above the bars if there are any."""
        if self._shown is None:
            self._out.write(text)
        elif text.strip():  # a line's end comes by itself, and the console writes one anyway
            from rich.text import Text  # noqa: PLC0415 - the bars have it

            self._shown.console.print(Text.from_ansi(text))

    def flush(self) -> None:
        """Flush what was written."""
        self._out.flush()

    def end(self) -> None:
        """Take the bars away: a terminal gets its cursor back."""
        if self._shown is not None:
            self._shown.stop()
        self._shown = None
        self._tasks.clear()

    def _show(self, event: Mapping[str, Any]) -> None:
        if self._shown is None:
            self._shown = bars(self._out)
            self._shown.start()
        key = (event["event"], event.get("round"))
        what = f"{str(key[0]).replace('_', ' ')}, round {key[1]}" if key[1] else str(key[0])
        if key not in self._tasks:
            task = self._shown.add_task(what, total=event["of"], rate="")
        else:
            task, _ = self._tasks[key]
        self._tasks[key] = task, self._clock()
        self._shown.update(
            task, completed=event["chunks"], rate=f"chunks, {event['mib_per_second']} MiB/s"
        )
        if event["chunks"] >= event["of"]:
            self._drop(key)

    def _forget(self) -> None:
        """Take away bars of work that was cut off and has not gone on."""
        now = self._clock()
        for key, (_, last) in list(self._tasks.items()):
            if now - last > FORGET_SECONDS:
                self._drop(key)

    def _drop(self, key: tuple[str, object]) -> None:
        task, _ = self._tasks.pop(key)
        if self._shown is not None:
            self._shown.remove_task(task)
        if not self._tasks:
            self.end()


def bars(out: TextIO) -> "Progress":
    """Return what shows bars on a terminal: what, how much, how fast, how long still."""
    from rich.console import Console  # noqa: PLC0415 - only who waits needs it
    from rich.progress import (  # noqa: PLC0415
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns: tuple[Any, ...] = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        TextColumn("left"),
    )
    return Progress(*columns, console=Console(file=out), transient=True)


def in_words(seconds: float) -> str:
    """Return a time for people: `42 s`, `12 min`, `3.5 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
