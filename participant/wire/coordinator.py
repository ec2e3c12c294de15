"""The coordinator, as a site talks to it: every call but the upload.

Bytes become values here. An error that the coordinator names comes back as that
error; a connection that fails is explained.
"""

import asyncio
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Iterator,
    Sequence,
)
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import grpc
import grpc.aio
import structlog

from participant.training.worker import error_of
from participant.view import KeyState, LeftOut, Payout, RoundView, View
from privacy.canonical import decode
from privacy.documents import Signed
from privacy.enrolment import Asked, Proven, Renewal
from privacy.errors import (
    MalformedMessage,
    PeerUnreachable,
    PrivacyError,
    ProtocolError,
    Unavailable,
    VeilsumError,
)
from privacy.identifiers import Digest
from privacy.roster import SignedRoster, check_next, decode_roster
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

from .ending import Ending
from .rotating import Turns
from .tempo import Tempo
from .whole import Whole, joined

log = structlog.get_logger()

CALL_SECONDS = 30.0
LONGEST_CALL_SECONDS = 120.0
CHUNK_SECONDS = 300.0
"""For one message of up to 1 MiB: it takes that long at 28 kbit/s. A line that is dead is found
out sooner, by the channel's pings."""

MOST_WRAPS = 1000
"""Documents with wraps that may stand before a sealed model's chunks; all are held at once."""

MOST_VERSIONS = 1000
"""Versions of a roster that are read, all of them held at once; with more, none counts."""

MOST_HEADERS = 1000
"""Headers of one cohort that are read: more than there is room for trainers in a roster."""

_ERROR_CODE = "veilsum-error"
_NUMBER = "Received http2 header with status"
_END = grpc.aio.EOF  # type: ignore[attr-defined]  # the stubs lack it
_Answer = TypeVar("_Answer")


class Explain(Protocol):
    """Finds out why a connection fails."""

    async def __call__(self) -> str:
        """Return the reason, in words."""
        ...


@dataclass(frozen=True)
class SealedParts:
    """A sealed model as it comes: its envelope, wraps made later, and chunks, unchecked."""

    envelope: Signed
    wraps: tuple[Signed, ...]
    chunks: AsyncIterator[bytes]


@dataclass
class Coordinator:
    """The coordinator behind one channel, or two: what is long has a connection of its own.

    On a slow line an upload fills what the kernel buffers, and whatever stands behind it in the
    same connection comes minutes late: the word that this site is at work, too.
    """

    channel: grpc.aio.Channel
    explain: Explain
    separate: grpc.aio.Channel | None = None
    turns: Turns = field(default_factory=Turns)
    tempo: Tempo = field(default_factory=Tempo)

    def __post_init__(self) -> None:
        self.bulk = self.separate or self.channel
        self._long_cohorts = cohort_pb2_grpc.CohortServiceStub(self.bulk)
        self._long_models = model_pb2_grpc.ModelServiceStub(self.bulk)
        self._enrolment = enrolment_pb2_grpc.EnrolmentServiceStub(self.channel)
        self._rounds = round_pb2_grpc.RoundServiceStub(self.channel)
        self._cohorts = cohort_pb2_grpc.CohortServiceStub(self.channel)
        self._models = model_pb2_grpc.ModelServiceStub(self.channel)
        self._settlement = settlement_pb2_grpc.SettlementServiceStub(self.channel)
        self._contributions = contribution_pb2_grpc.ContributionServiceStub(self.channel)

    async def close(self) -> None:
        """End its connections."""
        for each in {self.channel, self.bulk}:
            await each.close(None)

    async def roster(self, fingerprint: Digest | None = None) -> list[SignedRoster]:
        """Return every version of the roster.

        Args:
            fingerprint: of version 0, as members compared it. With it each version must follow
                the one before, page by page, so that nothing else fills this site's memory; that
                version 0 is founded is left to `admit`. Without it they come unchecked.

        Raises:
            MalformedMessage: there are more than this site reads, or fewer than were counted.
            WrongContext, InvalidSignature: as for `admit_all`.
        """
        found: list[SignedRoster] = []
        while True:
            request = enrolment_pb2.GetRosterRequest(from_version=len(found))
            answer = await self.call(self._enrolment.GetRoster(request))
            for each in answer.versions:
                version = SignedRoster(decode_roster(each.body), signed_from_wire(each).signatures)
                if fingerprint is not None:
                    check_next(found[-1] if found else None, version, fingerprint)
                found.append(version)
            _check_counted(len(found), len(answer.versions), answer.count)
            # A coordinator that counts none has sent all of them at once.
            if len(found) >= answer.count:
                return found

    async def sign_roster(self, version: int, signature: bytes) -> None:
        """Hand in this site's signature on a version of the roster."""
        request = enrolment_pb2.SignRosterRequest(version=version, signature=signature)
        await self.call(self._enrolment.SignRoster(request))

    async def renew_certificate(self, renewal: Renewal, proof: bytes) -> bytes:
        """Return a certificate, with what leads to the authority.

        Args:
            proof: the member's signature over `renewal`.
        """
        asked = enrolment_pb2.RenewCertificateRequest(
            certificate_request=renewal.request.encode(),
            at_seconds=renewal.at_seconds,
            proof=proof,
        )
        return (await self.call(self._enrolment.RenewCertificate(asked))).certificate

    async def proposal(self) -> Signed | None:
        """Return the version of the roster that is before the trainers, with its signatures."""
        request = enrolment_pb2.GetProposalRequest()
        answer = await self.call(self._enrolment.GetProposal(request))
        return signed_from_wire(answer.roster) if answer.HasField("roster") else None

    async def proofs(self) -> list[Proven]:
        """Return what members asked for themselves whom that version has otherwise, unchecked.

        Raises:
            MalformedMessage: there are more than this site reads, or fewer than were counted.
        """
        found: list[Proven] = []
        while True:
            request = enrolment_pb2.GetProposalRequest(from_proof=len(found) + 1)
            answer = await self.call(self._enrolment.GetProposal(request))
            found += [Proven(decode(each.asked, Asked), each.proof) for each in answer.proofs]
            _check_counted(len(found), len(answer.proofs), answer.proof_count, "proofs")
            if len(found) >= answer.proof_count:
                return found

    async def sign_proposal(self, fingerprint: Digest, signature: bytes) -> None:
        """Hand in this site's signature on that version."""
        request = enrolment_pb2.SignProposalRequest(fingerprint=fingerprint, signature=signature)
        await self.call(self._enrolment.SignProposal(request))

    async def watch(
        self, seen: int, working_on: Sequence[int], wait_seconds: float, start: str = ""
    ) -> View:
        """Return the live rounds, once they differ from what was seen, or after a wait.

        Args:
            start: what a seat drew when its process started, in hex; empty for others.
        """
        request = round_pb2.WatchRoundsRequest(
            seen=seen, working_on=working_on, wait_seconds=wait_seconds, start=start
        )
        answer = await self.call(
            self._rounds.WatchRounds(request, timeout=CALL_SECONDS + wait_seconds)
        )
        return _view(answer)

    async def key(self, number: int) -> KeyState:
        """Return the key of a round, or what it must be made for."""
        answer = await self.call(self._rounds.GetKey(round_pb2.GetKeyRequest(round=number)))
        record = signed_from_wire(answer.record) if answer.HasField("record") else None
        return KeyState(answer.order, record, answer.public_key, answer.sealed_secret)

    async def offer_key(self, record: Signed, public_key: bytes, sealed: Sequence[bytes]) -> None:
        """Offer a key that this site made."""
        request = round_pb2.OfferKeyRequest(
            record=signed_to_wire(record), public_key=public_key, sealed_secrets=sealed
        )
        await self.call(self._rounds.OfferKey(request))

    async def sign_key(self, number: int, signature: bytes) -> None:
        """Vouch for the key of a round."""
        request = round_pb2.SignKeyRequest(round=number, signature=signature)
        await self.call(self._rounds.SignKey(request))

    async def refuse(self, number: int, code: str) -> None:
        """Say that a round's key, or sum, is not what it must be."""
        request = round_pb2.RefuseRoundRequest(round=number, code=code)
        await self.call(self._rounds.RefuseRound(request))

    async def plan(self, number: int) -> tuple[bytes, bytes, bytes]:
        """Return a round's plan: arithmetic part, terms, and the coordinator's signature."""
        answer = await self.call(self._rounds.GetPlan(round_pb2.GetPlanRequest(round=number)))
        return answer.arithmetic, answer.terms, answer.signature

    async def newest_header(self) -> Signed | None:
        """Return this site's own header whose ledger had come farthest; None before one."""
        request = contribution_pb2.GetCheckpointRequest()
        answer = await self.call(self._contributions.GetCheckpoint(request))
        return signed_from_wire(answer.header) if answer.HasField("header") else None

    async def cohort(self, number: int) -> tuple[Signed, list[Signed]]:
        """Return the frozen cohort and the header of each contribution in it."""
        first = await self._some_of_cohort(number, 0)
        headers = [signed_from_wire(each) for each in first.contributions]
        while len(headers) < min(first.count, MOST_HEADERS):
            answer = await self._some_of_cohort(number, len(headers))
            if not answer.contributions:
                break  # whoever looks at the headers misses some
            headers += [signed_from_wire(each) for each in answer.contributions]
        return signed_from_wire(first.cohort), headers

    async def _some_of_cohort(self, number: int, first: int) -> cohort_pb2.GetCohortResponse:
        request = cohort_pb2.GetCohortRequest(round=number, from_entry=first)
        return await self.call(self._cohorts.GetCohort(request))

    @asynccontextmanager
    async def sum(
        self, number: int, from_chunk: int = 0
    ) -> AsyncIterator[tuple[Signed, AsyncIterator[bytes]]]:
        """Give the protected sum of a round: its manifest, and chunks from one on as they come."""

        def call(chunk: int) -> Any:  # noqa: ANN401
            request = cohort_pb2.GetSumRequest(round=number, from_chunk=chunk)
            return self._long_cohorts.GetSum(request)

        async with aclosing(self.stream_on(call, from_chunk)) as parts:
            first = await anext(parts, None)
            if first is None or first.WhichOneof("part") != "manifest":
                raise MalformedMessage(f"round {number}: a sum without its manifest")
            yield signed_from_wire(first.manifest), _chunks(parts)

    async def masks(self, number: int, cohort: int) -> dict[str, bytes]:
        """Return the secrets of a cohort's masks, sealed to this site, by participant.

        Raises:
            MalformedMessage: there are more than the cohort has.
        """
        call = self._cohorts.GetMasks(cohort_pb2.GetMasksRequest(round=number))
        found: dict[str, bytes] = {}
        async for part in self.stream(call):
            found[part.participant] = part.sealed
            if len(found) > cohort:
                call.cancel()
                raise MalformedMessage(f"round {number}: more masks than a cohort of {cohort} has")
        return found

    @asynccontextmanager
    async def contributions(
        self, number: int, from_chunk: int = 0
    ) -> AsyncIterator[AsyncIterator[tuple[int, str, bytes]]]:
        """Give a cohort's contributions as they come: chunk index, participant and payload.

        Chunk by chunk, and of each chunk one payload for each entry of the cohort, in order.
        """

        def call(chunk: int) -> Any:  # noqa: ANN401
            request = cohort_pb2.GetContributionsRequest(round=number, from_chunk=chunk)
            return self._long_cohorts.GetContributions(request)

        async with aclosing(self._columns_on(call, from_chunk)) as parts:
            yield ((part.chunk, part.participant, part.payload) async for part in parts)

    async def countersign(self, number: int, signature: bytes) -> None:
        """Hand in this auditor's signature on the manifest of a round's sum."""
        request = cohort_pb2.CountersignSumRequest(round=number, signature=signature)
        await self.call(self._cohorts.CountersignSum(request))

    async def put_model(self, envelope: Signed, model: Whole[bytes]) -> None:
        """Store what is missing of a sealed model, each part once the one before is durable.

        Raises:
            PeerUnreachable: one step of it stopped; however long the whole takes, that is all
                it waits for. Put it again, it goes on where it stopped.
        """

        def digests() -> Iterator[Any]:
            for each in joined(model.digests()):
                yield model_pb2.PutSealedModelRequest(digests=each)

        def parts(durable: int) -> Iterator[Any]:
            for each in model.chunks(durable):
                yield model_pb2.PutSealedModelRequest(chunk=each)

        first = model_pb2.PutSealedModelRequest(envelope=signed_to_wire(envelope))
        await self.upload(self._long_models.PutSealedModel, first, digests, parts)

    @asynccontextmanager
    async def model(self, number: int, from_chunk: int = 0) -> AsyncIterator[SealedParts]:
        """Give the sealed model of a round, its chunks from one on, as they come."""

        def call(chunk: int) -> Any:  # noqa: ANN401
            request = model_pb2.GetSealedModelRequest(round=number, from_chunk=chunk)
            return self._long_models.GetSealedModel(request)

        async with aclosing(self.stream_on(call, from_chunk)) as parts:
            first = await anext(parts, None)
            if first is None or first.WhichOneof("part") != "envelope":
                raise MalformedMessage(f"round {number}: a sealed model without its envelope")
            wraps, chunks = await _before_chunks(parts)
            yield SealedParts(signed_from_wire(first.envelope), wraps, chunks)

    async def put_wraps(self, wraps: Signed) -> None:
        """Hand in the wraps that this site made of a released model's key."""
        request = model_pb2.PutWrapsRequest(wraps=signed_to_wire(wraps))
        await self.call(self._models.PutWraps(request))

    async def sign_release(self, release: Signed) -> None:
        """Hand in this site's signature on a release."""
        request = model_pb2.SignReleaseRequest(release=signed_to_wire(release))
        await self.call(self._models.SignRelease(request))

    async def release(self, number: int) -> Signed:
        """Return the release of a round with the signatures it has."""
        request = model_pb2.GetReleaseRequest(round=number)
        return signed_from_wire((await self.call(self._models.GetRelease(request))).release)

    async def payout(self, number: int = 0) -> Payout:
        """Return what this site may claim on the chain.

        Args:
            number: under which round's commit; 0 for the newest. An older coordinator shows the
                newest whatever it is asked for.

        Raises:
            NotYet: the round, or nothing at all, is committed yet.
        """
        request = settlement_pb2.GetPayoutRequest(round=number)
        answer = await self.call(self._settlement.GetPayout(request))
        return Payout(answer.entitlement, answer.contract, answer.rounds, answer.commit)

    async def call(self, call: Awaitable[_Answer]) -> _Answer:
        """Return the answer to one call, which may not let us wait for ever.

        Raises:
            PeerUnreachable: no answer comes, or the connection fails.
        """
        try:
            async with asyncio.timeout(LONGEST_CALL_SECONDS):
                return await call
        except TimeoutError:
            raise PeerUnreachable("the coordinator holds a call without an answer") from None
        except grpc.aio.AioRpcError as error:
            raise await self.error(error) from None

    async def upload(
        self,
        put: Any,  # noqa: ANN401
        first: Any,  # noqa: ANN401
        digests: Callable[[], Iterator[Any]],
        parts: Callable[[int], Iterator[Any]],
    ) -> None:
        """Send what is missing of a whole, each part once the one before is durable.

        When another connection takes over, the rest goes over that one.

        Args:
            put: the method of a stub, whose stream answers each part.
            first: what is sent before the others.
            digests: says what the others are, to a coordinator that then says what it has.
            parts: the others from one on. Both are read on a thread.

        Raises:
            PeerUnreachable: one step of it stopped.
        """
        while not await self._some_of(put, first, digests, parts):
            log.info("upload_moved", connection=self.turns.number)

    async def _some_of(
        self,
        put: Any,  # noqa: ANN401
        first: Any,  # noqa: ANN401
        digests: Callable[[], Iterator[Any]],
        parts: Callable[[int], Iterator[Any]],
    ) -> bool:
        """Send what is missing; return whether all is there, or another connection's turn came."""
        # Written step by step, and not from an iterator; the stubs know the latter only.
        turn, call = self.turns.number, put()
        ending = Ending(call)
        try:
            begun, durable = await self._step(call, first), 0
            if begun.resumes:
                for each in await asyncio.to_thread(list, digests()):
                    durable = (await self._step(call, each)).chunks
            remaining = iter(await asyncio.to_thread(parts, durable))
            while (part := await asyncio.to_thread(next, remaining, None)) is not None:
                # To a coordinator of before all of it would go again.
                if begun.resumes and self.turns.number != turn:
                    return False
                await self._step(call, part)
            await call.done_writing()
            async with asyncio.timeout(CALL_SECONDS):
                await call.read()
        except (TimeoutError, asyncio.InvalidStateError) as stopped:
            if ending.error is not None and not isinstance(stopped, TimeoutError):
                raise await self.error(ending.error) from None
            raise PeerUnreachable("the coordinator stopped in the middle of an upload") from None
        except grpc.aio.AioRpcError as error:
            raise await self.error(ending.of(error)) from None
        finally:
            call.cancel()
        return True

    async def _step(self, call: Any, part: Any) -> Any:  # noqa: ANN401
        """Send one part of an upload, and return its answer."""
        await self.tempo.up.take(part.ByteSize())
        async with asyncio.timeout(CHUNK_SECONDS):
            await call.write(part)
            answer = await call.read()
        if answer is _END:
            raise asyncio.InvalidStateError
        return answer

    async def stream(
        self,
        stream: Any,  # noqa: ANN401
        seconds: float | None = None,
    ) -> AsyncIterator[Any]:
        """Yield the parts of an answer, none of which may let us wait for ever.

        Args:
            seconds: for each part; None for as long as 1 MiB may take.

        Raises:
            PeerUnreachable: the next part does not come; start again.
        """
        ending = Ending(stream)
        try:
            seconds = seconds or CHUNK_SECONDS
            while (part := await asyncio.wait_for(stream.read(), seconds)) is not _END:
                await self.tempo.down.take(part.ByteSize())
                yield part
        except TimeoutError:
            raise PeerUnreachable("the coordinator stopped in the middle of a stream") from None
        except grpc.aio.AioRpcError as error:
            raise await self.error(ending.of(error)) from None

    async def stream_on(
        self,
        call: Callable[[int], Any],
        from_chunk: int,
    ) -> AsyncGenerator[Any, None]:
        """Yield the parts of an answer, on whichever connection's turn it is; as `stream`.

        When another connection takes over, what is left of the answer is asked for on that one.

        Args:
            call: begins the answer at a chunk; what stands before its chunks comes each time, and
                is yielded once.

        Raises:
            PeerUnreachable: it is another answer than the one that was begun; start again.
        """
        before: list[Any] = []
        chunk, moved, going = from_chunk, False, True
        while going:
            going, turn, same = False, self.turns.number, iter(before)
            asked = call(chunk)
            try:
                async for part in self.stream(asked):
                    if _is_chunk(part):
                        chunk += 1
                        yield part
                        if self.turns.number != turn:
                            going = moved = True
                            break
                    elif not moved:
                        before.append(part)
                        yield part
                    elif part != next(same, part):
                        raise PeerUnreachable("the coordinator shows another answer by now")
            finally:
                asked.cancel()

    async def _columns_on(
        self, call: Callable[[int], Any], from_chunk: int
    ) -> AsyncGenerator[Any, None]:
        """Yield the parts of chunk after chunk, several of each; as `stream_on`."""
        chunk, going = from_chunk, True
        while going:
            going, turn = False, self.turns.number
            asked = call(chunk)
            try:
                async for part in self.stream(asked):
                    if part.chunk > chunk and self.turns.number != turn:
                        going = True
                    # All of a chunk has come before the next one begins; that one is asked again.
                    chunk = part.chunk
                    if going:
                        break
                    yield part
            finally:
                asked.cancel()

    async def error(self, error: grpc.aio.AioRpcError) -> VeilsumError:
        """Return the error that a failed call stands for."""
        trailing: Any = error.trailing_metadata() or ()
        codes = [value for key, value in trailing if key == _ERROR_CODE]
        words = error.details() or error.code().name
        named = error_of(str(codes[0]), words) if codes else None
        # What the coordinator's own operator or developers must mend is not this site's to mend.
        if isinstance(named, (ProtocolError, PrivacyError, Unavailable)):
            return named
        # What answers in HTTP's own numbers is no coordinator, but something between.
        if error.code() is grpc.StatusCode.UNAVAILABLE or _NUMBER in words:
            return PeerUnreachable(await self.explain())
        return PeerUnreachable(f"the coordinator answered {error.code().name}: {words}")


def signed_from_wire(document: document_pb2.SignedDocument) -> Signed:
    """Return a signed document."""
    return Signed(document.body, {each.signer: each.value for each in document.signatures})


def signed_to_wire(signed: Signed) -> document_pb2.SignedDocument:
    """Return a signed document as it travels."""
    signatures = [
        document_pb2.Signature(signer=signer, value=value)
        for signer, value in sorted(signed.signatures.items())
    ]
    return document_pb2.SignedDocument(body=signed.body, signatures=signatures)


def _check_counted(found: int, last: int, count: int, what: str = "versions") -> None:
    """Return if the roster's versions may go on like this; an old one is never the newest."""
    if max(found, count) > MOST_VERSIONS:
        raise MalformedMessage(
            f"a roster of {max(found, count)} {what}: this site reads {MOST_VERSIONS}"
        )
    if found < count and not last:
        raise MalformedMessage(f"{found} of {count} {what} of the roster came")


async def _before_chunks(
    parts: AsyncIterator[Any],
) -> tuple[tuple[Signed, ...], AsyncIterator[bytes]]:
    """Return the wraps that stand before the chunks, and the chunks."""
    wraps: list[Signed] = []
    async for part in parts:
        match part.WhichOneof("part"):
            case "chunk":
                return tuple(wraps), _chunks(parts, part)
            case "wraps":
                wraps.append(signed_from_wire(part.wraps))
            case _:
                continue  # a later coordinator may say more
        if len(wraps) > MOST_WRAPS:
            raise MalformedMessage(f"a sealed model with more than {MOST_WRAPS} lists of wraps")
    return tuple(wraps), _chunks(parts)


def _is_chunk(part: Any) -> bool:  # noqa: ANN401
    # An answer of nothing but chunks has no choice of parts.
    return not part.DESCRIPTOR.oneofs or part.WhichOneof("part") == "chunk"


async def _chunks(parts: AsyncIterator[Any], first: Any = None) -> AsyncIterator[bytes]:  # noqa: ANN401
    if first is not None:
        yield first.chunk
    async for part in parts:
        if part.WhichOneof("part") != "chunk":
            raise MalformedMessage("something other than a chunk among the chunks of a stream")
        yield part.chunk


def _view(answer: round_pb2.WatchRoundsResponse) -> View:
    return View(
        revision=answer.revision,
        rounds=tuple(_round(status) for status in answer.rounds),
        finished=answer.finished,
        released=answer.released,
        halted=answer.halted,
        settles=answer.settles,
        settled=answer.settled,
    )


def _phase(value: int) -> str:
    # A phase that a later coordinator knows is one in which this site has nothing to do.
    name = round_pb2.Phase.DESCRIPTOR.values_by_number.get(value)
    return "" if name is None else name.name.removeprefix("PHASE_").lower()


def _scoring(value: int) -> str:
    name = round_pb2.Scoring.DESCRIPTOR.values_by_number.get(value)
    return "" if name is None or not value else name.name.removeprefix("SCORING_").lower()


def _round(status: round_pb2.RoundStatus) -> RoundView:
    return RoundView(
        number=status.number,
        phase=_phase(status.phase),
        turn=status.turn,
        openers=tuple(status.openers),
        key_record=status.key_record,
        key_signers=tuple(status.key_signers),
        committed=tuple(status.committed),
        sealed_model=status.sealed_model,
        agreed=tuple(status.agreed),
        auditor=status.auditor,
        seats=tuple(status.seats),
        candidates=status.candidates,
        judged=tuple(status.judged),
        cohort=status.cohort,
        certified=tuple(status.certified),
        summed=tuple(status.summed),
        left_out=tuple(
            LeftOut(each.participant, each.seat, each.code, each.reason) for each in status.left_out
        ),
        disputed=tuple(status.disputed),
        liars=tuple(status.liars),
        scoring=_scoring(status.scoring),
        stated=tuple(status.stated),
        scored=tuple(status.scored),
    )
