"""Spans reach the collector that is named, and say nothing beyond names, numbers and times."""

import re
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import grpc
import pytest
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as pb
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc as service

from privacy.errors import ConfigError, NotYet, RootMismatch
from veilsum.traces.door import traces
from veilsum.traces.settings import Telemetry
from veilsum.traces.tracing import NoTraces


class Collector(service.TraceServiceServicer):
    """Keeps what it is sent."""

    def __init__(self):
        self.bodies = []

    def Export(self, request, context):  # noqa: N802
        self.bodies.append(request.SerializeToString())
        return pb.ExportTraceServiceResponse()

    @property
    def spans(self):
        requests = [pb.ExportTraceServiceRequest.FromString(body) for body in self.bodies]
        scopes = [s for r in requests for e in r.resource_spans for s in e.scope_spans]
        return [span for scope in scopes for span in scope.spans]


@contextmanager
def collecting():
    collector, server = Collector(), grpc.server(ThreadPoolExecutor(1))
    service.add_TraceServiceServicer_to_server(collector, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield collector, Telemetry(f"http://127.0.0.1:{port}")
    finally:
        server.stop(None)


def attributes(span):
    return {each.key: each.value.string_value or each.value.int_value for each in span.attributes}


def test_spans_arrive_with_their_names_and_numbers():
    """What is inside, and what is over already."""
    with collecting() as (collector, where):
        with traces(where, "coordinator") as tracer:
            with tracer.span("task Contribute", {"veilsum.round": 3}):
                pass
            tracer.record("round open", 5.0, 7.5, {"veilsum.round": 3})

        done, phase = sorted(collector.spans, key=lambda span: span.name, reverse=True)

    assert (done.name, attributes(done)) == ("task Contribute", {"veilsum.round": 3})
    assert (phase.start_time_unix_nano, phase.end_time_unix_nano) == (5 * 10**9, 75 * 10**8)


def test_an_error_is_its_code_and_nothing_of_its_words():
    """Words and stacks are for this machine's own log."""
    with collecting() as (collector, where):
        with (
            pytest.raises(RootMismatch),
            traces(where, "participant") as tracer,
            tracer.span("task Open", {}),
        ):
            raise RootMismatch("the words of it")

        (span,) = collector.spans
        sent = b"".join(collector.bodies)

    assert attributes(span) == {"veilsum.error": "root_mismatch"}
    assert b"the words of it" not in sent
    assert b"Traceback" not in sent


def test_a_collector_that_is_away_costs_spans_and_nothing_else():
    """No call waits for it, and no error reaches what is traced."""
    away = Telemetry("http://127.0.0.1:1")

    with traces(away, "participant") as tracer, tracer.span("task", {}):
        done = True

    assert done


def test_without_a_collector_errors_pass_as_they_are():
    """The tracer that notes nothing."""
    with pytest.raises(NotYet), NoTraces().span("task", {}):
        raise NotYet("not yet")


@pytest.mark.parametrize(
    "endpoint",
    ["", "collector:4317", "http://collector.example.org:4317", "https://x/y", "ftp://a:1"],
)
def test_an_endpoint_in_the_clear_is_on_this_machine_only(endpoint):
    """What a process does is not for the network to read."""
    with pytest.raises(ConfigError, match=re.escape("telemetry.endpoint: ")):
        Telemetry(endpoint)


@pytest.mark.parametrize("endpoint", ["https://collector.example.org:4317", "http://[::1]:4317"])
def test_endpoints_that_are_accepted(endpoint):
    """Over TLS anywhere, in the clear here."""
    assert Telemetry(endpoint).is_secure() == endpoint.startswith("https")
