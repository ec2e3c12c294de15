"""What a connection may be anchored in: an authority below which there is no other.

Who trusts the root of an organisation trusts all that is below it: whoever certifies its laptops
could then name members, and a coordinator. So both sides trust the certificate of the authority
that issues, and nothing above it; the TLS of both sides takes such a chain, which ends before its
root.
"""

from cryptography import x509

from .errors import ConfigError


def check_anchor(pem: bytes, name: str) -> None:
    """Return if every certificate in `pem`, called `name`, vouches for none but what it issues.

    Raises:
        ConfigError: there is none, or one that can make further authorities.

    Source: RFC 5280, section 4.2.1.9 (path length).
    """
    try:
        found = x509.load_pem_x509_certificates(pem)
    except ValueError:
        raise ConfigError(f"{name} holds no certificate in PEM") from None
    for each in found:
        if not is_last(each):
            raise ConfigError(
                f"{name}: {each.subject.rfc4514_string()[:200]!r} can make further authorities, and"
                " each of them could speak for this federation; put the certificate of the one that"
                " issues there, of path length 0, and not that of its root"
            )


def is_last(certificate: x509.Certificate) -> bool:
    """Return whether no authority below this one counts."""
    try:
        basic = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    except (x509.ExtensionNotFound, ValueError):
        return False
    return basic.value.ca and basic.critical and basic.value.path_length == 0
