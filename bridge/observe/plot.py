"""Door to matplotlib: a light curve as a picture, PNG or SVG. The same light curve makes the same bytes."""

import warnings
from collections.abc import Sequence
from pathlib import Path as FilePath
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateFormatter, AutoDateLocator
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.path import Path

from bridge.observe.curves import LightCurve, Panel, Series

__all__ = ["FORMATS", "draw"]

FORMATS = ("png", "svg")
WIDTH_INCHES = 9.0
HEAD_INCHES = 1.2
PANEL_INCHES = 4.4
SEVERAL_INCHES = 3.2
"""Height of each panel, if there are several."""
DOTS_PER_INCH = 150
LONGEST_LABEL = 28
LONGEST_TITLE = 60
LONGEST_SUBTITLE = 110
LEGEND_ROWS = 16
MANY_POINTS = 5_000
"""From so many on they are smaller and let each other shine through, and are an image inside an SVG."""
MJD_1970 = 40_587.0
DATES = (-300_000.0, 2_000_000.0)
"""Modified Julian dates between which there are dates for the upper axis: years 1037 to 7334."""
_DATE_FORMS = {
    365.0: "%Y",
    30.0: "%Y-%m",
    1.0: "%Y-%m-%d",
    1 / 24: "%m-%d %H:%M",
    1 / 1440: "%H:%M",
    1 / 86_400: "%H:%M:%S",
    1 / 86_400e6: "%H:%M:%S.%f",
}
"""Days between two labels, at most, and what they look like."""
_SETTINGS: Any = {
    "axes.axisbelow": True,
    "axes.edgecolor": "#555555",
    "axes.grid": True,
    "font.family": ["DejaVu Sans"],
    "grid.color": "#e4e4e4",
    "svg.hashsalt": "tom-bridge",  # else an SVG's identifiers are random
    "text.parse_math": False,  # a "$" in a name is a "$"
}
_ARROW = Path(
    [(-0.6, 0), (0.6, 0), (0, 0), (0, -2), (-0.45, -1.3), (0, -2), (0.45, -1.3)],
    [Path.MOVETO, Path.LINETO, Path.MOVETO, Path.LINETO, Path.MOVETO, Path.LINETO, Path.LINETO],
)
"""A limit: a bar where it is, and an arrow to where the target may be, which is down whatever the unit."""


def draw(curve: LightCurve, path: FilePath, form: str) -> None:
    """Draw a light curve: a panel for each unit, a colour for each bandpass, magnitudes upside down, limits as arrows.

    Parameters
    ----------
    curve
        With at least one datum.
    path
        The file.
    form
        ``png`` or ``svg``.

    Raises
    ------
    OSError
        If the file can't be written.
    """
    panels = curve.panels()
    with mpl.rc_context(_SETTINGS), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # a box in its place is all that can be done
        height = HEAD_INCHES + (PANEL_INCHES if len(panels) == 1 else SEVERAL_INCHES * len(panels))
        figure = Figure(figsize=(WIDTH_INCHES, height), layout="constrained")
        rows: Any = figure.subplots(len(panels), 1, sharex=True, squeeze=False)
        for axes, panel in zip(rows[:, 0], panels, strict=True):
            _draw_panel(axes, panel)
        _label_times(rows[:, 0], *curve.extent)
        _entitle(figure, rows[0, 0], curve)
        title = _plain(curve.title, LONGEST_TITLE)
        about = {"png": {"Title": title, "Software": "tom-bridge"}, "svg": {"Title": title, "Date": None}}
        figure.savefig(path, format=form, dpi=DOTS_PER_INCH, metadata=about[form])


def _draw_panel(axes: Axes, panel: Panel) -> None:
    handles = [_draw_series(axes, series) for series in panel.series]
    if any(len(series.points.limits) for series in panel.series):
        handles.append(_arrow("#333333", label="limit"))
    axes.set_ylabel(_plain(panel.unit, LONGEST_LABEL))
    axes.margins(y=0.1)
    axes.ticklabel_format(axis="y", useOffset=False)
    if panel.is_upside_down:
        axes.invert_yaxis()
    columns = 1 + (len(handles) - 1) // LEGEND_ROWS
    axes.legend(
        handles=handles,
        loc="upper left",
        bbox_to_anchor=(1.005, 1.0),
        frameon=False,
        borderaxespad=0.0,
        handletextpad=0.2,
        ncols=columns,
        fontsize=9 if columns == 1 else 8,
    )


def _draw_series(axes: Axes, series: Series) -> Line2D:
    """Draw a bandpass, and return its line of the legend."""
    points, (colour, marker) = series.points, series.style
    many = len(points) > MANY_POINTS
    looks: dict[str, Any] = {"color": colour, "linestyle": "none", "rasterized": many, "alpha": 0.4 if many else 1.0}
    axes.errorbar(
        points.times,
        points.values,
        yerr=points.errors if any(points.errors) else None,
        marker=marker,
        markersize=3.0 if many else 5.5,
        markeredgecolor="white",
        markeredgewidth=0.0 if many else 0.4,
        elinewidth=1.2,
        **looks,
    )
    arrows: dict[str, Any] = {"marker": _ARROW, "markersize": 8.0 if many else 16.0, "markeredgewidth": 1.1}
    axes.plot(points.limit_times, points.limits, markerfacecolor="none", **arrows, **looks)
    label = _plain(series.bandpass, LONGEST_LABEL)
    if not points.times:
        return _arrow(colour, label)
    return Line2D([], [], color=colour, marker=marker, linestyle="none", markersize=6, label=label)


def _arrow(colour: str, label: str) -> Line2D:
    return Line2D([], [], color=colour, marker=_ARROW, markerfacecolor="none", linestyle="none", markersize=13, label=label)


def _label_times(rows: Sequence[Axes], first: float, last: float) -> None:
    """Label the lowest axis with modified Julian dates, and the uppermost, where there are such, with calendar dates."""
    room = 0.03 * (last - first) or 0.5
    left, right = first - room, last + room
    rows[-1].set_xlim(left, right)
    rows[-1].ticklabel_format(axis="x", style="plain", useOffset=False)
    rows[-1].set_xlabel("modified Julian date (UTC)")
    if DATES[0] < left and right < DATES[1]:
        dates = rows[0].secondary_xaxis("top", functions=(_days_of, _mjd_of))
        locator = AutoDateLocator(minticks=3, maxticks=8)  # type: ignore[no-untyped-call]
        form = AutoDateFormatter(locator)  # type: ignore[no-untyped-call]
        form.scaled = _DATE_FORMS
        dates.xaxis.set_major_locator(locator)
        dates.xaxis.set_major_formatter(form)
        dates.tick_params(labelsize=8)


def _days_of(mjd: Any) -> Any:
    """Return modified Julian dates as matplotlib counts days, from 1970."""
    return mjd - MJD_1970


def _mjd_of(days: Any) -> Any:
    return days + MJD_1970


def _entitle(figure: Figure, axes: Axes, curve: LightCurve) -> None:
    axes.set_title(_plain(curve.subtitle, LONGEST_SUBTITLE), loc="left", fontsize=9, color="#444444", pad=8)
    title = figure.suptitle(_plain(curve.title, LONGEST_TITLE), fontsize=14, fontweight="bold", horizontalalignment="left")
    figure.draw_without_rendering()  # only now it is known where the panel begins
    title.set_x(axes.get_position().x0)


def _plain(text: str, most: int) -> str:
    """Return a text of at most so many characters, with nothing in it that an SVG cannot have."""
    plain = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return plain if len(plain) <= most else f"{plain[: most - 1]}…"
