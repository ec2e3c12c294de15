"""Enrol with a link: keys made here and proved, four words to compare, a certificate to keep.

What is made stays: whoever is cut off, or stops, runs the same command again and goes on where it
was. The same link with the same keys shows the same words and gets the same answer.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, Protocol

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from participant.keys import SiteKeys, certificate_request, load_keys
from participant.wire.desk import Authority, Decided, authority_of, request
from privacy import canonical
from privacy.enrolment import Asked, token_digest
from privacy.errors import ConfigError, NotYet, Unavailable, WrongIdentity
from privacy.identifiers import participant_uri
from privacy.organisation import normal
from privacy.roster import Member, Role
from privacy.sealing import Entropy
from privacy.signing import Purpose, sign
from veilsum.files import read_at_most, write_durably

from .init import KEYS, REQUEST, resume
from .link import Link
from .own import keep_asked, read_entry, require_entry

AUTHORITY: Final = "authority.pem"
CERTIFICATE: Final = "certificate.pem"

POLL_SECONDS: Final = 3.0
"""Between two questions whether the operator has decided; several sites may share an address,
from which the coordinator takes one a second."""

LONGEST_SECONDS: Final = 30.0
"""Between two tries to reach a coordinator that is away."""

FIRST_SECONDS: Final = 60
"""For so long a coordinator is tried that has never answered: its address may be wrong."""

_LONGEST_FILE: Final = 64 << 10

Sleep = Callable[[float], Awaitable[None]]


class Says(Protocol):
    """Tells whoever sits before the screen how far it has come."""

    def words(self, words: str) -> None:
        """The four words are to be read to the operator."""
        ...

    def waiting(self) -> None:
        """Nobody has decided yet."""
        ...

    def cut(self, reason: str) -> None:
        """The coordinator is away; it is asked again."""
        ...


@dataclass(frozen=True)
class Applicant:
    """One member before it has a certificate: what it asks for, and the keys that prove it."""

    authority: Authority
    asked: Asked
    keys: SiteKeys = field(repr=False)

    @property
    def proof(self) -> bytes:
        """The signature over what is asked, by the entry's own key."""
        return sign(self.keys.signing, Purpose.ENROL, self.asked.body())


@dataclass(frozen=True)
class Enrolled:
    """What an approved member holds now.

    Attributes:
        addresses: host:port of each coordinator that may serve.
        ends: when its certificate does.
        words: that trainers compare with it, too, before they admit it.
    """

    member: Member
    federation: str
    state: Path
    addresses: tuple[str, ...]
    decided_by: str
    ends: datetime
    words: str = ""


async def enrol(
    link: Link,
    state: Path,
    organisation: str,
    role: Role,
    says: Says,
    entropy: Entropy,
    *,
    now: Callable[[], datetime],
    sleep: Sleep = asyncio.sleep,
    chain: bool = False,
    proxy: str | None = None,
) -> Enrolled:
    """Return what the operator has approved, stored in `state`; wait for it as long as need be.

    Args:
        organisation: who runs this member; "" for what an earlier try has been told.
        chain: whether a site also makes the keys by which it is paid.
        proxy: "http://host:port" that takes HTTP CONNECT, where a network has no other way out.

    Raises:
        WrongIdentity: the link is not of the coordinator at its address; nothing was made here,
            and nothing secret was said. Or what was handed back is no certificate of this member.
        ConfigError: `state` holds another member's keys, or cannot be written.
        Unavailable: nobody answers at the link's address, or it lets nobody in, for a minute from
            the first try on.
        ProtocolError: the coordinator refuses this link, or these keys with it.
    """
    authority = await _authority(link, says, Naps(entropy, sleep), now, proxy)
    applicant = apply(link, authority, state, organisation, role, chain=chain)
    words = applicant.asked.words()
    says.words(words)
    decided = await _decided(link, applicant, says, Naps(entropy, sleep), proxy)
    if not decided.approved:
        raise WrongIdentity(_refused(decided))
    certificate = check_certificate(decided.certificate, applicant, now())
    keep_asked(state, applicant.asked)
    write_durably(state / AUTHORITY, authority.pem)
    write_durably(state / CERTIFICATE, decided.certificate)
    return Enrolled(
        applicant.asked.entry,
        authority.federation,
        state,
        decided.addresses,
        decided.decided_by,
        certificate.not_valid_after_utc,
        words,
    )


def apply(
    link: Link,
    authority: Authority,
    state: Path,
    organisation: str,
    role: Role,
    *,
    chain: bool = False,
) -> Applicant:
    """Return what this member asks for; its keys are made in `state` unless they are there.

    Raises:
        ConfigError: `state` holds another member's keys, or this one's under other words.
    """
    before = read_entry(state)
    if before is None:
        if not organisation:
            raise ConfigError("--organisation: say who runs this; the other members will see it")
        resume(state, authority.federation, link.participant, organisation, chain=chain, role=role)
    elif chain and not before.payout_address:
        raise ConfigError(f"--chain: {state} holds keys already, made without; take another folder")
    member = before or require_entry(state)
    _check_same(member, link, organisation, role, state)
    keys = load_keys(state / KEYS)
    asked = Asked(
        authority=authority.der_digest.hex(),
        invitation=token_digest(link.token),
        entry=member,
        request=_request(state, keys, authority.federation, member).decode(),
    )
    return Applicant(authority, asked, keys)


def check_certificate(chain_pem: bytes, applicant: Applicant, now: datetime) -> x509.Certificate:
    """Return the certificate that a chain begins with, if it is this member's, and good now.

    Raises:
        WrongIdentity: it is not; the operator must look at the coordinator.
    """
    try:
        chain = x509.load_pem_x509_certificates(chain_pem)
        [issuing] = x509.load_pem_x509_certificates(applicant.authority.pem)
    except ValueError:
        raise WrongIdentity("the coordinator has handed back no certificate") from None
    own = chain[0]
    if _public(own.public_key()) != _public(applicant.keys.tls.public_key()):
        raise WrongIdentity("the certificate that came back is for another key than this site's")
    federation, me = applicant.authority.federation, applicant.asked.entry.participant
    if _uris(own) != [participant_uri(federation, me)]:
        raise WrongIdentity(f"the certificate that came back does not name {me} of {federation}")
    if not _issued(own, issuing):
        raise WrongIdentity("the certificate that came back is not from the link's authority")
    if not own.not_valid_before_utc <= now <= own.not_valid_after_utc:
        begins, ends = own.not_valid_before_utc, own.not_valid_after_utc
        raise WrongIdentity(
            f"the certificate that came back is valid from {begins:%Y-%m-%d %H:%M:%S}Z to "
            f"{ends:%Y-%m-%d %H:%M:%S}Z; set this site's clock, or the operator the coordinator's"
        )
    return own


@dataclass
class Naps:
    """Waits between two tries, never in step with others behind the same address."""

    entropy: Entropy
    sleep: Sleep
    seconds: float = POLL_SECONDS

    async def short(self) -> None:
        """Wait as at first: there was an answer."""
        self.seconds = POLL_SECONDS
        await self._nap()

    async def longer(self) -> None:
        """Wait longer than the time before: there was none."""
        self.seconds = min(2 * self.seconds, LONGEST_SECONDS)
        await self._nap()

    async def _nap(self) -> None:
        await self.sleep(self.seconds * (0.75 + int.from_bytes(self.entropy(4), "big") / 2**33))


async def _authority(
    link: Link, says: Says, naps: Naps, now: Callable[[], datetime], proxy: str | None
) -> Authority:
    """Return the link's authority; who does not answer is tried again, for a minute."""
    tried_until = now() + timedelta(seconds=FIRST_SECONDS)
    while True:
        try:
            return await authority_of(link, proxy)
        except Unavailable as error:
            if now() >= tried_until:
                raise
            says.cut(f"{error}; no key is made yet, and this is tried for {FIRST_SECONDS} s")
        await naps.longer()


async def _decided(
    link: Link, applicant: Applicant, says: Says, naps: Naps, proxy: str | None
) -> Decided:
    entry = canonical.encode(applicant.asked.entry)
    pem, proof = applicant.asked.request.encode(), applicant.proof
    while True:
        try:
            return await request(link, applicant.authority, entry, pem, proof, proxy)
        except NotYet:
            says.waiting()
            await naps.short()
        except Unavailable as error:
            says.cut(str(error))
            await naps.longer()


def _refused(decided: Decided) -> str:
    by = f" by {decided.decided_by}" if decided.decided_by else ""
    reason = f": {decided.reason[:500]}" if decided.reason else ""
    return f"the request was refused{by}{reason}; ask the operator for a new link"


def _check_same(member: Member, link: Link, organisation: str, role: Role, state: Path) -> None:
    there = f"{state} holds the keys of"
    if member.participant != link.participant:
        raise ConfigError(
            f"--state: {there} {member.participant}, the link is for "
            f"{link.participant}; take another folder"
        )
    if member.roles != (role,):
        held = ", ".join(member.roles)
        raise ConfigError(
            f"--state: {there} a member that is {held}, not {role}; take another folder"
        )
    if organisation and member.organisation != normal(organisation):
        raise ConfigError(
            f"--organisation: {there} a member of {member.organisation!r}; leave "
            "this out, or take another folder"
        )


def _request(state: Path, keys: SiteKeys, federation: str, member: Member) -> bytes:
    """Return the request that this state has made for its key; a new one if the key is newer."""
    name = participant_uri(federation, member.participant)
    path = state / REQUEST
    if path.exists():
        stored = _read(path)
        try:
            made = x509.load_pem_x509_csr(stored)
        except ValueError:
            raise ConfigError(f"{path} is no certificate request; delete it") from None
        if _uris(made) != [name]:
            raise ConfigError(
                f"--state: {state} holds the keys of {_uris(made)}, the link is for {name}; take "
                "another folder"
            )
        if _public(made.public_key()) == _public(keys.tls.public_key()):
            return stored
    body = certificate_request(keys, federation, member.participant)
    write_durably(path, body)
    return body


def _issued(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        constraints = issuer.extensions.get_extension_for_class(x509.BasicConstraints)
        certificate.verify_directly_issued_by(issuer)
    except (InvalidSignature, x509.ExtensionNotFound, ValueError, TypeError):
        return False
    return constraints.value.ca


def _uris(of: x509.Certificate | x509.CertificateSigningRequest) -> list[str]:
    try:
        names = of.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return []
    return names.get_values_for_type(x509.UniformResourceIdentifier)


def _public(key: object) -> bytes:
    encoded: bytes = key.public_bytes(  # type: ignore[attr-defined]  # any kind of public key
        Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    )
    return encoded


def _read(path: Path) -> bytes:
    return read_at_most(path, _LONGEST_FILE)
