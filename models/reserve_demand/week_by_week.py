"""Drifting coefficients followed week by week: each equation of a system by a cloud of particles.

A new week costs milliseconds and now and then a move of all particles, so every origin of a backtest is affordable. What is
told of a past week is what was known then. For the same systems told with hindsight see :mod:`.hindsight`.

References
----------
Gilks and Berzuini (2001), Journal of the Royal Statistical Society B 63, for following a posterior; Cogley and Sargent
(2005), Review of Economic Dynamics 8, for forecasting with stable draws only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.answers.ampleness import Ampleness
from forecast.features.feature_set import Design
from forecast.model import Folded, fold, row_generator
from forecast.predictive import PredictiveDistribution
from forecast.scenario import Scenario

# Modules of one package import each other relatively, in folders too: the architecture test asks for it.
from ..residual_rows import require_rows
from .curve_path import MINIMUM_WEEKS, CurveSample, curve_sample, estimable, require_at_least, require_moving_ratio
from .drifting_paths import Parameters, moving_on
from .drifting_system import ByEquation, DriftingModel, DriftingSystem, prior_slopes
from .particle_regression import Cloud, Filtered, Settings, empty, parameter_draws, take_in

type Array = NDArray[np.float64]

# How many draws are looked at for each one that is forecast with, where some may explode.
_POOL = 4
_WEEK = pd.Timedelta(days=7)


class Specification(DriftingModel, Protocol):
    """A system and the size of its clouds."""

    @property
    def particles(self) -> int: ...

    @property
    def sweeps(self) -> int: ...

    @property
    def training(self) -> int: ...

    @property
    def draws(self) -> int: ...


def require_cloud(spec: Specification) -> None:
    """Refuse options under which nothing is learnt.

    Raises
    ------
    ValueError : names the option
    """
    require_at_least(spec, particles=100, sweeps=1, training=20, draws=20)
    if spec.training >= MINIMUM_WEEKS:
        raise ValueError(f"training = {spec.training}; leave weeks to follow: give less than {MINIMUM_WEEKS}")


def settings(spec: Specification) -> dict[str, Settings]:
    """How the cloud of each equation is run."""
    system = spec.system
    return {
        name: Settings(priors, system.rounding[name], spec.particles, spec.sweeps, spec.training)
        for name, priors in system.priors().items()
    }


@dataclass(frozen=True, slots=True, eq=False)
class Followed:
    """Where the filters stand after some rows.

    filters : by equation: clouds and their histories
    recent  : (r, 2 + E) last rows of (spread, ratio, effects) that follow each other week by week, at most as many as lags
    week    : of the last row; None before the first
    slopes  : by week since training: the week, and (S,) draws in bp per percentage point
    """

    filters: Mapping[str, Filtered]
    recent: Array
    week: pd.Timestamp | None
    slopes: tuple[tuple[pd.Timestamp, Array], ...]


def week_by_week(
    spec: Specification, key: int, design: Design, before: Folded[Followed] | None = None
) -> FittedWeekByWeek:
    """Take in all complete weeks, from the first or from where an earlier fit ended.

    Parameters
    ----------
    key : of the generators of all rows

    Raises
    ------
    UnitError          : the spread is not in bp or the ratio not in percent
    ShortHistoryError  : fewer than 100 complete weeks, or too many holes
    ModelError         : the spread never moved
    RankDeficientError : the ratio never moved, and the slope is read off its innovations
    """
    sample, system = curve_sample(spec.name, spec.spread, spec.features, design), spec.system
    _, _, regressors = estimable(spec.name, spec.spread, sample)
    if len(system.rounding) > 1:
        require_moving_ratio(spec.name, regressors[:, 0])
    mine = replace(design, targets=design.targets[[spec.spread]], features=design.features[list(spec.features)])
    filters = {name: empty(len(regressors)) for name, regressors in system.regressors().items()}
    start = Followed(filters, np.empty((0, 1 + len(spec.features))), None, ())
    folded = fold(_step(spec, key), start, mine, before)
    what = f"weeks that follow {system.lags} complete ones after training"
    require_rows(np.array([len(folded.state.slopes)]), (spec.spread,), what=what, needed=1)
    return FittedWeekByWeek(spec, key, sample, folded)


def _step(spec: Specification, key: int) -> Callable[[Followed, pd.Timestamp, Array], Followed]:
    """Take in a row (spread, ratio, effects)."""
    system, run = spec.system, settings(spec)
    # Each equation has a stream of its own; the slopes of several equations have another.
    own = [key ^ stream for stream in range(len(run) + (len(run) > 1))]

    def step(state: Followed, week: pd.Timestamp, row: Array) -> Followed:
        follows = state.week is not None and week - state.week == _WEEK
        recent = np.vstack([state.recent if follows else state.recent[:0], row])
        window = np.vstack([np.full((system.lags + 1 - len(recent), len(row)), np.nan), recent])
        samples, streams, filters = system.samples(window), [row_generator(each, week) for each in own], {}
        for (name, how), stream, one in zip(run.items(), streams, own, strict=False):
            before = _skipped(state.filters[name], state.week, week, how, one)
            filters[name] = take_in(before, samples[name].y[-1], samples[name].X[-1], how, stream)
        slopes = state.slopes
        if all(each.cloud is not None for each in filters.values()):
            drawn = {name: parameter_draws(cloud, spec.draws, streams[-1])[0] for name, cloud in _clouds(filters)}
            slopes = (*slopes, (week, system.slopes(drawn)))
        return Followed(filters, recent[-system.lags :], week, slopes)

    return step


def _skipped(filtered: Filtered, last: pd.Timestamp | None, week: pd.Timestamp, how: Settings, key: int) -> Filtered:
    """The weeks between two rows, in which nothing is observed and everything moves on."""
    if last is None:
        return filtered
    nothing = np.zeros(filtered.X.shape[1])
    for between in pd.date_range(last + _WEEK, week - _WEEK, freq="7D"):
        filtered = take_in(filtered, np.nan, nothing, how, row_generator(key, between))
    return filtered


def _clouds(filters: Mapping[str, Filtered]) -> list[tuple[str, Cloud]]:
    return [(name, each.cloud) for name, each in filters.items() if each.cloud is not None]


@dataclass(frozen=True, slots=True, eq=False)
class FittedWeekByWeek:
    """The posterior after the last complete week.

    spec   : options
    key    : of the generators of all rows
    sample : spread, ratio and calendar effects by week
    folded : rows taken in, and where the filters stand
    """

    spec: Specification
    key: int
    sample: CurveSample
    folded: Folded[Followed]

    def update(self, design: Design) -> FittedWeekByWeek:
        """Take in the rows completed since."""
        return week_by_week(self.spec, self.key, design, self.folded)

    def log_density(self) -> pd.Series:
        """Log predictive density of each week's spread given its ratio, the week before; missing in training."""
        density = self.folded.state.filters["spread"].log_density
        weeks = pd.date_range(end=self.folded.periods[-1], periods=len(density), freq="7D", unit="us")
        return pd.Series(density, weeks, name="log_density")

    def predict(
        self, periods: pd.DatetimeIndex, *, scenario: Scenario | None = None, n_draws: int, rng: np.random.Generator
    ) -> PredictiveDistribution:
        """Draw coefficients and volatilities, let them move on, and follow the equations.

        Draws that would explode are left out, where there are others.

        Raises
        ------
        NeedsScenarioError : the scenario lacks a week, or a calendar effect is not known so far ahead
        ShortHistoryError  : the sample of the ratio is too short for paths of this length
        """

        def moved(after: int, weeks: int) -> tuple[ByEquation, ByEquation]:
            # The clouds are of the last complete week.
            return self._moved(after - self.sample.last_complete, weeks, n_draws, rng)

        return self.spec.system.forecast(self.sample, moved, periods, scenario, n_draws=n_draws, rng=rng)

    def _moved(self, bridged: int, weeks: int, n_draws: int, rng: np.random.Generator) -> tuple[ByEquation, ByEquation]:
        """Coefficients and noise of ``weeks`` after some that are bridged."""
        system, coefficients, noise = self.spec.system, {}, {}
        draws = calm_draws(dict(_clouds(self.folded.state.filters)), system, n_draws, rng)
        for name, hidden in system.rounding.items():
            moved, variance = moving_on(draws[name], bridged + weeks, rng)
            coefficients[name] = moved[:, bridged:]
            noise[name] = (np.sqrt(variance + hidden) * rng.standard_normal(variance.shape))[:, bridged:]
        return coefficients, noise

    def ampleness(self) -> Ampleness:
        """Slopes with draws of each week's filtering distribution: what was known then, not since."""
        system, (weeks, slopes) = self.spec.system, zip(*self.folded.state.slopes, strict=True)
        index = pd.DatetimeIndex(weeks).as_unit("us")
        return Ampleness(
            spread=self.spec.spread,
            draws_are="filter",
            weeks=index,
            ratio=self.folded.rows[self.folded.periods.get_indexer(index), 1],
            slope=np.column_stack(slopes),
            thresholds={},
            prior={"slope": prior_slopes(system, len(self.folded.periods))},
            sign_free=True,
            notes=(system.told,),
        )


def calm_draws(
    clouds: Mapping[str, Cloud], system: DriftingSystem, n: int, rng: np.random.Generator
) -> dict[str, Parameters]:
    """Draws of all equations without those that explode, or the calmest if there are too few others."""
    pool = _POOL * n if system.may_explode else n
    draws = {name: parameter_draws(cloud, pool, rng) for name, cloud in clouds.items()}
    roots = system.roots({name: each[0] for name, each in draws.items()})
    calm = np.flatnonzero(roots < 1)
    rows = calm[:n] if len(calm) >= n else np.argsort(roots, kind="stable")[:n]
    return {
        name: (b[rows], drift[rows], h[rows], volatility[rows]) for name, (b, drift, h, volatility) in draws.items()
    }
