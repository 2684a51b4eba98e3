"""Smooth satiation curve: banks pay up for reserves only when reserves are scarce.

    s(t)  = mu(t) + phi * (y(t-1) - mu(t-1)) + eps(t),        eps(t) ~ sigma * t(4)
    mu(t) = alpha + beta * tau * softplus((k - x(t)) / tau) + gamma' c(t) + d' step(t)
    y(t)  = s(t) to within half a published basis point

s is the spread over the rate on reserves (bp, week average), x the reserve ratio (percent of bank assets), k the kink,
alpha the spread where reserves are abundant. The slope is

    ds/dx = -beta * logistic((k - x) / tau)    bp per percentage point of bank assets, never positive by construction.

tau near zero gives a hinge, tau large an exponential: one family nests the published curves.

The kink is constant. The residual may not be persistent enough to swallow the curve: phi is bounded away from one.
The lagged residual is that of the published spread, so weeks are conditionally independent given the data
and no latent path has to be sampled; the rounding error of half a basis point at most enters mu with weight phi.

References
----------
Afonso, Giannone, La Spada and Williams (2022), Staff Report 1019, for the ratio to bank assets. Chen, Kourentzes and
Veyrune (2023), IMF WP 23/179, for parametric families. Hansen (2017), "Regression kink with an unknown threshold".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.errors import UnitError
from forecast.features.feature_set import Design
from forecast.predictive import PredictiveDistribution
from forecast.scenario import Scenario

# Modules of one package import each other relatively, in folders too: the architecture test asks for it.
from .._posterior import Data, Gate, Sampler, compiled, flat
from ..ragged_edge import TargetHistory, feature_paths, target_history
from ..residual_rows import require_rows
from .dated_steps import STEP_NAMES, step_columns
from .reserve_ratio import RATIO, projected_ratio
from .rounding import DEGREES_OF_FREEDOM, log_interval_probability

if TYPE_CHECKING:
    import pymc as pm
    import xarray as xr

type Array = NDArray[np.float64]
type Errors = Literal["autoregressive", "independent"]
type KinkPrior = Literal["normal", "flat"]

# Two years less their ragged edge: below that calendar effects have a handful of events each.
MINIMUM_WEEKS = 100
# A fifth of the published step's half. The scale of calm years is about 0.2 bp; far below that the walls of the
# rounding interval become cliffs that no gradient sees.
SMALLEST_SCALE = 0.1  # bp
# Of the arrays that are not (week,).
_DIMS: Mapping[str, tuple[str, ...]] = {"mean_ratio": (), "effects": ("week", "effect"), "steps": ("week", "step")}


@dataclass(frozen=True, slots=True)
class SatiationCurve:
    """Structure and priors of the smooth satiation curve with a constant kink.

    Without a scenario the reserve ratio is a random walk whose whole paths of changes are drawn from the sample,
    less their mean, independently of the spread's own shocks. Predictive draws are of the week average before
    rounding: continuous also where the published spread stands still.

    spread              : target, bp over the rate on reserves
    effects             : calendar effects c(t), 0 or 1
    errors              : "autoregressive", or "independent" with phi = 0
    phi_max             : bound of |phi|, below one
    kink_prior          : "normal" with ``kink_mean`` and ``kink_sd``, or "flat" between ``kink_low`` and ``kink_high``,
                          all in percent of bank assets
    steps               : whether announced changes of rules inside the sample shift alpha; without them the forecast
                          returns to the average of regimes that are over
    chains, tune, draws : of the sampler
    max_rhat, min_ess   : what every parameter must reach
    """

    spread: str = "effr_iorb"
    effects: tuple[str, ...] = ("quarter_end_week", "month_end_week", "tax_week")
    errors: Errors = "autoregressive"
    phi_max: float = 0.95
    kink_prior: KinkPrior = "normal"
    kink_mean: float = 12.0
    kink_sd: float = 4.0
    kink_low: float = 7.0
    kink_high: float = 20.0
    steps: bool = True
    chains: int = 4
    tune: int = 400
    draws: int = 800
    max_rhat: float = 1.01
    min_ess: float = 400.0
    name: ClassVar[str] = "satiation_curve"
    needs: ClassVar[tuple[str, ...]] = (RATIO,)
    sampled: ClassVar[bool] = True
    requires: ClassVar[tuple[str, ...]] = ("pymc", "pytensor", "nutpie", "numba", "arviz")

    def __post_init__(self) -> None:
        for option, allowed in (("errors", get_args(Errors.__value__)), ("kink_prior", get_args(KinkPrior.__value__))):
            if getattr(self, option) not in allowed:
                raise ValueError(f"{option} = {getattr(self, option)!r}; use one of {', '.join(allowed)}")
        if not 0 < self.phi_max < 1:
            raise ValueError(
                f"phi_max = {self.phi_max}; the residual must be stationary: give a number between 0 and 1"
            )
        if self.kink_sd <= 0 or self.kink_low >= self.kink_high:
            raise ValueError("kink_sd must be positive and kink_low below kink_high")

    @property
    def targets(self) -> tuple[str, ...]:
        """The spread."""
        return (self.spread,)

    @property
    def features(self) -> tuple[str, ...]:
        """The reserve ratio and the calendar."""
        return (RATIO, *self.effects)

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
        UnitError         : the spread is not in bp or the ratio not in percent
        """
        return self.model(self._data(*_spread_and_regressors(self, design)))

    def model(self, data: Data) -> pm.Model:
        """The PyMC model of arrays that may be exchanged for those of another sample; see ``build``."""
        import pymc as pm
        import pytensor.tensor as pt

        with pm.Model(coords={"effect": self.effects, "step": STEP_NAMES}, check_bounds=False) as model:
            given = {
                n: pm.Data(n, values, dims=_DIMS.get(n.removesuffix("_lag"), "week")) for n, values in data.items()
            }

            # bp per percentage point of bank assets: least-squares slopes of scarce periods are 1 to 2.5
            beta = pm.HalfNormal("beta", 2.0)
            # percentage points over which the curve bends: between a hinge and a curve without one
            tau = pm.LogNormal("tau", np.log(0.5), 0.5)
            # percent of bank assets: wide enough for every published estimate, not centred on one to return it
            kink = (
                pm.Normal("kink", self.kink_mean, self.kink_sd)
                if self.kink_prior == "normal"
                else pm.Uniform("kink", self.kink_low, self.kink_high)
            )

            def above_abundance(ratio: Any) -> Any:
                return beta * tau * pt.softplus((kink - ratio) / tau)

            # bp: alpha ~ Normal(0, 20) covers every spread since 2009. Sampled as the level at the mean ratio, which
            # the data know, instead of at abundance, which they may never have seen; the shift has unit Jacobian.
            # It starts at zero: the default would be where the program's first sample put it.
            level = pm.Normal("level", above_abundance(given["mean_ratio"]), 20.0, initval=0.0)
            alpha = pm.Deterministic("alpha", level - above_abundance(given["mean_ratio"]))
            # bp: period ends and tax days move this spread by a few basis points
            gamma = pm.Normal("gamma", 0.0, 3.0, dims="effect") if self.effects else None
            # bp: technical adjustments of the administered rate are 5 bp
            shift = pm.Normal("shift", 0.0, 5.0, dims="step") if self.steps else None
            # bp: weekly changes are of the order of one; the floor is explained at SMALLEST_SCALE
            sigma = pm.Deterministic("sigma", SMALLEST_SCALE + pm.HalfNormal("sigma_above_floor", 3.0))

            def mean(when: str) -> Any:
                shifts = ((gamma, "effects"), (shift, "steps"))
                # Sums of products, because a matrix product would compile for half a minute.
                added = [(given[name + when] * size).sum(axis=1) for size, name in shifts if size is not None]
                return alpha + above_abundance(given["ratio" + when]) + sum(added)

            deviation = given["y"] - mean("")
            if self.errors == "autoregressive":
                # per week: half-lives from two days to a quarter, never a unit root
                phi = pm.TruncatedNormal("phi", 0.6, 0.2, lower=-self.phi_max, upper=self.phi_max)
                deviation = deviation - phi * (given["y_lag"] - mean("_lag"))
            pm.Potential("published", log_interval_probability(deviation, sigma).sum())
        return model

    def fit(self, design: Design, *, rng: np.random.Generator) -> FittedSatiationCurve:
        """Sample the posterior.

        Raises
        ------
        ShortHistoryError : fewer than 100 pairs of adjacent complete weeks
        UnitError         : the spread is not in bp or the ratio not in percent
        DiagnosticsError  : the sampler did not converge
        """
        history, known = _spread_and_regressors(self, design)
        program = compiled(self, self._data(history, known))
        posterior = self.sampler.sample(program, seed=int(rng.integers(2**31)), name=self.name)
        return FittedSatiationCurve(self, posterior, history, known)

    def _data(self, history: TargetHistory, known: pd.DataFrame) -> dict[str, Array]:
        """Arrays of the likelihood by name."""
        weeks = np.column_stack([history.values, known.to_numpy(dtype=float)[: len(history.values)]])
        now, before = adjacent_weeks(weeks)
        require_rows(np.array([len(now)]), (self.spread,), what="pairs of complete weeks", needed=MINIMUM_WEEKS)
        data = {"mean_ratio": np.array(now[:, 1].mean())}
        for when, rows in (("", now), ("_lag", before))[: 2 if self.errors == "autoregressive" else 1]:
            data |= {"y" + when: rows[:, 0], "ratio" + when: rows[:, 1]}
            data |= {"effects" + when: rows[:, 2 : 2 + len(self.effects)]} if self.effects else {}
            data |= {"steps" + when: rows[:, 2 + len(self.effects) :]} if self.steps else {}
        return data


@dataclass(frozen=True, slots=True, eq=False)
class FittedSatiationCurve:
    """Posterior of the satiation curve, and what the forecast starts from.

    spec      : structure and priors
    posterior : ``posterior`` and ``sample_stats``, chain x draw: kink (percent of bank assets), beta (bp per
                percentage point), tau (percentage points), alpha, level, gamma, shift, sigma (bp), phi
    history   : of the spread, bp
    known     : (P, 1 + F) reserve ratio, calendar effects, steps; missing where unknown
    """

    spec: SatiationCurve
    posterior: xr.DataTree
    history: TargetHistory
    known: pd.DataFrame

    def kink(self) -> Array:
        """(S,) posterior draws of the kink, percent of bank assets."""
        return flat(self.posterior, "kink")

    def slope(self, ratio: float) -> Array:
        """(S,) posterior draws of ds/dx at a reserve ratio (percent), bp per percentage point; never positive."""
        return curve_slope(ratio, *(flat(self.posterior, name) for name in ("kink", "beta", "tau")))

    def predict(
        self, periods: pd.DatetimeIndex, *, scenario: Scenario | None = None, n_draws: int, rng: np.random.Generator
    ) -> PredictiveDistribution:
        """Walk along the curve from the last published spread.

        Raises
        ------
        NeedsScenarioError : the scenario lacks a week, or a calendar effect is not known so far ahead
        ShortHistoryError  : the sample of the ratio is too short for paths of this length
        """
        H = self.history.weeks_ahead(periods)
        last = len(self.history.periods) - 1 - int(self.history.gaps[0])
        weeks = pd.DatetimeIndex(self.history.periods[last:].append(periods))
        ratio = scenario or projected_ratio(self.known[RATIO], periods[-1], n_draws, rng)
        paths = feature_paths(self.known, weeks, ratio, n_draws)
        # Path i of a scenario must not always meet the same parameters.
        chosen = rng.permutation(np.arange(n_draws) % len(self.kink()))
        posterior = {str(name): flat(self.posterior, str(name))[chosen] for name in self.posterior["posterior"]}
        mean = mean_paths(paths, posterior)
        shocks = posterior["sigma"][:, None] * rng.standard_t(DEGREES_OF_FREEDOM, (n_draws, len(weeks) - 1))
        phi = posterior.get("phi", np.zeros(n_draws))
        residuals = residual_paths(self.history.values[last, 0] - mean[:, 0], phi, shocks)
        return self.history.distribution((mean[:, 1:] + residuals)[:, -H:, None], periods)


def _spread_and_regressors(spec: SatiationCurve, design: Design) -> tuple[TargetHistory, pd.DataFrame]:
    """History of the spread, and the (P, 1 + F) ratio, calendar effects and steps by week."""
    for name, unit in ((spec.spread, "bp"), (RATIO, "percent")):
        if design.units[name].name != unit:
            raise UnitError(f"{spec.name}: {name!r} is in {design.units[name]}; its priors are stated in {unit}.")
    history = target_history(replace(design, targets=design.targets[[spec.spread]]))
    known = design.features.loc[:, list(spec.features)].astype(float)
    if spec.steps:
        last = history.periods[-1 - int(history.gaps[0])]
        columns = step_columns(pd.DatetimeIndex(known.index), history.periods[0], last)
        known = known.join(pd.DataFrame(columns, known.index, list(STEP_NAMES)))
    return history, known


# --------------------------------------------------------------------------- arrays


def curve(ratio: Array, kink: Array, beta: Array, tau: Array) -> Array:
    """beta * tau * softplus((k - x) / tau), bp above the spread in abundance; arguments broadcast."""
    return np.asarray(beta * tau * np.logaddexp(0.0, (kink - ratio) / tau))


def curve_slope(ratio: Array | float, kink: Array, beta: Array, tau: Array) -> Array:
    """-beta * logistic((k - x) / tau), bp per percentage point of bank assets; arguments broadcast."""
    return np.asarray(-beta * 0.5 * (1 + np.tanh((kink - ratio) / (2 * tau))))


def adjacent_weeks(weeks: Array) -> tuple[Array, Array]:
    """Rows that are complete and follow a complete row, and the rows before them.

    Parameters
    ----------
    weeks : (T, C) consecutive weeks, missing where unknown

    Returns
    -------
    (n, C) and (n, C)
    """
    complete = np.isfinite(weeks).all(axis=1)
    pairs = complete[1:] & complete[:-1]
    return weeks[1:][pairs], weeks[:-1][pairs]


def mean_paths(paths: Array, posterior: Mapping[str, Array]) -> Array:
    """mu along paths of the regressors, one posterior draw a path.

    Parameters
    ----------
    paths     : (D or 1, W, 1 + F) reserve ratio in percent, then calendar effects and steps
    posterior : (D, ...) draws by parameter

    Returns
    -------
    (D, W) bp
    """
    kink, beta, tau, alpha = (posterior[name][:, None] for name in ("kink", "beta", "tau", "alpha"))
    mean = alpha + curve(paths[:, :, 0], kink, beta, tau)
    shifts = [posterior[name] for name in ("gamma", "shift") if name in posterior]
    if shifts:
        mean = mean + (paths[:, :, 1:] @ np.concatenate(shifts, axis=1)[:, :, None])[:, :, 0]
    return np.asarray(mean)


def residual_paths(start: Array, phi: Array, shocks: Array) -> Array:
    """r(w) = phi * r(w-1) + shock(w).

    Parameters
    ----------
    start  : (D,) residual of the last published week, bp
    phi    : (D,)
    shocks : (D, W) bp

    Returns
    -------
    (D, W) bp
    """
    residual, paths = start, np.empty(shocks.shape)
    for week in range(shocks.shape[1]):
        residual = phi * residual + shocks[:, week]
        paths[:, week] = residual
    return paths
