"""What a site sees of the rounds, as values."""

from dataclasses import dataclass

from privacy.documents import Signed


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A contribution that a seat left out of a cohort: which seat, an error's code and words."""

    participant: str
    seat: str
    code: str
    reason: str


@dataclass(frozen=True, slots=True)
class RoundView:
    """One round, as the coordinator tells it; believed only where nothing hangs on it.

    Attributes:
        seats: under `shares`, in the plan's order.
        judged, summed: seats that have judged the candidates, that have stated their sums.
        certified: seats and trainers that have signed the cohort.
        disputed: the two seats that state different sums.
        liars: seats whose sums do not count any more.
        scoring: how far the scores are that openers find out after the release: "stating",
            "judging" or "over"; empty where none are asked for.
        stated: sites that have stated their product.
        scored: openers that have signed the scores.
    """

    number: int
    phase: str
    turn: str
    openers: tuple[str, ...]
    key_record: str
    key_signers: tuple[str, ...]
    committed: tuple[str, ...]
    sealed_model: str
    agreed: tuple[str, ...]
    auditor: str = ""
    seats: tuple[str, ...] = ()
    candidates: str = ""
    judged: tuple[str, ...] = ()
    cohort: str = ""
    certified: tuple[str, ...] = ()
    summed: tuple[str, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    disputed: tuple[str, ...] = ()
    liars: tuple[str, ...] = ()
    scoring: str = ""
    stated: tuple[str, ...] = ()
    scored: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class View:
    """The live rounds, and how far the programme is."""

    revision: int = 0
    rounds: tuple[RoundView, ...] = ()
    finished: bool = False
    released: int = 0
    halted: bool = False
    settles: bool = False
    settled: bool = False


@dataclass(frozen=True, slots=True)
class KeyState:
    """A round's key: what it must be made for, and, once there is one, the key."""

    specification: bytes
    record: Signed | None
    public_key: bytes
    sealed_secret: bytes


@dataclass(frozen=True, slots=True)
class Payout:
    """What a site may claim, by which commit, both in canonical form, and on which contract."""

    entitlement: bytes
    contract: str
    rounds: int
    commit: bytes = b""
