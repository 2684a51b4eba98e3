"""Finished cells on disk, under ``runs/<id>/cells/``: written whole or not at all, each verified when it is read.

A file holds the cells that one process finished at about the same time, because waiting for the disk
costs more than most cells. Each cell in it is a record that can be verified by itself:

    magic (8 bytes) | SHA-256 of all that follows (32) | header length (4) | payload length (8) | header | payload

The header is JSON: key of the cell, status, reason, names, shapes. The payload is float64 arrays, one after the other. A
truncated or changed record is passed over, and so its cell is computed again; the records around it are not lost. Files
are named by their content and never written twice, so processes cannot overwrite each other; the same cell
in two files is the same cell twice. Nothing is pickled.
"""

from __future__ import annotations

import hashlib
import json
import math
import struct
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.backtest.cells import Cell, nanoseconds
from forecast.calendar import NEW_YORK
from forecast.errors import DataError, UsageError
from forecast.features.feature_set import future_weeks
from forecast.features.transforms import microseconds
from forecast.lock import only_writer
from forecast.tables import write_atomically

type Array = NDArray[np.float64]

_MAGIC = b"\x89CELL1\r\n"
_LENGTHS = struct.Struct("<IQ")
_compact = json.JSONEncoder(separators=(",", ":")).encode
_START = len(_MAGIC) + hashlib.sha256().digest_size


def write_cells(folder: Path, cells: Iterable[tuple[str, Cell]]) -> None:
    """Write finished cells with their keys as one file; none if there are none.

    Raises
    ------
    DataError : the disk is full or may not be written
    """
    content = b"".join(encoded(key, cell) for key, cell in cells)
    if not content:
        return
    name = hashlib.sha256(content).hexdigest()[:32]
    try:
        write_atomically(folder / f"{name}.cells", content)
    except OSError as error:
        raise DataError(
            f"{folder}: finished cells cannot be written: {error.strerror}. Make room, then run the same command "
            "with the same --run-id: cells that are there are not computed again."
        ) from error


def read_cells(folder: Path, wanted: Collection[str]) -> dict[str, Cell]:
    """Those of some cells, by key, that are there and undamaged."""
    found: dict[str, Cell] = {}
    for path in sorted(folder.glob("*.cells")):
        for header, payload in _records(path.read_bytes()):
            key = header["key"]
            if key in wanted and key not in found:
                found[key] = _cell(header, payload)
    return found


def encoded(key: str, cell: Cell) -> bytes:
    """The record of a cell."""
    arrays = [array for array in (cell.quantiles, cell.outcomes, cell.scores) if array is not None]
    header = {
        "key": key,
        "model": cell.model,
        "conditioning": cell.conditioning,
        "origin": nanoseconds(cell.origin),
        "status": cell.status,
        "reason": cell.reason,
        "traceback": cell.traceback,
        "seconds": cell.seconds,
        "targets": cell.targets,
        "first": None if cell.periods is None else 1000 * int(microseconds(cell.periods)[0]),
        "content": cell.content,
        "score_names": cell.score_names,
        "shapes": [array.shape for array in arrays],
    }
    text = _compact(header).encode()
    payload = b"".join(array.astype("<f8", copy=False).tobytes() for array in arrays)
    body = _LENGTHS.pack(len(text), len(payload)) + text + payload
    return _MAGIC + hashlib.sha256(body).digest() + body


def _records(content: bytes) -> Iterator[tuple[dict[str, Any], bytes]]:
    """Header and payload of every undamaged record."""
    at = content.find(_MAGIC)
    while at >= 0:
        start = at + _START
        n, m = _LENGTHS.unpack_from(content, start) if len(content) >= start + _LENGTHS.size else (0, 0)
        middle = start + _LENGTHS.size + n
        body = content[start : middle + m]
        whole = hashlib.sha256(body).digest() == content[at + len(_MAGIC) : start]
        if whole:
            yield json.loads(content[start + _LENGTHS.size : middle]), content[middle : middle + m]
        at = content.find(_MAGIC, middle + m if whole else at + 1)


def _cell(header: Mapping[str, Any], payload: bytes) -> Cell:
    values, at, arrays = np.frombuffer(payload, dtype="<f8"), 0, list[Array]()
    for shape in header["shapes"]:
        arrays.append(values[at : at + math.prod(shape)].reshape(shape))
        at += arrays[-1].size
    quantiles, outcomes, scores = arrays or (None, None, None)
    return Cell(
        header["model"],
        header["conditioning"],
        pd.Timestamp(header["origin"], tz="UTC").tz_convert(NEW_YORK).as_unit("us"),
        status=header["status"],
        reason=header["reason"],
        traceback=header["traceback"],
        seconds=header["seconds"],
        targets=tuple(header["targets"]),
        periods=None if quantiles is None else _weeks(header["first"], quantiles.shape[1]),
        quantiles=quantiles,
        outcomes=outcomes,
        scores=scores,
        score_names=tuple(header["score_names"]),
        content=header["content"],
    )


@lru_cache(maxsize=1024)
def _weeks(first: int, n: int) -> pd.DatetimeIndex:
    return future_weeks(pd.Timestamp(first) - pd.Timedelta(weeks=1), n)


def one_writer(folder: Path) -> AbstractContextManager[None]:
    """Hold a run for this process.

    Raises
    ------
    UsageError : another process is at it
    """
    said = f"run {folder.name!r} is being written by another process. Wait for it, or choose another --run-id."
    return only_writer(folder, busy=UsageError(said), patience=0.0)
