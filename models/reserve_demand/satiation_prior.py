"""What the satiation curve's priors say before any data: the bend in a given week."""

from __future__ import annotations

import numpy as np

# Modules of one package import each other relatively, in folders too: the architecture test asks for it.
from .satiation_density import (
    BETA_SCALE,
    DRIFT_SCALE,
    OFFSET_SCALE,
    SHIFTER_SCALE,
    SHIFTER_UNIT,
    TAU_MEDIAN,
    TAU_SPREAD,
    SatiationDensity,
)
from .satiation_shape import Array, random_walk_root, weekly


def prior_bend(
    density: SatiationDensity,
    kink_prior: tuple[float, float],
    j: int,
    week: int,
    shifters: Array,
    *,
    n: int,
    rng: np.random.Generator,
) -> tuple[Array, Array, Array]:
    """Draws of kink, beta and tau of one spread under the prior alone.

    Parameters
    ----------
    kink_prior : mean and sd, or bounds, at the start of the sample, percent of bank assets
    j          : position of the spread
    week       : from the start of the sample
    shifters   : (F,) in that week, percent

    Returns
    -------
    (n,) percent of bank assets, (n,) bp per percentage point, (n,) percentage points
    """
    start = rng.normal(*kink_prior, n) if density.kink_prior == "normal" else rng.uniform(*kink_prior, n)
    drift = DRIFT_SCALE * np.abs(rng.standard_normal(n)) * walked(density, week) * rng.standard_normal(n)
    offset = OFFSET_SCALE * rng.standard_normal(n) * (density.bends == "pooled" and j > 0)
    shifted = SHIFTER_SCALE * rng.standard_normal((n, len(shifters))) @ shifters / SHIFTER_UNIT
    beta = BETA_SCALE * np.abs(rng.standard_normal(n))
    tau = TAU_MEDIAN * np.exp(TAU_SPREAD * rng.standard_normal(n))
    return start + drift + offset + shifted, beta, tau


def walked(density: SatiationDensity, week: int) -> float:
    """Standard deviation of a walk of unit variance a week, straight between knots; zero for a constant kink."""
    if not density.kink_knots:
        return 0.0
    root = random_walk_root(density.kink_knots, density.spacing)
    return float(np.sqrt(np.square(weekly(root.T, density.spacing, week + 1)[:, -1]).sum()))
