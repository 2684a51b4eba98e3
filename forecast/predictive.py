"""The one kind of forecast: draws of the joint path of all targets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.errors import ModelError, UsageError
from forecast.units import Unit

if TYPE_CHECKING:
    import xarray as xr


@dataclass(frozen=True, slots=True, eq=False)
class PredictiveDistribution:
    """Draws from the joint predictive distribution.

    values  : (D, H, K) draw x period x target, each in its target's unit; values[d] is one joint path
    periods : (H,) reserve weeks
    targets : (K,) names
    units   : unit of each target
    """

    values: NDArray[np.float64]
    periods: pd.DatetimeIndex
    targets: tuple[str, ...]
    units: Mapping[str, Unit]

    def __post_init__(self) -> None:
        expected = (len(self.periods), len(self.targets))
        if self.values.ndim != 3 or self.values.shape[1:] != expected:
            raise ModelError(f"draws have shape {self.values.shape}; expected (draws, {expected[0]}, {expected[1]}).")
        if not np.isfinite(self.values).all():
            raise ModelError("draws are not finite; the model has no proper predictive distribution here.")

    @property
    def draws(self) -> xr.DataArray:
        """The draws as xarray, draw x period x target."""
        import xarray as xr

        coords = {"period": self.periods, "target": list(self.targets)}
        return xr.DataArray(self.values, dims=("draw", "period", "target"), coords=coords, name="draws")

    def mean(self) -> pd.DataFrame:
        """(H, K) predictive means."""
        return self._table(self.values.mean(axis=0))

    def quantile(self, probs: Sequence[float]) -> pd.DataFrame:
        """(H * len(probs), K) predictive quantiles, indexed by period and prob."""
        if not all(0 <= p <= 1 for p in probs):
            raise UsageError(f"probabilities must lie in [0, 1]: {list(probs)}.")
        values = np.quantile(self.values, probs, axis=0)  # (P, H, K)
        index = pd.MultiIndex.from_product([self.periods, list(probs)], names=["period", "prob"])
        return pd.DataFrame(values.swapaxes(0, 1).reshape(-1, len(self.targets)), index, list(self.targets))

    def probability(self, *, above: float | None = None, below: float | None = None) -> pd.DataFrame:
        """(H, K) share of draws above and/or below thresholds given in each target's unit."""
        if above is None and below is None:
            raise UsageError("probability() needs above=, below= or both.")
        inside = np.ones(self.values.shape, dtype=bool)
        if above is not None:
            inside &= self.values > above
        if below is not None:
            inside &= self.values < below
        return self._table(inside.mean(axis=0))

    def _table(self, values: NDArray[np.float64]) -> pd.DataFrame:
        return pd.DataFrame(values, self.periods, list(self.targets))
