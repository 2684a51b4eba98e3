"""The satiation curve's shape and slow paths: closed forms, inverses and covariances."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import lfilter

from models.reserve_demand.satiation_shape import (
    autoregression_root,
    continued_autoregression,
    continued_walk,
    curve,
    curve_slope,
    knots_needed,
    random_walk_root,
    ratio_at_slope,
    weekly,
)

# --------------------------------------------------------------------------- the curve


def test_the_curve_tends_to_a_hinge_as_tau_vanishes() -> None:
    x = np.linspace(6, 18, 49)
    hinge = 2.0 * np.maximum(12 - x, 0)
    np.testing.assert_allclose(curve(x, *map(np.array, (12.0, 2.0, 1e-6))), hinge, atol=2e-6)


def test_the_curve_at_the_kink_is_beta_tau_log_two() -> None:
    assert float(curve(np.array(12.0), *map(np.array, (12.0, 2.5, 0.6)))) == pytest.approx(2.5 * 0.6 * np.log(2))


def test_the_curve_vanishes_in_abundance_and_is_linear_in_scarcity() -> None:
    parameters = tuple(map(np.array, (12.0, 2.0, 0.5)))
    assert float(curve(np.array(40.0), *parameters)) < 1e-20
    scarce = curve(np.array([1.0, 2.0]), *parameters)
    assert scarce[0] - scarce[1] == pytest.approx(2.0, rel=1e-8)


def test_the_slope_is_the_derivative_of_the_curve() -> None:
    x, step = np.linspace(7, 17, 41), 1e-5
    parameters = tuple(map(np.array, (12.0, 2.0, 0.7)))
    numeric = (curve(x + step, *parameters) - curve(x - step, *parameters)) / (2 * step)
    np.testing.assert_allclose(curve_slope(x, *parameters), numeric, rtol=1e-6, atol=1e-9)


def test_half_of_the_slope_is_reached_at_the_kink() -> None:
    assert float(curve_slope(12.0, *map(np.array, (12.0, 2.0, 0.7)))) == pytest.approx(-1.0)


# --------------------------------------------------------------------------- the ratio at a slope


@given(
    slope=st.floats(-3.0, -0.01),
    kink=st.floats(5.0, 25.0),
    beta=st.floats(0.02, 6.0),
    tau=st.floats(0.05, 3.0),
)
def test_the_ratio_at_a_slope_inverts_the_slope(slope: float, kink: float, beta: float, tau: float) -> None:
    ratio = float(ratio_at_slope(slope, *map(np.array, (kink, beta, tau))))
    assert ratio >= 0
    if ratio > 0 and beta > -slope:
        assert float(curve_slope(ratio, *map(np.array, (kink, beta, tau)))) == pytest.approx(slope, rel=1e-6)
    if beta <= -slope:
        assert ratio == 0


def test_a_slope_that_is_never_reached_has_ratio_zero() -> None:
    found = ratio_at_slope(-1.0, np.array(12.0), np.array([0.3, 1.0, 1.001, 2.0]), np.array(0.5))
    np.testing.assert_array_equal(found > 0, [False, False, True, True])
    assert found[3] == pytest.approx(12.0)  # half of beta is reached at the kink


def test_a_steeper_tolerance_needs_fewer_reserves() -> None:
    parameters = tuple(map(np.array, (12.0, 2.0, 0.5)))
    found = [float(ratio_at_slope(c, *parameters)) for c in (-0.25, -0.5, -1.0, -1.9)]
    assert found == sorted(found, reverse=True)


def test_a_kink_below_no_reserves_gives_no_negative_ratio() -> None:
    assert float(ratio_at_slope(-1.5, np.array(-3.0), np.array(2.0), np.array(0.5))) == 0.0


# --------------------------------------------------------------------------- paths between knots


def test_paths_between_knots_are_straight() -> None:
    knots = np.random.default_rng(1).standard_normal((3, 2, 6))
    weeks = np.arange(60)
    expected = [[np.interp(weeks, 13 * np.arange(6), path) for path in rows] for rows in knots]
    np.testing.assert_allclose(weekly(knots, 13, 60), expected, atol=1e-12)


def test_a_single_knot_stands_for_every_week() -> None:
    np.testing.assert_array_equal(weekly(np.array([[2.0], [3.0]]), 13, 4), [[2.0] * 4, [3.0] * 4])


@given(weeks=st.integers(1, 2000), spacing=st.integers(1, 60), block=st.integers(1, 32))
def test_knots_span_every_week_of_the_sample(weeks: int, spacing: int, block: int) -> None:
    knots = knots_needed(weeks, spacing, block)
    assert knots % block == 0
    assert weekly(np.zeros(knots), spacing, weeks).shape == (weeks,) or knots == 1
    assert (knots - block - 1) * spacing < weeks  # and no block is wasted


def test_a_walk_between_knots_has_the_variance_of_its_weeks() -> None:
    root = random_walk_root(5, 13)
    np.testing.assert_allclose(root @ root.T, 13.0 * np.minimum.outer(np.arange(5), np.arange(5)), atol=1e-9)


def test_volatility_is_a_stationary_autoregression() -> None:
    root = autoregression_root(7, 0.6)
    lag = np.abs(np.subtract.outer(np.arange(7), np.arange(7)))
    np.testing.assert_allclose(root @ root.T, 0.6**lag, atol=1e-12)


def test_the_autoregression_is_its_recursion() -> None:
    z, rho = np.random.default_rng(2).standard_normal(9), 0.8
    shocks = np.r_[z[0], np.sqrt(1 - rho**2) * z[1:]]
    np.testing.assert_allclose(autoregression_root(9, rho) @ z, lfilter([1.0], [1.0, -rho], shocks), atol=1e-12)


# --------------------------------------------------------------------------- beyond the sample


def test_a_walk_goes_on_from_its_end() -> None:
    path, shocks = np.array([[1.0, 2.0], [5.0, 4.0]]), np.array([[1.0, -3.0, 0.5]])
    expected = [[1.0, 2.0, 3.0, 0.0, 0.5], [5.0, 4.0, 5.0, 2.0, 2.5]]
    np.testing.assert_allclose(continued_walk(path, np.repeat(shocks, 2, axis=0)), expected)


def test_an_autoregression_goes_home_without_shocks() -> None:
    path = np.array([[0.0, 2.0], [0.0, -1.0]])
    found = continued_autoregression(path, 0.5, np.zeros((2, 3)))
    np.testing.assert_allclose(found, [[0.0, 2.0, 1.0, 0.5, 0.25], [0.0, -1.0, -0.5, -0.25, -0.125]])
