"""The catalogue says what every series is, and contradicts neither itself nor the manifests."""

from __future__ import annotations

import csv
import re
from collections import Counter
from datetime import date
from pathlib import Path

import pytest

from forecast.calendar import RELEASE_RULES
from forecast.data.catalog import catalog, read_catalog, spec_of
from forecast.errors import DataError, UnknownNameError
from forecast.units import UNITS, factor, parse_unit

SHARED = Path(__file__).resolve().parents[2] / "shared"
BLOCKS = {"balance_sheet", "money_market", "yields", "macro", "private_debt"}

ENTRY = """
[reserves_average]
id = "WRESBAL"
title = "Reserve balances"
unit = "usd_bn"
frequency = "W-WED"
kind = "average"
provider = "Board of Governors"
release = "h41"
block = "balance_sheet"
"""


def test_the_names_the_rest_of_the_package_builds_on_are_there() -> None:
    expected = {
        "reserves_average": ("WRESBAL", "usd_bn", "W-WED"),
        "reserves_wednesday": ("WRBWFRBL", "usd_bn", "W-WED"),
        "tga_average": ("WTREGEN", "usd_bn", "W-WED"),
        "tga_wednesday": ("WDTGAL", "usd_bn", "W-WED"),
        "currency_average": ("WCURCIR", "usd_bn", "W-WED"),
        "bank_assets": ("TLAACBW027SBOG", "usd_bn", "W-WED"),
        "on_rrp": ("RRPONTSYD", "usd_bn", "D"),
        "srf": ("SRF_ACCEPTED", "usd_bn", "D"),
        "tga_daily": ("DTS_TGA_CLOSE", "usd_bn", "D"),
        "effr": ("EFFR", "percent", "D"),
        "sofr_p99": ("SOFR99", "percent", "D"),
        "effr_volume": ("EFFRVOL", "usd_bn", "D"),
        "iorb": ("IORB", "percent", "D7"),
        "treasury_10y": ("DGS10", "percent", "D"),
        "gdp": ("GDP", "usd_bn_annual_rate", "Q"),
        "monetary_base": ("BOGMBASE", "usd_bn", "M"),
        "payrolls": ("PAYEMS", "thousand_persons", "M"),
        "housing_starts": ("HOUST", "thousand_units", "M"),
        "initial_claims": ("ICSA", "persons", "W-SAT"),
        "sahm_rule": ("SAHMREALTIME", "pp", "M"),
        "treasury_10y_2y": ("T10Y2Y", "bp", "D"),
    }
    specs = {name: spec_of(name) for name in expected}
    assert {name: (s.id, s.unit.name, s.frequency) for name, s in specs.items()} == expected


def test_no_two_series_share_an_id() -> None:
    assert [i for i, n in Counter(spec.id for spec in catalog().values()).items() if n > 1] == []


def test_every_release_rule_and_block_exists() -> None:
    assert {spec.release for spec in catalog().values()} <= set(RELEASE_RULES)
    assert {spec.block for spec in catalog().values()} == BLOCKS


def test_names_are_plain_and_titles_say_something() -> None:
    for name, spec in catalog().items():
        assert re.fullmatch(r"[a-z][a-z0-9_]*", name)
        assert len(spec.title) > 4
        assert spec.provider


def test_the_two_measures_of_an_item_never_mix() -> None:
    for name, spec in catalog().items():
        if spec.release == "h41":
            assert name.endswith(("_average", "_wednesday")), name
            assert spec.kind == ("average" if name.endswith("_average") else "level"), name


def test_flows_of_the_treasury_are_flows() -> None:
    flows = {"tga_deposits", "tga_withdrawals", "net_bill_issuance", "net_coupon_issuance"}
    assert {spec_of(name).kind for name in flows} == {"flow"}
    assert spec_of("tga_daily").kind == "level"


def test_money_is_in_billions_and_yields_in_percent() -> None:
    for name, spec in catalog().items():
        if spec.unit.dimension == "money":
            assert spec.unit is UNITS["usd_bn"], name
        if spec.unit is UNITS["bp"]:
            assert name in {"treasury_10y_2y", "treasury_10y_3m"}, name


def test_an_absent_operation_is_zero_but_only_since_the_facility_exists() -> None:
    assert {n for n, s in catalog().items() if s.absent_means == "zero"} == {"on_rrp", "srf", "repo_operations"}
    assert spec_of("srf").starts == date(2021, 7, 29)
    assert spec_of("iorb").starts == date(2021, 7, 29)
    assert spec_of("target_upper").starts == date(2008, 12, 16)


def test_an_unknown_name_gets_the_closest_ones() -> None:
    with pytest.raises(UnknownNameError, match="reserves_average"):
        spec_of("reserve_average")
    with pytest.raises(UnknownNameError, match="forecast data status --all"):
        spec_of("zzzzzz")


def test_an_entry_is_read_with_its_defaults() -> None:
    spec = read_catalog(ENTRY, where="test")["reserves_average"]
    assert (spec.absent_means, spec.starts) == ("unknown", None)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"usd_bn"', '"usd_zn"', "usd_zn"),
        ('"W-WED"', '"W-TUE"', "frequency = 'W-TUE'"),
        ('"average"', '"mean"', "kind = 'mean'"),
        ('title = "Reserve balances"\n', "", "title"),
        ("block =", "blok =", "blok"),
    ],
)
def test_a_malformed_entry_names_the_series_and_the_field(old: str, new: str, said: str) -> None:
    with pytest.raises(DataError, match=rf"my\.toml: \[reserves_average\].*{said}"):
        read_catalog(ENTRY.replace(old, new), where="my.toml")


@pytest.mark.skipif(not SHARED.exists(), reason="no shared data beside the project")
def test_every_official_series_is_catalogued_with_a_unit_its_file_converts_to() -> None:
    by_id = {spec.id: spec for spec in catalog().values()}
    with (SHARED / "data/fed/MANIFEST.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["frequency"] != "event" and row["units"] != "date"]
    assert {row["series_id"] for row in rows} == set(by_id)
    for row in rows:
        spec = by_id[row["series_id"]]
        assert spec.frequency == row["frequency"], spec.name
        assert factor(parse_unit(row["units"], where=spec.id), spec.unit) > 0
        if spec.starts is not None:
            assert date.fromisoformat(row["first"]) >= spec.starts, spec.name
