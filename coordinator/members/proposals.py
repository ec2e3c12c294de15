"""The roster closed at first, and later versions put before the trainers, one at a time.

The operator proposes. A version counts when more than half of the trainers of the one before have
signed it, and nothing that the coordinator does makes it count sooner.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import structlog

from coordinator.ports import Store
from privacy import canonical
from privacy.enrolment import Proven, approved_part
from privacy.errors import (
    ConfigError,
    InvalidSignature,
    MalformedMessage,
    NotYet,
    RosterRefused,
    WrongContext,
)
from privacy.failpoints import Step, pass_by
from privacy.identifiers import Digest
from privacy.roster import Role, Roster, SignedRoster, check_sealing_key, decode_roster
from privacy.signing import Purpose, verify

from .enrolment import approved, proven
from .rosters import Rosters

log = structlog.get_logger()

_KIND: Final = "roster-proposal"
_DIGITS: Final = 8

Check = Callable[[Roster], None]
"""Raises ConfigError if rounds could not run, as they are configured, with a roster."""


@dataclass
class Proposals:
    """Closes version 0, and takes signatures on the version that is proposed after it."""

    store: Store
    rosters: Rosters
    check: Check
    step: Step = pass_by
    _turn: threading.RLock = field(default_factory=threading.RLock)

    def resume(self) -> None:
        """Go on where the last process stopped: what enough trainers have signed counts."""
        with self._turn:
            self._go_on()

    def close_founding(self, by: str) -> Digest:
        """Close version 0, unless it is, and return its fingerprint.

        Raises:
            RosterRefused: rounds could not run with it, nobody operates, or nothing can be sealed
                to one of its members.
        """
        with self._turn:
            draft = self.rosters.draft
            if not self.rosters.is_closed():
                _check_operated(draft)
                self._check(draft)
                self.step("proposals.before_close")
                self.rosters.close(draft)
                self.step("proposals.after_close")
                log.info("roster_closed", by=by, fingerprint=draft.digest())
            return draft.digest()

    def reopen_founding(self, by: str, fingerprint: Digest, reason: str) -> None:
        """Open version 0 again, for as long as it counts for nobody; once more changes nothing.

        The signatures that it has are forgotten. What is closed next has another fingerprint,
        unless nothing has changed, and each member compares it anew.

        Raises:
            RosterRefused: it has all signatures, has another fingerprint, or is a file.
        """
        with self._turn:
            if self.rosters.reopen(fingerprint):
                log.warning("roster_reopened", by=by, fingerprint=fingerprint, reason=reason)

    def propose(self, by: str, body: bytes) -> Digest:
        """Put the next version before the trainers, in the place of one not yet admitted.

        Raises:
            NotYet: there is no roster that counts, to follow.
            RosterRefused: it does not follow that, has an entry that nobody approved, nobody
                operates, nothing can be sealed to a member, or rounds could not run with it.
            MalformedMessage: it is no roster.
        """
        roster = decode_roster(body)
        with self._turn:
            self._go_on()  # what enough trainers have signed is replaced by nothing
            before = self.rosters.current()
            self._check_follows(before, roster)
            _check_operated(roster)
            self._check(roster)
            current = self._current()
            if current is None or current.roster != roster:
                number = len(self.store.documents(_KIND)) + 1
                self.step("proposals.before_propose")
                self.store.put_document(_KIND, f"{number:0{_DIGITS}}", body)
            log.info("roster_proposed", by=by, version=roster.version, fingerprint=roster.digest())
            return roster.digest()

    def proposed(self) -> SignedRoster | None:
        """Return the version that is before the trainers, or None."""
        with self._turn:
            return self._current()

    def proofs(self) -> list[Proven]:
        """Return what the members asked whom the proposed version has otherwise, by name.

        For trainers, who compare the words of each with the member itself.
        """
        with self._turn:
            current = self._current()
            if current is None:
                return []
            before = {approved_part(each) for each in self.rosters.current().members}
            asked = proven(self.store)
            new = [each for each in current.roster.members if approved_part(each) not in before]
            return [asked[each.participant] for each in new if each.participant in asked]

    def sign(self, participant: str, fingerprint: Digest, signature: bytes) -> None:
        """Take a trainer's signature; with more than half of theirs, the version counts at once.

        Raises:
            NotYet: nothing is proposed.
            WrongContext: something else is; the member looks at it first.
            WrongIdentity: it is no member of the version before.
            InvalidSignature: its key has not made it.
        """
        with self._turn:
            current = self._current()
            if current is None:
                if self.rosters.current().digest() == fingerprint:
                    return  # it counts already; perhaps the answer was cut off
                raise NotYet("no version of the roster is proposed")
            if current.roster.digest() != fingerprint:
                raise WrongContext(
                    f"version {current.roster.version} that is proposed has another fingerprint "
                    "than the one signed; look at it again"
                )
            trainer = self.rosters.current().member(participant)
            verify(trainer.signing_key, Purpose.ROSTER, canonical.encode(current.roster), signature)
            self.store.put_document(_signatures(fingerprint), participant, signature)
            self.step("proposals.after_sign")
            self._go_on()

    def _go_on(self) -> None:
        """Make the proposal a version, if enough trainers have signed it."""
        current = self._current() if self.rosters.is_founded() else None
        if current is None:
            return
        trainers = {each.participant for each in self.rosters.current().trainers()}
        signed = {name: each for name, each in current.signatures.items() if name in trainers}
        if 2 * len(signed) <= len(trainers):
            return
        try:
            added = self.rosters.add(SignedRoster(current.roster, signed))
        except InvalidSignature as error:  # checked when it came: what is stored is damaged
            raise ConfigError(f"database: a signature on the roster is damaged: {error}") from None
        log.info("roster_admitted", version=added.version, fingerprint=added.digest())

    def _current(self) -> SignedRoster | None:
        if not self.rosters.is_founded():
            return None
        known = self.store.documents(_KIND)
        roster = decode_roster(known[-1][1]) if known else None
        if roster is None or roster.version != self.rosters.current().version + 1:
            return None
        return SignedRoster(roster, dict(self.store.documents(_signatures(roster.digest()))))

    def _check_follows(self, before: Roster, roster: Roster) -> None:
        if (roster.version, roster.previous) != (before.version + 1, before.digest()):
            raise RosterRefused(
                f"roster version {roster.version} does not follow version {before.version}; make "
                "it from the newest one"
            )
        if (roster.federation, roster.coordinator_key) != (
            before.federation,
            before.coordinator_key,
        ):
            raise RosterRefused("a later version has the same federation and coordinator's key")
        known = {approved_part(each) for each in (*before.members, *approved(self.store))}
        for member in roster.members:
            if approved_part(member) not in known:
                raise RosterRefused(
                    f"{member.participant}: no operator has approved these keys; invite it first"
                )

    def _check(self, roster: Roster) -> None:
        try:
            for member in roster.members:
                check_sealing_key(member)
            self.check(roster)
        except (ConfigError, MalformedMessage) as error:
            raise RosterRefused(str(error)) from None


def _check_operated(roster: Roster) -> None:
    if not any(Role.OPERATOR in each.roles for each in roster.members):
        raise RosterRefused(
            f"roster version {roster.version} has no operator, and nobody could invite, propose "
            "or revoke any more; keep one member with the role operator"
        )


def _signatures(fingerprint: Digest) -> str:
    return f"{_KIND}-signature-{fingerprint}"
