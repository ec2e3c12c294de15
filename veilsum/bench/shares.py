"""Veilsum's shares and the reference, measured on the same vectors."""

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import msgspec

from privacy.schemes.shares.layout import (
    COMPONENTS,
    SEATS,
    WORD_BITS,
    WORD_BYTES,
    SharesParameters,
    fitting,
)
from privacy.schemes.shares.replicated import open_product
from veilsum.progress import SILENT, Meter

from . import crypten_reference
from .machine import this_machine
from .own_process import in_own_process
from .report import Costs, PeakMemory, ratio
from .shares_report import Packed, Questions, SharesArithmetic, SharesReport
from .shares_stages import Parties, SeatTimes, SiteTimes, fold, open_sum, products, protect
from .workload import Workload

# More than this many sites' updates add time and disk, and tell nothing new.
_MOST_DISTINCT = 8
# A seat that holds the vector that travels; seat 0 has less to do.
_MEASURED_SEAT = 1
# Thousands of bytes of its two components' words for each parameter: over µs, GB a second.
_HELD_KB = 2 * WORD_BYTES / 1e3
_NANOSECONDS = 1e3


@dataclass(frozen=True)
class Measured:
    """What one path through sites, seats and opener took."""

    site: SiteTimes
    seats: list[SeatTimes]
    open_us: float
    exact: bool
    bytes_down: float
    peaks: PeakMemory

    @property
    def seat(self) -> SeatTimes:
        """The seat whose figures are reported."""
        return self.seats[_MEASURED_SEAT]


def run(
    *, parameters: int, participants: int, value_bits: int, watcher: Meter = SILENT
) -> SharesReport:
    """Measure shares and CrypTen on the same vectors.

    Raises:
        MissingDependency: CrypTen is not installed.
        UnsafeParameters: no parameters of the scheme fit, with the numbers.
    """
    started, machine = time.monotonic(), this_machine()
    scored = fitting(value_bits=value_bits, cohort_max=participants, scored=True)
    packed = fitting(value_bits=value_bits, cohort_max=participants, scored=False)
    workload = workload_for(scored, parameters)
    watcher.total(1 + 2 * (2 + SEATS))
    theirs, _ = in_own_process(crypten_reference.measure, workload)
    watcher.step()
    ours = measure(scored, workload, watcher)
    costs = _costs(ours, workload)
    return SharesReport(
        **msgspec.structs.asdict(costs),
        scheme="shares",
        value_bits=value_bits,
        arithmetic=SharesArithmetic(
            WORD_BITS, COMPONENTS, scored.values_per_word, workload.geometry.values_per_chunk
        ),
        aes_ctr_us_per_parameter=ours.site.aes_ctr_us,
        protect_beyond_aes_ctr_us_per_parameter=ours.site.protect_us - ours.site.aes_ctr_us,
        fold_gb_per_second=_HELD_KB / ours.seat.fold_us,
        accept_gb_per_second=_HELD_KB / ours.seat.accept_us,
        seals_bytes=ours.site.seals_bytes,
        questions=_questions(ours, workload),
        packed=_packed(packed, parameters, watcher),
        reference=theirs,
        ratio=ratio(costs, theirs),
        machine=machine,
        seconds=round(time.monotonic() - started, 1),
    )


def workload_for(parameters: SharesParameters, dimension: int) -> Workload:
    """Return a full cohort's vectors of `dimension` values."""
    cohort = parameters.cohort_max
    return Workload(
        parameters.geometry(dimension),
        cohort,
        parameters.largest_value,
        min(cohort, _MOST_DISTINCT),
    )


def measure(parameters: SharesParameters, workload: Workload, watcher: Meter = SILENT) -> Measured:
    """Split, fold at three seats, open and compare; what lies on disk meanwhile is removed."""
    parties = Parties.generate()
    with tempfile.TemporaryDirectory(prefix="veilsum-bench-") as name:
        folder = Path(name)
        site, site_peak = in_own_process(protect, parameters, parties, workload, folder)
        watcher.step()
        at_seats = []
        for seat in range(SEATS):
            at_seats.append(in_own_process(fold, seat, parameters, parties, workload, folder))
            watcher.step()
        (open_us, exact, down), opener_peak = in_own_process(open_sum, parameters, workload, folder)
        watcher.step()
    peaks = PeakMemory(0.0, site_peak, max(peak for _, peak in at_seats), opener_peak)
    return Measured(site, [times for times, _ in at_seats], open_us, exact, down, peaks)


def _costs(ours: Measured, workload: Workload) -> Costs:
    return Costs(
        parameters=workload.geometry.dimension,
        participants=workload.participants,
        distinct_participants=workload.distinct,
        bytes_per_parameter_up=ours.site.bytes_up,
        bytes_per_parameter_down=ours.bytes_down,
        protect_us_per_parameter=ours.site.protect_us,
        fold_us_per_parameter=ours.seat.fold_us,
        hash_us_per_parameter=ours.seat.accept_us,
        finish_us_per_parameter=ours.seat.finish_us,
        open_us_per_parameter=ours.open_us,
        peak_rss_mib=ours.peaks,
        exact=ours.exact,
    )


def _questions(ours: Measured, workload: Workload) -> Questions:
    opened = zip(
        map(open_product, zip(*(seat.norms for seat in ours.seats), strict=True)),
        map(open_product, zip(*(seat.dots for seat in ours.seats), strict=True)),
        strict=True,
    )
    seat = ours.seat
    return Questions(
        norm_ns=seat.norm_us * _NANOSECONDS,
        dot_ns=seat.dot_us * _NANOSECONDS,
        bound_ns=seat.bound_us * _NANOSECONDS,
        expand_ns=seat.expand_us * _NANOSECONDS,
        exact=list(opened) == list(products(workload)),
    )


def _packed(parameters: SharesParameters, dimension: int, watcher: Meter) -> Packed:
    path = measure(parameters, workload_for(parameters, dimension), watcher)
    return Packed(
        values_per_word=parameters.values_per_word,
        bytes_per_parameter_up=path.site.bytes_up,
        protect_us_per_parameter=path.site.protect_us,
        fold_us_per_parameter=path.seat.fold_us,
        exact=path.exact,
    )
