"""One invitation, from its link to a decision, as a pure value.

    open ── ask ──▶ asked ── approve ──▶ approved
      │               └───── refuse ───▶ refused
      └── time, or a newer invitation of the same member ──▶ ended

The first keys that come with a token are the ones that it is for: whoever has stolen a link that
was used comes too late, and whoever used it before the member is seen by the four words.
"""

import re
from enum import StrEnum
from typing import Final

import msgspec
from msgspec.structs import replace

from privacy.enrolment import RENEWABLE_SECONDS, Asked, Proven
from privacy.errors import InvitationRefused, NotYet
from privacy.identifiers import ParticipantId
from privacy.roster import Member, Role

LONGEST_SECONDS: Final = 30 * 86_400
ANSWERED_SECONDS: Final = RENEWABLE_SECONDS
"""For so long whoever has asked in time gets the answer, after the invitation has ended."""

LONGEST_REASON: Final = 500

_WORD: Final = re.compile(r"[a-z]+")


class State(StrEnum):
    """How far an invitation has come."""

    OPEN = "open"
    ASKED = "asked"
    APPROVED = "approved"
    REFUSED = "refused"
    ENDED = "ended"


class Invitation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whom an operator has invited in which roles, who came, and what was decided.

    Times are seconds since 1970.

    Attributes:
        words: that the member shows, once it has asked.
        key: digest of the TLS key that it asked with.
        certificate: that it was given, in PEM.
        under: version of the roster that counted when it was decided; -1 before the first.
        replaced: whether the operator has made another one since.
        proof: the signature that came with `asked`, for whoever checks it after this coordinator.
    """

    participant: ParticipantId
    roles: tuple[Role, ...]
    made_by: str
    made_at: int
    ends_at: int
    asked: Asked | None = None
    asked_at: int = 0
    key: str = ""
    words: str = ""
    decision: State | None = None
    decided_by: str = ""
    decided_at: float = 0.0
    reason: str = ""
    certificate: str = ""
    replaced: bool = False
    under: int = -1
    proof: bytes = b""

    def state(self, now: float) -> State:
        """Return how far it has come at a time."""
        if self.decision is not None:
            return self.decision
        if self.replaced or now >= self.answered_until():
            return State.ENDED
        return State.ASKED if self.asked is not None else State.OPEN

    def entry(self) -> Member | None:
        """Return the entry of a member that was approved, or None."""
        return self.asked.entry if self.asked and self.decision is State.APPROVED else None

    def proven(self) -> Proven | None:
        """Return what somebody has asked, with its proof, or None."""
        return None if self.asked is None else Proven(self.asked, self.proof)

    def answered_until(self) -> int:
        """Return until when whoever has its token gets an answer."""
        return self.ends_at if self.asked is None else self.ends_at + ANSWERED_SECONDS

    def is_known(self, asked: Asked, key: str) -> bool:
        """Return whether these are the keys that it was asked with; raise if others were.

        Raises:
            InvitationRefused: it was used with other keys.
        """
        if self.asked is None:
            return False
        if self.asked.entry != asked.entry or self.key != key:
            raise InvitationRefused(
                f"the invitation of {self.participant} was used with other keys; if it was not by "
                "you, call the operator, who must know"
            )
        return True

    def check_time(self, now: float) -> None:
        """Return if it still gets an answer.

        Raises:
            InvitationRefused: it has ended, or was replaced.
        """
        ended = now >= self.answered_until()
        if ended or (self.replaced and self.decision is None):
            why = "has ended" if ended else "was replaced by a newer one"
            raise InvitationRefused(
                f"the invitation of {self.participant} {why}; ask the operator for another link"
            )

    def check_entry(self, asked: Asked) -> None:
        """Return if somebody asks for what it was made for.

        Raises:
            InvitationRefused: another name, or other roles.
        """
        entry = asked.entry
        if entry.participant != self.participant or {*entry.roles} != {*self.roles}:
            roles = ", ".join(self.roles)
            raise InvitationRefused(
                f"the invitation is for {self.participant} as {roles}, not for "
                f"{entry.participant} as {', '.join(entry.roles)}"
            )


def ask(invitation: Invitation, asked: Proven, key: str, words: str, now: float) -> Invitation:
    """Return it with the request of whoever has its token; checked already.

    The same keys may ask with another request, made anew, until there is a decision.
    """
    assert invitation.decision is None  # who was decided on gets the answer, and asks nothing
    return replace(
        invitation,
        asked=asked.asked,
        proof=asked.proof,
        key=key,
        words=words,
        asked_at=int(now),
    )


def decide(
    invitation: Invitation, decision: State, words: str, by: str, reason: str, now: float
) -> Invitation:
    """Return it with an operator's decision; the same one again changes nothing.

    Raises:
        NotYet: nobody has asked.
        InvitationRefused: the words are not the request's, or it was decided otherwise.
    """
    # First: who refuses what was approved has no words to give, and must learn what helps.
    if invitation.decision not in (None, decision):
        raise InvitationRefused(
            f"{invitation.participant} was {invitation.decision} by {invitation.decided_by}; "
            f"{'revoke it' if decision is State.REFUSED else 'invite it again'}"
        )
    invitation.check_time(now)
    if invitation.asked is None:
        raise NotYet(f"nobody has used the invitation of {invitation.participant} yet")
    if " ".join(_WORD.findall(words.lower())) != invitation.words:
        raise InvitationRefused(
            f"those are not the words of the request of {invitation.participant}; have its "
            "operator read them again, and decide nothing before they are the same"
        )
    if invitation.decision is decision:
        return invitation
    return replace(
        invitation,
        decision=decision,
        decided_by=by,
        decided_at=now,
        reason=reason[:LONGEST_REASON],
    )
