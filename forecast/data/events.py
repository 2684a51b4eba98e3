"""Event series and calendars: numbers that belong to an announcement, not to a period.

A monetary-policy surprise has the date of its announcement and no release rule, so it is no
series of the catalogue; a release calendar holds dates instead of numbers. Both are read here,
from the same kind of folder, by analyses that name the file they want.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from forecast.data.sources.directory import manifest_row
from forecast.data.sources.series_csv import distinct_periods, parse_days, parse_series
from forecast.errors import DataError, UnitError
from forecast.units import Unit, parse_unit


@dataclass(frozen=True, slots=True, eq=False)
class Events:
    """One number an announcement.

    values : (n,) in ``unit``, by New York calendar day of the announcement; announcements without a number left out
    """

    name: str
    title: str
    unit: Unit
    values: pd.Series


def read_events(path: Path, *, unit: str | None = None) -> Events:
    """Read an event series, such as policy surprises, ``ID.csv`` with date and value.

    Parameters
    ----------
    unit : where the manifest beside the file does not state a known one

    Raises
    ------
    DataError : no such file, or it cannot be read; names file and line
    UnitError : no unit is known
    """
    lines, days, numbers = parse_series(_content(path), where=path.name)
    periods, values, _ = distinct_periods(days, numbers, lines, path.name)
    row = manifest_row(path)
    word = unit or row.get("units", "")
    try:
        known = parse_unit(word, where=path.name)
    except UnitError as error:
        raise UnitError(f"{error} Pass it as unit=.") from error
    there = np.isfinite(values)
    index = pd.DatetimeIndex(periods[there]).as_unit("us")
    return Events(path.stem, row.get("title", path.stem), known, pd.Series(values[there], index=index, name=path.stem))


def read_calendar(path: Path) -> pd.Series:
    """Read a release calendar, ``ID.csv`` with period and release day.

    Returns
    -------
    (n,) release days, by period

    Raises
    ------
    DataError : no such file, a cell is not a day, or a release lies before its period; names file and period
    """
    periods, released = parse_days(_content(path), where=path.name)
    early = np.flatnonzero(released < periods)
    if len(early):
        raise DataError(f"{path.name}: {periods[early[0]]} is released on {released[early[0]]}, before it is over.")
    index = pd.DatetimeIndex(periods).as_unit("us")
    if not index.is_unique:
        raise DataError(f"{path.name}: {index[index.duplicated()][0]:%Y-%m-%d} is there twice. Keep one release day.")
    return pd.Series(pd.DatetimeIndex(released).as_unit("us"), index=index, name=path.stem).sort_index()


def _content(path: Path) -> bytes:
    if not path.is_file():
        raise DataError(f"{path} does not exist. Give the path of an event series or calendar.")
    return path.read_bytes()
