"""Reserve balances relative to what banks, depositors and the economy need."""

from __future__ import annotations

import pandas as pd

from forecast.data.vintages import Panel
from forecast.features.feature_set import feature
from forecast.features.transforms import as_known, at, difference, present


@feature(inputs=["reserves_average"], unit="usd_bn")
def reserves_level(panel: Panel) -> pd.Series:
    """Reserve balances, week average.

        R(t) = reserves_average(t)

    The average over the reserve week, not the Wednesday: Wednesdays carry month-end and tax-date noise.

    Returns
    -------
    (T,) usd_bn

    References
    ----------
    Board of Governors, H.4.1, table 1 (WRESBAL).
    """
    return panel.series("reserves_average")


@feature(inputs=["reserves_average"], unit="usd_bn")
def reserves_change(panel: Panel) -> pd.Series:
    """Change of reserve balances over the week.

        dR(t) = reserves_average(t) - reserves_average(t - 1)

    Returns
    -------
    (T,) usd_bn a week; positive adds reserves
    """
    return difference(panel.series("reserves_average"))


@feature(inputs=["reserves_average", "bank_assets"], unit="percent")
def reserve_ratio(panel: Panel) -> pd.Series:
    """Reserve balances relative to commercial-bank assets.

        x(t) = 100 * reserves_average(t) / bank_assets(t)

    Demand for reserves scales with the banking system, so the curve is stable in x rather than in dollars.
    H.8 comes on the Friday of the following week, so on Thursday after H.4.1 the latest ratio is of two weeks ago.

    Parameters
    ----------
    panel : needs ``reserves_average`` (usd_bn, week average) and ``bank_assets`` (usd_bn, Wednesday, adjusted)

    Returns
    -------
    (T,) percent; missing where either series is not yet released

    Raises
    ------
    MissingSeriesError : names the series and the command that fetches it

    References
    ----------
    Afonso, Giannone, La Spada and Williams (2022), Staff Report 1019, section 3.
    """
    return _percent_of(panel.series("reserves_average"), panel.series("bank_assets"))


@feature(inputs=["reserves_average", "bank_assets"], unit="percent")
def reserve_ratio_known(panel: Panel) -> pd.Series:
    """Reserve balances relative to the latest bank assets that were public.

        x(t) = 100 * reserves_average(t) / bank_assets(k(t)),  k(t) = last H.8 week public by Thursday 17:00 after t

    Bank assets move by a tenth of a percent a week and reserves by one: carrying assets forward two weeks costs
    little and gives the ratio of the week just ended two weeks before ``reserve_ratio`` has it.

    Returns
    -------
    (T,) percent; every row divides by assets that were already public then, in today's revision
    """
    reserves = panel.series("reserves_average")
    return _percent_of(reserves, as_known(panel, "bank_assets", pd.DatetimeIndex(reserves.index)))


@feature(inputs=["reserves_average", "bank_assets"], unit="pp")
def reserve_ratio_change(panel: Panel) -> pd.Series:
    """Change of the reserve ratio over the week.

        dx(t) = x(t) - x(t - 1),  x as in ``reserve_ratio``

    Returns
    -------
    (T,) percentage points of bank assets a week
    """
    return difference(reserve_ratio.compute(panel))


@feature(inputs=["reserves_average", "gdp"], unit="percent")
def reserves_to_gdp(panel: Panel) -> pd.Series:
    """Reserve balances relative to a year's gross domestic product.

        100 * reserves_average(t) / gdp(k(t)),  k(t) = last quarter public by Thursday 17:00 after t

    Returns
    -------
    (T,) percent of annual GDP

    References
    ----------
    Board and Desk statements place ample reserves at about 10 to 11 percent of GDP.
    """
    reserves = panel.series("reserves_average")
    return _percent_of(reserves, as_known(panel, "gdp", pd.DatetimeIndex(reserves.index)))


@feature(inputs=["reserves_average", "deposits"], unit="percent")
def reserves_to_deposits(panel: Panel) -> pd.Series:
    """Reserve balances relative to deposits of commercial banks.

        100 * reserves_average(t) / deposits(t)

    Deposits are the claims on liquidity that reserves back. Ends where the deposit series ends.

    Returns
    -------
    (T,) percent

    References
    ----------
    Lopez-Salido and Vissing-Jorgensen (2023), Reserve Demand, Interest Rate Control, and Quantitative Tightening.
    """
    return _percent_of(panel.series("reserves_average"), panel.series("deposits"))


def _percent_of(part: pd.Series, whole: pd.Series) -> pd.Series:
    return present(100 * part.to_numpy(dtype=float) / at(whole, part.index), part.index)
