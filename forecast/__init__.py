"""Scored forecasts of reserve demand, money-market pressure and bond yields from a central bank's balance sheet."""

from __future__ import annotations

from importlib import import_module
from typing import Any

# What a notebook reaches for, imported when it is first used: `import forecast` itself costs nothing.
_EXPORTS = {
    "Economy": "forecast.data.synthetic",
    "simulate": "forecast.data.synthetic",
    "load_vintages": "forecast.data.store",
    "Panel": "forecast.data.vintages",
    "Vintages": "forecast.data.vintages",
    "FeatureSet": "forecast.features.feature_set",
    "Design": "forecast.features.feature_set",
    "Scenario": "forecast.scenario",
    "PredictiveDistribution": "forecast.predictive",
    "create": "forecast.registry",
    "BacktestPlan": "forecast.backtest.plan",
    "parse_plan": "forecast.backtest.plan",
    "read_plan": "forecast.backtest.plan",
    "run_backtest": "forecast.backtest.run",
    "load_result": "forecast.backtest.stored",
    "Scorecard": "forecast.evaluation.scorecard",
    "write_report": "forecast.report.html",
    "AmplenessQuestion": "forecast.report.ampleness_question",
    "ask_ampleness": "forecast.report.ampleness_question",
    "print_assessment": "forecast.report.ampleness_screen",
    "write_ampleness": "forecast.report.ampleness",
}

__all__ = sorted(_EXPORTS)  # noqa: PLE0605  the table above is the list


def __getattr__(name: str) -> Any:
    if name not in _EXPORTS:
        raise AttributeError(f"module 'forecast' has no attribute {name!r}")
    return getattr(import_module(_EXPORTS[name]), name)


def __dir__() -> list[str]:
    return __all__
