from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import pytest

from forecast.errors import ModelError, ShortHistoryError
from forecast.features.feature_set import Design, future_weeks
from forecast.units import UNITS
from models.direct_regression import (
    REGRESSORS,
    DirectRegression,
    between_steps,
    blocks,
    cross_fit,
    features_as_published,
    ols,
    ridge,
    seeded,
    standardise,
    target_as_published,
)

AHEAD = 26
SHORT = (1, 2, 4)


def design_of(
    values: np.ndarray, features: dict[str, np.ndarray] | None = None, calendar: tuple[str, ...] = ()
) -> Design:
    values = np.asarray(values, dtype=float).reshape(len(values), -1)
    index = pd.date_range("2010-01-06", periods=len(values), freq="7D", unit="us")
    extended = pd.DatetimeIndex(index.append(future_weeks(index[-1], AHEAD)))
    columns = {
        name: np.concatenate([column, np.full(len(extended) - len(column), np.nan)])
        for name, column in (features or {}).items()
    }
    names = [f"y{k}" for k in range(values.shape[1])]
    units = dict.fromkeys(names, UNITS["bp"]) | dict.fromkeys(columns, UNITS["percent"])
    return Design(pd.DataFrame(values, index, names), pd.DataFrame(columns, extended), units, frozenset(calendar))


def draw(model: DirectRegression, design: Design, weeks: int, n: int = 2000, fit_seed: int = 0) -> np.ndarray:
    fitted = model.fit(design, rng=np.random.default_rng(fit_seed))
    values: np.ndarray = fitted.predict(design.future(weeks), n_draws=n, rng=np.random.default_rng(1)).values
    return values


def ar1(T: int, phi: float, seed: int = 0, mean: float = 10.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    y = np.empty(T)
    y[0] = rng.normal() / np.sqrt(1 - phi**2)
    for t in range(1, T):
        y[t] = phi * y[t - 1] + rng.normal()
    return mean + y


# --------------------------------------------------------------------------- what was published


def test_features_are_delayed_as_they_are_today_and_the_calendar_is_not() -> None:
    late = np.arange(10.0)
    late[-2:] = np.nan
    design = design_of(np.arange(10.0), {"late": late, "now": 100 + np.arange(10.0), "c": np.arange(36.0)}, ("c",))
    published, calendar = features_as_published(design, ("late", "c", "now"))
    np.testing.assert_array_equal(published[2:, 0], np.arange(8.0))
    assert np.isnan(published[:2, 0]).all()
    np.testing.assert_array_equal(published[:, 1], 100 + np.arange(10.0))
    np.testing.assert_array_equal(calendar[:, 0], np.arange(36.0))


def test_a_row_holds_the_target_as_it_was_published_then() -> None:
    y = np.arange(12.0) ** 2
    y[-2:] = np.nan
    last, columns = target_as_published(y, 2, 3)
    np.testing.assert_array_equal(last[2:], np.arange(10.0) ** 2)
    np.testing.assert_array_equal(columns[-1], [81, 81 - 64, 64 - 49])
    assert target_as_published(y, 2, 0)[1].shape == (12, 0)


def test_poison_published_after_the_origin_changes_nothing() -> None:
    rng = np.random.default_rng(1)
    y, x = ar1(300, 0.9), rng.normal(size=300)
    model = DirectRegression(features=("x", "quarter_end_week"), steps=SHORT)
    c = (np.arange(250 + AHEAD) % 13 == 0).astype(float)
    clean = design_of(y[:250], {"x": x[:250], "quarter_end_week": c}, ("quarter_end_week",))
    y[250:], x[250:] = 1e9, 1e9
    again = design_of(y[:250], {"x": x[:250], "quarter_end_week": c}, ("quarter_end_week",))
    np.testing.assert_array_equal(draw(model, clean, 4), draw(model, again, 4))


def test_training_rows_never_use_what_was_not_yet_published_at_theirs() -> None:
    """A late feature that gives the answer away two weeks too early: only a look ahead could use it."""
    rng = np.random.default_rng(2)
    y = np.cumsum(rng.normal(size=400))
    leak = np.empty(400)
    leak[1:] = np.diff(y)  # known in week t, it is the change of week t
    leak[0] = 0.0
    leak[-2:] = np.nan
    late = y.copy()
    late[-2:] = np.nan
    design = design_of(late, {"leak": leak})
    model = DirectRegression("ols", ("leak",), lags=1, steps=(1,))
    fitted = model.fit(design, rng=rng)
    # Two weeks are bridged and one is ahead: three changes nobody can know.
    assert np.nanstd(fitted.errors) == pytest.approx(np.sqrt(3), rel=0.15)


def test_a_feature_that_leads_is_used() -> None:
    rng = np.random.default_rng(3)
    x = rng.normal(size=400)
    y = np.cumsum(np.r_[0, 2 * x[:-1]] + 0.1 * rng.normal(size=400))
    fitted = DirectRegression("ols", ("x",), steps=(1,)).fit(design_of(y, {"x": x}), rng=rng)
    assert fitted.predictions[0, 0] - y[-1] == pytest.approx(2 * x[-1], abs=0.05)
    assert np.nanstd(fitted.errors) == pytest.approx(0.1, rel=0.15)


def test_calendar_effects_are_those_of_the_week_forecast() -> None:
    rng = np.random.default_rng(4)
    c = (np.arange(400 + AHEAD) % 13 == 7).astype(float)
    y = 5 * c[:400] + 0.1 * rng.normal(size=400)
    design = design_of(y, {"quarter_end_week": c}, ("quarter_end_week",))
    model = DirectRegression("ols", ("quarter_end_week",), lags=0, difference=False, steps=tuple(range(1, 14)))
    draws = draw(model, design, 13)[:, :, 0]
    np.testing.assert_allclose(draws.mean(axis=0), 5 * c[400:413], atol=0.05)


# --------------------------------------------------------------------------- regressions


def test_ridge_is_that_of_scikit_learn() -> None:
    from sklearn.linear_model import Ridge

    rng = np.random.default_rng(5)
    X, y, new = rng.normal(size=(80, 4)), rng.normal(size=80), rng.normal(size=(7, 4))
    other = Ridge(alpha=0.3 * 80).fit(X, y).predict(new)
    np.testing.assert_allclose(ridge(X, y, new, penalty=0.3), other, rtol=1e-10)


def test_ordinary_least_squares_is_that_of_scikit_learn() -> None:
    from sklearn.linear_model import LinearRegression

    rng = np.random.default_rng(6)
    X, y, new = rng.normal(size=(80, 4)), rng.normal(size=80), rng.normal(size=(7, 4))
    np.testing.assert_allclose(ols(X, y, new), LinearRegression().fit(X, y).predict(new), rtol=1e-9)
    repeated = np.column_stack([X, X[:, 0]])
    np.testing.assert_allclose(ols(repeated, y, np.column_stack([new, new[:, 0]])), ols(X, y, new), rtol=1e-9)


def test_without_a_penalty_ridge_is_least_squares() -> None:
    design = design_of(ar1(200, 0.9))
    plain, none = DirectRegression("ols", steps=SHORT), DirectRegression("ridge", steps=SHORT, penalty=0.0)
    np.testing.assert_array_equal(draw(plain, design, 4), draw(none, design, 4))


def test_a_scikit_learn_pipeline_gives_the_same_ridge() -> None:
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    y = ar1(150, 0.5, seed=7)
    pipeline = DirectRegression(make_pipeline(StandardScaler(), Ridge(alpha=1e-9)), steps=SHORT)
    np.testing.assert_allclose(
        draw(pipeline, design_of(y), 4), draw(DirectRegression("ols", steps=SHORT), design_of(y), 4), rtol=1e-6
    )


@pytest.mark.parametrize("regressor", REGRESSORS)
def test_every_named_regressor_finds_a_strong_signal(regressor: str) -> None:
    rng = np.random.default_rng(8)
    x = rng.normal(size=220)
    y = np.cumsum(np.r_[0, x[:-1]] + 0.1 * rng.normal(size=220))
    fitted = DirectRegression(regressor, ("x",), lags=1, steps=(1,)).fit(design_of(y, {"x": x}), rng=rng)
    assert np.nanstd(fitted.errors) < 0.6 * np.std(np.diff(y))


def test_trees_repeat_with_the_generator_of_the_cell() -> None:
    design = design_of(ar1(150, 0.8))
    model = DirectRegression("random_forest", steps=(1,))
    np.testing.assert_array_equal(draw(model, design, 1), draw(model, design, 1))
    assert not np.array_equal(draw(model, design, 1), draw(model, design, 1, fit_seed=1))


def test_every_unset_random_state_is_set_and_others_are_left() -> None:
    from sklearn.ensemble import RandomForestRegressor
    from sklearn.pipeline import make_pipeline

    mine = make_pipeline(RandomForestRegressor(), RandomForestRegressor(random_state=3))
    parameters = seeded(mine, np.random.default_rng(0)).get_params()
    assert isinstance(parameters["randomforestregressor-1__random_state"], int)
    assert parameters["randomforestregressor-2__random_state"] == 3
    assert mine.get_params()["randomforestregressor-1__random_state"] is None


def test_a_regressor_that_does_not_converge_is_an_error_and_no_warning() -> None:
    from sklearn.linear_model import Lasso

    model = DirectRegression(Lasso(alpha=1e-6, max_iter=1), steps=(1,))
    with pytest.raises(ModelError, match="did not converge"):
        model.fit(design_of(ar1(200, 0.95)), rng=np.random.default_rng(0))


# --------------------------------------------------------------------------- errors out of sample


def test_no_block_is_predicted_by_rows_whose_outcomes_overlap_its_own() -> None:
    embargo = 7
    pairs = blocks(103, embargo, least=1)
    np.testing.assert_array_equal(np.concatenate([inside for inside, _ in pairs]), np.arange(103))
    for inside, outside in pairs:
        assert np.abs(inside[:, None] - outside).min() >= embargo
        assert len(outside) >= 103 - len(inside) - 2 * embargo - 1


def test_blocks_that_too_few_rows_can_predict_are_left_out() -> None:
    assert [inside[0] for inside, _ in blocks(100, 30, least=40)] == [0, 80]
    assert blocks(20, 30, least=1) == []


def test_errors_are_those_of_fits_without_the_block() -> None:
    rng = np.random.default_rng(9)
    X, y = rng.normal(size=(101, 2)), rng.normal(size=101)
    y[-1] = np.nan
    prediction, errors = cross_fit(X, y, ols, embargo=3)
    assert prediction == pytest.approx(ols(X[:-1], y[:-1], X[-1:])[0])
    outside = np.r_[0:17, 43:100]
    np.testing.assert_allclose(errors[20:40], y[20:40] - ols(X[outside], y[outside], X[20:40]))
    assert np.isnan(errors[100])


def test_errors_of_a_regression_on_noise_are_not_flattered() -> None:
    rng = np.random.default_rng(10)
    X, y = rng.normal(size=(121, 30)), rng.normal(size=121)
    _, errors = cross_fit(X, y, partial(ridge, penalty=0.01), embargo=1)
    inside = y - ridge(X, y, X, penalty=0.01)
    assert np.nanstd(errors) > 1.0 > inside.std()


def test_ninety_percent_intervals_hold_ninety_percent_of_outcomes() -> None:
    model, hits = DirectRegression(lags=1, steps=SHORT), []
    for seed in range(200):
        y = ar1(264, 0.8, seed=100 + seed)
        low, high = np.quantile(draw(model, design_of(y[:260]), 4, n=500)[:, [0, 3], 0], [0.05, 0.95], axis=0)
        hits.append((low < y[[260, 263]]) & (y[[260, 263]] < high))
    coverage = np.mean(hits, axis=0)
    assert (np.abs(coverage - 0.9) < 3.5 * np.sqrt(0.09 / 200)).all()


def test_the_point_forecast_of_an_autoregression_is_found_directly() -> None:
    y = ar1(4000, 0.8, seed=11)
    fitted = DirectRegression("ols", lags=1, steps=SHORT).fit(design_of(y), rng=np.random.default_rng(0))
    expected = 10 + 0.8 ** np.array(SHORT) * (y[-1] - 10)
    np.testing.assert_allclose(fitted.predictions[:, 0], expected, atol=0.2)
    variance = np.array([1, 1 + 0.64, 1 + 0.64 + 0.64**2 + 0.64**3])
    np.testing.assert_allclose(np.nanvar(fitted.errors[:, :, 0], axis=0), variance, rtol=0.1)


# --------------------------------------------------------------------------- paths


def test_rows_of_errors_are_drawn_whole_over_weeks_and_targets() -> None:
    y = np.column_stack([ar1(300, 0.9, seed=12), ar1(300, 0.5, seed=13)])
    design = design_of(y)
    model = DirectRegression(steps=(1, 2, 3))
    fitted = model.fit(design, rng=np.random.default_rng(0))
    draws = fitted.predict(design.future(3), n_draws=50, rng=np.random.default_rng(1)).values
    rows = (fitted.predictions + fitted.errors).reshape(300, -1)
    assert all(np.isclose(rows, path.ravel(), rtol=1e-12).all(axis=1).any() for path in draws)


def test_weeks_between_steps_lie_on_a_line() -> None:
    np.testing.assert_allclose(between_steps((1, 4), 3), [[1, 0], [2 / 3, 1 / 3], [1 / 3, 2 / 3]])
    np.testing.assert_array_equal(between_steps((1, 2, 3), 3), np.eye(3))
    draws = draw(DirectRegression(steps=(1, 3)), design_of(ar1(200, 0.9)), 3)[:, :, 0]
    np.testing.assert_allclose(draws[:, 1], (draws[:, 0] + draws[:, 2]) / 2)


def test_steps_that_are_fitted_do_not_depend_on_the_others() -> None:
    design = design_of(ar1(250, 0.9))
    few = DirectRegression(steps=(1, 13)).fit(design, rng=np.random.default_rng(0))
    every = DirectRegression(steps=tuple(range(1, 14))).fit(design, rng=np.random.default_rng(0))
    np.testing.assert_array_equal(few.predictions[1], every.predictions[12])
    np.testing.assert_array_equal(few.errors[:, 1], every.errors[:, 12])


def test_a_short_target_leaves_the_draws_of_the_long_one() -> None:
    y = np.column_stack([ar1(300, 0.9, seed=14), ar1(300, 0.5, seed=15)])
    y[:180, 1] = np.nan
    model = DirectRegression(steps=SHORT)
    np.testing.assert_array_equal(draw(model, design_of(y), 4)[:, :, 0], draw(model, design_of(y[:, 0]), 4)[:, :, 0])


@pytest.mark.parametrize("regressor", ["ridge", "ols", "lasso"])
def test_draws_follow_units_and_levels(regressor: str) -> None:
    y = np.column_stack([ar1(250, 0.9, seed=16), ar1(250, 0.5, seed=17)])
    y[-2:, 0], y[:60, 1] = np.nan, np.nan
    x = np.random.default_rng(18).normal(size=250)
    model = DirectRegression(regressor, ("x",), steps=SHORT)
    draws = draw(model, design_of(y, {"x": x}), 4)
    np.testing.assert_allclose(draw(model, design_of(1000 * y, {"x": x}), 4), 1000 * draws, rtol=1e-6)
    np.testing.assert_allclose(draw(model, design_of(y + 500, {"x": 1000 * x}), 4), draws + 500, rtol=1e-6)


def test_a_trend_is_followed_with_its_delay() -> None:
    y = np.arange(200.0)
    y[-2:] = np.nan
    draws = draw(DirectRegression("ols", steps=SHORT), design_of(y), 4, n=10)
    np.testing.assert_allclose(draws[:, :, 0], np.tile([200, 201, 202, 203], (10, 1)), atol=1e-6)


@pytest.mark.parametrize("difference", [True, False])
def test_a_series_that_never_moved_stays(difference: bool) -> None:
    model = DirectRegression(steps=SHORT, difference=difference)
    np.testing.assert_allclose(draw(model, design_of(np.full(150, 0.07)), 4, n=20), 0.07, rtol=1e-12)


def test_columns_that_stand_still_become_zero_and_not_noise() -> None:
    X = np.column_stack([np.full(50, 0.1), np.arange(50.0)])
    Z, now = standardise(X, np.array([0.3, 24.5]))
    np.testing.assert_array_equal(Z[:, 0], 0.0)
    np.testing.assert_allclose(now, [0, 0], atol=1e-12)
    np.testing.assert_allclose([Z[:, 1].mean(), Z[:, 1].std()], [0, 1], atol=1e-12)


# --------------------------------------------------------------------------- refusals


def test_more_weeks_than_were_fitted_are_refused() -> None:
    with pytest.raises(ModelError, match="5 weeks asked for, 4 fitted"):
        draw(DirectRegression(steps=SHORT), design_of(ar1(200, 0.5)), 5)


def test_steps_beyond_the_known_calendar_are_not_fitted() -> None:
    c = np.zeros(200 + 3)
    c[::13] = 1.0
    design = design_of(ar1(200, 0.5), {"tax_week": c}, ("tax_week",))
    model = DirectRegression(features=("tax_week",), steps=SHORT)
    assert model.fit(design, rng=np.random.default_rng(0)).steps == (1, 2)
    with pytest.raises(ModelError, match="further ahead so that calendar effects are known for 3 weeks"):
        draw(model, design, 3)


def test_steps_past_the_last_row_of_the_design_are_not_fitted() -> None:
    design = design_of(ar1(200, 0.5), {"tax_week": np.tile([0.0, 0.0, 0.0, 1.0], 55)}, ("tax_week",))
    short = replace(design, features=design.features.iloc[: 200 + 13])
    model = DirectRegression(features=("tax_week",))
    assert model.fit(short, rng=np.random.default_rng(0)).steps == tuple(range(1, 14))


def test_a_short_history_is_refused_with_target_and_step() -> None:
    with pytest.raises(ShortHistoryError, match="'y0', 26 weeks ahead: 41 complete rows leave 0 errors"):
        DirectRegression(steps=(1, 26)).fit(design_of(ar1(70, 0.5)), rng=np.random.default_rng(0))


def test_two_years_are_enough_for_half_a_year_ahead() -> None:
    assert draw(DirectRegression(), design_of(ar1(104, 0.5)), 26, n=5).shape == (5, 26, 1)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"regressor": "deep_thought"}, "use one of ridge, ols"),
        ({"steps": (2, 4)}, "begin with 1"),
        ({"steps": (1, 4, 4)}, "begin with 1"),
        ({"steps": ()}, "begin with 1"),
        ({"lags": 0}, "there must be features"),
        ({"penalty": -1.0}, "must not be negative"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        DirectRegression(**options)
