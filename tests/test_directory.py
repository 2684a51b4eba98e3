"""The entrance: what cannot be read for certain is refused, with file, line and remedy."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecast.data.sources.directory import ImportReport, SeriesFile, manifest_row, read_directory
from forecast.data.sources.series_csv import parse_days, parse_series
from forecast.errors import DataError, UnitError, UnknownNameError
from forecast.units import UNITS

SHARED = Path(__file__).resolve().parents[2] / "shared"
needs_shared = pytest.mark.skipif(not SHARED.exists(), reason="no shared data beside the project")

MANIFEST = "series_id,units,frequency,as_of,obtained_from,checks\n"
WEEKS = "date,value\n2025-06-18,3300000\n2025-06-25,3369328\n"
IN_BILLIONS = "date,value\n2025-06-18,3300\n2025-06-25,3369.328\n"


def folder(path: Path, manifest: str | None, **files: str) -> Path:
    """A folder of series; keys are file names without .csv, with '__' kept."""
    path.mkdir(exist_ok=True)
    if manifest is not None:
        (path / "MANIFEST.csv").write_text(manifest, encoding="utf-8")
    for name, text in files.items():
        (path / f"{name}.csv").write_text(text, encoding="utf-8")
    return path


def only(report: ImportReport) -> SeriesFile:
    assert [aside.reason for aside in report.refused] == []
    (file,) = report.imported
    return file


def reason(report: ImportReport) -> str:
    assert report.imported == ()
    (aside,) = report.refused
    return aside.reason


def reserves(path: Path, text: str, row: str = "WRESBAL,USD millions,W-WED,2026-07-30,,") -> ImportReport:
    return read_directory(folder(path, f"{MANIFEST}{row}\n", WRESBAL=text))


# ---- what a good file becomes


def test_a_file_is_read_and_converted_once(tmp_path: Path) -> None:
    file = only(reserves(tmp_path, WEEKS))
    assert file.table.series == "reserves_average"
    assert file.table.values.tolist() == [3300.0, 3369.328]
    assert file.table.periods.astype(str).tolist() == ["2025-06-18", "2025-06-25"]
    assert (file.unit.name, file.assumed) == ("usd_mn", False)
    assert f"{file.table.as_of:%Y-%m-%d}" == "2026-07-30"
    assert file.content == WEEKS.encode()
    assert (file.repairs, file.refused) == ((), ())


def test_what_else_the_manifest_says_is_kept(tmp_path: Path) -> None:
    row = "WRESBAL,USD millions,W-WED,2026-07-30,a copy [TRANSCRIBED],100 identical"
    file = only(reserves(tmp_path, WEEKS, row))
    assert file.provenance["obtained_from"] == "a copy [TRANSCRIBED]"
    assert file.provenance["checks"] == "100 identical"


def test_the_day_in_the_file_name_needs_no_manifest(tmp_path: Path) -> None:
    file = only(read_directory(folder(tmp_path, None, **{"WRESBAL__2025-07-01": IN_BILLIONS})))
    assert f"{file.table.as_of:%Y-%m-%d}" == "2025-07-01"
    assert (file.unit.name, file.assumed) == ("usd_bn", True)


def test_the_header_may_have_any_words(tmp_path: Path) -> None:
    text = WEEKS.replace("date,value", "observation_date,WRESBAL")
    assert only(reserves(tmp_path, text)).table.values.tolist() == [3300.0, 3369.328]


def test_line_ends_marks_and_blank_lines_do_not_matter(tmp_path: Path) -> None:
    text = "\ufeff" + WEEKS.replace("\n", "\r\n") + "\r\n\r\n"
    assert only(reserves(tmp_path, text)).table.values.tolist() == [3300.0, 3369.328]


@pytest.mark.parametrize("word", ["", ".", "NA", "ND"])
def test_an_empty_cell_is_kept_as_present_but_empty(tmp_path: Path, word: str) -> None:
    table = only(reserves(tmp_path, f"date,value\n2025-06-18,{word}\n2025-06-25,3369328\n")).table
    assert np.isnan(table.values[0])
    assert table.values[1] == 3369.328


def test_unsorted_rows_are_sorted_and_said_so(tmp_path: Path) -> None:
    file = only(reserves(tmp_path, "date,value\n2025-06-25,3369328\n2025-06-18,3300000\n"))
    assert file.table.values.tolist() == [3300.0, 3369.328]
    assert file.repairs == ("rows sorted by date",)


def test_repeated_rows_are_dropped_and_said_so(tmp_path: Path) -> None:
    file = only(reserves(tmp_path, WEEKS + "2025-06-25,3369328\n"))
    assert file.table.values.tolist() == [3300.0, 3369.328]
    assert file.repairs == ("1 repeated rows dropped",)


def test_quarters_labelled_by_their_last_day_are_relabelled_and_said_so(tmp_path: Path) -> None:
    manifest = f"{MANIFEST}ACMTP10,percent,Q,2022-02-27,,\n"
    file = only(read_directory(folder(tmp_path, manifest, ACMTP10="date,value\n2021-06-30,0.1\n2021-09-30,-0.05\n")))
    assert file.table.periods.astype(str).tolist() == ["2021-04-01", "2021-07-01"]
    assert file.repairs == ("2 periods relabelled by their first day",)


# ---- units


@pytest.mark.parametrize(
    ("words", "text", "expected"),
    [("USD millions", "3369328", 3369.328), ("USD billions", "3369.328", 3369.328), ("usd", "3369328000000", 3369.328)],
)
def test_the_same_balance_in_any_unit_is_the_same_number(
    tmp_path: Path, words: str, text: str, expected: float
) -> None:
    row = f"WRESBAL,{words},W-WED,2026-07-30,,"
    assert only(reserves(tmp_path, f"date,value\n2025-06-25,{text}\n", row)).table.values.tolist() == [expected]


def test_a_spread_published_in_percent_becomes_basis_points(tmp_path: Path) -> None:
    manifest = f"{MANIFEST}T10Y2Y,percent,D,2026-07-24,,\n"
    assert (
        only(read_directory(folder(tmp_path, manifest, T10Y2Y="date,value\n2025-06-30,0.52\n"))).table.values[0] == 52
    )


def test_a_unit_of_another_kind_names_both(tmp_path: Path) -> None:
    said = reason(reserves(tmp_path, WEEKS, "WRESBAL,percent,W-WED,2026-07-30,,"))
    assert "WRESBAL.csv" in said
    assert "percent (rate) to usd_bn (money)" in said
    assert "--unit WRESBAL=UNIT, usd_bn or usd_mn or usd" in said


def test_an_unknown_unit_word_is_refused(tmp_path: Path) -> None:
    assert "unknown unit 'zillions'" in reason(reserves(tmp_path, WEEKS, "WRESBAL,zillions,W-WED,2026-07-30,,"))


def test_the_command_line_overrides_the_manifest(tmp_path: Path) -> None:
    there = folder(tmp_path, f"{MANIFEST}WRESBAL,percent,W-WED,2026-07-30,,\n", WRESBAL=WEEKS)
    file = only(read_directory(there, units={"WRESBAL": "usd_mn"}))
    assert (file.table.values[1], file.assumed) == (3369.328, False)


def test_one_file_of_a_series_can_be_given_its_own_unit(tmp_path: Path) -> None:
    files = {"WRESBAL__2025-07-01": WEEKS, "WRESBAL__2025-08-01": WEEKS.replace("328", ".328").replace("000\n", "\n")}
    report = read_directory(folder(tmp_path, None, **files), units={"WRESBAL__2025-07-01": "usd_mn"})
    assert [file.table.values[0] for file in report.imported] == [3300.0, 3300.0]
    assert [name for name, _ in report.assumed_units] == ["WRESBAL__2025-08-01.csv"]


def test_an_override_for_a_series_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="WRESBAL"):
        read_directory(folder(tmp_path, None, **{"WRESBAL__2025-07-01": WEEKS}), units={"WRESBLA": "usd_mn"})


def test_an_override_in_an_unknown_unit_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UnitError, match="--unit WRESBAL: unknown unit 'mn'"):
        read_directory(folder(tmp_path, None, **{"WRESBAL__2025-07-01": WEEKS}), units={"WRESBAL": "mn"})


# ---- the day on which a file was current


def test_a_file_without_a_day_is_refused_with_the_remedy(tmp_path: Path) -> None:
    said = reason(read_directory(folder(tmp_path, None, WRESBAL=WEEKS)))
    assert "no as_of" in said
    assert "WRESBAL__YYYY-MM-DD.csv" in said


def test_a_name_and_a_manifest_that_disagree_are_refused(tmp_path: Path) -> None:
    manifest = "file,series_id,as_of,units\nWRESBAL__2025-07-01.csv,WRESBAL,2025-07-02,USD millions\n"
    said = reason(read_directory(folder(tmp_path, manifest, **{"WRESBAL__2025-07-01": WEEKS})))
    assert "says as_of 2025-07-02" in said


@pytest.mark.parametrize("day", ["2025-13-01", "01.07.2025", "20250701", "2025-7-1"])
def test_a_name_that_ends_in_no_day_is_refused(tmp_path: Path, day: str) -> None:
    assert "is not a day" in reason(read_directory(folder(tmp_path, None, **{f"WRESBAL__{day}": WEEKS})))


def test_the_unit_of_another_vintage_is_not_borrowed(tmp_path: Path) -> None:
    """A row without a file name speaks of the vintage whose day it states, and units change between vintages."""
    manifest = f"{MANIFEST}WRESBAL,USD billions,W-WED,2026-07-30,,\n"
    file = only(read_directory(folder(tmp_path, manifest, **{"WRESBAL__2025-07-01": IN_BILLIONS})))
    assert file.assumed


def test_two_rows_for_one_file_are_refused(tmp_path: Path) -> None:
    rows = "WRESBAL,USD millions,W-WED,2026-07-30,,\nWRESBAL,USD billions,W-WED,2026-07-31,,"
    assert "2 rows for WRESBAL.csv" in reason(reserves(tmp_path, WEEKS, rows))


def test_a_manifest_that_says_another_frequency_is_refused(tmp_path: Path) -> None:
    assert "frequency M, the catalogue says W-WED" in reason(
        reserves(tmp_path, WEEKS, "WRESBAL,USD millions,M,2026-07-30,,")
    )


# ---- what is left alone


def test_unknown_series_events_and_calendars_are_left_out_and_not_errors(tmp_path: Path) -> None:
    manifest = f"{MANIFEST}JK_PC1,pp,event,2024-09-19,,\nH41_RELEASE_CALENDAR,date,W-WED,2026-09-03,,\n"
    report = read_directory(
        folder(tmp_path, manifest, JK_PC1=WEEKS, H41_RELEASE_CALENDAR=WEEKS, MOON=WEEKS, WRESBALL=WEEKS)
    )
    assert (report.imported, report.refused) == ((), ())
    why = {aside.name: aside.reason for aside in report.left_out}
    assert "read_events" in why["JK_PC1.csv"]
    assert "read_calendar" in why["H41_RELEASE_CALENDAR.csv"]
    assert why["MOON.csv"] == "not in the catalogue"
    assert why["WRESBALL.csv"] == "not in the catalogue; is it WRESBAL?"


def test_a_row_without_its_file_is_mentioned(tmp_path: Path) -> None:
    report = reserves(
        tmp_path, WEEKS, "WRESBAL,USD millions,W-WED,2026-07-30,,\nWTREGEN,USD millions,W-WED,2026-07-30,,"
    )
    assert [(aside.name, aside.reason) for aside in report.left_out] == [
        ("WTREGEN", "listed in MANIFEST.csv, but no such file")
    ]


def test_one_bad_file_does_not_hold_up_the_others(tmp_path: Path) -> None:
    report = read_directory(folder(tmp_path, None, **{"WRESBAL__2025-07-01": IN_BILLIONS, "WTREGEN__2025-07-01": ""}))
    assert [file.name for file in report.imported] == ["WRESBAL__2025-07-01.csv"]
    assert [aside.name for aside in report.refused] == ["WTREGEN__2025-07-01.csv"]


def test_a_folder_that_is_none_or_empty_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is not a folder"):
        read_directory(tmp_path / "nowhere")
    with pytest.raises(DataError, match="holds no series"):
        read_directory(folder(tmp_path, MANIFEST))


def test_a_manifest_of_something_else_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no column 'series_id' but table, title"):
        read_directory(folder(tmp_path, "table,title\nx,y\n", WRESBAL=WEEKS))


def test_the_row_of_a_file_can_be_asked_for(tmp_path: Path) -> None:
    there = folder(tmp_path, f"{MANIFEST}WRESBAL,USD millions,W-WED,2026-07-30,,\n", WRESBAL=WEEKS)
    assert manifest_row(there / "WRESBAL.csv")["units"] == "USD millions"
    assert manifest_row(there / "WTREGEN.csv") == {}


# ---- values that cannot be


def test_a_value_dated_before_it_could_be_public_is_left_out_and_the_rest_enters(tmp_path: Path) -> None:
    manifest = f"{MANIFEST}H8_DEPOSITS_NSA,USD millions,W-WED,2023-04-27,,\n"
    text = "date,value\n2023-04-12,17368675\n2023-04-26,17094529\n"
    report = read_directory(folder(tmp_path, manifest, H8_DEPOSITS_NSA=text))
    assert only(report).table.periods.astype(str).tolist() == ["2023-04-12"]
    ((name, refused),) = report.refused_values
    assert (name, refused.period, refused.value) == ("H8_DEPOSITS_NSA.csv", "2023-04-26", 17094.529)
    assert "not public before 2023-05-05 16:15" in refused.reason


def test_a_value_released_on_the_very_day_of_the_file_enters(tmp_path: Path) -> None:
    row = "WRESBAL,USD millions,W-WED,2025-06-26,,"
    assert len(only(reserves(tmp_path, WEEKS, row)).table.values) == 2
    report = reserves(tmp_path, WEEKS, "WRESBAL,USD millions,W-WED,2025-06-25,,")
    assert [value.period for _, value in report.refused_values] == ["2025-06-25"]


def test_a_value_before_the_series_exists_is_left_out(tmp_path: Path) -> None:
    text = "date,value\n2021-07-28,0\n2021-07-29,1\n"
    report = read_directory(folder(tmp_path, None, **{"SRF_ACCEPTED__2025-07-01": text}))
    assert only(report).table.values.tolist() == [1.0]
    assert report.refused_values[0][1].reason == "the series starts on 2021-07-29"


def test_a_business_day_series_has_no_sunday(tmp_path: Path) -> None:
    report = read_directory(
        folder(tmp_path, None, **{"EFFR__2025-07-01": "date,value\n2003-07-18,1\n2003-07-20,1.02\n"})
    )
    assert only(report).table.periods.astype(str).tolist() == ["2003-07-18"]
    assert "week-end" in report.refused_values[0][1].reason


def test_a_file_of_which_nothing_can_be_used_is_refused(tmp_path: Path) -> None:
    assert "Every one was refused" in reason(reserves(tmp_path, WEEKS, "WRESBAL,USD millions,W-WED,2025-01-01,,"))
    assert "no value in it can be used" in reason(reserves(tmp_path, "date,value\n2025-06-25,.\n"))


@pytest.mark.parametrize(
    ("key", "text", "said"),
    [
        ("WRESBAL", "date,value\n2025-06-24,1\n", "2025-06-24 is not a day on which a W-WED period ends"),
        ("M2SL", "date,value\n2024-05-15,1\n", "2024-05-15 is neither the first nor the last day of a month"),
        ("GDP", "date,value\n2024-02-01,1\n", "2024-02-01 is neither the first nor the last day of a quarter"),
        ("M2SL", "date,value\n2024-05-01,1\n2024-05-31,2\n", "2024-05-01 is there twice, with 1 and 2"),
    ],
)
def test_a_label_that_belongs_to_no_period_is_refused(tmp_path: Path, key: str, text: str, said: str) -> None:
    assert said in reason(read_directory(folder(tmp_path, None, **{f"{key}__2025-07-01": text})))


# ---- text that is no table


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "the file is empty"),
        ("\n\n", "the file is empty"),
        ("date,value\n", "a header and no values"),
        ("2025-06-18,1\n2025-06-25,2\n", "line 1: no header"),
        ("<!DOCTYPE html><html>404</html>", "a web page"),
        ("\n  <html>", "a web page"),
        ("date,value\n2025-06-18\n", "line 2: 1 columns"),
        ("date;value\n2025-06-18;1\n", "line 1: 1 columns"),
        ("date,a,b\n2025-06-18,1,2\n", "line 1: 3 columns"),
        ("date,value\n2025-06-18,1,234\n", "line 2: 3 columns"),
        ("date,value\n18/06/2025,1\n", "line 2: '18/06/2025' is not a day"),
        ("date,value\n2025-02-30,1\n", "line 2: '2025-02-30' is not a day"),
        ("date,value\n2025-W26-3,1\n", "'2025-W26-3' is not a day"),
        ("date,value\n20250618,1\n", "'20250618' is not a day"),
        ("date,value\n2025-06-18,abc\n", "line 2: 'abc' is not a number"),
        ("date,value\n2025-06-18,nan\n", "'nan' is not a number"),
        ("date,value\n2025-06-18,inf\n", "'inf' is not a number"),
        ("date,value\n2025-06-18,1e999\n", "'1e999' is not a number"),
        ("date,value\n2025-06-18,1_000\n", "'1_000' is not a number"),
        ('date,value\n2025-06-18,"1,000"\n', "'1,000' is not a number"),
        ("date,value\n2025-06-18,N/A\n", "'N/A' is not a number"),
        ("date,value\n2025-06-18,null\n", "'null' is not a number"),
        ("date,value\n2025-06-18,٣\n", "'٣' is not a number"),
        ("date,value\n2025-06-18,1\n2025-06-18,2\n", "line 3: 2025-06-18 is there twice, with 1 and 2"),
        ("date,value\n2025-06-18,1\n2025-06-18,.\n", "line 3: 2025-06-18 is there twice"),
        ('date,value\n2025-06-18,"1\n', "not a CSV file"),
    ],
)
def test_a_malformed_file_is_refused_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    found = reason(reserves(tmp_path, text))
    assert found.startswith("WRESBAL.csv")
    assert said in found


def test_a_spreadsheet_under_the_name_of_a_series_is_refused(tmp_path: Path) -> None:
    folder(tmp_path, None)
    (tmp_path / "WRESBAL__2025-07-01.csv").write_bytes(b"PK\x03\x04\xff\xfe\x00")
    assert "a zip file or a spreadsheet" in reason(read_directory(tmp_path))


@given(st.binary(max_size=200) | st.text('0123456789-,.\neE"x<', max_size=60).map(lambda rows: f"d,v\n{rows}".encode()))
def test_any_bytes_are_either_a_series_or_an_error_of_ours(content: bytes) -> None:
    try:
        lines, days, values = parse_series(content, where="x.csv")
    except DataError as error:
        said = str(error)
    else:
        said = "x.csv"
        assert len(lines) == len(days) == len(values) > 0
        assert not np.isinf(values).any()
    assert said.startswith("x.csv")


days_in_reach = st.dates(date(1850, 1, 1), date(2060, 12, 31))


@given(st.lists(st.tuples(days_in_reach, st.floats(allow_nan=False, allow_infinity=False)), min_size=1))
def test_what_is_written_is_what_is_read(rows: list[tuple[object, float]]) -> None:
    text = "date,value\n" + "".join(f"{day},{value!r}\n" for day, value in rows)
    _, days, values = parse_series(text.encode(), where="x.csv")
    assert days.astype(str).tolist() == [str(day) for day, _ in rows]
    assert values.tolist() == [value for _, value in rows]


def test_a_calendar_has_days_in_both_columns() -> None:
    periods, released = parse_days(b"date,value\n2025-06-25,2025-06-26\n", where="x.csv")
    assert (str(periods[0]), str(released[0])) == ("2025-06-25", "2025-06-26")
    with pytest.raises(DataError, match=r"x\.csv, line 2: '3' is not a day"):
        parse_days(b"date,value\n2025-06-25,3\n", where="x.csv")


# ---- the official files


@needs_shared
def test_every_official_file_is_read_in_a_sane_unit() -> None:
    report = read_directory(SHARED / "data" / "fed")
    assert (report.refused, report.assumed_units) == ((), ())
    assert len(report.imported) == 180
    last = {file.table.series: (str(file.table.periods[-1]), float(file.table.values[-1])) for file in report.imported}
    assert last["reserves_average"] == ("2025-06-25", 3369.328)
    assert last["on_rrp"] == ("2025-06-30", 460.731)
    money = [f.table.values for f in report.imported if f.unit.dimension == UNITS["usd_bn"].dimension]
    assert len(money) > 70
    assert max(np.nanmax(np.abs(values)) for values in money) < 40_000  # the federal debt


@needs_shared
def test_the_official_files_hold_values_that_were_not_public_yet() -> None:
    report = read_directory(SHARED / "data" / "fed")
    refused = {(name.removesuffix(".csv"), value.period) for name, value in report.refused_values}
    banks = {f"H8_{item}_NSA" for item in ("CASH", "DEPOSITS", "LOANS", "TOTAL_ASSETS")}
    assert refused == {(i, day) for i in banks for day in ("2023-04-19", "2023-04-26")} | {("EFFR", "2003-07-20")}
