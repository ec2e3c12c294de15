"""The part on tamper evidence: the ledgers' trees, and their heads that others hold."""

from collections.abc import Iterable

from veilsum.audit.report.blocks import Absent, Block, Fact, Facts, Words
from veilsum.audit.report.contents import Report, SeenHead

from .wording import NO_EVIDENCE, NOT_HERE


def tamper_blocks(report: Report) -> Iterable[Block]:
    """Yield each ledger's tree head, and who else has seen it."""
    if not report.logs:
        yield Absent(f"{NO_EVIDENCE} It holds no ledger.")
        return
    for one in report.logs:
        yield Facts(
            (
                Fact("Ledger of", one.participant),
                Fact("Rows", f"{one.rows}, the last at {one.last}" if one.last else str(one.rows)),
                Fact("Tree head (RFC 6962)", f"{one.size}  {one.root}", code=True),
                Fact("Seen by others", _seen(one.witnesses, "by")),
                Fact("It has seen of others", _seen(one.witnessed, "of")),
                Fact("On a chain", one.settled or NOT_HERE),
            )
        )
    yield Words(
        "Rows are signed, chained and in a Merkle tree. That shows changes, gaps and reordering. A "
        "tail that was cut off shows only against a later head that somebody else has seen."
    )


def _seen(heads: tuple[SeenHead, ...], word: str) -> str:
    seen = "; ".join(f"up to row {one.rows} {word} {one.participant}" for one in heads)
    return seen or NOT_HERE
