"""Temporal disaggregation: a daily series whose averages are the published ones and that moves as an indicator does.

    min over d of  sum_{t=2..T} (d(t) - d(t-1))^2    subject to    sum_t w(j,t) (x(t) + d(t)) = a(j),  j = 1..J

x is the indicator, d its discrepancy, a(j) the published averages. The first day has no term of its own (Cholette's change
to Denton), so an indicator that is off by a constant is corrected by that constant and keeps every one of its movements.
Before the first day of the first average and after the last day of the last one nothing is known of the discrepancy, and the
minimum leaves it where it was: it is carried forward, and nothing is made of averages still to come.

References
----------
Denton (1971), Journal of the American Statistical Association 66; Cholette (1984), Statistics Canada; Dagum and Cholette
(2006), Benchmarking, Temporal Distribution, and Reconciliation Methods for Time Series, chapter 6.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from forecast.errors import ModelError, ShortHistoryError

if TYPE_CHECKING:
    from scipy.sparse import csr_array

type Array = NDArray[np.float64]

# Of the largest number at hand, by which an average may be missed: a dozen digits less what elimination loses.
_TOLERANCE = 1e-10


def denton(indicator: Array, averages: Array, weights: csr_array) -> Array:
    """The series nearest to the indicator's movements that has the averages asked for (additive, first differences).

    The conditions of the minimum are linear in the T discrepancies and J multipliers. With each multiplier right behind the
    last day of its average their matrix is a band as wide as an average is long, and elimination costs T times its square.

    Parameters
    ----------
    indicator : (T,) any unit, in time order
    averages  : (J,) same unit
    weights   : (J, T) sparse, share of each day in each average; shares of an average sum to one where it is a mean

    Returns
    -------
    (T,) same unit

    Raises
    ------
    ShortHistoryError : no average at all: the level is unknown
    ModelError        : shapes do not agree, a value is not finite, or averages contradict or repeat each other
    """
    indicator, averages = np.asarray(indicator, dtype=float), np.asarray(averages, dtype=float)
    _refuse(indicator, averages, weights)
    missed = averages - weights @ indicator
    series = indicator + smoothest(missed, weights)
    scale = max(float(np.abs(averages).max()), float(np.abs(indicator).max()), 1.0)
    if not np.abs(weights @ series - averages).max() <= _TOLERANCE * scale:
        raise _dependent()
    return series


def smoothest(averages: Array, weights: csr_array) -> Array:
    """(T,) path with the averages (J,) asked for and the smallest sum of squared changes; arguments as :func:`denton`.

    Raises
    ------
    ModelError : averages repeat each other
    """
    from scipy.linalg import LinAlgError, solve_banded

    (J, T), (average, day) = weights.shape, weights.tocoo().coords
    last = np.zeros(J, dtype=np.intp)
    np.maximum.at(last, average, day)
    # The multiplier of an average comes right behind its last day.
    place = np.empty(T + J, dtype=np.intp)
    place[np.argsort(np.concatenate([2 * np.arange(T), 2 * last + 1]), kind="stable")] = np.arange(T + J)
    days, multipliers = place[:T], place[T:]
    row, column = days[day], multipliers[average]
    half = int(max(np.abs(row - column).max(), np.diff(days).max(initial=1)))
    band = np.zeros((2 * half + 1, T + J))
    band[half, days[:-1]] += 1.0
    band[half, days[1:]] += 1.0
    for i, j, value in (
        (days[:-1], days[1:], -1.0),
        (days[1:], days[:-1], -1.0),
        (row, column, weights.data),
        (column, row, weights.data),
    ):
        band[half + i - j, j] = value
    right = np.zeros(T + J)
    right[multipliers] = averages
    try:
        return np.asarray(solve_banded((half, half), band, right)[days])
    except LinAlgError as error:
        raise _dependent() from error


def _dependent() -> ModelError:
    return ModelError("averages are not independent: two of them speak of the same days. Leave one out.")


def _refuse(indicator: Array, averages: Array, weights: csr_array) -> None:
    if indicator.ndim != 1 or weights.shape != (len(averages), len(indicator)):
        raise ModelError(
            f"weights have shape {weights.shape} for {averages.shape} averages of {indicator.shape} days; expected (J, T)."
        )
    if not len(averages):
        raise ShortHistoryError("no average to benchmark to: the level of the series is unknown.")
    if not all(np.isfinite(each).all() for each in (indicator, averages, weights.data)):
        raise ModelError("a value is not finite. Leave out averages and days that are not known.")
    empty = np.flatnonzero(np.diff(weights.indptr) == 0)
    if len(empty):
        raise ModelError(f"average {empty[0]} has no day in the indicator. Leave it out.")
