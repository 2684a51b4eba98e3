"""The archive on disk: every imported file, unchanged, and the observations read from it.

    archive/raw/<sha256>                     bytes of a file as it came: the evidence of a vintage
    archive/observations/<id>__<as_of>...    its values in the catalogue's unit, as Parquet
    archive/manifest.jsonl                   one line a vintage, only ever appended to

DuckDB writes and reads the Parquet files from memory; there is no database file, which a
second process could not open. A line is appended after the files it names are in place, so
an import that is interrupted leaves the archive as it was. Import from one process at a time.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from forecast.data.catalog import Catalog, SeriesSpec, catalog
from forecast.data.quality import unit_conflicts, unit_that_fits
from forecast.data.sources.directory import ImportReport, SeriesFile, SetAside, Track, read_directory
from forecast.data.vintages import Vintages, VintageTable
from forecast.errors import DataError, UnitError
from forecast.home import archive_folder
from forecast.tables import write_atomically

if TYPE_CHECKING:
    import duckdb

_HOW = "Fill it with: forecast data import DIR"

# What a manifest says of a series that a reader of a report should know.
_NOTES = {"transcribed": "transcribed", "derived": "derived", "step-coded": "step-coded"}


@dataclass(frozen=True, slots=True)
class Entry:
    """One vintage in the archive: a line of ``manifest.jsonl``.

    id, as_of    : series id and day at whose end the vintage was current
    file, sha256 : name and content of the file it came from
    unit         : unit of the archived values, which is the catalogue's
    unit_read    : unit in which the file's numbers were read; ``unit_assumed`` if none was stated
    observations : path of the Parquet file inside the archive
    values, first, last : number of values and the periods they span
    refused      : values left out: period, value in ``unit``, reason
    """

    id: str
    as_of: str
    file: str
    sha256: str
    imported_at: str
    unit: str
    unit_read: str
    unit_assumed: bool
    observations: str
    values: int
    first: str
    last: str
    repairs: Sequence[str]
    refused: Sequence[Mapping[str, object]]
    provenance: Mapping[str, str]

    @property
    def note(self) -> str:
        """How the numbers came about, where it is not by download."""
        said = f"{self.provenance.get('obtained_from', '')} {self.provenance.get('checks', '')}".lower()
        return ", ".join(note for word, note in _NOTES.items() if word in said)


def entries(folder: Path | None = None) -> list[Entry]:
    """Vintages in the archive, the latest line of each.

    Raises
    ------
    DataError : no archive, or a damaged line; says how to fill it
    """
    path = (folder or archive_folder()) / "manifest.jsonl"
    if not path.exists():
        raise DataError(f"the archive {path.parent} is empty. {_HOW}")
    latest: dict[tuple[str, str], Entry] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            entry = Entry(**json.loads(line))
        except (ValueError, TypeError) as error:
            raise DataError(
                f"{path}, line {number} is damaged: {error}. Remove the archive and import again."
            ) from error
        latest[entry.id, entry.as_of] = entry
    return [latest[key] for key in sorted(latest)]


def load_vintages(folder: Path | None = None, *, known: Catalog | None = None) -> Vintages:
    """Everything in the archive.

    Raises
    ------
    DataError : no archive, or a file of it is missing; says how to fill it
    UnitError : the catalogue's unit of a series has changed since it was imported
    """
    known = known or catalog()
    archive = folder or archive_folder()
    return Vintages.from_tables(_tables(entries(archive), archive, known), known)


def _tables(found: Iterable[Entry], archive: Path, known: Catalog) -> list[VintageTable]:
    specs = {spec.id: spec for spec in known.values()}
    connection = _connect()
    return [_table(connection, entry, archive, specs[entry.id]) for entry in found if entry.id in specs]


def _table(connection: duckdb.DuckDBPyConnection, entry: Entry, archive: Path, spec: SeriesSpec) -> VintageTable:
    if entry.unit != spec.unit.name:
        raise UnitError(
            f"{entry.id} was archived in {entry.unit}, and the catalogue now says {spec.unit}. "
            f"Remove {archive} and import again."
        )
    path = archive / entry.observations
    if not path.exists():
        raise DataError(f"the archive lacks {path}. Import {entry.file} again.")
    rows = connection.execute("SELECT period, value FROM read_parquet(?) ORDER BY period", [str(path)]).fetchnumpy()
    periods = np.asarray(rows["period"], dtype="datetime64[D]")
    # DuckDB keeps an empty cell as NULL and hands it back masked, with an arbitrary number underneath.
    values = np.ma.filled(np.ma.asarray(rows["value"], dtype=np.float64), np.nan)
    return VintageTable(spec.name, pd.Timestamp(entry.as_of), periods, values)


def _connect() -> duckdb.DuckDBPyConnection:
    import duckdb

    return duckdb.connect(":memory:")


def provenance(folder: Path | None = None, *, known: Catalog | None = None) -> pd.DataFrame:
    """Where each archived series comes from, for status tables and reports.

    Returns
    -------
    one row a series: name, id, title, unit, provider, first, last (periods), vintages ("single" or
    "several"), note ("transcribed", "derived", "step-coded", or nothing)
    """
    by_id: dict[str, list[Entry]] = {}
    for entry in entries(folder):
        by_id.setdefault(entry.id, []).append(entry)
    rows = [_described(spec, by_id[spec.id]) for spec in (known or catalog()).values() if spec.id in by_id]
    return pd.DataFrame(rows, columns=["name", "id", "title", "unit", "provider", "first", "last", "vintages", "note"])


def _described(spec: SeriesSpec, found: Sequence[Entry]) -> dict[str, str]:
    return {
        "name": spec.name,
        "id": spec.id,
        "title": spec.title,
        "unit": spec.unit.name,
        "provider": spec.provider,
        "first": min(entry.first for entry in found),
        "last": max(entry.last for entry in found),
        "vintages": "single" if len(found) == 1 else "several",
        "note": ", ".join(sorted({note for entry in found for note in entry.note.split(", ") if note})),
    }


def import_directory(
    folder: Path,
    *,
    units: Mapping[str, str] | None = None,
    archive: Path | None = None,
    known: Catalog | None = None,
    track: Track = iter,
) -> ImportReport:
    """Read a folder of series files into the archive.

    What is acceptable enters even if other files are refused; what is already there is left alone, so an
    import can be repeated after a correction. The same file in another unit replaces its earlier reading.

    Parameters
    ----------
    folder, units, track : as for ``read_directory``
    archive : the archive; ``forecast.home.archive_folder()`` if not given

    Raises
    ------
    DataError : the folder or its manifest cannot be read at all
    """
    known = known or catalog()
    archive = archive or archive_folder()
    read = read_directory(folder, units=units, known=known, track=track)
    held = {(e.id, e.as_of): e for e in _held(archive)}
    standing = {file.name: _standing(file, held, known) for file in read.imported}
    fresh = [file for file in read.imported if standing[file.name] == "new"]
    clashing = [SetAside(f.name, _clash(f, held, known)) for f in read.imported if standing[f.name] == "clash"]
    kept = _not_read_again(held, fresh, known)
    conflicts = _conflicts(fresh, _tables(kept, archive, known), known)
    entering = [file for file in fresh if file.name not in conflicts]
    _write(entering, archive, known)
    return replace(
        read,
        imported=tuple(entering),
        unchanged=tuple(file for file in read.imported if standing[file.name] == "held"),
        refused=(*read.refused, *clashing, *(SetAside(name, why) for name, why in conflicts.items())),
    )


def _held(archive: Path) -> list[Entry]:
    if not (archive / "manifest.jsonl").exists():
        return []
    return [entry for entry in entries(archive) if (archive / entry.observations).exists()]


def _key(file: SeriesFile, known: Catalog) -> tuple[str, str]:
    return known[file.table.series].id, f"{file.table.as_of:%Y-%m-%d}"


def _standing(
    file: SeriesFile, held: Mapping[tuple[str, str], Entry], known: Catalog
) -> Literal["new", "held", "clash"]:
    entry = held.get(_key(file, known))
    if entry is None:
        return "new"
    if entry.sha256 != file.sha256:
        return "clash"
    # A unit that was stated once is not undone by importing the same file without stating it.
    return "held" if file.assumed or entry.unit_read == file.unit.name else "new"


def _clash(file: SeriesFile, held: Mapping[tuple[str, str], Entry], known: Catalog) -> str:
    key = _key(file, known)
    return (
        f"{file.name}: the archive already holds another file of {key[0]} as of {key[1]} "
        f"({held[key].file}). Give this one the day on which it was current."
    )


def _not_read_again(held: Mapping[tuple[str, str], Entry], fresh: Sequence[SeriesFile], known: Catalog) -> list[Entry]:
    """Archived vintages of the series that arrive, but for those being read again."""
    again = {_key(file, known) for file in fresh}
    arriving = {key[0] for key in again}
    return [entry for key, entry in held.items() if entry.id in arriving and key not in again]


def _conflicts(fresh: Sequence[SeriesFile], archived: Sequence[VintageTable], known: Catalog) -> dict[str, str]:
    """File name -> why its unit cannot be right."""
    reasons: dict[str, str] = {}
    for name in sorted({file.table.series for file in fresh}):
        files = [file for file in fresh if file.table.series == name]
        others = [table for table in archived if table.series == name]
        spec = known[name]
        found = unit_conflicts([f.table for f in files], [not f.assumed for f in files], others, spec.unit)
        for i, (other, factor) in found.items():
            reasons[files[i].name] = _wrong_unit(files[i], spec, other, factor)
    return reasons


def _wrong_unit(file: SeriesFile, spec: SeriesSpec, other: VintageTable, factor: float) -> str:
    fitting = unit_that_fits(file.unit, factor)
    unit = fitting.name if fitting else "UNIT"
    said = f"no unit is stated; read in {file.unit}, the catalogue's," if file.assumed else f"read in {file.unit}"
    otherwise = "" if file.assumed else " If that vintage is the wrong one, import it again with its unit."
    return (
        f"{file.name}: {said} its values are {factor:g} times those of the vintage of {other.as_of:%Y-%m-%d}. "
        f"State its unit: --unit {spec.id}={unit}.{otherwise}"
    )


def _write(files: Sequence[SeriesFile], archive: Path, known: Catalog) -> None:
    if not files:
        return
    now = datetime.now(UTC).isoformat(timespec="seconds")
    connection = _connect()
    (archive / "observations").mkdir(parents=True, exist_ok=True)
    lines = []
    for file in files:
        entry = _entry(file, known[file.table.series], now)
        write_atomically(archive / "raw" / entry.sha256, file.content)
        _write_parquet(connection, file.table, archive / entry.observations)
        lines.append(json.dumps(_plain(entry), ensure_ascii=False))
    manifest = archive / "manifest.jsonl"
    before = manifest.read_bytes() if manifest.exists() else b""
    write_atomically(manifest, before + "".join(f"{line}\n" for line in lines).encode())


def _entry(file: SeriesFile, spec: SeriesSpec, now: str) -> Entry:
    as_of = f"{file.table.as_of:%Y-%m-%d}"
    present = file.table.periods[np.isfinite(file.table.values)]
    return Entry(
        id=spec.id,
        as_of=as_of,
        file=file.name,
        sha256=file.sha256,
        imported_at=now,
        unit=spec.unit.name,
        unit_read=file.unit.name,
        unit_assumed=file.assumed,
        # The reading is part of the name: another unit is another file, so a line never speaks of newer values.
        observations=f"observations/{spec.id}__{as_of}__{file.unit}__{file.sha256[:12]}.parquet",
        values=len(present),
        first=str(present[0]),
        last=str(present[-1]),
        repairs=file.repairs,
        refused=tuple({"period": v.period, "value": v.value, "reason": v.reason} for v in file.refused),
        provenance=file.provenance,
    )


def _plain(entry: Entry) -> dict[str, Any]:
    return {field: getattr(entry, field) for field in Entry.__slots__}


def _write_parquet(connection: duckdb.DuckDBPyConnection, table: VintageTable, path: Path) -> None:
    """As ``forecast.tables.write_table``, but with one connection for hundreds of files: opening it is the slow part."""
    connection.register("rows", pd.DataFrame({"period": table.periods.astype("datetime64[s]"), "value": table.values}))
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    target = str(part).replace("'", "''")
    connection.execute(f"COPY (SELECT CAST(period AS DATE) AS period, value FROM rows) TO '{target}' (FORMAT parquet)")
    part.replace(path)
