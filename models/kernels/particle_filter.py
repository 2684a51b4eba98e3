"""A cloud of particles for a regression with drifting coefficients and stochastic volatility, one week at a time.

    y(t) = x(t)' b(t) + e(t) + r(t),    b(t) = b(t-1) + w * z(t),    z(t) ~ N(0, I)
    e(t) ~ N(0, exp(h(t))),             r(t) ~ N(0, rounding)
    h(t) = mu + phi (h(t-1) - mu) + sigma u(t)

A particle is a drift w, parameters (mu, phi, sigma) and a path of h. Given these b(t) is normal with known mean and
covariance, so it is never drawn (Rao and Blackwell). A week costs each particle a few proposals of h(t), of which one is
kept with the probability of y(t) under it, and one step of the Kalman filter; the particle's weight is multiplied by the
mean over the proposals, nearly p(y(t) | its path of h up to t-1). Half of the proposals reach further than h is expected to
go, and count for less: after two years in which nothing moved, what moves at last lies many standard deviations away.

Parameters do not move in this, so resampling leaves fewer and fewer of them. From time to time every particle is therefore
moved by some Gibbs sweeps over its whole history (:mod:`drifting_regression`), which leave the posterior as it is.

References
----------
Gilks and Berzuini (2001), "Following a moving target", Journal of the Royal Statistical Society B 63 (resample-move).
Chopin (2002), Biometrika 89, for static parameters. Doucet, de Freitas, Murphy and Russell (2000), UAI, for
Rao-Blackwellised particles. Pitt and Shephard (1999), Journal of the American Statistical Association 94, for looking
ahead.
"""

# ruff: noqa: PLR0917  numba compiles no keyword-only arguments
from __future__ import annotations

from math import exp, log, pi
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .compiling import kernel
from .drifting_regression import Priors, Sample, State, Tuning, sweeps
from .log_chi_square import Table
from .simulation_smoother import deviations, filtered, log_density_of

type Array = NDArray[np.float64]
type Rows = NDArray[np.int32]

# Standard deviations of u(t) in the second half of the proposals.
REACH = 3.0


class Particles(NamedTuple):
    """Particles as arrays, which kernels change in place.

    drift      : (N, k) w, of either sign
    volatility : (N, 3) mu, phi, sigma
    h          : (N,) of the last week, or (N, T) paths
    mean       : (N, k) of b in the last week
    covariance : (N, k, k) of b; the lower triangle alone is read and written, so it cannot lose its symmetry
    """

    drift: Array
    volatility: Array
    h: Array
    mean: Array
    covariance: Array


@kernel
def take_in(sample: Sample, particles: Particles, shocks: Array, uniform: Array) -> Array:
    """Move every particle by one week and condition it on the sample's last: h, mean and covariance change in place.

    Parameters
    ----------
    particles : with h of the week before
    shocks    : (N, M) standard normal, one a proposal of h; M even, the second half is stretched
    uniform   : (N,) in [0, 1), which decides between proposals

    Returns
    -------
    (N,) log p(y | particle); zero where y is missing
    """
    drift, volatility, h, mean, covariance = particles
    y, x = sample.y[-1], sample.X[-1]
    N, k = drift.shape
    M = shocks.shape[1]
    proposal, density, gain, increment = np.empty(M), np.empty(M), np.empty(k), np.zeros(N)
    for i in range(N):
        P = covariance[i]
        for j in range(k):
            P[j, j] += drift[i, j] * drift[i, j]
        expected = volatility[i, 0] + volatility[i, 1] * (h[i] - volatility[i, 0])
        if np.isnan(y):
            h[i] = expected + volatility[i, 2] * shocks[i, 0]
            continue
        deviation = y
        for j in range(k):
            deviation -= x[j] * mean[i, j]
        known = project(P, x, gain) + sample.rounding
        largest = -np.inf
        for m in range(M):
            z = shocks[i, m] * (1.0 if m < M // 2 else REACH)
            proposal[m] = expected + volatility[i, 2] * z
            F = known + exp(proposal[m])
            # Prior of u over the mixture it was proposed from: log 2 / (1 + exp(z^2 / 2 - (z / reach)^2 / 2) / reach).
            drawn = log(2.0) - log(1.0 + exp(0.5 * z * z * (1.0 - 1.0 / (REACH * REACH))) / REACH)
            density[m] = drawn - 0.5 * (log(F) + deviation * deviation / F)
            largest = max(largest, density[m])
        if not largest > -np.inf:
            # Not even one proposal is a number: the particle dies, and no missing value spreads from it.
            increment[i] = -np.inf
            continue
        total = 0.0
        for m in range(M):
            total += exp(density[m] - largest)
            density[m] = total
        chosen = 0
        while chosen < M - 1 and density[chosen] <= uniform[i] * total:
            chosen += 1
        h[i] = proposal[chosen]
        increment[i] = largest + log(total / M) - 0.5 * log(2.0 * pi)
        condition(mean[i], P, gain, deviation, 1.0 / (known + exp(h[i])))
    return increment


@kernel
def project(P: Array, x: Array, gain: Array) -> float:
    """x'Px, and Px into ``gain``, from the lower triangle of P."""
    k = len(x)
    for i in range(k):
        total = P[i, i] * x[i]
        for j in range(i):
            total += P[i, j] * x[j]
            gain[j] += P[i, j] * x[i]
        gain[i] = total
    square = 0.0
    for i in range(k):
        square += x[i] * gain[i]
    return square


@kernel
def condition(mean: Array, P: Array, gain: Array, deviation: float, precision: float) -> None:
    """Mean and lower triangle of the covariance after an observation ``deviation`` away, in place."""
    k = len(mean)
    for i in range(k):
        scaled = gain[i] * precision
        mean[i] += scaled * deviation
        for j in range(i + 1):
            P[i, j] -= scaled * gain[j]


@kernel
def resampled(weight: Array, uniform: float, n: int) -> Rows:
    """Systematic resampling: which of the particles each of ``n`` new ones is a copy of, in ascending order.

    Parameters
    ----------
    weight  : (N,) probabilities
    uniform : in [0, 1)
    """
    rows = np.empty(n, dtype=np.int32)
    cumulative, i, last = weight[0], 0, len(weight) - 1
    for j in range(n):
        while cumulative < (j + uniform) / n and i < last:
            i += 1
            cumulative += weight[i]
        rows[j] = i
    return rows


@kernel
def gather(past: Array, ancestors: Rows, h: Array, first: int, paths: Array) -> None:
    """Paths of h of some of the particles that are left, followed back through their ancestors.

    Parameters
    ----------
    past      : (N, T) paths at the last move
    ancestors : (n, N) of which particle of the week before each was a copy
    h         : (n, N) since then
    first     : of the particles that are wanted
    paths     : (m, T + n) receives theirs
    """
    T, n = past.shape[1], len(h)
    for i in range(len(paths)):
        row = first + i
        for t in range(n - 1, -1, -1):
            paths[i, T + t] = h[t, row]
            row = ancestors[t, row]
        paths[i, :T] = past[row]


@kernel
def move(
    n: int,
    particles: Particles,
    sample: Sample,
    priors: Priors,
    tuning: Tuning,
    table: Table,
    rng: np.random.Generator,
) -> None:
    """``n`` Gibbs sweeps of every particle over its whole history, then its Kalman filter once more; all in place.

    Parameters
    ----------
    particles : with paths of h
    tuning    : proposals, not changed
    table     : from :func:`log_chi_square.component_table`
    """
    drift, volatility, h, mean, covariance = particles
    k, T = drift.shape[1], h.shape[1]
    start, innovations = np.empty(k), np.empty((T, k))
    for i in range(len(drift)):
        state = State(start, drift[i], innovations, h[i], volatility[i])
        sweeps(n, state, sample, priors, tuning, table, False, rng)
        filter_through(sample, priors, drift[i], h[i], mean[i], covariance[i])


@kernel
def begin(
    burn: int,
    apart: int,
    state: State,
    particles: Particles,
    sample: Sample,
    priors: Priors,
    tuning: Tuning,
    table: Table,
    rng: np.random.Generator,
) -> None:
    """Fill the particles with the states of one chain, ``apart`` sweeps from each other, after ``burn`` sweeps.

    Parameters
    ----------
    state     : where the chain begins
    particles : receive drifts, parameters and paths of h, and are filtered
    tuning    : proposals, learnt while burning in and changed in place
    table     : from :func:`log_chi_square.component_table`
    """
    drift, volatility, h, mean, covariance = particles
    sweeps(burn, state, sample, priors, tuning, table, True, rng)
    for i in range(len(drift)):
        sweeps(apart, state, sample, priors, tuning, table, False, rng)
        drift[i] = state.drift
        volatility[i] = state.volatility
        h[i] = state.h
        filter_through(sample, priors, drift[i], h[i], mean[i], covariance[i])


@kernel
def filter_through(sample: Sample, priors: Priors, drift: Array, h: Array, mean: Array, covariance: Array) -> float:
    """Kalman filter of the coefficients over a whole path of h, into ``mean`` (k,) and ``covariance`` (k, k).

    Returns
    -------
    log p(y | drift, h)
    """
    T, k = sample.X.shape
    gain, error, precision = np.empty((T, k)), np.empty(T), np.empty(T)
    deviation, variance = deviations(sample.y, sample.X, priors.mean), np.exp(h) + sample.rounding
    state, P = filtered(deviation, sample.X, variance, priors.sd, drift, gain, error, precision)
    mean[:] = priors.mean + state
    covariance[:] = P
    return log_density_of(error, precision)
