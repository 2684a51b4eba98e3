"""Transforms of series. Each looks backwards only: a value never depends on a later one."""

from __future__ import annotations

from datetime import date
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
WEEK = 7 * _DAY
_EPOCH = date(1970, 1, 1).toordinal()
_FIRST = np.zeros(1, dtype=np.intp)

# A slice of an index costs a third of an index: every origin wants the same weeks and some more.
_FIRST_WEDNESDAY = (date(1900, 1, 3).toordinal() - _EPOCH) * _DAY
_WEDNESDAYS = pd.DatetimeIndex((_FIRST_WEDNESDAY + WEEK * np.arange(52 * 200)).view("M8[us]"))

type Labelled = tuple[NDArray[np.int64], NDArray[np.float64]]  # microseconds since 1970 in order, value of each


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
    weeks, values = weeks_of_days(microseconds(daily.index), daily.to_numpy(dtype=float), how)
    return pd.Series(values, index=pd.DatetimeIndex(weeks.view("M8[us]")), name=daily.name)


def weeks_of_days(days: NDArray[np.int64], values: NDArray[np.float64], how: str) -> Labelled:
    """:func:`weekly` on arrays: days and the Wednesdays that come back are microseconds since 1970."""
    if how not in ("mean", "last", "sum", "max"):
        raise UsageError(f"unknown way to make weeks of days: {how!r}. Use one of: mean, last, sum, max.")
    missing = np.isnan(values)
    if missing.any():
        days, values = days[~missing], values[~missing]
    if not len(days):
        return days, values
    week = days // WEEK  # 1970-01-01 was a Thursday, the first day of a reserve week
    starts = np.concatenate([_FIRST, np.flatnonzero(week[1:] != week[:-1]) + 1])
    reduced, weeks = _reduce(values, starts, how), week[starts]
    whole = slice(
        # Part of a week's flow is not the week's flow; part of its rates is a fair mean of them.
        int(how == "sum" and days[0] // _DAY > _business_day(7 * int(weeks[0]), "forward")),
        len(weeks) - int(days[-1] // _DAY < _business_day(7 * int(weeks[-1]) + 6, "backward")),
    )
    return weeks[whole] * WEEK + 6 * _DAY, reduced[whole]


def week_end(days: NDArray[np.datetime64]) -> NDArray[np.datetime64]:
    """The Wednesday that ends each day's reserve week; 1970-01-01 was a Thursday, the first day of one."""
    wednesdays: NDArray[np.datetime64] = days + (6 - days.astype("int64") % 7).astype("timedelta64[D]")
    return wednesdays


def _business_day(day: int, roll: Literal["forward", "backward"], offset: int = 0) -> int:
    """Days since 1970 of the day itself, if the Fed is open, or of the next or last one on which it is."""
    shifted = np.busday_offset(np.datetime64(day, "D"), offset, roll=roll, busdaycal=business_calendar("fed"))
    return int(shifted.astype("int64"))


def _reduce(values: NDArray[np.float64], starts: NDArray[np.intp], how: str) -> NDArray[np.float64]:
    ends = np.append(starts[1:], len(values))
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
    following = np.r_[days[1:], np.datetime64(_business_day(int(days[-1].astype("int64")), "backward", 1), "D")]
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
    return _at(series.to_numpy(dtype=float), microseconds(series.index), microseconds(periods))


def _at(values: NDArray[np.float64], labels: NDArray[np.int64], wanted: NDArray[np.int64]) -> NDArray[np.float64]:
    if not len(labels):
        return np.full(len(wanted), np.nan)
    position = np.minimum(np.searchsorted(labels, wanted), len(labels) - 1)
    return np.where(labels[position] == wanted, values[position], np.nan)


def difference(series: pd.Series, weeks: int = 1) -> pd.Series:
    """x(t) - x(t - weeks), same unit. ``series`` is weekly; missing weeks stay missing."""
    values, labels = series.to_numpy(dtype=float), microseconds(series.index)
    return present(values - _at(values, labels + weeks * WEEK, labels), series.index)


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
    return pd.Timestamp(np.datetime64(last_wednesday(as_of), "us"))


def last_wednesday(as_of: pd.Timestamp) -> int:
    """:func:`last_week_over` as microseconds since 1970."""
    # Of the day's number: pandas' arithmetic with time zones takes thirty microseconds, at every origin.
    return (as_of.toordinal() - _EPOCH) // 7 * WEEK - _DAY


def consecutive_weeks(first: int, n: int) -> pd.DatetimeIndex:
    """``n`` periods a week apart, the first in microseconds since 1970."""
    row, off = divmod(first - _FIRST_WEDNESDAY, WEEK)
    if off or row < 0 or row + n > len(_WEDNESDAYS):
        return pd.DatetimeIndex((first + WEEK * np.arange(n)).view("M8[us]"))
    return _WEDNESDAYS[row : row + n]


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
    first = int(microseconds(series.index[:1])[0]) // WEEK * WEEK + 6 * _DAY
    weeks = consecutive_weeks(first, max((last_wednesday(panel.as_of) - first) // WEEK + 1, 0))
    return present(_carried(series, spec, weeks), weeks)


def _carried(series: pd.Series, spec: SeriesSpec, periods: pd.DatetimeIndex) -> NDArray[np.float64]:
    """Latest value whose period was released, by the rule of ``spec``, by Thursday 17:00 after each week."""
    released = _clock(spec.release, spec.frequency, microseconds(series.index).tobytes())
    deadline = microseconds(periods) + 41 * _DAY // 24  # from the start of Wednesday
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
    return (microseconds(index) // _DAY).view("datetime64[D]")


def microseconds(index: pd.Index) -> NDArray[np.int64]:
    """Labels of a series as microseconds since 1970."""
    if isinstance(index, pd.DatetimeIndex) and index.unit == "us":
        return index.asi8  # to_numpy() copies what it wraps
    return index.to_numpy().astype("datetime64[us]", copy=False).view("int64")


def _index(days: NDArray[np.datetime64]) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(days.astype("datetime64[us]"))
