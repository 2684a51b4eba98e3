"""A daily slope of reserve demand in real time, and how good the daily reserves under it are. Prints Markdown.

Published estimates use confidential daily data. What can be had from public ones is a proxy of daily reserves: the Treasury's
account, overnight reverse repo and standing repo day by day, the rest spread between weekly statements
(``forecast.features.daily_reserves``). It begins with the daily account, in June 2021: years of abundance, so this is a
demonstration and no test of the model.

First the proxy is held against Wednesday levels of reserves, which it is never shown. Then the drifting slope is estimated
every five business days of 2022 to June 2025 with only what was public then, for every pair of memories (lambda, kappa) of
a grid that was fixed beforehand, ten lags, five days after an innovation; beside it the weekly model. Twice: on history as
it was known at the origin, where a day rests on the averages of later weeks too, and on rows as each was known the day
after, where every publication of an average is a jump. EFFR hardly moved against the rate on reserves in those years; SOFR did. No choice
is made by it.

    forecast data import DIR
    python benchmarks/daily_slope.py [--spread sofr_iorb] [--out slopes.csv] [--picture slopes.svg]
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from rich.progress import track
from threadpoolctl import threadpool_limits

import forecast.features  # noqa: F401  features register on import
from forecast.calendar import business_calendar
from forecast.data.store import load_vintages
from forecast.data.vintages import Panel, Vintages
from forecast.features.daily_reserves import daily_design, daily_reserve_ratio, daily_reserves
from forecast.features.feature_set import Design, FeatureSet
from forecast.features.transforms import at, every_day
from models.reserve_demand.drifting_slope import DriftingSlope, FittedDriftingSlope
from models.reserve_demand.forgetting_filter import draw_parameters, instrumental_slope

type Array = NDArray[np.float64]

FIRST, LAST = "2022-01-03", "2025-06-30"
EVERY = 5  # business days
PROXY_SINCE = "2021-07-01"
GRID = [(memory, volatility) for memory in (0.995, 0.998) for volatility in (0.98, 0.995)]  # lambda, kappa
WEEKLY_SINCE = "2009-01-01"
PROBS = (0.025, 0.16, 0.5, 0.84, 0.975)
N_DRAWS, SEED = 2000, 1
# Variance that rounding to whole basis points hides of the spread; bp squared.
ROUNDING = np.array([0.0, 1 / 12])
# After the Treasury's statement for the day before, 16:00, and before the weekly statement, 16:30.
EVE = pd.Timedelta(hours=16, minutes=15)
CLOSE = pd.Timedelta(hours=17)
HISTORY, KNOWN, WEEKLY = "daily, history", "daily, as known", "weekly"


def business_days(first: str, last: str) -> pd.DatetimeIndex:
    """Of the Federal Reserve."""
    days = pd.date_range(first, last, freq="D", unit="us")
    return days[np.is_busday(days.to_numpy().astype("datetime64[D]"), busdaycal=business_calendar("fed"))]


# --------------------------------------------------------------------------- the proxy


@dataclass(frozen=True, slots=True)
class KnownRows:
    """Each day's row of the proxy as it was first known, at 16:15 on the next day of business of both Fed and Treasury.

    reserves : (T,) usd_bn; missing where the statement of that week was out already
    ratio    : (T,) percent of bank assets
    since    : (T,) instant at which the row was first known, New York time
    """

    reserves: pd.Series
    ratio: pd.Series
    since: pd.Series

    def ratio_by(self, origin: pd.Timestamp) -> pd.Series:
        """The ratio of the days that were known at an instant."""
        return self.ratio[self.since <= origin]


def first_known(vintages: Vintages) -> KnownRows:
    rows: list[tuple[pd.Timestamp, float, float, pd.Timestamp]] = []
    for day in track(business_days(PROXY_SINCE, LAST)[1:], description="proxy day by day"):
        panel = vintages.as_of(day + EVE)
        proxy, ratio = daily_reserves(panel), daily_reserve_ratio(panel)
        for new in proxy.reserves.index[proxy.reserves.index > (rows[-1][0] if rows else proxy.benchmarked)]:
            unseen = float(proxy.reserves[new]) if new > proxy.benchmarked else np.nan
            rows.append((new, unseen, float(ratio[new]), panel.as_of))
    table = pd.DataFrame(rows, columns=["day", "reserves", "ratio", "since"]).set_index("day")
    return KnownRows(table["reserves"], table["ratio"], table["since"])


def straight_lines(averages: pd.Series, days: pd.DatetimeIndex) -> Array:
    """Plain interpolation: week averages stand at the middle of their weeks, Sundays."""
    middle = pd.DatetimeIndex(averages.index) - pd.Timedelta(days=3)
    return np.asarray(np.interp(days.asi8, middle.as_unit(days.unit).asi8, averages.to_numpy(dtype=float)))


def wednesday_errors(panel: Panel, known: KnownRows) -> pd.DataFrame:
    """Each estimate of the Wednesday level less the level, usd_bn, by Wednesday."""
    levels = panel.series("reserves_wednesday").loc[PROXY_SINCE:LAST]
    averages, wednesdays = panel.series("reserves_average"), pd.DatetimeIndex(levels.index)
    week_before = wednesdays - pd.Timedelta(days=7)
    estimates = {
        "once the week is published: proxy": at(every_day(daily_reserves(panel).reserves), wednesdays),
        "once the week is published: straight lines between week averages": straight_lines(averages, wednesdays),
        "once the week is published: the week's average": at(averages, wednesdays),
        "on the eve: proxy": at(every_day(known.reserves), wednesdays),
        "on the eve: last week's average": at(averages, week_before),
        "on the eve: last Wednesday's level": at(panel.series("reserves_wednesday"), week_before),
    }
    return pd.DataFrame(estimates, wednesdays).sub(levels, axis=0)


def error_lines(errors: pd.DataFrame) -> Iterator[str]:
    yield "| Wednesday level of reserves | mean absolute error, USD bn | median | root mean square | largest | n |"
    yield "|---|---:|---:|---:|---:|---:|"
    for name, column in errors.items():
        size = column.abs().dropna()
        numbers = (size.mean(), size.median(), np.sqrt((size**2).mean()), size.max())
        yield f"| {name} | {' | '.join(f'{each:.1f}' for each in numbers)} | {len(size)} |"


# --------------------------------------------------------------------------- the slopes


def spec(spread: str, memory: float, volatility: float) -> DriftingSlope:
    return DriftingSlope(
        spread, lags=10, forgetting=memory, volatility=volatility, weeks_after=5, spacing="business_day"
    )


def label(memory: float, volatility: float) -> str:
    return f"λ {memory:g}, κ {volatility:g}"


def latest(fitted: FittedDriftingSlope, rng: np.random.Generator) -> dict[str, float]:
    """Quantiles of the slope now, and least squares over the same window; bp per percentage point of bank assets."""
    B, G = draw_parameters([fitted.folded.state.moments], N_DRAWS, rng, least=ROUNDING)
    slopes = instrumental_slope(B[:, 0], (G @ G.swapaxes(-1, -2))[:, 0], fitted.spec.weeks_after)
    quantiles = dict(zip(map(str, PROBS), map(float, np.quantile(slopes, PROBS)), strict=True))
    return quantiles | {"least squares": float(fitted.least_squares_slope().iloc[-1])}


def weekly_design(panel: Panel, spread: str) -> Design:
    model = DriftingSlope(spread)
    full = FeatureSet(model.targets, model.features).build(panel)
    return replace(full, targets=full.targets.loc[WEEKLY_SINCE:], features=full.features.loc[WEEKLY_SINCE:])


def designs(panel: Panel, known: KnownRows, spread: str) -> Mapping[str, Design]:
    """What can be estimated on at an origin, by kind."""
    history = daily_design(panel, spread)
    rows = known.ratio_by(panel.as_of).reindex(history.targets.index).to_frame("reserve_ratio")
    return {HISTORY: history, KNOWN: replace(history, features=rows), WEEKLY: weekly_design(panel, spread)}


def real_time_slopes(vintages: Vintages, known: KnownRows, spread: str) -> pd.DataFrame:
    """One row an origin, kind of rows and pair of memories."""
    daily = {label(*pair): spec(spread, *pair) for pair in GRID}
    specs = {HISTORY: daily, KNOWN: daily, WEEKLY: {"its defaults": DriftingSlope(spread)}}
    fits: dict[tuple[str, str], FittedDriftingSlope] = {}
    rows = []
    for day in track(business_days(FIRST, LAST)[::EVERY], description="origins"):
        for kind, design in designs(vintages.as_of(day + CLOSE), known, spread).items():
            for name, model in specs[kind].items():
                before, rng = fits.get((kind, name)), np.random.default_rng(SEED)
                fitted = model.fit(design, rng=rng) if before is None else before.update(design)
                fits[kind, name] = fitted
                rows.append({"origin": day, "rows": kind, "memories": name} | latest(fitted, rng))
    return pd.DataFrame(rows)


def half_year(day: pd.Timestamp) -> str:
    return f"{day.year}H{1 if day.month <= 6 else 2}"


def slope_lines(slopes: pd.DataFrame) -> Iterator[str]:
    """One line a half-year, one table a kind of rows: medians and 95 % limits, averaged over origins."""
    halves = slopes.assign(half=slopes["origin"].map(half_year))
    for kind, part in halves.groupby("rows", sort=False):
        names = list(dict.fromkeys(part["memories"]))
        yield f"\n{kind}: median [95 %], least squares with the same memory\n"
        yield f"| half-year | origins | {' | '.join(names)} |"
        yield f"|---|---:|{'---|' * len(names)}"
        for half, here in part.groupby("half"):
            means = here.groupby("memories").mean(numeric_only=True)
            cells = [_cell(dict(means.loc[name])) for name in names]
            yield f"| {half} | {here['origin'].nunique()} | {' | '.join(cells)} |"


def _cell(mean: Mapping[str, float]) -> str:
    low, middle, high = (mean[str(p)] for p in (PROBS[0], PROBS[2], PROBS[-1]))
    return f"{middle:+.2f} [{low:+.2f}, {high:+.2f}], {mean['least squares']:+.2f}"


def movement(panel: Panel, spread: str) -> str:
    """How much there is to explain."""
    moved = daily_design(panel, spread).targets[spread].loc[FIRST:LAST].dropna().diff().iloc[1:] != 0
    return f"{spread} moved on {int(moved.sum())} of {len(moved)} days, {FIRST} to {LAST}."


# --------------------------------------------------------------------------- the picture


def picture(slopes: pd.DataFrame) -> str:
    """One panel a pair of memories: daily slope with 68 and 95 % bands, on rows as known, and weekly; an SVG document."""
    from pictures.make import standalone

    from forecast.report.svg import MUTED, drawn, hue

    def draw(figure: Any) -> None:
        grid = figure.subplots(2, 2, sharex=True, sharey=True)
        weekly = slopes[slopes["rows"] == WEEKLY]
        for axes, pair in zip(grid.flat, GRID, strict=True):
            mine = slopes[slopes["memories"] == label(*pair)]
            history, known = (mine[mine["rows"] == kind] for kind in (HISTORY, KNOWN))
            for low, high, alpha in ((PROBS[0], PROBS[4], 0.15), (PROBS[1], PROBS[3], 0.3)):
                axes.fill_between(
                    history["origin"],
                    history[str(low)],
                    history[str(high)],
                    color=hue(0).mark,
                    alpha=alpha,
                    linewidth=0,
                )
            for rows, colour, dashes, name in (
                (history, hue(0).mark, "-", "daily, 68 and 95 % bands"),
                (known, hue(1).mark, "-", "daily, rows as known the day after"),
                (weekly, MUTED, "--", "weekly"),
            ):
                axes.plot(rows["origin"], rows["0.5"], color=colour, linestyle=dashes, label=name)
            axes.axhline(0, color=MUTED, linewidth=0.6)
            axes.set_title(label(*pair), loc="left")
        for axes in grid[:, 0]:
            axes.set_ylabel("bp per point of bank assets")
        handles, names = grid[0, 0].get_legend_handles_labels()
        figure.legend(handles, names, loc="upper left", ncols=3, frameon=False, borderpad=0)

    return standalone(drawn(draw, height=5.6, name="daily-slope", margins=(0.72, 0.08, 0.62, 0.3)))


def main() -> None:
    parser = argparse.ArgumentParser(description="A daily slope of reserve demand, in real time.")
    parser.add_argument("--spread", default="effr_iorb", help="daily feature over the rate on reserves")
    parser.add_argument("--out", type=Path, help="CSV of every slope")
    parser.add_argument("--picture", type=Path, help="SVG file to write")
    arguments = parser.parse_args()
    vintages = load_vintages()
    with threadpool_limits(1):
        known = first_known(vintages)
        print("\n".join(error_lines(wednesday_errors(vintages.final(), known))))
        slopes = real_time_slopes(vintages, known, arguments.spread)
        print("\n" + movement(vintages.final(), arguments.spread))
    print("\n".join(slope_lines(slopes)))
    if arguments.out:
        slopes.to_csv(arguments.out, index=False)
    if arguments.picture:
        arguments.picture.write_text(picture(slopes), encoding="utf-8")


if __name__ == "__main__":
    main()
