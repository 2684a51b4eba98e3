"""Models come in by name, and a name that fails says why."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from forecast import registry
from forecast.errors import MissingExtraError, UnknownNameError, UsageError


def test_every_entry_point_of_ours_can_be_loaded() -> None:
    for name in registry.registered():
        assert registry.model_class(name) is not None
    for name in registry.registered(registry.ANALYSES):
        assert callable(registry.analysis(name))


def test_listing_names_imports_no_model() -> None:
    code = "import sys; from forecast.registry import registered; registered(); print('models' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "False"


def test_an_unknown_model_is_told_its_neighbour() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean: random_walk"):
        registry.create("random_wlak")


def test_an_unknown_option_is_told_its_neighbour() -> None:
    with pytest.raises(UsageError, match=r"no option 'lag'\. Did you mean 'lags'"):
        registry.create("ar", {"lag": 2})


def test_a_missing_extra_is_named_with_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    real = registry.find_spec
    monkeypatch.setattr(registry, "find_spec", lambda name: None if name == "pymc" else real(name))
    with pytest.raises(MissingExtraError, match=r"pip install 'reserve-forecast\[bayes\]'"):
        registry.create("satiation_curve")


SCRIPT = """
from forecast.backtest.plan import parse_plan
from forecast.backtest.run import run_backtest
text = '''
title = "t"
targets = ["effr_iorb"]
benchmark = "random_walk"
data = "synthetic"
[origins]
first = "2019-01-01"
last = "2019-02-28"
[models.random_walk]
'''
run_backtest(parse_plan(text, where="t"), workers=2)
"""


@pytest.mark.parametrize("how", ["module", "script"])
def test_a_models_file_in_the_way_is_explained_in_one_sentence(how: str, tmp_path: Path) -> None:
    (tmp_path / "models.py").write_text("x = 1\n")
    (tmp_path / "plan.toml").write_text(SCRIPT.split("'''")[1])
    (tmp_path / "script.py").write_text(SCRIPT)
    command = ["-m", "forecast", "backtest", "plan.toml"] if how == "module" else ["script.py"]
    environment = {**os.environ, "FORECAST_HOME": str(tmp_path / "home")}
    said = subprocess.run(
        [sys.executable, *command], cwd=tmp_path, capture_output=True, text=True, env=environment, check=False
    )
    assert said.returncode != 0
    assert "ShadowedPackageError" in said.stderr
    assert "Rename that file or folder" in said.stderr
    assert str(tmp_path / "models.py") in said.stderr


def test_our_entry_points_stand_in_the_two_groups() -> None:
    assert {point.value.partition(":")[0].partition(".")[0] for point in entry_points(group="forecast.models")} >= {
        "models"
    }
