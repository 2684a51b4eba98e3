"""``forecast data``: bring series into the archive, see what it holds, check it, and take it elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from forecast.cli import HELP, emit_json

if TYPE_CHECKING:
    from rich.console import Console

    from forecast.data.plausibility import Finding
    from forecast.data.sources.directory import ImportReport, SetAside

# Rows of refused values, and file names to a line, printed before the rest is only counted; --json has them all.
_MOST_VALUES = 20
_MOST_NAMES = 20


@click.group("data", context_settings=HELP)
def command() -> None:
    """Import series, see what the archive holds, check it, and take it elsewhere."""


@command.command("import")
@click.argument("source", metavar="DIR|FILE", type=click.Path(exists=True, path_type=Path))
@click.option("--unit", "units", multiple=True, metavar="ID=UNIT", help="Unit of a series' files; may be repeated.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def import_(source: Path, units: Sequence[str], *, as_json: bool) -> None:
    """Import a folder of series files, or an exported archive.

    DIR holds files ID.csv or ID__YYYY-MM-DD.csv, with date and value, and a MANIFEST.csv. The
    day on which a file was current (as_of) stands in its name or in the manifest, and so does
    its unit. What cannot be read for certain is refused and listed; the rest enters.

    FILE is an archive that ``forecast data export`` wrote. It enters whole or not at all.
    """
    if source.is_dir():
        _import_folder(source, _units(units), as_json=as_json)
        return
    from forecast.data.transfer import import_archive
    from forecast.errors import UsageError
    from forecast.home import archive_folder

    if units:
        raise UsageError("--unit is for folders of series files; an exported archive states its units.")
    done = import_archive(source)
    if as_json:
        vintages = [{"id": entry.id, "as_of": entry.as_of, "file": entry.file} for entry in done.imported]
        emit_json({"imported": vintages, "unchanged": len(done.unchanged)})
    else:
        click.echo(
            f"Imported {len(done.imported)} vintages from {source.name} into {archive_folder()}; "
            f"{len(done.unchanged)} were there already."
        )


def _import_folder(folder: Path, units: dict[str, str], *, as_json: bool) -> None:
    from forecast.data.store import import_directory
    from forecast.errors import DataError

    report = import_directory(folder, units=units, track=iter if as_json else _track)
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
@click.argument("file", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path))
def export(file: Path) -> None:
    """Write the whole archive into FILE.tar or FILE.tar.gz.

    The same archive always gives the same bytes, and ``forecast data import FILE`` gives it back bit for bit.
    """
    from forecast.data.transfer import export_archive

    vintages = export_archive(file)
    click.echo(f"Exported {vintages} vintages to {file} ({file.stat().st_size / 1e6:.1f} MB).")


@command.command()
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
def check(*, as_json: bool) -> None:
    """Check the archive: evidence, units, gaps, plausibility.

    Raw files are held against their hashes, and stored values against the raw files; then come gaps,
    steps, implausible values, stale series, and vintages against each other. Errors exit 3, warnings do not.
    """
    from dataclasses import asdict

    from forecast.data.audit import check_archive
    from forecast.errors import DataError
    from forecast.home import archive_folder

    found = check_archive()
    errors = sum(finding.severity == "error" for finding in found)
    if as_json:
        emit_json([asdict(finding) for finding in found])
    else:
        _print_findings(found)
        click.echo(f"{errors} errors and {len(found) - errors} warnings in {archive_folder()}.")
    if errors:
        raise DataError(f"{errors} errors in the archive. Each is named above with what to do about it.")


def _print_findings(found: Sequence[Finding]) -> None:
    if found:
        columns = ("severity", "series", "as_of", "check", "finding", "what to do")
        rows = ((f.severity, f.series, f.as_of, f.check, f.said, f.fix) for f in found)
        _console().print(_table(columns, rows), markup=False)


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
                "warnings": [str(warning) for warning in file.warnings],
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
        console.print(f"Left out, {reason}: {_listed(names)}", markup=False, highlight=False, soft_wrap=True)
    for repair, names in _by_reason_pairs(report.repairs).items():
        console.print(f"Put right, {repair}: {_listed(names)}", markup=False, highlight=False, soft_wrap=True)
    for name, unit in report.assumed_units:
        console.print(f"Assumed: {name} states no unit; read in {unit}.", style="yellow", markup=False, soft_wrap=True)
    for check, names in _by_reason_pairs((w.series, w.check) for w in report.warnings).items():
        console.print(f"Remarkable, {check}: {_listed(names)}", style="yellow", markup=False, soft_wrap=True)
    if report.warnings:
        click.echo("Read what is remarkable with: forecast data check")
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


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_MOST_NAMES])
    return shown if len(names) <= _MOST_NAMES else f"{shown} and {len(names) - _MOST_NAMES} more"


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
