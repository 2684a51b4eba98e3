"""Calibration: does what was called 90 percent happen in 90 percent of the cells?

The binomial bands hold for independent cells. Forecasts h weeks ahead made every week
overlap, so for h > 1 the bands are too narrow: leaving one is a hint, not a test, and
the number of cells stands beside every share. The p-values do count the overlap.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from forecast.evaluation.coverage_tests import coverage_test, pit_test
from forecast.evaluation.inference import overlap
from forecast.evaluation.scores import COVERAGE_LEVELS, COVERED

_KEYS = ["model", "conditioning", "target", "horizon"]


def pit_histogram(pit: ArrayLike, *, bins: int = 10, level: float = 0.9) -> pd.DataFrame:
    """Histogram of probability integral transforms with the band of a calibrated forecast.

    A hump means intervals too wide, a bowl too narrow, a slope a bias: mass on the right says that
    outcomes came out above the forecasts.

    Parameters
    ----------
    pit   : (n,) in [0, 1]; missing values are not counted
    bins  : number of bins of equal width
    level : pointwise probability of the band

    Returns
    -------
    (bins,) rows: left, right, count, expected, and lower, upper: the central ``level`` interval of a
    Binomial(n, 1 / bins) count

    References
    ----------
    Diebold, Gunther and Tay (1998), International Economic Review 39.
    """
    values = np.asarray(pit, dtype=float)
    values = values[~np.isnan(values)]
    counts, edges = np.histogram(values, bins=bins, range=(0.0, 1.0))
    lower, upper = binomial_band(len(values), 1 / bins, level)
    return pd.DataFrame(
        {
            "left": edges[:-1],
            "right": edges[1:],
            "count": counts,
            "expected": len(values) / bins,
            "lower": lower,
            "upper": upper,
        }
    )


def coverage_by_horizon(table: pd.DataFrame, *, level: float = 0.9) -> pd.DataFrame:
    """Share of outcomes inside the central intervals, by model, conditioning, target and horizon.

    Parameters
    ----------
    table : a scorecard's table
    level : pointwise probability of the band

    Returns
    -------
    One row a model x conditioning x target x horizon x nominal coverage: n cells with a known outcome,
    the share covered, and lower, upper: the central ``level`` interval of that share if the nominal is true
    """
    known = table[table["outcome"].notna()]
    grouped = known.groupby(_KEYS)
    rows = []
    for nominal, column in zip(COVERAGE_LEVELS, COVERED, strict=True):
        each = grouped[column].agg(n="size", covered="mean").reset_index()
        rows.append(each.assign(nominal=nominal))
    shares = pd.concat(rows, ignore_index=True).sort_values([*_KEYS, "nominal"], ignore_index=True)
    lower, upper = binomial_band(shares["n"].to_numpy(), shares["nominal"].to_numpy(), level)
    shares["lower"], shares["upper"] = lower / shares["n"], upper / shares["n"]
    return shares[[*_KEYS, "nominal", "n", "covered", "lower", "upper"]]


def calibration_tests(table: pd.DataFrame) -> pd.DataFrame:
    """Could a calibrated forecast look like this? By model, conditioning, target and horizon.

    Parameters
    ----------
    table : a scorecard's table

    Returns
    -------
    One row a model x conditioning x target x horizon: n cells with a known outcome, pit_p_value
    (:func:`forecast.evaluation.coverage_tests.pit_test`), and of each central interval covered_50 ... covered_95 its
    share with the p-value covered_50_p_value ... (:func:`forecast.evaluation.coverage_tests.coverage_test`).
    A p-value is missing where cells are too few for the overlap
    """
    rows = []
    known = table[table["outcome"].notna()].sort_values("origin")
    groups: Iterable[tuple[Any, pd.DataFrame]] = known.groupby(_KEYS)
    for key, cells in groups:
        lags = overlap(cells["origin"], key[-1])
        row = dict(zip(_KEYS, key, strict=True)) | {"n": len(cells)}
        row["pit_p_value"] = pit_test(cells["pit"], lags=lags).p_value
        for nominal, column in zip(COVERAGE_LEVELS, COVERED, strict=True):
            tested = coverage_test(cells[column], nominal, lags=lags)
            row |= {column: tested.share, f"{column}_p_value": tested.p_value}
        rows.append(row)
    p_values = [name for column in COVERED for name in (column, f"{column}_p_value")]
    return pd.DataFrame(rows, columns=[*_KEYS, "n", "pit_p_value", *p_values])


def binomial_band(n: ArrayLike, probability: ArrayLike, level: float) -> tuple[np.ndarray, np.ndarray]:
    """Counts between which a Binomial(n, probability) falls with at least ``level``, tails cut equally.

    Parameters
    ----------
    n           : (...) trials
    probability : (...) of success
    level       : in (0, 1)

    Returns
    -------
    lower, upper : (...) counts, both inside the band
    """
    from scipy.stats import binom

    lower, upper = binom.interval(level, n, probability)
    return np.asarray(lower), np.asarray(upper)
