"""Three seats toss a coin over their link: commit, echo, show."""

from collections.abc import Mapping
from typing import Final

from privacy.errors import MalformedMessage
from privacy.mpc.link import Link
from privacy.schemes.shares.coin import (
    COMMITMENT_BYTES,
    VALUE_BYTES,
    check_echo,
    commitment,
    seed,
)
from privacy.schemes.shares.layout import SEATS
from privacy.sealing import Entropy

_COMMIT: Final = b"coin/commit:"
_ECHO: Final = b"coin/echo:"
_SHOW: Final = b"coin/show:"


def toss(link: Link, seat: int, context: bytes, entropy: Entropy) -> bytes:
    """Return a seed of 32 bytes, the same at all three seats; it blocks.

    Args:
        seat: this one.
        context: what is tossed for, in which session; the same at all seats.

    Raises:
        MalformedMessage: a seat shows another value than it has committed to, or something else.
        SeatsDisagree: a seat told the two others different things.
    """
    value = entropy(VALUE_BYTES)
    own = commitment(context, seat, value)
    heard = _exchange(link, seat, _COMMIT, own, COMMITMENT_BYTES)
    commitments = _in_order(seat, own, heard)
    echoes = _exchange(link, seat, _ECHO, b"".join(commitments), SEATS * COMMITMENT_BYTES)
    for other, echo in echoes.items():
        check_echo(commitments, other, _cut(echo))
    # Nobody's value is shown before all have the same commitments.
    shown = _exchange(link, seat, _SHOW, value, VALUE_BYTES)
    return seed(context, commitments, _in_order(seat, value, shown))


def _exchange(link: Link, seat: int, what: bytes, body: bytes, size: int) -> Mapping[int, bytes]:
    """Send the same to both others, and return what they send."""
    others = [other for other in range(SEATS) if other != seat]
    for other in others:
        link.send(other, what + body)
    return {other: _body(other, what, link.receive(other), size) for other in others}


def _body(seat: int, what: bytes, message: bytes, size: int) -> bytes:
    if not message.startswith(what) or len(message) != len(what) + size:
        raise MalformedMessage(
            f"from seat {seat} came {len(message)} bytes in place of {what.decode()}"
        )
    return message[len(what) :]


def _in_order(seat: int, own: bytes, others: Mapping[int, bytes]) -> list[bytes]:
    return [own if at == seat else others[at] for at in range(SEATS)]


def _cut(echo: bytes) -> list[bytes]:
    return [echo[at : at + COMMITMENT_BYTES] for at in range(0, len(echo), COMMITMENT_BYTES)]
