"""Family of satiation curves: the published parametric shapes, by least squares or at a quantile.

    s(t) = m(x(t)) + d'z(t) + r(t)

s is the spread over the rate on reserves (bp, week average), x the reserve ratio (percent of bank assets), z calendar
effects, which shift the curve up or down, and m one of eight shapes (:mod:`curve_shapes`). At most two parameters of a
shape are bent; the others are linear and solved exactly for every value of those, so that a search over two dimensions
finds the curve: a grid over its whole domain first, then Gauss-Newton steps from the best points of the grid.

Intervals resample moving blocks of weeks, regressors and errors together: they know heteroskedastic and autocorrelated
errors, but take the shape for the true one and the curve to be the same over the sample. Where both hold, errors have
root 0.7 and the sample is 850 weeks, 90 percent intervals of slope and x*(-0.5) cover four times in five; on simulated
economies that bend otherwise than the shape, or whose curve drifts, less than half of the time. Slopes may be positive:
no sign is imposed.

References
----------
Chen, Kourentzes and Veyrune (2023), IMF WP 23/179. Golub and Pereyra (1973), SIAM J. Numerical Analysis 10(2), for
solving the linear part out. Künsch (1989), Annals of Statistics 17(3), for moving blocks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.answers.ampleness import TOLERANCES, Ampleness, CurveDraws
from forecast.features.feature_set import Design
from forecast.numerics.least_squares import orthonormal_basis
from forecast.predictive import PredictiveDistribution
from forecast.scenario import Scenario

# Modules of one package import each other relatively, in folders too: the architecture test asks for it.
from .block_bootstrap import block_counts, block_length
from .curve_path import CurveSample, Dynamics, curve_sample, estimable, in_turn, residual_dynamics
from .curve_problem import Bends, CurveProblem, at_edge, best_shape
from .curve_shapes import SHAPES, Curves, ShapeName, seen_grid
from .reserve_ratio import RATIO

type Array = NDArray[np.float64]
type ShapeChoice = Literal[ShapeName, "best"]

# Draws behind an answer; forecasts need fewer, because the shocks of the weeks ahead outweigh them.
ANSWER_DRAWS = 1000


@dataclass(frozen=True, slots=True)
class CurveFamily:
    """Choice of shape and estimator.

    spread   : target, bp over the rate on reserves
    effects  : calendar effects z(t), 0 or 1
    shape    : one of eight, or "best": the one with the least loss on ten blocks of weeks left out in turn, with a
               quarter on either side, all within the sample. Intervals are those of the shape chosen
    quantile : level of the quantile fitted; None fits the mean, by least squares
    corridor : bp, height that "reduced_logistic" and "fixed_logistic" give to the curve: the target range of 25
    draws    : of the bootstrap behind forecasts
    """

    spread: str = "effr_iorb"
    effects: tuple[str, ...] = ("quarter_end_week", "month_end_week", "tax_week")
    shape: ShapeChoice = "logistic"
    quantile: float | None = None
    corridor: float = 25.0
    draws: int = 100
    name: ClassVar[str] = "curve_family"
    needs: ClassVar[tuple[str, ...]] = (RATIO,)
    sampled: ClassVar[bool] = False
    tells_ampleness: ClassVar[bool] = True
    requires: ClassVar[tuple[str, ...]] = ("numba",)

    def __post_init__(self) -> None:
        if self.shape not in (*SHAPES, "best"):
            raise ValueError(f"shape = {self.shape!r}; use one of {', '.join((*SHAPES, 'best'))}")
        if self.quantile is not None and not 0 < self.quantile < 1:
            raise ValueError(f"quantile = {self.quantile}; give a level between 0 and 1, or None for the mean")
        if self.corridor <= 0 or self.draws < 1:
            raise ValueError("corridor and draws must be positive")

    @property
    def targets(self) -> tuple[str, ...]:
        """The spread."""
        return (self.spread,)

    @property
    def features(self) -> tuple[str, ...]:
        """The reserve ratio and the calendar."""
        return (RATIO, *self.effects)

    def fit(self, design: Design, *, rng: np.random.Generator) -> FittedCurveFamily:
        """Estimate the curve and resample it.

        Raises
        ------
        ShortHistoryError  : fewer than 100 complete weeks
        UnitError          : the spread is not in bp or the ratio not in percent
        ModelError         : the spread does not move
        RankDeficientError : the ratio does not move, or a calendar effect never happened
        """
        sample = curve_sample(self.name, self.spread, self.features, design)
        weeks, spread, regressors = estimable(self.name, self.spread, sample)
        orthonormal_basis(np.column_stack([np.ones(len(weeks)), regressors]), ("constant", *self.features))
        level = self.quantile or 0.0
        ratio, effects = regressors[:, 0], regressors[:, 1:]
        shape = self.shape if self.shape != "best" else best_shape(spread, ratio, effects, level, self.corridor)
        problem = CurveProblem(shape, spread, ratio, effects, self.corridor)
        curve, bends = problem.fit(level)
        residuals = spread - curve.values(ratio)[0] - effects @ curve.effects[0]
        centre = float(residuals.mean())
        dynamics = residual_dynamics(residuals - centre, weeks)
        seed = int(rng.integers(2**63))
        draws = resampled(problem, bends, level, self.draws, seed)
        return FittedCurveFamily(self, sample, problem, curve, bends, draws, centre, dynamics, seed)


@dataclass(frozen=True, slots=True, eq=False)
class FittedCurveFamily:
    """A curve, its resamples, and what the forecast starts from.

    spec     : choice of shape and estimator
    sample   : spread and regressors by week
    problem  : complete weeks and the shape, chosen or given
    curve    : (1,) the estimate
    bends    : (1,) its bent parameters
    draws    : (S,) the same estimate on resampled blocks of weeks
    centre   : bp, mean of the residuals; zero for least squares with a constant, not at a quantile
    dynamics : of the residuals about it
    seed     : of the resampling
    """

    spec: CurveFamily
    sample: CurveSample
    problem: CurveProblem
    curve: Curves
    bends: Bends
    draws: Curves
    centre: float
    dynamics: Dynamics
    seed: int

    @property
    def shape(self) -> ShapeName:
        """The shape, chosen or given."""
        return self.problem.shape

    def resampled(self, draws: int) -> Curves:
        """(draws,) curves on resampled blocks; the same for the same number."""
        return resampled(self.problem, self.bends, self.spec.quantile or 0.0, draws, self.seed)

    def predict(
        self, periods: pd.DatetimeIndex, *, scenario: Scenario | None = None, n_draws: int, rng: np.random.Generator
    ) -> PredictiveDistribution:
        """Walk along the curves from the last published spread; beyond the ratios seen they go straight on.

        Raises
        ------
        NeedsScenarioError : the scenario lacks a week, or a calendar effect is not known so far ahead
        ShortHistoryError  : the sample of the ratio is too short for paths of this length
        """
        paths = self.sample.paths(periods, scenario, n_draws, rng)
        curves = self.draws.take(in_turn(len(self.draws), n_draws, rng))
        mean = curves.extended(paths[:, :, 0])[0] + self.centre
        mean = mean + (paths[:, :, 1:] @ curves.effects[:, :, None])[:, :, 0]
        return self.dynamics.walk(self.sample, mean, periods, rng)

    def ampleness(self) -> Ampleness:
        """Slope over time and the ratios at which it reaches each tolerance, over 1,000 resamples."""
        draws = self.resampled(ANSWER_DRAWS)
        weeks, ratio = self.sample.ratios()
        grid = seen_grid(self.problem.ratio)
        thresholds = {c: draws.thresholds(c) for c in TOLERANCES}
        return Ampleness(
            spread=self.spec.spread,
            draws_are="bootstrap",
            weeks=weeks,
            ratio=ratio,
            slope=draws.extended(ratio)[1],
            thresholds=thresholds,
            prior={},
            sign_free=True,
            curve=CurveDraws(grid, draws.extended(grid)[0] + self.centre),
            notes=self._notes(thresholds),
        )

    def _notes(self, thresholds: Mapping[float, Array]) -> tuple[str, ...]:
        low, high = float(self.problem.ratio.min()), float(self.problem.ratio.max())
        of = "the mean" if self.spec.quantile is None else f"the {self.spec.quantile:g} quantile"
        notes = [
            f"{self.shape.replace('_', ' ')} curve of {of}, one over the sample; intervals take the shape for the true one"
        ]
        if at_edge(self.shape, self.bends):
            notes.append(
                "a bent parameter stands at the edge of its search: the data want a limit of the shape, such as a "
                "straight line or a step"
            )
        for c, draws in thresholds.items():
            reached = np.isfinite(draws) & (draws > 0)
            outside = float(np.mean((draws[reached] < low) | (draws[reached] > high))) if reached.any() else 0.0
            if outside > 0.1:
                notes.append(
                    f"x*({c:g}) lies outside the ratios seen ({low:.1f} to {high:.1f} percent) in {outside:.0%} of the "
                    "draws that reach it: there the shape speaks, not the data"
                )
        return tuple(notes)


# --------------------------------------------------------------------------- arrays


def resampled(problem: CurveProblem, bends: Bends, level: float, draws: int, seed: int) -> Curves:
    """(draws,) curves on resampled blocks of weeks."""
    n = len(problem.spread)
    counts = block_counts(n, block_length(n), draws, np.random.default_rng(seed))
    return problem.resampled(counts, level, bends)
