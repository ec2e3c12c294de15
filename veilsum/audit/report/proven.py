"""What is left of a report where nothing is proven: no epsilon is stated from such evidence."""

from msgspec.structs import replace

from .contents import DatasetSpend, NoiseFacts, Report, TestFacts, UseOfData, View


def proven(report: Report) -> Report:
    """Return a report with the numbers that its evidence bears; with none where that is not whole.

    Rows behind the first bad one are not read, and keys that nobody compared are anybody's: a
    number from such evidence would look better than what was spent.
    """
    if report.judgement.bears_numbers():
        return report
    return replace(
        report,
        datasets=tuple(_unknown(one) for one in report.datasets),
        uses=tuple(_without_cost(one) for one in report.uses),
        tests=tuple(_without_bounds(one) for one in report.tests),
        spending=(),
        risks=(),
    )


def _unknown(one: DatasetSpend) -> DatasetSpend:
    blank = {"sums": View(), "vector": View(), "noise": NoiseFacts()}
    return replace(one, **blank, clips=(), rounds=None, honest=None)


def _without_cost(one: UseOfData) -> UseOfData:
    return replace(one, epsilon_sums=None, epsilon_vector=None)


def _without_bounds(one: TestFacts) -> TestFacts:
    return replace(one, claimed=None, lower_bound=None, vector_lower_bound=None, passed=None)
