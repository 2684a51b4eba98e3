"""The straight line: the simplest thing that every curve must beat.

    s(t) = a + b x(t) + g' c(t) + r(t),    r(t) = r(t-1) + e(t)    or    r(t) = phi r(t-1) + e(t)

s is the spread over the rate on reserves (bp, week average), x the reserve ratio (percent of bank assets), c calendar effects.
b is estimated by least squares or given: -1 bp per percentage point is about what scarce periods show, so a forecast
that beats the line with b = -1 has learnt something about where the curve is steep, and one that beats only the
random walk has learnt that there is a slope.

The level of spreads moved several times since 2009 for reasons that are not reserves: a forecast that returns to the average
level of regimes that are over loses to no change at once. By default the residual therefore stays where it is, and the
spread moves from where it was last seen by b times the change of the ratio.

Estimates are taken as uncertain by a moving-block bootstrap, innovations e are drawn from those of the sample.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.answers.ampleness import Ampleness, CurveDraws
from forecast.features.feature_set import Design
from forecast.numerics.hac import hac_covariance
from forecast.numerics.least_squares import LeastSquares, least_squares
from forecast.predictive import PredictiveDistribution
from forecast.scenario import Scenario

# Modules of one package import each other relatively, in folders too: the architecture test asks for it.
from .curve_path import CurveSample, Dynamics, curve_sample, estimable, in_turn, require_at_least, residual_dynamics
from .linear_bootstrap import BLOCK, bootstrapped
from .reserve_ratio import RATIO

type Array = NDArray[np.float64]
type Residual = Literal["stays", "returns"]

# Points of the curve that are told.
GRID = 61


@dataclass(frozen=True, slots=True)
class LinearSlope:
    """A straight line in the reserve ratio.

    Without a scenario the ratio is a random walk with the changes of the past.

    spread   : target, bp over the rate on reserves
    effects  : calendar effects c(t), 0 or 1
    slope    : b in bp per percentage point of bank assets where it is given; estimated where it is not
    residual : "stays", a random walk, or "returns" to zero with the persistence of the sample
    draws    : bootstrap samples
    """

    spread: str = "effr_iorb"
    effects: tuple[str, ...] = ("quarter_end_week", "month_end_week", "tax_week")
    slope: float | None = None
    residual: Residual = "stays"
    draws: int = 1000
    name: ClassVar[str] = "linear_slope"
    needs: ClassVar[tuple[str, ...]] = (RATIO,)
    sampled: ClassVar[bool] = False
    tells_ampleness: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.residual not in get_args(Residual.__value__):
            raise ValueError(f"residual = {self.residual!r}; use one of {', '.join(get_args(Residual.__value__))}")
        require_at_least(self, draws=1)
        if self.slope is not None and not np.isfinite(self.slope):
            raise ValueError(f"slope = {self.slope}; give bp per percentage point of bank assets, or leave it out")

    @property
    def targets(self) -> tuple[str, ...]:
        """The spread."""
        return (self.spread,)

    @property
    def features(self) -> tuple[str, ...]:
        """The reserve ratio and the calendar."""
        return (RATIO, *self.effects)

    def fit(self, design: Design, *, rng: np.random.Generator) -> FittedLinearSlope:
        """Least squares on complete weeks, and bootstrap.

        Raises
        ------
        UnitError          : the spread is not in bp or the ratio not in percent
        ShortHistoryError  : fewer than 100 complete weeks
        ModelError         : the spread never moved
        RankDeficientError : the ratio never moved, or a calendar effect never happened; names it
        """
        sample = curve_sample(self.name, self.spread, self.features, design)
        weeks, spread, regressors = estimable(self.name, self.spread, sample)
        given = 0.0 if self.slope is None else self.slope * regressors[:, 0]
        free = regressors if self.slope is None else regressors[:, 1:]
        X, names = np.column_stack([np.ones(len(spread)), free]), self.features[self.slope is not None :]
        estimate = least_squares(X, spread - given, names=["constant", *names])
        drawn = bootstrapped(X, spread - given, self.draws, rng)
        if self.slope is not None:
            drawn = np.insert(drawn, 1, self.slope, axis=1)
        dynamics = random_walk if self.residual == "stays" else residual_dynamics
        return FittedLinearSlope(self, sample, estimate, drawn, dynamics(estimate.residuals, weeks))


@dataclass(frozen=True, slots=True, eq=False)
class FittedLinearSlope:
    """Estimated straight line.

    spec         : options
    sample       : spread, ratio and calendar effects by week
    estimate     : least squares of what is free: constant, slope unless it is given, calendar effects
    coefficients : (S, 2 + E) bootstrap draws: constant (bp), slope (bp per percentage point), calendar effects (bp)
    dynamics     : of the residual
    """

    spec: LinearSlope
    sample: CurveSample
    estimate: LeastSquares
    coefficients: Array
    dynamics: Dynamics

    def slope(self) -> tuple[float, float]:
        """b and its standard error under autocorrelated errors, bp per percentage point; zero error where b is given."""
        if self.spec.slope is not None:
            return self.spec.slope, 0.0
        covariance = hac_covariance(self.estimate, BLOCK)
        return float(self.estimate.coefficients[1]), float(np.sqrt(covariance[1, 1]))

    def predict(
        self, periods: pd.DatetimeIndex, *, scenario: Scenario | None = None, n_draws: int, rng: np.random.Generator
    ) -> PredictiveDistribution:
        """Walk along the line from the last published spread.

        Raises
        ------
        NeedsScenarioError : the scenario lacks a week, or a calendar effect is not known so far ahead
        ShortHistoryError  : the sample of the ratio is too short for paths of this length
        """
        paths = self.sample.paths(periods, scenario, n_draws, rng)
        drawn = self.coefficients[in_turn(len(self.coefficients), n_draws, rng)]
        return self.dynamics.walk(self.sample, line(paths, drawn), periods, rng)

    def ampleness(self) -> Ampleness:
        """The same slope at every ratio: no ratio is a threshold."""
        weeks, ratio = self.sample.ratios()
        grid = np.linspace(ratio.min(), ratio.max(), GRID)
        return Ampleness(
            spread=self.spec.spread,
            draws_are="bootstrap",
            weeks=weeks,
            ratio=ratio,
            slope=np.repeat(self.coefficients[:, 1:2], len(weeks), axis=1),
            thresholds={},
            prior={},
            sign_free=self.spec.slope is None,
            notes=("the slope is given, not estimated",) if self.spec.slope is not None else (),
            curve=CurveDraws(grid, self.coefficients[:, :1] + self.coefficients[:, 1:2] * grid),
        )


def line(paths: Array, coefficients: Array) -> Array:
    """a + b' paths, one draw of coefficients a path: (D or 1, W, F), (D, 1 + F) -> (D, W)."""
    return np.asarray(coefficients[:, :1] + (paths @ coefficients[:, 1:, None])[:, :, 0])


def random_walk(residuals: Array, periods: pd.DatetimeIndex) -> Dynamics:
    """Persistence one, and changes of residuals from week to week, less their mean.

    Parameters
    ----------
    residuals : (n,) bp
    periods   : (n,) reserve weeks; changes over gaps between them are left out
    """
    changes = np.diff(residuals)[np.diff(periods.to_numpy()) == np.timedelta64(7, "D")]
    return Dynamics(1.0, changes - changes.mean())
