"""What is audited: one mechanism under one scheme, with so many canaries over so many rounds."""

import math
from dataclasses import dataclass
from fractions import Fraction
from hashlib import sha256

from privacy.accounting import NeighbouringRelation, UnitOfPrivacy, epsilon_of
from privacy.arithmetic import Arithmetic, ModulusRange
from privacy.distributed_sum import DistributedSum
from privacy.errors import UnsafeParameters
from privacy.events import Events, SelfComposed, exact
from privacy.identifiers import Digest
from privacy.mechanism import Training, events_of
from privacy.plan import (
    CKKS,
    SHARES,
    CkksTerms,
    DeadlinePolicy,
    Mechanism,
    Plan,
    PrivacyPlan,
    SharesTerms,
    Terms,
    aggregation_of,
)
from privacy.schemes.ckks_parameters import CkksParameters
from privacy.schemes.ckks_parameters import fitting as ckks_fitting
from privacy.schemes.shares.layout import WORD_BITS, SharesParameters
from privacy.schemes.shares.layout import fitting as shares_fitting

from .site import NETWORK_VALUES

ORDINARY_RECORDS = 8
"""Of each site, beside canaries and the one that is broken."""

_VALUE_BITS = 30
_OTHER_SITES = 2  # under `local` the others are the attacker's
_BROKEN = 1


@dataclass(frozen=True, slots=True)
class Setting:
    """The numbers of one audit, all of them fixed before it runs.

    Attributes:
        training: the plan's numbers; the mechanism follows from them.
        scheme: the protection scheme, as a plan names it.
        delta: of the claim.
        rounds: how many, all over the same data.
        canaries: each in the data of an honest site with probability one half.
        held_out: coordinates that no canary has.

    Raises:
        UnsafeParameters: too few canaries or coordinates to say anything.
    """

    training: Training
    scheme: str
    delta: float
    rounds: int
    canaries: int
    held_out: int

    def __post_init__(self) -> None:
        if min(self.canaries, self.held_out) < 100 or self.rounds < 1:
            raise UnsafeParameters(
                f"{self.canaries} canaries, {self.held_out} coordinates, {self.rounds} rounds: "
                "at least 100, 100 and 1"
            )

    @property
    def mechanism(self) -> Mechanism:
        """The mechanism whose numbers `training` has."""
        shared = isinstance(self.training, DistributedSum)
        return Mechanism.DISTRIBUTED if shared else Mechanism.LOCAL

    @property
    def honest(self) -> int:
        """Sites whose noise the attacker does not know."""
        order = self.training
        return order.honest if isinstance(order, DistributedSum) else 1

    @property
    def colluders(self) -> int:
        """Sites whose updates the attacker knows."""
        order = self.training
        return order.colluders if isinstance(order, DistributedSum) else _OTHER_SITES

    @property
    def steps(self) -> int:
        """Noisy steps over all rounds."""
        order = self.training
        return self.rounds * (1 if isinstance(order, DistributedSum) else order.steps)

    @property
    def coordinates(self) -> int:
        """Coordinates of the model's parameter for canaries."""
        return self.canaries + self.held_out

    @property
    def dimension(self) -> int:
        """Values of a whole update."""
        return NETWORK_VALUES + self.coordinates

    def claims(self) -> tuple[float, float]:
        """Return epsilon of all rounds, as budgets count it: of the sums, of one vector."""
        events: Events = events_of(self.training)
        sums, vector = (
            epsilon_of(SelfComposed(self.rounds, event), self.delta)
            for event in (events.sums, events.vector)
        )
        return sums, vector


def guesses_of(canaries: int) -> int:
    """Return how many of so many canaries are guessed; a tenth, where bounds are near their best.

    Never chosen after looking: the best of several would need a correction.
    """
    return canaries // 10 // 2 * 2


def site_names(setting: Setting) -> tuple[str, ...]:
    """Return the names of the sites, honest ones first."""
    honest = (f"honest-{at}" for at in range(setting.honest))
    return (*honest, *(f"colluder-{at}" for at in range(setting.colluders)))


def plan_of(setting: Setting, number: int) -> Plan:
    """Return the plan of a round, as every part of the pipeline reads it."""
    names = site_names(setting)
    bound = _largest_norm(setting)
    shares = setting.scheme == SHARES
    scheme, arithmetic = (_shares if shares else _ckks)(setting, len(names), bound)
    privacy = PrivacyPlan(
        mechanism=setting.mechanism,
        unit=UnitOfPrivacy.RECORD,
        neighbouring=NeighbouringRelation.ADD_OR_REMOVE_ONE,
        delta=f"{setting.delta:.12f}".rstrip("0"),
        training=setting.training,
        releases=("participation",),
    )
    terms = Terms(
        federation="privacy-audit",
        round=number,
        model=_stands_for(f"model {number}"),
        release=None,
        roster=_stands_for("roster"),
        key_record=None if shares else _stands_for(f"key {number}"),
        scheme=scheme,
        clip=_decimal(bound),
        cohort_minimum=len(names),
        quorum=len(names),
        aggregation=aggregation_of(privacy),
        server_learning_rate="1",
        privacy=privacy,
        deadline=DeadlinePolicy(progress_seconds="3", abandon_seconds="60"),
        openers=names[:2],
        agreement=2,
        rounds_left=setting.rounds - number + 1,
        seats=("seat-0", "seat-1", "seat-2") if shares else (),
        auditor=None if shares else "auditor",
    )
    return Plan(arithmetic, terms)


def _largest_norm(setting: Setting) -> Fraction:
    """Return a bound that no site's update reaches, so that it changes nothing here."""
    order, units = setting.training, ORDINARY_RECORDS + _BROKEN + setting.canaries
    if isinstance(order, DistributedSum):
        return order.largest_norm()
    gradients = order.steps * (math.isqrt(setting.canaries) + 1 + units - setting.canaries)
    noise = 2 * float(order.noise_multiplier) * math.sqrt(order.steps * setting.dimension)
    scale = exact(order.clip) * exact(order.learning_rate) / order.divisor
    return math.ceil(gradients + noise) * scale


def _decimal(value: Fraction) -> str:
    return f"{float(value):.9f}".rstrip("0").rstrip(".")


def _fraction_bits(setting: Setting, bound: Fraction) -> int:
    """Return the finest grid that holds an update of norm `bound`, with its noise."""
    room = bound + 12 * exact(setting.training.noise_multiplier) * exact(setting.training.clip)
    return max(0, math.floor(math.log2(((1 << (_VALUE_BITS - 1)) - 1) / room)))


def _ckks(setting: Setting, sites: int, bound: Fraction) -> tuple[CkksTerms, Arithmetic]:
    parameters: CkksParameters = ckks_fitting(value_bits=_VALUE_BITS, cohort_max=sites)
    terms = CkksTerms(
        degree=parameters.degree,
        scale_log2=parameters.scale_log2,
        values_per_half=parameters.values_per_half,
        ciphertexts_per_chunk=parameters.ciphertexts_per_chunk,
        cohort_max=sites,
    )
    per_chunk = parameters.geometry(setting.dimension).values_per_chunk
    return terms, _arithmetic(setting, bound, CKKS, per_chunk, parameters.modulus)


def _shares(setting: Setting, sites: int, bound: Fraction) -> tuple[SharesTerms, Arithmetic]:
    parameters: SharesParameters = shares_fitting(
        value_bits=_VALUE_BITS, cohort_max=sites, scored=False
    )
    first, second, third = (_stands_for(f"start {seat}") for seat in range(3))
    terms = SharesTerms(
        values_per_word=parameters.values_per_word,
        leaves_per_chunk=parameters.leaves_per_chunk,
        cohort_max=sites,
        starts=(first, second, third),
    )
    per_chunk = parameters.geometry(setting.dimension).values_per_chunk
    return terms, _arithmetic(setting, bound, SHARES, per_chunk, 1 << WORD_BITS)


def _arithmetic(
    setting: Setting, bound: Fraction, scheme: str, per_chunk: int, modulus: int
) -> Arithmetic:
    chunks = -(-setting.dimension // per_chunk)
    return Arithmetic(
        scheme=scheme,
        dimension=setting.dimension,
        values_per_chunk=per_chunk,
        fraction_bits=_fraction_bits(setting, bound),
        value_bits=_VALUE_BITS,
        ranges=(ModulusRange(0, chunks, 0, modulus),),
    )


def _stands_for(what: str) -> Digest:
    """Return a digest for a document that an audit has no use for."""
    return sha256(f"veilsum audit privacy: {what}".encode()).hexdigest()
