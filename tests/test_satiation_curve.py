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
from models.reserve_demand.curve_path import residual_paths  # noqa: E402
from models.reserve_demand.dated_steps import DATED_STEPS, STEP_NAMES, step_columns  # noqa: E402
from models.reserve_demand.fitted_satiation import FittedSatiationCurve  # noqa: E402
from models.reserve_demand.reserve_ratio import ratio_paths  # noqa: E402
from models.reserve_demand.rounding import log_interval_probability  # noqa: E402
from models.reserve_demand.satiation_curve import SatiationCurve  # noqa: E402
from models.reserve_demand.satiation_density import SMALLEST_SCALE  # noqa: E402
from models.reserve_demand.satiation_shape import curve, curve_slope  # noqa: E402

AHEAD = 8
EFFECT = "quarter_end_week"
SPEC = SatiationCurve(spreads=("effr_iorb",), kink="constant", volatility="constant", effects=(EFFECT,), steps=False)


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


# --------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    "options",
    [
        {"errors": "random_walk"},
        {"kink_prior": "uniform"},
        {"kink": "wandering"},
        {"bends": "common"},
        {"volatility": "garch"},
        {"phi_max": 1.0},
        {"kink_sd": 0.0},
        {"kink_low": 21.0},
        {"knot_weeks": 0},
        {"volatility_weeks": 0},
        {"spreads": ()},
        {"spreads": ("effr_iorb", "effr_iorb")},
    ],
)
def test_senseless_options_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        SatiationCurve(**options)


def test_a_wrong_unit_is_refused(simulated: Design) -> None:
    wrong = replace(simulated, units={**simulated.units, "effr_iorb": UNITS["percent"]})
    with pytest.raises(UnitError, match="'effr_iorb' is in percent; give it in bp"):
        SPEC.fit(wrong, rng=np.random.default_rng(1))


@pytest.mark.parametrize("factor", [0.01, 100.0])
def test_a_ratio_that_cannot_be_percent_is_refused_by_its_size(simulated: Design, factor: float) -> None:
    features = simulated.features.assign(reserve_ratio=factor * simulated.features["reserve_ratio"])
    with pytest.raises(UnitError, match="Is it a fraction, or in dollars"):
        SPEC.fit(replace(simulated, features=features), rng=np.random.default_rng(1))


def test_a_design_without_any_of_the_spreads_is_refused(simulated: Design) -> None:
    empty = replace(simulated, targets=simulated.targets * np.nan)
    with pytest.raises(ShortHistoryError, match="none of effr_iorb has a value"):
        SPEC.fit(empty, rng=np.random.default_rng(1))


def test_reserves_that_are_missing_altogether_are_refused(simulated: Design) -> None:
    features = simulated.features.assign(reserve_ratio=np.nan)
    with pytest.raises(ShortHistoryError, match="0 pairs of complete weeks"):
        SPEC.fit(replace(simulated, features=features), rng=np.random.default_rng(1))


def test_a_control_function_needs_two_years_of_the_treasury_account(simulated: Design) -> None:
    spec = replace(SPEC, control=True)
    features = simulated.features.assign(tga_level=np.nan)
    with pytest.raises(ShortHistoryError, match="tga_level"):
        spec.fit(replace(simulated, features=features), rng=np.random.default_rng(1))


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
    values = {"beta": 2.0, "alpha": -7.0, "sigma": 1e-9, "phi": 0.6} | parameters
    shape = (2, draws // 2)
    variables: dict[str, Any] = {
        name: (("chain", "draw", "spread"), np.full((*shape, 1), value)) for name, value in values.items()
    }
    variables["tau"] = (("chain", "draw"), np.full(shape, 0.5))
    variables["kink"] = (("chain", "draw", "spread", "kink_knot"), np.full((*shape, 1, 1), 12.0))
    variables["gamma"] = (("chain", "draw", "spread", "effect"), np.full((*shape, 1, 1), 3.0))
    return xr.DataTree.from_dict({"posterior": xr.Dataset(variables)})


def fitted(design: Design, tree: Any = None, spec: SatiationCurve = SPEC) -> FittedSatiationCurve:
    sample = spec.sample(design)
    return FittedSatiationCurve(spec.density(sample), (12.0, 4.0), tree or posterior(), sample)


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


# --------------------------------------------------------------------------- several spreads, slow paths

TWO = replace(SPEC, spreads=("effr_iorb", "sofr_iorb"), kink="drifting", volatility="stochastic")


@pytest.fixture(scope="module")
def pair(simulated: Design) -> Design:
    """The second spread begins late and is published a week later than the first."""
    rng = np.random.default_rng(9)
    sofr = simulated.targets["effr_iorb"] + 2 + np.round(rng.normal(0, 2, len(simulated.targets)))
    sofr.iloc[:50] = np.nan
    sofr.iloc[-1] = np.nan
    units = {**simulated.units, "sofr_iorb": UNITS["bp"]}
    return replace(simulated, targets=simulated.targets.assign(sofr_iorb=sofr), units=units)


def drawn(spec: SatiationCurve, design: Design, n: int = 40, **known: float) -> FittedSatiationCurve:
    """A fitted curve whose posterior is a point; volatility and kink at their knots are flat."""
    sample = spec.sample(design)
    density = spec.density(sample)
    J, K, V = len(density.spreads), max(density.kink_knots, 1), density.volatility_knots
    values = {"drift": 0.0, "volatility_sd": 0.0, "loading": 0.0, "beta": 2.0, "phi": 0.6} | known
    shapes = {"drift": (), "volatility_sd": (J,), "loading": (J * (J - 1) // 2,), "beta": (J,), "phi": (J,)}
    arrays = {name: np.full((1, n, *shapes[name]), value) for name, value in values.items() if name in shapes}
    arrays |= {"tau": np.full((1, n), 0.5), "kink": np.full((1, n, J, K), 12.0), "alpha": np.full((1, n, J), -7.0)}
    arrays |= {"gamma": np.zeros((1, n, J, 1)), "volatility": np.full((1, n, J), known.get("volatility", -20.0))}
    arrays |= {"log_scale": np.full((1, n, J, V), known.get("volatility", -20.0))}
    dims = {name: ("chain", "draw", *(f"{name}_{i}" for i in range(a.ndim - 2))) for name, a in arrays.items()}
    tree = xr.DataTree.from_dict({"posterior": xr.Dataset({name: (dims[name], a) for name, a in arrays.items()})})
    return FittedSatiationCurve(density, (12.0, 4.0), tree, sample)


def test_spreads_are_forecast_each_from_its_own_last_week(pair: Design) -> None:
    path = np.full((1, 2 + AHEAD), 20.0)
    values = forecast(drawn(TWO, pair), pair, path)
    assert values.targets == ("effr_iorb", "sofr_iorb")
    # Both weeks have no ratio yet: the scenario's 20 percent, where the curve is flat.
    start = pair.targets.ffill().iloc[-1].to_numpy() + 7
    np.testing.assert_allclose(values.values.mean(axis=0)[0], -7 + start * [0.6, 0.6**2], atol=0.1)


def test_shocks_spill_over_to_the_spreads_behind(pair: Design) -> None:
    model = drawn(TWO, pair, volatility=0.5, loading=3.0, phi=0.0)
    values = forecast(model, pair, np.full((1, 2 + AHEAD), 20.0), n=4000).values[:, 3]
    slope = np.polyfit(values[:, 0], values[:, 1], 1)[0]
    assert slope == pytest.approx(3.0, abs=0.25)


def test_a_kink_that_drifts_widens_the_forecast_with_the_horizon(pair: Design) -> None:
    path = np.full((1, 2 + AHEAD), 8.0)
    still = forecast(drawn(TWO, pair), pair, path, n=2000).values[:, -1, 0].std()
    moving = forecast(drawn(TWO, pair, drift=0.2), pair, path, n=2000).values[:, [0, -1], 0].std(axis=0)
    expected = 2.0 * 0.2 * np.sqrt([1, AHEAD])  # on the steep branch a shift of the kink moves the spread by beta
    assert still < 0.2
    # The first week's shift counts where it goes on; the residual decays towards the moved curve.
    np.testing.assert_allclose(moving, expected, rtol=0.08)


def test_volatility_goes_home(pair: Design) -> None:
    model = drawn(TWO, pair, phi=0.0)
    tree = model.posterior["posterior"].to_dataset()
    tree["log_scale"] = tree["log_scale"] * 0 + 2.0  # loud at the end of the sample, calm on average
    loud = replace(model, posterior=xr.DataTree.from_dict({"posterior": tree.assign(volatility=tree.volatility * 0)}))
    spread = forecast(loud, pair, np.full((1, 2 + AHEAD), 30.0), n=6000).values[:, :, 0]
    wide = np.quantile(np.abs(spread + 7), 0.5, axis=0) / stats.t.ppf(0.75, 4)
    expected = SMALLEST_SCALE + np.exp(2.0 * 0.97 ** np.arange(1, AHEAD + 1))
    np.testing.assert_allclose(wide, expected, rtol=0.06)


# --------------------------------------------------------------------------- how near reserves are to scarce


def test_the_answer_is_the_slope_of_the_curve_in_every_week(pair: Design) -> None:
    answer = drawn(TWO, pair).ampleness()
    ratio = pair.features["reserve_ratio"].dropna()
    assert answer.spread == "effr_iorb"
    assert answer.draws_are == "posterior"
    assert not answer.sign_free
    assert list(answer.weeks) == list(ratio.index)
    np.testing.assert_allclose(answer.slope[0], curve_slope(ratio.to_numpy(), *map(np.array, (12.0, 2.0, 0.5))))
    for c, draws in answer.thresholds.items():
        np.testing.assert_allclose(curve_slope(draws, *map(np.array, (12.0, 2.0, 0.5))), c)
    assert drawn(TWO, pair).ampleness("sofr_iorb").spread == "sofr_iorb"


def test_the_answer_knows_the_kink_of_the_last_week(pair: Design) -> None:
    model = drawn(TWO, pair)
    tree = model.posterior["posterior"].to_dataset()
    knots = tree["kink"].to_numpy() + 0.1 * np.arange(tree.sizes["kink_1"])
    moved = replace(model, posterior=xr.DataTree.from_dict({"posterior": tree.assign(kink=(tree["kink"].dims, knots))}))
    last = 157  # of 160 weeks, two without a ratio
    np.testing.assert_allclose(moved.kinks()[0, last], 12 + 0.1 * last / 13)
    half = moved.ampleness().thresholds[-1.0]  # half of beta is reached at the kink
    np.testing.assert_allclose(half, 12 + 0.1 * last / 13)
    assert moved.ampleness().curve is not None


def test_the_curve_told_is_the_level_and_the_bend(pair: Design) -> None:
    told = drawn(TWO, pair).ampleness().curve
    assert told is not None
    expected = -7 + curve(told.ratio, *map(np.array, (12.0, 2.0, 0.5)))
    np.testing.assert_allclose(told.spread, np.tile(expected, (len(told.spread), 1)))


def test_the_prior_stands_beside_the_posterior_at_the_ratio_of_today(pair: Design) -> None:
    answer = drawn(TWO, pair, n=4000).ampleness()
    assert set(answer.prior) == {"slope", "-0.25", "-0.5", "-1"}
    now = answer.ratio[-1]
    steep = answer.prior["slope"] < -0.5
    # The slope is steeper than c exactly where the ratio lies below x*(c).
    np.testing.assert_array_equal(steep, now < answer.prior["-0.5"])
    assert 0.02 < steep.mean() < 0.98


def test_a_weak_instrument_is_named(pair: Design) -> None:
    rng = np.random.default_rng(3)
    account = pd.Series(300 + np.cumsum(rng.normal(0, 20, 160)), pair.targets.index).reindex(pair.features.index)
    units = {**pair.units, "tga_level": UNITS["usd_bn"]}
    weak = replace(pair, features=pair.features.assign(tga_level=account), units=units)
    model = drawn(replace(TWO, control=True), weak)
    assert any("identifies nothing" in note for note in model.ampleness().notes)
    assert not any("identifies nothing" in note for note in model.ampleness("sofr_iorb").notes)


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
