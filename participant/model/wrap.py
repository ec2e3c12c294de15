"""Wrap: a trainer passes the key of a released model on to trainers who have none.

It reads this site's keys, and the versions of the roster that this site has seen: whoever hides
the newest one, in which a member was removed, is found. What is new it keeps beside them, each in
a file of its own, so the site may run meanwhile.
"""

from collections.abc import Sequence

from participant.config import SiteConfig
from participant.joining.versions import admitted_versions
from participant.kept import FOLDER, Kept
from participant.keys import SiteKeys, load_keys
from participant.opening.agree import content_keys, fitting_key
from participant.sending.sign import sign
from participant.wire.connect import connect
from participant.wire.coordinator import Coordinator, SealedParts
from privacy.errors import ConflictingContribution, MalformedMessage, WrongIdentity
from privacy.records import SealedModel, Wraps
from privacy.roster import Role, Roster

from .later_wraps import accepted, keys_for, left_out, make_wraps
from .released import released


async def wrap(config: SiteConfig, number: int, names: Sequence[str] = ()) -> tuple[str, ...]:
    """Seal the key of a round's released model to trainers; return to whom.

    Args:
        names: for whom; by default every trainer of today that has no wrap.

    Raises:
        WrongIdentity: this site, or who is named, is no trainer of the newest roster.
        ConflictingContribution: this site has made wraps of this model for this roster before.
        ProtocolError, PrivacyError: the model is none that openers released, or this site
            cannot open it.
    """
    keys = load_keys(config.state / "keys")
    coordinator = connect(config.coordinator, keys)
    try:
        return await pass_on(config, keys, coordinator, number, names)
    finally:
        await coordinator.close()


async def pass_on(
    config: SiteConfig,
    keys: SiteKeys,
    coordinator: Coordinator,
    number: int,
    names: Sequence[str] = (),
) -> tuple[str, ...]:
    """Seal a released model's key to trainers, over one connection; as `wrap`."""
    me = config.participant
    kept = Kept(config.state / FOLDER)
    versions = await admitted_versions(coordinator, keys, me, config.policy.roster, kept)
    newest = versions[-1]
    _require_trainers((me, *names), newest)
    found = await released(coordinator, config.policy, versions, number)
    found.check_still_agreed(newest)
    async with coordinator.model(number) as sealed:
        envelope = found.envelope(sealed.envelope)
        made = accepted(sealed.wraps, envelope, newest)
        recipients = tuple(sorted(set(names))) or left_out(envelope, found.roster, made, newest)
        before = _made_before(made, me)
        if set(recipients) <= before:
            return ()
        if before:
            raise ConflictingContribution(
                f"round {number}: {me} has made wraps for this roster before, for "
                f"{', '.join(sorted(before))}, and they stand; ask another trainer"
            )
        later = keys_for(me, made)
        key = await _content_key(envelope, me, keys, later, sealed)
    await coordinator.put_wraps(
        sign(make_wraps(envelope, key, me, recipients, newest), me, keys.signing)
    )
    return recipients


def _require_trainers(names: Sequence[str], newest: Roster) -> None:
    for name in names:
        if Role.TRAINER not in newest.member(name).roles:
            raise WrongIdentity(
                f"{name} is no trainer of roster version {newest.version}: no model's key is for it"
            )


def _made_before(made: Sequence[Wraps], maker: str) -> set[str]:
    return {wrap.participant for each in made if each.maker == maker for wrap in each.wraps}


async def _content_key(
    envelope: SealedModel,
    participant: str,
    keys: SiteKeys,
    later: Sequence[bytes],
    sealed: SealedParts,
) -> bytes:
    """Return the key that opens the model's first chunk; the others are not asked for."""
    found = content_keys(envelope, participant, keys.sealing, later)
    async for chunk in sealed.chunks:
        return fitting_key(envelope, found, chunk)
    raise MalformedMessage(f"round {envelope.round}: a sealed model without chunks")
