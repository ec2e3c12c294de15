"""The terms of a programme, as a consortium writes them down before it opens one."""

from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Final

import msgspec

from coordinator.settling.settle import Terms
from coordinator.settling.shape import Shape
from privacy.configuration import decode
from privacy.errors import ConfigError
from privacy.settlement.payouts import PART_LIMIT
from veilsum.chain.access import Address
from veilsum.files import read_text

MOST_JUDGES: Final = 8
LONGEST_SECONDS: Final = 365 * 86_400
"""Of a window, as the contract has it."""

_NOBODY: Final = "0x" + "00" * 20
_LABEL_DOMAIN: Final = b"veilsum/programme-label/1\x00"

Units = Annotated[str, msgspec.Meta(pattern=r"^[1-9][0-9]{0,38}\Z")]
"""Of a token, in its smallest unit: above 0, and a string, as TOML's numbers end at 2^63."""

Seconds = Annotated[int, msgspec.Meta(ge=1, le=LONGEST_SECONDS)]


class ProgrammeFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a consortium agrees on; times in seconds, amounts in the token's smallest unit.

    Attributes:
        contract: address of the settlement.
        token: address of the ERC-20 token of escrow and bonds.
        escrow: what the programme pays out in all.
        end: when commits and funding stop: a date and time with its offset from UTC.
        window_seconds: from a commit to its maturity.
        response_seconds: that the coordinator has to answer a demand.
        bond: what the coordinator has at stake.
        demand_bond: what a demand costs whoever is answered.
        funder: who gets back what no round committed; the coordinator, if left out.
        guardian: who may pause commits.
        judges: whose verdicts slash; `judges_quorum` make one.
        label: tells programmes of otherwise equal terms apart.
    """

    contract: Address
    token: Address
    escrow: Units
    end: str
    window_seconds: Seconds
    response_seconds: Seconds
    bond: Units
    demand_bond: Units
    funder: Address | None = None
    guardian: Address | None = None
    judges: tuple[Address, ...] = ()
    judges_quorum: Annotated[int, msgspec.Meta(ge=0, le=MOST_JUDGES)] = 0
    label: str = ""

    def __post_init__(self) -> None:
        self.ends_at()
        if self.window_seconds <= 2 * self.response_seconds:
            raise ConfigError(
                f"window_seconds: {self.window_seconds}; more than twice response_seconds, "
                f"{self.response_seconds}, so that a demand can be answered and proved wrong"
            )
        for name in ("escrow", "bond", "demand_bond"):
            if int(getattr(self, name)) >= PART_LIMIT:
                raise ConfigError(f"{name}: below 2^128")
        self._require_judges()

    def ends_at(self) -> int:
        """Return the end in Unix time.

        Raises:
            ConfigError: it is no date and time, or has no offset.
        """
        try:
            found = datetime.fromisoformat(self.end)
        except ValueError:
            found = None
        if found is None or found.tzinfo is None:
            raise ConfigError(f"end: {self.end[:40]!r}; write it as 2027-06-30T00:00:00Z")
        return int(found.timestamp())

    def terms(self, coordinator: str, shape: Shape, federation: str) -> Terms:
        """Return the terms as the contract has them.

        They follow from this file, the coordinator's key and its settings alone, so that the
        same words open the same programme once.

        Args:
            coordinator: address of the key that will commit.
            shape: of what sites contribute.
        """
        judges = sorted(judge.lower() for judge in self.judges)
        label = _LABEL_DOMAIN + federation.encode() + b"\x00" + self.label.encode()
        return Terms(
            token=self.token.lower(),
            coordinator=coordinator.lower(),
            funder=(self.funder or coordinator).lower(),
            end=self.ends_at(),
            window=self.window_seconds,
            response=self.response_seconds,
            bond=int(self.bond),
            demand_bond=int(self.demand_bond),
            arithmetic=shape.arithmetic,
            leaves_per_chunk=shape.leaves_per_chunk,
            last_chunk_leaves=shape.last_chunk_leaves,
            label=sha256(label).digest(),
            guardian=(self.guardian or _NOBODY).lower(),
            judges=tuple(judges),
            judges_quorum=self.judges_quorum,
        )

    def _require_judges(self) -> None:
        different = len({judge.lower() for judge in self.judges})
        if different != len(self.judges) or different > MOST_JUDGES:
            raise ConfigError(f"judges: {MOST_JUDGES} at most, and no two the same")
        if (self.judges_quorum == 0) != (different == 0) or self.judges_quorum > different:
            raise ConfigError(
                f"judges_quorum: {self.judges_quorum} of {different}; from 1 to their number, and "
                "0 where there are none"
            )


def read_terms(path: Path) -> ProgrammeFile:
    """Return the terms in a TOML file.

    Raises:
        ConfigError: it cannot be read, a key is unknown or missing, or a value not what it must be.
    """
    return decode(read_text(path), ProgrammeFile, str(path))
