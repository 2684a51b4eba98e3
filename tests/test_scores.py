import tracemalloc

import numpy as np
import pytest
import scoringrules as sr
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

from forecast.evaluation import scores as s

RNG = np.random.default_rng(20240307)
DRAWS = RNG.standard_t(4, size=(400, 4, 3)) * [30.0, 2.0, 0.4] + [3300.0, -7.0, 4.2]
OUTCOMES = RNG.normal(size=(4, 3)) * [60.0, 4.0, 0.8] + [3300.0, -7.0, 4.2]
STEPS = np.array([1.0, 1.0, 0.01])

numbers = st.floats(-50, 50).map(lambda x: round(x, 3))
samples = st.lists(numbers, min_size=2, max_size=40).map(np.array)


def cell(draws=DRAWS, outcomes=OUTCOMES, steps=STEPS, seed=1):
    return s.score_cell(draws, outcomes, steps, rng=np.random.default_rng(seed))


# ---------------------------------------------------------------- CRPS


def crps_by_all_pairs(draws, outcome):
    return np.abs(draws - outcome).mean() - np.abs(draws[:, None] - draws[None, :]).mean() / 2


@given(samples, numbers)
def test_crps_equals_the_double_sum_over_all_pairs_of_draws(draws, outcome):
    assert s.crps(draws, outcome) == pytest.approx(crps_by_all_pairs(draws, outcome), abs=1e-10)


def test_crps_agrees_with_scoringrules_for_every_cell():
    theirs = sr.crps_ensemble(OUTCOMES, np.moveaxis(DRAWS, 0, -1), estimator="nrg")
    np.testing.assert_allclose(s.crps(DRAWS, OUTCOMES), theirs, rtol=1e-10)


def test_crps_is_the_integrated_squared_distance_of_distribution_functions():
    draws, outcome = np.array([-2.0, 0.5, 0.5, 3.0]), 1.25
    grid = np.array([-2.0, 0.5, 1.25, 3.0])
    below = np.array([(draws <= z).mean() for z in grid[:-1]]) - (outcome <= grid[:-1])
    assert s.crps(draws, outcome) == pytest.approx((below**2 * np.diff(grid)).sum(), rel=1e-13)


@pytest.mark.parametrize("outcome", [-2.5, 0.0, 0.7])
def test_crps_of_many_normal_draws_approaches_the_closed_form(outcome):
    n = 200_001
    draws = 3 + 2 * stats.norm.ppf((np.arange(n) + 0.5) / n)
    closed = 2 * (outcome * (2 * stats.norm.cdf(outcome) - 1) + 2 * stats.norm.pdf(outcome) - 1 / np.sqrt(np.pi))
    assert s.crps(draws, 3 + 2 * outcome) == pytest.approx(closed, rel=1e-4)


def test_crps_of_a_point_forecast_is_its_absolute_error():
    assert s.crps(np.full(50, -7.0), -4.0) == 3.0
    assert s.crps(np.full(50, -7.0), -7.0) == 0.0


@given(st.lists(numbers, min_size=2, max_size=30).map(np.array), numbers)
def test_the_fair_crps_takes_distances_of_different_draws_only(draws, outcome):
    distances = np.abs(draws[:, None] - draws[None, :]).sum() / (len(draws) * (len(draws) - 1))
    assert s.crps(draws, outcome, fair=True) == pytest.approx(np.abs(draws - outcome).mean() - distances / 2, abs=1e-10)


def test_the_fair_crps_agrees_with_scoringrules_and_needs_two_draws():
    theirs = sr.crps_ensemble(OUTCOMES, np.moveaxis(DRAWS, 0, -1), estimator="fair")
    np.testing.assert_allclose(s.crps(DRAWS, OUTCOMES, fair=True), theirs, rtol=1e-9)
    assert np.isnan(s.crps(np.array([1.0]), 2.0, fair=True))


def test_the_fair_crps_does_not_depend_on_the_number_of_draws_and_the_plain_one_does():
    rng = np.random.default_rng(31)
    outcomes = rng.normal(size=40_000)
    few, many = rng.normal(size=(5, 40_000)), rng.normal(size=(200, 40_000))
    expected = 1 / np.sqrt(np.pi)  # E|X - Y| - E|X - X'| / 2 of standard normals
    assert s.crps(few, outcomes, fair=True).mean() == pytest.approx(expected, rel=0.02)
    assert s.crps(many, outcomes, fair=True).mean() == pytest.approx(expected, rel=0.02)
    assert s.crps(few, outcomes).mean() == pytest.approx(expected * (1 + 1 / 5), rel=0.02)


@pytest.mark.parametrize("shape", [(700, 5), (3, 211, 7), (4_000,)])
@pytest.mark.parametrize("draws_contiguous", [True, False])
def test_scores_of_large_arrays_in_threads_are_those_of_each_cell(shape, draws_contiguous):
    rng = np.random.default_rng(8)
    draws = rng.normal(size=(600, *shape))
    if draws_contiguous:
        draws = np.moveaxis(np.ascontiguousarray(np.moveaxis(draws, 0, -1)), -1, 0)
    outcomes = rng.normal(size=shape)
    got, kept = s.crps(draws, outcomes), draws.copy()
    np.testing.assert_array_equal(draws, kept)
    assert got.shape == shape
    for place in [(0,) * len(shape), tuple(n - 1 for n in shape), tuple(n // 2 for n in shape)]:
        assert got[place] == pytest.approx(crps_by_all_pairs(draws[(slice(None), *place)], outcomes[place]), rel=1e-10)


def test_scoring_large_arrays_needs_little_memory_beside_the_draws():
    draws = np.moveaxis(np.random.default_rng(8).normal(size=(520, 13, 1000)), -1, 0)
    outcomes = np.zeros((520, 13))
    tracemalloc.start()
    s.crps(draws, outcomes)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 25e6 < draws.nbytes


# ---------------------------------------------------------------- thresholds


@given(samples, numbers, numbers)
def test_the_weighted_crps_is_the_crps_integral_above_the_threshold(draws, outcome, threshold):
    grid = np.unique(np.r_[draws, outcome, threshold, 60.0])
    grid = grid[grid >= threshold]
    below = np.array([(draws <= z).mean() - (outcome <= z) for z in grid[:-1]])
    assert s.threshold_weighted_crps(draws, outcome, threshold) == pytest.approx(
        (below**2 * np.diff(grid)).sum(), abs=1e-9
    )


def test_the_weighted_crps_agrees_with_scoringrules():
    theirs = sr.twcrps_ensemble(
        OUTCOMES, np.moveaxis(DRAWS, 0, -1), v_func=lambda x: np.maximum(x, -6.0), estimator="nrg"
    )
    np.testing.assert_allclose(s.threshold_weighted_crps(DRAWS, OUTCOMES, -6.0), theirs, rtol=1e-9, atol=1e-12)


def test_below_every_number_the_weighted_crps_is_the_crps_and_above_it_is_nothing():
    np.testing.assert_allclose(s.threshold_weighted_crps(DRAWS, OUTCOMES, -1e9), s.crps(DRAWS, OUTCOMES), rtol=1e-6)
    assert (s.threshold_weighted_crps(DRAWS, OUTCOMES, 1e9) == 0).all()
    assert np.isnan(s.threshold_weighted_crps(DRAWS[:, 0, 0], np.nan, 0.0))


def test_the_brier_score_agrees_with_scoringrules():
    probability = (DRAWS > -6.0).mean(axis=0)
    theirs = sr.brier_score((OUTCOMES > -6.0).astype(float), probability)
    np.testing.assert_allclose(s.brier(DRAWS, OUTCOMES, -6.0), theirs, rtol=1e-12)


def test_the_brier_score_by_hand_and_a_value_on_the_threshold_is_not_above():
    draws = np.array([4.0, 5.0, 5.0, 6.0])
    assert s.brier(draws, 5.0, 5.0) == pytest.approx(0.25**2)
    assert s.brier(draws, 5.1, 5.0) == pytest.approx(0.75**2)
    assert np.isnan(s.brier(draws, np.nan, 5.0))


@given(st.floats(0.02, 0.98), st.floats(0.0, 1.0))
def test_the_true_probability_has_the_lowest_expected_brier_score(truth, said):
    draws = np.r_[np.ones(round(1000 * said)), np.zeros(1000 - round(1000 * said))]
    honest = np.r_[np.ones(round(1000 * truth)), np.zeros(1000 - round(1000 * truth))]

    def expected(x):
        return truth * s.brier(x, 1.0, 0.5) + (1 - truth) * s.brier(x, 0.0, 0.5)

    assert expected(draws) >= expected(honest) - 1e-6
    assert expected(draws) - expected(honest) == pytest.approx((said - truth) ** 2, abs=2e-3)


def test_the_brier_score_is_the_integrand_of_the_crps():
    grid = np.linspace(-20, 30, 20_001)
    draws, outcome = DRAWS[:, 0, 1], OUTCOMES[0, 1]
    briers = [s.brier(draws, outcome, z) for z in grid]
    assert integrate.trapezoid(briers, grid) == pytest.approx(s.crps(draws, outcome), rel=1e-3)


def test_thresholds_of_a_cell_belong_to_their_targets():
    asked = {0.0: np.array([False, True, False]), 4.0: np.array([False, True, True])}
    got = s.score_cell(DRAWS, OUTCOMES, STEPS, rng=np.random.default_rng(1), thresholds=asked)
    assert tuple(got) == (*s.COLUMNS, "brier_above_0", "twcrps_above_0", "brier_above_4", "twcrps_above_4")
    for threshold, mine in asked.items():
        brier, weighted = (got[name] for name in s.threshold_columns(threshold))
        np.testing.assert_allclose(brier[:, mine], s.brier(DRAWS, OUTCOMES, threshold)[:, mine], rtol=1e-12)
        np.testing.assert_allclose(
            weighted[:, mine], s.threshold_weighted_crps(DRAWS, OUTCOMES, threshold)[:, mine], rtol=1e-9, atol=1e-12
        )
        assert np.isnan(brier[:, ~mine]).all()
        assert np.isnan(weighted[:, ~mine]).all()


def test_a_rounding_error_does_not_lift_a_rate_above_the_threshold():
    draws = np.array([5.33 - 5.40] * 3 + [0.01])[:, None, None] * 100  # -7.0000000000000284 bp and 1 bp
    outcome = np.array([[100 * (5.40 - 5.33) - 14.0]])
    got = s.score_cell(draws, outcome, np.ones(1), rng=RNG, thresholds={-7.0: np.array([True])})
    assert got["brier_above_-7"][0, 0] == pytest.approx(0.25**2)


@pytest.mark.parametrize("threshold", [0.0, 5.0, -2.5, 0.125, 1e6, 1e-5, -3300.0])
def test_a_threshold_is_read_back_from_its_column(threshold):
    for kind, name in zip(("brier", "twcrps"), s.threshold_columns(threshold), strict=True):
        assert s.column_threshold(name) == (kind, threshold)


@pytest.mark.parametrize("name", ["crps", "brier_above_", "brier_above_x", "above_5", "brier_above_5_", "covered_50"])
def test_other_columns_have_no_threshold(name):
    assert s.column_threshold(name) is None


# ---------------------------------------------------------------- log score


@pytest.mark.parametrize("step", [0.25, 1.0, 5.0])
@pytest.mark.parametrize("offset", [0.0, 0.4])
def test_the_mass_of_all_published_steps_is_one(step, offset):
    draws = np.random.default_rng(3).standard_t(3, size=300) * 2 - 7
    grid = offset + step * np.arange(-8_000, 8_001)
    mass = np.exp(-s.log_score(np.repeat(draws[:, None], len(grid), axis=1), grid, step))
    # The Cauchy draw beyond the grid is all that is missing.
    scale = max((np.quantile(draws, 0.75) - np.quantile(draws, 0.25)) / 2, step / 2)
    at_median = 2 / np.pi * np.arctan(step / 2 / scale)
    beyond = 2 * stats.cauchy.sf(8_000 * step / scale) / at_median / (300 + 1 / at_median)
    assert mass.sum() + beyond == pytest.approx(1, abs=1e-6)


def test_the_log_score_by_hand():
    draws, step = np.array([-8.0, -7.3, -7.0, -6.9, -6.4, -5.0, -4.0, -3.0, -2.0]), 1.0
    median, scale = -6.4, (-4.0 - -7.0) / 2
    around = stats.cauchy(median, scale)
    at_median = around.cdf(median + 0.5) - around.cdf(median - 0.5)
    at_outcome = around.cdf(-6.5) - around.cdf(-7.5)
    expected = -np.log((3 + at_outcome / at_median) / (9 + 1 / at_median))
    assert s.log_score(draws, -7.0, step) == pytest.approx(expected, rel=1e-12)


def test_a_rounding_error_at_the_edge_of_a_step_decides_nothing():
    # 5.33 - 5.40 is -7.0000000000000284 bp: a draw half a step away counts the same from either side of the error.
    outcome = 100 * (5.33 - 5.40)
    assert outcome != -7.0
    for edge in (-7.5, -6.5):
        draws = np.array([-9.0, edge, edge, edge, -7.0])
        noisy = np.array([-9.0, edge - 2e-14, edge + 2e-14, edge, -7.0])
        assert s.log_score(draws, -7.0, 1.0) == pytest.approx(s.log_score(noisy, outcome, 1.0), rel=1e-9)
    lower_edge, upper_edge = (s.log_score(np.full(9, edge), -7.0, 1.0) for edge in (-7.5, -6.5))
    assert lower_edge < upper_edge  # half-open: the lower edge is inside, the upper one belongs to the next step


def test_an_outcome_far_from_every_draw_costs_much_but_not_infinitely_much():
    draws = RNG.normal(size=500)
    near, far, farther = (float(s.log_score(draws, y, 0.1)) for y in (0.0, 50.0, 1e9))
    assert near < 4 < far < farther < 60


def test_a_forecast_that_never_moves_scores_its_one_step():
    # Cauchy of half a step: the added draw puts half its mass on the step, so 1 / g(m) = 2.
    assert s.log_score(np.full(98, -7.0), -7.0, 1.0) == pytest.approx(-np.log(99 / 100))


def test_the_log_score_approaches_the_mass_of_the_true_distribution():
    n, step = 100_000, 0.5
    draws = stats.norm.ppf((np.arange(n) + 0.5) / n)
    for outcome in (-1.5, 0.0, 2.0):
        mass = stats.norm.cdf(outcome + step / 2) - stats.norm.cdf(outcome - step / 2)
        assert s.log_score(draws, outcome, step) == pytest.approx(-np.log(mass), abs=2e-3)


# ---------------------------------------------------------------- quantiles and intervals


@given(samples, numbers, st.floats(0.01, 0.99))
def test_pinball_follows_its_definition(draws, outcome, prob):
    q = np.quantile(draws, prob)
    assert s.pinball(draws, outcome, prob) == pytest.approx(((outcome < q) - prob) * (q - outcome), abs=1e-10)


def test_pinball_agrees_with_scoringrules():
    for prob in (0.05, 0.5, 0.95):
        theirs = sr.quantile_score(OUTCOMES, np.quantile(DRAWS, prob, axis=0), prob)
        np.testing.assert_allclose(s.pinball(DRAWS, OUTCOMES, prob), theirs, rtol=1e-10)


def test_a_given_quantile_is_scored_as_it_is():
    assert s.pinball(np.array([10.0]), 12.0, 0.9) == pytest.approx(0.9 * 2)
    assert s.pinball(np.array([10.0]), 8.0, 0.9) == pytest.approx(0.1 * 2)


def test_the_interval_score_agrees_with_scoringrules():
    for level in (0.5, 0.9):
        lower, upper = np.quantile(DRAWS, [(1 - level) / 2, (1 + level) / 2], axis=0)
        theirs = sr.interval_score(OUTCOMES, lower, upper, 1 - level)
        np.testing.assert_allclose(s.interval_score(DRAWS, OUTCOMES, level), theirs, rtol=1e-9)


@given(samples, numbers)
def test_the_interval_score_is_the_sum_of_its_two_pinball_scores(draws, outcome):
    both = s.pinball(draws, outcome, 0.05) + s.pinball(draws, outcome, 0.95)
    assert s.interval_score(draws, outcome, 0.9) == pytest.approx(2 / 0.1 * both, abs=1e-9)


def test_point_errors_follow_their_definitions():
    draws = np.array([[0.0, 1.0], [2.0, 1.0], [10.0, 1.0]])
    np.testing.assert_allclose(s.squared_error_of_mean(draws, [1.0, 1.0]), [9.0, 0.0])
    np.testing.assert_allclose(s.absolute_error_of_median(draws, [1.0, 3.0]), [1.0, 2.0])


# ---------------------------------------------------------------- propriety and invariance


def _expected_scores(location, scale):
    """Expected scores of N(location, scale) when N(0, 1) is true, by quadrature over the outcome."""
    n = 2001
    draws = location + scale * stats.norm.ppf((np.arange(n) + 0.5) / n)
    outcomes = np.linspace(-6, 6, 601)
    many = np.repeat(draws[:, None], len(outcomes), axis=1)
    weights = stats.norm.pdf(outcomes)
    rules = {
        "crps": s.crps(many, outcomes),
        "log_score": s.log_score(many, outcomes, 0.5),
        "pinball": s.pinball(many, outcomes, 0.05),
        "interval": s.interval_score(many, outcomes, 0.9),
        "squared": s.squared_error_of_mean(many, outcomes),
        "weighted": s.threshold_weighted_crps(many, outcomes, 0.5),
        "brier": s.brier(many, outcomes, 0.5),
    }
    return {name: integrate.trapezoid(values * weights, outcomes) for name, values in rules.items()}


TRUTH = _expected_scores(0.0, 1.0)


@settings(max_examples=25, deadline=None)
@given(st.floats(-1.5, 1.5), st.floats(0.4, 2.5))
def test_the_true_distribution_has_the_lowest_expected_score(location, scale):
    distance = abs(location) + abs(np.log(scale))
    other = _expected_scores(location, scale)
    for rule in ("crps", "log_score"):  # strictly proper: any real departure costs
        assert other[rule] > TRUTH[rule] - 1e-3 * (distance < 0.15)
    for rule in (
        "pinball",
        "interval",
        "squared",
        "weighted",
        "brier",
    ):  # proper: another forecast with the same quantile or mean may tie
        assert other[rule] > TRUTH[rule] - 1e-3


@given(samples, numbers, st.floats(-20, 20), st.floats(0.1, 10))
def test_scores_do_not_depend_on_origin_and_carry_the_unit(draws, outcome, shift, scale):
    def every(x, y, step):
        return s.score_cell(x[:, None, None], np.array([[y]]), np.array([step]), rng=np.random.default_rng(0))

    before, after = every(draws, outcome, 1.0), every(shift + scale * draws, shift + scale * outcome, scale)
    for name in s.COLUMNS:
        unit = {"squared_error": scale**2, "log_score": 1.0, "pit": 1.0}.get(name, scale)
        unit = 1.0 if name.startswith("covered") else unit
        if name == "log_score" and _at_an_edge(draws - outcome):
            continue
        if (name == "pit" or name.startswith("covered")) and _near_a_tie(draws, outcome):
            continue
        assert after[name] == pytest.approx(unit * before[name], rel=1e-6, abs=1e-6 * max(scale, scale**2))


def _at_an_edge(deviations):
    return np.min(np.abs(np.abs(deviations) - 0.5)) < 1e-6


def _near_a_tie(draws, outcome):
    levels = [p for level in s.COVERAGE_LEVELS for p in ((1 - level) / 2, (1 + level) / 2)]
    ends = np.quantile(draws, levels)
    return min(np.abs(draws - outcome).min(), np.abs(ends - outcome).min()) < 1e-6


def test_reflection_swaps_the_lower_and_the_upper_quantile():
    there, back = cell(), cell(-DRAWS, -OUTCOMES)
    np.testing.assert_allclose(there["pinball_05"], back["pinball_95"], rtol=1e-9)
    np.testing.assert_allclose(there["crps"], back["crps"], rtol=1e-9)
    np.testing.assert_allclose(there["interval_90"], back["interval_90"], rtol=1e-9)


# ---------------------------------------------------------------- PIT and coverage


def test_pit_is_uniform_under_the_truth():
    rng = np.random.default_rng(11)
    values = s.pit(rng.normal(size=(2000, 3000)), rng.normal(size=3000), rng=rng)
    assert stats.kstest(values, "uniform").pvalue > 0.01


def test_pit_is_uniform_for_a_rate_that_moves_in_steps():
    rng = np.random.default_rng(12)
    draws, outcomes = rng.poisson(1.0, size=(2000, 3000)), rng.poisson(1.0, size=3000)
    assert stats.kstest(s.pit(draws, outcomes, rng=rng), "uniform").pvalue > 0.01


def test_pit_lies_between_the_shares_below_and_not_above():
    draws = np.array([1.0, 2.0, 2.0, 3.0])
    values = s.pit(np.repeat(draws[:, None], 500, axis=1), np.full(500, 2.0), rng=np.random.default_rng(0))
    assert values.min() >= 0.25
    assert values.max() <= 0.75
    assert np.ptp(values) > 0.45
    assert s.pit(draws, 0.0, rng=np.random.default_rng(0)) == 0.0
    assert s.pit(draws, 9.0, rng=np.random.default_rng(0)) == 1.0


def test_ties_survive_rounding_errors():
    outcome = np.full((1, 1), 100 * (5.33 - 5.40))
    got = cell(np.full((100, 1, 1), -7.0), outcome, np.ones(1))
    assert 0 < got["pit"][0, 0] < 1
    assert all(got[name][0, 0] == 1 for name in s.COVERED)
    assert got["crps"][0, 0] == 0


def test_coverage_is_exact_on_constructed_cells():
    draws = np.repeat(np.linspace(0, 100, 1001)[:, None, None], 6, axis=1)
    outcomes = np.array([[50.0], [74.9], [75.1], [89.0], [94.0], [98.0]])
    got = cell(draws, outcomes, np.ones(1))
    table = np.column_stack([got[name][:, 0] for name in s.COVERED])
    np.testing.assert_array_equal(
        table, [[1, 1, 1, 1], [1, 1, 1, 1], [0, 1, 1, 1], [0, 1, 1, 1], [0, 0, 1, 1], [0, 0, 0, 0]]
    )


def test_an_outcome_on_the_end_of_the_interval_is_covered():
    draws = np.repeat(np.linspace(0, 100, 101)[:, None, None], 2, axis=1)
    np.testing.assert_array_equal(cell(draws, np.array([[5.0], [95.0]]), np.ones(1))["covered_90"], [[1], [1]])


# ---------------------------------------------------------------- a whole cell


def test_a_cell_holds_what_the_single_functions_say():
    got = cell()
    assert tuple(got) == s.COLUMNS
    expected = {
        "crps": s.crps(DRAWS, OUTCOMES),
        "log_score": s.log_score(DRAWS, OUTCOMES, STEPS),
        "pinball_05": s.pinball(DRAWS, OUTCOMES, 0.05),
        "pinball_95": s.pinball(DRAWS, OUTCOMES, 0.95),
        "interval_90": s.interval_score(DRAWS, OUTCOMES, 0.9),
        "squared_error": s.squared_error_of_mean(DRAWS, OUTCOMES),
        "absolute_error": s.absolute_error_of_median(DRAWS, OUTCOMES),
        "pit": s.pit(DRAWS, OUTCOMES, rng=np.random.default_rng(1)),
    }
    for name, values in expected.items():
        np.testing.assert_allclose(got[name], values, rtol=1e-9, err_msg=name)
    for level, name in zip(s.COVERAGE_LEVELS, s.COVERED, strict=True):
        lower, upper = np.quantile(DRAWS, [(1 - level) / 2, (1 + level) / 2], axis=0)
        np.testing.assert_array_equal(got[name], (lower <= OUTCOMES) & (upper >= OUTCOMES))


def test_an_unknown_outcome_has_no_score_and_leaves_the_others_alone():
    outcomes = OUTCOMES.copy()
    outcomes[2, 1] = np.nan
    whole, partial = cell(), cell(outcomes=outcomes)
    unknown = np.isnan(outcomes)
    # A path that leads through the unknown outcome has no energy score either.
    after = np.isnan(outcomes) | np.isnan(outcomes[[0, 1, 2, 2]])
    np.testing.assert_array_equal(np.isnan(partial["energy"]), after)
    np.testing.assert_array_equal(partial["energy"][~after], whole["energy"][~after])
    for name in set(s.COLUMNS) - {"energy"}:
        np.testing.assert_array_equal(np.isnan(partial[name]), unknown, err_msg=name)
        np.testing.assert_array_equal(partial[name][~unknown], whole[name][~unknown], err_msg=name)
    assert np.isnan(s.pit(DRAWS, outcomes, rng=np.random.default_rng(1))[2, 1])
    assert np.isnan(s.crps(DRAWS, outcomes)[2, 1])


def test_scoring_a_cell_changes_neither_draws_nor_outcomes():
    draws, outcomes = DRAWS.copy(), OUTCOMES.copy()
    cell(draws, outcomes)
    np.testing.assert_array_equal(draws, DRAWS)
    np.testing.assert_array_equal(outcomes, OUTCOMES)


def test_the_order_of_draws_does_not_matter():
    shuffled = np.random.default_rng(5).permutation(DRAWS, axis=0)
    for name, values in cell(shuffled).items():
        # The energy score looks at some of the pairs of draws: at others in another order.
        np.testing.assert_allclose(values, cell()[name], rtol=0.1 if name == "energy" else 1e-12, err_msg=name)
