"""Slopes in three units: the same curve, numbers that differ by a factor of eight, and no way to mix them up."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecast.answers.slope import SlopePer100bn, SlopePerPercent, SlopePerPoint
from forecast.errors import UnitError

ASSETS = st.floats(8_000, 40_000)  # USD bn
RATIO = st.floats(3, 30)  # percent of bank assets
SLOPE = st.floats(-20, 20)  # bp


def test_the_published_elasticity_is_a_tenth_of_a_basis_point_per_hundred_billion() -> None:
    # New York Fed, July 2026: -0.27 bp per point of bank assets, at about USD 24,500 bn of them.
    per_100bn = SlopePerPoint(np.array(-0.27)).per_100bn(24_500).values
    assert float(per_100bn) == pytest.approx(-0.27 / 2.45, rel=1e-12)
    assert round(float(per_100bn), 2) == -0.11


def test_per_point_and_per_percent_differ_by_eight_at_a_ratio_of_twelve() -> None:
    slope = SlopePerPoint(np.array(-1.0))
    assert float(slope.values / slope.per_percent(12.0).values) == pytest.approx(100 / 12, rel=1e-12)
    assert round(100 / 12, 1) == 8.3


def test_the_three_units_are_three_derivatives_of_one_curve() -> None:
    """Against numerical derivatives of s(R) = 5 exp(-R / 2000) with R in USD bn."""
    R, A = 3_000.0, 24_000.0

    def spread(reserves: float) -> float:
        return 5 * float(np.exp(-reserves / 2_000))

    per_bn = (spread(R + 0.5) - spread(R - 0.5)) / 1.0
    per_log = (spread(R * np.exp(5e-4)) - spread(R * np.exp(-5e-4))) / 1e-3
    point = SlopePer100bn(np.array(100 * per_bn)).per_point(A)
    one_point_more = A / 100  # USD bn
    assert float(point.values) == pytest.approx(
        (spread(R + one_point_more / 200) - spread(R - one_point_more / 200)) * 100, rel=1e-5
    )
    assert float(point.per_percent(100 * R / A).values) == pytest.approx(per_log / 100, rel=1e-5)


@given(SLOPE, ASSETS)
def test_dollars_and_points_convert_there_and_back(slope: float, assets: float) -> None:
    back = SlopePerPoint(np.array(slope)).per_100bn(assets).per_point(assets)
    np.testing.assert_allclose(back.values, slope, rtol=1e-12, atol=1e-300)


@given(SLOPE, RATIO)
def test_percent_and_points_convert_there_and_back(slope: float, ratio: float) -> None:
    back = SlopePerPoint(np.array(slope)).per_percent(ratio).per_point(ratio)
    np.testing.assert_allclose(back.values, slope, rtol=1e-12, atol=1e-300)


def test_arrays_keep_their_shape_and_broadcast_over_weeks() -> None:
    draws = SlopePerPoint(np.full((4, 3), -1.0))
    assets = np.array([10_000.0, 20_000.0, 25_000.0])
    np.testing.assert_allclose(draws.per_100bn(assets).values, np.tile(-1e4 / assets, (4, 1)))


@pytest.mark.parametrize("assets", [24.5, 24_500_000.0, 0.0, -24_500.0, float("nan")], ids=str)
def test_bank_assets_in_another_unit_are_refused(assets: float) -> None:
    for convert in (SlopePerPoint(np.array(-1.0)).per_100bn, SlopePer100bn(np.array(-1.0)).per_point):
        with pytest.raises(UnitError, match="USD bn"):
            convert(assets)


@pytest.mark.parametrize("ratio", [0.0, -12.0, 100.0, 3_300.0, float("nan")], ids=str)
def test_a_ratio_that_is_no_percentage_is_refused(ratio: float) -> None:
    for convert in (SlopePerPoint(np.array(-1.0)).per_percent, SlopePerPercent(np.array(-1.0)).per_point):
        with pytest.raises(UnitError, match="percent of bank assets"):
            convert(ratio)


def test_one_wrong_week_among_many_is_found_and_named() -> None:
    with pytest.raises(UnitError, match=r"= 24\.5 cannot be USD bn"):
        SlopePerPoint(np.ones(3)).per_100bn([24_500.0, 24.5, 24_000.0])


def test_a_slope_in_one_unit_offers_no_conversion_from_another() -> None:
    assert not hasattr(SlopePer100bn(np.array(-1.0)), "per_100bn")
    assert not hasattr(SlopePerPercent(np.array(-1.0)), "per_percent")
