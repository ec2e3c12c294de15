"""The one link by which a member joins: where to ask, by what right, and whom to believe.

    veilsum://HOST:PORT/#v1.<token>.<SHA-256 of the authority's certificate>.<participant>

Token and fingerprint are 32 bytes each, base64url without padding. What stands behind `#` is
what a browser would never send anywhere; the token is a secret until it has been used.
"""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass, field
from typing import Final

from privacy.errors import ConfigError, MalformedMessage
from privacy.identifiers import COORDINATOR, check_name

_B64: Final = r"[A-Za-z0-9_-]{43}"
_FORM: Final = re.compile(
    r"veilsum://(?P<address>(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5})/?"
    rf"#v1\.(?P<token>{_B64})\.(?P<authority>{_B64})\.(?P<participant>[^.]+)\Z"
)
_SIZE: Final = 32
_LONGEST: Final = 1000
_AROUND: Final = "<>()[]'\"`\u2018\u2019\u201c\u201d\u200b\ufeff,;."


@dataclass(frozen=True, slots=True)
class Link:
    """What an operator gives to one member, and to nobody else.

    Attributes:
        address: host:port, where those answer who have no certificate yet.
        token: 32 bytes; whoever has it can ask to be enrolled, once.
        authority: SHA-256 of the certificate of the authority that issues, DER: 32 bytes.
        participant: the name under which this member is invited.
    """

    address: str
    token: bytes = field(repr=False)
    authority: bytes
    participant: str

    def text(self) -> str:
        """Return the link as it is handed over."""
        secret, pin = _text(self.token), _text(self.authority)
        return f"veilsum://{self.address}/#v1.{secret}.{pin}.{self.participant}"


def parse(text: str) -> Link:
    """Return what a link says.

    Mail wraps a link, and puts signs around it: none of them is in a link, and none is read.

    Raises:
        ConfigError: it is not whole, or not a link; the operator gives it again.
    """
    is_long, text = len(text) > _LONGEST, "".join(text.split()).strip(_AROUND)
    found = None if is_long else _FORM.match(text)
    if found is None:
        raise ConfigError(_why(text))
    host_port, name = found["address"], found["participant"]
    if not 1 <= int(host_port.rpartition(":")[2]) <= 65535:
        raise ConfigError(f"the link's address is {host_port}, and no port is larger than 65535")
    return Link(host_port, _bytes(found["token"]), _bytes(found["authority"]), _name(name))


def _why(text: str) -> str:
    # Never with any of the link in it: the token is a secret, and this goes to logs.
    whole = 'in single quotes, from veilsum:// to the name at its end; a shell cuts it at "#"'
    if not text.strip().startswith("veilsum://"):
        return f"this is no link to join with; paste all of what the operator has sent, {whole}"
    if "#" not in text:
        return f"the link ends before its token; paste all of it, {whole}"
    if "#v1." not in text:
        return (
            "the link is of another release of Veilsum; upgrade, or ask the operator for a new one"
        )
    return f"the link is not whole; paste all of it, {whole}"


def _name(name: str) -> str:
    try:
        check_name(name)
    except MalformedMessage as error:
        raise ConfigError(f"the link names a member badly: {error}") from None
    if name == COORDINATOR:
        raise ConfigError(f"the link names a member badly: no member may be called {COORDINATOR}")
    return name


def _bytes(text: str) -> bytes:
    decoded = urlsafe_b64decode(text + "=")
    # Two texts of the same bytes would be two links: the last digit carries two bits of nothing.
    if len(decoded) != _SIZE or _text(decoded) != text:
        raise ConfigError("the link is not whole: a letter of it is wrong; paste it again")
    return decoded


def _text(body: bytes) -> str:
    return urlsafe_b64encode(body).rstrip(b"=").decode()
