"""What was seen of a ledger before: one that differs was changed, one that is shorter may be old.

A site can sign a ledger without its newest rows again. Nothing inside of it tells; what tells
is a tree head that somebody else has kept: a peer in its own ledger, the site itself in the
header of a contribution that others hold, or an earlier bundle.

A federation goes on while bundles are made, so that others may have seen more than a bundle
that was made before theirs. That a newer bundle ends there, too, is what tells a cut one.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from privacy.ledger import Checkpoint, RowType
from privacy.records import Header

from .bundle import Bundle
from .finding import Finding, Outcome
from .papers import Papers
from .replay import Replayed


@dataclass(frozen=True, slots=True)
class Seen:
    """A tree head of one participant's ledger, who says so where, and when that was exported."""

    participant: str
    checkpoint: Checkpoint
    by: str
    made: str


def seen_in(bundle: Bundle, replayed: Replayed, papers: Papers) -> Iterator[Seen]:
    """Yield every tree head that a checked bundle holds: its own, and of whom it witnessed.

    Its own are those of every size, the end's among them: two forks may end at other sizes.
    """
    me, made = bundle.head.participant, bundle.head.made
    for size, root in replayed.roots.items():
        if size:
            yield Seen(me, Checkpoint(size, root), f"a bundle of {me}", made)
    for at, row in replayed.rows:
        if row.type is RowType.WITNESS and row.witness is not None:
            seen, by = row.witness, f"row {row.seq} of {me}, entry {at}"
            yield Seen(seen.participant, Checkpoint(seen.size, seen.root), by, made)
    for name, _, header in papers.headers():
        yield Seen(header.participant, header.ledger, _header(header, name), made)


def check_own(bundle: Bundle, replayed: Replayed, papers: Papers) -> Iterator[Finding]:
    """Yield where a bundle contradicts itself: a header in it has seen another, or a longer one."""
    about = _of(bundle, seen_in(bundle, replayed, papers))
    yield from _differing(replayed, about)
    for each in about:
        if each.checkpoint.size not in replayed.roots:
            yield Finding(
                Outcome.TAMPERED,
                0,
                f"the ledger had {each.checkpoint.size} rows when {each.by} was made, which is in "
                f"this bundle; it has {replayed.state.seq} now",
            )


def check_seen(bundle: Bundle, replayed: Replayed, seen: Iterable[Seen]) -> Iterator[Finding]:
    """Yield where the ledger of a bundle is not the one that others have seen, or not all of it."""
    about = _of(bundle, seen)
    yield from _differing(replayed, about)
    ahead = [each for each in about if each.checkpoint.size not in replayed.roots]
    if ahead:
        yield _ahead(replayed, max(ahead, key=lambda each: each.checkpoint.size))


def _of(bundle: Bundle, seen: Iterable[Seen]) -> list[Seen]:
    return [each for each in seen if each.participant == bundle.head.participant]


def _differing(replayed: Replayed, about: list[Seen]) -> Iterator[Finding]:
    """Yield the first tree head, of each that says so, that is not in the ledger."""
    told = set()
    for each in sorted(about, key=lambda each: each.checkpoint.size):
        size, root = each.checkpoint.size, each.checkpoint.root
        if replayed.roots.get(size, root) != root and each.by not in told:
            told.add(each.by)
            yield Finding(
                Outcome.TAMPERED,
                _entry_of(replayed, size),
                f"the ledger had {size} rows under root {root[:16]}… when {each.by} was made; "
                "others now",
            )


def _ahead(replayed: Replayed, most: Seen) -> Finding:
    return Finding(
        Outcome.INCOMPLETE,
        0,
        f"other evidence has seen {most.checkpoint.size} rows ({most.by}); this bundle ends at "
        f"{replayed.state.seq}: ask for an export made after {most.made}. One that still ends "
        f"below {most.checkpoint.size} rows was cut",
    )


def _entry_of(replayed: Replayed, size: int) -> int:
    return next((at for at, row in replayed.rows if row.seq == size), 0)


def _header(header: Header, name: str) -> str:
    return f"contribution {name[:16]}… of {header.participant} to round {header.round}"
