"""The real service, in memory and on a clock by hand, with members and an oracle beside it."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from unittest.mock import patch

from msgspec.structs import replace

from coordinator import object_names as names
from coordinator.archive import Archive
from coordinator.rounds import upgrade
from coordinator.rounds.state import Phase, Round
from privacy import canonical
from privacy.errors import (
    InvariantBroken,
    NotYet,
    SchemaMismatch,
    StoreUnavailable,
    VeilsumError,
)
from privacy.records import Release, digest_of
from privacy.roster import Roster
from privacy.signing import Purpose, sign
from tests import fakes
from tests.coordinator.memory_store import MemoryObjects, MemoryStore
from tests.fakes import (
    Federation,
    ManualClock,
    contribution,
    envelope,
    key_offer,
    named_seals,
    signed_by,
    signing_key,
)
from tests.simulation import operations as ops
from tests.simulation.faulty import Disk

WANTED = 3
CHUNKS = 2
"""Chunks of a contribution, and of a sum."""

ROLLED_BACK = 8
"""The variant of a contribution that is signed with an older ledger than its site has shown."""

OLDER_LEDGER = fakes.ledger_of("a copy", 0, 1)

Send = Callable[[], object]
"""A message: what a member has made from what it saw, and is on its way to the coordinator."""


class Violated(AssertionError):
    """An invariant does not hold."""


class Tripwires:
    """Failpoints that count every place that is passed, and kill at one if they are told to."""

    def __init__(self) -> None:
        self.passed: Counter[str] = Counter()
        self.armed: tuple[str, int] | None = None

    def hit(self, name: str) -> None:
        """Count one passage of a place; the process may die of it."""
        self.passed[name] += 1
        if self.armed is not None and self.armed[0] == name:
            place, left = self.armed
            self.armed = (place, left - 1) if left > 1 else None
            if left == 1:
                raise fakes.Crash(name)


@dataclass
class Oracle:
    """What an onlooker knows, who sees every answer and remembers all of them.

    `vouched` are the sums that the auditor itself has signed, whether or not it was told that
    its signature arrived; `seals` what each contribution sealed to whom; `handed` the seals
    that each opener was handed of a round; `lied` the seats that have sent a false statement,
    by round; `made` from what each contribution was made: its site's name and variant; `paid` by
    what scores a round is settled, from the first time that there was an answer.
    """

    first: dict[tuple[int, str], str] = field(default_factory=dict)
    seeds: dict[str, str] = field(default_factory=dict)
    made: dict[str, tuple[str, int]] = field(default_factory=dict)
    seals: dict[str, dict[str, bytes]] = field(default_factory=dict)
    handed: dict[tuple[int, str], set[tuple[tuple[str, bytes], ...]]] = field(default_factory=dict)
    receipts: set[tuple[int, str]] = field(default_factory=set)
    vouched: set[str] = field(default_factory=set)
    lied: set[tuple[int, str]] = field(default_factory=set)
    misjudged: set[int] = field(default_factory=set)
    seen: dict[int, Round] = field(default_factory=dict)
    paid: dict[int, bytes | None] = field(default_factory=dict)


@dataclass
class Member:
    """One member's process: whether it is there, and what it knows."""

    joined: bool = True
    cut_off_until: float = 0.0
    begin_again: set[int] = field(default_factory=set)
    opened: set[int] = field(default_factory=set)


@dataclass
class Coverage:
    """What a history, or many, has come to."""

    operations: Counter[str] = field(default_factory=Counter)
    phases: Counter[str] = field(default_factory=Counter)
    transitions: Counter[tuple[str, str]] = field(default_factory=Counter)
    places: Counter[str] = field(default_factory=Counter)
    codes: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)

    def add(self, other: "Coverage") -> None:
        """Take in what another history has come to."""
        for name in vars(self):
            getattr(self, name).update(getattr(other, name))


class World:
    """One federation under `ckks` that is told what happens to it."""

    def __init__(self, kind: ops.Kind) -> None:
        self.kind = kind
        self.auditor = fakes.AUDITOR if kind.auditor else None
        self.clock = ManualClock()
        self.trips = Tripwires()
        self.disk = Disk(self.trips.hit, self.clock.advance)
        self.oracle, self.coverage = Oracle(), Coverage()
        self.restarts = 0
        self.mail: list[tuple[str, Send]] = []
        self.federation = self._founded()
        self.members = {name: Member(name not in kind.late) for name in self.names()}
        self.federation.start(self.trips)

    def names(self) -> tuple[str, ...]:
        """Return everybody who acts, in order."""
        return (*fakes.SITES, *([self.auditor] if self.auditor else []))

    @property
    def rounds(self) -> dict[int, Round]:
        """The rounds as the coordinator has them now."""
        return dict(self.federation.service.rounds.all())

    def apply(self, operation: ops.Operation) -> None:
        """Let `operation` happen; a refusal is an answer, anything else is a failure.

        Raises:
            Violated: the coordinator has found out itself that an invariant is broken.
        """
        self.coverage.operations[_kind_of(operation)] += 1
        try:
            self._happen(operation)
        except InvariantBroken as broken:
            raise Violated(str(broken)) from broken
        except VeilsumError as error:
            self.coverage.codes[error.code] += 1
        except fakes.Crash:
            self.restart()

    def restart(self) -> None:
        """Start the coordinator again; all it knows is what the storage kept."""
        self.restarts += 1
        self.trips.armed = None
        try:
            self.federation.start(self.trips)
        except StoreUnavailable:
            self.restart()  # whoever looks after the process starts it again

    def settle_down(self) -> None:
        """End all trouble: the disk has room, nobody is cut off, nothing kills the coordinator."""
        self.disk.heal()
        self.trips.armed = None
        self.mail.clear()
        for member in self.members.values():
            member.joined, member.cut_off_until = True, 0.0

    def next_of(self, who: str, number: int) -> ops.Operation:
        """Return what a site that has lost track does next: it asks how far it has come."""
        try:
            offset = self.federation.service.contributions.offset(who, number)
        except VeilsumError:
            return ops.Begin(who, number)
        if offset.chunks[0] < CHUNKS:
            return ops.Put(who, number, offset.chunks[0])
        # A coordinator that died in a begin has the row, and no seals: it says so at the commit.
        told = number in self.members[who].begin_again
        return ops.Begin(who, number) if told else ops.Commit(who, number)

    def is_over(self) -> bool:
        """Return whether every round has ended, scores and all, and none will follow."""
        service = self.federation.service
        return service.finished() and all(map(_is_at_rest, self.rounds.values()))

    def is_quiet(self) -> bool:
        """Return whether no round goes on, but one that waits for its key or its seats."""
        waits = (Phase.KEYING, Phase.KEYED)
        return all(_is_at_rest(each) or each.phase in waits for each in self.rounds.values())

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

    def _founded(self) -> Federation:
        return Federation(
            settings=fakes.make_settings(wanted=WANTED, auditor=self.auditor),
            roster=owned(fakes.make_roster(), self.kind),
            clock=self.clock,
            store=self.disk.guard(MemoryStore()),
            objects=self.disk.guard(MemoryObjects()),
        )

    # -- what happens -------------------------------------------------------------------

    def _happen(self, operation: ops.Operation) -> None:
        if isinstance(operation, ops.Act):
            self._send(operation.who, self._composed(operation))
        elif isinstance(operation, ops.Drop):
            if operation.arrives:
                self._unanswered(operation.of)
        elif isinstance(operation, ops.Repeat):
            send = self._composed(operation.of)
            self._send(operation.of.who, send)
            self._send(operation.of.who, send)
        elif isinstance(operation, ops.Delay):
            self.mail.append((operation.of.who, self._composed(operation.of)))
        elif isinstance(operation, ops.Deliver):
            if self.mail:
                self._send(*self.mail.pop(operation.index % len(self.mail)))
        else:
            self._events[type(operation)](self, operation)

    def _composed(self, operation: ops.Act) -> Send:
        member = self.members[operation.who]
        if not member.joined or self.clock.at < member.cut_off_until:
            raise NotYet(f"{operation.who} is not there")
        return self._acts[type(operation)](self, operation)

    def _send(self, who: str, send: Send) -> None:
        if self.clock.at >= self.members[who].cut_off_until:
            send()

    def _unanswered(self, operation: ops.Act) -> None:
        member = self.members[operation.who]
        knew = set(member.begin_again), set(member.opened)
        try:
            self._send(operation.who, self._composed(operation))
        finally:
            member.begin_again, member.opened = knew

    def _tick(self, _: ops.Tick) -> None:
        self.federation.tick()

    def _silence(self, _: ops.Silence) -> None:
        self.federation.tick()

    def _advance(self, operation: ops.Advance) -> None:
        self.clock.advance(operation.seconds)

    def _crash(self, operation: ops.Crash) -> None:
        self.trips.armed = (operation.place, operation.count)

    def _restart(self, _: ops.Restart) -> None:
        self.federation.service.stop()
        try:
            self.federation.tick()  # what it is at when it is told to
        except VeilsumError as error:
            self.coverage.codes[error.code] += 1
        self.restart()

    def _upgrade(self, _: ops.Upgrade) -> None:
        # The documents stay as they were made: one that was changed is damage, and no upgrade.
        with patch.object(upgrade, "_read", _of_another_version):
            self.restart()

    def _rot(self, operation: ops.Rot) -> None:
        name = names.contribution_chunk(operation.round, operation.who, 0, operation.chunk)
        held = self.federation.objects._objects
        if name in held:
            held[name] = held[name][:-1] + bytes([held[name][-1] ^ 1])

    def _disk_full(self, operation: ops.DiskFull) -> None:
        self.disk.failing = operation.count

    def _disk_uncertain(self, operation: ops.DiskUncertain) -> None:
        self.disk.uncertain = operation.count

    def _disk_slow(self, operation: ops.DiskSlow) -> None:
        self.disk.slow, self.disk.slow_seconds = operation.count, operation.seconds

    def _join(self, operation: ops.Join) -> None:
        self.members[operation.who].joined = True

    def _die(self, operation: ops.Die) -> None:
        # What it had on its way is lost with its connections.
        self.members[operation.who].begin_again.clear()
        self.mail = [each for each in self.mail if each[0] != operation.who]

    def _partition(self, operation: ops.Partition) -> None:
        self.members[operation.who].cut_off_until = self.clock.at + operation.seconds

    # -- what members send --------------------------------------------------------------

    def _heartbeat(self, operation: ops.Heartbeat) -> Send:
        return lambda: self.federation.service.rounds.worked(operation.who, operation.round)

    def _offer_key(self, operation: ops.OfferKey) -> Send:
        federation, who = self.federation, operation.who
        settings, roster = federation.settings, federation.roster
        signed, public, sealed = key_offer(settings, roster, operation.round, who)
        if operation.variant:
            other = tuple(each + b"2" for each in sealed)
            secrets = named_seals(fakes.OPENERS, other)
            again = key_offer(settings, roster, operation.round, who, secrets=secrets)
            signed, sealed = again[0], other
        return lambda: self.federation.service.keying.offer(who, signed, public, sealed)

    def _sign_key(self, operation: ops.SignKey) -> Send:
        who, number = operation.who, operation.round
        record, _ = self.federation.service.keying.key(number)
        signature = sign(signing_key(who), Purpose.KEY_RECORD, record.body)
        return lambda: self.federation.service.keying.sign(who, number, signature)

    def _refuse(self, operation: ops.Refuse) -> Send:
        who, number = operation.who, operation.round
        return lambda: self.federation.service.refuse(who, number, "sum_off_grid")

    def _begin(self, operation: ops.Begin) -> Send:
        who, number = operation.who, operation.round
        # As it was before an abort, too: who is late begins all the same.
        plan = self.federation.service.archive.plan(number)
        signed, name, masks, sealed = self._header(plan, operation)

        def send() -> None:
            contributions = self.federation.service.contributions
            contributions.begin(who, signed, masks, sealed)
            self.oracle.first.setdefault((number, who), name)
            self.members[who].begin_again.discard(number)

        return send

    def _header(self, plan: object, operation: ops.Begin) -> tuple:
        who, seed = operation.who, _seed(operation.who, operation.round, operation.variant)
        other = {"ledger": OLDER_LEDGER} if operation.variant == ROLLED_BACK else {}
        header, seals = contribution(plan, who, seed, **other), fakes.mask_seals(plan, seed)
        name = digest_of(header)
        self.oracle.seeds[name] = seed
        self.oracle.made[name] = (who, operation.variant)
        self.oracle.seals[name] = dict(zip(plan.terms.openers, seals, strict=True))
        return signed_by(who, header), name, seals[::-1] if operation.swapped else seals, ()

    def _put(self, operation: ops.Put) -> Send:
        who, number, chunk = operation.who, operation.round, operation.chunk
        payload = self._payload(operation)

        def send() -> None:
            self.federation.service.contributions.put_chunk(who, number, 0, chunk, payload)

        return send

    def _payload(self, operation: ops.Put) -> bytes:
        seed = _seed(operation.who, operation.round, operation.variant)
        return fakes.chunk_of(seed, operation.chunk)

    def _commit(self, operation: ops.Commit) -> Send:
        who, number = operation.who, operation.round

        def send() -> None:
            try:
                self.federation.service.contributions.commit(who, number)
            except NotYet:
                self.members[who].begin_again.add(number)
                raise
            self.oracle.receipts.add((number, who))

        return send

    def _submit(self, operation: ops.Submit) -> Send:
        who, number, variant = operation.who, operation.round, operation.variant
        steps = [self._begin(ops.Begin(who, number, variant, operation.swapped))]
        steps += [self._put(ops.Put(who, number, chunk, variant)) for chunk in range(CHUNKS)]
        steps.append(self._commit(ops.Commit(who, number)))

        def send() -> None:
            for step in steps:
                step()

        return send

    def _countersign(self, operation: ops.Countersign) -> Send:
        who, number = operation.who, operation.round
        current = self.federation.service.rounds.get(number)
        body = self.federation.service.archive.document("sum", current.sum).body
        if who == current.rules.auditor and not operation.forged:
            self.oracle.vouched.add(current.sum)
        key = fakes.OPENERS[0] if operation.forged else who
        signature = sign(signing_key(key), Purpose.SUM, body)
        return lambda: self.federation.service.sums.countersign(who, number, signature)

    def _fetch(self, operation: ops.Fetch | ops.Seal | ops.SignRelease) -> Send:
        who, number = operation.who, operation.round

        def send() -> None:
            handed = self.federation.service.sums.masks(who, number)
            self.oracle.handed.setdefault((number, who), set()).add(tuple(handed))
            self.members[who].opened.add(number)

        return send

    def _open(self, operation: ops.Seal | ops.SignRelease) -> None:
        # Who has opened the sum keeps what it made of it, and asks for nothing again.
        if operation.round not in self.members[operation.who].opened:
            self._fetch(operation)()

    def _seal(self, operation: ops.Seal) -> Send:
        who, service, number = operation.who, self.federation.service, operation.round
        self._open(operation)
        plan, total = service.plan(number)[0], self.rounds[number].sum
        other = {"model": f"{operation.variant:064x}"} if operation.variant else {}
        signed = signed_by(who, envelope(plan, self.federation.roster, total, who, **other))
        chunks = fakes.model_chunks(plan.arithmetic.dimension)

        def send() -> None:
            models = self.federation.service.models
            sealed = models.begin(who, signed)
            for at, chunk in enumerate(chunks[: operation.chunks]):
                models.put_chunk(sealed, at, chunk)
            if operation.chunks < len(chunks):
                models.drop(sealed)
            else:
                models.finish(sealed, signed)

        return send

    def _sign_release(self, operation: ops.SignRelease) -> Send:
        who, number = operation.who, operation.round
        self._open(operation)
        body = self.federation.service.models.release(number).body
        signed = signed_by(who, canonical.decode(body, Release))
        return lambda: self.federation.service.models.sign_release(who, signed)

    def _equivocate(self, operation: ops.Equivocate) -> Send:
        current = self.federation.service.rounds.get(operation.round)
        return self._composed(self._second(operation.who, current))

    def _second(self, who: str, current: Round) -> ops.Act:
        number = current.number
        if current.phase in (Phase.KEYING, Phase.KEYED):
            return ops.OfferKey(who, number, 1)
        if current.phase is Phase.OPENING:
            return ops.Seal(who, number, 2, 1)
        return ops.Submit(who, number, 2)

    _events: Mapping[type, Callable] = {
        ops.Tick: _tick,
        ops.Silence: _silence,
        ops.Advance: _advance,
        ops.Crash: _crash,
        ops.Restart: _restart,
        ops.Upgrade: _upgrade,
        ops.Rot: _rot,
        ops.DiskFull: _disk_full,
        ops.DiskUncertain: _disk_uncertain,
        ops.DiskSlow: _disk_slow,
        ops.Join: _join,
        ops.Die: _die,
        ops.Partition: _partition,
    }
    _acts: Mapping[type, Callable] = {
        ops.Heartbeat: _heartbeat,
        ops.OfferKey: _offer_key,
        ops.SignKey: _sign_key,
        ops.Refuse: _refuse,
        ops.Begin: lambda self, each: self._begin(each),
        ops.Put: lambda self, each: self._put(each),
        ops.Commit: _commit,
        ops.Submit: _submit,
        ops.Countersign: _countersign,
        ops.Fetch: lambda self, each: self._fetch(each),
        ops.Seal: _seal,
        ops.SignRelease: _sign_release,
        ops.Equivocate: _equivocate,
    }


def owned(roster: Roster, kind: ops.Kind) -> Roster:
    """Return a roster with the owners that a kind of federation has."""
    if not kind.one_owner:
        return roster
    members = [
        replace(each, organisation="one owner") if each.participant in fakes.SITES[2:] else each
        for each in roster.members
    ]
    return replace(roster, members=tuple(members))


def _is_at_rest(current: Round) -> bool:
    return current.is_over() and not current.is_scored()


def live(world: World) -> list[Round]:
    """Return the rounds in which members still have something to do."""
    return [each for each in world.rounds.values() if each.phase is not Phase.ABORTED][-2:]


def _kind_of(operation: ops.Operation) -> str:
    name = type(operation).__name__
    inner = getattr(operation, "of", None)
    return name if inner is None else f"{name} {type(inner).__name__}"


def _seed(who: str, number: int, variant: int) -> str:
    # Worlds share what they add up, so that it is made once.
    return f"{who}/{number % 8}/{variant}"


def _of_another_version(current: Round, archive: Archive) -> None:
    if archive.has_plan(current.number) or current.key_record:
        raise SchemaMismatch("of another version")
