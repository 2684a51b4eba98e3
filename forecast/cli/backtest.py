"""``forecast backtest [PLAN]``: replay history and score every model of a plan."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from forecast.cli import HELP, emit_json

if TYPE_CHECKING:
    from forecast.backtest.result import BacktestResult
    from forecast.backtest.schedule import Progress

# What --strict does not accept. A refusal is no failure: the plan asked a model for what it does not do.
_BAD = ("failed", "degraded")


@click.command(context_settings=HELP)
@click.argument("plan", required=False, type=click.Path(path_type=Path))
@click.option("--workers", type=click.IntRange(1), help="Processes; by default the number of cores.")
@click.option(
    "--run-id", help="Folder under runs/; by default the time of day. An interrupted run goes on where it was."
)
@click.option("--strict", is_flag=True, help="Exit 4 if any cell failed or did not converge.")
@click.option("--json", "as_json", is_flag=True, help="Print the scorecard as JSON.")
def command(plan: Path | None, workers: int | None, run_id: str | None, *, strict: bool, as_json: bool) -> None:
    """Replay history and score every model of PLAN, a TOML file.

    Without PLAN the embedded economy is simulated and scored, which needs no data.
    """
    from forecast.backtest.run import run_backtest
    from forecast.home import run_folder
    from forecast.report.html import write_report

    asked = _plan(plan)
    with _progress(quiet=as_json) as progress:
        result = run_backtest(asked, workers=workers, run_id=run_id, progress=progress)
    path = write_report(result, run_folder(result.run_id) / "report.html")
    if as_json:
        emit_json(_document(result, path))
    else:
        _print(result, path)
    if strict and result.cells["status"].isin(_BAD).any():
        raise SystemExit(4)


def _plan(path: Path | None) -> Any:
    from forecast.backtest.plan import parse_plan, read_plan

    if path is not None:
        return read_plan(path)
    from importlib.resources import files

    text = (files("forecast.backtest") / "default.toml").read_text(encoding="utf-8")
    return parse_plan(text, where="the embedded default plan")


@contextmanager
def _progress(*, quiet: bool) -> Iterator[Progress | None]:
    """A bar on standard error, so that standard output stays clean."""
    if quiet:
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("cells", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _comparison(result: BacktestResult) -> Any:
    return result.scorecard.against(result.plan.benchmark, score="crps")


def _document(result: BacktestResult, path: Path) -> dict[str, Any]:
    import json

    tables = {"summary": result.scorecard.summary(), "against": _comparison(result)}
    return {
        "run_id": result.run_id,
        "report": str(path),
        "benchmark": result.plan.benchmark,
        "cells": result.cells["status"].value_counts().to_dict(),
        **{name: json.loads(table.to_json(orient="records")) for name, table in tables.items()},
        "about": dict(result.about),
    }


def _print(result: BacktestResult, path: Path) -> None:
    from rich.console import Console

    from forecast.report.findings import overall

    # Tables of numbers are unreadable when wrapped; a pipe has no width of its own.
    terminal = Console()
    console = terminal if terminal.is_terminal else Console(width=120)
    compared = _comparison(result)
    for target in result.plan.targets:
        table = _target_table(result, compared, target)
        if table is not None:
            console.print(table)
    console.print(_legend(result), soft_wrap=True, highlight=False)
    for sentence in overall(compared, benchmark=result.plan.benchmark):
        console.print(sentence, soft_wrap=True, highlight=False, markup=False)
    counts = result.cells["status"].value_counts().to_dict()
    said = ", ".join(f"{count} {name}" for name, count in counts.items())
    console.print(f"Cells: {said}. {result.about['seconds']} s. Run {result.run_id}.", highlight=False)
    for status in _BAD:
        for reason, count in result.cells.loc[result.cells["status"] == status, "reason"].value_counts().items():
            console.print(f"  {count} {status}: {reason}", style="red", markup=False)
    click.echo(f"Report: {path}")


def _legend(result: BacktestResult) -> str:
    plan = result.plan
    given = {"realised": " 'realised': given the needed paths that came true."}
    if plan.projection:
        given["projected"] = f" 'projected': given paths that {plan.projection.name} drew at the same origin."
    said = "".join(given.get(name, "") for name in plan.conditioning)
    return (
        f"Mean CRPS, lower is better. In brackets: gain on {plan.benchmark} on the origins both have; "
        f"* Diebold-Mariano p < 0.05. Windows: origins whose longest forecasts do not overlap, shared with {plan.benchmark}.{said}"
    )


def _target_table(result: BacktestResult, compared: Any, target: str) -> Any:
    from rich.table import Table

    summary = result.scorecard.summary()
    summary = summary[summary["target"] == target]
    if summary.empty:
        return None
    gains = compared[(compared["target"] == target) & (compared["regime"] == "all")]
    gains = gains.set_index(["model", "conditioning", "horizon"])
    table = Table(title=f"{target}, CRPS in {summary['unit'].iloc[0]}", title_justify="left", box=None, padding=(0, 1))
    table.add_column("model", no_wrap=True)
    for horizon in result.plan.horizons:
        table.add_column(f"{horizon} wk", justify="right", no_wrap=True)
    table.add_column("origins", justify="right")
    table.add_column("windows", justify="right")
    for (model, conditioning), rows in summary.groupby(["model", "conditioning"], sort=False):
        by_horizon = rows.set_index("horizon")
        label = str(model) if conditioning == "none" else f"{model}, {conditioning}"
        cells = [_entry(by_horizon, gains, (str(model), str(conditioning), h)) for h in result.plan.horizons]
        longest = (model, conditioning, rows["horizon"].max())
        windows = str(gains.loc[longest, "windows"]) if longest in gains.index else ""
        table.add_row(label, *cells, str(int(rows["n"].max())), windows)
    return table


def _entry(by_horizon: Any, gains: Any, key: tuple[str, str, int]) -> str:
    horizon = key[2]
    if horizon not in by_horizon.index:
        return "-"
    text = f"{by_horizon.loc[horizon, 'crps']:.3g}"
    if key not in gains.index:
        return text
    skill, p_value = gains.loc[key, ["skill", "p_value"]]
    mark = "*" if p_value < 0.05 else " "
    return f"{text} ({skill:+.0%}{mark})" if isfinite(skill) else text
