"""Federations that live through anything, one for each seed.

A seed decides everything: what scheme, who is reliable, who contradicts itself, who dies and
comes back, when the coordinator is killed and its disk is full. The same seed is the same
history, in any process.
"""

import random
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import coordinator
from coordinator.rounds import round as machine
from coordinator.rounds.state import Phase, Round
from tests.coordinator.seated_round import SEATS
from tests.fakes import ABANDON_SECONDS, OPENERS, PROGRESS_SECONDS, SITES
from tests.simulation import operations as ops
from tests.simulation.faulty import WRITES
from tests.simulation.invariants import SUMMED, check, check_erased, check_over, check_quiet
from tests.simulation.quick import quickly
from tests.simulation.seated_world import world_of
from tests.simulation.world import Coverage, Violated, World, live

LONGEST_HISTORY = 600
OUTAGE = 160
"""Turns; more than would halt a programme that took silence for failure: 5 rounds of 24 turns."""

RETURN = 500
SCORED = "scoring.after_keep"
EFFECTS = ("aggregate", "erase", "nominate", "freeze", "manifest")


def _places() -> tuple[str, ...]:
    """Return every failpoint of the coordinator's own code, its adapters' aside.

    Those of scores come where a seat signs some: few plans of a history ask for any.
    """
    root = Path(coordinator.__file__).parent
    aside = {root / "adapters", root / "scoring"}
    found = {
        place
        for path in sorted(root.rglob("*.py"))
        if aside.isdisjoint(path.parents)
        for place in re.findall(r'failpoints\.hit\("([a-z_.]+)"\)', path.read_text())
    }
    effects = {f"effect.{when}_{each}" for each in EFFECTS for when in ("before", "after")}
    return tuple(sorted(found | effects))


FAILPOINTS = _places()
PLACES = (*FAILPOINTS, *(f"write.{when}_{name}" for name in WRITES for when in ("before", "after")))


@dataclass(frozen=True)
class Characters:
    """How often each member does its part, and who contradicts itself."""

    diligence: dict[str, float]
    liars: frozenset[str]
    trouble: float
    network: float


@dataclass(frozen=True)
class Outcome:
    """What came of one history; `reasons` are those for which rounds were aborted.

    `stopped` says that the coordinator itself has found the breach, and let nothing go on.
    """

    seed: int
    kind: ops.Kind
    rounds: int
    released: int
    restarts: int
    reasons: frozenset[str]
    history: tuple[ops.Operation, ...]
    failure: str = ""
    stopped: bool = False
    coverage: Coverage = field(default_factory=Coverage, compare=False)


def kind_of(seed: int) -> ops.Kind:
    """Return what federation a seed is about."""
    chance = random.Random(f"kind {seed}")  # a history, not a secret
    late = tuple(each for each in SITES[2:] if chance.random() < 0.15)
    scheme = "shares" if seed % 2 else "ckks"
    unchecked = scheme == "shares" and chance.random() < 0.2
    auditor, one_owner = chance.random() < 0.5, chance.random() < 0.15
    return ops.Kind(scheme, auditor, late, one_owner, unchecked)


def live_through(seed: int) -> Outcome:
    """Return what came of a seed; no failure is what all of them should show."""
    chance = random.Random(seed)  # a history, not a secret
    world = _world(kind_of(seed))
    characters = _characters(chance, world.names())

    def told() -> Iterator[ops.Operation]:
        for _ in range(LONGEST_HISTORY):
            yield _next(chance, characters, world)

    return _lived(world, told(), seed)


def replay(history: ops.History) -> Outcome:
    """Return what comes of a history that is told again, whatever first chose it."""
    return _lived(_world(history.kind), iter(history.operations), history.seed)


def _world(kind: ops.Kind) -> World:
    with quickly():
        return world_of(kind)


def _lived(world: World, told: Iterable[ops.Operation], seed: int) -> Outcome:
    history: list[ops.Operation] = []
    failure = ""
    with quickly(), _watched(world):
        try:
            for operation in told:
                history.append(operation)
                world.apply(operation)
                check(world)
                if world.is_over():
                    break
            _fall_silent(world)
            _come_back(world)
            _all(world, [ops.Tick()])
            check_erased(world)
        except Violated as violated:
            failure = str(violated)
        except Exception as error:
            failure = f"I8: {type(error).__name__}: {error}"
    rounds = world.rounds.values()
    world.coverage.places.update(world.trips.passed)
    return Outcome(
        seed=seed,
        kind=world.kind,
        rounds=len(rounds),
        released=sum(each.phase is Phase.DONE for each in rounds),
        restarts=world.restarts,
        reasons=frozenset(each.reason for each in rounds if each.reason),
        history=tuple(history),
        failure=failure,
        stopped=world.federation.service.rounds.alarm.broken is not None,
        coverage=world.coverage,
    )


@contextmanager
def _watched(world: World) -> Iterator[None]:
    """Count each transition that a round of this world takes."""
    step = machine.step

    def counted(current: Round, event: machine.Event) -> machine.Step:
        taken = step(current, event)
        world.coverage.transitions[current.phase.value, type(event).__name__] += 1
        return taken

    machine.step = counted
    try:
        yield
    finally:
        machine.step = step


def _fall_silent(world: World) -> None:
    # Nobody does anything any more: what is going on must end by itself, turn by turn.
    world.settle_down()
    if any(each.phase is Phase.ABORTED for each in world.rounds.values()):
        world.restart()  # the operator's word to go on; nothing else needs one
    for _ in range(OUTAGE):
        if world.is_over():
            return
        _all(world, [ops.Silence(), ops.Advance(PROGRESS_SECONDS)])
    check_quiet(world)


def _come_back(world: World) -> None:
    # No restart in between: an outage of members is nothing that an operator must mend.
    for _ in range(RETURN):
        if world.is_over():
            return
        _all(world, [ops.Tick(), *world.due(), ops.Advance(1.0)])
    check_over(world)


def _all(world: World, operations: list[ops.Operation]) -> None:
    for operation in operations:
        world.apply(operation)
        check(world)


# -- what a seed decides -----------------------------------------------------------------


def _characters(chance: random.Random, members: tuple[str, ...]) -> Characters:
    diligence = {name: chance.choice([1.0, 1.0, 1.0, 1.0, 0.9, 0.7, 0.3, 0.0]) for name in members}
    liars = frozenset(name for name in members if chance.random() < 0.15)
    trouble, network = chance.choice([0.0, 0.02, 0.1]), chance.choice([0.0, 0.0, 0.05, 0.2])
    return Characters(diligence, liars, trouble, network)


def _next(chance: random.Random, characters: Characters, world: World) -> ops.Operation:
    if chance.random() < characters.trouble:
        return _trouble(chance, world)
    if world.mail and chance.random() < 0.2:
        return ops.Deliver(chance.randrange(8))
    operation = _step(chance, characters, world)
    if isinstance(operation, ops.Act) and chance.random() < characters.network:
        return _on_the_way(chance, operation)
    return operation


def _on_the_way(chance: random.Random, operation: ops.AnyAct) -> ops.Operation:
    match chance.randrange(4):
        case 0:
            return ops.Drop(operation, arrives=False)
        case 1:
            return ops.Drop(operation)
        case 2:
            return ops.Repeat(operation)
        case _:
            return ops.Delay(operation)


def _step(chance: random.Random, characters: Characters, world: World) -> ops.Operation:
    rounds = live(world)
    who = chance.choice(world.names())
    if not rounds or chance.random() < 0.25:
        return ops.Tick()
    if chance.random() > characters.diligence[who]:
        return ops.Advance(chance.choice([0.1, 0.5, 1.0]))
    going_on = [each for each in rounds if not each.is_over()]
    current = chance.choice(going_on if going_on and chance.random() < 0.9 else rounds)
    lies = who in characters.liars
    if lies and chance.random() < 0.1:
        return ops.Equivocate(who, current.number)
    if current.phase is Phase.OPEN and who in SITES and not lies and chance.random() < 0.8:
        whole = chance.random() < 0.15
        return ops.Submit(who, current.number) if whole else world.next_of(who, current.number)
    return _work(chance, who, lies, current)


def _trouble(chance: random.Random, world: World) -> ops.Operation:
    who = chance.choice(world.names())
    match chance.randrange(10):
        case 0 | 1 | 2:
            return ops.Crash(chance.choice(PLACES), chance.choice([1, 1, 2, 3]))
        case 3:
            return ops.DiskFull(chance.choice([1, 1, 2, 5]))
        case 4:
            return ops.DiskUncertain(chance.choice([1, 1, 2]))
        case 5:
            return ops.DiskSlow(chance.choice([1, 3]), chance.choice([0.5, PROGRESS_SECONDS]))
        case 6:
            return ops.Advance(chance.choice([PROGRESS_SECONDS, ABANDON_SECONDS]))
        case 7:
            stops = (ops.Die(who), ops.Die(who), ops.Restart(), _damage(chance, world))
            return chance.choice(stops)
        case 8:
            seconds = chance.choice([1.0, PROGRESS_SECONDS, ABANDON_SECONDS])
            return ops.Partition(who, seconds)
        case _:
            absent = [name for name, each in world.members.items() if not each.joined]
            heard = ops.Heartbeat(who, chance.randint(1, 4))
            return ops.Join(chance.choice(absent)) if absent else heard


def _damage(chance: random.Random, world: World) -> ops.Operation:
    if chance.random() < 0.3:
        return ops.Upgrade()
    number = max(world.rounds, default=1)
    return ops.Rot(chance.choice(SITES), number, chance.randrange(2))


def _work(chance: random.Random, who: str, lies: bool, current: Round) -> ops.Operation:
    number = current.number
    if current.rules.scores and who in SEATS and current.phase in SUMMED and chance.random() < 0.3:
        killed = chance.random() < 0.1
        return ops.Crash(SCORED, 1) if killed else ops.Score(who, number, int(lies))
    if current.rules.seats and current.phase in _SEATED:
        return _SEATED[current.phase](chance, who, lies, current)
    late = current.phase in (Phase.OPENING, Phase.DONE) and who == current.rules.auditor
    if current.phase is Phase.AUDITING or (late and not current.rules.seats):
        return _audit(chance, who, lies, number)
    variant = chance.randint(1, 2) if lies and chance.random() < 0.5 else 0
    if current.phase is Phase.OPEN and who not in SEATS and chance.random() < 0.85:
        return _contribute(chance, who, lies, number, variant)
    if current.phase is Phase.OPENING and chance.random() < 0.1:
        return ops.Fetch(who, number)  # who opens nothing may not, and tries
    if who not in OPENERS:
        return ops.Heartbeat(who, number)
    if lies and chance.random() < 0.05:
        return ops.Refuse(who, number)
    if current.phase is Phase.KEYING:
        known = bool(current.key_record) == (chance.random() < 0.95)
        return (ops.SignKey if known else ops.OfferKey)(who, number)
    if current.phase is Phase.OPENING and not current.sealed_model:
        return ops.Seal(who, number, chance.choice([2, 2, 2, 1]))
    if current.phase in (Phase.OPENING, Phase.DONE):
        return ops.SignRelease(who, number)
    return ops.SignKey(who, number)


def _audit(chance: random.Random, who: str, lies: bool, number: int) -> ops.Operation:
    # Openers may not, and try; a lying auditor refuses a good sum or sends another's signature.
    if lies and chance.random() < 0.3:
        return ops.Refuse(who, number)
    forged = lies and chance.random() < 0.5
    waiting = chance.choice((ops.Heartbeat(who, number), ops.Fetch(who, number)))
    return chance.choice((ops.Countersign(who, number, forged), waiting))


def _contribute(
    chance: random.Random, who: str, lies: bool, number: int, variant: int
) -> ops.Operation:
    swapped = lies and chance.random() < 0.25
    # Under shares this one's roots are not those of its parts; under ckks it is one more.
    damaged = chance.choice([8, 9]) if lies and chance.random() < 0.3 else variant
    return chance.choice(
        (
            ops.Begin(who, number, damaged, swapped),
            ops.Submit(who, number, damaged, swapped),
            ops.Put(who, number, 0, variant),
            ops.Put(who, number, 1, variant),
            ops.Commit(who, number),
        )
    )


def _seat_or_idle(
    chance: random.Random, who: str, number: int, act: ops.Operation
) -> ops.Operation:
    # Who has no seat may not, and tries now and then.
    if who in SEATS or chance.random() < 0.05:
        return act
    return ops.Heartbeat(who, number)


def _judging(chance: random.Random, who: str, lies: bool, current: Round) -> ops.Operation:
    refusing = chance.choice(SITES) if lies and chance.random() < 0.5 else ""
    unasked = lies and chance.random() < 0.3
    return _seat_or_idle(
        chance, who, current.number, ops.Judge(who, current.number, refusing, unasked)
    )


def _certifying(chance: random.Random, who: str, lies: bool, current: Round) -> ops.Operation:
    forged = lies and chance.random() < 0.3
    return ops.Certify(who, current.number, forged)


def _summing(chance: random.Random, who: str, lies: bool, current: Round) -> ops.Operation:
    number = current.number
    if current.phase is Phase.DISPUTED and chance.random() < 0.03:
        return ops.Upgrade()  # few rounds are disputed, and fewer when trouble comes by itself
    if chance.random() < 0.05:
        return ops.Certify(who, number)
    if current.phase is Phase.DISPUTED and who == current.rules.auditor:
        return ops.Rule(who, number, chance.choice(SEATS) if lies else "")
    lie = chance.choice([1, 3]) if lies and chance.random() < 0.7 else 0
    component = chance.randrange(2)
    act = ops.State(who, number, lie, component, chance.choice([4, 4, 4, 1]))
    return _seat_or_idle(chance, who, number, act)


_SEATED = {
    Phase.JUDGING: _judging,
    Phase.CERTIFYING: _certifying,
    Phase.SUMMING: _summing,
    Phase.DISPUTED: _summing,
}
