"""Yields on Treasury securities: level, slope, curvature and the term premium.

Constant-maturity par yields (H.15), percent, on the last published day of the reserve week.
"""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from forecast.data.vintages import Panel
from forecast.features.feature_set import feature
from forecast.features.transforms import at, difference, weekly


@feature(inputs=["treasury_3m"], unit="percent", frequency="D", weekly="last")
def yield_3m(panel: Panel) -> pd.Series:
    """Three-month Treasury yield at the end of the week.

        treasury_3m(last published day of week t)

    Returns
    -------
    (T,) percent
    """
    return panel.series("treasury_3m")


@feature(inputs=["treasury_2y"], unit="percent", frequency="D", weekly="last")
def yield_2y(panel: Panel) -> pd.Series:
    """Two-year Treasury yield at the end of the week.

        treasury_2y(last published day of week t)

    Returns
    -------
    (T,) percent
    """
    return panel.series("treasury_2y")


@feature(inputs=["treasury_10y"], unit="percent", frequency="D", weekly="last")
def yield_10y(panel: Panel) -> pd.Series:
    """Ten-year Treasury yield at the end of the week.

        treasury_10y(last published day of week t)

    Returns
    -------
    (T,) percent
    """
    return panel.series("treasury_10y")


@feature(inputs=["treasury_2y"], unit="pp")
def yield_2y_change(panel: Panel) -> pd.Series:
    """Change of the two-year yield over the week.

        yield_2y(t) - yield_2y(t - 1)

    Returns
    -------
    (T,) percentage points a week
    """
    return difference(yield_2y(panel))


@feature(inputs=["treasury_10y"], unit="pp")
def yield_10y_change(panel: Panel) -> pd.Series:
    """Change of the ten-year yield over the week.

        yield_10y(t) - yield_10y(t - 1)

    Returns
    -------
    (T,) percentage points a week
    """
    return difference(yield_10y(panel))


@feature(inputs=["treasury_3m", "treasury_2y", "treasury_10y"], unit="percent", frequency="D", weekly="last")
def yield_level(panel: Panel) -> pd.Series:
    """Level of the yield curve.

        (y3m + y2y + y10y) / 3

    Returns
    -------
    (T,) percent

    References
    ----------
    Diebold, Rudebusch and Aruoba (2006), The macroeconomy and the yield curve, section 2: empirical level.
    """
    return _combination(panel, {"treasury_3m": 1 / 3, "treasury_2y": 1 / 3, "treasury_10y": 1 / 3})


@feature(inputs=["treasury_3m", "treasury_10y"], unit="pp", frequency="D", weekly="last")
def yield_slope(panel: Panel) -> pd.Series:
    """Slope of the yield curve, long minus short.

        y10y - y3m

    Returns
    -------
    (T,) percentage points; negative when the curve is inverted

    References
    ----------
    Diebold and Li (2006), Forecasting the term structure of government bond yields, section 2: empirical slope.
    """
    return _combination(panel, {"treasury_10y": 1, "treasury_3m": -1})


@feature(inputs=["treasury_2y", "treasury_10y"], unit="pp", frequency="D", weekly="last")
def yield_slope_10y_2y(panel: Panel) -> pd.Series:
    """Ten-year over two-year yield.

        y10y - y2y

    Returns
    -------
    (T,) percentage points
    """
    return _combination(panel, {"treasury_10y": 1, "treasury_2y": -1})


@feature(inputs=["treasury_3m", "treasury_2y", "treasury_10y"], unit="pp", frequency="D", weekly="last")
def yield_curvature(panel: Panel) -> pd.Series:
    """Curvature of the yield curve: the middle against the ends.

        2 * y2y - y3m - y10y

    Returns
    -------
    (T,) percentage points; positive when the curve is humped

    References
    ----------
    Diebold and Li (2006), Forecasting the term structure of government bond yields, section 2: empirical curvature.
    """
    return _combination(panel, {"treasury_2y": 2, "treasury_3m": -1, "treasury_10y": -1})


@feature(inputs=["term_premium_10y"], unit="percent", frequency="D", weekly="last")
def term_premium_10y(panel: Panel) -> pd.Series:
    """Ten-year term premium at the end of the week, as estimated by a model.

        term_premium_10y(last published day of week t)

    The model is re-estimated and its history changes with it: values of the past are not what was seen in the past
    unless earlier vintages are in the archive.

    Returns
    -------
    (T,) percent; about two weeks late

    References
    ----------
    Kim and Wright (2005), An arbitrage-free three-factor term structure model, FEDS 2005-33.
    """
    return panel.series("term_premium_10y")


@feature(inputs=["term_premium_10y"], unit="pp")
def term_premium_10y_change(panel: Panel) -> pd.Series:
    """Change of the ten-year term premium over the week.

        term_premium_10y(t) - term_premium_10y(t - 1)

    Returns
    -------
    (T,) percentage points a week
    """
    return difference(weekly(panel.series("term_premium_10y"), "last"))


def _combination(panel: Panel, weights: Mapping[str, float]) -> pd.Series:
    """Weighted sum of yields on the days of the first; missing where one of them is."""
    days = panel.series(next(iter(weights))).index
    total = sum(weight * at(panel.series(name), days) for name, weight in weights.items())
    return pd.Series(total, index=days)
