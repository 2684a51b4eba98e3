"""What a fitted demand curve answers, held against a softplus curve whose slope and thresholds are known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from forecast.answers.ampleness import (
    TOLERANCES,
    Ampleness,
    CurveDraws,
    TellsAmpleness,
    interval,
    state_of,
)
from forecast.answers.learning import learnings
from forecast.answers.true_curve import true_curve, true_threshold
from forecast.data.synthetic import Economy, simulate
from forecast.errors import ModelError, UsageError

WEEKS = pd.date_range("2020-01-01", periods=3, freq="7D")
BETA, TAU = 2.5, 0.5


def told(kink: Any, ratio: float = 12.0, **changes: Any) -> Ampleness:
    """Softplus curves with given kinks, in three weeks whose ratio falls to ``ratio``."""
    kinks = np.asarray(kink, dtype=float)
    x = np.array([ratio + 2, ratio + 1, ratio])
    slope = -BETA / (1 + np.exp(-(kinks[:, None] - x) / TAU))
    thresholds = {c: kinks - TAU * np.log(-c / (BETA + c)) for c in TOLERANCES}
    given = {"prior": {}, "sign_free": False, "thresholds": thresholds} | changes
    return Ampleness("effr_iorb", "posterior", WEEKS, x, slope, **given)


def test_the_slope_at_the_threshold_is_the_tolerance() -> None:
    for c in TOLERANCES:
        at = true_threshold(c, 12.0, BETA, TAU)
        assert -BETA / (1 + np.exp(-(12.0 - at) / TAU)) == pytest.approx(c, rel=1e-12)


def test_a_curve_that_is_never_so_steep_has_no_threshold() -> None:
    assert true_threshold(-1.0, 12.0, 0.9, TAU) == 0.0
    assert true_threshold(-1.0, 12.0, 1.0, TAU) == 0.0


def test_thresholds_move_with_the_kink() -> None:
    assert true_threshold(-0.5, 13.0, BETA, TAU) - true_threshold(-0.5, 12.0, BETA, TAU) == pytest.approx(1.0)


def test_distance_and_need_add_up_to_reserves() -> None:
    answer = told([11.0, 12.0, 13.0])
    for c in TOLERANCES:
        reserves = answer.distance(c, 24_000.0) + answer.reserves_needed(c, 24_000.0)
        np.testing.assert_allclose(reserves, 12.0 * 240)


def test_distance_in_dollars_of_a_known_curve() -> None:
    # At c = -1.25 the softplus is at its kink; here c = -1 lies tau * ln(1 / 1.5) above it.
    answer = told([11.0], ratio=12.0)
    expected = (12.0 - (11.0 + TAU * np.log(1.5))) * 240
    assert answer.distance(-1.0, 24_000.0)[0] == pytest.approx(expected, rel=1e-12)


def test_the_distance_is_negative_below_the_threshold() -> None:
    assert told([14.0]).distance(-0.5, 24_000.0)[0] < 0
    assert told([14.0]).ratio_below(-0.5) == 1.0


def test_draws_without_a_threshold_count_as_they_are() -> None:
    thresholds = {c: np.array([np.inf, 0.0, np.nan, 11.0]) for c in TOLERANCES}
    answer = told([12.0] * 4, thresholds=thresholds)
    assert answer.reached(-0.5) == 0.25
    # Steeper everywhere is below its threshold, flatter everywhere is above it, no answer is not counted.
    assert answer.ratio_below(-0.5) == pytest.approx(1 / 3)
    distance = answer.distance(-0.5, 24_000.0)
    assert np.isnan(distance[:3]).all()
    assert distance[3] == pytest.approx(240.0)
    assert np.isnan(answer.reserves_needed(-0.5, 24_000.0)).tolist() == [True, True, True, False]


def test_a_threshold_that_no_draw_answers_is_missing() -> None:
    answer = told([12.0], thresholds={c: np.array([np.nan]) for c in TOLERANCES})
    assert np.isnan(answer.ratio_below(-1.0))


def test_chances_add_to_one_and_agree_with_the_slopes() -> None:
    answer = told(np.linspace(9, 15, 601))
    chances = answer.chances()
    assert sum(chances.values()) == pytest.approx(1.0)
    # Scarce where the kink lies above x + tau * ln(1 / 1.5): the share of an even spread of kinks is known.
    edge = 12.0 + TAU * np.log(1.0 / 1.5)
    assert chances["scarce"] == pytest.approx((15 - edge) / 6, abs=0.002)
    assert answer.slope_below(-1.0) == chances["scarce"]


def test_reserves_on_the_flat_top_of_an_s_are_scarce() -> None:
    top = told([18.0] * 9, thresholds={c: np.full(9, 18.0) for c in TOLERANCES})
    flat_now = Ampleness(
        "effr_iorb", "bootstrap", WEEKS, top.ratio, np.full((9, 3), -0.01), top.thresholds, {}, sign_free=False
    )
    assert flat_now.state() == "scarce"


def test_without_an_answer_of_its_curve_a_model_is_judged_by_its_slope() -> None:
    lost = told([14.0] * 9, thresholds={c: np.full(9, np.nan) for c in TOLERANCES})
    assert lost.state() == "scarce"


@pytest.mark.parametrize(
    ("kinks", "state"),
    [([8.0] * 9, "abundant"), ([11.5] * 9, "ample"), ([14.0] * 9, "scarce"), ([8.0, 11.5, 14.0] * 3, "cannot tell")],
)
def test_a_state_needs_two_chances_in_three(kinks: list[float], state: str) -> None:
    assert told(kinks).state() == state


def test_exactly_two_in_three_is_enough() -> None:
    assert told([8.0, 8.0, 14.0]).state() == "abundant"
    assert told([8.0, 8.0, 14.0, 14.0]).state() == "cannot tell"


@pytest.mark.parametrize(
    ("slope", "state"), [(0.4, "abundant"), (-0.25, "abundant"), (-0.26, "ample"), (-1.0, "ample"), (-1.01, "scarce")]
)
def test_a_known_slope_has_the_state_that_its_draws_would_tell(slope: float, state: str) -> None:
    answer = told([12.0] * 5)
    same = Ampleness("effr_iorb", "filter", WEEKS, answer.ratio, np.full((5, 3), slope), {}, {}, sign_free=True)
    assert state_of(slope) == same.state() == state


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ModelError, match="for 3 weeks"):
        Ampleness("effr_iorb", "filter", WEEKS, np.zeros(3), np.zeros((5, 2)), {}, {}, sign_free=True)
    with pytest.raises(ModelError, match=r"x\*\(-0.5\)"):
        told([12.0] * 5, thresholds={-0.5: np.zeros(4)})
    with pytest.raises(ModelError, match="ascending"):
        CurveDraws(np.array([12.0, 11.0]), np.zeros((5, 2)))
    with pytest.raises(ModelError, match="ascending"):
        CurveDraws(np.array([11.0, 12.0]), np.zeros((5, 3)))


def test_what_tells_ampleness_is_known_by_its_method() -> None:
    class Fitted:
        def ampleness(self) -> Ampleness:
            return told([12.0])

    assert isinstance(Fitted(), TellsAmpleness)
    assert not isinstance(object(), TellsAmpleness)


# --------------------------------------------------------------------------- intervals


def test_intervals_of_even_draws_are_their_shares() -> None:
    found = interval(np.linspace(0, 100, 1001))
    assert found is not None
    assert found.median == pytest.approx(50)
    assert (found.low_68, found.high_68) == pytest.approx((16, 84))
    assert (found.low_95, found.high_95) == pytest.approx((2.5, 97.5))


def test_draws_that_are_no_numbers_are_left_out_and_a_few_are_none() -> None:
    draws = np.r_[np.linspace(0, 1, 40), np.nan, np.inf]
    assert interval(draws) == interval(draws[:40])
    assert interval(draws[:19]) is None


# --------------------------------------------------------------------------- prior beside posterior


def learnt(prior_sd: float, posterior_sd: float, key: str = "-0.5") -> list[Any]:
    z = np.linspace(-2, 2, 101)
    prior = {key: 12 + prior_sd * z}
    return list(learnings(told(12 + posterior_sd * z, prior=prior)))


@pytest.mark.parametrize(("sd", "verdict"), [(1.9, "the data"), (2.1, "mostly the prior"), (4.0, "mostly the prior")])
def test_information_halves_the_standard_deviation(sd: float, verdict: str) -> None:
    (one,) = learnt(4.0, sd)
    assert one.sd_ratio == pytest.approx(sd / 4.0)
    assert one.verdict() == verdict


def test_a_tolerance_is_found_however_its_number_is_written() -> None:
    for key in ("-1", "-1.0"):
        (one,) = learnt(4.0, 1.0, key)
        assert one.tolerance == -1.0


def test_thresholds_that_are_not_reached_do_not_enter() -> None:
    z = np.linspace(-2, 2, 101)
    prior = {"-0.5": np.where(np.arange(101) % 2, np.inf, 12 + 4 * z), "slope": z}
    of_threshold, of_slope = learnings(told(12 + z, prior=prior))
    assert np.isfinite(of_threshold.prior).all()
    assert len(of_threshold.prior) == 51
    assert of_slope.tolerance is None
    assert len(of_slope.prior) == 101


def test_too_few_draws_tell_nothing() -> None:
    (one,) = learnings(told([12.0] * 101, prior={"-0.5": np.full(5, 12.0)}))
    assert np.isnan(one.sd_ratio)
    assert one.verdict() == "cannot tell"


# --------------------------------------------------------------------------- the simulated economy's own


@pytest.fixture(scope="module")
def truth() -> Any:
    return simulate(Economy(seed=1, years=8.0))[1]


@pytest.mark.parametrize(("spread", "scale"), [("effr_iorb", 1.0), ("sofr_iorb", 1.8), ("tgcr_iorb", 1.8)])
def test_the_true_curve_has_the_slope_that_the_economy_reports(truth: Any, spread: str, scale: float) -> None:
    week = truth.weekly.index[-10]
    kink, x = truth.weekly.loc[week, "kink"], truth.weekly.loc[week, "ratio"]
    found = true_curve(truth, spread, week, np.array([x - 0.005, x + 0.005]))
    derivative = float(np.diff(found.spread)[0]) / 0.01
    beta = scale * truth.beta
    assert derivative == pytest.approx(-beta / (1 + np.exp(-(kink - x) / truth.tau)), rel=1e-4)
    assert found.slope.index[-1] == week
    # The mean of five daily slopes is not quite the slope at the mean.
    assert float(found.slope.iloc[-1]) == pytest.approx(derivative, rel=0.05, abs=0.02)
    for c, at in found.thresholds.items():
        assert -beta / (1 + np.exp(-(kink - at) / truth.tau)) == pytest.approx(c, rel=1e-9)


def test_the_true_level_is_the_spread_without_noise(truth: Any) -> None:
    week = truth.weekly.index[-10]
    found = true_curve(truth, "effr_iorb", week, np.array([40.0]))
    assert found.spread[0] == pytest.approx(truth.weekly.loc[week, "alpha"])


def test_a_spread_without_a_curve_is_refused(truth: Any) -> None:
    with pytest.raises(UsageError, match="obfr_iorb"):
        true_curve(truth, "obfr_iorb", truth.weekly.index[-1], np.array([12.0]))
