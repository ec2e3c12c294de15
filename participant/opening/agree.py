"""Agree on a new model: seal it, or open what was sealed, and sign what it is.

A model counts when as many openers as the plan asks for have made it themselves
and signed one release. Any trainer can open it; nobody else can.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from privacy import canonical
from privacy.documents import Signed, check_agreement, check_signer
from privacy.errors import MalformedMessage, StoreUnavailable, WrongContext
from privacy.identifiers import Digest
from privacy.plan import Plan
from privacy.records import (
    Release,
    SealedModel,
    Wrap,
)
from privacy.roster import Roster
from privacy.sealing import (
    CiphertextDigest,
    Entropy,
    HpkeKeyPair,
    Sealed,
    StreamOpener,
    new_content_key,
    open_sealed,
    seal,
    seal_context,
    seal_stream,
)
from privacy.signing import Purpose


def seal_model(
    plan: Plan,
    roster: Roster,
    total: Digest,
    sealer: str,
    model: Digest,
    values: Callable[[], Iterable[NDArray[np.float64]]],
    entropy: Entropy,
) -> tuple[SealedModel, Iterator[bytes]]:
    """Return a model sealed to every trainer of the roster: envelope and chunks.

    The envelope names the digest of the chunks, which come after it: the model is sealed
    twice under one key, to the same bytes, and only the second time are they kept.

    Args:
        total: digest of the manifest of the sum it was made from.
        values: gives the model from its beginning, in parts that become chunks.
    """
    key = new_content_key(entropy)
    context = _context(plan, model)
    digest, count, length = CiphertextDigest(), 0, 0
    for chunk in seal_stream(key, context, _plain_chunks(values())):
        digest.update(chunk)
        count += 1
        length += len(chunk)
    envelope = SealedModel(
        federation=plan.terms.federation,
        round=plan.terms.round,
        plan=plan.digest(),
        sum=total,
        model=model,
        roster=roster.digest(),
        sealer=sealer,
        chunks=count,
        length=length,
        ciphertext=digest.hexdigest(),
        wraps=tuple(
            Wrap(
                trainer.participant,
                seal(trainer.sealing_key, _wrap_context(plan, model, trainer.participant), key),
            )
            for trainer in roster.trainers()
        ),
    )
    return envelope, seal_stream(key, context, _plain_chunks(values()))


@dataclass(frozen=True)
class Resealed:
    """A model that this participant has sealed, sealed again to the same bytes and no others.

    Attributes:
        digests: SHA-256 of each chunk.
        chunks: seals them all, from the first.
    """

    digests: tuple[bytes, ...] = field(repr=False)
    chunks: Callable[[], Iterator[bytes]] = field(repr=False)

    def after(self, first: int) -> Iterator[bytes]:
        """Yield the chunks from one on.

        Raises:
            StoreUnavailable: one would be another than it was; it does not leave.
        """
        for at, chunk in enumerate(self.chunks()):
            if hashlib.sha256(chunk).digest() != self.digests[at]:
                raise StoreUnavailable("the model is not as it was when it was sealed")
            if at >= first:
                yield chunk


def seal_again(
    envelope: SealedModel,
    participant: str,
    pair: HpkeKeyPair,
    values: Callable[[], Iterable[NDArray[np.float64]]],
) -> Resealed:
    """Return a model sealed again as its envelope says; nothing is kept for it but that.

    The key is in the envelope's wrap for its own sealer.

    Args:
        values: the model of the envelope, in the parts that it was sealed in.

    Raises:
        WrongContext, MalformedMessage: the wrap is not this participant's.
        StoreUnavailable: other chunks would come of it. One key seals one plaintext: none leaves.
    """
    key = content_keys(envelope, participant, pair)[0]

    def chunks() -> Iterator[bytes]:
        return seal_stream(key, _model_context(envelope), _plain_chunks(values()))

    digests = tuple(hashlib.sha256(chunk).digest() for chunk in chunks())
    if hashlib.sha256(b"".join(digests)).hexdigest() != envelope.ciphertext:
        raise StoreUnavailable(
            f"round {envelope.round}: model {envelope.model[:16]}… is not as it was when it was "
            "sealed; it is sealed anew"
        )
    return Resealed(digests, chunks)


class Into(Protocol):
    """Where an opened model goes: a `ModelDigest`, or a `ModelWriter`."""

    def update(self, values: NDArray[np.float64]) -> None:
        """Take the next values."""
        ...

    def hexdigest(self) -> str:
        """Return the digest of all of them."""
        ...


class Unsealing:
    """A sealed model, opened chunk by chunk as it comes; it counts only when it is finished.

    Args:
        later: content keys that trainers have sealed to this participant since.

    Raises:
        WrongContext: it is not sealed to this participant, neither at first nor later.
        MalformedMessage: the wrap is for another key or another place.
    """

    def __init__(
        self,
        envelope: SealedModel,
        participant: str,
        pair: HpkeKeyPair,
        into: Into,
        later: Sequence[bytes] = (),
    ) -> None:
        self.envelope = envelope
        self.taken = 0
        self._keys = content_keys(envelope, participant, pair, later)
        self._ciphertext = CiphertextDigest()
        self._into = into

    def take(self, chunk: bytes) -> None:
        """Open the next chunk.

        Raises:
            MalformedMessage: there are too many, or it was changed, moved or cut.
            UpdateOutOfRange: a value of it is not finite.
        """
        if self.taken >= self.envelope.chunks:
            raise self._changed()
        if self.taken == 0:
            key = fitting_key(self.envelope, self._keys, chunk)
            self._opener = StreamOpener(key, _model_context(self.envelope))
        last = self.taken == self.envelope.chunks - 1
        # Checked before anything is changed: what does not open may come again, undamaged.
        body = self._opener.unseal_at(self.taken, chunk, last=last)
        self._ciphertext.update(chunk)
        self.taken += 1
        if len(body) % 8:
            raise MalformedMessage(f"round {self.envelope.round}: {len(body)} bytes are no values")
        self._into.update(np.frombuffer(body, "<f8"))

    def finish(self) -> None:
        """Return if the model is whole, and the one that its envelope names.

        Raises:
            MalformedMessage: it is not.
        """
        whole = self.taken == self.envelope.chunks
        if not whole or self._ciphertext.hexdigest() != self.envelope.ciphertext:
            raise self._changed()
        if self._into.hexdigest() != self.envelope.model:
            raise MalformedMessage(
                f"round {self.envelope.round}: the sealed model has another digest"
            )

    def _changed(self) -> MalformedMessage:
        return MalformedMessage(
            f"round {self.envelope.round}: the sealed model's chunks were changed"
        )


def content_keys(
    envelope: SealedModel, participant: str, pair: HpkeKeyPair, later: Sequence[bytes] = ()
) -> tuple[bytes, ...]:
    """Return what is said to be the content key of a sealed model: the envelope's word first.

    Raises:
        WrongContext, MalformedMessage: as for `Unsealing`.
    """
    first = [wrap.sealed_key for wrap in envelope.wraps if wrap.participant == participant]
    if not first and not later:
        raise WrongContext(
            f"the model of round {envelope.round} is not sealed to {participant}: ask a trainer "
            f"for `veilsum participant wrap --round {envelope.round}`, then start this site again"
        )
    info, found = wrap_context(envelope, participant), []
    for sealed_key in (*first, *later):
        with suppress(MalformedMessage):
            found.append(open_sealed(pair, info, sealed_key))
    if not found:
        raise MalformedMessage(
            f"round {envelope.round}: the wrap for {participant} does not open with this site's key"
        )
    return tuple(found)


def fitting_key(envelope: SealedModel, keys: Sequence[bytes], chunk: bytes) -> bytes:
    """Return the first of some content keys that opens a sealed model's first chunk.

    Raises:
        MalformedMessage: none does.
    """
    context, last = _model_context(envelope), envelope.chunks == 1
    for key in keys:
        with suppress(MalformedMessage):
            StreamOpener(key, context).unseal(chunk, last=last)
            return key
    raise MalformedMessage(f"round {envelope.round}: sealed chunk 0 does not open at its place")


def check_envelope(signed: Signed, plan: Plan, total: Digest, roster: Roster) -> SealedModel:
    """Return an envelope that an opener of the round made from its sum.

    Raises:
        InvalidSignature: the sealer has not signed it.
        WrongContext: another round, plan, sum or roster, a sealer that is no opener,
            or wraps that are not exactly those of the roster's trainers.
    """
    envelope = canonical.decode(signed.body, SealedModel)
    if envelope.sealer not in plan.terms.openers:
        raise WrongContext(f"round {envelope.round}: {envelope.sealer} is no opener")
    key = roster.member(envelope.sealer).signing_key
    check_signer(signed, Purpose.SEALED_MODEL, envelope.sealer, key)
    place = (envelope.federation, envelope.round, envelope.plan, envelope.sum, envelope.roster)
    terms = plan.terms
    if place != (terms.federation, terms.round, plan.digest(), total, roster.digest()):
        raise WrongContext(f"round {terms.round}: a model of another round, sum or roster")
    wrapped = [wrap.participant for wrap in envelope.wraps]
    if wrapped != [trainer.participant for trainer in roster.trainers()]:
        raise WrongContext(f"round {terms.round}: the model is not sealed to exactly the trainers")
    return envelope


def check_release(signed: Signed, plan: Plan, roster: Roster) -> Release:
    """Return a release that enough openers of the plan have signed.

    Raises:
        InvalidSignature: fewer than the plan asks for.
        WrongContext: it is of another round or plan.
    """
    terms = plan.terms
    check_agreement(signed, Purpose.RELEASE, terms.openers, terms.agreement, roster)
    release = canonical.decode(signed.body, Release)
    place = (release.federation, release.round, release.plan, release.previous)
    if place != (terms.federation, terms.round, plan.digest(), terms.model):
        raise WrongContext(f"round {terms.round}: a release of another round or plan")
    return release


def _plain_chunks(parts: Iterable[NDArray[np.float64]]) -> Iterator[bytes]:
    return (part.astype("<f8", copy=False).tobytes() for part in parts)


def wrap_context(envelope: SealedModel, participant: str) -> bytes:
    """Return the place at which a sealed model's key is wrapped for a participant."""
    place = (envelope.federation, envelope.round, envelope.plan)
    return _wrap_fields(*place, envelope.model, participant)


def _model_context(envelope: SealedModel) -> bytes:
    place = (envelope.federation, envelope.round, envelope.plan)
    return _context_fields(*place, envelope.model)


def _context(plan: Plan, model: Digest) -> bytes:
    return _context_fields(plan.terms.federation, plan.terms.round, plan.digest(), model)


def _context_fields(federation: str, number: int, plan: Digest, model: Digest) -> bytes:
    fields = (federation, str(number), plan, model)
    return seal_context(Sealed.MODEL, *(field.encode() for field in fields))


def _wrap_context(plan: Plan, model: Digest, participant: str) -> bytes:
    terms = plan.terms
    return _wrap_fields(terms.federation, terms.round, plan.digest(), model, participant)


def _wrap_fields(federation: str, number: int, plan: Digest, model: Digest, who: str) -> bytes:
    fields = (federation, str(number), plan, model, who)
    return seal_context(Sealed.CONTENT_KEY, *(field.encode() for field in fields))
