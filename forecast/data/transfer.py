"""A whole archive in one file, and back, bit for bit.

An export is a tar file, compressed or not: first ``contents.json`` with the size and SHA-256 of every
member, then the manifest, the raw files and the observations, in order and without times or owners,
so that the same archive always makes the same bytes. On the way back every member is held against
``contents.json`` in a folder of its own, and the observations against the raw bytes; only then does
anything enter the archive.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO

from forecast.data.audit import evidence
from forecast.data.catalog import Catalog, catalog
from forecast.data.quality import unit_conflicts
from forecast.data.store import MANIFEST, RAW, Entry, append, archive_writer, entries, lines, stored_tables
from forecast.data.unpacking import CONTENTS, FORMAT, Contents, unpack
from forecast.data.vintages import VintageTable
from forecast.errors import DataError, UnitError, UsageError, VintageError
from forecast.home import archive_folder
from forecast.tables import write_atomically


@dataclass(frozen=True, slots=True)
class Transfer:
    """What became of the vintages of an export.

    imported  : new to the archive
    unchanged : in the archive already
    """

    imported: tuple[Entry, ...]
    unchanged: tuple[Entry, ...]


# --------------------------------------------------------------------------- out


def export_archive(file: Path, archive: Path | None = None) -> int:
    """Write the archive into one file; the number of its vintages.

    Raises
    ------
    UsageError : the file exists, or its name ends in neither .tar nor .tar.gz
    DataError  : no archive, or a file of it is missing or no longer what was imported
    """
    archive = archive or archive_folder()
    if not file.name.endswith((".tar", ".tar.gz")):
        raise UsageError(f"{file.name!r}: name the export FILE.tar or FILE.tar.gz.")
    if file.exists():
        raise UsageError(f"{file} exists. Choose another name, or delete it first.")
    held = entries(archive)
    contents = {path: _measured(archive / path, path) for path in _paths(archive)}
    part = file.with_name(f".{file.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as target:
            _write_tar(target, archive, contents, compress=file.name.endswith(".gz"))
            target.flush()
            os.fsync(target.fileno())
        part.replace(file)
    finally:
        part.unlink(missing_ok=True)
    return len(held)


def _paths(archive: Path) -> list[str]:
    """Files of the archive: of every current vintage, and of superseded readings as far as they are still there."""
    current = {path for entry in entries(archive) for path in (entry.raw, entry.observations)}
    older = {path for _, entry in lines(archive) for path in (entry.raw, entry.observations)} - current
    return [MANIFEST, *sorted(current | {path for path in older if (archive / path).is_file()})]


def _measured(path: Path, member: str) -> tuple[int, str]:
    if not path.is_file():
        raise DataError(f"the archive lacks {path}. See what else is wrong with: forecast data check")
    content = path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    if RAW.fullmatch(member) and member != f"raw/{digest}":
        raise DataError(f"{path} is not what was imported. See what else is wrong with: forecast data check")
    return len(content), digest


def _write_tar(target: IO[bytes], archive: Path, contents: Contents, *, compress: bool) -> None:
    document = {
        "format": FORMAT,
        "members": {path: {"size": size, "sha256": digest} for path, (size, digest) in contents.items()},
    }
    stream = gzip.GzipFile("", "wb", fileobj=target, mtime=0) if compress else target
    with tarfile.open(fileobj=stream, mode="w:") as tar:
        _add(tar, CONTENTS, json.dumps(document, indent=1).encode())
        for path, (size, digest) in contents.items():
            content = (archive / path).read_bytes()
            if (len(content), hashlib.sha256(content).hexdigest()) != (size, digest):
                raise DataError(f"{archive / path} changed during the export. Export again.")
            _add(tar, path, content)
    if compress:
        stream.close()


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))


# --------------------------------------------------------------------------- and back


def import_archive(file: Path, archive: Path | None = None, *, known: Catalog | None = None) -> Transfer:
    """Take the vintages of an export into the archive; into an empty one, bit for bit.

    Vintages that are there already are left alone. All enter or none.

    Raises
    ------
    DataError    : no export, a member is not what its contents say, or the observations are not those of the raw files
    VintageError : the archive holds another file of one of the vintages
    UnitError    : a power of ten separates a vintage from one in the archive
    """
    archive, known = archive or archive_folder(), known or catalog()
    with TemporaryDirectory(prefix="forecast-import-") as folder:
        staging = Path(folder)
        unpack(file, staging)
        try:
            incoming = entries(staging)
        except DataError as error:
            said = str(error).replace(f"{staging}{os.sep}", "").partition(". ")[0]
            raise DataError(f"{file.name}: {said}. Nothing was imported.") from error
        specs = {spec.id: spec for spec in known.values()}
        faults = [f for f in evidence(incoming, staging, specs)[0] if f.severity == "error"]
        if faults:
            said = faults[0].said.replace(f"{staging}{os.sep}", "")
            raise DataError(f"{file.name}: {faults[0].series} as of {faults[0].as_of}: {said}. Nothing was imported.")
        with archive_writer(archive):
            return _merge(file.name, staging, incoming, archive, known)


def _merge(name: str, staging: Path, incoming: list[Entry], archive: Path, known: Catalog) -> Transfer:
    held = {(e.id, e.as_of): e for e in entries(archive)} if (archive / MANIFEST).exists() else {}
    fresh = [entry for entry in incoming if (entry.id, entry.as_of) not in held]
    there = [entry for entry in incoming if (entry.id, entry.as_of) in held]
    _demand_same(name, there, held)
    shared = {entry.id for entry in fresh} & {entry.id for entry in held.values()}
    arriving = stored_tables((entry for entry in fresh if entry.id in shared), staging, known)
    _demand_units(name, arriving, stored_tables((e for e in held.values() if e.id in shared), archive, known), known)
    keys = {(entry.id, entry.as_of) for entry in fresh}
    for path in _paths(staging)[1:]:
        target = archive / path
        if not target.exists() or (RAW.fullmatch(path) and hashlib.sha256(target.read_bytes()).hexdigest() != path[4:]):
            write_atomically(target, (staging / path).read_bytes())
    append(archive, [line for line, entry in lines(staging) if (entry.id, entry.as_of) in keys])
    return Transfer(tuple(fresh), tuple(there))


def _demand_same(name: str, there: list[Entry], held: Mapping[tuple[str, str], Entry]) -> None:
    for entry in there:
        mine = held[entry.id, entry.as_of]
        if (mine.sha256, mine.unit_read, mine.unit) != (entry.sha256, entry.unit_read, entry.unit):
            what = "another file" if mine.sha256 != entry.sha256 else f"a reading in {mine.unit_read}"
            raise VintageError(
                f"{name}: the archive holds {what} of {entry.id} as of {entry.as_of} ({mine.file}). "
                "Nothing was imported. Import it into an archive of its own: set FORECAST_HOME."
            )


def _demand_units(
    name: str, arriving: Sequence[VintageTable], standing: Sequence[VintageTable], known: Catalog
) -> None:
    for table in arriving:
        spec = known[table.series]
        beside = [other for other in standing if other.series == table.series]
        for other, factor in unit_conflicts([table], [True], beside, spec.unit).values():
            raise UnitError(
                f"{name}: the values of {spec.id} as of {table.as_of:%Y-%m-%d} are {factor:g} times those the archive "
                f"holds of {other.as_of:%Y-%m-%d}. Nothing was imported. Find out which of the two is right."
            )
