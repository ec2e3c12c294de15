"""What an operator asks: whom to invite, to enrol, to shut out."""

import asyncio
from collections.abc import Callable

from coordinator.members.invitations import Invitation
from coordinator.members.office import Office
from coordinator.members.rosters import Rosters
from privacy.errors import MalformedMessage
from privacy.roster import Member
from veilsum.v1 import operator_pb2, operator_pb2_grpc

from .tls import Context, peer_identity

_LONGEST_REASON = 500


class OperatorServicer(operator_pb2_grpc.OperatorServiceServicer):
    """Enrolment, revocation and the list of members."""

    def __init__(
        self, office: Callable[[], Office], joining: str, now: Callable[[], float]
    ) -> None:
        self._office = office
        self._joining = joining
        self._now = now

    async def Invite(
        self, request: operator_pb2.InviteRequest, context: Context
    ) -> operator_pb2.InviteResponse:
        """Make an invitation."""
        caller = peer_identity(context).id
        made = await asyncio.to_thread(
            self._office().enrolment.invite,
            caller,
            request.participant,
            tuple(request.roles),
            request.ttl_seconds,
        )
        return operator_pb2.InviteResponse(
            token=made.token,
            authority_fingerprint=bytes.fromhex(made.authority),
            address=self._joining,
            ends_at_seconds=made.ends_at,
        )

    async def ListInvitations(
        self, request: operator_pb2.ListInvitationsRequest, context: Context
    ) -> operator_pb2.ListInvitationsResponse:
        """Return a page of the invitations."""
        page = await asyncio.to_thread(self._office().enrolment.page, request.after)
        now = self._now()
        listed = [_invitation_to_wire(each, now) for each in page.invitations]
        return operator_pb2.ListInvitationsResponse(invitations=listed, next=page.next)

    async def Decide(
        self, request: operator_pb2.DecideRequest, context: Context
    ) -> operator_pb2.DecideResponse:
        """Approve a request, or refuse it."""
        caller = peer_identity(context).id
        await asyncio.to_thread(
            self._office().enrolment.decide,
            caller,
            request.participant,
            request.approve,
            request.words,
            _reason(request.reason),
        )
        return operator_pb2.DecideResponse()

    async def CloseFounding(
        self, request: operator_pb2.CloseFoundingRequest, context: Context
    ) -> operator_pb2.CloseFoundingResponse:
        """Close version 0."""
        caller = peer_identity(context).id
        found = await asyncio.to_thread(self._office().proposals.close_founding, caller)
        return operator_pb2.CloseFoundingResponse(fingerprint=found)

    async def ReopenFounding(
        self, request: operator_pb2.ReopenFoundingRequest, context: Context
    ) -> operator_pb2.ReopenFoundingResponse:
        """Open version 0 again, while it lacks signatures."""
        caller = peer_identity(context).id
        which, why = request.fingerprint, _reason(request.reason)
        await asyncio.to_thread(self._office().proposals.reopen_founding, caller, which, why)
        return operator_pb2.ReopenFoundingResponse()

    async def Propose(
        self, request: operator_pb2.ProposeRequest, context: Context
    ) -> operator_pb2.ProposeResponse:
        """Put the next version before the trainers."""
        caller = peer_identity(context).id
        found = await asyncio.to_thread(self._office().proposals.propose, caller, request.roster)
        return operator_pb2.ProposeResponse(fingerprint=found)

    async def Revoke(
        self, request: operator_pb2.RevokeRequest, context: Context
    ) -> operator_pb2.RevokeResponse:
        """Shut a member out."""
        caller = peer_identity(context).id
        who, why = request.participant, _reason(request.reason)
        await asyncio.to_thread(self._office().enrolment.revoke, caller, who, why)
        return operator_pb2.RevokeResponse()

    async def ListMembers(
        self, request: operator_pb2.ListMembersRequest, context: Context
    ) -> operator_pb2.ListMembersResponse:
        """Return every member of the roster, or of what is to become it."""
        entries = await asyncio.to_thread(_members, self._office().rosters)
        ends = await asyncio.to_thread(self._office().issuing.ends)
        listed = [self._seen_to_wire(each, ends) for each in entries]
        return operator_pb2.ListMembersResponse(members=listed)

    def _seen_to_wire(self, member: Member, ends: dict[str, float]) -> operator_pb2.SeenMember:
        name = member.participant
        office = self._office()
        seen, revoked = office.seen.of(name), office.revocations.of(name)
        return operator_pb2.SeenMember(
            participant=name,
            organisation=member.organisation,
            roles=[str(role) for role in member.roles],
            last_seen_seconds=int(seen.at) if seen else 0,
            release=seen.release if seen else "",
            certified_until_seconds=int(ends.get(name, 0)),
            revoked=revoked.reason if revoked else "",
        )


def _members(rosters: Rosters) -> tuple[Member, ...]:
    return (rosters.current() if rosters.is_founded() else rosters.draft).members


def _reason(text: str) -> str:
    if len(text) > _LONGEST_REASON or not text.isprintable():
        raise MalformedMessage(f"a reason is one line of at most {_LONGEST_REASON} characters")
    return text


def _invitation_to_wire(found: Invitation, now: float) -> operator_pb2.Invitation:
    return operator_pb2.Invitation(
        participant=found.participant,
        roles=[str(role) for role in found.roles],
        state=str(found.state(now)),
        ends_at_seconds=found.ends_at,
        words=found.words,
        organisation=found.asked.entry.organisation if found.asked else "",
        decided_by=found.decided_by,
        asked=found.asked.body() if found.asked else b"",
        proof=found.proof,
    )
