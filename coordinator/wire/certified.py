"""Whom a connection's certificate names, and from when to when it may be used.

Both are read of the certificate that TLS has verified, and of nothing that is sent.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from cryptography import x509

from privacy.errors import WrongIdentity
from privacy.identifiers import PeerIdentity, parse_uri

from .tls import Context

MOST_KNOWN = 4096
"""Certificates that need not be read again: two for each of as many members as a roster holds."""


@dataclass(frozen=True, slots=True)
class Certified:
    """A caller by its certificate, with its times in seconds since 1970."""

    peer: PeerIdentity
    begins_at: float
    ends_at: float


def certified(context: Context) -> Certified:
    """Return whom the certificate of the calling peer names, and its times.

    Raises:
        WrongIdentity: it has none, or one that does not name exactly one peer.
    """
    properties: Mapping[str, Any] = context.auth_context()
    uris, found = (list(properties.get(name, ())) for name in ("peer_uri", "x509_pem_cert"))
    if len(uris) != 1 or len(found) != 1:
        raise WrongIdentity(
            f"the peer has {len(found)} certificates with {len(uris)} URIs, not exactly one of each"
        )
    return _read(found[0], uris[0])


@lru_cache(MOST_KNOWN)
def _read(certificate_pem: bytes, uri: bytes) -> Certified:
    peer = parse_uri(uri.decode("utf-8", "replace"))
    try:
        read = x509.load_pem_x509_certificate(certificate_pem)
    except ValueError:
        raise WrongIdentity(
            f"{peer.uri}: a certificate that TLS takes and we cannot read"
        ) from None
    begins_at, ends_at = read.not_valid_before_utc, read.not_valid_after_utc
    return Certified(peer, begins_at.timestamp(), ends_at.timestamp())
