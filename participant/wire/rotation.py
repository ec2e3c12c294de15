"""Rotation: a member's certificate is renewed at half of its life, by a process that goes on.

Each certificate has a TLS key of its own, made here. It is kept after a coordinator has taken a
connection with it, and shown after it is kept: whenever this process is killed, the pair on disk
works. The signing key never changes by this; with it, who was away for longer than its
certificate lived asks again, for seven days.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

import structlog
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import Encoding

from participant.config import CoordinatorAddress
from participant.keys import Renewed, SiteKeys, keep_renewed, new_tls_key, pem_of, request_for
from privacy.enrolment import Renewal, authority_fingerprint
from privacy.errors import MalformedMessage, PeerUnreachable, VeilsumError
from privacy.failpoints import Step, pass_by
from privacy.identifiers import participant_uri, sha256_hex
from privacy.sealing import Entropy
from privacy.signing import Purpose, sign
from veilsum.files import read_file

from .connections import Connections, times
from .coordinator import Coordinator
from .desk import renew_ended
from .tls import SiteCertificate

log = structlog.get_logger()

HALF: Final = 0.5
JITTER: Final = 0.1
"""Of the half: members that began together do not all ask at once for ever."""

LONGEST_NAP_SECONDS: Final = 60.0
"""A machine that was asleep, or whose clock was set, finds out within this."""

SHORTEST_RETRY_SECONDS: Final = 1.0
LONGEST_RETRY_SECONDS: Final = 300.0
RETRIES: Final = 40
"""How often in a certificate's life a renewal is tried, if none succeeds."""


class MemberConfig(Protocol):
    """What a renewal needs of a site's settings, an auditor's, or a seat's."""

    @property
    def federation(self) -> str:
        """Name of the federation."""

    @property
    def participant(self) -> str:
        """The member's own name."""

    @property
    def state(self) -> Path:
        """The folder that has the keys' folder in it."""

    @property
    def coordinator(self) -> CoordinatorAddress:
        """Where the coordinator is."""


@dataclass
class Rotation:
    """Renews one member's certificate, for as long as it runs.

    Raises:
        ConfigError: the certificate that the member was given cannot be read.
    """

    config: MemberConfig
    keys: SiteKeys = field(repr=False)
    connections: Connections
    coordinator: Coordinator
    entropy: Entropy
    step: Step = pass_by
    clock: Callable[[], float] = time.time

    def __post_init__(self) -> None:
        self._given = sha256_hex(read_file(self.config.coordinator.certificate))
        self._reason = ""

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Renew while the block runs, and end with it.

        A renewal that fails ends nothing: it is logged, and tried again.
        """
        task = asyncio.create_task(self.run())
        task.add_done_callback(_say_ended)
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def run(self) -> None:
        """Renew at half of each certificate's life, for ever."""
        begin, end = self._times()
        while True:
            await self._sleep_until(begin + (end - begin) * self._share())
            await self._renew_at_last()
            # It is as old as this: its own beginning lies before the clocks that are behind.
            begin, end = self.clock(), self._times()[1]

    async def renew(self) -> None:
        """Renew once: ask, prove the answer at a coordinator, keep it, show it.

        Raises:
            VeilsumError: whatever kept it from being renewed; the one before stays.
        """
        key = new_tls_key()
        request = request_for(key, self.config.federation, self.config.participant)
        chain = await self._ask(request)
        uri = participant_uri(self.config.federation, self.config.participant)
        _check(chain, key, uri)
        renewed = Renewed(self._given, chain, pem_of(key))
        authority = self.connections.certificate.authority_pem
        certificate = SiteCertificate(authority, chain, renewed.key_pem)
        await self.connections.prove(certificate)
        await asyncio.to_thread(keep_renewed, self.config.state / "keys", renewed, self.step)
        self.connections.take_over(certificate)

    # -- when ------------------------------------------------------------------------

    def _times(self) -> tuple[float, float]:
        begin, end = times(self.connections.certificate.certificate_pem)
        return begin.timestamp(), end.timestamp()

    def _share(self) -> float:
        chance = int.from_bytes(self.entropy(4), "big") / 2**32
        return HALF * (1 - JITTER + 2 * JITTER * chance)

    async def _sleep_until(self, due: float) -> None:
        while (left := due - self.clock()) > 0:
            await asyncio.sleep(min(left, LONGEST_NAP_SECONDS))

    async def _renew_at_last(self) -> None:
        begin, end = self._times()
        pause = (end - begin) / RETRIES
        while True:
            try:
                await self.renew()
            except VeilsumError as error:
                self._say(error, end)
                await asyncio.sleep(min(max(pause, SHORTEST_RETRY_SECONDS), LONGEST_RETRY_SECONDS))
            else:
                self._reason = ""
                until = times(self.connections.certificate.certificate_pem)[1].isoformat()
                log.info("certificate_renewed", until=until)
                return

    def _say(self, error: VeilsumError, end: float) -> None:
        ended = self.clock() >= end
        reason = f"{error} {ended}"
        if reason != self._reason:
            say = log.error if ended else log.warning
            fields = {"code": error.code, "reason": str(error), "who_acts": error.who_acts}
            say("certificate_not_renewed", ended=ended, **fields)
        self._reason = reason

    # -- whom ------------------------------------------------------------------------

    async def _ask(self, request: bytes) -> bytes:
        authority = self.connections.certificate.authority_pem
        renewal = self._renewal(authority, request)
        # A certificate alone renews nothing: whoever copied it has not copied what signs.
        proof = sign(self.keys.signing, Purpose.RENEW, renewal.body())
        if self.clock() < self._times()[1]:
            return await self.coordinator.renew_certificate(renewal, proof)
        return await self._ask_without(authority, renewal, proof)

    async def _ask_without(self, authority: bytes, renewal: Renewal, proof: bytes) -> bytes:
        """Return a certificate for a member whose own has ended.

        Raises:
            PeerUnreachable: nobody answers there, or this site does not know where.
        """
        where = self.config.coordinator
        if where.joining is None:
            raise PeerUnreachable(
                "this member's certificate has ended, and coordinator.joining does not say where"
                " it is renewed; set it, or ask the coordinator's operator for another one"
            )
        return await renew_ended(where.joining, authority, renewal, proof, where.proxy)

    def _renewal(self, authority_pem: bytes, request: bytes) -> Renewal:
        root = x509.load_pem_x509_certificate(authority_pem)
        fingerprint = authority_fingerprint(root.public_bytes(Encoding.DER))
        text, now = request.decode("ascii"), int(self.clock())
        return Renewal(fingerprint, self.config.participant, text, now)


def _say_ended(task: "asyncio.Task[None]") -> None:
    # Only a mistake of ours ends it; at its block's end, a certificate later, nobody would look.
    if not task.cancelled() and (error := task.exception()):
        log.error("renewals_ended", error=type(error).__name__, action="start this process again")


def _check(chain: bytes, key: EllipticCurvePrivateKey, uri: str) -> None:
    """Return if what came is a certificate of this key and this name.

    Raises:
        MalformedMessage: it is not.
    """
    try:
        certificate = x509.load_pem_x509_certificate(chain)
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (ValueError, x509.ExtensionNotFound):
        raise MalformedMessage("the coordinator sent no certificate to renew to") from None
    if certificate.public_key() != key.public_key():
        raise MalformedMessage("the coordinator sent a certificate for another key")
    if list(names) != [x509.UniformResourceIdentifier(uri)]:
        raise MalformedMessage(f"the coordinator sent a certificate that does not name {uri}")
