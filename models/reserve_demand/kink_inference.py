"""Where a line bends, whether it bends at all, and the bends that the data do not reject.

    y(t) = a'z(t) + b max(k - x(t), 0) + e(t)

For every k of a grid this is a regression with one more column; with z taken out of y and of every hinge once, its sum
of squares is a difference of two numbers (Frisch and Waugh 1933). Under no bend k means nothing, so the largest F
of the grid has no F distribution, and its own is simulated: residuals of the regression without a bend times random
signs, on the same regressors. (With residuals of the best bend, as in Hansen's algorithm 1, the test rejects more often
than it says: 14 instead of 11 percent of true hypotheses at 10 percent nominal, errors of root 0.7 and blocks of 13.)

The curve is continuous at k, so the estimate of k is as regular as that of b, and the likelihood ratio is chi-squared
with one degree of freedom where errors are independent with one variance: 3.84 for 95 percent. (The 7.35 of Hansen
2000 belongs to jumps.) Spreads are neither, so its distribution is simulated, with residuals of the best bend. Signs
that are alike within blocks keep the correlation of errors of nearby weeks; independent signs keep their variance only.
Blocks of a quarter do not hold the correlation of errors of root 0.9 and more: tests then reject too often.

References
----------
Hansen (2017), "Regression kink with an unknown threshold", JBES 35(2), algorithms 1 and 2. Hansen (1996), Econometrica
64(2); Hansen (2000), Econometrica 68(3).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .block_bootstrap import profile, residualised

type Array = NDArray[np.float64]

# Fifteen percent of the weeks lie on either side of the grid: outside, a bend is the story of a few weeks.
TRIMMED, POINTS = 0.15, 281


def candidate_kinks(ratio: Array) -> Array:
    """(281,) evenly spaced between the 15 and 85 percent quantiles of the ratio, percent of bank assets."""
    low, high = np.quantile(ratio, [TRIMMED, 1 - TRIMMED])
    return np.linspace(float(low), float(high), POINTS)


def hinges(ratio: Array, kinks: Array) -> Array:
    """max(k - x, 0), (..., n) and (..., G) -> (..., n, G)."""
    return np.maximum(kinks[..., None, :] - ratio[..., :, None], 0.0)


def grid_squares(Z: Array, y: Array, H: Array) -> tuple[float, Array]:
    """Sums of squares without a bend, and (G,) with one at each k.

    Parameters
    ----------
    Z : (n, q);  y : (n,);  H : (n, G) hinges
    """
    y, H = residualised(Z, y[:, None])[:, 0], residualised(Z, H)
    return float(y @ y), y @ y - (y @ H) ** 2 / np.einsum("ng,ng->g", H, H)


def sup_f(Z: Array, y: Array, H: Array, signs: Array) -> tuple[float, float]:
    """The largest F of the grid against no bend, and its p-value.

    Parameters
    ----------
    signs : (B, n) multipliers

    Returns
    -------
    F, and (1 + number of simulated F at least as large) / (1 + B)
    """
    none, bent = grid_squares(Z, y, H)
    freedom = len(y) - Z.shape[1] - 1
    statistic = freedom * (none - bent.min()) / bent.min()
    e, H = residualised(Z, y[:, None])[:, 0], residualised(Z, H)
    simulated = residualised(Z, (signs * e).T)  # (n, B)
    squares = np.einsum("nb,nb->b", simulated, simulated)
    gain = ((H.T @ simulated) ** 2 / np.einsum("ng,ng->g", H, H)[:, None]).max(axis=0)
    larger = np.sum(freedom * gain / (squares - gain) >= statistic)
    return float(statistic), float((1 + larger) / (1 + len(signs)))


def likelihood_ratio(squares: Array) -> Array:
    """n-free part of the likelihood ratio of each k, SSR(k) / min SSR - 1; (..., G)."""
    least = squares.min(axis=-1, keepdims=True)
    return np.asarray((squares - least) / least)


def critical_ratio(Z: Array, y: Array, H: Array, level: float, signs: Array) -> float:
    """The ``level`` quantile of n * likelihood ratio at the true k, simulated at the estimate.

    Parameters
    ----------
    signs : (B, n) multipliers
    """
    e, best, height = _free_residuals(Z, y, H)
    H = residualised(Z, H)
    simulated = height * H[:, best, None] + residualised(Z, (signs * e).T)
    squares = np.einsum("nb,nb->b", simulated, simulated)[:, None] - (simulated.T @ H) ** 2 / np.einsum(
        "ng,ng->g", H, H
    )
    return float(np.quantile(len(y) * likelihood_ratio(squares)[:, best], level))


def _free_residuals(Z: Array, y: Array, H: Array) -> tuple[Array, int, float]:
    """Residuals of the best bend, its place in the grid, and its b."""
    best = int(grid_squares(Z, y, H)[1].argmin())
    y, h = residualised(Z, y[:, None])[:, 0], residualised(Z, H[:, [best]])[:, 0]
    height = float(y @ h / (h @ h))
    return y - height * h, best, height


def accepted(kinks: Array, inside: NDArray[np.bool_]) -> tuple[tuple[float, float], ...]:
    """Stretches of the grid that are inside a set, as pairs of ends."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], inside, [False]]).astype(int)))
    return tuple((float(kinks[i]), float(kinks[j - 1])) for i, j in edges.reshape(-1, 2))


def weighted_kinks(weights: Array, Z: Array, y: Array, ratio: Array, kinks: Array) -> tuple[Array, Array]:
    """The best bend under every weighting of the weeks.

    Parameters
    ----------
    weights : (B, n)

    Returns
    -------
    (B,) kinks, and (B, q + 1) coefficients of z and of the hinge
    """
    yy, hy, hh = profile(weights, Z, y, hinges(ratio, kinks))
    explained = np.divide(hy**2, hh, out=np.zeros_like(hy), where=hh > 1e-12 * hh.max())
    best = kinks[(yy[:, None] - explained).argmin(axis=1)]
    X = np.concatenate([np.broadcast_to(Z, (len(best), *Z.shape)), hinges(ratio, best[:, None, None])[:, 0]], axis=2)
    weighted = np.swapaxes(X * weights[:, :, None], 1, 2)
    gram, moment = weighted @ X, weighted @ y
    # A dummy that a resample never met gets coefficient zero.
    diagonal = np.arange(X.shape[2])
    gram[:, diagonal, diagonal] += 1e-12 * len(y)
    return best, np.linalg.solve(gram, moment[:, :, None])[:, :, 0]
