"""The methods as they travel: what each stream holds and in which order, over real connections."""

from types import SimpleNamespace

import grpc
import pytest

from coordinator.wire import codec
from coordinator.wire.credits import Transfers
from coordinator.wire.servicer import CohortServicer, ModelServicer
from privacy.documents import Signed
from privacy.identifiers import COORDINATOR
from privacy.signing import Purpose, sign
from tests.coordinator.served import channel_of, served
from tests.fakes import (
    AUDITOR,
    OPENERS,
    SITES,
    chunk_of,
    contribution,
    mask_seals,
    model_chunks,
    seed_of,
    signed_by,
    signing_key,
    wraps,
)
from tests.loopback import make_federation
from veilsum.v1 import cohort_pb2, contribution_pb2, model_pb2


@pytest.fixture(scope="module")
def certified():
    return make_federation()


async def call(certified, federation, caller, method, request):
    """Return the answer, or answers, of one call by `caller`; or the refusal's status and code."""
    service, name = method.split("/")
    module = MODULES[service]
    answer = getattr(module, f"{name}Response").FromString
    kind = "unary_stream" if name in STREAMS else "unary_unary"
    async with (
        served(federation.service, certified) as address,
        channel_of(address, certified, f"spiffe://oncology/participant/{caller}") as channel,
    ):
        started = getattr(channel, kind)(f"/veilsum.v1.{method}")(
            request.SerializeToString(), timeout=10
        )
        try:
            if name in STREAMS:
                return [answer(part) async for part in started]
            return answer(await started)
        except grpc.aio.AioRpcError as error:
            metadata = dict(error.trailing_metadata() or ())
            return error.code(), metadata.get("veilsum-error")


MODULES = {
    "CohortService": cohort_pb2,
    "ContributionService": contribution_pb2,
    "ModelService": model_pb2,
}
STREAMS = ("GetContributions", "GetMasks", "GetSum", "GetSealedModel")


# -- masks -----------------------------------------------------------------------------


def begin_request(federation, name, seals):
    """Return the request that begins a site's contribution to round 1, with these seals."""
    header = contribution(federation.service.plan(1)[0], name)
    return contribution_pb2.BeginContributionRequest(
        header=codec.signed_to_wire(signed_by(name, header)), sealed_masks=seals
    )


async def test_what_a_site_seals_travels_through_to_each_opener(certified, opened):
    """By site, in the order of the cohort: to each opener what was sealed to it."""
    plan, begin = opened.service.plan(1)[0], "ContributionService/BeginContribution"
    seals = {name: mask_seals(plan, seed_of(name, 1)) for name in SITES}
    for name in reversed(SITES):
        request = begin_request(opened, name, seals[name])
        assert (await call(certified, opened, name, begin, request)).chunks == [0]
        opened.put(name)
        opened.service.contributions.commit(name, 1)
    opened.tick()

    for at, opener in enumerate(OPENERS):
        asked = cohort_pb2.GetMasksRequest(round=1)
        parts = await call(certified, opened, opener, "CohortService/GetMasks", asked)
        assert [(each.participant, each.sealed) for each in parts] == [
            (name, seals[name][at]) for name in SITES
        ]


@pytest.mark.parametrize("seals", [(), (b"",) * 3, (b"\x00" * 1168,) * 3, (b"\x00" * 1168,) * 4])
async def test_a_begin_without_its_seals_is_an_invalid_argument(certified, opened, seals):
    request = begin_request(opened, SITES[0], seals)

    begun = "ContributionService/BeginContribution"
    answer = await call(certified, opened, SITES[0], begun, request)

    assert answer == (grpc.StatusCode.INVALID_ARGUMENT, "malformed_message")
    assert opened.store.uploads(1) == []


async def test_a_site_asks_for_its_own_newest_header_and_gets_no_other(certified, opened):
    """Whoever calls is who its certificate says; there is nothing else to ask for."""
    asked, method = contribution_pb2.GetCheckpointRequest(), "ContributionService/GetCheckpoint"
    opened.begin(SITES[0])

    mine = await call(certified, opened, SITES[0], method, asked)
    others = await call(certified, opened, SITES[1], method, asked)

    header = signed_by(SITES[0], contribution(opened.service.plan(1)[0], SITES[0]))
    assert codec.signed_from_wire(mine.header) == header
    assert not others.HasField("header")


async def test_only_trainers_ask_for_a_checkpoint(certified, opened):
    asked, method = contribution_pb2.GetCheckpointRequest(), "ContributionService/GetCheckpoint"

    answer = await call(certified, opened, AUDITOR, method, asked)

    assert answer == (grpc.StatusCode.PERMISSION_DENIED, "wrong_identity")


@pytest.mark.parametrize("caller", [SITES[3], AUDITOR])
async def test_nobody_but_openers_is_streamed_seals(certified, added_up, caller):
    request = cohort_pb2.GetMasksRequest(round=1)

    answer = await call(certified, added_up, caller, "CohortService/GetMasks", request)

    assert answer == (grpc.StatusCode.PERMISSION_DENIED, "wrong_identity")


@pytest.mark.parametrize("number", [1, 2])
async def test_seals_that_are_not_to_be_had_yet_are_an_error_and_no_empty_stream(
    certified, opened, number
):
    """An opener would take nothing for the masks of a cohort of nobody."""
    request = cohort_pb2.GetMasksRequest(round=number)

    answer = await call(certified, opened, OPENERS[0], "CohortService/GetMasks", request)

    assert answer == (grpc.StatusCode.NOT_FOUND, "not_yet")


async def test_seals_of_an_audited_round_wait_for_the_auditor(certified, audited):
    request, method = cohort_pb2.GetMasksRequest(round=1), "CohortService/GetMasks"
    early = await call(certified, audited, OPENERS[0], method, request)
    audited.countersign()

    parts = await call(certified, audited, OPENERS[0], method, request)

    assert early == (grpc.StatusCode.NOT_FOUND, "not_yet")
    assert [each.participant for each in parts] == list(SITES)


# -- the audit -------------------------------------------------------------------------


@pytest.mark.parametrize("first", [0, 1, 2])
async def test_an_auditor_is_streamed_every_contribution_chunk_by_chunk(certified, audited, first):
    """And of each chunk one payload for each entry of the cohort, in its order."""
    request = cohort_pb2.GetContributionsRequest(round=1, from_chunk=first)

    parts = await call(certified, audited, AUDITOR, "CohortService/GetContributions", request)

    assert [(part.chunk, part.participant) for part in parts] == [
        (chunk, name) for chunk in range(first, 2) for name in SITES
    ]
    for part in parts:
        assert part.payload == chunk_of(seed_of(part.participant, 1), part.chunk)


@pytest.mark.parametrize("caller", SITES)
async def test_nobody_else_is_streamed_contributions(certified, audited, caller):
    request = cohort_pb2.GetContributionsRequest(round=1)

    answer = await call(certified, audited, caller, "CohortService/GetContributions", request)

    assert answer == (grpc.StatusCode.PERMISSION_DENIED, "wrong_identity")


async def test_contributions_are_streamed_one_payload_at_a_time(audited, monkeypatch):
    """The next is read when the one before has been taken: memory is one payload."""
    monkeypatch.setattr(
        "coordinator.wire.servicer.peer_identity", lambda _: SimpleNamespace(id=AUDITOR)
    )
    read, get = [], audited.objects.get
    monkeypatch.setattr(audited.objects, "get", lambda name: read.append(name) or get(name))
    servicer = CohortServicer(audited.service.sums, Transfers(8))
    stream = servicer.GetContributions(cohort_pb2.GetContributionsRequest(round=1), None)

    for count in range(1, 9):
        await anext(stream)
        assert len(read) == count

    with pytest.raises(StopAsyncIteration):
        await anext(stream)


async def test_a_countersignature_opens_the_sum_to_openers(certified, audited):
    """First it is not yet theirs; then they get it with both signatures."""
    asked = cohort_pb2.GetSumRequest(round=1)
    get = "CohortService/GetSum"
    early = await call(certified, audited, OPENERS[1], get, asked)
    seen = await call(certified, audited, AUDITOR, get, asked)
    body = codec.signed_from_wire(seen[0].manifest).body
    request = cohort_pb2.CountersignSumRequest(
        round=1, signature=sign(signing_key(AUDITOR), Purpose.SUM, body)
    )

    answer = await call(certified, audited, AUDITOR, "CohortService/CountersignSum", request)

    given = await call(certified, audited, OPENERS[1], get, asked)
    assert early == (grpc.StatusCode.NOT_FOUND, "not_yet")
    assert answer == cohort_pb2.CountersignSumResponse()
    assert set(codec.signed_from_wire(seen[0].manifest).signatures) == {COORDINATOR}
    assert codec.signed_from_wire(given[0].manifest).body == body
    assert set(codec.signed_from_wire(given[0].manifest).signatures) == {COORDINATOR, AUDITOR}
    assert given[1:] == seen[1:]
    assert len(given) == 3


@pytest.mark.parametrize("caller", [OPENERS[0], SITES[3]])
async def test_nobody_else_countersigns(certified, audited, caller):
    body = audited.service.sums.manifest(AUDITOR, 1).body
    request = cohort_pb2.CountersignSumRequest(
        round=1, signature=sign(signing_key(AUDITOR), Purpose.SUM, body)
    )

    answer = await call(certified, audited, caller, "CohortService/CountersignSum", request)

    assert answer == (grpc.StatusCode.PERMISSION_DENIED, "wrong_identity")
    assert audited.round().phase == "auditing"


# -- models ----------------------------------------------------------------------------


@pytest.fixture
def released(added_up):
    """A federation with a released model, and its envelope."""
    sealed = added_up.put_model()
    for opener in OPENERS[:2]:
        added_up.sign_release(opener)
    added_up.tick()
    return added_up, sealed


def put_wraps(signed: Signed):
    """Return the request that hands in wraps."""
    return model_pb2.PutWrapsRequest(wraps=codec.signed_to_wire(signed))


@pytest.mark.parametrize("first", [0, 1, 2])
async def test_a_model_is_streamed_behind_its_envelope_and_later_wraps(certified, released, first):
    """Who stopped in the middle asks for the rest, and sees again what it must check it with."""
    federation, sealed = released
    made = signed_by(SITES[3], wraps(sealed, federation.roster, SITES[3], SITES[0]))
    put = await call(certified, federation, SITES[3], "ModelService/PutWraps", put_wraps(made))
    request = model_pb2.GetSealedModelRequest(round=1, from_chunk=first)

    parts = await call(certified, federation, SITES[0], "ModelService/GetSealedModel", request)

    assert put == model_pb2.PutWrapsResponse()
    kinds = ["envelope", "wraps"] + ["chunk"] * (2 - first)
    assert [part.WhichOneof("part") for part in parts] == kinds
    assert codec.signed_from_wire(parts[0].envelope) == federation.service.models.envelope(1)
    assert codec.signed_from_wire(parts[1].wraps) == made
    assert [part.chunk for part in parts[2:]] == model_chunks()[first:]


async def test_a_model_without_later_wraps_is_its_envelope_and_its_chunks(certified, released):
    request = model_pb2.GetSealedModelRequest(round=1)

    parts = await call(certified, released[0], SITES[0], "ModelService/GetSealedModel", request)

    assert [part.WhichOneof("part") for part in parts] == ["envelope", "chunk", "chunk"]


async def test_wraps_are_taken_in_the_name_of_who_sends_them(certified, released):
    """The certificate says who made them, whatever they say."""
    federation, sealed = released
    made = signed_by(SITES[3], wraps(sealed, federation.roster, SITES[3], SITES[0]))

    other = await call(certified, federation, SITES[0], "ModelService/PutWraps", put_wraps(made))
    auditor = await call(certified, federation, AUDITOR, "ModelService/PutWraps", put_wraps(made))

    assert other == (grpc.StatusCode.UNAUTHENTICATED, "invalid_signature")
    assert auditor == (grpc.StatusCode.PERMISSION_DENIED, "wrong_identity")
    assert federation.service.models.later_wraps(1) == []


async def test_a_model_is_streamed_one_chunk_at_a_time(released, monkeypatch):
    read, objects = [], released[0].objects
    get = objects.get
    monkeypatch.setattr(objects, "get", lambda name: read.append(name) or get(name))
    who = SimpleNamespace(id=SITES[0])
    monkeypatch.setattr("coordinator.wire.servicer.peer_identity", lambda _: who)
    servicer = ModelServicer(released[0].service.models, Transfers(8))
    stream = servicer.GetSealedModel(model_pb2.GetSealedModelRequest(round=1), None)

    for count in range(3):
        await anext(stream)
        assert len(read) == count
