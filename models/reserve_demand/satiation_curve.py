"""Smooth satiation curve: banks pay up for reserves only when reserves are scarce.

    s(t)  = mu(t) + phi * (y(t-1) - mu(t-1)) + eps(t),        eps(t) ~ sigma(t) * t(4)
    mu(t) = alpha + beta * tau * softplus((k(t) - x(t)) / tau) + gamma' c(t) + d' step(t)
    k(t)  = k(0) + theta' w(t) + drift(t)
    y(t)  = s(t) to within half a published basis point

s is a spread over the rate on reserves (bp, week average), x the reserve ratio (percent of bank assets), k the kink,
alpha the spread where reserves are abundant. The slope is

    ds/dx = -beta * logistic((k - x) / tau)    bp per percentage point of bank assets, never positive by construction.

tau near zero gives a hinge, tau large an exponential: one family nests the published curves.

The kink drifts as a random walk between knots, beside what observable shifters explain. The residual may not be persistent
enough to swallow the curve: phi is bounded away from one. The lagged residual is that of the published spread, so
weeks are conditionally independent given the slow paths; the rounding error of half a basis point at most enters mu with
weight phi. Several spreads bend near one another: markets for the same reserves.

References
----------
Afonso, Giannone, La Spada and Williams (2022), Staff Report 1019, for the ratio to bank assets. Chen, Kourentzes and
Veyrune (2023), IMF WP 23/179, for parametric families. Hansen (2017), "Regression kink with an unknown threshold".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from forecast.features.feature_set import Design

# Modules of one package import each other relatively, in folders too: the architecture test asks for it.
from .._posterior import Gate, Sampler, compiled
from .dated_steps import STEP_NAMES
from .fitted_satiation import FittedSatiationCurve
from .reserve_ratio import RATIO
from .satiation_density import SHIFTER_UNIT, Bends, Errors, KinkPrior, SatiationDensity
from .satiation_sample import SpreadsSample, spreads_sample
from .satiation_shape import knots_needed
from .treasury_surprise import TREASURY

if TYPE_CHECKING:
    import pymc as pm

type Kink = Literal["drifting", "constant"]
type Volatility = Literal["stochastic", "constant"]

# Only for fed funds: settlements with the Treasury move repo collateral too, and break the exclusion there.
CONTROLLED = ("effr_iorb",)
# Knots are added four years at a time: one program serves the origins between.
_KNOT_BLOCK = 16
_CHOICES = {"errors": Errors, "kink_prior": KinkPrior, "bends": Bends, "kink": Kink, "volatility": Volatility}


@dataclass(frozen=True, slots=True)
class SatiationCurve:
    """Structure and priors of the smooth satiation curve.

    Without a scenario the reserve ratio is a random walk whose whole paths of changes are drawn from the sample,
    less their mean, independently of the spread's own shocks. Predictive draws are of the week average before
    rounding: continuous also where the published spread stands still.

    spreads             : targets, bp over the rate on reserves; those that have not begun are left out, the others need
                          not begin together. ("effr_iorb", "sofr_iorb", "tgcr_iorb") is estimated jointly, at many times
                          the cost
    bends               : "shared" kink and width, "pooled" kinks around a common one with shared width, or "separate"
    kink                : "drifting", or "constant"
    shifters            : features whose level moves the kink, percent; known in real time, carried forward by the forecast
    knot_weeks          : weeks between knots of kink and level
    effects             : calendar effects c(t), 0 or 1
    errors              : "autoregressive", or "independent" with phi = 0
    phi_max             : bound of |phi|, below one
    volatility          : "stochastic", with knots ``volatility_weeks`` apart, or "constant"
    kink_prior          : "normal" with ``kink_mean`` and ``kink_sd``, or "flat" between ``kink_low`` and ``kink_high``,
                          all in percent of bank assets, of the kink at the start of the sample
    steps               : whether announced changes of rules inside the sample shift alpha; without them the forecast
                          returns to the average of regimes that are over
    level_walk          : whether alpha moves slowly besides
    control             : control function with surprises of the Treasury's account, for fed funds alone
    chains, tune, draws : of the sampler
    max_rhat, min_ess   : what every parameter must reach
    """

    spreads: tuple[str, ...] = ("effr_iorb",)
    bends: Bends = "pooled"
    kink: Kink = "drifting"
    shifters: tuple[str, ...] = ()
    knot_weeks: int = 13
    effects: tuple[str, ...] = ("quarter_end_week", "month_end_week", "tax_week")
    errors: Errors = "autoregressive"
    phi_max: float = 0.95
    volatility: Volatility = "stochastic"
    volatility_weeks: int = 13
    kink_prior: KinkPrior = "normal"
    kink_mean: float = 12.0
    kink_sd: float = 4.0
    kink_low: float = 7.0
    kink_high: float = 20.0
    steps: bool = True
    level_walk: bool = False
    control: bool = False
    chains: int = 4
    tune: int = 500
    draws: int = 1000
    max_rhat: float = 1.01
    min_ess: float = 400.0
    name: ClassVar[str] = "satiation_curve"
    needs: ClassVar[tuple[str, ...]] = (RATIO,)
    sampled: ClassVar[bool] = True
    tells_ampleness: ClassVar[bool] = True
    requires: ClassVar[tuple[str, ...]] = ("pymc", "pytensor", "nutpie", "numba", "arviz")

    def __post_init__(self) -> None:
        for option, choices in _CHOICES.items():
            allowed = get_args(choices.__value__)
            if getattr(self, option) not in allowed:
                raise ValueError(f"{option} = {getattr(self, option)!r}; use one of {', '.join(allowed)}")
        if not self.spreads or len(set(self.spreads)) < len(self.spreads):
            raise ValueError(f"spreads = {self.spreads}; name at least one, each once")
        if not 0 < self.phi_max < 1:
            raise ValueError(
                f"phi_max = {self.phi_max}; the residual must be stationary: give a number between 0 and 1"
            )
        if self.kink_sd <= 0 or self.kink_low >= self.kink_high:
            raise ValueError("kink_sd must be positive and kink_low below kink_high")
        if self.knot_weeks < 1 or self.volatility_weeks < 1:
            raise ValueError("knot_weeks and volatility_weeks must be at least 1")

    @property
    def targets(self) -> tuple[str, ...]:
        """The spreads."""
        return self.spreads

    @property
    def features(self) -> tuple[str, ...]:
        """The reserve ratio, the calendar, and what shifts the kink or instruments the ratio."""
        wanted = (RATIO, *self.effects, *self.shifters, *((TREASURY,) if self.control else ()))
        return tuple(dict.fromkeys(wanted))

    @property
    def sampler(self) -> Sampler:
        """How the posterior is drawn."""
        gate = Gate(max_rhat=self.max_rhat, min_ess=self.min_ess)
        return Sampler(chains=self.chains, tune=self.tune, draws=self.draws, gate=gate)

    def build(self, design: Design) -> pm.Model:
        """The PyMC model of a design, to look at, sample or check with ArviZ.

        Raises
        ------
        ShortHistoryError : fewer than 100 pairs of adjacent complete weeks
        UnitError         : a spread is not in bp or the ratio not in percent
        """
        sample = self.sample(design)
        return self.density(sample).model(self.data(sample))

    def fit(self, design: Design, *, rng: np.random.Generator) -> FittedSatiationCurve:
        """Sample the posterior.

        Raises
        ------
        ShortHistoryError : fewer than 100 pairs of adjacent complete weeks
        UnitError         : a spread is not in bp or the ratio not in percent
        DiagnosticsError  : the sampler did not converge
        """
        sample = self.sample(design)
        density = self.density(sample)
        program = compiled(density, self.data(sample))
        posterior = self.sampler.sample(program, seed=int(rng.integers(2**31)), name=self.name)
        return FittedSatiationCurve(density, self._kink_prior, posterior, sample)

    @property
    def _kink_prior(self) -> tuple[float, float]:
        normal = self.kink_prior == "normal"
        return (self.kink_mean, self.kink_sd) if normal else (self.kink_low, self.kink_high)

    def sample(self, design: Design) -> SpreadsSample:
        """Spreads and regressors of a design."""
        options = {"effects": self.effects, "shifters": self.shifters}
        return spreads_sample(self.name, self.spreads, design, **options, steps=self.steps, control=self.control)

    def density(self, sample: SpreadsSample) -> SatiationDensity:
        """What is compiled: the same for samples of about the same length with the same spreads."""
        weeks = len(sample.periods)
        slow = knots_needed(weeks, self.knot_weeks, _KNOT_BLOCK)
        fast = knots_needed(weeks, self.volatility_weeks, _KNOT_BLOCK)
        return SatiationDensity(
            spreads=sample.spreads,
            controlled=tuple(name for name in CONTROLLED if self.control and name in sample.spreads),
            effects=self.effects,
            shifters=self.shifters,
            errors=self.errors,
            phi_max=self.phi_max,
            kink_prior=self.kink_prior,
            bends=self.bends,
            steps=self.steps,
            spacing=self.knot_weeks,
            kink_knots=slow if self.kink == "drifting" else 0,
            level_knots=slow if self.level_walk else 0,
            volatility_spacing=self.volatility_weeks,
            volatility_knots=fast if self.volatility == "stochastic" else 0,
        )

    def data(self, sample: SpreadsSample) -> dict[str, NDArray[Any]]:
        """Arrays of the density by name."""
        enters = sample.entering(lagged=self.errors == "autoregressive")
        (y, complete), density = sample.complete(), self.density(sample)
        data = {"y": y, "weight": enters.astype(float), "ratio": sample.columns((RATIO,))[0]}
        data |= {"complete": np.flatnonzero(complete), "entering": np.flatnonzero(enters)}
        data |= {"effects": sample.columns(self.effects)} if self.effects else {}
        data |= {"steps": sample.columns(STEP_NAMES)} if self.steps else {}
        data |= {"shifters": sample.columns(density.shifters) / SHIFTER_UNIT} if density.shifters else {}
        data |= {"control": np.nan_to_num(sample.treasury.residuals)} if density.controlled and sample.treasury else {}
        return data | {"kink_prior": np.array(self._kink_prior)}
