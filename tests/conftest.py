"""What every test runs under."""

from collections.abc import Iterator

import pytest
import structlog

import coordinator  # noqa: F401 - before any test imports grpc, so that TLS 1.2 is shut out
from tests.postgres import postgres_server, postgres_url  # noqa: F401 - fixtures for all tests
from tests.s3 import s3_access, s3_address, s3_server  # noqa: F401 - fixtures for all tests


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with files that take long: no worker is left with one when the others are done."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(autouse=True)
def _log_of_its_own() -> Iterator[None]:
    """A command that runs in a test's own process starts a log, on a stream that ends with it."""
    yield
    structlog.reset_defaults()
