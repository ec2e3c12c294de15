"""How three seats agree on a session: one fresh number each, and a word on the others' numbers.

Each seat says hello: its own nonce, and those that it has heard from the others. A session is
agreed once all three say the same three nonces, and is named by them. So nobody makes keys for
a session that another seat has not named, with a nonce which that seat drew for it.

A nonce is spent as soon as keys were made under it. A seat that has begun again says another
nonce; each other seat then gives its session up and draws a new nonce too, if its own is
spent, or else keeps it. So an old hello, or an old key, played again leads to no session: in
every name there is a nonce that this seat has drawn since. And seats do not chase each other:
what is not spent stays, and all three soon say the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Annotated, Final

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from privacy.canonical import decode, encode
from privacy.documents import Signed, check_signer, pack, unpack
from privacy.errors import MalformedMessage, UnsafeParameters, WrongContext
from privacy.identifiers import Digest, ParticipantId
from privacy.records import MaybeDigest, Record
from privacy.roster import Member
from privacy.schemes.shares.layout import SEATS
from privacy.signing import Purpose, sign, transcript

_SESSION: Final = "veilsum/seat-session/1"

Stage = Annotated[str, msgspec.Meta(pattern=r"^[a-z]{1,16}\Z")]
"""What a session is for: `norms` or `scores`."""


class BrokenOff(Exception):
    """A session is over before its work is done; seats begin another, and no caller hears of it."""


@dataclass(frozen=True, slots=True)
class Meeting:
    """What three seats meet for; all of it is in every key.

    Attributes:
        context: digest of the candidates, or of the cohort, that is asked about.
        seats: their names, in the plan's order.

    Raises:
        UnsafeParameters: not three different seats.
    """

    federation: str
    round: int
    stage: str
    context: Digest
    seats: tuple[str, ...]

    def __post_init__(self) -> None:
        if len(set(self.seats)) != SEATS or len(self.seats) != SEATS:
            raise UnsafeParameters(f"{SEATS} seats meet, not {', '.join(self.seats)}")

    @property
    def topic(self) -> str:
        """What topics of all its letters begin with."""
        return f"seat/{self.round}/{self.stage}/"

    def fields(self) -> tuple[bytes, ...]:
        """Return the meeting as fields of a transcript."""
        names = (name.encode() for name in self.seats)
        number = self.round.to_bytes(8, "big")
        return self.federation.encode(), number, self.stage.encode(), self.context.encode(), *names


class Hello(Record, frozen=True, forbid_unknown_fields=True):
    """What a seat says of a session: the nonces of seats 0, 1 and 2, its own among them."""

    stage: Stage
    context: Digest
    seat: ParticipantId
    nonces: tuple[MaybeDigest, MaybeDigest, MaybeDigest]


class Handshake:
    """One seat's part in agreeing on a session, with a nonce of its own that is fresh."""

    def __init__(
        self, meeting: Meeting, seat: int, nonce: Digest, known: Sequence[MaybeDigest] = ("",) * 3
    ) -> None:
        self._meeting, self._seat = meeting, seat
        self._nonces = [nonce if at == seat else each for at, each in enumerate(known)]
        self._said: dict[int, tuple[str, ...]] = {}
        self._spent = False

    @property
    def nonces(self) -> tuple[MaybeDigest, ...]:
        """The newest nonce of each seat; empty for one that has not been heard."""
        return tuple(self._nonces)

    @property
    def agreed(self) -> bool:
        """Whether all three seats say the same nonces."""
        return len(self._said) == SEATS - 1 and all(
            said == self.nonces for said in self._said.values()
        )

    def session(self) -> bytes:
        """Return the name of the session that this seat's nonces stand for, 32 bytes."""
        nonces = (nonce.encode() for nonce in self._nonces)
        return sha256(transcript(_SESSION, *self._meeting.fields(), *nonces)).digest()

    def spend(self) -> None:
        """Note that keys are being made: from here on another nonce ends this session."""
        assert self.agreed, "keys are made for an agreed session only"
        self._spent = True

    def hello(self, key: Ed25519PrivateKey) -> bytes:
        """Return what this seat says now, signed by it."""
        meeting, name = self._meeting, self._meeting.seats[self._seat]
        first, second, third = self._nonces
        body = encode(
            Hello(
                federation=meeting.federation,
                round=meeting.round,
                stage=meeting.stage,
                context=meeting.context,
                seat=name,
                nonces=(first, second, third),
            )
        )
        return pack(Signed(body, {name: sign(key, Purpose.SEAT_CHANNEL, body)}))

    def hear(self, seat: int, hello: Hello) -> None:
        """Take what another seat says.

        Raises:
            BrokenOff: that seat has begun again, and this one has made keys already.
        """
        if hello.nonces[seat] != self._nonces[seat]:
            self._nonces[seat] = hello.nonces[seat]
            if self._spent:
                raise BrokenOff(f"{self._meeting.seats[seat]} has begun again")
        self._said[seat] = hello.nonces


def check_hello(meeting: Meeting, seat: int, member: Member, packed: bytes) -> Hello:
    """Return what another seat says, if it is of this meeting and signed by that seat.

    Raises:
        InvalidSignature: it is not signed under the seat's key.
        MalformedMessage: it is no hello, or says no nonce of its own.
        WrongContext: the seat asks about other candidates or another cohort, or of another round.
    """
    signed = unpack(packed)
    check_signer(signed, Purpose.SEAT_CHANNEL, member.participant, member.signing_key)
    hello = decode(signed.body, Hello)
    said = hello.federation, hello.round, hello.stage, hello.seat
    if said != (meeting.federation, meeting.round, meeting.stage, member.participant):
        raise MalformedMessage(f"{member.participant} says hello to another meeting, or as another")
    if hello.context != meeting.context:
        raise WrongContext(
            f"round {meeting.round}: {member.participant} was shown {hello.context[:16]}…, this "
            f"seat {meeting.context[:16]}…; the coordinator has signed two"
        )
    if not hello.nonces[seat]:
        raise MalformedMessage(f"{member.participant} says hello without a nonce")
    return hello
