"""The report as one HTML file: nothing in it is fetched, and nothing in it runs."""

from base64 import b64encode
from collections.abc import Callable
from importlib.resources import files

import jinja2
from markupsafe import Markup

from .blocks import Block, Column, Drawing, Layout

_MARKS = {"verified": "✓", "breach": "!", "missing": "?", "tampered": "×", "mismatch": "≠"}
_DIGEST_LENGTH = 40


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
    template = environment.from_string(_template("report.html.j2"), globals=helpers)
    # Our own words, and no names from evidence: the one text that is not escaped.
    return template.render(layout=layout, style=Markup(_template("style.css")), marks=_MARKS)  # noqa: S704


def _template(name: str) -> str:
    return files(__package__).joinpath("templates", name).read_text(encoding="utf-8")


def _kind(block: Block) -> str:
    return type(block).__name__.lower()


def _picture(drawing: Drawing) -> str:
    return f"data:image/svg+xml;base64,{b64encode(drawing.svg.encode()).decode()}"


def _cell_class(column: Column, cell: str) -> str:
    digest = len(cell) >= _DIGEST_LENGTH and not set(cell) - set("0123456789abcdef")
    names = {"figure": column.number, "wide": column.wide, "code": digest}
    return " ".join(name for name, holds in names.items() if holds)
