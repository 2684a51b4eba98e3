"""The economy as it was known: monthly series brought to reserve weeks by the release clock.

A row holds the latest figure that was public by Thursday 17:00 after the week, in the panel's revision.
"""

from __future__ import annotations

import pandas as pd

from forecast.data.vintages import Panel
from forecast.features.feature_set import feature
from forecast.features.transforms import by_reserve_week, growth


@feature(inputs=["unemployment"], unit="percent")
def unemployment(panel: Panel) -> pd.Series:
    """Unemployment rate last published.

        unemployment(last month public by Thursday 17:00 after t)

    Returns
    -------
    (T,) percent of the labour force
    """
    return _latest(panel, "unemployment", panel.series("unemployment"))


@feature(inputs=["cpi"], unit="percent")
def inflation(panel: Panel) -> pd.Series:
    """Consumer price inflation over twelve months, last published.

        100 * (cpi(m) / cpi(m - 12) - 1),  m = last month public by Thursday 17:00 after t

    Returns
    -------
    (T,) percent a year
    """
    return _latest(panel, "cpi", growth(panel.series("cpi")))


@feature(inputs=["m2"], unit="percent")
def m2_growth(panel: Panel) -> pd.Series:
    """Growth of the broad money stock over twelve months, last published.

        100 * (m2(m) / m2(m - 12) - 1),  m = last month public by Thursday 17:00 after t

    Returns
    -------
    (T,) percent a year
    """
    return _latest(panel, "m2", growth(panel.series("m2")))


@feature(inputs=["m2", "monetary_base"], unit="ratio")
def money_multiplier(panel: Panel) -> pd.Series:
    """Broad money per dollar of monetary base, last published.

        m2(m) / monetary_base(m),  m = last month public by Thursday 17:00 after t

    It fell by half in 2008-14: with interest on reserves the base no longer limits money.

    Returns
    -------
    (T,) ratio
    """
    return _latest(panel, "m2", (panel.series("m2") / panel.series("monetary_base")).dropna())


@feature(inputs=["m2", "currency_average"], unit="usd_bn")
def money_less_currency(panel: Panel) -> pd.Series:
    """Broad money that is not currency, last published: nearly all of it deposits.

        m2(m) - mean of currency_average over the reserve weeks that end in m,
        m = last month public by Thursday 17:00 after t

    Seasonally adjusted money less currency that is not; the currency in banks' own vaults, which is no money, is taken
    off too. It goes on where the series of deposits ends, so its growth can carry theirs.

    Returns
    -------
    (T,) usd_bn
    """
    money, currency = panel.series("m2"), panel.series("currency_average")
    by_month = currency.groupby(currency.index.to_numpy().astype("datetime64[M]").astype("datetime64[us]")).mean()
    return _latest(panel, "m2", (money - by_month).dropna())


def _latest(panel: Panel, name: str, series: pd.Series) -> pd.Series:
    return by_reserve_week(series, panel.catalog[name], panel)
