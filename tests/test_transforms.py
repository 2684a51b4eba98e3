"""Transforms against values worked out by hand, and the promise that none of them looks forward."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecast.calendar import is_business_day, reserve_week
from forecast.data.catalog import catalog
from forecast.data.vintages import Panel, Vintages, VintageTable
from forecast.errors import UsageError
from forecast.features import transforms

# Thursday 2 May to Wednesday 8 May 2024 is one reserve week of five business days.
WEEK = ("2024-05-02", "2024-05-03", "2024-05-06", "2024-05-07", "2024-05-08")


def by_day(days: object, values: object) -> pd.Series:
    return pd.Series(np.asarray(values, dtype=float), index=pd.DatetimeIndex(days).as_unit("us"))


def business_days(first: str, last: str) -> pd.DatetimeIndex:
    days = pd.date_range(first, last, unit="us")
    return days[is_business_day(days)]


def wednesdays(first: str, n: int) -> pd.DatetimeIndex:
    return pd.date_range(first, periods=n, freq="7D", unit="us")


def panel(origin: str, name: str, series: pd.Series) -> Panel:
    table = VintageTable(name, pd.Timestamp("2030-01-01"), series.index.to_numpy(), series.to_numpy())
    return Vintages.from_tables([table], catalog()).as_of(origin)


# ----------------------------------------------------------------------------- weekly


@pytest.mark.parametrize(("how", "value"), [("mean", 4.0), ("last", 10.0), ("sum", 20.0), ("max", 10.0)])
def test_a_reserve_week_runs_from_thursday_to_wednesday(how: str, value: float) -> None:
    week = transforms.weekly(by_day(WEEK, [1, 2, 3, 4, 10]), how)
    assert week.to_dict() == {pd.Timestamp("2024-05-08"): value}


def test_a_friday_rate_counts_once_not_three_times() -> None:
    week = transforms.weekly(by_day(WEEK, [0, 5, 0, 0, 0]), "mean")
    assert week.iloc[0] == 1.0  # over calendar days it would be 15/7


def test_a_day_without_a_value_does_not_count_as_zero() -> None:
    week = transforms.weekly(by_day(WEEK, [4, np.nan, 4, 4, 4]), "mean")
    assert week.iloc[0] == 4.0


@pytest.mark.parametrize("how", ["mean", "last", "sum", "max"])
def test_a_week_appears_only_with_its_last_business_day(how: str) -> None:
    days = business_days("2024-04-25", "2024-05-08")
    daily = by_day(days, range(len(days)))
    assert list(transforms.weekly(daily[:-1], how).index) == [pd.Timestamp("2024-05-01")]
    assert list(transforms.weekly(daily, how).index) == [pd.Timestamp("2024-05-01"), pd.Timestamp("2024-05-08")]


def test_a_week_that_ends_on_a_holiday_is_complete_on_tuesday() -> None:
    days = business_days("2024-12-19", "2024-12-24")  # Christmas 2024 is a Wednesday
    assert list(transforms.weekly(by_day(days, np.ones(len(days))), "mean").index) == [pd.Timestamp("2024-12-25")]
    assert transforms.weekly(by_day(days[:-1], np.ones(len(days) - 1)), "mean").empty


def test_part_of_a_week_is_not_its_flow() -> None:
    from_monday = by_day(business_days("2024-05-06", "2024-05-15"), np.ones(8))
    assert transforms.weekly(from_monday, "sum").to_dict() == {pd.Timestamp("2024-05-15"): 5.0}
    assert transforms.weekly(from_monday, "mean").to_dict() == dict.fromkeys(wednesdays("2024-05-08", 2), 1.0)


def test_a_flow_week_that_begins_with_a_holiday_is_whole() -> None:
    after_thanksgiving = by_day(business_days("2024-11-29", "2024-12-04"), np.ones(4))
    assert transforms.weekly(after_thanksgiving, "sum").to_dict() == {pd.Timestamp("2024-12-04"): 4.0}


def test_no_days_make_no_weeks() -> None:
    empty = by_day([], [])
    assert transforms.weekly(empty, "mean").empty
    assert transforms.weekly(by_day(WEEK, [np.nan] * 5), "mean").empty
    assert transforms.every_day(empty).empty


def test_an_unknown_way_to_make_weeks_is_refused() -> None:
    with pytest.raises(UsageError, match="median"):
        transforms.weekly(by_day(WEEK, range(5)), "median")


@given(
    first=st.dates(pd.Timestamp("2003-01-01").date(), pd.Timestamp("2024-01-01").date()),
    values=st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=60),
    how=st.sampled_from(["mean", "last", "max"]),
)
def test_weeks_agree_with_a_plain_group_by(first: object, values: list[float], how: str) -> None:
    days = pd.date_range(first, periods=2 * len(values), unit="us")
    days = days[is_business_day(days)][: len(values)]
    daily = by_day(days, values[: len(days)])
    expected = daily.groupby(reserve_week(daily.index)).agg(how)
    result = transforms.weekly(daily, how)
    assert len(expected) - len(result) in (0, 1)
    np.testing.assert_allclose(result, expected.iloc[: len(result)], rtol=1e-12, atol=1e-12)


def test_the_week_end_is_that_of_the_calendar() -> None:
    days = pd.date_range("2023-12-01", "2024-03-01", unit="us")
    ours = transforms.week_end(days.to_numpy().astype("datetime64[D]"))
    assert (ours == reserve_week(days).to_numpy().astype("datetime64[D]")).all()


# -------------------------------------------------------------------------- every_day


def test_a_balance_stands_until_the_next_is_struck() -> None:
    calendar = transforms.every_day(by_day(["2024-05-03", "2024-05-06"], [30, 10]))
    assert list(calendar) == [30, 30, 30, 10]
    assert list(calendar.index) == list(pd.date_range("2024-05-03", "2024-05-06"))


def test_the_last_balance_stands_through_a_holiday_and_no_longer() -> None:
    calendar = transforms.every_day(by_day(["2024-12-24"], [7]))
    assert list(calendar.index) == list(pd.date_range("2024-12-24", "2024-12-25"))


def test_a_balance_over_thanksgiving_belongs_to_both_weeks() -> None:
    days = business_days("2024-11-21", "2024-12-04")  # Wednesday's balance stands on Thursday the 28th
    balances = by_day(days, [70.0 if day == pd.Timestamp("2024-11-27") else 0.0 for day in days])
    assert list(transforms.weekly(transforms.every_day(balances), "mean")) == [10.0, 10.0]


# -------------------------------------------------------- lag, difference, growth, at


def test_a_lag_moves_values_forward() -> None:
    x = by_day(wednesdays("2024-05-01", 3), [1, 2, 4])
    assert transforms.lag(x, 2)[pd.Timestamp("2024-05-15")] == 1.0


def test_a_difference_is_over_weeks_not_rows() -> None:
    x = by_day(["2024-05-01", "2024-05-08", "2024-05-22"], [1, 3, 10])
    assert transforms.difference(x).to_dict() == {pd.Timestamp("2024-05-08"): 2.0}
    assert transforms.difference(x, 2).to_dict() == {pd.Timestamp("2024-05-22"): 7.0}


def test_growth_is_over_months_not_rows() -> None:
    months = pd.date_range("2024-01-01", periods=25, freq="MS").drop(pd.Timestamp("2025-06-01"))
    x = by_day(months, 100 * 1.01 ** np.arange(24))
    x[pd.Timestamp("2024-12-01")], x[pd.Timestamp("2025-12-01")] = 100.0, 105.0
    growth = transforms.growth(x)
    assert growth[pd.Timestamp("2025-12-01")] == pytest.approx(5.0)
    assert pd.Timestamp("2024-12-01") not in growth
    assert pd.Timestamp("2025-06-01") not in growth


def test_growth_of_quarters_is_over_four_of_them() -> None:
    x = by_day(pd.date_range("2023-01-01", periods=5, freq="QS"), [100, 1, 1, 1, 110])
    assert transforms.growth(x).to_dict() == pytest.approx({pd.Timestamp("2024-01-01"): 10.0})


@given(st.sets(st.integers(0, 60)), st.lists(st.integers(-5, 70), unique=True).map(sorted))
def test_values_at_periods_are_those_of_reindex(have: set[int], want: list[int]) -> None:
    start = pd.Timestamp("2024-01-01")
    series = by_day([start + pd.Timedelta(days=n) for n in sorted(have)], np.arange(len(have)))
    wanted = pd.DatetimeIndex([start + pd.Timedelta(days=n) for n in want], dtype="M8[us]")
    np.testing.assert_array_equal(transforms.at(series, wanted), series.reindex(wanted).to_numpy())


@given(st.lists(st.floats(-100, 100), min_size=8, max_size=30), st.integers(1, 5), st.randoms())
def test_no_transform_looks_forward(values: list[float], drop: int, chance: object) -> None:
    weeks = wednesdays("2020-01-01", len(values))
    whole, cut = by_day(weeks, values), by_day(weeks, values)[:-drop]
    for transform in (transforms.difference, lambda x: transforms.expanding_standardise(x, 3)):
        early = transform(cut)
        pd.testing.assert_series_equal(transform(whole).reindex(early.index), early, check_exact=True, check_freq=False)


def test_standardising_uses_the_moments_known_so_far() -> None:
    x = by_day(wednesdays("2024-05-01", 4), [1, 2, 3, 10])
    z = transforms.expanding_standardise(x, minimum=3)
    assert list(z) == pytest.approx([1.0, (10 - 4) / np.std([1, 2, 3, 10], ddof=1)])


# --------------------------------------------------------------------------- as_known


def test_the_last_week_over_ended_before_the_instant() -> None:
    over = {
        day: transforms.last_week_over(pd.Timestamp(f"2024-05-{day:02d} 17:00", tz="America/New_York")).day
        for day in (7, 8, 9, 15, 16)
    }
    assert over == {7: 1, 8: 1, 9: 8, 15: 8, 16: 15}


def test_history_holds_what_was_known_then() -> None:
    # The rule for consumer prices: fifteen days after the month, 8:30. April 2024 came out on Wednesday 15 May.
    prices = by_day(pd.date_range("2024-01-01", periods=5, freq="MS"), [1, 2, 3, 4, 5])
    known = transforms.as_known(panel("2024-07-04 17:00", "cpi", prices), "cpi", wednesdays("2024-05-01", 4))
    assert list(known) == [3, 3, 4, 4]


def test_a_release_on_thursday_afternoon_counts_for_the_week_just_ended() -> None:
    # H.8 of Wednesday 1 May comes on Friday 10 May: too late for Thursday the 9th, in time for the 16th.
    assets = by_day(wednesdays("2024-04-17", 6), [1, 2, 3, 4, 5, 6])
    known = transforms.as_known(
        panel("2024-06-27 17:00", "bank_assets", assets), "bank_assets", wednesdays("2024-05-08", 2)
    )
    assert list(known) == [2, 3]  # of 24 April and of 1 May


def test_nothing_is_known_before_the_first_release() -> None:
    prices = by_day(pd.date_range("2024-03-01", periods=2, freq="MS"), [3, 4])
    known = transforms.as_known(panel("2024-07-04 17:00", "cpi", prices), "cpi", wednesdays("2024-04-10", 2))
    assert list(known.isna()) == [True, False]  # March came out on Monday 15 April


@pytest.mark.parametrize(
    ("name", "first", "freq", "released", "days"),
    [
        ("cpi", "2019-01-01", "MS", "2019-05-15 08:30", 120),
        ("gdp", "2019-01-01", "QS", "2020-01-31 08:30", 200),
        ("bank_assets", "2019-01-02", "7D", "2019-02-01 16:15", 45),
    ],
)
def test_a_value_is_not_carried_forward_for_ever(name: str, first: str, freq: str, released: str, days: int) -> None:
    four = by_day(pd.date_range(first, periods=4, freq=freq), range(4))
    weeks = wednesdays("2019-02-06" if freq == "7D" else "2019-06-05", 100)
    known = transforms.as_known(panel("2024-05-02 17:00", name, four), name, weeks)
    age = (weeks + pd.Timedelta(hours=41) - pd.Timestamp(released)).days
    assert (known.notna() == (age <= days)).all()
    assert known.notna().any()
    assert known.isna().any()


def test_a_series_that_is_always_late_is_carried_all_the_same() -> None:
    dated = by_day(pd.date_range("2018-01-01", periods=24, freq="MS"), np.zeros(24))  # dated 20 months later
    known = transforms.as_known(
        panel("2021-05-06 17:00", "recession", dated), "recession", wednesdays("2020-06-03", 40)
    )
    assert known.notna().all()


def test_a_slow_series_reaches_the_last_week_that_is_over() -> None:
    prices = by_day(pd.date_range("2024-01-01", periods=4, freq="MS"), [1, 2, 3, 4])
    known = panel("2024-05-16 17:00", "cpi", prices)
    weeks = transforms.by_reserve_week(known.series("cpi"), known.catalog["cpi"], known)
    assert weeks.index[0] == pd.Timestamp("2024-02-14")  # January came out on Thursday 15 February
    assert weeks.index[-1] == pd.Timestamp("2024-05-15")
    assert weeks.iloc[-1] == 4.0
    assert transforms.by_reserve_week(prices[:0], known.catalog["cpi"], known).empty
