"""What an operator asks of its coordinator, one call for each thing."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import structlog
from msgspec.structs import replace

from participant.joining.found import check_entries
from participant.joining.operator_config import OperatorConfig
from participant.joining.own import check_entry, require_entry
from participant.keys import load_keys
from privacy import canonical, roster
from privacy.enrolment import RENEWABLE_SECONDS, Asked
from privacy.errors import (
    MalformedMessage,
    NotYet,
    VeilsumError,
    WrongContext,
    WrongIdentity,
)
from privacy.roster import Role, Roster, SignedRoster
from privacy.signing import Purpose, sign
from veilsum.files import holding
from veilsum.v1 import operator_pb2, operator_pb2_grpc

from .connections import Connections, newest, times
from .coordinator import CALL_SECONDS, Coordinator
from .rotation import Rotation

log = structlog.get_logger()


@dataclass(frozen=True)
class Invited:
    """What a link is made of."""

    authority: bytes
    address: str
    ends_at_seconds: int
    token: bytes = field(repr=False)


@dataclass(frozen=True)
class Invitation:
    """An invitation as the coordinator has it; what was asked is signed by who has asked.

    Attributes:
        words: of what was asked, computed here where it waits for a decision.
    """

    participant: str
    roles: tuple[str, ...]
    state: str
    ends_at_seconds: int
    words: str
    organisation: str
    decided_by: str
    asked: Asked | None = field(default=None, repr=False)


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
        """Return every invitation, by participant, oldest first: page after page.

        Raises:
            WrongContext: a page does not lead on, or says other words than the request's.
            MalformedMessage, InvalidSignature: nobody has asked what is shown as asked.
        """
        listed: list[Invitation] = []
        after = ""
        while True:
            asked = operator_pb2.ListInvitationsRequest(after=after)
            page = await self._coordinator.call(
                self._stub.ListInvitations(asked, timeout=CALL_SECONDS)
            )
            listed += [await asyncio.to_thread(_invitation, each) for each in page.invitations]
            if not page.next:
                return listed
            if not page.invitations or page.next == after:
                raise WrongContext("the coordinator's list of invitations does not end")
            after = page.next

    async def decide(self, participant: str, words: str, reason: str, *, approve: bool) -> None:
        """Approve a request, or refuse it."""
        asked = operator_pb2.DecideRequest(
            participant=participant, approve=approve, words=words, reason=reason
        )
        await self._coordinator.call(self._stub.Decide(asked, timeout=CALL_SECONDS))

    async def found(self, agrees: Callable[[Roster], bool]) -> tuple[Roster, bool]:
        """Close version 0, and sign it as the operator that is in it; return it, and whether so.

        Args:
            agrees: shows it to whoever sits here, and returns whether it is to be signed.

        Raises:
            WrongContext: it is no version 0, of another federation, not the one that was closed,
                or has another entry for this operator than its own.
            MalformedMessage, RosterRefused: members could not sign it.
            ConfigError: this operator's own entry is missing.
        """
        asked = operator_pb2.CloseFoundingRequest()
        closed = await self._coordinator.call(self._stub.CloseFounding(asked, timeout=CALL_SECONDS))
        first, *_ = await self._coordinator.roster(closed.fingerprint)
        self._check_first(first.roster, closed.fingerprint)
        if self._config.participant in first.signatures:
            agrees(first.roster)
            return first.roster, True
        agreed = agrees(first.roster)
        if agreed:
            key = load_keys(self._config.state / "keys").signing
            signature = sign(key, Purpose.ROSTER, canonical.encode(first.roster))
            await self._coordinator.sign_roster(0, signature)
        return first.roster, agreed

    async def reopen(self, fingerprint: str, reason: str) -> None:
        """Open the version 0 of that fingerprint again, unless all of its members have signed."""
        asked = operator_pb2.ReopenFoundingRequest(fingerprint=fingerprint, reason=reason)
        await self._coordinator.call(self._stub.ReopenFounding(asked, timeout=CALL_SECONDS))

    def _check_first(self, first: Roster, closed: str) -> None:
        me = self._config.participant
        roster.check_first(first)
        if first.digest() != closed or first.federation != self._config.federation:
            raise WrongContext("the coordinator shows another roster than the one it has closed")
        check_entry(first.member(me), require_entry(self._config.state))
        check_entries(first)

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
            each.participant: each.asked.entry
            for each in await self.invitations()
            if each.asked is not None and each.state == "approved"
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


def _invitation(each: operator_pb2.Invitation) -> Invitation:
    asked = canonical.decode(each.asked, Asked) if each.asked else None
    if asked is not None:
        _check_asked(each, asked)
    return Invitation(
        each.participant,
        tuple(each.roles),
        each.state,
        each.ends_at_seconds,
        each.words,
        each.organisation,
        each.decided_by,
        asked,
    )


def _check_asked(each: operator_pb2.Invitation, asked: Asked) -> None:
    """Return if a listed request is its member's own, and has the words that are listed with it."""
    asked.check(each.proof)
    if (asked.entry.participant, asked.entry.organisation) != (each.participant, each.organisation):
        raise WrongContext(f"the coordinator shows as {each.participant} what another has asked")
    if each.state == "asked" and asked.words() != each.words:
        raise WrongContext(
            f"the coordinator shows other words for {each.participant} than its request has; "
            "approve nothing, and look at who runs the coordinator"
        )


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
        await _renew(Rotation(config, keys, connections, coordinator, os.urandom))
        yield Operator(config, coordinator)
    finally:
        await coordinator.close()


async def _renew(rotation: Rotation) -> None:
    """Renew an operator's certificate, by the first command after half of its life.

    One that lives for longer than two weeks is used until its last: what it is renewed to may live
    for a day, and no process of an operator's goes on to renew it.

    Raises:
        VeilsumError: it has ended, and was not renewed.
    """
    if not _is_due(rotation):
        return
    try:
        with holding(rotation.config.state):
            await _renew_or_take(rotation)
    except VeilsumError as error:
        if rotation.clock() >= _end(rotation):
            raise
        # What was asked for does not need it; the next command tries again.
        log.warning("certificate_not_renewed", code=error.code, reason=str(error))


async def _renew_or_take(rotation: Rotation) -> None:
    """Renew, unless another command of this operator's has done it meanwhile."""
    place = rotation.config.state / "keys"
    kept = newest(rotation.config.coordinator, load_keys(place))
    if kept != rotation.connections.certificate:
        rotation.connections.take_over(kept)
    if _is_due(rotation):
        await rotation.renew()


def _is_due(rotation: Rotation) -> bool:
    begin, _ = times(rotation.connections.certificate.certificate_pem)
    end = _end(rotation)
    half = (end - begin.timestamp()) / 2
    return rotation.clock() >= end - min(half, RENEWABLE_SECONDS)


def _end(rotation: Rotation) -> float:
    return times(rotation.connections.certificate.certificate_pem)[1].timestamp()
