"""Threads that read documents of one kind for the first time, all at one moment."""

import ast
import subprocess
import sys

import pytest

from tests.source_tree import ROOT, parsed, source_files

READERS = {"decode", "convert"}

RACE = """
import sys, threading
import msgspec
from privacy import learned, records

sys.setswitchinterval(1e-6)
kinds = [kind for kind in vars(records).values() if isinstance(kind, msgspec._core.StructMeta)]
made = threading.Barrier(16)

def read():
    made.wait()
    for kind in kinds:
        try:
            msgspec.json.decode(b'{"entries":[{}],"pieces":[{}]}', type=LEARNED(kind))
        except msgspec.ValidationError:
            pass

threads = [threading.Thread(target=read) for _ in range(16)]
for each in threads:
    each.start()
for each in threads:
    each.join()
print("alive")
"""


def race(learned: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", RACE.replace("LEARNED", learned)]
    return subprocess.run(
        command, cwd=ROOT, check=False, capture_output=True, timeout=60, text=True
    )


def test_a_process_outlives_any_number_of_first_readers() -> None:
    assert race("learned.learned").stdout == "alive\n"


@pytest.mark.deep
def test_without_it_the_process_dies() -> None:
    """The control; chance has a part in it, so several try, on a machine that does little else."""
    if all(race("").returncode == 0 for _ in range(50)):
        pytest.fail("msgspec lets threads learn a type together now: is `learned` still needed?")


def test_nothing_is_read_by_a_type_that_is_not_learned() -> None:
    found = [
        f"{path}: {ast.unparse(call)}"
        for path in source_files()
        if path.parts[0] != "veilsum"  # commands; what serves others is elsewhere
        for call in ast.walk(parsed(path))
        if isinstance(call, ast.Call) and _reads(call) and "learned(" not in ast.unparse(call)
    ]

    assert found == [
        "coordinator/adapters/backup_file.py: msgspec.msgpack.decode(self._get(name))"
    ]  # without any type


def _reads(call: ast.Call) -> bool:
    name = ast.unparse(call.func)
    return name.startswith("msgspec.") and name.rpartition(".")[2] in READERS
