"""Two-stage least squares with one endogenous regressor, and a confidence set that weak instruments cannot fool.

    y = b x + W g + u,    x = Z p + W q + v,    E(Z'u) = E(W'u) = 0

With weak instruments the estimate of b is neither centred nor normal, whatever its standard error says. The
Anderson-Rubin set holds each b0 for which the instruments do not explain y - b0 x:

    AR(b0) = h(b0)' V(b0)^-1 h(b0) <= chi2(q),    h(b0) = h_y - b0 h_x
    V(b0) = V_yy - b0 (V_yx + V_xy) + b0^2 V_xx

where h_y, h_x are the coefficients of the q instruments in regressions of y and x on [Z, W], and V their joint
covariance, robust to heteroskedasticity and autocorrelation. Its coverage does not depend on how strong they are. It may
be unbounded, which says that nothing is known of b on one side or at all, or empty, which says that the
instruments contradict each other.

References
----------
Anderson and Rubin (1949), Annals of Mathematical Statistics 20; Andrews, Stock and Sun (2019), Annual Review of
Economics 11, section 5, for the form with robust errors; Staiger and Stock (1997), Econometrica 65, on F of ten.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from forecast.errors import ModelError
from forecast.numerics.hac import hac_covariance
from forecast.numerics.least_squares import LeastSquares, least_squares

type Array = NDArray[np.float64]

# Below this a first stage identifies nothing that normal intervals could describe.
WEAK = 10.0
# The grid: b0 = centre + scale sinh(u) is even near the centre and goes out by one percent a step from there, to 1e8 scales.
_STEPS = np.linspace(-20, 20, 4_001)


@dataclass(frozen=True, slots=True, eq=False)
class ConfidenceSet:
    """Values that a test does not reject: a union of intervals.

    intervals : (m, 2) ends from low to high, infinite where unbounded; none if every value is rejected
    level     : such as 0.95
    """

    intervals: Array
    level: float

    @property
    def empty(self) -> bool:
        """Whether every value is rejected."""
        return len(self.intervals) == 0

    @property
    def bounded(self) -> bool:
        """Whether both sides end."""
        return bool(np.isfinite(self.intervals).all())

    def holds(self, value: float) -> bool:
        """Whether a value is in the set."""
        return bool(((self.intervals[:, 0] <= value) & (value <= self.intervals[:, 1])).any())

    def __str__(self) -> str:
        if self.empty:
            return "empty: the instruments contradict each other"
        text = " and ".join(f"[{low:.3g}, {high:.3g}]" for low, high in self.intervals)
        return text if self.bounded else f"{text}, unbounded"


@dataclass(frozen=True, slots=True, eq=False)
class Instrumented:
    """Estimate of y = b x + W g + u.

    coefficients : (1 + k,) b, then g
    covariance   : (1 + k, 1 + k), robust
    residuals    : (n,) y - b x - W g, unit of y
    F            : robust Wald statistic of the instruments in the first stage over their number
    anderson_rubin : confidence set of b
    """

    coefficients: Array
    covariance: Array
    residuals: Array
    F: float
    anderson_rubin: ConfidenceSet

    @property
    def identified(self) -> bool:
        """Whether F reaches 10."""
        return self.F >= WEAK


def two_stage_least_squares(
    y: Array, x: Array, W: Array, Z: Array, *, lags: int, names: Sequence[str] | None = None
) -> Instrumented:
    """Two-stage least squares with robust errors, first-stage F and the 95 percent Anderson-Rubin set.

    Parameters
    ----------
    y     : (n,)
    x     : (n,) the endogenous regressor
    W     : (n, k) exogenous regressors, a constant among them
    Z     : (n, q) instruments that are not regressors
    lags  : periods over which errors may be correlated
    names : of [x, W, Z], for errors

    Raises
    ------
    ModelError         : no instrument, or a value is not finite
    ShortHistoryError  : fewer rows than columns
    RankDeficientError : a regressor or an instrument is a combination of others; names it
    """
    if Z.ndim != 2 or Z.shape[1] == 0:
        raise ModelError("no instrument: give at least one column that is not a regressor.")
    k, q = W.shape[1], Z.shape[1]
    names = list(names or [f"column {j}" for j in range(1 + k + q)])
    exogenous = least_squares(np.column_stack([Z, W]), np.column_stack([y, x]), names=[*names[1 + k :], *names[1:-q]])
    fitted = np.column_stack([x - exogenous.residuals[:, 1], W])
    second = least_squares(fitted, y, names=names[: 1 + k])
    residuals = y - np.column_stack([x, W]) @ second.coefficients
    covariance = hac_covariance(replace(second, residuals=residuals), lags)
    reduced = reduced_form(exogenous, q, lags)
    centre, spread = float(second.coefficients[0]), float(np.sqrt(max(covariance[0, 0], np.finfo(float).tiny)))
    accepted = anderson_rubin_set(*reduced, centre=centre, scale=4 * spread)
    h, V = reduced[0][:, 1], reduced[1][2]
    return Instrumented(second.coefficients, covariance, residuals, float(h @ np.linalg.solve(V, h)) / q, accepted)


def reduced_form(fit: LeastSquares, q: int, lags: int) -> tuple[Array, Array]:
    """h (q, 2) of y and x, and (3, q, q) V_yy, V_yx + V_xy, V_xx."""
    # The covariance of a sum holds the cross terms.
    both = np.column_stack([fit.residuals, fit.residuals.sum(axis=1)])
    yy, xx, total = hac_covariance(replace(fit, residuals=both), lags)[:, :q, :q]
    return fit.coefficients[:q], np.stack([yy, total - yy - xx, xx])


def anderson_rubin(b0: Array, h: Array, V: Array) -> Array:
    """AR statistics at some values of b, chi-square with q degrees of freedom at the true one.

    Parameters
    ----------
    b0 : (m,)
    h  : (q, 2) reduced-form coefficients of y and x
    V  : (3, q, q) V_yy, V_yx + V_xy, V_xx
    """
    gap = h[:, 0] - b0[:, None] * h[:, 1]
    covariance = V[0] - b0[:, None, None] * V[1] + b0[:, None, None] ** 2 * V[2]
    return np.asarray(np.sum(gap * np.linalg.solve(covariance, gap[:, :, None])[:, :, 0], axis=1))


def anderson_rubin_set(h: Array, V: Array, *, centre: float, scale: float, level: float = 0.95) -> ConfidenceSet:
    """Values of b that the Anderson-Rubin test does not reject, by a grid over nearly the whole line.

        b0 = centre + scale sinh(u),    u even from -20 to 20

    Ends are interpolated between neighbours on the grid. As b0 grows without bound AR tends to q times the first
    stage's F: the set is unbounded just where the instruments may be irrelevant.

    Parameters
    ----------
    centre, scale : where the grid is dense, unit of b
    """
    from scipy.stats import chi2

    critical = float(chi2.ppf(level, len(h)))
    grid = centre + scale * np.sinh(_STEPS)
    above = anderson_rubin(grid, h, V) - critical
    inside = above <= 0
    far = float(h[:, 1] @ np.linalg.solve(V[2], h[:, 1])) <= critical
    edges = np.flatnonzero(inside[1:] != inside[:-1])
    share = above[edges] / (above[edges] - above[edges + 1])
    ends = centre + scale * np.sinh(_STEPS[edges] + share * (_STEPS[1] - _STEPS[0]))
    # The ends of the grid are so far out that what happens beyond them is what happens at infinity.
    low, high = ([-np.inf] if far and inside[0] else []), ([np.inf] if far and inside[-1] else [])
    low += [grid[0]] if inside[0] and not far else []
    high += [grid[-1]] if inside[-1] and not far else []
    return ConfidenceSet(np.array([*low, *ends, *high]).reshape(-1, 2), level)
