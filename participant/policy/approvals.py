"""What somebody at this site has said of plans, on its disk: nobody's data is used before.

    approvals/000002-<digest>.asked      what the agent asks about: the plan, in words
    approvals/000002-<digest>.approved   who has approved it, and when
    approvals/000002-<digest>.refused    who has refused it, and when; final

Each is written whole or not at all, by the agent (`asked`) or by `veilsum participant
approve-plan`. What is said is said of one digest, so another plan of the same round is asked
about anew. Whoever can write here runs this site, so there is no signature to check.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from privacy.errors import AwaitingApproval, ConfigError
from privacy.identifiers import Digest
from privacy.learned import learned
from privacy.plan import Plan
from privacy.policy_line import PolicyLine
from veilsum.files import disk_errors, make_folder, write_new

from .refusing import refusal

FOLDER: Final = "approvals"
_ASKED: Final = ".asked"

_Kind = TypeVar("_Kind", bound=msgspec.Struct)


class Asked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A plan in words, for whoever decides; the digest is what counts."""

    plan: Digest
    round: int
    model: Digest
    scheme: str
    mechanism: str
    cohort_minimum: int
    rounds_left: int
    epsilon: str
    auditor: str = ""


class Said(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who has decided about a plan, as what user, and when, in seconds since 1970."""

    plan: Digest
    by: str
    at: float


@dataclass(frozen=True)
class Standing:
    """A plan that was asked about, and what was said of it: `waiting`, `approved`, `refused`."""

    asked: Asked
    state: str
    said: Said | None


@dataclass(frozen=True)
class Approvals:
    """The folder of them, in a site's state folder."""

    folder: Path

    def require(self, plan: Plan, asked: Asked, by: PolicyLine) -> bool:
        """Return if somebody has approved this very plan; true if it was never asked about.

        Args:
            asked: what is written down for whoever decides, the first time.
            by: the line of the policy that wants it.

        Raises:
            AwaitingApproval: nobody has said anything yet.
            PolicyRefusal: somebody has refused it; final.
            StoreUnavailable: the disk refuses.
            ConfigError: a file here is not one of ours.
        """
        name = _name(asked)
        if (refused := self._said(name, "refused")) is not None:
            raise refusal(by, f"{refused.by} has refused the plan {asked.plan[:16]}…")
        if self._said(name, "approved") is not None:
            return True
        self._ask(name, asked)
        raise AwaitingApproval(
            f"{by}: the plan of round {plan.terms.round}, {asked.plan[:16]}…, waits for `veilsum "
            f"participant approve-plan {plan.terms.round}`; the round waits as for a training"
        )

    def all(self) -> Iterator[Standing]:
        """Yield every plan that was asked about, in the order of rounds.

        Raises:
            StoreUnavailable, ConfigError: as for `require`.
        """
        for path in sorted(self.folder.glob(f"*{_ASKED}")):
            name = path.name.removesuffix(_ASKED)
            refused, approved = (self._said(name, word) for word in ("refused", "approved"))
            state = "refused" if refused else "approved" if approved else "waiting"
            yield Standing(_read(path, Asked), state, refused or approved)

    def find(self, wanted: str) -> Asked:
        """Return the plan that a round's number, or the beginning of a digest, means.

        Raises:
            ConfigError: none, or several.
        """
        known = [each.asked for each in self.all()]
        is_round = wanted.isdecimal() and len(wanted) <= 6
        found = [
            each
            for each in known
            if (each.round == int(wanted) if is_round else each.plan.startswith(wanted.lower()))
        ]
        if len(found) == 1 and (is_round or len(wanted) >= 8):
            return found[0]
        many = f"{len(found)} plans: say which by eight or more digits of its digest"
        none = "no plan that this site was asked about; `--list` shows them"
        raise ConfigError(f"{wanted}: {many if found else none}")

    def approve(self, asked: Asked, who: str, now: float) -> None:
        """Record that a plan is approved, durably; again changes nothing.

        Raises:
            ConfigError: it was refused, which is final.
            StoreUnavailable: the disk refuses; nothing is recorded.
        """
        if self._said(_name(asked), "refused") is not None:
            raise ConfigError(
                f"the plan {asked.plan[:16]}… was refused, and the agent may have acted on it; "
                "another plan of the round has another digest"
            )
        self._say(asked, "approved", who, now)

    def refuse(self, asked: Asked, who: str, now: float) -> None:
        """Record that a plan is refused, for good; an approval before it counts no more.

        Raises:
            StoreUnavailable: the disk refuses; nothing is recorded.
        """
        self._say(asked, "refused", who, now)

    def _ask(self, name: str, asked: Asked) -> None:
        if not (self.folder / f"{name}{_ASKED}").exists():
            make_folder(self.folder)
            write_new(self.folder / f"{name}{_ASKED}", _written(asked))

    def _say(self, asked: Asked, word: str, who: str, now: float) -> None:
        make_folder(self.folder)
        write_new(self.folder / f"{_name(asked)}.{word}", _written(Said(asked.plan, who, now)))

    def _said(self, name: str, word: str) -> Said | None:
        path = self.folder / f"{name}.{word}"
        if not path.exists():
            return None
        said = _read(path, Said)
        if not name.endswith(said.plan):
            raise ConfigError(f"{path}: it is about another plan, {said.plan}; delete it")
        return said


def _name(asked: Asked) -> str:
    return f"{asked.round:06d}-{asked.plan}"


def _written(what: msgspec.Struct) -> bytes:
    return msgspec.json.format(msgspec.json.encode(what)) + b"\n"


def _read(path: Path, kind: type[_Kind]) -> _Kind:
    with disk_errors(path):
        text = path.read_bytes()
    try:
        return msgspec.json.decode(text, type=learned(kind), strict=True)
    except msgspec.MsgspecError as error:
        raise ConfigError(f"{path}: {error}; delete it, and decide again") from None
