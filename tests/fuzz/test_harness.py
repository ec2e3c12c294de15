"""Each decoder under a coverage-guided fuzzer: `make fuzz SECONDS=60`."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz.decoders import DECODERS
from tests.fuzz.test_decoders import CORPUS

pytestmark = pytest.mark.fuzz

SECONDS = int(os.environ.get("FUZZ_SECONDS", "10"))
RESIDENT_MEGABYTES = 512
LONGEST = 1 << 17
REPOSITORY = Path(__file__).parents[2]
STATUS = re.compile(r"#(\d+)\s+\w+\s+cov: (\d+)")


@pytest.mark.parametrize("name", DECODERS)
def test_nothing_breaks_the_law(name, tmp_path, capsys):
    """Within a time, a memory, and a length; an input that does is printed and left behind."""
    seeds, found = tmp_path / "seeds", tmp_path / "found"
    found.mkdir()
    seeds.mkdir()
    for at, seed in enumerate(DECODERS[name].seeds):
        (seeds / str(at)).write_bytes(seed)
    command = [
        *(sys.executable, "-m", "tests.fuzz.harness", name),
        f"-max_total_time={SECONDS}",
        f"-rss_limit_mb={RESIDENT_MEGABYTES}",
        f"-max_len={LONGEST}",
        "-timeout=10",
        f"-artifact_prefix={tmp_path}/",
        *map(str, (found, seeds, CORPUS / name)),
    ]

    run = subprocess.run(command, capture_output=True, text=True, check=False, cwd=REPOSITORY)

    assert run.returncode == 0, run.stdout[-2000:] + run.stderr[-4000:]
    seen = [tuple(map(int, each)) for each in STATUS.findall(run.stderr)]
    (_, first), (runs, last) = seen[0], seen[-1]
    assert runs > 0
    with capsys.disabled():
        print(
            f"\n{name}: {runs} runs, coverage {first} to {last}, {len(list(found.iterdir()))} kept"
        )
