"""A grid of regressions that forget: the reference that is there at once.

    y(t) = x(t)' b(t) + e(t),    e(t) ~ N(0, V(t)),    b(t) = b(t-1) + w(t)

    R = C / delta,    e = y - x'm,    q = 1 + x'Rx,    m <- m + R x e / q,    C <- R - R x x' R / q
    n <- kappa n + 1,    S <- S (kappa n + e^2 / (S q)) / (kappa n + 1)

in units of the observation variance, in which neither m nor C depends on kappa: a grid over (delta, kappa) costs one filter
a delta. A forecast is Student-t with kappa n degrees of freedom, centre x'm and scale S q.

Nothing is ever known less than before the first week: where R would exceed the prior's variance in a direction of the axes it
is drawn back to it, so a regressor that stands still for a thousand weeks does not let C grow without bound. One triangle of
C is computed and mirrored: dividing by delta each week would otherwise amplify its antisymmetric rounding error to NaN.

References
----------
West and Harrison (1997), Bayesian Forecasting and Dynamic Models, sections 4.6, 6.3 and 10.8. Raftery, Karny and Ettler (2010),
Technometrics 52, for averaging over models whose weights are forgotten too.
"""

# ruff: noqa: PLR0917  numba compiles no keyword-only arguments
from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from .compiling import kernel

type Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class DiscountGrid:
    """Filters of a grid of memories.

    log_density : (D, K, T) log predictive density of y(t) the week before, by delta and kappa; NaN where y is missing
    mean        : (D, T, k) coefficients after week t
    covariance  : (D, T, k, k) of the coefficients, in units of the observation variance
    variance    : (D, K, T) S after week t, unit of y squared
    """

    log_density: Array
    mean: Array
    covariance: Array
    variance: Array


def discount_grid(
    y: Array, X: Array, delta: Array, kappa: Array, *, sd: Array, variance: float, least: float = 0.0
) -> DiscountGrid:
    """Filter one series with every pair of memories.

    Parameters
    ----------
    y        : (T,) missing ones are NaN; coefficients move on through them
    X        : (T, k)
    delta    : (D,) share of information on coefficients that a week keeps, in (0, 1]
    kappa    : (K,) the same for the variance, in (0, 1]
    sd       : (k,) prior of the coefficients around zero, in units of the observation's standard deviation
    variance : prior of V, unit of y squared; it counts for one week
    least    : below which V never falls: what rounding hides, unit of y squared
    """
    from scipy.special import gammaln

    errors, scales, mean, covariance = filter_means(y, X, delta, sd)
    freedom = np.array([_freedom(~np.isnan(y), keep) for keep in kappa])  # (K, T), kappa n
    constants = gammaln((freedom + 1) / 2) - gammaln(freedom / 2) - 0.5 * np.log(np.pi * freedom)
    log_density, variances = follow_variances(errors, scales, freedom, constants, variance, least)
    return DiscountGrid(log_density, mean, covariance, variances)


def averaged(log_density: Array, forgetting: float = 0.99) -> Array:
    """Log predictive density of the models' average with weights w(t) ~ w(t-1)^forgetting p(y(t)).

    Parameters
    ----------
    log_density : (M, T)

    Returns
    -------
    (T,) NaN where all are
    """
    return mixed_density(np.ascontiguousarray(log_density.T), forgetting)


@kernel
def mixed_density(log_density: Array, forgetting: float) -> Array:
    """:func:`averaged` of densities by week (T, M)."""
    T, M = log_density.shape
    weights, average = np.zeros(M), np.full(T, np.nan)
    for t in range(T):
        weights *= forgetting
        if np.isnan(log_density[t, 0]):
            continue
        before = _log_sum(weights)
        weights += log_density[t]
        after = _log_sum(weights)
        average[t] = after - before
        weights -= after
    return average


@kernel
def _log_sum(values: Array) -> float:
    largest = values.max()
    return float(largest + np.log(np.exp(values - largest).sum()))


def _freedom(observed: NDArray[np.bool_], kappa: float) -> Array:
    n, path = 1.0, np.empty(len(observed))
    for t, seen in enumerate(observed):
        path[t] = kappa * n
        n = kappa * n + seen
    return path


@kernel
def filter_means(y: Array, X: Array, delta: Array, sd: Array) -> tuple[Array, Array, Array, Array]:
    """Errors e and their scales q (D, T), coefficients (D, T, k) and their covariances (D, T, k, k)."""
    T, k = X.shape
    D = len(delta)
    errors, scales = np.empty((D, T)), np.empty((D, T))
    mean, covariance = np.empty((D, T, k)), np.empty((D, T, k, k))
    C, m, gain, shrink = np.empty((k, k)), np.empty(k), np.empty(k), np.empty(k)
    for d in range(D):
        C[:] = 0.0
        m[:] = 0.0
        for i in range(k):
            C[i, i] = sd[i] * sd[i]
        for t in range(T):
            for i in range(k):
                wanted = C[i, i] / delta[d]
                shrink[i] = sqrt(min(1.0, sd[i] * sd[i] / wanted)) if wanted > 0.0 else 1.0
            for i in range(k):
                for j in range(i + 1):
                    C[i, j] *= shrink[i] * shrink[j] / delta[d]
                    C[j, i] = C[i, j]
            if not np.isnan(y[t]):
                errors[d, t], scales[d, t] = _observe(C, m, gain, y[t], X[t])
            else:
                errors[d, t] = np.nan
                scales[d, t] = np.nan
            mean[d, t] = m
            covariance[d, t] = C
    return errors, scales, mean, covariance


@kernel
def _observe(C: Array, m: Array, gain: Array, y: float, x: Array) -> tuple[float, float]:
    """Condition coefficients on one observation with unit variance, in place; the error and its scale."""
    k = len(x)
    error, q = y, 1.0
    for i in range(k):
        total = 0.0
        for j in range(k):
            total += C[i, j] * x[j]
        gain[i] = total
        q += x[i] * total
        error -= x[i] * m[i]
    for i in range(k):
        m[i] += gain[i] * error / q
        for j in range(i + 1):
            C[i, j] -= gain[i] * gain[j] / q
            C[j, i] = C[i, j]
    return error, q


@kernel
def follow_variances(
    errors: Array, scales: Array, freedom: Array, constants: Array, variance: float, least: float
) -> tuple[Array, Array]:
    """Log predictive densities (D, K, T) and variances S (D, K, T)."""
    D, T = errors.shape
    K = len(freedom)
    log_density, variances = np.empty((D, K, T)), np.empty((D, K, T))
    for d in range(D):
        for g in range(K):
            S = variance
            for t in range(T):
                if np.isnan(errors[d, t]):
                    log_density[d, g, t] = np.nan
                else:
                    n = freedom[g, t]
                    square = errors[d, t] * errors[d, t] / (S * scales[d, t])
                    tail = 0.5 * np.log(S * scales[d, t]) + 0.5 * (n + 1.0) * np.log1p(square / n)
                    log_density[d, g, t] = constants[g, t] - tail
                    S = max(S * (n + square) / (n + 1.0), least)
                variances[d, g, t] = S
    return log_density, variances
