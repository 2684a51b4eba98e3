"""Coefficients that drift, and what follows from them: slopes, stability, and paths into the future."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

type Array = NDArray[np.float64]
# Coefficients (D, k), their drifts (D, k), log variance (D,) and its parameters (D, 3): mu, phi, sigma.
type Parameters = tuple[Array, Array, Array, Array]


def prior_coefficients(mean: Array, sd: Array, drift_sd: Array, weeks: int, n: int = 4000) -> Array:
    """(n, k) coefficients after ``weeks`` of drift, before any data."""
    rng = np.random.default_rng(0)
    start = mean + sd * rng.standard_normal((n, len(mean)))
    drift = drift_sd * rng.standard_normal((n, len(mean)))
    return np.asarray(start + np.sqrt(weeks) * drift * rng.standard_normal((n, len(mean))))


def moving_on(now: Parameters, weeks: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """Coefficients (D, W, k) and variances (D, W) of the weeks to come."""
    b, drift, h, volatility = now
    D, k = b.shape
    steps = drift[:, None] * rng.standard_normal((D, weeks, k))
    shocks = rng.standard_normal((D, weeks))
    mu, phi, sigma = volatility.T
    variance = np.empty((D, weeks))
    for w in range(weeks):
        h = mu + phi * (h - mu) + sigma * shocks[:, w]
        variance[:, w] = np.exp(h)
    return b[:, None] + np.cumsum(steps, axis=1), variance


def persistent_slope(coefficients: Array, weeks_after: int) -> Array:
    """b (1 + rho + ... + rho^h): (n, k) of constant, rho, b, ... -> (n,)."""
    powers = coefficients[:, 1:2] ** np.arange(weeks_after + 1)
    return np.asarray(coefficients[:, 2] * powers.sum(axis=1))


def instrumental_slopes(ratio: Array, spread: Array, lags: int, weeks_after: int) -> Array:
    """Response of the spread over that of the ratio, h weeks after an innovation of the ratio.

    Parameters
    ----------
    ratio  : (..., k) coefficients of the ratio's equation: constant, lags of the ratio, lags of the spread, others
    spread : (..., k + 1) of the spread's: constant, ratio, lags of the ratio, lags of the spread, others

    Returns
    -------
    (...) bp per percentage point of bank assets
    """
    x, s = [np.ones(ratio.shape[:-1])], [spread[..., 1]]
    for week in range(1, weeks_after + 1):
        moved, lagged = np.zeros(x[0].shape), np.zeros(x[0].shape)
        for lag in range(1, min(lags, week) + 1):
            moved += ratio[..., lag] * x[week - lag] + ratio[..., lags + lag] * s[week - lag]
            lagged += spread[..., 1 + lag] * x[week - lag] + spread[..., 1 + lags + lag] * s[week - lag]
        x.append(moved)
        s.append(spread[..., 1] * moved + lagged)
    return np.asarray(s[-1] / x[-1])


def largest_root(ratio: Array, spread: Array, lags: int) -> Array:
    """(S,) largest modulus of the companion matrix's eigenvalues; the system explodes beyond one."""
    companion = np.zeros((len(ratio), 2 * lags, 2 * lags))
    companion[:, 0] = ratio[:, 1 : 1 + 2 * lags]
    companion[:, lags] = spread[:, 2 : 2 + 2 * lags] + spread[:, 1:2] * ratio[:, 1 : 1 + 2 * lags]
    for lag in range(1, lags):
        companion[:, lag, lag - 1] = companion[:, lags + lag, lags + lag - 1] = 1.0
    return np.asarray(np.abs(np.linalg.eigvals(companion)).max(axis=1))


def walk(start: float, regressors: Array, coefficients: Array, noise: Array) -> Array:
    """s(w) = a + rho s(w-1) + (b, g)'(x, c)(w) + noise(w), with rho drawn back to [-1, 1].

    Parameters
    ----------
    start        : last published spread, bp
    regressors   : (D or 1, W, F)
    coefficients : (D, W, 2 + F)
    noise        : (D, W) bp

    Returns
    -------
    (D, W) bp
    """
    free = coefficients[:, :, 0] + np.einsum("dwf,dwf->dw", coefficients[:, :, 2:], np.broadcast_to(
        regressors, (len(noise), *regressors.shape[1:]))) + noise  # fmt: skip
    rho = np.clip(coefficients[:, :, 1], -1.0, 1.0)
    spread, paths = np.full(len(noise), start), np.empty(noise.shape)
    for w in range(noise.shape[1]):
        spread = rho[:, w] * spread + free[:, w]
        paths[:, w] = spread
    return paths


def joint_paths(
    ratio: Array, spread: Array, effects: Array, coefficients: Mapping[str, Array], noise: Mapping[str, Array]
) -> Array:
    """Spread along paths of both equations; what is known stays as it is.

    Parameters
    ----------
    ratio        : (D or 1, lags + W) percentage points from the centre, missing where its equation is to say
    spread       : (lags + W,) bp, missing where to be drawn
    effects      : (W, E)
    coefficients : of "ratio" and "spread", (D, W, k) and (D, W, k + 1)
    noise        : likewise, (D, W)

    Returns
    -------
    (D, W) bp
    """
    (of_ratio, of_spread), (shocks, disturbances) = ([each["ratio"], each["spread"]] for each in (coefficients, noise))
    D, W = disturbances.shape
    lags = len(spread) - W
    x, s = np.empty((D, lags + W)), np.empty((D, lags + W))
    x[:], s[:] = ratio, spread
    for w in range(W):
        t = w + lags
        before = [values[:, t - lag] for values in (x, s) for lag in range(1, lags + 1)]
        regressors = np.column_stack([np.ones(D), *before, np.tile(effects[w], (D, 1))])
        drawn = (of_ratio[:, w] * regressors).sum(axis=1) + shocks[:, w]
        x[:, t] = np.where(np.isnan(x[:, t]), drawn, x[:, t])
        regressors = np.insert(regressors, 1, x[:, t], axis=1)
        drawn = (of_spread[:, w] * regressors).sum(axis=1) + disturbances[:, w]
        s[:, t] = np.where(np.isnan(s[:, t]), drawn, s[:, t])
    return s[:, lags:]
