"""The text of one series file: a header, then date and value by position.

Strict on purpose. ``float("nan")``, ``"1_000"``, a thousands separator, a web page
saved under the name of a series: each would become a number or a gap that nobody
notices, so each is an error with file and line.
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
    return [(line, row[0].strip(), row[1].strip()) for line, row in rows[1:]]


def decode(content: bytes, where: str) -> str:
    """Bytes as text, if they are text and no web page.

    Raises
    ------
    DataError : they are not
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{where}: not a text file in UTF-8 (byte {error.start}). Is it a spreadsheet or an archive?"
        ) from error
    if text.lstrip().startswith("<"):
        raise DataError(f"{where}: a web page, not a table. The download failed; fetch it again.")
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
        if _DAY.fullmatch(text):
            return date.fromisoformat(text)
    except ValueError:
        pass
    raise DataError(f"{where}: {text!r} is not a day. Write days as YYYY-MM-DD.")


def _parse_value(text: str, where: str) -> float:
    if text in _EMPTY:
        return float("nan")
    if not _NUMBER.fullmatch(text) or not text.isascii() or not np.isfinite(value := float(text)):
        raise DataError(f"{where}: {text!r} is not a number. Write a plain number such as 1234.5, or nothing.")
    return value


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
