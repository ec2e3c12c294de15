"""What can happen to a federation, as values: a history is a list of them, and can be a file.

What a member does is a message: made from what the member sees at that moment, and sent. `Drop`,
`Repeat`, `Delay` and `Deliver` say what the network does with it.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import msgspec


class Operation(msgspec.Struct, frozen=True, tag=True, omit_defaults=True):
    """Something that happens."""


# -- time, the machine, the disk ----------------------------------------------------


class Tick(Operation, frozen=True):
    """The coordinator does what is due."""


class Silence(Operation, frozen=True):
    """The coordinator does what is due, and no member says a word, no seat that it is up."""


class Advance(Operation, frozen=True):
    """Time passes."""

    seconds: float


class Crash(Operation, frozen=True):
    """The coordinator dies the `count`-th time it comes to `place`, and is started again.

    A place is a failpoint, or `write.before_…` or `write.after_…` a write of its storage.
    """

    place: str
    count: int


class Restart(Operation, frozen=True):
    """The coordinator is told to stop, and started again: the operator's word to go on."""


class Upgrade(Operation, frozen=True):
    """Another version is started, which cannot read the plans and keys of the live rounds."""


class Rot(Operation, frozen=True):
    """A chunk of a contribution changes on the coordinator's disk."""

    who: str
    round: int
    chunk: int = 0


class DiskFull(Operation, frozen=True):
    """The next `count` writes of the coordinator fail, and nothing of them is kept."""

    count: int


class DiskUncertain(Operation, frozen=True):
    """The next `count` writes are kept, and fail all the same: the answer was lost."""

    count: int


class DiskSlow(Operation, frozen=True):
    """Each of the next `count` writes takes so long."""

    count: int
    seconds: float


# -- members come and go ----------------------------------------------------------------


class Join(Operation, frozen=True):
    """A member that was not there yet begins to work."""

    who: str


class Die(Operation, frozen=True):
    """A member's process is killed and started again; it knows what its disk knows."""

    who: str


class Partition(Operation, frozen=True):
    """A member cannot reach the coordinator for a time."""

    who: str
    seconds: float


# -- what members do ------------------------------------------------------------------


class Act(Operation, frozen=True):
    """What a member does in a round."""

    who: str
    round: int


class Heartbeat(Act, frozen=True):
    """A member says that it is at work."""


class OfferKey(Act, frozen=True):
    """An opener offers a key, in turn or not."""

    variant: int = 0


class SignKey(Act, frozen=True):
    """An opener vouches for the key there is."""


class Refuse(Act, frozen=True):
    """Somebody says that the key, or the sum, is not what it must be."""


class Begin(Act, frozen=True):
    """A site begins its upload; another `variant` is another contribution.

    `swapped` seals are in another order than the header says, which no honest site sends.
    """

    variant: int = 0
    swapped: bool = False


class Put(Act, frozen=True):
    """A site sends one chunk of a contribution."""

    chunk: int = 0
    variant: int = 0


class Commit(Act, frozen=True):
    """A site says that its contribution is complete."""


class Submit(Act, frozen=True):
    """A site does all of its part: it begins, sends its chunks and commits."""

    variant: int = 0
    swapped: bool = False


class Countersign(Act, frozen=True):
    """Somebody signs the sum as its auditor; `forged` is by another key."""

    forged: bool = False


class Fetch(Act, frozen=True):
    """Somebody asks for what it would open a sum with."""


class Seal(Act, frozen=True):
    """An opener that has opened the sum seals a model and sends it, or so many chunks of it."""

    chunks: int = 2
    variant: int = 0


class SignRelease(Act, frozen=True):
    """An opener that has opened the sum signs the release there is."""


class Judge(Act, frozen=True):
    """A seat judges the candidates; `refusing` is whom it leaves out without a reason."""

    refusing: str = ""
    unasked: bool = False


class Certify(Act, frozen=True):
    """A seat or a trainer signs the cohort; `forged` is by another key."""

    forged: bool = False


class State(Act, frozen=True):
    """A seat states its sums; `lie` is what it adds to one word of a component that it holds.

    `chunks` is how many chunks it sends of those that follow, before its line is cut.
    """

    lie: int = 0
    component: int = 0
    chunks: int = 4


class Score(Act, frozen=True):
    """A seat signs what was opened of the cohort's updates; another `value` is not what was."""

    value: int = 0


class Rule(Act, frozen=True):
    """The auditor says which of two seats lied: what it finds, or what `says` says."""

    says: str = ""


class Equivocate(Act, frozen=True):
    """A member says a second thing where it has said one: another model, sum, verdict, key."""


# -- what the network does ------------------------------------------------------------


class Drop(Operation, frozen=True):
    """What a member sends arrives, or does not; no answer comes back."""

    of: "AnyAct"
    arrives: bool = True


class Repeat(Operation, frozen=True):
    """What a member sends arrives twice."""

    of: "AnyAct"


class Delay(Operation, frozen=True):
    """What a member sends is on its way, until it is delivered."""

    of: "AnyAct"


class Deliver(Operation, frozen=True):
    """What was on its way arrives: the `index`-th of what is, in the order it was sent."""

    index: int


AnyAct = (
    Heartbeat
    | OfferKey
    | SignKey
    | Refuse
    | Begin
    | Put
    | Commit
    | Submit
    | Countersign
    | Fetch
    | Seal
    | SignRelease
    | Judge
    | Certify
    | State
    | Score
    | Rule
    | Equivocate
)
AnyOperation = (
    AnyAct
    | Tick
    | Silence
    | Advance
    | Crash
    | Restart
    | Upgrade
    | Rot
    | DiskFull
    | DiskUncertain
    | DiskSlow
    | Join
    | Die
    | Partition
    | Drop
    | Repeat
    | Delay
    | Deliver
)


class Kind(msgspec.Struct, frozen=True):
    """What federation a history happens to; with `one_owner`, two sites are one organisation's."""

    scheme: Literal["ckks", "shares"] = "ckks"
    auditor: bool = False
    late: tuple[str, ...] = ()
    one_owner: bool = False
    unchecked: bool = False


class History(msgspec.Struct, frozen=True):
    """A federation and what happened to it; `why` says what it once broke."""

    kind: Kind
    operations: tuple[AnyOperation, ...]
    why: str = ""
    seed: int = -1


def write(history: History) -> bytes:
    """Return a history as it is kept in a file: one operation a line."""
    head = msgspec.json.encode(history.kind).decode()
    why = msgspec.json.encode(history.why).decode()
    lines = ",\n".join(msgspec.json.encode(each).decode() for each in history.operations)
    text = f'{{"why":{why},\n"seed":{history.seed},\n"kind":{head},\n"operations":[\n{lines}\n]}}\n'
    return text.encode()


def read(body: bytes) -> History:
    """Return the history that `write` wrote."""
    return msgspec.json.decode(body, type=History)


def kept(folder: Path) -> Sequence[tuple[str, History]]:
    """Return every history of a folder, by name."""
    return [(path.stem, read(path.read_bytes())) for path in sorted(folder.glob("*.json"))]
