"""What an endpoint or a signer nests deeply ends no process."""

import subprocess
import sys

import pytest

DEEP = """
import json, threading
import {module}
def read():
    for bracket in ("[", '{{"a":'):
        try:
            json.loads(bracket * 100_000)
        except RecursionError:
            print("refused")
each = threading.Thread(target=read)
each.start()
each.join()
"""


@pytest.mark.parametrize("module", ["digests", "endpoint"])
def test_a_hundred_thousand_brackets_are_refused_by_whoever_can_sign(module: str) -> None:
    """What the chain's libraries lift is Python's only limit; past it the stack ends."""
    code = DEEP.format(module=f"veilsum.chain.{module}")
    command = [sys.executable, "-c", code]

    ended = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)

    assert (ended.returncode, ended.stdout) == (0, "refused\nrefused\n"), ended.stderr
