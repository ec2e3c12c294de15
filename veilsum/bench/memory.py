"""The most memory each kind of process has had, read from outside while they run.

A kind is a named process's own, or that of its descendants at some depth: a site's agent,
its worker below it, the processes that encrypt for it below that one.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

Kinds = Sequence[str]
"""Names of the kinds at depth 0, 1, …; what lies deeper counts as the last."""

_MIB = 1024
_PEAK = re.compile(r"^VmHWM:\s+(\d+) kB$", re.MULTILINE)
_PARENT = re.compile(r"^PPid:\s+(\d+)$", re.MULTILINE)
# Python's own helper beside every spawned process; it holds nothing.
_TRACKER = b"multiprocessing.resource_tracker"


@dataclass
class Peaks:
    """Peaks in MiB by kind, over all looks; the kernel keeps each process's between them."""

    mib: dict[str, float] = field(default_factory=dict)

    def look(self, roots: Mapping[int, Kinds]) -> None:
        """Note the peaks of these processes and of all below them."""
        children = _children()
        for root, kinds in roots.items():
            for depth, process in _below(root, children):
                kind = kinds[min(depth, len(kinds) - 1)]
                self.mib[kind] = max(self.mib.get(kind, 0.0), peak_of(process))


def peak_of(process: int) -> float:
    """Return the most memory a process has had resident, in MiB; 0 if it is gone."""
    found = _PEAK.search(_read(process, "status").decode())
    return int(found[1]) / _MIB if found else 0.0


def _children() -> Mapping[int, list[int]]:
    children: dict[int, list[int]] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        found = _PARENT.search(_read(int(folder.name), "status").decode())
        if found:
            children.setdefault(int(found[1]), []).append(int(folder.name))
    return children


def _below(
    root: int, children: Mapping[int, list[int]], depth: int = 0
) -> Iterator[tuple[int, int]]:
    yield depth, root
    command = _read(root, "cmdline")
    for child in children.get(root, ()):
        theirs = _read(child, "cmdline")
        # Between fork and exec a child still has its parent's memory, and its command; in
        # the middle of exec, and once it has ended, it has none.
        if theirs not in (b"", command) and _TRACKER not in theirs:
            yield from _below(child, children, depth + 1)


def _read(process: int, name: str) -> bytes:
    try:
        return Path("/proc", str(process), name).read_bytes()
    except OSError:
        return b""
