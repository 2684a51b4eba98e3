"""Is anything dated before the public could know it? The release times of vintages against the publishers' calendar."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from forecast.calendar import NEW_YORK, earliest_public
from forecast.data.catalog import catalog
from forecast.data.vintages import Vintages

# Rules of series whose whole past is estimated again with every publication: factor models of the yield curve,
# and indices of financial conditions.
REESTIMATED = frozenset({"term_structure_model", "weekly_index", "stress_index"})


@dataclass(frozen=True, slots=True)
class EarlyRelease:
    """Values that stand in the vintages before they could be known.

    series   : plain name
    n        : how many values
    period   : the first of them
    released : when it is said to have been public, New York time
    earliest : when it could be at the earliest; None where no time is early enough, because the value was
               estimated with later data
    """

    series: str
    n: int
    period: pd.Timestamp
    released: pd.Timestamp
    earliest: pd.Timestamp | None

    def __str__(self) -> str:
        said = (
            f"{self.series!r}: {self.n} values, first that for {self.period:%Y-%m-%d} at {self.released:%Y-%m-%d %H:%M}"
        )
        if self.earliest is None:
            return f"{said}, are estimates made with later data"
        return f"{said}, are dated too early; it came at {self.earliest:%Y-%m-%d %H:%M}"


def check_releases(vintages: Vintages) -> list[EarlyRelease]:
    """Compare every release time with the embedded calendar, and find estimates that were made later.

    Where the calendar is exact the release time itself is the bound, elsewhere the beginning of the period's last
    day. A series that this package does not know is held to the rule that its own catalogue gives.

    Returns
    -------
    list of series with values dated too early, empty if there are none
    """
    early = []
    for name, rows in vintages.observations.groupby("series", observed=True):
        spec = catalog().get(str(name), vintages.catalog[str(name)])
        bounds = earliest_public(spec.release, rows["period"], spec.frequency)
        before = pd.DatetimeIndex(rows["released"]) < bounds
        if before.any():
            early.append(_early(str(name), rows, np.asarray(before), bounds))
        if spec.release in REESTIMATED and rows["pseudo"].any():
            early.append(_early(str(name), rows, rows["pseudo"].to_numpy(dtype=bool), None))
    return early


def _early(name: str, rows: pd.DataFrame, chosen: np.ndarray, bounds: pd.DatetimeIndex | None) -> EarlyRelease:
    first = int(chosen.argmax())
    released = rows["released"].iloc[first].tz_convert(NEW_YORK)
    earliest = None if bounds is None else bounds[first].tz_convert(NEW_YORK)
    return EarlyRelease(name, int(chosen.sum()), rows["period"].iloc[first], released, earliest)
