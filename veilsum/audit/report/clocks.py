"""What times in evidence tell: rows behind the release, and clocks that cannot all be right.

Each maker writes its own clock's time, and no signature proves it. So times order nothing here;
the numbers of rows do.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from privacy.ledger import Row, RowType

from . import contents
from .evidence import Evidence

SPENDS = frozenset({RowType.COMMIT, RowType.PREPROC, RowType.ADJUST_UP})
"""Rows that spend."""

_TOLERATED = timedelta(days=1)


def remarks_of(
    evidence: Sequence[Evidence], release: contents.ReleaseFacts, now: datetime
) -> Iterator[str]:
    """Yield what a reader should know of times: each a sentence."""
    adopted = {one.participant: row for one in evidence if (row := _adopted(one, release))}
    for one in evidence:
        if one.participant in adopted:
            yield from _later_rows(one, adopted[one.participant])
        yield from _clock(one, now)
    yield from _apart({name: row.ts for name, row in adopted.items()})


def _adopted(one: Evidence, release: contents.ReleaseFacts) -> Row | None:
    rows = [
        row
        for row in one.of(RowType.RELEASE)
        if row.job == release.job and row.round == release.round
    ]
    return rows[0] if rows else None


def _later_rows(one: Evidence, adopted: Row) -> Iterator[str]:
    later = [row for row in one.of(*SPENDS) if row.seq > adopted.seq]
    if later:
        rows = "1 row that spends is" if len(later) == 1 else f"{len(later)} rows that spend are"
        yield (
            f"{one.participant}: {rows} behind this release in its ledger; for life they count, "
            "for this release they do not."
        )


def _clock(one: Evidence, now: datetime) -> Iterator[str]:
    for before, row in pairwise(one.rows):
        if _gap(row.ts, before.ts) > _TOLERATED:
            yield (
                f"{one.participant}: its clock says {before.ts} in row {before.seq} and {row.ts} "
                f"in row {row.seq}, which is behind it."
            )
            break
    made = one.bundle.head.made
    if one.rows and _gap(made, one.rows[-1].ts) > _TOLERATED:
        yield f"{one.participant}: made {made} by its clock, before its newest row, {_last(one)}."
    if _gap(now.isoformat(), made) > _TOLERATED:
        yield f"{one.participant}: made {made} by its clock, which is ahead of this machine's."


def _apart(times: dict[str, str]) -> Iterator[str]:
    known = {name: when for name, text in times.items() if (when := _time(text)) is not None}
    if not known:
        return
    first, last = min(known, key=lambda name: known[name]), max(known, key=lambda name: known[name])
    if known[last] - known[first] > _TOLERATED:
        yield (
            f"{first} adopted this release at {times[first]}, {last} at {times[last]}, each by its "
            "own clock: one of them was away, or a clock is wrong."
        )


def _last(one: Evidence) -> str:
    return one.rows[-1].ts


def _gap(earlier: str, later: str) -> timedelta:
    start, stop = _time(earlier), _time(later)
    return timedelta() if start is None or stop is None else stop - start


def _time(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)
