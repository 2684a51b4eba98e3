"""Regression with drifting coefficients and stochastic volatility that takes in one week after another.

    s(t) = a(t) + rho(t) s(t-1) + b(t) (x(t) - 12) + g(t)' d(t) + u(t) + r(t),    u(t) ~ N(0, exp(h(t)))

It is the model of :mod:`.time_varying_regression`: symbols, units, priors and slope are those of
:class:`.drifting_system.DriftingRegression`. There every week is told with hindsight; here what is told of a past week is
what was known then, and a new week costs a millisecond (:mod:`.week_by_week`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from forecast.features.feature_set import Design

# Modules of one package import each other relatively, in folders too: the architecture test asks for it.
from .drifting_system import DriftingRegression
from .reserve_ratio import RATIO
from .week_by_week import FittedWeekByWeek, require_cloud, week_by_week


@dataclass(frozen=True, slots=True)
class OnlineRegression:
    """Structure, priors and size of the cloud.

    Without a scenario the ratio is a random walk with the changes of the past. In forecasts coefficients go on drifting;
    persistence beyond one is taken as one there.

    spread      : target, bp over the rate on reserves
    effects     : calendar effects d(t), 0 or 1
    weeks_after : h of the slope
    particles   : how many
    sweeps      : of Gibbs where all are moved
    training    : weeks with a known week before them that are learnt from by Gibbs alone
    draws       : kept of each week's slope
    """

    spread: str = "effr_iorb"
    effects: tuple[str, ...] = ("quarter_end_week", "month_end_week", "tax_week")
    weeks_after: int = 1
    particles: int = 1000
    sweeps: int = 2
    training: int = 52
    draws: int = 400
    name: ClassVar[str] = "online_regression"
    needs: ClassVar[tuple[str, ...]] = (RATIO,)
    sampled: ClassVar[bool] = True
    updatable: ClassVar[bool] = True
    tells_ampleness: ClassVar[bool] = True
    requires: ClassVar[tuple[str, ...]] = ("numba",)

    def __post_init__(self) -> None:
        require_cloud(self)
        _ = self.system

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
        return DriftingRegression(self.spread, self.effects, self.weeks_after)

    def fit(self, design: Design, *, rng: np.random.Generator) -> FittedWeekByWeek:
        """Take in all complete weeks from the first; refuses what :func:`.week_by_week.week_by_week` refuses."""
        return week_by_week(self, int(rng.integers(2**63)), design)
