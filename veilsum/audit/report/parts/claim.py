"""The lines to take away: what was spent for life, and by this job; where, and for whom."""

from collections.abc import Iterable

from veilsum.audit.report.contents import Judgement, Report, State

from .wording import VIEWS, dataset_name, epsilon


def claim_of(report: Report) -> str:
    """Return the lines to take away: what was spent for life, and by this job; where, for whom."""
    if not report.judgement.bears_numbers():
        return f"No epsilon can be stated: {_why_none(report.judgement)}."
    if report.worst("sums") is None or report.worst("vector") is None:
        return "No epsilon can be stated for this release from this evidence."
    return f"{_life(report)} {_of_release(report)} {_for_whom(report)}"


def _why_none(judgement: Judgement) -> str:
    if judgement.state is State.TAMPERED:
        return "the evidence was tampered with"
    if judgement.state is State.ACCOUNTING_MISMATCH:
        return "the accounts of it do not add up"
    return "its keys were held against none that a reader has compared (veilsum audit keys)"


def _life(report: Report) -> str:
    if report.worst("sums", "lifetime") is None:
        return "For life nothing can be stated: no ledger is here, only what headers claim."
    both = _both_views(report, "lifetime")
    return f"For life, over all jobs, pre-processing and corrections: {both}."


def _of_release(report: Report) -> str:
    sums, vector = (largest(report, key, "release") for key, _ in VIEWS)
    part_of_it = all(_is_within(report, key) for key, _ in VIEWS)
    if not part_of_it:
        # No ledger, or more by the headers of a site whose ledger is not here.
        return f"This job's rounds up to this release: {_both_views(report, 'release')}."
    parts = sums if sums == vector else f"{sums} and {vector}"
    return f"Of that, this job's rounds up to this release: ε ≤ {parts}."


def _is_within(report: Report, view: str) -> bool:
    life, job = report.worst(view, "lifetime"), report.worst(view)
    if life is None or job is None:
        return False
    return bool(getattr(job, view).release <= getattr(life, view).lifetime)


def _both_views(report: Report, scope: str) -> str:
    sums, vector = largest(report, "sums", scope), largest(report, "vector", scope)
    honest = _honest(report)
    if sums == vector and honest is None:
        return f"ε ≤ {sums} in both views"
    rests = "" if honest is None else f", while {honest} honest sites add their noise to each sum,"
    return (
        f"ε ≤ {sums} towards who sees sums only{rests} and ε ≤ {vector} towards who opens one "
        "update"
    )


def _honest(report: Report) -> int | None:
    """Return how many sites' noise the epsilon of sums rests on; None for each site's own."""
    trust = None if report.mechanism is None else report.mechanism.trust
    counted = [one.honest for one in report.datasets]
    counted += [trust.honest] if trust is not None and trust.mechanism == "distributed" else []
    return max((one for one in counted if one is not None), default=None)


def _for_whom(report: Report) -> str:
    deltas = _any_of(one.delta for one in report.datasets)
    units = _any_of(one.unit for one in report.datasets)
    relations = _any_of(_neighbours(one.neighbouring) for one in report.datasets)
    return (
        f"At δ = {deltas}, for each {units}, {relations}, in each dataset by itself; "
        f"{_covered(report)}."
    )


def _neighbours(relation: str) -> str:
    return "adding or removing one" if relation == "add_remove" else relation


def _any_of(texts: Iterable[str]) -> str:
    return " or ".join(sorted(set(texts)))


def _covered(report: Report) -> str:
    with_ledger = {one.participant for one in report.datasets if one.sums.lifetime is not None}
    headers = {one.participant for one in report.datasets} - with_ledger
    named = sorted(dataset_name(one) for one in report.datasets)
    of = f" of {len(report.sites)}" if set(report.sites) >= with_ledger and report.sites else ""
    noun = "site's ledger" if (len(report.sites) or len(with_ledger)) == 1 else "sites' ledgers"
    named = [one for one in named if one.split(": ", 1)[0] in with_ledger]
    ledgers = f"from {len(with_ledger)}{of} {noun}"
    ledgers += f" ({', '.join(named)})" if named else ""
    if not headers:
        return ledgers
    return f"{ledgers}, and for this job from the headers of {', '.join(sorted(headers))}"


def largest(report: Report, view: str, scope: str) -> str:
    """Return the largest epsilon of a view in words: of this release, or for `lifetime`."""
    worst = report.worst(view, scope)
    return epsilon(None if worst is None else getattr(getattr(worst, view), scope))
