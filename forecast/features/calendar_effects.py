"""Days of the calendar that move money markets, known in advance. Each is 1 in reserve weeks that hold such a day."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.calendar import Days, coupon_settlement_dates, tax_dates
from forecast.features.feature_set import calendar_effect
from forecast.features.transforms import WEEK, microseconds

type _Dates = Callable[[object, object], Days]
type Flags = NDArray[np.float64]

_DAY = np.timedelta64(1, "D")
# Wednesdays of tables; outside of them effects are computed, or refused, week by week.
_WEDNESDAYS = np.arange("1950-01-04", "2050-01-01", 7 * _DAY, dtype="datetime64[D]")
_CALENDAR = _WEDNESDAYS.astype("datetime64[us]").view("int64")


@calendar_effect(unit="indicator")
def month_end_week(periods: pd.DatetimeIndex) -> pd.Series:
    """Reserve week that holds the last day of a month: balance sheets are reported.

        1 if some day of t-6..t is the last of its month

    Returns
    -------
    (T,) 0 or 1; quarter- and year-end weeks are month-end weeks too
    """
    return _turns(periods, (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12))


@calendar_effect(unit="indicator")
def quarter_end_week(periods: pd.DatetimeIndex) -> pd.Series:
    """Reserve week that holds the last day of a quarter: dealers shrink balance sheets and repo rates jump.

        1 if some day of t-6..t is the last of March, June, September or December

    Returns
    -------
    (T,) 0 or 1; year-end weeks are quarter-end weeks too

    References
    ----------
    Bostrom, Bowman, Rose and Xia (2025), FEDS Note of 6 June 2025, on repo rates at quarter-ends.
    """
    return _turns(periods, (3, 6, 9, 12))


@calendar_effect(unit="indicator")
def year_end_week(periods: pd.DatetimeIndex) -> pd.Series:
    """Reserve week that holds the 31st of December: capital surcharges of large banks are measured.

        1 if some day of t-6..t is the 31st of December

    Returns
    -------
    (T,) 0 or 1
    """
    return _turns(periods, (12,))


@calendar_effect(unit="indicator")
def tax_week(periods: pd.DatetimeIndex) -> pd.Series:
    """Reserve week that holds a corporate or quarterly income-tax date: money moves from banks to the Treasury.

        1 if some day of t-6..t is a tax date (15th of March, April, June, September, December, or next business day)

    Returns
    -------
    (T,) 0 or 1
    """
    return _holds(periods, tax_dates)


@calendar_effect(unit="indicator")
def coupon_settlement_week(periods: pd.DatetimeIndex) -> pd.Series:
    """Reserve week that holds a regular settlement of Treasury coupon auctions: dealers must finance new collateral.

        1 if some day of t-6..t is a mid-month or month-end settlement date

    Returns
    -------
    (T,) 0 or 1; at most one such date falls into a week
    """
    return _holds(periods, coupon_settlement_dates)


def _turns(periods: pd.DatetimeIndex, months: tuple[int, ...]) -> pd.Series:
    """1 where the month of the week's first day is one of ``months`` and is over by the day after the week."""
    return _read_off(periods, partial(_turning, months=months), partial(_turning_table, months))


def _turning(wednesdays: Days, months: tuple[int, ...]) -> Flags:
    first = (wednesdays - 6 * _DAY).astype("datetime64[M]")
    over = first != (wednesdays + _DAY).astype("datetime64[M]")
    flags: Flags = (over & np.isin(first.astype("int64") % 12 + 1, months)).astype(float)
    return flags


@cache
def _turning_table(months: tuple[int, ...]) -> Flags:
    return _turning(_WEDNESDAYS, months)


def _holds(periods: pd.DatetimeIndex, dates: _Dates) -> pd.Series:
    """1 where one of the dates falls on a day of the week."""
    return _read_off(periods, partial(_holding, dates=dates), partial(_holding_table, dates))


def _holding(wednesdays: Days, dates: _Dates) -> Flags:
    if not len(wednesdays):
        return np.empty(0)
    first, last = (wednesdays[[0, -1]].astype("datetime64[Y]").astype("int64") + 1970).tolist()
    special = dates(f"{first - 1}-01-01", f"{last}-12-31")
    inside = np.searchsorted(special, wednesdays, side="right") - np.searchsorted(special, wednesdays - 6 * _DAY)
    return (inside > 0).astype(float)


@cache
def _holding_table(dates: _Dates) -> Flags:
    return _holding(_WEDNESDAYS, dates)


def _read_off(periods: pd.DatetimeIndex, compute: Callable[[Days], Flags], table: Callable[[], Flags]) -> pd.Series:
    """What ``compute`` makes of each week by itself; from a table, because a backtest asks for the same ones at every origin."""
    weeks = microseconds(periods)
    row = int(weeks[0] - _CALENDAR[0]) // WEEK if len(weeks) else -1
    if row < 0 or not np.array_equal(weeks, _CALENDAR[row : row + len(weeks)]):
        return pd.Series(compute(periods.to_numpy().astype("datetime64[D]")), index=periods)
    return pd.Series(table()[row : row + len(weeks)], index=periods)
