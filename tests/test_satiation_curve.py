"""The satiation curve: its shape, the likelihood of rounding, its priors, and forecasts along given paths."""

from __future__ import annotations

import pickle
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

xr = pytest.importorskip("xarray")
pytest.importorskip("pymc")
pytensor = pytest.importorskip("pytensor")
pt = pytest.importorskip("pytensor.tensor")

from forecast.errors import ModelError, NeedsScenarioError, ShortHistoryError, UnitError  # noqa: E402
from forecast.features.calendar_effects import quarter_end_week  # noqa: E402
from forecast.features.feature_set import Design, future_weeks  # noqa: E402
from forecast.scenario import Scenario  # noqa: E402
from forecast.units import UNITS  # noqa: E402
from models._posterior import flat  # noqa: E402
from models.ragged_edge import target_history  # noqa: E402
from models.reserve_demand.dated_steps import DATED_STEPS, STEP_NAMES, step_columns  # noqa: E402
from models.reserve_demand.reserve_ratio import ratio_paths  # noqa: E402
from models.reserve_demand.rounding import log_interval_probability  # noqa: E402
from models.reserve_demand.satiation_curve import (  # noqa: E402
    SMALLEST_SCALE,
    FittedSatiationCurve,
    SatiationCurve,
    adjacent_weeks,
    curve,
    curve_slope,
    residual_paths,
)

AHEAD = 8
EFFECT = "quarter_end_week"
SPEC = SatiationCurve(effects=(EFFECT,), steps=False)


def design(spread: np.ndarray, ratio: np.ndarray, *, late_ratio: int = 2, ahead: int = AHEAD) -> Design:
    """Consecutive weeks from 2015 on; the last ``late_ratio`` ratios are not yet published."""
    weeks = pd.date_range("2015-01-07", periods=len(spread), freq="7D", unit="us")
    extended = pd.DatetimeIndex(weeks.append(future_weeks(weeks[-1], ahead)))
    known = pd.Series(ratio, index=weeks).iloc[: len(ratio) - late_ratio].reindex(extended)
    return Design(
        targets=pd.DataFrame({"effr_iorb": spread}, index=weeks),
        features=pd.DataFrame({"reserve_ratio": known, EFFECT: quarter_end_week(extended)}),
        units={"effr_iorb": UNITS["bp"], "reserve_ratio": UNITS["percent"], EFFECT: UNITS["indicator"]},
        known_ahead=frozenset({EFFECT}),
    )


@pytest.fixture(scope="module")
def simulated() -> Design:
    """Three years along a curve with kink 12, slope -2, rounded to whole basis points."""
    rng = np.random.default_rng(8)
    ratio = 12 + 4 * np.sin(np.arange(160) / 25) + 0.1 * rng.standard_normal(160)
    spread = -7 + curve(ratio, *map(np.array, (12.0, 2.0, 0.5))) + 0.4 * rng.standard_normal(160)
    return design(np.round(spread), ratio)


# --------------------------------------------------------------------------- the curve


def test_the_curve_tends_to_a_hinge_as_tau_vanishes() -> None:
    x = np.linspace(6, 18, 49)
    hinge = 2.0 * np.maximum(12 - x, 0)
    np.testing.assert_allclose(curve(x, *map(np.array, (12.0, 2.0, 1e-6))), hinge, atol=2e-6)


def test_the_curve_at_the_kink_is_beta_tau_log_two() -> None:
    assert float(curve(np.array(12.0), *map(np.array, (12.0, 2.5, 0.6)))) == pytest.approx(2.5 * 0.6 * np.log(2))


def test_the_curve_vanishes_in_abundance_and_is_linear_in_scarcity() -> None:
    parameters = tuple(map(np.array, (12.0, 2.0, 0.5)))
    assert float(curve(np.array(40.0), *parameters)) < 1e-20
    scarce = curve(np.array([1.0, 2.0]), *parameters)
    assert scarce[0] - scarce[1] == pytest.approx(2.0, rel=1e-8)


def test_the_slope_is_the_derivative_of_the_curve() -> None:
    x, step = np.linspace(7, 17, 41), 1e-5
    parameters = tuple(map(np.array, (12.0, 2.0, 0.7)))
    numeric = (curve(x + step, *parameters) - curve(x - step, *parameters)) / (2 * step)
    np.testing.assert_allclose(curve_slope(x, *parameters), numeric, rtol=1e-6, atol=1e-9)


def test_half_of_the_slope_is_reached_at_the_kink() -> None:
    assert float(curve_slope(12.0, *map(np.array, (12.0, 2.0, 0.7)))) == pytest.approx(-1.0)


# --------------------------------------------------------------------------- likelihood of rounding


@pytest.fixture(scope="module")
def interval() -> Any:
    """(deviation, scale) -> log probability, and its gradients."""
    deviation, scale = pt.dvector("deviation"), pt.dscalar("scale")
    value = log_interval_probability(deviation, scale)
    gradients = pt.grad(value.sum(), [deviation, scale])
    return pytensor.function([deviation, scale], [value, gradients[0], gradients[1]], mode="FAST_COMPILE")


@pytest.mark.parametrize("scale", [0.05, 0.2, 1.0, 30.0])
def test_the_interval_has_the_probability_of_a_student_t(interval: Any, scale: float) -> None:
    deviation = np.array([-7.0, -1.0, -0.5, -0.2, 0.0, 0.49, 0.5, 0.51, 2.0, 9.0])
    middle = np.abs(deviation)  # scipy's upper tail does not cancel
    expected = stats.t.sf((middle - 0.5) / scale, 4) - stats.t.sf((middle + 0.5) / scale, 4)
    np.testing.assert_allclose(np.exp(interval(deviation, scale)[0]), expected, rtol=1e-9)


@pytest.mark.parametrize("scale", [0.1, 0.7, 5.0])
def test_the_probabilities_of_all_published_values_sum_to_one(interval: Any, scale: float) -> None:
    published = np.arange(-20_000.0, 20_001.0)
    assert np.exp(interval(published - 0.3, scale)[0]).sum() == pytest.approx(1.0, abs=1e-12)


def test_far_tails_follow_the_density_and_keep_their_gradient(interval: Any) -> None:
    z = np.array([-1e4, -300.0, 300.0, 1e4])
    value, gradient, scale_gradient = interval(z, 1.0)
    np.testing.assert_allclose(value, stats.t.logpdf(z, 4), atol=2e-5)
    np.testing.assert_allclose(gradient, -5 / z, rtol=1e-3)  # the density falls as |z|^-5
    assert scale_gradient == pytest.approx(4 * len(z), rel=1e-3)


@pytest.mark.parametrize("scale", [1e-8, 1e-3, 1.0, 1e4])
def test_value_and_gradient_are_finite_whatever_the_scale(interval: Any, scale: float) -> None:
    deviation = np.array([-1e4, -0.5, 0.0, 1e-12, 0.5, 3.0, 1e4])
    for part in interval(deviation, scale):
        assert np.isfinite(part).all()


def test_the_gradient_agrees_with_differences_on_both_sides_of_the_interval(interval: Any) -> None:
    deviation, step = np.array([0.1, 0.45, 0.55, 1.7]), 1e-6
    _, gradient, scale_gradient = interval(deviation, 0.6)
    across = (interval(deviation + step, 0.6)[0] - interval(deviation - step, 0.6)[0]) / (2 * step)
    np.testing.assert_allclose(gradient, across, rtol=1e-7)
    along = (interval(deviation, 0.6 + step)[0] - interval(deviation, 0.6 - step)[0]).sum() / (2 * step)
    assert scale_gradient == pytest.approx(along, rel=1e-7)


def test_a_spread_that_stands_still_has_a_bounded_likelihood(interval: Any) -> None:
    flat_stretch = np.zeros(104)
    assert interval(flat_stretch, 1e-10)[0].sum() == pytest.approx(0.0, abs=1e-12)
    assert interval(flat_stretch, 0.2)[0].sum() < 0


# --------------------------------------------------------------------------- model and priors

POINT = {"beta": 1.7, "tau": 0.4, "kink": 11.2, "level": -3.0, "sigma_above_floor": 0.9, "phi": 0.5}


def by_hand(spec: SatiationCurve, design: Design) -> tuple[float, float]:
    """Log prior and log likelihood at POINT, from scipy."""
    p = POINT
    y, x = design.targets["effr_iorb"].to_numpy(), design.features["reserve_ratio"].to_numpy()[: len(design.targets)]
    c, gamma = design.features[EFFECT].to_numpy()[: len(y)], 0.8
    n = int(np.isfinite(x).sum())
    at_mean = p["beta"] * p["tau"] * np.log1p(np.exp((p["kink"] - x[1:n].mean()) / p["tau"]))
    kink = (
        stats.norm.logpdf(p["kink"], spec.kink_mean, spec.kink_sd)
        if spec.kink_prior == "normal"
        else -np.log(spec.kink_high - spec.kink_low)
    )
    prior = (
        stats.halfnorm.logpdf(p["beta"], scale=2.0)
        + stats.lognorm.logpdf(p["tau"], 0.5, scale=0.5)
        + kink
        + stats.norm.logpdf(p["level"] - at_mean, 0, 20)  # alpha
        + stats.norm.logpdf(gamma, 0, 3)
        + stats.halfnorm.logpdf(p["sigma_above_floor"], scale=3.0)
    )
    mean = p["level"] - at_mean + p["beta"] * p["tau"] * np.log1p(np.exp((p["kink"] - x) / p["tau"])) + gamma * c
    if spec.steps:
        weeks = pd.DatetimeIndex(design.targets.index)
        prior += len(STEP_NAMES) * stats.norm.logpdf(0.6, 0, 5)
        mean = mean + 0.6 * step_columns(weeks, weeks[0], weeks[-1]).sum(axis=1)
    deviation = (y - mean)[1:n]
    if spec.errors == "autoregressive":
        bounds = (np.array([-1, 1]) * spec.phi_max - 0.6) / 0.2
        prior += stats.truncnorm.logpdf(p["phi"], *bounds, loc=0.6, scale=0.2)
        deviation = deviation - p["phi"] * (y - mean)[: n - 1]
    scale = SMALLEST_SCALE + p["sigma_above_floor"]
    middle = np.abs(deviation)
    inside = stats.t.sf((middle - 0.5) / scale, 4) - stats.t.sf((middle + 0.5) / scale, 4)
    return float(prior), float(np.log(inside).sum())


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"errors": "independent"},
        {"kink_mean": 16.0, "kink_sd": 2.0},
        {"kink_prior": "flat"},
        {"phi_max": 0.8},
        {"steps": True},
    ],
)
def test_prior_and_likelihood_are_those_documented(simulated: Design, options: dict[str, Any]) -> None:
    spec = replace(SPEC, **options)
    model = spec.build(simulated)
    point = {"gamma": np.array([0.8]), "shift": np.full(len(STEP_NAMES), 0.6)} | POINT
    values = {
        model.rvs_to_values[rv].name: model.rvs_to_transforms[rv]
        .forward(point[rv.name], *rv.owner.inputs)
        .eval(mode="FAST_COMPILE")
        if model.rvs_to_transforms[rv] is not None
        else np.asarray(point[rv.name])
        for rv in model.free_RVs
    }
    density = model.compile_fn(model.logp(jacobian=False, sum=True), mode="FAST_COMPILE")
    assert float(density(values)) == pytest.approx(sum(by_hand(spec, simulated)), rel=1e-9)


def test_dimensions_are_named(simulated: Design) -> None:
    model = replace(SPEC, steps=True).build(simulated)
    assert model.named_vars_to_dims["gamma"] == ("effect",)
    assert model.named_vars_to_dims["shift"] == ("step",)
    assert tuple(model.coords["step"]) == STEP_NAMES


def test_only_pairs_of_complete_adjacent_weeks_enter() -> None:
    weeks = np.array([[1, 1], [2, 2], [np.nan, 3], [4, 4], [5, 5], [6, np.nan]], dtype=float)
    now, before = adjacent_weeks(weeks)
    np.testing.assert_array_equal(now, [[2, 2], [5, 5]])
    np.testing.assert_array_equal(before, [[1, 1], [4, 4]])


@pytest.mark.parametrize(
    "options",
    [{"errors": "random_walk"}, {"kink_prior": "uniform"}, {"phi_max": 1.0}, {"kink_sd": 0.0}, {"kink_low": 21.0}],
)
def test_senseless_options_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        SatiationCurve(**options)


def test_a_wrong_unit_is_refused(simulated: Design) -> None:
    wrong = replace(simulated, units={**simulated.units, "effr_iorb": UNITS["percent"]})
    with pytest.raises(UnitError, match="'effr_iorb' is in percent; its priors are stated in bp"):
        SPEC.fit(wrong, rng=np.random.default_rng(1))


def test_a_sample_that_is_too_short_is_refused(simulated: Design) -> None:
    short = replace(simulated, targets=simulated.targets.iloc[-90:], features=simulated.features.iloc[-98:])
    with pytest.raises(ShortHistoryError, match="pairs of complete weeks"):
        SPEC.fit(short, rng=np.random.default_rng(1))


# --------------------------------------------------------------------------- dated steps


def test_a_step_is_felt_from_the_first_week_that_ends_with_it() -> None:
    weeks = pd.date_range("2019-01-02", "2020-12-30", freq="7D", unit="us")
    columns = pd.DataFrame(step_columns(weeks, weeks[0], weeks[-1]), weeks, list(STEP_NAMES))
    assert columns.loc["2019-05-01", "technical adjustment 2019-05"] == 0
    assert columns.loc["2019-05-08", "technical adjustment 2019-05"] == 1
    assert columns["technical adjustment 2019-05"].is_monotonic_increasing


def test_steps_outside_the_sample_do_not_enter() -> None:
    weeks = pd.date_range("2019-01-02", "2020-12-30", freq="7D", unit="us")
    columns = pd.DataFrame(step_columns(weeks, weeks[0], pd.Timestamp("2019-09-11")), weeks, list(STEP_NAMES))
    entered = set(columns.columns[columns.any()])
    assert entered == {"technical adjustment 2019-05"}


def test_every_step_was_announced_before_it_took_effect() -> None:
    assert all(step.known < step.effective for step in DATED_STEPS)


# --------------------------------------------------------------------------- paths


def test_residuals_decay_geometrically_without_shocks() -> None:
    paths = residual_paths(np.array([2.0, -1.0]), np.array([0.5, 0.0]), np.zeros((2, 4)))
    np.testing.assert_allclose(paths, [[1.0, 0.5, 0.25, 0.125], [0.0, 0.0, 0.0, 0.0]])


def test_residuals_add_shocks_up() -> None:
    shocks = np.random.default_rng(1).standard_normal((3, 6))
    np.testing.assert_allclose(residual_paths(np.zeros(3), np.ones(3), shocks), np.cumsum(shocks, axis=1))


def test_ratio_paths_are_a_random_walk_with_the_changes_of_the_past() -> None:
    history = 12 + np.cumsum(np.random.default_rng(2).normal(0.05, 0.2, 400))
    paths = ratio_paths(history, 6, 200_000, np.random.default_rng(3))
    for h in (1, 6):
        changes = history[h:] - history[:-h]
        assert paths[:, h - 1].std() == pytest.approx(changes.std(), rel=0.02)
        assert paths[:, h - 1].mean() == pytest.approx(history[-1], abs=0.01)
    assert np.corrcoef(paths[:, 4], paths[:, 5])[0, 1] > 0.85


def test_a_ratio_is_never_negative() -> None:
    history = np.r_[np.linspace(12, 0.5, 60)] + np.tile([0.4, -0.4], 30)
    assert (ratio_paths(history, 5, 500, np.random.default_rng(4)) >= 0).all()


def test_a_path_longer_than_history_is_refused() -> None:
    with pytest.raises(ShortHistoryError, match="stretches of 26 weeks"):
        ratio_paths(np.full(40, 12.0), 26, 10, np.random.default_rng(1))


# --------------------------------------------------------------------------- forecasts


def posterior(draws: int = 50, **parameters: float) -> Any:
    """A posterior that knows its parameters, almost without noise."""
    values = {"kink": 12.0, "beta": 2.0, "tau": 0.5, "alpha": -7.0, "sigma": 1e-9, "phi": 0.6} | parameters
    variables: dict[str, Any] = {
        name: (("chain", "draw"), np.full((2, draws // 2), value)) for name, value in values.items()
    }
    variables["gamma"] = (("chain", "draw", "effect"), np.full((2, draws // 2, 1), 3.0))
    return xr.DataTree.from_dict({"posterior": xr.Dataset(variables)})


def fitted(design: Design, tree: Any = None, spec: SatiationCurve = SPEC) -> FittedSatiationCurve:
    return FittedSatiationCurve(spec, tree or posterior(), target_history(design), design.features)


def scenario(design: Design, paths: np.ndarray) -> Scenario:
    """Paths (S, 2 + AHEAD) of the ratio from the first unpublished week on."""
    weeks = design.features.index[len(design.targets) - 2 :]
    return Scenario("assumed", np.asarray(paths)[:, :, None], pd.DatetimeIndex(weeks), ("reserve_ratio",))


def forecast(model: FittedSatiationCurve, design: Design, paths: np.ndarray | None, n: int = 50, seed: int = 1) -> Any:
    given = None if paths is None else scenario(design, paths)
    return model.predict(design.future(AHEAD), scenario=given, n_draws=n, rng=np.random.default_rng(seed))


def test_a_scenario_is_followed_to_the_closed_form(simulated: Design) -> None:
    path = np.linspace(9.0, 14.0, 2 + AHEAD)
    values = forecast(fitted(simulated), simulated, path[None]).values[:, :, 0]
    effect = simulated.features[EFFECT].to_numpy()
    mean = -7 + 2.0 * 0.5 * np.log1p(np.exp((12 - path) / 0.5)) + 3.0 * effect[len(effect) - 2 - AHEAD :]
    start = simulated.targets["effr_iorb"].iloc[-1] - mean[1]
    expected = mean[2:] + start * 0.6 ** np.arange(1, AHEAD + 1)
    np.testing.assert_allclose(values, np.tile(expected, (50, 1)), atol=1e-6)


def test_draw_i_uses_path_i_of_the_scenario(simulated: Design) -> None:
    paths = np.tile(np.array([[6.0], [18.0], [30.0]]), (1, 2 + AHEAD))
    last = forecast(fitted(simulated, posterior(phi=0.0)), simulated, paths, n=7).values[:, -1, 0]
    effect = 3.0 * simulated.features[EFFECT].iloc[-1]
    np.testing.assert_allclose(last - effect, [5.0, -7, -7, 5, -7, -7, 5], atol=1e-3)


def test_fewer_reserves_never_lower_the_spread(simulated: Design) -> None:
    model = fitted(simulated, posterior(sigma=0.5))
    base = np.full((1, 2 + AHEAD), 11.0)
    less = base.copy()
    less[:, 3:] = 10.0
    difference = forecast(model, simulated, less).values - forecast(model, simulated, base).values
    assert (difference[:, 1:] > 0).all()
    np.testing.assert_allclose(difference[:, 0], 0.0, atol=1e-12)


def test_a_scenario_that_stops_early_is_refused(simulated: Design) -> None:
    weeks = simulated.features.index[len(simulated.targets) - 2 : -1]
    short = Scenario("short", np.full((1, len(weeks), 1), 11.0), pd.DatetimeIndex(weeks), ("reserve_ratio",))
    with pytest.raises(NeedsScenarioError, match="'short' has no 'reserve_ratio' for the week to 2018"):
        fitted(simulated).predict(simulated.future(AHEAD), scenario=short, n_draws=5, rng=np.random.default_rng(1))


def test_calendar_effects_beyond_the_design_are_refused(simulated: Design) -> None:
    with pytest.raises(NeedsScenarioError, match="quarter_end_week"):
        fitted(simulated).predict(simulated.future(AHEAD + 1), n_draws=5, rng=np.random.default_rng(1))


def test_periods_must_follow_the_last_week_that_is_over(simulated: Design) -> None:
    with pytest.raises(ModelError, match="consecutive reserve weeks"):
        fitted(simulated).predict(simulated.future(4)[1:], n_draws=5, rng=np.random.default_rng(1))


def test_a_spread_that_is_late_is_bridged_from_its_last_week(simulated: Design) -> None:
    path = np.full((1, 2 + AHEAD), 20.0)
    targets = simulated.targets.copy()
    targets.iloc[-1] = np.nan
    late = replace(simulated, targets=targets)
    on_time = forecast(fitted(simulated, posterior(phi=0.9)), simulated, path).values[0, 0, 0]
    bridged = forecast(fitted(late, posterior(phi=0.9)), late, path).values[0, 0, 0]
    effects = 3.0 * simulated.features[EFFECT].to_numpy()[len(targets) - 2 :]
    residuals = simulated.targets["effr_iorb"].to_numpy()[-2:] - (-7 + effects[:2])
    assert on_time == pytest.approx(-7 + effects[2] + 0.9 * residuals[1], abs=1e-3)
    assert bridged == pytest.approx(-7 + effects[2] + 0.81 * residuals[0], abs=1e-3)


def test_without_a_scenario_the_ratio_is_forecast_jointly(simulated: Design) -> None:
    values = forecast(fitted(simulated), simulated, None, n=400).values[:, :, 0]
    assert values[:, 0].std() > 0.1  # the ratio alone moves it: there is no other noise
    assert values[:, -1].std() > values[:, 0].std()


def test_the_spread_of_shocks_is_that_of_a_student_t(simulated: Design) -> None:
    model = fitted(simulated, posterior(phi=0.0, sigma=2.0))
    shocks = forecast(model, simulated, np.full((1, 2 + AHEAD), 30.0), n=20_000).values[:, 0, 0] + 7
    shocks -= 3.0 * simulated.features[EFFECT].iloc[len(simulated.targets)]
    probs = [0.05, 0.25, 0.5, 0.75, 0.95]
    np.testing.assert_allclose(np.quantile(shocks, probs), stats.t.ppf(probs, 4, scale=2.0), atol=0.15)


def test_independent_errors_forget_the_last_week(simulated: Design) -> None:
    tree = posterior()
    tree = xr.DataTree.from_dict({"posterior": tree["posterior"].to_dataset().drop_vars("phi")})
    path = np.full((1, 2 + AHEAD), 30.0)
    values = forecast(fitted(simulated, tree, replace(SPEC, errors="independent")), simulated, path).values[0, :, 0]
    np.testing.assert_allclose(values, -7 + 3.0 * simulated.features[EFFECT].iloc[-AHEAD:], atol=1e-6)


def test_same_generator_same_draws(simulated: Design) -> None:
    model = fitted(simulated, posterior(sigma=1.0))
    first, again, other = (forecast(model, simulated, None, seed=seed).values for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_a_fitted_model_survives_pickling(simulated: Design) -> None:
    model = fitted(simulated, posterior(sigma=1.0))
    copy = pickle.loads(pickle.dumps(model))  # noqa: S301  our own bytes
    np.testing.assert_array_equal(forecast(model, simulated, None).values, forecast(copy, simulated, None).values)


def test_the_fitted_value_tells_kink_and_slope(simulated: Design) -> None:
    model = fitted(simulated)
    np.testing.assert_array_equal(model.kink(), np.full(50, 12.0))
    np.testing.assert_allclose(model.slope(12.0), -1.0)
    np.testing.assert_allclose(model.slope(2.0), -2.0, rtol=1e-6)


# --------------------------------------------------------------------------- sampling


@pytest.mark.slow
def test_fitting_finds_the_curve_and_repeats_itself(simulated: Design) -> None:
    before = pickle.dumps(simulated)
    model = SPEC.fit(simulated, rng=np.random.default_rng(3))
    assert pickle.dumps(simulated) == before
    low, high = np.quantile(model.kink(), [0.005, 0.995])
    assert low < 12 < high < 14
    low, high = np.quantile(flat(model.posterior, "beta"), [0.005, 0.995])
    assert 1 < low < 2 < high
    again = SPEC.fit(simulated, rng=np.random.default_rng(3))
    np.testing.assert_array_equal(model.kink(), again.kink())
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).kink(), model.kink())  # noqa: S301  our own bytes


@pytest.mark.slow
@pytest.mark.parametrize("errors", ["autoregressive", "independent"])
def test_two_years_without_any_movement_are_sampled_and_forecast(errors: Any) -> None:
    ratio = 14 + np.random.default_rng(5).normal(0, 0.3, 107).cumsum() / 4
    standing = design(np.full(107, -7.0), ratio)
    model = replace(SPEC, errors=errors).fit(standing, rng=np.random.default_rng(1))
    sigma = flat(model.posterior, "sigma")
    assert SMALLEST_SCALE < np.median(sigma) < 0.3
    values = forecast(model, standing, np.full((1, 2 + AHEAD), ratio[-3])).values[:, 0, 0]
    assert np.quantile(values, 0.05) > -8.0
    assert np.quantile(values, 0.95) < -6.0


@pytest.mark.slow
def test_steps_outside_the_sample_keep_their_prior(simulated: Design) -> None:
    model = replace(SPEC, steps=True).fit(simulated, rng=np.random.default_rng(2))
    shift = flat(model.posterior, "shift")
    after = STEP_NAMES.index("technical adjustment 2020-01")
    inside = STEP_NAMES.index("effr from mean to median")
    assert shift[:, after].std() == pytest.approx(5.0, rel=0.15)
    assert shift[:, inside].std() < 1.0
