"""The drifting regression's coefficients and drifts, given the variance of each week.

Blocks 1 to 3 of the sweep in :mod:`drifting_regression`, but for the draw of the paths itself, which is that of
:mod:`simulation_smoother`.
"""

# ruff: noqa: PLR0917  numba compiles no keyword-only arguments

from __future__ import annotations

from math import exp, log, sqrt
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .compiling import kernel
from .metropolis import adapt, propose
from .simulation_smoother import deviations, filtered, log_density_of
from .stochastic_volatility import draw_scale

if TYPE_CHECKING:
    from .drifting_regression import Priors, Sample, State, Tuning

type Array = NDArray[np.float64]

# Weeks whose products are added in one pass over a matrix: passes cost more than products.
_TOGETHER = 4


@kernel
def move_drifts(
    state: State,
    sample: Sample,
    priors: Priors,
    tuning: Tuning,
    variance: Array,
    learning: bool,
    rng: np.random.Generator,
) -> tuple[Array, Array]:
    """Random-walk Metropolis steps of all drifts at once, coefficients integrated out; draw these right after.

    Returns
    -------
    gain and precision of the filter at the drifts as they now are
    """
    T, k = sample.X.shape
    # Signs mean nothing, and a proposal is learnt for sizes.
    now = np.abs(state.drift)
    deviation, error = deviations(sample.y, sample.X, priors.mean), np.empty(T)
    gain, precision = np.empty((T, k)), np.empty(T)
    proposed_gain, proposed_precision = np.empty((T, k)), np.empty(T)
    filtered(deviation, sample.X, variance, priors.sd, now, gain, error, precision)
    density = log_density_of(error, precision)
    for _ in range(tuning.drift_moves):
        proposal = np.abs(propose(now, tuning.drift, rng))
        filtered(deviation, sample.X, variance, priors.sd, proposal, proposed_gain, error, proposed_precision)
        proposed = log_density_of(error, proposed_precision)
        ratio = proposed - density
        for j in range(k):
            ratio -= 0.5 * (proposal[j] ** 2 - now[j] ** 2) / priors.drift_sd[j] ** 2
        if log(rng.random()) < ratio:
            now, density = proposal, proposed
            gain, proposed_gain = proposed_gain, gain
            precision, proposed_precision = proposed_precision, precision
        if learning:
            adapt(tuning.drift, now, exp(min(0.0, ratio)))
    state.drift[:] = now
    return gain, precision


@kernel
def draw_start_and_drift(
    state: State, sample: Sample, priors: Priors, variance: Array, rng: np.random.Generator
) -> None:
    """b(0) and w given the standardised paths: coefficients of the regressors, and of regressors times paths."""
    T, k = sample.X.shape
    d = 2 * k
    precision, moment, path = np.zeros((d, d)), np.zeros(d), np.zeros(k)
    for j in range(k):
        precision[j, j] = 1.0 / (priors.sd[j] * priors.sd[j])
        precision[k + j, k + j] = 1.0 / (priors.drift_sd[j] * priors.drift_sd[j])
        moment[j] = priors.mean[j] * precision[j, j]
    rows, targets, filled = np.empty((_TOGETHER, d)), np.empty(_TOGETHER), 0
    for t in range(T):
        for j in range(k):
            path[j] += state.innovations[t, j]
        if not np.isnan(sample.y[t]):
            root = 1.0 / sqrt(variance[t])
            targets[filled] = root * sample.y[t]
            for j in range(k):
                rows[filled, j] = root * sample.X[t, j]
                rows[filled, k + j] = rows[filled, j] * path[j]
            filled += 1
        if filled == _TOGETHER or t == T - 1:
            rows[filled:] = 0.0
            targets[filled:] = 0.0
            add_squares(rows, targets, precision, moment)
            filled = 0
    drawn = draw_normal(precision, moment, rng)
    state.start[:] = drawn[:k]
    state.drift[:] = drawn[k:]


@kernel
def add_squares(rows: Array, targets: Array, precision: Array, moment: Array) -> None:
    """Products of four rows (4, d) with each other into the lower triangle (d, d), and with their targets into (d,)."""
    for i in range(len(moment)):
        a, b, c, e = rows[0, i], rows[1, i], rows[2, i], rows[3, i]
        moment[i] += (a * targets[0] + b * targets[1]) + (c * targets[2] + e * targets[3])
        for j in range(i + 1):
            precision[i, j] += (a * rows[0, j] + b * rows[1, j]) + (c * rows[2, j] + e * rows[3, j])


@kernel
def draw_normal(precision: Array, moment: Array, rng: np.random.Generator) -> Array:
    """A draw of N(Q^-1 m, Q^-1) from the lower triangle of Q, which is overwritten by its Cholesky root."""
    d = len(moment)
    for i in range(d):
        for j in range(i + 1):
            total = precision[i, j]
            for m in range(j):
                total -= precision[i, m] * precision[j, m]
            precision[i, j] = sqrt(total) if i == j else total / precision[j, j]
    drawn = np.empty(d)
    for i in range(d):
        total = moment[i]
        for j in range(i):
            total -= precision[i, j] * drawn[j]
        drawn[i] = total / precision[i, i]
    for i in range(d):
        drawn[i] += rng.standard_normal()
    for i in range(d - 1, -1, -1):
        total = drawn[i]
        for j in range(i + 1, d):
            total -= precision[j, i] * drawn[j]
        drawn[i] = total / precision[i, i]
    return drawn


@kernel
def rescale_drifts(state: State, priors: Priors, rng: np.random.Generator) -> None:
    """w given the paths of the coefficients, which stay where they are."""
    T, k = state.innovations.shape
    squares, ratio = np.zeros(k), np.ones(k)
    for t in range(T):
        for j in range(k):
            squares[j] += state.innovations[t, j] * state.innovations[t, j]
    for j in range(k):
        now = state.drift[j] * state.drift[j]
        if now > 0.0:
            ratio[j] = sqrt(now / draw_scale(now * squares[j], T, priors.drift_sd[j], now, rng))
        state.drift[j] /= ratio[j]
    for t in range(T):
        for j in range(k):
            state.innovations[t, j] *= ratio[j]


@kernel
def residuals(state: State, sample: Sample) -> Array:
    """(T,) y(t) - x(t)'b(t) = e(t) + r(t); NaN where y is missing."""
    T, k = sample.X.shape
    residual, b = np.empty(T), state.start.copy()
    for t in range(T):
        left = sample.y[t]
        for j in range(k):
            b[j] += state.drift[j] * state.innovations[t, j]
            left -= sample.X[t, j] * b[j]
        residual[t] = left
    return residual
