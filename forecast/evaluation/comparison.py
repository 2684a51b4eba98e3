"""Has a model become worse? Two scorecards of the same plan, cell by cell."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from forecast.evaluation.inference import overlap, standard_error_of_mean

SERIES = ["model", "conditioning", "target", "horizon"]
WORSE = (*SERIES, "n", "mean", "reference", "difference", "standard_error", "reason")

# Stored scores are rounded to six digits, and machines differ in the last ones; no one would call that worse.
_ROUNDING = 1e-5


def worsened(now: pd.DataFrame, before: pd.DataFrame, *, score: str, tolerance: float) -> pd.DataFrame:
    """What stands worse in one scorecard's table than in another's, and what cannot be held against it.

        d(o) = score now - score before, at each origin o that both have,    worse if mean(d) > tolerance * se(mean(d))

    The standard error is that of overlapping differences (:func:`standard_error_of_mean`): a model that was not touched
    has d = 0 and never appears; one that draws other random numbers does so rarely, at one standard error in about
    16 percent of its series. A difference that never changes has no standard error to excuse it.

    Parameters
    ----------
    now, before : tables of scorecards
    score       : a score's column
    tolerance   : standard errors

    Returns
    -------
    One row a model x conditioning x target x horizon with a reason to look, columns :data:`WORSE`: n common cells,
    the mean scores on them (mean now, reference before), their difference and its standard error
    """
    key = [*SERIES, "origin"]
    both = _known(now, score).merge(
        _known(before, score), on=key, how="outer", suffixes=("", "_before"), indicator=True
    )
    rows = []
    for series, cells in both.sort_values("origin").groupby(SERIES):
        row = _held_against(cells, score=score, tolerance=tolerance)
        if row["reason"]:
            rows.append(dict(zip(SERIES, series, strict=True)) | row)
    return pd.DataFrame(rows, columns=list(WORSE))


def _known(table: pd.DataFrame, score: str) -> pd.DataFrame:
    return table.loc[table[score].notna(), [*SERIES, "origin", "outcome", score]].rename(columns={score: "score"})


def _held_against(cells: pd.DataFrame, *, score: str, tolerance: float) -> dict[str, Any]:
    common = cells[cells["_merge"] == "both"]
    now, before = common["score"].to_numpy(), common["score_before"].to_numpy()
    d = now - before
    difference = float(d.mean()) if len(d) else np.nan
    lags = overlap(common["origin"], int(cells["horizon"].iloc[0]))
    error = standard_error_of_mean(d, lags)[0] if len(d) > 1 else np.nan
    reasons = list(_not_common(cells))
    if len(d) and difference > _ROUNDING * np.abs(before).mean() and not difference <= tolerance * error:
        times = f", {difference / error:.1f} standard errors" if error > 0 else ""
        reasons.insert(0, f"{score} worse by {difference:.4g}{times}")
    changed = int((~np.isclose(common["outcome"], common["outcome_before"], rtol=1e-9, atol=1e-9)).sum())
    if changed:
        reasons.append(f"outcomes differ in {changed} of {len(d)} cells: not the same data")
    return {
        "n": len(d),
        "mean": float(now.mean()) if len(d) else np.nan,
        "reference": float(before.mean()) if len(d) else np.nan,
        "difference": difference,
        "standard_error": error,
        "reason": "; ".join(reasons),
    }


def _not_common(cells: pd.DataFrame) -> Iterator[str]:
    """What one side has and the other lacks, in words."""
    for lacking, where in (("right_only", "here"), ("left_only", "in the reference")):
        lost = int((cells["_merge"] == lacking).sum())
        if lost:
            yield f"missing {where}" if lost == len(cells) else f"{lost} of {len(cells)} cells missing {where}"
