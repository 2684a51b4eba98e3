"""The demand curve of a simulated economy, to hold beside what models say about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.answers.ampleness import TOLERANCES
from forecast.data.synthetic import Truth
from forecast.data.synthetic.money_market import REPO_PREMIUM, curve
from forecast.errors import UsageError

type Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class TrueCurve:
    """What a simulated economy knows and no model may read.

    slope      : (T,) bp per percentage point of bank assets, by reserve week up to the last one known
    thresholds : tolerance c -> x*(c) in percent of bank assets; zero where the curve is nowhere so steep
    ratio      : (G,) percent of bank assets
    spread     : (G,) m(x) in bp, as the curve stands in the last week
    """

    slope: pd.Series
    thresholds: Mapping[float, float]
    ratio: Array
    spread: Array


def true_curve(truth: Truth, spread: str, week: pd.Timestamp, ratio: Array) -> TrueCurve:
    """The curve of a spread as it stands in a week; repo spreads follow a multiple of the federal funds curve.

        m(x) = alpha + scale * beta * tau * softplus((k - x) / tau),  x*(c) = k - tau * ln(-c / (scale * beta + c))

    Parameters
    ----------
    spread : "effr_iorb", "sofr_iorb" or "tgcr_iorb"
    ratio  : (G,) percent of bank assets, where the curve is wanted

    Raises
    ------
    UsageError : another spread
    """
    name = spread.removesuffix("_iorb")
    if name != "effr" and name not in REPO_PREMIUM:
        raise UsageError(f"the simulated economy has no demand curve of {spread!r}; ask for effr_iorb or sofr_iorb.")
    scale = 1.0 if name == "effr" else truth.economy.repo_slope
    beta, kink = scale * truth.beta, float(truth.weekly["kink"].loc[week])
    level = float(truth.weekly["alpha"].loc[week]) + REPO_PREMIUM.get(name, 0.0)
    return TrueCurve(
        slope=scale * truth.weekly["slope"].loc[:week],
        thresholds={c: true_threshold(c, kink, beta, truth.tau) for c in TOLERANCES},
        ratio=ratio,
        spread=level + curve(ratio, np.asarray(kink), beta, truth.tau),
    )


def true_threshold(c: float, kink: float, beta: float, tau: float) -> float:
    """x*(c) of a softplus curve, percent of bank assets; zero where its slope is nowhere as steep as c."""
    return kink - tau * float(np.log(-c / (beta + c))) if beta > -c else 0.0
