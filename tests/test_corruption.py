"""Sixty ways in which data go wrong: each is refused with the reason, left out by name, or put right and said. None is silent."""

from __future__ import annotations

import gzip
import io
import json
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from forecast.data.sources.directory import ImportReport
from forecast.data.store import entries, import_directory, load_vintages
from forecast.errors import DataError

HEAD = "series_id,units,frequency,as_of,file,first,last,n\n"
DAY = "2025-07-24"  # of every file, unless it says another


def lines(days: Sequence[str], values: Sequence[object]) -> str:
    return "date,value\n" + "".join(f"{day},{value}\n" for day, value in zip(days, values, strict=True))


def weekly(n: int = 30, last: str = "2025-07-16") -> list[str]:
    return [str(np.datetime64(last) - 7 * np.timedelta64(n - 1 - i, "D")) for i in range(n)]


def daily(n: int = 60, last: str = "2025-07-23") -> list[str]:
    days = np.busday_offset(
        last, np.arange(-n + 1, 1), roll="backward", holidays=["2025-05-26", "2025-06-19", "2025-07-04"]
    )
    return [str(day) for day in days]


def levels(n: int = 30) -> list[float]:
    """Reserves in USD bn: they move, and never by much."""
    return [round(3300 + 40 * np.sin(i) + i, 3) for i in range(n)]


def rates(n: int = 60) -> list[float]:
    return [round(4.33 + 0.01 * (i % 3), 2) for i in range(n)]


GOOD = lines(weekly(), levels())
WEEKS, LEVELS = weekly(), levels()


def changed(text: str, old: str, new: str) -> str:
    assert old in text
    return text.replace(old, new, 1)


def with_cell(cell: str, row: int = 10) -> str:
    """The good file with one value written otherwise."""
    return changed(GOOD, f"{WEEKS[row]},{LEVELS[row]}\n", f"{WEEKS[row]},{cell}\n")


def with_day(text: str, row: int = 10) -> str:
    return changed(GOOD, f"{WEEKS[row]},", f"{text},")


def zipped(text: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("WRESBAL.csv", text)
    return buffer.getvalue()


@dataclass(frozen=True)
class Corruption:
    """What arrives, and what must be said.

    content : of the file that is wrong
    refused : words of the reason why the file is kept out
    left_out : words of the reason why a value is left out, recorded in the manifest
    repair  : words of a repair recorded in the manifest
    warning : words recorded in the manifest and shown
    beside  : files that enter first, by name
    """

    name: str
    content: str | bytes
    refused: str = ""
    left_out: str = ""
    repair: str = ""
    warning: str = ""
    key: str = "WRESBAL"
    as_of: str = DAY
    units: str = "USD billions"
    row: str = ",,"  # first, last and number of rows, as the manifest states them
    beside: dict[str, tuple[str, str]] = field(default_factory=dict)  # name -> (as_of, content)


def reserves(factor: float = 1.0, *, shift: int = 0, days: list[str] | None = None) -> str:
    values = levels(30 + abs(shift))[abs(shift) if shift > 0 else 0 :][:30]
    return lines(days or WEEKS, [round(v * factor, 6) for v in values])


RATE_DAYS = daily()
EARLIER = ("2025-07-17", GOOD)

CORRUPTIONS = (
    # ---- numbers that are none
    Corruption("not a number", with_cell("NaN"), "'NaN' is not a number"),
    Corruption("infinity", with_cell("inf"), "'inf' is not a number"),
    Corruption("minus infinity", with_cell("-Infinity"), "'-Infinity' is not a number"),
    Corruption("overflow", with_cell("1e400"), "'1e400' is not a number, it is too large or too small"),
    Corruption("underflow", with_cell("1e-400"), "'1e-400' is not a number, it is too large or too small"),
    Corruption("text", with_cell("n/a"), "line 12: 'n/a' is not a number"),
    Corruption("null", with_cell("null"), "'null' is not a number"),
    Corruption("quoted null", with_cell('"null"'), "'null' is not a number"),
    Corruption("spreadsheet error", with_cell("#N/A"), "'#N/A' is not a number"),
    Corruption("thousands separators", with_cell('"3,300"'), "it has thousands separators"),
    Corruption("thousands separators that split the cell", with_cell("3,300"), "3 columns instead of two"),
    Corruption("thousands by spaces", with_cell("3 300.5"), "it has thousands separators"),
    Corruption("decimal comma", with_cell('"3300,25"'), "it has a decimal comma"),
    Corruption("decimal comma and semicolons", GOOD.replace(",", ";").replace(".", ","), "line 1: 1 columns"),
    Corruption("percent sign", with_cell("4.33%"), "it has a percent sign"),
    Corruption("currency sign", with_cell("$3300"), "'$3300' is not a number"),
    Corruption("brackets for minus", with_cell("(3300)"), "it is in brackets"),
    Corruption("footnote in the cell", with_cell("3300.5 r"), "something is written after it"),
    Corruption("footnote star", with_cell("3300.5*"), "something is written after it"),
    Corruption("programmer's number", with_cell("3_300"), "'3_300' is not a number"),
    Corruption("full-width digits", with_cell("３３００"), "is not a number"),
    Corruption("typographic minus", with_cell("−3300"), "is not a number"),
    Corruption("code for missing", with_cell("-999.99"), "1 of 30 values are implausible"),
    Corruption("no value at all", lines(WEEKS, ["."] * 30), "no value in it can be used"),
    # ---- days that are none
    Corruption("spreadsheet's count of days", with_day("45000"), "a spreadsheet's count of days"),
    Corruption("epoch in milliseconds", with_day("1744156800000"), "a count of seconds or of fractions"),
    Corruption("epoch in microseconds", with_day("1744156800000000"), "a count of seconds or of fractions"),
    Corruption("epoch in nanoseconds", with_day("1744156800000000000"), "a count of seconds or of fractions"),
    Corruption("day or month first", with_day("04/09/2025"), "which part is the month nobody can tell"),
    Corruption("two-digit year", with_day("04/09/25"), "its year has two digits"),
    Corruption("two-digit year, named month", with_day("09-Apr-25"), "its year has two digits"),
    Corruption("named month", with_day("14-Jun-1961"), "'14-Jun-1961' is not a day"),
    Corruption("time of day with a zone", with_day("2025-04-09T00:00:00-04:00"), "it has a time of day"),
    Corruption("hour lost to summer time", with_day("2025-03-09 02:30"), "it has a time of day"),
    Corruption("29 February of an ordinary year", with_day("2023-02-29"), "'2023-02-29' is not a day"),
    Corruption("week 53", with_day("2020-W53-3"), "'2020-W53-3' is not a day"),
    Corruption("end of time", with_day("9999-12-31"), "9999-12-31 cannot be right"),
    Corruption("before there were series", with_day("1600-01-05"), "1600-01-05 cannot be right"),
    Corruption("columns exchanged", "value,date\n3300,2025-07-09\n3301,2025-07-16\n", "'3300' is not a day"),
    Corruption("another weekday", with_day("2025-04-08", 16), "2025-04-08 is not a day on which a W-WED period ends"),
    Corruption("middle of the month", "date,value\n2025-03-15,1\n", "neither the first nor the last day", key="M2SL"),
    # ---- rows
    Corruption("a day twice with two values", GOOD + f"{WEEKS[3]},1234\n", "is there twice, with"),
    Corruption("a day twice with one value", GOOD + f"{WEEKS[3]},{LEVELS[3]}\n", repair="1 repeated rows dropped"),
    Corruption("unsorted", lines(WEEKS[::-1], LEVELS[::-1]), repair="rows sorted by date"),
    Corruption("future date", GOOD + "2025-07-30,3300\n", left_out="2025-07-30: not public before"),
    Corruption("not yet released", lines(WEEKS, LEVELS), left_out="not public before 2025-07-17", as_of="2025-07-16"),
    Corruption(
        "week-end in a daily series", lines([*RATE_DAYS[:-1], "2025-07-20"], rates()), key="EFFR", units="percent",
        left_out="2025-07-20: a business-day series has no value at a week-end", as_of="2025-07-24",
    ),
    Corruption(
        "before the series began", "date,value\n2021-07-28,0\n2025-07-23,0.5\n", key="SRF_ACCEPTED",
        left_out="2021-07-28: the series starts on 2021-07-29",
    ),
    Corruption("missing weeks", lines(WEEKS[:9] + WEEKS[14:], LEVELS[:9] + LEVELS[14:]), warning="5 periods are missing"),
    Corruption("missing days", lines(RATE_DAYS[:9] + RATE_DAYS[12:], rates(57)), warning="3 periods are missing",
               key="EFFR", units="percent"),
    Corruption("long ended", GOOD, warning="it ends on 2025-07-16, and the next value was due", as_of="2025-12-01"),
    Corruption("constant", lines(WEEKS, [3300] * 30), warning="all 30 values are 3300"),
    Corruption("page lost at the end", GOOD, "MANIFEST.csv says n = 60, the file has 30", row=f"{WEEKS[0]},,60"),
    Corruption("page lost at the beginning", GOOD, "says first = 2024-01-03, the file has", row="2024-01-03,,"),
    # ---- text
    Corruption("empty", "", "the file is empty"),
    Corruption("header only", "date,value\n", "a header and no values"),
    Corruption("no header", GOOD.partition("\n")[2], "no header"),
    Corruption("extra column", GOOD.replace("\n", ",x\n"), "3 columns instead of two"),
    Corruption("missing column", "date\n2025-07-16\n", "1 columns instead of two"),
    Corruption("another header in the middle", GOOD + GOOD, "'date' is not a day"),
    Corruption("another series inside", GOOD.replace("value", "WTREGEN"), "its header says WTREGEN"),
    Corruption("cut off in the last line", GOOD[:-4], "the last line has no end"),
    Corruption("cut off in a date", GOOD[: GOOD.rindex("\n", 0, -1) + 6], "line 31: 1 columns"),
    Corruption("byte-order mark", "\ufeff" + GOOD, repair="byte-order mark removed"),
    Corruption("line ends of another system", GOOD.replace("\n", "\r\n"), repair="line ends made uniform"),
    Corruption("line ends of an old system", GOOD.replace("\n", "\r"), repair="line ends made uniform"),
    Corruption("blank lines", GOOD.replace("\n", "\n\n", 2), repair="2 blank lines skipped"),
    Corruption("spaces around numbers", with_cell(f" {LEVELS[10]} "), repair="spaces around 1 cells removed"),
    Corruption("NUL characters", with_cell(f"{LEVELS[10]}\x00"), "has NUL characters"),
    Corruption("UTF-16 with a mark", GOOD.encode("utf-16"), "text in UTF-16"),
    Corruption("UTF-16 without a mark", GOOD.encode("utf-16-le"), "has NUL characters"),
    Corruption("Windows code page", GOOD.replace("value", "val–ue").encode("cp1252"), "not a text file in UTF-8"),
    Corruption("web page", "<!DOCTYPE html><html>Not found</html>\n", "a web page, not a table"),
    Corruption("JSON error", json.dumps({"error_code": 400, "error_message": "Bad"}), "a JSON document"),
    Corruption("gzip", gzip.compress(GOOD.encode()), "a gzip file. Unpack it first"),
    Corruption("half a gzip", gzip.compress(GOOD.encode())[:40], "a gzip file. Unpack it first"),
    Corruption("zip", zipped(GOOD), "a zip file or a spreadsheet"),
    Corruption("PDF", b"%PDF-1.7\n%\xe2\xe3", "a PDF"),
    Corruption("a million columns", "a," * 1_000_000 + "\n", "1000001 columns instead of two"),
    # ---- units and signs
    Corruption("millions said to be billions", reserves(1e3), "State the unit the file is in (--unit WRESBAL=usd_mn)"),
    Corruption("billions said to be millions", GOOD, "--unit WRESBAL=usd_bn", units="USD millions"),
    Corruption("dollars said to be billions", reserves(1e9), "--unit WRESBAL=usd)"),
    Corruption("unit of another kind", GOOD, "they measure different things", units="percent"),
    Corruption("unknown unit", GOOD, "unknown unit 'zillions'", units="zillions"),
    Corruption(
        "millions from the middle on", lines(WEEKS, LEVELS[:15] + [v * 1e3 for v in LEVELS[15:]]), key="WRESBAL",
        refused="15 of 30 values are implausible",
    ),
    Corruption(
        "thousandths from the middle on", lines(WEEKS, LEVELS[:15] + [v / 1e3 for v in LEVELS[15:]]),
        "off by a power of ten from the values beside it", key="WTREGEN",
    ),
    Corruption("one row in another unit", with_cell("3.3"), "off by a power of ten from the values beside it", key="WTREGEN"),
    Corruption("the newest row in another unit", with_cell("3.3", 29), "off by a power of ten", key="WTREGEN"),
    Corruption("the oldest row in another unit", with_cell("3.3", 0), "off by a power of ten", key="WTREGEN"),
    Corruption("basis points said to be percent", lines(RATE_DAYS, [r * 100 for r in rates()]),
               "--unit EFFR=bp", key="EFFR", units="percent"),
    Corruption("fractions said to be percent", lines(RATE_DAYS, [round(r / 100, 4) for r in rates()]),
               "look like fractions", key="EFFR", units="percent"),
    Corruption("percent from a day on, fractions before", lines(RATE_DAYS, [r / 100 for r in rates()][:30] + rates()[30:]),
               "off by a power of ten", key="EFFR", units="percent"),
    Corruption("a rate of 30 percent", lines(RATE_DAYS, [30.0, *rates()[1:]]), "lies between -5 and 25", key="EFFR",
               units="percent"),
    Corruption("negative reserves", with_cell("-3300"), "WRESBAL lies between 300 and 20000"),
    Corruption("holdings beyond 20 trillion", with_cell("25000"), "WRESBAL lies between 300 and 20000"),
    Corruption("reverse repos beyond reason", lines(RATE_DAYS, [6000.0] * 60), "RRPONTSYD lies between 0 and 5000",
               key="RRPONTSYD"),
    # ---- against what is there
    Corruption("a thousand times the last vintage", "date,value\n2025-05-01,56005\n2025-06-01,57002\n",
               "1000 times those of the vintage of 2025-07-17", key="BOGMBASE",
               beside={"BOGMBASE": ("2025-07-17", "date,value\n2025-05-01,56.005\n2025-06-01,57.002\n")}),
    Corruption("the sign of the last vintage reversed", lines(RATE_DAYS, [-round(0.4 + 0.01 * i, 2) for i in range(60)]),
               "the opposite sign of those of the vintage of 2025-07-23", key="THREEFYTP10", units="percent", as_of="2025-09-01",
               beside={"THREEFYTP10": ("2025-07-23", lines(RATE_DAYS, [round(0.4 + 0.01 * i, 2) for i in range(60)]))}),
    Corruption("labelled a week late", reserves(days=weekly(last="2025-07-23")), "one period later than in the vintage",
               as_of="2025-07-25", beside={"WRESBAL": EARLIER}),
    Corruption("week average under Wednesday's name", GOOD, "the same numbers as WRESBAL", key="WRBWFRBL",
               beside={"WRESBAL": EARLIER}),
    Corruption("another file of the same day", with_cell("3301.5"), "already holds another file of WRESBAL as of 2025-07-17",
               as_of="2025-07-17", beside={"WRESBAL": EARLIER}),
)  # fmt: skip


def take(corruption: Corruption, tmp_path: Path) -> tuple[ImportReport, Path]:
    archive = tmp_path / "archive"
    for key, (as_of, content) in corruption.beside.items():
        first = tmp_path / "first"
        first.mkdir()
        unit = corruption.units if key == corruption.key else "USD billions"
        (first / "MANIFEST.csv").write_text(f"{HEAD}{key},{unit},,{as_of},{key}.csv,,,\n", encoding="utf-8")
        (first / f"{key}.csv").write_text(content, encoding="utf-8")
        assert import_directory(first, archive=archive).refused == ()
    folder = tmp_path / "arriving"
    folder.mkdir()
    name = f"{corruption.key}.csv"
    arriving = corruption.content.encode() if isinstance(corruption.content, str) else corruption.content
    (folder / name).write_bytes(arriving)
    row = f"{corruption.key},{corruption.units},,{corruption.as_of},{name},{corruption.row}\n"
    (folder / "MANIFEST.csv").write_text(HEAD + row, encoding="utf-8")
    return import_directory(folder, archive=archive), archive


def test_the_good_file_enters_without_a_word(tmp_path: Path) -> None:
    """What the corruptions are changes of; otherwise they might be refused for another reason."""
    report, archive = take(Corruption("none", GOOD), tmp_path)
    assert (report.refused, report.refused_values, report.repairs, report.warnings) == ((), (), (), ())
    assert load_vintages(archive).final().series("reserves_average").tolist() == LEVELS


def test_good_rates_enter_without_a_word(tmp_path: Path) -> None:
    report, _ = take(Corruption("none", lines(RATE_DAYS, rates()), key="EFFR", units="percent"), tmp_path)
    assert (report.refused, report.refused_values, report.repairs, report.warnings) == ((), (), (), ())


@pytest.mark.parametrize("corruption", CORRUPTIONS, ids=lambda c: c.name)
def test_no_corruption_is_silent(corruption: Corruption, tmp_path: Path) -> None:
    report, archive = take(corruption, tmp_path)
    if corruption.refused:
        (aside,) = report.refused
        assert corruption.refused in aside.reason
        assert corruption.key in aside.reason
        assert report.imported == ()
        held = entries(archive) if corruption.beside else []
        assert len(held) == len(corruption.beside)
        return
    assert report.refused == ()
    entry = next(e for e in entries(archive) if e.as_of == corruption.as_of)
    if corruption.repair:
        assert corruption.repair in entry.repairs
        assert (f"{corruption.key}.csv", corruption.repair) in report.repairs
    elif corruption.left_out:
        recorded = [f"{value['period']}: {value['reason']}" for value in entry.refused]
        assert any(corruption.left_out in said for said in recorded)
        assert len(report.refused_values) == len(recorded)
    else:
        assert any(corruption.warning in said for said in entry.warnings)
        assert any(corruption.warning in warning.said for warning in report.warnings)


def test_every_corruption_says_what_must_happen() -> None:
    for corruption in CORRUPTIONS:
        outcomes = [corruption.refused, corruption.left_out, corruption.repair, corruption.warning]
        assert sum(map(bool, outcomes)) == 1, corruption.name
    assert len({corruption.name for corruption in CORRUPTIONS}) == len(CORRUPTIONS) >= 60


# ---- what needs more than one file, or a large one


def folder(path: Path, rows: str, **files: str) -> Path:
    path.mkdir()
    (path / "MANIFEST.csv").write_text(HEAD + rows, encoding="utf-8")
    for name, text in files.items():
        (path / f"{name}.csv").write_text(text, encoding="utf-8")
    return path


def test_two_files_of_one_vintage_are_both_refused(tmp_path: Path) -> None:
    rows = f"WRESBAL,USD billions,,{DAY},WRESBAL.csv,,,\n"
    there = folder(tmp_path / "in", rows, WRESBAL=GOOD, **{f"WRESBAL__{DAY}": with_cell("3301.5")})
    report = import_directory(there, archive=tmp_path / "archive")
    assert report.imported == ()
    assert len(report.refused) == 2
    assert all(f"is WRESBAL as of {DAY} too. Keep one of them" in aside.reason for aside in report.refused)


def test_one_series_under_two_units_is_refused(tmp_path: Path) -> None:
    rows = f"WRESBAL,USD billions,,{DAY},,,,\nWRESBAL,USD millions,,{DAY},,,,\n"
    report = import_directory(folder(tmp_path / "in", rows, WRESBAL=GOOD), archive=tmp_path / "archive")
    assert "2 rows for WRESBAL.csv" in report.refused[0].reason


def test_an_average_and_a_wednesday_of_the_same_numbers_in_one_folder_are_both_refused(tmp_path: Path) -> None:
    rows = f"WRESBAL,USD billions,,{DAY},,,,\nWRBWFRBL,USD billions,,{DAY},,,,\n"
    there = folder(tmp_path / "in", rows, WRESBAL=GOOD, WRBWFRBL=GOOD)
    report = import_directory(there, archive=tmp_path / "archive")
    assert {aside.name for aside in report.refused} == {"WRESBAL.csv", "WRBWFRBL.csv"}


def test_a_file_too_large_for_a_series_is_not_read(tmp_path: Path) -> None:
    there = folder(tmp_path / "in", f"WRESBAL,USD billions,,{DAY},,,,\n")
    with (there / "WRESBAL.csv").open("wb") as file:
        file.truncate(2**31)  # two gigabytes of nothing, which take no room
    report = import_directory(there, archive=tmp_path / "archive")
    assert "2048 MB are too many for one series" in report.refused[0].reason


def test_rates_as_fractions_enter_once_the_unit_is_confirmed(tmp_path: Path) -> None:
    small = [round(0.04 + 0.0001 * i, 4) for i in range(60)]
    there = folder(tmp_path / "in", f"EFFR,percent,,{DAY},,,,\n", EFFR=lines(RATE_DAYS, small))
    assert "confirm the unit: --unit EFFR=percent" in import_directory(there, archive=tmp_path / "a").refused[0].reason
    assert len(import_directory(there, archive=tmp_path / "a", units={"EFFR": "percent"}).imported) == 1


def test_rates_near_zero_in_whole_basis_points_are_no_fractions(tmp_path: Path) -> None:
    there = folder(
        tmp_path / "in", f"EFFR,percent,,{DAY},,,,\n", EFFR=lines(RATE_DAYS, [0.04 + 0.01 * (i % 5) for i in range(60)])
    )
    assert len(import_directory(there, archive=tmp_path / "a").imported) == 1


def test_a_leap_day_is_a_day(tmp_path: Path) -> None:
    days = ["2024-02-28", "2024-02-29", "2024-03-01"]
    there = folder(tmp_path / "in", "EFFR,percent,,2024-03-08,,,,\n", EFFR=lines(days, [5.33, 5.33, 5.32]))
    report = import_directory(there, archive=tmp_path / "a")
    assert report.imported[0].table.periods.astype(str).tolist() == days


@pytest.mark.parametrize("day", ["2015-12-30", "2020-12-30"])
def test_the_week_53_of_a_year_is_a_week(tmp_path: Path, day: str) -> None:
    there = folder(tmp_path / "in", "WRESBAL,USD billions,,2025-07-24,,,,\n", WRESBAL=lines([day], [3300]))
    assert len(import_directory(there, archive=tmp_path / "a").imported) == 1


def test_a_manifest_that_is_no_text_is_an_error(tmp_path: Path) -> None:
    there = folder(tmp_path / "in", "", WRESBAL=GOOD)
    (there / "MANIFEST.csv").write_bytes(HEAD.encode("utf-16"))
    with pytest.raises(DataError, match=r"MANIFEST\.csv: text in UTF-16"):
        import_directory(there, archive=tmp_path / "archive")


def test_the_same_file_is_refused_the_same_way_twice(tmp_path: Path) -> None:
    there = folder(tmp_path / "in", f"WRESBAL,USD billions,,{DAY},,,,\n", WRESBAL=with_cell("3.3"))
    first, second = (import_directory(there, archive=tmp_path / "a").refused for _ in range(2))
    assert first == second != ()
