"""A round under `shares` at some phase, and three seats that say what a test makes them say."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from msgspec.structs import replace

from coordinator import config
from coordinator import object_names as names
from coordinator.archive import Archive
from coordinator.members.rosters import Rosters
from coordinator.rounds.moving import Moving
from coordinator.rounds.progress import Progress
from coordinator.rounds.seated import Frozen, Nominated
from coordinator.rounds.standing import Rounds
from coordinator.rounds.state import Phase, Round, Rules
from coordinator.seats.pledges import Bonds
from coordinator.seats.serving import Seats, no_bonds
from privacy import canonical
from privacy.arithmetic import Arithmetic, ModulusRange
from privacy.documents import Signed, pack
from privacy.failpoints import Failpoints
from privacy.identifiers import COORDINATOR, sha256_hex
from privacy.plan import (
    NORM_BOUND_RELEASE,
    SCORE_RELEASES,
    SHARES,
    Plan,
    SharesTerms,
    Terms,
)
from privacy.records import (
    Candidates,
    Cohort,
    Entry,
    Refused,
    Score,
    Scores,
    SealedWords,
    SeatSum,
    Verdict,
    Wrap,
    digest_of,
)
from privacy.roster import Member, Role, Roster
from privacy.schemes.shares.layout import VALUE_WORDS, WORDS_PER_LEAF, held_by
from privacy.sealing import CONTENT_KEY_BYTES, SEAL_OVERHEAD, ciphertext_digest
from privacy.signing import Purpose, public_bytes, sign
from tests import fakes
from tests.coordinator.memory_store import MemoryObjects, MemoryStore
from tests.fakes import AUDITOR, FEDERATION, OPENERS, SITES, signed_by, signing_key

SEATS = ("seat-a", "seat-b", "seat-c")
DIMENSION = VALUE_WORDS + 50
"""Two chunks of one leaf each, the second not full."""

SEALED_BYTES = 80 + 8 * WORDS_PER_LEAF + 16
"""A container's header, one leaf of words, and the tag."""

STEP_LOG2 = 10
STARTS = ("a0" * 32, "b0" * 32, "c0" * 32)
"""What the seats drew when their processes started."""


def make_roster() -> Roster:
    """Return a roster of four trainers, three seats and an auditor, each its own owner."""
    roles = {
        **dict.fromkeys(SITES, Role.TRAINER),
        **dict.fromkeys(SEATS, Role.AGGREGATOR),
        AUDITOR: Role.AUDITOR,
    }
    members = tuple(
        Member(name, name, (role,), public_bytes(signing_key(name)), fakes.sealing_key(name))
        for name, role in sorted(roles.items())
    )
    return Roster(FEDERATION, 0, public_bytes(signing_key(COORDINATOR)), members)


def with_aggregator(roster: Roster, name: str) -> Roster:
    """Return a roster with one more aggregator."""
    key = public_bytes(signing_key(name))
    members = (
        *roster.members,
        Member(name, name, (Role.AGGREGATOR,), key, fakes.sealing_key(name)),
    )
    return replace(roster, members=tuple(sorted(members, key=lambda each: each.participant)))


def make_settings(folder: Path = Path("/nowhere"), **rounds: object) -> config.Settings:
    """Return the settings of such rounds, or with other `rounds` settings."""
    named = {"auditor": AUDITOR, **rounds}
    seats = named.pop("seats", SEATS)
    settings = fakes.make_settings(folder, **named)
    scheme = config.SchemeSettings(20, 24, 4, name=SHARES, leaves_per_chunk=1)
    releases = (*settings.privacy.releases, NORM_BOUND_RELEASE)
    return replace(
        settings,
        scheme=scheme,
        rounds=replace(settings.rounds, seats=seats),
        privacy=replace(settings.privacy, releases=releases),
    )


def make_plan(roster: Roster, **scheme: object) -> Plan:
    """Return the plan of round 1, with both questions or other `scheme` terms."""
    agreed = make_settings()
    asked = {"norm_bound": 1 << 20, "score_step_log2": STEP_LOG2}
    releases = ("participation", NORM_BOUND_RELEASE, *SCORE_RELEASES)
    terms = Terms(
        federation=FEDERATION,
        round=1,
        model="ab" * 32,
        release=None,
        roster=roster.digest(),
        key_record=None,
        scheme=SharesTerms(1, 1, 4, STARTS, **(asked | scheme)),
        clip="1",
        cohort_minimum=3,
        quorum=3,
        aggregation="mean/1",
        server_learning_rate="1",
        privacy=replace(agreed.privacy, releases=releases),
        deadline=agreed.rounds.deadline,
        openers=OPENERS,
        agreement=2,
        rounds_left=1,
        seats=SEATS,
        auditor=AUDITOR,
    )
    ranges = (ModulusRange(0, 2, 0, 1 << 64),)
    return Plan(Arithmetic(SHARES, DIMENSION, VALUE_WORDS, 20, 24, ranges), terms)


@dataclass
class Seated:
    """A coordinator's parts around one round, on storage in memory."""

    phase: Phase = Phase.OPEN
    committed: tuple[str, ...] = SITES
    clock: fakes.ManualClock = field(default_factory=fakes.ManualClock)
    store: MemoryStore = field(default_factory=MemoryStore)
    objects: MemoryObjects = field(default_factory=MemoryObjects)
    scheme: dict[str, object] = field(default_factory=dict)
    bonds: Callable[[], Bonds | None] = no_bonds

    def __post_init__(self) -> None:
        self.roster = make_roster()
        self.plan = make_plan(self.roster, **self.scheme)
        self.start()
        self.rosters.versions()
        for member in self.roster.members:
            signature = sign(
                signing_key(member.participant), Purpose.ROSTER, canonical.encode(self.roster)
            )
            self.rosters.sign(member.participant, 0, signature)
        self.archive.keep_plan(1, self.plan)
        for name in self.committed:
            self._contribute(name)
        entries = tuple(_entry(name) for name in self.committed)
        self.candidates = Candidates(FEDERATION, 1, self.plan.digest(), entries)
        self.cohort = Cohort(FEDERATION, 1, self.plan.digest(), entries)
        self.rounds.begin(
            Round(1, _rules(self.plan), Phase.OPEN, plan=self.plan.digest(), committed=entries)
        )
        self._advance()

    def start(self, failpoints: Failpoints | None = None) -> None:
        """Start the coordinator's parts, again if they ran: they know what storage kept."""
        self.rosters = Rosters(self.store, self.roster)
        self.progress = Progress(self.clock)
        self.rounds = Rounds(self.store, self.progress, failpoints or Failpoints())
        self.archive = Archive(self.store, signing_key(COORDINATOR))
        self.moving = Moving(self.progress)
        self.seats = Seats(
            self.rounds,
            self.archive,
            self.store,
            self.objects,
            self.rosters,
            self.moving,
            self.bonds,
        )

    def round(self) -> Round:
        """Return the round as it stands."""
        return self.rounds.get(1)

    def put(self, **state: object) -> None:
        """Put the round into another state by hand."""
        self.rounds._save(replace(self.round(), **state), ())

    # -- what seats say ------------------------------------------------------------

    def verdict(self, seat: str, /, *refused: Refused, **other: object) -> Verdict:
        """Return what a seat says of the candidates, or something else."""
        said = {
            "federation": FEDERATION,
            "round": 1,
            "plan": self.plan.digest(),
            "candidates": digest_of(self.candidates),
            "seat": seat,
            "refused": refused,
        }
        return Verdict(**(said | other))

    def judge(self, seat: str, *refused: Refused) -> None:
        """Let a seat judge the candidates."""
        self.seats.judging.put_verdict(seat, signed_by(seat, self.verdict(seat, *refused)))

    def certify(self, name: str, key: str | None = None) -> None:
        """Let somebody sign the cohort, with the key of `key` if given."""
        body = canonical.encode(self.cohort)
        signature = sign(signing_key(key or name), Purpose.CERTIFICATE, body)
        self.seats.certifying.sign_cohort(name, 1, digest_of(self.cohort), signature)

    def statement(self, seat: str, /, **other: object) -> SeatSum:
        """Return what a seat states as its sums, or something else."""
        held, chunks = held_by(SEATS.index(seat)), sealed(seat)
        said = {
            "federation": FEDERATION,
            "round": 1,
            "plan": self.plan.digest(),
            "cohort": digest_of(self.cohort),
            "seat": seat,
            "roster": self.roster.digest(),
            "chunks": 2,
            "sums": tuple(
                SealedWords(
                    component, root_of(component), ciphertext_digest(chunks[at]), 2 * SEALED_BYTES
                )
                for at, component in enumerate(held)
            ),
            "wraps": tuple(
                Wrap(each.participant, bytes(SEAL_OVERHEAD + CONTENT_KEY_BYTES))
                for each in self.roster.trainers()
            ),
        }
        return SeatSum(**(said | other))

    def state(self, seat: str, /, **other: object) -> None:
        """Let a seat state its sums and send their words."""
        upload = self.seats.sums.begin(seat, signed_by(seat, self.statement(seat, **other)))
        for position, chunks in enumerate(sealed(seat)):
            for chunk in chunks:
                self.seats.sums.put_chunk(upload, position, chunk)
        self.seats.sums.finish(upload)

    def opened(self, **other: object) -> Scores:
        """Return the scores of the cohort, or others."""
        said = {
            "federation": FEDERATION,
            "round": 1,
            "plan": self.plan.digest(),
            "cohort": digest_of(self.cohort),
            "step_log2": STEP_LOG2,
            "scores": tuple(Score(each.participant, "12", "-3") for each in self.cohort.entries),
        }
        return Scores(**(said | other))

    # -- how it came there -----------------------------------------------------------

    def _contribute(self, name: str) -> None:
        header = Signed(f"header of {name}".encode(), {name: b"signature"})
        seen = fakes.seen(name, 1, digest_of_header(name))
        self.store.begin_upload(name, seen, pack(header), at=0.0)
        for chunk in range(2):
            self.objects.put(names.contribution_chunk(1, name, 0, chunk), payload(name, chunk))
        for seat in SEATS:
            self.objects.put(names.sealed_part(1, name, seat), sealed_secrets(name, seat))
        self.store.commit_upload(1, name)

    def _advance(self) -> None:
        if self.phase is Phase.OPEN:
            return
        self.put(phase=Phase.JUDGING)
        self.archive.state("candidates", self.candidates)
        self.rounds.apply(1, Nominated(digest_of(self.candidates)))
        if self.phase is Phase.JUDGING:
            return
        for seat in SEATS:
            self.judge(seat)
        self.archive.state("cohort", self.cohort)
        self.rounds.apply(1, Frozen(digest_of(self.cohort)))
        if self.phase is Phase.CERTIFYING:
            return
        for seat in SEATS:
            self.certify(seat)
        if self.phase in (Phase.SUMMING, Phase.DISPUTED):
            return
        for seat in SEATS:
            self.state(seat)
        self.put(phase=self.phase)


def payload(name: str, chunk: int) -> bytes:
    """Return what a site sent as one chunk."""
    return f"payload {chunk} of {name}".encode()


def sealed_secrets(name: str, seat: str) -> bytes:
    """Return what a site sealed to one seat."""
    return f"secrets of {name} for {seat}".encode()


def digest_of_header(name: str) -> str:
    """Return the digest of a site's contribution."""
    return sha256_hex(name.encode())


def sealed(seat: str) -> list[list[bytes]]:
    """Return what a seat sealed of its two sums: two chunks each."""
    return [
        [
            hashlib.shake_128(f"{seat}/{component}/{chunk}".encode()).digest(SEALED_BYTES)
            for chunk in range(2)
        ]
        for component in held_by(SEATS.index(seat))
    ]


def chunks_at(seated: Seated) -> list[str]:
    """Return the names of all chunks that are stored of what seats sealed."""
    return seated.objects.names("rounds/000001/seats")


def root_of(component: int) -> str:
    """Return the root of one component of the sum."""
    return f"{component:02x}" * 32


def _entry(name: str) -> Entry:
    return Entry(name, digest_of_header(name), (sha256_hex(f"root of {name}".encode()),))


def _rules(plan: Plan) -> Rules:
    return Rules(
        openers=OPENERS,
        trainers=SITES,
        quorum=3,
        agreement=2,
        progress_seconds=5.0,
        abandon_seconds=60.0,
        auditor=AUDITOR,
        seats=SEATS,
        scores=plan.questions().score_step_log2 is not None,
    )
