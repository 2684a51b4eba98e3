"""Cells become the tables of a result."""

from __future__ import annotations

import hashlib
import os
import platform
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from typing import Any

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
from forecast.features.transforms import WEEK, microseconds


def scorecard(runner: CellRunner, cells: Sequence[Cell]) -> Scorecard:
    """Scores at the plan's horizons, one row a model x conditioning x target x origin x horizon."""
    good, horizons = list(_good(cells)), np.array(runner.plan.horizons)
    reached = {weeks: horizons[horizons <= weeks] for weeks in {len(cell.periods) for cell in good}}
    at = [reached[len(cell.periods)] for cell in good]
    names = good[0].score_names if good else ()
    return Scorecard(_long_table(runner, good, at, names, [cell.scores for cell in good]))


def forecast_table(runner: CellRunner, cells: Sequence[Cell]) -> pd.DataFrame:
    """Kept quantiles of every week up to the last horizon."""
    good = list(_good(cells))
    weeks = np.arange(1, 1 + max((len(cell.periods) for cell in good), default=0))
    at, names = [weeks[: len(cell.periods)] for cell in good], (*map(quantile_column, QUANTILES), "mean")
    return _long_table(runner, good, at, names, [cell.quantiles for cell in good])


def _long_table(
    runner: CellRunner,
    cells: Sequence[Any],
    at: Sequence[NDArray[np.int64]],
    names: Sequence[str],
    values: Sequence[NDArray[np.float64]],
) -> pd.DataFrame:
    """One row a cell, target and horizon, with its outcome. A frame a cell would cost more than most models.

    Parameters
    ----------
    at     : (h,) horizons of each cell
    names  : (C,) columns after the outcome
    values : (C, h, K) of each cell
    """
    if not cells:
        raise DataError(
            "no cell was scored: every model was short of history or failed. "
            "Check minimum_history and origins in the plan, and see: forecast data status"
        )
    targets, lengths = [len(cell.targets) for cell in cells], [len(horizons) for horizons in at]
    rows, each = np.multiply(lengths, targets), np.repeat(lengths, targets)
    target = [name for cell in cells for name in cell.targets]
    horizon = np.concatenate([horizons for horizons, k in zip(at, targets, strict=True) for _ in range(k)])
    first = np.array([microseconds(cell.periods)[0] for cell in cells])
    table = {
        "model": _repeated([cell.model for cell in cells], rows),
        "conditioning": _repeated([cell.conditioning for cell in cells], rows),
        "target": _repeated(target, each),
        "origin": _instants(np.repeat([nanoseconds(cell.origin) for cell in cells], rows)),
        "horizon": horizon,
        "period": (np.repeat(first, rows) + (horizon - 1) * WEEK).view("M8[us]"),
        "unit": _repeated([runner.realised.units[name].name for name in target], each),
        "outcome": np.concatenate([cell.outcomes[h - 1].T.ravel() for cell, h in zip(cells, at, strict=True)]),
    }
    columns = np.concatenate([block.swapaxes(1, 2).reshape(len(names), -1) for block in values], axis=1)
    return pd.DataFrame({**table, **dict(zip(names, columns, strict=True))})


def _repeated(labels: Sequence[str], times: NDArray[np.integer]) -> Any:
    """Each label so many times; pandas is shown each once, because it looks at every string that it is given."""
    kinds = {label: i for i, label in enumerate(dict.fromkeys(labels))}
    return pd.array(list(kinds), dtype="str").take(np.repeat([kinds[label] for label in labels], times))


def _instants(since_1970: NDArray[np.int64]) -> pd.DatetimeIndex:
    """Nanoseconds as New York time; a list of a thousand time stamps takes as long as forecasting with some models."""
    return pd.DatetimeIndex(since_1970.view("M8[ns]")).tz_localize("UTC").tz_convert(NEW_YORK).as_unit("us")


def _good(cells: Iterable[Cell]) -> Iterator[Any]:
    return (cell for cell in cells if cell.status == "ok")


def cell_table(cells: Sequence[Cell]) -> pd.DataFrame:
    """What became of every cell that was asked."""
    once = np.ones(len(cells), dtype=np.intp)
    table = {
        "model": _repeated([cell.model for cell in cells], once),
        "conditioning": _repeated([cell.conditioning for cell in cells], once),
        "origin": _instants(np.array([nanoseconds(cell.origin) for cell in cells], dtype=np.int64)),
        "status": _repeated([cell.status for cell in cells], once),
        "reason": _repeated([cell.reason for cell in cells], once),
        "traceback": _repeated([cell.traceback for cell in cells], once),
        "seconds": [cell.seconds for cell in cells],
        "targets": _repeated([",".join(cell.targets) for cell in cells], once),
        "content": pd.array([cell.content for cell in cells], dtype="str"),
    }
    return pd.DataFrame(table)


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
        "versions": dict(_versions()),
    }


@cache
def _versions() -> Mapping[str, str]:
    return {"reserve-forecast": version("reserve-forecast"), **versions()}


def content_hash(cells: Sequence[Cell]) -> str:
    """Hash of keys, draws and scores; times, hosts and versions do not enter."""
    digest, names = hashlib.sha256(), cache(lambda names: repr(names).encode())
    for cell in cells:
        key = f"{cell.model}|{cell.conditioning}|{cell.origin.isoformat()}|{cell.status}|{cell.targets}|{cell.content}"
        digest.update(key.encode())
        if cell.scores is not None:
            digest.update(names(cell.score_names) + np.ascontiguousarray(cell.scores).tobytes())
    return digest.hexdigest()
