"""Interrupted, repeated, shuffled or shared out: a backtest ends with the same numbers, and computes nothing twice."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import forecast.features  # noqa: F401  registers the features
from forecast.backtest import run, schedule
from forecast.backtest.plan import BacktestPlan, ModelEntry
from forecast.backtest.result import BacktestResult
from forecast.calendar import NEW_YORK
from forecast.data.catalog import catalog
from forecast.data.vintages import Vintages, VintageTable
from forecast.errors import DataError, DiagnosticsError, ModelError, NeedsScenarioError
from forecast.features.feature_set import Design
from forecast.predictive import PredictiveDistribution
from forecast.scenario import Scenario

FITS: list[str] = []


@dataclass(frozen=True, slots=True)
class Walk:
    """Last values plus noise that also the fit draws; takes its time if told so."""

    name: str = "walk"
    scale: float = 1.0
    seconds: float = 0.0
    targets: tuple[str, ...] = ()
    features: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    sampled: bool = False

    def fit(self, design: Design, *, rng: np.random.Generator) -> FittedWalk:
        FITS.append(f"{self.name} {design.targets.index[-1]:%Y-%m-%d}")
        time.sleep(self.seconds)
        return FittedWalk(design, self.scale * rng.random())


@dataclass(frozen=True, slots=True)
class FittedWalk:
    design: Design
    scale: float

    def predict(
        self, periods: pd.DatetimeIndex, *, scenario: Scenario | None = None, n_draws: int, rng: np.random.Generator
    ) -> PredictiveDistribution:
        last = self.design.targets.ffill().iloc[-1].to_numpy()
        values = last + self.scale * rng.standard_normal((n_draws, len(periods), len(last)))
        return PredictiveDistribution(values, periods, tuple(map(str, self.design.targets)), self.design.units)


def vintages(**revised: float) -> Vintages:
    """Four years of two rates; a factor by series stands for a revision of one value in the middle."""
    days = pd.bdate_range("2016-01-07", "2019-12-26").to_numpy().astype("M8[us]")
    values = {"effr": 2.0 + 0.001 * (np.arange(len(days)) % 7), "sofr": np.full(len(days), 2.05)}
    values |= dict.fromkeys(("iorb", "ioer"), np.full(len(days), 2.1))
    for name, factor in revised.items():
        values[name][500] *= factor
    as_of = pd.Timestamp("2020-06-30")
    return Vintages.from_tables([VintageTable(name, as_of, days, each) for name, each in values.items()], catalog())


def plan(*entries: ModelEntry, origins: int = 20, **changes: Any) -> BacktestPlan:
    entries = entries or (ModelEntry("a", "a"), ModelEntry("b", "b"), ModelEntry("c", "c"))
    thursdays = pd.date_range("2018-06-07 17:00", periods=origins, freq="7D", tz=NEW_YORK)
    asked = BacktestPlan(
        "toys", ("effr_iorb",), entries, entries[0].label, tuple(thursdays), horizons=(1, 4), n_draws=20,
        minimum_history={"default": 52},
    )  # fmt: skip
    return replace(asked, **changes)


def walk(name: str, options: Any, where: str) -> Walk:
    return Walk(name, **options)


@pytest.fixture(autouse=True)
def toys(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FORECAST_HOME", str(tmp_path))
    monkeypatch.setattr(run, "create", walk)
    monkeypatch.setattr(schedule, "package_code", lambda: "this code")  # also while somebody edits it
    FITS.clear()


def backtest(asked: BacktestPlan, run_id: str = "kept", **options: Any) -> BacktestResult:
    return run.run_backtest(asked, **{"vintages": vintages(), "workers": 1, "run_id": run_id, **options})


def fits() -> dict[str, int]:
    """How often each model was fitted since the last call."""
    found = pd.Series([each.split()[0] for each in FITS], dtype="str").value_counts().to_dict()
    FITS.clear()
    return {str(name): int(count) for name, count in found.items()}


# --------------------------------------------------------------------------- nothing is computed twice


def test_a_finished_run_is_not_computed_again() -> None:
    first = backtest(plan())
    assert fits() == {"a": 20, "b": 20, "c": 20}
    seen: list[tuple[int, int]] = []
    again = backtest(plan(), progress=lambda done, total: seen.append((done, total)))
    assert fits() == {}
    assert again.about["content"] == first.about["content"]
    pd.testing.assert_frame_equal(again.scorecard.table, first.scorecard.table, check_exact=True)
    pd.testing.assert_frame_equal(again.forecasts, first.forecasts, check_exact=True)
    pd.testing.assert_frame_equal(again.cells, first.cells, check_exact=True)
    assert seen[1] == (60, 60), "cells that are there count as done"


def test_cells_that_were_not_asked_are_not_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = plan(minimum_history={"default": 130})
    first = backtest(asked)
    assert 0 < len(first.cells) < 60
    monkeypatch.setattr(schedule, "_design", None)  # building a design would fail
    assert backtest(asked).about["content"] == first.about["content"]


def test_another_run_starts_from_nothing() -> None:
    backtest(plan())
    fits()
    backtest(plan(), run_id="another")
    assert fits() == {"a": 20, "b": 20, "c": 20}


def test_a_run_without_a_name_never_goes_on_from_another() -> None:
    names = {run.run_backtest(plan(origins=1), vintages=vintages(), workers=1).run_id for _ in range(3)}
    assert len(names) == 3
    assert fits() == {"a": 3, "b": 3, "c": 3}


def test_a_changed_plan_computes_what_it_affects_and_nothing_else() -> None:
    backtest(plan())
    fits()
    a, b, c = plan().models
    backtest(plan(a, replace(b, options={"scale": 2.0}), c))
    assert fits() == {"b": 20}
    backtest(plan(a, b, c, ModelEntry("d", "d")))
    assert fits() == {"d": 20}, "what the first run computed is still there"
    backtest(plan(a, origins=25))
    assert fits() == {"a": 5}
    renamed = backtest(plan(replace(a, label="new name")))
    assert (fits(), set(renamed.cells["model"])) == ({}, {"new name"})
    backtest(plan(seed=2))
    assert fits() == {"a": 20, "b": 20, "c": 20}


def test_two_entries_that_differ_in_their_label_only_have_the_same_cells() -> None:
    result = backtest(plan(ModelEntry("a", "a"), ModelEntry("twin", "a")))
    again = backtest(plan(ModelEntry("a", "a"), ModelEntry("twin", "a")))
    assert again.about["content"] == result.about["content"]
    by_model = result.cells.groupby("model")["content"].apply(list)
    assert by_model["a"] == by_model["twin"]


def test_changed_data_computes_the_models_that_read_them() -> None:
    reader = ModelEntry("b", "b", {"features": ("sofr_iorb",)})
    asked = plan(ModelEntry("a", "a"), reader)
    backtest(asked)
    fits()
    backtest(asked, vintages=vintages(sofr=1.01))
    assert fits() == {"b": 20}
    backtest(asked, vintages=vintages(effr=1.01))
    assert fits() == {"a": 20, "b": 20}, "a target's releases are outcomes too"


def test_changed_code_computes_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    backtest(plan())
    fits()
    monkeypatch.setattr(schedule, "package_code", lambda: "another version")
    backtest(plan())
    assert fits() == {"a": 20, "b": 20, "c": 20}


@pytest.mark.parametrize("damage", ["cut", "flip"])
def test_damaged_cells_are_computed_again(damage: str, tmp_path: Path) -> None:
    first = backtest(plan())
    fits()
    path = next((tmp_path / "runs" / "kept" / "cells").glob("*.cells"))
    content = bytearray(path.read_bytes())
    if damage == "cut":
        del content[-10:]
    else:
        content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))
    again = backtest(plan())
    assert sum(fits().values()) == 1
    assert again.about["content"] == first.about["content"]


# --------------------------------------------------------------------------- failures

GONE: list[str] = []


@dataclass(frozen=True, slots=True)
class Failing(Walk):
    """Raises an error from the 2018-07-18 week on, until what caused it is gone."""

    kind: str = "data"

    def fit(self, design: Design, *, rng: np.random.Generator) -> FittedWalk:
        # A dataclass with slots is another class than the one that super() without arguments refers to.
        fitted = Walk.fit(self, design, rng=rng)
        if design.targets.index[-1] >= pd.Timestamp("2018-07-18") and self.kind not in GONE:
            raise_error(self.kind)
        return fitted


def raise_error(kind: str) -> None:
    plain = {
        "data": FloatingPointError("overflow"),
        "sampler": DiagnosticsError("R-hat of 'kink' is 1.3"),
        "scenario": NeedsScenarioError("give me a path"),
        "memory": MemoryError("8 GB for an array"),
        "disk": OSError(28, "No space left on device"),
        "library": ImportError("libblas.so.3"),
        "keyboard": KeyboardInterrupt(),
    }
    if kind in plain:
        raise plain[kind]
    try:
        raise_error("disk")
    except OSError as error:
        raise DataError("compiled function cannot be kept") from error if kind == "told" else None


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> None:
    GONE.clear()
    monkeypatch.setattr(
        run, "create", lambda name, options, where: Failing(name, kind=name) if name != "a" else Walk(name, **options)
    )


def failing_plan(kind: str, **changes: Any) -> BacktestPlan:
    return plan(ModelEntry("a", "a"), ModelEntry(kind, kind), **changes)


@pytest.mark.usefixtures("failing")
@pytest.mark.parametrize(("kind", "status"), [("data", "failed"), ("sampler", "degraded"), ("scenario", "refused")])
def test_what_would_fail_again_is_not_computed_again(kind: str, status: str) -> None:
    first = backtest(failing_plan(kind))
    assert fits() == {"a": 20, kind: 20}
    assert first.cells.query("model == @kind")["status"].value_counts().to_dict() == {"ok": 7 - 1, status: 13 + 1}
    again = backtest(failing_plan(kind))
    assert fits() == {}
    pd.testing.assert_frame_equal(again.cells, first.cells, check_exact=True)
    assert again.about["content"] == first.about["content"]


@pytest.mark.usefixtures("failing")
def test_a_failure_is_computed_again_once_anything_that_it_depends_on_has_changed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = failing_plan("sampler")
    backtest(asked)
    fits()
    a, bad = asked.models
    backtest(replace(asked, models=(a, replace(bad, options={"more": "draws"}))))
    assert fits() == {"sampler": 20}
    backtest(asked, vintages=vintages(effr=1.01))
    assert fits() == {"a": 20, "sampler": 20}
    monkeypatch.setattr(schedule, "entry_digest", lambda entry, model: f"another file {entry.name}")
    backtest(asked)
    assert fits() == {"a": 20, "sampler": 20}


@pytest.mark.usefixtures("failing")
@pytest.mark.parametrize("kind", ["memory", "disk", "library", "told", "silenced"])
def test_a_failure_of_the_machine_is_told_and_computed_again(kind: str) -> None:
    first = backtest(failing_plan(kind))
    assert first.cells["status"].value_counts().to_dict() == {"ok": 26, "failed": 14}
    assert first.cells["reason"].str.len().gt(0).sum() == 14
    fits()
    backtest(failing_plan(kind))
    assert fits() == {kind: 14}, "what succeeded is kept"
    GONE.append(kind)
    healed = backtest(failing_plan(kind))
    assert fits() == {kind: 14}
    assert set(healed.cells["status"]) == {"ok"}
    assert healed.about["content"] == backtest(failing_plan(kind), run_id="never-failed").about["content"]
    fits()
    backtest(failing_plan(kind))
    assert fits() == {}


@pytest.mark.usefixtures("failing")
def test_an_interrupt_leaves_what_was_finished_before_it_also_at_the_same_origin(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(schedule, "_AT_RISK", 0.0)
    with pytest.raises(KeyboardInterrupt):
        backtest(failing_plan("keyboard"))
    assert fits() == {"a": 7, "keyboard": 7}
    GONE.append("keyboard")
    resumed = backtest(failing_plan("keyboard"))
    assert fits() == {"a": 13, "keyboard": 14}
    assert resumed.about["content"] == backtest(failing_plan("keyboard"), run_id="whole").about["content"]


# --------------------------------------------------------------------------- in any order


def shuffled(tasks: list[Any], rng: random.Random) -> list[Any]:
    """Every origin a task of its own or several in one, all in any order."""
    origins = [origin for task in tasks for origin in task.origins]
    rng.shuffle(origins)
    origins = [tuple(rng.sample(asks, len(asks))) for asks in origins]
    cuts = sorted({0, len(origins), *(rng.randrange(len(origins) + 1) for _ in range(5))})
    return [replace(tasks[0], origins=tuple(origins[i:j])) for i, j in pairwise(cuts)]


@pytest.mark.parametrize("seed", range(3))
def test_cells_may_run_in_any_order_and_company(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, tasks = backtest(plan(), run_id="whole"), schedule._tasks
    monkeypatch.setattr(schedule, "_tasks", lambda *args: shuffled(tasks(*args), random.Random(seed)))
    mixed = backtest(plan(), run_id="mixed")
    assert mixed.about["content"] == whole.about["content"]
    pd.testing.assert_frame_equal(mixed.scorecard.table, whole.scorecard.table, check_exact=True)


def test_a_smaller_batch_of_scores_changes_no_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = plan(n_draws=333)
    whole = backtest(asked, run_id="whole")
    monkeypatch.setattr(schedule, "_HELD", 0.0)
    monkeypatch.setattr(schedule, "_AT_RISK", 0.0)
    single = backtest(asked, run_id="single")
    pd.testing.assert_frame_equal(single.scorecard.table, whole.scorecard.table, check_exact=True)
    pd.testing.assert_frame_equal(single.forecasts, whole.forecasts, check_exact=True)
    assert single.about["content"] == whole.about["content"]


def test_a_killed_worker_is_told_with_the_way_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def create(name: str, options: Any, where: str) -> Any:
        return Suicidal(name) if name == "b" else Walk(name, **options)

    monkeypatch.setattr(run, "create", create)
    with pytest.raises(ModelError, match=r"killed.*--run-id kept"):
        backtest(plan(), workers=2)


@dataclass(frozen=True, slots=True)
class Suicidal(Walk):
    def fit(self, design: Design, *, rng: np.random.Generator) -> Any:
        os.kill(os.getpid(), signal.SIGKILL)


# --------------------------------------------------------------------------- killed at any moment


def in_a_process_of_its_own(home: str) -> None:
    os.environ["FORECAST_HOME"] = home
    # By setattr, because mypy knows that the modules only import them.
    setattr(run, "create", walk)  # noqa: B010
    setattr(schedule, "package_code", lambda: "this code")  # noqa: B010


def _run_slowly(home: str, pause: float) -> None:
    in_a_process_of_its_own(home)
    schedule._AT_RISK = 0.0
    entries = (ModelEntry(name, name, {"seconds": pause}) for name in "abc")
    backtest(plan(*entries))


@pytest.fixture(scope="module")
def server() -> Any:
    """Processes that start at once, because a server has imported everything."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["forecast.backtest.run", "forecast.features", "joblib", "duckdb", "threadpoolctl"])
    return context


def killed_run(server: Any, home: Path, rng: random.Random) -> int:
    """Start a run of sixty cells, kill it at a random moment after some of them; the files on disk then, one a cell."""
    child = server.Process(target=_run_slowly, args=(str(home), 0.002))
    before, more = saved(home), rng.randrange(24)
    child.start()
    while child.is_alive() and saved(home) < before + more:
        time.sleep(0.001)
    time.sleep(rng.uniform(0.0, 0.03))
    child.kill()
    child.join()
    return saved(home)


def saved(home: Path) -> int:
    return len(list(home.glob("runs/kept/cells/*.cells")))


def check_killed(server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, kills: int, rounds: int) -> None:
    entries = [ModelEntry(name, name, {"seconds": 0.002}) for name in "abc"]
    whole = backtest(plan(*entries), run_id="whole")
    partial, rng = 0, random.Random(7)
    for number in range(rounds):
        home = tmp_path / str(number)
        states = [killed_run(server, home, rng) for _ in range(kills)]
        partial += sum(0 < state < 60 for state in states)
        monkeypatch.setenv("FORECAST_HOME", str(home))
        FITS.clear()
        resumed = backtest(plan(*entries))
        assert sum(fits().values()) == 60 - states[-1], (
            "each cell is saved when it is finished, and none is computed twice"
        )
        assert resumed.about["content"] == whole.about["content"]
        assert len(resumed.cells) == 60
        pd.testing.assert_frame_equal(resumed.scorecard.table, whole.scorecard.table, check_exact=True)
    assert partial, "some run was killed half-way"


def test_a_run_killed_at_random_moments_ends_as_if_it_had_not_been(
    server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_killed(server, tmp_path, monkeypatch, kills=2, rounds=3)


@pytest.mark.slow
def test_a_run_killed_fifty_times_ends_as_if_it_had_not_been(
    server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_killed(server, tmp_path, monkeypatch, kills=2, rounds=25)


def _race(home: str, answers: Any) -> None:
    in_a_process_of_its_own(home)
    try:
        answers.put(backtest(plan()).about["content"])
    except Exception as error:  # noqa: BLE001  the answer of this process
        answers.put(f"{type(error).__name__}: {error}")


def test_processes_that_race_for_a_run_do_not_mix(server: Any, tmp_path: Path) -> None:
    whole = backtest(plan(), run_id="whole").about["content"]
    answers = server.Queue()
    racers = [server.Process(target=_race, args=(str(tmp_path / "race"), answers)) for _ in range(4)]
    for racer in racers:
        racer.start()
    said = {answers.get(timeout=60) for _ in racers}
    for racer in racers:
        racer.join()
    assert whole in said
    assert all("written by another process" in other for other in said - {whole})


# --------------------------------------------------------------------------- sampled models

SAMPLED = """
title = "Sampled and quick"
data = "synthetic"
targets = ["effr_iorb", "sofr_iorb"]
benchmark = "random_walk"
horizons = [1, 4]
conditioning = ["none", "realised"]
n_draws = 100
[origins]
first = "2018-01-01"
last = "2019-03-31"
every = 13
[window]
start = "2012-01-01"
[models.random_walk]
[models.ar]
[models.satiation_curve]
"""


def command(home: Path, *options: str) -> dict[str, Any]:
    plan_file = home.parent / "sampled.toml"
    plan_file.write_text(SAMPLED)
    asked = [sys.executable, "-m", "forecast", "backtest", str(plan_file), "--json", *options]
    done = subprocess.run(asked, env={**os.environ, "FORECAST_HOME": str(home)}, capture_output=True, check=True)
    document: dict[str, Any] = json.loads(done.stdout)
    return document


@pytest.mark.slow
def test_sampled_cells_are_the_same_with_a_cold_and_a_warm_compiler_on_any_number_of_workers(tmp_path: Path) -> None:
    cold = command(tmp_path / "one", "--workers", "1", "--run-id", "cold")
    assert set(cold["cells"]) == {"ok"}
    contents = {
        cold["about"]["content"],
        command(tmp_path / "one", "--workers", "1", "--run-id", "warm")["about"]["content"],
        command(tmp_path / "one", "--workers", "1", "--run-id", "cold")["about"]["content"],
        command(tmp_path / "two", "--workers", "2", "--run-id", "cold")["about"]["content"],
        command(tmp_path / "two", "--workers", "4", "--run-id", "warm")["about"]["content"],
    }
    assert len(contents) == 1
