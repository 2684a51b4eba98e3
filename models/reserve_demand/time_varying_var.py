"""Vector autoregression of reserve ratio and spread with drifting coefficients and stochastic volatility.

    x(t) = c(t) + sum_l [A(t, l) x(t-l) + B(t, l) s(t-l)] + g(t)' d(t) + e(t)
    s(t) = k(t) + a(t) x(t) + sum_l [C(t, l) x(t-l) + D(t, l) s(t-l)] + f(t)' d(t) + u(t) + r(t)

x is the reserve ratio (percent of bank assets, counted from 12), s the spread over the rate on reserves (bp), d calendar
effects; e and u have variances exp(h) of their own, r is the error of published rounding. The system is triangular: given x,
the second equation is a regression, so that the two posteriors are independent and each is sampled alone, with scalar
observations (:mod:`..kernels.drifting_regression`, which says in which order and why). Contemporaneous coefficient and
lags of an equation are one block, and mixture components of the volatilities are drawn after everything that enters
the disturbances and right before the volatilities (Del Negro and Primiceri 2015; in Primiceri's first order they were
drawn before the coefficients, which are then conditioned on components that are not theirs).

The innovation of the ratio, e, is the instrument of the slope,

    slope(t) = [response of s to e after h weeks] / [response of x to e after h weeks],

with coefficients held at their values in t. Its sign is free. Where the response of the ratio is near zero the quotient has
heavy tails: medians and quantiles say something, means do not.

References
----------
Primiceri (2005), Review of Economic Studies 72. Del Negro and Primiceri (2015), ibid. 82. Afonso, Giannone, La Spada and
Williams (2022), Staff Report 1019, for the slope. Carriero, Clark and Marcellino (2019), Journal of Econometrics 212,
for the triangular algorithm. Cogley and Sargent (2005), Review of Economic Dynamics 8: forecasts use stable draws only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.answers.ampleness import Ampleness
from forecast.features.feature_set import Design
from forecast.predictive import PredictiveDistribution
from forecast.scenario import Scenario

# Modules of one package import each other relatively, in folders too: the architecture test asks for it.
from .._posterior import flat
from ..ragged_edge import feature_paths
from ..residual_rows import require_rows
from .curve_path import CurveSample, curve_sample, require_moving
from .gibbs_chains import Equation, GibbsSampler
from .online_regression import CENTRE, DRIFT, MINIMUM_WEEKS
from .reserve_ratio import RATIO
from .time_varying_regression import ROUNDING_SD, future_of, prior_coefficients, told_weeks, weekly_rows, with_holes

if TYPE_CHECKING:
    import xarray as xr

    from ..kernels.drifting_regression import Priors

type Array = NDArray[np.float64]

_RATIO, _SPREAD = "ratio", "spread"
# Prior standard deviations at the first lag; those at lag l are 1 / l of them. Ratio in percentage points, spread in bp.
_OWN = 0.3
_RATIO_ON_SPREAD, _SPREAD_ON_RATIO = 0.05, 2.0  # percentage points per bp, bp per percentage point
_RATIO_LEVEL, _SPREAD_LEVEL = 0.5, 5.0  # of constants and calendar effects
# The ratio is close to a random walk; the spread comes back within weeks.
_RATIO_PERSISTENCE, _SPREAD_PERSISTENCE = 1.0, 0.6
# mean and sd of mu, log squared units; two shapes of phi, about 0.93 weekly; scale of sigma
_RATIO_VOLATILITY, _SPREAD_VOLATILITY = (-3.0, 2.0, 20.0, 1.5, 0.5), (0.0, 2.0, 20.0, 1.5, 0.5)
# Fewer stable draws than this share of all say that the system itself explodes: then all are used.
_STABLE_SHARE = 0.05


@dataclass(frozen=True, slots=True)
class TimeVaryingVAR:
    """Structure of the vector autoregression, and length of the chains.

    Without a scenario the ratio follows its own equation, jointly with the spread; with one the spread follows its equation
    given the ratio's path. Coefficients and volatilities go on drifting.

    spread                       : target, bp over the rate on reserves
    lags                         : weeks of lags of both
    effects                      : calendar effects d(t), 0 or 1, in both equations
    weeks_after                  : h of the slope
    rounding_sd                  : bp, of the error of published rounding; see :mod:`.time_varying_regression`
    chains, burn_in, draws, every : of the sampler; see :class:`.gibbs_chains.GibbsSampler`
    max_rhat, min_ess            : what every parameter must reach
    """

    spread: str = "effr_iorb"
    lags: int = 2
    effects: tuple[str, ...] = ("quarter_end_week",)
    weeks_after: int = 1
    rounding_sd: float = ROUNDING_SD
    chains: int = 4
    burn_in: int = 2000
    draws: int = 1000
    every: int = 10
    max_rhat: float = 1.01
    min_ess: float = 400.0
    name: ClassVar[str] = "time_varying_var"
    needs: ClassVar[tuple[str, ...]] = (RATIO,)
    sampled: ClassVar[bool] = True
    tells_ampleness: ClassVar[bool] = True
    requires: ClassVar[tuple[str, ...]] = ("numba", "arviz")

    def __post_init__(self) -> None:
        for option, smallest in {"lags": 1, "weeks_after": 0}.items():
            if getattr(self, option) < smallest:
                raise ValueError(f"{option} = {getattr(self, option)}; give at least {smallest}")
        if not self.rounding_sd > 0:
            raise ValueError(f"rounding_sd = {self.rounding_sd}; a spread that stands still needs more than 0 bp")
        _ = self.sampler

    @property
    def targets(self) -> tuple[str, ...]:
        """The spread."""
        return (self.spread,)

    @property
    def features(self) -> tuple[str, ...]:
        """The reserve ratio and the calendar."""
        return (RATIO, *self.effects)

    @property
    def sampler(self) -> GibbsSampler:
        """How the posterior is drawn."""
        return GibbsSampler(self.chains, self.burn_in, self.draws, self.every, self.max_rhat, self.min_ess)

    def fit(self, design: Design, *, rng: np.random.Generator) -> FittedTimeVaryingVAR:
        """Sample the posterior.

        Raises
        ------
        UnitError         : the spread is not in bp or the ratio not in percent
        ShortHistoryError : fewer than 100 complete weeks
        ModelError        : the spread never moved
        DiagnosticsError  : the sampler did not converge
        """
        sample = curve_sample(self.name, self.spread, self.features, design)
        periods, spread, _ = sample.complete()
        require_rows(np.array([len(spread)]), (self.spread,), what="complete weeks", needed=MINIMUM_WEEKS)
        require_moving(self.name, self.spread, spread, periods)
        weeks, rows = weekly_rows(sample)

        def tell(paths: Mapping[str, Array]) -> Array:
            return instrumental_slopes(paths[_RATIO], paths[_SPREAD], self.lags, self.weeks_after)

        posterior = self.sampler.sample(
            self.equations(rows), weeks, tell, seed=int(rng.integers(2**31)), name=self.name
        )
        return FittedTimeVaryingVAR(self, posterior, sample)

    def equations(self, rows: Array) -> dict[str, Equation]:
        """Ratio, then spread given the ratio.

        Parameters
        ----------
        rows : (T, 2 + E) spread (bp), ratio (percent), calendar effects
        """
        from ..kernels.drifting_regression import Sample

        values, effects = np.column_stack([rows[:, 1] - CENTRE, rows[:, 0]]), rows[:, 2:]
        lagged = np.column_stack([_delayed(values[:, v], lag) for v in (0, 1) for lag in range(1, self.lags + 1)])
        ratio = Sample(*with_holes(values[:, 0], np.column_stack([lagged, effects])), 0.0)
        regressors = np.column_stack([values[:, 0], lagged, effects])
        spread = Sample(*with_holes(values[:, 1], regressors), self.rounding_sd**2)
        names = tuple(f"{v}, lag {lag}" for v in (RATIO, self.spread) for lag in range(1, self.lags + 1))
        priors = self._priors()
        return {
            _RATIO: Equation(("constant", *names, *self.effects), ratio, priors[_RATIO]),
            _SPREAD: Equation(("constant", RATIO, *names, *self.effects), spread, priors[_SPREAD]),
        }

    def _priors(self) -> dict[str, Priors]:
        from ..kernels.drifting_regression import Priors

        shrunk, effects = 1 / np.arange(1, self.lags + 1), np.ones(len(self.effects))
        none, first = np.zeros(self.lags), np.arange(self.lags) == 0
        mean = np.concatenate([[0.0], _RATIO_PERSISTENCE * first, none, 0 * effects])
        sd = np.concatenate([[_RATIO_LEVEL], _OWN * shrunk, _RATIO_ON_SPREAD * shrunk, _RATIO_LEVEL * effects])
        ratio = Priors(mean, sd, DRIFT * sd, np.array(_RATIO_VOLATILITY))
        mean = np.concatenate([[0.0, 0.0], none, _SPREAD_PERSISTENCE * first, 0 * effects])
        slope = np.concatenate([[_SPREAD_ON_RATIO], _SPREAD_ON_RATIO * shrunk])
        sd = np.concatenate([[_SPREAD_LEVEL], slope, _OWN * shrunk, _SPREAD_LEVEL * effects])
        return {_RATIO: ratio, _SPREAD: Priors(mean, sd, DRIFT * sd, np.array(_SPREAD_VOLATILITY))}

    def prior_slopes(self, weeks: int) -> Array:
        """(S,) slopes after ``weeks`` of drift, before any data."""
        drawn = {n: prior_coefficients(p.mean, p.sd, p.drift_sd, weeks) for n, p in self._priors().items()}
        return instrumental_slopes(drawn[_RATIO], drawn[_SPREAD], self.lags, self.weeks_after)


@dataclass(frozen=True, slots=True, eq=False)
class FittedTimeVaryingVAR:
    """Posterior of the vector autoregression, and what the forecast starts from.

    spec      : structure
    posterior : ``posterior``, chain x draw; see :meth:`.gibbs_chains.GibbsSampler.sample`
    sample    : spread, ratio and calendar effects by week
    """

    spec: TimeVaryingVAR
    posterior: xr.DataTree
    sample: CurveSample

    def predict(
        self, periods: pd.DatetimeIndex, *, scenario: Scenario | None = None, n_draws: int, rng: np.random.Generator
    ) -> PredictiveDistribution:
        """Let coefficients and volatilities move on, and walk from the last published spread.

        Weeks over whose ratio is not yet published are drawn first; what the spread of such a week says about its
        ratio is not used.

        Raises
        ------
        NeedsScenarioError : the scenario lacks a week, or a calendar effect is not known so far ahead
        """
        history, p = self.sample.history, self.spec.lags
        history.weeks_ahead(periods)
        last = len(history.periods) - 1 - int(history.gaps[0])
        over = self.sample.known[RATIO].to_numpy(dtype=float)[: len(history.periods)]
        first = min(last, int(np.flatnonzero(np.isfinite(over))[-1])) + 1  # the first week that is not complete
        weeks = pd.DatetimeIndex(history.periods[first - p :].append(periods))
        spread = np.concatenate([history.values[first - p :, 0], np.full(len(periods), np.nan)])
        ratio = self._ratio(weeks, scenario, n_draws)
        effects = feature_paths(self.sample.known[list(self.spec.effects)], weeks, None, n_draws)[0]
        chosen = self._chosen(n_draws, rng)
        ahead, over_already = len(weeks) - p - (last + 1 - first), last + 1 - first
        moved = {}
        for name in (_RATIO, _SPREAD):
            b, variance = future_of(self.posterior, name, ahead, n_draws, rng, chosen=chosen)
            # In weeks that are over the sample's last coefficients hold.
            moved[name] = tuple(np.concatenate([a[:, :1]] * over_already + [a], axis=1) for a in (b, variance))
        noise = {
            _RATIO: np.sqrt(moved[_RATIO][1]) * rng.standard_normal(moved[_RATIO][1].shape),
            _SPREAD: np.sqrt(moved[_SPREAD][1] + self.spec.rounding_sd**2)
            * rng.standard_normal(moved[_SPREAD][1].shape),
        }
        coefficients = {name: values[0] for name, values in moved.items()}
        walked = joint_paths(ratio - CENTRE, spread, effects, coefficients, noise)
        return history.distribution(walked[:, -len(periods) :, None], periods)

    def ampleness(self) -> Ampleness:
        """Instrumental slopes in each week given the whole sample."""
        weeks, ratio, slope = told_weeks(self.posterior, self.sample)
        return Ampleness(
            spread=self.spec.spread,
            draws_are="posterior",
            weeks=weeks,
            ratio=ratio,
            slope=slope,
            thresholds={},
            prior={"slope": self.spec.prior_slopes(self.posterior["posterior"].sizes["week"])},
            sign_free=True,
            notes=(f"response {self.spec.weeks_after} weeks after an innovation of the ratio, told with hindsight",),
        )

    def _ratio(self, weeks: pd.DatetimeIndex, scenario: Scenario | None, n_draws: int) -> Array:
        """(D or 1, W) percent; missing where the ratio's own equation is to say."""
        known = self.sample.known[[RATIO]]
        if scenario is None:
            return known.reindex(weeks).to_numpy(dtype=float).T
        return feature_paths(known, weeks, scenario, n_draws)[:, :, 0]

    def _chosen(self, n_draws: int, rng: np.random.Generator) -> NDArray[np.intp]:
        """Posterior draws whose system does not explode, each as often as any other, in random order."""
        now = [flat(self.posterior, f"coefficients_{name}") for name in (_RATIO, _SPREAD)]
        stable = np.flatnonzero(largest_root(now[0], now[1], self.spec.lags) < 1)
        if len(stable) < _STABLE_SHARE * len(now[0]):
            stable = np.arange(len(now[0]))
        return np.asarray(stable[rng.permutation(np.arange(n_draws) % len(stable))])


# --------------------------------------------------------------------------- arrays


def _delayed(values: Array, weeks: int) -> Array:
    """Values of ``weeks`` before; missing at the beginning."""
    return np.concatenate([np.full(weeks, np.nan), values[:-weeks]])


def instrumental_slopes(ratio: Array, spread: Array, lags: int, weeks_after: int) -> Array:
    """Response of the spread over that of the ratio, h weeks after an innovation of the ratio.

    Parameters
    ----------
    ratio  : (..., k) coefficients of the ratio's equation: constant, lags of the ratio, lags of the spread, others
    spread : (..., k + 1) of the spread's: constant, ratio, lags of the ratio, lags of the spread, others

    Returns
    -------
    (...) bp per percentage point of bank assets
    """
    x, s = [np.ones(ratio.shape[:-1])], [spread[..., 1]]
    for week in range(1, weeks_after + 1):
        moved, lagged = np.zeros(x[0].shape), np.zeros(x[0].shape)
        for lag in range(1, min(lags, week) + 1):
            moved += ratio[..., lag] * x[week - lag] + ratio[..., lags + lag] * s[week - lag]
            lagged += spread[..., 1 + lag] * x[week - lag] + spread[..., 1 + lags + lag] * s[week - lag]
        x.append(moved)
        s.append(spread[..., 1] * moved + lagged)
    return np.asarray(s[-1] / x[-1])


def largest_root(ratio: Array, spread: Array, lags: int) -> Array:
    """(S,) largest modulus of the companion matrix's eigenvalues; the system explodes beyond one."""
    companion = np.zeros((len(ratio), 2 * lags, 2 * lags))
    companion[:, 0] = ratio[:, 1 : 1 + 2 * lags]
    companion[:, lags] = spread[:, 2 : 2 + 2 * lags] + spread[:, 1:2] * ratio[:, 1 : 1 + 2 * lags]
    for lag in range(1, lags):
        companion[:, lag, lag - 1] = companion[:, lags + lag, lags + lag - 1] = 1.0
    return np.asarray(np.abs(np.linalg.eigvals(companion)).max(axis=1))


def joint_paths(
    ratio: Array,
    spread: Array,
    effects: Array,
    coefficients: Mapping[str, Array],
    noise: Mapping[str, Array],
) -> Array:
    """Spread along paths of both equations; what is known stays as it is.

    Parameters
    ----------
    ratio        : (D or 1, lags + W) percentage points from the centre, missing where its equation is to say
    spread       : (lags + W,) bp, missing where to be drawn
    effects      : (lags + W, E)
    coefficients : of "ratio" and "spread", (D, W, k) and (D, W, k + 1)
    noise        : likewise, (D, W)

    Returns
    -------
    (D, W) bp
    """
    D, W = noise[_SPREAD].shape
    lags = len(spread) - W
    x, s = np.empty((D, lags + W)), np.empty((D, lags + W))
    x[:], s[:] = ratio, spread
    for w in range(W):
        t = w + lags
        before = [values[:, t - lag] for values in (x, s) for lag in range(1, lags + 1)]
        regressors = np.column_stack([np.ones(D), *before, np.tile(effects[t], (D, 1))])
        drawn = (coefficients[_RATIO][:, w] * regressors).sum(axis=1) + noise[_RATIO][:, w]
        x[:, t] = np.where(np.isnan(x[:, t]), drawn, x[:, t])
        regressors = np.insert(regressors, 1, x[:, t], axis=1)
        drawn = (coefficients[_SPREAD][:, w] * regressors).sum(axis=1) + noise[_SPREAD][:, w]
        s[:, t] = np.where(np.isnan(s[:, t]), drawn, s[:, t])
    return s[:, lags:]
