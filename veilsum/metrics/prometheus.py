"""The one door to prometheus-client: a book, as Prometheus fetches it. Loaded where configured."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from privacy.errors import AddressTaken

from .book import Book, Distribution
from .catalogue import Kind, Metric
from .settings import host_and_port

Family = CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily


class FromBook(Collector):
    """What a book holds, in Prometheus' words."""

    def __init__(self, book: Book) -> None:
        self._book = book

    def describe(self) -> list[Family]:
        """Return nothing: what there is, is known when it is fetched."""
        return []

    def collect(self) -> Iterator[Family]:
        """Yield one family for each metric of which there is a number."""
        families: dict[Metric, Family] = {}
        for metric, labels, value in self._book.samples():
            family = families.setdefault(metric, _family(metric))
            cast(GaugeMetricFamily, family).add_metric(labels, value)
        for metric, labels, each in self._book.distributions():
            family = families.setdefault(metric, _family(metric))
            cast(HistogramMetricFamily, family).add_metric(labels, _buckets(metric, each), each.sum)
        yield from families.values()


def _family(metric: Metric) -> Family:
    match metric.kind:
        case Kind.COUNTER:
            # The library ends the name by itself.
            name = metric.name.removesuffix("_total")
            return CounterMetricFamily(name, metric.says, labels=metric.labels)
        case Kind.GAUGE:
            return GaugeMetricFamily(metric.name, metric.says, labels=metric.labels)
        case Kind.HISTOGRAM:
            return HistogramMetricFamily(metric.name, metric.says, labels=metric.labels)


def _buckets(metric: Metric, each: Distribution) -> list[tuple[str, float]]:
    bounds = [*(f"{bound:g}" for bound in metric.buckets), "+Inf"]
    upto = [float(sum(each.counts[: place + 1])) for place in range(len(bounds))]
    return list(zip(bounds, upto, strict=True))


def registry_of(book: Book) -> CollectorRegistry:
    """Return a registry of one process: its book, and what its system says of it."""
    registry = CollectorRegistry()
    registry.register(FromBook(book))
    ProcessCollector(registry=registry)
    return registry


@contextmanager
def serving(book: Book, address: str) -> Iterator[int]:
    """Answer at `address`, in the clear, with what the book holds; give the port.

    Raises:
        AddressTaken: the address is in use, or not this machine's.
    """
    host, port = host_and_port(address)
    try:
        server, thread = start_http_server(port, host, registry_of(book))
    except OSError as error:
        raise AddressTaken(f"metrics: {host}:{port}: {error.strerror}") from None
    try:
        yield int(server.server_port)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
