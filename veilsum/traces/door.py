"""Where spans of a process go: to the collector that its settings name, or nowhere."""

from collections.abc import Iterator
from contextlib import contextmanager

from .settings import Telemetry
from .tracing import NoTraces, Tracer


@contextmanager
def traces(telemetry: Telemetry | None, process: str) -> Iterator[Tracer]:
    """Give what notes spans of a process, by its name; without a collector, load nothing.

    Raises:
        MissingDependency: the packages of the extra `telemetry` are not there.
        ConfigError: the authority's file cannot be read.
    """
    if telemetry is None:
        yield NoTraces()
        return
    from .otlp import open_otlp  # noqa: PLC0415 - only where it is configured

    tracer = open_otlp(telemetry, process)
    try:
        yield tracer
    finally:
        tracer.close()
