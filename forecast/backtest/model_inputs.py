"""What one model said at past origins as a feature of another: how a pressure model sees the distance to the kink.

A feature ``label_target_hN`` is the predictive mean of the target N weeks ahead as the model ``label`` gave it,
unconditionally, at each past origin. It is read from finished cells, so it never knows more than that origin did;
an estimate on the full sample would. The answer given at an origin belongs to the last week over there and
stands until the next one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.backtest.cells import Cell, nanoseconds
from forecast.backtest.plan import BacktestPlan, ModelEntry
from forecast.errors import UsageError
from forecast.features.transforms import last_week_over
from forecast.model import Model
from forecast.units import Unit

type Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """One number that a model gave at each of some origins.

    origins : (n,) nanoseconds since 1970 (UTC), rising
    weeks   : (n,) the last reserve week over at each origin
    values  : (n,) in ``unit``
    unit    : of the target that was forecast
    """

    origins: NDArray[np.int64]
    weeks: NDArray[np.datetime64]
    values: Array
    unit: Unit

    def until(self, origin: pd.Timestamp) -> int:
        """How many of the answers had been given by an origin, the one given there included."""
        return int(np.searchsorted(self.origins, nanoseconds(origin), side="right"))

    def column(self, periods: pd.DatetimeIndex, origin: pd.Timestamp) -> Array:
        """(T,) the last answer given by the end of each reserve week and by ``origin``; missing before the first."""
        n = self.until(origin)
        latest = np.searchsorted(self.weeks[:n], periods.to_numpy(), side="right")
        return np.concatenate([[np.nan], self.values[:n]])[latest]

    def digest(self, origin: pd.Timestamp) -> str:
        """Hash of the answers given by an origin."""
        n = self.until(origin)
        return hashlib.blake2b(self.origins[:n].tobytes() + self.values[:n].tobytes(), digest_size=16).hexdigest()


def input_names(plan: BacktestPlan, entry: ModelEntry) -> dict[str, tuple[str, str, int]]:
    """Every feature that a model may take from others: name -> (label, target, weeks ahead)."""
    return {
        f"{label}_{target}_h{h}": (label, target, h)
        for label in entry.inputs_from
        for target in plan.targets
        for h in range(1, max(plan.horizons) + 1)
    }


def inputs_used(plan: BacktestPlan, entry: ModelEntry, model: Model) -> dict[str, tuple[str, str, int]]:
    """Those that it does take.

    Raises
    ------
    UsageError : it takes none from a model that it lists, or wants to know the future of one
    """
    offered = input_names(plan, entry)
    used = {name: offered[name] for name in model.features if name in offered}
    for label in entry.inputs_from:
        if label not in {source for source, _, _ in used.values()}:
            example = f"{label}_{plan.targets[0]}_h{plan.horizons[0]}"
            raise UsageError(
                f"[models.{entry.label}] lists inputs_from = {label!r}, but none of its features is an answer of it. "
                f"Name one in its features: label, target and weeks ahead, such as {example!r}."
            )
    if set(used) & set(model.needs):
        raise UsageError(
            f"[models.{entry.label}]: {entry.name!r} needs the future of {', '.join(sorted(set(used) & set(model.needs)))}, "
            "which no scenario holds. Use a model that reads features as published, such as 'direct_regression'."
        )
    return used


def answers_for(
    wanted: Mapping[str, tuple[str, str, int]], cells: Iterable[Cell], units: Mapping[str, Unit]
) -> dict[str, Answers]:
    """The answers of finished cells, by name of the feature; a cell without a forecast gave none."""
    given: dict[str, list[Cell]] = {}
    for cell in cells:
        if cell.status == "ok" and cell.conditioning == "none":
            given.setdefault(cell.model, []).append(cell)
    return {
        name: _answers(given.get(label, []), target, h, units[target]) for name, (label, target, h) in wanted.items()
    }


def _answers(cells: Iterable[Cell], target: str, h: int, unit: Unit) -> Answers:
    rows = sorted(
        (nanoseconds(cell.origin), last_week_over(cell.origin).to_datetime64(), cell.quantiles[-1, h - 1, k])
        for cell in cells
        if cell.quantiles is not None and target in cell.targets and h <= cell.quantiles.shape[1]
        for k in [cell.targets.index(target)]
    )
    origins, weeks, values = zip(*rows, strict=True) if rows else ((), (), ())
    return Answers(
        np.array(origins, dtype=np.int64), np.array(weeks, dtype="datetime64[us]"), np.array(values, dtype=float), unit
    )
