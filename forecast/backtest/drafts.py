"""Drafts: cells that have been forecast, and how they are scored against what happened."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.backtest.cells import NOT_ASKED, Cell
from forecast.backtest.plan import BacktestPlan, ModelEntry
from forecast.backtest.result import QUANTILES
from forecast.evaluation.scores import score_cells
from forecast.features.feature_set import Design
from forecast.features.transforms import WEEK, microseconds
from forecast.predictive import PredictiveDistribution

type Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Draft:
    """A cell before it is scored; ``uniform`` (h, K) from its own generator breaks ties."""

    cell: Cell
    forecast: PredictiveDistribution | None = None
    uniform: Array | None = None

    @property
    def nbytes(self) -> int:
        """Memory that the draws hold until they are scored."""
        return self.forecast.values.nbytes if self.forecast else 0


def not_asked(entry: ModelEntry, conditioning: str, origin: pd.Timestamp) -> Draft:
    """A cell that is none: no target is known for long enough, or the conditioning makes no difference."""
    return Draft(Cell(entry.label, conditioning, origin, NOT_ASKED))


def settle(plan: BacktestPlan, realised: Design, drafts: Sequence[Draft]) -> list[Cell]:
    """Score drafts, those of one shape at once: no number depends on what is scored beside it."""
    cells = [draft.cell for draft in drafts]
    alike: dict[tuple[tuple[str, ...], int], list[int]] = {}
    for i, draft in enumerate(drafts):
        if draft.forecast is not None:
            alike.setdefault((draft.cell.targets, len(draft.forecast.periods)), []).append(i)
    for places in alike.values():
        for i, cell in zip(places, _scored(plan, realised, [drafts[i] for i in places]), strict=True):
            cells[i] = cell
    return cells


def _scored(plan: BacktestPlan, realised: Design, drafts: Sequence[Draft]) -> Iterator[Cell]:
    """Finished cells of drafts with the same targets and number of weeks."""
    targets = drafts[0].cell.targets
    values = [draft.forecast.values for draft in drafts if draft.forecast]
    C, (D, H, K) = len(values), values[0].shape
    draws = np.empty((C, H, K, D))
    for c, each in enumerate(values):
        draws[c] = each.transpose(1, 2, 0)
    draws.sort(axis=-1)
    kept = np.concatenate([sorted_quantiles(draws, QUANTILES), draws.mean(axis=-1)[None]])  # (Q, C, H, K)
    outcomes = _outcomes(realised, drafts, targets)  # (C, H, K)
    rows = [h - 1 for h in plan.horizons if h <= H]
    scores = score_cells(
        np.concatenate([each[:, rows] for each in values], axis=1),
        outcomes[:, rows].reshape(-1, K),
        np.array([plan.step_of(target) for target in targets]),
        uniform=np.concatenate([draft.uniform for draft in drafts if draft.uniform is not None]),
        paths=[len(rows)] * C,
        thresholds=plan.thresholds_of(targets),
    )
    table = np.stack(list(scores.values())).reshape(len(scores), C, len(rows), K)
    for c, draft in enumerate(drafts):
        yield replace(
            draft.cell,
            quantiles=kept[:, c].copy(),
            outcomes=outcomes[c],
            scores=table[:, c].copy(),
            score_names=tuple(scores),
            content=hashlib.sha256(np.ascontiguousarray(values[c])).hexdigest(),
        )


def sorted_quantiles(draws: Array, probs: Sequence[float]) -> Array:
    """(Q, ...) quantiles of rising draws (..., D), as ``np.quantile`` defines them."""
    position = np.asarray(probs) * (draws.shape[-1] - 1)
    left = position.astype(np.intp)
    low, high = draws[..., left], draws[..., np.minimum(left + 1, draws.shape[-1] - 1)]
    weight = position - left
    # From the nearer end, so that neighbouring quantiles never cross by a rounding error.
    from_low, from_high = low + (high - low) * weight, high - (high - low) * (1 - weight)
    return np.moveaxis(np.where(weight < 0.5, from_low, from_high), -1, 0)


def _outcomes(realised: Design, drafts: Sequence[Draft], targets: tuple[str, ...]) -> Array:
    """(C, H, K) what happened in the consecutive weeks of each draft, missing where unknown."""
    known, first = realised.target_table.columns(targets), microseconds(realised.target_table.periods)[0]
    asked = [microseconds(draft.cell.periods) for draft in drafts if draft.cell.periods is not None]
    starts, weeks = np.array([periods[0] for periods in asked]), len(asked[0])
    row = ((starts - first) // WEEK)[:, None] + np.arange(weeks)
    inside = (row >= 0) & (row < len(known))
    return np.where(inside[..., None], known[np.where(inside, row, 0)], np.nan)
