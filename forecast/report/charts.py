"""What the figures show: chosen by rule from a result, handed on as arrays."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from forecast.backtest.plan import BacktestPlan
from forecast.backtest.result import BacktestResult, quantile_column
from forecast.errors import ForecastError
from forecast.evaluation.calibration import coverage_by_horizon, pit_histogram
from forecast.registry import create
from forecast.report.figures import (
    FAN,
    Fan,
    coverage_lines,
    fan_chart,
    pit_histograms,
    score_differences,
)
from forecast.report.svg import Look
from forecast.report.tables import groups, number, unit_label

_EVEN = (1 / 6, 1 / 2, 5 / 6)  # where among the origins the evenly spread fans stand
_PAST_WEEKS = 26


@dataclass(frozen=True, slots=True)
class Chart:
    """A figure of the page.

    caption : what it shows, for readers and for screen readers
    svg     : the drawing
    models  : labels for the legend; none where the drawing names them itself
    """

    caption: str
    svg: str
    models: tuple[str, ...] = ()


def fans(
    result: BacktestResult,
    target: str,
    conditioning: str,
    models: Sequence[tuple[str, str]],
    styles: Mapping[str, Look],
) -> Chart | None:
    """Fan charts of a target at the origins of :func:`fan_origins`; None where the benchmark has no forecast of it."""
    forecasts = result.forecasts[result.forecasts["target"] == target]
    origins = fan_origins(result, target, models)
    if not origins:
        return None
    history = forecasts.drop_duplicates("period").set_index("period")["outcome"].dropna().sort_index()
    chosen = forecasts[forecasts["origin"].isin(list(origins)) & forecasts["model"].isin([m for m, _ in models])]
    by_cell = dict(groups(chosen, ["model", "conditioning", "origin"]))
    rows = [
        (name, styles[name], [_fan(by_cell.get((name, given, origin)), history) for origin in origins])
        for name, given in models
    ]
    unit = unit_label(str(forecasts["unit"].iloc[0]))
    svg = fan_chart(rows, list(origins.values()), unit=unit, name=f"fan {conditioning} {target}")
    last = "final values" if result.plan.outcome == "final" else "first releases"
    caption = f"{target}, {unit}: median (coloured line) and central 50, 80 and 95 % intervals, against outcomes (thin line, {last})."
    return Chart(caption, svg)


def fan_models(
    compared: pd.DataFrame, target: str, conditioning: str, *, benchmark: str, sampled: Collection[str]
) -> list[tuple[str, str]]:
    """(model, conditioning) of at most three: the benchmark, the best by CRPS on common cells, the best sampled one."""
    rows = compared[(compared["target"] == target) & (compared["conditioning"] == conditioning)]
    # Relative scores are averaged over horizons: in the target's unit the longest would decide alone.
    relative = (rows["mean"] / rows["benchmark"]).groupby(rows["model"], sort=False).mean().sort_values()
    ranked = [str(model) for model in relative.index]
    chosen = dict.fromkeys([*ranked[:1], *[model for model in ranked if model in sampled][:1]])
    return [(benchmark, "none"), *((model, conditioning) for model in chosen)]


def sampled_models(plan: BacktestPlan) -> set[str]:
    """Labels of the plan's models that are estimated by simulation, as far as they are installed here."""
    labels = set()
    for entry in plan.models:
        try:
            if create(entry.name, entry.options).sampled:
                labels.add(entry.label)
        except ForecastError:
            continue
    return labels


def fan_origins(result: BacktestResult, target: str, models: Sequence[tuple[str, str]]) -> dict[pd.Timestamp, str]:
    """Origins of the fans, in time order, with their headings.

    Among the origins that all the models have (or, if there are none, the benchmark's): those a sixth, a half and
    five sixths of the way, and the one where the benchmark's CRPS at the longest horizon was worst.
    """
    table = result.scorecard.table
    table = table[(table["target"] == target) & table["outcome"].notna()]
    own = [table[(table["model"] == name) & (table["conditioning"] == given)] for name, given in models]
    if own[0].empty:
        return {}
    common = set.intersection(*(set(rows["origin"]) for rows in own))
    asked = sorted(common or set(own[0]["origin"]))
    headings = {asked[int(place * len(asked))]: "" for place in _EVEN}
    shown = own[0][own[0]["origin"].isin(asked)]
    longest = shown[shown["horizon"] == shown["horizon"].max()]
    worst = longest.loc[longest["crps"].idxmax()]
    headings[worst["origin"]] = f" (worst: CRPS {number(worst['crps'])})"
    return {origin: f"{origin:%Y-%m-%d}{headings[origin]}" for origin in sorted(headings)}


def _fan(rows: pd.DataFrame | None, history: pd.Series) -> Fan | None:
    if rows is None:
        return None
    rows = rows.sort_values("horizon")
    origin_week = rows["period"].iloc[0] - pd.Timedelta(weeks=int(rows["horizon"].iloc[0]))
    past = history[history.index <= origin_week].iloc[-_PAST_WEEKS:]
    return Fan(
        past_weeks=((past.index - origin_week) / pd.Timedelta(weeks=1)).to_numpy(dtype=float),
        past=past.to_numpy(dtype=float),
        weeks=rows["horizon"].to_numpy(dtype=float),
        median=rows[quantile_column(0.5)].to_numpy(dtype=float),
        outcome=rows["outcome"].to_numpy(dtype=float),
        bands=np.array(
            [[rows[quantile_column(low)], rows[quantile_column(high)]] for low, high, _ in FAN], dtype=float
        ),
    )


def calibration(result: BacktestResult, target: str, conditioning: str, styles: Mapping[str, Look]) -> Iterator[Chart]:
    """PIT histograms and coverage of one target under one conditioning."""
    table = result.scorecard.table
    table = table[(table["target"] == target) & (table["conditioning"] == conditioning) & table["outcome"].notna()]
    if table.empty:
        return
    models = tuple(label for label in styles if (table["model"] == label).any())
    pits = {key: rows["pit"] for key, rows in groups(table, ["model", "horizon"])}
    histograms = {
        (model, int(horizon)): pit_histogram(pits[model, horizon])
        for model in models
        for horizon in result.plan.horizons
        if (model, horizon) in pits
    }
    yield Chart(
        f"{target}: histograms of the probability integral transform, ten bins from 0 to 1.",
        pit_histograms(histograms, styles, name=f"pit {conditioning} {target}"),
    )
    yield Chart(
        f"{target}: percent of outcomes inside the central intervals, by weeks ahead (log scale).",
        coverage_lines(coverage_by_horizon(table), styles, name=f"coverage {conditioning} {target}"),
        models,
    )


def differences(result: BacktestResult, target: str, conditioning: str, styles: Mapping[str, Look]) -> Chart | None:
    """Cumulative CRPS differences against the benchmark over origins; None without a model to compare."""
    plan, table = result.plan, result.scorecard.table
    table = table[(table["target"] == target) & table["outcome"].notna()]
    unconditional = (table["model"] == plan.benchmark) & (table["conditioning"] == "none")
    benchmark = table[unconditional].set_index(["horizon", "origin"])["crps"]
    others = table[(table["model"] != plan.benchmark) & (table["conditioning"] == conditioning)].sort_values("origin")
    panels: dict[int, dict[str, pd.Series]] = {}
    for (horizon, model), rows in others.groupby(["horizon", "model"]):
        own = rows.set_index(["horizon", "origin"])["crps"]
        gain = (benchmark.reindex(own.index) - own).dropna().droplevel("horizon")
        if len(gain):
            gain.index = pd.DatetimeIndex(gain.index).tz_localize(None)
            panels.setdefault(int(horizon), {})[str(model)] = gain.cumsum()  # type: ignore[call-overload]
    if not panels:
        return None
    unit = unit_label(str(table["unit"].iloc[0]))
    regimes = [(regime.name, regime.first, regime.last) for regime in plan.regimes]
    caption = f"{target}: CRPS of {plan.benchmark} minus CRPS of each model, in {unit}, summed over the origins that both have."
    svg = score_differences(panels, styles, regimes, unit=unit, name=f"differences {conditioning} {target}")
    models = {model for lines in panels.values() for model in lines}
    return Chart(caption, svg, tuple(label for label in styles if label in models))
