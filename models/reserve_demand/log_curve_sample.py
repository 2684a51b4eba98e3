"""What the log curve is estimated on: reserves, deposits and overnight reverse repo of the same week, and instruments.

Deposits are read off two published ratios: D = 100 R / (reserves to deposits), A = 100 R / (reserve ratio). Where the
series of deposits ends, in April 2023, they may be carried on by broad money less currency M,

    D(t) = D(e) M(t) / M(e),    e = last week with published deposits

M(t) is the last month public by Thursday after week t, so spliced deposits are one to two months late; no level enters, only
growth. Deposits here include large time deposits, M2 does not but has retail money funds: growth, not more, is shared.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.errors import ModelError, UnitError
from forecast.features.feature_set import Design

from .curve_path import CurveSample, curve_sample
from .reserve_ratio import RATIO
from .treasury_surprise import TREASURY, treasury_surprise

type Array = NDArray[np.float64]

UNITS_OF: Mapping[str, str] = {
    "reserves_level": "usd_bn",
    "reserves_to_deposits": "percent",
    "money_less_currency": "usd_bn",
    "on_rrp_take_up": "usd_bn",
    TREASURY: "usd_bn",
    "securities_change": "usd_bn",
}
# A logarithm has no answer at zero; banks have held more than this since 2009.
SMALLEST_RATIO = 1.0  # percent of bank assets
# Reserves have been between 600 and 4,300 since 2009.
_PLAUSIBLE_RESERVES = (50.0, 50_000.0)  # USD bn
# Deposits move by a few percent in half a year; older ones say nothing about this week's demand.
_LONGEST_CARRY = 26  # weeks


@dataclass(frozen=True, slots=True, eq=False)
class LogSample:
    """Regressors by reserve week.

    known : of the sample; columns ratio (percent), log of bank assets, log of deposits (logs of USD bn), overnight reverse
            repo (percent of deposits) if asked for, calendar effects, instruments if asked for; missing where unknown
    ahead : the same without instruments, for paths: all but the ratio stand where they were last seen
    ended : last week of published deposits, if that is before the last week of the ratio; None otherwise
    """

    known: CurveSample
    ahead: CurveSample
    ended: pd.Timestamp | None

    def last(self, column: str) -> float:
        """The last value seen."""
        return float(self.ahead.known[column].to_numpy()[len(self.ahead.history.periods) - 1])


def log_regressors(values: Array) -> Array:
    """ln R, then everything else as it is: (..., F) ratio, log of bank assets, others -> (..., F - 1)."""
    reserves = np.log(np.maximum(values[..., :1], SMALLEST_RATIO) / 100) + values[..., 1:2]
    return np.concatenate([reserves, values[..., 2:]], axis=-1)


def log_sample(model: str, spread: str, effects: tuple[str, ...], columns: frozenset[str], design: Design) -> LogSample:
    """Build the sample.

    Parameters
    ----------
    columns : further features of the design that are asked for: among those of ``UNITS_OF``

    Raises
    ------
    UnitError         : a feature is in another unit, or cannot be by its size
    ShortHistoryError : the spread has no value at all, or the Treasury's account is too short for surprises
    ModelError        : deposits were last seen more than half a year before the last ratio
    """
    for name in columns:
        if design.units[name].name != UNITS_OF[name]:
            raise UnitError(f"{model}: {name!r} is in {design.units[name]}; give it in {UNITS_OF[name]}.")
    base = curve_sample(model, spread, (RATIO, *effects), design)
    T = len(base.history.periods)
    given = {name: design.features[name].to_numpy(dtype=float)[:T] for name in columns}
    _refuse_size(model, given["reserves_level"])
    ratio = base.known[RATIO].to_numpy(dtype=float)[:T]
    levels, ended = _levels(given, ratio, base.history.periods)
    _refuse_stale(model, levels["log_deposits"], ratio, base.history.periods)
    if TREASURY in columns:
        levels |= _instruments(given, base.history.periods)
    frame = pd.DataFrame(levels, base.history.periods)
    quantities = [RATIO, *(name for name in levels if not name.startswith("lagged_"))]
    known = base.known.join(frame)[[*quantities, *effects, *(n for n in levels if n not in quantities)]]
    carried = known[[*quantities, *effects]].copy()
    carried[quantities[1:]] = carried[quantities[1:]].ffill()
    return LogSample(replace(base, known=known), replace(base, known=carried), ended)


def _levels(
    given: Mapping[str, Array], ratio: Array, periods: pd.DatetimeIndex
) -> tuple[dict[str, Array], pd.Timestamp | None]:
    """Logs of assets and deposits and the share of overnight reverse repo, and when published deposits ended."""
    reserves = given["reserves_level"]
    deposits = 100 * reserves / given["reserves_to_deposits"]
    last = _last(deposits)
    ended = periods[last] if last < _last(ratio) else None
    if "money_less_currency" in given:
        deposits = spliced(deposits, given["money_less_currency"])
    levels = {"log_assets": np.log(100 * reserves / ratio), "log_deposits": np.log(deposits)}
    if "on_rrp_take_up" in given:
        take_up = given["on_rrp_take_up"].copy()
        # Before it existed nothing could be placed.
        take_up[: int(np.isfinite(take_up).argmax()) if np.isfinite(take_up).any() else len(take_up)] = 0.0
        levels["on_rrp_to_deposits"] = 100 * take_up / deposits
    return levels, ended


def spliced(series: Array, carrier: Array) -> Array:
    """A series carried on past its end by the growth of another: series(e) carrier(t) / carrier(e).

    Parameters
    ----------
    series, carrier : (T,) positive, missing where unknown; e is the last row in which the series is known

    Returns
    -------
    (T,) unit of the series; missing past e where the carrier is, or was at e
    """
    end, joined = _last(series), series.copy()
    if end >= 0:
        joined[end + 1 :] = series[end] * carrier[end + 1 :] / carrier[end]
    return joined


def _instruments(given: Mapping[str, Array], periods: pd.DatetimeIndex) -> dict[str, Array]:
    """Last week's surprise of the Treasury's account and change of securities held, USD bn."""
    pair = {
        "lagged_treasury_surprise": treasury_surprise(given[TREASURY], periods),
        "lagged_securities_change": given["securities_change"],
    }
    return {name: np.concatenate([[np.nan], values[:-1]]) for name, values in pair.items()}


def _last(values: Array) -> int:
    """Row of the last finite value; -1 without one."""
    known = np.flatnonzero(np.isfinite(values))
    return int(known[-1]) if len(known) else -1


def _refuse_size(model: str, reserves: Array) -> None:
    known = reserves[np.isfinite(reserves)]
    median = float(np.median(known)) if len(known) else np.nan
    if (known <= 0).any() or not (np.isnan(median) or _PLAUSIBLE_RESERVES[0] < median < _PLAUSIBLE_RESERVES[1]):
        raise UnitError(
            f"{model}: reserves_level has median {median:g} and minimum {known.min():g}; reserves in USD bn are positive and "
            f"between {_PLAUSIBLE_RESERVES[0]:g} and {_PLAUSIBLE_RESERVES[1]:g}. Are they in USD mn?"
        )


def _refuse_stale(model: str, deposits: Array, ratio: Array, periods: pd.DatetimeIndex) -> None:
    end, now = _last(deposits), _last(ratio)
    if 0 <= end < now - _LONGEST_CARRY:
        raise ModelError(
            f"{model}: deposits were last seen in the week to {periods[end]:%Y-%m-%d}, {now - end} weeks before the last "
            "reserve ratio. Use deposits = 'spliced' and import M2 (M2SL) as well, or end the sample there."
        )
