"""The roster's versions: kept by the coordinator, admitted by members."""

import threading
from dataclasses import dataclass
from typing import Protocol

from coordinator.ports import Store
from privacy import canonical
from privacy.errors import (
    ConfigError,
    ConflictingContribution,
    MalformedMessage,
    NotYet,
    RosterRefused,
)
from privacy.identifiers import Digest
from privacy.roster import (
    Member,
    Roster,
    SignedRoster,
    admit,
    check_succession,
    decode_roster,
    is_founded,
)
from privacy.signing import Purpose, verify

_KIND = "roster"


class Growing(Protocol):
    """A draft that grows with each member that the operator approves, until it is closed."""

    def draft(self) -> Roster:
        """Return version 0 as it would be closed now."""
        ...


@dataclass
class Rosters:
    """Every version of one federation's roster, with the signatures it has.

    Version 0 is the operator's draft, a file or one that grows; it is nothing until each
    founding member has signed it. The coordinator has no signature to give.
    """

    store: Store
    source: Roster | Growing

    def __post_init__(self) -> None:
        self._current: Roster | None = None
        self._named: dict[Digest, Roster] = {}
        self._lock = threading.Lock()
        if isinstance(self.source, Roster):
            self.close(self.source)

    @property
    def draft(self) -> Roster:
        """Version 0: closed, or as it has grown."""
        if isinstance(self.source, Roster):
            return self.source
        known = self.versions()
        return known[0].roster if known else self.source.draft()

    def is_closed(self) -> bool:
        """Return whether version 0 is one that members may compare and sign."""
        return bool(self.versions())

    def close(self, draft: Roster) -> None:
        """Make `draft` version 0, unless it is opened again; once more changes nothing.

        Raises:
            ConfigError: another one is.
        """
        try:
            self.store.put_document(_KIND, "0", canonical.encode(draft))
        except ConflictingContribution:
            raise ConfigError(
                "roster: not the one that this database was founded with; put that file back"
            ) from None

    def reopen(self, fingerprint: Digest) -> bool:
        """Open version 0 again, with no signature on it; return False if it is open.

        Raises:
            RosterRefused: it has all signatures and counts, has another fingerprint, or is the
                operator's file.
        """
        with self._lock:
            known = self.versions()
            if not known:
                return False
            self._check_reopens(known[0], fingerprint)
            kinds = (_signatures(fingerprint), f"{_KIND}-signature-0")
            signed = [(kind, name) for kind in kinds for name, _ in self.store.documents(kind)]
            # In one transaction: a signature that stayed would stand on what nobody has closed.
            self.store.forget_documents([(_KIND, "0"), *signed])
            self._named = {}
            return True

    def _check_reopens(self, founding: SignedRoster, fingerprint: Digest) -> None:
        if founding.roster.digest() != fingerprint:
            raise RosterRefused(
                f"version 0 that is closed has another fingerprint, {founding.roster.digest()}; "
                "look at it before it is opened again"
            )
        if isinstance(self.source, Roster):
            raise RosterRefused(
                "version 0 is a file of the operator's, the setting roster; it was not closed here"
            )
        if self.is_founded():
            raise RosterRefused(
                "version 0 has the signatures of all its members and counts; change it by "
                "`veilsum coordinator propose`, which its trainers admit"
            )

    def add(self, after: SignedRoster) -> Roster:
        """Keep the next version, which its trainers have admitted, and return it.

        All of it is kept, or nothing: no signature stays behind on a version that did not count.

        Raises:
            WrongContext, InvalidSignature: as for `admit_all`.
        """
        with self._lock:
            check_succession(self.current(), after)
            number = after.roster.version
            signed = _signatures(after.roster.digest())
            kept = [(signed, name, each) for name, each in sorted(after.signatures.items())]
            self.store.put_documents([*kept, (_KIND, str(number), canonical.encode(after.roster))])
            self._current = after.roster
            return after.roster

    def versions(self) -> list[SignedRoster]:
        """Return every version, oldest first."""
        return versions_in(self.store)

    def sign(self, participant: str, version: int, signature: bytes) -> None:
        """Take a member's signature on a version.

        Raises:
            WrongIdentity: the version has no such member.
            InvalidSignature: its key has not made it.
            MalformedMessage: there is no such version.
        """
        with self._lock:  # what is signed is not opened again meanwhile
            known = self.versions()
            if not 0 <= version < len(known):
                raise MalformedMessage(f"there is no roster version {version}")
            roster = known[version].roster
            member = _entry(roster, known, version, participant)
            verify(member.signing_key, Purpose.ROSTER, canonical.encode(roster), signature)
            self.store.put_document(_signatures(roster.digest()), participant, signature)

    def is_founded(self) -> bool:
        """Return whether there is a roster that counts."""
        if self._current is not None:
            return True
        known = self.versions()
        return bool(known) and is_founded(known[0])

    def is_in_memory(self) -> bool:
        """Return whether `current` waits for nothing: its answer was found before."""
        return self._current is not None

    def current(self) -> Roster:
        """Return the newest roster that members have admitted.

        Raises:
            NotYet: the founding members have not all signed.
        """
        if self._current is None:
            history = self.versions()
            if not history:
                raise NotYet("the operator has not closed version 0 of the roster yet")
            if not is_founded(history[0]):
                missing = ", ".join(_missing(history[0]))
                raise NotYet(f"the roster is not signed yet by its founding members {missing}")
            self._current = admit(history, history[0].roster.digest())
        return self._current

    def under(self, named: Digest) -> Roster:
        """Return the version that a plan, or a key record, names; the newest, if it names none.

        A round ends under the version that it began under, whatever members admit meanwhile.

        Raises:
            NotYet: as for `current`.
        """
        if named not in self._named:
            self._named = {each.roster.digest(): each.roster for each in self.versions()}
        return self._named.get(named) or self.current()

    def missing_founders(self) -> tuple[str, ...]:
        """Return the founding members that have not signed, in order; none once all have."""
        known = [] if self._current is not None else self.versions()
        return _missing(known[0]) if known else ()


def versions_in(store: Store) -> list[SignedRoster]:
    """Return every version of the roster that `store` keeps, oldest first, unchecked."""
    bodies = sorted(store.documents(_KIND), key=lambda each: int(each[0]))
    return [_version_in(store, body) for _, body in bodies]


def _version_in(store: Store, body: bytes) -> SignedRoster:
    roster = decode_roster(body)
    signed = dict(store.documents(_signatures(roster.digest())))
    if not (signed and roster.version):  # a later version was signed whole, by one release
        signed = {**dict(store.documents(f"{_KIND}-signature-{roster.version}")), **signed}
    return SignedRoster(roster, signed)


def removed_after(store: Store) -> dict[str, int]:
    """Return the last version of each member whom a later one, that members admitted, lacks."""
    last: dict[str, int] = {}
    newest = 0
    for version, body in store.documents(_KIND):
        newest = max(newest, int(version))
        for member in decode_roster(body).members:
            last[member.participant] = max(last.get(member.participant, 0), int(version))
    return {name: version for name, version in last.items() if version < newest}


def _missing(founding: SignedRoster) -> tuple[str, ...]:
    members = {member.participant for member in founding.roster.members}
    return tuple(sorted(members - set(founding.signatures)))


def _signatures(fingerprint: Digest) -> str:
    return f"{_KIND}-signature-{fingerprint}"


def _entry(roster: Roster, known: list[SignedRoster], version: int, participant: str) -> Member:
    # A later version is admitted by those who were members before it.
    return (known[version - 1].roster if version else roster).member(participant)
