"""Look in the background whether what is stored is still what was stored, and what is left over.

At the start every object of a live round is looked for by name; then, at a rate that leaves the
disk to others, each is read and hashed, every hour anew. What is damaged is named in the log with
who acts, and stays in the report until it is whole again. Two things are mended here, because they
can only be mended in one way: a chunk that its site has not committed is asked for again, and a
chunk of a sum is added up again, as long as contributions are there: while a round that is done
may be disputed, too. Neither is deleted before: the whole one takes the damaged one's
place, and no other bytes have its digest, so that it harms nobody if a process that has stopped
leading goes on here. All else is for the operator's backup; nothing is guessed, and a damaged
object is never used, because whoever reads one checks its digest.
"""

import threading
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from typing import Final

import structlog

from coordinator import object_names as names
from coordinator.archive import Archive
from coordinator.fold.addition import ChunkTask, sum_chunk
from coordinator.intake.contributions import Contributions
from coordinator.ports import ObjectStore, Store
from coordinator.rounds.standing import Rounds
from coordinator.rounds.state import Phase, Round
from privacy import canonical
from privacy.errors import MalformedMessage, NotYet, RootMismatch, Unavailable
from privacy.records import Cohort

from .kept import Inventory, Kept, Kind
from .retention import Retention

log = structlog.get_logger()

PASS_SECONDS: Final = 3600.0
"""From the end of one look at everything to the beginning of the next."""

SLICE_BYTES: Final = 8 << 20
"""Read in one go; with the pause after it at most 16 MiB a second."""

SLICE_SECONDS: Final = 0.5

_ASKED: Final = "check the disk; the site is asked for it again, and nobody need put it back"
_BY_HAND: Final = (
    "put back the same object from a backup; what is damaged is never used, so a round that "
    "needs it ends without a result, and no demand for it is answered"
)


_ONCE_WHOLE: Final = (
    "put back the contributions that are damaged, each is named for itself, or this object, from a "
    "backup; the sum is added up again from whole contributions at the next look, and until then "
    "no demand for it is answered"
)


@dataclass(frozen=True)
class Damage:
    """An object that is not what was stored: which, whose, and what is wrong with it."""

    round: int
    kind: Kind
    whose: str
    name: str
    what: str


@dataclass(frozen=True)
class Report:
    """What was found so far: in all, and what is damaged now."""

    passes: int
    objects: int
    size: int
    mended: int
    left_over: int
    damaged: tuple[Damage, ...]


@dataclass
class Scrub:
    """Looks at everything that is stored, slice by slice; `report` says what it found.

    Attributes:
        stop: says whether the process ends, so that nothing more must begin.
    """

    rounds: Rounds
    archive: Archive
    store: Store
    objects: ObjectStore
    contributions: Contributions
    retention: Retention
    stop: Callable[[], bool]
    _slices: Generator[int, None, None] | None = field(default=None, repr=False)
    _damaged: dict[str, Damage] = field(default_factory=dict, repr=False)
    _found_now: set[str] = field(default_factory=set, repr=False)
    _counts: dict[str, int] = field(default_factory=dict, repr=False)
    _failed: bool = False

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._inventory = Inventory(self.store, self.archive)

    def report(self) -> Report:
        """Return what was found so far; waits for nothing."""
        counts = self._counts
        return Report(
            passes=counts.get("passes", 0),
            objects=counts.get("objects", 0),
            size=counts.get("size", 0),
            mended=counts.get("mended", 0),
            left_over=counts.get("left_over", 0),
            damaged=tuple(damage for _, damage in sorted(self._damaged.items())),
        )

    def is_damaged(self) -> bool:
        """Return whether something is damaged, or what says how it must be; waits for nothing."""
        return self._failed or bool(self._damaged)

    def go_on(self) -> float:
        """Look at the next few MiB; return the seconds to wait before the next call.

        Raises:
            StoreUnavailable: the store does not answer; the look begins anew.
        """
        with self._lock:
            slices = self._slices = self._slices or self._look()
            left = SLICE_BYTES
            try:
                for size in slices:
                    left -= size
                    if left <= 0 or self.stop():
                        return SLICE_SECONDS
            except BaseException as error:
                self._slices = None
                # Nothing is wrong with what does not answer now.
                self._failed = not isinstance(error, Unavailable)
                raise
            self._slices, self._failed = None, False
            return PASS_SECONDS

    def look(self) -> Report:
        """Look at everything, now; return what was found."""
        while self.go_on() < PASS_SECONDS and not self.stop():
            pass
        return self.report()

    # -- one look ------------------------------------------------------------------

    def _look(self) -> Generator[int, None, None]:
        self._found_now.clear()
        yield from self._glance()
        # Rounds that still need what they have come first.
        for current in sorted(self.rounds.all().values(), key=Round.is_over):
            for kept in self._of(current):
                yield from self._check(kept)
        yield from self._sweep()
        # What was not found again is whole, or is not needed any more.
        self._damaged = {k: v for k, v in self._damaged.items() if k in self._found_now}
        self._count("passes")

    def _glance(self) -> Iterator[int]:
        """Look for the objects of live rounds by name: cheap, so it comes first."""
        for current in [each for each in self.rounds.all().values() if not each.is_over()]:
            there = set(self.objects.names(names.of_round(current.number)))
            for kept in self._of(current):
                # Asked again: what was stored since the list was made is not on it.
                missing = (name for name in kept.names if name not in there)
                gone = next((name for name in missing if not self.objects.exists(name)), None)
                if gone is not None:
                    self._found(kept, gone, "missing")
            yield 0

    def _sweep(self) -> Iterator[int]:
        ordered = {effect.round for effect in self.store.pending_effects()}
        for number in self.retention.due():
            if number in ordered:
                continue  # its erasure is on its way
            self._count("left_over", self.retention.sweep(number))
            self.retention.looked_at(number)
            yield 0
        self.retention.forget_rows()

    def _of(self, current: Round) -> Iterator[Kept]:
        keeps = not current.is_over() or self.retention.keeps_model(current.number)
        disputed = current.is_over() and self.retention.is_disputable(current.number)
        return self._inventory.of(current, models=keeps, disputed=disputed)

    # -- one digest ----------------------------------------------------------------

    def _check(self, kept: Kept) -> Iterator[int]:
        sizes: list[int] = []
        what = self._fault(kept, sizes)
        if what and len(kept.names) == 1:
            what = self._fault(kept, sizes)  # read again: the fault may be that of one reading
        if what:
            self._found(kept, kept.names[0], what)
        else:
            self._whole(kept)
        self._count("objects", len(kept.names))
        self._count("size", sum(sizes))
        yield sum(sizes)

    def _fault(self, kept: Kept, sizes: list[int]) -> str:
        def bodies() -> Iterator[bytes]:
            for name in kept.names:
                body = self.objects.get(name)
                sizes.append(len(body))
                yield body

        try:
            return "" if kept.fits(bodies()) else "changed"
        except NotYet:
            return "missing"

    def _whole(self, kept: Kept) -> None:
        for name in kept.names:
            if self._damaged.pop(name, None) is not None:
                log.info("object_whole_again", round=kept.round, object=name)

    # -- what is damaged -----------------------------------------------------------

    def _found(self, kept: Kept, name: str, what: str) -> None:
        current = self.rounds.get(kept.round)
        if not self._is_needed(kept, current):
            return  # the round has moved on meanwhile, and it was erased
        if kept.kind is Kind.SUM and self._add_again(kept, current):
            self._count("mended")
            log.warning("sum_added_again", round=kept.round, object=name, what=what)
            return
        is_asked = kept.kind is Kind.CHUNK and self._ask_again(kept, current, what)
        if name not in self._damaged:
            self._name(Damage(kept.round, kept.kind, kept.whose, name, what), is_asked)
        self._damaged[name] = Damage(kept.round, kept.kind, kept.whose, name, what)
        self._found_now.add(name)

    def _name(self, damage: Damage, is_asked: bool) -> None:
        self._count("mended", int(is_asked))
        log.error(
            "object_damaged",
            round=damage.round,
            kind=damage.kind,
            whose=damage.whose,
            object=damage.name,
            what=damage.what,
            who_acts="the coordinator's operator",
            action=_ASKED if is_asked else _ONCE_WHOLE if damage.kind is Kind.SUM else _BY_HAND,
        )

    def _is_needed(self, kept: Kept, current: Round) -> bool:
        return any(kept.names == each.names for each in self._of(current))

    def _ask_again(self, kept: Kept, current: Round, what: str) -> bool:
        """Have a site send a chunk again; its row stays, so that it can be no other."""
        upload = self.store.upload(kept.round, kept.whose)
        if current.phase is not Phase.OPEN or upload is None or upload.committed:
            return False  # who has committed has a receipt, and is asked for nothing more
        # What is missing may be on its way again; what has changed stays until it is replaced.
        damaged = kept.names if what == "changed" else ()
        self.contributions.lost(kept.round, kept.whose, damaged)
        return True

    def _add_again(self, kept: Kept, current: Round) -> bool:
        """Make a chunk of a sum again; addition gives the same bytes, or it is not mended."""
        if current.phase not in (Phase.AUDITING, Phase.OPENING, Phase.DONE):
            return False
        number, plan = current.number, self.archive.plan(current.number)
        cohort = canonical.decode(self.archive.document("cohort", current.cohort).body, Cohort)
        roots = self.store.chunk_roots(number, 0, kept.chunk)
        members = [entry.participant for entry in cohort.entries]
        inputs = tuple((member, roots.get(member, b"")) for member in members)
        task = ChunkTask(number, kept.chunk, inputs, plan.parameters(), plan.arithmetic.dimension)
        try:
            made, total = sum_chunk(task, self.objects)
        except (RootMismatch, MalformedMessage, NotYet):
            return False  # a contribution is damaged, too, and named for itself
        if made not in self.store.sum_chunks(number):
            return False
        self.objects.mend(kept.names[0], total)
        return True

    def _count(self, what: str, more: int = 1) -> None:
        self._counts[what] = self._counts.get(what, 0) + more
