"""Run simulated rounds: `python -m tests.simulation --rounds 5000 --seed 1`."""

import argparse
import logging
import os
import sys
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import structlog

import coordinator  # noqa: F401  before grpc, which what follows may import
from coordinator.rounds import round as machine
from coordinator.rounds.scoring import ProductStated
from coordinator.rounds.state import Phase
from privacy import errors
from tests.simulation import operations as ops
from tests.simulation.run import FAILPOINTS, Outcome, live_through, replay
from tests.simulation.shrink import shrink
from tests.simulation.world import Coverage

AT_ONCE = 20
"""Seeds that one process lives through before it reports."""

ENOUGH_TO_COVER = 5_000
"""Rounds after which a transition that no history has taken is a fault of the simulation."""

MOST_FAILURES = 5


def main() -> int:
    """Live through seeds until there were as many rounds as asked for; 1 if anything failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation")
    parser.add_argument("--rounds", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(4), "big"))
    parser.add_argument("--only", action="store_true", help="only that seed, with its history")
    parser.add_argument("--history", type=Path, help="tell the history in this file again")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--into", type=Path, default=Path(".veilsum/simulation"))
    asked = parser.parse_args()
    _be_silent()
    if asked.history:
        return _tell(replay(ops.read(asked.history.read_bytes())))
    print(f"seed {asked.seed}", flush=True)
    if asked.only:
        outcome = live_through(asked.seed)
        _keep(outcome, asked.into)
        return _tell(outcome)
    return _many(asked)


def _many(asked: argparse.Namespace) -> int:
    start, rounds, released, failed = time.perf_counter(), 0, 0, []
    covered = Coverage()
    for outcome in _outcomes(asked.seed, asked.processes):
        rounds, released = rounds + outcome.rounds, released + outcome.released
        covered.add(outcome.coverage)
        if outcome.failure:
            failed.append(outcome)
            print(f"FAILED --seed {outcome.seed} --only: {outcome.failure}", flush=True)
        if rounds >= asked.rounds or len(failed) >= MOST_FAILURES:
            break
    seconds = time.perf_counter() - start
    missing = never_reached(covered)
    _report(covered, missing)
    operations = covered.operations.total()
    print(
        f"{rounds} rounds ({released} released, the rest aborted), {operations} operations in "
        f"{seconds:.1f} s: {60 * rounds / seconds:.0f} rounds a minute, {len(failed)} failures"
    )
    for outcome in failed[:1]:  # the others are told by their seeds
        _keep(outcome, asked.into)
    uncovered = missing["transitions"] if rounds >= ENOUGH_TO_COVER else []
    return bool(failed or uncovered)


def _outcomes(seed: int, processes: int) -> Iterator[Outcome]:
    """Yield outcomes seed after seed, whichever process lived through them."""
    with ProcessPoolExecutor(processes, initializer=_be_silent) as pool:
        starts = iter(range(seed, 1 << 62, AT_ONCE))
        waiting = [pool.submit(_some, next(starts)) for _ in range(2 * processes)]
        try:
            while True:
                outcomes = waiting.pop(0).result()
                waiting.append(pool.submit(_some, next(starts)))
                yield from outcomes
        finally:
            pool.shutdown(cancel_futures=True)


def _some(seed: int) -> list[Outcome]:
    return [_light(live_through(each)) for each in range(seed, seed + AT_ONCE)]


def _light(outcome: Outcome) -> Outcome:
    # A history is long, and told again from its seed where it is wanted.
    return outcome if outcome.failure else Outcome(**(vars(outcome) | {"history": ()}))


def never_reached(covered: Coverage) -> dict[str, list[str]]:
    """Return which phases, transitions, failpoints and errors no history has come to."""
    # No plan of a history asks sites for products.
    events = [each for each in machine.TRANSITIONS if each[1] is not ProductStated]
    transitions = [(phase.value, event.__name__) for phase, event in events]
    return {
        "phases": [each.value for each in Phase if each.value not in covered.phases],
        "transitions": [" ".join(each) for each in transitions if each not in covered.transitions],
        "failpoints": [each for each in FAILPOINTS if each not in covered.places],
        "errors": sorted(_codes() - {*covered.codes}),
    }


def _codes() -> set[str]:
    found = [errors.VeilsumError]
    for each in found:
        found.extend(each.__subclasses__())
    return {each.code for each in found if each.__module__ == errors.__name__}


def _report(covered: Coverage, missing: dict[str, list[str]]) -> None:
    for name in ("operations", "reasons", "codes", "phases"):
        print(f"\n{name}")
        for what, count in sorted(getattr(covered, name).items(), key=lambda each: -each[1]):
            print(f"  {count:9d}  {what}")
    print()
    for name, places in missing.items():
        print(f"never reached, {name}: {', '.join(places) or 'none'}")


def _keep(outcome: Outcome, folder: Path) -> None:
    if not outcome.failure:
        return
    shortest = shrink(outcome)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"seed-{outcome.seed}.json"
    path.write_bytes(ops.write(shortest))
    print(f"\nshortest history that breaks it, of {len(outcome.history)} operations: {path}")
    _print(shortest.operations)


def _tell(outcome: Outcome) -> int:
    _print(outcome.history)
    print(outcome.failure or f"{outcome.rounds} rounds, {outcome.released} released, no failure")
    return bool(outcome.failure)


def _print(operations: Iterable[ops.Operation]) -> None:
    for operation in operations:
        print(operation)


def _be_silent() -> None:
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL),
        logger_factory=structlog.ReturnLoggerFactory(),
    )


if __name__ == "__main__":
    sys.exit(main())
