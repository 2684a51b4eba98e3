"""Expanding windows against a refit at every origin and 60-digit arithmetic; nothing later than t is in the answer at t."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from forecast.errors import ModelError
from forecast.numerics import expanding
from forecast.numerics.expanding import ExpandingFit, expanding_least_squares
from forecast.numerics.least_squares import least_squares, numerical_rank

type Array = NDArray[np.float64]


def regression(seed: int, T: int = 200, k: int = 4, m: int = 0) -> tuple[Array, Array]:
    rng = np.random.default_rng(seed)
    X = np.column_stack([np.ones(T), rng.normal(size=(T, k - 1)).cumsum(axis=0)])
    return X, rng.normal(size=(T, m) if m else T)


def same(one: ExpandingFit, other: ExpandingFit, rows: int) -> None:
    """Bit for bit in the first ``rows`` rows."""
    for name in ("coefficients", "rss", "n", "rank"):
        np.testing.assert_array_equal(getattr(one, name)[:rows], getattr(other, name)[:rows], err_msg=name)


def is_a_refit_at_every_origin(X: Array, y: Array, first: int, *, rtol: float = 1e-9) -> None:
    fit = expanding_least_squares(X, y, first)
    complete = np.isfinite(X).all(axis=1) & np.isfinite(y.reshape(len(y), -1)).all(axis=1)
    for t in range(first, len(X)):
        rows = np.flatnonzero(complete[: t + 1])
        assert fit.n[t] == len(rows)
        assert fit.rank[t] == numerical_rank(X[rows])
        if fit.rank[t] < X.shape[1]:
            assert np.isnan(fit.coefficients[t]).all()
            assert np.isnan(fit.rss[t]).all()
            continue
        alone = least_squares(X[rows], y[rows])
        size = np.abs(alone.coefficients).max()
        np.testing.assert_allclose(fit.coefficients[t], alone.coefficients, rtol=rtol, atol=1e-12 * size)
        squares, scale = np.sum(alone.residuals**2, axis=0), np.sum(y[rows] ** 2, axis=0).max()
        np.testing.assert_allclose(fit.rss[t], squares, rtol=rtol, atol=1e-14 * scale)


@pytest.mark.parametrize("first", [0, 3, 50, 199])
@pytest.mark.parametrize("m", [0, 3])
def test_an_expanding_fit_is_a_refit_at_every_origin(first: int, m: int) -> None:
    is_a_refit_at_every_origin(*regression(1, m=m), first)


def test_rows_with_missing_values_are_left_out_and_their_origins_keep_the_last_fit() -> None:
    X, y = regression(2)
    X[[5, 60, 61]], X[80, 2], y[[10, 100, 199]] = np.nan, np.nan, np.nan
    is_a_refit_at_every_origin(X, y, 20)
    fit = expanding_least_squares(X, y, 20)
    np.testing.assert_array_equal(fit.coefficients[59], fit.coefficients[61])
    assert fit.n[-1] == 193


def test_a_year_end_that_has_not_happened_yet_has_no_coefficients_until_it_has() -> None:
    X, y = regression(3)
    X = np.column_stack([X, np.arange(200) == 90, np.arange(200) % 52 == 51])
    is_a_refit_at_every_origin(X, y, 10)
    fit = expanding_least_squares(X, y, 10)
    assert list(np.flatnonzero(np.isnan(fit.coefficients[:, 0]))) == list(range(90))
    assert fit.rank[[9, 10, 50, 51, 89, 90, 199]].tolist() == [0, 4, 4, 5, 5, 6, 6]


def test_a_design_that_never_has_full_rank_is_reported_and_has_no_numbers() -> None:
    X, y = regression(4, T=40)
    fit = expanding_least_squares(np.column_stack([X, X[:, 1] - X[:, 2]]), y, 20)
    assert (fit.rank[20:] == 4).all()
    assert np.isnan(fit.coefficients).all()
    assert np.isnan(fit.rss).all()


def test_columns_that_grow_alike_lose_their_coefficients_where_a_refit_does() -> None:
    # Two exponentials that differ in the first weeks only: the later the origin, the smaller the difference is to them.
    T = 120
    growing = 1.5 ** np.arange(T)
    X = np.column_stack([growing, growing + (np.arange(T) < 10) * np.arange(T)])
    is_a_refit_at_every_origin(X, X.sum(axis=1), 12, rtol=1e-3)
    rank = expanding_least_squares(X, X.sum(axis=1), 12).rank
    assert (rank[12], rank[-1]) == (2, 1)


@pytest.mark.parametrize("block", [1, 7, 64])
def test_the_length_of_blocks_does_not_matter(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    X, y = regression(5)
    whole = expanding_least_squares(X, y, 30)
    monkeypatch.setattr(expanding, "_BLOCK", block)
    np.testing.assert_allclose(
        expanding_least_squares(X, y, 30).coefficients, whole.coefficients, rtol=1e-10, atol=1e-13
    )


def test_a_break_in_the_size_of_a_regressor_is_followed() -> None:
    X, y = regression(6)
    X[100:, 2] *= 1e8  # from millions to units, say
    is_a_refit_at_every_origin(X, y, 20, rtol=1e-7)
    X[150] *= 1e12  # one wild row
    is_a_refit_at_every_origin(X, y, 20, rtol=1e-4)


def test_local_projections_of_every_origin_are_one_fit_of_all_leads() -> None:
    # What a response is after row t has no part in the answer at t, so leads not yet known may hold any number.
    X, y = regression(7)
    T, H = len(y), 6
    leads = np.zeros((T, H + 1))
    for h in range(H + 1):
        leads[: T - h, h] = y[h:]
    fit = expanding_least_squares(X, leads, 20)
    for origin in (60, 120, 199):
        for h in range(H + 1):
            alone = least_squares(X[: origin - h + 1], y[h : origin + 1])
            np.testing.assert_allclose(fit.coefficients[origin - h, :, h], alone.coefficients, rtol=1e-9, atol=1e-12)


def to_nan(later: Array) -> Array:
    return np.full_like(later, np.nan)


def to_enormous(later: Array) -> Array:
    return later * 0 + 1e12 * (-1.0) ** np.arange(len(later)).reshape(-1, *[1] * (later.ndim - 1))


def to_disorder(later: Array) -> Array:
    return later[np.random.default_rng(0).permutation(len(later))]


@pytest.mark.parametrize("poison", [to_nan, to_enormous, to_disorder])
@pytest.mark.parametrize("cut", [15, 40, 91, 150])
def test_the_future_is_invisible(poison: Callable[[Array], Array], cut: int) -> None:
    X, Y = regression(8, m=2)
    X = np.column_stack([X, np.arange(200) == 80])  # deficient, then not
    known = expanding_least_squares(X, Y, 10)
    X[cut:], Y[cut:] = poison(X[cut:]), poison(Y[cut:])
    same(known, expanding_least_squares(X, Y, 10), cut)


@pytest.mark.parametrize("k", [2, 4, 12])
@pytest.mark.parametrize("m", [0, 3])
def test_a_sample_cut_earlier_is_the_answer_of_then(k: int, m: int) -> None:
    X, y = regression(9, k=k, m=m)
    whole = expanding_least_squares(X, y, 30)
    for cut in range(31, 200, 4):
        same(whole, expanding_least_squares(X[:cut], y[:cut], 30), cut)


# --------------------------------------------------------------------------- accuracy


def worst_fitted_error(X: Array, y: Array, b: Array) -> float:
    """Largest error of X b against least squares in 60 digits."""
    with mpmath.workdps(60):
        A, response = mpmath.matrix(X.tolist()), mpmath.matrix(y.tolist())
        error = A * (mpmath.matrix(b.tolist()) - mpmath.lu_solve(A.T * A, A.T * response))
        return float(max(abs(value) for value in error))


def badly_scaled() -> Array:
    X, _ = regression(10, T=300, k=7)
    return X / np.linalg.norm(X, axis=0) * 10.0 ** -np.linspace(0, 13, 7)


def polynomial_trend() -> Array:
    return np.arange(1.0, 301)[:, None] ** np.arange(7)


@pytest.mark.parametrize("design", [badly_scaled, polynomial_trend])
def test_fitted_values_keep_nine_digits_at_a_condition_of_1e13(design: Callable[[], Array]) -> None:
    X = design()
    assert np.linalg.cond(X) > 0.9e13
    y = np.random.default_rng(11).normal(size=300) + np.sin(np.arange(300) / 20)
    fit = expanding_least_squares(X, y, 60)
    assert (fit.rank[60:] == 7).all()
    for t in (60, 150, 299):
        assert worst_fitted_error(X[: t + 1], y[: t + 1], fit.coefficients[t]) < 1e-11


def collinear(condition: float, T: int = 150) -> Array:
    rng = np.random.default_rng(12)
    left, right = np.linalg.qr(rng.normal(size=(T, 7)))[0], np.linalg.qr(rng.normal(size=(7, 7)))[0]
    X: Array = left * np.geomspace(1, 1 / condition, 7) @ right * np.sqrt(T)
    return X


def test_nearly_collinear_columns_with_little_noise_keep_nine_digits_at_1e13() -> None:
    X = collinear(1e13)
    y = X @ np.ones(7) + 1e-6 * np.random.default_rng(13).normal(size=150)
    fit = expanding_least_squares(X, y, 60)
    for t in (60, 120):
        assert fit.rank[t] == 7
        assert worst_fitted_error(X[: t + 1], y[: t + 1], fit.coefficients[t]) < 1e-9


@pytest.mark.parametrize("condition", [1e4, 1e7, 1e10, 1e12])
def test_errors_are_no_larger_than_rounding_the_coefficients(condition: float) -> None:
    # Noise in a direction that hardly varies makes huge coefficients that cancel; no double has more of their digits.
    X = collinear(condition)
    y = np.random.default_rng(14).normal(size=150)
    fit = expanding_least_squares(X, y, 60)
    for t in (60, 149):
        rounding = np.finfo(float).eps * (np.abs(X[: t + 1]) @ np.abs(fit.coefficients[t])).max()
        assert worst_fitted_error(X[: t + 1], y[: t + 1], fit.coefficients[t]) < 30 * rounding + 1e-14


seeds = st.integers(0, 2**32 - 1)


@settings(max_examples=40, deadline=None)
@given(seeds, st.lists(st.floats(-12, 12), min_size=4, max_size=4), st.permutations(range(4)))
def test_changing_units_or_order_of_columns_changes_nothing_else(
    seed: int, powers: list[float], order: list[int]
) -> None:
    X, y = regression(seed, T=60)
    units = 10.0 ** np.array(powers)
    fit, other = expanding_least_squares(X, y, 10), expanding_least_squares((X * units)[:, order], y, 10)
    np.testing.assert_allclose(other.coefficients * units[order], fit.coefficients[:, order], rtol=1e-7, atol=1e-10)
    np.testing.assert_allclose(other.rss, fit.rss, rtol=1e-8)


@settings(max_examples=40, deadline=None)
@given(seeds)
def test_squares_never_fall_as_rows_are_added(seed: int) -> None:
    X, y = regression(seed, T=80)
    rss = expanding_least_squares(X, y, 4).rss
    assert (np.diff(rss[4:]) > -1e-12 * rss[-1]).all()
    assert (expanding_least_squares(X, X @ np.ones(4), 4).rss[4:] >= 0).all()


def test_memory_is_that_of_the_answer_and_one_block() -> None:
    X, y = regression(15, T=6_000, k=10)
    tracemalloc.start()
    expanding_least_squares(X, y, 100)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (
        peak < 8e6
    )  # one float for each entry of X'X at each origin would be 4.8e6, and there are several such arrays


def test_impossible_requests_are_refused_with_their_reason() -> None:
    X, y = regression(16)
    with pytest.raises(ModelError, match="expected"):
        expanding_least_squares(X, y[:-1], 10)
    with pytest.raises(ModelError, match="infinite"):
        expanding_least_squares(np.where(X > 1, np.inf, X), y, 10)
    for first in (-1, 200):
        with pytest.raises(ModelError, match=f"first = {first} is no row of 200"):
            expanding_least_squares(X, y, first)
