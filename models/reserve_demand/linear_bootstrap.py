"""Moving-block bootstrap of linear estimates, by least squares or with instruments.

    b* = (X'C X)^-1 X'C y,    C = diag(how often each week is in the resample)

In an orthonormal basis of the regressors squares lose no digits, so all resamples are a few matrix products. A thousand
estimates from 850 weeks cost about 50 milliseconds.

References
----------
Fitzenberger (1998), Journal of Econometrics 82(2), on moving blocks in regressions.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from forecast.errors import ModelError
from forecast.numerics.least_squares import orthonormal_basis

from .block_bootstrap import block_counts

type Array = NDArray[np.float64]

# Half a year: spreads return to a straight line, or to a log curve, over months rather than weeks.
BLOCK = 26
# What must be left of a resample in every direction, of one in the sample; less, and it lacks a regressor.
_DEPENDENT = 1e-8
# Resamples are drawn again this often; a regressor that most of them lack has too few events to be estimated.
_TRIES = 100


def bootstrapped(X: Array, y: Array, n_draws: int, rng: np.random.Generator, *, Z: Array | None = None) -> Array:
    """Estimates from resampled rows: least squares, or two-stage least squares with instruments.

    A resample that by chance lacks a regressor, such as all quarter-ends, is drawn again.

    Parameters
    ----------
    X : (n, k) regressors of full rank, in time order
    y : (n,)
    Z : (n, l) instruments, l >= k, exogenous regressors among them; none for least squares

    Returns
    -------
    (n_draws, k)

    Raises
    ------
    RankDeficientError : columns of X or Z are combinations of others
    ModelError         : nearly all resamples lack a regressor
    """
    basis = orthonormal_basis(X)
    instruments = basis.Q if Z is None else orthonormal_basis(Z).Q
    products = _products(instruments, np.column_stack([basis.Q, y])), _products(instruments, instruments)
    draws, waiting = np.empty((n_draws, X.shape[1])), np.arange(n_draws)
    for _ in range(_TRIES):
        counts = block_counts(len(y), BLOCK, len(waiting), rng)
        sums, squares = (np.tensordot(counts, each, axes=1) for each in products)
        estimates, sound = _estimates(sums, squares)
        draws[waiting[sound]] = estimates[sound]
        waiting = waiting[~sound]
        if not len(waiting):
            return basis.coefficients(draws.T).T
    raise ModelError("nearly all resamples lack a regressor: it has too few events. Leave it out, or start earlier.")


def _products(left: Array, right: Array) -> Array:
    """(n, l, r) products of each row's entries."""
    return left[:, :, None] * right[:, None, :]


def _estimates(sums: Array, squares: Array) -> tuple[Array, NDArray[np.bool_]]:
    """Two-stage least squares from sums (S, l, k + 1) and squares (S, l, l), and whether each has full rank.

    With the regressors as their own instruments this is least squares.
    """
    values, vectors = np.linalg.eigh(squares)
    sound = values[:, 0] > _DEPENDENT
    root = vectors / np.sqrt(np.where(sound[:, None], values, 1.0))[:, None, :]
    along = root.swapaxes(1, 2) @ sums  # projections on the instruments
    Q, R = np.linalg.qr(along[:, :, :-1])
    sound &= np.abs(np.diagonal(R, axis1=1, axis2=2)).min(axis=1) > _DEPENDENT
    R = np.where(sound[:, None, None], R, np.eye(R.shape[1]))
    return np.linalg.solve(R, Q.swapaxes(1, 2) @ along[:, :, -1:])[:, :, 0], sound
