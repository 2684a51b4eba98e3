"""Impulse responses against simulated truth, against one regression a horizon, and against the future."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

import forecast.features  # noqa: F401  registers the features
from forecast.answers.impulse_response import ImpulseResponse, ResponseQuestion
from forecast.data.catalog import catalog
from forecast.data.vintages import Panel, Vintages, VintageTable
from forecast.errors import (
    MissingSeriesError,
    RankDeficientError,
    ShortHistoryError,
    UnknownNameError,
    UsageError,
)
from forecast.registry import analysis
from models.yields.local_projection import (
    in_features,
    lag_augmented,
    lead_matrix,
    local_projection,
    projections,
)

QUESTION = ResponseQuestion("reserve_ratio", "treasury_10y", horizon=13, lags=2)
BANK_ASSETS = 20_000.0  # usd_bn, so that a percentage point is USD 200 bn
START = "2008-01-02"


def simulate(A: np.ndarray, impact: float, *, weeks: int, paths: int, seed: int) -> np.ndarray:
    """(paths, weeks, 2): x and y of a first-order vector autoregression, x first, noise of changing variance."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(size=(weeks + 200, paths, 2)) * (1 + 0.5 * np.sin(np.arange(weeks + 200) / 20))[:, None, None]
    noise[..., 1] += impact * noise[..., 0]
    state = np.zeros((weeks + 200, paths, 2))
    for t in range(1, weeks + 200):
        state[t] = state[t - 1] @ A.T + noise[t]
    return state[200:].swapaxes(0, 1)


def truth(A: np.ndarray, impact: float, horizon: int) -> np.ndarray:
    """(H+1,) response of y to a unit of x's innovation."""
    return np.array([(np.linalg.matrix_power(A, h) @ [1, impact])[1] for h in range(horizon + 1)])


def project(path: np.ndarray, *, lags: int, horizon: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    regressors, names = lag_augmented(pd.DataFrame(path, columns=["x", "y"]), lags)
    return projections(regressors, lead_matrix(path[:, 1], horizon), names)


def coverage(paths: np.ndarray, response: np.ndarray, level: float) -> np.ndarray:
    """(H+1,) share of paths whose band holds the true response."""
    answers = [project(path, lags=1, horizon=len(response) - 1) for path in paths]
    estimate, error = (np.array([answer[i] for answer in answers]) for i in (0, 1))
    return np.mean(np.abs(estimate - response) < norm.ppf(0.5 + level / 2) * error, axis=0)


STATIONARY = np.array([[0.5, 0.1], [0.3, 0.6]])
PERSISTENT = np.array([[0.98, 0.0], [0.0, 0.98]])


def test_a_long_sample_gives_the_true_impulse_response() -> None:
    (path,) = simulate(STATIONARY, 0.4, weeks=60_000, paths=1, seed=1)
    estimate, error, _ = project(path, lags=1, horizon=12)
    np.testing.assert_allclose(estimate, truth(STATIONARY, 0.4, 12), atol=0.04)
    assert error.max() < 0.02


@pytest.mark.parametrize(("A", "lowest"), [(STATIONARY, 0.90), (PERSISTENT, 0.86)])
def test_bands_cover_the_truth_about_as_often_as_they_say(A: np.ndarray, lowest: float) -> None:
    paths = simulate(A, 0.4, weeks=400, paths=300, seed=2)
    for level, slack in ((0.95, 0.0), (0.90, 0.06)):
        share = coverage(paths, truth(A, 0.4, 12), level)
        assert level - 0.05 < share.mean() < level + 0.03
        assert share.min() > lowest - slack - 0.025


def test_without_the_extra_lag_bands_at_a_root_near_one_are_far_too_narrow() -> None:
    weeks, h, root = 400, 12, 0.98
    paths = simulate(np.diag([root, root]), 0.0, weeks=weeks, paths=300, seed=3)[..., 0]
    hits = {"augmented": 0, "plain": 0}
    for y in paths:
        before = np.concatenate([[np.nan], y[:-1]])
        leads = lead_matrix(y, h)[:, h:]
        for kind, controls in (("augmented", [before]), ("plain", [])):
            regressors = np.column_stack([y, np.ones(weeks), *controls])
            estimate, error, _ = projections(regressors, leads, ["y", "constant", "y(t-1)"][: regressors.shape[1]])
            hits[kind] += bool(abs(estimate[0] - root**h) < 1.96 * error[0])
    assert hits["augmented"] / 300 > 0.87
    assert hits["plain"] / 300 < 0.70


@pytest.mark.parametrize("h", [0, 1, 13])
def test_every_horizon_is_one_regression_with_robust_errors(h: int) -> None:
    import statsmodels.api as sm

    (path,) = simulate(STATIONARY, 0.4, weeks=300, paths=1, seed=4)
    estimate, error, n = project(path, lags=3, horizon=13)
    regressors, _ = lag_augmented(pd.DataFrame(path, columns=["x", "y"]), 3)
    X, y = regressors[4 : 300 - h], path[4 + h :, 1]
    peer = sm.OLS(y, X).fit(method="qr", cov_type="HC1")
    assert estimate[h] == pytest.approx(peer.params[0], rel=1e-10)
    assert error[h] == pytest.approx(peer.bse[0], rel=1e-10)
    assert n[h] == len(y)


def test_weeks_with_a_gap_are_left_out_and_nothing_else() -> None:
    import statsmodels.api as sm

    (path,) = simulate(STATIONARY, 0.4, weeks=200, paths=1, seed=5)
    path[77, 1] = np.nan
    estimate, error, n = project(path, lags=1, horizon=4)
    regressors, _ = lag_augmented(pd.DataFrame(path, columns=["x", "y"]), 1)
    y = np.concatenate([path[3:, 1], np.full(3, np.nan)])
    keep = np.isfinite(regressors).all(axis=1) & np.isfinite(y)
    assert not keep[[74, 78, 79]].any()
    assert keep[[73, 75, 76, 77, 80]].all()
    peer = sm.OLS(y[keep], regressors[keep]).fit(method="qr", cov_type="HC1")
    assert (estimate[3], error[3], n[3]) == pytest.approx((peer.params[0], peer.bse[0], keep.sum()), rel=1e-10)


def test_the_change_since_last_week_has_the_same_response_as_the_level() -> None:
    (path,) = simulate(STATIONARY, 0.4, weeks=200, paths=1, seed=6)
    regressors, names = lag_augmented(pd.DataFrame(path, columns=["x", "y"]), 2)
    leads = lead_matrix(path[:, 1], 8)
    before = np.concatenate([[np.nan], path[:-1, 1]])[:, None]
    level, change = projections(regressors, leads, names), projections(regressors, leads - before, names)
    np.testing.assert_allclose(change[0], level[0], rtol=1e-9)
    np.testing.assert_allclose(change[1], level[1], rtol=1e-9)


def test_lags_and_leads_stand_where_they_should() -> None:
    sample = pd.DataFrame({"x": np.arange(6.0), "y": np.arange(10.0, 16)})
    regressors, names = lag_augmented(sample, 1)
    assert names == ["x", "constant", "x(t-1)", "y(t-1)", "x(t-2)", "y(t-2)"]
    assert list(regressors[3]) == [3, 1, 2, 12, 1, 11]
    assert np.isnan(regressors[:2]).any(axis=1).all()
    assert np.isfinite(regressors[2:]).all()
    leads = lead_matrix(sample["y"].to_numpy(), 2)
    assert list(leads[3]) == [13, 14, 15]
    assert np.isnan(leads[4, 2])
    assert leads.shape == (6, 3)


# ------------------------------------------------------------------------------------------------ on a panel


def tables(path: np.ndarray, as_of: str = "2030-01-01") -> list[VintageTable]:
    """Vintages in which reserve_ratio is x in percent of bank assets and yield_10y is y in percent."""
    weeks = pd.date_range(START, periods=len(path), freq="7D").to_numpy().astype("M8[us]")
    values = {
        "reserves_average": path[:, 0] / 100 * BANK_ASSETS,
        "bank_assets": np.full(len(path), BANK_ASSETS),
        "treasury_10y": path[:, 1],
    }
    return [VintageTable(name, pd.Timestamp(as_of), weeks, column) for name, column in values.items()]


def panel_of(path: np.ndarray, as_of: str = "2030-01-02") -> Panel:
    return Vintages.from_tables(tables(path), catalog()).as_of(as_of)


@pytest.fixture(scope="module")
def path() -> np.ndarray:
    (simulated,) = simulate(STATIONARY, 0.4, weeks=400, paths=1, seed=7)
    return simulated


def same(one: ImpulseResponse, other: ImpulseResponse) -> bool:
    return one.first == other.first and one.last == other.last and one.table().equals(other.table())


def test_the_answer_is_in_basis_points_after_one_percentage_point_of_bank_assets(path: np.ndarray) -> None:
    answer = local_projection(panel_of(path), QUESTION)
    estimate, error, n = project(path, lags=2, horizon=13)
    np.testing.assert_allclose(answer.estimate, 100 * estimate, rtol=1e-9)
    np.testing.assert_allclose(answer.standard_error, 100 * error, rtol=1e-9)
    np.testing.assert_array_equal(answer.n, n)
    assert (answer.unit.name, answer.shock_unit.name, answer.size) == ("bp", "pp", 1.0)
    assert answer.dollars == pytest.approx(BANK_ASSETS / 100)
    assert (answer.first, answer.last) == (pd.Timestamp(START), pd.Timestamp(START) + pd.Timedelta(days=7 * 399))
    assert len(answer.estimate) == 14


def test_money_moves_by_a_hundred_billion(path: np.ndarray) -> None:
    by_ratio = local_projection(panel_of(path), QUESTION)
    by_money = local_projection(panel_of(path), replace(QUESTION, shock="reserves_level"))
    assert (by_money.size, by_money.shock_unit.name, by_money.dollars) == (100.0, "usd_bn", None)
    # A percentage point is USD 200 bn here.
    np.testing.assert_allclose(by_money.estimate, by_ratio.estimate / 2, rtol=1e-7)


def test_controls_enter_with_their_past_only(path: np.ndarray) -> None:
    noise = np.random.default_rng(8).normal(size=400)
    other = VintageTable("treasury_2y", pd.Timestamp("2030-01-01"), tables(path)[0].periods, noise)
    panel = Vintages.from_tables([*tables(path), other], catalog()).as_of("2030-01-02")
    answer = local_projection(panel, replace(QUESTION, controls=("treasury_2y",)))
    regressors, names = lag_augmented(pd.DataFrame({"x": path[:, 0], "y": path[:, 1], "z": noise}), 2)
    assert [name for name in names if name.startswith("z")] == ["z(t-1)", "z(t-2)", "z(t-3)"]
    estimate, _, _ = projections(regressors, lead_matrix(path[:, 1], 13), names)
    np.testing.assert_allclose(answer.estimate, 100 * estimate, rtol=1e-9)


def test_the_future_is_invisible(path: np.ndarray) -> None:
    cut = "2014-03-06 17:00"
    last_known = int(np.searchsorted(tables(path)[0].periods, np.datetime64("2014-03-05"), side="right"))
    poisoned = path.copy()
    poisoned[last_known:] = 1e6
    before, after = (local_projection(panel_of(one, cut), QUESTION) for one in (path, poisoned))
    assert same(before, after)
    assert before.last < pd.Timestamp("2014-03-06")
    assert not same(local_projection(panel_of(path), QUESTION), local_projection(panel_of(poisoned), QUESTION))


def test_a_later_revision_of_the_past_is_invisible(path: np.ndarray) -> None:
    revised = path + np.random.default_rng(9).normal(size=path.shape)
    both = Vintages.from_tables([*tables(path, "2020-01-01"), *tables(revised, "2020-06-01")], catalog())
    question = replace(QUESTION, shock="reserve_ratio")
    first = local_projection(Vintages.from_tables(tables(path, "2020-01-01"), catalog()).as_of("2020-03-01"), question)
    assert same(local_projection(both.as_of("2020-03-01"), question), first)
    assert not same(local_projection(both.as_of("2020-07-01"), question), first)


def test_a_maturity_of_the_treasury_series_means_the_yield_feature() -> None:
    named = in_features(ResponseQuestion("treasury_2y", "treasury_10y", controls=("treasury_3m", "effr_iorb")))
    assert (named.shock, named.response, named.controls) == ("yield_2y", "yield_10y", ("yield_3m", "effr_iorb"))
    assert in_features(ResponseQuestion("reserve_ratio", "yield_10y")) == ResponseQuestion("reserve_ratio", "yield_10y")


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        ({"shock": "reserve_ration"}, UnknownNameError, "reserve_ratio"),
        ({"response": "yield_11y"}, UnknownNameError, "yield_10y"),
        ({"response": "reserve_ratio"}, UsageError, "reserve_ratio stands twice"),
        ({"controls": ("treasury_10y",)}, UsageError, "yield_10y stands twice"),
        ({"shock": "quarter_end_week"}, UsageError, "fixed by the calendar"),
        ({"response": "effr_iorb"}, MissingSeriesError, "EFFR"),
        ({"lags": 150}, ShortHistoryError, "fewer lags"),
        ({"horizon": 390}, UsageError, "reaches horizon 359"),
    ],
)
def test_impossible_questions_say_what_is_wrong(
    path: np.ndarray, change: dict[str, object], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        local_projection(panel_of(path), replace(QUESTION, **change))


def test_the_horizon_that_an_error_names_is_the_longest_that_works(path: np.ndarray) -> None:
    assert local_projection(panel_of(path), replace(QUESTION, horizon=359)).n[-1] == 8 + 30
    with pytest.raises(UsageError, match="359"):
        local_projection(panel_of(path), replace(QUESTION, horizon=360))


def test_the_error_of_a_missing_series_comes_before_its_release(path: np.ndarray) -> None:
    with pytest.raises(MissingSeriesError, match="released by 2007"):
        local_projection(panel_of(path, "2007-06-01"), QUESTION)


def test_a_shock_that_never_moves_is_named(path: np.ndarray) -> None:
    still = path.copy()
    still[:, 0] = 12.5
    with pytest.raises(RankDeficientError, match="reserve_ratio"):
        local_projection(panel_of(still), QUESTION)


def test_a_shock_that_moves_only_at_the_end_is_refused_at_long_horizons() -> None:
    x = np.zeros(120)
    x[-6:] = [1, -2, 3, -1, 2, 5]
    y = np.random.default_rng(10).normal(size=120)
    regressors, names = lag_augmented(pd.DataFrame({"x": x, "y": y}), 1)
    with pytest.raises(RankDeficientError, match=r"at horizon 4 and beyond, x and its past"):
        projections(regressors, lead_matrix(y, 8), names)


def test_it_is_registered_under_its_name() -> None:
    registered: Callable[..., object] = analysis("local_projection")
    assert registered is local_projection
