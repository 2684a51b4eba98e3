"""The kinked curve: an estimate that is never without its interval, its forecasts, answers and refusals."""

from __future__ import annotations

import pickle
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from forecast.answers.ampleness import TellsAmpleness
from forecast.checks.contract import check_contract
from forecast.errors import ModelError, NeedsScenarioError, RankDeficientError, ShortHistoryError, UnitError
from forecast.features.calendar_effects import quarter_end_week
from forecast.features.feature_set import Design, future_weeks
from forecast.scenario import Scenario
from forecast.units import UNITS
from models.reserve_demand.kinked_curve import KinkedCurve, KinkEstimate, Kinks, best_kink

EFFECT = "quarter_end_week"
SPEC = KinkedCurve(effects=(EFFECT,))
WEEKS = 300


def design(spread: Any, ratio: np.ndarray) -> Design:
    """Consecutive weeks from 2015 on; the last two ratios are not yet published."""
    weeks = pd.date_range("2015-01-07", periods=len(ratio), freq="7D", unit="us")
    extended = pd.DatetimeIndex(weeks.append(future_weeks(weeks[-1], 26)))
    known = pd.Series(ratio, index=weeks).iloc[:-2].reindex(extended)
    return Design(
        targets=pd.DataFrame({"effr_iorb": spread}, index=weeks),
        features=pd.DataFrame({"reserve_ratio": known, EFFECT: quarter_end_week(extended)}),
        units={"effr_iorb": UNITS["bp"], "reserve_ratio": UNITS["percent"], EFFECT: UNITS["indicator"]},
        known_ahead=frozenset({EFFECT}),
    )


def path(seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.asarray(13 + 4 * np.sin(np.arange(WEEKS) / 30) + 0.2 * rng.standard_normal(WEEKS))


def hinge(x: np.ndarray, kink: float = 12.0, b: float = 2.0) -> np.ndarray:
    return np.asarray(-7 + b * np.maximum(kink - x, 0))


@pytest.fixture(scope="module")
def sample() -> Design:
    x = path()
    return design(hinge(x) + 0.5 * np.random.default_rng(1).standard_normal(WEEKS), x)


@pytest.fixture(scope="module")
def fitted(sample: Design) -> Any:
    return SPEC.fit(sample, rng=np.random.default_rng(0))


@pytest.fixture(scope="module")
def kink(fitted: Any) -> KinkEstimate:
    answer = fitted.kink()
    assert isinstance(answer, KinkEstimate)
    return answer


# --------------------------------------------------------------------------- the estimate


def test_a_clear_kink_is_found_with_all_that_belongs_to_it(kink: KinkEstimate) -> None:
    assert kink.location == pytest.approx(12.0, abs=0.25)
    (low, high), (low_b, high_b) = kink.likelihood_set[0], kink.bootstrap_interval
    # Coverage of the truth is simulated elsewhere; here a set of the right size around the estimate.
    assert low <= kink.location <= high < low + 0.5
    assert low_b <= kink.location <= high_b < low_b + 0.5
    assert kink.slope_interval[0] < -2.0 < kink.slope_interval[1]
    assert kink.flat_p == kink.line_p == pytest.approx(0.001)
    assert kink.flat_f > kink.line_f > 10
    assert not kink.at_edge
    assert not kink.set_reaches_edge
    assert (kink.weeks, kink.block) == (WEEKS - 2, 13)


def test_a_kink_is_never_printed_without_its_interval(kink: KinkEstimate) -> None:
    text = str(kink)
    low, high = kink.likelihood_set[0]
    assert f"{kink.location:.1f} percent of bank assets" in text
    assert f"{low:.1f} to {high:.1f} (likelihood ratio)" in text
    assert f"{kink.bootstrap_interval[0]:.1f} to {kink.bootstrap_interval[1]:.1f} (blocks of weeks)" in text
    assert "edge" not in text
    assert f"{kink}" == text


def test_a_set_in_pieces_is_printed_in_pieces(kink: KinkEstimate) -> None:
    pieces = replace(kink, likelihood_set=((9.1, 9.6), (11.0, 12.3)))
    assert "9.1 to 9.6 or 11.0 to 12.3 (likelihood ratio)" in str(pieces)


def test_an_estimate_at_the_edge_of_its_grid_says_so() -> None:
    x = path()
    line = 5 - 1.2 * x + 0.3 * np.random.default_rng(2).standard_normal(WEEKS)
    fitted = SPEC.fit(design(line, x), rng=np.random.default_rng(0))
    kink = fitted.kink()
    assert kink.at_edge
    assert kink.location == kink.grid[1]
    assert "stands at the edge of its grid" in str(kink)
    notes = fitted.ampleness().notes
    assert any("the data say only on which side it lies" in note for note in notes)
    assert any("of the draws of the kink stand at" in note for note in notes)


def test_a_set_that_reaches_the_edge_says_so(kink: KinkEstimate) -> None:
    wide = replace(kink, likelihood_set=((kink.grid[0], 12.5),))
    assert wide.set_reaches_edge
    assert not wide.at_edge
    assert "reaches the edge of its grid" in str(wide)


def test_the_set_grows_with_its_level_and_with_correlated_errors(sample: Design) -> None:
    from scipy.signal import lfilter

    x = path()
    e = lfilter([1.0], [1.0, -0.8], np.random.default_rng(3).standard_normal(WEEKS))
    fitted = SPEC.fit(design(hinge(x) + 0.4 * e, x), rng=np.random.default_rng(0))

    def width(**options: Any) -> float:
        stretches = fitted.kink(**options).likelihood_set
        return float(stretches[-1][1] - stretches[0][0])

    assert width(level=0.5) < width(level=0.9) < width(level=0.99)
    assert width(level=0.9, block=1) < width(level=0.9)


def test_noise_has_no_kink() -> None:
    p = []
    for seed in range(12):
        noise = np.random.default_rng(seed).standard_normal(WEEKS)
        p.append(SPEC.fit(design(noise, path(seed)), rng=np.random.default_rng(seed)).kink().flat_p)
    assert np.mean(np.array(p) < 0.05) <= 0.25


def test_asking_twice_gives_the_same_answer(fitted: Any, kink: KinkEstimate) -> None:
    assert fitted.kink() == kink
    assert pickle.loads(pickle.dumps(fitted)).kink() == kink  # noqa: S301  our own bytes


def test_coefficients_are_those_of_least_squares_at_the_kink(sample: Design) -> None:
    x = sample.features["reserve_ratio"].to_numpy()[: WEEKS - 2]
    Z = np.column_stack([np.ones(len(x)), sample.features[EFFECT].to_numpy()[: len(x)]])
    y = sample.targets.to_numpy()[: len(x), 0]
    kink, coefficients, residuals = best_kink(Z, y, x)
    X = np.column_stack([Z, np.maximum(kink - x, 0)])
    np.testing.assert_allclose(coefficients, np.linalg.lstsq(X, y)[0], rtol=1e-9)
    np.testing.assert_allclose(X.T @ residuals, 0, atol=1e-9)


# --------------------------------------------------------------------------- slopes and thresholds


def test_a_hinge_is_steep_below_its_kink_and_flat_above() -> None:
    kinks = Kinks(np.array([12.0, 9.0]), np.array([[-7.0, 2.0], [-5.0, 0.3]]))
    np.testing.assert_array_equal(kinks.slopes(np.array([8.0, 10.0, 12.0])), [[-2, -2, 0], [-0.3, 0, 0]])
    np.testing.assert_allclose(kinks.values(np.array([8.0, 13.0])), [[1.0, -7.0], [-4.7, -5.0]])


@pytest.mark.parametrize(("b", "expected"), [(2.0, 12.0), (0.5, 0.0), (0.3, 0.0), (-2.0, 0.0)])
def test_a_tolerance_is_reached_at_the_kink_or_nowhere(b: float, expected: float) -> None:
    assert Kinks(np.array([12.0]), np.array([[-7.0, b]])).thresholds(-0.5)[0] == expected


def test_the_answer_is_that_of_the_draws(fitted: Any, sample: Design) -> None:
    answer, draws = fitted.ampleness(), fitted.resampled(1000)
    assert isinstance(fitted, TellsAmpleness)
    assert answer.draws_are == "bootstrap"
    assert answer.weeks[-1] == sample.targets.index[-3]
    np.testing.assert_array_equal(answer.slope, draws.slopes(answer.ratio))
    np.testing.assert_array_equal(answer.thresholds[-0.5], draws.location)
    assert answer.slope.max() <= 0
    assert answer.sign_free
    below = answer.ratio < 11
    assert (np.median(answer.slope, axis=0)[below] < -1.7).all()
    assert (np.median(answer.slope, axis=0)[answer.ratio > 13] == 0).all()
    assert answer.curve is not None
    assert np.abs(np.median(answer.curve.spread, axis=0) - hinge(answer.curve.ratio)).max() < 0.5


def test_a_spread_that_rises_in_reserves_is_told_so() -> None:
    x = path()
    rising = design(hinge(x, b=-1.5) + 0.3 * np.random.default_rng(4).standard_normal(WEEKS), x)
    answer = SPEC.fit(rising, rng=np.random.default_rng(0)).ampleness()
    assert answer.slope.max() > 1.0
    assert answer.reached(-0.25) == 0.0


# --------------------------------------------------------------------------- forecasts


def test_the_model_keeps_the_contract(sample: Design) -> None:
    check_contract(replace(SPEC, draws=10), sample)


def test_forecasts_follow_the_curve_in_the_long_run(fitted: Any, sample: Design) -> None:
    weeks = pd.DatetimeIndex([*sample.targets.index[-2:], *sample.future(26)])
    for ratio in (8.0, 16.0):
        scenario = Scenario("given", np.full((1, len(weeks), 1), ratio), weeks, ("reserve_ratio",))
        forecast = fitted.predict(sample.future(26), scenario=scenario, n_draws=4000, rng=np.random.default_rng(2))
        effect = sample.features[EFFECT].loc[forecast.periods[-1]] * fitted.curve.coefficients[0, 1]
        assert forecast.mean().iloc[-1, 0] == pytest.approx(hinge(np.array(ratio)) + effect, abs=0.35)


def test_forecasts_begin_at_the_last_published_spread(sample: Design) -> None:
    from scipy.signal import lfilter

    x = path()
    e = lfilter([1.0], [1.0, -0.9], 0.3 * np.random.default_rng(5).standard_normal(WEEKS))
    e[-1] = 4.0
    persistent = design(hinge(x) + e, x)
    fitted = SPEC.fit(persistent, rng=np.random.default_rng(0))
    mean = fitted.predict(persistent.future(20), n_draws=4000, rng=np.random.default_rng(6)).mean().to_numpy()[:, 0]
    away = mean - hinge(np.array(x[-3]))
    assert away[0] > 2.0
    assert abs(away[-1]) < 0.75 * away[0]


def test_a_scenario_that_lacks_a_week_is_refused(fitted: Any, sample: Design) -> None:
    weeks = sample.future(4)
    scenario = Scenario("short", np.full((1, 4, 1), 12.0), weeks, ("reserve_ratio",))
    with pytest.raises(NeedsScenarioError, match="reserve_ratio"):
        fitted.predict(sample.future(6), scenario=scenario, n_draws=5, rng=np.random.default_rng(0))


# --------------------------------------------------------------------------- refusals


def test_no_draws_are_refused() -> None:
    with pytest.raises(ValueError, match="draws = 0; give at least 1"):
        KinkedCurve(draws=0)


def test_ninety_nine_weeks_are_too_few(sample: Design) -> None:
    short = replace(sample, targets=sample.targets.iloc[:99], features=sample.features.iloc[:99])
    with pytest.raises(ShortHistoryError, match="99 complete weeks, fewer than the 100 needed"):
        SPEC.fit(short, rng=np.random.default_rng(0))


def test_a_spread_that_never_moves_is_refused(sample: Design) -> None:
    with pytest.raises(ModelError, match="-7 bp in every week"):
        SPEC.fit(replace(sample, targets=sample.targets * 0 - 7), rng=np.random.default_rng(0))


@pytest.mark.parametrize(("feature", "value"), [("reserve_ratio", 12), (EFFECT, 0)])
def test_a_regressor_that_never_moves_is_named(sample: Design, feature: str, value: int) -> None:
    features = sample.features.assign(**{feature: sample.features[feature] * 0 + value})
    with pytest.raises(RankDeficientError, match=feature):
        SPEC.fit(replace(sample, features=features), rng=np.random.default_rng(0))


@pytest.mark.parametrize("factor", [0.01, 100.0])
def test_a_ratio_in_another_unit_is_refused(sample: Design, factor: float) -> None:
    features = sample.features.assign(reserve_ratio=sample.features["reserve_ratio"] * factor)
    with pytest.raises(UnitError, match="fraction, or in dollars"):
        SPEC.fit(replace(sample, features=features), rng=np.random.default_rng(0))


def test_weeks_without_a_ratio_are_left_out(sample: Design) -> None:
    holes = sample.features.copy()
    holes.loc[holes.index[50:60], "reserve_ratio"] = np.nan
    fitted = SPEC.fit(replace(sample, features=holes), rng=np.random.default_rng(0))
    assert fitted.kink().weeks == WEEKS - 12
    assert fitted.kink().location == pytest.approx(12.0, abs=0.3)
