"""Stochastic volatility: each block against closed forms, recovery, and the joint test."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

pytest.importorskip("numba")

from forecast.checks.calibration import effective_size, joint_distribution_test
from models.kernels.log_chi_square import component_table
from models.kernels.metropolis import adaptation
from models.kernels.stochastic_volatility import (
    draw_log_variance,
    draw_scale,
    filter_pair,
    log_prior,
    sweep_volatility,
)

type Array = NDArray[np.float64]
TABLE = component_table()
PRIORS = np.array([-1.0, 1.0, 20.0, 4.0, 0.5])


def autoregression(T: int, parameters: Array, rng: np.random.Generator) -> Array:
    mu, phi, sigma = parameters
    h = np.empty(T)
    deviation = sigma / np.sqrt(1 - phi**2) * rng.standard_normal()
    for t in range(T):
        h[t] = mu + deviation
        deviation = phi * deviation + sigma * rng.standard_normal()
    return h


# --------------------------------------------------------------------------- blocks


def dense(parameters: Array, T: int) -> Array:
    _, phi, sigma = parameters
    lags = np.abs(np.subtract.outer(np.arange(T), np.arange(T)))
    return np.asarray(sigma**2 / (1 - phi**2) * phi**lags)


@pytest.fixture
def observed() -> tuple[Array, Array, Array]:
    rng = np.random.default_rng(2)
    centred, noise = rng.standard_normal(15) - 1, 0.2 + rng.random(15)
    centred[3] = np.nan
    return centred, noise, np.array([-0.7, 0.8, 0.4])


def test_the_integrated_density_is_the_dense_one(observed: tuple[Array, Array, Array]) -> None:
    centred, noise, parameters = observed
    seen = np.isfinite(centred)

    def exact(p: Array) -> float:
        covariance = dense(p, 15)[np.ix_(seen, seen)] + np.diag(noise[seen])
        return float(stats.multivariate_normal.logpdf(centred[seen], np.full(seen.sum(), p[0]), covariance))

    other = np.array([0.3, -0.4, 1.1])
    one, another = filter_pair(centred, noise, parameters, other, np.empty((2, 15)), np.empty((2, 15)))
    assert one - another == pytest.approx(exact(parameters) - exact(other), rel=1e-11)


def test_of_a_pair_each_is_filtered_as_it_would_be_alone(observed: tuple[Array, Array, Array]) -> None:
    centred, noise, parameters = observed
    other, found = np.array([0.3, -0.4, 1.1]), np.empty((3, 2, 2, 15))
    densities = [
        filter_pair(centred, noise, *pair, found[i, 0], found[i, 1])
        for i, pair in enumerate([(parameters, other), (other, parameters), (parameters, parameters)])
    ]
    assert densities[1] == densities[0][::-1]
    assert densities[2] == (densities[0][0], densities[0][0])
    np.testing.assert_array_equal(found[1], found[0, :, ::-1])
    np.testing.assert_array_equal(found[2], found[0, :, [0, 0]].swapaxes(0, 1))


def test_log_variances_are_drawn_from_the_dense_posterior(observed: tuple[Array, Array, Array]) -> None:
    centred, noise, parameters = observed
    seen, prior = np.isfinite(centred), dense(parameters, 15)
    gain = prior[:, seen] @ np.linalg.inv(prior[np.ix_(seen, seen)] + np.diag(noise[seen]))
    mean = parameters[0] + gain @ (centred[seen] - parameters[0])
    covariance = prior - gain @ prior[seen]
    rng, h, n = np.random.default_rng(3), np.empty(15), 40_000
    found, means, variances = np.empty((n, 15)), np.empty((2, 15)), np.empty((2, 15))
    filter_pair(centred, noise, parameters, parameters, means, variances)
    for i in range(n):
        draw_log_variance(means[1], variances[1], parameters, rng, h)
        found[i] = h
    sd = np.sqrt(np.diag(covariance))
    assert np.abs((found.mean(axis=0) - mean) / sd).max() * np.sqrt(n) < 4.0
    assert (np.abs(np.cov(found.T) - covariance) / np.outer(sd, sd)).max() * np.sqrt(n) < 6.0


def test_the_prior_is_that_documented_with_its_jacobian() -> None:
    def exact(mu: float, phi: float, sigma: float) -> float:
        density = stats.norm.logpdf(mu, PRIORS[0], PRIORS[1]) + stats.beta.logpdf((phi + 1) / 2, PRIORS[2], PRIORS[3])
        jacobian = np.log(1 - phi**2) + np.log(sigma)
        return float(density + stats.halfnorm.logpdf(sigma, scale=PRIORS[4]) + jacobian)

    one, other = (-0.3, 0.9, 0.2), (1.2, 0.1, 0.9)
    found = log_prior(np.array(one), PRIORS) - log_prior(np.array(other), PRIORS)
    assert found == pytest.approx(exact(*one) - exact(*other), rel=1e-12)


def test_scales_are_drawn_from_the_generalised_inverse_gaussian() -> None:
    n, squares, scale = 6, 2.0, 0.4
    rng, value, found = np.random.default_rng(4), 0.3, []
    for _ in range(60_000):
        value = draw_scale(squares, n, scale, value, rng)
        found.append(value)
    # v ~ v^(p-1) exp(-(a v + b / v) / 2) with p = (1 - n) / 2, a = 1 / scale^2, b = squares
    a = 1 / scale**2
    exact = stats.geninvgauss((1 - n) / 2, np.sqrt(a * squares), scale=np.sqrt(squares / a))
    draws = np.array(found)[:: max(1, int(len(found) / effective_size(np.log(found))))]
    assert stats.kstest(draws, exact.cdf).pvalue > 1e-3


# --------------------------------------------------------------------------- the sweep


def chain(e: Array, n: int, *, burn_in: int = 1_000, moves: int = 2, seed: int = 0) -> Array:
    """(n, 3) draws of mu, phi, sigma."""
    rng, T = np.random.default_rng(seed), len(e)
    priors = np.array([0.0, 3.0, 20.0, 1.5, 1.0])
    h, parameters = np.full(T, np.log(np.nanvar(e))), np.array([np.log(np.nanvar(e)), 0.8, 0.4])
    tuning, found = adaptation(np.array([0.0, 1.5, -1.5]), np.full(3, 0.3)), np.empty((n, 3))
    for i in range(-burn_in, n):
        sweep_volatility(e, h, parameters, priors, TABLE, tuning, moves, i < 0, rng)
        if i >= 0:
            found[i] = parameters
    return found


def test_parameters_are_recovered() -> None:
    rng, truth = np.random.default_rng(6), np.array([-1.0, 0.95, 0.25])
    e = np.exp(autoregression(3_000, truth, rng) / 2) * rng.standard_normal(3_000)
    e[100:110] = np.nan
    draws = chain(e, 3_000)
    assert (np.abs(draws.mean(axis=0) - truth) < 3.5 * draws.std(axis=0)).all()
    assert (draws.std(axis=0) < [0.3, 0.03, 0.06]).all()


def test_collapsed_moves_and_interweaving_sample_the_same_posterior() -> None:
    rng = np.random.default_rng(7)
    e = np.exp(autoregression(400, np.array([-1.0, 0.9, 0.4]), rng) / 2) * rng.standard_normal(400)
    with_moves, without = chain(e, 8_000, moves=3), chain(e, 16_000, moves=0, seed=1)
    for one, other in zip(np.log(np.abs(with_moves)).T, np.log(np.abs(without)).T, strict=True):
        error = np.sqrt(one.var() / effective_size(one) + other.var() / effective_size(other))
        assert abs(one.mean() - other.mean()) < 4 * error
    better = [effective_size(draws[:, 2]) / len(draws) for draws in (with_moves, without)]
    assert better[0] > 1.5 * better[1]


def test_the_same_generator_gives_the_same_draws() -> None:
    e = np.random.default_rng(8).standard_normal(60)
    np.testing.assert_array_equal(chain(e, 20, burn_in=20), chain(e, 20, burn_in=20))
    assert not np.array_equal(chain(e, 20, burn_in=20), chain(e, 20, burn_in=20, seed=1))


def joint_statistics(parameters: Array, h: Array, e: Array) -> list[float]:
    squares = np.log(e**2 + 1e-10)
    return [
        parameters[0],
        np.arctanh(parameters[1]),
        np.log(parameters[2]),
        h[0],
        h[-1],
        float(squares.mean()),
        float((squares[1:] * squares[:-1]).mean()) / 10,
    ]


def joint_test(n: int, *, moves: int, bug: str = "") -> Any:
    """Prior and model against sweeps with new data each time."""
    T, rng = 8, np.random.default_rng(9)

    def prior() -> Array:
        return np.array(
            [
                PRIORS[0] + PRIORS[1] * rng.standard_normal(),
                2 * rng.beta(PRIORS[2], PRIORS[3]) - 1,
                abs(PRIORS[4] * rng.standard_normal()),
            ]
        )

    marginal = np.empty((n, 7))
    for i in range(n):
        parameters = prior()
        h = autoregression(T, parameters, rng)
        marginal[i] = joint_statistics(parameters, h, np.exp(h / 2) * rng.standard_normal(T))
    successive, tuning = np.empty((n, 7)), adaptation(np.array([-1.0, 0.8, -1.2]), np.array([0.8, 0.3, 0.7]))
    priors = PRIORS * np.array([1, 1, 1, 1, 1.25 if bug == "prior" else 1])
    for i in range(n):
        e = np.exp(h / 2) * rng.standard_normal(T)
        if bug == "scale":
            e = 1.1 * e
        sweep_volatility(e, h, parameters, priors, TABLE, tuning, moves, False, rng)
        successive[i] = joint_statistics(parameters, h, e)
    return joint_distribution_test({"g": marginal}, {"g": successive})


@pytest.mark.slow
@pytest.mark.parametrize("moves", [0, 2])
def test_the_sweep_passes_the_joint_distribution_test(moves: int) -> None:
    found = joint_test(100_000, moves=moves)
    assert found.failing == (), str(found)


@pytest.mark.slow
@pytest.mark.parametrize("bug", ["prior", "scale"])
def test_the_joint_distribution_test_notices_bugs(bug: str) -> None:
    assert joint_test(100_000, moves=2, bug=bug).failing
