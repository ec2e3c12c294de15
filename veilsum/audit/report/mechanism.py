"""What a plan's mechanism is, in words, and with which accountants it was accounted."""

from importlib.metadata import PackageNotFoundError, version

from privacy.accounting import ACCOUNTANT, ORDERS
from privacy.distributed_sum import DistributedSum
from privacy.plan import SignedPlan

from .contents import Accounting, MechanismFacts, Trust

_NOISE = {
    "local": "Gaussian, all of it at each site, from the operating system's entropy",
    "distributed": "discrete Gaussian on the integer grid, a part of it at each site, from the "
    "operating system's entropy",
}
_SECOND = ("dp-accounting", "opacus")


def mechanism_of(plan: SignedPlan, countersigned: tuple[int, ...] = ()) -> MechanismFacts:
    """Return what a plan says of noise, sampler and trust.

    Args:
        countersigned: rounds whose sum has the signature of the plan's auditor.
    """
    terms = plan.terms
    training = terms.privacy.training
    shared = isinstance(training, DistributedSum)
    kind = "distributed" if shared else "local"
    return MechanismFacts(
        trust=Trust(
            mechanism=kind,
            honest=training.honest if isinstance(training, DistributedSum) else 1,
            colluders=training.colluders if isinstance(training, DistributedSum) else None,
            scheme=_scheme(plan),
            auditor=terms.auditor or "",
            countersigned=countersigned,
        ),
        sampler=_sampler(training.sampling_rate),
        noise=_NOISE[kind],
        releases=terms.privacy.releases,
        units_cap=training.units_cap if isinstance(training, DistributedSum) else None,
    )


def accounting_of() -> Accounting:
    """Return the accountants that this report asks, and their versions."""
    orders = tuple(f"{order:g}" for order in sorted(ORDERS))
    return Accounting(ACCOUNTANT, orders, {name: _installed(name) for name in _SECOND})


def _scheme(plan: SignedPlan) -> str:
    scheme = plan.terms.scheme
    return f"{type(scheme).__name__.removesuffix('Terms').lower()}, {plan.terms.aggregation}"


def _sampler(rate: str) -> str:
    if rate == "1":
        return "none: every record is in every sum"
    return f"Poisson: each record by itself with probability {rate}"


def _installed(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed; not asked"
