"""A federation in memory, for tests: a clock by hand, real signatures, members that do as told."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from coordinator import config
from coordinator.fold.engine import OneProcess
from coordinator.members.rosters import Rosters
from coordinator.rounds import plan as planning
from coordinator.rounds.progress import Progress
from coordinator.service import Service
from privacy import canonical
from privacy.accounting import NeighbouringRelation, UnitOfPrivacy
from privacy.documents import Signed
from privacy.failpoints import Failpoints
from privacy.growth import LastSeen
from privacy.identifiers import sha256_hex
from privacy.ledger import Checkpoint
from privacy.limbs import PUBLIC_KEY, Layout, encode_chunk
from privacy.local_training import LocalTraining
from privacy.mechanism import events_of
from privacy.merkle import chunk_root, tree_root
from privacy.plan import CKKS, DeadlinePolicy, Mechanism, Plan, PrivacyPlan
from privacy.records import (
    COORDINATOR,
    PURPOSES,
    Contribution,
    KeyRecord,
    Piece,
    Record,
    Release,
    SealedModel,
    SealedSecret,
    Wrap,
    Wraps,
    digest_of,
)
from privacy.roster import Member, Role, Roster
from privacy.schemes.ckks_parameters import MODULUS_4096
from privacy.schemes.masks import MASK_SECRET_BYTES
from privacy.sealing import CHUNK_OVERHEAD, CONTENT_KEY_BYTES, SEAL_OVERHEAD, ciphertext_digest
from privacy.signing import Purpose, public_bytes, sign
from tests.coordinator.memory_store import MemoryObjects, MemoryStore

FEDERATION = "oncology"
SITES = ("hospital-a", "hospital-b", "hospital-c", "hospital-d")
OPENERS = SITES[:3]
AUDITOR = "auditor"
DIMENSION = 4096 + 100
"""Two ciphertexts; with one in a chunk, two chunks, the second not full."""

PROGRESS_SECONDS, ABANDON_SECONDS = 5.0, 60.0
LAYOUT = Layout(4096, (MODULUS_4096,))


class Crash(BaseException):
    """The process dies here; no handler of errors catches it."""


@dataclass
class ManualClock:
    """A clock that moves when it is told to."""

    at: float = 1_000.0

    def __call__(self) -> float:
        return self.at

    def advance(self, seconds: float) -> None:
        self.at += seconds


@cache
def signing_key(name: str) -> Ed25519PrivateKey:
    """Return the key of `name`, always the same one."""
    return Ed25519PrivateKey.from_private_bytes(hashlib.sha256(name.encode()).digest())


def sealing_key(name: str) -> bytes:
    """Return what has the length of a sealing key, and is nobody else's."""
    return hashlib.shake_128(name.encode()).digest(1216)


def make_roster(*, sites: tuple[str, ...] = SITES, same_organisation: bool = False) -> Roster:
    """Return version 0 of a roster of trainers, with an auditor."""
    roles = {**dict.fromkeys(sites, Role.TRAINER), AUDITOR: Role.AUDITOR}
    members = tuple(
        Member(
            participant=name,
            organisation="one owner" if same_organisation else name,
            roles=(role,),
            signing_key=public_bytes(signing_key(name)),
            sealing_key=sealing_key(name),
        )
        for name, role in sorted(roles.items())
    )
    return Roster(FEDERATION, 0, public_bytes(signing_key(COORDINATOR)), members)


def make_settings(folder: Path = Path("/nowhere"), **rounds: object) -> config.Settings:
    """Return settings of a programme of two rounds, or with other `rounds` settings."""
    agreed = {
        "wanted": 2,
        "openers": OPENERS,
        "cohort_minimum": 3,
        "quorum": 3,
        "agreement": 2,
        "clip": "1",
        "server_learning_rate": "1",
        "deadline": DeadlinePolicy(f"{PROGRESS_SECONDS:g}", f"{ABANDON_SECONDS:g}"),
    }
    training = LocalTraining("0.1", "1.5", 10, "1", "0.1", 50)
    return config.Settings(
        federation=FEDERATION,
        state=folder / "state",
        database=f"sqlite:///{folder}/coordinator.db",
        signing_key=folder / "signing.key",
        roster=folder / "roster.json",
        listen=config.Listen(
            "127.0.0.1:0", folder / "server.pem", folder / "server.key", folder / "authority.pem"
        ),
        scheme=config.SchemeSettings(20, 24, 4, 1),
        rounds=config.RoundSettings(**(agreed | rounds)),
        model=config.ModelSettings(DIMENSION, "ab" * 32),
        privacy=PrivacyPlan(
            Mechanism.LOCAL,
            UnitOfPrivacy.PATIENT,
            NeighbouringRelation.ADD_OR_REMOVE_ONE,
            "0.001",
            training,
            ("participation",),
        ),
    )


def make_plan(settings: config.Settings | None = None, number: int = 1) -> Plan:
    """Return the plan of a round, as the coordinator makes it."""
    return planning.plan(
        settings or make_settings(), make_roster(), number, "cd" * 32, "ab" * 32, None
    )


def signed_by(name: str, record: Record, key: str | None = None) -> Signed:
    """Return `record` with a signature in the name of `name`, by the key of `key` if given."""
    body = canonical.encode(record)
    return Signed(body, {name: sign(signing_key(key or name), PURPOSES[type(record)], body)})


@cache
def words(seed: str, chunk: int) -> np.ndarray:
    """Return one ciphertext's residues, shape (1, 2, 1, 4096): any bytes will do for a sum."""
    stream = hashlib.shake_128(f"{seed}/{chunk}".encode()).digest(8 * 8192)
    return (np.frombuffer(stream, "<u8") % np.uint64(MODULUS_4096)).reshape(1, 2, 1, 4096)


@cache
def chunk_of(seed: str, chunk: int) -> bytes:
    """Return one chunk that nobody has encrypted and nobody could tell."""
    return encode_chunk(LAYOUT, chunk, words(seed, chunk))


@cache
def root_of(seed: str, chunk: int) -> bytes:
    """Return the root of that chunk."""
    return chunk_root(chunk, words(seed, chunk).reshape(2, 1, 4096))


def contribution(
    plan: Plan,
    name: str,
    seed: str | None = None,
    roots: list[bytes] | None = None,
    /,
    **other: object,
) -> Contribution:
    """Return the header of a site's contribution, or one that says something else."""
    terms, chunks = plan.terms, plan.arithmetic.chunks
    seed = seed or seed_of(name, terms.round)
    seals = mask_seals(plan, seed)
    tree = tree_root(roots or [root_of(seed, at) for at in range(chunks)])
    length = sum(LAYOUT.chunk_bytes(1) for _ in range(chunks))
    said = {
        "federation": terms.federation,
        "round": terms.round,
        "plan": plan.digest(),
        "key_record": terms.key_record,
        "participant": name,
        "pieces": (Piece(COORDINATOR, CKKS, tree.hex(), chunks, length),),
        "claim": events_of(terms.privacy.training),
        "ledger": ledger_of(name, terms.round),
        "mask": sha256_hex(f"mask of {seed}".encode()),
        "masks": named_seals(terms.openers, seals),
    }
    return Contribution(**(said | other))


def ledger_of(name: str, number: int, rows: int = 0) -> Checkpoint:
    """Return a head of a site's ledger as a header of a round has it; it grows with the round."""
    size = rows or 10 * number
    return Checkpoint(size, sha256_hex(f"{size} rows of {name}".encode()))


def seen(name: str, number: int, out: str, rows: int = 0) -> LastSeen:
    """Return what such a header of digest `out` says of its site's ledger."""
    return LastSeen(number, out, ledger_of(name, number, rows))


def mask_seals(plan: Plan, seed: str) -> tuple[bytes, ...]:
    """Return what could be the secret of a contribution's mask, sealed to each opener in order."""
    return tuple(
        hashlib.shake_128(f"{plan.digest()}/{seed}/{opener}".encode()).digest(
            SEAL_OVERHEAD + MASK_SECRET_BYTES
        )
        for opener in plan.terms.openers
    )


def named_seals(openers: Sequence[str], seals: Sequence[bytes]) -> tuple[SealedSecret, ...]:
    """Return what a signed record says of seals, one for each opener."""
    pairs = zip(openers, seals, strict=True)
    return tuple(SealedSecret(opener, sha256_hex(sealed)) for opener, sealed in pairs)


def seed_of(name: str, number: int) -> str:
    """Return what a site's honest contribution to a round is made from."""
    return f"{name}/{number}"


def expected_sum(seeds: list[str], chunk: int) -> bytes:
    """Return what the sum must be, added up in integers that do not overflow."""
    total = sum(words(seed, chunk).astype(object) for seed in seeds) % MODULUS_4096
    return encode_chunk(LAYOUT, chunk, total.astype(np.uint64))


def key_offer(
    settings: config.Settings, roster: Roster, number: int, maker: str, /, **other: object
) -> tuple[Signed, bytes, tuple[bytes, ...]]:
    """Return what an opener offers as a key: the record, the public key, the sealed secrets."""
    tag = hashlib.sha256(f"{number}/{maker}".encode()).digest()
    layout = Layout(4096, (MODULUS_4096,), marker=PUBLIC_KEY)
    public = tag.ljust(layout.chunk_bytes(1), b"\x01")
    specification = planning.key_specification(settings, roster)
    sealed = tuple(tag + opener.encode() for opener in specification.openers)
    said = {
        "federation": FEDERATION,
        "round": number,
        "specification": specification,
        "maker": maker,
        "public_key": sha256_hex(public),
        "secrets": named_seals(specification.openers, sealed),
    }
    return signed_by(maker, KeyRecord(**(said | other))), public, sealed


def model_chunks(dimension: int = DIMENSION) -> list[bytes]:
    """Return what could be the sealed chunks of a model: two."""
    half = dimension // 2
    return [
        b"\x05" * (8 * half + CHUNK_OVERHEAD),
        b"\x06" * (8 * (dimension - half) + CHUNK_OVERHEAD),
    ]


def envelope(
    plan: Plan, roster: Roster, total: str, sealer: str, /, **other: object
) -> SealedModel:
    """Return the envelope of a sealed model, or one that says something else."""
    chunks = model_chunks(plan.arithmetic.dimension)
    said = {
        "federation": plan.terms.federation,
        "round": plan.terms.round,
        "plan": plan.digest(),
        "sum": total,
        "model": sha256_hex(f"model of {plan.terms.round}".encode()),
        "roster": roster.digest(),
        "sealer": sealer,
        "chunks": len(chunks),
        "length": sum(len(chunk) for chunk in chunks),
        "ciphertext": ciphertext_digest(chunks),
        "wraps": tuple(
            Wrap(each.participant, bytes(SEAL_OVERHEAD + CONTENT_KEY_BYTES))
            for each in roster.trainers()
        ),
    }
    return SealedModel(**(said | other))


def wraps(
    model: SealedModel, roster: Roster, maker: str, /, *recipients: str, **other: object
) -> Wraps:
    """Return later wraps of a model's key, or some that say something else."""
    said = {
        "federation": model.federation,
        "round": model.round,
        "sealed_model": digest_of(model),
        "roster": roster.digest(),
        "maker": maker,
        "wraps": tuple(Wrap(each, bytes(SEAL_OVERHEAD + CONTENT_KEY_BYTES)) for each in recipients),
    }
    return Wraps(**(said | other))


def crash_at(place: str, count: int = 1) -> Failpoints:
    """Return failpoints that end the process the `count`-th time a place is reached."""

    def die(where: str) -> None:
        raise Crash(where)

    return Failpoints({(place, count): die})


@dataclass
class Federation:
    """A coordinator on storage that outlives it, and members that do what a test says."""

    settings: config.Settings = field(default_factory=make_settings)
    roster: Roster = field(default_factory=make_roster)
    clock: ManualClock = field(default_factory=ManualClock)
    store: object = field(default_factory=MemoryStore)
    objects: object = field(default_factory=MemoryObjects)
    failpoints: Failpoints = field(default_factory=Failpoints)

    def __post_init__(self) -> None:
        self.start()
        for name in [member.participant for member in self.roster.members]:
            signature = sign(signing_key(name), Purpose.ROSTER, canonical.encode(self.roster))
            self.service.rosters.sign(name, 0, signature)

    def start(self, failpoints: Failpoints | None = None) -> Service:
        """Start the coordinator, again if it ran: all it knows is what the storage kept."""
        self.service = Service(
            settings=self.settings,
            store=self.store,
            objects=self.objects,
            rosters=Rosters(self.store, self.roster),
            signing_key=signing_key(COORDINATOR),
            now=self.clock,
            progress=Progress(self.clock),
            failpoints=failpoints or self.failpoints,
            engine=OneProcess(self.objects),
        )
        return self.service

    def surviving(self, action: Callable[[], object]) -> object:
        """Do `action`; if the coordinator dies of it, start it and do it again, as peers do."""
        try:
            return action()
        except Crash:
            self.start(Failpoints())
            return action()

    def round(self, number: int = 1):
        """Return a round's state."""
        return self.service.rounds.all()[number]

    def tick(self, count: int = 1) -> None:
        """Let the coordinator do what is due."""
        for _ in range(count):
            self.service.tick()

    def offer_key(self, maker: str = OPENERS[0], number: int = 1) -> None:
        """Let an opener offer a key."""
        self.service.keying.offer(maker, *key_offer(self.settings, self.roster, number, maker))

    def sign_key(self, opener: str = OPENERS[1], number: int = 1) -> None:
        """Let an opener vouch for the key that was offered."""
        record, _ = self.service.keying.key(number)
        signature = sign(signing_key(opener), Purpose.KEY_RECORD, record.body)
        self.service.keying.sign(opener, number, signature)

    def open_round(self, number: int = 1) -> Plan:
        """Bring a round to where it takes contributions; return its plan."""
        self.tick()
        maker = self.round(number).whose_turn()
        self.offer_key(maker, number)
        self.sign_key(next(each for each in OPENERS if each != maker), number)
        self.tick()
        return self.service.plan(number)[0]

    def begin(
        self,
        name: str,
        number: int = 1,
        *,
        seed: str | None = None,
        roots: list[bytes] | None = None,
        seals: Sequence[bytes] | None = None,
        **other: object,
    ):
        """Let a site begin its upload, with other seals than it names if given."""
        plan = self.service.archive.plan(number)  # it was given out while the round was open
        header = contribution(plan, name, seed, roots, **other)
        if seals is None:
            seals = mask_seals(plan, seed or seed_of(name, plan.terms.round))
        return self.service.contributions.begin(name, signed_by(name, header), seals)

    def put_chunk(self, name: str, number: int, chunk: int, seed: str | None = None) -> None:
        """Let a site send one chunk."""
        payload = chunk_of(seed or seed_of(name, number), chunk)
        self.service.contributions.put_chunk(name, number, 0, chunk, payload)

    def put(self, name: str, number: int = 1, seed: str | None = None, chunks: int = 2) -> None:
        """Let a site send its chunks."""
        for at in range(chunks):
            self.put_chunk(name, number, at, seed)

    def contribute(self, name: str, number: int = 1) -> Signed:
        """Let a site do all of its part; return the receipt."""
        self.begin(name, number)
        self.put(name, number)
        return self.service.contributions.commit(name, number)

    def put_model(self, sealer: str = OPENERS[0], number: int = 1, **other: object) -> SealedModel:
        """Let an opener seal a model and send it."""
        plan, total = self.service.plan(number)[0], self.round(number).sum
        signed = signed_by(sealer, envelope(plan, self.roster, total, sealer, **other))
        sealed = self.service.models.begin(sealer, signed)
        for at, chunk in enumerate(model_chunks(plan.arithmetic.dimension)):
            self.service.models.put_chunk(sealed, at, chunk)
        self.service.models.finish(sealed, signed)
        return sealed

    def sign_release(self, opener: str, number: int = 1) -> None:
        """Let an opener sign the release there is."""
        release = canonical.decode(self.service.models.release(number).body, Release)
        self.service.models.sign_release(opener, signed_by(opener, release))

    def countersign(self, number: int = 1, auditor: str = AUDITOR, key: str | None = None) -> None:
        """Let the auditor sign the sum there is, by the key of `key` if given."""
        body = self.service.archive.document("sum", self.round(number).sum).body
        signature = sign(signing_key(key or auditor), Purpose.SUM, body)
        self.service.sums.countersign(auditor, number, signature)

    def finish(self, number: int = 1) -> None:
        """Bring a round whose sum may be opened to its end."""
        self.put_model(number=number)
        for opener in OPENERS[:2]:
            self.sign_release(opener, number)

    def evidence(self) -> Mapping[str, object]:
        """Return all of round 1 that others see; equal for equal rounds, whatever died."""
        current = self.round()
        return {
            "phase": current.phase,
            "committed": current.committed,
            "cohort": self.service.sums.cohort(OPENERS[0], 1),
            "sum": self.service.sums.manifest(OPENERS[0], 1),
            "release": self.service.models.release(1),
            "effects": self.store.pending_effects(),
            "uploads": self.objects.names("rounds/000001/contributions"),
        }
