"""An update leaves for the outbox only as protected chunks, each checked as the door will."""

import os
import select
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from participant.sending import protect as module
from participant.sending.protect import ckks_protector, protect
from privacy.errors import (
    MalformedMessage,
    PeerUnreachable,
    StoreUnavailable,
    UpdateOutOfRange,
)
from privacy.schemes.ckks import CkksRevealer
from tests.participant import signed_round as made

PLAN = made.plan()
PUBLIC, MASK = made.cohort_key().public, made.mask_secret("amber")

LONG = made.Plan(
    replace(
        made.ARITHMETIC,
        dimension=12 * 4096 - 100,
        ranges=(made.ModulusRange(0, 12, 0, made.PARAMETERS.modulus),),
    ),
    PLAN.terms,
)
"""Twelve chunks of one ciphertext each."""


def long_update():
    return (np.arange(LONG.arithmetic.dimension) % 1009 - 504).astype(np.int64)


def opened(folder):
    secret, masks = made.cohort_key().secret, [made.mask("amber", LONG)]
    revealer = CkksRevealer(made.PARAMETERS, LONG.arithmetic.dimension, secret, masks)
    chunks = [path.read_bytes() for path in sorted(folder.iterdir())]
    return np.concatenate([revealer.reveal(at, chunk, 1) for at, chunk in enumerate(chunks)])


@pytest.mark.parametrize("plan", [PLAN, LONG], ids=["short", "long"])
@pytest.mark.parametrize("processes", [1, 2])
def test_the_piece_says_what_is_on_disk(tmp_path, plan, processes):
    """Number, length and root, for the coordinator; whichever process wrote it."""
    update = np.resize(made.update("amber"), plan.arithmetic.dimension)

    piece = protect(plan, PUBLIC, MASK, update, tmp_path, processes=processes)

    chunks = [path.read_bytes() for path in sorted(tmp_path.iterdir())]
    assert (piece.recipient, piece.scheme) == ("coordinator", "ckks/1")
    assert piece.chunks == len(chunks) == plan.arithmetic.chunks
    assert piece.length == sum(map(len, chunks))
    assert piece.root == root_of(plan, chunks)


def root_of(plan, chunks):
    combiner = module.CkksCombiner(plan.parameters(), plan.arithmetic.dimension)
    return module.piece_root([combiner.check(at, each) for at, each in enumerate(chunks)]).hex()


@pytest.mark.parametrize("processes", [1, 2, 3])
def test_a_pool_protects_the_same_integers(tmp_path, processes):
    """Each chunk at its place: they are written in whatever order they are done."""
    protect(LONG, PUBLIC, MASK, long_update(), tmp_path, processes=processes)

    assert np.array_equal(opened(tmp_path), long_update())


def test_the_same_update_is_never_the_same_bytes(tmp_path):
    """Otherwise two rounds could be compared."""
    one, two, three = (tmp_path / name for name in ("one", "two", "three"))
    for folder, processes in ((one, 1), (two, 2), (three, 2)):
        folder.mkdir()
        protect(LONG, PUBLIC, MASK, long_update(), folder, processes=processes)

    for name in ("00000000", "00000011"):
        assert len({(folder / name).read_bytes() for folder in (one, two, three)}) == 3


@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.parametrize("value", [2**23, -(2**23), np.iinfo(np.int64).min])
def test_a_value_beyond_the_grid_is_refused(tmp_path, value, processes):
    """Also in the last chunk, and by its own name where another process found it."""
    update = made.update("amber")
    update[-1] = value

    with pytest.raises(UpdateOutOfRange):
        protect(PLAN, PUBLIC, MASK, update, tmp_path, processes=processes)


@pytest.mark.parametrize("processes", [1, 2])
def test_what_the_door_would_refuse_is_not_committed(tmp_path, processes):
    """A protector that writes something else is found before its root is signed."""
    with pytest.raises(MalformedMessage):
        protect(PLAN, PUBLIC, MASK, made.update("amber"), tmp_path, make=plain, processes=processes)
    assert list(tmp_path.iterdir()) == []


class Plain:
    def protect(self, chunk, values):
        return values.tobytes()


def plain(plan, public_key, mask):
    return Plain()


def test_a_key_that_is_none_is_refused_before_anything_is_written(tmp_path):
    """By its own name, not as a process that died."""
    with pytest.raises(MalformedMessage):
        protect(LONG, PUBLIC[:-1], MASK, long_update(), tmp_path, processes=2)
    assert list(tmp_path.iterdir()) == []


# -- processes that encrypt ------------------------------------------------------------


class Dies:
    """Encrypts two chunks, then its process is killed."""

    def __init__(self, inner):
        self.inner, self.left = inner, 2

    def protect(self, chunk, values):
        self.left -= 1
        if self.left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return self.inner.protect(chunk, values)


def dies(plan, public_key, mask):
    return Dies(ckks_protector(plan, public_key, mask))


def test_a_process_that_is_killed_is_an_error_that_time_heals(tmp_path):
    """The kernel takes one when memory is short: the round is tried again, with nothing sent."""
    before = children()
    with pytest.raises(PeerUnreachable, match="nothing has left"):
        protect(LONG, PUBLIC, MASK, long_update(), tmp_path, make=dies, processes=2)

    assert len(list(tmp_path.glob("0*"))) < LONG.arithmetic.chunks
    assert children() <= before


def children():
    found = ""
    for task in Path("/proc/self/task").iterdir():
        with suppress(OSError):  # a thread that has ended meanwhile
            found += " " + (task / "children").read_text()
    return {pid for pid in found.split() if b"spawn_main" in command(pid)}


def command(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


class Full:
    """A protector before a disk that is full from the fifth chunk on."""

    def __init__(self, inner, folder):
        self.inner = inner

    def protect(self, chunk, values):
        if chunk == 4:
            raise StoreUnavailable("/outbox: No space left on device; make room on this disk")
        return self.inner.protect(chunk, values)


def full(plan, public_key, mask):
    return Full(ckks_protector(plan, public_key, mask), None)


def test_a_full_disk_in_another_process_comes_back_as_it_is(tmp_path):
    """With what to do about it."""
    before = children()
    with pytest.raises(StoreUnavailable, match="make room on this disk"):
        protect(LONG, PUBLIC, MASK, long_update(), tmp_path, make=full, processes=2)
    assert children() <= before


class Notes:
    """Writes down what its process is like, instead of encrypting anything else first."""

    def __init__(self, inner):
        self.inner = inner

    def protect(self, chunk, values):
        text = Path("/proc/self/limits").read_text() + Path("/proc/self/status").read_text()
        Path(os.environ["NOTES"], str(os.getpid())).write_text(text)
        return self.inner.protect(chunk, values)


def notes(plan, public_key, mask):
    return Notes(ckks_protector(plan, public_key, mask))


def test_a_process_that_encrypts_leaves_no_core_and_its_end_to_others(tmp_path, monkeypatch):
    """A core file would hold a part of the update; Ctrl-C is for the agent."""
    (tmp_path / "notes").mkdir()
    (tmp_path / "outbox").mkdir()
    monkeypatch.setenv("NOTES", str(tmp_path / "notes"))

    protect(LONG, PUBLIC, MASK, long_update(), tmp_path / "outbox", make=notes, processes=2)

    paths = list((tmp_path / "notes").iterdir())
    assert paths
    assert str(os.getpid()) not in {path.name for path in paths}
    for path in paths:
        lines = path.read_text().splitlines()
        (core,) = [line for line in lines if line.startswith("Max core file size")]
        (ignored,) = [line for line in lines if line.startswith("SigIgn:")]
        assert core.split()[4:6] == ["0", "0"]
        assert int(ignored.split()[1], 16) >> (signal.SIGINT - 1) & 1


PARENT = """
import sys
from pathlib import Path
import numpy as np
from tests.participant.sending import test_protect as t
t.made.cohort_key = None
plan = t.module.plans.unpack(Path(sys.argv[1], "plan").read_bytes())
public = Path(sys.argv[1], "public").read_bytes()
update = np.zeros(plan.arithmetic.dimension, np.int64)
t.protect(plan, public, bytes(32), update, Path(sys.argv[1], "outbox"), make=t.slow, processes=2)
"""


class Slow:
    """Says that it is at work, and never ends."""

    def protect(self, chunk, values):
        sys.stdout.write(f"{os.getpid()}\n")
        sys.stdout.flush()
        threading.Event().wait()


def slow(plan, public_key, mask):
    return Slow()


def test_processes_that_encrypt_end_with_the_worker(tmp_path):
    """Killed with SIGKILL, it cannot tell them."""
    (tmp_path / "plan").write_bytes(module.plans.pack(LONG))
    (tmp_path / "public").write_bytes(PUBLIC)
    (tmp_path / "outbox").mkdir()
    command = [sys.executable, "-c", PARENT, str(tmp_path)]
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=root) as parent:
        pids = [int(parent.stdout.readline()) for _ in range(2)]
        handles = [os.pidfd_open(pid) for pid in pids]

        parent.kill()

        for handle in handles:
            assert ended(handle, 10)
            os.close(handle)


def ended(handle, seconds):
    return bool(select.select([handle], [], [], seconds)[0])


def test_progress_is_said_while_it_goes_on(tmp_path, monkeypatch):
    """Chunk by chunk, as often as the pace says."""
    monkeypatch.setattr("participant.pace.SAY_EVERY_SECONDS", 0)
    said = []

    protect(LONG, PUBLIC, MASK, long_update(), tmp_path, say=said.append, processes=2)

    assert [each.chunks for each in said] == list(range(1, 13))
    assert {each.of for each in said} == {12}
    assert said[-1].seconds_left == 0
    assert said[-1].mib_per_second > 0


def test_a_short_update_is_protected_where_it_is(monkeypatch):
    """A process takes longer to start than a short update to encrypt; a long one gets a pool."""
    monkeypatch.setattr(module.os, "sched_getaffinity", lambda pid: {0, 1, 2})

    assert module._processes(module.POOL_FROM_VALUES - 1) == 1
    assert module._processes(module.POOL_FROM_VALUES) == 3
