"""Tables of tests: which models may be the best, are they calibrated, and what of the cases above a threshold?"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from typing import Any

import pandas as pd

from forecast.backtest.plan import BacktestPlan
from forecast.evaluation.inference import overlap
from forecast.report.figures import weeks_ahead
from forecast.report.tables import Entry, Table, groups, number, p_value, percent, records, row_name, unit_label

# From so many cells of their own on, forecasts that overlap can show a difference of usual size.
_ENOUGH = 10


def confidence_table(sets: pd.DataFrame, beaten: pd.DataFrame, *, benchmark: str) -> Table:
    """Which models may be the best, by regime, grouped by horizon; and whether any beat the benchmark.

    Parameters
    ----------
    sets   : rows of ``Scorecard.confidence_sets`` of one target
    beaten : rows of ``Scorecard.superior`` of the same target
    """
    regimes = tuple(sets["regime"].unique())
    everywhere = "All origins" if len(regimes) > 1 else "Confidence set"
    best = beaten.groupby(["horizon", "regime"], sort=False)["p_value"].min().to_dict()

    def rows(horizon: int, panel: pd.DataFrame) -> Iterator[tuple[Entry, ...]]:
        for key, each in groups(panel, ["model", "conditioning"]):
            by_regime = {row.regime: row for row in records(each)}
            yield (Entry(row_name(*key), style=""), *(_membership(by_regime.get(regime)) for regime in regimes))
        answers = (Entry(p_value(best.get((horizon, regime), float("nan")))) for regime in regimes)
        yield (Entry(f"p-value: none beats {benchmark}", style=""), *answers)

    ordered = sets.sort_values("horizon", kind="stable")
    by_horizon = [(weeks_ahead(h), tuple(rows(h, panel))) for h, panel in groups(ordered, "horizon")]
    caption = (
        "Model confidence sets at 10 percent (CRPS): a best model is left out of its set in at most one of ten such tables. "
        "Beneath: the p-value with which a model leaves, and the number of origins that all models share. Last row of "
        f"each horizon: would the best of so many models be that much better than {benchmark} by luck?"
    )
    return Table(caption, ("Model", *(everywhere if name == "all" else name for name in regimes)), tuple(by_horizon))


def _membership(row: Any) -> Entry:
    if row is None:
        return Entry("–")
    if row.reason:
        return Entry("–", row.reason)
    return Entry("inside" if row.inside else "out", f"p {p_value(row.p_value)} · n {row.n:,}")


_COVERED = (("50 %", "covered_50"), ("80 %", "covered_80"), ("90 %", "covered_90"), ("95 %", "covered_95"))


def calibration_table(tested: pd.DataFrame) -> Table:
    """Shares inside the central intervals with p-values, grouped by horizon.

    Parameters
    ----------
    tested : rows of ``calibration.calibration_tests`` of one target
    """

    def entries(row: Any) -> tuple[Entry, ...]:
        shares = (
            Entry(percent(getattr(row, name)), f"p {p_value(getattr(row, f'{name}_p_value'))}") for _, name in _COVERED
        )
        whole = Entry(p_value(row.pit_p_value))
        return (Entry(row_name(row.model, row.conditioning), style=""), Entry(f"{row.n:,}"), whole, *shares)

    ordered = tested.sort_values("horizon", kind="stable")
    by_horizon = [(weeks_ahead(h), tuple(map(entries, records(panel)))) for h, panel in groups(ordered, "horizon")]
    caption = (
        "Could a calibrated forecast look like this? p-value of the whole distribution (one week ahead Berkowitz's test, beyond it "
        "the distance of the transforms from uniform), and the share inside each central interval with its p-value (Kupiec; "
        "beyond one week simulated, counting the overlap). Not corrected for the number of tests."
    )
    return Table(
        caption, ("Model", "Cells", "Distribution", *(f"Inside {name}" for name, _ in _COVERED)), tuple(by_horizon)
    )


def threshold_table(summary: pd.DataFrame, thresholds: Sequence[float]) -> Table:
    """Brier score and weighted CRPS at each threshold of one target, with the number of events, grouped by horizon."""
    unit = unit_label(str(summary["unit"].iloc[0]))

    def rows(panel: pd.DataFrame) -> Iterator[tuple[Entry, ...]]:
        for model in panel.to_dict("records"):
            entries = (_at_threshold(model, level) for level in thresholds)
            yield (Entry(row_name(model["model"], model["conditioning"]), style=""), *entries)

    ordered = summary.sort_values("horizon", kind="stable")
    by_horizon = [(weeks_ahead(h), tuple(rows(panel))) for h, panel in groups(ordered, "horizon")]
    caption = (
        "Brier score of the probability of an outcome above the threshold, each model on its own cells; lower is better. "
        f"Beneath: CRPS of what lies above the threshold (in {unit}), and in how many cells the outcome did. "
        "Few events say little, however low the score."
    )
    return Table(caption, ("Model", *(f"Above {number(level)} {unit}" for level in thresholds)), tuple(by_horizon))


def _at_threshold(row: dict[Hashable, Any], level: float) -> Entry:
    brier, weighted, events = (row[f"{name}_above_{level:g}"] for name in ("brier", "twcrps", "events"))
    return Entry(number(brier), f"CRPS above {number(weighted)} · {events:,.0f} of {row['n']:,}")


def thin_cases(compared: pd.DataFrame, plan: BacktestPlan) -> str:
    """Where so few cells do not overlap that only a large difference can be seen; empty if nowhere.

    Parameters
    ----------
    compared : rows of ``Scorecard.against``
    """
    said = []
    for (horizon, regime), rows in groups(compared, ["horizon", "regime"]):
        n = int(rows["n"].max())
        own = n / (overlap(pd.DatetimeIndex(plan.origins), horizon) + 1)
        if own < _ENOUGH:
            where = "over all origins" if regime == "all" else f"in “{regime}”"
            said.append(f"{weeks_ahead(horizon)} {where} ({n:,} origins, {number(own, 2)} without overlap)")
    if not said:
        return ""
    return (
        f"Few cells of their own: {'; '.join(said)}. Overlapping forecasts repeat each other; the tests count them for less, "
        "so there only a large difference can be significant, and “not significant” says little."
    )
