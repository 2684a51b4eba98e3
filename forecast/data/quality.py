"""Checks on arrival: is a table what it claims to be?

Mistakes that make numbers which look right and are not: a unit off by a power of ten, a
reversed sign, a value dated before it could be public, a label on the wrong day, the
numbers of a neighbouring series. Most of them show only beside another table.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.calendar import NEW_YORK, earliest_public
from forecast.data.catalog import SeriesSpec
from forecast.data.vintages import VintageTable, end_of_day
from forecast.errors import DataError
from forecast.units import UNITS, Unit

type Periods = NDArray[np.datetime64]  # datetime64[D]

# Units of one dimension differ by these factors; rates also by 100 (fraction, percent, basis points).
_POWERS = (1e3, 1e6, 1e9)
_TOLERANCE = 0.02
# Fewer shared values than these agree, or have opposite signs, by chance.
_FEW = 8

_WEEKDAYS = {"W-MON": 0, "W-WED": 2, "W-FRI": 4, "W-SAT": 5}


@dataclass(frozen=True, slots=True)
class RefusedValue:
    """A value that was left out, and why.

    value : in the catalogue's unit
    """

    series: str
    period: str
    value: float
    reason: str


def unit_factor(table: VintageTable, other: VintageTable, unit: Unit) -> float | None:
    """The factor by which two vintages of one series disagree, if it looks like a unit.

        f = median over shared periods of table(t) / other(t)

    Parameters
    ----------
    unit : the catalogue's unit, in which both tables are held

    Returns
    -------
    the power of ten that f is within 2 percent of, above or below one, or -1 if the signs are reversed;
    None if it is none of these
    """
    _, mine, theirs = np.intersect1d(table.periods, other.periods, assume_unique=True, return_indices=True)
    a, b = table.values[mine], other.values[theirs]
    usable = np.isfinite(a) & np.isfinite(b) & (a != 0) & (b != 0)
    if not usable.any():
        return None
    ratio = float(np.median(a[usable] / b[usable]))
    powers = (*_POWERS, 1e2, 1e4) if unit.dimension == "rate" else _POWERS
    candidates = (*powers, *(1 / power for power in powers), *((-1.0,) if usable.sum() >= _FEW else ()))
    return next((power for power in candidates if abs(ratio / power - 1) <= _TOLERANCE), None)


def unit_that_fits(unit: Unit, factor: float) -> Unit | None:
    """The unit a table is really in, if values read in ``unit`` came out ``factor`` times too large."""
    for candidate in UNITS.values():
        if candidate.dimension == unit.dimension and np.isclose(candidate.scale, unit.scale / factor, rtol=1e-6):
            return candidate
    return None


def period_labels(spec: SeriesSpec, days: Periods) -> Periods:
    """Labels as the package writes them: months and quarters by their first day, weeks by their last.

    Raises
    ------
    DataError : a label is neither the first nor the last day of its period, or another weekday; names it
    """
    if spec.frequency in _WEEKDAYS:
        weekday = (days.astype("int64") + 3) % 7
        _demand(days, weekday == _WEEKDAYS[spec.frequency], f"is not a day on which a {spec.frequency} period ends")
        return days
    if spec.frequency not in ("M", "Q"):
        return days
    months = days.astype("datetime64[M]")
    length = 1 if spec.frequency == "M" else 3
    first = months - (months.astype("int64") % length).astype("timedelta64[M]")
    starts: Periods = first.astype("datetime64[D]")
    ends = (first + np.timedelta64(length, "M")).astype("datetime64[D]") - np.timedelta64(1, "D")
    what = "month" if length == 1 else "quarter"
    _demand(days, (days == starts) | (days == ends), f"is neither the first nor the last day of a {what}")
    return starts


def _demand(days: Periods, fine: NDArray[np.bool_], complaint: str) -> None:
    if not fine.all():
        raise DataError(f"{days[~fine][0]} {complaint}. Label the values by their period, or correct the file.")


def impossible(spec: SeriesSpec, periods: Periods, as_of: pd.Timestamp) -> NDArray[np.object_]:
    """Why each value cannot be genuine; empty where it can.

    A value cannot have been public before its release, cannot precede the series, and a business-day
    series has none at a week-end.

    Parameters
    ----------
    as_of : New York calendar day at whose end the file was current

    Returns
    -------
    (n,) reasons
    """
    reasons = np.full(len(periods), "", dtype=object)
    if spec.frequency == "D":
        reasons[~np.is_busday(periods)] = "a business-day series has no value at a week-end"
    public = earliest_public(spec.release, periods, spec.frequency)
    early = np.asarray(public > end_of_day(as_of))
    for i, when in zip(np.flatnonzero(early), public[early].tz_convert(NEW_YORK), strict=True):
        reasons[i] = f"not public before {when:%Y-%m-%d %H:%M} New York time, but the file is of {as_of:%Y-%m-%d}"
    if spec.starts is not None:
        reasons[periods < np.datetime64(spec.starts)] = f"the series starts on {spec.starts}"
    return reasons


def unit_conflicts(
    tables: Sequence[VintageTable], stated: Sequence[bool], archived: Sequence[VintageTable], unit: Unit
) -> dict[int, tuple[VintageTable, float]]:
    """Which new vintages of one series have an implausible unit.

    A vintage is refused if a power of ten separates it from an archived one, if its unit was assumed and a
    power of ten separates it from one whose unit was stated, or if it disagrees with most of its equals:
    of two that contradict each other both are refused, of ten only the odd one.

    Parameters
    ----------
    tables, stated : the new vintages, and whether their unit was stated
    archived       : vintages accepted before
    unit           : the catalogue's unit, in which all are held

    Returns
    -------
    position in ``tables`` -> (a vintage it contradicts, the factor)
    """
    conflicts: dict[int, tuple[VintageTable, float]] = {}
    for i, table in enumerate(tables):
        trusted = [*archived, *(t for t, known in zip(tables, stated, strict=True) if known and not stated[i])]
        equals = [t for t, known in zip(tables, stated, strict=True) if t is not table and known == stated[i]]
        against_trusted = _contradicted(table, trusted, unit)
        against_equals = _contradicted(table, equals, unit)
        if against_trusted or 2 * len(against_equals) > len(equals):
            conflicts[i] = (against_trusted or against_equals)[0]
    return conflicts


def shifted(table: VintageTable, other: VintageTable) -> int:
    """By how many periods the values of one vintage stand too late (1) or too early (-1); 0 if they do not."""
    _, mine, theirs = np.intersect1d(table.periods, other.periods, assume_unique=True, return_indices=True)
    a, b = table.values[mine], other.values[theirs]
    if _agreement(a, b) > 0.5:
        return 0
    shifts = ((1, a[1:], b[:-1]), (-1, a[:-1], b[1:]))
    return next((by for by, ours, their in shifts if _agreement(ours, their) > 0.9), 0)


def same_numbers(table: VintageTable, other: VintageTable) -> bool:
    """Whether two series that differ by nature, such as a week's average and its Wednesday, hold the same numbers."""
    _, mine, theirs = np.intersect1d(table.periods, other.periods, assume_unique=True, return_indices=True)
    return _agreement(table.values[mine], other.values[theirs]) > 0.9


def _agreement(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Share of equal values where the first changes from one period to the next: standing still is no evidence."""
    moves = np.flatnonzero((np.diff(a) != 0) & np.isfinite(a[1:]) & np.isfinite(b[1:])) + 1
    return float((a[moves] == b[moves]).mean()) if len(moves) >= _FEW else 0.0


def _contradicted(table: VintageTable, others: Sequence[VintageTable], unit: Unit) -> list[tuple[VintageTable, float]]:
    factors = ((other, unit_factor(table, other, unit)) for other in others)
    return [(other, factor) for other, factor in factors if factor is not None]
