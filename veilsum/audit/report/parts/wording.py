"""Words, figures and columns that the parts share, so that all of them say the same alike."""

from collections.abc import Iterable
from decimal import ROUND_CEILING, Decimal
from itertools import groupby

from veilsum.audit.report.blocks import Column, Fact, Facts
from veilsum.audit.report.contents import DatasetSpend, TestFacts, UseOfData, View

NO_EVIDENCE = "No evidence in this bundle."
NOT_HERE = "no evidence in this bundle"
NOT_KNOWN = "not known"
VIEWS = (
    ("sums", "sums only"),
    ("vector", "one opened update"),
)


def each_view(datasets: Iterable[DatasetSpend]) -> Iterable[tuple[DatasetSpend, str, View]]:
    """Yield each dataset in each view, with the name of the view."""
    for one in datasets:
        for key, name in VIEWS:
            yield one, name, getattr(one, key)


def dataset_name(one: DatasetSpend) -> str:
    """Return a dataset's name, after that of whose it is."""
    return f"{one.participant}: {one.dataset}"


def row_name(one: UseOfData | TestFacts) -> str:
    """Return a ledger's row as in tables: whose ledger, and its number."""
    return f"{one.participant} {one.row}"


def stated(*rows: Fact) -> Facts:
    """Return the facts; a row without a value says that the evidence has none."""
    return Facts(tuple(row if row.value else Fact(row.label, NOT_HERE) for row in rows))


def number_columns(*titles: str) -> tuple[Column, ...]:
    """Return columns of numbers."""
    return tuple(Column(title, number=True) for title in titles)


def epsilon(value: float | None) -> str:
    """Return an epsilon to three decimals, rounded up; "not known" where there is none."""
    return NOT_KNOWN if value is None else f"{rounded_up(value, '0.001')}"


def rounded_up(value: float, step: str) -> Decimal:
    """Return the next multiple of `step` that is not below the value: no risk looks smaller."""
    return Decimal(value).quantize(Decimal(step), rounding=ROUND_CEILING)


def number(value: float | None, form: str, absent: str = NOT_KNOWN) -> str:
    """Return a number in the form of a format string, or what stands where there is none."""
    return absent if value is None else format(value, form)


def count(value: int | None) -> str:
    """Return how many there are; "not known" where no evidence says it."""
    return number(value, "d")


def listed(texts: Iterable[str], absent: str = NOT_KNOWN) -> str:
    """Return the texts with commas between, or what stands where there are none."""
    return ", ".join(texts) or absent


def runs(numbers: tuple[int, ...]) -> str:
    """Return numbers in words, with those that follow each other as one run."""
    found = groupby(enumerate(numbers), key=lambda each: each[1] - each[0])
    return ", ".join(span([number for _, number in group]) for _, group in found)


def span(numbers: list[int]) -> str:
    """Return numbers in words: first to last if none between is missing."""
    if len(numbers) == 1:
        return str(numbers[0])
    if numbers[-1] - numbers[0] == len(numbers) - 1:
        return f"{numbers[0]} to {numbers[-1]}"
    return ", ".join(map(str, numbers))
