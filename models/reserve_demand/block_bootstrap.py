"""Blocks of weeks, drawn whole: errors of one week are like those of the next, and the uncertainty must know it.

References
----------
Künsch (1989), Annals of Statistics 17(3), moving blocks. Shao (2010), JASA 105, and Yeh (1998), dependent multipliers.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from forecast.numerics.least_squares import orthonormal_basis

type Array = NDArray[np.float64]

# A quarter: errors of weeks around one quarter end stay together, whatever T^(1/3) says of short samples.
SHORTEST_BLOCK = 13


def block_length(weeks: int) -> int:
    """max(13, T^(1/3)) weeks: the rate that is best for variances, from a quarter up."""
    return max(SHORTEST_BLOCK, math.ceil(math.cbrt(weeks)))


def block_counts(weeks: int, length: int, draws: int, rng: np.random.Generator) -> Array:
    """How often each week is in each resample of overlapping blocks; the last block is cut to T weeks in all.

    Returns
    -------
    (draws, weeks), rows sum to ``weeks``
    """
    length = min(length, weeks)
    blocks = math.ceil(weeks / length)
    starts = rng.integers(weeks - length + 1, size=(draws, blocks))
    ends = starts + length
    ends[:, -1] -= blocks * length - weeks
    change, row = np.zeros((draws, weeks + 1)), np.arange(draws)[:, None]
    np.add.at(change, (row, starts), 1.0)
    np.add.at(change, (row, ends), -1.0)
    return np.cumsum(change, axis=1)[:, :-1]


def block_multipliers(weeks: int, length: int, draws: int, rng: np.random.Generator) -> Array:
    """Rademacher multipliers, -1 or 1, alike within adjacent blocks whose first boundary is drawn; length 1: independent.

    Returns
    -------
    (draws, weeks)
    """
    signs = rng.choice(np.array([-1.0, 1.0]), size=(draws, weeks // length + 2))
    first = rng.integers(length, size=(draws, 1))
    return np.take_along_axis(signs, (first + np.arange(weeks)) // length, axis=1)


def residualised(Z: Array, columns: Array) -> Array:
    """What the regressors Z (n, q) leave of each column (n, G)."""
    if not Z.shape[1]:
        return columns
    Q = orthonormal_basis(Z).Q
    return np.asarray(columns - Q @ (Q.T @ columns))


def profile(weights: Array, Z: Array, y: Array, H: Array) -> tuple[Array, Array, Array]:
    """Weighted squares and products of y and each column of H, after the regressors Z are taken out of both.

    For every weighting b and column g the regression of y on (Z, H[:, g]) has height hy / hh and sum of squares
    yy - hy^2 / hh (Frisch and Waugh 1933).

    Parameters
    ----------
    weights : (B, n)
    Z       : (n, q);  y : (n,);  H : (n, G)

    Returns
    -------
    yy (B,), hy (B, G), hh (B, G)
    """
    # The span does not change, and what is subtracted below is small.
    y, H = residualised(Z, y[:, None])[:, 0], residualised(Z, H)
    yy, hy, hh = weights @ y**2, weights @ (H * y[:, None]), weights @ H**2
    if q := Z.shape[1]:
        cross = np.stack([weights @ (H * z[:, None]) for z in Z.T], axis=1)  # (B, q, G)
        own = (weights @ (Z * y[:, None]))[:, :, None]  # (B, q, 1)
        gram = (weights @ (Z[:, :, None] * Z[:, None, :]).reshape(len(Z), -1)).reshape(-1, q, q)
        # A dummy that a resample never met: its row is zero, and any positive number gives it coefficient zero.
        diagonal = np.arange(q)
        gram[:, diagonal, diagonal] += 1e-12 * len(y)
        solved = np.linalg.solve(gram, np.concatenate([own, cross], axis=2))
        yy = yy - np.sum(own * solved[:, :, :1], axis=(1, 2))
        hy = hy - np.sum(own * solved[:, :, 1:], axis=1)
        hh = hh - np.sum(cross * solved[:, :, 1:], axis=1)
    return yy, hy, np.maximum(hh, 0.0)
