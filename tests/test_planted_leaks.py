"""Fourteen ways of seeing the future that have been published, planted here, and which check catches each.

releases : later releases are poisoned, or withheld so that everything is tuned and estimated without them
rows     : values of later periods are poisoned; rows of the past may not move
nothing  : nothing is released; a value that is still there came through another door
clock    : release times are held against the publishers' calendar

Twenty pipelines that see nothing stand beside them: none may be accused.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest

from forecast.calendar import NEW_YORK, reserve_week
from forecast.checks.forecasts import draws_of
from forecast.checks.lookahead import Pipeline, check_features, check_nothing_released, check_pipeline, eves
from forecast.checks.past_rows import check_past_rows, computed
from forecast.checks.release_clock import check_releases
from forecast.data.catalog import catalog
from forecast.data.synthetic import Economy, simulate
from forecast.data.vintages import Vintages, VintageTable
from forecast.features import FeatureSet, transforms
from forecast.registry import create

SERIES = (
    "reserves_average", "reserves_wednesday", "tga_average", "tga_wednesday", "total_assets_wednesday",
    "reverse_repo_wednesday", "currency_wednesday", "other_deposits_wednesday", "bank_assets", "effr", "iorb", "ioer",
    "target_upper", "treasury_2y", "treasury_5y", "treasury_10y", "treasury_30y", "unemployment", "tga_daily", "gdp",
)  # fmt: skip
WEEK, DAY = pd.Timedelta(days=7), pd.Timedelta(days=1)
# Inside a week, on its last day, on a weekend, and inside a month.
CUTS = ("2016-03-04", "2018-05-16", "2021-11-13")
type Array = np.ndarray[Any, np.dtype[np.float64]]


@cache
def economy() -> Vintages:
    """Sixteen years; cash of the Treasury by business day is made up where the simulation has none."""
    simulated, _ = simulate(Economy(seed=5, years=16.5))
    rows = [simulated.only(SERIES).observations]
    if "tga_daily" not in simulated.names:
        days = pd.date_range("2006-01-03", "2022-06-30", freq="B", unit="us")
        walk = 500 + np.random.default_rng(0).normal(0, 10, len(days)).cumsum()
        table = VintageTable("tga_daily", pd.Timestamp("2022-07-01"), days.to_numpy(), walk)
        rows.append(Vintages.from_tables([table], catalog()).observations)
    return Vintages(pd.concat(rows, ignore_index=True), catalog())


@cache
def origins() -> tuple[pd.Timestamp, ...]:
    """Last moments before a release, a Wednesday and a Thursday before the statement, and the hour of weekly plans."""
    late = eves(economy(), 2, after="2014-01-01", before="2021-01-01", seed=1)
    return (
        *late,
        *(pd.Timestamp(t, tz=NEW_YORK) for t in ("2017-06-14 17:00", "2018-05-17 12:00", "2019-05-16 17:00")),
    )


def column(series: pd.Series) -> pd.DataFrame:
    return series.rename("planted").to_frame()


def by_period(vintages: Vintages, name: str, until: pd.Timestamp) -> pd.Series:
    """The newest values of periods up to a day, whenever they were released: the sin of half the plants."""
    return vintages.final().series(name).loc[: until.tz_localize(None)]


# ------------------------------------------------------------------------------ plants


def full_sample_scaler(vintages: Vintages, origin: pd.Timestamp) -> pd.DataFrame:
    series = vintages.as_of(origin).series("tga_average")
    return column((series - series.mean()) / series.std())


def centred_moving_average(vintages: Vintages, origin: pd.Timestamp) -> pd.DataFrame:
    return column(vintages.as_of(origin).series("reserves_average").rolling(5, center=True).mean())


def backfill(vintages: Vintages, origin: pd.Timestamp) -> pd.DataFrame:
    months = vintages.as_of(origin).series("unemployment")
    weeks = pd.date_range("2008-01-02", months.index[-1], freq="7D")
    return column(months.reindex(weeks.union(pd.DatetimeIndex(months.index))).bfill().reindex(weeks))


def month_on_its_first_day(vintages: Vintages, origin: pd.Timestamp) -> pd.DataFrame:
    """Months are labelled by their first day, on which nobody knows them."""
    return column(vintages.as_of(origin).series("unemployment").resample("D").ffill())


def revised_instead_of_first_vintage(vintages: Vintages, origin: pd.Timestamp) -> pd.DataFrame:
    return column(by_period(vintages, "bank_assets", origin - 10 * DAY))


def ignoring_the_hour(vintages: Vintages, origin: pd.Timestamp) -> pd.DataFrame:
    rows = vintages.only(["reserves_average"]).observations
    out = rows["period"] + DAY <= origin.tz_localize(None)
    return column(pd.Series(rows["value"][out].to_numpy(), index=pd.DatetimeIndex(rows["period"][out])))


def same_day_statement(vintages: Vintages, origin: pd.Timestamp) -> pd.DataFrame:
    return column(by_period(vintages, "tga_daily", origin))


def two_sided_filter(vintages: Vintages, origin: pd.Timestamp) -> pd.DataFrame:
    from statsmodels.tsa.filters.hp_filter import hpfilter

    cycle, _ = hpfilter(vintages.as_of(origin).series("reserves_average"), lamb=1e5)
    return column(cycle)


def seasonal_means_of_all_years(vintages: Vintages, origin: pd.Timestamp) -> pd.DataFrame:
    series = vintages.as_of(origin).series("tga_average")
    month = pd.DatetimeIndex(series.index).month
    return column(series - series.groupby(month).transform("mean"))


def days_between_wednesdays(vintages: Vintages, origin: pd.Timestamp) -> pd.DataFrame:
    return column(vintages.as_of(origin).series("tga_wednesday").resample("D").interpolate())


def smoothed(series: pd.Series, weight: float) -> pd.Series:
    """Past forecasts of next week: exponential smoothing."""
    return series.ewm(alpha=weight, adjust=False).mean().shift(1)


def best_weight(series: pd.Series) -> float:
    weights = np.linspace(0.05, 0.95, 19)
    return float(weights[np.argmin([((series - smoothed(series, w)) ** 2).mean() for w in weights])])


def tuned_on_everything(vintages: Vintages, origin: pd.Timestamp) -> pd.DataFrame:
    weight = best_weight(vintages.final().series("tga_average").diff().dropna())
    return column(smoothed(vintages.as_of(origin).series("tga_average").diff().dropna(), weight))


def tuned_on_the_whole_history(vintages: Vintages, origin: pd.Timestamp) -> pd.DataFrame:
    history = vintages.as_of(origin).series("tga_average").diff().dropna()
    return column(smoothed(history, best_weight(history)))


def lagged(series: pd.Series, lags: int = 3) -> tuple[Array, Array, pd.Index]:
    X = np.column_stack([series.shift(k).to_numpy() for k in range(1, lags + 1)])[lags:]
    return X, series.to_numpy()[lags:], series.index[lags:]


def shuffled_cross_validation(vintages: Vintages, origin: pd.Timestamp) -> pd.DataFrame:
    from sklearn.linear_model import Ridge
    from sklearn.model_selection import KFold, cross_val_predict

    X, y, weeks = lagged(vintages.as_of(origin).series("tga_average"))
    folds = KFold(5, shuffle=True, random_state=0)
    return column(pd.Series(cross_val_predict(Ridge(1e-3), X, y, cv=folds), index=weeks))


def later_decision_dummy(vintages: Vintages, origin: pd.Timestamp) -> pd.DataFrame:
    """Weeks in which the target range moves, also those to come."""
    target = vintages.final().series("target_upper")
    moves = reserve_week(target.index[target.diff().fillna(0) != 0])
    weeks = pd.date_range("2010-01-06", reserve_week([origin.tz_localize(None)])[0] + 52 * WEEK, freq="7D")
    return column(pd.Series(weeks.isin(moves).astype(float), index=weeks))


def level_factor(yields: pd.DataFrame, sample: pd.DataFrame) -> pd.Series:
    """First principal component, with means and loadings of a sample."""
    mean = sample.mean()
    _, _, loadings = np.linalg.svd((sample - mean).to_numpy(), full_matrices=False)
    return pd.Series((yields - mean).to_numpy() @ (loadings[0] * np.sign(loadings[0][0])), index=yields.index)


def curve(vintages: Vintages, origin: pd.Timestamp) -> pd.DataFrame:
    panel = vintages.as_of(origin)
    return pd.concat([panel.series(f"treasury_{n}y") for n in (2, 5, 10, 30)], axis=1).dropna()


def curve_estimated_again(vintages: Vintages, origin: pd.Timestamp) -> pd.DataFrame:
    yields = curve(vintages, origin)
    return column(level_factor(yields, yields))


def week_average_as_level(vintages: Vintages, origin: pd.Timestamp) -> pd.DataFrame:
    """The average to Wednesday as the balance of each day from Thursday on."""
    return column(vintages.as_of(origin).series("reserves_average").resample("D").bfill())


def week_average_on_its_wednesday(vintages: Vintages, origin: pd.Timestamp) -> pd.DataFrame:
    return column(by_period(vintages, "reserves_average", origin))


def identity_of_the_unreleased_week(vintages: Vintages, origin: pd.Timestamp) -> pd.DataFrame:
    items = ("total_assets", "tga", "reverse_repo", "currency", "other_deposits")
    assets, *others = (by_period(vintages, f"{item}_wednesday", origin) for item in items)
    return column(assets - sum(others))


@cache
def read_before() -> pd.Series:
    return economy().final().series("tga_average")


def carried_in_itself(vintages: Vintages, origin: pd.Timestamp) -> pd.DataFrame:
    """A feature whose author loaded a file once, when it was written."""
    return column(read_before().loc[: origin.tz_localize(None)])


def tuned_model(vintages: Vintages) -> Any:
    """An autoregression whose number of lags fits the whole sample best."""
    X, y, _ = lagged(vintages.final().series("effr").diff().dropna(), 8)
    errors = [np.linalg.lstsq(X[:, :k], y, rcond=None)[1].sum() * (1 + 0.001 * k) for k in range(1, 9)]
    return create("ar", {"lags": 1 + int(np.argmin(errors))})


PLANTS: dict[str, tuple[Pipeline, set[str]]] = {
    "full-sample scaler": (full_sample_scaler, {"rows"}),
    "centred moving average": (centred_moving_average, {"rows"}),
    "backfill": (backfill, {"rows"}),
    "revised instead of first vintage": (revised_instead_of_first_vintage, {"releases"}),
    "ignoring the hour of release": (ignoring_the_hour, {"releases"}),
    "same-day Treasury statement": (same_day_statement, {"releases"}),
    "two-sided filter": (two_sided_filter, {"rows"}),
    "weekly to daily interpolation": (days_between_wednesdays, {"rows"}),
    "tuned on the full sample": (tuned_on_everything, {"releases", "rows"}),
    "shuffled cross-validation": (shuffled_cross_validation, {"rows"}),
    "later decision dummy": (later_decision_dummy, {"releases"}),
    "curve re-estimated on everything": (curve_estimated_again, {"rows"}),
    "week average as Wednesday level": (week_average_as_level, {"rows"}),
    "target through the identity": (identity_of_the_unreleased_week, {"releases"}),
}
# The same sins in another dress.
VARIANTS: dict[str, tuple[Pipeline, set[str]]] = {
    "month on its first day": (month_on_its_first_day, {"rows"}),
    "seasonal means of all years": (seasonal_means_of_all_years, {"rows"}),
    "tuned on the whole history": (tuned_on_the_whole_history, {"rows"}),
    "week average on its Wednesday": (week_average_on_its_wednesday, {"releases"}),
    "carried in itself": (carried_in_itself, {"nothing"}),
}


def caught_by(pipeline: Pipeline, *, rows: bool = True) -> set[str]:
    """Which checks accuse a pipeline."""
    vintages = economy()
    accusations = {
        "releases": check_pipeline(pipeline, vintages, origins()),
        "rows": check_past_rows(pipeline, vintages, CUTS) if rows else [],
        "nothing": check_nothing_released(pipeline, vintages, origins()[0]),
    }
    return {check for check, leaks in accusations.items() if leaks}


@pytest.mark.parametrize("name", PLANTS | VARIANTS)
def test_a_planted_leak_is_caught(name: str) -> None:
    pipeline, checks = (PLANTS | VARIANTS)[name]
    assert caught_by(pipeline) == checks


def test_a_model_tuned_on_the_full_sample_is_caught_by_tuning_it_again() -> None:
    asked = draws_of(tuned_model, ("effr_iorb",), n_draws=20)
    leaks = check_pipeline(asked, economy(), [origins()[-1]])
    assert {leak.feature for leak in leaks} == {"effr_iorb"}


# --------------------------------------------------- leaks in the data themselves


def hurried_statement() -> Vintages:
    """The weekly statement at the start of Thursday, hours before it is out."""
    rows = economy().only(["reserves_average"]).observations
    midnight = pd.DatetimeIndex(rows["period"] + DAY).tz_localize(NEW_YORK).tz_convert("UTC")
    return Vintages(rows.assign(released=midnight), catalog())


def last_estimates_of_the_premium() -> Vintages:
    """One file of a model's estimates: those of 2010 rest on yields of 2022."""
    days = pd.date_range("2010-01-04", "2022-03-31", freq="B", unit="us").to_numpy()
    table = VintageTable("term_premium_10y", pd.Timestamp("2022-04-30"), days, np.linspace(2, 0, len(days)))
    return Vintages.from_tables([table], catalog())


@pytest.mark.parametrize(
    ("plant", "series"),
    [
        (hurried_statement, "reserves_average"),
        (last_estimates_of_the_premium, "term_premium_10y"),
    ],
)
def test_vintages_that_know_too_early_are_caught_by_the_clock(plant: Callable[[], Vintages], series: str) -> None:
    assert [early.series for early in check_releases(plant())] == [series]


def test_no_other_check_can_see_that_vintages_are_dated_too_early() -> None:
    columns = FeatureSet(("reserves_level",))
    assert check_features(columns, hurried_statement(), origins()) == []


# ------------------------------------------------------------------------- the innocent


def panel_series(name: str, change: Callable[[pd.Series], pd.Series]) -> Pipeline:
    return lambda vintages, origin: column(change(vintages.as_of(origin).series(name)))


def first_years_factor(vintages: Vintages, origin: pd.Timestamp) -> pd.DataFrame:
    yields = curve(vintages, origin)
    return column(level_factor(yields, yields.loc[:"2012"]).loc["2013":])


def tuned_on_the_first_years(vintages: Vintages, origin: pd.Timestamp) -> pd.DataFrame:
    history = vintages.as_of(origin).series("tga_average").diff().dropna()
    return column(smoothed(history, best_weight(history.loc[:"2012"])).loc["2013":])


def expanding_regression(vintages: Vintages, origin: pd.Timestamp) -> pd.DataFrame:
    from sklearn.linear_model import Ridge

    X, y, weeks = lagged(vintages.as_of(origin).series("tga_average"))
    rows = range(300, len(y), 25)
    said = [float(Ridge(1.0).fit(X[:t], y[:t]).predict(X[t : t + 1])[0]) for t in rows]
    return column(pd.Series(said, index=weeks[300::25]))


def known_at_each_week(vintages: Vintages, origin: pd.Timestamp) -> pd.DataFrame:
    panel = vintages.as_of(origin)
    last = reserve_week([origin.tz_localize(None)])[0] - WEEK
    return column(transforms.as_known(panel, "unemployment", pd.date_range("2010-01-06", last, freq="7D")))


def identity_of_the_released_week(vintages: Vintages, origin: pd.Timestamp) -> pd.DataFrame:
    panel = vintages.as_of(origin)
    items = ("total_assets", "tga", "reverse_repo", "currency", "other_deposits")
    assets, *others = (panel.series(f"{item}_wednesday") for item in items)
    return column(assets - sum(others))


def announced_rate(vintages: Vintages, origin: pd.Timestamp) -> pd.DataFrame:
    """Tomorrow's rate on reserves, announced today."""
    return column(vintages.as_of(origin).series("ioer"))


def past_decision_dummy(vintages: Vintages, origin: pd.Timestamp) -> pd.DataFrame:
    target = vintages.as_of(origin).series("target_upper")
    return column((target.diff().fillna(0) != 0).astype(float))


def designs(targets: tuple[str, ...], features: tuple[str, ...]) -> Pipeline:
    def table(vintages: Vintages, origin: pd.Timestamp) -> pd.DataFrame:
        design = FeatureSet(targets, features).build(vintages.as_of(origin), ahead=13)
        return design.features.join(design.targets)

    return table


@dataclass(frozen=True, slots=True)
class Model:
    name: str
    options: dict[str, Any]

    @property
    def draws(self) -> Pipeline:
        return draws_of(lambda _: create(self.name, self.options), ("effr_iorb", "yield_2y"), n_draws=20)


CLEAN: dict[str, Pipeline] = {
    "expanding scaler": panel_series("tga_average", transforms.expanding_standardise),
    "trailing average": panel_series("reserves_average", lambda x: x.rolling(5).mean()),
    "exponential average": panel_series("reserves_average", lambda x: x.ewm(halflife=13, adjust=False).mean()),
    "change on a year before": panel_series("tga_average", lambda x: transforms.difference(x, 52)),
    "carried forward": panel_series("tga_wednesday", lambda x: x.resample("D").ffill()),
    "days of rates": panel_series("effr", lambda x: x.rolling(20).std()),
    "reserve weeks of rates": panel_series("effr", lambda x: transforms.weekly(x, "mean")),
    "cash when it is published": panel_series("tga_daily", lambda x: x.diff()),
    "revised assets as known": panel_series("bank_assets", transforms.difference),
    "slow series as known": known_at_each_week,
    "factor of the first years": first_years_factor,
    "tuned on the first years": tuned_on_the_first_years,
    "expanding regression": expanding_regression,
    "identity of the released week": identity_of_the_released_week,
    "announced rate": announced_rate,
    "past decision dummy": past_decision_dummy,
    "features of the package": computed("effr_iorb", "reserve_ratio", "reserves_to_gdp", "yield_slope", "tga_change"),
    "no change": Model("random_walk", {}).draws,
    "autoregression": Model("ar", {"lags": 3}).draws,
    "ridge": Model("direct_regression", {"steps": (1, 13), "features": ("reserve_ratio_known", "tax_week")}).draws,
}  # fmt: skip
FORECASTS = {"no change", "autoregression", "ridge"}


@pytest.mark.parametrize("name", CLEAN)
def test_an_honest_pipeline_is_not_accused(name: str) -> None:
    assert caught_by(CLEAN[name], rows=name not in FORECASTS) == set()


def test_honest_vintages_are_not_accused() -> None:
    assert check_releases(economy()) == []


def test_a_design_with_calendar_effects_is_not_accused_of_seeing_the_future() -> None:
    honest = designs(("reserves_level",), ("quarter_end_week", "reserve_ratio"))
    assert check_pipeline(honest, economy(), origins()) == []


def test_fourteen_leaks_and_twenty_honest_pipelines_were_tried() -> None:
    assert (len(PLANTS), len(CLEAN)) == (14, 20)
