"""p-values that hold for many comparisons at once."""

from __future__ import annotations

import numpy as np
import pandas as pd


def holm(p_values: pd.Series) -> pd.Series:
    """p-values under which the chance of even one false finding stays below the level, whatever the dependence.

        p~_(i) = max_{j <= i} min(1, (m - j + 1) p_(j))

    Parameters
    ----------
    p_values : (m,) a missing one stays missing and is not counted

    References
    ----------
    Holm (1979), Scandinavian Journal of Statistics 6.
    """
    ordered = p_values.dropna().sort_values()
    factors = np.arange(len(ordered), 0, -1)
    return (ordered * factors).clip(upper=1).cummax().reindex(p_values.index)


def benjamini_hochberg(p_values: pd.Series) -> pd.Series:
    """p-values under which the expected share of false findings among all findings stays below the level.

        p~_(i) = min_{j >= i} min(1, m p_(j) / j)

    Less strict than Holm's, for screening. It holds for independent or positively dependent comparisons, such as
    models that are held against one benchmark.

    Parameters
    ----------
    p_values : (m,) a missing one stays missing and is not counted

    References
    ----------
    Benjamini and Hochberg (1995), JRSS B 57; Benjamini and Yekutieli (2001), Annals of Statistics 29 (dependence).
    """
    ordered = p_values.dropna().sort_values(ascending=False)
    ranks = np.arange(len(ordered), 0, -1)
    return (ordered * len(ordered) / ranks).clip(upper=1).cummin().reindex(p_values.index)
