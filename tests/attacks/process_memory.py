"""What a process holds: a search through its writable memory, and through files."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.missing_tools import missing

BLOCK = 1 << 20
OVERLAP = 1 << 10
"""Bytes carried from one block into the next: more than any piece is long."""

Pieces = Mapping[str, tuple[bytes, ...]]
"""By the name of a secret, pieces of it: one that is found is enough."""


def pieces(form: bytes, length: int, count: int = 6) -> tuple[bytes, ...]:
    """Return pieces from all over `form`, so that a part of it is found as well."""
    if len(form) <= length:
        return (form,)
    step = (len(form) - length) // count
    return tuple(form[at : at + length] for at in range(step // 2, len(form) - length, step))[
        :count
    ]


def found_in_memory(pid: int, wanted: Pieces) -> set[str]:
    """Return the names of what lies in the writable memory of a process."""
    return _found(_memory(pid), wanted)


def found_in_files(folder: Path, wanted: Pieces) -> set[str]:
    """Return the names of what lies in a file below a folder, databases and logs included."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return _found((path.read_bytes() for path in files), wanted)


def _found(contents: Iterator[bytes], wanted: Pieces) -> set[str]:
    found: set[str] = set()
    for content in contents:
        left = {name: parts for name, parts in wanted.items() if name not in found}
        found |= {name for name, parts in left.items() if any(part in content for part in parts)}
    return found


def _memory(pid: int) -> Iterator[bytes]:
    try:
        maps = Path(f"/proc/{pid}/maps").read_text()
        memory = os.open(f"/proc/{pid}/mem", os.O_RDONLY)
    except PermissionError:
        missing("the memory of another process cannot be read here (ptrace is not permitted)")
        raise
    try:
        for line in maps.splitlines():
            place, rights, *_ = line.split()
            if rights.startswith("rw"):
                first, last = (int(edge, 16) for edge in place.split("-"))
                yield from _blocks(memory, first, last)
    finally:
        os.close(memory)


def _blocks(memory: int, first: int, last: int) -> Iterator[bytes]:
    tail = b""
    for at in range(first, last, BLOCK):
        try:
            block = os.pread(memory, min(BLOCK, last - at), at)
        except OSError:
            return  # pages of a device
        if block.count(0) < len(block):
            yield tail + block
        tail = block[-OVERLAP:]
