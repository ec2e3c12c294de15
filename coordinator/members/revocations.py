"""Who is shut out: kept by the store, known in memory, asked before each message."""

from collections.abc import Callable
from dataclasses import dataclass, field

from coordinator.ports import Revocation, Store
from privacy.errors import CertificateRevoked


@dataclass
class Revocations:
    """Every revocation there is; one holds from the moment that it is durable.

    It shuts out each certificate that begins before it, whoever has it and whatever its end.
    Nothing takes it back: a certificate that begins later is another enrolment's.
    """

    store: Store
    now: Callable[[], float]
    _newest: dict[str, Revocation] = field(init=False, default_factory=dict)
    _told: list[Callable[[], None]] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        for each in self.store.revocations():
            self._know(each)

    def revoke(self, participant: str, reason: str, by: str) -> Revocation:
        """Shut a member out, durably, and return how.

        Raises:
            StoreUnavailable: it could not be kept, so it does not hold; try again.
        """
        # A clock that was set back in between would let the newest certificates through.
        issued = (each.issued_at for each in self.store.certificates(participant))
        revocation = Revocation(participant, reason, by, max(self.now(), *issued, 0.0))
        self.store.put_revocation(revocation)
        self._know(revocation)
        for tell in self._told:
            tell()
        return revocation

    def of(self, participant: str) -> Revocation | None:
        """Return the newest revocation of a member, or None if it never was shut out."""
        return self._newest.get(participant)

    def check(self, participant: str, begins_at: float) -> None:
        """Return if a certificate of a member counts, which begins then.

        Args:
            begins_at: seconds since 1970, as the certificate has it. One that is issued after a
                revocation must begin after it, too.

        Raises:
            CertificateRevoked: the member was shut out since.
        """
        found = self._newest.get(participant)
        if found is not None and begins_at <= found.at:
            raise CertificateRevoked(
                f"{participant}: {found.by} has shut out this member's certificates: {found.reason}"
            )

    def on_change(self, tell: Callable[[], None]) -> None:
        """Have `tell` called, on whatever thread, each time that somebody was shut out."""
        self._told.append(tell)

    def _know(self, revocation: Revocation) -> None:
        known = self._newest.get(revocation.participant)
        if known is None or known.at < revocation.at:
            self._newest[revocation.participant] = revocation
