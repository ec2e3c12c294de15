"""The part on other uses of the data: pre-processing, tuning and corrections."""

from collections.abc import Iterable

from veilsum.audit.report.blocks import Absent, Block, Column, Table
from veilsum.audit.report.contents import Report

from .wording import NO_EVIDENCE, epsilon, number_columns, row_name


def other_uses_blocks(report: Report) -> Iterable[Block]:
    """Yield each use of the data outside of rounds, and each correction, with its epsilons."""
    if not report.uses:
        yield Absent(
            f"{NO_EVIDENCE} No pre-processing, tuning or correction is recorded. If the data was "
            "used to choose scales, classes, features or hyper-parameters, that use is not counted."
        )
        return
    yield Table(
        "Pre-processing, tuning and corrections that were counted",
        (
            Column("When"),
            Column("What", wide=True),
            Column("Kind"),
            *number_columns("ε, sums", "ε, opened", "Row"),
        ),
        tuple(
            (
                one.when,
                one.text,
                one.kind,
                epsilon(one.epsilon_sums),
                epsilon(one.epsilon_vector),
                row_name(one),
            )
            for one in report.uses
        ),
    )
