"""A federation's processes: their logs, their failures, and that none is left behind."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from privacy.errors import ConfigError
from tests.processes.alive import MARK, alive, left_after, new_mark
from veilsum.federation.children import children

SLEEPER = ["timeit", "-n", "1", "-r", "1", "-s", "import time", "time.sleep(60)"]

PARENT = """
import signal, sys, time
from pathlib import Path
from veilsum.federation.children import children
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell in the background ignores it
with children(Path(sys.argv[1])) as family:
    family.start("sleeper", sys.argv[2:])
    print("started", flush=True)
    time.sleep(60)
"""


def test_a_child_writes_to_a_log_of_its_own(tmp_path: Path) -> None:
    """Standard error too: that is where processes log."""
    with children(tmp_path) as family:
        family.start("version", ["veilsum", "version"])
        family.wait_for("the end", lambda: family.has_ended("version"), 30)

    assert (tmp_path / "version.log").read_text().strip()


def test_a_child_that_fails_is_named_with_its_last_words(tmp_path: Path) -> None:
    """Whoever waits for something must not wait in vain."""
    with children(tmp_path) as family:
        family.start("broken", ["no_such_module"])

        with pytest.raises(ConfigError, match=r"broken ended with status 1: .*no_such_module"):
            family.wait_for("never", lambda: False, 30)


def test_waiting_has_an_end(tmp_path: Path) -> None:
    """The message says where to look."""
    with children(tmp_path) as family, pytest.raises(ConfigError, match=f"look into {tmp_path}"):
        family.wait_for("never", lambda: False, 0.1)


def test_a_killed_child_is_dead_and_does_not_count_as_failed(tmp_path: Path) -> None:
    """The demo kills one itself."""
    mark = new_mark()
    with children(tmp_path) as family:
        family.start("sleeper", SLEEPER, {MARK: mark})
        family.kill("sleeper")

        assert alive(mark) == {}
        family.check()


def test_all_are_gone_when_the_block_ends_by_an_error(tmp_path: Path) -> None:
    """However it ends."""
    mark = new_mark()

    def fails() -> None:
        with children(tmp_path) as family:
            family.start("sleeper", SLEEPER, {MARK: mark})
            raise ConfigError("something else went wrong")

    with pytest.raises(ConfigError, match="something else"):
        fails()

    assert alive(mark) == {}


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_all_die_with_their_parent(tmp_path: Path, number: signal.Signals) -> None:
    """Also when the parent has no time for last words."""
    mark = new_mark()
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path), *SLEEPER],
        env={**os.environ, MARK: mark},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    with parent:
        assert parent.stdout.readline() == b"started\n"
        # A child is seen by its mark once it has taken its own shape.
        end = time.monotonic() + 5
        while len(alive(mark)) < 2:
            assert time.monotonic() < end
            time.sleep(0.01)
        parent.send_signal(number)

    assert left_after(mark, 5) == {}
