"""Which cells run where and when: stored ones not at all, providers of inputs first, sampled models on few processes."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import count
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

import pandas as pd

from forecast.backtest.cell_files import read_cells, write_cells
from forecast.backtest.cells import NOT_ASKED, Cell
from forecast.backtest.drafts import Draft, not_asked, settle
from forecast.backtest.fingerprints import (
    cell_key,
    data_digest,
    entry_digest,
    package_code,
    plan_digest,
    series_digests,
)
from forecast.backtest.model_inputs import answers_for, inputs_used
from forecast.backtest.plan import ModelEntry, conditionings, stages
from forecast.backtest.replay import CellRunner, Replay
from forecast.data.vintages import Vintages
from forecast.errors import MissingSeriesError, ModelError
from forecast.features.feature_set import Design, FeatureSet
from forecast.home import home
from forecast.model import is_updatable

if TYPE_CHECKING:
    from threadpoolctl import ThreadpoolController

type Progress = Callable[[int, int], None]  # cells done, cells in all

# Two processes that compile at once share a compiler's memory bandwidth: more are slower than two.
_SAMPLED_WORKERS = 2
# A task is some origins: so many cells that sending and saving them costs little, so few that workers end together.
_CELLS_PER_TASK, _TASKS_PER_WORKER = 256, 4
# Finished cells wait for the disk at most this long, in seconds, and hold at most so much memory, in bytes.
_AT_RISK, _HELD = 1.0, 3e7


@dataclass(frozen=True, slots=True)
class _Ask:
    """One cell that is wanted, and the name under which it is stored."""

    entry: ModelEntry
    conditioning: str
    origin: pd.Timestamp
    key: str


@dataclass(frozen=True, slots=True)
class _Task:
    """Cells at some origins, in order, in one process. ``slot`` tells sampling processes apart."""

    origins: tuple[tuple[_Ask, ...], ...]
    slot: int | None = None


def run_cells(
    runner: CellRunner, vintages: Vintages, folder: Path, *, workers: int, progress: Progress | None
) -> list[Cell]:
    """Every cell that is asked for, in the order of model, conditioning and origin.

    Cells that are already in ``folder`` and depend on nothing that has changed are read instead of computed.

    Raises
    ------
    ModelError : a worker process was killed
    DataError  : finished cells cannot be written
    """
    from joblib import Parallel, delayed

    plan, tell = runner.plan, progress or (lambda _done, _total: None)
    series, cells, done = series_digests(vintages), list[Cell](), 0
    total = sum(len(plan.origins[:: e.every]) * len(conditionings(plan, e)) for e in plan.models)
    tell(0, total)
    try:
        with Parallel(n_jobs=workers, return_as="generator_unordered", batch_size=1) as parallel:
            for stage in stages(plan):
                runner = _told(runner, stage, cells)
                stored, missing = _split(list(_asks(runner, stage, series)), folder)
                cells += stored
                done += len(stored)
                tell(done, total)
                tasks = _tasks(runner, missing, workers)
                for new in parallel(delayed(_run_task)(runner, vintages, task, folder, os.getpid()) for task in tasks):
                    cells += new
                    done += len(new)
                    tell(done, total)
    except BrokenProcessPool as error:
        raise ModelError(
            "a worker process was killed, most often because memory ran out. Finished cells are kept: run the same "
            f"command with --run-id {folder.parent.name} and fewer --workers."
        ) from error
    asked = (cell for cell in cells if cell.status != NOT_ASKED)
    return sorted(asked, key=lambda cell: (cell.model, cell.conditioning, cell.origin))


def _told(runner: CellRunner, stage: Sequence[ModelEntry], cells: Iterable[Cell]) -> CellRunner:
    """The runner with the answers that models of a stage take from those before it."""
    plan, wanted = runner.plan, dict[str, tuple[str, str, int]]()
    for entry in stage:
        wanted |= inputs_used(plan, entry, runner.models[entry.label])
    return replace(runner, answers={**runner.answers, **answers_for(wanted, cells, runner.realised.units)})


def _asks(runner: CellRunner, stage: Sequence[ModelEntry], series: dict[str, str]) -> Iterator[_Ask]:
    plan, shared = runner.plan, (plan_digest(runner.plan), package_code())
    for entry in stage:
        model = runner.models[entry.label]
        inputs = tuple(inputs_used(plan, entry, model))
        read = {*plan.targets, *model.targets, *model.features, *model.needs}
        for conditioning in conditionings(plan, entry):
            parts = [*shared, entry_digest(entry, model), conditioning]
            if conditioning == "projected" and plan.projection and runner.projection:
                read |= set(runner.projection.features)
                parts.append(entry_digest(plan.projection, runner.projection))
            parts.append(data_digest(read, series))
            for origin in plan.origins[:: entry.every]:
                told = [f"{name}={runner.answers[name].digest(origin)}" for name in inputs]
                yield _Ask(entry, conditioning, origin, cell_key(*parts, *told, origin=origin))


def _split(asks: Sequence[_Ask], folder: Path) -> tuple[list[Cell], list[_Ask]]:
    """Cells that are stored, and asks for those that are not."""
    found = read_cells(folder, {ask.key for ask in asks})
    # Two entries that differ only in their label share a stored cell.
    stored = [
        replace(found[ask.key], model=ask.entry.label, conditioning=ask.conditioning, origin=ask.origin)
        for ask in asks
        if ask.key in found
    ]
    return stored, [ask for ask in asks if ask.key not in found]


def _tasks(runner: CellRunner, asks: Sequence[_Ask], workers: int) -> list[_Task]:
    """Sampled models first, because they take longest; then the others, some origins at a time.

    Every task of an updatable model takes in all rows from the first, so a sampled one has one task, in a slot of its
    own; it has no part in the compiling for which the other sampled models are kept in at most two processes.
    """
    slots = _slots(runner)
    company: dict[int | None, list[_Ask]] = {}
    for ask in asks:
        company.setdefault(slots[ask.entry.label], []).append(ask)
    quick, shared = _by_origin(company.pop(None, [])), _by_origin(company.pop(0, []))
    half = -(-len(shared) // _SAMPLED_WORKERS)
    fair = len(quick) if workers == 1 else -(-len(quick) // (workers * _TASKS_PER_WORKER))
    n = max(min(fair, _CELLS_PER_TASK // max(map(len, quick), default=1)), 1)
    return [
        *(_Task(tuple(shared[i : i + half]), slot) for slot, i in enumerate(range(0, len(shared), half or 1))),
        *(_Task(tuple(_by_origin(mine)), slot) for slot, mine in sorted(company.items())),
        *(_Task(tuple(quick[i : i + n])) for i in range(0, len(quick), n)),
    ]


def _slots(runner: CellRunner) -> dict[str, int | None]:
    """The slot of each label: None of quick models, 0 of those that share the first ones, then one each."""
    own = count(_SAMPLED_WORKERS)
    return {
        label: None if not model.sampled else next(own) if is_updatable(model) else 0
        for label, model in runner.models.items()
    }


def _by_origin(asks: Iterable[_Ask]) -> list[tuple[_Ask, ...]]:
    groups: dict[pd.Timestamp, list[_Ask]] = {}
    for ask in asks:
        groups.setdefault(ask.origin, []).append(ask)
    return [tuple(groups[origin]) for origin in sorted(groups)]


# --------------------------------------------------------------------------- in a worker


def _run_task(runner: CellRunner, vintages: Vintages, task: _Task, folder: Path, asker: int) -> list[Cell]:
    # Workers are fresh processes: features register on import.
    import forecast.features  # noqa: F401

    if task.slot is not None:
        _own_compile_folder(task.slot)
    with _threads(len(sys.modules)).limit(limits=1):
        return list(_task_cells(runner, vintages, task, folder, asker))


@lru_cache(maxsize=1)
def _threads(_modules: int) -> ThreadpoolController:
    """The libraries in this process that have threads; they are searched for again once a module has been imported."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


def _own_compile_folder(slot: int) -> None:
    """First compiles of two processes in one folder can race and leave a broken function behind."""
    folder = home() / "compiled" / f"worker-{slot}"
    os.environ["PYTENSOR_FLAGS"] = f"base_compiledir={folder}"
    os.environ["NUMBA_CACHE_DIR"] = str(folder / "numba")


def _task_cells(runner: CellRunner, vintages: Vintages, task: _Task, folder: Path, asker: int) -> Iterator[Cell]:
    """Finished cells, each on disk before it is told of; ends the process if the one that asked has been killed."""
    replay, waiting, held, saved = Replay(runner), list[tuple[str, Draft]](), 0, perf_counter()
    for asks in task.origins:
        for ask, draft in zip(asks, _drafts(replay, vintages, asks), strict=True):
            waiting.append((ask.key, draft))
            held += draft.nbytes
            if held > _HELD or perf_counter() - saved > _AT_RISK:
                yield from _saved(runner, waiting, folder)
                waiting, held, saved = [], 0, perf_counter()
            if asker not in (os.getpid(), os.getppid()):
                os._exit(1)
    yield from _saved(runner, waiting, folder)


def _saved(runner: CellRunner, waiting: Sequence[tuple[str, Draft]], folder: Path) -> list[Cell]:
    """Cells of drafts, by key on disk."""
    cells = settle(runner.plan, runner.realised, [draft for _, draft in waiting])
    write_cells(folder, [(key, cell) for (key, _), cell in zip(waiting, cells, strict=True) if cell.lasting])
    return cells


def _drafts(replay: Replay, vintages: Vintages, asks: Sequence[_Ask]) -> Iterator[Draft]:
    pairs, origin = [(ask.entry, ask.conditioning) for ask in asks], asks[0].origin
    try:
        design = _design(replay.runner, vintages, origin, [ask.entry for ask in asks])
    except MissingSeriesError:  # no target has a value yet
        yield from (not_asked(*pair, origin) for pair in pairs)
    else:
        yield from replay.drafts(origin, design, pairs)


def _design(runner: CellRunner, vintages: Vintages, origin: pd.Timestamp, entries: Sequence[ModelEntry]) -> Design:
    """What was known at an origin, with everything that some models want to see."""
    models = [runner.models[entry.label] for entry in entries]
    if runner.projection:
        models.append(runner.projection)
    features = dict.fromkeys(name for model in models for name in model.features if name not in runner.answers)
    feature_set = FeatureSet(runner.plan.targets, tuple(features))
    return feature_set.build(vintages.as_of(origin), ahead=max(runner.plan.horizons))
