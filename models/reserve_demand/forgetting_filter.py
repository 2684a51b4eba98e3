"""Vector autoregression whose past is forgotten: a closed-form filter for drifting coefficients and covariance.

    y(t)' = z(t)' B(t) + e(t)',    e(t) ~ Normal(0, Omega(t)),    z(t) = (1, y(t-1)', ..., y(t-p)')'

    P   = lambda L(t-1) + (1 - lambda) L0           information before week t, in units of Omega^-1
    Q   = lambda N(t-1) + (1 - lambda) L0 B0
    b   = P^-1 Q,    e = y(t) - b'z,    q = 1 + z'P^-1 z
    L(t) = P + zz',    N(t) = Q + zy',    B(t) = L(t)^-1 N(t)
    n(t) = kappa n(t-1) + 1,    S(t) = [kappa n(t-1) S(t-1) + ee'/q] / n(t)

B | Omega is matrix normal with mean B(t) and row covariance L(t)^-1, Omega inverse Wishart with scale n S and n + 1 degrees of
freedom, so a forecast is Student-t with n. A row of j weeks ago has weight lambda^j: the effective window is 1 / (1 - lambda)
weeks. The information is a sum of positive terms of which the prior's never fades, so it is positive definite at any lambda
and after any stretch in which nothing moves; the covariance form loses that to rounding.

References
----------
Koop and Korobilis (2013), Journal of Econometrics 177, for forgetting in vector autoregressions; Quintana and West (1987) and
West and Harrison (1997), section 16.4, for the covariance; Kulhavy and Zarrop (1993), International Journal of Control 58(4),
for a prior that is not forgotten.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.linalg.lapack import dposv

from forecast.calendar import business_calendar
from forecast.errors import ModelError

type Array = NDArray[np.float64]
type Spacing = Literal["week", "business_day"]

# Prior: each series is a random walk, give or take ten times its innovations per unit of a regressor, with weekly
# innovations of 0.1 points of the ratio and 1 bp of the spread that count as five weeks.
_PRIOR_INFORMATION = 0.01
_PRIOR_SD = (0.1, 1.0)
_PRIOR_WEEKS = 5.0
_WEEK = pd.Timedelta(days=7)


@dataclass(frozen=True, slots=True, eq=False)
class Moments:
    """The filtering distribution after one week.

    information : (k, k) L, symmetric positive definite
    moment      : (k, m) N
    mean        : (k, m) of B: constant, then y(t-1), ..., y(t-p)
    scale       : (m, m) S, unit of y squared
    weeks       : n, degrees of freedom of a forecast
    """

    information: Array
    moment: Array
    mean: Array
    scale: Array
    weeks: float


def prior(lags: int) -> Moments:
    """Before the first week: two random walks."""
    mean = np.zeros((1 + 2 * lags, 2))
    mean[1, 0] = mean[2, 1] = 1.0
    information = _PRIOR_INFORMATION * np.eye(1 + 2 * lags)
    return Moments(information, information @ mean, mean, np.diag(_PRIOR_SD) ** 2, _PRIOR_WEEKS)


def advance(before: Moments, start: Moments, z: Array, y: Array, *, forgetting: float, volatility: float) -> Moments:
    """One week's update.

    Parameters
    ----------
    start      : the prior, towards which information returns
    z          : (k,) constant and lags
    y          : (m,)
    forgetting : lambda, share of the coefficients' information that a week keeps
    volatility : kappa, the same for the covariance

    Raises
    ------
    ModelError : a number is not finite
    """
    right = np.empty((len(z), 3))
    right[:, :2] = forgetting * before.moment + (1 - forgetting) * start.moment
    right[:, 2] = z
    information = forgetting * before.information + (1 - forgetting) * start.information
    # By Cholesky and without the wrapper: half of the time of a step is overhead.
    _, solved, failed = dposv(information, right)
    expected, gain = solved[:, :2], solved[:, 2]
    error = y - z @ expected
    q = 1 + float(z @ gain)
    if failed or not math.isfinite(q):
        raise ModelError("the information on the coefficients is not positive definite: ratio or spread is not finite.")
    weeks = volatility * before.weeks + 1
    scale = (volatility * before.weeks * before.scale + error[:, None] * error / q) / weeks
    column = z[:, None]
    return Moments(
        information + column * z, right[:, :2] + column * y, expected + gain[:, None] * (error / q), scale, weeks
    )


def lagged(recent: Array) -> Array:
    """z of the week after some: (p, m) in time order -> (1 + p m,) constant, last week, ..., p weeks ago."""
    return np.concatenate([[1.0], recent[::-1].ravel()])


@dataclass(frozen=True, slots=True, eq=False)
class FilterState:
    """The filter after some rows.

    recent  : (r, 2) last rows that follow each other week by week, at most p
    last    : week of the last row; None before the first
    start   : the prior
    moments : after the last update
    past    : every update: its week, and the moments after it
    """

    recent: Array
    last: pd.Timestamp | None
    start: Moments
    moments: Moments
    past: tuple[tuple[pd.Timestamp, Moments], ...]


def empty_filter(lags: int) -> FilterState:
    """Before the first row."""
    return FilterState(np.empty((0, 2)), None, prior(lags), prior(lags), ())


def take_in(
    state: FilterState,
    week: pd.Timestamp,
    row: Array,
    *,
    lags: int,
    forgetting: float,
    volatility: float,
    spacing: Spacing = "week",
) -> FilterState:
    """The state after one more row (ratio, spread); after a hole ``lags`` rows pass before the next update."""
    follows = state.last is not None and follows_on(state.last, week, spacing)
    recent = state.recent if follows else state.recent[:0]
    moments, past = state.moments, state.past
    if len(recent) == lags:
        moments = advance(moments, state.start, lagged(recent), row, forgetting=forgetting, volatility=volatility)
        past = (*past, (week, moments))
    return FilterState(np.vstack([recent, row])[-lags:], week, state.start, moments, past)


def follows_on(last: pd.Timestamp, period: pd.Timestamp, spacing: Spacing) -> bool:
    """Whether one period comes right after the other: seven days later, or on the next business day of the Fed."""
    if spacing == "week":
        return bool(period - last == _WEEK)
    return int(np.busday_count(last.date(), period.date(), busdaycal=business_calendar("fed"))) == 1


def filter_path(values: Array, *, lags: int, forgetting: float, volatility: float) -> Iterator[Moments]:
    """Moments after each of the weeks ``lags``, ..., T - 1 of (T, 2) consecutive weeks."""
    start = prior(lags)
    now = start
    for week in range(lags, len(values)):
        z = lagged(values[week - lags : week])
        now = advance(now, start, z, values[week], forgetting=forgetting, volatility=volatility)
        yield now


# --------------------------------------------------------------------------- the slope


def responses(coefficients: Array, weeks_after: int) -> Array:
    """Phi_h: what an innovation does h weeks later, the block J F^h J' of the companion matrix's power.

        Phi_0 = I,    Phi_h = sum_{l=1..min(h, p)} A_l Phi_{h-l}

    Parameters
    ----------
    coefficients : (..., 1 + p m, m) constant, then lags; A_l is the transpose of the l-th block

    Returns
    -------
    (..., m, m) response in rows, innovation in columns
    """
    m = coefficients.shape[-1]
    lags = (coefficients.shape[-2] - 1) // m
    A = [coefficients[..., 1 + m * j : 1 + m * (j + 1), :].swapaxes(-1, -2) for j in range(lags)]
    phi = [np.broadcast_to(np.eye(m), (*coefficients.shape[:-2], m, m))]
    for h in range(1, weeks_after + 1):
        phi.append(np.sum([A[j] @ phi[h - 1 - j] for j in range(min(h, lags))], axis=0))
    return np.asarray(phi[weeks_after])


def instrumental_slope(coefficients: Array, covariance: Array, weeks_after: int) -> Array:
    """Response of the spread over that of the ratio, h weeks after an innovation of the ratio.

        M = Phi_h Omega,    slope = M[s, x] / M[x, x]

    Demand that is over within h weeks has no part in it; supply that lasts has.

    Parameters
    ----------
    coefficients : (..., 1 + 2p, 2) of (ratio, spread)
    covariance   : (..., 2, 2) Omega

    Returns
    -------
    (...) bp per percentage point of bank assets
    """
    both = responses(coefficients, weeks_after) @ covariance
    return np.asarray(both[..., 1, 0] / both[..., 0, 0])


def draw_parameters(
    moments: list[Moments], n_draws: int, rng: np.random.Generator, *, least: Array
) -> tuple[Array, Array]:
    """Draws of coefficients and of a root of the covariance from the filtering distribution of each week.

        Omega = G G',    G = chol(n S) T'^-1 with T the lower triangle of a Wishart draw (Bartlett);    B = mean + L^-1/2 Z G'

    Parameters
    ----------
    least : (2,) variance that is added to S: what rounding hides of each series

    Returns
    -------
    (n_draws, T, k, 2) and (n_draws, T, 2, 2)
    """
    weeks = np.array([each.weeks for each in moments])
    scale = np.stack([each.scale for each in moments]) + np.diag(least)
    mean = np.stack([each.mean for each in moments])
    roots = np.linalg.inv(np.linalg.cholesky(np.stack([each.information for each in moments]))).swapaxes(1, 2)
    T, k = len(moments), mean.shape[1]
    triangle = np.zeros((n_draws, T, 2, 2))
    triangle[..., 0, 0] = np.sqrt(rng.chisquare(weeks + 1, (n_draws, T)))
    triangle[..., 1, 1] = np.sqrt(rng.chisquare(weeks, (n_draws, T)))
    triangle[..., 1, 0] = rng.standard_normal((n_draws, T))
    G = np.linalg.cholesky(weeks[:, None, None] * scale) @ np.linalg.inv(triangle).swapaxes(-1, -2)
    noise = rng.standard_normal((n_draws, T, k, 2)) @ G.swapaxes(-1, -2)
    return mean + roots @ noise, G


def weighted_slope(ratio: Array, spread: Array, forgetting: float) -> Array:
    """Least squares of the spread on the ratio with weights lambda^j, in levels, at each week.

        slope(t) = sum_j lambda^j (x(t-j) - mean) (s(t-j) - mean) / sum_j lambda^j (x(t-j) - mean)^2

    What the same window shows without an instrument: vertical shifts and demand are in it.

    Parameters
    ----------
    ratio, spread : (T,) percent and bp

    Returns
    -------
    (T,) bp per percentage point; missing where the ratio has not moved
    """
    sums = np.zeros(3)
    weight, centre, slopes = 0.0, np.zeros(2), np.full(len(ratio), np.nan)
    for t, now in enumerate(np.column_stack([ratio, spread])):
        before = forgetting * weight
        weight = before + 1
        gap = now - centre
        centre = centre + gap / weight
        sums = forgetting * sums + before / weight * gap[0] * np.array([gap[0], gap[1], 0.0])
        slopes[t] = sums[1] / sums[0] if sums[0] > 0 else np.nan
    return slopes


# --------------------------------------------------------------------------- paths


def conditional_paths(
    start: Array, coefficients: Array, root: Array, given: tuple[Array, Array], shocks: Array
) -> Array:
    """Paths of (ratio, spread); what is given is kept and the rest drawn conditionally on it, week by week.

        s | x ~ Normal(m_s + Omega_sx / Omega_xx (x - m_x), Omega_ss - Omega_sx^2 / Omega_xx),    and the other way round

    Parameters
    ----------
    start        : (p, 2) the weeks before, in time order
    coefficients : (D, k, 2)
    root         : (D, 2, 2) Omega = root root'
    given        : (D or 1, W) of each of the two, missing where to be drawn
    shocks       : (D, W, 2) standard normal

    Returns
    -------
    (D, W, 2)
    """
    D, W = shocks.shape[:2]
    recent = np.broadcast_to(start, (D, *start.shape))
    known = np.stack([np.broadcast_to(each, (D, W)) for each in given], axis=-1)
    omega = root @ root.swapaxes(1, 2)
    paths = np.empty((D, W, 2))
    for w in range(W):
        z = np.concatenate([np.ones((D, 1)), recent[:, ::-1].reshape(D, -1)], axis=1)
        mean = (z[:, None] @ coefficients)[:, 0]
        paths[:, w] = _completed(known[:, w], mean, omega, root, shocks[:, w])
        recent = np.concatenate([recent[:, 1:], paths[:, w, None]], axis=1)
    return paths


def _completed(known: Array, mean: Array, omega: Array, root: Array, shocks: Array) -> Array:
    """One week of (ratio, spread) (D, 2) with what is missing drawn; the same is missing in all draws."""
    missing = np.isnan(known[0])
    if missing.all():
        return np.asarray(mean + (root @ shocks[:, :, None])[:, :, 0])
    values = known.copy()
    for j, i in ((0, 1), (1, 0)):
        if missing[j]:
            share = omega[:, j, i] / omega[:, i, i]
            left = np.maximum(omega[:, j, j] - share * omega[:, i, j], 0.0)
            values[:, j] = mean[:, j] + share * (known[:, i] - mean[:, i]) + np.sqrt(left) * shocks[:, j]
    return values
