"""A run as one self-contained HTML file: no script, no network, readable on screen, on paper and in the dark.

Everything a plan, a model or a provider may have named is text: Jinja2 escapes it, and the
only markup let through is what :mod:`forecast.report.svg` drew. A content security policy
forbids scripts and requests in case something were overlooked.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from forecast.backtest.plan import BacktestPlan
from forecast.backtest.result import BacktestResult
from forecast.errors import UnknownNameError, UsageError
from forecast.evaluation.calibration import calibration_tests
from forecast.evaluation.leaders import Regime
from forecast.features.feature_set import find_feature
from forecast.report import charts, provenance
from forecast.report.findings import Finding, exact_zeros, findings, overall
from forecast.report.leader_tables import calibration_table, confidence_table, thin_cases, threshold_table
from forecast.report.page import page
from forecast.report.svg import Look, looks
from forecast.report.tables import (
    Table,
    comparison_details,
    number,
    other_scores,
    percent,
    regime_table,
    score_matrix,
    unit_label,
)
from forecast.tables import write_atomically


def write_report(result: BacktestResult, path: Path) -> Path:
    """Write the report of a run, whole or not at all.

    Parameters
    ----------
    result : a finished backtest
    path   : where, usually ``report.html`` in the run's folder

    Returns
    -------
    path
    """
    write_atomically(path, render(result).encode())
    return path


def render(result: BacktestResult) -> str:
    """The report as HTML. The same result gives the same text."""
    return page("report.html.j2", _context(result))


@dataclass(frozen=True, slots=True, eq=False)
class TargetScores:
    """The tables of one target: compact, then what stands behind it."""

    target: str
    matrix: Table
    details: tuple[Table, ...]


@dataclass(frozen=True, slots=True, eq=False)
class TargetCharts:
    """The charts of one target under one conditioning."""

    target: str
    conditioning: str
    fan: charts.Chart | None
    calibration: tuple[charts.Chart, ...]
    differences: charts.Chart | None


def _context(result: BacktestResult) -> dict[str, Any]:
    plan, table = result.plan, result.scorecard.table
    styles = looks([entry.label for entry in plan.models], plan.benchmark)
    compared = _compared(result)
    everywhere = compared[compared["regime"] == "all"]
    zeros = exact_zeros(table, plan.benchmark)
    reasons, left_out = provenance.failures(result.cells)
    return {
        "run_id": result.run_id,
        "title": plan.title,
        "question": plan.question,
        "asked": _asked(result),
        "overall": overall(everywhere, benchmark=plan.benchmark),
        "findings": _told(everywhere, zeros, plan),
        "scores": list(_scores(result, compared)),
        "thin": thin_cases(compared, plan),
        "charts": list(_charts(result, everywhere, styles)),
        "styles": styles,
        "descriptions": {target: _description(target) for target in plan.targets},
        "regimes": plan.regimes,
        "benchmark": plan.benchmark,
        "statuses": result.cells["status"].value_counts().to_dict(),
        "counts": provenance.cell_counts(result.cells),
        "reasons": reasons,
        "reasons_left_out": left_out,
        "data": provenance.data_table(result.data),
        "data_warnings": provenance.data_warnings(result.data),
        "about": _about(result),
        "versions": result.about.get("versions", {}),
        "plan": provenance.plan_listing(plan),
    }


def _compared(result: BacktestResult) -> pd.DataFrame:
    """Comparisons with the benchmark; an empty table where the benchmark itself has no score."""
    try:
        compared = result.scorecard.against(result.plan.benchmark, score="crps", regimes=_regimes(result.plan))
        return _in_plan_order(compared, result.plan)
    except UsageError:
        none = result.scorecard.table.iloc[:0]
        columns = (
            "regime",
            "n",
            "mean",
            "benchmark",
            "skill",
            "difference",
            "standard_error",
            "p_value",
            "share_zero",
            "moved",
        )
        return none.assign(**dict.fromkeys(columns, 0.0), reason="")


def _regimes(plan: BacktestPlan) -> list[Regime]:
    return [(regime.name, regime.first, regime.last) for regime in plan.regimes]


def _told(compared: pd.DataFrame, zeros: pd.DataFrame, plan: BacktestPlan) -> list[Finding]:
    order = {target: place for place, target in enumerate(plan.targets)}
    told = findings(compared, zeros, benchmark=plan.benchmark)
    return sorted(told, key=lambda finding: (finding.conditioning != "none", order.get(finding.target, len(order))))


def _in_plan_order(rows: pd.DataFrame, plan: BacktestPlan) -> pd.DataFrame:
    """Models in the order of the plan, the benchmark first, as in the legends."""
    place = {label: k for k, label in enumerate(looks([entry.label for entry in plan.models], plan.benchmark))}
    return rows.sort_values("model", key=lambda models: models.map(place), kind="stable", ignore_index=True)


_CONDITIONING = {
    "none": "none: a model forecasts what it needs",
    "projected": "projected: a model is given paths that another model drew at the same origin",
    "realised": "realised: a model is given what came true (conditional, not a real-time forecast)",
}
_OUTCOME = {"first_release": "first release of each value", "final": "latest known value"}


def _asked(result: BacktestResult) -> list[tuple[str, str]]:
    plan = result.plan
    units = result.forecasts.drop_duplicates("target").set_index("target")["unit"]
    named = [f"{target} ({unit_label(str(units[target]))})" if target in units else target for target in plan.targets]
    origins = plan.origins
    spread = f"{origins[0]:%Y-%m-%d} to {origins[-1]:%Y-%m-%d}, {origins[0]:%H:%M} New York time"
    return [
        ("Targets", ", ".join(named)),
        ("Models", f"{len(plan.models)}, compared with {plan.benchmark}"),
        ("Origins", f"{len(origins):,}: {spread}"),
        ("Horizons", f"{', '.join(map(str, plan.horizons))} reserve weeks ahead"),
        ("Estimation", _window(plan)),
        ("Conditioning", "; ".join(_CONDITIONING[word] for word in plan.conditioning)),
        ("Outcome", _OUTCOME[plan.outcome]),
        ("Data", "simulated economy, not actual data" if plan.data == "synthetic" else "imported archive"),
    ]


def _window(plan: BacktestPlan) -> str:
    since = f"from {plan.window.start:%Y-%m-%d}" if plan.window.start is not None else "from the first value"
    if plan.window.weeks is None:
        return f"expanding window, {since}"
    return f"rolling window of {plan.window.weeks} weeks, {since} at the earliest"


def _description(target: str) -> str:
    try:
        return find_feature(target).description
    except UnknownNameError:
        return ""


def _scores(result: BacktestResult, compared: pd.DataFrame) -> Iterator[TargetScores]:
    plan, summary = result.plan, _in_plan_order(result.scorecard.summary(), result.plan)
    sets = _in_plan_order(result.scorecard.confidence_sets(regimes=_regimes(plan)), plan)
    beaten = result.scorecard.superior(plan.benchmark, regimes=_regimes(plan))
    tested = _in_plan_order(calibration_tests(result.scorecard.table), plan)
    for target in plan.targets:
        own = summary[summary["target"] == target]
        if own.empty:
            continue
        rows = compared[compared["target"] == target]
        everywhere = rows[rows["regime"] == "all"]
        matrix = score_matrix(own, everywhere, benchmark=plan.benchmark, horizons=plan.horizons)
        details = [other_scores(own)]
        if len(everywhere):
            details.insert(0, comparison_details(everywhere, benchmark=plan.benchmark))
        if len(rows) and plan.regimes:
            details.append(regime_table(rows, benchmark=plan.benchmark))
        mine = (sets[sets["target"] == target], beaten[beaten["target"] == target])
        details.append(confidence_table(*mine, benchmark=plan.benchmark))
        details.append(calibration_table(tested[tested["target"] == target]))
        if target in plan.thresholds:
            details.append(threshold_table(own, plan.thresholds[target]))
        yield TargetScores(target, matrix, tuple(details))


def _charts(result: BacktestResult, compared: pd.DataFrame, styles: dict[str, Look]) -> Iterator[TargetCharts]:
    table = result.scorecard.table
    sampled = charts.sampled_models(result.plan)
    present = set(table[["target", "conditioning"]].drop_duplicates().itertuples(index=False, name=None))
    for conditioning in _CONDITIONING:
        for target in result.plan.targets:
            if (target, conditioning) not in present:
                continue
            models = charts.fan_models(compared, target, conditioning, benchmark=result.plan.benchmark, sampled=sampled)
            yield TargetCharts(
                target,
                conditioning,
                charts.fans(result, target, conditioning, models, styles),
                tuple(charts.calibration(result, target, conditioning, styles)),
                charts.differences(result, target, conditioning, styles),
            )


def _about(result: BacktestResult) -> list[tuple[str, str]]:
    about = {key: value for key, value in result.about.items() if key != "versions"}
    words = {"seconds": "Duration", "content": "Content hash"}
    text = {key: f"{number(value, 4)} s" if key == "seconds" else str(value) for key, value in about.items()}
    named = [(words.get(key, key.capitalize()), value) for key, value in text.items()]
    answered = (result.cells["status"] == "ok").mean() if len(result.cells) else float("nan")
    return [
        ("Run", result.run_id),
        *named,
        ("Seed", str(result.plan.seed)),
        ("Draws a forecast", f"{result.plan.n_draws:,}"),
        ("Cells", f"{len(result.cells):,}, {percent(answered)} answered"),
    ]
