"""Tests of intervals and of whole distributions: of their frequency, their timing and their shape."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from forecast.evaluation.inference import cosine_weights, mean_is_zero, standard_error_of_mean, too_few

type Array = NDArray[np.float64]

# Half a draw of a thousand: an outcome outside all draws says that it was rare, not how rare.
_EDGE = 0.0005


@dataclass(frozen=True, slots=True)
class CoverageTest:
    """Test that outcomes fall into an interval as often as it says, and as if by independent trials.

    n            : cells
    share        : of outcomes inside
    p_value      : of the frequency: Kupiec's without overlap, with it Student's t of the share; missing if not computed
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
    """Kupiec's and Christoffersen's tests of an interval; with overlap a t test of the share.

        LR = 2 (n1 ln(s / c) + n0 ln((1 - s) / (1 - c))),    s = n1 / n, c the nominal coverage

    Both likelihood ratios are compared with chi-squared. With overlap the standard error of the share counts
    overlapping cells for less than they are, as in :func:`forecast.evaluation.inference.diebold_mariano`.

    Parameters
    ----------
    covered : (n,) 1 where the outcome was inside, 0 where not, in time order; missing values are left out
    nominal : coverage, in (0, 1)
    lags    : order of the overlap

    References
    ----------
    Kupiec (1995), Journal of Derivatives 3; Christoffersen (1998), International Economic Review 39, equations 3 to 6.
    """
    from scipy.stats import chi2, t

    inside = np.asarray(covered, dtype=float)
    inside = inside[~np.isnan(inside)]
    n, share = len(inside), float(inside.mean()) if len(inside) else np.nan
    reason = too_few(n, lags)
    if not reason and lags and np.ptp(inside) == 0:
        reason = "every outcome inside, or none" if share else "no outcome inside"
    if reason:
        return CoverageTest(n, share, np.nan, reason=reason)
    if lags:
        error, degrees = standard_error_of_mean(inside, lags)
        return CoverageTest(n, share, 2 * float(t.sf(abs(share - nominal) / error, degrees)))
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

    statistic : likelihood ratio (Berkowitz) or W (moments). Missing if not computed
    p_value   : missing if not computed
    n         : cells
    version   : "berkowitz" without overlap, "moments" with it
    reason    : why it was not computed, else empty
    """

    statistic: float
    p_value: float
    n: int
    version: str
    reason: str = ""


def pit_test(pit: ArrayLike, *, lags: int) -> PITTest:
    """Berkowitz's test of probability integral transforms; with overlap Knueppel's of their moments.

    Without overlap z = the normal quantile of the PIT is white noise with mean 0 and variance 1; against it stands
    z(t) = c + r z(t-1) + s e(t), by a likelihood ratio with three degrees. With overlap z is correlated although the
    forecast is right: only the moments of u = sqrt(12) (PIT - 1/2), which are 0, 1, 0, 9/5, are tested, W of
    :func:`forecast.evaluation.inference.mean_is_zero`; with few cells a step ahead only the first one, two or three.

    Parameters
    ----------
    pit  : (n,) in [0, 1], in time order; missing values are left out. Those closer to 0 or 1 than half a draw of a
           thousand are moved there
    lags : order of the overlap

    References
    ----------
    Berkowitz (2001), JBES 19, equation 9; Knueppel (2015), JBES 33.
    """
    values = np.asarray(pit, dtype=float)
    values = values[~np.isnan(values)]
    n, version = len(values), "moments" if lags else "berkowitz"
    reason = too_few(n, lags) or ("the transform never changes" if np.ptp(values) == 0 else "")
    if reason:
        return PITTest(np.nan, np.nan, n, version, reason)
    if lags:
        u = np.sqrt(12) * (values - 0.5)
        moments = np.column_stack([u, u**2 - 1, u**3, u**4 - 9 / 5])
        count = len(cosine_weights(n, lags))
        return PITTest(*mean_is_zero(moments[:, : min(4, count - 1)], lags), n, version)
    from scipy.stats import chi2, norm

    statistic = berkowitz(norm.ppf(np.clip(values, _EDGE, 1 - _EDGE)))
    return PITTest(statistic, float(chi2.sf(statistic, 3)), n, version)


def berkowitz(z: Array) -> float:
    """Likelihood ratio of z(t) = c + r z(t-1) + s e(t) against white noise of variance 1, given the first; (n,)."""
    X = np.column_stack([np.ones(len(z) - 1), z[:-1]])
    residuals = z[1:] - X @ np.linalg.lstsq(X, z[1:])[0]
    variance = residuals @ residuals / len(residuals)
    return float(z[1:] @ z[1:] - len(residuals) * (1 + np.log(variance)))
