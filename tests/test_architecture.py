"""The house is built as drawn: imports point one way, public things are documented, rooms have names."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
# Lowest layer first; a module may import its own layer and those below it.
LAYERS = (
    ("errors", "numerics", "units", "calendar", "home", "tables", "lock"),
    ("data",),
    ("balance_sheet",),
    ("features",),
    ("model", "predictive", "scenario", "answers"),
    ("evaluation",),
    ("registry", "backtest"),
    ("checks", "report"),
    ("cli", "__main__"),
)
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}


def modules(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def imported(path: Path) -> Iterator[str]:
    """Absolute names of everything a file imports, inside functions too."""
    package = path.relative_to(ROOT).parent.parts
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parent = package[: len(package) - node.level + 1] if node.level else ()
            base = ".".join((*parent, *((node.module or "").split(".") if node.module else ())))
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def layer(module: str) -> int | None:
    parts = module.split(".")
    return LEVEL.get(parts[1]) if parts[0] == "forecast" and len(parts) > 1 else None


def test_every_module_of_forecast_has_a_layer() -> None:
    rooms = {path.relative_to(ROOT / "forecast").parts[0].removesuffix(".py") for path in modules("forecast")}
    assert rooms - {"__init__"} <= set(LEVEL)


def test_forecast_never_imports_models() -> None:
    guilty = {str(p) for p in modules("forecast") if any(n.split(".")[0] == "models" for n in imported(p))}
    assert guilty == set()


def test_arrows_inside_forecast_point_one_way() -> None:
    guilty = []
    for path in modules("forecast"):
        own = LEVEL.get(path.relative_to(ROOT / "forecast").parts[0].removesuffix(".py"))
        for name in imported(path):
            other = layer(name)
            if own is not None and other is not None and other > own:
                guilty.append(f"{path.relative_to(ROOT)} imports {name}")
    assert guilty == []


def test_models_import_their_siblings_relatively_and_forecast_absolutely() -> None:
    guilty = []
    for path in modules("models"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module or ""]
            guilty += [f"{path.relative_to(ROOT)}: {name}" for name in names if name.split(".")[0] == "models"]
    assert guilty == []


def test_the_import_walker_sees_what_is_hidden_in_functions() -> None:
    hidden = ROOT / "forecast" / "cli" / "backtest.py"
    assert "forecast.backtest.run" in set(imported(hidden))


@pytest.mark.parametrize("package", ["forecast", "models"])
def test_every_module_class_and_public_function_is_documented(package: str) -> None:
    bare = []
    for path in modules(package):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        if ast.get_docstring(tree) is None and tree.body:
            bare.append(str(path.relative_to(ROOT)))
        for node in tree.body:
            named = isinstance(node, ast.ClassDef | ast.FunctionDef) and not node.name.startswith("_")
            if named and ast.get_docstring(node) is None:
                bare.append(f"{path.relative_to(ROOT)}: {node.name}")
    assert bare == []


def test_no_room_is_called_after_nothing() -> None:
    names = {path.stem for package in ("forecast", "models") for path in modules(package)}
    assert names & {"utils", "helpers", "base", "common", "misc"} == set()


def test_tests_do_not_shadow_the_packages() -> None:
    assert not (ROOT / "tests" / "models").exists()
    assert not (ROOT / "tests" / "forecast").exists()
