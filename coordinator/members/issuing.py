"""Certificates for members: recorded before they are given out, and none for who is shut out."""

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import floor
from typing import Final, Protocol

import structlog

from coordinator.ports import Issued, Store
from privacy.enrolment import CLOCKS_APART_SECONDS, RENEWABLE_SECONDS, Renewal
from privacy.errors import CertificateEnded, CertificateRevoked, InvitationRefused, NotYet
from privacy.failpoints import Step, pass_by
from privacy.identifiers import sha256_hex

from .revocations import Revocations

log = structlog.get_logger()

_ELSEWHERE: Final = (
    "this coordinator certifies nobody; its operator certifies members, or adds the table enrolment"
)

_AGAIN: Final = (
    "an operator invites it again; for an operator itself, who runs the coordinator certifies it "
    "with `veilsum coordinator recertify`"
)

BACKDATE_SECONDS: Final = 15 * 60
"""How far before it is issued a certificate begins, for peers whose clocks are behind."""

_REMEMBERED: Final = 2 * CLOCKS_APART_SECONDS
"""Seconds in which a request can come twice: the same answer then, and nothing new."""

_MOST_REMEMBERED: Final = 4096


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
        """SHA-256 of the certificate of the authority that issues."""
        ...

    @property
    def certificate_pem(self) -> bytes:
        """The certificate of the authority that issues, which members trust."""
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
    def certificate_pem(self) -> bytes:
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
    _answered: OrderedDict[str, tuple[float, str]] = field(init=False, default_factory=OrderedDict)
    _to_ended: dict[str, set[str]] = field(init=False, default_factory=dict)

    def first(self, participant: str, request: str) -> tuple[Certificate, Issued]:
        """Return a certificate that an operator has approved; the caller records it.

        It counts although the member was shut out before: it begins after that.

        Raises:
            InvitationRefused: the member is shut out until a time that is to come.
        """
        return self._make(participant, request)

    def renew(self, renewal: Renewal, proof: bytes, key: bytes, begins_at: float) -> str:
        """Return a new certificate, in PEM, for who calls with one and proves itself besides.

        Whoever has copied a certificate with its key, and not the key that signs, is let in to
        the certificate's end, and no longer.

        Args:
            key: the member's, by which it is known.
            begins_at: when the certificate began that it calls with.

        Raises:
            InvalidSignature: it does not prove itself, or did so at another time.
            CertificateRevoked: it was shut out by now.
            MalformedMessage, WrongIdentity: the request is not one, or for another name.
        """
        me = renewal.participant
        renewal.check(key, proof, self.now())
        self.authority.check(renewal.request.encode(), me)
        with self.lock:
            self.revocations.check(me, begins_at)
            self._warn_of_older(me, begins_at)
            return self._answer(renewal, lambda: self._renewed(me, renewal.request))

    def renew_ended(self, renewal: Renewal, proof: bytes, key: bytes) -> str:
        """Return a new certificate, in PEM, for who proves itself by its signing key.

        Args:
            key: the member's, by which it is known.

        Raises:
            InvalidSignature: it does not, or did so at another time.
            MalformedMessage, WrongIdentity: the request is not one, or for another name.
            CertificateEnded: its last one ended too long ago, or none was issued here.
            CertificateRevoked: it is shut out.
            NotYet: its last one has not ended; it renews with that.
        """
        me, now = renewal.participant, self.now()
        renewal.check(key, proof, now)
        self.authority.check(renewal.request.encode(), me)
        with self.lock:
            self._check_renewable(me, now)
            return self._answer(renewal, lambda: self._renewed_to_ended(renewal, now))

    def ends(self) -> dict[str, float]:
        """Return until when each member is certified by what was issued here."""
        return {each.participant: each.ends_at for each in self.store.certificates()}

    def _check_renewable(self, participant: str, now: float) -> None:
        issued = self.store.certificates(participant)
        if not issued:
            raise CertificateEnded(
                f"{participant}: no certificate of it is recorded here; {_AGAIN}"
            )
        if issued[-1].ends_at + RENEWABLE_SECONDS < now:
            raise CertificateEnded(
                f"{participant}: its last certificate ended more than "
                f"{RENEWABLE_SECONDS // 86_400} days ago; {_AGAIN}"
            )
        revoked = self.revocations.of(participant)
        if revoked is not None and issued[-1].issued_at <= revoked.at:
            raise CertificateRevoked(
                f"{participant}: shut out by {revoked.by}: {revoked.reason}; the operator invites "
                "it again, or does not"
            )

    def _check_ended(self, participant: str, now: float) -> None:
        # Another answer to who had none keeps nobody out: that one was perhaps cut off.
        answers = self._to_ended.get(participant, set())
        before = [e for e in self.store.certificates(participant) if e.serial not in answers]
        if before and before[-1].ends_at > now + CLOCKS_APART_SECONDS:
            raise NotYet(
                f"{participant}: its last certificate has not ended, and it renews by that one; if "
                "that is lost, the operator revokes it and invites the member again"
            )

    def _renewed_to_ended(self, renewal: Renewal, now: float) -> str:
        self._check_ended(renewal.participant, now)
        me = renewal.participant
        made = self._made(me, renewal.request)
        alive = {each.serial for each in self.store.certificates(me) if each.ends_at > now}
        self._to_ended[me] = (self._to_ended.get(me, set()) & alive) | {made.serial}
        return made.pem

    def _answer(self, renewal: Renewal, renew: Callable[[], str]) -> str:
        """Return what the same request was answered with, or what `renew` returns."""
        now, name = self.now(), sha256_hex(renewal.body())
        for old in [old for old, (at, _) in self._answered.items() if at <= now - _REMEMBERED]:
            del self._answered[old]
        if name not in self._answered:
            self._answered[name] = (now, renew())
        if len(self._answered) > _MOST_REMEMBERED:
            self._answered.popitem(last=False)
        return self._answered[name][1]

    def _warn_of_older(self, participant: str, begins_at: float) -> None:
        issued = self.store.certificates(participant)
        newest = issued[-1].issued_at - BACKDATE_SECONDS if issued else begins_at
        if begins_at < floor(newest):
            # An answer that was cut off, or a copy of the certificate, beside its member.
            log.warning("renewed_by_an_older_certificate", participant=participant)

    def _renewed(self, participant: str, request: str) -> str:
        return self._made(participant, request).pem

    def _made(self, participant: str, request: str) -> Certificate:
        made, issued = self._make(participant, request)
        self.step("issuing.before_record")
        self.store.record_certificate(issued)
        self.step("issuing.after_record")
        log.info("certificate_issued", participant=participant, serial=issued.serial)
        return made

    def _make(self, participant: str, request: str) -> tuple[Certificate, Issued]:
        revoked, now = self.revocations.of(participant), self.now()
        begins = None
        if revoked is not None and revoked.at >= now - BACKDATE_SECONDS:
            # Whatever began before is shut out; certificates count whole seconds.
            begins = float(floor(revoked.at) + 1)
            if begins > now + CLOCKS_APART_SECONDS:
                when = datetime.fromtimestamp(begins, UTC)
                raise InvitationRefused(
                    f"{participant} is shut out until {when:%Y-%m-%d %H:%M}Z, which is to come: "
                    "this coordinator's clock was ahead when it was; set the clock right, and "
                    "invite the member under another name, or wait until then"
                )
            now = max(now, begins)
        made = self.authority.certify(request.encode(), participant, now, self.life_seconds, begins)
        return made, Issued(made.serial, participant, made.key, now, made.ends_at)
