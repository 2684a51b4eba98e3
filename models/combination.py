"""Combination of models: a linear pool, in which each member says its part with equal weight.

    p(y) = (1 / M) sum_m p_m(y)

Each member gives an equal share of the draws, whole joint paths, so that the pool's paths are as dependent over time and targets as
its members' are. Equal weights are hard to beat: estimated ones are noise unless members differ much. The pool is wider than
its members where they disagree, which is what disagreement means.

References
----------
Stone (1961), Annals of Mathematical Statistics 32; Geweke and Amisano (2011), Journal of Econometrics 164; Clemen (1989),
International Journal of Forecasting 5, on equal weights.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.errors import ForecastError, ModelError
from forecast.features.feature_set import Design
from forecast.model import FittedModel, Model, Updatable, is_updatable
from forecast.predictive import PredictiveDistribution
from forecast.registry import create
from forecast.scenario import Scenario


@dataclass(frozen=True, slots=True)
class LinearPool:
    """Equal shares of registered models.

    A member that fails for an origin fails the pool there, by name: a pool of those that happened to work would be another
    model at every origin. A pool takes in new rows without starting again if all its members can.

    members : names of models, or tables of one with its options: {model = "ar", lags = 2}
    models  : specifications of the members
    """

    members: tuple[str | Mapping[str, Any], ...] = ("random_walk", "ar")
    models: tuple[Model, ...] = field(init=False, repr=False, compare=False)
    name: ClassVar[str] = "linear_pool"

    def __post_init__(self) -> None:
        if len(self.members) < 2:
            raise ValueError(f"members = {list(self.members)}; give at least two models")
        object.__setattr__(self, "models", tuple(_specification(member) for member in self.members))

    @property
    def targets(self) -> tuple[str, ...]:
        """Those that all members can forecast, in the order of the first that names any; empty if none names any."""
        named = [model.targets for model in self.models if model.targets]
        return tuple(target for target in named[0] if all(target in each for each in named)) if named else ()

    @property
    def features(self) -> tuple[str, ...]:
        """Those of all members."""
        return self._all(lambda model: model.features)

    @property
    def needs(self) -> tuple[str, ...]:
        """Those of all members."""
        return self._all(lambda model: model.needs)

    @property
    def sampled(self) -> bool:
        """Whether a member is."""
        return any(model.sampled for model in self.models)

    @property
    def updatable(self) -> bool:
        """Whether all members are."""
        return all(map(is_updatable, self.models))

    def _all(self, names: Callable[[Model], tuple[str, ...]]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name for model in self.models for name in names(model)))

    def fit(self, design: Design, *, rng: np.random.Generator) -> FittedLinearPool:
        """Fit each member on its part of the design, with a generator of its own.

        Raises
        ------
        ForecastError : of the type that a member raised, with its name
        """
        fitted = []
        for label, model, own in zip(self.labels(), self.models, rng.spawn(len(self.members)), strict=True):
            with _named(label):
                fitted.append(model.fit(_part(model, design), rng=own))
        return FittedLinearPool(self, tuple(fitted))

    def labels(self) -> tuple[str, ...]:
        """What errors call the members: position and name."""
        return tuple(f"member {m} ({model.name})" for m, model in enumerate(self.models, 1))


@dataclass(frozen=True, slots=True, eq=False)
class FittedLinearPool:
    """Fitted members.

    spec    : options
    members : in the order of the specification
    """

    spec: LinearPool
    members: tuple[FittedModel, ...]

    def update(self, design: Design) -> FittedLinearPool:
        """Bring each member up to date with its part of the design.

        Raises
        ------
        ModelError    : a member cannot be updated
        ForecastError : of the type that a member raised, with its name
        """
        members = []
        for label, model, fitted in zip(self.spec.labels(), self.spec.models, self.members, strict=True):
            if not isinstance(fitted, Updatable):
                raise ModelError(f"linear_pool: {label} cannot be updated. Fit the pool again.")
            with _named(label):
                members.append(fitted.update(_part(model, design)))
        return replace(self, members=tuple(members))

    def predict(
        self, periods: pd.DatetimeIndex, *, scenario: Scenario | None = None, n_draws: int, rng: np.random.Generator
    ) -> PredictiveDistribution:
        """Draws of the members, mixed; draw i uses path i of a scenario, whoever gives it.

        Raises
        ------
        ForecastError : of the type that a member raised, with its name
        """
        M = len(self.members)
        # Which member gives which draw is random, so that neither paths of a scenario nor a remainder favour one.
        given_by = rng.permutation(n_draws) % M if n_draws >= M else rng.integers(M, size=n_draws)
        parts: list[tuple[NDArray[np.intp], PredictiveDistribution]] = []
        for m, (label, own) in enumerate(zip(self.spec.labels(), rng.spawn(M), strict=True)):
            places = np.flatnonzero(given_by == m)
            if len(places):
                with _named(label):
                    paths = None if scenario is None else _paths_of(scenario, places)
                    drawn = self.members[m].predict(periods, scenario=paths, n_draws=len(places), rng=own)
                parts.append((places, drawn))
        first = parts[0][1]
        values = np.empty((n_draws, *first.values.shape[1:]))
        for places, drawn in parts:
            values[places] = drawn.values
        return replace(first, values=values)


def _specification(member: str | Mapping[str, Any]) -> Model:
    if isinstance(member, str):
        return create(member, where="linear_pool: ")
    if "model" not in member:
        raise ValueError(f"member {dict(member)} has no key 'model'; write {{model = \"ar\", lags = 2}}")
    options = {key: value for key, value in member.items() if key != "model"}
    return create(member["model"], options, where="linear_pool: ")


@contextmanager
def _named(label: str) -> Iterator[None]:
    """Put a member's name before its error, whose type is kept: the harness tells types apart."""
    try:
        yield
    except ForecastError as error:
        raise type(error)(f"linear_pool: {label}: {error}") from error


def _part(model: Model, design: Design) -> Design:
    """What a member asked for."""
    return replace(design, features=design.features[list(model.features)])


def _paths_of(scenario: Scenario, places: NDArray[np.intp]) -> Scenario:
    """The paths that belong to some draws, in their order."""
    return replace(scenario, values=scenario.values[places % len(scenario.values)])
