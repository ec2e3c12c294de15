"""Where objects lie, as a plain value that crosses to whoever works on them elsewhere."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import msgspec

from coordinator.config import S3Access
from coordinator.ports import ObjectStore
from privacy.learned import learned

from .objects_at import objects_at


@dataclass(frozen=True, slots=True)
class Place:
    """An object store's address, and where its credentials are; no credential is in it."""

    address: str
    access: S3Access | None = None

    def open(self) -> ObjectStore:
        """Return the store there, the same one each time; nothing in it is changed.

        Raises:
            ConfigError: it cannot be opened from this machine.
        """
        return _opened(self)

    def encode(self) -> bytes:
        """Return the place as JSON."""
        return msgspec.json.encode(self, enc_hook=str)


def decode_place(body: bytes) -> Place:
    """Return the place that `encode` wrote."""
    return msgspec.json.decode(body, type=learned(Place), dec_hook=_path)


@cache
def _opened(place: Place) -> ObjectStore:
    # Not `open_objects_at`, which clears away what other workers are writing.
    return objects_at(place.address, place.access)


def _path(kind: type[Path], value: str) -> Path:
    return kind(value)
