"""Event series have dates and units, calendars have dates twice."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from forecast.data.events import read_calendar, read_events
from forecast.errors import DataError, UnitError
from forecast.units import UNITS

FED = Path(__file__).resolve().parents[2] / "shared" / "data" / "fed"
needs_shared = pytest.mark.skipif(not FED.exists(), reason="no shared data beside the project")

MANIFEST = "series_id,title,units,frequency,as_of\nJK_MP,Policy shock,pp,event,2024-09-19\nMP1,Window,as source,event,2025-12-11\n"
SHOCKS = "date,value\n2024-07-31,0.01\n2024-09-18,-0.134\n2024-11-07,\n"


@pytest.fixture
def there(tmp_path: Path) -> Path:
    (tmp_path / "MANIFEST.csv").write_text(MANIFEST, encoding="utf-8")
    for name in ("JK_MP", "MP1", "ALONE"):
        (tmp_path / f"{name}.csv").write_text(SHOCKS, encoding="utf-8")
    return tmp_path


def test_an_event_series_has_dates_numbers_and_a_unit(there: Path) -> None:
    events = read_events(there / "JK_MP.csv")
    assert (events.name, events.title, events.unit) == ("JK_MP", "Policy shock", UNITS["pp"])
    assert events.values.to_dict() == {pd.Timestamp("2024-07-31"): 0.01, pd.Timestamp("2024-09-18"): -0.134}


def test_an_announcement_without_a_number_is_left_out(there: Path) -> None:
    assert pd.Timestamp("2024-11-07") not in read_events(there / "JK_MP.csv").values.index


@pytest.mark.parametrize("name", ["MP1", "ALONE"])
def test_a_unit_that_nobody_states_must_be_given(there: Path, name: str) -> None:
    with pytest.raises(UnitError, match=rf"{name}\.csv.*Pass it as unit="):
        read_events(there / f"{name}.csv")
    assert read_events(there / f"{name}.csv", unit="pp").unit is UNITS["pp"]


def test_a_file_that_is_not_there_is_named(there: Path) -> None:
    for read in (read_events, read_calendar):
        with pytest.raises(DataError, match=r"NOWHERE\.csv does not exist"):
            read(there / "NOWHERE.csv")


def test_a_malformed_event_file_is_named_with_its_line(there: Path) -> None:
    (there / "JK_MP.csv").write_text("date,value\n2024-07-31,x\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"JK_MP\.csv, line 2"):
        read_events(there / "JK_MP.csv")


def test_a_calendar_is_release_days_by_period(tmp_path: Path) -> None:
    path = tmp_path / "C.csv"
    path.write_text("date,value\n2025-06-25,2025-06-26\n2025-06-18,2025-06-20\n", encoding="utf-8")
    calendar = read_calendar(path)
    assert calendar.to_dict() == {
        pd.Timestamp("2025-06-18"): pd.Timestamp("2025-06-20"),
        pd.Timestamp("2025-06-25"): pd.Timestamp("2025-06-26"),
    }
    assert calendar.index.is_monotonic_increasing


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("date,value\n2025-06-25,2025-06-24\n", "2025-06-25 is released on 2025-06-24, before it is over"),
        ("date,value\n2025-06-25,2025-06-26\n2025-06-25,2025-06-27\n", "2025-06-25 is there twice"),
        ("date,value\n2025-06-25,17\n", "line 2: '17' is not a day"),
        ("date,value\n", "a header and no values"),
    ],
)
def test_a_calendar_that_cannot_be_is_refused(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "C.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=said):
        read_calendar(path)


@needs_shared
@pytest.mark.parametrize(
    ("name", "unit", "n"),
    [
        ("ABJ_NS", "pp", 234),
        ("BS_MPS", "pp", 353),
        ("FOMC_STATEMENT_DATES", "indicator", None),
        ("FOMC_TARGET_CHANGES", "percent", None),
    ],
)
def test_the_official_event_series_can_be_read(name: str, unit: str, n: int | None) -> None:
    events = read_events(FED / f"{name}.csv")
    assert events.unit.name == unit
    assert n is None or len(events.values) == n
    assert events.values.index.is_monotonic_increasing


@needs_shared
def test_the_window_series_states_no_unit_of_ours() -> None:
    with pytest.raises(UnitError, match="as source"):
        read_events(FED / "USMPD_ME_MP1.csv")
    assert len(read_events(FED / "USMPD_ME_MP1.csv", unit="pp").values) > 200


@needs_shared
def test_the_official_release_calendar_can_be_read() -> None:
    calendar = read_calendar(FED / "H41_RELEASE_CALENDAR.csv")
    assert len(calendar) == 1176
    assert calendar.loc["2025-06-18"] == pd.Timestamp("2025-06-20")
