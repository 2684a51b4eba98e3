"""Features: units and closed forms on panels small enough to check by hand, release times, and the real archive."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import forecast.features
from forecast.calendar import is_business_day, reserve_week
from forecast.checks.lookahead import POISONS, Poison, check_features, check_truncation
from forecast.data.catalog import catalog
from forecast.data.synthetic import Economy, simulate
from forecast.data.vintages import Panel, Vintages, VintageTable
from forecast.errors import MissingSeriesError
from forecast.features.feature_set import FEATURES, CalendarEffect, Feature, FeatureSet, find_feature
from forecast.features.money_market import administered_rate
from forecast.units import UNITS

ORDINARY = {name: item for name, item in FEATURES.items() if isinstance(item, Feature)}
EFFECTS = {name: item for name, item in FEATURES.items() if isinstance(item, CalendarEffect)}
EVERYTHING = FeatureSet(("reserves_level",), tuple(FEATURES))
SHARED = Path(__file__).resolve().parents[2] / "shared"

Values = Mapping[str, float] | pd.Series


def table(name: str, values: Values, as_of: str = "2030-01-01") -> VintageTable:
    series = pd.Series(values, dtype=float)
    return VintageTable(
        name, pd.Timestamp(as_of), pd.DatetimeIndex(series.index).as_unit("us").to_numpy(), series.to_numpy()
    )


def panel(origin: str, **series: Values) -> Panel:
    return Vintages.from_tables([table(name, values) for name, values in series.items()], catalog()).as_of(origin)


def business(first: str, last: str, value: float | list[float]) -> pd.Series:
    days = pd.date_range(first, last, unit="us")
    return pd.Series(value, index=days[is_business_day(days)], dtype=float)


def every(first: str, last: str, value: float) -> pd.Series:
    return pd.Series(value, index=pd.date_range(first, last, unit="us"))


def weeks(last: str, *values: float) -> pd.Series:
    return pd.Series(values, index=pd.date_range(end=last, periods=len(values), freq="7D", unit="us"), dtype=float)


def latest(name: str, known: Panel) -> tuple[str, float]:
    feature = find_feature(name)
    assert isinstance(feature, Feature)
    series = feature(known)
    return f"{series.index[-1]:%Y-%m-%d}", float(series.iloc[-1])


@pytest.fixture(scope="module")
def economy() -> Vintages:
    """The simulated economy with the inputs that it does not simulate added as random walks."""
    simulated, _ = simulate(Economy(seed=3, years=17.5))
    needed = {name for item in ORDINARY.values() for name in item.inputs}
    rng = np.random.default_rng(5)
    extra = []
    for name in sorted(needed - set(simulated.names)):
        periods = pd.date_range("2006-01-01", "2023-04-01", freq="QS", unit="us")
        if catalog()[name].frequency == "D":
            periods = business("2019-06-03", "2023-06-29", 0).index
        walk = 1000 + rng.normal(size=len(periods)).cumsum()
        extra.append(table(name, pd.Series(walk, index=periods), as_of="2023-06-30"))
    added = Vintages.from_tables(extra, catalog()).observations
    return Vintages(pd.concat([simulated.observations, added], ignore_index=True), catalog())


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Vintages:
    """The official series that features read, each in its newest vintage, with earlier ones of bank assets."""
    from forecast.data.sources.directory import read_directory

    if not (SHARED / "data" / "fed").is_dir():
        pytest.skip("the official series are not beside the project")
    folder = tmp_path_factory.mktemp("official")
    (folder / "MANIFEST.csv").symlink_to(SHARED / "data" / "fed" / "MANIFEST.csv")
    wanted = {name for item in ORDINARY.values() for name in item.inputs} | {"reverse_repo_average"}
    for name in sorted(wanted | {"foreign_rrp_average"}):
        (folder / f"{catalog()[name].id}.csv").symlink_to(SHARED / "data" / "fed" / f"{catalog()[name].id}.csv")
    report = read_directory(folder)
    assert not report.refused
    earlier = read_directory(SHARED / "data" / "vintages", units={"TLAACBW027SBOG": "usd_bn"}).imported
    revised = [file.table for file in earlier if file.table.series == "bank_assets"]
    assert revised
    return Vintages.from_tables([*(file.table for file in report.imported), *revised], catalog())


# --------------------------------------------------------------------------- registry


@pytest.mark.parametrize("name", sorted(FEATURES))
def test_every_feature_says_what_it_is(name: str) -> None:
    item = FEATURES[name]
    assert item.name == name
    assert len(item.description) > 20
    assert item.description.endswith((".", "?")) or ":" in item.description
    assert UNITS[item.unit.name] is item.unit
    documentation = inspect.getdoc(item.compute) or ""
    assert "Returns\n-------" in documentation
    assert "\n    " in documentation, "no equation"


@pytest.mark.parametrize("name", sorted(ORDINARY))
def test_every_input_is_in_the_catalogue(name: str) -> None:
    assert ORDINARY[name].inputs
    assert set(ORDINARY[name].inputs) <= set(catalog())


@pytest.mark.parametrize("name", sorted(ORDINARY))
def test_a_feature_reads_what_it_declares_and_nothing_else(name: str, economy: Vintages) -> None:
    known = economy.as_of("2023-01-05 17:00")
    read: set[str] = set()

    def spy(series: str) -> object:
        read.add(series)
        return known._read(series)

    result = ORDINARY[name](dataclasses.replace(known, _read=spy))  # type: ignore[arg-type]
    assert read == set(ORDINARY[name].inputs)
    assert not result.empty


@pytest.mark.parametrize("name", sorted(ORDINARY))
def test_a_feature_is_by_wednesday_in_order_and_without_holes_at_its_ends(name: str, economy: Vintages) -> None:
    series = ORDINARY[name](economy.as_of("2023-01-05 17:00"))
    assert (reserve_week(series.index) == series.index).all()
    assert series.index.is_monotonic_increasing
    assert series.index.is_unique
    assert series.notna().iloc[[0, -1]].all()
    assert series.name == name


def test_importing_the_package_registers_every_module() -> None:
    folder = Path(forecast.features.__file__).parent
    # Daily reserves are no registered feature: their past rows rest on later weeks.
    rooms = {path.stem for path in folder.glob("*.py")} - {"__init__", "feature_set", "transforms", "daily_reserves"}
    assert rooms == {name for name in forecast.features.__all__ if name.islower()}
    assert {item.compute.__module__.rsplit(".", 1)[-1] for item in FEATURES.values()} == rooms


# --------------------------------------------------------------------------- reserves

RESERVES = {
    "reserves_average": weeks("2024-05-08", 3000, 3100, 3310),
    "bank_assets": weeks("2024-04-24", 20_000, 25_000),
    "deposits": weeks("2024-05-01", 15_500, 16_000),
    "gdp": {"2023-10-01": 28_000, "2024-01-01": 31_000},
}


@pytest.mark.parametrize(
    ("name", "period", "value"),
    [
        ("reserves_level", "2024-05-08", 3310),
        ("reserves_change", "2024-05-08", 210),
        ("reserve_ratio", "2024-04-24", 100 * 3000 / 25_000),
        ("reserve_ratio_known", "2024-05-08", 100 * 3310 / 25_000),
        ("reserves_to_gdp", "2024-05-08", 100 * 3310 / 31_000),
        ("reserves_to_deposits", "2024-05-01", 100 * 3100 / 16_000),
    ],
)
def test_reserves_relative_to_needs(name: str, period: str, value: float) -> None:
    assert latest(name, panel("2024-05-16 17:00", **RESERVES)) == (period, pytest.approx(value, rel=1e-15))


def test_history_of_the_known_ratio_divides_by_assets_that_were_public_then() -> None:
    # On Thursday 2 May the H.8 of 17 April was the latest: 20,000, not the 25,000 of the same week.
    known = find_feature("reserve_ratio_known")(panel("2024-05-16 17:00", **RESERVES))
    assert known[pd.Timestamp("2024-05-01")] == 100 * 3100 / 20_000
    assert known[pd.Timestamp("2024-05-08")] == 100 * 3310 / 25_000


def test_the_ratio_changes_in_percentage_points() -> None:
    known = panel(
        "2024-05-16 17:00",
        reserves_average=weeks("2024-05-01", 2000, 3000),
        bank_assets=weeks("2024-05-01", 20_000, 25_000),
    )
    assert latest("reserve_ratio_change", known) == ("2024-05-01", pytest.approx(2.0))


def test_the_known_ratio_is_two_weeks_ahead_of_the_ratio(economy: Vintages) -> None:
    known = economy.as_of("2019-05-16 17:00")
    assert latest("reserve_ratio", known)[0] == "2019-05-01"
    assert latest("reserve_ratio_known", known)[0] == "2019-05-15"


def test_assets_carried_forward_cost_little(archive: Vintages) -> None:
    final = archive.final()
    known, same_week = (find_feature(name)(final).loc["2015":] for name in ("reserve_ratio_known", "reserve_ratio"))
    calm = (known - same_week).dropna().drop(pd.date_range("2020-03-01", "2020-06-30"), errors="ignore")
    assert calm.abs().mean() < 0.06  # percentage points, against a ratio of 8 to 19


# ------------------------------------------------------------------------ liabilities


def test_levels_and_changes_of_liabilities() -> None:
    known = panel(
        "2024-05-09 17:00",
        tga_average=weeks("2024-05-08", 700, 650),
        currency_average=weeks("2024-05-08", 2300, 2304),
        foreign_rrp_wednesday=weeks("2024-05-08", 350, 360),
    )
    assert latest("tga_level", known) == ("2024-05-08", 650)
    assert latest("tga_change", known) == ("2024-05-08", -50)
    assert latest("currency_change", known) == ("2024-05-08", 4)
    assert latest("foreign_rrp", known) == ("2024-05-08", 360)


def test_a_friday_operation_is_outstanding_for_three_days() -> None:
    known = panel("2024-05-09 17:00", on_rrp=business("2024-05-02", "2024-05-08", [0, 70, 0, 0, 0]))
    assert latest("on_rrp_take_up", known) == ("2024-05-08", pytest.approx(30.0))


def test_take_up_of_an_absent_day_is_zero() -> None:
    operations = business("2014-05-01", "2014-05-14", 7.0).drop(pd.Timestamp("2014-05-12"))
    assert latest("on_rrp_take_up", panel("2014-05-15 17:00", on_rrp=operations)) == ("2014-05-14", pytest.approx(6.0))


@pytest.mark.parametrize("friday", ["2022-04-15", "2023-04-07"])  # in 2023 bonds traded half a day
@pytest.mark.parametrize("eve", [True, False])
def test_no_operation_on_good_friday_means_as_before_not_zero(friday: str, eve: bool) -> None:
    day = pd.Timestamp(friday)
    operations = business(f"{day - pd.Timedelta(days=2)}", f"{day + pd.Timedelta(days=5)}", 2100.0)
    gaps = operations.drop([day, *([day - pd.Timedelta(days=1)] if eve else [])])
    known = panel(f"{day + pd.Timedelta(days=6, hours=17)}", on_rrp=gaps)
    assert latest("on_rrp_take_up", known) == (f"{day + pd.Timedelta(days=5):%Y-%m-%d}", pytest.approx(2100.0))


def test_the_change_of_take_up_is_over_the_week() -> None:
    both = pd.concat([business("2024-05-02", "2024-05-08", 400.0), business("2024-05-09", "2024-05-15", 370.0)])
    assert latest("on_rrp_change", panel("2024-05-16 17:00", on_rrp=both)) == ("2024-05-15", pytest.approx(-30.0))


def test_shares_are_of_the_four_main_liabilities() -> None:
    liabilities = {
        "reserves_average": weeks("2024-05-08", 3000),
        "tga_average": weeks("2024-05-08", 500),
        "currency_average": weeks("2024-05-08", 1100),
    }
    known = panel("2024-05-09 17:00", on_rrp=business("2024-05-02", "2024-05-08", 400.0), **liabilities)
    assert latest("on_rrp_share", known) == ("2024-05-08", pytest.approx(8.0))
    assert latest("tga_share", known) == ("2024-05-08", pytest.approx(10.0))


def test_before_the_facility_its_share_is_nothing_and_its_take_up_absent() -> None:
    liabilities = {
        "reserves_average": weeks("2012-05-09", 1500, 1500),
        "tga_average": weeks("2012-05-09", 100, 100),
        "currency_average": weeks("2012-05-09", 400, 400),
    }
    known = panel("2012-05-10 17:00", on_rrp={"2009-12-03": 0.2, "2030-01-02": 1.0}, **liabilities)
    assert latest("on_rrp_share", known) == ("2012-05-09", 0.0)
    assert latest("tga_share", known) == ("2012-05-09", pytest.approx(5.0))
    assert find_feature("on_rrp_take_up")(known).empty


def test_standing_repo_does_not_exist_before_it_existed() -> None:
    for values in (business("2021-07-29", "2021-08-11", 1.0), business("2021-06-01", "2021-08-11", 1.0)):
        known = panel("2021-08-12 17:00", srf=values)
        for name in ("srf_take_up", "srf_peak"):
            assert list(find_feature(name)(known).index) == [pd.Timestamp("2021-08-04"), pd.Timestamp("2021-08-11")]


def test_standing_repo_is_zero_only_on_days_without_operations_since() -> None:
    known = panel("2021-08-12 17:00", srf={"2021-07-29": 0.5, "2021-08-03": 2.0, "2021-08-04": 0.0})
    assert latest("srf_take_up", known) == ("2021-08-04", pytest.approx(0.5))
    assert latest("srf_peak", known) == ("2021-08-04", 2.0)


def test_take_up_of_the_simulated_facility_equals_the_weekly_statement(economy: Vintages) -> None:
    known = economy.as_of("2023-01-05 17:00")
    statement = known.series("other_reverse_repo_average").loc["2013-10-02":]
    ours = find_feature("on_rrp_take_up")(known).reindex(statement.index)
    quiet = ~pd.DatetimeIndex(statement.index).isin(reserve_week(_bond_market_holidays()))
    np.testing.assert_allclose(ours[quiet], statement[quiet], atol=0.002)


def _bond_market_holidays() -> pd.DatetimeIndex:
    days = pd.date_range("2013-01-01", "2023-12-31", unit="us")
    return days[is_business_day(days) & ~is_business_day(days, "sifma")]


def test_take_up_equals_the_official_week_average(archive: Vintages) -> None:
    final = archive.final()
    official = (final.series("reverse_repo_average") - final.series("foreign_rrp_average")).dropna()
    ours = find_feature("on_rrp_take_up")(final).reindex(official.index)
    assert len(official) >= 100
    assert (ours - official).abs().max() < 0.6  # usd_bn, of up to 2,420


# ----------------------------------------------------------------------- money market


def test_spreads_are_basis_points_over_the_administered_rate() -> None:
    known = panel(
        "2024-05-09 17:00",
        effr=business("2024-05-02", "2024-05-08", 5.33),
        sofr=business("2024-05-02", "2024-05-08", [5.31, 5.31, 5.31, 5.31, 5.36]),
        tgcr=business("2024-05-02", "2024-05-08", 5.30),
        iorb=every("2024-05-01", "2024-05-09", 5.40),
        target_lower=every("2024-05-01", "2024-05-09", 5.25),
        target_upper=every("2024-05-01", "2024-05-09", 5.50),
        on_rrp_rate=business("2024-05-02", "2024-05-08", 5.30),
        sofr_p25=business("2024-05-02", "2024-05-08", 5.29),
        sofr_p75=business("2024-05-02", "2024-05-08", 5.37),
        sofr_p99=business("2024-05-02", "2024-05-08", 5.45),
    )
    expected = {
        "effr_iorb": -7,
        "sofr_iorb": -8,
        "tgcr_iorb": -10,
        "sofr_effr": -1,
        "effr_target_distance": 8,
        "sofr_target_distance": -18,
        "iorb_on_rrp_gap": 10,
        "sofr_spread_75_25": 8,
        "sofr_spread_99_25": 16,
    }
    for name, value in expected.items():
        assert latest(name, known) == ("2024-05-08", value), name  # exactly: no binary noise
        assert find_feature(name).unit.name == "bp"


def test_a_rate_change_in_the_week_is_matched_day_by_day() -> None:
    # The rate on reserves rose by 25 bp on Thursday 28 July 2022; effr followed the same day.
    iorb = pd.concat([every("2022-07-20", "2022-07-27", 1.65), every("2022-07-28", "2022-08-04", 2.40)])
    effr = pd.concat([business("2022-07-21", "2022-07-27", 1.58), business("2022-07-28", "2022-08-03", 2.33)])
    spread = find_feature("effr_iorb")(panel("2022-08-04 17:00", effr=effr, iorb=iorb))
    assert list(spread) == [-7.0, -7.0]


def test_a_day_without_a_published_rate_is_left_out_of_the_mean() -> None:
    effr = business("2024-05-02", "2024-05-08", [5.33, 5.33, 5.33, 5.33, 5.38]).drop(pd.Timestamp("2024-05-06"))
    known = panel("2024-05-09 17:00", effr=effr, iorb=every("2024-05-01", "2024-05-09", 5.40))
    assert latest("effr_iorb", known) == ("2024-05-08", pytest.approx((3 * -7 - 2) / 4))


IOER = every("2021-07-15", "2021-07-28", 0.15)
IORB = every("2021-07-29", "2021-08-12", 0.16)
SUMMER = business("2021-07-15", "2021-08-11", 0.10)


def test_the_rate_on_reserves_has_no_gap_and_no_overlap_where_two_series_meet() -> None:
    known = panel("2021-08-12 17:00", ioer=IOER, iorb=IORB)
    days = pd.date_range("2021-07-15", "2021-08-12", unit="us")
    rate = administered_rate(known, days)
    assert list(rate) == [0.15] * 14 + [0.16] * 15


def test_the_splice_ignores_what_either_series_says_outside_its_time() -> None:
    known = panel("2021-08-12 17:00", ioer=every("2021-07-15", "2021-08-12", 0.15), iorb=IORB, effr=SUMMER)
    spread = find_feature("effr_iorb")(known)
    assert spread.to_dict() == {
        pd.Timestamp("2021-07-21"): -5.0,
        pd.Timestamp("2021-07-28"): -5.0,
        pd.Timestamp("2021-08-04"): -6.0,
        pd.Timestamp("2021-08-11"): -6.0,
    }


def test_the_spread_works_while_only_the_older_rate_is_public() -> None:
    known = panel("2021-07-22 17:00", ioer=IOER, iorb=IORB, effr=SUMMER)
    assert not known.has("iorb")
    assert latest("effr_iorb", known) == ("2021-07-21", -5.0)


def test_the_spread_works_where_only_the_newer_rate_is_in_the_archive() -> None:
    assert latest("effr_iorb", panel("2021-08-12 17:00", iorb=IORB, effr=SUMMER)) == ("2021-08-11", -6.0)


def test_without_a_rate_on_reserves_the_error_names_it() -> None:
    with pytest.raises(MissingSeriesError, match="IORB"):
        find_feature("effr_iorb")(panel("2021-08-12 17:00", effr=SUMMER))


@pytest.mark.parametrize(("origin", "period"), [("2021-07-29 17:00", "2021-07-28"), ("2021-08-05 17:00", "2021-08-04")])
def test_the_week_of_the_splice_is_there_on_time(economy: Vintages, origin: str, period: str) -> None:
    for name in ("effr_iorb", "sofr_iorb", "tgcr_iorb"):
        assert latest(name, economy.as_of(origin))[0] == period


# ------------------------------------------------------------------------ ragged edge


@pytest.mark.parametrize(
    ("name", "period"),
    [
        ("effr_iorb", "2019-05-15"),
        ("sofr_iorb", "2019-05-15"),
        ("effr_target_distance", "2019-05-15"),
        ("yield_2y", "2019-05-15"),
        ("yield_10y", "2019-05-15"),
        ("reserves_level", "2019-05-15"),
        ("tga_change", "2019-05-15"),
        ("on_rrp_share", "2019-05-15"),
        ("reserve_ratio_known", "2019-05-15"),
        ("unemployment", "2019-05-15"),
        ("private_debt_to_gdp", "2019-05-15"),
        ("reserve_ratio", "2019-05-01"),
        ("bank_credit_growth", "2019-05-01"),
        ("term_premium_10y", "2019-05-01"),
    ],
)
def test_what_is_known_on_an_ordinary_thursday_at_five(economy: Vintages, name: str, period: str) -> None:
    assert latest(name, economy.as_of("2019-05-16 17:00"))[0] == period


@pytest.mark.parametrize("name", ["effr_iorb", "sofr_iorb", "yield_10y", "reserves_level", "tga_change"])
def test_on_thanksgiving_the_week_just_ended_is_not_out_yet(economy: Vintages, name: str) -> None:
    assert latest(name, economy.as_of("2022-11-24 17:00"))[0] == "2022-11-16"
    assert latest(name, economy.as_of("2022-11-25 17:00"))[0] == "2022-11-23"


def test_overnight_reverse_repo_is_known_the_same_day_even_on_thanksgiving(economy: Vintages) -> None:
    assert latest("on_rrp_take_up", economy.as_of("2022-11-24 17:00"))[0] == "2022-11-23"


def test_before_the_weekly_statement_the_rates_are_already_out(economy: Vintages) -> None:
    known = economy.as_of("2019-05-16 12:00")
    assert latest("effr_iorb", known)[0] == "2019-05-15"
    assert latest("reserves_level", known)[0] == "2019-05-08"
    assert latest("yield_10y", known)[0] == "2019-05-08"


def test_a_bank_ratio_arrives_on_friday_afternoon(economy: Vintages) -> None:
    assert latest("reserve_ratio", economy.as_of("2019-05-17 16:00"))[0] == "2019-05-01"
    assert latest("reserve_ratio", economy.as_of("2019-05-17 16:15"))[0] == "2019-05-08"


def test_standing_repo_and_sofr_are_absent_from_early_designs(economy: Vintages) -> None:
    design = FeatureSet(("effr_iorb",), ("srf_take_up", "sofr_iorb")).build(economy.as_of("2012-05-10 17:00"))
    assert design.features.isna().all().all()


# --------------------------------------------------------------------- term structure


def test_the_shape_of_the_curve_at_the_end_of_the_week() -> None:
    known = panel(
        "2024-05-09 17:00",
        treasury_3m=business("2024-05-02", "2024-05-08", [9, 9, 9, 9, 5.4]),
        treasury_2y=business("2024-05-02", "2024-05-08", [9, 9, 9, 9, 4.8]),
        treasury_10y=business("2024-05-02", "2024-05-08", [9, 9, 9, 9, 4.5]),
    )
    expected = {
        "yield_3m": (5.4, "percent"),
        "yield_2y": (4.8, "percent"),
        "yield_10y": (4.5, "percent"),
        "yield_level": (4.9, "percent"),
        "yield_slope": (-0.9, "pp"),
        "yield_slope_10y_2y": (-0.3, "pp"),
        "yield_curvature": (-0.3, "pp"),
    }
    for name, (value, unit) in expected.items():
        assert latest(name, known) == ("2024-05-08", pytest.approx(value)), name
        assert find_feature(name).unit.name == unit


def test_changes_of_yields_are_over_weeks() -> None:
    two_weeks = pd.concat([business("2024-05-02", "2024-05-08", 4.0), business("2024-05-09", "2024-05-15", 4.25)])
    known = panel("2024-05-31 17:00", treasury_2y=two_weeks, treasury_10y=two_weeks, term_premium_10y=two_weeks)
    for name in ("yield_2y_change", "yield_10y_change", "term_premium_10y_change"):
        assert latest(name, known) == ("2024-05-15", pytest.approx(0.25)), name


def test_a_yield_missing_on_a_closed_day_leaves_the_last_published() -> None:
    # Bond markets closed on Wednesday 5 December 2018, a business day of the Federal Reserve.
    yields = business("2018-11-29", "2018-12-12", [3.03, 3.01, 2.98, 2.91, 9.0, 2.87, 2.85, 2.85, 2.89, 2.91])
    known = panel("2018-12-13 17:00", treasury_10y=yields.drop(pd.Timestamp("2018-12-05")))
    assert find_feature("yield_10y")(known)[pd.Timestamp("2018-12-05")] == 2.91


# --------------------------------------------------------------- supply, macro, credit


def test_supply_is_the_sum_of_the_week() -> None:
    known = panel(
        "2024-05-16 17:00",
        net_bill_issuance=business("2024-05-02", "2024-05-15", [1, 2, 3, 4, 5, 10, 0, -4, 0, 0]),
        net_coupon_issuance=business("2024-05-02", "2024-05-15", [0] * 9 + [80]),
    )
    assert list(find_feature("bill_supply")(known)) == [15, 6]
    assert latest("coupon_supply", known) == ("2024-05-15", 80)


def months(first: str, values: list[float]) -> pd.Series:
    return pd.Series(values, index=pd.date_range(first, periods=len(values), freq="MS", unit="us"), dtype=float)


def test_macro_figures_are_the_latest_that_were_public() -> None:
    known = panel(
        "2024-05-09 17:00",
        unemployment=months("2023-01-01", [3.0] * 14 + [3.8, 3.9, 4.4]),
        cpi=months("2023-03-01", [300.0] * 12 + [309.0, 330.0]),
        m2=months("2023-03-01", [20_000.0] * 12 + [19_800.0, 1.0]),
        monetary_base=months("2023-03-01", [5_500.0] * 14),
    )
    expected = {
        "unemployment": (3.9, "percent"),  # April, out on Friday 3 May
        "inflation": (3.0, "percent"),  # March, out in April; April comes on 15 May
        "m2_growth": (-1.0, "percent"),
        "money_multiplier": (3.6, "ratio"),
    }
    for name, (value, unit) in expected.items():
        assert latest(name, known) == ("2024-05-08", pytest.approx(value)), name
        assert find_feature(name).unit.name == unit


def test_money_less_currency_is_of_the_month_last_published() -> None:
    known = panel(
        "2024-05-09 17:00",
        m2=months("2024-02-01", [20_900.0, 21_000.0, 99.0]),  # March, out on 23 April; April comes on 28 May
        currency_average=weeks("2024-05-08", 2280, 2300, 2302, 2304, 2306, 2400, 2400, 2400, 2400, 2400, 2400),
    )
    # Reserve weeks that end in March: 6th, 13th, 20th and 27th; the panel's begin on 28 February.
    assert latest("money_less_currency", known) == ("2024-05-08", pytest.approx(21_000 - 2303))
    assert find_feature("money_less_currency").unit.name == "usd_bn"


def test_securities_change_over_the_week() -> None:
    known = panel("2024-05-09 17:00", securities_wednesday=weeks("2024-05-08", 7000, 6985))
    assert latest("securities_change", known) == ("2024-05-08", -15)
    assert find_feature("securities_change").unit.name == "usd_bn"


def test_growth_of_credit_is_at_an_annual_rate() -> None:
    credit = weeks("2024-05-08", *(1000 * 1.01 ** (np.arange(20) / 13)))
    known = panel("2024-05-23 17:00", bank_credit=credit, bank_loans=credit)
    for name in ("bank_credit_growth", "bank_loan_growth"):
        assert latest(name, known) == ("2024-05-08", pytest.approx(100 * (1.01**4 - 1)))


def test_private_debt_is_that_of_households_and_businesses_over_a_years_gdp() -> None:
    quarters = pd.date_range("2022-10-01", periods=6, freq="QS", unit="us")

    def by_quarter(*values: float) -> pd.Series:
        return pd.Series(values, index=quarters, dtype=float)

    known = panel(
        "2024-05-09 17:00",
        household_debt=by_quarter(18_000, 1, 1, 1, 20_000, 99_999),
        business_debt=by_quarter(19_000, 1, 1, 1, 20_700, 99_999),
        mortgage_debt=by_quarter(1, 1, 1, 1, 13_200, 99_999),
        corporate_debt=by_quarter(1, 1, 1, 1, 12_100, 99_999),
        gdp=by_quarter(1, 1, 1, 1, 27_500, 30_000),
    )
    expected = {
        "private_debt_to_gdp": 100 * 40_700 / 27_500,  # of 2023Q4: the first quarter's Z.1 comes in June
        "household_debt_to_gdp": 100 * 20_000 / 27_500,
        "business_debt_to_gdp": 100 * 20_700 / 27_500,
        "mortgage_debt_to_gdp": 48.0,
        "corporate_debt_to_gdp": 44.0,
        "private_debt_growth": 10.0,
    }
    for name, value in expected.items():
        assert latest(name, known) == ("2024-05-08", pytest.approx(value)), name


# ------------------------------------------------------------------- calendar effects

HAND_CHECKED = {
    ("year_end_week", 2019): ["01-02"],
    ("year_end_week", 2024): ["01-03"],
    ("quarter_end_week", 2019): ["01-02", "04-03", "07-03", "10-02"],
    ("quarter_end_week", 2024): ["01-03", "04-03", "07-03", "10-02"],
    ("month_end_week", 2019): [
        *("01-02", "02-06", "03-06", "04-03", "05-01", "06-05", "07-03", "07-31", "09-04", "10-02", "11-06", "12-04")
    ],
    ("month_end_week", 2024): [
        *("01-03", "01-31", "03-06", "04-03", "05-01", "06-05", "07-03", "07-31", "09-04", "10-02", "11-06", "12-04")
    ],
    ("tax_week", 2019): ["03-20", "04-17", "06-19", "09-18", "12-18"],
    ("tax_week", 2024): ["03-20", "04-17", "06-19", "09-18", "12-18"],
    ("coupon_settlement_week", 2019): [
        *("01-02", "01-16", "02-06", "02-20", "03-06", "03-20", "04-03", "04-17", "05-01", "05-15", "06-05", "06-19"),
        *("07-03", "07-17", "07-31", "08-21", "09-04", "09-18", "10-02", "10-16", "11-06", "11-20", "12-04", "12-18"),
    ],
    ("coupon_settlement_week", 2024): [
        *("01-03", "01-17", "01-31", "02-21", "03-06", "03-20", "04-03", "04-17", "05-01", "05-15", "06-05", "06-19"),
        *("07-03", "07-17", "07-31", "08-21", "09-04", "09-18", "10-02", "10-16", "11-06", "11-20", "12-04", "12-18"),
    ],
}


@pytest.mark.parametrize(("name", "year"), sorted(HAND_CHECKED))
def test_calendar_effects_fall_into_the_weeks_of_the_wall_calendar(name: str, year: int) -> None:
    periods = pd.date_range(f"{year}-01-02", f"{year}-12-31", freq="W-WED", unit="us")
    effect = EFFECTS[name](periods)
    assert [f"{day:%m-%d}" for day in effect.index[effect == 1]] == HAND_CHECKED[name, year]
    assert set(effect) == {0.0, 1.0}
    assert effect.name == name


def test_the_first_of_january_on_a_wednesday_belongs_to_the_old_years_end() -> None:
    periods = pd.DatetimeIndex(["2024-12-25", "2025-01-01", "2025-01-08"]).as_unit("us")
    assert list(EFFECTS["year_end_week"](periods)) == [0, 1, 0]
    assert list(EFFECTS["tax_week"](periods)) == [0, 0, 0]


@pytest.mark.parametrize("name", sorted(EFFECTS))
def test_calendar_effects_run_past_the_targets(name: str, economy: Vintages) -> None:
    design = FeatureSet(("effr_iorb",), (name, "tga_change")).build(economy.as_of("2019-05-16 17:00"), ahead=60)
    assert design.targets.index[-1] == pd.Timestamp("2019-05-15")
    assert len(design.features) == len(design.targets) + 60
    assert design.features[name].notna().all()
    assert design.features["tga_change"].iloc[-60:].isna().all()
    assert design.known_ahead == {name}


@pytest.mark.parametrize("name", sorted(EFFECTS))
def test_a_calendar_effect_of_no_periods_is_empty(name: str) -> None:
    assert EFFECTS[name](pd.DatetimeIndex([], dtype="M8[us]")).empty


@given(st.dates(pd.Timestamp("1990-01-01").date(), pd.Timestamp("2050-01-01").date()), st.integers(1, 80))
def test_a_calendar_effect_depends_on_its_own_week_only(start: object, n: int) -> None:
    periods = pd.date_range(reserve_week([start])[0], periods=n, freq="7D", unit="us")
    for effect in EFFECTS.values():
        assert effect(periods).iloc[-1] == effect(periods[-1:]).iloc[0]


# ------------------------------------------------------------------------- look-ahead


@settings(max_examples=25, deadline=None)
@given(
    days=st.integers(0, 365 * 15),
    minutes=st.integers(0, 24 * 60 - 1),
    how=st.sampled_from(POISONS),
    seed=st.integers(0, 99),
)
def test_the_future_is_invisible(economy: Vintages, days: int, minutes: int, how: Poison, seed: int) -> None:
    origin = pd.Timestamp("2008-01-03") + pd.Timedelta(days=days, minutes=minutes)
    assert check_features(EVERYTHING, economy, [f"{origin}"], hows=[how], seed=seed) == []


def test_what_a_row_says_does_not_change_as_time_passes(economy: Vintages) -> None:
    origins = [f"{day:%Y-%m-%d} 17:00" for day in pd.date_range("2008-01-03", "2023-06-01", freq="9W-THU")]
    assert check_truncation(EVERYTHING, economy, origins) == []


def test_the_future_is_invisible_in_the_official_series(archive: Vintages) -> None:
    origins = ["2011-05-05 17:00", "2019-09-17 08:30", "2021-07-28 15:00", "2022-01-13 17:00", "2024-11-28 17:00"]
    assert check_features(EVERYTHING, archive, origins) == []


def test_rows_of_the_official_series_do_not_change_as_time_passes(archive: Vintages) -> None:
    origins = [f"{day:%Y-%m-%d} 17:00" for day in pd.date_range("2009-01-01", "2025-06-19", freq="17W-THU")]
    assert check_truncation(EVERYTHING, archive, origins) == []


# ------------------------------------------------------------------- official numbers


def test_the_no_change_forecast_of_the_spread_errs_as_published(archive: Vintages) -> None:
    """Mean over published days, weekly Thursdays 2015-2025, value of the week just ended against final values."""
    spread = find_feature("effr_iorb")(archive.final())
    origins = pd.date_range("2015-01-01", "2025-06-26", freq="W-THU", unit="us")
    known = spread.reindex(origins - pd.Timedelta(days=1)).to_numpy()
    errors = {}
    for h in (1, 4, 13):
        later = spread.reindex(origins + pd.Timedelta(days=7 * h - 1)).to_numpy()
        errors[h] = round(float(np.nanmean(np.abs(later - known))), 2)
    assert errors == {1: 0.51, 4: 0.68, 13: 1.16}


def test_an_unmoved_spread_is_exactly_unmoved(archive: Vintages) -> None:
    spread = find_feature("effr_iorb")(archive.final()).loc["2023-08-01":"2024-06-30"]
    assert set(spread) == {-7.0}


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("effr_iorb", -20, 25),
        ("sofr_iorb", -20, 90),
        ("reserve_ratio", 7, 20),
        ("reserve_ratio_known", 7, 20),
        ("reserves_to_gdp", 6, 19),
        ("on_rrp_take_up", 0, 2500),
        ("tga_level", 0, 1900),
        ("yield_2y", 0, 6),
        ("yield_10y", 0.4, 6),
        ("unemployment", 3, 15),
        ("inflation", -1, 10),
        ("m2_growth", -6, 28),
        ("money_less_currency", 7000, 20_000),
        ("securities_change", -160, 500),
        ("private_debt_to_gdp", 130, 175),
        ("srf_peak", 0, 15),
        ("effr_target_distance", 0, 30),
        ("iorb_on_rrp_gap", 5, 30),
        ("coupon_supply", -200, 400),
    ],
)
def test_official_values_are_of_the_right_size(archive: Vintages, name: str, low: float, high: float) -> None:
    series = find_feature(name)(archive.final()).loc["2010":]
    assert series.min() >= low
    assert series.max() <= high
    assert series.max() - series.min() > (high - low) / 8, "the bounds could hold a series in another unit"


def test_the_spike_of_september_2019_is_there(archive: Vintages) -> None:
    sofr = find_feature("sofr_iorb")(archive.final())
    assert sofr.idxmax() == pd.Timestamp("2019-09-18")
    # 2.20, 2.20, 2.43, 5.25, 2.55 percent against 2.10.
    assert sofr.max() == pytest.approx(100 * (2.20 + 2.20 + 2.43 + 5.25 + 2.55) / 5 - 210)
