"""What came of a demo whose coordinator cheats, as one value: checked here, shown elsewhere."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

MOST_CHALLENGE_GAS: Final = 330_000
"""What a challenge may cost, at 256 words a leaf."""


class Act(msgspec.Struct, frozen=True):
    """A command that was run, as its user types it, and what it ended with."""

    command: str
    status: int


class Caught(msgspec.Struct, frozen=True):
    """A false commit: how it was found, and what it cost whom. Amounts are token units.

    Attributes:
        round: the one whose commit is false.
        reason: what the auditor has found in it.
        proof: kind of the proof; empty if there was none.
        opened_right: whether every sum was added again before it was opened, and was right.
        void_from: the round that was proved wrong, by the chain; None if none was.
        head: the newest round that still stands, by the chain; 0 if none does.
        bond: what the coordinator had bonded before.
        slashed, rewarded, burned, collected: of that; and what the challenger was paid out.
        gas: of each transaction of the challenge.
    """

    scheme: str
    mechanism: str
    round: int
    reason: str
    proof: str
    opened_right: bool
    acts: Sequence[Act]
    void_from: int | None
    head: int
    bond: int
    slashed: int
    rewarded: int
    burned: int
    collected: int
    gas: Mapping[str, int]
    challenger: str
    transaction: str
    state_dir: str
    logs: str
    seconds: float

    def checks(self) -> Mapping[str, bool]:
        """Return each claim this demo makes, and whether it held."""
        return {
            "every sum that was opened was added again before, and was right": self.opened_right,
            f"the auditor proves the commit of round {self.round} false": self.proof == "bad_sum",
            f"round {self.round} is void, and every round before it stands": (
                (self.void_from, self.head) == (self.round, self.round - 1)
            ),
            "the coordinator has lost its whole bond": 0 < self.bond == self.slashed,
            "half of it is the challenger's, paid out; the rest is burned": self._is_shared_out(),
            f"the challenge took at most {MOST_CHALLENGE_GAS:,} gas": (
                0 < self.gas.get("challenge", 0) <= MOST_CHALLENGE_GAS
            ),
        }

    def _is_shared_out(self) -> bool:
        half = self.slashed // 2
        return 0 < self.rewarded == self.collected == half and self.burned == self.slashed - half

    def to_json(self) -> dict[str, Any]:
        """Return the report for `--json`."""
        return {**msgspec.to_builtins(self), "checks": dict(self.checks())}
