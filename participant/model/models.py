"""The models that a site holds: files under their digests, read and written in parts.

    models/3f5a…    little-endian float64, mode 0600

A file appears whole, after a crash too, under the digest of what is in it, or not at all.
"""

import os
import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from privacy.errors import StoreUnavailable
from privacy.identifiers import Digest
from privacy.vectors import ModelDigest, Shapes
from veilsum.files import Draft, disk_errors, make_folder, sweep_drafts

FOLDER = "models"
"""Where they are, in a site's state folder."""

CHUNK_VALUES = 1 << 16
"""Values that are in memory at once: half a MiB."""

_drafts = count()


@dataclass(frozen=True)
class Models:
    """The models in one folder."""

    folder: Path

    def __post_init__(self) -> None:
        make_folder(self.folder)

    def path(self, digest: Digest) -> Path:
        """Return where the model of that digest is, if it is kept."""
        return self.folder / digest

    def holds(self, digest: Digest) -> bool:
        """Return whether the model of that digest is kept."""
        return self.path(digest).exists()

    def size(self, digest: Digest) -> int | None:
        """Return how many values the model of that digest has; None if it is not kept."""
        path = self.path(digest)
        return path.stat().st_size // 8 if path.exists() else None

    def chunks(self, digest: Digest, values: int = CHUNK_VALUES) -> Iterator[NDArray[np.float64]]:
        """Yield a model's values in order, so many at a time.

        Raises:
            StoreUnavailable: it is not there, or the disk refuses.
        """
        path = self.path(digest)
        try:
            with path.open("rb") as file:
                while body := file.read(8 * values):
                    yield np.frombuffer(body, "<f8")
        except OSError as error:
            raise StoreUnavailable(f"{path}: {error.strerror}; restore this model") from None

    def vector(self, digest: Digest) -> NDArray[np.float64] | None:
        """Return a whole model, if it is kept: for those that train on it, or judge it."""
        size = self.size(digest)
        if size is None:
            return None
        vector, at = np.empty(size), 0
        for chunk in self.chunks(digest):
            vector[at : at + chunk.size] = chunk
            at += chunk.size
        return vector

    @contextmanager
    def writer(self, shapes: Shapes) -> Iterator["ModelWriter"]:
        """Give a writer of one new model of these shapes; what it does not keep is deleted."""
        writer = ModelWriter(self.folder, shapes)
        try:
            yield writer
        finally:
            writer.discard()

    def keep(self, shapes: Shapes, vector: NDArray[np.float64]) -> Digest:
        """Keep a model that is in memory whole, and return its digest.

        Raises:
            StoreUnavailable: the disk refuses.
        """
        with self.writer(shapes) as writer:
            for start in range(0, vector.size, CHUNK_VALUES):
                writer.update(vector[start : start + CHUNK_VALUES])
            return writer.keep()

    def forget_all_but(self, kept: Collection[Digest]) -> None:
        """Delete every other model; what is no model is not this site's to delete.

        Raises:
            StoreUnavailable: the disk refuses.
        """
        with disk_errors(self.folder):
            for path in self.folder.iterdir():
                if path.name not in kept and _names_model(path.name) and path.is_file():
                    path.unlink(missing_ok=True)

    def sweep(self) -> None:
        """Delete what a crash has left half written; nobody may be writing."""
        sweep_drafts(self.folder)


def sweep_dead_drafts(folder: Path) -> None:
    """Delete the drafts of all processes but this one; no other may be writing.

    Raises:
        StoreUnavailable: the disk refuses.
    """
    sweep_drafts(folder, spared=_drafts_of_this_process())


class ModelWriter:
    """One model on its way to the disk, in parts; nobody finds it before it is kept."""

    def __init__(self, folder: Path, shapes: Shapes) -> None:
        self._folder = folder
        self._digest = ModelDigest(shapes)
        self._draft = Draft(folder / f"{_drafts_of_this_process()}{next(_drafts)}")

    def update(self, values: NDArray[np.float64]) -> None:
        """Take the next values, shape (k,).

        Raises:
            MalformedMessage, UpdateOutOfRange: as `ModelDigest.update`.
            StoreUnavailable: the disk refuses.
        """
        self._digest.update(values)
        self._draft.add(values.astype("<f8", copy=False).tobytes())

    def hexdigest(self) -> Digest:
        """Return the model's digest.

        Raises:
            MalformedMessage: values are missing.
        """
        return self._digest.hexdigest()

    def keep(self) -> Digest:
        """Make it a model of the folder, and return its digest.

        Raises:
            MalformedMessage: values are missing.
            StoreUnavailable: the disk refuses.
        """
        digest = self.hexdigest()
        self._draft.publish(self._folder / digest)
        return digest

    def discard(self) -> None:
        """Delete what is not kept."""
        self._draft.discard()


def _drafts_of_this_process() -> str:
    return f"{os.getpid()}-"


def _names_model(name: str) -> bool:
    return re.fullmatch("[0-9a-f]{64}", name) is not None
