"""The report as one HTML file: nothing in it is fetched, and nothing in it runs."""

import re
from base64 import b64encode
from collections.abc import Callable
from importlib.resources import files

import jinja2
from markupsafe import Markup, escape

from .blocks import Block, Column, Drawing, Layout

_MARKS = {"verified": "✓", "breach": "!", "missing": "?", "tampered": "×", "mismatch": "≠"}
_DIGEST_LENGTH = 40
# `ε ≤ 2.829`, `hospital-d`, `2026-11-22T00:35:42+00:00`: a line's end within them misleads
_KEPT = re.compile(r"([εδσµ] [≤=≈] [0-9.]+|(?<!\S)(?=\S{1,40}(?!\S))[^\s-]+(?:-[^\s-]+)+)")


def page_of(layout: Layout) -> str:
    """Return the report as HTML; whatever is in the evidence appears as text."""
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, loader=jinja2.BaseLoader()
    )
    helpers: dict[str, Callable[..., object]] = {
        "kind": _kind,
        "picture": _picture,
        "cell_class": _cell_class,
    }
    environment.filters["kept"] = _kept
    template = environment.from_string(_template("report.html.j2"), globals=helpers)
    # Our own words, and no names from evidence: the one text that is not escaped.
    return template.render(layout=layout, style=Markup(_template("style.css")), marks=_MARKS)  # noqa: S704


def _template(name: str) -> str:
    return files(__package__).joinpath("templates", name).read_text(encoding="utf-8")


def _kind(block: Block) -> str:
    return type(block).__name__.lower()


def _kept(text: str) -> Markup:
    """Return a text, escaped, with what must stay on one line marked as that."""
    pieces = [
        Markup('<span class="kept">{}</span>').format(piece) if at % 2 else escape(piece)
        for at, piece in enumerate(_KEPT.split(text))
    ]
    return Markup("").join(pieces)


def _picture(drawing: Drawing) -> str:
    return f"data:image/svg+xml;base64,{b64encode(drawing.svg.encode()).decode()}"


def _cell_class(column: Column, cell: str) -> str:
    digest = len(cell) >= _DIGEST_LENGTH and not set(cell) - set("0123456789abcdef")
    names = {"figure": column.number, "wide": column.wide, "code": digest}
    return " ".join(name for name, holds in names.items() if holds)
