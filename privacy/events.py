"""Privacy events: what was done to the data, as a tree that any accountant can read.

The classes have the names and the meaning of Google's `dp_accounting.DpEvent`; numbers are
decimal strings, so that a ledger, a plan and an auditor hold the same number, digit for digit.
"""

import re
from fractions import Fraction
from functools import lru_cache
from typing import Annotated, Any

import msgspec

from .canonical import builtins
from .errors import MalformedMessage, UnsafeParameters
from .learned import learned

# one spelling for each number, and \Z because $ also matches before a final line feed
_DECIMAL = r"^(0|[1-9][0-9]{0,9})(\.[0-9]{0,19}[1-9])?\Z"

DecimalText = Annotated[str, msgspec.Meta(pattern=_DECIMAL)]
"""A number of at least 0 in decimal: no sign, no exponent, no needless zero."""

PositiveDecimal = Annotated[str, msgspec.Meta(pattern=r"^(?!0\Z)" + _DECIMAL[1:])]
"""The same, and above 0."""

LARGEST_COUNT = 10**9
DEEPEST_TREE = 8


class Gaussian(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="class", tag=True
):
    """Gaussian noise on a sum of L2 sensitivity one: standard deviation `noise_multiplier`."""

    noise_multiplier: DecimalText

    def __post_init__(self) -> None:
        if not Fraction(1, 1000) <= exact(self.noise_multiplier) <= 10**9:
            raise UnsafeParameters(f"noise multiplier {self.noise_multiplier}: from 0.001 to 1e9")


class PoissonSampled(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="class", tag=True
):
    """`event` on a sample that each unit enters by itself with probability `q`."""

    q: DecimalText
    event: "DpEvent"

    def __post_init__(self) -> None:
        if not 0 < exact(self.q) <= 1:
            raise UnsafeParameters(f"sampling rate {self.q}: above 0, at most 1")


class SelfComposed(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="class", tag=True
):
    """`event`, `count` times."""

    count: int
    event: "DpEvent"

    def __post_init__(self) -> None:
        # True is an int in Python, and not a number of steps
        if type(self.count) is not int or not 1 <= self.count <= LARGEST_COUNT:
            raise UnsafeParameters(f"count {self.count}: an integer from 1 to {LARGEST_COUNT}")


class Composed(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="class", tag=True
):
    """All of `events`, on the same data."""

    events: tuple["DpEvent", ...]

    def __post_init__(self) -> None:
        if not self.events:
            raise UnsafeParameters("a composition of no events says nothing about what was done")


DpEvent = Gaussian | PoissonSampled | SelfComposed | Composed
"""One node of the tree."""


class Events(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One round's event, in both views.

    Attributes:
        sums: what it costs towards anybody who sees sums only.
        vector: what it costs towards the coalition that can open this one site's update.
    """

    sums: DpEvent
    vector: DpEvent


def exact(text: str) -> Fraction:
    """Return the number that `text` spells, without rounding.

    Raises:
        MalformedMessage: it is not a number in the one accepted spelling.
    """
    if not isinstance(text, str) or re.search(_DECIMAL, text) is None:
        raise MalformedMessage(f"{str(text)[:40]!r} is not a decimal such as '14.25'")
    return _fraction(text)


@lru_cache(maxsize=1024)
def _fraction(text: str) -> Fraction:
    # the rounds of a job spell the same few numbers again and again
    return Fraction(text)


def to_json(event: DpEvent) -> dict[str, Any]:
    """Return `event` as JSON types: an object with its "class", numbers as strings."""
    return builtins(event)


def from_json(document: object) -> DpEvent:
    """Return the event that `document` (JSON types) spells.

    Raises:
        MalformedMessage: an unknown class, a missing or additional field, a number that
            is not a string in the one accepted spelling, or a tree too deep.
        UnsafeParameters: a noise multiplier, rate or count that no mechanism can have.
    """
    _check_nesting(document)
    try:
        event: DpEvent = msgspec.convert(document, learned(DpEvent), strict=True)
    except msgspec.ValidationError as error:
        raise MalformedMessage(f"privacy event: {str(error)[:200]}") from None
    check_depth(event)
    return event


def _check_nesting(document: object) -> None:
    # Before anything recurses: where a library has raised the interpreter's limit, a document
    # that is deep enough ends the process, and not with an exception.
    level = [document]
    for _ in range(2 * DEEPEST_TREE + 2):  # an object and its list for each node
        level = [inner for each in level for inner in _inside(each)]
        if not level:
            return
    raise MalformedMessage(f"privacy event: deeper than {DEEPEST_TREE} levels")


def _inside(document: object) -> list[object]:
    if isinstance(document, dict):
        return list(document.values())
    return list(document) if isinstance(document, (list, tuple)) else []


def check_depth(event: DpEvent) -> None:
    """Return if the tree is shallow enough to be walked.

    Raises:
        MalformedMessage: it is deeper than any mechanism needs.
    """
    level: tuple[DpEvent, ...] = (event,)
    for _ in range(DEEPEST_TREE):
        level = tuple(child for node in level for child in children(node))
        if not level:
            return
    raise MalformedMessage(f"privacy event: deeper than {DEEPEST_TREE} levels")


def children(event: DpEvent) -> tuple[DpEvent, ...]:
    """Return the events directly below `event`."""
    match event:
        case Gaussian():
            return ()
        case PoissonSampled() | SelfComposed():
            return (event.event,)
        case Composed():
            return event.events
