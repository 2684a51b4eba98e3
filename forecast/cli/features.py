"""``forecast features``: every feature with its unit, inputs and description."""

from __future__ import annotations

from typing import Any

import click

from forecast.cli import HELP, emit_json


@click.command(context_settings=HELP)
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def command(*, as_json: bool) -> None:
    """List the features that plans may name as targets and models use: unit, inputs, description."""
    import forecast.features  # noqa: F401  registers them
    from forecast.features.feature_set import FEATURES

    entries = [_described(FEATURES[name]) for name in sorted(FEATURES)]
    if as_json:
        emit_json(entries)
    else:
        _print(entries)


def _described(item: Any) -> dict[str, Any]:
    from forecast.features.feature_set import CalendarEffect

    known_ahead = isinstance(item, CalendarEffect)
    return {
        "name": item.name,
        "unit": item.unit.name,
        "inputs": [] if known_ahead else list(item.inputs),
        "known_ahead": known_ahead,
        "description": item.description,
    }


def _print(entries: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None)
    # A name is copied into plans: it must not be cut.
    table.add_column("feature", no_wrap=True)
    for title in ("unit", "inputs", "description"):
        table.add_column(title)
    for entry in entries:
        inputs = "calendar, known ahead" if entry["known_ahead"] else ", ".join(entry["inputs"])
        table.add_row(entry["name"], entry["unit"], inputs, entry["description"])
    Console(markup=False, highlight=False).print(table)
