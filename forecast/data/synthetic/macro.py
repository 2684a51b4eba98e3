"""A thin macro-economy and the books of commercial banks: enough for ratios, scales and regressors."""

from __future__ import annotations

import numpy as np

from forecast.calendar import Days
from forecast.data.synthetic.economy import Array, Knots, along, ar1

GDP: Knots = (
    (2006.0, 13600), (2008.5, 14800), (2009.3, 14400), (2014.8, 17900), (2019.9, 21900), (2020.2, 21700), (2020.35, 19900),
    (2020.65, 21700), (2021.8, 24600), (2023.0, 27200), (2025.5, 30400), (2028.0, 34000),
)  # fmt: skip
PRICES: Knots = (
    (2006.0, 199),
    (2008.55, 219),
    (2009.0, 212),
    (2016.0, 238),
    (2020.3, 257),
    (2022.5, 295),
    (2025.5, 321),
    (2028.0, 342),
)
UNEMPLOYMENT: Knots = (
    (2006.0, 4.7), (2008.0, 5.0), (2009.8, 9.9), (2015.0, 5.6), (2020.15, 3.6), (2020.3, 13.5), (2020.8, 7.0), (2022.2, 3.7),
    (2025.5, 4.2),
)  # fmt: skip


def gdp(days: Days, rng: np.random.Generator) -> Array:
    """Nominal gross domestic product, usd_bn at annual rate."""
    return along(days, GDP) * np.exp(ar1(0.0004 * rng.standard_normal(len(days)), 0.997))


def prices_and_jobs(days: Days, rng: np.random.Generator) -> dict[str, Array]:
    """``cpi`` (index) and ``unemployment`` (percent)."""
    return {
        "cpi": along(days, PRICES) * np.exp(ar1(0.0002 * rng.standard_normal(len(days)), 0.997)),
        "unemployment": along(days, UNEMPLOYMENT) + ar1(0.02 * rng.standard_normal(len(days)), 0.985),
    }


def bank_books(core: Array, assets: Array, reserves: Array, rng: np.random.Generator) -> dict[str, Array]:
    """Credit, loans and deposits of commercial banks, usd_bn; loans hardly know that reserves exist."""
    slow = np.exp(ar1(0.0003 * rng.standard_normal((2, len(core))), 0.998))
    return {
        "bank_credit": (assets - reserves) * 0.88 * slow[0],
        "bank_loans": core * 0.60 * slow[1],
        "deposits": 0.74 * assets,
    }


def money(currency: Array, deposits: Array) -> Array:
    """M2, usd_bn: currency and most deposits."""
    return currency + 1.06 * deposits


def revised(times: Array, values: Array, benchmark: float, rng: np.random.Generator, *, error: float) -> Array:
    """Values as first published since the last benchmark: their error grows with the time since then.

    first(t) = final(t) * (1 + error * z * (t - benchmark)),  t in years, t > benchmark
    """
    drift = error * float(rng.standard_normal())
    return values * (1 + drift * np.maximum(times - benchmark, 0.0))
