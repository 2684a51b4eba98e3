"""Spreads of one market for reserves side by side: what the satiation curve is estimated on."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.errors import ShortHistoryError
from forecast.features.feature_set import Design
from forecast.units import Unit

# Modules of one package import each other relatively, in folders too: the architecture test asks for it.
from ..residual_rows import require_rows
from .curve_path import CurveSample, curve_sample
from .dated_steps import STEP_NAMES, step_columns
from .reserve_ratio import RATIO
from .satiation_shape import Array
from .treasury_surprise import TREASURY, FirstStage, first_stage, treasury_surprise

# Two years less their ragged edge: below that calendar effects have a handful of events each.
MINIMUM_WEEKS = 100


@dataclass(frozen=True, slots=True, eq=False)
class SpreadsSample:
    """Spreads with common regressors.

    samples   : of each spread that has begun, in order; they share ``known``: the reserve ratio (percent), calendar
                effects, dated steps, and shifters of the kink, the last carried forward from their last release
    treasury  : first stage of the control function; None without one
    """

    samples: tuple[CurveSample, ...]
    treasury: FirstStage | None

    @property
    def spreads(self) -> tuple[str, ...]:
        """Names, in order."""
        return tuple(sample.history.targets[0] for sample in self.samples)

    @property
    def periods(self) -> pd.DatetimeIndex:
        """(T,) reserve weeks that are over."""
        return self.samples[0].history.periods

    @property
    def known(self) -> pd.DataFrame:
        """(P, F) regressors; past T only what the calendar fixes and what is carried forward."""
        return self.samples[0].known

    def ratio(self) -> Array:
        """(T,) percent of bank assets, missing where not published."""
        return self.known[RATIO].to_numpy(dtype=float)[: len(self.periods)]

    @property
    def units(self) -> dict[str, Unit]:
        """Unit of each spread."""
        return {name: sample.history.units[name] for name, sample in zip(self.spreads, self.samples, strict=True)}

    def surprises(self) -> Array:
        """(n,) residuals of the first stage, percentage points of bank assets; none without a control function."""
        residuals = np.empty(0) if self.treasury is None else self.treasury.residuals
        return residuals[np.isfinite(residuals)]

    def complete(self) -> tuple[Array, NDArray[np.bool_]]:
        """(J, T) spreads in bp, zero where unknown, and where spread and regressors are known."""
        values = np.stack([sample.history.values[:, 0] for sample in self.samples])
        regressors = self.known.to_numpy(dtype=float)[: len(self.periods)]
        return np.nan_to_num(values), np.isfinite(values) & np.isfinite(regressors).all(axis=1)

    def entering(self, *, lagged: bool) -> NDArray[np.bool_]:
        """(J, T) whether a week enters the likelihood.

        Parameters
        ----------
        lagged : the week before must be complete too

        Raises
        ------
        ShortHistoryError : fewer than 100 weeks of the first spread enter
        """
        complete = self.complete()[1]
        enters = complete.copy()
        if lagged:
            enters[:, 0] = False
            enters[:, 1:] &= complete[:, :-1]
        count = enters[:1].sum(axis=1)
        require_rows(count, self.spreads[:1], what="pairs of complete weeks", needed=MINIMUM_WEEKS)
        return enters

    def columns(self, names: tuple[str, ...]) -> Array:
        """(F, T) regressors, zero where unknown."""
        return np.asarray(np.nan_to_num(self.known[list(names)].to_numpy(dtype=float)[: len(self.periods)].T))


def spreads_sample(
    model: str,
    spreads: tuple[str, ...],
    design: Design,
    *,
    effects: tuple[str, ...],
    shifters: tuple[str, ...],
    steps: bool,
    control: bool,
) -> SpreadsSample:
    """The spreads of a design that have begun, among those a model knows.

    Raises
    ------
    UnitError         : a spread is not in bp, or the ratio not in percent, by its unit or by its size
    ShortHistoryError : none of the spreads has a value, or the Treasury's account is too short for a control function
    """
    begun = [name for name in spreads if name in design.targets and design.targets[name].notna().any()]
    if not begun:
        raise ShortHistoryError(
            f"{model}: none of {', '.join(spreads)} has a value in this sample. Start its history earlier, or name "
            "spreads that the plan forecasts."
        )
    samples = [curve_sample(model, name, (RATIO, *effects, *shifters), design) for name in begun]
    known = samples[0].known
    # A slow regressor is known by its last release until the next; the kink is not nowcast.
    known = known.assign(**{name: known[name].ffill() for name in shifters})
    if steps:
        last = max(sample.history.periods[-1 - int(sample.history.gaps[0])] for sample in samples)
        first = samples[0].history.periods[0]
        columns = step_columns(pd.DatetimeIndex(known.index), first, last)
        known = known.join(pd.DataFrame(columns, known.index, list(STEP_NAMES)))
    stage = _first_stage(design, known, effects) if control else None
    return SpreadsSample(tuple(replace(sample, known=known) for sample in samples), stage)


def _first_stage(design: Design, known: pd.DataFrame, effects: tuple[str, ...]) -> FirstStage:
    """The reserve ratio on its past, the calendar and surprises of the Treasury's account."""
    weeks = design.targets.index
    balance = design.features[TREASURY].to_numpy(dtype=float)[: len(weeks)]
    surprise = treasury_surprise(balance, pd.DatetimeIndex(weeks))
    rows = known.loc[weeks]
    return first_stage(rows[RATIO].to_numpy(dtype=float), surprise, rows[list(effects)].to_numpy(dtype=float))
