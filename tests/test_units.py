"""Every number has a unit, and conversion happens in one place."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecast.errors import UnitError
from forecast.units import UNIT_WORDS, UNITS, convert, factor, parse_unit

SHARED = Path(__file__).resolve().parents[2] / "shared"

PAIRS = [(a, b) for a in UNITS.values() for b in UNITS.values() if a.dimension == b.dimension]


@pytest.mark.parametrize(
    ("word", "name"),
    [
        ("USD millions", "usd_mn"),
        ("  usd BILLIONS ", "usd_bn"),
        ("Millions of Dollars", "usd_mn"),
        ("Billions of U.S. Dollars", "usd_bn"),
        ("percent", "percent"),
        ("Basis points", "bp"),
        ("pp", "pp"),
        ("persons", "persons"),
        ("thousands", "thousand_persons"),
        ("thousands SAAR", "thousand_units"),
        ("USD billions SAAR", "usd_bn_annual_rate"),
        ("chained 2017 USD billions", "usd_bn_2017"),
        ("index 1982-84=100", "index"),
        ("0/1", "indicator"),
    ],
)
def test_manifest_words_name_their_unit(word: str, name: str) -> None:
    assert parse_unit(word, where="x").name == name


def test_every_unit_is_known_by_its_own_name() -> None:
    assert all(parse_unit(name, where="x") is unit for name, unit in UNITS.items())


def test_every_word_leads_to_a_unit() -> None:
    assert set(UNIT_WORDS.values()) <= set(UNITS)


def test_an_unknown_word_names_the_place_and_the_known_units() -> None:
    with pytest.raises(UnitError, match=r"WALCL\.csv: unknown unit 'furlongs'.*usd_mn"):
        parse_unit("furlongs", where="WALCL.csv")


@pytest.mark.parametrize("word", ["", "   "])
def test_no_unit_is_an_error_and_not_a_default(word: str) -> None:
    with pytest.raises(UnitError, match="no unit stated"):
        parse_unit(word, where="x")


@pytest.mark.parametrize("word", ["million", "USD", "m", "bn", "as source", "date"])
def test_what_could_mean_two_things_is_not_guessed(word: str) -> None:
    if word.lower() in UNIT_WORDS:
        assert UNITS[UNIT_WORDS[word.lower()]].name == word.lower()
    else:
        with pytest.raises(UnitError):
            parse_unit(word, where="x")


@pytest.mark.parametrize(
    ("source", "target", "expected"),
    [
        ("usd_mn", "usd_bn", 1e-3),
        ("usd", "usd_bn", 1e-9),
        ("usd_bn", "usd_mn", 1e3),
        ("percent", "bp", 100.0),
        ("bp", "percent", 0.01),
        ("pp", "percent", 1.0),
        ("thousand_persons", "persons", 1e3),
    ],
)
def test_factors_are_what_the_words_say(source: str, target: str, expected: float) -> None:
    assert factor(UNITS[source], UNITS[target]) == pytest.approx(expected, rel=1e-15)


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("usd_bn", "percent"),
        ("usd_bn", "usd_bn_annual_rate"),
        ("usd_bn_2017", "usd_bn"),
        ("persons", "thousand_units"),
        ("index", "percent"),
        ("ratio", "percent"),
    ],
)
def test_different_dimensions_do_not_convert(source: str, target: str) -> None:
    with pytest.raises(UnitError, match=f"{source} .*{target} "):
        factor(UNITS[source], UNITS[target])
    with pytest.raises(UnitError):
        convert(np.array([1.0]), UNITS[source], UNITS[target])


@pytest.mark.parametrize(("a", "b"), PAIRS, ids=str)
def test_there_and_back_is_where_one_began(a: object, b: object) -> None:
    values = np.array([0.0, -3.25, 4.33, 7712781.0])
    np.testing.assert_allclose(convert(convert(values, a, b), b, a), values, rtol=1e-12)  # type: ignore[arg-type]


@given(st.integers(-(10**9), 10**9))
def test_millions_become_the_very_number_that_billions_are_written_as(millions: int) -> None:
    sign, size = ("-" if millions < 0 else ""), abs(millions)
    written = float(f"{sign}{size // 1000}.{size % 1000:03d}")
    assert convert(np.array([float(millions)]), UNITS["usd_mn"], UNITS["usd_bn"])[0] == written


def test_missing_stays_missing() -> None:
    assert np.isnan(convert(np.array([np.nan]), UNITS["usd_mn"], UNITS["usd_bn"])[0])


@pytest.mark.skipif(not SHARED.exists(), reason="no shared data beside the project")
def test_the_words_of_the_official_manifests_are_known() -> None:
    with (SHARED / "data/fed/MANIFEST.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["frequency"] != "event" and row["units"] != "date"]
    assert len(rows) > 150
    for row in rows:
        parse_unit(row["units"], where=row["series_id"])
