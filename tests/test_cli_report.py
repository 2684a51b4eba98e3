"""``forecast report RUN``: the report of a stored run, written again."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner, Result

from forecast.cli import forecast
from forecast.errors import UsageError


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Stands in for a stored run; collects which was asked for. What the page says is tested elsewhere."""
    asked: list[str] = []

    def load_result(run_id: str) -> SimpleNamespace:
        asked.append(run_id)
        if run_id == "missing":
            raise UsageError("no finished run 'missing'.")
        return SimpleNamespace(run_id="run-7" if run_id == "latest" else run_id)

    monkeypatch.setenv("FORECAST_HOME", str(tmp_path))
    monkeypatch.setattr("forecast.backtest.stored.load_result", load_result)
    monkeypatch.setattr("forecast.report.html.render", lambda result: f"<p>{result.run_id}</p>")
    return asked


def call(*arguments: str) -> Result:
    return CliRunner().invoke(forecast, ["report", *arguments])


def test_the_path_of_the_new_report_is_printed(run: list[str], tmp_path: Path) -> None:
    result = call("run-3")
    path = tmp_path / "runs" / "run-3" / "report.html"
    assert result.exit_code == 0
    assert result.output == f"{path}\n"
    assert path.read_text() == "<p>run-3</p>"


def test_latest_writes_into_the_folder_of_the_run_it_stands_for(run: list[str], tmp_path: Path) -> None:
    call("latest")
    assert run == ["latest"]
    assert (tmp_path / "runs" / "run-7" / "report.html").is_file()
    assert not (tmp_path / "runs" / "latest").exists()


def test_an_old_report_is_replaced_whole(run: list[str], tmp_path: Path) -> None:
    old = tmp_path / "runs" / "run-3" / "report.html"
    old.parent.mkdir(parents=True)
    old.write_text("x" * 10_000)
    call("run-3")
    assert old.read_text() == "<p>run-3</p>"
    assert [path.name for path in old.parent.iterdir()] == ["report.html"]


def test_json_names_run_and_path(run: list[str], tmp_path: Path) -> None:
    document = json.loads(call("latest", "--json").output)
    assert document == {"run_id": "run-7", "report": str(tmp_path / "runs" / "run-7" / "report.html")}


def test_an_unknown_run_writes_nothing(run: list[str], tmp_path: Path) -> None:
    result = call("missing")
    assert isinstance(result.exception, UsageError)
    assert list(tmp_path.iterdir()) == []


def test_the_run_must_be_named(run: list[str]) -> None:
    result = call()
    assert result.exit_code == 2
    assert "Missing argument 'RUN'" in result.output


def test_a_home_without_runs_says_how_to_make_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORECAST_HOME", str(tmp_path))
    result = call("latest")
    assert isinstance(result.exception, UsageError)
    assert "forecast backtest" in str(result.exception)
