"""Business days, reserve weeks, tax dates and the release clock, in New York time.

The release clock answers one question: from which instant could the public know
the value of a period? Every look-ahead guarantee of the package rests on it.
Before 1999 the Fed's and before 1996 SIFMA's holiday lists are not known to the
``holidays`` library, and only week-ends are skipped.

References
----------
Release times of H.4.1, H.6, H.8, H.15 and Z.1: Board of Governors, statistical
release schedules. SOFR, TGCR, BGCR, EFFR, OBFR and repo operations: Federal
Reserve Bank of New York. Daily Treasury Statement: Bureau of the Fiscal Service.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import numpy as np
import pandas as pd
from holidays import country_holidays, financial_holidays
from numpy.typing import NDArray

from forecast.errors import UsageError

NEW_YORK = "America/New_York"

type Days = NDArray[np.datetime64]  # datetime64[D]
type Market = Literal["fed", "sifma"]
type Calendar = Callable[[], np.busdaycalendar]

_DAY = np.timedelta64(1, "D")
_MONTH = np.timedelta64(1, "M")
# The horizon of the holiday lists; calendars beyond it raise rather than forget holidays.
_FIRST_YEAR, _LAST_YEAR = 1914, 2060


@cache
def business_calendar(market: Market) -> np.busdaycalendar:
    """Business days of the Federal Reserve (``fed``) or the bond market (``sifma``)."""
    code = "XFED" if market == "fed" else "XSIF"
    dates = financial_holidays(code, years=range(_FIRST_YEAR, _LAST_YEAR + 1))
    return np.busdaycalendar(holidays=np.array(sorted(dates), dtype="datetime64[D]"))


@cache
def repo_calendar() -> np.busdaycalendar:
    """Days with repo operations and published repo rates: the Fed and the bond market are open, and it is no Good Friday.

    On Good Fridays with an employment report (2015, 2021, 2023, 2026) bonds trade half a day; repo does not.
    """
    exchange = financial_holidays("XNYS", years=range(_FIRST_YEAR, _LAST_YEAR + 1))
    good_fridays = np.array([day for day, name in exchange.items() if name == "Good Friday"], dtype="datetime64[D]")
    closed = [business_calendar(market).holidays for market in ("fed", "sifma")]
    return np.busdaycalendar(holidays=np.unique(np.concatenate([*closed, good_fridays])))


def as_days(dates: Any) -> Days:
    """Any date-like array as ``datetime64[D]``."""
    index = pd.DatetimeIndex(dates)
    if len(index) and (index.year.max() > _LAST_YEAR or index.year.min() < _FIRST_YEAR - 200):
        raise UsageError(f"date outside the calendar ({_LAST_YEAR} at the latest): {index.max():%Y-%m-%d}.")
    return index.to_numpy().astype("datetime64[D]")


def is_business_day(dates: Any, market: Market = "fed") -> NDArray[np.bool_]:
    """Whether the market is open on each date."""
    return np.is_busday(as_days(dates), busdaycal=business_calendar(market))


def business_day_offset(
    dates: Any, offset: int, market: Market = "fed", *, roll: Literal["forward", "backward"] = "backward"
) -> Days:
    """Shift by business days. A date that is none is first rolled as asked."""
    return np.busday_offset(as_days(dates), offset, roll=roll, busdaycal=business_calendar(market))


def reserve_week(dates: Any) -> pd.DatetimeIndex:
    """The Wednesday that ends the reserve week (Thursday to Wednesday) of each date."""
    days = as_days(dates)
    weekday = (days.astype("int64") + 3) % 7  # Monday is 0; 1970-01-01 was a Thursday
    return pd.DatetimeIndex(days + ((2 - weekday) % 7).astype("timedelta64[D]")).as_unit("us")


def period_end(periods: Any, frequency: str) -> Days:
    """Last day of each period. Files label months and quarters by their first day, others by their last."""
    days = as_days(periods)
    if frequency not in ("M", "Q"):
        return days
    following: Days = (days.astype("datetime64[M]") + (_MONTH if frequency == "M" else 3 * _MONTH)).astype(
        "datetime64[D]"
    )
    return following - _DAY


def tax_dates(first: Any, last: Any) -> Days:
    """Corporate and quarterly income-tax dates: the 15th of March, April, June, September and
    December, moved to the next Federal Reserve business day.
    """
    return _rolled_dates(first, last, months=(3, 4, 6, 9, 12), day=15, market="fed")


def coupon_settlement_dates(first: Any, last: Any) -> Days:
    """Regular settlements of Treasury coupon auctions: mid-month and month-end, known in advance.

    The 15th moves to the next and the month's last day settles on the next business day when
    the bond market is closed.
    """
    months = tuple(range(1, 13))
    middle = _rolled_dates(first, last, months=months, day=15, market="sifma")
    end = _rolled_dates(first, last, months=months, day=-1, market="sifma")
    return np.union1d(middle, end)


def _rolled_dates(first: Any, last: Any, *, months: tuple[int, ...], day: int, market: Market) -> Days:
    start, stop = (np.datetime64(pd.Timestamp(bound), "D") for bound in (first, last))
    month = np.arange(start.astype("datetime64[M]") - _MONTH, stop.astype("datetime64[M]") + _MONTH)
    month = month[np.isin(month.astype("int64") % 12 + 1, months)]
    days = (
        (month + _MONTH).astype("datetime64[D]") - _DAY
        if day == -1
        else month.astype("datetime64[D]") + (day - 1) * _DAY
    )
    rolled = business_day_offset(days, 0, market, roll="forward")
    return rolled[(rolled >= start) & (rolled <= stop)]


# --------------------------------------------------------------------------- release clock

# Statements that did not follow "Thursday, or the next business day if it is a holiday":
# federal offices closed by executive order (2008, 2009, 2014, 2020), a delay, a day of mourning.
H41_EXCEPTIONS: dict[str, str] = {
    "2008-12-24": "2008-12-29",
    "2009-12-23": "2009-12-28",
    "2014-12-24": "2014-12-29",
    "2016-11-16": "2016-11-18",
    "2020-12-23": "2020-12-28",
    "2025-01-08": "2025-01-10",
}

# Decisions announced on another day or hour than 14:00 the day before they took effect.
ANNOUNCEMENT_EXCEPTIONS: dict[str, str] = {
    "2008-10-09": "2008-10-06 08:00",  # interest on reserves announced with its first rate
    "2010-02-19": "2010-02-18 16:30",  # the primary credit rate, between meetings
    "2015-12-16": "2015-12-16 14:00",  # some files date the target range by the day of the decision
    "2016-12-14": "2016-12-14 14:00",
    "2020-03-04": "2020-03-03 10:00",
    "2020-03-16": "2020-03-15 17:00",  # a Sunday
}


# Days on which executive orders closed federal offices; the Reserve Banks were open.
_CLOSED_BY_ORDER = (
    "2001-12-24", "2004-06-11", "2007-01-02", "2007-12-24", "2008-12-26", "2009-12-24", "2012-12-24",
    "2014-12-26", "2018-12-05", "2018-12-24", "2019-12-24", "2020-12-24", "2024-12-24", "2025-01-09", "2025-12-24",
    "2025-12-26",
)  # fmt: skip

# Shutdowns of the statistical agencies: what was due from the first day on is dated by the second, when all of it
# was out.
_BACKLOGS: dict[str, tuple[tuple[str, str], ...]] = {
    "employment": (("2013-10-01", "2013-11-08"), ("2025-10-01", "2025-12-16"), ("2026-02-01", "2026-02-11")),
    "cpi": (("2013-10-01", "2013-10-30"), ("2025-10-01", "2025-10-24"), ("2025-11-01", "2025-12-18")),
    "pce": (
        ("2013-11-01", "2013-11-08"),
        ("2019-02-01", "2019-03-01"),
        ("2019-03-02", "2019-03-29"),
        ("2019-03-30", "2019-04-29"),
        ("2025-11-01", "2025-12-05"),
        ("2025-12-06", "2026-01-22"),
        ("2026-01-23", "2026-02-20"),
    ),
    "gdp": (
        ("2013-10-01", "2013-11-07"),
        ("2018-12-22", "2019-02-28"),
        ("2025-10-01", "2025-12-23"),
        ("2026-01-01", "2026-02-20"),
    ),
    "g17": (("2013-10-01", "2013-10-28"), ("2025-10-01", "2025-12-23")),
    "housing": (("2013-10-01", "2013-12-18"), ("2018-12-22", "2019-03-26"), ("2025-10-01", "2026-02-20")),
    "retail": (("2013-10-01", "2013-10-29"), ("2018-12-22", "2019-04-01"), ("2025-10-01", "2026-02-20")),
    "claims": (("2025-10-01", "2025-11-20"),),
    "z1": (("2025-12-01", "2026-01-09"),),
}


@cache
def federal_calendar() -> np.busdaycalendar:
    """Days on which federal offices publish, the Board of Governors and the Treasury among them.

    Where a holiday falls on a Saturday they are closed on the Friday before; the Reserve Banks are open.
    """
    observed = country_holidays("US", years=range(_FIRST_YEAR, _LAST_YEAR + 1))
    closed = [np.array(sorted(observed), "M8[D]"), np.array(_CLOSED_BY_ORDER, "M8[D]")]
    return np.busdaycalendar(holidays=np.unique(np.concatenate([*closed, business_calendar("fed").holidays])))


@dataclass(frozen=True, slots=True)
class ReleaseRule:
    """When the value of a period becomes public.

    exact : the rule reproduces the publisher's calendar; otherwise it is a cautious approximation,
            and only a value dated before its own period's end is provably too early
    local : last days of periods -> naive New York local time
    """

    name: str
    description: str
    exact: bool
    local: Callable[[Days], NDArray[np.datetime64]]


def _at(days: Days, time: str) -> NDArray[np.datetime64]:
    hours, minutes = time.split(":")
    midnight: NDArray[np.datetime64] = days.astype("datetime64[s]")
    return midnight + np.timedelta64(int(hours) * 3600 + int(minutes) * 60, "s")


def _override(ends: Days, local: NDArray[np.datetime64], exceptions: dict[str, str]) -> NDArray[np.datetime64]:
    for end, when in exceptions.items():
        local = np.where(ends == np.datetime64(end), np.datetime64(when, "s"), local)
    return local


def _next_business_day(time: str, calendar: Calendar) -> Callable[[Days], NDArray[np.datetime64]]:
    return lambda ends: _at(np.busday_offset(ends, 1, roll="backward", busdaycal=calendar()), time)


def _same_day(time: str) -> Callable[[Days], NDArray[np.datetime64]]:
    return lambda ends: _at(ends, time)


def _days_after(days: int, time: str) -> Callable[[Days], NDArray[np.datetime64]]:
    return lambda ends: _at(_when_open(ends + days * _DAY), time)


def _when_open(days: Days) -> Days:
    """The day itself, or the next one on which federal offices are open."""
    return np.busday_offset(days, 0, roll="forward", busdaycal=federal_calendar())


def _statistics_after(days: int, time: str, backlog: str) -> Callable[[Days], NDArray[np.datetime64]]:
    """As late after the period as the release has come in a regular year, and after the backlog of a shutdown."""
    return lambda ends: _at(_after_backlog(_when_open(ends + days * _DAY), backlog), time)


def _after_backlog(due: Days, backlog: str) -> Days:
    for first, cleared in _BACKLOGS[backlog]:
        waits = (due >= np.datetime64(first)) & (due < np.datetime64(cleared))
        due = np.where(waits, np.datetime64(cleared), due)
    return due


def _reserve_bank_days_after(days: int, time: str) -> Callable[[Days], NDArray[np.datetime64]]:
    return lambda ends: _at(business_day_offset(ends, days, roll="backward"), time)


def _h41(ends: Days) -> NDArray[np.datetime64]:
    local = _at(business_day_offset(ends + _DAY, 0, roll="forward"), "16:30")
    moved = {end: f"{when} 16:30" for end, when in H41_EXCEPTIONS.items()}
    return _override(ends, local, moved)


def _h6(ends: Days) -> NDArray[np.datetime64]:
    following = ends.astype("datetime64[M]") + _MONTH
    first = following.astype("datetime64[D]")
    to_tuesday = (1 - (first.astype("int64") + 3)) % 7
    return _at(_when_open(first + (to_tuesday + 21).astype("timedelta64[D]")), "13:00")


def _employment(ends: Days) -> NDArray[np.datetime64]:
    """Third Friday after the week, Sunday to Saturday, of the month's 12th; a week later in the first days of January."""
    twelfth = ends.astype("datetime64[M]").astype("datetime64[D]") + 11 * _DAY
    saturday = twelfth + ((5 - (twelfth.astype("int64") + 3)) % 7).astype("timedelta64[D]")
    friday = saturday + 20 * _DAY
    of_month = (friday - friday.astype("datetime64[M]").astype("datetime64[D]")).astype("int64")
    january = friday.astype("datetime64[M]").astype("int64") % 12 == 0
    friday = friday + np.where(january & (of_month < 3), 7, 0).astype("timedelta64[D]")
    return _at(_after_backlog(_when_open(friday), "employment"), "08:30")


def _cpi(ends: Days) -> NDArray[np.datetime64]:
    days = np.where(ends < np.datetime64("2017-01-01"), 26, 15).astype("timedelta64[D]")
    return _at(_after_backlog(_when_open(ends + days), "cpi"), "08:30")


def _z1(ends: Days) -> NDArray[np.datetime64]:
    """Ten weeks and some days after the quarter; after the second, with the annual revisions, up to 87 days."""
    second = ends.astype("datetime64[M]").astype("int64") % 12 == 5
    due = _when_open(ends + np.where(second, 88, 74).astype("timedelta64[D]"))
    return _at(_after_backlog(due, "z1"), "12:00")


def _quarter_later(ends: Days) -> NDArray[np.datetime64]:
    """Details published at the end of each quarter for the quarter before."""
    months = ends.astype("datetime64[M]")
    quarter = months - (months.astype("int64") % 3).astype("timedelta64[M]")
    close = (quarter + 6 * _MONTH).astype("datetime64[D]") - _DAY
    return _at(business_day_offset(close, 0, roll="forward"), "16:00")


def _announced(ends: Days) -> NDArray[np.datetime64]:
    """A standing rate or target is public from the afternoon before each day on which it holds."""
    # Until 2008 decisions took effect on the day on which they were taken.
    before = np.where(ends < np.datetime64("2009-01-01"), ends, ends - _DAY)
    # Statements came at 14:15 until 2012 and come at 14:00 since.
    local = np.where(before < np.datetime64("2013-01-01"), _at(before, "14:15"), _at(before, "14:00"))
    return _override(ends, local, ANNOUNCEMENT_EXCEPTIONS)


RELEASE_RULES: dict[str, ReleaseRule] = {
    rule.name: rule
    for rule in (
        ReleaseRule("h41", "H.4.1: Thursday 16:30, next business day after a holiday", True, _h41),
        ReleaseRule("h8", "H.8: Friday of the following week 16:15", True, _days_after(9, "16:15")),
        ReleaseRule("h15", "H.15: next business day 16:15", True, _next_business_day("16:15", federal_calendar)),
        ReleaseRule("h6", "H.6: fourth Tuesday of the following month 13:00", False, _h6),
        ReleaseRule("z1", "Z.1: up to 74 days after the quarter, 88 after the second", False, _z1),
        ReleaseRule("treasury_curve", "Treasury par yields: same day 18:00", True, _same_day("18:00")),
        ReleaseRule("repo_rates", "SOFR, TGCR, BGCR: next day 08:00", True, _next_business_day("08:00", repo_calendar)),
        ReleaseRule("fed_funds", "EFFR, OBFR: next business day 09:00", True, _reserve_bank_days_after(1, "09:00")),
        ReleaseRule("on_rrp", "ON RRP results: same day 13:15", True, _same_day("13:15")),
        ReleaseRule("on_rrp_detail", "ON RRP by counterparty type: a quarter later", False, _quarter_later),
        ReleaseRule("standing_repo", "Standing repo results: same day 13:45", True, _same_day("13:45")),
        ReleaseRule("dts", "DTS: next business day 16:00", True, _next_business_day("16:00", federal_calendar)),
        ReleaseRule("announced", "Announced 14:00 the day before it takes effect", True, _announced),
        ReleaseRule("employment", "Employment situation: third Friday after the survey 08:30", False, _employment),
        ReleaseRule("cpi", "Consumer prices: up to 15 days after 08:30, 26 until 2016", False, _cpi),
        ReleaseRule("pce", "Income and outlays: up to 36 days after", False, _statistics_after(36, "08:30", "pce")),
        ReleaseRule("gdp", "National accounts: up to 31 days after", False, _statistics_after(31, "08:30", "gdp")),
        ReleaseRule("g17", "Industrial production: up to 19 days after", False, _statistics_after(19, "09:15", "g17")),
        ReleaseRule("housing", "Housing starts: up to 23 days after", False, _statistics_after(23, "08:30", "housing")),
        ReleaseRule("retail", "Retail sales: up to 19 days after", False, _statistics_after(19, "08:30", "retail")),
        ReleaseRule(
            "claims", "Unemployment claims: Thursday after 08:30", False, _statistics_after(5, "08:30", "claims")
        ),
        ReleaseRule(
            "continued_claims", "Continued claims: second Thursday", False, _statistics_after(12, "08:30", "claims")
        ),
        ReleaseRule("weekly_index", "Conditions index: Wednesday 08:30", False, _reserve_bank_days_after(3, "08:30")),
        ReleaseRule("stress_index", "Stress index: Thursday 12:00", False, _reserve_bank_days_after(4, "12:00")),
        ReleaseRule("weekly_rates", "Daily market rates, republished weekly", False, _days_after(10, "16:15")),
        ReleaseRule("monthly_rates", "Monthly averages: first business day after", False, _days_after(1, "16:15")),
        ReleaseRule("debt", "Treasury Bulletin: about 75 days after the quarter", False, _days_after(75, "16:00")),
        ReleaseRule("oecd", "OECD main indicators: about 45 days after", False, _days_after(45, "12:00")),
        ReleaseRule("h3", "Aggregate reserves: about 30 days after the month", False, _days_after(30, "16:30")),
        ReleaseRule("recession_dates", "Dated by committee up to 20 months later", False, _days_after(610, "12:00")),
        ReleaseRule("term_structure_model", "Model estimates: two weeks", False, _days_after(14, "16:00")),
    )
}


def _to_utc(local: NDArray[np.datetime64]) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(local).tz_localize(NEW_YORK).tz_convert("UTC").as_unit("us")


def released_at(rule: str, periods: Any, frequency: str) -> pd.DatetimeIndex:
    """Instant (UTC) at which each period's value becomes public.

    Raises
    ------
    UsageError : no rule of that name; lists the known ones
    """
    if rule not in RELEASE_RULES:
        raise UsageError(f"unknown release rule {rule!r}. Use one of: {', '.join(sorted(RELEASE_RULES))}.")
    return _to_utc(RELEASE_RULES[rule].local(period_end(periods, frequency)))


def earliest_public(rule: str, periods: Any, frequency: str) -> pd.DatetimeIndex:
    """Instant (UTC) before which a value cannot be genuine.

    The release time itself where the rule is exact, else the start of the period's last day.
    """
    if RELEASE_RULES[rule].exact:
        return released_at(rule, periods, frequency)
    return _to_utc(period_end(periods, frequency).astype("datetime64[s]"))
