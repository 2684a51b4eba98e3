"""Models at consecutive origins in one process: what cells share, and what is carried on."""

from __future__ import annotations

import traceback
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import perf_counter

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.backtest.cells import (
    NOT_ASKED,
    Cell,
    candidates,
    cell_naming,
    cell_rng,
    first_row,
    last_complete_week,
    long_enough,
    nanoseconds,
    realised_scenario,
    sub_design,
    weeks_known,
    words_of,
)
from forecast.backtest.drafts import Draft, not_asked, settle
from forecast.backtest.model_inputs import Answers
from forecast.backtest.plan import BacktestPlan, ModelEntry
from forecast.errors import DiagnosticsError, ForecastError, ModelError, NeedsScenarioError
from forecast.features.feature_set import Design
from forecast.model import FittedModel, Model, Updatable, is_updatable
from forecast.predictive import PredictiveDistribution
from forecast.scenario import Scenario

type Array = NDArray[np.float64]
type Pair = tuple[ModelEntry, str]  # a model and a conditioning

_TRACEBACK = 5
# What depends on where a cell ran, and when, beside the data, the code and the seed that name it.
_MACHINE = (MemoryError, OSError, ImportError)


@dataclass(frozen=True, slots=True, eq=False)
class CellRunner:
    """Everything cells share.

    models     : by label
    realised   : targets of the plan and features that any model needs, from the outcome vintage
    projection : the model that draws the ensemble for conditioning "projected"
    answers    : what models said at past origins, by the name of the feature that it is for others
    """

    plan: BacktestPlan
    models: Mapping[str, Model]
    realised: Design
    projection: Model | None = None
    answers: Mapping[str, Answers] = field(default_factory=dict)

    def run(self, entry: ModelEntry, conditioning: str, origin: pd.Timestamp, full: Design) -> Cell | None:
        """One cell by itself; None if the model is not asked here."""
        (cell,) = settle(self.plan, self.realised, list(Replay(self).drafts(origin, full, [(entry, conditioning)])))
        return None if cell.status == NOT_ASKED else cell


@dataclass(frozen=True, slots=True, eq=False)
class _Fit:
    """A fit at an origin (nanoseconds since 1970), or why there is none."""

    origin: int
    fitted: FittedModel | None
    error: Exception | None = None


class _Here:
    """A design at one origin. Each part of it that models see is cut once."""

    def __init__(self, runner: CellRunner, origin: pd.Timestamp, full: Design) -> None:
        self.origin, self.full, self._runner = origin, full, runner
        self.nanoseconds = nanoseconds(origin)
        self.known = weeks_known(full, first_row(full.target_table.periods, runner.plan.window))
        self._parts: dict[tuple[tuple[str, ...], tuple[str, ...]], Design] = {}
        self._futures: dict[int, pd.DatetimeIndex] = {}
        self.ensembles: dict[tuple[str, ...], Scenario | None] = {}

    def future(self, weeks: int) -> pd.DatetimeIndex:
        """The first reserve weeks after the last one over."""
        if weeks not in self._futures:
            self._futures[weeks] = self.full.future(weeks)
        return self._futures[weeks]

    def part(self, targets: tuple[str, ...], features: tuple[str, ...]) -> Design:
        """The columns that a model wants to see."""
        key = (targets, features)
        if key not in self._parts:
            self._parts[key] = sub_design(self._with_answers(features), targets, features, self._runner.plan)
        return self._parts[key]

    def answer(self, name: str) -> Array:
        """(T,) what another model had said by each week and by now."""
        return self._runner.answers[name].column(self.full.target_table.periods, self.origin)

    def _with_answers(self, features: tuple[str, ...]) -> Design:
        names = [name for name in features if name in self._runner.answers]
        if not names:
            return self.full
        ahead = np.full(len(self.full.feature_table.values) - len(self.full.target_table.values), np.nan)
        columns = {name: np.concatenate([self.answer(name), ahead]) for name in names}
        units = {name: self._runner.answers[name].unit for name in names}
        return replace(self.full, features=self.full.features.assign(**columns), units={**self.full.units, **units})


class Replay:
    """Models at consecutive origins.

    A fit does not depend on the conditioning and is made once an origin; an updatable model takes in the
    rows since the last origin instead. Cells do not depend on which others run here, or when.
    """

    def __init__(self, runner: CellRunner) -> None:
        self.runner = runner
        self._fits: dict[tuple[str, tuple[str, ...]], _Fit] = {}
        self._candidates: dict[tuple[str, str], tuple[str, ...]] = {}
        self._namings: dict[tuple[str, tuple[str, ...], str], tuple[str, str]] = {}

    def drafts(self, origin: pd.Timestamp, full: Design, asked: Iterable[Pair]) -> Iterator[Draft]:
        """One draft a model and conditioning.

        Parameters
        ----------
        full : design at the origin with everything that some model wants to see, built ahead to the last horizon
        """
        here = _Here(self.runner, origin, full)
        for entry, conditioning in asked:
            targets = self._asked(here, entry, conditioning)
            if targets:
                yield self._draft(here, entry, conditioning, targets)
            else:
                yield not_asked(entry, conditioning, origin)

    def _draft(self, here: _Here, entry: ModelEntry, conditioning: str, targets: tuple[str, ...]) -> Draft:
        model, plan, started = self.runner.models[entry.label], self.runner.plan, perf_counter()
        try:
            design, weeks, scenario = here.part(targets, model.features), max(plan.horizons), None
            if conditioning != "none":
                scenario = self._scenario(here, model.needs, design, conditioning)
                if scenario is None:
                    return not_asked(entry, conditioning, here.origin)
                weeks = int((scenario.periods > design.target_table.periods[-1]).sum())
            fitted = self._fitted(here, entry, model, design, targets)
            rng, periods = self._rng(entry, targets, conditioning, here.nanoseconds), here.future(weeks)
            forecast = fitted.predict(periods, scenario=scenario, n_draws=plan.n_draws, rng=rng)
            _expect(forecast, targets, periods, plan.n_draws)
        except Exception as error:  # noqa: BLE001  a cell that fails for any reason is a result, kept and shown
            told, seconds = _told(error), perf_counter() - started
            return Draft(
                Cell(entry.label, conditioning, here.origin, *told, seconds, targets, lasting=not of_the_machine(error))
            )
        seconds = perf_counter() - started
        cell = Cell(entry.label, conditioning, here.origin, seconds=seconds, targets=targets, periods=periods)
        return Draft(cell, forecast, rng.random((sum(h <= weeks for h in plan.horizons), len(targets))))

    def _asked(self, here: _Here, entry: ModelEntry, conditioning: str) -> tuple[str, ...]:
        """Targets that a model is asked for; none where it lacks history of what other models said."""
        model, plan, key = self.runner.models[entry.label], self.runner.plan, (entry.label, conditioning)
        if key not in self._candidates:
            useless = conditioning != "none" and not model.needs
            self._candidates[key] = () if useless else candidates(plan, model, conditioning)
        answers = [name for name in model.features if name in self.runner.answers] if entry.inputs_from else ()
        said = {name: int(np.isfinite(here.answer(name)).sum()) for name in answers}
        if len(long_enough(plan, tuple(said), said)) < len(said):
            return ()
        return long_enough(plan, self._candidates[key], here.known)

    def _rng(
        self, entry: ModelEntry, targets: tuple[str, ...], conditioning: str, origin: int | None
    ) -> np.random.Generator:
        key = (entry.label, targets, conditioning)
        if key not in self._namings:
            self._namings[key] = cell_naming(entry, targets, conditioning)
        return cell_rng(self.runner.plan.seed, words_of(self._namings[key], origin))

    # ----------------------------------------------------------------- fits

    def _fitted(
        self, here: _Here, entry: ModelEntry, model: Model, design: Design, targets: tuple[str, ...]
    ) -> FittedModel:
        """The fit of this origin: made before, brought up to date, or made now. Raises what stopped it."""
        key = (entry.label, targets)
        fit = self._fits.get(key)
        if fit is None or fit.origin != here.nanoseconds:
            rng = self._rng(entry, targets, "fit", None if is_updatable(model) else here.nanoseconds)
            self._fits[key] = fit = _fit(model, design, rng, here.nanoseconds, before=fit)
        if fit.fitted is None:
            raise fit.error or ModelError("no fit")
        return fit.fitted

    # ----------------------------------------------------------------- scenarios

    def _scenario(self, here: _Here, needs: tuple[str, ...], design: Design, conditioning: str) -> Scenario | None:
        if conditioning == "realised":
            return realised_scenario(needs, design, self.runner.realised, max(self.runner.plan.horizons))
        if needs not in here.ensembles:
            here.ensembles[needs] = self._projected(here, needs)
        return here.ensembles[needs]

    def _projected(self, here: _Here, needs: tuple[str, ...]) -> Scenario | None:
        """An ensemble of what is needed, drawn at this origin; None where its history is too short.

        The projecting model is shown what it projects as its targets, up to the last week in which all of them
        are known, so that its forecast begins with the first week that is missing. All models that need the
        same are given the same ensemble.

        Raises
        ------
        ForecastError : the projecting model fails
        """
        model, entry, plan, full = self.runner.projection, self.runner.plan.projection, self.runner.plan, here.full
        last = last_complete_week(needs, full)
        if model is None or entry is None or last is None:
            return None
        cut = replace(full, targets=full.features.iloc[: last + 1][list(needs)])
        if len(long_enough(plan, needs, weeks_known(cut, first_row(cut.target_table.periods, plan.window)))) < len(
            needs
        ):
            return None
        periods = cut.future(len(full.target_table.values) - last - 1 + max(plan.horizons))
        design = sub_design(cut, needs, model.features, plan)
        try:
            fitted = self._fitted(here, entry, model, design, needs)
            rng = self._rng(entry, needs, "projected", here.nanoseconds)
            forecast = fitted.predict(periods, n_draws=plan.n_draws, rng=rng)
        except ForecastError as error:
            raise type(error)(f"projection by {entry.name!r}: {error}") from error
        _expect(forecast, needs, periods, plan.n_draws)
        return Scenario("projected", forecast.values, periods, needs)


def _fit(model: Model, design: Design, rng: np.random.Generator, origin: int, *, before: _Fit | None) -> _Fit:
    """A fit at an origin, from the one before if the model can go on from it; an error is kept for every cell."""
    try:
        if is_updatable(model) and before is not None and isinstance(before.fitted, Updatable):
            return _Fit(origin, before.fitted.update(design))
        return _Fit(origin, model.fit(design, rng=rng))
    except Exception as error:  # noqa: BLE001  raised again where a cell wants this fit
        return _Fit(origin, None, error)


def _expect(forecast: PredictiveDistribution, targets: tuple[str, ...], periods: pd.DatetimeIndex, n: int) -> None:
    right_weeks = forecast.periods is periods or periods.equals(pd.DatetimeIndex(forecast.periods))
    if forecast.targets != targets or len(forecast.values) != n or not right_weeks:
        raise ModelError(
            f"{len(forecast.values)} draws of {forecast.targets} for {len(forecast.periods)} weeks came back; "
            f"{n} draws of {targets} for the {len(periods)} weeks from {periods[0]:%Y-%m-%d} were asked for."
        )


def of_the_machine(error: BaseException | None) -> bool:
    """Whether an error, or one that led to it, is one of memory, disk or installation: it may be gone the next time."""
    while error is not None:
        if isinstance(error, _MACHINE):
            return True
        error = error.__cause__ or error.__context__
    return False


def _told(error: Exception) -> tuple[str, str, str]:
    """Status, reason and, where the error was not raised on purpose, the calls that led to it."""
    if isinstance(error, NeedsScenarioError):
        return "refused", str(error), ""
    reason = f"{type(error).__name__}: {error}"
    if isinstance(error, ForecastError):
        return "degraded" if isinstance(error, DiagnosticsError) else "failed", reason, ""
    calls = traceback.extract_tb(error.__traceback__)[-_TRACEBACK:]
    return (
        "failed",
        reason,
        "\n".join(f"{Path(call.filename).name}:{call.lineno} in {call.name}: {call.line}" for call in calls),
    )
