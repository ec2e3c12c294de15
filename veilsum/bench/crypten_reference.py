"""The reference for shares: CrypTen's own way, three parties in local processes.

Each contribution is `cryptensor(x, src)` at all parties, added as it is, and the sum is opened
to all of them. The sources are the parties themselves, so nothing travels when something is
shared; masks come from generators with 32 bits of seed. Only measured against.
"""

import hashlib
import multiprocessing
from time import process_time
from typing import Any, Final, TypeAlias

import msgspec
import numpy as np

from privacy.crypten_door import import_crypten

from .own_process import peak_resident_mib
from .report import PeakMemory
from .shares_report import SharesReference
from .workload import Workload

PARTIES: Final = 3
_MICROSECONDS: Final = 1e6

# An object of CrypTen, which has no types.
_Native: TypeAlias = Any


class _Took(msgspec.Struct):
    """Processor seconds of one party, bytes through it, and the digest of what it opened."""

    share: float = 0.0
    add: float = 0.0
    open: float = 0.0
    bytes_moved: float = 0.0
    digest: str = ""
    peak_mib: float = 0.0


def measure(workload: Workload) -> SharesReference:
    """Measure the reference on the same vectors; to be called in a process of its own."""
    crypten = import_crypten()
    # CrypTen's launcher needs children that have CrypTen loaded already.
    multiprocessing.set_start_method("fork", force=True)
    launched = crypten.mpc.run_multiprocess(world_size=PARTIES)(_party)(workload)
    found = [msgspec.convert(each, _Took) for each in launched]
    slowest = max(found, key=lambda each: each.share)
    dimension, participants = workload.geometry.dimension, workload.participants
    per_site = _MICROSECONDS / participants / dimension
    peak = max(each.peak_mib for each in found)
    return SharesReference(
        parameters=dimension,
        participants=participants,
        distinct_participants=workload.distinct,
        bytes_per_parameter_up=0.0,
        bytes_per_parameter_down=slowest.bytes_moved / dimension,
        protect_us_per_parameter=slowest.share * per_site,
        fold_us_per_parameter=slowest.add * per_site,
        hash_us_per_parameter=0.0,
        finish_us_per_parameter=0.0,
        open_us_per_parameter=slowest.open * _MICROSECONDS / dimension,
        peak_rss_mib=PeakMemory(0.0, peak, peak, peak),
        exact=all(each.digest == _plaintext(workload) for each in found),
        name=f"CrypTen {crypten.__version__} cryptensor, {PARTIES} parties",
    )


def _party(workload: Workload) -> dict[str, object]:
    crypten = import_crypten()
    torch, took = crypten.torch, _Took()
    torch.set_num_threads(1)
    rank = crypten.comm.get().get_rank()
    total: _Native = None
    for participant in range(workload.participants):
        source = participant % PARTIES
        values = torch.zeros(workload.geometry.dimension, dtype=torch.long)
        if rank == source:
            values = torch.from_numpy(_vector(workload, participant % workload.distinct))
        start = process_time()
        shared = crypten.cryptensor(values, src=source, precision=0)
        split = process_time()
        total = shared if total is None else total + shared
        took.share += split - start
        took.add += process_time() - split
    with crypten.cfg.temp_override({"communicator.verbose": True}):
        start = process_time()
        opened = total.get_plain_text()
        took.open = process_time() - start
        took.bytes_moved = crypten.comm.get().get_communication_stats()["bytes"]
    took.digest = _digest(opened.numpy())
    took.peak_mib = peak_resident_mib()
    return msgspec.structs.asdict(took)


def _vector(workload: Workload, vector: int) -> _Native:
    chunks = range(workload.geometry.chunks)
    return np.concatenate([workload.values(vector, chunk) for chunk in chunks])


def _plaintext(workload: Workload) -> str:
    chunks = range(workload.geometry.chunks)
    return _digest(np.concatenate([workload.total(chunk) for chunk in chunks]))


def _digest(values: _Native) -> str:
    return hashlib.sha256(np.rint(values).astype("<i8").tobytes()).hexdigest()
