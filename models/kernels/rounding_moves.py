"""The drifting regression's log variance where published rounding hides it.

Blocks 4 and 5 of the sweep in :mod:`drifting_regression`, given residuals e(t) + r(t) of disturbances with log variance
h(t) and of rounding. Given e alone h would move by inches wherever the residuals are those of rounding.
"""

# ruff: noqa: PLR0917  numba compiles no keyword-only arguments

from __future__ import annotations

from math import exp, log, sqrt

import numpy as np
from numpy.typing import NDArray

from .compiling import kernel
from .metropolis import Adaptation, propose

type Array = NDArray[np.float64]

# Periods: mean length of the stretches over which h is proposed at once.
_STRETCH = 12.0


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
