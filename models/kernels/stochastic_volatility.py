"""Stochastic volatility: the log variance of disturbances as a stationary autoregression, one sweep at a time.

    e(t) = exp(h(t) / 2) * z(t),                     z(t) ~ N(0, 1)
    h(t) = mu + phi * (h(t-1) - mu) + sigma * u(t),  h(1) ~ N(mu, sigma^2 / (1 - phi^2))

log e(t)^2 = h(t) + log z(t)^2, and log z^2 is closely a mixture of ten normals (mean off by 1e-4,
variance by 1e-3). Given the components h is linear and Gaussian: its parameters move by random-walk Metropolis steps
with h integrated out, then h is drawn, then the parameters once more in both parametrisations of h.

The components must be drawn after everything that enters e(t) and before h: whatever else is drawn in between would be
conditioned on components that belong to other disturbances (Del Negro and Primiceri 2015).

Parameters are arrays ``[mu, phi, sigma]``, sigma positive; priors are arrays ``[mean, sd, a, b, scale]`` with

    mu ~ N(mean, sd^2),   (phi + 1) / 2 ~ Beta(a, b),   sigma ~ half-normal(scale)

References
----------
Omori, Chib, Shephard and Nakajima (2007), Journal of Econometrics 140, table 1. Kastner and Frühwirth-Schnatter
(2014), "Ancillarity-sufficiency interweaving strategy (ASIS)", Computational Statistics and Data Analysis 76.
Kim, Shephard and Chib (1998), Review of Economic Studies 65. Del Negro and Primiceri (2015), ibid. 82.
"""

# ruff: noqa: PLR0917  numba compiles no keyword-only arguments

from __future__ import annotations

from functools import lru_cache
from math import atanh, exp, log, sqrt, tanh
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .compiling import kernel

type Array = NDArray[np.float64]

# Omori, Chib, Shephard and Nakajima (2007), table 1: probability, mean, variance of each component of log z^2.
PROBABILITIES = np.array([0.00609, 0.04775, 0.13057, 0.20674, 0.22715, 0.18842, 0.12047, 0.05591, 0.01575, 0.00115])
MEANS = np.array([1.92677, 1.34744, 0.73504, 0.02266, -0.85173, -1.97278, -3.46788, -5.55246, -8.68384, -14.65])
VARIANCES = np.array([0.11265, 0.17788, 0.26768, 0.40611, 0.62699, 0.98583, 1.57469, 2.54498, 4.16591, 7.33342])
_COMPONENTS = len(MEANS)
_LOG_WEIGHTS = np.log(PROBABILITIES) - 0.5 * np.log(VARIANCES)

# The table of cumulative probabilities over d = log e^2 - h. Interpolation errs by less than the margin (tested);
# a uniform number nearer than that to an interpolated threshold, or d beyond the table, is decided exactly.
TABLE_FROM, TABLE_TO, TABLE_STEPS = -30, 10, 64  # steps per unit of d
MARGIN = 2.5e-4
# log e^2 of a disturbance that is exactly zero; give them observation noise instead.
_SMALLEST = 1e-300
ACCEPTANCE = 0.3


class Adaptation(NamedTuple):
    """Proposal of a random-walk Metropolis step, learnt during burn-in and then frozen; changed in place.

    mean  : (d,) of past draws
    cov   : (d, d) of past draws
    scale : (2,) log of the step's scale, and how many draws were learnt from
    """

    mean: Array
    cov: Array
    scale: Array


def adaptation(mean: Array, sd: Array) -> Adaptation:
    """A proposal to start from: independent steps of about ``sd``."""
    return Adaptation(mean.astype(float), np.diag(np.square(sd)), np.array([log(2.38 / sqrt(len(sd))), 1.0]))


@kernel
def adapt(tuning: Adaptation, draw: Array, acceptance: float) -> None:
    """Learn from one draw; the weight of news falls with their number, so that the proposal settles."""
    tuning.scale[1] += 1.0
    weight = 1.0 / (10.0 + 0.5 * tuning.scale[1])
    d = len(draw)
    for i in range(d):
        for j in range(d):
            news = (draw[i] - tuning.mean[i]) * (draw[j] - tuning.mean[j])
            tuning.cov[i, j] += weight * (news - tuning.cov[i, j])
    for i in range(d):
        tuning.mean[i] += weight * (draw[i] - tuning.mean[i])
    tuning.scale[0] += 3.0 * weight * (acceptance - ACCEPTANCE)


@lru_cache(maxsize=1)
def component_table() -> Array:
    """(N, 9) P(component <= i | d) at d = TABLE_FROM, TABLE_FROM + 1/TABLE_STEPS, ..., TABLE_TO."""
    d = np.linspace(TABLE_FROM, TABLE_TO, (TABLE_TO - TABLE_FROM) * TABLE_STEPS + 1)
    density = np.exp(_LOG_WEIGHTS - 0.5 * (d[:, None] - MEANS) ** 2 / VARIANCES)
    return np.ascontiguousarray(np.cumsum(density, axis=1)[:, :-1] / density.sum(axis=1, keepdims=True))


@kernel
def exact_component(d: float, u: float) -> int:
    """The component whose cumulative probability given d = log e^2 - h first exceeds u."""
    largest = -np.inf
    for i in range(_COMPONENTS):
        largest = max(largest, _LOG_WEIGHTS[i] - 0.5 * (d - MEANS[i]) ** 2 / VARIANCES[i])
    cumulative = np.empty(_COMPONENTS)
    total = 0.0
    for i in range(_COMPONENTS):
        total += exp(_LOG_WEIGHTS[i] - 0.5 * (d - MEANS[i]) ** 2 / VARIANCES[i] - largest)
        cumulative[i] = total
    for i in range(_COMPONENTS - 1):
        if u * total < cumulative[i]:
            return i
    return _COMPONENTS - 1


@kernel
def component(d: float, u: float, table: Array) -> int:
    """As :func:`exact_component`, by interpolation in :func:`component_table` wherever that is certain."""
    place = (d - TABLE_FROM) * TABLE_STEPS
    row = int(place)
    if not (place >= 0.0 and row < len(table) - 1):
        return exact_component(d, u)
    part = place - row
    # An interpolated threshold lies between its two ends: where u is beyond both, half of the search is skipped.
    first = 4 if u > max(table[row, 3], table[row + 1, 3]) + MARGIN else 0
    for i in range(first, _COMPONENTS - 1):
        threshold = table[row, i] + part * (table[row + 1, i] - table[row, i])
        if abs(u - threshold) < MARGIN:
            return exact_component(d, u)
        if u < threshold:
            return i
    return _COMPONENTS - 1


@kernel
def draw_components(
    log_square: Array, h: Array, table: Array, rng: np.random.Generator, centred: Array, noise: Array
) -> None:
    """Mixture components of log e^2 given h, as the mean-free observation and noise variance that they imply.

    Parameters
    ----------
    log_square     : (T,) log e(t)^2; NaN where there is no disturbance
    h              : (T,)
    centred, noise : (T,) receive log e^2 less the component's mean, and the component's variance
    """
    for t in range(len(h)):
        u = rng.random()
        if np.isnan(log_square[t]):
            centred[t] = np.nan
            noise[t] = 1.0
            continue
        i = component(log_square[t] - h[t], u, table)
        centred[t] = log_square[t] - MEANS[i]
        noise[t] = VARIANCES[i]


@kernel
def log_density_integrated(centred: Array, noise: Array, mu: float, phi: float, sigma: float) -> float:
    """log p(log e^2 | components, mu, phi, sigma), h integrated out, up to a constant."""
    a, P = 0.0, sigma * sigma / (1.0 - phi * phi)  # of h - mu
    total, determinant = 0.0, 1.0
    for t in range(len(centred)):
        if not np.isnan(centred[t]):
            precision = 1.0 / (P + noise[t])
            deviation = centred[t] - mu - a
            gain = P * precision
            a += gain * deviation
            P = gain * noise[t]
            total -= 0.5 * deviation * deviation * precision
            determinant *= precision
        if t % 8 == 7:
            total += 0.5 * log(determinant)
            determinant = 1.0
        a *= phi
        P = phi * phi * P + sigma * sigma
    return float(total + 0.5 * log(determinant))


@kernel
def log_prior(mu: float, phi: float, sigma: float, priors: Array) -> float:
    """Log prior density of (mu, atanh phi, log sigma), Jacobians included, up to a constant."""
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
) -> None:
    """Random-walk Metropolis steps of (mu, atanh phi, log sigma) with h integrated out; draw h right after."""
    now = np.array([parameters[0], atanh(parameters[1]), log(parameters[2])])
    density = log_density_integrated(centred, noise, parameters[0], parameters[1], parameters[2])
    density += log_prior(parameters[0], parameters[1], parameters[2], priors)
    for _ in range(moves):
        proposal = propose(now, tuning, rng)
        phi, sigma = tanh(proposal[1]), exp(proposal[2])
        ratio = -np.inf
        if abs(phi) < 1.0 and sigma > 0.0:
            proposed = log_density_integrated(centred, noise, proposal[0], phi, sigma)
            proposed += log_prior(proposal[0], phi, sigma, priors)
            ratio = proposed - density
        if log(rng.random()) < ratio:
            now, density = proposal, proposed
            parameters[0], parameters[1], parameters[2] = proposal[0], phi, sigma
        if learning:
            adapt(tuning, now, exp(min(0.0, ratio)))


@kernel
def propose(now: Array, tuning: Adaptation, rng: np.random.Generator) -> Array:
    """A normal step with the learnt covariance."""
    d = len(now)
    root = np.zeros((d, d))
    for i in range(d):
        for j in range(i + 1):
            total = tuning.cov[i, j]
            for m in range(j):
                total -= root[i, m] * root[j, m]
            if i == j:
                root[i, i] = sqrt(max(total, 1e-12 * tuning.cov[i, i]))
            else:
                root[i, j] = total / root[j, j]
    proposal = now.copy()
    size = exp(tuning.scale[0])
    for j in range(d):
        shock = size * rng.standard_normal()
        for i in range(j, d):
            proposal[i] += root[i, j] * shock
    return proposal


@kernel
def draw_log_variance(centred: Array, noise: Array, parameters: Array, rng: np.random.Generator, h: Array) -> None:
    """h given components and parameters into ``h``, by a filter forward and draws backward."""
    mu, phi, sigma = parameters[0], parameters[1], parameters[2]
    T = len(h)
    means, variances = np.empty(T), np.empty(T)
    a, P = 0.0, sigma * sigma / (1.0 - phi * phi)
    for t in range(T):
        if not np.isnan(centred[t]):
            gain = P / (P + noise[t])
            a += gain * (centred[t] - mu - a)
            P = gain * noise[t]
        means[t], variances[t] = a, P
        a *= phi
        P = phi * phi * P + sigma * sigma
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
    table: Array,
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
    table        : from :func:`component_table`
    tuning       : proposal of the collapsed moves; learns while ``learning``
    moves        : collapsed moves; without any, interweaving alone moves the parameters
    """
    T = len(h)
    log_square, centred, noise = np.empty(T), np.empty(T), np.empty(T)
    for t in range(T):
        log_square[t] = log(disturbances[t] ** 2 + _SMALLEST)
    draw_components(log_square, h, table, rng, centred, noise)
    if moves > 0:
        move_parameters(centred, noise, parameters, priors, tuning, moves, learning, rng)
    draw_log_variance(centred, noise, parameters, rng, h)
    interweave(centred, noise, h, parameters, priors, rng)
