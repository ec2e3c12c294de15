"""Everything agreed before a round, in one value with one digest.

    plan digest = SHA-256(transcript(tag, SHA-256(arithmetic), SHA-256(terms)))

The arithmetic part is ABI-encoded, so that a contract can open it; the terms are
canonical JSON (RFC 8785). The coordinator signs the digest; each site checks the
plan against its own policy before it touches data.
"""

import hashlib
from dataclasses import dataclass
from enum import StrEnum
from math import ceil, isqrt
from typing import Annotated

import msgspec

from . import arithmetic, canonical
from .accounting import NeighbouringRelation, UnitOfPrivacy
from .arithmetic import Arithmetic, ModulusRange
from .distributed_sum import DistributedSum, check_fits
from .errors import MalformedMessage, UnsafeParameters
from .events import PositiveDecimal, exact
from .grid import Grid
from .identifiers import Digest, FederationId, ParticipantId
from .mechanism import Training
from .records import MaybeDigest
from .schemes.base import Geometry
from .schemes.ckks_parameters import CkksParameters
from .schemes.shares.evidence import MOST_CHUNKS
from .schemes.shares.layout import SEATS, WORD_BITS, SharesParameters
from .schemes.shares.norm_bound import NormBound
from .signing import Purpose, transcript

Count = Annotated[int, msgspec.Meta(ge=1, le=100_000)]


class Mechanism(StrEnum):
    """Where the noise comes from."""

    LOCAL = "local"
    """Each site's update is noised until it is private by itself."""
    DISTRIBUTED = "distributed"
    """Each site adds its part of a noise that hides the sum."""


class PrivacyPlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a round costs in privacy, and whatever else it lets out."""

    mechanism: Mechanism
    unit: UnitOfPrivacy
    neighbouring: NeighbouringRelation
    delta: PositiveDecimal
    training: Training
    releases: tuple[str, ...]

    def __post_init__(self) -> None:
        if not 0 < exact(self.delta) < 1:
            raise UnsafeParameters(f"delta {self.delta}: above 0 and below 1")
        shared = isinstance(self.training, DistributedSum)
        if shared != (self.mechanism is Mechanism.DISTRIBUTED):
            raise UnsafeParameters(f"mechanism {self.mechanism}: the training is of the other")


class CkksTerms(
    msgspec.Struct,
    frozen=True,
    forbid_unknown_fields=True,
    tag_field="kind",
    tag="ckks",
    omit_defaults=True,
):
    """The parameters of `ckks` beyond the arithmetic part, and what sites state of their updates.

    Attributes:
        score_step_log2: each site states the product of its update with the released step, and
            openers sign it rounded to multiples of 2^this. None: no scores, and not a word of
            them in the plan, whose digest is that of plans from before there were any.
    """

    degree: int
    scale_log2: int
    values_per_half: int
    ciphertexts_per_chunk: int
    cohort_max: int
    score_step_log2: Annotated[int, msgspec.Meta(ge=0, le=62)] | None = None

    def releases(self) -> tuple[str, ...]:
        """Return what is let out about single updates, as the privacy plan must list it."""
        return (ALIGNMENT_RELEASE,) if self.score_step_log2 is not None else ()


class SharesTerms(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="shares"
):
    """The parameters of `shares` beyond the arithmetic part, and what its seats are asked.

    Attributes:
        starts: in the order of the seats, what each drew when its process started, 32 bytes in
            hex; empty for one that was away. A seat that has no record of its own certifies the
            round in that process only.
        norm_bound: largest L2 norm of an update in grid steps; seats leave out who is over
            it. None for no such question.
        score_step_log2: squared norms, and products with the sum, are opened rounded to
            multiples of 2^this. None: they are not asked for.
        unchecked: whether a cohort may be frozen without the norm bound where one seat is
            away; if not, the round waits for that seat, and ends without it.
    """

    values_per_word: int
    leaves_per_chunk: int
    cohort_max: int
    starts: tuple[MaybeDigest, MaybeDigest, MaybeDigest]
    norm_bound: Annotated[int, msgspec.Meta(ge=1, le=1 << 24)] | None = None
    score_step_log2: Annotated[int, msgspec.Meta(ge=0, le=62)] | None = None
    unchecked: bool = False

    def releases(self) -> tuple[str, ...]:
        """Return what the answers let out, as the privacy plan must list it."""
        bound = (NORM_BOUND_RELEASE,) if self.norm_bound is not None else ()
        scores = SCORE_RELEASES if self.score_step_log2 is not None else ()
        return (*bound, *scores)


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
    key_record: Digest | None
    scheme: CkksTerms | SharesTerms
    clip: PositiveDecimal
    cohort_minimum: Count
    quorum: Count
    aggregation: str
    server_learning_rate: PositiveDecimal
    privacy: PrivacyPlan
    deadline: DeadlinePolicy
    openers: tuple[ParticipantId, ...]
    agreement: Count
    rounds_left: Count
    seats: tuple[ParticipantId, ...] = ()
    auditor: ParticipantId | None = None


@dataclass(frozen=True, slots=True)
class SignedPlan:
    """What a plan says, whether or not anybody may still work under it: for evidence.

    Rules become stricter, and what was signed before is evidence all the same. Whoever takes
    part in a round takes a `Plan`.
    """

    arithmetic: Arithmetic
    terms: Terms

    def digest(self) -> Digest:
        """Return the digest that everything in the round names."""
        return digest_of(self.arithmetic.encode(), canonical.encode(self.terms))


@dataclass(frozen=True, slots=True)
class Plan(SignedPlan):
    """A round's plan that this version accepts; equal plans have equal bytes and equal digests."""

    def __post_init__(self) -> None:
        _check_openers(self.terms)
        _check_outsiders(self.terms)
        if self.arithmetic.scheme == SHARES:
            self.shares()
            _check_seats(self.terms)
        else:
            self.parameters()
            _check_no_seats(self.terms)
        self._check_clip()
        _check_mechanism(self)

    def _check_clip(self) -> None:
        # A site would find out after training, and everybody would see that it did.
        steps = exact(self.terms.clip) * 2**self.arithmetic.fraction_bits
        if steps > self.grid().largest:
            raise UnsafeParameters(
                f"clip {self.terms.clip}: an update of that norm leaves the grid of "
                f"{self.arithmetic.value_bits} bits with step 2^-{self.arithmetic.fraction_bits}"
            )

    def grid(self) -> Grid:
        """Return the grid that updates are put on."""
        return Grid(self.arithmetic.fraction_bits, self.arithmetic.value_bits)

    def largest_norm(self) -> int:
        """Return the largest L2 norm, in grid steps, that a clipped update has on the grid.

        Rounding moves each coordinate by half a step at most.
        """
        steps = exact(self.terms.clip) * (1 << self.arithmetic.fraction_bits)
        return ceil(steps) + isqrt(self.arithmetic.dimension) // 2 + 1

    def geometry(self) -> Geometry:
        """Return how the vector is cut into chunks."""
        return Geometry(self.arithmetic.dimension, self.arithmetic.values_per_chunk)

    def parameters(self) -> CkksParameters:
        """Return the parameters of `ckks`, proven to fit.

        Raises:
            UnsafeParameters: they do not, with the numbers, or the plan is of another scheme.
            MalformedMessage: the two parts of the plan disagree.
        """
        only, scheme = self._only_range(), self.terms.scheme
        if self.arithmetic.scheme != CKKS:
            raise UnsafeParameters(f"scheme {self.arithmetic.scheme!r} is not {CKKS!r}")
        if not isinstance(scheme, CkksTerms):
            raise MalformedMessage(f"plan: the scheme is {CKKS!r}, its terms are of another")
        parameters = CkksParameters(
            degree=scheme.degree,
            modulus=only.modulus,
            scale_log2=scheme.scale_log2,
            value_bits=self.arithmetic.value_bits,
            cohort_max=scheme.cohort_max,
            values_per_half=scheme.values_per_half,
            ciphertexts_per_chunk=scheme.ciphertexts_per_chunk,
        )
        self._check_geometry(parameters.geometry(self.arithmetic.dimension))
        _check_products(self, scheme)
        return parameters

    def shares(self) -> SharesParameters:
        """Return the parameters of `shares`, proven to fit.

        Raises:
            UnsafeParameters: they do not, with the numbers, or the plan is of another scheme.
            MalformedMessage: the two parts of the plan disagree.
        """
        scheme = self.terms.scheme
        if self.arithmetic.scheme != SHARES:
            raise UnsafeParameters(f"scheme {self.arithmetic.scheme!r} is not {SHARES!r}")
        if not isinstance(scheme, SharesTerms):
            raise MalformedMessage(f"plan: the scheme is {SHARES!r}, its terms are of another")
        if self._only_range().modulus != 1 << WORD_BITS:
            raise UnsafeParameters(f"{SHARES!r} adds modulo 2^{WORD_BITS}")
        parameters = SharesParameters(
            value_bits=self.arithmetic.value_bits,
            cohort_max=scheme.cohort_max,
            values_per_word=scheme.values_per_word,
            leaves_per_chunk=scheme.leaves_per_chunk,
        )
        self._check_geometry(parameters.geometry(self.arithmetic.dimension))
        if self.arithmetic.chunks > MOST_CHUNKS:
            raise UnsafeParameters(
                f"{self.arithmetic.chunks} chunks: no dispute about a sum of more than "
                f"{MOST_CHUNKS} can be settled; plan more leaves a chunk"
            )
        _check_starts(scheme)
        _check_questions(scheme, parameters, self.terms.privacy)
        return parameters

    def questions(self) -> SharesTerms:
        """Return what seats are asked about updates that they cannot open.

        Raises:
            UnsafeParameters: the plan is of another scheme.
        """
        scheme = self.terms.scheme
        if not isinstance(scheme, SharesTerms):
            raise UnsafeParameters(f"scheme {self.arithmetic.scheme!r} is not {SHARES!r}")
        return scheme

    def _only_range(self) -> ModulusRange:
        if len(self.arithmetic.ranges) != 1:
            raise UnsafeParameters(f"{len(self.arithmetic.ranges)} ranges of moduli, expected one")
        return self.arithmetic.ranges[0]

    def _check_geometry(self, fits: Geometry) -> None:
        if fits != self.geometry():
            raise MalformedMessage(
                f"plan: {self.arithmetic.values_per_chunk} values a chunk, the scheme puts "
                f"{fits.values_per_chunk}"
            )


CKKS = "ckks/1"
SHARES = "shares/1"
"""The schemes that plans may name; there is no weaker one."""

NORM_BOUND_RELEASE = "norm-bound"
ALIGNMENT_RELEASE = "alignment"
SCORE_RELEASES = ("squared-norm", ALIGNMENT_RELEASE)
"""What is let out about single updates, in the words of a privacy plan's releases: the bound and
both scores under `shares`, the alignment alone under `ckks`."""


MEAN = "mean/1"
SUM = "sum/1"
"""What becomes of the opened sum: its mean over the cohort, or one step against it."""


def aggregation_of(privacy: PrivacyPlan) -> str:
    """Return how the sum of a round becomes the next model, which its mechanism says."""
    return SUM if privacy.mechanism is Mechanism.DISTRIBUTED else MEAN


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


def decode_signed(arithmetic_part: bytes, terms_part: bytes) -> SignedPlan:
    """Return what two encoded parts say, without the rules that new plans must keep.

    The ranges that fields have by themselves are part of the form: they may be widened, and
    never narrowed, or old evidence cannot be read. A stricter rule belongs to `Plan`.

    Raises:
        MalformedMessage: a part is not the one encoding of a value.
        UnsafeParameters: a number that no plan of any version has.
    """
    return SignedPlan(arithmetic.decode(arithmetic_part), canonical.decode(terms_part, Terms))


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


def _check_mechanism(plan: Plan) -> None:
    terms = plan.terms
    wanted = aggregation_of(terms.privacy)
    if terms.aggregation != wanted:
        raise UnsafeParameters(
            f"aggregation {terms.aggregation!r}: mechanism {terms.privacy.mechanism} has {wanted!r}"
        )
    if isinstance(terms.privacy.training, DistributedSum):
        _check_distributed(plan, terms.privacy.training)


def _check_distributed(plan: Plan, order: DistributedSum) -> None:
    terms = plan.terms
    if terms.cohort_minimum < order.cohort_minimum():
        raise UnsafeParameters(
            f"cohort minimum {terms.cohort_minimum}: {order.honest} honest sites and "
            f"{order.colluders} colluders need {order.cohort_minimum()}"
        )
    if exact(terms.clip) != order.largest_norm():
        raise UnsafeParameters(
            f"clip {terms.clip}: {order.units_cap} units of {order.clip} have a norm of "
            f"{float(order.largest_norm()):g}, and clip is exactly that"
        )
    check_fits(order, plan.grid(), plan.arithmetic.dimension)
    if plan.arithmetic.scheme == CKKS and terms.auditor is None:
        raise UnsafeParameters(
            f"mechanism {Mechanism.DISTRIBUTED} under {CKKS!r} without an auditor: a coordinator "
            "that shows two cohorts gets a single update, which has too little noise; name one"
        )
    # A site's vector has a part of the noise only, and answers about it have none.
    if terms.scheme.releases():
        raise UnsafeParameters(
            f"mechanism {Mechanism.DISTRIBUTED} leaves a single update too little noise for "
            f"{', '.join(terms.scheme.releases())}; ask nothing about single updates"
        )


def _check_outsiders(terms: Terms) -> None:
    if terms.auditor in terms.openers:
        raise UnsafeParameters(f"{terms.auditor} is opener and auditor: an auditor opens nothing")


def _check_no_seats(terms: Terms) -> None:
    if terms.key_record is None:
        raise UnsafeParameters(f"a plan of {CKKS!r} names the record of its key")
    if terms.seats:
        raise UnsafeParameters(f"{len(terms.seats)} seats: under {CKKS!r} nobody holds a share")


def _check_seats(terms: Terms) -> None:
    if terms.key_record is not None:
        raise UnsafeParameters(f"a plan of {SHARES!r} has no key to name")
    if len(terms.seats) != SEATS or len(set(terms.seats)) != SEATS:
        raise UnsafeParameters(f"{len(terms.seats)} seats: {SHARES!r} needs {SEATS} different ones")
    others = {*terms.openers, terms.auditor}
    both = sorted(set(terms.seats) & {name for name in others if name is not None})
    if both:
        raise UnsafeParameters(f"{', '.join(both)}: a seat neither opens sums nor audits them")


def _check_starts(scheme: SharesTerms) -> None:
    up = [start for start in scheme.starts if start]
    if len(up) < SEATS - 1:
        raise UnsafeParameters(f"starts of {len(up)} seats: without two nobody certifies")
    if len(set(up)) != len(up):
        raise UnsafeParameters("two seats have one start: a machine is a copy of another")


def _check_questions(
    scheme: SharesTerms, parameters: SharesParameters, privacy: PrivacyPlan
) -> None:
    asked = scheme.releases()
    if asked and not parameters.scored:
        raise UnsafeParameters(
            f"{parameters.values_per_word} values in a word cannot be asked about; plan one"
        )
    if scheme.norm_bound is not None:
        NormBound(scheme.norm_bound)
    if scheme.score_step_log2 is not None:
        _check_scores(scheme)
    hidden = sorted(set(asked) - set(privacy.releases))
    if hidden:
        raise UnsafeParameters(f"privacy.releases does not list {', '.join(hidden)}")


def _check_products(plan: Plan, scheme: CkksTerms) -> None:
    if scheme.score_step_log2 is None:
        return
    hidden = sorted(set(scheme.releases()) - set(plan.terms.privacy.releases))
    if hidden:
        raise UnsafeParameters(f"privacy.releases does not list {', '.join(hidden)}")
    longest = plan.largest_norm()
    # A score has to have room in its record, and the sum in what float64 holds exactly.
    if scheme.cohort_max * longest**2 >= 1 << 62:
        raise UnsafeParameters(
            f"scores of {scheme.cohort_max} updates within a norm of {longest} grid steps have no "
            "room in 62 bits; plan fewer fraction bits"
        )


def _check_scores(scheme: SharesTerms) -> None:
    # The product with the sum of so many updates of that norm is read modulo 2^64, with a sign.
    if scheme.norm_bound is None:
        raise UnsafeParameters("scores need a norm bound: a longer update's squared norm wraps")
    if scheme.cohort_max * scheme.norm_bound**2 >= 1 << 62:
        raise UnsafeParameters(
            f"scores of {scheme.cohort_max} updates within a norm of {scheme.norm_bound} wrap; "
            "plan fewer fraction bits"
        )


def pack(plan: Plan) -> bytes:
    """Return a plan as bytes that `unpack` reads: its arithmetic part behind its length."""
    arithmetic_part = plan.arithmetic.encode()
    return len(arithmetic_part).to_bytes(4, "big") + arithmetic_part + canonical.encode(plan.terms)


def unpack(packed: bytes) -> Plan:
    """Return the plan that `pack` put together.

    Raises:
        MalformedMessage, UnsafeParameters: as for `decode`.
    """
    return decode(*parts(packed))


def unpack_signed(packed: bytes) -> SignedPlan:
    """Return what a plan that `pack` put together says; as `decode_signed`."""
    return decode_signed(*parts(packed))


def parts(packed: bytes) -> tuple[bytes, bytes]:
    """Return the arithmetic part and the terms of a plan that `pack` put together, undecoded."""
    length = int.from_bytes(packed[:4], "big")
    return packed[4 : 4 + length], packed[4 + length :]
