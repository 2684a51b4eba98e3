"""What a backtest is asked to do, read from TOML."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.backtest.plan_table import PlanTable, day_of
from forecast.calendar import NEW_YORK
from forecast.errors import PlanError

type Conditioning = Literal["none", "projected", "realised"]
type Outcome = Literal["first_release", "final"]
type Data = Literal["synthetic", "archive"]


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """One model of a plan.

    label   : how tables call it; unique in the plan
    name    : registered name
    options : passed to the model
    every   : asked at every n-th origin, counted from the first (slow models)
    conditioning : which of the plan's conditionings it is asked under; empty means all
    inputs_from  : labels of models whose unconditional answers at past origins are features of this one,
                   named label_target_hN: the predictive mean of a target N weeks ahead
    """

    label: str
    name: str
    options: Mapping[str, Any] = field(default_factory=dict)
    every: int = 1
    conditioning: tuple[Conditioning, ...] = ()
    inputs_from: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Window:
    """Rows an origin's estimation sample may use.

    start : no row before this day
    weeks : length of a rolling window; None expands from the start
    """

    start: pd.Timestamp | None = None
    weeks: int | None = None


@dataclass(frozen=True, slots=True)
class Regime:
    """A named stretch of origins, fixed in advance."""

    name: str
    first: pd.Timestamp
    last: pd.Timestamp


@dataclass(frozen=True, slots=True)
class BacktestPlan:
    """A backtest.

    title, question : for people
    data            : "synthetic" (embedded economy) or "archive" (imported series)
    synthetic       : options of the embedded economy
    targets         : registered features that are forecast and scored
    models          : what forecasts them
    benchmark       : label of the model that the others are compared with
    origins         : instants in New York time
    horizons        : h is the h-th reserve week that ends after the origin
    minimum_history : weeks of a target that must be known before it is asked for
    window          : expanding or rolling estimation sample
    conditioning    : "none": a model forecasts what it needs; "projected": it is given an ensemble that another
                      model draws at the same origin; "realised": it is given what came true
    projection      : the model that draws the ensemble for "projected"
    outcome         : "first_release" or "final"
    n_draws         : draws of each predictive distribution
    seed            : root of every cell's randomness
    regimes         : stretches of origins reported separately
    steps           : published step of a target in its own unit, for the log score
    thresholds      : levels of a target, in its own unit, whose exceedance is scored: Brier score and weighted CRPS
    """

    title: str
    targets: tuple[str, ...]
    models: tuple[ModelEntry, ...]
    benchmark: str
    origins: tuple[pd.Timestamp, ...]
    question: str = ""
    data: Data = "archive"
    synthetic: Mapping[str, Any] = field(default_factory=dict)
    horizons: tuple[int, ...] = (1, 4, 13, 26)
    minimum_history: Mapping[str, int] = field(default_factory=dict)
    window: Window = Window()
    conditioning: tuple[Conditioning, ...] = ("none",)
    projection: ModelEntry | None = None
    outcome: Outcome = "first_release"
    n_draws: int = 1000
    seed: int = 1
    regimes: tuple[Regime, ...] = ()
    steps: Mapping[str, float] = field(default_factory=dict)
    thresholds: Mapping[str, tuple[float, ...]] = field(default_factory=dict)

    def history_needed(self, target: str) -> int:
        """Weeks of a target that must be known before it is asked for."""
        return self.minimum_history.get(target, self.minimum_history.get("default", 104))

    def step_of(self, target: str) -> float:
        """Width of a published step in the target's unit; the log score integrates over it."""
        return self.steps.get(target, self.steps.get("default", 1.0))

    def thresholds_of(self, targets: tuple[str, ...]) -> dict[float, NDArray[np.bool_]]:
        """Every threshold of the plan with (K,): is it one of each target's?"""
        levels = sorted({level for mine in self.thresholds.values() for level in mine})
        return {level: np.array([level in self.thresholds.get(name, ()) for name in targets]) for level in levels}


def read_plan(path: Path) -> BacktestPlan:
    """Read a plan.

    Raises
    ------
    PlanError : names the file, the key and the fix
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise PlanError(f"{path}: cannot be read: {error.strerror}. Plans live in benchmarks/plans/.") from error
    except UnicodeDecodeError as error:
        raise PlanError(f"{path}: is not UTF-8 text: {error}.") from error
    return parse_plan(text, where=str(path))


def parse_plan(text: str, *, where: str) -> BacktestPlan:
    """Parse a plan's text; see :func:`read_plan`."""
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise PlanError(f"{where}: not valid TOML: {error}.") from error
    reader = PlanTable(raw, where)
    models = tuple(_models(reader.table("models", required=True)))
    plan = BacktestPlan(
        title=reader.text("title"),
        question=reader.text("question", ""),
        data=reader.choice("data", Data, "archive"),
        synthetic=reader.table("synthetic").rest(),
        targets=reader.texts("targets"),
        models=models,
        benchmark=reader.text("benchmark"),
        origins=_origins(reader.table("origins", required=True)),
        horizons=reader.integers("horizons", (1, 4, 13, 26)),
        minimum_history=_numbers(reader.table("minimum_history"), int),
        window=_window(reader.table("window")),
        conditioning=reader.choices("conditioning", Conditioning, ("none",)),
        projection=_projection(reader.table("projection")) if "projection" in raw else None,
        outcome=reader.choice("outcome", Outcome, "first_release"),
        n_draws=reader.integer("n_draws", 1000, least=2),
        seed=reader.integer("seed", 1, least=0),
        regimes=_regimes(reader.table("regimes")),
        steps=_numbers(reader.table("steps"), float),
        thresholds=_thresholds(reader.table("thresholds"), reader.texts("targets")),
    )
    reader.done()
    _check_names(plan, where)
    stages(plan, where=where)
    return plan


def _check_names(plan: BacktestPlan, where: str) -> None:
    labels = [entry.label for entry in plan.models]
    if plan.benchmark not in labels:
        raise PlanError(
            f"{where}: benchmark = {plan.benchmark!r} is not one of the plan's models: {', '.join(labels)}."
        )
    if "projected" in plan.conditioning and plan.projection is None:
        raise PlanError(f'{where}: conditioning "projected" needs a table [projection] with, say, model = "drift".')
    for entry in plan.models:
        for label in entry.inputs_from:
            giver = next((other for other in plan.models if other.label == label), None)
            if giver is None or "none" not in conditionings(plan, giver):
                raise PlanError(
                    f"{where}: [models.{entry.label}]: inputs_from = {label!r}; give labels of models that this "
                    f'plan asks under conditioning "none". It has: {", ".join(labels)}.'
                )


def conditionings(plan: BacktestPlan, entry: ModelEntry) -> tuple[Conditioning, ...]:
    """Which of the plan's conditionings a model is asked under, in the plan's order."""
    return tuple(name for name in plan.conditioning if name in (entry.conditioning or plan.conditioning))


def stages(plan: BacktestPlan, *, where: str = "the plan") -> tuple[tuple[ModelEntry, ...], ...]:
    """Models in the order in which they can run: each stage takes inputs only from those before it.

    Raises
    ------
    PlanError : models take inputs from each other in a circle
    """
    waiting, ready, found = list(plan.models), set[str](), list[tuple[ModelEntry, ...]]()
    while waiting:
        stage = tuple(entry for entry in waiting if ready.issuperset(entry.inputs_from))
        if not stage:
            circle = ", ".join(entry.label for entry in waiting)
            raise PlanError(f"{where}: inputs_from goes round in a circle among {circle}. Drop one of them.")
        found.append(stage)
        ready.update(entry.label for entry in stage)
        waiting = [entry for entry in waiting if entry.label not in ready]
    return tuple(found)


def _projection(table: PlanTable) -> ModelEntry:
    return ModelEntry("[projection]", table.text("model"), table.rest())


def _models(table: PlanTable) -> Iterable[ModelEntry]:
    for label in table.raw:
        entry = table.table(label)
        yield ModelEntry(
            label,
            entry.text("model", label),
            every=entry.integer("every", 1),
            conditioning=entry.choices("conditioning", Conditioning, ()) if "conditioning" in entry.raw else (),
            inputs_from=entry.texts("inputs_from") if "inputs_from" in entry.raw else (),
            options=entry.rest(),
        )
    if not table.raw:
        raise PlanError(f"{table.where}: no models. Add at least a table [models.random_walk].")


def _origins(table: PlanTable) -> tuple[pd.Timestamp, ...]:
    first, last = table.day("first"), table.day("last")
    every, time = table.integer("every", 1), table.text("time", "17:00")
    weekday = table.choice("weekday", _Weekday, "thursday")
    table.done()
    try:
        clock = pd.Timedelta(f"{time}:00")
    except ValueError as error:
        raise PlanError(f"{table.where}: time = {time!r} is not a time of day such as '17:00'.") from error
    anchors = pd.date_range(first, last, freq=f"W-{weekday[:3].upper()}")[::every]
    if anchors.empty:
        raise PlanError(f"{table.where}: no {weekday} between first = {first:%Y-%m-%d} and last = {last:%Y-%m-%d}.")
    return tuple((day + clock).tz_localize(NEW_YORK) for day in anchors)


type _Weekday = Literal["monday", "tuesday", "wednesday", "thursday", "friday"]


def _window(table: PlanTable) -> Window:
    start = table.day("start") if "start" in table.raw else None
    weeks = table.integer("weeks", 520) if "weeks" in table.raw else None
    table.done()
    return Window(start, weeks)


def _regimes(table: PlanTable) -> tuple[Regime, ...]:
    regimes = []
    for name in table.raw:
        bounds = table.texts(name)
        if len(bounds) != 2:
            raise PlanError(f"{table.where}: {name} = {list(bounds)}; give [first day, last day].")
        regimes.append(Regime(name, *(day_of(bound, f"{table.where}: {name}") for bound in bounds)))
    return tuple(regimes)


def _thresholds(table: PlanTable, targets: tuple[str, ...]) -> dict[str, tuple[float, ...]]:
    thresholds = {}
    for target, values in table.rest().items():
        if target not in targets:
            raise PlanError(f"{table.where}: {target!r} is not one of the plan's targets: {', '.join(targets)}.")
        good = isinstance(values, list) and all(type(value) in (int, float) for value in values)
        if not good or not values or sorted(set(values)) != values or not all(map(math.isfinite, values)):
            raise PlanError(f"{table.where}: {target} = {values!r}; give rising numbers such as [0.0, 5.0].")
        thresholds[target] = tuple(map(float, values))
    return thresholds


def _numbers[N: (int, float)](table: PlanTable, kind: type[N]) -> dict[str, N]:
    numbers = {}
    for key, value in table.rest().items():
        if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0 or kind(value) != value:
            raise PlanError(f"{table.where}: {key} = {value!r}; give a positive {kind.__name__}.")
        numbers[key] = kind(value)
    return numbers
