"""Is the archive still what was imported, and is what was imported plausible?

Evidence first: the raw bytes are those whose hash stands in the manifest, and reading them again
gives the stored observations. Then the numbers: bounds, steps, gaps, staleness, and one vintage
against another.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd

from forecast.data.arrival import twin
from forecast.data.catalog import Catalog, SeriesSpec, catalog
from forecast.data.plausibility import Check, Finding, Severity, findings
from forecast.data.quality import same_numbers, shifted, unit_factor
from forecast.data.sources.directory import read_series
from forecast.data.store import MANIFEST, Entry, connect, entries, lines, stored_table
from forecast.data.vintages import VintageTable
from forecast.errors import DataError, ForecastError
from forecast.home import archive_folder
from forecast.units import UNITS, parse_unit

_AGAIN = "Delete {} and import {} again"


def check_archive(archive: Path | None = None, *, known: Catalog | None = None) -> list[Finding]:
    """Everything that is wrong or remarkable in the archive as it stands; errors first, then by series.

    Raises
    ------
    DataError : no archive, or its manifest cannot be read
    """
    known = known or catalog()
    archive = archive or archive_folder()
    specs = {spec.id: spec for spec in known.values()}
    held = entries(archive)
    found, tables = evidence(held, archive, specs)
    for entry, table in tables:
        found += findings(specs[entry.id], table, UNITS.get(entry.unit_read, specs[entry.id].unit))
    by_series: dict[str, list[VintageTable]] = {}
    for _, table in tables:
        by_series.setdefault(table.series, []).append(table)
    for name, several in by_series.items():
        found += _between_vintages(known[name], several)
        found += _between_series(known[name], several, by_series.get(twin(name), []), known)
    found += _strangers(archive)
    return sorted(found, key=lambda finding: (finding.severity, finding.series, finding.as_of))


def evidence(
    held: Iterable[Entry], archive: Path, specs: dict[str, SeriesSpec]
) -> tuple[list[Finding], list[tuple[Entry, VintageTable]]]:
    """Vintages whose files are not what the manifest says, and the observations of all that can be read."""
    found: list[Finding] = []
    tables = []
    connection = connect()
    for entry in held:
        raw = archive / entry.raw
        content = raw.read_bytes() if raw.is_file() else None
        if content is None or hashlib.sha256(content).hexdigest() != entry.sha256:
            said = "is missing" if content is None else "is not what was imported: its bytes have changed"
            found.append(_error(entry, "file", f"{raw} {said}", f"Put {entry.file} back there from a copy"))
            content = None
        if entry.id not in specs:
            said = "the series is not in the catalogue, and nothing reads it"
            fix = "Add it to the catalogue, or leave it"
            found.append(Finding(entry.id, entry.as_of, "catalogue", "warning", said, fix))
            continue
        try:
            table = stored_table(connection, entry, archive, specs[entry.id])
        except DataError as error:
            path = archive / entry.observations
            found.append(_error(entry, "file", str(error).partition(". ")[0], _AGAIN.format(path, entry.file)))
            continue
        tables.append((entry, table))
        found += _compared(entry, table, content, specs[entry.id], archive)
    return found, tables


def _compared(
    entry: Entry, table: VintageTable, content: bytes | None, spec: SeriesSpec, archive: Path
) -> list[Finding]:
    """Whether reading the file again gives the stored observations, and these are what the manifest counts."""
    fix = _AGAIN.format(archive / entry.observations, entry.file)
    there = table.periods[np.isfinite(table.values)]
    counted = (len(there), str(there[0]), str(there[-1])) if len(there) else (0, "", "")
    if counted != (entry.values, entry.first, entry.last):
        return [_error(entry, "values", f"the manifest counts {entry.values} values, stored are {counted[0]}", fix)]
    if content is None:
        return []
    try:
        unit = parse_unit(entry.unit_read, where=entry.file)
        again = read_series(content, spec, unit, pd.Timestamp(entry.as_of), where=entry.file).table
    except ForecastError as error:
        return [_error(entry, "values", f"the file can no longer be read: {str(error).rstrip('.')}", fix)]
    same = np.array_equal(again.periods, table.periods) and np.array_equal(again.values, table.values, equal_nan=True)
    return [] if same else [_error(entry, "values", "the stored values are not those of the file", fix)]


def _between_vintages(spec: SeriesSpec, tables: Sequence[VintageTable]) -> list[Finding]:
    found = []
    ordered = sorted(tables, key=lambda table: table.as_of)
    for earlier, later in pairwise(ordered):
        said: list[tuple[Severity, str, str]] = []
        beside = f"the vintage of {earlier.as_of:%Y-%m-%d}"
        factor, by = unit_factor(later, earlier, spec.unit), shifted(later, earlier)
        if factor is not None:
            fix = f"Import it with its unit: --unit {spec.id}=UNIT"
            said.append(("error", f"its values are {factor:g} times those of {beside}", fix))
        if by:
            way = "later" if by > 0 else "earlier"
            said.append(("error", f"its values stand one period {way} than in {beside}", "Correct its labels"))
        if later.periods.max() < earlier.periods.max():
            fix = "Make sure of the day it was current"
            said.append(("warning", f"it ends on {later.periods.max()}, before {beside}", fix))
        found += [Finding(spec.id, f"{later.as_of:%Y-%m-%d}", "vintages", *one) for one in said]
    return found


def _between_series(
    spec: SeriesSpec, tables: Sequence[VintageTable], others: Sequence[VintageTable], known: Catalog
) -> list[Finding]:
    """One finding for each vintage that holds the numbers of the same item measured in the other way."""
    found = []
    for table in tables:
        copy = next((other for other in others if same_numbers(table, other)), None)
        if copy is not None:
            said = f"the same numbers as {known[copy.series].id}: a week's average and a Wednesday's level differ"
            found.append(Finding(spec.id, f"{table.as_of:%Y-%m-%d}", "twin", "error", said, "Keep only the one it is"))
    return found


def _strangers(archive: Path) -> list[Finding]:
    """Files that no line of the manifest speaks of: left by an import that did not end, or by somebody."""
    named = {MANIFEST, "lock"} | {path for _, entry in lines(archive) for path in (entry.raw, entry.observations)}
    there = (path.relative_to(archive).as_posix() for path in sorted(archive.rglob("*")) if path.is_file())
    fix = "Delete it once no import is running"
    return [Finding("", "", "file", "warning", f"{p} belongs to no vintage", fix) for p in there if p not in named]


def _error(entry: Entry, check: Check, said: str, fix: str) -> Finding:
    return Finding(entry.id, entry.as_of, check, "error", said, fix)
