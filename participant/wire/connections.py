"""All of a member's connections to its coordinator, which show one certificate."""

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime

import grpc.aio
from cryptography import x509

from participant.config import CoordinatorAddress
from participant.keys import SiteKeys
from privacy.errors import ConfigError, PeerUnreachable
from privacy.identifiers import sha256_hex
from veilsum.files import read_file

from .addresses import Addresses
from .channel import open_channel
from .rotating import Rotating, Turns
from .tls import SiteCertificate
from .unreachable import explain_unreachable

PROOF_SECONDS = 20.0
"""How long a new certificate may take to prove itself at one of the addresses."""


@dataclass
class Connections:
    """Channels of one member; a newer certificate takes over on all of them together."""

    where: CoordinatorAddress
    certificate: SiteCertificate
    turns: Turns = field(default_factory=Turns)
    _rotating: list[tuple[str, Rotating]] = field(default_factory=list)

    @property
    def addresses(self) -> tuple[str, ...]:
        """Where a coordinator may be."""
        return (self.where.address, *self.where.alternatives)

    def channel(self) -> grpc.aio.Channel:
        """Return one more channel, which shows whatever certificate is the newest."""
        channels = [Rotating(self._open(each, self.certificate)) for each in self.addresses]
        self._rotating += zip(self.addresses, channels, strict=True)
        return channels[0] if len(channels) == 1 else Addresses(channels)

    async def explain(self) -> str:
        """Return why there is no connection to any of the addresses."""
        now, proxy = datetime.now(UTC), self.where.proxy
        reasons = [
            asyncio.to_thread(explain_unreachable, each, self.certificate, now=now, proxy=proxy)
            for each in self.addresses
        ]
        return "; ".join(str(reason) for reason in await asyncio.gather(*reasons))

    async def prove(self, certificate: SiteCertificate) -> None:
        """Return when a coordinator has taken a connection that shows this certificate.

        Raises:
            PeerUnreachable: none has; what is shown until now stays.
        """
        channels = [self._open(each, certificate) for each in self.addresses]
        ready = [asyncio.create_task(each.channel_ready()) for each in channels]
        try:
            # A coordinator's first word comes after it has looked at the certificate.
            done, _ = await asyncio.wait(
                ready, timeout=PROOF_SECONDS, return_when=asyncio.FIRST_COMPLETED
            )
            if not done:
                raise PeerUnreachable("no coordinator takes a connection with the new certificate")
        finally:
            for each in ready:
                each.cancel()
            await asyncio.gather(*ready, return_exceptions=True)
            for channel in channels:
                await channel.close(None)

    def take_over(self, certificate: SiteCertificate) -> None:
        """Show `certificate` from here on; what is under way may end with the one before.

        That has until the end of the certificate before, when a coordinator would cut it.
        """
        _, end = times(self.certificate.certificate_pem)
        seconds = max((end - datetime.now(UTC)).total_seconds(), 0.0)
        self.certificate = certificate
        for address, rotating in self._rotating:
            rotating.take_over(self._open(address, certificate), seconds)
        self.turns.number += 1

    def _open(self, address: str, certificate: SiteCertificate) -> grpc.aio.Channel:
        return open_channel(address, certificate, proxy=self.where.proxy)


def newest(where: CoordinatorAddress, keys: SiteKeys) -> SiteCertificate:
    """Return the newest certificate of a member: the one it was given, or renewed to.

    Raises:
        ConfigError: a file that the configuration names cannot be read.
    """
    authority, given = read_file(where.authority), read_file(where.certificate)
    try:
        times(given)
    except ValueError:
        raise ConfigError(f"{where.certificate} is not a certificate in PEM") from None
    renewed = keys.renewed
    # Who is enrolled again, by another authority perhaps, shows that, and nothing of before.
    if renewed is not None and renewed.given == sha256_hex(given):
        return SiteCertificate(authority, renewed.certificate_pem, renewed.key_pem)
    return SiteCertificate(authority, given, keys.tls_pem)


def times(certificate_pem: bytes) -> tuple[datetime, datetime]:
    """Return when a certificate begins and ends.

    Raises:
        ValueError: it is none.
    """
    certificate = x509.load_pem_x509_certificate(certificate_pem)
    return certificate.not_valid_before_utc, certificate.not_valid_after_utc
