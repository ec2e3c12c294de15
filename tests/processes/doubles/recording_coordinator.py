"""A coordinator that notes the bytes of every call, as they come and go; else it is the product's.

Run as `python -m tests.processes.doubles.recording_coordinator COORDINATOR.toml`. It notes them
in the folder `wire` beside its settings: a folder for each call, in it one file a message.
"""

import sys
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

from coordinator import server
from coordinator.wire.interceptors import Guard
from veilsum.cli import main

LONGEST = 2048
"""Bytes of a message that is noted; a chunk is as any other of its kind, and large."""


class Recording(Guard):
    """Notes what the guard lets pass."""

    folder = Path()

    def _guarded(self, handler: Any, method: str, callers: Any) -> Any:
        guarded: Any = super()._guarded(handler, method, callers)
        place = self.folder / method.strip("/").replace("/", ".")
        place.mkdir(parents=True, exist_ok=True)
        read, write = guarded.request_deserializer, guarded.response_serializer

        def decode(body: bytes) -> Any:
            note(place, "request", body)
            return read(body)

        return guarded._replace(
            request_deserializer=decode, response_serializer=_noting(place, write)
        )


def _noting(place: Path, write: Callable[[Any], bytes]) -> Callable[[Any], bytes]:
    def encode(answer: Any) -> bytes:
        body = write(answer)
        note(place, "response", body)
        return body

    return encode


def note(place: Path, kind: str, body: bytes) -> None:
    """Keep a message, unless it is long, or kept already."""
    if len(body) <= LONGEST:
        (place / f"{kind}-{sha256(body).hexdigest()[:16]}").write_bytes(body)


if __name__ == "__main__":
    Recording.folder = Path(sys.argv[1]).parent / "wire"
    server.Guard = Recording  # type: ignore[misc]
    sys.argv = ["veilsum", "coordinator", "serve", "--config", sys.argv[1]]
    main()
