"""The catalogue: what every series is, before any value of it is read."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache
from importlib.resources import files
from typing import Literal, get_args

from forecast.errors import DataError, UnknownNameError
from forecast.units import UNITS, Unit

type Kind = Literal["level", "average", "flow", "rate", "index", "count", "indicator"]
type Frequency = Literal["D", "D7", "W-WED", "W-FRI", "W-SAT", "W-MON", "M", "Q"]
type AbsentMeans = Literal["unknown", "zero"]


@dataclass(frozen=True, slots=True)
class SeriesSpec:
    """What a series is.

    name         : plain name used in features and plans; ends in ``_average`` or ``_wednesday``
                   where both measures of an item exist
    id           : the provider's identifier, which is also the file name on import
    title        : one line for people
    unit         : unit of the values inside the package
    frequency    : D business days, D7 every day, W-WED week ending Wednesday, M, Q
    kind         : level (end of period), average (over the period), flow, rate, index, count, indicator
    provider     : who publishes it
    release      : name of a rule in ``forecast.calendar.RELEASE_RULES``
    block        : balance_sheet, money_market, yields, macro, private_debt
    absent_means : what a business day without a value means: "unknown" or "zero"
    starts       : first day on which the series exists; earlier values are an error, not zero
    """

    name: str
    id: str
    title: str
    unit: Unit
    frequency: Frequency
    kind: Kind
    provider: str
    release: str
    block: str
    absent_means: AbsentMeans = "unknown"
    starts: date | None = None


type Catalog = Mapping[str, SeriesSpec]


@cache
def catalog() -> Catalog:
    """The embedded catalogue, by plain name."""
    text = (files("forecast.data") / "catalog.toml").read_text(encoding="utf-8")
    return read_catalog(text, where="catalog.toml")


def read_catalog(text: str, *, where: str) -> Catalog:
    """Parse a catalogue: one TOML table a series, keyed by plain name.

    Raises
    ------
    DataError : an entry is malformed; names the file, the series and the field
    """
    entries = tomllib.loads(text)
    return {name: _spec(name, entry, where) for name, entry in entries.items()}


def _spec(name: str, entry: dict[str, object], where: str) -> SeriesSpec:
    try:
        unit = UNITS[str(entry.pop("unit"))]
        spec = SeriesSpec(name=name, unit=unit, **entry)  # type: ignore[arg-type]
    except (KeyError, TypeError) as error:
        raise DataError(f"{where}: [{name}] is not a series: {error}.") from error
    for field, allowed in (("frequency", Frequency), ("kind", Kind), ("absent_means", AbsentMeans)):
        if getattr(spec, field) not in get_args(allowed.__value__):
            raise DataError(
                f"{where}: [{name}] {field} = {getattr(spec, field)!r}; use one of {get_args(allowed.__value__)}."
            )
    return spec


def spec_of(name: str) -> SeriesSpec:
    """Look up a series by plain name.

    Raises
    ------
    UnknownNameError : names the closest catalogued series
    """
    import difflib

    if name in catalog():
        return catalog()[name]
    close = difflib.get_close_matches(name, catalog(), n=3)
    hint = f" Did you mean: {', '.join(close)}?" if close else " List them with: forecast data status --all"
    raise UnknownNameError(f"unknown series {name!r}.{hint}")
