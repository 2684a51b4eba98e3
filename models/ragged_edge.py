"""The ragged edge: how long ago each target was last published, and what is known of regressors since.

For a target last published in week t and a forecast of week T + h the number of steps is (T - t) + h;
the weeks between t and T are bridged and not returned.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.errors import ModelError, NeedsScenarioError, ShortHistoryError
from forecast.features.feature_set import FEATURES, CalendarEffect, Design, future_weeks
from forecast.features.transforms import WEEK, consecutive_weeks, microseconds
from forecast.predictive import PredictiveDistribution
from forecast.scenario import Scenario
from forecast.units import Unit

type Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class TargetHistory:
    """Targets as arrays, with their ragged edge.

    values  : (T, K) in each target's unit; missing where it has not begun or is not yet published
    periods : (T,) reserve weeks
    targets : (K,) names
    units   : unit of each target
    gaps    : (K,) weeks at the end for which the target is not yet published
    """

    values: Array
    periods: pd.DatetimeIndex
    targets: tuple[str, ...]
    units: Mapping[str, Unit]
    gaps: NDArray[np.intp]

    def weeks_ahead(self, periods: pd.DatetimeIndex) -> int:
        """Number of weeks asked for.

        Raises
        ------
        ModelError : they are not the consecutive reserve weeks right after the last row
        """
        last, asked = microseconds(self.periods)[-1], microseconds(pd.DatetimeIndex(periods))
        if len(asked) == 0 or not np.array_equal(asked, last + WEEK * np.arange(1, len(asked) + 1)):
            raise ModelError(
                f"periods must be consecutive reserve weeks from {future_weeks(self.periods[-1], 1)[0]:%Y-%m-%d} on. "
                "Take them from design.future(n)."
            )
        return len(periods)

    def bridged_weeks(self, periods: pd.DatetimeIndex) -> pd.DatetimeIndex:
        """The ``max(gaps)`` weeks over that some target has not published yet, then ``periods``."""
        late = int(self.gaps.max())
        return consecutive_weeks(int(microseconds(periods)[0]) - late * WEEK, late + len(periods))

    def distribution(self, draws: Array, periods: pd.DatetimeIndex) -> PredictiveDistribution:
        """Draws (D, H, K) with their labels and units."""
        return PredictiveDistribution(draws, periods, self.targets, self.units)


def target_history(design: Design) -> TargetHistory:
    """The targets of a design as arrays.

    Raises
    ------
    ShortHistoryError : a target has no value at all
    """
    table = design.target_table
    values, targets = np.array(table.values), table.names
    known = np.isfinite(values)
    for name, some in zip(targets, known.any(axis=0), strict=True):
        if not some:
            raise ShortHistoryError(f"{name!r} has no value up to the week to {table.periods[-1]:%Y-%m-%d}.")
    gaps = known[::-1].argmax(axis=0)
    units = {name: design.units[name] for name in targets}
    return TargetHistory(values, table.periods, targets, units, gaps)


def carried_forward(values: Array) -> Array:
    """(T,) or (T, K) with each missing value replaced by the last one before it, if there is one."""
    row = np.arange(len(values)).reshape(-1, *[1] * (values.ndim - 1))
    latest = np.maximum.accumulate(np.where(np.isnan(values), 0, row), axis=0)
    return np.take_along_axis(values, latest, axis=0)


def needs_scenario(features: tuple[str, ...]) -> tuple[str, ...]:
    """Those features whose future the calendar does not fix."""
    return tuple(name for name in features if not isinstance(FEATURES.get(name), CalendarEffect))


def feature_paths(known: pd.DataFrame, weeks: pd.DatetimeIndex, scenario: Scenario | None, n_draws: int) -> Array:
    """Regressors over the weeks to bridge and to forecast: as published where known, else from the scenario.

    Parameters
    ----------
    known : (P, F) features of the design, each in its unit; missing where unknown
    weeks : (W,) reserve weeks

    Returns
    -------
    (n_draws, W, F), or (1, W, F) if nothing had to be taken from a scenario

    Raises
    ------
    NeedsScenarioError : neither the design nor the scenario knows a feature in one of the weeks
    """
    return completed_paths(
        known.reindex(weeks).to_numpy(dtype=float), tuple(map(str, known.columns)), weeks, scenario, n_draws
    )


def completed_paths(
    values: Array, names: Sequence[str], weeks: pd.DatetimeIndex, scenario: Scenario | None, n_draws: int
) -> Array:
    """:func:`feature_paths` of values (W, F) in the weeks that are wanted, missing where unknown."""
    missing = np.isnan(values)
    if not missing.any():
        return values[None]
    paths = np.repeat(values[None], n_draws, axis=0)
    for f in np.flatnonzero(missing.any(axis=0)):
        name, unknown = str(names[int(f)]), weeks[missing[:, f]]
        if scenario is None:
            raise NeedsScenarioError(
                f"{name!r} is not known for the week to {unknown[0]:%Y-%m-%d} and no scenario was given. "
                "Give one that holds it; a calendar effect needs a design built further ahead."
            )
        paths[:, missing[:, f], f] = scenario.path(name, unknown, n_draws)
    return paths
