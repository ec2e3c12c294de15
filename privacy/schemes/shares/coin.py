"""A coin of three seats: a seed that none of them can choose, as long as one draws its own.

1. Each seat draws a value and sends both others its commitment to it.
2. Each sends both others the three commitments that it has. A seat that told two others
   different things is noticed here, before any value is shown.
3. Each shows its value. The seed is a hash of all three.

Who shows last knows the seed before the others, and can only show what it has committed to,
or nothing. If it shows nothing there is no seed, and the next toss takes fresh values. A seat
that breaks off until it likes the seed gets one chance for each toss; what questions promise
holds for one seed, and every toss is in the log of all three.

A commitment is SHA-256 over context, seat and value. Values have 256 bits, so it hides them;
the seat's number is in it, so one seat cannot hand on another's commitment as its own.

Source: Blum, "Coin Flipping by Telephone", CRYPTO 1981.
"""

from collections.abc import Sequence
from hashlib import sha256
from typing import Final

from privacy.errors import MalformedMessage, SeatsDisagree
from privacy.signing import transcript

from .layout import SEATS

VALUE_BYTES: Final = 32
COMMITMENT_BYTES: Final = 32

_COMMITMENT: Final = "veilsum/coin-commitment/1"
_SEED: Final = "veilsum/coin-seed/1"


def commitment(context: bytes, seat: int, value: bytes) -> bytes:
    """Return a seat's commitment to its value, 32 bytes.

    Args:
        context: what is tossed for, in which session; the same at all seats.

    Raises:
        MalformedMessage: a value of another length than 32 bytes.
    """
    if len(value) != VALUE_BYTES:
        raise MalformedMessage(f"seat {seat} shows {len(value)} bytes, its value has {VALUE_BYTES}")
    return sha256(transcript(_COMMITMENT, context, bytes([seat]), value)).digest()


def check_echo(own: Sequence[bytes], seat: int, echoed: Sequence[bytes]) -> None:
    """Refuse commitments that another seat has heard otherwise.

    Args:
        own: the commitments of seats 0, 1 and 2 as this seat has them.
        seat: who echoes.
        echoed: the same as that seat has them.

    Raises:
        SeatsDisagree: one of them is another; its maker, or who echoes, is not to be trusted.
    """
    for maker, (here, there) in enumerate(zip(own, echoed, strict=True)):
        if here != there:
            raise SeatsDisagree(
                f"seat {seat} has heard another commitment of seat {maker} than this seat"
            )


def seed(context: bytes, commitments: Sequence[bytes], values: Sequence[bytes]) -> bytes:
    """Return what the three values give, 32 bytes.

    Raises:
        MalformedMessage: a value is not the one that its seat has committed to.
    """
    assert len(commitments) == len(values) == SEATS, "a coin has three sides here"
    for seat, (committed, value) in enumerate(zip(commitments, values, strict=True)):
        if commitment(context, seat, value) != committed:
            raise MalformedMessage(f"seat {seat} shows another value than it has committed to")
    return sha256(transcript(_SEED, context, *values)).digest()
