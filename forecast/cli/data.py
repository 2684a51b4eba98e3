"""``forecast data``: bring series into the archive, and see what it holds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from forecast.cli import emit_json

if TYPE_CHECKING:
    from rich.console import Console

    from forecast.data.sources.directory import ImportReport, SetAside

# Rows of refused values printed before the rest is only counted; --json has them all.
_MOST_VALUES = 20


@click.group("data")
def command() -> None:
    """Import series and see what the archive holds."""


@command.command("import")
@click.argument("folder", metavar="DIR", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--unit", "units", multiple=True, metavar="ID=UNIT", help="Unit of a series' files; may be repeated.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def import_(folder: Path, units: Sequence[str], *, as_json: bool) -> None:
    """Import a folder of series files.

    DIR holds files ID.csv or ID__YYYY-MM-DD.csv, with date and value, and a MANIFEST.csv. The
    day on which a file was current (as_of) stands in its name or in the manifest, and so does
    its unit. What cannot be read for certain is refused and listed; the rest enters.
    """
    from forecast.data.store import import_directory
    from forecast.errors import DataError

    report = import_directory(folder, units=_units(units), track=iter if as_json else _track)
    if as_json:
        emit_json(_document(report))
    else:
        _print_report(report)
    if report.refused:
        total = len(report.refused) + len(report.imported) + len(report.unchanged)
        raise DataError(f"{len(report.refused)} of {total} files refused. Correct them as said and import again.")
    if not report.imported and not report.unchanged:
        raise DataError(f"{folder} holds no series of the catalogue. List it with: forecast data status --all")


@command.command()
@click.option("--all", "everything", is_flag=True, help="The whole catalogue, with what is absent.")
@click.option("--json", "as_json", is_flag=True, help="Print the table as JSON.")
def status(*, everything: bool, as_json: bool) -> None:
    """List the series in the archive."""
    from forecast.home import archive_folder

    rows = _catalogue() if everything else _archived()
    if as_json:
        emit_json(rows)
        return
    console = _console()
    columns = ("name", "id", "unit", "first", "last", "vintages", "note")
    console.print(_table(columns, ([row[column] or "" for column in columns] for row in rows)))
    held = sum(row["vintages"] != "absent" for row in rows)
    rest = f"; {len(rows) - held} of the catalogue are absent" if everything else ""
    click.echo(f"{held} series in {archive_folder()}{rest}.")


def _units(options: Sequence[str]) -> dict[str, str]:
    from forecast.errors import UsageError

    pairs = {}
    for option in options:
        key, equals, unit = option.partition("=")
        if not (key.strip() and equals and unit.strip()):
            raise UsageError(f"--unit {option!r}: write it as ID=UNIT, such as --unit BOGMBASE=usd_mn.")
        pairs[key.strip()] = unit.strip()
    return pairs


def _track(paths: Sequence[Path]) -> Iterator[Path]:
    """A bar on standard error, so that standard output stays clean."""
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    yield from track(paths, "reading", console=console, transient=True, disable=not console.is_terminal)


def _archived() -> list[dict[str, Any]]:
    from forecast.data.store import provenance

    return [{str(key): value for key, value in row.items()} for row in provenance().to_dict("records")]


def _catalogue() -> list[dict[str, Any]]:
    """Every series of the catalogue; what is not in the archive has no first and last period."""
    from forecast.data.catalog import catalog
    from forecast.home import archive_folder

    filled = (archive_folder() / "manifest.jsonl").exists()
    held = {row["name"]: row for row in _archived()} if filled else {}
    absent = {"first": None, "last": None, "vintages": "absent", "note": ""}
    return [
        held.get(name)
        or {"name": name, "id": s.id, "title": s.title, "unit": s.unit.name, "provider": s.provider, **absent}
        for name, s in catalog().items()
    ]


def _document(report: ImportReport) -> dict[str, Any]:
    return {
        "imported": [
            {
                "file": file.name,
                "series": file.table.series,
                "as_of": f"{file.table.as_of:%Y-%m-%d}",
                "values": len(file.table.values),
                "unit_read": file.unit.name,
                "unit_assumed": file.assumed,
                "repairs": list(file.repairs),
            }
            for file in report.imported
        ],
        "unchanged": [file.name for file in report.unchanged],
        "refused": [{"file": aside.name, "reason": aside.reason} for aside in report.refused],
        "refused_values": [
            {"file": name, "period": value.period, "value": value.value, "reason": value.reason}
            for name, value in report.refused_values
        ],
        "left_out": [{"file": aside.name, "reason": aside.reason} for aside in report.left_out],
    }


def _print_report(report: ImportReport) -> None:
    from forecast.home import archive_folder

    console = _console()
    for reason, names in _by_reason(report.left_out).items():
        console.print(f"Left out, {reason}: {', '.join(names)}", markup=False, highlight=False, soft_wrap=True)
    for repair, names in _by_reason_pairs(report.repairs).items():
        console.print(f"Put right, {repair}: {', '.join(names)}", markup=False, highlight=False, soft_wrap=True)
    for name, unit in report.assumed_units:
        console.print(f"Assumed: {name} states no unit; read in {unit}.", style="yellow", markup=False, soft_wrap=True)
    _print_values(console, report)
    for aside in report.refused:
        console.print(f"Refused: {aside.reason}", style="red", markup=False, highlight=False, soft_wrap=True)
    values = sum(len(file.table.values) for file in report.imported)
    click.echo(
        f"Imported {len(report.imported)} files ({values:,} values) into {archive_folder()}; "
        f"{len(report.unchanged)} were there already, {len(report.refused)} refused."
    )


def _print_values(console: Console, report: ImportReport) -> None:
    refused = report.refused_values
    if not refused:
        return
    rows = [(name, v.period, f"{v.value:g}", v.reason) for name, v in refused[:_MOST_VALUES]]
    console.print("Values left out of files that entered:", highlight=False)
    console.print(_table(("file", "period", "value", "reason"), rows))
    if len(refused) > _MOST_VALUES:
        click.echo(f"... and {len(refused) - _MOST_VALUES} more; --json lists them all.")


def _by_reason(asides: Iterable[SetAside]) -> dict[str, list[str]]:
    return _by_reason_pairs((aside.name, aside.reason) for aside in asides)


def _by_reason_pairs(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    grouped: dict[str, list[str]] = {}
    for name, reason in pairs:
        grouped.setdefault(reason, []).append(name)
    return grouped


def _console() -> Console:
    """Wide enough that names and reasons stay whole when the output goes to a file."""
    from rich.console import Console

    console = Console()
    return console if console.is_terminal else Console(width=180)


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Any:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*row)
    return table
