"""Tables of an assessment, for the screen and for the page: slope now, thresholds, prior beside posterior."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from forecast.answers.ampleness import TOLERANCES, Ampleness, Interval, interval, state_of
from forecast.answers.assessment import Answer, Assessment
from forecast.answers.learning import learnings
from forecast.answers.slope import SlopePerPoint
from forecast.report.tables import Entry, Table

type Array = NDArray[np.float64]
type Row = tuple[Entry, ...]
type Write = Callable[[float], str]

_NONE = "–"
_UNSEEN = "*"


def summary_table(assessment: Assessment) -> Table:
    """One row a model: what it says, the slope now in two units, and the chances that it is steep."""
    rows = [_summary(answer, assessment) for answer in assessment.answers]
    if assessment.truth is not None:
        slope = float(assessment.truth.slope.iloc[-1])
        per_100bn = _slope(_per_100bn(np.array([slope]), assessment)[0])
        rows.append(
            (Entry("truth", style=""), Entry(state_of(slope), style=""), Entry(_slope(slope), per_100bn), *_dashes(4))
        )
    head = ("model", "says", "slope now", "68 %", "95 %", f"P(< {TOLERANCES[0]:g})", f"P(< {TOLERANCES[-1]:g})")
    caption = (
        f"Slope of {assessment.spread} in reserves, week to {assessment.last_week:%Y-%m-%d}: bp per percentage point of "
        "bank assets; beneath it bp per USD 100 bn"
    )
    return Table(caption, head, (("", tuple(rows)),))


def _summary(answer: Answer, assessment: Assessment) -> Row:
    told = answer.ampleness
    now = told.slope[:, -1]
    point, bn = interval(now), interval(_per_100bn(now, assessment))
    return (
        Entry(answer.model, told.draws_are, style=""),
        Entry(told.state(), "not counted" if assessment.not_counted(answer) else "", style=""),
        *(Entry(a, b) for a, b in zip(_cells(point, _slope), _cells(bn, _slope), strict=True)),
        *(Entry(_percent(told.slope_below(c))) for c in (TOLERANCES[0], TOLERANCES[-1])),
    )


def _per_100bn(slope: Array, assessment: Assessment) -> Array:
    return SlopePerPoint(slope).per_100bn(assessment.bank_assets).values


def threshold_table(assessment: Assessment) -> Table:
    """For every model with a curve and every tolerance: the ratio, how far reserves are from it, what it needs."""
    curves = [answer for answer in assessment.answers if answer.ampleness.thresholds]
    groups = [(answer.model, tuple(_thresholds(answer.ampleness, assessment.bank_assets))) for answer in curves]
    if groups and assessment.truth is not None:
        groups.append(("truth", tuple(_true_thresholds(assessment))))
    head = ("slope c", "reached", "P(x<x*)", "x*(c)", "68 %, 95 %", "distance", "68 %, 95 %", "needed")
    caption = (
        "Ratio x*(c) at which the slope is c, percent of bank assets; distance of reserves from it and reserves needed, "
        f"USD bn, where it is reached; 95 % intervals beneath. Now: x = {assessment.ratio:.2f} percent, USD "
        f"{assessment.ratio * assessment.bank_assets / 100:,.0f} bn. {_UNSEEN} outside all ratios seen: the shape speaks, "
        "not the data"
    )
    return Table(caption, head, tuple(groups))


def _thresholds(told: Ampleness, bank_assets: float) -> Iterator[Row]:
    for c, draws in told.thresholds.items():
        inside = np.where(np.isfinite(draws) & (draws > 0), draws, np.nan)
        ratio = _cells(interval(inside), _ratio)
        distance = _cells(interval(told.distance(c, bank_assets)), _dollars)
        needed = _cells(interval(told.reserves_needed(c, bank_assets)), _dollars)[0]
        yield (
            Entry(f"{c:g}", style=""),
            Entry(_percent(told.reached(c))),
            Entry(_percent(told.ratio_below(c))),
            Entry(ratio[0] if told.has_seen(c) or ratio[0] == _NONE else f"{_UNSEEN}{ratio[0]}"),
            Entry(*ratio[1:]),
            Entry(distance[0]),
            Entry(*distance[1:]),
            Entry(needed),
        )


def _true_thresholds(assessment: Assessment) -> Iterator[Row]:
    x, assets = assessment.ratio, assessment.bank_assets
    for c, at in assessment.truth.thresholds.items() if assessment.truth else ():
        numbers = (
            (_ratio(at), _dollars((x - at) * assets / 100), _dollars(at * assets / 100)) if at > 0 else (_NONE,) * 3
        )
        yield (
            Entry(f"{c:g}", style=""),
            Entry("yes" if at > 0 else "no"),
            Entry("yes" if x < at else "no"),
            Entry(numbers[0]),
            Entry(_NONE),
            Entry(numbers[1]),
            Entry(_NONE),
            Entry(numbers[2]),
        )


def prior_table(assessment: Assessment) -> Table | None:
    """Prior beside posterior; None where no model has a prior."""
    groups = [
        (answer.model, tuple(_priors(answer.ampleness))) for answer in assessment.answers if answer.ampleness.prior
    ]
    if not groups:
        return None
    head = ("quantity", "prior", "90 %", "posterior", "90 %", "sd ratio", "learnt from")
    caption = (
        "Prior beside posterior: median and 90 % interval. Where the posterior's standard deviation is not below half the "
        "prior's, the answer is mostly the prior"
    )
    return Table(caption, head, tuple(groups))


def _priors(told: Ampleness) -> Iterator[Row]:
    for learnt in learnings(told):
        name = "slope now" if learnt.tolerance is None else f"x*({learnt.tolerance:g})"
        write = _slope if learnt.tolerance is None else _ratio
        yield (
            Entry(name, style=""),
            *map(Entry, (*_ninety(learnt.prior, write), *_ninety(learnt.posterior, write))),
            Entry(_NONE if np.isnan(learnt.sd_ratio) else f"{learnt.sd_ratio:.2f}"),
            Entry(learnt.verdict(), style=""),
        )


# --------------------------------------------------------------------------- cells


def _cells(found: Interval | None, write: Write) -> tuple[str, str, str]:
    """Median, 68 and 95 percent interval."""
    if found is None:
        return _NONE, _NONE, _NONE
    return (
        write(found.median),
        f"{write(found.low_68)} to {write(found.high_68)}",
        f"{write(found.low_95)} to {write(found.high_95)}",
    )


def _ninety(draws: Array, write: Write) -> tuple[str, str]:
    if len(draws) < 20:
        return _NONE, _NONE
    low, median, high = np.quantile(draws, [0.05, 0.5, 0.95]).tolist()
    return write(median), f"{write(low)} to {write(high)}"


def _slope(value: float) -> str:
    return _signed(f"{value:.2f}")


def _ratio(value: float) -> str:
    return _signed(f"{value:.1f}")


def _dollars(value: float) -> str:
    return _signed(f"{value:,.0f}")


def _signed(text: str) -> str:
    """No minus before a zero."""
    return text.removeprefix("-") if not text.strip("-0.,") else text.replace("-", "−")


def _percent(share: float) -> str:
    return _NONE if np.isnan(share) else f"{100 * share:.0f} %"


def _dashes(n: int) -> tuple[Entry, ...]:
    return (Entry(_NONE),) * n
