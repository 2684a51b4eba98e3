"""Days of the calendar that move money markets, known in advance. Each is 1 in reserve weeks that hold such a day."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import pandas as pd

from forecast.calendar import Days, coupon_settlement_dates, tax_dates
from forecast.features.feature_set import calendar_effect

type _Dates = Callable[[object, object], Days]

_DAY = np.timedelta64(1, "D")


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
    wednesdays = periods.to_numpy().astype("datetime64[D]")
    first = (wednesdays - 6 * _DAY).astype("datetime64[M]")
    over = first != (wednesdays + _DAY).astype("datetime64[M]")
    return pd.Series((over & np.isin(first.astype("int64") % 12 + 1, months)).astype(float), index=periods)


def _holds(periods: pd.DatetimeIndex, dates: _Dates) -> pd.Series:
    """1 where one of the dates falls on a day of the week."""
    if periods.empty:
        return pd.Series(dtype=float, index=periods)
    wednesdays = periods.to_numpy().astype("datetime64[D]")
    special = _between(dates, periods[0].year - 1, periods[-1].year)
    inside = np.searchsorted(special, wednesdays, side="right") - np.searchsorted(special, wednesdays - 6 * _DAY)
    return pd.Series((inside > 0).astype(float), index=periods)


@lru_cache(maxsize=64)
def _between(dates: _Dates, first: int, last: int) -> Days:
    """Dates of whole years: a backtest asks for the same ones at every origin."""
    return dates(f"{first}-01-01", f"{last}-12-31")
