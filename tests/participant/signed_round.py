"""One federation with real keys, and a round of it, made as its members would make it."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

import msgspec
import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from participant.config import Dataset, Policy
from participant.joining.found import entry
from participant.keys import SiteKeys, generate_keys
from participant.opening import keying
from participant.sending.masking import SealedMask, seal_mask
from participant.sending.sign import contribution
from participant.sending.sign import sign as sign_record
from privacy import canonical
from privacy.accounting import NeighbouringRelation, UnitOfPrivacy
from privacy.arithmetic import Arithmetic, ModulusRange
from privacy.distributed_sum import DistributedSum
from privacy.documents import Signed
from privacy.identifiers import COORDINATOR, sha256_hex
from privacy.ledger import Checkpoint
from privacy.limbs import Words
from privacy.local_training import LocalTraining
from privacy.merkle import piece_root
from privacy.plan import CKKS, CkksTerms, DeadlinePolicy, Mechanism, Plan, PrivacyPlan, Terms, pack
from privacy.records import (
    Cohort,
    Contribution,
    Entry,
    KeyRecord,
    KeySpecification,
    Piece,
    Sum,
    digest_of,
)
from privacy.roster import Roster
from privacy.schemes.ckks import CkksProtector, CkksRevealer, CohortKey, make_cohort_key
from privacy.schemes.ckks_parameters import CkksParameters, largest_scale
from privacy.schemes.ckks_sum import CkksCombiner
from privacy.schemes.masks import MASK_SECRET_BYTES, Mask
from privacy.signing import Purpose, public_bytes, sign
from privacy.vectors import Shapes, model_digest

TRAINERS = ("amber", "birch", "cedar", "delta")
OPENERS = TRAINERS[:3]
WATCH = "watch"
FEDERATION = "oncology"
SHAPES: Shapes = (("weight", (5000,)),)
DIMENSION = 5000
FIRST = np.linspace(-1, 1, DIMENSION)
PARAMETERS = CkksParameters(largest_scale(value_bits=24, cohort_max=4), 24, 4)
COORDINATOR_KEY = Ed25519PrivateKey.from_private_bytes(b"c" * 32)

DATASET = Dataset(id="ward", site="nowhere:Site", records=100)


@cache
def keys(name: str) -> SiteKeys:
    """The keys of one member, the same in one run."""
    return generate_keys(os.urandom)


@cache
def roster() -> Roster:
    """Version 0: four trainers of four organisations, each paid, and an auditor."""
    members = [
        entry(keys(name), name, f"{name} hospital", payout_address(name), ("trainer",))
        for name in TRAINERS
    ]
    members.append(entry(keys(WATCH), WATCH, "watch office", "", ("auditor",)))
    return Roster(FEDERATION, 0, public_bytes(COORDINATOR_KEY), tuple(members))


def payout_address(name: str) -> str:
    """Where a trainer is paid."""
    return f"0x{TRAINERS.index(name) + 1:040x}"


def roster_with(**organisations: str) -> Roster:
    """The same members, some of another organisation."""
    moved = tuple(
        msgspec.structs.replace(m, organisation=organisations.get(m.participant, m.organisation))
        for m in roster().members
    )
    return msgspec.structs.replace(roster(), members=moved)


def policy(**changes: Any) -> Policy:
    """A policy that accepts `plan()`."""
    accepting = Policy(
        roster=roster().digest(),
        openers=OPENERS,
        first_model="first model",
        schemes=(CKKS,),
        smallest_cohort=3,
        epsilon_per_round="3",
        epsilon_for_life="3",
        delta="0.001",
        unit=UnitOfPrivacy.PATIENT,
        neighbouring=NeighbouringRelation.ADD_OR_REMOVE_ONE,
        releases=("participation",),
        without_auditor=True,
    )
    return msgspec.structs.replace(accepting, **changes)


TRAINING = LocalTraining("0.5", "2.75", 6, "1", "1", 50)

PRIVACY = PrivacyPlan(
    mechanism=Mechanism.LOCAL,
    unit=UnitOfPrivacy.PATIENT,
    neighbouring=NeighbouringRelation.ADD_OR_REMOVE_ONE,
    delta="0.001",
    training=TRAINING,
    releases=("participation",),
)


SUMMING = DistributedSum("1", "4", "0.25", 40, 40, honest=2, colluders=1)
"""Forty units of a quarter each: ten, which is within every grid of these tests."""


def shared_noise(clip: str = "0.25", **changes: Any) -> dict[str, Any]:
    """The terms of a plan whose sites share the noise, with other numbers of the sum."""
    order = msgspec.structs.replace(SUMMING, clip=clip, **changes)
    return {
        "clip": f"{float(order.largest_norm()):g}",
        "aggregation": "sum/1",
        "privacy": msgspec.structs.replace(
            PRIVACY, mechanism=Mechanism.DISTRIBUTED, training=order
        ),
        "auditor": WATCH,
    }


def plan(**changes: Any) -> Plan:
    """A plan of round 1, under the key of that round."""
    number = changes.get("round", 1)
    terms = Terms(
        federation=FEDERATION,
        round=number,
        model=model_digest(SHAPES, FIRST),
        release=None,
        roster=roster().digest(),
        key_record=digest_of(key_record(number)),
        scheme=CkksTerms(4096, PARAMETERS.scale_log2, 1, 1, 4),
        clip="20",
        cohort_minimum=3,
        quorum=3,
        aggregation="mean/1",
        server_learning_rate="0.5",
        privacy=PRIVACY,
        deadline=DeadlinePolicy("3", "60"),
        openers=OPENERS,
        agreement=2,
        rounds_left=1,
    )
    terms = msgspec.structs.replace(terms, **changes)
    return Plan(ARITHMETIC, terms)


ARITHMETIC = Arithmetic(CKKS, DIMENSION, 4096, 18, 24, (ModulusRange(0, 2, 0, PARAMETERS.modulus),))


def with_privacy(**changes: Any) -> Plan:
    """A plan whose privacy part differs."""
    return plan(privacy=msgspec.structs.replace(PRIVACY, **changes))


def specification(**changes: Any) -> KeySpecification:
    """What the round's key must be made for."""
    wanted = KeySpecification(
        roster=roster().digest(),
        scheme=CKKS,
        degree=4096,
        modulus=str(PARAMETERS.modulus),
        scale_log2=PARAMETERS.scale_log2,
        value_bits=24,
        cohort_max=4,
        values_per_half=1,
        ciphertexts_per_chunk=1,
        openers=OPENERS,
    )
    return msgspec.structs.replace(wanted, **changes)


@cache
def cohort_key() -> CohortKey:
    """A real key pair."""
    return make_cohort_key(PARAMETERS)


@cache
def sealed_key(number: int) -> tuple[KeyRecord, tuple[bytes, ...]]:
    """The record of a round's key, made by amber, and its secret sealed to each opener."""
    pair = cohort_key()
    return keying.seal_key(number, "amber", specification(), roster(), pair.public, pair.secret)


def key_record(number: int) -> KeyRecord:
    """The record of a round's key."""
    return sealed_key(number)[0]


def signed_by(record: Any, *names: str) -> Signed:
    """A record with the signatures of some members."""
    signed = [sign_record(record, name, keys(name).signing) for name in names]
    return Signed(signed[0].body, {n: s.signatures[n] for n, s in zip(names, signed, strict=True)})


def by_coordinator(record: Any, key: Ed25519PrivateKey = COORDINATOR_KEY) -> Signed:
    """A record with the coordinator's signature."""
    return sign_record(record, COORDINATOR, key)


def plan_signature(of: Plan) -> bytes:
    """The coordinator's signature on a plan."""
    return sign(COORDINATOR_KEY, Purpose.PLAN, bytes.fromhex(of.digest()))


def update(name: str) -> np.ndarray[Any, np.dtype[np.int64]]:
    """One site's grid integers: small, and another for each site."""
    return (np.arange(DIMENSION) % 97 - 48 + TRAINERS.index(name)).astype(np.int64)


@cache
def mask_secret(name: str) -> bytes:
    """The secret of one site's mask, the same in one run; each plan makes another mask of it."""
    return os.urandom(MASK_SECRET_BYTES)


def mask(name: str, of: Plan | None = None) -> Mask:
    """One site's mask under a plan."""
    of = of or plan()
    return Mask(of.parameters(), mask_secret(name), bytes.fromhex(of.digest()))


@cache
def sealed_mask(of: Plan, name: str) -> SealedMask:
    """The secret of one site's mask, sealed to the openers of a plan, whoever they are."""
    everybody = msgspec.structs.replace(
        roster(),
        members=tuple(
            entry(keys(each), each, f"{each} hospital", "", ("trainer",))
            for each in sorted(set(of.terms.openers))
        ),
    )
    return seal_mask(of, everybody, name, mask_secret(name))


class NoMask(Mask):
    """No mask at all: zeros."""

    def __init__(self, parameters: CkksParameters = PARAMETERS) -> None:
        super().__init__(parameters, bytes(MASK_SECRET_BYTES), b"")

    def words(self, chunk: int, ciphertexts: int, out: Words | None = None) -> Words:
        """Zeros."""
        words = np.empty((ciphertexts, self._degree), np.uint64) if out is None else out
        words.fill(0)
        return words


@contextmanager
def without_masks() -> Iterator[None]:
    """What it would be without masks: each is zeros, at sites and at openers."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Mask, "words", NoMask.words)
        yield


def payloads(name: str, of: Plan | None = None) -> tuple[bytes, ...]:
    """One site's update, protected under the cohort's key and its mask under a plan."""
    return _payloads_under(of or plan(), name, masked=Mask.words is not NoMask.words)


@cache
def _payloads_under(of: Plan, name: str, *, masked: bool) -> tuple[bytes, ...]:
    # With masks and without: who has signed the one must not be handed the other.
    return protected(update(name), cohort_key(), mask(name, of))


def protected(
    values: np.ndarray[Any, np.dtype[np.int64]], pair: CohortKey, masked: Mask
) -> tuple[bytes, ...]:
    """Any values, protected under a key and a mask."""
    protector = CkksProtector(PARAMETERS, DIMENSION, pair.public, masked)
    return tuple(
        protector.protect(chunk, values[chunk * 4096 : (chunk + 1) * 4096]) for chunk in range(2)
    )


def revealer(
    names: Sequence[str] = TRAINERS, of: Plan | None = None, pair: CohortKey | None = None
) -> CkksRevealer:
    """Who opens the sum of a cohort, and takes off exactly its masks."""
    secret = (pair or cohort_key()).secret
    return CkksRevealer(PARAMETERS, DIMENSION, secret, [mask(name, of) for name in names])


def root_of(chunks: Sequence[bytes]) -> str:
    """The root that a header, or a manifest, names."""
    combiner = CkksCombiner(PARAMETERS, DIMENSION)
    return piece_root([combiner.check(at, chunk) for at, chunk in enumerate(chunks)]).hex()


def header_of(of: Plan, name: str, chunks: Sequence[bytes] | None = None) -> Contribution:
    """The header of one site's contribution."""
    chunks = payloads(name, of) if chunks is None else chunks
    piece = Piece(COORDINATOR, CKKS, root_of(chunks), len(chunks), sum(map(len, chunks)))
    return contribution(of, name, (piece,), sealed_mask(of, name), ledger_of(name, of.terms.round))


def ledger_of(name: str, number: int, rows: int = 0) -> Checkpoint:
    """A head of one site's ledger, as its header of a round has it; it grows with the round."""
    size = rows or 10 * number
    return Checkpoint(size, sha256_hex(f"{size} rows of {name}".encode()))


class Round:
    """A frozen round: the cohort, its headers, and its sum, all signed."""

    def __init__(self, of: Plan, names: Sequence[str], chunks: Any = None) -> None:
        chunks = chunks or (lambda name: payloads(name, of))
        self.plan, self.payloads = of, chunks
        headers = [header_of(of, name, chunks(name)) for name in names]
        self.headers = [signed_by(h, n) for h, n in zip(headers, names, strict=True)]
        entries = tuple(Entry(h.participant, digest_of(h), (h.pieces[0].root,)) for h in headers)
        self.cohort = Cohort(FEDERATION, of.terms.round, of.digest(), entries)
        combiner = CkksCombiner(PARAMETERS, DIMENSION)
        self.chunks = tuple(
            combiner.combine(at, [chunks(name)[at] for name in names]) for at in range(2)
        )
        self.sum = Sum(
            FEDERATION,
            of.terms.round,
            of.digest(),
            digest_of(self.cohort),
            len(names),
            root_of(self.chunks),
            2,
            sum(map(len, self.chunks)),
        )

    def parts(self) -> tuple[Signed, list[Signed], Signed]:
        """What the coordinator shows: cohort, headers, manifest."""
        return by_coordinator(self.cohort), self.headers, by_coordinator(self.sum)

    def seals(self, opener: str) -> dict[str, bytes]:
        """What each site of the cohort has sealed of its mask to an opener, if it is one."""
        openers = self.plan.terms.openers
        if opener not in openers:
            return {}
        names = [entry.participant for entry in self.cohort.entries]
        at = openers.index(opener)
        return {name: sealed_mask(self.plan, name).seals[at] for name in names}

    def revealer(self) -> CkksRevealer:
        """Who opens its sum."""
        return revealer([entry.participant for entry in self.cohort.entries], self.plan)


def encoded(record: Any) -> bytes:
    """A record's canonical bytes."""
    return canonical.encode(record)


def plan_bytes() -> bytes:
    """The packed form of `plan()`, as a worker gets it."""
    return pack(plan())
