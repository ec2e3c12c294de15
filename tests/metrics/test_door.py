"""Prometheus finds what the book holds, on a port of its own; unasked, nothing is opened."""

import socket
import subprocess
import sys
import urllib.request

import pytest
from prometheus_client.parser import text_string_to_metric_families

from privacy.errors import AddressTaken
from veilsum.metrics.book import Book
from veilsum.metrics.catalogue import CHUNK_COMMIT_SECONDS, UPLOAD_RECEIVED
from veilsum.metrics.door import metrics_door
from veilsum.metrics.prometheus import serving
from veilsum.metrics.settings import host_and_port


def fetched(port):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        text = answer.read().decode()
    return {s.name: s for f in text_string_to_metric_families(text) for s in f.samples}


def test_what_was_counted_is_fetched():
    """In the text format, under the documented names."""
    book = Book()
    book.add(UPLOAD_RECEIVED, 41, "amber")
    book.observe(CHUNK_COMMIT_SECONDS, 0.003)

    with serving(book, "0") as port:
        book.add(UPLOAD_RECEIVED, 1, "amber")
        seen = fetched(port)

    assert (seen["veilsum_upload_received_bytes_total"].value) == 42.0
    assert seen["veilsum_upload_received_bytes_total"].labels == {"site": "amber"}
    assert seen["veilsum_chunk_commit_seconds_count"].value == 1.0
    assert seen["veilsum_chunk_commit_seconds_sum"].value == pytest.approx(0.003)
    assert "process_resident_memory_bytes" in seen


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("9464", ("127.0.0.1", 9464)),
        ("192.0.2.7:1", ("192.0.2.7", 1)),
        ("[::1]:1", ("::1", 1)),
    ],
)
def test_a_port_alone_is_on_loopback(address, place):
    """The numbers leave the machine only where somebody has written so."""
    assert host_and_port(address) == place


def test_an_address_in_use_is_said_before_anything_begins():
    """With the address, to the operator."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        with pytest.raises(AddressTaken, match=f"127.0.0.1:{port}"), serving(Book(), str(port)):
            pass


def test_without_an_address_nothing_is_loaded():
    """Neither prometheus-client nor OpenTelemetry; a process that is not asked costs nothing."""
    code = (
        "import sys, coordinator.server, participant.run, participant.auditing.run\n"
        "from veilsum.metrics.door import metrics_door\n"
        "from veilsum.metrics.book import Book\n"
        "from veilsum.traces.door import traces\n"
        "with metrics_door(Book(), None), traces(None, 'x'): pass\n"
        "print([m for m in sys.modules if m.startswith(('prometheus_client', 'opentelemetry'))])"
    )

    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert ended.stdout.strip() == "[]"


def test_the_door_is_shut_at_the_end():
    """A port that stays would be in the way of the next start."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with metrics_door(Book(), str(port)):
        assert "veilsum_build_info" in fetched(port)

    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), 1).close()
