"""log z^2 of a standard normal z, closely a mixture of ten normals (mean off by 1e-4, variance by 1e-3).

log e(t)^2 = h(t) + log z(t)^2: given the component of each log z^2, a log variance h is observed with normal noise.
Which component it is depends on d = log e^2 - h alone, so that a table over d and the uniform number that decides
answers nearly always, and exactly.

References
----------
Omori, Chib, Shephard and Nakajima (2007), Journal of Econometrics 140, table 1. Kim, Shephard and Chib (1998), Review of
Economic Studies 65.
"""

# ruff: noqa: PLR0917  numba compiles no keyword-only arguments

from __future__ import annotations

from functools import lru_cache
from math import exp

import numpy as np
from numpy.typing import NDArray

from .compiling import kernel

type Array = NDArray[np.float64]
type Table = NDArray[np.int8]

# Omori, Chib, Shephard and Nakajima (2007), table 1: probability, mean, variance of each component of log z^2.
PROBABILITIES = np.array([0.00609, 0.04775, 0.13057, 0.20674, 0.22715, 0.18842, 0.12047, 0.05591, 0.01575, 0.00115])
MEANS = np.array([1.92677, 1.34744, 0.73504, 0.02266, -0.85173, -1.97278, -3.46788, -5.55246, -8.68384, -14.65])
VARIANCES = np.array([0.11265, 0.17788, 0.26768, 0.40611, 0.62699, 0.98583, 1.57469, 2.54498, 4.16591, 7.33342])
_COMPONENTS = len(MEANS)
_LOG_WEIGHTS = np.log(PROBABILITIES) - 0.5 * np.log(VARIANCES)

# The table's cells: of d and of the uniform number. A cumulative probability between two neighbouring d lies between its
# values at both, give or take the margin (tested); a cell that this interval touches is left undecided.
TABLE_FROM, TABLE_TO, TABLE_STEPS, TABLE_BINS = -30, 10, 64, 256  # steps per unit of d, bins of [0, 1)
MARGIN = 2.5e-4
_UNDECIDED = -1


def cumulative_probabilities(d: Array) -> Array:
    """(n, 9) P(component <= i | d), all but the last, which is one."""
    density = np.exp(_LOG_WEIGHTS - 0.5 * (d[:, None] - MEANS) ** 2 / VARIANCES)
    return np.asarray(np.cumsum(density, axis=1)[:, :-1] / density.sum(axis=1, keepdims=True))


@lru_cache(maxsize=1)
def component_table() -> Table:
    """(D, U) the component in each cell of d and of the uniform number, or -1 where it depends on where in the cell."""
    ends = cumulative_probabilities(np.linspace(TABLE_FROM, TABLE_TO, (TABLE_TO - TABLE_FROM) * TABLE_STEPS + 1))
    low, high = np.minimum(ends[1:], ends[:-1]) - MARGIN, np.maximum(ends[1:], ends[:-1]) + MARGIN
    edges = np.arange(TABLE_BINS + 1) / TABLE_BINS
    table = np.zeros((len(low), TABLE_BINS), dtype=np.int8)
    undecided = np.zeros(table.shape, dtype=bool)
    for i in range(_COMPONENTS - 1):
        table += high[:, i, None] <= edges[:-1]
        undecided |= (low[:, i, None] < edges[1:]) & (high[:, i, None] > edges[:-1])
    table[undecided] = _UNDECIDED
    return table


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
def draw_components(
    log_square: Array, h: Array, table: Table, rng: np.random.Generator, centred: Array, noise: Array
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
        d, i = log_square[t] - h[t], _UNDECIDED
        # Here rather than in a function of one week: passing the table costs more than looking into it.
        place = (d - TABLE_FROM) * TABLE_STEPS
        if place >= 0.0 and place < len(table):
            i = table[int(place), int(u * TABLE_BINS)]
        if i == _UNDECIDED:
            i = exact_component(d, u)
        centred[t] = log_square[t] - MEANS[i]
        noise[t] = VARIANCES[i]
