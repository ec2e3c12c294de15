"""The one door to OpenTelemetry: spans to a collector by OTLP over gRPC, where configured."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import grpc

from privacy.errors import ConfigError, MissingDependency, VeilsumError
from veilsum.release import RELEASE

from .settings import Telemetry
from .tracing import Attributes

try:
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import SpanLimits, TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.sdk.trace.sampling import ALWAYS_ON
    from opentelemetry.trace import Status, StatusCode
except ImportError as error:
    raise MissingDependency(
        f"telemetry.endpoint: {error.name} is not installed; install veilsum[telemetry], or leave "
        "out the table"
    ) from error

_SEND_SECONDS = 5.0
_NANOSECONDS = 1_000_000_000
# A proxy is a setting, never a surprise from the environment.
_OPTIONS = (("grpc.enable_http_proxy", "0"),)


class Otlp:
    """Sends spans in the background; a collector that is away costs spans, and nothing else."""

    def __init__(self, exporter: OTLPSpanExporter, process: str) -> None:
        # Not from the environment: what is sent is what stands here.
        resource = Resource({"service.name": f"veilsum-{process}", "service.version": RELEASE})
        self._provider = TracerProvider(
            sampler=ALWAYS_ON, resource=resource, shutdown_on_exit=False, span_limits=SpanLimits()
        )
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("veilsum", RELEASE)

    def span(self, name: str, attributes: Attributes) -> AbstractContextManager[None]:
        """Note what happens inside, and the code of the error that it raised."""
        return self._span(name, attributes)

    @contextmanager
    def _span(self, name: str, attributes: Attributes) -> Iterator[None]:
        # The library would write an error's words and stack into the span: they are not for it.
        with self._tracer.start_as_current_span(
            name, attributes=dict(attributes), record_exception=False, set_status_on_exception=False
        ) as span:
            try:
                yield
            except Exception as error:
                code = error.code if isinstance(error, VeilsumError) else "unexpected"
                span.set_attribute("veilsum.error", code)
                span.set_status(Status(StatusCode.ERROR))
                raise

    def record(self, name: str, began: float, ended: float, attributes: Attributes) -> None:
        """Note what is over."""
        span = self._tracer.start_span(
            name, attributes=dict(attributes), start_time=int(began * _NANOSECONDS)
        )
        span.end(int(ended * _NANOSECONDS))

    def close(self) -> None:
        """Send what is left, for some seconds at most."""
        self._provider.force_flush(int(_SEND_SECONDS * 1000))
        self._provider.shutdown()


def open_otlp(telemetry: Telemetry, process: str) -> Otlp:
    """Return what sends a process's spans to the collector.

    Raises:
        ConfigError: the authority's file cannot be read.
    """
    secure = telemetry.is_secure()
    credentials = grpc.ssl_channel_credentials(_authority(telemetry.authority)) if secure else None
    exporter = OTLPSpanExporter(
        endpoint=telemetry.target(),
        insecure=not secure,
        credentials=credentials,
        timeout=_SEND_SECONDS,
        channel_options=_OPTIONS,
    )
    return Otlp(exporter, process)


def _authority(path: Path | None) -> bytes | None:
    try:
        return None if path is None else path.read_bytes()
    except OSError as error:
        raise ConfigError(f"telemetry.authority: {path}: {error.strerror}") from None
