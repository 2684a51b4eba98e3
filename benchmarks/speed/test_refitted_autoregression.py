"""Four lags and three regressors with a known future, refitted at 520 expanding origins, 13 weeks ahead.

Ours are draws of the joint path, scored and stored; the peers' are points. Peers whose fit takes tens of milliseconds are timed
at the last 40 origins (statsmodels' ARIMA at 10), where the windows are longest.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import count
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from forecast.backtest.plan import ModelEntry, parse_plan
from forecast.backtest.run import run_backtest
from forecast.calendar import NEW_YORK
from forecast.features.feature_set import Design, FeatureSet
from models.autoregression import ARX

MICROSECOND = 1e-6
ORIGINS, WEEKS, LAGS = 520, 13, 4
REGRESSORS = ("quarter_end_week", "month_end_week", "tax_week")
SERIES = ("treasury_10y",)
PLAN = """
title = "Four lags and regressors"
data = "synthetic"
targets = ["yield_10y"]
benchmark = "arx"
horizons = [1, 4, 13]

[origins]
first = "2015-01-01"
last = "2015-01-01"

[models.arx]
"""
# Peers that estimate the same equation by least squares on the same rows, so that the numbers must agree.
SAME_EQUATION = ("darts", "skforecast", "statsmodels")


def thursdays(design: Design) -> tuple[pd.Timestamp, ...]:
    """The Thursdays after the last 520 weeks whose following 13 weeks are known."""
    weeks = pd.DatetimeIndex(design.targets.index[-ORIGINS - WEEKS : -WEEKS])
    return tuple((weeks + pd.Timedelta(days=1, hours=17)).tz_localize(NEW_YORK))


def without_shocks(fitted: Any, start: NDArray[np.float64], regressors: NDArray[np.float64]) -> NDArray[np.float64]:
    """The path of the estimated equation without residuals, percent."""
    constant, phi, beta = np.split(fitted.coefficients[:, 0], [1, 1 + LAGS])
    path = list(start)
    for x in regressors:
        path.append(float(constant[0] + phi @ path[: -LAGS - 1 : -1] + beta @ x))
    return np.array(path[LAGS:])


@pytest.mark.parametrize("n_draws", [2, 1000])
def test_an_autoregression_with_regressors_at_every_origin(
    benchmark: Any, row: Any, task: Any, peers: Any, n_draws: int
) -> None:
    entry = ModelEntry("arx", "arx", {"lags": LAGS, "features": list(REGRESSORS)})
    plan = replace(
        parse_plan(PLAN, where="the speed of a refit"),
        origins=thursdays(task.design),
        models=(entry,),
        n_draws=n_draws,
    )
    vintages, rounds = task.vintages.only(SERIES), count()
    # A run of its own each time: one that exists would be resumed.
    result = benchmark.pedantic(
        lambda: run_backtest(plan, vintages=vintages, workers=1, run_id=f"refit-{n_draws}-{next(rounds)}"),
        rounds=3,
        warmup_rounds=1,
    )
    assert set(result.cells["status"]) == {"ok"}
    total = benchmark.stats.stats.min / ORIGINS / MICROSECOND
    what = "four lags and regressors, refitted"
    row(
        f"{what}, {n_draws:,} draws" if n_draws > 2 else f"{what}, two draws: nearly a point forecast",
        total,
        "µs an origin",
        peers=peers.per_origin("ar4"),
        note="ours in all: cut, fit, draw, score, store",
    )


def test_the_peers_estimate_the_same_equation(task: Any, peers: Any) -> None:
    """Otherwise their times would say nothing."""
    origin = thursdays(task.design)[-1]
    design = FeatureSet(("yield_10y",), REGRESSORS).build(task.vintages.as_of(origin), ahead=WEEKS)
    fitted = ARX(LAGS, REGRESSORS).fit(design, rng=np.random.default_rng(0))
    values, regressors = design.targets.to_numpy()[-LAGS:, 0], design.features.to_numpy()[-WEEKS:]
    ours = without_shocks(fitted, values, regressors)
    theirs = {peer: path for peer, path in peers.paths("ar4").items() if peer in SAME_EQUATION}
    for peer, path in theirs.items():
        np.testing.assert_allclose(path, ours, rtol=1e-8, err_msg=peer)
