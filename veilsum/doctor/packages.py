"""Which packages are installed, beside those that this release was tested with."""

import re
from collections.abc import Mapping
from importlib.metadata import distributions, requires
from pathlib import Path
from typing import Final

from veilsum.release import RELEASE

from .finding import SITE, Finding, problem, warning

_LOCK: Final = "lock.txt"
_LINE: Final = re.compile(r"^([A-Za-z0-9._-]+)==([^ ;\\]+)", re.MULTILINE)
_NAME: Final = re.compile(r"^[A-Za-z0-9._-]+")
_MOST_NAMED: Final = 6
_HERE: Final = Path(__file__).resolve().parent


def check_packages(
    locked: Mapping[str, str] | None = None, installed: Mapping[str, str] | None = None
) -> Finding:
    """Return whether the packages that Veilsum uses are those of its lock file."""
    locked, installed = locked or locked_versions(), installed or versions()
    if not locked:
        fix = "install from the release's own files, with --require-hashes"
        return warning("packages", f"veilsum {RELEASE}", "no lock file is here", fix, SITE)
    missing = [name for name in needed() if name not in installed]
    if missing:
        fix = "install Veilsum again: pip install --require-hashes -r requirements/…"
        return problem("packages", _LOCK, f"missing: {', '.join(missing)}", fix, SITE)
    others = [
        f"{name} {installed[name]} (lock: {wanted})"
        for name, wanted in sorted(locked.items())
        if name in installed and installed[name].partition("+")[0] != wanted.partition("+")[0]
    ]
    if others:
        shown = ", ".join(others[:_MOST_NAMED])
        more = f" and {len(others) - _MOST_NAMED} more" if len(others) > _MOST_NAMED else ""
        fix = "install what was tested: pip install --require-hashes -r requirements/…"
        return warning("packages", _LOCK, f"other versions: {shown}{more}", fix, SITE)
    count = sum(name in installed for name in locked)
    return Finding("packages", _LOCK, f"veilsum {RELEASE}; {count} packages, all as locked")


def versions() -> dict[str, str]:
    """Return the version of every package installed here, by its name in lower case."""
    return {_plain(each.metadata["Name"]): each.version for each in distributions()}


def needed() -> list[str]:
    """Return what Veilsum needs in whatever role; what only an extra brings is not among it."""
    lines = [line for line in requires("veilsum") or () if "extra ==" not in line]
    return [_plain(found[0]) for line in lines if (found := _NAME.match(line))]


def locked_versions() -> dict[str, str]:
    """Return what the lock file names; nothing if there is none."""
    for folder in (_HERE, _HERE.parents[1] / "requirements"):
        if (folder / _LOCK).is_file():
            text = (folder / _LOCK).read_text()
            return {_plain(name): pinned for name, pinned in _LINE.findall(text)}
    return {}


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
