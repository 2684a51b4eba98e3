"""The contract between models and everything else.

A model is a frozen value; fitting returns a new value. Three kinds of input reach
it: a design cut at the origin, an optional scenario, and a random generator keyed
by the cell.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import pandas as pd
from numpy.typing import NDArray

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
    """A fitted model that takes in new rows without starting again.

    Its specification says so with ``updatable = True``. Then ``fit`` is the fold of ``update`` over complete rows from
    the first (see :func:`fold`): update equals refit bit for bit, in any schedule. The generator given to ``fit``
    is the same at every origin; an update draws only from :func:`row_generator`.
    """

    def update(self, design: Design) -> FittedModel:
        """The fit on ``design``, which holds the earlier rows too. Never changes ``self``."""
        ...


def is_updatable(model: Model) -> bool:
    """Whether a specification says that its fits can be updated."""
    return bool(getattr(model, "updatable", False))


def row_generator(key: int, period: pd.Timestamp) -> np.random.Generator:
    """The generator of one row of an updatable model; ``key`` is drawn once, in ``fit``."""
    return np.random.default_rng(np.random.SeedSequence(key, spawn_key=(period.toordinal(),)))


@dataclass(frozen=True, slots=True, eq=False)
class Folded[State]:
    """A state and the rows that made it.

    periods : (n,) reserve weeks in which everything was known
    rows    : (n, K + F) targets, then features, each in its unit
    """

    state: State
    periods: pd.DatetimeIndex
    rows: NDArray[np.float64]


def fold[State](
    step: Callable[[State, pd.Timestamp, NDArray[np.float64]], State],
    start: State,
    design: Design,
    before: Folded[State] | None = None,
) -> Folded[State]:
    """Take the complete rows of a design into a state, one by one, going on from where an earlier fold ended.

    Rows of the ragged edge wait until they are complete. If a row has changed since, or one has been completed
    between others, the state is built again from the first.

    Parameters
    ----------
    step  : (state, reserve week, (K + F,) row) -> new state, without changing the old one
    start : state before the first row
    """
    T = len(design.targets)
    values = np.column_stack([design.targets.to_numpy(dtype=float), design.features.to_numpy(dtype=float)[:T]])
    complete = ~np.isnan(values).any(axis=1)
    rows, periods = values[complete], pd.DatetimeIndex(design.targets.index[complete])
    n, state = 0, start
    if before is not None and len(before.rows) <= len(rows):
        same = np.array_equal(before.rows, rows[: len(before.rows)])
        if same and before.periods.equals(periods[: len(before.periods)]):
            n, state = len(before.rows), before.state
    for period, row in zip(periods[n:], rows[n:], strict=True):
        state = step(state, period, row)
    return Folded(state, periods, rows)
