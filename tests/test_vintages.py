"""What was known when: the guarantee on which every score rests."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecast.calendar import NEW_YORK
from forecast.data.catalog import catalog
from forecast.data.vintages import Vintages, VintageTable, end_of_day, new_york
from forecast.errors import MissingSeriesError, UsageError, VintageError

MICROSECOND = pd.Timedelta(1, "us")
NAN = float("nan")


def table(series: str, as_of: str, values: dict[str, float]) -> VintageTable:
    periods = np.array(list(values), dtype="datetime64[D]")
    return VintageTable(series, pd.Timestamp(as_of), periods, np.array(list(values.values()), dtype=float))


def vintages(*tables: VintageTable) -> Vintages:
    return Vintages.from_tables(tables, catalog())


def known(held: Vintages, name: str, origin: str) -> dict[str, float]:
    series = held.as_of(origin).series(name)
    return dict(zip(pd.DatetimeIndex(series.index).strftime("%Y-%m-%d"), series.tolist(), strict=True))


def local(instant: pd.Timestamp) -> str:
    return f"{instant.tz_convert(NEW_YORK):%Y-%m-%d %H:%M}"


# A month of M2: published at 100, revised to 101, deleted in part, and one month only ever in the last file.
FIRST = table("m2", "2024-02-28", {"2023-11-01": 98.0, "2023-12-01": 99.0, "2024-01-01": 100.0})
SECOND = table("m2", "2024-03-27", {"2023-12-01": 99.0, "2024-01-01": 101.0, "2024-02-01": 102.0})
THIRD = table("m2", "2024-04-24", {"2023-12-01": NAN, "2024-01-01": 101.0, "2024-02-01": 103.0, "2024-03-01": 104.0})


# ---- one vintage


def test_a_value_enters_when_the_release_rule_says() -> None:
    held = vintages(table("reserves_average", "2026-07-30", {"2025-06-18": 3300.0, "2025-06-25": 3369.0}))
    assert held.observations["released"].map(local).tolist() == ["2025-06-20 16:30", "2025-06-26 16:30"]
    assert held.observations["pseudo"].all()


@pytest.mark.parametrize(("offset", "expected"), [(-MICROSECOND, 1), (pd.Timedelta(0), 2), (MICROSECOND, 2)])
def test_the_release_instant_itself_is_included_and_nothing_before(offset: pd.Timedelta, expected: int) -> None:
    held = vintages(table("reserves_average", "2026-07-30", {"2025-06-18": 3300.0, "2025-06-25": 3369.0}))
    release = pd.Timestamp("2025-06-26 16:30", tz=NEW_YORK)
    assert len(held.as_of(release + offset).series("reserves_average")) == expected


@pytest.mark.parametrize(
    ("offset", "expected"), [(-MICROSECOND, 100.0), (pd.Timedelta(0), 101.0), (MICROSECOND, 101.0)]
)
def test_a_revision_is_seen_from_its_own_instant_on(offset: pd.Timedelta, expected: float) -> None:
    held = vintages(FIRST, SECOND)
    revised = end_of_day(pd.Timestamp("2024-03-27"))
    assert held.as_of(revised + offset).series("m2").loc["2024-01-01"] == expected


def test_a_vintage_older_than_the_rule_says_so() -> None:
    """The rule puts the first quarter at the end of April; a file of the 25th already has it."""
    held = vintages(table("gdp", "2024-04-25", {"2024-01-01": 28000.0}))
    assert held.observations["released"].map(local).tolist() == ["2024-04-25 23:59"]
    assert not held.observations["pseudo"].any()


def test_the_time_of_day_does_not_shift_with_the_season() -> None:
    held = vintages(table("sofr", "2026-01-01", {"2025-03-07": 4.34, "2025-03-10": 4.33}))
    assert held.observations["released"].map(local).tolist() == ["2025-03-10 08:00", "2025-03-11 08:00"]


def test_a_day_has_as_many_hours_as_its_clock() -> None:
    assert local(end_of_day(pd.Timestamp("2025-03-09"))) == "2025-03-09 23:59"
    assert end_of_day(pd.Timestamp("2025-03-09")) - end_of_day(pd.Timestamp("2025-03-08")) == pd.Timedelta(hours=23)


# ---- several vintages


def test_a_later_vintage_enters_only_where_it_changed() -> None:
    held = vintages(FIRST, SECOND)
    january = held.observations[held.observations["period"] == pd.Timestamp("2024-01-01")]
    december = held.observations[held.observations["period"] == pd.Timestamp("2023-12-01")]
    assert january["value"].tolist() == [100.0, 101.0]
    assert january["pseudo"].tolist() == [True, False]
    assert local(january["released"].iloc[1]) == "2024-03-27 23:59"
    assert december["value"].tolist() == [99.0]


def test_absence_from_a_later_vintage_is_not_a_deletion() -> None:
    assert vintages(FIRST, SECOND).final().series("m2").loc["2023-11-01"] == 98.0


def test_an_empty_cell_in_a_later_vintage_is_a_deletion() -> None:
    held = vintages(FIRST, SECOND, THIRD)
    assert "2023-12-01" in known(held, "m2", "2024-04-24 23:00")
    assert "2023-12-01" not in known(held, "m2", "2024-04-25")
    assert pd.Timestamp("2023-12-01") not in held.final().series("m2").index


def test_a_value_can_come_back_after_its_deletion() -> None:
    back = table("m2", "2024-05-28", {"2023-12-01": 97.0})
    held = vintages(FIRST, SECOND, THIRD, back)
    assert held.final().series("m2").loc["2023-12-01"] == 97.0
    assert "2023-12-01" not in known(held, "m2", "2024-05-28 12:00")


def test_an_empty_cell_proves_that_nothing_was_public_yet() -> None:
    """The rule alone would date the value before the file that shows the cell empty."""
    empty = table("sofr", "2025-06-24", {"2025-06-20": NAN, "2025-06-23": 4.29})
    filled = table("sofr", "2025-07-01", {"2025-06-20": 4.28, "2025-06-23": 4.29})
    held = vintages(empty, filled)
    assert "2025-06-20" not in known(held, "sofr", "2025-07-01 17:00")
    assert known(held, "sofr", "2025-07-02")["2025-06-20"] == 4.28


def test_a_vintage_without_any_value_says_nothing() -> None:
    held = vintages(table("m2", "2024-03-01", {"2024-01-01": NAN}), table("m1", "2024-03-27", {"2024-01-01": 18.0}))
    assert held.names == ("m1",)
    with pytest.raises(MissingSeriesError):
        held.final().series("m2")


def test_the_final_value_follows_the_latest_file_and_never_a_pseudo_time() -> None:
    """The old file's rule-dated release is later than the new file's as_of would suggest."""
    old = table("gdp", "2024-04-25", {"2023-10-01": 27900.0})
    new = table("gdp", "2024-04-26", {"2023-10-01": 27950.0, "2024-01-01": 28200.0})
    held = vintages(new, old)
    assert held.final().series("gdp").tolist() == [27950.0, 28200.0]
    assert held.first_release().series("gdp").tolist() == [27900.0, 28200.0]


def test_first_release_and_final_differ_only_by_revisions() -> None:
    held = vintages(FIRST, SECOND, THIRD)
    assert held.first_release().series("m2").tolist() == [98.0, 99.0, 100.0, 102.0, 104.0]
    assert held.final().series("m2").tolist() == [98.0, 101.0, 103.0, 104.0]


@pytest.mark.parametrize("order", list(permutations((FIRST, SECOND, THIRD))))
def test_the_order_of_arrival_does_not_matter(order: tuple[VintageTable, ...]) -> None:
    pd.testing.assert_frame_equal(vintages(*order).observations, vintages(FIRST, SECOND, THIRD).observations)


def test_the_order_of_rows_in_a_file_does_not_matter() -> None:
    shuffled = VintageTable("m2", THIRD.as_of, THIRD.periods[::-1], THIRD.values[::-1])
    held, straight = vintages(FIRST, SECOND, shuffled), vintages(FIRST, SECOND, THIRD)
    for origin in ("2024-03-01", "2024-04-01", "2024-05-01"):
        assert known(held, "m2", origin) == known(straight, "m2", origin)


def test_two_files_of_one_day_are_refused() -> None:
    with pytest.raises(VintageError, match=r"M2SL: two vintages of 2024-02-28"):
        vintages(FIRST, table("m2", "2024-02-28", {"2024-01-01": 7.0}))


def test_series_outside_the_catalogue_are_refused_by_name() -> None:
    with pytest.raises(VintageError, match="moon_phase"):
        vintages(table("moon_phase", "2024-02-28", {"2024-01-01": 7.0}))


def test_single_vintages_are_told_apart_from_revised_ones() -> None:
    held = vintages(FIRST, SECOND, table("m1", "2024-03-27", {"2024-01-01": 18.0}))
    assert held.single_vintage() == ("m1",)
    assert held.pseudo_share("m2") == 1.0


# ---- the panel


def test_nothing_released_is_an_error_that_says_how_to_get_it() -> None:
    held = vintages(table("sofr", "2026-01-01", {"2025-06-30": 4.4}))
    panel = held.as_of("2025-06-30 17:00")
    assert not panel.has("sofr")
    with pytest.raises(MissingSeriesError, match=r"'sofr' \(SOFR\).*2025-06-30 17:00.*forecast data import"):
        panel.series("sofr")


def test_a_name_outside_the_catalogue_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="moon_phase"):
        vintages(FIRST).as_of("2025-01-01").series("moon_phase")


def test_a_day_without_an_operation_is_zero_only_where_the_catalogue_says_so() -> None:
    days = {"2025-06-30": 11.0, "2025-07-03": 0.5, "2025-07-07": 1.0}
    held = vintages(table("srf", "2025-08-01", days), table("sofr", "2025-08-01", days))
    srf = known(held, "srf", "2025-07-10")
    assert srf == {**days, "2025-07-01": 0.0, "2025-07-02": 0.0}  # the 4th is a holiday
    assert known(held, "sofr", "2025-07-10") == days


def test_zeros_do_not_run_ahead_of_what_was_released() -> None:
    held = vintages(table("srf", "2025-08-01", {"2025-06-30": 11.0, "2025-07-03": 0.5}))
    assert list(known(held, "srf", "2025-07-02 17:00")) == ["2025-06-30"]


def test_a_naive_origin_is_new_york_time() -> None:
    assert new_york("2025-07-03 17:00") == pd.Timestamp("2025-07-03 21:00", tz="UTC")
    assert new_york(pd.Timestamp("2025-07-03 21:00", tz="UTC")).hour == 17
    with pytest.raises(UsageError):
        new_york("NaT")


# ---- the future is invisible

ORIGIN = pd.Timestamp("2024-03-28 17:00", tz=NEW_YORK)
NAMES = ("m2", "sofr", "reserves_average", "srf")
numbers = st.floats(-1e6, 1e6) | st.just(NAN)
frequencies = {"m2": "MS", "sofr": "B", "reserves_average": "W-WED", "srf": "B"}


@st.composite
def histories(draw: st.DrawFn) -> list[VintageTable]:
    tables = []
    for name in NAMES:
        periods = pd.date_range("2024-01-01", "2024-05-31", freq=frequencies[name]).to_numpy().astype("datetime64[D]")
        for as_of in draw(
            st.lists(st.sampled_from(["2024-03-05", "2024-03-27", "2024-04-30", "2024-07-01"]), unique=True)
        ):
            there = periods[periods < np.datetime64(as_of) - np.timedelta64(40, "D")]
            chosen = np.array(draw(st.lists(st.booleans(), min_size=len(there), max_size=len(there))), dtype=bool)
            values = draw(st.lists(numbers, min_size=len(there), max_size=len(there)))
            if chosen.any():
                tables.append(VintageTable(name, pd.Timestamp(as_of), there[chosen], np.array(values)[chosen]))
    return tables


def read(held: Vintages) -> dict[str, pd.Series]:
    panel = held.as_of(ORIGIN)
    return {name: panel.series(name) for name in NAMES if panel.has(name)}


@settings(max_examples=60, deadline=None)
@given(histories(), st.floats(-1e9, 1e9))
def test_what_is_released_after_the_origin_changes_nothing(tables: list[VintageTable], poison: float) -> None:
    if not tables:
        return
    held = vintages(*tables)
    later = (held.observations["released"] > ORIGIN).to_numpy()
    poisoned = held.observations.assign(value=np.where(later, poison, held.observations["value"]))
    before = read(held)
    for other in (Vintages(poisoned, catalog()), Vintages(held.observations[~later], catalog())):
        after = read(other)
        assert before.keys() == after.keys()
        for name, series in before.items():
            pd.testing.assert_series_equal(series, after[name])


@settings(max_examples=40, deadline=None)
@given(histories())
def test_a_file_of_a_later_day_leaves_the_past_as_it_was(tables: list[VintageTable]) -> None:
    """Later files may reach back only to periods that no earlier file mentions."""
    early = [t for t in tables if t.as_of < ORIGIN.tz_localize(None).normalize()]
    if not early:
        return
    mentioned = {name: {p for t in early if t.series == name for p in t.periods} for name in NAMES}
    late = [
        VintageTable(t.series, t.as_of, t.periods[keep], t.values[keep])
        for t in tables
        if t not in early and (keep := np.isin(t.periods, list(mentioned[t.series]))).any()
    ]
    before, after = read(vintages(*early)), read(vintages(*early, *late))
    assert before.keys() == after.keys()
    for name, series in before.items():
        pd.testing.assert_series_equal(series, after[name])
