"""A regression whose coefficients drift and whose errors have stochastic volatility, one Gibbs sweep at a time.

    y(t) = x(t)' b(t) + e(t) + r(t),    b(t) = b(t-1) + w * z(t),    z(t) ~ N(0, I)
    e(t) ~ N(0, exp(h(t))),             r(t) ~ N(0, rounding)

with h as in :mod:`stochastic_volatility`, b(0) ~ N(mean, sd^2) and w ~ N(0, drift_sd^2) by coefficient: a ridge on the
drifts that shrinks to constant coefficients without ever excluding drift. The sign of w means nothing; its size does.
r(t) is the error of published rounding: without it a y(t) that stands exactly still would let h fall without end.

Blocks of a sweep, in :mod:`drift_moves` (1 to 3), :mod:`rounding_moves` (4, 5) and :mod:`stochastic_volatility` (6), and
why in this order (Del Negro and Primiceri 2015):

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

from math import log
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .compiling import kernel
from .drift_moves import draw_start_and_drift, move_drifts, rescale_drifts, residuals
from .log_chi_square import Table
from .metropolis import Adaptation, adaptation
from .rounding_moves import draw_disturbances, move_level_and_scale, move_stretches
from .simulation_smoother import draw_states_again, paths
from .stochastic_volatility import sweep_volatility

type Array = NDArray[np.float64]

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
    state: State, sample: Sample, priors: Priors, tuning: Tuning, table: Table, learning: bool, rng: np.random.Generator
) -> None:
    """One sweep over all blocks; ``state`` is changed in place, ``tuning`` while ``learning``.

    Parameters
    ----------
    table : from :func:`log_chi_square.component_table`
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
    table: Table,
    learning: bool,
    rng: np.random.Generator,
) -> None:
    """``n`` times :func:`sweep`."""
    for _ in range(n):
        sweep(state, sample, priors, tuning, table, learning, rng)


@kernel
def coefficient_paths(state: State) -> Array:
    """(T, k) b(1), ..., b(T)."""
    return paths(state.start, state.drift, state.innovations)
