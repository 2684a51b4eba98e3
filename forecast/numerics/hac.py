"""Covariances of coefficients whose errors are correlated over time.

    V = X+ S X+',    S = sum_{|j| < n} w(j) sum_t u(t) u(t-j)',    u(t) = x(t) e(t)

Weekly errors of overlapping windows, or of rates that settle slowly, are correlated with their neighbours; a
covariance without w(1), w(2), ... then promises too much. Each kernel here gives a V that is positive semidefinite.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from forecast.errors import ModelError, ShortHistoryError

from .least_squares import LeastSquares, least_squares

type Array = NDArray[np.float64]
type Kernel = Literal["bartlett", "parzen", "quadratic_spectral"]


def hac_covariance(
    fit: LeastSquares, lags: int, *, kernel: Kernel = "bartlett", small_sample: bool = True, prewhite: bool = False
) -> Array:
    """Heteroskedasticity and autocorrelation consistent covariance (Newey-West with Bartlett's kernel).

        w(j) = K(j / (lags + 1))

    Bartlett's and Parzen's weights are zero beyond ``lags``, and with none the covariance is Eicker-Huber-White's;
    the quadratic spectral kernel weighs every lag. Prewhitening takes u's first-order vector autoregression A out,
    sums what is left and puts it back, (I - A)^-1 S (I - A')^-1, which loses less of a slow decay.

    Parameters
    ----------
    fit          : rows in time order, evenly spaced; of one or m responses
    lags         : periods over which errors may be correlated; a forecast h periods ahead needs h - 1 at least
    small_sample : times n / (n - k)

    Returns
    -------
    (k, k) or (m, k, k), units of the coefficients squared

    Raises
    ------
    ModelError        : lags below zero, an unknown kernel, or prewhitening of scores that do not die out
    ShortHistoryError : not more rows than lags, or a small-sample factor with as many columns as rows

    References
    ----------
    Newey and West (1987), Econometrica 55(3); Andrews (1991), Econometrica 59(3), equation 2.7;
    Andrews and Monahan (1992), Econometrica 60(4).
    """
    n, k = fit.basis.Q.shape
    _refuse(lags, kernel, n)
    if small_sample and n == k:
        raise ShortHistoryError(f"{n} rows for as many columns leave no residual variance.")
    factor = n / (n - k) if small_sample else 1.0
    weights = KERNELS[kernel](np.arange(n) / (lags + 1))
    long_run = _prewhitened if prewhite else weighted_autocovariances
    # Scores in the orthonormal basis: of the size of the residuals whatever the units of the columns are.
    each = [long_run(fit.basis.Q * e[:, None], weights) for e in fit.residuals.reshape(n, -1).T]
    half = factor / 2 * fit.basis.inverse @ np.stack(each) @ fit.basis.inverse.T
    result: Array = half + half.swapaxes(1, 2)
    return result[0] if fit.residuals.ndim == 1 else result


def _refuse(lags: int, kernel: str, n: int) -> None:
    if kernel not in KERNELS:
        raise ModelError(f"kernel {kernel!r}; use one of {', '.join(KERNELS)}.")
    if lags < 0:
        raise ModelError(f"lags = {lags}; give 0 or more.")
    if lags >= n:
        raise ShortHistoryError(f"{n} rows have no errors {lags} periods apart.")


def weighted_autocovariances(u: Array, weights: Array) -> Array:
    """w(0) G(0) + sum_{j>0} w(j) (G(j) + G(j)'),  G(j) = sum_t u(t) u(t-j)'; (n, k), (<= n,) -> (k, k)."""
    half: Array = 0.5 * weights[0] * u.T @ u
    for j in np.flatnonzero(weights[: len(u)])[1:]:
        half += weights[j] * u[j:].T @ u[:-j]
    return half + half.T


def _prewhitened(u: Array, weights: Array) -> Array:
    try:
        var = least_squares(u[:-1], u[1:])
    except ModelError as error:
        raise ModelError(f"scores cannot be prewhitened: {error}") from error
    A = var.coefficients.T
    radius = float(np.abs(np.linalg.eigvals(A)).max(initial=0.0))
    if radius >= 1:
        raise ModelError(
            f"scores have a root of {radius:.3f} and do not die out; difference the data, or do not prewhiten."
        )
    recolour = np.linalg.inv(np.eye(len(A)) - A)
    return np.asarray(recolour @ weighted_autocovariances(var.residuals, weights) @ recolour.T)


# --------------------------------------------------------------------------- kernels: K(0) = 1, of x = lag / bandwidth >= 0


def bartlett(x: Array) -> Array:
    """A straight line to zero at one."""
    return np.maximum(1 - x, 0)


def parzen(x: Array) -> Array:
    """Two cubics to zero at one, flat at both ends."""
    return np.where(x <= 0.5, 1 - 6 * x**2 + 6 * x**3, 2 * np.maximum(1 - x, 0) ** 3)


def quadratic_spectral(x: Array) -> Array:
    """25 / (12 pi^2 x^2) (sin(y) / y - cos(y)) with y = 6 pi x / 5: the least mean squared error of its class."""
    y = np.where(x > 0, 6 * np.pi * x / 5, 1.0)
    return np.where(x > 0, 3 / y**2 * (np.sin(y) / y - np.cos(y)), 1.0)


KERNELS: dict[str, Callable[[Array], Array]] = {
    "bartlett": bartlett,
    "parzen": parzen,
    "quadratic_spectral": quadratic_spectral,
}
