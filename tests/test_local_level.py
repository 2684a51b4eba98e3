from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from forecast.errors import NeedsScenarioError, ShortHistoryError
from forecast.features.feature_set import Design, future_weeks
from forecast.scenario import Scenario
from forecast.units import UNITS
from models.local_level import Level, LocalLevel, estimate_level, project

AHEAD = 26


def simulate(T: int, level: float, noise: float, seed: int = 0) -> np.ndarray:
    """Local level with standard deviations of innovations and of noise."""
    rng = np.random.default_rng(seed)
    y: np.ndarray = 50 + np.cumsum(rng.normal(0, level, T)) + rng.normal(0, noise, T)
    return y


def dummies(T: int) -> np.ndarray:
    weeks = np.arange(T)
    return np.column_stack([weeks % 13 == 5, weeks % 4 == 1]).astype(float)


def design_of(
    values: np.ndarray, features: dict[str, np.ndarray] | None = None, calendar: tuple[str, ...] = ()
) -> Design:
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
    design: Design, weeks: int, features: tuple[str, ...] = (), n: int = 4000, scenario: Scenario | None = None
) -> np.ndarray:
    fitted = LocalLevel(features=features).fit(design, rng=np.random.default_rng(0))
    values: np.ndarray = fitted.predict(
        design.future(weeks), scenario=scenario, n_draws=n, rng=np.random.default_rng(1)
    ).values
    return values


def unobserved_components(y: np.ndarray, X: np.ndarray) -> Any:
    from statsmodels.tsa.statespace.structural import UnobservedComponents

    exog = X if X.shape[1] else None
    return UnobservedComponents(y, "llevel", exog=exog, mle_regression=False, use_exact_diffuse=True)


def variances(level: Level) -> list[float]:
    """Of noise and of the level's innovations, as statsmodels orders them."""
    return [level.scale**2 * (1 - level.theta), level.scale**2 * level.theta]


@pytest.mark.parametrize(("moves", "noise"), [(1.0, 2.0), (1.0, 0.1), (0.05, 1.0)])
@pytest.mark.parametrize("columns", [0, 2])
def test_the_likelihood_is_at_its_maximum_by_statsmodels_own_filter(moves: float, noise: float, columns: int) -> None:
    trend = np.cumsum(np.random.default_rng(1).normal(size=(60, 2)), axis=0)
    y, X = simulate(60, moves, noise), trend[:, :columns]
    level, _ = estimate_level(y + X @ np.array([3.0, -1.0])[:columns], X)
    other = unobserved_components(y + X @ np.array([3.0, -1.0])[:columns], X)
    best = other.loglike(variances(level))
    # Where the noise all but vanishes its variance hardly enters the likelihood.
    tolerance = 1e-3 if noise < moves / 2 else 1e-6
    for factor in (0.98, 1.02):
        for which in (0, 1):
            moved = variances(level)
            moved[which] *= factor
            assert other.loglike(moved) <= best + tolerance


@pytest.mark.parametrize("columns", [0, 2])
def test_forecasts_are_those_of_statsmodels(columns: int) -> None:
    T, H = 300, 8
    X = dummies(T + H)[:, :columns]
    effects = np.array([3.0, -1.0])[:columns]
    y = simulate(T, 0.5, 1.5) + X[:T] @ effects
    level, _ = estimate_level(y, X[:T])
    result = unobserved_components(y, X[:T]).smooth(variances(level))
    other = result.get_forecast(H, exog=X[T:] if columns else None)
    future = (X[T:] @ level.beta)[None]
    point = project(level, np.full(H, np.nan), future, np.zeros((1, H)))[0]
    np.testing.assert_allclose(point, other.predicted_mean, rtol=1e-8)
    shocks = np.random.default_rng(2).normal(size=(200_000, H))
    spread = project(level, np.full(H, np.nan), future, shocks).var(axis=0)
    # Theirs holds the uncertainty of the effects as well, which for dummies seen dozens of times is small.
    np.testing.assert_allclose(spread, other.var_pred_mean, rtol=0.012 if columns == 0 else 0.05)


def test_innovations_are_those_of_statsmodels_filter() -> None:
    y = simulate(300, 0.5, 1.5)
    level, innovations = estimate_level(y, np.empty((300, 0)))
    result = unobserved_components(y, np.empty((300, 0))).filter(variances(level))
    theirs = result.filter_results.standardized_forecasts_error[0, 1:]
    assert np.corrcoef(innovations, theirs)[0, 1] == pytest.approx(1, abs=1e-10)
    assert innovations.mean() == pytest.approx(0, abs=1e-12)
    assert innovations.std() == pytest.approx(1)


def test_the_truth_is_recovered() -> None:
    y, X = simulate(4000, 0.5, 1.5, seed=3), dummies(4000)
    level, _ = estimate_level(y + X @ [3.0, -1.0], X)
    noise, moves = np.sqrt(variances(level))
    assert noise == pytest.approx(1.5, rel=0.05)
    assert moves == pytest.approx(0.5, rel=0.12)
    np.testing.assert_allclose(level.beta, [3, -1], atol=0.25)


@pytest.mark.parametrize(("moves", "noise", "low", "high"), [(1.0, 0.0, 0.9, 1.0), (0.0, 1.0, 0.0, 0.01)])
def test_a_random_walk_and_a_constant_are_the_two_ends(moves: float, noise: float, low: float, high: float) -> None:
    level, _ = estimate_level(simulate(1500, moves, noise, seed=4), np.empty((1500, 0)))
    assert low <= level.theta <= high


def test_ninety_percent_intervals_hold_ninety_percent_of_outcomes() -> None:
    hits = []
    for seed in range(200):
        y = simulate(206, 0.5, 1.0, seed=100 + seed)
        low, high = np.quantile(draw(design_of(y[:200]), 6, n=400)[:, :, 0], [0.05, 0.95], axis=0)
        hits.append((low < y[200:]) & (y[200:] < high))
    coverage = np.mean(hits, axis=0)
    assert (np.abs(coverage - 0.9) < 3.5 * np.sqrt(0.09 / 200)).all()


def test_weeks_of_delay_are_bridged() -> None:
    y = simulate(300, 1.0, 0.5, seed=5)
    late = y.copy()
    late[-2:] = np.nan
    full = draw(design_of(y[:-2]), 5, n=60_000)[:, 2:, 0]
    bridged = draw(design_of(late), 3, n=60_000)[:, :, 0]
    np.testing.assert_allclose(bridged.mean(axis=0), full.mean(axis=0), atol=5 * full.std() / np.sqrt(60_000))
    np.testing.assert_allclose(bridged.std(axis=0), full.std(axis=0), rtol=0.02)


def test_targets_keep_the_dependence_of_their_innovations() -> None:
    rng = np.random.default_rng(6)
    steps = rng.multivariate_normal([0, 0], [[1, 0.7], [0.7, 1]], size=1500)
    draws = draw(design_of(np.cumsum(steps, axis=0)), 1, n=20_000)
    assert np.corrcoef(draws[:, 0].T)[0, 1] == pytest.approx(0.7, abs=0.04)


def test_a_short_target_leaves_the_draws_of_the_long_one() -> None:
    y = np.column_stack([simulate(300, 1, 1, seed=7), simulate(300, 1, 1, seed=8)])
    y[:200, 1] = np.nan
    np.testing.assert_array_equal(draw(design_of(y), 5)[:, :, 0], draw(design_of(y[:, 0]), 5)[:, :, 0])


def test_draws_follow_units_and_levels() -> None:
    y = np.column_stack([simulate(300, 1, 1, seed=9), simulate(300, 0.2, 1, seed=10)])
    y[-2:, 0], y[:90, 1] = np.nan, np.nan
    draws = draw(design_of(y), 8)
    np.testing.assert_allclose(draw(design_of(1000 * y), 8), 1000 * draws, rtol=1e-6)
    np.testing.assert_allclose(draw(design_of(y + 500), 8), draws + 500, rtol=1e-6)


def test_a_design_cut_earlier_is_the_forecast_made_then() -> None:
    y = simulate(300, 1, 1, seed=11)
    poisoned = y.copy()
    poisoned[250:] = 1e9
    np.testing.assert_array_equal(draw(design_of(y[:250]), 8), draw(design_of(poisoned[:250]), 8))


def test_a_series_that_never_moved_stays_without_any_warning() -> None:
    np.testing.assert_array_equal(draw(design_of(np.full(200, -7.3)), 10, n=50), -7.3)


def test_a_series_that_moves_only_with_the_calendar_is_forecast_exactly() -> None:
    x = dummies(200 + AHEAD)[:, 0]
    design = design_of(-8 + 4 * x[:200], {"quarter_end_week": x}, ("quarter_end_week",))
    draws = draw(design, 13, ("quarter_end_week",), n=20)[:, :, 0]
    np.testing.assert_allclose(draws, np.tile(-8 + 4 * x[200:213], (20, 1)), atol=1e-9)


def test_two_years_without_change_leave_a_proper_distribution() -> None:
    y = np.round(simulate(400, 0.3, 1.0, seed=12))
    y[250:] = y[250]
    draws = draw(design_of(y), 10)
    assert abs(np.median(draws[:, 0]) - y[250]) < 1.0
    assert 0 < draws.std() < 10


def test_a_dummy_that_has_not_happened_yet_has_no_effect() -> None:
    x = np.zeros(200 + AHEAD)
    x[203] = 1.0
    design = design_of(simulate(200, 1, 1), {"year_end_week": x}, ("year_end_week",))
    np.testing.assert_array_equal(draw(design, 6, ("year_end_week",)), draw(design, 6))


def test_a_missing_week_inside_history_is_interpolated() -> None:
    y = simulate(200, 1, 0.3, seed=13)
    gap, filled = y.copy(), y.copy()
    gap[100] = np.nan
    filled[100] = (y[99] + y[101]) / 2
    np.testing.assert_allclose(draw(design_of(gap), 4), draw(design_of(filled), 4))


# --------------------------------------------------------------------------- scenarios


def conditional() -> tuple[Design, np.ndarray]:
    x = np.cumsum(np.random.default_rng(14).normal(size=400))
    known = x.copy()
    known[-2:] = np.nan
    return design_of(simulate(400, 0.5, 0.5, seed=15) + 2 * x, {"reserve_ratio": known}), x


def scenario_of(design: Design, path: np.ndarray) -> Scenario:
    weeks = pd.DatetimeIndex(design.targets.index[-2:].append(design.future(len(path) - 2)))
    return Scenario("given", path[None, :, None], weeks, ("reserve_ratio",))


def test_a_scenario_moves_the_forecast_by_its_effect() -> None:
    design, x = conditional()
    path = np.r_[x[-2:], np.full(4, x[-1])]
    flat = draw(design, 4, ("reserve_ratio",), scenario=scenario_of(design, path))
    path[-1] += 5
    moved = draw(design, 4, ("reserve_ratio",), scenario=scenario_of(design, path))
    beta = LocalLevel(("reserve_ratio",)).fit(design, rng=np.random.default_rng(0)).levels[0].beta[0]
    assert beta == pytest.approx(2, abs=0.15)
    change = (moved - flat)[:, :, 0]
    np.testing.assert_allclose(change, np.tile([0, 0, 0, 5 * beta], (4000, 1)), atol=1e-10)


def test_targets_published_before_their_regressors_are_filtered_with_the_scenario() -> None:
    design, x = conditional()
    full = design_of(design.targets.to_numpy(), {"reserve_ratio": x})
    path = np.r_[x[-2:], np.full(4, x[-1])]
    late = draw(design, 4, ("reserve_ratio",), n=20_000, scenario=scenario_of(design, path))
    known = draw(full, 4, ("reserve_ratio",), n=20_000, scenario=scenario_of(full, path))
    np.testing.assert_allclose(late.mean(axis=0), known.mean(axis=0), atol=0.1)
    np.testing.assert_allclose(late.std(axis=0), known.std(axis=0), rtol=0.05)


def test_without_a_scenario_the_model_refuses() -> None:
    design, _ = conditional()
    assert LocalLevel(("reserve_ratio",)).needs == ("reserve_ratio",)
    assert LocalLevel().needs == ()
    with pytest.raises(NeedsScenarioError, match="'reserve_ratio' is not known"):
        draw(design, 3, ("reserve_ratio",))


def test_a_short_history_is_refused_by_name() -> None:
    design = design_of(simulate(22, 1, 1))
    assert draw(design, 3, n=5).shape == (5, 3, 1)
    with pytest.raises(ShortHistoryError, match="'y0' has 21 weeks"):
        draw(design_of(simulate(21, 1, 1)), 3)


def test_regressors_that_never_overlap_the_target_are_a_short_history() -> None:
    x = np.full(200, np.nan)
    with pytest.raises(ShortHistoryError, match="'y0' has 0 weeks with all regressors known"):
        draw(design_of(simulate(200, 1, 1), {"reserve_ratio": x}), 3, ("reserve_ratio",))
