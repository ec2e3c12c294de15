"""Free disk, asked for before a test fills it."""

import shutil
from pathlib import Path

from tests.missing_tools import missing

_SPARE_BYTES = 2 << 30


def require_disk(folder: Path, needed: int) -> None:
    """Return if so many bytes are free where `folder` is; else skip, or fail in CI, saying so."""
    free = shutil.disk_usage(folder).free
    if free < needed + _SPARE_BYTES:
        missing(
            f"{folder}: {free / 2**30:.1f} GiB free, {(needed + _SPARE_BYTES) / 2**30:.1f} GiB "
            "needed; name a larger disk with pytest's --basetemp"
        )
