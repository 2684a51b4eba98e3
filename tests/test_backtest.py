"""The harness with two toy models: what is asked when, of whom, on which rows, and what is kept."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

import forecast.features  # noqa: F401  registers the features
from forecast import cli
from forecast.backtest import run
from forecast.backtest.cells import cell_rng, cell_words, realised_scenario
from forecast.backtest.drafts import sorted_quantiles
from forecast.backtest.plan import BacktestPlan, ModelEntry, parse_plan
from forecast.backtest.result import QUANTILES
from forecast.backtest.stored import load_result
from forecast.data.catalog import catalog
from forecast.data.vintages import Vintages, VintageTable
from forecast.errors import DataError, DiagnosticsError, NeedsScenarioError, UnknownNameError, UsageError
from forecast.features.feature_set import Design, FeatureSet
from forecast.predictive import PredictiveDistribution
from forecast.scenario import Scenario

LAST = pd.Timestamp("2019-12-25")


def vintages() -> Vintages:
    """Four years of two rates and a ratio, with values that tell their own date."""
    days = pd.bdate_range("2016-01-07", LAST + pd.Timedelta(days=1))
    every_day = pd.date_range(days[0], days[-1])
    weeks = pd.date_range("2016-01-13", LAST, freq="7D")
    tables = {
        "effr": (days, 2.0 + 0.001 * (np.arange(len(days)) % 7)),
        "iorb": (every_day, np.full(len(every_day), 2.1)),
        "ioer": (every_day, np.full(len(every_day), 2.1)),
        "reserves_average": (weeks, 2000.0 - np.arange(len(weeks))),
        "bank_assets": (weeks, np.full(len(weeks), 16000.0)),
    }
    as_of = pd.Timestamp("2020-06-30")
    return Vintages.from_tables(
        [VintageTable(name, as_of, p.to_numpy().astype("M8[us]"), v) for name, (p, v) in tables.items()], catalog()
    )


@dataclass(frozen=True, slots=True)
class Toy:
    """Says its last value plus noise; needs a ratio if told so; fails if told so."""

    targets: tuple[str, ...] = ()
    features: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    fails: bool = False
    diverges: bool = False
    sampled: bool = False
    name: str = "toy"

    def fit(self, design: Design, *, rng: np.random.Generator) -> FittedToy:
        if self.fails:
            raise ZeroDivisionError("on purpose")
        if self.diverges:
            raise DiagnosticsError("R-hat of 'kink' is 1.3")
        return FittedToy(self, design)


@dataclass(frozen=True, slots=True)
class FittedToy:
    spec: Toy
    design: Design

    def predict(
        self, periods: pd.DatetimeIndex, *, scenario: Scenario | None = None, n_draws: int, rng: np.random.Generator
    ) -> PredictiveDistribution:
        if self.spec.needs and scenario is None:
            raise NeedsScenarioError("give me a path")
        last = self.design.targets.ffill().iloc[-1].to_numpy()
        values = last + rng.standard_normal((n_draws, len(periods), len(last)))
        if scenario is not None:
            values = values + scenario.path(self.spec.needs[0], periods, n_draws)[:, :, None]
        return PredictiveDistribution(values, periods, tuple(map(str, self.design.targets)), self.design.units)


def plan(models: Mapping[str, dict[str, Any]], **changes: Any) -> BacktestPlan:
    text = """
    title = "toys"
    targets = ["effr_iorb", "reserve_ratio"]
    benchmark = "a"
    horizons = [1, 4]
    n_draws = 50
    [origins]
    first = "2019-01-01"
    last = "2019-03-31"
    [minimum_history]
    default = 52
    [models.a]
    """
    entries = tuple(ModelEntry(label, label, options) for label, options in models.items())
    return replace(parse_plan(text, where="toys"), models=entries, **changes)


@pytest.fixture
def toys(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Every name is a toy with the entry's options, and results stay in a temporary home."""
    monkeypatch.setenv("FORECAST_HOME", str(tmp_path))
    monkeypatch.setattr(run, "create", lambda name, options, where: Toy(name=name, **options))


def backtest(asked: BacktestPlan, **options: Any) -> Any:
    return run.run_backtest(asked, vintages=vintages(), workers=1, **options)


@pytest.mark.usefixtures("toys")
def test_horizon_h_is_the_h_th_week_that_ends_after_the_origin() -> None:
    table = backtest(plan({"a": {}})).scorecard.table
    first = table[table["origin"] == table["origin"].min()]
    assert first["origin"].iloc[0] == pd.Timestamp("2019-01-03 17:00", tz="America/New_York")
    periods = first[first["target"] == "effr_iorb"].set_index("horizon")["period"]
    assert periods[1] == pd.Timestamp("2019-01-09")
    assert periods[4] == pd.Timestamp("2019-01-30")
    ratio = first[first["target"] == "reserve_ratio"].set_index("horizon")["period"]
    assert list(ratio) == list(periods), "late publication does not change what a horizon means"


@pytest.mark.usefixtures("toys")
def test_outcomes_are_those_of_the_period_not_of_the_publication() -> None:
    table = backtest(plan({"a": {}})).scorecard.table
    ratio = table[(table["target"] == "reserve_ratio") & (table["horizon"] == 1)].iloc[0]
    weeks = (ratio["period"] - pd.Timestamp("2016-01-13")).days // 7
    assert ratio["outcome"] == pytest.approx(100 * (2000 - weeks) / 16000)


@pytest.mark.usefixtures("toys")
def test_a_failing_model_is_kept_with_its_reason_and_others_finish() -> None:
    result = backtest(plan({"a": {}, "b": {"fails": True}}))
    failed = result.cells[result.cells["status"] == "failed"]
    assert set(failed["model"]) == {"b"}
    assert failed["reason"].unique().tolist() == ["ZeroDivisionError: on purpose"]
    assert (result.cells.loc[result.cells["model"] == "a", "status"] == "ok").all()


@pytest.mark.usefixtures("toys")
def test_an_unexpected_error_keeps_the_calls_that_led_to_it_without_naming_the_machine() -> None:
    result = backtest(plan({"a": {}, "b": {"fails": True}}))
    calls = result.cells.loc[result.cells["model"] == "b", "traceback"].iloc[0]
    assert calls.splitlines()[-1].startswith("test_backtest.py:")
    assert 'raise ZeroDivisionError("on purpose")' in calls
    assert str(Path(__file__).parent) not in calls
    assert (result.cells.loc[result.cells["model"] == "a", "traceback"] == "").all()


@pytest.mark.usefixtures("toys")
def test_a_sampler_that_does_not_converge_is_degraded_shown_and_not_scored() -> None:
    result = backtest(plan({"a": {}, "b": {"diverges": True}}))
    mine = result.cells[result.cells["model"] == "b"]
    assert set(mine["status"]) == {"degraded"}
    assert set(mine["reason"]) == {"DiagnosticsError: R-hat of 'kink' is 1.3"}
    assert set(mine["traceback"]) == {""}, "raised on purpose"
    assert set(result.scorecard.table["model"]) == {"a"}


class _Fitted(list[str]):
    """Names of the models that were fitted, in order."""


FITTED = _Fitted()


@dataclass(frozen=True, slots=True)
class Counted(Toy):
    def fit(self, design: Design, *, rng: np.random.Generator) -> FittedToy:
        FITTED.append(f"{self.name} {design.targets.index[-1]:%Y-%m-%d} {rng.random()}")
        return Toy.fit(self, design, rng=rng)


def test_a_fit_is_shared_by_the_conditionings_of_an_origin(toys: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "create", lambda name, options, where: Counted(name=name, **options))
    needy = {"needs": ("reserve_ratio",), "features": ("reserve_ratio",), "targets": ("effr_iorb",)}
    both = plan({"b": needy}, conditioning=("none", "realised"), benchmark="b", targets=("effr_iorb",))
    FITTED.clear()
    shared = backtest(both)
    once = list(FITTED)
    assert len(once) == len(set(once)) == 13
    assert len(shared.cells) == 26
    FITTED.clear()
    alone = backtest(replace(both, conditioning=("realised",)))
    assert once == FITTED, "the generator of a fit does not know the conditionings"
    columns = ["origin", "status", "content"]
    of_both = shared.cells.loc[shared.cells["conditioning"] == "realised", columns].reset_index(drop=True)
    pd.testing.assert_frame_equal(of_both, alone.cells[columns])


@dataclass(frozen=True, slots=True)
class Stubborn(Toy):
    """Draws fewer weeks than it is asked for."""

    def fit(self, design: Design, *, rng: np.random.Generator) -> Any:
        return _Stubborn(self, design)


@dataclass(frozen=True, slots=True)
class _Stubborn(FittedToy):
    def predict(self, periods: pd.DatetimeIndex, **options: Any) -> PredictiveDistribution:
        return FittedToy.predict(self, periods[:-1], **options)


def test_an_answer_to_another_question_is_a_failure(toys: None, monkeypatch: pytest.MonkeyPatch) -> None:
    created = {"a": Toy(name="a"), "b": Stubborn(name="b")}
    monkeypatch.setattr(run, "create", lambda name, options, where: created[name])
    cells = backtest(plan({"a": {}, "b": {}})).cells
    reasons = cells.loc[cells["model"] == "b", "reason"].unique()
    assert len(reasons) == 13
    assert all("for 3 weeks came back" in reason and "for the 4 weeks from" in reason for reason in reasons)


@dataclass(frozen=True, slots=True)
class Vandal(Toy):
    """Tries to write into the design that it shares with others."""

    def fit(self, design: Design, *, rng: np.random.Generator) -> FittedToy:
        design.targets.iloc[-1, 0] = 1e6
        return Toy.fit(self, design, rng=rng)


def test_a_model_cannot_change_what_the_next_one_sees(toys: None, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = backtest(plan({"b": {}}, benchmark="b"))
    created = {"a": Vandal(name="a"), "b": Toy(name="b")}
    monkeypatch.setattr(run, "create", lambda name, options, where: created[name])
    together = backtest(plan({"a": {}, "b": {}}, benchmark="b")).cells.set_index("model")
    assert set(together.loc["a", "status"]) == {"failed"}
    assert list(together.loc["b", "content"]) == list(alone.cells["content"])


@pytest.mark.usefixtures("toys")
def test_origins_before_any_target_is_known_are_not_asked() -> None:
    early = tuple(pd.date_range("2015-12-03 17:00", "2019-03-30", freq="91D", tz="America/New_York"))
    cells = backtest(plan({"a": {}}, origins=early)).cells
    assert cells["origin"].min() > pd.Timestamp("2017-01-01", tz="America/New_York")
    assert set(cells["status"]) == {"ok"}


@pytest.mark.usefixtures("toys")
def test_a_target_short_of_history_is_not_asked() -> None:
    result = backtest(plan({"a": {}}, minimum_history={"default": 52, "reserve_ratio": 156}))
    table = result.scorecard.table
    first = table.loc[table["target"] == "reserve_ratio", "origin"].min()
    # 156 weeks from 2016-01-13 end with the week to 2019-01-02, whose bank assets come out on 2019-01-11.
    assert first == pd.Timestamp("2019-01-17 17:00", tz="America/New_York")
    assert (result.cells["status"] == "ok").all()


@pytest.mark.usefixtures("toys")
def test_realised_conditioning_gives_the_path_and_does_not_score_what_it_gives() -> None:
    needy = {"needs": ("reserve_ratio",), "features": ("reserve_ratio",)}
    result = backtest(plan({"a": {}, "b": needy}, conditioning=("none", "realised")))
    cells = result.cells.set_index(["model", "conditioning"])["status"]
    assert set(cells["b", "none"]) == {"refused"}
    assert set(cells["b", "realised"]) == {"ok"}
    assert ("a", "realised") not in cells.index, "a model without needs is the same under both"
    conditional = result.scorecard.table.query("conditioning == 'realised'")
    assert set(conditional["target"]) == {"effr_iorb"}
    mean = result.forecasts.query("model == 'b' and horizon == 1")["mean"]
    assert mean.between(-2, 12).all(), "about 12 percent was added to a spread near -10 bp"


@pytest.mark.usefixtures("toys")
def test_scores_do_not_depend_on_workers_or_on_the_company_a_model_keeps() -> None:
    alone = backtest(plan({"a": {}}))
    together = backtest(plan({"z": {}, "a": {}}))
    mine = together.scorecard.table.query("model == 'a'").reset_index(drop=True)
    pd.testing.assert_frame_equal(alone.scorecard.table, mine, check_exact=True)
    parallel = run.run_backtest(plan({"a": {}}), vintages=vintages(), workers=2, run_id="parallel")
    assert parallel.about["content"] == alone.about["content"]


@pytest.mark.parametrize("n_draws", [2, 7, 50])
def test_kept_quantiles_are_those_of_numpy(n_draws: int) -> None:
    draws = np.sort(np.random.default_rng(1).standard_t(2, (3, 4, n_draws)), axis=-1)
    mine = sorted_quantiles(draws, QUANTILES)
    np.testing.assert_allclose(mine, np.quantile(draws, QUANTILES, axis=-1), rtol=1e-14, atol=1e-15)
    assert (np.diff(mine, axis=0) >= 0).all()


@pytest.mark.usefixtures("toys")
def test_kept_quantiles_mean_and_content_are_those_of_the_draws() -> None:
    asked, known = plan({"a": {}}), vintages()
    result = run.run_backtest(asked, vintages=known, workers=1)
    origin = asked.origins[3]
    design = FeatureSet(asked.targets).build(known.as_of(origin), ahead=4)
    rng = cell_rng(1, cell_words(asked.models[0], asked.targets, "none", origin))
    draws = FittedToy(Toy(), design).predict(design.future(4), n_draws=50, rng=rng).values
    cell = result.cells[result.cells["origin"] == origin].iloc[0]
    assert cell["content"] == hashlib.sha256(np.ascontiguousarray(draws).tobytes()).hexdigest()
    rows = result.forecasts[result.forecasts["origin"] == origin]
    for k, target in enumerate(asked.targets):
        mine = rows[rows["target"] == target]
        np.testing.assert_allclose(mine["mean"], draws[:, :, k].mean(axis=0), rtol=1e-13)
        np.testing.assert_allclose(mine["q05"], np.quantile(draws[:, :, k], 0.05, axis=0), rtol=1e-13)


@pytest.mark.usefixtures("toys")
def test_a_result_comes_back_from_disk_as_it_was() -> None:
    result = backtest(plan({"a": {}}), run_id="kept")
    again = load_result("kept")
    assert again.plan == result.plan
    assert again.about == result.about
    for name in ("forecasts", "cells", "data"):
        pd.testing.assert_frame_equal(getattr(again, name), getattr(result, name), check_exact=True, check_dtype=False)
    pd.testing.assert_frame_equal(again.scorecard.table, result.scorecard.table, check_dtype=False)
    assert load_result("latest").run_id == "kept"


@pytest.mark.usefixtures("toys")
def test_a_run_that_is_not_there_is_told_what_is() -> None:
    with pytest.raises(UsageError, match="forecast backtest"):
        load_result("latest")
    with pytest.raises(UsageError, match="not a run id"):
        load_result("../../etc/passwd")


@pytest.mark.usefixtures("toys")
def test_unknown_targets_and_absent_series_are_refused_before_anything_runs() -> None:
    with pytest.raises(UnknownNameError, match="effr_iorb"):
        backtest(plan({"a": {}}, targets=("effr_ioer",)))
    with pytest.raises(DataError, match="sofr"):
        backtest(plan({"a": {}}, targets=("sofr_iorb",)))


@pytest.mark.usefixtures("toys")
def test_progress_counts_to_the_end() -> None:
    seen: list[tuple[int, int]] = []
    backtest(plan({"a": {}}), progress=lambda done, total: seen.append((done, total)))
    assert seen[0] == (0, 13)
    assert seen[-1] == (13, 13)


@pytest.mark.usefixtures("toys")
def test_a_rolling_window_drops_old_rows() -> None:
    asked = plan({"a": {}})
    assert backtest(replace(asked, window=replace(asked.window, weeks=60))).cells["status"].eq("ok").all()
    with pytest.raises(DataError, match="no cell was scored"):
        backtest(replace(asked, window=replace(asked.window, weeks=40)))


def test_the_keyed_randomness_has_a_stored_value() -> None:
    origin = pd.Timestamp("2019-01-03 17:00", tz="America/New_York")
    words = cell_words(ModelEntry("label", "ar", {"lags": 4}), ("effr_iorb",), "none", origin)
    assert words == cell_words(ModelEntry("other label", "ar", {"lags": 4}), ("effr_iorb",), "none", origin)
    assert words == STORED_WORDS
    assert int(cell_rng(1, words).integers(2**63)) == STORED_DRAW
    assert words != cell_words(ModelEntry("label", "ar", {"lags": 5}), ("effr_iorb",), "none", origin)
    fit = cell_words(ModelEntry("label", "ar", {"lags": 4}), ("effr_iorb",), "fit", origin)
    assert fit == STORED_FIT_WORDS
    assert fit != cell_words(ModelEntry("label", "ar", {"lags": 4}), ("effr_iorb",), "fit", None)
    utc = origin.tz_convert("UTC")
    assert words == cell_words(ModelEntry("label", "ar", {"lags": 4}), ("effr_iorb",), "none", utc)


STORED_WORDS = (3117663043, 2930053457, 324564795, 3440979066)
STORED_FIT_WORDS = (176202937, 3102588423, 3703969236, 3619740238)
STORED_DRAW = 2717690857548953088


def test_a_realised_path_begins_at_the_ragged_edge_and_ends_where_it_is_unknown() -> None:
    weeks = pd.date_range("2019-01-02", periods=10, freq="7D", unit="us")
    known = pd.DataFrame({"x": np.arange(10.0)}, weeks)
    cut = known.iloc[:6].copy()
    cut.iloc[4:] = np.nan
    design = Design(cut.rename(columns={"x": "y"}), cut.reindex(weeks[:6]), {}, frozenset())
    scenario = realised_scenario(("x",), design, Design(known, known, {}, frozenset()), weeks=26)
    assert scenario is not None
    assert scenario.periods[0] == weeks[4]
    assert scenario.periods[-1] == weeks[9]
    np.testing.assert_array_equal(scenario.values[0, :, 0], np.arange(4.0, 10.0))


PLAN = """
title = "toys"
targets = ["effr_iorb"]
benchmark = "a"
horizons = [1, 4]
n_draws = 20
[origins]
first = "2019-01-01"
last = "2019-02-28"
[minimum_history]
default = 52
[models.a]
"""


@pytest.mark.usefixtures("toys")
@pytest.mark.parametrize(
    ("trait", "code", "said"),
    [
        ("", 0, "Cells: 9 ok"),
        ("diverges = true", 4, "9 degraded: DiagnosticsError: R-hat of 'kink' is 1.3"),
        ("fails = true", 4, "9 failed: ZeroDivisionError: on purpose"),
        ("needs = ['reserve_ratio']", 0, "9 refused"),
    ],
)
def test_strict_accepts_neither_failures_nor_samplers_that_did_not_converge(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trait: str, code: int, said: str
) -> None:
    monkeypatch.setattr(run, "load_vintages", lambda plan: (vintages(), {}))
    path = tmp_path / "plan.toml"
    path.write_text(f"{PLAN}[models.b]\n{trait}\n" if trait else PLAN)
    for options, expected in (((), 0), (("--strict",), code)):
        result = CliRunner().invoke(
            cli.forecast, ["backtest", str(path), "--workers", "1", "--run-id", "told", *options]
        )
        assert result.exit_code == expected, result.output
        assert said in result.output
    report = (tmp_path / "runs" / "told" / "report.html").read_text(encoding="utf-8")
    assert ("did not converge" in report) == ("diverges" in trait)


@pytest.mark.usefixtures("toys")
def test_the_report_says_which_paths_a_model_was_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "load_vintages", lambda plan: (vintages(), {}))
    path = tmp_path / "plan.toml"
    needy = "[models.b]\nneeds = ['reserve_ratio']\nfeatures = ['reserve_ratio']\n[projection]\nmodel = 'p'\n"
    path.write_text(PLAN.replace("n_draws", "conditioning = ['none', 'projected']\nn_draws") + needy)
    result = CliRunner().invoke(cli.forecast, ["backtest", str(path), "--workers", "1", "--run-id", "told"])
    assert result.exit_code == 0, result.output
    assert "'projected': given paths that p drew at the same origin" in result.output
    report = (tmp_path / "runs" / "told" / "report.html").read_text(encoding="utf-8")
    assert "given projected paths" in report
    assert "b (given what came true)" not in report


@pytest.mark.usefixtures("toys")
def test_the_summary_counts_origins_and_windows_that_do_not_overlap(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "load_vintages", lambda plan: (vintages(), {}))
    path = tmp_path / "plan.toml"
    path.write_text(f"{PLAN}[models.b]\n")
    result = CliRunner().invoke(cli.forecast, ["backtest", str(path), "--workers", "1", "--run-id", "told"])
    rows = [line.split() for line in result.output.splitlines()]
    (head,) = (row for row in rows if row[:1] == ["model"])
    (ours,) = (row for row in rows if row[:1] == ["b"])
    (benchmark,) = (row for row in rows if row[:1] == ["a"])
    assert head[-2:] == ["origins", "windows"]
    assert ours[-2:] == ["9", "3"], "nine weekly origins hold three stretches of four weeks"
    assert benchmark[-1] == "9"
    assert "Windows:" in result.output
