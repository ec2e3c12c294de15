"""Failpoints act only where a process was started with them; a wrong value starts nothing."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from privacy.failpoints import VARIABLE
from tests.processes.federation import federation

COMMANDS = {
    "coordinator": ["coordinator", "serve", "--config", "coordinator/coordinator.toml"],
    "site": ["participant", "run", "--config", "site-a/site.toml"],
}


@pytest.mark.parametrize("who", COMMANDS)
@pytest.mark.parametrize("value", ["send.after_chunk", "send.after_chunk:0=kill", "a.b:1=explode"])
def test_a_malformed_failpoint_ends_the_process_before_it_does_anything(
    tmp_path: Path, who: str, value: str
) -> None:
    """Status 2, and the operator is told the variable and its form."""
    with federation(tmp_path):
        ended = subprocess.run(
            [sys.executable, "-P", "-m", "veilsum", *COMMANDS[who]],
            env={**os.environ, VARIABLE: value},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    assert ended.returncode == 2
    assert f"{VARIABLE}: {value!r} is not name:count=action" in ended.stderr
    assert "who must act: the operator of this process" in ended.stderr
    assert "Traceback" not in ended.stderr
