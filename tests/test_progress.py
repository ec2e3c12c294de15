"""Long work shows how far it is: bars on a terminal, plain lines elsewhere."""

import io

import pytest
import structlog

from veilsum.progress import FORGET_SECONDS, SAY_EVERY_SECONDS, LogBars, in_words, meter

MIB = 1 << 20

PROGRESS = {"chunks": 5, "of": 40, "mib_per_second": 1.5, "seconds_left": 35.0}


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """A terminal that takes escape codes, whatever runs these tests."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    return Terminal()


def test_where_there_is_no_terminal_progress_is_plain_lines() -> None:
    """With the rate and the time that is left; a file has no use for what moves a cursor."""
    clock, out = Clock(), io.StringIO()

    with meter("backing up", "objects", out, clock) as watcher:
        watcher.total(40)
        for _ in range(11):
            clock.now += 1
            watcher.step(MIB)

    assert out.getvalue().splitlines() == [
        "backing up: 5 of 40 objects, 1.0 MiB/s, 35 s left",
        "backing up: 10 of 40 objects, 1.0 MiB/s, 30 s left",
    ]


def test_what_is_done_at_once_says_nothing() -> None:
    clock, out = Clock(), io.StringIO()

    with meter("backing up", "objects", out, clock) as watcher:
        watcher.total(2)
        clock.now += SAY_EVERY_SECONDS - 1
        watcher.step(MIB)

    assert out.getvalue() == ""


def test_on_a_terminal_progress_is_a_bar(terminal: Terminal) -> None:
    """And lines that are said meanwhile stand above it."""
    with meter("auditing", "audits", terminal) as watcher:
        watcher.total(4)
        watcher.step()
        watcher.say("the first one has [passed]")

    shown = terminal.getvalue()
    assert "auditing" in shown
    assert "1/4" in shown
    assert "the first one has [passed]" in shown


def test_an_event_of_progress_becomes_a_bar_and_every_other_stays_a_line(
    terminal: Terminal,
) -> None:
    """An agent's upload says in its log how far it is; a person would count lines."""
    bars = LogBars(terminal, Clock())

    with pytest.raises(structlog.DropEvent):
        bars(None, "info", {"event": "sending", "round": 3, **PROGRESS})
    kept = bars(None, "info", {"event": "contribution_sent", "round": 3})
    print("a line", file=bars)  # type: ignore[call-overload]
    bars.end()

    assert kept == {"event": "contribution_sent", "round": 3}
    assert "sending, round 3" in terminal.getvalue()
    assert "5/40" in terminal.getvalue()
    assert "1.5 MiB/s" in terminal.getvalue()
    assert "a line\n" in terminal.getvalue()


@pytest.mark.parametrize("end", ["complete", "cut off", "stopped"])
def test_a_bar_goes_when_its_work_does(terminal: Terminal, end: str) -> None:
    """Also where it was cut off, and nobody says so; the cursor that it hid comes back."""
    clock = Clock()
    bars = LogBars(terminal, clock)
    with pytest.raises(structlog.DropEvent):
        bars(None, "info", {"event": "sending", "round": 3, **PROGRESS})

    if end == "complete":
        with pytest.raises(structlog.DropEvent):
            bars(None, "info", {"event": "sending", "round": 3, **PROGRESS, "chunks": 40})
    elif end == "cut off":
        clock.now += FORGET_SECONDS + 1
        bars(None, "info", {"event": "declined"})
    else:
        bars.end()
    before = len(terminal.getvalue())
    bars.write("a line\n")

    assert terminal.getvalue()[before:] == "a line\n"
    assert terminal.getvalue().rpartition("\x1b[?25")[2].startswith("h")


@pytest.mark.parametrize(
    ("seconds", "words"), [(3.4, "3 s"), (89, "89 s"), (150, "2 min"), (9000, "2.5 h")]
)
def test_a_time_is_said_in_the_unit_that_people_would_use(seconds: float, words: str) -> None:
    assert in_words(seconds) == words
