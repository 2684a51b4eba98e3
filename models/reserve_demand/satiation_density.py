"""Density of the satiation curve: priors and the likelihood of published spreads, as a PyMC model.

For spread j in week t, x the reserve ratio (percent of bank assets), spreads in bp,

    mu_j(t)    = alpha_j + bend_j(t) + gamma_j' c(t) + d_j' step(t) + walk_j(t)
    bend_j(t)  = beta_j * tau * softplus((k_j(t) - x(t)) / tau)
    k_j(t)     = k + offset_j + theta' w(t) + drift(t)
    e_j(t)     = y_j(t) - mu_j(t) - phi_j * (y_j(t-1) - mu_j(t-1)) - rho_j v(t) - sum_{i<j} lambda_ji e_i(t)
    P(y_j(t)) = F((e_j + h) / sigma_j(t)) - F((e_j - h) / sigma_j(t)),    F Student's t with four degrees of freedom

drift and walk are random walks, log sigma an autoregression; all three are straight lines between knots. They are sampled as
standard normal shocks (non-centred), so knots after the end of a sample cost nothing and one program serves samples of any
length up to its last knot.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

# Modules of one package import each other relatively, in folders too: the architecture test asks for it.
from .._posterior import Data
from .dated_steps import STEP_NAMES
from .rounding import log_interval_probability
from .satiation_shape import Array, autoregression_root, random_walk_root

if TYPE_CHECKING:
    import pymc as pm

type Errors = Literal["autoregressive", "independent"]
type KinkPrior = Literal["normal", "flat"]
type Bends = Literal["shared", "pooled", "separate"]

# A fifth of the published step's half. The scale of calm years is about 0.2 bp; far below that the walls of the
# rounding interval become cliffs that no gradient sees.
SMALLEST_SCALE = 0.1  # bp
# A week's volatility is remembered for half a year: half-life 23 weeks. Free, it trades off against the size of its shocks.
VOLATILITY_PERSISTENCE = 0.97  # per week

# Scales of priors that the prior's own slope is computed from, beside the density.
BETA_SCALE = 2.0  # bp per percentage point of bank assets: least-squares slopes of scarce periods are 1 to 2.5
TAU_MEDIAN, TAU_SPREAD = 0.5, 0.5  # percentage points, and log points: between a hinge and a curve without one
DRIFT_SCALE = 0.05  # percentage points a week, 0.36 a year
OFFSET_SCALE = 1.0  # percentage points: markets for the same reserves bend within a percent of bank assets
SHIFTER_SCALE = 0.5  # percentage points of the kink per SHIFTER_UNIT of a growth rate
SHIFTER_UNIT = 10.0  # percent

# Of the arrays that are not (week,).
_DIMS: Mapping[str, tuple[str, ...]] = {
    "y": ("spread", "week"),
    "weight": ("spread", "week"),
    "complete": ("row",),
    "entering": ("row_entering",),
    "effects": ("effect", "week"),
    "steps": ("step", "week"),
    "shifters": ("shifter", "week"),
    "kink_prior": ("moment",),
}


@dataclass(frozen=True, slots=True)
class SatiationDensity:
    """What a program is compiled from; options as in ``SatiationCurve``.

    spreads          : those that have begun, in order
    controlled       : those of them with a control function
    kink_knots       : K, ``spacing`` weeks apart; 0 for a constant kink
    level_knots      : likewise for a level that walks; 0 for one that does not
    volatility_knots : ``volatility_spacing`` weeks apart; 0 for a constant scale
    """

    spreads: tuple[str, ...]
    controlled: tuple[str, ...]
    effects: tuple[str, ...]
    shifters: tuple[str, ...]
    errors: Errors
    phi_max: float
    kink_prior: KinkPrior
    bends: Bends
    steps: bool
    spacing: int
    kink_knots: int
    level_knots: int
    volatility_spacing: int
    volatility_knots: int

    def model(self, data: Data) -> pm.Model:
        """The PyMC model of arrays that may be exchanged for those of another sample.

        Parameters
        ----------
        data : y, weight (J, T), ratio (T,), effects (C, T), steps (S, T), shifters (F, T), control (T,), kink_prior (2,)
               mean and sd, or bounds, in percent of bank assets; positions in (J * T,) of weeks that are complete, and
               of those that enter the likelihood, for which weight is 1
        """
        import pymc as pm

        pt = _tensor()

        with pm.Model(coords=self._coords(), check_bounds=False) as model:
            given = {name: pm.Data(name, values, dims=_DIMS.get(name, "week")) for name, values in data.items()}
            bend = self._bend(given)
            # bp: period ends and tax days move these spreads by a few basis points
            gamma = pm.Normal("gamma", 0.0, 3.0, dims=("spread", "effect")) if self.effects else None
            # bp: technical adjustments of the administered rate are 5 bp
            shift = pm.Normal("shift", 0.0, 5.0, dims=("spread", "step")) if self.steps else None
            moving = bend + _added(shift, given.get("steps"))
            if self.level_knots:
                # bp a week: 1.4 a year, less than what the dated steps may do
                size = pm.HalfNormal("level_drift", 0.2, dims="spread")
                root = random_walk_root(self.level_knots, self.spacing)
                walk = size[:, None] * _slow("level_shock", root, ("spread", "level_knot"))
                # Without its first knot, which is zero in every draw: what never moves fails the diagnostics.
                pm.Deterministic("walk", walk[:, 1:])
                moving = moving + _lines(walk, self.spacing, given["ratio"])
            # bp: alpha ~ Normal(0, 20) covers every spread since 2009. Sampled as the sample's mean less effects, which
            # the data know, instead of at abundance, which they may never have seen; the shift has unit Jacobian.
            # It starts at zero: the default would be where the program's first sample put it.
            rows = pt.maximum(given["weight"].sum(axis=1), 1.0)
            centre = (given["weight"] * moving).sum(axis=1) / rows
            level = pm.Normal("level", centre, 20.0, dims="spread", initval=np.zeros(len(self.spreads)))
            alpha = pm.Deterministic("alpha", level - centre, dims="spread")
            deviation = given["y"] - alpha[:, None] - moving - _added(gamma, given.get("effects"))
            innovation = self._innovations(deviation, given).ravel()[given["entering"]]
            pm.Potential("published", log_interval_probability(innovation, self._scale(given)).sum())
        return model

    def _coords(self) -> dict[str, Any]:
        return {
            "spread": self.spreads,
            "other": self.spreads[1:],
            "controlled": self.controlled,
            "effect": self.effects,
            "step": STEP_NAMES,
            "shifter": self.shifters,
            "moment": ("first", "second"),
            "kink_knot": range(max(self.kink_knots, 1)),
            "level_knot": range(self.level_knots),
            "volatility_knot": range(self.volatility_knots),
            "pair": self.pairs,
        }

    @property
    def loaded(self) -> tuple[tuple[int, int], ...]:
        """Positions (j, i) of the loadings lambda: spread j moves with spread i before it."""
        return tuple((j, i) for j in range(len(self.spreads)) for i in range(j))

    @property
    def pairs(self) -> tuple[str, ...]:
        """Names of the loadings lambda, the spread that answers first."""
        return tuple(f"{self.spreads[j]} on {self.spreads[i]}" for j, i in self.loaded)

    def _bend(self, given: Mapping[str, Any]) -> Any:
        """(J, T) bp above abundance."""
        import pymc as pm

        pt = _tensor()

        own = self.bends == "separate"
        of_bend = ("spread",) if own else ()
        beta = pm.HalfNormal("beta", BETA_SCALE, dims="spread")
        tau = pm.LogNormal("tau", np.log(TAU_MEDIAN), TAU_SPREAD, dims=of_bend)
        # percent of bank assets: the default is wide enough for every published estimate, not centred on one to return it
        first, second = given["kink_prior"][0], given["kink_prior"][1]
        start = (
            pm.Normal(
                "kink_start", first, second, dims=of_bend, initval=np.full(len(self.spreads), 12.0) if own else 12.0
            )
            if self.kink_prior == "normal"
            else first + (second - first) * pm.Uniform("kink_start", 0.0, 1.0, dims=of_bend)
        )
        kink = start[:, None] if own else start[None, None]
        if self.bends == "pooled" and len(self.spreads) > 1:
            # Of the other spreads from the first. Three spreads cannot tell how far kinks lie apart; their prior says it.
            offset = pm.Normal("offset", 0.0, OFFSET_SCALE, dims="other")
            kink = kink + pt.concatenate([pt.zeros(1), offset])[:, None]
        if self.kink_knots:
            size = pm.HalfNormal("drift", DRIFT_SCALE, dims=of_bend)
            root = random_walk_root(self.kink_knots, self.spacing)
            walk = _slow("kink_shock", root, (*of_bend, "kink_knot"))
            kink = kink + (size[:, None] * walk if own else size * walk[None, :])
        kink = pm.Deterministic("kink", kink * pt.ones((len(self.spreads), 1)), dims=("spread", "kink_knot"))
        weekly = _lines(kink, self.spacing, given["ratio"]) if self.kink_knots else kink
        if self.shifters:
            theta = pm.Normal("theta", 0.0, SHIFTER_SCALE, dims="shifter")
            weekly = weekly + (theta[:, None] * given["shifters"]).sum(axis=0)[None, :]
        width = tau[:, None] if own else tau
        depth = ((weekly - given["ratio"][None, :]) / width).ravel()
        # Only where the spread is known: half of the weeks of three spreads are before repo rates begin.
        above = pt.set_subtensor(pt.zeros_like(depth)[given["complete"]], pt.softplus(depth[given["complete"]]))
        return beta[:, None] * width * above.reshape(given["y"].shape)

    def _innovations(self, deviation: Any, given: Mapping[str, Any]) -> Any:
        """(J, T) bp: deviations from mu less what yesterday, the control and the spreads before explain."""
        import pymc as pm

        pt = _tensor()

        if self.errors == "autoregressive":
            # per week: half-lives from two days to a quarter, never a unit root
            phi = pm.TruncatedNormal("phi", 0.6, 0.2, lower=-self.phi_max, upper=self.phi_max, dims="spread")
            # The first week has weight zero: what stands there does not count.
            before = pt.concatenate([deviation[:, :1], deviation[:, :-1]], axis=1)
            deviation = deviation - phi[:, None] * before
        rows = [deviation[j] for j in range(len(self.spreads))]
        if self.controlled:
            # bp per percentage point of bank assets: a surprise may move the spread as much as the curve does
            rho = pm.Normal("rho", 0.0, 2.0, dims="controlled")
            for n, name in enumerate(self.controlled):
                rows[self.spreads.index(name)] -= rho[n] * given["control"]
        if len(self.spreads) > 1:
            # bp per bp: repo rates move together, one for one or a little more
            loading = pm.Normal("loading", 0.5, 0.5, dims="pair")
            known = [row * given["weight"][j] for j, row in enumerate(rows)]
            for number, (j, i) in enumerate(self.loaded):
                rows[j] = rows[j] - loading[number] * known[i]
        return pt.stack(rows)

    def _scale(self, given: Mapping[str, Any]) -> Any:
        """(n,) bp, of the weeks that enter."""
        import pymc as pm

        pt = _tensor()

        if not self.volatility_knots:
            # bp: weekly changes are of the order of one; the floor is explained at SMALLEST_SCALE
            sigma = SMALLEST_SCALE + pm.HalfNormal("sigma_above_floor", 3.0, dims="spread")
            sigma = pm.Deterministic("sigma", sigma, dims="spread")
            return (sigma[:, None] + pt.zeros_like(given["y"])).ravel()[given["entering"]]
        # log bp: half a basis point, between a tenth and three
        middle = pm.Normal("volatility", np.log(0.5), 1.0, dims="spread")
        # log points, sd over time: calm years and crises differ by a factor of twenty
        reach = pm.HalfNormal("volatility_sd", 1.0, dims="spread")
        root = autoregression_root(self.volatility_knots, VOLATILITY_PERSISTENCE**self.volatility_spacing)
        path = middle[:, None] + reach[:, None] * _slow("volatility_shock", root, ("spread", "volatility_knot"))
        path = pm.Deterministic("log_scale", path, dims=("spread", "volatility_knot"))
        weekly = _lines(path, self.volatility_spacing, given["ratio"])
        return SMALLEST_SCALE + pt.exp(weekly.ravel()[given["entering"]])


def _tensor() -> Any:
    """PyTensor's functions, of which only some are typed."""
    import pytensor.tensor as pt

    return pt


def _added(size: Any, columns: Any) -> Any:
    """(J, T) sum over c of size(j, c) * columns(c, t); zero without."""
    # Sums of products, because a matrix product would compile for half a minute.
    return 0.0 if size is None else (size[:, :, None] * columns[None, :, :]).sum(axis=1)


def _slow(name: str, root: Array, dims: tuple[str, ...]) -> Any:
    """(..., K) root @ shocks, the shocks standard normal."""
    import pymc as pm

    shocks = pm.Normal(name, dims=dims)
    return (shocks[..., None, :] * root).sum(axis=-1)


def _lines(knots: Any, spacing: int, weeks: Any) -> Any:
    """(J, T) straight lines through (J, K) knots, as ``between_knots``, for as many weeks as ``weeks`` has."""
    after = np.arange(spacing) / spacing
    lines = knots[:, :-1, None] * (1 - after) + knots[:, 1:, None] * after
    return lines.reshape((lines.shape[0], -1))[:, : weeks.shape[0]]
