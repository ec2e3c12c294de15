"""The part on tests of the mechanism: canaries, and the bounds that they found."""

from collections.abc import Iterable

from veilsum.audit.report.blocks import Absent, Block, Column, Fact, Facts, Table, Words
from veilsum.audit.report.contents import Report, TestFacts

from .wording import NO_EVIDENCE, epsilon, listed, number, number_columns, row_name

_RESULTS = {True: "passed", False: "FAILED", None: "not known"}


def tests_blocks(report: Report) -> Iterable[Block]:
    """Yield each test by canaries, and what its bound does and does not say."""
    if not report.tests:
        yield Absent(
            f"{NO_EVIDENCE} No test by canaries is recorded, so nothing but proof and code speaks "
            "for the mechanism."
        )
        return
    yield Table(
        "Tests by canaries, through the pipeline that releases use",
        (
            Column("Row"),
            Column("Mechanism and scheme"),
            *number_columns(
                "Canaries", "Tested ε", "δ", "At least, sums", "At least, opened", "Confidence"
            ),
            Column("Result"),
        ),
        tuple(_test_row(one) for one in report.tests),
    )
    for one in report.tests:
        yield Facts(
            (
                Fact(f"Row {one.row} of {one.participant}", f"{one.when}, by {one.actor}"),
                Fact("SHA-256 of its report", one.report, code=True),
            )
        )
    yield Words(
        "The ε that was tested is the test's own setting: what the tested pipeline was calibrated "
        "to, and no claim about this release. A bound below it does not prove it: half the noise "
        "can still pass such a test. The report of each test also holds the noise against its "
        "claimed deviation; its SHA-256 is above, the file is with the site."
    )


def _test_row(one: TestFacts) -> tuple[str, ...]:
    return (
        row_name(one),
        listed(filter(None, (one.mechanism, one.scheme)), "not stated"),
        str(one.canaries),
        epsilon(one.claimed),
        one.delta,
        number(one.lower_bound, ".3f"),
        number(one.vector_lower_bound, ".3f", "not stated"),
        one.confidence,
        _RESULTS[one.passed],
    )
