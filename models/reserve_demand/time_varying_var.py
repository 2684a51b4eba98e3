"""Vector autoregression of reserve ratio and spread with drifting coefficients and stochastic volatility.

    x(t) = c(t) + sum_l [A(t, l) x(t-l) + B(t, l) s(t-l)] + f(t)' d(t) + e(t)
    s(t) = k(t) + a(t) x(t) + sum_l [C(t, l) x(t-l) + D(t, l) s(t-l)] + g(t)' d(t) + u(t) + r(t)

Symbols, units, priors and slope are those of :class:`.drifting_system.DriftingAutoregression`. Each equation is sampled
alone, with scalar observations (:mod:`..kernels.drifting_regression`, which says in which order and why). Contemporaneous
coefficient and lags of an equation are one block, and mixture components of the volatilities are drawn after everything
that enters the disturbances and right before the volatilities (Del Negro and Primiceri 2015; in Primiceri's first order
they were drawn before the coefficients, which are then conditioned on components that are not theirs).

It is the model that :mod:`.online_var` follows week by week, with the same priors.

References
----------
Primiceri (2005), Review of Economic Studies 72. Del Negro and Primiceri (2015), ibid. 82. Afonso, Giannone, La Spada and
Williams (2022), Staff Report 1019, for the slope. Cogley and Sargent (2005), Review of Economic Dynamics 8: forecasts use
stable draws only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from forecast.features.feature_set import Design

# Modules of one package import each other relatively, in folders too: the architecture test asks for it.
from .drifting_system import ROUNDING_SD, DriftingAutoregression
from .gibbs_chains import GibbsSampler
from .hindsight import FittedWithHindsight, with_hindsight
from .reserve_ratio import RATIO


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
    def system(self) -> DriftingAutoregression:
        """Equations and priors."""
        return DriftingAutoregression(self.spread, self.lags, self.effects, self.weeks_after, self.rounding_sd)

    @property
    def sampler(self) -> GibbsSampler:
        """How the posterior is drawn."""
        return GibbsSampler(self.chains, self.burn_in, self.draws, self.every, self.max_rhat, self.min_ess)

    def fit(self, design: Design, *, rng: np.random.Generator) -> FittedWithHindsight:
        """Sample the posterior; refuses what :func:`.hindsight.with_hindsight` refuses."""
        return with_hindsight(self, design, rng)
