"""What a fitted satiation curve says: forecasts, slopes over time, and how near reserves are to scarce."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from forecast.answers.ampleness import TOLERANCES, Ampleness, CurveDraws
from forecast.predictive import PredictiveDistribution
from forecast.scenario import Scenario

# Modules of one package import each other relatively, in folders too: the architecture test asks for it.
from .._posterior import flat
from .dated_steps import STEP_NAMES
from .reserve_ratio import RATIO, projected_ratio
from .satiation_density import SHIFTER_UNIT, SatiationDensity
from .satiation_future import joint_shocks, level_knots, mean_path, slow_paths, width
from .satiation_prior import prior_bend
from .satiation_sample import SpreadsSample
from .satiation_shape import Array, curve, curve_slope, ratio_at_slope, weekly
from .treasury_surprise import WEAK

if TYPE_CHECKING:
    import xarray as xr

# Of the draws from the prior, which neither data nor origin enter.
_PRIOR_SEED = 20_190_917
# Ratios at which the curve is told.
_GRID = 60


@dataclass(frozen=True, slots=True, eq=False)
class FittedSatiationCurve:
    """Posterior of the satiation curve, and what the forecast starts from.

    density    : structure and priors
    kink_prior : mean and sd, or bounds, of the kink at the start of the sample, percent of bank assets
    posterior  : ``posterior`` and ``sample_stats``, chain x draw x spread: kink at its knots without shifters (percent of
                 bank assets), beta (bp per percentage point), tau (percentage points), alpha, gamma, shift (bp), phi,
                 sigma (bp) or log_scale at its knots (log bp)
    sample     : the spreads and their regressors
    """

    density: SatiationDensity
    kink_prior: tuple[float, float]
    posterior: xr.DataTree
    sample: SpreadsSample

    def kink(self, spread: str | None = None) -> Array:
        """(S,) posterior draws of the kink in the last week of the sample, percent of bank assets.

        Parameters
        ----------
        spread : by default the first
        """
        last: Array = self.kinks(spread)[:, -1]
        return last

    def kinks(self, spread: str | None = None) -> Array:
        """(S, T) posterior draws of the kink in every week that is over, percent of bank assets."""
        knots = flat(self.posterior, "kink")[:, self._position(spread)]
        path = weekly(knots, self.density.spacing, len(self.sample.periods))
        if self.density.shifters:
            shifters = self.sample.columns(self.density.shifters) / SHIFTER_UNIT
            path = path + flat(self.posterior, "theta") @ shifters
        return path

    def slope(self, ratio: float, spread: str | None = None) -> Array:
        """(S,) posterior draws of ds/dx at a reserve ratio (percent), bp per percentage point; never positive.

        With the kink of the last week of the sample.
        """
        return curve_slope(ratio, self.kink(spread), *self._steepness(self._position(spread)))

    def _steepness(self, j: int) -> tuple[Array, Array]:
        """(S,) draws of beta and tau."""
        return flat(self.posterior, "beta")[:, j], width(flat(self.posterior, "tau"), j)

    def _position(self, spread: str | None) -> int:
        return 0 if spread is None else self.density.spreads.index(spread)

    def ampleness(self, spread: str | None = None) -> Ampleness:
        """Slope in every week whose ratio is known, and the ratios at which it reaches each tolerance now.

        The prior's slope is that at the current ratio, its kink as many weeks from the start of the sample.

        Parameters
        ----------
        spread : by default the first
        """
        j, ratio, kinks = self._position(spread), self.sample.ratio(), self.kinks(spread)
        known = np.isfinite(ratio)
        week, (beta, tau) = int(np.flatnonzero(known)[-1]), self._steepness(j)
        shifters, rng = self.sample.columns(self.density.shifters)[:, week], np.random.default_rng(_PRIOR_SEED)
        prior = prior_bend(self.density, self.kink_prior, j, week, shifters, n=len(kinks), rng=rng)
        return Ampleness(
            spread=self.density.spreads[j],
            draws_are="posterior",
            weeks=self.sample.periods[known],
            ratio=ratio[known],
            slope=curve_slope(ratio[known], kinks[:, known], beta[:, None], tau[:, None]),
            thresholds={c: ratio_at_slope(c, kinks[:, week], beta, tau) for c in TOLERANCES},
            prior={"slope": curve_slope(ratio[week], *prior)}
            | {f"{c:g}": ratio_at_slope(c, *prior) for c in TOLERANCES},
            sign_free=False,
            notes=self._notes(j),
            curve=self._curve(j, np.linspace(ratio[known].min(), ratio[known].max(), _GRID), week, kinks[:, week]),
        )

    def _curve(self, j: int, grid: Array, week: int, kink: Array) -> CurveDraws:
        """The curve of a week, outside calendar effects, on a grid of ratios (percent)."""
        beta, tau = self._steepness(j)
        level = flat(self.posterior, "alpha")[:, j]
        if self.density.level_knots:
            walk = level_knots(flat(self.posterior, "walk")[:, j])
            level = level + weekly(walk, self.density.spacing, week + 1)[:, -1]
        if self.density.steps:
            level = level + flat(self.posterior, "shift")[:, j] @ self.sample.columns(STEP_NAMES)[:, week]
        return CurveDraws(grid, level[:, None] + curve(grid, kink[:, None], beta[:, None], tau[:, None]))

    def _notes(self, j: int) -> tuple[str, ...]:
        """What a reader of the slope must know."""
        sign = "The slope cannot be positive by construction: read it beside the prior's."
        stage = self.sample.treasury
        if stage is None or self.density.spreads[j] not in self.density.controlled or stage.F >= WEAK:
            return (sign,)
        weak = f"Surprises of the Treasury's account hardly move the ratio (F = {stage.F:.1f}): the control identifies nothing."
        return (sign, weak)

    def predict(
        self, periods: pd.DatetimeIndex, *, scenario: Scenario | None = None, n_draws: int, rng: np.random.Generator
    ) -> PredictiveDistribution:
        """Walk along the curves from the last published spreads; kink, level and volatility go on as they went.

        Raises
        ------
        NeedsScenarioError : the scenario lacks a week, or a calendar effect is not known so far ahead
        ShortHistoryError  : the sample of the ratio is too short for paths of this length
        """
        density, sample = self.density, self.sample
        H = sample.samples[0].history.weeks_ahead(periods)
        ratio = scenario or projected_ratio(sample.known[RATIO], periods[-1], n_draws, rng)
        # Path i of a scenario must not always meet the same parameters.
        chosen = rng.permutation(np.arange(n_draws) % len(flat(self.posterior, "beta")))
        draws = {str(name): flat(self.posterior, str(name))[chosen] for name in self.posterior["posterior"]}
        slow = slow_paths(density, draws, len(sample.periods), H, rng)
        ahead = H + max(int(one.history.gaps[0]) for one in sample.samples)
        shocks = joint_shocks(density, draws, slow.scale[:, :, -ahead:], sample.surprises(), rng)
        values = []
        for j, one in enumerate(sample.samples):
            paths = one.paths(periods, ratio, n_draws, rng)
            mean, phi = mean_path(density, draws, j, paths, slow), draws.get("phi", np.zeros((n_draws, j + 1)))[:, j]
            values.append(one.walk(mean, phi, shocks[:, j, ahead - paths.shape[1] + 1 :], periods).values)
        return PredictiveDistribution(np.concatenate(values, axis=2), periods, sample.spreads, sample.units)
