"""The parts of contributions that a seat holds, on its disk until their round is over.

    parts/000002/hospital-a/header     the signed header
    parts/000002/hospital-a/sealed     what the site sealed to this seat
    parts/000002/hospital-a/payload    chunks of the component that travels, one after another

They are as secret on this disk as on their way: only the seat's own key opens what is sealed,
and only what was sealed opens the payload. A payload that was cut goes on where it stopped.
"""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from privacy.documents import Signed, pack, unpack
from privacy.errors import MalformedMessage, StoreUnavailable
from privacy.plan import Plan
from privacy.schemes.shares.payload import PayloadCheck
from veilsum.files import disk_errors, make_folder, sync_folder, write_durably

FOLDER = "parts"
"""Where they are, in a seat's state folder."""


@dataclass(frozen=True)
class Parts:
    """The parts of one round."""

    folder: Path
    plan: Plan

    def of(self, participant: str) -> "Part":
        """Return one contribution's part, whether it is there or not."""
        lengths = PayloadCheck(self.plan.shares(), self.plan.arithmetic.dimension)
        place = self.folder / f"{self.plan.terms.round:06d}" / participant
        return Part(place, lengths, self.plan.arithmetic.chunks)


@dataclass(frozen=True)
class Part:
    """One contribution as it is on this seat's disk; checked by whoever reads it."""

    place: Path
    lengths: PayloadCheck
    chunks: int

    def begin(self, header: Signed, sealed: bytes) -> None:
        """Keep a header and what is sealed; what was here of another contribution goes.

        Raises:
            StoreUnavailable: the disk refuses.
        """
        if self.begun() == (header, sealed):
            return
        self.erase()
        make_folder(self.place)
        write_durably(self.place / "sealed", sealed)
        # Last: a part with its header is one with its seal.
        write_durably(self.place / "header", pack(header))

    def begun(self) -> tuple[Signed, bytes] | None:
        """Return header and seal as they were kept, if they are whole."""
        try:
            header = unpack((self.place / "header").read_bytes())
            return header, (self.place / "sealed").read_bytes()
        except (OSError, MalformedMessage):
            return None  # not there, or damaged: it is asked for again

    def reached(self) -> int:
        """Return how many whole chunks of the payload are here; they may be damaged."""
        with disk_errors(self._payload):
            length = self._payload.stat().st_size if self._payload.exists() else 0
        if length >= self._offset(self.chunks):
            return self.chunks
        return length // self.lengths.length_of(0)

    def append_from(self, reached: int) -> "Appending":
        """Return what takes chunks from `reached` on; what lies behind them is cut off first.

        Raises:
            StoreUnavailable: the disk refuses.
        """
        make_folder(self.place)
        return Appending(self._payload, self._offset(reached))

    def payload(self, chunk: int) -> bytes:
        """Return one chunk of the payload, unchecked but for its length.

        Raises:
            StoreUnavailable: the disk refuses, or has lost some of it.
        """
        length = self.lengths.length_of(chunk)
        with disk_errors(self._payload), self._payload.open("rb", buffering=0) as file:
            found = os.pread(file.fileno(), length, chunk * self.lengths.length_of(0))
        if len(found) != length:
            raise StoreUnavailable(f"{self._payload}: chunk {chunk} is cut short; check this disk")
        return found

    def erase(self) -> None:
        """Delete the part: its round is over, or it is of no use."""
        shutil.rmtree(self.place, ignore_errors=True)

    @property
    def _payload(self) -> Path:
        return self.place / "payload"

    def _offset(self, chunk: int) -> int:
        # Only the last chunk may be shorter than the others.
        return chunk * self.lengths.length_of(0) if chunk < self.chunks else self.lengths.length()


class Appending:
    """The end of a payload, to which chunks are added.

    Raises:
        StoreUnavailable: the disk refuses; whichever method it is.
    """

    def __init__(self, path: Path, offset: int) -> None:
        self._path = path
        with disk_errors(path):
            file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            self._out = os.fdopen(file, "wb", buffering=0)
            self._out.truncate(offset)
            self._out.seek(offset)

    def add(self, payload: bytes) -> None:
        """Write the next chunk."""
        with disk_errors(self._path):
            written = self._out.write(payload)
        if written != len(payload):
            raise StoreUnavailable(f"{self._path}: cut short; make room on this disk")

    def close(self) -> None:
        """Make what was added durable."""
        with self._out, disk_errors(self._path):
            os.fsync(self._out.fileno())
            sync_folder(self._path.parent)
