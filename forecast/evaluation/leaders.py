"""Which models lead? By target, horizon and regime, counting that many were tried."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import pandas as pd

from forecast.evaluation.confidence_set import confidence_set, superior_models
from forecast.evaluation.inference import overlap

type Regime = tuple[str, pd.Timestamp, pd.Timestamp]  # name, first and last day of the origins, both inside

_CASE = ["conditioning", "target", "unit", "horizon"]
_SET = (*_CASE, "regime", "model", "n", "mean", "p_value", "inside", "reason")
_SUPERIOR = ("target", "unit", "horizon", "regime", "model", "n", "difference", "t", "p_value", "reason")
# A model asked more rarely would take most origins from all the others.
_MOST = 0.9


def by_regime(cells: pd.DataFrame, regimes: Sequence[Regime]) -> Iterator[tuple[str, pd.DataFrame]]:
    """The cells of all origins, then of each regime that has any."""
    yield "all", cells
    days = cells["origin"].dt.tz_localize(None).dt.normalize()
    for name, first, last in regimes:
        inside = cells[(days >= first) & (days <= last)]
        if len(inside):
            yield name, inside


def confidence_sets(table: pd.DataFrame, *, score: str, regimes: Sequence[Regime], size: float) -> pd.DataFrame:
    """Model confidence sets; see :meth:`forecast.evaluation.scorecard.Scorecard.confidence_sets`."""
    rows = []
    for case, losses, n_own in _losses(table, score, regimes):
        lags = overlap(pd.DatetimeIndex(losses.index), case["horizon"])
        found = confidence_set(losses, lags=lags, size=size).to_dict("index")
        for model, n in n_own.items():
            outside = {"n": n, "reason": f"asked at {n} of {max(n_own.values())} origins"}
            rows.append(case | {"model": model} | found.get(model, outside))
    sets = pd.DataFrame(rows, columns=list(_SET))
    return sets.astype({"inside": "boolean", "p_value": "float64", "mean": "float64"})


def superior(table: pd.DataFrame, benchmark: str, *, score: str, regimes: Sequence[Regime]) -> pd.DataFrame:
    """Models that beat the benchmark; see :meth:`forecast.evaluation.scorecard.Scorecard.superior`."""
    rows = []
    for case, losses, _ in _losses(table[table["conditioning"] == "none"], score, regimes):
        if benchmark in losses:
            lags = overlap(pd.DatetimeIndex(losses.index), case["horizon"])
            found = superior_models(losses, benchmark, lags=lags).to_dict("index")
            rows += [case | {"model": model} | row for model, row in found.items()]
    return pd.DataFrame(rows, columns=list(_SUPERIOR))


def _losses(
    table: pd.DataFrame, score: str, regimes: Sequence[Regime]
) -> Iterator[tuple[dict[str, Any], pd.DataFrame, dict[Any, int]]]:
    """Case, losses (origin x model) of the models that have most origins where all have them, and everyone's origins."""
    known = table[table[score].notna()]
    groups: Iterable[tuple[Any, pd.DataFrame]] = known.groupby(_CASE, sort=False)
    for key, cells in groups:
        for regime, some in by_regime(cells, regimes):
            losses = some.pivot_table(index="origin", columns="model", values=score, sort=False).sort_index()
            n = losses.count()
            case = dict(zip(_CASE, key, strict=True)) | {"regime": regime}
            yield case, losses[n.index[n >= _MOST * n.max()]].dropna(), n.to_dict()
