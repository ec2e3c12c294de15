"""A site's own update, sealed on its disk from the round until its product is stated.

    updates/000002/model              digest of the model that the round started from
    updates/000002/key                content key, sealed to the site's own key
    updates/000002/chunks/00000000 …  the update on the grid, sealed under that
    updates/000002/statement          what the site has stated, written before the rest is deleted

Nothing here is in the clear. Whoever takes the disk, and not the site's key, has sealed bytes of
a length that everybody knows.
"""

import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from participant.model.models import CHUNK_VALUES
from privacy.documents import Signed, pack, unpack
from privacy.errors import ConfigError, MalformedMessage, StoreUnavailable
from privacy.identifiers import Digest
from privacy.learned import learned
from privacy.plan import Plan
from privacy.sealing import (
    Entropy,
    HpkeKeyPair,
    Sealed,
    new_content_key,
    open_sealed,
    open_stream,
    seal,
    seal_context,
    seal_stream,
)
from veilsum.files import disk_errors, sync_folder, write_durably

FOLDER: Final = "updates"


class Sealing(msgspec.Struct, frozen=True):
    """Where one update lies, under which content key, and what it is bound to."""

    folder: str
    key: bytes
    context: bytes

    def __repr__(self) -> str:
        return "Sealing(…)"


class _Statement(msgspec.Struct, frozen=True):
    signed: bytes
    seals: tuple[bytes, ...]


@dataclass(frozen=True)
class KeptUpdate:
    """What a site keeps of one round until its scores are over."""

    folder: Path
    number: int

    @property
    def place(self) -> Path:
        """The folder of this round."""
        return self.folder / f"{self.number:06d}"

    def start(self, plan: Plan, participant: str, pair: HpkeKeyPair, entropy: Entropy) -> Sealing:
        """Return where the update goes, under a new key; what an unfinished try left is deleted.

        Raises:
            StoreUnavailable: the disk refuses.
        """
        key = new_content_key(entropy)
        self.erase()
        with disk_errors(self.place):
            for each in (self.folder, self.place, self._chunks):
                each.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_durably(self.place / "model", plan.terms.model.encode())
        write_durably(self.place / "key", seal(pair.public, _key_context(plan, participant), key))
        return Sealing(str(self._chunks), key, _context(plan, participant))

    def sealing(self, plan: Plan, participant: str, pair: HpkeKeyPair) -> Sealing:
        """Return where the update of that plan lies, with the key that opens it.

        Raises:
            ConfigError: it is not here, or of another plan.
        """
        try:
            sealed = (self.place / "key").read_bytes()
            key = open_sealed(pair, _key_context(plan, participant), sealed)
        except (OSError, MalformedMessage):
            raise ConfigError(
                f"{self.place}: the update that this site has contributed is not here, or sealed "
                "to another key, so that nobody gets a score in this round; restore this folder "
                "together with the rest of this site's state"
            ) from None
        return Sealing(str(self._chunks), key, _context(plan, participant))

    def state(self, signed: Signed, seals: tuple[bytes, ...]) -> None:
        """Keep what the site is about to state, and delete the update: it is not needed again.

        Raises:
            StoreUnavailable: the disk refuses.
        """
        body = msgspec.msgpack.encode(_Statement(pack(signed), seals))
        write_durably(self.place / "statement", body)
        self._erase_update()

    def statement(self) -> tuple[Signed, tuple[bytes, ...]] | None:
        """Return what the site has stated, if it has.

        Raises:
            StoreUnavailable: it cannot be read.
            ConfigError: it is not as it was written.
        """
        path = self.place / "statement"
        with disk_errors(path):
            if not path.exists():
                return None
            body = path.read_bytes()
        try:
            stated = msgspec.msgpack.decode(body, type=learned(_Statement))
            return unpack(stated.signed), stated.seals
        except (msgspec.MsgspecError, MalformedMessage) as error:
            raise ConfigError(f"{path}: {error}; check this disk, restore this folder") from None

    def erase(self) -> None:
        """Delete all that is kept of the round."""
        shutil.rmtree(self.place, ignore_errors=True)

    @property
    def _chunks(self) -> Path:
        return self.place / "chunks"

    def _erase_update(self) -> None:
        # The key first: what is left when this is cut short opens for nobody.
        with disk_errors(self.place):
            for name in ("key", "model"):
                (self.place / name).unlink(missing_ok=True)
        shutil.rmtree(self._chunks, ignore_errors=True)


@dataclass(frozen=True)
class Keeper:
    """Keeps a site's updates of rounds whose scores are asked for; only the site opens them."""

    folder: Path
    participant: str
    pair: HpkeKeyPair = field(repr=False)
    entropy: Entropy

    def start(self, plan: Plan) -> Sealing:
        """Return where the update of a plan's round goes; as `KeptUpdate.start`."""
        update = KeptUpdate(self.folder, plan.terms.round)
        return update.start(plan, self.participant, self.pair, self.entropy)

    def kept(self, number: int) -> KeptUpdate:
        """Return what is kept of a round, if anything is."""
        return KeptUpdate(self.folder, number)

    def sealing(self, plan: Plan) -> Sealing:
        """Return where the update of a plan's round lies; as `KeptUpdate.sealing`."""
        return self.kept(plan.terms.round).sealing(plan, self.participant, self.pair)

    def rounds(self) -> tuple[int, ...]:
        """Return the rounds of which anything is kept, in order."""
        return tuple(sorted(int(place.name) for place in self.folder.glob("[0-9]" * 6)))

    def models(self) -> frozenset[Digest]:
        """Return the models that kept updates are compared with, which must stay."""
        paths = self.folder.glob("[0-9]" * 6 + "/model")
        return frozenset(path.read_text() for path in paths)


def write_update(sealing: Sealing, update: NDArray[np.int64]) -> None:
    """Write an update, shape (d,), in grid steps, sealed, chunk by chunk.

    Raises:
        StoreUnavailable: the disk refuses.
    """
    folder = Path(sealing.folder)
    sealed = seal_stream(sealing.key, sealing.context, _plain(update))
    for index, chunk in enumerate(sealed):
        write_durably(folder / f"{index:08d}", chunk)
    with disk_errors(folder):
        sync_folder(folder)


def read_update(sealing: Sealing, values: int) -> Iterator[NDArray[np.int64]]:
    """Yield an update of so many values, in the parts that models are read in.

    Raises:
        StoreUnavailable: the disk refuses, or has changed it.
    """
    try:
        for body in open_stream(sealing.key, sealing.context, _chunks(sealing, values)):
            yield np.frombuffer(body, "<i8")
    except MalformedMessage:
        raise StoreUnavailable(
            f"{sealing.folder}: not the update that was sealed here; check this disk"
        ) from None


def _plain(update: NDArray[np.int64]) -> Iterator[bytes]:
    for start in range(0, update.size, CHUNK_VALUES):
        yield update[start : start + CHUNK_VALUES].astype("<i8", copy=False).tobytes()


def _chunks(sealing: Sealing, values: int) -> Iterable[bytes]:
    for index in range(-(-values // CHUNK_VALUES)):
        path = Path(sealing.folder) / f"{index:08d}"
        with disk_errors(path):
            chunk = path.read_bytes()
        yield chunk


def _context(plan: Plan, participant: str) -> bytes:
    return _fields(Sealed.KEPT_UPDATE, plan, participant)


def _key_context(plan: Plan, participant: str) -> bytes:
    return _fields(Sealed.KEPT_UPDATE_KEY, plan, participant)


def _fields(kind: Sealed, plan: Plan, participant: str) -> bytes:
    terms = plan.terms
    fields = (terms.federation, str(terms.round), plan.digest(), participant)
    return seal_context(kind, *(each.encode() for each in fields))
