"""What can happen to a federation, as values: a history is a list of them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Operation:
    """Something that happens."""


@dataclass(frozen=True)
class Tick(Operation):
    """The coordinator does what is due."""


@dataclass(frozen=True)
class Advance(Operation):
    """Time passes."""

    seconds: float


@dataclass(frozen=True)
class Crash(Operation):
    """The coordinator will die the `count`-th time it comes to `place`, and be started again."""

    place: str
    count: int


@dataclass(frozen=True)
class DiskFull(Operation):
    """The next `count` writes of the coordinator fail."""

    count: int


@dataclass(frozen=True)
class Heartbeat(Operation):
    """A member says that it is at work."""

    who: str
    round: int


@dataclass(frozen=True)
class OfferKey(Operation):
    """An opener offers a key, in turn or not."""

    who: str
    round: int


@dataclass(frozen=True)
class SignKey(Operation):
    """An opener vouches for the key there is."""

    who: str
    round: int


@dataclass(frozen=True)
class Refuse(Operation):
    """An opener says that the key, or the sum, is not what it must be."""

    who: str
    round: int


@dataclass(frozen=True)
class Begin(Operation):
    """A site begins its upload; another `variant` is another contribution.

    `swapped` seals are in another order than the header says, which no honest site sends.
    """

    who: str
    round: int
    variant: int = 0
    swapped: bool = False


@dataclass(frozen=True)
class Put(Operation):
    """A site sends one chunk of a contribution."""

    who: str
    round: int
    chunk: int
    variant: int = 0


@dataclass(frozen=True)
class Commit(Operation):
    """A site says that its contribution is complete."""

    who: str
    round: int


@dataclass(frozen=True)
class Countersign(Operation):
    """Somebody signs the sum as its auditor; `forged` is by another key."""

    who: str
    round: int
    forged: bool = False


@dataclass(frozen=True)
class Fetch(Operation):
    """Somebody asks for the sealed masks that it would take off the sum."""

    who: str
    round: int


@dataclass(frozen=True)
class Seal(Operation):
    """An opener that has the masks seals a model and sends it, or so many chunks of it."""

    who: str
    round: int
    chunks: int = 2


@dataclass(frozen=True)
class SignRelease(Operation):
    """An opener that has the masks signs the release there is."""

    who: str
    round: int
