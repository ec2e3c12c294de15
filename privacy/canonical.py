"""Values as canonical JSON (RFC 8785) and back, one byte string for each value."""

import re
from typing import Any, Final, TypeVar

import msgspec
import rfc8785

from .errors import MalformedMessage

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
_STEPS: Final = {b"[": 1, b"{": 1, b"]": -1, b"}": -1}


def encode(value: msgspec.Struct) -> bytes:
    """Return the one canonical encoding of `value`.

    Source: RFC 8785, JSON Canonicalization Scheme.
    """
    return rfc8785.dumps(msgspec.to_builtins(value))


def decode(body: bytes, kind: type[Value]) -> Value:
    """Return the value that `body` encodes, if `body` is its canonical encoding.

    Raises:
        MalformedMessage: not JSON, unknown or missing fields, a value out of its
            range, or bytes that the same value would not be encoded to.
        UnsafeParameters: a number that `kind` itself refuses.
    """
    if len(body) > LARGEST_DOCUMENT:
        raise MalformedMessage(f"{kind.__name__}: {len(body)} bytes, more than {LARGEST_DOCUMENT}")
    _check_depth(body, kind)
    try:
        value: Value = msgspec.json.decode(body, type=kind, strict=True)
        canonical = encode(value)
    except _REFUSALS as error:
        raise MalformedMessage(f"{kind.__name__}: {_first_line(error)}") from None
    if canonical != body:
        raise MalformedMessage(f"{kind.__name__}: not in canonical form (RFC 8785)")
    return value


def builtins(value: msgspec.Struct) -> dict[str, Any]:
    """Return `value` as plain JSON types."""
    result: dict[str, Any] = msgspec.to_builtins(value)
    return result


def _check_depth(body: bytes, kind: type[Value]) -> None:
    level = 0
    for found in _STRING_OR_BRACKET.finditer(body):
        first = body[found.start() : found.start() + 1]
        level += _STEPS.get(first, 0)
        if level > DEEPEST_DOCUMENT:
            raise MalformedMessage(f"{kind.__name__}: deeper than {DEEPEST_DOCUMENT} levels")


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
