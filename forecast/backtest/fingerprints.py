"""What a cell depends on, as a hash: a stored cell is used again only if none of it has changed.

A key covers the model and its options, the conditioning, the origin, everything in the plan that shapes a cell
(targets, window, horizons, draws, seed, steps, ...), every release of every series that the model or its
targets read, what other models told it, and the code: all of this package but what only prints, the files of the model
with those it imports from its own package, and the versions of the numerical libraries.
"""

from __future__ import annotations

import ast
import hashlib
import json
import platform
import sys
import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import resolve_name
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import forecast
from forecast.backtest.cells import nanoseconds
from forecast.backtest.plan import BacktestPlan, ModelEntry
from forecast.backtest.plan_json import plan_to_json
from forecast.data.vintages import Vintages
from forecast.features.feature_set import FEATURES, Feature
from forecast.model import Model

LIBRARIES = ("numpy", "pandas", "scipy", "statsmodels", "scikit-learn", "pymc", "pytensor", "nutpie", "arviz", "numba")

# Fields of a plan that decide which cells there are, or how they are called, but not what is in one.
_NOT_IN_A_CELL = (
    "title", "question", "data", "synthetic", "models", "benchmark", "origins", "conditioning", "projection", "regimes"
)  # fmt: skip
# Rooms of this package that only read what a backtest left.
_READERS = ("answers", "checks", "cli", "report")


def digest(*parts: Any) -> str:
    """128 bits of BLAKE2b over canonical JSON."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), default=repr)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def plan_digest(plan: BacktestPlan) -> str:
    """What all cells of a plan have in common."""
    shared = replace(plan, origins=())  # thousands of time stamps that are not in the key
    return digest({key: value for key, value in plan_to_json(shared).items() if key not in _NOT_IN_A_CELL})


def entry_digest(entry: ModelEntry, model: Model) -> str:
    """A model: its name, options and code. The label is only what tables call it."""
    return digest(entry.name, dict(entry.options), *(model_code(type(each)) for each in _with_members(model)))


def _with_members(model: Model) -> Iterator[Model]:
    """A combination is also what its members are, and theirs."""
    yield model
    for member in getattr(model, "models", ()):
        yield from _with_members(member)


def cell_key(*parts: str, origin: pd.Timestamp) -> str:
    """Name of a stored cell."""
    text = "|".join((*parts, str(nanoseconds(origin))))
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


# --------------------------------------------------------------------------- data


def series_digests(vintages: Vintages) -> dict[str, str]:
    """Hash of every release of each series, in whatever order they were imported."""
    table = vintages.observations
    found = {}
    for name, rows in table.groupby("series", observed=True).indices.items():
        mine = table.iloc[rows].sort_values(["period", "released"])
        instants = pd.DatetimeIndex(mine["released"]).as_unit("us").asi8
        periods = mine["period"].to_numpy().astype("datetime64[us]").astype(np.int64)
        state = hashlib.blake2b(repr(vintages.catalog[str(name)]).encode(), digest_size=16)
        for column in (periods, instants, mine["value"].to_numpy(dtype=float), mine["pseudo"].to_numpy(dtype=bool)):
            state.update(column.tobytes())
        found[str(name)] = state.hexdigest()
    return found


def data_digest(features: Iterable[str], series: Mapping[str, str]) -> str:
    """Hash of the series that some features read."""
    items = [FEATURES[name] for name in features if name in FEATURES]
    inputs = sorted({name for item in items if isinstance(item, Feature) for name in item.inputs})
    return digest([(name, series.get(name, "absent")) for name in inputs])


# --------------------------------------------------------------------------- code


@cache
def package_code() -> str:
    """Hash of this package, of Python and of the numerical libraries."""
    root = Path(forecast.__file__).parent
    files = [
        path
        for path in sorted(root.rglob("*"))
        if path.suffix in {".py", ".toml"} and path.relative_to(root).parts[0] not in _READERS
    ]
    return digest(platform.python_version(), list(versions().items()), [_file(path) for path in files])


def versions() -> dict[str, str]:
    """Versions of the libraries that numbers depend on."""
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "absent"
    return found


@cache
def model_code(kind: type) -> str:
    """Hash of the file of a model and of all files of its package that it imports, directly or not.

    A class that has no file, such as one typed in a notebook, is like no other: its cells are never used again.
    """
    files = sorted(_closure(kind.__module__))
    return digest(kind.__qualname__, [_file(path) for path in files]) if files else uuid.uuid4().hex


def _closure(module: str) -> set[Path]:
    """Files of a module and, within its top-level package, of everything it imports."""
    waiting, seen, files = [module], set[str](), set[Path]()
    top = module.partition(".")[0]
    while waiting:
        name = waiting.pop()
        path = _path(name)
        if name in seen or path is None:
            continue
        seen.add(name)
        files.add(path)
        package = name if path.name == "__init__.py" else name.rpartition(".")[0]
        waiting += [other for other in _imported(path, package) if other.partition(".")[0] == top]
    return files


def _path(module: str) -> Path | None:
    """The source of a module that has been imported or stands beside one that has."""
    top, _, rest = module.partition(".")
    file = getattr(sys.modules.get(module), "__file__", None)
    if file is None and rest and (root := getattr(sys.modules.get(top), "__file__", None)):
        stem = Path(root).parent.joinpath(*rest.split("."))
        file = next((path for path in (stem.with_suffix(".py"), stem / "__init__.py") if path.is_file()), None)
    return Path(file) if file else None


def _imported(path: Path, package: str) -> Iterator[str]:
    """Absolute names of what a file imports, inside functions too; some may be names in a module."""
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = resolve_name("." * node.level + (node.module or ""), package) if node.level else node.module or ""
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def _file(path: Path) -> tuple[str, str]:
    return path.name, hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest()
