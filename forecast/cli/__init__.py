"""The command line: one file a command, each imported only when it is called."""

from __future__ import annotations

import importlib
from typing import Any

import click

# Command -> one line for --help. The texts stand here so that --help imports no command.
# Each command is the function ``command`` of the module with its name.
_COMMANDS = {
    "ampleness": "Where reserves stand: abundant, ample, scarce, or cannot tell.",
    "backtest": "Replay history and score every model of a plan.",
    "report": "Write a run's HTML report again.",
    "response": "Response of a yield or spread to a balance-sheet shock.",
    "data": "Import series, see and check what the archive holds, export it.",
    "models": "List the registered models and analyses.",
    "features": "List the features: unit, inputs, description.",
    "doctor": "Check this installation and say what is missing.",
}


# Every command is given it by itself too: click remembers the help option of a command that was first called alone.
HELP: dict[str, Any] = {"help_option_names": ["-h", "--help"]}


class _Lazy(click.Group):
    """A group whose commands are imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"forecast.cli.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


@click.group(cls=_Lazy, context_settings=HELP)
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
