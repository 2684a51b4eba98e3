"""Running a backtest: every model at every origin, on what was known at that origin."""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime

import pandas as pd

from forecast.backtest.assembly import about_run, cell_table, data_table, forecast_table, scorecard
from forecast.backtest.cells import Cell, CellRunner
from forecast.backtest.plan import BacktestPlan, ModelEntry
from forecast.backtest.result import BacktestResult
from forecast.backtest.stored import store_result
from forecast.data.vintages import Vintages
from forecast.errors import DataError, UsageError
from forecast.features.feature_set import CalendarEffect, Design, FeatureSet, find_feature
from forecast.home import home, run_folder
from forecast.model import Model
from forecast.registry import create

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
    models, projection = _models(plan)
    notes: Mapping[str, str] = {}
    if vintages is None:
        vintages, notes = load_vintages(plan)
    used = _series_used(plan, (*models.values(), *([projection] if projection else [])))
    _require_targets(plan, vintages)
    vintages = vintages.only(used)
    runner = CellRunner(plan, models, _realised(plan, models, vintages), projection)
    with one_writer(folder):
        cells = run_cells(runner, vintages, folder / "cells", workers=workers or os.cpu_count() or 1, progress=progress)
        result = BacktestResult(
            run_id=run_id,
            plan=plan,
            scorecard=scorecard(runner, cells),
            forecasts=forecast_table(runner, cells),
            cells=cell_table(cells),
            data=data_table(vintages, notes),
            about=about_run(started, cells),
        )
        store_result(result, folder)
    return result


def load_vintages(plan: BacktestPlan) -> tuple[Vintages, Mapping[str, str]]:
    """The vintages a plan names, and what a reader should know of a series (by name)."""
    if plan.data == "archive":
        from forecast.data.store import load_vintages as load_archive
        from forecast.data.store import provenance

        origins = provenance()
        return load_archive(), dict(zip(origins["name"], origins["note"], strict=True))
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


def _realised(plan: BacktestPlan, models: dict[str, Model], vintages: Vintages) -> Design:
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
