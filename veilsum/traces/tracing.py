"""Spans: what was done, from when until when, for which round. Never what was in it."""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

Attributes = Mapping[str, str | int]
"""Names and numbers that are public in the federation: round, phase, participant, method, code."""


class Tracer(Protocol):
    """Notes spans, and sends them some time later or never; no call waits for it."""

    def span(self, name: str, attributes: Attributes) -> AbstractContextManager[None]:
        """Note what happens inside, and whether it raised."""
        ...

    def record(self, name: str, began: float, ended: float, attributes: Attributes) -> None:
        """Note what is over, in seconds since 1970."""
        ...

    def close(self) -> None:
        """Send what is left, for some seconds at most."""
        ...


class NoTraces:
    """Notes nothing."""

    def span(self, name: str, attributes: Attributes) -> AbstractContextManager[None]:  # noqa: ARG002 - as the protocol says
        """Do nothing around it."""
        return nullcontext()

    def record(self, name: str, began: float, ended: float, attributes: Attributes) -> None:
        """Forget it."""

    def close(self) -> None:
        """Send nothing."""
