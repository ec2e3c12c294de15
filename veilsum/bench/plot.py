"""Bytes and time for each parameter of both schemes beside their references, drawn.

The same reports give the same bytes each time.
"""

from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .report import Costs, Report
from .shares_report import SharesReport

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


def draw(ckks: Report, shares: SharesReport, path: Path) -> None:
    """Write the drawing of one measurement of each scheme to `path`, as SVG."""
    # Identifiers that depend on the content alone, and words that stay words.
    with mpl.rc_context({"svg.hashsalt": "veilsum", "svg.fonttype": "none", "font.size": 9}):
        figure = Figure(figsize=(8, 5), layout="constrained")
        rows = figure.subplots(2, 2)
        for (left, right), (name, ours, theirs) in zip(rows, _measured(ckks, shares), strict=True):
            _bars(left, ours, theirs, _BYTES, "{:.2f}")
            left.set_title(f"{name}: bytes per parameter", loc="left")
            _bars(right, ours, theirs, _STEPS, "{:.4f}")
            right.set_title(f"{name}: µs per parameter, one core", loc="left")
        rows[0][1].legend(loc="lower right", frameon=False)
        figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})


def _measured(ckks: Report, shares: SharesReport) -> tuple[tuple[str, Costs, Costs], ...]:
    return (("ckks", ckks, ckks.reference), ("shares", shares, shares.reference))


def _bars(
    axes: Axes, ours: Costs, theirs: Costs, figures: tuple[tuple[str, str], ...], form: str
) -> None:
    places = range(len(figures))
    for shift, costs, style in ((0, ours, _OURS), (_HEIGHT, theirs, _THEIRS)):
        values = [getattr(costs, key) for _, key in figures]
        bars = axes.barh([at + shift for at in places], values, _HEIGHT, **style)
        axes.bar_label(bars, [form.format(value) for value in values], padding=3)
    axes.set_yticks([at + _HEIGHT / 2 for at in places], [label for label, _ in figures])
    axes.invert_yaxis()
    axes.margins(x=0.18)
    axes.spines[["top", "right"]].set_visible(False)
