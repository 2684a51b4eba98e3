"""Features, and the one place where a panel becomes a design.

A feature turns the panel into one series; a calendar effect turns periods into
numbers that are known in advance. ``FeatureSet.build`` brings them to reserve
weeks (Thursday to Wednesday, labelled by the Wednesday) and returns a ``Design``.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
import pandas as pd

from forecast.data.vintages import Panel
from forecast.errors import MissingSeriesError, UnknownNameError, UsageError
from forecast.features.transforms import last_week_over, weekly
from forecast.units import UNITS, Unit

_WEEK = pd.Timedelta(days=7)

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
class Design:
    """One estimation sample.

    targets     : (T, K) by reserve week, up to the last week that is over; missing where not yet released
    features    : (T + ahead, F) by reserve week; past T only calendar effects have values
    units       : unit of every target and feature
    known_ahead : features whose future is known
    """

    targets: pd.DataFrame
    features: pd.DataFrame
    units: Mapping[str, Unit]
    known_ahead: frozenset[str]

    def future(self, n: int) -> pd.DatetimeIndex:
        """The first ``n`` reserve weeks after the last one that is over."""
        return future_weeks(self.targets.index[-1], n)


def future_weeks(last: pd.Timestamp, n: int) -> pd.DatetimeIndex:
    """The ``n`` reserve weeks that follow the one ending on ``last``."""
    return _consecutive_weeks(last + _WEEK, n)


def _consecutive_weeks(first: pd.Timestamp, n: int) -> pd.DatetimeIndex:
    # Built of integers: pandas' own date arithmetic took a tenth of what an origin costs.
    return pd.DatetimeIndex(first.to_datetime64().astype("datetime64[us]") + np.arange(n) * np.timedelta64(7, "D"))


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
        over = last_week_over(panel.as_of)
        found = {name: find_feature(name) for name in (*self.targets, *self.features)}
        known = {name: _known(item, panel, over) for name, item in found.items() if isinstance(item, Feature)}
        first = self._first_period(known, panel)
        weeks = (over - first) // _WEEK + 1
        extended = _consecutive_weeks(first, weeks + ahead)
        periods = extended[:weeks]
        effects = {name: item(extended) for name, item in found.items() if isinstance(item, CalendarEffect)}
        return Design(
            targets=_table({name: known[name] for name in self.targets}, periods),
            features=_table({name: (known | effects)[name] for name in self.features}, extended),
            units={name: item.unit for name, item in found.items()},
            known_ahead=frozenset(effects),
        )

    def _first_period(self, known: Mapping[str, pd.Series], panel: Panel) -> pd.Timestamp:
        """The first week in which some target has a value."""
        for name in self.targets:
            if name not in known:
                raise UsageError(f"{name!r} is a calendar effect: known in advance, nothing to forecast.")
        firsts = [
            known[name].index[int(present.argmax())]
            for name in self.targets
            if (present := ~np.isnan(known[name].to_numpy(dtype=float))).any()
        ]
        if not firsts:
            raise MissingSeriesError(f"no target of {', '.join(self.targets)} has a value by {panel.as_of:%Y-%m-%d}.")
        first: pd.Timestamp = min(firsts)
        return first


def _table(columns: Mapping[str, pd.Series], periods: pd.DatetimeIndex) -> pd.DataFrame:
    """Columns side by side on consecutive reserve weeks; missing where a column has no value."""
    weeks = periods.to_numpy()
    values = np.full((len(weeks), len(columns)), np.nan, order="F")
    for column, (name, series) in enumerate(columns.items()):
        days, numbers = series.index.to_numpy(), series.to_numpy(dtype=float)
        inside = slice(np.searchsorted(days, weeks[0]), np.searchsorted(days, weeks[-1], side="right"))
        row, odd = np.divmod((days[inside] - weeks[0]).astype("timedelta64[D]").astype("int64"), 7)
        if odd.any():
            day = days[inside][odd != 0][0].astype("datetime64[D]")
            raise UsageError(f"feature {name!r} has a value for {day}, which is not the Wednesday of a week.")
        values[row, column] = numbers[inside]
    return pd.DataFrame(values, index=periods, columns=_names(tuple(columns)), copy=False)


@lru_cache(maxsize=256)
def _names(columns: tuple[str, ...]) -> pd.Index:
    return pd.Index(columns, dtype="str")


def _known(item: Feature, panel: Panel, over: pd.Timestamp) -> pd.Series:
    """A feature's values for weeks that are over, none at all where an input has not been released yet."""
    try:
        series = item(panel)
    except MissingSeriesError:
        return pd.Series(dtype=float, index=pd.DatetimeIndex([], dtype="M8[us]"), name=item.name)
    return series.loc[:over] if len(series) and series.index[-1] > over else series
