"""Are the values of one table plausible for what it claims to be?

The bounds, and what is known to be right although it looks wrong, are data: ``plausibility.toml``.
An error keeps a file out of the archive; a warning is recorded with it.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from forecast.calendar import period_end, released_at, repo_calendar
from forecast.data.catalog import SeriesSpec
from forecast.data.vintages import VintageTable, end_of_day
from forecast.units import UNITS, Unit

type Check = Literal["bounds", "step", "gap", "stale", "constant", "file", "values", "vintages", "twin", "catalogue"]
type Severity = Literal["error", "warning"]
type Days = NDArray[np.datetime64]  # datetime64[D]

# Holidays are known from here on; before, a missing day may have been one.
_HOLIDAYS_KNOWN = np.datetime64("1999-01-01")
# Fewer values than these show nothing about a whole file.
_FEW = 24


@dataclass(frozen=True, slots=True)
class Finding:
    """Something wrong or remarkable about one vintage of one series.

    series, as_of : id and day of the vintage; empty where it concerns the archive as a whole
    said, fix     : what is wrong, and what to do about it
    """

    series: str
    as_of: str
    check: Check
    severity: Severity
    said: str
    fix: str

    def __str__(self) -> str:
        return f"{self.said}. {self.fix}"


@cache
def _table() -> Mapping[str, Any]:
    return tomllib.loads((files("forecast.data") / "plausibility.toml").read_text(encoding="utf-8"))


def findings(spec: SeriesSpec, table: VintageTable, unit: Unit) -> list[Finding]:
    """Everything implausible about a table: first what keeps it out, then what is only remarkable.

    Parameters
    ----------
    table : in the catalogue's unit
    unit  : the unit in which its numbers were read, for the remedy
    """
    there = np.isfinite(table.values)
    days, values = table.periods[there].astype("datetime64[D]"), table.values[there]
    if not len(values):
        return []
    checks: tuple[tuple[Check, Severity, tuple[str, str] | None], ...] = (
        ("bounds", "error", _out_of_bounds(spec, days, values, unit)),
        ("step", "error", _unit_step(spec, days, values)),
        ("gap", "warning", _gaps(spec, days)),
        ("stale", "warning", _stale(spec, days, table.as_of)),
        ("constant", "warning", _constant(values)),
    )
    as_of = f"{table.as_of:%Y-%m-%d}"
    return [Finding(spec.id, as_of, check, severity, *found) for check, severity, found in checks if found]


def bounds(spec: SeriesSpec, days: Days) -> tuple[NDArray[np.float64], float]:
    """Least value a series can have on each day, and the largest it can ever have, in the catalogue's unit."""
    for row in _table()["bounds"]:
        fits = spec.id in row["series"] if "series" in row else row["unit"] == spec.unit.name
        if fits and spec.release in row.get("releases", (spec.release,)):
            later = days >= np.datetime64(row.get("since", "9999-12-31"))
            return np.where(later, float(row.get("low_since", row["low"])), float(row["low"])), float(row["high"])
    return np.full(len(days), -np.inf), np.inf


def _exempt(check: Check, series: str) -> Days | None:
    """Periods exempt from a check; None if the whole series is."""
    rows = [r for r in _table()["exempt"] if r["check"] == check and series in r.get("series", (series,))]
    if any("periods" not in row for row in rows):
        return None
    return np.array([day for row in rows for day in row["periods"]], dtype="datetime64[D]")


def _out_of_bounds(spec: SeriesSpec, days: Days, values: NDArray[np.float64], unit: Unit) -> tuple[str, str] | None:
    low, high = bounds(spec, days)
    out = np.flatnonzero((values < low) | (values > high))
    if not len(out):
        return None
    said = (
        f"{len(out)} of {len(values)} values are implausible, first {days[out[0]]} with {values[out[0]]:g} {spec.unit}: "
        f"{spec.id} lies between {low[out[0]]:g} and {high:g}"
    )
    fitting = (u.name for u in _nearest(unit) if _within(values / unit.scale * u.scale, low, high))
    word = next(fitting, "UNIT")
    return said, f"State the unit the file is in (--unit {spec.id}={word}), or correct the value"


def _within(values: NDArray[np.float64], low: NDArray[np.float64], high: float) -> bool:
    return bool(((values >= low) & (values <= high)).all())


def _nearest(unit: Unit) -> list[Unit]:
    """The other units of the same dimension, the most similar first."""
    others = [u for u in UNITS.values() if u.dimension == unit.dimension and u.scale != unit.scale]
    return sorted(others, key=lambda u: abs(np.log(u.scale / unit.scale)))


def _unit_step(spec: SeriesSpec, days: Days, values: NDArray[np.float64]) -> tuple[str, str] | None:
    """A value off by a power of a thousand from two calm neighbours, in a series that does not jump like that."""
    exempt = _exempt("step", spec.id)
    large = np.flatnonzero(values != 0)
    if exempt is None or spec.kind == "flow" or len(large) < _FEW:
        return None
    size = np.log10(np.abs(values[large]))
    # A rate crosses zero, where every change is large in proportion.
    floor, powers = (np.log10(0.5), (2, 4)) if spec.unit.dimension == "rate" else (-np.inf, (3, 6, 9))
    ordinary = float(np.quantile(np.abs(np.diff(size)), 0.9))
    windows = sliding_window_view(size, 3)
    for odd, calm in ((2, (0, 1)), (0, (1, 2))):
        neighbours = windows[:, calm]
        step = np.abs(windows[:, odd] - neighbours.mean(axis=1))
        power = np.abs(step[:, None] - np.array(powers)).min(axis=1) < np.log10(1.15)
        is_calm = np.abs(neighbours[:, 1] - neighbours[:, 0]) < np.log10(1.5)
        found = power & is_calm & (step > 10 * ordinary) & (windows.max(axis=1) > floor)
        for at in large[np.flatnonzero(found) + odd]:
            if days[at] not in exempt:
                said = f"{values[at]:g} {spec.unit} on {days[at]} is off by a power of ten from the values beside it"
                return said, "A part of the file is in another unit: correct it, or fetch the file again"
    return None


def expected_periods(spec: SeriesSpec, first: np.datetime64, last: np.datetime64) -> Days:
    """Periods a complete series has between two of its own, as far as the calendar is known."""
    day = np.timedelta64(1, "D")
    if spec.frequency in ("M", "Q"):
        step = np.timedelta64(1 if spec.frequency == "M" else 3, "M")
        months = np.arange(first.astype("datetime64[M]"), last.astype("datetime64[M]") + step, step)
        return months.astype("datetime64[D]")
    if spec.frequency not in ("D", "D7"):
        return np.arange(first, last + day, 7 * day)
    if spec.frequency == "D7":
        return np.arange(first, last + day)
    every: Days = np.arange(max(first, _HOLIDAYS_KNOWN), last + day)
    return every[np.is_busday(every, busdaycal=repo_calendar())]


def _gaps(spec: SeriesSpec, days: Days) -> tuple[str, str] | None:
    exempt = _exempt("gap", spec.id)
    if exempt is None or spec.absent_means == "zero":
        return None
    expected = expected_periods(spec, days[0], days[-1])
    missing = ~np.isin(expected, days)
    counted = missing & ~np.isin(expected, exempt)
    if not counted.any():
        return None
    begin, end = _longest_run(missing)
    said = f"{int(counted.sum())} periods are missing, the longest stretch {expected[begin]} to {expected[end]}"
    return said, "Import a file that has them; until then results leave them out"


def _longest_run(true: NDArray[np.bool_]) -> tuple[int, int]:
    edges = np.flatnonzero(np.diff(np.concatenate([[False], true, [False]]).astype(int)))
    starts, stops = edges[::2], edges[1::2]
    longest = int(np.argmax(stops - starts))
    return int(starts[longest]), int(stops[longest]) - 1


def _stale(spec: SeriesSpec, days: Days, as_of: pd.Timestamp) -> tuple[str, str] | None:
    if _exempt("stale", spec.id) is None:
        return None
    last = days[-1]
    due = released_at(spec.release, np.array([_next_period(spec, last)]), spec.frequency)[0]
    late = (end_of_day(as_of) - due).days
    if late <= _table()["stale"][spec.frequency]:
        return None
    end = period_end(np.array([last]), spec.frequency)[0]
    return f"it ends on {end}, and the next value was due {late} days before its as_of", "Import a newer file"


def _next_period(spec: SeriesSpec, last: np.datetime64) -> np.datetime64:
    if spec.frequency == "D":
        following = np.busday_offset(last, 1, roll="backward", busdaycal=repo_calendar())
    elif spec.frequency in ("M", "Q"):
        following = last.astype("datetime64[M]") + np.timedelta64(1 if spec.frequency == "M" else 3, "M")
    else:
        following = last + np.timedelta64(1 if spec.frequency == "D7" else 7, "D")
    return np.datetime64(following, "D")


def _constant(values: NDArray[np.float64]) -> tuple[str, str] | None:
    if len(values) < _FEW or values[0] == 0 or not (values == values[0]).all():
        return None
    return f"all {len(values)} values are {values[0]:g}", "Make sure that this is the series it is named after"


def fractions(spec: SeriesSpec, values: NDArray[np.float64]) -> bool:
    """Whether rates said to be in percent look like fractions: 0.0433 for 4.33 percent.

    Published rates are whole basis points. Where rates are this small, so are fractions only if most have more decimals.
    """
    if spec.unit.name != "percent" or spec.kind != "rate" or len(values) < _FEW:
        return False
    in_bp = values * 100
    whole = np.isclose(in_bp, np.round(in_bp), atol=1e-6)
    return bool(np.median(np.abs(values)) < 0.08 and whole.mean() < 0.5)


def worst(found: Sequence[Finding]) -> Finding | None:
    """The first error, if there is one."""
    return next((finding for finding in found if finding.severity == "error"), None)
