"""The text of one series file: a header, then date and value by position.

Strict on purpose. ``float("nan")``, ``"1_000"``, a thousands separator, a web page
saved under the name of a series: each would become a number or a gap that nobody
notices, so each is an error with file and line. What can be put right for certain,
such as the ends of lines, is put right and said (``text_repairs``).
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from datetime import date

import numpy as np
from numpy.typing import NDArray

from forecast.data.quality import Periods
from forecast.errors import DataError

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_EMPTY = frozenset({"", ".", "NA", "ND"})
_MARK = b"\xef\xbb\xbf"
# Earlier than the oldest series there is, and later than any calendar knows.
_FIRST_YEAR, _LAST_YEAR = 1850, 2060

# What a file begins with if it is no text.
_MAGIC = (
    (b"\x1f\x8b", "a gzip file. Unpack it first"),
    (b"PK\x03\x04", "a zip file or a spreadsheet. Unpack it, or save the sheet as CSV"),
    (b"\xd0\xcf\x11\xe0", "a spreadsheet. Save the sheet as CSV"),
    (b"%PDF", "a PDF. Fetch the table"),
    (b"\xff\xfe", "text in UTF-16. Save it as UTF-8"),
    (b"\xfe\xff", "text in UTF-16. Save it as UTF-8"),
)

# What a cell that is no day, or no number, most likely is.
_NO_DAY = (
    (re.compile(r"\d{5}(\.\d+)?"), ", it looks like a spreadsheet's count of days"),
    (re.compile(r"-?\d{9,19}"), ", it looks like a count of seconds or of fractions of them"),
    (re.compile(r"\d{1,2}[./-]\d{1,2}[./-]\d{4}"), ", and which part is the month nobody can tell"),
    (re.compile(r"(\d{1,2}[./-]){2}\d{2}|\d{1,2}-[A-Za-z]{3}-\d{2}"), ", its year has two digits"),
    (re.compile(r"\d{4}-\d{2}-\d{2}[T ].+"), ", it has a time of day"),
)
_NO_NUMBER = (
    (re.compile(r"[+-]?\d{1,3}([ ,.'\u00a0\u202f]\d{3})+([.,]\d+)?"), ", it has thousands separators"),
    (re.compile(r"[+-]?\d+,\d+"), ", it has a decimal comma"),
    (re.compile(r".*%"), ", it has a percent sign: say the unit in the manifest"),
    (re.compile(r"\(.*\)"), ", it is in brackets: write a minus sign"),
    (re.compile(r"[+-]?[\d.]+([eE][+-]?\d+)?"), ", it is too large or too small to be one"),
    (re.compile(r"[+-]?[\d.]+\s?[A-Za-z*].*"), ", something is written after it"),
)


def parse_series(content: bytes, *, where: str) -> tuple[list[int], Periods, NDArray[np.float64]]:
    """Lines, days and values of a series file.

    An empty cell, ".", "NA" and "ND" are NaN: present but empty.

    Raises
    ------
    DataError : anything else that is not a day and a finite number; names file, line and remedy
    """
    rows = _two_columns(content, where)
    days = [parse_day(first, f"{where}, line {line}") for line, first, _ in rows]
    values = [_parse_value(second, f"{where}, line {line}") for line, _, second in rows]
    return [line for line, _, _ in rows], np.array(days, dtype="datetime64[D]"), np.array(values, dtype=np.float64)


def text_repairs(content: bytes) -> list[str]:
    """What reading a file puts right in its text."""
    lines = content.removeprefix(_MARK).replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
    blank = sum(not line.strip(b" \t,") for line in lines[:-1])
    spaced = sum(cell != cell.strip(b" \t") for line in lines for cell in line.split(b",") if cell.strip())
    said = (
        (content.startswith(_MARK), "byte-order mark removed"),
        (b"\r" in content, "line ends made uniform"),
        (blank, f"{blank} blank lines skipped"),
        (spaced, f"spaces around {spaced} cells removed"),
    )
    return [repair for true, repair in said if true]


def header(content: bytes, *, where: str) -> list[str]:
    """Names of the columns, as the file gives them.

    Raises
    ------
    DataError : the file is no text
    """
    return next((row for _, row in _csv_rows(decode(content, where), where) if any(cell.strip() for cell in row)), [])


def parse_days(content: bytes, *, where: str) -> tuple[Periods, Periods]:
    """Both columns of a calendar file: periods and the days that belong to them.

    Raises
    ------
    DataError : a cell is not a day; names file, line and remedy
    """
    rows = _two_columns(content, where)
    periods = [parse_day(first, f"{where}, line {line}") for line, first, _ in rows]
    days = [parse_day(second, f"{where}, line {line}") for line, _, second in rows]
    return np.array(periods, dtype="datetime64[D]"), np.array(days, dtype="datetime64[D]")


def _two_columns(content: bytes, where: str) -> list[tuple[int, str, str]]:
    """Line number and both cells of every row below the header."""
    rows = [(line, row) for line, row in _csv_rows(decode(content, where), where) if any(cell.strip() for cell in row)]
    if not rows:
        raise DataError(f"{where}: the file is empty. Fetch it again.")
    if _DAY.fullmatch(rows[0][1][0].strip()):
        raise DataError(f"{where}, line {rows[0][0]}: no header. Put 'date,value' on the first line.")
    for line, row in rows:
        if len(row) != 2:
            raise DataError(f"{where}, line {line}: {len(row)} columns instead of two. Keep only date and value.")
    if len(rows) == 1:
        raise DataError(f"{where}: a header and no values. Fetch it again.")
    if not content.endswith((b"\n", b"\r")):
        raise DataError(
            f"{where}, line {rows[-1][0]}: the last line has no end, so the download may be cut off. "
            "Fetch it again, or end it with a line break."
        )
    return [(line, row[0].strip(), row[1].strip()) for line, row in rows[1:]]


def decode(content: bytes, where: str) -> str:
    """Bytes as text, if they are text and no web page.

    Raises
    ------
    DataError : they are not
    """
    for magic, what in _MAGIC:
        if content.startswith(magic):
            raise DataError(f"{where}: {what}, and import that.")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{where}: not a text file in UTF-8 (byte {error.start}). Is it a spreadsheet or an archive?"
        ) from error
    if "\x00" in text:
        raise DataError(f"{where}: has NUL characters: it is damaged, or text in UTF-16. Fetch it again as UTF-8.")
    if text.lstrip().startswith("<"):
        raise DataError(f"{where}: a web page, not a table. The download failed; fetch it again.")
    if text.lstrip().startswith(("{", "[")):
        raise DataError(f"{where}: a JSON document, not a table: an error message? Read it, and fetch the table again.")
    return text


def _csv_rows(text: str, where: str) -> Iterable[tuple[int, list[str]]]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        for row in reader:
            yield reader.line_num, row
    except csv.Error as error:
        raise DataError(f"{where}, line {reader.line_num}: not a CSV file: {error}.") from error


def parse_day(text: str, where: str) -> date:
    """A day written as YYYY-MM-DD, and in no other of the ways Python would understand.

    Raises
    ------
    DataError : it is not one; names the place
    """
    try:
        if _DAY.fullmatch(text) and text.isascii():
            day = date.fromisoformat(text)
            if _FIRST_YEAR <= day.year <= _LAST_YEAR:
                return day
            raise DataError(f"{where}: {text} cannot be right: years run from {_FIRST_YEAR} to {_LAST_YEAR}.")
    except ValueError:
        pass
    raise DataError(f"{where}: {text!r} is not a day{_guess(text, _NO_DAY)}. Write days as YYYY-MM-DD.")


def _guess(text: str, kinds: Sequence[tuple[re.Pattern[str], str]]) -> str:
    return next((guess for pattern, guess in kinds if pattern.fullmatch(text)), "")


def _parse_value(text: str, where: str) -> float:
    if text in _EMPTY:
        return float("nan")
    value = float(text) if _NUMBER.fullmatch(text) and text.isascii() else np.inf
    # 1e-400 reads as zero, 1e400 as infinity.
    vanished = value == 0 and re.search("[1-9]", text.lower().partition("e")[0])
    if np.isfinite(value) and not vanished:
        return value
    raise DataError(
        f"{where}: {text[:40]!r} is not a number{_guess(text[:40], _NO_NUMBER)}. "
        "Write a plain number such as 1234.5, or nothing."
    )


def distinct_periods(
    periods: Periods, values: NDArray[np.float64], lines: Sequence[int], where: str
) -> tuple[Periods, NDArray[np.float64], list[str]]:
    """Periods in order, each once; what had to be done for it."""
    repairs = []
    if (periods[1:] < periods[:-1]).any():
        repairs.append("rows sorted by date")
    order = np.argsort(periods, kind="stable")
    periods, values = periods[order], values[order]
    repeated = np.r_[False, periods[1:] == periods[:-1]]
    for i in np.flatnonzero(repeated):
        if not np.array_equal(values[i], values[i - 1], equal_nan=True):
            raise DataError(
                f"{where}, line {lines[order[i]]}: {periods[i]} is there twice, with {values[i - 1]:g} and {values[i]:g}. "
                "Keep one value for it."
            )
    if repeated.any():
        repairs.append(f"{int(repeated.sum())} repeated rows dropped")
    return periods[~repeated], values[~repeated], repairs
