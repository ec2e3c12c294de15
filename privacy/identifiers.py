"""Names of federations, participants and bytes, and the form in which certificates carry them."""

import hashlib
import re
from typing import Annotated, Literal

import msgspec

from .errors import MalformedMessage, WrongIdentity

# \Z and not $, which also matches before a line feed at the end
_NAME = r"^[a-z0-9][a-z0-9-]{0,62}\Z"

FederationId = Annotated[str, msgspec.Meta(pattern=_NAME)]
"""The name of a federation: 1 to 63 of a-z, 0-9 and hyphen; also the host in its URIs."""

ParticipantId = Annotated[str, msgspec.Meta(pattern=_NAME)]
"""The name of a site within its federation: 1 to 63 of a-z, 0-9 and hyphen."""

Digest = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]
"""A SHA-256 in lowercase hex."""

Role = Literal["participant", "coordinator"]
"""What a certificate says its holder is; every finer role is in the roster."""

COORDINATOR = "coordinator"


class PeerIdentity(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who a certificate names: the one identity on which a peer's rights rest.

    `id` is the participant's name, or "coordinator" for the coordinator.
    """

    federation: FederationId
    role: Role
    id: ParticipantId

    @property
    def uri(self) -> str:
        """The URI by which a certificate names this peer."""
        if self.role == COORDINATOR:
            return coordinator_uri(self.federation)
        return participant_uri(self.federation, self.id)


def sha256_hex(body: bytes) -> str:
    """Return the SHA-256 of `body` in lowercase hex."""
    return hashlib.sha256(body).hexdigest()


def check_name(name: str) -> str:
    """Return `name` if it can name a federation or a participant.

    Raises:
        MalformedMessage: it cannot; the peer must choose another name.
    """
    if re.search(_NAME, name) is None:
        raise MalformedMessage(f"{name[:80]!r} is not a name: 1 to 63 of a-z, 0-9 and hyphen")
    return name


def participant_uri(federation: str, participant: str) -> str:
    """Return the URI that names `participant` in its certificate.

    Source: SPIFFE-ID, section 2: trust domain as host, workload as path.

    Raises:
        MalformedMessage: one of the two is not a name.
    """
    return f"spiffe://{check_name(federation)}/participant/{check_name(participant)}"


def coordinator_uri(federation: str) -> str:
    """Return the URI that names the coordinator of `federation` in its certificate.

    Raises:
        MalformedMessage: `federation` is not a name.
    """
    return f"spiffe://{check_name(federation)}/{COORDINATOR}"


def parse_uri(uri: str) -> PeerIdentity:
    """Return whom `uri` names.

    Raises:
        WrongIdentity: it is not exactly what the two functions above build.
    """
    match uri.removeprefix("spiffe://").split("/"):
        case [federation, "participant", name]:
            identity = PeerIdentity(federation, "participant", name)
        case [federation, "coordinator"]:
            identity = PeerIdentity(federation, "coordinator", COORDINATOR)
        case _:
            raise WrongIdentity(f"{uri[:200]!r} names no participant and no coordinator")
    if not _is_built(identity, uri):
        raise WrongIdentity(f"{uri[:200]!r} names no participant and no coordinator")
    return identity


def _is_built(identity: PeerIdentity, uri: str) -> bool:
    try:
        return identity.uri == uri
    except MalformedMessage:
        return False
