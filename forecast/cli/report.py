"""``forecast report RUN``: write a run's HTML report again from what is stored."""

from __future__ import annotations

import click

from forecast.cli import HELP, emit_json


@click.command(context_settings=HELP)
@click.argument("run")
@click.option("--json", "as_json", is_flag=True, help="Print run and path as JSON.")
def command(run: str, *, as_json: bool) -> None:
    """Write the HTML report of RUN again, and print where it is.

    RUN is a run id, or "latest".
    """
    from forecast.backtest.stored import load_result
    from forecast.home import run_folder
    from forecast.report.html import write_report

    result = load_result(run)
    path = write_report(result, run_folder(result.run_id) / "report.html")
    if as_json:
        emit_json({"run_id": result.run_id, "report": str(path)})
    else:
        click.echo(path)
