"""Transforms of series. Each looks backwards only: a value never depends on a later one."""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.calendar import RELEASE_RULES, business_calendar, period_end
from forecast.data.catalog import SeriesSpec
from forecast.data.vintages import Panel
from forecast.errors import UsageError

# Days after its release for which a value is carried forward: until the next release, and some months for a
# delayed one. Past that the source has stopped and nothing is known.
_LONGEST_CARRY = {"M": 120, "Q": 200}
_LONGEST_CARRY_OF_SHORT_PERIODS = 45

_DAY = 86_400_000_000  # microseconds


def weekly(daily: pd.Series, how: str) -> pd.Series:
    """Days to reserve weeks (Thursday to Wednesday); a week appears once its last business day has a value.

    The mean counts each published day once, so a Friday's rate weighs one day, not three.

    Parameters
    ----------
    daily : (T,) any unit, by day, in order; missing values count as absent
    how   : "mean" over the days that have a value, "last", "sum" or "max"

    Returns
    -------
    (W,) same unit, by Wednesday

    Raises
    ------
    UsageError : ``how`` is none of these
    """
    if how not in ("mean", "last", "sum", "max"):
        raise UsageError(f"unknown way to make weeks of days: {how!r}. Use one of: mean, last, sum, max.")
    values = daily.to_numpy(dtype=float)
    published = ~np.isnan(values)
    days, values = _days(daily.index)[published], values[published]
    if not len(days):
        return pd.Series(dtype=float, index=pd.DatetimeIndex([], dtype="M8[us]"), name=daily.name)
    week = week_end(days)
    starts = np.flatnonzero(np.r_[True, week[1:] != week[:-1]])
    reduced, weeks = _reduce(values, starts, how), week[starts]
    whole = slice(
        # Part of a week's flow is not the week's flow; part of its rates is a fair mean of them.
        int(how == "sum" and days[0] > _business_day(weeks[0] - np.timedelta64(6, "D"), 0, "forward")),
        len(weeks) - int(days[-1] < _business_day(weeks[-1], 0, "backward")),
    )
    return pd.Series(reduced[whole], index=_index(weeks[whole]), name=daily.name)


def week_end(days: NDArray[np.datetime64]) -> NDArray[np.datetime64]:
    """The Wednesday that ends each day's reserve week; 1970-01-01 was a Thursday, the first day of one."""
    wednesdays: NDArray[np.datetime64] = days + (6 - days.astype("int64") % 7).astype("timedelta64[D]")
    return wednesdays


def _business_day(day: np.datetime64, offset: int, roll: Literal["forward", "backward"]) -> np.datetime64:
    shifted: np.datetime64 = np.busday_offset(day, offset, roll=roll, busdaycal=business_calendar("fed"))
    return shifted


def _reduce(values: NDArray[np.float64], starts: NDArray[np.intp], how: str) -> NDArray[np.float64]:
    ends = np.r_[starts[1:], len(values)]
    if how == "last":
        return np.asarray(values[ends - 1])
    ufunc = np.maximum if how == "max" else np.add
    reduced = np.asarray(ufunc.reduceat(values, starts))
    return reduced / (ends - starts) if how == "mean" else reduced


def every_day(balances: pd.Series) -> pd.Series:
    """Business days to calendar days: a balance stands until the next one is struck.

    The week averages of H.4.1 are over seven calendar days, so a Friday's balance counts three times.

    Parameters
    ----------
    balances : (T,) any unit, by business day, in order

    Returns
    -------
    (D,) same unit, by calendar day, to the eve of the business day after the last balance
    """
    if balances.empty:
        return balances
    days = _days(balances.index)
    following = np.r_[days[1:], _business_day(days[-1], 1, "backward")]
    stands = (following - days).astype("int64")
    calendar = np.arange(days[0], following[-1], np.timedelta64(1, "D"))
    return pd.Series(np.repeat(balances.to_numpy(dtype=float), stands), index=_index(calendar), name=balances.name)


def lag(series: pd.Series, weeks: int) -> pd.Series:
    """x(t - weeks), aligned on t. ``series`` is weekly."""
    return series.set_axis(series.index + pd.Timedelta(days=7 * weeks))


def present(values: NDArray[np.float64], periods: pd.Index) -> pd.Series:
    """Values by period, without the missing ones."""
    known = ~np.isnan(values)
    return pd.Series(values, index=periods) if known.all() else pd.Series(values[known], index=periods[known])


def at(series: pd.Series, periods: pd.Index) -> NDArray[np.float64]:
    """Values of a series at the periods asked for, in order; missing where it has none.

    What ``series.reindex(periods).to_numpy()`` gives, for rising periods and several times faster.
    """
    return _at(series.to_numpy(dtype=float), _microseconds(series.index), _microseconds(periods))


def _at(values: NDArray[np.float64], labels: NDArray[np.int64], wanted: NDArray[np.int64]) -> NDArray[np.float64]:
    if not len(labels):
        return np.full(len(wanted), np.nan)
    position = np.minimum(np.searchsorted(labels, wanted), len(labels) - 1)
    return np.where(labels[position] == wanted, values[position], np.nan)


def difference(series: pd.Series, weeks: int = 1) -> pd.Series:
    """x(t) - x(t - weeks), same unit. ``series`` is weekly; missing weeks stay missing."""
    return present(series.to_numpy(dtype=float) - at(lag(series, weeks), series.index), series.index)


def growth(series: pd.Series, months: int = 12) -> pd.Series:
    """Percent change from the value of the same month, or quarter, ``months`` earlier: 100 * (x(t) / x(t - months) - 1).

    Matched by date, not by position: a month that was never published leaves its successors' growth alone.
    """
    month = series.index.to_numpy().astype("datetime64[M]").view("int64")
    values = series.to_numpy(dtype=float)
    return present(100 * (values / _at(values, month, month - months) - 1), series.index)


def expanding_standardise(series: pd.Series, minimum: int = 52) -> pd.Series:
    """(x(t) - mean(x(1..t))) / sd(x(1..t)); missing until ``minimum`` values are known."""
    window = series.expanding(min_periods=minimum)
    return ((series - window.mean()) / window.std()).dropna()


def last_week_over(as_of: pd.Timestamp) -> pd.Timestamp:
    """The last Wednesday that ended before the instant."""
    day = as_of.tz_localize(None).normalize()
    return (day - pd.Timedelta(days=(day.weekday() - 3) % 7 + 1)).as_unit("us")


def as_known(panel: Panel, name: str, periods: pd.DatetimeIndex) -> pd.Series:
    """For each reserve week the latest value of a slower series that was public by Thursday 17:00 after it.

    History is aligned by the release clock, as the last row is: a row of 2018 holds what was known in 2018.
    The values are those of the panel, so revisions up to its instant are in.

    Parameters
    ----------
    panel   : needs ``name``
    periods : (T,) Wednesdays

    Returns
    -------
    (T,) the series' own unit; missing before its first release and once the latest value has grown stale
    """
    return pd.Series(_carried(panel.series(name), panel.catalog[name], periods), index=periods, name=name)


def by_reserve_week(series: pd.Series, spec: SeriesSpec, panel: Panel) -> pd.Series:
    """A monthly or quarterly series for every reserve week that is over, as :func:`as_known`.

    Parameters
    ----------
    series : (T,) any unit, by the periods of ``spec``; may be computed from several series
    spec   : the input that is released last
    panel  : gives the instant
    """
    if series.empty:
        return series
    first = week_end(_days(series.index[:1]))[0].item()
    weeks = pd.date_range(first, last_week_over(panel.as_of), freq="7D", unit="us")
    return present(_carried(series, spec, weeks), weeks)


def _carried(series: pd.Series, spec: SeriesSpec, periods: pd.DatetimeIndex) -> NDArray[np.float64]:
    """Latest value whose period was released, by the rule of ``spec``, by Thursday 17:00 after each week."""
    released = _clock(spec.release, spec.frequency, _microseconds(series.index).tobytes())
    deadline = _microseconds(periods) + 41 * _DAY // 24  # from the start of Wednesday
    position = np.searchsorted(released, deadline, side="right") - 1
    latest = np.maximum(position, 0)
    age = (deadline - released[latest]) // _DAY
    fresh = (position >= 0) & (age <= _LONGEST_CARRY.get(spec.frequency, _LONGEST_CARRY_OF_SHORT_PERIODS))
    return np.where(fresh, series.to_numpy(dtype=float)[latest], np.nan)


@lru_cache(maxsize=64)
def _clock(rule: str, frequency: str, periods: bytes) -> NDArray[np.int64]:
    """Release times, microseconds of New York time, never falling. The next origin mostly asks for the same ones."""
    local = RELEASE_RULES[rule].local(period_end(np.frombuffer(periods, "M8[us]"), frequency))
    return np.maximum.accumulate(local.astype("datetime64[us]").view("int64"))


def _days(index: pd.Index) -> NDArray[np.datetime64]:
    # Dividing integers is six times faster than casting datetimes.
    return (_microseconds(index) // _DAY).view("datetime64[D]")


def _microseconds(index: pd.Index) -> NDArray[np.int64]:
    return index.to_numpy().astype("datetime64[us]", copy=False).view("int64")


def _index(days: NDArray[np.datetime64]) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(days.astype("datetime64[us]"))
