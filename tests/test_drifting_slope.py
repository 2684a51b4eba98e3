"""The drifting slope: a filter held against a naive loop and least squares, updates that equal refits, analytic slopes."""

from __future__ import annotations

import pickle
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from forecast.answers.ampleness import TellsAmpleness
from forecast.checks.contract import check_contract
from forecast.errors import ModelError, NeedsScenarioError, RankDeficientError, ShortHistoryError, UnitError
from forecast.features.feature_set import Design, future_weeks
from forecast.model import Updatable, is_updatable
from forecast.numerics.least_squares import least_squares
from forecast.scenario import Scenario
from forecast.units import UNITS
from models.reserve_demand.drifting_slope import FIRST_SLOPE, DriftingSlope, FittedDriftingSlope
from models.reserve_demand.forgetting_filter import (
    Moments,
    conditional_paths,
    draw_parameters,
    filter_path,
    instrumental_slope,
    lagged,
    prior,
    responses,
    weighted_slope,
)

AHEAD = 30


def walks(seed: int, weeks: int) -> np.ndarray:
    """(T, 2) ratio and spread."""
    rng = np.random.default_rng(seed)
    steps = rng.normal(size=(weeks, 2)) * [0.15, 0.5]
    steps[:, 1] -= 1.2 * steps[:, 0]
    return np.array([12.0, -5.0]) + np.cumsum(steps, axis=0)


def design_of(values: np.ndarray, late: int = 2) -> Design:
    index = pd.date_range("2012-01-04", periods=len(values), freq="7D", unit="us")
    extended = pd.DatetimeIndex(index.append(future_weeks(index[-1], AHEAD)))
    ratio = np.concatenate([values[: len(values) - late, 0], np.full(AHEAD + late, np.nan)])
    units = {"effr_iorb": UNITS["bp"], "reserve_ratio": UNITS["percent"]}
    targets = pd.DataFrame({"effr_iorb": values[:, 1]}, index)
    return Design(targets, pd.DataFrame({"reserve_ratio": ratio}, extended), units, frozenset())


def fit(design: Design, **options: object) -> FittedDriftingSlope:
    return DriftingSlope(**options).fit(design, rng=np.random.default_rng(0))  # type: ignore[arg-type]


def autoregressive(coefficients: np.ndarray, omega: np.ndarray, weeks: int, rng: np.random.Generator) -> np.ndarray:
    """Simulate y(t)' = z(t)' B + e(t)' from (12, -5)."""
    lags = (len(coefficients) - 1) // 2
    values = np.tile([12.0, -5.0], (weeks, 1))
    shocks = rng.multivariate_normal(np.zeros(2), omega, weeks)
    for t in range(lags, weeks):
        values[t] = lagged(values[t - lags : t]) @ coefficients + shocks[t]
    return values


# --------------------------------------------------------------------------- the filter


def naive(values: np.ndarray, lags: int, forgetting: float, volatility: float) -> list[Moments]:
    """Every week anew from all rows before it: weights, normal equations, and one-step errors."""
    start, found, errors = prior(lags), [], []
    Z = np.array([lagged(values[t - lags : t]) for t in range(lags, len(values))])
    Y, weeks, scale = values[lags:], start.weeks, start.scale
    for n in range(len(Z)):

        def moments(rows: int, extra: int) -> tuple[np.ndarray, np.ndarray]:
            weights = forgetting ** (np.arange(rows)[::-1] + extra)
            share = forgetting ** (rows + extra) + (1 - forgetting) * sum(forgetting**j for j in range(rows + extra))
            L = share * start.information + (Z[:rows] * weights[:, None]).T @ Z[:rows]
            return L, share * start.moment + (Z[:rows] * weights[:, None]).T @ Y[:rows]

        before_L, before_N = moments(n, 1)
        error = Y[n] - Z[n] @ np.linalg.solve(before_L, before_N)
        q = 1 + Z[n] @ np.linalg.solve(before_L, Z[n])
        errors.append(np.outer(error, error) / q)
        scale = (volatility * weeks * scale + errors[-1]) / (volatility * weeks + 1)
        weeks = volatility * weeks + 1
        L = before_L + np.outer(Z[n], Z[n])
        N = before_N + np.outer(Z[n], Y[n])
        found.append(Moments(L, N, np.linalg.solve(L, N), scale, weeks))
    return found


@pytest.mark.parametrize(("lags", "forgetting", "volatility"), [(2, 0.97, 0.95), (1, 0.9, 1.0), (4, 1.0, 0.97)])
def test_the_recursion_is_the_naive_loop(lags: int, forgetting: float, volatility: float) -> None:
    values = walks(0, 60)
    found = list(filter_path(values, lags=lags, forgetting=forgetting, volatility=volatility))
    assert len(found) == 60 - lags
    for ours, other in zip(found, naive(values, lags, forgetting, volatility), strict=True):
        # The share of the prior: lambda^n + (1 - lambda) sum lambda^j = 1, so it never fades.
        np.testing.assert_allclose(ours.information, other.information, rtol=1e-9)
        np.testing.assert_allclose(ours.mean, other.mean, rtol=1e-5, atol=1e-8)
        np.testing.assert_allclose(ours.scale, other.scale, rtol=1e-6)
        assert ours.weeks == pytest.approx(other.weeks)


def test_without_forgetting_the_mean_is_least_squares_with_the_prior_as_observations() -> None:
    values, lags = walks(1, 400), 3
    *_, last = filter_path(values, lags=lags, forgetting=1.0, volatility=1.0)
    Z = np.array([lagged(values[t - lags : t]) for t in range(lags, 400)])
    start = prior(lags)
    root = np.sqrt(np.diag(start.information))
    X, Y = np.vstack([np.diag(root), Z]), np.vstack([root[:, None] * start.mean, values[lags:]])
    np.testing.assert_allclose(last.mean, least_squares(X, Y).coefficients, rtol=1e-6, atol=1e-8)


def test_without_forgetting_it_tends_to_plain_least_squares_and_its_residual_covariance() -> None:
    rng = np.random.default_rng(2)
    B = np.array([[1.2, -0.5], [0.9, -0.3], [0.0, 0.8]])
    values = autoregressive(B, np.array([[0.04, -0.06], [-0.06, 0.4]]), 4000, rng)
    *_, last = filter_path(values, lags=1, forgetting=1.0, volatility=1.0)
    plain = least_squares(np.column_stack([np.ones(3999), values[:-1]]), values[1:])
    np.testing.assert_allclose(last.mean, plain.coefficients, atol=5e-3)
    np.testing.assert_allclose(last.scale, plain.residuals.T @ plain.residuals / 3999, rtol=0.02)
    assert last.weeks == pytest.approx(3999 + 5)


@pytest.mark.parametrize("forgetting", [0.2, 0.6, 0.9, 0.99])
@pytest.mark.parametrize("moving", [True, False])
def test_four_thousand_weeks_at_a_short_memory_never_become_nonsense(forgetting: float, moving: bool) -> None:
    """The covariance form reaches NaN here; without movement nothing is learnt for four thousand weeks."""
    values = walks(3, 4000) if moving else np.tile([12.0, -7.0], (4000, 1))
    *_, last = filter_path(values, lags=4, forgetting=forgetting, volatility=0.9)
    np.testing.assert_array_equal(last.information, last.information.T)
    assert np.linalg.eigvalsh(last.information)[0] > 0
    np.linalg.cholesky(last.information)
    assert np.isfinite(last.mean).all()
    assert np.linalg.eigvalsh(last.scale)[0] >= 0


def test_a_number_that_is_not_finite_is_refused() -> None:
    values = walks(3, 50)
    values[20, 0] = np.inf
    with pytest.raises(ModelError, match="not finite"), np.errstate(invalid="ignore"):
        list(filter_path(values, lags=2, forgetting=0.98, volatility=0.97))


def test_the_information_has_an_effective_window() -> None:
    """Sum of lambda^j = 1 / (1 - lambda), on the constant."""
    *_, last = filter_path(walks(4, 2000), lags=2, forgetting=0.98, volatility=0.97)
    assert last.information[0, 0] == pytest.approx(50 + 0.01)
    assert last.weeks == pytest.approx(1 / 0.03)
    assert DriftingSlope(forgetting=0.98).effective_window == pytest.approx(50)
    assert DriftingSlope(forgetting=1.0).effective_window == float("inf")


# --------------------------------------------------------------------------- the slope


def companion(coefficients: np.ndarray) -> np.ndarray:
    k, m = coefficients.shape
    F = np.zeros((k - 1, k - 1))
    F[:m] = coefficients[1:].T
    F[m:, : k - 1 - m] = np.eye(k - 1 - m)
    return F


@pytest.mark.parametrize("lags", [1, 2, 4])
@pytest.mark.parametrize("h", [0, 1, 3, 7])
def test_responses_are_the_block_of_the_companion_matrix_s_power(lags: int, h: int) -> None:
    coefficients = np.random.default_rng(lags).normal(0, 0.4, (3, 1 + 2 * lags, 2))
    for B, found in zip(coefficients, responses(coefficients, h), strict=True):
        np.testing.assert_allclose(found, np.linalg.matrix_power(companion(B), h)[:2, :2], atol=1e-12)


def test_in_a_constant_autoregression_the_slope_is_the_ratio_of_simulated_responses() -> None:
    """An innovation of the ratio carries its share of the spread's; both are followed for h weeks."""
    rng = np.random.default_rng(5)
    B = np.vstack([[0.0, 0.0], rng.normal(0, 0.3, (4, 2))])
    omega = np.array([[0.09, -0.1], [-0.1, 0.6]])
    for h in (0, 1, 4):
        path = np.zeros((2 + h + 1, 2))
        path[2] = omega[:, 0] / omega[0, 0]
        for t in range(3, len(path)):
            path[t] = lagged(path[t - 2 : t]) @ B
        assert instrumental_slope(B, omega, h) == pytest.approx(path[-1, 1] / path[-1, 0])


def test_demand_that_lasts_a_week_is_in_the_contemporaneous_slope_and_not_in_that_of_a_week_later() -> None:
    """Supply moves the ratio for good with slope -1; demand moves spread and ratio for a week."""
    rng = np.random.default_rng(6)
    supply, demand = 0.2 * rng.standard_normal(6000), rng.standard_normal(6000)
    ratio, lasting = 12 + np.cumsum(supply) + 0.1 * demand, np.cumsum(-1.0 * supply)
    values = np.column_stack([ratio, lasting + 0.5 * demand])
    *_, last = filter_path(values, lags=8, forgetting=1.0, volatility=1.0)
    at_once, later = (float(instrumental_slope(last.mean, last.scale, h)) for h in (0, 1))
    assert at_once > -0.6
    assert later == pytest.approx(-1.0, abs=0.1)


def test_weighted_least_squares_is_weighted_least_squares() -> None:
    values = walks(7, 300)
    found = weighted_slope(values[:, 0], values[:, 1], 0.97)
    assert np.isnan(found[0])
    for t in (1, 40, 299):
        weights = np.sqrt(0.97 ** np.arange(t + 1)[::-1])
        X = np.column_stack([np.ones(t + 1), values[: t + 1, 0]]) * weights[:, None]
        assert found[t] == pytest.approx(least_squares(X, values[: t + 1, 1] * weights).coefficients[1], rel=1e-8)


# --------------------------------------------------------------------------- draws


def one(weeks: float = 40.0) -> Moments:
    rng = np.random.default_rng(8)
    root = rng.normal(size=(3, 3)) + 6 * np.eye(3)
    L = root @ root.T
    mean = rng.normal(size=(3, 2))
    return Moments(L, L @ mean, mean, np.array([[0.5, -0.3], [-0.3, 1.0]]), weeks)


def test_draws_have_the_moments_of_the_normal_inverse_wishart() -> None:
    """E(Omega) = n S / (n + 1 - 2 - 1), Var(vec B) = E(Omega) x L^-1."""
    state = one()
    B, G = draw_parameters([state], 60_000, np.random.default_rng(1), least=np.zeros(2))
    omega = G[:, 0] @ G[:, 0].swapaxes(1, 2)
    expected = state.weeks * state.scale / (state.weeks - 2)
    np.testing.assert_allclose(omega.mean(axis=0), expected, rtol=0.02)
    np.testing.assert_allclose(B[:, 0].mean(axis=0), state.mean, atol=0.01)
    covariance = np.cov(B[:, 0].reshape(len(B), -1).T)
    np.testing.assert_allclose(covariance, np.kron(np.linalg.inv(state.information), expected), atol=2e-3)


def test_a_forecast_from_the_draws_is_student_t() -> None:
    from scipy.stats import kstest, t

    state, z = one(6.0), np.array([1.0, 0.5, -1.0])
    rng = np.random.default_rng(2)
    B, G = draw_parameters([state], 20_000, rng, least=np.zeros(2))
    drawn = z @ B[:, 0] + (G[:, 0] @ rng.standard_normal((20_000, 2, 1)))[:, :, 0]
    q = 1 + z @ np.linalg.solve(state.information, z)
    for i in range(2):
        standardised = (drawn[:, i] - z @ state.mean[:, i]) / np.sqrt(q * state.scale[i, i])
        assert kstest(standardised, t(6.0).cdf).pvalue > 1e-3
        assert kstest(standardised, t(60.0).cdf).pvalue < 1e-3, "a test that can fail"


def test_what_rounding_hides_widens_the_spread_and_leaves_the_ratio() -> None:
    state = one()
    narrow, wide = (
        draw_parameters([state], 20_000, np.random.default_rng(3), least=np.array([0.0, extra]))[1][:, 0]
        for extra in (0.0, 2.0)
    )
    first, second = ((G @ G.swapaxes(1, 2)).mean(axis=0) for G in (narrow, wide))
    assert second[0, 0] == pytest.approx(first[0, 0], rel=1e-9)
    assert second[1, 0] == pytest.approx(first[1, 0], rel=0.05)
    assert second[1, 1] == pytest.approx(3 * first[1, 1], rel=0.05)


# --------------------------------------------------------------------------- paths


def parameters(n: int) -> tuple[np.ndarray, np.ndarray]:
    B = np.array([[1.0, -0.5], [0.9, -0.2], [0.01, 0.8]])
    return np.tile(B, (n, 1, 1)), np.tile([[0.3, 0.0], [-0.4, 0.7]], (n, 1, 1))


def test_a_given_ratio_moves_the_spread_by_the_covariance_of_innovations() -> None:
    n, start = 40_000, np.array([[12.0, -5.0]])
    B, G = parameters(n)
    ratio, unknown = np.array([[11.0, 10.0]]), np.full((1, 2), np.nan)
    shocks = np.random.default_rng(0).standard_normal((n, 2, 2))
    found = conditional_paths(start, B, G, (ratio, unknown), shocks)
    np.testing.assert_array_equal(found[:, :, 0], np.tile(ratio, (n, 1)))
    omega = G[0] @ G[0].T
    share = omega[1, 0] / omega[0, 0]
    mean = lagged(start) @ B[0]
    assert found[:, 0, 1].mean() == pytest.approx(mean[1] + share * (11.0 - mean[0]), abs=0.02)
    assert found[:, 0, 1].var() == pytest.approx(omega[1, 1] - share * omega[0, 1], rel=0.03)
    second = np.column_stack([np.ones(n), np.full(n, 11.0), found[:, 0, 1]]) @ B[0]
    np.testing.assert_allclose((found[:, 1, 1] - second[:, 1] - share * (10.0 - second[:, 0])).mean(), 0.0, atol=0.02)


def test_a_published_spread_is_kept_and_tells_of_the_ratio() -> None:
    n, start = 40_000, np.array([[12.0, -5.0]])
    B, G = parameters(n)
    unknown, spread = np.full((1, 2), np.nan), np.array([[-3.0, np.nan]])
    found = conditional_paths(start, B, G, (unknown, spread), np.random.default_rng(1).standard_normal((n, 2, 2)))
    omega, mean = G[0] @ G[0].T, lagged(start) @ B[0]
    assert (found[:, 0, 1] == -3.0).all()
    share = omega[0, 1] / omega[1, 1]
    assert found[:, 0, 0].mean() == pytest.approx(mean[0] + share * (-3.0 - mean[1]), abs=0.01)
    assert np.cov(found[:, 1].T).shape == (2, 2)
    assert found[:, 1, 1].std() > 0.5


def test_without_anything_given_paths_have_the_covariance_of_the_autoregression() -> None:
    n, start = 60_000, np.array([[12.0, -5.0]])
    B, G = parameters(n)
    unknown = np.full((1, 2), np.nan)
    found = conditional_paths(start, B, G, (unknown, unknown), np.random.default_rng(2).standard_normal((n, 2, 2)))
    omega, A = G[0] @ G[0].T, B[0, 1:].T
    np.testing.assert_allclose(np.cov(found[:, 0].T), omega, atol=0.02)
    np.testing.assert_allclose(np.cov(found[:, 1].T), omega + A @ omega @ A.T, atol=0.03)


# --------------------------------------------------------------------------- the model


def test_it_keeps_the_contract_and_can_be_updated() -> None:
    values = walks(9, 300)
    values[120:180, 1] = -8.0
    for options in ({}, {"lags": 1, "weeks_after": 4}, {"forgetting": 1.0}):
        check_contract(DriftingSlope(**options), design_of(values))
    fitted = fit(design_of(values))
    assert is_updatable(fitted.spec)
    assert isinstance(fitted, Updatable)
    assert isinstance(fitted, TellsAmpleness)


def state_bytes(fitted: FittedDriftingSlope) -> list[bytes]:
    return [
        array.tobytes()
        for _, moments in fitted.folded.state.past
        for array in (moments.information, moments.moment, moments.mean, moments.scale)
    ]


@pytest.mark.parametrize("steps", [(150, 151, 153, 200), (150, 200), (200, 150, 180, 200)])
def test_update_equals_refit_bit_for_bit(steps: tuple[int, ...]) -> None:
    values = walks(10, 200)
    values[60, 0] = np.nan
    fitted = fit(design_of(values[: steps[0]]))
    for weeks in steps[1:]:
        fitted = fitted.update(design_of(values[:weeks]))
    again = fit(design_of(values))
    assert state_bytes(fitted) == state_bytes(again)
    periods = design_of(values).future(5)
    draws = [
        each.predict(periods, n_draws=30, rng=np.random.default_rng(1)).values
        for each in (fitted, again, pickle.loads(pickle.dumps(again)))  # noqa: S301  our own bytes
    ]
    np.testing.assert_array_equal(draws[0], draws[1])
    np.testing.assert_array_equal(draws[0], draws[2])
    np.testing.assert_array_equal(fitted.ampleness().slope, again.ampleness().slope)


def test_an_update_leaves_the_earlier_fit_as_it_was() -> None:
    values = walks(11, 220)
    fitted = fit(design_of(values[:200]))
    before = state_bytes(fitted)
    fitted.update(design_of(values))
    assert state_bytes(fitted) == before


def test_a_hole_costs_as_many_weeks_as_there_are_lags() -> None:
    values = walks(12, 200)
    holed = values.copy()
    holed[80, 0] = np.nan
    whole, missing = (fit(design_of(each)).folded.state.past for each in (values, holed))
    assert len(whole) == 200 - 2 - 4
    assert len(missing) == len(whole) - 1 - 4
    weeks = [week for week, _ in missing]
    assert pd.Timedelta(days=7 * 6) in [b - a for a, b in pairwise(weeks)]


def test_slopes_of_the_past_do_not_see_the_future() -> None:
    values = walks(13, 300)
    changed = values.copy()
    changed[200:] += [1.0, 5.0]
    ours, other = fit(design_of(values)).slope(), fit(design_of(changed)).slope()
    split = design_of(values).targets.index[200]
    pd.testing.assert_series_equal(ours.loc[ours.index < split], other.loc[other.index < split])
    assert not np.allclose(ours.iloc[-20:], other.iloc[-20:])


def test_the_true_slope_of_a_constant_economy_is_found() -> None:
    values = np.array(walks(14, 3000))
    told = fit(design_of(values), forgetting=1.0, volatility=1.0, draws=100).ampleness()
    assert told.slope[:, -1].mean() == pytest.approx(-1.2, abs=0.15)
    assert told.slope[:, -1].std() < 0.15
    assert told.sign_free
    assert told.draws_are == "filter"
    assert dict(told.thresholds) == {}
    assert len(told.weeks) == 3000 - 2 - 4 - FIRST_SLOPE
    assert told.weeks[-1] == design_of(values).targets.index[-3]
    assert told.ratio[-1] == values[-3, 0]


def test_least_squares_stands_beside_the_slope_and_the_window_is_stated() -> None:
    values = walks(15, 300)
    fitted = fit(design_of(values))
    beside = fitted.least_squares_slope()
    assert beside.index.equals(fitted.slope().index)
    assert beside.iloc[-1] == weighted_slope(values[:298, 0], values[:298, 1], 0.98)[-1]
    (note,) = fitted.ampleness().notes
    assert "effective window of 50 weeks" in note
    assert f"{beside.iloc[-1]:.2f}" in note


def test_the_surface_holds_the_slopes_of_every_memory_and_delay() -> None:
    design = design_of(walks(16, 250))
    surface = fit(design).surface([0.97, 0.99], [1, 3])
    assert surface.shape == (250 - 2 - 4 - FIRST_SLOPE, 4)
    assert surface.columns.names == ["forgetting", "weeks_after"]
    for memory, h in surface:
        expected = fit(design, forgetting=memory, weeks_after=h).slope()
        np.testing.assert_array_equal(surface[memory, h], expected)


def test_a_given_ratio_reaches_the_forecast_of_the_spread_in_its_week() -> None:
    design = design_of(walks(17, 1500))
    fitted = fit(design, forgetting=1.0, volatility=1.0)
    weeks = pd.DatetimeIndex(design.targets.index[-2:].append(design.future(8)))
    first = float(design.features["reserve_ratio"].dropna().iloc[-1])
    means = []
    for fall in (0.0, 1.0):
        path = first - fall * (np.arange(10) >= 4)
        scenario = Scenario("fall", path[None, :, None], weeks, ("reserve_ratio",))
        drawn = fitted.predict(design.future(8), scenario=scenario, n_draws=4000, rng=np.random.default_rng(0))
        means.append(drawn.mean()["effr_iorb"].to_numpy())
    gap = means[1] - means[0]
    np.testing.assert_allclose(gap[:2], 0.0, atol=1e-9)
    np.testing.assert_allclose(gap[2:], 1.2, atol=0.3)


def test_weeks_that_are_published_are_not_drawn_again() -> None:
    """The first forecast follows from the last spread, not from that of the last complete week."""
    values = walks(18, 300)
    jump = values.copy()
    jump[-1, 1] += 20.0
    periods = design_of(values).future(1)
    means = [
        float(fit(design_of(v)).predict(periods, n_draws=4000, rng=np.random.default_rng(0)).mean().iloc[0, 0])
        for v in (values, jump)
    ]
    assert means[1] - means[0] > 10.0


# --------------------------------------------------------------------------- refusals


def test_bad_designs_are_refused_with_what_to_do() -> None:
    values = walks(0, 300)
    design = design_of(values)
    still = replace(design, features=design.features * 0 + 12)
    cases = [
        (UnitError, "give it in bp", replace(design, units=design.units | {"effr_iorb": UNITS["percent"]})),
        (UnitError, "fraction", replace(design, features=design.features / 100)),
        (ModelError, "-7 bp in every week", replace(design, targets=design.targets * 0 - 7)),
        (RankDeficientError, "12 percent in every week", still),
        (ShortHistoryError, "94 weeks that follow 4 complete ones", design_of(values[:100])),
        (ShortHistoryError, "0 weeks that follow", replace(design, features=design.features * np.nan)),
    ]  # fmt: skip
    for error, match, bad in cases:
        with pytest.raises(error, match=match):
            fit(bad)


def test_reserves_missing_at_the_edge_must_come_with_the_scenario() -> None:
    design = design_of(walks(0, 300))
    scenario = Scenario("late", np.full((1, 4, 1), 12.0), design.future(4), ("reserve_ratio",))
    with pytest.raises(NeedsScenarioError, match="reserve_ratio"):
        fit(design).predict(design.future(4), scenario=scenario, n_draws=10, rng=np.random.default_rng(0))


def test_options_that_make_no_sense_are_refused() -> None:
    bad = ({"forgetting": 0.0}, {"forgetting": 1.1}, {"volatility": -1}, {"lags": 0}, {"weeks_after": -1}, {"draws": 0})
    for options in bad:
        with pytest.raises(ValueError, match=next(iter(options))):
            DriftingSlope(**options)  # type: ignore[arg-type]


# --------------------------------------------------------------------------- coverage


def coverage(level: float, memory: float, *, economies: int = 200, drift: float = 0.0) -> float:
    """Share of economies whose slope at the end lies in its interval; with ``drift`` it falls by that much a week."""
    inside = []
    for seed in range(economies):
        rng = np.random.default_rng(seed)
        steps = rng.normal(size=(400, 2)) * [0.15, 0.5]
        slope = -1.2 - drift * np.maximum(np.arange(400) - 300, 0)
        steps[:, 1] += slope * steps[:, 0]
        values = np.array([12.0, -5.0]) + np.cumsum(steps, axis=0)
        fitted = fit(design_of(values), lags=2, forgetting=memory, volatility=memory)
        moments = [fitted.folded.state.moments]
        B, G = draw_parameters(moments, 600, rng, least=np.zeros(2))
        draws = instrumental_slope(B, G @ G.swapaxes(-1, -2), 1)[:, 0]
        low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
        inside.append(low <= slope[397] <= high)
    return float(np.mean(inside))


@pytest.mark.slow
@pytest.mark.parametrize(("level", "low", "high"), [(0.5, 0.40, 0.66), (0.9, 0.83, 0.98)])
def test_intervals_cover_where_nothing_drifts(level: float, low: float, high: float) -> None:
    assert low < coverage(level, 1.0) < high


@pytest.mark.slow
def test_intervals_do_not_cover_a_slope_that_has_just_changed() -> None:
    """Known and published: after two years of steepening by two points a long memory is confidently wrong."""
    assert coverage(0.9, 0.99, drift=0.02) < 0.6
