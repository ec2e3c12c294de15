"""Run simulated rounds: `python -m tests.simulation --rounds 2000 --seed 1`."""

import argparse
import logging
import os
import sys
import time
from collections import Counter

import structlog

import coordinator  # noqa: F401  before grpc, which what follows may import
from tests.simulation.run import Outcome, live_through


def main() -> int:
    """Live through seeds until there were as many rounds as asked for; 1 if anything failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation")
    parser.add_argument("--rounds", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(4), "big"))
    parser.add_argument("--only", action="store_true", help="only that seed, with its history")
    asked = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    print(f"seed {asked.seed}", flush=True)
    if asked.only:
        return _tell(live_through(asked.seed))
    return _many(asked.seed, asked.rounds)


def _many(seed: int, wanted: int) -> int:
    start, counts, failed = time.perf_counter(), Counter(), []
    while counts["rounds"] < wanted and len(failed) < 5:
        outcome = live_through(seed)
        counts.update(rounds=outcome.rounds, released=outcome.released, restarts=outcome.restarts)
        counts.update(operations=len(outcome.history))
        if outcome.failure:
            failed.append(outcome)
            print(f"FAILED --seed {outcome.seed} --only: {outcome.failure}", flush=True)
        seed += 1
    seconds = time.perf_counter() - start
    print(
        f"{counts['rounds']} rounds ({counts['released']} released, the rest aborted), "
        f"{counts['operations']} operations, {counts['restarts']} restarts in {seconds:.1f} s: "
        f"{counts['rounds'] / seconds:.1f} rounds/s, {len(failed)} failures"
    )
    return bool(failed)


def _tell(outcome: Outcome) -> int:
    for operation in outcome.history:
        print(operation)
    print(outcome.failure or f"{outcome.rounds} rounds, {outcome.released} released, no failure")
    return bool(outcome.failure)


if __name__ == "__main__":
    sys.exit(main())
