"""What the demo found, as one value: checked here, shown elsewhere."""

from collections.abc import Mapping
from typing import Any

import msgspec


class SiteRound(msgspec.Struct, frozen=True):
    """What one site did in one round."""

    participant: str
    contributed: bool
    killed_at: str = ""


class Audited(msgspec.Struct, frozen=True):
    """What the auditor's own signed report says of one round.

    Attributes:
        equal: it has added the contributions again, and got the round's sum.
        contributions, bytes: what it has added.
        seconds: how long that took.
    """

    auditor: str
    equal: bool
    contributions: int
    bytes: int
    seconds: float


class RoundReport(msgspec.Struct, frozen=True):
    """One round: its cohort, and how far the opened sum is from the plaintext sum.

    `difference` is the largest absolute difference over all values and openers, in
    grid steps, and None where an opener's or a site's witness has noted nothing.
    `countersigned` names the auditors whose signature is on the sum; `audited` is None
    where the auditor has written no report.
    """

    number: int
    cohort: tuple[str, ...]
    difference: int | None
    openings: int
    sites: tuple[SiteRound, ...]
    agreed: tuple[str, ...]
    countersigned: tuple[str, ...] = ()
    audited: Audited | None = None

    @property
    def was_audited(self) -> bool:
        """Whether the auditor has added the whole cohort again, and signed that very sum."""
        return (
            self.audited is not None
            and self.audited.equal
            and self.audited.contributions == len(self.cohort)
            and self.audited.auditor in self.countersigned
        )


class Report(msgspec.Struct, frozen=True):
    """The whole demo."""

    rounds: tuple[RoundReport, ...]
    parameters: int
    accuracy: float
    accuracy_alone: Mapping[str, float]
    accuracy_pooled: float
    epsilon: Mapping[str, float]
    epsilon_left: Mapping[str, float]
    delta: str
    bytes_up: int
    model_digest: str
    holders: tuple[str, ...]
    transaction: str
    payouts: Mapping[str, str]
    escrow: int
    keys: str
    state_dir: str
    logs: str
    seconds: float
    wanted_cohorts: tuple[int, ...]
    epsilon_limit: float
    killed: str

    @property
    def exact(self) -> bool:
        """Whether every round's sum was opened and is exactly the plaintext sum."""
        return bool(self.rounds) and all(
            each.difference == 0 and each.openings >= 2 for each in self.rounds
        )

    @property
    def audited(self) -> bool:
        """Whether every round's sum was added again and countersigned by the auditor."""
        return bool(self.rounds) and all(each.was_audited for each in self.rounds)

    @property
    def cohort_sizes(self) -> tuple[int, ...]:
        """How many sites are in each round's sum."""
        return tuple(len(each.cohort) for each in self.rounds)

    @property
    def bytes_per_parameter_up(self) -> float:
        """All bytes of one contribution's messages, over the number of parameters."""
        return self.bytes_up / self.parameters

    def checks(self) -> Mapping[str, bool]:
        """Return each claim the demo makes, and whether it held."""
        return {
            "every sum is exactly the plaintext sum": self.exact,
            "every sum was added again, and countersigned, by the auditor": self.audited,
            f"cohorts are {self.wanted_cohorts}": self.cohort_sizes == self.wanted_cohorts,
            "every trainer holds the model that the openers agreed on": len(self.holders)
            == len(self.epsilon),
            "accuracy is at least 0.90": self.accuracy >= 0.90,
            f"epsilon is at most {self.epsilon_limit:g} at every site": all(
                0 < value <= self.epsilon_limit for value in self.epsilon.values()
            ),
            "an upload takes at most 8 bytes a parameter": 0 < self.bytes_per_parameter_up <= 8,
            "the whole escrow is paid out": sum(int(v) for v in self.payouts.values())
            == self.escrow,
        }

    def to_json(self) -> dict[str, Any]:
        """Return the report for `--json`."""
        return {
            "rounds": len(self.rounds),
            "scheme": "ckks",
            "exact": self.exact,
            "audited": self.audited,
            "cohort_sizes": list(self.cohort_sizes),
            "accuracy": self.accuracy,
            "accuracy_alone": dict(self.accuracy_alone),
            "accuracy_pooled": self.accuracy_pooled,
            "epsilon": dict(self.epsilon),
            "epsilon_left": dict(self.epsilon_left),
            "delta": float(self.delta),
            "bytes_per_parameter_up": round(self.bytes_per_parameter_up, 4),
            "model_digest": self.model_digest,
            "settlement": {"transaction": self.transaction, "payouts": dict(self.payouts)},
            "keys": self.keys,
            "seconds": round(self.seconds, 2),
            "state_dir": self.state_dir,
            "logs": self.logs,
            "history": msgspec.to_builtins(self.rounds),
            "checks": dict(self.checks()),
        }
