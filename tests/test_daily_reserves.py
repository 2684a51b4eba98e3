"""Daily reserves: against the embedded economy's true balances, published averages, and what was known at the time."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import forecast.features  # noqa: F401  features register on import
from forecast.calendar import NEW_YORK, business_calendar, is_business_day
from forecast.checks.lookahead import check_nothing_released, check_pipeline, eves
from forecast.checks.past_rows import check_past_rows
from forecast.data.catalog import catalog
from forecast.data.sources.directory import read_directory
from forecast.data.synthetic import Economy, simulate
from forecast.data.vintages import Panel, Vintages
from forecast.errors import MissingSeriesError, ShortHistoryError, UsageError
from forecast.features.daily_reserves import daily_design, daily_reserve_ratio, daily_reserves, week_shares
from forecast.features.transforms import at, every_day
from forecast.units import UNITS

FED = Path(__file__).resolve().parents[2] / "shared" / "data" / "fed"
NEEDED = (
    "reserves_average", "reserves_wednesday", "total_assets_wednesday", "tga_daily", "tga_average", "on_rrp", "srf",
    "foreign_rrp_wednesday", "currency_average", "bank_assets", "effr", "sofr", "iorb", "ioer",
)  # fmt: skip
FIRST, LAST = pd.Timestamp("2020-12-31"), pd.Timestamp("2022-06-29")


@cache
def economy() -> tuple[Vintages, pd.DataFrame]:
    """Eighteen months of releases around the start of standing repo, and the true balance sheet by business day."""
    vintages, truth = simulate(Economy(seed=4, years=16.6))
    rows = vintages.only(NEEDED).observations
    inside = (rows["period"] >= FIRST) & (rows["period"] <= LAST)
    return Vintages(rows[inside].reset_index(drop=True), catalog()), truth.sheet


def final() -> Panel:
    return economy()[0].final()


def without(name: str) -> Vintages:
    vintages = economy()[0]
    return vintages.only([other for other in vintages.names if other != name])


def calendar_days(balances: pd.Series, last: pd.Timestamp) -> pd.Series:
    """Each balance until the next one, by pandas."""
    return balances.reindex(pd.date_range(balances.index[0], last, freq="D", unit="us"), method="ffill")


# --------------------------------------------------------------------------- the proxy


def test_week_averages_of_the_proxy_are_the_published_ones() -> None:
    panel = final()
    proxy = daily_reserves(panel)
    averages = calendar_days(proxy.reserves, proxy.benchmarked).rolling(7).mean().iloc[6::7]
    assert len(averages) > 70
    published = panel.series("reserves_average").reindex(averages.index)
    np.testing.assert_allclose(averages, published, rtol=0, atol=1e-9)


def test_the_proxy_is_nearer_to_the_true_balances_than_straight_lines() -> None:
    panel, sheet = final(), economy()[1]
    proxy = daily_reserves(panel)
    inside = proxy.reserves.loc[: proxy.benchmarked]
    true = sheet["reserves"].reindex(inside.index)
    averages = panel.series("reserves_average")
    middle = pd.DatetimeIndex(averages.index) - pd.Timedelta(days=3)
    lines = np.interp(pd.DatetimeIndex(inside.index).asi8, middle.asi8, averages)
    assert (inside - true).abs().mean() < 0.5 * np.abs(lines - true).mean()


def test_what_nobody_publishes_daily_is_all_that_it_gets_wrong() -> None:
    panel, sheet = final(), economy()[1]
    proxy = daily_reserves(panel)
    days = proxy.reserves.loc["2021-07-29" : str(proxy.benchmarked.date())].index
    true = sheet.reindex(days)
    unseen = ["treasuries", "mbs", "premiums", "loans", "foreign_rrp", "currency", "other"]
    signs = np.array([1, 1, 1, 1, -1, -1, -1])
    rest = true[unseen].to_numpy() @ signs
    smooth = proxy.reserves[days] + true["tga"] + true["on_rrp"] - true["repo"]
    error = proxy.reserves[days] - true["reserves"]
    np.testing.assert_allclose(error, smooth - rest, atol=2e-3)  # items are published in millions
    assert error.abs().max() > 0.1


def test_the_items_with_a_source_of_their_own_add_up_day_by_day() -> None:
    vintages = economy()[0]
    rows = vintages.observations
    srf = (rows["series"] == "srf").to_numpy()
    used = rows["value"].where(~srf, np.random.default_rng(1).uniform(0, 50, len(rows)))
    panel = Vintages(rows.assign(value=used), catalog()).final()
    proxy = daily_reserves(panel)
    days = pd.date_range("2021-09-02", "2022-05-25", freq="D", unit="us")

    def between(name: str, days_back: int = 0) -> pd.Series:
        series = panel.series(name)
        moved = series.set_axis(pd.DatetimeIndex(series.index) - pd.Timedelta(days=days_back))
        return moved.resample("D").interpolate().reindex(days)

    daily = pd.DataFrame({n: every_day(panel.series(n)).reindex(days) for n in ("srf", "tga_daily", "on_rrp")})
    wednesdays = panel.series("total_assets_wednesday").loc["2021-08-25":"2022-06-01"].index
    repo = every_day(panel.series("srf")).reindex(wednesdays).resample("D").interpolate().reindex(days)
    assets = between("total_assets_wednesday") - repo + daily["srf"]
    drains = daily["tga_daily"] + daily["on_rrp"] + between("foreign_rrp_wednesday") + between("currency_average", 3)
    found = (proxy.reserves - proxy.discrepancy).reindex(days).dropna()
    assert daily["srf"].std() > 10
    np.testing.assert_allclose(found, (assets - drains)[found.index], atol=1e-8)


def test_after_the_last_published_week_only_daily_items_move_it() -> None:
    panel = economy()[0].as_of("2022-03-24 16:29")
    proxy = daily_reserves(panel)
    assert proxy.benchmarked == pd.Timestamp("2022-03-16")
    assert proxy.reserves.index[-1] == pd.Timestamp("2022-03-23")
    edge = proxy.reserves.loc["2022-03-16":]
    days = pd.DatetimeIndex(edge.index)
    daily = at(panel.series("srf"), days) - at(panel.series("tga_daily"), days) - at(panel.series("on_rrp"), days)
    # From Sunday the 13th currency, too, stands where its last average left it; on the 16th everything does.
    np.testing.assert_allclose(np.diff(edge), np.diff(daily), atol=1e-9)
    assert proxy.discrepancy.loc["2022-03-16":].to_numpy() == pytest.approx(proxy.discrepancy.iloc[-1], abs=1e-9)


def test_the_statement_moves_the_benchmark_at_half_past_four() -> None:
    vintages = economy()[0]
    before, after = (vintages.as_of(f"2022-03-24 {hour}") for hour in ("16:29:59", "16:30"))
    assert daily_reserves(before).benchmarked == pd.Timestamp("2022-03-16")
    assert daily_reserves(after).benchmarked == pd.Timestamp("2022-03-23")


def test_the_last_day_is_that_of_the_last_treasury_statement() -> None:
    vintages = economy()[0]
    for hour, day in (("15:59", "2022-03-21"), ("16:00", "2022-03-22")):
        assert daily_reserves(vintages.as_of(f"2022-03-23 {hour}")).reserves.index[-1] == pd.Timestamp(day)


def test_only_business_days_are_there() -> None:
    reserves = daily_reserves(final()).reserves
    days = pd.date_range(reserves.index[0], reserves.index[-1], unit="us")
    pd.testing.assert_index_equal(pd.DatetimeIndex(reserves.index), days[is_business_day(days)])
    assert pd.Timestamp("2021-11-25") not in reserves.index


def test_before_standing_repo_there_was_none_and_later_it_must_be_there() -> None:
    early, late = "2021-07-29 16:29", "2021-08-05 17:00"
    whole, lacking = economy()[0], without("srf")
    assert daily_reserves(lacking.as_of(early)).reserves.equals(daily_reserves(whole.as_of(early)).reserves)
    with pytest.raises(MissingSeriesError, match="srf"):
        daily_reserves(lacking.as_of(late))


@pytest.mark.parametrize(
    "name",
    ["reserves_average", "total_assets_wednesday", "tga_daily", "on_rrp", "foreign_rrp_wednesday", "currency_average"],
)
def test_an_item_that_is_missing_is_named(name: str) -> None:
    with pytest.raises(MissingSeriesError, match=name):
        daily_reserves(without(name).final())


def test_without_a_published_week_inside_it_says_so() -> None:
    vintages = economy()[0]
    rows = vintages.observations
    late = (rows["series"] == "tga_daily") & (rows["period"] < pd.Timestamp("2022-06-22"))
    with pytest.raises(ShortHistoryError, match="a week or two later"):
        daily_reserves(Vintages(rows[~late], catalog()).as_of("2022-06-29 17:00"))


# --------------------------------------------------------------------------- shares of days in weeks


def test_a_friday_counts_three_times_and_a_holiday_as_the_day_before() -> None:
    days = np.arange(np.datetime64("2021-11-11"), np.datetime64("2021-12-02"))
    business = days[np.is_busday(days, busdaycal=business_calendar("fed"))]
    wednesdays = np.array(["2021-11-17", "2021-11-24", "2021-12-01", "2021-12-08"], dtype="datetime64[D]")
    shares, which = week_shares(business, wednesdays)
    # The week to the 17th begins on Veterans' Day, whose balance is that of a day before the first one.
    assert which.tolist() == [1, 2]
    sevenths = {str(day): (7 * shares.toarray()[:, k]).round(9).tolist() for k, day in enumerate(business)}
    assert sevenths["2021-11-19"] == [3, 0]
    # Thanksgiving, the first day of the next week, has Wednesday's balance.
    assert sevenths["2021-11-24"] == [1, 1]
    assert sevenths["2021-11-26"] == [0, 3]
    np.testing.assert_allclose(shares.sum(axis=1), 1)


def test_a_week_that_is_not_over_has_no_share() -> None:
    days = np.array(["2022-03-03", "2022-03-04", "2022-03-07", "2022-03-08"], dtype="datetime64[D]")
    _, which = week_shares(days, np.array(["2022-03-09"], dtype="datetime64[D]"))
    assert which.tolist() == []
    _, which = week_shares(
        np.append(days, np.datetime64("2022-03-09")), np.array(["2022-03-09"], dtype="datetime64[D]")
    )
    assert which.tolist() == [0]


# --------------------------------------------------------------------------- looks at the future


def proxy_table(vintages: Vintages, origin: pd.Timestamp) -> pd.DataFrame:
    """Everything that is made of a panel, by day."""
    panel = vintages.as_of(origin)
    proxy, design = daily_reserves(panel), daily_design(panel)
    return pd.concat([proxy.reserves, proxy.discrepancy, design.features, design.targets], axis=1)


def towards_the_next_average(vintages: Vintages, origin: pd.Timestamp) -> pd.DataFrame:
    """The planted leak: days of a week that is not published yet lie on the line to its average."""
    averages = vintages.final().series("reserves_average")
    known = vintages.as_of(origin).series("tga_daily")
    lines = np.interp(pd.DatetimeIndex(known.index).asi8, pd.DatetimeIndex(averages.index).asi8, averages)
    return pd.Series(lines, known.index, name="reserves").to_frame()


def edges() -> list[pd.Timestamp]:
    vintages = economy()[0]
    named = [pd.Timestamp(f"2022-03-24 {hour}", tz=NEW_YORK) for hour in ("15:59:59", "16:29:59", "17:00")]
    return [*named, *eves(vintages, 6, after="2021-03-01", before="2022-06-01", seed=3)]


def test_the_future_is_invisible() -> None:
    assert check_pipeline(proxy_table, economy()[0], edges()) == []


def test_interpolating_towards_an_unpublished_week_is_caught() -> None:
    leaks = check_pipeline(towards_the_next_average, economy()[0], edges()[:2], hows=("huge",))
    assert {str(leak.origin) for leak in leaks} == {str(origin) for origin in edges()[:2]}


def test_where_nothing_is_released_nothing_is_computed() -> None:
    assert check_nothing_released(proxy_table, economy()[0], "2022-03-24 17:00") == []


def test_days_of_published_weeks_rest_on_later_weeks_and_the_check_says_so() -> None:
    leaks = check_past_rows(proxy_table, economy()[0], ["2021-11-24"], hows=("permuted",))
    assert {leak.feature for leak in leaks} == {"daily_reserves", "discrepancy", "reserve_ratio"}


def test_the_last_row_of_each_day_rests_on_its_past_alone() -> None:
    def last_rows(vintages: Vintages, origin: pd.Timestamp) -> pd.DataFrame:
        rows = []
        for day in pd.date_range("2021-11-15", "2021-12-10", freq="B", tz=NEW_YORK) + pd.Timedelta(hours=17):
            panel = vintages.as_of(day)
            rows.append(
                pd.concat([daily_reserves(panel).reserves.iloc[-1:], daily_reserve_ratio(panel).iloc[-1:]], axis=1)
            )
        table = pd.concat(rows)
        return table[~table.index.duplicated()]

    assert check_past_rows(last_rows, economy()[0], ["2021-11-23", "2021-11-24", "2021-12-01"]) == []


# --------------------------------------------------------------------------- ratio and design


def test_the_ratio_divides_by_the_last_assets_that_were_public() -> None:
    panel = economy()[0].as_of("2022-03-24 17:00")
    assets, ratio = panel.series("bank_assets"), daily_reserve_ratio(panel)
    reserves = daily_reserves(panel).reserves
    # On Friday the 11th at 16:15 came the statement of Wednesday the 2nd.
    for day, week in (("2022-03-09", "2022-02-23"), ("2022-03-10", "2022-03-02"), ("2022-03-11", "2022-03-02")):
        assert ratio[day] == pytest.approx(100 * reserves[day] / assets[week], rel=1e-12)
    assert ratio.loc["2021-02-01":].between(1, 60).all()


def test_a_daily_design_has_the_names_and_units_of_the_weekly_one() -> None:
    panel = economy()[0].as_of("2022-03-24 17:00")
    design = daily_design(panel, "sofr_iorb")
    assert list(design.targets) == ["sofr_iorb"]
    assert list(design.features) == ["reserve_ratio"]
    assert design.units == {"sofr_iorb": UNITS["bp"], "reserve_ratio": UNITS["percent"]}
    assert design.known_ahead == frozenset()
    pd.testing.assert_index_equal(design.targets.index, design.features.index)
    day = pd.Timestamp("2022-03-22")
    spread = 100 * (panel.series("sofr")[day] - panel.series("iorb")[day])
    assert design.targets["sofr_iorb"][day] == pytest.approx(spread, abs=1e-6)


def test_a_day_without_a_spread_or_without_a_statement_is_missing_in_one_column_only() -> None:
    design = daily_design(economy()[0].as_of("2022-03-24 09:30"))
    assert np.isnan(design.features["reserve_ratio"]["2022-03-23"])
    assert np.isfinite(design.targets["effr_iorb"]["2022-03-23"])
    assert design.targets.index[-1] == pd.Timestamp("2022-03-23")


@pytest.mark.parametrize("name", ["reserve_ratio", "quarter_end_week"])
def test_a_weekly_spread_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="no daily feature"):
        daily_design(final(), name)


# --------------------------------------------------------------------------- official data


@pytest.fixture(scope="module")
def official(tmp_path_factory: pytest.TempPathFactory) -> Vintages:
    if not FED.is_dir():
        pytest.skip("the official series are not beside the project")
    folder = tmp_path_factory.mktemp("official")
    for file in ("MANIFEST.csv", *(f"{catalog()[name].id}.csv" for name in NEEDED)):
        (folder / file).symlink_to(FED / file)
    report = read_directory(folder)
    assert not report.refused
    return Vintages.from_tables([file.table for file in report.imported], catalog())


def wednesday_levels(panel: Panel) -> tuple[pd.Series, pd.DatetimeIndex]:
    levels = panel.series("reserves_wednesday").loc["2021-07-01":"2025-06-30"]
    return levels, pd.DatetimeIndex(levels.index)


def test_it_is_ten_billion_from_wednesdays_that_it_never_saw(official: Vintages) -> None:
    panel = official.final()
    levels, days = wednesday_levels(panel)
    averages = panel.series("reserves_average")
    middle = pd.DatetimeIndex(averages.index) - pd.Timedelta(days=3)
    proxy = np.abs(at(every_day(daily_reserves(panel).reserves), days) - levels).mean()
    lines = np.abs(np.interp(days.asi8, middle.asi8, averages) - levels).mean()
    assert len(levels) == 208
    assert proxy == pytest.approx(10.3, abs=0.05)
    assert lines == pytest.approx(33.8, abs=0.05)


def test_wednesday_levels_are_no_input(official: Vintages) -> None:
    names = [name for name in official.names if name != "reserves_wednesday"]
    blind = daily_reserves(official.only(names).final()).reserves
    assert blind.equals(daily_reserves(official.final()).reserves)


def test_the_week_averages_of_the_official_treasury_account_are_those_of_its_days(official: Vintages) -> None:
    # The two are published by different offices, in statements of their own: the shares of days are right.
    panel = official.final()
    tga = panel.series("tga_daily")
    weeks = panel.series("tga_average").loc["2021-07":]
    shares, which = week_shares(
        tga.index.to_numpy().astype("datetime64[D]"), weeks.index.to_numpy().astype("datetime64[D]")
    )
    assert len(which) == 208
    np.testing.assert_allclose(shares @ tga.to_numpy(), weeks.to_numpy()[which], atol=1e-3)
