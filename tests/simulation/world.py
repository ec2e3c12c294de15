"""The real service, in memory and on a clock by hand, with an oracle beside it."""

from collections.abc import Callable
from dataclasses import dataclass, field

from coordinator.round import Phase, Round
from privacy.errors import StoreUnavailable, VeilsumError
from privacy.failpoints import Failpoints
from privacy.records import digest_of
from tests import fakes
from tests.coordinator.memory_store import MemoryObjects, MemoryStore
from tests.fakes import Federation, ManualClock, chunk_of, contribution, envelope, signed_by
from tests.simulation import operations as ops
from tests.simulation.faulty import Disk

WANTED = 3


@dataclass
class Oracle:
    """What an onlooker knows, who sees every answer and remembers all of them."""

    first: dict[tuple[int, str], str] = field(default_factory=dict)
    seeds: dict[str, str] = field(default_factory=dict)
    receipts: set[tuple[int, str]] = field(default_factory=set)
    seen: dict[int, Round] = field(default_factory=dict)
    checked: set[tuple[int, str]] = field(default_factory=set)


class World:
    """One federation that is told what happens to it."""

    def __init__(self) -> None:
        self.disk = Disk()
        self.oracle = Oracle()
        self.clock = ManualClock()
        self.federation = Federation(
            settings=fakes.make_settings(wanted=WANTED),
            clock=self.clock,
            store=self.disk.guard(MemoryStore()),
            objects=self.disk.guard(MemoryObjects()),
        )
        self.restarts = 0

    @property
    def rounds(self) -> dict[int, Round]:
        """The rounds as the coordinator has them now."""
        return dict(self.federation.service.rounds())

    def apply(self, operation: ops.Operation) -> None:
        """Let `operation` happen; a refusal is an answer, anything else is a failure."""
        try:
            self._actions[type(operation)](self, operation)
        except VeilsumError:
            return
        except fakes.Crash:
            self.restart()

    def restart(self) -> None:
        """Start the coordinator again; all it knows is what the storage kept."""
        self.restarts += 1
        try:
            self.federation.start(Failpoints())
        except StoreUnavailable:
            self.restart()  # whoever looks after the process starts it again

    def settle_down(self) -> None:
        """End all trouble: the disk has room, and nothing kills the coordinator."""
        self.disk.failing = 0
        self.restart()

    def next_of(self, who: str, number: int) -> ops.Operation:
        """Return what a site that has lost track does next: it asks how far it has come."""
        try:
            offset = self.federation.service.offset(who, number)
        except VeilsumError:
            return ops.Begin(who, number)
        chunks = offset.chunks[0]
        return ops.Put(who, number, chunks) if chunks < 2 else ops.Commit(who, number)

    def is_over(self) -> bool:
        """Return whether every round has ended, and none will follow."""
        service = self.federation.service
        return service.finished() and all(each.is_over() for each in self.rounds.values())

    def is_quiet(self) -> bool:
        """Return whether no round goes on, but one that waits for its key."""
        return all(each.is_over() or each.phase is Phase.KEYING for each in self.rounds.values())

    def due(self) -> list[ops.Operation]:
        """Return what members that are all there, and honest, do next."""
        return [step for each in self.rounds.values() for step in self._due(each)]

    def _due(self, current: Round) -> list[ops.Operation]:
        number, openers = current.number, current.rules.openers
        if current.phase is Phase.KEYING and not current.key_record:
            return [ops.OfferKey(current.whose_turn(), number)]
        if current.phase is Phase.KEYING:
            return [ops.SignKey(each, number) for each in openers]
        if current.phase is Phase.OPEN:
            return [self.next_of(each, number) for each in sorted(current.waits_for())]
        if current.phase is Phase.OPENING and not current.sealed_model:
            return [ops.Seal(current.whose_turn(), number)]
        if current.phase is Phase.OPENING:
            return [ops.SignRelease(each, number) for each in openers]
        return []

    # -- what each operation does ------------------------------------------------------

    def _tick(self, _: ops.Tick) -> None:
        self.federation.tick()

    def _advance(self, operation: ops.Advance) -> None:
        self.clock.advance(operation.seconds)

    def _crash(self, operation: ops.Crash) -> None:
        self.federation.service.failpoints = fakes.crash_at(operation.place, operation.count)

    def _disk_full(self, operation: ops.DiskFull) -> None:
        self.disk.failing = operation.count

    def _heartbeat(self, operation: ops.Heartbeat) -> None:
        self.federation.service.worked(operation.who, operation.round)

    def _offer_key(self, operation: ops.OfferKey) -> None:
        self.federation.offer_key(operation.who, operation.round)

    def _sign_key(self, operation: ops.SignKey) -> None:
        self.federation.sign_key(operation.who, operation.round)

    def _refuse(self, operation: ops.Refuse) -> None:
        self.federation.service.refuse(operation.who, operation.round, "sum_off_grid")

    def _begin(self, operation: ops.Begin) -> None:
        plan, _ = self.federation.service.plan(operation.round)
        seed = _seed(operation.who, operation.round, operation.variant)
        header = contribution(plan, operation.who, seed)
        self.oracle.seeds[digest_of(header)] = seed
        self.federation.service.begin(operation.who, signed_by(operation.who, header))
        self.oracle.first.setdefault((operation.round, operation.who), digest_of(header))

    def _put(self, operation: ops.Put) -> None:
        seed = _seed(operation.who, operation.round, operation.variant)
        payload = chunk_of(seed, operation.chunk)
        service = self.federation.service
        service.put_chunk(operation.who, operation.round, 0, operation.chunk, payload)

    def _commit(self, operation: ops.Commit) -> None:
        self.federation.service.commit(operation.who, operation.round)
        self.oracle.receipts.add((operation.round, operation.who))

    def _seal(self, operation: ops.Seal) -> None:
        service, number = self.federation.service, operation.round
        plan, total = service.plan(number)[0], self.rounds[number].sum
        made = envelope(plan, self.federation.roster, total, operation.who)
        signed = signed_by(operation.who, made)
        sealed = service.begin_model(operation.who, signed)
        chunks = fakes.model_chunks(plan.arithmetic.dimension)
        for at, chunk in enumerate(chunks[: operation.chunks]):
            service.put_model_chunk(sealed, at, chunk)
        if operation.chunks < len(chunks):
            service.drop_model(sealed)
        else:
            service.finish_model(sealed, signed)

    def _sign_release(self, operation: ops.SignRelease) -> None:
        self.federation.sign_release(operation.who, operation.round)

    _actions: dict[type, Callable] = {  # noqa: RUF012
        ops.Tick: _tick,
        ops.Advance: _advance,
        ops.Crash: _crash,
        ops.DiskFull: _disk_full,
        ops.Heartbeat: _heartbeat,
        ops.OfferKey: _offer_key,
        ops.SignKey: _sign_key,
        ops.Refuse: _refuse,
        ops.Begin: _begin,
        ops.Put: _put,
        ops.Commit: _commit,
        ops.Seal: _seal,
        ops.SignRelease: _sign_release,
    }


def live(world: World) -> list[Round]:
    """Return the rounds in which members still have something to do."""
    return [each for each in world.rounds.values() if each.phase is not Phase.ABORTED][-2:]


def _seed(who: str, number: int, variant: int) -> str:
    # Worlds share what they add up, so that it is made once.
    return f"{who}/{number % 8}/{variant}"
