"""The gRPC methods: decode, delegate, encode. Identity comes from the certificate."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import grpc.aio

from coordinator.intake.contributions import Contributions
from coordinator.members.office import Office
from coordinator.members.rosters import Rosters
from coordinator.opening.model_upload import ModelUpload
from coordinator.opening.models import Models
from coordinator.opening.sums import Sums
from coordinator.rounds import programme
from coordinator.rounds.standing import Rounds
from coordinator.rounds.verify import round_of
from coordinator.rounds.watch import Watch
from coordinator.service import Service
from coordinator.settling.settlement import Settlement, participation
from coordinator.settling.shown import Shown
from privacy import canonical
from privacy.errors import MalformedMessage, NotYet
from privacy.records import SealedModel, Sum
from veilsum.metrics.book import Book
from veilsum.metrics.catalogue import CHUNK_COMMIT_SECONDS, UPLOAD_RECEIVED
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

from . import codec
from .certified import certified
from .credits import Credit, Transfers
from .threads import Signing
from .tls import Context, peer_identity

LONGEST_WAIT_SECONDS = 10.0
MOST_LIVE_ROUNDS = 4


_Settling = TypeVar("_Settling")

_END: Final = grpc.aio.EOF  # type: ignore[attr-defined]  # the stubs lack it


@dataclass
class _Part:
    """A part of a chunk as it came: round, piece and chunk; its bytes, until they are taken."""

    place: tuple[int, int, int]
    offset: int
    length: int
    payload: bytes = field(repr=False)

    def take(self) -> bytes:
        """Return the bytes, and keep them no longer."""
        payload, self.payload = self.payload, b""
        return payload


class EnrolmentServicer(enrolment_pb2_grpc.EnrolmentServiceServicer):
    """The roster: given out, and signed; and certificates made again."""

    def __init__(self, rosters: Rosters, office: Callable[[], Office]) -> None:
        self._rosters = rosters
        self._office = office

    async def GetRoster(
        self, request: enrolment_pb2.GetRosterRequest, context: Context
    ) -> enrolment_pb2.GetRosterResponse:
        """Return the versions of the roster from one on, as many as a message holds."""
        versions = await asyncio.to_thread(self._rosters.versions)
        wanted = codec.rosters_to_wire(versions[request.from_version :])
        fit = codec.fitting(wanted, codec.MOST_AT_ONCE)
        return enrolment_pb2.GetRosterResponse(versions=fit, count=len(versions))

    async def SignRoster(
        self, request: enrolment_pb2.SignRosterRequest, context: Context
    ) -> enrolment_pb2.SignRosterResponse:
        """Take the caller's signature."""
        caller = peer_identity(context).id
        await asyncio.to_thread(self._rosters.sign, caller, request.version, request.signature)
        return enrolment_pb2.SignRosterResponse()

    async def GetProposal(
        self, request: enrolment_pb2.GetProposalRequest, context: Context
    ) -> enrolment_pb2.GetProposalResponse:
        """Return the version that is before the trainers; then the proofs of its entries."""
        proofs = await asyncio.to_thread(self._office().proposals.proofs)
        if request.from_proof:
            wanted = codec.proofs_to_wire(proofs[request.from_proof - 1 :])
            fit = codec.fitting(wanted, codec.MOST_AT_ONCE)
            return enrolment_pb2.GetProposalResponse(proofs=fit, proof_count=len(proofs))
        proposed = await asyncio.to_thread(self._office().proposals.proposed)
        if proposed is None:
            return enrolment_pb2.GetProposalResponse()
        [roster] = codec.rosters_to_wire([proposed])
        return enrolment_pb2.GetProposalResponse(roster=roster, proof_count=len(proofs))

    async def SignProposal(
        self, request: enrolment_pb2.SignProposalRequest, context: Context
    ) -> enrolment_pb2.SignProposalResponse:
        """Take the caller's signature on it."""
        caller, signature = peer_identity(context).id, request.signature
        proposals = self._office().proposals
        await asyncio.to_thread(proposals.sign, caller, request.fingerprint, signature)
        return enrolment_pb2.SignProposalResponse()

    async def RenewCertificate(
        self, request: enrolment_pb2.RenewCertificateRequest, context: Context
    ) -> enrolment_pb2.RenewCertificateResponse:
        """Return a new certificate for the caller."""
        caller = certified(context)
        made = await asyncio.to_thread(
            self._office().enrolment.renew,
            caller.peer.id,
            codec.pem_from_wire(request.certificate_request),
            request.at_seconds,
            request.proof,
            caller.begins_at,
        )
        return enrolment_pb2.RenewCertificateResponse(certificate=made.encode())


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
        caller = peer_identity(context).id
        self._service.starts.hear(caller, request.start)
        for number in request.working_on[:MOST_LIVE_ROUNDS]:
            self._service.rounds.worked(caller, number)
        await self._watch.beyond(request.seen, min(request.wait_seconds, LONGEST_WAIT_SECONDS))
        revision, rounds = self._service.rounds.revision, self._service.rounds.all()
        return round_pb2.WatchRoundsResponse(
            revision=revision,
            rounds=codec.statuses_to_wire(rounds, self._service.arrivals.seconds_left),
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
        order = self._service.keying.specification(number)
        try:
            record, public_key = self._service.keying.key(number)
        except NotYet:
            return round_pb2.GetKeyResponse(order=order)
        return round_pb2.GetKeyResponse(
            order=order,
            record=codec.signed_to_wire(record),
            public_key=public_key,
            sealed_secret=self._service.keying.sealed_secret(number, caller),
        )

    async def OfferKey(
        self, request: round_pb2.OfferKeyRequest, context: Context
    ) -> round_pb2.OfferKeyResponse:
        """Take a key from the opener whose turn it is."""
        caller, signed = peer_identity(context).id, codec.signed_from_wire(request.record)
        sealed = tuple(request.sealed_secrets)
        await asyncio.to_thread(
            self._service.keying.offer, caller, signed, request.public_key, sealed
        )
        return round_pb2.OfferKeyResponse()

    async def SignKey(
        self, request: round_pb2.SignKeyRequest, context: Context
    ) -> round_pb2.SignKeyResponse:
        """Take an opener's signature on the key record."""
        caller = peer_identity(context).id
        await asyncio.to_thread(self._service.keying.sign, caller, request.round, request.signature)
        return round_pb2.SignKeyResponse()

    async def RefuseRound(
        self, request: round_pb2.RefuseRoundRequest, context: Context
    ) -> round_pb2.RefuseRoundResponse:
        """Take an opener's or the auditor's refusal."""
        caller = peer_identity(context).id
        await asyncio.to_thread(self._service.refuse, caller, request.round, request.code)
        return round_pb2.RefuseRoundResponse()

    async def GetPlan(
        self, request: round_pb2.GetPlanRequest, context: Context
    ) -> round_pb2.GetPlanResponse:
        """Return the signed plan."""
        kept = await asyncio.to_thread(self._service.plan_as_kept, request.round)
        arithmetic, terms, signature = kept
        return round_pb2.GetPlanResponse(arithmetic=arithmetic, terms=terms, signature=signature)


class ContributionServicer(contribution_pb2_grpc.ContributionServiceServicer):
    """Uploads."""

    def __init__(
        self, contributions: Contributions, transfers: Transfers, book: Book | None = None
    ) -> None:
        self._contributions = contributions
        self._book = book or Book()
        self._transfers = transfers

    async def BeginContribution(
        self, request: contribution_pb2.BeginContributionRequest, context: Context
    ) -> contribution_pb2.BeginContributionResponse:
        """Open the caller's upload, or find it again."""
        caller, signed = peer_identity(context).id, codec.signed_from_wire(request.header)
        masks, parts = tuple(request.sealed_masks), tuple(request.sealed_parts)
        offset = await asyncio.to_thread(self._contributions.begin, caller, signed, masks, parts)
        return contribution_pb2.BeginContributionResponse(
            chunks=offset.chunks,
            committed=offset.committed,
            parts=True,
            bytes=self._transfers.held(caller, round_of(signed), offset.chunks),
        )

    async def GetOffset(
        self, request: contribution_pb2.GetOffsetRequest, context: Context
    ) -> contribution_pb2.GetOffsetResponse:
        """Return how much of the caller's upload is durable."""
        caller = peer_identity(context).id
        offset = await asyncio.to_thread(self._contributions.offset, caller, request.round)
        return contribution_pb2.GetOffsetResponse(chunks=offset.chunks, committed=offset.committed)

    async def PutChunks(
        self, request: AsyncIterator[contribution_pb2.PutChunksRequest], context: Context
    ) -> AsyncIterator[contribution_pb2.PutChunksResponse]:
        """Make each chunk durable, then say so; of a part of one, say that it is here."""
        caller, is_whole = peer_identity(context).id, True
        with self._transfers.stream(caller):
            while is_whole:
                async with self._transfers.sending(caller) as credit:
                    is_whole = False
                    while not is_whole and (part := await self._read(context)) is not None:
                        answer = await self._took(caller, part, credit)
                        is_whole = not answer.bytes
                        yield answer

    async def _read(self, context: Context) -> _Part | None:
        """Return the next part of an upload, and keep nothing of the message it came in.

        Of a hundred uploads each copy that waits with them is a hundred MiB: iterating over the
        requests would keep every message until the next one is there.
        """
        message: Any = await context.read()
        if message is _END:
            return None
        place = (message.round, message.piece, message.chunk)
        return _Part(place, message.offset, message.length, message.payload)

    async def _took(
        self, caller: str, part: _Part, credit: Credit
    ) -> contribution_pb2.PutChunksResponse:
        number, piece, chunk = part.place
        payload = part.take()
        self._book.add(UPLOAD_RECEIVED, len(payload), caller)
        if part.length:
            here = part.offset + len(payload)
            whole = self._transfers.add(
                caller, part.place, part.offset, part.length, payload, credit
            )
            self._contributions.arrived(caller, number, here)
            if whole is None:
                return contribution_pb2.PutChunksResponse(piece=piece, chunks=chunk, bytes=here)
            payload = whole
        else:
            self._transfers.uploads.move(credit, len(payload))
        began = time.perf_counter()
        chunks = await self._transfers.run(
            self._contributions.put_chunk, caller, *part.place, payload
        )
        self._book.observe(CHUNK_COMMIT_SECONDS, time.perf_counter() - began)
        return contribution_pb2.PutChunksResponse(piece=piece, chunks=chunks)

    async def CommitContribution(
        self, request: contribution_pb2.CommitContributionRequest, context: Context
    ) -> contribution_pb2.CommitContributionResponse:
        """Count the caller's contribution."""
        caller = peer_identity(context).id
        receipt = await asyncio.to_thread(self._contributions.commit, caller, request.round)
        return contribution_pb2.CommitContributionResponse(receipt=codec.signed_to_wire(receipt))

    async def GetCheckpoint(
        self, request: contribution_pb2.GetCheckpointRequest, context: Context
    ) -> contribution_pb2.GetCheckpointResponse:
        """Return the caller's newest header, if it has one."""
        caller = peer_identity(context).id
        header = await asyncio.to_thread(self._contributions.newest, caller)
        if header is None:
            return contribution_pb2.GetCheckpointResponse()
        return contribution_pb2.GetCheckpointResponse(header=codec.signed_to_wire(header))


class CohortServicer(cohort_pb2_grpc.CohortServiceServicer):
    """Cohorts, sums and their audit."""

    def __init__(self, sums: Sums, transfers: Transfers) -> None:
        self._sums = sums
        self._transfers = transfers

    async def GetCohort(
        self, request: cohort_pb2.GetCohortRequest, context: Context
    ) -> cohort_pb2.GetCohortResponse:
        """Return the frozen cohort, and headers from one on, as many as a message holds."""
        caller, first = peer_identity(context).id, request.from_entry
        signed, headers = await asyncio.to_thread(self._sums.cohort, caller, request.round)
        cohort = None if first else codec.signed_to_wire(signed)
        room = codec.MOST_AT_ONCE - (cohort.ByteSize() if cohort else 0)
        wanted = [codec.signed_to_wire(header) for header in headers[first:]]
        return cohort_pb2.GetCohortResponse(
            cohort=cohort, contributions=codec.fitting(wanted, room), count=len(headers)
        )

    async def GetSum(
        self, request: cohort_pb2.GetSumRequest, context: Context
    ) -> AsyncIterator[cohort_pb2.GetSumResponse]:
        """Stream the protected sum behind its manifest."""
        caller, number = peer_identity(context).id, request.round
        signed = await asyncio.to_thread(self._sums.manifest, caller, number)
        yield cohort_pb2.GetSumResponse(manifest=codec.signed_to_wire(signed))
        chunks = canonical.decode(signed.body, Sum).chunks
        with self._transfers.stream(caller):
            for chunk in range(request.from_chunk, chunks):
                async with self._transfers.downloads.one(caller):
                    payload = await self._transfers.run(self._sums.chunk, caller, number, chunk)
                    yield cohort_pb2.GetSumResponse(chunk=payload)

    async def GetMasks(
        self, request: cohort_pb2.GetMasksRequest, context: Context
    ) -> AsyncIterator[cohort_pb2.GetMasksResponse]:
        """Stream the sealed secrets of the cohort's masks, each to the opener it is sealed to."""
        caller = peer_identity(context).id
        for participant, sealed in await asyncio.to_thread(self._sums.masks, caller, request.round):
            yield cohort_pb2.GetMasksResponse(participant=participant, sealed=sealed)

    async def GetContributions(
        self, request: cohort_pb2.GetContributionsRequest, context: Context
    ) -> AsyncIterator[cohort_pb2.GetContributionsResponse]:
        """Stream the cohort's contributions to the auditor, one payload in memory at a time."""
        caller, number = peer_identity(context).id, request.round
        found = await asyncio.to_thread(self._sums.to_audit, caller, number, request.from_chunk)
        with self._transfers.stream(caller):
            for chunk, participant in found:
                async with self._transfers.downloads.one(caller):
                    payload = await self._transfers.run(
                        self._sums.contribution, caller, number, participant, chunk
                    )
                    yield cohort_pb2.GetContributionsResponse(
                        chunk=chunk, participant=participant, payload=payload
                    )

    async def CountersignSum(
        self, request: cohort_pb2.CountersignSumRequest, context: Context
    ) -> cohort_pb2.CountersignSumResponse:
        """Take the auditor's signature on the sum."""
        caller = peer_identity(context).id
        await asyncio.to_thread(self._sums.countersign, caller, request.round, request.signature)
        return cohort_pb2.CountersignSumResponse()


class ModelServicer(model_pb2_grpc.ModelServiceServicer):
    """Sealed models and releases."""

    def __init__(self, models: Models, transfers: Transfers) -> None:
        self._models = models
        self._transfers = transfers

    async def PutSealedModel(
        self, request: AsyncIterator[model_pb2.PutSealedModelRequest], context: Context
    ) -> AsyncIterator[model_pb2.PutSealedModelResponse]:
        """Store a sealed model whose chunks hash to what its envelope says."""
        caller = peer_identity(context).id
        with self._transfers.stream(caller):
            async with aclosing(self._transfers.arriving(caller, request)) as parts:
                async for answer in self._store(caller, parts):
                    yield answer

    async def _store(
        self, caller: str, parts: AsyncIterator[model_pb2.PutSealedModelRequest]
    ) -> AsyncIterator[model_pb2.PutSealedModelResponse]:
        signed = codec.signed_from_wire(_envelope(await anext(parts, None)))
        sealed = await asyncio.to_thread(self._models.begin, caller, signed)
        upload = ModelUpload(sealed, signed)
        yield model_pb2.PutSealedModelResponse(resumes=upload.announced.is_taken())
        async for part in parts:
            if part.WhichOneof("part") == "digests":
                if upload.announce(part.digests):
                    await self._find(upload)
            else:
                await self._transfers.run(self._models.put_next, upload, part.chunk)
            yield model_pb2.PutSealedModelResponse(chunks=upload.came)
        await asyncio.to_thread(self._models.finish_upload, upload)

    async def _find(self, upload: ModelUpload) -> None:
        """Take what is stored of an upload, a chunk at a time, so that others have their turn."""
        while await self._transfers.run(self._models.find, upload):
            pass

    async def GetSealedModel(
        self, request: model_pb2.GetSealedModelRequest, context: Context
    ) -> AsyncIterator[model_pb2.GetSealedModelResponse]:
        """Stream a sealed model behind its envelope and the wraps that were made later."""
        caller = peer_identity(context).id
        signed = await asyncio.to_thread(self._models.envelope, request.round)
        yield model_pb2.GetSealedModelResponse(envelope=codec.signed_to_wire(signed))
        for wraps in await asyncio.to_thread(self._models.later_wraps, request.round):
            yield model_pb2.GetSealedModelResponse(wraps=codec.signed_to_wire(wraps))
        chunks = canonical.decode(signed.body, SealedModel).chunks
        with self._transfers.stream(caller):
            for chunk in range(request.from_chunk, chunks):
                async with self._transfers.downloads.one(caller):
                    payload = await self._transfers.run(
                        self._models.chunk, caller, request.round, chunk
                    )
                    yield model_pb2.GetSealedModelResponse(chunk=payload)

    async def PutWraps(
        self, request: model_pb2.PutWrapsRequest, context: Context
    ) -> model_pb2.PutWrapsResponse:
        """Keep the wraps that the caller made for later trainers."""
        caller, signed = peer_identity(context).id, codec.signed_from_wire(request.wraps)
        await asyncio.to_thread(self._models.add_wraps, caller, signed)
        return model_pb2.PutWrapsResponse()

    async def SignRelease(
        self, request: model_pb2.SignReleaseRequest, context: Context
    ) -> model_pb2.SignReleaseResponse:
        """Take an opener's signature on the release."""
        caller, signed = peer_identity(context).id, codec.signed_from_wire(request.release)
        await asyncio.to_thread(self._models.sign_release, caller, signed)
        return model_pb2.SignReleaseResponse()

    async def GetRelease(
        self, request: model_pb2.GetReleaseRequest, context: Context
    ) -> model_pb2.GetReleaseResponse:
        """Return the release with the signatures it has."""
        signed = await asyncio.to_thread(self._models.release, request.round)
        return model_pb2.GetReleaseResponse(release=codec.signed_to_wire(signed))


class SettlementServicer(settlement_pb2_grpc.SettlementServiceServicer):
    """Commits, what is under them, and payouts."""

    def __init__(
        self,
        rounds: Rounds,
        settlement: Settlement | None,
        shown: Shown | None,
        transfers: Transfers,
        signing: Signing,
    ) -> None:
        self._rounds = rounds
        self._settlement = settlement
        self._shown = shown
        self._transfers = transfers
        # To build trees takes a thread as long as to add up: whoever asks for some, one does.
        self._building = asyncio.Semaphore(1)
        self._signing = signing

    async def GetPayout(
        self, request: settlement_pb2.GetPayoutRequest, context: Context
    ) -> settlement_pb2.GetPayoutResponse:
        """Return the caller's leaf and proof, and nobody else's."""
        settlement = _settled(self._settlement)
        caller = peer_identity(context).id
        return await asyncio.to_thread(self._payout, settlement, caller, request.round)

    def _payout(
        self, settlement: Settlement, caller: str, number: int
    ) -> settlement_pb2.GetPayoutResponse:
        entitlement, commit = settlement.payout(caller, number)
        rounds = participation(self._rounds.all()).get(caller, 0)
        contract = settlement.settings.contract
        return codec.payout_to_wire(entitlement, commit, contract, rounds)

    async def GetCommit(
        self, request: settlement_pb2.GetCommitRequest, context: Context
    ) -> settlement_pb2.GetCommitResponse:
        """Return the commit of a round."""
        shown = _settled(self._shown)
        commit = await asyncio.to_thread(shown.commit, request.round)
        return settlement_pb2.GetCommitResponse(
            commit=canonical.encode(commit),
            contract=shown.domain.contract,
            chain_id=shown.domain.chain_id,
        )

    async def GetReceipt(
        self, request: settlement_pb2.GetReceiptRequest, context: Context
    ) -> settlement_pb2.GetReceiptResponse:
        """Return the caller's receipt, and nobody else's."""
        shown, caller = _settled(self._shown), peer_identity(context).id
        # What is signed already waits behind no signer.
        receipt = await asyncio.to_thread(shown.signed_receipt, caller, request.round)
        if receipt is None:
            receipt = await self._signing.run(shown.receipt, caller, request.round)
        return codec.receipt_to_wire(shown.domain, receipt)

    async def GetSumPaths(
        self, request: settlement_pb2.GetSumPathsRequest, context: Context
    ) -> AsyncIterator[settlement_pb2.GetSumPathsResponse]:
        """Stream the caller's slot, and how each leaf of a chunk leads from it to the root."""
        shown, caller = _settled(self._shown), peer_identity(context).id
        with self._transfers.stream(caller):
            async with self._building, self._transfers.downloads.one(caller):
                own, paths = await self._transfers.run(
                    shown.paths, caller, request.round, request.chunk
                )
            for part in codec.sum_paths_to_wire(own, paths):
                yield part

    async def GetSumTree(
        self, request: settlement_pb2.GetSumTreeRequest, context: Context
    ) -> AsyncIterator[settlement_pb2.GetSumTreeResponse]:
        """Stream hashes of sum trees, as many at once as a message holds."""
        shown, caller = _settled(self._shown), peer_identity(context).id
        chunk = request.chunk if request.HasField("chunk") else None
        leaf = request.leaf if request.HasField("leaf") else None
        with self._transfers.stream(caller):
            async with self._building, self._transfers.downloads.one(caller):
                hashes = await self._transfers.run(shown.tree, request.round, chunk, leaf)
            for part in codec.hashes_to_wire(hashes):
                yield part


def _settled(part: _Settling | None) -> _Settling:
    if part is None:
        raise NotYet("this programme is not settled on a chain")
    return part


def _envelope(part: Any) -> document_pb2.SignedDocument:  # noqa: ANN401
    if part is None or part.WhichOneof("part") != "envelope":
        raise MalformedMessage("a sealed model begins with its envelope")
    envelope: document_pb2.SignedDocument = part.envelope
    return envelope
