"""Vector autoregression of reserve ratio and spread that takes in one week after another.

It is the model of :mod:`.time_varying_var`, with the same equations, priors and slope: drifting coefficients, stochastic
volatility, triangular with the ratio first. Given the ratio the spread's equation is a regression, so the posterior is
the product of two, each followed by particles of its own (:mod:`.particle_regression`). There every week is told with
hindsight; here what is told of a past week is what was known then, and a new week costs milliseconds.

    slope(t) = [response of s to e after h weeks] / [response of x to e after h weeks]

with e the innovation of the ratio: bp per percentage point of bank assets, of free sign.

References
----------
Primiceri (2005), Review of Economic Studies 72; Afonso, Giannone, La Spada and Williams (2022), Staff Report 1019, for the
slope; Gilks and Berzuini (2001), Journal of the Royal Statistical Society B 63, for following a posterior; Cogley and
Sargent (2005), Review of Economic Dynamics 8, for forecasting with stable draws only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.answers.ampleness import Ampleness
from forecast.errors import RankDeficientError
from forecast.features.feature_set import Design
from forecast.model import Folded, fold, row_generator
from forecast.predictive import PredictiveDistribution
from forecast.scenario import Scenario

# Modules of one package import each other relatively, in folders too: the architecture test asks for it.
from ..ragged_edge import carried_forward, feature_paths
from ..residual_rows import require_rows
from .curve_path import CurveSample, curve_sample, require_moving
from .online_regression import CENTRE, MINIMUM_WEEKS, ROUNDING, moving_on, skipped
from .particle_regression import Cloud, Filtered, Settings, empty, parameter_draws, take_in
from .reserve_ratio import RATIO
from .time_varying_var import TimeVaryingVAR, instrumental_slopes, joint_paths, largest_root

type Array = NDArray[np.float64]
type Parts = tuple[Array, Array, Array, Array]

# How many draws are looked at for each one that is forecast with.
_POOL = 4
_WEEK = pd.Timedelta(days=7)
_EQUATIONS = ("ratio", "spread")


@dataclass(frozen=True, slots=True)
class OnlineVAR:
    """Structure and size of the clouds.

    Without a scenario the ratio follows its own equation, jointly with the spread; with one the spread follows its equation
    given the ratio's path. Coefficients and volatilities go on drifting.

    spread      : target, bp over the rate on reserves
    lags        : weeks of lags of both
    effects     : calendar effects, 0 or 1, in both equations
    weeks_after : h of the slope
    particles   : how many, each equation
    sweeps      : of Gibbs where all are moved
    training    : weeks after ``lags`` complete ones that are learnt from by Gibbs alone
    draws       : kept of each week's slope
    """

    spread: str = "effr_iorb"
    lags: int = 2
    effects: tuple[str, ...] = ("quarter_end_week",)
    weeks_after: int = 1
    particles: int = 1000
    sweeps: int = 2
    training: int = 52
    draws: int = 400
    name: ClassVar[str] = "online_var"
    needs: ClassVar[tuple[str, ...]] = (RATIO,)
    sampled: ClassVar[bool] = True
    updatable: ClassVar[bool] = True
    tells_ampleness: ClassVar[bool] = True
    requires: ClassVar[tuple[str, ...]] = ("numba",)

    def __post_init__(self) -> None:
        least = {"lags": 1, "weeks_after": 0, "particles": 100, "sweeps": 1, "training": 20, "draws": 20}
        for option, smallest in least.items():
            if getattr(self, option) < smallest:
                raise ValueError(f"{option} = {getattr(self, option)}; give at least {smallest}")
        if self.training >= MINIMUM_WEEKS:
            raise ValueError(f"training = {self.training}; leave weeks to follow: give less than {MINIMUM_WEEKS}")

    @property
    def targets(self) -> tuple[str, ...]:
        """The spread."""
        return (self.spread,)

    @property
    def features(self) -> tuple[str, ...]:
        """The reserve ratio and the calendar."""
        return (RATIO, *self.effects)

    @property
    def system(self) -> TimeVaryingVAR:
        """Equations and priors."""
        return TimeVaryingVAR(self.spread, self.lags, self.effects, self.weeks_after)

    @property
    def settings(self) -> tuple[Settings, Settings]:
        """How the clouds of ratio and spread are run."""
        blank = self.system.equations(np.zeros((self.lags + 1, 2 + len(self.effects))))
        ratio, spread = (
            Settings(blank[name].priors, blank[name].sample.rounding, self.particles, self.sweeps, self.training)
            for name in _EQUATIONS
        )
        return ratio, spread

    def fit(self, design: Design, *, rng: np.random.Generator) -> FittedOnlineVAR:
        """Take in all complete weeks from the first.

        Raises
        ------
        UnitError          : the spread is not in bp or the ratio not in percent
        ShortHistoryError  : fewer than 100 complete weeks, or too many holes
        ModelError         : the spread never moved
        RankDeficientError : the ratio never moved
        """
        return _followed(self, int(rng.integers(2**63)), design, None)


@dataclass(frozen=True, slots=True, eq=False)
class Followed:
    """Where the two filters stand after some rows.

    ratio, spread : clouds and their histories
    recent        : (r, 2 + E) last rows of (spread, ratio, effects) that follow each other week by week, at most p
    week          : of the last row; None before the first
    slopes        : by week since training: the week, and (S,) draws in bp per percentage point
    """

    ratio: Filtered
    spread: Filtered
    recent: Array
    week: pd.Timestamp | None
    slopes: tuple[tuple[pd.Timestamp, Array], ...]


@dataclass(frozen=True, slots=True, eq=False)
class FittedOnlineVAR:
    """The posterior after the last complete week.

    spec   : options
    key    : of the generators of all rows
    sample : spread and ratio by week
    folded : rows taken in, and where the filters stand
    """

    spec: OnlineVAR
    key: int
    sample: CurveSample
    folded: Folded[Followed]

    def update(self, design: Design) -> FittedOnlineVAR:
        """Take in the rows completed since."""
        return _followed(self.spec, self.key, design, self.folded)

    def log_density(self) -> pd.Series:
        """Log predictive density of each week's spread given its ratio, the week before; missing in training."""
        state = self.folded.state
        weeks = pd.date_range(end=self.folded.periods[-1], periods=len(state.spread.y), freq="7D", unit="us")
        return pd.Series(state.spread.log_density, weeks, name="log_density")

    def predict(
        self, periods: pd.DatetimeIndex, *, scenario: Scenario | None = None, n_draws: int, rng: np.random.Generator
    ) -> PredictiveDistribution:
        """Draw coefficients and volatilities, let them move on, and iterate; the ratio too where no scenario gives it.

        From the week after the last complete one on whatever is published or in the scenario is given. What the spread of
        such a week says about a ratio that is not yet published is left out, and so are draws that would explode, where
        there are others.

        Raises
        ------
        NeedsScenarioError : the scenario lacks a week, or a calendar effect is not known so far ahead
        """
        history, state, p = self.sample.history, self.folded.state, self.spec.lags
        H = history.weeks_ahead(periods)
        last = int(history.periods.get_indexer(self.folded.periods[-1:])[0])
        weeks = pd.DatetimeIndex(history.periods[last + 1 :].append(periods))
        ratio = self.sample.known[[RATIO]]
        if scenario is not None:
            given = feature_paths(ratio, weeks, scenario, n_draws)[:, :, 0]
        else:
            given = ratio.reindex(weeks).to_numpy(dtype=float).T
        effects = feature_paths(self.sample.known[list(self.spec.effects)], weeks, None, n_draws)[0]
        past = np.column_stack([ratio.to_numpy(dtype=float)[: last + 1, 0], history.values[: last + 1, 0]])
        before = carried_forward(past)[-p:]
        x = np.concatenate([np.tile(before[:, 0], (len(given), 1)), given], axis=1) - CENTRE
        s = np.concatenate([before[:, 1], history.values[last + 1 :, 0], np.full(H, np.nan)])
        coefficients, noise = {}, {}
        calm = calm_draws(_cloud(state.ratio), _cloud(state.spread), p, n_draws, rng)
        for name, hidden, part in zip(_EQUATIONS, (0.0, ROUNDING), calm, strict=True):
            coefficients[name], variance = moving_on(part, len(weeks), rng)
            noise[name] = np.sqrt(variance + hidden) * rng.standard_normal(variance.shape)
        walked = joint_paths(x, s, np.vstack([np.zeros((p, effects.shape[1])), effects]), coefficients, noise)
        return history.distribution(walked[:, -H:, None], periods)

    def ampleness(self) -> Ampleness:
        """Slopes with draws of each week's filtering distribution: what was known then, not since."""
        weeks, slopes = zip(*self.folded.state.slopes, strict=True)
        index = pd.DatetimeIndex(weeks).as_unit("us")
        return Ampleness(
            spread=self.spec.spread,
            draws_are="filter",
            weeks=index,
            ratio=self.folded.rows[self.folded.periods.get_indexer(index), 1],
            slope=np.column_stack(slopes),
            thresholds={},
            prior={"slope": self.spec.system.prior_slopes(len(self.folded.periods))},
            sign_free=True,
            notes=(f"response {self.spec.weeks_after} weeks after an innovation of the ratio",),
        )


def _followed(spec: OnlineVAR, key: int, design: Design, before: Folded[Followed] | None) -> FittedOnlineVAR:
    sample = curve_sample(spec.name, spec.spread, spec.features, design)
    mine = replace(design, targets=design.targets[[spec.spread]], features=design.features[list(spec.features)])
    periods, spread, ratio = sample.complete()
    require_rows(np.array([len(spread)]), (spec.spread,), what="complete weeks", needed=MINIMUM_WEEKS)
    require_moving(spec.name, spec.spread, spread, periods)
    if np.ptp(ratio[:, 0]) == 0:
        raise RankDeficientError(
            f"{spec.name}: {RATIO!r} is {ratio[0, 0]:g} percent in every week: nothing can be learnt from its "
            "innovations. Start the window earlier, or give a ratio that moves."
        )
    k = 1 + 2 * spec.lags + len(spec.effects)
    start = Followed(empty(k), empty(k + 1), np.empty((0, 2 + len(spec.effects))), None, ())
    folded = fold(_step(spec, key), start, mine, before)
    what = f"weeks that follow {spec.lags} complete ones after training"
    require_rows(np.array([len(folded.state.slopes)]), (spec.spread,), what=what, needed=1)
    return FittedOnlineVAR(spec, key, sample, folded)


def _step(spec: OnlineVAR, key: int) -> Callable[[Followed, pd.Timestamp, Array], Followed]:
    """Take in a row (spread, ratio, effects)."""
    system, settings = spec.system, spec.settings

    def step(state: Followed, week: pd.Timestamp, row: Array) -> Followed:
        follows = state.week is not None and week - state.week == _WEEK
        recent = np.vstack([state.recent if follows else state.recent[:0], row])
        window = np.vstack([np.full((spec.lags + 1 - len(recent), len(row)), np.nan), recent])
        equations, filters = system.equations(window), []
        for stream, name in enumerate(_EQUATIONS):
            # Each equation has a stream of its own.
            before = skipped(getattr(state, name), state.week, week, settings[stream], key ^ stream)
            y, x = equations[name].sample.y[-1], equations[name].sample.X[-1]
            filters.append(take_in(before, y, x, settings[stream], row_generator(key ^ stream, week)))
        slopes, (ratio, spread) = state.slopes, filters
        if ratio.cloud is not None and spread.cloud is not None:
            rng = row_generator(key ^ 2, week)
            draws = [parameter_draws(each, spec.draws, rng)[0] for each in (ratio.cloud, spread.cloud)]
            slopes = (*slopes, (week, instrumental_slopes(draws[0], draws[1], spec.lags, spec.weeks_after)))
        return Followed(ratio, spread, recent[-spec.lags :], week, slopes)

    return step


def _cloud(filtered: Filtered) -> Cloud:
    assert filtered.cloud is not None  # enough weeks were required  # noqa: S101
    return filtered.cloud


def calm_draws(ratio: Cloud, spread: Cloud, lags: int, n: int, rng: np.random.Generator) -> tuple[Parts, Parts]:
    """Draws of both equations without those that explode, or the calmest if there are too few others."""
    both = parameter_draws(ratio, _POOL * n, rng), parameter_draws(spread, _POOL * n, rng)
    root = largest_root(both[0][0], both[1][0], lags)
    calm = np.flatnonzero(root < 1)
    rows = calm[:n] if len(calm) >= n else np.argsort(root, kind="stable")[:n]
    first, second = ((b[rows], drift[rows], h[rows], volatility[rows]) for b, drift, h, volatility in both)
    return first, second
