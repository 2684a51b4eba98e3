"""Business days, reserve weeks and the release clock, against the publishers' own calendars."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pandas.tseries.holiday import USFederalHolidayCalendar

from forecast.calendar import (
    H41_EXCEPTIONS,
    NEW_YORK,
    RELEASE_RULES,
    as_days,
    business_day_offset,
    coupon_settlement_dates,
    earliest_public,
    is_business_day,
    period_end,
    released_at,
    reserve_week,
    tax_dates,
)
from forecast.data.catalog import catalog
from forecast.data.events import read_calendar
from forecast.errors import UsageError

CALENDAR = Path(__file__).resolve().parents[2] / "shared" / "data" / "fed" / "H41_RELEASE_CALENDAR.csv"
days = st.dates(pd.Timestamp("1990-01-01").date(), pd.Timestamp("2055-12-31").date())

# Holidays that fall on a Saturday: the Federal Reserve opens on the Friday before.
SATURDAY_HOLIDAYS = (
    "2000-11-10", "2004-12-24", "2004-12-31", "2006-11-10", "2009-07-03", "2010-12-24", "2010-12-31", "2015-07-03",
    "2017-11-10", "2020-07-03", "2021-06-18", "2021-12-24", "2021-12-31", "2023-11-10", "2026-07-03", "2027-06-18",
)  # fmt: skip


def new_york(rule: str, period: str, frequency: str) -> str:
    return f"{released_at(rule, [period], frequency).tz_convert(NEW_YORK)[0]:%Y-%m-%d %H:%M}"


# ---- business days


@pytest.mark.parametrize("day", SATURDAY_HOLIDAYS)
def test_the_fed_is_open_on_the_friday_before_a_saturday_holiday(day: str) -> None:
    assert is_business_day([day], "fed").all()
    assert pd.Timestamp(day) in USFederalHolidayCalendar().holidays("2000-01-01", "2030-12-31")


def test_elsewhere_the_fed_keeps_the_federal_holidays() -> None:
    week_days = pd.bdate_range("2000-01-01", "2027-06-30")
    federal = week_days.isin(USFederalHolidayCalendar().holidays("2000-01-01", "2027-06-30"))
    differs = week_days[is_business_day(week_days, "fed") == federal]
    assert tuple(differs.strftime("%Y-%m-%d")) == SATURDAY_HOLIDAYS


@pytest.mark.parametrize(
    ("day", "fed", "sifma"),
    [
        ("2024-03-29", True, False),  # Good Friday
        ("2025-04-18", True, False),
        ("2018-12-05", True, False),  # day of mourning
        ("2021-12-24", True, False),
        ("2020-07-03", True, False),
        ("2024-07-04", False, False),
        ("2023-06-19", False, False),
        ("2022-01-01", False, False),
        ("2024-12-26", True, True),
        ("2023-01-02", False, False),  # a Sunday holiday is kept on Monday
    ],
)
def test_the_bond_market_and_the_fed_close_on_different_days(day: str, fed: bool, sifma: bool) -> None:
    assert (bool(is_business_day([day], "fed")[0]), bool(is_business_day([day], "sifma")[0])) == (fed, sifma)


def test_offsets_count_business_days() -> None:
    assert str(business_day_offset(["2024-07-03"], 1)[0]) == "2024-07-05"
    assert str(business_day_offset(["2024-07-06"], 1, roll="backward")[0]) == "2024-07-08"
    assert str(business_day_offset(["2024-07-04"], 0, roll="forward")[0]) == "2024-07-05"
    assert str(business_day_offset(["2024-03-28"], 1, "sifma")[0]) == "2024-04-01"


def test_a_date_beyond_the_holiday_lists_is_refused() -> None:
    with pytest.raises(UsageError, match="2061"):
        as_days(["2061-01-01"])


# ---- periods


@given(days)
def test_the_reserve_week_ends_on_the_next_wednesday_or_today(day: object) -> None:
    week = reserve_week([day])[0]
    assert week.day_of_week == 2
    assert 0 <= (week - pd.Timestamp(day)).days <= 6  # type: ignore[arg-type]


@given(days)
def test_a_thursday_begins_a_new_reserve_week(day: object) -> None:
    today, tomorrow = reserve_week([day, pd.Timestamp(day) + pd.Timedelta(days=1)])  # type: ignore[arg-type]
    assert (tomorrow - today).days == (7 if pd.Timestamp(day).day_of_week == 2 else 0)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("day", "week"), [("2025-06-25", "2025-06-25"), ("2025-06-26", "2025-07-02"), ("2024-12-31", "2025-01-01")]
)
def test_reserve_weeks_that_can_be_checked_by_hand(day: str, week: str) -> None:
    assert reserve_week([day])[0] == pd.Timestamp(week)


@pytest.mark.parametrize(
    ("label", "frequency", "end"),
    [
        ("2024-02-01", "M", "2024-02-29"),
        ("2023-12-01", "M", "2023-12-31"),
        ("2024-01-01", "Q", "2024-03-31"),
        ("2023-10-01", "Q", "2023-12-31"),
        ("2024-05-15", "D", "2024-05-15"),
        ("2024-05-15", "W-WED", "2024-05-15"),
    ],
)
def test_months_and_quarters_are_labelled_by_their_first_day(label: str, frequency: str, end: str) -> None:
    assert str(period_end([label], frequency)[0]) == end


def test_tax_dates_move_to_the_next_business_day() -> None:
    expected = ["2024-03-15", "2024-04-15", "2024-06-17", "2024-09-16", "2024-12-16", "2025-03-17"]
    assert tax_dates("2024-01-01", "2025-03-31").astype(str).tolist() == expected


def test_tax_dates_do_not_depend_on_where_one_begins_to_look() -> None:
    assert tax_dates("2024-06-16", "2024-06-17").astype(str).tolist() == ["2024-06-17"]
    assert tax_dates("2024-06-18", "2024-09-15").size == 0


def test_coupons_settle_mid_month_and_at_the_end() -> None:
    found = coupon_settlement_dates("2024-05-01", "2024-07-01").astype(str).tolist()
    assert found == ["2024-05-15", "2024-05-31", "2024-06-17", "2024-07-01"]


# ---- the release clock


@pytest.mark.skipif(not CALENDAR.exists(), reason="no shared data beside the project")
def test_every_statement_since_2002_came_when_the_rule_says() -> None:
    published = read_calendar(CALENDAR)
    rule = released_at("h41", published.index, "W-WED").tz_convert(NEW_YORK)
    assert len(published) > 1100
    assert (rule.tz_localize(None).normalize() == pd.DatetimeIndex(published)).all()
    assert set(rule.strftime("%H:%M")) == {"16:30"}
    assert set(H41_EXCEPTIONS) <= set(pd.DatetimeIndex(published.index).strftime("%Y-%m-%d"))


@pytest.mark.parametrize(
    ("week", "day"),
    [
        ("2008-12-24", "2008-12-29"),
        ("2016-11-16", "2016-11-18"),
        ("2020-12-23", "2020-12-28"),
        ("2025-01-08", "2025-01-10"),
        ("2024-07-03", "2024-07-05"),  # the Thursday is Independence Day
        ("2024-11-27", "2024-11-29"),  # Thanksgiving
        ("2025-06-18", "2025-06-20"),  # Juneteenth
        ("2025-06-25", "2025-06-26"),
    ],
)
def test_the_statement_comes_on_thursday_or_after_the_holiday(week: str, day: str) -> None:
    assert new_york("h41", week, "W-WED") == f"{day} 16:30"


@pytest.mark.parametrize(
    ("rule", "period", "frequency", "released"),
    [
        ("fed_funds", "2024-07-03", "D", "2024-07-05 09:00"),
        ("fed_funds", "2024-03-28", "D", "2024-03-29 09:00"),  # Good Friday: the Fed publishes
        ("repo_rates", "2024-03-28", "D", "2024-04-01 08:00"),  # the repo market is closed
        ("repo_rates", "2025-06-30", "D", "2025-07-01 08:00"),
        ("on_rrp", "2025-06-30", "D", "2025-06-30 13:15"),
        ("on_rrp_detail", "2025-01-02", "D", "2025-06-30 16:00"),
        ("on_rrp_detail", "2025-03-31", "D", "2025-06-30 16:00"),
        ("on_rrp_detail", "2025-04-01", "D", "2025-09-30 16:00"),
        ("standing_repo", "2025-06-30", "D", "2025-06-30 13:45"),
        ("dts", "2025-06-27", "D", "2025-06-30 16:00"),
        ("h15", "2025-07-03", "D", "2025-07-07 16:15"),
        ("h8", "2025-06-18", "W-WED", "2025-06-27 16:15"),
        ("h6", "2024-05-01", "M", "2024-06-25 13:00"),
        ("employment", "2024-05-01", "M", "2024-06-07 08:30"),
        ("z1", "2024-01-01", "Q", "2024-06-13 12:00"),
        ("weekly_index", "2025-06-27", "W-FRI", "2025-07-02 08:30"),
        ("stress_index", "2025-06-27", "W-FRI", "2025-07-03 12:00"),
        ("announced", "2024-09-19", "D7", "2024-09-18 14:00"),
        ("announced", "2012-06-20", "D7", "2012-06-19 14:15"),
        ("announced", "2008-12-16", "D7", "2008-12-16 14:15"),
        ("announced", "2020-03-16", "D7", "2020-03-15 17:00"),  # a Sunday
    ],
)
def test_releases_that_can_be_checked_by_hand(rule: str, period: str, frequency: str, released: str) -> None:
    assert new_york(rule, period, frequency) == released


def test_the_clock_keeps_new_york_time_through_the_change_of_hour() -> None:
    winter, summer = released_at("repo_rates", ["2025-03-06", "2025-03-07"], "D")
    assert (winter.hour, summer.hour) == (13, 12)  # 08:00 in New York is 13:00 and then 12:00 UTC
    autumn = released_at("fed_funds", ["2024-10-31", "2024-11-01"], "D")
    assert [instant.hour for instant in autumn] == [13, 14]


@pytest.mark.parametrize(("rule", "frequency"), sorted({(s.release, s.frequency) for s in catalog().values()}))
def test_nothing_is_public_before_it_can_be(rule: str, frequency: str) -> None:
    offset = {"D": "B", "D7": "D", "M": "MS", "Q": "QS"}.get(frequency, frequency)
    # No standing rate is older than interest on reserves, announced three days ahead in October 2008.
    periods = pd.date_range("2008-10-09" if rule == "announced" else "2003-01-01", "2026-12-31", freq=offset)
    released = released_at(rule, periods, frequency)
    ends = pd.DatetimeIndex(period_end(periods, frequency)).tz_localize(NEW_YORK).tz_convert("UTC")
    # An announcement precedes the day on which it holds; all else follows its period.
    margin = pd.Timedelta(days=3) if rule == "announced" else pd.Timedelta(0)
    assert (released >= ends - margin).all()
    assert released.is_monotonic_increasing
    assert (earliest_public(rule, periods, frequency) <= released).all()


def test_every_rule_is_used_by_the_catalogue() -> None:
    assert {spec.release for spec in catalog().values()} | {"treasury_curve"} == set(RELEASE_RULES)


def test_an_exact_rule_is_its_own_earliest_instant_and_an_approximate_one_is_not() -> None:
    assert earliest_public("h41", ["2025-06-25"], "W-WED")[0] == released_at("h41", ["2025-06-25"], "W-WED")[0]
    cautious = earliest_public("gdp", ["2025-01-01"], "Q")[0].tz_convert(NEW_YORK)
    assert cautious == pd.Timestamp("2025-03-31", tz=NEW_YORK)


def test_an_unknown_rule_lists_the_known_ones() -> None:
    with pytest.raises(UsageError, match="h41"):
        released_at("thursday", ["2025-06-25"], "W-WED")


def test_no_periods_give_no_releases() -> None:
    assert len(released_at("h41", np.array([], dtype="datetime64[D]"), "W-WED")) == 0


def test_repo_rates_wait_over_a_good_friday_even_when_bonds_trade_for_the_jobs_report() -> None:
    thursday = released_at("repo_rates", ["2023-04-06"], "D")
    assert thursday[0] == pd.Timestamp("2023-04-10 08:00", tz="America/New_York")
    # EFFR follows the Fed's calendar, which is open on Good Friday.
    assert released_at("fed_funds", ["2023-04-06"], "D")[0] == pd.Timestamp("2023-04-07 09:00", tz="America/New_York")
