"""A regression whose coefficients drift and whose errors have stochastic volatility, one Gibbs sweep at a time.

    y(t) = x(t)' b(t) + e(t) + r(t),    b(t) = b(t-1) + w * z(t),    z(t) ~ N(0, I)
    e(t) ~ N(0, exp(h(t))),             r(t) ~ N(0, rounding)

with h as in :mod:`stochastic_volatility`, b(0) ~ N(mean, sd^2) and w ~ N(0, drift_sd^2) by coefficient: a ridge on the
drifts that shrinks to constant coefficients without ever excluding drift. The sign of w means nothing; its size does.
r(t) is the error of published rounding: without it a y(t) that stands exactly still would let h fall without end.

Blocks of a sweep, and why in this order (Del Negro and Primiceri 2015):

1. w given h, all coefficients integrated out (collapsed moves; where coefficients are many nothing else mixes)
2. b given w, h, with r integrated out
3. b(0) and w given the standardised paths; then w given the paths themselves (interweaving)
4. h over random stretches, then mu and sigma with h in tow, given b, with r integrated out
5. r given b, h; hence e(t)
6. mixture components of log e^2 given e, h; then the parameters of h with h integrated out; then h

Blocks 1 to 5 use the exact normal density and never the components, so components of the last sweep must not survive
into them: 5 and 6 redraw e and its components before h is conditioned on them. Every block conditions on h alone of
what 6 leaves behind.

References
----------
Frühwirth-Schnatter and Wagner (2010), Journal of Econometrics 154 (non-centred drifts). Bitto and Frühwirth-Schnatter
(2019), ibid. 210 (interweaving). Primiceri (2005), Review of Economic Studies 72. Del Negro and Primiceri (2015),
ibid. 82. van Dyk and Park (2008), JASA 103 (what may be collapsed).
"""

# ruff: noqa: PLR0917  numba compiles no keyword-only arguments

from __future__ import annotations

from math import exp, log, sqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .compiling import kernel
from .simulation_smoother import deviations, draw_states_again, filtered, log_density_of, paths
from .stochastic_volatility import Adaptation, adapt, adaptation, draw_scale, propose, sweep_volatility

type Array = NDArray[np.float64]

# Periods: mean length of the stretches over which h is proposed at once.
_STRETCH = 12.0
# Moves of mu and sigma in each sweep with the error of rounding integrated out.
_LEVEL_MOVES = 2


class Sample(NamedTuple):
    """What is conditioned on.

    y        : (T,) missing values are NaN
    X        : (T, k) regressors; finite where y is
    rounding : variance of the error of publication, in the square of y's unit; 0 for none
    """

    y: Array
    X: Array
    rounding: float


class Priors(NamedTuple):
    """Prior of b(0), of the drifts, and of the volatility.

    mean, sd   : (k,) of b(0)
    drift_sd   : (k,) of w, a change in one period
    volatility : (5,) [mean, sd, a, b, scale] of mu, phi, sigma; see :mod:`stochastic_volatility`
    """

    mean: Array
    sd: Array
    drift_sd: Array
    volatility: Array


class State(NamedTuple):
    """Where the chain stands; every array is changed in place by :func:`sweep`.

    start       : (k,) b(0)
    drift       : (k,) w, of either sign
    innovations : (T, k) z
    h           : (T,) log variance of e
    volatility  : (3,) [mu, phi, sigma]
    """

    start: Array
    drift: Array
    innovations: Array
    h: Array
    volatility: Array


class Tuning(NamedTuple):
    """Proposals of the Metropolis moves, learnt in burn-in, and how many moves a sweep makes.

    drift, volatility             : proposals, changed in place while learning
    drift_moves, volatility_moves : collapsed moves in each sweep
    """

    drift: Adaptation
    volatility: Adaptation
    drift_moves: int
    volatility_moves: int


def initial_state(sample: Sample, priors: Priors, rng: np.random.Generator) -> State:
    """A scattered start: coefficients and drifts from their prior, shrunk, and the log variance near that of y."""
    T, k = sample.X.shape
    level = log(max(float(np.nanvar(np.diff(sample.y))), sample.rounding, 1e-8)) + rng.standard_normal()
    return State(
        start=priors.mean + 0.1 * priors.sd * rng.standard_normal(k),
        drift=0.3 * priors.drift_sd * (0.2 + rng.random(k)),
        innovations=np.zeros((T, k)),
        h=np.full(T, level),
        volatility=np.array([level, 0.8 + 0.15 * rng.random(), 0.1 + 0.4 * rng.random()]),
    )


def initial_tuning(state: State, drift_moves: int, volatility_moves: int) -> Tuning:
    """Proposals before anything has been learnt."""
    return Tuning(
        drift=adaptation(np.abs(state.drift), 0.3 * np.abs(state.drift)),
        volatility=adaptation(np.array([state.volatility[0], 1.5, -1.5]), np.array([0.3, 0.3, 0.3])),
        drift_moves=drift_moves,
        volatility_moves=volatility_moves,
    )


@kernel
def sweep(
    state: State, sample: Sample, priors: Priors, tuning: Tuning, table: Array, learning: bool, rng: np.random.Generator
) -> None:
    """One sweep over all blocks; ``state`` is changed in place, ``tuning`` while ``learning``.

    Parameters
    ----------
    table : from :func:`stochastic_volatility.component_table`
    """
    variance = np.exp(state.h) + sample.rounding
    gain, precision = move_drifts(state, sample, priors, tuning, variance, learning, rng)
    draw_states_again(
        sample.y,
        sample.X,
        variance,
        priors.mean,
        priors.sd,
        state.drift,
        gain,
        precision,
        rng,
        state.start,
        state.innovations,
    )
    draw_start_and_drift(state, sample, priors, variance, rng)
    rescale_drifts(state, priors, rng)
    residual = residuals(state, sample)
    if sample.rounding > 0.0:
        move_stretches(residual, sample.rounding, state.h, state.volatility, rng)
        for _ in range(_LEVEL_MOVES):
            move_level_and_scale(
                residual, sample.rounding, state.h, state.volatility, priors.volatility, tuning.volatility, rng
            )
    disturbances = draw_disturbances(residual, sample.rounding, state.h, rng)
    sweep_volatility(
        disturbances,
        state.h,
        state.volatility,
        priors.volatility,
        table,
        tuning.volatility,
        tuning.volatility_moves,
        learning,
        rng,
    )


@kernel
def sweeps(
    n: int,
    state: State,
    sample: Sample,
    priors: Priors,
    tuning: Tuning,
    table: Array,
    learning: bool,
    rng: np.random.Generator,
) -> None:
    """``n`` times :func:`sweep`."""
    for _ in range(n):
        sweep(state, sample, priors, tuning, table, learning, rng)


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
    precision, moment, row, path = np.zeros((d, d)), np.zeros(d), np.empty(d), np.zeros(k)
    for j in range(k):
        precision[j, j] = 1.0 / (priors.sd[j] * priors.sd[j])
        precision[k + j, k + j] = 1.0 / (priors.drift_sd[j] * priors.drift_sd[j])
        moment[j] = priors.mean[j] * precision[j, j]
    for t in range(T):
        for j in range(k):
            path[j] += state.innovations[t, j]
        if np.isnan(sample.y[t]):
            continue
        weight = 1.0 / variance[t]
        for j in range(k):
            row[j] = sample.X[t, j]
            row[k + j] = sample.X[t, j] * path[j]
        for i in range(d):
            scaled = weight * row[i]
            moment[i] += scaled * sample.y[t]
            for j in range(i + 1):
                precision[i, j] += scaled * row[j]
    drawn = draw_normal(precision, moment, rng)
    state.start[:] = drawn[:k]
    state.drift[:] = drawn[k:]


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
    for j in range(k):
        squares = 0.0
        for t in range(T):
            squares += state.innovations[t, j] * state.innovations[t, j]
        now = state.drift[j] * state.drift[j]
        if not now > 0.0:
            continue
        drawn = draw_scale(now * squares, T, priors.drift_sd[j], now, rng)
        ratio = sqrt(now / drawn)
        state.drift[j] /= ratio
        for t in range(T):
            state.innovations[t, j] *= ratio


@kernel
def residuals(state: State, sample: Sample) -> Array:
    """(T,) y(t) - x(t)'b(t) = e(t) + r(t); NaN where y is missing."""
    T, k = sample.X.shape
    residual = sample.y.copy()
    b = state.start.copy()
    for t in range(T):
        for j in range(k):
            b[j] += state.drift[j] * state.innovations[t, j]
            residual[t] -= sample.X[t, j] * b[j]
    return residual


@kernel
def move_stretches(residual: Array, rounding: float, h: Array, volatility: Array, rng: np.random.Generator) -> None:
    """Metropolis steps of h over stretches of random length, given residuals, with e and r integrated out.

    A stretch is proposed from the autoregression between its two ends. Where the residuals are those of rounding the
    data hardly mind, and h, which moves by inches given e, moves freely.

    Parameters
    ----------
    residual   : (T,) e + r, NaN where missing
    h          : (T,) changed in place
    volatility : (3,) [mu, phi, sigma]
    """
    T = len(h)
    mu, phi, sigma = volatility[0], volatility[1], volatility[2]
    proposal = np.empty(T)
    first = 0
    while first < T:
        last = min(first + 1 + int(rng.standard_exponential() * _STRETCH), T) - 1
        # Simulated from the left end, then corrected for what the right end would have been.
        level, scale = 0.0, sigma / sqrt(1.0 - phi * phi)
        if first > 0:
            level, scale = h[first - 1] - mu, sigma
        for t in range(first, last + 1):
            level = phi * level + scale * rng.standard_normal()
            proposal[t] = mu + level
            scale = sigma
        if last < T - 1:
            beyond = phi * level + sigma * rng.standard_normal()
            gap = h[last + 1] - mu - beyond
            far = _spread_after(phi, last + 2 - first, first)
            for t in range(first, last + 1):
                share = phi ** (last + 1 - t) * _spread_after(phi, t - first + 1, first) / far
                proposal[t] += share * gap
        ratio = 0.0
        for t in range(first, last + 1):
            if not np.isnan(residual[t]):
                new, old = exp(proposal[t]) + rounding, exp(h[t]) + rounding
                ratio -= 0.5 * (log(new / old) + residual[t] * residual[t] * (1.0 / new - 1.0 / old))
        if log(rng.random()) < ratio:
            for t in range(first, last + 1):
                h[t] = proposal[t]
        first = last + 1


@kernel
def _spread_after(phi: float, steps: int, first: int) -> float:
    """Variance over sigma^2 of a stretch's value after ``steps``: from a known value, or stationary at the very start."""
    if first == 0:
        return 1.0 / (1.0 - phi * phi)
    return (1.0 - phi ** (2 * steps)) / (1.0 - phi * phi)


@kernel
def move_level_and_scale(
    residual: Array,
    rounding: float,
    h: Array,
    volatility: Array,
    priors: Array,
    tuning: Adaptation,
    rng: np.random.Generator,
) -> None:
    """Metropolis step of (mu, log sigma) given (h - mu) / sigma and residuals, with e and r integrated out.

    Below the rounding the data do not see mu, but e of the last sweep pins it down: given e it moves by inches.

    Parameters
    ----------
    tuning : of the collapsed moves of the volatility, from whose covariance a step of random length is taken
    """
    mu, sigma = volatility[0], volatility[2]
    now = np.array([mu, 0.0, log(sigma)])
    step = (propose(now, tuning, rng) - now) * exp(rng.standard_normal())
    level, scale = mu + step[0], sigma * exp(step[2])
    if not (scale > 0.0 and scale < np.inf):
        return
    ratio = step[2] - 0.5 * (scale * scale - sigma * sigma) / priors[4] ** 2
    ratio -= 0.5 * ((level - priors[0]) ** 2 - (mu - priors[0]) ** 2) / priors[1] ** 2
    factor = exp(step[2])
    for t in range(len(h)):
        if not np.isnan(residual[t]):
            new, old = exp(level + factor * (h[t] - mu)) + rounding, exp(h[t]) + rounding
            ratio -= 0.5 * (log(new / old) + residual[t] * residual[t] * (1.0 / new - 1.0 / old))
    if log(rng.random()) < ratio:
        for t in range(len(h)):
            h[t] = level + factor * (h[t] - mu)
        volatility[0], volatility[2] = level, scale


@kernel
def draw_disturbances(residual: Array, rounding: float, h: Array, rng: np.random.Generator) -> Array:
    """(T,) e given e + r and h: what of the residual is not the error of rounding; NaN where y is missing."""
    e = residual.copy()
    if rounding > 0.0:
        for t in range(len(e)):
            share = 1.0 / (1.0 + rounding * exp(-h[t]))
            e[t] = share * residual[t] + sqrt(share * rounding) * rng.standard_normal()
    return e


@kernel
def coefficient_paths(state: State) -> Array:
    """(T, k) b(1), ..., b(T)."""
    return paths(state.start, state.drift, state.innovations)
