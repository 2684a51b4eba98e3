"""Shape of the satiation curve, and slow paths between knots: arithmetic on arrays.

    m(x) = beta * tau * softplus((k - x) / tau)             bp above the spread in abundance
    dm/dx = -beta * logistic((k - x) / tau)                 bp per percentage point of bank assets, never positive
    x*(c) = k - tau * logit(-c / beta)                      the ratio at which dm/dx = c, for beta > -c

x is the reserve ratio and k the kink (percent of bank assets), beta the steepest slope (bp per percentage point), tau the
width of the bend (percentage points). tau near zero gives a hinge, tau large an exponential.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

type Array = NDArray[np.float64]


def curve(ratio: Array, kink: Array, beta: Array, tau: Array) -> Array:
    """beta * tau * softplus((k - x) / tau), bp above the spread in abundance; arguments broadcast."""
    return np.asarray(beta * tau * np.logaddexp(0.0, (kink - ratio) / tau))


def curve_slope(ratio: Array | float, kink: Array, beta: Array, tau: Array) -> Array:
    """-beta * logistic((k - x) / tau), bp per percentage point of bank assets; arguments broadcast."""
    return np.asarray(-beta * 0.5 * (1 + np.tanh((kink - ratio) / (2 * tau))))


def ratio_at_slope(slope: float, kink: Array, beta: Array, tau: Array) -> Array:
    """x*(c): the ratio at which the curve has a slope, percent of bank assets; arguments broadcast.

    Zero where the curve is flatter than the slope at every ratio that is not negative.

    Parameters
    ----------
    slope : c, bp per percentage point, negative
    """
    share = np.minimum(-slope / beta, 1.0)
    with np.errstate(divide="ignore"):  # where the slope is never reached the logit is infinite, the ratio zero
        return np.asarray(np.maximum(kink - tau * (np.log(share) - np.log1p(-share)), 0.0))


def knots_needed(weeks: int, spacing: int, block: int) -> int:
    """Knots that span a sample, rounded up to whole blocks: a program is compiled for each number of knots."""
    knots = -(-weeks // spacing) + 1
    return block * -(-knots // block)


def weekly(knots: Array, spacing: int, weeks: int) -> Array:
    """Straight lines through knots.

    Parameters
    ----------
    knots   : (..., K) values at weeks 0, spacing, 2 * spacing, ...; a single one stands for every week
    spacing : weeks

    Returns
    -------
    (..., weeks) values of weeks 0, 1, 2, ...
    """
    if knots.shape[-1] == 1:
        return np.repeat(knots, weeks, axis=-1)
    after = np.arange(spacing) / spacing
    lines = knots[..., :-1, None] * (1 - after) + knots[..., 1:, None] * after
    return np.asarray(lines.reshape(*knots.shape[:-1], -1)[..., :weeks])


def continued_walk(path: Array, shocks: Array) -> Array:
    """(..., T + H) a path (..., T), then a random walk from its end with shocks (..., H); other axes broadcast."""
    future = path[..., -1:] + np.cumsum(shocks, axis=-1)
    return np.concatenate([path, future], axis=-1)


def continued_autoregression(path: Array, persistence: float, shocks: Array) -> Array:
    """(..., T + H) a path (..., T) around zero, then u(t) = persistence * u(t-1) + shock(t) from its end."""
    future, last = np.empty(shocks.shape), path[..., -1]
    for week in range(shocks.shape[-1]):
        last = persistence * last + shocks[..., week]
        future[..., week] = last
    return np.concatenate([path, future], axis=-1)


def random_walk_root(knots: int, spacing: int) -> Array:
    """(K, K) L such that L z, z ~ N(0, 1), is a walk from zero with unit variance a week, seen every ``spacing`` weeks."""
    root = np.tril(np.ones((knots, knots))) * np.sqrt(spacing)
    root[:, 0] = 0.0
    return np.asarray(root)


def autoregression_root(knots: int, persistence: float) -> Array:
    """(K, K) L such that L z, z ~ N(0, 1), is a stationary first-order autoregression with unit variance.

    Parameters
    ----------
    persistence : from knot to knot
    """
    lag = np.subtract.outer(np.arange(knots), np.arange(knots))
    root = np.where(lag >= 0, persistence ** np.abs(lag), 0.0)
    root[:, 1:] *= np.sqrt(1 - persistence**2)
    return np.asarray(root)
