"""A round's protected sum, on its way from the coordinator to the process that opens it.

    opening/000002/7be1…/00000000 …    chunks as they came, under the digest of their manifest

Each chunk is checked as it arrives. A download that was cut goes on where it stopped, in
another process too. Nothing here can be opened without the round's secret.
"""

import shutil
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from privacy.errors import RootMismatch, StoreUnavailable, VeilsumError
from privacy.merkle import piece_root
from privacy.plan import Plan
from privacy.records import Sum, digest_of
from privacy.schemes.ckks_sum import CkksCombiner
from veilsum.files import disk_errors, write_durably

FOLDER = "opening"
"""Where they are, in a site's state folder."""


@dataclass
class Spool:
    """The chunks of one sum, under one manifest."""

    place: Path
    plan: Plan
    total: Sum
    _roots: list[bytes] = field(default_factory=list)
    _resumed: int = 0

    def __post_init__(self) -> None:
        self._combiner = CkksCombiner(self.plan.parameters(), self.plan.arithmetic.dimension)

    @property
    def folder(self) -> Path:
        """Where the chunks are."""
        return self.place / f"{self.total.round:06d}" / digest_of(self.total)

    def __len__(self) -> int:
        return len(self._roots)

    def resume(self) -> int:
        """Return how many chunks are here already, each checked again.

        Raises:
            StoreUnavailable: the disk refuses.
        """
        with disk_errors(self.folder):
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._roots.clear()
        while len(self._roots) < self.total.chunks:
            try:
                payload = _chunk(self.folder, len(self._roots))
                self._roots.append(self._combiner.check(len(self._roots), payload))
            except VeilsumError:
                break  # not there, or damaged: it is asked for again
        self._resumed = len(self._roots)
        return self._resumed

    def put(self, payload: bytes) -> None:
        """Keep the next chunk, if it is one.

        Raises:
            MalformedMessage: it is not, or there are too many.
            StoreUnavailable: the disk refuses.
        """
        index = len(self._roots)
        root = self._combiner.check(index, payload)
        write_durably(self.folder / f"{index:08d}", payload)
        self._roots.append(root)

    def check(self) -> None:
        """Return if the chunks are all there and are those that the manifest names.

        Raises:
            RootMismatch: they are not; what is here is deleted.
            StoreUnavailable: they are not, and some were here from before, so that it may be
                this disk's fault; all are fetched again.
        """
        if len(self._roots) == self.total.chunks and self._root() == self.total.root:
            return
        self.erase()
        if self._resumed:
            raise StoreUnavailable(f"{self.folder}: kept chunks of the sum are fetched again")
        raise RootMismatch(f"round {self.total.round}: the sum's chunks have another root")

    def erase(self) -> None:
        """Delete the chunks: they are opened, or worth nothing."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _root(self) -> str:
        return piece_root(self._roots).hex()


@dataclass(frozen=True)
class Spooled:
    """The chunks of a sum that lie in a folder, to be read as often as needed."""

    folder: Path
    count: int

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[bytes]:
        return (_chunk(self.folder, index) for index in range(self.count))


def erase_until(place: Path, last: int, live: Collection[int] = ()) -> None:
    """Delete what is left of the sums of all rounds up to `last` but the live ones."""
    for folder in place.glob("[0-9]" * 6):
        if int(folder.name) <= last and int(folder.name) not in live:
            shutil.rmtree(folder, ignore_errors=True)


def _chunk(folder: Path, index: int) -> bytes:
    path = folder / f"{index:08d}"
    try:
        return path.read_bytes()
    except OSError as error:
        raise StoreUnavailable(f"{path}: {error.strerror}; it is fetched again") from None
