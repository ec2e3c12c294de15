"""Files that are whole after a crash, secrets that only their owner reads, folders held once."""

import errno
import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from privacy.errors import ConfigError, FolderHeld, InsecureKeyFile, StoreUnavailable

_ADVICE: Final = {
    errno.ENOSPC: "make room on this disk",
    errno.EDQUOT: "make room on this disk, or raise this user's quota",
    errno.EFBIG: "raise this process's limit on the size of a file",
    errno.EACCES: "let this process write there",
    errno.EPERM: "let this process write there",
    errno.EROFS: "let this process write there",
    errno.EIO: "check this disk",
}

_TAKEN: Final = (errno.EWOULDBLOCK, errno.ENOENT, errno.ENOLCK)
"""Another process writes it, has published it by now, or a folder where nothing can be held."""


class Draft:
    """A file on its way, written in parts; it has no name that counts until it is published.

    Mode 0600; the owner is that of the file that it replaces. What a crash leaves of it is a
    hidden file that ends in `.draft`, which the next draft of that name takes over. Whoever else
    writes the same file meanwhile, in this process or another one, has a draft of its own.

    Raises:
        StoreUnavailable: the disk refuses; whichever method it is.
    """

    def __init__(self, path: Path) -> None:
        self._path = path.with_name(f".{path.name}.draft")
        with disk_errors(self._path):
            file = _taken(self._path)
            if file is None:
                self._path = path.with_name(f".{path.name}.{secrets.token_hex(8)}.draft")
                file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            self._out = os.fdopen(file, "wb")
        self._named = False

    def add(self, body: bytes) -> None:
        """Write the next bytes."""
        with disk_errors(self._path):
            self._out.write(body)

    def publish(self, path: Path) -> None:
        """Make it the file of that name, in the same folder: whole, after a crash too."""
        with disk_errors(path):
            self._out.flush()
            _keep_owner(self._out.fileno(), path)
            os.fsync(self._out.fileno())
            # Still open: the draft's name is this one's until it has the other.
            self._path.replace(path)
            self._named = True
            self._out.close()
            sync_folder(path.parent)

    def publish_new(self, path: Path) -> bool:
        """Make it the file of that name, unless there is one; return whether there was none."""
        with disk_errors(path):
            self._out.flush()
            os.fsync(self._out.fileno())
            try:
                path.hardlink_to(self._path)
            except FileExistsError:
                return False
            sync_folder(path.parent)
        return True

    def discard(self) -> None:
        """Delete it, unless it is published."""
        if self._out.closed:
            return
        if not self._named:
            with suppress(OSError):
                self._path.unlink(missing_ok=True)
        with suppress(OSError):
            # Closing writes what is left, and a full disk refuses that.
            self._out.close()


def _taken(path: Path) -> int | None:
    """Return the draft of that name, emptied, for this writer alone; None if another writes it."""
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    except PermissionError:
        return None  # what another user's crash has left, perhaps
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # What was published since it was opened has another name by now, and is nobody's draft.
        if os.path.samestat(os.fstat(file), os.lstat(path)):
            os.ftruncate(file, 0)
            return file
    except OSError as error:
        if error.errno not in _TAKEN:
            os.close(file)
            raise
    os.close(file)
    return None


def _keep_owner(file: int, path: Path) -> None:
    """Give a draft to whoever owns the file that it replaces: root may write for anybody."""
    if os.geteuid() == 0 and path.exists():
        about = path.stat()
        os.fchown(file, about.st_uid, about.st_gid)


def write_durably(path: Path, body: bytes) -> None:
    """Write a file that is there whole, after a crash too, or not at all; mode 0600.

    Raises:
        StoreUnavailable: the disk refuses.
    """
    draft = Draft(path)
    try:
        draft.add(body)
        draft.publish(path)
    finally:
        draft.discard()


def write_new(path: Path, body: bytes) -> bool:
    """Write a file as `write_durably` does, unless that name is taken; return whether it was not.

    Raises:
        StoreUnavailable: the disk refuses.
    """
    if os.path.lexists(path):
        return False
    draft = Draft(path)
    try:
        draft.add(body)
        return draft.publish_new(path)
    finally:
        draft.discard()


def sweep_drafts(folder: Path, spared: str = "") -> None:
    """Delete the drafts that a crash has left in a folder; nobody may be writing the others.

    Args:
        spared: what the names begin with of the files whose drafts stay; none if "".

    Raises:
        StoreUnavailable: the disk refuses.
    """
    with disk_errors(folder):
        for path in folder.glob(".*.draft"):
            if not spared or not path.name.startswith(f".{spared}"):
                path.unlink(missing_ok=True)


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn what the disk refuses into `StoreUnavailable`, with what must be done about it."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or type(error).__name__
        advice = _ADVICE.get(error.errno or 0, "check that path")
        raise StoreUnavailable(f"{path}: {reason}; {advice}") from None


def make_folder(folder: Path) -> None:
    """Make a folder that only its owner reads, unless it is there; it is there after a crash too.

    Raises:
        StoreUnavailable: the disk refuses.
    """
    with disk_errors(folder):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        sync_folder(folder.parent)


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


def read_text(path: Path) -> str:
    """Return the text of a file that somebody has written by hand.

    Raises:
        ConfigError: it cannot be read, or is not text in UTF-8; the message says where.
    """
    try:
        return read_file(path).decode()
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: {error.reason} at byte {error.start}; write UTF-8") from None


def read_at_most(path: Path, most: int) -> bytes:
    """Return the bytes of a file that somebody else has made; a larger one is refused unread.

    Raises:
        ConfigError: it cannot be read, or is larger than `most` bytes.
    """
    try:
        size = path.stat().st_size
        if size <= most:
            with path.open("rb") as file:
                body = file.read(most + 1)  # a device has no size, and no end
            size = max(size, len(body))
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    if size > most:
        raise ConfigError(f"{path}: {size} bytes or more, at most {most} are read")
    return body


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
        FolderHeld: another process runs from it; two would undo each other's work.
        ConfigError: it cannot be written.
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
        raise FolderHeld(f"{folder}: another process runs from this folder; stop it") from None
    return held


@contextmanager
def holding(folder: Path) -> Iterator[None]:
    """Hold a folder until the block ends, for what is short; raises as `hold`."""
    held = hold(folder)
    try:
        yield
    finally:
        os.close(held)
