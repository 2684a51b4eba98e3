"""One cell: one model at one origin under one conditioning. Its randomness, its forecast, its scores."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.backtest.plan import BacktestPlan, ModelEntry
from forecast.backtest.result import QUANTILES
from forecast.data.vintages import new_york
from forecast.errors import NeedsScenarioError
from forecast.evaluation.scores import score_cell
from forecast.features.feature_set import CalendarEffect, Design, find_feature
from forecast.model import Model
from forecast.predictive import PredictiveDistribution
from forecast.scenario import Scenario


@dataclass(frozen=True, slots=True, eq=False)
class Cell:
    """What one model said at one origin, and how it scored.

    status    : "ok", "failed" (kept with its reason) or "refused" (the model needs a scenario)
    quantiles : (Q, H, K) kept quantiles for every week up to the last horizon; the mean is last
    outcomes  : (H, K) what happened, missing where unknown
    scores    : name -> (h, K) at the plan's horizons
    content   : hash of the draws
    """

    model: str
    conditioning: str
    origin: pd.Timestamp
    status: str = "ok"
    reason: str = ""
    seconds: float = 0.0
    targets: tuple[str, ...] = ()
    periods: pd.DatetimeIndex | None = None
    quantiles: NDArray[np.float64] | None = None
    outcomes: NDArray[np.float64] | None = None
    scores: Mapping[str, NDArray[np.float64]] | None = None
    content: str = ""


def cell_words(entry: ModelEntry, targets: tuple[str, ...], conditioning: str, origin: pd.Timestamp) -> tuple[int, ...]:
    """Four 32-bit words that name a cell: 128 bits of BLAKE2b over canonical JSON.

    Randomness is keyed by what a cell is, never by the order in which cells run.
    """
    spec: dict[str, Any] = {
        "model": {"name": entry.name, "options": dict(entry.options)},
        "targets": list(targets),
        "conditioning": conditioning,
        "origin": int(new_york(origin).tz_convert("UTC").as_unit("us").value),
    }
    text = json.dumps(spec, sort_keys=True, separators=(",", ":"), default=repr)
    digest = hashlib.blake2b(text.encode(), digest_size=16).digest()
    return tuple(int(word) for word in np.frombuffer(digest, dtype="<u4"))


def cell_rng(seed: int, words: tuple[int, ...]) -> np.random.Generator:
    """The cell's own generator."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=words))


def asked_targets(plan: BacktestPlan, model: Model, design: Design, conditioning: str) -> tuple[str, ...]:
    """Targets the model is asked for here: named by it, long enough known, not given by the scenario."""
    given: set[str] = set()
    if conditioning != "none":
        given = {name for need in model.needs for name in _inputs(need)}
    return tuple(
        target
        for target in plan.targets
        if (not model.targets or target in model.targets)
        and int(design.targets[target].notna().sum()) >= plan.history_needed(target)
        and not (given and set(_inputs(target)) <= given)
    )


def _inputs(feature: str) -> tuple[str, ...]:
    item = find_feature(feature)
    return () if isinstance(item, CalendarEffect) else item.inputs


def sub_design(design: Design, targets: tuple[str, ...], features: tuple[str, ...], plan: BacktestPlan) -> Design:
    """The columns a model wants to see, in the plan's estimation window."""
    first = design.targets.index[0]
    if plan.window.start is not None:
        first = max(first, plan.window.start)
    if plan.window.weeks is not None:
        first = max(first, design.targets.index[-1] - pd.Timedelta(weeks=plan.window.weeks - 1))
    wanted = design.targets.loc[first:, list(targets)]
    known = wanted.notna().any(axis=1).to_numpy()
    start = wanted.index[int(known.argmax())] if known.any() else first
    return Design(
        targets=wanted.loc[start:],
        features=design.features.loc[start:, list(features)],
        units={name: design.units[name] for name in (*targets, *features)},
        known_ahead=design.known_ahead & set(features),
    )


def realised_scenario(needs: tuple[str, ...], design: Design, realised: Design, weeks: int) -> Scenario | None:
    """The paths that came true, from the first week that is missing in the design; None where none is known."""
    columns = realised.features.loc[:, list(needs)]
    complete_rows = design.features.loc[design.targets.index, list(needs)].dropna().index
    if complete_rows.empty:
        return None
    late = design.targets.index[design.targets.index > complete_rows[-1]]
    periods = late.append(design.future(weeks))
    values = columns.reindex(periods).to_numpy(dtype=float)
    complete = np.cumsum(np.isnan(values).any(axis=1)) == 0
    if complete.sum() <= len(late):
        return None
    return Scenario("realised", values[None, complete], periods[complete], needs)


@dataclass(frozen=True, slots=True, eq=False)
class CellRunner:
    """Everything cells share: the plan, the models by label, and what came true.

    realised : targets of the plan and features that any model needs, from the outcome vintage
    """

    plan: BacktestPlan
    models: Mapping[str, Model]
    realised: Design

    def run(self, entry: ModelEntry, conditioning: str, origin: pd.Timestamp, full: Design) -> Cell | None:
        """One cell; None if the model is not asked here."""
        model = self.models[entry.label]
        targets = asked_targets(self.plan, model, sub_design(full, self.plan.targets, (), self.plan), conditioning)
        if not targets or (conditioning != "none" and not model.needs):
            return None
        design = sub_design(full, targets, model.features, self.plan)
        weeks, scenario = max(self.plan.horizons), None
        if conditioning == "realised":
            scenario = realised_scenario(model.needs, design, self.realised, weeks)
            if scenario is None:
                return None
            weeks = int((scenario.periods > design.targets.index[-1]).sum())
        rng = cell_rng(self.plan.seed, cell_words(entry, targets, conditioning, origin))
        cell = Cell(entry.label, conditioning, origin, targets=targets)
        started = time.perf_counter()
        try:
            fitted = model.fit(design, rng=rng)
            forecast = fitted.predict(design.future(weeks), scenario=scenario, n_draws=self.plan.n_draws, rng=rng)
        except NeedsScenarioError as error:
            return replace(cell, status="refused", reason=str(error))
        except Exception as error:  # noqa: BLE001  a cell that fails for any reason is a result, kept and shown
            reason = f"{type(error).__name__}: {error}"
            return replace(cell, status="failed", reason=reason, seconds=time.perf_counter() - started)
        return self._scored(replace(cell, seconds=time.perf_counter() - started), forecast, rng)

    def _scored(self, cell: Cell, forecast: PredictiveDistribution, rng: np.random.Generator) -> Cell:
        outcomes = self.realised.targets.reindex(forecast.periods)[list(forecast.targets)].to_numpy(dtype=float)
        rows = [h - 1 for h in self.plan.horizons if h <= len(forecast.periods)]
        steps = np.array([self.plan.step_of(target) for target in forecast.targets])
        quantiles = np.quantile(forecast.values, QUANTILES, axis=0)
        return replace(
            cell,
            targets=forecast.targets,
            periods=forecast.periods,
            quantiles=np.concatenate([quantiles, forecast.values.mean(axis=0)[None]]),
            outcomes=outcomes,
            scores=score_cell(forecast.values[:, rows], outcomes[rows], steps, rng=rng),
            content=hashlib.sha256(np.ascontiguousarray(forecast.values).tobytes()).hexdigest(),
        )
