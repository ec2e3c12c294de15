"""The report as PDF: for archives (PDF/A-2a) and for readers of the screen (PDF/UA-1).

Typst sets it with the fonts that its wheel brings, so the same report is the same file on every
machine; nothing is fetched and no package is loaded.
"""

from importlib.resources import files
from typing import Any

import msgspec
import typst

from privacy.errors import InternalError

from .blocks import Layout

_STANDARDS: Any = ["a-2a", "ua-1"]


def pdf_of(layout: Layout, seconds: int) -> bytes:
    """Return the report as PDF.

    Args:
        seconds: time of making, since 1970; the file holds no other.

    Raises:
        InternalError: the template cannot be set; the message says where.
    """
    pdf = _compiler(layout).compile(format="pdf", pdf_standards=_STANDARDS, timestamp=seconds)
    return _bytes(pdf)


def pages_of(layout: Layout, dots_per_inch: float) -> tuple[bytes, ...]:
    """Return the pages as PNG, as they are printed.

    Raises:
        InternalError: as for the PDF.
    """
    pages = _compiler(layout).compile(format="png", ppi=dots_per_inch)
    return tuple(pages) if isinstance(pages, list) else (_bytes(pages),)


def _compiler(layout: Layout) -> typst.Compiler:
    template = files(__package__).joinpath("templates", "report.typ").read_bytes()
    return typst.Compiler(
        template,
        ignore_system_fonts=True,
        sys_inputs={"layout": msgspec.json.encode(layout).decode()},
    )


def _bytes(made: object) -> bytes:
    if not isinstance(made, bytes):
        raise InternalError("typst has set no file")
    return made
