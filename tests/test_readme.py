"""The README's examples run, its commands exist, its pictures are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from forecast.cli import forecast

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_quickstart_runs_from_top_to_bottom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORECAST_HOME", str(tmp_path))
    blocks = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    assert len(blocks) >= 2
    namespace: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, "README.md", "exec"), namespace)  # noqa: S102  the README's own code is what is tested
    result = namespace["result"]
    assert not result.scorecard.summary().empty  # type: ignore[attr-defined]


def test_every_command_the_readme_names_exists() -> None:
    named = set(re.findall(r"`forecast ([a-z]+)", README)) | set(re.findall(r"uv run forecast ([a-z]+)", README))
    assert named <= set(forecast.list_commands(None)), named  # type: ignore[arg-type]


def test_every_picture_and_plan_it_shows_is_in_the_tree() -> None:
    shown = re.findall(r"!\[[^]]*\]\(([^)]+)\)", README) + re.findall(r"benchmarks/[\w/]+\.toml", README)
    assert shown
    assert [path for path in shown if not (ROOT / path).exists()] == []


def test_the_first_screen_holds_the_two_commands() -> None:
    screen = README[: README.index("## Quickstart")]
    assert "pip install uv && uv run forecast backtest" in screen
    assert "pip install uv && uv run pytest" in screen
