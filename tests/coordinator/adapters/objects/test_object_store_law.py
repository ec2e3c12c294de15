"""The object-store law: bytes under names, whole or absent, whatever is killed when."""

import errno
import os
import signal
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from coordinator.adapters.objects.files import open_objects
from coordinator.adapters.objects.objects_at import objects_at, open_objects_at
from privacy.errors import ConflictingContribution, MalformedMessage, NotYet, StoreUnavailable
from tests.coordinator.memory_store import MemoryObjects
from tests.s3 import PAGE

LINKED = {"after_link", "before_folder_sync", "after_folder_sync"}
WRITING = ("before_write", "before_sync", "before_link", "after_link", "before_folder_sync")


@pytest.fixture(params=["memory", "folder", "s3"])
def objects(request, tmp_path):
    if request.param == "memory":
        return MemoryObjects()
    if request.param == "folder":
        return open_objects(tmp_path / "objects")
    address = request.getfixturevalue("s3_address")
    return open_objects_at(address, request.getfixturevalue("s3_access"))


@pytest.mark.parametrize("data", [b"", b"\x00\xff\n", bytes(1 << 20)], ids=len)
def test_what_is_put_is_got(objects, data):
    objects.put("rounds/000001/sum/00000000", data)

    assert objects.get("rounds/000001/sum/00000000") == data
    assert objects.exists("rounds/000001/sum/00000000")


def test_lengths_are_known_without_the_bytes(objects):
    """A start looks at all that a round has stored, and reads none of it."""
    for at, length in enumerate((0, 1, 70_000)):
        objects.put(f"a/b/{at}", bytes(length))
    objects.put("a/bc", b"other")

    assert objects.lengths("a/b") == {"a/b/0": 0, "a/b/1": 1, "a/b/2": 70_000}
    assert objects.lengths("a/bc") == {"a/bc": 5}
    assert objects.lengths("a/d") == {}


def test_whoever_knows_the_address_has_the_same_objects(objects, request):
    """Workers on other machines are told an address; the credentials they have themselves."""
    if isinstance(objects, MemoryObjects):
        pytest.skip("what is in memory has no address for others")
    objects.put("a/b", b"bytes")

    other = objects_at(objects.address, request.getfixturevalue("s3_access"))
    other.put("a/c", b"more")

    assert other.address == objects.address
    assert other.get("a/b") == b"bytes"
    assert objects.names() == ["a/b", "a/c"]


def test_parts_are_cleared_and_objects_stay(objects):
    objects.put("a/b", b"bytes")

    objects.clear_parts("a")
    objects.clear_parts()

    assert objects.names() == ["a/b"]


def test_many_objects_are_listed_and_deleted(objects):
    """A store that lists by pages must not forget the second page."""
    names = [f"r/{at:04}" for at in range(2 * PAGE + 3)]
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda name: objects.put(name, b""), names))

    listed = objects.names("r")
    objects.delete_prefix("r")

    assert listed == names
    assert objects.names() == []


def test_the_same_bytes_again_change_nothing(objects):
    objects.put("a/b", b"bytes")

    objects.put("a/b", b"bytes")

    assert objects.names() == ["a/b"]


@pytest.mark.parametrize("other", [b"", b"byteS", b"bytes and more"])
def test_other_bytes_under_a_name_are_refused(objects, other):
    objects.put("a/b", b"bytes")

    with pytest.raises(ConflictingContribution, match="a/b"):
        objects.put("a/b", other)

    assert objects.get("a/b") == b"bytes"


@pytest.mark.parametrize("there", [None, b"", b"byteS", b"bytes", b"bytes and more"])
def test_what_is_damaged_is_mended(objects, there):
    """Whatever a disk made of it; once more changes nothing."""
    objects.put("a/c", b"beside")
    if there is not None:
        objects.put("a/b", there)

    for _ in range(2):
        objects.mend("a/b", b"bytes")

    assert objects.get("a/b") == b"bytes"
    assert objects.names() == ["a/b", "a/c"]
    objects.put("a/b", b"bytes")
    with pytest.raises(ConflictingContribution):
        objects.put("a/b", b"other")


def test_while_it_is_mended_one_or_the_other_is_there(objects):
    """A reader never finds nothing, nor a part of either."""
    bodies = {b"damaged" * 10_000, b"whole" * 20_000}
    for body in bodies:
        objects.put("a", min(bodies))
        with ThreadPoolExecutor(4) as threads:
            mending = [threads.submit(objects.mend, "a", body) for _ in range(8)]
            read = {objects.get("a") for _ in range(20)}
            for each in mending:
                each.result()

        assert read <= bodies
        objects.delete_prefix("a")


def test_what_is_not_there_may_come_yet(objects):
    objects.put("a/b", b"")

    with pytest.raises(NotYet, match="a/c"):
        objects.get("a/c")
    with pytest.raises(NotYet):
        objects.get("a")

    assert not objects.exists("a")
    assert not objects.exists("a/c")


def test_a_prefix_is_whole_segments(objects):
    """`hospital-1` must not list, or delete, what `hospital-10` has sent."""
    for name in ("r/hospital-1/1", "r/hospital-1/0/a", "r/hospital-10/0", "s/0"):
        objects.put(name, b"")

    below = objects.names("r/hospital-1")
    objects.delete_prefix("r/hospital-1")

    assert below == ["r/hospital-1/0/a", "r/hospital-1/1"]
    assert objects.names() == ["r/hospital-10/0", "s/0"]
    assert objects.names("r/hospital-1") == []


def test_what_was_deleted_is_gone_and_may_be_put_again(objects):
    objects.put("a/b/c", b"old")
    objects.put("a/d", b"old")

    objects.delete_prefix("a/b/c")
    objects.delete_prefix("a/b/c")
    objects.delete_prefix("never/was")
    objects.put("a/b/c", b"new")

    assert objects.get("a/b/c") == b"new"
    assert objects.get("a/d") == b"old"


@pytest.mark.parametrize(
    "name",
    ["", "/", "/a", "a/", "a//b", ".", "..", "../a", "a/../b", "a/.b", ".part-0", "A", "a b", "a\n",
     "a\0b", "ä", "a\\b", "~", "a" * 129, "/".join("a" * 300)],
)  # fmt: skip
def test_a_name_that_may_leave_the_store_is_refused(objects, name):
    for act in (objects.get, objects.exists, objects.delete_prefix):
        with pytest.raises(MalformedMessage):
            act(name)

    for keep in (objects.put, objects.mend):
        with pytest.raises(MalformedMessage):
            keep(name, b"")

    assert objects.names() == []


def test_of_two_objects_of_one_name_at_once_one_is_kept(objects):
    bodies = [b"one" * 1000, b"two" * 1000]

    def attempt(body):
        try:
            objects.put("a", body)
        except ConflictingContribution:
            return None
        return body

    with ThreadPoolExecutor(8) as threads:
        kept = set(threads.map(attempt, bodies * 8)) - {None}

    assert kept == {objects.get("a")}


# -- what only a disk promises --------------------------------------------------------


def test_a_name_and_every_folder_above_it_are_forced_to_the_disk(tmp_path, monkeypatch):
    """Without the folders, a power cut may take the name away from the bytes."""
    forced = []
    force = os.fsync

    def note(handle):
        forced.append(str(Path(f"/proc/self/fd/{handle}").readlink()))
        force(handle)

    store = open_objects(tmp_path / "objects")
    monkeypatch.setattr(os, "fsync", note)

    store.put("a/b/c", b"bytes")
    first, forced[:] = [*forced], []
    store.put("a/b/d", b"bytes")
    second, forced[:] = [*forced], []
    store.put("a/b/d", b"bytes")

    base = str(tmp_path / "objects")
    assert [path for path in first if ".part-" not in path] == [base, f"{base}/a", f"{base}/a/b"]
    assert first.index(f"{base}/a/b") == len(first) - 1
    assert [path.partition(".part-")[0] for path in second] == [f"{base}/a/b/", f"{base}/a/b"]
    assert forced == [f"{base}/a/b"]


def test_objects_are_their_owners_alone(tmp_path):
    open_objects(tmp_path / "objects").put("a/b", b"bytes")

    modes = {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.rglob("*")}

    assert modes == {0o600, 0o700}


@pytest.mark.parametrize("place", [*WRITING, "after_folder_sync"])
def test_a_kill_leaves_an_object_whole_or_absent(tmp_path, place):
    program = (
        "import os, signal, pathlib\n"
        "from coordinator.adapters.objects.files import open_objects\n"
        f"kill = lambda name: name == 'objects.{place}' and os.kill(os.getpid(), signal.SIGKILL)\n"
        f"open_objects(pathlib.Path({str(tmp_path)!r}), step=kill).put('a/b', bytes(100_000))\n"
    )

    died = subprocess.run([sys.executable, "-c", program], timeout=60, check=False)
    store = open_objects(tmp_path)

    assert died.returncode == -signal.SIGKILL
    assert store.names() in ([], ["a/b"])
    assert {path.name for path in tmp_path.rglob("*") if path.is_file()} <= {"b"}
    assert store.exists("a/b") == (place in LINKED)
    store.put("a/b", bytes(100_000))
    assert store.get("a/b") == bytes(100_000)


@pytest.mark.parametrize("place", [*WRITING, "after_folder_sync"])
def test_a_kill_while_it_is_mended_leaves_the_damaged_or_the_whole(tmp_path, place):
    program = (
        "import os, signal, pathlib\n"
        "from coordinator.adapters.objects.files import open_objects\n"
        f"kill = lambda name: name == 'objects.{place}' and os.kill(os.getpid(), signal.SIGKILL)\n"
        f"open_objects(pathlib.Path({str(tmp_path)!r}), step=kill).mend('a/b', bytes(100_000))\n"
    )
    open_objects(tmp_path).put("a/b", b"damaged")

    died = subprocess.run([sys.executable, "-c", program], timeout=60, check=False)
    store = open_objects(tmp_path)

    assert died.returncode == -signal.SIGKILL
    assert store.names() == ["a/b"]
    assert store.get("a/b") == (bytes(100_000) if place in LINKED else b"damaged")


@pytest.mark.parametrize("place", WRITING)
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EDQUOT], ids=os.strerror)
def test_a_failing_disk_is_named_and_nothing_half_written_stays(tmp_path, place, number):
    failing = [f"objects.{place}"]

    def fail(name):
        if name in failing:
            raise OSError(number, os.strerror(number))

    store = open_objects(tmp_path, step=fail)

    with pytest.raises(StoreUnavailable, match=f"a/b: {os.strerror(number)}; .*it is retried"):
        store.put("a/b", b"bytes")
    left = [path.name for path in tmp_path.rglob(".part-*")]
    failing.clear()
    store.put("a/b", b"bytes")

    assert left == []
    assert store.get("a/b") == b"bytes"


def test_a_file_that_may_not_grow_is_an_error_and_not_an_object(tmp_path):
    """The system's own refusal, in the middle of a write, and not one that the test made up."""
    program = (
        "import pathlib, resource\n"
        "from coordinator.adapters.objects.files import open_objects\n"
        "from privacy.errors import StoreUnavailable\n"
        f"store = open_objects(pathlib.Path({str(tmp_path)!r}))\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        "try:\n    store.put('a', bytes(100_000))\n"
        "except StoreUnavailable as error:\n    print(error)\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", program], timeout=60, check=True, capture_output=True, text=True
    )

    assert "File too large" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_a_file_is_named(tmp_path):
    (tmp_path / "objects").touch()

    with pytest.raises(StoreUnavailable, match="objects"):
        open_objects(tmp_path / "objects")


def test_an_erasure_that_was_killed_is_finished_by_doing_it_again(tmp_path):
    def fail(name):
        if name == "objects.after_delete":
            raise OSError(errno.EIO, "Input/output error")

    open_objects(tmp_path).put("a/b", b"bytes")
    with pytest.raises(StoreUnavailable):
        open_objects(tmp_path, step=fail).delete_prefix("a")

    open_objects(tmp_path).delete_prefix("a")

    assert list(tmp_path.iterdir()) == []
