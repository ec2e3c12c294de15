"""The roster's versions: kept by the coordinator, admitted by members."""

from dataclasses import dataclass

from coordinator.ports import Store
from privacy import canonical
from privacy.errors import ConfigError, ConflictingContribution, MalformedMessage, NotYet
from privacy.roster import Member, Roster, SignedRoster, admit, decode_roster, is_founded
from privacy.signing import Purpose, verify

_KIND = "roster"


@dataclass
class Rosters:
    """Every version of one federation's roster, with the signatures it has.

    Version 0 is the operator's draft; it is nothing until each founding member
    has signed it. The coordinator has no signature to give.
    """

    store: Store
    draft: Roster

    def __post_init__(self) -> None:
        try:
            self.store.put_document(_KIND, "0", canonical.encode(self.draft))
        except ConflictingContribution:
            raise ConfigError(
                "roster: not the one that this database was founded with; put that file back"
            ) from None
        self._current: Roster | None = None

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
        known = self.versions()
        if not 0 <= version < len(known):
            raise MalformedMessage(f"there is no roster version {version}")
        roster = known[version].roster
        member = _entry(roster, known, version, participant)
        verify(member.signing_key, Purpose.ROSTER, canonical.encode(roster), signature)
        self.store.put_document(_signatures(version), participant, signature)

    def is_founded(self) -> bool:
        """Return whether there is a roster that counts."""
        return self._current is not None or is_founded(self.versions()[0])

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
            if not is_founded(history[0]):
                missing = ", ".join(_missing(history[0]))
                raise NotYet(f"the roster is not signed yet by its founding members {missing}")
            self._current = admit(history, history[0].roster.digest())
        return self._current

    def missing_founders(self) -> tuple[str, ...]:
        """Return the founding members that have not signed, in order; none once all have."""
        return () if self._current is not None else _missing(self.versions()[0])


def versions_in(store: Store) -> list[SignedRoster]:
    """Return every version of the roster that `store` keeps, oldest first, unchecked."""
    bodies = sorted(store.documents(_KIND), key=lambda each: int(each[0]))
    return [
        SignedRoster(decode_roster(body), dict(store.documents(_signatures(int(version)))))
        for version, body in bodies
    ]


def _missing(founding: SignedRoster) -> tuple[str, ...]:
    members = {member.participant for member in founding.roster.members}
    return tuple(sorted(members - set(founding.signatures)))


def _signatures(version: int) -> str:
    return f"{_KIND}-signature-{version}"


def _entry(roster: Roster, known: list[SignedRoster], version: int, participant: str) -> Member:
    # A later version is admitted by those who were members before it.
    return (known[version - 1].roster if version else roster).member(participant)
