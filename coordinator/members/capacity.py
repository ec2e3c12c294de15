"""How many members there is room for: what is said of all of them travels in one message.

The roster does, with every member's keys and signature. Under `shares` a seat seals the key of
its sums to every trainer, and its statement has all those wraps.
"""

from collections.abc import Sequence
from typing import Final

from privacy import canonical
from privacy.errors import ConfigError
from privacy.identifiers import ParticipantId
from privacy.records import SealedWords, SeatSum, Wrap
from privacy.roster import Roster
from privacy.sealing import CONTENT_KEY_BYTES, SEAL_OVERHEAD

LARGEST: Final = 1 << 20
"""Bytes of a document; what is wrapped around it has room beside it in a message."""

_SIGNATURE_BYTES: Final = 64 + 8
_DIGEST: Final = "0" * 64
_LARGEST_COUNT: Final = 1 << 50


def check_members(roster: Roster) -> None:
    """Return if a roster that all its members have signed has room in one message.

    Raises:
        ConfigError: it has not, and nobody could join.
    """
    names = [each.participant for each in roster.members]
    size = len(canonical.encode(roster)) + sum(_SIGNATURE_BYTES + len(name) for name in names)
    if size > LARGEST:
        raise ConfigError(
            f"{len(names)} members: the roster and its signatures take {size} bytes and have no "
            f"room in a message of {LARGEST}; about {LARGEST * len(names) // size} members have"
        )


def check_trainers(seats: Sequence[ParticipantId], roster: Roster) -> None:
    """Return if a statement of each seat has room for the wraps of all trainers.

    Raises:
        ConfigError: it has not, and no sum of a round could be handed in; says how many fit.
    """
    trainers = [each.participant for each in roster.trainers()]
    size = max(statement_bytes(seat, trainers, roster.federation) for seat in seats)
    if size > LARGEST:
        empty = max(statement_bytes(seat, (), roster.federation) for seat in seats)
        fit = (LARGEST - empty) * len(trainers) // (size - empty)
        raise ConfigError(
            f"{len(trainers)} trainers: a seat seals the key of its sums to each of them, and its "
            f"statement of {size} bytes has no room in a message of {LARGEST}; about "
            f"{fit} trainers have"
        )


def statement_bytes(seat: ParticipantId, trainers: Sequence[ParticipantId], federation: str) -> int:
    """Return the size of the largest statement that a seat makes for `trainers`."""
    sealed = bytes(CONTENT_KEY_BYTES + SEAL_OVERHEAD)
    words = SealedWords(component=0, root=_DIGEST, ciphertext=_DIGEST, length=_LARGEST_COUNT)
    statement = SeatSum(
        federation=federation,
        round=100_000,
        plan=_DIGEST,
        cohort=_DIGEST,
        seat=seat,
        roster=_DIGEST,
        chunks=_LARGEST_COUNT,
        sums=(words, words),
        wraps=tuple(Wrap(name, sealed) for name in trainers),
    )
    return len(canonical.encode(statement))
