"""Models and analyses by name, found through entry points: this package never imports ``models``.

Group ``forecast.models``   : name -> class of models (frozen dataclasses)
Group ``forecast.analyses`` : name -> callable(panel, options) -> answer
"""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Callable, Mapping
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from forecast.errors import MissingExtraError, ShadowedPackageError, UnknownNameError, UsageError
from forecast.model import Model

MODELS = "forecast.models"
ANALYSES = "forecast.analyses"

# Which optional part of the package brings a module.
_EXTRA_OF = {"pymc": "bayes", "nutpie": "bayes", "arviz": "bayes", "pytensor": "bayes", "numba": "bayes"}


def registered(group: str = MODELS) -> tuple[str, ...]:
    """Names in a group, without importing anything."""
    return tuple(sorted({point.name for point in entry_points(group=group)}))


def model_class(name: str, *, where: str = "") -> Callable[..., Model]:
    """The class registered under a name; ``where`` it was asked for goes into the message.

    Raises
    ------
    UnknownNameError     : names the closest registered models
    ShadowedPackageError : another ``models`` is found before ours
    MissingExtraError    : the model needs an optional part that is not installed
    """
    loaded: Callable[..., Model] = _load(name, MODELS, f"{where}unknown model")
    for module in getattr(loaded, "requires", ()):
        if find_spec(module) is None:
            extra = _EXTRA_OF[module]
            raise MissingExtraError(
                f"{where}model {name!r} needs {module}, which is not installed. "
                f"Install it with: pip install 'reserve-forecast[{extra}]'"
            )
    return loaded


def create(name: str, options: Mapping[str, Any] | None = None, *, where: str = "") -> Model:
    """A model with options.

    Raises
    ------
    UsageError : an option does not exist or has a wrong value; names the ones that exist
    """
    loaded = model_class(name, where=where)
    options = {key: tuple(value) if isinstance(value, list) else value for key, value in (options or {}).items()}
    allowed = [field.name for field in dataclasses.fields(loaded) if field.init]  # type: ignore[arg-type]
    for key in options:
        if key not in allowed:
            close = difflib.get_close_matches(key, allowed, n=1)
            hint = f" Did you mean {close[0]!r}?" if close else f" It has: {', '.join(allowed) or 'none'}."
            raise UsageError(f"{where}model {name!r} has no option {key!r}.{hint}")
    try:
        return loaded(**options)
    except (TypeError, ValueError) as error:
        raise UsageError(f"{where}model {name!r}: {error}.") from error


def analysis(name: str) -> Callable[..., Any]:
    """The analysis registered under a name."""
    loaded: Callable[..., Any] = _load(name, ANALYSES, "unknown analysis")
    return loaded


def _load(name: str, group: str, complaint: str) -> Any:
    points = {point.name: point for point in entry_points(group=group)}
    if name not in points:
        close = difflib.get_close_matches(name, points, n=3)
        hint = f" Did you mean: {', '.join(close)}?" if close else ""
        raise UnknownNameError(f"{complaint} {name!r}.{hint} List them with: forecast models")
    _refuse_shadow(points[name])
    return points[name].load()


def _refuse_shadow(point: EntryPoint) -> None:
    """A user's own ``models`` found before ours would fail in ways that name neither."""
    if not point.value.startswith("models."):
        return
    import forecast

    ours = Path(forecast.__file__).resolve().parent.parent / "models" / "__init__.py"
    found = find_spec("models")
    origin = Path(found.origin).resolve() if found and found.origin else None
    if origin != ours:
        raise ShadowedPackageError(
            f"{origin or 'nothing'} is found as 'models' instead of this package's own {ours}. "
            "Rename that file or folder, or run the 'forecast' command from another directory."
        )
