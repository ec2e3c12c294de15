"""All that is checked before a contribution, a key or a model counts. Pure.

Each function returns what the bytes stand for, or raises; there is no boolean
to forget. Identity is an argument: it came from the certificate.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from privacy import canonical
from privacy.documents import Signed, check_signer
from privacy.errors import MalformedMessage, WrongContext, WrongIdentity
from privacy.identifiers import Digest, sha256_hex
from privacy.learned import learned
from privacy.limbs import PUBLIC_KEY, Layout
from privacy.mechanism import events_of
from privacy.plan import CKKS, SHARES, Plan
from privacy.records import (
    COORDINATOR,
    PURPOSES,
    SEATS,
    Contribution,
    KeyRecord,
    KeySpecification,
    Piece,
    Release,
    Round,
    SealedModel,
    SharedContribution,
    Wrap,
    Wraps,
)
from privacy.roster import Roster
from privacy.schemes.keystream import SECRET_BYTES
from privacy.schemes.masks import MASK_SECRET_BYTES
from privacy.schemes.shares.layout import WORD_BYTES
from privacy.schemes.shares.payload import PayloadCheck
from privacy.sealing import CHUNK_OVERHEAD, CONTENT_KEY_BYTES, SEAL_OVERHEAD
from privacy.signing import Purpose

# Two secrets and a word, as `sharing.seal_for_seats` seals them.
_PART_BYTES: Final = 2 * SECRET_BYTES + WORD_BYTES


LONGEST_HEADER: Final = 1 << 16
"""Bytes of a contribution's header: many times those of the longest there is."""


class _Place(msgspec.Struct, frozen=True):
    round: Round


def round_of(signed: Signed) -> int:
    """Return the round that the header of a contribution names; all else is checked later.

    Raises:
        MalformedMessage: it names none.
    """
    try:
        return msgspec.json.decode(signed.body, type=learned(_Place)).round
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise MalformedMessage("the header of a contribution names no round") from None


def header_kind(plan: Plan) -> type[Contribution] | type[SharedContribution]:
    """Return the kind of header that contributions to the round of `plan` have."""
    return SharedContribution if plan.arithmetic.scheme == SHARES else Contribution


def contribution(
    signed: Signed, sender: str, plan: Plan, roster: Roster
) -> Contribution | SharedContribution:
    """Return the header of a contribution that belongs to the round of `plan`.

    Raises:
        InvalidSignature: the sender's key has not signed it.
        WrongIdentity: it names another participant than the certificate.
        WrongContext: it was made for another federation, round, plan or key record.
        MalformedMessage: its pieces, or whom its secrets are sealed to, are not as the plan asks.
    """
    if len(signed.body) > LONGEST_HEADER:
        raise MalformedMessage(f"{sender}: a header of {len(signed.body)} bytes")
    kind = header_kind(plan)
    check_signer(signed, PURPOSES[kind], sender, roster.member(sender).signing_key)
    header = canonical.decode(signed.body, kind)
    if header.participant != sender:
        raise WrongIdentity(f"a contribution of {header.participant}, sent by {sender}")
    _check_context(header, plan)
    _check_pieces(header, plan)
    _check_recipients(header, plan)
    if header.claim != events_of(plan.terms.privacy.training):
        raise WrongContext(f"{sender} claims another privacy event than the plan's")
    return header


def seals(
    header: Contribution | SharedContribution, masks: Sequence[bytes], parts: Sequence[bytes]
) -> None:
    """Return if these are the seals that a verified header names, and no others.

    Args:
        masks: the secret of a contribution's mask, sealed to each opener of the plan.
        parts: the secrets of its components, sealed to each seat of the plan.

    Raises:
        MalformedMessage: they are not, or are of another length than such a seal is.
    """
    if isinstance(header, SharedContribution):
        named, sealed, other, what = [e.sealed for e in header.seals], parts, masks, "part"
        length = SEAL_OVERHEAD + _PART_BYTES
    else:
        named, sealed, other, what = [e.sealed for e in header.masks], masks, parts, "mask"
        length = SEAL_OVERHEAD + MASK_SECRET_BYTES
    if other or [sha256_hex(each) for each in sealed] != named:
        raise MalformedMessage(f"{header.participant}: not the sealed {what}s that it has signed")
    if any(len(each) != length for each in sealed):
        raise MalformedMessage(f"{header.participant}: a sealed {what} has {length} bytes")


def key_offer(
    signed: Signed,
    sender: str,
    public_key: bytes,
    sealed: tuple[bytes, ...],
    specification: KeySpecification,
    roster: Roster,
) -> KeyRecord:
    """Return the record of a key that was made as it was ordered.

    Raises:
        InvalidSignature: its maker has not signed it.
        WrongIdentity: it names another maker than the certificate.
        WrongContext: it was made for another specification.
        MalformedMessage: a digest in it is not that of the bytes beside it, or these
            are longer than such a key is.
    """
    check_signer(signed, Purpose.KEY_RECORD, sender, roster.member(sender).signing_key)
    record = canonical.decode(signed.body, KeyRecord)
    if record.maker != sender:
        raise WrongIdentity(f"a key of {record.maker}, sent by {sender}")
    if record.specification != specification or record.federation != roster.federation:
        raise WrongContext(f"round {record.round}: the key was made for another specification")
    _check_sizes(specification, public_key, sealed)
    if record.public_key != sha256_hex(public_key):
        raise MalformedMessage("key record: not the digest of the public key beside it")
    named = [(each.opener, each.sealed) for each in record.secrets]
    there = [(o, sha256_hex(s)) for o, s in zip(specification.openers, sealed, strict=False)]
    if len(sealed) != len(specification.openers) or named != there:
        raise MalformedMessage("key record: not the digests of the sealed secrets beside it")
    return record


def envelope(
    signed: Signed, sender: str, sum_digest: str, plan: Plan, roster: Roster
) -> SealedModel:
    """Return the envelope of a model that was made from the round's sum.

    Raises:
        InvalidSignature, WrongIdentity: as for a contribution.
        WrongContext: another round, plan, sum or roster, or wraps for others than its trainers.
        MalformedMessage: chunks or wraps of sizes that no model of the plan has.
    """
    check_signer(signed, Purpose.SEALED_MODEL, sender, roster.member(sender).signing_key)
    sealed = canonical.decode(signed.body, SealedModel)
    if sealed.sealer != sender:
        raise WrongIdentity(f"a model sealed by {sealed.sealer}, sent by {sender}")
    same_round = (sealed.federation, sealed.round) == (plan.terms.federation, plan.terms.round)
    if not same_round or sealed.plan != plan.digest() or sealed.sum != sum_digest:
        raise WrongContext(f"{sender} sealed a model of another round, plan or sum")
    if sealed.roster != roster.digest():
        raise WrongContext(f"{sender} wrapped the model's key for another roster")
    _check_wraps(sealed, roster)
    _check_length(sealed, plan)
    return sealed


def release(signed: Signed, sender: str, roster: Roster) -> Release:
    """Return the release that an opener has signed.

    Raises:
        InvalidSignature: it has not.
    """
    check_signer(signed, Purpose.RELEASE, sender, roster.member(sender).signing_key)
    return canonical.decode(signed.body, Release)


def wraps(signed: Signed, sender: str, sealed_model: Digest, roster: Roster) -> Wraps:
    """Return the wraps that a trainer has made of a released model's content key.

    Raises:
        InvalidSignature: the sender has not signed them.
        WrongIdentity: they name another maker, or the sender is no trainer.
        WrongContext: another federation, model or roster, or wraps for who is no trainer in it.
        MalformedMessage: none, out of order, or of a length that no wrap has.
    """
    check_signer(signed, Purpose.WRAPS, sender, roster.member(sender).signing_key)
    made = canonical.decode(signed.body, Wraps)
    trainers = {trainer.participant for trainer in roster.trainers()}
    if made.maker != sender or sender not in trainers:
        raise WrongIdentity(f"wraps of {made.maker}, sent by {sender}: a trainer sends its own")
    place = (made.federation, made.sealed_model, made.roster)
    if place != (roster.federation, sealed_model, roster.digest()):
        raise WrongContext(f"{sender} made wraps of another model, or for another roster")
    recipients = [wrap.participant for wrap in made.wraps]
    if not set(recipients) <= trainers:
        raise WrongContext(f"{sender} wrapped a model's key for others than trainers")
    if not recipients or recipients != sorted(set(recipients)):
        raise MalformedMessage(f"{sender}: wraps are for one trainer or more, each once, in order")
    _check_wrap_lengths(made.wraps, sender)
    return made


def _check_context(header: Contribution | SharedContribution, plan: Plan) -> None:
    expected = {
        "federation": plan.terms.federation,
        "round": plan.terms.round,
        "plan": plan.digest(),
    }
    if isinstance(header, Contribution):
        assert plan.terms.key_record is not None  # a plan of its scheme names one
        expected["key_record"] = plan.terms.key_record
    for name, value in expected.items():
        if getattr(header, name) != value:
            raise WrongContext(
                f"{header.participant}: the contribution names {name} {getattr(header, name)}, "
                f"the round has {value}"
            )


def _check_pieces(header: Contribution | SharedContribution, plan: Plan) -> None:
    recipient, scheme, chunks, length = expected = _piece(plan)
    if [_shape(piece) for piece in header.pieces] != [expected]:
        raise MalformedMessage(
            f"{header.participant}: the pieces are not those of the plan: one of {scheme}, of "
            f"{chunks} chunks and {length} bytes for the {recipient}"
        )


def _piece(plan: Plan) -> tuple[str, str, int, int]:
    geometry = plan.geometry()
    if plan.arithmetic.scheme == SHARES:
        length = PayloadCheck(plan.shares(), geometry.dimension).length()
        return (SEATS, SHARES, geometry.chunks, length)
    parameters = plan.parameters()
    length = sum(parameters.chunk_bytes(geometry.values_in(at)) for at in range(geometry.chunks))
    return (COORDINATOR, CKKS, geometry.chunks, length)


def _check_recipients(header: Contribution | SharedContribution, plan: Plan) -> None:
    if isinstance(header, SharedContribution):
        if tuple(each.seat for each in header.seals) != plan.terms.seats:
            raise MalformedMessage(
                f"{header.participant} sealed its parts to others than the plan's seats"
            )
    elif tuple(each.opener for each in header.masks) != plan.terms.openers:
        raise MalformedMessage(
            f"{header.participant} sealed its mask to others than the plan's openers"
        )


def _check_sizes(
    specification: KeySpecification, public_key: bytes, sealed: tuple[bytes, ...]
) -> None:
    layout = Layout(specification.degree, (int(specification.modulus),), marker=PUBLIC_KEY)
    if len(public_key) != layout.chunk_bytes(1):
        raise MalformedMessage(
            f"a public key of {len(public_key)} bytes, it has {layout.chunk_bytes(1)}"
        )
    # A ternary secret takes two bits a coefficient; what is longer seals something else.
    longest = SEAL_OVERHEAD + specification.degree
    if any(len(each) > longest for each in sealed):
        raise MalformedMessage(f"a sealed secret of more than {longest} bytes")


def _check_wraps(sealed: SealedModel, roster: Roster) -> None:
    if [wrap.participant for wrap in sealed.wraps] != [t.participant for t in roster.trainers()]:
        raise WrongContext(f"{sealed.sealer} wrapped the model's key for others than the trainers")
    _check_wrap_lengths(sealed.wraps, sealed.sealer)


def _check_wrap_lengths(wraps: tuple[Wrap, ...], maker: str) -> None:
    length = SEAL_OVERHEAD + CONTENT_KEY_BYTES
    if any(len(wrap.sealed_key) != length for wrap in wraps):
        raise MalformedMessage(f"{maker}: a wrapped key has {length} bytes")


def _check_length(sealed: SealedModel, plan: Plan) -> None:
    # Chunks of eight-byte values, each with a tag: nothing else is stored for the sealer.
    values = plan.arithmetic.dimension
    length = 8 * values + CHUNK_OVERHEAD * sealed.chunks
    if not 1 <= sealed.chunks <= values or sealed.length != length:
        raise MalformedMessage(
            f"{sealed.sealer}: {sealed.chunks} chunks of {sealed.length} bytes in all "
            f"do not seal a model of {values} values"
        )


def _shape(piece: Piece) -> tuple[str, str, int, int]:
    return (piece.recipient, piece.scheme, piece.chunks, piece.length)
