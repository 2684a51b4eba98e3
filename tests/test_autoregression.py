from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from forecast.errors import ModelError, NeedsScenarioError, ShortHistoryError
from forecast.features.feature_set import Design, future_weeks
from forecast.scenario import Scenario
from forecast.units import UNITS
from models.autoregression import AR, ARX, iterate, lagged_columns
from models.ragged_edge import carried_forward, feature_paths, needs_scenario
from models.regression import independent_columns, regress

AHEAD = 26


def design_of(
    values: np.ndarray, features: dict[str, np.ndarray] | None = None, calendar: tuple[str, ...] = ()
) -> Design:
    """Calendar effects are given for 26 more weeks; other features end with the targets."""
    values = np.asarray(values, dtype=float).reshape(len(values), -1)
    index = pd.date_range("2010-01-06", periods=len(values), freq="7D", unit="us")
    extended = pd.DatetimeIndex(index.append(future_weeks(index[-1], AHEAD)))
    columns = {
        name: np.concatenate([column, np.full(len(extended) - len(column), np.nan)])
        for name, column in (features or {}).items()
    }
    names = [f"y{k}" for k in range(values.shape[1])]
    units = dict.fromkeys(names, UNITS["bp"]) | dict.fromkeys(columns, UNITS["percent"])
    return Design(pd.DataFrame(values, index, names), pd.DataFrame(columns, extended), units, frozenset(calendar))


def draw(
    model: AR | ARX, design: Design, weeks: int, *, n: int = 4000, seed: int = 0, scenario: Scenario | None = None
) -> np.ndarray:
    fitted = model.fit(design, rng=np.random.default_rng(0))
    values: np.ndarray = fitted.predict(
        design.future(weeks), scenario=scenario, n_draws=n, rng=np.random.default_rng(seed)
    ).values
    return values


def ar1(T: int, phi: float, mean: float = 10.0, seed: int = 0, errors: np.ndarray | None = None) -> np.ndarray:
    shocks = np.random.default_rng(seed).normal(size=T) if errors is None else errors
    y = np.empty(T)
    y[0] = shocks[0] / np.sqrt(1 - phi**2)
    for t in range(1, T):
        y[t] = phi * y[t - 1] + shocks[t]
    return mean + y


@pytest.mark.parametrize("lags", [1, 4])
def test_coefficients_are_those_of_statsmodels(lags: int) -> None:
    from statsmodels.tsa.ar_model import AutoReg

    y = ar1(300, 0.9, seed=1)
    fitted = AR(lags).fit(design_of(y), rng=np.random.default_rng(0))
    other = AutoReg(y, lags).fit()
    np.testing.assert_allclose(fitted.coefficients[:, 0], other.params, rtol=1e-8)
    residuals = fitted.residuals[lags:, 0] / np.sqrt((300 - lags) / (300 - 2 * lags - 1))
    np.testing.assert_allclose(residuals, other.resid, atol=1e-9)


def test_point_forecasts_are_those_of_statsmodels() -> None:
    from statsmodels.tsa.ar_model import AutoReg

    y = ar1(300, 0.9, seed=2)
    draws = draw(AR(3), design_of(y), 8, n=50_000)[:, :, 0]
    expected = AutoReg(y, 3).fit().forecast(8)
    np.testing.assert_allclose(draws.mean(axis=0), expected, atol=4 * draws.std() / np.sqrt(50_000))


def test_regressors_enter_in_their_own_week_as_in_statsmodels() -> None:
    from statsmodels.tsa.ar_model import AutoReg

    rng = np.random.default_rng(3)
    x = (rng.random(300 + AHEAD) < 0.2).astype(float)
    y = ar1(300, 0.7, seed=4) + 5 * x[:300]
    design = design_of(y, {"quarter_end_week": x}, ("quarter_end_week",))
    fitted = ARX(2, ("quarter_end_week",)).fit(design, rng=rng)
    other = AutoReg(y, 2, exog=x[:300, None]).fit()
    np.testing.assert_allclose(fitted.coefficients[:, 0], other.params, rtol=1e-8)
    draws = draw(ARX(2, ("quarter_end_week",)), design, 6, n=50_000)[:, :, 0]
    expected = other.forecast(6, exog=x[300:306, None])
    np.testing.assert_allclose(draws.mean(axis=0), expected, atol=4 * draws.std() / np.sqrt(50_000))


def test_the_truth_is_recovered_and_the_predictive_variance_is_the_closed_form() -> None:
    y = ar1(5000, 0.8, seed=5)
    design = design_of(y)
    fitted = AR(1).fit(design, rng=np.random.default_rng(0))
    constant, phi = fitted.coefficients[:, 0]
    assert phi == pytest.approx(0.8, abs=0.025)
    assert constant / (1 - phi) == pytest.approx(10, abs=0.3)
    draws = draw(AR(1), design, 10, n=40_000)[:, :, 0]
    variance = np.cumsum(phi ** (2 * np.arange(10))) * np.nanmean(fitted.residuals**2)
    np.testing.assert_allclose(draws.var(axis=0), variance, rtol=0.04)


def test_ninety_percent_intervals_hold_ninety_percent_of_outcomes() -> None:
    hits = []
    for seed in range(250):
        y = ar1(206, 0.6, seed=100 + seed)
        draws = draw(AR(1), design_of(y[:200]), 6, n=400, seed=seed)[:, :, 0]
        low, high = np.quantile(draws, [0.05, 0.95], axis=0)
        hits.append((low < y[200:]) & (y[200:] < high))
    coverage = np.mean(hits, axis=0)
    assert (np.abs(coverage - 0.9) < 3.5 * np.sqrt(0.09 / 250)).all()


def test_weeks_of_delay_are_bridged_and_not_returned() -> None:
    y = ar1(400, 0.9, seed=6)
    late = y.copy()
    late[-2:] = np.nan
    draws = draw(AR(1), design_of(late), 3, n=60_000)[:, :, 0]
    constant, phi = AR(1).fit(design_of(late), rng=np.random.default_rng(0)).coefficients[:, 0]
    path = [y[-3]]
    for _ in range(5):
        path.append(constant + phi * path[-1])
    np.testing.assert_allclose(draws.mean(axis=0), path[3:], atol=4 * draws.std() / np.sqrt(60_000))
    ratio = draws.var(axis=0) / np.cumsum(phi ** (2 * np.arange(5)))[2:]
    np.testing.assert_allclose(ratio, ratio[0], rtol=0.03)


def test_a_late_target_starts_from_all_its_last_published_weeks() -> None:
    y = ar1(400, 0.9, seed=6)
    late = np.r_[y, np.nan, np.nan]
    fitted = AR(2).fit(design_of(late), rng=np.random.default_rng(0))
    constant, first, second = fitted.coefficients[:, 0]
    path = list(y[-2:])
    for _ in range(3):
        path.append(constant + first * path[-1] + second * path[-2])
    draws = draw(AR(2), design_of(late), 1, n=100_000)
    assert draws.mean() == pytest.approx(path[-1], abs=4 * draws.std() / np.sqrt(100_000))


def test_targets_keep_the_dependence_of_their_residuals() -> None:
    rng = np.random.default_rng(7)
    shocks = rng.multivariate_normal([0, 0], [[1, -0.8], [-0.8, 1]], size=2000)
    y = np.column_stack([ar1(2000, 0.5, errors=shocks[:, 0]), ar1(2000, 0.9, errors=shocks[:, 1])])
    draws = draw(AR(1), design_of(y), 1, n=20_000)
    assert np.corrcoef(draws[:, 0].T)[0, 1] == pytest.approx(-0.8, abs=0.04)


def test_a_short_target_leaves_the_draws_of_the_long_one() -> None:
    y = np.column_stack([ar1(300, 0.9, seed=8), ar1(300, 0.5, seed=9)])
    y[:200, 1] = np.nan
    np.testing.assert_array_equal(draw(AR(), design_of(y), 5)[:, :, 0], draw(AR(), design_of(y[:, 0]), 5)[:, :, 0])


def test_draws_follow_units_and_levels() -> None:
    y = np.column_stack([ar1(300, 0.9, seed=10), ar1(300, 0.5, seed=11)])
    y[-2:, 0], y[:90, 1] = np.nan, np.nan
    draws = draw(AR(), design_of(y), 8)
    np.testing.assert_allclose(draw(AR(), design_of(1000 * y), 8), 1000 * draws, rtol=1e-8)
    np.testing.assert_allclose(draw(AR(), design_of(y + 500), 8), draws + 500, rtol=1e-8)


def test_a_design_cut_earlier_is_the_forecast_made_then() -> None:
    y = ar1(300, 0.9, seed=12)
    poisoned = y.copy()
    poisoned[250:] = 1e9
    np.testing.assert_array_equal(draw(AR(), design_of(y[:250]), 8), draw(AR(), design_of(poisoned[:250]), 8))


@pytest.mark.parametrize("still_from", [0, 2, 150])
def test_a_series_that_stands_still_is_forecast_to_stay(still_from: int) -> None:
    y = ar1(300, 0.5, seed=13)
    y[still_from:] = 7.3
    draws = draw(AR(), design_of(y), 10, n=200)
    if still_from < 150:
        np.testing.assert_allclose(draws, 7.3, atol=1e-9)
    else:
        assert 0 < draws.std() < 3


def test_a_dummy_that_has_not_happened_yet_has_no_effect() -> None:
    y, x = ar1(200, 0.8, seed=14), np.zeros(200 + AHEAD)
    x[203] = 1.0
    design = design_of(y, {"year_end_week": x}, ("year_end_week",))
    np.testing.assert_allclose(draw(ARX(1, ("year_end_week",)), design, 6), draw(AR(1), design, 6), rtol=1e-12)


# --------------------------------------------------------------------------- scenarios


def conditional() -> tuple[Design, np.ndarray]:
    rng = np.random.default_rng(15)
    x = np.cumsum(rng.normal(size=400))
    y = ar1(400, 0.5, mean=0.0, errors=2 * x + rng.normal(size=400))
    known = x.copy()
    known[-2:] = np.nan
    return design_of(y, {"reserve_ratio": known}), x


def scenario_of(design: Design, paths: np.ndarray, late: int = 2) -> Scenario:
    weeks = pd.DatetimeIndex(design.targets.index[-late:].append(design.future(paths.shape[1] - late)))
    return Scenario("given", paths[:, :, None], weeks, ("reserve_ratio",))


def test_what_the_calendar_does_not_fix_is_needed() -> None:
    assert ARX(features=("quarter_end_week", "reserve_ratio", "tax_week")).needs == ("reserve_ratio",)
    assert needs_scenario(("unheard_of",)) == ("unheard_of",)


def test_a_scenario_moves_the_forecast_by_its_coefficient_and_what_follows() -> None:
    design, x = conditional()
    model = ARX(1, ("reserve_ratio",))
    _, phi, beta = model.fit(design, rng=np.random.default_rng(0)).coefficients[:, 0]
    base = np.full((1, 7), x[-1])
    moved = base.copy()
    moved[:, 2:] += 3.0
    flat = draw(model, design, 5, scenario=scenario_of(design, base))
    higher = draw(model, design, 5, scenario=scenario_of(design, moved))
    expected = 3 * beta * np.cumsum(phi ** np.arange(5))
    np.testing.assert_allclose((higher - flat)[:, :, 0], np.tile(expected, (4000, 1)), rtol=1e-8)
    assert beta == pytest.approx(2, abs=0.1)


def test_each_draw_takes_its_own_path_of_the_scenario() -> None:
    design, x = conditional()
    model = ARX(1, ("reserve_ratio",))
    paths = x[-1] + np.array([[0.0], [100.0]]) * np.ones((2, 4))
    draws = draw(model, design, 2, n=100, scenario=scenario_of(design, paths))[:, 0, 0]
    assert draws[::2].max() < draws[1::2].min()


def test_weeks_over_but_unpublished_are_taken_from_the_scenario() -> None:
    design, x = conditional()
    late = design.targets.copy()
    late.iloc[-2:] = np.nan
    design = Design(late, design.features, design.units, design.known_ahead)
    model, base = ARX(1, ("reserve_ratio",)), np.full((1, 4), x[-1])
    moved = base.copy()
    moved[:, 0] += 1.0
    change = draw(model, design, 2, scenario=scenario_of(design, moved)) - draw(
        model, design, 2, scenario=scenario_of(design, base)
    )
    _, phi, beta = model.fit(design, rng=np.random.default_rng(0)).coefficients[:, 0]
    np.testing.assert_allclose(change[:, :, 0], np.tile(beta * phi ** np.array([2, 3]), (4000, 1)), rtol=1e-7)


def test_without_a_scenario_or_with_one_too_short_the_model_refuses() -> None:
    design, _ = conditional()
    model = ARX(1, ("reserve_ratio",))
    with pytest.raises(NeedsScenarioError, match=r"'reserve_ratio' is not known for the week to .* no scenario"):
        draw(model, design, 3)
    with pytest.raises(NeedsScenarioError, match="has no 'reserve_ratio' for the week to"):
        draw(model, design, 3, scenario=scenario_of(design, np.zeros((1, 4))))
    with pytest.raises(NeedsScenarioError, match="has no path of 'reserve_ratio'"):
        draw(model, design, 3, scenario=Scenario("other", np.zeros((1, 3, 1)), design.future(3), ("tga_level",)))


def test_a_calendar_that_ends_too_early_is_said_to_be_so() -> None:
    x = np.zeros(200 + AHEAD)
    design = design_of(ar1(200, 0.5), {"tax_week": x}, ("tax_week",))
    assert draw(ARX(1, ("tax_week",)), design, AHEAD, n=2).shape == (2, AHEAD, 1)
    with pytest.raises(NeedsScenarioError, match="built further ahead"):
        draw(ARX(1, ("tax_week",)), design, AHEAD + 1)


def test_what_is_published_is_never_replaced_by_a_scenario() -> None:
    design, x = conditional()
    known = design.features
    weeks = pd.DatetimeIndex(known.index[396:402])
    paths = feature_paths(known, weeks, Scenario("all", np.zeros((1, 6, 1)), weeks, ("reserve_ratio",)), 3)
    np.testing.assert_array_equal(paths[:, :, 0], np.tile([x[396], x[397], 0, 0, 0, 0], (3, 1)))


# --------------------------------------------------------------------------- refusals and arrays


def test_a_short_history_is_refused_with_the_numbers() -> None:
    y = np.column_stack([ar1(60, 0.5), ar1(60, 0.5)])
    y[:32, 1] = np.nan
    with pytest.raises(ShortHistoryError, match=r"'y1' has 24 weeks .* 5 coefficients need at least 25"):
        AR(4).fit(design_of(y), rng=np.random.default_rng(0))


@pytest.mark.parametrize("model", [AR, ARX])
def test_no_lag_is_no_autoregression(model: Any) -> None:
    with pytest.raises(ValueError, match="lags = 0"):
        model(lags=0)


def test_paths_that_overflow_are_refused() -> None:
    y = 1e100 ** (np.arange(60) / 59)
    with pytest.raises(ModelError, match="not finite"):
        draw(AR(1), design_of(y), 2000, n=2)


def test_iteration_is_the_recursion() -> None:
    path = iterate(np.array([1.0, 2.0]), np.array([0.5, 0.25]), np.array([[0.0, 1.0, 0.0]]))
    np.testing.assert_allclose(path, [[1.25, 2.125, 1.375]])


def test_columns_that_depend_on_earlier_ones_are_left_out() -> None:
    x = np.random.default_rng(17).normal(size=(50, 2))
    X = np.column_stack([np.ones(50), x[:, 0], np.full(50, 7.0), np.zeros(50), 3 + 2 * x[:, 0], 1e6 * x[:, 1]])
    np.testing.assert_array_equal(independent_columns(X), [0, 1, 5])
    coefficients = regress(X, 4 + 2 * x[:, 0] - x[:, 1])
    np.testing.assert_allclose(coefficients, [4, 2, 0, 0, 0, -1e-6], rtol=1e-10, atol=1e-15)


def test_a_basis_point_on_a_level_is_no_rounding() -> None:
    y = np.full(60, 5.0)
    y[30] += 0.01
    assert len(independent_columns(np.column_stack([np.ones(60), y]))) == 2


def test_lags_stand_in_their_columns() -> None:
    X = lagged_columns(np.array([1.0, 2.0, 3.0]), 2, np.array([[7.0], [8.0], [9.0]]))
    np.testing.assert_array_equal(X[2], [1, 2, 1, 9])
    assert np.isnan(X[:2]).any(axis=1).all()


@pytest.mark.parametrize("shape", [(1,), (40,), (40, 1), (40, 3)])
def test_the_last_value_is_carried_forward_as_pandas_does(shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(3)
    for share in (0.0, 0.3, 0.9, 1.0):
        values = np.where(rng.random(shape) < share, np.nan, rng.normal(size=shape))
        filled = carried_forward(values)
        np.testing.assert_array_equal(filled, pd.DataFrame(values).ffill().to_numpy().reshape(shape))
