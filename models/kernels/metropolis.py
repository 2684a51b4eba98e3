"""Random-walk Metropolis steps whose proposal is learnt during burn-in, a normal with the covariance of past draws.

References
----------
Haario, Saksman and Tamminen (2001), "An adaptive Metropolis algorithm", Bernoulli 7. Roberts and Rosenthal (2009),
"Examples of adaptive MCMC", Journal of Computational and Graphical Statistics 18, for the step's scale.
"""

from __future__ import annotations

from math import exp, log, sqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .compiling import kernel

type Array = NDArray[np.float64]

# Share of proposals accepted that the scale of the steps is driven to.
ACCEPTANCE = 0.3


class Adaptation(NamedTuple):
    """Proposal of a random-walk Metropolis step, learnt during burn-in and then frozen; changed in place.

    mean  : (d,) of past draws
    cov   : (d, d) of past draws
    scale : (2,) log of the step's scale, and how many draws were learnt from
    """

    mean: Array
    cov: Array
    scale: Array


def adaptation(mean: Array, sd: Array) -> Adaptation:
    """A proposal to start from: independent steps of about ``sd``."""
    return Adaptation(mean.astype(float), np.diag(np.square(sd)), np.array([log(2.38 / sqrt(len(sd))), 1.0]))


@kernel
def adapt(tuning: Adaptation, draw: Array, acceptance: float) -> None:
    """Learn from one draw; the weight of news falls with their number, so that the proposal settles."""
    tuning.scale[1] += 1.0
    weight = 1.0 / (10.0 + 0.5 * tuning.scale[1])
    d = len(draw)
    for i in range(d):
        for j in range(d):
            news = (draw[i] - tuning.mean[i]) * (draw[j] - tuning.mean[j])
            tuning.cov[i, j] += weight * (news - tuning.cov[i, j])
    for i in range(d):
        tuning.mean[i] += weight * (draw[i] - tuning.mean[i])
    tuning.scale[0] += 3.0 * weight * (acceptance - ACCEPTANCE)


@kernel
def propose(now: Array, tuning: Adaptation, rng: np.random.Generator) -> Array:
    """A normal step with the learnt covariance."""
    d = len(now)
    root = np.zeros((d, d))
    for i in range(d):
        for j in range(i + 1):
            total = tuning.cov[i, j]
            for m in range(j):
                total -= root[i, m] * root[j, m]
            if i == j:
                root[i, i] = sqrt(max(total, 1e-12 * tuning.cov[i, i]))
            else:
                root[i, j] = total / root[j, j]
    proposal = now.copy()
    size = exp(tuning.scale[0])
    for j in range(d):
        shock = size * rng.standard_normal()
        for i in range(j, d):
            proposal[i] += root[i, j] * shock
    return proposal
