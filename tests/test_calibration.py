import numpy as np
import pandas as pd
import pytest
from scipy import stats

from forecast.evaluation.calibration import binomial_band, calibration_tests, coverage_by_horizon, pit_histogram
from forecast.evaluation.coverage_tests import coverage_test, pit_test
from forecast.evaluation.scores import COVERED


def table(covered_90, *, horizon=1, outcome=None):
    n = len(covered_90)
    rows = {
        "model": "drift",
        "conditioning": "none",
        "target": "reserves",
        "horizon": horizon,
        "outcome": np.zeros(n) if outcome is None else outcome,
        **dict.fromkeys(COVERED, 1.0),
    }
    return pd.DataFrame(rows).assign(covered_90=covered_90)


def test_the_histogram_counts_every_value_once():
    pit = np.array([0.0, 0.05, 0.1, 0.55, 0.999, 1.0, np.nan])
    got = pit_histogram(pit)
    assert got["count"].tolist() == [2, 1, 0, 0, 0, 1, 0, 0, 0, 2]
    assert got["expected"].unique() == [0.6]
    assert got["left"].tolist() == pytest.approx(np.arange(10) / 10)
    assert got["right"].tolist() == pytest.approx(np.arange(1, 11) / 10)


def test_the_band_holds_a_calibrated_forecast_and_flags_a_narrow_one():
    rng = np.random.default_rng(4)
    right, narrow = rng.uniform(size=2000), stats.norm.cdf(2 * rng.normal(size=2000))
    calibrated, bowl = pit_histogram(right, level=0.99), pit_histogram(narrow, level=0.99)
    assert calibrated["count"].between(calibrated["lower"], calibrated["upper"]).all()
    ends = bowl.iloc[[0, -1]]
    assert (ends["count"] > ends["upper"]).all()
    assert (bowl["count"].iloc[4:6] < bowl["lower"].iloc[4:6]).all()


def test_the_band_is_the_binomial_interval_by_direct_summation():
    mass = stats.binom.pmf(np.arange(51), 50, 0.1)
    lower, upper = binomial_band(50, 0.1, 0.9)
    assert mass[: int(lower)].sum() <= 0.05 < mass[: int(lower) + 1].sum()
    assert mass[int(upper) + 1 :].sum() <= 0.05 < mass[int(upper) :].sum()


def test_the_band_is_left_as_often_as_it_says():
    rng = np.random.default_rng(8)
    lower, upper = binomial_band(200, 0.1, 0.9)
    inside = [pit_histogram(rng.uniform(size=200))["count"].iloc[3] for _ in range(2000)]
    share = np.mean([(lower <= count <= upper) for count in inside])
    exact = stats.binom.cdf(upper, 200, 0.1) - stats.binom.cdf(lower - 1, 200, 0.1)
    assert share == pytest.approx(exact, abs=4 * np.sqrt(0.1 * 0.9 / 2000))
    assert exact >= 0.9


def test_coverage_is_the_share_and_counts_only_known_outcomes():
    outcome = np.array([1.0, 2.0, np.nan, 4.0])
    cells = table([1.0, 0.0, np.nan, 1.0], outcome=outcome)
    got = coverage_by_horizon(cells).set_index("nominal")
    assert got["n"].tolist() == [3, 3, 3, 3]
    assert got.loc[0.9, "covered"] == pytest.approx(2 / 3)
    assert got.loc[0.5, "covered"] == 1.0


def test_coverage_stands_apart_by_horizon_with_a_band_around_the_nominal():
    cells = pd.concat([table(np.r_[np.ones(90), np.zeros(10)]), table(np.ones(400), horizon=13)])
    got = coverage_by_horizon(cells)
    assert list(got.columns[-5:]) == ["nominal", "n", "covered", "lower", "upper"]
    nine = got[got["nominal"] == 0.9].set_index("horizon")
    assert nine.loc[1, ["n", "covered"]].tolist() == [100, 0.9]
    assert nine.loc[13, ["n", "covered"]].tolist() == [400, 1.0]
    assert nine.loc[1, "lower"] < 0.9 < nine.loc[1, "upper"] < nine.loc[13, "covered"]
    lower, upper = binomial_band(400, 0.9, 0.9)
    assert nine.loc[13, ["lower", "upper"]].tolist() == [lower / 400, upper / 400]


def test_the_tests_of_calibration_count_the_overlap_of_the_origins():
    rng = np.random.default_rng(5)
    n = 208
    origins = pd.date_range("2020-01-02 17:00", periods=n, freq="7D").tz_localize("America/New_York")
    frames = []
    for horizon in (1, 13):
        pit = rng.uniform(size=n)
        cells = table((np.abs(pit - 0.5) < 0.45).astype(float), horizon=horizon)
        frames.append(cells.assign(pit=pit, origin=origins))
    frames[0].loc[0, ["outcome", "pit", "covered_90"]] = np.nan
    got = calibration_tests(pd.concat(frames).sample(frac=1, random_state=1)).set_index("horizon")
    assert got["n"].tolist() == [n - 1, n]
    for horizon, cells, lags in ((1, frames[0].iloc[1:], 0), (13, frames[1], 12)):
        tested = coverage_test(cells["covered_90"], 0.9, lags=lags)
        assert got.loc[horizon, "covered_90"] == tested.share
        assert got.loc[horizon, "covered_90_p_value"] == tested.p_value
        assert got.loc[horizon, "pit_p_value"] == pit_test(cells["pit"], lags=lags).p_value
    assert got.loc[13, "covered_50_p_value"] < 0.01  # every outcome inside the 50 percent interval


def test_too_few_cells_for_the_overlap_have_no_p_value():
    origins = pd.date_range("2020-01-02 17:00", periods=40, freq="7D").tz_localize("America/New_York")
    cells = table(np.ones(40), horizon=13).assign(pit=np.linspace(0.1, 0.9, 40), origin=origins)
    got = calibration_tests(cells).iloc[0]
    assert got["n"] == 40
    assert got[["pit_p_value", "covered_90_p_value"]].isna().all()
