"""Surprises of the Treasury's account: supply of reserves that no bank asked for.

    g(t) = c + a_1 g(t-1) + ... + a_p g(t-p) + d' D(t) + sum_{k=1..K} [p_k cos(2 pi k w(t)) + q_k sin(2 pi k w(t))] + u(t)

g is the week average of the Treasury's account (USD bn), D tells weeks with a tax date, a month-end and a quarter-end, w is
the share of the year that is over. What the Treasury takes in beyond lags and season, u, drains reserves one for one and
has nothing to do with what banks want: an instrument for the reserve ratio in the demand for reserves,

    x(t) = m + rho x(t-1) + pi u(t) + q' c(t) + v(t)

whose residual v holds what is left of demand: a regression of the spread on x and v sees v's slope apart from that of x (a
control function). It serves the federal funds rate. Settlements with the Treasury move collateral too, so for repo rates
the surprise is no instrument.

References
----------
Hamilton (1997), American Economic Review 87(1), on forecast errors of the Treasury's balance; Wooldridge (2015), Journal of
Human Resources 50(2), on control functions. Thornton (2001) shows how Hamilton's identification fails outside his sample.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.errors import ModelError, ShortHistoryError, UnitError
from forecast.features.calendar_effects import month_end_week, quarter_end_week, tax_week
from forecast.numerics.hac import hac_covariance
from forecast.numerics.least_squares import LeastSquares, least_squares

# Modules of one package import each other relatively, in folders too: the architecture test asks for it.
from ..autoregression import lagged_columns
from .instrumental_variables import WEAK, Instrumented, two_stage_least_squares

type Array = NDArray[np.float64]

# The week average of the account, which reserves must be measured as too: USD bn.
TREASURY = "tga_level"
# Two years: below that a week of the year has been seen once.
MINIMUM_WEEKS = 104
# Errors of weekly ratios are correlated over about a quarter.
HAC_LAGS = 13
# The account has never held more than 1,900: a median beyond this is in USD mn.
_LARGEST_MEDIAN = 5e3  # USD bn

__all__ = ["TREASURY", "WEAK", "FirstStage", "first_stage", "surprise_slope", "treasury_surprise"]

_SEASON = (tax_week, month_end_week, quarter_end_week)


@dataclass(frozen=True, slots=True, eq=False)
class FirstStage:
    """The reserve ratio on its own past and on the Treasury's surprise.

    residuals   : (T,) v, percentage points of bank assets; missing where a regressor is
    coefficient : pi, percentage points per USD bn; negative where surprises drain reserves
    F           : of pi = 0 by heteroskedasticity and autocorrelation consistent errors; one instrument, so the square of t
    n           : complete weeks
    """

    residuals: Array
    coefficient: float
    F: float
    n: int

    @property
    def identified(self) -> bool:
        """Whether F reaches 10."""
        return self.F >= WEAK


def treasury_surprise(balance: Array, periods: pd.DatetimeIndex, *, lags: int = 4, harmonics: int = 4) -> Array:
    """u: what the Treasury's account did beyond its lags and season, estimated on the rows given.

    Give the rows known at the origin, and no later ones: every coefficient is made of all of them.

    Parameters
    ----------
    balance   : (T,) USD bn, week averages (feature ``tga_level``); missing where unknown
    periods   : (T,) consecutive reserve weeks
    lags      : p, weeks
    harmonics : K, of the year

    Returns
    -------
    (T,) USD bn, positive where the account rose by more than expected; missing where the balance or a lag is

    Raises
    ------
    ModelError         : the weeks are not consecutive, or a balance is infinite
    UnitError          : the balance cannot be in USD bn
    ShortHistoryError  : fewer than 104 weeks in which balance and lags are known
    RankDeficientError : the account stood still
    """
    _refuse(balance, periods)
    X = lagged_columns(balance, lags, _season(periods, harmonics))
    rows = np.isfinite(X).all(axis=1) & np.isfinite(balance)
    n = int(rows.sum())
    if n < MINIMUM_WEEKS:
        raise ShortHistoryError(
            f"{TREASURY!r} has {n} weeks with {lags} lags known, fewer than the {MINIMUM_WEEKS} of two years. "
            "Start its history earlier."
        )
    names = ["constant", *(f"{TREASURY}(t-{lag})" for lag in range(1, lags + 1))]
    names += [item.name for item in _SEASON] + [f"{f} {k}" for k in range(1, harmonics + 1) for f in ("cos", "sin")]
    surprise = np.full(len(balance), np.nan)
    surprise[rows] = least_squares(X[rows], balance[rows], names=names).residuals
    return surprise


def _refuse(balance: Array, periods: pd.DatetimeIndex) -> None:
    if balance.shape != (len(periods),) or np.isinf(balance).any():
        raise ModelError(f"{TREASURY!r} has shape {balance.shape} for {len(periods)} weeks, or is infinite somewhere.")
    if (np.diff(periods.to_numpy()) != np.timedelta64(7, "D")).any():
        raise ModelError(f"weeks of {TREASURY!r} are not consecutive; mark a week that is missing as NaN.")
    known = np.abs(balance[np.isfinite(balance)])
    if known.size and float(np.median(known)) > _LARGEST_MEDIAN:
        raise UnitError(
            f"the median of {TREASURY!r} is {np.median(known):g}: not USD bn. Is it in USD mn? Divide by 1000."
        )


def _season(periods: pd.DatetimeIndex, harmonics: int) -> Array:
    """(T, 3 + 2K) tax, month-end and quarter-end weeks, then cosines and sines of the year."""
    effects = [item(periods).to_numpy(dtype=float) for item in _SEASON]
    angle = 2 * np.pi * periods.day_of_year.to_numpy() / 365.25
    waves = [wave(k * angle) for k in range(1, harmonics + 1) for wave in (np.cos, np.sin)]
    return np.column_stack([*effects, *waves])


def first_stage(ratio: Array, surprise: Array, controls: Array | None = None, *, lags: int = 1) -> FirstStage:
    """Residuals of the reserve ratio for a control function, and how strong the instrument is.

    Parameters
    ----------
    ratio    : (T,) percent of bank assets, consecutive weeks, missing where unknown
    surprise : (T,) USD bn, as :func:`treasury_surprise`
    controls : (T, C) other regressors of the demand curve, such as calendar effects
    lags     : of the ratio, weeks

    Raises
    ------
    ModelError         : shapes do not agree
    ShortHistoryError  : fewer than 52 complete weeks
    RankDeficientError : the ratio stands still or a control is a combination of others; names it
    """
    others = np.empty((len(ratio), 0)) if controls is None else controls
    if not len(ratio) == len(surprise) == len(others):
        raise ModelError(f"{len(ratio)} weeks of ratio, {len(surprise)} of surprise, {len(others)} of controls.")
    X = lagged_columns(ratio, lags, np.column_stack([surprise, others]))
    rows = np.isfinite(X).all(axis=1) & np.isfinite(ratio)
    n = int(rows.sum())
    _require(n, "ratio, lags and surprise")
    names = ["constant", *(f"ratio(t-{lag})" for lag in range(1, lags + 1)), "surprise"]
    names += [f"control {j}" for j in range(others.shape[1])]
    fit = least_squares(X[rows], ratio[rows], names=names)
    residuals = np.full(len(ratio), np.nan)
    residuals[rows] = fit.residuals
    return FirstStage(residuals, float(fit.coefficients[1 + lags]), _f_of_one(fit, 1 + lags), n)


def surprise_slope(ratio: Array, spread: Array, surprise: Array, controls: Array | None = None) -> Instrumented:
    """Slope of the demand curve where the Treasury's surprise moves reserves within the week.

        s(t) = a + b x(t) + rho x(t-1) + phi s(t-1) + q' c(t) + e(t),    x(t) instrumented by u(t)

    b is what the part of this week's change of reserves that the Treasury decided did to the spread in the same week. The
    first coefficient and the Anderson-Rubin set are b, bp per percentage point of bank assets.

    Parameters
    ----------
    ratio, spread : (T,) percent of bank assets and bp, consecutive weeks, missing where unknown
    surprise      : (T,) USD bn, as :func:`treasury_surprise`
    controls      : (T, C) calendar effects

    Raises
    ------
    ModelError         : shapes do not agree
    ShortHistoryError  : fewer than 52 complete weeks
    RankDeficientError : a regressor is a combination of others; names it
    """
    others = np.empty((len(ratio), 0)) if controls is None else controls
    if not len(ratio) == len(spread) == len(surprise) == len(others):
        raise ModelError(
            f"{len(ratio)} weeks of ratio, {len(spread)} of spread, {len(surprise)} of surprise, {len(others)} of controls."
        )
    W = lagged_columns(ratio, 1, lagged_columns(spread, 1, others)[:, 1:])
    rows = np.isfinite(np.column_stack([ratio, spread, surprise, W])).all(axis=1)
    _require(int(rows.sum()), "ratio, spread, their lags and surprise")
    names = ["ratio", "constant", "ratio(t-1)", "spread(t-1)", *(f"control {j}" for j in range(others.shape[1]))]
    return two_stage_least_squares(
        spread[rows], ratio[rows], W[rows], surprise[rows, None], lags=HAC_LAGS, names=[*names, "surprise"]
    )


def _require(n: int, what: str) -> None:
    if n < MINIMUM_WEEKS // 2:
        raise ShortHistoryError(f"{n} weeks with {what} known; {MINIMUM_WEEKS // 2} are needed. Start earlier.")


def _f_of_one(fit: LeastSquares, column: int) -> float:
    """Square of one coefficient's t statistic."""
    variance = float(hac_covariance(fit, HAC_LAGS)[column, column])
    return float(fit.coefficients[column]) ** 2 / variance if variance > 0 else float("inf")
