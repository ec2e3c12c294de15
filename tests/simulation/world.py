"""The real service, in memory and on a clock by hand, with an oracle beside it."""

from collections.abc import Callable
from dataclasses import dataclass, field

from coordinator.state import Phase, Round
from privacy.errors import NotYet, StoreUnavailable, VeilsumError
from privacy.failpoints import Failpoints
from privacy.records import digest_of
from tests import fakes
from tests.coordinator.memory_store import MemoryObjects, MemoryStore
from tests.fakes import Federation, ManualClock, contribution, envelope, signed_by
from tests.simulation import operations as ops
from tests.simulation.faulty import Disk

WANTED = 3


@dataclass
class Oracle:
    """What an onlooker knows, who sees every answer and remembers all of them.

    `vouched` are the sums that the auditor itself has signed, whether or not it was told that
    its signature arrived; `seals` what each contribution sealed to whom; `handed` the seals
    that each opener was handed of a round.
    """

    first: dict[tuple[int, str], str] = field(default_factory=dict)
    seeds: dict[str, str] = field(default_factory=dict)
    seals: dict[str, dict[str, bytes]] = field(default_factory=dict)
    handed: dict[tuple[int, str], set[tuple[tuple[str, bytes], ...]]] = field(default_factory=dict)
    receipts: set[tuple[int, str]] = field(default_factory=set)
    vouched: set[str] = field(default_factory=set)
    seen: dict[int, Round] = field(default_factory=dict)
    checked: set[tuple[int, str]] = field(default_factory=set)


class World:
    """One federation that is told what happens to it."""

    def __init__(self, auditor: str | None = None) -> None:
        self.members = (*fakes.SITES, *([auditor] if auditor else []))
        self.disk = Disk()
        self.oracle = Oracle()
        self.clock = ManualClock()
        self.federation = Federation(
            settings=fakes.make_settings(wanted=WANTED, auditor=auditor),
            clock=self.clock,
            store=self.disk.guard(MemoryStore()),
            objects=self.disk.guard(MemoryObjects()),
        )
        self.restarts = 0
        self.told_to_begin: set[tuple[int, str]] = set()

    @property
    def rounds(self) -> dict[int, Round]:
        """The rounds as the coordinator has them now."""
        return dict(self.federation.service.rounds.all())

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
            offset = self.federation.service.contributions.offset(who, number)
        except VeilsumError:
            return ops.Begin(who, number)
        chunks = offset.chunks[0]
        if chunks < 2:
            return ops.Put(who, number, chunks)
        # A coordinator that died in a begin has the row, and no seals: it says so at the commit.
        told = (number, who) in self.told_to_begin
        return ops.Begin(who, number) if told else ops.Commit(who, number)

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
        if current.phase is Phase.AUDITING:
            return [ops.Countersign(current.rules.auditor, number)]
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
        # In place: the parts of the running service share one set of failpoints.
        armed = fakes.crash_at(operation.place, operation.count)
        vars(self.federation.service.failpoints).update(vars(armed))

    def _disk_full(self, operation: ops.DiskFull) -> None:
        self.disk.failing = operation.count

    def _heartbeat(self, operation: ops.Heartbeat) -> None:
        self.federation.service.rounds.worked(operation.who, operation.round)

    def _offer_key(self, operation: ops.OfferKey) -> None:
        self.federation.offer_key(operation.who, operation.round)

    def _sign_key(self, operation: ops.SignKey) -> None:
        self.federation.sign_key(operation.who, operation.round)

    def _refuse(self, operation: ops.Refuse) -> None:
        self.federation.service.refuse(operation.who, operation.round, "sum_off_grid")

    def _begin(self, operation: ops.Begin) -> None:
        # As it was before an abort, too: who is late begins all the same.
        plan = self.federation.service.archive.plan(operation.round)
        seed = _seed(operation.who, operation.round, operation.variant)
        header, seals = contribution(plan, operation.who, seed), fakes.mask_seals(plan, seed)
        self.oracle.seeds[digest_of(header)] = seed
        self.oracle.seals[digest_of(header)] = dict(zip(plan.terms.openers, seals, strict=True))
        self.federation.service.contributions.begin(
            operation.who,
            signed_by(operation.who, header),
            seals[::-1] if operation.swapped else seals,
        )
        self.oracle.first.setdefault((operation.round, operation.who), digest_of(header))
        self.told_to_begin.discard((operation.round, operation.who))

    def _put(self, operation: ops.Put) -> None:
        seed = _seed(operation.who, operation.round, operation.variant)
        self.federation.put_chunk(operation.who, operation.round, operation.chunk, seed)

    def _commit(self, operation: ops.Commit) -> None:
        try:
            self.federation.service.contributions.commit(operation.who, operation.round)
        except NotYet:
            self.told_to_begin.add((operation.round, operation.who))
            raise
        self.oracle.receipts.add((operation.round, operation.who))

    def _countersign(self, operation: ops.Countersign) -> None:
        number, current = operation.round, self.rounds[operation.round]
        if operation.who == current.rules.auditor and not operation.forged:
            self.oracle.vouched.add(current.sum)
        key = fakes.OPENERS[0] if operation.forged else operation.who
        self.federation.countersign(number, operation.who, key)

    def _fetch(self, operation: ops.Fetch | ops.Seal | ops.SignRelease) -> None:
        place = operation.round, operation.who
        handed = self.federation.service.sums.masks(operation.who, operation.round)
        self.oracle.handed.setdefault(place, set()).add(tuple(handed))

    def _open(self, operation: ops.Seal | ops.SignRelease) -> None:
        # Who has opened the sum keeps what it made of it, and asks for nothing again.
        if (operation.round, operation.who) not in self.oracle.handed:
            self._fetch(operation)

    def _seal(self, operation: ops.Seal) -> None:
        self._open(operation)
        service, number = self.federation.service, operation.round
        plan, total = service.plan(number)[0], self.rounds[number].sum
        made = envelope(plan, self.federation.roster, total, operation.who)
        signed = signed_by(operation.who, made)
        sealed = service.models.begin(operation.who, signed)
        chunks = fakes.model_chunks(plan.arithmetic.dimension)
        for at, chunk in enumerate(chunks[: operation.chunks]):
            service.models.put_chunk(sealed, at, chunk)
        if operation.chunks < len(chunks):
            service.models.drop(sealed)
        else:
            service.models.finish(sealed, signed)

    def _sign_release(self, operation: ops.SignRelease) -> None:
        self._open(operation)
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
        ops.Countersign: _countersign,
        ops.Fetch: _fetch,
        ops.Seal: _seal,
        ops.SignRelease: _sign_release,
    }


def live(world: World) -> list[Round]:
    """Return the rounds in which members still have something to do."""
    return [each for each in world.rounds.values() if each.phase is not Phase.ABORTED][-2:]


def _seed(who: str, number: int, variant: int) -> str:
    # Worlds share what they add up, so that it is made once.
    return f"{who}/{number % 8}/{variant}"
