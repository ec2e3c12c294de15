"""CKKS parameters that keep what they promise, or are refused before a round.

Three conditions, for a ring of degree N, one prime q, scale D, n sites and v-bit values, m of
them in each half of a slot:

*Security.* log2 q stays within the row for 128 bits against quantum attack, ternary secret,
of the Homomorphic Encryption Standard. There is no key-switching prime, so q is all of it.

*No wrap.* A slot holds a + b·i, and each half is m values side by side, x + y·2^k (`fields`).
The width k is the smallest for which a sum of n values stays below 2^(k-1), so that no field
of the sum runs into its neighbour. For each site |a|, |b| <= 2^(v-1)·w, w = 1 + 2^k for two
values and 1 for one, so a slot of the sum has magnitude at most sqrt(2)·n·2^(v-1)·w. The
coefficients of a polynomial are bounded by the largest magnitude of its embedding; the one of
X^(N/4) reaches that bound. With the noise at its very worst (ternary u and s, errors of at
most 21: n·(2·21·N + 22), the encoder's rounding to integers included) and the encoder's
float64 at its very worst (`_TRANSFORM_ERROR`, relative):

    (1 + 2^-46)·sqrt(2)·n·2^(v-1)·w·D + n·(42·N + 22) < q/2

Cohorts are of two at least, so that one site's coefficients stay below q/4, as SEAL demands.

*Exactness.* A fresh ciphertext decrypts to the message plus e·u + e0 + e1·s, with e the key's
error and s its secret, both fixed by the key, and u, e0, e1 drawn for it. The real and the
imaginary part of slot j of the sum of n then have exactly the variance

    (n·N/2)·(2/3·|E_j|² + sigma²·(1 + |S_j|²)) / D²,  sigma² = 10.5,

E and S being the canonical embeddings of e and s: 2/3 is the variance of a ternary
coefficient, 10.5 that of SEAL's centred binomial of 42 bits, and the squares of a row of the
embedding's real part add up to N/2. It is heavy-tailed over slots, because |E_j|² and |S_j|²
are fixed by the key and nearly exponential. Their means are N·sigma² and 2N/3, which gives
the mean variance (n·N/2)·sigma²·(4N/3 + 1)/D²; a key is used only where no slot's deviation
is above 2.5 mean ones (`ckks.check_cohort_key`). Uniform ternary and centred binomial
variables are strictly sub-Gaussian (their moment generating function is below that of a
Gaussian of the same variance), so for given key Chernoff's bound holds without
approximation, and over all halves of slots of a round, padding included, of which there are
at most 2^30:

    P(some half beyond 0.4 from the grid) <= 2^30 · 2·exp(-0.4²/(2·variance)) <= 2^-40

Rounding to the encoder's integers (1/12 for each coefficient) and to float64 (a unit in the
last place of the largest coefficient for each of the log2 N steps of a transform, once for
each site and once for the sum) is added to the variance as if it were independent from
coefficient to coefficient. It is not taken as independent from site to site: sites with equal
values round alike, so their n errors add up to n, not to sqrt(n). A half of a slot is an
integer below 2^39 wherever the three conditions hold, so float64 has it exactly.

A value that opens wrong, instead of being refused, is 0.6 from where it belongs, not 0.4.
Drawing keys again refuses one in ten, so it tells an attacker a fifth of a bit about the key.

Sources: eprint 2019/939 (the standard); Cheon, Kim, Kim, Song, eprint 2016/421 (encryption
and its noise); Vershynin, High-Dimensional Probability, 2.5 (sub-Gaussian sums); Higham,
Accuracy and Stability of Numerical Algorithms, theorem 24.2 (error of a Fourier transform).
"""

import math
from dataclasses import dataclass
from typing import Final

from privacy.errors import UnsafeParameters
from privacy.limbs import Layout

from . import fields
from .base import LARGEST_DIMENSION, Geometry

# Largest log2 q at 128 bits against quantum attack, ternary secret, by ring degree.
POST_QUANTUM_MODULUS_BITS: Final = {
    1024: 25,
    2048: 51,
    4096: 101,
    8192: 202,
    16384: 411,
    32768: 827,
}

# The largest prime below 2^60 that is 1 modulo 2N for N = 4096; SEAL picks the same one.
MODULUS_4096: Final = 0xFFFFFFFFFFFC001
MODULI: Final = {4096: MODULUS_4096}

GUARD: Final = 0.4
GUARD_LOG2_PROBABILITY: Final = -40.0
WORST_SLOT_RATIO: Final = 2.5
ERROR_BOUND: Final = 21
ERROR_VARIANCE: Final = 10.5
TERNARY_VARIANCE: Final = 2 / 3
LARGEST_CHUNK_BYTES: Final = 1 << 20
MOST_PER_HALF: Final = 2

# log2 of the relative error of SEAL's transform, in the 2-norm: log2 N steps, each with an
# error of at most u + gamma_4·(sqrt(2) + u) < 7u, u = 2^-53; 84u for N = 4096.
_TRANSFORM_ERROR: Final = -46


@dataclass(frozen=True, slots=True)
class CkksParameters:
    """Ring, scale, value range and cohort that fit together.

    Who holds a value of this type knows that it is secure against the standard's row, that no
    sum of up to `cohort_max` honest contributions wraps, and that all sums of a round open,
    exactly, but with probability 2^-40.

    Attributes:
        scale_log2: log2 of the scale.
        value_bits: bits of a signed grid integer.
        cohort_max: most contributions in one sum, two or more.
        values_per_half: grid integers side by side in each half of a slot, 1 or 2.
        ciphertexts_per_chunk: ciphertexts of a full chunk.
        degree: N, coefficients of a polynomial; a ciphertext has N halves of slots.
        modulus: the prime q.

    Raises:
        UnsafeParameters: one of the three conditions fails, or the modulus is not one named
            here; the message has the numbers.
    """

    scale_log2: int
    value_bits: int
    cohort_max: int
    values_per_half: int = 1
    ciphertexts_per_chunk: int = 1
    degree: int = 4096
    modulus: int = MODULUS_4096

    def __post_init__(self) -> None:
        self._require_security()
        self._require_ranges()
        self._require_no_wrap()
        self._require_exactness()

    @property
    def scale(self) -> float:
        """The scale, a power of two."""
        return math.ldexp(1.0, self.scale_log2)

    @property
    def largest_value(self) -> int:
        """Largest magnitude of one site's grid integer."""
        return (1 << (self.value_bits - 1)) - 1

    @property
    def field_bits(self) -> int:
        """Width of a field: what the sum of one value of each site needs, with its sign."""
        return fields.width_of(self.largest_value, self.cohort_max)

    @property
    def values_per_ciphertext(self) -> int:
        """Grid integers in one ciphertext: those of both halves of N/2 complex slots."""
        return self.degree * self.values_per_half

    @property
    def layout(self) -> Layout:
        """The container of this scheme's ciphertexts."""
        return Layout(self.degree, (self.modulus,))

    def geometry(self, dimension: int) -> Geometry:
        """How a vector of `dimension` values is cut."""
        return Geometry(dimension, self.values_per_ciphertext * self.ciphertexts_per_chunk)

    def ciphertexts_in(self, values: int) -> int:
        """Ciphertexts that carry `values` grid integers."""
        return -(-values // self.values_per_ciphertext)

    def chunk_bytes(self, values: int) -> int:
        """Bytes of the container that carries `values` grid integers."""
        return self.layout.chunk_bytes(self.ciphertexts_in(values))

    def require_cohort(self, cohort: int) -> None:
        """Refuse a sum of more contributions than cannot wrap.

        Raises:
            UnsafeParameters: not 1 to `cohort_max`.
        """
        if not 1 <= cohort <= self.cohort_max:
            raise UnsafeParameters(
                f"a sum of {cohort} contributions; these parameters hold for 1..{self.cohort_max}"
            )

    def _require_security(self) -> None:
        limit = POST_QUANTUM_MODULUS_BITS.get(self.degree)
        if limit is None:
            raise UnsafeParameters(f"the standard has no row for ring degree {self.degree}")
        if self.modulus.bit_length() > limit:
            raise UnsafeParameters(
                f"log2 q = {self.modulus.bit_length()} > {limit}, the post-quantum row of the "
                f"Homomorphic Encryption Standard for degree {self.degree}"
            )
        if MODULI.get(self.degree) != self.modulus:
            raise UnsafeParameters(f"modulus {self.modulus} is not named for degree {self.degree}")

    def _require_ranges(self) -> None:
        for name, value, low, high in (
            ("value bits", self.value_bits, 2, 40),
            ("cohort", self.cohort_max, 2, 1 << 20),
            ("values per half of a slot", self.values_per_half, 1, MOST_PER_HALF),
            ("log2 of the scale", self.scale_log2, 1, self.modulus.bit_length()),
        ):
            if not low <= value <= high:
                raise UnsafeParameters(f"{name} {value} is outside {low}..{high}")
        most = (LARGEST_CHUNK_BYTES - self.layout.header_bytes) // self.layout.ciphertext_bytes
        if not 1 <= self.ciphertexts_per_chunk <= most:
            raise UnsafeParameters(
                f"{self.ciphertexts_per_chunk} ciphertexts in a chunk are outside 1..{most}, "
                f"what {LARGEST_CHUNK_BYTES} bytes hold"
            )

    def _require_no_wrap(self) -> None:
        largest = largest_scale(
            value_bits=self.value_bits,
            cohort_max=self.cohort_max,
            values_per_half=self.values_per_half,
            degree=self.degree,
            modulus=self.modulus,
        )
        if self.scale_log2 > largest:
            raise UnsafeParameters(
                f"{self._named()} wrap modulo a prime of "
                f"{self.modulus.bit_length()} bits at scale 2^{self.scale_log2}; "
                f"the largest is 2^{largest}"
            )

    def _require_exactness(self) -> None:
        probability = guard_log2_probability(self)
        if probability > GUARD_LOG2_PROBABILITY:
            raise UnsafeParameters(
                f"{self._named()} at scale 2^{self.scale_log2}: P(a value beyond {GUARD} from "
                f"the grid) is bounded by 2^{probability:.1f} only, above "
                f"2^{GUARD_LOG2_PROBABILITY:.0f}"
            )

    def _named(self) -> str:
        return _named(self.cohort_max, self.value_bits, self.values_per_half)


def fitting(*, value_bits: int, cohort_max: int, ciphertexts_per_chunk: int = 1) -> CkksParameters:
    """Return the parameters that carry the most values in a ciphertext.

    Raises:
        UnsafeParameters: none fit; the message has the numbers of each try.
    """
    refusals = []
    for values_per_half in range(MOST_PER_HALF, 0, -1):
        try:
            scale_log2 = largest_scale(
                value_bits=value_bits, cohort_max=cohort_max, values_per_half=values_per_half
            )
            return CkksParameters(
                scale_log2=scale_log2,
                value_bits=value_bits,
                cohort_max=cohort_max,
                values_per_half=values_per_half,
                ciphertexts_per_chunk=ciphertexts_per_chunk,
            )
        except UnsafeParameters as refusal:
            refusals.append(str(refusal))
    raise UnsafeParameters("; ".join(dict.fromkeys(refusals)))


def largest_scale(
    *,
    value_bits: int,
    cohort_max: int,
    values_per_half: int = 1,
    degree: int = 4096,
    modulus: int = MODULUS_4096,
) -> int:
    """Return log2 of the largest scale at which no sum can wrap.

    Raises:
        UnsafeParameters: not even a scale of 2 fits.
    """
    # Squared, so that sqrt(2) needs no rounding; (q-1)/2 is the largest coefficient, so this
    # is more than the transform's error can be.
    transform = modulus >> (1 - _TRANSFORM_ERROR)
    room = (modulus - 1) // 2 - _largest_noise(degree, cohort_max) - transform
    width = fields.width_of((1 << (value_bits - 1)) - 1, cohort_max)
    amplitude = (cohort_max << (value_bits - 1)) * fields.weight_of(width, values_per_half)
    if room <= 0 or 2 * (2 * amplitude) ** 2 >= room**2:
        raise UnsafeParameters(
            f"{_named(cohort_max, value_bits, values_per_half)} leave no room for a scale below "
            f"a prime of {modulus.bit_length()} bits"
        )
    scale_log2 = 1
    while 2 * (amplitude << (scale_log2 + 1)) ** 2 < room**2:
        scale_log2 += 1
    return scale_log2


def mean_slot_deviation(parameters: CkksParameters) -> float:
    """Return the mean standard deviation of a slot half of the largest sum, in grid steps.

    The root of the mean variance over slots and keys, without the rounding terms.
    """
    degree = parameters.degree
    per_site = degree / 2 * ERROR_VARIANCE * (2 * TERNARY_VARIANCE * degree + 1)
    return math.sqrt(parameters.cohort_max * per_site) / parameters.scale


def guard_log2_probability(parameters: CkksParameters) -> float:
    """Return log2 of the bound on P(some value of a round is beyond the guard)."""
    worst = (WORST_SLOT_RATIO * mean_slot_deviation(parameters)) ** 2
    variance = worst + _rounding_variance(parameters)
    exponent = GUARD**2 / (2 * variance) / math.log(2)
    return math.log2(LARGEST_DIMENSION) + 1 - exponent


def _largest_noise(degree: int, cohort: int) -> int:
    # |e·u| and |e1·s| have N terms of at most 21; e0 adds 21, the encoder's rounding 1/2.
    return cohort * (2 * ERROR_BOUND * degree + ERROR_BOUND + 1)


def _rounding_variance(parameters: CkksParameters) -> float:
    cohort, degree = parameters.cohort_max, parameters.degree
    weight = fields.weight_of(parameters.field_bits, parameters.values_per_half)
    one_site = math.sqrt(2) * (weight << (parameters.value_bits - 1)) * parameters.scale
    steps = math.log2(degree)
    encoded = cohort**2 * (1 + steps * math.ulp(one_site) ** 2) / 12
    decoded = steps * math.ulp(parameters.modulus / 2) ** 2 / 12
    return degree / 2 * (encoded + decoded) / parameters.scale**2


def _named(cohort: int, value_bits: int, values_per_half: int) -> str:
    return f"{cohort} sites of {value_bits} bits, {values_per_half} in a half of a slot,"
