"""What a coordinator that leads can be asked about itself, as numbers; and its rounds, as spans."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from veilsum.metrics.book import Book, Sample
from veilsum.metrics.catalogue import (
    COMMITS_UNKNOWN,
    DEMANDS_ENDED,
    DEMANDS_LOOKED,
    DEMANDS_WAITING,
    FOLD_LAG,
    LAST_SEEN,
    LEADS,
    LEASE_SECONDS,
    ROUND_PROGRESS,
    ROUND_SECONDS,
    ROUND_STATE,
    ROUNDS_HALTED,
    SCRUB_DAMAGED,
    SCRUB_MENDED,
    SCRUB_OBJECTS,
    SCRUB_PASSES,
    SETTLEMENT_ROUND,
    UPLOAD_IN_FLIGHT,
)
from veilsum.metrics.door import expiry_of
from veilsum.traces.tracing import Attributes, NoTraces, Tracer

from .build import Built
from .replicas.lease import Lease
from .rounds.state import Phase, Round
from .settling.disputes import OUTCOMES, STATES
from .wire.credits import LARGEST_CHUNK, Transfers


@dataclass
class Watched:
    """Reads what is, whenever somebody fetches, and notes what ended, after each tick."""

    book: Book = field(default_factory=Book)
    tracer: Tracer = field(default_factory=NoTraces)
    now: Callable[[], float] = time.time

    def __post_init__(self) -> None:
        self._begun: dict[int, float] = {}
        self._phases: dict[int, tuple[Phase, float]] = {}

    def look(self, rounds: Mapping[int, Round], federation: str) -> None:
        """Note which rounds, and which of their phases, are over since the last look."""
        for number, current in rounds.items():
            known = self._phases.get(number)
            if known is None and current.is_over():
                continue  # before this process
            if known is None or known[0] is not current.phase:
                self._note(current, known, federation)

    def _note(self, current: Round, known: tuple[Phase, float] | None, federation: str) -> None:
        now, number = self.now(), current.number
        began = self._begun.setdefault(number, now)
        if known is not None:
            attributes: Attributes = {"veilsum.round": number, "veilsum.federation": federation}
            self.tracer.record(f"round {known[0].value}", known[1], now, attributes)
        self._phases[number] = (current.phase, now)
        if current.is_over():
            self.book.observe(ROUND_SECONDS, now - began, federation, current.phase.value)
            del self._phases[number], self._begun[number]

    def of(
        self, built: Built, lease: Lease | None, transfers: Callable[[], Transfers | None]
    ) -> Callable[[], Iterator[Sample]]:
        """Return what reads the numbers of a coordinator that leads."""

        def read() -> Iterator[Sample]:
            yield LEADS, (), 1.0
            yield from _of_rounds(built)
            yield from _of_scrub(built)
            yield from _of_settlement(built)
            if lease is not None:
                yield LEASE_SECONDS, (), lease.sure_seconds()
            carries = transfers()
            if carries is not None:
                held = carries.uploads.count - carries.uploads.free
                yield UPLOAD_IN_FLIGHT, (), float(held * LARGEST_CHUNK)
            yield from expiry_of(built.settings.listen.certificate, "coordinator")

        return read


def _of_rounds(built: Built) -> Iterator[Sample]:
    service, federation = built.service, built.settings.federation
    rounds = service.rounds.all().values()
    states = Counter(each.phase.value for each in rounds)
    for phase in Phase:
        yield ROUND_STATE, (federation, phase.value), float(states[phase.value])
    live = [each.number for each in rounds if not each.is_over()]
    quiet = [service.progress.quiet(number)[1] for number in live]
    yield ROUND_PROGRESS, (federation,), max(quiet, default=0.0)
    yield ROUNDS_HALTED, (), float(service.halted())
    yield FOLD_LAG, (), float(sum(_lag(built, each) for each in rounds))
    if service.rosters.is_founded():
        for member in service.rosters.current().members:
            seen = service.seen.of(member.participant)
            if seen is not None:
                yield LAST_SEEN, (member.participant,), seen.at


def _lag(built: Built, current: Round) -> int:
    if current.phase is not Phase.AGGREGATING:
        return 0
    plan = built.service.archive.plan(current.number)
    return plan.arithmetic.chunks - len(built.service.store.sum_chunks(current.number))


def _of_scrub(built: Built) -> Iterator[Sample]:
    report = built.service.scrub.report()
    yield SCRUB_OBJECTS, (), float(report.objects)
    yield SCRUB_PASSES, (), float(report.passes)
    yield SCRUB_MENDED, (), float(report.mended)
    yield SCRUB_DAMAGED, (), float(len(report.damaged))


def _of_settlement(built: Built) -> Iterator[Sample]:
    disputes = built.disputes
    if disputes is None:
        return
    for state in STATES:
        yield SETTLEMENT_ROUND, (state,), float(disputes.rounds[state])
    yield DEMANDS_WAITING, (), float(disputes.waiting)
    yield DEMANDS_LOOKED, (), disputes.looked
    for outcome in OUTCOMES:
        yield DEMANDS_ENDED, (outcome,), float(disputes.outcomes[outcome])
    if built.unknown is not None:
        yield COMMITS_UNKNOWN, (), float(len(built.unknown.rounds))
