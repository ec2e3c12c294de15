"""The gRPC methods: decode, delegate, encode. Identity comes from the certificate."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from typing import Any

from privacy import canonical
from privacy.errors import MalformedMessage, NotYet
from privacy.records import SealedModel, Sum
from veilsum.v1 import (
    cohort_pb2,
    cohort_pb2_grpc,
    contribution_pb2,
    contribution_pb2_grpc,
    document_pb2,
    enrolment_pb2,
    enrolment_pb2_grpc,
    model_pb2,
    model_pb2_grpc,
    round_pb2,
    round_pb2_grpc,
    settlement_pb2,
    settlement_pb2_grpc,
)

from . import codec, programme
from .service import Service
from .settlement import Settlement, participation
from .tls import Context, peer_identity
from .watch import Watch

LONGEST_WAIT_SECONDS = 10.0
MOST_LIVE_ROUNDS = 4


class EnrolmentServicer(enrolment_pb2_grpc.EnrolmentServiceServicer):
    """The roster: given out, and signed."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def GetRoster(
        self, request: enrolment_pb2.GetRosterRequest, context: Context
    ) -> enrolment_pb2.GetRosterResponse:
        """Return every version of the roster."""
        versions = await asyncio.to_thread(self._service.rosters.versions)
        return enrolment_pb2.GetRosterResponse(versions=codec.rosters_to_wire(versions))

    async def SignRoster(
        self, request: enrolment_pb2.SignRosterRequest, context: Context
    ) -> enrolment_pb2.SignRosterResponse:
        """Take the caller's signature."""
        caller = peer_identity(context).id
        await asyncio.to_thread(
            self._service.rosters.sign, caller, request.version, request.signature
        )
        return enrolment_pb2.SignRosterResponse()


class RoundServicer(round_pb2_grpc.RoundServiceServicer):
    """Rounds, their keys and their plans."""

    def __init__(self, service: Service, settlement: Settlement | None, watch: Watch) -> None:
        self._service = service
        self._settlement = settlement
        self._watch = watch

    async def WatchRounds(
        self, request: round_pb2.WatchRoundsRequest, context: Context
    ) -> round_pb2.WatchRoundsResponse:
        """Return the live rounds, once they differ from what the caller has seen."""
        for number in request.working_on[:MOST_LIVE_ROUNDS]:
            self._service.worked(peer_identity(context).id, number)
        await self._watch.beyond(request.seen, min(request.wait_seconds, LONGEST_WAIT_SECONDS))
        revision, rounds = self._service.revision, self._service.rounds()
        return round_pb2.WatchRoundsResponse(
            revision=revision,
            rounds=codec.statuses_to_wire(rounds),
            finished=self._service.finished(),
            halted=self._service.halted(),
            released=programme.last_released(rounds),
            settles=self._settlement is not None,
            settled=self._settlement is not None and self._settlement.is_done(),
        )

    async def GetKey(
        self, request: round_pb2.GetKeyRequest, context: Context
    ) -> round_pb2.GetKeyResponse:
        """Return the key of a round, or what it must be made for."""
        caller = peer_identity(context).id
        return await asyncio.to_thread(self._key, caller, request.round)

    def _key(self, caller: str, number: int) -> round_pb2.GetKeyResponse:
        order = self._service.key_specification(number)
        try:
            record, public_key = self._service.key(number)
        except NotYet:
            return round_pb2.GetKeyResponse(order=order)
        return round_pb2.GetKeyResponse(
            order=order,
            record=codec.signed_to_wire(record),
            public_key=public_key,
            sealed_secret=self._service.sealed_secret(number, caller),
        )

    async def OfferKey(
        self, request: round_pb2.OfferKeyRequest, context: Context
    ) -> round_pb2.OfferKeyResponse:
        """Take a key from the opener whose turn it is."""
        caller, signed = peer_identity(context).id, codec.signed_from_wire(request.record)
        sealed = tuple(request.sealed_secrets)
        await asyncio.to_thread(self._service.offer_key, caller, signed, request.public_key, sealed)
        return round_pb2.OfferKeyResponse()

    async def SignKey(
        self, request: round_pb2.SignKeyRequest, context: Context
    ) -> round_pb2.SignKeyResponse:
        """Take an opener's signature on the key record."""
        caller = peer_identity(context).id
        await asyncio.to_thread(self._service.sign_key, caller, request.round, request.signature)
        return round_pb2.SignKeyResponse()

    async def RefuseRound(
        self, request: round_pb2.RefuseRoundRequest, context: Context
    ) -> round_pb2.RefuseRoundResponse:
        """Take an opener's refusal."""
        caller = peer_identity(context).id
        await asyncio.to_thread(self._service.refuse, caller, request.round, request.code)
        return round_pb2.RefuseRoundResponse()

    async def GetPlan(
        self, request: round_pb2.GetPlanRequest, context: Context
    ) -> round_pb2.GetPlanResponse:
        """Return the signed plan."""
        plan, signature = await asyncio.to_thread(self._service.plan, request.round)
        return round_pb2.GetPlanResponse(
            arithmetic=plan.arithmetic.encode(),
            terms=canonical.encode(plan.terms),
            signature=signature,
        )


class ContributionServicer(contribution_pb2_grpc.ContributionServiceServicer):
    """Uploads."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def BeginContribution(
        self, request: contribution_pb2.BeginContributionRequest, context: Context
    ) -> contribution_pb2.BeginContributionResponse:
        """Open the caller's upload, or find it again."""
        caller, signed = peer_identity(context).id, codec.signed_from_wire(request.header)
        offset = await asyncio.to_thread(self._service.begin, caller, signed)
        return contribution_pb2.BeginContributionResponse(
            chunks=offset.chunks, committed=offset.committed
        )

    async def GetOffset(
        self, request: contribution_pb2.GetOffsetRequest, context: Context
    ) -> contribution_pb2.GetOffsetResponse:
        """Return how much of the caller's upload is durable."""
        caller = peer_identity(context).id
        offset = await asyncio.to_thread(self._service.offset, caller, request.round)
        return contribution_pb2.GetOffsetResponse(chunks=offset.chunks, committed=offset.committed)

    async def PutChunks(
        self, request: AsyncIterator[contribution_pb2.PutChunksRequest], context: Context
    ) -> AsyncIterator[contribution_pb2.PutChunksResponse]:
        """Make each chunk durable, then say so."""
        caller = peer_identity(context).id
        async for part in request:
            chunks = await asyncio.to_thread(
                self._service.put_chunk, caller, part.round, part.piece, part.chunk, part.payload
            )
            yield contribution_pb2.PutChunksResponse(piece=part.piece, chunks=chunks)

    async def CommitContribution(
        self, request: contribution_pb2.CommitContributionRequest, context: Context
    ) -> contribution_pb2.CommitContributionResponse:
        """Count the caller's contribution."""
        caller = peer_identity(context).id
        receipt = await asyncio.to_thread(self._service.commit, caller, request.round)
        return contribution_pb2.CommitContributionResponse(receipt=codec.signed_to_wire(receipt))


class CohortServicer(cohort_pb2_grpc.CohortServiceServicer):
    """Cohorts and sums."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def GetCohort(
        self, request: cohort_pb2.GetCohortRequest, context: Context
    ) -> cohort_pb2.GetCohortResponse:
        """Return the frozen cohort."""
        cohort, headers = await asyncio.to_thread(self._service.cohort, request.round)
        return cohort_pb2.GetCohortResponse(
            cohort=codec.signed_to_wire(cohort),
            contributions=[codec.signed_to_wire(header) for header in headers],
        )

    async def GetSum(
        self, request: cohort_pb2.GetSumRequest, context: Context
    ) -> AsyncIterator[cohort_pb2.GetSumResponse]:
        """Stream the protected sum behind its manifest."""
        signed = await asyncio.to_thread(self._service.sum, request.round)
        yield cohort_pb2.GetSumResponse(manifest=codec.signed_to_wire(signed))
        chunks = canonical.decode(signed.body, Sum).chunks
        for chunk in range(request.from_chunk, chunks):
            payload = await asyncio.to_thread(self._service.sum_chunk, request.round, chunk)
            yield cohort_pb2.GetSumResponse(chunk=payload)


class ModelServicer(model_pb2_grpc.ModelServiceServicer):
    """Sealed models and releases."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def PutSealedModel(
        self, request: AsyncIterator[model_pb2.PutSealedModelRequest], context: Context
    ) -> model_pb2.PutSealedModelResponse:
        """Store a sealed model whose chunks hash to what its envelope says."""
        caller, signed, sealed = peer_identity(context).id, None, None
        digests: list[bytes] = []
        length = 0
        async for part in request:
            if signed is None or sealed is None:
                signed = codec.signed_from_wire(_envelope(part))
                sealed = await asyncio.to_thread(self._service.begin_model, caller, signed)
                continue
            digests.append(hashlib.sha256(part.chunk).digest())
            length += len(part.chunk)
            if len(digests) > sealed.chunks or length > sealed.length:
                await asyncio.to_thread(self._service.drop_model, sealed)
                raise MalformedMessage(
                    f"a sealed model of more than {sealed.chunks} chunks or {sealed.length} bytes"
                )
            index = len(digests) - 1
            await asyncio.to_thread(self._service.put_model_chunk, sealed, index, part.chunk)
        if signed is None or sealed is None:
            raise MalformedMessage("a sealed model without its envelope")
        if length != sealed.length or not _is_whole(sealed, digests):
            await asyncio.to_thread(self._service.drop_model, sealed)
            raise MalformedMessage(f"{caller}: chunks that do not hash to what the envelope says")
        await asyncio.to_thread(self._service.finish_model, sealed, signed)
        return model_pb2.PutSealedModelResponse()

    async def GetSealedModel(
        self, request: model_pb2.GetSealedModelRequest, context: Context
    ) -> AsyncIterator[model_pb2.GetSealedModelResponse]:
        """Stream a sealed model behind its envelope."""
        signed = await asyncio.to_thread(self._service.sealed_model, request.round)
        yield model_pb2.GetSealedModelResponse(envelope=codec.signed_to_wire(signed))
        for chunk in range(canonical.decode(signed.body, SealedModel).chunks):
            payload = await asyncio.to_thread(self._service.model_chunk, request.round, chunk)
            yield model_pb2.GetSealedModelResponse(chunk=payload)

    async def SignRelease(
        self, request: model_pb2.SignReleaseRequest, context: Context
    ) -> model_pb2.SignReleaseResponse:
        """Take an opener's signature on the release."""
        caller, signed = peer_identity(context).id, codec.signed_from_wire(request.release)
        await asyncio.to_thread(self._service.sign_release, caller, signed)
        return model_pb2.SignReleaseResponse()

    async def GetRelease(
        self, request: model_pb2.GetReleaseRequest, context: Context
    ) -> model_pb2.GetReleaseResponse:
        """Return the release with the signatures it has."""
        signed = await asyncio.to_thread(self._service.release, request.round)
        return model_pb2.GetReleaseResponse(release=codec.signed_to_wire(signed))


class SettlementServicer(settlement_pb2_grpc.SettlementServiceServicer):
    """Payouts."""

    def __init__(self, service: Service, settlement: Settlement | None) -> None:
        self._service = service
        self._settlement = settlement

    async def GetPayout(
        self, request: settlement_pb2.GetPayoutRequest, context: Context
    ) -> settlement_pb2.GetPayoutResponse:
        """Return the caller's leaf and proof, and nobody else's."""
        if self._settlement is None:
            raise NotYet("this programme is not settled on a chain")
        return await asyncio.to_thread(self._payout, self._settlement, peer_identity(context).id)

    def _payout(self, settlement: Settlement, caller: str) -> settlement_pb2.GetPayoutResponse:
        entitlement, contract = settlement.payout(caller)
        rounds = participation(self._service.rounds()).get(caller, 0)
        return codec.payout_to_wire(entitlement, contract, rounds)


def _envelope(part: Any) -> document_pb2.SignedDocument:  # noqa: ANN401
    if part.WhichOneof("part") != "envelope":
        raise MalformedMessage("a sealed model begins with its envelope")
    envelope: document_pb2.SignedDocument = part.envelope
    return envelope


def _is_whole(sealed: SealedModel, digests: list[bytes]) -> bool:
    return (
        len(digests) == sealed.chunks
        and hashlib.sha256(b"".join(digests)).hexdigest() == sealed.ciphertext
    )
