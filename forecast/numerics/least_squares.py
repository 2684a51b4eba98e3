"""Least squares by QR with a rank report, and covariances that say which errors they allow.

    y = X b + e,    b = R^-1 Q' y    where    X diag(1 / s) = Q R,    s = column norms

The normal equations square the condition number and a pseudo-inverse silently drops
directions; QR on scaled columns does neither, and makes the answer independent of units.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import qr, solve_triangular

from forecast.errors import ModelError, RankDeficientError, ShortHistoryError

type Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Basis:
    """Orthonormal basis of a design's columns.

        (X / scale)[:, order] = Q @ R,    X+ = inverse @ Q'

    Q         : (n, k) orthonormal
    R         : (k, k) upper triangular, columns of length one
    order     : (k,) columns of X, those with the most of their own first
    scale     : (k,) lengths of the columns of X
    inverse   : (k, k) X+ Q, rows in the order of X's columns
    """

    Q: Array
    R: Array
    order: NDArray[np.intp]
    scale: Array
    inverse: Array

    @property
    def condition(self) -> float:
        """Of X with columns of length one; 1 is orthogonal, 1e15 is hopeless."""
        return float(np.linalg.cond(self.R)) if self.R.size else 1.0

    # Both by substitution, exact up to rounding of the rows, which multiplying with the inverse is not.
    def coordinates(self, rows: Array) -> Array:
        """Further rows (r, k) of the design in the basis: z with R' z' = row'; those of X itself are Q."""
        z = np.ascontiguousarray((rows / self.scale)[:, self.order].T)
        for j in range(len(z)):
            z[j] /= self.R[j, j]
            z[j + 1 :] -= self.R[j, j + 1 :, None] * z[j]
        return z.T

    def coefficients(self, along: Array) -> Array:
        """b (k, m) with X b = Q along."""
        b = np.empty_like(along)
        b[self.order] = _back_substituted(self.R, along)
        return b / self.scale[:, None]


@dataclass(frozen=True, slots=True, eq=False)
class LeastSquares:
    """Coefficients and what their covariance needs.

    coefficients : (k,) or (k, m) for m responses, unit of y per unit of each column
    residuals    : (n,) or (n, m), unit of y
    basis        : of the design
    """

    coefficients: Array
    residuals: Array
    basis: Basis

    @property
    def degrees_of_freedom(self) -> int:
        """Rows less columns, n - k."""
        n, k = self.basis.Q.shape
        return int(n - k)

    def residual_variance(self) -> Array:
        """s2 = e'e / (n - k), () or (m,), unit of y squared.

        Raises
        ------
        ShortHistoryError : as many columns as rows, so that nothing is left to measure noise with
        """
        if self.degrees_of_freedom == 0:
            raise ShortHistoryError(f"{len(self.residuals)} rows for as many columns leave no residual variance.")
        return np.asarray(np.sum(self.residuals**2, axis=0) / self.degrees_of_freedom)

    def covariance(self) -> Array:
        """s2 (X'X)^-1, (k, k) or (m, k, k): for errors of one variance and no serial correlation."""
        unscaled = self.basis.inverse @ self.basis.inverse.T
        return np.multiply.outer(self.residual_variance(), unscaled)


def orthonormal_basis(X: Array, names: Sequence[str] | None = None) -> Basis:
    """Scaled QR of a design, refused where it has no full rank.

    A column counts as dependent where what the others leave of it, all scaled to length one, is shorter than
    10 n machine epsilons: above what rounding leaves of an exact combination, far below 1e-9, the worst of
    NIST's certified designs (Filip).

    Parameters
    ----------
    X     : (n, k) finite
    names : of the columns, for the error; "column 0", ... without

    Raises
    ------
    ModelError         : a value is not finite; names the columns
    ShortHistoryError  : fewer rows than columns
    RankDeficientError : names each dependent column and the ones that it is a combination of
    """
    n, k = X.shape
    names = names or [f"column {j}" for j in range(k)]
    _refuse_not_finite(X, names)
    if n < k:
        raise ShortHistoryError(f"{n} rows cannot determine {k} coefficients ({', '.join(names)}).")
    Q, R, order, scale = _scaled_qr(X)
    rank = _independent(R, n)
    if rank < k:
        raise RankDeficientError(_dependence(R, order, rank, names))
    inverse = np.empty((k, k))
    inverse[order] = _back_substituted(R, np.eye(k))
    return Basis(Q, R, order, scale, inverse / scale[:, None])


def numerical_rank(X: Array) -> int:
    """Columns of a finite design (n, k) that are no combination of others, by the rule of `orthonormal_basis`."""
    return _independent(_scaled_qr(X)[1], len(X)) if X.size else 0


def dependence_tolerance(n: int) -> float:
    """What must be left of a column of length one, in a design of n rows, for it not to be a combination of others."""
    return 10 * n * float(np.finfo(float).eps)


def _scaled_qr(X: Array) -> tuple[Array, Array, NDArray[np.intp], Array]:
    """Q, R, order and scale of `Basis`, by the largest of what is left; a zero column has scale one."""
    # By the largest number first, so that squares of very large or very small ones neither overflow nor vanish.
    largest = np.abs(X).max(axis=0, initial=0.0)
    largest[largest == 0] = 1.0
    length = np.sqrt(np.sum((X / largest) ** 2, axis=0))
    length[length == 0] = 1.0
    Q, R, order = qr(X / largest / length, mode="economic", pivoting=True, check_finite=False)
    return Q, R, order, largest * length


def _independent(R: Array, n: int) -> int:
    return int(np.sum(np.abs(np.diag(R)) > dependence_tolerance(n)))


# Substitution goes element by element. LAPACK's answer for one column depends, in its last bits, on how many others are
# asked for, and OpenBLAS wakes every thread for the smallest triangle, which on a busy machine costs milliseconds.
def _back_substituted(R: Array, right: Array) -> Array:
    """R^-1 right; (k, k), (k, m) -> (k, m)."""
    solved = right.copy()
    for j in reversed(range(len(R))):
        solved[j] /= R[j, j]
        solved[:j] -= R[:j, j, None] * solved[j]
    return solved


def _refuse_not_finite(X: Array, names: Sequence[str]) -> None:
    bad = [name for name, finite in zip(names, np.isfinite(X).all(axis=0), strict=True) if not finite]
    if bad:
        raise ModelError(f"not finite: {', '.join(bad)}. Drop the rows with missing values first.")


def _dependence(R: Array, pivot: NDArray[np.intp], rank: int, names: Sequence[str]) -> str:
    """Which columns are combinations of which: R[:rank, :rank] c = R[:rank, j]."""
    found = []
    for j in range(rank, len(pivot)):
        weights = solve_triangular(R[:rank, :rank], R[:rank, j], check_finite=False)
        of = [names[i] for i, weight in zip(pivot, weights, strict=False) if abs(weight) > 1e-8]
        what = f"a combination of {', '.join(sorted(of))}" if of else "zero throughout"
        found.append(f"{names[pivot[j]]} is {what}")
    return f"rank {rank} of {len(pivot)} columns: {'; '.join(found)}. Leave out the dependent ones."


def least_squares(X: Array, y: Array, *, names: Sequence[str] | None = None) -> LeastSquares:
    """Coefficients that minimise the sum of squared residuals.

    One step of refinement with residuals in extended precision wins back what large residuals cost
    (Björck 1967): without it 6 digits of Wampler5 are right, with it 9.

    Parameters
    ----------
    X     : (n, k) finite; a constant is a column like any other
    y     : (n,) or (n, m) finite, each column a response
    names : of the columns of X, for errors

    Raises
    ------
    ModelError         : a value is not finite, or the rows of X and y differ in number
    ShortHistoryError  : fewer rows than columns
    RankDeficientError : names the dependent columns
    """
    X, y = np.asarray(X, dtype=float), np.asarray(y, dtype=float)
    if X.ndim != 2 or y.ndim not in {1, 2} or len(X) != len(y):
        raise ModelError(f"X has shape {X.shape} and y {y.shape}; expected (n, k) and (n,) or (n, m).")
    responses = y.reshape(len(y), -1)
    _refuse_not_finite(responses, [f"response {j}" for j in range(responses.shape[1])])
    basis = orthonormal_basis(X, names)
    coefficients, residuals = _augmented_solve(basis, responses, np.zeros((X.shape[1], 1)))
    exact = X.astype(np.longdouble)
    gap = (responses - residuals - exact @ coefficients).astype(float)
    slope = -(exact.T @ residuals).astype(float)
    more_coefficients, more_residuals = _augmented_solve(basis, gap, slope)
    shape = (X.shape[1], *y.shape[1:])
    return LeastSquares(
        (coefficients + more_coefficients).reshape(shape), (residuals + more_residuals).reshape(y.shape), basis
    )


def _augmented_solve(basis: Basis, f: Array, g: Array) -> tuple[Array, Array]:
    """Solve e + X b = f, X'e = g for b (k, m) and e (n, m)."""
    along = basis.Q.T @ f - basis.inverse.T @ g
    return basis.inverse @ along, f - basis.Q @ along


def ehw_covariance(fit: LeastSquares, *, small_sample: bool = True) -> Array:
    """Eicker-Huber-White covariance: errors of any variance, no serial correlation.

        V = c X+ diag(e^2) X+',    X+ = (X'X)^-1 X',    c = n / (n - k) (HC1) or 1 (HC0)

    Parameters
    ----------
    fit          : of one or m responses
    small_sample : HC1 if true, HC0 if false

    Returns
    -------
    (k, k) or (m, k, k), units of the coefficients squared

    Raises
    ------
    ShortHistoryError : HC1 with as many columns as rows

    References
    ----------
    White (1980), Econometrica 48(4); MacKinnon and White (1985), Journal of Econometrics 29(3).
    """
    n, _ = fit.basis.Q.shape
    if small_sample and fit.degrees_of_freedom == 0:
        raise ShortHistoryError(f"{n} rows for as many columns leave no residual variance.")
    factor = n / fit.degrees_of_freedom if small_sample else 1.0
    influence = fit.basis.inverse @ fit.basis.Q.T  # (k, n)
    squares = np.atleast_2d(fit.residuals.T**2)  # (m, n)
    result: Array = factor * (influence * squares[:, None, :]) @ influence.T
    return result[0] if fit.residuals.ndim == 1 else result
