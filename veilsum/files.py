"""Files that are whole after a crash, secrets that only their owner reads, folders held once."""

import fcntl
import os
from pathlib import Path

from privacy.errors import ConfigError, InsecureKeyFile, StoreUnavailable


def write_durably(path: Path, body: bytes) -> None:
    """Write a file that is there whole, after a crash too, or not at all; mode 0600.

    Raises:
        StoreUnavailable: the disk refuses.
    """
    draft = path.with_name(f".{path.name}.draft")
    try:
        file = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(file, "wb") as out:
            out.write(body)
            out.flush()
            os.fsync(out.fileno())
        draft.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        raise StoreUnavailable(f"{path}: {error.strerror}; make room on this disk") from None


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def read_file(path: Path) -> bytes:
    """Return the bytes of a file that the configuration names.

    Raises:
        ConfigError: it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None


def read_secret(path: Path) -> bytes:
    """Return the bytes of a file that only its owner can read.

    Raises:
        InsecureKeyFile: others than its owner can read it.
        ConfigError: it cannot be read.
    """
    body = read_file(path)
    mode = path.stat().st_mode & 0o777
    if mode & 0o077:
        raise InsecureKeyFile(f"{path} has mode {mode:04o}; run: chmod 600 {path}")
    return body


def hold(folder: Path) -> int:
    """Make a state folder, if need be, and hold it until this process ends.

    Raises:
        ConfigError: another process runs from it; two would undo each other's work. Or it
            cannot be written.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        held = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise ConfigError(f"{folder}: {error.strerror}") from None
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(held)
        raise ConfigError(f"{folder}: another process runs from this folder; stop it") from None
    return held
