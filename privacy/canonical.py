"""Values as canonical JSON (RFC 8785) and back, one byte string for each value."""

from typing import Any, TypeVar

import msgspec
import rfc8785

from .errors import MalformedMessage

Value = TypeVar("Value", bound=msgspec.Struct)

LARGEST_DOCUMENT = 1 << 20
"""Bytes; every signed document is smaller, and a larger one is refused unread."""


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
    """
    if len(body) > LARGEST_DOCUMENT:
        raise MalformedMessage(f"{kind.__name__}: {len(body)} bytes, more than {LARGEST_DOCUMENT}")
    try:
        value: Value = msgspec.json.decode(body, type=kind, strict=True)
        canonical = encode(value)
    except (msgspec.MsgspecError, rfc8785.CanonicalizationError, RecursionError) as error:
        raise MalformedMessage(f"{kind.__name__}: {_first_line(error)}") from None
    if canonical != body:
        raise MalformedMessage(f"{kind.__name__}: not in canonical form (RFC 8785)")
    return value


def builtins(value: msgspec.Struct) -> dict[str, Any]:
    """Return `value` as plain JSON types."""
    result: dict[str, Any] = msgspec.to_builtins(value)
    return result


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
