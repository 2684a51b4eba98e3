"""How late a real-time slope is: the economy's truth, and that the curve shows what memory costs."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from forecast.numerics.least_squares import least_squares
from models.reserve_demand.drifting_slope import FIRST_SLOPE
from models.reserve_demand.slope_delay import Descent, delay, slope_delay

COLUMNS = [
    "truth",
    *(f"{who}_{what}" for who in ("instrumental", "least_squares") for what in ("median", "bias", "rmse")),
]


def curve(**options: float) -> pd.DataFrame:
    return slope_delay(Descent(flat=160, ramp=20, steep=140), np.random.default_rng(0), runs=12, **options)  # type: ignore[arg-type]


def test_the_true_slope_is_flat_then_steepens_then_stays() -> None:
    slopes = Descent(flat=3, ramp=3, steep=2, after=-2.0).slopes()
    np.testing.assert_allclose(slopes, [0, 0, 0, -0.5, -1, -1.5, -2, -2])


def test_without_demand_the_spread_follows_the_ratio_by_the_true_slope() -> None:
    economy = Descent(flat=10, ramp=0, steep=400, before=0.0, after=-1.5, demand=0.0, spill=0.0)
    ratio, spread = np.diff(economy.simulate(np.random.default_rng(1)), axis=0).T
    np.testing.assert_allclose(spread[:9], 0.0, atol=1e-12)
    np.testing.assert_allclose(spread[10:], -1.5 * ratio[10:], atol=1e-12)
    assert np.std(ratio) == pytest.approx(0.2, rel=0.15)


def test_demand_biases_least_squares_in_changes_upwards() -> None:
    economy = Descent(flat=0, ramp=0, steep=20_000)
    ratio, spread = np.diff(economy.simulate(np.random.default_rng(2)), axis=0).T
    slope = least_squares(ratio[:, None], spread).coefficients[0]
    expected = (-1.0 * 0.2**2 + 2 * 0.5 * 0.1) / (0.2**2 + 2 * 0.1**2)
    assert slope == pytest.approx(expected, abs=0.05)


def test_the_curve_has_a_row_a_week_and_errors_that_add_up() -> None:
    found = curve()
    assert list(found.columns) == COLUMNS
    assert found.index[0] == 4 + FIRST_SLOPE
    assert len(found) == 320 - 4 - FIRST_SLOPE
    assert (found["instrumental_rmse"] >= found["instrumental_bias"].abs() - 1e-12).all()
    assert found.notna().all().all()
    pd.testing.assert_frame_equal(found, curve())


def test_a_longer_memory_sees_the_change_later() -> None:
    short, long = (curve(forgetting=memory) for memory in (0.95, 0.99))
    assert delay(short) < delay(long)
    # Right after the ramp both still say flat; the long memory also does a year later.
    assert long["instrumental_bias"].loc[185] > 0.5
    assert long["instrumental_bias"].iloc[-80:].mean() > short["instrumental_bias"].iloc[-80:].mean() + 0.1


def test_delay_counts_from_the_truth_and_is_infinite_where_half_is_never_seen() -> None:
    truth = np.array([0.0, 0, -0.4, -0.6, -1, -1, -1, -1])
    table = pd.DataFrame({"truth": truth, "instrumental_median": np.r_[0, 0, truth[:-2]], "least_squares_median": 0.0})
    assert delay(table) == 2
    assert delay(table, "least_squares") == float("inf")
    assert delay(-table) == 2
