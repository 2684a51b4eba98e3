"""``forecast response``: how a yield or spread moves after a balance-sheet item did."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from forecast.cli import HELP, emit_json

if TYPE_CHECKING:
    from forecast.answers.impulse_response import ImpulseResponse
    from forecast.data.vintages import Instant, Panel, Vintages


@click.command(context_settings=HELP)
@click.option("--shock", required=True, help="Feature that moves first, such as reserve_ratio.")
@click.option("--of", "response", required=True, help="Feature that responds, such as treasury_10y or effr_iorb.")
@click.option("--horizon", type=click.IntRange(0), default=26, show_default=True, help="Weeks after the shock.")
@click.option("--lags", type=click.IntRange(1), default=8, show_default=True, help="Weeks of history held constant.")
@click.option("--as-of", help="Use only what was public by the end of this day; by default everything.")
@click.option("--data", type=click.Choice(["archive", "synthetic"]), default="archive", show_default=True)
@click.option("--picture", type=click.Path(path_type=Path, dir_okay=False), help="SVG file to write.")
@click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON.")
def command(
    *,
    shock: str,
    response: str,
    horizon: int,
    lags: int,
    as_of: str | None,
    data: Literal["archive", "synthetic"],
    picture: Path | None,
    as_json: bool,
) -> None:
    """Response of a yield or spread to a balance-sheet shock, by local projections.

    A correlation, not a cause: the answer says why.
    """
    from forecast.answers.impulse_response import ResponseQuestion
    from forecast.home import home
    from forecast.registry import analysis

    question = ResponseQuestion(shock, response, horizon, lags)
    answer: ImpulseResponse = analysis("local_projection")(_panel(data, as_of), question)
    path = _draw(answer, picture or home() / f"response-{shock}-{response}.svg")
    if as_json:
        emit_json(_document(answer, data, path))
    else:
        _print(answer, data, path)


def _panel(data: Literal["archive", "synthetic"], as_of: str | None) -> Panel:
    vintages = _archive() if data == "archive" else _synthetic()
    return vintages.as_of(vintages.final().as_of if as_of is None else _instant(as_of))


def _archive() -> Vintages:
    from forecast.data.store import load_vintages
    from forecast.errors import DataError
    from forecast.home import archive_folder

    if not archive_folder().exists():
        raise DataError(
            f"there is no archive in {archive_folder()}. Fill one with: forecast data import DIR, "
            "or ask the simulated economy with: --data synthetic"
        )
    return load_vintages()


def _synthetic() -> Vintages:
    from forecast.data.synthetic import Economy, simulate

    return simulate(Economy())[0]


def _instant(text: str) -> Instant:
    """A day means its end; an instant means itself."""
    import pandas as pd

    from forecast.data.vintages import end_of_day
    from forecast.errors import UsageError

    try:
        stamp = pd.Timestamp(datetime.fromisoformat(text.strip()))
    except ValueError as error:
        raise UsageError(f"--as-of {text!r} is not a date; write it as 2024-03-07.") from error
    return end_of_day(stamp) if len(text.strip()) <= len("2024-03-07") else stamp


def _draw(answer: ImpulseResponse, path: Path) -> Path:
    from forecast.errors import UsageError
    from forecast.report.response_figure import response_figure
    from forecast.tables import write_atomically

    try:
        write_atomically(path, response_figure(answer).encode())
    except OSError as error:
        raise UsageError(f"--picture: cannot write {path}: {error.strerror}. Name a file in another folder.") from error
    return path


def _document(answer: ImpulseResponse, data: str, path: Path) -> dict[str, Any]:
    asked = answer.question
    return {
        "shock": {
            "feature": asked.shock,
            "size": answer.size,
            "unit": answer.shock_unit.name,
            "usd_bn": answer.dollars,
        },
        "response": {"feature": asked.response, "unit": answer.unit.name},
        "lags": asked.lags,
        "sample": {"data": data, "first": f"{answer.first:%Y-%m-%d}", "last": f"{answer.last:%Y-%m-%d}"},
        "table": answer.table().reset_index().to_dict(orient="records"),
        "sentence": answer.sentence(),
        "caveat": answer.caveat(),
        "picture": str(path),
    }


def _print(answer: ImpulseResponse, data: str, path: Path) -> None:
    import textwrap

    from forecast.features.feature_set import find_feature

    asked = answer.question
    click.echo(f"Response of {asked.response} to a {answer.shock}\n")
    for name in (asked.response, asked.shock):
        click.echo(f"  {name}: {find_feature(name).description}")
    if answer.dollars is not None:
        click.echo(f"  {answer.shock}: USD {answer.dollars:,.0f} bn at the latest bank assets")
    click.echo(
        f"  weeks {answer.first:%Y-%m-%d} to {answer.last:%Y-%m-%d} ({data}); "
        f"{asked.lags + 1} past weeks of both held constant; heteroskedasticity-robust errors\n"
    )
    click.echo(_table(answer))
    for text in (answer.sentence(), answer.caveat()):
        click.echo("\n" + textwrap.fill(text, width=100))
    click.echo(f"\nPicture: {path}")


def _table(answer: ImpulseResponse) -> str:
    unit = answer.unit.label
    lines = [f"{'weeks after':>11}  {unit:>9}  {'std. error':>10}  {'68% band':>18}  {'95% band':>18}  {'n':>5}"]
    for h, row in answer.table().iterrows():
        bands = [f"{row[f'low_{level}']:8.2f} to {row[f'high_{level}']:6.2f}" for level in (68, 95)]
        lines.append(
            f"{h:>11}  {row['estimate']:9.2f}  {row['standard_error']:10.2f}  {bands[0]:>18}  {bands[1]:>18}  {row['n']:5.0f}"
        )
    return "\n".join(lines)
