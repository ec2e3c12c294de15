"""Everything agreed before a round, in one value with one digest.

    plan digest = SHA-256(transcript(tag, SHA-256(arithmetic), SHA-256(terms)))

The arithmetic part is ABI-encoded, so that a contract can open it; the terms are
canonical JSON (RFC 8785). The coordinator signs the digest; each site checks the
plan against its own policy before it touches data.
"""

import hashlib
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

import msgspec

from . import arithmetic, canonical
from .accounting import NeighbouringRelation, UnitOfPrivacy
from .arithmetic import Arithmetic
from .errors import MalformedMessage, UnsafeParameters
from .events import PositiveDecimal, exact
from .grid import Grid
from .identifiers import Digest, FederationId, ParticipantId
from .local_training import LocalTraining
from .schemes.ckks_parameters import CkksParameters
from .signing import Purpose, transcript

Count = Annotated[int, msgspec.Meta(ge=1, le=100_000)]


class Mechanism(StrEnum):
    """Where the noise comes from."""

    LOCAL = "local"


class PrivacyPlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a round costs in privacy, and whatever else it lets out."""

    mechanism: Mechanism
    unit: UnitOfPrivacy
    neighbouring: NeighbouringRelation
    delta: PositiveDecimal
    training: LocalTraining
    releases: tuple[str, ...]

    def __post_init__(self) -> None:
        if not 0 < exact(self.delta) < 1:
            raise UnsafeParameters(f"delta {self.delta}: above 0 and below 1")


class CkksTerms(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The scheme's parameters beyond the arithmetic part."""

    degree: int
    scale_log2: int
    values_per_half: int
    ciphertexts_per_chunk: int
    cohort_max: int


class DeadlinePolicy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When a round stops waiting: never while anything still moves."""

    progress_seconds: PositiveDecimal
    abandon_seconds: PositiveDecimal


class Terms(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All that is agreed beside the arithmetic."""

    federation: FederationId
    round: Count
    model: Digest
    release: Digest | None
    roster: Digest
    key_record: Digest
    scheme: CkksTerms
    clip: PositiveDecimal
    cohort_minimum: Count
    quorum: Count
    aggregation: str
    server_learning_rate: PositiveDecimal
    privacy: PrivacyPlan
    deadline: DeadlinePolicy
    openers: tuple[ParticipantId, ...]
    agreement: Count
    seats: tuple[ParticipantId, ...] = ()
    auditor: ParticipantId | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """A round's plan; equal plans have equal bytes and equal digests."""

    arithmetic: Arithmetic
    terms: Terms

    def __post_init__(self) -> None:
        _check_openers(self.terms)
        _check_outsiders(self.terms)
        self.parameters()
        self._check_clip()

    def _check_clip(self) -> None:
        # A site would find out after training, and everybody would see that it did.
        steps = exact(self.terms.clip) * 2**self.arithmetic.fraction_bits
        if steps > self.grid().largest:
            raise UnsafeParameters(
                f"clip {self.terms.clip}: an update of that norm leaves the grid of "
                f"{self.arithmetic.value_bits} bits with step 2^-{self.arithmetic.fraction_bits}"
            )

    def digest(self) -> Digest:
        """Return the digest that everything in the round names."""
        return digest_of(self.arithmetic.encode(), canonical.encode(self.terms))

    def grid(self) -> Grid:
        """Return the grid that updates are put on."""
        return Grid(self.arithmetic.fraction_bits, self.arithmetic.value_bits)

    def parameters(self) -> CkksParameters:
        """Return the scheme's parameters, proven to fit.

        Raises:
            UnsafeParameters: they do not, with the numbers.
            MalformedMessage: the two parts of the plan disagree.
        """
        (only,) = self.arithmetic.ranges if len(self.arithmetic.ranges) == 1 else (None,)
        if only is None or self.arithmetic.scheme != CKKS:
            raise UnsafeParameters(f"scheme {self.arithmetic.scheme!r}: only {CKKS!r} is accepted")
        scheme = self.terms.scheme
        parameters = CkksParameters(
            degree=scheme.degree,
            modulus=only.modulus,
            scale_log2=scheme.scale_log2,
            value_bits=self.arithmetic.value_bits,
            cohort_max=scheme.cohort_max,
            values_per_half=scheme.values_per_half,
            ciphertexts_per_chunk=scheme.ciphertexts_per_chunk,
        )
        fits = parameters.geometry(self.arithmetic.dimension).values_per_chunk
        if fits != self.arithmetic.values_per_chunk:
            raise MalformedMessage(
                f"plan: {self.arithmetic.values_per_chunk} values a chunk, the scheme puts {fits}"
            )
        return parameters


CKKS = "ckks/1"
"""The scheme that plans may name; there is no weaker one."""


def digest_of(arithmetic_part: bytes, terms_part: bytes) -> Digest:
    """Return the digest of a plan from its two encoded parts."""
    parts = (hashlib.sha256(part).digest() for part in (arithmetic_part, terms_part))
    return hashlib.sha256(transcript(Purpose.PLAN, *parts)).hexdigest()


def decode(arithmetic_part: bytes, terms_part: bytes) -> Plan:
    """Return the plan that two encoded parts stand for.

    Raises:
        MalformedMessage: a part is not the one encoding of a value.
        UnsafeParameters: its parameters would not keep what they promise.
    """
    return Plan(arithmetic.decode(arithmetic_part), canonical.decode(terms_part, Terms))


def _check_openers(terms: Terms) -> None:
    count = len(terms.openers)
    if not 2 <= count <= 4 or len(set(terms.openers)) != count:
        raise UnsafeParameters(f"{count} openers: two to four different trainers are needed")
    if not (2 <= terms.agreement <= count and 2 * terms.agreement > count):
        raise UnsafeParameters(
            f"agreement of {terms.agreement} among {count} openers: more than half"
        )
    if not 2 <= terms.cohort_minimum <= terms.quorum <= terms.scheme.cohort_max:
        raise UnsafeParameters(
            f"cohort minimum {terms.cohort_minimum}, quorum {terms.quorum}, "
            f"at most {terms.scheme.cohort_max}: must rise, from 2"
        )


def _check_outsiders(terms: Terms) -> None:
    if terms.auditor in terms.openers:
        raise UnsafeParameters(f"{terms.auditor} is opener and auditor: an auditor opens nothing")
    if terms.seats:
        raise UnsafeParameters(f"{len(terms.seats)} seats: under {CKKS!r} nobody holds a share")


def pack(plan: Plan) -> bytes:
    """Return a plan as bytes that `unpack` reads: its arithmetic part behind its length."""
    arithmetic_part = plan.arithmetic.encode()
    return len(arithmetic_part).to_bytes(4, "big") + arithmetic_part + canonical.encode(plan.terms)


def unpack(packed: bytes) -> Plan:
    """Return the plan that `pack` put together.

    Raises:
        MalformedMessage, UnsafeParameters: as for `decode`.
    """
    length = int.from_bytes(packed[:4], "big")
    return decode(packed[4 : 4 + length], packed[4 + length :])
