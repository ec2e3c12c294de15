"""The part on approvals: who set the limits, and who else agreed."""

from collections.abc import Iterable

from veilsum.audit.report.blocks import Absent, Block, Fact, Facts, Words
from veilsum.audit.report.contents import Report

from .wording import NO_EVIDENCE


def approvals_blocks(report: Report) -> Iterable[Block]:
    """Yield each setting of the limits, with who proposed and who approved it."""
    if not report.approvals:
        yield Absent(f"{NO_EVIDENCE} No setting of limits is in it.")
        return
    yield Words(
        "A limit rises only where one officer proposes it and another approves it, each with a key "
        "of his or her own. A limit may be lowered at once. Without officers the site's "
        "configuration alone sets it, and the row says so."
    )
    for one in report.approvals:
        approvers = "; ".join(f"{name}, key {key}" for name, key in one.approvers)
        yield Facts(
            (
                Fact("Limits", ", ".join(f"{name} {value}" for name, value in one.limits.items())),
                Fact("Set at", f"{one.when}, row {one.row} of {one.participant}"),
                Fact("Proposed by", one.proposer or "the site's configuration; no officer"),
                Fact("Approved by", approvers or "nobody else", code=bool(approvers)),
            )
        )
