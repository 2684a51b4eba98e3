import math

import numpy as np
import pytest
from scipy import stats

from forecast.evaluation.inference import MINIMUM_CELLS, diebold_mariano, long_run_variance, small_sample_factor

RNG = np.random.default_rng(7)


def textbook(a, b, h):
    """Harvey, Leybourne and Newbold (1997), equations 3 to 9, one sum at a time."""
    d = [x - y for x, y in zip(a, b, strict=True)]
    n = len(d)
    mean = sum(d) / n

    def autocovariance(k):
        return sum((d[t] - mean) * (d[t - k] - mean) for t in range(k, n)) / n

    variance = (autocovariance(0) + 2 * sum(autocovariance(k) for k in range(1, h))) / n
    s1 = mean / math.sqrt(variance)
    modified = math.sqrt((n + 1 - 2 * h + h * (h - 1) / n) / n) * s1
    return modified, 2 * stats.t.cdf(-abs(modified), n - 1)


@pytest.mark.parametrize(("n", "h"), [(8, 1), (40, 1), (60, 4), (300, 13)])
def test_the_statistic_equals_the_textbook_computation(n, h):
    a, b = RNG.normal(size=n) ** 2, 1.5 * RNG.normal(size=n) ** 2
    statistic, p_value = textbook(a.tolist(), b.tolist(), h)
    got = diebold_mariano(a, b, lags=h - 1)
    assert got.statistic == pytest.approx(statistic, rel=1e-10)
    assert got.p_value == pytest.approx(p_value, rel=1e-9)
    assert got.mean_difference == pytest.approx((a - b).mean())
    assert got.mean_difference / got.standard_error == pytest.approx(got.statistic)
    assert (got.n, got.reason) == (n, "")


def test_without_overlap_it_is_a_t_test_of_the_mean():
    # n - 1 under the root of the factor turns the variance with 1/n into the one with 1/(n - 1).
    a, b = RNG.normal(size=30), RNG.normal(size=30)
    theirs = stats.ttest_1samp(a - b, 0.0)
    got = diebold_mariano(a, b, lags=0)
    assert got.statistic == pytest.approx(theirs.statistic)
    assert got.p_value == pytest.approx(theirs.pvalue)


def test_the_small_sample_factor_by_hand():
    # n = 20, h = 3: (21 - 6 + 6/20) / 20 = 15.3 / 20
    assert small_sample_factor(20, 3) == pytest.approx(math.sqrt(0.765))
    assert small_sample_factor(100, 1) == pytest.approx(math.sqrt(0.99))


def test_numbers_worked_out_on_paper():
    # d = 1, 3, 1, 3, ...: mean 2, g(0) = 1, so without overlap DM = 2 / sqrt(1/8) * sqrt(7/8) = 2 sqrt(7).
    got = diebold_mariano([2.0, 4.0] * 4, [1.0] * 8, lags=0)
    assert got.statistic == pytest.approx(2 * math.sqrt(7))
    assert got.mean_difference == 2.0


def test_bartlett_weights_replace_a_variance_that_is_not_positive():
    # d alternates: g(0) = 1, g(1) = -(n - 1)/n; flat 1 - 2 (n - 1)/n < 0, Bartlett 1 - (n - 1)/n = 1/n.
    d = np.array([1.0, -1.0] * 10)
    assert long_run_variance(d, 1) == pytest.approx(1 / 20)
    got = diebold_mariano(d, np.zeros(20), lags=1)
    assert got.statistic == pytest.approx(0.0, abs=1e-12)
    assert got.standard_error == pytest.approx(math.sqrt(1 / 20 / 20) / small_sample_factor(20, 2))


def test_bartlett_is_positive_where_the_flat_window_is_not():
    refused = 0
    for seed in range(300):
        d = np.random.default_rng(seed).normal(size=40)
        deviations = d - d.mean()
        flat = sum((1 if k == 0 else 2) * (deviations[k:] @ deviations[: 40 - k]) / 40 for k in range(9))
        refused += flat <= 0
        assert long_run_variance(d, 8) > 0
    assert refused > 0


def test_swapping_the_forecasts_changes_only_the_sign():
    a, b = RNG.normal(size=50), RNG.normal(size=50)
    there, back = diebold_mariano(a, b, lags=3), diebold_mariano(b, a, lags=3)
    assert there.statistic == pytest.approx(-back.statistic)
    assert there.p_value == pytest.approx(back.p_value)


def test_the_statistic_does_not_depend_on_the_unit_of_the_scores():
    a, b = RNG.normal(size=50), RNG.normal(size=50)
    assert diebold_mariano(1000 * a, 1000 * b, lags=2).statistic == pytest.approx(
        diebold_mariano(a, b, lags=2).statistic
    )


# ---------------------------------------------------------------- what cannot be tested


def test_a_constant_difference_is_refused():
    b = RNG.normal(size=100) ** 2
    got = diebold_mariano(b + 0.3, b, lags=0)
    assert got.reason == "the difference never changes"
    assert math.isnan(got.statistic)
    assert math.isnan(got.p_value)
    assert math.isnan(got.standard_error)
    assert got.mean_difference == pytest.approx(0.3)


def test_equal_scores_are_refused():
    got = diebold_mariano(np.arange(20.0), np.arange(20.0), lags=3)
    assert got.reason == "both scores are always equal"
    assert (got.share_zero, got.mean_difference) == (1.0, 0.0)
    assert math.isnan(got.p_value)
    assert diebold_mariano(np.zeros(20), np.zeros(20), lags=0).reason == "both scores are always equal"


def test_too_few_cells_are_refused():
    for n in range(MINIMUM_CELLS):
        got = diebold_mariano(RNG.normal(size=n), RNG.normal(size=n), lags=0)
        assert got.n == n
        assert "at least 8" in got.reason
        assert math.isnan(got.statistic)
    assert diebold_mariano(RNG.normal(size=8), RNG.normal(size=8), lags=0).reason == ""


def test_too_much_overlap_for_the_cells_is_refused():
    assert "overlap over 25" in diebold_mariano(RNG.normal(size=100), RNG.normal(size=100), lags=25).reason
    assert diebold_mariano(RNG.normal(size=101), RNG.normal(size=101), lags=25).reason == ""


def test_missing_scores_are_left_out_in_pairs():
    a, b = RNG.normal(size=40), RNG.normal(size=40)
    holes_a, holes_b = a.copy(), b.copy()
    holes_a[[3, 7]], holes_b[[7, 20]] = np.nan, np.nan
    keep = np.setdiff1d(np.arange(40), [3, 7, 20])
    got, expected = diebold_mariano(holes_a, holes_b, lags=0), diebold_mariano(a[keep], b[keep], lags=0)
    assert got == expected
    assert got.n == 37


def test_exactly_equal_pairs_are_counted():
    a = np.r_[np.zeros(30), RNG.normal(size=10)]
    assert diebold_mariano(a, np.zeros(40), lags=0).share_zero == 0.75


# ---------------------------------------------------------------- simulated size and power


def _p_values(n, h, *, worse=1.0, replications=1500, seed=2):
    """Squared errors of two forecasts h weeks ahead: moving averages of order h - 1."""
    rng = np.random.default_rng(seed)
    shocks = np.cumsum(rng.normal(size=(replications, 2, n + h)), axis=-1)
    errors = (shocks[..., h:] - shocks[..., :-h]) / np.sqrt(h) * np.array([[1.0], [worse]])
    return np.array([diebold_mariano(a, b, lags=h - 1).p_value for a, b in errors**2])


@pytest.mark.parametrize(("n", "h"), [(100, 1), (400, 4)])
def test_the_simulated_size_is_nominal(n, h):
    lower, upper = stats.binom.interval(0.99, 1500, 0.1)
    assert lower <= (_p_values(n, h) < 0.1).sum() <= upper


def test_a_worse_forecast_is_found():
    assert (_p_values(400, 4, worse=1.5, replications=200) < 0.1).mean() > 0.9


def test_the_stated_size_under_heavy_overlap_is_what_simulation_gives():
    for cells_per_step, stated in ((4, 0.20), (8, 0.16), (15, 0.13), (25, 0.115)):
        size = (_p_values(26 * cells_per_step, 26, replications=2500) < 0.1).mean()
        assert size == pytest.approx(stated, abs=0.025)
