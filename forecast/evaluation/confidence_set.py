"""Many models at once: which may be the best, and which beat a benchmark although many were tried?

Both questions look at the largest of many t statistics, so both need its distribution when nothing is there. Where
forecasts overlap, a bootstrap of blocks takes the means for more certain than they are; here standard errors are means
of B squared cosines as in the Diebold-Mariano test, and the distribution is simulated with the same B. Simulated
share of false alarms at a nominal 10 percent, five equally good models, absolute errors of right forecasts (400
replications, standard error 1.5; "bootstrap" is arch's, blocks of max(h, sqrt(n))):

    n, h                       100, 1   520, 1   100, 4   520, 4   104, 13   208, 13   104, 26   208, 26   520, 26
    a best model is left out      8       10       12       11        10        12        9        11        11
      the same by bootstrap      28       19       34       26        60        37       80        61        34
    a benchmark is beaten        10       10        9       11        11        10        9         9        13
      the same by bootstrap      16       11       13       12        21        20       30        20        17
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.errors import UsageError
from forecast.evaluation.inference import cosine_weights, too_few

type Array = NDArray[np.float64]

_REPLICATIONS = 2000


@dataclass(frozen=True, slots=True, eq=False)
class PairwiseTests:
    """All pairs of k models.

    t    : (k, k) mean loss of the row minus that of the column, over its standard error; zero if it never varies
    null : (R, k, k) the same, simulated, if all models were equally good
    """

    t: Array
    null: Array


def pairwise_tests(losses: Array, *, lags: int, seed: int = 0) -> PairwiseTests:
    """t statistics of all pairs of models and their joint distribution under equality.

        t(i, j) = sqrt(n) mean(l_i - l_j) / sqrt(mean_{b=1}^{B} (L_b,i - L_b,j)^2),    L_b the cosine transforms of l

    Under equality sqrt(n) mean(l) and the L_b are independent and normal with the same covariance, the long-run one of
    the losses (up to what all models have in common, which no difference sees). Only its correlations matter here;
    they are taken from the losses themselves, which is right if the losses of all models overlap alike.

    Parameters
    ----------
    losses : (n, k) in time order, nothing missing
    lags   : order of the overlap
    seed   : of the simulation
    """
    n, k = losses.shape
    weights = cosine_weights(n, lags)
    values, vectors = np.linalg.eigh(np.cov(losses, rowvar=False).reshape(k, k))
    root = vectors * np.sqrt(np.maximum(values, 0.0))
    normal = np.random.default_rng(seed).standard_normal((_REPLICATIONS, 1 + len(weights), k)) @ root.T
    return PairwiseTests(_t(np.sqrt(n) * losses.mean(axis=0), weights @ losses), _t(normal[:, 0], normal[:, 1:]))


def _t(mean: Array, transformed: Array) -> Array:
    """(..., k) and (..., B, k) -> (..., k, k)."""
    squares = transformed.swapaxes(-1, -2) @ transformed / transformed.shape[-2]
    own = np.diagonal(squares, axis1=-2, axis2=-1)
    variance = own[..., :, None] + own[..., None, :] - 2 * squares
    varies = variance > 1e-12 * own.max(axis=-1)[..., None, None]
    difference = mean[..., :, None] - mean[..., None, :]
    return np.where(varies, difference / np.sqrt(np.where(varies, variance, 1.0)), 0.0)


def confidence_set(losses: pd.DataFrame, *, lags: int, size: float = 0.1, classic: bool = False) -> pd.DataFrame:
    """Model confidence set: the models of which none can be said to be worse than another.

    It holds every best model with a probability of at least 1 - ``size``: with little data many models, with much data
    few. While equality of those left is rejected, by the largest t(i, j), the model i is left out; a model's p-value is
    the largest p-value up to its leaving.

    Parameters
    ----------
    losses  : (n, k) a row an origin in time order, a column a model; rows with a missing number are left out
    lags    : order of the overlap
    size    : probability of leaving out a best model
    classic : critical values by arch's stationary bootstrap with blocks of max(lags + 1, sqrt(n)), 1,000 replications

    Returns
    -------
    One row a model in the order of the columns: n, mean (loss), p_value, inside (True, False), reason (empty, or why
    nothing could be said: then no p-value, and inside is missing)

    References
    ----------
    Hansen, Lunde and Nason (2011), Econometrica 79, statistic T_R.
    """
    losses = losses.dropna()
    values, models = losses.to_numpy(dtype=float), losses.columns
    table = pd.DataFrame({"n": len(losses), "mean": losses.mean()}, index=models)
    reason = _cannot_be_compared(values, lags)
    if reason:
        return table.assign(p_value=np.nan, inside=pd.Series(pd.NA, index=models, dtype="boolean"), reason=reason)
    p_values = _by_bootstrap(losses, lags, size) if classic else _by_elimination(pairwise_tests(values, lags=lags))
    inside = pd.Series(p_values >= size, index=models, dtype="boolean")
    return table.assign(p_value=p_values, inside=inside, reason="")


def _by_elimination(tests: PairwiseTests) -> Array:
    left, p, p_values = np.arange(len(tests.t)), 0.0, np.ones(len(tests.t))
    while len(left) > 1:
        t = tests.t[np.ix_(left, left)]
        null = tests.null[:, left[:, None], left].max(axis=(1, 2))
        p = max(p, _share_above(null, t.max()))
        worst = int(t.max(axis=1).argmax())
        p_values[left[worst]] = p
        left = np.delete(left, worst)
    return p_values


def _share_above(null: Array, t: float) -> float:
    """The observed t counts as one of the draws: none of so many above it does not mean never."""
    return float((1 + (null >= t).sum()) / (1 + len(null)))


def _by_bootstrap(losses: pd.DataFrame, lags: int, size: float) -> Array:
    from arch.bootstrap import MCS

    values, twin = np.unique(losses.to_numpy(dtype=float), axis=1, return_inverse=True)
    if values.shape[1] == 1:
        return np.ones(losses.shape[1])
    mcs = MCS(values, size=size, reps=1000, block_size=_block(len(values), lags), method="R", seed=0)
    mcs.compute()
    found: Array = mcs.pvalues["Pvalue"].sort_index().to_numpy()[twin]
    return found


def superior_models(losses: pd.DataFrame, benchmark: str, *, lags: int, classic: bool = False) -> pd.DataFrame:
    """Which models beat the benchmark, with p-values that hold for all of them at once?

    The smallest p-value answers Hansen's question: is the best of all these models really better than the benchmark, or
    would the best of so many be that good by luck? Step by step downwards the p-values are Romano and Wolf's: rejecting
    where p < a, the probability of naming one model wrongly is at most a.

        p_(j) = max_{i <= j} P(max of null t(benchmark, m) over the models m ranked i and lower >= t_(i))

    Parameters
    ----------
    losses    : (n, k) a row an origin in time order, a column a model; rows with a missing number are left out
    benchmark : one of the columns
    lags      : order of the overlap
    classic   : arch's bootstrap of Hansen's test instead, with its p-value at the best model; the others have none

    Returns
    -------
    One row another model, the best t first: n, difference (mean loss minus the benchmark's; negative is better), t
    (positive is better), p_value (one-sided), reason

    Raises
    ------
    UsageError : no such benchmark

    References
    ----------
    Hansen (2005), JBES 23; Romano and Wolf (2005), Econometrica 73.
    """
    if benchmark not in losses.columns:
        raise UsageError(f"no benchmark {benchmark!r}; use one of {', '.join(map(str, losses.columns))}.")
    losses = losses.dropna()
    own, others = list(losses.columns).index(benchmark), [name for name in losses.columns if name != benchmark]
    difference = losses[others].mean() - losses[benchmark].mean()
    table = pd.DataFrame({"n": len(losses), "difference": difference}, index=pd.Index(others))
    reason = _cannot_be_compared(losses.to_numpy(dtype=float), lags)
    if reason:
        return table.assign(t=np.nan, p_value=np.nan, reason=reason)
    tests = pairwise_tests(losses.to_numpy(dtype=float), lags=lags)
    t, null = np.delete(tests.t[own], own), np.delete(tests.null[:, own], own, axis=1)
    order = np.argsort(-t, kind="stable")
    table = table.iloc[order].assign(t=t[order])
    if classic:
        first = _superior_by_bootstrap(losses, benchmark, others, lags)
        return table.assign(p_value=[first, *[np.nan] * (len(others) - 1)], reason="")
    steps = [_share_above(null[:, order[i:]].max(axis=1), t[order[i]]) for i in range(len(others))]
    return table.assign(p_value=np.maximum.accumulate(steps), reason="")


def _superior_by_bootstrap(losses: pd.DataFrame, benchmark: str, others: list[str], lags: int) -> float:
    from arch.bootstrap import SPA

    varying = [name for name in others if not losses[name].equals(losses[benchmark])]
    if not varying:
        return 1.0
    spa = SPA(losses[benchmark], losses[varying], block_size=_block(len(losses), lags), reps=1000, seed=0)
    spa.compute()
    return float(spa.pvalues["consistent"])


def _block(n: int, lags: int) -> int:
    return max(lags + 1, int(np.sqrt(n)))


def _cannot_be_compared(losses: Array, lags: int) -> str:
    n, k = losses.shape
    return "no other model" if k < 2 else too_few(n, lags)
