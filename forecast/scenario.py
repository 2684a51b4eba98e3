"""Assumed, projected or realised paths of features, handed to a model for its future."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.errors import NeedsScenarioError, UsageError

if TYPE_CHECKING:
    import xarray as xr


@dataclass(frozen=True, slots=True, eq=False)
class Scenario:
    """Paths of features.

    name     : how reports call it
    values   : (S, P, F) path x period x feature, in each feature's unit
    periods  : (P,) reserve weeks; may begin before the first future week where a series is late
    features : (F,) names

    Forecast draw i uses path i mod S.
    """

    name: str
    values: NDArray[np.float64]
    periods: pd.DatetimeIndex
    features: tuple[str, ...]

    def __post_init__(self) -> None:
        expected = (len(self.periods), len(self.features))
        if self.values.ndim != 3 or self.values.shape[1:] != expected:
            raise UsageError(f"scenario {self.name!r}: shape {self.values.shape}; expected (paths, {expected}).")

    @property
    def paths(self) -> xr.DataArray:
        """The paths as xarray, draw x period x feature."""
        import xarray as xr

        coords = {"period": self.periods, "feature": list(self.features)}
        return xr.DataArray(self.values, dims=("draw", "period", "feature"), coords=coords, name=self.name)

    def path(self, feature: str, periods: pd.DatetimeIndex, n_draws: int) -> NDArray[np.float64]:
        """(n_draws, len(periods)) values of one feature; draw i uses path i mod S.

        Raises
        ------
        NeedsScenarioError : the feature or one of the periods is not in the scenario, or is missing there
        """
        if feature not in self.features:
            raise NeedsScenarioError(f"scenario {self.name!r} has no path of {feature!r}; it has {self.features}.")
        position = self.periods.get_indexer(periods)
        values = self.values[:, position, self.features.index(feature)]
        if (position < 0).any() or np.isnan(values).any():
            missing = periods[(position < 0) | np.isnan(values).any(axis=0)][0]
            raise NeedsScenarioError(f"scenario {self.name!r} has no {feature!r} for the week to {missing:%Y-%m-%d}.")
        return values[np.arange(n_draws) % len(values)]
