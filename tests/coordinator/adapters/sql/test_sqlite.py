"""SQLite alone: one file, its owner's, on a disk that keeps its word."""

import os
import stat

import pytest
from sqlalchemy import make_url

from coordinator.adapters.sql import sqlite
from coordinator.adapters.sql.store import open_store
from coordinator.ports import StoredRound
from privacy.errors import ConfigError, StoreUnavailable


def test_the_database_is_its_owners_alone(tmp_path):
    """Also its log and its index, also where the file was there before and looser."""
    path = tmp_path / "state" / "coordinator.db"
    path.parent.mkdir()
    path.touch(mode=0o644)

    store = open_store(f"sqlite:///{path}")
    store.put_document("plan", "1", b"body")

    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    assert set(modes) == {"coordinator.db", "coordinator.db-wal", "coordinator.db-shm"}
    assert set(modes.values()) == {0o600}


def test_each_commit_is_forced_to_the_disk(tmp_path):
    store = open_store(f"sqlite:///{tmp_path}/coordinator.db")

    with store._writing() as connection:
        settings = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        }

    assert settings == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}


def test_a_full_disk_saves_nothing_and_the_store_goes_on_when_there_is_space(tmp_path):
    store = open_store(f"sqlite:///{tmp_path}/coordinator.db")
    store.save_step(1, None, b"one", [])
    with store._reading() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()

    limit(store, pages)
    with pytest.raises(StoreUnavailable, match="full") as refused:
        store.save_step(1, 1, b"x" * 100_000, [b"effect"])
    limit(store, 1_000_000)

    assert "INSERT" not in str(refused.value)
    assert "coordinator.db" in str(refused.value)
    assert store.load_round(1) == StoredRound(b"one", 1)
    assert store.save_step(1, 1, b"x" * 100_000, [b"effect"]) == 2


def limit(store, pages):
    with store._writing() as connection:
        connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")


def test_a_file_that_is_no_database_is_named(tmp_path):
    path = tmp_path / "coordinator.db"
    path.write_bytes(os.urandom(8192))

    with pytest.raises(ConfigError, match=r"is damaged.*not a database"):
        open_store(f"sqlite:///{path}")


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").touch()

    with pytest.raises(StoreUnavailable, match="file"):
        open_store(f"sqlite:///{tmp_path}/file/coordinator.db")


def test_a_file_needs_no_password(tmp_path):
    with pytest.raises(ConfigError, match="database_password: a file needs none"):
        open_store(f"sqlite:///{tmp_path}/coordinator.db", tmp_path / "password")


# -- where the file is ----------------------------------------------------------------


def mounts(tmp_path, *more):
    """Write a list of mounts as Linux shows it: the root, and `more`, as (point, kind, options)."""
    rows = [("/", "ext4", "rw"), *more]
    path = tmp_path / "mountinfo"
    path.write_text(
        "".join(
            f"{number} 1 8:{number} / {str(point).replace(' ', chr(92) + '040')} rw,relatime "
            f"shared:{number} - {kind} device {options}\n"
            for number, (point, kind, options) in enumerate(rows)
        )
    )
    return path


def make(folder, mounts):
    sqlite.make_file(make_url(f"sqlite:///{folder}/coordinator.db"), mounts=mounts)


@pytest.mark.parametrize("kind", ["nfs", "nfs4", "cifs", "smb3", "9p", "fuse.sshfs", "fuse"])
def test_a_file_on_a_network_is_refused_and_postgresql_named(tmp_path, kind):
    """Locks and syncs there are the server's word; two hosts would each hold the write lock."""
    folder = tmp_path / "a share" / "state"

    with pytest.raises(ConfigError, match=rf"on {kind}, mounted at .*a share.*postgresql://"):
        make(folder, mounts(tmp_path, (tmp_path / "a share", kind, "rw,vers=4.2")))

    assert not (folder / "coordinator.db").exists()


def test_a_disk_that_is_mounted_to_forget_is_refused(tmp_path):
    """Overlays can be told to ignore every sync; all else of them is a disk like another."""
    folder = tmp_path / "state"

    with pytest.raises(ConfigError, match="mounted volatile"):
        make(folder, mounts(tmp_path, (folder, "overlay", "rw,upperdir=/u,volatile")))

    make(folder, mounts(tmp_path, (folder, "overlay", "rw,upperdir=/volatile")))


def test_the_deepest_mount_counts_and_of_two_at_one_place_the_last(tmp_path):
    share, folder = tmp_path / "share", tmp_path / "share" / "disk"

    make(folder, mounts(tmp_path, (share, "nfs4", "rw"), (folder, "xfs", "rw")))
    make(folder, mounts(tmp_path, (folder, "nfs4", "rw"), (folder, "xfs", "rw")))
    make(folder, mounts(tmp_path, (tmp_path / "shar", "nfs4", "rw")))
    with pytest.raises(ConfigError, match="nfs4"):
        make(folder, mounts(tmp_path, (folder, "xfs", "rw"), (folder, "nfs4", "rw")))


def test_a_link_to_a_network_is_followed(tmp_path):
    share = tmp_path / "share"
    share.mkdir()
    (tmp_path / "state").symlink_to(share)

    with pytest.raises(ConfigError, match="nfs4"):
        make(tmp_path / "state", mounts(tmp_path, (share, "nfs4", "rw")))


def test_without_a_list_of_mounts_nothing_is_refused(tmp_path):
    make(tmp_path / "state", tmp_path / "absent")

    assert (tmp_path / "state" / "coordinator.db").exists()
