"""Regression and vector autoregression that drift: their arrays, their contract, what they recover and what they refuse."""

from __future__ import annotations

import pickle
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("numba")
pytest.importorskip("arviz")

from forecast.answers.ampleness import TellsAmpleness
from forecast.checks.contract import CHECKS, Trial, trial
from forecast.errors import DiagnosticsError, ModelError, ShortHistoryError, UnitError
from forecast.features.calendar_effects import quarter_end_week
from forecast.features.feature_set import Design, future_weeks
from forecast.scenario import Scenario
from forecast.units import UNITS
from models._posterior import flat
from models.reserve_demand.curve_path import curve_sample
from models.reserve_demand.drifting_paths import instrumental_slopes, joint_paths, largest_root, prior_coefficients
from models.reserve_demand.drifting_system import equations, with_holes
from models.reserve_demand.gibbs_chains import GibbsSampler
from models.reserve_demand.hindsight import FittedWithHindsight
from models.reserve_demand.time_varying_regression import TimeVaryingRegression
from models.reserve_demand.time_varying_var import TimeVaryingVAR

AHEAD = 26
EFFECT = "quarter_end_week"
# Short chains with a gate that lets them pass: what is tested is not convergence.
SHORT: dict[str, Any] = {"chains": 2, "burn_in": 150, "draws": 60, "every": 2, "max_rhat": 10.0, "min_ess": 1.0}
REGRESSION = TimeVaryingRegression(effects=(EFFECT,), **SHORT)
VAR = TimeVaryingVAR(effects=(EFFECT,), **SHORT)
MODELS = pytest.mark.parametrize("model", [REGRESSION, VAR], ids=lambda model: model.name)


def economy(T: int = 300, *, slope: float = -1.0, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Spread and ratio: demand disturbances that are over within a week or so, supply that stays."""
    rng = np.random.default_rng(seed)
    x, s = np.empty(T), np.empty(T)
    x[0], s[0] = 12.0, -5.0
    for t in range(1, T):
        x[t] = x[t - 1] + 0.3 * rng.standard_normal()
        target = -5 + slope * (x[t] - 12)
        s[t] = target + 0.4 * (s[t - 1] - (-5 + slope * (x[t - 1] - 12))) + 0.3 * rng.standard_normal()
    return s, x


def design(spread: np.ndarray, ratio: np.ndarray, *, late: int = 2) -> Design:
    """Consecutive weeks; the last ``late`` ratios are not yet published."""
    weeks = pd.date_range("2014-01-01", periods=len(spread), freq="7D", unit="us")
    extended = pd.DatetimeIndex(weeks.append(future_weeks(weeks[-1], AHEAD)))
    known = pd.Series(ratio, index=weeks).iloc[: len(ratio) - late].reindex(extended)
    return Design(
        targets=pd.DataFrame({"effr_iorb": spread}, index=weeks),
        features=pd.DataFrame({"reserve_ratio": known, EFFECT: quarter_end_week(extended)}),
        units={"effr_iorb": UNITS["bp"], "reserve_ratio": UNITS["percent"], EFFECT: UNITS["indicator"]},
        known_ahead=frozenset({EFFECT}),
    )


@cache
def example() -> Design:
    s, x = economy()
    s, x = np.round(s), x.copy()
    s[120:150], x[200] = -7.0, np.nan
    return design(s, x)


@cache
def fitted(model: Any) -> Any:
    return model.fit(example(), rng=np.random.default_rng(2))


# --------------------------------------------------------------------------- arrays


def test_the_instrumental_slope_is_the_ratio_of_impulse_responses() -> None:
    rng, p = np.random.default_rng(3), 3
    ratio, spread = 0.3 * rng.standard_normal(2 + 2 * p), 0.3 * rng.standard_normal(3 + 2 * p)
    for h in range(6):
        x, s = np.zeros(p + h + 1), np.zeros(p + h + 1)
        for t in range(p, p + h + 1):
            before = [x[t - lag] for lag in range(1, p + 1)] + [s[t - lag] for lag in range(1, p + 1)]
            x[t] = ratio[1 : 1 + 2 * p] @ before + (t == p)
            s[t] = spread[1] * x[t] + spread[2 : 2 + 2 * p] @ before
        assert float(instrumental_slopes(ratio, spread, p, h)) == pytest.approx(s[-1] / x[-1], rel=1e-12)


def test_the_instrumental_slope_agrees_with_that_of_the_forgetting_filter() -> None:
    from models.reserve_demand.forgetting_filter import instrumental_slope

    rng, p = np.random.default_rng(4), 2
    ratio, spread = 0.3 * rng.standard_normal(1 + 2 * p), 0.3 * rng.standard_normal(2 + 2 * p)
    # Reduced form: (1, y(t-1)', y(t-2)')' -> y(t), with variables and not lags moving fastest.
    reduced = np.empty((1 + 2 * p, 2))
    order = [1 + v * p + lag for lag in range(p) for v in range(2)]
    reduced[0] = ratio[0], spread[0] + spread[1] * ratio[0]
    for row, place in enumerate(order, start=1):
        reduced[row] = ratio[place], spread[place + 1] + spread[1] * ratio[place]
    omega = 0.5 * np.array([[1.0, spread[1]], [spread[1], spread[1] ** 2 + 0.7]])
    for h in (0, 1, 4):
        expected = instrumental_slope(reduced[None], omega[None], h)
        assert float(instrumental_slopes(ratio, spread, p, h)) == pytest.approx(float(np.ravel(expected)[0]), rel=1e-10)


def test_draws_and_weeks_keep_their_shape() -> None:
    rng = np.random.default_rng(5)
    found = instrumental_slopes(rng.standard_normal((4, 7, 6)), rng.standard_normal((4, 7, 7)), 2, 1)
    assert found.shape == (4, 7)


def test_the_largest_root_is_that_of_the_reduced_form() -> None:
    # One lag: x = .5 x + .1 s, s = 2 x + .3 s(t-1)
    found = largest_root(np.array([[0.0, 0.5, 0.1]]), np.array([[0.0, 2.0, 0.0, 0.3]]), 1)
    assert found[0] == pytest.approx(np.abs(np.linalg.eigvals([[0.5, 0.1], [1.0, 0.5]])).max())
    growing = largest_root(np.array([[0.0, 1.0, 0.2, 0.0, 0.0]]), np.array([[0.0, 0.0, 0.0, 0.0, 0.1, 0.0]]), 2)
    assert growing[0] == pytest.approx((1 + np.sqrt(1.8)) / 2)  # z^2 = z + 0.2


def test_joint_paths_follow_both_equations_and_keep_what_is_known() -> None:
    ratio = np.array([[1.0, np.nan, 2.0]])
    spread = np.array([-3.0, np.nan, np.nan])
    effects = np.array([[1.0], [0.0]])
    coefficients = {
        "ratio": np.tile([0.5, 0.9, 0.1, 0.0], (1, 2, 1)),
        "spread": np.tile([1.0, -2.0, 0.5, 0.6, 4.0], (1, 2, 1)),
    }
    noise = {"ratio": np.array([[0.2, 9.0]]), "spread": np.array([[-0.1, 0.3]])}
    x = 0.5 + 0.9 * 1 + 0.1 * -3 + 0.2
    s = 1 - 2 * x + 0.5 * 1 + 0.6 * -3 + 4 - 0.1
    later = 1 - 2 * 2 + 0.5 * x + 0.6 * s + 0.3  # the known ratio, not the equation's
    np.testing.assert_allclose(joint_paths(ratio, spread, effects, coefficients, noise), [[s, later]])


def test_a_week_with_a_hole_is_missing_as_a_whole() -> None:
    y, X = with_holes(np.array([1.0, np.nan, 3.0]), np.array([[1.0, 2.0], [3.0, 4.0], [np.nan, 5.0]]))
    np.testing.assert_array_equal(np.isnan(y), [False, True, True])
    np.testing.assert_array_equal(X, [[1, 1, 2], [0, 0, 0], [0, 0, 0]])


def test_rows_run_from_the_first_complete_week_to_the_last_published_spread() -> None:
    s, x = economy(120)
    s[:3], x[:5] = np.nan, np.nan
    sample = curve_sample("x", "effr_iorb", ("reserve_ratio", EFFECT), design(s, x))
    weeks, rows = sample.weekly_rows()
    assert len(weeks) == len(rows) == 115
    np.testing.assert_array_equal(rows[:, 0], s[5:])
    assert np.isnan(rows[-2:, 1]).all()


def test_equations_hold_the_lags_they_name() -> None:
    s, x = economy(110)
    rows = np.column_stack([s, x, np.zeros(110)])
    found = equations(VAR.system, rows)
    for name, e in found.items():
        assert e.sample.X.shape == (110, len(e.regressors))
        assert len(e.priors.mean) == len(e.priors.sd) == len(e.priors.drift_sd) == len(e.regressors)
        column = {label: e.sample.X[:, j] for j, label in enumerate(e.regressors)}
        np.testing.assert_allclose(column["reserve_ratio, lag 2"][2:], x[:-2] - 12)
        np.testing.assert_allclose(column["effr_iorb, lag 1"][2:], s[1:-1])
        assert np.isnan(e.sample.y[:2]).all()
        assert name in ("ratio", "spread")
    np.testing.assert_allclose(found["spread"].sample.X[2:, 1], x[2:] - 12)
    assert found["ratio"].sample.rounding == 0
    assert found["spread"].sample.rounding == pytest.approx(1 / 12)


def test_prior_coefficients_spread_as_they_drift() -> None:
    found = prior_coefficients(np.array([1.0]), np.array([0.5]), np.array([0.1]), 400, n=200_000)
    assert found.mean() == pytest.approx(1.0, abs=0.02)
    assert found.var() == pytest.approx(0.25 + 400 * 0.01, rel=0.03)


# --------------------------------------------------------------------------- the contract


@cache
def trial_of(model: Any) -> Trial:
    return trial(model, example())


@pytest.mark.slow
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@MODELS
def test_the_contract_is_kept(model: Any, check: Any) -> None:
    check(trial_of(model))


@MODELS
def test_a_fit_tells_ampleness(model: Any) -> None:
    assert model.tells_ampleness
    fit = fitted(model)
    assert isinstance(fit, TellsAmpleness)
    told = fit.ampleness()
    assert told.draws_are == "posterior"
    assert told.sign_free
    assert told.thresholds == {}
    assert told.slope.shape == (120, 297)  # 300 weeks, two ratios late, one missing
    assert told.weeks[0] == example().targets.index[0]
    np.testing.assert_array_equal(told.ratio, example().features["reserve_ratio"].dropna().to_numpy())
    prior = told.prior["slope"]
    assert 0.3 < np.mean(prior < -0.25) < 0.6  # the prior does not know the sign


@MODELS
def test_the_posterior_is_a_tree_of_named_arrays(model: Any) -> None:
    posterior = fitted(model).posterior["posterior"]
    assert posterior.sizes["chain"] == 2
    assert posterior["slope"].dims == ("chain", "draw", "week")
    assert list(posterior["volatility_spread"].coords["volatility"].values) == ["mu", "phi", "sigma"]
    assert "reserve_ratio" in posterior["coefficients_spread"].coords["regressor_spread"].values
    assert (posterior["drift_spread"] > 0).all()


@MODELS
def test_a_fit_survives_pickling(model: Any) -> None:
    again = pickle.loads(pickle.dumps(fitted(model)))  # noqa: S301  our own bytes
    weeks = example().future(3)
    one = fitted(model).predict(weeks, n_draws=20, rng=np.random.default_rng(6)).values
    np.testing.assert_array_equal(one, again.predict(weeks, n_draws=20, rng=np.random.default_rng(6)).values)


@MODELS
def test_draws_do_not_depend_on_the_threads(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from models.reserve_demand import gibbs_chains

    monkeypatch.setattr(gibbs_chains, "process_cpu_count", lambda: 1)
    alone = model.fit(example(), rng=np.random.default_rng(2))
    for name, values in fitted(model).posterior["posterior"].data_vars.items():
        np.testing.assert_array_equal(values, alone.posterior["posterior"][name])


@MODELS
def test_a_scenario_moves_the_forecast_against_the_ratio(model: Any) -> None:
    weeks = example().future(8)
    periods = pd.DatetimeIndex(example().targets.index[-2:].append(weeks))
    last = example().features["reserve_ratio"].dropna().iloc[-1]

    def median(shift: float) -> float:
        path = np.full((1, len(periods), 1), last + shift)
        scenario = Scenario("path", path, periods, ("reserve_ratio",))
        draws = fitted(model).predict(weeks, scenario=scenario, n_draws=400, rng=np.random.default_rng(7))
        return float(np.median(draws.values[:, -1, 0]))

    assert median(-2.0) - median(2.0) == pytest.approx(4.0, abs=2.0)  # the slope is minus one


@MODELS
def test_without_a_scenario_uncertainty_grows(model: Any) -> None:
    draws = fitted(model).predict(example().future(13), n_draws=600, rng=np.random.default_rng(8)).values[:, :, 0]
    width = np.diff(np.quantile(draws, [0.16, 0.84], axis=0), axis=0)[0]
    assert width[-1] > 1.3 * width[0]


def test_a_bridge_keeps_to_what_is_published_and_begins_after_the_last_complete_week() -> None:
    s, x = economy(120)
    s[-1], x[110] = np.nan, np.nan
    sample = curve_sample("x", "effr_iorb", ("reserve_ratio", EFFECT), design(s, x, late=3))
    bridge = sample.bridge(8, design(s, x).future(2), None, 5)
    assert bridge.last == 116
    assert len(bridge.weeks) == 5
    assert np.isnan(bridge.ratio).all()
    np.testing.assert_array_equal(bridge.spread, [*s[117:119], np.nan, np.nan, np.nan])
    expected = np.column_stack([x, s])[109:117]
    expected[1, 0] = x[109]  # the hole holds the value before it
    np.testing.assert_array_equal(bridge.before, expected)


def test_a_hole_among_the_lags_of_the_forecast_is_bridged() -> None:
    s, x = economy()
    x[-4] = np.nan  # the last but one of the published ratios
    draws = VAR.fit(design(s, x), rng=np.random.default_rng(2)).predict(
        example().future(3), n_draws=50, rng=np.random.default_rng(3)
    )
    assert np.isfinite(draws.values).all()


# --------------------------------------------------------------------------- what is recovered and refused


@pytest.mark.slow
@pytest.mark.parametrize("slope", [-1.5, 0.0])
@pytest.mark.parametrize("kind", [TimeVaryingRegression, TimeVaryingVAR])
def test_a_constant_slope_is_recovered(kind: Any, slope: float) -> None:
    s, x = economy(500, slope=slope, seed=9)
    fit: FittedWithHindsight = kind(effects=(EFFECT,), weeks_after=4).fit(
        design(np.round(s, 1), x), rng=np.random.default_rng(1)
    )
    told = fit.ampleness()
    low, middle, high = np.quantile(told.slope, [0.025, 0.5, 0.975], axis=0)
    assert ((low < slope) & (slope < high)).mean() > 0.8
    assert np.median(middle) == pytest.approx(slope, abs=0.35)


@MODELS
def test_a_sampler_that_did_not_converge_is_refused(model: Any) -> None:
    impatient = replace(model, burn_in=100, draws=50, every=1, max_rhat=1.01, min_ess=400.0)
    with pytest.raises(DiagnosticsError, match=rf"{model.name}: the sampler did not converge.*'slope'.*burn_in"):
        impatient.fit(example(), rng=np.random.default_rng(1))


@MODELS
def test_a_sample_that_is_too_short_is_refused(model: Any) -> None:
    s, x = economy(90)
    with pytest.raises(ShortHistoryError, match="88 complete weeks, fewer than the 100 needed"):
        model.fit(design(s, x), rng=np.random.default_rng(1))


@MODELS
def test_a_spread_that_never_moves_is_refused(model: Any) -> None:
    _, x = economy(150)
    with pytest.raises(ModelError, match="is -7 bp in every week"):
        model.fit(design(np.full(150, -7.0), x), rng=np.random.default_rng(1))


@MODELS
def test_a_ratio_that_is_a_fraction_is_refused(model: Any) -> None:
    s, x = economy(150)
    with pytest.raises(UnitError, match="a fraction"):
        model.fit(design(s, x / 100), rng=np.random.default_rng(1))


@pytest.mark.parametrize("options", [{"weeks_after": -1}, {"rounding_sd": 0.0}, {"chains": 1}, {"draws": 10}])
@pytest.mark.parametrize("kind", [TimeVaryingRegression, TimeVaryingVAR])
def test_senseless_options_are_refused(kind: Any, options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        kind(**options)


def test_no_lags_are_refused() -> None:
    with pytest.raises(ValueError, match="lags = 0; give at least 1"):
        TimeVaryingVAR(lags=0)


def test_the_sampler_repeats_a_failed_run_once_and_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    from models.reserve_demand import gibbs_chains

    lengths: list[tuple[int, int]] = []
    run = gibbs_chains._run

    def counted(equations: Any, weeks: Any, tell: Any, settings: GibbsSampler, seed: int) -> Any:
        lengths.append((settings.burn_in, settings.every))
        return run(equations, weeks, tell, settings, seed)

    monkeypatch.setattr(gibbs_chains, "_run", counted)
    with pytest.raises(DiagnosticsError):
        replace(REGRESSION, draws=50, min_ess=1e6).fit(example(), rng=np.random.default_rng(1))
    assert lengths == [(150, 2), (600, 8)]


def test_forecasts_use_stable_draws_only() -> None:
    model: FittedWithHindsight = fitted(VAR)
    chosen = model._chosen(1_000, np.random.default_rng(1))
    roots = largest_root(*(flat(model.posterior, f"coefficients_{n}") for n in ("ratio", "spread")), VAR.lags)
    assert len(chosen) == 1_000
    if (roots < 1).mean() >= 0.05:
        assert (roots[chosen] < 1).all()
