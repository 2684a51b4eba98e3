"""The Gibbs samplers of drifting regressions: draws and effective draws a second, beside NUTS on the same model.

    pytest benchmarks/speed/test_samplers.py

Effective draws are of one chain, the smallest over drifts, volatility parameters and states; burn-in is not counted,
neither is compilation. R's stochvol, shrinkTVP and bvarsv are not run: their figures stand here as they were measured
elsewhere (stochvol 3.2.9, shrinkTVP 3.0.1, bvarsv; R 4.2; another machine), so a ratio on them is indicative.
"""

from __future__ import annotations

import time
import timeit
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from forecast.checks.calibration import effective_size
from models.kernels.drifting_regression import (
    Priors,
    Sample,
    State,
    Tuning,
    coefficient_paths,
    initial_state,
    initial_tuning,
    sweep,
    sweeps,
)
from models.kernels.log_chi_square import component_table
from models.kernels.metropolis import adaptation
from models.kernels.stochastic_volatility import sweep_volatility

type Array = NDArray[np.float64]
TABLE = component_table()
STORED = "not run, stored figure of another machine: "


def volatile(T: int, rng: np.random.Generator) -> Array:
    """exp(h / 2) z with phi = 0.97."""
    h, deviation = np.empty(T), 0.0
    for t in range(T):
        deviation = 0.97 * deviation + 0.2 * rng.standard_normal()
        h[t] = -1 + deviation
    return np.exp(h / 2) * rng.standard_normal(T)


def regression(T: int, k: int) -> tuple[Sample, Priors]:
    """Drifts of a few hundredths, as in the stored figures."""
    rng = np.random.default_rng(0)
    X = np.column_stack([np.ones(T), rng.standard_normal((T, k - 1))])
    drift = np.full(k, 0.005)
    drift[: min(4, k)] = np.array([0.016, 0.018, 0.009, 0.004])[: min(4, k)]
    b = 0.5 + np.cumsum(drift * rng.standard_normal((T, k)), axis=0)
    priors = Priors(np.zeros(k), np.full(k, 3.0), np.full(k, 0.1), np.array([0.0, 3.0, 20.0, 1.5, 1.0]))
    return Sample((X * b).sum(axis=1) + volatile(T, rng), X, 0.0), priors


@dataclass(frozen=True, slots=True)
class Speed:
    """Of one chain: draws a second, smallest effective size a second and in all."""

    draws: float
    effective: float
    size: float


def gibbs(sample: Sample, priors: Priors, *, burn_in: int, n: int, moves: tuple[int, int]) -> Speed:
    rng, k = np.random.default_rng(1), len(priors.mean)
    state = initial_state(sample, priors, rng)
    tuning = initial_tuning(state, *moves)
    sweeps(burn_in, state, sample, priors, tuning, TABLE, True, rng)
    places = np.linspace(0, len(sample.y) - 1, 6).astype(int)
    found, seconds = np.empty((n, k + 3 + 7 * k)), n * a_sweep(state, sample, priors, tuning)
    for i in range(n):
        sweep(state, sample, priors, tuning, TABLE, False, rng)
        states = np.vstack([state.start, coefficient_paths(state)[places]])
        found[i] = np.concatenate([np.abs(state.drift), state.volatility, states.ravel()])
    least = min(effective_size(column) for column in found.T)
    return Speed(n / seconds, least / seconds, least)


def a_sweep(state: State, sample: Sample, priors: Priors, tuning: Tuning, n: int = 100) -> float:
    """Seconds, of the fastest of ten blocks of sweeps: chains are run in blocks."""
    rng = np.random.default_rng(2)
    block = partial(sweeps, n, state, sample, priors, tuning, TABLE, False, rng)
    return min(timeit.repeat(block, number=1, repeat=10)) / n


def volatility(T: int, n: int, moves: int) -> Speed:
    rng, e = np.random.default_rng(1), volatile(T, np.random.default_rng(0))
    priors, h = np.array([0.0, 3.0, 20.0, 1.5, 1.0]), np.full(T, np.log(e.var()))
    parameters, tuning = np.array([h[0], 0.9, 0.3]), adaptation(np.array([0.0, 1.5, -1.5]), np.full(3, 0.3))
    found, started = np.empty((n, 3)), 0.0
    for i in range(-1_500, n):
        started = time.perf_counter() if i == 0 else started
        sweep_volatility(e, h, parameters, priors, TABLE, tuning, moves, i < 0, rng)
        if i >= 0:
            found[i] = parameters
    seconds = time.perf_counter() - started
    least = min(map(effective_size, found.T))
    return Speed(n / seconds, least / seconds, least)


def nuts(sample: Sample, priors: Priors, *, tune: int, n: int) -> Speed:
    """The same model in PyMC, drifts and log variances not centred, by nutpie."""
    import nutpie
    import pymc as pm
    import pytensor.tensor as pt

    T, k = sample.X.shape
    m, s, a, b, scale = priors.volatility
    with pm.Model() as model:
        start = pm.Normal("start", priors.mean, priors.sd, shape=k)
        drift = pm.HalfNormal("drift", priors.drift_sd, shape=k)
        z = pm.Normal("z", shape=(T, k))
        mu, unit, sigma = pm.Normal("mu", m, s), pm.Beta("unit", a, b), pm.HalfNormal("sigma", scale)
        phi = pm.Deterministic("phi", 2 * unit - 1)
        u = pm.Normal("u", shape=T)
        # An autoregression as a product with the lower triangle of its powers: no scan to differentiate through.
        lag = np.subtract.outer(np.arange(T), np.arange(T))
        weights = pt.where(lag >= 0, phi ** np.maximum(lag, 0), 0.0)
        shocks = pt.set_subtensor(u[0], u[0] / pt.sqrt(1 - phi**2))
        h = mu + sigma * pt.dot(weights, shocks)
        path = start + drift * pt.cumsum(z, axis=0)
        pm.Deterministic("end", path[-1])
        pm.Normal("y", (sample.X * path).sum(axis=1), pt.exp(h / 2), observed=sample.y)
    program = nutpie.compile_pymc_model(model)
    started = time.perf_counter()
    tree = nutpie.sample(program, draws=n, tune=tune, chains=1, cores=1, target_accept=0.9, seed=1, progress_bar=False)
    seconds = time.perf_counter() - started
    posterior = tree["posterior"].to_dataset().isel(chain=0)
    columns = [posterior["drift"][:, j].to_numpy() for j in range(k)]
    columns += [posterior[name].to_numpy() for name in ("mu", "phi", "sigma")]
    columns += [posterior["end"][:, j].to_numpy() for j in range(k)]
    least = min(map(effective_size, columns))
    return Speed(n / seconds, least / seconds, least)


def test_regression_of_four_drifting_coefficients(benchmark: Any, row: Callable[..., None]) -> None:
    sample, priors = regression(3_900, 4)
    found = gibbs(sample, priors, burn_in=1_500, n=4_000, moves=(1, 2))
    state = initial_state(sample, priors, np.random.default_rng(2))
    tuning, rng = initial_tuning(state, 1, 2), np.random.default_rng(3)
    benchmark.pedantic(sweep, (state, sample, priors, tuning, TABLE, False, rng), rounds=300, warmup_rounds=10)
    peers = {
        "R shrinkTVP": STORED + "34 draws/s, 0.45 effective/s",
        "numpyro NUTS": STORED + "31 draws/s, 2.7 effective/s",
    }
    what = "drifting regression, k = 4, T = 3,900"
    row(what, found.draws, "draws/s", target=">= 1,300", holds=found.draws >= 1_300, peers=peers)
    row(what, found.effective, "effective/s", target=">= 40", holds=found.effective >= 40, peers=peers)


def test_regression_of_four_drifting_coefficients_beside_nuts(benchmark: Any, row: Callable[..., None]) -> None:
    pytest.importorskip("nutpie")
    sample, priors = regression(100, 4)
    found = benchmark.pedantic(
        gibbs, (sample, priors), {"burn_in": 1_500, "n": 20_000, "moves": (1, 2)}, rounds=1, warmup_rounds=0
    )
    peer = nuts(sample, priors, tune=600, n=1_000)
    # Below a hundred effective draws a chain has not converged, and its ratio says only that it has not.
    slow = f"did not converge: {peer.size:.0f} effective draws of 1,000"
    peers = {"the same model by NUTS (nutpie)": peer.effective if peer.size >= 100 else slow}
    holds = found.effective >= 8 * peer.effective
    what = "drifting regression, k = 4, T = 100"
    row(what, found.effective, "effective/s", target=">= 8x NUTS", holds=holds, peers=peers)


def test_volatility_alone(benchmark: Any, row: Callable[..., None]) -> None:
    found = benchmark.pedantic(volatility, (3_900, 8_000, 4), rounds=1, warmup_rounds=0)
    peers = {"R stochvol": STORED + "592 draws/s, 10.3 effective/s"}
    holds = found.effective >= 10 * 10.3
    what, target = "stochastic volatility alone, T = 3,900", ">= 10x R stochvol's 10.3"
    row(what, found.effective, "effective/s", target=target, holds=holds, peers=peers)


@pytest.mark.parametrize(
    ("lags", "T", "least", "stored"),
    [(2, 1_000, 20 * 14.0, "141 draws/s, 14.0 effective/s"), (2, 3_900, 20 * 1.08, "6.3 draws/s, 1.08 effective/s")],
)
def test_bivariate_autoregression(  # noqa: PLR0917  pytest's own
    benchmark: Any, row: Callable[..., None], lags: int, T: int, least: float, stored: str
) -> None:
    """Two equations, k = 1 + 2p and 2 + 2p; effective size of the states, as it was stored for the peer."""
    found = benchmark.pedantic(two_equations, (lags, T, 2_000), rounds=1, warmup_rounds=0)
    what = f"bivariate autoregression, {lags} lags, T = {T:,}: states"
    peers = {"R bvarsv": STORED + stored}
    row(what, found.effective, "effective/s", target=f">= {least:g}", holds=found.effective >= least, peers=peers)


def test_bivariate_autoregression_of_ten_lags(benchmark: Any, row: Callable[..., None]) -> None:
    # Draws a second were promised for sweeps without collapsed moves of the drifts; with two of them drifts mix.
    plain = two_equations(10, 3_900, 300, moves=(0, 2))
    found = benchmark.pedantic(two_equations, (10, 3_900, 300), {"moves": (2, 2)}, rounds=1, warmup_rounds=0)
    what = "bivariate autoregression, 10 lags, T = 3,900"
    row(what, plain.draws, "draws/s", target=">= 230", holds=plain.draws >= 230)
    row(f"{what}, two collapsed moves of drifts a sweep", found.draws, "draws/s")


def two_equations(lags: int, T: int, n: int, moves: tuple[int, int] = (1, 2)) -> Speed:
    """Seconds of both equations; smallest effective size of the states of both."""
    seconds, least = 0.0, np.inf
    for k in (1 + 2 * lags, 2 + 2 * lags):
        sample, priors = regression(T, k)
        rng = np.random.default_rng(1)
        state = initial_state(sample, priors, rng)
        tuning = initial_tuning(state, *moves)
        sweeps(500, state, sample, priors, tuning, TABLE, True, rng)
        seconds += n * a_sweep(state, sample, priors, tuning, 20)
        places, kept = np.linspace(0, T - 1, 6).astype(int), np.empty((n, 6 * k))
        for i in range(n):
            sweep(state, sample, priors, tuning, TABLE, False, rng)
            kept[i] = coefficient_paths(state)[places].ravel()
        least = min(least, *(effective_size(column) for column in kept.T))
    return Speed(n / seconds, least / seconds, least)
