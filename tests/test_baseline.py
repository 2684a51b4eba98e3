from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd
import pytest

from forecast.errors import ModelError, ShortHistoryError
from forecast.features.feature_set import Design
from forecast.units import UNITS
from models.baseline import (
    Climatology,
    Drift,
    RandomWalk,
    SeasonalNaive,
    calendar_bucket,
    mean_change,
    past_changes,
    past_seasonal_differences,
    seasonal_lags,
)

type Spec = RandomWalk | Drift | SeasonalNaive | Climatology
BASELINES: tuple[Spec, ...] = (RandomWalk(), Drift(), SeasonalNaive(), Climatology())


def design_of(values: np.ndarray, first: str = "2014-01-01") -> Design:
    values = np.asarray(values, dtype=float).reshape(len(values), -1)
    index = pd.date_range(first, periods=len(values), freq="7D", unit="us")
    names = [f"y{k}" for k in range(values.shape[1])]
    return Design(
        pd.DataFrame(values, index, names), pd.DataFrame(index=index), dict.fromkeys(names, UNITS["bp"]), frozenset()
    )


def draw(model: Spec, design: Design, weeks: int, n: int = 4000, seed: int = 0) -> np.ndarray:
    fitted = model.fit(design, rng=np.random.default_rng(0))
    return fitted.predict(design.future(weeks), n_draws=n, rng=np.random.default_rng(seed)).values


def walk(T: int = 200, K: int = 1, seed: int = 0) -> np.ndarray:
    return 100 + np.cumsum(np.random.default_rng(seed).normal(size=(T, K)), axis=0)


def shares(values: np.ndarray, atoms: Iterable[float]) -> np.ndarray:
    return np.array([np.isclose(values, atom, rtol=0, atol=1e-9).mean() for atom in atoms])


def test_the_random_walk_draws_the_empirical_changes_of_each_horizon() -> None:
    y = walk()[:, 0]
    draws = draw(RandomWalk(), design_of(y), 4, n=40_000)[:, :, 0]
    for h in (1, 2, 4):
        atoms = y[-1] + y[h : len(y) - 4 + h] - y[: len(y) - 4]
        found = shares(draws[:, h - 1], atoms)
        assert found.sum() == pytest.approx(1.0)
        np.testing.assert_allclose(found, 1 / len(atoms), atol=5 * np.sqrt(1 / len(atoms) / 40_000))


def test_a_target_two_weeks_late_walks_two_weeks_further() -> None:
    y = walk(seed=1)
    late = y.copy()
    late[-2:] = np.nan
    draws = draw(RandomWalk(), design_of(late), 3)[:, :, 0]
    atoms = y[-3] + y[2 + 3 : -2, 0] - y[: -2 - 3 - 2, 0]
    assert shares(draws[:, 2], atoms).sum() == pytest.approx(1.0)


def test_the_steps_of_a_trend_count_the_weeks_of_delay() -> None:
    trend = np.arange(150.0)
    trend[-3:] = np.nan
    design = design_of(trend)
    expected = np.arange(150.0, 155.0)
    for model in (RandomWalk(), Drift(), SeasonalNaive()):
        np.testing.assert_allclose(draw(model, design, 5, n=10)[:, :, 0], np.tile(expected, (10, 1)))


def test_each_draw_is_one_window_for_all_targets() -> None:
    x = walk(seed=2)
    design = design_of(np.column_stack([x, 3 * x]))
    for model in (RandomWalk(), SeasonalNaive()):
        draws = draw(model, design, 6)
        np.testing.assert_allclose(draws[:, :, 1], 3 * draws[:, :, 0])


@pytest.mark.parametrize("model", BASELINES, ids=lambda model: model.name)
def test_a_short_target_leaves_the_draws_of_the_long_one(model: Spec) -> None:
    y = walk(K=2, seed=3)
    y[:100, 1] = np.nan
    np.testing.assert_array_equal(draw(model, design_of(y), 5)[:, :, 0], draw(model, design_of(y[:, :1]), 5)[:, :, 0])


@pytest.mark.parametrize("model", BASELINES, ids=lambda model: model.name)
def test_draws_follow_units_and_levels(model: Spec) -> None:
    y = walk(K=2, seed=4)
    y[:50, 1], y[-2:, 0] = np.nan, np.nan
    draws = draw(model, design_of(y), 8)
    np.testing.assert_allclose(draw(model, design_of(1000 * y), 8), 1000 * draws, rtol=1e-9)
    np.testing.assert_allclose(draw(model, design_of(y + 500), 8), draws + 500, rtol=1e-9)


@pytest.mark.parametrize("model", BASELINES, ids=lambda model: model.name)
def test_a_series_that_never_moved_stays(model: Spec) -> None:
    np.testing.assert_allclose(draw(model, design_of(np.full(150, 7.0)), 10, n=50), 7.0)


@pytest.mark.parametrize("model", BASELINES, ids=lambda model: model.name)
def test_a_design_cut_earlier_is_the_forecast_made_then(model: Spec) -> None:
    y = walk(T=220, K=2, seed=5)
    poisoned = y.copy()
    poisoned[180:] = 1e9
    early, again = design_of(y[:180]), design_of(poisoned[:180])
    np.testing.assert_array_equal(draw(model, early, 8), draw(model, again, 8))


def test_drift_continues_the_last_year_and_keeps_the_spread_of_the_random_walk() -> None:
    rng = np.random.default_rng(6)
    slopes = np.r_[np.full(200, 1.0), np.full(60, -2.0)]
    y = np.cumsum(slopes + rng.normal(0, 0.5, 260))
    design = design_of(y)
    drift, plain = draw(Drift(), design, 10)[:, :, 0], draw(RandomWalk(), design, 10)[:, :, 0]
    pace = (y[-1] - y[-53]) / 52
    error = 4 * drift.std(axis=0) / np.sqrt(len(drift))
    assert (np.abs(drift.mean(axis=0) - (y[-1] + pace * np.arange(1, 11))) < error).all()
    np.testing.assert_allclose(drift.std(axis=0), plain.std(axis=0))


def test_drift_uses_what_history_there_is() -> None:
    y = np.arange(30.0)[:, None] ** 2
    assert mean_change(y, 52) == pytest.approx((29**2 - 0) / 29)
    assert mean_change(y, 10) == pytest.approx((29**2 - 19**2) / 10)
    y[-1] = np.nan
    assert mean_change(y, 10) == pytest.approx((28**2 - 18**2) / 10)


def test_a_drift_over_no_week_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        Drift(weeks=0)


def test_a_pure_season_is_forecast_without_error() -> None:
    season = np.tile(np.random.default_rng(7).normal(size=52), 5)
    draws = draw(SeasonalNaive(), design_of(season), 26, n=20)
    np.testing.assert_allclose(draws[:, :, 0], np.tile(season[:26], (20, 1)), atol=1e-12)


def test_seasonal_naive_draws_the_empirical_yearly_differences() -> None:
    y = walk(T=160, seed=8)[:, 0]
    draws = draw(SeasonalNaive(), design_of(y), 3)[:, :, 0]
    origins = np.arange(51, 157)
    for h in (1, 3):
        atoms = y[160 - 1 + h - 52] + y[origins + h] - y[origins + h - 52]
        assert shares(draws[:, h - 1], np.unique(atoms)).sum() == pytest.approx(1.0)


def test_a_year_ago_must_have_been_published() -> None:
    lags = seasonal_lags(np.array([0, 2]), 53)
    assert lags[50:, 0].tolist() == [52, 52, 104]
    assert lags[48:52, 1].tolist() == [52, 52, 104, 104]


def test_windows_are_missing_where_either_end_is() -> None:
    y = np.arange(10.0)[:, None]
    y[4] = np.nan
    changes = past_changes(y, np.array([1]), 2)
    np.testing.assert_array_equal(
        np.isnan(changes).any(axis=(1, 2)), [True, False, True, True, False, True, False, False]
    )
    assert changes[1, :, 0].tolist() == [2.0, 3.0]
    assert past_seasonal_differences(np.arange(60.0)[:, None], np.full((2, 1), 52)).shape == (58, 2, 1)


def test_kinds_of_weeks_are_those_of_the_calendar() -> None:
    weeks = pd.DatetimeIndex(["2024-03-27", "2024-04-03", "2024-05-01", "2024-04-17", "2024-04-10", "2024-01-03"])
    assert calendar_bucket(weeks).tolist() == [0, 3, 2, 1, 0, 3]


def test_climatology_draws_each_kind_of_week_uniformly_from_its_past() -> None:
    rng = np.random.default_rng(9)
    index = pd.date_range("2014-01-01", periods=300, freq="7D", unit="us")
    kinds = calendar_bucket(index)
    y = 100.0 * kinds + rng.normal(size=300)
    design = design_of(y)
    draws = draw(Climatology(), design, 26, n=20_000)[:, :, 0]
    ahead = calendar_bucket(design.future(26))
    assert set(ahead) == {0, 1, 2, 3}
    for h, kind in enumerate(ahead):
        past = y[kinds == kind]
        assert shares(draws[:, h], past) == pytest.approx(1 / len(past), abs=5 * np.sqrt(1 / len(past) / 20_000))


def test_climatology_paths_are_as_persistent_as_history_and_move_together() -> None:
    x = walk(T=400, seed=10)
    draws = draw(Climatology(), design_of(np.column_stack([x, -x])), 26)
    np.testing.assert_array_equal(draws[:, :, 1], -draws[:, :, 0])
    assert np.corrcoef(draws[:, 0, 0], draws[:, 4, 0])[0, 1] > 0.8


def test_a_kind_of_week_hardly_seen_is_not_told_apart() -> None:
    y = np.arange(40.0)
    design = design_of(y, first="2014-01-08")
    ahead = calendar_bucket(design.future(13))
    draws = draw(Climatology(), design, 13, n=3000)[:, int(np.flatnonzero(ahead == 3)[0]), 0]
    assert set(draws) == set(y)


@pytest.mark.parametrize(("model", "least"), list(zip(BASELINES, (22, 22, 72, 20), strict=True)), ids=str)
def test_a_short_history_is_refused_by_name(model: Spec, least: int) -> None:
    model.fit(design_of(walk(T=least)), rng=np.random.default_rng(0))
    with pytest.raises(ShortHistoryError, match=f"'y0' has {least - 1} weekly values, fewer than the {least} needed"):
        model.fit(design_of(walk(T=least - 1)), rng=np.random.default_rng(0))


def test_too_few_windows_of_the_length_asked_for_are_refused() -> None:
    design = design_of(walk(T=45))
    assert draw(RandomWalk(), design, 25).shape == (4000, 25, 1)
    with pytest.raises(ShortHistoryError, match="19 past windows of 26 weeks"):
        draw(RandomWalk(), design, 26)
    with pytest.raises(ShortHistoryError, match="hold no window of 50 weeks"):
        draw(RandomWalk(), design, 50)


def test_a_target_without_any_value_is_refused() -> None:
    y = walk(K=2)
    y[:, 1] = np.nan
    with pytest.raises(ShortHistoryError, match="'y1' has no value"):
        RandomWalk().fit(design_of(y), rng=np.random.default_rng(0))


def test_weeks_that_do_not_follow_history_are_refused() -> None:
    design = design_of(walk())
    fitted = RandomWalk().fit(design, rng=np.random.default_rng(0))
    for periods in (design.future(3)[1:], design.future(4)[::2], design.future(0)):
        with pytest.raises(ModelError, match="consecutive reserve weeks from 2017-11-01"):
            fitted.predict(periods, n_draws=2, rng=np.random.default_rng(0))
