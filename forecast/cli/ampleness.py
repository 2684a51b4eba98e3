"""``forecast ampleness``: how near reserves are to scarce, by every model that can tell."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from forecast.cli import HELP, emit_json

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from forecast.answers.assessment import Assessment, Progress, Silence
    from forecast.data.synthetic import Truth
    from forecast.data.vintages import Vintages
    from forecast.model import Model

type Data = Literal["archive", "synthetic"]

# Interest on reserves began in October 2008; the first weeks of it are a crisis, not a demand curve.
_START = "2009-01-01"


@click.command(context_settings=HELP)
@click.option("--as-of", help="Use only what was public by the end of this day; by default everything.")
@click.option("--model", "names", multiple=True, metavar="NAME", help="Ask only this model; may be repeated.")
@click.option("--spread", default="effr_iorb", show_default=True, help="Price of reserves: effr_iorb, sofr_iorb, ...")
@click.option(
    "--data", type=click.Choice(["archive", "synthetic"]), help="By default the archive if it has the series."
)
@click.option("--start", default=_START, show_default=True, help="First day of the sample.")
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="Of models estimated by simulation.")
@click.option("--quick", is_flag=True, help="Leave out models estimated by simulation, unless named.")
@click.option("--json", "as_json", is_flag=True, help="Print the answer as one JSON object.")
@click.option("--html", type=click.Path(path_type=Path, dir_okay=False), help="Page with pictures to write.")
def command(
    *,
    as_of: str | None,
    names: tuple[str, ...],
    spread: str,
    data: Data | None,
    start: str,
    seed: int,
    quick: bool,
    as_json: bool,
    html: Path | None,
) -> None:
    """Where reserves stand: abundant, ample, scarce, or cannot tell.

    Fits every demand curve that can tell, on what was known, and shows what each says: the slope now, how far away the
    bend is, how many reserves keep the slope within a tolerance. Models are shown side by side, never averaged.
    """
    from forecast.report.ampleness_document import ampleness_document
    from forecast.report.ampleness_screen import print_assessment

    question = Question(spread, as_of, start, names, seed, quick)
    with _progress(quiet=as_json) as progress:
        assessment = ask(question, data, progress=progress)
    page = _write(assessment, html) if html else None
    if as_json:
        emit_json(ampleness_document(assessment) | {"page": None if page is None else str(page)})
    else:
        print_assessment(assessment)
        if page is not None:
            click.echo(f"\nPage: {page}")


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked.

    spread : feature over the rate on reserves, bp
    as_of  : a day (its end) or an instant in New York time; None means the last release that brought something new
    start  : first day of the sample
    models : registered names; all that can tell if none is given
    seed   : of models estimated by simulation
    quick  : leave those out, unless named
    """

    spread: str = "effr_iorb"
    as_of: str | None = None
    start: str = _START
    models: tuple[str, ...] = ()
    seed: int = 1
    quick: bool = False


def ask(question: Question, data: Data | None = None, *, progress: Progress | None = None) -> Assessment:
    """Fit the models of a question on what was known, and put their answers together.

    Raises
    ------
    UsageError : an unknown spread or model, a model that cannot tell, or an as-of that is no date
    DataError  : the series are missing, or nothing of them is known by then
    ModelError : no model answered
    """
    from forecast.answers.assessment import assess

    _require_spread(question.spread)
    start = _day(question.start, "--start")
    models, silent = _models(question)
    source = _source(question.spread, data)
    models = {name: _fitted_to(model, question.spread, source.data) for name, model in models.items()}
    as_of, notes = _instant(question, source)
    assessment = assess(
        models,
        source.vintages.as_of(as_of),
        question.spread,
        start=start,
        generator=lambda name, model: _generator(question, name, model, as_of),
        data=source.data,
        progress=progress,
    )
    assessment = replace(assessment, silent=(*assessment.silent, *silent), notes=(*source.notes, *notes))
    return assessment if source.truth is None else _with_truth(assessment, source.truth)


# --------------------------------------------------------------------------- data


@dataclass(frozen=True, slots=True, eq=False)
class _Source:
    """Where the numbers come from, and what a reader should know of it."""

    data: Data
    vintages: Vintages
    truth: Truth | None = None
    notes: tuple[str, ...] = ()


def _require_spread(spread: str) -> None:
    from forecast.errors import UsageError
    from forecast.features.feature_set import FEATURES, find_feature

    find_feature(spread)
    known = [name for name in FEATURES if name.endswith("_iorb")]
    if spread not in known:
        raise UsageError(f"{spread!r} is no spread over the rate on reserves. Use one of: {', '.join(sorted(known))}.")


def _source(spread: str, asked: Data | None) -> _Source:
    """The archive if it is asked for or has the series, else the simulated economy."""
    from forecast.data.store import MANIFEST, load_vintages
    from forecast.errors import DataError
    from forecast.home import archive_folder

    archive = archive_folder()
    missing = f"there is no archive in {archive}"
    if asked != "synthetic" and (archive / MANIFEST).exists():
        vintages = load_vintages()
        lacking = _lacking(spread, vintages)
        if not lacking:
            return _Source("archive", vintages)
        missing = f"the archive {archive} has no {lacking}"
    if asked == "archive":
        raise DataError(
            f"{missing}. Fill it with: forecast data import DIR, or ask the simulated economy with: --data synthetic"
        )
    return _simulated(f"{missing[:1].upper()}{missing[1:]}: " if asked is None else "")


def _lacking(spread: str, vintages: Vintages) -> str:
    """Series that are needed and not there; the rate on reserves has two names and one is enough."""
    needed = _inputs(spread)
    rates = {"ioer", "iorb"}
    lacking = [name for name in needed if name not in vintages.names and name not in rates]
    if not rates & set(vintages.names):
        lacking.append("iorb")
    return ", ".join(lacking)


def _inputs(spread: str) -> tuple[str, ...]:
    from forecast.features.feature_set import CalendarEffect, find_feature

    found = [find_feature(name) for name in (spread, "reserve_ratio")]
    return tuple(dict.fromkeys(s for item in found if not isinstance(item, CalendarEffect) for s in item.inputs))


def _simulated(why: str) -> _Source:
    from forecast.data.synthetic import Economy, simulate

    vintages, truth = simulate(Economy())
    return _Source("synthetic", vintages, truth, (f"{why}this is the simulated economy, not actual data.",))


# --------------------------------------------------------------------------- when


def _instant(question: Question, source: _Source) -> tuple[pd.Timestamp, tuple[str, ...]]:
    """The instant whose knowledge is used, and what to say where the data end before it."""
    import pandas as pd

    from forecast.data.vintages import end_of_day, new_york

    latest = _latest(question.spread, source.vintages)
    if question.as_of is None:
        return latest, ()
    asked = _day(question.as_of, "--as-of")
    at = new_york(end_of_day(asked) if len(question.as_of.strip()) <= len("2024-03-07") else asked)
    if at - latest <= pd.Timedelta(days=10):
        return at, ()
    return at, (
        f"Nothing new became known after {latest:%Y-%m-%d}: this says where reserves stood then, not on {at:%Y-%m-%d}.",
    )


def _latest(spread: str, vintages: Vintages) -> pd.Timestamp:
    """The last instant at which a period of the needed series became known that none of them had before."""
    from forecast.data.vintages import new_york

    rows = vintages.observations
    rows = rows[rows["series"].isin(_inputs(spread))]
    newest = rows[rows["period"] == rows.groupby("series", observed=True)["period"].transform("max")]
    return new_york(newest.groupby("series", observed=True)["released"].min().max())


def _day(text: str, option: str) -> pd.Timestamp:
    from datetime import datetime

    import pandas as pd

    from forecast.errors import UsageError

    try:
        return pd.Timestamp(datetime.fromisoformat(text.strip()))
    except ValueError as error:
        raise UsageError(f"{option} {text!r} is not a date; write it as 2024-03-07.") from error


# --------------------------------------------------------------------------- models


def _models(question: Question) -> tuple[dict[str, Model], list[Silence]]:
    """The models to ask, and those that cannot be asked with the reason."""
    from forecast.answers.assessment import Silence
    from forecast.errors import UsageError
    from forecast.registry import create, model_class, registered

    telling, broken = [], []
    for name in registered():
        try:
            if getattr(model_class(name), "tells_ampleness", False):
                telling.append(name)
        except Exception as error:  # noqa: BLE001  a plug-in that is broken or not installed must not stop the others
            broken.append(Silence(name, " ".join(str(error).split())))
    for name in question.models:
        model_class(name)
        if name not in telling:
            raise UsageError(f"model {name!r} cannot tell ampleness. These can: {', '.join(telling) or 'none'}.")
    if question.models:
        return {name: create(name) for name in dict.fromkeys(question.models)}, []
    models = {name: create(name) for name in telling}
    left_out = [name for name in telling if question.quick and models[name].sampled]
    broken += [Silence(name, "left out by --quick: it is estimated by simulation") for name in left_out]
    return {name: model for name, model in models.items() if name not in left_out}, broken


def _fitted_to(model: Model, spread: str, data: Data) -> Model:
    """The model of a spread; dated steps are those of United States history, which a simulated economy does not have."""
    options = {field.name for field in fields(model)}  # type: ignore[arg-type]  # models are dataclasses
    changes: Mapping[str, Any] = {"spread": spread} if "spread" in options else {}
    if data == "synthetic" and "steps" in options:
        changes = {**changes, "steps": False}
    changed: Model = replace(model, **changes)  # type: ignore[type-var]  # the same
    return changed


def _generator(question: Question, name: str, model: Model, as_of: pd.Timestamp) -> np.random.Generator:
    """Keyed by what is fitted, as a backtest's cells are: the same question has the same answer in any company."""
    from forecast.backtest.cells import cell_rng, cell_words
    from forecast.backtest.plan import ModelEntry
    from forecast.model import is_updatable

    entry = ModelEntry(name, name, {field.name: getattr(model, field.name) for field in fields(model)})  # type: ignore[arg-type]
    return cell_rng(question.seed, cell_words(entry, model.targets, "fit", None if is_updatable(model) else as_of))


def _with_truth(assessment: Assessment, truth: Truth) -> Assessment:
    import numpy as np

    from forecast.answers.true_curve import true_curve

    ratio = assessment.history["ratio"]
    grid = np.linspace(float(ratio.min()), float(ratio.max()), 200)
    return replace(assessment, truth=true_curve(truth, assessment.spread, assessment.last_week, grid))


# --------------------------------------------------------------------------- what is shown


@contextmanager
def _progress(*, quiet: bool) -> Iterator[Progress | None]:
    """A bar on standard error, gone when all models have answered."""
    if quiet:
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("models", total=None)
        yield lambda done, total, name: bar.update(task, completed=done, total=total, description=name or "models")


def _write(assessment: Assessment, path: Path) -> Path:
    from forecast.errors import UsageError
    from forecast.report.ampleness import write_ampleness

    try:
        return write_ampleness(assessment, path)
    except OSError as error:
        raise UsageError(f"--html: cannot write {path}: {error.strerror}. Name a file in another folder.") from error
