"""What else a ledger has recorded: limits and approvals, other uses of data, tests, tree heads."""

from collections.abc import Iterator, Sequence

from privacy.budget import costs_of
from privacy.evidence.bundle import Paid
from privacy.evidence.witnessed import seen_in
from privacy.ledger import RowType, SpendPolicy

from . import contents
from .evidence import Evidence


def approvals_of(one: Evidence) -> Iterator[contents.ApprovalFacts]:
    """Yield the settings of the limits, each with who approved it."""
    approvals = [row.approval for row in one.of(RowType.APPROVAL) if row.approval is not None]
    for row in one.of(RowType.POLICY_SET):
        if row.policy is not None:
            yield contents.ApprovalFacts(
                participant=one.participant,
                row=row.seq,
                when=row.ts,
                proposer=row.policy.proposer or "",
                approvers=tuple(
                    (each.officer, each.key) for each in approvals if each.row == row.seq
                ),
                limits=_limits(row.policy),
            )


def uses_of(one: Evidence) -> Iterator[contents.UseOfData]:
    """Yield the uses of data outside of rounds, and corrections."""
    for row in one.of(RowType.PREPROC, RowType.ADJUST_UP):
        if row.event is None or row.cum is None:
            continue
        costs, delta = costs_of(row.event), float(row.cum.delta)
        yield contents.UseOfData(
            participant=one.participant,
            row=row.seq,
            when=row.ts,
            kind="pre-processing" if row.type is RowType.PREPROC else "correction",
            text=row.text or "",
            epsilon_sums=costs.sums.epsilon(delta),
            epsilon_vector=costs.vector.epsilon(delta),
        )


def tests_of(one: Evidence) -> Iterator[contents.TestFacts]:
    """Yield the tests by canaries."""
    for row in one.of(RowType.AUDIT_RESULT):
        if row.audit is not None:
            yield contents.TestFacts(
                participant=one.participant,
                row=row.seq,
                when=row.ts,
                actor=row.actor,
                claimed=float(row.audit.claimed),
                lower_bound=float(row.audit.lower_bound),
                confidence=row.audit.confidence,
                delta=row.audit.delta,
                canaries=row.audit.canaries,
                passed=row.audit.passed,
                report=row.audit.report,
                mechanism=row.audit.mechanism or "",
                scheme=row.audit.scheme or "",
                vector_lower_bound=_float(row.audit.vector_lower_bound),
            )


def log_of(one: Evidence, evidence: Sequence[Evidence]) -> contents.LogFacts:
    """Return the head of a ledger, and who else among `evidence` has seen an earlier one."""
    paid = [entry for _, entry in one.bundle.only(Paid)]
    return contents.LogFacts(
        participant=one.participant,
        rows=len(one.rows),
        size=one.bundle.end.size,
        root=one.bundle.end.root,
        last=one.rows[-1].ts if one.rows else "",
        witnesses=_longest(_seen_by_others(one, evidence)),
        witnessed=_longest(
            (row.witness.participant, row.witness.size)
            for row in one.of(RowType.WITNESS)
            if row.witness is not None
        ),
        settled="; ".join(
            f"{each.claimed} paid to {each.payee} for {each.rounds} rounds, at block {each.block}"
            for each in paid
        ),
    )


def _limits(policy: SpendPolicy) -> dict[str, str]:
    return {
        "δ": policy.delta,
        "ε for life": policy.epsilon_for_life,
        "ε per round": policy.epsilon_per_round,
        "ε for life, opened": policy.vector_epsilon_for_life,
        "ε per round, opened": policy.vector_epsilon_per_round,
    }


def _seen_by_others(one: Evidence, evidence: Sequence[Evidence]) -> Iterator[tuple[str, int]]:
    """Yield who else holds a head that this ledger still has: in a row, or in a signed header."""
    roots = one.checked.replayed.roots
    for other in evidence:
        if other.participant == one.participant:
            continue
        for each in seen_in(other.bundle, other.checked.replayed, other.checked.papers):
            head = each.checkpoint
            if each.participant == one.participant and roots.get(head.size) == head.root:
                yield other.participant, head.size


def _longest(seen: Iterator[tuple[str, int]]) -> tuple[contents.SeenHead, ...]:
    rows: dict[str, int] = {}
    for name, size in seen:
        rows[name] = max(size, rows.get(name, 0))
    return tuple(contents.SeenHead(name, rows[name]) for name in sorted(rows))


def _float(text: str | None) -> float | None:
    return None if text is None else float(text)
