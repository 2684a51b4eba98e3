"""The cloud against exact likelihoods, quadrature, long Gibbs runs, and economies whose truth is known."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from forecast.errors import DiagnosticsError
from models.kernels.drifting_regression import Priors, Sample
from models.kernels.log_chi_square import component_table
from models.kernels.particle_filter import Particles, filter_through, gather, move, resampled, take_in
from models.reserve_demand import particle_regression
from models.reserve_demand.particle_regression import (
    Cloud,
    Filtered,
    Settings,
    by_gibbs,
    effective,
    empty,
    learnt_tuning,
    parameter_draws,
    reweighed,
)

type Array = NDArray[np.float64]

K = 3
PRIORS = Priors(np.zeros(K), np.ones(K), np.full(K, 0.05), np.array([-0.5, 1.0, 20.0, 1.5, 0.3]))
SETTINGS = Settings(PRIORS, rounding=1 / 60, particles=400, training=40)


def regressors(T: int, seed: int = 0) -> Array:
    rng = np.random.default_rng([7, seed])
    return np.column_stack([np.ones(T), rng.normal(size=(T, K - 1))])


def from_prior(T: int, seed: int) -> tuple[Array, Array, dict[str, Array]]:
    """Data whose parameters are drawn from the prior, and the truth."""
    rng = np.random.default_rng([8, seed])
    X, (mean, sd, a, b, scale) = regressors(T, seed), PRIORS.volatility
    mu, phi, sigma = mean + sd * rng.normal(), 2 * rng.beta(a, b) - 1, abs(scale * rng.normal())
    drift = PRIORS.drift_sd * rng.normal(size=K)
    path = PRIORS.mean + PRIORS.sd * rng.normal(size=K) + np.cumsum(drift * rng.normal(size=(T, K)), axis=0)
    h = np.empty(T)
    h[0] = mu + sigma / np.sqrt(1 - phi**2) * rng.normal()
    for t in range(1, T):
        h[t] = mu + phi * (h[t - 1] - mu) + sigma * rng.normal()
    noise = np.sqrt(np.exp(h) + SETTINGS.rounding) * rng.normal(size=T)
    truth = {"b": path[-1], "drift": np.abs(drift), "h": h[-1:], "volatility": np.array([mu, phi, sigma])}
    return (X * path).sum(axis=1) + noise, X, truth


def followed(
    y: Array, X: Array, settings: Settings = SETTINGS, seed: int = 1, start: Filtered | None = None
) -> Filtered:
    state = start or empty(X.shape[1])
    for t in range(len(state.y), len(y)):
        state = particle_regression.take_in(state, y[t], X[t], settings, np.random.default_rng([seed, t]))
    return state


def cloud_of(state: Filtered) -> Cloud:
    assert state.cloud is not None
    return state.cloud


def particles(N: int, *, sigma: float, h: float, P: Array | None = None) -> Particles:
    """N copies of one particle."""
    covariance = np.zeros((K, K)) if P is None else P
    return Particles(
        np.zeros((N, K)),
        np.tile([-0.5, 0.9, sigma], (N, 1)),
        np.full(N, h),
        np.tile([0.3, -0.2, 0.1], (N, 1)),
        np.tile(covariance, (N, 1, 1)),
    )


# --------------------------------------------------------------------------- kernels


def test_given_volatility_the_filter_is_the_exact_normal_likelihood() -> None:
    T, drift, rng = 30, np.array([0.1, 0.0, 0.3]), np.random.default_rng(1)
    X, h = regressors(T), 0.7 * rng.standard_normal(T) - 0.5
    y = rng.normal(size=T)
    y[[3, 11]] = np.nan
    priors = Priors(np.array([0.5, -1.0, 0.2]), np.array([1.0, 2.0, 0.5]), PRIORS.drift_sd, PRIORS.volatility)
    mean, covariance = np.empty(K), np.empty((K, K))
    total = filter_through(Sample(y, X, 0.05), priors, drift, h, mean, covariance)

    weeks = np.arange(1, T + 1)
    shared = np.minimum(weeks[:, None], weeks[None])[:, :, None] * drift**2 + priors.sd**2  # of b(s) and b(t)
    known = np.isfinite(y)
    V = (np.einsum("sk,stk,tk->st", X, shared, X) + np.diag(np.exp(h) + 0.05))[np.ix_(known, known)]
    assert total == pytest.approx(stats.multivariate_normal(X[known] @ priors.mean, V).logpdf(y[known]), abs=1e-9)
    gain = (shared[-1] * X)[known].T @ np.linalg.inv(V)
    np.testing.assert_allclose(mean, priors.mean + gain @ (y[known] - X[known] @ priors.mean), atol=1e-10)
    lower = np.tril(np.diag(shared[-1, -1]) - gain @ (shared[-1] * X)[known])
    np.testing.assert_allclose(np.tril(covariance), lower, atol=1e-10)


def test_where_volatility_is_known_weights_are_that_likelihood() -> None:
    """sigma = 0: h goes its way, so that the increments add up to the likelihood of the Kalman filter."""
    T, N, rng = 50, 4000, np.random.default_rng(2)
    X, y = regressors(T), rng.normal(size=T)
    start = particles(N, sigma=0.0, h=1.0, P=np.diag(PRIORS.sd**2))
    cloud = start._replace(mean=np.zeros((N, K)))
    cloud.drift[:] = [0.1, 0.02, 0.0]
    total = 0.0
    for t in range(T):
        increment = take_in(Sample(y[: t + 1], X[: t + 1], 0.05), cloud, rng.normal(size=(N, 4)), rng.random(N))
        # What is left of chance: the weights of proposals, which are one on average.
        total += reweighed(np.full(N, 1 / N), increment)[1]
    h, mean, covariance = 1.5 * 0.9 ** np.arange(1.0, T + 1) - 0.5, np.empty(K), np.empty((K, K))
    exact = filter_through(Sample(y, X, 0.05), PRIORS, cloud.drift[0], h, mean, covariance)
    assert total == pytest.approx(exact, abs=0.2)
    np.testing.assert_allclose(cloud.h, h[-1])
    np.testing.assert_allclose(cloud.mean[0], mean, rtol=1e-10)
    np.testing.assert_allclose(np.tril(cloud.covariance[-1]), np.tril(covariance), rtol=1e-10)


@pytest.mark.parametrize(("y", "rounding"), [(0.4, 0.0), (12.0, 1 / 60), (-60.0, 0.0)])
def test_proposals_integrate_volatility_out_even_far_in_the_tail(y: float, rounding: float) -> None:
    N, sigma, rng = 40_000, 0.6, np.random.default_rng(3)
    x, P = np.array([1.0, 0.5, -1.0]), np.diag([0.2, 0.1, 0.3])
    cloud = particles(N, sigma=sigma, h=-1.0, P=P)
    increment = take_in(Sample(np.array([y]), x[None], rounding), cloud, rng.normal(size=(N, 8)), rng.random(N))
    grid = np.linspace(-12, 12, 20_001)
    h = -0.5 + 0.9 * -0.5 + sigma * grid
    F = x @ P @ x + np.exp(h) + rounding
    posterior = stats.norm.pdf(grid) * stats.norm(x @ [0.3, -0.2, 0.1], np.sqrt(F)).pdf(y)
    exact = np.trapezoid(posterior, grid)
    weight, density = reweighed(np.full(N, 1 / N), increment)
    assert density == pytest.approx(np.log(exact), abs=0.15 if y == -60 else 0.03)
    expected = np.trapezoid(posterior * h, grid) / exact
    assert weight @ cloud.h == pytest.approx(expected, abs=0.15 if y == -60 else 0.02)


def test_a_missing_week_moves_everything_on_and_weighs_nothing() -> None:
    N, rng = 20_000, np.random.default_rng(4)
    cloud = particles(N, sigma=0.5, h=2.0)
    cloud.drift[:] = [0.1, 0.2, 0.0]
    increment = take_in(
        Sample(np.array([np.nan]), np.zeros((1, K)), 0.0), cloud, rng.normal(size=(N, 2)), rng.random(N)
    )
    assert not increment.any()
    np.testing.assert_allclose(cloud.covariance[0], np.diag([0.01, 0.04, 0.0]))
    assert cloud.h.mean() == pytest.approx(-0.5 + 0.9 * 2.5, abs=0.02)
    assert cloud.h.std() == pytest.approx(0.5, abs=0.02)


def test_four_thousand_weeks_leave_a_covariance() -> None:
    rng = np.random.default_rng(5)
    T, N = 4000, 3
    X = regressors(T)
    X[:, 2] = X[:, 1] + 1e-7 * rng.normal(size=T)
    y = X[:, 1] + 0.1 * rng.normal(size=T)
    cloud = particles(N, sigma=0.3, h=-4.0, P=np.diag([1e4, 1e4, 1e4]))
    cloud.drift[:] = np.array([1e-9, 1e-3, 1.0])[:, None]
    for t in range(T):
        increment = take_in(Sample(y[: t + 1], X[: t + 1], 0.0), cloud, rng.normal(size=(N, 2)), rng.random(N))
        assert np.isfinite(increment).all()
    lower = np.tril(cloud.covariance)
    both = lower + np.tril(lower, -1).swapaxes(1, 2)
    assert (np.linalg.eigvalsh(both).min(axis=1) > -1e-9 * np.linalg.eigvalsh(both).max(axis=1)).all()


def test_resampling_is_in_proportion_to_one_copy() -> None:
    rng = np.random.default_rng(6)
    for _ in range(50):
        weight = rng.dirichlet(np.full(30, 0.2))
        rows = resampled(weight, rng.random(), 200)
        assert (np.diff(rows) >= 0).all()
        assert (np.abs(np.bincount(rows, minlength=30) - 200 * weight) < 1).all()


def test_paths_are_followed_back_through_ancestors() -> None:
    rng = np.random.default_rng(7)
    past, h = rng.normal(size=(5, 4)), rng.normal(size=(6, 5))
    ancestors = np.array([np.sort(rng.integers(0, 5, 5)) for _ in range(6)], dtype=np.int32)
    paths = [list(row) for row in past]
    for of, now in zip(ancestors, h, strict=True):
        paths = [[*paths[j], value] for j, value in zip(of, now, strict=True)]
    for some in (slice(0, 5), slice(2, 4)):
        found = np.empty((len(range(5)[some]), 10))
        gather(past, ancestors, h, some.start, found)
        np.testing.assert_array_equal(found, np.array(paths)[some])


def test_moving_leaves_the_posterior_where_it_is() -> None:
    y, X, _ = from_prior(60, seed=3)
    settings = replace(SETTINGS, particles=1600)
    start = replace(empty(K), y=y, X=X, log_density=np.full(60, np.nan))
    state = by_gibbs(start, settings, np.random.default_rng(8))
    before = cloud_of(state).particles
    after = Particles(*(each.copy() for each in before))._replace(h=state.past.copy())
    move(
        20,
        after,
        Sample(y, X, settings.rounding),
        PRIORS,
        learnt_tuning(before),
        component_table(),
        np.random.default_rng(9),
    )
    for old, new in zip(_summaries(before), _summaries(after._replace(h=after.h[:, -1])), strict=True):
        assert not np.array_equal(old, new)
        # Draws of one chain depend on each other: four standard errors of a fifth as many independent ones.
        assert abs(old.mean() - new.mean()) < 4 * np.hypot(old.std(), new.std()) / np.sqrt(320)


def _summaries(cloud: Particles) -> list[Array]:
    mu, phi, sigma = cloud.volatility.T
    return [mu, np.arctanh(phi), np.log(sigma), cloud.h, *cloud.mean.T, *np.log(np.abs(cloud.drift)).T]


# --------------------------------------------------------------------------- weights


def test_weights_are_multiplied_by_likelihoods() -> None:
    weight, increment = np.array([0.2, 0.3, 0.5]), np.array([-2.0, -1000.0, -2.5])
    raw = weight * np.exp(increment)
    new, density = reweighed(weight, increment)
    np.testing.assert_allclose(new, raw / raw.sum())
    assert density == pytest.approx(np.log(raw.sum()))
    new, density = reweighed(weight, np.array([-5000.0, -5001.0, -np.inf]))
    assert new[2] == 0
    assert density == pytest.approx(-5000 + np.log(0.2 + 0.3 / np.e))


def test_the_effective_number_is_that_of_equal_weights() -> None:
    assert effective(np.array([0.25, 0.25, 0.25, 0.25, 0.0])) == pytest.approx(4)


def test_a_value_no_particle_can_explain_is_refused_and_says_so() -> None:
    y, X, _ = from_prior(50, seed=1)
    state = followed(y, X)
    with pytest.raises(DiagnosticsError, match="no particle can explain y = 1e\\+200 in week 51"):
        particle_regression.take_in(state, 1e200, X[0], SETTINGS, np.random.default_rng(0))


# --------------------------------------------------------------------------- the filter over weeks


def parts(state: Filtered) -> list[bytes]:
    cloud = cloud_of(state)
    arrays = (state.y, state.X, state.log_density, state.past, cloud.weight, cloud.family, *cloud.particles)
    return [array.tobytes() for array in arrays]


def test_the_same_generators_give_the_same_numbers_on_one_thread_or_many(monkeypatch: pytest.MonkeyPatch) -> None:
    y, X, _ = from_prior(90, seed=2)
    first = followed(y, X)
    assert len(first.moved) > 1
    monkeypatch.setattr(particle_regression, "process_cpu_count", lambda: 1)
    assert parts(followed(y, X)) == parts(first)
    assert parts(followed(y, X, seed=2)) != parts(first)


def test_a_state_is_a_value() -> None:
    """Every earlier state goes on to the same end after later ones have been made from it."""
    y, X, _ = from_prior(100, seed=4)
    states = [followed(y[:n], X[:n]) for n in (45, 60)]
    kept = [parts(state) for state in states]
    whole = followed(y, X)
    for state, before in zip(states, kept, strict=True):
        assert parts(followed(y, X, start=state)) == parts(whole)
        assert parts(state) == before


def test_training_ends_after_as_many_known_weeks() -> None:
    y, X, _ = from_prior(50, seed=5)
    y[[0, 7]] = np.nan
    assert followed(y[:41], X[:41]).cloud is None
    state = followed(y, X)
    assert state.moved[0] == 42
    assert np.isnan(state.log_density[:42]).all()
    assert np.isfinite(state.log_density[42:]).all()


def test_a_hole_widens_what_is_known() -> None:
    y, X, _ = from_prior(60, seed=6)
    state = followed(y, X)
    after = followed(np.append(y, np.full(10, np.nan)), np.vstack([X, X[:10]]), start=state)
    assert np.isnan(after.log_density[60:]).all()
    spread = [np.trace(cloud_of(each).particles.covariance, axis1=1, axis2=2).mean() for each in (state, after)]
    assert spread[1] > spread[0]
    assert len(after.X) == 70


@pytest.mark.parametrize("outlier", [30.0, -300.0])
def test_an_outlier_does_not_kill_the_cloud(outlier: float) -> None:
    y, X, _ = from_prior(120, seed=7)
    y[80] += outlier
    state = followed(y, X)
    cloud = cloud_of(state)
    assert np.isfinite(state.log_density[40:]).all()
    assert effective(cloud.weight) > 50
    assert cloud.families > 50
    start = replace(empty(K), y=y, X=X, log_density=np.full(120, np.nan))
    audit = cloud_of(by_gibbs(start, SETTINGS, np.random.default_rng(10)))
    mean, scale = cloud.weight @ cloud.particles.mean, audit.particles.mean
    within = np.sqrt(np.diagonal(audit.particles.covariance, axis1=1, axis2=2).mean(axis=0) + scale.var(axis=0))
    assert (np.abs(mean - scale.mean(axis=0)) < 0.5 * within).all()


def test_a_series_that_stands_still_for_years_and_moves_again_gives_numbers() -> None:
    y, X, _ = from_prior(140, seed=9)
    X[:, 1:] = 0.0
    y[50:110] = y[49]
    state = followed(y, X)
    assert np.isfinite(state.log_density[40:]).all()
    assert all(np.isfinite(each).all() for each in cloud_of(state).particles)


def test_draws_are_those_of_the_mixture() -> None:
    y, X, _ = from_prior(60, seed=10)
    cloud = cloud_of(followed(y, X))
    b, drift, h, volatility = parameter_draws(cloud, 20_000, np.random.default_rng(11))
    mean = cloud.weight @ cloud.particles.mean
    between = cloud.particles.mean - mean
    lower = np.tril(cloud.particles.covariance)
    both = lower + np.tril(lower, -1).swapaxes(1, 2)
    expected = np.einsum("i,ijk->jk", cloud.weight, both + between[:, :, None] * between[:, None])
    scale = np.sqrt(np.diag(expected))
    np.testing.assert_allclose(b.mean(axis=0), mean, atol=4 * scale.max() / np.sqrt(20_000))
    np.testing.assert_allclose(np.cov(b.T) / np.outer(scale, scale), expected / np.outer(scale, scale), atol=0.05)
    assert h.mean() == pytest.approx(cloud.weight @ cloud.particles.h, abs=0.02)
    assert drift.shape == b.shape
    assert volatility.shape == (20_000, 3)


def audited(y: Array, X: Array, t: int, settings: Settings, **options: Any) -> float:
    """Log predictive density of y(t) after Gibbs sampling of everything before."""
    start = replace(empty(X.shape[1]), y=y[:t], X=X[:t], log_density=np.full(t, np.nan))
    cloud = by_gibbs(start, settings, np.random.default_rng([12, t]), **options)
    return float(particle_regression.take_in(cloud, y[t], X[t], settings, np.random.default_rng(13)).log_density[-1])


def test_predictive_densities_are_those_of_gibbs() -> None:
    y, X, _ = from_prior(130, seed=11)
    settings = replace(SETTINGS, particles=1000)
    state, origins = followed(y, X, settings), np.arange(60, 130, 10)
    apart = [state.log_density[t] - audited(y, X, int(t), settings, burn=200, apart=4) for t in origins]
    assert abs(np.mean(apart)) < 0.04
    assert np.max(np.abs(apart)) < 0.25


@pytest.mark.slow
def test_over_fifty_origins_they_agree_to_a_hundredth() -> None:
    y, X, _ = from_prior(600, seed=12)
    settings = replace(SETTINGS, particles=2000, training=60)
    state, origins = followed(y, X, settings), np.arange(100, 600, 10)
    apart = [state.log_density[t] - audited(y, X, int(t), settings, burn=500, apart=4) for t in origins]
    assert abs(np.mean(apart)) < 0.01


@pytest.mark.slow
def test_the_truth_is_where_the_posterior_says() -> None:
    """Parameters from the prior, data from the parameters: the truth's rank among draws is uniform."""
    economies, T, n = 100, 120, 200
    ranks: list[Array] = []
    for seed in range(economies):
        y, X, truth = from_prior(T, seed=100 + seed)
        b, drift, h, volatility = parameter_draws(cloud_of(followed(y, X, seed=seed)), n, np.random.default_rng(seed))
        drawn = np.column_stack([b, np.abs(drift), h, volatility])
        true = np.concatenate([truth["b"], truth["drift"], truth["h"], truth["volatility"]])
        ranks.append((drawn < true).mean(axis=0))
    positions = np.array(ranks)
    for level in (0.5, 0.9):
        inside = (np.abs(positions - 0.5) <= level / 2).sum(axis=0)
        low, high = stats.binom(economies, level).interval(0.998)
        assert ((inside >= low) & (inside <= high)).all(), inside
    # Kolmogorov's distance at one in a thousand, ten quantities.
    assert all(stats.kstest(column, "uniform").pvalue > 1e-4 for column in positions.T)
