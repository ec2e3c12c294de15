"""Signed transactions, written down before they are sent, so that a crash repeats none."""

import fcntl
import os
import re
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import msgspec
from msgspec.structs import replace

from privacy import canonical
from privacy.errors import ConfigError, FolderHeld, MalformedMessage
from veilsum.files import disk_errors, make_folder, read_file, sync_folder, write_durably

LOCK_SECONDS: Final = 5.0
"""How long another process with the same key is waited for."""

_PURPOSE: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,199}")
_LOCK_POLL_SECONDS: Final = 0.05


class Version(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One signed transaction, in hex, and the chain's height when a node was last given it."""

    signed: str
    height: int

    def bytes(self) -> bytes:
        """Return what is sent."""
        return bytes.fromhex(self.signed)


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What was sent for one purpose: one nonce of one sender, of whose versions one is mined.

    The newest version is the last; each offers more for its gas than the one before.
    """

    purpose: str
    sender: str
    nonce: int
    versions: tuple[Version, ...]

    @property
    def newest(self) -> Version:
        """Return the version that is sent."""
        return self.versions[-1]

    def with_version(self, signed: bytes, height: int) -> "Entry":
        """Return this entry with a newer version."""
        return replace(self, versions=(*self.versions, Version(signed.hex(), height)))

    def sent_at(self, height: int) -> "Entry":
        """Return this entry as a node took its newest version at `height`."""
        return replace(self, versions=(*self.versions[:-1], replace(self.newest, height=height)))


class Journal(Protocol):
    """Keeps the newest entry for each purpose, for each chain; the keys have one writer each."""

    def held(self, chain: str, sender: str) -> AbstractContextManager[None]:
        """Let nobody else send with this key while the block runs.

        Raises:
            FolderHeld: another process does, for longer than is waited for.
        """

    def find(self, chain: str, purpose: str) -> Entry | None:
        """Return the newest entry for `purpose`, if any, final or not."""

    def open(self, chain: str, sender: str) -> tuple[Entry, ...]:
        """Return the entries of a sender that are not final, by their nonces."""

    def put(self, chain: str, entry: Entry) -> None:
        """Write an entry, durably, over what stands there for its purpose."""

    def finish(self, chain: str, entry: Entry) -> None:
        """Note that an entry is final: nothing is ever done for it again."""

    def drop(self, chain: str, entry: Entry) -> None:
        """Forget an entry that can never be mined."""


@dataclass(frozen=True, slots=True)
class FolderJournal:
    """A journal in `folder`, which exists: for each chain a folder, for each purpose a file.

    Whoever sends with a key holds a lock that other processes respect, and the kernel lets it
    go with whoever dies. One key has one journal.
    """

    folder: Path
    lock_seconds: float = LOCK_SECONDS

    @contextmanager
    def held(self, chain: str, sender: str) -> Iterator[None]:
        """Let nobody else send with this key while the block runs.

        Raises:
            FolderHeld: another process does, for longer than is waited for.
        """
        make_folder(self.folder / chain)
        path = self.folder / chain / f"{sender.lower()}.lock"
        with disk_errors(path):
            file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            self._lock(file, sender)
            yield
        finally:
            os.close(file)

    def find(self, chain: str, purpose: str) -> Entry | None:
        """Return the newest entry for `purpose`, if any, final or not."""
        for path in (self._open(chain, purpose), self._final(chain, purpose)):
            if path.exists():
                return _read(path)
        return None

    def open(self, chain: str, sender: str) -> tuple[Entry, ...]:
        """Return the entries of a sender that are not final, by their nonces."""
        entries = map(_read, (self.folder / chain).glob("*.transaction"))
        of_sender = (entry for entry in entries if entry.sender == sender)
        return tuple(sorted(of_sender, key=lambda entry: entry.nonce))

    def put(self, chain: str, entry: Entry) -> None:
        """Write an entry, durably, over what stands there for its purpose."""
        write_durably(self._open(chain, entry.purpose), canonical.encode(entry))

    def finish(self, chain: str, entry: Entry) -> None:
        """Note that an entry is final: nothing is ever done for it again."""
        path = self._open(chain, entry.purpose)
        with disk_errors(path):
            path.replace(self._final(chain, entry.purpose))
            sync_folder(path.parent)

    def drop(self, chain: str, entry: Entry) -> None:
        """Forget an entry that can never be mined."""
        path = self._open(chain, entry.purpose)
        with disk_errors(path):
            path.unlink()
            sync_folder(path.parent)

    def _open(self, chain: str, purpose: str) -> Path:
        assert _PURPOSE.fullmatch(purpose), purpose  # our own code names it
        return self.folder / chain / f"{purpose}.transaction"

    def _final(self, chain: str, purpose: str) -> Path:
        return self._open(chain, purpose).with_suffix(".final")

    def _lock(self, file: int, sender: str) -> None:
        end = time.monotonic() + self.lock_seconds
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() >= end:
                    raise FolderHeld(
                        f"{self.folder}: another process sends with the key {sender}; let it end"
                    ) from None
                time.sleep(_LOCK_POLL_SECONDS)
            else:
                return


def _read(path: Path) -> Entry:
    try:
        return canonical.decode(read_file(path), Entry)
    except MalformedMessage as error:
        raise ConfigError(
            f"{path}: not what this process wrote ({error}); check that disk. Without this file "
            "what it was for may be sent twice: look at the sender's transactions first"
        ) from None
