"""The grid of kinks against statsmodels, and tests and sets against their own definitions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from models.reserve_demand.block_bootstrap import block_counts, block_multipliers
from models.reserve_demand.kink_inference import (
    accepted,
    candidate_kinks,
    critical_ratio,
    grid_squares,
    hinges,
    likelihood_ratio,
    sup_f,
    weighted_kinks,
)


def tell(text: str) -> None:
    print(text)  # noqa: T201  the numbers are what these tests are run for


def ratios(n: int, seed: int) -> np.ndarray:
    """A slow path through the range of ratios, percent."""
    rng = np.random.default_rng(seed)
    return np.asarray(12 + 3.5 * np.sin(np.arange(n) / 40 + rng.uniform(0, 6)) + 0.2 * rng.standard_normal(n))


def errors(n: int, root: float, rng: np.random.Generator) -> np.ndarray:
    from scipy.signal import lfilter

    shocks = rng.standard_normal(n + 100)
    return np.asarray(lfilter([1.0], [1.0, -root], shocks)[100:] * np.sqrt(1 - root**2))


def sample(
    n: int = 300, seed: int = 0, slope: float = 2.0, kink: float = 12.0, root: float = 0.0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Constant and quarter ends (n, 2), spread (n,), ratio (n,)."""
    x, quarter = ratios(n, seed), (np.arange(n) % 13 == 5).astype(float)
    y = -7 + slope * np.maximum(kink - x, 0) + 1.5 * quarter + errors(n, root, np.random.default_rng(1000 + seed))
    return np.column_stack([np.ones(n), quarter]), y, x


# --------------------------------------------------------------------------- the grid


def test_the_grid_lies_between_the_outer_fifteen_percents() -> None:
    x = ratios(500, 1)
    kinks = candidate_kinks(x)
    assert len(kinks) == 281
    assert np.mean(x < kinks[0]) == pytest.approx(0.15, abs=0.003)
    assert np.mean(x > kinks[-1]) == pytest.approx(0.15, abs=0.003)
    np.testing.assert_allclose(np.diff(kinks), np.diff(kinks)[0])


def test_the_grid_is_a_loop_over_regressions() -> None:
    import statsmodels.api as sm

    Z, y, x = sample()
    kinks = candidate_kinks(x)
    none, bent = grid_squares(Z, y, hinges(x, kinks))
    loop = [sm.OLS(y, np.column_stack([Z, np.maximum(k - x, 0)])).fit(method="qr").ssr for k in kinks]
    np.testing.assert_allclose(bent, loop, rtol=1e-10)
    assert none == pytest.approx(sm.OLS(y, Z).fit(method="qr").ssr, rel=1e-10)


def test_the_f_statistic_is_that_of_the_best_regression() -> None:
    import statsmodels.api as sm

    Z, y, x = sample()
    kinks = candidate_kinks(x)
    H = hinges(x, kinks)
    best = kinks[grid_squares(Z, y, H)[1].argmin()]
    peer = sm.OLS(y, np.column_stack([Z, np.maximum(best - x, 0)])).fit()
    statistic, _ = sup_f(Z, y, H, np.ones((1, len(y))))
    assert statistic == pytest.approx(float(peer.f_test(np.array([[0, 0, 1.0]])).fvalue), rel=1e-9)


def test_simulated_f_are_those_of_signed_residuals_one_at_a_time() -> None:
    Z, y, x = sample(slope=0.1)
    H, signs = hinges(x, candidate_kinks(x)), block_multipliers(len(y), 13, 30, np.random.default_rng(2))
    statistic, p = sup_f(Z, y, H, signs)
    e = y - Z @ np.linalg.lstsq(Z, y)[0]

    def largest(values: np.ndarray) -> float:
        free, held = grid_squares(Z, values, H)
        return float((len(y) - 3) * (free - held.min()) / held.min())

    assert statistic == pytest.approx(largest(y))
    assert p == pytest.approx((1 + sum(largest(s * e) >= statistic for s in signs)) / 31)


def test_the_simulated_ratio_is_that_of_each_simulated_sample() -> None:
    Z, y, x = sample()
    H, signs = hinges(x, candidate_kinks(x)), block_multipliers(len(y), 1, 25, np.random.default_rng(3))
    best = int(grid_squares(Z, y, H)[1].argmin())
    X = np.column_stack([Z, H[:, best]])
    mean = X @ np.linalg.lstsq(X, y)[0]
    each = [len(y) * likelihood_ratio(grid_squares(Z, mean + s * (y - mean), H)[1])[best] for s in signs]
    assert critical_ratio(Z, y, H, 0.9, signs) == pytest.approx(np.quantile(each, 0.9), rel=1e-8)


def test_a_clear_kink_is_found_and_a_flat_line_refused() -> None:
    Z, y, x = sample(slope=3.0)
    kinks = candidate_kinks(x)
    H, signs = hinges(x, kinks), block_multipliers(len(y), 13, 499, np.random.default_rng(4))
    assert kinks[grid_squares(Z, y, H)[1].argmin()] == pytest.approx(12.0, abs=0.3)
    assert sup_f(Z, y, H, signs)[1] == pytest.approx(1 / 500)
    assert sup_f(np.column_stack([Z, x]), y, H, signs)[1] == pytest.approx(1 / 500)


def test_a_straight_line_is_a_slope_but_no_kink() -> None:
    p = []
    for seed in range(20):
        Z, _, x = sample(seed=seed)
        y = 5 - 1.0 * x + np.random.default_rng(seed).standard_normal(len(x))
        H, signs = hinges(x, candidate_kinks(x)), block_multipliers(len(y), 13, 199, np.random.default_rng(seed))
        p.append((sup_f(Z, y, H, signs)[1], sup_f(np.column_stack([Z, x]), y, H, signs)[1]))
    flat, line = np.array(p).T
    assert (flat < 0.02).all()
    assert np.mean(line < 0.1) < 0.35


# --------------------------------------------------------------------------- sets and weights


@pytest.mark.parametrize(
    ("inside", "expected"),
    [
        ([0, 1, 1, 0, 0, 1], ((1.0, 2.0), (5.0, 5.0))),
        ([1, 1, 1, 1, 1, 1], ((0.0, 5.0),)),
        ([1, 0, 0, 0, 1, 0], ((0.0, 0.0), (4.0, 4.0))),
    ],
)
def test_a_set_may_be_in_pieces(inside: list[int], expected: Any) -> None:
    assert accepted(np.arange(6.0), np.array(inside, dtype=bool)) == expected


def test_the_estimate_is_in_its_own_set() -> None:
    for seed in range(5):
        Z, y, x = sample(seed=seed, slope=0.3)
        kinks = candidate_kinks(x)
        ratio = likelihood_ratio(grid_squares(Z, y, hinges(x, kinks))[1])
        assert ratio.min() == 0.0


def test_weighted_kinks_are_those_of_repeated_weeks() -> None:
    Z, y, x = sample(seed=5, slope=1.0)
    kinks, counts = candidate_kinks(x), block_counts(len(y), 13, 15, np.random.default_rng(5))
    found, coefficients = weighted_kinks(counts, Z, y, x, kinks)
    for b, row in enumerate(counts):
        rows = np.repeat(np.arange(len(y)), row.astype(int))
        squares = grid_squares(Z[rows], y[rows], hinges(x[rows], kinks))[1]
        assert found[b] == kinks[squares.argmin()]
        X = np.column_stack([Z[rows], np.maximum(found[b] - x[rows], 0)])
        np.testing.assert_allclose(coefficients[b], np.linalg.lstsq(X, y[rows])[0], rtol=1e-6, atol=1e-8)


# --------------------------------------------------------------------------- size and coverage, simulated


def rejections(root: float, block: int, seeds: int, n: int = 500) -> float:
    p = []
    for seed in range(seeds):
        Z, y, x = sample(n, seed, slope=0.0, root=root)
        signs = block_multipliers(n, block, 299, np.random.default_rng(seed))
        p.append(sup_f(Z, y, hinges(x, candidate_kinks(x)), signs)[1])
    return float(np.mean(np.array(p) <= 0.1))


@pytest.mark.slow
def test_size_of_the_test_with_independent_and_with_persistent_errors() -> None:
    seeds = 600
    size = {(root, block): rejections(root, block, seeds) for root in (0.0, 0.7, 0.9) for block in (1, 13, 26)}
    tell(f"\nsup-F, nominal 10 percent, 500 weeks, by (root, block): {size}")
    assert size[0.0, 1] == pytest.approx(0.1, abs=0.03)
    assert size[0.0, 13] == pytest.approx(0.1, abs=0.05)
    # Independent signs know nothing of the correlation of errors: that is why they are not the default.
    assert size[0.7, 1] > 0.3
    assert size[0.7, 13] < 0.19
    assert size[0.7, 13] < size[0.7, 1] / 2


@pytest.mark.slow
def test_coverage_of_the_likelihood_set() -> None:
    seeds, n = 500, 500
    held = {}
    for root, block in ((0.0, 1), (0.0, 13), (0.7, 1), (0.7, 13)):
        inside, by_table, widths = [], [], []
        for seed in range(seeds):
            Z, y, x = sample(n, seed, slope=2.0, root=root)
            kinks = candidate_kinks(x)
            H, signs = hinges(x, kinks), block_multipliers(n, block, 299, np.random.default_rng(seed))
            ratio = n * likelihood_ratio(grid_squares(Z, y, H)[1])
            at = np.interp(12.0, kinks, ratio)
            critical = critical_ratio(Z, y, H, 0.9, signs)
            inside.append(at <= critical)
            by_table.append(at <= 2.706)
            widths.append(np.ptp(kinks[ratio <= critical]))
        held[root, block] = (np.mean(inside), np.mean(by_table), np.median(widths))
    tell(f"\n90 percent likelihood set by (root, block): simulated, chi-squared, median width {held}")
    assert held[0.0, 1][0] == pytest.approx(0.9, abs=0.04)
    assert held[0.0, 1][1] == pytest.approx(0.9, abs=0.04)
    assert held[0.7, 13][0] > 0.8
    assert held[0.7, 13][0] > held[0.7, 1][0] + 0.1
