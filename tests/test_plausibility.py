"""Bounds, steps, gaps and staleness: what is wrong is found, and what is merely unusual is left in peace."""

from __future__ import annotations

import tomllib
from importlib.resources import files

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from forecast.calendar import RELEASE_RULES, is_business_day
from forecast.data.catalog import catalog, spec_of
from forecast.data.plausibility import Finding, bounds, expected_periods, findings, fractions
from forecast.data.vintages import VintageTable
from forecast.units import UNITS

DATA = tomllib.loads((files("forecast.data") / "plausibility.toml").read_text(encoding="utf-8"))
IDS = {spec.id for spec in catalog().values()}
WEEKS = np.datetime64("2025-07-16") - 7 * np.arange(60)[::-1].astype("timedelta64[D]")
LEVELS = 3300 + 40 * np.sin(np.arange(60.0))


def found(name: str, days: np.ndarray, values: np.ndarray, as_of: str = "2025-07-24", unit: str = "") -> list[Finding]:
    spec = spec_of(name)
    table = VintageTable(name, pd.Timestamp(as_of), days.astype("datetime64[D]"), np.asarray(values, dtype=float))
    return findings(spec, table, UNITS[unit] if unit else spec.unit)


def checks(name: str, days: np.ndarray, values: np.ndarray, as_of: str = "2025-07-24") -> list[str]:
    return [finding.check for finding in found(name, days, values, as_of)]


# ---- the table


def test_every_series_has_bounds_and_a_limit_of_age() -> None:
    today = np.array(["2025-07-16"], dtype="datetime64[D]")
    for spec in catalog().values():
        low, high = bounds(spec, today)
        assert np.isfinite([low[0], high]).all(), spec.id
        assert low[0] < high
        assert DATA["stale"][spec.frequency] > 0


def test_the_table_speaks_only_of_what_exists() -> None:
    for row in DATA["bounds"]:
        assert set(row.get("series", ())) <= IDS
        assert set(row.get("releases", ())) <= set(RELEASE_RULES)
        assert row.get("unit", "usd_bn") in UNITS
        assert row["low"] < row["high"]
        assert ("series" in row) or ("unit" in row)
    for row in DATA["exempt"]:
        assert set(row.get("series", ())) <= IDS
        assert row["check"] in {"gap", "step", "stale"}
        assert len(row["reason"]) > 10
        assert all(np.datetime64(day) for day in row.get("periods", ()))
        assert "series" in row or "periods" in row, "a row that exempts everything"


def test_every_row_of_bounds_is_of_use() -> None:
    """Some series of the catalogue takes its bounds from it."""
    used = set()
    for spec in catalog().values():
        for i, row in enumerate(DATA["bounds"]):
            fits = spec.id in row["series"] if "series" in row else row["unit"] == spec.unit.name
            if fits and spec.release in row.get("releases", (spec.release,)):
                used.add(i)
                break
    assert used == set(range(len(DATA["bounds"])))


# ---- bounds


def test_what_lies_on_a_bound_is_plausible_and_what_lies_beyond_is_not() -> None:
    days = np.array(["2025-07-23"], dtype="datetime64[D]")
    for value, fine in ((25.0, True), (25.01, False), (-5.0, True), (-5.01, False)):
        assert ("bounds" not in checks("effr", days, np.array([value]))) == fine


def test_reserves_were_small_once() -> None:
    early, late = (np.array([day], dtype="datetime64[D]") for day in ("2007-07-18", "2025-07-16"))
    assert "bounds" not in checks("reserves_average", early, np.array([8.0]))
    assert "bounds" in checks("reserves_average", late, np.array([8.0]))


@pytest.mark.parametrize(
    ("factor", "read", "fits"),
    [(1e3, "usd_bn", "usd_mn"), (1e9, "usd_bn", "usd"), (1e-3, "usd_mn", "usd_bn"), (1e6, "usd_mn", "usd")],
)
def test_the_unit_that_brings_all_values_within_bounds_is_named(factor: float, read: str, fits: str) -> None:
    finding = found("reserves_average", WEEKS, LEVELS * factor, unit=read)[0]
    assert f"--unit WRESBAL={fits})" in finding.fix


def test_where_no_unit_fits_none_is_named() -> None:
    finding = found("reserves_average", WEEKS, np.where(np.arange(60) == 3, -5.0, LEVELS))[0]
    assert "1 of 60 values" in finding.said
    assert "--unit WRESBAL=UNIT)" in finding.fix


# ---- steps


@pytest.mark.parametrize("power", [1e3, 1e-3])
@pytest.mark.parametrize(
    "at", [slice(0, 1), slice(0, 2), slice(20, 21), slice(20, 22), slice(30, None), slice(59, None)]
)
def test_a_part_in_another_unit_is_found_wherever_it_lies(at: slice, power: float) -> None:
    values = LEVELS / 100  # of a size that both units allow
    values[at] *= power
    assert "step" in checks("tga_average", WEEKS, values)


@given(st.lists(st.floats(-0.25, 0.25), min_size=59, max_size=59))
def test_an_ordinary_course_has_no_step(changes: list[float]) -> None:
    values = 100 * np.exp(np.cumsum([0.0, *changes]))
    assert "step" not in checks("tga_average", WEEKS, values)


def test_a_crisis_is_no_step() -> None:
    """Reserves in the autumn of 2008: seven-fold within two months; no power of a thousand."""
    values = np.concatenate([np.full(40, 10.0) + np.arange(40) % 3, [11, 40, 90, 150, 200, 260, 330, 400, 500, 580]])
    days = np.datetime64("2008-11-12") - 7 * np.arange(50)[::-1].astype("timedelta64[D]")
    assert checks("reserves_average", days, values, "2008-11-20") == []


def test_what_jumps_all_the_time_has_no_step() -> None:
    values = np.where(np.arange(60) % 7 < 2, 0.002, 2.1)
    assert "step" not in checks("tga_average", WEEKS, values)


def test_flows_and_short_files_are_not_asked_for_steps() -> None:
    days = np.busday_offset("2025-07-22", np.arange(-59, 1), roll="backward")
    values = np.where(np.arange(60) == 30, 80.0, 0.08)
    assert "step" not in checks("tga_deposits", days, values)
    assert "step" not in checks("tga_average", WEEKS[:10], np.where(np.arange(10) == 5, 3e3, 3.0))


def test_a_rate_that_crosses_zero_makes_no_step() -> None:
    days = np.busday_offset("2025-07-22", np.arange(-59, 1), roll="backward")
    values = np.round(0.3 - 0.01 * np.arange(60), 3)
    values[31] = 0.002
    assert "step" not in checks("term_premium_10y", days, values)


# ---- gaps


@pytest.mark.parametrize(
    ("name", "first", "last", "count"),
    [
        ("reserves_average", "2025-01-01", "2025-01-29", 5),
        ("cpi", "2024-11-01", "2025-02-01", 4),
        ("gdp", "2024-04-01", "2025-01-01", 4),
        ("iorb", "2025-06-30", "2025-07-06", 7),
        ("effr", "2025-06-30", "2025-07-07", 5),  # without the 4th and the week-end
        ("effr", "1998-12-01", "1999-01-05", 2),  # holidays are known from 1999 on
    ],
)
def test_a_complete_series_has_so_many_periods(name: str, first: str, last: str, count: int) -> None:
    periods = expected_periods(spec_of(name), np.datetime64(first), np.datetime64(last))
    assert len(periods) == count
    assert periods.dtype == np.dtype("datetime64[D]")


def test_a_gap_is_counted_and_its_longest_stretch_named() -> None:
    keep = ~np.isin(np.arange(60), [5, 20, 21, 22])
    (finding,) = found("reserves_average", WEEKS[keep], LEVELS[keep])
    assert (finding.check, finding.severity) == ("gap", "warning")
    assert finding.said == f"4 periods are missing, the longest stretch {WEEKS[20]} to {WEEKS[22]}"


def test_an_empty_cell_is_a_gap() -> None:
    assert checks("reserves_average", WEEKS, np.where(np.arange(60) == 5, np.nan, LEVELS)) == ["gap"]


def test_what_is_known_to_be_missing_is_no_gap() -> None:
    days = np.arange("2001-08-01", "2001-10-01", dtype="datetime64[D]")
    days = days[is_business_day(days)]
    rates = 4.5 + 0.01 * (np.arange(len(days)) % 3)
    closed = ~np.isin(days, np.array(["2001-09-11", "2001-09-12"], dtype="datetime64[D]"))
    assert checks("treasury_10y", days[closed], rates[closed], "2001-10-02") == []
    closed[3] = False
    assert checks("treasury_10y", days[closed], rates[closed], "2001-10-02") == ["gap"]


def test_where_absence_means_zero_nothing_is_missing() -> None:
    days = np.array(["2025-07-01", "2025-07-10", "2025-07-22"], dtype="datetime64[D]")
    assert checks("srf", days, np.array([1.0, 2.0, 3.0])) == []


# ---- age and stillness


@pytest.mark.parametrize(
    ("name", "last", "as_of", "stale"),
    [
        ("reserves_average", "2025-07-16", "2025-07-24", False),
        ("reserves_average", "2025-07-16", "2025-08-07", False),  # due on 24 July, two weeks late
        ("reserves_average", "2025-07-16", "2025-08-09", True),
        ("effr", "2025-07-01", "2025-07-10", False),
        ("effr", "2025-07-01", "2025-07-16", True),
        ("gdp", "2024-10-01", "2025-06-01", False),  # the first quarter is due at the end of April
        ("gdp", "2024-10-01", "2025-08-01", True),
        ("ioer", "2021-07-28", "2026-07-24", False),  # exempt: it ended
    ],
)
def test_a_series_is_stale_when_its_next_value_is_long_overdue(name: str, last: str, as_of: str, stale: bool) -> None:
    days = np.array([last], dtype="datetime64[D]")
    value = 20000.0 if name == "gdp" else 3300.0 if name == "reserves_average" else 1.0
    assert ("stale" in checks(name, days, np.array([value]), as_of)) == stale


def test_a_file_in_which_nothing_moves_is_remarkable_and_one_of_zeros_is_not() -> None:
    assert checks("tga_average", WEEKS, np.full(60, 5.0)) == ["constant"]
    assert checks("tga_average", WEEKS, np.zeros(60)) == []
    assert checks("tga_average", WEEKS[-5:], np.full(5, 5.0)) == []


def test_a_table_without_values_has_no_findings() -> None:
    assert found("tga_average", WEEKS, np.full(60, np.nan)) == []


def test_an_error_comes_first() -> None:
    severities = [f.severity for f in found("tga_average", WEEKS[::2], np.where(np.arange(30) == 4, -1.0, 5.0))]
    assert severities[0] == "error"
    assert set(severities[1:]) == {"warning"}


# ---- fractions


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (0.0433 + 0.0001 * np.arange(30), True),  # 4.33 percent as fractions
        (0.0008 + 0.0001 * (np.arange(30) % 3), True),  # the same near zero
        (4.33 + 0.01 * np.arange(30), False),
        (0.04 + 0.01 * (np.arange(30) % 5), False),  # near zero, in whole basis points
        (0.5 + 0.001 * np.arange(30), False),  # averages have decimals, but are not that small
        (0.0433 + 0.0001 * np.arange(10), False),  # too few to tell
    ],
)
def test_fractions_are_told_from_rates_near_zero(values: NDArray[np.float64], expected: bool) -> None:
    assert fractions(spec_of("effr"), values) == expected


def test_only_rates_can_be_fractions() -> None:
    assert not fractions(spec_of("tga_average"), 0.0433 + 0.0001 * np.arange(30.0))
