"""Bytes and time for each parameter beside the reference, drawn: the same bytes each time."""

from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .report import Report

# Readable without colour: one is dark and plain, the other light and hatched.
_OURS: dict[str, Any] = {"color": "0.25", "label": "Veilsum"}
_THEIRS: dict[str, Any] = {
    "color": "0.85",
    "edgecolor": "0.25",
    "hatch": "///",
    "label": "reference",
}
_STEPS = (
    ("protect", "protect_us_per_parameter"),
    ("fold one", "fold_us_per_parameter"),
    ("open", "open_us_per_parameter"),
)
_BYTES = (("up", "bytes_per_parameter_up"), ("down", "bytes_per_parameter_down"))
_HEIGHT = 0.38


def draw(report: Report, path: Path) -> None:
    """Write the drawing of one measurement to `path`, as SVG."""
    # Identifiers that depend on the content alone, and words that stay words.
    with mpl.rc_context({"svg.hashsalt": "veilsum", "svg.fonttype": "none", "font.size": 9}):
        figure = Figure(figsize=(8, 2.6), layout="constrained")
        left, right = figure.subplots(1, 2)
        _bars(left, report, _BYTES, "{:.2f}")
        left.set_title("bytes per parameter", loc="left")
        _bars(right, report, _STEPS, "{:.4f}")
        right.set_title("µs per parameter, one core", loc="left")
        right.legend(loc="lower right", frameon=False)
        figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})


def _bars(axes: Axes, report: Report, figures: tuple[tuple[str, str], ...], form: str) -> None:
    places = range(len(figures))
    for shift, costs, style in ((0, report, _OURS), (_HEIGHT, report.reference, _THEIRS)):
        values = [getattr(costs, key) for _, key in figures]
        bars = axes.barh([at + shift for at in places], values, _HEIGHT, **style)
        axes.bar_label(bars, [form.format(value) for value in values], padding=3)
    axes.set_yticks([at + _HEIGHT / 2 for at in places], [label for label, _ in figures])
    axes.invert_yaxis()
    axes.margins(x=0.18)
    axes.spines[["top", "right"]].set_visible(False)
