"""The triangular autoregression of ratio and spread: its algebra, its conditional paths, update is refit, slopes of the truth."""

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
from forecast.errors import ModelError, NeedsScenarioError, RankDeficientError, ShortHistoryError, UnitError
from forecast.features.feature_set import Design, future_weeks
from forecast.model import Updatable, is_updatable
from forecast.scenario import Scenario
from forecast.units import UNITS
from models.reserve_demand.drifting_system import equations
from models.reserve_demand.online_var import OnlineVAR
from models.reserve_demand.particle_regression import Cloud
from models.reserve_demand.week_by_week import FittedWeekByWeek, calm_draws, settings

type Array = NDArray[np.float64]

AHEAD = 26
FEW = OnlineVAR(lags=1, effects=(), particles=160, sweeps=1, draws=100)


def design_of(weeks: int = 140, *, impact: float = -0.8, seed: int = 0) -> Design:
    """A ratio that is nearly a random walk, and a spread with persistence one half that it moves within the week."""
    rng = np.random.default_rng([1, seed])
    index = pd.date_range("2016-01-06", periods=weeks, freq="7D", unit="us")
    extended = pd.DatetimeIndex(index.append(future_weeks(index[-1], AHEAD)))
    x, spread = np.zeros(weeks), np.full(weeks, -5.0)
    for t in range(1, weeks):
        x[t] = 0.97 * x[t - 1] + 0.5 * rng.normal()
        spread[t] = -2 + 0.5 * spread[t - 1] + impact * x[t] + 0.5 * rng.normal()
    ratio = np.concatenate([12 + x, np.full(AHEAD, np.nan)])
    units = {"effr_iorb": UNITS["bp"], "reserve_ratio": UNITS["percent"]}
    frames = pd.DataFrame({"effr_iorb": spread}, index), pd.DataFrame({"reserve_ratio": ratio}, extended)
    return Design(*frames, units, frozenset())


def cut(design: Design, weeks: int) -> Design:
    return replace(design, targets=design.targets.iloc[:weeks], features=design.features.iloc[: weeks + AHEAD])


def fit(design: Design, spec: OnlineVAR = FEW, seed: int = 5) -> FittedWeekByWeek:
    return spec.fit(design, rng=np.random.default_rng(seed))


def parts(fitted: FittedWeekByWeek) -> list[bytes]:
    state, arrays = fitted.folded.state, [draws for _, draws in fitted.folded.state.slopes]
    for filtered in state.filters.values():
        cloud = filtered.cloud
        assert cloud is not None
        arrays += [filtered.log_density, filtered.past, cloud.weight, *cloud.particles]
    return [array.tobytes() for array in arrays]


def flat(design: Design, ratio: float, weeks: int) -> Scenario:
    return Scenario("flat", np.full((1, weeks, 1), ratio), design.future(weeks), ("reserve_ratio",))


@cache
def usual() -> Trial:
    return trial(FEW, design_of())


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_it_keeps_the_contract(check: Callable[[Trial], None]) -> None:
    check(usual())


def test_it_says_what_it_can_do() -> None:
    assert is_updatable(FEW)
    assert isinstance(usual().fitted, Updatable)
    assert isinstance(usual().fitted, TellsAmpleness)


@pytest.mark.parametrize("step", [1, 9])
def test_updating_is_refitting_to_the_last_bit(step: int) -> None:
    whole = design_of(118)
    fitted = fit(cut(whole, 100))
    for weeks in range(100 + step, 119, step):
        fitted = fitted.update(cut(whole, weeks))
    assert parts(fitted) == parts(fit(whole))


def test_a_hole_costs_the_weeks_that_need_it_as_a_lag() -> None:
    spec, design = replace(FEW, lags=2), design_of(120)
    targets = design.targets.copy()
    targets.iloc[[80, 81]] = np.nan
    density = fit(replace(design, targets=targets), spec).log_density()
    assert len(density) == 120
    assert list(np.flatnonzero(np.isnan(density.to_numpy()[60:])) + 60) == [80, 81, 82, 83]


def test_it_sees_the_rows_of_the_model_it_follows() -> None:
    """The same data and priors, week by week, as the Gibbs sampler of the whole sample."""
    spec, design = replace(FEW, lags=2), design_of(110)
    targets = design.targets.copy()
    targets.iloc[[80, 81]] = np.nan
    fitted = fit(replace(design, targets=targets), spec)
    found, run = equations(spec.system, fitted.sample.weekly_rows()[1]), settings(spec)
    assert list(found) == list(run) == list(fitted.folded.state.filters) == ["ratio", "spread"]
    for name, filtered in fitted.folded.state.filters.items():
        sample = found[name].sample
        known = np.isfinite(filtered.y)
        np.testing.assert_array_equal(filtered.X[known], sample.X[known])
        np.testing.assert_array_equal(filtered.y[known], sample.y[known])
        # Without the spread of week t the other may still know the ratio's equation of that week: rows are whole here.
        assert set(np.flatnonzero(known)) <= set(np.flatnonzero(np.isfinite(sample.y)))
        for mine, theirs in zip(run[name].priors, found[name].priors, strict=True):
            np.testing.assert_array_equal(mine, theirs)
        assert run[name].rounding == sample.rounding


def test_calendar_effects_stand_in_both_equations() -> None:
    spec, design = replace(FEW, effects=("quarter_end_week",)), design_of(120)
    weeks = np.arange(len(design.features)) % 13 == 5
    units = {**design.units, "quarter_end_week": UNITS["indicator"] if "indicator" in UNITS else UNITS["percent"]}
    targets = design.targets + 6.0 * weeks[:120, None]
    features = design.features.assign(quarter_end_week=weeks.astype(float))
    fitted = fit(Design(targets, features, units, frozenset({"quarter_end_week"})), spec)
    medians = [
        np.median(fitted.predict(design.future(26), n_draws=2000, rng=np.random.default_rng(1)).values[:, w, 0])
        for w in np.flatnonzero(weeks[120:])[0] + np.array([-1, 0])
    ]
    assert medians[1] - medians[0] == pytest.approx(6.0, abs=1.5)


# --------------------------------------------------------------------------- forecasts


def test_draws_that_explode_are_left_out_where_there_are_others() -> None:
    def cloud(mean: Array) -> Cloud:
        from models.kernels.particle_filter import Particles

        N, k = mean.shape
        nothing = np.zeros((N, k))
        particles = Particles(
            nothing, np.tile([0.0, 0.9, 0.1], (N, 1)), np.zeros(N), mean, np.tile(1e-12 * np.eye(k), (N, 1, 1))
        )
        return Cloud(np.full(N, 1 / N), particles, np.arange(N, dtype=np.int32))

    own = np.tile([0.5, 1.2], 50)
    ratio = np.column_stack([np.zeros(100), own, np.zeros(100)])
    spread = np.tile([0.0, -1.0, 0.0, 0.5], (100, 1))

    def kept(n: int) -> list[Array]:
        clouds = {"ratio": cloud(ratio), "spread": cloud(spread)}
        return [each[0] for each in calm_draws(clouds, FEW.system, n, np.random.default_rng(3)).values()]

    b, c = kept(200)
    assert (len(b), len(c)) == (200, 200)
    np.testing.assert_allclose(b[:, 1], 0.5, atol=1e-4)
    ratio[:, 1] = 1.2
    np.testing.assert_allclose(kept(50)[0][:, 1], 1.2, atol=1e-4)


def test_a_scenario_moves_the_spread_by_about_the_slope() -> None:
    design = design_of(220)
    fitted = fit(design)
    now = float(design.features["reserve_ratio"].dropna().iloc[-1])
    medians = [
        np.median(
            fitted.predict(
                design.future(2), scenario=flat(design, now + up, 2), n_draws=4000, rng=np.random.default_rng(1)
            ).values[:, 1, 0]
        )
        for up in (0.0, 1.0)
    ]
    assert medians[1] - medians[0] == pytest.approx(-1.2, abs=0.4)


def test_late_series_are_bridged() -> None:
    design = design_of(130)
    targets, features = design.targets.copy(), design.features.copy()
    targets.iloc[128:130] = np.nan
    features.iloc[128:130] = np.nan
    for changed in (replace(design, targets=targets), replace(design, features=features)):
        draws = fit(changed).predict(changed.future(3), n_draws=100, rng=np.random.default_rng(3))
        assert draws.values.shape == (100, 3, 1)
        assert list(draws.periods) == list(design.future(3))


def test_a_scenario_that_ends_too_early_is_refused() -> None:
    design = design_of()
    with pytest.raises(NeedsScenarioError):
        usual().fitted.predict(
            design.future(3), scenario=flat(design, 12.0, 2), n_draws=10, rng=np.random.default_rng(0)
        )


# --------------------------------------------------------------------------- what it tells, and refuses


@pytest.mark.parametrize(("impact", "true"), [(-0.8, -0.8 * (0.97 + 0.5) / 0.97), (0.0, 0.0)])
def test_a_steep_curve_is_told_from_a_flat_one(impact: float, true: float) -> None:
    told = fit(design_of(260, impact=impact), replace(FEW, particles=320)).ampleness()
    assert np.median(told.slope[:, -1]) == pytest.approx(true, abs=0.35)
    assert (told.draws_are, told.sign_free, dict(told.thresholds)) == ("filter", True, {})
    assert 0.2 < float(np.mean(told.prior["slope"] > 0)) < 0.8
    assert len(told.weeks) == 260 - FEW.training


def test_bad_input_gets_a_typed_error() -> None:
    design = design_of()
    with pytest.raises(ShortHistoryError, match="complete weeks"):
        fit(cut(design, 99))
    with pytest.raises(ModelError, match="no slope can be estimated"):
        fit(replace(design, targets=design.targets * 0 - 7.0))
    with pytest.raises(RankDeficientError, match="in every week"):
        fit(replace(design, features=design.features * 0 + 12.0))
    with pytest.raises(UnitError, match="give it in percent"):
        fit(replace(design, units={**design.units, "reserve_ratio": UNITS["usd_bn"]}))


@pytest.mark.parametrize(
    "options", [{"lags": 0}, {"particles": 10}, {"sweeps": 0}, {"training": 100}, {"weeks_after": -1}, {"draws": 1}]
)
def test_options_that_make_no_sense_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(options))} = "):
        OnlineVAR(**options)
