"""What the coordinator asks of storage, whoever provides it.

Two ports. An `ObjectStore` keeps large bytes under a name; a `Store` keeps what
has to change together. Both are synchronous, safe to call from many threads, and
durable when a call returns. Neither has a clock: times are arguments. Every
implementation passes the same law, in the tests.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from privacy.errors import ConflictingContribution, MalformedMessage
from privacy.growth import LastSeen

REFUSALS_KEPT: Final = 16
"""Refusals recorded per participant and round; who goes on contradicting itself fills no disk."""

_OBJECT_NAME: Final = re.compile(r"[a-z0-9_-][a-z0-9._-]{0,127}(/[a-z0-9_-][a-z0-9._-]{0,127})*")
_LONGEST_NAME: Final = 512


class ObjectStore(Protocol):
    """Bytes under names, written once; durable when `put` or `mend` returns.

    Names are segments of a-z, 0-9, `.`, `_` and `-`, none beginning with a dot,
    joined by `/`. A prefix is whole segments: `a/b` is not a prefix of `a/bc`.
    No name is also a prefix of another. What is read is what was written, or what
    a failing disk made of it: whoever reads, checks the digest.
    """

    @property
    def address(self) -> str:
        """Return where it is: `/folder`, `s3://bucket/prefix`; no credential is in it."""
        ...

    def put(self, name: str, data: bytes) -> None:
        """Keep `data` under `name`, durably; the same bytes again change nothing.

        Raises:
            ConflictingContribution: other bytes are kept under that name.
            MalformedMessage: that is no name.
            StoreUnavailable: nothing, or all of it, is kept; try again.
        """
        ...

    def mend(self, name: str, data: bytes) -> None:
        """Keep `data` under `name`, durably, in the place of what a failing disk made of it.

        At each moment one or the other is there. Whoever mends has checked `data` against the
        digest that is recorded for it: no other bytes pass, so that it makes no difference who
        mends, how often, or how late.

        Raises:
            MalformedMessage: that is no name.
            StoreUnavailable: what was there is kept, or all of `data`; try again.
        """
        ...

    def get(self, name: str) -> bytes:
        """Return the bytes kept under `name`.

        Raises:
            NotYet: there are none.
            MalformedMessage: that is no name.
            StoreUnavailable: they cannot be read now.
        """
        ...

    def exists(self, name: str) -> bool:
        """Return whether bytes are kept under `name`."""
        ...

    def names(self, prefix: str = "") -> list[str]:
        """Return the names below `prefix`, or all of them, sorted."""
        ...

    def lengths(self, prefix: str) -> dict[str, int]:
        """Return how many bytes are kept under each name below `prefix`; reads none of them."""
        ...

    def delete_prefix(self, prefix: str) -> None:
        """Forget, durably, all that is kept below `prefix`; nothing there is well, too."""
        ...

    def clear_parts(self, prefix: str = "") -> None:
        """Remove what was left half written below `prefix`, where nobody is writing now."""
        ...


def check_object_name(name: str) -> str:
    """Return `name` if it can name an object.

    Raises:
        MalformedMessage: it cannot; it might leave the store, or collide in it.
    """
    if len(name) > _LONGEST_NAME or _OBJECT_NAME.fullmatch(name) is None:
        raise MalformedMessage(f"{name[:80]!r} cannot name an object: a-z, 0-9, . _ - and / only")
    return name


@dataclass(frozen=True, slots=True)
class StoredRound:
    """A round as last saved; `revision` counts the saves, from 1."""

    state: bytes
    revision: int


@dataclass(frozen=True, slots=True)
class PendingEffect:
    """Work that a saved step has ordered and nobody has finished; ids are never reused."""

    id: int
    round: int
    body: bytes


@dataclass(frozen=True, slots=True)
class ChunkRow:
    """One durable chunk of a contribution: its place, its root (32 bytes), its length in bytes."""

    piece: int
    index: int
    root: bytes
    length: int


@dataclass(frozen=True, slots=True)
class SumChunk:
    """One durable chunk of a round's sum: its root (32 bytes), its bytes, what was added up."""

    chunk: int
    root: bytes
    length: int
    inputs: int


@dataclass(frozen=True, slots=True)
class Upload:
    """A participant's one contribution to a round, as far as it has come.

    `digest` is the contribution's, in hex; `header` is what was signed; `chunks`
    are in the order of piece and index.
    """

    round: int
    participant: str
    digest: str
    header: bytes
    chunks: tuple[ChunkRow, ...]
    committed: bool


@dataclass(frozen=True, slots=True)
class Refusal:
    """A contradiction that was refused: evidence, with the time in seconds since 1970, UTC.

    `what` is "contribution" or "chunk piece/index"; `held` and `offered` are
    digests in hex, `held` empty for a chunk that a committed contribution lacks.
    """

    round: int
    participant: str
    what: str
    held: str
    offered: str
    at: float

    def error(self) -> ConflictingContribution:
        """Return the error that says so to the peer."""
        held = f"it is {self.held[:16]}…" if self.held else "the contribution is committed"
        return ConflictingContribution(
            f"{self.participant}: {self.what} of round {self.round}: {held}, so "
            f"{self.offered[:16]}… is refused and recorded; send what was sent first"
        )


@dataclass(frozen=True, slots=True)
class StoredInvitation:
    """An invitation as last saved, under the SHA-256 of its token, in hex."""

    token: str
    participant: str
    body: bytes
    revision: int


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate that was issued: serial and SHA-256 of its public key in hex.

    Times are seconds since 1970, UTC.
    """

    serial: str
    participant: str
    key: str
    issued_at: float
    ends_at: float


@dataclass(frozen=True, slots=True)
class Revocation:
    """All that was issued to a participant up to `at`, in seconds since 1970, counts no longer."""

    participant: str
    reason: str
    by: str
    at: float


class Store(Protocol):
    """Rounds, documents, uploads and sums, and who is enrolled.

    Each method is one transaction, whole or not at all.

    Every method may raise `StoreUnavailable`: nothing of the transaction is kept,
    and the same call may succeed later. Where the connection was lost while it was
    saved, all of it may be kept: the same call once more then changes nothing, and
    `save_step`, which refuses, is preceded by `load_round`.
    """

    def load_round(self, number: int) -> StoredRound | None:
        """Return a round as last saved, or None if it never was."""
        ...

    def load_rounds(self) -> dict[int, StoredRound]:
        """Return every round as last saved, by number, in order, in one question."""
        ...

    def round_numbers(self) -> list[int]:
        """Return the numbers of all rounds, in order."""
        ...

    def save_step(
        self, number: int, expected_revision: int | None, state: bytes, effects: Sequence[bytes]
    ) -> int:
        """Save a round's new state with the effects it orders; return the new revision.

        Args:
            expected_revision: of the state that was stepped; None for a new round.

        Raises:
            StoreUnavailable: the round has another revision, so another process
                steps it; nothing is saved.
        """
        ...

    def pending_effects(self) -> list[PendingEffect]:
        """Return the effects that are not finished, in the order they were saved."""
        ...

    def finish_effect(self, effect_id: int) -> None:
        """Forget an effect that was carried out; once more changes nothing."""
        ...

    def put_document(self, kind: str, name: str, body: bytes) -> None:
        """Keep a document, once; the same body again changes nothing.

        Raises:
            ConflictingContribution: it is kept with another body.
        """
        ...

    def put_documents(self, found: Sequence[tuple[str, str, bytes]]) -> None:
        """Keep documents, each a kind, a name and a body, all of them or none; as `put_document`.

        Raises:
            ConflictingContribution: one of them is kept with another body; nothing is saved.
        """
        ...

    def forget_documents(self, names: Sequence[tuple[str, str]]) -> None:
        """Forget documents, each a kind and a name; what is not there is well, too."""
        ...

    def document(self, kind: str, name: str) -> bytes:
        """Return a document's body.

        Raises:
            NotYet: it is not kept.
        """
        ...

    def documents(self, kind: str) -> list[tuple[str, bytes]]:
        """Return the names and bodies of all documents of a kind, sorted by name."""
        ...

    def begin_upload(self, participant: str, seen: LastSeen, header: bytes, *, at: float) -> Upload:
        """Return the participant's upload to a round, begun now if it was not.

        With it, in the same transaction, is kept how far its privacy ledger has been seen.

        Args:
            seen: of the header: its round, its digest, and the ledger it was signed with.
            header: what was signed.

        Raises:
            ConflictingContribution: it has begun one of another digest; the
                attempt is recorded, with the time `at`.
            PeerLedgerRolledBack: it was signed with an older ledger than one before; nothing
                is kept.
        """
        ...

    def newest_header(self, participant: str) -> bytes | None:
        """Return the participant's header whose ledger had come farthest; None before one."""
        ...

    def upload(self, number: int, participant: str) -> Upload | None:
        """Return the participant's upload to round `number`, or None if it has begun none."""
        ...

    def uploads(self, number: int) -> list[Upload]:
        """Return all uploads to round `number`, sorted by participant."""
        ...

    def record_chunk(
        self,
        number: int,
        participant: str,
        piece: int,
        index: int,
        root: bytes,
        length: int,
        *,
        at: float,
    ) -> None:
        """Record a chunk whose bytes are durable; the same root again changes nothing.

        Raises:
            NotYet: the participant has begun no upload.
            ConflictingContribution: the chunk has another root, or is new to a
                committed contribution; the attempt is recorded, with the time `at`.
        """
        ...

    def commit_upload(self, number: int, participant: str) -> None:
        """Mark an upload as complete for good; once more changes nothing.

        Raises:
            NotYet: the participant has begun no upload.
        """
        ...

    def chunk_roots(self, number: int, piece: int, index: int) -> dict[str, bytes]:
        """Return the root of one chunk of every upload to round `number` that has it.

        One chunk at a time, so that a fold holds no list as long as all contributions.
        """
        ...

    def record_sum_chunk(self, number: int, made: SumChunk) -> None:
        """Record a chunk of a round's sum whose bytes are durable; once more changes nothing.

        Raises:
            ConflictingContribution: the chunk is recorded with another root, length or number
                of inputs.
        """
        ...

    def sum_chunks(self, number: int) -> list[SumChunk]:
        """Return the recorded chunks of the sum of round `number`, in order."""
        ...

    def forget_sum(self, number: int) -> None:
        """Forget the recorded chunks of a round's sum; nothing there is well, too."""
        ...

    def forget_chunks(self, below: int, kept: Collection[int] = ()) -> None:
        """Forget the recorded chunks of all uploads and sums to rounds below a number.

        Headers, digests and what was refused stay.

        Args:
            kept: rounds of which nothing is forgotten.
        """
        ...

    def refusals(self, number: int) -> list[Refusal]:
        """Return the contradictions refused in round `number`, oldest first.

        At most `REFUSALS_KEPT` of a participant; a repeated one counts once.
        """
        ...

    def invitation(self, token: str) -> StoredInvitation | None:
        """Return the invitation under the digest of its token, or None if there is none."""
        ...

    def invitations(self) -> list[StoredInvitation]:
        """Return all invitations, sorted by participant, then by the digest of the token."""
        ...

    def save_invitation(
        self,
        token: str,
        expected_revision: int | None,
        participant: str,
        body: bytes,
        issued: Issued | None = None,
    ) -> int:
        """Save an invitation, with the certificate that it led to; return the new revision.

        Args:
            expected_revision: of what was looked at; None for a new one.
            issued: recorded in the same transaction.

        Raises:
            StoreUnavailable: it has another revision, somebody else was first; nothing is saved.
        """
        ...

    def forget_invitations(self, tokens: Collection[str]) -> None:
        """Forget the invitations under these digests of tokens; what is not there is well, too."""
        ...

    def record_certificate(self, issued: Issued) -> None:
        """Record a certificate, before it is given out; once more changes nothing."""
        ...

    def certificates(self, participant: str = "") -> list[Issued]:
        """Return what was issued to a participant, or to everybody, oldest first."""
        ...

    def forget_certificates(self, ended_before: float) -> None:
        """Forget certificates that ended before a time, except the newest of each participant."""
        ...

    def put_revocation(self, revocation: Revocation) -> None:
        """Record that a participant is shut out; once more changes nothing."""
        ...

    def revocations(self) -> list[Revocation]:
        """Return every revocation, oldest first."""
        ...

    def close(self) -> None:
        """Let go of the database; nothing that was saved depends on it."""
        ...
