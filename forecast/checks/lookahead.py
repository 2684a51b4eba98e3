"""Does anything see the future? Change everything released after an origin; nothing known at it may move.

For the project's own features and for anyone's: register a feature, put its name into a ``FeatureSet`` and

    for leak in check_features(FeatureSet(("effr_iorb",), ("my_feature",)), vintages, origins):
        print(leak)
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.data.vintages import Instant, Vintages, new_york
from forecast.errors import UsageError
from forecast.features.feature_set import Design, Feature, FeatureSet, find_feature

type Poison = Literal["missing", "huge", "permuted", "withheld"]

POISONS: tuple[Poison, ...] = get_args(Poison.__value__)


@dataclass(frozen=True, slots=True)
class Leak:
    """A feature that changed although nothing known at the origin did.

    origin  : instant of the design
    how     : what was done to later releases
    feature : name of the target or feature
    period  : first reserve week whose value differs; None where rows appeared or went
    """

    origin: pd.Timestamp
    how: str
    feature: str
    period: pd.Timestamp | None

    def __str__(self) -> str:
        where = "its rows" if self.period is None else f"its value for {self.period:%Y-%m-%d}"
        return f"{self.feature!r} at {self.origin:%Y-%m-%d %H:%M}: {where} changed when later releases were {self.how}"


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
    values[later] = _poisoned(values[later], how, rng)
    return replace(vintages, observations=rows.assign(value=values))


def _poisoned(values: NDArray[np.float64], how: Poison, rng: np.random.Generator) -> NDArray[np.float64]:
    if how == "missing":
        return np.full_like(values, np.nan)
    if how == "huge":
        return np.where(rng.random(len(values)) < 0.5, -1e12, 1e12)
    if how == "permuted":
        return rng.permutation(values)
    raise UsageError(f"unknown poison {how!r}. Use one of: {', '.join(POISONS)}.")


def differences(clean: Design, other: Design) -> dict[str, pd.Timestamp | None]:
    """Targets and features that are not identical, with the first week that differs; None where rows differ."""
    found: dict[str, pd.Timestamp | None] = {}
    for ours, theirs in ((clean.targets, other.targets), (clean.features, other.features)):
        for name in ours.columns:
            if name not in theirs or not ours.index.equals(theirs.index):
                found[name] = None
                continue
            a, b = ours[name].to_numpy(), theirs[name].to_numpy()
            differs = (a != b) & ~(np.isnan(a) & np.isnan(b))
            if differs.any():
                found[name] = ours.index[differs][0]
    return found


def check_features(
    feature_set: FeatureSet,
    vintages: Vintages,
    origins: Iterable[Instant],
    *,
    ahead: int = 13,
    hows: Sequence[Poison] = POISONS,
    seed: int = 0,
) -> list[Leak]:
    """Build the design at each origin with later releases poisoned; every difference is a leak.

    Parameters
    ----------
    feature_set : what to build
    vintages    : every release; none need lie after the origins, but without any nothing is tested
    ahead       : reserve weeks past the origin, as a model would ask for

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
        clean = feature_set.build(vintages.as_of(origin), ahead=ahead)
        for how in hows:
            poisoned = poison(vintages, origin, how, np.random.default_rng(seed))
            found = differences(clean, feature_set.build(poisoned.as_of(origin), ahead=ahead))
            leaks += [Leak(origin, how, name, period) for name, period in found.items()]
    return leaks


def check_truncation(feature_set: FeatureSet, vintages: Vintages, origins: Iterable[Instant]) -> list[Leak]:
    """What a row says does not change as time passes: f(everything)[week] = f(known at the origin)[week].

    Only where the inputs were never revised, and only for weeks of which the origin knew something: a value
    that was missing may arrive. Finds transforms that look forward or over the whole sample, such as a
    standardisation by the full-sample mean, which no change of later releases shows.
    """
    steady = frozenset(vintages.single_vintage())
    names = {*feature_set.targets, *feature_set.features}
    unrevised = {n for n in names if not isinstance(item := find_feature(n), Feature) or steady.issuperset(item.inputs)}
    later = feature_set.build(vintages.final())
    leaks = []
    for origin in map(new_york, origins):
        known = feature_set.build(vintages.as_of(origin))
        found = differences(known, _as_visible(later, known))
        leaks += [Leak(origin, "added", name, found[name]) for name in found if name in unrevised]
    return leaks


def _as_visible(later: Design, known: Design) -> Design:
    """Another design on the rows of this one, missing where this one is."""
    return replace(
        known,
        targets=later.targets.reindex(known.targets.index).where(known.targets.notna()),
        features=later.features.reindex(known.features.index).where(known.features.notna()),
    )
