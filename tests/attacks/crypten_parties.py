"""Parties of CrypTen as shipped, each a process: what each holds after one input is shared.

Run as a program, so that nothing but CrypTen's own launcher forks: prints one JSON list, a
party an entry. Controls only; no protocol of ours shares anything this way.
"""

import json
import subprocess
import sys
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from privacy.crypten_door import import_crypten
from tests.source_tree import ROOT

INPUT = [(value * 1_000_003) % 65_521 - 32_760 for value in range(64)]
"""What the source shares."""

SOURCE = 1

Words = NDArray[np.uint64]


@dataclass(frozen=True)
class Party:
    """One party's memory: its share, and the two seeds that CrypTen gave it."""

    share: Words
    seed_with_previous: int
    seed_with_next: int


def parties(count: int) -> list[Party]:
    """Share `INPUT` of party `SOURCE` among so many real parties."""
    done = subprocess.run(
        [sys.executable, "-m", __name__, str(count)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    return [
        Party(np.array(share, np.int64).view(np.uint64), previous, following)
        for share, previous, following in found
    ]


def masks(seed: int, count: int) -> Words:
    """What CrypTen's own function draws first from a generator with this seed."""
    crypten = import_crypten()
    torch = crypten.torch
    generator = torch.Generator(device=torch.device("cpu"))
    generator.manual_seed(seed)
    drawn = crypten.common.rng.generate_random_ring_element((count,), generator=generator)
    words: Words = drawn.numpy().view(np.uint64)
    return words


def _party() -> tuple[list[int], int, int]:
    crypten = import_crypten()
    torch = crypten.torch
    cpu = torch.device("cpu")
    seeds = [crypten.generators[side][cpu].initial_seed() for side in ("prev", "next")]
    shared = crypten.cryptensor(torch.tensor(INPUT), src=SOURCE, precision=0)
    return shared.share.tolist(), seeds[0], seeds[1]


if __name__ == "__main__":
    launched = import_crypten().mpc.run_multiprocess(world_size=int(sys.argv[1]))(_party)()
    print(json.dumps(launched))
