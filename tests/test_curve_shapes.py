"""Shapes of the demand curve: derivatives, the published letters, and ratios at which a slope is reached."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.reserve_demand.curve_shapes import FUNCTIONS, SHAPES, Curves, last_crossing, seen_grid

SIGMOID, POLE, GOMPERTZ, DOUBLE, EXPONENTIAL, ARCTAN, LINE = range(7)
X = np.linspace(8.0, 18.0, 41)


def one(function: int, location: float, rate: float, height: float, level: float = 0.0) -> Curves:
    numbers = (np.array([value]) for value in (location, rate, height, level))
    return Curves(np.array([function]), *numbers, np.zeros((1, 0)), np.array([[8.0, 18.0]]))


# --------------------------------------------------------------------------- functions


@pytest.mark.parametrize("function", range(7), ids=[function.__name__ for function in FUNCTIONS])
@pytest.mark.parametrize("rate", [0.15, 0.6, -0.4])
def test_slopes_are_derivatives(function: int, rate: float) -> None:
    curve, step = one(function, 6.0 if rate > 0 else 20.0, rate, 3.0, -7.0), 1e-5
    numeric = (curve.values(X + step) - curve.values(X - step)) / (2 * step)
    np.testing.assert_allclose(curve.slopes(X), numeric, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("function", [SIGMOID, POLE, GOMPERTZ, DOUBLE, EXPONENTIAL, ARCTAN])
def test_functions_fall_to_zero_and_never_fail_far_away(function: int) -> None:
    h, dh = FUNCTIONS[function](np.array([1e-3, 0.5, 3.0, 40.0, 1e4]))
    assert (np.diff(h) <= 0).all()
    assert h[-1] == pytest.approx(0, abs=1e-3)
    assert (dh <= 0).all()
    assert np.isfinite(FUNCTIONS[function](np.array([1e-3, 1e6, -1e6 if function != POLE else 1.0]))).all()


def test_below_a_pole_the_curve_is_infinite_and_infinitely_steep() -> None:
    h, dh = FUNCTIONS[POLE](np.array([-1.0, 0.0]))
    assert (h == np.inf).all()
    assert (dh == -np.inf).all()


def g(c: float, w: float) -> np.ndarray:
    return np.asarray(c + w * X)


@pytest.mark.parametrize(
    ("published", "curve"),
    [
        # b < 0: 1 / (1 - b e^g) = 1 / (1 + e^(g + ln -b))
        (-7 + 9 / (1 + 2 * np.exp(g(-9.6, 0.8))), one(SIGMOID, (9.6 - np.log(2)) / 0.8, 0.8, 9, -7)),
        # b > 0 and w > 0: 1 / (1 - b e^g) = -1 / (e^v - 1)
        (-7 - 9 / (1 - 2 * np.exp(g(-2.0, 0.4))), one(POLE, (2 - np.log(2)) / 0.4, 0.4, 9, -7)),
        # b > 0 and w < 0: 1 / (1 - e^g) = 1 + 1 / (e^-g - 1)
        (-7 + 25 / (1 - np.exp(g(2.0, -0.4))), one(POLE, 5.0, 0.4, 25, 18)),
        (-7 + 9 * np.exp(-0.5 * np.exp(g(-9.6, 0.8))), one(GOMPERTZ, (9.6 - np.log(0.5)) / 0.8, 0.8, 9, -7)),
        (-7 + 9 * np.exp(0.5 * np.exp(g(4.0, -0.4))), one(DOUBLE, (4 + np.log(0.5)) / 0.4, 0.4, 9, 2)),
        (-7 + 300 * np.exp(g(0.0, -0.5)), one(EXPONENTIAL, np.log(300) / 0.5, 0.5, 1, -7)),
        (-7 - 2 * np.arctan(g(-6.0, 0.5)), one(ARCTAN, 12.0, 0.5, 2, -7 - np.pi)),
        (g(5.0, -1.0), one(LINE, 5.0, 1.0, 1.0)),
    ],
    ids=["logistic", "logistic with pole", "fixed", "gompertz", "double", "exponential", "arctan", "linear"],
)
def test_published_forms_are_these_with_other_letters(published: np.ndarray, curve: Curves) -> None:
    np.testing.assert_allclose(curve.values(X)[0], published, rtol=1e-12)


def test_every_function_belongs_to_a_shape() -> None:
    used = {branch.function for shape in SHAPES.values() for branch in shape.branches}
    assert used == set(range(len(FUNCTIONS)))
    assert [name for name, shape in SHAPES.items() if not shape.constant] == ["fixed_exponential"]


def test_draws_of_several_functions_are_kept_apart() -> None:
    each = [one(code, 5.0, 0.7, 2.0, 1.0) for code in (SIGMOID, POLE, ARCTAN)]
    together = Curves(*(np.concatenate([getattr(c, n) for c in each]) for n in Curves.__slots__))
    np.testing.assert_array_equal(together.values(X), np.vstack([c.values(X) for c in each]))
    np.testing.assert_array_equal(together.take(np.array([2, 0])).slopes(X)[1], each[0].slopes(X)[0])


def test_beyond_what_was_seen_curves_go_straight_on() -> None:
    curve = one(POLE, 6.0, 0.4, 9.0)
    values, slopes = curve.extended(np.array([2.0, 7.0, 8.0, 12.0, 18.0, 20.0]))
    at = curve.values(np.array([8.0, 9.0, 12.0, 17.0, 18.0]))[0]
    below, above = at[1] - at[0], at[4] - at[3]  # a tenth of 8 to 18 is one percentage point
    np.testing.assert_allclose(values[0], [at[0] - 6 * below, at[0] - below, at[0], at[2], at[4], at[4] + 2 * above])
    inside = curve.slopes(np.array([8.0, 12.0, 18.0]))[0]
    np.testing.assert_allclose(slopes[0], [below, below, *inside, above])


# --------------------------------------------------------------------------- where a slope is reached


def closed_form(function: int, location: float, rate: float, height: float, c: float) -> float:
    """Highest ratio with slope c, for falling curves that are steeper than c somewhere."""
    steepness = height * rate / -c
    v = {
        SIGMOID: lambda: 2 * np.arccosh(np.sqrt(steepness / 4)),
        POLE: lambda: 2 * np.arcsinh(np.sqrt(steepness / 4)),
        EXPONENTIAL: lambda: np.log(steepness),
        ARCTAN: lambda: np.sqrt(steepness - 1),
    }[function]()
    return float(location + v / rate)


@settings(max_examples=60, deadline=None)
@given(
    function=st.sampled_from([SIGMOID, POLE, EXPONENTIAL, ARCTAN]),
    location=st.floats(2.0, 20.0),
    rate=st.floats(0.2, 4.0),
    height=st.floats(2.0, 30.0),
    share=st.floats(0.02, 0.2),
)
def test_bisection_finds_what_algebra_says(
    function: int, location: float, rate: float, height: float, share: float
) -> None:
    c = -share * height * rate
    expected = closed_form(function, location, rate, height, c)
    assert one(function, location, rate, height).thresholds(c)[0] == pytest.approx(expected, abs=1e-7)


@pytest.mark.parametrize("function", [GOMPERTZ, DOUBLE])
def test_the_slope_at_the_threshold_is_the_tolerance(function: int) -> None:
    curve = one(function, 10.0, 0.8, 6.0)
    found = curve.thresholds(-0.5)
    assert curve.slopes(found)[0, 0] == pytest.approx(-0.5, abs=1e-7)
    assert (curve.slopes(found + np.linspace(0.01, 30, 50))[0] > -0.5).all()


@pytest.mark.parametrize(
    ("curve", "expected"),
    [
        (one(LINE, 5.0, 1.0, 2.0), np.inf),  # slope -2 at every ratio
        (one(LINE, 5.0, 1.0, 0.3), 0.0),  # slope -0.3 at every ratio
        (one(LINE, 5.0, 1.0, -2.0), 0.0),  # rises
        (one(SIGMOID, 12.0, 0.5, 2.0), 0.0),  # never steeper than 0.25
        (one(EXPONENTIAL, 20.0, -0.2, -4.0), np.nan),  # falls ever more steeply: reserves do not flatten it
    ],
)
def test_a_slope_that_is_not_reached_has_its_own_answer(curve: Curves, expected: float) -> None:
    np.testing.assert_array_equal(curve.thresholds(-0.5), [expected])


def test_of_two_crossings_the_upper_one_counts() -> None:
    sigmoid = one(SIGMOID, 12.0, 1.5, 8.0)
    assert sigmoid.thresholds(-0.5)[0] > 12.0
    assert sigmoid.slopes(np.array([0.0]))[0, 0] > -0.5


def test_a_crossing_is_found_for_every_draw_alone() -> None:
    def slopes(ratio: np.ndarray) -> Any:
        return ratio - np.array([[10.0], [20.0]])

    np.testing.assert_allclose(last_crossing(slopes, 0.0, 2), [10.0, 20.0], atol=1e-8)


def test_the_grid_to_draw_on_covers_what_was_seen() -> None:
    grid = seen_grid(np.array([12.0, 9.0, 17.0]))
    assert (grid[0], grid[-1]) == (9.0, 17.0)
    assert (np.diff(grid) > 0).all()
