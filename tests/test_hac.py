"""R's sandwich, statsmodels and closed forms; and that no covariance is negative, changes with units or sees order."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecast.errors import ModelError, ShortHistoryError
from forecast.numerics.hac import (
    KERNELS,
    bartlett,
    hac_covariance,
    parzen,
    quadratic_spectral,
    weighted_autocovariances,
)
from forecast.numerics.least_squares import LeastSquares, ehw_covariance, least_squares

REFERENCE = Path(__file__).parent / "reference"
STORED = pd.read_csv(REFERENCE / "hac.csv")
DATA = pd.read_csv(REFERENCE / "hac_data.csv")
CASES = ["regression", "kernel", "lags", "small_sample", "prewhite"]


def stored_regression(name: str) -> LeastSquares:
    rows = DATA[DATA["regression"] == name].drop(columns=["regression", "t"]).dropna(axis=1)
    X = np.column_stack([np.ones(len(rows)), rows.drop(columns="y").to_numpy(dtype=float)])
    return least_squares(X, rows["y"].to_numpy())


def autocorrelated(seed: int, n: int = 60, k: int = 3, m: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    X = np.column_stack([np.ones(n), rng.normal(size=(n, k - 1)).cumsum(axis=0)])
    y = rng.normal(size=(n, m) if m else n)
    for t in range(1, n):
        y[t] += 0.6 * y[t - 1]
    return X, y


@pytest.mark.parametrize("case", list(STORED.groupby(CASES).groups), ids=str)
def test_covariances_are_those_of_sandwich(case: tuple[Any, ...]) -> None:
    name, kernel, lags, small_sample, prewhite = case
    entries = STORED.groupby(CASES).get_group(case)
    fit = stored_regression(name)
    if kernel == "none":
        ours = ehw_covariance(fit, small_sample=bool(small_sample))
    else:
        ours = hac_covariance(fit, lags, kernel=kernel, small_sample=bool(small_sample), prewhite=bool(prewhite))
    values = ours[entries["row"], entries["column"]]
    # Relative to the two standard errors that an entry belongs to: covariances near zero have no digits of their own.
    size = np.sqrt(np.diag(ours)[entries["row"]] * np.diag(ours)[entries["column"]])
    np.testing.assert_allclose(values / size, entries["value"] / size, rtol=1e-8, atol=1e-8)


def test_forty_eight_combinations_and_more_are_compared() -> None:
    per_regression = STORED[STORED["kernel"] != "none"].groupby("regression")[CASES[1:]]
    assert all(len(group.drop_duplicates()) == 48 for _, group in per_regression)


@pytest.mark.parametrize("lags", [0, 1, 4, 12])
@pytest.mark.parametrize("small_sample", [True, False])
def test_bartlett_is_the_covariance_of_statsmodels(lags: int, small_sample: bool) -> None:
    import statsmodels.api as sm

    X, y = autocorrelated(1)
    peer = sm.OLS(y, X).fit(method="qr", cov_type="HAC", cov_kwds={"maxlags": lags, "use_correction": small_sample})
    ours = hac_covariance(least_squares(X, y), lags, small_sample=small_sample)
    np.testing.assert_allclose(ours, peer.cov_params(), rtol=1e-10)


@pytest.mark.parametrize("kernel", ["bartlett", "parzen"])
@pytest.mark.parametrize("small_sample", [True, False])
def test_without_lags_it_is_eicker_huber_white(kernel: Any, small_sample: bool) -> None:
    fit = least_squares(*autocorrelated(2, m=2))
    ours = hac_covariance(fit, 0, kernel=kernel, small_sample=small_sample)
    np.testing.assert_allclose(ours, ehw_covariance(fit, small_sample=small_sample), rtol=1e-12, atol=1e-16)


def test_the_variance_of_a_mean_has_its_textbook_answer() -> None:
    # y = 1, 3, 2, 6, mean 3, e = -2, 0, -1, 3: G(0) = 14, G(1) = -3; V = (14 - 2 * 3 / 2) / 4^2 with one lag.
    fit = least_squares(np.ones((4, 1)), np.array([1.0, 3, 2, 6]))
    assert hac_covariance(fit, 1, small_sample=False) == pytest.approx(np.array([[11 / 16]]))
    assert hac_covariance(fit, 1) == pytest.approx(np.array([[11 / 12]]))


def test_prewhitening_a_mean_divides_by_one_less_the_root() -> None:
    # Scores of a mean are errors over sqrt(n) in the basis; their own autoregression has root a.
    y = np.random.default_rng(3).normal(size=50).cumsum()[::5]
    e = y - y.mean()
    a = e[1:] @ e[:-1] / (e[:-1] @ e[:-1])
    left = e[1:] - a * e[:-1]
    expected = left @ left / (1 - a) ** 2 / len(y) ** 2
    ours = hac_covariance(least_squares(np.ones((10, 1)), y), 0, small_sample=False, prewhite=True)
    assert ours.item() == pytest.approx(expected, rel=1e-12)


def test_kernels_have_their_published_values() -> None:
    x = np.array([0, 0.25, 0.5, 0.75, 1, 2])
    assert bartlett(x) == pytest.approx([1, 0.75, 0.5, 0.25, 0, 0])
    assert parzen(x) == pytest.approx([1, 1 - 6 / 16 + 6 / 64, 0.25, 2 / 64, 0, 0])
    assert quadratic_spectral(np.zeros(1)) == 1
    assert quadratic_spectral(np.array([1e-3])) == pytest.approx(1 - 18 * np.pi**2 / 125 * 1e-6, abs=1e-9)
    assert quadratic_spectral(np.array([5 / 6])) == pytest.approx(3 / np.pi**2)  # y = pi


def test_the_long_run_variance_of_a_moving_average_is_recovered() -> None:
    # e(t) = u(t) + 0.5 u(t-1): long-run variance 1.5^2, which errors taken one by one put at 1.25.
    rng = np.random.default_rng(4)
    n = 20_000
    u = rng.normal(size=n + 1)
    fit = least_squares(np.ones((n, 1)), u[1:] + 0.5 * u[:-1])
    for kernel in KERNELS:
        assert n * hac_covariance(fit, 30, kernel=kernel).item() == pytest.approx(2.25, rel=0.1)
    assert n * ehw_covariance(fit).item() == pytest.approx(1.25, rel=0.05)


def test_an_answer_for_several_responses_is_the_answer_for_each() -> None:
    X, Y = autocorrelated(5, m=3)
    for prewhite in (False, True):
        together = hac_covariance(least_squares(X, Y), 4, prewhite=prewhite)
        assert together.shape == (3, 3, 3)
        for j in range(3):
            alone = hac_covariance(least_squares(X, Y[:, j]), 4, prewhite=prewhite)
            np.testing.assert_allclose(together[j], alone, rtol=1e-9, atol=1e-14)


seeds = st.integers(0, 2**32 - 1)


@settings(max_examples=60, deadline=None)
@given(seeds, st.integers(0, 58), st.sampled_from(sorted(KERNELS)), st.booleans())
def test_no_combination_of_coefficients_has_a_negative_variance(
    seed: int, lags: int, kernel: Any, prewhite: bool
) -> None:
    V = hac_covariance(least_squares(*autocorrelated(seed)), lags, kernel=kernel, prewhite=prewhite)
    np.testing.assert_array_equal(V, V.T)
    scale = np.sqrt(np.diag(V))
    assert np.linalg.eigvalsh(V / np.outer(scale, scale)).min() > -1e-12


@settings(max_examples=40, deadline=None)
@given(seeds, st.lists(st.floats(-9, 9), min_size=3, max_size=3), st.floats(-9, 9), st.booleans())
def test_units_of_columns_and_response_change_nothing_else(
    seed: int, powers: list[float], power: float, prewhite: bool
) -> None:
    X, y = autocorrelated(seed)
    units, unit = 10.0 ** np.array(powers), 10.0**power
    V = hac_covariance(least_squares(X, y), 5, prewhite=prewhite)
    other = hac_covariance(least_squares(X * units, y * unit), 5, prewhite=prewhite)
    scale = np.sqrt(np.diag(V))
    rescaled = other * np.outer(units, units) / unit**2
    np.testing.assert_allclose(rescaled / np.outer(scale, scale), V / np.outer(scale, scale), atol=1e-8)


@settings(max_examples=40, deadline=None)
@given(seeds, st.integers(0, 20))
def test_time_may_run_backwards(seed: int, lags: int) -> None:
    X, y = autocorrelated(seed)
    V = hac_covariance(least_squares(X, y), lags)
    np.testing.assert_allclose(hac_covariance(least_squares(X[::-1], y[::-1]), lags), V, rtol=1e-7, atol=1e-12)


def test_autocovariances_are_sums_over_all_pairs_of_rows() -> None:
    u, weights = np.random.default_rng(6).normal(size=(7, 2)), np.array([1, 0.5, 0, 0.25, 0.1])
    pairs = sum(
        weights[abs(t - s)] * np.outer(u[t], u[s]) for t in range(7) for s in range(7) if abs(t - s) < len(weights)
    )
    np.testing.assert_allclose(weighted_autocovariances(u, weights), pairs, rtol=1e-12)


def test_impossible_requests_are_refused_with_their_reason() -> None:
    fit = least_squares(*autocorrelated(7))
    with pytest.raises(ModelError, match="bartlett, parzen, quadratic_spectral"):
        hac_covariance(fit, 1, kernel="flat")  # type: ignore[arg-type]  # the mistake under test
    with pytest.raises(ModelError, match="lags = -1"):
        hac_covariance(fit, -1)
    with pytest.raises(ShortHistoryError, match="60 rows have no errors 60 periods apart"):
        hac_covariance(fit, 60)
    saturated = least_squares(np.eye(3), np.ones(3))
    with pytest.raises(ShortHistoryError, match="no residual variance"):
        hac_covariance(saturated, 1)


def test_scores_that_cannot_be_prewhitened_are_refused() -> None:
    X, y = autocorrelated(8)
    dummy = np.zeros((60, 1))
    dummy[30] = 1.0
    y[30] = 1e3
    with pytest.raises(ModelError, match="cannot be prewhitened"):
        hac_covariance(least_squares(np.hstack([X, dummy]), np.where(dummy[:, 0] > 0, 0.0, 0 * y)), 1, prewhite=True)
    growing = least_squares(np.ones((20, 1)), 1.5 ** np.arange(20.0))
    with pytest.raises(ModelError, match=r"root of 1\.\d+ and do not die out"):
        hac_covariance(growing, 1, prewhite=True)
