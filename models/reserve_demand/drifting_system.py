"""Two ways in which a spread may follow reserves with coefficients that drift: equations, priors, slopes, forecasts.

    Regression       s(t) = a + rho s(t-1) + b x(t) + g'd(t) + u(t) + r(t)
    Autoregression   x(t) = c + sum_l [A(l) x(t-l) + B(l) s(t-l)] + f'd(t) + e(t)
                     s(t) = k + a x(t) + sum_l [C(l) x(t-l) + D(l) s(t-l)] + g'd(t) + u(t) + r(t)

s is a spread over the rate on reserves (bp, week average), x the reserve ratio (percent of bank assets, counted from 12),
d calendar effects. Coefficients are random walks, log variances of u and e stationary autoregressions, r is the error
of published rounding. The autoregression is triangular: given x its second equation is a regression, so the two posteriors
are independent and each is learnt alone.

Every system is estimated in two ways, with the priors that stand here: from the whole sample (:mod:`.hindsight`)
and week by week (:mod:`.week_by_week`).

References
----------
Primiceri (2005), Review of Economic Studies 72; Carriero, Clark and Marcellino (2019), Journal of Econometrics 212, for
the triangular form.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, NamedTuple, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.predictive import PredictiveDistribution
from forecast.scenario import Scenario

# Modules of one package import each other relatively, in folders too: the architecture test asks for it.
from ..ragged_edge import feature_paths
from .curve_path import CurveSample, require_at_least
from .drifting_paths import instrumental_slopes, joint_paths, largest_root, persistent_slope, prior_coefficients, walk
from .reserve_ratio import RATIO

if TYPE_CHECKING:
    from ..kernels.drifting_regression import Priors, Sample

type Array = NDArray[np.float64]
type ByEquation = Mapping[str, Array]
# Last week whose coefficients are asked for less one, and how many weeks from there -> coefficients (D, W, k) and noise (D, W).
type Moved = Callable[[int, int], tuple[ByEquation, ByEquation]]

# Names of the equations.
OF_RATIO, OF_SPREAD = "ratio", "spread"
# Percent of bank assets from which x is counted, so that level and slope are not the same thing twice.
CENTRE = 12.0
# bp: a rate in whole basis points, and the average of days that all round alike.
ROUNDING_SD = 12**-0.5
# A week's drift is a priori below a fortieth of the prior's sd, two chances in three: a year moves a coefficient by a fifth.
_DRIFT = 1 / 40
# Prior standard deviations of constants and calendar effects; of the first own lag; of one variable on the other. Those of
# lag l are 1 / l of them. Ratio in percentage points, spread in bp.
_RATIO_LEVEL, _SPREAD_LEVEL = 0.5, 5.0
_OWN = 0.3
_RATIO_ON_SPREAD, _SPREAD_ON_RATIO = 0.05, 2.0  # percentage points per bp, bp per percentage point
# The ratio is close to a random walk; the spread comes back within weeks.
_RATIO_PERSISTENCE, _SPREAD_PERSISTENCE = 1.0, 0.6
# mean and sd of mu, log squared units; two shapes of phi, about 0.93 weekly; scale of sigma
_RATIO_VOLATILITY, _SPREAD_VOLATILITY = (-3.0, 2.0, 20.0, 1.5, 0.5), (0.0, 2.0, 20.0, 1.5, 0.5)


class Equation(NamedTuple):
    """One equation of a system.

    regressors : (k,) names
    sample     : data
    priors     : of coefficients, drifts and volatility
    """

    regressors: tuple[str, ...]
    sample: Sample
    priors: Priors


@dataclass(frozen=True, slots=True)
class DriftingRegression:
    """The regression.

    Its slope b (1 + rho + ... + rho^h), bp per percentage point of bank assets, is the response of the spread h weeks after
    the ratio has moved for good. It is what the instrumental slope of the autoregression is where the ratio is a random walk,
    so the two compare; h = 0 gives the impact, h without end the long run b / (1 - rho). Its sign is free.

    spread      : bp over the rate on reserves
    effects     : calendar effects d(t), 0 or 1
    weeks_after : h of the slope
    rounding_sd : bp, of r(t)
    """

    spread: str
    effects: tuple[str, ...]
    weeks_after: int
    rounding_sd: float = ROUNDING_SD
    lags: ClassVar[int] = 1
    # Persistence beyond one is taken as one in forecasts.
    may_explode: ClassVar[bool] = False

    def __post_init__(self) -> None:
        _require(self)

    @property
    def rounding(self) -> Mapping[str, float]:
        """Variance of what rounding hides, by equation, in the order in which they are drawn."""
        return {OF_SPREAD: self.rounding_sd**2}

    @property
    def told(self) -> str:
        """What the slope is, for the reader."""
        return f"response {_later(self.weeks_after)} the ratio has moved for good"

    def priors(self) -> dict[str, Priors]:
        """Of each equation."""
        none = [0.0] * len(self.effects)
        mean = np.array([0.0, _SPREAD_PERSISTENCE, 0.0, *none])
        return {OF_SPREAD: _priors(mean, [_SPREAD_LEVEL, _OWN, _SPREAD_ON_RATIO], _SPREAD_VOLATILITY)}

    def samples(self, rows: Array) -> dict[str, Sample]:
        """Data of each equation from (T, 2 + E) rows of spread (bp), ratio (percent) and calendar effects."""
        regressors = np.column_stack([_delayed(rows[:, 0], 1), rows[:, 1] - CENTRE, rows[:, 2:]])
        return {OF_SPREAD: _sample(rows[:, 0], regressors, self.rounding[OF_SPREAD])}

    def regressors(self) -> dict[str, tuple[str, ...]]:
        """Names of the regressors of each equation."""
        return {OF_SPREAD: ("constant", "lagged spread", RATIO, *self.effects)}

    def slopes(self, coefficients: ByEquation) -> Array:
        """(...) bp per percentage point of bank assets from (..., k) coefficients."""
        return persistent_slope(coefficients[OF_SPREAD], self.weeks_after)

    def roots(self, coefficients: ByEquation) -> Array:
        """(S,) modulus that must be below one for a draw not to explode: none does."""
        return np.zeros(len(coefficients[OF_SPREAD]))

    def forecast(
        self,
        sample: CurveSample,
        moved: Moved,
        periods: pd.DatetimeIndex,
        scenario: Scenario | None,
        *,
        n_draws: int,
        rng: np.random.Generator,
    ) -> PredictiveDistribution:
        """Walk from the last published spread; without a scenario the ratio is a random walk with the changes of the past."""
        regressors = sample.paths(periods, scenario, n_draws, rng)[:, 1:].copy()
        regressors[:, :, 0] -= CENTRE
        last = sample.last_published
        coefficients, noise = (each[OF_SPREAD] for each in moved(last, regressors.shape[1]))
        walked = walk(sample.history.values[last, 0], regressors, coefficients, noise)
        return sample.history.distribution(walked[:, -len(periods) :, None], periods)


@dataclass(frozen=True, slots=True)
class DriftingAutoregression:
    """The vector autoregression.

    The innovation of the ratio, e, is the instrument of its slope,

        slope(t) = [response of s to e after h weeks] / [response of x to e after h weeks],

    bp per percentage point of bank assets, with coefficients held at their values in t. Its sign is free. Where the response
    of the ratio is near zero the quotient has heavy tails: medians and quantiles say something, means do not.

    spread, effects, weeks_after, rounding_sd : as in :class:`DriftingRegression`
    lags                                      : weeks of lags of both
    """

    spread: str
    lags: int
    effects: tuple[str, ...]
    weeks_after: int
    rounding_sd: float = ROUNDING_SD
    may_explode: ClassVar[bool] = True

    def __post_init__(self) -> None:
        _require(self)

    @property
    def rounding(self) -> Mapping[str, float]:
        """Variance of what rounding hides, by equation, in the order in which they are drawn."""
        return {OF_RATIO: 0.0, OF_SPREAD: self.rounding_sd**2}

    @property
    def told(self) -> str:
        """What the slope is, for the reader."""
        return f"response {_later(self.weeks_after)} an innovation of the ratio"

    def priors(self) -> dict[str, Priors]:
        """Of each equation."""
        shrunk, effects = 1 / np.arange(1, self.lags + 1), np.zeros(len(self.effects))
        none, first = np.zeros(self.lags), np.arange(self.lags) == 0
        mean = np.concatenate([[0.0], _RATIO_PERSISTENCE * first, none, effects])
        sd = [_RATIO_LEVEL, *(_OWN * shrunk), *(_RATIO_ON_SPREAD * shrunk)]
        ratio = _priors(mean, sd, _RATIO_VOLATILITY)
        mean = np.concatenate([[0.0, 0.0], none, _SPREAD_PERSISTENCE * first, effects])
        sd = [_SPREAD_LEVEL, _SPREAD_ON_RATIO, *(_SPREAD_ON_RATIO * shrunk), *(_OWN * shrunk)]
        return {OF_RATIO: ratio, OF_SPREAD: _priors(mean, sd, _SPREAD_VOLATILITY)}

    def samples(self, rows: Array) -> dict[str, Sample]:
        """Data of each equation from (T, 2 + E) rows of spread (bp), ratio (percent) and calendar effects."""
        x, s, effects = rows[:, 1] - CENTRE, rows[:, 0], rows[:, 2:]
        lagged = np.column_stack([_delayed(v, lag) for v in (x, s) for lag in range(1, self.lags + 1)])
        regressors = {
            OF_RATIO: np.column_stack([lagged, effects]),
            OF_SPREAD: np.column_stack([x, lagged, effects]),
        }
        y = {OF_RATIO: x, OF_SPREAD: s}
        return {name: _sample(y[name], regressors[name], rounding) for name, rounding in self.rounding.items()}

    def regressors(self) -> dict[str, tuple[str, ...]]:
        """Names of the regressors of each equation."""
        lagged = tuple(f"{v}, lag {lag}" for v in (RATIO, self.spread) for lag in range(1, self.lags + 1))
        rest = (*lagged, *self.effects)
        return {OF_RATIO: ("constant", *rest), OF_SPREAD: ("constant", RATIO, *rest)}

    def slopes(self, coefficients: ByEquation) -> Array:
        """(...) bp per percentage point of bank assets from (..., k) coefficients."""
        return instrumental_slopes(coefficients[OF_RATIO], coefficients[OF_SPREAD], self.lags, self.weeks_after)

    def roots(self, coefficients: ByEquation) -> Array:
        """(S,) modulus that must be below one for a draw not to explode."""
        return largest_root(coefficients[OF_RATIO], coefficients[OF_SPREAD], self.lags)

    def forecast(
        self,
        sample: CurveSample,
        moved: Moved,
        periods: pd.DatetimeIndex,
        scenario: Scenario | None,
        *,
        n_draws: int,
        rng: np.random.Generator,
    ) -> PredictiveDistribution:
        """Iterate from the last complete week: the spread, and the ratio too where neither publication nor scenario gives it.

        What the spread of a week says about its ratio, where that is not yet published, is left out.
        """
        del rng  # all that is random is in ``moved``
        bridge = sample.bridge(self.lags, periods, scenario, n_draws)
        coefficients, noise = moved(bridge.last, len(bridge.weeks))
        effects = feature_paths(sample.known[list(self.effects)], bridge.weeks, None, n_draws)[0]
        before = bridge.before
        x = np.concatenate([np.tile(before[:, 0], (len(bridge.ratio), 1)), bridge.ratio], axis=1) - CENTRE
        s = np.concatenate([before[:, 1], bridge.spread])
        walked = joint_paths(x, s, effects, coefficients, noise)
        return sample.history.distribution(walked[:, -len(periods) :, None], periods)


type DriftingSystem = DriftingRegression | DriftingAutoregression


class DriftingModel(Protocol):
    """A model of a system, however it is estimated."""

    @property
    def name(self) -> str: ...

    @property
    def spread(self) -> str: ...

    @property
    def features(self) -> tuple[str, ...]: ...

    @property
    def system(self) -> DriftingSystem: ...


def equations(system: DriftingSystem, rows: Array) -> dict[str, Equation]:
    """The equations of a system, in the order in which they are drawn.

    Parameters
    ----------
    rows : (T, 2 + E) spread (bp), ratio (percent), calendar effects
    """
    samples, priors, names = system.samples(rows), system.priors(), system.regressors()
    return {name: Equation(names[name], samples[name], priors[name]) for name in system.rounding}


def prior_slopes(system: DriftingSystem, weeks: int) -> Array:
    """(S,) slopes after ``weeks`` of drift, before any data."""
    drawn = {n: prior_coefficients(p.mean, p.sd, p.drift_sd, weeks) for n, p in system.priors().items()}
    return system.slopes(drawn)


def _require(system: DriftingSystem) -> None:
    require_at_least(system, lags=1, weeks_after=0)
    if not system.rounding_sd > 0:
        raise ValueError(f"rounding_sd = {system.rounding_sd}; a spread that stands still needs more than 0 bp")


def _later(weeks: int) -> str:
    return f"{weeks} {'week' if weeks == 1 else 'weeks'} after"


# --------------------------------------------------------------------------- arrays


def _priors(mean: Array, sd: list[float], volatility: tuple[float, ...]) -> Priors:
    """Priors from (k,) means and the standard deviations of all but calendar effects, which have that of the constant."""
    from ..kernels.drifting_regression import Priors

    whole = np.array([*sd, *[sd[0]] * (len(mean) - len(sd))])
    return Priors(mean, whole, _DRIFT * whole, np.array(volatility))


def _sample(y: Array, regressors: Array, rounding: float) -> Sample:
    from ..kernels.drifting_regression import Sample

    return Sample(*with_holes(y, regressors), rounding)


def with_holes(y: Array, regressors: Array) -> tuple[Array, Array]:
    """y and (1, regressors), with y missing and regressors zero in weeks in which anything is missing."""
    X = np.column_stack([np.ones(len(y)), regressors])
    complete = np.isfinite(y) & np.isfinite(X).all(axis=1)
    return np.where(complete, y, np.nan), np.ascontiguousarray(np.where(complete[:, None], X, 0.0))


def _delayed(values: Array, weeks: int) -> Array:
    """Values of ``weeks`` before; missing at the beginning."""
    return np.concatenate([np.full(weeks, np.nan), values[:-weeks]])
