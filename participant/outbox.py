"""What is about to leave the site: on disk, whole, before the first byte goes.

    outbox/000002/chunks/00000000 …    protected chunks, written as they are made
    outbox/000002/header               the signed header, written last

A contribution without its header was never finished and never left; one with it
is sent as it is, however often that takes. Nothing here is in the clear.
"""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from privacy.documents import Signed, pack, unpack
from privacy.errors import StoreUnavailable
from veilsum.files import sync_folder, write_durably


@dataclass(frozen=True)
class Outbox:
    """The outbox of one round."""

    folder: Path
    number: int

    @property
    def place(self) -> Path:
        """The folder of this round's contribution."""
        return self.folder / f"{self.number:06d}"

    def start(self) -> Path:
        """Return an empty folder for chunks; what an unfinished try left is deleted.

        Raises:
            StoreUnavailable: the disk refuses.
        """
        chunks = self.place / "chunks"
        try:
            self.erase()
            chunks.mkdir(mode=0o700, parents=True)
        except OSError as error:
            raise _refused(self.place, error) from None
        return chunks

    def finish(self, header: Signed) -> None:
        """Put the signed header beside its chunks; from here on this is the contribution."""
        sync_folder(self.place / "chunks")
        write_durably(self.place / "header", pack(header))

    def header(self) -> Signed | None:
        """Return the signed header of a finished contribution, or None."""
        path = self.place / "header"
        return unpack(path.read_bytes()) if path.exists() else None

    def chunks(self, first: int, count: int) -> Iterator[tuple[int, bytes]]:
        """Yield the chunks from `first` on, each with its index."""
        for index in range(first, count):
            yield index, self._chunk(index)

    def erase(self) -> None:
        """Delete the contribution; its round is over."""
        # The header first: what is left when this is cut short was never finished.
        (self.place / "header").unlink(missing_ok=True)
        shutil.rmtree(self.place, ignore_errors=True)

    def _chunk(self, index: int) -> bytes:
        path = self.place / "chunks" / f"{index:08d}"
        try:
            return path.read_bytes()
        except OSError as error:
            raise StoreUnavailable(f"{path}: {error.strerror}; restore the outbox") from None


def erase_until(folder: Path, last: int) -> None:
    """Delete the contributions of all rounds up to `last`."""
    for place in folder.glob("[0-9]*"):
        if int(place.name) <= last:
            Outbox(folder, int(place.name)).erase()


def _refused(path: Path, error: OSError) -> StoreUnavailable:
    return StoreUnavailable(f"{path}: {error.strerror}; make room on this disk")
