"""The ledger of a bundle, row by row: signed, chained, allowed, and costing what it states."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from privacy.errors import RootMismatch, VeilsumError, WrongIdentity
from privacy.ledger import (
    LedgerState,
    Row,
    check_cost,
    check_limits,
    check_signature,
    check_sums,
    follow_row,
    read_row,
)

from .bundle import EMPTY_ROOT, Bundle, RowLine
from .finding import Finding, Outcome
from .trust import Trust


@dataclass(frozen=True)
class Replayed:
    """What the rows of a bundle add up to.

    Attributes:
        rows: each behind the number of its entry.
        roots: the root of the tree after so many rows, in hex.
        findings: what is wrong; nothing after the first row that is no row of this ledger.
    """

    state: LedgerState
    rows: tuple[tuple[int, Row], ...]
    roots: Mapping[int, str]
    findings: tuple[Finding, ...]


def replay(bundle: Bundle, trust: Trust, *, amounts: bool = True) -> Replayed:
    """Return what the rows of `bundle` add up to, from the first on.

    Args:
        amounts: whether costs, sums and limits are held against the rows; needless, and most
            of the time, where a changed byte is all that is looked for.
    """
    state, rows, roots = LedgerState(), [], {0: EMPTY_ROOT}
    found: list[Finding] = []
    keys = {key.hex() for key in trust.keys_of(bundle.head.participant)}
    for at, line in bundle.only(RowLine):
        try:
            row = read_row(line.body)
            after = follow_row(state, row, line.body)
            _check_owner(row, bundle.head.participant)
            check_signature(row, line.body, line.signature, keys)
        except (VeilsumError, AssertionError) as error:
            found.append(Finding(Outcome.TAMPERED, at, str(error)))
            break
        found += _spending(at, state, after, row) if amounts else []
        rows.append((at, row))
        state, roots[row.seq] = after, after.log.root().hex()
    return Replayed(state, tuple(rows), roots, tuple(found))


def check_end(bundle: Bundle, replayed: Replayed) -> None:
    """Return if the end of the bundle states the tree that its rows have.

    Raises:
        RootMismatch: it states another one; rows are missing, or are not those.
    """
    end, size = bundle.end, replayed.state.seq
    if (end.size, end.root) != (size, replayed.roots[size]):
        raise RootMismatch(
            f"the end states a ledger of {end.size} rows under root {end.root[:16]}…; these are "
            f"{size} rows under {replayed.roots[size][:16]}…"
        )


def _check_owner(row: Row, owner: str) -> None:
    if row.ledger != owner:
        raise WrongIdentity(f"row {row.seq}: of the ledger of {row.ledger}, not of {owner}")


def _spending(at: int, before: LedgerState, after: LedgerState, row: Row) -> list[Finding]:
    checks: tuple[tuple[Outcome, Callable[[], None]], ...] = (
        (Outcome.ACCOUNTING, lambda: check_cost(row)),
        (Outcome.ACCOUNTING, lambda: check_sums(after, row)),
        (Outcome.POLICY, lambda: check_limits(before, row)),
    )
    found = []
    for outcome, check in checks:
        try:
            check()
        except VeilsumError as error:
            found.append(Finding(outcome, at, f"row {row.seq}: {error}"))
    return found
