"""One screen about a member: its connection, certificate, roster, rounds, and what comes next."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from cryptography import x509

from participant import kept
from participant.keys import SiteKeys
from participant.wire.connect import connect
from participant.wire.connections import newest
from participant.wire.coordinator import Coordinator
from privacy.errors import (
    CertificateRevoked,
    ConfigError,
    NotYet,
    ProtocolError,
    Unavailable,
)
from privacy.identifiers import Digest
from privacy.roster import (
    Role,
    Roster,
    SignedRoster,
    admit_all,
    check_first,
    decode_roster,
    is_founded,
)

from .own import own_words
from .place import Place

NONE: Final = "none"
NOT_FOUNDED: Final = "the operator has not closed the founding"
REVOKED: Final = (
    "call the operator who revoked this member: only another invitation lets it in again, by "
    "`join` with a new folder for its state"
)


@dataclass(frozen=True)
class RosterSeen:
    """The roster as a coordinator shows it, every signature checked.

    Attributes:
        missing: other founding members that have not signed version 0.
        roles: this member's, in the newest version; empty where it is not in it.
        proposed: fingerprint of a version that waits for this trainer's signature; "" for none.
    """

    version: int
    fingerprint: Digest
    missing: tuple[str, ...]
    roles: tuple[str, ...]
    proposed: str


@dataclass(frozen=True)
class Status:
    """What the screen says.

    Attributes:
        link: "connected", or why not.
        revoked: whether an operator has shut this member out; nothing that it does counts.
        certificate_left_seconds: negative once it has ended.
        sent: the newest round that this site has sent an update to; 0 for none.
        released: the newest round whose model it has adopted; 0 for none.
        incomplete: what its file still lacks, or "".
        next: the command to run, or what is waited for; "none" if nothing is to be done.
        words: of what this member has asked with its link; "" where it joined without one.
    """

    federation: str
    participant: str
    address: str
    link: str
    certificate_ends: datetime
    certificate_left_seconds: int
    confirmed: bool
    roster: RosterSeen | None
    sent: int
    released: int
    incomplete: str
    next: str
    words: str
    revoked: bool = False


async def status_of(
    place: Place,
    keys: SiteKeys,
    command: str,
    config: Path,
    check: Callable[[], object],
    now: datetime,
) -> Status:
    """Return a member's status; it asks the coordinator, and changes nothing.

    Args:
        command: the word after `veilsum` by which this member is run.
        check: reads its whole file, and raises `ConfigError` where a line is missing.
    """
    certificate = newest(place.coordinator, keys).certificate_pem
    ends = x509.load_pem_x509_certificate(certificate).not_valid_after_utc
    link, seen, revoked = await _asked(place, keys)
    incomplete = _lacks(config, check)
    left = int((ends - now).total_seconds())
    following = next_step(command, config, link, left, place.roster, seen, incomplete)
    return Status(
        place.federation,
        place.participant,
        place.coordinator.address,
        link,
        ends,
        left,
        place.roster is not None,
        seen,
        _newest_of(place.state, "contribution"),
        _newest_of(place.state, "release"),
        incomplete,
        REVOKED if revoked else following,
        own_words(place.state),
        revoked,
    )


def next_step(
    command: str,
    config: Path,
    link: str,
    left_seconds: int,
    confirmed: Digest | None,
    seen: RosterSeen | None,
    incomplete: str,
) -> str:
    """Return what this member's people do next. Pure."""
    run = "run" if command == "participant" else "serve"
    start = f"veilsum {command} {run} --config {config}"
    if seen is None:
        if link == NOT_FOUNDED:
            return f"wait: {link}"
        return _unreached(f"veilsum doctor --config {config}", start, left_seconds)
    steps = (
        (confirmed is None, f"veilsum {command} confirm --config {config}"),
        (
            confirmed != seen.fingerprint,
            "call the operator: the coordinator shows another roster than the one confirmed here",
        ),
        (seen.proposed != "", f"veilsum participant admit --config {config}"),
        (not seen.roles, "wait: the trainers have not admitted this member yet"),
        (incomplete != "", f"fill in {config}: {incomplete}"),
        (seen.missing != (), f"{start}; then wait for {', '.join(seen.missing)}"),
        (True, NONE),
    )
    return next(text for holds, text in steps if holds)


def _unreached(doctor: str, start: str, left_seconds: int) -> str:
    if left_seconds < 0:
        return (
            f"the certificate has ended: `{start}` renews it, for a week, unless it was revoked; "
            "then ask for a link"
        )
    return doctor


async def _asked(place: Place, keys: SiteKeys) -> tuple[str, RosterSeen | None, bool]:
    coordinator = connect(place.coordinator, keys)
    try:
        return "connected", await _seen(coordinator, place), False
    except NotYet:
        return NOT_FOUNDED, None, False
    except (Unavailable, ProtocolError) as error:
        return str(error), None, isinstance(error, CertificateRevoked)
    finally:
        await coordinator.close()


async def _seen(coordinator: Coordinator, place: Place) -> RosterSeen:
    history = await coordinator.roster()
    if not history:
        raise NotYet(NOT_FOUNDED)
    first = history[0]
    members = {member.participant for member in first.roster.members}
    check_first(first.roster)
    newest_one = _newest(history)
    mine = [m for m in newest_one.members if m.participant == place.participant]
    roles = tuple(str(role) for member in mine for role in member.roles)
    voice = Role.TRAINER in roles and is_founded(first)
    return RosterSeen(
        newest_one.version,
        first.roster.digest(),
        tuple(sorted(members - set(first.signatures) - {place.participant})),
        roles,
        await _waiting(coordinator, place) if voice else "",
    )


def _newest(history: list[SignedRoster]) -> Roster:
    if not is_founded(history[0]):
        return history[0].roster
    return admit_all(history, history[0].roster.digest())[-1]


async def _waiting(coordinator: Coordinator, place: Place) -> str:
    signed = await coordinator.proposal()
    if signed is None or place.participant in signed.signatures:
        return ""
    return decode_roster(signed.body).digest()


def _lacks(config: Path, check: Callable[[], object]) -> str:
    try:
        check()
    except ConfigError as error:
        return str(error).removeprefix(f"{config}: ")
    return ""


def _newest_of(state: Path, kind: str) -> int:
    found = (state / kept.FOLDER).glob(f"{'[0-9]' * 6}/{kind}-*")
    return max((int(path.parent.name) for path in found), default=0)
