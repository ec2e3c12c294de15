"""A backup as one file: a tar of parts, the digest of each, and the coordinator's signature.

    backup.msgpack             which release made it, when, of which federation and schema
    rows/<table>/<number>      rows of one table
    objects/<name>             an object, under its name in the object store
    parts.json                 name, length and SHA-256 of all of the above
    signature                  by the coordinator's signing key, over parts.json

It is written once, whole or not at all, and never unpacked into a folder: a part is read by its
name, and believed only if its digest is the signed one.
"""

import tarfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import IO, Any, Final, cast

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from privacy import canonical
from privacy.errors import ConfigError, InvalidSignature, MalformedMessage, NotYet
from privacy.identifiers import Digest, sha256_hex
from privacy.learned import learned
from privacy.signing import Purpose, sign, verify
from veilsum.files import Draft, disk_errors

from .sql.rows import Row

FORMAT: Final = "veilsum-backup/1"

_HEAD, _PARTS, _SIGNATURE = "backup.msgpack", "parts.json", "signature"
_ROWS, _OBJECTS = "rows/", "objects/"
_MOST_PARTS_BYTES: Final = 1 << 30


class Head(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a backup is of.

    Attributes:
        missing: objects that were damaged or gone already when it was made.
    """

    format: str
    release: str
    revision: str
    federation: str
    made: str
    missing: tuple[str, ...]


class Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One part of the file: its name, its bytes and their digest."""

    name: str
    length: int
    sha256: Digest


class _Parts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    format: str
    parts: tuple[Part, ...]


class Writer:
    """Writes the parts of a backup, one after the other."""

    def __init__(self, draft: Draft) -> None:
        self._tar = tarfile.open(fileobj=cast("IO[bytes]", _Out(draft)), mode="w")  # noqa: SIM115
        self._parts: list[Part] = []
        self._rows = 0

    def rows(self, table: str, rows: Sequence[Row]) -> None:
        """Add some rows of a table."""
        self._add(f"{_ROWS}{table}/{self._rows:08d}", msgspec.msgpack.encode(rows))
        self._rows += 1

    def object(self, name: str, body: bytes) -> None:
        """Add an object."""
        self._add(f"{_OBJECTS}{name}", body)

    def finish(self, head: Head, key: Ed25519PrivateKey) -> None:
        """Add what the backup is of, the digests of its parts, and the signature on them."""
        self._add(_HEAD, msgspec.msgpack.encode(head))
        body = canonical.encode(_Parts(FORMAT, tuple(self._parts)))
        self._add(_PARTS, body)
        self._add(_SIGNATURE, sign(key, Purpose.BACKUP, body))
        self._tar.close()

    def _add(self, name: str, body: bytes) -> None:
        entry = tarfile.TarInfo(name)
        entry.size, entry.mode = len(body), 0o600
        self._tar.addfile(entry, BytesIO(body))
        self._parts.append(Part(name, len(body), sha256_hex(body)))


class Backup:
    """A backup that is read: every part of it is signed, and checked when it is asked for."""

    def __init__(self, file: IO[bytes], path: Path, key: bytes) -> None:
        self._path = path
        self._tar = tarfile.open(fileobj=file, mode="r:")  # noqa: SIM115  its file is closed by who opened it
        self._entries = {entry.name: entry for entry in self._tar.getmembers()}
        self._parts = self._signed_parts(key)
        self.head = self._head()

    def rows(self) -> Iterator[tuple[str, list[Row]]]:
        """Yield the rows, some of one table at a time, in the order they were written."""
        for name in self._parts:
            if name.startswith(_ROWS):
                yield name.split("/")[1], msgspec.msgpack.decode(self._get(name))

    def objects(self) -> list[str]:
        """Return the names of the objects in it."""
        return [name.removeprefix(_OBJECTS) for name in self._parts if name.startswith(_OBJECTS)]

    def object(self, name: str) -> bytes:
        """Return an object.

        Raises:
            NotYet: it is not in this backup.
        """
        if f"{_OBJECTS}{name}" not in self._parts:
            raise NotYet(f"{name} is not in the backup")
        return self._get(f"{_OBJECTS}{name}")

    def check(self) -> None:
        """Return if every part is as it was signed.

        Raises:
            ConfigError: one is not.
        """
        for name in self._parts:
            self._get(name)

    def _signed_parts(self, key: bytes) -> dict[str, Part]:
        body, signature = self._raw(_PARTS), self._raw(_SIGNATURE)
        try:
            verify(key, Purpose.BACKUP, body, signature)
        except InvalidSignature:
            raise ConfigError(
                f"{self._path}: not signed by this federation's coordinator; take another copy"
            ) from None
        signed = canonical.decode(body, _Parts)
        if signed.format != FORMAT:
            raise ConfigError(f"{self._path}: of the format {signed.format[:40]!r}, not {FORMAT}")
        return {each.name: each for each in signed.parts}

    def _head(self) -> Head:
        return msgspec.msgpack.decode(self._get(_HEAD), type=learned(Head))

    def _get(self, name: str) -> bytes:
        part = self._parts[name]
        entry = self._entries.get(name)
        if entry is not None and entry.size == part.length:
            body = self._raw(name)
            if sha256_hex(body) == part.sha256:
                return body
        raise ConfigError(f"{self._path}: {name} is not as it was written; take another copy")

    def _raw(self, name: str) -> bytes:
        entry = self._entries.get(name)
        if entry is None or not entry.isreg() or entry.size > _MOST_PARTS_BYTES:
            raise ConfigError(f"{self._path}: it has no {name}; it is no whole backup")
        opened = self._tar.extractfile(entry)
        assert opened is not None  # a regular entry has a body
        return opened.read()


@contextmanager
def open_backup(path: Path, key: bytes) -> Iterator[Backup]:
    """Open a backup for as long as the block runs.

    Args:
        key: the coordinator's public key, which must have signed it.

    Raises:
        ConfigError: it cannot be read, is not whole, or was signed by another.
    """
    try:
        with path.open("rb") as file:
            yield Backup(file, path, key)
    except (tarfile.TarError, EOFError, msgspec.MsgspecError, MalformedMessage) as error:
        raise ConfigError(f"{path}: no whole backup ({error}); take another copy") from error
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None


def write_backup(path: Path, write: Callable[[Writer], None]) -> None:
    """Write a new file: whole, or not at all; mode 0600.

    Raises:
        ConfigError: there is such a file; an older backup is never written over.
        StoreUnavailable: the disk refuses.
    """
    with disk_errors(path):
        if path.exists():
            raise ConfigError(f"{path} exists; a backup is never written over, name another file")
    draft = Draft(path)
    try:
        write(Writer(draft))
        if not draft.publish_new(path):
            raise ConfigError(f"{path} exists; a backup is never written over, name another file")
    finally:
        draft.discard()


class _Out:
    """What a tar is written to."""

    def __init__(self, draft: Draft) -> None:
        self._draft = draft
        self._length = 0

    def tell(self) -> int:
        return self._length

    def write(self, body: Any) -> int:  # noqa: ANN401
        self._draft.add(bytes(body))
        self._length += len(body)
        return len(body)
