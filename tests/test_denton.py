"""Denton's disaggregation: held against a dense solve and closed forms; averages met; nothing made of averages to come."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.sparse import csr_array

from forecast.errors import ModelError, ShortHistoryError
from forecast.numerics.denton import denton, smoothest

type Array = NDArray[np.float64]


def weeks(days: int, length: int, *, first: int = 0, skip: tuple[int, ...] = ()) -> Array:
    """Means over consecutive stretches of ``length`` days that lie within ``days``."""
    starts = [s for k, s in enumerate(range(first, days - length + 1, length)) if k not in skip]
    shares = np.zeros((len(starts), days))
    for row, start in zip(shares, starts, strict=True):
        row[start : start + length] = 1 / length
    return shares


def uneven(seed: int, days: int = 60) -> Array:
    """Weeks of four to six days in which some days stand longer, and a day that belongs to two weeks."""
    rng = np.random.default_rng(seed)
    rows, start = [], int(rng.integers(0, 4))
    while start + 6 < days - 3:
        length = int(rng.integers(4, 7))
        stands = rng.integers(1, 4, length).astype(float)
        row = np.zeros(days)
        row[start : start + length] = stands / stands.sum()
        rows.append(row)
        start += length - int(rng.random() < 0.2)
    return np.array(rows)


def by_null_space(indicator: Array, averages: Array, shares: Array) -> Array:
    """The same minimum without multipliers: one solution, and least squares over all that leave the averages alone."""
    particular = np.linalg.pinv(shares) @ (averages - shares @ indicator)
    free = np.linalg.svd(shares)[2][len(shares) :].T
    D = np.diff(np.eye(len(indicator)), axis=0)
    return np.asarray(indicator + particular - free @ np.linalg.lstsq(D @ free, D @ particular, rcond=None)[0])


def by_dense_conditions(indicator: Array, averages: Array, shares: Array) -> Array:
    """The conditions of the minimum in one square matrix."""
    J, T = shares.shape
    D = np.diff(np.eye(T), axis=0)
    matrix = np.block([[D.T @ D, shares.T], [shares, np.zeros((J, J))]])
    right = np.concatenate([np.zeros(T), averages - shares @ indicator])
    return np.asarray(indicator + np.linalg.solve(matrix, right)[:T])


def example(seed: int, shares: Array) -> tuple[Array, Array]:
    """Reserves in USD bn: a walking indicator, and averages that are off by another walk."""
    rng = np.random.default_rng(seed)
    indicator = 3500 + np.cumsum(rng.normal(0, 60, shares.shape[1]))
    return indicator, shares @ indicator - 150 + np.cumsum(rng.normal(0, 20, len(shares)))


SHARES = {
    "whole weeks": weeks(35, 7),
    "days before and after": weeks(60, 7, first=5),
    "a week without an average": weeks(60, 5, skip=(3, 4)),
    "one week": weeks(12, 5, first=3),
    **{f"uneven {seed}": uneven(seed) for seed in range(6)},
}


@pytest.mark.parametrize("name", SHARES)
def test_the_band_gives_what_dense_solutions_give(name: str) -> None:
    shares = SHARES[name]
    indicator, averages = example(1, shares)
    found = denton(indicator, averages, csr_array(shares))
    np.testing.assert_allclose(found, by_null_space(indicator, averages, shares), atol=1e-8)
    np.testing.assert_allclose(found, by_dense_conditions(indicator, averages, shares), atol=1e-8)


@pytest.mark.parametrize("name", SHARES)
def test_averages_are_met(name: str) -> None:
    shares = SHARES[name]
    indicator, averages = example(2, shares)
    np.testing.assert_allclose(shares @ denton(indicator, averages, csr_array(shares)), averages, rtol=0, atol=1e-9)


def test_averages_of_twenty_years_are_met() -> None:
    shares = csr_array(weeks(5200, 5))
    rng = np.random.default_rng(0)
    indicator = 3500 + rng.normal(0, 60, 5200).cumsum()
    averages = shares @ indicator + rng.normal(0, 20, 1040).cumsum()
    np.testing.assert_allclose(shares @ denton(indicator, averages, shares), averages, rtol=0, atol=1e-9)


def test_no_feasible_change_makes_the_discrepancy_smoother() -> None:
    shares = SHARES["uneven 3"]
    indicator, averages = example(3, shares)
    found = denton(indicator, averages, csr_array(shares)) - indicator
    free = np.linalg.svd(shares)[2][len(shares) :]
    rough = np.sum(np.diff(found) ** 2)
    rng = np.random.default_rng(0)
    for _ in range(200):
        other = found + rng.normal(0, 1, len(free)) @ free * 10 ** rng.uniform(-4, 1)
        assert np.sum(np.diff(other) ** 2) > rough


# --------------------------------------------------------------------------- closed forms


def test_an_indicator_that_is_off_by_a_constant_keeps_every_movement() -> None:
    shares = SHARES["days before and after"]
    indicator, _ = example(4, shares)
    found = denton(indicator, shares @ (indicator + 123.25), csr_array(shares))
    np.testing.assert_allclose(found, indicator + 123.25, atol=1e-9)


def test_one_average_shifts_the_indicator() -> None:
    shares = SHARES["one week"]
    indicator, _ = example(5, shares)
    found = denton(indicator, np.array([4000.0]), csr_array(shares))
    np.testing.assert_allclose(found, indicator + 4000 - indicator[3:8].mean(), atol=1e-9)


def test_averages_of_single_days_are_joined_by_straight_lines() -> None:
    shares = np.zeros((3, 21))
    shares[[0, 1, 2], [2, 7, 17]] = 1.0
    found = smoothest(np.array([10.0, 30.0, -20.0]), csr_array(shares))
    np.testing.assert_allclose(found, np.interp(np.arange(21), [2, 7, 17], [10, 30, -20]), atol=1e-10)


def test_two_adjacent_weeks_by_hand() -> None:
    # Weeks of two days with averages 0 and 1: d = (-a, a, 1-a, 1+a), squares 4a^2 + (1-2a)^2 + 4a^2, least at a = 1/6.
    found = smoothest(np.array([0.0, 1.0]), csr_array(weeks(4, 2)))
    np.testing.assert_allclose(found, [-1 / 6, 1 / 6, 5 / 6, 7 / 6], atol=1e-12)


def test_the_discrepancy_stands_still_outside_the_averages() -> None:
    shares = weeks(65, 7, first=11)
    indicator, averages = example(6, shares)
    discrepancy = denton(indicator, averages, csr_array(shares)) - indicator
    first, last = np.flatnonzero(shares.any(axis=0))[[0, -1]]
    np.testing.assert_allclose(discrepancy[last:], discrepancy[last], atol=1e-9)
    np.testing.assert_allclose(discrepancy[: first + 1], discrepancy[first], atol=1e-9)
    assert last < 64
    assert np.ptp(discrepancy[first : last + 1]) > 1


def test_days_after_the_last_average_change_nothing_before() -> None:
    shares = weeks(49, 7)
    indicator, averages = example(7, shares)
    longer = np.hstack([shares, np.zeros((len(shares), 10))])
    found = denton(np.append(indicator, indicator[-1] + np.arange(10) * 1e6), averages, csr_array(longer))
    np.testing.assert_allclose(found[:49], denton(indicator, averages, csr_array(shares)), atol=1e-9)


def test_the_influence_of_a_later_week_dies_out_but_is_there() -> None:
    shares = weeks(140, 7)
    indicator, averages = example(8, shares)
    changed = averages + np.eye(len(shares))[-1]
    moved = denton(indicator, changed, csr_array(shares)) - denton(indicator, averages, csr_array(shares))
    by_week = np.abs(moved).reshape(-1, 7).max(axis=1)[::-1]
    assert by_week[0] > 1
    assert (by_week[2:8] < 0.3 * by_week[1:7]).all()
    assert 1e-8 < by_week[8] < 1e-3


def test_scale_and_level_pass_through() -> None:
    shares = csr_array(SHARES["uneven 2"])
    indicator, averages = example(9, shares.toarray())
    found = denton(indicator, averages, shares)
    np.testing.assert_allclose(denton(1e-3 * indicator, 1e-3 * averages, shares), 1e-3 * found, atol=1e-10)
    np.testing.assert_allclose(denton(indicator - 3000, averages, shares), found, atol=1e-8)


def test_one_day_is_its_average() -> None:
    assert denton(np.array([7.0]), np.array([9.0]), csr_array(np.ones((1, 1)))) == pytest.approx([9.0])


# --------------------------------------------------------------------------- refusals


def test_no_average_is_refused() -> None:
    with pytest.raises(ShortHistoryError, match="level of the series is unknown"):
        denton(np.ones(5), np.empty(0), csr_array((0, 5)))


@pytest.mark.parametrize("second", [1.0, 2.0])
def test_two_averages_of_the_same_days_are_refused(second: float) -> None:
    shares = csr_array(np.array([[0.5, 0.5, 0, 0], [0.5, 0.5, 0, 0]]))
    with pytest.raises(ModelError, match="not independent"):
        denton(np.zeros(4), np.array([1.0, second]), shares)


@pytest.mark.parametrize("where", ["indicator", "average", "weight"])
def test_a_missing_value_is_refused(where: str) -> None:
    shares = weeks(10, 5)
    indicator, averages = example(1, shares)
    {"indicator": indicator, "average": averages, "weight": shares[0]}[where][1] = np.nan
    with pytest.raises(ModelError, match="not finite"):
        denton(indicator, averages, csr_array(shares))


def test_an_average_without_a_day_is_named() -> None:
    shares = np.vstack([weeks(10, 5), np.zeros((1, 10))])
    with pytest.raises(ModelError, match="average 2 has no day"):
        denton(np.zeros(10), np.zeros(3), csr_array(shares))


def test_shapes_that_disagree_are_refused() -> None:
    with pytest.raises(ModelError, match=r"expected \(J, T\)"):
        denton(np.zeros(10), np.zeros(3), csr_array(weeks(10, 5)))
