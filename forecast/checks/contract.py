"""Does a model keep the contract of :mod:`forecast.model`? Checks to run on models of one's own.

    from forecast.checks.contract import check_contract

    check_contract(MyModel(), design)

Each check takes a :class:`Trial`, a model fitted once to a design, and raises
:class:`BrokenContractError` with what was expected and what came. A design for the checks
should look like real ones: a ragged edge, a series that begins late, a stretch without any change.
"""

from __future__ import annotations

import dataclasses
import pickle
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.errors import ForecastError, NeedsScenarioError, ShortHistoryError
from forecast.features.feature_set import Design
from forecast.model import FittedModel, Model
from forecast.predictive import PredictiveDistribution
from forecast.scenario import Scenario

_WEEKS, _DRAWS, _SEED = 6, 40, 20_070_809


class BrokenContractError(ForecastError):
    """A model does not do what the contract says; names the model, what was expected and what came."""


@dataclass(frozen=True, slots=True, eq=False)
class Trial:
    """A model fitted to a design.

    scenario : flat path of everything the model needs, None if it needs nothing
    """

    model: Model
    design: Design
    fitted: FittedModel
    scenario: Scenario | None

    def draw(
        self,
        *,
        fitted: FittedModel | None = None,
        design: Design | None = None,
        weeks: int = _WEEKS,
        n_draws: int = _DRAWS,
        seed: int = _SEED,
        shift: float = 0.0,
    ) -> PredictiveDistribution:
        """Predict, by default with the trial's fit, design and flat scenario.

        Parameters
        ----------
        shift : standard deviations by which every path of the scenario is moved
        """
        design = design or self.design
        return (fitted or self.fitted).predict(
            design.future(weeks),
            scenario=flat_scenario(self.model, design, weeks=weeks, shift=shift),
            n_draws=n_draws,
            rng=np.random.default_rng(seed),
        )

    def expect(self, holds: object, message: str) -> None:
        """Raise BrokenContractError unless something holds."""
        if not holds:
            raise BrokenContractError(f"{self.model.name}: {message}")


def trial(model: Model, design: Design) -> Trial:
    """Fit once for all checks."""
    fitted = model.fit(design, rng=np.random.default_rng(_SEED))
    return Trial(model, design, fitted, flat_scenario(model, design))


def flat_scenario(model: Model, design: Design, *, weeks: int = _WEEKS, shift: float = 0.0) -> Scenario | None:
    """The last published value of everything a model needs, from the first week in which one is missing.

    Parameters
    ----------
    shift : standard deviations of each feature by which its path is moved
    """
    if not model.needs:
        return None
    over = design.targets.index
    known = design.features.loc[over, list(model.needs)]
    first = len(over) - int(np.isfinite(known.to_numpy()).all(axis=1)[::-1].argmax())
    periods = pd.DatetimeIndex(over[first:].append(design.future(weeks)))
    level = known.ffill().iloc[-1].to_numpy() + shift * known.std().to_numpy()
    return Scenario("flat", np.tile(level, (1, len(periods), 1)), periods, model.needs)


def check_contract(model: Model, design: Design) -> None:
    """Run every check.

    Raises
    ------
    BrokenContractError : the first that fails
    """
    fitted = trial(model, design)
    for check in CHECKS:
        check(fitted)


# --------------------------------------------------------------------------- the specification


def check_properties(trial: Trial) -> None:
    """``name`` is text, ``targets``, ``features`` and ``needs`` are tuples of text, ``sampled`` is a bool."""
    model = trial.model
    trial.expect(isinstance(model.name, str) and model.name, f"name is {model.name!r}; expected text")
    for what in ("targets", "features", "needs"):
        value = getattr(model, what)
        texts = isinstance(value, tuple) and all(isinstance(item, str) for item in value)
        trial.expect(texts, f"{what} is {value!r}; expected a tuple of names")
    trial.expect(isinstance(model.sampled, bool), f"sampled is {model.sampled!r}; expected True or False")
    strangers = set(model.needs) - set(model.features)
    trial.expect(not strangers, f"needs {sorted(strangers)}, which are not among its features")


def check_frozen(trial: Trial) -> None:
    """A specification is a frozen dataclass: no field can be set."""
    model = trial.model
    frozen = dataclasses.is_dataclass(model) and type(model).__dataclass_params__.frozen
    trial.expect(frozen, "the specification is not a frozen dataclass")


def check_specification_pickles(trial: Trial) -> None:
    """A specification survives pickling, which is how it reaches worker processes."""
    again = pickle.loads(pickle.dumps(trial.model))  # noqa: S301  our own bytes
    trial.expect(repr(again) == repr(trial.model), f"pickling turned {trial.model!r} into {again!r}")


# --------------------------------------------------------------------------- the forecast


def check_shapes(trial: Trial) -> None:
    """Draws are draw x period x target over the design's targets, for the periods asked for."""
    forecast = trial.draw()
    targets = tuple(trial.design.targets.columns)
    shape = (_DRAWS, _WEEKS, len(targets))
    trial.expect(forecast.values.shape == shape, f"draws have shape {forecast.values.shape}; expected {shape}")
    trial.expect(forecast.targets == targets, f"forecast targets {forecast.targets}; the design has {targets}")
    expected = trial.design.future(_WEEKS)
    trial.expect(
        expected.equals(pd.DatetimeIndex(forecast.periods)), f"periods {forecast.periods}; expected {expected}"
    )


def check_units(trial: Trial) -> None:
    """Each target keeps its unit, and lies within a hundred times the range of its history."""
    forecast, design = trial.draw(), trial.design
    for k, target in enumerate(forecast.targets):
        unit = forecast.units.get(target)
        trial.expect(unit == design.units[target], f"unit of {target} is {unit}; expected {design.units[target]}")
        history = design.targets[target]
        reach = 100 * max(float(history.max() - history.min()), 1e-3 * float(history.abs().max()))
        away = float(np.abs(forecast.values[:, :, k] - history.dropna().iloc[-1]).max())
        trial.expect(away <= reach, f"{target} goes {away:g} {unit} away from its last value; is the unit right?")


def check_finite(trial: Trial) -> None:
    """No draw is missing or infinite."""
    trial.expect(np.isfinite(trial.draw().values).all(), "some draws are not finite")


def check_n_draws(trial: Trial) -> None:
    """As many draws as asked for, odd numbers and one included."""
    for n in (1, 7, 2 * _DRAWS + 1):
        found = len(trial.draw(n_draws=n).values)
        trial.expect(found == n, f"{found} draws instead of {n}")


def check_periods(trial: Trial) -> None:
    """As many weeks as asked for."""
    for weeks in (1, 2, 2 * _WEEKS + 1):
        found = trial.draw(weeks=weeks).values.shape[1]
        trial.expect(found == weeks, f"{found} weeks instead of {weeks}")


def check_seeds(trial: Trial) -> None:
    """The same generator gives the same draws, fit included; another gives others."""
    first = trial.draw().values
    trial.expect(_same(first, trial.draw().values), "predicting twice with the same seed gives different draws")
    again = trial.model.fit(trial.design, rng=np.random.default_rng(_SEED))
    trial.expect(
        _same(first, trial.draw(fitted=again).values), "fitting twice with the same seed gives different draws"
    )
    trial.expect(not _same(first, trial.draw(seed=_SEED + 1).values), "another seed gives the same draws")


def check_fit_pickles(trial: Trial) -> None:
    """A fitted model survives pickling with the same draws."""
    again = pickle.loads(pickle.dumps(trial.fitted))  # noqa: S301  our own bytes
    trial.expect(_same(trial.draw().values, trial.draw(fitted=again).values), "pickling changes the draws of the fit")


def check_design_unchanged(trial: Trial) -> None:
    """Fitting and predicting leave the design as it was."""
    design = _copy(trial.design)
    fitted = trial.model.fit(design, rng=np.random.default_rng(_SEED))
    trial.draw(fitted=fitted, design=design)
    same = design.targets.equals(trial.design.targets) and design.features.equals(trial.design.features)
    trial.expect(same, "the design was changed")


# --------------------------------------------------------------------------- scenarios


def check_missing_scenario(trial: Trial) -> None:
    """Without the future it needs, a model forecasts that itself or refuses with NeedsScenarioError."""
    if trial.scenario is None:
        return
    elsewhere = dataclasses.replace(trial.scenario, features=tuple(f"not_{name}" for name in trial.model.needs))
    for scenario in (None, elsewhere):
        try:
            forecast = trial.fitted.predict(
                trial.design.future(_WEEKS), scenario=scenario, n_draws=_DRAWS, rng=np.random.default_rng(_SEED)
            )
        except NeedsScenarioError:
            continue
        trial.expect(np.isfinite(forecast.values).all(), "draws without a scenario are not finite")


def check_scenario_honoured(trial: Trial) -> None:
    """Another path of a needed feature gives other draws."""
    if trial.scenario is None:
        return
    moved = trial.draw(shift=1.0).values
    trial.expect(not _same(trial.draw().values, moved), "moving the scenario by a standard deviation changes nothing")


# --------------------------------------------------------------------------- histories


def check_short_history(trial: Trial) -> None:
    """Three rows are refused with ShortHistoryError, whatever the model."""
    rows = trial.design.targets.notna().any(axis=1)
    first = int(rows.to_numpy().argmax())
    design = dataclasses.replace(
        trial.design,
        targets=trial.design.targets.iloc[first : first + 3],
        features=trial.design.features.iloc[first : first + 3 + 2 * _WEEKS],
    )
    try:
        trial.model.fit(design, rng=np.random.default_rng(_SEED))
    except ShortHistoryError:
        return
    trial.expect(holds=False, message="three rows of history are not refused with ShortHistoryError")


def check_constant_series(trial: Trial) -> None:
    """Targets that stand exactly still over the last third of history still give finite draws.

    Published rates are rounded to the basis point: a spread can be the same number for two years.
    """
    targets = trial.design.targets.copy()
    still = len(targets) * 2 // 3
    values = targets.ffill().iloc[still].to_numpy()
    targets.iloc[still:] = np.where(targets.iloc[still:].isna(), np.nan, values)
    _refit(trial, dataclasses.replace(trial.design, targets=targets), "targets that stand still")


def check_ragged_edge(trial: Trial) -> None:
    """Targets published two weeks late are bridged: draws are for the weeks asked for, and finite."""
    targets = trial.design.targets.copy()
    targets.iloc[-2:] = np.nan
    design = dataclasses.replace(trial.design, targets=targets)
    _refit(trial, design, "targets published two weeks late")


def _refit(trial: Trial, design: Design, what: str) -> None:
    fitted = trial.model.fit(design, rng=np.random.default_rng(_SEED))
    forecast = trial.draw(fitted=fitted, design=design)
    trial.expect(np.isfinite(forecast.values).all(), f"{what} give draws that are not finite")
    same = design.future(_WEEKS).equals(pd.DatetimeIndex(forecast.periods))
    trial.expect(same, f"{what} move the periods of the forecast")


def _same(a: NDArray[np.float64], b: NDArray[np.float64]) -> bool:
    return np.array_equal(a, b)


def _copy(design: Design) -> Design:
    return dataclasses.replace(design, targets=design.targets.copy(), features=design.features.copy())


CHECKS: tuple[Callable[[Trial], None], ...] = (
    check_properties,
    check_frozen,
    check_specification_pickles,
    check_shapes,
    check_units,
    check_finite,
    check_n_draws,
    check_periods,
    check_seeds,
    check_fit_pickles,
    check_design_unchanged,
    check_missing_scenario,
    check_scenario_honoured,
    check_short_history,
    check_constant_series,
    check_ragged_edge,
)
