"""What questions need of updates in shares, and on which of them the three seats agree."""

from collections.abc import Sequence
from typing import Final, Protocol

import msgspec

from privacy.errors import MalformedMessage, SeatsDisagree
from privacy.identifiers import ParticipantId
from privacy.learned import learned
from privacy.mpc.link import Link
from privacy.plan import Plan
from privacy.schemes.shares.layout import SEATS
from privacy.schemes.shares.seat_sum import Blocks

_NAMES: Final = b"names:"
_CHECKED: Final = {True: b"checked:1", False: b"checked:0"}


class Updates(Protocol):
    """The updates of several sites, as one seat holds them: `holding.Holding`."""

    @property
    def plan(self) -> Plan:
        """The round's plan."""
        ...

    @property
    def participants(self) -> tuple[str, ...]:
        """Whose they are, in the order of candidates or cohort."""
        ...

    def blocks(self, chunk: int, participant: str, out: Blocks | None = None) -> Blocks:
        """Return one chunk of both components of one update, each (leaves, 1024).

        Args:
            out: blocks that an earlier call returned, to be written over; new ones by default.
        """
        ...

    def total(self, chunk: int) -> Blocks:
        """Return one chunk of this seat's components of the sum of all of them."""
        ...

    def declared_share(self, participant: str) -> int:
        """Return this seat's share of the squared norm that one site has declared."""
        ...


def held_by_all(link: Link, seat: int, names: Sequence[str]) -> tuple[str, ...]:
    """Return those of this seat's sites that all three seats have taken, in this seat's order.

    Who was refused by one seat is left out of the cohort whatever its norm is.

    Raises:
        MalformedMessage: a seat sends no names.
    """
    told = [set(each) for each in _exchanged(link, seat, names)]
    return tuple(name for name in names if all(name in each for each in told))


def require_same(link: Link, seat: int, names: Sequence[str]) -> None:
    """Refuse a question about other sites than those of the two other seats.

    Raises:
        SeatsDisagree: the others mean another cohort, or another order of it.
        MalformedMessage: a seat sends no names.
    """
    if any(tuple(each) != tuple(names) for each in _exchanged(link, seat, names)):
        raise SeatsDisagree("seats ask about different sites")


def unchecked_at(link: Link, seat: int, *, checked: bool) -> tuple[int, ...]:
    """Tell the others whether this seat knows that all norms were checked; return who does not.

    Raises:
        MalformedMessage: a seat does not say.
    """
    others = [other for other in range(SEATS) if other != seat]
    for other in others:
        link.send(other, _CHECKED[checked])
    told = {other: link.receive(other) for other in others} | {seat: _CHECKED[checked]}
    strange = sorted(set(told.values()) - set(_CHECKED.values()))
    if strange:
        raise MalformedMessage(f"a seat sends {len(strange[0])} bytes in place of what it checked")
    return tuple(sorted(each for each, said in told.items() if said == _CHECKED[False]))


def _exchanged(link: Link, seat: int, names: Sequence[str]) -> list[list[str]]:
    others = [other for other in range(SEATS) if other != seat]
    for other in others:
        link.send(other, _NAMES + msgspec.json.encode(list(names)))
    return [_names(other, link.receive(other)) for other in others]


def _names(seat: int, message: bytes) -> list[str]:
    try:
        if message.startswith(_NAMES):
            return msgspec.json.decode(message[len(_NAMES) :], type=learned(list[ParticipantId]))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        pass  # no names either
    raise MalformedMessage(f"seat {seat} sends {len(message)} bytes in place of names")
