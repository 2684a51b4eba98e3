"""What was put into a simulated economy is found again: intervals cover as often as they say.

With the complications off that the model does not know of, coverage is a test. With all of them on
the model is wrong, and what it then finds is printed, not asserted: run with ``-m slow -s`` to read it.

RECOVERY_ECONOMIES=10 runs fewer. RECOVERY_RESULTS=DIR keeps what was found: a run that was cut off goes on there.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("pymc")

from scipy.stats import binom

from forecast.answers.true_curve import true_curve
from forecast.data.synthetic import Economy, Truth, simulate
from forecast.errors import DiagnosticsError
from forecast.features.feature_set import Design, FeatureSet
from models import _posterior
from models._posterior import flat
from models.reserve_demand.satiation_curve import SatiationCurve

type Array = np.ndarray

START = "2009-01-01"
SEEDS, SEEDS_OF_THE_FULL = 200, 100
CALM = {"drifting_kink": False, "vertical_shifts": False, "stochastic_volatility": False}

SPREAD = "effr_iorb"
# An interval's end needs fewer draws than a published number: 200 effective ones place it within a tenth of its width.
RUN: dict[str, Any] = {"chains": 2, "tune": 400, "draws": 750, "max_rhat": 1.02, "min_ess": 200.0}
CONSTANT = SatiationCurve(spreads=(SPREAD,), kink="constant", volatility="constant", steps=False, **RUN)
DRIFTING = SatiationCurve(spreads=(SPREAD,), volatility="constant", steps=False, **RUN)
FULL = SatiationCurve(spreads=(SPREAD,), steps=False, **RUN)
STEPPED = replace(CONSTANT, steps=True)
PROBS = (0.05, 0.25, 0.5, 0.75, 0.95)
ASKED = ("slope now", "slope where reserves are scarcest", "x*(-0.5)", "level in abundance")
COLUMNS = ("seed", "quantity", "truth", *(f"q{100 * prob:g}" for prob in PROBS))
FAILED = "failed"


def economy_design(economy: Economy, spec: SatiationCurve) -> tuple[Design, Truth]:
    """The weekly design at the end of the simulation, from 2009 on, and what is true."""
    import forecast.features  # noqa: F401  features register on import

    vintages, truth = simulate(economy)
    design = FeatureSet(spec.targets, spec.features).build(vintages.final())
    return replace(design, targets=design.targets.loc[START:], features=design.features.loc[START:]), truth


def tell(text: str) -> None:
    print(text, flush=True)  # noqa: T201  the numbers are what these tests are run for


def recover(seed: int, spec: SatiationCurve, options: dict[str, Any]) -> list[tuple[Any, ...]]:
    """Rows of seed, quantity, truth, and the 5, 25, 50, 75 and 95 percent quantiles; one row if the sampler failed."""
    _posterior._THREADS = 1  # economies run side by side; draws do not depend on it
    design, truth = economy_design(Economy(seed=seed, **options), spec)
    try:
        fitted = spec.fit(design, rng=np.random.default_rng(seed))
    except DiagnosticsError as error:
        tell(f"seed {seed}: {error}")
        return [(seed, FAILED, *[np.nan] * (1 + len(PROBS)))]
    answer = fitted.ampleness()
    true = true_curve(truth, SPREAD, answer.weeks[-1], np.array([40.0]))
    lowest = int(answer.ratio.argmin())
    draws = {
        "kink": (truth.weekly["kink"].loc[START:].mean(), fitted.kinks().mean(axis=1)),
        "beta": (truth.beta, flat(fitted.posterior, "beta")[:, 0]),
        "slope now": (true.slope.iloc[-1], answer.slope[:, -1]),
        "slope where reserves are scarcest": (true.slope.loc[answer.weeks[lowest]], answer.slope[:, lowest]),
        "x*(-0.5)": (true.thresholds[-0.5], answer.thresholds[-0.5]),
        "level in abundance": (true.spread[0], flat(fitted.posterior, "alpha")[:, 0]),
    }
    return [(seed, name, value, *np.quantile(found, PROBS)) for name, (value, found) in draws.items()]


def economies(spec: SatiationCurve, options: dict[str, Any], seeds: list[int]) -> Iterator[list[tuple[Any, ...]]]:
    """As each ends: the first alone, because it compiles what the others find compiled, then three at a time."""
    from joblib import Parallel, delayed

    yield from (recover(seed, spec, options) for seed in seeds[:1])
    jobs = (delayed(recover)(seed, spec, options) for seed in seeds[1:])
    yield from Parallel(n_jobs=3, return_as="generator_unordered")(jobs)


def recover_all(
    title: str, spec: SatiationCurve, options: dict[str, Any], n: int, folder: Path
) -> tuple[dict[str, Array], int]:
    """(fits that converged, 6) by quantity, and how many were asked; every economy is on disk as soon as it ends."""
    folder = Path(os.environ.get("RECOVERY_RESULTS", folder))
    n = min(n, int(os.environ.get("RECOVERY_ECONOMIES", n)))
    path = folder / f"{title}.csv"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text(",".join(COLUMNS) + "\n")
    left = sorted(set(range(n)) - set(pd.read_csv(path)["seed"]))
    began = perf_counter()
    for done, rows in enumerate(economies(spec, options, left), start=1):
        with path.open("a", newline="") as file:
            csv.writer(file).writerows(rows)
        tell(f"{title}: seed {rows[0][0]}, {done} of {len(left)} in {perf_counter() - began:.0f} s")
    table = pd.read_csv(path)
    found = {
        str(name): rows[list(COLUMNS[2:])].to_numpy()
        for name, rows in table[(table["seed"] < n) & (table["quantity"] != FAILED)].groupby("quantity", sort=False)
    }
    report(title, found, n)
    return found, n


def inside(table: Array, level: int) -> int:
    """Intervals of 50 or 90 percent that hold the truth."""
    low, high = {50: (2, 4), 90: (1, 5)}[level]
    return int(((table[:, low] <= table[:, 0]) & (table[:, 0] <= table[:, high])).sum())


def bounds(n: int, level: int) -> tuple[int, int]:
    """Hits of n calibrated intervals, but for half a percent on either side."""
    low, high = binom.ppf([0.005, 0.995], n, level / 100)
    return int(low), int(high)


def report(title: str, found: dict[str, Array], asked: int) -> None:
    n = len(found["kink"])
    tell(f"\n{title}: {n} of {asked} converged; calibrated: 50 % {bounds(n, 50)}, 90 % {bounds(n, 90)}")
    for name, table in found.items():
        bias, wide = (table[:, 3] - table[:, 0]).mean(), np.median(table[:, 5] - table[:, 1])
        tell(f"  {name}: 50 % {inside(table, 50)}, 90 % {inside(table, 90)}; bias {bias:.2f}, 90 % width {wide:.2f}")


def require_coverage(found: dict[str, Array], asked: int) -> None:
    """Intervals of 50 and of 90 percent cover as often as they say, and hardly a sampler fails."""
    n = len(found["kink"])
    assert n >= 0.95 * asked
    outside = [
        (name, level, inside(found[name], level), bounds(n, level))
        for name in ASKED
        for level in (50, 90)
        if not bounds(n, level)[0] <= inside(found[name], level) <= bounds(n, level)[1]
    ]
    assert not outside


@pytest.mark.slow
def test_slope_threshold_and_level_are_recovered_where_the_kink_stands_still(tmp_path: Path) -> None:
    found, asked = recover_all("constant kink", CONSTANT, CALM, SEEDS, tmp_path)
    # Percentage points: an interval that covers because it is wide would tell nothing.
    assert np.median(found["kink"][:, 5] - found["kink"][:, 1]) < 0.5
    require_coverage(found, asked)


@pytest.mark.slow
def test_slope_threshold_and_level_are_recovered_where_the_kink_drifts(tmp_path: Path) -> None:
    found, asked = recover_all("drifting kink", DRIFTING, {**CALM, "drifting_kink": True}, SEEDS, tmp_path)
    require_coverage(found, asked)


@pytest.mark.slow
@pytest.mark.parametrize("spec", [STEPPED, FULL], ids=["constant kink", "drifting kink, stochastic volatility"])
def test_the_full_economy_is_reported_as_it_is(spec: SatiationCurve, tmp_path: Path) -> None:
    title = f"full economy, model with {spec.kink} kink and {spec.volatility} volatility"
    found, asked = recover_all(title, spec, {}, SEEDS_OF_THE_FULL, tmp_path)
    assert len(found["kink"]) >= 0.95 * asked
    assert all(np.isfinite(table).all() for table in found.values())


def test_bounds_are_those_of_a_fair_coin_and_catch_intervals_that_are_too_narrow() -> None:
    assert bounds(200, 50) == (82, 118)
    assert bounds(200, 90) == (168, 190)
    fair = np.tile([0.0, -1.0, -0.5, 0.1, 0.5, 1.0], (200, 1))
    fair[:100, 0], fair[:20, 0] = 0.7, 2.0
    require_coverage(dict.fromkeys((*ASKED, "kink"), fair), 200)
    narrow = fair.copy()
    narrow[:40, 0] = 2.0
    with pytest.raises(AssertionError, match="slope now"):
        require_coverage(dict.fromkeys((*ASKED, "kink"), fair) | {"slope now": narrow}, 200)


def test_too_many_failed_samplers_are_no_coverage() -> None:
    with pytest.raises(AssertionError):
        require_coverage({"kink": np.zeros((189, 6))}, 200)
