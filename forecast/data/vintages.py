"""Vintages and the panel cut from them: the only doors through which data reach a model.

Every number has a reference period, a release time and a unit. ``Vintages`` holds
all releases of all series; ``Panel`` is what was known at one instant, ragged edge
and all. Models never see ``Vintages``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.calendar import NEW_YORK, released_at
from forecast.data.catalog import Catalog, SeriesSpec
from forecast.data.history import History, history
from forecast.errors import MissingSeriesError, UsageError, VintageError

type Instant = str | pd.Timestamp
type Arrays = tuple[NDArray[np.datetime64], NDArray[np.float64]]  # periods in order, value of each

_ZONE = pd.Timestamp(0, tz=NEW_YORK).tzinfo
_NOTHING: Arrays = np.array([], "datetime64[us]"), np.array([])


@dataclass(frozen=True, slots=True, eq=False)
class VintageTable:
    """One series as one file or response stated it.

    series  : plain name in the catalogue
    as_of   : New York calendar day at whose end the table was the current one
    periods : (n,) distinct reference periods
    values  : (n,) in the catalogue's unit; NaN says "present but empty", a deletion
    """

    series: str
    as_of: pd.Timestamp
    periods: NDArray[np.datetime64]
    values: NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Vintages:
    """All releases of all series.

    observations : one row a release: series, period, released (UTC), value (catalogue's unit),
                   pseudo (the release time comes from the release rule, not from an archived vintage)
    catalog      : what each series is
    histories    : the same releases by series, ready to be cut

    A value enters when the earliest vintage that holds it says, at the time the release rule gives but
    never later than the end of that vintage's ``as_of``; every later vintage enters at its own ``as_of``,
    and only where it changed the value.
    """

    observations: pd.DataFrame
    catalog: Catalog
    histories: dict[str, History] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        groups = self.observations.groupby("series", observed=True).indices
        rows_of = {str(name): np.asarray(groups[name], dtype=np.intp) for name in sorted(groups, key=str)}
        unknown = sorted(set(rows_of) - set(self.catalog))
        if unknown:
            raise VintageError(f"series outside the catalogue: {', '.join(unknown)}.")
        object.__setattr__(self, "histories", _histories(self.observations, rows_of, self.catalog))

    @classmethod
    def from_tables(cls, tables: Iterable[VintageTable], catalog: Catalog) -> Vintages:
        """Combine the vintages of any number of series, in any order of arrival.

        Raises
        ------
        VintageError : two different tables of one series have the same ``as_of``
        """
        by_series: dict[str, list[VintageTable]] = {}
        for table in tables:
            by_series.setdefault(table.series, []).append(table)
        unknown = sorted(set(by_series) - set(catalog))
        if unknown:
            raise VintageError(f"series outside the catalogue: {', '.join(unknown)}.")
        rows = [_releases(catalog[name], by_series[name]) for name in sorted(by_series)]
        if not rows:
            raise VintageError("no vintages: import series with: forecast data import DIR")
        return cls(pd.concat(rows, ignore_index=True), catalog)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.histories)

    def as_of(self, origin: Instant) -> Panel:
        """What was public at ``origin``; a value released at that very instant is included."""
        instant = new_york(origin)
        return Panel(instant, self.catalog, self.names, _Reader(self, _microseconds(instant)))

    def first_release(self) -> Panel:
        """Each period's first published value."""
        return Panel(self._latest, self.catalog, self.names, _Reader(self, None))

    def final(self) -> Panel:
        """Each period's value in the newest vintage."""
        return Panel(self._latest, self.catalog, self.names, _Reader(self, _microseconds(self._latest)))

    def only(self, names: Collection[str]) -> Vintages:
        """The same releases of fewer series; names without any are passed over."""
        return Vintages(self.observations[self.observations["series"].isin(list(names))], self.catalog)

    def single_vintage(self) -> tuple[str, ...]:
        """Series of which only one vintage is known: first release and final value are the same numbers."""
        return tuple(name for name, history in self.histories.items() if not history.revised)

    def pseudo_share(self, name: str) -> float:
        """Share of a series' first releases whose time comes from the release rule."""
        return self.histories[name].pseudo_share

    @property
    def _latest(self) -> pd.Timestamp:
        latest = max(int(history.released[-1]) for history in self.histories.values())
        return pd.Timestamp(latest, unit="us", tz="UTC").tz_convert(NEW_YORK)


@dataclass(frozen=True, slots=True, eq=False)
class _Reader:
    """Values public at an instant, in microseconds since 1970 (UTC); first published values if there is none."""

    vintages: Vintages
    instant: int | None

    def __call__(self, name: str) -> Arrays:
        history = self.vintages.histories.get(name)
        if history is None:
            return _NOTHING
        chosen, values = history.first_known() if self.instant is None else history.known(self.instant)
        if self.vintages.catalog[name].absent_means == "zero":
            return history.with_zeros(chosen, values)
        return history.periods[chosen], values


@dataclass(frozen=True, slots=True, eq=False)
class Panel:
    """What was known at one instant.

    as_of   : the instant, New York time
    catalog : what each series is
    names   : series with at least one release, at whatever time
    """

    as_of: pd.Timestamp
    catalog: Catalog
    names: tuple[str, ...]
    _read: _Reader = field(repr=False)
    _series: dict[str, pd.Series] = field(init=False, repr=False, default_factory=dict)

    def series(self, name: str) -> pd.Series:
        """One series on its own period index, in the catalogue's unit, without missing values.

        A business day without a value is zero where the catalogue says so (``absent_means``).

        Raises
        ------
        MissingSeriesError : nothing of it was released by ``as_of``; says how to get it
        """
        if name not in self._series:
            periods, values = self.arrays(name)
            self._series[name] = pd.Series(values, index=pd.DatetimeIndex(periods), name=name)
        return self._series[name]

    def arrays(self, name: str) -> Arrays:
        """The same as ``series``, as read-only arrays: periods (datetime64[us]) and values.

        Raises
        ------
        MissingSeriesError : nothing of it was released by ``as_of``; says how to get it
        """
        if name not in self.catalog:
            raise UsageError(f"unknown series {name!r}. List the known ones with: forecast data status --all")
        periods, values = self._read(name)
        if not len(values):
            key = self.catalog[name].id
            raise MissingSeriesError(
                f"{name!r} ({key}) has no value released by {self.as_of:%Y-%m-%d %H:%M} New York time. "
                f"Import a file named {key}.csv with: forecast data import DIR"
            )
        # They are shared with every other panel.
        periods.flags.writeable = values.flags.writeable = False
        return periods, values

    def has(self, name: str) -> bool:
        """Whether anything of the series was public."""
        return len(self._read(name)[1]) > 0


def new_york(instant: Instant) -> pd.Timestamp:
    """An instant in New York time; a naive one is taken to be New York time already."""
    stamp = pd.Timestamp(instant)
    if stamp.tzinfo is _ZONE:
        return stamp
    if pd.isna(stamp):
        raise UsageError(f"not an instant: {instant!r}.")
    return stamp.tz_localize(NEW_YORK) if stamp.tzinfo is None else stamp.tz_convert(NEW_YORK)


def _microseconds(instant: pd.Timestamp) -> int:
    """Since 1970 (UTC)."""
    return int(instant.to_datetime64().astype("M8[us]").astype("int64"))


def _histories(rows: pd.DataFrame, rows_of: Mapping[str, NDArray[np.intp]], catalog: Catalog) -> dict[str, History]:
    period = rows["period"].to_numpy().astype("datetime64[us]")
    released = pd.DatetimeIndex(rows["released"]).tz_convert("UTC").as_unit("us").asi8
    value, pseudo = rows["value"].to_numpy(dtype=np.float64), rows["pseudo"].to_numpy(dtype=bool)
    return {
        name: history(period[at], released[at], value[at], pseudo[at], zeros=catalog[name].absent_means == "zero")
        for name, at in rows_of.items()
    }


def end_of_day(day: pd.Timestamp) -> pd.Timestamp:
    """Last instant (UTC) of a New York calendar day."""
    return (day.tz_localize(NEW_YORK) + pd.DateOffset(days=1)).tz_convert("UTC") - pd.Timedelta(1, "us")


def _releases(spec: SeriesSpec, tables: list[VintageTable]) -> pd.DataFrame:
    """Fold the vintages of one series, oldest first, into releases."""
    ordered = sorted(tables, key=lambda table: table.as_of)
    for earlier, later in pairwise(ordered):
        if earlier.as_of == later.as_of:
            raise VintageError(f"{spec.id}: two vintages of {later.as_of:%Y-%m-%d}. Give each file its own as_of.")
    known = np.array([], dtype="datetime64[us]"), np.array([])
    parts: list[pd.DataFrame] = []
    for table in ordered:
        as_of = end_of_day(table.as_of)
        periods, values = table.periods.astype("datetime64[us]"), table.values
        held, before = _lookup(known, periods)
        # An empty cell deletes what an earlier vintage said. Where nothing was said there is nothing to delete, but
        # a value that comes later was not public yet: it enters with its own vintage, not when the rule says.
        fresh = ~held & ~np.isnan(values)
        changed = held & (values != before) & ~(np.isnan(values) & np.isnan(before))
        parts.append(_first_rows(spec, periods[fresh], values[fresh], as_of))
        parts.append(_rows(spec, periods[changed], values[changed], as_of, pseudo=False))
        known = _updated(known, periods, values)
    return pd.concat([part for part in parts if len(part)] or parts[:1], ignore_index=True)


def _lookup(known: Arrays, periods: NDArray[np.datetime64]) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Which periods are known, and their values; NaN for the others."""
    at = np.searchsorted(known[0], periods)
    padded = np.append(known[0], np.datetime64("NaT", "us"))
    held: NDArray[np.bool_] = padded[at] == periods
    return held, np.where(held, np.append(known[1], np.nan)[at], np.nan)


def _updated(known: Arrays, periods: NDArray[np.datetime64], values: NDArray[np.float64]) -> Arrays:
    kept = ~np.isin(known[0], periods)
    every = np.concatenate([known[0][kept], periods])
    order = np.argsort(every)
    return every[order], np.concatenate([known[1][kept], values])[order]


def _first_rows(
    spec: SeriesSpec, periods: NDArray[np.datetime64], values: NDArray[np.float64], as_of: pd.Timestamp
) -> pd.DataFrame:
    rule = released_at(spec.release, periods, spec.frequency)
    released = rule.where(rule < as_of, as_of)
    day = pd.Timestamp(as_of.tz_convert(NEW_YORK).date(), tz=NEW_YORK).tz_convert("UTC")
    return _rows(spec, periods, values, released, pseudo=released < day)


def _rows(
    spec: SeriesSpec, periods: NDArray[np.datetime64], values: NDArray[np.float64], released: object, *, pseudo: object
) -> pd.DataFrame:
    columns: Mapping[str, object] = {
        "series": spec.name,
        "period": periods,
        "released": released,
        "value": values,
        "pseudo": pseudo,
    }
    return pd.DataFrame(columns)
