"""Tables of scores: what stands in each cell, as text, with its unit in the caption."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from forecast.report.figures import weeks_ahead
from forecast.units import UNITS

SIGNIFICANT = 0.05
_NARROW = "\u00a0"  # a number and its sign stay on one line


@dataclass(frozen=True, slots=True)
class Entry:
    """One cell of a table.

    text  : what it says
    small : smaller lines beneath
    style : "", "number", "better" or "worse" (significantly so), of the page's style sheet
    best  : marked as the best of its group
    """

    text: str
    small: str = ""
    style: str = "number"
    best: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """A table for people.

    caption : what it shows, with the unit
    head    : column headings; the first is the heading of the row names
    groups  : (heading or "", rows); the first entry of a row names it
    """

    caption: str
    head: tuple[str, ...]
    groups: tuple[tuple[str, tuple[tuple[Entry, ...], ...]], ...]


def unit_label(unit: str) -> str:
    """A unit as people write it."""
    return UNITS[unit].label if unit in UNITS else unit


def number(value: float, digits: int = 3) -> str:
    """A number with ``digits`` significant digits, without exponent; a dash where there is none."""
    if not math.isfinite(value):
        return "–"
    if value == 0:
        return "0"
    decimals = min(max(digits - 1 - math.floor(math.log10(abs(value))), 0), 8)
    return _minus(f"{value:,.{decimals}f}")


def percent(share: float, *, signed: bool = False) -> str:
    """A share in percent, to a tenth below one hundred; a dash where there is none."""
    if not math.isfinite(share):
        return "–"
    value = round(100 * share, 1) + 0.0  # no minus before a zero
    decimals = 1 if abs(value) < 100 else 0
    return _minus(f"{value:{'+' if signed and value else ''},.{decimals}f}{_NARROW}%")


def p_value(value: float) -> str:
    """A p-value to three decimals; a dash where the test was not made."""
    if not math.isfinite(value):
        return "–"
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _minus(text: str) -> str:
    return text.replace("-", "−")


def records(rows: pd.DataFrame) -> Iterator[Any]:
    """Rows as tuples with named fields."""
    return iter(rows.itertuples(index=False))


def groups(rows: pd.DataFrame, by: str | list[str]) -> Iterator[tuple[Any, pd.DataFrame]]:
    """(key, rows) in the order of first appearance."""
    return iter(rows.groupby(by, sort=False))


_GIVEN = {"none": "", "projected": " (given projected paths)", "realised": " (given what came true)"}


def row_name(model: str, conditioning: str) -> str:
    """A model's name in a table; conditional forecasts never stand there unlabelled."""
    return f"{model}{_GIVEN[conditioning]}"


# --------------------------------------------------------------------------- scores


def score_matrix(summary: pd.DataFrame, compared: pd.DataFrame, *, benchmark: str, horizons: Sequence[int]) -> Table:
    """CRPS of every model at every horizon, with skill, p-value and numbers of common cells and windows beneath.

    Parameters
    ----------
    summary  : rows of ``Scorecard.summary`` of one target
    compared : rows of ``Scorecard.against`` of the same target, all regimes together
    """
    unit = unit_label(str(summary["unit"].iloc[0]))
    asked = [h for h in horizons if (summary["horizon"] == h).any()]
    scores = {(row.model, row.conditioning, row.horizon): row for row in records(summary)}
    tests = {(row.model, row.conditioning, row.horizon): row for row in records(compared)}
    best = {h: _best(compared[compared["horizon"] == h], benchmark) for h in asked}
    full = summary.groupby("horizon")["n"].max().to_dict()
    rows = []
    for key in _models(summary, benchmark):
        entries = (_score(scores.get((*key, h)), tests.get((*key, h)), full[h], best=key == best[h]) for h in asked)
        rows.append((Entry(row_name(*key), style=""), *entries))
    caption = (
        f"Mean CRPS in {unit}; lower is better. Beneath: skill against {benchmark} over the origins both have, p-value of the "
        f"Diebold-Mariano test, number of origins (n) and, where forecasts overlap, how many of them span weeks of their own "
        f"(windows); where a model has fewer origins than {benchmark}, also {benchmark}'s CRPS on those."
    )
    return Table(caption, ("Model", *(weeks_ahead(h) for h in asked)), (("", tuple(rows)),))


def _models(rows: pd.DataFrame, benchmark: str) -> list[tuple[str, str]]:
    """(model, conditioning) in the order of the table, the benchmark first, conditional forecasts last."""
    keys = rows[["model", "conditioning"]].drop_duplicates().itertuples(index=False, name=None)
    return sorted(keys, key=lambda key: (key[1] != "none", key[0] != benchmark))


def _best(compared: pd.DataFrame, benchmark: str) -> tuple[str, str]:
    """The unconditional model with the lowest score relative to the benchmark's, or the benchmark itself."""
    fair = compared[(compared["conditioning"] == "none") & (compared["difference"] < 0)]
    if fair.empty:
        return benchmark, "none"
    ratio = fair["mean"] / fair["benchmark"]
    return str(fair["model"].iloc[int(ratio.to_numpy().argmin())]), "none"


def _score(row: Any, test: Any, full: int, *, best: bool) -> Entry:
    """``full`` is the largest number of origins that any model has at this horizon."""
    if row is None:
        return Entry("–")
    count = f"n {row.n:,}"
    if test is None:
        return Entry(number(row.crps), count, best=best)
    if test.n < row.n:
        count += f", {test.n:,} common"
    count += _windows(test)
    if test.n < full:
        count += f"\nbenchmark there {number(test.benchmark)}"
    small = f"{percent(test.skill, signed=True)} · {_tested(test)} · {count}"
    return Entry(number(row.crps), small, _verdict(test), best)


def _windows(test: Any) -> str:
    """The number of windows where forecasts overlap; else it is n."""
    return f" · {test.windows:,} window{'' if test.windows == 1 else 's'}" if test.windows < test.n else ""


def _tested(test: Any) -> str:
    return f"p {p_value(test.p_value)}" if math.isfinite(test.p_value) else "not tested"


def _verdict(test: Any) -> str:
    if not test.p_value < SIGNIFICANT:
        return "number"
    return "better" if test.difference < 0 else "worse"


_DETAILS = (
    "Model", "Common cells", "Windows", "CRPS", "Benchmark's CRPS", "Skill", "Difference", "Standard error", "p-value",
    "Equal scores", "Outcome moved",
)  # fmt: skip


def comparison_details(compared: pd.DataFrame, *, benchmark: str) -> Table:
    """Everything ``Scorecard.against`` says of one target, grouped by horizon."""
    unit = unit_label(str(compared["unit"].iloc[0]))
    caption = (
        f"Comparison with {benchmark} on common cells. CRPS, differences and standard errors in {unit}; skill and shares "
        "in percent. A negative difference is better than the benchmark. Windows are cells that span weeks of their own."
    )
    return Table(caption, _DETAILS, tuple(_by_horizon(compared, _comparison)))


def _comparison(row: Any) -> tuple[Entry, ...]:
    return (
        Entry(row_name(row.model, row.conditioning), style=""),
        Entry(f"{row.n:,}"),
        Entry(f"{row.windows:,}"),
        Entry(number(row.mean)),
        Entry(number(row.benchmark)),
        Entry(percent(row.skill, signed=True)),
        Entry(number(row.difference)),
        Entry(number(row.standard_error)),
        Entry(p_value(row.p_value), row.reason, _verdict(row)),
        Entry(percent(row.share_zero)),
        Entry(percent(row.moved)),
    )


_OTHER_SCORES = (
    ("RMSE", "rmse"), ("MAE of the median", "absolute_error"), ("5 % pinball", "pinball_05"),
    ("95 % pinball", "pinball_95"), ("90 % interval score", "interval_90"), ("Log score (nats)", "log_score"),
)  # fmt: skip
_COVERAGE = (("50 %", "covered_50"), ("80 %", "covered_80"), ("90 %", "covered_90"), ("95 %", "covered_95"))


def other_scores(summary: pd.DataFrame) -> Table:
    """The other scores and the coverage of one target, grouped by horizon."""
    unit = unit_label(str(summary["unit"].iloc[0]))

    def entries(row: Any) -> tuple[Entry, ...]:
        scores = (Entry(number(getattr(row, column))) for _, column in _OTHER_SCORES)
        covered = (Entry(percent(getattr(row, column))) for _, column in _COVERAGE)
        return (Entry(row_name(row.model, row.conditioning), style=""), Entry(f"{row.n:,}"), *scores, *covered)

    caption = (
        f"Other scores, each model on its own cells, in {unit} unless said otherwise; lower is better. "
        "Then the share of outcomes inside the central intervals, in percent; nearer to the nominal share is better."
    )
    head = ("Model", "Cells", *(name for name, _ in _OTHER_SCORES), *(f"Inside {name}" for name, _ in _COVERAGE))
    return Table(caption, head, tuple(_by_horizon(summary, entries)))


def regime_table(compared: pd.DataFrame, *, benchmark: str) -> Table:
    """Skill of one target by regime, grouped by horizon."""
    regimes = tuple(compared["regime"].unique())

    def entries(panel: pd.DataFrame) -> Iterator[tuple[Entry, ...]]:
        for key, each in groups(panel, ["model", "conditioning"]):
            tests = {row.regime: row for row in records(each)}
            yield (Entry(row_name(*key), style=""), *(_skill(tests.get(regime)) for regime in regimes))

    by_horizon = [
        (weeks_ahead(h), tuple(entries(panel)))
        for h, panel in groups(compared.sort_values("horizon", kind="stable"), "horizon")
    ]
    caption = (
        f"Skill against {benchmark} (CRPS, percent) by regime of the origin, on common cells (n) and, where they overlap, how many "
        "of them span weeks of their own (windows); positive is better."
    )
    return Table(caption, ("Model", *("All origins" if name == "all" else name for name in regimes)), tuple(by_horizon))


def _skill(test: Any) -> Entry:
    if test is None:
        return Entry("–")
    small = f"{_tested(test)} · n {test.n:,}{_windows(test)}"
    return Entry(percent(test.skill, signed=True), small, _verdict(test))


def _by_horizon(
    rows: pd.DataFrame, entries: Callable[[Any], tuple[Entry, ...]]
) -> Iterator[tuple[str, tuple[tuple[Entry, ...], ...]]]:
    for horizon, panel in groups(rows.sort_values("horizon", kind="stable"), "horizon"):
        yield weeks_ahead(horizon), tuple(entries(row) for row in records(panel))
