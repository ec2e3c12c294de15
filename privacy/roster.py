"""Who belongs to the federation, in which role, under which keys.

The coordinator enrols; members admit. Version 0 counts only when every founding
member has signed it; a later version counts only when more than half of the
trainers of the version before have signed it. The coordinator signs neither, so
it can add nobody: not a trainer, not an auditor, not a changed key.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import Annotated

import msgspec

from . import organisation as organisations
from .canonical import decode, encode
from .errors import (
    InvalidSignature,
    MalformedMessage,
    RosterRefused,
    WrongContext,
    WrongIdentity,
)
from .identifiers import COORDINATOR, Digest, FederationId, ParticipantId
from .sealing import seal
from .signing import Purpose, check_key, digest, verify


class Role(StrEnum):
    """What a member may do; openers are trainers that a plan names.

    A participant has no other role yet, or none any more. An operator enrols and revokes; it
    has no voice in whom members admit.
    """

    TRAINER = "trainer"
    AGGREGATOR = "aggregator"
    AUDITOR = "auditor"
    PARTICIPANT = "participant"
    OPERATOR = "operator"


_IN_ROUNDS = (Role.TRAINER, Role.AGGREGATOR, Role.AUDITOR)

SigningKey = Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
SealingKey = Annotated[bytes, msgspec.Meta(min_length=1216, max_length=1216)]
PayoutAddress = Annotated[str, msgspec.Meta(pattern=r"^(0x[0-9a-f]{40})?\Z")]


class Member(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One organisation's entry: its name, roles and public keys.

    No role stands twice, a screen shows all of the organisation's name, and nothing but a
    signature of its owner is one under the signing key.
    """

    participant: ParticipantId
    organisation: str
    roles: tuple[Role, ...]
    signing_key: SigningKey
    sealing_key: SealingKey
    payout_address: PayoutAddress = ""

    def __post_init__(self) -> None:
        organisations.check(self.organisation)
        if len(set(self.roles)) != len(self.roles):
            raise MalformedMessage(f"{self.participant} has a role twice")
        check_key(self.signing_key)

    def is_of(self, other: "Member") -> bool:
        """Return whether both are of one organisation."""
        return organisations.key(self.organisation) == organisations.key(other.organisation)


def organisations_of(members: Iterable[Member]) -> frozenset[str]:
    """Return the organisations of some members, each once, by what makes a name that name.

    Where organisations are counted or compared, it is by this or by `Member.is_of`.
    """
    return frozenset(organisations.key(member.organisation) for member in members)


class Roster(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One version of the roster; plans name it by its digest.

    No two members have one key, and none has the coordinator's: a signature is one member's.
    """

    federation: FederationId
    version: int
    coordinator_key: bytes
    members: tuple[Member, ...]
    previous: Digest | None = None

    def __post_init__(self) -> None:
        names = [member.participant for member in self.members]
        if names != sorted(set(names)):
            raise MalformedMessage("roster: members are not sorted, or one stands twice")
        check_key(self.coordinator_key)
        _check_keys(self)
        if COORDINATOR in names:
            raise MalformedMessage(f"roster: no member may be called {COORDINATOR}")
        if (self.version == 0) != (self.previous is None):
            raise MalformedMessage(f"roster: version {self.version} with previous {self.previous}")

    def digest(self) -> Digest:
        """Return the fingerprint that sites compare and plans name."""
        return digest(Purpose.ROSTER, encode(self))

    def member(self, participant: str) -> Member:
        """Return the entry of `participant`.

        Raises:
            WrongIdentity: the roster has no such member.
        """
        for member in self.members:
            if member.participant == participant:
                return member
        raise WrongIdentity(f"{participant} is not in roster version {self.version}")

    def trainers(self) -> tuple[Member, ...]:
        """Return the members that train, in order of their names."""
        return tuple(member for member in self.members if Role.TRAINER in member.roles)


@dataclass(frozen=True, slots=True)
class SignedRoster:
    """A roster and the signatures of members, by participant."""

    roster: Roster
    signatures: Mapping[str, bytes]


def admit(history: Sequence[SignedRoster], fingerprint: Digest) -> Roster:
    """Return the newest roster of `history`, if members admitted every version.

    Raises:
        WrongContext, InvalidSignature: as for `admit_all`.
    """
    return admit_all(history, fingerprint)[-1]


def admit_all(history: Sequence[SignedRoster], fingerprint: Digest) -> tuple[Roster, ...]:
    """Return every version of the roster, oldest first, if members admitted each.

    Args:
        history: version 0, 1, … without gaps.
        fingerprint: digest of version 0, which the site compared out of band.

    Raises:
        WrongContext: version 0 is not the one that was compared, or a gap.
        InvalidSignature: a founding member's signature is missing or wrong, or a
            later version lacks those of more than half of the trainers before it.
    """
    if not history:
        raise WrongContext("no version of the roster was shown")
    check_next(None, history[0], fingerprint)
    _check_founding(history[0])
    for before, after in pairwise(history):
        check_succession(before.roster, after)
    return tuple(signed.roster for signed in history)


def check_next(before: SignedRoster | None, after: SignedRoster, fingerprint: Digest) -> None:
    """Return if a version may stand behind the one before it, or at the beginning.

    For who reads a long history piece by piece. Version 0 may still lack signatures; whether
    it is founded, `admit` says.

    Args:
        fingerprint: as for `admit_all`.

    Raises:
        WrongContext, InvalidSignature: as for `admit_all`.
    """
    if before is not None:
        check_succession(before.roster, after)
    else:
        check_first(after.roster)
        if after.roster.digest() != fingerprint:
            raise WrongContext(
                f"roster version 0 has not the fingerprint {fingerprint} of this site's policy; "
                "compare it with the other members by telephone"
            )


def check_first(roster: Roster) -> None:
    """Return if a roster is a version 0: only such a one is compared, and signed by founders.

    Raises:
        WrongContext: it calls itself a later version.
    """
    if roster.version != 0:
        raise WrongContext(f"roster version {roster.version} where version 0 was expected")


def check_follows(before: Roster, after: Roster) -> None:
    """Return if a version may be put before the trainers of the one before it.

    Raises:
        WrongContext: it is not the next one, or of another federation.
    """
    if after.version != before.version + 1 or after.previous != before.digest():
        raise WrongContext(f"roster version {after.version} does not follow {before.version}")
    if after.federation != before.federation:
        raise WrongContext(f"roster of {after.federation}, not of {before.federation}")


def check_operators(members: Sequence[Member], openers: Collection[str] = ()) -> None:
    """Return if nobody who operates the coordinator opens, audits or holds a seat as well.

    Through the coordinator an operator has every ciphertext; with an opener's key it would read
    them, and as auditor it would vouch for itself. One seat may be of an operator's organisation,
    as two are needed to open anything; it is another member, with keys of its own.

    Args:
        openers: the trainers that open sums, where they are known.

    Raises:
        RosterRefused: somebody does.
    """
    for operator in members:
        if Role.OPERATOR not in operator.roles:
            continue
        check_operator(operator.participant, operator.roles)
        for each in members:
            judges = Role.AUDITOR in each.roles or each.participant in openers
            if judges and each.is_of(operator):
                what = "an auditor" if Role.AUDITOR in each.roles else "an opener"
                raise RosterRefused(
                    f"{each.participant} is {what} and of {each.organisation}, as is the operator "
                    f"{operator.participant}; {what} must be of an organisation that operates "
                    "nothing: name another one, or let another organisation operate"
                )


def check_operator(participant: str, roles: Sequence[Role]) -> None:
    """Return if a member's roles go together: whoever operates has no part in rounds.

    Raises:
        RosterRefused: they do not.
    """
    others = [role for role in roles if role in _IN_ROUNDS]
    if Role.OPERATOR in roles and others:
        raise RosterRefused(
            f"{participant} would be operator and {' and '.join(others)}; whoever operates "
            "has no part in rounds: enrol two members, each with a name and keys of its own"
        )


def check_sealing_key(member: Member) -> None:
    """Return if something can be sealed to a member.

    Raises:
        MalformedMessage: not to that key; the member must make its keys again.
    """
    try:
        seal(member.sealing_key, b"veilsum/probe", b"")
    except MalformedMessage:
        raise MalformedMessage(
            f"the roster's sealing key of {member.participant} is none; that member must make "
            "its keys again, before anybody signs"
        ) from None


def decode_roster(body: bytes) -> Roster:
    """Return the roster that `body` encodes.

    Raises:
        MalformedMessage: it encodes none.
    """
    return decode(body, Roster)


def is_founded(signed: SignedRoster) -> bool:
    """Return whether every founding member has signed version 0."""
    return {member.participant for member in signed.roster.members} <= set(signed.signatures)


def _check_keys(roster: Roster) -> None:
    # Who has two names has two voices, and opens what is sealed to either.
    owners = {roster.coordinator_key: COORDINATOR}
    for member in roster.members:
        for key in (member.signing_key, member.sealing_key):
            if key in owners:
                raise MalformedMessage(
                    f"roster: {owners[key]} and {member.participant} have one key; each must "
                    "make its own"
                )
            owners[key] = member.participant


def _check_founding(signed: SignedRoster) -> None:
    body = encode(signed.roster)
    for member in signed.roster.members:
        signature = signed.signatures.get(member.participant, b"")
        verify(member.signing_key, Purpose.ROSTER, body, signature)


def check_succession(before: Roster, after: SignedRoster) -> None:
    """Return if a version follows `before`, and more than half of its trainers have signed.

    Raises:
        WrongContext, InvalidSignature: as for `admit_all`.
    """
    roster = after.roster
    check_follows(before, roster)
    trainers, body, count = before.trainers(), encode(roster), 0
    for trainer in trainers:
        signature = after.signatures.get(trainer.participant)
        if signature is not None:
            verify(trainer.signing_key, Purpose.ROSTER, body, signature)
            count += 1
    if 2 * count <= len(trainers):
        raise InvalidSignature(
            f"roster version {roster.version}: signed by {count} of {len(trainers)} trainers, "
            "more than half are needed; members must sign it"
        )
