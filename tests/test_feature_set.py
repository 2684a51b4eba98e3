"""From panel to design: which rows, which columns, what is missing, and what is refused."""

from __future__ import annotations

import dataclasses
import pickle
import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest

from forecast.calendar import is_business_day
from forecast.data.catalog import catalog
from forecast.data.vintages import Panel, Vintages, VintageTable
from forecast.errors import MissingSeriesError, UnknownNameError, UsageError
from forecast.features.feature_set import (
    FEATURES,
    CalendarEffect,
    Design,
    Feature,
    FeatureSet,
    Table,
    calendar_effect,
    feature,
    find_feature,
    future_weeks,
)
from forecast.features.transforms import last_week_over

ORIGIN = "2024-05-16 17:00"  # a Thursday; the last week over ended on the 15th
OVER = pd.Timestamp("2024-05-15")


@pytest.fixture(autouse=True)
def _registry_as_before() -> Iterator[None]:
    before = dict(FEATURES)
    yield
    FEATURES.clear()
    FEATURES.update(before)


def table(name: str, first: str, values: list[float], freq: str = "7D") -> VintageTable:
    periods = pd.date_range(first, periods=len(values), freq=freq, unit="us")
    if freq == "D":
        periods = periods[is_business_day(periods)]
        values = values[: len(periods)]
    return VintageTable(name, pd.Timestamp("2030-01-01"), periods.to_numpy(), np.asarray(values, dtype=float))


@pytest.fixture(scope="module")
def vintages() -> Vintages:
    tables = [
        table("reserves_average", "2024-03-27", [3000.0 + 10 * n for n in range(12)]),
        table("bank_assets", "2024-03-27", [20_000.0] * 12),
        table("tga_average", "2024-04-24", [700.0 + n for n in range(8)]),
        table("treasury_2y", "2024-05-02", [4.0 + 0.01 * n for n in range(60)], freq="D"),
        table("gdp", "2026-01-01", [30_000.0], freq="QS"),
    ]
    return Vintages.from_tables(tables, catalog())


@pytest.fixture
def panel(vintages: Vintages) -> Panel:
    return vintages.as_of(ORIGIN)


# ------------------------------------------------------------------------------- rows


def test_targets_run_from_their_first_value_to_the_last_week_over(panel: Panel) -> None:
    design = FeatureSet(("tga_level",)).build(panel)
    assert design.targets.index[0] == pd.Timestamp("2024-04-24")
    assert design.targets.index[-1] == OVER
    assert list(design.targets["tga_level"]) == [700, 701, 702, 703]


def test_rows_are_consecutive_weeks(panel: Panel) -> None:
    design = FeatureSet(("reserves_level",), ("tga_level",)).build(panel, ahead=5)
    for table_ in (design.targets, design.features):
        assert (np.diff(table_.index.to_numpy()) == np.timedelta64(7, "D")).all()
    assert str(design.targets.index.dtype) == "datetime64[us]"


def test_the_earliest_target_sets_the_first_row(panel: Panel) -> None:
    design = FeatureSet(("tga_level", "reserves_level")).build(panel)
    assert list(design.targets.columns) == ["tga_level", "reserves_level"]
    assert len(design.targets) == 8
    assert list(design.targets["tga_level"].isna()) == [True] * 4 + [False] * 4


def test_a_late_series_leaves_a_ragged_edge(panel: Panel) -> None:
    design = FeatureSet(("reserve_ratio", "reserves_level")).build(panel)
    assert list(design.targets["reserve_ratio"].isna()[-3:]) == [False, True, True]
    assert design.targets["reserves_level"].notna().all()


def test_a_target_that_is_only_late_still_reaches_the_last_week_over(panel: Panel) -> None:
    design = FeatureSet(("reserve_ratio",)).build(panel)
    assert design.targets.index[-1] == OVER


def test_features_start_where_targets_start(panel: Panel) -> None:
    design = FeatureSet(("tga_level",), ("reserves_level",)).build(panel)
    assert design.features.index.equals(design.targets.index)
    assert design.features["reserves_level"].iloc[0] == 3040.0


def test_a_feature_that_is_not_out_yet_is_missing_not_an_error(panel: Panel) -> None:
    design = FeatureSet(("reserves_level",), ("reserves_to_gdp", "effr_iorb")).build(panel)
    assert design.features.isna().all().all()
    assert list(design.features.columns) == ["reserves_to_gdp", "effr_iorb"]


def test_a_name_may_be_target_and_feature(panel: Panel) -> None:
    design = FeatureSet(("reserves_level",), ("reserves_level",)).build(panel, ahead=2)
    assert design.features["reserves_level"].iloc[:-2].equals(design.targets["reserves_level"])


@pytest.mark.parametrize(
    ("origin", "over"),
    [
        ("2024-05-15 23:59", "2024-05-08"),
        ("2024-05-16 00:00", "2024-05-15"),
        ("2024-05-17 09:00", "2024-05-15"),
        ("2024-05-22 17:00", "2024-05-15"),
    ],
)
def test_a_week_is_over_after_its_wednesday(vintages: Vintages, origin: str, over: str) -> None:
    assert FeatureSet(("reserves_level",)).build(vintages.as_of(origin)).targets.index[-1] == pd.Timestamp(over)


def test_the_week_of_the_origin_never_appears_even_if_a_feature_knows_it(vintages: Vintages) -> None:
    @feature(inputs=["reserves_average"], unit="usd_bn")
    def knows_next_week(panel: Panel) -> pd.Series:
        """Reserves labelled a week late."""
        series = panel.series("reserves_average")
        return series.set_axis(series.index + pd.Timedelta(days=7))

    design = FeatureSet(("reserves_level",), ("knows_next_week",)).build(vintages.as_of(ORIGIN), ahead=3)
    assert design.features["knows_next_week"].loc[OVER] == 3060.0
    assert design.features["knows_next_week"].iloc[-3:].isna().all()


# ------------------------------------------------------------------------ known ahead


def test_only_calendar_effects_are_known_ahead(panel: Panel) -> None:
    design = FeatureSet(("reserves_level",), ("tax_week", "tga_level")).build(panel, ahead=6)
    assert design.known_ahead == {"tax_week"}
    assert len(design.features) == len(design.targets) + 6
    assert list(design.features["tax_week"].iloc[-6:]) == [0, 0, 0, 0, 1, 0]  # Monday 17 June
    assert design.features["tga_level"].iloc[-6:].isna().all()


def test_the_future_begins_after_the_last_week_over(panel: Panel) -> None:
    design = FeatureSet(("reserves_level",)).build(panel)
    assert list(design.future(2)) == [pd.Timestamp("2024-05-22"), pd.Timestamp("2024-05-29")]
    assert list(future_weeks(OVER, 2)) == list(design.future(2))
    assert len(design.future(0)) == 0


def test_units_are_those_of_the_features(panel: Panel) -> None:
    design = FeatureSet(("yield_2y",), ("tax_week", "reserve_ratio")).build(panel)
    assert {name: unit.name for name, unit in design.units.items()} == {
        "yield_2y": "percent",
        "tax_week": "indicator",
        "reserve_ratio": "percent",
    }


def test_daily_series_enter_as_weeks(panel: Panel) -> None:
    design = FeatureSet(("yield_2y",)).build(panel)
    assert list(design.targets["yield_2y"].round(2)) == [4.04, 4.09]


# --------------------------------------------------------------------------- refusals


def test_no_target_with_a_value_is_an_error_that_names_them(panel: Panel) -> None:
    with pytest.raises(MissingSeriesError, match="effr_iorb, sofr_iorb"):
        FeatureSet(("effr_iorb", "sofr_iorb"), ("reserves_level",)).build(panel)


def test_one_target_with_values_is_enough(panel: Panel) -> None:
    design = FeatureSet(("effr_iorb", "reserves_level")).build(panel)
    assert design.targets["effr_iorb"].isna().all()


def test_a_calendar_effect_cannot_be_forecast(panel: Panel) -> None:
    with pytest.raises(UsageError, match="tax_week"):
        FeatureSet(("tax_week", "reserves_level")).build(panel)


def test_an_unknown_feature_suggests_the_closest(panel: Panel) -> None:
    with pytest.raises(UnknownNameError, match="reserve_ratio"):
        FeatureSet(("reserve_ration",)).build(panel)
    with pytest.raises(UnknownNameError, match="forecast features"):
        find_feature("qqqq")


def test_a_feature_not_labelled_by_wednesdays_is_refused_by_name_and_date(panel: Panel) -> None:
    @feature(inputs=["reserves_average"], unit="usd_bn")
    def by_tuesday(panel: Panel) -> pd.Series:
        """Reserves labelled by Tuesday."""
        series = panel.series("reserves_average")
        return series.set_axis(series.index - pd.Timedelta(days=1))

    with pytest.raises(UsageError, match=r"'by_tuesday'.*2024-04-02"):
        FeatureSet(("reserves_level",), ("by_tuesday",)).build(panel)


# ----------------------------------------------------------------------- registration


def test_a_declared_feature_carries_what_it_was_declared_with() -> None:
    @feature(inputs=("sofr",), unit="percent", frequency="D", weekly="max")
    def highest_sofr(panel: Panel) -> pd.Series:
        """Highest SOFR of the week.

        Second paragraph.
        """
        return panel.series("sofr")

    assert isinstance(highest_sofr, Feature)
    assert FEATURES["highest_sofr"] is highest_sofr
    assert (highest_sofr.inputs, highest_sofr.unit.name, highest_sofr.weekly) == (("sofr",), "percent", "max")
    assert highest_sofr.description == "Highest SOFR of the week."


def test_two_features_cannot_share_a_name() -> None:
    with pytest.raises(UsageError, match="tax_week"):

        @calendar_effect(unit="indicator")
        def tax_week(periods: pd.DatetimeIndex) -> pd.Series:
            """Another one."""
            return pd.Series(0.0, index=periods)


def test_a_declared_calendar_effect_joins_designs(panel: Panel) -> None:
    @calendar_effect(unit="count")
    def week_number(periods: pd.DatetimeIndex) -> pd.Series:
        """Number of the week."""
        return pd.Series(np.arange(len(periods)), index=periods)

    assert isinstance(week_number, CalendarEffect)
    design = FeatureSet(("tga_level",), ("week_number",)).build(panel, ahead=2)
    assert list(design.features["week_number"]) == [0, 1, 2, 3, 4, 5]


def test_building_changes_nothing_that_is_shared(panel: Panel) -> None:
    before = panel.series("reserves_average").copy()
    design = FeatureSet(("reserves_level",), ("reserves_change",)).build(panel)
    design.targets.iloc[0, 0] = -1.0
    pd.testing.assert_series_equal(panel.series("reserves_average"), before)
    assert panel.series("reserves_average").name == "reserves_average"


def test_features_are_light_to_import() -> None:
    heavy = "{'scipy', 'statsmodels', 'sklearn', 'pymc', 'matplotlib', 'duckdb', 'xarray', 'rich', 'models'}"
    code = f"import sys, forecast.features; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# --------------------------------------------------------------------------- frames and arrays of one design


def same(one: Design, other: Design) -> None:
    pd.testing.assert_frame_equal(one.targets, other.targets)
    pd.testing.assert_frame_equal(one.features, other.features)
    assert (one.units, one.known_ahead) == (other.units, other.known_ahead)


@pytest.fixture
def design(panel: Panel) -> Design:
    return FeatureSet(("reserves_level", "tga_level"), ("tga_change", "month_end_week")).build(panel, ahead=3)


def test_tables_and_frames_of_a_design_hold_the_same(design: Design) -> None:
    for table, frame in ((design.target_table, design.targets), (design.feature_table, design.features)):
        np.testing.assert_array_equal(table.values, frame.to_numpy())
        assert table.periods.equals(frame.index)
        assert table.names == tuple(frame.columns)
    assert design.future(3).equals(design.features.index[-3:])


def test_a_design_made_of_frames_has_the_tables_too(design: Design) -> None:
    again = Design(design.targets, design.features, design.units, design.known_ahead)
    same(again, design)
    np.testing.assert_array_equal(again.target_table.values, design.target_table.values)
    # The way numbers lie in memory decides the last bits of a matrix product.
    assert again.target_table.values.flags.f_contiguous == design.target_table.values.flags.f_contiguous
    assert again.future(2).equals(design.future(2))


def test_replacing_a_frame_replaces_its_table(design: Design) -> None:
    assert design.target_table.names == ("reserves_level", "tga_level")
    other = dataclasses.replace(design, targets=design.targets[["tga_level"]] + 1.0)
    assert other.target_table.names == ("tga_level",)
    np.testing.assert_array_equal(other.target_table.values[:, 0], design.targets["tga_level"].to_numpy() + 1.0)
    pd.testing.assert_frame_equal(other.features, design.features)


def test_a_design_is_pickled_whole(design: Design) -> None:
    same(pickle.loads(pickle.dumps(design)), design)  # noqa: S301  our own bytes


def test_a_misspelt_attribute_of_a_design_is_an_attribute_error(design: Design) -> None:
    with pytest.raises(AttributeError, match="targts"):
        design.targts  # type: ignore[attr-defined]  # noqa: B018
    assert not hasattr(design, "__array__")


def test_columns_of_a_table_come_in_the_order_asked_for(design: Design) -> None:
    table = design.target_table
    np.testing.assert_array_equal(table.columns(("tga_level", "reserves_level")), table.values[:, ::-1])
    assert table.columns(()).shape == (len(table.values), 0)
    assert isinstance(table, Table)


@pytest.mark.parametrize(
    "last", ["2024-05-15", "1899-12-20", "2099-04-01", "2150-03-04", "2024-05-16", "2024-05-15 06:00"]
)
def test_future_weeks_follow_at_a_distance_of_seven_days(last: str) -> None:
    periods = future_weeks(pd.Timestamp(last), 30)
    assert periods.equals(pd.date_range(last, periods=31, freq="7D", unit="us")[1:])
    assert periods.unit == "us"


@pytest.mark.parametrize("day", pd.date_range("2024-03-06", periods=9).strftime("%Y-%m-%d").tolist())
@pytest.mark.parametrize("clock", ["00:00", "17:00", "23:59"])
def test_the_last_week_over_ended_on_the_wednesday_before(day: str, clock: str) -> None:
    instant = pd.Timestamp(f"{day} {clock}", tz="America/New_York")
    over = last_week_over(instant)
    assert over.day_name() == "Wednesday"
    assert over.unit == "us"
    ended = (over + pd.Timedelta(days=1)).tz_localize("America/New_York")
    assert ended <= instant < (over + pd.Timedelta(days=8)).tz_localize("America/New_York")


@pytest.mark.parametrize("name", [name for name, item in FEATURES.items() if isinstance(item, CalendarEffect)])
def test_calendar_effects_read_off_a_table_are_those_computed_one_by_one(name: str) -> None:
    weeks = pd.date_range("1948-01-07", "2052-01-01", freq="7D", unit="us")  # longer than the table
    effect = find_feature(name)
    assert isinstance(effect, CalendarEffect)
    direct = effect(weeks)
    assert 0 < direct.sum() < len(direct)
    for some in (slice(0, 200), slice(200, 1300), slice(2500, 2501), slice(5200, None)):
        pd.testing.assert_series_equal(effect(weeks[some]), direct[some], check_freq=False)
