"""What was put into a simulated economy is found again: intervals cover as often as they say.

With the complications off that the model does not know of, coverage is a test. With all of them on
the model is wrong, and what it then finds is printed, not asserted: run with ``-m slow -s`` to read it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("pymc")

from scipy.stats import binom

from forecast.answers.true_curve import true_curve
from forecast.data.synthetic import Economy, Truth, simulate
from forecast.errors import DiagnosticsError
from forecast.features.feature_set import Design, FeatureSet
from models._posterior import flat
from models.reserve_demand.satiation_curve import SatiationCurve

type Array = np.ndarray

START = "2009-01-01"
SEEDS = 40
# Of 40 intervals of 90 percent between 31 and 40 cover with probability 0.995 if they are calibrated.
FEWEST = 31
CALM = {"drifting_kink": False, "vertical_shifts": False, "stochastic_volatility": False}


SPREAD = "effr_iorb"
CONSTANT = SatiationCurve(spreads=(SPREAD,), kink="constant", volatility="constant")
DRIFTING = SatiationCurve(spreads=(SPREAD,), volatility="constant", steps=False)
FULL = SatiationCurve(spreads=(SPREAD,), steps=False)
PROBS = (0.05, 0.25, 0.5, 0.75, 0.95)


def economy_design(economy: Economy, spec: SatiationCurve) -> tuple[Design, Truth]:
    """The weekly design at the end of the simulation, from 2009 on, and what is true."""
    import forecast.features  # noqa: F401  features register on import

    vintages, truth = simulate(economy)
    design = FeatureSet(spec.targets, spec.features).build(vintages.final())
    return replace(design, targets=design.targets.loc[START:], features=design.features.loc[START:]), truth


def tell(text: str) -> None:
    print(text)  # noqa: T201  the numbers are what these tests are run for


def recover(seed: int, spec: SatiationCurve, options: dict[str, Any]) -> dict[str, Array] | None:
    """Truth, then the 5, 25, 50, 75 and 95 percent quantiles, of each quantity; nothing if the sampler failed."""
    design, truth = economy_design(Economy(seed=seed, **options), spec)
    try:
        fitted = spec.fit(design, rng=np.random.default_rng(seed))
    except DiagnosticsError as error:
        tell(f"seed {seed}: {error}")
        return None
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
    return {name: np.r_[value, np.quantile(found, PROBS)] for name, (value, found) in draws.items()}


def recover_all(spec: SatiationCurve, options: dict[str, Any], n: int) -> dict[str, Array]:
    """(fits that converged, 6) by quantity; two processes, because more share the compiler's memory."""
    from joblib import Parallel, delayed

    first = recover(0, spec, options)  # compiles before the others start
    rest = Parallel(n_jobs=2)(delayed(recover)(seed, spec, options) for seed in range(1, n))
    found = [one for one in (first, *rest) if one is not None]
    return {name: np.array([one[name] for one in found]) for name in found[0]}


def inside(table: Array, level: int) -> int:
    """Intervals of 50 or 90 percent that hold the truth."""
    low, high = {50: (2, 4), 90: (1, 5)}[level]
    return int(((table[:, low] <= table[:, 0]) & (table[:, 0] <= table[:, high])).sum())


def report(title: str, found: dict[str, Array]) -> None:
    tell(f"\n{title}: {len(next(iter(found.values())))} converged")
    for name, table in found.items():
        bias, wide = (table[:, 3] - table[:, 0]).mean(), np.median(table[:, 5] - table[:, 1])
        tell(f"  {name}: 50 % {inside(table, 50)}, 90 % {inside(table, 90)}; bias {bias:.2f}, 90 % width {wide:.2f}")


@pytest.mark.slow
def test_kink_and_slope_are_recovered_where_the_model_is_right() -> None:
    found = recover_all(CONSTANT, CALM, SEEDS)
    report("constant kink", found)
    for name in ("kink", "beta", "x*(-0.5)"):
        assert len(found[name]) == SEEDS
        assert FEWEST <= inside(found[name], 90) <= SEEDS
    # Percentage points: an interval that covers because it is wide would tell nothing.
    assert np.median(found["kink"][:, 5] - found["kink"][:, 1]) < 0.5


@pytest.mark.slow
def test_slope_threshold_and_level_are_recovered_where_the_kink_drifts() -> None:
    found = recover_all(DRIFTING, {**CALM, "drifting_kink": True}, SEEDS)
    report("drifting kink", found)
    converged = len(found["kink"])
    assert converged >= SEEDS - 2
    for name in ("kink", "slope now", "slope where reserves are scarcest", "x*(-0.5)", "level in abundance"):
        low, high = binom.ppf([0.0025, 0.9975], converged, 0.9)
        assert low <= inside(found[name], 90) <= high, name


@pytest.mark.slow
@pytest.mark.parametrize("spec", [CONSTANT, FULL], ids=["constant kink", "drifting kink, stochastic volatility"])
def test_the_full_economy_is_reported_as_it_is(spec: SatiationCurve) -> None:
    n = 20
    found = recover_all(spec, {}, n)
    report(f"drifting kink, shifts, volatility; model with {spec.kink} kink, {spec.volatility} volatility", found)
    assert len(found["kink"]) >= n - 4
    assert all(np.isfinite(table).all() for table in found.values())
