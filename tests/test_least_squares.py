"""Certified regressions in exact arithmetic, closed forms, another implementation's covariances, and invariances."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecast.errors import ModelError, RankDeficientError, ShortHistoryError
from forecast.numerics.least_squares import ehw_covariance, least_squares, numerical_rank, orthonormal_basis

NIST = Path(__file__).resolve().parents[2] / "shared" / "api_samples" / "nist"

# Degree of the polynomial in x; sets that are not listed use their columns as they stand.
DEGREE = {"filip": 10, "pontius": 2, **{f"wampler{i}": 5 for i in range(1, 6)}}

# Correct digits (log relative error) that are asked for: coefficients.
DIGITS = {
    "norris": 9,
    "pontius": 9,
    "noint1": 9,
    "noint2": 9,
    "longley": 9,
    "wampler1": 9,
    "wampler2": 9,
    "wampler3": 9,
    "wampler4": 9,
    "wampler5": 9,
    "filip": 7,
}


def nist[N](name: str, number: Callable[[str], N]) -> tuple[list[list[N]], list[N]]:
    """Regressors and response, powers computed in the arithmetic of ``number``."""
    path = NIST / f"{name}.csv"
    if not path.exists():
        pytest.skip(f"the certified data set {name}.csv is not at hand")
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    y = [number(row["y"]) for row in rows]
    columns = [column for column in rows[0] if column != "y"]
    if name in DEGREE:
        x = [number(row[columns[0]]) for row in rows]
        return [[value**power for power in range(DEGREE[name] + 1)] for value in x], y
    constant = [] if name.startswith("noint") else [number("1")]
    return [constant + [number(row[column]) for column in columns] for row in rows], y


def exact(X: list[list[Fraction]], y: list[Fraction]) -> tuple[list[Fraction], list[Fraction]]:
    """Coefficients and their variances from the normal equations in rational arithmetic: no rounding at all."""
    k = len(X[0])
    gram = [[sum(row[i] * row[j] for row in X) for j in range(k)] for i in range(k)]
    moment = [sum(row[i] * value for row, value in zip(X, y, strict=True)) for i in range(k)]
    table = [[*gram[i], moment[i], *(Fraction(int(i == j)) for j in range(k))] for i in range(k)]
    for i in range(k):
        table[i] = [value / table[i][i] for value in table[i]]
        for j in range(k):
            if j != i:
                multiple = table[j][i]
                table[j] = [a - multiple * b for a, b in zip(table[j], table[i], strict=True)]
    b = [row[k] for row in table]
    rss = sum((value - sum(p * q for p, q in zip(row, b, strict=True))) ** 2 for row, value in zip(X, y, strict=True))
    return b, [rss / (len(y) - k) * table[i][k + 1 + i] for i in range(k)]


def correct_digits(value: float, truth: Fraction) -> float:
    error = abs(Fraction(value) - truth)
    return 15.0 if error == 0 else min(15.0, -math.log10(error / abs(truth)))


@pytest.mark.parametrize("name", DIGITS)
def test_certified_regressions_come_out_to_the_digits_promised(name: str) -> None:
    coefficients, variances = exact(*nist(name, Fraction))
    fit = least_squares(*map(np.array, nist(name, float)))
    digits = [correct_digits(value, truth) for value, truth in zip(fit.coefficients, coefficients, strict=True)]
    assert min(digits) >= DIGITS[name]
    errors = np.sqrt(np.diag(fit.covariance()))
    for error, variance in zip(errors, variances, strict=True):
        if variance == 0:  # an exact fit: what is left is rounding of numbers up to 5e6
            assert error < 1e-7
        else:
            assert correct_digits(error**2, variance) >= 6


def test_the_exact_arithmetic_of_these_tests_reproduces_published_certified_values() -> None:
    filip, _ = exact(*nist("filip", Fraction))
    assert float(filip[0]) == pytest.approx(-1467.48961422980, rel=1e-14)
    assert float(filip[10]) == pytest.approx(-0.402962525080404e-04, rel=1e-14)
    longley, variances = exact(*nist("longley", Fraction))
    assert float(longley[0]) == pytest.approx(-3482258.63459582, rel=1e-14)
    assert math.sqrt(variances[6]) == pytest.approx(455.478499142212, rel=1e-14)


def test_a_line_through_three_points_has_its_textbook_answer() -> None:
    # y = 1, 2, 4 at x = 0, 1, 2: slope 3/2, intercept 5/6, residuals 1/6, -1/3, 1/6.
    fit = least_squares(np.array([[1.0, 0], [1, 1], [1, 2]]), np.array([1.0, 2, 4]))
    assert fit.coefficients == pytest.approx([5 / 6, 3 / 2], rel=1e-14)
    assert fit.residuals == pytest.approx([1 / 6, -1 / 3, 1 / 6], rel=1e-13)
    assert fit.degrees_of_freedom == 1
    assert fit.residual_variance() == pytest.approx(1 / 6, rel=1e-13)
    # (X'X)^-1 = [[5/6, -1/2], [-1/2, 1/2]].
    assert fit.covariance() == pytest.approx(np.array([[5, -3], [-3, 3]]) / 36, rel=1e-13)


def test_heteroskedastic_errors_of_two_groups_are_the_groups_own_variances() -> None:
    # With one dummy a group, each coefficient is a mean and HC0 its own sum of squares over n squared.
    X = np.repeat(np.eye(2), [3, 4], axis=0)
    y = np.array([1.0, 2, 6, -1, 0, 1, 4])
    fit = least_squares(X, y)
    spread = [np.sum((group - group.mean()) ** 2) / len(group) ** 2 for group in (y[:3], y[3:])]
    assert ehw_covariance(fit, small_sample=False) == pytest.approx(np.diag(spread), abs=1e-14)
    assert ehw_covariance(fit) == pytest.approx(np.diag(spread) * 7 / 5, abs=1e-14)


@pytest.mark.parametrize(("small_sample", "kind"), [(True, "HC1"), (False, "HC0")])
def test_covariances_agree_with_another_implementation(small_sample: bool, kind: str) -> None:
    import statsmodels.api as sm

    rng = np.random.default_rng(1)
    X = np.column_stack([np.ones(80), rng.normal(size=(80, 3)) * [1, 1e3, 1e-3]])
    y = X @ [1.0, 2, 3, 4] + rng.normal(size=80) * np.exp(X[:, 1])
    fit, peer = least_squares(X, y), sm.OLS(y, X).fit(method="qr")
    np.testing.assert_allclose(fit.coefficients, peer.params, rtol=1e-10)
    np.testing.assert_allclose(fit.covariance(), peer.cov_params(), rtol=1e-10)
    robust = sm.OLS(y, X).fit(method="qr", cov_type=kind).cov_params()
    np.testing.assert_allclose(ehw_covariance(fit, small_sample=small_sample), robust, rtol=1e-10)


def test_several_responses_at_once_are_the_same_as_one_by_one() -> None:
    rng = np.random.default_rng(2)
    X, Y = rng.normal(size=(50, 4)), rng.normal(size=(50, 3))
    together = least_squares(X, Y)
    assert together.coefficients.shape == (4, 3)
    assert together.covariance().shape == ehw_covariance(together).shape == (3, 4, 4)
    for j in range(3):
        alone = least_squares(X, Y[:, j])
        np.testing.assert_allclose(together.coefficients[:, j], alone.coefficients, rtol=1e-12)
        np.testing.assert_allclose(together.residuals[:, j], alone.residuals, atol=1e-14)
        np.testing.assert_allclose(together.covariance()[j], alone.covariance(), rtol=1e-12)
        np.testing.assert_allclose(ehw_covariance(together)[j], ehw_covariance(alone), rtol=1e-12)


def test_the_basis_is_orthonormal_and_inverts_the_design() -> None:
    X = np.random.default_rng(3).normal(size=(30, 5)) * 10.0 ** np.arange(-2, 3)
    basis = orthonormal_basis(X)
    np.testing.assert_allclose(basis.Q.T @ basis.Q, np.eye(5), atol=1e-14)
    np.testing.assert_allclose(basis.inverse @ basis.Q.T @ X, np.eye(5), atol=1e-9)
    np.testing.assert_allclose(basis.Q.T @ X @ basis.inverse, np.eye(5), atol=1e-14)


def test_a_basis_has_the_coordinates_of_any_row_and_the_coefficients_of_any_direction() -> None:
    rng = np.random.default_rng(3)
    X = rng.normal(size=(30, 5)) * 10.0 ** np.arange(-2, 3)
    basis = orthonormal_basis(X)
    np.testing.assert_allclose(basis.coordinates(X), basis.Q, atol=1e-14)
    row, direction = rng.normal(size=(1, 5)), rng.normal(size=(5, 1))
    np.testing.assert_allclose(basis.coordinates(row) @ basis.Q.T @ X, row, rtol=1e-10)
    np.testing.assert_allclose(X @ basis.coefficients(direction), basis.Q @ direction, atol=1e-13)
    np.testing.assert_allclose((X / basis.scale)[:, basis.order], basis.Q @ basis.R, atol=1e-14)


def test_rank_counts_columns_that_stand_alone() -> None:
    x = np.arange(8.0)
    assert numerical_rank(np.column_stack([x, x**2, 3 * x, np.zeros(8), 1e-9 * x**3])) == 3
    assert numerical_rank(np.eye(5)[:2]) == 2
    assert numerical_rank(np.empty((0, 3))) == 0
    assert numerical_rank(np.column_stack([x, x + 1e-6 * x**2])) == 2
    assert numerical_rank(np.column_stack([x, x + 1e-15 * x**2])) == 1


def test_condition_is_of_the_columns_brought_to_length_one() -> None:
    assert orthonormal_basis(np.diag([1e-8, 1.0, 1e8])).condition == pytest.approx(1)
    angle = 1e-3
    nearly_parallel = np.array([[1.0, np.cos(angle)], [0, np.sin(angle)]])
    assert orthonormal_basis(nearly_parallel).condition == pytest.approx(2 / angle, rel=1e-5)


def test_rank_deficiency_names_the_dependent_column_and_its_parts() -> None:
    rng = np.random.default_rng(4)
    tga, rrp, other = rng.normal(size=(3, 60))
    X = np.column_stack([np.ones(60), tga, 1e6 * rrp, other, 2 * tga - 3 * rrp])
    with pytest.raises(RankDeficientError) as error:
        least_squares(X, rng.normal(size=60), names=["constant", "tga", "rrp", "other", "factors"])
    said = str(error.value)
    assert "rank 4 of 5" in said
    assert all(name in said for name in ("tga", "rrp", "factors"))
    assert "other" not in said
    assert "constant" not in said


def test_a_zero_column_and_a_repeated_column_are_both_named() -> None:
    x = np.arange(1.0, 9)
    with pytest.raises(RankDeficientError, match="empty is zero throughout"):
        least_squares(np.column_stack([x, np.zeros(8)]), x, names=["x", "empty"])
    with pytest.raises(RankDeficientError, match=r"column (0 is a combination of column 1|1 is .* column 0)"):
        least_squares(np.column_stack([x, x]), x)


def test_impossible_requests_are_refused_with_their_reason() -> None:
    x = np.ones((3, 1))
    with pytest.raises(ModelError, match=r"not finite: reserves"):
        least_squares(np.array([[1.0], [np.nan]]), np.ones(2), names=["reserves"])
    with pytest.raises(ModelError, match="not finite: response 0"):
        least_squares(x, np.array([1, np.inf, 1]))
    with pytest.raises(ModelError, match="expected"):
        least_squares(x, np.ones(4))
    with pytest.raises(ShortHistoryError, match="2 rows cannot determine 3"):
        least_squares(np.ones((2, 3)), np.ones(2))
    saturated = least_squares(np.eye(2), np.ones(2))
    for ask in (saturated.covariance, lambda: ehw_covariance(saturated)):
        with pytest.raises(ShortHistoryError, match="no residual variance"):
            ask()


seeds = st.integers(0, 2**32 - 1)


@settings(max_examples=60, deadline=None)
@given(seeds, st.lists(st.floats(-12, 12), min_size=4, max_size=4), st.permutations(range(4)))
def test_changing_units_or_order_of_columns_changes_nothing_else(
    seed: int, powers: list[float], order: list[int]
) -> None:
    rng = np.random.default_rng(seed)
    X, y = rng.normal(size=(30, 4)), rng.normal(size=30)
    units = 10.0 ** np.array(powers)
    fit, other = least_squares(X, y), least_squares((X * units)[:, order], y)
    np.testing.assert_allclose(other.coefficients * units[order], fit.coefficients[order], rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(other.residuals, fit.residuals, rtol=1e-9, atol=1e-11)
    errors, others = (np.sqrt(np.diag(ehw_covariance(one))) for one in (fit, other))
    np.testing.assert_allclose(others * units[order], errors[order], rtol=1e-9)


@settings(max_examples=60, deadline=None)
@given(seeds, st.integers(2, 6), st.floats(-9, 9))
def test_exact_combinations_are_always_found(seed: int, k: int, power: float) -> None:
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(k + 5, k)) * 10.0 ** rng.uniform(-6, 6, size=k)
    length = np.sqrt(np.sum(X**2, axis=0))
    combination = 10**power * ((X / length) @ rng.uniform(0.5, 2, size=k))
    with pytest.raises(RankDeficientError):
        orthonormal_basis(np.column_stack([X, combination]))


@settings(max_examples=60, deadline=None)
@given(seeds)
def test_residuals_are_orthogonal_to_every_column(seed: int) -> None:
    rng = np.random.default_rng(seed)
    X, y = rng.normal(size=(25, 3)), rng.standard_t(2, size=25)
    fit = least_squares(X, y)
    np.testing.assert_allclose(X.T @ fit.residuals, 0, atol=1e-12 * np.abs(y).sum())
    np.testing.assert_allclose(X @ fit.coefficients + fit.residuals, y, atol=1e-12 * np.abs(y).max())
