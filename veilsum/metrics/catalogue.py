"""Every metric there is: its name, its labels, and what it says. docs/metrics.md is made of this.

Units are base units: bytes and seconds. Labels are names of members, methods, phases and
settings, all of them public in the federation; never a patient, a value or a secret.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Kind(StrEnum):
    """What may happen to a metric's number."""

    COUNTER = "counter"
    """It only grows, from 0 when the process starts."""
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class Side(StrEnum):
    """Whose process has a metric."""

    COORDINATOR = "coordinator"
    SITE = "site"
    MEMBER = "site, auditor and seat"
    BOTH = "every process"


@dataclass(frozen=True, slots=True)
class Metric:
    """One name, and what stands behind it; a counter's ends in `_total`."""

    name: str
    kind: Kind
    side: Side
    says: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()


_C, _S, _M, _B = Side.COORDINATOR, Side.SITE, Side.MEMBER, Side.BOTH
_MINUTES: Final = (1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 4 * 3600.0, 24 * 3600.0)
_MILLISECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)

BUILD_INFO: Final = Metric(
    "veilsum_build_info", Kind.GAUGE, _B, "1, with the release.", ("release",)
)
CERTIFICATE_EXPIRY: Final = Metric(
    "veilsum_certificate_expiry_timestamp_seconds",
    Kind.GAUGE,
    _B,
    "End of this process's own TLS certificate, in seconds since 1970.",
    ("subject",),
)
RETRIES: Final = Metric(
    "veilsum_retries_total",
    Kind.COUNTER,
    _B,
    "Times that something was not there and is tried again, by the error's code.",
    ("reason",),
)

ROUND_STATE: Final = Metric(
    "veilsum_round_state",
    Kind.GAUGE,
    _C,
    "Rounds in each state, since the programme began.",
    ("federation", "state"),
)
ROUND_PROGRESS: Final = Metric(
    "veilsum_round_quiet_seconds",
    Kind.GAUGE,
    _C,
    "Seconds since something last came of the work for a live round: the longest of them.",
    ("federation",),
)
ROUND_SECONDS: Final = Metric(
    "veilsum_round_duration_seconds",
    Kind.HISTOGRAM,
    _C,
    "From when this process first saw a round until it was over.",
    ("federation", "state"),
    _MINUTES,
)
ROUNDS_HALTED: Final = Metric(
    "veilsum_programme_halted", Kind.GAUGE, _C, "1 if round after round was aborted: look at it."
)
UPLOAD_RECEIVED: Final = Metric(
    "veilsum_upload_received_bytes_total",
    Kind.COUNTER,
    _C,
    "Bytes of contributions that came, sent again included.",
    ("site",),
)
UPLOAD_IN_FLIGHT: Final = Metric(
    "veilsum_upload_inflight_bytes",
    Kind.GAUGE,
    _C,
    "Memory that is set aside for chunks on their way in.",
)
CHUNK_COMMIT_SECONDS: Final = Metric(
    "veilsum_chunk_commit_seconds",
    Kind.HISTOGRAM,
    _C,
    "To check a chunk and to have it on the disk.",
    (),
    _MILLISECONDS,
)
FOLD_BYTES: Final = Metric(
    "veilsum_fold_bytes_total", Kind.COUNTER, _C, "Bytes of chunks that were added.", ("scheme",)
)
FOLD_LAG: Final = Metric(
    "veilsum_fold_lag_chunks", Kind.GAUGE, _C, "Chunks of sums that are still to be made."
)
LAST_SEEN: Final = Metric(
    "veilsum_participant_last_seen_timestamp_seconds",
    Kind.GAUGE,
    _C,
    "When a member last called, in seconds since 1970; not since this process started: no line.",
    ("site",),
)
RPC_REJECTED: Final = Metric(
    "veilsum_rpc_rejected_total",
    Kind.COUNTER,
    _C,
    "Calls that ended with an error, by its code.",
    ("method", "reason"),
)
LEASE_SECONDS: Final = Metric(
    "veilsum_lease_sure_seconds",
    Kind.GAUGE,
    _C,
    "For how long this process is sure to lead; no line where none is needed.",
)
LEADS: Final = Metric("veilsum_leading", Kind.GAUGE, _C, "1 if this process serves rounds.")
SCRUB_OBJECTS: Final = Metric(
    "veilsum_scrub_objects_total", Kind.COUNTER, _C, "Stored objects that were read and hashed."
)
SCRUB_PASSES: Final = Metric(
    "veilsum_scrub_passes_total", Kind.COUNTER, _C, "Looks at all that is stored."
)
SCRUB_MENDED: Final = Metric(
    "veilsum_scrub_mended_total", Kind.COUNTER, _C, "Damaged chunks that are asked for again."
)
SCRUB_DAMAGED: Final = Metric(
    "veilsum_scrub_damaged_objects", Kind.GAUGE, _C, "Objects that are damaged now."
)
SETTLEMENT_ROUND: Final = Metric(
    "veilsum_settlement_round",
    Kind.GAUGE,
    _C,
    "Rounds committed to the chain: open to disputes, matured, or void.",
    ("state",),
)
COMMITS_UNKNOWN: Final = Metric(
    "veilsum_settlement_commits_unknown",
    Kind.GAUGE,
    _C,
    "Commits on the chain that this coordinator does not know: it answers no demand for them.",
)
DEMANDS_WAITING: Final = Metric(
    "veilsum_settlement_demands_waiting",
    Kind.GAUGE,
    _C,
    "Demands on the chain that wait for an answer: one that is missed costs the bond.",
)
DEMANDS_LOOKED: Final = Metric(
    "veilsum_settlement_looked_timestamp_seconds",
    Kind.GAUGE,
    _C,
    "When a look for demands last came to its end, in seconds since 1970.",
)
DEMANDS_ENDED: Final = Metric(
    "veilsum_settlement_demands_total",
    Kind.COUNTER,
    _C,
    "Demands on the chain that are over for good: answered, or missed.",
    ("outcome",),
)

EPSILON_SPENT: Final = Metric(
    "veilsum_privacy_epsilon_spent",
    Kind.GAUGE,
    _S,
    "What the ledger has charged, committed and reserved, towards each view.",
    ("dataset", "view"),
)
EPSILON_BUDGET: Final = Metric(
    "veilsum_privacy_epsilon_budget",
    Kind.GAUGE,
    _S,
    "The limit for life that is in force, towards each view.",
    ("dataset", "view"),
)
BUDGET_DENIED: Final = Metric(
    "veilsum_privacy_budget_denied_total", Kind.COUNTER, _S, "Rounds that the ledger refused."
)
POLICY_REFUSED: Final = Metric(
    "veilsum_policy_refused_total",
    Kind.COUNTER,
    _S,
    "Plans that a line of site.toml refused; the label is its key.",
    ("line",),
)
LEDGER_ENTRIES: Final = Metric(
    "veilsum_audit_entries_total", Kind.COUNTER, _S, "Rows of the privacy ledger."
)
SENT: Final = Metric(
    "veilsum_sent_bytes_total",
    Kind.COUNTER,
    _M,
    "Bytes of contributions, models and seats' sums and letters sent.",
)
FETCHED: Final = Metric(
    "veilsum_fetched_bytes_total",
    Kind.COUNTER,
    _M,
    "Bytes of sums, models, contributions, parts and letters fetched.",
)
TASKS: Final = Metric(
    "veilsum_tasks_total",
    Kind.COUNTER,
    _S,
    "Tasks of rounds, by how they ended: done or declined.",
    ("task", "outcome"),
)

ALL: Final = tuple(each for each in list(globals().values()) if isinstance(each, Metric))
