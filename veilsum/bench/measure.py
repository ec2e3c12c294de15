"""Measure one path from values to their sum, each role in a process of its own."""

import tempfile
from pathlib import Path

from veilsum.progress import SILENT, Meter

from .own_process import in_own_process
from .report import Costs, PeakMemory
from .stages import Roles, fold, is_exact, open_sum, protect
from .workload import Workload


def measure(
    workload: Workload, roles: Roles, key_maker_peak_mib: float, watcher: Meter = SILENT
) -> Costs:
    """Protect, fold, open and compare; what lies on disk meanwhile is removed."""
    with tempfile.TemporaryDirectory(prefix="veilsum-bench-") as name:
        folder = Path(name)
        protected, site = in_own_process(protect, roles.protector, workload, folder)
        watcher.step()
        folded, coordinator = in_own_process(fold, roles.combiner, workload, folder)
        watcher.step()
        open_us, opener = in_own_process(open_sum, roles.revealer, workload, folder)
        watcher.step()
        return Costs(
            parameters=workload.geometry.dimension,
            participants=workload.participants,
            distinct_participants=workload.distinct,
            bytes_per_parameter_up=protected.bytes_per_parameter,
            bytes_per_parameter_down=folded.bytes_per_parameter,
            protect_us_per_parameter=protected.us_per_parameter,
            fold_us_per_parameter=folded.us_per_parameter,
            hash_us_per_parameter=folded.hash_us_per_parameter,
            finish_us_per_parameter=folded.finish_us_per_parameter,
            open_us_per_parameter=open_us,
            peak_rss_mib=PeakMemory(key_maker_peak_mib, site, coordinator, opener),
            exact=is_exact(workload, folder),
        )
