"""Kinked curve: the spread falls in reserves up to a kink and not beyond it.

    s(t) = a + b max(k - x(t), 0) + d'z(t) + r(t)

s is the spread over the rate on reserves (bp, week average), x the reserve ratio (percent of bank assets), z calendar
effects. The slope is -b below the kink k and zero above; its sign is free. The kink is that of the least sum of squares
on a grid; whether there is one, and how well it is known, is told by :meth:`FittedKinkedCurve.kink`.

The kink is constant over the sample. Where demand for reserves grew with liquidity rules it is a mixture of the kinks
there were. Intervals take the hinge for the true shape: where it is, errors have root 0.7 and the sample is 850 weeks,
90 percent intervals of kink and slope cover five times in six; where the bend is smooth or drifts, seldom.

References
----------
Hansen (2017), "Regression kink with an unknown threshold", JBES 35(2). Künsch (1989), Annals of Statistics 17(3).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.answers.ampleness import TOLERANCES, Ampleness, CurveDraws
from forecast.features.feature_set import Design
from forecast.numerics.least_squares import least_squares, orthonormal_basis
from forecast.predictive import PredictiveDistribution
from forecast.scenario import Scenario

# Modules of one package import each other relatively, in folders too: the architecture test asks for it.
from .block_bootstrap import block_counts, block_length, block_multipliers
from .curve_path import CurveSample, Dynamics, curve_sample, estimable, in_turn, require_at_least, residual_dynamics
from .curve_shapes import seen_grid
from .kink_inference import (
    accepted,
    candidate_kinks,
    critical_ratio,
    grid_squares,
    hinges,
    likelihood_ratio,
    sup_f,
    weighted_kinks,
)
from .reserve_ratio import RATIO

type Array = NDArray[np.float64]

# Draws behind an answer; forecasts need fewer, because the shocks of the weeks ahead outweigh them.
ANSWER_DRAWS = 1000
SIGNS = 999


@dataclass(frozen=True, slots=True)
class KinkEstimate:
    """Kink of the reserve demand curve; never without its intervals.

    location           : percent of bank assets
    level              : of the sets and intervals
    likelihood_set     : kinks the likelihood ratio does not reject, as stretches of the grid, percent of bank assets
    bootstrap_interval : quantiles of the kink over resampled blocks, same unit
    slope              : below the kink, bp per percentage point of bank assets
    slope_interval     : quantiles over resampled blocks, same unit
    grid               : lowest and highest kink looked for, percent of bank assets
    flat_f, flat_p     : largest F of the grid against a spread that does not depend on reserves, and its p-value
    line_f, line_p     : the same against a straight line
    weeks              : of the sample
    block              : weeks over which errors may be correlated; 1 means independent errors
    """

    location: float
    level: float
    likelihood_set: tuple[tuple[float, float], ...]
    bootstrap_interval: tuple[float, float]
    slope: float
    slope_interval: tuple[float, float]
    grid: tuple[float, float]
    flat_f: float
    flat_p: float
    line_f: float
    line_p: float
    weeks: int
    block: int

    @property
    def at_edge(self) -> bool:
        """Whether the estimate stands at an end of its grid: the data then say only on which side it lies."""
        return self.location in self.grid

    @property
    def set_reaches_edge(self) -> bool:
        """Whether the likelihood set goes to an end of the grid, and perhaps beyond."""
        return self.likelihood_set[0][0] == self.grid[0] or self.likelihood_set[-1][1] == self.grid[1]

    def __str__(self) -> str:
        return self.sentence()

    def sentence(self) -> str:
        """The estimate in words, intervals and warnings included."""
        stretches = " or ".join(f"{low:.1f} to {high:.1f}" for low, high in self.likelihood_set)
        edge = f"its grid of {self.grid[0]:.1f} to {self.grid[1]:.1f}"
        warning = ""
        if self.at_edge:
            warning = f" The estimate stands at the edge of {edge}: it is no estimate of a kink."
        elif self.set_reaches_edge:
            warning = f" The set reaches the edge of {edge} and may go on beyond."
        return (
            f"Kink at {self.location:.1f} percent of bank assets, {100 * self.level:g} percent set {stretches} (likelihood "
            f"ratio), {self.bootstrap_interval[0]:.1f} to {self.bootstrap_interval[1]:.1f} (blocks of weeks); slope "
            f"below {self.slope:.2f} bp per percentage point ({self.slope_interval[0]:.2f} to "
            f"{self.slope_interval[1]:.2f}). Against no slope p = {self.flat_p:.3f}, against a straight line "
            f"p = {self.line_p:.3f}.{warning}"
        )


@dataclass(frozen=True, slots=True)
class KinkedCurve:
    """Choice of spread and regressors.

    spread  : target, bp over the rate on reserves
    effects : calendar effects z(t), 0 or 1
    draws   : of the bootstrap behind forecasts
    """

    spread: str = "effr_iorb"
    effects: tuple[str, ...] = ("quarter_end_week", "month_end_week", "tax_week")
    draws: int = 100
    name: ClassVar[str] = "kinked_curve"
    needs: ClassVar[tuple[str, ...]] = (RATIO,)
    sampled: ClassVar[bool] = False
    tells_ampleness: ClassVar[bool] = True

    def __post_init__(self) -> None:
        require_at_least(self, draws=1)

    @property
    def targets(self) -> tuple[str, ...]:
        """The spread."""
        return (self.spread,)

    @property
    def features(self) -> tuple[str, ...]:
        """The reserve ratio and the calendar."""
        return (RATIO, *self.effects)

    def fit(self, design: Design, *, rng: np.random.Generator) -> FittedKinkedCurve:
        """Search the kink and resample it.

        Raises
        ------
        ShortHistoryError  : fewer than 100 complete weeks
        UnitError          : the spread is not in bp or the ratio not in percent
        ModelError         : the spread does not move
        RankDeficientError : the ratio does not move, or a calendar effect never happened
        """
        sample = curve_sample(self.name, self.spread, self.features, design)
        weeks, spread, regressors = estimable(self.name, self.spread, sample)
        X = np.column_stack([np.ones(len(weeks)), regressors])
        orthonormal_basis(X, ("constant", *self.features))
        ratio, Z = X[:, 1], np.delete(X, 1, axis=1)
        kink, coefficients, residuals = best_kink(Z, spread, ratio)
        seed = int(rng.integers(2**63))
        draws = Kinks(*weighted_kinks(_counts(len(weeks), self.draws, seed), Z, spread, ratio, candidate_kinks(ratio)))
        estimate = Kinks(np.array([kink]), coefficients[None])
        return FittedKinkedCurve(self, sample, estimate, draws, residual_dynamics(residuals, weeks), seed)


@dataclass(frozen=True, slots=True, eq=False)
class Kinks:
    """Kinked curves, one a draw.

    location     : (S,) percent of bank assets
    coefficients : (S, F + 2) level (bp), effects (bp), b (bp per percentage point of bank assets)
    """

    location: Array
    coefficients: Array

    @property
    def slope(self) -> Array:
        """(S,) below the kink, bp per percentage point of bank assets."""
        return -self.coefficients[:, -1]

    def slopes(self, ratio: Array) -> Array:
        """(S, W) at ratios (W,), percent."""
        return np.where(ratio < self.location[:, None], self.slope[:, None], 0.0)

    def thresholds(self, c: float) -> Array:
        """(S,) x*(c): the kink where the curve is steeper than c below it, zero where it is nowhere."""
        return np.where(self.slope < c, self.location, 0.0)

    def values(self, ratio: Array) -> Array:
        """(S, W) bp at ratios (W,) or (S, W), percent; without effects."""
        bend = self.coefficients[:, -1:] * np.maximum(self.location[:, None] - ratio, 0.0)
        return np.asarray(self.coefficients[:, :1] + bend)


@dataclass(frozen=True, slots=True, eq=False)
class FittedKinkedCurve:
    """A kink, its resamples, and what the forecast starts from.

    spec     : choice of spread and regressors
    sample   : spread and regressors by week
    curve    : (1,) the estimate
    draws    : (S,) the same estimate on resampled blocks of weeks
    dynamics : of the residual
    seed     : of the resampling and of the tests
    """

    spec: KinkedCurve
    sample: CurveSample
    curve: Kinks
    draws: Kinks
    dynamics: Dynamics
    seed: int

    def resampled(self, draws: int) -> Kinks:
        """(draws,) curves on resampled blocks; the same for the same number."""
        Z, spread, ratio = self._arrays()
        counts = _counts(len(ratio), draws, self.seed)
        return Kinks(*weighted_kinks(counts, Z, spread, ratio, candidate_kinks(ratio)))

    def kink(self, level: float = 0.95, *, block: int | None = None) -> KinkEstimate:
        """The kink with its set and interval, and the tests of whether there is one.

        Parameters
        ----------
        level : of the set and the intervals
        block : weeks over which signs are alike; max(13, T^(1/3)) by default, because errors of adjacent weeks are
                correlated. 1 allows for heteroskedasticity alone, and then both tests and set promise too much
        """
        Z, spread, ratio = self._arrays()
        block = block_length(len(ratio)) if block is None else block
        kinks = candidate_kinks(ratio)
        signs = block_multipliers(len(ratio), block, SIGNS, np.random.default_rng([self.seed, 1]))
        H = hinges(ratio, kinks)
        ratios = len(ratio) * likelihood_ratio(grid_squares(Z, spread, H)[1])
        flat = sup_f(Z, spread, H, signs)
        line = sup_f(np.column_stack([Z, ratio]), spread, H, signs)
        draws, tails = self.resampled(ANSWER_DRAWS), [(1 - level) / 2, (1 + level) / 2]
        (low, high), (steepest, flattest) = (np.quantile(d, tails) for d in (draws.location, draws.slope))
        return KinkEstimate(
            location=float(self.curve.location[0]),
            level=level,
            likelihood_set=accepted(kinks, ratios <= critical_ratio(Z, spread, H, level, signs)),
            bootstrap_interval=(float(low), float(high)),
            slope=float(self.curve.slope[0]),
            slope_interval=(float(steepest), float(flattest)),
            grid=(float(kinks[0]), float(kinks[-1])),
            flat_f=flat[0],
            flat_p=flat[1],
            line_f=line[0],
            line_p=line[1],
            weeks=len(ratio),
            block=block,
        )

    def predict(
        self, periods: pd.DatetimeIndex, *, scenario: Scenario | None = None, n_draws: int, rng: np.random.Generator
    ) -> PredictiveDistribution:
        """Walk along the curves from the last published spread.

        Raises
        ------
        NeedsScenarioError : the scenario lacks a week, or a calendar effect is not known so far ahead
        ShortHistoryError  : the sample of the ratio is too short for paths of this length
        """
        paths = self.sample.paths(periods, scenario, n_draws, rng)
        chosen = in_turn(len(self.draws.location), n_draws, rng)
        curves = Kinks(self.draws.location[chosen], self.draws.coefficients[chosen])
        effects = (paths[:, :, 1:] @ curves.coefficients[:, 1:-1, None])[:, :, 0]
        return self.dynamics.walk(self.sample, curves.values(paths[:, :, 0]) + effects, periods, rng)

    def ampleness(self) -> Ampleness:
        """Slope over time and the ratios at which it reaches each tolerance, over 1,000 resamples."""
        draws = self.resampled(ANSWER_DRAWS)
        weeks, ratio = self.sample.ratios()
        grid = seen_grid(self._arrays()[2])
        return Ampleness(
            spread=self.spec.spread,
            draws_are="bootstrap",
            weeks=weeks,
            ratio=ratio,
            slope=draws.slopes(ratio),
            thresholds={c: draws.thresholds(c) for c in TOLERANCES},
            prior={},
            sign_free=True,
            curve=CurveDraws(grid, draws.values(grid)),
            notes=self._notes(draws),
        )

    def _notes(self, draws: Kinks) -> tuple[str, ...]:
        kinks = candidate_kinks(self._arrays()[2])
        low, high = kinks[[0, -1]]
        where = f"the edge of the grid of kinks ({low:.1f} to {high:.1f} percent)"
        notes = ["one kink over the sample, slope zero above it; intervals take the hinge for the true shape"]
        if self.curve.location[0] in (low, high):
            notes.append(f"the kink stands at {where}: the data say only on which side it lies")
        share = float(np.mean(np.isin(draws.location, [low, high])))
        if share > 0.1:
            notes.append(f"{share:.0%} of the draws of the kink stand at {where}")
        return tuple(notes)

    def _arrays(self) -> tuple[Array, Array, Array]:
        """(n, F + 1) constant and effects, (n,) spread, (n,) ratio."""
        _, spread, regressors = self.sample.complete()
        return np.column_stack([np.ones(len(spread)), regressors[:, 1:]]), spread, regressors[:, 0]


def best_kink(Z: Array, y: Array, ratio: Array) -> tuple[float, Array, Array]:
    """Kink of the least sum of squares on the grid, (q + 1,) coefficients of z and of the hinge, (n,) residuals."""
    kinks = candidate_kinks(ratio)
    kink = float(kinks[grid_squares(Z, y, hinges(ratio, kinks))[1].argmin()])
    fit = least_squares(np.column_stack([Z, np.maximum(kink - ratio, 0.0)]), y)
    return kink, fit.coefficients, fit.residuals


def _counts(weeks: int, draws: int, seed: int) -> Array:
    return block_counts(weeks, block_length(weeks), draws, np.random.default_rng(seed))
