"""Tables on disk: Parquet files, written whole or not at all. DuckDB is the engine, in memory only."""

from __future__ import annotations

import os
import tempfile
import warnings
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from forecast.calendar import NEW_YORK

if TYPE_CHECKING:
    import duckdb


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
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    with _database().cursor() as connection:
        # DuckDB cannot read a frame whose rows run backwards in memory.
        connection.register("rows", table.copy())
        connection.execute(f"COPY rows TO '{_quoted(part)}' (FORMAT parquet, COMPRESSION zstd)")
        connection.unregister("rows")
    part.replace(path)


def read_table(path: Path) -> pd.DataFrame:
    """Read a table; instants come back in New York time, days without a zone."""
    with _database().cursor() as connection, warnings.catch_warnings():
        # DuckDB itself calls pandas in a way that pandas 4 will not allow.
        warnings.simplefilter("ignore", pd.errors.Pandas4Warning)
        connection.execute(f"SET TimeZone = '{NEW_YORK}'")
        table: pd.DataFrame = connection.execute("SELECT * FROM read_parquet(?)", [str(path)]).df()
    return table


@cache
def _database() -> duckdb.DuckDBPyConnection:
    """An empty database in memory, opened once a process: that takes longer than writing a table.

    It has no threads of its own, so that a process which has one may still fork.
    """
    import duckdb

    return duckdb.connect(config={"threads": 1})


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")
