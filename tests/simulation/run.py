"""Federations that live through anything, one for each seed.

A seed decides everything: who is reliable, who contradicts itself, who dies and comes
back, whether there is an auditor, when the coordinator is killed and its disk is full. The
same seed is the same history.
"""

import random
from dataclasses import dataclass

from coordinator.state import Phase, Round
from tests.fakes import ABANDON_SECONDS, AUDITOR, OPENERS, PROGRESS_SECONDS
from tests.simulation import operations as ops
from tests.simulation.invariants import Violated, check, check_erased, check_over, check_quiet
from tests.simulation.world import World, live

LONGEST_HISTORY = 600
OUTAGE = 160
"""Turns; more than would halt a programme that took silence for failure: 5 rounds of 24 turns."""

RETURN = 400
PLACES = (
    "service.before_save",
    "service.after_save",
    "effect.before_aggregate",
    "effect.after_aggregate",
    "effect.before_erase",
    "effect.after_erase",
    "accept.before_masks",
    "accept.before_chunk",
    "accept.after_chunk",
    "fold.before_row",
    "fold.after_row",
)


@dataclass(frozen=True)
class Characters:
    """How often each member does its part, and who contradicts itself."""

    diligence: dict[str, float]
    liars: frozenset[str]
    trouble: float


@dataclass(frozen=True)
class Outcome:
    """What came of one seed; `reasons` are those for which rounds were aborted."""

    seed: int
    rounds: int
    released: int
    restarts: int
    reasons: frozenset[str]
    history: tuple[ops.Operation, ...]
    failure: str = ""


def live_through(seed: int) -> Outcome:
    """Return what came of a seed; no failure is what all of them should show."""
    chance = random.Random(seed)  # a history, not a secret
    world = World(AUDITOR if seed % 3 == 1 else None)
    characters, history = _characters(chance, world.members), []
    failure = ""
    try:
        for _ in range(LONGEST_HISTORY):
            history.append(_next(chance, characters, world))
            world.apply(history[-1])
            check(world)
            if world.is_over():
                break
        _fall_silent(world, history)
        _come_back(world, history)
        _all(world, history, [ops.Tick()])
        check_erased(world)
    except Violated as violated:
        failure = str(violated)
    except Exception as error:
        failure = f"I8: {type(error).__name__}: {error}"
    rounds = world.rounds.values()
    released = sum(each.phase is Phase.DONE for each in rounds)
    reasons = frozenset(each.reason for each in rounds if each.reason)
    return Outcome(seed, len(rounds), released, world.restarts, reasons, tuple(history), failure)


def _fall_silent(world: World, history: list[ops.Operation]) -> None:
    # Nobody does anything any more: what is going on must end by itself, turn by turn.
    world.settle_down()
    for _ in range(OUTAGE):
        if world.is_over():
            return
        _all(world, history, [ops.Tick(), ops.Advance(PROGRESS_SECONDS)])
    check_quiet(world)


def _come_back(world: World, history: list[ops.Operation]) -> None:
    # No restart in between: an outage of members is nothing that an operator must mend.
    for _ in range(RETURN):
        if world.is_over():
            return
        _all(world, history, [ops.Tick(), *world.due(), ops.Advance(1.0)])
    check_over(world)


def _all(world: World, history: list[ops.Operation], operations: list[ops.Operation]) -> None:
    for operation in operations:
        history.append(operation)
        world.apply(operation)
        check(world)


def _characters(chance: random.Random, members: tuple[str, ...]) -> Characters:
    diligence = {name: chance.choice([1.0, 1.0, 1.0, 1.0, 0.9, 0.7, 0.3, 0.0]) for name in members}
    liars = frozenset(name for name in members if chance.random() < 0.2)
    return Characters(diligence, liars, chance.choice([0.0, 0.02, 0.1]))


def _next(chance: random.Random, characters: Characters, world: World) -> ops.Operation:
    if chance.random() < characters.trouble:
        return _trouble(chance, world.members)
    rounds = live(world)
    who = chance.choice(world.members)
    if not rounds or chance.random() < 0.25:
        return ops.Tick()
    if chance.random() > characters.diligence[who]:
        return ops.Advance(chance.choice([0.1, 0.5, 1.0]))
    going_on = [each for each in rounds if not each.is_over()]
    current = chance.choice(going_on if going_on and chance.random() < 0.9 else rounds)
    honest = current.phase is Phase.OPEN and who not in characters.liars and who != AUDITOR
    if honest and chance.random() < 0.8:
        return world.next_of(who, current.number)
    return _work(chance, who, who in characters.liars, current)


def _trouble(chance: random.Random, members: tuple[str, ...]) -> ops.Operation:
    match chance.randrange(4):
        case 0:
            return ops.Crash(chance.choice(PLACES), chance.choice([1, 1, 2, 3]))
        case 1:
            return ops.DiskFull(chance.choice([1, 1, 2, 5]))
        case 2:
            return ops.Advance(chance.choice([PROGRESS_SECONDS, ABANDON_SECONDS]))
        case _:
            return ops.Heartbeat(chance.choice(members), chance.randint(1, 4))


def _work(chance: random.Random, who: str, lies: bool, current: Round) -> ops.Operation:
    number = current.number
    if current.phase is Phase.AUDITING:
        return _audit(chance, who, lies, number)
    variant = chance.randint(1, 2) if lies and chance.random() < 0.5 else 0
    if current.phase is Phase.OPEN and chance.random() < 0.85:
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
    return chance.choice(
        (
            ops.Begin(who, number, variant, swapped),
            ops.Put(who, number, 0, variant),
            ops.Put(who, number, 1, variant),
            ops.Commit(who, number),
        )
    )
