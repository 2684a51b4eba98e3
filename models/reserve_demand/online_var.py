"""Vector autoregression of reserve ratio and spread that takes in one week after another.

It is the model of :mod:`.time_varying_var`: equations, units, priors and slope are those of
:class:`.drifting_system.DriftingAutoregression`. There every week is told with hindsight; here what is told of a past week
is what was known then, and a new week costs milliseconds (:mod:`.week_by_week`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from forecast.features.feature_set import Design

# Modules of one package import each other relatively, in folders too: the architecture test asks for it.
from .drifting_system import DriftingAutoregression
from .reserve_ratio import RATIO
from .week_by_week import FittedWeekByWeek, require_cloud, week_by_week


@dataclass(frozen=True, slots=True)
class OnlineVAR:
    """Structure and size of the clouds.

    Without a scenario the ratio follows its own equation, jointly with the spread; with one the spread follows its equation
    given the ratio's path. Coefficients and volatilities go on drifting.

    spread      : target, bp over the rate on reserves
    lags        : weeks of lags of both
    effects     : calendar effects, 0 or 1, in both equations
    weeks_after : h of the slope
    particles   : how many, each equation
    sweeps      : of Gibbs where all are moved
    training    : weeks after ``lags`` complete ones that are learnt from by Gibbs alone
    draws       : kept of each week's slope
    """

    spread: str = "effr_iorb"
    lags: int = 2
    effects: tuple[str, ...] = ("quarter_end_week",)
    weeks_after: int = 1
    particles: int = 1000
    sweeps: int = 2
    training: int = 52
    draws: int = 400
    name: ClassVar[str] = "online_var"
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
    def system(self) -> DriftingAutoregression:
        """Equations and priors."""
        return DriftingAutoregression(self.spread, self.lags, self.effects, self.weeks_after)

    def fit(self, design: Design, *, rng: np.random.Generator) -> FittedWeekByWeek:
        """Take in all complete weeks from the first; refuses what :func:`.week_by_week.week_by_week` refuses."""
        return week_by_week(self, int(rng.integers(2**63)), design)
