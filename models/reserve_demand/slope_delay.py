"""How late and how wrong a real-time slope is: simulated where the truth is known.

    x(t) = x*(t) + spill u(t),    x*(t) = x*(t-1) + supply v(t)
    s(t) = s*(t) + demand u(t),   s*(t) = s*(t-1) + slope(t) (x*(t) - x*(t-1)),    u, v ~ Normal(0, 1)

x* is the part of the ratio that supply decides and that lasts; demand u moves spread and ratio for a week. Least squares
sees both, the instrumental slope one week after an innovation only the first. The true slope is flat, steepens on a
straight line and stays, so the answer is a curve: bias and error in each week, and by how many weeks half of the way is
seen too late.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .drifting_slope import FIRST_SLOPE
from .forgetting_filter import filter_path, instrumental_slope, weighted_slope

type Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Descent:
    """An economy that becomes short of reserves.

    flat, ramp, steep : weeks before, while and after the slope changes
    before, after     : slope, bp per percentage point of bank assets
    supply            : standard deviation of the ratio's lasting weekly changes, percentage points
    demand, spill     : what one standard deviation of demand does to spread (bp) and ratio (percentage points) for a week
    """

    flat: int = 260
    ramp: int = 52
    steep: int = 208
    before: float = 0.0
    after: float = -1.0
    supply: float = 0.2
    demand: float = 0.5
    spill: float = 0.1

    def slopes(self) -> Array:
        """(T,) true slopes, bp per percentage point of bank assets."""
        parts = (np.full(self.flat, self.before), np.linspace(self.before, self.after, self.ramp + 2)[1:-1])
        return np.concatenate([*parts, np.full(self.steep, self.after)])

    def simulate(self, rng: np.random.Generator) -> Array:
        """(T, 2) ratio in percent and spread in bp."""
        slopes = self.slopes()
        changes, demand = self.supply * rng.standard_normal(len(slopes)), rng.standard_normal(len(slopes))
        ratio = 12 + np.cumsum(changes) + self.spill * demand
        return np.column_stack([ratio, -5 + np.cumsum(slopes * changes) + self.demand * demand])


def slope_delay(
    economy: Descent,
    rng: np.random.Generator,
    *,
    runs: int = 40,
    lags: int = 4,
    forgetting: float = 0.98,
    volatility: float = 0.97,
    weeks_after: int = 1,
) -> pd.DataFrame:
    """Bias and root mean squared error of real-time slopes, week by week.

    Parameters
    ----------
    runs                              : simulated histories
    lags, forgetting, volatility, weeks_after : as :class:`.drifting_slope.DriftingSlope`

    Returns
    -------
    (T - lags - 52, 7) by week from the first slope that is told, bp per percentage point of bank assets: truth; median,
    bias and rmse of the instrumental slope; the same of weighted least squares over the same window
    """
    first = lags + FIRST_SLOPE
    truth = economy.slopes()[first:]
    found = np.empty((2, runs, len(truth)))
    for run in range(runs):
        values = economy.simulate(rng)
        moments = list(filter_path(values, lags=lags, forgetting=forgetting, volatility=volatility))[FIRST_SLOPE:]
        means, scales = (np.stack([getattr(each, name) for each in moments]) for name in ("mean", "scale"))
        found[0, run] = instrumental_slope(means, scales, weeks_after)
        found[1, run] = weighted_slope(values[:, 0], values[:, 1], forgetting)[first:]
    columns = {"truth": truth}
    for name, estimates in zip(("instrumental", "least_squares"), found, strict=True):
        errors = estimates - truth
        columns |= {f"{name}_median": np.median(estimates, axis=0), f"{name}_bias": errors.mean(axis=0)}
        columns[f"{name}_rmse"] = np.sqrt(np.mean(errors**2, axis=0))
    return pd.DataFrame(columns, pd.RangeIndex(first, first + len(truth), name="week"))


def delay(curve: pd.DataFrame, estimate: str = "instrumental") -> float:
    """Weeks by which the median estimate passes half of the way later than the truth; infinite if it never does.

    Parameters
    ----------
    curve    : of :func:`slope_delay`
    estimate : "instrumental" or "least_squares"
    """
    truth, seen = curve["truth"].to_numpy(), curve[f"{estimate}_median"].to_numpy()
    half, falling = (truth[0] + truth[-1]) / 2, truth[-1] < truth[0]
    passed = [(values <= half) if falling else (values >= half) for values in (truth, seen)]
    begins = int(passed[0].argmax())
    late = passed[1][begins:]
    return float(late.argmax()) if late.any() else float("inf")
