"""Least squares for rows of a time series, where dummies may not have happened yet and series may stand still."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from forecast.numerics.least_squares import least_squares

type Array = NDArray[np.float64]

# What is left of a column of length one after the columns before it, below which it adds nothing. Means of equal
# daily rates differ in their last digits, far below this; a basis point on a level of 5 percent is far above.
_DEPENDENT = 1e-10


def independent_columns(X: Array) -> NDArray[np.intp]:
    """Columns that are no combination of those before them.

    A year-end that has not occurred in the sample, or a lag of a series that stood still, has no
    coefficient of its own; leaving the later column out leaves the fitted values as they are.

    Parameters
    ----------
    X : (n, k), n >= k
    """
    length = np.sqrt(np.sum(X**2, axis=0))
    R = np.linalg.qr(X / np.where(length > 0, length, 1.0), mode="r")
    return np.flatnonzero(np.abs(np.diag(R)) > _DEPENDENT)


def regress(X: Array, y: Array) -> Array:
    """Least-squares coefficients (k,), zero for columns that depend on earlier ones.

    Parameters
    ----------
    X : (n, k) finite, n >= k
    y : (n,) finite
    """
    coefficients = np.zeros(X.shape[1])
    kept = independent_columns(X)
    if len(kept):
        coefficients[kept] = least_squares(X[:, kept], y).coefficients
    return coefficients
