"""SIGKILL at every failpoint of a send: the next life finds out, and there is one effect."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from privacy.failpoints import PLACES, VARIABLE
from tests.chain.door import KEY, Door
from tests.chain.fake_node import GWEI
from tests.source_tree import ROOT
from veilsum.chain.sending import Standing
from veilsum.chain.signing import name_of

CHILD = """
import os, signal, sys
from pathlib import Path
from privacy.errors import ChainUnavailable
from privacy.failpoints import VARIABLE, parse
from tests.chain.door import KEY, transfer
from veilsum.chain.endpoint import connect
from veilsum.chain.journal import FolderJournal
url, folder = sys.argv[1], Path(sys.argv[2])
points = parse(os.environ[VARIABLE], {"kill": lambda _: os.kill(os.getpid(), signal.SIGKILL)})
endpoint = connect(url, patience_seconds=0.3, step=points.hit)
try:
    endpoint.send(KEY, FolderJournal(folder), "pay", transfer(endpoint, 1))
finally:
    endpoint.tend(KEY, FolderJournal(folder))
"""

NEEDS_A_RIVAL = "chain.before_replace"
OF_A_SEND = tuple(each for each in PLACES["sender"] if each.startswith("chain."))


def die_at(place: str, door: Door) -> int:
    """Send in another process that is killed at `place`; return how it ended."""
    command = [sys.executable, "-c", CHILD, door.urls[0], str(door.folder)]
    environment = {VARIABLE: f"{place}:1=kill", "PYTHONPATH": str(ROOT), "PATH": ""}
    return subprocess.run(command, cwd=ROOT, env=environment, check=False, timeout=60).returncode


@pytest.mark.parametrize("place", [each for each in OF_A_SEND if each != NEEDS_A_RIVAL])
def test_a_sender_killed_anywhere_has_one_effect(door: Door, place: str) -> None:
    """The next life reads the journal and asks the chain; it signs nothing twice."""
    assert die_at(place, door) == -signal.SIGKILL

    receipt = door.send()
    door.tend()

    assert [(one.nonce, one.name) for one in door.node.mined()] == [(0, receipt.transaction)]
    assert door.tend() == Standing(0, 0)


def test_a_sender_killed_before_its_transaction_is_mined_waits_for_that_one(door: Door) -> None:
    """A node has it in its pool: that is no reason for another."""
    door.node.automine = False
    assert die_at("chain.after_broadcast", door) == -signal.SIGKILL
    door.time.then = [door.node.mine]

    receipt = door.send()

    assert [(one.nonce, one.name) for one in door.node.mined()] == [(0, receipt.transaction)]


@pytest.mark.parametrize("survivor", ["older", "newer"])
def test_a_sender_killed_while_it_replaces_has_one_effect(
    door: Door, survivor: str, tmp_path: Path
) -> None:
    """Whichever of the two versions a miner has."""
    door.node.automine = False
    assert die_at("chain.after_broadcast", door) == -signal.SIGKILL
    (older,) = door.node.seen
    door.node.base = 50 * GWEI
    assert die_at(NEEDS_A_RIVAL, door) == -signal.SIGKILL
    if survivor == "older":
        door.node.base = GWEI
        door.node.mine()
    door.node.automine = True

    receipt = door.send()

    assert [(one.sender, one.nonce) for one in door.node.mined()] == [(KEY.address, 0)]
    assert (receipt.transaction == name_of(older)) == (survivor == "older")
