"""What a round's key must be made for, and the plan that is signed once it is. Pure."""

from privacy.arithmetic import Arithmetic, ModulusRange
from privacy.plan import CKKS, CkksTerms, Plan, Terms
from privacy.records import KeySpecification
from privacy.roster import Roster
from privacy.schemes.ckks_parameters import CkksParameters, fitting

from .config import Settings


def parameters(settings: Settings) -> CkksParameters:
    """Return the scheme's parameters for cohorts of the size the operator allows.

    Raises:
        UnsafeParameters: none fit them, with the numbers.
    """
    scheme = settings.scheme
    return fitting(
        value_bits=scheme.value_bits,
        cohort_max=scheme.cohort_max,
        ciphertexts_per_chunk=scheme.ciphertexts_per_chunk,
    )


def key_specification(settings: Settings, roster: Roster) -> KeySpecification:
    """Return what a cohort key under these settings must be made for."""
    chosen = parameters(settings)
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


def plan(
    settings: Settings,
    roster: Roster,
    number: int,
    key_record: str,
    model: str,
    release: str | None,
) -> Plan:
    """Return the plan of round `number`.

    Args:
        key_record: digest of the record that the openers have signed.
        model: digest of the model the round starts from.
        release: digest of the release that made that model; None for the first.
    """
    rounds = settings.rounds
    chosen = parameters(settings)
    terms = Terms(
        federation=settings.federation,
        round=number,
        model=model,
        release=release,
        roster=roster.digest(),
        key_record=key_record,
        scheme=CkksTerms(
            degree=chosen.degree,
            scale_log2=chosen.scale_log2,
            values_per_half=chosen.values_per_half,
            ciphertexts_per_chunk=chosen.ciphertexts_per_chunk,
            cohort_max=chosen.cohort_max,
        ),
        clip=rounds.clip,
        cohort_minimum=rounds.cohort_minimum,
        quorum=rounds.quorum,
        aggregation="mean/1",
        server_learning_rate=rounds.server_learning_rate,
        privacy=settings.privacy,
        deadline=rounds.deadline,
        openers=rounds.openers,
        agreement=rounds.agreement,
        auditor=rounds.auditor,
    )
    return Plan(_arithmetic(settings, chosen), terms)


def _arithmetic(settings: Settings, chosen: CkksParameters) -> Arithmetic:
    geometry = chosen.geometry(settings.model.dimension)
    return Arithmetic(
        scheme=CKKS,
        dimension=geometry.dimension,
        values_per_chunk=geometry.values_per_chunk,
        fraction_bits=settings.scheme.fraction_bits,
        value_bits=settings.scheme.value_bits,
        ranges=(ModulusRange(0, geometry.chunks, 0, chosen.modulus),),
    )
