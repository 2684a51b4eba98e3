"""Proposals of random-walk Metropolis steps: their covariance, what they learn, and that the steps sample their target."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("numba")

from forecast.checks.calibration import effective_size
from models.kernels.metropolis import ACCEPTANCE, Adaptation, adapt, adaptation, propose

type Array = NDArray[np.float64]
TARGET = np.array([[4.0, 1.5, 0.0], [1.5, 1.0, -0.1], [0.0, -0.1, 0.25]])


def chain(n: int, tuning: Adaptation, rng: np.random.Generator, *, learning: bool) -> tuple[Array, float]:
    """Draws (n, 3) of a normal with covariance TARGET, and the share of proposals accepted."""
    precision, now, accepted = np.linalg.inv(TARGET), np.zeros(3), 0
    found = np.empty((n, 3))
    for i in range(n):
        proposal = propose(now, tuning, rng)
        ratio = float(now @ precision @ now - proposal @ precision @ proposal) / 2
        if np.log(rng.random()) < ratio:
            now, accepted = proposal, accepted + 1
        if learning:
            adapt(tuning, now, float(np.exp(min(0.0, ratio))))
        found[i] = now
    return found, accepted / n


def test_steps_have_the_learnt_covariance_times_the_squared_scale() -> None:
    tuning = Adaptation(np.zeros(3), TARGET, np.array([np.log(0.5), 1.0]))
    rng, here, n = np.random.default_rng(0), np.array([1.0, -2.0, 3.0]), 40_000
    steps = np.array([propose(here, tuning, rng) for _ in range(n)]) - here
    size = np.sqrt(np.diag(TARGET))
    assert np.abs(steps.mean(axis=0) / size).max() < 0.5 * 4.5 / np.sqrt(n)
    np.testing.assert_allclose(np.cov(steps.T) / np.outer(size, size), 0.25 * TARGET / np.outer(size, size), atol=0.01)


def test_a_covariance_without_full_rank_still_proposes() -> None:
    line = np.ones((2, 2))
    step = propose(np.zeros(2), Adaptation(np.zeros(2), line, np.zeros(2)), np.random.default_rng(0))
    assert np.isfinite(step).all()
    assert step[0] == pytest.approx(step[1], abs=1e-4)


def test_spread_and_scale_are_learnt_and_the_target_is_sampled() -> None:
    tuning, rng = adaptation(np.ones(3), np.full(3, 0.05)), np.random.default_rng(1)
    chain(6_000, tuning, rng, learning=True)
    frozen = [part.copy() for part in tuning]
    draws, accepted = chain(20_000, tuning, rng, learning=False)
    for part, before in zip(tuning, frozen, strict=True):
        np.testing.assert_array_equal(part, before)
    assert accepted == pytest.approx(ACCEPTANCE, abs=0.06)
    sd, learnt = np.sqrt(np.diag(TARGET)), np.sqrt(np.diag(tuning.cov))
    assert tuning.cov[0, 1] / (learnt[0] * learnt[1]) == pytest.approx(TARGET[0, 1] / (sd[0] * sd[1]), abs=0.15)
    error = np.array([s / np.sqrt(effective_size(column)) for s, column in zip(sd, draws.T, strict=True)])
    assert (np.abs(draws.mean(axis=0)) < 4.5 * error).all()
    np.testing.assert_allclose(draws.std(axis=0), sd, rtol=0.1)
