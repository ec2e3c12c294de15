"""An enrolment desk in memory: a store, a real authority, and members with real keys."""

import os
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from msgspec.structs import replace

from coordinator.adapters.authority import Authority, make_issuing, make_root
from coordinator.adapters.authority_files import Certifier
from coordinator.members.enrolment import Enrolment, Operated
from coordinator.members.issuing import Issuing
from coordinator.members.proposals import Proposals
from coordinator.members.revocations import Revocations
from coordinator.members.rosters import Rosters
from participant.joining.found import entry
from participant.keys import SiteKeys, certificate_request, generate_keys
from privacy import canonical
from privacy.enrolment import Asked, Renewal, token_digest
from privacy.roster import Member
from privacy.signing import Purpose, public_bytes, sign
from tests import fakes
from tests.coordinator.memory_store import MemoryStore

NOW = 1_795_000_000.0
LIFE = 3600.0
FEDERATION = "heart"
HOSPITALS = ("hospital-a", "hospital-b", "hospital-c")


class Killed(BaseException):
    """What a failpoint raises here: nothing catches it, as nothing catches a kill."""


@dataclass
class Clock:
    """Seconds that a test moves."""

    at: float = NOW

    def __call__(self) -> float:
        return self.at


@dataclass
class Site:
    """A member before it has a certificate."""

    name: str
    role: str = "trainer"
    house: str = ""

    def __post_init__(self) -> None:
        self.keys: SiteKeys = generate_keys(os.urandom)
        self.request = certificate_request(self.keys, FEDERATION, self.name).decode()

    @property
    def entry(self) -> Member:
        house = self.house or f"House of {self.name}"
        return entry(self.keys, self.name, house, "", (self.role,))

    def asked(self, desk: "Desk", token: bytes) -> Asked:
        fingerprint = desk.authority.fingerprint
        return Asked(fingerprint, token_digest(token), self.entry, self.request)

    def proof(self, desk: "Desk", token: bytes) -> bytes:
        return sign(self.keys.signing, Purpose.ENROL, self.asked(desk, token).body())

    def renewal(self, desk: "Desk", at: float) -> tuple[Renewal, bytes]:
        said = Renewal(desk.authority.fingerprint, self.name, self.request, int(at))
        return said, sign(self.keys.signing, Purpose.RENEW, said.body())


class NoSealingKey(Site):
    """A member whose entry has a sealing key of the right length, to which nothing can be sealed.

    No polynomial of ML-KEM has such coefficients.
    """

    @property
    def entry(self) -> Member:
        return replace(super().entry, sealing_key=b"\xff" * 1216)


@dataclass
class Desk:
    """A coordinator's office; `again` is what the next process makes of the same store."""

    store: MemoryStore = field(default_factory=MemoryStore)
    clock: Clock = field(default_factory=Clock)
    authority: Authority | None = None
    operator: Site | None = None
    dies_at: str = ""

    def __post_init__(self) -> None:
        now = datetime.fromtimestamp(NOW, UTC)
        life = timedelta(days=100)
        if self.authority is None:
            root = make_root(FEDERATION, now=now, life=life)
            self.authority = make_issuing(root, now=now, life=life)
        self.operator = self.operator or Site("operator", "operator")
        key = public_bytes(fakes.signing_key("coordinator"))
        founding = Operated(FEDERATION, key, self.operator.entry).over(self.store)
        self.rosters = Rosters(self.store, founding)
        self.revocations = Revocations(self.store, self.clock)
        certifier = Certifier(self.authority)
        self.issuing = Issuing(certifier, self.store, self.revocations, LIFE, self.clock, self.step)
        self.enrolment = Enrolment(
            self.store, self.rosters, self.issuing, self.clock, os.urandom, self.step
        )
        self.proposals = Proposals(self.store, self.rosters, lambda _: None, self.step)
        self.proposals.resume()

    def step(self, place: str) -> None:
        if place == self.dies_at:
            self.dies_at = ""
            raise Killed(place)

    def renew(self, site: Site, begins_at: float = NOW, name: str = "") -> str:
        """Renew as a member does that calls with a certificate which began then."""
        said, proof = site.renewal(self, self.clock.at)
        return self.enrolment.renew(
            name or site.name, said.request, said.at_seconds, proof, begins_at
        )

    def again(self) -> "Desk":
        return Desk(self.store, self.clock, self.authority, self.operator)

    def invite(self, name: str, role: str = "trainer", seconds: int = 600) -> bytes:
        return self.enrolment.invite("operator", name, (role,), seconds).token

    def request(self, site: Site, token: bytes):
        return self.enrolment.request(
            token, canonical.encode(site.entry), site.request, site.proof(self, token)
        )

    def approve(self, name: str, words: str) -> None:
        self.enrolment.decide("operator", name, True, words, "")

    def enrol(self, name: str, role: str = "trainer") -> Site:
        site = Site(name, role)
        asked = self.request(site, self.invite(name, role))
        self.approve(name, asked.words)
        return site

    def found(self, *names: str) -> dict[str, Site]:
        sites = {name: self.enrol(name) for name in names}
        self.proposals.close_founding("operator")
        body = canonical.encode(self.rosters.draft)
        for name, site in {**sites, "operator": self.operator}.items():
            self.rosters.sign(name, 0, sign(site.keys.signing, Purpose.ROSTER, body))
        return sites
