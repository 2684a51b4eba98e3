"""Two-stage least squares is R's; the Anderson-Rubin set holds the truth however weak the instruments are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import chi2

from forecast.errors import ModelError, RankDeficientError, ShortHistoryError
from forecast.numerics.hac import hac_covariance
from forecast.numerics.least_squares import least_squares
from models.reserve_demand.instrumental_variables import (
    ConfidenceSet,
    Instrumented,
    anderson_rubin,
    anderson_rubin_set,
    reduced_form,
    two_stage_least_squares,
)

REFERENCE = Path(__file__).parent / "reference"
DATA = pd.read_csv(REFERENCE / "instrumental_data.csv")
STORED = pd.read_csv(REFERENCE / "instrumental.csv")
NAMES = ["reserves", "constant", "deposits", "quarter_end", "z1", "z2"]


def arrays() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    W = np.column_stack([np.ones(len(DATA)), DATA["deposits"], DATA["quarter_end"]])
    return DATA["spread"].to_numpy(), DATA["reserves"].to_numpy(), W, DATA[["z1", "z2"]].to_numpy()


def stored(lags: int, what: str) -> pd.Series:
    rows = STORED[(STORED["lags"] == lags) & (STORED["what"] == what)]
    return rows.set_index("name")["value"].astype(float)


def simulated(seed: int, strength: float, n: int = 200) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """y = -2 x + 1 + demand, x = strength (z1 + z2) + demand + noise: least squares is biased towards -1.5."""
    rng = np.random.default_rng(seed)
    Z, demand, noise = rng.normal(size=(n, 2)), rng.normal(size=n), rng.normal(size=n)
    x = strength * Z.sum(axis=1) + demand + noise
    return 1 - 2 * x + demand, x, np.ones((n, 1)), Z


@pytest.mark.parametrize("lags", [0, 4, 13])
def test_estimate_errors_and_strength_are_those_of_r(lags: int) -> None:
    found = two_stage_least_squares(*arrays(), lags=lags, names=NAMES)
    order = ["reserves", "constant", "deposits", "quarter_end"]
    np.testing.assert_allclose(found.coefficients, stored(lags, "coefficient")[order], rtol=1e-9)
    np.testing.assert_allclose(np.sqrt(np.diag(found.covariance)), stored(lags, "standard_error")[order], rtol=1e-8)
    assert pytest.approx(stored(lags, "first_stage_F")["reserves"], rel=1e-8) == found.F


@pytest.mark.parametrize("lags", [0, 4, 13])
def test_anderson_rubin_statistics_are_those_of_the_regression_in_r(lags: int) -> None:
    y, x, W, Z = arrays()
    expected = stored(lags, "anderson_rubin")
    fit = least_squares(np.column_stack([Z, W]), np.column_stack([y, x]))
    ours = anderson_rubin(expected.index.astype(float).to_numpy(), *reduced_form(fit, 2, lags))
    np.testing.assert_allclose(ours, expected, rtol=1e-7)


def test_one_instrument_gives_the_ratio_of_reduced_forms() -> None:
    y, x, W, Z = arrays()
    found = two_stage_least_squares(y, x, W, Z[:, :1], lags=0)
    both = least_squares(np.column_stack([Z[:, :1], W]), np.column_stack([y, x])).coefficients[0]
    assert found.coefficients[0] == pytest.approx(both[0] / both[1], rel=1e-10)


def test_a_regressor_that_is_its_own_instrument_gives_least_squares() -> None:
    y, x, W, _ = arrays()
    found = two_stage_least_squares(y, x + 0 * y, W, x[:, None], lags=3)
    plain = least_squares(np.column_stack([x, W]), y)
    np.testing.assert_allclose(found.coefficients, plain.coefficients, rtol=1e-9)
    np.testing.assert_allclose(found.covariance, hac_covariance(plain, 3), rtol=1e-7)


def test_units_of_regressor_and_instruments_do_not_matter() -> None:
    y, x, W, Z = arrays()
    one = two_stage_least_squares(y, x, W, Z, lags=4)
    other = two_stage_least_squares(y, 1e3 * x, W, Z * [1e-4, 1e5], lags=4)
    assert other.coefficients[0] == pytest.approx(one.coefficients[0] / 1e3, rel=1e-8)
    assert pytest.approx(one.F, rel=1e-7) == other.F
    np.testing.assert_allclose(other.anderson_rubin.intervals * 1e3, one.anderson_rubin.intervals, rtol=1e-5)


def test_ends_of_the_set_are_where_the_statistic_is_critical() -> None:
    y, x, W, Z = arrays()
    found = two_stage_least_squares(y, x, W, Z, lags=4)
    (ends,) = found.anderson_rubin.intervals
    fit = least_squares(np.column_stack([Z, W]), np.column_stack([y, x]))
    np.testing.assert_allclose(anderson_rubin(ends, *reduced_form(fit, 2, 4)), chi2.ppf(0.95, 2), rtol=1e-4)
    assert found.anderson_rubin.bounded
    assert found.anderson_rubin.holds(found.coefficients[0])
    assert not found.anderson_rubin.holds(ends[0] - 0.01)


# --------------------------------------------------------------------------- shapes of the set


def set_of(h: list[list[float]], yy: float, yx: float, xx: float) -> ConfidenceSet:
    eye = np.eye(len(h))
    return anderson_rubin_set(np.array(h), np.stack([yy * eye, 2 * yx * eye, xx * eye]), centre=-1.0, scale=2.0)


def test_with_one_instrument_the_set_solves_fieller_s_quadratic() -> None:
    """(hy - b hx)^2 = 3.84 (vyy - 2 b vyx + b^2 vxx)."""
    critical = chi2.ppf(0.95, 1)
    found = set_of([[-2.0, 1.0]], 0.04, 0.01, 0.02)
    quadratic = [1 - critical * 0.02, 2 * (2.0 + critical * 0.01), 4 - critical * 0.04]
    np.testing.assert_allclose(found.intervals[0], np.sort(np.roots(quadratic)), rtol=2e-4)


def test_an_irrelevant_instrument_leaves_the_whole_line_or_the_outside_of_an_interval() -> None:
    whole = set_of([[0.1, 0.1]], 1.0, 0.0, 1.0)
    assert whole.intervals.tolist() == [[-np.inf, np.inf]]
    assert not whole.bounded
    assert "unbounded" in str(whole)
    outside = set_of([[-3.0, 0.1]], 1.0, 0.0, 1.0)
    assert outside.intervals.shape == (2, 2)
    assert outside.intervals[0, 0] == -np.inf
    assert outside.intervals[1, 1] == np.inf
    assert outside.holds(-40)
    assert not outside.holds(0)


def test_instruments_that_contradict_each_other_leave_nothing() -> None:
    found = set_of([[-5.0, 1.0], [5.0, 1.0]], 0.01, 0.0, 0.01)
    assert found.empty
    assert found.bounded
    assert "contradict" in str(found)
    assert not found.holds(0)


def test_a_far_grid_end_is_not_taken_for_infinity() -> None:
    """Strong but with a true value far outside of where the grid is dense."""
    found = anderson_rubin_set(
        np.array([[1e4, 1.0]]), np.full((3, 1, 1), 1e-4) * np.array([1, 0, 1])[:, None, None], centre=0.0, scale=1.0
    )
    assert found.bounded
    assert found.holds(1e4)


# --------------------------------------------------------------------------- coverage


def estimates(strength: float, runs: int) -> list[Instrumented]:
    return [two_stage_least_squares(*simulated(seed, strength), lags=0) for seed in range(runs)]


def test_a_strong_instrument_finds_the_slope_that_least_squares_misses() -> None:
    found = [each.coefficients[0] for each in estimates(0.5, 40)]
    plain = [least_squares(np.column_stack([x, W]), y).coefficients[0] for y, x, W, _ in map(strong, range(40))]
    assert np.mean(found) == pytest.approx(-2, abs=0.05)
    assert np.mean(plain) > -1.8


def strong(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    return simulated(seed, 0.5)


@pytest.mark.parametrize("strength", [0.0, 0.05, 0.15, 0.5])
def test_the_set_covers_as_it_says_however_weak_the_instruments_are(strength: float) -> None:
    """95 percent of 600 runs: binomial limits at 4 standard errors, a little wider for 200 weeks."""
    found = estimates(strength, 600)
    covered = np.mean([each.anderson_rubin.holds(-2.0) for each in found])
    assert 0.905 < covered < 0.985
    normal = np.mean([abs(each.coefficients[0] + 2) < 1.96 * np.sqrt(each.covariance[0, 0]) for each in found])
    if strength == 0.0:
        assert normal < 0.85, "normal intervals promise too much where nothing is identified"
        assert np.mean([each.anderson_rubin.bounded for each in found]) < 0.12
        assert np.mean([each.identified for each in found]) < 0.01
    if strength == 0.5:
        assert np.mean([each.identified for each in found]) > 0.9
        assert all(each.anderson_rubin.bounded for each in found)


# --------------------------------------------------------------------------- refusals


def test_no_instrument_is_refused() -> None:
    y, x, W, _ = arrays()
    with pytest.raises(ModelError, match="no instrument"):
        two_stage_least_squares(y, x, W, np.empty((len(y), 0)), lags=2)


def test_an_instrument_that_is_a_regressor_is_named() -> None:
    y, x, W, Z = arrays()
    Z = np.column_stack([Z[:, 0], W[:, 1] + 2 * W[:, 2]])
    with pytest.raises(RankDeficientError, match=r"(z2|deposits|quarter_end) is a combination"):
        two_stage_least_squares(y, x, W, Z, lags=2, names=NAMES)


def test_fewer_rows_than_columns_are_refused() -> None:
    with pytest.raises(ShortHistoryError, match="rows"):
        two_stage_least_squares(*(each[:4] for each in arrays()), lags=0)
