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


def _latest(panel: Panel, name: str, series: pd.Series) -> pd.Series:
    return by_reserve_week(series, panel.catalog[name], panel)
