"""What a run was made of: its plan as text, its data, its failures."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from forecast.backtest.plan import BacktestPlan
from forecast.report.tables import Entry, Table, groups, percent, records, row_name, unit_label

_MOST_REASONS = 60
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


def plan_listing(plan: BacktestPlan) -> str:
    """The plan in the words of its TOML file; origins in short."""
    return "\n".join(_lines(plan))


def _lines(plan: BacktestPlan) -> Iterator[str]:
    scalars = (
        "title",
        "question",
        "data",
        "targets",
        "benchmark",
        "horizons",
        "conditioning",
        "outcome",
        "n_draws",
        "seed",
    )
    yield from (_assignment(name, getattr(plan, name)) for name in scalars)
    yield from ("", "[origins]", *_origins(plan))
    window = {"start": plan.window.start, "weeks": plan.window.weeks}
    tables: dict[str, Mapping[str, Any]] = {
        "window": {key: value for key, value in window.items() if value is not None},
        "minimum_history": plan.minimum_history,
        "steps": plan.steps,
        "synthetic": plan.synthetic,
        "regimes": {regime.name: [regime.first, regime.last] for regime in plan.regimes},
    }
    for entry in plan.models:
        every = {} if entry.every == 1 else {"every": entry.every}
        tables[f"models.{_key(entry.label)}"] = {"model": entry.name, **every, **entry.options}
    for name, table in tables.items():
        if table:
            yield from ("", f"[{name}]", *(_assignment(key, value) for key, value in table.items()))


def _origins(plan: BacktestPlan) -> Iterator[str]:
    first, last = plan.origins[0], plan.origins[-1]
    yield f"first = {_value(first)}"
    yield f"last = {_value(last)}"
    yield f'time = "{first:%H:%M}"'
    yield f"# {len(plan.origins)} origins in all"


def _assignment(key: str, value: Any) -> str:
    return f"{_key(key)} = {_value(value)}"


def _key(key: str) -> str:
    return key if _BARE_KEY.fullmatch(key) else json.dumps(key, ensure_ascii=False)


def _value(value: Any) -> str:
    if isinstance(value, pd.Timestamp):
        return f'"{value:%Y-%m-%d}"'
    if isinstance(value, Mapping):
        return "{ " + ", ".join(_assignment(str(key), item) for key, item in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_value, value)) + "]"
    return json.dumps(value, ensure_ascii=False, default=str)


# --------------------------------------------------------------------------- data


def data_table(data: pd.DataFrame) -> Table:
    """The series a run used."""
    rows = tuple(
        (
            Entry(row.name, row.title, style=""),
            Entry(row.id, style=""),
            Entry(unit_label(row.unit), style=""),
            Entry(row.provider, style=""),
            Entry(f"{row.first:%Y-%m-%d}"),
            Entry(f"{row.last:%Y-%m-%d}"),
            Entry(row.vintages, style=""),
            Entry(percent(row.pseudo_share)),
            Entry(row.note, style=""),
        )
        for row in _named(data)
    )
    head = ("Series", "Id", "Unit", "Provider", "First", "Last", "Vintages", "Release time by rule", "Note")
    return Table("Series used. First and last are the periods of the newest vintage.", head, (("", rows),))


def _named(data: pd.DataFrame) -> Iterator[Any]:
    filled = data.assign(note=data["note"].fillna("").astype(str), title=data["title"].fillna("").astype(str))
    return records(filled)


def data_warnings(data: pd.DataFrame) -> list[str]:
    """What the data do not allow to claim about real time."""
    notes = data["note"].fillna("").astype(str).str.lower()
    said = []
    if (single := data.loc[data["vintages"] == "single", "name"]).size:
        said.append(
            f"Single vintage ({_names(single, len(data))}): first release and final value are the same numbers. Scores cannot "
            "show what revisions would have cost, and are no proof of real-time performance for series that are revised."
        )
    if (pseudo := data.loc[data["pseudo_share"] > 0, "name"]).size:
        said.append(
            f"Release times by rule ({_names(pseudo, len(data))}): the publisher's calendar, not an archived release, says when "
            "all or some values became public. The share stands in the table."
        )
    if (copied := data.loc[notes.str.contains("transcribed"), "name"]).size:
        said.append(
            f"Transcribed ({_names(copied, len(data))}): copied from documents, not delivered by the provider; "
            "check them before you rely on them."
        )
    if (simulated := data.loc[notes.str.contains("simulated"), "name"]).size:
        said.append(
            f"Simulated ({_names(simulated, len(data))}): from the embedded economy with known truth. "
            "They say how the models work, nothing about the actual economy."
        )
    return said


def _names(names: pd.Series, of: int) -> str:
    return f"all {of} series" if len(names) == of else f"{len(names)} of {of} series: {', '.join(map(str, names))}"


# --------------------------------------------------------------------------- cells


def cell_counts(cells: pd.DataFrame) -> Table | None:
    """How many cells each model was asked, answered, refused, did not converge on and failed; None if all answered."""
    if cells.empty or (cells["status"] == "ok").all():
        return None
    rows = tuple(
        (Entry(row_name(*key), style=""), Entry(f"{len(each):,}"), *_statuses(each))
        for key, each in groups(cells, ["model", "conditioning"])
        if (each["status"] != "ok").any()
    )
    return Table(
        "Models with cells that have no forecast.",
        ("Model", "Asked", "Answered", "Refused", "Not converged", "Failed"),
        (("", rows),),
    )


def _statuses(cells: pd.DataFrame) -> tuple[Entry, ...]:
    counts = cells["status"].value_counts()
    return tuple(Entry(f"{counts.get(status, 0):,}") for status in ("ok", "refused", "degraded", "failed"))


def failures(cells: pd.DataFrame) -> tuple[Table | None, int]:
    """Why cells failed or were refused: a table of the most frequent reasons, and how many reasons it leaves out."""
    missing = cells[cells["status"] != "ok"]
    if missing.empty:
        return None, 0
    keys = ["model", "conditioning", "status", "reason"]
    missing = missing.assign(reason=missing["reason"].fillna("").astype(str))
    grouped = missing.groupby(keys, sort=False)["origin"].agg(["size", "min", "max"]).reset_index()
    grouped = grouped.sort_values("size", ascending=False, kind="stable")
    rows = tuple(
        (
            Entry(row_name(row.model, row.conditioning), style=""),
            Entry(row.status, style=""),
            Entry(f"{row.size:,}"),
            Entry(f"{row.min:%Y-%m-%d}"),
            Entry(f"{row.max:%Y-%m-%d}"),
            Entry(row.reason or "no reason given", style="wide"),
        )
        for row in records(grouped.head(_MOST_REASONS))
    )
    head = ("Model", "Status", "Cells", "First origin", "Last origin", "Reason")
    return Table("Cells without a forecast, by reason.", head, (("", rows),)), max(len(grouped) - _MOST_REASONS, 0)
