"""The part on the mechanism: noise, sampler, and the accountants that were asked about them."""

from collections.abc import Iterable

from veilsum.audit.report.blocks import Absent, Block, Fact, Facts
from veilsum.audit.report.contents import Report

from .accountants import accountants_blocks
from .wording import NO_EVIDENCE, listed


def mechanism_blocks(report: Report) -> Iterable[Block]:
    """Yield how noise and sampler go together, and what each accountant says of them."""
    facts = report.mechanism
    if facts is None:
        yield Absent(f"{NO_EVIDENCE} It holds no plan of this release.")
    else:
        yield Facts(
            (
                Fact("Mechanism", facts.trust.mechanism),
                Fact("Sampler", facts.sampler),
                Fact("Noise", facts.noise),
                Fact("Released besides the model", listed(facts.releases, "nothing")),
            )
        )
    yield from accountants_blocks(report)
