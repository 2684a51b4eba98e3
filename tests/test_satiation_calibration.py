"""The satiation curve's sampler is right: truths drawn from its prior have uniform ranks, and seven mistakes do not.

The simulator below is written apart from the density. A mistake in either shows; here the mistakes are planted in the
simulator, so that one program serves all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

pytest.importorskip("pymc")

from forecast.checks.calibration import Calibration, simulation_based_calibration
from forecast.features.calendar_effects import quarter_end_week
from forecast.features.feature_set import Design
from forecast.units import UNITS
from models import _posterior
from models._posterior import Sampler, compiled, flat
from models.reserve_demand.satiation_curve import SatiationCurve
from models.reserve_demand.satiation_density import SMALLEST_SCALE

type Array = np.ndarray

EFFECT, WEEKS, SPACING, FIRST = "quarter_end_week", 150, 52, -5.0
SPEC = SatiationCurve(
    spreads=("effr_iorb",), effects=(EFFECT,), steps=False, knot_weeks=SPACING, volatility_weeks=SPACING
)
KNOTS = 4  # that the sample touches
PERSISTENCE = 0.97**SPACING
INDEX = pd.date_range("2015-01-07", periods=WEEKS, freq="7D", unit="us")
RATIO = 12.5 + 4 * np.cos(np.arange(WEEKS) / 20) + 0.2 * np.random.default_rng(1).standard_normal(WEEKS)
EFFECTS = quarter_end_week(INDEX).to_numpy(dtype=float)
RUN = Sampler(chains=1, tune=400, draws=495, target_accept=0.9)
RANKED = ("beta", "tau", "kink", "drift", "alpha", "gamma", "phi", "volatility", "volatility_sd", "log_scale")


@dataclass(frozen=True)
class Simulator:
    """Prior and data; each field but the first is a way to be wrong.

    bent      : size of the bend without its width: tau is forgotten
    lag       : weeks back of the residual that persists
    squared   : the scale where its square belongs
    floored   : published values are cut off, not rounded
    normal    : shocks without the tails of Student's t
    late      : calendar effects a week late
    flat      : the spread does not know the ratio
    """

    bent: bool = False
    lag: int = 1
    squared: bool = False
    floored: bool = False
    normal: bool = False
    late: bool = False
    flat: bool = False

    def __call__(self, rng: np.random.Generator) -> tuple[dict[str, Array], Array]:
        p = prior(rng)
        scale = SMALLEST_SCALE + np.exp(between(p["log_scale"][0]))
        drawn = rng.standard_normal(WEEKS) if self.normal else rng.standard_t(4, WEEKS)
        shocks = (scale**2 if self.squared else scale) * drawn
        mean = self.mean(p)
        y = np.full(WEEKS, FIRST)
        for t in range(1, WEEKS):
            before = max(t - self.lag, 0)
            value = mean[t] + p["phi"][0] * (y[before] - mean[before]) + shocks[t]
            y[t] = np.floor(value) if self.floored else np.round(value)
        return p, y

    def mean(self, p: Mapping[str, Array]) -> Array:
        effects = np.r_[0.0, EFFECTS[:-1]] if self.late else EFFECTS
        bend = (
            p["beta"][0] * np.logaddexp(0, (between(p["kink"][0]) - RATIO) / p["tau"]) * (1 if self.bent else p["tau"])
        )
        return np.asarray(p["alpha"][0] + (0.0 if self.flat else bend) + p["gamma"][0, 0] * effects)


def prior(rng: np.random.Generator) -> dict[str, Array]:
    """What ``SatiationDensity`` documents."""
    drift, reach = 0.05 * abs(rng.standard_normal()), abs(rng.standard_normal())
    middle = np.log(0.5) + rng.standard_normal()
    kink = rng.normal(12, 4) + drift * np.sqrt(SPACING) * np.r_[0.0, np.cumsum(rng.standard_normal(KNOTS - 1))]
    path = [rng.standard_normal()]
    for shock in rng.standard_normal(KNOTS - 1):
        path.append(PERSISTENCE * path[-1] + np.sqrt(1 - PERSISTENCE**2) * shock)
    phi = stats.truncnorm.rvs(*(np.array([-0.95, 0.95]) - 0.6) / 0.2, loc=0.6, scale=0.2, random_state=rng)
    return {
        "beta": np.array([2.0 * abs(rng.standard_normal())]),
        "tau": np.array(0.5 * np.exp(0.5 * rng.standard_normal())),
        "kink": kink[None],
        "drift": np.array(drift),
        "alpha": np.array([20 * rng.standard_normal()]),
        "gamma": np.array([[3 * rng.standard_normal()]]),
        "phi": np.array([phi]),
        "volatility": np.array([middle]),
        "volatility_sd": np.array([reach]),
        "log_scale": (middle + reach * np.array(path))[None],
    }


def between(knots: Array) -> Array:
    return np.asarray(np.interp(np.arange(WEEKS), SPACING * np.arange(KNOTS), knots))


def log_likelihood(p: Mapping[str, Array], y: Array) -> float:
    deviation = y - Simulator().mean(p)
    middle = np.abs(deviation[1:] - p["phi"][0] * deviation[:-1])
    scale = SMALLEST_SCALE + np.exp(between(p["log_scale"][0]))[1:]
    inside = stats.t.sf((middle - 0.5) / scale, 4) - stats.t.sf((middle + 0.5) / scale, 4)
    return float(np.log(np.maximum(inside, 1e-300)).sum())


def slope_now(p: Mapping[str, Array], y: Array) -> float:
    """bp per percentage point of bank assets at the last ratio."""
    depth = (between(p["kink"][0])[-1] - RATIO[-1]) / p["tau"]
    return float(-p["beta"][0] / (1 + np.exp(-depth)))


def design(y: Array) -> Design:
    features = pd.DataFrame({"reserve_ratio": RATIO, EFFECT: EFFECTS}, INDEX)
    units = {"effr_iorb": UNITS["bp"], "reserve_ratio": UNITS["percent"], EFFECT: UNITS["indicator"]}
    return Design(pd.DataFrame({"effr_iorb": y}, INDEX), features, units, frozenset({EFFECT}))


def posterior(y: Array, rng: np.random.Generator) -> dict[str, Array]:
    """Draws without the gate: leaving out what did not converge would choose among truths."""
    sample = SPEC.sample(design(y))
    program = compiled(SPEC.density(sample), SPEC.data(sample))
    tree = _posterior._run(program, RUN, int(rng.integers(2**31)))
    draws = {name: flat(tree, name) for name in RANKED}
    return draws | {name: draws[name][:, :, :KNOTS] for name in ("kink", "log_scale")}


@cache
def calibrated(simulator: Simulator, n: int) -> Calibration:
    posterior(simulator(np.random.default_rng(0))[1], np.random.default_rng(0))  # compiles before threads start
    return simulation_based_calibration(
        simulator,
        posterior,
        log_likelihood=log_likelihood,
        events={"slope now": slope_now},
        n_simulations=n,
        seed=7,
        threads=2,
    )


BUGS: dict[str, dict[str, Any]] = {
    "the width of the bend forgotten": {"bent": True},
    "a lag off by one": {"lag": 2},
    "a variance for a standard deviation": {"squared": True},
    "cut off in place of rounded": {"floored": True},
    "a bell curve in place of Student's t": {"normal": True},
    "calendar effects a week late": {"late": True},
    "a spread that ignores the ratio": {"flat": True},
}


def test_the_simulator_rounds_what_the_density_expects() -> None:
    """Frequencies of published values one week ahead against the interval likelihood they are given."""
    p = prior(np.random.default_rng(3)) | {"phi": np.array([0.0]), "volatility_sd": np.array([0.0])}
    p["log_scale"] = np.zeros((1, KNOTS))
    mean, scale = Simulator().mean(p)[1], SMALLEST_SCALE + 1.0
    values = np.round(mean + scale * np.random.default_rng(4).standard_t(4, 100_000))
    for value in np.round(mean) + np.array([-2, 0, 1]):
        expected = stats.t.cdf((value + 0.5 - mean) / scale, 4) - stats.t.cdf((value - 0.5 - mean) / scale, 4)
        assert np.mean(values == value) == pytest.approx(expected, abs=0.006)


@pytest.mark.slow
def test_truths_drawn_from_the_prior_have_uniform_ranks() -> None:
    found = calibrated(Simulator(), 200)
    print(f"\n{found}\n{found.table.round(3)}")  # noqa: T201  the numbers are what this test is run for
    assert not found.failing, str(found)


@pytest.mark.slow
@pytest.mark.parametrize("bug", BUGS)
def test_a_planted_mistake_is_caught(bug: str) -> None:
    found = calibrated(replace(Simulator(), **BUGS[bug]), 100)
    print(f"\n{bug}: {found}")  # noqa: T201  as above
    assert found.failing
