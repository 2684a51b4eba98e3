"""Where reserves stand: what every model that can tell says, side by side, and what they say together.

Models are never averaged. The common state is the one that all of them share; where they or their intervals disagree
the answer is "cannot tell".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from time import perf_counter

import numpy as np
import pandas as pd

from forecast.answers.ampleness import Ampleness, State, TellsAmpleness
from forecast.answers.true_curve import TrueCurve
from forecast.data.vintages import Panel
from forecast.errors import DataError, DiagnosticsError, MissingSeriesError, ModelError, ShortHistoryError
from forecast.features.feature_set import Design, FeatureSet
from forecast.model import Model

RATIO = "reserve_ratio"
# A model whose last week is older speaks of then, not of now.
_CURRENT = pd.Timedelta(weeks=4)

type Progress = Callable[[int, int, str], None]


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """What one model says, and how long it took."""

    model: str
    ampleness: Ampleness
    seconds: float


@dataclass(frozen=True, slots=True)
class Silence:
    """A model that gave no answer, and why."""

    model: str
    reason: str


@dataclass(frozen=True, slots=True, eq=False)
class Assessment:
    """The answers of several models about one spread, as known at one instant.

    spread  : feature whose demand curve it is
    data    : "archive" or "synthetic"
    as_of   : New York time; nothing released later was used
    history : by reserve week: "spread" (bp), "ratio" (percent of bank assets), "bank_assets" (USD bn), missing where
              not known
    answers : one a model that answered
    silent  : models that did not
    notes   : what a reader must know of the data
    truth   : of a simulated economy; None for data
    """

    spread: str
    data: str
    as_of: pd.Timestamp
    history: pd.DataFrame
    answers: tuple[Answer, ...]
    silent: tuple[Silence, ...]
    notes: tuple[str, ...] = ()
    truth: TrueCurve | None = None

    @property
    def first_week(self) -> pd.Timestamp:
        """The first week in which spread and reserve ratio are both known."""
        known = self.history[["spread", "ratio"]].notna().all(axis=1)
        return pd.DatetimeIndex(self.history.index[known])[0]

    @property
    def last_week(self) -> pd.Timestamp:
        """The last week whose reserve ratio is known."""
        return pd.DatetimeIndex(self.history.index[self.history["ratio"].notna()])[-1]

    @property
    def ratio(self) -> float:
        """Reserve ratio of the last known week, percent of bank assets."""
        return float(self.history["ratio"].loc[self.last_week])

    @property
    def bank_assets(self) -> float:
        """Of the last known week, USD bn."""
        return float(self.history["bank_assets"].loc[self.last_week])

    def not_counted(self, answer: Answer) -> str:
        """Why an answer does not enter the common state; empty where it does."""
        told = answer.ampleness
        if self.last_week - told.weeks[-1] > _CURRENT:
            return f"its sample ends {told.weeks[-1]:%Y-%m-%d}: it speaks of then, not of now"
        if (
            len(told.weeks) > 1
            and np.ptp(np.where(np.isnan(told.slope), told.slope[:, -1:], told.slope), axis=1).max() == 0
        ):
            return "its slope is the same in every week: an average of the sample, not of now"
        return ""

    def counted(self) -> tuple[Answer, ...]:
        """The answers that make the common state."""
        return tuple(answer for answer in self.answers if not self.not_counted(answer))

    def states(self) -> dict[str, State]:
        """The state that each counted model tells."""
        return {answer.model: answer.ampleness.state() for answer in self.counted()}

    def state(self) -> State:
        """The state that all counted models share; "cannot tell" where they or their intervals disagree."""
        return shared(self.states())


def shared(states: Mapping[str, State]) -> State:
    """The one state that all models tell; "cannot tell" where there is none."""
    told = set(states.values())
    return told.pop() if len(told) == 1 else "cannot tell"


# --------------------------------------------------------------------------- asking the models


def assess(
    models: Mapping[str, Model],
    panel: Panel,
    spread: str,
    *,
    start: pd.Timestamp,
    generator: Callable[[str, Model], np.random.Generator],
    data: str,
    progress: Progress | None = None,
) -> Assessment:
    """Fit every model on what was known and ask it.

    A model that fails is kept with its reason; it never stops the others and is never averaged in.

    Parameters
    ----------
    models    : by name; each fits ``spread``
    panel     : cut at the as-of instant
    start     : no earlier reserve week is used
    generator : name, model -> the generator of its fit
    data      : "archive" or "synthetic", for the reader
    progress  : called with models done, models in all, and the model that comes next

    Raises
    ------
    DataError  : spread or reserve ratio are not known in any week from ``start`` on
    ModelError : no model answered; says why
    """
    history = _history(panel, spread, start)
    answers: list[Answer] = []
    silent: list[Silence] = []
    for done, (name, model) in enumerate(models.items()):
        if progress:
            progress(done, len(models), name)
        try:
            began = perf_counter()
            told = _ask(model, _sample(panel, model, spread, history), generator(name, model))
            answers.append(Answer(name, told, perf_counter() - began))
        except Exception as error:  # noqa: BLE001  a model that fails for any reason is listed with it
            silent.append(Silence(name, _reason(error)))
    if progress:
        progress(len(models), len(models), "")
    if not answers:
        said = "; ".join(f"{names}: {reason.rstrip('.')}" for names, reason in reasons(silent))
        raise ModelError(f"no model answered. {said or 'None was asked: name one with --model'}.")
    return Assessment(spread, data, panel.as_of, history, tuple(answers), tuple(silent))


def _history(panel: Panel, spread: str, start: pd.Timestamp) -> pd.DataFrame:
    """Spread, ratio and bank assets by week, from the first to the last week in which spread or ratio are known."""
    try:
        design = FeatureSet((spread, RATIO)).build(panel)
        assets = panel.series("bank_assets")
    except MissingSeriesError as error:
        raise DataError(f"{error} Ask with a later --as-of, or the simulated economy with: --data synthetic") from error
    table = design.targets.loc[start:].set_axis(["spread", "ratio"], axis=1)
    table["bank_assets"] = assets.reindex(table.index)
    if not table[["spread", "ratio"]].notna().all(axis=1).any():
        raise DataError(
            f"there is no week from {start:%Y-%m-%d} to {panel.as_of:%Y-%m-%d} in which {spread} and the reserve ratio "
            "are both known. Ask with an earlier --start or a later --as-of."
        )
    known = table[["spread", "ratio"]].dropna(how="all").index
    return table.loc[known[0] : known[-1]]


def _sample(panel: Panel, model: Model, spread: str, history: pd.DataFrame) -> Design:
    """What a model wants to see, over the weeks of the history: weeks of which nothing is known say nothing."""
    targets = model.targets or (spread,)
    if spread not in targets:
        raise ModelError(f"it models {', '.join(targets)}, not {spread}")
    design = FeatureSet(targets, model.features).build(panel)
    first, last = history.index[[0, -1]]
    return replace(design, targets=design.targets.loc[first:last], features=design.features.loc[first:last])


def _ask(model: Model, design: Design, rng: np.random.Generator) -> Ampleness:
    fitted = model.fit(design, rng=rng)
    if not isinstance(fitted, TellsAmpleness):
        raise ModelError("its fit has no ampleness() to ask")
    return fitted.ampleness()


def reasons(silent: Iterable[Silence]) -> Iterator[tuple[str, str]]:
    """Models without an answer and why; those with the same reason together."""
    told: dict[str, list[str]] = {}
    for each in silent:
        told.setdefault(each.reason, []).append(each.model)
    yield from ((", ".join(models), reason) for reason, models in told.items())


def _reason(error: Exception) -> str:
    """One line: what stopped a model."""
    text = " ".join(str(error).split()) or "no reason given"
    if isinstance(error, ShortHistoryError):
        # What it advises is for a backtest.
        return f"{text.partition('. ')[0]}. Ask with a later --as-of or an earlier --start"
    if isinstance(error, DiagnosticsError):
        return f"its sampler failed the diagnostics: {text}"
    return text if isinstance(error, ModelError | DataError) else f"{type(error).__name__}: {text}"
