"""What the pages of docs/journeys tell people to type, and what they are promised to see.

A heading `## 4. Invite` is a step; the table of the page `README.md` says whose it is, and where.
In a step count, from above:

- a block `console`: after `$ ` what is typed, below it what is seen; `console stays` is left
  running;
- a block `text`: what the command that was left running says since; after `^C`, as it is stopped;
- a block below a line that ends in ``Write `FILE`:`` is that file, in ``Set in `FILE`:`` settings.

`…` stands for what is left out, alone on a line or within one.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from tests.source_tree import ROOT

FOLDER = ROOT / "docs" / "journeys"
LEFT_OUT = "…"
STOP = "^C"

_HEADING = re.compile(r"^## (\d+)\. ", re.MULTILINE)
_ROW = re.compile(r"^\| (\d+) \| \[.*?\]\(([\w-]+\.md)\) \| (.*?) \|", re.MULTILINE)
_CHOICE = re.compile(r"^\| `([^`]+)` \|", re.MULTILINE)
_BLOCK = re.compile(
    r"(?:^([^\n]*)\n\n?)?^```(\w+)(?: (\w+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL
)
_FILE = re.compile(r"(Write|Set in) `([^`]+)`:$")


@dataclass(frozen=True)
class Typed:
    """One command as it is typed, with what its page shows below it."""

    command: str
    shown: tuple[str, ...]
    stays: bool


@dataclass(frozen=True)
class Said:
    """What a command that was left running says meanwhile, or as it is stopped."""

    shown: tuple[str, ...]
    stopped: bool


@dataclass(frozen=True)
class Written:
    """A file that is written, or whose settings are set."""

    path: str
    body: str
    settings: bool


Act = Typed | Said | Written


@dataclass(frozen=True)
class Step:
    """One step: its number, its page, where it is done, and what is done."""

    number: int
    page: str
    where: str
    acts: tuple[Act, ...]


def steps() -> list[Step]:
    """Return the steps of all pages, in the order of the table."""
    table = (FOLDER / "README.md").read_text()
    return [
        Step(int(number), page, where, tuple(_acts(_section(page, number))))
        for number, page, where in _ROW.findall(table)
    ]


def choices() -> set[str]:
    """Return what the first page marks as the reader's own to choose."""
    text = (FOLDER / "README.md").read_text()
    return set(_CHOICE.findall(text.partition("## Yours to choose")[2]))


def numbered() -> list[int]:
    """Return the numbers of the headings of all pages, in order."""
    pages = FOLDER.glob("*.md")
    return sorted(int(number) for page in pages for number in _HEADING.findall(page.read_text()))


def _section(page: str, number: str) -> str:
    """Return the text below a step's heading."""
    text = (FOLDER / page).read_text()
    start = re.search(rf"^## {number}\. .*$", text, re.MULTILINE)
    assert start is not None, f"{page} has no step {number}"
    return text[start.end() :].partition("\n## ")[0]


def _acts(text: str) -> Iterator[Act]:
    for before, kind, word, body in _BLOCK.findall(text):
        named = _FILE.search(before)
        if named is not None:
            yield Written(named[2], body, settings=named[1] == "Set in")
        elif kind == "console":
            yield from _typed(body, stays=word == "stays")
        elif kind == "text":
            lines = tuple(body.splitlines())
            stopped = lines[:1] == (STOP,)
            yield Said(lines[stopped:], stopped)
        else:
            raise AssertionError(f"nobody says what this is for:\n{body}")


def _typed(body: str, *, stays: bool) -> Iterator[Typed]:
    for part in re.split(r"^\$ ", body, flags=re.MULTILINE)[1:]:
        command, shown = _command(part)
        yield Typed(command, tuple(shown.splitlines()), stays)


def _command(part: str) -> tuple[str, str]:
    """Split at the end of a command, which a backslash moves to a later line."""
    ends = re.search(r"(?<!\\)\n", part)
    assert ends is not None
    return part[: ends.start()], part[ends.end() :]
