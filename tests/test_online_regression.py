"""The regression that takes in one week after another: update is refit, holes and edges are bridged, slopes are the truth's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from forecast.answers.ampleness import TellsAmpleness
from forecast.checks.contract import CHECKS, Trial, trial
from forecast.errors import ModelError, NeedsScenarioError, ShortHistoryError, UnitError
from forecast.features.feature_set import FEATURES, CalendarEffect, Design, future_weeks
from forecast.model import Updatable, is_updatable
from forecast.scenario import Scenario
from forecast.units import UNITS
from models.reserve_demand.drifting_paths import moving_on, persistent_slope, walk
from models.reserve_demand.online_regression import OnlineRegression
from models.reserve_demand.week_by_week import FittedWeekByWeek

type Array = NDArray[np.float64]

AHEAD = 26
FEW = OnlineRegression(particles=160, sweeps=1, draws=100)


def design_of(weeks: int = 140, *, slope: float = -0.8, seed: int = 0, noise: float = 1.0) -> Design:
    """Spreads with persistence one half and a constant impact of the ratio, which moves much."""
    rng = np.random.default_rng([1, seed])
    index = pd.date_range("2016-01-06", periods=weeks, freq="7D", unit="us")
    extended = pd.DatetimeIndex(index.append(future_weeks(index[-1], AHEAD)))
    ratio = 12 + 4 * np.sin(np.arange(weeks) / 15) + np.cumsum(rng.normal(0, 0.1, weeks))
    spread = np.full(weeks, -5.0)
    for t in range(1, weeks):
        spread[t] = -2 + 0.5 * spread[t - 1] + slope * (ratio[t] - 12) + noise * rng.normal()
    features = {"reserve_ratio": np.concatenate([ratio, np.full(AHEAD, np.nan)])}
    for name in FEW.effects:
        effect = FEATURES[name]
        assert isinstance(effect, CalendarEffect)
        features[name] = effect(extended).to_numpy(dtype=float)
    units = {"effr_iorb": UNITS["bp"], "reserve_ratio": UNITS["percent"]}
    units |= {name: FEATURES[name].unit for name in FEW.effects}
    frames = pd.DataFrame({"effr_iorb": spread}, index), pd.DataFrame(features, extended)
    return Design(*frames, units, frozenset(FEW.effects))


def cut(design: Design, weeks: int) -> Design:
    return replace(design, targets=design.targets.iloc[:weeks], features=design.features.iloc[: weeks + AHEAD])


def with_values(design: Design, row: int, **values: float) -> Design:
    targets, features = design.targets.copy(), design.features.copy()
    for name, value in values.items():
        frame = targets if name in targets else features
        frame.loc[frame.index[row], name] = value
    return replace(design, targets=targets, features=features)


def fit(design: Design, spec: OnlineRegression = FEW, seed: int = 5) -> FittedWeekByWeek:
    return spec.fit(design, rng=np.random.default_rng(seed))


def parts(fitted: FittedWeekByWeek) -> list[bytes]:
    state = fitted.folded.state
    filtered = state.filters["spread"]
    cloud = filtered.cloud
    assert cloud is not None
    arrays: list[NDArray[Any]] = [filtered.log_density, filtered.past, cloud.weight, cloud.family]
    arrays += [*cloud.particles, *(draws for _, draws in state.slopes)]
    return [array.tobytes() for array in arrays]


def flat(design: Design, ratio: float, weeks: int, first: int = 0) -> Scenario:
    periods = design.future(weeks)
    if first:
        periods = pd.DatetimeIndex(design.targets.index[-first:].append(periods))
    return Scenario("flat", np.full((1, len(periods), 1), ratio), periods, ("reserve_ratio",))


@cache
def usual() -> Trial:
    return trial(FEW, design_of())


# --------------------------------------------------------------------------- the contract


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_it_keeps_the_contract(check: Callable[[Trial], None]) -> None:
    check(usual())


def test_it_says_what_it_can_do() -> None:
    fitted = usual().fitted
    assert is_updatable(FEW)
    assert FEW.tells_ampleness
    assert isinstance(fitted, Updatable)
    assert isinstance(fitted, TellsAmpleness)


@pytest.mark.parametrize("step", [1, 13])
def test_updating_is_refitting_to_the_last_bit(step: int) -> None:
    whole = design_of(126)
    fitted = fit(cut(whole, 100))
    for weeks in range(100 + step, 127, step):
        fitted = fitted.update(cut(whole, weeks))
    last = max(range(100 + step, 127, step))
    assert parts(fitted) == parts(fit(cut(whole, last)))
    assert parts(fitted) != parts(fit(cut(whole, last), seed=6))


def test_weeks_of_the_ragged_edge_wait_until_they_are_complete() -> None:
    whole = design_of(110)
    ragged = with_values(with_values(whole, 109, reserve_ratio=np.nan), 108, reserve_ratio=np.nan)
    early = fit(ragged)
    assert len(early.folded.periods) == 108
    assert parts(early.update(whole)) == parts(fit(whole))


def test_a_revised_week_reaches_the_state() -> None:
    whole = design_of(110)
    revised = with_values(whole, 70, effr_iorb=3.0)
    assert parts(fit(whole).update(revised)) == parts(fit(revised))


def test_a_hole_in_the_sample_is_passed_over() -> None:
    whole = design_of(120)
    for row in (80, 81, 82):
        whole = with_values(whole, row, reserve_ratio=np.nan)
    fitted = fit(whole)
    density = fitted.log_density()
    assert len(density) == 120
    # The week after the hole has no known week before it.
    assert list(np.flatnonzero(np.isnan(density.to_numpy()[60:])) + 60) == [80, 81, 82, 83]
    np.testing.assert_array_equal(density.index, whole.targets.index)


# --------------------------------------------------------------------------- arithmetic


def test_the_slope_is_the_response_to_a_ratio_that_has_moved_for_good() -> None:
    coefficients = np.array([[1.0, 0.5, -2.0, 9.0], [0.0, 1.0, 1.0, 9.0]])
    for h in (0, 1, 5):
        for b, expected in zip(coefficients, persistent_slope(coefficients, h), strict=True):
            spread = 0.0
            for _ in range(h + 1):
                spread = b[1] * spread + b[2]
            assert expected == pytest.approx(spread)
    assert persistent_slope(coefficients[:1], 200)[0] == pytest.approx(-2.0 / 0.5)


def test_a_walk_is_the_regression_iterated() -> None:
    rng = np.random.default_rng(2)
    D, W, F = 5, 4, 2
    X, b, noise = rng.normal(size=(1, W, F)), rng.normal(0, 0.4, (D, W, 2 + F)), rng.normal(size=(D, W))
    b[0, :, 1] = 1.3  # as one
    paths = walk(-6.0, X, b, noise)
    for d in range(D):
        spread = -6.0
        for w in range(W):
            rho = min(b[d, w, 1], 1.0)
            spread = b[d, w, 0] + rho * spread + b[d, w, 2:] @ X[0, w] + noise[d, w]
            assert paths[d, w] == pytest.approx(spread)


def test_coefficients_and_volatility_move_on_as_the_model_says() -> None:
    D, W = 40_000, 6
    b, drift = np.tile([1.0, 2.0], (D, 1)), np.tile([0.1, -0.3], (D, 1))
    volatility, h = np.tile([-1.0, 0.8, 0.5], (D, 1)), np.full(D, 1.0)
    paths, variance = moving_on((b, drift, h, volatility), W, np.random.default_rng(3))
    np.testing.assert_allclose(paths.mean(axis=0), np.tile([1.0, 2.0], (W, 1)), atol=0.02)
    np.testing.assert_allclose(paths.std(axis=0), np.sqrt(np.arange(1, W + 1))[:, None] * [0.1, 0.3], rtol=0.03)
    steps = np.arange(1, W + 1)
    logs = np.log(variance)
    np.testing.assert_allclose(logs.mean(axis=0), -1 + 2 * 0.8**steps, atol=0.02)
    np.testing.assert_allclose(logs.var(axis=0), 0.25 * (1 - 0.64**steps) / 0.36, rtol=0.04)


# --------------------------------------------------------------------------- forecasts


def test_a_higher_ratio_lowers_the_spread_by_the_slope() -> None:
    design = design_of(200)
    fitted = fit(design)
    now = design.features["reserve_ratio"].dropna().iloc[-1]
    medians = [
        np.median(
            fitted.predict(
                design.future(2), scenario=flat(design, now + up, 2), n_draws=4000, rng=np.random.default_rng(1)
            ).values[:, 1, 0]
        )
        for up in (0.0, 2.0)
    ]
    slope = np.median(fitted.ampleness().slope[:, -1])
    assert medians[1] - medians[0] == pytest.approx(2 * slope, abs=0.25)


def test_published_spreads_are_where_the_walk_begins_even_where_the_ratio_is_late() -> None:
    design = design_of(130, noise=0.2)
    late = with_values(with_values(design, 129, reserve_ratio=np.nan), 128, reserve_ratio=np.nan)
    late = with_values(late, 129, effr_iorb=5.0)
    scenario = flat(late, 12.0, 1, first=2)
    draws = fit(late).predict(late.future(1), scenario=scenario, n_draws=2000, rng=np.random.default_rng(2)).values
    assert np.median(draws) == pytest.approx(-2 + 0.5 * 5, abs=1.0)


def test_a_late_spread_is_bridged() -> None:
    design = design_of(130)
    late = with_values(with_values(design, 129, effr_iorb=np.nan), 128, effr_iorb=np.nan)
    fitted = fit(late)
    assert len(fitted.folded.periods) == 128
    draws = fitted.predict(late.future(3), n_draws=500, rng=np.random.default_rng(3))
    assert draws.values.shape == (500, 3, 1)
    assert list(draws.periods) == list(design.future(3))


def test_without_a_scenario_the_ratio_wanders() -> None:
    design = design_of(200, noise=0.3)
    fitted = fit(design)
    given = flat(design, float(design.features["reserve_ratio"].dropna().iloc[-1]), 8)
    spreads = [
        fitted.predict(design.future(8), scenario=scenario, n_draws=3000, rng=np.random.default_rng(4))
        .values[:, -1]
        .std()
        for scenario in (None, given)
    ]
    assert spreads[0] > 1.5 * spreads[1]


def test_a_scenario_that_ends_too_early_is_refused() -> None:
    design = design_of()
    with pytest.raises(NeedsScenarioError):
        usual().fitted.predict(
            design.future(3), scenario=flat(design, 12.0, 2), n_draws=10, rng=np.random.default_rng(0)
        )


# --------------------------------------------------------------------------- what it tells


def test_a_steep_curve_is_told_from_a_flat_one() -> None:
    for slope, true in ((-0.8, -1.2), (0.0, 0.0)):
        told = fit(design_of(220, slope=slope), replace(FEW, particles=320)).ampleness()
        assert np.median(told.slope[:, -1]) == pytest.approx(true, abs=0.4)
        assert told.slope_below(-0.5) == pytest.approx(float(slope < 0), abs=0.05)


def test_it_tells_each_week_since_training_with_what_was_known_then() -> None:
    whole = design_of(126)
    short, long = fit(cut(whole, 110)).ampleness(), fit(whole).ampleness()
    assert len(long.weeks) == 126 - FEW.training
    np.testing.assert_array_equal(long.slope[:, : len(short.weeks)], short.slope)
    np.testing.assert_array_equal(long.ratio, whole.features["reserve_ratio"].loc[long.weeks])
    assert (long.draws_are, long.sign_free, dict(long.thresholds), long.curve) == ("filter", True, {}, None)
    assert 0.2 < float(np.mean(long.prior["slope"] > 0)) < 0.8


# --------------------------------------------------------------------------- what is refused


def test_bad_input_gets_a_typed_error() -> None:
    design = design_of()
    with pytest.raises(ShortHistoryError, match="complete weeks"):
        fit(cut(design, 99))
    still = replace(design, targets=design.targets * 0 - 7.0)
    with pytest.raises(ModelError, match="no slope can be estimated"):
        fit(still)
    with pytest.raises(UnitError, match="give it in bp"):
        fit(replace(design, units={**design.units, "effr_iorb": UNITS["percent"]}))
    fraction = replace(design, features=design.features.assign(reserve_ratio=design.features["reserve_ratio"] / 100))
    with pytest.raises(UnitError, match="fraction"):
        fit(fraction)


@pytest.mark.parametrize(
    "options", [{"particles": 10}, {"sweeps": 0}, {"training": 5}, {"training": 100}, {"weeks_after": -1}, {"draws": 1}]
)
def test_options_that_make_no_sense_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(options))} = "):
        OnlineRegression(**options)


def test_a_spread_that_stands_still_and_jumps_gives_numbers() -> None:
    design = design_of(180)
    targets = design.targets.copy()
    targets.iloc[70:150] = -7.0
    design = replace(design, targets=targets)
    fitted = fit(design)
    assert np.isfinite(fitted.log_density().to_numpy()[FEW.training + 1 :]).all()
    assert np.isfinite(fitted.ampleness().slope).all()
