"""The log curve: statsmodels' and closed-form numbers, deposits that end, instruments that identify or do not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm

from forecast.answers.ampleness import TOLERANCES, TellsAmpleness
from forecast.checks.contract import check_contract
from forecast.errors import ModelError, NeedsScenarioError, RankDeficientError, ShortHistoryError, UnitError
from forecast.features.feature_set import FEATURES, Design, future_weeks
from forecast.scenario import Scenario
from forecast.units import UNITS
from models.reserve_demand.instrumental_variables import two_stage_least_squares
from models.reserve_demand.linear_bootstrap import BLOCK
from models.reserve_demand.log_curve import FittedLogCurve, LogCurve
from models.reserve_demand.log_curve_sample import log_regressors, spliced
from models.reserve_demand.treasury_surprise import treasury_surprise

AHEAD = 30
EFFECTS = LogCurve().effects
INSTRUMENTED = LogCurve(estimator="2sls", draws=300)
EVERYTHING = tuple(dict.fromkeys((*LogCurve().features, *INSTRUMENTED.features)))
B, C = -20.0, 30.0


def economy(
    seed: int = 0, weeks: int = 320, *, ended: int = 0, endogenous: float = 0.0, persistence: float = 0.9
) -> Design:
    """Spread = -5 + B ln(R / 2000) + C ln(D / 12000) + residual; last week's account and purchases move reserves.

    ended : weeks at the end without published deposits; the ratio is two weeks late in any case
    """
    rng = np.random.default_rng(seed)
    index = pd.date_range("2014-01-01", periods=weeks, freq="7D", unit="us")
    extended = pd.DatetimeIndex(index.append(future_weeks(index[-1], AHEAD)))
    surprise, purchases, demand = rng.normal(0, 40, weeks), rng.normal(0, 30, weeks), np.zeros(weeks)
    tga, log_r = np.full(weeks, 300.0), np.full(weeks, np.log(2000.0))
    for t in range(1, weeks):
        demand[t] = 0.5 * demand[t - 1] + rng.normal(0, 0.5)
        tga[t] = 60 + 0.8 * tga[t - 1] + surprise[t]
        log_r[t] = np.log(2000) + persistence * (log_r[t - 1] - np.log(2000)) + rng.normal(0, 0.01)
        log_r[t] += (purchases[t - 1] - surprise[t - 1]) / 2000 + endogenous * demand[t]
    reserves = np.exp(log_r)
    deposits = 12_000 * np.exp(np.cumsum(rng.normal(0.0005, 0.004, weeks)))
    assets = 16_000 * np.exp(0.0008 * np.arange(weeks))
    effects = {name: FEATURES[name](extended).to_numpy() for name in EFFECTS}
    spread = (
        -5 + B * np.log(reserves / 2000) + C * np.log(deposits / 12_000) + demand + effects["quarter_end_week"][:weeks]
    )
    columns = {
        "reserve_ratio": 100 * reserves / assets,
        "reserves_level": reserves,
        "reserves_to_deposits": 100 * reserves / deposits,
        "money_less_currency": 0.8 * deposits,
        "on_rrp_take_up": np.where(np.arange(weeks) < 50, np.nan, 100 + 50 * rng.random(weeks)),
        "tga_level": tga,
        "securities_change": purchases,
    }
    for name, late in (("reserve_ratio", 2), ("reserves_to_deposits", max(2, ended))):
        columns[name][weeks - late :] = np.nan
    padded = {name: np.concatenate([values, np.full(AHEAD, np.nan)]) for name, values in columns.items()}
    units = {"effr_iorb": UNITS["bp"], **{name: FEATURES[name].unit for name in (*columns, *EFFECTS)}}
    features = pd.DataFrame({**padded, **effects}, extended)
    return Design(pd.DataFrame({"effr_iorb": spread}, index), features, units, frozenset(EFFECTS))


def part(design: Design, model: LogCurve) -> Design:
    return replace(design, features=design.features[list(model.features)])


def fit(design: Design, model: LogCurve | None = None, seed: int = 0) -> FittedLogCurve:
    model = model or LogCurve(draws=300)
    return model.fit(part(design, model), rng=np.random.default_rng(seed))


def regressors(design: Design, weeks: slice) -> tuple[np.ndarray, np.ndarray]:
    """Constant, ln R, ln D, share of overnight reverse repo, calendar effects; and the spread."""
    f = design.features.iloc[: len(design.targets)]
    D = 100 * f["reserves_level"] / f["reserves_to_deposits"]
    share = (100 * f["on_rrp_take_up"] / D).fillna(0.0)
    X = np.column_stack([np.ones(len(f)), np.log(f["reserves_level"]), np.log(D), share, f[list(EFFECTS)]])
    return X[weeks], design.targets["effr_iorb"].to_numpy()[weeks]


# --------------------------------------------------------------------------- estimates


def test_least_squares_and_its_errors_are_those_of_statsmodels() -> None:
    design = economy()
    X, y = regressors(design, slice(0, 318))
    other = sm.OLS(y, X).fit(cov_type="HAC", cov_kwds={"maxlags": BLOCK, "use_correction": True})
    table = fit(design).estimate.table()
    assert list(table.index) == ["constant", "log_reserves", "log_deposits", "on_rrp_to_deposits", *EFFECTS]
    np.testing.assert_allclose(table["coefficient"], other.params, rtol=1e-7)
    np.testing.assert_allclose(table["standard_error"], other.bse, rtol=1e-6)


def test_two_stage_least_squares_uses_last_week_s_surprise_and_purchases() -> None:
    design = economy(endogenous=0.02)
    X, y = regressors(design, slice(0, 318))
    f = design.features.iloc[:320]
    surprise = treasury_surprise(f["tga_level"].to_numpy(), pd.DatetimeIndex(f.index))
    Z = np.column_stack([np.r_[np.nan, surprise[:-1]], np.r_[np.nan, f["securities_change"].to_numpy()[:-1]]])[:318]
    rows = np.isfinite(Z).all(axis=1)
    assert rows.sum() == 313  # four lags and one
    order = [0, 2, 3, 4, 5, 6]
    other = two_stage_least_squares(y[rows], X[rows, 1], X[rows][:, order], Z[rows], lags=BLOCK)
    found = fit(design, INSTRUMENTED).estimate
    assert found.instrumented is not None
    np.testing.assert_allclose(found.coefficients[[1, *order]], other.coefficients, rtol=1e-7)
    np.testing.assert_allclose(found.covariance[1, 1], other.covariance[0, 0], rtol=1e-6)
    assert pytest.approx(other.F, rel=1e-6) == found.instrumented.F


def test_the_bootstrap_is_centred_on_the_estimate() -> None:
    for model in (LogCurve(draws=800), replace(INSTRUMENTED, draws=800)):
        fitted = fit(economy(1), model)
        middle, spread = np.median(fitted.coefficients, axis=0), fitted.coefficients.std(axis=0)
        assert (np.abs(middle - fitted.estimate.coefficients) < 0.5 * spread).all()


def test_demand_that_moves_reserves_misleads_least_squares_and_not_the_instruments() -> None:
    found = {
        model.estimator: np.mean([fit(economy(s, endogenous=0.03), model).estimate.coefficients[1] for s in range(12)])
        for model in (LogCurve(draws=1), replace(INSTRUMENTED, draws=1))
    }
    assert found["ols"] > B + 2
    assert found["2sls"] == pytest.approx(B, abs=1.5)


def test_before_the_facility_existed_its_share_has_no_coefficient() -> None:
    design = economy()
    design.features["on_rrp_take_up"] = np.nan
    fitted = fit(design)
    assert "on_rrp_to_deposits" not in fitted.estimate.names
    assert (fitted.coefficients[:, 3] == 0).all()
    without = fit(design, LogCurve(on_rrp=False, draws=300))
    np.testing.assert_allclose(fitted.estimate.coefficients, without.estimate.coefficients)
    np.testing.assert_allclose(fitted.reserves_at(-5), without.reserves_at(-5))


# --------------------------------------------------------------------------- closed forms


def test_reserves_at_a_spread_invert_the_curve() -> None:
    fitted = fit(economy())
    a, b, c, d = fitted.coefficients[:, :4].T
    share, log_d = fitted.sample.last("on_rrp_to_deposits"), fitted.sample.last("log_deposits")
    for spread in (-10.0, -5.0, 0.0):
        reserves = fitted.reserves_at(spread)
        np.testing.assert_allclose(a + b * np.log(reserves) + c * log_d + d * share, spread, atol=1e-8)
    assert (fitted.reserves_at(0.0) < fitted.reserves_at(-10.0)).all()


def test_a_curve_that_rises_gives_no_reserves_for_a_spread_and_no_threshold() -> None:
    fitted = fit(economy())
    rising = replace(fitted, coefficients=fitted.coefficients * np.where(np.arange(7) == 1, -1.0, 1.0))
    assert np.isnan(rising.reserves_at(-5.0)).all()
    told = rising.ampleness()
    assert all((draws == 0).all() for draws in told.thresholds.values())
    assert told.reached(-0.5) == 0.0
    assert (told.slope > 0).all()


def test_slope_and_thresholds_are_b_over_x_and_b_over_c() -> None:
    fitted = fit(economy())
    assert isinstance(fitted, TellsAmpleness)
    told = fitted.ampleness()
    b = fitted.coefficients[:, 1]
    np.testing.assert_allclose(told.slope, b[:, None] / told.ratio)
    assert set(told.thresholds) == set(TOLERANCES)
    for c, draws in told.thresholds.items():
        np.testing.assert_allclose(b / draws, c)
    assert told.sign_free
    assert told.draws_are == "bootstrap"
    assert len(told.weeks) == 318


def test_a_threshold_beyond_all_ratios_seen_says_so() -> None:
    told = fit(economy()).ampleness()
    low, high = told.ratio.min(), told.ratio.max()
    outside = [c for c, draws in told.thresholds.items() if not low <= np.median(draws) <= high]
    assert outside
    assert all(f"x*({c:g})" in told.notes[-1] for c in outside)


def test_the_slope_is_the_derivative_of_the_curve_that_is_told() -> None:
    told = fit(economy()).ampleness()
    assert told.curve is not None
    middle = (told.curve.ratio[1:] + told.curve.ratio[:-1]) / 2
    numeric = np.diff(told.curve.spread, axis=1) / np.diff(told.curve.ratio)
    np.testing.assert_allclose(numeric, told.slope[:, -1:] * told.ratio[-1] / middle, rtol=1e-3)


def test_log_reserves_come_from_ratio_and_assets() -> None:
    values = np.array([[[12.5, np.log(16_000), 7.0, 1.0]], [[0.0, np.log(16_000), 7.0, 1.0]]])
    found = log_regressors(values)
    assert found.shape == (2, 1, 3)
    np.testing.assert_allclose(found[0, 0], [np.log(2000), 7.0, 1.0])
    np.testing.assert_allclose(found[1, 0, 0], np.log(160)), "a ratio of zero counts as 1 percent"


# --------------------------------------------------------------------------- deposits that end


def test_a_series_is_carried_on_by_the_growth_of_another() -> None:
    nan = np.nan
    series, carrier = np.array([100.0, 102, nan, nan, nan]), np.array([50.0, 51, 52, nan, 53.04])
    np.testing.assert_allclose(spliced(series, carrier), [100, 102, 104, nan, 106.08])
    np.testing.assert_allclose(spliced(np.full(3, nan), np.ones(3)), np.full(3, nan))


def test_spliced_deposits_are_the_published_ones_where_money_grows_alike() -> None:
    whole, short = fit(economy(3)), fit(economy(3, ended=120))
    np.testing.assert_allclose(short.estimate.coefficients, whole.estimate.coefficients, rtol=1e-6)
    assert not any("deposits" in note for note in whole.ampleness().notes)
    note = short.ampleness().notes[0]
    assert "deposits end 2017-10-25" in note
    assert "M2 less currency" in note


def test_published_deposits_stop_the_sample_where_they_end() -> None:
    fitted = fit(economy(3, ended=20), LogCurve(deposits="published", draws=300))
    assert len(fitted.estimate.residuals) == 300
    assert "the sample stops there" in fitted.ampleness().notes[0]
    assert len(fitted.ampleness().weeks) == 318


def test_deposits_that_ended_long_ago_are_refused() -> None:
    published = LogCurve(deposits="published")
    fit(economy(3, ended=28), published)
    with pytest.raises(ModelError, match=r"27 weeks before the last reserve ratio\. Use deposits = 'spliced'"):
        fit(economy(3, ended=29), published)
    design = economy(3, ended=100)
    design.features["money_less_currency"] = np.nan
    with pytest.raises(ModelError, match="deposits were last seen"):
        fit(design)


# --------------------------------------------------------------------------- instruments


def test_weak_instruments_leave_nothing_to_be_told() -> None:
    design = economy(5)
    rng = np.random.default_rng(1)
    design.features["securities_change"] = rng.normal(size=len(design.features))
    design.features["tga_level"] = 300 + rng.normal(size=len(design.features)).cumsum()
    fitted = fit(design, INSTRUMENTED)
    assert fitted.estimate.instrumented is not None
    assert not fitted.estimate.instrumented.identified
    with pytest.raises(ModelError, match=r"not identified: the instruments' first-stage F is .*Anderson-Rubin set is"):
        fitted.ampleness()


def test_strong_instruments_tell_and_their_set_holds_the_truth() -> None:
    fitted = fit(economy(2, endogenous=0.02), INSTRUMENTED)
    assert fitted.estimate.instrumented is not None
    assert fitted.estimate.instrumented.identified
    assert fitted.estimate.instrumented.anderson_rubin.holds(B)
    assert fitted.ampleness().slope_below(-0.25) == 1.0


def test_surprises_are_no_instrument_for_repo_rates() -> None:
    with pytest.raises(ValueError, match="collateral"):
        LogCurve(spread="sofr_iorb", estimator="2sls")


# --------------------------------------------------------------------------- forecasts


@pytest.mark.parametrize("options", [{}, {"deposits": "published", "on_rrp": False}, {"estimator": "2sls"}], ids=str)
def test_it_keeps_the_contract(options: dict[str, object]) -> None:
    model = LogCurve(draws=200, **options)
    design = part(economy(8), model)
    targets = design.targets.copy()
    targets.loc[targets.index[120:180]] = -8.0
    check_contract(model, replace(design, targets=targets))


def test_a_path_of_the_ratio_moves_the_forecast_along_the_curve() -> None:
    design = economy(4)
    fitted = fit(design)
    fixed = replace(fitted, coefficients=np.tile(fitted.estimate.coefficients, (5, 1)))
    periods, first = design.future(6), float(design.features["reserve_ratio"].dropna().iloc[-1])
    weeks = pd.DatetimeIndex(design.targets.index[-2:].append(periods))
    means = []
    for share in (1.0, 0.8):
        values = first * np.where(np.arange(8) >= 5, share, 1.0)
        scenario = Scenario("fall", values[None, :, None], weeks, ("reserve_ratio",))
        drawn = fixed.predict(periods, scenario=scenario, n_draws=200, rng=np.random.default_rng(3))
        means.append(drawn.mean()["effr_iorb"].to_numpy())
    expected = fitted.estimate.coefficients[1] * np.log(0.8)
    np.testing.assert_allclose(means[1] - means[0], [0, 0, 0, expected, expected, expected], atol=1e-8)


def test_nothing_after_the_sample_matters() -> None:
    """Rows beyond the last week over are the calendar's alone."""
    design = economy(6)
    poisoned = replace(design, features=design.features.copy())
    quantities = [name for name in poisoned.features if name not in EFFECTS]
    poisoned.features.loc[poisoned.features.index[320:], quantities] = 1e6
    for model in (LogCurve(draws=50), replace(INSTRUMENTED, draws=50)):
        ours, other = fit(design, model), fit(poisoned, model)
        np.testing.assert_array_equal(ours.coefficients, other.coefficients)


# --------------------------------------------------------------------------- refusals


def test_bad_designs_are_refused_with_what_to_do() -> None:
    design = economy()

    def changed(**columns: object) -> Design:
        return replace(design, features=design.features.assign(**columns))

    cases = [
        (UnitError, "reserves_level' is in usd_mn; give it in usd_bn", replace(design, units=design.units | {"reserves_level": UNITS["usd_mn"]})),
        (UnitError, "USD mn", changed(reserves_level=1000 * design.features["reserves_level"])),
        (UnitError, "fraction", changed(reserve_ratio=design.features["reserve_ratio"] / 100)),
        (UnitError, "give it in bp", replace(design, units=design.units | {"effr_iorb": UNITS["percent"]})),
        (ModelError, "no slope can be estimated", replace(design, targets=design.targets * 0 - 8)),
        (ShortHistoryError, "98 complete weeks", economy(weeks=100)),
        (RankDeficientError, "log_deposits|log_reserves", changed(reserves_to_deposits=15.0)),
        (ShortHistoryError, "complete weeks", changed(reserves_to_deposits=np.nan)),
    ]  # fmt: skip
    for error, match, bad in cases:
        with pytest.raises(error, match=match):
            fit(bad)


def test_reserves_missing_at_the_edge_must_come_with_the_scenario() -> None:
    design = economy()
    scenario = Scenario("late", np.full((1, 4, 1), 12.0), design.future(4), ("reserve_ratio",))
    with pytest.raises(NeedsScenarioError, match="reserve_ratio"):
        fit(design).predict(design.future(4), scenario=scenario, n_draws=10, rng=np.random.default_rng(0))


def test_options_that_make_no_sense_are_refused() -> None:
    for options, match in (({"estimator": "gmm"}, "2sls"), ({"deposits": "m2"}, "spliced"), ({"draws": 0}, "draws")):
        with pytest.raises(ValueError, match=match):
            LogCurve(**options)  # type: ignore[arg-type]


# --------------------------------------------------------------------------- coverage


@pytest.mark.slow
def test_intervals_of_b_cover_where_the_curve_is_true_and_least_squares_misleads_where_demand_moves_reserves() -> None:
    """200 economies of six years."""

    def covered(model: LogCurve, level: float, **options: float) -> float:
        draws = np.array([fit(economy(s, **options), model).coefficients[:, 1] for s in range(200)])
        low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2], axis=1)
        return float(np.mean((low <= B) & (high >= B)))

    plain, instrumented = LogCurve(draws=300), INSTRUMENTED
    assert 0.36 < covered(plain, 0.5) < 0.58
    assert 0.78 < covered(plain, 0.9) < 0.95
    assert covered(plain, 0.9, endogenous=0.03) < 0.2
    assert 0.78 < covered(instrumented, 0.9, endogenous=0.03) < 0.98
