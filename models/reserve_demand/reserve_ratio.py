"""Where the reserve ratio goes when no scenario says so: a random walk with the changes of the past."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.features.feature_set import future_weeks
from forecast.scenario import Scenario

# Modules of one package import each other relatively, in folders too: the architecture test asks for it.
from ..residual_rows import require_rows

type Array = NDArray[np.float64]

RATIO = "reserve_ratio"


def projected_ratio(known: pd.Series, until: pd.Timestamp, n_draws: int, rng: np.random.Generator) -> Scenario:
    """Paths from the last published ratio on, over weeks that are over but unpublished and weeks to come.

    Parameters
    ----------
    known : (P,) percent by reserve week, missing where unknown; weeks missing inside are interpolated
    until : last week asked for

    Returns
    -------
    ``n_draws`` paths of ``reserve_ratio``, percent

    Raises
    ------
    ShortHistoryError : fewer than 20 stretches of history as long as the path
    """
    history = known.loc[known.first_valid_index() : known.last_valid_index()].interpolate()
    weeks = future_weeks(history.index[-1], (until - history.index[-1]).days // 7)
    values = ratio_paths(history.to_numpy(dtype=float), len(weeks), n_draws, rng)
    return Scenario("own projection", values[:, :, None], weeks, (RATIO,))


def ratio_paths(history: Array, steps: int, n_draws: int, rng: np.random.Generator) -> Array:
    """Random walk with the h-step changes of the past: whole stretches of history, less their mean change.

        x(T + h) = max(0, x(T) + [x(j + h) - x(j)] - mean over j of [x(j + h) - x(j)])

    Parameters
    ----------
    history : (T,) percent, consecutive weeks
    steps   : weeks ahead

    Returns
    -------
    (n_draws, steps) percent

    Raises
    ------
    ShortHistoryError : fewer than 20 stretches of this length
    """
    require_rows(np.array([len(history) - steps]), (RATIO,), what=f"stretches of {steps} weeks")
    stretches = np.lib.stride_tricks.sliding_window_view(history, steps + 1)
    changes = stretches[:, 1:] - stretches[:, :1]
    drawn = (changes - changes.mean(axis=0))[rng.integers(len(changes), size=n_draws)]
    paths: Array = np.maximum(history[-1] + drawn, 0.0)
    return paths
