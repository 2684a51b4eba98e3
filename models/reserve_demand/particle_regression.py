"""A regression with drifting coefficients and stochastic volatility that takes in one week after another.

The first weeks are learnt from by Gibbs sampling; from there on a cloud of particles (:mod:`..kernels.particle_filter`)
follows the posterior. Where few distinct parameters are left, all particles are moved by Gibbs sweeps over the whole
history, in threads; each thread's share has a generator of its own, so the numbers do not depend on the machine.

States are values: taking in a week gives a new one and leaves the old as it was. Paths of h are kept as what was drawn each
week and of whom each particle is a copy; they are put together at a move only.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import pairwise
from os import process_cpu_count
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from forecast.errors import DiagnosticsError

if TYPE_CHECKING:
    from ..kernels.drifting_regression import Priors, Sample, Tuning
    from ..kernels.metropolis import Adaptation
    from ..kernels.particle_filter import Particles

type Array = NDArray[np.float64]
type Rows = NDArray[np.int32]

# Of h, each week and particle.
_PROPOSALS = 8
# Independent shares of the work, each with its generator: more than most machines have cores.
_SHARES = 16
# Of the particles: below which effective share they are resampled, and below which share of distinct parameters moved.
_RESAMPLE, _MOVE = 0.5, 0.25
# Where next to nothing is left, copies need longer to part.
_FEW, _LONGER = 0.02, 5


@dataclass(frozen=True, slots=True, eq=False)
class Settings:
    """How a cloud is run.

    priors    : of the regression
    rounding  : variance of the error of published rounding, in the square of y's unit
    particles : how many
    sweeps    : of Gibbs at every move
    training  : weeks that are learnt from by Gibbs alone
    """

    priors: Priors
    rounding: float = 0.0
    particles: int = 2000
    sweeps: int = 2
    training: int = 52


@dataclass(frozen=True, slots=True, eq=False)
class Cloud:
    """Particles after a week.

    weight    : (N,) probabilities
    particles : with h of the week
    family    : (N,) which particle of the last move each comes from
    """

    weight: Array
    particles: Particles
    family: Rows

    @property
    def families(self) -> float:
        """Effective number of distinct parameters."""
        return effective(np.bincount(self.family, self.weight))


@dataclass(frozen=True, slots=True, eq=False)
class Filtered:
    """The filter after some weeks.

    y           : (T,) weeks that follow each other; missing ones are NaN
    X           : (T, k)
    log_density : (T,) of y(t) the week before; NaN in training and where y is missing
    cloud       : None in training
    past        : (N, T0) paths of h up to the last move
    since       : after it, by week: (N,) of whom each is a copy, (N,) h
    moved       : weeks after which all particles were moved
    """

    y: Array
    X: Array
    log_density: Array
    cloud: Cloud | None
    past: Array
    since: tuple[tuple[Rows, Array], ...]
    moved: tuple[int, ...]


def empty(k: int) -> Filtered:
    """Before the first week, with k regressors."""
    nothing = np.empty(0)
    return Filtered(nothing, np.empty((0, k)), nothing, None, np.empty((0, 0)), (), ())


def take_in(state: Filtered, y: float, x: Array, settings: Settings, rng: np.random.Generator) -> Filtered:
    """The state after one more week; a missing y is NaN.

    Raises
    ------
    DiagnosticsError : y is so far from everything before that no particle has a probability left
    """
    row = np.zeros_like(x) if np.isnan(y) else x
    longer = replace(state, y=np.append(state.y, y), X=np.vstack([state.X, row]))
    if state.cloud is not None:
        return _weighed(longer, state.cloud, settings, rng)
    longer = replace(longer, log_density=np.append(state.log_density, np.nan))
    known = int(np.isfinite(longer.y).sum())
    return by_gibbs(longer, settings, rng) if known == settings.training else longer


def _weighed(state: Filtered, cloud: Cloud, settings: Settings, rng: np.random.Generator) -> Filtered:
    """Condition the cloud on the last week; resample and move where that has left too few."""
    from ..kernels import particle_filter

    drift, volatility, *moving = cloud.particles
    now = particle_filter.Particles(drift, volatility, *(each.copy() for each in moving))
    N = len(drift)
    shocks, uniform = rng.standard_normal((N, _PROPOSALS)), rng.random(N)
    increment = particle_filter.take_in(_sample(state, settings), now, shocks, uniform)
    weight, density = reweighed(cloud.weight, increment)
    if not np.isfinite(density):
        raise DiagnosticsError(
            f"no particle can explain y = {state.y[-1]:g} in week {len(state.y)}; is it in the unit of the others?"
        )
    cloud, rows = Cloud(weight, now, cloud.family), np.arange(N, dtype=np.int32)
    few = cloud.families < _MOVE * N
    sweeps = settings.sweeps * (_LONGER if cloud.families < _FEW * N else 1)
    if few or effective(weight) < _RESAMPLE * N:
        rows = particle_filter.resampled(weight, rng.random(), N)
        copies = particle_filter.Particles(*(each[rows] for each in now))
        cloud = Cloud(np.full(N, 1 / N), copies, cloud.family[rows])
    known = np.append(state.log_density, np.nan if np.isnan(state.y[-1]) else density)
    since = (*state.since, (rows, cloud.particles.h))
    followed = replace(state, log_density=known, cloud=cloud, since=since)
    return _moved(followed, cloud.particles, settings, sweeps, rng) if few else followed


def by_gibbs(
    state: Filtered, settings: Settings, rng: np.random.Generator, *, burn: int = 500, apart: int = 20
) -> Filtered:
    """A cloud that owes nothing to filtering: independent chains over the whole history, one a share of the particles.

    Parameters
    ----------
    burn  : sweeps of each chain before its first particle
    apart : sweeps between its particles
    """
    from ..kernels import particle_filter
    from ..kernels.drifting_regression import initial_state, initial_tuning
    from ..kernels.log_chi_square import component_table

    sample, (T, k), N = _sample(state, settings), state.X.shape, settings.particles
    shapes = (N, k), (N, 3), (N, T), (N, k), (N, k, k)
    particles = particle_filter.Particles(*(np.empty(shape) for shape in shapes))

    def chain(share: Particles, own: np.random.Generator, _: int) -> None:
        start = initial_state(sample, settings.priors, own)
        tuning = initial_tuning(start, *_moves(k))
        particle_filter.begin(burn, apart, start, share, sample, settings.priors, tuning, component_table(), own)

    _in_threads(chain, particles, rng)
    return _with_cloud(state, particles)


def _moved(
    state: Filtered, particles: Particles, settings: Settings, sweeps: int, rng: np.random.Generator
) -> Filtered:
    """Every particle after some Gibbs sweeps over the whole history."""
    from ..kernels import particle_filter
    from ..kernels.log_chi_square import component_table

    sample, tuning = _sample(state, settings), learnt_tuning(particles)
    ancestors, h = (np.stack(each) for each in zip(*state.since, strict=True))
    copies = particle_filter.Particles(*(each.copy() for each in particles))
    copies = copies._replace(h=np.empty((len(particles.h), len(state.y))))

    def move(share: Particles, own: np.random.Generator, first: int) -> None:
        particle_filter.gather(state.past, ancestors, h, first, share.h)
        particle_filter.move(sweeps, share, sample, settings.priors, tuning, component_table(), own)

    _in_threads(move, copies, rng)
    return _with_cloud(state, copies)


def _with_cloud(state: Filtered, particles: Particles) -> Filtered:
    """Equally likely particles with paths of h, all of families of their own."""
    N, now = len(particles.drift), particles._replace(h=particles.h[:, -1].copy())
    cloud = Cloud(np.full(N, 1 / N), now, np.arange(N, dtype=np.int32))
    return replace(state, cloud=cloud, past=particles.h, since=(), moved=(*state.moved, len(state.y)))


def _sample(state: Filtered, settings: Settings) -> Sample:
    from ..kernels.drifting_regression import Sample

    return Sample(state.y, state.X, settings.rounding)


def _moves(k: int) -> tuple[int, int]:
    """Collapsed moves of drifts and of volatility in a sweep: drifts need them where they are many."""
    return (0 if k <= 10 else 3), 4


def _in_threads(
    work: Callable[[Particles, np.random.Generator, int], None], particles: Particles, rng: np.random.Generator
) -> None:
    """Do all shares of the particles, each with a generator and its first; kernels let other threads run."""
    from ..kernels.particle_filter import Particles

    bounds = np.linspace(0, len(particles.drift), _SHARES + 1).astype(int)
    shares = [Particles(*(each[slice(*ends)] for each in particles)) for ends in pairwise(bounds)]
    with ThreadPoolExecutor(min(process_cpu_count() or 1, _SHARES)) as pool:
        list(pool.map(work, shares, rng.spawn(_SHARES), bounds[:-1].tolist()))


# --------------------------------------------------------------------------- arrays


def reweighed(weight: Array, increment: Array) -> tuple[Array, float]:
    """Probabilities after log likelihoods, and the log of their mean under the old ones."""
    largest = float(increment.max())
    if not np.isfinite(largest):
        return weight, -np.inf
    raw = weight * np.exp(increment - largest)
    total = float(raw.sum())
    return raw / total, largest + float(np.log(total))


def effective(weight: Array) -> float:
    """1 / sum of squares: how many equally likely particles are worth as much."""
    return float(1 / np.square(weight).sum())


def learnt_tuning(particles: Particles) -> Tuning:
    """Proposals of the Metropolis moves from the spread of the particles themselves."""
    from ..kernels.drifting_regression import Tuning
    from ..kernels.metropolis import adaptation

    def learnt(values: Array) -> Adaptation:
        spread = np.cov(values, rowvar=False) + 1e-6 * np.eye(values.shape[1])
        return adaptation(values.mean(axis=0), np.sqrt(np.diag(spread)))._replace(cov=spread)

    mu, phi, sigma = particles.volatility.T
    drift_moves, volatility_moves = _moves(particles.drift.shape[1])
    volatility = learnt(np.column_stack([mu, np.arctanh(phi), np.log(sigma)]))
    return Tuning(learnt(np.abs(particles.drift)), volatility, drift_moves, volatility_moves)


def parameter_draws(cloud: Cloud, n: int, rng: np.random.Generator) -> tuple[Array, Array, Array, Array]:
    """Joint draws: coefficients (n, k), their drifts (n, k), log variance (n,), its parameters (n, 3)."""
    from ..kernels.particle_filter import resampled

    rows = rng.permutation(resampled(cloud.weight, rng.random(), n))
    drift, volatility, h, mean, covariance = (each[rows] for each in cloud.particles)
    noise = rng.standard_normal((*mean.shape, 1))
    return mean + (np.linalg.cholesky(covariance) @ noise)[:, :, 0], drift, h, volatility
