"""Overnight rates against the rates the central bank administers. Spreads are basis points.

Rates are published for business days; the value of a reserve week is the mean over the days that have one, each
day counting once.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.data.vintages import Panel
from forecast.features.feature_set import feature
from forecast.features.transforms import at

# Interest on excess reserves (IOER) became interest on reserve balances (IORB) on this day.
IORB_BEGINS = pd.Timestamp("2021-07-29")


def administered_rate(panel: Panel, days: pd.DatetimeIndex) -> NDArray[np.float64]:
    """The rate paid on reserves: IOER to 2021-07-28, IORB from 2021-07-29.

    Parameters
    ----------
    panel : needs ``ioer`` or ``iorb`` (percent, every day); before mid-2021 only the first was public
    days  : (T,) calendar days

    Returns
    -------
    (T,) percent; missing where the rate in force that day was not public

    Raises
    ------
    MissingSeriesError : neither was released by the panel's instant
    """
    names = [name for name in ("ioer", "iorb") if panel.has(name)] or ["iorb"]
    rates = {name: at(panel.series(name), days) for name in names}
    unknown = np.full(len(days), np.nan)
    return np.where(days < IORB_BEGINS, rates.get("ioer", unknown), rates.get("iorb", unknown))


def _spread(rate: pd.Series, reference: NDArray[np.float64]) -> pd.Series:
    """100 * (rate - reference) in bp; percent each, by the days of the rate.

    Rates are published to the basis point at best; rounding to 1e-6 bp removes binary noise, so that a spread
    that did not move is exactly unmoved.
    """
    return pd.Series((100 * (rate.to_numpy() - reference)).round(6), index=rate.index)


def _over_administered(panel: Panel, name: str) -> pd.Series:
    rate = panel.series(name)
    return _spread(rate, administered_rate(panel, pd.DatetimeIndex(rate.index)))


def _over_series(panel: Panel, name: str, reference: str) -> pd.Series:
    rate = panel.series(name)
    return _spread(rate, at(panel.series(reference), rate.index))


@feature(inputs=["effr", "ioer", "iorb"], unit="bp", frequency="D")
def effr_iorb(panel: Panel) -> pd.Series:
    """Effective federal funds rate over the rate on reserves.

        s(d) = 100 * (effr(d) - iorb(d)),  mean over the published days of the week

    The price of reserves in the demand curve: it rises as reserves become scarce. The rate on reserves is IOER to
    2021-07-28 and IORB from the next day. Daily EFFR comes at 9:00 on the next business day, so on Thursday the week
    just ended is known, unless that Thursday is a holiday.

    Returns
    -------
    (T,) bp

    References
    ----------
    Afonso, Giannone, La Spada and Williams (2022), Staff Report 1019, section 3.
    """
    return _over_administered(panel, "effr")


@feature(inputs=["sofr", "ioer", "iorb"], unit="bp", frequency="D")
def sofr_iorb(panel: Panel) -> pd.Series:
    """Secured overnight financing rate over the rate on reserves.

        100 * (sofr(d) - iorb(d)),  mean over the published days of the week

    Above zero, lending in repo pays more than holding reserves.

    Returns
    -------
    (T,) bp, from 2018-04
    """
    return _over_administered(panel, "sofr")


@feature(inputs=["tgcr", "ioer", "iorb"], unit="bp", frequency="D")
def tgcr_iorb(panel: Panel) -> pd.Series:
    """Tri-party general collateral rate over the rate on reserves.

        100 * (tgcr(d) - iorb(d)),  mean over the published days of the week

    Returns
    -------
    (T,) bp, from 2018-04
    """
    return _over_administered(panel, "tgcr")


@feature(inputs=["sofr", "effr"], unit="bp", frequency="D")
def sofr_effr(panel: Panel) -> pd.Series:
    """Secured over unsecured overnight rate.

        100 * (sofr(d) - effr(d)),  mean over the published days of the week

    Returns
    -------
    (T,) bp; positive when repo is dearer than federal funds
    """
    return _over_series(panel, "sofr", "effr")


@feature(inputs=["sofr_p75", "sofr_p25"], unit="bp", frequency="D")
def sofr_spread_75_25(panel: Panel) -> pd.Series:
    """Interquartile range of repo rates within a day.

        100 * (sofr_p75(d) - sofr_p25(d)),  mean over the published days of the week

    Returns
    -------
    (T,) bp, volume-weighted percentiles
    """
    return _over_series(panel, "sofr_p75", "sofr_p25")


@feature(inputs=["sofr_p99", "sofr_p25"], unit="bp", frequency="D")
def sofr_spread_99_25(panel: Panel) -> pd.Series:
    """Upper tail of repo rates within a day: the dearest percent of volume over the cheap quarter.

        100 * (sofr_p99(d) - sofr_p25(d)),  mean over the published days of the week

    Returns
    -------
    (T,) bp, volume-weighted percentiles
    """
    return _over_series(panel, "sofr_p99", "sofr_p25")


@feature(inputs=["effr", "target_lower"], unit="bp", frequency="D")
def effr_target_distance(panel: Panel) -> pd.Series:
    """Where the effective federal funds rate stands in the target range.

        100 * (effr(d) - target_lower(d)),  mean over the published days of the week

    Returns
    -------
    (T,) bp above the range's lower limit; the range is 25 bp wide
    """
    return _over_series(panel, "effr", "target_lower")


@feature(inputs=["sofr", "target_upper"], unit="bp", frequency="D")
def sofr_target_distance(panel: Panel) -> pd.Series:
    """How far repo rates stand from the upper limit of the target range.

        100 * (sofr(d) - target_upper(d)),  mean over the published days of the week

    Returns
    -------
    (T,) bp; positive when SOFR is above the range
    """
    return _over_series(panel, "sofr", "target_upper")


@feature(inputs=["on_rrp_rate", "ioer", "iorb"], unit="bp", frequency="D")
def iorb_on_rrp_gap(panel: Panel) -> pd.Series:
    """Rate on reserves over the overnight reverse repo rate: the width of the floor system.

        100 * (iorb(d) - on_rrp_rate(d)),  mean over the days of operation in the week

    Technical adjustments narrow or widen it and shift the demand curve vertically.

    Returns
    -------
    (T,) bp
    """
    return -_over_administered(panel, "on_rrp_rate")
