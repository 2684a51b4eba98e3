"""What a posterior learnt: prior and posterior of the slope and of the thresholds, side by side."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from forecast.answers.ampleness import Ampleness, Array

# A posterior is information where its standard deviation is below half the prior's.
INFORMATION = 0.5
_FEWEST = 20  # draws


@dataclass(frozen=True, slots=True, eq=False)
class Learning:
    """One quantity before and after the data.

    tolerance : c of x*(c), percent of bank assets; None for the slope now, bp per percentage point of bank assets
    prior     : draws, of a threshold those in which it is reached
    posterior : the same
    """

    tolerance: float | None
    prior: Array
    posterior: Array

    @property
    def sd_ratio(self) -> float:
        """Standard deviation of the posterior over that of the prior; missing where either has fewer than 20 draws."""
        if min(len(self.prior), len(self.posterior)) < _FEWEST or not self.prior.std() > 0:
            return float("nan")
        return float(self.posterior.std() / self.prior.std())

    def verdict(self) -> str:
        """Where the answer comes from."""
        if np.isnan(self.sd_ratio):
            return "cannot tell"
        return "the data" if self.sd_ratio < INFORMATION else "mostly the prior"


def learnings(told: Ampleness) -> Iterator[Learning]:
    """Every quantity of which the model gives the prior too."""
    for name, prior in told.prior.items():
        if name == "slope":
            yield Learning(None, _finite(prior), _finite(told.slope[:, -1]))
        elif float(name) in told.thresholds:
            c = float(name)
            yield Learning(c, _reached(prior), _reached(told.thresholds[c]))


def _finite(draws: Array) -> Array:
    return draws[np.isfinite(draws)]


def _reached(draws: Array) -> Array:
    return draws[np.isfinite(draws) & (draws > 0)]
