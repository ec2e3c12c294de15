"""What must lie in the object store for each round, and how it is known for what it was.

Every object has its digest somewhere else: a chunk of a contribution or of a sum in its row, all
that is sealed in the signed document that came with it. So what a disk makes of an object is
found without anybody's word, and before it is used.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from coordinator import object_names as names
from coordinator.archive import Archive
from coordinator.ports import Store, Upload
from coordinator.rounds import verify
from coordinator.rounds.state import Phase, Round
from coordinator.seats.seat_sums import statement_name
from privacy import canonical
from privacy.documents import unpack
from privacy.errors import MalformedMessage, SchemaMismatch
from privacy.identifiers import Digest, sha256_hex
from privacy.plan import SHARES, Plan
from privacy.records import (
    Contribution,
    KeyRecord,
    SealedModel,
    SeatSum,
    SharedContribution,
)
from privacy.schemes.ckks_sum import CkksCombiner
from privacy.schemes.shares.payload import PayloadCheck
from privacy.sealing import CiphertextDigest

Fits = Callable[[Iterable[bytes]], bool]
"""Returns whether bytes, object by object, are those that were stored; holds one at a time."""


class Kind(StrEnum):
    """What an object is part of."""

    KEY = "key"
    CHUNK = "chunk"
    SEAL = "seal"
    SUM = "sum"
    SEAT_SUM = "seat sum"
    MODEL = "model"


@dataclass(frozen=True)
class Kept:
    """Objects that one digest covers, whose they are, and what shows that they are unchanged.

    `whose` is a member, or empty where an object is the whole round's.
    """

    round: int
    kind: Kind
    whose: str
    names: tuple[str, ...]
    fits: Fits
    chunk: int = 0


@dataclass(frozen=True)
class Inventory:
    """Says what is kept of a round, one digest after the other, and reads none of it."""

    store: Store
    archive: Archive

    def of(self, current: Round, *, models: bool = True, disputed: bool = False) -> Iterator[Kept]:
        """Return what must be there of a round, at this moment.

        Args:
            models: False if the model that the round has released need not be kept.
            disputed: whether somebody may demand to see what its result was made from.
        """
        if not current.is_over():
            yield from self._key(current)
            yield from self._contributions(current)
            yield from self._sum(current)
            yield from self._seat_sums(current)
        elif disputed and current.phase is Phase.DONE:
            yield from self._made_from(current)
        if current.sealed_model and models and current.phase is not Phase.ABORTED:
            yield self._model(current)

    def _key(self, current: Round) -> Iterator[Kept]:
        number, name = current.number, current.key_record
        if not name:
            return
        record = canonical.decode(self.archive.document("key", name).body, KeyRecord)
        yield _whole(
            number, Kind.KEY, record.maker, names.public_key(number, name), record.public_key
        )
        for each in record.secrets:
            place = names.sealed_secret(number, name, each.opener)
            yield _whole(number, Kind.KEY, each.opener, place, each.sealed)

    def _contributions(self, current: Round) -> Iterator[Kept]:
        if not current.plan:
            return
        plan = self.archive.plan(current.number)
        for participant in current.rules.trainers:
            upload = self.store.upload(current.number, participant)
            if upload is not None:
                yield from _chunks(upload, plan)
                yield from _seals(upload, plan)

    def _made_from(self, current: Round) -> Iterator[Kept]:
        """Return what demands are answered from: ciphertexts, and nothing that opens one."""
        if current.rules.seats:
            return  # their words are shown to nobody
        try:
            plan = self.archive.plan(current.number)
        except SchemaMismatch:
            return  # nor is any demand answered by this version
        for entry in current.committed:
            upload = self.store.upload(current.number, entry.participant)
            if upload is not None:  # else learnt from members, who have none
                yield from _chunks(upload, plan)
        yield from self._sum(current)

    def _sum(self, current: Round) -> Iterator[Kept]:
        number = current.number
        if current.rules.seats or not current.sum:
            return
        plan = self.archive.plan(number)
        for row in self.store.sum_chunks(number):
            place = names.sum_chunk(number, row.chunk)
            yield _one(number, Kind.SUM, "", place, row.chunk, _root_is(plan, row.chunk, row.root))

    def _seat_sums(self, current: Round) -> Iterator[Kept]:
        number = current.number
        for stated in current.stated:
            signed = self.archive.document("seat-sum", statement_name(number, stated.seat))
            statement = canonical.decode(signed.body, SeatSum)
            for position, each in enumerate(statement.sums):
                places = tuple(
                    names.seat_sum_chunk(number, stated.statement, position, chunk)
                    for chunk in range(statement.chunks)
                )
                yield Kept(number, Kind.SEAT_SUM, stated.seat, places, _sealed_is(each.ciphertext))

    def _model(self, current: Round) -> Kept:
        number, name = current.number, current.sealed_model
        sealed = canonical.decode(self.archive.document("model", name).body, SealedModel)
        places = tuple(names.model_chunk(number, name, chunk) for chunk in range(sealed.chunks))
        return Kept(number, Kind.MODEL, sealed.sealer, places, _sealed_is(sealed.ciphertext))


def _chunks(upload: Upload, plan: Plan) -> Iterator[Kept]:
    number, participant = upload.round, upload.participant
    for row in upload.chunks:
        place = names.contribution_chunk(number, participant, row.piece, row.index)
        fits = _root_is(plan, row.index, row.root)
        yield _one(number, Kind.CHUNK, participant, place, row.index, fits)


def _seals(upload: Upload, plan: Plan) -> Iterator[Kept]:
    if not upload.committed:
        return  # they may not have come yet; who commits is asked for them
    number, participant = upload.round, upload.participant
    header = canonical.decode(unpack(upload.header).body, verify.header_kind(plan))
    for place, digest in _sealed_to(header):
        yield _whole(number, Kind.SEAL, participant, place, digest)


def _sealed_to(header: Contribution | SharedContribution) -> Sequence[tuple[str, Digest]]:
    number, participant = header.round, header.participant
    if isinstance(header, SharedContribution):
        return [(names.sealed_part(number, participant, e.seat), e.sealed) for e in header.seals]
    return [(names.sealed_mask(number, participant, e.opener), e.sealed) for e in header.masks]


def _one(number: int, kind: Kind, whose: str, place: str, chunk: int, fits: Fits) -> Kept:
    return Kept(number, kind, whose, (place,), fits, chunk)


def _whole(number: int, kind: Kind, whose: str, place: str, digest: Digest) -> Kept:
    return Kept(
        number, kind, whose, (place,), lambda bodies: [*map(sha256_hex, bodies)] == [digest]
    )


def _root_is(plan: Plan, chunk: int, root: bytes) -> Fits:
    def fits(bodies: Iterable[bytes]) -> bool:
        if plan.arithmetic.scheme == SHARES:
            door: CkksCombiner | PayloadCheck = PayloadCheck(
                plan.shares(), plan.arithmetic.dimension
            )
        else:
            door = CkksCombiner(plan.parameters(), plan.arithmetic.dimension)
        try:
            return [door.check(chunk, body) for body in bodies] == [root]
        except MalformedMessage:
            return False  # nothing malformed was ever accepted

    return fits


def _sealed_is(ciphertext: Digest) -> Fits:
    def fits(bodies: Iterable[bytes]) -> bool:
        digest = CiphertextDigest()
        for body in bodies:
            digest.update(body)
        return digest.hexdigest() == ciphertext

    return fits
