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

from forecast.calendar import NEW_YORK, is_business_day, released_at
from forecast.data.catalog import Catalog, SeriesSpec
from forecast.errors import MissingSeriesError, UsageError, VintageError

type Instant = str | pd.Timestamp

_END = np.datetime64("9999-12-31", "us")


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
class _History:
    """Releases of one series, sorted by period and then release.

    A row is what the public knew of its period from ``released`` until ``superseded``.
    ``in_order``: no period is revised and none is released before an earlier one, so that a cut is a slice.
    """

    period: NDArray[np.datetime64]
    released: NDArray[np.datetime64]
    superseded: NDArray[np.datetime64]
    value: NDArray[np.float64]
    pseudo: NDArray[np.bool_]
    in_order: bool


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
    histories: dict[str, _History] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        histories = {
            str(name): _history(rows) for name, rows in self.observations.groupby("series", observed=True, sort=True)
        }
        unknown = sorted(set(histories) - set(self.catalog))
        if unknown:
            raise VintageError(f"series outside the catalogue: {', '.join(unknown)}.")
        object.__setattr__(self, "histories", histories)

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
        cut = np.datetime64(instant.tz_convert("UTC").tz_localize(None), "us")
        return Panel(instant, self.catalog, tuple(self.histories), _Cut(self, cut))

    def first_release(self) -> Panel:
        """Each period's first published value."""
        return Panel(self._latest, self.catalog, tuple(self.histories), _First(self))

    def final(self) -> Panel:
        """Each period's value in the newest vintage."""
        return Panel(self._latest, self.catalog, tuple(self.histories), _Cut(self, _END - np.timedelta64(1, "us")))

    def only(self, names: Collection[str]) -> Vintages:
        """The same releases of fewer series; names without any are passed over."""
        return Vintages(self.observations[self.observations["series"].isin(list(names))], self.catalog)

    def single_vintage(self) -> tuple[str, ...]:
        """Series of which only one vintage is known: first release and final value are the same numbers."""
        return tuple(n for n, h in self.histories.items() if bool((h.superseded == _END).all()))

    def pseudo_share(self, name: str) -> float:
        """Share of a series' first releases whose time comes from the release rule."""
        history = self.histories[name]
        first = np.r_[True, history.period[1:] != history.period[:-1]]
        return float(history.pseudo[first].mean())

    @property
    def _latest(self) -> pd.Timestamp:
        latest = max(history.released.max() for history in self.histories.values())
        return pd.Timestamp(latest, tz="UTC").tz_convert(NEW_YORK)


@dataclass(frozen=True, slots=True, eq=False)
class _Cut:
    """Values public at an instant."""

    vintages: Vintages
    instant: np.datetime64

    def __call__(self, name: str) -> tuple[NDArray[np.datetime64], NDArray[np.float64]]:
        history = self.vintages.histories[name]
        if history.in_order:
            end = int(np.searchsorted(history.released, self.instant, side="right"))
            return history.period[:end], history.value[:end]
        known = (history.released <= self.instant) & (history.superseded > self.instant)
        return history.period[known], history.value[known]


@dataclass(frozen=True, slots=True, eq=False)
class _First:
    """First published values."""

    vintages: Vintages

    def __call__(self, name: str) -> tuple[NDArray[np.datetime64], NDArray[np.float64]]:
        history = self.vintages.histories[name]
        first = np.r_[True, history.period[1:] != history.period[:-1]]
        return history.period[first], history.value[first]


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
    _read: _Cut | _First = field(repr=False)
    _series: dict[str, pd.Series] = field(init=False, repr=False, default_factory=dict)

    def series(self, name: str) -> pd.Series:
        """One series on its own period index, in the catalogue's unit, without missing values.

        A business day without a value is zero where the catalogue says so (``absent_means``).

        Raises
        ------
        MissingSeriesError : nothing of it was released by ``as_of``; says how to get it
        """
        if name not in self._series:
            self._series[name] = self._load(name)
        return self._series[name]

    def has(self, name: str) -> bool:
        """Whether anything of the series was public."""
        return name in self.names and bool((~np.isnan(self._read(name)[1])).any())

    def _load(self, name: str) -> pd.Series:
        if name not in self.catalog:
            raise UsageError(f"unknown series {name!r}. List the known ones with: forecast data status --all")
        spec = self.catalog[name]
        periods, values = self._read(name) if name in self.names else (np.array([], "M8[us]"), np.array([]))
        present = ~np.isnan(values)
        if not present.any():
            raise MissingSeriesError(
                f"{name!r} ({spec.id}) has no value released by {self.as_of:%Y-%m-%d %H:%M} New York time. "
                f"Import a file named {spec.id}.csv with: forecast data import DIR"
            )
        series = pd.Series(values[present], index=pd.DatetimeIndex(periods[present]), name=name)
        return _zero_when_absent(series) if spec.absent_means == "zero" else series


def new_york(instant: Instant) -> pd.Timestamp:
    """An instant in New York time; a naive one is taken to be New York time already."""
    stamp = pd.Timestamp(instant)
    if pd.isna(stamp):
        raise UsageError(f"not an instant: {instant!r}.")
    return stamp.tz_localize(NEW_YORK) if stamp.tzinfo is None else stamp.tz_convert(NEW_YORK)


def _zero_when_absent(series: pd.Series) -> pd.Series:
    days = pd.date_range(series.index[0], series.index[-1], freq="D", unit="us")
    business = days[is_business_day(days)].union(pd.DatetimeIndex(series.index))
    return series.reindex(business, fill_value=0.0)


def _history(rows: pd.DataFrame) -> _History:
    released = (
        pd.DatetimeIndex(rows["released"]).tz_convert("UTC").tz_localize(None).to_numpy().astype("datetime64[us]")
    )
    period = rows["period"].to_numpy().astype("datetime64[us]")
    order = np.lexsort((released, period))
    period, released = period[order], released[order]
    superseded = np.full(len(period), _END)
    same = period[1:] == period[:-1]
    superseded[:-1][same] = released[1:][same]
    value = rows["value"].to_numpy(dtype=np.float64)[order]
    in_order = bool((superseded == _END).all() and (np.diff(released) >= np.timedelta64(0, "us")).all())
    return _History(period, released, superseded, value, rows["pseudo"].to_numpy(dtype=bool)[order], in_order)


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


type _Known = tuple[NDArray[np.datetime64], NDArray[np.float64]]  # periods in order, latest value of each


def _lookup(known: _Known, periods: NDArray[np.datetime64]) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Which periods are known, and their values; NaN for the others."""
    at = np.searchsorted(known[0], periods)
    padded = np.append(known[0], np.datetime64("NaT", "us"))
    held: NDArray[np.bool_] = padded[at] == periods
    return held, np.where(held, np.append(known[1], np.nan)[at], np.nan)


def _updated(known: _Known, periods: NDArray[np.datetime64], values: NDArray[np.float64]) -> _Known:
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
