"""Units of measurement: every number has one, and conversion happens in one place.

Inside the package quantities are USD billions, rates percent, spreads basis
points. A :class:`Unit` belongs to a dimension; only units of one dimension
convert into each other:

    value_in_b = value_in_a * a.scale / b.scale
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from forecast.errors import UnitError


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit of measurement.

    name      : short name, as used in ``catalog.toml`` and on the command line
    dimension : units convert only within one dimension
    scale     : size in the dimension's base unit (usd_bn for money, percent for rates)
    label     : how people write it, for axes and tables
    """

    name: str
    dimension: str
    scale: float
    label: str

    def __str__(self) -> str:
        return self.name


UNITS: dict[str, Unit] = {
    unit.name: unit
    for unit in (
        Unit("usd_bn", "money", 1.0, "USD bn"),
        Unit("usd_mn", "money", 1e-3, "USD mn"),
        Unit("usd", "money", 1e-9, "USD"),
        # Annual rates and chained dollars are not money that can be added to a balance sheet.
        Unit("usd_bn_annual_rate", "money at annual rate", 1.0, "USD bn, annual rate"),
        Unit("usd_bn_2017", "chained 2017 money", 1.0, "2017 USD bn"),
        Unit("percent", "rate", 1.0, "percent"),
        Unit("pp", "rate", 1.0, "percentage points"),
        Unit("bp", "rate", 0.01, "bp"),
        Unit("ratio", "ratio", 1.0, "ratio"),
        Unit("index", "index", 1.0, "index"),
        Unit("persons", "persons", 1.0, "persons"),
        Unit("thousand_persons", "persons", 1e3, "thousand persons"),
        Unit("thousand_units", "housing units", 1.0, "thousand units, annual rate"),
        Unit("usd_per_barrel", "price", 1.0, "USD per barrel"),
        Unit("count", "count", 1.0, "count"),
        Unit("indicator", "indicator", 1.0, "0/1"),
    )
}

# The words that manifests use for units, lower-cased. One table, no guessing: a word that is
# not here is an error. "thousands" alone is ambiguous and is resolved only by the catalogue.
UNIT_WORDS: dict[str, str] = {
    **{name: name for name in UNITS},
    "usd billions": "usd_bn",
    "billions of dollars": "usd_bn",
    "billions of u.s. dollars": "usd_bn",
    "usd millions": "usd_mn",
    "millions of dollars": "usd_mn",
    "millions of u.s. dollars": "usd_mn",
    "usd": "usd",
    "usd billions saar": "usd_bn_annual_rate",
    "chained 2017 usd billions": "usd_bn_2017",
    "chained 2017 usd billions saar": "usd_bn_2017",
    "basis points": "bp",
    "index jan 2006=100": "index",
    "index 1982-84=100": "index",
    "index 2017=100": "index",
    "thousands": "thousand_persons",
    "thousands saar": "thousand_units",
    "usd per barrel": "usd_per_barrel",
    "0/1": "indicator",
}


def parse_unit(word: str, *, where: str) -> Unit:
    """Unit named by a manifest's words.

    Parameters
    ----------
    word : as the manifest or the command line states it, any case
    where : file and series, for the error message

    Raises
    ------
    UnitError : the word is empty or not in the table; names the place and the known words
    """
    name = UNIT_WORDS.get(word.strip().lower())
    if name is None:
        known = ", ".join(sorted(UNITS))
        said = f"unknown unit {word.strip()!r}" if word.strip() else "no unit stated"
        raise UnitError(f"{where}: {said}. Use one of: {known}.")
    return UNITS[name]


def factor(source: Unit, target: Unit) -> float:
    """Multiplier that turns values in ``source`` into values in ``target``.

    Raises
    ------
    UnitError : the units measure different things; names both
    """
    if source.dimension != target.dimension:
        raise UnitError(
            f"cannot convert {source.name} ({source.dimension}) to {target.name} ({target.dimension}): "
            "they measure different things."
        )
    return source.scale / target.scale


def convert(values: NDArray[np.float64], source: Unit, target: Unit) -> NDArray[np.float64]:
    """Values in another unit of the same dimension.

    To a larger unit it divides: 3280845 mn / 1000 is the number that "3280.845" bn reads as, whereas
    3280845 * 0.001 can miss it by a rounding error, which would then look like a revision.

    Raises
    ------
    UnitError : the units measure different things
    """
    scale = factor(source, target)
    return values * scale if scale >= 1 else values / np.round(1 / scale)
