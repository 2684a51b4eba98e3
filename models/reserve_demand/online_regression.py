"""Regression with drifting coefficients and stochastic volatility, followed week by week.

    s(t) = a(t) + rho(t) s(t-1) + b(t) (x(t) - 12) + g(t)' c(t) + e(t),    e(t) ~ N(0, exp(h(t)))

s is a spread over the rate on reserves (bp, week average), x the reserve ratio (percent of bank assets), c calendar effects.
Coefficients are random walks, h a stationary autoregression. The slope

    b (1 + rho + ... + rho^h)    bp per percentage point of bank assets

is the response of the spread h weeks after the ratio has moved for good. It is what the instrumental slope of the drifting
vector autoregression is where the ratio is a random walk, so the two compare; h = 0 gives the impact, h without end the
long run b / (1 - rho). Its sign is free.

The posterior is followed by particles (:mod:`.particle_regression`): a new week costs a millisecond and now and then a move of
all particles, so every origin of a backtest is affordable. What is told of a past week is what was known then.

References
----------
Primiceri (2005), Review of Economic Studies 72, for the model; Gilks and Berzuini (2001), Journal of the Royal Statistical
Society B 63, for following it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.answers.ampleness import Ampleness
from forecast.features.feature_set import Design
from forecast.model import Folded, fold, row_generator
from forecast.predictive import PredictiveDistribution
from forecast.scenario import Scenario

# Modules of one package import each other relatively, in folders too: the architecture test asks for it.
from ..residual_rows import require_rows
from .curve_path import CurveSample, curve_sample, require_moving
from .particle_regression import Filtered, Settings, empty, parameter_draws, take_in
from .reserve_ratio import RATIO

type Array = NDArray[np.float64]

# Two years less their ragged edge; the first is for training.
MINIMUM_WEEKS = 100
# Percent of bank assets from which x is counted, so that level and slope are not the same thing twice.
CENTRE = 12.0
# bp squared: a rate in whole basis points, and the average of days that all round alike.
ROUNDING = 1 / 12
# Prior standard deviations: level in bp, persistence, slope in bp per percentage point, calendar effects in bp.
_LEVEL, _PERSISTENCE, _SLOPE, _EFFECT = 5.0, 0.3, 2.0, 5.0
_PERSISTENCE_MEAN = 0.6
# A week's drift is a priori below a fortieth of that, two chances in three: a year moves a coefficient by a fifth of it.
DRIFT = 1 / 40
# mu of log bp squared, phi about 0.93 weekly, sigma: mean, sd, two shapes, scale.
VOLATILITY = (0.0, 2.0, 20.0, 1.5, 0.5)
_WEEK = pd.Timedelta(days=7)


@dataclass(frozen=True, slots=True)
class OnlineRegression:
    """Structure, priors and size of the cloud.

    Without a scenario the ratio is a random walk with the changes of the past. In forecasts coefficients go on drifting;
    persistence beyond one is taken as one there.

    spread      : target, bp over the rate on reserves
    effects     : calendar effects c(t), 0 or 1
    weeks_after : h of the slope
    particles   : how many
    sweeps      : of Gibbs where all are moved
    training    : weeks with a known week before them that are learnt from by Gibbs alone
    draws       : kept of each week's slope
    """

    spread: str = "effr_iorb"
    effects: tuple[str, ...] = ("quarter_end_week", "month_end_week", "tax_week")
    weeks_after: int = 1
    particles: int = 1000
    sweeps: int = 2
    training: int = 52
    draws: int = 400
    name: ClassVar[str] = "online_regression"
    needs: ClassVar[tuple[str, ...]] = (RATIO,)
    sampled: ClassVar[bool] = True
    updatable: ClassVar[bool] = True
    tells_ampleness: ClassVar[bool] = True
    requires: ClassVar[tuple[str, ...]] = ("numba",)

    def __post_init__(self) -> None:
        least = {"weeks_after": 0, "particles": 100, "sweeps": 1, "training": 20, "draws": 20}
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
    def settings(self) -> Settings:
        """How the cloud is run: particles and priors."""
        from ..kernels.drifting_regression import Priors

        effects = len(self.effects)
        mean = np.array([0.0, _PERSISTENCE_MEAN, 0.0, *[0.0] * effects])
        sd = np.array([_LEVEL, _PERSISTENCE, _SLOPE, *[_EFFECT] * effects])
        priors = Priors(mean, sd, DRIFT * sd, np.array(VOLATILITY))
        return Settings(priors, ROUNDING, self.particles, self.sweeps, training=self.training)

    def fit(self, design: Design, *, rng: np.random.Generator) -> FittedOnlineRegression:
        """Take in all complete weeks from the first.

        Raises
        ------
        UnitError         : the spread is not in bp or the ratio not in percent
        ShortHistoryError : fewer than 100 complete weeks
        ModelError        : the spread never moved
        """
        return _followed(self, int(rng.integers(2**63)), design, None)


@dataclass(frozen=True, slots=True, eq=False)
class Followed:
    """Where the filter stands after some rows.

    filtered : the cloud and its history
    week     : of the last row; None before the first
    spread   : in that week, bp
    slopes   : by week since training: the week, and (S,) draws in bp per percentage point
    """

    filtered: Filtered
    week: pd.Timestamp | None
    spread: float
    slopes: tuple[tuple[pd.Timestamp, Array], ...]


@dataclass(frozen=True, slots=True, eq=False)
class FittedOnlineRegression:
    """The posterior after the last complete week.

    spec   : options
    key    : of the generators of all rows
    sample : spread, ratio and calendar effects by week
    folded : rows taken in, and where the filter stands
    """

    spec: OnlineRegression
    key: int
    sample: CurveSample
    folded: Folded[Followed]

    def update(self, design: Design) -> FittedOnlineRegression:
        """Take in the rows completed since."""
        return _followed(self.spec, self.key, design, self.folded)

    def log_density(self) -> pd.Series:
        """Log predictive density of each week's spread the week before; missing in training and after holes."""
        state = self.folded.state
        weeks = pd.date_range(end=self.folded.periods[-1], periods=len(state.filtered.y), freq="7D", unit="us")
        return pd.Series(state.filtered.log_density, weeks, name="log_density")

    def predict(
        self, periods: pd.DatetimeIndex, *, scenario: Scenario | None = None, n_draws: int, rng: np.random.Generator
    ) -> PredictiveDistribution:
        """Draw coefficients and volatility, let them move on, and walk from the last published spread.

        Raises
        ------
        NeedsScenarioError : the scenario lacks a week, or a calendar effect is not known so far ahead
        ShortHistoryError  : the sample of the ratio is too short for paths of this length
        """
        regressors = self.sample.paths(periods, scenario, n_draws, rng)[:, 1:]
        history = self.sample.history
        last = len(history.periods) - 1 - int(history.gaps[0])
        bridged = last - int(history.periods.get_indexer(self.folded.periods[-1:])[0])
        cloud = self.folded.state.filtered.cloud
        assert cloud is not None  # enough weeks were required  # noqa: S101
        now = parameter_draws(cloud, n_draws, rng)
        coefficients, variance = moving_on(now, bridged + regressors.shape[1], rng)
        design = np.concatenate([regressors[:, :, :1] - CENTRE, regressors[:, :, 1:]], axis=2)
        noise = np.sqrt(variance + ROUNDING) * rng.standard_normal(variance.shape)
        walked = walk(history.values[last, 0], design, coefficients[:, bridged:], noise[:, bridged:])
        return history.distribution(walked[:, -len(periods) :, None], periods)

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
            prior={"slope": prior_slopes(self.spec)},
            sign_free=True,
            notes=(
                f"response {self.spec.weeks_after} weeks after the ratio has moved for good",
                "the slope in the long run is the impact over one less the persistence",
            ),
        )


def _followed(
    spec: OnlineRegression, key: int, design: Design, before: Folded[Followed] | None
) -> FittedOnlineRegression:
    sample = curve_sample(spec.name, spec.spread, spec.features, design)
    mine = replace(design, targets=design.targets[[spec.spread]], features=design.features[list(spec.features)])
    periods, spread, _ = sample.complete()
    require_rows(np.array([len(spread)]), (spec.spread,), what="complete weeks", needed=MINIMUM_WEEKS)
    require_moving(spec.name, spec.spread, spread, periods)
    start = Followed(empty(len(spec.features) + 2), None, np.nan, ())
    folded = fold(_step(spec, key), start, mine, before)
    followed = np.array([len(folded.state.slopes)])
    require_rows(followed, (spec.spread,), what="weeks that follow a complete one after training", needed=1)
    return FittedOnlineRegression(spec, key, sample, folded)


def _step(spec: OnlineRegression, key: int) -> Callable[[Followed, pd.Timestamp, Array], Followed]:
    """Take in a row (spread, ratio, effects)."""
    settings = spec.settings

    def step(state: Followed, week: pd.Timestamp, row: Array) -> Followed:
        filtered, rng = skipped(state.filtered, state.week, week, settings, key), row_generator(key, week)
        follows = state.week is not None and week - state.week == _WEEK
        x = np.array([1.0, state.spread, row[1] - CENTRE, *row[2:]])
        filtered = take_in(filtered, row[0] if follows else np.nan, x, settings, rng)
        slopes = state.slopes
        if filtered.cloud is not None:
            draws = parameter_draws(filtered.cloud, spec.draws, rng)[0]
            slopes = (*slopes, (week, persistent_slope(draws, spec.weeks_after)))
        return Followed(filtered, week, row[0], slopes)

    return step


def skipped(
    filtered: Filtered, last: pd.Timestamp | None, week: pd.Timestamp, settings: Settings, key: int
) -> Filtered:
    """The weeks between two rows, in which nothing is observed and everything moves on."""
    if last is None:
        return filtered
    nothing = np.zeros(filtered.X.shape[1])
    for between in pd.date_range(last + _WEEK, week - _WEEK, freq="7D"):
        filtered = take_in(filtered, np.nan, nothing, settings, row_generator(key, between))
    return filtered


def prior_slopes(spec: OnlineRegression, n: int = 4000) -> Array:
    """(n,) draws of the slope before any data, bp per percentage point."""
    priors = spec.settings.priors
    draws = priors.mean + priors.sd * np.random.default_rng(0).standard_normal((n, len(priors.mean)))
    return persistent_slope(draws, spec.weeks_after)


# --------------------------------------------------------------------------- arrays


def persistent_slope(coefficients: Array, weeks_after: int) -> Array:
    """b (1 + rho + ... + rho^h): (n, k) of constant, rho, b, ... -> (n,)."""
    powers = coefficients[:, 1:2] ** np.arange(weeks_after + 1)
    return np.asarray(coefficients[:, 2] * powers.sum(axis=1))


def moving_on(now: tuple[Array, Array, Array, Array], weeks: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """Coefficients (D, W, k) and variances (D, W) of the weeks to come, from :func:`parameter_draws`."""
    b, drift, h, volatility = now
    D, k = b.shape
    steps = drift[:, None] * rng.standard_normal((D, weeks, k))
    shocks = rng.standard_normal((D, weeks))
    mu, phi, sigma = volatility.T
    variance = np.empty((D, weeks))
    for w in range(weeks):
        h = mu + phi * (h - mu) + sigma * shocks[:, w]
        variance[:, w] = np.exp(h)
    return b[:, None] + np.cumsum(steps, axis=1), variance


def walk(start: float, regressors: Array, coefficients: Array, noise: Array) -> Array:
    """s(w) = a + rho s(w-1) + (b, g)'(x, c)(w) + noise(w), with rho drawn back to [-1, 1].

    Parameters
    ----------
    start        : last published spread, bp
    regressors   : (D or 1, W, F)
    coefficients : (D, W, 2 + F)
    noise        : (D, W) bp

    Returns
    -------
    (D, W) bp
    """
    free = coefficients[:, :, 0] + np.einsum("dwf,dwf->dw", coefficients[:, :, 2:], np.broadcast_to(
        regressors, (len(noise), *regressors.shape[1:]))) + noise  # fmt: skip
    rho = np.clip(coefficients[:, :, 1], -1.0, 1.0)
    spread, paths = np.full(len(noise), start), np.empty(noise.shape)
    for w in range(noise.shape[1]):
        spread = rho[:, w] * spread + free[:, w]
        paths[:, w] = spread
    return paths
