"""Does anything see the future? Change everything released after an origin; nothing known at it may move.

For the project's own features and models and for anyone's:

    for leak in check_features(FeatureSet(("effr_iorb",), ("my_feature",)), vintages, origins):
        print(leak)

and in the same way ``check_model`` of :mod:`forecast.checks.forecasts`.

Whatever is prepared from data before the origin is reached (a tuned penalty, a scaler, a list of dates) is part of
the forecast: write it as a :data:`Pipeline`, which gets the vintages, and give it to :func:`check_pipeline`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.calendar import NEW_YORK
from forecast.data.vintages import Instant, Vintages, new_york
from forecast.errors import UsageError
from forecast.features.feature_set import Design, Feature, FeatureSet, find_feature

type Poison = Literal["missing", "huge", "permuted", "withheld"]
# All releases and an instant -> numbers by period: a design, draws, past forecasts, anything one column a name.
type Pipeline = Callable[[Vintages, pd.Timestamp], pd.DataFrame]

POISONS: tuple[Poison, ...] = get_args(Poison.__value__)


@dataclass(frozen=True, slots=True)
class Leak:
    """A number that changed although nothing that it may rest on did.

    origin  : instant at which it was computed, or day after which periods were changed
    how     : what was done to what came later
    feature : name of the target, feature or forecast; an error that only the change raises
    period  : first period whose value differs; None where rows appeared or went
    later   : what came later: "releases", or "periods" whenever released
    """

    origin: pd.Timestamp
    how: str
    feature: str
    period: pd.Timestamp | None
    later: Literal["releases", "periods"] = "releases"

    def __str__(self) -> str:
        where = "its rows" if self.period is None else f"its value for {self.period:%Y-%m-%d}"
        when = f"{self.origin:%Y-%m-%d %H:%M}"
        return f"{self.feature!r} at {when}: {where} changed when later {self.later} were {self.how}"


def poison(vintages: Vintages, origin: Instant, how: Poison, rng: np.random.Generator) -> Vintages:
    """The same past, another future.

    Parameters
    ----------
    vintages : every release
    origin   : releases after this instant are changed; those at it or before stay as they are
    how      : "missing" makes them missing, "huge" +-1e12, "permuted" shuffles them over all series,
               "withheld" takes them out, so that series which begin later are not there at all
    rng      : signs and permutations

    Raises
    ------
    UsageError : ``how`` is none of these
    """
    rows = vintages.observations
    later = (rows["released"] > new_york(origin).tz_convert("UTC")).to_numpy()
    if how == "withheld":
        return replace(vintages, observations=rows[~later].reset_index(drop=True))
    values = rows["value"].to_numpy(dtype=float, copy=True)
    values[later] = poisoned_values(values[later], how, rng)
    return replace(vintages, observations=rows.assign(value=values))


def poisoned_values(values: NDArray[np.float64], how: Poison, rng: np.random.Generator) -> NDArray[np.float64]:
    """Other values; see :func:`poison`."""
    if how == "missing":
        return np.full_like(values, np.nan)
    if how == "huge":
        return np.where(rng.random(len(values)) < 0.5, -1e12, 1e12)
    if how == "permuted":
        return rng.permutation(values)
    raise UsageError(f"unknown poison {how!r}. Use one of: {', '.join(POISONS)}.")


def differences(clean: Design, other: Design) -> dict[str, pd.Timestamp | None]:
    """Targets and features that are not identical, with the first week that differs; None where rows differ."""
    return changed_columns(clean.targets, other.targets) | changed_columns(clean.features, other.features)


def changed_columns(clean: pd.DataFrame, other: pd.DataFrame) -> dict[str, pd.Timestamp | None]:
    """Columns that are not identical to the last bit, with the first row that differs; None where rows differ."""
    if not clean.index.equals(other.index):
        return dict.fromkeys(clean.columns)
    found: dict[str, pd.Timestamp | None] = {name: None for name in clean.columns if name not in other}
    for name in clean.columns.intersection(other.columns):
        a, b = clean[name].to_numpy(), other[name].to_numpy()
        differs = (a != b) & ~(np.isnan(a) & np.isnan(b))
        if differs.any():
            found[name] = clean.index[differs][0]
    return found


def check_pipeline(
    pipeline: Pipeline,
    vintages: Vintages,
    origins: Iterable[Instant],
    *,
    hows: Sequence[Poison] = POISONS,
    seed: int = 0,
) -> list[Leak]:
    """Run a pipeline at each origin on clean and on poisoned vintages; every difference is a leak.

    "withheld" runs the pipeline, with all that it tunes or estimates beforehand, on what was known at the origin.

    Parameters
    ----------
    pipeline : what is computed; the same vintages and instant must give the same numbers
    vintages : every release
    origins  : instants; one second before a release is the hardest, see :func:`eves`

    Returns
    -------
    list of leaks, empty if the future is invisible

    Raises
    ------
    UsageError : nothing was released after an origin, so the check could not fail there
    """
    leaks = []
    last = vintages.observations["released"].max()
    for origin in map(new_york, origins):
        if last <= origin:
            raise UsageError(f"nothing was released after {origin:%Y-%m-%d %H:%M}: choose an earlier origin to check.")
        clean = pipeline(vintages, origin)
        for how in hows:
            poisoned = poison(vintages, origin, how, np.random.default_rng(seed))
            found = changes(pipeline, clean, poisoned, origin)
            leaks += [Leak(origin, how, name, period) for name, period in found.items()]
    return leaks


def changes(
    pipeline: Pipeline, clean: pd.DataFrame, poisoned: Vintages, origin: pd.Timestamp
) -> dict[str, pd.Timestamp | None]:
    """Columns that poison changes, see :func:`changed_columns`, or the error that only poison raises."""
    try:
        return changed_columns(clean, pipeline(poisoned, origin))
    except Exception as error:  # noqa: BLE001  the clean past did not raise it, whatever it is
        return {f"{type(error).__name__}: {error}": None}


def eves(vintages: Vintages, n: int, *, after: Instant, before: Instant, seed: int = 0) -> list[pd.Timestamp]:
    """``n`` instants one second before something is released, between two others: where a clock set too early shows."""
    released = pd.DatetimeIndex(vintages.observations["released"].unique()).tz_convert(NEW_YORK)
    inside = released[(released > new_york(after)) & (released <= new_york(before))].sort_values()
    if len(inside) < n:
        raise UsageError(f"{len(inside)} releases between {after} and {before}; {n} are asked for.")
    chosen = np.random.default_rng(seed).choice(len(inside), n, replace=False)
    return list(inside[np.sort(chosen)] - pd.Timedelta(seconds=1))


def check_features(
    feature_set: FeatureSet,
    vintages: Vintages,
    origins: Iterable[Instant],
    *,
    ahead: int = 13,
    hows: Sequence[Poison] = POISONS,
    seed: int = 0,
) -> list[Leak]:
    """Build the design at each origin with later releases poisoned, see :func:`check_pipeline`.

    Parameters
    ----------
    ahead : reserve weeks past the origin, as a model would ask for
    """

    def table(vintages: Vintages, origin: pd.Timestamp) -> pd.DataFrame:
        design = feature_set.build(vintages.as_of(origin), ahead=ahead)
        others = [name for name in feature_set.targets if name not in feature_set.features]
        return design.features.join(design.targets[others])

    return check_pipeline(table, vintages, origins, hows=hows, seed=seed)


def check_nothing_released(pipeline: Pipeline, vintages: Vintages, origin: Instant) -> list[Leak]:
    """Where nothing is released, nothing can be computed: a value has come through another door.

    Finds what a feature or model carries in itself, read before from a file or the full sample. Not for
    calendar effects, which rest on no release.
    """
    instant = new_york(origin)
    try:
        table = pipeline(replace(vintages, observations=vintages.observations.iloc[:0]), instant)
    except Exception:  # noqa: BLE001  however a pipeline says that it has no data
        return []
    known = {str(name): column.dropna().index for name, column in table.items()}
    return [Leak(instant, "taken out with all before", name, at[0]) for name, at in known.items() if len(at)]


def check_truncation(feature_set: FeatureSet, vintages: Vintages, origins: Iterable[Instant]) -> list[Leak]:
    """What a row says does not change as time passes: f(everything)[week] = f(known at the origin)[week].

    Only where the inputs were never revised, and only for weeks of which the origin knew something: a value
    that was missing may arrive. A slow series may change a week's row until the Thursday after it, 17:00. Finds transforms that look forward or over the whole sample, such as a
    standardisation by the full-sample mean, which no change of later releases shows.
    """
    steady = frozenset(vintages.single_vintage())
    names = {*feature_set.targets, *feature_set.features}
    unrevised = {n for n in names if not isinstance(item := find_feature(n), Feature) or steady.issuperset(item.inputs)}
    later = feature_set.build(vintages.final())
    leaks = []
    for origin in map(new_york, origins):
        known = _settled(feature_set.build(vintages.as_of(origin)), origin)
        found = differences(known, _as_visible(later, known))
        leaks += [Leak(origin, "added", name, found[name]) for name in found if name in unrevised]
    return leaks


def _settled(design: Design, origin: pd.Timestamp) -> Design:
    """The rows that :func:`forecast.features.transforms.as_known` fills no more."""
    last = origin.tz_localize(None) - pd.Timedelta(hours=41)
    return replace(design, targets=design.targets.loc[:last], features=design.features.loc[:last])


def _as_visible(later: Design, known: Design) -> Design:
    """Another design on the rows of this one, missing where this one is."""
    return replace(
        known,
        targets=later.targets.reindex(known.targets.index).where(known.targets.notna()),
        features=later.features.reindex(known.features.index).where(known.features.notna()),
    )
