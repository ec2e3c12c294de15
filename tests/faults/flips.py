"""One flipped bit in what a process keeps: found and named, or without any consequence.

A folder is made once, as a process left it. Each flip is made in a copy of its own, from which
a new process goes on; what comes of it is compared with what comes of the copy that is whole.
"""

import random
import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from privacy.errors import VeilsumError


@dataclass(frozen=True)
class Flip:
    """One bit of one file."""

    file: str
    byte: int
    bit: int

    def make(self, folder: Path) -> None:
        """Flip it in a folder."""
        path = folder / self.file
        body = bytearray(path.read_bytes())
        body[self.byte] ^= 1 << self.bit
        path.write_bytes(body)


@dataclass
class Tally:
    """What became of flips: named errors, no consequence, or what must not be."""

    detected: Counter[str] = field(default_factory=Counter)
    harmless: Counter[str] = field(default_factory=Counter)
    wrong: list[tuple[Flip, str]] = field(default_factory=list)

    @property
    def count(self) -> int:
        """How many flips there were."""
        return self.detected.total() + self.harmless.total() + len(self.wrong)


def drawn(folder: Path, count: int, seed: int, patterns: Sequence[str]) -> list[Flip]:
    """Return flips drawn evenly over the patterns, and over the bytes of each one's files."""
    choose = random.Random(seed)
    flips = []
    for index in range(count):
        pattern = patterns[index % len(patterns)]
        files = [each for each in sorted(folder.glob(pattern)) if each.is_file()]
        sizes = [each.stat().st_size for each in files]
        (path,) = choose.choices(files, sizes)
        byte = choose.randrange(path.stat().st_size)
        flips.append(Flip(str(path.relative_to(folder)), byte, choose.randrange(8)))
    return flips


def judge(
    folder: Path, flips: Sequence[Flip], go_on: Callable[[Path], object], scratch: Path
) -> Tally:
    """Return what becomes of each flip.

    Args:
        go_on: lets a process go on from a folder, and returns all that others can see of what
            it did; raises a `VeilsumError` where it refuses, which must name what it refuses.
    """
    tally, expected = Tally(), go_on(_copied(folder, scratch))
    for flip in flips:
        copy = _copied(folder, scratch)
        flip.make(copy)
        kind = Path(flip.file).name if "." in flip.file else flip.file.split("/")[0]
        try:
            seen = go_on(copy)
        except VeilsumError as error:
            tally.detected[f"{kind}: {error.code}"] += 1
            if not str(error):
                tally.wrong.append((flip, f"{error.code} says nothing"))
        except Exception as error:
            tally.wrong.append((flip, f"{type(error).__name__}: {error}"[:300]))
        else:
            if seen == expected:
                tally.harmless[kind] += 1
            else:
                tally.wrong.append((flip, "another result"))
    return tally


def _copied(folder: Path, scratch: Path) -> Path:
    copy = scratch / "copy"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(folder, copy)
    return copy
