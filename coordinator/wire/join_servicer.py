"""The methods for callers without a certificate: each proves itself by what it sends."""

import asyncio
from typing import Final

from coordinator.members.enrolment import Enrolment
from coordinator.members.invitations import Invitation, State
from veilsum.v1 import joining_pb2, joining_pb2_grpc

from .codec import pem_from_wire
from .pace import Pace
from .tls import Context

_STATES = {
    State.APPROVED: joining_pb2.ENROLMENT_STATE_APPROVED,
    State.REFUSED: joining_pb2.ENROLMENT_STATE_REFUSED,
}

AUTHORITY_AT_ONCE: Final = 20
"""How often one address may ask for the authority at once."""

AUTHORITY_PER_SECOND: Final = 5.0


class JoinServicer(joining_pb2_grpc.JoinServiceServicer):
    """Requests to be enrolled, and to be certified again."""

    def __init__(self, enrolment: Enrolment, addresses: tuple[str, ...], pace: Pace) -> None:
        self._enrolment = enrolment
        self._addresses = addresses
        self._pace = pace
        # Of its own: who joins asks for the authority first, and has its turn for the token left.
        # Faster: it costs nothing, and `veilsum doctor` asks six times.
        self._pace_of_authority = Pace(pace.monotonic, AUTHORITY_AT_ONCE, AUTHORITY_PER_SECOND)

    async def GetAuthority(
        self, request: joining_pb2.GetAuthorityRequest, context: Context
    ) -> joining_pb2.GetAuthorityResponse:
        """Return the certificate of the authority that issues, which members trust."""
        self._pace_of_authority.take(str(context.peer()))
        authority = self._enrolment.issuing.authority.certificate_pem
        return joining_pb2.GetAuthorityResponse(authority=authority)

    async def RequestEnrolment(
        self, request: joining_pb2.RequestEnrolmentRequest, context: Context
    ) -> joining_pb2.RequestEnrolmentResponse:
        """Take a request, or return what was decided on it."""
        self._pace.take(str(context.peer()))
        found = await asyncio.to_thread(
            self._enrolment.request,
            request.token,
            request.entry,
            pem_from_wire(request.certificate_request),
            request.proof,
        )
        return self._answer(found)

    async def RenewEnded(
        self, request: joining_pb2.RenewEndedRequest, context: Context
    ) -> joining_pb2.RenewEndedResponse:
        """Return a new certificate to whoever signs with a member's key."""
        self._pace.take(str(context.peer()))
        made = await asyncio.to_thread(
            self._enrolment.renew_ended,
            request.participant,
            pem_from_wire(request.certificate_request),
            request.at_seconds,
            request.proof,
        )
        return joining_pb2.RenewEndedResponse(certificate=made.encode())

    def _answer(self, found: Invitation) -> joining_pb2.RequestEnrolmentResponse:
        if found.decision is None:
            pending = joining_pb2.ENROLMENT_STATE_PENDING
            return joining_pb2.RequestEnrolmentResponse(state=pending)
        approved = found.decision is State.APPROVED
        return joining_pb2.RequestEnrolmentResponse(
            state=_STATES[found.decision],
            certificate=found.certificate.encode(),
            addresses=self._addresses if approved else (),
            reason=found.reason,
            decided_by=found.decided_by,
        )
