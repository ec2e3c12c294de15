"""What is kept of a round's commit, so that it can be disputed without the coordinator."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

import msgspec

from privacy import canonical
from privacy.errors import ConfigError, MalformedMessage
from privacy.settlement.commitment import Commit, Slot
from privacy.settlement.payouts import Domain, Word
from veilsum.files import disk_errors, make_folder, read_file, write_durably

FOLDER: Final = "dossiers"
"""Where dossiers are, in the state folder of a site or an auditor."""

_Hex = Annotated[str, msgspec.Meta(pattern=r"^([0-9a-f]{2})*\Z", max_length=1 << 19)]


class Receipt(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A coordinator's signed promise that a contribution is in a cohort; its signature holds.

    Attributes:
        contribution: root, 64 hexadecimal digits.
        signature: EIP-712, 65 bytes in hexadecimal.
    """

    domain: Domain
    slot_id: int
    contribution: Word
    signature: _Hex

    def slot(self) -> Slot:
        """Return the slot that it promises."""
        return Slot(self.slot_id, bytes.fromhex(self.contribution))


class Standing(StrEnum):
    """What came of looking at a round's commit.

    `false_commit` can be proved, `withheld` demanded; `unproved` is wrong, and no contract can be
    convinced. `not_in_time` was not looked at before it matured; in `left_out` this site has no
    part.
    """

    OPEN = "open"
    SOUND = "sound"
    FALSE = "false_commit"
    WITHHELD = "withheld"
    UNPROVED = "unproved"
    LATE = "not_in_time"
    LEFT_OUT = "left_out"
    NONE = "not_committed"


class Dossier(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is known of one round's commit.

    Attributes:
        arithmetic: the arithmetic part of its plan, hexadecimal.
        scheme, plan, slot_id, contribution: of a site's own contribution; an auditor has none.
        receipt: a site's own, once it has one.
        commit: as the chain has it, once it is there.
        matures_at: Unix time from which it is challenged no more.
        standing: how far looking at it has come.
        reason: why it is not sound, and what to do about it.
    """

    round: int
    arithmetic: _Hex = ""
    scheme: str = ""
    plan: str = ""
    slot_id: int = 0
    contribution: str = ""
    receipt: Receipt | None = None
    commit: Commit | None = None
    matures_at: int = 0
    standing: Standing = Standing.OPEN
    reason: str = ""

    def slot(self) -> Slot:
        """Return the slot that a site's own contribution must have."""
        return Slot(self.slot_id, bytes.fromhex(self.contribution))

    def is_over(self, now: float) -> bool:
        """Return whether a site has nothing to dispute, or can dispute it no more."""
        if self.standing in (Standing.LEFT_OUT, Standing.NONE):
            return True
        return self.standing is not Standing.OPEN and now >= self.matures_at


@dataclass(frozen=True)
class Dossiers:
    """The dossiers in a folder, one for each round."""

    folder: Path

    def of(self, number: int) -> Dossier | None:
        """Return what is kept of a round.

        Raises:
            ConfigError: the file is not what this process wrote.
            StoreUnavailable: the disk refuses.
        """
        path = self._path(number)
        with disk_errors(path):
            if not path.exists():
                return None
        try:
            return canonical.decode(read_file(path), Dossier)
        except MalformedMessage as error:
            raise ConfigError(
                f"{path}: not what this process wrote ({error}); check that disk, and restore it"
            ) from None

    def keep(self, dossier: Dossier) -> None:
        """Write a dossier durably, in place of an older one of its round.

        Raises:
            StoreUnavailable: the disk refuses.
        """
        make_folder(self.folder)
        write_durably(self._path(dossier.round), canonical.encode(dossier))

    def rounds(self) -> tuple[int, ...]:
        """Return the rounds of which there is one, in order."""
        return tuple(sorted(int(path.stem) for path in self.folder.glob("[0-9]*.json")))

    def arithmetic(self) -> bytes | None:
        """Return the arithmetic part of the plans, which is one for all rounds of a programme."""
        for number in reversed(self.rounds()):
            found = self.of(number)
            if found is not None and found.arithmetic:
                return bytes.fromhex(found.arithmetic)
        return None

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:06d}.json"
