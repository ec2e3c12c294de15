"""What a round's key must be made for, and the plan that is signed once it is. Pure."""

from dataclasses import replace
from math import isqrt

from coordinator.config import Settings
from privacy.arithmetic import Arithmetic, ModulusRange
from privacy.errors import IllegalEvent
from privacy.events import exact
from privacy.plan import CKKS, SHARES, CkksTerms, Plan, SharesTerms, Terms, aggregation_of
from privacy.records import KeySpecification
from privacy.roster import Roster
from privacy.schemes import ckks_parameters
from privacy.schemes.ckks_parameters import CkksParameters
from privacy.schemes.shares import layout
from privacy.schemes.shares.layout import WORD_BITS, SharesParameters
from privacy.schemes.shares.norm_bound import NormBound

NO_STARTS = ("", "", "")
_ANYBODYS = ("0" * 64, "1" * 64, "2" * 64)


def parameters(settings: Settings) -> CkksParameters | SharesParameters:
    """Return the scheme's parameters for cohorts of the size the operator allows.

    Raises:
        UnsafeParameters: none fit them, or what is asked of them, with the numbers.
    """
    if settings.scheme.name == SHARES:
        return _shares_parameters(settings)
    return _ckks_parameters(settings)


def key_specification(settings: Settings, roster: Roster) -> KeySpecification:
    """Return what a cohort key under these settings must be made for.

    Raises:
        IllegalEvent: their scheme has no key.
    """
    if settings.scheme.name != CKKS:
        raise IllegalEvent(f"rounds under {settings.scheme.name} have no key")
    chosen = _ckks_parameters(settings)
    return KeySpecification(
        roster=roster.digest(),
        scheme=CKKS,
        degree=chosen.degree,
        modulus=str(chosen.modulus),
        scale_log2=chosen.scale_log2,
        value_bits=chosen.value_bits,
        cohort_max=chosen.cohort_max,
        values_per_half=chosen.values_per_half,
        ciphertexts_per_chunk=chosen.ciphertexts_per_chunk,
        openers=settings.rounds.openers,
    )


def norm_bound(settings: Settings) -> int:
    """Return the largest L2 norm of an honest update in grid steps, rounded up.

    Each of d values moves by half a step at most when it is put on the grid, so the whole
    vector by sqrt(d)/2 at most: floor(clip · 2^f + sqrt(d)/2) + 1.
    """
    steps = exact(settings.rounds.clip) * 2**settings.scheme.fraction_bits
    over, under = steps.numerator, steps.denominator
    # The floor of a sum is that of its floored root: all else in it is a fraction of integers.
    floored: int = (2 * over + isqrt(under**2 * settings.model.dimension)) // (2 * under)
    return floored + 1


def plan(
    settings: Settings,
    roster: Roster,
    number: int,
    key_record: str | None,
    model: str,
    release: str | None,
    starts: tuple[str, str, str] = NO_STARTS,
    released: int = 0,
) -> Plan:
    """Return the plan of round `number`.

    Args:
        key_record: digest of the record that the openers have signed; None where the scheme
            has no key.
        model: digest of the model the round starts from.
        release: digest of the release that made that model; None for the first.
        starts: under `shares`, of each seat in order; empty for one that is away.
        released: models that the programme has released before this round.

    Raises:
        UnsafeParameters: the settings would not keep what a plan promises.
    """
    rounds = settings.rounds
    terms = Terms(
        federation=settings.federation,
        round=number,
        model=model,
        release=release,
        roster=roster.digest(),
        key_record=key_record,
        scheme=_scheme_terms(settings, starts),
        clip=rounds.clip,
        cohort_minimum=rounds.cohort_minimum,
        quorum=rounds.quorum,
        aggregation=aggregation_of(settings.privacy),
        server_learning_rate=rounds.server_learning_rate,
        privacy=settings.privacy,
        deadline=rounds.deadline,
        openers=rounds.openers,
        agreement=rounds.agreement,
        rounds_left=rounds.wanted - released,
        seats=rounds.seats,
        auditor=rounds.auditor,
    )
    return Plan(arithmetic(settings), terms)


def check(settings: Settings, roster: Roster) -> None:
    """Return if rounds can be planned from these settings; asked before anything is served.

    Raises:
        UnsafeParameters: they cannot, with the numbers or the names.
    """
    key_record = "0" * 64 if settings.scheme.name == CKKS else None
    plan(settings, roster, 1, key_record, settings.model.initial, None, _ANYBODYS)


def _ckks_parameters(settings: Settings) -> CkksParameters:
    scheme = settings.scheme
    return ckks_parameters.fitting(
        value_bits=scheme.value_bits,
        cohort_max=scheme.cohort_max,
        ciphertexts_per_chunk=scheme.ciphertexts_per_chunk,
    )


def _shares_parameters(settings: Settings) -> SharesParameters:
    scheme = settings.scheme
    if scheme.bound_norms:
        NormBound(norm_bound(settings))
    most = layout.fitting(
        value_bits=scheme.value_bits, cohort_max=scheme.cohort_max, scored=not scheme.packed
    )
    return replace(most, leaves_per_chunk=scheme.leaves_per_chunk)


def _scheme_terms(settings: Settings, starts: tuple[str, str, str]) -> CkksTerms | SharesTerms:
    if settings.scheme.name == SHARES:
        return _shares_terms(settings, _shares_parameters(settings), starts)
    return _ckks_terms(settings, _ckks_parameters(settings))


def _ckks_terms(settings: Settings, chosen: CkksParameters) -> CkksTerms:
    return CkksTerms(
        degree=chosen.degree,
        scale_log2=chosen.scale_log2,
        values_per_half=chosen.values_per_half,
        ciphertexts_per_chunk=chosen.ciphertexts_per_chunk,
        cohort_max=chosen.cohort_max,
        score_step_log2=settings.scheme.score_step_log2,
    )


def _shares_terms(
    settings: Settings, chosen: SharesParameters, starts: tuple[str, str, str]
) -> SharesTerms:
    scheme = settings.scheme
    return SharesTerms(
        values_per_word=chosen.values_per_word,
        leaves_per_chunk=chosen.leaves_per_chunk,
        cohort_max=chosen.cohort_max,
        starts=starts,
        norm_bound=norm_bound(settings) if scheme.bound_norms else None,
        score_step_log2=scheme.score_step_log2,
        unchecked=scheme.unchecked,
    )


def arithmetic(settings: Settings) -> Arithmetic:
    """Return what is added, for every round of these settings.

    Raises:
        UnsafeParameters: no scheme parameters fit the settings.
    """
    chosen = parameters(settings)
    geometry = chosen.geometry(settings.model.dimension)
    modulus = chosen.modulus if isinstance(chosen, CkksParameters) else 1 << WORD_BITS
    return Arithmetic(
        scheme=settings.scheme.name,
        dimension=geometry.dimension,
        values_per_chunk=geometry.values_per_chunk,
        fraction_bits=settings.scheme.fraction_bits,
        value_bits=settings.scheme.value_bits,
        ranges=(ModulusRange(0, geometry.chunks, 0, modulus),),
    )
