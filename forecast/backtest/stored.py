"""Finished runs on disk, under ``runs/<id>/``."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from forecast.backtest.plan import BacktestPlan
from forecast.backtest.plan_json import plan_from_json, plan_to_json
from forecast.backtest.result import BacktestResult
from forecast.errors import UsageError
from forecast.evaluation.scorecard import Scorecard
from forecast.home import home, run_folder
from forecast.tables import read_table, write_atomically, write_table

_TABLES = ("forecasts", "cells", "data")


def store_result(result: BacktestResult, folder: Path) -> None:
    """Write everything; ``run.json`` comes last and marks the run as finished."""
    folder.mkdir(parents=True, exist_ok=True)
    # Tables of an earlier backtest of this name must not be read beside those written now.
    (folder / "run.json").unlink(missing_ok=True)
    result.scorecard.write(folder / "scorecard.parquet")
    for name in _TABLES:
        write_table(getattr(result, name), folder / f"{name}.parquet")
    about = {"run_id": result.run_id, "about": result.about, "plan": _plan(result.plan)}
    write_atomically(folder / "run.json", json.dumps(about, indent=2).encode())


def _plan(plan: BacktestPlan) -> dict[str, Any]:
    """As :func:`plan_to_json`, without a copy of every origin."""
    return plan_to_json(replace(plan, origins=())) | {"origins": [origin.isoformat() for origin in plan.origins]}


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
