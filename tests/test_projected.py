"""Forecasts given what other models say: projected paths of what a model needs, and answers at past origins as features."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import forecast.features  # noqa: F401  registers the features
from forecast.backtest import run
from forecast.backtest.cells import Cell, sub_design
from forecast.backtest.model_inputs import Answers, answers_for, inputs_used
from forecast.backtest.plan import BacktestPlan, ModelEntry, parse_plan, stages
from forecast.backtest.plan_json import plan_from_json, plan_to_json
from forecast.backtest.replay import CellRunner, Replay
from forecast.backtest.result import BacktestResult
from forecast.calendar import NEW_YORK
from forecast.data.catalog import catalog
from forecast.data.vintages import Vintages, VintageTable
from forecast.errors import PlanError, ShortHistoryError, UsageError
from forecast.features.feature_set import Design, FeatureSet, future_weeks
from forecast.predictive import PredictiveDistribution
from forecast.registry import create
from forecast.scenario import Scenario
from forecast.units import UNITS

LAST = pd.Timestamp("2019-12-25")
SEEN: list[tuple[str, Any]] = []


def vintages(ratio_until: str = "2019-12-31", bump: float = 0.0) -> Vintages:
    """Four years of a spread and a ratio; ``bump`` is added to all reserves from a day on."""
    days = pd.bdate_range("2016-01-07", LAST + pd.Timedelta(days=1))
    weeks = pd.date_range("2016-01-13", LAST, freq="7D")
    reserves = 2000.0 - np.arange(len(weeks)) + 20 * np.random.default_rng(3).standard_normal(len(weeks))
    reserves = np.where(weeks > pd.Timestamp(ratio_until), reserves + bump, reserves)
    tables = {
        "effr": (days, 2.0 + 0.01 * np.random.default_rng(4).standard_normal(len(days))),
        "iorb": (days, np.full(len(days), 2.1)),
        "ioer": (days, np.full(len(days), 2.1)),
        "reserves_average": (weeks, reserves),
        "bank_assets": (weeks, np.full(len(weeks), 16000.0)),
    }
    as_of = pd.Timestamp("2020-06-30")
    return Vintages.from_tables(
        [VintageTable(name, as_of, p.to_numpy().astype("M8[us]"), v) for name, (p, v) in tables.items()], catalog()
    )


@dataclass(frozen=True, slots=True)
class Listener:
    """Says the mean of the path it is given, or 0; notes what it was shown."""

    name: str = "listener"
    targets: tuple[str, ...] = ("effr_iorb",)
    features: tuple[str, ...] = ("reserve_ratio",)
    needs: tuple[str, ...] = ("reserve_ratio",)
    sampled: bool = False

    def fit(self, design: Design, *, rng: np.random.Generator) -> FittedListener:
        SEEN.append(("design", design))
        return FittedListener(self, design)


@dataclass(frozen=True, slots=True)
class FittedListener:
    spec: Listener
    design: Design

    def predict(
        self, periods: pd.DatetimeIndex, *, scenario: Scenario | None = None, n_draws: int, rng: np.random.Generator
    ) -> PredictiveDistribution:
        SEEN.append(("scenario", scenario))
        values = 1e-3 * rng.standard_normal((n_draws, len(periods), 1))
        if scenario is not None:
            values = values + scenario.path(self.spec.needs[0], periods, n_draws)[:, :, None]
        return PredictiveDistribution(values, periods, ("effr_iorb",), self.design.units)


def plan(*entries: ModelEntry, **changes: Any) -> BacktestPlan:
    thursdays = pd.date_range("2019-01-03 17:00", periods=6, freq="7D", tz=NEW_YORK)
    asked = BacktestPlan(
        "toys", ("effr_iorb",), entries, entries[0].label, tuple(thursdays), horizons=(1, 4), n_draws=40,
        minimum_history={"default": 52}, conditioning=("projected",), projection=ModelEntry("[projection]", "drift"),
    )  # fmt: skip
    return replace(asked, **changes)


@pytest.fixture(autouse=True)
def toys(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Registered models, but for the listener."""

    def make(name: str, options: Mapping[str, Any], where: str) -> Any:
        return Listener(**options) if name == "listener" else create(name, options, where=where)

    monkeypatch.setenv("FORECAST_HOME", str(tmp_path))
    monkeypatch.setattr(run, "create", make)
    SEEN.clear()


def backtest(asked: BacktestPlan, data: Vintages | None = None, **options: Any) -> BacktestResult:
    return run.run_backtest(asked, **{"vintages": data or vintages(), "workers": 1, **options})


def scenarios() -> list[Scenario]:
    return [seen for what, seen in SEEN if what == "scenario" and seen is not None]


LISTENER = ModelEntry("listener", "listener")


# --------------------------------------------------------------------------- projected


def test_the_ensemble_begins_with_the_first_week_that_is_missing_and_ends_with_the_last_asked() -> None:
    result = backtest(plan(LISTENER))
    assert set(result.cells["status"]) == {"ok"}
    for origin, scenario in zip(plan(LISTENER).origins, scenarios(), strict=True):
        ratio = FeatureSet(("reserve_ratio",)).build(vintages().as_of(origin)).targets["reserve_ratio"].dropna()
        assert scenario.periods[0] == ratio.index[-1] + pd.Timedelta(weeks=1), "bank assets come out nine days later"
        assert scenario.periods[0] <= origin.tz_localize(None), "a week that is over and not yet published"
        assert scenario.periods[-1] == future_weeks(pd.Timestamp(origin.date()) - pd.Timedelta(days=1), 4)[-1]
        assert scenario.values.shape == (40, len(scenario.periods), 1)


@pytest.mark.parametrize("name", ["drift", "ar"])
def test_the_ensemble_is_that_of_the_projecting_model_on_what_was_known(name: str) -> None:
    asked = plan(LISTENER, projection=ModelEntry("[projection]", name))
    backtest(asked)
    scenario, origin = scenarios()[2], asked.origins[2]
    full = FeatureSet(("effr_iorb",), ("reserve_ratio",)).build(vintages().as_of(origin), ahead=4)
    known = full.features["reserve_ratio"].dropna()
    design = sub_design(replace(full, targets=known.to_frame()), ("reserve_ratio",), (), asked)
    fitted = create(name).fit(design, rng=np.random.default_rng(0))
    mine = fitted.predict(scenario.periods, n_draws=4000, rng=np.random.default_rng(1)).values[:, :, 0]
    error = mine.std(axis=0) * np.sqrt(1 / 40 + 1 / 4000)
    assert (np.abs(scenario.values[:, :, 0].mean(axis=0) - mine.mean(axis=0)) < 4 * error).all()


def test_draw_i_uses_path_i() -> None:
    result = backtest(plan(LISTENER))
    means = result.forecasts.pivot_table(index="origin", columns="horizon", values="mean")
    for row, scenario in zip(means.to_numpy(), scenarios(), strict=True):
        np.testing.assert_allclose(row, scenario.values[:, -4:, 0].mean(axis=0), atol=1e-3)


def test_what_is_projected_does_not_depend_on_who_asks_or_which_conditionings_there_are() -> None:
    alone = backtest(plan(LISTENER))
    twin = ModelEntry("twin", "listener", {"name": "twin"})
    walk = ModelEntry("walk", "random_walk")
    both = backtest(plan(walk, twin, LISTENER, conditioning=("none", "projected", "realised")))
    mine = both.cells.query("model == 'listener' and conditioning == 'projected'")
    assert list(mine["content"]) == list(alone.cells["content"])
    at_one_origin = [s for s in scenarios() if s.name == "projected"][-2:]
    np.testing.assert_array_equal(at_one_origin[0].values, at_one_origin[1].values)
    assert "projected" not in set(both.cells.query("model == 'walk'")["conditioning"]), "it needs nothing"


def test_a_projection_does_not_see_what_is_published_later() -> None:
    backtest(plan(LISTENER))
    before = scenarios()
    SEEN.clear()
    # Bank assets of the week to 2019-01-16 come out on the 25th: the first three origins cannot know of a change in it.
    backtest(plan(LISTENER), vintages("2019-01-10", bump=500.0))
    same = [np.array_equal(one.values, other.values) for one, other in zip(before, scenarios(), strict=True)]
    assert same[:3] == [True, True, True]
    assert same[-1] is False


def test_given_targets_are_not_scored() -> None:
    asked = plan(LISTENER, targets=("effr_iorb", "reserve_ratio"))
    whole = backtest(replace(asked, models=(ModelEntry("listener", "listener", {"targets": ()}),)))
    assert set(whole.scorecard.table["target"]) == {"effr_iorb"}


def test_a_need_that_is_short_of_history_is_not_asked() -> None:
    asked = plan(LISTENER, ModelEntry("ar", "ar"), conditioning=("none", "projected"), benchmark="ar")
    cells = backtest(replace(asked, minimum_history={"default": 52, "reserve_ratio": 156})).cells
    mine = cells[cells["conditioning"] == "projected"]
    # 156 weeks from 2016-01-13 end with 2019-01-02, whose bank assets come out on 2019-01-11.
    assert mine["origin"].min() == pd.Timestamp("2019-01-17 17:00", tz=NEW_YORK)


@dataclass(frozen=True, slots=True)
class Tired(Listener):
    def fit(self, design: Design, *, rng: np.random.Generator) -> FittedListener:
        raise ShortHistoryError("not enough")


def test_a_projection_that_fails_is_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    made = {"listener": Listener(), "drift": Tired(targets=(), features=(), needs=()), "ar": create("ar")}
    monkeypatch.setattr(run, "create", lambda name, options, where: made[name])
    asked = plan(ModelEntry("ar", "ar"), LISTENER, conditioning=("none", "projected"))
    mine = backtest(asked).cells.query("model == 'listener' and conditioning == 'projected'")
    assert set(mine["status"]) == {"failed"}
    assert set(mine["reason"]) == {"ShortHistoryError: projection by 'drift': not enough"}


def test_a_projecting_model_must_stand_on_its_own() -> None:
    with pytest.raises(UsageError, match=r"\[projection\].*reserve_ratio.*by itself"):
        backtest(plan(LISTENER, projection=ModelEntry("[projection]", "listener")))
    narrow = ModelEntry("[projection]", "ar", {"targets": ["effr_iorb"]})
    with pytest.raises(UsageError, match=r"\[projection\].*reserve_ratio.*by itself"):
        backtest(plan(LISTENER, projection=narrow))


def test_a_changed_projection_computes_projected_cells_and_no_others() -> None:
    asked = plan(LISTENER, conditioning=("none", "projected"))
    backtest(asked, run_id="kept")
    SEEN.clear()
    backtest(replace(asked, projection=ModelEntry("[projection]", "drift", {"weeks": 26})), run_id="kept")
    assert len(scenarios()) == 6
    assert sum(what == "scenario" for what, _ in SEEN) == 6, "those under 'none' were there"


PLAN = """
title = "A plan"
targets = ["effr_iorb"]
benchmark = "ar"
conditioning = ["none", "projected"]
[origins]
first = "2019-01-01"
last = "2019-03-31"
[projection]
model = "drift"
weeks = 26
[models.ar]
[models.ridge]
model = "direct_regression"
inputs_from = ["ar"]
features = ["ar_effr_iorb_h1"]
"""


def test_a_plan_names_its_projection_and_its_inputs_and_survives_storage() -> None:
    asked = parse_plan(PLAN, where="plan.toml")
    assert asked.projection == ModelEntry("[projection]", "drift", {"weeks": 26})
    assert asked.models[1].inputs_from == ("ar",)
    assert plan_from_json(plan_to_json(asked)) == asked


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (('[projection]\nmodel = "drift"\nweeks = 26\n', ""), r"needs a table \[projection\]"),
        (('inputs_from = ["ar"]', 'inputs_from = ["arr"]'), r"\[models.ridge\]: inputs_from = 'arr'.*ar, ridge"),
        (("[models.ar]", '[models.ar]\nconditioning = ["projected"]'), "inputs_from = 'ar'"),
        (("[models.ar]", '[models.ar]\ninputs_from = ["ridge"]'), "circle among ar, ridge"),
        (('inputs_from = ["ar"]', 'inputs_from = "ar"'), "list of names"),
        (('model = "drift"\n', ""), "'model' is missing"),
    ],
)
def test_a_mistake_in_what_models_take_from_each_other_is_named(change: tuple[str, str], said: str) -> None:
    assert change[0] in PLAN
    with pytest.raises(PlanError, match=said):
        parse_plan(PLAN.replace(change[0], change[1], 1), where="plan.toml")


# --------------------------------------------------------------------------- answers of other models


@dataclass(frozen=True, slots=True)
class Reader(Listener):
    """Notes the design it is shown."""

    targets: tuple[str, ...] = ()
    features: tuple[str, ...] = ("giver_effr_iorb_h1", "giver_effr_iorb_h4")
    needs: tuple[str, ...] = ()


GIVER = ModelEntry("giver", "ar", {"lags": 2})
READER = ModelEntry("reader", "reader", inputs_from=("giver",))


@pytest.fixture
def reader(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        run, "create", lambda name, options, where: Reader(**options) if name == "reader" else create(name, options)
    )


def readers_plan(**changes: Any) -> BacktestPlan:
    asked = plan(READER, GIVER, conditioning=("none",), projection=None, benchmark="giver")
    history = {"default": 52, "giver_effr_iorb_h1": 2, "giver_effr_iorb_h4": 2}
    return replace(asked, minimum_history=history, **changes)


def shown() -> list[Design]:
    return [design for what, design in SEEN if what == "design"]


@pytest.mark.usefixtures("reader")
def test_a_model_sees_what_another_said_at_each_origin_up_to_now() -> None:
    result = backtest(readers_plan())
    assert set(result.cells["status"]) == {"ok"}
    said = result.forecasts.query("model == 'giver'").pivot_table(index="origin", columns="horizon", values="mean")
    assert len(shown()) == 5, "two answers are needed"
    for n, design in enumerate(shown(), start=2):
        for h in (1, 4):
            column = design.features[f"giver_effr_iorb_h{h}"].iloc[: len(design.targets)]
            np.testing.assert_array_equal(column.iloc[-n:].to_numpy(), said[h].to_numpy()[:n])
            assert column.iloc[:-n].isna().all()
            assert column.index[-1] == said.index[n - 1].tz_localize(None).normalize() - pd.Timedelta(days=1)
        assert design.features["giver_effr_iorb_h1"].iloc[len(design.targets) :].isna().all(), "its future is unknown"
        assert design.units["giver_effr_iorb_h1"].name == "bp"
        assert "giver_effr_iorb_h1" not in design.known_ahead


@pytest.mark.usefixtures("reader")
def test_a_model_never_sees_what_another_says_later() -> None:
    backtest(readers_plan())
    before = shown()
    SEEN.clear()
    # The giver's answers change from 2019-01-24 on, because rates do that are published from the 18th on.
    changed = vintages()
    table = changed.observations
    late = (table["series"] == "effr") & (table["period"] > pd.Timestamp("2019-01-17"))
    poisoned = Vintages(table.assign(value=table["value"].where(~late, 9.0)), changed.catalog)
    backtest(readers_plan(), poisoned)
    same = [one.features.equals(other.features) for one, other in zip(before, shown(), strict=True)]
    # The five designs are those of 2019-01-10, 17, 24, 31 and 2019-02-07.
    assert same == [True, True, False, False, False]


@pytest.mark.usefixtures("reader")
def test_answers_are_those_of_the_cells_and_not_of_a_new_estimate(monkeypatch: pytest.MonkeyPatch) -> None:
    backtest(readers_plan(), run_id="kept")
    before = shown()
    SEEN.clear()
    monkeypatch.setattr("forecast.backtest.schedule.inputs_used", _with_another_key(inputs_used))
    backtest(readers_plan(), run_id="kept")
    assert [one.features.equals(other.features) for one, other in zip(before, shown(), strict=True)] == [True] * 5


def _with_another_key(used: Any) -> Any:
    """So that the reader's stored cells do not fit and it is asked again, while the giver's are read from disk."""

    def twice(plan: Any, entry: Any, model: Any) -> Any:
        names = used(plan, entry, model)
        return dict(reversed(names.items()))

    return twice


@pytest.mark.usefixtures("reader")
def test_a_change_of_the_giver_computes_the_reader_again() -> None:
    backtest(readers_plan(), run_id="kept")
    SEEN.clear()
    backtest(readers_plan(), run_id="kept")
    assert shown() == []
    backtest(readers_plan(models=(READER, replace(GIVER, options={"lags": 3}))), run_id="kept")
    assert len(shown()) == 5


@pytest.mark.usefixtures("reader")
def test_resuming_and_workers_do_not_change_a_reader() -> None:
    one = backtest(readers_plan(), run_id="one")
    again = backtest(readers_plan(), run_id="one")
    two = backtest(readers_plan(), run_id="two", workers=2)
    assert one.about["content"] == again.about["content"] == two.about["content"]


def test_a_registered_model_learns_from_another() -> None:
    long = tuple(pd.date_range("2017-06-01 17:00", periods=90, freq="7D", tz=NEW_YORK))
    ridge = ModelEntry(
        "ridge", "direct_regression", {"features": ["giver_effr_iorb_h1"], "steps": [1, 4]}, inputs_from=("giver",)
    )
    asked = replace(readers_plan(), models=(GIVER, ridge), origins=long, minimum_history={"default": 60})
    cells = backtest(asked).cells
    assert set(cells["status"]) == {"ok"}
    mine = cells[cells["model"] == "ridge"]
    assert len(mine) == 90 - 59, "asked from the sixtieth answer on"


def answers() -> Answers:
    origins = pd.date_range("2019-01-03 17:00", periods=3, freq="14D", tz=NEW_YORK)
    weeks = pd.date_range("2019-01-02", periods=3, freq="14D", unit="us").to_numpy()
    return Answers(origins.as_unit("ns").asi8, weeks, np.array([1.0, 2.0, 3.0]), UNITS["bp"])


@pytest.mark.parametrize(
    ("origin", "column"),
    [
        ("2019-01-03 16:59", [None] * 6),
        ("2019-01-03 17:00", [None, 1, 1, 1, 1, 1]),
        ("2019-01-17 16:59", [None, 1, 1, 1, 1, 1]),
        ("2019-01-17 17:00", [None, 1, 1, 2, 2, 2]),
        ("2019-02-28 17:00", [None, 1, 1, 2, 2, 3]),
    ],
)
def test_an_answer_stands_from_the_week_before_its_origin_until_the_next(origin: str, column: list[Any]) -> None:
    weeks = pd.date_range("2018-12-26", periods=6, freq="7D", unit="us")
    found = answers().column(weeks, pd.Timestamp(origin, tz=NEW_YORK))
    np.testing.assert_array_equal(found, np.array(column, dtype=float))


def test_cells_without_a_forecast_and_conditional_ones_give_no_answer() -> None:
    at, quantiles = pd.Timestamp("2019-01-03 17:00", tz=NEW_YORK), np.arange(24.0).reshape(12, 2, 1)
    good = Cell("giver", "none", at, targets=("effr_iorb",), quantiles=quantiles)
    others = [
        replace(good, status="degraded", origin=at + pd.Timedelta(weeks=1), quantiles=None),
        replace(good, conditioning="realised", origin=at + pd.Timedelta(weeks=2)),
        replace(good, targets=("yield_2y",), origin=at + pd.Timedelta(weeks=3)),
    ]
    wanted = {"giver_effr_iorb_h2": ("giver", "effr_iorb", 2), "giver_effr_iorb_h3": ("giver", "effr_iorb", 3)}
    found = answers_for(wanted, [*others, good], {"effr_iorb": UNITS["bp"]})
    np.testing.assert_array_equal(found["giver_effr_iorb_h2"].values, [23.0])
    assert len(found["giver_effr_iorb_h3"].values) == 0, "it did not look so far ahead"


def test_a_list_of_givers_without_use_is_refused_with_an_example() -> None:
    entry = ModelEntry("reader", "ar", inputs_from=("giver",))
    with pytest.raises(UsageError, match=r"\[models.reader\].*'giver_effr_iorb_h1'"):
        inputs_used(readers_plan(), entry, create("ar"))


def test_a_model_that_needs_the_future_of_an_answer_is_refused() -> None:
    entry = ModelEntry("reader", "arx", inputs_from=("giver",))
    with pytest.raises(UsageError, match=r"needs the future of giver_effr_iorb_h1.*direct_regression"):
        inputs_used(readers_plan(), entry, create("arx", {"features": ["giver_effr_iorb_h1"]}))


def test_givers_run_before_those_that_listen() -> None:
    chain = (
        ModelEntry("c", "ar", inputs_from=("b",)),
        ModelEntry("b", "ar", inputs_from=("a",)),
        ModelEntry("a", "ar"),
    )
    ordered = stages(replace(readers_plan(), models=(*chain, ModelEntry("d", "ar"))))
    assert [[entry.label for entry in stage] for stage in ordered] == [["a", "d"], ["b"], ["c"]]


def test_a_runner_alone_answers_as_the_backtest_does() -> None:
    asked = plan(LISTENER)
    result = backtest(asked)
    realised = FeatureSet(("effr_iorb",), ("reserve_ratio",)).build(vintages().first_release())
    runner = CellRunner(asked, {"listener": Listener()}, realised, create("drift"))
    origin = asked.origins[1]
    design = FeatureSet(("effr_iorb",), ("reserve_ratio",)).build(vintages().as_of(origin), ahead=4)
    cell = runner.run(LISTENER, "projected", origin, design)
    assert cell is not None
    assert cell.content == result.cells["content"].iloc[1]
    (draft,) = Replay(runner).drafts(origin, design, [(LISTENER, "none")])
    assert draft.forecast is not None
