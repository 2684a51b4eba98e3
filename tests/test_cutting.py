"""Cutting is fast, and gives what a search through all releases would give."""

from __future__ import annotations

import pickle
import time

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from forecast.calendar import is_business_day
from forecast.data import history
from forecast.data.catalog import catalog
from forecast.data.vintages import Vintages, VintageTable
from forecast.errors import MissingSeriesError, UsageError

NAN = float("nan")
FIRST_DAY = pd.Timestamp("2024-01-02")
US = pd.Timedelta(1, "us")

# One release: (period in days, time in minutes, value).
Release = tuple[int, int, float]


def observations(releases: list[Release], name: str = "m2") -> pd.DataFrame:
    return pd.DataFrame(
        {
            "series": name,
            "period": [FIRST_DAY + pd.Timedelta(days=day) for day, _, _ in releases],
            "released": [pd.Timestamp("2024-02-01", tz="UTC") + pd.Timedelta(minutes=m) for _, m, _ in releases],
            "value": [value for _, _, value in releases],
            "pseudo": [m % 2 == 0 for _, m, _ in releases],
        }
    ).astype({"period": "datetime64[us]", "released": "datetime64[us, UTC]"})


def held(releases: list[Release], name: str = "m2") -> Vintages:
    return Vintages(observations(releases, name), catalog())


def known_by_search(rows: pd.DataFrame, instant: pd.Timestamp) -> dict[pd.Timestamp, float]:
    """The last value of each period among the releases up to the instant, deletions taken out."""
    latest: dict[pd.Timestamp, tuple[pd.Timestamp, float]] = {}
    for period, released, value in zip(rows["period"], rows["released"], rows["value"], strict=True):
        if released <= instant and (period not in latest or latest[period][0] <= released):
            latest[period] = released, value
    return {period: value for period, (_, value) in sorted(latest.items()) if not np.isnan(value)}


def first_by_search(rows: pd.DataFrame) -> dict[pd.Timestamp, float]:
    first: dict[pd.Timestamp, tuple[pd.Timestamp, float]] = {}
    for period, released, value in zip(rows["period"], rows["released"], rows["value"], strict=True):
        if period not in first or released < first[period][0]:
            first[period] = released, value
    return {period: value for period, (_, value) in sorted(first.items()) if not np.isnan(value)}


def cut(vintages: Vintages, instant: pd.Timestamp, name: str = "m2") -> dict[pd.Timestamp, float]:
    panel = vintages.as_of(instant)
    if not panel.has(name):
        with pytest.raises(MissingSeriesError):
            panel.arrays(name)
        return {}
    periods, values = panel.arrays(name)
    assert (np.diff(periods) > np.timedelta64(0, "us")).all()
    return dict(zip(pd.DatetimeIndex(periods), values.tolist(), strict=True))


def around(rows: pd.DataFrame) -> list[pd.Timestamp]:
    """Every release, a microsecond before it and a microsecond after."""
    return [at + offset for at in sorted(set(rows["released"])) for offset in (-US, 0 * US, US)]


def sent(vintages: Vintages) -> Vintages:
    """As a worker process receives them."""
    received = pickle.loads(pickle.dumps(vintages))  # noqa: S301 (our own bytes)
    assert isinstance(received, Vintages)
    return received


# ---- the same as a search

values = st.floats(-1e9, 1e9, allow_nan=False) | st.just(NAN)
scattered = st.lists(st.tuples(st.integers(0, 15), st.integers(0, 40), values), min_size=1, max_size=60)


@st.composite
def in_vintages(draw: st.DrawFn) -> list[Release]:
    """Mostly newer periods in order, then whole vintages that revise and delete, as archives are."""
    releases: list[Release] = [(day, 3 * day, float(day)) for day in range(draw(st.integers(1, 30)))]
    for minute in draw(st.lists(st.integers(1, 120), unique=True, max_size=5)):
        begin = draw(st.integers(0, 20))
        numbers = draw(st.lists(values, min_size=1, max_size=25))
        releases += [(begin + i, minute, value) for i, value in enumerate(numbers)]
    return draw(st.permutations(releases))


@pytest.mark.parametrize("fewest", [0, 16])
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(releases=scattered | in_vintages())
def test_a_cut_gives_what_a_search_gives_at_around_every_release(
    monkeypatch: pytest.MonkeyPatch, fewest: int, releases: list[Release]
) -> None:
    """``fewest`` = 0 makes a new copy at every change, 16 almost none."""
    monkeypatch.setattr(history, "_FEWEST_PATCHES", fewest)
    vintages = held(releases)
    for instant in around(vintages.observations):
        assert cut(vintages, instant) == known_by_search(vintages.observations, instant)


@settings(max_examples=80, deadline=None)
@given(scattered | in_vintages())
def test_first_and_final_values_are_what_a_search_gives(releases: list[Release]) -> None:
    vintages = held(releases)
    rows = vintages.observations
    wanted = first_by_search(rows), known_by_search(rows, rows["released"].max())
    for panel, expected in zip((vintages.first_release(), vintages.final()), wanted, strict=True):
        assert panel.has("m2") == bool(expected)
        if expected:
            assert panel.series("m2").to_dict() == expected
    assert vintages.single_vintage() == (() if rows["period"].duplicated().any() else ("m2",))


@settings(max_examples=60, deadline=None)
@given(scattered)
def test_the_share_of_times_by_rule_counts_first_releases(releases: list[Release]) -> None:
    rows = observations(releases)
    firsts = rows.sort_values(["period", "released"], kind="stable").drop_duplicates("period")
    assert held(releases).pseudo_share("m2") == pytest.approx(firsts["pseudo"].mean())


@settings(max_examples=60, deadline=None)
@given(scattered)
def test_a_business_day_without_a_value_is_zero_between_the_first_and_the_last(releases: list[Release]) -> None:
    vintages = held(releases, "srf")
    for instant in around(vintages.observations)[::4]:
        plain = known_by_search(vintages.observations, instant)
        if not plain:
            assert not vintages.as_of(instant).has("srf")
            continue
        days = pd.date_range(min(plain), max(plain), unit="us")
        expected = {day: plain.get(day, 0.0) for day in days if day in plain or is_business_day([day])[0]}
        assert cut(vintages, instant, "srf") == expected


@settings(max_examples=40, deadline=None)
@given(scattered | in_vintages(), st.integers(0, 130), values)
def test_later_releases_do_not_move_a_cut(releases: list[Release], minute: int, poison: float) -> None:
    rows = observations(releases)
    instant = pd.Timestamp("2024-02-01", tz="UTC") + pd.Timedelta(minutes=minute)
    later = (rows["released"] > instant).to_numpy()
    poisoned = Vintages(rows.assign(value=np.where(later, poison, rows["value"])), catalog())
    assert cut(Vintages(rows, catalog()), instant) == cut(poisoned, instant)


# ---- what a panel hands out


def test_arrays_and_series_are_the_same_numbers() -> None:
    vintages = held([(0, 0, 1.0), (1, 1, 2.0), (0, 2, 3.0)])
    panel = vintages.final()
    periods, numbers = panel.arrays("m2")
    series = panel.series("m2")
    assert (series.index.to_numpy() == periods).all()
    assert series.tolist() == numbers.tolist() == [3.0, 2.0]
    assert periods.dtype == np.dtype("datetime64[us]")


@pytest.mark.parametrize("name", ["m2", "srf"])
def test_what_is_handed_out_cannot_be_written_to(name: str) -> None:
    vintages = held([(0, 0, 1.0), (3, 1, 2.0), (0, 2, 3.0), (6, 3, 4.0)], name)
    for source in (vintages, sent(vintages)):
        for minute in (1, 2, 3):
            instant = pd.Timestamp("2024-02-01", tz="UTC") + pd.Timedelta(minutes=minute)
            for array in source.as_of(instant).arrays(name):
                with pytest.raises(ValueError, match="read-only"):
                    array[0] = array[-1]


def test_a_series_may_be_changed_without_changing_the_archive() -> None:
    vintages = held([(0, 0, 1.0), (1, 1, 2.0)])
    mine = vintages.final().series("m2")
    mine.iloc[0] = 99.0
    assert vintages.final().series("m2").tolist() == [1.0, 2.0]


def test_vintages_survive_the_way_to_another_process() -> None:
    vintages = held([(0, 0, 1.0), (1, 1, 2.0), (0, 2, 3.0)])
    again = sent(vintages)
    for instant in around(vintages.observations):
        assert cut(again, instant) == cut(vintages, instant)


def test_a_name_outside_the_catalogue_has_no_arrays() -> None:
    with pytest.raises(UsageError, match="moon_phase"):
        held([(0, 0, 1.0)]).final().arrays("moon_phase")


# ---- cost


def revised_daily(n: int, vintages: int, each: int) -> history.History:
    """n periods in order; every vintage revises the ``each`` periods before it, as current estimates are."""
    days = np.arange(n)
    period = np.concatenate([days, *(np.arange(max(0, at - each), at) for at in range(n - vintages, n))])
    released = np.concatenate([10 * days, *(np.full(min(each, at), 10 * at + 5) for at in range(n - vintages, n))])
    value = np.arange(len(period), dtype=float)
    stamps = np.datetime64("2000-01-01", "us") + period.astype("timedelta64[D]")
    return history.history(stamps, released, value, np.zeros(len(period), dtype=bool), zeros=False)


def test_thousands_of_vintages_take_memory_in_proportion_to_their_releases() -> None:
    arranged = revised_daily(5000, 4000, 20)
    releases = len(arranged.released)
    copies = sum(copy.nbytes for copy in arranged.copies)
    assert len(arranged.copies) > 50
    assert copies < 8 * 8 * releases * 1.2


def test_no_cut_is_left_with_more_than_an_eighth_of_patches() -> None:
    arranged = revised_daily(5000, 4000, 20)
    ends = [*arranged.starts[1:], len(arranged.released)]
    # The last group before a copy may go past the limit; none is cut behind it.
    most = max(
        arranged.patched[end] - arranged.patched[begin] for begin, end in zip(arranged.starts, ends, strict=True)
    )
    assert most <= 5000 / 8 + 20


def test_cutting_sixty_series_takes_a_fraction_of_a_millisecond() -> None:
    """0.3 ms on a quiet machine; the limit only finds a change of kind."""
    names = [n for n, s in catalog().items() if s.frequency == "W-WED"][:60]
    weeks = np.datetime64("2025-12-24") - np.arange(3000)[::-1] * np.timedelta64(7, "D")
    rng = np.random.default_rng(1)
    tables = []
    for name in names:
        for day in ("2020-01-01", "2023-01-01", "2026-02-01"):
            there = weeks < np.datetime64(day) - np.timedelta64(20, "D")
            tables.append(VintageTable(name, pd.Timestamp(day), weeks[there], rng.normal(100, 1, int(there.sum()))))
    vintages = Vintages.from_tables(tables, catalog())
    took = []
    for origin in pd.date_range("2016-01-07 17:00", "2025-12-18 17:00", periods=60, tz="America/New_York"):
        began = time.perf_counter()
        panel = vintages.as_of(origin)
        for name in names:
            panel.arrays(name)
        took.append(time.perf_counter() - began)
    assert np.median(took) < 5e-3
