"""Figures of a backtest: arrays in, a string of SVG out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.report.svg import BAND, GRID, INK, MUTED, SHADE, Look, drawn

type Array = NDArray[np.float64]

# Nominal central intervals of a fan, widest first, and how dense each is drawn.
FAN = ((0.025, 0.975, 0.16), (0.1, 0.9, 0.22), (0.25, 0.75, 0.34))

# Where date axes count from, and in what.
_EPOCH, _DAY = pd.Timestamp("1970-01-01"), pd.Timedelta("1D")

# Heights in a PIT histogram's unit box: of a bar as high as expected, and where taller ones are cut.
_EXPECTED, _TALLEST = 0.4, 1.1


@dataclass(frozen=True, slots=True, eq=False)
class Fan:
    """One forecast and what happened, in the target's unit; weeks are counted from the origin.

    past_weeks, past : (P,) outcomes before the origin
    weeks            : (H,) 1, 2, ... up to the last horizon
    median, outcome  : (H,); an outcome not known yet is missing
    bands            : (L, 2, H) lower and upper ends, in the order of :data:`FAN`
    """

    past_weeks: Array
    past: Array
    weeks: Array
    median: Array
    outcome: Array
    bands: Array


def fan_chart(
    rows: Sequence[tuple[str, Look, Sequence[Fan | None]]], columns: Sequence[str], *, unit: str, name: str
) -> str:
    """Small multiples: one row a model, one column an origin.

    Parameters
    ----------
    rows    : label, look and one fan a column; None where the model has no forecast
    columns : heading of each origin
    unit    : of every vertical axis
    name    : makes the figure's identifiers its own
    """

    def draw(figure: Any) -> None:
        grid = figure.subplots(len(rows), len(columns), sharex=True, sharey="col", squeeze=False)
        for axes_row, (label, look, fans) in zip(grid, rows, strict=True):
            axes_row[0].set_ylabel(f"{shorten(label, 22)}\n{unit}")
            for axes, fan in zip(axes_row, fans, strict=True):
                _fan(axes, fan, look)
        for axes, heading in zip(grid[0], columns, strict=True):
            axes.set_title(shorten(heading, 44))
        for axes in grid[-1]:
            axes.set_xlabel("weeks from the origin")

    return drawn(draw, height=0.64 + 1.4 * len(rows), name=name)


def _fan(axes: Any, fan: Fan | None, look: Look) -> None:
    axes.axvline(0, color=GRID, linewidth=0.8)
    if fan is None:
        axes.text(0.5, 0.5, "no forecast", transform=axes.transAxes, ha="center", va="center", color=MUTED)
        return
    for (lower, upper), (*_, alpha) in zip(fan.bands, FAN, strict=True):
        axes.fill_between(fan.weeks, lower, upper, color=look.mark, alpha=alpha, linewidth=0)
    axes.plot(fan.weeks, fan.median, color=look.mark, linewidth=1.2)
    axes.plot(np.r_[fan.past_weeks, fan.weeks], np.r_[fan.past, fan.outcome], color=INK, linewidth=0.9)
    axes.locator_params(axis="y", nbins=5)
    axes.locator_params(axis="x", nbins=6, integer=True)


def pit_histograms(histograms: Mapping[tuple[str, int], pd.DataFrame], styles: Mapping[str, Look], *, name: str) -> str:
    """PIT histograms, one row a model, one column a horizon, on one common scale of relative frequency.

    Parameters
    ----------
    histograms : (model, horizon) -> table of ``calibration.pit_histogram``
    styles     : look of each model
    name       : makes the figure's identifiers its own
    """
    models = list(dict.fromkeys(model for model, _ in histograms))
    horizons = sorted({horizon for _, horizon in histograms})

    def draw(figure: Any) -> None:
        axes = figure.subplots()
        axes.set_axis_off()
        for column, horizon in enumerate(horizons):
            axes.text(1.15 * column + 0.5, 0.3, weeks_ahead(horizon), ha="center")
            for row, model in enumerate(models):
                if (model, horizon) in histograms:
                    _histogram(axes, histograms[model, horizon], styles[model], (1.15 * column, -1.25 * row))
        for row, model in enumerate(models):
            axes.text(-0.06, -1.25 * row - 0.6, shorten(model, 26), ha="right", va="center")
        axes.set_xlim(-0.6, 1.15 * max(len(horizons), 3))
        axes.set_ylim(-1.25 * len(models) + 0.15, 0.6)

    return drawn(draw, height=0.2 + 0.56 * len(models), name=name, margins=(0, 0, 0, 0))


def _histogram(axes: Any, table: pd.DataFrame, look: Look, corner: tuple[float, float]) -> None:
    """Bars stand in a unit box below ``corner``; one as high as expected reaches four tenths of it."""
    expected = table["expected"].iloc[0]
    if expected == 0:
        return
    scale = _EXPECTED / expected
    x, floor = corner[0], corner[1] - 1
    lower, upper = table["lower"].iloc[0] * scale, table["upper"].iloc[0] * scale
    axes.fill_between([x, x + 1], floor + lower, floor + min(upper, _TALLEST), color=BAND, linewidth=0)
    edges = np.r_[table["left"], table["right"].iloc[-1]] + x
    heights = np.minimum(table["count"].to_numpy() * scale, _TALLEST)
    axes.stairs(floor + heights, edges, baseline=floor, fill=True, color=look.mark, alpha=0.55, linewidth=0)
    axes.plot([x, x + 1], [floor + _EXPECTED] * 2, color=INK, linewidth=0.6)
    axes.plot([x, x + 1], [floor] * 2, color=MUTED, linewidth=0.5)


def coverage_lines(table: pd.DataFrame, styles: Mapping[str, Look], *, name: str) -> str:
    """Share of outcomes inside the central intervals against the horizon, one panel a nominal coverage.

    Parameters
    ----------
    table  : rows of ``calibration.coverage_by_horizon`` of one target and conditioning
    styles : look of each model
    name   : makes the figure's identifiers its own
    """
    nominals = sorted(table["nominal"].unique())
    ticks = sorted(table["horizon"].unique())

    def draw(figure: Any) -> None:
        grid = figure.subplots(1, len(nominals), sharex=True, sharey=True, squeeze=False)[0]
        for axes, nominal in zip(grid, nominals, strict=True):
            panel = table[table["nominal"] == nominal]
            band = panel.loc[panel.groupby("horizon")["n"].idxmax()].sort_values("horizon")
            axes.fill_between(band["horizon"], 100 * band["lower"], 100 * band["upper"], color=BAND, linewidth=0)
            axes.axhline(100 * nominal, color=MUTED, linewidth=0.8)
            for model, rows in panel.groupby("model", sort=False):
                _line(axes, rows["horizon"], 100 * rows["covered"], styles[str(model)], marker="o", markersize=2.2)
            axes.set_title(f"{100 * nominal:.0f} % intervals")
            axes.set_xlabel("weeks ahead")
            axes.set_xscale("log")
            axes.set_xticks(ticks, [str(tick) for tick in ticks])
            axes.minorticks_off()
        grid[0].set_ylabel("percent of outcomes inside")
        lowest = 100 * min(table["covered"].min(), table["lower"].min())
        grid[0].set_ylim(max(10 * np.floor(lowest / 10) - 5, -2), 102)

    return drawn(draw, height=2.4, name=name)


def score_differences(
    panels: Mapping[int, Mapping[str, pd.Series]],
    styles: Mapping[str, Look],
    regimes: Sequence[tuple[str, pd.Timestamp, pd.Timestamp]],
    *,
    unit: str,
    name: str,
) -> str:
    """Cumulative score differences over origins, one panel a horizon; rising lines gain on the benchmark.

    Parameters
    ----------
    panels  : horizon -> model -> cumulative (benchmark minus model) by origin (days without a zone)
    styles  : look of each model
    regimes : name, first and last day; shaded in turn and named
    unit    : of the differences
    name    : makes the figure's identifiers its own
    """

    def draw(figure: Any) -> None:
        column = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
        for axes, (horizon, lines) in zip(column, panels.items(), strict=True):
            for model, line in lines.items():
                thin = line.iloc[_thinned(len(line))]
                _line(axes, thin.index.to_numpy(), thin.to_numpy(), styles[model])
            axes.axhline(0, color=INK, linewidth=0.7)
            axes.set_ylim(*_limits(list(lines.values())))
            axes.set_ylabel(f"{weeks_ahead(horizon)}\n{unit}")
            axes.locator_params(axis="y", nbins=5)
        _shade(column, regimes)

    return drawn(draw, height=0.7 + 1.4 * len(panels), name=name, margins=(0.72, 0.08, 0.44, 0.26))


def _shade(column: Sequence[Any], regimes: Sequence[tuple[str, pd.Timestamp, pd.Timestamp]]) -> None:
    """Regimes as stripes behind every panel, named above the first, on two levels so that neighbours do not touch."""
    first, last = column[0].get_xlim()
    width = last - first
    for number, (label, start, end) in enumerate(regimes):
        left, right = (float(np.clip((day - _EPOCH) / _DAY, first, last)) for day in (start, end))
        if right <= left:
            continue
        for axes in column:
            axes.axvspan(left, right, color=SHADE if number % 2 else BAND, linewidth=0, zorder=0)
        where = ((left + right) / 2 - first) / width
        column[0].annotate(
            shorten(label, 24),
            (where, 1.03 + 0.11 * (number % 2)),
            xycoords="axes fraction",
            ha="center",
            fontsize=7,
            color=MUTED,
        )
    column[0].set_xlim(first, last)


def _limits(lines: Sequence[pd.Series]) -> tuple[float, float]:
    """Every gain, and the losses of the better half by where they end: a hopeless model must not flatten the others."""
    ranked = sorted(lines, key=lambda line: float(line.iloc[-1]), reverse=True)
    kept = ranked[: max((len(ranked) + 1) // 2, 3)]
    low, high = min(0.0, *(float(line.min()) for line in kept)), max(0.0, *(float(line.max()) for line in lines))
    margin = 0.08 * (high - low) or 1.0
    return low - margin, high + margin


def _thinned(n: int, at_most: int = 160) -> NDArray[np.intp]:
    """Evenly spread positions that keep both ends: a sum that has already been taken loses only detail."""
    return np.unique(np.linspace(0, n - 1, min(n, at_most)).round().astype(np.intp))


def _line(axes: Any, x: Any, y: Any, look: Look, **options: Any) -> None:
    (line,) = axes.plot(x, y, color=look.mark, **options)
    if look.dashes:
        line.set_dashes([float(number) for number in look.dashes.split()])


def weeks_ahead(horizon: int) -> str:
    """A horizon in words."""
    return "1 week ahead" if horizon == 1 else f"{horizon} weeks ahead"


def shorten(text: str, longest: int) -> str:
    """One printable line of at most ``longest`` characters."""
    line = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return line if len(line) <= longest else line[: longest - 1].rstrip() + "…"
