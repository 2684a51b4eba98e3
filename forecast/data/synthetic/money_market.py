"""Overnight rates: a satiation curve in the reserve ratio, noise, and days on which cash is short."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from forecast.calendar import Days, coupon_settlement_dates, tax_dates
from forecast.data.synthetic.balance_sheet import SEIZURE, STANDING_REPO_OPENS, Streams
from forecast.data.synthetic.economy import Array, Economy, ar1, decimal_years, first_on_or_after, logistic, softplus

# Dated steps of alpha: effective day, mean and standard deviation in bp.
STEPS = (
    ("2011-04-01", -3.0, 0.4),  # deposit insurance is charged on all liabilities
    ("2013-09-23", 0.5, 0.2),  # reverse repo opens
    ("2018-06-14", 1.5, 0.3),
    ("2018-12-20", 1.2, 0.3),
    ("2019-05-02", 0.8, 0.2),
    ("2020-01-30", 0.8, 0.2),
    ("2021-06-17", 0.6, 0.1),
)
# Once the standing repo facility stands ready, brokered trades hardly move where reserves are abundant.
CALM = 0.10
REPO_PREMIUM = {"sofr": -1.5, "tgcr": -3.2}  # bp over alpha
REPO_SIGMA = 1.0  # bp, daily, of the part of repo rates that is their own
SPIKE = 6.0  # bp of SOFR per percentage point of scarcity on a quarter end
SPIKE_WIDTH = 1.5  # percentage points over which spikes set in: tails feel scarcity before the middle does
SPIKE_IN_FED_FUNDS = 0.06


def curve(ratio: Array, kink: Array, beta: float, tau: float) -> Array:
    """beta * tau * softplus((k - x) / tau): bp the spread stands above its level in abundance."""
    return beta * tau * softplus((kink - ratio) / tau)


def curve_slope(ratio: Array, kink: Array, beta: float, tau: float) -> Array:
    """Derivative of the curve in the ratio: -beta * logistic((k - x) / tau), bp per percentage point of bank assets."""
    return -beta * logistic((kink - ratio) / tau)


def kink_path(economy: Economy, days: Days, rng: np.random.Generator) -> Array:
    """Percent of bank assets: a walk pulled home within years, that starts lower, before liquidity rules.

    Weekly steps have a standard deviation of about 0.05 percentage points.
    """
    size = len(days)
    home = 0.5 ** (1 / (4 * 250))  # half-life of four years
    wander = ar1(0.022 * rng.standard_normal(size), home) - 1.5 * home ** np.arange(size)
    return economy.kink + (wander if economy.drifting_kink else np.zeros(size))


def alpha_path(economy: Economy, days: Days, rng: np.random.Generator) -> tuple[Array, dict[np.datetime64, float]]:
    """Spread in abundance, bp, and its dated steps; the last level is ``alpha``."""
    level = np.full(len(days), economy.alpha)
    steps: dict[np.datetime64, float] = {}
    for (date, mean, deviation), z in zip(STEPS, rng.standard_normal(len(STEPS)), strict=True):
        day, step = np.datetime64(date, "D"), mean + deviation * float(z)
        if economy.vertical_shifts and days[0] <= day <= days[-1]:
            steps[day] = step
        if economy.vertical_shifts:
            level = level - np.where(days < day, step, 0.0)
    return level, steps


def volatility(
    economy: Economy, days: Days, ratio: Array, kink: Array, rng: np.random.Generator
) -> tuple[Array, Array]:
    """Standard deviations of the daily noise, bp: of fed funds, and of the own part of repo rates."""
    log_sigma = ar1(0.06 * rng.standard_normal(len(days)), 0.985)
    if not economy.stochastic_volatility:
        return np.full(len(days), economy.sigma), np.full(len(days), REPO_SIGMA)
    calm = np.where(days >= STANDING_REPO_OPENS, logistic((ratio - kink - 1.0) / (0.5 * economy.tau)), 0.0)
    return economy.sigma * np.exp(log_sigma) * CALM**calm, REPO_SIGMA * np.exp(log_sigma)


def pressure(days: Days) -> Array:
    """How much cash a day asks for, one on a quarter end; known in advance.

    Taxes and settlements add, and a day that has both counts for more than their sum.
    """
    quarter = days.astype("datetime64[M]").astype(np.int64) // 3
    ends = np.r_[quarter[1:] != quarter[:-1], False]
    year_end = ends & (days.astype("datetime64[M]").astype(np.int64) % 12 == 11)
    tax = first_on_or_after(days, tax_dates(days[0], days[-1]))
    coupons = first_on_or_after(days, coupon_settlement_dates(days[0], days[-1]))
    return np.asarray(1.0 * ends + 0.6 * year_end + 0.5 * tax + 0.3 * coupons + 0.4 * (tax & coupons))


def spike_path(economy: Economy, days: Days, ratio: Array, kink: Array, rng: np.random.Generator) -> Array:
    """Jumps of SOFR, bp: calendar pressure times scarcity, and one seizure of the market when reserves are scarcest."""
    scarcity = SPIKE_WIDTH * softplus((kink - ratio) / SPIKE_WIDTH)
    jump = SPIKE * pressure(days) * scarcity * np.exp(0.45 * rng.standard_normal(len(days)) - 0.1)
    seizure = rng.uniform(0.8, 1.2)
    position = int(np.searchsorted(days, SEIZURE))
    if position < len(days) - 1:
        # The tax day opens the gap and the day after it closes the market.
        jump[position] = max(jump[position], 12.0 * scarcity[position])
        jump[position + 1] = 65.0 * scarcity[position] * seizure
    return ar1(jump, 0.35) if economy.spikes else np.zeros(len(days))


@dataclass(frozen=True, slots=True, eq=False)
class Demand:
    """Where the market stands on its curve, by business day.

    ratio, kink : (T,) percent of bank assets
    alpha       : (T,) bp
    """

    ratio: Array
    kink: Array
    alpha: Array


@dataclass(frozen=True, slots=True, eq=False)
class Spreads:
    """Spreads over the rate on reserves before rounding, bp, by business day.

    effr, sofr, tgcr : (T,)
    curve, spikes    : (T,) parts of ``effr``; the rest is alpha and noise
    """

    effr: Array
    sofr: Array
    tgcr: Array
    curve: Array
    spikes: Array


def spreads(economy: Economy, days: Days, demand: Demand, sigma: tuple[Array, Array], *, streams: Streams) -> Spreads:
    """Spreads that share one kink: fed funds, and repo with a steeper slope and more noise of its own."""
    common = _noise(sigma[0], economy.persistence, streams["fed_funds"])
    own = _noise(sigma[1], economy.persistence, streams["repo"])
    other = 0.4 * _noise(sigma[1], economy.persistence, streams["repo"])
    bend = curve(demand.ratio, demand.kink, economy.beta, economy.tau)
    spikes = spike_path(economy, days, demand.ratio, demand.kink, streams["spikes"])
    in_fed_funds = SPIKE_IN_FED_FUNDS * spikes
    effr = demand.alpha + bend + in_fed_funds + common
    repo = demand.alpha + economy.repo_slope * bend + spikes + common + own
    sofr, tgcr = repo + REPO_PREMIUM["sofr"], repo + REPO_PREMIUM["tgcr"] + other - 0.1 * spikes
    return Spreads(effr, sofr, np.minimum(tgcr, sofr), bend, in_fed_funds)


def _noise(sigma: Array, persistence: float, rng: np.random.Generator) -> Array:
    scale = np.sqrt(1 - persistence**2)
    return ar1(scale * sigma * rng.standard_normal(len(sigma)), persistence)


def percentiles(
    median: Array, ratio: Array, kink: Array, rng: np.random.Generator, *, width: float
) -> dict[str, Array]:
    """Volume-weighted percentiles around a median, same unit (bp); always in order, wider where reserves are scarce."""
    scarcity = 1 + 0.4 * softplus(kink - ratio)
    gaps = width * scarcity * np.exp(0.25 * rng.standard_normal((4, len(median))))
    return {
        "p1": median - 0.6 * gaps[0] - 1.8 * gaps[1],
        "p25": median - 0.6 * gaps[0],
        "p75": median + 0.8 * gaps[2],
        "p99": median + 0.8 * gaps[2] + 2.2 * gaps[3],
    }


def standing_repo(days: Days, p99_over_ceiling: Array) -> Array:
    """Borrowing from the facility, usd_bn: two billions a basis point by which the dearest trades exceed its rate.

    Needs SOFR's 99th percentile less the facility's rate, bp. Nothing before the facility opened.
    """
    return np.where(days >= STANDING_REPO_OPENS, 2.0 * np.maximum(p99_over_ceiling - 1.0, 0.0), 0.0)


def volumes(days: Days, rng: np.random.Generator) -> dict[str, Array]:
    """Underlying volumes, usd_bn a day."""
    levels = {
        "effr_volume": ((2006.0, 90), (2012.0, 60), (2019.0, 70), (2023.0, 105)),
        "sofr_volume": ((2014.0, 700), (2019.0, 1050), (2021.0, 950), (2023.0, 1350), (2025.5, 2500)),
    }
    return {name: level_noise(days, knots, rng) for name, knots in levels.items()}


def level_noise(days: Days, knots: tuple[tuple[float, float], ...], rng: np.random.Generator) -> Array:
    """A level that wanders by some percent around straight lines."""
    times, values = zip(*knots, strict=True)
    return np.asarray(
        np.interp(decimal_years(days), times, values) * np.exp(ar1(0.04 * rng.standard_normal(len(days)), 0.8))
    )
