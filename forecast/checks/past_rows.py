"""Does a row rest on what came after it? Change the values of every later period; rows of the past may not move.

A row of 2015 that says something else once 2016 is known is look-ahead too, even where all of it was public at
the origin: a model estimated on such rows learns from what no one knew. In a pipeline that returns past forecasts the
same check finds tuning and cross-validation on later weeks.

    leaks = check_past_rows(computed("my_feature"), vintages, ["2015-03-06", "2019-09-17"])
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd

from forecast.calendar import period_end
from forecast.checks.lookahead import Leak, Pipeline, Poison, changes, poisoned_values
from forecast.data.vintages import Instant, Vintages, new_york
from forecast.errors import MissingSeriesError
from forecast.features.feature_set import Feature, find_feature

# Poisons that change no more than values.
_HOWS: tuple[Poison, ...] = ("huge", "permuted")


def check_past_rows(
    pipeline: Pipeline, vintages: Vintages, days: Iterable[Instant], *, hows: Sequence[Poison] = _HOWS, seed: int = 0
) -> list[Leak]:
    """With everything released, change the values of periods that end after a day: rows up to it may not move.

    Finds rows that rest on what came after them, though all of it was public at the origin: centred averages,
    filling backwards, scaling by the whole sample, days between two Wednesdays, and past forecasts by a model
    that was tuned or cross-validated on later weeks. Only values change, so a row may wait for a later one.

    Parameters
    ----------
    pipeline : rows are the periods they speak of; those after a day are not compared
    days     : any days, also inside a week or month

    Returns
    -------
    list of leaks, empty if every row rests on its past alone
    """
    end = new_york(vintages.observations["released"].max())
    clean = pipeline(vintages, end)
    leaks = []
    for day in map(pd.Timestamp, days):
        past = partial(_until, pipeline, day)
        for how in hows:
            poisoned = poison_periods(vintages, day, how, np.random.default_rng(seed))
            # What is made of the later periods may overflow or divide by zero: it is not looked at.
            with np.errstate(all="ignore"):
                found = changes(past, clean[clean.index <= day], poisoned, end)
            leaks += [Leak(day, how, name, period, "periods") for name, period in found.items()]
    return leaks


def _until(pipeline: Pipeline, day: pd.Timestamp, vintages: Vintages, origin: pd.Timestamp) -> pd.DataFrame:
    table = pipeline(vintages, origin)
    return table[table.index <= day]


def poison_periods(vintages: Vintages, day: pd.Timestamp, how: Poison, rng: np.random.Generator) -> Vintages:
    """Other values for periods that end after a day, at the same times of release; missing ones stay missing."""
    rows = vintages.observations
    values = rows["value"].to_numpy(dtype=float, copy=True)
    later = np.isfinite(values)
    for name, at in rows.groupby("series", observed=True).indices.items():
        ends = period_end(rows["period"].to_numpy()[at], vintages.catalog[str(name)].frequency)
        later[at] &= ends > day.to_datetime64()
    values[later] = poisoned_values(values[later], how, rng)
    return replace(vintages, observations=rows.assign(value=values))


def computed(*names: str) -> Pipeline:
    """Features as they are before they become reserve weeks, days by day, for :func:`check_past_rows`.

    Raises
    ------
    MissingSeriesError : none of them has a value
    """

    def table(vintages: Vintages, origin: pd.Timestamp) -> pd.DataFrame:
        panel, columns = vintages.as_of(origin), {}
        for name in names:
            item = find_feature(name)
            with suppress(MissingSeriesError):
                columns[name] = item.compute(panel) if isinstance(item, Feature) else pd.Series(dtype=float)
        if not columns:
            raise MissingSeriesError(f"none of {', '.join(names)} has a value by {origin:%Y-%m-%d}.")
        return pd.concat(columns, axis=1, sort=True)

    return table
