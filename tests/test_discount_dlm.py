"""The grid of forgetting regressions against the textbook recursion, conjugate Bayes, and 4,000 weeks of short memory."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats
from scipy.special import logsumexp

from models.kernels.discount_dlm import averaged, discount_grid

type Array = NDArray[np.float64]


def sample(T: int = 120, k: int = 3, seed: int = 0) -> tuple[Array, Array]:
    rng = np.random.default_rng(seed)
    X = np.column_stack([np.ones(T), rng.normal(size=(T, k - 1))])
    b = np.cumsum(rng.normal(0, 0.05, (T, k)), axis=0)
    return (X * b).sum(axis=1) + rng.normal(0, 0.7, T), X


def textbook(y: Array, X: Array, memories: tuple[float, float], sd: Array, S: float) -> tuple[Array, Array]:
    """West and Harrison's recursion in the units of y, one model, without a bound."""
    delta, kappa = memories
    n, m, C, out = 1.0, np.zeros(len(sd)), S * np.diag(sd**2), []
    for value, x in zip(y, X, strict=True):
        R = C / delta
        Q = x @ R @ x + S
        out.append(stats.t(kappa * n, x @ m, np.sqrt(Q)).logpdf(value))
        error, A = value - x @ m, R @ x / Q
        new = S * (kappa * n + error**2 / Q) / (kappa * n + 1)
        n, m, C, S = kappa * n + 1, m + A * error, new / S * (R - np.outer(A, A) * Q), new
    return np.array(out), m


@pytest.mark.parametrize(("delta", "kappa"), [(1.0, 1.0), (0.97, 1.0), (0.99, 0.9), (0.95, 0.95)])
def test_each_model_is_the_textbooks(delta: float, kappa: float) -> None:
    y, X = sample()
    sd = np.full(3, 50.0)
    grid = discount_grid(y, X, np.array([0.9, delta]), np.array([0.8, kappa]), sd=sd, variance=2.0)
    density, mean = textbook(y, X, (delta, kappa), sd, 2.0)
    np.testing.assert_allclose(grid.log_density[1, 1, 5:], density[5:], atol=2e-3 if delta < 1 else 1e-10)
    np.testing.assert_allclose(grid.mean[1, -1], mean, atol=1e-4 if delta < 1 else 1e-10)


def test_without_forgetting_it_is_conjugate_regression() -> None:
    y, X = sample(60)
    sd, prior = np.array([2.0, 1.0, 3.0]), 0.8
    grid = discount_grid(y, X, np.ones(1), np.ones(1), sd=sd, variance=prior)
    marginal = stats.multivariate_t(np.zeros(60), prior * (np.eye(60) + X @ np.diag(sd**2) @ X.T), df=1)
    assert grid.log_density.sum() == pytest.approx(marginal.logpdf(y), abs=1e-8)
    posterior = np.linalg.inv(np.diag(1 / sd**2) + X.T @ X)
    np.testing.assert_allclose(grid.covariance[0, -1], posterior, rtol=1e-9)
    np.testing.assert_allclose(grid.mean[0, -1], posterior @ X.T @ y, rtol=1e-9)


@pytest.mark.parametrize("delta", [0.2, 0.5, 0.8, 0.95])
def test_four_thousand_weeks_of_short_memory_give_numbers(delta: float) -> None:
    """One regressor is seen once, one is nearly another, and the series stands still for two thousand weeks."""
    rng = np.random.default_rng(3)
    T = 4000
    X = np.column_stack([np.ones(T), rng.normal(size=T), np.zeros(T), np.zeros(T)])
    X[:, 2] = X[:, 1] + 1e-9 * rng.normal(size=T)
    X[7, 3] = 1.0
    y = X[:, 1] + rng.normal(size=T)
    y[1000:3000] = -7.0
    grid = discount_grid(y, X, np.array([delta]), np.array([0.5, 0.9]), sd=np.full(4, 10.0), variance=1.0, least=1 / 60)
    assert all(np.isfinite(part).all() for part in (grid.log_density, grid.mean, grid.covariance, grid.variance))
    np.testing.assert_array_equal(grid.covariance, grid.covariance.swapaxes(-1, -2))
    assert np.linalg.eigvalsh(grid.covariance[0]).min() > -1e-9
    assert grid.variance.min() >= 1 / 60


def test_nothing_is_known_less_than_before_the_first_week() -> None:
    y, X = sample(500)
    X[:, 2] = 0.0
    grid = discount_grid(y, X, np.array([0.9]), np.ones(1), sd=np.array([1.0, 2.0, 3.0]), variance=1.0)
    variances = np.diagonal(grid.covariance[0], axis1=1, axis2=2)
    assert (variances <= np.array([1.0, 4.0, 9.0]) * (1 + 1e-12)).all()
    np.testing.assert_allclose(variances[:, 2], 9.0)


def test_a_missing_week_is_passed_over() -> None:
    y, X = sample(40)
    y[20] = np.nan
    grid = discount_grid(y, X, np.array([0.95]), np.array([0.9]), sd=np.ones(3), variance=1.0)
    assert np.isnan(grid.log_density[0, 0]).nonzero()[0].tolist() == [20]
    assert np.isfinite(grid.mean).all()
    np.testing.assert_array_equal(grid.mean[0, 20], grid.mean[0, 19])
    assert (np.diagonal(grid.covariance[0, 20]) > np.diagonal(grid.covariance[0, 19])).all()
    assert np.isnan(averaged(grid.log_density[0])).nonzero()[0].tolist() == [20]


def test_the_future_does_not_change_a_density() -> None:
    y, X = sample(80)
    whole, part = (
        discount_grid(y[:T], X[:T], np.array([0.95]), np.array([0.9]), sd=np.ones(3), variance=1.0) for T in (80, 50)
    )
    np.testing.assert_array_equal(whole.log_density[..., :50], part.log_density)


@pytest.mark.parametrize("forgetting", [1.0, 0.9])
def test_an_average_weighs_models_by_what_they_said_before(forgetting: float) -> None:
    density = np.random.default_rng(4).normal(-1, 1, (4, 30))
    weights = np.zeros(4)
    expected = []
    for column in density.T:
        weights = forgetting * (weights - logsumexp(weights))
        expected.append(logsumexp(weights + column) - logsumexp(weights))
        weights = weights + column
    np.testing.assert_allclose(averaged(density, forgetting), expected, rtol=1e-12)


def test_without_forgetting_the_average_is_the_mixture_of_whole_histories() -> None:
    density = np.random.default_rng(5).normal(-1, 1, (4, 30))
    assert averaged(density, 1.0).sum() == pytest.approx(logsumexp(density.sum(axis=1)) - np.log(4))
