"""Plans as JSON values: what a stored run keeps of what it was asked, and what keys of cells are made of."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import pandas as pd

from forecast.backtest.plan import BacktestPlan, ModelEntry, Regime, Window
from forecast.calendar import NEW_YORK


def plan_to_json(plan: BacktestPlan) -> dict[str, Any]:
    """A plan as JSON values."""
    encoded: dict[str, Any] = json.loads(json.dumps(asdict(plan), default=_encode))
    return encoded


def _encode(value: Any) -> Any:
    return value.isoformat() if isinstance(value, pd.Timestamp) else repr(value)


def plan_from_json(encoded: Mapping[str, Any]) -> BacktestPlan:
    """The plan that :func:`plan_to_json` wrote."""
    values: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in encoded.items()}
    start = values["window"]["start"]
    values["models"] = tuple(_entry_from_json(entry) for entry in encoded["models"])
    if encoded.get("projection"):
        values["projection"] = _entry_from_json(encoded["projection"])
    values["origins"] = tuple(pd.Timestamp(origin).tz_convert(NEW_YORK) for origin in encoded["origins"])
    values["thresholds"] = {name: tuple(levels) for name, levels in encoded.get("thresholds", {}).items()}
    values["window"] = Window(pd.Timestamp(start) if start else None, values["window"]["weeks"])
    values["regimes"] = tuple(
        Regime(regime["name"], pd.Timestamp(regime["first"]), pd.Timestamp(regime["last"]))
        for regime in encoded["regimes"]
    )
    return BacktestPlan(**values)


def _entry_from_json(encoded: Mapping[str, Any]) -> ModelEntry:
    lists = {key: tuple(encoded.get(key, ())) for key in ("conditioning", "inputs_from")}
    return ModelEntry(**{**encoded, **lists})
