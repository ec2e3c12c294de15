"""What is about to leave the site: on disk, whole, before the first byte goes.

    outbox/000002/chunks/00000000 …    protected chunks, written as they are made
    outbox/000002/masks/00 …           what is sealed beside them: the mask's secret to each
                                       opener, or its part to each seat, in the plan's order
    outbox/000002/header               the signed header, written last

A contribution without its header was never finished and never left; one with it
is sent as it is, however often that takes. Nothing here is in the clear.
"""

import shutil
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from privacy.documents import Signed, pack, unpack
from privacy.errors import ConfigError, MalformedMessage, StoreUnavailable
from veilsum.files import disk_errors, sync_folder, write_durably


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
        self.erase()
        with disk_errors(self.place):
            # One by one: the mode of parents that are made by the way is not asked for.
            for each in (self.folder, self.place, chunks):
                each.mkdir(mode=0o700, parents=True, exist_ok=True)
        return chunks

    def finish(self, header: Signed, seals: Sequence[bytes]) -> None:
        """Put seals and signed header beside their chunks; from here on it is the contribution.

        Raises:
            StoreUnavailable: the disk refuses.
        """
        folder = self.place / "masks"
        with disk_errors(self.place):
            sync_folder(self.place / "chunks")
            folder.mkdir(mode=0o700, exist_ok=True)
        for index, sealed in enumerate(seals):
            write_durably(folder / f"{index:02d}", sealed)
        write_durably(self.place / "header", pack(header))

    def header(self) -> Signed | None:
        """Return the signed header of a finished contribution, or None.

        Raises:
            StoreUnavailable: it cannot be read.
            ConfigError: it is not as it was written; what it is the header of may have left.
        """
        path = self.place / "header"
        with disk_errors(path):
            there = path.exists()
        try:
            return unpack(_read(path)) if there else None
        except MalformedMessage as error:
            raise ConfigError(f"{path}: {error}; check this disk, restore the outbox") from None

    def seals(self, count: int) -> tuple[bytes, ...]:
        """Return the seals of a finished contribution, in the order of who opens them.

        Raises:
            StoreUnavailable: one of them cannot be read.
        """
        return tuple(_read(self.place / "masks" / f"{index:02d}") for index in range(count))

    def chunks(self, first: int, count: int) -> Iterator[tuple[int, bytes]]:
        """Yield the chunks from `first` on, each with its index."""
        for index in range(first, count):
            yield index, self._chunk(index)

    def erase(self) -> None:
        """Delete the contribution; its round is over.

        Raises:
            StoreUnavailable: the disk refuses.
        """
        # The header first: what is left when this is cut short was never finished.
        with disk_errors(self.place):
            (self.place / "header").unlink(missing_ok=True)
        shutil.rmtree(self.place, ignore_errors=True)

    def _chunk(self, index: int) -> bytes:
        return _read(self.place / "chunks" / f"{index:08d}")


def erase_until(folder: Path, last: int, live: Collection[int] = ()) -> None:
    """Delete the contributions of all rounds up to `last` but the live ones.

    Raises:
        StoreUnavailable: the disk refuses.
    """
    for place in folder.glob("[0-9]" * 6):
        if int(place.name) <= last and int(place.name) not in live:
            Outbox(folder, int(place.name)).erase()


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise StoreUnavailable(f"{path}: {error.strerror}; restore the outbox") from None
