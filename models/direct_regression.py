"""Direct regressions: one for each week ahead, any scikit-learn regressor inside.

    y(T+h) - y(t) = f_h( y(t), its last changes, features as published at T, calendar of week T+h )

with t the target's last published week. Nothing is iterated, so no feature has to be forecast.
Every training row s sees what was published at s: each feature, and the target itself, enters with as many weeks of delay
as it has today, and calendar effects are those of week s+h.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.errors import ModelError, ShortHistoryError
from forecast.features.feature_set import Design
from forecast.predictive import PredictiveDistribution
from forecast.scenario import Scenario

from .ragged_edge import TargetHistory, carried_forward, target_history
from .regression import regress
from .residual_rows import MINIMUM_ROWS, draw_rows, require_rows

type Array = NDArray[np.float64]
type Predictor = Callable[[Array, Array, Array], Array]  # training X (n, p) and y (n,), new X (m, p) -> (m,)

REGRESSORS = ("ridge", "ols", "lasso", "elastic_net", "hist_gradient_boosting", "random_forest")
_BLOCKS = 5


@dataclass(frozen=True, slots=True)
class DirectRegression:
    """A regression for each target and week ahead.

    Errors are out of sample: history is cut into five blocks, each predicted by a fit on the other rows
    except those whose forecast windows overlap the block's. A draw adds a whole row of such
    errors (all weeks ahead, all targets) to the predictions, so paths stay joint; a bias that shows out of sample is
    part of it. Regressors see columns, and the response, divided by their standard deviation, so a penalty
    means the same in any unit.

    regressor  : one of ``REGRESSORS``, or a scikit-learn regressor or pipeline
    features   : features in their units; calendar effects are taken at the week forecast, others as published
    lags       : last published values of the target that are used: its level and lags - 1 changes
    steps      : weeks ahead that are fitted, from 1 on. Weeks between them are interpolated on a straight line
                 (predictions and errors), which understates uncertainty between, not at, the steps.
    difference : forecast the change from the last published value rather than the level; right for persistent
                 series, and the only way in which trees can leave the range that history has seen
    penalty    : of ridge (times n), lasso and elastic net (half each), on standardised columns
    """

    regressor: Any = "ridge"
    features: tuple[str, ...] = ()
    lags: int = 4
    steps: tuple[int, ...] = tuple(range(1, 27))
    difference: bool = True
    penalty: float = 0.01
    targets: tuple[str, ...] = ()
    name: ClassVar[str] = "direct_regression"
    needs: ClassVar[tuple[str, ...]] = ()
    sampled: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if isinstance(self.regressor, str) and self.regressor not in REGRESSORS:
            raise ValueError(f"regressor = {self.regressor!r}; use one of {', '.join(REGRESSORS)}")
        if not self.steps or self.steps[0] != 1 or list(self.steps) != sorted(set(self.steps)):
            raise ValueError(f"steps = {self.steps}; give rising weeks ahead that begin with 1")
        if self.lags < 0 or self.lags + len(self.features) == 0 or self.penalty < 0:
            raise ValueError("lags and penalty must not be negative, and without lags there must be features")

    def fit(self, design: Design, *, rng: np.random.Generator) -> FittedDirectRegression:
        """Fit every target and step whose calendar is known.

        Raises
        ------
        ShortHistoryError : a target has too few complete rows at a step; says which
        ModelError        : a regressor did not converge
        """
        history = target_history(design)
        published, calendar = features_as_published(design, self.features)
        steps = tuple(
            h
            for h in self.steps
            if not calendar.size or np.isfinite(_ahead(calendar, h, len(history.values))[-1]).all()
        )
        predictor = _predictor(self.regressor, self.penalty, rng)
        (T, K), S = history.values.shape, len(steps)
        predictions, errors = np.empty((S, K)), np.full((T, S, K), np.nan)
        for k, gap in enumerate(history.gaps):
            last, columns = target_as_published(history.values[:, k], int(gap), self.lags)
            origin_columns = np.column_stack([columns, published])
            start = last if self.difference else np.zeros(T)
            for i, h in enumerate(steps):
                X = np.column_stack([origin_columns, _ahead(calendar, h, T)])
                y = _ahead(history.values[:, k], h, T) - start
                where = f"{history.targets[k]!r}, {h} weeks ahead"
                change, errors[:, i, k] = cross_fit(X, y, predictor, embargo=h + int(gap), where=where)
                predictions[i, k] = change + start[-1]
        return FittedDirectRegression(history, steps, predictions, errors)


@dataclass(frozen=True, slots=True, eq=False)
class FittedDirectRegression:
    """Predictions at the origin and out-of-sample errors.

    history     : targets up to the origin
    steps       : (S,) weeks ahead that were fitted
    predictions : (S, K) in each target's unit
    errors      : (T, S, K) outcome less prediction by row of the pseudo-origin; missing where unknown
    """

    history: TargetHistory
    steps: tuple[int, ...]
    predictions: Array
    errors: Array

    def predict(
        self, periods: pd.DatetimeIndex, *, scenario: Scenario | None = None, n_draws: int, rng: np.random.Generator
    ) -> PredictiveDistribution:
        """Predictions plus whole rows of errors; a scenario is not used.

        Raises
        ------
        ModelError        : more weeks than were fitted
        ShortHistoryError : too few rows of errors over all these weeks
        """
        H = self.history.weeks_ahead(periods)
        used = 1 + int(np.searchsorted(self.steps, H))
        if used > len(self.steps):
            raise ModelError(
                f"{H} weeks asked for, {max(self.steps, default=0)} fitted. Raise 'steps', or build the design "
                f"further ahead so that calendar effects are known for {H} weeks."
            )
        errors = self.errors[:, :used]
        complete = np.isfinite(errors).all(axis=1)
        require_rows(complete.sum(axis=0), self.history.targets, what=f"rows of errors over {H} weeks")
        rows = draw_rows(complete, n_draws, rng)
        K = len(self.history.targets)
        drawn = self.predictions[:used] + errors[rows[:, None], np.arange(used)[:, None], np.arange(K)]
        return self.history.distribution(between_steps(self.steps[:used], H) @ drawn, periods)


# --------------------------------------------------------------------------- what was published


def features_as_published(design: Design, features: tuple[str, ...]) -> tuple[Array, Array]:
    """Features as they stood at each row, and calendar effects by week.

    Returns
    -------
    (T, F) features other than calendar effects, each delayed by the weeks for which it is unpublished at the
    last row, gaps filled with the value before; and (T + ahead, C) calendar effects
    """
    T, table = len(design.target_table.values), design.feature_table
    calendar = tuple(name for name in features if name in design.known_ahead)
    columns = [np.empty((T, 0))]
    for name in features:
        if name not in design.known_ahead:
            values = table.columns((name,))[:T, 0]
            known = np.isfinite(values)
            late = int(known[::-1].argmax()) if known.any() else 0
            columns.append(_delayed(values, late)[:, None])
    return np.column_stack(columns), table.columns(calendar)


def target_as_published(y: Array, gap: int, lags: int) -> tuple[Array, Array]:
    """The last published value at each row (T,), and (T, lags) that value and the changes before it."""
    values = [_delayed(y, gap + lag) for lag in range(max(lags, 1))]
    changes = [newer - older for newer, older in pairwise(values)]
    return values[0], np.column_stack([values[0], *changes])[:, :lags]


def _delayed(values: Array, weeks: int) -> Array:
    """values(t - weeks) at row t, gaps filled with the value before."""
    return carried_forward(np.concatenate([np.full(weeks, np.nan), values])[: len(values)])


def _ahead(values: Array, h: int, T: int) -> Array:
    """values(t + h) at each row t < T, missing where there is none."""
    later = values[h : T + h]
    return np.concatenate([later, np.full((T - len(later), *values.shape[1:]), np.nan)])


# --------------------------------------------------------------------------- arrays


def cross_fit(X: Array, y: Array, predictor: Predictor, *, embargo: int, where: str = "") -> tuple[float, Array]:
    """Prediction for the last row from all others, and errors of blocks that took no part in the fit.

    Parameters
    ----------
    X       : (T, p), the last row that of the origin
    y       : (T,) missing where the outcome is not known
    embargo : rows on either side of a block whose outcome windows overlap the block's
    where   : target and step, for the error

    Returns
    -------
    prediction, unit of y, and (T,) errors y - prediction, missing where there is none

    Raises
    ------
    ShortHistoryError : fewer than 20 rows lie in blocks that the other rows can predict
    """
    rows = np.flatnonzero(np.isfinite(X).all(axis=1) & np.isfinite(y))
    pairs = blocks(len(rows), embargo, least=max(2 * X.shape[1], 10))
    found = sum(len(inside) for inside, _ in pairs)
    if found < MINIMUM_ROWS:
        raise ShortHistoryError(
            f"{where}: {len(rows)} complete rows leave {found} errors out of sample; {MINIMUM_ROWS} are needed. "
            "Raise minimum_history in the plan, or use fewer features or steps."
        )
    Z, now = standardise(X[rows], X[-1])
    scale = _spread(y[rows]) or 1.0
    response = y[rows] / scale
    errors = np.full(len(y), np.nan)
    for inside, outside in pairs:
        errors[rows[inside]] = scale * (response[inside] - predictor(Z[outside], response[outside], Z[inside]))
    return scale * float(predictor(Z, response, now[None])[0]), errors


def blocks(n: int, embargo: int, *, least: int) -> list[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Rows of five contiguous blocks, each with the rows outside its embargo.

    Blocks with fewer than ``least`` rows outside are left out.
    """
    edges = np.linspace(0, n, _BLOCKS + 1).astype(int)
    every = np.arange(n)
    pairs = [
        (every[a:b], np.concatenate([every[: max(a - embargo, 0)], every[b + embargo :]])) for a, b in pairwise(edges)
    ]
    return [(inside, outside) for inside, outside in pairs if len(outside) >= least]


def standardise(X: Array, now: Array) -> tuple[Array, Array]:
    """Columns less their mean, by their standard deviation; a column that stands still becomes zero."""
    mean, spread = X.mean(axis=0), np.array([_spread(column) for column in X.T])
    factor = np.where(spread > 0, 1 / np.where(spread > 0, spread, 1.0), 0.0)
    return (X - mean) * factor, (now - mean) * factor


def _spread(values: Array) -> float:
    """Standard deviation, zero where only rounding varies."""
    spread = float(values.std())
    return spread if spread > 1e-12 * float(np.abs(values).max()) else 0.0


def between_steps(steps: tuple[int, ...], H: int) -> Array:
    """(H, S) weights that interpolate weeks 1 to H linearly between fitted steps."""
    weeks = np.arange(1, H + 1)
    return np.column_stack([np.interp(weeks, steps, unit) for unit in np.eye(len(steps))])


# --------------------------------------------------------------------------- regressors


def ridge(X: Array, y: Array, new: Array, *, penalty: float) -> Array:
    """Minimise |y - a - X b|^2 / n + penalty |b|^2 and predict ``new``.

    Columns of variance one leave the system a condition of at most 1 + p / penalty, which the penalty is there for.
    """
    mean, level = X.mean(axis=0), y.mean()
    centred = X - mean
    gram = centred.T @ centred / len(y) + penalty * np.eye(X.shape[1])
    slope = np.linalg.solve(gram, centred.T @ (y - level) / len(y))
    prediction: Array = level + (new - mean) @ slope
    return prediction


def ols(X: Array, y: Array, new: Array) -> Array:
    """Least squares with a constant; columns that depend on others are left out."""
    coefficients = regress(np.column_stack([np.ones(len(X)), X]), y)
    prediction: Array = coefficients[0] + new @ coefficients[1:]
    return prediction


def _predictor(regressor: Any, penalty: float, rng: np.random.Generator) -> Predictor:
    if regressor == "ols":
        return ols
    if regressor == "ridge" and penalty > 0:
        return partial(ridge, penalty=penalty)
    if regressor == "ridge":
        return ols
    estimator = _named(regressor, penalty) if isinstance(regressor, str) else regressor
    return partial(_scikit_learn, seeded(estimator, rng))


def _named(regressor: str, penalty: float) -> Any:
    """scikit-learn's regressors, with trees kept small: weekly samples hold few independent windows."""
    from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestRegressor
    from sklearn.linear_model import ElasticNet, Lasso

    makers: dict[str, Callable[[], Any]] = {
        "lasso": lambda: Lasso(alpha=penalty, max_iter=10_000),
        "elastic_net": lambda: ElasticNet(alpha=penalty, l1_ratio=0.5, max_iter=10_000),
        "hist_gradient_boosting": lambda: HistGradientBoostingRegressor(max_depth=3, learning_rate=0.05, max_iter=100),
        "random_forest": lambda: RandomForestRegressor(n_estimators=100, min_samples_leaf=5),
    }
    return makers[regressor]()


def seeded(estimator: Any, rng: np.random.Generator) -> Any:
    """A clone whose every unset ``random_state`` comes from the cell's generator."""
    from sklearn.base import clone

    seed = int(rng.integers(2**31))
    fresh = clone(estimator)
    unset = [key for key, value in fresh.get_params().items() if key.endswith("random_state") and value is None]
    return fresh.set_params(**dict.fromkeys(unset, seed))


def _scikit_learn(estimator: Any, X: Array, y: Array, new: Array) -> Array:
    from sklearn.base import clone
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        try:
            fitted = clone(estimator).fit(X, y)
        except ConvergenceWarning as warning:
            raise ModelError(f"{estimator} did not converge: {warning}") from warning
    return np.asarray(fitted.predict(new), dtype=float)
