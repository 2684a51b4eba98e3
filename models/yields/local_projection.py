"""Local projections: the path of a yield after reserves moved, without a model of how they got there.

For each horizon h one regression on the same history,

    y(t+h) = b(h) x(t) + c(h) + sum_{l=1..p+1} [ g(h,l) y(t-l) + d(h,l) x(t-l) + k(h,l)' z(t-l) ] + e(t,h)

and b(0), ..., b(H) is the impulse response. x stands before y within the week, so b(0) is the
association of the two surprises of a week, not the effect of one on the other.

Lag p+1 is the augmentation: it makes what is left of x(t) serially uncorrelated, so that
heteroskedasticity-robust errors are valid although e(t,h) overlaps with its neighbours, uniformly
over roots up to one and over long horizons, where kernel-based errors are too small. In simulated samples
with roots of 0.98 the 95 percent band covers the truth in 93 percent of 850 weeks (26 horizons) and in
92 percent of 400 weeks (12 horizons): the last horizons of a short sample deserve a wider band.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.answers.impulse_response import ImpulseResponse, ResponseQuestion
from forecast.data.vintages import Panel
from forecast.errors import RankDeficientError, ShortHistoryError, UsageError
from forecast.features.feature_set import FEATURES, CalendarEffect, Feature, FeatureSet, find_feature
from forecast.numerics.least_squares import orthonormal_basis
from forecast.units import UNITS, Unit, factor

type Array = NDArray[np.float64]

# Bands are normal; with fewer degrees of freedom they would be too narrow to be called so.
_DEGREES_OF_FREEDOM = 30
# A week's USD 1 bn is noise and a percent of bank assets is not: sizes a reader can picture.
_SHOCK_SIZE = {"usd_bn": 100.0}
# Features whose percentage point is a hundredth of bank assets, so that it has a size in dollars.
_OF_BANK_ASSETS = {"reserve_ratio", "reserve_ratio_known", "reserve_ratio_change"}


def local_projection(panel: Panel, options: ResponseQuestion) -> ImpulseResponse:
    """Lag-augmented impulse response of one feature to another.

    Parameters
    ----------
    panel   : cut at the origin
    options : names of features; ``treasury_10y`` means ``yield_10y``, likewise for other maturities

    Returns
    -------
    Rates in bp, others in the feature's own unit, after a rise of one percentage point (features in percent),
    USD 100 bn (money) or one unit (others)

    Raises
    ------
    UnknownNameError   : no such feature; names the closest
    UsageError         : a name twice, a calendar effect, or a horizon that the sample does not reach
    MissingSeriesError : nothing of the features was released yet
    ShortHistoryError  : fewer weeks than regressors and 30 degrees of freedom at h = 0
    RankDeficientError : a feature does not move, or moves with another; names them

    References
    ----------
    Jordà (2005), American Economic Review 95(1); Montiel Olea and Plagborg-Møller (2021), Econometrica 89(4),
    equation 3 and section 3.
    """
    question = in_features(options)
    names = (question.shock, question.response, *question.controls)
    _refuse_twice(names)
    shock, response, *_ = (_released(name, panel) for name in names)
    sample = FeatureSet(names).build(panel).targets
    regressors, labels = lag_augmented(sample, question.lags)
    leads = lead_matrix(sample[question.response].to_numpy(dtype=float), question.horizon)
    _refuse_short(_usable(regressors, leads).sum(axis=0), len(labels), question)
    size, shock_unit, unit, scale = _scale(shock.unit, response.unit)
    estimate, standard_error, n = projections(regressors, leads, labels)
    known = sample[[question.shock, question.response]].dropna().index
    return ImpulseResponse(
        question=question,
        size=size,
        shock_unit=shock_unit,
        unit=unit,
        dollars=_dollars(panel, question.shock, size),
        estimate=scale * estimate,
        standard_error=scale * standard_error,
        n=n,
        first=known[0],
        last=known[-1],
    )


def in_features(question: ResponseQuestion) -> ResponseQuestion:
    """The question with ``treasury_<maturity>`` read as the feature ``yield_<maturity>``."""
    return replace(
        question,
        shock=_feature_name(question.shock),
        response=_feature_name(question.response),
        controls=tuple(_feature_name(name) for name in question.controls),
    )


def _feature_name(name: str) -> str:
    of_maturity = f"yield_{name.removeprefix('treasury_')}"
    return of_maturity if name.startswith("treasury_") and name not in FEATURES and of_maturity in FEATURES else name


def _refuse_twice(names: Sequence[str]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UsageError(f"{', '.join(twice)} stands twice among shock, response and controls; name each once.")


def _released(name: str, panel: Panel) -> Feature:
    """A feature that moves and has a value by now."""
    item = find_feature(name)
    if isinstance(item, CalendarEffect):
        raise UsageError(f"{name} is fixed by the calendar: nobody is surprised by it. Name a feature that moves.")
    item(panel)  # raises MissingSeriesError, which a FeatureSet would turn into an empty column
    return item


def _refuse_short(n: NDArray[np.int64], k: int, question: ResponseQuestion) -> None:
    needed = k + _DEGREES_OF_FREEDOM
    if n[0] < needed:
        raise ShortHistoryError(
            f"{n[0]} weeks have {question.shock}, {question.response} and {question.lags + 1} weeks before them; "
            f"{k} regressors need {needed}. Use fewer lags or longer series."
        )
    if n[-1] < needed:
        reach = int(np.flatnonzero(n >= needed)[-1])
        raise UsageError(
            f"horizon {question.horizon} leaves {n[-1]} weeks and {k} regressors need {needed}; "
            f"this sample reaches horizon {reach}. Ask for a horizon of at most {reach} weeks, or fewer lags."
        )


def _scale(shock: Unit, response: Unit) -> tuple[float, Unit, Unit, float]:
    """Size and unit of the shock, unit of the response, and what turns a raw coefficient into them."""
    size = _SHOCK_SIZE.get(shock.name, 1.0)
    shock_unit = UNITS["pp"] if shock.name == "percent" else shock
    unit = UNITS["bp"] if response.dimension == "rate" else response
    return size, shock_unit, unit, size * factor(response, unit)


def _dollars(panel: Panel, shock: str, size: float) -> float | None:
    """USD bn that ``size`` percent of the latest bank assets are."""
    return float(size / 100 * panel.series("bank_assets").iloc[-1]) if shock in _OF_BANK_ASSETS else None


# --------------------------------------------------------------------------- arrays


def lag_augmented(sample: pd.DataFrame, lags: int) -> tuple[Array, list[str]]:
    """x(t), a constant, and lags 1 to ``lags`` + 1 of every column; the first column of ``sample`` is x.

    Returns
    -------
    (T, 2 + K (lags + 1)) regressors, missing in the first weeks and around gaps; their names
    """
    values = sample.to_numpy(dtype=float)
    columns, names = [values[:, 0], np.ones(len(values))], [str(sample.columns[0]), "constant"]
    for lag in range(1, lags + 2):
        shifted = np.full_like(values, np.nan)
        shifted[lag:] = values[:-lag]
        columns += list(shifted.T)
        names += [f"{name}(t-{lag})" for name in sample.columns]
    return np.column_stack(columns), names


def lead_matrix(y: Array, horizon: int) -> Array:
    """(T, H+1): y(t), y(t+1), ..., y(t+H); missing past the end."""
    padded = np.concatenate([y, np.full(horizon, np.nan)])
    return np.lib.stride_tricks.sliding_window_view(padded, horizon + 1)


def _usable(regressors: Array, leads: Array) -> NDArray[np.bool_]:
    known: NDArray[np.bool_] = np.isfinite(regressors).all(axis=1)[:, None] & np.isfinite(leads)
    return known


def projections(regressors: Array, leads: Array, names: Sequence[str]) -> tuple[Array, Array, NDArray[np.int64]]:
    """Coefficient on the first regressor at every horizon, with Eicker-Huber-White (HC1) standard errors.

    All horizons share X = Q R. With M(h) the rows that horizon h can use,

        b(h) = w(h)' y(h),  w(h) = M Q G^-1 R'^-1 a,  G = Q' M(h) Q,  V(h) = n / (n - k) sum_t w(t)^2 e(t)^2

    where a picks the first coefficient. G is close to the identity, so nothing is squared that is ill-conditioned.

    Parameters
    ----------
    regressors : (T, k); rows with a missing value are left out
    leads      : (T, H+1) responses; missing values are left out, horizon by horizon
    names      : of the regressors, for errors

    Returns
    -------
    estimate, standard error, rows used: (H+1,) each, units of a response per unit of the first regressor

    Raises
    ------
    ShortHistoryError  : fewer rows than regressors
    RankDeficientError : some regressors are combinations of others, over all rows or over those of one horizon
    """
    rows = np.isfinite(regressors).all(axis=1)
    basis = orthonormal_basis(regressors[rows], names)
    Q, k = basis.Q, basis.Q.shape[1]
    used = np.isfinite(leads[rows])  # (n, H+1)
    Y = np.where(used, leads[rows], 0.0)
    gram = (Q.T[None] * used.T[:, None, :]) @ Q  # (H+1, k, k)
    _refuse_singular(gram, names)
    picked = np.broadcast_to(basis.inverse[0], (used.shape[1], k))
    solved = np.linalg.solve(gram, np.stack([(Q.T @ Y).T, picked], axis=-1))  # (H+1, k, 2)
    residuals = used * (Y - Q @ solved[..., 0].T)
    weights = used * (Q @ solved[..., 1].T)
    n = used.sum(axis=0)
    variance = n / (n - k) * np.sum((weights * residuals) ** 2, axis=0)
    return np.sum(weights * Y, axis=0), np.sqrt(variance), n


def _refuse_singular(gram: Array, names: Sequence[str]) -> None:
    """A regressor that moves only in rows that a long horizon has to drop."""
    smallest = np.linalg.eigvalsh(gram)[:, 0]
    if smallest.min() < 1e-12:
        h = int(np.flatnonzero(smallest < 1e-12)[0])
        raise RankDeficientError(
            f"at horizon {h} and beyond, {names[0]} and its past ({len(names)} regressors) do not vary enough in the "
            "weeks that are left. Ask for a shorter horizon."
        )
