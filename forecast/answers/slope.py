"""The slope of the reserve demand curve, in the three units it is quoted in.

The same curve gives numbers that differ by a factor of eight, so a slope never travels without its type.

    per point     ds/dx,             x = 100 R / A in percent of bank assets    (the New York Fed's elasticity)
    per 100 bn    ds/dR * 100      = per point * 100 * 100 / A
    per percent   ds/dlnR / 100    = per point * x / 100

with s in bp, reserves R and bank assets A in USD bn.

References
----------
Federal Reserve Bank of New York, Reserve Demand Elasticity: change of the spread in bp "for an increase in reserves
equal to one percent of banks' total assets".
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from forecast.errors import UnitError

type Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class SlopePerPoint:
    """bp per percentage point of bank assets.

    values : any shape
    """

    values: Array

    def per_100bn(self, bank_assets: ArrayLike) -> SlopePer100bn:
        """The same slope in dollars; ``bank_assets`` in USD bn."""
        return SlopePer100bn(self.values * 1e4 / _bank_assets(bank_assets))

    def per_percent(self, ratio: ArrayLike) -> SlopePerPercent:
        """The same slope relative to reserves themselves; ``ratio`` in percent of bank assets."""
        return SlopePerPercent(self.values * _ratio(ratio) / 100)


@dataclass(frozen=True, slots=True, eq=False)
class SlopePer100bn:
    """bp per USD 100 bn of reserves.

    values : any shape
    """

    values: Array

    def per_point(self, bank_assets: ArrayLike) -> SlopePerPoint:
        """The same slope in percentage points of bank assets; ``bank_assets`` in USD bn."""
        return SlopePerPoint(self.values * _bank_assets(bank_assets) / 1e4)


@dataclass(frozen=True, slots=True, eq=False)
class SlopePerPercent:
    """bp per 1 percent of reserves: the semi-elasticity.

    values : any shape
    """

    values: Array

    def per_point(self, ratio: ArrayLike) -> SlopePerPoint:
        """The same slope in percentage points of bank assets; ``ratio`` in percent of bank assets."""
        return SlopePerPoint(self.values * 100 / _ratio(ratio))


def _bank_assets(value: ArrayLike) -> Array:
    """Bank assets, refused where they cannot be USD bn: since 2009 they lie between 11,000 and 25,000."""
    return _within(value, 1e3, 1e6, "bank assets", "USD bn")


def _ratio(value: ArrayLike) -> Array:
    return _within(value, 0.0, 100.0, "the reserve ratio", "percent of bank assets")


def _within(value: ArrayLike, low: float, high: float, what: str, unit: str) -> Array:
    values = np.asarray(value, dtype=float)
    wrong = values[~((values > low) & (values < high))]
    if wrong.size:
        raise UnitError(f"{what} = {wrong.flat[0]:g} cannot be {unit}: it lies between {low:g} and {high:g} then.")
    return values
