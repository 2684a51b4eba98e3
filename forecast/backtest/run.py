"""Running a backtest: every model at every origin, on what was known at that origin."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import chain, count

from forecast.backtest.assembly import about_run, cell_table, data_table, forecast_table, scorecard
from forecast.backtest.cell_files import one_writer
from forecast.backtest.model_inputs import inputs_used
from forecast.backtest.plan import BacktestPlan, conditionings
from forecast.backtest.replay import CellRunner
from forecast.backtest.result import BacktestResult
from forecast.backtest.schedule import Progress, run_cells
from forecast.backtest.stored import store_result
from forecast.data.vintages import Vintages
from forecast.errors import DataError, UsageError
from forecast.features.feature_set import CalendarEffect, Design, FeatureSet, find_feature
from forecast.home import run_folder
from forecast.model import Model
from forecast.registry import create


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
    run_id   : folder under ``runs/``; by default the time of day. Cells that an interrupted or earlier run left there
               are not computed again, failed ones included, unless something they depend on has changed. A cell
               that failed for want of memory or disk is.
    progress : called with the number of cells done and in all

    Raises
    ------
    UsageError : an unknown model, option, target or feature, or another process writes the same run
    DataError  : a series that a target needs is not there
    """
    started = time.perf_counter()
    run_id = run_id or _time_of_day()
    folder = run_folder(run_id)
    models, projection = _models(plan)
    notes: Mapping[str, str] = {}
    if vintages is None:
        vintages, notes = load_vintages(plan)
    used = _series_used(plan, models, projection)
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


def _time_of_day() -> str:
    """An id that no run has yet: a new run never goes on from another by accident."""
    now = f"run-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    return next(name for name in chain([now], (f"{now}-{n}" for n in count(2))) if not run_folder(name).exists())


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


def _models(plan: BacktestPlan) -> tuple[dict[str, Model], Model | None]:
    """The plan's models by label, and the one that projects; refuses those that cannot work together."""
    models = {entry.label: create(entry.name, entry.options, where=f"[models.{entry.label}] ") for entry in plan.models}
    for entry in plan.models:
        inputs_used(plan, entry, models[entry.label])
    if plan.projection is None:
        return models, None
    projection = create(plan.projection.name, plan.projection.options, where="[projection] ")
    asked = [entry.label for entry in plan.models if "projected" in conditionings(plan, entry)]
    needs = {name for label in asked for name in models[label].needs}
    if projection.needs or (projection.targets and not needs <= set(projection.targets)):
        raise UsageError(
            f"[projection] {plan.projection.name!r} must forecast {', '.join(sorted(needs))} by itself. "
            'Use a model that needs no scenario and takes any target, such as model = "drift".'
        )
    return models, projection


def _series_used(plan: BacktestPlan, models: Mapping[str, Model], projection: Model | None) -> set[str]:
    names = {*plan.targets, *(projection.features if projection else ())}
    for entry in plan.models:
        model = models[entry.label]
        names |= {*model.targets, *model.features} - set(inputs_used(plan, entry, model))
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


def _realised(plan: BacktestPlan, models: Mapping[str, Model], vintages: Vintages) -> Design:
    panel = vintages.first_release() if plan.outcome == "first_release" else vintages.final()
    needs = tuple(dict.fromkeys(name for model in models.values() for name in model.needs))
    return FeatureSet(plan.targets, needs).build(panel)
