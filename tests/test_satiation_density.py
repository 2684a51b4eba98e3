"""Priors and likelihood of the satiation curve against the same formulas written with SciPy, week by week."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

pm = pytest.importorskip("pymc")

from forecast.features.calendar_effects import quarter_end_week, tax_week  # noqa: E402
from forecast.features.feature_set import Design, future_weeks  # noqa: E402
from forecast.units import UNITS  # noqa: E402
from models.reserve_demand.dated_steps import STEP_NAMES, step_columns  # noqa: E402
from models.reserve_demand.satiation_curve import SatiationCurve  # noqa: E402
from models.reserve_demand.satiation_density import SMALLEST_SCALE, SatiationDensity  # noqa: E402
from models.reserve_demand.satiation_prior import prior_bend, walked  # noqa: E402
from models.reserve_demand.treasury_surprise import first_stage, treasury_surprise  # noqa: E402

type Array = np.ndarray

EFFECTS = {"quarter_end_week": quarter_end_week, "tax_week": tax_week}
ONE = SatiationCurve(
    spreads=("effr_iorb",), kink="constant", volatility="constant", effects=tuple(EFFECTS), steps=False
)
TWO = replace(ONE, spreads=("effr_iorb", "sofr_iorb"))
UNIT = {"effr_iorb": "bp", "sofr_iorb": "bp", "reserve_ratio": "percent", "m2_growth": "percent", "tga_level": "usd_bn"}


@pytest.fixture(scope="module")
def market() -> Design:
    """Two spreads, the second from the fortieth week on; holes, and a ratio that is two weeks late."""
    rng, T = np.random.default_rng(4), 150
    weeks = pd.date_range("2017-01-04", periods=T, freq="7D", unit="us")
    extended = pd.DatetimeIndex(weeks.append(future_weeks(weeks[-1], 8)))
    ratio = 12 + np.cumsum(rng.normal(0, 0.15, T))
    effr = np.round(-6 + 2 * np.logaddexp(0, 12 - ratio) + rng.normal(0, 0.7, T))
    sofr = np.round(effr + rng.normal(1, 2, T))
    effr[[30, 77]], sofr[:40], sofr[90] = np.nan, np.nan, np.nan
    columns = {"reserve_ratio": np.r_[ratio[:-2], [np.nan] * 10], "m2_growth": np.r_[rng.normal(5, 2, T), [np.nan] * 8]}
    columns["tga_level"] = np.r_[300 + np.cumsum(rng.normal(0, 20, T)), [np.nan] * 8]
    columns |= {name: item(extended).to_numpy(dtype=float) for name, item in EFFECTS.items()}
    units = {name: UNITS[unit] for name, unit in UNIT.items()} | dict.fromkeys(EFFECTS, UNITS["indicator"])
    targets = pd.DataFrame({"effr_iorb": effr, "sofr_iorb": sofr}, weeks)
    return Design(targets, pd.DataFrame(columns, extended), units, frozenset(EFFECTS))


def density_by_hand(spec: SatiationCurve, design: Design, p: dict[str, Array]) -> float:  # noqa: C901  one formula
    """Log prior and log likelihood at a point, week by week."""
    names, T = [n for n in spec.spreads if n in design.targets], len(design.targets)
    y = design.targets[names].to_numpy().T
    x = design.features["reserve_ratio"].to_numpy()[:T]
    c = design.features[list(spec.effects)].to_numpy()[:T]
    weeks = pd.DatetimeIndex(design.targets.index)
    steps = step_columns(weeks, weeks[0], weeks[-1])
    w = design.features[list(spec.shifters)].ffill().to_numpy()[:T] / 10
    control = np.zeros(T)
    if spec.control:
        surprise = treasury_surprise(design.features["tga_level"].to_numpy()[:T], weeks)
        control = np.nan_to_num(first_stage(x, surprise, c).residuals)
    J, prior = len(names), priors_by_hand(spec, p, len(names))

    def along(path: Array, spacing: int, t: int) -> float:
        return float(np.interp(t, spacing * np.arange(len(path)), path))

    def kink(j: int, t: int) -> float:
        own = spec.bends == "separate"
        start = p["kink_start"][j] if own else p["kink_start"]
        if spec.kink_prior == "flat":
            start = spec.kink_low + (spec.kink_high - spec.kink_low) * start
        if spec.bends == "pooled" and j > 0:
            start = start + p["offset"][j - 1]
        if spec.kink == "drifting":
            z, size = (p["kink_shock"][j], p["drift"][j]) if own else (p["kink_shock"], p["drift"])
            walk = np.r_[0.0, np.cumsum(z[1:])] * np.sqrt(spec.knot_weeks) * size
            start = start + along(walk, spec.knot_weeks, t)
        return float(start + (w[t] @ p["theta"] if spec.shifters else 0.0))

    moving, known = np.zeros((J, T)), np.isfinite(y) & np.isfinite(x) & np.isfinite(w).all(axis=1)
    for j in range(J):
        tau = p["tau"][j] if spec.bends == "separate" else p["tau"]
        for t in np.flatnonzero(known[j]).tolist():
            moving[j, t] = p["beta"][j] * tau * np.log1p(np.exp((kink(j, t) - x[t]) / tau))
            moving[j, t] += steps[t] @ p["shift"][j] if spec.steps else 0.0
            if spec.level_walk:
                walk = np.r_[0.0, np.cumsum(p["level_shock"][j][1:])] * np.sqrt(spec.knot_weeks) * p["level_drift"][j]
                moving[j, t] += along(walk, spec.knot_weeks, t)
    lagged = spec.errors == "autoregressive"
    enters = known & np.column_stack([np.zeros(J, bool), known[:, :-1]]) if lagged else known
    centre = np.array([moving[j, enters[j]].mean() for j in range(J)])
    prior += stats.norm.logpdf(p["level"] - centre, 0, 20).sum()  # alpha
    deviation = np.nan_to_num(y) - (p["level"] - centre)[:, None] - moving - p["gamma"] @ c.T
    innovations, likelihood = np.zeros((J, T)), 0.0
    for t in range(T):
        raw = deviation[:, t] - (p["phi"] * deviation[:, t - 1] if lagged else 0.0)
        raw[0] -= p["rho"][0] * control[t] if spec.control else 0.0
        for j in np.flatnonzero(enters[:, t]).tolist():
            spill = sum(p["loading"][n] * raw[i] for n, (k, i) in enumerate(pairs(J)) if k == j and enters[i, t])
            innovations[j, t] = raw[j] - spill
            if spec.volatility == "constant":
                scale = SMALLEST_SCALE + p["sigma_above_floor"][j]
            else:
                z, rho = p["volatility_shock"][j], 0.97**spec.volatility_weeks
                path = [z[0]]
                for shock in z[1:]:
                    path.append(rho * path[-1] + np.sqrt(1 - rho**2) * shock)
                log_scale = p["volatility"][j] + p["volatility_sd"][j] * along(np.array(path), spec.volatility_weeks, t)
                scale = SMALLEST_SCALE + np.exp(log_scale)
            middle = abs(innovations[j, t])
            likelihood += np.log(stats.t.sf((middle - 0.5) / scale, 4) - stats.t.sf((middle + 0.5) / scale, 4))
    return float(prior + likelihood)


def pairs(J: int) -> list[tuple[int, int]]:
    return [(j, i) for j in range(J) for i in range(j)]


def priors_by_hand(spec: SatiationCurve, p: dict[str, Array], J: int) -> float:
    """Log prior of everything but alpha."""
    bounds = (np.array([-1, 1]) * spec.phi_max - 0.6) / 0.2
    start = stats.norm(spec.kink_mean, spec.kink_sd) if spec.kink_prior == "normal" else stats.uniform(0, 1)
    priors: dict[str, Any] = {
        "beta": stats.halfnorm(scale=2.0),
        "tau": stats.lognorm(0.5, scale=0.5),
        "kink_start": start,
        "offset": stats.norm(0, 1),
        "drift": stats.halfnorm(scale=0.05),
        "theta": stats.norm(0, 0.5),
        "gamma": stats.norm(0, 3),
        "shift": stats.norm(0, 5),
        "level_drift": stats.halfnorm(scale=0.2),
        "phi": stats.truncnorm(*bounds, loc=0.6, scale=0.2),
        "rho": stats.norm(0, 2),
        "loading": stats.norm(0.5, 0.5),
        "sigma_above_floor": stats.halfnorm(scale=3.0),
        "volatility": stats.norm(np.log(0.5), 1),
        "volatility_sd": stats.halfnorm(scale=1.0),
    } | {name: stats.norm(0, 1) for name in ("kink_shock", "level_shock", "volatility_shock")}
    assert set(p) - set(priors) == {"level"}
    return float(sum(priors[name].logpdf(value).sum() for name, value in p.items() if name != "level"))


def point_of(model: Any, rng: np.random.Generator) -> dict[str, Array]:
    """A point of the parameter space near plausible values."""
    near = {"kink_start": 11.5, "beta": 1.7, "tau": 0.6, "level": -3.0, "phi": 0.5, "drift": 0.06, "level_drift": 0.2}
    near |= {"sigma_above_floor": 0.9, "volatility_sd": 0.7}
    point = {}
    for rv in model.free_RVs:
        shape = tuple(rv.shape.eval(mode="FAST_COMPILE"))
        middle = near.get(rv.name, 0.0)
        wide = 0.1 * middle if middle else 0.7
        point[rv.name] = np.asarray(middle + wide * rng.uniform(-1, 1, shape))
    return point


@pytest.mark.parametrize(
    ("spec", "options"),
    [
        (ONE, {}),
        (ONE, {"errors": "independent", "phi_max": 0.8}),
        (ONE, {"kink_mean": 16.0, "kink_sd": 2.0, "steps": True}),
        (ONE, {"kink_prior": "flat"}),
        (ONE, {"kink": "drifting", "shifters": ("m2_growth",)}),
        (ONE, {"control": True, "level_walk": True}),
        (TWO, {"bends": "shared", "volatility": "stochastic"}),
        (TWO, {"bends": "separate", "kink": "drifting", "errors": "independent"}),
        (TWO, {"kink": "drifting", "volatility": "stochastic", "volatility_weeks": 26, "control": True, "steps": True}),
    ],
)
def test_prior_and_likelihood_are_those_documented(market: Design, spec: SatiationCurve, options: Any) -> None:
    spec = replace(spec, **options)
    p, model = point_near(spec, market)
    values = {
        model.rvs_to_values[rv].name: model.rvs_to_transforms[rv]
        .forward(p[rv.name], *rv.owner.inputs)
        .eval(mode="FAST_COMPILE")
        if model.rvs_to_transforms[rv] is not None
        else p[rv.name]
        for rv in model.free_RVs
    }
    density = model.compile_fn(model.logp(jacobian=False, sum=True), mode="FAST_COMPILE")
    assert float(density(values)) == pytest.approx(density_by_hand(spec, market, p), rel=1e-7)


def point_near(spec: SatiationCurve, design: Design) -> tuple[dict[str, Array], Any]:
    only = replace(design, targets=design.targets[list(spec.spreads)])
    model = spec.build(only)
    point = point_of(model, np.random.default_rng(5))
    if spec.kink_prior == "flat":
        point["kink_start"] = np.asarray(0.4)
    return point, model


def test_dimensions_are_named(market: Design) -> None:
    model = replace(TWO, kink="drifting", steps=True).build(market)
    assert model.named_vars_to_dims["gamma"] == ("spread", "effect")
    assert model.named_vars_to_dims["shift"] == ("spread", "step")
    assert model.named_vars_to_dims["kink"] == ("spread", "kink_knot")
    assert tuple(model.coords["step"]) == STEP_NAMES
    assert tuple(model.coords["pair"]) == ("sofr_iorb on effr_iorb",)


def test_one_program_serves_samples_of_different_length(market: Design) -> None:
    spec = replace(TWO, kink="drifting", volatility="stochastic")
    short = replace(market, targets=market.targets.iloc[:-20], features=market.features.iloc[:-20])
    assert spec.density(spec.sample(market)) == spec.density(spec.sample(short))
    moved = replace(spec, kink_mean=8.0)  # nor does the centre of the prior ask for another
    assert moved.density(moved.sample(market)) == spec.density(spec.sample(market))


def test_a_spread_that_has_not_begun_is_left_out(market: Design) -> None:
    early = replace(market, targets=market.targets.assign(sofr_iorb=np.nan))
    assert TWO.sample(early).spreads == ("effr_iorb",)


def test_weeks_enter_where_they_and_the_week_before_are_complete(market: Design) -> None:
    sample = TWO.sample(market)
    entering, complete = sample.entering(lagged=True), sample.complete()[1]
    effr = set(np.flatnonzero(~entering[0]))
    assert effr == {0, 30, 31, 77, 78, 148, 149}  # the ratio is two weeks late
    assert list(np.flatnonzero(entering[1])[:2]) == [41, 42]
    assert not entering[1, 90:92].any()
    np.testing.assert_array_equal(sample.entering(lagged=False), complete)


# --------------------------------------------------------------------------- the prior alone


@pytest.mark.parametrize(
    "options",
    [{}, {"kink": "drifting", "shifters": ("m2_growth",)}, {"kink": "drifting", "kink_prior": "flat"}],
)
def test_the_prior_of_the_bend_is_that_of_the_program(market: Design, options: Any) -> None:
    """Quantiles of kink, beta and tau of the second spread, 100 weeks in, from PyMC's own prior draws."""
    spec, week, n = replace(TWO, **options), 100, 4000
    sample = spec.sample(market)
    model, density = spec.build(market), spec.density(sample)
    wanted = [model[name] for name in ("kink", "beta", "tau", *(["theta"] if spec.shifters else []))]
    kink, beta, tau, *theta = pm.draw(wanted, draws=n, random_seed=1, mode="FAST_COMPILE")
    grid = 13 * np.arange(kink.shape[2])
    now = np.array([np.interp(week, grid, path) for path in kink[:, 1]]) if len(grid) > 1 else kink[:, 1, 0]
    shifters = sample.columns(spec.shifters)[:, week]
    if theta:
        now = now + theta[0] @ shifters / 10
    given = spec.data(sample)["kink_prior"]
    ours = prior_bend(density, tuple(given), 1, week, shifters, n=n, rng=np.random.default_rng(2))
    for one, other in zip(ours, (now, beta[:, 1], tau), strict=True):
        assert stats.ks_2samp(one, other).pvalue > 1e-3


def test_a_walk_is_known_at_its_knots_and_narrower_between() -> None:
    density = TWO.density(TWO.sample(two_years()))
    drifting: SatiationDensity = replace(density, kink_knots=16)
    assert walked(density, 100) == 0.0
    assert walked(drifting, 26) == pytest.approx(np.sqrt(26))
    assert walked(drifting, 32) < np.sqrt(32)


def two_years() -> Design:
    weeks = pd.date_range("2017-01-04", periods=110, freq="7D", unit="us")
    rng = np.random.default_rng(1)
    features = {"reserve_ratio": rng.normal(12, 1, 110)} | {
        n: item(weeks).to_numpy(dtype=float) for n, item in EFFECTS.items()
    }
    units = {n: UNITS[UNIT.get(n, "indicator")] for n in ("effr_iorb", *features)}
    targets = pd.DataFrame({"effr_iorb": np.round(rng.normal(-5, 2, 110))}, weeks)
    return Design(targets, pd.DataFrame(features, weeks), units, frozenset(EFFECTS))
