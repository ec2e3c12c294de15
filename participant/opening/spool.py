"""A round's protected sum, on its way from the coordinator to the process that opens it.

    opening/000002/7be1…/00000000 …        chunks as they came, under the digest of their manifest
    opening/000002/7be1…/2-1/00000000 …    under `shares`, by component and seat that sealed it
    opening/000002/model-5c0d…/00000000 …  a sealed model on its way here, under its envelope
    opening/000002/envelope                of the model that this site seals

Each chunk is checked as it arrives. A download that was cut goes on where it stopped, in
another process too. Nothing here can be opened without the round's secret.
"""

import shutil
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import TypeAlias

from privacy import canonical
from privacy.errors import MalformedMessage, RootMismatch, StoreUnavailable, VeilsumError
from privacy.failpoints import Step, pass_by
from privacy.identifiers import Digest
from privacy.merkle import piece_root
from privacy.plan import Plan
from privacy.records import SealedModel, Sum, digest_of
from privacy.schemes.ckks_sum import CkksCombiner
from veilsum.files import disk_errors, make_folder, write_durably

FOLDER = "opening"
"""Where they are, in a site's state folder."""


Check: TypeAlias = Callable[[int, bytes], bytes]
"""Refuses what is no chunk at its place, and returns the chunk's Merkle root."""


def folder_of(place: Path, total: Sum) -> Path:
    """Return where the chunks of one sum are, in the folder of all sums."""
    return place / f"{total.round:06d}" / digest_of(total)


def sum_spool(place: Path, plan: Plan, total: Sum, step: Step = pass_by) -> "Spool":
    """Return where the chunks of one sum under `ckks` go, under its manifest."""
    combiner = CkksCombiner(plan.parameters(), plan.arithmetic.dimension)
    folder = folder_of(place, total)
    return Spool(folder, total.round, total.chunks, total.root, combiner.check, step)


@dataclass
class Spool:
    """The chunks of one sum, or of one component of it, of which the root is known.

    Attributes:
        number: the round.
        count: how many chunks there are.
    """

    folder: Path
    number: int
    count: int
    root: Digest
    check_chunk: Check
    step: Step = pass_by
    _roots: list[bytes] = field(default_factory=list)
    _resumed: int = 0

    def __len__(self) -> int:
        return len(self._roots)

    def resume(self) -> int:
        """Return how many chunks are here already, each checked again.

        Raises:
            StoreUnavailable: the disk refuses.
        """
        with disk_errors(self.folder):
            # One by one: the mode of parents that are made by the way is not asked for.
            for each in (self.folder.parent, self.folder):
                each.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._roots.clear()
        while len(self._roots) < self.count:
            try:
                payload = read_chunk(self.folder, len(self._roots))
                self._roots.append(self.check_chunk(len(self._roots), payload))
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
        root = self.check_chunk(index, payload)
        write_durably(self.folder / f"{index:08d}", payload)
        self.step("reveal.after_chunk")
        self._roots.append(root)

    def check(self) -> None:
        """Return if the chunks are all there and are those that the manifest names.

        Raises:
            RootMismatch: they are not; what is here is deleted.
            StoreUnavailable: they are not, and some were here from before, so that it may be
                this disk's fault; all are fetched again.
        """
        if len(self._roots) == self.count and self._root() == self.root:
            return
        self.erase()
        if self._resumed:
            raise StoreUnavailable(f"{self.folder}: kept chunks of the sum are fetched again")
        raise RootMismatch(f"round {self.number}: the sum's chunks have another root")

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
        return (read_chunk(self.folder, index) for index in range(self.count))


@dataclass(frozen=True)
class ModelSpool:
    """The chunks of one sealed model, as far as they came; whoever opens them checks them.

    They stay until their round is over: a process that is killed before it has kept the model
    opens them again.
    """

    folder: Path

    def resume(self) -> Iterator[bytes]:
        """Yield the chunks that are here, in order, up to the first that is not.

        Raises:
            StoreUnavailable: the disk refuses.
        """
        with disk_errors(self.folder):
            for each in (self.folder.parent, self.folder):
                each.mkdir(mode=0o700, parents=True, exist_ok=True)
        for index in count():
            try:
                yield read_chunk(self.folder, index)
            except StoreUnavailable:
                return  # not there, or not readable: it is asked for again

    def put(self, index: int, payload: bytes) -> None:
        """Keep one chunk.

        Raises:
            StoreUnavailable: the disk refuses.
        """
        write_durably(self.folder / f"{index:08d}", payload)

    def erase(self) -> None:
        """Delete the chunks: they are worth nothing."""
        shutil.rmtree(self.folder, ignore_errors=True)


def model_spool(place: Path, envelope: SealedModel) -> ModelSpool:
    """Return where the chunks of one sealed model go, in the folder of all sums."""
    return ModelSpool(place / f"{envelope.round:06d}" / f"model-{digest_of(envelope)}")


@dataclass(frozen=True)
class OwnEnvelope:
    """The envelope of the model that this site seals in a round: kept before a byte of it goes."""

    path: Path

    def load(self) -> SealedModel | None:
        """Return it, if it is here and whole."""
        try:
            return canonical.decode(self.path.read_bytes(), SealedModel)
        except (OSError, MalformedMessage):
            return None  # another is made

    def keep(self, envelope: SealedModel) -> None:
        """Keep it.

        Raises:
            StoreUnavailable: the disk refuses.
        """
        make_folder(self.path.parent.parent)
        make_folder(self.path.parent)
        write_durably(self.path, canonical.encode(envelope))


def own_envelope(place: Path, number: int) -> OwnEnvelope:
    """Return where the envelope of a round is, in the folder of all sums."""
    return OwnEnvelope(place / f"{number:06d}" / "envelope")


def erase_sealed(place: Path, number: int) -> None:
    """Delete what is here of a round's sealed models: this site has agreed on one."""
    for folder in (place / f"{number:06d}").glob("model-*"):
        shutil.rmtree(folder, ignore_errors=True)
    with suppress(OSError):
        (place / f"{number:06d}" / "envelope").unlink(missing_ok=True)


def erase(place: Path, total: Sum) -> None:
    """Delete all that is here of one sum: it is opened, or worth nothing."""
    shutil.rmtree(folder_of(place, total), ignore_errors=True)


def erase_until(place: Path, last: int, live: Collection[int] = ()) -> None:
    """Delete what is left of the sums of all rounds up to `last` but the live ones."""
    for folder in place.glob("[0-9]" * 6):
        if int(folder.name) <= last and int(folder.name) not in live:
            shutil.rmtree(folder, ignore_errors=True)


def read_chunk(folder: Path, index: int) -> bytes:
    """Return one chunk of a folder.

    Raises:
        StoreUnavailable: it is not there.
    """
    path = folder / f"{index:08d}"
    try:
        return path.read_bytes()
    except OSError as error:
        raise StoreUnavailable(f"{path}: {error.strerror}; it is fetched again") from None
