"""What one seat has with one other in one session: a secret, keys for both directions, frames.

The lower of the two draws the secret, seals it to the other by HPKE and signs the seal. It is
bound to meeting, session and both names; the session's name holds a nonce that each of the two
drew for it, so neither a secret nor a key is taken twice.
"""

from collections import deque
from typing import Final

import msgspec

from privacy.canonical import decode, encode
from privacy.documents import Signed, check_signer, pack, unpack
from privacy.errors import MalformedMessage
from privacy.identifiers import Digest, ParticipantId
from privacy.roster import Member
from privacy.schemes.keystream import SECRET_BYTES, Use, derive_key
from privacy.sealing import Sealed, open_sealed, seal, seal_context
from privacy.signing import Purpose, sign

from .frames import Joining, Kind, Opening, Sealing
from .handshake import Meeting
from .party import Party

MOST_EARLY: Final = 64
"""Frames that wait until this seat has the key to them."""


class PairSecret(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A secret that one seat drew, sealed to another; signed by who drew it."""

    session: Digest
    maker: ParticipantId
    recipient: ParticipantId
    sealed: bytes


class Peer:
    """One other seat, in one session.

    Attributes:
        early: frames that have come and are not read yet, for want of a key; of too many the
            oldest are lost, and the session with them.
        confirmed: whether a frame of it has opened, so that it has the keys.
        done: whether it has said that its work is done.
    """

    def __init__(self, party: Party, meeting: Meeting, seat: int, member: Member) -> None:
        self._party, self._meeting = party, meeting
        self.seat, self.member = seat, member
        self._own = meeting.seats.index(party.me)
        self._session = b""
        self._offer: bytes | None = None
        self._keys: tuple[Sealing, Opening] | None = None
        self._pair: bytes | None = None
        self._joining = Joining()
        self.early: deque[bytes] = deque(maxlen=MOST_EARLY)
        self.confirmed = self.done = False

    @property
    def keyed(self) -> bool:
        """Whether this seat has the keys."""
        return self._keys is not None

    @property
    def pair_secret(self) -> bytes:
        """The secret for shares of zero, 32 bytes; both seats have the same."""
        assert self._pair is not None, "work begins when all keys are there"
        return self._pair

    # -- keys -----------------------------------------------------------------------

    def begin(self, session: bytes) -> None:
        """Make keys for an agreed session, or wait for them if the other seat makes them."""
        self._session = session
        if self._own > self.seat:
            return
        secret = self._party.entropy(SECRET_BYTES)
        sealed = seal(self.member.sealing_key, self._seal_info(self._party.me), secret)
        body = encode(PairSecret(session.hex(), self._party.me, self.member.participant, sealed))
        signature = sign(self._party.signing_key, Purpose.SEAT_CHANNEL, body)
        self._offer = pack(Signed(body, {self._party.me: signature}))
        self._use(secret)

    def offer(self) -> bytes | None:
        """Return the sealed secret, as long as the other seat may lack it."""
        return None if self.confirmed else self._offer

    def take_secret(self, packed: bytes) -> None:
        """Take the secret that the other seat drew; the first counts, and no other.

        Raises:
            InvalidSignature: that seat has not signed it.
            MalformedMessage: it is of another session or seat, or does not open.
        """
        if self.keyed or self._own < self.seat:
            return
        signed, maker = unpack(packed), self.member.participant
        check_signer(signed, Purpose.SEAT_CHANNEL, maker, self.member.signing_key)
        offer = decode(signed.body, PairSecret)
        told = offer.session, offer.maker, offer.recipient
        if told != (self._session.hex(), maker, self._party.me):
            raise MalformedMessage(f"a secret of {offer.maker} is not for this session and seat")
        secret = open_sealed(self._party.sealing, self._seal_info(maker), offer.sealed)
        if len(secret) != SECRET_BYTES:
            raise MalformedMessage(f"{maker} makes a secret of {len(secret)} bytes")
        self._use(secret)

    def _use(self, secret: bytes) -> None:
        fields = *self._meeting.fields(), self._session
        keys = [
            derive_key(secret, Use.SEAT_FRAMES, *fields, bytes([sender, receiver]))
            for sender, receiver in ((self._own, self.seat), (self.seat, self._own))
        ]
        self._keys = Sealing(keys[0]), Opening(keys[1])
        self._pair = derive_key(secret, Use.SEAT_PAIR, *fields)

    def _seal_info(self, maker: str) -> bytes:
        both = self._party.me, self.member.participant
        recipient = both[1] if maker == both[0] else both[0]
        fields = *self._meeting.fields(), self._session, maker.encode(), recipient.encode()
        return seal_context(Sealed.SEAT_CHANNEL, *fields)

    # -- frames ---------------------------------------------------------------------

    def seal(self, kind: Kind, body: bytes = b"") -> bytes:
        """Return the next frame for the other seat."""
        assert self._keys is not None, "frames are sent when the keys are there"
        return self._keys[0].seal(kind, body)

    def take_frame(self, frame: bytes) -> bytes | None:
        """Return the message that a frame completes; None if there is none yet.

        Raises:
            MalformedMessage: the other seat did not make it for this session.
            BrokenOff: frames before it were lost.
        """
        assert self._keys is not None, "without the keys frames are put aside"
        opened = self._keys[1].open(frame)
        if opened is None:
            return None
        self.confirmed = True
        kind, body = opened
        match kind:
            case Kind.DONE:
                self.done = True
            case Kind.PART | Kind.LAST:
                return self._joining.take(kind, body)
        return None
