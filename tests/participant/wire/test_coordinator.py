"""What the coordinator answers becomes a value, or the error it names, or an explanation."""

import asyncio

import msgspec
import pytest

from participant.view import LeftOut, View
from participant.wire import coordinator as module
from participant.wire.coordinator import Coordinator, signed_from_wire, signed_to_wire
from privacy import canonical, errors
from privacy.errors import MalformedMessage, PeerUnreachable, VeilsumError, WrongContext
from tests.participant import endpoint
from tests.participant import signed_round as made
from tests.sent import whole
from veilsum.v1 import (
    cohort_pb2,
    cohort_pb2_grpc,
    document_pb2,
    enrolment_pb2,
    enrolment_pb2_grpc,
    model_pb2,
    model_pb2_grpc,
    round_pb2,
    round_pb2_grpc,
)


class Rounds(round_pb2_grpc.RoundServiceServicer):
    def __init__(self, error=None, status=None):
        self.error, self.status = error, status

    async def GetPlan(self, request, context):  # noqa: N802
        if self.error is None:
            await context.abort(*self.status)
        await endpoint.refuse(context, self.error)

    async def WatchRounds(self, request, context):  # noqa: N802
        return round_pb2.WatchRoundsResponse(
            revision=7,
            finished=True,
            released=3,
            rounds=[
                round_pb2.RoundStatus(number=1, phase=round_pb2.PHASE_OPENING, turn="amber"),
                round_pb2.RoundStatus(number=2, phase=99),
            ],
        )


class Streams(cohort_pb2_grpc.CohortServiceServicer, model_pb2_grpc.ModelServiceServicer):
    def __init__(self):
        self.wraps, self.wraps_late, self.put = 0, False, []
        self.refuses_put, self.silent, self.ends_put, self.slow = False, False, False, 0

    async def GetSum(self, request, context):  # noqa: N802
        if request.round == 2:
            yield cohort_pb2.GetSumResponse(chunk=b"chunk without manifest")
        if request.round == 3:
            yield cohort_pb2.GetSumResponse(
                manifest=signed_to_wire(made.signed_by(RECORD, "amber"))
            )
            yield cohort_pb2.GetSumResponse(chunk=b"one")
            await endpoint.refuse(context, errors.StoreUnavailable("gone"))

    async def GetSealedModel(self, request, context):  # noqa: N802
        if request.round == 2:
            yield model_pb2.GetSealedModelResponse(chunk=b"chunk without envelope")
        if request.round == 3:
            said = signed_to_wire(made.signed_by(RECORD, "amber"))
            yield model_pb2.GetSealedModelResponse(envelope=said)
            for _ in range(self.wraps):
                yield model_pb2.GetSealedModelResponse(wraps=said)
            yield model_pb2.GetSealedModelResponse()  # what only a later coordinator says
            for chunk in (b"zero", b"one", b"")[request.from_chunk :]:
                yield model_pb2.GetSealedModelResponse(chunk=chunk)
            if self.wraps_late:
                yield model_pb2.GetSealedModelResponse(wraps=said)

    async def PutSealedModel(self, requests, context):  # noqa: N802
        async for part in requests:
            self.put.append(part)
            if self.refuses_put and len(self.put) == 3:
                await endpoint.refuse(context, errors.MalformedMessage("not these chunks"))
            await asyncio.sleep(self.slow)
            if self.silent:
                await asyncio.sleep(60)
            if self.ends_put:
                return
            yield model_pb2.PutSealedModelResponse(chunks=len(self.put) - 1)


RECORD = made.header_of(made.plan(), "amber")


def rounds(**said):
    return (round_pb2_grpc.add_RoundServiceServicer_to_server, Rounds(**said))


def leaves(kind=VeilsumError):
    found = [leaf for child in kind.__subclasses__() for leaf in leaves(child)]
    return found or [kind]


THEIRS = (errors.ConfigError, errors.InternalError)


def made_of(kind):
    return kind.__new__(kind, "words")


@pytest.mark.parametrize("kind", [k for k in leaves() if not issubclass(k, THEIRS)])
async def test_an_error_comes_back_as_the_same_leaf(kind):
    """Whoever acts on it acts on its family."""
    async with endpoint.coordinator(rounds(error=made_of(kind))) as coordinator:
        with pytest.raises(VeilsumError) as caught:
            await coordinator.plan(1)

    assert type(caught.value) is kind


@pytest.mark.parametrize("kind", [*THEIRS, errors.InsecureKeyFile, VeilsumError])
async def test_what_the_coordinators_operator_must_mend_does_not_stop_a_site(kind):
    """It is retried: the operator of this process can do nothing about it."""
    async with endpoint.coordinator(rounds(error=made_of(kind))) as coordinator:
        with pytest.raises(PeerUnreachable):
            await coordinator.plan(1)


async def test_a_bug_on_the_other_side_says_nothing_of_itself():
    """The words of an unexpected error may hold data."""
    async with endpoint.coordinator(rounds(error=RuntimeError("secret words"))) as coordinator:
        with pytest.raises(PeerUnreachable) as caught:
            await coordinator.plan(1)

    assert "secret words" not in str(caught.value)


async def test_a_connection_that_fails_is_explained():
    """grpc alone says UNAVAILABLE, whatever the reason."""
    unavailable = (endpoint.grpc.StatusCode.UNAVAILABLE, "")
    async with endpoint.coordinator(rounds(status=unavailable)) as coordinator:
        with pytest.raises(PeerUnreachable, match="found by a handshake"):
            await coordinator.plan(1)


async def test_a_view_is_read_and_a_phase_of_the_future_has_no_task():
    """An older site under a newer coordinator goes on."""
    async with endpoint.coordinator(rounds()) as coordinator:
        view = await coordinator.watch(0, [1], 0.1)

    assert (view.revision, view.finished, view.released) == (7, True, 3)
    assert [each.phase for each in view.rounds] == ["opening", ""]
    assert isinstance(view, View)


@pytest.mark.parametrize("number", [1, 2])
async def test_a_stream_without_its_first_part_is_malformed(number):
    """Chunks without a manifest, or nothing at all."""
    async with endpoint.coordinator(*services(Streams())) as coordinator:
        with pytest.raises(MalformedMessage, match="without its manifest"):
            await a_sum(coordinator, number)
        with pytest.raises(MalformedMessage, match="without its envelope"):
            await a_model(coordinator, number)


def services(streams):
    return (
        (cohort_pb2_grpc.add_CohortServiceServicer_to_server, streams),
        (model_pb2_grpc.add_ModelServiceServicer_to_server, streams),
    )


async def a_sum(coordinator, number):
    async with coordinator.sum(number) as (manifest, chunks):
        return manifest, [chunk async for chunk in chunks]


async def a_model(coordinator, number, from_chunk=0):
    async with coordinator.model(number, from_chunk) as sealed:
        return sealed.envelope, sealed.wraps, [chunk async for chunk in sealed.chunks]


@pytest.mark.parametrize(("wraps", "from_chunk"), [(0, 0), (2, 0), (3, 2), (1, 3)])
async def test_a_sealed_model_comes_with_wraps_made_later_and_from_any_chunk(wraps, from_chunk):
    """What only a later coordinator says is passed over."""
    streams, said = Streams(), made.signed_by(RECORD, "amber")
    streams.wraps = wraps

    async with endpoint.coordinator(*services(streams)) as coordinator:
        found = await a_model(coordinator, 3, from_chunk)

    assert found == (said, (said,) * wraps, [b"zero", b"one", b""][from_chunk:])


async def test_wraps_without_end_are_refused(monkeypatch):
    """They are held in memory."""
    monkeypatch.setattr("participant.wire.coordinator.MOST_WRAPS", 5)
    streams = Streams()
    streams.wraps = 6

    async with endpoint.coordinator(*services(streams)) as coordinator:
        with pytest.raises(MalformedMessage, match="more than 5 lists of wraps"):
            await a_model(coordinator, 3)


async def test_nothing_but_chunks_stands_among_the_chunks():
    """An empty chunk must not be read out of something else."""
    streams = Streams()
    streams.wraps_late = True

    async with endpoint.coordinator(*services(streams)) as coordinator:
        with pytest.raises(MalformedMessage, match="other than a chunk"):
            await a_model(coordinator, 3)


async def test_a_model_is_put_as_it_is_made():
    """Envelope first, then each chunk, once."""
    streams, said = Streams(), made.signed_by(RECORD, "amber")

    async with endpoint.coordinator(*services(streams)) as coordinator:
        await coordinator.put_model(said, whole(b"%d" % at for at in range(5)))

    assert signed_from_wire(streams.put[0].envelope) == said
    assert [part.chunk for part in streams.put[1:]] == [b"%d" % at for at in range(5)]


async def test_a_model_that_takes_long_is_put_all_the_same(monkeypatch):
    """No limit on the whole, however low the one on each step is."""
    monkeypatch.setattr("participant.wire.coordinator.CHUNK_SECONDS", 1)
    monkeypatch.setattr("participant.wire.coordinator.LONGEST_CALL_SECONDS", 1)
    streams = Streams()
    streams.slow = 0.1

    async with endpoint.coordinator(*services(streams)) as coordinator:
        await coordinator.put_model(made.signed_by(RECORD, "amber"), whole([bytes(1 << 20)] * 30))

    assert len(streams.put) == 31


async def test_a_coordinator_that_refuses_a_model_in_the_middle_is_heard():
    """Its error, and not that the call is over."""
    streams = Streams()
    streams.refuses_put = True

    async with endpoint.coordinator(*services(streams)) as coordinator:
        with pytest.raises(MalformedMessage, match="not these chunks"):
            await coordinator.put_model(
                made.signed_by(RECORD, "amber"), whole([b"chunk" * 20_000] * 200)
            )


async def test_a_coordinator_that_ends_an_upload_without_a_word_is_not_believed():
    """The model is not stored; it is put again."""
    streams = Streams()
    streams.ends_put = True

    async with endpoint.coordinator(*services(streams)) as coordinator:
        with pytest.raises(PeerUnreachable, match="in the middle of an upload"):
            await coordinator.put_model(made.signed_by(RECORD, "amber"), whole([b"chunk"]))


async def test_a_coordinator_that_never_answers_a_model_is_not_waited_for(monkeypatch):
    """It is put again."""
    monkeypatch.setattr("participant.wire.coordinator.CHUNK_SECONDS", 0.2)
    streams = Streams()
    streams.silent = True

    async with endpoint.coordinator(*services(streams)) as coordinator:
        with pytest.raises(PeerUnreachable, match="in the middle of an upload"):
            await coordinator.put_model(made.signed_by(RECORD, "amber"), whole([b"chunk"]))


async def test_a_model_that_cannot_be_read_is_this_sites_own_error():
    """Not a call that was cancelled."""

    def chunks():
        yield b"one"
        raise errors.StoreUnavailable("the model is gone")

    async with endpoint.coordinator(*services(Streams())) as coordinator:
        with pytest.raises(errors.StoreUnavailable, match="is gone"):
            await coordinator.put_model(made.signed_by(RECORD, "amber"), whole(chunks()))


async def test_a_stream_that_breaks_is_no_shorter_sum():
    """The error comes through, and no part of the sum."""
    pair = (cohort_pb2_grpc.add_CohortServiceServicer_to_server, Streams())
    async with endpoint.coordinator(pair) as coordinator:
        with pytest.raises(errors.StoreUnavailable):
            await a_sum(coordinator, 3)


def test_a_signed_document_travels_unchanged():
    """Body and signatures, by signer."""
    signed = made.signed_by(RECORD, "amber", "birch")

    assert signed_from_wire(signed_to_wire(signed)) == signed
    assert Coordinator.__doc__


async def test_a_stream_that_stops_is_not_waited_for(monkeypatch):
    """A coordinator that holds its half of a stream must not hold the site."""
    monkeypatch.setattr("participant.wire.coordinator.CHUNK_SECONDS", 0.2)
    streams = Streams()

    async def stops(request, context):
        yield cohort_pb2.GetSumResponse(manifest=signed_to_wire(made.signed_by(RECORD, "amber")))
        await asyncio.sleep(60)

    streams.GetSum = stops
    pair = (cohort_pb2_grpc.add_CohortServiceServicer_to_server, streams)
    async with endpoint.coordinator(pair) as coordinator:
        with pytest.raises(PeerUnreachable, match="in the middle of a stream"):
            await a_sum(coordinator, 1)


async def test_a_call_without_an_answer_is_not_waited_for(monkeypatch):
    """Whatever deadline was sent with it: the other side need not keep it."""
    monkeypatch.setattr("participant.wire.coordinator.LONGEST_CALL_SECONDS", 0.2)
    silent = Rounds()

    async def says_nothing(request, context):
        await asyncio.sleep(60)

    silent.GetPlan = says_nothing
    pair = (round_pb2_grpc.add_RoundServiceServicer_to_server, silent)
    async with endpoint.coordinator(pair) as coordinator:
        with pytest.raises(PeerUnreachable, match="without an answer"):
            await coordinator.plan(1)


async def test_a_halted_programme_is_seen():
    """Its operator must look; sites say so in their logs."""
    halted = Rounds()

    async def watched(request, context):
        return round_pb2.WatchRoundsResponse(revision=1, halted=True)

    pair = (round_pb2_grpc.add_RoundServiceServicer_to_server, halted)
    async with endpoint.coordinator(pair) as coordinator:
        assert not (await coordinator.watch(0, [], 0.1)).halted
    halted.WatchRounds = watched
    async with endpoint.coordinator(pair) as coordinator:
        assert (await coordinator.watch(0, [], 0.1)).halted


class Masks(cohort_pb2_grpc.CohortServiceServicer):
    """Streams two sites' seals."""

    breaks = False

    async def GetMasks(self, request, context):  # noqa: N802
        yield cohort_pb2.GetMasksResponse(participant="amber", sealed=b"amber %d" % request.round)
        if self.breaks:
            await endpoint.refuse(context, errors.StoreUnavailable("gone"))
        yield cohort_pb2.GetMasksResponse(participant="birch", sealed=b"birch %d" % request.round)


async def test_sealed_masks_come_by_site():
    """Of the round that was asked for, or not at all."""
    masks = Masks()
    pair = (cohort_pb2_grpc.add_CohortServiceServicer_to_server, masks)
    async with endpoint.coordinator(pair) as coordinator:
        assert await coordinator.masks(7, 2) == {"amber": b"amber 7", "birch": b"birch 7"}
        masks.breaks = True
        with pytest.raises(errors.StoreUnavailable):
            await coordinator.masks(7, 2)


async def test_more_sealed_masks_than_the_cohort_has_are_not_gathered():
    """However many a coordinator sends, an opener's memory holds a cohort's."""
    pair = (cohort_pb2_grpc.add_CohortServiceServicer_to_server, Masks())
    async with endpoint.coordinator(pair) as coordinator:
        with pytest.raises(MalformedMessage, match="more masks"):
            await coordinator.masks(7, 1)


class Audits(cohort_pb2_grpc.CohortServiceServicer):
    """Streams two chunks of two sites, and takes countersignatures."""

    def __init__(self):
        self.breaks, self.signed = False, []

    async def GetContributions(self, request, context):  # noqa: N802
        for chunk in range(request.from_chunk, 2):
            for name in ("amber", "birch"):
                yield cohort_pb2.GetContributionsResponse(
                    chunk=chunk, participant=name, payload=f"{name} {chunk}".encode()
                )
            if self.breaks:
                await endpoint.refuse(context, errors.StoreUnavailable("gone"))

    async def CountersignSum(self, request, context):  # noqa: N802
        if request.round == 2:
            await endpoint.refuse(context, errors.IllegalEvent("round 2 is open"))
        self.signed.append((request.round, request.signature))
        return cohort_pb2.CountersignSumResponse()


async def contributions(coordinator, from_chunk, into):
    async with coordinator.contributions(1, from_chunk) as payloads:
        async for each in payloads:
            into.append(each)


@pytest.mark.parametrize("from_chunk", [0, 1, 2])
async def test_contributions_come_chunk_by_chunk_from_any(from_chunk):
    """Index, whose, and the bytes."""
    found = []
    pair = (cohort_pb2_grpc.add_CohortServiceServicer_to_server, Audits())
    async with endpoint.coordinator(pair) as coordinator:
        await contributions(coordinator, from_chunk, found)

    expected = [(c, n, f"{n} {c}".encode()) for c in (0, 1) for n in ("amber", "birch")]
    assert found == expected[2 * from_chunk :]


async def test_contributions_that_break_are_heard_after_what_has_come():
    """What was received is kept; an auditor goes on behind it."""
    audits, found = Audits(), []
    audits.breaks = True
    pair = (cohort_pb2_grpc.add_CohortServiceServicer_to_server, audits)
    async with endpoint.coordinator(pair) as coordinator:
        with pytest.raises(errors.StoreUnavailable):
            await contributions(coordinator, 0, found)

    assert [chunk for chunk, _, _ in found] == [0, 0]


async def test_a_countersignature_is_handed_in():
    """And a refusal is that of the coordinator."""
    audits = Audits()
    pair = (cohort_pb2_grpc.add_CohortServiceServicer_to_server, audits)
    async with endpoint.coordinator(pair) as coordinator:
        await coordinator.countersign(1, b"s" * 64)
        with pytest.raises(errors.IllegalEvent):
            await coordinator.countersign(2, b"s" * 64)

    assert audits.signed == [(1, b"s" * 64)]


async def test_who_audits_a_round_is_seen():
    """Its phase, and the name that the plan gives."""
    audited = Rounds()

    async def watched(request, context):
        status = round_pb2.RoundStatus(number=1, phase=round_pb2.PHASE_AUDITING, auditor="watch")
        return round_pb2.WatchRoundsResponse(revision=1, rounds=[status])

    audited.WatchRounds = watched
    pair = (round_pb2_grpc.add_RoundServiceServicer_to_server, audited)
    async with endpoint.coordinator(pair) as coordinator:
        (seen,) = (await coordinator.watch(0, [], 0.1)).rounds

    assert (seen.phase, seen.auditor) == ("auditing", "watch")


async def test_a_view_says_how_far_seats_are_and_whom_they_left_out():
    """The fields of a round under shares; a coordinator that says none leaves them empty."""
    seated = Rounds()

    async def watched(request, context):
        status = round_pb2.RoundStatus(
            number=1,
            phase=round_pb2.PHASE_DISPUTED,
            seats=["elm", "fern", "gorse"],
            candidates="d1",
            judged=["elm"],
            cohort="c1",
            certified=["elm", "amber"],
            summed=["elm", "fern"],
            disputed=["elm", "fern"],
            liars=["gale"],
            left_out=[
                round_pb2.LeftOut(
                    participant="amber", seat="elm", code="norm_over_bound", reason="too long"
                )
            ],
        )
        return round_pb2.WatchRoundsResponse(revision=1, rounds=[status])

    seated.WatchRounds = watched
    pair = (round_pb2_grpc.add_RoundServiceServicer_to_server, seated)
    async with endpoint.coordinator(pair) as coordinator:
        (seen,) = (await coordinator.watch(0, [], 0.1)).rounds

    assert (seen.phase, seen.candidates, seen.cohort) == ("disputed", "d1", "c1")
    assert (seen.seats, seen.judged) == (("elm", "fern", "gorse"), ("elm",))
    assert (seen.certified, seen.summed) == (("elm", "amber"), ("elm", "fern"))
    assert seen.disputed == ("elm", "fern")
    assert seen.liars == ("gale",)
    assert seen.left_out == (LeftOut("amber", "elm", "norm_over_bound", "too long"),)


# -- what comes in pages -----------------------------------------------------------------


def version_of(at):
    """Return a roster's version; only the first has none before it."""
    previous = None if at == 0 else "f" * 64
    return canonical.encode(msgspec.structs.replace(made.roster(), version=at, previous=previous))


class Pages(enrolment_pb2_grpc.EnrolmentServiceServicer, cohort_pb2_grpc.CohortServiceServicer):
    """Gives two documents at a time, and says how many there are; or all at once, as before."""

    def __init__(self, count, says=None, gives=2):
        self.count, self.gives = count, gives
        self.says = count if says is None else says
        self.asked = []

    def _documents(self, first):
        self.asked.append(first)
        bodies = [version_of(at) for at in range(self.count)]
        return [
            document_pb2.SignedDocument(body=body) for body in bodies[first : first + self.gives]
        ]

    async def GetRoster(self, request, context):  # noqa: N802
        return enrolment_pb2.GetRosterResponse(
            versions=self._documents(request.from_version), count=self.says
        )

    async def GetCohort(self, request, context):  # noqa: N802
        cohort = None if request.from_entry else document_pb2.SignedDocument(body=b"cohort")
        headers = self._documents(request.from_entry)
        return cohort_pb2.GetCohortResponse(cohort=cohort, contributions=headers, count=self.says)


async def paged(pages):
    """Return the versions of the roster, and cohort and headers, as such a coordinator gives."""
    async with endpoint.coordinator(
        (enrolment_pb2_grpc.add_EnrolmentServiceServicer_to_server, pages),
        (cohort_pb2_grpc.add_CohortServiceServicer_to_server, pages),
    ) as coordinator:
        return await coordinator.roster(), await coordinator.cohort(1)


async def test_rosters_and_cohorts_that_fill_many_messages_come_whole():
    """Page by page, in order."""
    pages = Pages(5)

    versions, (cohort, headers) = await paged(pages)

    assert [each.roster.version for each in versions] == [0, 1, 2, 3, 4]
    assert cohort.body == b"cohort"
    assert [each.body for each in headers] == [version_of(at) for at in range(5)]
    assert pages.asked == [0, 2, 4] * 2


async def test_a_coordinator_that_counts_nothing_has_sent_all_at_once():
    """One of an earlier version knows of no pages."""
    versions, (_, headers) = await paged(pages := Pages(3, says=0, gives=3))

    assert (len(versions), len(headers)) == (3, 3)
    assert pages.asked == [0, 0]


async def test_a_coordinator_that_promises_more_than_it_gives_is_not_asked_for_ever():
    """Whoever checks the headers finds what is missing."""
    async with endpoint.coordinator(
        (cohort_pb2_grpc.add_CohortServiceServicer_to_server, pages := Pages(3, says=1 << 31))
    ) as coordinator:
        _, headers = await coordinator.cohort(1)

    assert len(headers) == 3
    assert pages.asked == [0, 2, 3]


@pytest.mark.parametrize(
    ("pages", "says"),
    [
        (Pages(3, says=4), "3 of 4 versions"),
        (Pages(6), "a roster of 6 versions: this site reads 5"),
        (Pages(6, says=0, gives=6), "a roster of 6 versions"),
    ],
)
async def test_a_roster_that_does_not_come_whole_is_refused(pages, says, monkeypatch):
    """Cut short, an old version would be taken for the newest: a removed member would stay."""
    monkeypatch.setattr(module, "MOST_VERSIONS", 5)

    with pytest.raises(MalformedMessage, match=says):
        await paged(pages)


async def test_versions_that_members_did_not_admit_are_refused_as_they_come():
    """The first that does not follow ends it: what nobody signed does not fill a site's memory."""
    pages = Pages(100)
    async with endpoint.coordinator(
        (enrolment_pb2_grpc.add_EnrolmentServiceServicer_to_server, pages)
    ) as coordinator:
        with pytest.raises(WrongContext, match="does not follow"):
            await coordinator.roster(made.roster().digest())
        with pytest.raises(WrongContext, match="not the fingerprint"):
            await coordinator.roster("ab" * 32)

    assert pages.asked == [0, 0]
