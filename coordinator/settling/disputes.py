"""Disputes of what is committed: each demand is answered in time, once; then rounds close."""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

import structlog

from coordinator.ports import Store
from privacy.errors import EndpointsDiffer, LeaseLost, Unavailable, VeilsumError
from privacy.settlement import abi
from privacy.settlement.commitment import Commit
from privacy.settlement.payouts import keccak256
from privacy.settlement.sum_proof import Node, Opening

from .settlement import End, Settlement

log = structlog.get_logger()

SHORTEST_PAUSE_SECONDS: Final = 0.5
LONGEST_PAUSE_SECONDS: Final = 60.0
LOOKS_IN_A_RESPONSE: Final = 20
"""So often are demands looked for in the time that the programme gives for an answer."""

OPEN: Final = "open"
STATES: Final = (OPEN, *End)
"""Of rounds that are committed."""

ANSWERED: Final = "answered"
MISSED: Final = "missed"
OUTCOMES: Final = (ANSWERED, MISSED)
"""Of demands that are over for good."""

_HEIGHTS: Final = "settlement-height"


@dataclass(frozen=True, slots=True)
class Demand:
    """A node that somebody wants to see, and until when (Unix time); `id` has 32 bytes."""

    id: bytes
    round: int
    node: Node
    deadline: int
    block: int


@dataclass(frozen=True, slots=True)
class Demands:
    """What was demanded from a block on, and the last block of which each endpoint has told."""

    found: tuple[Demand, ...]
    until: int


@dataclass(frozen=True, slots=True)
class Asked:
    """How a demand stands in the contract; a deadline of 0: there is no such demand."""

    deadline: int
    closed: bool


class DisputeChain(Protocol):
    """The contract, as far as disputes go."""

    def response_seconds(self, programme: str) -> int:
        """Return how long this coordinator has to answer a demand."""
        ...

    def first_block(self, programme: str, number: int) -> int:
        """Return the block in which a round was committed, or one before it."""
        ...

    def told_block(self, programme: str, number: int) -> int:
        """Return the same as it stands now: the earliest that any endpoint tells."""
        ...

    def demands(self, programme: str, first: int) -> Demands:
        """Return the demands from a block on, as any endpoint tells them."""
        ...

    def asked(self, demand: bytes) -> Asked:
        """Return how a demand stands now; a fork may undo that."""
        ...

    def asked_for_good(self, demand: bytes) -> Asked:
        """Return how a demand stands in the newest final block."""
        ...

    def time(self) -> int:
        """Return the Unix time of the newest block."""
        ...

    def final_block(self) -> tuple[int, int]:
        """Return the number and the Unix time of the newest final block."""
        ...

    def answer(self, demand: bytes, commit: Commit, node: Node, opening: Opening) -> None:
        """Have an answer sent, once for each demand, and do not wait for it."""
        ...

    def answered_by(self, demand: bytes) -> str:
        """Return the transaction by which this process has answered; nothing if none is mined."""
        ...

    def void_from(self, programme: str) -> int | None:
        """Return the first round that is void for good, if any is."""
        ...

    def is_settled(self, programme: str, number: int) -> bool:
        """Return whether a round has matured for good."""
        ...


@dataclass
class Disputes:
    """Watches one programme's demands, whatever becomes of commits, and closes its rounds.

    How far it has looked is stored; a demand that is not over for good holds that back, so that a
    new process finds it again. An answer is in the journal before it is sent.

    Attributes:
        attach: opens the door to the chain.
        opening: what answers a demand.
        outcomes: demands by how they ended: one of `OUTCOMES`.
        waiting: demands that wait for an answer, as of the last look.
        looked: when the last look came to its end (Unix time); when this process began, before.
        now: tells the Unix time.
        rounds: committed rounds by how they stand: one of `STATES`.
    """

    programme: str
    store: Store
    settlement: Settlement
    attach: Callable[[], DisputeChain]
    opening: Callable[[Commit, Node], Opening]
    now: Callable[[], float] = time.time
    outcomes: Counter[str] = field(default_factory=Counter, init=False)
    waiting: int = field(default=0, init=False)
    rounds: Counter[str] = field(default_factory=Counter, init=False)

    def __post_init__(self) -> None:
        self.looked = self.now()
        self._chain: DisputeChain | None = None
        self._openings: dict[bytes, Opening] = {}
        self._over: set[bytes] = set()
        self._said: set[tuple[bytes, str]] = set()
        self._first_blocks: dict[int, int] = {}

    def look(self) -> float:
        """Answer what is demanded, close what can be disputed no more; return when to look again.

        Raises:
            ChainUnavailable, EndpointsDiffer: as far as it came, all is done; look again.
            StoreUnavailable: the store does not answer; look again.
            LeaseLost: another process does it now.
        """
        numbers = self.settlement.disputable()
        self._count(numbers)
        if not numbers:
            self.waiting, self.looked = 0, self.now()
            return SHORTEST_PAUSE_SECONDS
        chain = self._chain or self.attach()
        # Opened anew after whatever went wrong.
        self._chain = None
        pause = chain.response_seconds(self.programme) / LOOKS_IN_A_RESPONSE
        self._answer_all(chain, numbers)
        self._close(chain, numbers)
        self._chain, self.looked = chain, self.now()
        return min(max(pause, SHORTEST_PAUSE_SECONDS), LONGEST_PAUSE_SECONDS)

    # -- demands ---------------------------------------------------------------------

    def _answer_all(self, chain: DisputeChain, numbers: Sequence[int]) -> None:
        """Answer what is open, whether or not it is known what is final; then say what failed."""
        height = self._height(chain, numbers)
        # First: what is mined from now on is not told here, and answers take minutes.
        final = _final_now(chain)
        demands = chain.demands(self.programme, height)
        void_from = self._void_now(chain)
        known = [
            each
            for each in demands.found
            if self._is_known(each) and (void_from is None or each.round < void_from)
        ]
        self.waiting = 0
        failed = [
            error
            for each in sorted(known, key=lambda demand: demand.deadline)
            if (error := self._look_at(chain, each)) is not None
        ]
        live = self._end_all(chain, known)
        self._remember(height, min(final, demands.until), live)
        if failed:
            raise failed[0]

    def _void_now(self, chain: DisputeChain) -> int | None:
        """Return the first round of which nothing is owed, as far as that can be known now."""
        try:
            return chain.void_from(self.programme)
        except (Unavailable, EndpointsDiffer):
            return None

    def _is_known(self, demand: Demand) -> bool:
        """Return whether a demand is one, and not over for good."""
        if demand.id != demand_id(self.programme, demand.round, demand.node):
            said = {"round": demand.round, "demand": demand.id.hex()}
            log.error("demand_of_another_name", **said, who_acts="operator")
            return False
        return demand.id not in self._over

    def _end_all(self, chain: DisputeChain, known: Sequence[Demand]) -> list[Demand]:
        """Note which demands are over for good, and return the others."""
        number, seconds = chain.final_block()
        live = []
        for demand in known:
            asked = chain.asked_for_good(demand.id)
            if not asked.deadline and demand.block <= number:
                continue  # an endpoint has made it up, or a fork undone it
            if asked.closed or 0 < asked.deadline <= seconds:
                self._end(chain, demand, answered=asked.closed and seconds < asked.deadline)
            else:
                live.append(demand)
        return live

    def _end(self, chain: DisputeChain, demand: Demand, *, answered: bool) -> None:
        name = chain.answered_by(demand.id)
        outcome = ANSWERED if name or answered else MISSED
        self.outcomes[outcome] += 1
        self._over.add(demand.id)
        self._openings.pop(demand.id, None)
        said = {"round": demand.round, "demand": demand.id.hex(), "deadline": demand.deadline}
        if outcome is ANSWERED:
            log.info("demand_answered", transaction=name, **said)
        else:
            log.error("demand_missed", who_acts="operator", **said)

    def _look_at(self, chain: DisputeChain, demand: Demand) -> Unavailable | None:
        """Answer a demand if it is open now; return what must be tried again.

        One that cannot be answered holds up no other.
        """
        try:
            now = chain.asked(demand.id)
            if now.closed or not chain.time() < now.deadline:
                return None
            self.waiting += 1
            self._answer(chain, demand)
        except LeaseLost:
            raise
        except Unavailable as error:
            self._say(demand, error)
            return error
        except VeilsumError as error:
            self._say(demand, error)
        return None

    def _answer(self, chain: DisputeChain, demand: Demand) -> None:
        commit = self.settlement.committed(demand.round)
        if demand.id not in self._openings:
            log.warning(
                "demanded",
                round=demand.round,
                demand=demand.id.hex(),
                tree=demand.node.tree.name.lower(),
                deadline=demand.deadline,
            )
            self._openings[demand.id] = self.opening(commit, demand.node)
        chain.answer(demand.id, commit, demand.node, self._openings[demand.id])

    def _say(self, demand: Demand, error: VeilsumError) -> None:
        """Say why a demand is not answered: once, since each look meets it again."""
        if (demand.id, error.code) in self._said:
            return
        self._said.add((demand.id, error.code))
        log.error(
            "demand_not_answered",
            round=demand.round,
            demand=demand.id.hex(),
            deadline=demand.deadline,
            code=error.code,
            reason=str(error),
            who_acts="operator",
        )

    # -- how far it was looked -------------------------------------------------------

    def _height(self, chain: DisputeChain, numbers: Sequence[int]) -> int:
        """Return the block to look from: nothing before it wants an answer."""
        stored = max((int(name) for name, _ in self.store.documents(_HEIGHTS)), default=0)
        try:
            return max(stored, self._committed_in(chain, numbers[0]))
        except (Unavailable, EndpointsDiffer):
            # A deadline does not wait for what is final. Not kept: it may be another one's word.
            return stored or chain.told_block(self.programme, numbers[0])

    def _committed_in(self, chain: DisputeChain, number: int) -> int:
        if number not in self._first_blocks:
            self._first_blocks = {number: chain.first_block(self.programme, number)}
        return self._first_blocks[number]

    def _remember(self, height: int, seen: int, live: Iterable[Demand]) -> None:
        """Store where to go on: behind `seen`, which is final and told by every endpoint."""
        reached = min([seen + 1, *(each.block for each in live)])
        # What one endpoint has not told may be what the other one hides.
        if reached <= height:
            return
        older = [(_HEIGHTS, name) for name, _ in self.store.documents(_HEIGHTS)]
        self.store.put_document(_HEIGHTS, f"{reached:012d}", b"")
        self.store.forget_documents([each for each in older if int(each[1]) < reached])

    # -- rounds ----------------------------------------------------------------------

    def _close(self, chain: DisputeChain, numbers: Sequence[int]) -> None:
        void_from = chain.void_from(self.programme)
        if void_from is not None:
            self._void(void_from, numbers)
        for number in numbers:
            if void_from is not None and number >= void_from:
                return
            if not chain.is_settled(self.programme, number):
                return  # and no later one: they mature in order
            self.settlement.close(number, End.MATURED)
            log.info("round_matured", round=number)

    def _void(self, void_from: int, numbers: Sequence[int]) -> None:
        self.settlement.halt()
        for number in numbers:
            if number >= void_from:
                self.settlement.close(number, End.VOID)
                log.error("round_void", round=number, first=void_from)

    def _count(self, disputable: Sequence[int]) -> None:
        found = Counter(end.value for end in self.settlement.ends().values())
        found[OPEN] = len(disputable)
        self.rounds = found


def _final_now(chain: DisputeChain) -> int:
    """Return the newest final block; -1 if that cannot be known, which keeps no answer."""
    try:
        return chain.final_block()[0]
    except (Unavailable, EndpointsDiffer):
        return -1


def demand_id(programme: str, number: int, node: Node) -> bytes:
    """Return the identifier of a demand, as the contract has it in `demandOf`: 32 bytes."""
    place = (node.tree, node.chunk, node.leaf, node.level, node.index)
    words = (bytes.fromhex(programme), abi.uint(number), *map(abi.uint, place))
    return keccak256(b"".join(words))
