"""Objects as files in a local folder: whole or absent, whatever is killed when.

An object is written beside its final place under a name that no object can have,
forced to the disk, then linked to its name. A link, not a rename, because a
rename replaces what is there and an object is written once; only what a disk has
damaged is replaced. Then the folder is
forced to the disk, and every folder above it that this process has not seen
there yet: without that, a power cut may take the name away from the bytes.
"""

import errno
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from uuid import uuid4

from coordinator.ports import check_object_name
from privacy.errors import ConflictingContribution, NotYet, StoreUnavailable

_PART: Final = ".part-"
_ABSENT: Final = (FileNotFoundError, NotADirectoryError)

_ADVICE: Final = {
    errno.ENOSPC: "free space on its disk",
    errno.EDQUOT: "raise this user's quota on its disk",
    errno.EIO: "check its disk before going on",
    errno.EROFS: "let this process write there",
    errno.EACCES: "let this process read and write there",
    errno.EPERM: "let this process write there, on a file system that has hard links",
    errno.EMLINK: "choose another file system",
    errno.EMFILE: "raise this process's limit on open files",
}


def _go_on(_: str) -> None:
    """Pass a failpoint that nobody has asked for."""


@dataclass
class LocalObjects:
    """An `ObjectStore` in one folder, readable by its owner only.

    `step` is called with a failpoint's name at each durable step.
    """

    folder: Path
    step: Callable[[str], None] = _go_on
    _durable: set[Path] = field(default_factory=set)

    @property
    def address(self) -> str:
        """Return the folder's path."""
        return str(self.folder)

    def put(self, name: str, data: bytes) -> None:
        """Keep `data` under `name`, durably; see `ObjectStore`."""
        path = self._path(name)
        with _door(path):
            make_folder(path.parent, self._durable)
            if (path.exists() or not self._write(path, data)) and path.read_bytes() != data:
                raise ConflictingContribution(
                    f"{name} is kept with other bytes; send what was sent first"
                )
            # also after a retry: the link may be younger than the last force to the disk
            self.step("objects.before_folder_sync")
            _sync(path.parent)
            self.step("objects.after_folder_sync")

    def mend(self, name: str, data: bytes) -> None:
        """Keep `data` in the place of what is damaged, durably; see `ObjectStore`."""
        path = self._path(name)
        with _door(path):
            make_folder(path.parent, self._durable)
            self._write(path, data, name_it=os.replace)
            self.step("objects.before_folder_sync")
            _sync(path.parent)
            self.step("objects.after_folder_sync")

    def get(self, name: str) -> bytes:
        """Return the bytes kept under `name`; see `ObjectStore`."""
        path = self._path(name)
        with _door(path):
            try:
                return path.read_bytes()
            except (*_ABSENT, IsADirectoryError):
                raise NotYet(f"there is no {name} yet") from None

    def exists(self, name: str) -> bool:
        """Return whether bytes are kept under `name`."""
        path = self._path(name)
        with _door(path):
            return path.is_file()

    def names(self, prefix: str = "") -> list[str]:
        """Return the names below `prefix`, sorted."""
        start = self._path(prefix) if prefix else self.folder
        with _door(start):
            if start.is_file():
                return [prefix]
            return sorted(
                str(path.relative_to(self.folder))
                for path in _files(start)
                if not path.name.startswith(".")
            )

    def lengths(self, prefix: str) -> dict[str, int]:
        """Return how many bytes are kept under each name below `prefix`."""
        found = {}
        for name in self.names(prefix):
            with _door(self._path(name)), suppress(*_ABSENT):  # deleted meanwhile
                found[name] = self._path(name).stat().st_size
        return found

    def delete_prefix(self, prefix: str) -> None:
        """Forget, durably, all that is kept below `prefix`."""
        path = self._path(prefix)
        with _door(path):
            for known in self._durable.copy():
                if known.is_relative_to(path):
                    self._durable.discard(known)
            self.step("objects.before_delete")
            _remove(path)
            self.step("objects.after_delete")
            _sync(next(each for each in path.parents if each.is_dir()))

    def clear_parts(self, prefix: str = "") -> None:
        """Remove what was left half written below `prefix`, where nobody is writing now."""
        start = self._path(prefix) if prefix else self.folder
        with _door(start):
            for path in _files(start):
                if path.name.startswith(_PART):
                    path.unlink(missing_ok=True)

    def _write(
        self, path: Path, data: bytes, *, name_it: Callable[[Path, Path], None] = os.link
    ) -> bool:
        """Write an object and return True, or False if another thread was first."""
        part = path.with_name(f"{_PART}{uuid4().hex}")
        try:
            self.step("objects.before_write")
            with os.fdopen(
                os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb"
            ) as file:
                file.write(data)
                file.flush()
                self.step("objects.before_sync")
                os.fsync(file.fileno())
            self.step("objects.before_link")
            name_it(part, path)
            self.step("objects.after_link")
            return True
        except FileExistsError:
            return False
        finally:
            part.unlink(missing_ok=True)

    def _path(self, name: str) -> Path:
        return self.folder / check_object_name(name)


def open_objects(folder: Path, *, step: Callable[[str], None] = _go_on) -> LocalObjects:
    """Open, or make, the store in `folder`; what a crash left half written is removed.

    Raises:
        StoreUnavailable: the folder cannot be made, read or written.
    """
    folder = folder.absolute()
    durable: set[Path] = set()
    with _door(folder):
        make_folder(folder, durable)
    objects = LocalObjects(folder, step, durable)
    objects.clear_parts()
    return objects


def make_folder(folder: Path, durable: set[Path]) -> None:
    """Make a folder and those above it, for its owner only, and force them to the disk.

    Args:
        durable: folders that are known to be on the disk; the ones made are added.
            One that exists and is not in it may have been made just before a crash.

    Raises:
        OSError: it cannot be made.
    """
    if folder in durable and folder.is_dir():
        return
    if folder != folder.parent and not _is_foreign(folder.parent):
        make_folder(folder.parent, durable)
    folder.mkdir(mode=0o700, exist_ok=True)
    if os.access(folder.parent, os.R_OK):
        _sync(folder.parent)
    durable.add(folder)


def _is_foreign(folder: Path) -> bool:
    # A folder that we may not change was not made by us: it is as durable as it will be.
    return folder.exists() and not os.access(folder, os.W_OK)


def _files(folder: Path) -> Iterator[Path]:
    for parent, _, names in os.walk(folder, onerror=_raise_unless_absent):
        yield from (Path(parent, name) for name in names)


def _raise_unless_absent(error: OSError) -> None:
    if not isinstance(error, _ABSENT):
        raise error


def _remove(path: Path) -> None:
    with suppress(*_ABSENT):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def _door(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or type(error).__name__
        advice = _ADVICE.get(error.errno or 0, "check that path")
        raise StoreUnavailable(f"{path}: {reason}; {advice}; it is retried") from error
