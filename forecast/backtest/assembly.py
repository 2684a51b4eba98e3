"""Cells become the tables of a result."""

from __future__ import annotations

import hashlib
import os
import platform
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.backtest.cells import Cell, nanoseconds
from forecast.backtest.fingerprints import versions
from forecast.backtest.replay import CellRunner
from forecast.backtest.result import QUANTILES, quantile_column
from forecast.calendar import NEW_YORK
from forecast.data.vintages import Vintages
from forecast.errors import DataError
from forecast.evaluation.scorecard import Scorecard


def scorecard(runner: CellRunner, cells: Sequence[Cell]) -> Scorecard:
    """Scores at the plan's horizons, one row a model x conditioning x target x origin x horizon."""
    good = list(_good(cells))
    names = ("outcome", *(good[0].score_names if good else ()))
    blocks = []
    for cell in good:
        at = np.array([h for h in runner.plan.horizons if h <= len(cell.periods)])
        for k, target in enumerate(cell.targets):
            blocks.append(_Block(cell, target, at, np.vstack([cell.outcomes[at - 1, k], cell.scores[:, :, k]])))
    return Scorecard(_long_table(runner, blocks, names))


def forecast_table(runner: CellRunner, cells: Sequence[Cell]) -> pd.DataFrame:
    """Kept quantiles of every week up to the last horizon."""
    names = ("outcome", *map(quantile_column, QUANTILES), "mean")
    blocks = []
    for cell in _good(cells):
        at = np.arange(1, len(cell.periods) + 1)
        for k, target in enumerate(cell.targets):
            blocks.append(_Block(cell, target, at, np.vstack([cell.outcomes[:, k], cell.quantiles[:, :, k]])))
    return _long_table(runner, blocks, names)


class _Block(NamedTuple):
    """Rows of one cell and target: ``values`` (C, h) by column and horizon ``at``."""

    cell: Any
    target: str
    at: NDArray[np.int64]
    values: NDArray[np.float64]


def _long_table(runner: CellRunner, blocks: Sequence[_Block], names: Sequence[str]) -> pd.DataFrame:
    """Stack blocks; a frame a cell would cost more than most models."""
    if not blocks:
        raise DataError(
            "no cell was scored: every model was short of history or failed. "
            "Check minimum_history and origins in the plan, and see: forecast data status"
        )
    lengths = [len(block.at) for block in blocks]

    def repeated(values: Iterable[Any]) -> Any:
        return pd.Series(list(values)).repeat(lengths).reset_index(drop=True)

    table = {
        "model": repeated(block.cell.model for block in blocks),
        "conditioning": repeated(block.cell.conditioning for block in blocks),
        "target": repeated(block.target for block in blocks),
        "origin": _instants(np.repeat([nanoseconds(block.cell.origin) for block in blocks], lengths)),
        "horizon": np.concatenate([block.at for block in blocks]),
        "period": np.concatenate([block.cell.periods.asi8[block.at - 1] for block in blocks]).view("M8[us]"),
        "unit": repeated(runner.realised.units[block.target].name for block in blocks),
    }
    values = np.concatenate([block.values for block in blocks], axis=1)
    return pd.DataFrame({**table, **dict(zip(names, values, strict=True))})


def _instants(since_1970: NDArray[np.int64]) -> pd.DatetimeIndex:
    """Nanoseconds as New York time; a list of a thousand time stamps takes as long as forecasting with some models."""
    return pd.DatetimeIndex(since_1970.view("M8[ns]")).tz_localize("UTC").tz_convert(NEW_YORK).as_unit("us")


def _good(cells: Iterable[Cell]) -> Iterator[Any]:
    return (cell for cell in cells if cell.status == "ok")


def _key(cell: Cell) -> dict[str, Any]:
    return {"model": cell.model, "conditioning": cell.conditioning, "origin": cell.origin}


def cell_table(cells: Sequence[Cell]) -> pd.DataFrame:
    """What became of every cell that was asked."""
    rows = [
        {
            **_key(cell),
            "status": cell.status,
            "reason": cell.reason,
            "traceback": cell.traceback,
            "seconds": cell.seconds,
            "targets": ",".join(cell.targets),
            "content": cell.content,
        }
        for cell in cells
    ]
    return pd.DataFrame(rows)


def data_table(vintages: Vintages, notes: Mapping[str, str]) -> pd.DataFrame:
    """The series that were used, and what a reader should know of each."""
    final, single = vintages.final(), set(vintages.single_vintage())
    rows = []
    for name in vintages.names:
        spec, series = vintages.catalog[name], final.series(name)
        rows.append(
            {
                "name": name,
                "id": spec.id,
                "title": spec.title,
                "unit": spec.unit.name,
                "provider": spec.provider,
                "first": series.index[0],
                "last": series.index[-1],
                "vintages": "single" if name in single else "several",
                "pseudo_share": vintages.pseudo_share(name),
                "note": notes.get(name, ""),
            }
        )
    return pd.DataFrame(rows)


def about_run(started: float, cells: Sequence[Cell]) -> dict[str, Any]:
    """When, where and with what a run was made; ``started`` is a reading of ``time.perf_counter``."""
    return {
        "finished": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "seconds": round(time.perf_counter() - started, 1),
        "content": content_hash(cells),
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "versions": {"reserve-forecast": version("reserve-forecast"), **versions()},
    }


def content_hash(cells: Sequence[Cell]) -> str:
    """Hash of keys, draws and scores; times, hosts and versions do not enter."""
    digest = hashlib.sha256()
    for cell in cells:
        key = f"{cell.model}|{cell.conditioning}|{cell.origin.isoformat()}|{cell.status}|{cell.targets}|{cell.content}"
        digest.update(key.encode())
        if cell.scores is not None:
            digest.update(repr(cell.score_names).encode() + np.ascontiguousarray(cell.scores).tobytes())
    return digest.hexdigest()
