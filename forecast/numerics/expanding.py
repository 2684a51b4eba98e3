"""Least squares at every origin of an expanding window, at about the cost of a few single ones.

A window of n rows is refitted by QR; the rows after it are then written in its orthonormal basis, where the design's
condition has gone:

    X(n) = Q R,   z(t) = R'^-1 x(t),   e(t) = y(t) - x(t)' b(n)
    b(t) = b(n) + R^-1 d(t),   (I + sum_{s=n+1..t} z(s) z(s)') d(t) = sum_{s=n+1..t} z(s) e(s)

Sums over all t are cumulative, and all t are solved at once. The matrix in brackets has condition at most
1 + sum z'z; before that squares too much, the window is refitted. Early windows, whose rows are still news, are
refitted often, later ones hardly ever. The coefficients at t are made of rows up to t alone, to the last bit.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from forecast.errors import ModelError, RankDeficientError, ShortHistoryError

from .least_squares import Basis, LeastSquares, dependence_tolerance, least_squares, numerical_rank

type Array = NDArray[np.float64]

# Rows after a refit, at most: bounds memory.
_BLOCK = 1024
# Of the cumulated squares that decide about a refit; a thousand costs 3 of 16 digits of a correction.
_NEWS = 1e3


@dataclass(frozen=True, slots=True, eq=False)
class ExpandingFit:
    """Least squares at each origin t on the complete rows up to and including t.

    coefficients : (T, k) or (T, k, m), unit of y per unit of each column; missing before the first origin
                   and wherever the rank is below k
    rss          : (T,) or (T, m) sums of squared residuals, unit of y squared; missing likewise
    n            : (T,) complete rows up to t
    rank         : (T,) of those rows; zero before the first origin
    """

    coefficients: Array
    rss: Array
    n: NDArray[np.intp]
    rank: NDArray[np.intp]


def expanding_least_squares(X: Array, y: Array, first: int) -> ExpandingFit:
    """Coefficients that minimise the sum of squared residuals over rows up to t, for each t from ``first`` on.

    A regressor that has not moved yet, such as the dummy of a year-end still to come, is no error here: its origins
    have no coefficients, and say so by their rank.

    Parameters
    ----------
    X     : (T, k) rows in time order; a constant is a column like any other
    y     : (T,) or (T, m), each column a response. Rows with a missing value in X or any response are left out
    first : row of the first origin

    Raises
    ------
    ModelError : shapes do not agree, a value is infinite, or ``first`` is no row

    References
    ----------
    Björck (1996), Numerical Methods for Least Squares Problems, chapter 3 (modified problems).
    """
    X, y = np.asarray(X, dtype=float), np.asarray(y, dtype=float)
    _refuse(X, y, first)
    Y = y.reshape(len(y), -1)
    complete = np.isfinite(X).all(axis=1) & np.isfinite(Y).all(axis=1)
    n = np.cumsum(complete)
    by_window = _by_window(X[complete], Y[complete], int(n[first]))
    T, k, m = len(X), X.shape[1], Y.shape[1]
    fit = ExpandingFit(np.full((T, k, m), np.nan), np.full((T, m), np.nan), n, np.zeros(T, dtype=np.intp))
    for of_rows, of_windows in zip((fit.coefficients, fit.rss, fit.rank), by_window, strict=True):
        of_rows[first:] = of_windows[n[first:] - n[first]]
    return fit if y.ndim > 1 else replace(fit, coefficients=fit.coefficients[:, :, 0], rss=fit.rss[:, 0])


def _refuse(X: Array, y: Array, first: int) -> None:
    if X.ndim != 2 or y.ndim not in {1, 2} or len(X) != len(y):
        raise ModelError(f"X has shape {X.shape} and y {y.shape}; expected (T, k) and (T,) or (T, m).")
    if np.isinf(X).any() or np.isinf(y).any():
        raise ModelError("X or y has an infinite value. Mark what is missing as NaN.")
    if not 0 <= first < len(X):
        raise ModelError(f"first = {first} is no row of {len(X)}.")


def _by_window(X: Array, Y: Array, smallest: int) -> tuple[Array, Array, NDArray[np.intp]]:
    """Coefficients (W, k, m), squares (W, m) and ranks (W,) of windows of ``smallest`` to all rows."""
    W, k, m = len(X) + 1 - smallest, X.shape[1], Y.shape[1]
    coefficients, rss, rank = np.full((W, k, m), np.nan), np.full((W, m), np.nan), np.full(W, k)
    n = smallest
    while n <= len(X):
        here = n - smallest
        try:
            fit = least_squares(X[:n], Y[:n])
        except (RankDeficientError, ShortHistoryError):
            rank[here] = numerical_rank(X[:n])
            n += 1
            continue
        ahead = _BLOCK if _stays_independent(fit.basis, n) else 0
        b, squares = _following(fit, X[n : n + ahead], Y[n : n + ahead])
        coefficients[here : here + len(b)], rss[here : here + len(b)] = b, squares
        n += len(b)
    return coefficients, rss, rank


def _stays_independent(basis: Basis, n: int) -> bool:
    """Whether no column can become dependent in a block after n rows, whatever its rows are."""
    longer = np.sqrt(1 + _NEWS)  # by which columns may grow before the next refit, and what is left of them not
    least = float(np.abs(np.diag(basis.R)).min(initial=1.0))
    return bool(least > longer * dependence_tolerance(n + _BLOCK))


def _following(fit: LeastSquares, X: Array, Y: Array) -> tuple[Array, Array]:
    """Coefficients and squares of a fitted window and of those that add rows of X, until these bring too much news."""
    k, m = fit.coefficients.shape
    start = np.sum(fit.residuals**2, axis=0)
    if not len(X):
        return fit.coefficients[None], start[None]
    z, e = fit.basis.coordinates(X), Y - np.sum(X[:, :, None] * fit.coefficients, axis=1)
    with np.errstate(over="ignore"):
        news = np.cumsum(np.sum(z**2, axis=1))
    kept = int(np.searchsorted(news, _NEWS))
    z, e = z[:kept, :, None], e[:kept, None, :]
    gram = np.eye(k) + np.cumsum(z * z.swapaxes(1, 2), axis=0)
    moment = np.cumsum(z * e, axis=0)
    correction = np.linalg.solve(gram, moment)  # (kept, k, m)
    along = correction.swapaxes(0, 1).reshape(k, -1)
    change = fit.basis.coefficients(along).reshape(k, kept, m).swapaxes(0, 1)
    squares = start + np.cumsum(e[:, 0] ** 2, axis=0) - np.sum(moment * correction, axis=1)
    return (
        np.concatenate([fit.coefficients[None], fit.coefficients + change]),
        np.concatenate([start[None], squares]),
    )
