"""How every process of Veilsum starts and ends: its log, its failpoints, its exit status."""

import atexit
import ctypes
import json
import logging
import os
import resource
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TextIO, cast

from privacy.errors import (
    ConfigError,
    InvariantBroken,
    PrivacyError,
    ProtocolError,
    Unavailable,
    VeilsumError,
)

if TYPE_CHECKING:
    from privacy.failpoints import Failpoints

AGAIN = "you: mend it, and run the command again"
"""Who acts on what may pass, where a command has ended."""

_ARENA_MAX, _MMAP_THRESHOLD = -8, -3
"""glibc's numbers of the options; other libraries have none, and ignore them."""

_ARENAS = 2
_LARGE_BYTES = 32 << 10

EXIT_CODES: dict[type[VeilsumError], int] = {
    ConfigError: 2,
    ProtocolError: 3,
    PrivacyError: 4,
    Unavailable: 5,
    InvariantBroken: 70,
    VeilsumError: 1,
}
"""The exit status of a command that ends with an error of each family."""


def silence_grpc() -> None:
    """Keep gRPC's library from writing lines of its own among ours; it asks once, when loaded.

    It writes one for whoever knocks and shakes no hands. What an operator has set stays.
    """
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")


def start_log() -> None:
    """Write events to stderr, for people or as JSON lines; leave no core files; bound memory."""
    import structlog  # noqa: PLC0415 - it takes longer to load than a page of help to print

    from .progress import LogBars  # noqa: PLC0415 - likewise

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # one would hold keys
    _keep_few_arenas()
    people = sys.stderr.isatty()
    renderer: structlog.typing.Processor = structlog.processors.JSONRenderer()
    shown: list[structlog.typing.Processor] = []
    out: TextIO = sys.stderr
    if people:
        bars = LogBars(sys.stderr)
        atexit.register(bars.end)
        renderer, shown, out = structlog.dev.ConsoleRenderer(), [bars], cast("TextIO", bars)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            # Without the variables of each frame: some of them are keys and weights.
            structlog.processors.ExceptionRenderer(
                structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
            ),
            *shown,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(out),
    )


def _keep_few_arenas() -> None:
    # Each of glibc's arenas keeps what chunks once took; it would make one for every thread.
    _tell_allocator(_ARENA_MAX, _ARENAS)


def give_memory_back() -> None:
    """Let parts of chunks go back to the system when they are freed, so that they leave no holes.

    Unasked, glibc keeps whatever is no larger than the largest it has seen freed. For a process
    that carries messages; one that computes would wait for the system at each large array.
    """
    _tell_allocator(_MMAP_THRESHOLD, _LARGE_BYTES)


def _tell_allocator(option: int, value: int) -> None:
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(option, value)


def failpoints() -> "Failpoints":
    """Return the failpoints this process was started with, and say so in its log.

    Raises:
        ConfigError: the variable is not of its form.
    """
    from privacy.failpoints import VARIABLE, parse  # noqa: PLC0415 - as structlog above

    wanted = parse(os.environ.get(VARIABLE, ""), {"kill": _kill, "pause": _pause, "stop": _stop})
    for name, count in wanted.wanted:
        _log().warning("failpoint_set", name=name, count=count)
    return wanted


@contextmanager
def exit_status(*, as_json: bool = False, status: int | None = None) -> Iterator[None]:
    """Turn an error into a line that says who must act, and the exit status of its family.

    Args:
        as_json: print one JSON object on stdout instead.
        status: end with this one, whatever the family.
    """
    try:
        yield
    except VeilsumError as error:
        write_error(error.code, str(error), who_acts=_who_acts(error), as_json=as_json)
        raise SystemExit(status_of(error) if status is None else status) from None


def _who_acts(error: VeilsumError) -> str:
    # Whatever is retried is retried by a process that goes on, and this one has ended.
    return AGAIN if error.who_acts == Unavailable.who_acts else error.who_acts


def write_error(code: str, message: str, *, who_acts: str = "", as_json: bool) -> None:
    """Write what is wrong, who must act and what to do: two lines on stderr, or one object."""
    from .catalogue import entry_of  # noqa: PLC0415 - a command that ends well has no use
    from .screen import on_screen  # noqa: PLC0415 - likewise

    entry = entry_of(code)
    who_acts = who_acts or entry.who_acts
    if not as_json:
        said = on_screen(message)  # a peer may have said it
        sys.stderr.write(f"veilsum: {said}\n  {code}; who must act: {who_acts}\n")
        return
    found = {"code": code, "who_acts": who_acts, "message": message, "fix": entry.fix}
    sys.stdout.write(json.dumps(found, ensure_ascii=False) + "\n")


def status_of(error: VeilsumError) -> int:
    """Return the exit status for an error."""
    return next(EXIT_CODES[kind] for kind in type(error).__mro__ if kind in EXIT_CODES)


@contextmanager
def stopped_by_sigterm() -> Iterator[None]:
    """Let SIGTERM end this block as an exit does: what it holds is given back on the way out."""

    def stop(number: int, _: object) -> None:
        # Once: a second one would cut short what gives back.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _kill(where: str) -> None:
    _log().warning("failpoint", where=where, action="kill")
    os.kill(os.getpid(), signal.SIGKILL)


def _stop(where: str) -> None:
    _log().warning("failpoint", where=where, action="stop")
    os.kill(os.getpid(), signal.SIGSTOP)  # every thread of it, until SIGCONT


def _pause(where: str) -> None:
    _log().warning("failpoint", where=where, action="pause")
    threading.Event().wait()


def _log() -> Any:  # noqa: ANN401 - as structlog types it
    import structlog  # noqa: PLC0415 - as above

    return structlog.get_logger()
