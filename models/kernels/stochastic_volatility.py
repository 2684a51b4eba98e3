"""Stochastic volatility: the log variance of disturbances as a stationary autoregression, one sweep at a time.

    e(t) = exp(h(t) / 2) * z(t),                     z(t) ~ N(0, 1)
    h(t) = mu + phi * (h(t-1) - mu) + sigma * u(t),  h(1) ~ N(mu, sigma^2 / (1 - phi^2))

log e(t)^2 = h(t) + log z(t)^2, and log z^2 is closely a mixture of normals (:mod:`log_chi_square`). Given the components
h is linear and Gaussian: its parameters move by random-walk Metropolis steps with h integrated out, then h is drawn, then
the parameters once more in both parametrisations of h.

The components must be drawn after everything that enters e(t) and before h: whatever else is drawn in between would be
conditioned on components that belong to other disturbances (Del Negro and Primiceri 2015).

Parameters are arrays ``[mu, phi, sigma]``, sigma positive; priors are arrays ``[mean, sd, a, b, scale]`` with

    mu ~ N(mean, sd^2),   (phi + 1) / 2 ~ Beta(a, b),   sigma ~ half-normal(scale)

References
----------
Kim, Shephard and Chib (1998), Review of Economic Studies 65. Del Negro and Primiceri (2015), ibid. 82. Kastner and
Frühwirth-Schnatter (2014), "Ancillarity-sufficiency interweaving strategy (ASIS)", Computational Statistics and Data
Analysis 76.
"""

# ruff: noqa: PLR0917  numba compiles no keyword-only arguments

from __future__ import annotations

from math import atanh, exp, log, sqrt, tanh

import numpy as np
from numpy.typing import NDArray

from .compiling import kernel
from .log_chi_square import Table, draw_components
from .metropolis import Adaptation, adapt, propose

type Array = NDArray[np.float64]

# log e^2 of a disturbance that is exactly zero; give them observation noise instead.
_SMALLEST = 1e-300


@kernel
def filter_pair(
    centred: Array, noise: Array, parameters: Array, others: Array, means: Array, variances: Array
) -> tuple[float, float]:
    """The Kalman filter of h under two sets of parameters, which take hardly longer side by side than one alone.

    Parameters
    ----------
    centred, noise     : (T,) h plus normal noise, and the variance of that; NaN where nothing is observed
    parameters, others : (3,) [mu, phi, sigma]
    means, variances   : (2, T) receive those of h(t) - mu given observations up to t

    Returns
    -------
    log p(log e^2 | components, mu, phi, sigma) of both, h integrated out, up to a constant
    """
    mu, phi, drift = parameters[0], parameters[1], parameters[2] * parameters[2]
    mu_, phi_, drift_ = others[0], others[1], others[2] * others[2]
    a, P, total, product = 0.0, drift / (1.0 - phi * phi), 0.0, 1.0
    a_, P_, total_, product_ = 0.0, drift_ / (1.0 - phi_ * phi_), 0.0, 1.0
    for t in range(len(centred)):
        if not np.isnan(centred[t]):
            a, P, total, product = _observe(centred[t] - mu, noise[t], a, P, total, product)
            a_, P_, total_, product_ = _observe(centred[t] - mu_, noise[t], a_, P_, total_, product_)
        means[0, t], variances[0, t] = a, P
        means[1, t], variances[1, t] = a_, P_
        if t % 8 == 7:
            # A logarithm costs as much as ten products; eight precisions never overflow.
            total, product = total + 0.5 * log(product), 1.0
            total_, product_ = total_ + 0.5 * log(product_), 1.0
        a, P = phi * a, phi * phi * P + drift
        a_, P_ = phi_ * a_, phi_ * phi_ * P_ + drift_
    return total + 0.5 * log(product), total_ + 0.5 * log(product_)


@kernel
def _observe(
    seen: float, noise: float, a: float, P: float, total: float, product: float
) -> tuple[float, float, float, float]:
    """Mean and variance after an observation, sum of squares and product of precisions with it."""
    precision = 1.0 / (P + noise)
    deviation, gain = seen - a, P * precision
    return a + gain * deviation, gain * noise, total - 0.5 * deviation * deviation * precision, product * precision


@kernel
def log_prior(parameters: Array, priors: Array) -> float:
    """Log prior density of (mu, atanh phi, log sigma), Jacobians included, up to a constant."""
    mu, phi, sigma = parameters[0], parameters[1], parameters[2]
    z = (mu - priors[0]) / priors[1]
    # d phi / d atanh phi = (1 + phi) (1 - phi)
    persistence = priors[2] * log(1.0 + phi) + priors[3] * log(1.0 - phi)
    return float(-0.5 * z * z + persistence - 0.5 * (sigma / priors[4]) ** 2 + log(sigma))


@kernel
def move_parameters(
    centred: Array,
    noise: Array,
    parameters: Array,
    priors: Array,
    tuning: Adaptation,
    moves: int,
    learning: bool,
    rng: np.random.Generator,
) -> tuple[Array, Array]:
    """Random-walk Metropolis steps of (mu, atanh phi, log sigma) with h integrated out; draw h right after.

    Returns
    -------
    means and variances (T,) of the filter of h at the parameters as they now are
    """
    T, row = len(centred), 0
    means, variances, proposed = np.empty((2, T)), np.empty((2, T)), parameters.copy()
    if moves == 0:
        filter_pair(centred, noise, parameters, proposed, means, variances)
    now = np.array([parameters[0], atanh(parameters[1]), log(parameters[2])])
    for _ in range(moves):
        proposal = propose(now, tuning, rng)
        proposed[0], proposed[1], proposed[2] = proposal[0], tanh(proposal[1]), exp(proposal[2])
        possible = abs(proposed[1]) < 1.0 and proposed[2] > 0.0 and proposed[2] < np.inf
        if not possible:
            proposed[:] = parameters
        density, other = filter_pair(centred, noise, parameters, proposed, means, variances)
        ratio = other + log_prior(proposed, priors) - density - log_prior(parameters, priors)
        row = 0
        if not possible:
            ratio = -np.inf
        if log(rng.random()) < ratio:
            row, now = 1, proposal
            parameters[:] = proposed
        if learning:
            adapt(tuning, now, exp(min(0.0, ratio)))
    return means[row], variances[row]


@kernel
def draw_log_variance(means: Array, variances: Array, parameters: Array, rng: np.random.Generator, h: Array) -> None:
    """h given components and parameters into ``h``: draws backward from what the filter knew of h(t) - mu (T,)."""
    mu, phi, sigma = parameters[0], parameters[1], parameters[2]
    T = len(h)
    later = means[T - 1] + sqrt(variances[T - 1]) * rng.standard_normal()
    h[T - 1] = mu + later
    for t in range(T - 2, -1, -1):
        share = 1.0 / (phi * phi * variances[t] + sigma * sigma)
        mean = means[t] + phi * variances[t] * share * (later - phi * means[t])
        later = mean + sigma * sqrt(variances[t] * share) * rng.standard_normal()
        h[t] = mu + later


@kernel
def draw_scale(sum_of_squares: float, n: int, scale: float, variance: float, rng: np.random.Generator) -> float:
    """One Metropolis step of a variance whose root is half-normal(scale), given n innovations of that variance.

    The conditional is generalised inverse Gaussian; its inverse-gamma part is proposed, and what is left of the prior
    decides, which is nearly always yes.
    """
    # p(v) v^-1/2 exp(-v / 2 scale^2) v^(-n/2) exp(-S / 2v): the proposal takes all but the first exponential.
    proposal = 0.5 * sum_of_squares / rng.standard_gamma(0.5 * (n - 1))
    if not (proposal > 0.0 and proposal < np.inf):
        return variance
    return proposal if log(rng.random()) < (variance - proposal) / (2.0 * scale * scale) else variance


@kernel
def draw_persistence(deviation: Array, sigma: float, phi: float, priors: Array, rng: np.random.Generator) -> float:
    """One Metropolis step of phi given h - mu: the regression proposes, prior and first value decide."""
    T = len(deviation)
    square, cross = 0.0, 0.0
    for t in range(1, T):
        square += deviation[t - 1] * deviation[t - 1]
        cross += deviation[t] * deviation[t - 1]
    proposal = cross / square + sigma / sqrt(square) * rng.standard_normal()
    if not abs(proposal) < 1.0:
        return phi
    first = deviation[0] * deviation[0] / (sigma * sigma)
    ratio = _persistence_rest(proposal, first, priors) - _persistence_rest(phi, first, priors)
    return proposal if log(rng.random()) < ratio else phi


@kernel
def _persistence_rest(phi: float, first: float, priors: Array) -> float:
    """Log prior of phi and log density of h(1), up to a constant."""
    prior = (priors[2] - 1.0) * log(1.0 + phi) + (priors[3] - 1.0) * log(1.0 - phi)
    return float(prior + 0.5 * log(1.0 - phi * phi) - 0.5 * first * (1.0 - phi * phi))


@kernel
def interweave(
    centred: Array, noise: Array, h: Array, parameters: Array, priors: Array, rng: np.random.Generator
) -> None:
    """Parameters given h, and then given the standardised (h - mu) / sigma, with which h moves along."""
    T = len(h)
    mu, phi, sigma = parameters[0], parameters[1], parameters[2]
    deviation = h - mu
    total = (1.0 - phi * phi) * deviation[0] * deviation[0]
    for t in range(1, T):
        step = deviation[t] - phi * deviation[t - 1]
        total += step * step
    sigma = sqrt(draw_scale(total, T, priors[4], sigma * sigma, rng))
    phi = draw_persistence(deviation, sigma, phi, priors, rng)
    mu = _draw_mean(h, phi, sigma, priors, rng)
    # The standardised path is kept; both parameters are then coefficients of a regression.
    standard = (h - mu) / sigma
    mu, sigma = _draw_level_and_scale(centred, noise, standard, priors, rng)
    if sigma < 0.0:
        sigma = -sigma
        standard = -standard
    phi = draw_persistence(standard, 1.0, phi, priors, rng)
    for t in range(T):
        h[t] = mu + sigma * standard[t]
    parameters[0], parameters[1], parameters[2] = mu, phi, sigma


@kernel
def _draw_mean(h: Array, phi: float, sigma: float, priors: Array, rng: np.random.Generator) -> float:
    T = len(h)
    weight = 1.0 / (sigma * sigma)
    precision = 1.0 / (priors[1] * priors[1]) + weight * (1.0 - phi * phi + (T - 1) * (1.0 - phi) ** 2)
    moment = priors[0] / (priors[1] * priors[1]) + weight * (1.0 - phi * phi) * h[0]
    for t in range(1, T):
        moment += weight * (1.0 - phi) * (h[t] - phi * h[t - 1])
    return float(moment / precision + rng.standard_normal() / sqrt(precision))


@kernel
def _draw_level_and_scale(
    centred: Array, noise: Array, standard: Array, priors: Array, rng: np.random.Generator
) -> tuple[float, float]:
    """(mu, sigma) of centred = mu + sigma * standard + N(0, noise); sigma of either sign."""
    a, b, c = 1.0 / (priors[1] * priors[1]), 0.0, 1.0 / (priors[4] * priors[4])
    first, second = priors[0] * a, 0.0
    for t in range(len(standard)):
        if not np.isnan(centred[t]):
            weight = 1.0 / noise[t]
            a += weight
            b += weight * standard[t]
            c += weight * standard[t] * standard[t]
            first += weight * centred[t]
            second += weight * centred[t] * standard[t]
    root = sqrt(a)
    below = b / root
    corner = sqrt(c - below * below)
    sigma = (second - b / a * first) / (corner * corner) + rng.standard_normal() / corner
    mu = (first - b * sigma) / a + rng.standard_normal() / root
    return mu, sigma


@kernel
def sweep_volatility(
    disturbances: Array,
    h: Array,
    parameters: Array,
    priors: Array,
    table: Table,
    tuning: Adaptation,
    moves: int,
    learning: bool,
    rng: np.random.Generator,
) -> None:
    """One sweep over components, parameters and h, the last two in place.

    Parameters
    ----------
    disturbances : (T,) e(t), NaN where missing
    h            : (T,) log variance
    parameters   : (3,) [mu, phi, sigma]
    priors       : (5,) [mean, sd, a, b, scale], see the top of this module
    table        : from :func:`log_chi_square.component_table`
    tuning       : proposal of the collapsed moves; learns while ``learning``
    moves        : collapsed moves; without any, interweaving alone moves the parameters
    """
    T = len(h)
    log_square, centred, noise = np.empty(T), np.empty(T), np.empty(T)
    for t in range(T):
        log_square[t] = log(disturbances[t] ** 2 + _SMALLEST)
    draw_components(log_square, h, table, rng, centred, noise)
    means, variances = move_parameters(centred, noise, parameters, priors, tuning, moves, learning, rng)
    draw_log_variance(means, variances, parameters, rng, h)
    interweave(centred, noise, h, parameters, priors, rng)
