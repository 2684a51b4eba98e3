"""What everything must beat: random walk, drift, seasonal naive and climatology.

All four resample history, so none assumes a distribution. The first three draw a past week as
pseudo-origin, with the ragged edge of today: a target that is two weeks late today is taken two
weeks late there. One week is drawn for all targets and all weeks ahead, so each draw is a path that happened.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.errors import ShortHistoryError
from forecast.features.calendar_effects import month_end_week, quarter_end_week, tax_week
from forecast.features.feature_set import Design
from forecast.predictive import PredictiveDistribution
from forecast.scenario import Scenario

from .ragged_edge import TargetHistory, carried_forward, target_history
from .residual_rows import draw_rows, require_rows, rows_at

type Array = NDArray[np.float64]
type Paths = Callable[[TargetHistory, pd.DatetimeIndex, int, np.random.Generator], Array]

WEEKS_A_YEAR = 52


@dataclass(frozen=True, slots=True, eq=False)
class FittedBaseline:
    """History, and how paths are resampled from it.

    history : targets up to the origin
    paths   : (history, periods, n_draws, rng) -> (D, H, K)
    """

    history: TargetHistory
    paths: Paths

    def predict(
        self, periods: pd.DatetimeIndex, *, scenario: Scenario | None = None, n_draws: int, rng: np.random.Generator
    ) -> PredictiveDistribution:
        """Joint draws; a scenario is not used.

        Raises
        ------
        ShortHistoryError : fewer than 20 past windows as long as ``periods``
        """
        self.history.weeks_ahead(periods)
        return self.history.distribution(self.paths(self.history, periods, n_draws, rng), periods)


def _fitted(design: Design, paths: Paths, *, weeks: int) -> FittedBaseline:
    history = target_history(design)
    require_rows(np.isfinite(history.values).sum(axis=0), history.targets, what="weekly values", needed=weeks)
    return FittedBaseline(history, paths)


@dataclass(frozen=True, slots=True)
class RandomWalk:
    """Last value plus the changes that history shows over as many weeks.

        y(T+h) = y(t) + [y(s+h) - y(s-g)],    s drawn from the past,    g = T - t the weeks target y is late

    The marginal at h is the empirical distribution of (g+h)-week changes over all complete windows. Changes
    are as they were, so their mean over the sample is part of the forecast.
    """

    targets: tuple[str, ...] = ()
    name: ClassVar[str] = "random_walk"
    features: ClassVar[tuple[str, ...]] = ()
    needs: ClassVar[tuple[str, ...]] = ()
    sampled: ClassVar[bool] = False

    def fit(self, design: Design, *, rng: np.random.Generator) -> FittedBaseline:
        """Keep history. Raises ShortHistoryError below 22 values of a target."""
        return _fitted(design, random_walk_paths, weeks=22)


@dataclass(frozen=True, slots=True)
class Drift:
    """Random walk that goes on as it did over the last year.

        y(T+h) = y(t) + (g+h) m + [change - mean change],    m = (y(t) - y(t-n)) / n

    The random walk's changes already hold the mean of the whole sample, so a drift over the whole sample
    would be the same model; what can differ is the recent pace, such as that of a runoff.

    weeks : n, weeks over which the drift is measured (as many as there are if history is shorter)
    """

    targets: tuple[str, ...] = ()
    weeks: int = WEEKS_A_YEAR
    name: ClassVar[str] = "drift"
    features: ClassVar[tuple[str, ...]] = ()
    needs: ClassVar[tuple[str, ...]] = ()
    sampled: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if self.weeks < 1:
            raise ValueError(f"weeks = {self.weeks}; give at least 1")

    def fit(self, design: Design, *, rng: np.random.Generator) -> FittedBaseline:
        """Keep history. Raises ShortHistoryError below 22 values of a target."""
        return _fitted(design, partial(drift_paths, weeks=self.weeks), weeks=22)


@dataclass(frozen=True, slots=True)
class SeasonalNaive:
    """The same week a year ago plus the year-on-year differences that history shows.

        y(T+h) = y(T+h-52m) + [y(s+h) - y(s+h-52m)],    s drawn from the past

    m is the smallest number of years for which the value of a year ago is published.
    """

    targets: tuple[str, ...] = ()
    name: ClassVar[str] = "seasonal_naive"
    features: ClassVar[tuple[str, ...]] = ()
    needs: ClassVar[tuple[str, ...]] = ()
    sampled: ClassVar[bool] = False

    def fit(self, design: Design, *, rng: np.random.Generator) -> FittedBaseline:
        """Keep history. Raises ShortHistoryError below a year and 20 weeks of a target."""
        return _fitted(design, seasonal_naive_paths, weeks=WEEKS_A_YEAR + 20)


@dataclass(frozen=True, slots=True)
class Climatology:
    """Past levels in weeks of the same kind: the end of a quarter, the end of a month, a tax date, or none.

    Each week ahead draws uniformly from past weeks of its kind. Along the path and across targets
    one position in history is drawn: the week ahead by h takes the week of its kind that stands at this
    position plus h weeks (from the end of history on from its beginning). Paths are therefore as persistent
    as history is, and targets move together, while each marginal stays the bucket's distribution.
    A kind seen fewer than four times in a target is not told apart there. Where a level
    has trended, climatology says where it used to be: that is what it is for.
    """

    targets: tuple[str, ...] = ()
    name: ClassVar[str] = "climatology"
    features: ClassVar[tuple[str, ...]] = ()
    needs: ClassVar[tuple[str, ...]] = ()
    sampled: ClassVar[bool] = False

    def fit(self, design: Design, *, rng: np.random.Generator) -> FittedBaseline:
        """Keep history. Raises ShortHistoryError below 20 values of a target."""
        return _fitted(design, climatology_paths, weeks=20)


# --------------------------------------------------------------------------- arrays


def random_walk_paths(
    history: TargetHistory, periods: pd.DatetimeIndex, n_draws: int, rng: np.random.Generator
) -> Array:
    """(D, H, K) last value plus whole windows of past changes."""
    changes = past_changes(history.values, history.gaps, len(periods))
    return _draw_windows(changes, history, n_draws, rng) + _last(history)


def drift_paths(
    history: TargetHistory, periods: pd.DatetimeIndex, n_draws: int, rng: np.random.Generator, *, weeks: int
) -> Array:
    """(D, H, K) last value plus recent drift plus windows of past changes less their mean."""
    changes = past_changes(history.values, history.gaps, len(periods))
    drawn = _draw_windows(changes, history, n_draws, rng)
    steps = np.arange(1, len(periods) + 1)[:, None] + history.gaps
    drift: Array = steps * mean_change(history.values, weeks)
    return drawn - _window_means(changes) + drift + _last(history)


def seasonal_naive_paths(
    history: TargetHistory, periods: pd.DatetimeIndex, n_draws: int, rng: np.random.Generator
) -> Array:
    """(D, H, K) values of a year ago plus whole windows of past year-on-year differences."""
    T, H = len(history.values), len(periods)
    weeks_ago = seasonal_lags(history.gaps, H)  # (H, K)
    rows = T - 1 + np.arange(1, H + 1)[:, None] - weeks_ago
    base: Array = carried_forward(history.values)[rows, np.arange(weeks_ago.shape[1])]
    differences = past_seasonal_differences(history.values, weeks_ago)
    return _draw_windows(differences, history, n_draws, rng) + base


def climatology_paths(
    history: TargetHistory, periods: pd.DatetimeIndex, n_draws: int, rng: np.random.Generator
) -> Array:
    """(D, H, K) past levels by kind of week."""
    T, K = history.values.shape
    known = np.isfinite(history.values)
    past, ahead = calendar_bucket(history.periods), calendar_bucket(periods)
    shared, own = rng.random(n_draws), rng.random((n_draws, K))
    draws = np.empty((n_draws, len(periods), K))
    for h, bucket in enumerate(ahead):
        same = known & (past == bucket)[:, None]
        available = np.where(same.sum(axis=0) >= 4, same, known)
        shift = h / T
        rows = rows_at(available, (shared + shift) % 1.0, (own + shift) % 1.0)
        draws[:, h] = history.values[rows, np.arange(K)]
    return draws


def past_changes(values: Array, gaps: NDArray[np.intp], H: int) -> Array:
    """Changes after each pseudo-origin s from what was then published.

        changes[s, h-1, k] = values[s+h, k] - values[s-gap_k, k]

    Returns
    -------
    (T - H, H, K) in each target's unit; missing where either end is
    """
    base = np.full_like(values, np.nan)
    for k, gap in enumerate(gaps):
        base[gap:, k] = values[: len(values) - gap, k]
    return _outcomes(values, H) - base[: max(len(values) - H, 0), None]


def past_seasonal_differences(values: Array, weeks_ago: NDArray[np.intp]) -> Array:
    """differences[s, h-1, k] = values[s+h, k] - values[s+h-weeks_ago[h-1, k], k], (T - H, H, K)."""
    H, K = weeks_ago.shape
    later = np.arange(max(len(values) - H, 0))[:, None, None] + np.arange(1, H + 1)[:, None]  # (S, H, 1)
    earlier = later - weeks_ago
    base = np.where(earlier >= 0, values[np.maximum(earlier, 0), np.arange(K)], np.nan)
    return _outcomes(values, H) - base


def _outcomes(values: Array, H: int) -> Array:
    """(T - H, H, K) the H values after each row."""
    if len(values) <= H:
        return np.empty((0, H, values.shape[1]))
    return np.lib.stride_tricks.sliding_window_view(values[1:], H, axis=0).swapaxes(1, 2)


def seasonal_lags(gaps: NDArray[np.intp], H: int) -> NDArray[np.intp]:
    """(H, K) smallest multiple of 52 weeks that reaches back to a published week."""
    steps = np.arange(1, H + 1)[:, None] + gaps
    return WEEKS_A_YEAR * -(-steps // WEEKS_A_YEAR)


def mean_change(values: Array, weeks: int) -> Array:
    """(K,) mean weekly change over each target's last ``weeks`` weeks, unit per week."""
    means = []
    for column in values.T:
        known = np.flatnonzero(np.isfinite(column))
        first = known[min(np.searchsorted(known, known[-1] - weeks), len(known) - 2)]
        means.append((column[known[-1]] - column[first]) / (known[-1] - first))
    return np.array(means)


def calendar_bucket(periods: pd.DatetimeIndex) -> NDArray[np.intp]:
    """Kind of each reserve week (Thursday to the Wednesday that labels it).

    Returns
    -------
    (T,) 3 if the last day of a quarter falls into the week, else 2 for that of a month, else 1 for a
    tax date (15 March, April, June, September, December, moved to the next business day), else 0
    """
    effects = (quarter_end_week, month_end_week, tax_week)
    return np.select([effect(periods).to_numpy() == 1 for effect in effects], [3, 2, 1], 0)


def _last(history: TargetHistory) -> Array:
    """(K,) last published values."""
    last: Array = carried_forward(history.values)[-1]
    return last


def _window_means(windows: Array) -> Array:
    """(H, K) means over complete windows."""
    complete = np.isfinite(windows).all(axis=1)  # (S, K)
    return np.stack([windows[complete[:, k], :, k].mean(axis=0) for k in range(windows.shape[2])], axis=1)


def _draw_windows(windows: Array, history: TargetHistory, n_draws: int, rng: np.random.Generator) -> Array:
    """(D, H, K) whole windows, the same pseudo-origin for all targets where they have it."""
    complete = np.isfinite(windows).all(axis=1)
    if not complete.size:
        raise ShortHistoryError(f"{len(history.values)} weeks of history hold no window of {windows.shape[1]} weeks.")
    require_rows(complete.sum(axis=0), history.targets, what=f"past windows of {windows.shape[1]} weeks")
    rows = draw_rows(complete, n_draws, rng)
    return windows[rows[:, None], np.arange(windows.shape[1])[:, None], np.arange(windows.shape[2])]
