"""Proper scoring rules for draws: arrays in, arrays out, lower is better.

Draws stand on the first axis, ``(D, ...)``; outcomes are ``(...)``, missing (NaN)
where unknown, and then so is the score. A score carries the unit of the target,
except the squared error (that unit squared), the log score (nats) and the
probability integral transform and coverage (pure numbers).

Every rule is a function of the sorted deviations e_(1) <= ... <= e_(D) of the draws
from the outcome, which makes it invariant to shifts and lets a cell sort only once.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np
from numpy.typing import ArrayLike, NDArray

from forecast.evaluation.energy_score import energy_of_paths
from forecast.evaluation.threads import in_chunks

type Array = NDArray[np.float64]

COVERAGE_LEVELS = (0.5, 0.8, 0.9, 0.95)
SCORES = ("crps", "log_score", "pinball_05", "pinball_95", "interval_90", "squared_error", "absolute_error", "energy")
COVERED = tuple(f"covered_{100 * level:.0f}" for level in COVERAGE_LEVELS)
COLUMNS = (*SCORES, "pit", *COVERED)

# Differences of published rates carry rounding errors of 1e-14; a draw this close to the outcome,
# in published steps, is the outcome.
_SAME = 1e-9
# Four megabytes of draws a core at a time: with less, threads wait for each other.
_CHUNK = 2**19

_AT_THRESHOLD = re.compile(r"(brier|twcrps)_above_(-?\d+(?:\.\d+)?(?:e[-+]?\d+)?)")


def threshold_columns(threshold: float) -> tuple[str, str]:
    """Columns of the Brier score and the threshold-weighted CRPS: brier_above_5, twcrps_above_5."""
    return f"brier_above_{threshold:g}", f"twcrps_above_{threshold:g}"


def column_threshold(column: str) -> tuple[str, float] | None:
    """("brier" or "twcrps", threshold in the target's unit) of a column; None if it is of no threshold."""
    found = _AT_THRESHOLD.fullmatch(column)
    return (found[1], float(found[2])) if found else None


def score_cell(
    draws: Array,
    outcomes: Array,
    steps: Array,
    *,
    rng: np.random.Generator,
    thresholds: Mapping[float, NDArray[np.bool_]] = MappingProxyType({}),
) -> dict[str, Array]:
    """Every score of one model at one origin.

    Parameters
    ----------
    draws    : (D, H, K) draw x period x target, each in its target's unit
    outcomes : (H, K) same units; missing where unknown
    steps    : (K,) published step of each target, in its unit: the width over which the log score integrates
    rng      : breaks ties of the probability integral transform
    thresholds : value -> (K,) which targets it is asked of, in their unit

    Returns
    -------
    name -> (H, K), the names of :data:`COLUMNS`:
    crps, pinball_05, pinball_95, interval_90, absolute_error in the target's unit, squared_error in its square,
    log_score in nats, pit in [0, 1], covered_50 ... covered_95 either 0 or 1; missing where the outcome is.
    energy, in the unit, scores the joint path of the periods up to and including the row's; missing where one of
    their outcomes is. Then two of :func:`threshold_columns` a threshold, missing for the targets it is not asked of
    """
    uniform = rng.random(outcomes.shape)
    return score_cells(draws, outcomes, steps, uniform=uniform, paths=(len(outcomes),), thresholds=thresholds)


def score_cells(
    draws: Array,
    outcomes: Array,
    steps: Array,
    *,
    uniform: Array,
    paths: Sequence[int],
    thresholds: Mapping[float, NDArray[np.bool_]] = MappingProxyType({}),
) -> dict[str, Array]:
    """The scores of :func:`score_cell` for several origins at once, side by side on the second axis.

    Each number depends on its own draws only, to the last bit, whatever stands beside it.

    Parameters
    ----------
    uniform : (H, K) in [0, 1), breaks ties of the probability integral transform
    paths   : how many periods of the second axis each origin has, adding to H: an energy score never joins two origins
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
        "energy": energy_of_paths(draws, outcomes, paths),
        "pit": _pit(e, uniform),
    }
    scores |= dict(zip(COVERED, ((lower <= 0) & (upper >= 0)).astype(float), strict=True))
    for threshold, asked in thresholds.items():
        gap = _without_rounding((threshold - outcomes) / steps)
        both = (_brier(e, gap), _threshold_weighted(e, gap) * steps)
        named = zip(threshold_columns(threshold), both, strict=True)
        scores |= {name: np.where(asked, values, np.nan) for name, values in named}
    unknown = np.isnan(outcomes)
    return {name: np.where(unknown, np.nan, values) for name, values in scores.items()}


def crps(draws: Array, outcome: ArrayLike, *, fair: bool = False) -> Array:
    """Continuous ranked probability score of the draws' empirical distribution.

        CRPS = mean_i |x_i - y| - sum_i (2i - D - 1) x_(i) / D^2

    It is the integral of (F(z) - 1[y <= z])^2 dz. The second term is half the mean distance of two draws
    taken with replacement. We score what is issued: the draws. The fair variant divides by D(D - 1) instead and so
    estimates, without bias, the score of the distribution behind the draws: for comparing different numbers of draws.

    Large arrays are sorted in threads, a few cells at a time: 520 x 13 cells of 4,000 draws need 20 MB beside
    the draws. Fastest when the draws of a cell are contiguous in memory.

    Parameters
    ----------
    draws   : (D, ...) in the outcome's unit
    outcome : (...)
    fair    : of the distribution behind the draws; missing for a single draw

    Returns
    -------
    (...) in the outcome's unit

    References
    ----------
    Gneiting and Raftery (2007), JASA 102, equation 21; Hersbach (2000); Ferro (2014), QJRMS 140 (fair).
    """
    draws, outcome = np.asarray(draws, dtype=float), np.asarray(outcome, dtype=float)
    cells, y, n_draws = draws.reshape(len(draws), -1), outcome.ravel(), len(draws)
    size = max(1, min(_CHUNK // n_draws, len(y)))
    score = np.empty(len(y))

    def work(some: slice, scratch: Array) -> None:
        e = _deviations(cells[:, some], y[some], out=scratch[: some.stop - some.start])
        score[some] = _crps(e, fair=fair, scratch=e)

    in_chunks(work, len(y), size=size, scratch=lambda: np.empty((size, n_draws)))
    return score.reshape(outcome.shape)


def threshold_weighted_crps(draws: Array, outcome: ArrayLike, threshold: float) -> Array:
    """CRPS of what lies above a threshold: how well are large values forecast?

        twCRPS = integral over z > t of (F(z) - 1[y <= z])^2 dz = CRPS of max(x, t) against max(y, t)

    A proper score of the tail; scoring only the cases in which something large happened is not.

    Parameters
    ----------
    draws     : (D, ...) in the outcome's unit
    outcome   : (...)
    threshold : same unit

    References
    ----------
    Gneiting and Ranjan (2011), JBES 29, equation 4; Allen, Ginsbourger and Ziegel (2023), SIAM/ASA JUQ 11 (chaining).
    """
    return crps(np.maximum(draws, threshold), np.maximum(np.asarray(outcome, dtype=float), threshold))


def brier(draws: Array, outcome: ArrayLike, threshold: float) -> Array:
    """Brier score of the probability that the outcome exceeds a threshold, in [0, 1].

        (share of draws above - 1[y > t])^2

    Parameters
    ----------
    draws     : (D, ...) in the outcome's unit
    outcome   : (...)
    threshold : same unit; a value on it is not above it

    References
    ----------
    Brier (1950), Monthly Weather Review 78.
    """
    outcome = np.asarray(outcome, dtype=float)
    score: Array = ((np.asarray(draws) > threshold).mean(axis=0) - (outcome > threshold)) ** 2
    return np.where(np.isnan(outcome), np.nan, score)


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


def _deviations(draws: ArrayLike, outcome: ArrayLike, out: Array | None = None) -> Array:
    """(..., D) draws minus outcome, rising along the last axis, which is contiguous."""
    by_outcome = np.moveaxis(np.asarray(draws, dtype=float), 0, -1)
    e: Array = np.subtract(by_outcome, np.asarray(outcome, dtype=float)[..., None], out=out, order="C")
    e.sort(axis=-1)
    return e


def _without_rounding(steps: Array) -> Array:
    return np.where(np.abs(steps) < _SAME, 0.0, steps)


def _crps(e: Array, *, fair: bool = False, scratch: Array | None = None) -> Array:
    n = e.shape[-1]
    if fair and n == 1:
        return np.full(e.shape[:-1], np.nan)
    weights = (2 * np.arange(1, n + 1) - n - 1) / (n * (n - 1) if fair else n**2)
    half_distance: Array = e @ weights
    crps: Array = np.abs(e, out=scratch).mean(axis=-1) - half_distance
    return crps


def _threshold_weighted(e: Array, gap: Array) -> Array:
    """``gap`` (...) is the threshold minus the outcome: max(x, t) - max(y, t) rises with x."""
    return _crps(np.maximum(e, gap[..., None]) - np.maximum(0.0, gap)[..., None])


def _brier(e: Array, gap: Array) -> Array:
    score: Array = ((e > gap[..., None] + _SAME).mean(axis=-1) - (gap < 0)) ** 2
    return score


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
