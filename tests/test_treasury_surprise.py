"""The Treasury's surprise is what lags and season leave, and an instrument by simulated truth."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm

from forecast.errors import ModelError, RankDeficientError, ShortHistoryError, UnitError
from forecast.features.calendar_effects import month_end_week, quarter_end_week, tax_week
from forecast.numerics.least_squares import least_squares
from models.reserve_demand.treasury_surprise import HAC_LAGS, first_stage, surprise_slope, treasury_surprise

WEEKS = pd.date_range("2012-01-04", periods=520, freq="7D", unit="us")


def account(seed: int = 0, weeks: pd.DatetimeIndex = WEEKS, sd: float = 20.0) -> tuple[np.ndarray, np.ndarray]:
    """Balance (USD bn) with a season and known surprises."""
    rng = np.random.default_rng(seed)
    u = rng.normal(0, sd, len(weeks))
    tax, angle = tax_week(weeks).to_numpy(), 2 * np.pi * weeks.day_of_year.to_numpy() / 365.25
    balance = np.full(len(weeks), 300.0)
    for t in range(1, len(weeks)):
        balance[t] = 60 + 0.8 * balance[t - 1] + 40 * tax[t] + 15 * np.cos(angle[t]) + u[t]
    return balance, u


def regressors(balance: np.ndarray, weeks: pd.DatetimeIndex, lags: int, harmonics: int) -> np.ndarray:
    """Written out week by week, in another order of columns than the module's."""
    rows = []
    for t in range(lags, len(weeks)):
        year = 2 * np.pi * weeks[t].day_of_year / 365.25
        waves = [f(k * year) for f in (np.sin, np.cos) for k in range(1, harmonics + 1)]
        week = weeks[[t]]
        dummies = [effect(week).iloc[0] for effect in (quarter_end_week, month_end_week, tax_week)]
        rows.append([*waves, *dummies, *balance[t - lags : t], 1.0])
    return np.array(rows)


@pytest.mark.parametrize(("lags", "harmonics"), [(4, 4), (1, 2), (8, 6)])
def test_surprises_are_the_residuals_of_the_written_out_regression(lags: int, harmonics: int) -> None:
    balance, _ = account()
    found = treasury_surprise(balance, WEEKS, lags=lags, harmonics=harmonics)
    other = sm.OLS(balance[lags:], regressors(balance, WEEKS, lags, harmonics)).fit()
    assert np.isnan(found[:lags]).all()
    np.testing.assert_allclose(found[lags:], other.resid, atol=1e-8)


def test_true_surprises_are_recovered() -> None:
    balance, u = account(1)
    found = treasury_surprise(balance, WEEKS)
    assert np.corrcoef(found[4:], u[4:])[0, 1] > 0.97


def test_season_and_lags_leave_nothing_that_they_explain() -> None:
    balance, _ = account(2)
    found = treasury_surprise(balance, WEEKS)[4:]
    tax = tax_week(WEEKS).to_numpy()[4:]
    for column in (np.ones(len(found)), tax, balance[3:-1]):
        assert abs(found @ column) < 1e-6 * np.linalg.norm(found) * np.linalg.norm(column)


def test_weeks_after_the_last_one_given_cannot_matter_and_earlier_ones_do() -> None:
    balance, _ = account(3)
    short = treasury_surprise(balance[:300], WEEKS[:300])
    changed = balance.copy()
    changed[300:] = 0.0
    np.testing.assert_array_equal(treasury_surprise(changed[:300], WEEKS[:300]), short)
    assert not np.allclose(treasury_surprise(balance, WEEKS)[4:300], short[4:], atol=1e-3)


def test_a_missing_week_is_missing_with_the_weeks_that_need_it_as_a_lag() -> None:
    balance, _ = account(4)
    balance[[100, 519]] = np.nan
    found = treasury_surprise(balance, WEEKS)
    assert list(np.flatnonzero(np.isnan(found))) == [0, 1, 2, 3, 100, 101, 102, 103, 104, 519]


def test_units_of_the_account_are_those_of_the_surprise() -> None:
    balance, _ = account(5)
    np.testing.assert_allclose(
        treasury_surprise(balance / 10, WEEKS), treasury_surprise(balance, WEEKS) / 10, atol=1e-9
    )


def test_an_account_in_millions_is_refused() -> None:
    balance, _ = account()
    with pytest.raises(UnitError, match="USD mn"):
        treasury_surprise(1000 * balance, WEEKS)


def test_too_few_weeks_are_refused() -> None:
    balance, _ = account()
    treasury_surprise(balance[:108], WEEKS[:108])
    with pytest.raises(ShortHistoryError, match="103 weeks with 4 lags known, fewer than the 104"):
        treasury_surprise(balance[:107], WEEKS[:107])


def test_an_account_that_stands_still_is_refused_by_name() -> None:
    with pytest.raises(RankDeficientError, match=r"tga_level\(t-"):
        treasury_surprise(np.full(520, 5.0), WEEKS)


def test_weeks_that_are_not_consecutive_are_refused() -> None:
    balance, _ = account()
    with pytest.raises(ModelError, match="not consecutive"):
        treasury_surprise(np.delete(balance, 7), WEEKS.delete(7))
    with pytest.raises(ModelError, match="shape"):
        treasury_surprise(balance[:-1], WEEKS)
    balance[9] = np.inf
    with pytest.raises(ModelError, match="infinite"):
        treasury_surprise(balance, WEEKS)


# --------------------------------------------------------------------------- the first stage


def economy(seed: int, weeks: pd.DatetimeIndex = WEEKS) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Ratio, spread, surprise and demand: demand moves both ratio and spread, the surprise the ratio alone."""
    rng = np.random.default_rng(seed)
    u, demand = rng.normal(0, 25, len(weeks)), rng.normal(0, 1, len(weeks))
    ratio = np.full(len(weeks), 12.0)
    for t in range(1, len(weeks)):
        ratio[t] = 12 + 0.9 * (ratio[t - 1] - 12) - 0.006 * u[t] + 0.25 * demand[t]
    return ratio, -2.0 * (ratio - 12) + 1.5 * demand, u, demand


def test_the_first_stage_agrees_with_statsmodels() -> None:
    ratio, _, u, _ = economy(0)
    ours = first_stage(ratio, u)
    X = sm.add_constant(np.column_stack([ratio[:-1], u[1:]]))
    other = sm.OLS(ratio[1:], X).fit(cov_type="HAC", cov_kwds={"maxlags": HAC_LAGS, "use_correction": True})
    assert ours.coefficient == pytest.approx(other.params[2], rel=1e-10)
    assert pytest.approx(other.tvalues[2] ** 2, rel=1e-8) == ours.F
    np.testing.assert_allclose(ours.residuals[1:], other.resid, atol=1e-10)
    assert np.isnan(ours.residuals[0])
    assert ours.n == 519


def test_the_control_function_finds_the_slope_where_least_squares_does_not() -> None:
    slopes = []
    for seed in range(40):
        ratio, spread, u, _ = economy(seed)
        v = first_stage(ratio, u).residuals
        X = np.column_stack([np.ones(519), ratio[1:], v[1:]])
        both = (least_squares(X[:, :2], spread[1:]), least_squares(X, spread[1:]))
        slopes.append([fit.coefficients[1] for fit in both])
    plain, controlled = np.mean(slopes, axis=0)
    assert plain > -1.5  # demand shocks hide a good part of -2
    assert controlled == pytest.approx(-2.0, abs=0.08)


def test_a_strong_instrument_is_identified_and_an_irrelevant_one_is_not() -> None:
    ratio, _, u, _ = economy(1)
    strong, noise = first_stage(ratio, u), np.random.default_rng(3).normal(size=520)
    assert strong.identified
    assert strong.F > 100
    assert strong.coefficient == pytest.approx(-0.006, abs=0.002)
    assert not first_stage(ratio, noise).identified


def test_f_of_an_irrelevant_instrument_exceeds_ten_as_rarely_as_chi_square_says() -> None:
    rng = np.random.default_rng(8)
    strengths = [first_stage(economy(seed)[0], rng.normal(size=520)).F for seed in range(200)]
    assert np.mean(np.array(strengths) > 10) < 0.03
    assert 0.6 < np.mean(strengths) < 1.6


def test_controls_are_partialled_out() -> None:
    ratio, _, u, _ = economy(2)
    control = tax_week(WEEKS).to_numpy()[:, None]
    residuals = first_stage(ratio + 0.7 * control[:, 0], u, control, lags=2).residuals
    known = np.isfinite(residuals)
    assert known.sum() == 518
    assert abs(residuals[known] @ control[known, 0]) < 1e-9


def test_the_slope_of_surprises_is_the_demand_curve_s_where_least_squares_is_not() -> None:
    found = [surprise_slope(*economy(seed)[:3]) for seed in range(40)]
    assert np.mean([each.coefficients[0] for each in found]) == pytest.approx(-2.0, abs=0.1)
    assert np.mean([each.anderson_rubin.holds(-2.0) for each in found]) > 0.8
    assert all(each.identified for each in found)
    ratio, spread, _, _ = economy(0)
    plain = least_squares(np.column_stack([ratio[1:], np.ones(519), ratio[:-1], spread[:-1]]), spread[1:])
    assert plain.coefficients[0] > 0, "demand moves both up"


def test_the_slope_of_surprises_is_the_ratio_of_reduced_forms() -> None:
    ratio, spread, u, _ = economy(3)
    control = tax_week(WEEKS).to_numpy()
    W = np.column_stack([u[1:], np.ones(519), ratio[:-1], spread[:-1], control[1:]])
    reduced = least_squares(W, np.column_stack([spread[1:], ratio[1:]])).coefficients[0]
    found = surprise_slope(ratio, spread, u, control[:, None])
    assert found.coefficients[0] == pytest.approx(reduced[0] / reduced[1], rel=1e-9)


def test_bad_slopes_of_surprises_are_refused() -> None:
    ratio, spread, u, _ = economy(0)
    with pytest.raises(ModelError, match="519 of spread"):
        surprise_slope(ratio, spread[1:], u)
    with pytest.raises(ShortHistoryError, match="51 weeks"):
        surprise_slope(ratio[:52], spread[:52], u[:52])
    with pytest.raises(RankDeficientError, match="control 0"):
        surprise_slope(ratio, spread, u, np.ones((520, 1)))


def test_bad_first_stages_are_refused() -> None:
    ratio, _, u, _ = economy(0)
    with pytest.raises(ModelError, match="519 of surprise"):
        first_stage(ratio, u[1:])
    with pytest.raises(ShortHistoryError, match="51 weeks"):
        first_stage(ratio[:52], u[:52])
    with pytest.raises(RankDeficientError, match="control 0"):
        first_stage(ratio, u, np.ones((520, 1)))
    with pytest.raises(RankDeficientError, match="ratio"):
        first_stage(np.full(520, 12.0), u)
