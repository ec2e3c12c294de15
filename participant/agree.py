"""Agree on a new model: seal it, or open what was sealed, and sign what it is.

A model counts when as many openers as the plan asks for have made it themselves
and signed one release. Any trainer can open it; nobody else can.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from privacy import canonical
from privacy.documents import Signed, check_agreement, check_signer
from privacy.errors import MalformedMessage, WrongContext
from privacy.identifiers import Digest
from privacy.plan import Plan
from privacy.records import (
    Release,
    SealedModel,
    Wrap,
)
from privacy.roster import Roster
from privacy.sealing import (
    Entropy,
    HpkeKeyPair,
    Sealed,
    ciphertext_digest,
    new_content_key,
    open_sealed,
    open_stream,
    seal,
    seal_context,
    seal_stream,
)
from privacy.signing import Purpose
from privacy.vectors import Shapes, model_digest

CHUNK_VALUES = 1 << 16
"""Float64 values in one sealed chunk: half a MiB."""


def seal_model(
    plan: Plan,
    roster: Roster,
    total: Digest,
    sealer: str,
    model: Digest,
    vector: NDArray[np.float64],
    entropy: Entropy,
) -> tuple[SealedModel, list[bytes]]:
    """Return a model sealed to every trainer of the roster: envelope and chunks.

    Args:
        total: digest of the manifest of the sum it was made from.
        vector: shape (d,), the model.
    """
    key = new_content_key(entropy)
    context = _context(plan, model)
    chunks = list(seal_stream(key, context, _plain_chunks(vector)))
    envelope = SealedModel(
        federation=plan.terms.federation,
        round=plan.terms.round,
        plan=plan.digest(),
        sum=total,
        model=model,
        roster=roster.digest(),
        sealer=sealer,
        chunks=len(chunks),
        length=sum(len(chunk) for chunk in chunks),
        ciphertext=ciphertext_digest(chunks),
        wraps=tuple(
            Wrap(
                trainer.participant,
                seal(trainer.sealing_key, _wrap_context(plan, model, trainer.participant), key),
            )
            for trainer in roster.trainers()
        ),
    )
    return envelope, chunks


def open_model(
    envelope: SealedModel,
    chunks: Sequence[bytes],
    participant: str,
    pair: HpkeKeyPair,
    shapes: Shapes,
) -> NDArray[np.float64]:
    """Return the model that an envelope seals, if it was sealed to this participant too.

    Raises:
        WrongContext: it was not; a trainer must be in the roster when a model is sealed.
        MalformedMessage: another key, changed bytes, or a model of another digest.
    """
    wraps = {wrap.participant: wrap.sealed_key for wrap in envelope.wraps}
    if participant not in wraps:
        raise WrongContext(
            f"the model of round {envelope.round} is not sealed to {participant}: ask the "
            "trainers for a new wrap"
        )
    place = (envelope.federation, envelope.round, envelope.plan)
    info = _wrap_fields(*place, envelope.model, participant)
    key = open_sealed(pair, info, wraps[participant])
    if ciphertext_digest(chunks) != envelope.ciphertext or len(chunks) != envelope.chunks:
        raise MalformedMessage(f"round {envelope.round}: the sealed model's chunks were changed")
    body = b"".join(open_stream(key, _context_fields(*place, envelope.model), chunks))
    if len(body) % 8:
        raise MalformedMessage(f"round {envelope.round}: {len(body)} bytes are no model")
    vector = np.frombuffer(body, "<f8").copy()
    if model_digest(shapes, vector) != envelope.model:
        raise MalformedMessage(f"round {envelope.round}: the sealed model has another digest")
    return vector


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


def _plain_chunks(vector: NDArray[np.float64]) -> Iterator[bytes]:
    for start in range(0, vector.size, CHUNK_VALUES):
        yield vector[start : start + CHUNK_VALUES].astype("<f8").tobytes()


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
