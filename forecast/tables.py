"""Tables on disk: Parquet files, written whole or not at all. DuckDB is the engine, in memory only."""

from __future__ import annotations

import os
import tempfile
import warnings
from pathlib import Path

import pandas as pd

from forecast.calendar import NEW_YORK


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that a reader, or a crash, finds either the old one or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    Path(name).chmod(0o644)
    Path(name).replace(path)
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Make a rename outlive a power cut; Windows does this itself and cannot open folders."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def write_table(table: pd.DataFrame, path: Path) -> None:
    """Write a table as Parquet; instants keep their meaning, the index is not kept."""
    import duckdb

    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    with duckdb.connect() as connection:
        connection.register("rows", table)
        connection.execute(f"COPY rows TO '{_quoted(part)}' (FORMAT parquet, COMPRESSION zstd)")
    part.replace(path)


def read_table(path: Path) -> pd.DataFrame:
    """Read a table; instants come back in New York time, days without a zone."""
    import duckdb

    with duckdb.connect() as connection, warnings.catch_warnings():
        # DuckDB itself calls pandas in a way that pandas 4 will not allow.
        warnings.simplefilter("ignore", pd.errors.Pandas4Warning)
        connection.execute(f"SET TimeZone = '{NEW_YORK}'")
        table: pd.DataFrame = connection.execute("SELECT * FROM read_parquet(?)", [str(path)]).df()
    return table


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")
