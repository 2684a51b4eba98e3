"""How near reserves are to scarce: the question, and the one form in which every demand curve answers it.

A curve s = m(x) falls in the reserve ratio x. Where it is flat, reserves are abundant; where it is steep, scarce. With
a tolerance c for the slope (bp per percentage point of bank assets, negative),

    x*(c) = the ratio at which dm/dx = c

is the least that banks need for the slope to stay within c, and (x - x*(c)) * A / 100 is the distance to it in USD bn of
bank assets A. Some models have a slope only, and no curve to follow to other ratios.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.errors import ModelError

type Array = NDArray[np.float64]
type State = Literal["abundant", "ample", "scarce", "cannot tell"]

# bp per percentage point of bank assets. Reserves are abundant where the slope is flatter than the first, scarce
# where it is steeper than the last, ample between.
TOLERANCES = (-0.25, -0.5, -1.0)
# A state is told when it has at least two chances in three ("likely" in the language of assessments).
CONFIDENT = 2 / 3


@dataclass(frozen=True, slots=True)
class Interval:
    """Median and central intervals of some draws, in their unit."""

    median: float
    low_68: float
    high_68: float
    low_95: float
    high_95: float


def interval(draws: Array) -> Interval | None:
    """Of the draws that are numbers; None where fewer than 20 are."""
    draws = draws[np.isfinite(draws)]
    if len(draws) < 20:
        return None
    return Interval(*np.quantile(draws, [0.5, 0.16, 0.84, 0.025, 0.975]).tolist())


@dataclass(frozen=True, slots=True, eq=False)
class CurveDraws:
    """The curve itself, as it stands at the end of the sample.

    ratio  : (G,) percent of bank assets, ascending
    spread : (S, G) draws of m(x) in bp, at the level of the last week and outside calendar effects
    """

    ratio: Array
    spread: Array

    def __post_init__(self) -> None:
        if self.spread.ndim != 2 or self.spread.shape[1] != len(self.ratio) or np.any(np.diff(self.ratio) <= 0):
            raise ModelError(
                f"curve {self.spread.shape} on {len(self.ratio)} ratios: give (S, G) on an ascending grid."
            )


@dataclass(frozen=True, slots=True, eq=False)
class Ampleness:
    """What one fitted model says about one spread.

    spread     : feature whose demand curve it is
    draws_are  : "posterior", "bootstrap" or "filter": what the spread of the draws measures
    weeks      : (T,) reserve weeks of the sample whose ratio is known; the last is "now"
    ratio      : (T,) percent of bank assets
    slope      : (S, T) draws, bp per percentage point of bank assets, in each week
    thresholds : tolerance c -> (S,) draws of x*(c) in percent of bank assets at the end of the sample; infinite where
                 the curve is steeper than c at every ratio, zero where it never is, missing where the draw has no
                 answer. Empty for a model that has a slope only
    prior      : the same draws under the prior alone, "slope" (S,) now and each c as text; empty for models without
    sign_free  : whether the slope may be positive
    notes      : what a reader must know: an estimate at the edge of its grid, a series that ends
    curve      : the curve at other ratios; None for a model that has a slope only
    """

    spread: str
    draws_are: Literal["posterior", "bootstrap", "filter"]
    weeks: pd.DatetimeIndex
    ratio: Array
    slope: Array
    thresholds: Mapping[float, Array]
    prior: Mapping[str, Array]
    sign_free: bool
    notes: tuple[str, ...] = ()
    curve: CurveDraws | None = None

    def __post_init__(self) -> None:
        if self.slope.ndim != 2 or self.slope.shape[1] != len(self.weeks) or len(self.ratio) != len(self.weeks):
            raise ModelError(f"slope {self.slope.shape} and ratio {self.ratio.shape} for {len(self.weeks)} weeks.")
        for c, draws in self.thresholds.items():
            if draws.shape != self.slope.shape[:1]:
                raise ModelError(f"x*({c}) has shape {draws.shape}; expected ({len(self.slope)},).")

    def slope_below(self, c: float) -> float:
        """P(slope now < c)."""
        return float(np.mean(self.slope[:, -1] < c))

    def reached(self, c: float) -> float:
        """P(the curve has a ratio at which its slope is c): neither flatter nor steeper than c everywhere."""
        draws = self.thresholds[c]
        return float(np.mean(np.isfinite(draws) & (draws > 0)))

    def ratio_below(self, c: float) -> float:
        """P(x now < x*(c)), over the draws that have an answer."""
        draws = self.thresholds[c]
        answered = ~np.isnan(draws)
        return float(np.mean(self.ratio[-1] < draws[answered])) if answered.any() else float("nan")

    def distance(self, c: float, bank_assets: float) -> Array:
        """(S,) draws of (x - x*(c)) * A / 100, USD bn, missing where c is not reached; negative below x*(c).

        Parameters
        ----------
        bank_assets : A, USD bn
        """
        draws = self.thresholds[c]
        inside = np.isfinite(draws) & (draws > 0)
        return np.where(inside, (self.ratio[-1] - draws) * bank_assets / 100, np.nan)

    def reserves_needed(self, c: float, bank_assets: float) -> Array:
        """(S,) draws of x*(c) * A / 100, USD bn: reserves that keep the slope within c; missing where not reached."""
        draws = self.thresholds[c]
        return np.where(np.isfinite(draws) & (draws > 0), draws * bank_assets / 100, np.nan)

    def has_seen(self, c: float) -> bool:
        """Whether the median x*(c) lies among the ratios of the sample: beyond them the shape speaks, not the data."""
        draws = self.thresholds[c]
        inside = draws[np.isfinite(draws) & (draws > 0)]
        return bool(len(inside) and self.ratio.min() <= np.median(inside) <= self.ratio.max())

    def chances(self) -> dict[State, float]:
        """Probability of each state: of x now against x*(c) of the first and the last tolerance, c = -0.25 and -1.

        Not of the slope now where there is a curve: one that is S-shaped is flat again where reserves are scarcest. A
        model without a curve is judged by its slope now.
        """
        flattest, steepest = TOLERANCES[0], TOLERANCES[-1]
        tight, scarce = self.slope[:, -1] < flattest, self.slope[:, -1] < steepest
        if self.thresholds:
            bounds = np.stack([self.thresholds[flattest], self.thresholds[steepest]])
            answered = ~np.isnan(bounds).any(axis=0)
            if answered.any():
                tight, scarce = self.ratio[-1] < bounds[:, answered]
        not_abundant, short = float(np.mean(tight)), float(np.mean(scarce))
        return {"abundant": 1 - not_abundant, "ample": not_abundant - short, "scarce": short}

    def state(self) -> State:
        """The state that has at least two chances in three; "cannot tell" where none has."""
        state, chance = max(self.chances().items(), key=lambda item: item[1])
        return state if chance >= CONFIDENT else "cannot tell"


def state_of(slope: float) -> State:
    """The state at a known slope, bp per percentage point of bank assets."""
    if slope >= TOLERANCES[0]:
        return "abundant"
    return "scarce" if slope < TOLERANCES[-1] else "ample"


@runtime_checkable
class TellsAmpleness(Protocol):
    """A fitted demand curve that can say how near reserves are to scarce.

    Its specification says so with ``tells_ampleness = True``, so that a command fits only those.
    """

    def ampleness(self) -> Ampleness:
        """Slope over time and the ratios at which it reaches each tolerance."""
        ...
