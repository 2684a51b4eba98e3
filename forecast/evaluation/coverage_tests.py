"""Tests of intervals and of whole distributions: of their frequency, their timing and their shape.

Without overlap the textbook tests hold. With it a miss brings others although the forecast is right, and in a few
hundred weekly cells half a year ahead there are so few misses of their own that no asymptotic approximation holds. But
calibration says what the right forecast is: there p-values are simulated, with errors that add up as many independent
shocks as cells overlap, as those of a random walk do. If the target returns to a mean, errors overlap by less and the
tests reject too rarely; if errors persist beyond the overlap, they also reject for that.

Simulated size at a nominal 10 percent (1,500 replications, standard error 0.8); "returning" has errors whose shocks fade
by a tenth a week:

    n, h                            100, 1  520, 1  100, 4  520, 4  104, 13  520, 13  104, 26  208, 26  520, 26
    50 % interval                       10      11      11      10        9       10        9       11       10
    90 % interval                       10      10      11      10       10       12        5       11       11
    90 % interval, returning             -       -      10       9        6        7        2        2        2
    whole distribution                  10       9       8      10        8       11        9       11        9
    whole distribution, returning        -       -       9       8        6        9        3        4        4

Christoffersen's test of independence: 11 at n = 100, 14 at 200, 10 at 520.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from forecast.evaluation.inference import too_few

type Array = NDArray[np.float64]
type Reals = NDArray[np.floating]

# Half a draw of a thousand: an outcome outside all draws says that it was rare, not how rare.
_EDGE = 0.0005
_REPLICATIONS, _BATCHES = 10_000, 50


@dataclass(frozen=True, slots=True)
class CoverageTest:
    """Test that outcomes fall into an interval as often as it says, and as if by independent trials.

    n            : cells
    share        : of outcomes inside
    p_value      : of the frequency: Kupiec's without overlap, simulated with it; missing if not computed
    independence : p-value of Christoffersen's test that a miss says nothing of the next cell; missing with overlap,
                   where misses come in clusters even if the forecast is right
    joint        : p-value of both together; missing with overlap
    reason       : why there is no p-value, else empty
    """

    n: int
    share: float
    p_value: float
    independence: float = np.nan
    joint: float = np.nan
    reason: str = ""


def coverage_test(covered: ArrayLike, nominal: float, *, lags: int) -> CoverageTest:
    """Kupiec's and Christoffersen's tests of a central interval; with overlap the share's own distribution.

        LR = 2 (n1 ln(s / c) + n0 ln((1 - s) / (1 - c))),    s = n1 / n, c the nominal coverage

    Both likelihood ratios are compared with chi-squared. Christoffersen's needs two misses in a row to be likely at
    all: some 500 cells at 90 percent. With overlap the share is compared with shares of simulated forecasts that are
    right, see above; the p-value is twice the smaller tail, counting ties by half.

    Parameters
    ----------
    covered : (n,) 1 where the outcome was inside, 0 where not, in time order; missing values are left out
    nominal : coverage, in (0, 1)
    lags    : order of the overlap

    References
    ----------
    Kupiec (1995), Journal of Derivatives 3; Christoffersen (1998), International Economic Review 39, equations 3 to 6.
    """
    from scipy.stats import chi2

    inside = np.asarray(covered, dtype=float)
    inside = inside[~np.isnan(inside)]
    n, share = len(inside), float(inside.mean()) if len(inside) else np.nan
    reason = too_few(n, lags)
    if reason:
        return CoverageTest(n, share, np.nan, reason=reason)
    if lags:
        null = _simulated(_Share(nominal), n, lags)
        below, equal = (null < share - 1e-12).mean(), (np.abs(null - share) <= 1e-12).mean()
        # No simulated share that far out says less than one in so many, not never.
        return CoverageTest(n, share, float(2 * max(min(below + equal / 2, 1 - below - equal / 2), 1 / len(null))))
    frequency, timing = kupiec(inside, nominal), christoffersen(inside)
    p_value, independence, joint = chi2.sf([frequency, timing, frequency + timing], [1, 1, 2]).tolist()
    return CoverageTest(n, share, p_value, independence, joint)


def kupiec(inside: Array, nominal: float) -> float:
    """Likelihood ratio of the frequency; (n,) of 0 and 1 -> chi-squared with one degree."""
    hits, n = inside.sum(), len(inside)
    return 2 * (_log_likelihood(hits, n - hits, hits / n) - _log_likelihood(hits, n - hits, nominal))


def christoffersen(inside: Array) -> float:
    """Likelihood ratio of a first-order Markov chain against independence; (n,) of 0 and 1 -> chi-squared with one."""
    before, after = inside[:-1], inside[1:]
    alone = _log_likelihood(after.sum(), (1 - after).sum(), after.mean())
    chain = 0.0
    for state in (0, 1):
        following = after[before == state]
        if len(following):
            chain += _log_likelihood(following.sum(), (1 - following).sum(), following.mean())
    return max(2 * (chain - alone), 0.0)


def _log_likelihood(hits: float, misses: float, probability: float) -> float:
    from scipy.special import xlog1py, xlogy

    return float(xlogy(hits, probability) + xlog1py(misses, -probability))


@dataclass(frozen=True, slots=True)
class PITTest:
    """Test that probability integral transforms are those of a right forecast.

    statistic : likelihood ratio (Berkowitz) or distance (Cramer-von Mises). Missing if not computed
    p_value   : missing if not computed
    n         : cells
    version   : "berkowitz" without overlap, "cramer_von_mises" with it
    reason    : why it was not computed, else empty
    """

    statistic: float
    p_value: float
    n: int
    version: str
    reason: str = ""


def pit_test(pit: ArrayLike, *, lags: int) -> PITTest:
    """Berkowitz's test of probability integral transforms; with overlap their distance from uniform.

    Without overlap z, the normal quantile of the PIT, is white noise with mean 0 and variance 1; against it stands
    z(t) = c + r z(t-1) + s e(t), by a likelihood ratio with three degrees. With overlap z is correlated although the
    forecast is right, and only the distribution is tested, against simulated forecasts that are right, see above:

        W = 1 / 12n + sum_i (PIT_(i) - (2i - 1) / 2n)^2

    Parameters
    ----------
    pit  : (n,) in [0, 1], in time order; missing values are left out. Berkowitz's test moves those closer to 0 or 1
           than half a draw of a thousand there
    lags : order of the overlap

    References
    ----------
    Berkowitz (2001), JBES 19, equation 9; Cramer (1928) and von Mises; Knueppel (2015), JBES 33, on why overlap matters.
    """
    values = np.asarray(pit, dtype=float)
    values = values[~np.isnan(values)]
    n, version = len(values), "cramer_von_mises" if lags else "berkowitz"
    reason = too_few(n, lags)
    if reason:
        return PITTest(np.nan, np.nan, n, version, reason)
    if lags:
        distance = float(cramer_von_mises(values))
        null = _simulated(cramer_von_mises, n, lags)
        return PITTest(distance, float((1 + (null >= distance).sum()) / (1 + len(null))), n, version)
    from scipy.stats import chi2, norm

    statistic = berkowitz(norm.ppf(np.clip(values, _EDGE, 1 - _EDGE)))
    return PITTest(statistic, float(chi2.sf(statistic, 3)), n, version)


def cramer_von_mises(pit: Reals) -> Array:
    """Squared distance of (..., n) numbers from uniform; (...)."""
    n = pit.shape[-1]
    distance: Array = 1 / (12 * n) + ((np.sort(pit, axis=-1) - (2 * np.arange(n) + 1) / (2 * n)) ** 2).sum(axis=-1)
    return distance


@dataclass(frozen=True, slots=True)
class _Share:
    """Share of (..., n) transforms inside the central interval."""

    nominal: float

    def __call__(self, pit: Reals) -> Array:
        share: Array = (np.abs(pit - 0.5) <= self.nominal / 2).mean(axis=-1)
        return share


@lru_cache(maxsize=256)
def _simulated(statistic: Callable[[Reals], Array], n: int, lags: int) -> Array:
    """(R,) of a statistic of n transforms of a right forecast."""
    return np.concatenate([statistic(some) for some in np.array_split(_right_transforms(n, lags), _BATCHES)])


@lru_cache(maxsize=1)
def _right_transforms(n: int, lags: int) -> NDArray[np.float32]:
    """(R, n) transforms of a right forecast whose errors are sums of lags + 1 shocks."""
    from scipy.special import ndtr

    rng, h = np.random.default_rng(0), lags + 1
    pit = np.empty((_REPLICATIONS, n), dtype=np.float32)
    for some in np.array_split(pit, _BATCHES):
        walk = rng.standard_normal((len(some), n + h)).cumsum(axis=1)
        some[:] = ndtr((walk[:, h:] - walk[:, :-h]) / np.sqrt(h))
    return pit


def berkowitz(z: Array) -> float:
    """Likelihood ratio of z(t) = c + r z(t-1) + s e(t) against white noise of variance 1, given the first; (n,)."""
    X = np.column_stack([np.ones(len(z) - 1), z[:-1]])
    residuals = z[1:] - X @ np.linalg.lstsq(X, z[1:])[0]
    variance = residuals @ residuals / len(residuals)
    return float(z[1:] @ z[1:] - len(residuals) * (1 + np.log(variance)))
