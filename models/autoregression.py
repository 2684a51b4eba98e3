"""Autoregressions by least squares, target by target, with joint residuals.

    y(t) = c + phi_1 y(t-1) + ... + phi_p y(t-p) + beta' x(t) + e(t)

Forecasts iterate the equation forward and draw whole past weeks of residuals, so that targets stay
dependent within a week. Nothing is restricted: a root outside the unit circle gives paths that explode as
the estimate says, and paths that overflow are refused as not finite. Coefficients are taken as known; residuals are
scaled by sqrt(n / (n - k)) for having been fitted, which at weekly sample sizes is most of the
difference. Least squares biases persistence downwards in short samples (Kendall 1954); this is left as it is.

References
----------
Kendall (1954), Biometrika 41; Pascual, Romo and Ruiz (2004), Journal of Time Series Analysis 25, on bootstrap forecasts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.errors import ShortHistoryError
from forecast.features.feature_set import Design
from forecast.predictive import PredictiveDistribution
from forecast.scenario import Scenario

from .ragged_edge import TargetHistory, carried_forward, completed_paths, needs_scenario, target_history
from .regression import regress
from .residual_rows import MINIMUM_ROWS, draw_rows

type Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class AR:
    """Each target on its own last weeks.

    lags : p, weeks
    """

    lags: int = 4
    targets: tuple[str, ...] = ()
    name: ClassVar[str] = "ar"
    features: ClassVar[tuple[str, ...]] = ()
    needs: ClassVar[tuple[str, ...]] = ()
    sampled: ClassVar[bool] = False

    def __post_init__(self) -> None:
        _require_lags(self.lags)

    def fit(self, design: Design, *, rng: np.random.Generator) -> FittedAutoregression:
        """Least squares on complete rows. Raises ShortHistoryError where they are too few."""
        return _fit(design, self.lags, ())


@dataclass(frozen=True, slots=True)
class ARX:
    """Each target on its own last weeks and on regressors of the same week.

    The future of calendar effects is known. That of other features, from the first week in which
    they are unpublished, must come with a scenario.

    lags     : p, weeks
    features : regressors x(t), each in its unit
    """

    lags: int = 4
    features: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    name: ClassVar[str] = "arx"
    sampled: ClassVar[bool] = False

    def __post_init__(self) -> None:
        _require_lags(self.lags)

    @property
    def needs(self) -> tuple[str, ...]:
        """Features that the calendar does not fix."""
        return needs_scenario(self.features)

    def fit(self, design: Design, *, rng: np.random.Generator) -> FittedAutoregression:
        """Least squares on complete rows. Raises ShortHistoryError where they are too few."""
        return _fit(design, self.lags, self.features)


def _require_lags(lags: int) -> None:
    if lags < 1:
        raise ValueError(f"lags = {lags}; give at least 1")


@dataclass(frozen=True, slots=True, eq=False)
class FittedAutoregression:
    """Estimated autoregressions.

    history      : targets up to the origin
    coefficients : (1 + p + F, K) constant, lags 1 to p, regressors; zero for a column that the sample cannot tell apart
    residuals    : (T, K) by week, scaled for degrees of freedom; missing where a row is incomplete
    known        : (P, F) regressors from the ragged edge on, missing where unknown
    features     : (F,) their names
    lags         : p
    """

    history: TargetHistory
    coefficients: Array
    residuals: Array
    known: Array
    features: tuple[str, ...]
    lags: int

    def predict(
        self, periods: pd.DatetimeIndex, *, scenario: Scenario | None = None, n_draws: int, rng: np.random.Generator
    ) -> PredictiveDistribution:
        """Iterate forward from each target's last published weeks.

        Raises
        ------
        NeedsScenarioError : the future of a regressor is unknown
        ModelError         : explosive paths that are not finite
        """
        H = self.history.weeks_ahead(periods)
        weeks = self.history.bridged_weeks(periods)
        unknown = np.full((max(len(weeks) - len(self.known), 0), len(self.features)), np.nan)
        known = np.concatenate([self.known[: len(weeks)], unknown])
        regressors = completed_paths(known, self.features, weeks, scenario, n_draws)
        shocks = draw_shocks(self.residuals, n_draws, len(weeks), rng)
        draws = np.empty((n_draws, H, len(self.history.targets)))
        for k, gap in enumerate(self.history.gaps):
            constant, phi, beta = np.split(self.coefficients[:, k], [1, 1 + self.lags])
            impulses = (constant + regressors @ beta + shocks[:, :, k])[:, len(weeks) - H - gap :]
            start = carried_forward(self.history.values[:, k])[-self.lags - gap :][: self.lags]
            draws[:, :, k] = iterate(start, phi, impulses)[:, -H:]
        return self.history.distribution(draws, periods)


def _fit(design: Design, lags: int, features: tuple[str, ...]) -> FittedAutoregression:
    history = target_history(design)
    T, K = history.values.shape
    regressors = design.feature_table.columns(features)
    x = regressors[:T]
    coefficients, residuals = np.empty((1 + lags + len(features), K)), np.full((T, K), np.nan)
    for k, name in enumerate(history.targets):
        X = lagged_columns(history.values[:, k], lags, x)
        rows = np.isfinite(X).all(axis=1) & np.isfinite(history.values[:, k])
        n, columns = int(rows.sum()), X.shape[1]
        if n < columns + MINIMUM_ROWS:
            raise ShortHistoryError(
                f"{name!r} has {n} weeks in which it, its {lags} lags and all regressors are known; "
                f"{columns} coefficients need at least {columns + MINIMUM_ROWS}."
            )
        y = history.values[rows, k]
        coefficients[:, k] = regress(X[rows], y)
        inflation = np.sqrt(n / (n - np.count_nonzero(coefficients[:, k])))
        residuals[rows, k] = (y - X[rows] @ coefficients[:, k]) * inflation
    known = regressors[T - int(history.gaps.max()) :].copy()
    return FittedAutoregression(history, coefficients, residuals, known, features, lags)


# --------------------------------------------------------------------------- arrays


def lagged_columns(y: Array, lags: int, x: Array) -> Array:
    """(T, 1 + p + F) constant, y(t-1), ..., y(t-p), x(t); missing before row p."""
    T = len(y)
    X = np.full((T, 1 + lags + x.shape[1]), np.nan)
    X[:, 0] = 1.0
    for lag in range(1, lags + 1):
        X[lag:, lag] = y[: max(T - lag, 0)]
    X[:, 1 + lags :] = x
    return X


def draw_shocks(errors: Array, n_draws: int, weeks: int, rng: np.random.Generator) -> Array:
    """(n_draws, weeks, K) weeks of past errors (T, K), each drawn whole and independently of the others."""
    K = errors.shape[1]
    rows = draw_rows(np.isfinite(errors), n_draws * weeks, rng)
    return errors[rows, np.arange(K)].reshape(n_draws, weeks, K)


def iterate(start: Array, phi: Array, impulses: Array) -> Array:
    """y(t) = phi' (y(t-1), ..., y(t-p)) + impulse(t).

    Parameters
    ----------
    start    : (p,) the values before, in time order
    phi      : (p,) coefficients of lags 1 to p
    impulses : (D, W) everything else

    Returns
    -------
    (D, W) unit of y; not finite where a path overflows
    """
    p, (D, W) = len(phi), impulses.shape
    path = np.empty((p + W, D))
    path[:p] = start[:, None]
    reverse = phi[::-1]
    with np.errstate(over="ignore", invalid="ignore"):
        for w in range(W):
            path[p + w] = reverse @ path[w : p + w] + impulses[:, w]
    return path[p:].T
