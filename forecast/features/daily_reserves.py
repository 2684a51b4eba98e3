"""A daily proxy of reserve balances, from what is published daily and the weekly statement.

    dR(d) = dA(d) + dSRF(d) - dTGA(d) - dONRRP(d) - dForeignRRP(d) - dCurrency(d) - dOther(d)

Daily are the Treasury's account (from 2021-06-24 in the Daily Treasury Statement), overnight reverse repo and standing repo.
A, all assets but standing repo (securities, loans, swaps), the foreign pool and currency are interpolated between published
values. dOther is nowhere daily: it is the discrepancy that Denton's method spreads as smoothly as the published week
averages of reserves allow (:mod:`forecast.numerics.denton`).

Only what was released by the panel's instant is used. After the last published week everything weekly, the discrepancy
too, is carried forward; nothing is interpolated towards a week to come. Days of published weeks are another matter: a day
rests on the averages of its own and later weeks, so the row of a day changes, by less and less, as later weeks come out. The
last row of each day's panel is what could be known; the rows before it are history as it was known at the origin, not as it
was known at the time. For that reason the proxy is no registered feature, whose rows rest on their past alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.calendar import business_calendar
from forecast.data.vintages import Panel
from forecast.errors import ShortHistoryError, UsageError
from forecast.features.feature_set import Design, Feature, find_feature
from forecast.features.liabilities import on_rrp_outstanding
from forecast.features.transforms import as_known, at, every_day, week_end
from forecast.numerics.denton import denton

if TYPE_CHECKING:
    from scipy.sparse import csr_array

type Array = NDArray[np.float64]
type Days = NDArray[np.datetime64]  # datetime64[D]

_RATIO = "reserve_ratio"
# From the Wednesday that labels a week average to the middle of the week, Sunday.
_TO_MIDDLE = np.timedelta64(3, "D")


@dataclass(frozen=True, slots=True, eq=False)
class DailyReserves:
    """Reserve balances at the end of each business day.

    reserves    : (T,) usd_bn, by Federal Reserve business day
    discrepancy : (T,) usd_bn, reserves less what the items with a source of their own add up to
    benchmarked : Wednesday of the last published week; later days carry its discrepancy forward
    """

    reserves: pd.Series
    discrepancy: pd.Series
    benchmarked: pd.Timestamp


def daily_reserves(panel: Panel) -> DailyReserves:
    """Daily reserve balances whose week averages are the published ones.

        min sum (o(d) - o(d-1))^2  over o,  R(d) = A(d) + SRF(d) - TGA(d) - ONRRP(d) - ForeignRRP(d) - Currency(d) + o(d)
        subject to  (1/7) sum over the calendar days of week t of R = reserves_average(t)

    A balance stands until the next business day, so a Friday's counts three times, as in H.4.1.

    Parameters
    ----------
    panel : needs ``reserves_average``, ``total_assets_wednesday``, ``tga_daily``, ``on_rrp``, ``foreign_rrp_wednesday``,
            ``currency_average`` and, once it exists, ``srf`` (usd_bn)

    Returns
    -------
    usd_bn, from the first to the last day of which all daily items are published

    Raises
    ------
    MissingSeriesError : names the series and the command that fetches it
    ShortHistoryError  : no published week lies within the days of the daily items
    """
    days, indicator = _indicator(panel)
    published = panel.series("reserves_average")
    weights, rows = week_shares(days, published.index.to_numpy().astype("datetime64[D]"))
    if not len(rows):
        raise ShortHistoryError(
            f"no published week lies within the daily items, {days[0]} to {days[-1]}: ask a week or two later."
        )
    reserves = denton(indicator, published.to_numpy(dtype=float)[rows], weights)
    index = pd.DatetimeIndex(days.astype("datetime64[us]"))
    return DailyReserves(
        pd.Series(reserves, index, name="daily_reserves"),
        pd.Series(reserves - indicator, index, name="discrepancy"),
        pd.Timestamp(published.index[rows[-1]]),
    )


def week_shares(days: Days, weeks: Days) -> tuple[csr_array, NDArray[np.intp]]:
    """How much of each week average each business day's balance is.

    Parameters
    ----------
    days  : (T,) consecutive business days
    weeks : (W,) Wednesdays in order

    Returns
    -------
    (J, T) shares in sevenths, sparse, and (J,) which of the weeks: those with all seven days
    """
    from scipy.sparse import csr_array

    after = np.busday_offset(days[-1:], 1, roll="backward", busdaycal=business_calendar("fed"))
    stands = np.diff(np.concatenate([days, after])).astype("int64")
    standing = np.repeat(np.arange(len(days)), stands)
    wednesday = week_end(np.arange(days[0], after[0]))
    week = np.searchsorted(weeks, wednesday)
    known = week < len(weeks)
    known[known] = weeks[week[known]] == wednesday[known]
    entries = np.full(int(known.sum()), 1 / 7), (week[known], standing[known])
    whole = np.flatnonzero(np.bincount(week[known], minlength=len(weeks)) == 7)
    return csr_array(entries, shape=(len(weeks), len(days)))[whole], whole


def _indicator(panel: Panel) -> tuple[Days, Array]:
    """Business days, and reserves by the items that have a source of their own; up to what has none, usd_bn."""
    tga = every_day(panel.series("tga_daily"))
    every = tga.index.to_numpy().astype("datetime64[D]")
    days = every[np.is_busday(every, busdaycal=business_calendar("fed"))]
    index = pd.DatetimeIndex(days.astype("datetime64[us]"))
    weeks, currency = _weekly(panel, "currency_average")
    values = (
        _between(*_assets(panel), days)
        + _standing_repo(panel, index)
        - at(tga, index)
        - at(every_day(on_rrp_outstanding(panel)), index)
        - _between(*_weekly(panel, "foreign_rrp_wednesday"), days)
        - _between(weeks - _TO_MIDDLE, currency, days)
    )
    known = np.isfinite(values)
    return days[known], values[known]


def _weekly(panel: Panel, name: str) -> tuple[Days, Array]:
    series = panel.series(name)
    return series.index.to_numpy().astype("datetime64[D]"), series.to_numpy(dtype=float)


def _assets(panel: Panel) -> tuple[Days, Array]:
    """All assets but standing repo, by Wednesday."""
    total = panel.series("total_assets_wednesday")
    days, values = _weekly(panel, "total_assets_wednesday")
    less = _standing_repo(panel, pd.DatetimeIndex(total.index))
    known = np.isfinite(less)
    return days[known], (values - less)[known]


def _standing_repo(panel: Panel, days: pd.DatetimeIndex) -> Array:
    """Zero before there was a facility; missing after the last result."""
    begins = panel.catalog["srf"].starts
    exists = np.ones(len(days), dtype=bool) if begins is None else np.asarray(days >= pd.Timestamp(begins))
    return np.where(exists, at(every_day(panel.series("srf")), days), 0.0) if exists.any() else np.zeros(len(days))


def _between(known: Days, values: Array, days: Days) -> Array:
    """On straight lines between published values; before the first and after the last, those."""
    return np.asarray(np.interp(days.astype("int64"), known.astype("int64"), values))


def daily_reserve_ratio(panel: Panel) -> pd.Series:
    """Daily reserves relative to the latest bank assets that were public.

        x(d) = 100 * R(d) / bank_assets(k(d)),  k(d) = last H.8 week public by 17:00 on the day after d

    Returns
    -------
    (T,) percent of bank assets, by business day; history in today's revision of bank assets

    Raises
    ------
    MissingSeriesError, ShortHistoryError : as :func:`daily_reserves`
    """
    reserves = daily_reserves(panel).reserves
    assets = as_known(panel, "bank_assets", pd.DatetimeIndex(reserves.index))
    return (100 * reserves / assets).rename(_RATIO)


def daily_design(panel: Panel, spread: str = "effr_iorb") -> Design:
    """Spread and reserve ratio by business day, for models that are told so; the names are those of the weekly features.

    ``Design.future`` counts weeks and has no meaning here: daily designs tell slopes and make no forecasts.

    Parameters
    ----------
    spread : daily feature over the rate on reserves, bp

    Returns
    -------
    targets (T, 1) bp and features (T, 1) percent, by Federal Reserve business day up to the last with either

    Raises
    ------
    UsageError                            : the spread is not daily
    MissingSeriesError, ShortHistoryError : as :func:`daily_reserves`
    """
    item = find_feature(spread)
    if not isinstance(item, Feature) or item.frequency != "D":
        raise UsageError(f"{spread!r} is no daily feature. Use one such as effr_iorb or sofr_iorb.")
    ratio, values = daily_reserve_ratio(panel), item.compute(panel)
    days = pd.DatetimeIndex(ratio.index.union(values.loc[ratio.index[0] :].index))
    ratio_item = find_feature(_RATIO)
    return Design(
        values.reindex(days).rename(spread).to_frame(),
        ratio.reindex(days).to_frame(),
        {spread: item.unit, _RATIO: ratio_item.unit},
        frozenset(),
    )
