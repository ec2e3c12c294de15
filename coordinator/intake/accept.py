"""Take in contributions: verified at the door, durable before they are acknowledged.

An upload resumes where it stopped, and counts once. A chunk is acknowledged when
its bytes and its row are on disk; a contribution is committed when the root of
its chunks is the one its site has signed. Nothing else is ever added up.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from coordinator import object_names as names
from coordinator.ports import ObjectStore, Store, Upload
from coordinator.rounds import verify
from privacy import canonical, documents
from privacy.errors import ConfigError, MalformedMessage, NotYet, RootMismatch
from privacy.growth import seen_in
from privacy.merkle import tree_root
from privacy.plan import Plan
from privacy.records import Contribution, Entry, SharedContribution, digest_of

Header = Contribution | SharedContribution


class ChunkCheck(Protocol):
    """Refuses chunks that are not of the plan's form; opens none of them."""

    def check(self, chunk: int, payload: bytes) -> bytes:
        """Refuse a malformed chunk, and return its root (32 bytes)."""
        ...


@dataclass(frozen=True, slots=True)
class Offset:
    """How much of an upload is durable: chunks in each piece, from the first on."""

    chunks: tuple[int, ...]
    committed: bool


@dataclass(frozen=True, slots=True)
class _Here:
    """What is here of one upload: whole chunks of each piece, and each place that has a row."""

    counts: list[int]
    recorded: frozenset[tuple[int, int]]


@dataclass
class Uploads:
    """The uploads of one round; the store is asked once for each, then remembered.

    `counted` says whether the round counts an upload. Its row says so as well, in one bit that
    nothing covers; the round's state decides.
    """

    store: Store
    objects: ObjectStore
    number: int
    plan: Plan
    door: ChunkCheck
    now: Callable[[], float]
    counted: Callable[[Upload], bool]
    _here: dict[str, _Here] = field(default_factory=dict, repr=False)
    _damaged: set[str] = field(default_factory=set, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def begin(self, header: Header, signed: bytes) -> Offset:
        """Open the upload of a verified header, or find it again.

        Raises:
            ConflictingContribution: the participant has begun another one; it is
                refused and recorded.
            PeerLedgerRolledBack: it was signed with an older ledger than one before.
        """
        upload = self.store.begin_upload(header.participant, seen_in(header), signed, at=self.now())
        return self._offset(upload)

    def keep_seals(self, header: Header, seals: Sequence[bytes]) -> list[str]:
        """Make durable the sealed secrets that the header of an upload names, in its order.

        The upload's row is there before them, so that a second contribution is refused and
        recorded before a byte of it is kept; `complete` waits for all of them.

        Returns:
            Where they lie.
        """
        places = _seal_names(header)
        for name, sealed in zip(places, seals, strict=True):
            self.objects.put(name, sealed)
        return places

    def offset(self, participant: str) -> Offset:
        """Return how much of the participant's upload is durable.

        Raises:
            NotYet: it has begun none.
        """
        return self._offset(self._upload(participant))

    def durable_bytes(self, participant: str) -> int:
        """Return how many bytes of the participant's upload are durable."""
        return sum(row.length for row in self._upload(participant).chunks)

    def awaits(self, participant: str, piece: int, chunk: int) -> bool:
        """Return whether a chunk would be the next of its piece, and is not here yet."""
        counts = self._remembered(participant).counts
        return 0 <= piece < len(counts) and chunk == counts[piece]

    def put(self, participant: str, piece: int, chunk: int, payload: bytes) -> int:
        """Verify one chunk and make it durable; return the chunks that now are.

        Raises:
            MalformedMessage: not a canonical chunk of the plan's layout, or not the
                next one.
            NotYet: one before it is damaged here; begin again, and send from there.
            ConflictingContribution: other bytes than before at the same place.
        """
        here = self._remembered(participant)
        counts = here.counts
        if not 0 <= piece < len(counts) or not 0 <= chunk <= counts[piece]:
            _check_lost(here, participant, piece, chunk)
            raise MalformedMessage(f"{participant}: chunk {chunk} of piece {piece} is not the next")
        root = self.door.check(chunk, payload)
        if chunk == counts[piece]:
            name = names.contribution_chunk(self.number, participant, piece, chunk)
            if (piece, chunk) in here.recorded:
                # Its bytes were lost: only the same ones may take their place.
                self._record(participant, piece, chunk, root, len(payload))
                self.objects.mend(name, payload)
                self._damaged.discard(name)
            else:
                self.objects.put(name, payload)
        self._record(participant, piece, chunk, root, len(payload))
        with self._lock:
            counts[piece] = max(counts[piece], chunk + 1)
            return counts[piece]

    def lost(self, participant: str, damaged: Sequence[str] = ()) -> None:
        """Look again what of an upload is durable: the store has lost some, and it must come again.

        Its rows stay, so that nothing but the same chunks can.

        Args:
            damaged: names of objects that count as lost, though something is there.
        """
        with self._lock:
            self._damaged.update(damaged)
            self._here.pop(participant, None)

    def complete(self, participant: str) -> tuple[Entry, Header]:
        """Return the entry of an upload whose chunks have the signed root.

        Raises:
            NotYet: chunks or sealed secrets are missing.
            RootMismatch: the chunks are not those that were signed.
        """
        upload = self._upload(participant)
        header = self._header(upload)
        if self.counted(upload):  # all was here when it was; after the round it is erased
            return Entry(participant, upload.digest, _signed_roots(header)), header
        self._require_seals(header)
        self._require_chunks(upload, header)
        roots = tuple(_root(upload, at, piece.chunks) for at, piece in enumerate(header.pieces))
        for piece, root in zip(header.pieces, roots, strict=True):
            if piece.root != root:
                raise RootMismatch(
                    f"{participant}: the chunks of round {self.number} have root {root[:16]}…, "
                    f"the header says {piece.root[:16]}…; send the chunks that were signed"
                )
        return Entry(participant, upload.digest, roots), header

    def _require_seals(self, header: Header) -> None:
        if not all(self.objects.exists(name) for name in _seal_names(header)):
            raise NotYet(f"{header.participant}: its sealed secrets are not here; begin again")

    def _require_chunks(self, upload: Upload, header: Header) -> None:
        counts = self._remembered(upload.participant).counts
        for count, piece in zip(counts, header.pieces, strict=True):
            if count != piece.chunks:
                raise NotYet(f"{count} of {piece.chunks} chunks are here")

    def _record(self, participant: str, piece: int, chunk: int, root: bytes, length: int) -> None:
        self.store.record_chunk(self.number, participant, piece, chunk, root, length, at=self.now())

    def _upload(self, participant: str) -> Upload:
        upload = self.store.upload(self.number, participant)
        if upload is None:
            raise NotYet(f"{participant} has begun no contribution to round {self.number}")
        return upload

    def _offset(self, upload: Upload) -> Offset:
        return Offset(tuple(self._remember(upload).counts), self.counted(upload))

    def _remembered(self, participant: str) -> _Here:
        with self._lock:
            here = self._here.get(participant)
        return here or self._remember(self._upload(participant))

    def _remember(self, upload: Upload) -> _Here:
        pieces, name = self._header(upload).pieces, upload.participant
        counted = self.counted(upload)
        counts = [piece.chunks if counted else 0 for piece in pieces]
        if not counted and upload.chunks:
            held = set(self.objects.names(names.contribution(self.number, name))) - self._damaged
            for row in upload.chunks:
                place = names.contribution_chunk(self.number, name, row.piece, row.index)
                # From the first on: what comes after one that is lost is sent again, too.
                counts[row.piece] += row.index == counts[row.piece] and place in held
        recorded = frozenset((row.piece, row.index) for row in upload.chunks)
        with self._lock:
            return self._here.setdefault(name, _Here(counts, recorded))

    def _header(self, upload: Upload) -> Header:
        body = documents.unpack(upload.header).body
        header = canonical.decode(body, verify.header_kind(self.plan))
        if digest_of(header) != upload.digest:
            raise ConfigError(
                f"the coordinator's database is damaged: the header of {upload.participant} in "
                f"round {self.number} is not the one that was begun; restore the newest backup"
            )
        return header


def _check_lost(here: _Here, participant: str, piece: int, chunk: int) -> None:
    counts = here.counts
    if 0 <= piece < len(counts) and (piece, counts[piece]) in here.recorded and chunk > 0:
        raise NotYet(f"{participant}: chunk {counts[piece]} must be sent again; begin again")


def _seal_names(header: Header) -> list[str]:
    number, participant = header.round, header.participant
    if isinstance(header, SharedContribution):
        return [names.sealed_part(number, participant, each.seat) for each in header.seals]
    return [names.sealed_mask(number, participant, each.opener) for each in header.masks]


def _signed_roots(header: Header) -> tuple[str, ...]:
    return tuple(piece.root for piece in header.pieces)


def _root(upload: Upload, piece: int, chunks: int) -> str:
    rows = sorted((row.index, row.root) for row in upload.chunks if row.piece == piece)
    if len(rows) != chunks:
        raise NotYet(f"{len(rows)} of {chunks} chunks are here")
    return tree_root([root for _, root in rows]).hex()
