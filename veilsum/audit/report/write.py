"""The report in all its forms, in one folder."""

from datetime import datetime
from pathlib import Path

import msgspec

from privacy.errors import ConfigError
from veilsum.files import make_folder, write_durably

from .contents import Report
from .drawings import drawings_of
from .page import page_of
from .paper import pdf_of
from .parts.layout import layout_of
from .registry import registry_form

PAGE, PAPER, NUMBERS, REGISTRY = "report.html", "report.pdf", "report.json", "registry.json"


def write_report(report: Report, folder: Path) -> tuple[Path, ...]:
    """Write the report as page, PDF and JSON, and the registry's form; return their paths.

    Each file is there whole, after a crash too, or not at all. They hold names of officers and
    of whoever acted: only the owner reads them (0600, in a new folder 0700) until he or she
    hands them on.

    Raises:
        ConfigError: `folder` is a file.
        StoreUnavailable: the disk refuses; the message says what to do about it.
    """
    layout = layout_of(report, drawings_of)
    seconds = int(datetime.fromisoformat(report.made).timestamp())
    files = {
        PAGE: page_of(layout).encode(),
        PAPER: pdf_of(layout, seconds),
        # These very bytes are what the page and the PDF name the SHA-256 of.
        NUMBERS: msgspec.json.encode(report),
        REGISTRY: msgspec.json.format(msgspec.json.encode(registry_form(report))),
    }
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"{folder}: a file, and no folder for a report")
    make_folder(folder)
    for name, content in files.items():
        write_durably(folder / name, content)
    return tuple(folder / name for name in files)
