"""Units that are off by a power of ten are found, and revisions are not taken for them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecast.data.catalog import spec_of
from forecast.data.quality import (
    impossible,
    period_labels,
    same_numbers,
    shifted,
    unit_conflicts,
    unit_factor,
    unit_that_fits,
)
from forecast.data.vintages import VintageTable
from forecast.errors import DataError
from forecast.units import UNITS

USD_BN, PERCENT = UNITS["usd_bn"], UNITS["percent"]
MONTHS = np.arange("2020-01", "2024-01", dtype="datetime64[M]").astype("datetime64[D]")
BASE = np.linspace(3400.0, 5800.0, len(MONTHS))


def table(values: np.ndarray, as_of: str = "2024-02-01", periods: np.ndarray = MONTHS) -> VintageTable:
    return VintageTable("monetary_base", pd.Timestamp(as_of), periods, values)


@pytest.mark.parametrize("power", [1e3, 1e6, 1e9, 1e-3, 1e-6, 1e-9])
def test_a_power_of_ten_is_found_in_either_direction(power: float) -> None:
    assert unit_factor(table(BASE * power), table(BASE), USD_BN) == pytest.approx(power)


@pytest.mark.parametrize(("off", "found"), [(1.019, True), (0.981, True), (1.03, False), (0.97, False)])
def test_within_two_percent_and_no_further(off: float, found: bool) -> None:
    assert (unit_factor(table(BASE * 1e3 * off), table(BASE), USD_BN) is not None) == found


@given(st.floats(0.01, 500))
def test_an_ordinary_revision_is_never_a_unit(scale: float) -> None:
    assert unit_factor(table(BASE * scale), table(BASE), USD_BN) is None


def test_a_rate_in_basis_points_is_found_but_money_times_a_hundred_is_not_a_unit() -> None:
    assert unit_factor(table(BASE * 100), table(BASE), PERCENT) == 100
    assert unit_factor(table(BASE * 100), table(BASE), USD_BN) is None


def test_a_fraction_beside_basis_points_is_found() -> None:
    assert unit_factor(table(BASE * 1e-4), table(BASE), PERCENT) == pytest.approx(1e-4)
    assert unit_factor(table(BASE * 1e4), table(BASE), PERCENT) == 1e4


def test_a_reversed_sign_is_found_if_there_is_enough_to_tell() -> None:
    assert unit_factor(table(-BASE), table(BASE), USD_BN) == -1
    assert unit_factor(table(-BASE[:7], periods=MONTHS[:7]), table(BASE), USD_BN) is None


@pytest.mark.parametrize("by", [1, -1])
def test_labels_one_period_off_are_found(by: int) -> None:
    other = table(np.roll(BASE, by))
    assert shifted(other, table(BASE)) == by
    assert shifted(table(BASE), other) == -by


def test_what_agrees_or_stands_still_or_is_short_is_not_shifted() -> None:
    assert shifted(table(BASE), table(BASE)) == 0
    assert shifted(table(np.full(len(MONTHS), 7.0)), table(np.full(len(MONTHS), 7.0))) == 0
    assert shifted(table(np.roll(BASE, 1)[:6], periods=MONTHS[:6]), table(BASE[:6], periods=MONTHS[:6])) == 0
    assert shifted(table(BASE * 1.01), table(BASE)) == 0


def test_the_same_numbers_are_found_although_some_differ() -> None:
    values = BASE.copy()
    values[5] += 1
    assert same_numbers(table(values), table(BASE))
    assert not same_numbers(table(BASE + 1), table(BASE))


def test_two_series_that_stand_still_are_not_the_same_for_it() -> None:
    still = np.where(np.arange(len(MONTHS)) < 40, 7.0, BASE)
    assert not same_numbers(table(still[:44], periods=MONTHS[:44]), table(still[:44], periods=MONTHS[:44]))


def test_zeros_and_gaps_do_not_decide() -> None:
    values = BASE.copy() * 1e3
    values[:20], values[20:22] = 0.0, np.nan
    assert unit_factor(table(values), table(BASE), USD_BN) == 1e3
    assert unit_factor(table(np.zeros(len(MONTHS))), table(BASE), USD_BN) is None


def test_without_shared_periods_nothing_can_be_said() -> None:
    assert unit_factor(table(BASE[:5], periods=MONTHS[:5]), table(BASE[5:], periods=MONTHS[5:]), USD_BN) is None


def test_a_few_wild_values_do_not_look_like_a_unit() -> None:
    values = BASE.copy()
    values[:10] *= 1e3
    assert unit_factor(table(values), table(BASE), USD_BN) is None


@pytest.mark.parametrize(
    ("unit", "factor", "fits"),
    [("usd_bn", 1e3, "usd_mn"), ("usd_mn", 1e-3, "usd_bn"), ("usd_bn", 1e9, "usd"), ("percent", 100.0, "bp")],
)
def test_the_unit_that_explains_the_factor_is_named(unit: str, factor: float, fits: str) -> None:
    assert unit_that_fits(UNITS[unit], factor) is UNITS[fits]


def test_where_no_unit_explains_the_factor_none_is_named() -> None:
    assert unit_that_fits(UNITS["index"], 1e3) is None


def test_an_archived_vintage_is_trusted() -> None:
    conflicts = unit_conflicts([table(BASE * 1e3)], [True], [table(BASE, "2023-01-01")], USD_BN)
    assert conflicts[0][1] == 1e3


def test_a_stated_unit_is_trusted_over_an_assumed_one() -> None:
    tables = [table(BASE * 1e3, "2023-01-01"), table(BASE, "2024-01-01")]
    assert set(unit_conflicts(tables, [False, True], [], USD_BN)) == {0}
    assert set(unit_conflicts(tables, [True, False], [], USD_BN)) == {1}


def test_of_two_equals_that_contradict_each_other_both_are_refused() -> None:
    tables = [table(BASE * 1e3, "2023-01-01"), table(BASE, "2024-01-01")]
    assert set(unit_conflicts(tables, [True, True], [], USD_BN)) == {0, 1}
    assert set(unit_conflicts(tables, [False, False], [], USD_BN)) == {0, 1}


@pytest.mark.parametrize("odd", range(5))
def test_of_many_equals_only_the_odd_one_is_refused(odd: int) -> None:
    tables = [table(BASE * (1e3 if i == odd else 1.0), f"2024-0{i + 1}-01") for i in range(5)]
    assert set(unit_conflicts(tables, [True] * 5, [], USD_BN)) == {odd}


def test_vintages_that_agree_are_left_in_peace() -> None:
    tables = [table(BASE, "2023-01-01"), table(BASE * 1.01, "2024-01-01")]
    assert unit_conflicts(tables, [True, False], [table(BASE, "2022-01-01")], USD_BN) == {}
    assert unit_conflicts(tables[:1], [True], [], USD_BN) == {}


@given(st.dates(pd.Timestamp("1900-01-01").date(), pd.Timestamp("2060-01-01").date()))
def test_every_day_is_a_label_of_a_daily_series_and_few_are_of_a_monthly_one(day: object) -> None:
    days = np.array([day], dtype="datetime64[D]")
    assert (period_labels(spec_of("iorb"), days) == days).all()
    stamp = pd.Timestamp(day)  # type: ignore[arg-type]
    if stamp.is_month_start or stamp.is_month_end:
        assert str(period_labels(spec_of("cpi"), days)[0]) == f"{stamp:%Y-%m}-01"
    else:
        with pytest.raises(DataError, match=str(day)):
            period_labels(spec_of("cpi"), days)


def test_an_approximate_rule_refuses_only_what_is_not_over() -> None:
    """A file of 30 April may hold the first quarter, whatever the cautious rule says, but not the second."""
    quarters = np.array(["2024-01-01", "2024-04-01"], dtype="datetime64[D]")
    reasons = impossible(spec_of("gdp"), quarters, pd.Timestamp("2024-04-01"))
    assert reasons[0] == ""
    assert "not public before 2024-06-30" in str(reasons[1])
