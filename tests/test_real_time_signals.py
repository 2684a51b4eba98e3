"""benchmarks/real_time_signals.py: what counts as a signal, and that a run which was cut off goes on where it was."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest

from forecast.data.synthetic import Economy, simulate
from forecast.data.vintages import Vintages
from forecast.errors import ShortHistoryError
from forecast.model import Updatable, is_updatable

WEEKS = pd.date_range("2017-11-02 17:00", periods=30, freq="7D")
ASKED: list[str] = []


@pytest.fixture(scope="module")
def script(benchmark_script: Callable[[str], ModuleType]) -> ModuleType:
    return benchmark_script("real_time_signals")


@pytest.fixture(scope="module")
def economy() -> Vintages:
    return simulate(Economy(years=13.0))[0]


# --------------------------------------------------------------------------- what a signal is


@pytest.mark.parametrize(
    ("said", "weeks"),
    [
        ([0.6] * 3, []),
        ([0.6] * 4, [3]),
        ([0.6] * 9, [3]),
        ([0.6] * 3 + [0.5] + [0.6] * 4, [7]),
        ([0.6] * 3 + [np.nan] + [0.6] * 4, [7]),
        ([0.6] * 4 + [0.4] + [0.9] * 5, [3, 8]),
    ],
)
def test_a_signal_is_the_fourth_week_in_a_row_above_one_half(
    said: list[float], weeks: list[int], script: ModuleType
) -> None:
    chance = pd.Series(said, WEEKS[: len(said)])
    assert script.signals(chance) == list(WEEKS[weeks])


def test_an_answer_stands_until_the_next_one_and_no_longer(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(script, "LAST", f"{WEEKS[11]:%Y-%m-%d}")
    rows = pd.DataFrame({"origin": WEEKS[[0, 4]], "chance": [0.1, 0.9]})
    np.testing.assert_array_equal(script.standing(rows, 4), [*[0.1] * 4, *[0.9] * 4, *[np.nan] * 4])


def test_what_could_be_read_on_a_day_is_known_by_its_evening(script: ModuleType) -> None:
    chance = pd.Series([0.1, 0.2, np.nan, 0.4], WEEKS[:4])
    said = [
        script.said_on(chance, day) for day in ("2017-11-01", "2017-11-02", "2017-11-08", "2017-11-20", "2017-11-24")
    ]
    assert said == ["none", "0.10", "0.10", "0.20", "0.40"]


def test_the_table_tells_false_alarms_from_the_first_signal(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(script, "MODELS", {"early": ("", {}, 1), "late": ("", {}, 1), "stuck": ("", {}, 1)})
    monkeypatch.setattr(script, "LAST", f"{WEEKS[-1]:%Y-%m-%d}")
    early, late = np.full(30, 0.1), np.full(30, 0.1)
    early[:5], late[15:], early[20:25] = 0.9, 0.9, 0.9
    chances = {"early": early, "late": late, "stuck": np.full(30, 0.9)}
    found = pd.concat(
        [pd.DataFrame({"model": name, "origin": WEEKS, "chance": each}) for name, each in chances.items()]
    )
    lines = [[cell.strip() for cell in line.split("|")[1:4]] for line in script.table(found).splitlines()[2:]]
    assert lines == [
        ["early", f"{WEEKS[23]:%Y-%m-%d}", "1"],
        ["late", f"{WEEKS[18]:%Y-%m-%d}", "0"],
        ["stuck", f"standing since {WEEKS[3]:%Y-%m-%d}", "1"],
    ]


# --------------------------------------------------------------------------- asking and keeping


@dataclass(frozen=True, slots=True)
class Toy:
    """Its chance is the number of the week; refuses one, and is interrupted at another."""

    refuses: int = -1
    interrupted: int = -1
    name: ClassVar[str] = "toy"
    targets: ClassVar[tuple[str, ...]] = ()
    features: ClassVar[tuple[str, ...]] = ()

    def fit(self, design: Any, *, rng: np.random.Generator) -> FittedToy:
        week = WEEKS.tolist().index(design)
        if week == self.interrupted:
            raise KeyboardInterrupt
        ASKED.append(f"fit {week}")
        if week == self.refuses:
            raise ShortHistoryError("too few weeks")
        return FittedToy(self, week)


@dataclass(frozen=True, slots=True)
class Followed(Toy):
    updatable: ClassVar[bool] = True


@dataclass(frozen=True, slots=True)
class FittedToy:
    spec: Toy
    week: int

    def update(self, design: Any) -> FittedToy:
        ASKED.append("update")
        week = WEEKS.tolist().index(design)
        if week == self.spec.interrupted:
            raise KeyboardInterrupt
        return FittedToy(self.spec, week)

    def ampleness(self) -> FittedToy:
        return self

    def slope_below(self, bound: float) -> float:
        return self.week / 100


@pytest.fixture
def toys(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> dict[str, Toy]:
    """Two toys by label; the design of an origin is the origin."""
    models: dict[str, Toy] = {"slow": Toy(), "followed": Followed()}
    monkeypatch.setattr(script, "MODELS", {"slow": ("slow", {}, 4), "followed": ("followed", {}, 1)})
    monkeypatch.setattr(script, "FIRST", f"{WEEKS[0]:%Y-%m-%d}")
    monkeypatch.setattr(script, "LAST", f"{WEEKS[-1]:%Y-%m-%d}")
    monkeypatch.setattr(script, "specification", lambda label: models[label])
    monkeypatch.setattr(script, "design_at", lambda vintages, model, origin: origin)
    monkeypatch.setattr(script, "keys", lambda vintages, labels: dict.fromkeys(labels, "this code"))
    ASKED.clear()
    return models


def ask(script: ModuleType, path: Path) -> pd.DataFrame:
    found: pd.DataFrame = script.ask(None, ["slow", "followed"], path, workers=1)
    return found


def test_every_model_is_asked_at_its_weeks_and_updated_where_it_can_be(
    script: ModuleType, toys: dict[str, Toy], tmp_path: Path
) -> None:
    found = ask(script, tmp_path / "new" / "signals.jsonl")
    assert list(dict.fromkeys(found["model"])) == ["slow", "followed"]
    assert found["origin"].tolist() == [*WEEKS[::4], *WEEKS]
    np.testing.assert_allclose(found["chance"], [*np.arange(0, 30, 4) / 100, *np.arange(30) / 100])
    assert ASKED[0] == "fit 0"
    assert ASKED.count("update") == 29
    assert len(ASKED) == 38


def test_a_run_that_was_cut_off_asks_only_what_is_missing(
    script: ModuleType, toys: dict[str, Toy], tmp_path: Path
) -> None:
    whole, path = ask(script, tmp_path / "whole.jsonl"), tmp_path / "cut.jsonl"
    toys["followed"] = Followed(interrupted=12)
    with pytest.raises(KeyboardInterrupt):
        ask(script, path)
    toys |= {"followed": Followed(), "slow": Toy(interrupted=16)}
    ASKED.clear()
    with pytest.raises(KeyboardInterrupt):
        ask(script, path)
    assert ["fit 12", *["update"] * 17, "fit 0", "fit 4", "fit 8", "fit 12"] == ASKED
    toys["slow"] = Toy()
    ASKED.clear()
    pd.testing.assert_frame_equal(ask(script, path), whole)
    assert ASKED == ["fit 16", "fit 20", "fit 24", "fit 28"]
    ASKED.clear()
    pd.testing.assert_frame_equal(ask(script, path), whole)
    assert ASKED == []


def test_a_line_that_was_cut_off_is_asked_again(script: ModuleType, toys: dict[str, Toy], tmp_path: Path) -> None:
    path = tmp_path / "signals.jsonl"
    whole = ask(script, path)
    path.write_text(path.read_text()[:-20])
    ASKED.clear()
    pd.testing.assert_frame_equal(ask(script, path), whole)
    assert len(ASKED) == 1
    ASKED.clear()
    pd.testing.assert_frame_equal(ask(script, path), whole)
    assert ASKED == []


def test_a_refusal_is_an_answer_with_its_reason(script: ModuleType, toys: dict[str, Toy], tmp_path: Path) -> None:
    toys |= {"slow": Toy(refuses=4), "followed": Followed(refuses=0)}
    found = ask(script, tmp_path / "signals.jsonl").set_index(["model", "origin"])
    assert found["chance"].isna().sum() == 2
    assert found.loc[("slow", WEEKS[4]), "reason"] == "ShortHistoryError: too few weeks"
    assert ASKED[:3] == ["fit 0", "fit 1", "update"], "after a refusal it is fitted anew"
    ASKED.clear()
    ask(script, tmp_path / "signals.jsonl")
    assert ASKED == []


def test_changed_code_or_data_asks_again(
    script: ModuleType, toys: dict[str, Toy], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "signals.jsonl"
    ask(script, path)
    toys["slow"] = Toy(refuses=4)
    monkeypatch.setattr(script, "keys", lambda vintages, labels: {"slow": "other code", "followed": "this code"})
    ASKED.clear()
    assert ask(script, path)["chance"].isna().sum() == 1
    assert [f"fit {week}" for week in range(0, 30, 4)] == ASKED


def test_the_key_is_made_of_code_options_and_data(
    script: ModuleType, economy: Vintages, monkeypatch: pytest.MonkeyPatch
) -> None:
    entries: Mapping[str, Any] = {
        "a": ("drifting_slope", {}, 1), "b": ("drifting_slope", {}, 4), "c": ("drifting_slope", {"lags": 2}, 1)
    }  # fmt: skip
    monkeypatch.setattr(script, "MODELS", entries)
    first = script.keys(economy, list(entries))
    assert first["a"] == first["b"], "how often a model is asked changes no answer"
    assert first["a"] != first["c"]
    later = economy.observations.assign(released=lambda rows: rows["released"] + pd.Timedelta(days=1))
    assert script.keys(Vintages(later, economy.catalog), ["a"])["a"] != first["a"]
    monkeypatch.setattr(script, "package_code", lambda: "other code")
    assert script.keys(economy, ["a"])["a"] != first["a"]


def test_an_updated_answer_is_that_of_a_fit_on_what_was_known(script: ModuleType, economy: Vintages) -> None:
    end = economy.final().series("reserves_average").index[-1]
    model, fitted = script.specification("drifting slope"), None
    assert is_updatable(model)
    for origin in pd.date_range(end=end, periods=4, freq="W-THU") + pd.Timedelta(hours=17):
        fitted = script.fitted_at(economy, model, origin, fitted)
        anew = script.fitted_at(economy, model, origin, None)
        assert isinstance(fitted, Updatable)
        assert script.chance_of(fitted) == script.chance_of(anew)


def test_every_label_is_a_registered_model_with_options_that_it_knows(script: ModuleType) -> None:
    models = {label: script.specification(label) for label in script.MODELS}
    assert {label for label, model in models.items() if is_updatable(model)} == {
        "drifting slope", "online regression", "online VAR"
    }  # fmt: skip
    assert all(script.MODELS[label][2] == 1 for label in ("online regression", "online VAR"))
