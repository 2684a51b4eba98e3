"""Running a backtest: every model at every origin, on what was known at that origin."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import platform
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.backtest.cells import Cell, CellRunner
from forecast.backtest.plan import BacktestPlan, ModelEntry, plan_from_json, plan_to_json
from forecast.backtest.result import QUANTILES, BacktestResult, quantile_column
from forecast.data.vintages import Vintages
from forecast.errors import DataError, UsageError
from forecast.evaluation.scorecard import Scorecard
from forecast.features.feature_set import CalendarEffect, FeatureSet, find_feature
from forecast.home import home, run_folder
from forecast.model import Model
from forecast.registry import create
from forecast.tables import read_table, write_atomically, write_table

type Progress = Callable[[int, int], None]  # cells done, cells in all

# Two processes that compile at once share a compiler's memory bandwidth: more are slower than two.
_SAMPLED_WORKERS = 2
_ORIGINS_PER_TASK = 8


def run_backtest(
    plan: BacktestPlan,
    *,
    vintages: Vintages | None = None,
    workers: int | None = None,
    run_id: str | None = None,
    progress: Progress | None = None,
) -> BacktestResult:
    """Replay history: fit and score every model of a plan at every origin, and store the result.

    Parameters
    ----------
    plan     : what is asked
    vintages : data; by default those the plan names (embedded economy or archive)
    workers  : processes; by default the number of cores. The scores do not depend on it.
    run_id   : folder under ``runs/``; by default the time of day
    progress : called with the number of cells done and in all

    Raises
    ------
    UsageError : an unknown model, option, target or feature
    DataError  : a series that a target needs is not there
    """
    started = time.perf_counter()
    run_id = run_id or f"run-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    folder = run_folder(run_id)
    models = {entry.label: create(entry.name, entry.options, where=f"[models.{entry.label}] ") for entry in plan.models}
    notes: Mapping[str, str] = {}
    if vintages is None:
        vintages, notes = load_vintages(plan)
    used = _series_used(plan, models)
    _require_targets(plan, vintages)
    vintages = vintages.only(used)
    runner = CellRunner(plan, models, _realised(plan, models, vintages))
    cells = _run_cells(runner, vintages, workers or os.cpu_count() or 1, progress)
    result = BacktestResult(
        run_id=run_id,
        plan=plan,
        scorecard=_scorecard(runner, cells),
        forecasts=_forecasts(runner, cells),
        cells=_cell_table(cells),
        data=_data_table(vintages, notes),
        about=_about(started, cells),
    )
    _store(result, folder)
    return result


def load_vintages(plan: BacktestPlan) -> tuple[Vintages, Mapping[str, str]]:
    """The vintages a plan names, and what a reader should know of a series (by name)."""
    if plan.data == "archive":
        from forecast.data.store import load_vintages as load_archive
        from forecast.data.store import provenance

        return load_archive(), provenance().set_index("name")["note"].to_dict()
    from forecast.data.synthetic import Economy, simulate

    try:
        economy = Economy(**plan.synthetic)
    except TypeError as error:
        raise UsageError(f"[synthetic]: {error}.") from error
    vintages = simulate(economy)[0]
    return vintages, dict.fromkeys(vintages.names, "simulated")


def _series_used(plan: BacktestPlan, models: dict[str, Model]) -> set[str]:
    names = {*plan.targets, *(name for model in models.values() for name in (*model.targets, *model.features))}
    found = [find_feature(name) for name in names]
    return {series for item in found if not isinstance(item, CalendarEffect) for series in item.inputs}


def _require_targets(plan: BacktestPlan, vintages: Vintages) -> None:
    everything = vintages.final()
    known = FeatureSet(plan.targets).build(everything).targets.notna().any()
    for target in plan.targets:
        if not known[target]:
            inputs = ", ".join(find_feature(target).inputs)  # type: ignore[union-attr]
            raise DataError(
                f"target {target!r} has no value in the data: it needs {inputs}. See what is there: forecast data status"
            )


def _realised(plan: BacktestPlan, models: dict[str, Model], vintages: Vintages) -> Any:
    panel = vintages.first_release() if plan.outcome == "first_release" else vintages.final()
    needs = tuple(dict.fromkeys(name for model in models.values() for name in model.needs))
    return FeatureSet(plan.targets, needs).build(panel)


# --------------------------------------------------------------------------- execution


@dataclasses.dataclass(frozen=True, slots=True)
class _Task:
    """Some models at some origins, in one process. ``slot`` tells sampling processes apart."""

    entries: tuple[tuple[ModelEntry, str], ...]
    origins: tuple[pd.Timestamp, ...]
    slot: int | None = None


def _tasks(plan: BacktestPlan, models: dict[str, Model]) -> list[_Task]:
    """Sampled models first, in at most two processes that compile once; then the others, a few origins at a time."""
    asked = [
        (entry, conditioning)
        for entry in plan.models
        for conditioning in plan.conditioning
        if conditioning in (entry.conditioning or plan.conditioning)
    ]
    tasks = []
    for every in sorted({entry.every for entry in plan.models}):
        origins = plan.origins[::every]
        sampled = tuple(pair for pair in asked if pair[0].every == every and models[pair[0].label].sampled)
        quick = tuple(pair for pair in asked if pair[0].every == every and not models[pair[0].label].sampled)
        if sampled:
            share = -(-len(origins) // _SAMPLED_WORKERS)
            parts = [origins[i : i + share] for i in range(0, len(origins), share)]
            tasks += [_Task(sampled, part, slot) for slot, part in enumerate(parts)]
        if quick:
            n = _ORIGINS_PER_TASK
            tasks += [_Task(quick, origins[i : i + n]) for i in range(0, len(origins), n)]
    return sorted(tasks, key=lambda task: task.slot is None)


def _run_cells(runner: CellRunner, vintages: Vintages, workers: int, progress: Progress | None) -> list[Cell]:
    from joblib import Parallel, delayed

    tasks = _tasks(runner.plan, dict(runner.models))
    total = sum(len(task.entries) * len(task.origins) for task in tasks)
    cells: list[Cell] = []
    done = 0
    parallel = Parallel(n_jobs=workers, return_as="generator_unordered", batch_size=1)
    if progress:
        progress(0, total)
    for task_cells, n_asked in parallel(delayed(_run_task)(runner, vintages, task) for task in tasks):
        cells += task_cells
        done += n_asked
        if progress:
            progress(done, total)
    return sorted(cells, key=lambda cell: (cell.model, cell.conditioning, cell.origin))


def _run_task(runner: CellRunner, vintages: Vintages, task: _Task) -> tuple[list[Cell], int]:
    from threadpoolctl import threadpool_limits

    # Workers are fresh processes: features register on import.
    import forecast.features  # noqa: F401

    if task.slot is not None:
        _own_compile_folder(task.slot)
    with threadpool_limits(1):
        cells = list(_task_cells(runner, vintages, task))
    return cells, len(task.entries) * len(task.origins)


def _own_compile_folder(slot: int) -> None:
    """First compiles of two processes in one folder can race and leave a broken function behind."""
    folder = home() / "compiled" / f"worker-{slot}"
    os.environ["PYTENSOR_FLAGS"] = f"base_compiledir={folder}"
    os.environ["NUMBA_CACHE_DIR"] = str(folder / "numba")


def _task_cells(runner: CellRunner, vintages: Vintages, task: _Task) -> Iterator[Cell]:
    plan = runner.plan
    features = tuple(dict.fromkeys(name for entry, _ in task.entries for name in runner.models[entry.label].features))
    feature_set = FeatureSet(plan.targets, features)
    for origin in task.origins:
        design = feature_set.build(vintages.as_of(origin), ahead=max(plan.horizons))
        for entry, conditioning in task.entries:
            cell = runner.run(entry, conditioning, origin, design)
            if cell is not None:
                yield cell


# --------------------------------------------------------------------------- tables


def _scorecard(runner: CellRunner, cells: Sequence[Cell]) -> Scorecard:
    """Scores at the plan's horizons, one row a model x conditioning x target x origin x horizon."""
    rows = []
    for cell in _good(cells):
        at = np.array([h for h in runner.plan.horizons if h <= len(cell.periods)])
        for k, target in enumerate(cell.targets):
            scores = {name: values[:, k] for name, values in cell.scores.items()}
            rows.append((cell, target, at, {"outcome": cell.outcomes[at - 1, k], **scores}))
    return Scorecard(_long_table(runner, rows))


def _forecasts(runner: CellRunner, cells: Sequence[Cell]) -> pd.DataFrame:
    """Kept quantiles of every week up to the last horizon."""
    names = [quantile_column(prob) for prob in QUANTILES] + ["mean"]
    rows = []
    for cell in _good(cells):
        at = np.arange(1, len(cell.periods) + 1)
        for k, target in enumerate(cell.targets):
            quantiles = dict(zip(names, cell.quantiles[:, :, k], strict=True))
            rows.append((cell, target, at, {"outcome": cell.outcomes[:, k], **quantiles}))
    return _long_table(runner, rows)


def _long_table(
    runner: CellRunner, rows: Sequence[tuple[Any, str, NDArray[np.int64], dict[str, NDArray[np.float64]]]]
) -> pd.DataFrame:
    """Stack (cell, target, horizons, columns); a frame a cell would cost more than most models."""
    if not rows:
        raise DataError(
            "no cell was scored: every model was short of history or failed. "
            "Check minimum_history and origins in the plan, and see: forecast data status"
        )
    lengths = [len(at) for _, _, at, _ in rows]

    def repeated(values: Iterable[Any]) -> Any:
        return pd.Series(list(values)).repeat(lengths).reset_index(drop=True)

    table = {
        "model": repeated(cell.model for cell, *_ in rows),
        "conditioning": repeated(cell.conditioning for cell, *_ in rows),
        "target": repeated(target for _, target, *_ in rows),
        "origin": repeated(cell.origin for cell, *_ in rows).dt.as_unit("us"),
        "horizon": np.concatenate([at for _, _, at, _ in rows]),
        "period": np.concatenate([cell.periods.to_numpy()[at - 1] for cell, _, at, _ in rows]),
        "unit": repeated(runner.realised.units[target].name for _, target, *_ in rows),
    }
    values = {name: np.concatenate([columns[name] for *_, columns in rows]) for name in rows[0][3]}
    return pd.DataFrame({**table, **values})


def _good(cells: Iterable[Cell]) -> Iterator[Any]:
    return (cell for cell in cells if cell.status == "ok")


def _key(cell: Cell) -> dict[str, Any]:
    return {"model": cell.model, "conditioning": cell.conditioning, "origin": cell.origin}


def _cell_table(cells: Sequence[Cell]) -> pd.DataFrame:
    rows = [
        {
            **_key(cell),
            "status": cell.status,
            "reason": cell.reason,
            "seconds": cell.seconds,
            "targets": ",".join(cell.targets),
            "content": cell.content,
        }
        for cell in cells
    ]
    return pd.DataFrame(rows)


def _data_table(vintages: Vintages, notes: Mapping[str, str]) -> pd.DataFrame:
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


def _about(started: float, cells: Sequence[Cell]) -> dict[str, Any]:
    packages = (
        "reserve-forecast",
        "numpy",
        "pandas",
        "scipy",
        "statsmodels",
        "scikit-learn",
        "pymc",
        "nutpie",
        "arviz",
    )
    versions = {}
    for name in packages:
        with contextlib.suppress(ModuleNotFoundError):
            versions[name] = version(name)
    return {
        "finished": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "seconds": round(time.perf_counter() - started, 1),
        "content": content_hash(cells),
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "versions": versions,
    }


def content_hash(cells: Sequence[Cell]) -> str:
    """Hash of keys, draws and scores; times, hosts and versions do not enter."""
    digest = hashlib.sha256()
    for cell in cells:
        key = f"{cell.model}|{cell.conditioning}|{cell.origin.isoformat()}|{cell.status}|{cell.targets}|{cell.content}"
        digest.update(key.encode())
        for name, values in sorted((cell.scores or {}).items()):
            digest.update(name.encode() + np.ascontiguousarray(values).tobytes())
    return digest.hexdigest()


# --------------------------------------------------------------------------- storage


_TABLES = ("forecasts", "cells", "data")


def _store(result: BacktestResult, folder: Any) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    result.scorecard.write(folder / "scorecard.parquet")
    for name in _TABLES:
        write_table(getattr(result, name), folder / f"{name}.parquet")
    about = {"run_id": result.run_id, "about": result.about, "plan": plan_to_json(result.plan)}
    write_atomically(folder / "run.json", json.dumps(about, indent=2).encode())


def stored_runs() -> list[str]:
    """Ids of the finished runs, oldest first."""
    finished = sorted((home() / "runs").glob("*/run.json"), key=lambda path: path.stat().st_mtime)
    return [path.parent.name for path in finished]


def load_result(run_id: str) -> BacktestResult:
    """Read a stored run; ``latest`` is the one that finished last.

    Raises
    ------
    UsageError : there is no such run; lists those that exist
    """
    runs = stored_runs()
    if run_id == "latest" and runs:
        run_id = runs[-1]
    folder = run_folder(run_id)
    if run_id not in runs:
        known = f"Runs here: {', '.join(runs[-5:])}." if runs else "Make one with: forecast backtest"
        raise UsageError(f"no finished run {run_id!r} under {folder.parent}. {known}")
    stored = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    tables = {name: read_table(folder / f"{name}.parquet") for name in _TABLES}
    scorecard = Scorecard.read(folder / "scorecard.parquet")
    return BacktestResult(run_id, plan_from_json(stored["plan"]), scorecard, about=stored["about"], **tables)
