"""Features, and the one place where a panel becomes a design.

A feature turns the panel into one series; a calendar effect turns periods into
numbers that are known in advance. ``FeatureSet.build`` brings them to reserve
weeks (Thursday to Wednesday, labelled by the Wednesday) and returns a ``Design``.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.data.vintages import Panel
from forecast.errors import MissingSeriesError, UnknownNameError, UsageError
from forecast.features.transforms import (
    WEEK,
    Labelled,
    consecutive_weeks,
    last_wednesday,
    microseconds,
    weekly,
    weeks_of_days,
)
from forecast.units import UNITS, Unit

_NOTHING: Labelled = np.array([], dtype="int64"), np.array([])

type Array = NDArray[np.float64]
type Weekly = Literal["mean", "last", "sum", "max"]


@dataclass(frozen=True, slots=True)
class Feature:
    """A series computed from what was known.

    name        : the function's name
    inputs      : series of the catalogue that it reads
    unit        : unit of the result
    description : first line of the docstring
    frequency   : "D" or "W-WED"; slower series enter through ``transforms.as_known``
    weekly      : how days become a reserve week; ignored for weekly features
    compute     : panel -> (T,) series by period, in order; a missing value counts as absent
    """

    name: str
    inputs: tuple[str, ...]
    unit: Unit
    description: str
    frequency: Literal["D", "W-WED"]
    weekly: Weekly
    compute: Callable[[Panel], pd.Series]

    def __call__(self, panel: Panel) -> pd.Series:
        series = self.compute(panel)
        if self.frequency == "D":
            series = weekly(series, self.weekly)
        return series.rename(self.name)

    def by_week(self, panel: Panel) -> Labelled:
        """The same as arrays: labels in microseconds since 1970, and values."""
        series = self.compute(panel)
        labels, values = microseconds(series.index), series.to_numpy(dtype=float)
        return weeks_of_days(labels, values, self.weekly) if self.frequency == "D" else (labels, values)


@dataclass(frozen=True, slots=True)
class CalendarEffect:
    """A number that the calendar fixes in advance.

    compute : reserve weeks (their Wednesdays) -> (T,) values
    """

    name: str
    unit: Unit
    description: str
    compute: Callable[[pd.DatetimeIndex], pd.Series]

    def __call__(self, periods: pd.DatetimeIndex) -> pd.Series:
        return self.compute(periods).rename(self.name)


FEATURES: dict[str, Feature | CalendarEffect] = {}


def feature(
    *, inputs: Iterable[str], unit: str, frequency: Literal["D", "W-WED"] = "W-WED", weekly: Weekly = "mean"
) -> Callable[[Callable[[Panel], pd.Series]], Feature]:
    """Declare and register a feature; the decorated function is its ``compute``."""

    def declare(compute: Callable[[Panel], pd.Series]) -> Feature:
        declared = Feature(compute.__name__, tuple(inputs), UNITS[unit], _summary(compute), frequency, weekly, compute)
        return _register(declared)

    return declare


def calendar_effect(*, unit: str) -> Callable[[Callable[[pd.DatetimeIndex], pd.Series]], CalendarEffect]:
    """Declare and register a calendar effect."""

    def declare(compute: Callable[[pd.DatetimeIndex], pd.Series]) -> CalendarEffect:
        return _register(CalendarEffect(compute.__name__, UNITS[unit], _summary(compute), compute))

    return declare


def _register[F: (Feature, CalendarEffect)](declared: F) -> F:
    if declared.name in FEATURES:
        raise UsageError(f"two features are named {declared.name!r}; give one of them another name.")
    FEATURES[declared.name] = declared
    return declared


def _summary(function: Callable[..., object]) -> str:
    return (function.__doc__ or "").strip().partition("\n")[0]


def find_feature(name: str) -> Feature | CalendarEffect:
    """Look up a registered feature.

    Raises
    ------
    UnknownNameError : names the closest registered features
    """
    if name in FEATURES:
        return FEATURES[name]
    close = difflib.get_close_matches(name, FEATURES, n=3)
    hint = f" Did you mean: {', '.join(close)}?" if close else ""
    raise UnknownNameError(f"unknown feature {name!r}.{hint} List them with: forecast features")


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """Numbers by reserve week, at a tenth of what a DataFrame costs.

    values  : (T, K), each column in its unit
    periods : (T,) reserve weeks
    names   : (K,) of the columns
    """

    values: Array
    periods: pd.DatetimeIndex
    names: tuple[str, ...]

    def columns(self, names: tuple[str, ...]) -> Array:
        """(T, k) the columns asked for."""
        if not names:
            return np.empty((len(self.values), 0))
        position = {name: k for k, name in enumerate(self.names)}
        return self.values[:, [position[name] for name in names]]

    def frame(self) -> pd.DataFrame:
        """The same in pandas, in the same memory."""
        return pd.DataFrame(self.values, index=self.periods, columns=_labels(self.names), copy=False)


def _table(frame: pd.DataFrame) -> Table:
    return Table(frame.to_numpy(dtype=float), pd.DatetimeIndex(frame.index), tuple(frame.columns))


@lru_cache(maxsize=256)
def _labels(names: tuple[str, ...]) -> pd.Index:
    return pd.Index(names, dtype="str")


@dataclass(frozen=True, slots=True, eq=False)
class Design:
    """One estimation sample.

    targets     : (T, K) by reserve week, up to the last week that is over; missing where not yet released
    features    : (T + ahead, F) by reserve week; past T only calendar effects have values
    units       : unit of every target and feature
    known_ahead : features whose future is known
    target_table, feature_table : the same numbers as arrays

    Of frames and tables the ones are made from the others when they are first asked for.
    """

    targets: pd.DataFrame
    features: pd.DataFrame
    units: Mapping[str, Unit]
    known_ahead: frozenset[str]
    target_table: Table = field(init=False, repr=False)
    feature_table: Table = field(init=False, repr=False)

    @classmethod
    def of_tables(
        cls, targets: Table, features: Table, units: Mapping[str, Unit], known_ahead: frozenset[str]
    ) -> Design:
        """A design whose frames nobody may ever ask for."""
        design = object.__new__(cls)
        for name, value in zip(_PARTS, (targets, features, units, known_ahead), strict=True):
            object.__setattr__(design, name, value)
        return design

    if not TYPE_CHECKING:  # else any misspelt attribute would pass

        def __getattr__(self, name: str) -> object:
            """Python asks here for a field that has not been filled yet."""
            if name not in _MADE:
                raise AttributeError(f"a design has no {name!r}")
            made = _MADE[name](self)
            object.__setattr__(self, name, made)
            return made

    def future(self, n: int) -> pd.DatetimeIndex:
        """The first ``n`` reserve weeks after the last one that is over."""
        return consecutive_weeks(int(microseconds(self.target_table.periods)[-1]) + WEEK, n)


_PARTS = ("target_table", "feature_table", "units", "known_ahead")
_MADE: dict[str, Callable[[Design], object]] = {
    "targets": lambda design: design.target_table.frame(),
    "features": lambda design: design.feature_table.frame(),
    "target_table": lambda design: _table(design.targets),
    "feature_table": lambda design: _table(design.features),
}


def future_weeks(last: pd.Timestamp, n: int) -> pd.DatetimeIndex:
    """The ``n`` reserve weeks that follow the one ending on ``last``."""
    return consecutive_weeks(int(last.to_datetime64().astype("M8[us]").astype("int64")) + WEEK, n)


@dataclass(frozen=True, slots=True)
class FeatureSet:
    """Which targets and features a model sees.

    targets, features : names of registered features
    """

    targets: tuple[str, ...]
    features: tuple[str, ...] = ()

    def build(self, panel: Panel, *, ahead: int = 0) -> Design:
        """The design known at the panel's instant.

        Parameters
        ----------
        panel : cut at the origin
        ahead : reserve weeks past the last one over for which calendar effects are filled

        Raises
        ------
        UnknownNameError   : a target or feature is not registered
        UsageError         : a target is a calendar effect, or a feature is not labelled by Wednesdays
        MissingSeriesError : no target has a value yet
        """
        over = last_wednesday(panel.as_of)
        found = {name: find_feature(name) for name in (*self.targets, *self.features)}
        known = {name: _known(item, panel, over) for name, item in found.items() if isinstance(item, Feature)}
        first = self._first_period(known, panel)
        weeks = (over - first) // WEEK + 1
        extended = consecutive_weeks(first, weeks + ahead)
        effects = {name: item for name, item in found.items() if isinstance(item, CalendarEffect)}
        columns = known | {name: _effect(item, extended) for name, item in effects.items()}
        return Design.of_tables(
            Table(_side_by_side(columns, self.targets, first, weeks), extended[:weeks], self.targets),
            Table(_side_by_side(columns, self.features, first, weeks + ahead), extended, self.features),
            {name: item.unit for name, item in found.items()},
            frozenset(effects),
        )

    def _first_period(self, known: Mapping[str, Labelled], panel: Panel) -> int:
        """The first week in which some target has a value, in microseconds since 1970."""
        for name in self.targets:
            if name not in known:
                raise UsageError(f"{name!r} is a calendar effect: known in advance, nothing to forecast.")
        firsts = [
            int(labels[present.argmax()])
            for labels, values in (known[name] for name in self.targets)
            if (present := ~np.isnan(values)).any()
        ]
        if not firsts:
            raise MissingSeriesError(f"no target of {', '.join(self.targets)} has a value by {panel.as_of:%Y-%m-%d}.")
        return min(firsts)


def _side_by_side(columns: Mapping[str, Labelled], names: tuple[str, ...], first: int, weeks: int) -> Array:
    """(weeks, K) columns on consecutive reserve weeks; missing where a column has no value."""
    table = np.full((weeks, len(names)), np.nan, order="F")
    for column, name in enumerate(names):
        labels, values = columns[name]
        inside = slice(*np.searchsorted(labels, (first, first + weeks * WEEK)))
        since = labels[inside] - first
        row = since // WEEK
        if (row * WEEK != since).any():
            day = (labels[inside][row * WEEK != since][:1].view("M8[us]")).astype("M8[D]")[0]
            raise UsageError(f"feature {name!r} has a value for {day}, which is not the Wednesday of a week.")
        table[row, column] = values[inside]
    return table


def _effect(item: CalendarEffect, periods: pd.DatetimeIndex) -> Labelled:
    series = item.compute(periods)
    return microseconds(series.index), series.to_numpy(dtype=float)


def _known(item: Feature, panel: Panel, over: int) -> Labelled:
    """A feature's values for weeks that are over, none at all where an input has not been released yet."""
    try:
        labels, values = item.by_week(panel)
    except MissingSeriesError:
        return _NOTHING
    if len(labels) and labels[-1] > over:
        n = int(np.searchsorted(labels, over, side="right"))
        return labels[:n], values[:n]
    return labels, values
