"""When would the models have warned? Runs them as of each week with only what was known then. Prints Markdown.

Defined before anything was run: a signal is four consecutive weeks in which P(slope now < -0.5 bp per percentage point
of bank assets) is above one half. One that begins before 2018 is a false alarm: published estimates call the curve flat
from 2012 to 2017. The first signal is the first that begins in 2018 or later; it is dated by its fourth week, when it
could be read. Priors, dated steps and data releases are those of the origin. A model that is slow to fit is asked every
few weeks and stands by its last answer in between.

    forecast data import DIR
    python benchmarks/real_time_signals.py --workers 4 --out signals.csv
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from rich.progress import track

import forecast.features  # noqa: F401  features register on import
from forecast import registry
from forecast.answers.ampleness import TellsAmpleness
from forecast.data.store import load_vintages
from forecast.data.vintages import Vintages
from forecast.errors import ForecastError
from forecast.features.feature_set import Design, FeatureSet

FIRST, LAST, WINDOW = "2014-01-02", "2019-09-26", "2009-01-01"
STEEP, LIKELY, RUN = -0.5, 0.5, 4  # bp per percentage point, probability, weeks
ALARM_BEFORE = pd.Timestamp("2018-01-01")
ASKED_ON = ("2018-06-27", "2019-03-27", "2019-09-11")

CENTRES = (8.0, 12.0, 16.0)  # of the prior of the kink, percent of bank assets
CONSTANT = {"kink": "constant", "volatility": "constant"}
# Label -> registered model, options, every how many weeks.
MODELS: Mapping[str, tuple[str, Mapping[str, Any], int]] = {
    **{f"satiation, prior {k:g}": ("satiation_curve", {"kink_mean": k}, 4 if k == 12 else 8) for k in CENTRES},
    **{f"satiation, constant kink, prior {k:g}": ("satiation_curve", CONSTANT | {"kink_mean": k}, 2) for k in CENTRES},
    "kinked curve": ("kinked_curve", {}, 1),
    "logistic curve": ("curve_family", {}, 1),
    "log curve": ("log_curve", {}, 1),
    "straight line": ("linear_slope", {}, 1),
    "drifting slope": ("drifting_slope", {}, 1),
    "time-varying regression": ("time_varying_regression", {}, 4),
    "time-varying VAR": ("time_varying_var", {}, 4),
}


def design_at(vintages: Vintages, model: Any, origin: pd.Timestamp) -> Design:
    """What the model could see, from the first row of the window on."""
    full = FeatureSet(model.targets, model.features).build(vintages.as_of(origin))
    return replace(full, targets=full.targets.loc[WINDOW:], features=full.features.loc[WINDOW:])


def chance(vintages: Vintages, name: str, options: Mapping[str, Any], origin: pd.Timestamp) -> tuple[float, str]:
    """P(slope now < -0.5) at an origin, or why there is none."""
    from threadpoolctl import threadpool_limits

    model = registry.create(name, dict(options))
    with threadpool_limits(1):
        try:
            fitted = model.fit(design_at(vintages, model, origin), rng=np.random.default_rng(origin.toordinal()))
            if not isinstance(fitted, TellsAmpleness):
                return np.nan, "has no slope"
            return fitted.ampleness().slope_below(STEEP), ""
        except ForecastError as error:
            return np.nan, f"{type(error).__name__}: {error}"


def chances(vintages: Vintages, labels: list[str], workers: int) -> pd.DataFrame:
    """One row an origin and label."""
    weeks = pd.date_range(FIRST, LAST, freq="W-THU") + pd.Timedelta(hours=17)
    asked = [(label, week) for label in labels for i, week in enumerate(weeks) if i % MODELS[label][2] == 0]
    jobs = (delayed(chance)(vintages, *MODELS[label][:2], week) for label, week in asked)
    found = Parallel(n_jobs=workers, return_as="generator")(jobs)
    results = list(track(found, total=len(asked), description="fits"))
    rows = [(label, week, *result) for (label, week), result in zip(asked, results, strict=True)]
    return pd.DataFrame(rows, columns=["model", "origin", "chance", "reason"])


def standing(rows: pd.DataFrame, every: int) -> pd.Series:
    """Answers by week; one that is asked every few weeks stands until the next."""
    weeks = pd.date_range(rows["origin"].min(), pd.Timestamp(LAST) + pd.Timedelta(hours=17), freq="7D")
    return rows.set_index("origin")["chance"].reindex(weeks, method="ffill", limit=every - 1 or None)


def signals(chance: pd.Series, run: int = RUN) -> list[pd.Timestamp]:
    """Weeks that complete a run of ``run`` consecutive origins above one half, one a run."""
    above = (chance > LIKELY).to_numpy()
    length, found = 0, []
    for week, yes in zip(chance.index, above, strict=True):
        length = length + 1 if yes else 0
        if length == run:
            found.append(week)
    return found


def said_on(chance: pd.Series, day: str) -> str:
    """The latest probability that could be read on a day."""
    known = chance[chance.index <= pd.Timestamp(day) + pd.Timedelta(days=1)].dropna()
    return f"{known.iloc[-1]:.2f}" if len(known) else "none"


def table(found: pd.DataFrame) -> str:
    """Markdown: one line a model."""
    head = "| model | first signal | false alarms 2014-17 | " + " | ".join(ASKED_ON) + " | asked | failed |"
    lines = [head, "|---|---|---:|" + "---:|" * (len(ASKED_ON) + 2)]
    for label, rows in found.groupby("model", sort=False):
        series = standing(rows, MODELS[str(label)][2])
        dates = signals(series)
        early = [date for date in dates if date < ALARM_BEFORE]
        first = next((f"{date:%Y-%m-%d}" for date in dates if date >= ALARM_BEFORE), "none")
        if early and (series[(series.index >= early[-1]) & (series.index < ALARM_BEFORE)] > LIKELY).all():
            first = f"standing since {early[-1]:%Y-%m-%d}"
        cells = [str(label), first, str(len(early)), *(said_on(series, day) for day in ASKED_ON)]
        lines.append(f"| {' | '.join(cells)} | {len(rows)} | {int(rows['chance'].isna().sum())} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description="When would the models have warned?")
    parser.add_argument("--model", action="append", choices=list(MODELS), help="only these; may be repeated")
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--out", type=Path, help="CSV of every probability")
    arguments = parser.parse_args()
    found = chances(load_vintages(), arguments.model or list(MODELS), arguments.workers)
    if arguments.out:
        found.to_csv(arguments.out, index=False)
    print(table(found))
    for label, why in found[found["reason"] != ""].groupby("model")["reason"].first().items():
        print(f"\n{label}: {why}")


if __name__ == "__main__":
    main()
