"""Regression with drifting coefficients and stochastic volatility, by Gibbs sampling of the whole sample.

    s(t) = a(t) + rho(t) s(t-1) + b(t) (x(t) - 12) + g(t)' d(t) + u(t) + r(t),    u(t) ~ N(0, exp(h(t)))

Symbols, units, priors and slope are those of :class:`.drifting_system.DriftingRegression`.

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

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from forecast.features.feature_set import Design

# Modules of one package import each other relatively, in folders too: the architecture test asks for it.
from .drifting_system import ROUNDING_SD, DriftingRegression
from .gibbs_chains import GibbsSampler
from .hindsight import FittedWithHindsight, with_hindsight
from .reserve_ratio import RATIO


@dataclass(frozen=True, slots=True)
class TimeVaryingRegression:
    """Structure of the regression, and length of the chains.

    Without a scenario the ratio is a random walk with the changes of the past. In forecasts coefficients and volatility
    go on drifting; persistence beyond one is taken as one there.

    spread                       : target, bp over the rate on reserves
    effects                      : calendar effects d(t), 0 or 1
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
        _ = self.system, self.sampler

    @property
    def targets(self) -> tuple[str, ...]:
        """The spread."""
        return (self.spread,)

    @property
    def features(self) -> tuple[str, ...]:
        """The reserve ratio and the calendar."""
        return (RATIO, *self.effects)

    @property
    def system(self) -> DriftingRegression:
        """Equations and priors."""
        return DriftingRegression(self.spread, self.effects, self.weeks_after, self.rounding_sd)

    @property
    def sampler(self) -> GibbsSampler:
        """How the posterior is drawn."""
        return GibbsSampler(self.chains, self.burn_in, self.draws, self.every, self.max_rhat, self.min_ess)

    def fit(self, design: Design, *, rng: np.random.Generator) -> FittedWithHindsight:
        """Sample the posterior; refuses what :func:`.hindsight.with_hindsight` refuses."""
        return with_hindsight(self, design, rng)
