"""The roster's versions as a running member knows them: read again when a round names a newer one.

A member never forgets a version. Who shows it another history than before, or an older one, is
found: a fork is refused for good, and a coordinator that has forgotten is waited for.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import structlog

from participant.kept import Kept
from participant.keys import SiteKeys
from participant.wire.coordinator import Coordinator
from privacy import canonical
from privacy import plan as plans
from privacy.documents import Signed
from privacy.errors import MalformedMessage, NotYet, UnsafeParameters, WrongContext
from privacy.identifiers import Digest
from privacy.records import KeyRecord, KeySpecification
from privacy.roster import Roster, SignedRoster, decode_roster
from privacy.signing import Purpose

from .found import admitted_history

log = structlog.get_logger()

Read = Callable[[], Awaitable[list[SignedRoster]]]
"""Returns every version that members have admitted, all signatures checked."""


@dataclass
class Versions:
    """Every version that a member has seen admitted, oldest first, and which round is under which.

    Promises that a round stays under the version it was first met under, or a newer one, and that
    a round which is met later is under the newest: nobody who was removed is planned in again.
    """

    admitted: tuple[Roster, ...]
    read: Read
    _met: dict[int, int] = field(default_factory=dict)

    @property
    def newest(self) -> Roster:
        """The newest version that this member knows."""
        return self.admitted[-1]

    async def under(self, number: int, named: Digest | None) -> Roster:
        """Return the version under which a round is, given the one that its document names.

        For a name that may not be used it is the newest: the check of the document then refuses.

        Raises:
            NotYet: the coordinator shows fewer versions than this member has seen.
            WrongContext, InvalidSignature: it shows another history, or a version that the
                trainers have not admitted. Nothing is done under it.
        """
        if named is not None and self._at(named) is None:
            await self.refresh()
        at = None if named is None else self._at(named)
        if at is None or at < self._met.get(number, len(self.admitted) - 1):
            return self.newest
        self._met[number] = at
        return self.admitted[at]

    async def refresh(self) -> None:
        """Read the versions again; raises as `under`."""
        found = tuple(each.roster for each in await self.read())
        check_extends(found, self.admitted)
        if len(found) > len(self.admitted):
            newest = found[-1]
            log.info("roster_changed", version=newest.version, roster=newest.digest())
        self.admitted = found

    def _at(self, named: Digest) -> int | None:
        # from the newest: that is nearly always the one
        at = range(len(self.admitted) - 1, -1, -1)
        return next((each for each in at if self.admitted[each].digest() == named), None)


def reading(
    coordinator: Coordinator, keys: SiteKeys, participant: str, fingerprint: Digest, kept: Kept
) -> Read:
    """Return what reads a member's roster, checks it, holds it against its disk and keeps it."""

    async def read() -> list[SignedRoster]:
        history = await admitted_history(coordinator, keys, participant, fingerprint)
        check_extends([each.roster for each in history], kept_versions(kept))
        kept.keep_rosters(history)
        return history

    return read


async def admitted_versions(
    coordinator: Coordinator, keys: SiteKeys, participant: str, fingerprint: Digest, kept: Kept
) -> tuple[Roster, ...]:
    """Return every version that members have admitted, oldest first; once, without a running agent.

    Raises:
        NotYet: fewer are shown than this member has seen.
        WrongContext, InvalidSignature: it is another history than before, or as for `admit_all`.
    """
    history = await reading(coordinator, keys, participant, fingerprint, kept)()
    return tuple(each.roster for each in history)


def check_extends(shown: Sequence[Roster], seen: Sequence[Roster]) -> None:
    """Return if what is shown goes on from what was seen; each version names the one before it.

    Raises:
        NotYet: it ends earlier; the coordinator's operator must put it right.
        WrongContext: it is another history.
    """
    for mine in seen:
        if mine.version >= len(shown):
            raise NotYet(
                f"the coordinator shows {len(shown)} versions of the roster, and this site has "
                f"seen version {mine.version}, {mine.digest()}; its operator must restore it, or "
                "propose the same version again"
            )
        if shown[mine.version].digest() != mine.digest():
            raise WrongContext(
                f"the coordinator shows version {mine.version} of the roster as "
                f"{shown[mine.version].digest()}, and showed it as {mine.digest()} before; call "
                "the other members: one of you is shown another federation"
            )


def kept_versions(kept: Kept) -> list[Roster]:
    """Return the versions that are kept on a member's disk, oldest first."""
    found = [
        decode_roster(signed.body) for purpose, _, signed in kept.all() if purpose is Purpose.ROSTER
    ]
    return sorted(found, key=lambda each: each.version)


def named_by_plan(sent: tuple[bytes, bytes, bytes]) -> Digest | None:
    """Return the roster that a plan names, unchecked; None for what is no plan."""
    try:
        return plans.decode(*sent[:2]).terms.roster
    except (MalformedMessage, UnsafeParameters):
        return None  # what is wrong with it is said once its signature is checked


def named_by_record(signed: Signed | None) -> Digest | None:
    """Return the roster that a key record names, unchecked; None for what is no record."""
    try:
        found = canonical.decode(signed.body, KeyRecord) if signed else None
    except (MalformedMessage, UnsafeParameters):
        return None
    return found.specification.roster if found else None


def named_by_key(specification: bytes) -> Digest | None:
    """Return the roster that a key is to be made under, unchecked; None for what is no order."""
    try:
        return canonical.decode(specification, KeySpecification).roster
    except (MalformedMessage, UnsafeParameters):
        return None
