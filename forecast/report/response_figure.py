"""Picture of an impulse response: estimate, 68 and 95 percent bands, zero line."""

from __future__ import annotations

from io import StringIO
from typing import TYPE_CHECKING, Any

from forecast.answers.impulse_response import LEVELS, ImpulseResponse

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_COLOUR = "#1f4e79"
_SHADE = {0.68: 0.30, 0.95: 0.14}
# Letters as outlines need no font where the file is opened; a fixed salt and no date make equal answers equal files.
_STYLE: dict[Any, Any] = {"svg.fonttype": "path", "svg.hashsalt": "forecast", "font.size": 10.0}


def response_figure(answer: ImpulseResponse) -> str:
    """The answer as one self-contained SVG document."""
    import matplotlib as mpl

    with mpl.rc_context(_STYLE):
        text = StringIO()
        draw_response(answer).savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    return text.getvalue()


def draw_response(answer: ImpulseResponse) -> Figure:
    """The answer as a matplotlib figure."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.5, 4.6), layout="constrained")
    axes = figure.subplots()
    for level in sorted(LEVELS, reverse=True):
        low, high = answer.interval(level)
        axes.fill_between(
            answer.horizons, low, high, color=_COLOUR, alpha=_SHADE[level], linewidth=0, label=f"{level:.0%} band"
        )
    axes.plot(answer.horizons, answer.estimate, color=_COLOUR, linewidth=2, marker="o", markersize=3, label="estimate")
    axes.axhline(0, color="black", linewidth=0.9)
    _label(axes, answer)
    return figure


def _label(axes: Any, answer: ImpulseResponse) -> None:
    asked = answer.question
    axes.set_title(f"{asked.response} after a {answer.shock}", loc="left", fontweight="bold", pad=22)
    sample = f"Weeks {answer.first:%d %b %Y} to {answer.last:%d %b %Y}. A correlation, not a cause. Bands hold for each week by itself."
    axes.text(0, 1.025, sample, transform=axes.transAxes, fontsize=8.5, color="#555555")
    axes.set_xlabel("weeks after the rise")
    axes.set_ylabel(f"response of {asked.response}, {answer.unit.label}")
    axes.margins(x=0.01)
    axes.xaxis.get_major_locator().set_params(integer=True, nbins=14, steps=[1, 2, 4, 10])
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="best", ncols=3)
