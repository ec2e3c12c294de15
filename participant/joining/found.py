"""Found the federation, from a member's side: compare, sign, and wait for the others."""

import asyncio

import structlog

from participant.keys import SiteKeys
from participant.wire.coordinator import Coordinator
from privacy import canonical
from privacy.errors import MalformedMessage, NotYet, WrongContext
from privacy.roster import Member, Roster, SignedRoster, admit, admit_all, is_founded
from privacy.sealing import seal
from privacy.signing import Purpose, sign

log = structlog.get_logger()

POLL_SECONDS = 0.5


async def found(
    coordinator: Coordinator, keys: SiteKeys, participant: str, fingerprint: str
) -> Roster:
    """Return the roster that every founding member has signed; sign it first, if need be.

    Args:
        fingerprint: digest of version 0, as its members compared it out of band.

    Raises:
        WrongContext: the coordinator shows another roster than the one compared, or
            one with other keys than this site's.
        NotYet: it shows none.
    """
    waiting: set[str] = set()
    while True:
        history = await coordinator.roster(fingerprint)
        _check(history, keys, participant, fingerprint)
        if _has_to_sign(history[0], participant):
            check_entries(history[0].roster)
            signature = sign(keys.signing, Purpose.ROSTER, canonical.encode(history[0].roster))
            await coordinator.sign_roster(0, signature)
        elif is_founded(history[0]):
            newest = admit(history, fingerprint)
            _check_own_keys(newest, keys, participant)
            return newest
        else:
            missing = {member.participant for member in history[0].roster.members}
            missing -= set(history[0].signatures)
            if missing != waiting:
                log.info("waiting_for_founders", missing=sorted(missing))
            waiting = missing
            await asyncio.sleep(POLL_SECONDS)


async def admitted(
    coordinator: Coordinator, keys: SiteKeys, participant: str, fingerprint: str
) -> Roster:
    """Return the roster that members have admitted, without signing anything.

    Raises:
        WrongContext, InvalidSignature: as for `found` and `admit`.
    """
    return (await admitted_versions(coordinator, keys, participant, fingerprint))[-1]


async def admitted_versions(
    coordinator: Coordinator, keys: SiteKeys, participant: str, fingerprint: str
) -> tuple[Roster, ...]:
    """Return every version of the roster, oldest first, without signing anything.

    Raises:
        WrongContext, InvalidSignature: as for `found` and `admit`.
    """
    history = await admitted_history(coordinator, keys, participant, fingerprint)
    return tuple(each.roster for each in history)


async def admitted_history(
    coordinator: Coordinator, keys: SiteKeys, participant: str, fingerprint: str
) -> list[SignedRoster]:
    """Return the same with the signatures that admit each version.

    Raises:
        WrongContext, InvalidSignature: as for `found` and `admit`.
    """
    history = await coordinator.roster(fingerprint)
    _check(history, keys, participant, fingerprint)
    _check_own_keys(admit_all(history, fingerprint)[-1], keys, participant)
    return history


def entry(
    keys: SiteKeys, participant: str, organisation: str, payout_address: str, roles: tuple[str, ...]
) -> Member:
    """Return this site's own entry for a roster: its public keys, never a private one."""
    return canonical.decode(
        canonical.encode(
            Member(
                participant=participant,
                organisation=organisation,
                roles=roles,  # type: ignore[arg-type]  # decoding makes them roles, or refuses
                signing_key=keys.signing_public,
                sealing_key=keys.sealing_public,
                payout_address=payout_address,
            )
        ),
        Member,
    )


def check_entries(roster: Roster) -> None:
    """Return if something can be sealed to every member; asked before a version is signed.

    Raises:
        MalformedMessage: a key that is none would keep the model from everybody.
    """
    for member in roster.members:
        try:
            seal(member.sealing_key, b"veilsum/probe", b"")
        except MalformedMessage:
            raise MalformedMessage(
                f"the roster's sealing key of {member.participant} is none; that member must "
                "make its keys again, before anybody signs"
            ) from None


def _check(history: list[SignedRoster], keys: SiteKeys, participant: str, fingerprint: str) -> None:
    if not history:
        raise NotYet("the operator has not closed version 0 of the roster yet")
    if history[0].roster.digest() != fingerprint:
        raise WrongContext(
            f"the coordinator shows a roster without the fingerprint {fingerprint} of this "
            "site's policy; compare it with the other members by telephone"
        )
    # Who came later, or has new keys since, stands as itself in the newest version only.
    founds = _has_to_sign(history[0], participant)
    _check_own_keys(history[0 if founds else -1].roster, keys, participant)


def _has_to_sign(first: SignedRoster, participant: str) -> bool:
    members = {member.participant for member in first.roster.members}
    return participant in members - set(first.signatures)


def _check_own_keys(roster: Roster, keys: SiteKeys, participant: str) -> None:
    mine = roster.member(participant)
    if (mine.signing_key, mine.sealing_key) != (keys.signing_public, keys.sealing_public):
        raise WrongContext(f"the roster has other keys for {participant} than this site's own")
