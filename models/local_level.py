"""Local level with regressors: a slowly moving level, seen through noise.

    y(t)  = mu(t) + beta' x(t) + e(t),     e ~ (0, s2 (1 - theta))
    mu(t) = mu(t-1) + n(t),                n ~ (0, s2 theta)

theta = 1 is a random walk with regression effects, theta near 0 a constant with noise. The differences of y
have covariance s2 [theta I + (1 - theta) A] with A = tridiag(-1, 2, -1), whose eigenvectors are sines
whatever theta is. One discrete sine transform therefore turns the exact diffuse likelihood into a sum over
weeks, and the estimate into a search over one number in [0, 1]: no optimiser that can fail to converge,
and a stretch without any variance is no special case.

The numbers are those of ``statsmodels.tsa.UnobservedComponents(y, "llevel", exog=x, mle_regression=False)``;
the tests hold them together. Its likelihood search takes 50 to 100 ms a target, this one about 3.

References
----------
Harvey (1989), Forecasting, Structural Time Series Models and the Kalman Filter, section 4.3; Anderson (1971), The
Statistical Analysis of Time Series, section 6.5, for the eigenvectors.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.features.feature_set import Design
from forecast.predictive import PredictiveDistribution
from forecast.scenario import Scenario

from .autoregression import draw_shocks
from .ragged_edge import TargetHistory, feature_paths, needs_scenario, target_history
from .regression import independent_columns
from .residual_rows import MINIMUM_ROWS, require_rows

type Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Level:
    """One estimated local level, after its last observation.

    theta  : share of the level's innovations in s2, between 0 and 1
    scale  : s, unit of y; zero where y never moved but by its regressors
    beta   : (F,) effects, unit of y per unit of x; zero for columns the sample cannot tell apart
    state  : expected level of the next week, unit of y
    spread : variance of the next week's level around it, in units of s2
    """

    theta: float
    scale: float
    beta: Array
    state: float
    spread: float


@dataclass(frozen=True, slots=True)
class LocalLevel:
    """Local level with regressors, target by target, with joint innovations.

    The one-week-ahead innovations of the filter carry both the uncertainty about today's level and all
    later disturbances. Forecasts draw whole past weeks of standardised innovations (mean zero, variance
    one), so first and second moments along the path are those of the state-space model, tails are
    those of history, and targets depend on each other within a week as their innovations did. The levels are not modelled
    jointly: no target's level learns from another's. theta, s2 and beta are taken as known.

    Weeks missing inside a target's history are interpolated linearly, which understates its noise there.

    features : regressors x(t), each in its unit; what the calendar does not fix needs a scenario
    """

    features: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    name: ClassVar[str] = "local_level"
    sampled: ClassVar[bool] = False

    @property
    def needs(self) -> tuple[str, ...]:
        """Features that the calendar does not fix."""
        return needs_scenario(self.features)

    def fit(self, design: Design, *, rng: np.random.Generator) -> FittedLocalLevel:
        """Maximum likelihood.

        Raises
        ------
        ShortHistoryError : fewer than 22 weeks, and one a regressor, in which a target and all regressors are known
        """
        history = target_history(design)
        T = len(history.values)
        regressors = design.features[list(self.features)]
        x = regressors.to_numpy(dtype=float)[:T]
        innovations, levels = np.full_like(history.values, np.nan), []
        for k in range(len(history.targets)):
            rows = _usable_rows(history.values[:, k], x)
            needed = MINIMUM_ROWS + 2 + x.shape[1]
            what = "weeks with all regressors known"
            require_rows(np.array([rows.stop - rows.start]), history.targets[k : k + 1], what=what, needed=needed)
            y, X = _interpolated(history.values[rows, k]), _interpolated(x[rows])
            level, innovations[rows.start + 1 : rows.stop, k] = estimate_level(y, X)
            # Where regressors end before the target does, the filter's last week is theirs.
            levels.append((level, T - rows.stop))
        late = max(weeks for _, weeks in levels)
        return FittedLocalLevel(history, tuple(levels), innovations, regressors.iloc[T - late :].copy())
