import numpy as np
import pytest
import scoringrules as sr
from hypothesis import given, settings
from hypothesis import strategies as st

from forecast.evaluation.energy_score import energy_of_paths, energy_score
from forecast.evaluation.scores import crps, score_cells

RNG = np.random.default_rng(20240307)
PATHS = RNG.normal(size=(1000, 6, 9)).cumsum(axis=1)
OUTCOMES = RNG.normal(size=(6, 9)).cumsum(axis=0)


def by_all_pairs(draws, outcome):
    """(D, H), (H,): the definition, pair by pair."""
    error = np.linalg.norm(draws - outcome, axis=1).mean()
    return error - np.linalg.norm(draws[:, None] - draws[None, :], axis=2).mean() / 2


# ---------------------------------------------------------------- the definition


@pytest.mark.parametrize("n", [1, 2, 3, 50, 256, 257, 400])
def test_the_exact_score_is_the_mean_over_all_pairs(n):
    got = energy_score(PATHS[:n], OUTCOMES, exact=True)
    assert got == pytest.approx([by_all_pairs(PATHS[:n, :, k], OUTCOMES[:, k]) for k in range(9)], rel=1e-10)


def test_the_score_agrees_with_scoringrules():
    theirs = sr.es_ensemble(OUTCOMES.T, np.transpose(PATHS, (2, 0, 1)), m_axis=-2, v_axis=-1)
    np.testing.assert_allclose(energy_score(PATHS, OUTCOMES, exact=True), theirs, rtol=1e-9)


@pytest.mark.parametrize("n", [2, 17, 256])
def test_few_draws_are_scored_exactly_without_being_asked(n):
    np.testing.assert_array_equal(energy_score(PATHS[:n], OUTCOMES), energy_score(PATHS[:n], OUTCOMES, exact=True))


def test_a_path_of_one_date_has_its_crps():
    np.testing.assert_allclose(
        energy_score(PATHS[:, :1], OUTCOMES[:1], exact=True), crps(PATHS[:, 0], OUTCOMES[0]), rtol=1e-9
    )


def test_a_point_forecast_has_its_distance():
    points = np.tile([[3.0], [4.0]], (500, 1, 1))
    assert energy_score(points, np.zeros((2, 1))) == pytest.approx(5.0)
    assert energy_score(points, np.array([[3.0], [4.0]])) == pytest.approx(0.0, abs=1e-12)


def test_paths_may_have_any_further_axes_and_any_order_in_memory():
    draws = RNG.normal(size=(300, 4, 5, 2))
    outcome = RNG.normal(size=(4, 5, 2))
    got = energy_score(draws, outcome)
    assert got.shape == (5, 2)
    assert energy_score(draws[..., 3, 1], outcome[..., 3, 1]) == pytest.approx(got[3, 1])
    np.testing.assert_array_equal(energy_score(np.asfortranarray(draws), outcome), got)


def test_an_unknown_outcome_leaves_its_path_without_a_score():
    outcome = OUTCOMES.copy()
    outcome[2, 4] = np.nan
    got = energy_score(PATHS, outcome)
    assert np.isnan(got).tolist() == [k == 4 for k in range(9)]


# ---------------------------------------------------------------- some of the pairs


@pytest.mark.parametrize("order", ["as drawn", "sorted", "repeated"])
def test_some_of_the_pairs_are_nearly_as_good_as_all(order):
    draws = RNG.normal(size=(4000, 13, 40)).cumsum(axis=1)
    if order == "sorted":
        draws = draws[np.argsort(draws[:, -1, 0])]
    if order == "repeated":
        draws = np.tile(draws[:250], (16, 1, 1))  # draw i uses path i mod 250 of a scenario
    outcome = RNG.normal(size=(13, 40)).cumsum(axis=0)
    ratio = energy_score(draws, outcome) / energy_score(draws, outcome, exact=True)
    assert np.abs(ratio - 1).max() < 0.02
    assert ratio.mean() == pytest.approx(1, abs=0.004)


def test_paths_are_scored_alike_alone_and_among_thousands():
    draws, outcome = RNG.normal(size=(300, 3, 2000)), RNG.normal(size=(3, 2000))
    many = energy_score(draws, outcome)
    for k in (0, 777, 1999):
        assert energy_score(draws[..., k], outcome[..., k]) == many[k]


def test_draws_are_not_changed():
    kept = PATHS.copy()
    energy_score(PATHS, OUTCOMES)
    energy_of_paths(PATHS, OUTCOMES, (6,))
    np.testing.assert_array_equal(PATHS, kept)


@pytest.mark.parametrize("scale", [1e-12, 1e30])
def test_the_unit_does_not_matter(scale):
    np.testing.assert_allclose(
        energy_score(scale * PATHS, scale * OUTCOMES), scale * energy_score(PATHS, OUTCOMES), rtol=1e-5
    )


# ---------------------------------------------------------------- propriety


@settings(max_examples=8, deadline=None)
@given(st.floats(-0.95, 0.95), st.floats(-0.95, 0.95))
def test_the_true_dependence_has_the_lowest_expected_score(truth, said):
    rng = np.random.default_rng(4)

    def paths(correlation, n):
        z = rng.normal(size=(n, 2))
        return np.column_stack([z[:, 0], correlation * z[:, 0] + np.sqrt(1 - correlation**2) * z[:, 1]])

    outcomes = paths(truth, 1000)
    honest, other = (
        energy_score(np.repeat(paths(rho, 250)[:, :, None], 1000, axis=2), outcomes.T).mean() for rho in (truth, said)
    )
    assert honest <= other + 0.02


def test_dependence_matters_although_each_date_is_right():
    rng = np.random.default_rng(5)
    outcomes = np.repeat(rng.normal(size=(1, 2000)), 8, axis=0)  # a level that stays
    level = np.repeat(rng.normal(size=(400, 1, 2000)), 8, axis=1)
    independent = rng.normal(size=(400, 8, 2000))
    assert crps(level, outcomes).mean() == pytest.approx(crps(independent, outcomes).mean(), rel=0.02)
    assert energy_score(level, outcomes).mean() < 0.9 * energy_score(independent, outcomes).mean()


# ---------------------------------------------------------------- paths in a cell


def test_a_cell_scores_the_path_up_to_each_period():
    draws, outcomes = PATHS[:, :, :2], OUTCOMES[:, :2]
    got = energy_of_paths(draws, outcomes, (6,))
    for h in range(6):
        exact = [by_all_pairs(draws[:, : h + 1, k], outcomes[: h + 1, k]) for k in range(2)]
        assert got[h] == pytest.approx(exact, rel=0.05)


@pytest.mark.parametrize("n", [1, 2, 5, 8, 15, 16])
def test_with_few_draws_a_cell_is_exact(n):
    got = energy_of_paths(PATHS[:n], OUTCOMES, (6,))
    assert got[-1] == pytest.approx([by_all_pairs(PATHS[:n, :, k], OUTCOMES[:, k]) for k in range(9)], rel=1e-9)


def test_paths_of_several_origins_side_by_side_are_those_of_each_alone():
    together = energy_of_paths(PATHS, OUTCOMES, (3, 1, 2))
    apart = [energy_of_paths(PATHS[:, i:j], OUTCOMES[i:j], (j - i,)) for i, j in ((0, 3), (3, 4), (4, 6))]
    np.testing.assert_array_equal(together, np.concatenate(apart))


def test_scores_of_several_origins_never_join_their_paths():
    steps, uniform = np.ones(9), RNG.random((6, 9))
    both = score_cells(PATHS, OUTCOMES, steps, uniform=uniform, paths=(4, 2))
    second = score_cells(PATHS[:, 4:], OUTCOMES[4:], steps, uniform=uniform[4:], paths=(2,))
    for name, values in second.items():
        np.testing.assert_array_equal(both[name][4:], values, err_msg=name)


def test_after_an_unknown_outcome_a_path_has_no_score():
    outcomes = OUTCOMES.copy()
    outcomes[1, 0] = np.nan
    got = energy_of_paths(PATHS, outcomes, (3, 3))
    assert np.isnan(got[:, 0]).tolist() == [False, True, True, False, False, False]
    assert not np.isnan(got[:, 1:]).any()
