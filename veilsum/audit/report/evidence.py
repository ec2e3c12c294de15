"""The bundles that a report is made from, checked, and what is to be said of them as a whole."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from privacy.evidence.bundle import Bundle
from privacy.evidence.finding import Finding, Outcome, outcome_of
from privacy.evidence.limits import AuditPolicy
from privacy.evidence.spending import SecondOpinion
from privacy.evidence.trust import Keys
from privacy.evidence.verify import Checked, check_whole, read_bundle, verify
from privacy.ledger import LedgerState, Row, RowType

from . import contents
from .contents import State

_STATES = {
    Outcome.OK: State.VERIFIED,
    Outcome.POLICY: State.POLICY_BREACH,
    Outcome.INCOMPLETE: State.EVIDENCE_MISSING,
    Outcome.TAMPERED: State.TAMPERED,
    Outcome.ACCOUNTING: State.ACCOUNTING_MISMATCH,
}
_SENTENCES = {
    Outcome.OK: "All signatures, rows and documents were checked, every epsilon was accounted "
    "again, and a second accountant agrees.",
    Outcome.POLICY: "The evidence is sound, and it shows something that policy does not allow.",
    Outcome.INCOMPLETE: "Nothing contradicts the evidence, and some of what is needed to verify "
    "it is not there.",
    Outcome.TAMPERED: "The evidence was changed after it was signed, or was never whole.",
    Outcome.ACCOUNTING: "An epsilon stated, or accounted by us, is not borne out when accounted "
    "again: no number of this report may be relied upon until the cause is known.",
}


@dataclass(frozen=True)
class Evidence:
    """One bundle, checked: what its head says, its rows and its documents."""

    sha256: str
    checked: Checked

    @property
    def bundle(self) -> Bundle:
        """The entries."""
        return self.checked.bundle

    @property
    def participant(self) -> str:
        """Whose bundle it is."""
        return self.bundle.head.participant

    @property
    def rows(self) -> tuple[Row, ...]:
        """The rows of its ledger that are sound, oldest first."""
        return tuple(row for _, row in self.checked.replayed.rows)

    @property
    def state(self) -> LedgerState:
        """What these rows add up to."""
        return self.checked.replayed.state

    def of(self, *kinds: RowType) -> Iterator[Row]:
        """Yield the rows of some types."""
        return (row for row in self.rows if row.type in kinds)


def judge(
    texts: Sequence[bytes],
    policy: AuditPolicy | None,
    keys: Keys | None,
    second: SecondOpinion,
    policy_sha256: str = "",
) -> contents.Judgement:
    """Return what the bundles are worth together: the worst of what each is worth."""
    found: list[tuple[str, Finding]] = []
    for number, text in enumerate(texts):
        others = [other for other in texts if other is not text]
        verdict = verify(text, policy, keys, others, second=second)
        name = verdict.participant or f"bundle {number + 1}"
        found += [(name, finding) for finding in verdict.findings]
    outcome = outcome_of([finding for _, finding in found])
    return contents.Judgement(
        state=_STATES[outcome],
        exit_code=int(outcome),
        sentence=_SENTENCES[outcome],
        keys="" if keys is None else keys.roster,
        policy={} if policy is None else dict(_asked_of(policy)),
        policy_sha256=policy_sha256,
        findings=tuple(
            contents.Finding(one.outcome.name.lower(), name, one.entry or None, one.message)
            for name, one in found
        ),
    )


def _asked_of(policy: AuditPolicy) -> Iterator[tuple[str, str]]:
    """Yield what a policy asks about; what it leaves out is said to be left out."""
    limits, left_out = policy.limits(), "not asked about"
    yield "δ", f"at most {policy.delta}"
    yield "unit", f"{policy.unit}, {policy.neighbouring}"
    yield "ε for life, sums only", limits.epsilon_for_life
    yield "ε for life, one opened update", limits.vector_epsilon_for_life
    yield "ε per round, sums only", policy.epsilon_per_round or left_out
    # As in `AuditPolicy.limits`: with a limit for life of its own, none per round is taken over.
    opened = None if policy.vector_epsilon_for_life else policy.epsilon_per_round
    per_round = policy.vector_epsilon_per_round or opened or left_out
    yield "ε per round, one opened update", per_round
    yield "mechanisms", ", ".join(policy.mechanisms or ()) or left_out
    smallest = policy.smallest_cohort
    yield "smallest cohort", left_out if smallest is None else str(smallest)
    yield "two officers", "asked for" if policy.two_officers else left_out
    yield "datasets", ", ".join(policy.datasets or ()) or "one"


def read_evidence(texts: Sequence[bytes], keys: Keys | None) -> Iterator[Evidence]:
    """Yield the bundles that can be read; what is wrong with the others, `judge` says."""
    for text in texts:
        bundle, _ = read_bundle(text)
        if bundle is not None:
            yield Evidence(hashlib.sha256(text).hexdigest(), check_whole(text, bundle, keys))


def source_of(one: Evidence) -> contents.Source:
    """Return who made a bundle, and of what."""
    head = one.bundle.head
    return contents.Source(
        kind=head.evidence,
        participant=head.participant,
        organisation=head.organisation,
        made=head.made,
        key=head.key,
        sha256=one.sha256,
        software=head.software,
    )
