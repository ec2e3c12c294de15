"""TLS at a site: the certificate it shows, and the authority by which it knows the coordinator."""

from dataclasses import dataclass, field

import grpc

from participant import GRPC_CAME_FIRST
from privacy.anchor import check_anchor
from privacy.errors import ConfigError


@dataclass(frozen=True)
class SiteCertificate:
    """What a site needs to connect, all in PEM; the key does not print."""

    authority_pem: bytes
    certificate_pem: bytes
    key_pem: bytes = field(repr=False)


def channel_credentials(site: SiteCertificate) -> grpc.ChannelCredentials:
    """Return credentials that show `site` and accept only what its authority itself certified.

    Raises:
        ConfigError: grpc was imported before this package, so it would accept TLS 1.2; or the
            authority can make others, which could then name a coordinator too.
    """
    _check_tls()
    check_anchor(site.authority_pem, "coordinator.authority")
    return grpc.ssl_channel_credentials(site.authority_pem, site.key_pem, site.certificate_pem)


def joining_credentials(authority_pem: bytes) -> grpc.ChannelCredentials:
    """Return credentials that show nothing, and accept only what the authority certified.

    Raises:
        ConfigError: grpc was imported before this package, so it would accept TLS 1.2.
    """
    _check_tls()
    return grpc.ssl_channel_credentials(authority_pem)


def _check_tls() -> None:
    if GRPC_CAME_FIRST:
        raise ConfigError("grpc was imported before participant and would accept TLS 1.2")
