"""Proper scoring rules for draws: arrays in, arrays out, lower is better.

Draws stand on the first axis, ``(D, ...)``; outcomes are ``(...)``, missing (NaN)
where unknown, and then so is the score. A score carries the unit of the target,
except the squared error (that unit squared), the log score (nats) and the
probability integral transform and coverage (pure numbers).

Every rule is a function of the sorted deviations e_(1) <= ... <= e_(D) of the draws
from the outcome, which makes it invariant to shifts and lets a cell sort only once.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

type Array = NDArray[np.float64]

COVERAGE_LEVELS = (0.5, 0.8, 0.9, 0.95)
SCORES = ("crps", "log_score", "pinball_05", "pinball_95", "interval_90", "squared_error", "absolute_error")
COVERED = tuple(f"covered_{100 * level:.0f}" for level in COVERAGE_LEVELS)
COLUMNS = (*SCORES, "pit", *COVERED)

# Differences of published rates carry rounding errors of 1e-14; a draw this close to the outcome,
# in published steps, is the outcome.
_SAME = 1e-9


def score_cell(draws: Array, outcomes: Array, steps: Array, *, rng: np.random.Generator) -> dict[str, Array]:
    """Every score of one model at one origin.

    Parameters
    ----------
    draws    : (D, H, K) draw x period x target, each in its target's unit
    outcomes : (H, K) same units; missing where unknown
    steps    : (K,) published step of each target, in its unit: the width over which the log score integrates
    rng      : breaks ties of the probability integral transform

    Returns
    -------
    name -> (H, K), the names of :data:`COLUMNS`:
    crps, pinball_05, pinball_95, interval_90, absolute_error in the target's unit, squared_error in its square,
    log_score in nats, pit in [0, 1], covered_50 ... covered_95 either 0 or 1; missing where the outcome is
    """
    e = _deviations(draws / steps, outcomes / steps)  # in published steps
    e[np.abs(e) < _SAME] = 0.0
    lower, upper = _central_intervals(e)
    scores = {
        "crps": _crps(e) * steps,
        "log_score": _log_score(e),
        "pinball_05": _pinball(_quantile(e, 0.05), 0.05) * steps,
        "pinball_95": _pinball(_quantile(e, 0.95), 0.95) * steps,
        "interval_90": _interval(lower[2], upper[2], 0.9) * steps,
        "squared_error": (e.mean(axis=-1) * steps) ** 2,
        "absolute_error": np.abs(_quantile(e, 0.5)) * steps,
        "pit": _pit(e, rng.random(outcomes.shape)),
    }
    scores |= dict(zip(COVERED, ((lower <= 0) & (upper >= 0)).astype(float), strict=True))
    unknown = np.isnan(outcomes)
    return {name: np.where(unknown, np.nan, values) for name, values in scores.items()}


def crps(draws: Array, outcome: ArrayLike) -> Array:
    """Continuous ranked probability score of the draws' empirical distribution.

        CRPS = mean_i |x_i - y| - sum_i (2i - D - 1) x_(i) / D^2

    It is the integral of (F(z) - 1[y <= z])^2 dz. The second term is half the mean distance of two draws
    taken with replacement; the "fair" variant, which estimates the score of the distribution behind the
    draws, divides by D(D - 1) instead. We score what is issued: the draws.

    Parameters
    ----------
    draws   : (D, ...) in the outcome's unit
    outcome : (...)

    Returns
    -------
    (...) in the outcome's unit

    References
    ----------
    Gneiting and Raftery (2007), JASA 102, equation 21; Hersbach (2000).
    """
    return _crps(_deviations(draws, outcome))


def log_score(draws: Array, outcome: ArrayLike, step: ArrayLike) -> Array:
    """Minus the log of the predictive mass in the published step around the outcome, in nats.

        p(y) = (n(y) + g(y) / g(m)) / (D + 1 / g(m)),       score = -ln p(y)

    n(y) counts draws in [y - step/2, y + step/2). g(y) is the mass that a Cauchy distribution with the
    draws' median m and half their interquartile range puts there: one draw is added to the step around the
    median, and less than one to any other, so that an outcome outside all draws costs much but not
    infinitely much. The n add to D and the g to 1 over any grid of steps, so p is a probability.

    Published rates are rounded; a density score would reward a model without bound for standing on the
    published value. With a step far below the spread few draws fall into it and the score gets noisy:
    choose one that holds tens of draws.

    Parameters
    ----------
    draws   : (D, ...) in the outcome's unit
    outcome : (...)
    step    : (...) or scalar, width of a published step, same unit, positive

    Returns
    -------
    (...) nats
    """
    width = np.asarray(step, dtype=float)
    return _log_score(_deviations(draws / width, np.asarray(outcome, dtype=float) / width))


def pinball(draws: Array, outcome: ArrayLike, prob: float) -> Array:
    """Pinball (quantile) score of the draws' quantile, in the outcome's unit.

        (1[y < q] - prob) (q - y)

    Parameters
    ----------
    draws   : (D, ...); D = 1 scores a quantile that is given
    outcome : (...)
    prob    : probability level of the quantile, in (0, 1)

    References
    ----------
    Koenker and Bassett (1978), Econometrica 46.
    """
    return _pinball(_quantile(_deviations(draws, outcome), prob), prob)


def interval_score(draws: Array, outcome: ArrayLike, level: float) -> Array:
    """Interval score of the central interval [l, u], in the outcome's unit.

        (u - l) + 2/a (l - y)^+ + 2/a (y - u)^+,     a = 1 - level

    Parameters
    ----------
    draws   : (D, ...)
    outcome : (...)
    level   : nominal coverage, in (0, 1)

    References
    ----------
    Gneiting and Raftery (2007), JASA 102, equation 43.
    """
    e = _deviations(draws, outcome)
    return _interval(_quantile(e, (1 - level) / 2), _quantile(e, (1 + level) / 2), level)


def squared_error_of_mean(draws: Array, outcome: ArrayLike) -> Array:
    """(mean - y)^2, in the square of the outcome's unit; (D, ...) and (...) -> (...)."""
    error: Array = np.mean(draws, axis=0) - np.asarray(outcome, dtype=float)
    return error**2


def absolute_error_of_median(draws: Array, outcome: ArrayLike) -> Array:
    """|median - y|, in the outcome's unit; (D, ...) and (...) -> (...)."""
    error: Array = np.median(draws, axis=0) - np.asarray(outcome, dtype=float)
    return np.abs(error)


def pit(draws: Array, outcome: ArrayLike, *, rng: np.random.Generator) -> Array:
    """Probability integral transform, randomised where draws equal the outcome.

        PIT = share of draws below y + U * share of draws equal to y,     U uniform on [0, 1]

    Uniform when the forecast is right, also where a rate is published in steps or has not moved.

    Parameters
    ----------
    draws   : (D, ...)
    outcome : (...)

    Returns
    -------
    (...) in [0, 1]

    References
    ----------
    Czado, Gneiting and Held (2009), Biometrics 65.
    """
    outcome = np.asarray(outcome, dtype=float)
    return np.where(np.isnan(outcome), np.nan, _pit(_deviations(draws, outcome), rng.random(outcome.shape)))


# --------------------------------------------------------------------------- on sorted deviations e: (..., D)


def _deviations(draws: ArrayLike, outcome: ArrayLike) -> Array:
    """(..., D) draws minus outcome, rising along the last axis, which is contiguous."""
    by_outcome = np.moveaxis(np.asarray(draws, dtype=float), 0, -1)
    e: Array = np.subtract(by_outcome, np.asarray(outcome, dtype=float)[..., None], order="C")
    e.sort(axis=-1)
    return e


def _crps(e: Array) -> Array:
    n = e.shape[-1]
    weights = (2 * np.arange(1, n + 1) - n - 1) / n**2
    crps: Array = np.abs(e).mean(axis=-1) - e @ weights
    return crps


def _log_score(e: Array) -> Array:
    """In nats, for deviations in published steps."""
    # The edges of the half-open step are moved by a hair, so that a rounding error decides nothing.
    inside = (e < 0.5 - _SAME).sum(axis=-1) - (e < -0.5 - _SAME).sum(axis=-1)
    median = _quantile(e, 0.5)
    scale = np.maximum((_quantile(e, 0.75) - _quantile(e, 0.25)) / 2, 0.5)
    # Mass of a Cauchy in a step around its median, and around the outcome, which stands at zero.
    # The difference of two arc tangents as one keeps its digits far out in the tail.
    at_median = 2 / np.pi * np.arctan(0.5 / scale)
    at_outcome = np.arctan2(1 / scale, 1 + (median**2 - 0.25) / scale**2) / np.pi
    mass = (inside + at_outcome / at_median) / (e.shape[-1] + 1 / at_median)
    score: Array = -np.log(mass)
    return score


def _pinball(quantile: Array, prob: float) -> Array:
    return np.where(quantile > 0, 1 - prob, -prob) * quantile


def _interval(lower: Array, upper: Array, level: float) -> Array:
    miss = np.maximum(lower, 0) + np.maximum(-upper, 0)
    score: Array = upper - lower + 2 / (1 - level) * miss
    return score


def _pit(e: Array, uniform: Array) -> Array:
    below, not_above = (e < 0).mean(axis=-1), (e <= 0).mean(axis=-1)
    pit: Array = below + uniform * (not_above - below)
    return pit


def _central_intervals(e: Array) -> tuple[Array, Array]:
    """(L, ...) ends of the central intervals of :data:`COVERAGE_LEVELS`."""
    lower = np.stack([_quantile(e, (1 - level) / 2) for level in COVERAGE_LEVELS])
    upper = np.stack([_quantile(e, (1 + level) / 2) for level in COVERAGE_LEVELS])
    return lower, upper


def _quantile(e: Array, prob: float) -> Array:
    """Linear between order statistics, as NumPy's default, without sorting again."""
    position = prob * (e.shape[-1] - 1)
    left = int(position)
    right = min(left + 1, e.shape[-1] - 1)
    quantile: Array = e[..., left] + (position - left) * (e[..., right] - e[..., left])
    return quantile
