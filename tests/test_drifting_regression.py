"""The Gibbs sweep of the drifting regression: right by two independent checks, and wrong where it is made wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

pytest.importorskip("numba")

from forecast.checks.calibration import (
    Calibration,
    JointTest,
    effective_size,
    joint_distribution_test,
    simulation_based_calibration,
)
from models.kernels.drift_moves import draw_normal, draw_start_and_drift, rescale_drifts, residuals
from models.kernels.drifting_regression import (
    Priors,
    Sample,
    State,
    coefficient_paths,
    initial_state,
    initial_tuning,
    sweep,
    sweeps,
)
from models.kernels.log_chi_square import component_table
from models.kernels.rounding_moves import draw_disturbances, move_level_and_scale, move_stretches
from models.kernels.simulation_smoother import log_density

type Array = NDArray[np.float64]
TABLE = component_table()
K = 2
PRIORS = Priors(
    np.array([0.5, -0.5]), np.array([1.0, 0.7]), np.array([0.3, 0.2]), np.array([-1.0, 0.8, 20.0, 4.0, 0.5])
)
ROUNDING = 0.2


def prior_draw(T: int, rng: np.random.Generator) -> State:
    """Everything from its prior."""
    mean, sd, a, b, scale = PRIORS.volatility
    mu, phi, sigma = mean + sd * rng.standard_normal(), 2 * rng.beta(a, b) - 1, abs(scale * rng.standard_normal())
    h, deviation = np.empty(T), sigma / np.sqrt(1 - phi**2) * rng.standard_normal()
    for t in range(T):
        h[t] = mu + deviation
        deviation = phi * deviation + sigma * rng.standard_normal()
    start = PRIORS.mean + PRIORS.sd * rng.standard_normal(K)
    drift = PRIORS.drift_sd * rng.standard_normal(K)
    return State(start, drift, rng.standard_normal((T, K)), h, np.array([mu, phi, sigma]))


def regressors(T: int) -> Array:
    return np.column_stack([np.ones(T), np.random.default_rng(0).standard_normal(T)])


def data(state: State, X: Array, rng: np.random.Generator, rounding: float = ROUNDING) -> Array:
    """y, with one week missing."""
    variance = np.exp(state.h) + rounding
    y = (X * coefficient_paths(state)).sum(axis=1) + np.sqrt(variance) * rng.standard_normal(len(X))
    y[2] = np.nan
    return np.asarray(y)


# --------------------------------------------------------------------------- Geweke


def statistics(state: State, y: Array) -> list[float]:
    mu, phi, sigma = state.volatility
    end = state.start + state.drift * state.innovations.sum(axis=0)
    size = np.abs(state.drift)
    return [*state.start, *size, end[0], mu, np.arctanh(phi), np.log(sigma), state.h[-1], y[-1] / 3, y[0] / 3]


def joint_test(n: int, *, moves: tuple[int, int], rounding: float = ROUNDING, priors: Priors = PRIORS) -> JointTest:
    T, rng = 6, np.random.default_rng(1)
    X = regressors(T)
    marginal, successive = np.empty((n, 11)), np.empty((n, 11))
    for i in range(n):
        state = prior_draw(T, rng)
        marginal[i] = statistics(state, data(state, X, rng, rounding))
    tuning = initial_tuning(state, *moves)
    tuning.drift.cov[:] = np.diag(PRIORS.drift_sd**2)
    for i in range(n):
        y = data(state, X, rng, rounding)
        sweep(state, Sample(y, X, rounding), priors, tuning, TABLE, False, rng)
        successive[i] = statistics(state, y)
    return joint_distribution_test({"g": marginal}, {"g": successive})


@pytest.mark.slow
@pytest.mark.parametrize("moves", [(0, 0), (1, 2), (3, 1)])
def test_the_sweep_passes_the_joint_distribution_test(moves: tuple[int, int]) -> None:
    found = joint_test(100_000, moves=moves)
    assert len(found.table) >= 20
    assert found.failing == (), str(found)


@pytest.mark.slow
def test_the_sweep_without_rounding_passes_it_too() -> None:
    found = joint_test(100_000, moves=(1, 1), rounding=0.0)
    assert found.failing == (), str(found)


@pytest.mark.slow
@pytest.mark.parametrize(
    "wrong",
    [
        PRIORS._replace(sd=1.1 * PRIORS.sd),
        PRIORS._replace(drift_sd=1.1 * PRIORS.drift_sd),
        PRIORS._replace(mean=PRIORS.mean[::-1].copy()),
    ],
    ids=["sd", "drift sd", "order"],
)
def test_the_joint_distribution_test_notices_other_priors(wrong: Priors) -> None:
    assert joint_test(100_000, moves=(1, 1), priors=wrong).failing


# --------------------------------------------------------------------------- simulation-based calibration

WEEKS = 40


def simulate(rng: np.random.Generator) -> tuple[dict[str, Array], Array]:
    state = prior_draw(WEEKS, rng)
    return told(state), data(state, regressors(WEEKS), rng)


def told(state: State) -> dict[str, Array]:
    return {
        "start": state.start.copy(),
        "drift": np.abs(state.drift),
        "end": coefficient_paths(state)[-1],
        "volatility": state.volatility.copy(),
        "h": state.h[::8].copy(),
        "whole h": state.h.copy(),
    }


def posterior(
    y: Array, rng: np.random.Generator, *, priors: Priors = PRIORS, X: Array | None = None, n: int = 99, every: int = 15
) -> dict[str, Array]:
    sample = Sample(y, regressors(WEEKS) if X is None else X, ROUNDING)
    state = initial_state(sample, priors, rng)
    tuning = initial_tuning(state, 1, 2)
    sweeps(400, state, sample, priors, tuning, TABLE, True, rng)
    draws = []
    for _ in range(n):
        sweeps(every, state, sample, priors, tuning, TABLE, False, rng)
        draws.append(told(state))
    return {name: np.array([draw[name] for draw in draws]) for name in draws[0]}


def reweighted(weight: Callable[[dict[str, Array]], Array]) -> Callable[..., dict[str, Array]]:
    """The posterior under another prior density, by resampling."""

    def wrong(y: Array, rng: np.random.Generator) -> dict[str, Array]:
        draws = posterior(y, rng, n=600, every=4)
        w = weight(draws)
        chosen = rng.choice(len(w), 99, p=w / w.sum())
        return {name: values[chosen] for name, values in draws.items()}

    return wrong


def ignoring(y: Array, rng: np.random.Generator) -> dict[str, Array]:
    draws = [told(prior_draw(WEEKS, rng)) for _ in range(99)]
    return {name: np.array([draw[name] for draw in draws]) for name in draws[0]}


def as_log_sd(y: Array, rng: np.random.Generator) -> dict[str, Array]:
    draws = posterior(y, rng)
    halves = draws["volatility"] * np.array([0.5, 1.0, 0.5])
    return draws | {"volatility": halves, "h": draws["h"] / 2, "whole h": draws["whole h"] / 2}


WIDER = Priors(
    PRIORS.mean, 1.25 * PRIORS.sd, 1.25 * PRIORS.drift_sd, PRIORS.volatility * np.array([1, 1.25, 1, 1, 1.25])
)
BUGS: dict[str, Callable[..., dict[str, Array]]] = {
    "prior sd x 1.25": lambda y, rng: posterior(y, rng, priors=WIDER),
    "missing Jacobian": reweighted(lambda d: 1 / (d["volatility"][:, 2] * d["drift"].prod(axis=1))),
    "variance for sd": as_log_sd,
    "lag off by one": lambda y, rng: posterior(y, rng, X=np.roll(regressors(WEEKS), 1, axis=0)),
    "transposed": lambda y, rng: posterior(y, rng, X=regressors(WEEKS)[:, ::-1].copy()),
    "wrong degrees of freedom": reweighted(lambda d: d["volatility"][:, 2] ** 3),
    "data ignored": ignoring,
}


def log_likelihood(parameters: Mapping[str, Array], y: Array) -> float:
    variance = np.exp(parameters["whole h"]) + ROUNDING
    return log_density(y, regressors(WEEKS), variance, PRIORS.mean, PRIORS.sd, parameters["drift"])


def log_prior(parameters: Mapping[str, Array], y: Array) -> float:
    z = (parameters["start"] - PRIORS.mean) / PRIORS.sd
    return float((z**2).sum() + ((parameters["drift"] / PRIORS.drift_sd) ** 2).sum())


def calibrated(sampler: Callable[..., dict[str, Array]], n: int = 200) -> Calibration:
    return simulation_based_calibration(
        simulate,
        sampler,
        log_likelihood=log_likelihood,
        events={
            "size of coefficients": log_prior,
            "size of scales": lambda p, y: float(np.log(p["drift"]).sum() + np.log(p["volatility"][2])),
            "ends beyond 1": lambda p, y: float(p["end"][0] > 1),
        },
        seed=3,
        n_simulations=n,
        threads=2,
    )


@pytest.mark.slow
def test_the_sampler_is_calibrated() -> None:
    found = calibrated(posterior)
    assert found.failing == (), str(found)


@pytest.mark.slow
@pytest.mark.parametrize("bug", BUGS)
def test_each_of_seven_bugs_is_caught(bug: str) -> None:
    # With 200 simulations a prior that is a quarter too wide is found from five seeds in eight only.
    assert calibrated(BUGS[bug], 400).failing, bug


# --------------------------------------------------------------------------- blocks


@pytest.fixture
def setting() -> tuple[State, Sample]:
    rng, T = np.random.default_rng(4), 30
    state, X = prior_draw(T, rng), regressors(T)
    return state, Sample(data(state, X, rng), X, ROUNDING)


def copy(state: State) -> State:
    return State(*(part.copy() for part in state))


def test_start_and_drift_are_drawn_from_their_regression(setting: tuple[State, Sample]) -> None:
    state, sample = setting
    seen = np.isfinite(sample.y)
    variance = np.exp(state.h) + ROUNDING
    Z = np.column_stack([sample.X, sample.X * np.cumsum(state.innovations, axis=0)])[seen]
    prior = np.concatenate([PRIORS.sd, PRIORS.drift_sd]) ** -2.0
    covariance = np.linalg.inv((Z.T / variance[seen]) @ Z + np.diag(prior))
    moment = (Z.T / variance[seen]) @ sample.y[seen] + prior * np.concatenate([PRIORS.mean, [0, 0]])
    rng, n = np.random.default_rng(5), 20_000
    found = np.empty((n, 4))
    for i in range(n):
        draw_start_and_drift(state, sample, PRIORS, variance, rng)
        found[i] = np.concatenate([state.start, state.drift])
    sd = np.sqrt(np.diag(covariance))
    assert np.abs((found.mean(axis=0) - covariance @ moment) / sd).max() * np.sqrt(n) < 4.0
    np.testing.assert_allclose(np.cov(found.T), covariance, atol=0.06 * np.outer(sd, sd).max())


def test_normal_draws_have_the_given_precision() -> None:
    Q, m = np.array([[2.0, 0.5], [0.5, 1.0]]), np.array([1.0, -1.0])
    rng = np.random.default_rng(6)
    found = np.array([draw_normal(Q.copy(), m, rng) for _ in range(40_000)])
    np.testing.assert_allclose(found.mean(axis=0), np.linalg.solve(Q, m), atol=0.025)
    np.testing.assert_allclose(np.cov(found.T), np.linalg.inv(Q), atol=0.03)


def test_rescaling_drifts_leaves_the_paths_where_they_are(setting: tuple[State, Sample]) -> None:
    state, _ = setting
    before, drift = coefficient_paths(state), state.drift.copy()
    rescale_drifts(state, PRIORS, np.random.default_rng(7))
    np.testing.assert_allclose(coefficient_paths(state), before, rtol=1e-10, atol=1e-12)
    assert (state.drift != drift).any()
    np.testing.assert_array_equal(np.sign(state.drift), np.sign(drift))


def test_residuals_are_what_the_paths_leave(setting: tuple[State, Sample]) -> None:
    state, sample = setting
    expected = sample.y - (sample.X * coefficient_paths(state)).sum(axis=1)
    np.testing.assert_allclose(residuals(state, sample), expected, rtol=1e-12)


def test_disturbances_share_the_residual_with_rounding() -> None:
    rng, residual, h = np.random.default_rng(8), np.array([1.0, np.nan, -2.0]), np.array([0.0, 0.0, -2.0])
    found = np.array([draw_disturbances(residual, 0.5, h, rng) for _ in range(40_000)])
    share = np.exp(h) / (np.exp(h) + 0.5)
    assert np.isnan(found[:, 1]).all()
    np.testing.assert_allclose(found.mean(axis=0)[[0, 2]], (share * residual)[[0, 2]], atol=0.01)
    np.testing.assert_allclose(found.var(axis=0)[[0, 2]], (share * 0.5)[[0, 2]], rtol=0.04)
    np.testing.assert_array_equal(draw_disturbances(residual, 0.0, h, rng), residual)


def test_stretches_without_data_are_drawn_from_the_autoregression() -> None:
    rng, T, n = np.random.default_rng(9), 25, 40_000
    volatility, h = np.array([-2.0, 0.9, 0.5]), np.full(25, -2.0)
    found = np.empty((n, T))
    for i in range(n):
        move_stretches(np.full(T, np.nan), 0.1, h, volatility, rng)
        found[i] = h
    variance = 0.25 / (1 - 0.81)
    for t in (0, 12, 24):
        size = effective_size(found[:, t])
        assert abs(found[:, t].mean() + 2) < 4 * np.sqrt(variance / size)
        assert found[:, t].var() == pytest.approx(variance, rel=5 * np.sqrt(2 / effective_size(found[:, t] ** 2)))
    assert np.corrcoef(found[:, 10], found[:, 13])[0, 1] == pytest.approx(0.9**3, abs=0.03)


def test_moving_level_and_scale_samples_the_exact_posterior_of_one_log_variance() -> None:
    rng, rounding, residual, phi = np.random.default_rng(14), 0.3, 1.4, 0.5
    priors = np.array([-1.0, 0.8, 20.0, 1.5, 0.6])
    volatility, h, n = np.array([-1.0, phi, 0.4]), np.array([-0.8]), 60_000
    tuning, found = initial_tuning(State(*(np.ones(1),) * 3, h, volatility), 0, 0).volatility, np.empty(n)
    tuning.cov[:] = np.diag([0.6, 0.1, 0.6])
    for i in range(n):
        # The standardised h anew from its prior, the rest by the move: together they sample mu + sigma * standard.
        new = volatility[0] + volatility[2] * rng.standard_normal() / np.sqrt(1 - phi**2)
        gain = log_normal(residual, np.exp(new) + rounding) - log_normal(residual, np.exp(h[0]) + rounding)
        h[0] = new if np.log(rng.random()) < gain else h[0]
        move_level_and_scale(np.array([residual]), rounding, h, volatility, priors, tuning, rng)
        found[i] = h[0]
    draws = np.random.default_rng(15)
    mu = priors[0] + priors[1] * draws.standard_normal(400_000)
    sigma = np.abs(priors[4] * draws.standard_normal(400_000))
    value = mu + sigma * draws.standard_normal(400_000) / np.sqrt(1 - phi**2)
    log_weight = np.array(log_normal(residual, np.exp(value) + rounding))
    weight = np.exp(log_weight - log_weight.max())
    mean = float(value @ weight / weight.sum())
    sd = float(np.sqrt((value - mean) ** 2 @ weight / weight.sum()))
    assert abs(found.mean() - mean) < 4 * sd * np.sqrt(1 / effective_size(found) + 1 / 100_000)
    assert found.std() == pytest.approx(sd, rel=0.05)


def log_normal(residual: float, variance: Any) -> Any:
    return -0.5 * np.log(variance) - 0.5 * residual**2 / variance


def test_stretches_with_data_sample_the_exact_posterior_of_one_log_variance() -> None:
    rng, rounding, residual = np.random.default_rng(10), 0.3, 1.4
    volatility, h, found = np.array([-1.0, 0.5, 0.8]), np.array([-1.0]), []
    for _ in range(40_000):
        move_stretches(np.array([residual]), rounding, h, volatility, rng)
        found.append(h[0])
    grid = np.linspace(-8, 6, 4_001)
    density = stats.norm.pdf(grid, -1, 0.8 / np.sqrt(0.75)) * stats.norm.pdf(
        residual, 0, np.sqrt(np.exp(grid) + rounding)
    )
    weight = density / density.sum()
    mean = float(grid @ weight)
    sd = np.sqrt(float((grid - mean) ** 2 @ weight))
    draws = np.array(found)
    assert abs(draws.mean() - mean) < 4 * sd / np.sqrt(effective_size(draws))
    assert draws.std() == pytest.approx(sd, rel=0.03)


# --------------------------------------------------------------------------- behaviour


def test_known_drifts_and_volatility_are_recovered() -> None:
    rng, T = np.random.default_rng(11), 900
    priors = Priors(np.zeros(3), np.full(3, 3.0), np.full(3, 0.1), np.array([0.0, 3.0, 20.0, 1.5, 1.0]))
    X = np.column_stack([np.ones(T), rng.standard_normal((T, 2))])
    truth, h, deviation = np.array([0.03, 0.02, 0.0]), np.empty(T), 0.0
    for t in range(T):
        deviation = 0.95 * deviation + 0.2 * rng.standard_normal()
        h[t] = -1 + deviation
    b = 1 + np.cumsum(truth * rng.standard_normal((T, 3)), axis=0)
    sample = Sample((X * b).sum(axis=1) + np.exp(h / 2) * rng.standard_normal(T), X, 0.0)
    state = initial_state(sample, priors, rng)
    tuning, drifts, coverage = initial_tuning(state, 1, 2), [], []
    sweeps(800, state, sample, priors, tuning, TABLE, True, rng)
    for _ in range(200):
        sweeps(5, state, sample, priors, tuning, TABLE, False, rng)
        drifts.append(np.abs(state.drift))
        coverage.append(coefficient_paths(state))
    found = np.array(drifts)
    assert (np.abs(found.mean(axis=0) - truth)[:2] < 3.5 * found.std(axis=0)[:2]).all()
    assert np.quantile(found[:, 2], 0.5) < 0.008  # what does not drift is shrunk
    low, high = np.quantile(coverage, [0.05, 0.95], axis=0)
    assert 0.8 < ((low <= b) & (b <= high)).mean() < 0.98


def test_a_spread_that_stands_still_does_not_let_the_volatility_collapse() -> None:
    rng, T = np.random.default_rng(12), 300
    y = np.concatenate([rng.standard_normal(100), np.full(200, -7.0)])
    sample = Sample(y, np.ones((T, 1)), 1 / 12)
    priors = Priors(np.zeros(1), np.array([10.0]), np.array([0.1]), np.array([0.0, 2.0, 20.0, 1.5, 0.5]))
    state = initial_state(sample, priors, rng)
    tuning, lowest = initial_tuning(state, 1, 2), []
    sweeps(500, state, sample, priors, tuning, TABLE, True, rng)
    for _ in range(200):
        sweeps(5, state, sample, priors, tuning, TABLE, False, rng)
        lowest.append(float(state.h.min()))
    assert np.isfinite(lowest).all()
    assert np.median(lowest) > -25  # the autoregression's own reach, not minus infinity
    assert abs(np.median(lowest[:100]) - np.median(lowest[100:])) < 5


def test_the_same_generator_gives_the_same_chain(setting: tuple[State, Sample]) -> None:
    state, sample = setting

    def run(seed: int) -> State:
        mine = copy(state)
        tuning = initial_tuning(mine, 1, 2)
        sweeps(20, mine, sample, PRIORS, tuning, TABLE, True, np.random.default_rng(seed))
        return mine

    one, again, other = run(1), run(1), run(2)
    for a, b in zip(one, again, strict=True):
        np.testing.assert_array_equal(a, b)
    assert not np.array_equal(one.start, other.start)


def test_frozen_proposals_stay_as_they_are(setting: tuple[State, Sample]) -> None:
    state, sample = setting
    tuning = initial_tuning(state, 2, 2)
    before: list[Any] = [part.copy() for part in (*tuning.drift, *tuning.volatility)]
    sweeps(10, state, sample, PRIORS, tuning, TABLE, False, np.random.default_rng(13))
    for a, b in zip(before, (*tuning.drift, *tuning.volatility), strict=True):
        np.testing.assert_array_equal(a, b)
    sweeps(10, state, sample, PRIORS, tuning, TABLE, True, np.random.default_rng(13))
    assert not np.array_equal(before[1], tuning.drift.cov)


# --------------------------------------------------------------------------- another sampler


@pytest.mark.slow
def test_posterior_means_are_those_of_nuts() -> None:
    pm, nutpie = pytest.importorskip("pymc"), pytest.importorskip("nutpie")
    import pytensor.tensor as pt

    T, rng = 60, np.random.default_rng(16)
    X = regressors(T)
    y = data(prior_draw(T, rng), X, rng)
    seen = np.isfinite(y)
    mean, sd, a, b, scale = PRIORS.volatility
    with pm.Model() as model:
        start, drift = pm.Normal("start", PRIORS.mean, PRIORS.sd), pm.HalfNormal("drift", PRIORS.drift_sd)
        mu, unit, sigma = pm.Normal("mu", mean, sd), pm.Beta("unit", a, b), pm.HalfNormal("sigma", scale)
        phi = pm.Deterministic("phi", 2 * unit - 1)
        z, u = pm.Normal("z", shape=(T, K)), pm.Normal("u", shape=T)
        lag = np.subtract.outer(np.arange(T), np.arange(T))
        weights = pt.where(lag >= 0, phi ** np.maximum(lag, 0), 0.0)
        h = mu + sigma * pt.dot(weights, pt.set_subtensor(u[0], u[0] / pt.sqrt(1 - phi**2)))
        path = start + drift * pt.cumsum(z, axis=0)
        pm.Deterministic("end", path[-1])
        level = (X * path).sum(axis=1)
        pm.Normal("y", level[seen], pt.sqrt(pt.exp(h) + ROUNDING)[seen], observed=y[seen])
    tree = nutpie.sample(
        nutpie.compile_pymc_model(model),
        draws=4_000,
        tune=1_500,
        chains=2,
        target_accept=0.95,
        seed=1,
        progress_bar=False,
    )
    theirs = tree["posterior"].to_dataset()
    ours = posterior_of(y, X, 40_000)
    for name in ("start", "drift", "end", "mu", "phi", "sigma"):
        one = theirs[name].to_numpy().reshape(8_000, -1)
        for j, other in enumerate(np.atleast_2d(ours[name].T)):
            size = sum(effective_size(chain) for chain in theirs[name].to_numpy().reshape(2, 4_000, -1)[:, :, j])
            error = np.sqrt(one[:, j].var() / size + other.var() / effective_size(other))
            assert abs(one[:, j].mean() - other.mean()) < 4 * error, (name, j)


def posterior_of(y: Array, X: Array, n: int) -> dict[str, Array]:
    rng, sample = np.random.default_rng(17), Sample(y, X, ROUNDING)
    state = initial_state(sample, PRIORS, rng)
    tuning, rows = initial_tuning(state, 1, 2), []
    sweeps(2_000, state, sample, PRIORS, tuning, TABLE, True, rng)
    for _ in range(n):
        sweep(state, sample, PRIORS, tuning, TABLE, False, rng)
        rows.append(np.concatenate([state.start, np.abs(state.drift), coefficient_paths(state)[-1], state.volatility]))
    draws = np.array(rows)
    pairs = {"start": draws[:, :2], "drift": draws[:, 2:4], "end": draws[:, 4:6]}
    return pairs | {name: draws[:, 6 + j] for j, name in enumerate(("mu", "phi", "sigma"))}
