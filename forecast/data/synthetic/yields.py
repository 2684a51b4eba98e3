"""The yield curve: an expected path of the short rate, and a term premium that answers expected duration."""

from __future__ import annotations

import numpy as np

from forecast.calendar import Days
from forecast.data.synthetic.economy import Array, Knots, along, ar1

MATURITIES = {
    "treasury_3m": 0.25,
    "treasury_6m": 0.5,
    "treasury_1y": 1.0,
    "treasury_2y": 2.0,
    "treasury_3y": 3.0,
    "treasury_5y": 5.0,
    "treasury_7y": 7.0,
    "treasury_10y": 10.0,
    "treasury_20y": 20.0,
    "treasury_30y": 30.0,
}
NEUTRAL: Knots = (
    (2006.0, 4.3),
    (2009.0, 4.2),
    (2012.5, 3.0),
    (2020.0, 2.1),
    (2021.0, 2.2),
    (2023.0, 2.9),
    (2025.5, 3.4),
)
# Speeds, a year, at which the short rate is expected to reach the outlook and the outlook the neutral rate.
FAST, SLOW = 1.2, 0.2
TERM_PREMIUM = 0.95  # percent, 10-year, at the duration held in 2006


def duration_effect(expected: Array, gdp: Array, per_percent: float) -> Array:
    """Effect of the expected stock of duration on the 10-year term premium, bp, relative to the first day.

    effect(t) = -per_percent * 100 * (S(t) / GDP(t) - S(0) / GDP(0))
    """
    share = 100 * expected / gdp
    return np.asarray(-per_percent * (share - share[0]))


def term_profile(maturity: float) -> float:
    """Term premium of a maturity (years) relative to that of ten years."""
    return float((1 - np.exp(-maturity / 8)) / (1 - np.exp(-10 / 8)))


def yield_curve(days: Days, policy: Array, outlook: Array, effect: Array, rng: np.random.Generator) -> dict[str, Array]:
    """Yields by series name and ``term_premium_10y``, percent.

        y(n) = r* + (theta - r*) L(SLOW n) + (r - theta) L(FAST n) + profile(n) TP10,  L(z) = (1 - exp(-z)) / z
        TP10 = TERM_PREMIUM + duration effect / 100 + noise

    Parameters
    ----------
    policy  : (T,) percent, overnight rate
    outlook : (T,) percent, where the market expects it soon
    effect  : (T,) bp, duration effect on the 10-year term premium
    """
    size = len(days)
    theta = outlook + ar1(0.045 * rng.standard_normal(size), 0.993) * np.minimum(0.25 + outlook / 2, 1.0)
    neutral = along(days, NEUTRAL) + ar1(0.025 * rng.standard_normal(size), 0.998)
    premium = TERM_PREMIUM + effect / 100 + ar1(0.035 * rng.standard_normal(size), 0.993)
    result = {"term_premium_10y": premium}
    for name, maturity in MATURITIES.items():
        expected = (
            neutral + (theta - neutral) * _loading(SLOW * maturity) + (policy - theta) * _loading(FAST * maturity)
        )
        own = 0.012 * rng.standard_normal(size)
        result[name] = _above_zero(expected + term_profile(maturity) * premium + own)
    return result


def _loading(z: float) -> float:
    return float((1 - np.exp(-z)) / z)


def _above_zero(rate: Array) -> Array:
    """Nobody holds a bill below a few hundredths of a percent when cash pays zero."""
    return 0.02 + 0.06 * np.logaddexp(0.0, (rate - 0.02) / 0.06)
