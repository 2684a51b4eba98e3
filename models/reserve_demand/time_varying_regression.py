"""Regression with drifting coefficients and stochastic volatility, by Gibbs sampling of the whole sample.

    s(t) = a(t) + rho(t) s(t-1) + b(t) (x(t) - 12) + g(t)' c(t) + e(t) + r(t),    e(t) ~ N(0, exp(h(t)))

s is a spread over the rate on reserves (bp, week average), x the reserve ratio (percent of bank assets), c calendar effects.
Coefficients are random walks, h a stationary autoregression. The slope b (1 + rho + ... + rho^h), in bp per percentage
point of bank assets, is the response of the spread h weeks after the ratio has moved for good. Its sign is free.

r(t) is the error of published rounding, N(0, rounding_sd^2). Rates come in whole basis points: a day's rate errs by
1 / sqrt(12) = 0.29 bp, and so does the average of a week whose days all round alike, as they do wherever the spread
hardly moves. (Were the five errors independent their average would err by 0.13 bp.) Where the published spread stands
exactly still for two years r(t) keeps the volatility from falling without end; where it moves by basis points r(t) does
nothing. The choice matters: with 0.13 bp the posterior of EFFR over IORB since 2009 has two modes, a persistent
spread that hardly needs the ratio and a level and slope that drift, chains do not cross between them, and the gate
refuses the fit. With 0.29 bp the second is left.

It is the model that :mod:`.online_regression` follows week by week, with the same priors. Here every week is told with
hindsight: what is told of the past rests on what came after.

References
----------
Primiceri (2005), Review of Economic Studies 72; Del Negro and Primiceri (2015), ibid. 82 (order of the blocks).
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
from ..residual_rows import require_rows
from .curve_path import CurveSample, curve_sample, require_moving
from .gibbs_chains import Equation, GibbsSampler
from .online_regression import CENTRE, MINIMUM_WEEKS, OnlineRegression, moving_on, persistent_slope, walk
from .reserve_ratio import RATIO

if TYPE_CHECKING:
    import xarray as xr

type Array = NDArray[np.float64]

# bp: a rate in whole basis points, and the average of days that all round alike.
ROUNDING_SD = 12**-0.5
_SPREAD = "spread"
_CONSTANT, _LAG = "constant", "lagged spread"


@dataclass(frozen=True, slots=True)
class TimeVaryingRegression:
    """Structure of the regression, and length of the chains.

    Without a scenario the ratio is a random walk with the changes of the past. In forecasts coefficients and volatility
    go on drifting; persistence beyond one is taken as one there.

    spread                       : target, bp over the rate on reserves
    effects                      : calendar effects c(t), 0 or 1
    weeks_after                  : h of the slope
    rounding_sd                  : bp, of the error of published rounding
    chains, burn_in, draws, every : of the sampler; see :class:`.gibbs_chains.GibbsSampler`
    max_rhat, min_ess            : what every parameter must reach
    """

    spread: str = "effr_iorb"
    effects: tuple[str, ...] = ("quarter_end_week", "month_end_week", "tax_week")
    weeks_after: int = 1
    rounding_sd: float = ROUNDING_SD
    chains: int = 4
    burn_in: int = 2000
    draws: int = 1000
    every: int = 10
    max_rhat: float = 1.01
    min_ess: float = 400.0
    name: ClassVar[str] = "time_varying_regression"
    needs: ClassVar[tuple[str, ...]] = (RATIO,)
    sampled: ClassVar[bool] = True
    tells_ampleness: ClassVar[bool] = True
    requires: ClassVar[tuple[str, ...]] = ("numba", "arviz")

    def __post_init__(self) -> None:
        if self.weeks_after < 0:
            raise ValueError(f"weeks_after = {self.weeks_after}; give at least 0")
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

    def fit(self, design: Design, *, rng: np.random.Generator) -> FittedTimeVaryingRegression:
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
            return persistent_slope(paths[_SPREAD], self.weeks_after)

        posterior = self.sampler.sample(
            {_SPREAD: self._equation(rows)}, weeks, tell, seed=int(rng.integers(2**31)), name=self.name
        )
        return FittedTimeVaryingRegression(self, posterior, sample)

    def _equation(self, rows: Array) -> Equation:
        from ..kernels.drifting_regression import Sample

        y, X = with_holes(rows[1:, 0], np.column_stack([rows[:-1, 0], rows[1:, 1] - CENTRE, rows[1:, 2:]]))
        # Before the first week nothing is known of it: the week is there, so that paths begin with the sample.
        y, X = np.insert(y, 0, np.nan), np.vstack([np.zeros(X.shape[1]), X])
        priors = OnlineRegression(effects=self.effects).settings.priors
        return Equation((_CONSTANT, _LAG, RATIO, *self.effects), Sample(y, X, self.rounding_sd**2), priors)


@dataclass(frozen=True, slots=True, eq=False)
class FittedTimeVaryingRegression:
    """Posterior of the regression, and what the forecast starts from.

    spec      : structure
    posterior : ``posterior``, chain x draw; see :meth:`.gibbs_chains.GibbsSampler.sample`
    sample    : spread, ratio and calendar effects by week
    """

    spec: TimeVaryingRegression
    posterior: xr.DataTree
    sample: CurveSample

    def predict(
        self, periods: pd.DatetimeIndex, *, scenario: Scenario | None = None, n_draws: int, rng: np.random.Generator
    ) -> PredictiveDistribution:
        """Let coefficients and volatility move on, and walk from the last published spread.

        Raises
        ------
        NeedsScenarioError : the scenario lacks a week, or a calendar effect is not known so far ahead
        ShortHistoryError  : the sample of the ratio is too short for paths of this length
        """
        regressors = self.sample.paths(periods, scenario, n_draws, rng)[:, 1:]
        history = self.sample.history
        last = len(history.periods) - 1 - int(history.gaps[0])
        coefficients, variance = future_of(self.posterior, _SPREAD, regressors.shape[1], n_draws, rng)
        design = np.concatenate([regressors[:, :, :1] - CENTRE, regressors[:, :, 1:]], axis=2)
        noise = np.sqrt(variance + self.spec.rounding_sd**2) * rng.standard_normal(variance.shape)
        walked = walk(history.values[last, 0], design, coefficients, noise)
        return history.distribution(walked[:, -len(periods) :, None], periods)

    def ampleness(self) -> Ampleness:
        """Slopes in each week given the whole sample."""
        weeks, ratio, slope = told_weeks(self.posterior, self.sample)
        return Ampleness(
            spread=self.spec.spread,
            draws_are="posterior",
            weeks=weeks,
            ratio=ratio,
            slope=slope,
            thresholds={},
            prior={"slope": self._prior_slopes()},
            sign_free=True,
            notes=(f"response {self.spec.weeks_after} weeks after the ratio moved for good, told with hindsight",),
        )

    def _prior_slopes(self) -> Array:
        priors = OnlineRegression(effects=self.spec.effects).settings.priors
        weeks = self.posterior["posterior"].sizes["week"]
        return persistent_slope(
            prior_coefficients(priors.mean, priors.sd, priors.drift_sd, weeks), self.spec.weeks_after
        )


# --------------------------------------------------------------------------- arrays


def weekly_rows(sample: CurveSample) -> tuple[pd.DatetimeIndex, Array]:
    """Weeks from the first complete one to the last published spread, and their (T, 1 + F) spread and regressors."""
    history = sample.history
    first = int(history.periods.get_indexer(sample.complete()[0][:1])[0])
    end = len(history.periods) - int(history.gaps[0])
    known = sample.known.to_numpy(dtype=float)[first:end]
    return pd.DatetimeIndex(history.periods[first:end]), np.column_stack([history.values[first:end, 0], known])


def with_holes(y: Array, regressors: Array) -> tuple[Array, Array]:
    """y and (1, regressors), with y missing and regressors zero in weeks in which anything is missing."""
    X = np.column_stack([np.ones(len(y)), regressors])
    complete = np.isfinite(y) & np.isfinite(X).all(axis=1)
    return np.where(complete, y, np.nan), np.ascontiguousarray(np.where(complete[:, None], X, 0.0))


def future_of(
    posterior: xr.DataTree,
    equation: str,
    weeks: int,
    n_draws: int,
    rng: np.random.Generator,
    *,
    chosen: NDArray[np.intp] | None = None,
) -> tuple[Array, Array]:
    """Coefficients (D, W, k) and variances (D, W) of the weeks after the sample, along posterior draws.

    Parameters
    ----------
    chosen : (D,) numbers of the posterior draws; by default each as often as any other, in random order
    """
    names = (f"{what}_{equation}" for what in ("coefficients", "drift", "log_variance", "volatility"))
    b, drift, h, volatility = (flat(posterior, name) for name in names)
    if chosen is None:
        # Path i of a scenario must not always meet the same parameters.
        chosen = rng.permutation(np.arange(n_draws) % len(b))
    return moving_on((b[chosen], drift[chosen], h[chosen, -1], volatility[chosen]), weeks, rng)


def told_weeks(posterior: xr.DataTree, sample: CurveSample) -> tuple[pd.DatetimeIndex, Array, Array]:
    """Weeks of the sample whose ratio is known, (T,), the ratio in percent, (T,), and (S, T) draws of the slope."""
    weeks, rows = weekly_rows(sample)
    known = np.isfinite(rows[:, 1])
    return pd.DatetimeIndex(weeks[known]), rows[known, 1], flat(posterior, "slope")[:, known]


def prior_coefficients(mean: Array, sd: Array, drift_sd: Array, weeks: int, n: int = 4000) -> Array:
    """(n, k) coefficients after ``weeks`` of drift, before any data."""
    rng = np.random.default_rng(0)
    start = mean + sd * rng.standard_normal((n, len(mean)))
    drift = drift_sd * rng.standard_normal((n, len(mean)))
    return np.asarray(start + np.sqrt(weeks) * drift * rng.standard_normal((n, len(mean))))
