"""Updating is refitting: bit for bit, whatever came in between, and whichever cells were computed before."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import forecast.features  # noqa: F401  registers the features
from forecast.backtest import run, schedule
from forecast.backtest.plan import BacktestPlan, ModelEntry, Window
from forecast.backtest.result import BacktestResult
from forecast.calendar import NEW_YORK
from forecast.data.catalog import catalog
from forecast.data.vintages import Vintages, VintageTable
from forecast.features.feature_set import Design
from forecast.model import Folded, Updatable, fold, is_updatable, row_generator
from forecast.predictive import PredictiveDistribution
from forecast.scenario import Scenario
from forecast.units import UNITS

type Array = NDArray[np.float64]

STEPS: list[pd.Timestamp] = []
CALLS: list[str] = []


@dataclass(frozen=True, slots=True)
class Smoother:
    """Exponential smoothing with a random gain each week: a state that order, rows and generator all change."""

    name: str = "smoother"
    targets: tuple[str, ...] = ()
    features: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    sampled: bool = False
    updatable: ClassVar[bool] = True

    def fit(self, design: Design, *, rng: np.random.Generator) -> FittedSmoother:
        CALLS.append("fit")
        return _smoothed(design, int(rng.integers(2**63)), None)


@dataclass(frozen=True, slots=True, eq=False)
class FittedSmoother:
    key: int
    folded: Folded[Array]
    targets: tuple[str, ...]
    units: Mapping[str, Any]

    def update(self, design: Design) -> FittedSmoother:
        CALLS.append("update")
        return _smoothed(design, self.key, self.folded)

    def predict(
        self, periods: pd.DatetimeIndex, *, scenario: Scenario | None = None, n_draws: int, rng: np.random.Generator
    ) -> PredictiveDistribution:
        K = len(self.targets)
        values = self.folded.state[:K] + rng.standard_normal((n_draws, len(periods), K))
        return PredictiveDistribution(values, periods, self.targets, self.units)


def _smoothed(design: Design, key: int, before: Folded[Array] | None) -> FittedSmoother:
    def step(state: Array, period: pd.Timestamp, row: Array) -> Array:
        STEPS.append(period)
        gain = 0.1 * row_generator(key, period).random()
        return state + gain * (row - state)

    columns = design.targets.shape[1] + design.features.shape[1]
    folded = fold(step, np.zeros(columns), design, before)
    return FittedSmoother(key, folded, tuple(map(str, design.targets)), design.units)


@dataclass(frozen=True, slots=True)
class Refitted(Smoother):
    """The same, fitted from the first row at every origin."""

    updatable: ClassVar[bool] = False


# --------------------------------------------------------------------------- the fold


def design(values: Array, ahead: int = 0) -> Design:
    """A target and a feature, in that order; the feature's weeks to come are missing."""
    index = pd.date_range("2019-01-02", periods=len(values) + ahead, freq="7D", unit="us")
    features = np.concatenate([values[:, 1], np.full(ahead, np.nan)])
    return Design(
        pd.DataFrame({"y": values[:, 0]}, index[: len(values)]),
        pd.DataFrame({"x": features}, index),
        dict.fromkeys(("y", "x"), UNITS["bp"]),
        frozenset(),
    )


def states(fitted: FittedSmoother) -> tuple[bytes, bytes, Any]:
    return fitted.folded.state.tobytes(), fitted.folded.rows.tobytes(), tuple(fitted.folded.periods)


def fit(whole: Design) -> FittedSmoother:
    return Smoother().fit(whole, rng=np.random.default_rng(1))


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_update_equals_refit_whatever_happened_to_the_rows(data: st.DataObject) -> None:
    """Designs grow, shrink, are revised, have holes and fill them, in any sequence."""
    truth = np.random.default_rng(5).standard_normal((40, 2))
    fitted = None
    for _ in range(data.draw(st.integers(2, 5))):
        values = truth[: data.draw(st.integers(1, 40))].copy()
        for row in data.draw(st.lists(st.integers(0, len(values) - 1), max_size=3)):
            values[row, data.draw(st.integers(0, 1))] = data.draw(st.sampled_from([np.nan, 7.0]))
        now = design(values, ahead=data.draw(st.integers(0, 2)))
        fitted = fitted.update(now) if fitted else fit(now)
        assert states(fitted) == states(fit(now))


def test_only_new_rows_are_taken_in() -> None:
    values = np.random.default_rng(6).standard_normal((30, 2))
    fitted = fit(design(values[:20]))
    STEPS.clear()
    fitted = fitted.update(design(values[:23]))
    assert [f"{period:%m-%d}" for period in STEPS] == ["05-22", "05-29", "06-05"]
    STEPS.clear()
    assert states(fitted.update(design(values[:23]))) == states(fitted)
    assert STEPS == []


def test_rows_of_the_ragged_edge_wait_until_they_are_complete() -> None:
    values = np.random.default_rng(7).standard_normal((20, 2))
    ragged = values.copy()
    ragged[-2:, 1] = np.nan
    fitted = fit(design(ragged))
    assert len(fitted.folded.periods) == 18
    STEPS.clear()
    assert states(fitted.update(design(values))) == states(fit(design(values)))
    assert STEPS[:2] == list(design(values).targets.index[-2:])


def test_a_changed_row_builds_the_state_again() -> None:
    values = np.random.default_rng(8).standard_normal((20, 2))
    fitted, revised = fit(design(values)), values.copy()
    revised[3, 0] += 1e-12
    STEPS.clear()
    fitted.update(design(revised))
    assert len(STEPS) == 20


def test_a_row_has_its_own_generator() -> None:
    week = pd.Timestamp("2019-01-02")
    assert row_generator(1, week).random() == row_generator(1, week).random()
    others = {row_generator(key, week + pd.Timedelta(weeks=w)).random() for key in (1, 2) for w in range(3)}
    assert len(others) == 6


def test_the_specification_says_that_a_fit_can_be_updated() -> None:
    assert is_updatable(Smoother())
    assert not is_updatable(Refitted())
    assert isinstance(fit(design(np.ones((3, 2)))), Updatable)


# --------------------------------------------------------------------------- the harness


def vintages(*, revise: bool = False) -> Vintages:
    """Two rates by day; a revision of an old value comes in the middle of the origins."""
    days = pd.bdate_range("2016-01-07", "2019-12-26").to_numpy().astype("M8[us]")
    values = {"effr": 2.0 + 0.01 * np.random.default_rng(9).standard_normal(len(days))}
    values |= dict.fromkeys(("iorb", "ioer"), np.full(len(days), 2.1))
    tables = [VintageTable(name, pd.Timestamp("2020-06-30"), days, each) for name, each in values.items()]
    if revise:
        until = days < np.datetime64("2018-09-11")
        later = values["effr"].copy()
        later[300] += 0.5
        tables[0] = VintageTable("effr", pd.Timestamp("2018-09-10"), days[until], values["effr"][until])
        tables.append(VintageTable("effr", pd.Timestamp("2020-06-30"), days, later))
        tables.append(VintageTable("effr", pd.Timestamp("2018-09-18"), days[until], later[until]))
    return Vintages.from_tables(tables, catalog())


def plan(origins: int = 30, **changes: Any) -> BacktestPlan:
    thursdays = pd.date_range("2018-06-07 17:00", periods=origins, freq="7D", tz=NEW_YORK)
    asked = BacktestPlan(
        "toys", ("effr_iorb",), (ModelEntry("a", "smoother"),), "a", tuple(thursdays), horizons=(1, 4), n_draws=20,
        minimum_history={"default": 52},
    )  # fmt: skip
    return replace(asked, **changes)


@pytest.fixture(autouse=True)
def toys(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FORECAST_HOME", str(tmp_path))
    monkeypatch.setattr(run, "create", lambda name, options, where: Smoother(**options))
    CALLS.clear()
    STEPS.clear()


def backtest(asked: BacktestPlan, **options: Any) -> BacktestResult:
    return run.run_backtest(asked, **{"vintages": vintages(), "workers": 1, **options})


def one_origin_a_task(monkeypatch: pytest.MonkeyPatch, order: int = 1) -> None:
    tasks = schedule._tasks
    monkeypatch.setattr(
        schedule,
        "_tasks",
        lambda *args: [replace(task, origins=(asks,)) for task in tasks(*args) for asks in task.origins][::order],
    )


@pytest.mark.parametrize("revise", [False, True])
@pytest.mark.parametrize("window", [Window(), Window(weeks=60)])
def test_updating_from_origin_to_origin_gives_the_cells_of_refitting(
    revise: bool, window: Window, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, data = plan(window=window), vintages(revise=revise)
    updated = backtest(asked, vintages=data)
    assert CALLS.count("update") > 20
    CALLS.clear()
    one_origin_a_task(monkeypatch)
    refitted = backtest(asked, vintages=data)
    assert CALLS == ["fit"] * 30
    assert refitted.about["content"] == updated.about["content"]


def test_a_revision_of_the_data_reaches_the_state() -> None:
    plain, revised = backtest(plan()), backtest(plan(), vintages=vintages(revise=True))
    same = (plain.cells["content"] == revised.cells["content"]).to_numpy()
    # The new value of an old day is public from the end of 2018-09-18 on: the sixteenth origin is 2018-09-20.
    assert same[:15].all()
    assert not same[15:].any()


def test_a_resumed_run_and_one_in_reverse_have_the_same_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = backtest(plan(), run_id="whole")
    backtest(plan(origins=13), run_id="resumed")
    assert backtest(plan(), run_id="resumed").about["content"] == whole.about["content"]
    tasks = schedule._tasks
    monkeypatch.setattr(
        schedule, "_tasks", lambda *args: [replace(task, origins=task.origins[::-1]) for task in tasks(*args)]
    )
    assert backtest(plan(), run_id="reverse").about["content"] == whole.about["content"]


def test_the_generator_of_an_updatable_fit_is_the_same_at_every_origin_and_of_another_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    keys, smoothed = list[int](), _smoothed

    def noting(design: Design, key: int, before: Folded[Array] | None) -> FittedSmoother:
        keys.append(key)
        return smoothed(design, key, before)

    monkeypatch.setattr(sys.modules[__name__], "_smoothed", noting)
    one_origin_a_task(monkeypatch)
    for spec, distinct in ((Smoother(), 1), (Refitted(), 30)):
        keys.clear()
        monkeypatch.setattr(run, "create", lambda name, options, where, spec=spec: spec)
        backtest(plan())
        assert (len(keys), len(set(keys))) == (30, distinct)


def test_a_fit_that_fails_is_made_anew_at_the_next_origin(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = backtest(plan(origins=6))

    def flaky(self: FittedSmoother, design: Design) -> FittedSmoother:
        if design.targets.index[-1] == pd.Timestamp("2018-06-20"):
            raise FloatingPointError("once")
        CALLS.append("update")
        return _smoothed(design, self.key, self.folded)

    monkeypatch.setattr(FittedSmoother, "update", flaky)
    CALLS.clear()
    cells = backtest(plan(origins=6)).cells
    assert CALLS == ["fit", "update", "fit", "update", "update"]
    assert list(cells["status"]) == ["ok", "ok", "failed", "ok", "ok", "ok"]
    kept = cells["status"] == "ok"
    assert list(cells.loc[kept, "content"]) == list(plain.cells.loc[kept, "content"])


def test_origins_of_a_task_follow_each_other() -> None:
    """So that an update has few rows to take in."""
    backtest(plan())
    weeks = [week for week in STEPS if week > pd.Timestamp("2018-06-06")]
    assert sum(later < earlier for earlier, later in pairwise(weeks)) < 4


# --------------------------------------------------------------------------- who runs where


def four_models(monkeypatch: pytest.MonkeyPatch) -> BacktestPlan:
    """Two sampled models that can be updated, one that cannot, and a quick one that can."""
    kinds = {
        "twin": (Smoother, True),
        "smoother": (Smoother, True),
        "chains": (Refitted, True),
        "quick": (Smoother, False),
    }
    monkeypatch.setattr(run, "create", lambda name, options, where: kinds[name][0](name, sampled=kinds[name][1]))
    return plan(models=tuple(ModelEntry(name, name) for name in kinds), benchmark="quick")


def tasks_of(asked: BacktestPlan, monkeypatch: pytest.MonkeyPatch, workers: int, **options: Any) -> list[Any]:
    """How a backtest is divided for so many workers; it runs in this process all the same."""
    found, tasks = list[Any](), schedule._tasks

    def noting(runner: Any, asks: Any, _workers: int) -> list[Any]:
        found.extend(tasks(runner, asks, workers))
        return found

    with monkeypatch.context() as patch:
        patch.setattr(schedule, "_tasks", noting)
        patch.setattr(schedule, "_own_compile_folder", lambda slot: None)
        backtest(asked, **options)
    return found


def labels(task: Any) -> set[str]:
    return {ask.entry.label for asks in task.origins for ask in asks}


@pytest.mark.parametrize("workers", [1, 2, 4, 16])
def test_a_sampled_model_that_is_updated_has_one_task_in_the_order_of_origins(
    workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = four_models(monkeypatch)
    tasks = tasks_of(asked, monkeypatch, workers)
    for name in ("twin", "smoother"):
        (task,) = (task for task in tasks if name in labels(task))
        assert labels(task) == {name}
        assert [asks[0].origin for asks in task.origins] == list(asked.origins)
    assert sum("chains" in labels(task) for task in tasks) == 2
    assert sum("quick" in labels(task) for task in tasks) == (1 if workers == 1 else -(-30 // -(-30 // (4 * workers))))
    slots = [task.slot for task in tasks if task.slot is not None]
    assert len(slots) == len(set(slots)) == 4, "two processes never compile in one folder"
    assert [task.slot is None for task in tasks] == sorted(task.slot is None for task in tasks), "sampled models first"
    quick = sum("quick" in labels(task) for task in tasks)
    assert CALLS.count("fit") == 30 + 2 + quick
    assert CALLS.count("update") == 2 * 29 + 30 - quick


def test_a_slot_keeps_its_compiled_functions_when_part_of_a_run_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = four_models(monkeypatch)
    whole = {
        name: task.slot for task in tasks_of(asked, monkeypatch, 4) for name in labels(task) & {"smoother", "twin"}
    }
    only = replace(asked, models=asked.models[:2], benchmark="twin")
    backtest(only, run_id="part")
    rest = {name: task.slot for task in tasks_of(asked, monkeypatch, 4, run_id="part") for name in labels(task)}
    assert set(rest) == {"chains", "quick"}
    backtest(replace(asked, models=(asked.models[0],), benchmark="twin"), run_id="other")
    rest = {name: task.slot for task in tasks_of(asked, monkeypatch, 4, run_id="other") for name in labels(task)}
    assert rest["smoother"] == whole["smoother"] != whole["twin"]


@pytest.mark.parametrize("revise", [False, True])
def test_the_division_into_tasks_changes_no_cell(revise: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, data = four_models(monkeypatch), vintages(revise=revise)
    contents = set()
    for workers in (1, 3, 16):
        with monkeypatch.context() as patch:
            tasks = schedule._tasks
            patch.setattr(schedule, "_own_compile_folder", lambda slot: None)
            patch.setattr(schedule, "_tasks", lambda runner, asks, _, n=workers, tasks=tasks: tasks(runner, asks, n))
            contents.add(backtest(asked, vintages=data).about["content"])
    one_origin_a_task(monkeypatch, order=-1)
    monkeypatch.setattr(schedule, "_own_compile_folder", lambda slot: None)
    contents.add(backtest(asked, vintages=data).about["content"])
    assert len(contents) == 1


def test_an_interrupted_fold_goes_on_with_the_origins_that_are_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = replace(four_models(monkeypatch), models=(ModelEntry("smoother", "smoother"),), benchmark="smoother")
    whole = backtest(asked, run_id="whole").about["content"]
    smoothed = _smoothed

    def interrupted(design: Design, key: int, before: Folded[Array] | None) -> FittedSmoother:
        if len(CALLS) == 12:
            raise KeyboardInterrupt
        return smoothed(design, key, before)

    monkeypatch.setattr(schedule, "_AT_RISK", 0.0)
    CALLS.clear()
    with monkeypatch.context() as patch:
        patch.setattr(sys.modules[__name__], "_smoothed", interrupted)
        with pytest.raises(KeyboardInterrupt):
            backtest(asked, run_id="cut")
    assert ["fit", *["update"] * 11] == CALLS
    CALLS.clear()
    resumed = backtest(asked, run_id="cut")
    assert ["fit", *["update"] * 18] == CALLS, "eleven origins are on disk; the rows before are folded once more"
    assert resumed.about["content"] == whole
