"""One seat as it meets the others: its box, its keys, and the roster that says who they are."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from participant.wire.letters import Mailbox
from privacy.roster import Member, Roster
from privacy.sealing import Entropy, HpkeKeyPair

from .handshake import Meeting


@dataclass(frozen=True)
class Party:
    """What a seat brings to every meeting.

    Attributes:
        roster: returns the newest version that this seat knows.
    """

    mailbox: Mailbox
    roster: Callable[[], Roster]
    me: str
    signing_key: Ed25519PrivateKey = field(repr=False)
    sealing: HpkeKeyPair
    entropy: Entropy

    def others(self, meeting: Meeting) -> Mapping[int, Member]:
        """Return the two other seats of a meeting, by their number.

        Raises:
            WrongIdentity: the roster has no such member.
        """
        roster = self.roster()
        return {at: roster.member(name) for at, name in enumerate(meeting.seats) if name != self.me}
