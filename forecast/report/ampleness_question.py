"""How near reserves are to scarce: the question, put to every model that can tell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import datetime
from typing import Any, Literal

import numpy as np
import pandas as pd

from forecast import registry
from forecast.answers.assessment import RATIO, Assessment, Progress, Silence, assess
from forecast.answers.true_curve import true_curve
from forecast.backtest.cells import cell_rng, cell_words
from forecast.backtest.plan import ModelEntry
from forecast.data import store, synthetic
from forecast.data.synthetic import Truth
from forecast.data.vintages import Vintages, end_of_day, new_york
from forecast.errors import DataError, UsageError
from forecast.features.feature_set import FEATURES, CalendarEffect, find_feature
from forecast.home import archive_folder
from forecast.model import Model, is_updatable

type Data = Literal["archive", "synthetic"]

# Numbers come out within this time of each other; an as-of day later than that deserves a word.
_SOON = pd.Timedelta(days=10)


@dataclass(frozen=True, slots=True)
class AmplenessQuestion:
    """What is asked.

    spread : feature over the rate on reserves, bp
    as_of  : a day (its end) or an instant in New York time; None means the last release that brought something new
    start  : first day of the sample. Interest on reserves began in October 2008; the first weeks of it are a crisis, not
             a demand curve
    models : registered names; all that can tell if none is given
    seed   : of models estimated by simulation
    quick  : leave those out, unless named
    data   : "archive" or "synthetic"; None means the archive if it has the series, else the simulated economy
    """

    spread: str = "effr_iorb"
    as_of: str | None = None
    start: str = "2009-01-01"
    models: tuple[str, ...] = ()
    seed: int = 1
    quick: bool = False
    data: Data | None = None


def ask_ampleness(question: AmplenessQuestion = AmplenessQuestion(), *, progress: Progress | None = None) -> Assessment:
    """Fit the models of a question on what was known, and put their answers side by side.

    The same question has the same answer, whichever other models are asked.

    Parameters
    ----------
    progress : called with models done, models in all, and the model that comes next

    Raises
    ------
    UsageError : an unknown spread or model, a model that cannot tell, or an as-of that is no date
    DataError  : the series are missing, or nothing of them is known by then
    ModelError : no model answered
    """
    _require_spread(question.spread)
    start = _day(question.start, "--start")
    models, silent = _models(question)
    source = _source(question)
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


def _with_truth(assessment: Assessment, truth: Truth) -> Assessment:
    ratio = assessment.history["ratio"]
    grid = np.linspace(float(ratio.min()), float(ratio.max()), 200)
    return replace(assessment, truth=true_curve(truth, assessment.spread, assessment.last_week, grid))


# --------------------------------------------------------------------------- data


@dataclass(frozen=True, slots=True, eq=False)
class _Source:
    """Where the numbers come from, and what a reader should know of it."""

    data: Data
    vintages: Vintages
    truth: Truth | None = None
    notes: tuple[str, ...] = ()


def _require_spread(spread: str) -> None:
    find_feature(spread)
    known = [name for name in FEATURES if name.endswith("_iorb")]
    if spread not in known:
        raise UsageError(f"{spread!r} is no spread over the rate on reserves. Use one of: {', '.join(sorted(known))}.")


def _source(question: AmplenessQuestion) -> _Source:
    """The archive if it is asked for or has the series, else the simulated economy."""
    archive, asked = archive_folder(), question.data
    missing = f"there is no archive in {archive}"
    if asked != "synthetic" and (archive / store.MANIFEST).exists():
        vintages = store.load_vintages()
        lacking = _lacking(question.spread, vintages)
        if not lacking:
            return _Source("archive", vintages)
        missing = f"the archive {archive} has no {lacking}"
    if asked == "archive":
        raise DataError(
            f"{missing}. Fill it with: forecast data import DIR, or ask the simulated economy with: --data synthetic"
        )
    why = f"{missing[:1].upper()}{missing[1:]}: " if asked is None else ""
    vintages, truth = synthetic.simulate(synthetic.Economy())
    return _Source("synthetic", vintages, truth, (f"{why}this is the simulated economy, not actual data.",))


def _lacking(spread: str, vintages: Vintages) -> str:
    """Series that are needed and not there; the rate on reserves has two names and one is enough."""
    rates, there = {"ioer", "iorb"}, set(vintages.names)
    lacking = [name for name in _inputs(spread) if name not in there | rates]
    return ", ".join([*lacking, *([] if rates & there else ["iorb"])])


def _inputs(spread: str) -> tuple[str, ...]:
    found = [find_feature(name) for name in (spread, RATIO)]
    return tuple(dict.fromkeys(s for item in found if not isinstance(item, CalendarEffect) for s in item.inputs))


# --------------------------------------------------------------------------- when


def _instant(question: AmplenessQuestion, source: _Source) -> tuple[pd.Timestamp, tuple[str, ...]]:
    """The instant whose knowledge is used, and what to say where the data end before it."""
    latest = _latest(question.spread, source.vintages)
    if question.as_of is None:
        return latest, ()
    asked = _day(question.as_of, "--as-of")
    at = new_york(end_of_day(asked) if len(question.as_of.strip()) <= len("2024-03-07") else asked)
    if at - latest <= _SOON:
        return at, ()
    return at, (
        f"Nothing new became known after {latest:%Y-%m-%d}: this says where reserves stood then, not on {at:%Y-%m-%d}.",
    )


def _latest(spread: str, vintages: Vintages) -> pd.Timestamp:
    """The last instant at which a period of the needed series became known that none of them had before."""
    rows = vintages.observations
    rows = rows[rows["series"].isin(_inputs(spread))]
    newest = rows[rows["period"] == rows.groupby("series", observed=True)["period"].transform("max")]
    return new_york(newest.groupby("series", observed=True)["released"].min().max())


def _day(text: str, option: str) -> pd.Timestamp:
    try:
        return pd.Timestamp(datetime.fromisoformat(text.strip()))
    except ValueError as error:
        raise UsageError(f"{option} {text!r} is not a date; write it as 2024-03-07.") from error


# --------------------------------------------------------------------------- models


def _models(question: AmplenessQuestion) -> tuple[dict[str, Model], list[Silence]]:
    """The models to ask, and those that cannot be asked with the reason."""
    telling, silent = [], []
    for name in registry.registered():
        try:
            if getattr(registry.model_class(name), "tells_ampleness", False):
                telling.append(name)
        except Exception as error:  # noqa: BLE001  a plug-in that is broken or not installed must not stop the others
            silent.append(Silence(name, " ".join(str(error).split())))
    for name in question.models:
        registry.model_class(name)
        if name not in telling:
            raise UsageError(f"model {name!r} cannot tell ampleness. These can: {', '.join(telling) or 'none'}.")
    if question.models:
        return {name: registry.create(name) for name in dict.fromkeys(question.models)}, []
    models = {name: registry.create(name) for name in telling}
    left_out = [name for name in telling if question.quick and models[name].sampled]
    silent += [Silence(name, "left out by --quick: estimated by simulation") for name in left_out]
    return {name: model for name, model in models.items() if name not in left_out}, silent


def _fitted_to(model: Model, spread: str, data: Data) -> Model:
    """The model of a spread; dated steps are those of United States history, which a simulated economy does not have."""
    options = _options(model)
    changes: Mapping[str, Any] = {"spread": spread} if "spread" in options else {}
    if data == "synthetic" and "steps" in options:
        changes = {**changes, "steps": False}
    changed: Model = replace(model, **changes)  # type: ignore[type-var]  # models are dataclasses
    return changed


def _options(model: Model) -> dict[str, Any]:
    return {field.name: getattr(model, field.name) for field in fields(model)}  # type: ignore[arg-type]  # the same


def _generator(question: AmplenessQuestion, name: str, model: Model, as_of: pd.Timestamp) -> np.random.Generator:
    """Keyed by what is fitted, as a backtest's cells are: the same question has the same answer in any company."""
    entry, instant = ModelEntry(name, name, _options(model)), None if is_updatable(model) else as_of
    return cell_rng(question.seed, cell_words(entry, model.targets, "fit", instant))
