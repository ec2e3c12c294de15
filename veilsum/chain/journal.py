"""Signed transactions, written down before they are sent, so that a crash repeats none."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


class Journal(Protocol):
    """Keeps the newest signed transaction for each purpose."""

    def get(self, purpose: str) -> bytes | None:
        """Return the signed transaction written for `purpose`, if any."""

    def put(self, purpose: str, signed: bytes) -> None:
        """Write `signed` for `purpose`, durably, over what stood there."""


@dataclass(frozen=True, slots=True)
class FolderJournal:
    """A journal with one file per purpose in `folder`, which exists.

    One process at a time: the nonces of a key have one writer.
    """

    folder: Path

    def get(self, purpose: str) -> bytes | None:
        """Return the signed transaction written for `purpose`, if any."""
        path = self._path(purpose)
        return path.read_bytes() if path.exists() else None

    def put(self, purpose: str, signed: bytes) -> None:
        """Write `signed` for `purpose`, durably, over what stood there."""
        path = self._path(purpose)
        temporary = path.with_suffix(".new")
        with temporary.open("wb") as file:
            file.write(signed)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        self._sync_folder()

    def _path(self, purpose: str) -> Path:
        return self.folder / f"{purpose}.transaction"

    def _sync_folder(self) -> None:
        descriptor = os.open(self.folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
