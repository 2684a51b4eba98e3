"""Satiation curves beyond the sample: slow paths go on as they went, shocks fall on all spreads at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

# Modules of one package import each other relatively, in folders too: the architecture test asks for it.
from .dated_steps import STEP_NAMES
from .rounding import DEGREES_OF_FREEDOM
from .satiation_density import SHIFTER_UNIT, SMALLEST_SCALE, VOLATILITY_PERSISTENCE, SatiationDensity
from .satiation_shape import Array, continued_autoregression, continued_walk, curve, weekly

type Draws = Mapping[str, Array]


@dataclass(frozen=True, slots=True, eq=False)
class SlowPaths:
    """What moves slowly, in every week of the sample and after it.

    kink  : (D, J, T + H) percent of bank assets, without shifters
    level : (D, J, T + H) bp over alpha and its dated steps
    scale : (D, J, T + H) of the t distribution, bp
    """

    kink: Array
    level: Array
    scale: Array


def slow_paths(density: SatiationDensity, draws: Draws, T: int, H: int, rng: np.random.Generator) -> SlowPaths:
    """Kink and level go on as random walks, log volatility as an autoregression.

    Parameters
    ----------
    draws : (D, ...) posterior draws by parameter
    T, H  : weeks of the sample and after it
    """
    D, J = draws["beta"].shape
    kink = weekly(draws["kink"], density.spacing, T)
    level = weekly(level_knots(draws.get("walk", np.zeros((D, J, 0)))), density.spacing, T)
    # One market's kink, one walk, unless the spreads bend separately.
    common = (D, J if density.bends == "separate" else 1, H)
    drift = draws.get("drift", np.zeros(D)).reshape(D, -1, 1) * rng.standard_normal(common)
    level_drift = draws.get("level_drift", np.zeros((D, J)))[:, :, None] * rng.standard_normal((D, J, H))
    return SlowPaths(continued_walk(kink, drift), continued_walk(level, level_drift), _scale(density, draws, T, H, rng))


def _scale(density: SatiationDensity, draws: Draws, T: int, H: int, rng: np.random.Generator) -> Array:
    if not density.volatility_knots:
        return np.repeat(draws["sigma"][:, :, None], T + H, axis=2)
    rho, middle, reach = VOLATILITY_PERSISTENCE, draws["volatility"][:, :, None], draws["volatility_sd"][:, :, None]
    path = weekly(draws["log_scale"], density.volatility_spacing, T) - middle
    shocks = reach * np.sqrt(1 - rho**2) * rng.standard_normal((*path.shape[:2], H))
    return np.asarray(SMALLEST_SCALE + np.exp(middle + continued_autoregression(path, rho, shocks)))


def mean_path(density: SatiationDensity, draws: Draws, j: int, paths: Array, slow: SlowPaths) -> Array:
    """mu of one spread along paths of the regressors, one posterior draw a path.

    Parameters
    ----------
    j     : position of the spread
    paths : (D or 1, W, F) reserve ratio in percent, calendar effects, shifters, steps; the last W weeks of ``slow``

    Returns
    -------
    (D, W) bp
    """
    W, C, F = paths.shape[1], len(density.effects), len(density.shifters)
    kink = slow.kink[:, j, -W:]
    if F:
        kink = kink + (paths[:, :, 1 + C : 1 + C + F] @ draws["theta"][:, :, None])[:, :, 0] / SHIFTER_UNIT
    mean = draws["alpha"][:, j, None] + slow.level[:, j, -W:]
    mean = mean + curve(paths[:, :, 0], kink, draws["beta"][:, j, None], width(draws["tau"], j)[:, None])
    if C:
        mean = mean + (paths[:, :, 1 : 1 + C] @ draws["gamma"][:, j, :, None])[:, :, 0]
    if density.steps:
        mean = mean + (paths[:, :, -len(STEP_NAMES) :] @ draws["shift"][:, j, :, None])[:, :, 0]
    return np.asarray(mean)


def joint_shocks(
    density: SatiationDensity, draws: Draws, scale: Array, control: Array, rng: np.random.Generator
) -> Array:
    """Innovations of all spreads: own shocks, surprises of the ratio, and what spills over from the spreads before.

    Parameters
    ----------
    scale   : (D, J, W) bp
    control : (n,) past residuals of the first stage, percentage points; empty without a control function

    Returns
    -------
    (D, J, W) bp
    """
    shocks = scale * rng.standard_t(DEGREES_OF_FREEDOM, scale.shape)
    for n, name in enumerate(density.controlled):
        surprise = rng.choice(control, (scale.shape[0], scale.shape[2]))
        shocks[:, density.spreads.index(name)] += draws["rho"][:, n, None] * surprise
    for number, (j, i) in enumerate(density.loaded):
        shocks[:, j] += draws["loading"][:, number, None] * shocks[:, i]
    return shocks


def level_knots(walk: Array) -> Array:
    """(..., K) the walk of the level at all its knots: it starts at zero."""
    return np.concatenate([np.zeros((*walk.shape[:-1], 1)), walk], axis=-1)


def width(tau: Array, j: int) -> Array:
    """(D,) tau of one spread, from (D,) or (D, J)."""
    return tau if tau.ndim == 1 else tau[:, j]
