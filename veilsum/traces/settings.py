"""Where traces go. Without this table nothing is loaded and nothing is sent."""

import re
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import msgspec

from privacy.errors import ConfigError

_ENDPOINT: Final = re.compile(r"https?://([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5}")
_LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")


class Telemetry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A collector that speaks OTLP over gRPC; `http` is for one on this machine only.

    Attributes:
        authority: PEM certificates that signed the collector's; None for the system's.
    """

    endpoint: str
    authority: Path | None = None

    def __post_init__(self) -> None:
        if _ENDPOINT.fullmatch(self.endpoint) is None:
            raise ConfigError(f"telemetry.endpoint: {self.endpoint!r} is not https://host:port")
        if not self.is_secure() and urlsplit(self.endpoint).hostname not in _LOOPBACK:
            raise ConfigError(
                f"telemetry.endpoint: {self.endpoint} would send what this process does in the "
                "clear; use https, or a collector on this machine"
            )

    def is_secure(self) -> bool:
        """Return whether the collector is reached over TLS."""
        return self.endpoint.startswith("https://")

    def target(self) -> str:
        """Return its host and port."""
        return urlsplit(self.endpoint).netloc
