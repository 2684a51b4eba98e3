"""The releases of one series, arranged so that what was known at any instant is found without a search through them.

Nearly every release adds the newest period, so what was known is the beginning of one array: a
slice. A revision changes the middle. Revisions are kept as patches upon a copy of the whole
series, and a new copy begins whenever the patches have grown to an eighth of it: cutting never
costs more than one copy and that many changes, and memory stays in proportion to the releases.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from forecast.calendar import is_business_day

type Periods = NDArray[np.datetime64]  # datetime64[us]
type Values = NDArray[np.float64]
type Chosen = slice | NDArray[np.bool_]  # which of a history's periods

# Patches upon one copy, as a share of its length; below the minimum a second copy is not worth its memory.
_PATCHES, _FEWEST_PATCHES = 1 / 8, 16


@dataclass(frozen=True, slots=True, eq=False)
class _Days:
    """The business days a series spans, and its own periods among them.

    days  : (g,) business days from the first period to the last, and periods on other days
    place : (n,) where each period stands in ``days``
    other : (g,) days that are no business days; None if there are none
    """

    days: Periods
    place: NDArray[np.intp]
    other: NDArray[np.bool_] | None


@dataclass(frozen=True, slots=True, eq=False)
class History:
    """All releases of one series; n periods, m releases.

    periods      : (n,) in order, each once
    released     : (m,) microseconds since 1970 (UTC), in order
    reach        : (m + 1,) how many periods, from the first, the first k releases reach
    first        : (n,) first published values
    pseudo_share : share of first values whose release time comes from the release rule
    patched      : (m + 1,) how many of the first k releases are patches: not of a newer period than all before
    patch_place, patch_value : (p,) the patches, in order of release
    starts       : number of releases before each copy
    copies       : the values after so many releases, with the newer periods added until the next copy; NaN where not
                   yet known or deleted
    whole        : copies during which nothing is NaN
    """

    periods: Periods
    released: NDArray[np.int64]
    reach: NDArray[np.intp]
    first: Values
    pseudo_share: float
    patched: NDArray[np.intp]
    patch_place: NDArray[np.intp]
    patch_value: Values
    starts: list[int]
    copies: list[Values]
    whole: list[bool]
    _days: _Days | None

    @property
    def revised(self) -> bool:
        """Whether any period was released more than once."""
        return len(self.released) > len(self.periods)

    def known(self, instant: int) -> tuple[Chosen, Values]:
        """Periods and values public at an instant (microseconds since 1970, UTC); one released just then included."""
        k = int(self.released.searchsorted(instant, side="right"))
        copy = bisect_right(self.starts, k) - 1
        values = self.copies[copy][: self.reach[k]]
        begin, end = self.patched[self.starts[copy]], self.patched[k]
        if end > begin:
            values = values.copy()
            # NumPy keeps the last of several values for one place: the latest release.
            values[self.patch_place[begin:end]] = self.patch_value[begin:end]
        if self.whole[copy]:
            return slice(0, len(values)), values
        return self._present(values)

    def first_known(self) -> tuple[Chosen, Values]:
        """Periods and first published values."""
        return self._present(self.first)

    def _present(self, values: Values) -> tuple[Chosen, Values]:
        there = ~np.isnan(values)
        chosen = np.zeros(len(self.periods), dtype=bool)
        chosen[: len(there)] = there
        return chosen, values[there]

    def with_zeros(self, chosen: Chosen, values: Values) -> tuple[Periods, Values]:
        """Business days from the first chosen period to the last, zero where the series has no value."""
        if self._days is None or not len(values):
            return self.periods[chosen], values
        place = self._days.place[chosen]
        begin, end = int(place[0]), int(place[-1]) + 1
        filled = np.zeros(end - begin)
        filled[place - begin] = values
        days = self._days.days[begin:end]
        if self._days.other is None:
            return days, filled
        keep = ~self._days.other[begin:end]
        keep[place - begin] = True
        return days[keep], filled[keep]


def history(
    period: Periods, released: NDArray[np.int64], value: Values, pseudo: NDArray[np.bool_], *, zeros: bool
) -> History:
    """Arrange the releases of one series, given in any order.

    Of two values of one period released at one instant the one given later counts.

    Parameters
    ----------
    released : microseconds since 1970 (UTC)
    pseudo   : the release time comes from the release rule
    zeros    : a business day without a value means zero
    """
    order = np.lexsort((period, released))
    period, released, value = period[order], released[order], value[order]
    periods, first, place = np.unique(period, return_index=True, return_inverse=True)
    reach = np.append(0, np.maximum.accumulate(place) + 1)
    patch = place < reach[:-1]
    patched = np.append(0, np.cumsum(patch))
    starts = _starts(released, patched, max(_FEWEST_PATCHES, int(_PATCHES * len(periods))))
    copies = _copies(starts, place, value, patch, reach)
    clean = np.append(0, np.cumsum(patch & np.isnan(value)))
    ends = [*starts[1:], len(value)]
    for array in (periods, *copies):
        array.flags.writeable = False
    return History(
        periods=periods,
        released=released,
        reach=reach,
        first=value[first],
        pseudo_share=float(pseudo[order][first].mean()),
        patched=patched,
        patch_place=place[patch],
        patch_value=value[patch],
        starts=starts,
        copies=copies,
        whole=[
            not np.isnan(copy).any() and bool(clean[begin] == clean[end])
            for copy, begin, end in zip(copies, starts, ends, strict=True)
        ],
        _days=_business_days(periods) if zeros else None,
    )


def _starts(released: NDArray[np.int64], patched: NDArray[np.intp], most: int) -> list[int]:
    """Number of releases before each copy. A copy never falls between two releases of one instant."""
    instants = np.append(np.flatnonzero(np.diff(released)) + 1, len(released))
    counts = patched[instants]
    starts = [0]
    while (at := int(np.searchsorted(counts, patched[starts[-1]] + most, side="right"))) < len(counts):
        starts.append(int(instants[at]))
    return starts


def _copies(
    starts: list[int],
    place: NDArray[np.intp],
    value: Values,
    patch: NDArray[np.bool_],
    reach: NDArray[np.intp],
) -> list[Values]:
    state = np.full(int(reach[-1]), np.nan)
    copies = []
    for begin, end in pairwise([*starts, len(value)]):
        copy = state[: reach[end]].copy()
        added = ~patch[begin:end]
        copy[place[begin:end][added]] = value[begin:end][added]
        copies.append(copy)
        state[place[begin:end]] = value[begin:end]
    return copies


def _business_days(periods: Periods) -> _Days:
    first, last = periods[[0, -1]].astype("datetime64[D]")
    every = np.arange(first, last + np.timedelta64(1, "D"))
    days = np.union1d(every[is_business_day(every)].astype(periods.dtype), periods)
    other = ~is_business_day(days)
    days.flags.writeable = False
    return _Days(days, np.searchsorted(days, periods), other if other.any() else None)
