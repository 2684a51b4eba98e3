"""An assessment on a screen of 100 columns."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import Any

from forecast.answers.assessment import Assessment, reasons
from forecast.answers.verdict import chances, changes, limits, model_notes, sentence
from forecast.report.ampleness import rule
from forecast.report.ampleness_tables import prior_table, summary_table, threshold_table
from forecast.report.tables import Entry, Table

_WIDTH = 100


def print_assessment(assessment: Assessment) -> None:
    """Print the state, the tables and what a reader must know, at 100 columns or as wide as the terminal."""
    from rich.console import Console

    terminal = Console(highlight=False, markup=False)
    # Tables of numbers are unreadable when wrapped; a pipe has no width of its own.
    wide = terminal.is_terminal and terminal.width > _WIDTH
    console = terminal if wide else Console(width=_WIDTH, highlight=False, markup=False)

    def say(text: str, style: str = "", hang: str = "") -> None:
        console.print(textwrap.fill(text, _WIDTH, subsequent_indent=hang), style=style)

    say(_heading(assessment))
    for note in assessment.notes:
        say(note, "yellow")
    console.print()
    say(sentence(assessment), "bold")
    say(f"{chances(assessment)} {rule()}".strip())
    for table in (summary_table(assessment), threshold_table(assessment), prior_table(assessment)):
        if table is not None and table.groups:
            console.print()
            say(table.caption, "italic")
            for shown in _rich(table):
                console.print(shown)
    added = [f"{model}: {note}" for model, note in model_notes(assessment)]
    silent = [f"{models}: {reason}" for models, reason in reasons(assessment.silent)]
    for title, texts in (
        ("What the models add", added),
        ("Models without an answer", silent),
        ("What would change the answer", list(changes(assessment))),
        ("What it cannot know", limits(assessment)),
    ):
        if texts:
            console.print(f"\n{title}", style="bold")
        for text in texts:
            say(f"- {text}", hang="  ")


def _heading(assessment: Assessment) -> str:
    where = "archive" if assessment.data == "archive" else "simulated economy"
    return (
        f"Reserves judged by {assessment.spread} ({where}), as of {assessment.as_of:%Y-%m-%d %H:%M} New York time; "
        f"sample {assessment.first_week:%Y-%m-%d} to {assessment.last_week:%Y-%m-%d}"
    )


def _rich(table: Table) -> Iterator[Any]:
    """One table a group under its own name, all with the same columns."""
    from rich.table import Table as Rich
    from rich.text import Text

    rows = [row for _, group in table.groups for row in group]
    widths = [
        max(len(name), *(len(text) for row in rows for text in (row[k].text, row[k].small)))
        for k, name in enumerate(table.head)
    ]
    for place, (heading, group) in enumerate(table.groups):
        if heading:
            yield Text(heading, style="bold")
        shown = Rich(box=None, padding=(0, 1, 0, 0), show_header=not place)
        for name, width, entry in zip(table.head, widths, rows[0], strict=True):
            shown.add_column(name, justify="right" if entry.style == "number" else "left", min_width=width)
        for row in group:
            shown.add_row(*map(_cell, row))
        yield shown


def _cell(entry: Entry) -> Any:
    from rich.text import Text

    return Text(entry.text) if not entry.small else Text.assemble(entry.text, "\n", (entry.small, "dim"))
