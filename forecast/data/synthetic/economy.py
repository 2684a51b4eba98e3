"""What a simulated economy is made of, its clock, and its streams of chance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

from forecast.calendar import Days, business_calendar
from forecast.errors import UsageError

type Array = NDArray[np.float64]
type Knots = Sequence[tuple[float, float]]

FIRST_DAY = np.datetime64("2006-01-02", "D")
LONGEST = 22.0  # the script of policy is written until then
SHORTEST = 4.0  # interest on reserves begins in the third year

# One stream each, so that switching one complication off leaves every other draw where it was.
# New components go to the end: a position is a stream.
COMPONENTS = (
    "programmes",
    "paydowns",
    "target",
    "facilities",
    "currency",
    "tga",
    "debt_limit",
    "on_rrp",
    "foreign_rrp",
    "other",
    "banks",
    "kink",
    "alpha",
    "volatility",
    "fed_funds",
    "repo",
    "spikes",
    "percentiles",
    "volumes",
    "yields",
    "macro",
    "revisions",
)


@dataclass(frozen=True, slots=True)
class Economy:
    """A simulated economy: a seed, a length, complications that can be switched off, and its structure.

    The spread of the federal funds rate over the rate paid on reserves follows a satiation curve in
    x = 100 * reserves / bank assets,

        s(t) = alpha(t) + beta * tau * softplus((k(t) - x(t)) / tau) + spikes(t) + e(t)
        e(t) = persistence * e(t-1) + sqrt(1 - persistence**2) * sigma(t) * z(t),  z ~ N(0, 1), by business day

    seed                  : of all randomness; same seed, same bytes
    years                 : length of the simulation from January 2006
    drifting_kink         : the kink wanders (off: it stands at ``kink``)
    vertical_shifts       : alpha moves at dated steps (off: it stands at ``alpha``)
    stochastic_volatility : sigma moves, and is tiny where reserves are abundant (off: it stands at ``sigma``)
    spikes                : period ends, tax and settlement days, one market seizure; large only when reserves are scarce
    rounding              : rates and yields are published in whole basis points
    revisions             : bank assets and GDP are revised at yearly benchmarks
    kink                  : percent of bank assets
    beta                  : bp per percentage point of bank assets far below the kink, positive
    tau                   : percentage points over which the curve bends
    alpha                 : bp, spread where reserves are abundant, at the end of the script
    sigma                 : bp, standard deviation of the daily noise
    persistence           : daily autocorrelation of the noise
    repo_slope            : slope of SOFR-IORB and TGCR-IORB as a multiple of the federal funds slope
    comfort               : percentage points above the kink that banks keep before money funds lend to the central bank
    duration_effect       : bp fall of the 10-year term premium per 1 percent of GDP of ten-year equivalents held for ever

    Raises
    ------
    UsageError : the length is outside the script, or a scale is not positive
    """

    seed: int = 0
    years: float = 19.5
    drifting_kink: bool = True
    vertical_shifts: bool = True
    stochastic_volatility: bool = True
    spikes: bool = True
    rounding: bool = True
    revisions: bool = True
    kink: float = 12.0
    beta: float = 2.5
    tau: float = 0.5
    alpha: float = -7.0
    sigma: float = 0.8
    persistence: float = 0.7
    repo_slope: float = 1.8
    comfort: float = 2.2
    duration_effect: float = 8.0

    def __post_init__(self) -> None:
        if not SHORTEST <= self.years <= LONGEST:
            raise UsageError(f"Economy: years = {self.years}; the script covers {SHORTEST:g} to {LONGEST:g} years.")
        if self.tau <= 0 or self.sigma < 0 or self.beta < 0 or not 0 <= self.persistence < 1:
            raise UsageError("Economy: need tau > 0, sigma >= 0, beta >= 0 and 0 <= persistence < 1.")

    @property
    def last_day(self) -> np.datetime64:
        """The last day simulated."""
        after = FIRST_DAY.astype("datetime64[M]") + np.timedelta64(round(12 * self.years), "M")
        return np.datetime64(after.astype("datetime64[D]") - np.timedelta64(1, "D"))

    def streams(self) -> dict[str, np.random.Generator]:
        """One independent generator a component."""
        children = np.random.SeedSequence(self.seed).spawn(len(COMPONENTS))
        return {name: np.random.default_rng(child) for name, child in zip(COMPONENTS, children, strict=True)}


def business_days(economy: Economy) -> Days:
    """Federal Reserve business days of the simulation."""
    days = np.arange(FIRST_DAY, economy.last_day + np.timedelta64(1, "D"))
    return days[np.is_busday(days, busdaycal=business_calendar("fed"))]


def decimal_years(days: Days) -> Array:
    """2008.5 is the middle of 2008."""
    return 1970 + days.astype(np.int64) / 365.2425


def along(days: Days, knots: Knots) -> Array:
    """Straight lines through (decimal year, value), flat beyond both ends."""
    times, values = zip(*knots, strict=True)
    return np.asarray(np.interp(decimal_years(days), times, values))


def first_on_or_after(days: Days, dates: Days) -> NDArray[np.bool_]:
    """Marks, among ``days``, the first day on or after each date."""
    marks = np.zeros(len(days) + 1, dtype=bool)
    inside = dates[(dates >= days[0]) & (dates <= days[-1])]
    marks[np.searchsorted(days, inside)] = True
    return marks[:-1]


def ar1(shocks: Array, rho: float) -> Array:
    """u(t) = rho * u(t-1) + shock(t), from zero."""
    return np.asarray(lfilter([1.0], [1.0, -rho], shocks), dtype=np.float64)


def softplus(z: Array) -> Array:
    """log(1 + exp(z)) without overflow."""
    return np.logaddexp(0.0, z)


def logistic(z: Array) -> Array:
    """1 / (1 + exp(-z)) without overflow."""
    return 0.5 * (1.0 + np.tanh(0.5 * z))
