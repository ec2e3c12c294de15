"""A member whose certificates live for seconds, and an authority that renews them at once."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from coordinator.adapters.authority import certify_participant
from participant.config import CoordinatorAddress
from participant.keys import SiteKeys
from participant.wire.connections import Connections
from participant.wire.rotation import Rotation
from privacy.enrolment import Renewal
from privacy.signing import public_bytes
from tests.loopback import FEDERATION, SITE, Federation, new_keys, utc_now


@dataclass(frozen=True)
class Member:
    """What a renewal needs of a member's settings."""

    state: Path
    coordinator: CoordinatorAddress
    federation: str = FEDERATION
    participant: str = SITE


@dataclass
class Issuing:
    """Answers as a coordinator does whose authority certifies for so many seconds."""

    certified: Federation
    seconds: float
    keys: SiteKeys = field(default_factory=new_keys)
    issued: int = 0
    name: str = SITE
    fails: list[Exception] = field(default_factory=list)
    clock: Callable[[], float] = time.time

    async def renew_certificate(self, renewal: Renewal, proof: bytes) -> bytes:
        """Return a certificate to who proves itself by its key, or fail as the test wants."""
        if self.fails:
            raise self.fails.pop(0)
        renewal.check(public_bytes(self.keys.signing), proof, self.clock())
        return self.certify(renewal.request.encode())

    def certify(self, request: bytes) -> bytes:
        """Return a certificate for whoever asks under this member's name."""
        self.issued += 1
        life = timedelta(seconds=self.seconds)
        return certify_participant(
            self.certified.authority, request, self.name, now=utc_now(), life=life
        )


def rotation_of(
    connections: Connections, issuing: Issuing, state: Path, **settings: object
) -> Rotation:
    """Return what renews the certificate of `connections`; its pairs are kept under `state`."""
    (state / "keys").mkdir(mode=0o700, parents=True, exist_ok=True)
    member = Member(state, connections.where)
    return Rotation(member, issuing.keys, connections, issuing, os.urandom, **settings)
