"""Fitting one shape to spreads and ratios: a grid over the bent parameters, then steps from its best points.

    minimise  sum_t w(t) loss(s(t) - a - k h(v(x(t))) - d'z(t))

The loss is the square, or the check function of a quantile. Every grid point is a regression with the same linear
part, so the grid of all resamples at once is a few matrix products (:func:`block_bootstrap.profile`).

References
----------
Golub and Pereyra (1973), SIAM J. Numerical Analysis 10(2). Koenker (2005), Quantile Regression, chapter 6, for the
dual problem. Burman, Chow and Nolan (1994), Biometrika 81(2), for blocks left out with a gap on either side.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from forecast.errors import ModelError
from forecast.numerics.least_squares import least_squares

from .block_bootstrap import SHORTEST_BLOCK, profile
from .curve_shapes import FUNCTIONS, SHAPES, Branch, Curves, ShapeName

type Array = NDArray[np.float64]
type Rows = NDArray[np.intp]

# Offsets and speeds of a branch, and how many of its best points steps are taken from.
_OFFSETS, _SPEEDS, _STARTS = 10, 8, 2
_FOLDS = 10
# Relative changes of the loss below which steps end. A standard error of a parameter changes it by about 1 / T.
_COARSE, _ENOUGH, _EXACT = 1e-4, 1e-6, 1e-12


@dataclass(frozen=True, slots=True, eq=False)
class Bends:
    """Bent parameters on the sample's unit interval.

    branch : (B,) of the shape
    theta  : (B, 2) offset and logarithm of the speed
    """

    branch: Rows
    theta: Array

    def take(self, rows: Rows) -> Bends:
        """Some of them."""
        return Bends(self.branch[rows], self.theta[rows])


@dataclass(frozen=True, slots=True, eq=False)
class CurveProblem:
    """Data of complete weeks and the shape to fit.

    shape    : one of SHAPES
    spread   : (n,) bp
    ratio    : (n,) percent of bank assets
    effects  : (n, F) 0 or 1
    corridor : bp, height of shapes whose height is fixed
    """

    shape: ShapeName
    spread: Array
    ratio: Array
    effects: Array
    corridor: float

    @property
    def linear(self) -> Array:
        """(n, q) what enters without a bend: a constant, unless the shape has none, and effects."""
        ones = np.ones((len(self.ratio), int(SHAPES[self.shape].constant)))
        return np.ascontiguousarray(np.hstack([ones, self.effects]))

    @property
    def interval(self) -> Array:
        """(2, n) the ratio between 0 and 1, and its mirror image."""
        lowest, highest = self.ratio.min(), self.ratio.max()
        t = (self.ratio - lowest) / (highest - lowest)
        return np.stack([t, 1 - t])

    def functions(self, bends: Bends) -> Array:
        """(B, n) h."""
        t, branches = self.interval, SHAPES[self.shape].branches
        h = np.empty((len(bends.branch), len(self.ratio)))
        for k, branch in enumerate(branches):
            rows = bends.branch == k
            theta = bends.theta[rows]
            h[rows] = FUNCTIONS[branch.function](np.exp(theta[:, 1:]) * t[int(branch.mirrored)] - theta[:, :1])[0]
        return h

    def fixed_heights(self, bends: Bends) -> Array:
        """(B,) bp, zero where the height is free."""
        signs = np.array([branch.height for branch in SHAPES[self.shape].branches])
        return np.asarray(self.corridor * signs[bends.branch])

    def curves(self, bends: Bends, linear: Array, weights: Array) -> Curves:
        """Curves in percent and bp; linear coefficients (B, q + 1) have the height last, weights are (B, n)."""
        branches = SHAPES[self.shape].branches
        function, mirrored = (
            np.array([getattr(branch, name) for branch in branches])[bends.branch] for name in ("function", "mirrored")
        )
        lowest, highest = float(self.ratio.min()), float(self.ratio.max())
        rate = np.exp(bends.theta[:, 1]) / (highest - lowest)
        shift = bends.theta[:, 0] / rate
        location = np.where(mirrored, highest - shift, lowest + shift)
        constant = int(SHAPES[self.shape].constant)
        level = linear[:, 0] if constant else np.zeros(len(linear))
        return Curves(
            function.astype(np.int64),
            location,
            np.where(mirrored, -rate, rate),
            linear[:, -1],
            level,
            linear[:, constant:-1],
            np.column_stack(
                [
                    np.where(weights > 0, self.ratio, np.inf).min(axis=1),
                    np.where(weights > 0, self.ratio, -np.inf).max(axis=1),
                ]
            ),
        )

    def fit(self, level: float) -> tuple[Curves, Bends]:
        """The curve nearest to all weeks, from the best grid points of every branch.

        Parameters
        ----------
        level : of the quantile; 0 for the mean
        """
        every = np.ones((1, len(self.spread)))
        grid = search_grid(self.shape)
        losses = grid_losses(self, grid, every)[0]
        starts = grid.take(_best_of_each_branch(losses, grid))
        bends, _, loss = refined(self, starts, np.repeat(every, len(starts.branch), axis=0), level, _COARSE)
        best, _, _ = refined(self, bends.take(np.array([int(loss.argmin())])), every, level, _EXACT)
        return self.curves(best, self._linear_part(best, level), every), best

    def _linear_part(self, bends: Bends, level: float) -> Array:
        """(1, q + 1) exact linear coefficients given the bent parameters: by QR, or by linear programming."""
        h, fixed = self.functions(bends)[0], float(self.fixed_heights(bends)[0])
        X = self.linear if fixed else np.column_stack([self.linear, h])
        y = self.spread - fixed * h
        coefficients = quantile_regression(X, y, level) if level else least_squares(X, y).coefficients
        return np.append(coefficients, fixed)[None, :] if fixed else coefficients[None, :]

    def resampled(self, weights: Array, level: float, start: Bends | None = None) -> Curves:
        """Curves nearest to weighted weeks (B, n), each from its best grid point or the start, whichever is nearer."""
        grid = search_grid(self.shape)
        if start is not None:
            grid = Bends(np.append(grid.branch, start.branch), np.vstack([grid.theta, start.theta]))
        best = grid_losses(self, grid, weights).argmin(axis=1)
        bends, linear, loss = refined(self, grid.take(best), weights, level)
        if level and start is not None:
            # The grid is that of squares: the quantile's own point is the better start as often as not.
            again = start.take(np.zeros(len(weights), dtype=np.intp))
            other, other_linear, other_loss = refined(self, again, weights, level)
            better = other_loss < loss
            bends = Bends(
                np.where(better, other.branch, bends.branch), np.where(better[:, None], other.theta, bends.theta)
            )
            linear = np.where(better[:, None], other_linear, linear)
        return self.curves(bends, linear, weights)


# ---------------------------------------------------------------------------------------------------- arrays


def search_grid(shape: ShapeName) -> Bends:
    """Points over the whole domain of every branch."""
    bent, branches = SHAPES[shape].bent, SHAPES[shape].branches
    points = [_branch_grid(branch, bent) for branch in branches]
    return Bends(np.repeat(np.arange(len(points)), [len(p) for p in points]), np.vstack(points))


def _branch_grid(branch: Branch, bent: int) -> Array:
    if bent == 0:
        return np.zeros((1, 2))
    speeds = np.geomspace(branch.slowest, branch.fastest, _SPEEDS if bent == 2 else 2 * _SPEEDS)
    within = np.linspace(0, 1, _OFFSETS) if bent == 2 else np.zeros(1)
    offsets = branch.low + np.multiply.outer(within, branch.high + branch.widens * speeds - branch.low)
    return np.column_stack([offsets.ravel(), np.tile(np.log(speeds), len(within))])


def at_edge(shape: ShapeName, bends: Bends) -> bool:
    """Whether a free bent parameter stands at an end of where it is looked for."""
    bent, branch = SHAPES[shape].bent, SHAPES[shape].branches[int(bends.branch[0])]
    offset, speed = bends.theta[0, 0], np.exp(bends.theta[0, 1])
    ends = [(offset, branch.low), (offset, branch.high + branch.widens * speed)] if bent == 2 else []
    ends += [(speed, branch.slowest), (speed, branch.fastest)] if bent else []
    return any(bool(np.isclose(value, end, rtol=1e-6)) for value, end in ends)


def grid_losses(problem: CurveProblem, grid: Bends, weights: Array) -> Array:
    """(B, G) sums of squares of every weighting at every grid point, with the linear part solved out."""
    yy, hy, hh = profile(weights, problem.linear, problem.spread, problem.functions(grid).T)
    fixed = problem.fixed_heights(grid)
    # Where h does not move in a resample it explains nothing.
    explained = np.divide(hy**2, hh, out=np.zeros_like(hy), where=hh > 1e-12 * hh.max(axis=0))
    return yy[:, None] - np.where(fixed == 0, explained, 2 * fixed * hy - fixed**2 * hh)


def _best_of_each_branch(losses: Array, grid: Bends) -> Rows:
    """For each branch the points with the least loss, at different speeds."""
    found: list[int] = []
    for branch in np.unique(grid.branch):
        rows = np.flatnonzero(grid.branch == branch)
        order = rows[np.argsort(losses[rows], kind="stable")]
        _, first = np.unique(grid.theta[order, 1], return_index=True)
        found += list(order[np.sort(first)[:_STARTS]])
    return np.array(found, dtype=np.intp)


def refined(
    problem: CurveProblem, start: Bends, weights: Array, level: float, tolerance: float = _ENOUGH
) -> tuple[Bends, Array, Array]:
    """Steps downhill from each start: bent parameters, linear coefficients (B, q + 1) and losses (B,)."""
    from ..kernels.curve_fitting import Goal, Sample, fit_curves

    shape = SHAPES[problem.shape]
    table = np.array(
        [
            (b.function, b.height * problem.corridor, b.low, b.high, b.widens, b.slowest, b.fastest, b.mirrored)
            for b in shape.branches
        ],
        dtype=float,
    )
    sample = Sample(problem.interval, problem.linear, problem.spread)
    starts, goal = (start.branch, start.theta), Goal(shape.bent, level, tolerance)
    theta, linear, loss = fit_curves(sample, np.ascontiguousarray(weights), table, starts, goal)
    return Bends(start.branch, theta), linear, loss


def quantile_regression(X: Array, y: Array, level: float) -> Array:
    """Coefficients (k,) that minimise the check function, exactly, by the dual linear programme.

        max_a y'a   subject to   X'a = (1 - level) X'1,  0 <= a <= 1

    Raises
    ------
    ModelError : the programme was not solved
    """
    from scipy.optimize import linprog

    answer = linprog(-y, A_eq=X.T, b_eq=(1 - level) * X.sum(axis=0), bounds=(0, 1), method="highs")
    if not answer.success:
        raise ModelError(f"quantile {level:g}: {answer.message}")
    return np.asarray(-answer.eqlin.marginals)


def check_loss(residuals: Array, level: float) -> Array:
    """Square, for level 0, or check function of residuals of any shape."""
    return np.asarray(residuals * (level - (residuals < 0)) if level else residuals**2)


def blocks_left_out(weeks: int) -> tuple[Array, Array]:
    """(10, weeks) weeks to fit and weeks to test: ten blocks in turn, without the quarter on either side in between."""
    edges = np.linspace(0, weeks, _FOLDS + 1).astype(int)
    week, low, high = np.arange(weeks), edges[:-1, None], edges[1:, None]
    test = (week >= low) & (week < high)
    near = (week >= low - SHORTEST_BLOCK) & (week < high + SHORTEST_BLOCK)
    return (~near).astype(float), test.astype(float)


def best_shape(spread: Array, ratio: Array, effects: Array, level: float, corridor: float) -> ShapeName:
    """The shape with the least loss on blocks of weeks left out."""
    fit, test = blocks_left_out(len(spread))

    def left_out(shape: ShapeName) -> float:
        curves = CurveProblem(shape, spread, ratio, effects, corridor).resampled(fit, level)
        residuals = spread - curves.extended(ratio)[0] - curves.effects @ effects.T
        return float(np.sum(test * check_loss(residuals, level)))

    return min(SHAPES, key=left_out)
