"""One cell: one model at one origin under one conditioning. What it is asked, on which rows, with which randomness."""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.backtest.plan import BacktestPlan, ModelEntry, Window
from forecast.data.vintages import new_york
from forecast.features.feature_set import CalendarEffect, Design, Table, find_feature
from forecast.model import Model
from forecast.scenario import Scenario

type Array = NDArray[np.float64]

NOT_ASKED = "not_asked"


@dataclass(frozen=True, slots=True, eq=False)
class Cell:
    """What one model said at one origin, and how it scored.

    status    : "ok", "degraded" (its sampler failed the diagnostics), "failed", "refused" (it needs a scenario):
                all four are results, the last three with a reason; "not_asked" is none
    traceback : last calls before an error that nobody raised on purpose
    seconds   : to predict, and to fit where no other cell of the same fit came first
    quantiles : (Q, H, K) kept quantiles for every week up to the last horizon; the mean is last
    outcomes  : (H, K) what happened, missing where unknown
    scores    : (S, h, K) at the plan's horizons, each of ``score_names``
    content   : hash of the draws
    lasting   : whether it would come out the same again. Not where memory or disk failed: that is told, but not stored
    """

    model: str
    conditioning: str
    origin: pd.Timestamp
    status: str = "ok"
    reason: str = ""
    traceback: str = ""
    seconds: float = 0.0
    targets: tuple[str, ...] = ()
    periods: pd.DatetimeIndex | None = None
    quantiles: Array | None = None
    outcomes: Array | None = None
    scores: Array | None = None
    score_names: tuple[str, ...] = ()
    content: str = ""
    lasting: bool = True


# --------------------------------------------------------------------------- randomness


def cell_words(
    entry: ModelEntry, targets: tuple[str, ...], conditioning: str, origin: pd.Timestamp | None
) -> tuple[int, ...]:
    """Four 32-bit words that name a cell: 128 bits of BLAKE2b over canonical JSON.

    Randomness is keyed by what a cell is, never by the order in which cells run. Predicting and
    breaking ties of scores use the cell's own words. A fit is shared by all conditionings of an origin
    and has words of its own, with "fit" in place of a conditioning; that of an updatable model, which
    carries its state from one origin to the next, has no origin either.
    """
    return words_of(cell_naming(entry, targets, conditioning), None if origin is None else nanoseconds(origin))


def cell_naming(entry: ModelEntry, targets: tuple[str, ...], conditioning: str) -> tuple[str, str]:
    """The canonical JSON that names a cell, up to the origin and from there on."""
    model = {"name": entry.name, "options": dict(entry.options)}
    head = f'{{"conditioning":{_canonical(conditioning)},"model":{_canonical(model)},"origin":'
    return head, f',"targets":{_canonical(list(targets))}}}'


def words_of(naming: tuple[str, str], origin: int | None) -> tuple[int, ...]:
    """The words of a cell from its name and its origin in nanoseconds since 1970; see :func:`cell_words`."""
    at = "null" if origin is None else str(origin)
    digest = hashlib.blake2b(f"{naming[0]}{at}{naming[1]}".encode(), digest_size=16).digest()
    return struct.unpack("<4I", digest)


def nanoseconds(origin: pd.Timestamp) -> int:
    """An instant as nanoseconds since 1970 (UTC)."""
    return int((origin if origin.tzinfo else new_york(origin)).value)


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), default=repr)


def cell_rng(seed: int, words: tuple[int, ...]) -> np.random.Generator:
    """The generator that belongs to some words."""
    # What SeedSequence(seed, spawn_key=words) makes of its arguments, in a fifth of the time.
    root = np.frombuffer(seed.to_bytes(max(16, -(-seed.bit_length() // 32) * 4), "little"), dtype="<u4")
    entropy = np.array([*root.tolist(), *words], dtype=np.uint32)
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(entropy)))


# --------------------------------------------------------------------------- what is asked


def asked_targets(plan: BacktestPlan, model: Model, design: Design, conditioning: str) -> tuple[str, ...]:
    """Targets the model is asked for here: named by it, long enough known, not given by the scenario."""
    return long_enough(plan, candidates(plan, model, conditioning), weeks_known(design))


def candidates(plan: BacktestPlan, model: Model, conditioning: str) -> tuple[str, ...]:
    """Targets of the plan that the model names and that a scenario neither holds nor lets one compute."""
    given: set[str] = set()
    if conditioning != "none":
        given = {name for need in model.needs for name in _inputs(need)}
    named = (target for target in plan.targets if not model.targets or target in model.targets)
    return tuple(target for target in named if not (given and set(_inputs(target)) <= given))


def long_enough(plan: BacktestPlan, names: tuple[str, ...], known: Mapping[str, int]) -> tuple[str, ...]:
    """Those of some targets or features that are known for the weeks the plan wants."""
    return tuple(name for name in names if known[name] >= plan.history_needed(name))


def weeks_known(design: Design, first: int = 0) -> dict[str, int]:
    """For how many weeks, from row ``first`` on, each target of a design is known."""
    table = design.target_table
    known = ~np.isnan(table.values[first:])
    return dict(zip(table.names, np.count_nonzero(known, axis=0).tolist(), strict=True))


def _inputs(feature: str) -> tuple[str, ...]:
    item = find_feature(feature)
    return () if isinstance(item, CalendarEffect) else item.inputs


# --------------------------------------------------------------------------- on which rows


def sub_design(design: Design, targets: tuple[str, ...], features: tuple[str, ...], plan: BacktestPlan) -> Design:
    """The columns a model wants to see, in the plan's estimation window; not writable, because models share it."""
    first = first_row(design.target_table.periods, plan.window)
    wanted = design.target_table.columns(targets)
    known = ~np.isnan(wanted[first:])
    start = first + (int(known.any(axis=1).argmax()) if known.size else 0)
    return Design.of_tables(
        _from(start, wanted, design.target_table.periods, targets),
        _from(start, design.feature_table.columns(features), design.feature_table.periods, features),
        {name: design.units[name] for name in (*targets, *features)},
        design.known_ahead & set(features),
    )


def first_row(periods: pd.DatetimeIndex, window: Window) -> int:
    """First of consecutive reserve weeks that a window lets an estimation sample use."""
    row = 0 if window.weeks is None else max(len(periods) - window.weeks, 0)
    if window.start is not None:
        row = max(row, int(np.searchsorted(periods.to_numpy(), window.start.to_datetime64())))
    return row


def _from(start: int, values: Array, periods: pd.DatetimeIndex, names: tuple[str, ...]) -> Table:
    if start:
        values, periods = values[start:], periods[start:]
    values.flags.writeable = False
    return Table(values, periods, names)


# --------------------------------------------------------------------------- given which future


def last_complete_week(needs: tuple[str, ...], design: Design) -> int | None:
    """Row of the last week over in which all needed features are known; None if there is none."""
    known = ~np.isnan(design.feature_table.columns(needs)[: len(design.target_table.values)]).any(axis=1)
    return int(np.flatnonzero(known)[-1]) if known.any() else None


def realised_scenario(needs: tuple[str, ...], design: Design, realised: Design, weeks: int) -> Scenario | None:
    """The paths that came true, from the first week that is missing in the design; None where none is known."""
    last = last_complete_week(needs, design)
    if last is None:
        return None
    late = design.targets.index[last + 1 :]
    periods = late.append(design.future(weeks))
    values = realised.features.loc[:, list(needs)].reindex(periods).to_numpy(dtype=float)
    complete = np.cumsum(np.isnan(values).any(axis=1)) == 0
    if complete.sum() <= len(late):
        return None
    return Scenario("realised", values[None, complete], periods[complete], needs)
