"""The simulation smoother: its filter, density and draws against the dense Gaussian and against statsmodels."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("numba")

from models.kernels.simulation_smoother import (
    deviations,
    draw_states,
    draw_states_again,
    filtered,
    log_density,
    log_density_of,
    paths,
)

type Array = NDArray[np.float64]
T, K = 12, 3


@pytest.fixture
def problem() -> dict[str, Array]:
    """Weeks with unequal variances, one of them missing, and one coefficient that does not drift."""
    rng = np.random.default_rng(1)
    y = rng.standard_normal(T)
    y[4] = np.nan
    return {
        "y": y,
        "X": np.column_stack([np.ones(T), rng.standard_normal((T, K - 1))]),
        "variance": 0.2 + rng.random(T),
        "mean": np.array([0.5, -1.0, 0.3]),
        "sd": np.array([1.0, 2.0, 0.5]),
        "drift": np.array([0.3, -0.6, 0.0]),
    }


def dense(p: dict[str, Array]) -> tuple[Array, Array, Array, Array]:
    """Prior mean and covariance of (b(0), z(1), ..., z(T)), loadings of y on them, and which weeks are seen."""
    n = K + T * K
    mean, variances, loading = np.zeros(n), np.ones(n), np.zeros((T, n))
    mean[:K], variances[:K] = p["mean"], p["sd"] ** 2
    for t in range(T):
        loading[t, :K] = p["X"][t]
        for s in range(t + 1):
            loading[t, K + s * K : K + (s + 1) * K] = p["X"][t] * p["drift"]
    return mean, np.diag(variances), loading, np.isfinite(p["y"])


def posterior(p: dict[str, Array]) -> tuple[Array, Array]:
    mean, prior, L, seen = dense(p)
    covariance = L[seen] @ prior @ L[seen].T + np.diag(p["variance"][seen])
    gain = prior @ L[seen].T @ np.linalg.inv(covariance)
    return mean + gain @ (p["y"][seen] - L[seen] @ mean), prior - gain @ L[seen] @ prior


def draws(p: dict[str, Array], n: int, *, again: bool = False) -> Array:
    """(n, K + T K) draws of b(0) and z."""
    rng, start, z = np.random.default_rng(2), np.empty(K), np.empty((T, K))
    gain, error, precision = np.empty((T, K)), np.empty(T), np.empty(T)
    given = [p[name] for name in ("y", "X", "variance", "mean", "sd", "drift")]
    filtered(deviations(*given[:2], p["mean"]), *given[1:3], *given[4:], gain, error, precision)
    found = np.empty((n, K + T * K))
    for i in range(n):
        if again:
            draw_states_again(*given, gain, precision, rng, start, z)
        else:
            draw_states(*given, rng, start, z)
        found[i] = np.concatenate([start, z.ravel()])
    return found


def test_the_density_is_that_of_the_dense_gaussian(problem: dict[str, Array]) -> None:
    from scipy.stats import multivariate_normal

    mean, prior, L, seen = dense(problem)
    covariance = L[seen] @ prior @ L[seen].T + np.diag(problem["variance"][seen])
    expected = multivariate_normal.logpdf(problem["y"][seen], L[seen] @ mean, covariance)
    assert log_density(*problem.values()) == pytest.approx(expected, rel=1e-12)


def test_a_missing_week_says_nothing(problem: dict[str, Array]) -> None:
    other = problem | {"X": problem["X"].copy()}
    other["X"][4] = 77.0
    assert log_density(*other.values()) == pytest.approx(log_density(*problem.values()), rel=1e-12)


def test_long_products_of_variances_neither_vanish_nor_overflow() -> None:
    n = 4_000
    y, X = np.zeros(n), np.ones((n, 1))
    for variance in (1e-30, 1e30):
        found = log_density(y, X, np.full(n, variance), np.zeros(1), np.array([1e-40]), np.zeros(1))
        assert found == pytest.approx(-0.5 * n * np.log(2 * np.pi * variance), rel=1e-10)


@pytest.mark.parametrize("again", [False, True])
def test_draws_have_the_moments_of_the_dense_posterior(problem: dict[str, Array], again: bool) -> None:
    n = 60_000
    mean, covariance = posterior(problem)
    found = draws(problem, n, again=again)
    sd = np.sqrt(np.diag(covariance))
    assert np.abs((found.mean(axis=0) - mean) / sd).max() * np.sqrt(n) < 4.5
    # Standard error of a correlation is below 1 / sqrt(n); 39 * 39 of them.
    standard = (np.cov(found.T) - covariance) / np.outer(sd, sd)
    assert np.abs(standard).max() * np.sqrt(n) < 7.0


def test_reusing_the_filter_changes_no_draw(problem: dict[str, Array]) -> None:
    np.testing.assert_allclose(draws(problem, 5), draws(problem, 5, again=True), rtol=1e-9, atol=1e-12)


def test_paths_add_up(problem: dict[str, Array]) -> None:
    z = np.arange(6.0).reshape(3, 2)
    b = paths(np.array([1.0, 2.0]), np.array([0.5, -1.0]), z)
    np.testing.assert_allclose(b, [[1.0, 1.0], [2.0, -2.0], [4.0, -7.0]])


def test_likelihood_and_smoothed_states_are_those_of_statsmodels() -> None:
    from statsmodels.tsa.statespace.mlemodel import MLEModel

    rng = np.random.default_rng(3)
    n, k = 150, 2
    X, y = np.column_stack([np.ones(n), rng.standard_normal(n)]), np.cumsum(rng.standard_normal(n))
    y[20:25] = np.nan
    drift, sd, variance = np.array([0.4, 0.1]), np.array([3.0, 2.0]), np.full(n, 0.7)
    peer = MLEModel(y, k_states=k)
    peer["design"] = X.T[None]
    peer["transition"] = peer["selection"] = np.eye(k)
    peer["state_cov"], peer["obs_cov"] = np.diag(drift**2), [[0.7]]
    peer.ssm.initialize_known(np.zeros(k), np.diag(sd**2 + drift**2))
    smoothed = peer.ssm.smooth()
    assert log_density(y, X, variance, np.zeros(k), sd, drift) == pytest.approx(smoothed.llf, rel=1e-10)
    start, z, draw_rng = np.empty(k), np.empty((n, k)), np.random.default_rng(4)
    total, square, m = np.zeros((n, k)), np.zeros((n, k)), 8_000
    for _ in range(m):
        draw_states(y, X, variance, np.zeros(k), sd, drift, draw_rng, start, z)
        b = paths(start, drift, z)
        total += b
        square += b**2
    spread = np.sqrt(np.array([np.diag(smoothed.smoothed_state_cov[:, :, t]) for t in range(n)]))
    assert np.abs((total / m - smoothed.smoothed_state.T) / spread).max() * np.sqrt(m) < 4.5
    np.testing.assert_allclose(np.sqrt(square / m - (total / m) ** 2), spread, rtol=0.05)


def test_thousands_of_weeks_with_tiny_noise_stay_finite() -> None:
    rng = np.random.default_rng(5)
    n, k = 5_000, 6
    X = rng.standard_normal((n, k))
    start, z = np.empty(k), np.empty((n, k))
    arguments = (X[:, 0], X, np.full(n, 1e-10), np.zeros(k), np.full(k, 10.0), np.full(k, 1e-6))
    draw_states(*arguments, rng, start, z)
    assert np.isfinite(z).all()
    assert np.isfinite(log_density(*arguments))
    np.testing.assert_allclose(start, np.eye(k)[0], atol=1e-3)


def test_the_density_of_nothing_is_one() -> None:
    assert log_density_of(np.zeros(3), np.zeros(3)) == 0.0
