"""The part on spending: the epsilon of each dataset in both views, and how it came about."""

import math
from collections.abc import Callable, Iterable
from itertools import groupby

from msgspec.structs import replace

from veilsum.audit.report.blocks import Absent, Block, Column, Drawing, Table, Words
from veilsum.audit.report.contents import DatasetSpend, Report, RoundFacts, View

from .trust import trust_blocks
from .wording import (
    NO_EVIDENCE,
    NOT_KNOWN,
    count,
    dataset_name,
    each_view,
    epsilon,
    listed,
    number,
    number_columns,
    span,
)

Drawings = Callable[[Report], tuple[Drawing, ...]]


def spending_blocks(report: Report, drawings: Drawings) -> Iterable[Block]:
    """Yield what each dataset gave away, how, in which rounds, and whom that relies on."""
    if not report.datasets:
        yield Absent(NO_EVIDENCE)
        return
    yield Words(
        "Two views. Sums only: anybody who sees the sums and the models made from them. One "
        "opened update: the coalition that can open this site's own update. Epsilon holds for "
        "each dataset on its own, and is never averaged over sites. This job counts its rounds "
        "up to the release; life counts all that the dataset has ever committed: over all jobs, "
        "with pre-processing and corrections."
    )
    yield Table(
        "Epsilon of each dataset",
        (
            Column("Dataset"),
            Column("View"),
            *number_columns("This job", "For life", "With reserved", "Limit", "Left", "δ"),
        ),
        tuple(_spend_row(*each) for each in each_view(report.datasets)),
    )
    yield Table(
        "What was done to each dataset for this release",
        (
            Column("Dataset", wide=True),
            Column("Protects"),
            *number_columns("q", "Clip", "Noisy sums", "σ, sums", "σ, opened", "Rounds"),
        ),
        tuple(_order_row(one) for one in report.datasets),
    )
    yield Words(
        "q is the chance of each unit to be in a sum, the clip bounds what one unit adds, and σ is "
        "the deviation of the noise over the clip: of all that is relied upon for sums, of the "
        "site's own part for an opened update."
    )
    yield _rounds(report.rounds)
    yield from trust_blocks(report)
    yield from drawings(report)


def _spend_row(one: DatasetSpend, name: str, view: View) -> tuple[str, ...]:
    return (
        dataset_name(one),
        name,
        epsilon(view.release),
        epsilon(view.lifetime),
        epsilon(view.charged),
        number(view.cap, "g"),
        _down(view.remaining),
        one.delta,
    )


def _down(value: float | None) -> str:
    return NOT_KNOWN if value is None else f"{math.floor(value * 1000) / 1000:.3f}"


def _order_row(one: DatasetSpend) -> tuple[str, ...]:
    version = "" if one.version is None else f", version {one.version}"
    parent = "" if one.parent is None else f" from {one.parent}"
    rows = one.max_records_per_unit or 1
    records = "" if rows == 1 else f", up to {rows} records"
    return (
        f"{dataset_name(one)}{version}{parent}",
        f"{one.unit}{records}",
        listed(one.noise.sampling_rates),
        listed(one.clips),
        count(one.noise.steps),
        listed(one.noise.sums),
        listed(one.noise.vector),
        count(one.rounds),
    )


def _rounds(rounds: tuple[RoundFacts, ...]) -> Block:
    if not rounds:
        return Absent(f"{NO_EVIDENCE} It holds no result of a round.")
    return Table(
        "Rounds of this release, as realised",
        (
            Column("Rounds"),
            *number_columns("Contributions", "Noise relied upon"),
            Column("Absent or left out", wide=True),
        ),
        tuple(_round_rows(rounds)),
    )


def _round_rows(rounds: tuple[RoundFacts, ...]) -> Iterable[tuple[str, ...]]:
    """Yield a row for each run of rounds that went alike."""
    for alike, group in groupby(rounds, key=lambda one: replace(one, round=0)):
        numbers = [one.round for one in group]
        yield (
            span(numbers),
            count(alike.contributions),
            count(alike.honest),
            listed(alike.dropouts, "nobody known"),
        )
