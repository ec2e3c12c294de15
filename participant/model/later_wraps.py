"""Wraps made later: a released model's content key, for trainers that its envelope leaves out.

Pure. What the coordinator shows among them is believed only as far as a trainer of today
has signed it; and which model a wrap opens, the envelope says, not the wrap.
"""

from collections.abc import Iterable, Sequence

import structlog

from participant.opening.agree import wrap_context
from privacy import canonical
from privacy.documents import Signed, check_signer
from privacy.errors import PrivacyError, ProtocolError, WrongContext, WrongIdentity
from privacy.records import SealedModel, Wrap, Wraps, digest_of
from privacy.roster import Role, Roster
from privacy.sealing import seal
from privacy.signing import Purpose

log = structlog.get_logger()


def check_wraps(signed: Signed, envelope: SealedModel, roster: Roster) -> Wraps:
    """Return wraps of this sealed model's key that a trainer of the newest roster has made.

    Raises:
        WrongIdentity: their maker is no trainer of the roster.
        InvalidSignature: the maker has not signed them.
        WrongContext: they are of another federation, round, model or roster.
    """
    made = canonical.decode(signed.body, Wraps)
    maker = roster.member(made.maker)
    if Role.TRAINER not in maker.roles:
        raise WrongIdentity(f"round {made.round}: {made.maker}, who made wraps, is no trainer")
    check_signer(signed, Purpose.WRAPS, made.maker, maker.signing_key)
    place = (made.federation, made.round, made.sealed_model, made.roster)
    wanted = (envelope.federation, envelope.round, digest_of(envelope), roster.digest())
    if place != wanted:
        raise WrongContext(f"{made.maker} made wraps of another model, or for another roster")
    return made


def accepted(documents: Iterable[Signed], envelope: SealedModel, roster: Roster) -> list[Wraps]:
    """Return those wraps that count, in the order they came; the others are in the log."""
    found = []
    for signed in documents:
        try:
            found.append(check_wraps(signed, envelope, roster))
        except (ProtocolError, PrivacyError) as error:
            number, code = envelope.round, error.code
            log.warning("wraps_ignored", round=number, code=code, reason=str(error))
    return found


def keys_for(participant: str, made: Iterable[Wraps]) -> tuple[bytes, ...]:
    """Return the content keys that were sealed to one participant."""
    wraps = (wrap for each in made for wrap in each.wraps)
    return tuple(wrap.sealed_key for wrap in wraps if wrap.participant == participant)


def left_out(
    envelope: SealedModel, then: Roster, made: Iterable[Wraps], newest: Roster
) -> tuple[str, ...]:
    """Return the trainers of today to whose key nobody has sealed the model's.

    Args:
        then: the roster under which the model was sealed.
    """
    keys = {member.participant: member.sealing_key for member in then.members}
    has = {(wrap.participant, keys.get(wrap.participant)) for wrap in envelope.wraps}
    later = {wrap.participant for each in made for wrap in each.wraps}
    return tuple(
        trainer.participant
        for trainer in newest.trainers()
        if (trainer.participant, trainer.sealing_key) not in has
        and trainer.participant not in later
    )


def make_wraps(
    envelope: SealedModel, content_key: bytes, maker: str, recipients: Sequence[str], newest: Roster
) -> Wraps:
    """Return the content key of a sealed model, sealed to each recipient's key of today."""
    sealing_keys = {name: newest.member(name).sealing_key for name in recipients}
    return Wraps(
        federation=envelope.federation,
        round=envelope.round,
        sealed_model=digest_of(envelope),
        roster=newest.digest(),
        maker=maker,
        wraps=tuple(
            Wrap(name, seal(key, wrap_context(envelope, name), content_key))
            for name, key in sorted(sealing_keys.items())
        ),
    )
