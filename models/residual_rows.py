"""Joint bootstrap: past rows of errors, drawn whole so that targets keep their dependence.

A row is a past week; its columns are what every target did there (a change, a residual,
an innovation). Drawing one row for all targets keeps whatever dependence history shows.
Targets whose history is shorter must not shorten that of the others: the row is drawn
from the target with the most rows, and a target without a value there draws one of its own.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from forecast.errors import ShortHistoryError

type Array = NDArray[np.float64]
type Rows = NDArray[np.intp]

# Below twenty past errors the tails of a 90 percent interval are one error each.
MINIMUM_ROWS = 20


def require_rows(counts: NDArray[np.integer], names: Sequence[str], *, what: str, needed: int = MINIMUM_ROWS) -> None:
    """Refuse targets with too few past rows.

    Parameters
    ----------
    counts : (K,) rows that each target has
    names  : (K,) targets
    what   : what a row is, for the message

    Raises
    ------
    ShortHistoryError : names the first target that is short
    """
    for name, count in zip(names, counts, strict=True):
        if count < needed:
            raise ShortHistoryError(
                f"{name!r} has {count} {what}, fewer than the {needed} needed. "
                "Start its history earlier, forecast fewer weeks, or raise minimum_history in the plan."
            )


def draw_rows(available: NDArray[np.bool_], n: int, rng: np.random.Generator) -> Rows:
    """Draw ``n`` joint rows, each target's marginal uniform over its own available rows.

    Parameters
    ----------
    available : (R, K) whether a target has a value in a row; at least one a target

    Returns
    -------
    (n, K) row of each draw and target. The column of the target with the most rows does not
    depend on the other columns.
    """
    return rows_at(available, rng.random(n), rng.random((n, available.shape[1])))


def rows_at(available: NDArray[np.bool_], shared: Array, own: Array) -> Rows:
    """Rows at given positions in history: the inverse distribution function behind :func:`draw_rows`.

        P(row r | target k) = 1 / n_k        for each of its n_k available rows

    A target without a value in the shared row draws with weights 1/n_k - [shared could be r]/n_max,
    which is what the shared rows leave of its uniform distribution.

    Parameters
    ----------
    available : (R, K)
    shared    : (n,) in [0, 1), position of the shared row in time
    own       : (n, K) in [0, 1), used only by targets that have no value in the shared row
    """
    counts = available.sum(axis=0)
    longest = int(counts.argmax())
    choices = np.flatnonzero(available[:, longest])
    row = choices[(shared * len(choices)).astype(np.intp)]
    rows = np.repeat(row[:, None], available.shape[1], axis=1)
    for k in np.flatnonzero(counts < len(available)):
        missing = ~available[row, k]
        if missing.any():
            weights = available[:, k] / counts[k] - (available[:, k] & available[:, longest]) / counts[longest]
            cumulative = np.cumsum(weights)
            rows[missing, k] = np.searchsorted(cumulative / cumulative[-1], own[missing, k], side="right")
    return rows
