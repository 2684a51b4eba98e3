"""A folder of series files: ``ID.csv`` or ``ID__YYYY-MM-DD.csv``, described by a ``MANIFEST.csv``.

Each file is one vintage. Its ``as_of``, the day at whose end it was current, stands
in its name or in the manifest, and so does its unit; values are converted here, once,
into the catalogue's unit. Nothing is guessed: a file that cannot be read for certain
is refused with the reason and the remedy, and the others are not held up by it.
"""

from __future__ import annotations

import csv
import difflib
import hashlib
import io
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from forecast.data.catalog import Catalog, SeriesSpec, catalog
from forecast.data.plausibility import Finding, findings, fractions, worst
from forecast.data.quality import Periods, RefusedValue, impossible, period_labels
from forecast.data.sources.series_csv import decode, distinct_periods, header, parse_day, parse_series, text_repairs
from forecast.data.vintages import VintageTable
from forecast.errors import DataError, ForecastError, UnitError, UnknownNameError, VintageError
from forecast.units import UNITS, Unit, convert, factor, parse_unit

MANIFEST = "MANIFEST.csv"

# A century of daily values is a megabyte.
_LARGEST_FILE = 64 * 2**20

_NAME = re.compile(r"(?P<id>.+?)(?:__(?P<as_of>[^_]+))?")

type Row = Mapping[str, str]
type Track = Callable[[Sequence[Path]], Iterable[Path]]


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """What the bytes of a file say.

    table   : its values in the catalogue's unit
    repairs : what was put right while reading
    refused : values left out
    days    : (n,) the labels in the file, row by row
    """

    table: VintageTable
    repairs: tuple[str, ...]
    refused: tuple[RefusedValue, ...]
    days: Periods


@dataclass(frozen=True, slots=True, eq=False)
class SeriesFile:
    """One file that was read.

    table      : its values in the catalogue's unit
    unit       : unit of the numbers in the file
    assumed    : the file states no unit, and the catalogue's was taken
    provenance : what else the manifest says of it, such as ``obtained_from`` and ``checks``
    repairs    : what was put right while reading
    refused    : values left out
    warnings   : what is remarkable about the values
    """

    name: str
    content: bytes
    table: VintageTable
    unit: Unit
    assumed: bool
    provenance: Row
    repairs: tuple[str, ...]
    refused: tuple[RefusedValue, ...]
    warnings: tuple[Finding, ...]

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()


@dataclass(frozen=True, slots=True)
class SetAside:
    """A file that did not enter, and why."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True, eq=False)
class ImportReport:
    """What became of every file of a folder.

    imported  : read, and new to the archive
    unchanged : read, and already in the archive
    refused   : not what they claim to be; each with the remedy
    left_out  : not asked for: outside the catalogue, event series, calendars
    """

    imported: tuple[SeriesFile, ...]
    unchanged: tuple[SeriesFile, ...]
    refused: tuple[SetAside, ...]
    left_out: tuple[SetAside, ...]

    @property
    def refused_values(self) -> tuple[tuple[str, RefusedValue], ...]:
        """File name and value, of every value left out of a file that entered."""
        return tuple((file.name, value) for file in self.imported for value in file.refused)

    @property
    def assumed_units(self) -> tuple[tuple[str, Unit], ...]:
        """File name and the unit taken for it, where none was stated."""
        return tuple((file.name, file.unit) for file in self.imported if file.assumed)

    @property
    def repairs(self) -> tuple[tuple[str, str], ...]:
        """File name and what was put right."""
        return tuple((file.name, repair) for file in self.imported for repair in file.repairs)

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """What is remarkable about the values of the files that entered."""
        return tuple(warning for file in self.imported for warning in file.warnings)


@dataclass(frozen=True, slots=True)
class _Request:
    """A file, before it is opened.

    key   : series id that the name states
    as_of : day that the name states, if any
    row   : its row of the manifest; empty if it has none
    """

    path: Path
    key: str
    as_of: str | None
    row: Row


def read_directory(
    folder: Path, *, units: Mapping[str, str] | None = None, known: Catalog | None = None, track: Track = iter
) -> ImportReport:
    """Read every series file of a folder.

    Parameters
    ----------
    units : unit of a series, or of one file of it (its name without ``.csv``), where the manifest is wrong or silent
    known : the catalogue; the embedded one if not given
    track : wraps the list of files, to show progress

    Raises
    ------
    DataError        : no such folder, no CSV file in it, or a manifest that cannot be read
    UnknownNameError : ``units`` names a series of which there is no file
    UnitError        : ``units`` names an unknown unit
    """
    specs = {spec.id: spec for spec in (known or catalog()).values()}
    paths = _files(folder)
    rows = _manifest(folder / MANIFEST)
    stated = {key: parse_unit(word, where=f"--unit {key}") for key, word in (units or {}).items()}
    _demand_files(stated, paths)
    accepted: list[SeriesFile] = []
    refused: list[SetAside] = []
    left_out = [*_absent(rows, paths)]
    for path in track(paths):
        try:
            request = _request(path, rows)
            reason = _not_a_series(request, specs)
            if reason:
                left_out.append(SetAside(path.name, reason))
            else:
                unit = stated.get(path.stem) or stated.get(request.key)
                accepted.append(_read(request, specs[request.key], unit, specs.keys()))
        except ForecastError as error:
            refused.append(SetAside(path.name, str(error)))
    return ImportReport(tuple(accepted), (), tuple(refused), tuple(left_out))


def _files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder. Give the folder that holds the series as ID.csv files.")
    paths = sorted(p for p in folder.iterdir() if p.suffix.lower() == ".csv" and p.name != MANIFEST)
    if not paths:
        raise DataError(f"{folder} holds no series: expected ID.csv or ID__YYYY-MM-DD.csv files.")
    return paths


def _demand_files(units: Mapping[str, Unit], paths: Sequence[Path]) -> None:
    there = {path.stem for path in paths} | {path.stem.partition("__")[0] for path in paths}
    for key in units:
        if key not in there:
            close = difflib.get_close_matches(key, there, n=3)
            hint = f" Did you mean: {', '.join(close)}?" if close else ""
            raise UnknownNameError(f"--unit {key}: the folder holds no file of that series.{hint}")


def _manifest(path: Path) -> list[Row]:
    """Rows of the manifest, none if there is no manifest."""
    if not path.exists():
        return []
    reader = csv.DictReader(io.StringIO(decode(path.read_bytes(), path.name), newline=""))
    if "series_id" not in (reader.fieldnames or ()):
        raise DataError(
            f"{path.name}: no column 'series_id' but {', '.join(reader.fieldnames or ()) or 'nothing'}. "
            "A manifest of series has the columns series_id, units, as_of and, with several files a series, file."
        )
    return [{key: (value or "").strip() for key, value in row.items() if key} for row in reader]


def manifest_row(path: Path) -> Row:
    """What the manifest beside a file says of it; empty if it says nothing.

    Raises
    ------
    DataError : the manifest cannot be read, or has several rows for the file
    """
    return _request(path, _manifest(path.parent / MANIFEST)).row


def _request(path: Path, rows: Sequence[Row]) -> _Request:
    match = _NAME.fullmatch(path.stem)
    key, as_of = (match["id"], match["as_of"]) if match else (path.stem, None)
    if as_of is not None:
        parse_day(as_of, f"{path.name}, the part of the name after '__'")
    by_file = [row for row in rows if row.get("file") == path.name]
    by_series = [row for row in rows if not row.get("file") and row["series_id"] == key]
    if as_of is not None:
        # The manifest's unit is that of its own vintage, and units change between vintages.
        by_series = [row for row in by_series if row.get("as_of") == as_of]
    found = by_file or by_series
    if len(found) > 1:
        raise DataError(f"{MANIFEST} has {len(found)} rows for {path.name}. Leave one, or add a column 'file'.")
    return _Request(path, key, as_of, found[0] if found else {})


def _absent(rows: Sequence[Row], paths: Sequence[Path]) -> list[SetAside]:
    names = {path.name for path in paths}
    series = {path.stem.partition("__")[0] for path in paths}
    missing = [row for row in rows if (row["file"] not in names if row.get("file") else row["series_id"] not in series)]
    return [SetAside(row.get("file") or row["series_id"], f"listed in {MANIFEST}, but no such file") for row in missing]


def _not_a_series(request: _Request, specs: Mapping[str, SeriesSpec]) -> str:
    """Why a file is left alone; empty if it is a series of the catalogue."""
    if request.row.get("frequency") == "event":
        return "an event series, which has a reader of its own (forecast.data.events.read_events)"
    if request.row.get("units") == "date":
        return "a calendar, which has a reader of its own (forecast.data.events.read_calendar)"
    if request.key in specs:
        return ""
    close = difflib.get_close_matches(request.key, specs, n=1, cutoff=0.8)
    return "not in the catalogue" + (f"; is it {close[0]}?" if close else "")


def _read(request: _Request, spec: SeriesSpec, override: Unit | None, ids: Collection[str]) -> SeriesFile:
    as_of, where = _as_of(request), request.path.name
    unit, assumed = _unit(request, spec, override)
    size = request.path.stat().st_size
    if size > _LARGEST_FILE:
        raise DataError(f"{where}: {size / 2**20:.0f} MB are too many for one series. Is it the right file?")
    content = request.path.read_bytes()
    reading = read_series(content, spec, unit, as_of, where=where)
    _demand_name(content, request, ids)
    _demand_rows(reading, request)
    found = findings(spec, reading.table, unit)
    if fault := worst(found):
        raise DataError(f"{where}: {fault}.")
    if override is None and fractions(spec, reading.table.values[np.isfinite(reading.table.values)]):
        raise UnitError(
            f"{where}: said to be in {unit}, but the rates look like fractions, such as 0.0433 for 4.33 percent. "
            f"Multiply them by 100, or confirm the unit: --unit {spec.id}={unit}"
        )
    return SeriesFile(
        name=where,
        content=content,
        table=reading.table,
        unit=unit,
        assumed=assumed,
        provenance={key: value for key, value in request.row.items() if value},
        repairs=reading.repairs,
        refused=reading.refused,
        warnings=tuple(found),
    )


def read_series(content: bytes, spec: SeriesSpec, unit: Unit, as_of: pd.Timestamp, *, where: str) -> Reading:
    """Read the bytes of a series file, whose unit and day are known.

    Raises
    ------
    DataError    : they are no table of days and numbers, or a label belongs to no period; names file and line
    VintageError : no value can be used
    """
    lines, days, numbers = parse_series(content, where=where)
    try:
        labels = period_labels(spec, days)
    except DataError as error:
        raise DataError(f"{where}: {error}") from error
    moved = int((labels != days).sum())
    repairs = [*text_repairs(content), *([f"{moved} periods relabelled by their first day"] if moved else [])]
    periods, numbers, more = distinct_periods(labels, numbers, lines, where)
    values = convert(numbers, unit, spec.unit)
    reasons = impossible(spec, periods, as_of)
    wrong = (reasons != "") & np.isfinite(values)
    if not np.isfinite(values[~wrong]).any():
        why = f" Every one was refused: {reasons[wrong][0]}." if wrong.any() else ""
        raise VintageError(f"{where}: no value in it can be used.{why}")
    refused = (RefusedValue(spec.id, str(periods[i]), float(values[i]), str(reasons[i])) for i in np.flatnonzero(wrong))
    table = VintageTable(spec.name, as_of, periods[~wrong], values[~wrong])
    return Reading(table, (*repairs, *more), tuple(refused), days)


def _demand_name(content: bytes, request: _Request, ids: Collection[str]) -> None:
    """A column named after another series of the catalogue is that series."""
    for column in header(content, where=request.path.name):
        if column.strip() in ids and column.strip() != request.key:
            raise DataError(
                f"{request.path.name}: its header says {column.strip()}. Name the file after the series it holds."
            )


def _demand_rows(reading: Reading, request: _Request) -> None:
    """The manifest's first and last day and number of rows, where it states them, are those of the file."""
    days = reading.days
    found = {"first": str(days.min()), "last": str(days.max()), "n": str(len(days))}
    for key, there in found.items():
        stated = request.row.get(key, "")
        if stated and stated != there:
            raise DataError(
                f"{request.path.name}: {MANIFEST} says {key} = {stated}, the file has {there}. "
                "It may be cut off: fetch it again, or correct the manifest."
            )


def _as_of(request: _Request) -> pd.Timestamp:
    stated = request.row.get("as_of", "")
    if request.as_of and stated and request.as_of != stated:
        raise VintageError(f"{request.path.name}: {MANIFEST} says as_of {stated}. Correct one of the two.")
    word = request.as_of or stated
    if not word:
        raise VintageError(
            f"{request.path.name}: no as_of, so nobody knows what was public when. "
            f"Rename it to {request.key}__YYYY-MM-DD.csv or give as_of in {MANIFEST}."
        )
    return pd.Timestamp(parse_day(word, f"{request.path.name}, as_of"))


def _unit(request: _Request, spec: SeriesSpec, override: Unit | None) -> tuple[Unit, bool]:
    """Unit of the file's numbers, and whether it had to be assumed."""
    where = f"{request.path.name} ({spec.id})"
    frequency = request.row.get("frequency", "")
    if frequency and frequency != spec.frequency:
        raise DataError(f"{where}: {MANIFEST} says frequency {frequency}, the catalogue says {spec.frequency}.")
    word = request.row.get("units", "")
    if override is None and not word:
        return spec.unit, True
    unit = override or parse_unit(word, where=where)
    try:
        factor(unit, spec.unit)
    except ForecastError as error:
        fitting = " or ".join(known.name for known in UNITS.values() if known.dimension == spec.unit.dimension)
        raise type(error)(
            f"{where}: {error} State the unit the file is in: --unit {spec.id}=UNIT, {fitting}."
        ) from error
    return unit, False
