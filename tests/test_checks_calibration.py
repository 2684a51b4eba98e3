"""The checks of samplers: right samplers pass, seven wrong ones do not, and the bands hold what they promise."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from scipy import stats

from forecast.checks import calibration
from forecast.checks.calibration import (
    Calibration,
    ecdf_band,
    ecdf_difference,
    effective_size,
    joint_distribution_test,
    rank,
    simulation_based_calibration,
    successive_draws,
    thinned,
    uniformity_p_value,
)
from forecast.errors import UsageError

type Array = np.ndarray
# A VAR(1) whose rows are conjugate: B[i] | v[i] ~ N(0, 0.12^2 v[i] I), v[i] ~ IG(6, 20), rows of data y(t) = B y(t-1) + e.
K, T = 4, 10
SHAPE, SCALE, WIDTH = 6.0, 20.0, 0.12
START = np.array([[0.6, -2.0, 4.0, 1.0], [2.0, -4.0, 1.0, 3.0]])


def simulate(rng: np.random.Generator) -> tuple[dict[str, Array], Array]:
    variance = SCALE / rng.gamma(SHAPE, size=K)
    B = WIDTH * np.sqrt(variance)[:, None] * rng.standard_normal((K, K))
    return {"B": B, "variance": variance}, data_of(B, variance, rng)


def data_of(B: Array, variance: Array, rng: np.random.Generator) -> Array:
    y = np.vstack([START, np.zeros((T, K))])
    for t in range(2, T + 2):
        y[t] = B @ y[t - 1] + np.sqrt(variance) * rng.standard_normal(K)
    return y


def log_likelihood(parameters: Mapping[str, Array], y: Array) -> float:
    errors = y[2:] - y[1:-1] @ parameters["B"].T
    return float(-0.5 * (errors**2 / parameters["variance"] + np.log(2 * np.pi * parameters["variance"])).sum())


EVENTS: dict[str, Callable[[Mapping[str, Array], Array], float]] = {
    "size of coefficients": lambda p, y: float((p["B"] ** 2 / p["variance"][:, None]).sum()),
    "sum of log variances": lambda p, y: float(np.log(p["variance"]).sum()),
    "first beyond 3": lambda p, y: float(p["B"][0] @ y[-1] > 3),
}


@dataclass(frozen=True)
class Conjugate:
    """The exact posterior, and the mistakes one makes writing it down."""

    width: float = WIDTH
    shape: float = SHAPE
    lag: int = 1
    degrees: int = T
    transposed: bool = False
    swapped: bool = False
    ignores: bool = False

    def __call__(self, y: Array, rng: np.random.Generator, n: int = 99) -> dict[str, Array]:
        Y, X = (y[2:], y[2 - self.lag : len(y) - self.lag]) if not self.ignores else (np.zeros((0, K)),) * 2
        precision = X.T @ X + np.eye(K) / self.width**2
        mean = np.linalg.solve(precision, X.T @ Y)  # column i belongs to row i of B
        scale = SCALE + 0.5 * ((Y**2).sum(axis=0) - (mean * (precision @ mean)).sum(axis=0))
        degrees = 0 if self.ignores else self.degrees
        variance = scale / rng.gamma(self.shape + degrees / 2, size=(n, K))
        root = np.linalg.cholesky(np.linalg.inv(precision))
        spread = variance if self.swapped else np.sqrt(variance)
        B = mean.T + spread[:, :, None] * (rng.standard_normal((n, K, K)) @ root.T)
        return {"B": B.transpose(0, 2, 1) if self.transposed else B, "variance": variance}


RIGHT = Conjugate()
BUGS = {
    "prior sd x 1.25": replace(RIGHT, width=1.25 * WIDTH),
    "missing Jacobian": replace(RIGHT, shape=SHAPE - 1),
    "variance for sd": replace(RIGHT, swapped=True),
    "lag off by one": replace(RIGHT, lag=2),
    "transposed": replace(RIGHT, transposed=True),
    "wrong degrees of freedom": replace(RIGHT, degrees=T - K),
    "data ignored": replace(RIGHT, ignores=True),
}


def calibrated(posterior: Any, *, seed: int = 0, **options: Any) -> Calibration:
    options = {"log_likelihood": log_likelihood, "events": EVENTS} | options
    return simulation_based_calibration(simulate, posterior, seed=seed, **options)


# --------------------------------------------------------------------------- simulation-based calibration


def test_a_right_sampler_is_calibrated_in_every_quantity() -> None:
    found = calibrated(RIGHT)
    assert found.failing == ()
    assert len(found.table) == K * K + K + 4
    assert {"log likelihood", "first beyond 3", "B[2,3]", "variance[0]"} <= set(found.table.index)
    assert str(found) == "24 quantities calibrated over 200 simulations"


@pytest.mark.parametrize("bug", BUGS)
def test_each_of_seven_bugs_is_caught(bug: str) -> None:
    found = calibrated(BUGS[bug], seed=1)
    assert found.failing, bug
    assert str(found).startswith("not calibrated over 200 simulations: ")


def test_only_what_depends_on_the_data_notices_that_they_are_ignored() -> None:
    found = calibrated(BUGS["data ignored"], seed=1)
    assert found.failing[0] == "log likelihood"
    assert set(found.failing) <= {"log likelihood", "first beyond 3"}


@pytest.mark.slow
def test_right_samplers_are_rarely_accused() -> None:
    accused = sum(bool(calibrated(RIGHT, seed=seed, n_draws=19).failing) for seed in range(100, 300))
    # 200 tests at one percent, each over 24 quantities: 2 expected, 8 has probability 0.001.
    assert accused < 8


def test_threads_do_not_change_the_ranks() -> None:
    one = calibrated(RIGHT, n_simulations=12, threads=1)
    four = calibrated(RIGHT, n_simulations=12, threads=4)
    for name, ranks in one.ranks.items():
        np.testing.assert_array_equal(ranks, four.ranks[name])


def test_quantities_that_the_posterior_does_not_return_are_not_ranked() -> None:
    found = calibrated(lambda y, rng: {"variance": RIGHT(y, rng)["variance"]}, n_simulations=5, **NO_EVENTS)
    assert list(found.table.index) == [f"variance[{i}]" for i in range(K)] + ["log likelihood"]


NO_EVENTS: dict[str, Any] = {"events": None, "log_likelihood": lambda p, y: float(np.sum(p["variance"]) + y[-1, 0])}


def test_a_posterior_of_another_shape_is_refused() -> None:
    with pytest.raises(UsageError, match=r"'B' has shape \(4, 4\) in the prior and \(4,\) in the posterior"):
        calibrated(lambda y, rng: {"B": np.zeros((99, K))}, n_simulations=1)


def test_too_few_draws_are_refused() -> None:
    with pytest.raises(UsageError, match="'B' has 50 posterior draws; at least 99 are ranked"):
        calibrated(lambda y, rng: RIGHT(y, rng, 50), n_simulations=1)


def test_thinning_is_even_and_ends_with_the_last_draw() -> None:
    np.testing.assert_array_equal(thinned({"a": np.arange(1, 11)}, 5)["a"], [2, 4, 6, 8, 10])
    np.testing.assert_array_equal(thinned({"a": np.arange(1, 6)}, 5)["a"], [1, 2, 3, 4, 5])


def test_ties_are_broken_evenly() -> None:
    rng = np.random.default_rng(3)
    draws = np.array([0.0, 1.0, 1.0, 1.0, 2.0])
    ranks = [rank(1.0, draws, rng) for _ in range(4_000)]
    assert set(ranks) == {1, 2, 3, 4}
    assert stats.chisquare(np.bincount(ranks)[1:]).pvalue > 1e-3


# --------------------------------------------------------------------------- the band


def test_p_values_of_uniform_ranks_are_uniform_up_to_their_steps() -> None:
    rng = np.random.default_rng(4)
    p_values = np.array([uniformity_p_value(rng.integers(100, size=200), 99) for _ in range(1_000)])
    for level in (0.01, 0.05, 0.2, 0.5):
        assert stats.binomtest(int((p_values <= level).sum()), 1_000, level).pvalue > 1e-3


def test_a_shift_of_the_posterior_is_seen_in_its_direction() -> None:
    rng = np.random.default_rng(5)
    ranks = (99 * rng.beta(1, 1.6, 200)).astype(int)  # the truth lies low among the draws
    assert uniformity_p_value(ranks, 99) < 1e-3
    assert ecdf_difference(ranks, 99).max() > ecdf_band(200, 99)[1].max()


def test_the_band_is_left_with_its_level() -> None:
    lower, upper = ecdf_band(150, 49, 0.1)
    rng = np.random.default_rng(6)
    differences = [ecdf_difference(rng.integers(50, size=150), 49) for _ in range(2_000)]
    inside = np.mean([((lower <= d) & (d <= upper)).all() for d in differences])
    assert 0.88 <= inside <= 0.93  # counts are whole: the band errs on the wide side


def test_band_and_p_value_agree() -> None:
    lower, upper = ecdf_band(100, 19, 0.05)
    rng = np.random.default_rng(7)
    for _ in range(200):
        ranks = np.minimum(rng.integers(24, size=100), 19)
        inside = bool(((lower <= (d := ecdf_difference(ranks, 19)) + 1e-12) & (d <= upper + 1e-12)).all())
        assert inside == (uniformity_p_value(ranks, 19) > 0.05)


def test_the_band_is_narrowest_at_the_ends() -> None:
    lower, upper = ecdf_band(200, 99)
    width = upper - lower
    assert width[0] < 0.6 * width[49]
    assert width[-1] < 0.6 * width[49]


# --------------------------------------------------------------------------- the joint distribution test

N = 20_000


def statistics(parameters: Mapping[str, Array], y: Array) -> dict[str, float]:
    log_variance = np.log(parameters["variance"])
    return {
        "B00": float(parameters["B"][0, 0]),
        "B01": float(parameters["B"][0, 1]),
        "log v0": float(log_variance[0]),
        "log v1": float(log_variance[1]),
        "y0": float(np.arcsinh(y[-1, 0])),
        "y1": float(np.arcsinh(y[-1, 1])),
        "y00": float(np.log1p(np.square(y[2:, 0]).sum())),
    }


def joint(sweep: Callable[..., Any], n: int = N) -> calibration.JointTest:
    rng = np.random.default_rng(8)
    marginal = [statistics(*simulate(rng)) for _ in range(n)]
    successive = successive_draws(
        simulate(rng),
        sweep,
        lambda state, rng: data_of(state["B"], state["variance"], rng),
        statistics,
        n=n,
        rng=rng,
    )
    return joint_distribution_test(
        {name: np.array([row[name] for row in marginal]) for name in marginal[0]}, successive
    )


def gibbs(posterior: Conjugate) -> Callable[..., dict[str, Array]]:
    """One sweep: coefficients and variances of the rows anew."""
    return lambda state, y, rng: {name: draws[0] for name, draws in posterior(y, rng, 1).items()}


def test_a_right_sweep_has_the_moments_of_the_joint_distribution() -> None:
    found = joint(gibbs(RIGHT), 6_000)
    assert found.failing == ()
    assert len(found.table) == 35
    assert str(found).startswith("35 moments agree")


@pytest.mark.slow
@pytest.mark.parametrize("bug", BUGS)
def test_the_bugs_are_caught_whatever_the_seed(bug: str) -> None:
    caught = [bool(calibrated(BUGS[bug], seed=seed).failing) for seed in range(2, 12)]
    assert all(caught), (bug, caught)


@pytest.mark.slow
@pytest.mark.parametrize("bug", BUGS)
def test_each_of_seven_bugs_moves_a_moment(bug: str) -> None:
    if bug == "data ignored":  # a sweep that returns the prior has the moments of the joint distribution
        assert joint(gibbs(BUGS[bug])).failing == ()
        return
    try:
        found = joint(gibbs(BUGS[bug]))
    except np.linalg.LinAlgError:  # the chain exploded, which is plain enough
        return
    assert found.failing


def test_too_few_moments_are_refused() -> None:
    draws = {"a": np.arange(5.0), "b": np.ones((5, 2))}
    with pytest.raises(UsageError, match="9 moments of 3 statistics; give more"):
        joint_distribution_test(draws, draws)


def test_other_names_are_refused() -> None:
    with pytest.raises(UsageError, match="give the same"):
        joint_distribution_test({"a": np.ones(3)}, {"b": np.ones(3)})


def test_a_statistic_that_never_moves_fails() -> None:
    rng = np.random.default_rng(9)
    marginal = {"a": rng.standard_normal((500, 5))}
    successive = {"a": np.column_stack([rng.standard_normal((500, 4)), np.zeros(500)])}
    found = joint_distribution_test(marginal, successive)
    assert {"a[4]", "a[4]^2"} <= set(found.failing)
    assert "a[0]" not in found.failing


def test_the_effective_size_of_an_autoregression_is_the_closed_form() -> None:
    rng = np.random.default_rng(10)
    for rho in (-0.5, 0.0, 0.6, 0.9):
        x = np.zeros(40_000)
        for t, shock in enumerate(rng.standard_normal(len(x) - 1), start=1):
            x[t] = rho * x[t - 1] + shock
        assert effective_size(x) == pytest.approx(len(x) * (1 - rho) / (1 + rho), rel=0.12)


def test_a_chain_that_never_moves_has_no_effective_size() -> None:
    assert np.isnan(effective_size(np.ones(50)))


# --------------------------------------------------------------------------- waiting


def test_no_bar_is_drawn_where_nobody_looks(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(calibration, "_PATIENCE", -1.0)
    assert list(calibration._watched(range(3), 3, "sweeps")) == [0, 1, 2]
    assert capsys.readouterr().err == ""


def test_a_bar_appears_at_a_terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setattr(calibration, "_PATIENCE", -1.0)
    assert list(calibration._watched(range(3), 3, "sweeps")) == [0, 1, 2]
    assert "sweeps" in capsys.readouterr().err
