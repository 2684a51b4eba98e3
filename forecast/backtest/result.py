"""What a backtest leaves behind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from forecast.backtest.plan import BacktestPlan
from forecast.evaluation.scorecard import Scorecard

# Quantiles kept of every predictive distribution, as columns q01 ... q99 of ``forecasts``.
QUANTILES = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.975, 0.99)


def quantile_column(prob: float) -> str:
    """Column of a kept quantile: q05 for 0.05, q975 for 0.975."""
    return "q" + f"{prob:.3f}"[2:].removesuffix("0")


@dataclass(frozen=True, slots=True, eq=False)
class BacktestResult:
    """A finished backtest.

    run_id    : folder name under ``runs/``
    plan      : what was asked
    scorecard : scores at the plan's horizons
    forecasts : one row a model x conditioning x target x origin x horizon (every week up to the
                last horizon): period, mean, one column a kept quantile, outcome (missing if unknown), unit
    cells     : one row a model x conditioning x origin that was asked: status ("ok", "degraded", "failed",
                "refused"), reason, traceback (of unexpected errors), seconds, targets (comma-separated), content
                (hash of the draws)
    data      : one row a series used: name, id, title, unit, provider, first, last, vintages
                ("single" or "several"), pseudo_share, note (e.g. "transcribed", "simulated")
    about     : versions, machine, start, seconds, content hash
    """

    run_id: str
    plan: BacktestPlan
    scorecard: Scorecard
    forecasts: pd.DataFrame
    cells: pd.DataFrame
    data: pd.DataFrame
    about: Mapping[str, Any]
