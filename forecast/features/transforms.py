"""Transforms of series. Each looks backwards only: a value never depends on a later one."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.calendar import NEW_YORK, business_day_offset, released_at, reserve_week
from forecast.data.vintages import Panel

_REDUCE = {"sum": np.add.reduceat, "max": np.maximum.reduceat}


def weekly(daily: pd.Series, how: str) -> pd.Series:
    """Days to reserve weeks (Thursday to Wednesday); a week appears once its last business day has a value.

    Parameters
    ----------
    daily : (T,) any unit, business days, in order
    how   : "mean" over the days that have a value, "last", "sum" or "max"

    Returns
    -------
    (W,) same unit, by Wednesday
    """
    if daily.empty:
        return daily
    weeks = reserve_week(daily.index)
    starts = np.flatnonzero(np.r_[True, weeks[1:] != weeks[:-1]])
    values = _reduce(daily.to_numpy(dtype=float), starts, how)
    result = pd.Series(values, index=weeks[starts])
    last_business_day = business_day_offset(result.index[-1:], 0, roll="backward")[0]
    complete = daily.index[-1].to_datetime64().astype("datetime64[D]") >= last_business_day
    return result if complete else result.iloc[:-1]


def _reduce(values: NDArray[np.float64], starts: NDArray[np.intp], how: str) -> NDArray[np.float64]:
    ends = np.r_[starts[1:], len(values)]
    if how == "last":
        return values[ends - 1]
    if how == "mean":
        return np.add.reduceat(values, starts) / (ends - starts)
    return _REDUCE[how](values, starts)


def lag(series: pd.Series, weeks: int) -> pd.Series:
    """x(t - weeks), aligned on t. ``series`` is weekly."""
    return series.set_axis(series.index + pd.Timedelta(days=7 * weeks))


def difference(series: pd.Series, weeks: int = 1) -> pd.Series:
    """x(t) - x(t - weeks), same unit. ``series`` is weekly."""
    return (series - lag(series, weeks)).dropna()


def expanding_standardise(series: pd.Series, minimum: int = 52) -> pd.Series:
    """(x(t) - mean(x(1..t))) / sd(x(1..t)); missing until ``minimum`` values are known."""
    window = series.expanding(min_periods=minimum)
    return ((series - window.mean()) / window.std()).dropna()


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
    (T,) the series' own unit; missing before its first release
    """
    series, spec = panel.series(name), panel.catalog[name]
    released = released_at(spec.release, series.index, spec.frequency).tz_convert(NEW_YORK).tz_localize(None)
    deadline = periods + pd.Timedelta(hours=24 + 17)
    position = np.searchsorted(np.maximum.accumulate(released.to_numpy()), deadline.to_numpy(), side="right") - 1
    values = np.where(position >= 0, series.to_numpy()[np.maximum(position, 0)], np.nan)
    return pd.Series(values, index=periods, name=name)
