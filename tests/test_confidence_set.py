import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from forecast.errors import UsageError
from forecast.evaluation.confidence_set import confidence_set, pairwise_tests, superior_models
from forecast.evaluation.inference import diebold_mariano

RNG = np.random.default_rng(20240307)


def losses(n, h=1, models=5, *, worse=(), common=0.7, rng=RNG):
    """Absolute errors h weeks ahead; model k's are ``worse[k]`` times as large."""
    shocks = np.cumsum(rng.normal(size=(models + 1, n + h)), axis=1)
    errors = (shocks[:, h:] - shocks[:, :-h]) / math.sqrt(h)
    mixed = math.sqrt(common) * errors[-1] + math.sqrt(1 - common) * errors[:-1]
    scale = np.r_[list(worse), np.ones(models - len(worse))]
    return pd.DataFrame(np.abs(mixed.T) * scale, columns=[f"m{k}" for k in range(models)])


# ---------------------------------------------------------------- pairs


@pytest.mark.parametrize(("n", "lags"), [(120, 3), (208, 25)])
def test_the_pairwise_t_is_the_one_of_diebold_mariano(n, lags):
    table = losses(n, lags + 1)
    t = pairwise_tests(table.to_numpy(), lags=lags).t
    for i in range(5):
        for j in range(5):
            expected = diebold_mariano(table.iloc[:, i], table.iloc[:, j], lags=lags).statistic if i != j else 0.0
            assert t[i, j] == pytest.approx(expected, rel=1e-9)


def test_under_equality_each_t_is_student_with_as_many_degrees_as_cosines():
    tests = pairwise_tests(losses(208, 26).to_numpy(), lags=25)
    for i, j in ((0, 1), (2, 4)):
        assert stats.kstest(tests.null[:, i, j], stats.t(4).cdf).pvalue > 0.01
    np.testing.assert_allclose(tests.null, -tests.null.swapaxes(1, 2), atol=1e-12)


def test_with_two_models_the_confidence_set_is_the_two_sided_test():
    for worse in ((), (1.2,), (1.4,)):
        table = losses(200, 4, 2, worse=worse)
        expected = diebold_mariano(table["m0"], table["m1"], lags=3).p_value
        assert confidence_set(table, lags=3)["p_value"].min() == pytest.approx(expected, abs=0.035)


# ---------------------------------------------------------------- confidence sets


def test_a_clearly_worse_model_leaves_and_the_best_stays():
    got = confidence_set(losses(300, 4, worse=(2.0, 1.0, 0.9)), lags=3)
    assert got.index.tolist() == ["m0", "m1", "m2", "m3", "m4"]
    assert not got.loc["m0", "inside"]
    assert got.loc["m2", "inside"]
    assert got["p_value"].max() == 1.0
    assert (got["inside"] == (got["p_value"] >= 0.1)).all()
    assert (got["n"] == 300).all()
    assert (got["reason"] == "").all()


def test_the_smaller_the_size_the_larger_the_set():
    table = losses(150, worse=(1.25, 1.15, 1.05))
    sets = [
        set(got.index[got["inside"]]) for size in (0.5, 0.1, 0.01) for got in [confidence_set(table, lags=0, size=size)]
    ]
    assert sets[0] <= sets[1] <= sets[2]


def test_order_and_unit_of_models_do_not_matter():
    table = losses(200, 4, worse=(1.3,))
    got = confidence_set(table, lags=3)
    turned = confidence_set(1000 * table[table.columns[::-1]], lags=3).loc[table.columns]
    np.testing.assert_allclose(got["p_value"], turned["p_value"], atol=0.05)  # other simulated numbers
    assert (got["inside"] == turned["inside"]).all()


def test_twins_stay_or_leave_together():
    table = losses(300, 1, 3, worse=(1.5,))
    twins = table.assign(twin=table["m0"], other=table["m2"])
    for classic in (False, True):
        inside = confidence_set(twins, lags=0, classic=classic)["inside"]
        assert not inside[["m0", "twin"]].any()
        assert inside[["m2", "other"]].all()


def test_models_that_are_all_equal_are_all_inside():
    table = pd.DataFrame({name: losses(50)["m0"] for name in "abc"})
    for classic in (False, True):
        assert confidence_set(table, lags=0, classic=classic)["inside"].all()


def test_cells_that_a_model_lacks_are_left_out_for_all():
    table = losses(100)
    holes = table.copy()
    holes.iloc[3, 1], holes.iloc[50, 2] = np.nan, np.nan
    pd.testing.assert_frame_equal(confidence_set(holes, lags=0), confidence_set(table.drop([3, 50]), lags=0))


def test_what_cannot_be_compared_has_a_reason_and_no_set():
    for table, lags, said in (
        (losses(7), 0, "at least 8"),
        (losses(100), 25, "overlap"),
        (losses(50, models=1), 0, "no other"),
    ):
        got = confidence_set(table, lags=lags)
        assert got["reason"].str.contains(said).all()
        assert got["p_value"].isna().all()
        assert got["inside"].isna().all()


@pytest.mark.parametrize("seed", [0, 2, 5])
def test_with_many_cells_and_no_overlap_the_bootstrap_of_arch_says_nearly_the_same(seed):
    table = losses(2000, worse=(1.1, 1.02, 1.02), rng=np.random.default_rng(seed))
    ours, theirs = confidence_set(table, lags=0), confidence_set(table, lags=0, classic=True)
    np.testing.assert_allclose(ours["p_value"], theirs["p_value"], atol=0.1)
    assert ours["p_value"].between(0.01, 0.99).any()  # not only at the extremes
    assert (ours["inside"] == theirs["inside"]).all()


def test_the_classic_set_is_archs_own():
    from arch.bootstrap import MCS

    table = losses(200, 4, worse=(1.5, 1.2))
    mcs = MCS(table, size=0.1, reps=1000, block_size=14, method="R", seed=0)
    mcs.compute()
    got = confidence_set(table, lags=3, classic=True)
    np.testing.assert_array_equal(got["p_value"], mcs.pvalues["Pvalue"][table.columns])
    assert set(got.index[got["inside"]]) == set(mcs.included)


# ---------------------------------------------------------------- superior models


def test_a_better_model_is_named_and_its_p_value_holds_for_all():
    table = losses(300, 4, worse=(1.5, 1.0, 1.0))
    got = superior_models(table, "m0", lags=3)
    assert set(got.index) == {"m1", "m2", "m3", "m4"}
    assert (got["p_value"] < 0.05).all()
    assert got["t"].is_monotonic_decreasing
    assert got["p_value"].is_monotonic_increasing
    for model, row in got.iterrows():
        single = diebold_mariano(table[model], table["m0"], lags=3)
        assert row["t"] == pytest.approx(-single.statistic)
        assert row["difference"] == pytest.approx(single.mean_difference)
        assert row["p_value"] >= single.p_value / 2 - 0.02


def test_the_best_model_is_not_beaten():
    assert (superior_models(losses(300, 4, worse=(0.7,)), "m0", lags=3)["p_value"] > 0.9).all()


def test_with_one_other_model_the_p_value_is_one_sided():
    table = losses(200, 4, 2, worse=(1.2,))
    expected = diebold_mariano(table["m1"], table["m0"], lags=3)
    one_sided = stats.t.cdf(expected.statistic, expected.degrees)
    assert superior_models(table, "m0", lags=3)["p_value"].item() == pytest.approx(one_sided, abs=0.03)


def test_the_more_models_are_tried_the_larger_the_p_value_of_the_best():
    table = losses(200, models=30, worse=(1.15, 1.0), common=0.9)
    few = superior_models(table[["m0", "m1"]], "m0", lags=0).loc["m1", "p_value"]
    many = superior_models(table, "m0", lags=0).loc["m1", "p_value"]
    assert few < many


def test_the_classic_p_value_is_archs_own():
    from arch.bootstrap import SPA

    table = losses(200, 4, worse=(1.2,))
    spa = SPA(table["m0"], table.drop(columns="m0"), block_size=14, reps=1000, seed=0)
    spa.compute()
    got = superior_models(table.assign(twin=table["m0"]), "m0", lags=3, classic=True)
    assert got["p_value"].iloc[0] == spa.pvalues["consistent"]
    assert got["p_value"].iloc[1:].isna().all()


def test_an_unknown_benchmark_and_too_few_cells_say_so():
    with pytest.raises(UsageError, match=r"no benchmark 'walk'.*m0, m1"):
        superior_models(losses(50), "walk", lags=0)
    got = superior_models(losses(48), "m0", lags=12)
    assert got["reason"].str.contains("overlap").all()
    assert got["p_value"].isna().all()
    assert superior_models(losses(50, models=1), "m0", lags=0).empty


# ---------------------------------------------------------------- simulated size and power

ACCEPTED = (0.083, 0.118)  # 99 percent of 2,000 replications at 10 percent


def false_alarms(n, h, replications):
    """Share of samples of equal models in which one is left out, and in which the first is said to be beaten."""
    rng = np.random.default_rng(21)
    left_out = beaten = 0
    for _ in range(replications):
        table = losses(n, h, rng=rng)
        left_out += not confidence_set(table, lags=h - 1)["inside"].all()
        beaten += superior_models(table, "m0", lags=h - 1)["p_value"].iloc[0] < 0.1
    return left_out / replications, beaten / replications


def test_equal_models_rarely_leave():
    left_out, beaten = false_alarms(104, 26, 60)
    assert left_out < 0.25
    assert beaten < 0.25


@pytest.mark.slow
@pytest.mark.parametrize(("n", "h"), [(100, 1), (520, 4), (104, 13), (104, 26), (208, 26), (520, 26)])
def test_the_size_of_sets_and_of_superiority_is_inside_the_band(n, h):
    left_out, beaten = false_alarms(n, h, 2000)
    assert ACCEPTED[0] <= left_out <= ACCEPTED[1]
    assert ACCEPTED[0] <= beaten <= ACCEPTED[1]


@pytest.mark.slow
def test_the_best_model_is_inside_at_least_as_often_as_promised_and_bad_ones_leave():
    rng = np.random.default_rng(12)
    kept = worst = 0
    for _ in range(500):
        inside = confidence_set(losses(260, 13, worse=(0.85, 1.0, 1.0, 1.6), rng=rng), lags=12)["inside"]
        kept += bool(inside["m0"])
        worst += bool(inside["m3"])
    assert kept / 500 >= 0.9
    assert worst / 500 < 0.2
