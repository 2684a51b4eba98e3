"""Log curve: reserves against deposits, in logarithms.

    s(t) = a + b ln R(t) + c ln D(t) + d O(t) / D(t) + g' k(t) + r(t),    r(t) = phi r(t-1) + e(t)

s is the spread over the rate on reserves (bp, week average), R reserves and D deposits of commercial banks (USD bn), O overnight
reverse repo (in percent of D), k calendar effects. Deposits are claims that may be called at once: they shift the demand for
reserves outwards. With x = 100 R / A the reserve ratio (percent of bank assets A),

    ds/dx = b / x    bp per percentage point,      x*(c) = b / c for b < 0
    R*(s) = exp((s - a - c ln D - d O / D) / b)    reserves at which the curve gives the spread s

so the slope never ends: where reserves are abundant it is small, not zero.

References
----------
Lopez-Salido and Vissing-Jorgensen (2023), Reserve Demand, Interest Rate Control, and Quantitative Tightening (monthly
there; reserve weeks here).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.answers.ampleness import TOLERANCES, Ampleness, CurveDraws
from forecast.errors import ModelError
from forecast.features.feature_set import Design
from forecast.numerics.hac import hac_covariance
from forecast.numerics.least_squares import least_squares
from forecast.predictive import PredictiveDistribution
from forecast.scenario import Scenario

# Modules of one package import each other relatively, in folders too: the architecture test asks for it.
from .curve_path import Dynamics, estimable, in_turn, require_at_least, residual_dynamics
from .instrumental_variables import WEAK, Instrumented, two_stage_least_squares
from .linear_bootstrap import BLOCK, bootstrapped
from .linear_slope import GRID, line
from .log_curve_sample import LogSample, log_regressors, log_sample
from .reserve_ratio import RATIO
from .treasury_surprise import TREASURY

type Array = NDArray[np.float64]
type Estimator = Literal["ols", "2sls"]
type Deposits = Literal["spliced", "published"]


@dataclass(frozen=True, slots=True)
class LogCurve:
    """The log curve, by least squares or by two-stage least squares.

    Least squares is the default: on weekly data the instruments are weak (last week's surprises say little about this week's
    level of reserves), and a forecast wants the association that it will meet again. Deposits are spliced by default: the
    published series ends in April 2023, and a curve that cannot be asked about today is no competitor. From the last
    published week on, deposits grow as broad money less currency does, as far as it was public.

    Without a scenario the reserve ratio is a random walk with the changes of the past. Bank assets, deposits and overnight
    reverse repo stand where they were last seen.

    spread    : target, bp over the rate on reserves
    effects   : calendar effects k(t), 0 or 1
    estimator : "ols", or "2sls" with last week's Treasury-account surprise and change of securities as instruments of ln R;
                the latter for the federal funds rate, because settlements move repo collateral
    deposits  : "spliced", or "published": then the sample ends where the series does
    on_rrp    : whether overnight reverse repo enters
    draws     : bootstrap samples
    """

    spread: str = "effr_iorb"
    effects: tuple[str, ...] = ("quarter_end_week", "month_end_week", "tax_week")
    estimator: Estimator = "ols"
    deposits: Deposits = "spliced"
    on_rrp: bool = True
    draws: int = 1000
    name: ClassVar[str] = "log_curve"
    needs: ClassVar[tuple[str, ...]] = (RATIO,)
    sampled: ClassVar[bool] = False
    tells_ampleness: ClassVar[bool] = True

    def __post_init__(self) -> None:
        for option, allowed in (
            ("estimator", get_args(Estimator.__value__)),
            ("deposits", get_args(Deposits.__value__)),
        ):
            if getattr(self, option) not in allowed:
                raise ValueError(f"{option} = {getattr(self, option)!r}; use one of {', '.join(allowed)}")
        if self.estimator == "2sls" and self.spread != "effr_iorb":
            raise ValueError(
                f"estimator = '2sls' with {self.spread}: the Treasury's surprises move repo collateral too and are no "
                "instrument there; use 'ols' or the spread effr_iorb"
            )
        require_at_least(self, draws=1)

    @property
    def targets(self) -> tuple[str, ...]:
        """The spread."""
        return (self.spread,)

    @property
    def features(self) -> tuple[str, ...]:
        """The reserve ratio, the calendar, reserves and what they are compared with, instruments."""
        return (RATIO, *self.effects, *self._quantities)

    @property
    def _quantities(self) -> tuple[str, ...]:
        names = ["reserves_level", "reserves_to_deposits"]
        names += ["money_less_currency"] if self.deposits == "spliced" else []
        names += ["on_rrp_take_up"] if self.on_rrp else []
        return (*names, *((TREASURY, "securities_change") if self.estimator == "2sls" else ()))

    def fit(self, design: Design, *, rng: np.random.Generator) -> FittedLogCurve:
        """Estimate on complete weeks, and bootstrap.

        Raises
        ------
        UnitError          : the spread is not in bp, a ratio not in percent, or reserves not in USD bn
        ShortHistoryError  : fewer than 100 complete weeks
        ModelError         : the spread never moved, or deposits were last seen more than half a year ago
        RankDeficientError : a regressor is a combination of others; names it
        """
        sample = log_sample(self.name, self.spread, self.effects, frozenset(self._quantities), design)
        weeks, spread, values = estimable(self.name, self.spread, sample.known)
        columns = list(sample.known.known.columns)
        n = len(sample.ahead.known.columns)
        X = np.column_stack([np.ones(len(spread)), log_regressors(values[:, :n])])
        names = ["constant", "log_reserves", *columns[2:n]]
        # Before the facility existed its share is zero throughout: the sample cannot tell it from nothing.
        there = np.any(X != 0, axis=0)
        kept = [name for name, some in zip(names, there, strict=True) if some]
        Z = values[:, n:] if self.estimator == "2sls" else None
        estimate = estimated(spread, X[:, there], Z, [*kept, *columns[n:]])
        instruments = None if Z is None else np.column_stack([Z, np.delete(X[:, there], 1, axis=1)])
        drawn = np.zeros((self.draws, X.shape[1]))
        drawn[:, there] = bootstrapped(X[:, there], spread, self.draws, rng, Z=instruments)
        return FittedLogCurve(self, sample, estimate, drawn, residual_dynamics(estimate.residuals, weeks))


@dataclass(frozen=True, slots=True, eq=False)
class LogEstimate:
    """Point estimate of the log curve.

    names        : (k,) constant, log_reserves, log_deposits, ..., as far as the sample knows them
    coefficients : (k,) bp per unit of each
    covariance   : (k, k) heteroskedasticity and autocorrelation consistent, lags of half a year
    residuals    : (n,) bp
    instrumented : first-stage F and Anderson-Rubin set of b; None for least squares
    """

    names: tuple[str, ...]
    coefficients: Array
    covariance: Array
    residuals: Array
    instrumented: Instrumented | None

    def table(self) -> pd.DataFrame:
        """Coefficients and standard errors by name."""
        errors = np.sqrt(np.diag(self.covariance))
        return pd.DataFrame({"coefficient": self.coefficients, "standard_error": errors}, list(self.names))


@dataclass(frozen=True, slots=True, eq=False)
class FittedLogCurve:
    """Estimated log curve.

    spec         : options
    sample       : regressors by week
    estimate     : point estimate and robust errors
    coefficients : (S, k) bootstrap draws: constant, ln R, ln D, [O / D], calendar effects
    dynamics     : of the residual
    """

    spec: LogCurve
    sample: LogSample
    estimate: LogEstimate
    coefficients: Array
    dynamics: Dynamics

    def predict(
        self, periods: pd.DatetimeIndex, *, scenario: Scenario | None = None, n_draws: int, rng: np.random.Generator
    ) -> PredictiveDistribution:
        """Walk along the curve from the last published spread.

        Raises
        ------
        NeedsScenarioError : the scenario lacks a week, or a calendar effect is not known so far ahead
        ShortHistoryError  : the sample of the ratio is too short for paths of this length
        """
        paths = log_regressors(self.sample.ahead.paths(periods, scenario, n_draws, rng))
        drawn = self.coefficients[in_turn(len(self.coefficients), n_draws, rng)]
        return self.dynamics.walk(self.sample.ahead, line(paths, drawn), periods, rng)

    def reserves_at(self, spread: float) -> Array:
        """(S,) draws of R*, USD bn: reserves at which the curve gives a spread, outside calendar effects.

            R* = exp((s - a - c ln D - d O / D) / b),    D and O as last seen; missing where b is not negative

        Parameters
        ----------
        spread : s, bp
        """
        b = self.coefficients[:, 1]
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
            reserves = np.exp((spread - self._level()) / b)
        return np.where(b < 0, reserves, np.nan)

    def ampleness(self) -> Ampleness:
        """The slope b / x in every week and the ratio b / c at which it is c.

        Raises
        ------
        ModelError : two-stage least squares with instruments too weak to identify b
        """
        self._refuse_unidentified()
        (weeks, ratio), b = self.sample.known.ratios(), self.coefficients[:, 1]
        grid = np.linspace(ratio.min(), ratio.max(), GRID)
        log_reserves = np.log(grid / 100) + self.sample.last("log_assets")
        return Ampleness(
            spread=self.spec.spread,
            draws_are="bootstrap",
            weeks=weeks,
            ratio=ratio,
            slope=b[:, None] / ratio,
            thresholds={c: np.where(b < 0, b / c, 0.0) for c in TOLERANCES},
            prior={},
            sign_free=True,
            notes=self._notes(ratio),
            curve=CurveDraws(grid, self._level()[:, None] + b[:, None] * log_reserves),
        )

    def _level(self) -> Array:
        """(S,) a + c ln D + d O / D as last seen, bp."""
        others = [n for n in self.sample.ahead.known.columns[2:] if n not in self.spec.effects]
        seen = np.array([self.sample.last(name) for name in others])
        return np.asarray(self.coefficients[:, 0] + self.coefficients[:, 2 : 2 + len(seen)] @ seen)

    def _refuse_unidentified(self) -> None:
        found = self.estimate.instrumented
        if found is not None and not found.identified:
            raise ModelError(
                f"{self.spec.name}: b is not identified: the instruments' first-stage F is {found.F:.1f}, below {WEAK:g}. "
                f"Its Anderson-Rubin set is {found.anderson_rubin}. Use estimator = 'ols', which shows an association."
            )

    def _notes(self, ratio: Array) -> tuple[str, ...]:
        notes, ended = [], self.sample.ended
        if ended is not None:
            what = (
                "from there on they grow as M2 less currency did"
                if self.spec.deposits == "spliced"
                else "the sample stops there and they stand still since"
            )
            notes.append(f"deposits end {ended:%Y-%m-%d}; {what}")
        b = float(np.median(self.coefficients[:, 1]))
        outside = [f"x*({c:g})" for c in TOLERANCES if b < 0 and not ratio.min() <= b / c <= ratio.max()]
        if outside:
            notes.append(
                f"{', '.join(outside)} outside the ratios seen, {ratio.min():.1f} to {ratio.max():.1f} percent: "
                "there the logarithm speaks, not the data"
            )
        return tuple(notes)


def estimated(spread: Array, X: Array, Z: Array | None, names: list[str]) -> LogEstimate:
    """Least squares, or two-stage least squares where there are instruments of the second column.

    Parameters
    ----------
    spread : (n,) bp
    X      : (n, k) constant, ln R, others
    Z      : (n, q) instruments
    names  : of [X, Z]
    """
    k = X.shape[1]
    if Z is None:
        fit = least_squares(X, spread, names=names)
        return LogEstimate(tuple(names), fit.coefficients, hac_covariance(fit, BLOCK), fit.residuals, None)
    order = [1, 0, *range(2, k)]  # the endogenous regressor comes first there
    found = two_stage_least_squares(
        spread, X[:, 1], X[:, order[1:]], Z, lags=BLOCK, names=[names[j] for j in (*order, *range(k, len(names)))]
    )
    covariance = found.covariance[np.ix_(order, order)]
    return LogEstimate(tuple(names[:k]), found.coefficients[order], covariance, found.residuals, found)
