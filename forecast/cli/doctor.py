"""``forecast doctor``: is everything here that the package needs, and if not, what to do."""

from __future__ import annotations

import importlib
import os
import re
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import click

from forecast.cli import HELP, emit_json

_PACKAGE = "reserve-forecast"
# Where the name to import is not the name to install.
_MODULES = {"scikit-learn": "sklearn"}
_REQUIREMENT = re.compile(r"(?P<name>[\w.-]+)\s*(?P<bounds>[^;]*)(;.*extra\s*==\s*['\"](?P<extra>[\w-]+)['\"])?")
_BOUND = re.compile(r"(>=|<)\s*([\d.]+)")


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at.

    status : "fail" means that forecasts cannot be made, "warn" that a part is missing or slow
    found  : what is there
    fix    : what to do, if anything
    """

    name: str
    status: Literal["ok", "warn", "fail"]
    found: str
    fix: str = ""


@click.command(context_settings=HELP)
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def command(*, as_json: bool) -> None:
    """Check Python, dependencies, models, the home folder and threads; exit 4 if something must be fixed."""
    checks = list(examine())
    healthy = all(check.status != "fail" for check in checks)
    if as_json:
        emit_json({"healthy": healthy, "checks": [asdict(check) for check in checks]})
    else:
        _print(checks)
    if not healthy:
        raise SystemExit(4)


def examine() -> Iterator[Check]:
    """Every check, in the order in which one would fix them."""
    yield python()
    yield from dependencies()
    yield from models()
    yield from home_folder()
    yield from threads()
    yield from compiled_code()


def python() -> Check:
    """Python is new enough."""
    found = sys.version.split()[0]
    good = sys.version_info >= (3, 12)
    return Check("python", "ok" if good else "fail", found, "" if good else "Install Python 3.12 or newer.")


def dependencies() -> Iterator[Check]:
    """Each declared dependency can be imported and has an allowed version."""
    from importlib.metadata import PackageNotFoundError, requires

    try:
        declared = requires(_PACKAGE) or []
    except PackageNotFoundError:
        yield Check(_PACKAGE, "fail", "not installed", "Install it: pip install -e .")
        return
    for text in declared:
        stated = _REQUIREMENT.match(text)
        if stated:
            yield dependency(stated["name"], stated["bounds"], stated["extra"] or "")


def dependency(name: str, bounds: str, extra: str) -> Check:
    """One dependency; a missing extra is a warning."""
    from importlib.metadata import PackageNotFoundError, version

    label = f"{name} ({extra})" if extra else name
    wanted = f"{_PACKAGE}[{extra}]" if extra else _PACKAGE
    fix = f"pip install --upgrade '{wanted}'"
    bad: Literal["warn", "fail"] = "warn" if extra else "fail"
    try:
        importlib.import_module(_MODULES.get(name, name))
        found = version(name)
    except (ModuleNotFoundError, PackageNotFoundError):
        return Check(label, bad, "not installed", fix)
    except Exception as error:  # noqa: BLE001  a broken binary may raise anything, and that is the finding
        return Check(label, bad, f"cannot be imported: {type(error).__name__}: {error}", fix)
    if not allowed(found, bounds):
        return Check(label, bad, f"{found}, but {bounds.strip()} is needed", fix)
    return Check(label, "ok", found)


def allowed(version: str, bounds: str) -> bool:
    """Whether a version lies within bounds such as ``>=3.0,<4``."""
    have = _numbers(version)
    return all(
        have >= _numbers(limit) if sign == ">=" else have < _numbers(limit) for sign, limit in _BOUND.findall(bounds)
    )


def _numbers(version: str) -> tuple[int, ...]:
    """Release numbers without trailing zeros, so that 3 and 3.0 are the same."""
    found = re.match(r"\d+(\.\d+)*", version)
    numbers = [int(part) for part in found[0].split(".")] if found else []
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)


def models() -> Iterator[Check]:
    """Entry points are registered and every model and analysis loads, from our own ``models``."""
    from forecast.errors import MissingExtraError, ShadowedPackageError
    from forecast.registry import ANALYSES, MODELS, analysis, model_class, registered

    for group, load in ((MODELS, model_class), (ANALYSES, analysis)):
        names, loaded = registered(group), 0
        for name in names:
            try:
                load(name)
                loaded += 1
            except ShadowedPackageError as error:
                yield Check("models package", "fail", str(error))
                return
            except MissingExtraError as error:
                yield Check(name, "warn", str(error))
            except Exception as error:  # noqa: BLE001  whatever a plug-in raises is the finding
                yield Check(name, "fail", f"{type(error).__name__}: {error}", "Fix or remove what registers it.")
        if names:
            yield Check(group, "ok", f"{loaded} of {len(names)} load")
        else:
            yield Check(group, "fail", "nothing registered", "Install the package again: pip install -e .")
    yield Check("models package", "ok", "this package's own")


def home_folder() -> Iterator[Check]:
    """The home folder can be written to, and what it holds."""
    from forecast.home import archive_folder, home

    folder = home()
    anchor = next(path for path in (folder, *folder.parents) if path.exists())
    if not (anchor.is_dir() and os.access(anchor, os.W_OK)):
        yield Check("home", "fail", f"{folder} cannot be written to", "Set FORECAST_HOME to a folder of yours.")
        return
    yield Check("home", "ok", str(folder) if folder.exists() else f"{folder} (made when first needed)")
    files = [path for path in archive_folder().rglob("*") if path.is_file()]
    size = sum(path.stat().st_size for path in files) / 1e6
    fix = "" if files else "Fill it with: forecast data import DIR. The embedded economy needs no data."
    yield Check("archive", "ok" if files else "warn", f"{len(files)} files, {size:.1f} MB" if files else "empty", fix)
    yield Check("runs", "ok", str(len(list((folder / "runs").glob("*/")))))


def threads() -> Iterator[Check]:
    """Threads of the linear algebra libraries."""
    try:
        from threadpoolctl import threadpool_info
    except ModuleNotFoundError:
        return
    pools = [pool for pool in threadpool_info() if pool["user_api"] == "blas"]
    many = max((pool["num_threads"] for pool in pools), default=1)
    found = ", ".join(f"{pool['internal_api']} {pool['num_threads']}" for pool in pools) or "none found"
    # Many small systems, such as ours, are slower on several threads than on one.
    yield Check(
        "blas threads", "ok", f"{found} of {os.cpu_count()} cores", "OMP_NUM_THREADS=1 is faster." if many > 1 else ""
    )


def compiled_code() -> Iterator[Check]:
    """Where numba keeps compiled functions."""
    if "numba" not in sys.modules:
        return
    stated = os.environ.get("NUMBA_CACHE_DIR")
    folder = Path(stated) if stated else Path(__file__).resolve().parents[2]
    anchor = next(path for path in (folder, *folder.parents) if path.exists())
    if os.access(anchor, os.W_OK):
        yield Check("numba cache", "ok", str(folder) if stated else "beside the modules")
    else:
        fix = "Set NUMBA_CACHE_DIR to a folder of yours; else functions are compiled in every process."
        yield Check("numba cache", "warn", f"{folder} cannot be written to", fix)


def _print(checks: list[Check]) -> None:
    colours = {"ok": "green", "warn": "yellow", "fail": "red"}
    width = max(len(check.name) for check in checks)
    for check in checks:
        click.echo(f"{click.style(f'{check.status:4}', fg=colours[check.status])}  {check.name:{width}}  {check.found}")
        if check.fix:
            click.echo(f"      {'':{width}}  -> {check.fix}")
    counts = {status: sum(check.status == status for check in checks) for status in colours}
    click.echo(f"{counts['ok']} ok, {counts['warn']} to know, {counts['fail']} to fix")
