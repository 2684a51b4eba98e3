"""Is one forecast better than another, or was it luck? Equal predictive accuracy, on average and conditionally."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

type Array = NDArray[np.float64]
type Version = Literal["ewc", "hln"]

# Below this the variance of the mean says next to nothing.
MINIMUM_CELLS = 8
CELLS_PER_LAG = 4


@dataclass(frozen=True, slots=True)
class DMResult:
    """Test that two forecasts are equally accurate.

    statistic       : t-like number; negative says the first is better. Missing if not computed
    p_value         : two-sided, from Student's t. Missing if not computed
    mean_difference : first minus second, in the unit of the scores
    standard_error  : of the mean difference, same unit, small-sample factors included
    degrees         : of freedom of Student's t
    n               : pairs of scores
    share_zero      : share of pairs that are exactly equal
    version         : "ewc" or "hln", see :func:`diebold_mariano`
    reason          : why it was not computed, else empty
    """

    statistic: float
    p_value: float
    mean_difference: float
    standard_error: float
    degrees: float
    n: int
    share_zero: float
    version: Version
    reason: str = ""


def diebold_mariano(loss_a: ArrayLike, loss_b: ArrayLike, *, lags: int, classic: bool = False) -> DMResult:
    """Diebold-Mariano test of equal predictive accuracy.

        d(t) = a(t) - b(t),    DM = mean(d) / standard error of mean(d)

    A right forecast h = lags + 1 steps ahead leaves errors that are correlated over h - 1 steps, so the standard error
    must count overlapping cells for less than they are. Two versions:

    "hln" (Harvey, Leybourne and Newbold), exact without overlap, and the classic with it: t with n - 1 degrees and

        V = (g(0) + 2 sum_{k=1}^{lags} g(k)) / n,  g(k) = sum_t d~(t) d~(t-k) / n,  (Bartlett's weights where V <= 0)
        standard error = sqrt(V) / sqrt((n + 1 - 2h + h (h - 1) / n) / n)

    "ewc" (equal-weighted cosines), used where forecasts overlap unless ``classic``: t with B degrees and

        V = mean_{j=1}^{B} L(j)^2 / n,  L(j) = sqrt(2/n) sum_t d(t) cos(pi j (t - 1/2) / n),  B = min(0.4 n^(2/3), n / 2h)

    V is a mean of B squares, and Student's t with B degrees knows how little that is; the flat window's t does not.
    n / 2h is our own bound: beyond it the cosines are faster than the overlap and see too little variance.

    Simulated size at a nominal 10 percent (4,000 replications, absolute errors of right forecasts, standard error 0.5):

        cells a step n / h        4      8     15     25     40    130
        hln, h = 26            21.6   17.3   13.8   11.8   11.6      -
        ewc, h = 26             9.8   11.1   10.7   10.2   11.3      -
        hln, h = 4                -   14.3   12.7   11.8   10.1   10.1
        ewc, h = 4                -    9.8   10.5   10.4    9.5   10.0

    (h = 4 in the column of 40: n / h = 50.) Other losses and a common error of both give ewc 7.5 to 11.3, the lower end
    with fat tails in few cells. Honesty costs power: at n / h = 4 a true difference must be large to be seen at all.

    A constant difference, as on a stretch where a published rate never moves, has no sampling variation to test with:
    the test is refused, not reported as infinitely significant. So it is with 4 or fewer cells a lag. It compares
    forecasts as they were made (Giacomini and White, 2006), so estimated parameters do not matter under a rolling
    window; under an expanding window of nested models it leans to the smaller.

    Parameters
    ----------
    loss_a, loss_b : (n,) scores of the same cells in time order, same unit; pairs with a missing one are left out
    lags           : order of the overlap: how many earlier cells a cell shares weeks with
    classic        : "hln" also where forecasts overlap

    Returns
    -------
    DMResult, with a reason and without statistic if the differences are constant or too few

    References
    ----------
    Diebold and Mariano (1995), JBES 13; Harvey, Leybourne and Newbold (1997), IJF 13, equations 8 and 9; Lazarus, Lewis,
    Stock and Watson (2018), JBES 36 (cosines); Coroneo and Iacone (2020), Journal of Applied Econometrics 35 (fixed
    smoothing in this test).
    """
    a, b = np.asarray(loss_a, dtype=float), np.asarray(loss_b, dtype=float)
    both = ~(np.isnan(a) | np.isnan(b))
    a, b = a[both], b[both]
    d = a - b
    n = len(d)
    version: Version = "hln" if classic or lags == 0 else "ewc"
    mean = float(d.mean()) if n else np.nan
    share_zero = float((d == 0).mean()) if n else np.nan
    reason = cannot_be_tested(d, lags, scale=max(np.abs(a).max(), np.abs(b).max()) if n else 0.0)
    if reason:
        return DMResult(np.nan, np.nan, mean, np.nan, np.nan, n, share_zero, version, reason)
    from scipy.stats import t

    error, degrees = standard_error_of_mean(d, lags, classic=classic)
    statistic = mean / error
    p_value = 2 * float(t.sf(abs(statistic), degrees))
    return DMResult(statistic, p_value, mean, error, degrees, n, share_zero, version)


def standard_error_of_mean(d: Array, lags: int, *, classic: bool = False) -> tuple[float, int]:
    """Standard error of a mean of overlapping numbers and the degrees of freedom of its t, see :func:`diebold_mariano`.

    Parameters
    ----------
    d    : (n,) in time order, n > 1
    lags : order of the overlap
    """
    n = len(d)
    if classic or lags == 0:
        lags = min(lags, n - 1)
        return float(np.sqrt(long_run_variance(d, lags) / n) / small_sample_factor(n, lags + 1)), n - 1
    weights = cosine_weights(n, lags)
    return float(np.sqrt(np.mean((weights @ d) ** 2) / n)), len(weights)


def cosine_weights(n: int, lags: int) -> Array:
    """(B, n) of the cosines L(j) in :func:`diebold_mariano`; at least two of them."""
    count = min(max(min(int(0.4 * n ** (2 / 3)), n // (2 * (lags + 1))), 2), n - 1)
    j = np.arange(1, count + 1)[:, None]
    weights: Array = np.sqrt(2 / n) * np.cos(np.pi * j * (np.arange(n) + 0.5) / n)
    return weights


def long_run_variance(d: Array, lags: int) -> float:
    """Flat window over ``lags`` autocovariances, Bartlett's where that is not positive; (n,) -> unit of d squared."""
    deviations = d - d.mean()
    g = np.array([deviations[k:] @ deviations[: len(d) - k] for k in range(lags + 1)]) / len(d)
    flat = g[0] + 2 * g[1:].sum()
    bartlett = 1 - np.arange(1, lags + 1) / (lags + 1)
    return float(flat if flat > 0 else g[0] + 2 * bartlett @ g[1:])


def small_sample_factor(n: int, h: int) -> float:
    """Harvey, Leybourne and Newbold (1997), equation 8: what the statistic is multiplied with."""
    return float(np.sqrt((n + 1 - 2 * h + h * (h - 1) / n) / n))


@dataclass(frozen=True, slots=True)
class GWResult:
    """Test that the states known at the origin do not tell which of two forecasts will be better.

    statistic    : W, chi-squared without overlap, F with it. Missing if not computed
    p_value      : missing if not computed
    coefficients : (1 + q,) of the constant and the states in the expected loss difference, its unit a unit of the state
    share_first  : share of the cells in which these say that the first forecast will be the better one
    n            : cells
    reason       : why it was not computed, else empty
    """

    statistic: float
    p_value: float
    coefficients: tuple[float, ...]
    share_first: float
    n: int
    reason: str = ""


def giacomini_white(loss_a: ArrayLike, loss_b: ArrayLike, states: ArrayLike, *, lags: int) -> GWResult:
    """Giacomini-White test of equal conditional predictive ability.

        Z(t) = (1, state(t)) d(t),    W = n mean(Z)' S^-1 mean(Z)

    Two forecasts may be equally good on average and still differ when reserves are scarce: then a rule that looks at
    the state and picks one of them is better than both. S is the uncentred covariance of Z without overlap and W is
    chi-squared with 1 + q degrees (it is n times the uncentred R^2 of a regression of 1 on Z). With overlap S is
    estimated by B cosines as in :func:`diebold_mariano` and (B - q) / (B (1 + q)) W is compared with F(1 + q, B - q).

    Simulated size at a nominal 10 percent, one state, the last known loss difference (2,000 replications, standard
    error 0.7): absolute errors of right forecasts 8 to 12 from 50 cells at h = 1 to 520 at h = 26 with 5 or more cells
    a step; squared errors, whose tails are fatter, 8 to 11 from 25 cells a step and 6 to 8 with fewer.

    Parameters
    ----------
    loss_a, loss_b : (n,) scores of the same cells in time order
    states         : (n,) or (n, q) known at the origin of each cell; cells with a missing number are left out
    lags           : order of the overlap

    References
    ----------
    Giacomini and White (2006), Econometrica 74, theorems 1 and 3; Lazarus, Lewis, Stock and Watson (2018), JBES 36.
    """
    d = np.asarray(loss_a, dtype=float) - np.asarray(loss_b, dtype=float)
    z = np.column_stack([np.ones(len(d)), np.asarray(states, dtype=float)])
    known = ~(np.isnan(d) | np.isnan(z).any(axis=1))
    d, z = d[known], z[known]
    n, k = z.shape
    nothing = (np.nan,) * k
    reason = cannot_be_tested(d, lags, scale=float(np.abs(d).max(initial=0.0)))
    if not reason and (np.linalg.matrix_rank(z) < k or len(cosine_weights(n, lags)) < k):
        reason = "the states do not vary, or are too many for the cells"
    if reason:
        return GWResult(np.nan, np.nan, nothing, np.nan, n, reason)
    statistic, p_value = mean_is_zero(d[:, None] * z, lags)
    coefficients = np.linalg.lstsq(z, d)[0]
    return GWResult(statistic, p_value, tuple(coefficients.tolist()), float((z @ coefficients < 0).mean()), n)


def mean_is_zero(z: Array, lags: int) -> tuple[float, float]:
    """W and p-value of the hypothesis that all of (n, k) overlapping columns have mean zero, as in Giacomini-White."""
    from scipy.stats import chi2, f

    n, k = z.shape
    mean = z.mean(axis=0)
    if lags == 0:
        w = n * float(mean @ np.linalg.solve(z.T @ z / n, mean))
        return w, float(chi2.sf(w, k))
    transformed = cosine_weights(n, lags) @ z
    count = len(transformed)
    w = n * float(mean @ np.linalg.solve(transformed.T @ transformed / count, mean))
    return w, float(f.sf(w * (count - k + 1) / (count * k), k, count - k + 1))


def overlap(origins: pd.Series | pd.DatetimeIndex, horizon: int) -> int:
    """How many later origins, at most, lie inside the weeks that an origin's forecast spans.

        ceil(horizon / spacing) - 1 for evenly spaced origins

    Parameters
    ----------
    origins : (n,) rising instants
    horizon : weeks
    """
    # Local days, so that a change to summer time does not make a week longer.
    days = pd.DatetimeIndex(origins).tz_localize(None).normalize().as_unit("s").asi8 // 86_400
    first_outside = np.searchsorted(days, days + 7 * horizon)
    return int((first_outside - 1 - np.arange(len(days))).max(initial=0))


def windows(origins: pd.Series | pd.DatetimeIndex, horizon: int) -> int:
    """How many forecasts span weeks of their own: the first, then each whose origin is not inside the last one taken.

    Weekly origins of two years make a hundred cells at 26 weeks, but only four stretches of 26 weeks that do not overlap:
    what was seen so many times.

    Parameters
    ----------
    origins : (n,) rising instants
    horizon : weeks
    """
    days = pd.DatetimeIndex(origins).tz_localize(None).normalize().as_unit("s").asi8 // 86_400
    following, place, found = np.searchsorted(days, days + 7 * horizon).tolist(), 0, 0
    while place < len(following):
        place, found = following[place], found + 1
    return found


def cannot_be_tested(d: Array, lags: int, *, scale: float) -> str:
    """Why a mean of differences cannot be tested, empty if it can; ``scale`` is the size of what was subtracted."""
    if len(d) >= MINIMUM_CELLS and np.ptp(d) <= 1e-12 * scale:
        return "both scores are always equal" if not d.any() else "the difference never changes"
    return too_few(len(d), lags)


def too_few(n: int, lags: int) -> str:
    """Why so many overlapping cells cannot be tested, empty if they can."""
    if n < MINIMUM_CELLS:
        return f"{n} cells; at least {MINIMUM_CELLS} are needed"
    if n <= CELLS_PER_LAG * lags:
        return f"{n} cells that overlap over {lags}; more than {CELLS_PER_LAG * lags} are needed"
    return ""
