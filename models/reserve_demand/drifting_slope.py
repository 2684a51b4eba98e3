"""Drifting slope: what a surprise in reserves does to the spread, with a memory that fades.

    y(t) = (x(t), s(t))' = B(t)' (1, y(t-1)', ..., y(t-p)')' + e(t),    e(t) ~ Normal(0, Omega(t))
    slope(t) = M[s, x] / M[x, x],    M = (J F(t)^h J') Omega(t)

x is the reserve ratio (percent of bank assets), s the spread over the rate on reserves (bp), F the companion matrix. The
slope is the response of the spread h weeks after an innovation of the ratio over that of the ratio itself: an instrumental
variable whose instrument is the past forecast error of reserves. Demand for reserves that is over within h weeks has no part
in it. It is the public weekly counterpart of the New York Fed's elasticity, which uses confidential daily data; agreeing with
that is consistency, not proof, because both read the same spreads and reserves.

The sign is free. What is estimated with a memory of 1 / (1 - lambda) weeks lags the truth by about as much, and its error
is large where reserves hardly move (see :mod:`.slope_delay`).

References
----------
Afonso, Giannone, La Spada and Williams (2022), Staff Report 1019, for the slope; Koop and Korobilis (2013), Journal of
Econometrics 177, for forgetting factors.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import ClassVar, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.answers.ampleness import Ampleness
from forecast.errors import ModelError
from forecast.features.feature_set import Design
from forecast.model import Folded, fold
from forecast.predictive import PredictiveDistribution
from forecast.scenario import Scenario

# Modules of one package import each other relatively, in folders too: the architecture test asks for it.
from ..residual_rows import require_rows
from .curve_path import MINIMUM_WEEKS, CurveSample, curve_sample, require_at_least, require_moving, require_moving_ratio
from .forgetting_filter import (
    FilterState,
    Moments,
    Spacing,
    conditional_paths,
    draw_parameters,
    empty_filter,
    instrumental_slope,
    take_in,
    weighted_slope,
)
from .reserve_ratio import RATIO

type Array = NDArray[np.float64]

# Weeks of updates before the first slope is told: until then the prior speaks.
FIRST_SLOPE = 52
# Variance that rounding to whole basis points hides of the spread; the ratio has no such floor.
_ROUNDING = np.array([0.0, 1 / 12])  # percentage points and bp, squared


@dataclass(frozen=True, slots=True)
class DriftingSlope:
    """Vector autoregression in ratio and spread with forgetting factors.

    The defaults remember a year for the slope and eight months for the covariance. In simulations (:mod:`.slope_delay`) a
    memory of two years sees a change half a year to a year later and errs by little less where nothing changes; shorter
    ones err by more. No default is right everywhere: look at ``surface``.

    spread      : target, bp over the rate on reserves
    lags        : p, weeks
    forgetting  : lambda, at most 1, which is no forgetting
    volatility  : kappa, the same for the covariance
    weeks_after : h, weeks between an innovation and the response that is read off
    draws       : from the filtering distribution of each week
    spacing     : of the rows; with "business_day" all of the above counts days, designs are
                  :func:`forecast.features.daily_reserves.daily_design`, and there are slopes but no forecasts
    """

    spread: str = "effr_iorb"
    lags: int = 4
    forgetting: float = 0.98
    volatility: float = 0.97
    weeks_after: int = 1
    draws: int = 400
    spacing: Spacing = "week"
    name: ClassVar[str] = "drifting_slope"
    needs: ClassVar[tuple[str, ...]] = (RATIO,)
    sampled: ClassVar[bool] = False
    updatable: ClassVar[bool] = True
    tells_ampleness: ClassVar[bool] = True

    def __post_init__(self) -> None:
        for option in ("forgetting", "volatility"):
            if not 0 < getattr(self, option) <= 1:
                raise ValueError(
                    f"{option} = {getattr(self, option)}; give the share that a week keeps, above 0, at most 1"
                )
        require_at_least(self, lags=1, weeks_after=0, draws=1)
        if self.spacing not in get_args(Spacing.__value__):
            raise ValueError(f"spacing = {self.spacing!r}; give 'week' or 'business_day'")

    @property
    def targets(self) -> tuple[str, ...]:
        """The spread."""
        return (self.spread,)

    @property
    def features(self) -> tuple[str, ...]:
        """The reserve ratio."""
        return (RATIO,)

    @property
    def effective_window(self) -> float:
        """1 / (1 - lambda), weeks; infinite without forgetting."""
        return 1 / (1 - self.forgetting) if self.forgetting < 1 else float("inf")

    def fit(self, design: Design, *, rng: np.random.Generator) -> FittedDriftingSlope:
        """Filter all complete weeks from the first; nothing is random.

        Raises
        ------
        UnitError          : the spread is not in bp or the ratio not in percent
        ShortHistoryError  : fewer than 100 weeks that follow ``lags`` complete ones
        ModelError         : the spread never moved
        RankDeficientError : the ratio never moved
        """
        return _filtered(self, design, None)


@dataclass(frozen=True, slots=True, eq=False)
class FittedDriftingSlope:
    """Filtering distributions of all weeks.

    spec   : options
    sample : spread and ratio up to the origin
    folded : rows taken in, and the filter after them
    """

    spec: DriftingSlope
    sample: CurveSample
    folded: Folded[FilterState]

    def update(self, design: Design) -> FittedDriftingSlope:
        """Take in the rows completed since."""
        return _filtered(self.spec, design, self.folded)

    def predict(
        self, periods: pd.DatetimeIndex, *, scenario: Scenario | None = None, n_draws: int, rng: np.random.Generator
    ) -> PredictiveDistribution:
        """Iterate the autoregression with drawn parameters; Student-t because the covariance is drawn too.

        From the week after the last complete one on, whatever is published or in the scenario is given and the rest
        drawn conditionally on it within its week. Parameters stay where they are. What a later spread says about an
        earlier ratio that is not yet published is left out.

        Raises
        ------
        NeedsScenarioError : the scenario lacks a week
        ModelError         : the rows are days
        """
        if self.spec.spacing != "week":
            raise ModelError(
                f"{self.spec.name}: a daily slope makes no forecasts. Fit it on a weekly design for those."
            )
        bridge = self.sample.bridge(self.spec.lags, periods, scenario, n_draws)
        B, G = draw_parameters([self.folded.state.moments], n_draws, rng, least=_ROUNDING)
        shocks = rng.standard_normal((n_draws, len(bridge.weeks), 2))
        given = bridge.ratio, bridge.spread[None]
        drawn = conditional_paths(bridge.before, B[:, 0], G[:, 0], given, shocks)
        return self.sample.history.distribution(drawn[:, -len(periods) :, 1:], periods)

    def slope(self) -> pd.Series:
        """Point slope by week, at the means of the filtering distributions: bp per percentage point of bank assets."""
        weeks, moments = self._told()
        return pd.Series(_point_slopes(moments, self.spec.weeks_after), weeks, name="slope")

    def least_squares_slope(self) -> pd.Series:
        """Weighted least squares of the spread on the ratio, with the same memory and without an instrument."""
        weeks, _ = self._told()
        values = weighted_slope(self.folded.rows[:, 1], self.folded.rows[:, 0], self.spec.forgetting)
        return pd.Series(values, self.folded.periods, name="least_squares_slope").loc[weeks]

    def surface(self, forgetting: Sequence[float], weeks_after: Sequence[int]) -> pd.DataFrame:
        """Point slopes by week for every pair of memory and delay: how far the answer depends on them.

        Returns
        -------
        (T, L * H) bp per percentage point of bank assets, columns (forgetting, weeks_after)
        """
        columns: dict[tuple[float, int], pd.Series] = {}
        for memory in forgetting:
            fitted = _refiltered(replace(self.spec, forgetting=memory), self)
            weeks, moments = fitted._told()  # noqa: SLF001  another of our own kind
            columns |= {(memory, h): pd.Series(_point_slopes(moments, h), weeks) for h in weeks_after}
        return pd.DataFrame(columns).rename_axis(columns=["forgetting", "weeks_after"])

    def ampleness(self) -> Ampleness:
        """Slopes with draws of each week's filtering distribution: what was known then, not since."""
        weeks, moments = self._told()
        rng = np.random.default_rng(0)  # the same fit tells the same draws
        slope = np.empty((self.spec.draws, len(weeks)))
        for first in range(0, len(weeks), 100):
            part = slice(first, first + 100)  # bounds memory
            B, G = draw_parameters(moments[part], self.spec.draws, rng, least=_ROUNDING)
            slope[:, part] = instrumental_slope(B, G @ G.swapaxes(-1, -2), self.spec.weeks_after)
        rows = self.folded.periods.get_indexer(weeks)
        return Ampleness(
            spread=self.spec.spread,
            draws_are="filter",
            weeks=weeks,
            ratio=self.folded.rows[rows, 1],
            slope=slope,
            thresholds={},
            prior={},
            sign_free=True,
            notes=(self._note(),),
        )

    def _note(self) -> str:
        now, unit = self.least_squares_slope().iloc[-1], self.spec.spacing.replace("_", " ")
        return (
            f"effective window of {self.spec.effective_window:.0f} {unit}s: the slope lags by about as much; "
            f"least squares over the same window gives {now:.2f} now"
        )

    def _told(self) -> tuple[pd.DatetimeIndex, list[Moments]]:
        """Weeks from the first on that is no longer the prior's, and their moments."""
        past = self.folded.state.past[FIRST_SLOPE:]
        return pd.DatetimeIndex([week for week, _ in past]).as_unit("us"), [moments for _, moments in past]


def _filtered(spec: DriftingSlope, design: Design, before: Folded[FilterState] | None) -> FittedDriftingSlope:
    sample = curve_sample(spec.name, spec.spread, spec.features, design)
    mine = replace(design, targets=design.targets[[spec.spread]], features=design.features[[RATIO]])
    folded = fold(_step(spec), empty_filter(spec.lags), mine, before)
    what = f"weeks that follow {spec.lags} complete ones"
    require_rows(np.array([len(folded.state.past)]), (spec.spread,), what=what, needed=MINIMUM_WEEKS)
    require_moving(spec.name, spec.spread, folded.rows[:, 0], folded.periods)
    require_moving_ratio(spec.name, folded.rows[:, 1])
    return FittedDriftingSlope(spec, sample, folded)


def _step(spec: DriftingSlope) -> Callable[[FilterState, pd.Timestamp, Array], FilterState]:
    """Take in a row (spread, ratio)."""

    def step(state: FilterState, week: pd.Timestamp, row: Array) -> FilterState:
        memory = {"forgetting": spec.forgetting, "volatility": spec.volatility}
        return take_in(state, week, row[::-1], lags=spec.lags, **memory, spacing=spec.spacing)

    return step


def _refiltered(spec: DriftingSlope, fitted: FittedDriftingSlope) -> FittedDriftingSlope:
    """The same rows under other options."""
    step, rows = _step(spec), zip(fitted.folded.periods, fitted.folded.rows, strict=True)
    state = reduce(lambda now, row: step(now, *row), rows, empty_filter(spec.lags))
    return replace(fitted, spec=spec, folded=replace(fitted.folded, state=state))


def _point_slopes(moments: list[Moments], weeks_after: int) -> Array:
    means, scales = (np.stack([getattr(each, name) for each in moments]) for name in ("mean", "scale"))
    return instrumental_slope(means, scales, weeks_after)
