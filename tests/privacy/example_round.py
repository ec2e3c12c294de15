"""One example of each document of a round, with fixed keys, for the tests of their forms."""

from hashlib import sha256
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec.structs import replace

from privacy.accounting import NeighbouringRelation, UnitOfPrivacy
from privacy.arithmetic import Arithmetic, ModulusRange
from privacy.canonical import encode
from privacy.distributed_sum import DistributedSum
from privacy.ledger import Checkpoint
from privacy.local_training import LocalTraining
from privacy.mechanism import events_of
from privacy.plan import CKKS, CkksTerms, DeadlinePolicy, Mechanism, Plan, PrivacyPlan, Terms
from privacy.records import (
    COORDINATOR,
    Cohort,
    Contribution,
    Entry,
    KeyRecord,
    KeySpecification,
    Piece,
    Receipt,
    SealedModel,
    SealedSecret,
    Sum,
    Wrap,
    digest_of,
    release_of,
)
from privacy.roster import Member, Role, Roster, SignedRoster
from privacy.schemes.ckks_parameters import MODULUS_4096
from privacy.signing import Purpose, public_bytes, sign

FEDERATION = "oncology"
NAMES = ("amber", "birch", "cedar", "delta")
OPENERS = NAMES[:3]


def filler(text: str) -> str:
    """A digest that stands for something outside of the test."""
    return sha256(text.encode()).hexdigest()


def signing_key(name: str) -> Ed25519PrivateKey:
    """The signing key of one member, the same in every run."""
    return Ed25519PrivateKey.from_private_bytes(sha256(b"signing " + name.encode()).digest())


def member(name: str, *roles: Role) -> Member:
    """One member's entry; a trainer unless it is said otherwise."""
    return Member(
        participant=name,
        organisation=f"{name} hospital",
        roles=roles or (Role.TRAINER,),
        signing_key=public_bytes(signing_key(name)),
        sealing_key=(name.encode() * 244)[:1216],
    )


def roster(**changes: Any) -> Roster:
    """Version 0: four trainers."""
    first = Roster(
        federation=FEDERATION,
        version=0,
        coordinator_key=public_bytes(signing_key(COORDINATOR)),
        members=tuple(member(name) for name in NAMES),
    )
    return replace(first, **changes)


def signed_roster(of: Roster, *signers: str) -> SignedRoster:
    """A version with the signatures of some members."""

    body = encode(of)
    return SignedRoster(of, {n: sign(signing_key(n), Purpose.ROSTER, body) for n in signers})


TRAINING = LocalTraining(
    sampling_rate="0.5",
    noise_multiplier="2.75",
    steps=6,
    clip="1",
    learning_rate="1",
    divisor=50,
)

PRIVACY = PrivacyPlan(
    mechanism=Mechanism.LOCAL,
    unit=UnitOfPrivacy.PATIENT,
    neighbouring=NeighbouringRelation.ADD_OR_REMOVE_ONE,
    delta="0.001",
    training=TRAINING,
    releases=("participation",),
)

SPECIFICATION = KeySpecification(
    roster=roster().digest(),
    scheme=CKKS,
    degree=4096,
    modulus=str(MODULUS_4096),
    scale_log2=32,
    value_bits=24,
    cohort_max=4,
    values_per_half=1,
    ciphertexts_per_chunk=1,
    openers=OPENERS,
)

KEY_RECORD = KeyRecord(
    federation=FEDERATION,
    round=1,
    specification=SPECIFICATION,
    maker="amber",
    public_key=filler("public key"),
    secrets=tuple(SealedSecret(name, filler(f"secret for {name}")) for name in OPENERS),
)

ARITHMETIC = Arithmetic(
    scheme=CKKS,
    dimension=16_353,
    values_per_chunk=4096,
    fraction_bits=18,
    value_bits=24,
    ranges=(ModulusRange(0, 4, 0, MODULUS_4096),),
)

TERMS = Terms(
    federation=FEDERATION,
    round=1,
    model=filler("first model"),
    release=None,
    roster=roster().digest(),
    key_record=digest_of(KEY_RECORD),
    scheme=CkksTerms(
        degree=4096, scale_log2=32, values_per_half=1, ciphertexts_per_chunk=1, cohort_max=4
    ),
    clip="20",
    cohort_minimum=3,
    quorum=3,
    aggregation="mean/1",
    server_learning_rate="1",
    privacy=PRIVACY,
    deadline=DeadlinePolicy(progress_seconds="3", abandon_seconds="60"),
    openers=OPENERS,
    agreement=2,
    rounds_left=1,
)

PLAN = Plan(ARITHMETIC, TERMS)

SUMMING = DistributedSum(
    sampling_rate="0.5",
    noise_multiplier="14.25",
    clip="0.0625",
    units_cap=200,
    divisor=500,
    honest=2,
    colluders=1,
)

DISTRIBUTED_TERMS = replace(
    TERMS,
    clip="12.5",
    aggregation="sum/1",
    privacy=replace(PRIVACY, mechanism=Mechanism.DISTRIBUTED, training=SUMMING),
    auditor="watch",
)
"""200 units of 0.0625 each, and twelve deviations of noise, fit in the grid's ±32."""

DISTRIBUTED_PLAN = Plan(ARITHMETIC, DISTRIBUTED_TERMS)

CONTRIBUTION = Contribution(
    federation=FEDERATION,
    round=1,
    plan=PLAN.digest(),
    key_record=digest_of(KEY_RECORD),
    participant="amber",
    pieces=(Piece(COORDINATOR, CKKS, filler("root"), chunks=4, length=245_880),),
    claim=events_of(TRAINING),
    ledger=Checkpoint(3, filler("three rows of amber")),
    mask=filler("mask of amber"),
    masks=tuple(SealedSecret(name, filler(f"mask of amber for {name}")) for name in OPENERS),
)

RECEIPT = Receipt(
    federation=FEDERATION,
    round=1,
    plan=PLAN.digest(),
    participant="amber",
    contribution=digest_of(CONTRIBUTION),
)

COHORT = Cohort(
    federation=FEDERATION,
    round=1,
    plan=PLAN.digest(),
    entries=(
        Entry("amber", digest_of(CONTRIBUTION), (filler("root"),)),
        Entry("birch", filler("another contribution"), (filler("another root"),)),
    ),
)

SUM = Sum(
    federation=FEDERATION,
    round=1,
    plan=PLAN.digest(),
    cohort=digest_of(COHORT),
    contributions=2,
    root=filler("root of the sum"),
    chunks=4,
    length=245_880,
)

SEALED_MODEL = SealedModel(
    federation=FEDERATION,
    round=1,
    plan=PLAN.digest(),
    sum=digest_of(SUM),
    model=filler("next model"),
    roster=roster().digest(),
    sealer="amber",
    chunks=1,
    length=130_840,
    ciphertext=filler("sealed chunks"),
    wraps=tuple(Wrap(name, name.encode()) for name in NAMES),
)

RELEASE = release_of(SEALED_MODEL, digest_of(COHORT), TERMS.model)

RECORDS = (KEY_RECORD, CONTRIBUTION, RECEIPT, COHORT, SUM, SEALED_MODEL, RELEASE)
"""In the order in which they are made."""
