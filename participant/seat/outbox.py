"""A seat's sums on their way to those who open them: sealed, on disk, before the first byte goes.

    outbox/000002/0    the sealed sum of the seat's first component, chunk after chunk
    outbox/000002/1    that of the second

Both are written whole or not at all, and sent as they are, however often that takes.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from privacy.errors import StoreUnavailable
from privacy.plan import Plan
from privacy.schemes.shares.seat_total import total_bytes
from privacy.sealing import CHUNK_OVERHEAD
from veilsum.files import Draft, disk_errors, make_folder

FOLDER = "outbox"
"""Where they are, in a seat's state folder."""

POSITIONS = (0, 1)


@dataclass(frozen=True)
class SumOutbox:
    """The sealed sums of one round."""

    folder: Path
    plan: Plan

    @property
    def place(self) -> Path:
        """The folder of this round's sums."""
        return self.folder / f"{self.plan.terms.round:06d}"

    def path(self, position: int) -> Path:
        """Return where one sum lies."""
        return self.place / str(position)

    def draft(self, position: int) -> Draft:
        """Return a new file for one sum; it counts when it is published as `path`.

        Raises:
            StoreUnavailable: the disk refuses.
        """
        make_folder(self.place)
        return Draft(self.path(position))

    def chunks(self, first: int = 0) -> Iterator[tuple[int, bytes]]:
        """Yield position and chunk: all of the first sum, then all of the second.

        Args:
            first: how many of both together are passed over.

        Raises:
            StoreUnavailable: one cannot be read.
        """
        count = self.plan.arithmetic.chunks
        for position in POSITIONS:
            start = min(max(first - position * count, 0), count)
            for payload in self._chunks_of(self.path(position), start):
                yield position, payload

    def length_of(self, chunk: int) -> int:
        """Return how many bytes one sealed chunk has."""
        values = self.plan.geometry().values_in(chunk)
        return total_bytes(self.plan.shares().leaves_in(values)) + CHUNK_OVERHEAD

    def _chunks_of(self, path: Path, first: int) -> Iterator[bytes]:
        with disk_errors(path):
            file = path.open("rb")
        with file:
            with disk_errors(path):
                file.seek(sum(self.length_of(chunk) for chunk in range(first)))
            for chunk in range(first, self.plan.arithmetic.chunks):
                with disk_errors(path):
                    payload = file.read(self.length_of(chunk))
                if len(payload) != self.length_of(chunk):
                    raise StoreUnavailable(f"{path}: cut short; restore the outbox")
                yield payload
