"""Pictures of an assessment: the demand curve as an economist draws it, its slope and the distance to its bend in time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.answers.ampleness import TOLERANCES
from forecast.answers.assessment import Answer, Assessment
from forecast.report.svg import GRID, INK, MUTED, drawn, hue

type Array = NDArray[np.float64]

# First days of the colours of the scatter: purchases, run-off, pandemic, run-off again.
PERIODS = (
    ("2009 to 2014", "2009-01-01"),
    ("2015 to 2017-09", "2015-01-01"),
    ("2017-10 to 2020-02", "2017-10-01"),
    ("2020-03 to 2022-05", "2020-03-01"),
    ("2022-06 on", "2022-06-01"),
)
# Central intervals, widest first, and how dense each is drawn.
_BANDS = ((0.025, 0.975, 0.16), (0.16, 0.84, 0.3))
_MIDDLE = TOLERANCES[1]
_CURVE = hue(0).mark
_AT_MOST = 200  # points of a line in time


def curve_figure(assessment: Assessment, *, name: str = "demand curve") -> str | None:
    """Spread against reserve ratio by period, and each model's curve with 68 and 95 percent bands; None without a curve.

    Curves stand at the level of the last week, so earlier weeks may lie above or below them. Dots on a curve are the
    median ratios at which its slope is each tolerance, where such ratios have been seen.

    Parameters
    ----------
    name : makes the figure's identifiers its own
    """
    answers = [answer for answer in assessment.answers if answer.ampleness.curve is not None]
    if not answers:
        return None
    columns = min(len(answers), 2 if len(answers) < 5 else 3)
    rows = -(-len(answers) // columns)
    weeks = assessment.history[["ratio", "spread"]].dropna()

    def draw(figure: Any) -> None:
        grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
        for axes, answer in zip(grid.flat, answers, strict=False):
            _scatter(axes, weeks)
            _curve(axes, answer, assessment)
        for axes in grid.flat[len(answers) :]:
            axes.set_axis_off()
        grid[0, 0].set_xlim(*_padded(weeks["ratio"].to_numpy(), 0.0))
        grid[0, 0].set_ylim(*_padded(weeks["spread"].to_numpy(), 0.01))
        for axes in grid[:, 0]:
            axes.set_ylabel(f"{assessment.spread}, bp")
        for axes in grid.flat[max(len(answers) - columns, 0) : len(answers)]:
            axes.set_xlabel("reserves, percent of bank assets")
            axes.tick_params(labelbottom=True)
        handles = {
            label: handle for axes in grid.flat for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
        }
        figure.legend(
            handles.values(),
            handles,
            loc="upper left",
            ncols=5,
            frameon=False,
            handlelength=1.4,
            borderpad=0,
            markerscale=1.8,
        )

    return drawn(draw, height=0.95 + 2.6 * rows, name=name, margins=(0.72, 0.08, 0.7, 0.42))


def _scatter(axes: Any, weeks: pd.DataFrame) -> None:
    starts = [pd.Timestamp(first) for _, first in PERIODS] + [pd.Timestamp.max]
    for k, (label, _) in enumerate(PERIODS):
        part = weeks[(weeks.index >= starts[k]) & (weeks.index < starts[k + 1])]
        if len(part):
            axes.plot(
                part["ratio"],
                part["spread"],
                linestyle="none",
                marker="o",
                markersize=2.3,
                markeredgewidth=0,
                alpha=0.7,
                color=hue(k + 1).mark,
                label=label,
            )


def _curve(axes: Any, answer: Answer, assessment: Assessment) -> None:
    told = answer.ampleness
    if told.curve is None:
        return
    x, middle = told.curve.ratio, np.nanmedian(told.curve.spread, axis=0)
    for low, high, alpha in _BANDS:
        axes.fill_between(
            x, *np.nanquantile(told.curve.spread, [low, high], axis=0), color=_CURVE, alpha=alpha, linewidth=0
        )
    axes.plot(x, middle, color=_CURVE, linewidth=1.6, label="curve, 68 and 95 % bands")
    if assessment.truth is not None:
        axes.plot(
            assessment.truth.ratio,
            assessment.truth.spread,
            color=INK,
            linestyle="--",
            linewidth=1.1,
            label="true curve, last week",
        )
    seen = [
        float(np.median(draws[np.isfinite(draws) & (draws > 0)]))
        for c, draws in told.thresholds.items()
        if told.reached(c) >= 0.5 and told.has_seen(c)
    ]
    axes.plot(seen, np.interp(seen, x, middle), linestyle="none", marker="o", markersize=4.5, color=_CURVE)
    known = assessment.history[["ratio", "spread"]].dropna().iloc[-1]
    axes.plot(
        [known["ratio"]], [known["spread"]], linestyle="none", marker="D", markersize=4.5, color=INK, label="last week"
    )
    axes.set_title(answer.model, loc="left")


def slope_figure(assessment: Assessment) -> str:
    """Slope over time, one panel a model, with 68 and 95 percent bands, on one scale."""
    answers = assessment.answers
    bands = {answer.model: _slope_bands(answer) for answer in answers}
    lows, highs = (np.concatenate([found[k] for found in bands.values()]) for k in (1, 3))
    limits = (max(float(np.nanquantile(lows, 0.01)), -8.0) - 0.3, min(float(np.nanquantile(highs, 0.99)), 4.0) + 0.3)

    def draw_panel(axes: Any, answer: Answer) -> None:
        for height, colour in ((0.0, INK), (TOLERANCES[0], MUTED), (TOLERANCES[-1], MUTED)):
            axes.axhline(height, color=colour, linewidth=0.6, linestyle="-" if height == 0 else ":")
        _band(axes, answer.ampleness.weeks, bands[answer.model])
        if assessment.truth is not None:
            truth = assessment.truth.slope.loc[assessment.history.index[0] :].iloc[::2]
            axes.plot(truth.index, truth, color=INK, linestyle="--", linewidth=0.9)
        axes.set_ylim(*limits)

    return _stacked(assessment, answers, draw_panel, "bp per pp", "slope history")


def distance_figure(assessment: Assessment) -> str | None:
    """Reserves less those at which the slope is -0.5, USD bn, over time, with the curve as it stands now.

    None where no model has a curve that gets so steep in most of its draws, at a ratio that has been seen.
    """
    answers = [
        answer
        for answer in assessment.answers
        if (told := answer.ampleness).thresholds and told.reached(_MIDDLE) >= 0.5 and told.has_seen(_MIDDLE)
    ]
    if not answers:
        return None

    def draw_panel(axes: Any, answer: Answer) -> None:
        told = answer.ampleness
        assets = assessment.history["bank_assets"].reindex(told.weeks).to_numpy(dtype=float)
        draws = told.thresholds[_MIDDLE]
        ends = np.quantile(draws[np.isfinite(draws) & (draws > 0)], [0.975, 0.84, 0.5, 0.16, 0.025])
        axes.axhline(0, color=INK, linewidth=0.6)
        _band(axes, told.weeks, (told.ratio - ends[:, None]) * assets / 100)

    return _stacked(assessment, answers, draw_panel, "USD bn", "distance history")


def _slope_bands(answer: Answer) -> Array:
    """(5, T) quantiles: 2.5, 16, 50, 84 and 97.5 percent; missing in weeks without a draw."""
    slope = answer.ampleness.slope
    some = np.isfinite(slope).any(axis=0)
    found = np.full((5, slope.shape[1]), np.nan)
    found[:, some] = np.nanquantile(slope[:, some], [0.025, 0.16, 0.5, 0.84, 0.975], axis=0)
    return found


def _band(axes: Any, weeks: pd.DatetimeIndex, bands: Array) -> None:
    """Median and bands of (5, T) quantiles in order."""
    kept = np.unique(np.linspace(0, len(weeks) - 1, min(len(weeks), _AT_MOST)).round().astype(int))
    days, bands = weeks[kept].to_numpy(), bands[:, kept]
    for (low, high), (*_, alpha) in zip(((0, 4), (1, 3)), _BANDS, strict=True):
        axes.fill_between(days, bands[low], bands[high], color=_CURVE, alpha=alpha, linewidth=0)
    axes.plot(days, bands[2], color=_CURVE, linewidth=1.2)


def _stacked(
    assessment: Assessment, answers: Sequence[Answer], draw_panel: Callable[[Any, Answer], None], unit: str, name: str
) -> str:
    """One panel a model, above each other on one time axis."""

    def draw(figure: Any) -> None:
        column = figure.subplots(len(answers), 1, sharex=True, squeeze=False)[:, 0]
        for axes, answer in zip(column, answers, strict=True):
            draw_panel(axes, answer)
            axes.set_ylabel(unit)
            axes.set_title(answer.model, loc="left")
            axes.locator_params(axis="y", nbins=5)
            axes.axvline(assessment.last_week, color=GRID, linewidth=0.8)
        figure.subplots_adjust(hspace=0.34)

    return drawn(draw, height=0.6 + 1.5 * len(answers), name=name, margins=(0.72, 0.08, 0.26, 0.3))


def _padded(values: Array, tail: float) -> tuple[float, float]:
    """Limits of an axis without the most extreme values: a single wild week must not flatten the curve."""
    low, high = np.quantile(values, [tail, 1 - tail]).tolist()
    margin = 0.06 * (high - low) or 1.0
    return low - margin, high + margin
