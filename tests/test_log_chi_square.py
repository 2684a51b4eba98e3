"""log z^2 as a mixture of normals: its moments, its density, and the table that tells components."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

pytest.importorskip("numba")

from models.kernels.log_chi_square import (
    MARGIN,
    MEANS,
    PROBABILITIES,
    TABLE_BINS,
    TABLE_FROM,
    TABLE_STEPS,
    TABLE_TO,
    VARIANCES,
    component_table,
    cumulative_probabilities,
    draw_components,
    exact_component,
)

type Array = NDArray[np.float64]
TABLE = component_table()


def test_the_mixture_has_the_moments_of_a_log_chi_square() -> None:
    assert PROBABILITIES.sum() == pytest.approx(1.0, abs=1e-12)
    mean = PROBABILITIES @ MEANS
    centred = MEANS - mean
    third = PROBABILITIES @ (centred**3 + 3 * centred * VARIANCES)
    fourth = PROBABILITIES @ (centred**4 + 6 * centred**2 * VARIANCES + 3 * VARIANCES**2)
    assert mean == pytest.approx(-np.euler_gamma - np.log(2), abs=1e-4)
    assert PROBABILITIES @ (centred**2 + VARIANCES) == pytest.approx(np.pi**2 / 2, abs=2e-3)
    assert third == pytest.approx(-16.8288, abs=0.02)  # polygamma(2, 1/2)
    assert fourth - 3 * (np.pi**2 / 2) ** 2 == pytest.approx(np.pi**4, rel=0.01)  # polygamma(3, 1/2)


def test_the_density_of_the_mixture_is_that_of_a_log_chi_square() -> None:
    x = np.linspace(-12, 4, 400)
    exact = np.exp(0.5 * x - 0.5 * np.exp(x)) / np.sqrt(2 * np.pi)
    mixture = (PROBABILITIES * stats.norm.pdf(x[:, None], MEANS, np.sqrt(VARIANCES))).sum(axis=1)
    np.testing.assert_allclose(mixture, exact, atol=4e-4)


def test_between_two_places_of_the_table_probabilities_stay_within_the_margin() -> None:
    ends = cumulative_probabilities(np.linspace(TABLE_FROM, TABLE_TO, (TABLE_TO - TABLE_FROM) * TABLE_STEPS + 1))
    low, high = np.minimum(ends[1:], ends[:-1]), np.maximum(ends[1:], ends[:-1])
    for part in (0.1, 0.3, 0.5, 0.7, 0.9):
        d = TABLE_FROM + (np.arange(len(low)) + part) / TABLE_STEPS
        density = PROBABILITIES * stats.norm.pdf(d[:, None], MEANS, np.sqrt(VARIANCES))
        exact = np.cumsum(density, axis=1)[:, :-1] / density.sum(axis=1, keepdims=True)
        np.testing.assert_allclose(cumulative_probabilities(d), exact, rtol=1e-9, atol=1e-300)
        assert np.maximum(low - exact, exact - high).max() < 0.6 * MARGIN


def test_the_table_never_disagrees_with_the_exact_rule() -> None:
    n, rng = 400_000, np.random.default_rng(1)
    d = np.random.default_rng(2).uniform(TABLE_FROM - 5, TABLE_TO + 5, n)
    d[:6] = [TABLE_FROM, TABLE_TO, np.nextafter(TABLE_FROM, -99), np.nextafter(TABLE_TO, 0), -1e300, 1e300]
    centred, noise = np.empty(n), np.empty(n)
    draw_components(d, np.zeros(n), TABLE, rng, centred, noise)
    exact = [exact_component(place, u) for place, u in zip(d, np.random.default_rng(1).random(n), strict=True)]
    np.testing.assert_array_equal(noise, VARIANCES[exact])
    np.testing.assert_array_equal(centred, d - MEANS[exact])


def test_a_decided_cell_is_decided_at_its_corners() -> None:
    rows, bins = (each.ravel() for each in np.indices(TABLE.shape))
    chosen = np.random.default_rng(3).choice(np.flatnonzero(TABLE.ravel() >= 0), 20_000)
    for row, column in zip(rows[chosen], bins[chosen], strict=True):
        for d in (TABLE_FROM + row / TABLE_STEPS, np.nextafter(TABLE_FROM + (row + 1) / TABLE_STEPS, -99)):
            for u in (column / TABLE_BINS, np.nextafter((column + 1) / TABLE_BINS, 0)):
                assert exact_component(d, u) == TABLE[row, column]


def test_the_table_decides_nearly_always() -> None:
    rng = np.random.default_rng(2)
    place = ((np.log(rng.standard_normal(50_000) ** 2) - TABLE_FROM) * TABLE_STEPS).astype(int)
    found = TABLE[place, (rng.random(50_000) * TABLE_BINS).astype(int)]
    assert (found < 0).mean() < 0.05
    assert TABLE.max() == len(MEANS) - 1


def test_components_have_their_probabilities() -> None:
    for d in (-9.0, -1.3, 2.0, 50.0, -400.0):
        u = (np.arange(20_000) + 0.5) / 20_000
        found = np.bincount([exact_component(d, x) for x in u], minlength=10) / len(u)
        log_weight = np.log(PROBABILITIES) + stats.norm.logpdf(d, MEANS, np.sqrt(VARIANCES))
        weight = np.exp(log_weight - log_weight.max())
        np.testing.assert_allclose(found, weight / weight.sum(), atol=1e-4)


def test_missing_disturbances_leave_no_observation() -> None:
    centred, noise = np.empty(3), np.empty(3)
    draw_components(np.array([-1.0, np.nan, -40.0]), np.zeros(3), TABLE, np.random.default_rng(5), centred, noise)
    assert np.isnan(centred[1])
    assert np.isfinite(centred[[0, 2]]).all()
    assert set(noise[[0, 2]]) <= set(VARIANCES)
