"""Values as canonical JSON (RFC 8785) and back, one byte string for each value."""

import re
from typing import Any, Final, TypeVar

import msgspec
import rfc8785

from .errors import MalformedMessage
from .learned import learned

# msgspec lets a string that is not UTF-8 through as what Python raises for it
_REFUSALS = (
    msgspec.MsgspecError,
    rfc8785.CanonicalizationError,
    UnicodeDecodeError,
    RecursionError,
)

Value = TypeVar("Value", bound=msgspec.Struct)

LARGEST_DOCUMENT = 1 << 20
"""Bytes; every signed document is smaller, and a larger one is refused unread."""


DEEPEST_DOCUMENT = 32
"""Levels of brackets; parsers recurse, and how far they may is not ours to say."""

# the last quote may be missing: a search for it from each quote would take for ever
_STRING_OR_BRACKET: Final = re.compile(rb'"(?:[^"\\]|\\.)*+"?|[\[\]{}]', re.DOTALL)
# No escape, fraction, exponent or integer near 2^53: where nothing but ASCII is sorted, these are
# all in which RFC 8785 differs from other compact JSON.
_PLAIN: Final = re.compile(
    rb'(?:"[^"\\\x00-\x1f]*+"|[\[\]{}:,]|-?(?:0|[1-9][0-9]{0,14}+)(?![0-9.eE])|true|false|null)*+'
)
_STEPS: Final = {b"[": 1, b"{": 1, b"]": -1, b"}": -1}


def encode(value: msgspec.Struct) -> bytes:
    """Return the one canonical encoding of `value`.

    Source: RFC 8785, JSON Canonicalization Scheme.
    """
    return rfc8785.dumps(msgspec.to_builtins(value))


def decode(body: bytes, kind: type[Value], largest: int = LARGEST_DOCUMENT) -> Value:
    """Return the value that `body` encodes, if `body` is its canonical encoding.

    Args:
        largest: bytes; more only for what holds documents, and is none that is signed itself.

    Raises:
        MalformedMessage: not JSON, unknown or missing fields, a value out of its
            range, or bytes that the same value would not be encoded to.
        UnsafeParameters: a number that `kind` itself refuses.
    """
    if len(body) > largest:
        raise MalformedMessage(f"{kind.__name__}: {len(body)} bytes, more than {largest}")
    _check_depth(body, kind)
    try:
        value: Value = msgspec.json.decode(body, type=learned(kind), strict=True)
        canonical = _is_plain(body, value) or encode(value) == body
    except _REFUSALS as error:
        raise MalformedMessage(f"{kind.__name__}: {_first_line(error)}") from None
    if not canonical:
        raise MalformedMessage(f"{kind.__name__}: not in canonical form (RFC 8785)")
    return value


def _is_plain(body: bytes, value: msgspec.Struct) -> bool:
    """Return whether `body` is made of what every encoder spells alike, and is one of `value`.

    Most documents are, and `encode` takes most of the time that it takes to verify a large
    bundle. False says nothing: `encode` is asked.
    """
    if msgspec.json.encode(value, order="sorted") != body:
        return False
    return body.isascii() and _PLAIN.fullmatch(body) is not None


def builtins(value: msgspec.Struct) -> dict[str, Any]:
    """Return `value` as plain JSON types."""
    result: dict[str, Any] = msgspec.to_builtins(value)
    return result


def _check_depth(body: bytes, kind: type[Value]) -> None:
    if body.count(b"[") + body.count(b"{") <= DEEPEST_DOCUMENT:
        return  # as nearly all: not to be walked through
    level = 0
    for found in _STRING_OR_BRACKET.finditer(body):
        first = body[found.start() : found.start() + 1]
        level += _STEPS.get(first, 0)
        if level > DEEPEST_DOCUMENT:
            raise MalformedMessage(f"{kind.__name__}: deeper than {DEEPEST_DOCUMENT} levels")


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
