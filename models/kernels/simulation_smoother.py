"""Draws of drifting coefficients given everything else, in time that grows with the square of their number.

    y(t) = x(t)' b(t) + e(t),      e(t) ~ N(0, v(t))
    b(t) = b(t-1) + w * z(t),      z(t) ~ N(0, I),  t = 1, ..., T
    b(0) ~ N(m, diag(p^2))

The observation is scalar, so the filter multiplies no matrices: each week costs two passes over the state's
covariance. A draw is a simulated path corrected by the smoothed difference of data and simulated data. Simulated and
filtered coefficients only ever meet the data as their sum, so both run as one. Coefficients enter and leave as b(0) and
the innovations z, which stay exact where a drift w is nearly zero.

References
----------
Durbin and Koopman (2002), "A simple and efficient simulation smoother for state space time series analysis",
Biometrika 89, section 2.3 (mean correction). Koopman (1993), "Disturbance smoother for state space models".
"""

# ruff: noqa: PLR0917  numba compiles no keyword-only arguments

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .compiling import kernel

type Array = NDArray[np.float64]


@kernel
def draw_states(
    y: Array,
    X: Array,
    variance: Array,
    mean: Array,
    sd: Array,
    drift: Array,
    rng: np.random.Generator,
    start: Array,
    innovations: Array,
) -> None:
    """One draw of b(0) and z(1), ..., z(T) given the data, into ``start`` and ``innovations``.

    Parameters
    ----------
    y           : (T,) observations; a missing one is NaN and its row of X is not read
    X           : (T, k) regressors
    variance    : (T,) v, positive
    mean, sd    : (k,) m and p
    drift       : (k,) w, of either sign
    start       : (k,) receives b(0)
    innovations : (T, k) receives z
    """
    T, k = X.shape
    gain, error, precision = np.empty((T, k)), np.empty(T), np.empty(T)
    filtered(deviations(y, X, mean), X, variance, sd, drift, gain, error, precision)
    draw_states_again(y, X, variance, mean, sd, drift, gain, precision, rng, start, innovations)


@kernel
def draw_states_again(
    y: Array,
    X: Array,
    variance: Array,
    mean: Array,
    sd: Array,
    drift: Array,
    gain: Array,
    precision: Array,
    rng: np.random.Generator,
    start: Array,
    innovations: Array,
) -> None:
    """As :func:`draw_states`, from the ``gain`` and ``precision`` of a filter that ran with the same drift and variance.

    Neither depends on the data, so that what is left to do grows with k only.
    """
    error = np.empty(len(y))
    simulate(y, X, variance, mean, sd, drift, gain, precision, rng, start, innovations, error)
    correct(X, gain, error, precision, sd, drift, start, innovations)


@kernel
def log_density(y: Array, X: Array, variance: Array, mean: Array, sd: Array, drift: Array) -> float:
    """log p(y | drift, variance) with all coefficients integrated out; arguments as in :func:`draw_states`."""
    T, k = X.shape
    gain, error, precision = np.empty((T, k)), np.empty(T), np.empty(T)
    filtered(deviations(y, X, mean), X, variance, sd, drift, gain, error, precision)
    return log_density_of(error, precision)


@kernel
def deviations(y: Array, X: Array, mean: Array) -> Array:
    """(T,) y(t) - x(t)'m."""
    deviation = y.copy()
    T, k = X.shape
    for t in range(T):
        for j in range(k):
            deviation[t] -= X[t, j] * mean[j]
    return deviation


@kernel
def simulate(
    y: Array,
    X: Array,
    variance: Array,
    mean: Array,
    sd: Array,
    drift: Array,
    gain: Array,
    precision: Array,
    rng: np.random.Generator,
    start: Array,
    innovations: Array,
    error: Array,
) -> None:
    """Simulated states into ``start`` and ``innovations``; into ``error`` what :func:`filtered` would find for the
    difference of observations and simulated ones.
    """
    T, k = X.shape
    state = np.empty(k)  # simulated plus filtered difference
    for j in range(k):
        start[j] = mean[j] + sd[j] * rng.standard_normal()
        state[j] = start[j]
    for t in range(T):
        total = y[t] - np.sqrt(variance[t]) * rng.standard_normal()
        for j in range(k):
            z = rng.standard_normal()
            innovations[t, j] = z
            state[j] += drift[j] * z
            total -= X[t, j] * state[j]
        error[t] = 0.0
        if precision[t] > 0.0:
            scaled = total * precision[t]
            error[t] = scaled
            for j in range(k):
                state[j] += gain[t, j] * scaled


@kernel
def filtered(
    deviation: Array,
    X: Array,
    variance: Array,
    sd: Array,
    drift: Array,
    gain: Array,
    error: Array,
    precision: Array,
) -> tuple[Array, Array]:
    """The Kalman filter of coefficients whose prior mean is zero.

    Parameters
    ----------
    deviation : (T,) observations less x(t)'m; NaN where missing
    gain      : (T, k) receives P(t) x(t), P the covariance of b(t) given observations before t
    error     : (T,) receives the one-step prediction error over its variance F(t); 0 where missing
    precision : (T,) receives 1 / F(t); 0 where missing

    Returns
    -------
    mean (k,) and covariance (k, k) of b(T) given all observations
    """
    T, k = X.shape
    # What an observation takes off P is r r'/F, symmetric to the last bit as u u' with u = r / sqrt(F), and is subtracted
    # in the pass that finds the next r = P x, two rows at a time. The loops stand here rather than in a function of one
    # week, and index whole arrays: passing an array, or a slice, costs more than what they compute.
    P, squared = np.diag(sd * sd), drift * drift
    state, row, u = np.zeros(k), np.zeros(k), np.zeros(k)
    for t in range(T):
        surprise, F = deviation[t], variance[t]
        for j in range(k):
            P[j, j] += squared[j]
            surprise -= X[t, j] * state[j]
            row[j] = 0.0
        if np.isnan(surprise):
            error[t] = precision[t] = 0.0
            continue
        for i in range(0, k - 1, 2):
            x, x_, taken, taken_ = X[t, i], X[t, i + 1], u[i], u[i + 1]
            for j in range(k):
                p, p_ = P[i, j] - taken * u[j], P[i + 1, j] - taken_ * u[j]
                P[i, j], P[i + 1, j] = p, p_
                row[j] += p * x + p_ * x_
        for i in range(k - k % 2, k):
            for j in range(k):
                P[i, j] -= u[i] * u[j]
                row[j] += P[i, j] * X[t, i]
        for j in range(k):
            F += X[t, j] * row[j]
        inverse = 1.0 / F
        precision[t], error[t], root = inverse, surprise * inverse, np.sqrt(inverse)
        for i in range(k):
            gain[t, i] = row[i]
            state[i] += row[i] * error[t]
            u[i] = row[i] * root
    return state, P - np.outer(u, u)


@kernel
def log_density_of(error: Array, precision: Array) -> float:
    """log p of the observations, from prediction errors over their variances and the inverse variances."""
    total, product, observed = 0.0, 1.0, 0
    for t in range(len(error)):
        if precision[t] > 0.0:
            total -= 0.5 * error[t] * error[t] / precision[t]
            # A logarithm costs as much as ten products; eight variances never overflow.
            product *= precision[t]
            observed += 1
            if observed % 8 == 0:
                total += 0.5 * np.log(product)
                product = 1.0
    return float(total + 0.5 * np.log(product) - 0.5 * observed * np.log(2 * np.pi))


@kernel
def correct(
    X: Array, gain: Array, error: Array, precision: Array, sd: Array, drift: Array, start: Array, innovations: Array
) -> None:
    """Add the smoothed difference of data and simulated data to a simulated ``start`` and ``innovations``."""
    T, k = X.shape
    smoothed = np.zeros(k)
    for t in range(T - 1, -1, -1):
        if precision[t] > 0.0:
            total = 0.0
            for j in range(k):
                total += gain[t, j] * smoothed[j]
            weight = error[t] - precision[t] * total
            for j in range(k):
                smoothed[j] += X[t, j] * weight
        for j in range(k):
            innovations[t, j] += drift[j] * smoothed[j]
    for j in range(k):
        start[j] += sd[j] * sd[j] * smoothed[j]


@kernel
def paths(start: Array, drift: Array, innovations: Array) -> Array:
    """(T, k) coefficients b(1), ..., b(T)."""
    T, k = innovations.shape
    b = np.empty((T, k))
    level = start.copy()
    for t in range(T):
        for j in range(k):
            level[j] += drift[j] * innovations[t, j]
            b[t, j] = level[j]
    return b
