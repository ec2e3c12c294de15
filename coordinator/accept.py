"""Take in contributions: verified at the door, durable before they are acknowledged.

An upload resumes where it stopped, and counts once. A chunk is acknowledged when
its bytes and its row are on disk; a contribution is committed when the root of
its chunks is the one its site has signed. Nothing else is ever added up.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from privacy import canonical, documents
from privacy.errors import MalformedMessage, NotYet, RootMismatch
from privacy.growth import seen_in
from privacy.merkle import tree_root
from privacy.plan import Plan
from privacy.records import Contribution, Entry, SharedContribution

from . import object_names as names
from . import verify
from .ports import ObjectStore, Store, Upload

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


@dataclass
class Uploads:
    """The uploads of one round; the store is asked once for each, then remembered."""

    store: Store
    objects: ObjectStore
    number: int
    plan: Plan
    door: ChunkCheck
    now: Callable[[], float]
    _counts: dict[str, list[int]] = field(default_factory=dict)

    def begin(self, header: Header, signed: bytes) -> Offset:
        """Open the upload of a verified header, or find it again.

        Raises:
            ConflictingContribution: the participant has begun another one; it is
                refused and recorded.
            PeerLedgerRolledBack: it was signed with an older ledger than one before.
        """
        upload = self.store.begin_upload(header.participant, seen_in(header), signed, at=self.now())
        return self._offset(upload)

    def keep_seals(self, header: Header, seals: Sequence[bytes]) -> None:
        """Make durable the sealed secrets that the header of an upload names, in its order.

        Its row is there before them, so that a second contribution is refused and recorded
        before a byte of it is kept; `complete` waits for all of them.
        """
        for name, sealed in zip(_seal_names(header), seals, strict=True):
            self.objects.put(name, sealed)

    def offset(self, participant: str) -> Offset:
        """Return how much of the participant's upload is durable.

        Raises:
            NotYet: it has begun none.
        """
        return self._offset(self._upload(participant))

    def awaits(self, participant: str, piece: int, chunk: int) -> bool:
        """Return whether a chunk would be the next of its piece, and is not here yet."""
        counts = self._counts.get(participant) or self._remember(self._upload(participant))
        return 0 <= piece < len(counts) and chunk == counts[piece]

    def put(self, participant: str, piece: int, chunk: int, payload: bytes) -> int:
        """Verify one chunk and make it durable; return the chunks that now are.

        Raises:
            MalformedMessage: not a canonical chunk of the plan's layout, or not the
                next one.
            ConflictingContribution: other bytes than before at the same place.
        """
        counts = self._counts.get(participant) or self._remember(self._upload(participant))
        if not 0 <= piece < len(counts) or not 0 <= chunk <= counts[piece]:
            raise MalformedMessage(f"{participant}: chunk {chunk} of piece {piece} is not the next")
        root = self.door.check(chunk, payload)
        if chunk == counts[piece]:
            name = names.contribution_chunk(self.number, participant, piece, chunk)
            self.objects.put(name, payload)
        self.store.record_chunk(
            self.number, participant, piece, chunk, root, len(payload), at=self.now()
        )
        counts[piece] = max(counts[piece], chunk + 1)
        return counts[piece]

    def complete(self, participant: str) -> tuple[Entry, Header]:
        """Return the entry of an upload whose chunks have the signed root.

        Raises:
            NotYet: chunks or sealed secrets are missing.
            RootMismatch: the chunks are not those that were signed.
        """
        upload = self._upload(participant)
        header = self._header(upload)
        if not upload.committed:  # they were here when it was; after the round they are erased
            self._require_seals(header)
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

    def _upload(self, participant: str) -> Upload:
        upload = self.store.upload(self.number, participant)
        if upload is None:
            raise NotYet(f"{participant} has begun no contribution to round {self.number}")
        return upload

    def _offset(self, upload: Upload) -> Offset:
        return Offset(tuple(self._remember(upload)), upload.committed)

    def _remember(self, upload: Upload) -> list[int]:
        counts = [0] * len(self._header(upload).pieces)
        for row in upload.chunks:
            counts[row.piece] += 1
        return self._counts.setdefault(upload.participant, counts)

    def _header(self, upload: Upload) -> Header:
        body = documents.unpack(upload.header).body
        return canonical.decode(body, verify.header_kind(self.plan))


def _seal_names(header: Header) -> list[str]:
    number, participant = header.round, header.participant
    if isinstance(header, SharedContribution):
        return [names.sealed_part(number, participant, each.seat) for each in header.seals]
    return [names.sealed_mask(number, participant, each.opener) for each in header.masks]


def _root(upload: Upload, piece: int, chunks: int) -> str:
    rows = sorted((row.index, row.root) for row in upload.chunks if row.piece == piece)
    if len(rows) != chunks:
        raise NotYet(f"{len(rows)} of {chunks} chunks are here")
    return tree_root([root for _, root in rows]).hex()
