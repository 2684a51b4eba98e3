"""What every demand curve shares: the sample it is estimated on, and the walk along it into the future.

    s(t) = m(x(t), c(t)) + r(t),    r(t) = phi * r(t-1) + e(t)

s is the spread over the rate on reserves (bp, week average), x the reserve ratio (percent of bank assets), c calendar
effects, m the curve. A curve that answers only for m would forecast a jump to it tomorrow; the residual decays instead.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.errors import ModelError, RankDeficientError, UnitError
from forecast.features.feature_set import Design
from forecast.predictive import PredictiveDistribution
from forecast.scenario import Scenario

# Modules of one package import each other relatively, in folders too: the architecture test asks for it.
from ..ragged_edge import TargetHistory, carried_forward, feature_paths, target_history
from ..residual_rows import require_rows
from .reserve_ratio import RATIO, projected_ratio

type Array = NDArray[np.float64]

# Two years less their ragged edge: below that calendar effects have a handful of events each.
MINIMUM_WEEKS = 100
# Banks have never held less than 1 percent of their assets as reserves since 2009, nor more than 20.
_PLAUSIBLE = (1.0, 60.0)  # percent
# Closer to one a residual would hardly ever come back.
_MOST_PERSISTENT = 0.98


@dataclass(frozen=True, slots=True, eq=False)
class Bridge:
    """From the last complete week on: what is published or given, and what is to be drawn.

    last   : row of the last complete week in the history
    weeks  : (W,) to the last one asked for
    before : (p, 2) ratio (percent) and spread (bp) of the weeks before; in holes the last value before them
    ratio  : (D or 1, W) percent, missing where to be drawn
    spread : (W,) bp, missing where to be drawn
    """

    last: int
    weeks: pd.DatetimeIndex
    before: Array
    ratio: Array
    spread: Array


@dataclass(frozen=True, slots=True, eq=False)
class CurveSample:
    """Spread and regressors by reserve week, ragged edge and all.

    history : of the spread, bp
    known   : (P, F) reserve ratio (percent) first, then other regressors; missing where unknown; may run past ``history``
    """

    history: TargetHistory
    known: pd.DataFrame

    def complete(self) -> tuple[pd.DatetimeIndex, Array, Array]:
        """Weeks in which everything is known: (n,) periods, (n,) spread in bp, (n, F) regressors."""
        spread, regressors = self.history.values[:, 0], self.known.to_numpy(dtype=float)[: len(self.history.values)]
        rows = np.isfinite(spread) & np.isfinite(regressors).all(axis=1)
        return pd.DatetimeIndex(self.history.periods[rows]), spread[rows], regressors[rows]

    @property
    def last_published(self) -> int:
        """Row of the last published spread."""
        return len(self.history.periods) - 1 - int(self.history.gaps[0])

    @property
    def last_complete(self) -> int:
        """Row of the last week in which everything is known."""
        return int(self.history.periods.get_indexer(self.complete()[0][-1:])[0])

    def weekly_rows(self) -> tuple[pd.DatetimeIndex, Array]:
        """Weeks from the first complete one to the last published spread, (T, 1 + F) spread and regressors there."""
        first, end = int(self.history.periods.get_indexer(self.complete()[0][:1])[0]), self.last_published + 1
        known = self.known.to_numpy(dtype=float)[first:end]
        weeks = pd.DatetimeIndex(self.history.periods[first:end])
        return weeks, np.column_stack([self.history.values[first:end, 0], known])

    def ratios(self) -> tuple[pd.DatetimeIndex, Array]:
        """Weeks from the first complete one on whose ratio is known, (T,), and the ratio there, (T,) percent."""
        ratio = self.known[RATIO].iloc[: len(self.history.values)].loc[self.complete()[0][0] :].dropna()
        return pd.DatetimeIndex(ratio.index), ratio.to_numpy(dtype=float)

    def paths(
        self, periods: pd.DatetimeIndex, scenario: Scenario | None, n_draws: int, rng: np.random.Generator
    ) -> Array:
        """Regressors from the last published spread on: as known, else from the scenario, else projected.

        Without a scenario the reserve ratio is a random walk with the changes of the past.

        Returns
        -------
        (n_draws or 1, W, F), W = 1 + weeks unpublished + weeks asked for; the first is the last published week

        Raises
        ------
        NeedsScenarioError : the scenario lacks a week, or a calendar effect is not known so far ahead
        ShortHistoryError  : the sample of the ratio is too short for paths of this length
        """
        self.history.weeks_ahead(periods)
        weeks = pd.DatetimeIndex(self.history.periods[self.last_published :].append(periods))
        ratio = scenario or projected_ratio(self.known[RATIO], periods[-1], n_draws, rng)
        return feature_paths(self.known, weeks, ratio, n_draws)

    def bridge(self, lags: int, periods: pd.DatetimeIndex, scenario: Scenario | None, n_draws: int) -> Bridge:
        """What a joint model of ratio and spread starts from, and what it must keep to.

        Raises
        ------
        NeedsScenarioError : the scenario lacks a week
        """
        H, last = self.history.weeks_ahead(periods), self.last_complete
        weeks = pd.DatetimeIndex(self.history.periods[last + 1 :].append(periods))
        known, spread = self.known[[RATIO]], self.history.values[:, 0]
        if scenario is None:
            ratio = known.reindex(weeks).to_numpy(dtype=float).T
        else:
            ratio = feature_paths(known, weeks, scenario, n_draws)[:, :, 0]
        past = np.column_stack([known.to_numpy(dtype=float)[: last + 1, 0], spread[: last + 1]])
        ahead = np.concatenate([spread[last + 1 :], np.full(H, np.nan)])
        return Bridge(last, weeks, carried_forward(past)[-lags:], ratio, ahead)

    def walk(self, mean: Array, phi: Array, shocks: Array, periods: pd.DatetimeIndex) -> PredictiveDistribution:
        """Predictive draws along paths of the curve.

        Parameters
        ----------
        mean   : (D, W) curve along :meth:`paths`, bp
        phi    : (D,) persistence of the residual
        shocks : (D, W - 1) bp
        """
        residuals = residual_paths(self.history.values[self.last_published, 0] - mean[:, 0], phi, shocks)
        return self.history.distribution((mean[:, 1:] + residuals)[:, -len(periods) :, None], periods)


@dataclass(frozen=True, slots=True, eq=False)
class Dynamics:
    """Residuals of a curve that is the same in every week.

    phi         : persistence; one where they stay
    innovations : (m,) bp
    """

    phi: float
    innovations: Array

    def walk(
        self, sample: CurveSample, mean: Array, periods: pd.DatetimeIndex, rng: np.random.Generator
    ) -> PredictiveDistribution:
        """Predictive draws along paths of the curve, (D, W) bp, with innovations of the sample."""
        shocks = rng.choice(self.innovations, size=(len(mean), mean.shape[1] - 1))
        return sample.walk(mean, np.full(len(mean), self.phi), shocks, periods)


def curve_sample(model: str, spread: str, regressors: tuple[str, ...], design: Design) -> CurveSample:
    """Spread and regressors of a design; the first regressor is the reserve ratio.

    Raises
    ------
    UnitError         : the spread is not in bp, or the ratio is not in percent, by its unit or by its size
    ShortHistoryError : the spread has no value at all
    """
    for name, unit in ((spread, "bp"), (RATIO, "percent")):
        if design.units[name].name != unit:
            raise UnitError(f"{model}: {name!r} is in {design.units[name]}; give it in {unit}.")
    history = target_history(replace(design, targets=design.targets[[spread]]))
    known = design.features.loc[:, list(regressors)].astype(float)
    median = float(known[RATIO].median())
    if not np.isnan(median) and not _PLAUSIBLE[0] <= median <= _PLAUSIBLE[1]:
        raise UnitError(
            f"{model}: the median of {RATIO!r} is {median:g}; a ratio in percent of bank assets lies between "
            f"{_PLAUSIBLE[0]:g} and {_PLAUSIBLE[1]:g}. Is it a fraction, or in dollars?"
        )
    return CurveSample(history, known)


def estimable(model: str, spread: str, sample: CurveSample) -> tuple[pd.DatetimeIndex, Array, Array]:
    """The complete weeks of a sample, refused where no curve can be estimated on them; see :meth:`CurveSample.complete`.

    Raises
    ------
    ShortHistoryError : fewer than 100 complete weeks
    ModelError        : the spread does not move
    """
    weeks, values, regressors = sample.complete()
    require_rows(np.array([len(weeks)]), (spread,), what="complete weeks", needed=MINIMUM_WEEKS)
    require_moving(model, spread, values, weeks)
    return weeks, values, regressors


def in_turn(available: int, n_draws: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """(n_draws,) numbers of draws of parameters, each as often as any other, in random order.

    Path i of a scenario must not always meet the same parameters.
    """
    return rng.permutation(np.arange(n_draws) % available)


def require_at_least(options: object, **least: int) -> None:
    """Refuse options below the smallest value that makes sense.

    Raises
    ------
    ValueError : names the option
    """
    for option, smallest in least.items():
        if getattr(options, option) < smallest:
            raise ValueError(f"{option} = {getattr(options, option)}; give at least {smallest}")


def require_moving(model: str, spread: str, values: Array, periods: pd.DatetimeIndex) -> None:
    """Refuse a spread without variation: nothing can be regressed on a constant.

    Raises
    ------
    ModelError : names the stretch and what to do
    """
    if len(values) and np.ptp(values) == 0:
        raise ModelError(
            f"{model}: {spread!r} is {values[0]:g} bp in every week from {periods[0]:%Y-%m-%d} to "
            f"{periods[-1]:%Y-%m-%d}; no slope can be estimated. Start the window earlier, or take a spread that moves."
        )


def require_moving_ratio(model: str, ratio: Array) -> None:
    """Refuse a ratio without innovations, (n,) percent.

    Raises
    ------
    RankDeficientError : says what to do
    """
    if np.ptp(ratio) == 0:
        raise RankDeficientError(
            f"{model}: {RATIO!r} is {ratio[0]:g} percent in every week: nothing can be learnt from its "
            "innovations. Start the window earlier, or give a ratio that moves."
        )


def residual_dynamics(residuals: Array, periods: pd.DatetimeIndex) -> Dynamics:
    """Persistence of residuals and their innovations, over pairs of adjacent weeks.

        phi = sum r(t) r(t-1) / sum r(t-1)^2,  clipped to [0, 0.98];  e(t) = r(t) - phi r(t-1), less their mean

    Parameters
    ----------
    residuals : (n,) bp
    periods   : (n,) reserve weeks; gaps between them are skipped

    Raises
    ------
    ShortHistoryError : fewer than 20 pairs
    """
    adjacent = np.diff(periods.to_numpy()) == np.timedelta64(7, "D")
    now, before = residuals[1:][adjacent], residuals[:-1][adjacent]
    require_rows(np.array([len(now)]), ("residual",), what="pairs of adjacent weeks")
    square = float(before @ before)
    phi = float(np.clip(now @ before / square, 0.0, _MOST_PERSISTENT)) if square > 0 else 0.0
    innovations = now - phi * before
    return Dynamics(phi, innovations - innovations.mean())


def residual_paths(start: Array, phi: Array, shocks: Array) -> Array:
    """r(w) = phi * r(w-1) + shock(w).

    Parameters
    ----------
    start  : (D,) residual of the last published week, bp
    phi    : (D,)
    shocks : (D, W) bp

    Returns
    -------
    (D, W) bp
    """
    residual, paths = start, np.empty(shocks.shape)
    for week in range(shocks.shape[1]):
        residual = phi * residual + shocks[:, week]
        paths[:, week] = residual
    return paths
