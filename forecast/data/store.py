"""The archive on disk: every imported file, unchanged, and the observations read from it.

    archive/raw/<sha256>                     bytes of a file as it came: the evidence of a vintage
    archive/observations/<id>__<as_of>...    its values in the catalogue's unit, as Parquet
    archive/manifest.jsonl                   one line a vintage, only ever appended to
    archive/lock                             held while an import decides and writes

DuckDB writes and reads the Parquet files from memory; there is no database file, which a
second process could not open. A line is appended after the files it names are in place, so
an import that is interrupted leaves the archive as it was.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from forecast.data.arrival import beside_the_archive, key_of, standing, twin, twofold
from forecast.data.catalog import Catalog, SeriesSpec, catalog
from forecast.data.sources.directory import ImportReport, SeriesFile, SetAside, Track, read_directory
from forecast.data.vintages import Vintages, VintageTable
from forecast.errors import DataError, UnitError
from forecast.home import archive_folder
from forecast.lock import only_writer
from forecast.tables import write_atomically

if TYPE_CHECKING:
    import duckdb

MANIFEST = "manifest.jsonl"
RAW = re.compile(r"raw/[0-9a-f]{64}")
OBSERVATIONS = re.compile(r"observations/[A-Za-z0-9][A-Za-z0-9._-]{0,200}\.parquet")

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
    warnings     : what was remarkable about the values on arrival
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
    warnings: Sequence[str] = ()

    def __post_init__(self) -> None:
        # The line may come from somebody else's archive, and its paths are opened.
        for path, pattern in ((self.raw, RAW), (self.observations, OBSERVATIONS)):
            if not pattern.fullmatch(path):
                raise ValueError(f"{path[:80]!r} is no path of the archive")

    @property
    def raw(self) -> str:
        """Path of the file as it came, inside the archive."""
        return f"raw/{self.sha256}"

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
    latest = {(entry.id, entry.as_of): entry for _, entry in lines(folder or archive_folder())}
    return [latest[key] for key in sorted(latest)]


def lines(archive: Path) -> list[tuple[bytes, Entry]]:
    """Every line of the manifest, the superseded ones too, oldest first.

    Raises
    ------
    DataError : no archive, or a damaged line; says how to fill it
    """
    path = archive / MANIFEST
    if not path.exists():
        raise DataError(f"the archive {archive} is empty. {_HOW}")
    return [(line, _entry_of(line, f"{path}, line {n}")) for n, line in enumerate(path.read_bytes().splitlines(), 1)]


def _entry_of(line: bytes, where: str) -> Entry:
    try:
        return Entry(**json.loads(line))
    except (ValueError, TypeError, AttributeError) as error:
        raise DataError(f"{where} is damaged: {error}. Remove the archive and import again.") from error


def load_vintages(folder: Path | None = None, *, known: Catalog | None = None) -> Vintages:
    """Everything in the archive.

    Raises
    ------
    DataError : no archive, or a file of it is missing; says how to fill it
    UnitError : the catalogue's unit of a series has changed since it was imported
    """
    known = known or catalog()
    archive = folder or archive_folder()
    return Vintages.from_tables(stored_tables(entries(archive), archive, known), known)


def stored_tables(found: Iterable[Entry], archive: Path, known: Catalog) -> list[VintageTable]:
    """The observations of vintages of catalogued series.

    Raises
    ------
    DataError : a file is missing or damaged; names it and says how to replace it
    UnitError : the catalogue's unit of a series has changed since it was imported
    """
    specs = {spec.id: spec for spec in known.values()}
    connection = connect()
    return [stored_table(connection, entry, archive, specs[entry.id]) for entry in found if entry.id in specs]


def stored_table(connection: duckdb.DuckDBPyConnection, entry: Entry, archive: Path, spec: SeriesSpec) -> VintageTable:
    """The observations of one vintage; errors as for ``stored_tables``."""
    import duckdb

    if entry.unit != spec.unit.name:
        raise UnitError(
            f"{entry.id} was archived in {entry.unit}, and the catalogue now says {spec.unit}. "
            f"Remove {archive} and import again."
        )
    path = archive / entry.observations
    if not path.exists():
        raise DataError(f"the archive lacks {path}. Import {entry.file} again.")
    try:
        rows = connection.execute("SELECT period, value FROM read_parquet(?) ORDER BY period", [str(path)]).fetchnumpy()
        periods = np.asarray(rows["period"], dtype="datetime64[D]")
        # DuckDB keeps an empty cell as NULL and hands it back masked, with an arbitrary number underneath.
        values = np.ma.filled(np.ma.asarray(rows["value"], dtype=np.float64), np.nan)
    except (duckdb.Error, ValueError, TypeError) as error:
        raise DataError(f"{path} is damaged. Delete it and import {entry.file} again.") from error
    return VintageTable(spec.name, pd.Timestamp(entry.as_of), periods, values)


def connect() -> duckdb.DuckDBPyConnection:
    """DuckDB in memory; opening it is the slow part of reading a small file."""
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
    with archive_writer(archive):
        return _take_in(read, archive, known)


def archive_writer(archive: Path, *, patience: float = 60.0) -> AbstractContextManager[None]:
    """Be the only process that writes into an archive.

    Raises
    ------
    DataError : another process did not finish within ``patience`` seconds
    """
    said = f"another process is importing into {archive}. Wait until it ends, and import again."
    return only_writer(archive, busy=DataError(said), patience=patience)


def _take_in(read: ImportReport, archive: Path, known: Catalog) -> ImportReport:
    held = {(e.id, e.as_of): e for e in _held(archive)}
    reasons = twofold(read.imported, known)
    stands = {f.name: standing(f, held.get(key_of(f, known))) for f in read.imported if f.name not in reasons}
    reasons |= {name: why for name, why in stands.items() if why not in ("new", "held")}
    fresh = [file for file in read.imported if stands.get(file.name) == "new"]
    again = {key_of(file, known) for file in fresh}
    kept = [entry for key, entry in held.items() if key not in again and _bears_upon(entry, fresh, known)]
    reasons |= beside_the_archive(fresh, stored_tables(kept, archive, known), known)
    entering = [file for file in fresh if file.name not in reasons]
    _write(entering, archive, known)
    return replace(
        read,
        imported=tuple(entering),
        unchanged=tuple(file for file in read.imported if stands.get(file.name) == "held"),
        refused=(*read.refused, *(SetAside(name, why) for name, why in reasons.items())),
    )


def _held(archive: Path) -> list[Entry]:
    if not (archive / MANIFEST).exists():
        return []
    return [entry for entry in entries(archive) if (archive / entry.observations).exists()]


def _bears_upon(entry: Entry, fresh: Sequence[SeriesFile], known: Catalog) -> bool:
    """Whether an archived vintage is of a series that arrives, or of its neighbour."""
    arriving = {file.table.series for file in fresh}
    return entry.id in {known[name].id for series in arriving for name in (series, twin(series)) if name in known}


def _write(files: Sequence[SeriesFile], archive: Path, known: Catalog) -> None:
    if not files:
        return
    now = datetime.now(UTC).isoformat(timespec="seconds")
    connection = connect()
    (archive / "observations").mkdir(parents=True, exist_ok=True)
    added = []
    for file in files:
        entry = _entry(file, known[file.table.series], now)
        write_atomically(archive / entry.raw, file.content)
        _write_parquet(connection, file.table, archive / entry.observations)
        added.append(json.dumps(_plain(entry), ensure_ascii=False).encode())
    append(archive, added)


def append(archive: Path, added: Iterable[bytes]) -> None:
    """Add lines to the manifest; the files they name stand already."""
    manifest = archive / MANIFEST
    before = manifest.read_bytes() if manifest.exists() else b""
    write_atomically(manifest, before + b"".join(line + b"\n" for line in added))


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
        warnings=tuple(warning.said for warning in file.warnings),
    )


def _plain(entry: Entry) -> dict[str, Any]:
    return {field: getattr(entry, field) for field in Entry.__slots__}


def _write_parquet(connection: duckdb.DuckDBPyConnection, table: VintageTable, path: Path) -> None:
    """As ``forecast.tables.write_table``, but with one connection for hundreds of files: opening it is the slow part."""
    connection.register("rows", pd.DataFrame({"period": table.periods.astype("datetime64[s]"), "value": table.values}))
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    target = str(part).replace("'", "''")
    connection.execute(f"COPY (SELECT CAST(period AS DATE) AS period, value FROM rows) TO '{target}' (FORMAT parquet)")
    with part.open("rb") as file:
        os.fsync(file.fileno())
    part.replace(path)
