"""The command line: one file a command, each imported only when it is called."""

from __future__ import annotations

import importlib
import sys
from typing import Any

import click

# Command -> (module, one line for --help). The help texts stand here so that --help imports nothing.
_COMMANDS = {
    "backtest": ("backtest", "Replay history and score every model of a plan."),
    "report": ("report", "Write a run's HTML report again."),
    "response": ("response", "Response of a yield or spread to a balance-sheet shock."),
    "data": ("data", "Import series and see what the archive holds."),
    "models": ("models", "List the registered models and analyses."),
    "features": ("features", "List the features: unit, inputs, description."),
    "doctor": ("doctor", "Check this installation and say what is missing."),
}


class _Lazy(click.Group):
    """A group whose commands are imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module, summary = _COMMANDS[cmd_name]
        if not ctx.args and not ctx.protected_args and "--help" in sys.argv[1:2]:
            return click.Command(cmd_name, short_help=summary)
        command: click.Command = importlib.import_module(f"forecast.cli.{module}").command
        return command


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="reserve-forecast", prog_name="forecast")
def forecast() -> None:
    """Scored forecasts of reserve demand, money-market pressure and bond yields from a central bank's balance sheet."""


def main() -> None:
    """Entry point: our own errors become one clear sentence and an exit code (2 usage, 3 data, 4 model)."""
    from forecast.errors import ForecastError

    try:
        forecast(prog_name="forecast")
    except ForecastError as error:
        click.echo(f"{type(error).__name__}: {error}", err=True)
        raise SystemExit(error.exit_code) from error


def emit_json(value: Any) -> None:
    """Print a JSON document, for ``--json``."""
    import json

    click.echo(json.dumps(value, indent=2, default=str, ensure_ascii=False))
