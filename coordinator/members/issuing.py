"""Certificates for members: recorded before they are given out, and none for who is shut out."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from math import floor
from typing import Final, Protocol

import structlog

from coordinator.ports import Issued, Store
from privacy.enrolment import RENEWABLE_SECONDS, Renewal
from privacy.errors import CertificateEnded, CertificateRevoked, NotYet
from privacy.failpoints import Step, pass_by

from .revocations import Revocations

log = structlog.get_logger()

_ELSEWHERE: Final = (
    "this coordinator certifies nobody; its operator certifies members, or adds the table enrolment"
)

BACKDATE_SECONDS: Final = 15 * 60
"""How far before it is issued a certificate begins, for peers whose clocks are behind."""


@dataclass(frozen=True)
class Certificate:
    """A certificate with what leads to the root, in PEM; serial and digest of its key in hex."""

    pem: str
    serial: str
    key: str
    ends_at: float


class Certifies(Protocol):
    """The authority, as it is asked here.

    All of it raises NotYet where the authority is not the coordinator's.
    """

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the root's certificate."""
        ...

    @property
    def root_pem(self) -> bytes:
        """The root, which members trust."""
        ...

    def check(self, request_pem: bytes, participant: str, /) -> str:
        """Return the digest of the key that a certificate is requested for, if it may be.

        Raises:
            MalformedMessage: not a request, not for a P-256 key, or not signed by that key.
            WrongIdentity: it asks for another name.
        """
        ...

    def certify(
        self, request_pem: bytes, participant: str, now: float, life: float, begins: float | None, /
    ) -> Certificate:
        """Return a certificate for the key of a request that `check` has let through.

        Args:
            begins: its beginning, if not somewhat before `now`.
        """
        ...


class NoAuthority:
    """Stands where the authority is not the coordinator's: it certifies nobody."""

    @property
    def fingerprint(self) -> str:
        """Raise, as every method does."""
        raise NotYet(_ELSEWHERE)

    @property
    def root_pem(self) -> bytes:
        """Raise, as every method does."""
        raise NotYet(_ELSEWHERE)

    def check(self, _request_pem: bytes, _participant: str, /) -> str:
        """Raise, as every method does."""
        raise NotYet(_ELSEWHERE)

    def certify(self, *_: object) -> Certificate:
        """Raise, as every method does."""
        raise NotYet(_ELSEWHERE)


@dataclass
class Issuing:
    """Makes members' certificates.

    One at a time: whoever is shut out while a renewal is under way has no new certificate after.
    """

    authority: Certifies
    store: Store
    revocations: Revocations
    life_seconds: float
    now: Callable[[], float]
    step: Step = pass_by
    lock: threading.RLock = field(default_factory=threading.RLock)

    def first(self, participant: str, request: str) -> tuple[Certificate, Issued]:
        """Return a certificate that an operator has approved; the caller records it.

        It counts although the member was shut out before: it begins after that.
        """
        return self._make(participant, request)

    def renew(self, participant: str, request: str, begins_at: float) -> str:
        """Return a new certificate, in PEM, for who calls with one that began at `begins_at`.

        Raises:
            CertificateRevoked: it was shut out by now.
            MalformedMessage, WrongIdentity: the request is not one, or for another name.
        """
        self.authority.check(request.encode(), participant)
        with self.lock:
            self.revocations.check(participant, begins_at)
            return self._renewed(participant, request)

    def renew_ended(self, renewal: Renewal, proof: bytes, key: bytes) -> str:
        """Return a new certificate, in PEM, for who proves itself by its signing key.

        Args:
            key: the member's, by which it is known.

        Raises:
            InvalidSignature: it does not, or did so at another time.
            MalformedMessage, WrongIdentity: the request is not one, or for another name.
            CertificateEnded: its last one ended too long ago, or none was issued here.
            CertificateRevoked: it is shut out.
        """
        me, now = renewal.participant, self.now()
        renewal.check(key, proof, now)
        self.authority.check(renewal.request.encode(), me)
        with self.lock:
            self._check_renewable(me, now)
            return self._renewed(me, renewal.request)

    def ends(self) -> dict[str, float]:
        """Return until when each member is certified by what was issued here."""
        return {each.participant: each.ends_at for each in self.store.certificates()}

    def _check_renewable(self, participant: str, now: float) -> None:
        issued = self.store.certificates(participant)
        if not issued or issued[-1].ends_at + RENEWABLE_SECONDS < now:
            raise CertificateEnded(
                f"{participant}: its last certificate ended more than "
                f"{RENEWABLE_SECONDS // 86_400} days ago; the operator invites it again"
            )
        revoked = self.revocations.of(participant)
        if revoked is not None and issued[-1].issued_at <= revoked.at:
            raise CertificateRevoked(
                f"{participant}: shut out by {revoked.by}: {revoked.reason}; the operator invites "
                "it again, or does not"
            )

    def _renewed(self, participant: str, request: str) -> str:
        made, issued = self._make(participant, request)
        self.step("issuing.before_record")
        self.store.record_certificate(issued)
        self.step("issuing.after_record")
        log.info("certificate_issued", participant=participant, serial=issued.serial)
        return made.pem

    def _make(self, participant: str, request: str) -> tuple[Certificate, Issued]:
        revoked, now = self.revocations.of(participant), self.now()
        begins = None
        if revoked is not None and revoked.at >= now - BACKDATE_SECONDS:
            # Whatever began before is shut out; certificates count whole seconds.
            begins = float(floor(revoked.at) + 1)
            now = max(now, begins)
        made = self.authority.certify(request.encode(), participant, now, self.life_seconds, begins)
        return made, Issued(made.serial, participant, made.key, now, made.ends_at)
