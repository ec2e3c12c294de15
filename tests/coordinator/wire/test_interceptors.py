"""What a peer learns of an error, and what it does not; over real connections."""

import asyncio
import threading

import grpc
import pytest
from structlog.testing import capture_logs

from coordinator.wire import interceptors
from coordinator.wire.authorise import OPERATOR
from coordinator.wire.interceptors import (
    BYTES_OF_A_CALLER,
    CALLS_OF_A_CALLER,
    LINES_OF_NOBODY,
    MOST_REFUSALS,
    Refusals,
    Shares,
)
from participant.wire.ending import Ending
from privacy.errors import (
    ConfigError,
    MalformedMessage,
    NotYet,
    StoreUnavailable,
    Unavailable,
)
from tests import fakes
from tests.coordinator.served import channel_of, served
from tests.loopback import make_federation
from veilsum.v1 import contribution_pb2, enrolment_pb2, model_pb2, round_pb2, seat_pb2

URI = "spiffe://oncology/participant/hospital-a"


@pytest.fixture(scope="module")
def certified():
    return make_federation()


async def call(certified, service, method, request, kind="unary_unary"):
    """Return the status, its text and the error's code of one call."""
    async with (
        served(service, certified) as address,
        channel_of(address, certified, URI) as channel,
    ):
        started = getattr(channel, kind)(f"/veilsum.v1.{method}")(request, timeout=10)
        # A refusal may overtake what is being sent, and gRPC would not tell it then.
        ending = Ending(started)
        try:
            if kind.endswith("stream"):
                return [part async for part in started]
            return await started
        except grpc.aio.AioRpcError as failed:
            error = ending.of(failed)
            metadata = dict(error.trailing_metadata() or ())
            return error.code(), error.details(), metadata.get("veilsum-error")


@pytest.mark.parametrize(
    ("raised", "status", "text"),
    [
        (MalformedMessage("chunk 3: 17 bytes"), "INVALID_ARGUMENT", "chunk 3: 17 bytes"),
        (NotYet("round 4: no plan"), "NOT_FOUND", "round 4: no plan"),
        (StoreUnavailable("/var/lib/db: full"), "UNAVAILABLE", "not now: store_unavailable"),
        (ConfigError("/etc/key: bad"), "FAILED_PRECONDITION", "not now: config"),
    ],
)
async def test_a_peer_is_told_what_it_can_act_on(certified, monkeypatch, raised, status, text):
    """Paths and addresses of the coordinator's machine are its operator's business."""
    service = fakes.Federation().service

    def fail(_):
        raise raised

    monkeypatch.setattr(service, "plan_as_kept", fail)

    answer = await call(
        certified, service, "RoundService/GetPlan", round_pb2.GetPlanRequest().SerializeToString()
    )

    assert answer == (grpc.StatusCode[status], text, raised.code)


async def test_a_refusal_names_the_caller_and_is_said_once(certified, monkeypatch):
    """Whoever tries again every second is one line of the operator's log."""
    service = fakes.Federation().service

    def fail(_):
        raise MalformedMessage("no plan of yours")

    monkeypatch.setattr(service, "plan_as_kept", fail)
    request = round_pb2.GetPlanRequest().SerializeToString()
    with capture_logs() as said:
        async with (
            served(service, certified) as address,
            channel_of(address, certified, URI) as channel,
        ):
            for _ in range(3):
                with pytest.raises(grpc.aio.AioRpcError):
                    await channel.unary_unary("/veilsum.v1.RoundService/GetPlan")(request)

    (line,) = [each for each in said if each["event"] == "call_refused"]
    assert (line["participant"], line["code"]) == ("hospital-a", "malformed_message")
    assert (line["method"], line["reason"]) == (
        "/veilsum.v1.RoundService/GetPlan",
        "no plan of yours",
    )


def test_a_refusal_is_said_again_when_it_changes():
    """Another code, method or caller is news; another text alone is not, whoever chose it."""
    refusals, one, other = Refusals(), MalformedMessage("one"), MalformedMessage("other")

    with capture_logs() as said:
        for who, what, error in [
            ("a", "GetPlan", one),
            ("a", "GetPlan", one),
            ("a", "GetSum", one),
            ("b", "GetPlan", one),
            ("a", "GetPlan", other),
            ("a", "GetPlan", one),
            ("a", "GetPlan", ConfigError("one")),
        ]:
            refusals.say(who, what, error)

    assert len(said) == 4


def test_a_refusal_that_lasts_is_said_once_an_hour_with_its_count():
    clock = [0.0]
    refusals = Refusals(lambda: clock[0])

    with capture_logs() as said:
        for at in range(0, 2 * 3600 + 1, 600):
            clock[0] = float(at)
            refusals.say("hospital-a", "GetPlan", MalformedMessage(f"at {at}"))

    assert [each.get("unsaid", 0) for each in said] == [0, 5, 5]


def test_callers_without_a_name_share_one_line_a_second():
    """Anybody may call, and make up what is refused."""
    clock = [0.0]
    refusals = Refusals(lambda: clock[0])

    with capture_logs() as said:
        for at in range(1000):
            clock[0] = at / 100
            refusals.say("", f"Get{at}", MalformedMessage(f"{at}"))

    assert len(said) <= LINES_OF_NOBODY + 10


def test_what_a_caller_chose_is_one_bounded_line():
    """No terminal is told anything by it, and no line is made up."""
    with capture_logs() as said:
        Refusals().say("", "GetPlan", MalformedMessage("\x1b[2J\n\u202e" + "x" * 4000))

    (line,) = said
    assert line["reason"].startswith("\\x1b[2J\\n\\u202exxx")
    assert len(line["reason"]) < 400


def test_what_was_said_takes_bounded_memory():
    """Names and methods are many; the oldest are forgotten, and said again."""
    refusals = Refusals()

    with capture_logs() as said:
        for at in [*range(MOST_REFUSALS + 1), 0, MOST_REFUSALS]:
            refusals.say(f"site-{at}", "GetPlan", MalformedMessage("no"))

    assert len(said) == MOST_REFUSALS + 2
    assert len(refusals._said) == MOST_REFUSALS


async def test_errors_in_a_stream_become_statuses_too(certified):
    request = iter([contribution_pb2.PutChunksRequest(round=9).SerializeToString()])

    answer = await call(
        certified,
        fakes.Federation().service,
        "ContributionService/PutChunks",
        request,
        "stream_stream",
    )

    assert answer[0] is grpc.StatusCode.NOT_FOUND
    assert answer[2] == "not_yet"


@pytest.mark.parametrize("wait", [-1.0, float("nan"), float("-inf"), 0.0])
async def test_a_wait_that_is_no_time_is_no_wait(certified, wait):
    federation = fakes.Federation()
    federation.tick()
    seen = federation.service.rounds.revision
    request = round_pb2.WatchRoundsRequest(seen=seen, wait_seconds=wait, working_on=[1] * 100_000)

    answer = await call(
        certified, federation.service, "RoundService/WatchRounds", request.SerializeToString()
    )

    assert round_pb2.WatchRoundsResponse.FromString(answer).revision == seen


@pytest.fixture
def added_up():
    federation = fakes.Federation()
    federation.open_round()
    for name in fakes.SITES:
        federation.contribute(name)
    federation.tick()
    return federation


def model_parts(federation, chunks, **other):
    """Return an envelope and chunks as they travel."""
    plan, total = federation.service.plan(1)[0], federation.round().sum
    sealed = fakes.envelope(plan, federation.roster, total, fakes.OPENERS[0], **other)
    signed = fakes.signed_by(fakes.OPENERS[0], sealed)
    first = model_pb2.PutSealedModelRequest()
    first.envelope.body = signed.body
    for signer, value in signed.signatures.items():
        first.envelope.signatures.add(signer=signer, value=value)
    rest = [model_pb2.PutSealedModelRequest(chunk=chunk) for chunk in chunks]
    return [part.SerializeToString() for part in (first, *rest)]


async def put_model(certified, federation, parts):
    return await call(
        certified, federation.service, "ModelService/PutSealedModel", iter(parts), "stream_stream"
    )


WHOLE = fakes.model_chunks()


async def test_a_whole_model_is_taken(certified, added_up):
    answers = await put_model(certified, added_up, model_parts(added_up, WHOLE))

    durable = [model_pb2.PutSealedModelResponse.FromString(each).chunks for each in answers]
    assert durable == list(range(len(WHOLE) + 1))

    assert added_up.round().sealed_model


@pytest.mark.parametrize(
    "chunks",
    [WHOLE[:1], [], [WHOLE[1], WHOLE[0]], [*WHOLE, b"more"], [WHOLE[0], WHOLE[1] + b"x"]],
    ids=["cut off", "none", "swapped", "one more", "longer"],
)
async def test_a_model_that_is_not_what_its_envelope_says_leaves_nothing(
    certified, added_up, chunks
):
    status, _, code = await put_model(certified, added_up, model_parts(added_up, chunks))

    assert (status, code) == (grpc.StatusCode.INVALID_ARGUMENT, "malformed_message")
    assert added_up.round().sealed_model == ""
    assert added_up.objects.names("rounds/000001/model") == []


async def test_a_model_without_its_envelope_is_refused(certified, added_up):
    for parts in ([], model_parts(added_up, WHOLE)[1:]):
        status, _, _ = await put_model(certified, added_up, parts)

        assert status is grpc.StatusCode.INVALID_ARGUMENT


async def test_bytes_beyond_what_the_envelope_says_take_no_room(certified, added_up, monkeypatch):
    """Nothing of the chunk that is too long is stored, not even until the end of the stream."""
    stored = []
    monkeypatch.setattr(added_up.objects, "put", lambda name, data: stored.append(name))

    await put_model(certified, added_up, model_parts(added_up, [WHOLE[0] + WHOLE[1] + b"x"]))

    assert stored == []


# -- a share of what there is ---------------------------------------------------------


async def test_one_member_takes_not_every_call_there_is(certified, monkeypatch):
    """However many connections it opens: others are answered meanwhile."""
    monkeypatch.setattr(interceptors, "CALLS_OF_A_CALLER", 8)
    federation = fakes.Federation()
    federation.open_round()
    seen = federation.service.rounds.revision
    polls = round_pb2.WatchRoundsRequest(seen=seen, wait_seconds=1.5).SerializeToString()
    now = round_pb2.WatchRoundsRequest().SerializeToString()
    path = "/veilsum.v1.RoundService/WatchRounds"
    async with served(federation.service, certified) as address:
        greedy = [channel_of(address, certified, URI) for _ in range(2)]
        waiting = [channel.unary_unary(path)(polls) for channel in greedy for _ in range(8)]
        polling = [asyncio.ensure_future(_code(each)) for each in waiting]
        ended, _ = await asyncio.wait(polling, timeout=0.7)
        other = channel_of(address, certified, URI.replace("hospital-a", "hospital-b"))

        answer = await other.unary_unary(path)(now, timeout=5)

        assert [each.result() for each in ended] == [grpc.StatusCode.UNAVAILABLE] * 8
        assert round_pb2.WatchRoundsResponse.FromString(answer).revision == seen
        await asyncio.wait(polling)
        # What has ended is given back.
        assert await greedy[0].unary_unary(path)(now, timeout=5)
        for channel in (*greedy, other):
            await channel.close()


async def _code(started):
    try:
        await started
    except grpc.aio.AioRpcError as error:
        return error.code()


def test_calls_of_one_caller_are_counted_apart_from_others():
    shares = Shares()
    begun = [shares.begin("hospital-a") for _ in range(CALLS_OF_A_CALLER)]

    with pytest.raises(Unavailable, match="hospital-a: 64 calls"):
        shares.begin("hospital-a")

    shares.begin("hospital-b").end()
    begun.pop().end()
    begun.append(shares.begin("hospital-a"))
    for each in begun:
        each.end()
    assert not shares._calls
    assert not shares._bytes


def test_calls_are_kept_free_for_operators(monkeypatch):
    """Who ends what is wrong gets in when nobody else does."""
    monkeypatch.setattr(interceptors, "MOST_CALLS", 2)
    shares = Shares()
    for name in ("hospital-a", "hospital-b"):
        shares.begin(name)

    with pytest.raises(Unavailable, match="of all callers"):
        shares.begin("hospital-c")

    shares.begin("operator", OPERATOR).end()


def test_messages_of_one_caller_take_bounded_memory():
    shares, large = Shares(), model_pb2.PutSealedModelRequest(chunk=bytes(1 << 20))
    begun = [shares.begin("hospital-a") for _ in range(BYTES_OF_A_CALLER >> 20)]
    for each in begun[1:]:
        each.carry(large)

    with pytest.raises(Unavailable, match="16 MiB"):
        begun[0].carry(large)

    shares.begin("hospital-b").carry(large)
    begun.pop().end()
    begun[0].carry(large)


@pytest.mark.parametrize("is_founded", [False, True])
async def test_no_call_asks_the_database_on_the_loop(certified, is_founded):
    """There one that hangs stops every call, and the word that this process lives."""
    federation, asked = fakes.Federation(), []
    service = federation.service
    if not is_founded:
        service.rosters._current = None
    for name in ("document", "documents", "round_numbers", "load_round", "upload", "uploads"):
        _note(service.store, name, asked)

    for method, request in {
        "RoundService/WatchRounds": round_pb2.WatchRoundsRequest(working_on=[1]),
        "RoundService/GetPlan": round_pb2.GetPlanRequest(round=1),
        "RoundService/GetKey": round_pb2.GetKeyRequest(round=1),
        "EnrolmentService/GetRoster": enrolment_pb2.GetRosterRequest(),
        "SeatService/GetScores": seat_pb2.GetScoresRequest(round=1),
        "RelayService/PostLetter": seat_pb2.PostLetterRequest(recipient="hospital-b"),
    }.items():
        await call(certified, service, method, request.SerializeToString())

    assert asked
    assert threading.main_thread() not in asked


def _note(store, name, asked):
    real = getattr(store, name)

    def noted(*args):
        asked.append(threading.current_thread())
        return real(*args)

    setattr(store, name, noted)
