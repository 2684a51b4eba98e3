"""Published facts about the reserve demand curve against public weekly data. Prints Markdown.

Published: steep in 2010-11 and 2018-19, flat in 2012-17 and from mid-2020. Parts, all by default:

    facts          P(slope < -0.25) by period as each model tells it, beside the prior's own, quarter-end weeks in and out
    instrument     the slope by period where this week's surprise of the Treasury's account moves reserves
    thresholds     x*(c) by sample, of the curves that are quick to fit
    information    the same of the satiation curve, and whether it is data or prior
    specifications every declared combination of choices, and choices one at a time; none is chosen by its answer

    forecast data import DIR
    python benchmarks/demand_curve_facts.py --workers 2
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
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
from models.reserve_demand.fitted_satiation import FittedSatiationCurve
from models.reserve_demand.satiation_prior import prior_bend
from models.reserve_demand.satiation_shape import curve_slope
from models.reserve_demand.treasury_surprise import surprise_slope, treasury_surprise

type Array = NDArray[np.float64]
type Options = Mapping[str, Any]

FLAT = -0.25  # bp per percentage point of bank assets
# Published sign of each period: steep or flat.
PERIODS: Mapping[str, tuple[str, str, str]] = {
    "2010-11": ("2010-01-01", "2011-12-31", "steep"),
    "2012-17": ("2012-01-01", "2017-12-31", "flat"),
    "2018H2-19": ("2018-07-01", "2019-12-31", "steep"),
    "mid-2020-24": ("2020-07-01", "2024-06-30", "flat"),
}
ALL = ("2009-01-01", "2025-06-30")
SAMPLES = {"2009-14": ("2009-01-01", "2014-12-31"), "2015-19": ("2015-01-01", "2019-12-31"), "2009-2025": ALL}
MODELS: Mapping[str, tuple[str, Options]] = {
    "satiation curve, phi < 0.95": ("satiation_curve", {}),
    "satiation curve, phi < 0.8": ("satiation_curve", {"phi_max": 0.8}),
    "time-varying regression": ("time_varying_regression", {}),
    "time-varying VAR": ("time_varying_var", {}),
    "drifting slope": ("drifting_slope", {}),
    "kinked curve": ("kinked_curve", {}),
    "logistic curve": ("curve_family", {}),
    "log curve": ("log_curve", {}),
    "straight line": ("linear_slope", {}),
}
# Every combination of these is one line of the specification curve.
CHOICES: Mapping[str, Mapping[str, Options]] = {
    "prior of the kink": {"Normal(12, 4)": {}, "flat": {"kink_prior": "flat"}},
    "persistence": {"phi < 0.95": {}, "phi < 0.8": {"phi_max": 0.8}},
    "dated steps": {"steps": {}, "no steps": {"steps": False}},
    "quarter-end weeks": {"in": {}, "out": {}},
}
# One at a time, from the first of each choice above.
CHANGES: Mapping[str, Options] = {
    "phi < 0.99": {"phi_max": 0.99},
    "independent errors": {"errors": "independent"},
    "constant kink": {"kink": "constant"},
    "constant volatility": {"volatility": "constant"},
    "control function": {"control": True},
    "EFFR, SOFR and TGCR": {"spreads": ("effr_iorb", "sofr_iorb", "tgcr_iorb")},
}
CENTRES = (12.0, 8.0, 16.0)  # of the prior of the kink, percent of bank assets; the others lie 4 points from the first


@dataclass(frozen=True)
class Told:
    """What a fit says, small enough to come back from another process.

    steep      : by period, chance and median of the slope over its weeks, and the chance of its mean slope; empty without weeks
    prior      : by period, the first chance under the prior alone; empty without a prior
    thresholds : by tolerance, posterior and prior draws of x*(c) that have one, percent of bank assets
    sign_free  : whether the slope may be positive
    """

    steep: Mapping[str, tuple[float, float, float]]
    prior: Mapping[str, float]
    thresholds: Mapping[float, tuple[Array, Array]]
    reached: Mapping[float, float]
    sign_free: bool


def design_of(vintages: Vintages, model: Any, first: str, last: str, *, quarter_ends: bool = True) -> Design:
    """Final data between two days; without quarter-end weeks their spread counts as missing."""
    wanted = tuple(dict.fromkeys((*model.features, "quarter_end_week")))
    full = FeatureSet(model.targets, wanted).build(vintages.final())
    kept = full.features["quarter_end_week"].reindex(full.targets.index) == 0
    targets = full.targets if quarter_ends else full.targets.where(kept)
    features = full.features[list(model.features)]
    return replace(full, targets=targets.loc[first:last], features=features.loc[first:last])


def told(vintages: Vintages, name: str, options: Options, sample: tuple[str, str], quarter_ends: bool) -> Told | str:
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
            return f"{type(error).__name__}: {str(error).split(';')[0]}"  # a sampler may fail in many parameters
    if not isinstance(fitted, TellsAmpleness):
        return "has no slope"
    answer = fitted.ampleness()
    return Told(
        {period: steep for period in PERIODS if (steep := _steep(answer, period))},
        _prior(fitted, answer),
        {
            c: (_inside(draws), _inside(answer.prior.get(f"{c:g}", np.empty(0))))
            for c, draws in answer.thresholds.items()
        },
        {c: answer.reached(c) for c in answer.thresholds},
        answer.sign_free,
    )


def _weeks(weeks: pd.DatetimeIndex, period: str) -> NDArray[np.intp]:
    first, last, _ = PERIODS[period]
    return np.flatnonzero((weeks >= first) & (weeks <= last))


def _steep(answer: Ampleness, period: str) -> tuple[float, float, float] | None:
    slope = answer.slope[:, _weeks(answer.weeks, period)]
    if not slope.size:
        return None
    # Draws of a filter belong to one week each: they have no mean over weeks.
    of_mean = np.nan if answer.draws_are == "filter" else float(np.mean(slope.mean(axis=1) < FLAT))
    return float(np.mean(slope < FLAT)), float(np.median(slope)), of_mean


def _prior(fitted: Any, answer: Ampleness) -> dict[str, float]:
    """P(slope < -0.25) before any data. The satiation curve's depends on the week's ratio, the others' does not."""
    if "slope" not in answer.prior:
        return {}
    if not isinstance(fitted, FittedSatiationCurve):
        return dict.fromkeys(PERIODS, float(np.mean(answer.prior["slope"] < FLAT)))
    return {
        period: _prior_chance(fitted, answer, weeks)
        for period in PERIODS
        if (weeks := _weeks(answer.weeks, period)).size
    }


def _prior_chance(fitted: FittedSatiationCurve, answer: Ampleness, rows: NDArray[np.intp]) -> float:
    """Averaged over one week a quarter."""
    rng, density, below = np.random.default_rng(1), fitted.density, []
    for row in rows[::13]:
        week = int(np.searchsorted(fitted.sample.periods, answer.weeks[row]))
        shifters = fitted.sample.columns(density.shifters)[:, week]
        bend = prior_bend(density, fitted.kink_prior, 0, week, shifters, n=5_000, rng=rng)
        below.append(curve_slope(answer.ratio[row], *bend) < FLAT)
    return float(np.mean(below))


def _inside(draws: Array) -> Array:
    """Those of the draws at which the curve has the slope at some ratio."""
    return draws[np.isfinite(draws) & (draws > 0)]


# --------------------------------------------------------------------------- text


def row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def head(*cells: str) -> str:
    return f"\n{row(*cells)}\n{row(*['---'] * len(cells))}"


def steep_cells(found: Told) -> list[str]:
    """By period: chance averaged over the weeks (that of the period's mean slope; median slope)."""
    cells = []
    for period in PERIODS:
        if period not in found.steep:
            cells.append("no week")
            continue
        chance, median, of_mean = found.steep[period]
        cells.append(
            f"{chance:.2f} ({median:+.2f})" if np.isnan(of_mean) else f"{chance:.2f}, {of_mean:.2f} ({median:+.2f})"
        )
    return cells


def threshold_cell(found: Told, c: float) -> str:
    if c not in found.thresholds:
        return "no curve"
    draws = found.thresholds[c][0]
    if not draws.size:
        return "not reached"
    low, middle, high = np.quantile(draws, [0.05, 0.5, 0.95])
    return f"{middle:.1f} [{low:.1f}, {high:.1f}], reached {found.reached[c]:.2f}"


type Job = tuple[str, Options, tuple[str, str], bool]  # model, options, sample, quarter-end weeks in


def run(vintages: Vintages, jobs: Sequence[Job], workers: int, what: str) -> Iterator[Told | str]:
    """Answers in the order of the jobs, each as soon as it is there."""
    found = Parallel(n_jobs=workers, return_as="generator")(delayed(told)(vintages, *job) for job in jobs)
    return iter(track(found, total=len(jobs), description=what))


def print_facts(vintages: Vintages, workers: int) -> None:
    asked = [(label, ends) for label in MODELS for ends in (True, False)]
    answers = run(vintages, [(*MODELS[label], ALL, ends) for label, ends in asked], workers, "periods")
    heads = (f"{period}, published {sign}" for period, (_, _, sign) in PERIODS.items())
    print(head("model", "quarter-end weeks", *heads, "prior alone", "sign free"))
    for (label, ends), found in zip(asked, answers, strict=True):
        names = (label, "in" if ends else "out")
        if isinstance(found, str):
            print(row(*names, found), flush=True)
            continue
        prior = ", ".join(f"{chance:.2f}" for chance in found.prior.values()) or "none"
        print(row(*names, *steep_cells(found), prior, "yes" if found.sign_free else "no"), flush=True)


def print_instrument(vintages: Vintages, _workers: int) -> None:
    calendar = ("quarter_end_week", "month_end_week", "tax_week")
    full = FeatureSet(("effr_iorb",), ("reserve_ratio", "tga_level", *calendar)).build(vintages.final())
    rows = full.features.loc[full.targets.index].assign(spread=full.targets["effr_iorb"]).loc[ALL[0] : ALL[1]]
    rows = rows.assign(surprise=treasury_surprise(rows["tga_level"].to_numpy(), pd.DatetimeIndex(rows.index)))
    print(head("period", "slope", "95 % Anderson-Rubin set", "first-stage F"))
    for period, (first, last, _) in PERIODS.items():
        part = rows.loc[first:last]
        columns = (part[name].to_numpy() for name in ("reserve_ratio", "spread", "surprise"))
        try:
            found = surprise_slope(*columns, part[list(calendar)].to_numpy())
        except ForecastError as error:
            print(row(period, str(error)))
            continue
        print(row(period, f"{found.coefficients[0]:+.2f}", str(found.anderson_rubin), f"{found.F:.0f}"))


def print_thresholds(vintages: Vintages, workers: int) -> None:
    quick = [label for label, (name, _) in MODELS.items() if not registry.create(name).sampled]
    asked = [(label, sample) for label in quick for sample in SAMPLES]
    jobs = [(*MODELS[label], SAMPLES[sample], True) for label, sample in asked]
    print(head("model", "sample", *(f"x*({c:g})" for c in TOLERANCES)))
    for names, found in zip(asked, run(vintages, jobs, workers, "thresholds"), strict=True):
        if isinstance(found, str):
            print(row(*names, found), flush=True)
        elif found.thresholds:
            print(row(*names, *(threshold_cell(found, c) for c in TOLERANCES)), flush=True)


def print_information(vintages: Vintages, workers: int) -> None:
    """A posterior is information only if its sd is below half its prior's, and it moves by less than 1 pp with the centre."""
    asked = [(sample, phi) for sample in SAMPLES for phi in (0.95, 0.8)]
    jobs = [
        ("satiation_curve", {"phi_max": phi, "kink_mean": centre}, SAMPLES[sample], True)
        for sample, phi in asked
        for centre in CENTRES
    ]
    answers = run(vintages, jobs, workers, "information")
    print(head("sample", "phi <", "c", "x*(c)", "sd / prior sd", "moved by prior centre ± 4 pp", "information"))
    for sample, phi in asked:
        found = [next(answers) for _ in CENTRES]
        for c in TOLERANCES[:2]:
            print(row(sample, f"{phi:g}", f"{c:g}", *_information(found, c)), flush=True)


def _information(found: Sequence[Told | str], c: float) -> tuple[str, ...]:
    good = [one for one in found if isinstance(one, Told)]
    if len(good) < len(found):
        return (next(one for one in found if isinstance(one, str)),)
    posterior, prior = good[0].thresholds[c]
    middles = [float(np.median(one.thresholds[c][0])) for one in good]
    ratio, moved = posterior.std() / prior.std(), max(abs(middle - middles[0]) for middle in middles[1:])
    said = "yes" if ratio < 0.5 and moved < 1 else "no"
    return threshold_cell(good[0], c), f"{posterior.std():.2f} / {prior.std():.2f}", f"{moved:.2f} pp", said


def print_specifications(vintages: Vintages, workers: int) -> None:
    combinations = list(itertools.product(*(options.items() for options in CHOICES.values())))
    asked = [[name for name, _ in combination] for combination in combinations]
    jobs: list[Job] = []
    for combination in combinations:
        options = {key: value for _, chosen in combination for key, value in chosen.items()}
        jobs.append(("satiation_curve", options, ALL, combination[-1][0] == "in"))
    asked += [[change] for change in CHANGES]
    jobs += [("satiation_curve", options, ALL, True) for options in CHANGES.values()]
    print(head("specification", *PERIODS, *(f"x*({c:g})" for c in TOLERANCES[:2])))
    for names, found in zip(asked, run(vintages, jobs, workers, "specifications"), strict=True):
        if isinstance(found, str):
            print(row(", ".join(names), found), flush=True)
            continue
        thresholds = (threshold_cell(found, c) for c in TOLERANCES[:2])
        print(row(", ".join(names), *steep_cells(found), *thresholds), flush=True)


PARTS = {
    "facts": print_facts,
    "instrument": print_instrument,
    "thresholds": print_thresholds,
    "information": print_information,
    "specifications": print_specifications,
}


def main() -> None:
    parser = argparse.ArgumentParser(description="Published facts against public weekly data.")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--part", choices=list(PARTS), action="append")
    arguments = parser.parse_args()
    vintages = load_vintages()
    for part in arguments.part or PARTS:
        PARTS[part](vintages, arguments.workers)


if __name__ == "__main__":
    main()
