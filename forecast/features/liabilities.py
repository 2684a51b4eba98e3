"""The other liabilities of the central bank: what takes reserves away, or gives them back.

Balances are usd_bn. Week averages are over seven calendar days, as in H.4.1.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from forecast.calendar import repo_calendar
from forecast.data.vintages import Panel
from forecast.features.feature_set import feature
from forecast.features.transforms import at, difference, every_day, present, weekly

# First daily operation of the overnight facility; the few operations before it were tests of other kinds.
ON_RRP_BEGINS = pd.Timestamp("2013-09-23")


@feature(inputs=["tga_average"], unit="usd_bn")
def tga_level(panel: Panel) -> pd.Series:
    """The Treasury's account at the central bank, week average.

        tga_average(t)

    Returns
    -------
    (T,) usd_bn
    """
    return panel.series("tga_average")


@feature(inputs=["tga_average"], unit="usd_bn")
def tga_change(panel: Panel) -> pd.Series:
    """Change of the Treasury's account over the week; a rise drains reserves one for one.

        tga_average(t) - tga_average(t - 1)

    Returns
    -------
    (T,) usd_bn a week
    """
    return difference(panel.series("tga_average"))


@feature(inputs=["currency_average"], unit="usd_bn")
def currency_change(panel: Panel) -> pd.Series:
    """Change of currency in circulation over the week; a rise drains reserves one for one.

        currency_average(t) - currency_average(t - 1)

    Returns
    -------
    (T,) usd_bn a week
    """
    return difference(panel.series("currency_average"))


@feature(inputs=["foreign_rrp_wednesday"], unit="usd_bn")
def foreign_rrp(panel: Panel) -> pd.Series:
    """Repurchase pool of foreign official accounts, on Wednesday.

        foreign_rrp_wednesday(t)

    Returns
    -------
    (T,) usd_bn, a Wednesday level: do not add it to week averages
    """
    return panel.series("foreign_rrp_wednesday")


@feature(inputs=["on_rrp"], unit="usd_bn")
def on_rrp_take_up(panel: Panel) -> pd.Series:
    """Overnight reverse repo outstanding, average over the seven days of the week.

        (1/7) * sum over calendar days d of week t of on_rrp(last operation on or before d)

    A Friday's operation stands until Monday, and Thursday's stands over a Good Friday, when the Federal Reserve is
    open but the repo market is not. So averaged, it equals the H.4.1 week average of 2021-23 within 0.6 bn.

    Returns
    -------
    (T,) usd_bn, from the week of the first daily operation, 2013-09-23
    """
    return weekly(every_day(on_rrp_outstanding(panel)), "mean").loc[ON_RRP_BEGINS:]


@feature(inputs=["on_rrp"], unit="usd_bn")
def on_rrp_change(panel: Panel) -> pd.Series:
    """Change of overnight reverse repo over the week; a rise drains reserves.

        on_rrp_take_up(t) - on_rrp_take_up(t - 1)

    Returns
    -------
    (T,) usd_bn a week
    """
    return difference(on_rrp_take_up.compute(panel))


@feature(inputs=["reserves_average", "tga_average", "on_rrp", "currency_average"], unit="percent")
def on_rrp_share(panel: Panel) -> pd.Series:
    """Overnight reverse repo as a share of the main liabilities.

        100 * on_rrp / (reserves + tga + on_rrp + currency), week averages

    While it is large, runoff drains it rather than reserves. Zero before the facility existed.

    Returns
    -------
    (T,) percent
    """
    return _share(panel, "on_rrp")


@feature(inputs=["reserves_average", "tga_average", "on_rrp", "currency_average"], unit="percent")
def tga_share(panel: Panel) -> pd.Series:
    """The Treasury's account as a share of the main liabilities.

        100 * tga / (reserves + tga + on_rrp + currency), week averages

    Returns
    -------
    (T,) percent
    """
    return _share(panel, "tga_average")


@feature(inputs=["srf"], unit="usd_bn", frequency="D", weekly="mean")
def srf_take_up(panel: Panel) -> pd.Series:
    """Standing repo accepted, average over the business days of the week.

        mean over days of srf(d)

    Returns
    -------
    (T,) usd_bn a day, from 2021-07-29: before that there was no facility, which is not zero take-up
    """
    return _standing_repo(panel)


@feature(inputs=["srf"], unit="usd_bn", frequency="D", weekly="max")
def srf_peak(panel: Panel) -> pd.Series:
    """Standing repo accepted on the week's heaviest day.

        max over days of srf(d)

    Returns
    -------
    (T,) usd_bn, from 2021-07-29
    """
    return _standing_repo(panel)


def _standing_repo(panel: Panel) -> pd.Series:
    series, begins = panel.series("srf"), panel.catalog["srf"].starts
    return series if begins is None else series.loc[pd.Timestamp(begins) :]


def on_rrp_outstanding(panel: Panel) -> pd.Series:
    """Overnight reverse repo by operation day, without the zeros that stand for a missing record.

    No operation is held when the repo market is closed, and the record lacks the operation of longer term on the
    eve of such a day: an absent value there means "as before", not the zero that the catalogue puts in.
    """
    series = panel.series("on_rrp").loc[ON_RRP_BEGINS - pd.Timedelta(days=7) :]
    days = series.index.to_numpy().astype("datetime64[D]")
    closed = ~np.is_busday(days, busdaycal=repo_calendar())
    eve = np.r_[closed[1:], False]
    recorded: pd.Series = series.loc[(series != 0) | ~(closed | eve)]
    return recorded


def _share(panel: Panel, item: str) -> pd.Series:
    """An item in percent of the main liabilities, by the weeks of reserves; no overnight facility before it began."""
    weeks = panel.series("reserves_average").index
    items = {name: at(panel.series(name), weeks) for name in ("reserves_average", "tga_average", "currency_average")}
    items["on_rrp"] = np.zeros(len(weeks))
    if panel.as_of.tz_localize(None) >= ON_RRP_BEGINS:
        items["on_rrp"] = np.where(weeks < ON_RRP_BEGINS, 0.0, at(on_rrp_take_up.compute(panel), weeks))
    return present(100 * items[item] / np.sum(list(items.values()), axis=0), weeks)
