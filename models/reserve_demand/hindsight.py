"""Drifting coefficients told with hindsight: the whole sample at once, by Gibbs sampling.

What is told of a past week rests on what came after. For what was known then see :mod:`.week_by_week`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.answers.ampleness import Ampleness
from forecast.features.feature_set import Design
from forecast.predictive import PredictiveDistribution
from forecast.scenario import Scenario

# Modules of one package import each other relatively, in folders too: the architecture test asks for it.
from .._posterior import flat
from .curve_path import CurveSample, curve_sample, estimable, in_turn
from .drifting_paths import moving_on
from .drifting_system import ByEquation, DriftingModel, equations, prior_slopes
from .gibbs_chains import GibbsSampler

if TYPE_CHECKING:
    import xarray as xr

type Array = NDArray[np.float64]

# Fewer stable draws than this share of all say that the system itself explodes: then all are used.
_STABLE_SHARE = 0.05


class Specification(DriftingModel, Protocol):
    """A system and how it is sampled."""

    @property
    def sampler(self) -> GibbsSampler: ...


def with_hindsight(spec: Specification, design: Design, rng: np.random.Generator) -> FittedWithHindsight:
    """Sample the posterior of a system.

    Raises
    ------
    UnitError         : the spread is not in bp or the ratio not in percent
    ShortHistoryError : fewer than 100 complete weeks
    ModelError        : the spread never moved
    DiagnosticsError  : the sampler did not converge
    """
    sample = curve_sample(spec.name, spec.spread, spec.features, design)
    estimable(spec.name, spec.spread, sample)
    weeks, rows = sample.weekly_rows()
    system, seed = spec.system, int(rng.integers(2**31))
    posterior = spec.sampler.sample(equations(system, rows), weeks, system.slopes, seed=seed, name=spec.name)
    return FittedWithHindsight(spec, posterior, sample)


@dataclass(frozen=True, slots=True, eq=False)
class FittedWithHindsight:
    """Posterior of a system, and what the forecast starts from.

    spec      : structure
    posterior : ``posterior``, chain x draw; see :meth:`.gibbs_chains.GibbsSampler.sample`
    sample    : spread, ratio and calendar effects by week
    """

    spec: Specification
    posterior: xr.DataTree
    sample: CurveSample

    def predict(
        self, periods: pd.DatetimeIndex, *, scenario: Scenario | None = None, n_draws: int, rng: np.random.Generator
    ) -> PredictiveDistribution:
        """Let coefficients and volatilities move on, and follow the equations; draws that would explode are left out.

        Raises
        ------
        NeedsScenarioError : the scenario lacks a week, or a calendar effect is not known so far ahead
        ShortHistoryError  : the sample of the ratio is too short for paths of this length
        """

        def moved(after: int, weeks: int) -> tuple[ByEquation, ByEquation]:
            # The posterior is of the last published spread: in weeks before that its last coefficients hold.
            return self._moved(self.sample.last_published - after, weeks, n_draws, rng)

        return self.spec.system.forecast(self.sample, moved, periods, scenario, n_draws=n_draws, rng=rng)

    def _moved(self, over: int, weeks: int, n_draws: int, rng: np.random.Generator) -> tuple[ByEquation, ByEquation]:
        """Coefficients and noise of ``weeks``, of which the first are over."""
        chosen, rounding = self._chosen(n_draws, rng), self.spec.system.rounding
        coefficients, variances = {}, {}
        for name in rounding:
            what = ("coefficients", "drift", "log_variance", "volatility")
            b, drift, h, volatility = (flat(self.posterior, f"{each}_{name}") for each in what)
            now = b[chosen], drift[chosen], h[chosen, -1], volatility[chosen]
            coefficients[name], variances[name] = (
                np.concatenate([each[:, :1]] * over + [each], axis=1) for each in moving_on(now, weeks - over, rng)
            )
        noise = {
            name: np.sqrt(variances[name] + hidden) * rng.standard_normal(variances[name].shape)
            for name, hidden in rounding.items()
        }
        return coefficients, noise

    def _chosen(self, n_draws: int, rng: np.random.Generator) -> NDArray[np.intp]:
        """Posterior draws that do not explode, each as often as any other."""
        system = self.spec.system
        roots = system.roots({name: flat(self.posterior, f"coefficients_{name}") for name in system.rounding})
        stable = np.flatnonzero(roots < 1)
        if len(stable) < _STABLE_SHARE * len(roots):
            stable = np.arange(len(roots))
        return stable[in_turn(len(stable), n_draws, rng)]

    def ampleness(self) -> Ampleness:
        """Slopes in each week given the whole sample."""
        weeks, rows = self.sample.weekly_rows()
        known = np.isfinite(rows[:, 1])
        return Ampleness(
            spread=self.spec.spread,
            draws_are="posterior",
            weeks=pd.DatetimeIndex(weeks[known]),
            ratio=rows[known, 1],
            slope=flat(self.posterior, "slope")[:, known],
            thresholds={},
            prior={"slope": prior_slopes(self.spec.system, len(weeks))},
            sign_free=True,
            notes=(f"{self.spec.system.told}, told with hindsight",),
        )
