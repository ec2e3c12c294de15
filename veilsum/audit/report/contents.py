"""What a report on one release says, as values: what is not known is absent, never guessed.

Epsilons are in nats, in two views: `sums`, of whoever sees sums only, and `vector`, of the
coalition that can open one site's update.
"""

from enum import StrEnum

import msgspec

from veilsum.audit.second_opinion import Opinions


class State(StrEnum):
    """What is to be said of the evidence as a whole; the badge of the report."""

    VERIFIED = "verified"
    POLICY_BREACH = "policy breach"
    EVIDENCE_MISSING = "evidence missing"
    TAMPERED = "tampered"
    ACCOUNTING_MISMATCH = "accounting mismatch"


class Finding(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Something that the verification found, and in which entry of whose bundle."""

    severity: str
    bundle: str
    entry: int | None
    message: str


class Judgement(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The verdict: one badge, one sentence, what it was held against, and every finding.

    Attributes:
        keys: fingerprint of the roster that the reader gave; "" if there was none.
        policy: of the reader, each thing that it asks about; empty if there was none.
        policy_sha256: of the reader's file.
    """

    state: State
    exit_code: int
    sentence: str
    keys: str
    policy: dict[str, str]
    policy_sha256: str = ""
    findings: tuple[Finding, ...] = ()

    def bears_numbers(self) -> bool:
        """Return whether an epsilon may be stated: keys were compared, and nothing is wrong."""
        return bool(self.keys) and self.state not in (State.TAMPERED, State.ACCOUNTING_MISMATCH)


class ReleaseFacts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which release it is, and the digests that pin it; "" where the evidence has none."""

    federation: str
    round: int | None
    job: str = ""
    released: str = ""
    release: str = ""
    model: str = ""
    previous: str = ""
    plan: str = ""
    cohort: str = ""
    sum: str = ""


class Source(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A bundle that the report is made from."""

    kind: str
    participant: str
    organisation: str
    made: str
    key: str
    sha256: str
    software: dict[str, str]


class View(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One dataset's epsilons in one view; None where the evidence does not say.

    Attributes:
        release: of the rounds up to this release, all models between included.
        lifetime: of all that the dataset has ever committed.
        charged: the same with what is reserved.
        cap: the site's limit for life; `remaining` is that less what is charged, never below 0.
        release_opinions, lifetime_opinions: what each accountant says of the first two.
    """

    release: float | None = None
    lifetime: float | None = None
    charged: float | None = None
    cap: float | None = None
    remaining: float | None = None
    release_opinions: Opinions | None = None
    lifetime_opinions: Opinions | None = None


class RoundFacts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One round of the release: how many took part, how many of them are relied upon."""

    round: int
    contributions: int | None = None
    honest: int | None = None
    dropouts: tuple[str, ...] = ()


class NoiseFacts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The noisy sums of a release: how many, of whom, and the noise over the clip in each view."""

    sampling_rates: tuple[str, ...] = ()
    steps: int | None = None
    sums: tuple[str, ...] = ()
    vector: tuple[str, ...] = ()


class DatasetSpend(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one dataset of one participant has given away.

    Attributes:
        honest: sites whose noise the epsilon of sums rests on, of all its rounds the most; None
            where each site adds all it needs.
    """

    participant: str
    organisation: str
    dataset: str
    version: int | None
    parent: int | None
    unit: str
    neighbouring: str
    max_records_per_unit: int | None
    delta: str
    sums: View
    vector: View
    noise: NoiseFacts
    clips: tuple[str, ...] = ()
    rounds: int | None = 0
    honest: int | None = None


class Trust(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the guarantee rests on: whose noise is counted on, and whose is not.

    Attributes:
        auditor: as the plan names it; `countersigned` are the rounds with its signature here.
    """

    mechanism: str
    honest: int | None
    colluders: int | None
    scheme: str = ""
    auditor: str = ""
    countersigned: tuple[int, ...] = ()


class MechanismFacts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How noise and sampler go together, and what besides the model is released.

    Attributes:
        units_cap: most units of a site, where the plan has such a public number.
    """

    trust: Trust
    sampler: str
    noise: str
    releases: tuple[str, ...]
    units_cap: int | None = None


class Accounting(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who accounts: the method that is enforced, its orders, and who else is asked."""

    accountant: str
    orders: tuple[str, ...]
    second: dict[str, str]


class ApprovalFacts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One setting of the limits: who proposed it, who else approved it, and what counts since."""

    participant: str
    row: int
    when: str
    proposer: str
    approvers: tuple[tuple[str, str], ...]
    limits: dict[str, str]


class UseOfData(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A use of the data outside of rounds, or a correction of what was counted."""

    participant: str
    row: int
    when: str
    kind: str
    text: str
    epsilon_sums: float | None
    epsilon_vector: float | None


class TestFacts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A test of the pipeline by canaries: claimed, and the bounds found from below.

    Attributes:
        claimed: by the setting of the test, towards who sees sums only; no claim of a release.
        lower_bound: in the view of the sums; `vector_lower_bound` where the test had the other.
        mechanism, scheme: that were tested; "" in rows that do not say.
    """

    participant: str
    row: int
    when: str
    actor: str
    claimed: float | None
    lower_bound: float | None
    confidence: str
    delta: str
    canaries: int
    passed: bool | None
    report: str
    mechanism: str = ""
    scheme: str = ""
    vector_lower_bound: float | None = None


class SeenHead(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Up to which row a ledger's tree was seen, and by whom, or whose."""

    participant: str
    rows: int


class LogFacts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A ledger's tree, and who else has seen a head of it that is still in it."""

    participant: str
    rows: int
    size: int
    root: str
    last: str
    witnesses: tuple[SeenHead, ...] = ()
    witnessed: tuple[SeenHead, ...] = ()
    settled: str = ""


class Risk(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the largest epsilon of one view means, of the release or for life.

    Attributes:
        posterior: how sure an attacker can become, by how sure it was.
        mu: of Gaussian differential privacy; where it is not exact, that of the Gaussian mechanism
            with the same tight epsilon at this delta, and no bound.
    """

    view: str
    scope: str
    epsilon: float
    posterior: dict[str, float]
    mu: float | None
    mu_is_exact: bool


class Point(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a dataset has committed after one row, in both views."""

    when: str
    sums: float
    vector: float


class Spending(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A dataset's spend over time, and what lies ahead at the last cost and the pace so far.

    Attributes:
        rounds_left: that fit into both views; None where the evidence has no limit or no round.
        exhausted: when the last of them is over; "" without a pace to go by.
        ahead: what would be committed by then.
    """

    participant: str
    dataset: str
    points: tuple[Point, ...]
    sums_cap: float | None
    vector_cap: float | None
    rounds_left: int | None = None
    exhausted: str = ""
    ahead: tuple[Point, ...] = ()


class Report(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All numbers of a report on one release.

    Attributes:
        sites: that train, by the newest roster in the evidence.
        trouble: why accountants have no answer.
        remarks: what clocks and later rows say of the evidence.
    """

    v: int
    made: str
    product: str
    judgement: Judgement
    release: ReleaseFacts
    sources: tuple[Source, ...]
    datasets: tuple[DatasetSpend, ...]
    rounds: tuple[RoundFacts, ...]
    mechanism: MechanismFacts | None
    accountants: Accounting
    approvals: tuple[ApprovalFacts, ...]
    uses: tuple[UseOfData, ...]
    tests: tuple[TestFacts, ...]
    logs: tuple[LogFacts, ...]
    spending: tuple[Spending, ...]
    risks: tuple[Risk, ...] = ()
    trouble: str = ""
    sites: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()

    def worst(self, view: str, scope: str = "release") -> DatasetSpend | None:
        """Return the dataset with the largest epsilon in a view: of this release, or `lifetime`."""
        known = [one for one in self.datasets if getattr(getattr(one, view), scope) is not None]
        return max(known, key=lambda one: getattr(getattr(one, view), scope), default=None)
