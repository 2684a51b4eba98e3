"""What the harness itself costs: 520 expanding weekly origins, 13 weeks ahead, a model that does nothing.

Ours cuts the vintages, builds the design, asks the model, scores draws against outcomes and stores the run. The peers hold one
array, whose past is never revised, and return point forecasts (sktime and skforecast with one error measure).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

import numpy as np
import pandas as pd
import pytest

from forecast.backtest import run
from forecast.backtest.plan import BacktestPlan, parse_plan
from forecast.calendar import NEW_YORK
from forecast.features.feature_set import Design, FeatureSet
from forecast.predictive import PredictiveDistribution
from forecast.scenario import Scenario

MICROSECOND = 1e-6
ORIGINS, WEEKS = 520, 13
PLAN = """
title = "What the harness costs"
data = "synthetic"
targets = ["yield_10y"]
benchmark = "last_value"
horizons = [1, 4, 13]
n_draws = 2

[origins]
first = "2015-01-01"
last = "2015-01-01"

[models.last_value]
"""


@dataclass(frozen=True, slots=True)
class LastValue:
    """The last value, twice, for ever: as little as a model can do."""

    name: str = "last_value"
    targets: tuple[str, ...] = ()
    features: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    sampled: bool = False

    def fit(self, design: Design, *, rng: np.random.Generator) -> FittedLastValue:
        return FittedLastValue(design)


@dataclass(frozen=True, slots=True, eq=False)
class FittedLastValue:
    design: Design

    def predict(
        self, periods: pd.DatetimeIndex, *, scenario: Scenario | None = None, n_draws: int, rng: np.random.Generator
    ) -> PredictiveDistribution:
        table = self.design.target_table
        last = table.values[np.isfinite(table.values[:, 0])][-1]
        return PredictiveDistribution(
            np.tile(last, (n_draws, len(periods), 1)), periods, table.names, self.design.units
        )


def plan_of(design: Design) -> BacktestPlan:
    """The Thursdays after the last 520 weeks whose following 13 weeks are known."""
    thursdays = pd.DatetimeIndex(design.targets.index[-ORIGINS - WEEKS : -WEEKS]) + pd.Timedelta(days=1, hours=17)
    return replace(parse_plan(PLAN, where="the speed of the harness"), origins=tuple(thursdays.tz_localize(NEW_YORK)))


def microseconds(work: Callable[[], Any], rounds: int = 3) -> float:
    """Microseconds an origin of the fastest of some rounds."""
    best = float("inf")
    for _ in range(rounds):
        started = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - started)
    return best / ORIGINS / MICROSECOND


def test_the_harness_around_a_trivial_model(
    benchmark: Any, row: Any, task: Any, peers: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "create", lambda *_, **__: LastValue())
    plan = plan_of(task.design)
    features = FeatureSet(plan.targets)
    vintages, rounds = task.vintages.only(["treasury_10y"]), count()

    def backtest() -> Any:
        # A run of its own each time: one that exists would be resumed.
        return run.run_backtest(plan, vintages=vintages, workers=1, run_id=f"harness-{next(rounds)}")

    result = benchmark.pedantic(backtest, rounds=5, warmup_rounds=1)
    assert len(result.cells) == ORIGINS
    assert set(result.cells["status"]) == {"ok"}
    total = benchmark.stats.stats.min / ORIGINS / MICROSECOND
    cut = microseconds(lambda: [vintages.as_of(origin).series("treasury_10y") for origin in plan.origins])
    built = microseconds(lambda: [features.build(vintages.as_of(o), ahead=WEEKS) for o in plan.origins])
    overhead, theirs = total - cut, peers.per_origin("trivial")
    row(
        "harness around a trivial model, on top of cutting the vintage",
        overhead,
        "µs an origin",
        target="≤ 50 µs",
        holds=overhead <= 50,
        peers=theirs,
        note="total, storing included, less cutting; peers hold one array and have neither vintages nor draws to score",
    )
    row("of which building the design", built - cut, "µs an origin", note="targets by reserve week, as pandas")
    row("cutting the vintage", cut, "µs an origin", note="one daily series, as pandas")
    row("the same backtest in all", total, "µs an origin", peers=theirs)
