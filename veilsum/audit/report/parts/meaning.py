"""The part on what it means for one person: how sure somebody can become of him or her."""

from collections.abc import Iterable

from veilsum.audit.report.blocks import Absent, Block, Column, Table, Words
from veilsum.audit.report.contents import Report, Risk
from veilsum.audit.report.risk import PRIORS

from .wording import NO_EVIDENCE, NOT_KNOWN, VIEWS, epsilon, rounded_up


def meaning_blocks(report: Report) -> Iterable[Block]:
    """Yield how sure an attacker can become that a person is in a dataset."""
    if not report.risks:
        yield Absent(NO_EVIDENCE)
        return
    yield Words(
        "Somebody suspects that a person is in a dataset, and knows everything else. However the "
        "models are studied, this is the most that the suspicion can become, in the dataset with "
        "the largest epsilon, but for a chance of about δ."
    )
    yield Table(
        "From a suspicion of … to at most",
        (
            Column("Who, and over what"),
            Column("ε", number=True),
            *(Column(f"{prior:.0%}", number=True) for prior in PRIORS),
            Column("μ (Gaussian DP)", number=True),
        ),
        tuple(_risk_row(one) for one in report.risks),
    )
    yield Words(
        "μ is exact where each sum is over all records. Elsewhere it is that of the Gaussian "
        "mechanism with the same tight epsilon at this δ, marked with ≈: for comparison, no bound."
    )


def _risk_row(risk: Risk) -> tuple[str, ...]:
    scope = "life" if risk.scope == "lifetime" else "this job"
    sure = (f"{rounded_up(100 * bound, '0.1')} %" for bound in risk.posterior.values())
    return (f"{dict(VIEWS)[risk.view]}, {scope}", epsilon(risk.epsilon), *sure, _mu(risk))


def _mu(risk: Risk) -> str:
    if risk.mu is None:
        return NOT_KNOWN
    return f"{rounded_up(risk.mu, '0.001')}" if risk.mu_is_exact else f"≈ {risk.mu:.3f}"
