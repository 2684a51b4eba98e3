from __future__ import annotations

import numpy as np
import pytest

from forecast.errors import ShortHistoryError
from models.residual_rows import draw_rows, require_rows, rows_at


def availability() -> np.ndarray:
    """Long, begun late, published late and begun late, never together with the long one at the end."""
    available = np.ones((100, 4), dtype=bool)
    available[90:, 0] = False
    available[:60, 1] = False
    available[95:, 1] = False
    available[:40, 2] = False
    available[:95, 3] = False
    return available


def test_every_target_draws_uniformly_from_its_own_rows() -> None:
    available, n = availability(), 200_000
    rows = draw_rows(available, n, np.random.default_rng(0))
    for k in range(4):
        share = np.bincount(rows[:, k], minlength=100) / n
        expected = available[:, k] / available[:, k].sum()
        error = np.sqrt(np.maximum(expected, 1e-12) / n)
        assert (np.abs(share - expected) <= 5 * error).all()


def test_a_target_never_draws_a_row_it_does_not_have() -> None:
    available = availability()
    rows = draw_rows(available, 5000, np.random.default_rng(1))
    assert available[rows, np.arange(4)].all()


def test_targets_share_the_row_wherever_both_have_it() -> None:
    available = availability()
    rows = draw_rows(available, 5000, np.random.default_rng(2))
    shared = available[rows[:, 0], 1]
    assert shared.mean() == pytest.approx(30 / 90, abs=0.03)
    assert (rows[shared, 1] == rows[shared, 0]).all()


def test_adding_a_short_target_leaves_the_draws_of_the_long_one() -> None:
    available = availability()
    alone = draw_rows(available[:, [0]], 1000, np.random.default_rng(3))
    together = draw_rows(available, 1000, np.random.default_rng(3))
    np.testing.assert_array_equal(alone[:, 0], together[:, 0])


def test_complete_rows_are_drawn_whole() -> None:
    rows = draw_rows(np.ones((50, 3), dtype=bool), 1000, np.random.default_rng(4))
    assert (rows == rows[:, [0]]).all()
    assert len(np.unique(rows)) == 50


def test_positions_walk_through_history() -> None:
    available = np.ones((10, 1), dtype=bool)
    available[3] = False
    positions = (np.arange(9) + 0.5) / 9
    rows = rows_at(available, positions, positions[:, None])
    np.testing.assert_array_equal(rows[:, 0], [0, 1, 2, 4, 5, 6, 7, 8, 9])


def test_too_few_rows_are_refused_by_name() -> None:
    require_rows(np.array([20, 30]), ("effr_iorb", "sofr_iorb"), what="weeks")
    with pytest.raises(ShortHistoryError, match="'sofr_iorb' has 19 weeks, fewer than the 20 needed"):
        require_rows(np.array([20, 19]), ("effr_iorb", "sofr_iorb"), what="weeks")
