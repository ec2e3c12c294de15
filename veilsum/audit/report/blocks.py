"""What a part of the report is laid out from: the page and the PDF draw the same blocks."""

from typing import TypeAlias

import msgspec


class Fact(msgspec.Struct, frozen=True):
    """A label and its value; `code` for digests and keys, which are compared letter by letter."""

    label: str
    value: str
    code: bool = False


class Facts(msgspec.Struct, frozen=True, tag="facts", tag_field="kind"):
    """Facts below each other."""

    rows: tuple[Fact, ...]


class Column(msgspec.Struct, frozen=True):
    """A column's title; numbers are set to the right, and `wide` ones take what is left."""

    title: str
    number: bool = False
    wide: bool = False


class Table(msgspec.Struct, frozen=True, tag="table", tag_field="kind"):
    """A table under its caption; the first cell of a row is its heading."""

    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]


class Words(msgspec.Struct, frozen=True, tag="words", tag_field="kind"):
    """A paragraph."""

    text: str


class Points(msgspec.Struct, frozen=True, tag="points", tag_field="kind"):
    """A list; each point has a name and what is to be said of it."""

    items: tuple[Fact, ...]


class Drawing(msgspec.Struct, frozen=True, tag="drawing", tag_field="kind"):
    """A drawing, and the same in words for whoever cannot see it."""

    caption: str
    words: str
    svg: str


class Absent(msgspec.Struct, frozen=True, tag="absent", tag_field="kind"):
    """Says plainly that the evidence does not say."""

    text: str


Block: TypeAlias = Facts | Table | Words | Points | Drawing | Absent


class Part(msgspec.Struct, frozen=True):
    """One of the ten parts of a report."""

    number: int
    title: str
    blocks: tuple[Block, ...]


class Layout(msgspec.Struct, frozen=True):
    """A report as it is drawn.

    Attributes:
        badge: the four-state verdict; `tone` is its name for a style sheet.
        claim: the one line to take away; `figures` are the numbers beside it.
        finger: SHA-256 of the report as JSON, so that paper and file can be matched.
    """

    title: str
    subtitle: str
    badge: str
    tone: str
    claim: str
    sentence: str
    figures: tuple[Fact, ...]
    parts: tuple[Part, ...]
    made: str
    finger: str
