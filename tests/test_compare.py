"""benchmarks/compare.py: a worse score stops a change, and its table says which and by how much."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest
from markdown_it import MarkdownIt

from forecast.backtest.result import BacktestResult
from forecast.backtest.run import run_backtest
from forecast.evaluation.scorecard import KEY, Scorecard

PLAN = """
title = "small"
data = "synthetic"
targets = ["effr_iorb", "yield_2y"]
benchmark = "random_walk"
horizons = [1, 4]
n_draws = 30

[synthetic]
years = 13.0

[origins]
first = "2017-01-05"
last = "2018-11-29"
every = 5

[models.random_walk]

[models.drift]
"""
type Change = Callable[[pd.DataFrame], pd.DataFrame]


@pytest.fixture(scope="module")
def compare(benchmark_script: Callable[[str], ModuleType]) -> ModuleType:
    return benchmark_script("compare")


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("plans") / "small.toml"
    path.write_text(PLAN, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def result(compare: ModuleType, plan: Path, tmp_path_factory: pytest.TempPathFactory) -> BacktestResult:
    """One true run; what a change of the code does to it is simulated by changing its scores."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FORECAST_HOME", str(tmp_path_factory.mktemp("home")))
        return run_backtest(compare.read_plan(plan), workers=1, run_id="compare-small")


@pytest.fixture
def rerun(
    compare: ModuleType, plan: Path, result: BacktestResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., int]:
    """Accept the true run, then compare a changed one with it; returns the exit code."""
    monkeypatch.setattr(compare, "REFERENCE", tmp_path)
    monkeypatch.setattr(compare, "load_vintages", lambda _: (None, {}))

    def run(change: Change | None = None, *options: str, accepted: bool = True) -> int:
        monkeypatch.setattr(compare, "run_backtest", lambda *_, **__: result)
        if accepted:
            assert compare.main(["--plan", str(plan), "--accept"]) == 0
        if change is not None:
            table = change(result.scorecard.table.copy())
            changed = replace(
                result, scorecard=Scorecard(table), about={**result.about, "content": "another", "python": "3.99"}
            )
            monkeypatch.setattr(compare, "run_backtest", lambda *_, **__: changed)
        return int(compare.main(["--plan", str(plan), *options]))

    return run


def drift_at(horizon: int, factor: float, spread: float = 0.0) -> Change:
    """Scale the CRPS of the drift model for effr_iorb at one horizon, each cell a little differently."""

    def change(table: pd.DataFrame) -> pd.DataFrame:
        hit = (table["model"] == "drift") & (table["target"] == "effr_iorb") & (table["horizon"] == horizon)
        wobble = 1 + spread * np.resize([-1.0, 1.0], int(hit.sum()))
        table.loc[hit, "crps"] *= factor * wobble
        return table

    return change


def tables(text: str) -> list[list[list[str]]]:
    """Every table of a Markdown text as rows of cells, read by a parser of another project."""
    found: list[list[list[str]]] = []
    for token in MarkdownIt("commonmark").enable("table").parse(text):
        if token.type == "table_open":
            found.append([])
        elif token.type == "tr_open":
            found[-1].append([])
        elif token.type == "inline" and found and token.level >= 4:
            found[-1][-1].append(token.content)
    return found


def test_the_same_run_is_called_bit_identical(rerun: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    assert rerun() == 0
    said = capsys.readouterr().out
    assert "Bit-identical" in said
    assert "## small: 0 worse, 0 better, 8 unchanged" in said


def test_a_worse_score_fails_and_stands_in_the_table(
    rerun: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert rerun(drift_at(4, 1.2, spread=0.05)) == 1
    said = capsys.readouterr().out.rpartition("## small: ")[2]
    assert said.startswith("1 worse, 0 better, 7 unchanged")
    assert "Bit-identical" not in said
    head, row = tables(said)[0]
    cells = dict(zip(head, row, strict=True))
    assert (cells["model"], cells["target"], cells["weeks"], cells["unit"]) == ("drift", "effr_iorb", "4", "bp")
    assert float(cells["CRPS"]) == pytest.approx(1.2 * float(cells["accepted"]), rel=0.02)
    assert float(cells["difference"]) > float(cells["s.e."]) > 0
    assert "worse by" in cells["why"]


def test_a_better_score_is_listed_and_passes(rerun: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    assert rerun(drift_at(1, 0.7, spread=0.05)) == 0
    said = capsys.readouterr().out.rpartition("## small: ")[2]
    assert said.startswith("0 worse, 1 better, 7 unchanged")
    head, row = tables(said)[0]
    cells = dict(zip(head, row, strict=True))
    assert float(cells["CRPS"]) < float(cells["accepted"])
    assert float(cells["difference"]) < 0
    assert cells["why"] == ""


def test_a_difference_within_its_standard_error_passes(rerun: Callable[..., int]) -> None:
    assert rerun(drift_at(1, 1.001, spread=0.3)) == 0


def test_rounding_noise_of_another_machine_passes(rerun: Callable[..., int]) -> None:
    assert rerun(drift_at(1, 1 + 1e-9)) == 0


def test_lost_cells_fail_even_if_all_others_are_the_same(
    rerun: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert rerun(lambda table: table[table["model"] != "drift"]) == 1
    said = capsys.readouterr().out.rpartition("## small: ")[2]
    assert said.startswith("4 worse, 0 better, 4 unchanged")
    assert "missing here" in said
    assert "nan" not in said


def test_a_new_model_is_new_and_not_worse(rerun: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    def with_another(table: pd.DataFrame) -> pd.DataFrame:
        drift = table[table["model"] == "drift"]
        return pd.concat([table, drift.assign(model="another|model")], ignore_index=True)

    assert rerun(with_another) == 0
    said = capsys.readouterr().out.rpartition("## small: ")[2]
    assert said.startswith("0 worse, 0 better, 8 unchanged, 4 new")
    assert ["another|model", "none", "effr_iorb", "bp"] in [row[:4] for row in tables(said)[0]]


def test_other_versions_are_named(rerun: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    rerun(drift_at(1, 1.0))
    said = capsys.readouterr().out.rpartition("Versions: ")[2]
    assert said.startswith("python 3.99, reserve-forecast")
    assert "Accepted with: python 3.1" in said


def test_without_a_reference_it_says_how_to_accept_one(
    rerun: Callable[..., int], plan: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert rerun(accepted=False) == 2
    assert f"--plan {plan} --accept" in capsys.readouterr().err


def test_a_plan_that_is_not_there_is_a_usage_error(
    compare: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert compare.main(["--plan", str(tmp_path / "nowhere.toml")]) == 2
    assert "nowhere.toml" in capsys.readouterr().err


def test_the_markdown_file_holds_what_is_printed(
    rerun: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rerun(drift_at(4, 1.2, spread=0.05), "--markdown", str(tmp_path / "out.md"))
    written = (tmp_path / "out.md").read_text(encoding="utf-8")
    assert written.strip() in capsys.readouterr().out
    worse, everything = tables(written)
    assert [len({len(row) for row in table}) for table in (worse, everything)] == [1, 1]
    assert len(everything) == 1 + 2 * 2
    assert any("▲" in cell for row in everything for cell in row)


@pytest.mark.parametrize("name", ["small.csv", "small.csv.gz"])
def test_a_reference_is_read_as_it_was_written(
    compare: ModuleType, result: BacktestResult, tmp_path: Path, name: str
) -> None:
    accepted = compare.accepted_of(result)
    compare.write_reference(tmp_path / name, accepted)
    read = compare.read_reference(tmp_path / name)
    assert read.about == accepted.about
    columns = [*KEY, "unit", "period", "outcome", "crps"]
    first, second = (
        card.table[columns].sort_values(list(KEY), ignore_index=True) for card in (accepted.scorecard, read.scorecard)
    )
    pd.testing.assert_frame_equal(first.drop(columns="outcome"), second.drop(columns="outcome"), check_exact=True)
    np.testing.assert_allclose(first["outcome"], second["outcome"], rtol=1e-11)


@pytest.mark.parametrize("name", ["ci_synthetic", "ci_real", "reserve_demand", "yields", "demand_curves"])
def test_the_stored_references_fit_their_plans(compare: ModuleType, name: str) -> None:
    source = compare.BENCHMARKS / "plans" / f"{name}.toml"
    path, plan = compare.reference_of(source), compare.read_plan(source)
    table = compare.read_reference(path).scorecard.table
    assert set(table["model"]) == {entry.label for entry in plan.models}
    assert set(table["target"]) == set(plan.targets)
    assert set(table["horizon"]) == set(plan.horizons)
    assert set(table["origin"]) <= set(plan.origins)
    assert np.isfinite(table["crps"]).all()
    assert path.stat().st_size < 512 * 1024
