"""When would the models have warned? Runs them as of each week with only what was known then. Prints Markdown.

Defined before anything was run: a signal is four consecutive weeks in which P(slope now < -0.5 bp per percentage point
of bank assets) is above one half. One that begins before 2018 is a false alarm: published estimates call the curve flat
from 2012 to 2017. The first signal is the first that begins in 2018 or later; it is dated by its fourth week, when it
could be read. Priors, dated steps and data releases are those of the origin. A model that is slow to fit is asked every
few weeks and stands by its last answer in between.

A model that can be updated takes in each week the rows completed since, and is asked every week. Where a release has
revised an earlier row it begins again from the first, so that each answer is that of a fit on what was known in that week;
nothing is assumed of revisions. A late series holds back the rows of its weeks, never the origin.

Every answer is kept under FORECAST_HOME as soon as it is there: a run that was cut off goes on where it was, and asks again
where data, code or options have changed.

    forecast data import DIR
    python benchmarks/real_time_signals.py --workers 4 --out signals.csv
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from rich.progress import track

import forecast.features  # noqa: F401  features register on import
from forecast import registry
from forecast.answers.ampleness import TellsAmpleness
from forecast.backtest.fingerprints import data_digest, digest, entry_digest, package_code, series_digests
from forecast.backtest.plan import ModelEntry
from forecast.data.store import load_vintages
from forecast.data.vintages import Vintages
from forecast.errors import ForecastError
from forecast.features.feature_set import Design, FeatureSet
from forecast.home import home
from forecast.model import FittedModel, Model, Updatable, is_updatable

FIRST, LAST, WINDOW = "2014-01-02", "2019-09-26", "2009-01-01"
STEEP, LIKELY, RUN = -0.5, 0.5, 4  # bp per percentage point, probability, weeks
ALARM_BEFORE = pd.Timestamp("2018-01-01")
ASKED_ON = ("2018-06-27", "2019-03-27", "2019-09-11")

CENTRES = (8.0, 12.0, 16.0)  # of the prior of the kink, percent of bank assets
# Label -> registered model, options, every how many weeks.
MODELS: Mapping[str, tuple[str, Mapping[str, Any], int]] = {
    **{f"satiation, prior {k:g}": ("satiation_curve", {"kink_mean": k}, 4 if k == 12 else 8) for k in CENTRES},
    "kinked curve": ("kinked_curve", {}, 1),
    "logistic curve": ("curve_family", {}, 1),
    "log curve": ("log_curve", {}, 1),
    "straight line": ("linear_slope", {}, 1),
    "drifting slope": ("drifting_slope", {}, 1),
    "online regression": ("online_regression", {}, 1),
    "online VAR": ("online_var", {}, 1),
    "time-varying regression": ("time_varying_regression", {}, 4),
    "time-varying VAR": ("time_varying_var", {}, 4),
}
# Any number will do for an updatable model, whose fit must have the same generator at every origin.
_SEED = 1


def design_at(vintages: Vintages, model: Model, origin: pd.Timestamp) -> Design:
    """What the model could see, from the first row of the window on."""
    full = FeatureSet(model.targets, model.features).build(vintages.as_of(origin))
    return replace(full, targets=full.targets.loc[WINDOW:], features=full.features.loc[WINDOW:])


def fitted_at(vintages: Vintages, model: Model, origin: pd.Timestamp, before: FittedModel | None) -> FittedModel:
    """The fit at an origin, from the one before it if the model can be updated."""
    design = design_at(vintages, model, origin)
    if is_updatable(model) and isinstance(before, Updatable):
        return before.update(design)
    seed = _SEED if is_updatable(model) else origin.toordinal()
    return model.fit(design, rng=np.random.default_rng(seed))


def chance_of(fitted: FittedModel) -> tuple[float | None, str]:
    """P(slope now < -0.5), or why there is none."""
    if not isinstance(fitted, TellsAmpleness):
        return None, "has no slope"
    return fitted.ampleness().slope_below(STEEP), ""


# --------------------------------------------------------------------------- asking, and keeping what was said


@dataclass(frozen=True, slots=True)
class Question:
    """One model as of some weeks, in one process.

    key : of what the answers depend on beside the week
    """

    label: str
    key: str
    weeks: tuple[pd.Timestamp, ...]


def weeks_of(label: str) -> list[pd.Timestamp]:
    """Instants at which a model is asked."""
    weeks = pd.date_range(FIRST, LAST, freq="W-THU") + pd.Timedelta(hours=17)
    return list(weeks[:: MODELS[label][2]])


def specification(label: str) -> Model:
    """The model of a label."""
    name, options, _ = MODELS[label]
    return registry.create(name, dict(options))


def keys(vintages: Vintages, labels: Sequence[str]) -> dict[str, str]:
    """By label, a hash of code, options, data and of what a chance is."""
    series, found = series_digests(vintages), {}
    for label in labels:
        model, (name, options, _) = specification(label), MODELS[label]
        code = entry_digest(ModelEntry(label, name, options), model), package_code()
        found[label] = digest(*code, data_digest({*model.targets, *model.features}, series), WINDOW, STEEP, _SEED)
    return found


def questions(keys: Mapping[str, str], answered: pd.DataFrame) -> list[Question]:
    """What has no answer yet; all weeks of an updatable model at once, those of others one by one."""
    there, found = set(zip(answered["model"], answered["origin"], strict=True)), list[Question]()
    for label, key in keys.items():
        missing = [week for week in weeks_of(label) if (label, week) not in there]
        together = [tuple(missing)] if is_updatable(specification(label)) else [(week,) for week in missing]
        found += [Question(label, key, weeks) for weeks in together if weeks]
    # A sequence that cannot be divided begins first.
    return sorted(found, key=lambda question: -len(question.weeks))


def answer(vintages: Vintages, question: Question, path: Path) -> None:
    """Ask a model week by week; each answer is a line of the file before the next is asked."""
    from threadpoolctl import threadpool_limits

    model, fitted = specification(question.label), None
    with threadpool_limits(1):
        for week in question.weeks:
            try:
                fitted = fitted_at(vintages, model, week, fitted)
                said, why = chance_of(fitted)
            except ForecastError as error:
                fitted, said, why = None, None, f"{type(error).__name__}: {error}"
            line = json.dumps(
                {"key": question.key, "model": question.label, "origin": f"{week}", "chance": said, "reason": why}
            )
            with path.open("a", encoding="utf-8") as file:
                file.write(f"\n{line}\n")  # the line before may have been cut off


def answers(path: Path, keys: Mapping[str, str]) -> pd.DataFrame:
    """What the file holds under some keys: one row a label and origin, in their order."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    rows = [row for row in whole(lines) if keys.get(row["model"]) == row["key"]]
    table = pd.DataFrame(rows, columns=["model", "origin", "chance", "reason"])
    table = table.assign(origin=pd.to_datetime(table["origin"]), chance=table["chance"].astype(float))
    place = table["model"].map({label: i for i, label in enumerate(keys)})
    return (
        table.assign(place=place)
        .drop_duplicates(["model", "origin"])
        .sort_values(["place", "origin"], ignore_index=True)
        .drop(columns="place")
    )


def whole(lines: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Lines that were written to their end."""
    for line in lines:
        try:
            yield json.loads(line)
        except json.JSONDecodeError:
            continue


def ask(vintages: Vintages, labels: Sequence[str], path: Path, workers: int) -> pd.DataFrame:
    """Every answer, those that are kept already included."""
    named = keys(vintages, labels)
    missing = questions(named, answers(path, named))
    path.parent.mkdir(parents=True, exist_ok=True)
    jobs = (delayed(answer)(vintages, question, path) for question in missing)
    done = Parallel(n_jobs=workers, return_as="generator_unordered")(jobs)
    for _ in track(done, total=len(missing), description="models"):
        pass
    return answers(path, named)


# --------------------------------------------------------------------------- what it means


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
    kept = home() / "real_time_signals.jsonl"
    found = ask(load_vintages(), arguments.model or list(MODELS), kept, arguments.workers)
    if arguments.out:
        found.to_csv(arguments.out, index=False)
    print(table(found))
    for label, why in found[found["reason"] != ""].groupby("model")["reason"].first().items():
        print(f"\n{label}: {why}")


if __name__ == "__main__":
    main()
