"""What the demo found, as one value: checked here, shown elsewhere."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from .seated import Seated
from .worth import Worth

_MOST_BYTES_UP: Final[Mapping[str, float]] = {"ckks": 8, "shares": 8.5}
"""For each parameter of a model as small as this one; under shares seals take 0.2 of it."""


_FEW_PARAMETERS = 1_000


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
    where the auditor has written no report. `seated` is what seats did, under shares.
    """

    number: int
    cohort: tuple[str, ...]
    difference: int | None
    openings: int
    sites: tuple[SiteRound, ...]
    agreed: tuple[str, ...]
    countersigned: tuple[str, ...] = ()
    audited: Audited | None = None
    seated: Seated | None = None

    @property
    def was_audited(self) -> bool:
        """Whether the auditor has added the whole cohort again, and signed that very sum."""
        return (
            self.audited is not None
            and self.audited.equal
            and self.audited.contributions == len(self.cohort)
            and self.audited.auditor in self.countersigned
        )


class Evidence(msgspec.Struct, frozen=True):
    """What was verified offline.

    Attributes:
        verdicts: of each hospital's bundle, in a word.
        folder: where it all is.
        command: what an officer types there to verify one of them again.
        report: the report's files, in that folder.
    """

    verdicts: dict[str, str]
    folder: str
    command: str
    report: tuple[str, ...]

    @property
    def is_ok(self) -> bool:
        """Whether every bundle holds."""
        return bool(self.verdicts) and set(self.verdicts.values()) == {"ok"}


class Report(msgspec.Struct, frozen=True):
    """The whole demo.

    `method` is how rounds are paid, `worths` what contributions were worth, by hospital, and
    `own_noise` which part of a mean score is the noise that its hospital has added; None where
    scores are not measured.
    """

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
    scheme: str = "ckks"
    killed_seat: str = ""
    seat_kill_round: int = 0
    mechanism: str = "local"
    vector_epsilon: Mapping[str, float] = {}
    vector_epsilon_limit: float = 0.0
    evidence: Evidence | None = None
    method: str = "participation/1"
    worths: Mapping[str, Worth] = {}
    own_noise: float | None = None

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
            **(self._checks_of_seats() if self.scheme == "shares" else self._checks_of_auditor()),
            f"cohorts are {self.wanted_cohorts}": self.cohort_sizes == self.wanted_cohorts,
            "every trainer holds the model that the openers agreed on": len(self.holders)
            == len(self.epsilon),
            "accuracy is at least 0.90": self.accuracy >= 0.90,
            f"epsilon is at most {self.epsilon_limit:g} at every site": all(
                0 < value <= self.epsilon_limit for value in self.epsilon.values()
            ),
            f"epsilon of one opened update is at most {self.vector_epsilon_limit:g}": all(
                0 < value <= self.vector_epsilon_limit for value in self.vector_epsilon.values()
            ),
            "every hospital's evidence is verified offline, beside the others'": (
                self.evidence is not None and self.evidence.is_ok
            ),
            **self._checks_of_size(),
            f"every hospital is paid what its scores come to, by {self.method}": self._paid_right(),
        }

    def _paid_right(self) -> bool:
        """Return whether payouts are what signed scores come to, and something was paid."""
        owed = {name: each.owed for name, each in self.worths.items()}
        paid = {name: int(amount) for name, amount in self.payouts.items()}
        return paid == owed and 0 < sum(owed.values()) <= self.escrow

    def _checks_of_size(self) -> Mapping[str, bool]:
        # Of a model of a few values, one chunk and its signature are all there is.
        if self.parameters < _FEW_PARAMETERS:
            return {}
        most, sent = _MOST_BYTES_UP[self.scheme], self.bytes_per_parameter_up
        return {f"an upload takes at most {most:g} bytes a parameter": 0 < sent <= most}

    def _checks_of_auditor(self) -> Mapping[str, bool]:
        return {"every sum was added again, and countersigned, by the auditor": self.audited}

    def _checks_of_seats(self) -> Mapping[str, bool]:
        rounds = [(each, each.seated) for each in self.rounds if each.seated is not None]
        whole = 0 < len(rounds) == len(self.rounds)
        return {
            "every cohort is certified, and two seats at least state one sum of it": whole
            and all(seated.certified and len(seated.stated) >= 2 for _, seated in rounds),
            **(self._checks_of_questions(rounds) if self.mechanism == "local" else {}),
            f"round {self.seat_kill_round} ended without {self.killed_seat}, killed with "
            "SIGKILL": self._ended_without_seat(),
        }

    def _checks_of_questions(
        self, rounds: Sequence[tuple[RoundReport, Seated]]
    ) -> Mapping[str, bool]:
        whole = 0 < len(rounds) == len(self.rounds)
        return {
            "every update in a sum keeps the norm bound, as seats found unopened": whole
            and all(set(each.cohort) <= set(seated.checked) for each, seated in rounds),
            "every update has scores, but where a seat was away": whole
            and all(seated.has_scored(each.cohort) for each, seated in rounds),
        }

    def _ended_without_seat(self) -> bool:
        """Return whether the killed seat stated its sums in all rounds before that of its death."""
        rounds = [each for each in self.rounds if each.seated is not None]
        without = [
            each.number
            for each in rounds
            if each.seated is not None and self.killed_seat not in each.seated.stated
        ]
        return without[:1] == [self.seat_kill_round]

    def to_json(self) -> dict[str, Any]:
        """Return the report for `--json`."""
        return {
            "rounds": len(self.rounds),
            "scheme": self.scheme,
            "mechanism": self.mechanism,
            "exact": self.exact,
            # Under shares an auditor adds nothing again: it judges what seats dispute.
            "audited": self.audited if self.scheme == "ckks" else None,
            "cohort_sizes": list(self.cohort_sizes),
            "accuracy": self.accuracy,
            "accuracy_alone": dict(self.accuracy_alone),
            "accuracy_pooled": self.accuracy_pooled,
            "epsilon": dict(self.epsilon),
            "epsilon_left": dict(self.epsilon_left),
            "vector_epsilon": dict(self.vector_epsilon),
            "delta": float(self.delta),
            "bytes_per_parameter_up": round(self.bytes_per_parameter_up, 4),
            "model_digest": self.model_digest,
            "settlement": {
                "transaction": self.transaction,
                "payouts": dict(self.payouts),
                "escrow": str(self.escrow),
                "method": self.method,
            },
            "contributions": msgspec.to_builtins(self.worths),
            "own_noise": self.own_noise,
            "evidence": msgspec.to_builtins(self.evidence),
            "keys": self.keys,
            "seconds": round(self.seconds, 2),
            "state_dir": self.state_dir,
            "logs": self.logs,
            "history": msgspec.to_builtins(self.rounds),
            "checks": dict(self.checks()),
        }
