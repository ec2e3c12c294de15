"""Which releases of Veilsum understand each other: one minor release apart, and no more."""

import re
from typing import Final

from .errors import ReleaseMismatch

MOST_APART: Final = 1
"""Minor releases between two that talk to each other, so that an upgrade is one step at a time."""

_RELEASE: Final = re.compile(r"([0-9]{1,4})\.([0-9]{1,4})(?:[.a-z+-][0-9A-Za-z.+-]{0,40})?")


def check_together(ours: str, we: str, theirs: str, they: str) -> None:
    """Return if two releases of Veilsum may work together.

    Args:
        ours: the release that runs here, such as 0.1.0.
        we: what runs here, such as "the coordinator".
        theirs: the release that the other side says it runs; empty if it says none.
        they: what runs there.

    Raises:
        ReleaseMismatch: they may not; it names both, and who upgrades.
    """
    here, there = _minor(ours), _minor(theirs)
    assert here is not None, "our own release has two numbers at least"
    if there is None:
        said = f"says {theirs[:40]!r}" if theirs else "does not say which release it runs"
        raise ReleaseMismatch(
            f"{we} runs Veilsum {ours}, {they} {said}; the operator of {they} installs {ours}"
        )
    if here[0] != there[0] or abs(here[1] - there[1]) > MOST_APART:
        older, newest = (we, theirs) if here < there else (they, ours)
        raise ReleaseMismatch(
            f"{we} runs Veilsum {ours}, {they} {theirs}, and at most {MOST_APART} minor release "
            f"may lie between them; the operator of {older} upgrades to {newest}"
        )


def _minor(release: str) -> tuple[int, int] | None:
    found = _RELEASE.fullmatch(release)
    return None if found is None else (int(found[1]), int(found[2]))
