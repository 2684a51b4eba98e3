"""``forecast models``: the registered models and analyses, with their options."""

from __future__ import annotations

import dataclasses
import inspect
import typing
from collections.abc import Callable
from typing import Any

import click

from forecast.cli import HELP, emit_json

_REQUIRED = "required"


@click.command(context_settings=HELP)
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def command(*, as_json: bool) -> None:
    """List the registered models and analyses: what they are, what they need, their options and defaults."""
    from forecast.registry import ANALYSES, MODELS, analysis, model_class, registered

    models = [_described(name, model_class, _of_model) for name in registered(MODELS)]
    analyses = [_described(name, analysis, _of_analysis) for name in registered(ANALYSES)]
    if as_json:
        emit_json({"models": models, "analyses": analyses})
        return
    for title, entries in (("Models", models), ("Analyses", analyses)):
        click.secho(title, bold=True)
        for entry in entries:
            _print(entry)


def _described(name: str, load: Callable[[str], Any], facts: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
    """Facts about an entry; one that cannot be used is listed with the reason."""
    try:
        loaded = load(name)
        known = facts(loaded)
    except Exception as error:  # noqa: BLE001  a broken plug-in must not hide the others
        problem = f"{type(error).__name__}: {error}"
        return {"name": name, "description": "", "needs": [], "options": {}, "problem": problem}
    first_line = (inspect.getdoc(loaded) or "").partition("\n")[0]
    return {"name": name, "description": first_line, **known, "problem": ""}


def _of_model(loaded: Any) -> dict[str, Any]:
    options = _options(loaded)
    # What a model needs may depend on its options; without a default there is no model to ask.
    needs = [] if _REQUIRED in options.values() else list(loaded().needs)
    return {"needs": needs, "options": options}


def _of_analysis(loaded: Any) -> dict[str, Any]:
    """The options of an analysis are the fields of its second argument."""
    hints = list(typing.get_type_hints(loaded).values())
    asked = hints[1] if len(hints) > 1 and dataclasses.is_dataclass(hints[1]) else None
    return {"needs": [], "options": _options(asked) if asked else {}}


def _options(spec: Any) -> dict[str, Any]:
    return {field.name: _default(field) for field in dataclasses.fields(spec) if field.init}


def _default(field: dataclasses.Field[Any]) -> Any:
    if field.default is not dataclasses.MISSING:
        return field.default
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return _REQUIRED


def _print(entry: dict[str, Any]) -> None:
    click.echo(f"  {click.style(entry['name'], fg='cyan')}  {entry['description']}")
    if entry["needs"]:
        click.echo(f"      needs    {', '.join(entry['needs'])}")
    if entry["options"]:
        click.echo(
            f"      options  {', '.join(f'{name} = {_toml(value)}' for name, value in entry['options'].items())}"
        )
    if entry["problem"]:
        click.secho(f"      {entry['problem']}", fg="yellow")


def _toml(value: Any) -> str:
    """A default as a plan writes it."""
    import json

    if value is None or value == _REQUIRED:
        return "unset" if value is None else _REQUIRED
    return json.dumps(value, default=str, ensure_ascii=False)
