import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from forecast.evaluation.inference import (
    MINIMUM_CELLS,
    cosine_weights,
    diebold_mariano,
    giacomini_white,
    long_run_variance,
    mean_is_zero,
    small_sample_factor,
    standard_error_of_mean,
)

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
    got = diebold_mariano(a, b, lags=h - 1, classic=True)
    assert got.version == "hln"
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
    got = diebold_mariano(d, np.zeros(20), lags=1, classic=True)
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


# ---------------------------------------------------------------- another implementation

REFERENCE = Path(__file__).parent / "reference"


def r_answers():
    errors, answers = pd.read_csv(REFERENCE / "dm_errors.csv"), pd.read_csv(REFERENCE / "dm_test.csv")
    for row in answers[answers["varestimator"] == "acf"].itertuples():
        mine = errors[errors["series"] == row.series]
        losses = mine[["error_a", "error_b"]].abs().to_numpy().T ** row.power
        bartlett = (answers["series"] == row.series) & (answers["h"] == row.h) & (answers["power"] == row.power)
        fallback = answers[bartlett & (answers["varestimator"] == "bartlett")].iloc[0]
        yield pytest.param(losses, row, fallback, id=f"{row.series}-{row.h}-{row.power}")


@pytest.mark.parametrize(("losses", "flat", "bartlett"), list(r_answers()))
def test_the_classic_test_agrees_with_dm_test_of_r(losses, flat, bartlett):
    got = diebold_mariano(*losses, lags=flat.h - 1, classic=True)
    if flat.n <= 4 * (flat.h - 1):
        # R answers with 20 cells 13 steps ahead; here that is refused.
        assert math.isnan(got.statistic)
        return
    # Without a positive variance R falls back to h = 1, as if nothing overlapped; here Bartlett's weights are used,
    # and the answer is R's own for them.
    theirs = bartlett if flat.fell_back else flat
    assert got.statistic == pytest.approx(theirs.statistic, rel=1e-8)
    assert got.p_value == pytest.approx(theirs.p_value, rel=1e-8)


# ---------------------------------------------------------------- cosines


@pytest.mark.parametrize(("n", "lags"), [(60, 3), (104, 25), (208, 12), (520, 1)])
def test_with_overlap_the_standard_error_is_a_mean_of_squared_cosines(n, lags):
    d = RNG.normal(size=n).cumsum()
    count = max(2, min(math.floor(0.4 * n ** (2 / 3)), n // (2 * (lags + 1))))
    squares = [
        2 / n * sum(d[t] * math.cos(math.pi * j * (t + 0.5) / n) for t in range(n)) ** 2 for j in range(1, count + 1)
    ]
    error, degrees = standard_error_of_mean(d, lags)
    assert error == pytest.approx(math.sqrt(sum(squares) / count / n), rel=1e-10)
    assert degrees == count
    got = diebold_mariano(d, np.zeros(n), lags=lags)
    assert got.version == "ewc"
    assert got.statistic == pytest.approx(d.mean() / error)
    assert got.p_value == pytest.approx(2 * stats.t.sf(abs(d.mean() / error), count))


def test_cosines_do_not_see_the_mean_and_are_orthonormal():
    weights = cosine_weights(97, 3)
    np.testing.assert_allclose(weights @ np.ones(97), 0, atol=1e-12)
    np.testing.assert_allclose(weights @ weights.T, np.eye(len(weights)), atol=1e-12)


def test_cosines_are_fewer_where_more_cells_overlap():
    assert [len(cosine_weights(520, lags)) for lags in (1, 3, 12, 25)] == [25, 25, 20, 10]
    assert len(cosine_weights(101, 25)) == 2


def test_without_overlap_both_versions_are_the_same_t_test():
    a, b = RNG.normal(size=40), RNG.normal(size=40)
    assert diebold_mariano(a, b, lags=0) == diebold_mariano(a, b, lags=0, classic=True)


# ---------------------------------------------------------------- conditional predictive ability


def test_without_overlap_giacomini_white_is_n_times_an_uncentred_r_squared():
    d, state = RNG.normal(size=80) + 0.2, RNG.normal(size=80)
    z = np.column_stack([d, d * state])
    fitted = z @ np.linalg.lstsq(z, np.ones(80))[0]
    got = giacomini_white(d, np.zeros(80), state, lags=0)
    assert got.statistic == pytest.approx(fitted @ fitted, rel=1e-10)
    assert got.p_value == pytest.approx(stats.chi2.sf(fitted @ fitted, 2))


def test_with_overlap_one_column_gives_the_squared_t_of_the_cosines():
    d = RNG.normal(size=(200, 1)).cumsum(axis=0)
    w, p_value = mean_is_zero(d, 3)
    error, degrees = standard_error_of_mean(d[:, 0], 3)
    assert w == pytest.approx((d.mean() / error) ** 2)
    assert p_value == pytest.approx(2 * stats.t.sf(abs(d.mean() / error), degrees))


@pytest.mark.parametrize("lags", [0, 3])
def test_the_unit_of_scores_and_states_does_not_matter(lags):
    d, state = RNG.normal(size=100), RNG.normal(size=100)
    got = giacomini_white(d, np.zeros(100), state, lags=lags)
    scaled = giacomini_white(1000 * d, np.zeros(100), 3 - 0.01 * state, lags=lags)
    assert scaled.statistic == pytest.approx(got.statistic)
    assert scaled.p_value == pytest.approx(got.p_value)
    assert scaled.share_first == got.share_first


@pytest.mark.parametrize("lags", [0, 3])
def test_equal_on_average_but_not_given_the_state(lags):
    state = np.tile([-1.0] * 10 + [1.0] * 10, 20)
    d = 0.8 * state + RNG.normal(size=400)
    d -= d.mean()
    assert diebold_mariano(d, np.zeros(400), lags=lags).p_value > 0.9
    got = giacomini_white(d, np.zeros(400), state, lags=lags)
    assert got.p_value < 0.001
    assert got.coefficients == pytest.approx((0.0, 0.8), abs=0.2)
    assert got.share_first == 0.5


def test_cells_without_a_known_state_are_left_out():
    d, state = RNG.normal(size=60), RNG.normal(size=60)
    d[4], state[:4] = np.nan, np.nan
    got = giacomini_white(d, np.zeros(60), state, lags=0)
    assert got == giacomini_white(d[5:], np.zeros(55), state[5:], lags=0)
    assert got.n == 55


def test_what_cannot_be_tested_conditionally_has_a_reason():
    d = RNG.normal(size=60)
    for states in (np.ones(60), np.column_stack([np.arange(60.0)] * 2)):
        got = giacomini_white(d, np.zeros(60), states, lags=0)
        assert "do not vary" in got.reason
        assert math.isnan(got.p_value)
    assert "too many" in giacomini_white(d, np.zeros(60), RNG.normal(size=(60, 4)), lags=13).reason
    assert "at least 8" in giacomini_white(d[:5], np.zeros(5), d[:5], lags=0).reason
    assert "never changes" in giacomini_white(d + 1, d, RNG.normal(size=60), lags=0).reason


# ---------------------------------------------------------------- simulated size and power

# 2,000 replications at a nominal 10 percent: 99 percent of counts lie in here.
ACCEPTED = (0.083, 0.118)


def losses(n, h, *, worse=1.0, replications=1500, seed=2):
    """Squared errors of two forecasts h weeks ahead: moving averages of order h - 1. (replications, 2, n)."""
    rng = np.random.default_rng(seed)
    shocks = np.cumsum(rng.normal(size=(replications, 2, n + h)), axis=-1)
    errors = (shocks[..., h:] - shocks[..., :-h]) / np.sqrt(h) * np.array([[1.0], [worse]])
    return errors**2


def p_values(n, h, *, classic=False, **simulated):
    return np.array([diebold_mariano(a, b, lags=h - 1, classic=classic).p_value for a, b in losses(n, h, **simulated)])


def test_the_simulated_size_is_nominal():
    lower, upper = stats.binom.interval(0.99, 1500, 0.1)
    assert lower <= (p_values(100, 1) < 0.1).sum() <= upper


def test_a_worse_forecast_is_found():
    assert (p_values(400, 4, worse=1.5, replications=200) < 0.1).mean() > 0.9


def test_heavy_overlap_costs_the_classic_test_its_size_and_not_the_default():
    assert (p_values(104, 26, replications=600, classic=True) < 0.1).mean() > 0.15
    assert (p_values(104, 26, replications=600) < 0.1).mean() < 0.12


@pytest.mark.slow
@pytest.mark.parametrize(
    ("n", "h"),
    [(100, 1), (520, 1), (100, 4), (520, 4), (104, 13), (520, 13), (104, 26), (130, 26), (208, 26), (520, 26)],
)
def test_the_size_of_diebold_mariano_is_inside_the_band_with_any_overlap(n, h):
    assert ACCEPTED[0] <= (p_values(n, h, replications=2000, seed=5) < 0.1).mean() <= ACCEPTED[1]


@pytest.mark.slow
def test_the_stated_sizes_of_both_versions_are_what_simulation_gives():
    for cells_a_step, hln, ewc in ((4, 0.216, 0.098), (8, 0.173, 0.111), (15, 0.138, 0.107), (25, 0.118, 0.102)):
        absolute = np.sqrt(losses(26 * cells_a_step, 26, replications=2500, seed=11))
        for classic, stated in ((True, hln), (False, ewc)):
            rejected = [diebold_mariano(a, b, lags=25, classic=classic).p_value < 0.1 for a, b in absolute]
            assert np.mean(rejected) == pytest.approx(stated, abs=0.025)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("n", "h"), [(100, 1), (520, 1), (60, 4), (520, 4), (208, 13), (520, 13), (208, 26), (520, 26)]
)
def test_the_size_of_giacomini_white_is_inside_the_band(n, h):
    # The state is the loss difference that was known last: unequal only if the future could have been known.
    rejected = [
        giacomini_white(a[h:], b[h:], (a - b)[:-h], lags=h - 1).p_value < 0.1
        for a, b in np.sqrt(losses(n + h, h, replications=2000, seed=9))
    ]
    assert ACCEPTED[0] <= np.mean(rejected) <= ACCEPTED[1]
