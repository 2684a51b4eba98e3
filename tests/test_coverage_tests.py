import math

import numpy as np
import pytest
import statsmodels.api as sm
from scipy import stats

from forecast.evaluation.coverage_tests import (
    berkowitz,
    christoffersen,
    coverage_test,
    cramer_von_mises,
    kupiec,
    pit_test,
)

RNG = np.random.default_rng(20240307)


def errors(n, h, rng=RNG):
    """Standard normal, sums of h shocks."""
    walk = rng.normal(size=n + h).cumsum()
    return (walk[h:] - walk[:-h]) / math.sqrt(h)


# ---------------------------------------------------------------- coverage without overlap


def test_kupiec_by_hand():
    # 10 misses of 100 at 95 percent: 2 [90 ln(.9/.95) + 10 ln(.1/.05)]
    inside = np.r_[np.ones(90), np.zeros(10)]
    assert kupiec(inside, 0.95) == pytest.approx(2 * (90 * math.log(0.9 / 0.95) + 10 * math.log(2)))
    assert kupiec(inside, 0.9) == pytest.approx(0, abs=1e-12)


def test_kupiec_without_a_miss_is_finite():
    assert kupiec(np.ones(100), 0.9) == pytest.approx(-200 * math.log(0.9))
    assert kupiec(np.zeros(100), 0.9) == pytest.approx(-200 * math.log(0.1))


def test_christoffersen_by_hand():
    # 1 1 1 0 0 1 1 1 0 1: from inside 4 stay, 2 leave; from outside 1 stays, 2 return.
    inside = np.array([1, 1, 1, 0, 0, 1, 1, 1, 0, 1.0])
    chain = 4 * math.log(4 / 6) + 2 * math.log(2 / 6) + 1 * math.log(1 / 3) + 2 * math.log(2 / 3)
    alone = 6 * math.log(6 / 9) + 3 * math.log(3 / 9)
    assert christoffersen(inside) == pytest.approx(2 * (chain - alone))


def test_misses_in_clusters_are_found_and_a_constant_record_is_not_a_cluster():
    clustered = np.tile(np.r_[np.ones(90), np.zeros(10)], 5)
    got = coverage_test(clustered, 0.9, lags=0)
    assert got.p_value == pytest.approx(1.0)
    assert got.independence < 1e-6
    assert got.joint < 1e-6
    assert christoffersen(np.ones(50)) == 0.0


def test_the_joint_test_adds_both_ratios():
    inside = (RNG.uniform(size=300) < 0.85).astype(float)
    got = coverage_test(inside, 0.9, lags=0)
    assert got.joint == pytest.approx(stats.chi2.sf(kupiec(inside, 0.9) + christoffersen(inside), 2))
    assert got.p_value == pytest.approx(stats.chi2.sf(kupiec(inside, 0.9), 1))
    assert (got.n, got.share) == (300, pytest.approx(inside.mean()))


def test_missing_cells_are_left_out_and_too_few_are_refused():
    inside = np.r_[np.ones(40), np.zeros(5)]
    assert coverage_test(np.r_[inside, np.nan], 0.9, lags=0) == coverage_test(inside, 0.9, lags=0)
    for n, lags in ((7, 0), (100, 25), (0, 0)):
        got = coverage_test(np.ones(n), 0.9, lags=lags)
        assert got.reason
        assert math.isnan(got.p_value)


# ---------------------------------------------------------------- coverage with overlap


def test_with_overlap_only_the_frequency_is_tested():
    got = coverage_test(np.abs(errors(520, 13)) < 1.645, 0.9, lags=12)
    assert 0 < got.p_value <= 1
    assert math.isnan(got.independence)
    assert math.isnan(got.joint)


def test_overlap_excuses_a_share_that_independent_cells_would_not():
    inside = np.r_[np.ones(420), np.zeros(100)]
    p_values = [coverage_test(inside, 0.9, lags=lags).p_value for lags in (0, 3, 12, 25)]
    assert p_values[0] < 1e-6
    assert p_values[1] <= 0.002 < p_values[2] < p_values[3]
    assert p_values[1] > 0  # ten thousand simulated shares cannot say never


def test_an_interval_far_too_narrow_is_found_in_spite_of_overlap():
    assert coverage_test(np.abs(errors(520, 13, np.random.default_rng(3))) < 0.6, 0.9, lags=12).p_value < 0.01


# ---------------------------------------------------------------- distributions


def test_berkowitz_is_the_likelihood_ratio_of_an_autoregression():
    z = RNG.normal(size=200) * 1.2 + 0.1
    fitted = sm.OLS(z[1:], sm.add_constant(z[:-1])).fit()
    null = stats.norm.logpdf(z[1:]).sum()
    assert berkowitz(z) == pytest.approx(2 * (fitted.llf - null), rel=1e-10)


def test_a_biased_a_narrow_and_an_autocorrelated_forecast_are_found():
    z = RNG.normal(size=300)
    wandering = np.convolve(RNG.normal(size=302), np.ones(3) / math.sqrt(3), "valid")
    for wrong in (z + 0.4, 1.4 * z, 0.6 * z, wandering):
        got = pit_test(stats.norm.cdf(wrong), lags=0)
        assert got.p_value < 0.001
        assert got.version == "berkowitz"


def test_an_outcome_outside_all_draws_is_rare_but_not_impossible():
    pit = RNG.uniform(size=500)
    pit[7] = 0.0
    got = pit_test(pit, lags=0)
    assert math.isfinite(got.statistic)
    assert got.p_value > 0.01


def test_the_distance_from_uniform_agrees_with_scipy():
    pit = RNG.beta(2, 1, size=80)
    assert cramer_von_mises(pit) == pytest.approx(stats.cramervonmises(pit, "uniform").statistic)
    np.testing.assert_allclose(cramer_von_mises(np.tile(pit, (3, 1))), cramer_von_mises(pit))


def test_with_hardly_any_overlap_the_simulated_p_value_is_near_that_for_independent_cells():
    pit = np.random.default_rng(1).beta(1.04, 1, size=2000)
    independent = stats.cramervonmises(pit, "uniform").pvalue
    got = pit_test(pit, lags=1)
    assert got.version == "cramer_von_mises"
    assert 0.001 < independent < got.p_value < 10 * independent


def test_with_overlap_a_bias_of_all_cells_is_found_and_a_chance_run_is_not():
    pit = stats.norm.cdf(errors(520, 26, np.random.default_rng(4)))
    assert pit_test(pit, lags=25).p_value > 0.05
    assert pit_test(stats.norm.cdf(errors(520, 26, np.random.default_rng(4)) + 1.5), lags=25).p_value < 0.01


def test_what_cannot_be_tested_has_a_reason():
    for n, lags in ((5, 0), (100, 25)):
        got = pit_test(np.full(n, 0.3), lags=lags)
        assert got.reason
        assert math.isnan(got.p_value)


# ---------------------------------------------------------------- simulated size

ACCEPTED = (0.083, 0.118)  # 99 percent of 2,000 replications at 10 percent


def exact_size_of_kupiec(n, nominal):
    counts = np.arange(n + 1)
    rejected = [coverage_test(np.r_[np.ones(k), np.zeros(n - k)], nominal, lags=0).p_value < 0.1 for k in counts]
    return stats.binom.pmf(counts, n, nominal)[rejected].sum()


@pytest.mark.parametrize("nominal", [0.5, 0.8, 0.9])
def test_the_exact_size_of_kupiec_is_inside_the_band_at_520_cells(nominal):
    assert ACCEPTED[0] <= exact_size_of_kupiec(520, nominal) <= ACCEPTED[1]


@pytest.mark.slow
@pytest.mark.parametrize(("n", "h"), [(520, 1), (520, 4), (208, 13), (520, 13), (208, 26), (520, 26)])
def test_the_size_of_coverage_and_distribution_tests_is_inside_the_band(n, h):
    rng = np.random.default_rng(8)
    rejected = []
    for _ in range(2000):
        pit = stats.norm.cdf(errors(n, h, rng))
        inside = np.abs(pit - 0.5) <= 0.45
        rejected.append([coverage_test(inside, 0.9, lags=h - 1).p_value < 0.1, pit_test(pit, lags=h - 1).p_value < 0.1])
    for size in np.mean(rejected, axis=0):
        assert ACCEPTED[0] <= size <= ACCEPTED[1]


@pytest.mark.slow
def test_the_size_of_christoffersen_needs_some_five_hundred_cells():
    rng = np.random.default_rng(9)
    for n, inside_the_band in ((200, False), (520, True), (1000, True)):
        tests = [coverage_test(rng.uniform(size=n) < 0.9, 0.9, lags=0) for _ in range(2000)]
        size = np.mean([test.independence < 0.1 for test in tests])
        assert (ACCEPTED[0] <= size <= ACCEPTED[1]) == inside_the_band
