"""The contract between models and everything else.

A model is a frozen value; fitting returns a new value. Three kinds of input reach
it: a design cut at the origin, an optional scenario, and a random generator keyed
by the cell.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np
import pandas as pd

from forecast.features.feature_set import Design
from forecast.predictive import PredictiveDistribution
from forecast.scenario import Scenario


class FittedModel(Protocol):
    """An estimated model."""

    def predict(
        self, periods: pd.DatetimeIndex, *, scenario: Scenario | None = None, n_draws: int, rng: np.random.Generator
    ) -> PredictiveDistribution:
        """Joint predictive draws for ``periods``, consecutive reserve weeks right after the last one over.

        Weeks that are over but unpublished for a late series are bridged by the model and not returned.

        Raises
        ------
        NeedsScenarioError : the future of a needed feature is missing and the model cannot forecast it
        """
        ...


class Model(Protocol):
    """A specification: structure, options, priors.

    ``targets`` and ``features`` say what the model wants to see. An empty ``targets`` means
    "whatever the plan asks for"; otherwise it forecasts those of the plan's targets that it names.
    """

    @property
    def name(self) -> str: ...

    @property
    def targets(self) -> tuple[str, ...]: ...

    @property
    def features(self) -> tuple[str, ...]: ...

    @property
    def needs(self) -> tuple[str, ...]:
        """Features, not known ahead, whose future it uses."""
        ...

    @property
    def sampled(self) -> bool:
        """Estimated by simulation: slow, compiled once a process, kept on few workers."""
        ...

    def fit(self, design: Design, *, rng: np.random.Generator) -> FittedModel:
        """Estimate. Never changes ``design``.

        Raises
        ------
        ShortHistoryError : fewer complete rows than the model can be estimated on
        DiagnosticsError  : a sampler did not converge
        """
        ...


@runtime_checkable
class Updatable(Protocol):
    """A fitted model that takes in new rows without starting again."""

    def update(self, design: Design) -> FittedModel: ...
