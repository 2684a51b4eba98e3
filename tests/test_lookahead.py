"""The look-ahead checks find what they are for: features that read the future, in whichever way."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from forecast.checks.lookahead import (
    POISONS,
    Poison,
    changed_columns,
    check_features,
    check_nothing_released,
    check_pipeline,
    check_truncation,
    differences,
    eves,
    poison,
)
from forecast.checks.past_rows import check_past_rows, computed, poison_periods
from forecast.data.catalog import catalog
from forecast.data.vintages import Panel, Vintages, VintageTable
from forecast.errors import MissingSeriesError, UsageError
from forecast.features.feature_set import FEATURES, FeatureSet, feature

ORIGIN = "2024-05-16 17:00"
HONEST = FeatureSet(("reserves_level",), ("reserve_ratio_known", "tga_change", "tax_week"))


@pytest.fixture(autouse=True)
def _registry_as_before() -> Iterator[None]:
    before = dict(FEATURES)
    yield
    FEATURES.clear()
    FEATURES.update(before)


@pytest.fixture(scope="module")
def vintages() -> Vintages:
    """Forty weeks of three series around the origin; bank assets are revised after it."""
    rng = np.random.default_rng(1)
    weeks = pd.date_range("2023-12-20", periods=40, freq="7D", unit="us").to_numpy()
    levels = {"reserves_average": 3000.0, "tga_average": 700.0, "bank_assets": 20_000.0}
    values = {name: level + rng.normal(size=40).cumsum() for name, level in levels.items()}
    tables = [VintageTable(name, pd.Timestamp("2024-10-01"), weeks, values[name]) for name in levels]
    first = VintageTable("bank_assets", pd.Timestamp("2024-06-10"), weeks[:24], values["bank_assets"][:24] - 50)
    return Vintages.from_tables([*tables, first], catalog())


def leaky(vintages: Vintages) -> FeatureSet:
    @feature(inputs=["tga_average"], unit="usd_bn")
    def reads_the_final_values(panel: Panel) -> pd.Series:
        """The account as finally known, next week's value this week."""
        series = vintages.final().series("tga_average")
        return series.set_axis(pd.DatetimeIndex(series.index) - pd.Timedelta(days=7))

    return FeatureSet(("reserves_level",), ("reads_the_final_values", "tga_level"))


# ----------------------------------------------------------------------------- poison


@pytest.mark.parametrize("how", POISONS)
def test_poison_leaves_the_past_alone_and_changes_the_future(vintages: Vintages, how: Poison) -> None:
    poisoned = poison(vintages, ORIGIN, how, np.random.default_rng(0))
    instant = pd.Timestamp(ORIGIN, tz="America/New_York")
    for rows, other in ((vintages.observations, poisoned.observations),):
        past, other_past = rows[rows["released"] <= instant], other[other["released"] <= instant]
        pd.testing.assert_frame_equal(past.reset_index(drop=True), other_past.reset_index(drop=True))
        future, other_future = rows[rows["released"] > instant], other[other["released"] > instant]
        assert len(future) > 20
        if how == "withheld":
            assert other_future.empty
        else:
            same = future["value"].to_numpy() == other_future["value"].to_numpy()
            assert same.mean() < 0.2


def test_each_poison_does_what_its_name_says(vintages: Vintages) -> None:
    later = (vintages.observations["released"] > pd.Timestamp(ORIGIN, tz="America/New_York")).to_numpy()
    future = {
        how: poison(vintages, ORIGIN, how, np.random.default_rng(0)).observations["value"].to_numpy()[later]
        for how in POISONS
        if how != "withheld"
    }
    assert np.isnan(future["missing"]).all()
    assert set(np.abs(future["huge"])) == {1e12}
    assert len(set(future["huge"])) == 2
    before = vintages.observations["value"].to_numpy()[later]
    assert sorted(future["permuted"]) == sorted(before)


def test_a_release_at_the_very_instant_is_past(vintages: Vintages) -> None:
    released = vintages.observations["released"].iloc[10]
    poisoned = poison(vintages, released, "missing", np.random.default_rng(0))
    at = (vintages.observations["released"] == released).to_numpy()
    assert at.any()
    assert poisoned.observations["value"].to_numpy()[at] == pytest.approx(vintages.observations["value"].to_numpy()[at])


def test_poisoning_does_not_touch_the_original(vintages: Vintages) -> None:
    before = vintages.observations.copy()
    poison(vintages, ORIGIN, "huge", np.random.default_rng(0))
    pd.testing.assert_frame_equal(vintages.observations, before)


def test_an_unknown_poison_is_refused(vintages: Vintages) -> None:
    with pytest.raises(UsageError, match="arsenic"):
        poison(vintages, ORIGIN, "arsenic", np.random.default_rng(0))  # type: ignore[arg-type]


# ----------------------------------------------------------------------------- checks


def test_honest_features_do_not_leak(vintages: Vintages) -> None:
    assert check_features(HONEST, vintages, ["2024-02-15 17:00", ORIGIN, "2024-06-10 12:00"]) == []


@pytest.mark.parametrize("how", POISONS)
def test_a_feature_that_reads_later_releases_is_found(vintages: Vintages, how: Poison) -> None:
    instant = pd.Timestamp(ORIGIN, tz="America/New_York")
    poisoned = poison(vintages, ORIGIN, how, np.random.default_rng(0))

    clean = leaky(vintages).build(vintages.as_of(ORIGIN))
    FEATURES.pop("reads_the_final_values")
    found = differences(clean, leaky(poisoned).build(poisoned.as_of(ORIGIN)))
    assert found == {"reads_the_final_values": pd.Timestamp("2024-05-15")}
    assert instant > pd.Timestamp("2024-05-15", tz="America/New_York")


def test_the_check_reports_feature_origin_and_week(vintages: Vintages) -> None:
    """A feature that looks at how many rows its neighbour will have: only the panel's cut protects, so break the cut."""

    @feature(inputs=["tga_average"], unit="count")
    def length_of_the_archive(panel: Panel) -> pd.Series:
        """Sum of everything ever released, read through the panel's back door."""
        everything = panel._read.vintages.observations["value"].sum()
        return panel.series("tga_average") * 0 + everything

    leaks = check_features(FeatureSet(("reserves_level",), ("length_of_the_archive",)), vintages, [ORIGIN])
    assert {leak.how for leak in leaks} >= {"missing", "huge", "withheld"}
    assert {(leak.feature, f"{leak.period:%Y-%m-%d}") for leak in leaks} == {("length_of_the_archive", "2023-12-20")}
    assert "'length_of_the_archive' at 2024-05-16 17:00: its value for 2023-12-20 changed" in str(leaks[0])


def test_a_check_that_could_not_fail_is_refused(vintages: Vintages) -> None:
    with pytest.raises(UsageError, match="2026-01-01"):
        check_features(HONEST, vintages, ["2026-01-01 17:00"])


def test_a_full_sample_mean_is_found_by_truncation_though_not_by_poison(vintages: Vintages) -> None:
    @feature(inputs=["tga_average"], unit="usd_bn")
    def demeaned(panel: Panel) -> pd.Series:
        """The account less its mean over whatever is in the panel."""
        series = panel.series("tga_average")
        return series - series.mean()

    guilty = FeatureSet(("reserves_level",), ("demeaned", "tga_change"))
    assert check_features(guilty, vintages, [ORIGIN]) == []
    leaks = check_truncation(guilty, vintages, [ORIGIN])
    assert {leak.feature for leak in leaks} == {"demeaned"}
    assert "when later releases were added" in str(leaks[0])


def test_truncation_forgives_revisions_and_late_arrivals(vintages: Vintages) -> None:
    revised = FeatureSet(("reserves_level",), ("reserve_ratio", "reserve_ratio_known"))
    design, final = revised.build(vintages.as_of(ORIGIN)), revised.build(vintages.final())
    both = design.features["reserve_ratio"].dropna().index
    assert (design.features.loc[both, "reserve_ratio"] != final.features.loc[both, "reserve_ratio"]).all()
    assert check_truncation(revised, vintages, [ORIGIN]) == []


def test_truncation_waits_for_slow_series_until_thursday_afternoon(vintages: Vintages) -> None:
    """Prices that come on a Thursday morning change the row of the week just over; from 17:00 on it stands."""
    months = pd.date_range("2020-01-01", "2024-06-01", freq="MS", unit="us").to_numpy()
    prices = VintageTable("cpi", pd.Timestamp("2024-12-31"), months, 1.01 ** np.arange(54.0) ** 1.2)
    rows = [vintages.only(["tga_average"]).observations, Vintages.from_tables([prices], catalog()).observations]
    both = Vintages(pd.concat(rows, ignore_index=True), catalog())
    slow = FeatureSet(("tga_level",), ("inflation",))
    morning, evening = (
        slow.build(both.as_of(f"2024-02-15 {hour}")).features["inflation"] for hour in ("08:00", "17:00")
    )
    assert morning.index[-1] == evening.index[-1] == pd.Timestamp("2024-02-14")
    assert morning.iloc[-1] != evening.iloc[-1]
    assert check_truncation(slow, both, ["2024-02-15 08:00", "2024-02-15 17:00"]) == []


# -------------------------------------------------------------------------- pipelines


def account(vintages: Vintages, origin: pd.Timestamp) -> pd.DataFrame:
    return vintages.as_of(origin).series("tga_average").to_frame()


def test_an_error_that_only_poison_raises_is_a_leak(vintages: Vintages) -> None:
    def fragile(vintages: Vintages, origin: pd.Timestamp) -> pd.DataFrame:
        if vintages.final().series("tga_average").max() > 1e9:
            raise ZeroDivisionError("the future was too large")
        return account(vintages, origin)

    (leak,) = check_pipeline(fragile, vintages, [ORIGIN], hows=["huge"])
    assert leak.feature == "ZeroDivisionError: the future was too large"
    assert check_pipeline(fragile, vintages, [ORIGIN], hows=["permuted"]) == []


def test_an_error_on_clean_releases_is_no_verdict(vintages: Vintages) -> None:
    with pytest.raises(MissingSeriesError):
        check_pipeline(account, vintages, ["2023-12-01 17:00"])


def test_eves_are_one_second_before_releases_between_two_instants(vintages: Vintages) -> None:
    found = eves(vintages, 4, after="2024-03-01", before="2024-06-01")
    released = set(vintages.observations["released"])
    assert {eve + pd.Timedelta(seconds=1) for eve in found} <= released
    assert found == sorted(found)
    assert (
        pd.Timestamp("2024-03-01", tz="America/New_York")
        <= found[0]
        <= found[-1]
        < pd.Timestamp("2024-06-02", tz="UTC")
    )
    with pytest.raises(UsageError, match="3 releases between"):
        eves(vintages, 9, after="2024-03-01", before="2024-03-09")


def test_nothing_comes_of_nothing(vintages: Vintages) -> None:
    kept = account(vintages, pd.Timestamp(ORIGIN, tz="America/New_York"))
    assert check_nothing_released(account, vintages, ORIGIN) == []
    (leak,) = check_nothing_released(lambda *_: kept, vintages, ORIGIN)
    assert "'tga_average' at 2024-05-16 17:00: its value for 2023-12-20 changed" in str(leak)


# -------------------------------------------------------------------------- past rows


@pytest.mark.parametrize("how", ["huge", "permuted"])
def test_poisoned_periods_end_after_the_day_whenever_they_were_released(vintages: Vintages, how: Poison) -> None:
    day = pd.Timestamp("2024-05-15")
    rows, other = vintages.observations, poison_periods(vintages, day, how, np.random.default_rng(0)).observations
    past = (rows["period"] <= day).to_numpy()
    pd.testing.assert_frame_equal(rows[past], other[past])
    assert (rows["value"][~past] != other["value"][~past]).mean() > 0.9
    assert rows["released"].equals(other["released"])


def test_a_month_is_later_until_it_is_over() -> None:
    months = pd.date_range("2024-01-01", periods=3, freq="MS", unit="us").to_numpy()
    table = VintageTable("cpi", pd.Timestamp("2024-12-31"), months, np.array([1.0, 2.0, np.nan]))
    vintages = Vintages.from_tables([table], catalog())
    poisoned = poison_periods(vintages, pd.Timestamp("2024-02-28"), "huge", np.random.default_rng(0))
    assert list(np.abs(poisoned.observations["value"]) == 1e12) == [False, True]
    same = poison_periods(vintages, pd.Timestamp("2024-02-29"), "huge", np.random.default_rng(0))
    assert same.observations.equals(vintages.observations)


def test_a_row_that_looks_a_week_ahead_is_found_and_dated(vintages: Vintages) -> None:
    def ahead(vintages: Vintages, origin: pd.Timestamp) -> pd.DataFrame:
        return account(vintages, origin).rolling(3, center=True).mean()

    (leak,) = check_past_rows(ahead, vintages, ["2024-05-17"], hows=["huge"])
    assert leak.period == pd.Timestamp("2024-05-15")
    assert str(leak).endswith("changed when later periods were huge")
    assert check_past_rows(account, vintages, ["2024-05-17", "2024-01-01"]) == []


def test_computed_features_are_those_before_they_become_weeks(vintages: Vintages) -> None:
    instant = pd.Timestamp(ORIGIN, tz="America/New_York")
    table = computed("tga_change", "effr_iorb")(vintages, instant)
    assert list(table) == ["tga_change"]
    with pytest.raises(MissingSeriesError, match="effr_iorb"):
        computed("effr_iorb")(vintages, instant)


# ------------------------------------------------------------------------ differences


def test_tables_of_other_rows_differ_in_every_column() -> None:
    table = pd.DataFrame({"a": [1.0, 2.0], "b": [3.0, np.nan]})
    assert changed_columns(table, table.copy()) == {}
    assert changed_columns(table, table.iloc[:1]) == {"a": None, "b": None}
    assert changed_columns(table, table.assign(b=[3.0, 4.0])) == {"b": 1}


def test_identical_designs_do_not_differ(vintages: Vintages) -> None:
    design = HONEST.build(vintages.as_of(ORIGIN), ahead=4)
    assert differences(design, HONEST.build(vintages.as_of(ORIGIN), ahead=4)) == {}


def test_the_smallest_difference_is_seen_and_dated(vintages: Vintages) -> None:
    design = HONEST.build(vintages.as_of(ORIGIN))
    changed = design.features["tga_change"].to_numpy(copy=True)
    changed[7] = np.nextafter(changed[7], np.inf)
    features = design.features.assign(tga_change=changed)
    assert differences(design, replace(design, features=features)) == {"tga_change": design.features.index[7]}


def test_a_missing_value_differs_from_a_number_but_not_from_a_missing_one(vintages: Vintages) -> None:
    design = HONEST.build(vintages.as_of(ORIGIN))
    features = design.features.copy()
    assert features["tga_change"].isna().iloc[0]
    features.iloc[3, 1] = np.nan
    assert differences(design, replace(design, features=features)) == {"tga_change": design.features.index[3]}


def test_rows_and_columns_that_come_or_go_differ(vintages: Vintages) -> None:
    design = HONEST.build(vintages.as_of(ORIGIN))
    assert differences(design, replace(design, features=design.features.iloc[1:])) == {
        "reserve_ratio_known": None,
        "tga_change": None,
        "tax_week": None,
    }
    assert differences(design, replace(design, features=design.features.drop(columns="tax_week"))) == {"tax_week": None}
