"""What spending rests on: whose noise counts, who audits the sums, and the size of delta."""

from collections.abc import Iterable
from decimal import Decimal

from veilsum.audit.report.blocks import Absent, Block, Fact, Words
from veilsum.audit.report.contents import Report, Trust

from .wording import NO_EVIDENCE, runs, stated


def trust_blocks(report: Report) -> Iterable[Block]:
    """Yield whose noise the guarantee counts on, who audits sums, and how large delta is."""
    if report.mechanism is None:
        yield Absent(f"{NO_EVIDENCE} No plan says whose noise the guarantee rests on.")
        return
    trust = report.mechanism.trust
    if trust.mechanism == "distributed":
        yield Words(
            "Trust. The sites share the noise: the guarantee for sums holds while "
            f"{trust.honest} of the sites in each sum add their part (h), and up to "
            f"{trust.colluders} tell theirs or add none (t). Against whoever can open one update "
            "only that site's own part counts."
        )
    else:
        yield Words(
            "Trust. Each site adds all the noise it needs by itself (h = 1): its guarantee rests "
            "on no other site, and both views cost the same."
        )
    yield stated(
        Fact("Scheme", trust.scheme),
        Fact("Auditor of sums", _auditor(trust)),
        Fact("δ and how many there are", _delta_held(report)),
    )


def _auditor(trust: Trust) -> str:
    if not trust.auditor:
        return "none named"
    if not trust.countersigned:
        return f"{trust.auditor}, by the plan's word: no sum with its signature is in evidence"
    rounds = runs(trust.countersigned)
    return f"{trust.auditor}; its signature on the sums of rounds {rounds} is in evidence"


def _delta_held(report: Report) -> str:
    """Return whether delta is below one over the number of units, as far as that is public."""
    cap = None if report.mechanism is None else report.mechanism.units_cap
    unknown = "δ should be far below one over the number of units of a site"
    if cap is None:
        return f"{unknown}. They were not compared: no evidence says how many there are."
    below = all(Decimal(one.delta) * cap < 1 for one in report.datasets)
    if below:
        return f"δ is below one over {cap}, the plan's cap of units per site."
    return (
        f"{unknown}. It is not below one over {cap}, the plan's cap; the number itself is in no "
        "evidence, and was not compared."
    )
