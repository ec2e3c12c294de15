"""The people of docs/journeys at their machines: they type what stands there, and look.

Each place is a folder. A command is run by a shell in it, with a terminal to answer questions at;
the answer that a page shows is typed. What people tell each other, by letter or by phone, is a
link and four words.
"""

import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tomlkit

from tests.journeys.pages import LEFT_OUT, Act, Said, Step, Typed, Written
from tests.ports import own_port
from tests.source_tree import ROOT

SECONDS = 60.0
"""How long anything may take."""

SITES = ("hospital-a", "hospital-b", "hospital-c")
FIRST_SITE = SITES[0]
"""The hospital of the pages; the others read their own name in its place."""

LINK = re.compile(r"veilsum://\S+")
_INVITED = re.compile(r"coordinator invite (\S+)")
_SPOKEN = re.compile(r"by phone:\s+(.*)")
_HEARD = re.compile(r"four words from ([\w-]+)")
ANSWER = re.compile(r": (yes)$")
_MASKS = (
    (re.compile(r"#v1\.\S+"), "<secrets>"),
    (re.compile(r"[a-z]+( · [a-z]+)+"), "<words>"),
    (re.compile(r"(?<=words )\s*\S.*|(?<=by phone:).*"), "<words>"),
    (re.compile(r"([a-z]+ ){3}[a-z]+(?= +\d{4}-\d\d)"), "<words>"),
    (re.compile(r"\b[0-9a-f]{16,}\b"), "<digest>"),
    (re.compile(r"\d+(\.\d+)?"), "<number>"),
)


@dataclass
class Running:
    """A command, and the screen that it writes to."""

    command: str
    process: subprocess.Popen[bytes]
    screen: Path

    def said(self) -> str:
        """Return all that it has written."""
        return self.screen.read_text(errors="replace")

    def end(self, number: signal.Signals) -> int:
        """Send a signal to all of it, and return its status."""
        os.killpg(self.process.pid, number)
        return self.process.wait(SECONDS)


@dataclass
class People:
    """Everybody's folders, and what they hear from each other.

    Attributes:
        chosen: what stands in the pages, and what this reader chose in its place.
    """

    folder: Path
    chosen: Mapping[str, str]
    left_running: dict[str, Running] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    words: dict[str, str] = field(default_factory=dict)
    _started: list[Running] = field(default_factory=list)
    _terminals: list[int] = field(default_factory=list)

    def does(self, place: str, act: Act) -> None:
        """Do one act at a place, and compare what is seen with what is promised there."""
        (self.folder / place).mkdir(exist_ok=True)
        if isinstance(act, Written):
            self._write(place, act)
        elif isinstance(act, Typed):
            self._type(place, act)
        else:
            self._listen(place, act)

    def wait_for_all(self) -> dict[str, int]:
        """Return with which status each ended that was left running last at its place."""
        return {place: each.process.wait(SECONDS) for place, each in self.left_running.items()}

    def close(self) -> None:
        """End whatever still runs, and hang up."""
        for running in self._started:
            if running.process.poll() is None:
                running.end(signal.SIGKILL)
        for terminal in self._terminals:
            os.close(terminal)

    # -- typing ------------------------------------------------------------------------

    def _write(self, place: str, act: Written) -> None:
        path = self.folder / place / self._own(act.path, place)
        body = self._own(act.body, place)
        if act.settings:
            settings = tomlkit.parse(path.read_text())
            _set(settings, tomlkit.parse(body))
            body = tomlkit.dumps(settings)
        path.write_text(body)

    def _type(self, place: str, act: Typed) -> None:
        running = self._start(place, self._own(act.command, place), _answers(act))
        if act.stays:
            self.left_running[place] = running
        else:
            status = running.process.wait(SECONDS)
            assert status == 0, f"{running.command}: status {status}\n{running.said()}"
            self._post(running)
        self._look(place, running, act, whole=not act.stays)

    def _listen(self, place: str, act: Said) -> None:
        running = self.left_running[place]
        if act.stopped:
            running.end(signal.SIGINT)  # as a terminal does at Ctrl-C, to all that it started
        self._look(place, running, act, whole=False)

    def _start(self, place: str, command: str, answers: str) -> Running:
        screen = self.folder / f"{len(self._started):03d}-{place}.screen"
        person, terminal = pty.openpty()
        self._terminals += [person, terminal]
        os.write(person, answers.encode())
        with screen.open("wb") as file:
            process = subprocess.Popen(
                ["/bin/bash", "-c", command],
                cwd=self.folder / place,
                stdin=terminal,
                stdout=file,
                stderr=subprocess.STDOUT,
                env=os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
                start_new_session=True,
            )
        self._started.append(Running(command, process, screen))
        return self._started[-1]

    def _own(self, text: str, place: str) -> str:
        """Return what this reader writes where the page has something to choose, or to hear."""
        lines = (_named(line, place) for line in text.splitlines(keepends=True))
        text = _HEARD.sub(lambda found: self.words[found[1]], "".join(lines))
        text = text.replace("LINK", self.links.get(place, "LINK"))
        for name, value in self.chosen.items():
            text = text.replace(name, value)
        return text

    def _post(self, running: Running) -> None:
        """Send a link to whom it is for."""
        invited, link = _INVITED.search(running.command), LINK.search(running.said())
        if invited and link:
            self.links[invited[1]] = link[0]

    # -- looking -----------------------------------------------------------------------

    def _look(self, place: str, running: Running, act: Typed | Said, *, whole: bool) -> None:
        """Compare a screen with the page; what is left running is waited for."""
        deadline = time.monotonic() + SECONDS
        while True:
            ended = running.process.poll() is not None or time.monotonic() > deadline
            seen = self._seen(running, place)
            if self.compare(act, seen, whole=whole, place=place):
                break
            assert not ended, "\n".join([running.command, *act.shown, "-- but seen is:", *seen])
            time.sleep(0.05)
        if spoken := _SPOKEN.search(running.said()):
            self.words[place] = " ".join(spoken[1].replace("·", " ").split())

    def compare(self, act: Typed | Said, seen: Sequence[str], *, whole: bool, place: str) -> bool:
        """Return whether a screen shows what the page promises."""
        # what is typed is echoed by the terminal, and does not stand on the screen
        promised = [ANSWER.sub(":", line) for line in _alike(act.shown, place)]
        return holds(promised, seen, whole=whole)

    def _seen(self, running: Running, place: str) -> list[str]:
        """Return a screen with the page's words in the place of this reader's own."""
        said = running.said().replace(str(self.folder), "/home")
        for name, value in self.chosen.items():
            said = said.replace(value, name)
        return _alike(said.splitlines(), place)


def places(step: Step) -> Sequence[str]:
    """Return where a step is done, one place after the other."""
    return SITES if step.where == "each hospital" else (step.where,)


def chosen() -> dict[str, str]:
    """Return what a reader on one machine chooses where the first page leaves the choice."""
    port = _two_ports()
    return {
        "veilsum.example.org:8443": f"localhost:{port}",
        "veilsum.example.org:8444": f"localhost:{port + 1}",
        "veilsum.example.org": "localhost",
        "192.0.2.10": "127.0.0.1",
        "/usr/src/veilsum": str(ROOT),
    }


def _two_ports() -> int:
    """Return a free port whose next one is free, too: `init` takes that one for joining."""
    ports = [own_port()]
    while ports[-1] - 1 not in ports:
        ports.append(own_port())
    return ports[-1] - 1


def holds(promised: Sequence[str], seen: Sequence[str], *, whole: bool) -> bool:
    """Return whether a screen shows what is promised, numbers, digests and words aside.

    Args:
        whole: nothing else may be on it but what the page leaves out with `…`.
    """
    parts = map(re.escape, _flat(promised).split(LEFT_OUT))
    pattern = re.compile(".*?".join(parts))
    found = pattern.fullmatch(_flat(seen)) if whole else pattern.search(_flat(seen))
    return found is not None


def _flat(lines: Sequence[str]) -> str:
    """Return a screen as one line: where it is wrapped depends on how long names are."""
    masked = []
    for line in lines:
        for pattern, instead in _MASKS:
            line = pattern.sub(instead, line)  # noqa: PLW2901 - one mask after the other
        masked.append(line)
    return " ".join(" ".join(masked).split())


def _answers(act: Typed) -> str:
    """Return what the page shows a person to answer."""
    return "".join(f"{found[1]}\n" for found in map(ANSWER.search, act.shown) if found)


def _named(line: str, place: str) -> str:
    """Return a line with a hospital's own name in it, unless it lists them all."""
    if not place.startswith("hospital-") or "hospital-b" in line:
        return line
    return line.replace(FIRST_SITE, place).replace("Hospital A", place.title().replace("-", " "))


def _alike(lines: Sequence[str], place: str) -> list[str]:
    """Return what another hospital sees in the words of the first."""
    if not place.startswith("hospital-") or place == FIRST_SITE:
        return list(lines)
    alike = (re.sub(r"hospital-\w\b", FIRST_SITE, line) for line in lines)
    return [re.sub(r"Hospital \w\b", "Hospital A", line) for line in alike]


def _set(settings: Any, wanted: Any) -> None:
    """Set each of the settings that a page names, and leave the others as they are."""
    for name, value in wanted.items():
        if isinstance(value, dict) and name in settings:
            _set(settings[name], value)
        else:
            settings[name] = value
