"""What the speed comparisons share: one table row a comparison, the data of the tasks, and the peers' timings."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from threadpoolctl import threadpool_limits

import forecast.features  # noqa: F401  features register on import
from forecast.data.synthetic import Economy, simulate
from forecast.data.vintages import Vintages
from forecast.features.feature_set import Design, FeatureSet

HERE = Path(__file__).resolve().parent
TARGET, REGRESSORS = "yield_10y", ("quarter_end_week", "month_end_week", "tax_week")
ROWS: pytest.StashKey[list[dict[str, Any]]] = pytest.StashKey()

type Row = Callable[..., None]


@pytest.fixture
def row(benchmark: Any, request: pytest.FixtureRequest) -> Row:
    """``row(what, measured, unit, target=..., holds=..., peers=..., note=...)``: one line of the table in README.md.

    measured : ours, in ``unit``
    target   : what was promised, in words
    holds    : whether the promise is kept; None where none was made
    peers    : name -> their time in the same unit, or in words why there is none
    """

    def add(
        what: str,
        measured: float,
        unit: str,
        *,
        target: str = "",
        holds: bool | None = None,
        peers: Mapping[str, float | str] | None = None,
        note: str = "",
    ) -> None:
        line = {
            "what": what,
            "measured": measured,
            "unit": unit,
            "target": target,
            "holds": None if holds is None else bool(holds),
            "note": note,
        }
        line["peers"] = dict(peers or {})
        benchmark.extra_info.setdefault("rows", []).append(line)
        request.config.stash.setdefault(ROWS, []).append(line)

    return add


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Ratios, for those who run pytest by hand; ``run.py`` writes them into README.md."""
    for line in config.stash.get(ROWS, []):
        kept = {True: "kept", False: "MISSED", None: ""}[line["holds"]]
        promise = f" (target {line['target']}: {kept})" if line["target"] else ""
        terminalreporter.write_line(f"{line['what']}: {line['measured']:.4g} {line['unit']}{promise}")
        for name, theirs in line["peers"].items():
            ratio = "" if isinstance(theirs, str) else f" {line['unit']}, {theirs / line['measured']:.3g} times ours"
            terminalreporter.write_line(f"    {name}: {theirs if isinstance(theirs, str) else f'{theirs:.4g}'}{ratio}")


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """One weekly series with regressors whose future is known, as vintages for us and as arrays for the peers.

    design : targets and features in all weeks
    data   : the same as a CSV file: period, y, regressors
    """

    vintages: Vintages
    design: Design
    data: Path


@pytest.fixture(scope="session")
def task(tmp_path_factory: pytest.TempPathFactory) -> Task:
    vintages = simulate(Economy(seed=1))[0]
    design = FeatureSet((TARGET,), REGRESSORS).build(vintages.final())
    path = tmp_path_factory.mktemp("data") / "weekly.csv"
    table = pd.concat([design.targets.rename(columns={TARGET: "y"}), design.features], axis=1)
    table.rename_axis("period").to_csv(path)
    return Task(vintages, design, path)


@dataclass(frozen=True, slots=True)
class Peers:
    """What ``peers/measure.py`` found: peer -> task -> seconds, origins, version, path, or a reason."""

    found: Mapping[str, Mapping[str, Mapping[str, Any]]]

    def per_origin(self, task: str) -> dict[str, float | str]:
        """Microseconds an origin of every peer that has the task, or why it was not run."""
        times: dict[str, float | str] = {}
        for peer, tasks in self.found.items():
            for name, measured in tasks.items():
                if name.split(",")[0] == task or "" in tasks:
                    label = " ".join([peer, str(measured.get("version", "")), name.partition(", ")[2]]).strip()
                    reason = measured.get("reason")
                    times[label] = f"not run: {reason}" if reason else measured["seconds"] / measured["origins"] * 1e6
        return times

    def paths(self, task: str) -> dict[str, list[float]]:
        """Forecasts at the last origin of the peers that were run."""
        return {peer: tasks[task]["path"] for peer, tasks in self.found.items() if "path" in tasks.get(task, {})}


@pytest.fixture(scope="session")
def peers(task: Task) -> Peers:
    """Timings of the peers on the same data, in the same session."""
    script = HERE / "peers" / "measure.py"
    done = subprocess.run([sys.executable, script, task.data], capture_output=True, text=True, check=True)
    return Peers(json.loads(done.stdout))


@pytest.fixture(scope="session", autouse=True)
def _quiet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Stored runs go where they are forgotten; one thread for linear algebra, as for the peers."""
    with threadpool_limits(1), pytest.MonkeyPatch.context() as patch:
        patch.setenv("FORECAST_HOME", str(tmp_path_factory.mktemp("home")))
        yield
