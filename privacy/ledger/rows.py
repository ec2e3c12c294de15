"""The rows of a ledger: what a site writes down, and which members each type has.

A row is canonical JSON (RFC 8785), names the SHA-256 of the row before it, and is signed by the
key that it names. Members that do not apply are absent, so a later version can add members
without changing how earlier rows hash.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated

import msgspec

from privacy.accounting import NeighbouringRelation, UnitOfPrivacy
from privacy.errors import MalformedMessage, UnsafeParameters
from privacy.events import DecimalText, Events, check_depth
from privacy.identifiers import Digest, ParticipantId, sha256_hex

from .amounts import Cumulative, Divergences

Name = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}\Z")]
"""A dataset, job, reservation, actor or officer: 1 to 128 of letters, digits and . _ : -"""

Whole = Annotated[int, msgspec.Meta(ge=1, le=1 << 50)]

KeyText = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]
"""An Ed25519 public key in lowercase hex."""

SignatureText = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{128}\Z")]
"""An Ed25519 signature in lowercase hex."""

Text = Annotated[str, msgspec.Meta(min_length=1, max_length=500)]
"""Why, in the words of whoever wrote the row."""

AuditedName = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9]{1,32}(/[0-9]{1,4})?\Z")]
"""A mechanism or a scheme, as plans name them: `distributed`, `shares/1`."""

START = "0" * 64
"""What the first row names as the one before it."""

NOTHING_SENT = sha256_hex(b"veilsum/nothing-sent/1")
"""What is committed as the output of a round that a site trained for and then refused."""


class RowType(StrEnum):
    """What happened."""

    DATASET_REGISTER = "DATASET_REGISTER"
    POLICY_SET = "POLICY_SET"
    APPROVAL = "APPROVAL"
    RESERVE = "RESERVE"
    COMMIT = "COMMIT"
    SENT = "SENT"
    RETIRE = "RETIRE"
    ROUND_RESULT = "ROUND_RESULT"
    RELEASE = "RELEASE"
    PREPROC = "PREPROC"
    ADJUST_UP = "ADJUST_UP"
    AUDIT_RESULT = "AUDIT_RESULT"
    WITNESS = "WITNESS"
    CHECKPOINT = "CHECKPOINT"


class Dataset(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One version of a dataset, and whom a guarantee about it protects.

    All versions of one `id` share one budget: how much two versions overlap is not known.
    """

    id: Name
    version: Whole
    parent: Whole | None
    unit: UnitOfPrivacy
    max_records_per_unit: Whole
    neighbor: NeighbouringRelation

    def __post_init__(self) -> None:
        if self.unit is UnitOfPrivacy.RECORD and self.max_records_per_unit != 1:
            raise UnsafeParameters(
                f"dataset {self.id}: {self.max_records_per_unit} records per record; "
                "several rows of one patient need the unit 'patient'"
            )


class SpendPolicy(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The limits of a site, and the officers of whom two must agree before one rises.

    Attributes:
        officers: names and public keys; none, or at least two with different keys.
        datasets: ids that may begin a budget of their own beside those that have one.
        proposer: the officer who proposes this policy; None where it is that of `site.toml`.
        replaces: SHA-256 of the policy that was agreed when the proposer signed; where it is
            there, the signature is over the policy alone, made before the row was.
        signature: the proposer's, over the row without this member.
    """

    delta: DecimalText
    epsilon_for_life: DecimalText
    epsilon_per_round: DecimalText
    vector_epsilon_for_life: DecimalText
    vector_epsilon_per_round: DecimalText
    officers: dict[Name, KeyText]
    datasets: tuple[Name, ...] = ()
    proposer: Name | None = None
    replaces: Digest | None = None
    signature: SignatureText | None = None

    def __post_init__(self) -> None:
        keys = set(self.officers.values())
        if self.officers and (len(self.officers) < 2 or len(keys) != len(self.officers)):
            raise UnsafeParameters(
                f"{len(self.officers)} officers with {len(keys)} keys: two persons are needed "
                "for a higher limit, each with a key of his or her own"
            )


class Approval(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An officer's consent to the policy that another officer has proposed in row `row`."""

    row: Whole
    officer: Name
    key: KeyText
    signature: SignatureText


class Noise(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The noise that a site says it has put on what it commits.

    Attributes:
        dist: the distribution, as `discrete_gaussian`.
        local_sigma_squared: variance of this site's part in squared grid steps, "p/q" or "p".
        honest: sites whose noise the guarantee in the sums' view rests on.
        colluders: sites that may tell theirs.
        seed_commit: SHA-256 that binds the site to the randomness it drew.
    """

    dist: Annotated[str, msgspec.Meta(pattern=r"^[a-z_]{1,32}\Z")]
    local_sigma_squared: Annotated[
        str, msgspec.Meta(pattern=r"^[1-9][0-9]{0,99}(/[1-9][0-9]{0,99})?\Z")
    ]
    honest: Whole
    colluders: Annotated[int, msgspec.Meta(ge=0, le=1 << 50)]
    seed_commit: Digest | None = None


class Result(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What became of a round: its plan, its cohort, and how many of it are relied upon.

    Attributes:
        contributions: in the cohort.
        honest: sites whose noise the guarantee rests on: one under mechanism `local`.
    """

    plan: Digest
    cohort: Digest
    contributions: Whole
    honest: Whole


class Released(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A release that this site has adopted, and the digest of its model."""

    release: Digest
    model: Digest


class Audited(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What an audit of the pipeline found; the report itself is kept beside the ledger.

    Attributes:
        report: SHA-256 of the report.
        claimed: epsilon of the plan that was audited, at `delta`.
        lower_bound: epsilon below which the true one is not, with that confidence.
        passed: whether every check of the report held.
        mechanism, scheme: that were audited, as plans name them.
        vector_lower_bound: as `lower_bound`, in the view of who opens one update.
    """

    report: Digest
    claimed: DecimalText
    lower_bound: DecimalText
    confidence: DecimalText
    delta: DecimalText
    canaries: Whole
    passed: bool
    mechanism: AuditedName | None = None
    scheme: AuditedName | None = None
    vector_lower_bound: DecimalText | None = None


class Checkpoint(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The head of a ledger's tree: its number of rows, and the RFC 6962 root over them."""

    size: Whole
    root: Digest


class Witness(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Another site's checkpoint, as its signed header with digest `out` stated it."""

    participant: ParticipantId
    size: Whole
    root: Digest
    out: Digest


class Row(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One row of a ledger.

    Attributes:
        ledger: the site.
        dataset: what the row is about; for rows about the whole ledger, the newest registered.
        actor: who, or what, caused the row.
        key: public key that signs the row.
        rounds: how many rounds a reservation is for.
        rdp: what `event` costs, once.
        cum: what the dataset has spent after the row.
        out: SHA-256 of what leaves the site.
        evidence: SHA-256 of the signed record because of which the row was written.
    """

    v: Annotated[int, msgspec.Meta(ge=1, le=1)]
    type: RowType
    seq: Whole
    prev: Digest
    ts: str
    ledger: ParticipantId
    dataset: Dataset
    accountant: Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9-]{1,64}/[0-9.]{1,16}\Z")]
    actor: Name
    key: KeyText
    job: Name | None = None
    round: Whole | None = None
    reservation: Name | None = None
    rounds: Whole | None = None
    idempotency: Digest | None = None
    event: Events | None = None
    clip: DecimalText | None = None
    rdp: Divergences | None = None
    cum: Cumulative | None = None
    out: Digest | None = None
    noise: Noise | None = None
    evidence: Digest | None = None
    policy: SpendPolicy | None = None
    approval: Approval | None = None
    result: Result | None = None
    release: Released | None = None
    audit: Audited | None = None
    text: Text | None = None
    witness: Witness | None = None
    checkpoint: Checkpoint | None = None


_COST = frozenset({"event", "rdp", "cum"})

MEMBERS: Mapping[RowType, frozenset[str]] = {
    RowType.DATASET_REGISTER: frozenset(),
    RowType.POLICY_SET: frozenset({"policy"}),
    RowType.APPROVAL: frozenset({"approval"}),
    RowType.RESERVE: frozenset({"job", "reservation", "rounds", "idempotency", "clip"}) | _COST,
    RowType.COMMIT: frozenset({"job", "round", "reservation", "idempotency", "clip", "out"})
    | _COST,
    RowType.SENT: frozenset({"job", "round", "reservation", "out"}),
    RowType.RETIRE: frozenset({"job", "reservation", "evidence", "cum"}),
    RowType.ROUND_RESULT: frozenset({"job", "round", "result"}),
    RowType.RELEASE: frozenset({"job", "round", "release"}),
    RowType.PREPROC: frozenset({"text"}) | _COST,
    RowType.ADJUST_UP: frozenset({"text"}) | _COST,
    RowType.AUDIT_RESULT: frozenset({"audit"}),
    RowType.WITNESS: frozenset({"witness"}),
    RowType.CHECKPOINT: frozenset({"checkpoint"}),
}
"""Which of the members that may be absent each type has."""

MAY_HAVE: Mapping[RowType, frozenset[str]] = {
    RowType.RESERVE: frozenset({"evidence"}),
    RowType.COMMIT: frozenset({"noise"}),
}
"""Which it may have besides: these, and no others."""

_OPTIONAL = frozenset().union(*MEMBERS.values(), *MAY_HAVE.values())


def check_members(row: Row) -> None:
    """Return if a row has the members of its type, and an event that can be walked.

    Raises:
        MalformedMessage: one is missing, or not its own.
    """
    present = {name for name in _OPTIONAL if getattr(row, name) is not None}
    odd = sorted((present - MAY_HAVE.get(row.type, frozenset())) ^ MEMBERS[row.type])
    if odd:
        raise MalformedMessage(
            f"row {row.seq}, {row.type}: {', '.join(odd)} missing or not its own"
        )
    if row.event is not None:
        check_depth(row.event.sums)
        check_depth(row.event.vector)
