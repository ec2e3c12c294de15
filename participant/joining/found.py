"""Found the federation, from a member's side: compare, sign, and wait for the others."""

import asyncio
from pathlib import Path

import structlog

from participant.keys import SiteKeys
from participant.wire.coordinator import Coordinator
from privacy import canonical
from privacy.errors import NotYet, WrongContext
from privacy.roster import (
    Member,
    Roster,
    SignedRoster,
    admit,
    admit_all,
    check_first,
    check_operators,
    check_sealing_key,
    is_founded,
)
from privacy.signing import Purpose, sign

from .own import check_entry, require_entry

log = structlog.get_logger()

POLL_SECONDS = 0.5


async def found(
    coordinator: Coordinator, keys: SiteKeys, participant: str, fingerprint: str, state: Path
) -> Roster:
    """Return the roster that every founding member has signed; sign it first, if need be.

    Args:
        fingerprint: digest of version 0, as its members compared it out of band.
        state: this site's folder, with the entry that it has made for itself.

    Raises:
        WrongContext: the coordinator shows another roster than the one compared, or
            one with another entry than this site's.
        ConfigError: this site's own entry is missing.
        NotYet: it shows none.
    """
    waiting: set[str] = set()
    while True:
        history = await coordinator.roster(fingerprint)
        _check(history, keys, participant, fingerprint)
        if _has_to_sign(history[0], participant):
            check_entry(history[0].roster.member(participant), require_entry(state))
            check_entries(history[0].roster)
            signature = sign(keys.signing, Purpose.ROSTER, canonical.encode(history[0].roster))
            await coordinator.sign_roster(0, signature)
        elif is_founded(history[0]):
            return admit(history, fingerprint)
        else:
            missing = {member.participant for member in history[0].roster.members}
            missing -= set(history[0].signatures)
            if missing != waiting:
                log.info("waiting_for_founders", missing=sorted(missing))
            waiting = missing
            await asyncio.sleep(POLL_SECONDS)


async def admitted_history(
    coordinator: Coordinator, keys: SiteKeys, participant: str, fingerprint: str
) -> list[SignedRoster]:
    """Return every version of the roster with the signatures that admit it, oldest first.

    What this site has seen before it is not held against: `versions.reading` does that.

    Raises:
        WrongContext, InvalidSignature: as for `found` and `admit`.
    """
    history = await coordinator.roster(fingerprint)
    _check(history, keys, participant, fingerprint)
    admit_all(history, fingerprint)
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
    """Return if a version may be signed: something can be sealed to every member of it.

    Raises:
        MalformedMessage: a key that is none would keep the model from everybody.
        RosterRefused: an operator of the coordinator also audits, or has a part in rounds.
    """
    check_operators(roster.members)
    for member in roster.members:
        check_sealing_key(member)


def _check(history: list[SignedRoster], keys: SiteKeys, participant: str, fingerprint: str) -> None:
    if not history:
        raise NotYet("the operator has not closed version 0 of the roster yet")
    check_first(history[0].roster)
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
