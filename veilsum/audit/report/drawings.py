"""Spend over time against the limits, drawn: vector graphics, readable without colour.

The same report gives the same bytes each time.
"""

import math
from datetime import datetime, timedelta
from io import StringIO
from typing import Any

import matplotlib as mpl
from matplotlib import dates
from matplotlib import patheffects as effects
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .blocks import Drawing
from .contents import Point, Report, Spending

_STYLE: Any = {
    # Outlines, so that page and paper look the same whatever fonts a machine has.
    "svg.fonttype": "path",
    "svg.hashsalt": "veilsum",
    "font.family": "STIXGeneral",
    "mathtext.fontset": "stix",
    "font.size": 10,
    "axes.linewidth": 0.6,
    "axes.edgecolor": "#1b1b1b",
    "axes.labelcolor": "#595959",
    "xtick.color": "#595959",
    "ytick.color": "#595959",
}
_INK, _QUIET = "#1b1b1b", "#8a8378"
_VIEWS = (
    ("sums", "sums only", {"color": _INK, "linewidth": 1.6}),
    (
        "vector",
        "one opened update",
        {"color": _QUIET, "linewidth": 1.6, "linestyle": (0, (4, 1.5))},
    ),
)
_AHEAD: dict[str, Any] = {"linestyle": (0, (1, 2)), "linewidth": 1.2}
# by years, months, days, hours, minutes, seconds; what ticks share stands at the end of the axis
_TICKS = ["%Y", "%b", "%d", "%H:%M", "%H:%M", "%H:%M:%S"]
_FIRST_TICKS = ["", "%b %Y", "%b", "%b %d", "%H:%M", "%H:%M:%S"]
_WHEN = ["", "%Y", "%Y-%m", "%Y-%m-%d UTC", "%Y-%m-%d UTC", "%Y-%m-%d UTC"]
_LEAST_SPAN = timedelta(minutes=1)
_LINE_ROOM = 0.085  # a line of text, over the height of the drawing
_PAPER = "#fffefb"


def drawings_of(report: Report) -> tuple[Drawing, ...]:
    """Return a drawing for each dataset with anything spent."""
    return tuple(_drawing(one) for one in report.spending if one.points)


def words_of(spending: Spending) -> str:
    """Return in words what the drawing shows."""
    last = spending.points[-1]
    caps = (
        ""
        if spending.sums_cap is None or spending.vector_cap is None
        else f", of {spending.sums_cap:g} and {spending.vector_cap:g} allowed"
    )
    return (
        f"{_name(spending)}: epsilon spent rises in {len(spending.points)} steps to "
        f"{_up(last.sums):.3f} towards who sees sums only and {_up(last.vector):.3f} towards who "
        f"opens one update{caps}. {_ahead_words(spending)}"
    )


def _up(epsilon: float) -> float:
    """Return what the tables say, too: rounded up at the third decimal."""
    return math.ceil(epsilon * 1000) / 1000


def _name(spending: Spending) -> str:
    return f"{spending.participant}, {spending.dataset}"


def _ahead_words(spending: Spending) -> str:
    if spending.rounds_left is None:
        return "No forecast: the evidence has no limit or no round."
    rounds = f"{spending.rounds_left} more rounds fit at the last round's cost"
    if spending.rounds_left == 0:
        return "No more round fits at the last round's cost."
    if spending.rounds_left == 1:
        rounds = "One more round fits at the last round's cost"
    when = (
        f"; at the pace so far the last is on {spending.exhausted[:10]}"
        if spending.exhausted
        else ""
    )
    return f"{rounds}{when}."


def figure_of(spending: Spending) -> Figure:
    """Return a drawing of the spend of one dataset, before it is an image."""
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(7.2, 2.9), layout="constrained")
        _draw(figure.subplots(), spending)
    return figure


def _drawing(spending: Spending) -> Drawing:
    text = StringIO()
    figure = figure_of(spending)
    with mpl.rc_context(_STYLE):
        figure.savefig(
            text, format="svg", metadata={"Date": None, "Creator": None}, transparent=True
        )
    return Drawing(
        caption=f"{_name(spending)}: epsilon over time. {_ahead_words(spending)}",
        words=words_of(spending),
        svg=text.getvalue(),
    )


def _draw(axes: Axes, spending: Spending) -> None:
    times = [_time(point) for point in spending.points]
    end = _end(spending, times)
    start = times[0] - max((end - times[0]) * 0.03, _LEAST_SPAN)
    axes.set_xlim(_at(start), _at(end))
    for key, _, style in _views_of(spending):
        values = [getattr(point, key) for point in spending.points]
        axes.step(
            [_at(start), *map(_at, times), _at(times[-1])],
            [0.0, *values, values[-1]],
            where="post",
            **style,
        )
        axes.plot([_at(times[-1])], values[-1:], "o", markersize=3.5, color=style["color"])
        ahead = [spending.points[-1], *spending.ahead]
        expected = [getattr(point, key) for point in ahead]
        axes.plot([_at(_time(point)) for point in ahead], expected, color=style["color"], **_AHEAD)
    _finish(axes, spending)
    _label_lines(axes, spending, times[-1])
    _label_limits(axes, spending)


def _views_of(spending: Spending) -> tuple[tuple[str, str, dict[str, Any]], ...]:
    same = all(point.sums == point.vector for point in spending.points)
    if same and spending.sums_cap == spending.vector_cap:
        return (("sums", "both views", _VIEWS[0][2]),)
    return _VIEWS


def _label_lines(axes: Axes, spending: Spending, at: datetime) -> None:
    """Name each line's end, to the right of it, where nothing is but the dots of what is ahead."""
    last, top = spending.points[-1], axes.get_ylim()[1]
    ends = [(getattr(last, key), name, style) for key, name, style in _views_of(spending)]
    for place, (value, name, style) in zip(
        _apart([value for value, _, _ in ends], top, low=top * _LINE_ROOM), ends, strict=True
    ):
        axes.annotate(
            f"{_up(value):.3f}, {name}",
            (_at(at), place),
            xytext=(8, -4),
            textcoords="offset points",
            va="top",
            color=style["color"],
            fontsize=9,
            # A limit's line may cross it.
            path_effects=[effects.withStroke(linewidth=3, foreground=_PAPER)],
        )


def _label_limits(axes: Axes, spending: Spending) -> None:
    """Draw each limit, and name it beside the frame, where no line of the spending comes."""
    caps = [
        (cap, name, style)
        for key, name, style in _views_of(spending)
        if (cap := getattr(spending, f"{key}_cap")) is not None
    ]
    places = _apart([cap for cap, _, _ in caps], axes.get_ylim()[1])
    for place, (cap, name, style) in zip(places, caps, strict=True):
        axes.axhline(cap, color=style["color"], linewidth=0.7)
        axes.annotate(
            f"limit {cap:g}, {name}",
            (1.0, place),
            xycoords=("axes fraction", "data"),
            xytext=(5, 0),
            textcoords="offset points",
            va="center",
            color=style["color"],
            fontsize=9,
            annotation_clip=False,
        )


def _apart(values: list[float], top: float, low: float = 0.0) -> list[float]:
    """Return `values` in their order, moved up where two would be nearer than a line of text."""
    places, least = list(values), low
    for at in sorted(range(len(values)), key=lambda each: values[each]):
        places[at] = max(values[at], least)
        least = places[at] + top * _LINE_ROOM
    return places


def _end(spending: Spending, times: list[datetime]) -> datetime:
    last = datetime.fromisoformat(spending.exhausted) if spending.exhausted else times[-1]
    last = max(last, times[-1])
    # With nothing ahead the names of the lines' ends still need room.
    room = 0.18 if last > times[-1] else 0.45
    return last + max((last - times[0]) * room, _LEAST_SPAN)


def _finish(axes: Axes, spending: Spending) -> None:
    locator = dates.AutoDateLocator(minticks=3, maxticks=7)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    formatter = dates.ConciseDateFormatter(  # type: ignore[no-untyped-call]
        locator, formats=_TICKS, zero_formats=_FIRST_TICKS, offset_formats=_WHEN
    )
    axes.xaxis.set_major_formatter(formatter)
    caps = [cap for cap in (spending.sums_cap, spending.vector_cap) if cap is not None]
    axes.set_ylim(0, max([axes.get_ylim()[1], *caps]) * 1.12)
    axes.set_ylabel("ε, committed")
    axes.spines[["top", "right"]].set_visible(False)


def _time(point: Point) -> datetime:
    return datetime.fromisoformat(point.when)


def _at(when: datetime) -> float:
    return float(dates.date2num(when))  # type: ignore[no-untyped-call]
