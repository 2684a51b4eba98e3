"""Published facts about the reserve demand curve against public weekly data. Prints Markdown.

Published: steep in 2010-11 and 2018-19, flat in 2012-17 and from mid-2020. For each period P(slope < -0.25) as each model
tells it, beside the prior's own probability, quarter-end weeks in and out, with models whose slope may be positive. Then
x*(c) by sample, and a specification curve: every declared combination of choices, none chosen by its answer.

    forecast data import DIR
    python benchmarks/demand_curve_facts.py --workers 2
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray
from rich.progress import track

import forecast.features  # noqa: F401  features register on import
from forecast import registry
from forecast.answers.ampleness import TOLERANCES, Ampleness, TellsAmpleness
from forecast.data.store import load_vintages
from forecast.data.vintages import Vintages
from forecast.errors import ForecastError
from forecast.features.feature_set import Design, FeatureSet

type Array = NDArray[np.float64]

FLAT = -0.25  # bp per percentage point of bank assets
# Published sign of each period: steep or flat.
PERIODS: Mapping[str, tuple[str, str, str]] = {
    "2010-11": ("2010-01-01", "2011-12-31", "steep"),
    "2012-17": ("2012-01-01", "2017-12-31", "flat"),
    "2018H2-19": ("2018-07-01", "2019-12-31", "steep"),
    "mid-2020-24": ("2020-07-01", "2024-06-30", "flat"),
}
SAMPLES = {
    "2009-14": ("2009-01-01", "2014-12-31"),
    "2015-19": ("2015-01-01", "2019-12-31"),
    "2009-2025": ("2009-01-01", "2025-06-30"),
}
MODELS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "satiation curve": ("satiation_curve", {}),
    "logistic curve": ("curve_family", {}),
    "kinked curve": ("kinked_curve", {}),
    "log curve": ("log_curve", {}),
    "straight line": ("linear_slope", {}),
    "drifting slope": ("drifting_slope", {}),
    "time-varying regression": ("time_varying_regression", {}),
    "time-varying VAR": ("time_varying_var", {}),
}
# Every combination of these is one line of the specification curve.
CHOICES: Mapping[str, Mapping[str, Mapping[str, Any]]] = {
    "prior of the kink": {"Normal(12, 4)": {}, "flat": {"kink_prior": "flat"}},
    "persistence": {"phi < 0.95": {"phi_max": 0.95}, "phi < 0.8": {"phi_max": 0.8}},
    "dated steps": {"steps": {"steps": True}, "no steps": {"steps": False}},
    "quarter-end weeks": {"in": {}, "out": {}},
}


def design_of(vintages: Vintages, model: Any, first: str, last: str, *, quarter_ends: bool = True) -> Design:
    """Final data between two days; without quarter-end weeks their spread counts as missing."""
    wanted = tuple(dict.fromkeys((*model.features, "quarter_end_week")))
    full = FeatureSet(model.targets, wanted).build(vintages.final())
    kept = full.features["quarter_end_week"].reindex(full.targets.index) == 0
    targets = full.targets if quarter_ends else full.targets.where(kept)
    features = full.features[list(model.features)]
    return replace(full, targets=targets.loc[first:last], features=features.loc[first:last])


def told(
    vintages: Vintages, name: str, options: Mapping[str, Any], sample: tuple[str, str], quarter_ends: bool
) -> Ampleness | str:
    """What a model says about a sample, or why it cannot."""
    from threadpoolctl import threadpool_limits

    model = registry.create(name, dict(options))
    if not quarter_ends and hasattr(model, "effects"):
        model = replace(model, effects=tuple(effect for effect in model.effects if effect != "quarter_end_week"))
    with threadpool_limits(1):
        try:
            design = design_of(vintages, model, *sample, quarter_ends=quarter_ends)
            fitted = model.fit(design, rng=np.random.default_rng(1))
        except ForecastError as error:
            return f"{type(error).__name__}: {error}"
        return fitted.ampleness() if isinstance(fitted, TellsAmpleness) else "has no slope"


def in_period(answer: Ampleness, period: str) -> Array:
    """(S, n) draws of the slope in the weeks of a period; no column if none is in the sample."""
    first, last, _ = PERIODS[period]
    return answer.slope[:, (answer.weeks >= first) & (answer.weeks <= last)]


def chance_steep(slope: Array) -> str:
    """P(slope < -0.25) averaged over weeks, because draws of a filter belong to one week each; and the median slope."""
    return f"{np.mean(slope < FLAT):.2f} ({np.median(slope):+.2f})" if slope.size else "no week"


def facts_line(label: str, quarter_ends: str, answer: Ampleness | str) -> str:
    if isinstance(answer, str):
        return f"| {label} | {quarter_ends} | {answer} |"
    cells = [chance_steep(in_period(answer, period)) for period in PERIODS]
    prior = f"{np.mean(answer.prior['slope'] < FLAT):.2f}" if "slope" in answer.prior else "none"
    return f"| {label} | {quarter_ends} | {' | '.join(cells)} | {prior} | {'yes' if answer.sign_free else 'no'} |"


def threshold_line(label: str, sample: str, answer: Ampleness | str) -> str:
    if isinstance(answer, str):
        return f"| {label} | {sample} | {answer} |"
    cells = []
    for c in TOLERANCES:
        draws = answer.thresholds.get(c)
        if draws is None:
            cells.append("no curve")
            continue
        inside = draws[np.isfinite(draws) & (draws > 0)]
        interval = "[{:.1f}, {:.1f}]".format(*np.quantile(inside, [0.05, 0.95])) if inside.size else ""
        cells.append(
            f"{np.median(inside):.1f} {interval}, reached {answer.reached(c):.2f}" if inside.size else "not reached"
        )
    return f"| {label} | {sample} | {' | '.join(cells)} |"


def run(
    vintages: Vintages, jobs: list[tuple[str, Mapping[str, Any], tuple[str, str], bool]], workers: int, what: str
) -> list[Ampleness | str]:
    found = Parallel(n_jobs=workers, return_as="generator")(delayed(told)(vintages, *job) for job in jobs)
    return list(track(found, total=len(jobs), description=what))


def print_facts(vintages: Vintages, workers: int) -> None:
    asked = [(label, ends) for label in MODELS for ends in (True, False)]
    jobs = [(*MODELS[label], SAMPLES["2009-2025"], ends) for label, ends in asked]
    heads = [f"{period}, published {sign}" for period, (_, _, sign) in PERIODS.items()]
    print(
        f"| model | quarter-end weeks | {' | '.join(heads)} | prior alone | sign free |\n"
        + "|---" * (len(heads) + 4)
        + "|"
    )
    for (label, ends), answer in zip(asked, run(vintages, jobs, workers, "periods"), strict=True):
        print(facts_line(label, "in" if ends else "out", answer))


def print_thresholds(vintages: Vintages, workers: int) -> None:
    asked = [(label, sample) for label in MODELS for sample in SAMPLES]
    jobs = [(*MODELS[label], SAMPLES[sample], True) for label, sample in asked]
    print(
        f"\n| model | sample | {' | '.join(f'x*({c:g})' for c in TOLERANCES)} |\n"
        + "|---" * (len(TOLERANCES) + 2)
        + "|"
    )
    for (label, sample), answer in zip(asked, run(vintages, jobs, workers, "thresholds"), strict=True):
        if isinstance(answer, str) or answer.thresholds:
            print(threshold_line(label, sample, answer))


def print_specification_curve(vintages: Vintages, workers: int) -> None:
    combinations = list(itertools.product(*(options.items() for options in CHOICES.values())))
    jobs = []
    for combination in combinations:
        options = {key: value for _, chosen in combination for key, value in chosen.items()}
        jobs.append(("satiation_curve", options, SAMPLES["2009-2025"], combination[-1][0] == "in"))
    heads = " | ".join([*CHOICES, *PERIODS, *(f"x*({c:g})" for c in TOLERANCES[:2])])
    print(f"\n| {heads} |\n" + "|---" * (len(CHOICES) + len(PERIODS) + 2) + "|")
    for combination, answer in zip(combinations, run(vintages, jobs, workers, "specifications"), strict=True):
        names = " | ".join(name for name, _ in combination)
        if isinstance(answer, str):
            print(f"| {names} | {answer} |")
            continue
        cells = [chance_steep(in_period(answer, period)) for period in PERIODS]
        for c in TOLERANCES[:2]:
            inside = answer.thresholds[c][np.isfinite(answer.thresholds[c]) & (answer.thresholds[c] > 0)]
            cells.append(
                "{1:.1f} [{0:.1f}, {2:.1f}]".format(*np.quantile(inside, [0.05, 0.5, 0.95]))
                if inside.size
                else "not reached"
            )
        print(f"| {names} | {' | '.join(cells)} |")


def main() -> None:
    parser = argparse.ArgumentParser(description="Published facts against public weekly data.")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--part", choices=["facts", "thresholds", "specifications"], action="append")
    arguments = parser.parse_args()
    vintages = load_vintages()
    parts = {"facts": print_facts, "thresholds": print_thresholds, "specifications": print_specification_curve}
    for part in arguments.part or parts:
        parts[part](vintages, arguments.workers)


if __name__ == "__main__":
    main()
