"""A contribution is whole and durable before it leaves, and the same bytes ever after."""

import os
import resource
import signal
import stat
import subprocess
import sys

import pytest

from participant.sending.outbox import Outbox, erase_until
from privacy.documents import Signed
from privacy.errors import StoreUnavailable
from veilsum.files import write_durably

HEADER = Signed(b"body", {"amber": b"signature"})
SEALS = (b"sealed to amber", b"sealed to birch", b"sealed to cedar")


def filled(folder, number=1):
    outbox = Outbox(folder, number)
    chunks = outbox.start()
    for index in range(3):
        write_durably(chunks / f"{index:08d}", bytes([number, index]) * 10)
    return outbox


def test_a_contribution_without_its_header_was_never_finished(tmp_path):
    """Whatever chunks there are: they are never sent."""
    assert filled(tmp_path).header() is None


def test_a_finished_one_comes_back_byte_for_byte(tmp_path):
    """After a restart: nothing is in memory but the folder's name."""
    before = filled(tmp_path)
    before.finish(HEADER, SEALS)

    after = Outbox(tmp_path, 1)

    assert after.header() == HEADER
    assert after.seals(len(SEALS)) == SEALS
    assert list(after.chunks(0, 3)) == [(i, bytes([1, i]) * 10) for i in range(3)]
    assert list(after.chunks(2, 3)) == [(2, bytes([1, 2]) * 10)]


def test_starting_again_leaves_nothing_of_the_try_before(tmp_path):
    """A mixture of two protections would have a root that nobody signed."""
    filled(tmp_path).finish(HEADER, SEALS)

    chunks = Outbox(tmp_path, 1).start()

    assert list(chunks.iterdir()) == []
    assert Outbox(tmp_path, 1).header() is None


def test_seals_come_back_in_the_openers_order(tmp_path):
    """Also of more than ten openers, whose numbers have two digits."""
    seals = tuple(bytes([at]) * 80 for at in range(12))
    outbox = filled(tmp_path)

    outbox.finish(HEADER, seals)

    assert Outbox(tmp_path, 1).seals(len(seals)) == seals


def test_a_seal_that_is_gone_is_this_sites_own_disk(tmp_path):
    """And not a refusal by the coordinator, which would be final."""
    filled(tmp_path).finish(HEADER, SEALS)
    outbox = Outbox(tmp_path, 1)
    (outbox.place / "masks" / "01").unlink()

    with pytest.raises(StoreUnavailable, match="restore the outbox"):
        outbox.seals(len(SEALS))


def test_the_header_comes_after_the_seals(tmp_path, monkeypatch):
    """Whatever is cut before it was never finished: no header without its seals."""
    outbox, written = filled(tmp_path), []

    def notes(path, body):
        written.append(path.relative_to(outbox.place).as_posix())

    monkeypatch.setattr("participant.sending.outbox.write_durably", notes)
    outbox.finish(HEADER, SEALS)

    assert written == ["masks/00", "masks/01", "masks/02", "header"]


def test_starting_again_leaves_no_seal_of_the_try_before(tmp_path):
    """They are of another mask."""
    filled(tmp_path).finish(HEADER, SEALS)

    Outbox(tmp_path, 1).start()

    assert not (tmp_path / "000001" / "masks").exists()


def test_erasing_takes_the_header_first(tmp_path, monkeypatch):
    """Cut in the middle, what is left must not look finished."""
    outbox = filled(tmp_path)
    outbox.finish(HEADER, SEALS)

    def killed(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("participant.sending.outbox.shutil.rmtree", killed)

    with pytest.raises(KeyboardInterrupt):
        outbox.erase()
    assert outbox.header() is None


def test_rounds_are_erased_up_to_the_last_one(tmp_path):
    """The next round's contribution stays."""
    for number in (1, 2, 3):
        filled(tmp_path, number).finish(HEADER, SEALS)

    erase_until(tmp_path, 2)
    erase_until(tmp_path / "none", 2)

    assert [Outbox(tmp_path, n).header() for n in (1, 2, 3)] == [None, None, HEADER]
    assert not Outbox(tmp_path, 1).place.exists()


def test_a_chunk_that_is_gone_is_an_error_of_the_store(tmp_path):
    """Not a traceback, and not a shorter contribution."""
    outbox = filled(tmp_path)
    outbox.finish(HEADER, SEALS)
    (outbox.place / "chunks" / "00000001").unlink()

    with pytest.raises(StoreUnavailable, match="00000001"):
        list(outbox.chunks(0, 3))


def test_a_full_disk_is_an_error_of_the_store(tmp_path):
    """The kernel refuses the write here: the file may grow to 1000 bytes and no further."""
    path, limits = tmp_path / "chunk", resource.getrlimit(resource.RLIMIT_FSIZE)
    write_durably(path, b"before")
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))

    try:
        with pytest.raises(StoreUnavailable, match="limit on the size of a file"):
            write_durably(path, bytes(2000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)

    assert path.read_bytes() == b"before"


def test_a_folder_that_cannot_be_made_is_an_error_of_the_store(tmp_path):
    """The outbox's place is taken by a file."""
    (tmp_path / "outbox").write_bytes(b"")

    with pytest.raises(StoreUnavailable):
        Outbox(tmp_path / "outbox", 1).start()


@pytest.mark.parametrize("place", ["mkdir", "open"])
def test_finishing_on_a_disk_that_refuses_is_an_error_of_the_store(tmp_path, monkeypatch, place):
    """It is retried, and nothing looks finished."""
    outbox = filled(tmp_path)

    def refuses(*_, **__):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr("os.open" if place == "open" else "pathlib.Path.mkdir", refuses)
        with pytest.raises(StoreUnavailable, match="No space left on device; make room"):
            outbox.finish(HEADER, SEALS)

    assert outbox.header() is None


@pytest.mark.parametrize(("place", "act"), [("unlink", "erase"), ("exists", "header")])
def test_a_disk_that_refuses_the_header_is_an_error_of_the_store(tmp_path, monkeypatch, place, act):
    """Neither read nor deleted: nobody knows yet whether it is finished."""
    outbox = filled(tmp_path)
    outbox.finish(HEADER, SEALS)

    def refuses(*_, **__):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(f"pathlib.Path.{place}", refuses)

    with pytest.raises(StoreUnavailable, match="check this disk"):
        getattr(outbox, act)()


def test_live_rounds_and_what_is_no_round_are_not_erased(tmp_path):
    """An operator's copy, and a round that waits for a later one."""
    for number in (1, 2, 3):
        filled(tmp_path, number)
    for name in ("000001.bak", "1", "0000001", "000001 copy"):
        (tmp_path / name).mkdir()

    erase_until(tmp_path, 3, live={2})

    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"000002", "000001.bak", "1", "0000001", "000001 copy"}


def test_only_the_owner_reads_it(tmp_path):
    """Ciphertexts are no secret, and nobody's business."""
    outbox = filled(tmp_path)
    outbox.finish(HEADER, SEALS)

    folders = (outbox.place / "chunks", outbox.place / "masks")
    for path in (outbox.place / "header", *(path for each in folders for path in each.iterdir())):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


KILLED = """
import os, signal, sys
from pathlib import Path
from participant.sending import outbox
real = os.replace
def dies(self, target):
    os.kill(os.getpid(), signal.SIGKILL)
Path.replace = dies
outbox.write_durably(Path(sys.argv[1]) / "chunk", bytes(100_000))
"""


def test_a_kill_while_writing_leaves_the_file_as_it_was(tmp_path):
    """There is the old file, or the new one, and never half of it."""
    (tmp_path / "chunk").write_bytes(b"before")

    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=False)

    assert done.returncode == -signal.SIGKILL
    assert (tmp_path / "chunk").read_bytes() == b"before"


def test_only_the_owner_opens_any_folder_of_it(tmp_path):
    """Whatever umask the process has, and for the folders made by the way, too."""
    before = os.umask(0)
    try:
        Outbox(tmp_path / "outbox", 3).start()
    finally:
        os.umask(before)

    made = [path for path in tmp_path.rglob("*") if path.is_dir()]
    assert len(made) == 3
    assert {stat.S_IMODE(path.stat().st_mode) for path in made} == {0o700}
