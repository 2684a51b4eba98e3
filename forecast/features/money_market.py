"""Overnight rates against the rates the central bank administers. Spreads are basis points.

Rates are published for business days; the value of a reserve week is the mean over the days that have one, each
day counting once.
"""

from __future__ import annotations

import pandas as pd

from forecast.data.vintages import Panel
from forecast.features.feature_set import feature

# Interest on excess reserves (IOER) became interest on reserve balances (IORB) on this day.
IORB_BEGINS = pd.Timestamp("2021-07-29")


def administered_rate(panel: Panel) -> pd.Series:
    """The rate paid on reserves: IOER to 2021-07-28, IORB from 2021-07-29.

    Parameters
    ----------
    panel : needs ``ioer`` or ``iorb`` (percent, every day); before mid-2021 only the first was public

    Returns
    -------
    (T,) percent, by calendar day, each day once

    Raises
    ------
    MissingSeriesError : neither was released by the panel's instant
    """
    eve = IORB_BEGINS - pd.Timedelta(days=1)
    parts = [panel.series("ioer").loc[:eve]] if panel.has("ioer") else []
    if panel.has("iorb") or not parts:
        parts.append(panel.series("iorb").loc[IORB_BEGINS:])
    return pd.concat(parts)


def spread(rate: pd.Series, reference: pd.Series) -> pd.Series:
    """100 * (rate - reference) in bp, on the days that have both (percent each).

    Rates are published to the basis point at best; rounding to 1e-6 bp removes binary noise, so that a spread
    that did not move is exactly unmoved.
    """
    both = reference.reindex(rate.index)
    return (100 * (rate - both)).dropna().round(6)


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
    return spread(panel.series("effr"), administered_rate(panel))


@feature(inputs=["sofr", "ioer", "iorb"], unit="bp", frequency="D")
def sofr_iorb(panel: Panel) -> pd.Series:
    """Secured overnight financing rate over the rate on reserves.

        100 * (sofr(d) - iorb(d)),  mean over the published days of the week

    Above zero, lending in repo pays more than holding reserves.

    Returns
    -------
    (T,) bp, from 2018-04
    """
    return spread(panel.series("sofr"), administered_rate(panel))


@feature(inputs=["tgcr", "ioer", "iorb"], unit="bp", frequency="D")
def tgcr_iorb(panel: Panel) -> pd.Series:
    """Tri-party general collateral rate over the rate on reserves.

        100 * (tgcr(d) - iorb(d)),  mean over the published days of the week

    Returns
    -------
    (T,) bp, from 2018-04
    """
    return spread(panel.series("tgcr"), administered_rate(panel))


@feature(inputs=["sofr", "effr"], unit="bp", frequency="D")
def sofr_effr(panel: Panel) -> pd.Series:
    """Secured over unsecured overnight rate.

        100 * (sofr(d) - effr(d)),  mean over the published days of the week

    Returns
    -------
    (T,) bp; positive when repo is dearer than federal funds
    """
    return spread(panel.series("sofr"), panel.series("effr"))


@feature(inputs=["sofr_p75", "sofr_p25"], unit="bp", frequency="D")
def sofr_spread_75_25(panel: Panel) -> pd.Series:
    """Interquartile range of repo rates within a day.

        100 * (sofr_p75(d) - sofr_p25(d)),  mean over the published days of the week

    Returns
    -------
    (T,) bp, volume-weighted percentiles
    """
    return spread(panel.series("sofr_p75"), panel.series("sofr_p25"))


@feature(inputs=["sofr_p99", "sofr_p25"], unit="bp", frequency="D")
def sofr_spread_99_25(panel: Panel) -> pd.Series:
    """Upper tail of repo rates within a day: the dearest percent of volume over the cheap quarter.

        100 * (sofr_p99(d) - sofr_p25(d)),  mean over the published days of the week

    Returns
    -------
    (T,) bp, volume-weighted percentiles
    """
    return spread(panel.series("sofr_p99"), panel.series("sofr_p25"))


@feature(inputs=["effr", "target_lower"], unit="bp", frequency="D")
def effr_target_distance(panel: Panel) -> pd.Series:
    """Where the effective federal funds rate stands in the target range.

        100 * (effr(d) - target_lower(d)),  mean over the published days of the week

    Returns
    -------
    (T,) bp above the range's lower limit; the range is 25 bp wide
    """
    return spread(panel.series("effr"), panel.series("target_lower"))


@feature(inputs=["sofr", "target_upper"], unit="bp", frequency="D")
def sofr_target_distance(panel: Panel) -> pd.Series:
    """How far repo rates stand from the upper limit of the target range.

        100 * (sofr(d) - target_upper(d)),  mean over the published days of the week

    Returns
    -------
    (T,) bp; positive when SOFR is above the range
    """
    return spread(panel.series("sofr"), panel.series("target_upper"))


@feature(inputs=["on_rrp_rate", "ioer", "iorb"], unit="bp", frequency="D")
def iorb_on_rrp_gap(panel: Panel) -> pd.Series:
    """Rate on reserves over the overnight reverse repo rate: the width of the floor system.

        100 * (iorb(d) - on_rrp_rate(d)),  mean over the days of operation in the week

    Technical adjustments narrow or widen it and shift the demand curve vertically.

    Returns
    -------
    (T,) bp
    """
    return spread(administered_rate(panel), panel.series("on_rrp_rate"))
