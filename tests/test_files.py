"""Files that survive a crash whole, secrets that nobody else reads, folders held once."""

import errno
import os
import signal
import stat
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from privacy.errors import ConfigError, FolderHeld, InsecureKeyFile, StoreUnavailable
from veilsum.files import (
    Draft,
    disk_errors,
    hold,
    holding,
    make_folder,
    read_file,
    read_secret,
    read_text,
    sweep_drafts,
    sync_folder,
    write_durably,
    write_new,
)

HOLDER = """
import sys, threading
from pathlib import Path
from veilsum.files import hold
held = hold(Path(sys.argv[1]))
print("holds", flush=True)
threading.Event().wait()
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the folder."""
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"holds\n"
        yield process
        process.kill()


def descriptors():
    """Return what this process has open: descriptors other than the one that lists them."""
    return {each.name for each in Path("/proc/self/fd").iterdir() if each.exists()}


# -- writing ---------------------------------------------------------------------------


def test_a_file_is_written_for_its_owner_only(tmp_path):
    before = os.umask(0)
    try:
        write_durably(tmp_path / "file", b"body")
    finally:
        os.umask(before)

    assert (tmp_path / "file").read_bytes() == b"body"
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o600


def test_a_file_is_replaced_whole_and_nothing_is_left_beside_it(tmp_path):
    write_durably(tmp_path / "file", b"a long body")

    write_durably(tmp_path / "file", b"short")

    assert (tmp_path / "file").read_bytes() == b"short"
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


def test_a_draft_that_a_crash_left_does_not_get_into_the_next_file(tmp_path):
    (tmp_path / ".file.draft").write_bytes(b"half of something longer than what follows")

    write_durably(tmp_path / "file", b"body")

    assert (tmp_path / "file").read_bytes() == b"body"
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


def test_the_bytes_are_on_the_disk_before_the_name_and_the_name_before_the_return(
    tmp_path, monkeypatch
):
    """In any other order a power cut leaves a name without its bytes, or no name."""
    happened, fsync, replace = [], os.fsync, Path.replace

    def note_fsync(file):
        happened.append(("forced", Path(f"/proc/self/fd/{file}").readlink().name))
        fsync(file)

    def note_replace(path, target):
        happened.append(("named", Path(target).name))
        return replace(path, target)

    monkeypatch.setattr(os, "fsync", note_fsync)
    monkeypatch.setattr(Path, "replace", note_replace)

    write_durably(tmp_path / "file", b"body")

    assert happened == [("forced", ".file.draft"), ("named", "file"), ("forced", tmp_path.name)]


@pytest.mark.parametrize("place", ["fsync", "write"])
def test_a_full_disk_leaves_the_file_as_it_was(tmp_path, monkeypatch, place):
    """Whoever acts on the file finds the last whole one; whoever wrote is told to make room."""
    write_durably(tmp_path / "file", b"before")

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as broken:
        if place == "fsync":
            broken.setattr(os, "fsync", full)
        else:
            broken.setattr(os, "fdopen", full)
        with pytest.raises(StoreUnavailable, match="No space left on device; make room"):
            write_durably(tmp_path / "file", b"after")

    assert (tmp_path / "file").read_bytes() == b"before"
    write_durably(tmp_path / "file", b"after")
    assert (tmp_path / "file").read_bytes() == b"after"


def test_a_draft_is_written_in_parts_and_has_no_name_until_it_is_published(tmp_path):
    """Readers look for names; a draft's is none that they look for."""
    draft = Draft(tmp_path / "draft")
    for part in (b"one, ", b"two, ", b"three"):
        draft.add(part)
        assert not (tmp_path / "file").exists()

    draft.publish(tmp_path / "file")
    draft.discard()

    assert (tmp_path / "file").read_bytes() == b"one, two, three"
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o600
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


def test_a_draft_that_is_discarded_leaves_nothing(tmp_path):
    before = descriptors()
    draft = Draft(tmp_path / "draft")
    draft.add(b"body")

    draft.discard()
    draft.discard()

    assert list(tmp_path.iterdir()) == []
    assert descriptors() == before


def test_drafts_that_a_crash_left_are_swept_away_and_nothing_else(tmp_path):
    Draft(tmp_path / "draft").add(b"half")
    for name in ("file", ".hidden", "a.draft"):
        (tmp_path / name).write_bytes(b"")

    sweep_drafts(tmp_path)

    assert {each.name for each in tmp_path.iterdir()} == {"file", ".hidden", "a.draft"}


def test_drafts_of_a_name_that_is_spared_stay(tmp_path):
    """Somebody may be writing them; a name that only begins alike is another's."""
    for name in (".7-0.draft", ".7-1.draft", ".70-0.draft", ".8-0.draft"):
        (tmp_path / name).touch()

    sweep_drafts(tmp_path, spared="7-")

    assert {each.name for each in tmp_path.iterdir()} == {".7-0.draft", ".7-1.draft"}


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.ENOSPC, "make room"),
        (errno.EDQUOT, "make room"),
        (errno.EFBIG, "limit on the size of a file"),
        (errno.EACCES, "let this process write there"),
        (errno.EPERM, "let this process write there"),
        (errno.EROFS, "let this process write there"),
        (errno.EIO, "check this disk"),
        (errno.ENOTDIR, "check that path"),
    ],
    ids=errno.errorcode.get,
)
def test_what_must_be_done_depends_on_what_the_disk_says(tmp_path, number, advice):
    """Room does not help where writing is not allowed."""
    with pytest.raises(StoreUnavailable, match=f"{os.strerror(number)}; .*{advice}") as refused:  # noqa: SIM117
        with disk_errors(tmp_path):
            raise OSError(number, os.strerror(number))

    assert str(refused.value).startswith(f"{tmp_path}: ")
    assert ("make room" in str(refused.value)) is (advice == "make room")


def test_a_folder_is_made_for_its_owner_and_its_name_is_durable(tmp_path, monkeypatch):
    """Made again, it is the same."""
    forced, fsync = [], os.fsync

    def note(file):
        forced.append(Path(f"/proc/self/fd/{file}").readlink())
        fsync(file)

    monkeypatch.setattr(os, "fsync", note)

    for _ in range(2):
        make_folder(tmp_path / "folder")

    assert (tmp_path / "folder").stat().st_mode & 0o777 == 0o700
    assert forced == [tmp_path, tmp_path]


def test_a_folder_that_cannot_be_made_is_the_disks_trouble(tmp_path):
    (tmp_path / "file").touch()

    with pytest.raises(StoreUnavailable, match="file: File exists; check that path"):
        make_folder(tmp_path / "file")


def test_a_folder_that_is_not_there_is_the_disks_trouble(tmp_path):
    with pytest.raises(StoreUnavailable, match="No such file"):
        write_durably(tmp_path / "nowhere" / "file", b"body")


def test_a_folder_is_forced_to_the_disk_and_its_descriptor_closed(tmp_path):
    before = descriptors()

    sync_folder(tmp_path)

    assert descriptors() == before
    with pytest.raises(NotADirectoryError):
        sync_folder(Path("/dev/null"))


# -- reading ---------------------------------------------------------------------------


def test_a_file_that_the_configuration_names_is_read(tmp_path):
    (tmp_path / "file").write_bytes(b"body")

    assert read_file(tmp_path / "file") == b"body"


@pytest.mark.parametrize("read", [read_file, read_secret])
def test_what_cannot_be_read_is_an_error_of_the_configuration(tmp_path, read):
    """It says which file, so that the operator need not guess."""
    with pytest.raises(ConfigError, match=r"nothing\.pem: No such file"):
        read(tmp_path / "nothing.pem")
    with pytest.raises(ConfigError, match="Is a directory"):
        read(tmp_path)


@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_a_secret_of_its_owner_alone_is_read(tmp_path, mode):
    (tmp_path / "key").write_bytes(b"secret")
    (tmp_path / "key").chmod(mode)

    assert read_secret(tmp_path / "key") == b"secret"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o610, 0o601, 0o644, 0o777])
def test_a_secret_that_others_can_get_at_is_refused(tmp_path, mode):
    """The message says how to mend it, and nothing of what the file holds."""
    path = tmp_path / "key"
    path.write_bytes(b"hunter2")
    path.chmod(mode)

    with pytest.raises(InsecureKeyFile, match=f"mode {mode:04o}; run: chmod 600") as refused:
        read_secret(path)

    assert "hunter2" not in str(refused.value)


# -- holding ---------------------------------------------------------------------------


def test_a_folder_is_held_by_one_process_at_a_time(tmp_path, holder):
    """Two on one folder would undo each other's work."""
    for _ in range(2):
        with pytest.raises(FolderHeld, match="another process runs from this folder"):
            hold(tmp_path)

    assert holder.poll() is None


def test_a_folder_that_is_held_for_a_moment_is_free_after_it(tmp_path):
    """Whatever the moment ended with; in between nobody else holds it."""
    before = descriptors()
    with suppress(ZeroDivisionError), holding(tmp_path):
        with pytest.raises(FolderHeld):
            hold(tmp_path)
        raise ZeroDivisionError

    with holding(tmp_path):
        pass

    assert descriptors() == before


def test_a_refused_hold_keeps_nothing_open(tmp_path, holder):
    before = descriptors()

    with pytest.raises(FolderHeld):
        hold(tmp_path)

    assert descriptors() == before


def test_a_folder_is_free_again_when_its_holder_is_killed(tmp_path, holder):
    """Nothing must be cleaned up by hand after a crash, and the lock file may stay."""
    holder.send_signal(signal.SIGKILL)
    holder.wait(10)

    held = hold(tmp_path)

    assert (tmp_path / "lock").exists()
    os.close(held)


def test_the_hold_does_not_pass_to_processes_that_are_started(tmp_path):
    """A worker that outlives its site must not keep the site from starting again."""
    held = hold(tmp_path)
    with subprocess.Popen(["sleep", "60"], close_fds=False) as child:
        os.close(held)

        os.close(hold(tmp_path))

        child.kill()


def test_two_folders_are_held_by_one_process(tmp_path):
    (tmp_path / "other").mkdir()

    held = [hold(tmp_path), hold(tmp_path / "other")]

    assert len(set(held)) == 2
    for each in held:
        os.close(each)


def test_the_lock_is_for_its_owner_only(tmp_path):
    os.close(hold(tmp_path))

    assert (tmp_path / "lock").stat().st_mode & 0o777 == 0o600


def test_a_folder_that_cannot_be_held_is_an_error_of_the_configuration(tmp_path):
    (tmp_path / "file").touch()

    with pytest.raises(ConfigError, match="File exists"):
        hold(tmp_path / "file")


def test_a_folder_that_is_not_there_is_made_for_its_owner_only(tmp_path):
    os.close(hold(tmp_path / "new" / "state"))

    assert (tmp_path / "new" / "state").stat().st_mode & 0o777 == 0o700


def test_a_new_file_is_whole_or_not_there(tmp_path, monkeypatch):
    """A key of no bytes would keep its owner from making another."""

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("veilsum.files.os.fsync", full)
        with pytest.raises(StoreUnavailable, match="make room"):
            write_new(tmp_path / "alice.key", b"key")

    assert list(tmp_path.iterdir()) == []
    assert write_new(tmp_path / "alice.key", b"key")
    assert stat.S_IMODE((tmp_path / "alice.key").stat().st_mode) == 0o600


def test_a_new_file_is_never_another_one_written_over(tmp_path):
    """Not where it points, either."""
    (tmp_path / "taken").write_bytes(b"old")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")

    written = [write_new(tmp_path / name, b"new") for name in ("taken", "link")]

    assert written == [False, False]
    assert (tmp_path / "taken").read_bytes() == b"old"
    assert not (tmp_path / "nowhere").exists()
    assert len(list(tmp_path.iterdir())) == 2


def test_two_processes_that_write_one_file_leave_one_of_the_two(tmp_path):
    """Each has a draft of its own: neither fails, and no reader finds a mixture."""
    code = """
import sys
from pathlib import Path
from veilsum.files import write_durably
path, body = Path(sys.argv[1]), sys.argv[2].encode() * 3000
for _ in range(150):
    write_durably(path, body)
    assert len(set(path.read_bytes())) == 1, "a mixture"
    assert len(path.read_bytes()) == 3000
"""
    command = [sys.executable, "-c", code, str(tmp_path / "file")]

    writers = [subprocess.Popen([*command, word]) for word in "ab"]

    assert [each.wait(30) for each in writers] == [0, 0]
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


def test_a_draft_that_is_published_or_discarded_leaves_another_writers_alone(tmp_path):
    first, second = Draft(tmp_path / "file"), Draft(tmp_path / "file")
    second.add(b"second")
    first.add(b"first")

    first.publish(tmp_path / "file")
    third = Draft(tmp_path / "file")
    first.discard()
    third.add(b"third")
    second.publish(tmp_path / "file")
    third.publish(tmp_path / "file")

    assert (tmp_path / "file").read_bytes() == b"third"


def test_root_replaces_a_file_for_the_one_who_owns_it(tmp_path, monkeypatch):
    """By `sudo` it would be root's from then on, and its own process could not read it."""
    (tmp_path / "file").write_bytes(b"before")
    given = []
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(os, "fchown", lambda _, user, group: given.append((user, group)))

    write_durably(tmp_path / "file", b"after")

    about = (tmp_path / "file").stat()
    assert given == [(about.st_uid, about.st_gid)]


def test_text_that_is_none_is_said_to_be_where_it_is_none(tmp_path):
    """An editor that writes another encoding is what an operator finds out from this line."""
    (tmp_path / "site.toml").write_bytes(b'name = "caf\xff"')

    with pytest.raises(ConfigError, match=r"site\.toml: .* at byte 11"):
        read_text(tmp_path / "site.toml")
