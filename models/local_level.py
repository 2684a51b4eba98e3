"""Local level with regressors: a slowly moving level, seen through noise.

    y(t)  = mu(t) + beta' x(t) + e(t),     e ~ (0, s2 (1 - theta))
    mu(t) = mu(t-1) + n(t),                n ~ (0, s2 theta)

theta = 1 is a random walk with regression effects, theta near 0 a constant with noise. The differences of y
have covariance s2 [theta I + (1 - theta) A] with A = tridiag(-1, 2, -1), whose eigenvectors are sines
whatever theta is. One discrete sine transform therefore turns the exact diffuse likelihood into a sum over
weeks, and the estimate into a search over one number in [0, 1]: no optimiser that can fail to converge,
and a stretch without any variance is no special case.

The numbers are those of ``statsmodels.tsa.UnobservedComponents(y, "llevel", exog=x, mle_regression=False)``;
the tests hold them together. Its likelihood search takes 50 to 100 ms a target, this one about 3.

References
----------
Harvey (1989), Forecasting, Structural Time Series Models and the Kalman Filter, section 4.3; Anderson (1971), The
Statistical Analysis of Time Series, section 6.5, for the eigenvectors.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.features.feature_set import Design
from forecast.predictive import PredictiveDistribution
from forecast.scenario import Scenario

from .autoregression import draw_shocks
from .ragged_edge import TargetHistory, feature_paths, needs_scenario, target_history
from .regression import independent_columns
from .residual_rows import MINIMUM_ROWS, require_rows

type Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Level:
    """One estimated local level, after its last observation.

    theta  : share of the level's innovations in s2, between 0 and 1
    scale  : s, unit of y; zero where y never moved but by its regressors
    beta   : (F,) effects, unit of y per unit of x; zero for columns the sample cannot tell apart
    state  : expected level of the next week, unit of y
    spread : variance of the next week's level around it, in units of s2
    """

    theta: float
    scale: float
    beta: Array
    state: float
    spread: float


@dataclass(frozen=True, slots=True)
class LocalLevel:
    """Local level with regressors, target by target, with joint innovations.

    The one-week-ahead innovations of the filter carry both the uncertainty about today's level and all
    later disturbances. Forecasts draw whole past weeks of standardised innovations (mean zero, variance
    one), so first and second moments along the path are those of the state-space model, tails are
    those of history, and targets depend on each other within a week as their innovations did. The levels are not modelled
    jointly: no target's level learns from another's. theta, s2 and beta are taken as known.

    Weeks missing inside a target's history are interpolated linearly, which understates its noise there.

    features : regressors x(t), each in its unit; what the calendar does not fix needs a scenario
    """

    features: tuple[str, ...] = ("quarter_end_week", "month_end_week", "tax_week")
    targets: tuple[str, ...] = ()
    name: ClassVar[str] = "local_level"
    sampled: ClassVar[bool] = False

    @property
    def needs(self) -> tuple[str, ...]:
        """Features that the calendar does not fix."""
        return needs_scenario(self.features)

    def fit(self, design: Design, *, rng: np.random.Generator) -> FittedLocalLevel:
        """Maximum likelihood.

        Raises
        ------
        ShortHistoryError : fewer than 22 weeks, and one a regressor, in which a target and all regressors are known
        """
        history = target_history(design)
        T = len(history.values)
        regressors = design.features[list(self.features)]
        x = regressors.to_numpy(dtype=float)[:T]
        innovations, levels, ends = np.full_like(history.values, np.nan), [], []
        for k, name in enumerate(history.targets):
            first, end = _known_stretch(np.column_stack([history.values[:, k], x]))
            what, needed = "weeks with all regressors known", MINIMUM_ROWS + 2 + x.shape[1]
            require_rows(np.array([end - first]), (name,), what=what, needed=needed)
            known = _interpolated(np.column_stack([history.values[first:end, k], x[first:end]]))
            level, innovations[first + 1 : end, k] = estimate_level(known[:, 0], known[:, 1:])
            levels.append(level)
            ends.append(end)
        return FittedLocalLevel(history, tuple(levels), tuple(ends), innovations, regressors.iloc[min(ends) :].copy())


@dataclass(frozen=True, slots=True, eq=False)
class FittedLocalLevel:
    """Estimated local levels.

    history     : targets up to the origin
    levels      : (K,) one a target, as after its last week used
    ends        : (K,) row after the last in which the target and all regressors are known
    innovations : (T, K) standardised, by week; missing outside the weeks used
    known       : (P, F) regressors from the first of ``ends`` on, missing where unknown
    """

    history: TargetHistory
    levels: tuple[Level, ...]
    ends: tuple[int, ...]
    innovations: Array
    known: pd.DataFrame

    def predict(
        self, periods: pd.DatetimeIndex, *, scenario: Scenario | None = None, n_draws: int, rng: np.random.Generator
    ) -> PredictiveDistribution:
        """Filter what was published since, then draw innovations.

        Raises
        ------
        NeedsScenarioError : the future of a regressor is unknown
        """
        H, first = self.history.weeks_ahead(periods), min(self.ends)
        weeks = pd.DatetimeIndex(self.history.periods[first:].append(periods))
        regressors = feature_paths(self.known, weeks, scenario, n_draws)
        shocks = draw_shocks(self.innovations, n_draws, len(weeks), rng)
        draws = np.empty((n_draws, H, len(self.levels)))
        for k, (level, end) in enumerate(zip(self.levels, self.ends, strict=True)):
            observed = np.concatenate([self.history.values[end:, k], np.full(H, np.nan)])
            effects = (regressors @ level.beta)[:, end - first :]
            draws[:, :, k] = project(level, observed, effects, shocks[:, end - first :, k])[:, -H:]
        return self.history.distribution(draws, periods)


def _known_stretch(columns: Array) -> tuple[int, int]:
    """First row, and row after the last, between the ends of all columns; (0, 0) if one is never known."""
    known = np.isfinite(columns)
    if not known.any(axis=0).all():
        return 0, 0
    first, end = int(known.argmax(axis=0).max()), len(known) - int(known[::-1].argmax(axis=0).max())
    return (first, end) if first < end else (0, 0)


def _interpolated(columns: Array) -> Array:
    """Missing weeks inside filled on a straight line."""
    return pd.DataFrame(columns).interpolate().to_numpy() if np.isnan(columns).any() else columns


# --------------------------------------------------------------------------- arrays


def estimate_level(y: Array, X: Array) -> tuple[Level, Array]:
    """Maximum of the diffuse likelihood over theta, with s and beta concentrated out.

    Parameters
    ----------
    y : (n,) finite
    X : (n, F) finite; a column that is constant or depends on earlier ones gets no effect

    Returns
    -------
    the level after week n, and (n - 1,) standardised innovations of weeks 2 to n
    """
    rotated, Z, kept, eigenvalues = _rotate(y, X)
    theta = _best_theta(rotated, Z, eigenvalues)
    effects, rss, _ = _weighted_fit(theta, rotated, Z, eigenvalues)
    scale = float(np.sqrt(rss / (len(rotated) - Z.shape[1])))
    beta = np.zeros(X.shape[1])
    beta[kept] = effects
    if scale <= 1e-12 * np.abs(y).max():  # nothing but rounding moves it
        scale, theta = 0.0, 1.0
    return filter_level(y - X @ beta, theta, scale, beta)


def _rotate(y: Array, X: Array) -> tuple[Array, Array, NDArray[np.intp], Array]:
    """Differences of y (m,) and X (m, f) in the basis in which weeks are independent, and the (m,) eigenvalues of A."""
    from scipy.fft import dst

    differences = np.diff(X, axis=0)
    kept = independent_columns(differences)
    m = len(y) - 1
    eigenvalues = 2 - 2 * np.cos(np.pi * np.arange(1, m + 1) / (m + 1))
    rotated: Array = dst(np.diff(y), type=1, norm="ortho")
    Z: Array = dst(differences[:, kept], type=1, norm="ortho", axis=0) if len(kept) else np.empty((m, 0))
    return rotated, Z, kept, eigenvalues


def _weighted_fit(theta: float, z: Array, Z: Array, eigenvalues: Array) -> tuple[Array, float, float]:
    """Generalised least squares at one theta: effects (f,), weighted sum of squares, minus twice the log likelihood."""
    variance = theta + (1 - theta) * eigenvalues
    root = 1 / np.sqrt(variance)
    length = np.sqrt(np.sum((Z * root[:, None]) ** 2, axis=0))
    Q, R = np.linalg.qr(Z * root[:, None] / length)
    scaled = z * root
    along = Q.T @ scaled
    rss = float(np.sum((scaled - Q @ along) ** 2))
    determinant = 2 * float(np.sum(np.log(np.abs(np.diag(R)) * length)))
    deviance = (len(z) - Z.shape[1]) * np.log(max(rss, np.finfo(float).tiny)) + np.sum(np.log(variance)) + determinant
    return np.linalg.solve(R, along) / length, rss, float(deviance)


def _best_theta(z: Array, Z: Array, eigenvalues: Array) -> float:
    """Maximum likelihood over theta = q / (1 + q), q the variance of the level's innovations over that of the noise."""
    from scipy.optimize import minimize_scalar

    def theta(log_q: float) -> float:
        return float(1 / (1 + 10.0**-log_q))

    def deviance(log_q: float) -> float:
        return _weighted_fit(theta(log_q), z, Z, eigenvalues)[2]

    # A grid first: the likelihood can have two maxima, one near a constant level.
    grid = np.arange(-6.0, 4.5, 0.5)
    best = grid[int(np.argmin([deviance(log_q) for log_q in grid]))]
    return theta(minimize_scalar(deviance, bounds=(best - 0.5, best + 0.5), options={"xatol": 1e-4}).x)


def filter_level(r: Array, theta: float, scale: float, beta: Array) -> tuple[Level, Array]:
    """Kalman filter from a diffuse start, in units of s2.

        F(t) = P(t) + 1 - theta,   K(t) = P(t) / F(t),   P(t+1) = (1 - K(t)) P(t) + theta

    Parameters
    ----------
    r : (n,) y less the effects of regressors
    """
    state, spread = float(r[0]), 1.0
    innovations = np.empty(len(r) - 1)
    for t, value in enumerate(r[1:].tolist()):
        variance = spread + 1 - theta
        error = value - state
        innovations[t] = error / variance**0.5
        state += spread / variance * error
        spread = (1 - theta) / variance * spread + theta
    centred = innovations - innovations.mean()
    standardised = centred / centred.std() if scale > 0 else np.zeros_like(innovations)
    return Level(theta, scale, beta, state, spread), standardised


def project(level: Level, observed: Array, effects: Array, shocks: Array) -> Array:
    """Paths of y from the week after the filter's last.

    Parameters
    ----------
    observed : (W,) y where published, missing where to be drawn
    effects  : (D or 1, W) of regressors, unit of y
    shocks   : (D, W) standardised innovations

    Returns
    -------
    (D, W) unit of y
    """
    state, spread = np.full(len(shocks), level.state), level.spread
    paths = np.empty(shocks.shape)
    for w, published in enumerate(observed):
        variance = spread + 1 - level.theta
        expected = state + effects[:, w]
        drawn = expected + level.scale * variance**0.5 * shocks[:, w]
        paths[:, w] = drawn if np.isnan(published) else published
        state = state + spread / variance * (paths[:, w] - expected)
        spread = (1 - level.theta) / variance * spread + level.theta
    return paths
