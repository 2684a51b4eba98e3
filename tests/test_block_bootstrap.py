"""Blocks of weeks: their counts, their signs, and regressions under many weightings at once."""

from __future__ import annotations

import numpy as np
import pytest

from models.reserve_demand.block_bootstrap import (
    block_counts,
    block_length,
    block_multipliers,
    profile,
    residualised,
)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize(("weeks", "length"), [(100, 13), (2000, 13), (2744, 14), (4000, 16)])
def test_blocks_are_a_quarter_or_longer(weeks: int, length: int) -> None:
    assert block_length(weeks) == length


@pytest.mark.parametrize("weeks", [13, 130, 137])
def test_every_resample_has_as_many_weeks_as_the_sample(weeks: int) -> None:
    counts = block_counts(weeks, 13, 200, rng())
    assert counts.shape == (200, weeks)
    np.testing.assert_array_equal(counts.sum(axis=1), weeks)
    assert (counts >= 0).all()


def test_weeks_come_in_whole_blocks() -> None:
    counts = block_counts(130, 13, 50, rng())
    for row in counts:
        # Every change of the count begins or ends a block, and 10 blocks change it at most 20 times.
        assert np.abs(np.diff(np.concatenate([[0], row, [0]]))).sum() <= 20
        assert row[row > 0].sum() == 130


def test_middle_weeks_are_drawn_equally_often() -> None:
    counts = block_counts(400, 13, 4000, rng())
    expected = 31 * 13 / (400 - 12)
    np.testing.assert_allclose(counts[:, 40:-40].mean(axis=0), expected, rtol=0.1)


def test_a_block_longer_than_the_sample_is_the_sample() -> None:
    np.testing.assert_array_equal(block_counts(10, 13, 3, rng()), np.ones((3, 10)))


def test_signs_are_alike_within_blocks_and_independent_across() -> None:
    signs = block_multipliers(1300, 13, 400, rng())
    assert set(np.unique(signs)) == {-1.0, 1.0}
    assert np.abs(signs.mean(axis=0)).max() < 0.25
    # Correlation of weeks j apart falls in a straight line to zero at the block length.
    for lag in (1, 6, 13, 20):
        assert np.mean(signs[:, lag:] * signs[:, :-lag]) == pytest.approx(max(1 - lag / 13, 0), abs=0.02)


def test_blocks_of_one_week_are_independent_signs() -> None:
    signs = block_multipliers(500, 1, 500, rng())
    assert abs(np.mean(signs[:, 1:] * signs[:, :-1])) < 0.01


def test_residuals_are_orthogonal_to_what_was_taken_out() -> None:
    Z, H = rng(1).normal(size=(60, 3)), rng(2).normal(size=(60, 5))
    np.testing.assert_allclose(Z.T @ residualised(Z, H), 0, atol=1e-12)
    np.testing.assert_array_equal(residualised(np.empty((60, 0)), H), H)


@pytest.mark.parametrize("q", [0, 1, 4])
def test_profiled_squares_are_those_of_weighted_regressions(q: int) -> None:
    Z = np.column_stack([np.ones(130), rng(3).normal(size=(130, 3))])[:, :q]
    y, H = rng(4).normal(size=130) + 50, rng(5).normal(size=(130, 6)) + 3
    weights = block_counts(130, 13, 8, rng(6))
    yy, hy, hh = profile(weights, Z, y, H)
    for b, row in enumerate(np.sqrt(weights)):
        for k in range(6):
            X = np.column_stack([Z, H[:, k]]) * row[:, None]
            coefficients, squares, *_ = np.linalg.lstsq(X, y * row)
            assert hy[b, k] / hh[b, k] == pytest.approx(coefficients[-1], rel=1e-8)
            assert yy[b] - hy[b, k] ** 2 / hh[b, k] == pytest.approx(squares[0], rel=1e-8)


def test_a_dummy_that_a_resample_never_met_does_no_harm() -> None:
    Z = np.column_stack([np.ones(130), np.arange(130) == 100])
    y, H = rng(7).normal(size=130), rng(8).normal(size=(130, 2))
    weights = np.repeat(np.arange(130) < 65, 1).astype(float)[None]
    yy, hy, hh = profile(weights, Z, y, H)
    alone = profile(weights, Z[:, :1], y, H)
    np.testing.assert_allclose(hy / hh, alone[1] / alone[2], rtol=1e-6)
    np.testing.assert_allclose(yy, alone[0], rtol=1e-6)
