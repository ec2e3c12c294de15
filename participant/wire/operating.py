"""What an operator asks of its coordinator, one call for each thing."""

import os
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from msgspec.structs import replace

from participant.joining.operator_config import OperatorConfig
from participant.keys import load_keys
from privacy import canonical, roster
from privacy.errors import MalformedMessage, NotYet, WrongContext, WrongIdentity
from privacy.roster import Role, Roster, SignedRoster
from privacy.signing import Purpose, sign
from veilsum.v1 import operator_pb2, operator_pb2_grpc

from .connections import Connections, newest, times
from .coordinator import CALL_SECONDS, Coordinator
from .rotation import Rotation

SPARE_SECONDS = 3600.0
"""An operator's certificate is renewed by the first command within this of its end, or after."""


@dataclass(frozen=True)
class Invited:
    """What a link is made of."""

    authority: bytes
    address: str
    ends_at_seconds: int
    token: bytes = field(repr=False)


@dataclass(frozen=True)
class Invitation:
    """An invitation as the coordinator has it."""

    participant: str
    roles: tuple[str, ...]
    state: str
    ends_at_seconds: int
    words: str
    organisation: str
    decided_by: str
    entry: bytes = field(default=b"", repr=False)


@dataclass(frozen=True)
class Member:
    """A member as the coordinator sees it; times are 0 where there is none."""

    participant: str
    organisation: str
    roles: tuple[str, ...]
    last_seen_seconds: int
    release: str
    certified_until_seconds: int
    revoked: str


class Operator:
    """One operator's voice at its coordinator.

    Every method may raise what the coordinator answers with, and PeerUnreachable.
    """

    def __init__(self, config: OperatorConfig, coordinator: Coordinator) -> None:
        self._config = config
        self._coordinator = coordinator
        self._stub = operator_pb2_grpc.OperatorServiceStub(coordinator.channel)

    async def invite(self, participant: str, roles: Sequence[str], seconds: int) -> Invited:
        """Make an invitation."""
        asked = operator_pb2.InviteRequest(
            participant=participant, roles=roles, ttl_seconds=seconds
        )
        made = await self._coordinator.call(self._stub.Invite(asked, timeout=CALL_SECONDS))
        return Invited(made.authority_fingerprint, made.address, made.ends_at_seconds, made.token)

    async def invitations(self) -> list[Invitation]:
        """Return every invitation."""
        asked = operator_pb2.ListInvitationsRequest()
        found = await self._coordinator.call(
            self._stub.ListInvitations(asked, timeout=CALL_SECONDS)
        )
        return [
            Invitation(
                each.participant,
                tuple(each.roles),
                each.state,
                each.ends_at_seconds,
                each.words,
                each.organisation,
                each.decided_by,
                each.entry,
            )
            for each in found.invitations
        ]

    async def decide(self, participant: str, words: str, reason: str, *, approve: bool) -> None:
        """Approve a request, or refuse it."""
        asked = operator_pb2.DecideRequest(
            participant=participant, approve=approve, words=words, reason=reason
        )
        await self._coordinator.call(self._stub.Decide(asked, timeout=CALL_SECONDS))

    async def found(self) -> Roster:
        """Close version 0, sign it as the operator that is in it, and return it."""
        asked = operator_pb2.CloseFoundingRequest()
        closed = await self._coordinator.call(self._stub.CloseFounding(asked, timeout=CALL_SECONDS))
        first, *_ = await self._coordinator.roster(closed.fingerprint)
        if first.roster.digest() != closed.fingerprint:
            raise WrongContext("the coordinator shows another roster than the one it has closed")
        if self._config.participant not in first.signatures:
            key = load_keys(self._config.state / "keys").signing
            signature = sign(key, Purpose.ROSTER, canonical.encode(first.roster))
            await self._coordinator.sign_roster(0, signature)
        return first.roster

    async def next_roster(
        self, add: Sequence[str], remove: Sequence[str], roles: Mapping[str, Sequence[str]]
    ) -> Roster:
        """Return the version after the newest one: with whom to add, without whom to remove.

        Raises:
            NotYet: nothing is founded.
            WrongIdentity: whoever is to be added is not enrolled, or to be changed no member.
            MalformedMessage: that is no role, or what comes out is no roster.
        """
        known = await self.versions()
        if not known:
            raise NotYet("there is no roster yet; run `veilsum coordinator found` first")
        before = known[-1].roster
        members = {each.participant: each for each in before.members}
        enrolled = {
            each.participant: canonical.decode(each.entry, roster.Member)
            for each in await self.invitations()
            if each.entry
        }
        for name in add:
            members[name] = _of(enrolled, name, "nobody has enrolled it: invite it first")
        for name in remove:
            members.pop(_of(members, name, "it is not in the roster").participant)
        for name, words in roles.items():
            entry = _of(members, name, "it is not in the roster")
            members[name] = replace(entry, roles=_roles(words))
        return Roster(
            before.federation,
            before.version + 1,
            before.coordinator_key,
            tuple(members[name] for name in sorted(members)),
            before.digest(),
        )

    async def versions(self) -> list[SignedRoster]:
        """Return every version of the roster, unchecked: members check, and the coordinator."""
        return await self._coordinator.roster()

    async def propose(self, wanted: Roster) -> str:
        """Put a version before the trainers; return its fingerprint."""
        asked = operator_pb2.ProposeRequest(roster=canonical.encode(wanted))
        made = await self._coordinator.call(self._stub.Propose(asked, timeout=CALL_SECONDS))
        return str(made.fingerprint)

    async def revoke(self, participant: str, reason: str) -> None:
        """Shut a member out."""
        asked = operator_pb2.RevokeRequest(participant=participant, reason=reason)
        await self._coordinator.call(self._stub.Revoke(asked, timeout=CALL_SECONDS))

    async def members(self) -> list[Member]:
        """Return every member."""
        asked = operator_pb2.ListMembersRequest()
        found = await self._coordinator.call(self._stub.ListMembers(asked, timeout=CALL_SECONDS))
        return [
            Member(
                each.participant,
                each.organisation,
                tuple(each.roles),
                each.last_seen_seconds,
                each.release,
                each.certified_until_seconds,
                each.revoked,
            )
            for each in found.members
        ]


def _of(entries: Mapping[str, roster.Member], name: str, otherwise: str) -> roster.Member:
    if name not in entries:
        raise WrongIdentity(f"{name}: {otherwise}")
    return entries[name]


def _roles(words: Sequence[str]) -> tuple[Role, ...]:
    try:
        return tuple(Role(word) for word in words)
    except ValueError:
        raise MalformedMessage(f"{', '.join(words)}: roles are {', '.join(Role)}") from None


@asynccontextmanager
async def operating(config: OperatorConfig) -> AsyncIterator[Operator]:
    """Give an operator its coordinator, with a certificate that is good for a while.

    Raises:
        ConfigError, InsecureKeyFile: its files are not what they must be.
        VeilsumError: its certificate has ended, and was not renewed.
    """
    keys = load_keys(config.state / "keys")
    connections = Connections(config.coordinator, newest(config.coordinator, keys))
    coordinator = Coordinator(
        connections.channel(), connections.explain, connections.channel(), connections.turns
    )
    try:
        ends = times(connections.certificate.certificate_pem)[1].timestamp()
        if ends - time.time() < SPARE_SECONDS:
            await Rotation(config, keys, connections, coordinator, os.urandom).renew()
        yield Operator(config, coordinator)
    finally:
        await coordinator.close()
