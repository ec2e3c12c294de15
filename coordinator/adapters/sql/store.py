"""The coordinator's rounds, documents, uploads and sums in an SQL database, whichever it is."""

import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from functools import wraps
from pathlib import Path
from typing import Any, Concatenate, Final, ParamSpec, Protocol, TypeVar

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    RowMapping,
    Select,
    Table,
    and_,
    delete,
    func,
    insert,
    select,
    update,
)

from coordinator.ports import (
    REFUSALS_KEPT,
    ChunkRow,
    Issued,
    PendingEffect,
    Refusal,
    Revocation,
    StoredInvitation,
    StoredRound,
    SumChunk,
    Upload,
)
from privacy.errors import ConflictingContribution, NotYet, StoreUnavailable
from privacy.growth import LastSeen, check_grown, later
from privacy.ledger import Checkpoint

from .checksums import checked, with_checksum
from .database import again, door, open_database, reader, transaction, writer
from .schema import (
    certificates,
    checkpoints,
    chunks,
    documents,
    effects,
    invitations,
    refusals,
    revocations,
    rounds,
    sum_chunks,
    uploads,
)

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


def _go_on(_: str) -> None:
    """Pass a failpoint that nobody has asked for."""


class Fence(Protocol):
    """Keeps a process that is no longer the coordinator from writing."""

    def check(self, connection: Connection) -> None:
        """Look, first thing in the transaction of a write, whether this process may write.

        What it reads it locks, so that what it saw is true until the transaction ends.

        Raises:
            VeilsumError: it may not; the transaction is rolled back.
        """
        ...


def _whole(
    method: Callable[Concatenate["SqlStore", Arguments], Result],
) -> Callable[Concatenate["SqlStore", Arguments], Result]:
    """Make a method, which is one transaction, try again when it surely came to nothing."""

    @wraps(method)
    def tried(self: "SqlStore", /, *args: Arguments.args, **named: Arguments.kwargs) -> Result:
        with door(self._engine.url):
            return again(lambda: method(self, *args, **named))

    return tried


class SqlStore:
    """A `Store` in one SQL database; each method is one transaction.

    Writers of this process take turns, because databases would let them poll for it, or
    undo one of two. Of several processes each is told when another was first.
    """

    def __init__(
        self, engine: Engine, step: Callable[[str], None] = _go_on, fence: Fence | None = None
    ) -> None:
        self._engine = engine
        self._fence = fence
        self._reader, self._writer = reader(engine), writer(engine)
        self._turn = threading.Lock()
        self._step = step

    # -- rounds and effects --------------------------------------------------------

    @_whole
    def load_round(self, number: int) -> StoredRound | None:
        """Return a round as last saved, or None if it never was."""
        query = select(rounds).where(rounds.c.number == number)
        with self._reading() as connection:
            row = _found(connection, rounds, query)
        return None if row is None else StoredRound(row["state"], row["revision"])

    @_whole
    def load_rounds(self) -> dict[int, StoredRound]:
        """Return every round as last saved, by number, in order, in one question."""
        with self._reading() as connection:
            rows = connection.execute(select(rounds).order_by(rounds.c.number)).mappings()
            whole = [checked(rounds, row) for row in rows]
        return {row["number"]: StoredRound(row["state"], row["revision"]) for row in whole}

    @_whole
    def round_numbers(self) -> list[int]:
        """Return the numbers of all rounds, in order."""
        with self._reading() as connection:
            return list(connection.scalars(select(rounds.c.number).order_by(rounds.c.number)))

    @_whole
    def save_step(
        self, number: int, expected_revision: int | None, state: bytes, effects: Sequence[bytes]
    ) -> int:
        """Save a round's new state with the effects it orders; return the new revision."""
        with self._writing() as connection:
            query = select(rounds.c.revision).where(rounds.c.number == number)
            held = connection.scalar(query)
            if held != expected_revision:
                raise StoreUnavailable(
                    f"round {number} is at revision {held or 0}, not {expected_revision or 0}: "
                    "another process steps it; the operator must stop one of the two"
                )
            return _save(connection, number, held, state, effects)

    @_whole
    def pending_effects(self) -> list[PendingEffect]:
        """Return the effects that are not finished, in the order they were saved."""
        query = select(effects).order_by(effects.c.id)
        with self._reading() as connection:
            rows = [checked(effects, row) for row in connection.execute(query).mappings()]
        return [PendingEffect(row["id"], row["round"], row["body"]) for row in rows]

    @_whole
    def finish_effect(self, effect_id: int) -> None:
        """Forget an effect that was carried out; once more changes nothing."""
        with self._writing() as connection:
            connection.execute(delete(effects).where(effects.c.id == effect_id))

    # -- documents -----------------------------------------------------------------

    @_whole
    def put_document(self, kind: str, name: str, body: bytes) -> None:
        """Keep a document, once; the same body again changes nothing."""
        with self._writing() as connection:
            _put_document(connection, kind, name, body)

    @_whole
    def put_documents(self, found: Sequence[tuple[str, str, bytes]]) -> None:
        """Keep documents, each a kind, a name and a body, all of them or none."""
        with self._writing() as connection:
            for kind, name, body in found:
                _put_document(connection, kind, name, body)

    @_whole
    def forget_documents(self, names: Sequence[tuple[str, str]]) -> None:
        """Forget documents, each a kind and a name; what is not there is well, too."""
        with self._writing() as connection:
            for kind, name in names:
                mine = (documents.c.kind == kind, documents.c.name == name)
                connection.execute(delete(documents).where(*mine))

    @_whole
    def document(self, kind: str, name: str) -> bytes:
        """Return a document's body."""
        with self._reading() as connection:
            body = _document(connection, kind, name)
        if body is None:
            raise NotYet(f"there is no {kind} {name} yet")
        return body

    @_whole
    def documents(self, kind: str) -> list[tuple[str, bytes]]:
        """Return the names and bodies of all documents of a kind, sorted by name."""
        query = select(documents).where(documents.c.kind == kind)
        with self._reading() as connection:
            rows = [checked(documents, row) for row in connection.execute(query).mappings()]
        # sorted here: databases differ in how they order text
        return sorted((row["name"], row["body"]) for row in rows)

    # -- uploads -------------------------------------------------------------------

    @_whole
    def begin_upload(self, participant: str, seen: LastSeen, header: bytes, *, at: float) -> Upload:
        """Return the participant's upload to a round, begun now if it was not."""
        with self._writing() as connection:
            found = _uploads(connection, seen.round, participant)
            if not found:
                _keep_checkpoint(connection, participant, seen, header)
                return _begin(connection, seen.round, participant, seen.out, header)
            held = found[0].digest
            if held == seen.out:
                return found[0]
            refusal = Refusal(seen.round, participant, "contribution", held, seen.out, at)
            _record_refusal(connection, refusal)
        raise refusal.error()

    @_whole
    def newest_header(self, participant: str) -> bytes | None:
        """Return the participant's header whose ledger had come farthest; None before one."""
        with self._reading() as connection:
            row = _checkpoint(connection, participant)
        return None if row is None else bytes(row["header"])

    @_whole
    def upload(self, number: int, participant: str) -> Upload | None:
        """Return the participant's upload to round `number`, or None if it has begun none."""
        with self._reading() as connection:
            found = _uploads(connection, number, participant)
        return found[0] if found else None

    @_whole
    def uploads(self, number: int) -> list[Upload]:
        """Return all uploads to round `number`, sorted by participant."""
        with self._reading() as connection:
            found = _uploads(connection, number)
        return sorted(found, key=lambda upload: upload.participant)

    @_whole
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
        """Record a chunk whose bytes are durable; the same root again changes nothing."""
        with self._writing() as connection:
            committed = _is_committed(connection, number, participant)
            held = _chunk_root(connection, number, participant, piece, index)
            if held == root:
                return
            if held is None and not committed:
                row = (number, participant, piece, index, root, length)
                connection.execute(insert(chunks), dict(zip(chunks.c.keys(), row, strict=True)))
                return
            what, known = f"chunk {piece}/{index}", (held or b"").hex()
            refusal = Refusal(number, participant, what, known, root.hex(), at)
            _record_refusal(connection, refusal)
        raise refusal.error()

    @_whole
    def commit_upload(self, number: int, participant: str) -> None:
        """Mark an upload as complete for good; once more changes nothing."""
        with self._writing() as connection:
            if not _is_committed(connection, number, participant):
                change = update(uploads).where(_is_upload(number, participant))
                connection.execute(change.values(committed=True))

    @_whole
    def chunk_roots(self, number: int, piece: int, index: int) -> dict[str, bytes]:
        """Return the root of one chunk of every upload to round `number` that has it."""
        # By way of the uploads: their few rows lead to each root by the primary key.
        mine = (chunks.c.round == uploads.c.round) & (chunks.c.participant == uploads.c.participant)
        place = (chunks.c.piece == piece) & (chunks.c.chunk == index)
        query = select(chunks.c.participant, chunks.c.root).join_from(uploads, chunks, mine & place)
        with self._reading() as connection:
            rows = connection.execute(query.where(uploads.c.round == number))
            return {row.participant: row.root for row in rows}

    # -- sums ----------------------------------------------------------------------

    @_whole
    def record_sum_chunk(self, number: int, made: SumChunk) -> None:
        """Record a chunk of a round's sum whose bytes are durable; once more changes nothing."""
        with self._writing() as connection:
            held = _sum_chunks(connection, number, made.chunk)
            if held not in ([], [made]):
                raise ConflictingContribution(
                    f"round {number}: chunk {made.chunk} of the sum is recorded with another "
                    "root, length or number of inputs; what was recorded first stands"
                )
            if not held:
                row = {"round": number, **asdict(made)}
                connection.execute(insert(sum_chunks), with_checksum(sum_chunks, row))

    @_whole
    def sum_chunks(self, number: int) -> list[SumChunk]:
        """Return the recorded chunks of the sum of round `number`, in order."""
        with self._reading() as connection:
            return _sum_chunks(connection, number)

    @_whole
    def forget_sum(self, number: int) -> None:
        """Forget the recorded chunks of a round's sum; nothing there is well, too."""
        with self._writing() as connection:
            connection.execute(delete(sum_chunks).where(sum_chunks.c.round == number))

    @_whole
    def forget_chunks(self, below: int, kept: Collection[int] = ()) -> None:
        """Forget the recorded chunks of all uploads and sums to rounds below a number."""
        with self._writing() as connection:
            for table in (chunks, sum_chunks):
                old = (table.c.round < below) & table.c.round.not_in(kept)
                connection.execute(delete(table).where(old))

    # -- evidence ------------------------------------------------------------------

    @_whole
    def refusals(self, number: int) -> list[Refusal]:
        """Return the contradictions refused in round `number`, oldest first."""
        query = select(*_REFUSAL).where(refusals.c.round == number).order_by(refusals.c.id)
        with self._reading() as connection:
            return [Refusal(*row) for row in connection.execute(query)]

    # -- who is enrolled -----------------------------------------------------------

    @_whole
    def invitation(self, token: str) -> StoredInvitation | None:
        """Return the invitation under the digest of its token, or None if there is none."""
        query = select(invitations).where(invitations.c.token == token)
        with self._reading() as connection:
            row = _found(connection, invitations, query)
        return None if row is None else _invitation(row)

    @_whole
    def invitations(self) -> list[StoredInvitation]:
        """Return all invitations, sorted by participant, then by the digest of the token."""
        with self._reading() as connection:
            rows = connection.execute(select(invitations)).mappings()
            found = [_invitation(checked(invitations, row)) for row in rows]
        return sorted(found, key=lambda each: (each.participant, each.token))

    @_whole
    def save_invitation(
        self,
        token: str,
        expected_revision: int | None,
        participant: str,
        body: bytes,
        issued: Issued | None = None,
    ) -> int:
        """Save an invitation, with the certificate that it led to; return the new revision."""
        with self._writing() as connection:
            mine = invitations.c.token == token
            held = connection.scalar(select(invitations.c.revision).where(mine))
            if held != expected_revision:
                raise StoreUnavailable(
                    f"the invitation of {participant} is at revision {held or 0}, not "
                    f"{expected_revision or 0}: somebody else was first; look again"
                )
            connection.execute(delete(invitations).where(mine))
            revision = (held or 0) + 1
            row = {"token": token, "participant": participant, "revision": revision, "body": body}
            connection.execute(insert(invitations), with_checksum(invitations, row))
            if issued is not None:
                _record_certificate(connection, issued)
            return revision

    @_whole
    def forget_invitations(self, tokens: Collection[str]) -> None:
        """Forget the invitations under these digests of tokens; what is not there is well, too."""
        with self._writing() as connection:
            for token in tokens:
                connection.execute(delete(invitations).where(invitations.c.token == token))

    @_whole
    def record_certificate(self, issued: Issued) -> None:
        """Record a certificate, before it is given out; once more changes nothing."""
        with self._writing() as connection:
            _record_certificate(connection, issued)

    @_whole
    def certificates(self, participant: str = "") -> list[Issued]:
        """Return what was issued to a participant, or to everybody, oldest first."""
        query = select(certificates).order_by(certificates.c.issued_at, certificates.c.serial)
        if participant:
            query = query.where(certificates.c.participant == participant)
        with self._reading() as connection:
            rows = [checked(certificates, row) for row in connection.execute(query).mappings()]
        names = [column.name for column in certificates.c if column.name != "checksum"]
        return [Issued(**{name: row[name] for name in names}) for row in rows]

    @_whole
    def forget_certificates(self, ended_before: float) -> None:
        """Forget certificates that ended before a time, except the newest of each participant."""
        later = certificates.alias()
        same = (later.c.participant == certificates.c.participant) & (
            later.c.issued_at > certificates.c.issued_at
        )
        old = (certificates.c.ends_at < ended_before) & select(later.c.serial).where(same).exists()
        with self._writing() as connection:
            connection.execute(delete(certificates).where(old))

    @_whole
    def put_revocation(self, revocation: Revocation) -> None:
        """Record that a participant is shut out; once more changes nothing."""
        with self._writing() as connection:
            if revocation not in _revocations(connection):
                said = (revocation.participant, revocation.reason, revocation.by, revocation.at)
                row = dict(zip(_REVOCATION, said, strict=True))
                connection.execute(insert(revocations), with_checksum(revocations, row))

    @_whole
    def revocations(self) -> list[Revocation]:
        """Return every revocation, oldest first."""
        with self._reading() as connection:
            return _revocations(connection)

    def close(self) -> None:
        """Let go of the database; nothing that was saved depends on it."""
        self._engine.dispose()

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        with transaction(self._reader) as connection:
            yield connection

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        with self._turn:
            with transaction(self._writer) as connection:
                if self._fence is not None:
                    self._fence.check(connection)
                yield connection
                self._step("store.before_commit")
            self._step("store.after_commit")


def open_store(
    url: str,
    password: Path | None = None,
    *,
    step: Callable[[str], None] = _go_on,
    fence: Fence | None = None,
) -> SqlStore:
    """Open the database at `url`, made or brought up to date if need be.

    Args:
        url: `sqlite:////path`, or `postgresql://user@host/name`.
        password: a file that holds the password of PostgreSQL's role, where it needs one.
        step: called with a failpoint's name before and after each commit.
        fence: asked first in every transaction that writes.

    Raises:
        ConfigError: the URL names no database that can be shared and kept, or not safely.
        MissingDependency: the database's driver is not installed.
        SchemaMismatch: the database was written by a newer Veilsum, or not by Veilsum.
        StoreUnavailable: the database does not answer.
    """
    return SqlStore(open_database(url, password, step=step), step, fence)


# -- statements ------------------------------------------------------------------

_REFUSAL: Final = [column for column in refusals.c if column is not refusals.c.id]

_REVOCATION: Final = ("participant", "reason", "revoked_by", "at")


def _save(
    connection: Connection, number: int, held: int | None, state: bytes, bodies: Sequence[bytes]
) -> int:
    revision = (held or 0) + 1
    row = with_checksum(rounds, {"number": number, "revision": revision, "state": state})
    if held is None:
        connection.execute(insert(rounds), row)
    else:
        change = update(rounds).where(rounds.c.number == number)
        connection.execute(change.values(row))
    ordered = [with_checksum(effects, {"round": number, "body": body}) for body in bodies]
    if ordered:
        connection.execute(insert(effects), ordered)
    return revision


def _put_document(connection: Connection, kind: str, name: str, body: bytes) -> None:
    held = _document(connection, kind, name)
    if held is None:
        row = {"kind": kind, "name": name, "body": body}
        connection.execute(insert(documents), with_checksum(documents, row))
    elif held != body:
        raise ConflictingContribution(
            f"{kind} {name} is kept with another body; what was said first stands"
        )


def _found(connection: Connection, table: Table, query: Select[Any]) -> RowMapping | None:
    """Return the one whole row that a query finds, or None; one that is damaged raises."""
    row = connection.execute(query).mappings().one_or_none()
    return None if row is None else checked(table, row)


def _document(connection: Connection, kind: str, name: str) -> bytes | None:
    query = select(documents).where(documents.c.kind == kind, documents.c.name == name)
    row = _found(connection, documents, query)
    return None if row is None else bytes(row["body"])


def _keep_checkpoint(
    connection: Connection, participant: str, seen: LastSeen, header: bytes
) -> None:
    before = _last_seen(connection, participant)
    check_grown(participant, seen, before)
    if later(seen, before) is before:
        return
    mine = checkpoints.c.participant == participant
    connection.execute(delete(checkpoints).where(mine))
    row = {
        "participant": participant,
        "round": seen.round,
        "digest": seen.out,
        "size": seen.ledger.size,
        "root": seen.ledger.root,
        "header": header,
    }
    connection.execute(insert(checkpoints), with_checksum(checkpoints, row))


def _last_seen(connection: Connection, participant: str) -> LastSeen | None:
    row = _checkpoint(connection, participant)
    if row is None:
        return None
    return LastSeen(row["round"], row["digest"], Checkpoint(row["size"], row["root"]))


def _checkpoint(connection: Connection, participant: str) -> RowMapping | None:
    query = select(checkpoints).where(checkpoints.c.participant == participant)
    return _found(connection, checkpoints, query)


def _begin(
    connection: Connection, number: int, participant: str, digest: str, header: bytes
) -> Upload:
    row = {"round": number, "participant": participant, "digest": digest, "header": header}
    connection.execute(insert(uploads), {**with_checksum(uploads, row), "committed": False})
    return Upload(number, participant, digest, header, (), committed=False)


def _uploads(connection: Connection, number: int, participant: str | None = None) -> list[Upload]:
    headers = select(uploads).where(uploads.c.round == number)
    pieces = select(chunks).where(chunks.c.round == number)
    if participant is not None:
        headers = headers.where(uploads.c.participant == participant)
        pieces = pieces.where(chunks.c.participant == participant)
    recorded: dict[str, list[ChunkRow]] = {}
    for row in connection.execute(pieces.order_by(chunks.c.piece, chunks.c.chunk)):
        chunk = ChunkRow(row.piece, row.chunk, row.root, row.length)
        recorded.setdefault(row.participant, []).append(chunk)
    begun = [checked(uploads, row) for row in connection.execute(headers).mappings()]
    return [_upload(row, recorded.get(row["participant"], [])) for row in begun]


def _upload(row: RowMapping, recorded: Sequence[ChunkRow]) -> Upload:
    said = (row["round"], row["participant"], row["digest"], row["header"])
    return Upload(*said, tuple(recorded), row["committed"])


def _is_upload(number: int, participant: str) -> ColumnElement[bool]:
    return and_(uploads.c.round == number, uploads.c.participant == participant)


def _is_committed(connection: Connection, number: int, participant: str) -> bool:
    query = select(uploads.c.committed).where(_is_upload(number, participant))
    committed: bool | None = connection.scalar(query)
    if committed is None:
        raise NotYet(f"{participant} has begun no contribution to round {number}")
    return committed


def _chunk_root(
    connection: Connection, number: int, participant: str, piece: int, index: int
) -> bytes | None:
    query = select(chunks.c.root).where(
        chunks.c.round == number,
        chunks.c.participant == participant,
        chunks.c.piece == piece,
        chunks.c.chunk == index,
    )
    root: bytes | None = connection.scalar(query)
    return root


def _sum_chunks(connection: Connection, number: int, chunk: int | None = None) -> list[SumChunk]:
    query = select(sum_chunks).where(sum_chunks.c.round == number).order_by(sum_chunks.c.chunk)
    if chunk is not None:
        query = query.where(sum_chunks.c.chunk == chunk)
    rows = [checked(sum_chunks, row) for row in connection.execute(query).mappings()]
    return [SumChunk(row["chunk"], row["root"], row["length"], row["inputs"]) for row in rows]


def _invitation(row: RowMapping) -> StoredInvitation:
    return StoredInvitation(row["token"], row["participant"], row["body"], row["revision"])


def _record_certificate(connection: Connection, issued: Issued) -> None:
    query = select(certificates).where(certificates.c.serial == issued.serial)
    if _found(connection, certificates, query) is None:
        connection.execute(insert(certificates), with_checksum(certificates, asdict(issued)))


def _revocations(connection: Connection) -> list[Revocation]:
    query = select(revocations).order_by(revocations.c.id)
    rows = [checked(revocations, row) for row in connection.execute(query).mappings()]
    return [Revocation(*(row[name] for name in _REVOCATION)) for row in rows]


def _record_refusal(connection: Connection, refusal: Refusal) -> None:
    mine = (refusals.c.round == refusal.round) & (refusals.c.participant == refusal.participant)
    same = (refusals.c.what == refusal.what) & (refusals.c.offered == refusal.offered)
    count = select(func.count()).select_from(refusals).where(mine)
    if connection.scalar(count.where(same)) or (connection.scalar(count) or 0) >= REFUSALS_KEPT:
        return
    values = {column.name: getattr(refusal, column.name) for column in _REFUSAL}
    connection.execute(insert(refusals), values)
