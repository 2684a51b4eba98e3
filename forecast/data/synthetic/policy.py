"""Policy of the simulated central bank: what it buys and lets run off, and the rates it sets.

The script follows the history of 2006 to 2025 in outline; the seed moves dates by weeks and amounts by
a few percent. Amounts are USD billions a month; ``lengthening`` counts in ten-year equivalents.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from forecast.calendar import Days, coupon_settlement_dates
from forecast.data.synthetic.economy import Array, Knots, along, decimal_years

MONTH = 30.436875  # days
# Ten-year equivalents of one dollar of the portfolio: its duration over that of a ten-year note.
TREASURY_DURATION, MBS_DURATION = 0.6, 0.45
DISCOUNT = 0.12  # a year; the quarterly 0.97 at which the market discounts the future stock


@dataclass(frozen=True, slots=True)
class Step:
    """One announced change of pace.

    announced, effective : days; the market learns at the first, accounts move from the second
    treasuries, mbs      : usd_bn a month, purchases positive, runoff negative
    lengthening          : usd_bn of ten-year equivalents a month that par values do not show
    months               : how long the market expects the pace to last if nothing else is announced
    """

    announced: np.datetime64
    effective: np.datetime64
    treasuries: float
    mbs: float
    lengthening: float = 0.0
    months: float = 12.0

    @property
    def duration(self) -> float:
        """Ten-year equivalents, usd_bn a month."""
        return TREASURY_DURATION * self.treasuries + MBS_DURATION * self.mbs + self.lengthening


# (announced, effective, treasuries, mbs, lengthening, months); a programme moves in time as one.
PROGRAMMES: tuple[tuple[tuple[str, str, float, float, float, float], ...], ...] = (
    (
        ("2008-11-25", "2009-01-05", 0, 60, 0, 10),
        ("2009-03-18", "2009-03-25", 46, 95, 0, 8),
        ("2009-09-23", "2009-11-02", 0, 55, 0, 5),
        ("2010-03-16", "2010-04-01", 0, 0, 0, 12),
    ),
    (
        ("2010-08-10", "2010-08-17", 12, -12, 0, 12),
        ("2010-11-03", "2010-11-12", 95, -12, 0, 8),
        ("2011-06-22", "2011-07-01", 8, -8, 0, 12),
        ("2011-09-21", "2011-10-03", 0, 0, 25, 9),
        ("2012-06-20", "2012-07-02", 0, 0, 25, 6),
    ),
    (
        ("2012-09-13", "2012-09-17", 0, 40, 20, 12),
        ("2012-12-12", "2013-01-02", 45, 40, 0, 12),
        ("2013-12-18", "2014-01-02", 36, 32, 0, 10),
        ("2014-03-19", "2014-04-01", 27, 22, 0, 7),
        ("2014-06-18", "2014-07-01", 16, 12, 0, 4),
        ("2014-10-29", "2014-11-03", 0, 0, 0, 24),
    ),
    (
        ("2017-06-14", "2017-10-02", -5, -4, 0, 15),
        ("2017-06-14", "2018-01-02", -10, -7, 0, 15),
        ("2017-06-14", "2018-04-02", -15, -10, 0, 15),
        ("2017-06-14", "2018-07-02", -20, -13, 0, 15),
        ("2017-06-14", "2018-10-01", -25, -15, 0, 15),
        ("2019-03-20", "2019-05-01", -15, -17, 0, 5),
        ("2019-07-31", "2019-08-01", 17, -17, 0, 24),
        ("2019-10-11", "2019-10-15", 77, -17, -36, 6),
    ),
    (
        ("2020-03-15", "2020-03-16", 560, 170, 0, 3),
        ("2020-06-10", "2020-06-12", 80, 40, 0, 18),
        ("2021-11-03", "2021-11-15", 65, 32, 0, 6),
        ("2021-12-15", "2022-01-14", 35, 18, 0, 2),
        ("2022-01-26", "2022-03-10", 0, 0, 0, 6),
    ),
    (
        ("2022-05-04", "2022-06-01", -30, -13, 0, 33),
        ("2022-05-04", "2022-09-01", -60, -17, 0, 33),
        ("2024-05-01", "2024-06-03", -25, -16, 0, 18),
        ("2025-03-19", "2025-04-01", -5, -16, 0, 10),
        ("2025-10-29", "2025-12-01", 16, -16, -10, 24),
        ("2025-12-10", "2025-12-12", 56, -16, -34, 4),
        ("2026-04-15", "2026-05-01", 36, -16, -22, 24),
    ),
)

# Upper limit of the target range, percent.
TARGET: Knots = (
    (2006.0, 4.5), (2006.5, 5.25), (2007.65, 5.25), (2008.3, 2.0), (2008.72, 2.0), (2008.95, 0.25), (2015.9, 0.25),
    (2016.9, 0.5), (2018.95, 2.5), (2019.55, 2.5), (2019.82, 1.75), (2020.15, 1.75), (2020.2, 0.25), (2022.17, 0.25),
    (2022.4, 1.0), (2023.1, 4.75), (2023.55, 5.5), (2024.65, 5.5), (2024.97, 4.5), (2025.7, 4.5), (2026.0, 3.75),
)  # fmt: skip

# Rate on reserves above the lower limit: technical adjustments, percent, by effective day.
RESERVE_RATE = (("2008-10-09", 0.25), ("2018-06-14", 0.20), ("2018-12-20", 0.15), ("2019-05-02", 0.10),
                ("2021-06-17", 0.15))  # fmt: skip
# Award rate of the overnight reverse repo above the lower limit, percent.
REVERSE_REPO_RATE = (("2013-09-23", 0.0), ("2021-06-17", 0.05), ("2024-12-19", 0.0))


def schedule(rng: np.random.Generator) -> tuple[Step, ...]:
    """The announced steps of this economy, by effective day: each programme moved by up to two weeks and 4 percent."""
    steps: list[Step] = []
    for programme in PROGRAMMES:
        shift, size = np.timedelta64(7 * int(rng.integers(-2, 3)), "D"), rng.uniform(0.96, 1.04)
        steps += [
            Step(np.datetime64(a) + shift, np.datetime64(e) + shift, size * ust, size * mbs, size * extra, months)
            for a, e, ust, mbs, extra, months in programme
        ]
    return tuple(sorted(steps, key=lambda step: step.effective))


@dataclass(frozen=True, slots=True, eq=False)
class Portfolio:
    """Securities of the central bank, by business day.

    treasuries, mbs : (T,) usd_bn, par
    duration        : (T,) usd_bn of ten-year equivalents now held
    """

    treasuries: Array
    mbs: Array
    duration: Array


def portfolio(days: Days, steps: tuple[Step, ...], rng: np.random.Generator) -> Portfolio:
    """Holdings that follow the steps.

    Treasuries run off on the days on which coupons settle; repayments of mortgages are seasonal and uncertain.
    """
    effective = np.array([step.effective for step in steps])
    before = Step(days[0], days[0], 0.0, 0.0)
    current = [(before, *steps)[i] for i in np.searchsorted(effective, days, side="right")]
    months = np.diff(days, prepend=days[:1]).astype(np.float64) / MONTH
    treasuries = np.array([step.treasuries for step in current]) * months
    mbs = np.array([step.mbs for step in current]) * months
    lengthening = np.array([step.lengthening for step in current]) * months
    mbs = np.where(mbs < 0, mbs * _repayments(days, rng), mbs)
    runoff = _on_settlement_days(days, np.cumsum(np.minimum(treasuries, 0.0)))
    held = _crisis_sales(days) + np.cumsum(np.maximum(treasuries, 0.0)) + runoff
    duration = TREASURY_DURATION * held + MBS_DURATION * np.cumsum(mbs) + np.cumsum(lengthening)
    return Portfolio(held, np.cumsum(mbs), duration)


def _repayments(days: Days, rng: np.random.Generator) -> Array:
    """Factor around one: people move house in summer."""
    month = days.astype("datetime64[M]").astype(np.int64)
    noise = np.exp(0.15 * rng.standard_normal(month[-1] - month[0] + 1))
    return np.asarray(noise[month - month[0]] * (1 + 0.15 * np.cos(2 * np.pi * (month % 12 - 6) / 12)))


def _on_settlement_days(days: Days, cumulative: Array) -> Array:
    settlements = coupon_settlement_dates(days[0], days[-1])
    last = np.searchsorted(settlements, days, side="right") - 1
    position = np.searchsorted(days, settlements[np.maximum(last, 0)], side="left")
    return np.where(last >= 0, cumulative[np.minimum(position, len(days) - 1)], 0.0)


def _crisis_sales(days: Days) -> Array:
    """Before purchases began: Treasuries grow with currency, and are sold in 2008 to make room for loans."""
    return along(days, ((2006.0, 750), (2007.8, 785), (2008.5, 490), (2010.0, 480)))


def expected_stock(days: Days, steps: tuple[Step, ...], duration: Array) -> Array:
    """Present value of the duration the market expects the central bank to hold.

        S(t) = DISCOUNT * integral over u >= 0 of exp(-DISCOUNT * u) * E_t[D(t + u)] du
             = D(t) + sum over the announced segments i of pace_i * (exp(-d a_i) - exp(-d b_i)) / d

    with pace_i in ten-year equivalents a year and (a_i, b_i) the years from t to the segment's start and end.
    A permanent change of D by one moves S by one; an announced step moves S on the day it is announced.

    Parameters
    ----------
    days     : (T,) business days
    duration : (T,) usd_bn of ten-year equivalents now held

    Returns
    -------
    (T,) usd_bn of ten-year equivalents

    References
    ----------
    Chung, Laforte, Reifschneider and Williams (2012), appendix A1: the term premium answers the
    discounted expected path of holdings.
    """
    stock = duration.copy()
    learned = np.unique(np.array([step.announced for step in steps]))
    for start, end in zip(learned, [*learned[1:], days[-1] + np.timedelta64(1, "D")], strict=True):
        now = (days >= start) & (days < end)
        stock[now] += _announced_flows(days[now], tuple(step for step in steps if step.announced <= start))
    return stock


def announcement_surprises(days: Days, steps: tuple[Step, ...]) -> dict[np.datetime64, float]:
    """Change of the expected stock at each announcement, usd_bn of ten-year equivalents, by first business day."""
    surprises: dict[np.datetime64, float] = {}
    for announced in sorted({step.announced for step in steps}):
        position = int(np.searchsorted(days, announced))
        if position < len(days) and announced >= days[0]:
            day = days[position : position + 1]
            after = _announced_flows(day, tuple(s for s in steps if s.announced <= announced))
            before = _announced_flows(day, tuple(s for s in steps if s.announced < announced))
            surprises[day[0]] = float((after - before)[0])
    return surprises


def _announced_flows(days: Days, known: tuple[Step, ...]) -> Array:
    """Discounted future flows of ten-year equivalents under the steps known so far, usd_bn."""
    flows = np.zeros(len(days))
    now = decimal_years(days)
    starts = [float(decimal_years(np.array([step.effective]))[0]) for step in known]
    for i, step in enumerate(known):
        # A pace that has outlived what was expected is expected to go on for another quarter.
        last = np.maximum(starts[i] + step.months / 12, now + 0.25)
        end = last if i == len(known) - 1 else np.full(len(now), starts[i + 1])
        opens, closes = np.maximum(starts[i] - now, 0.0), np.maximum(end - now, 0.0)
        flows += 12 * step.duration * (np.exp(-DISCOUNT * opens) - np.exp(-DISCOUNT * closes)) / DISCOUNT
    return flows


@dataclass(frozen=True, slots=True, eq=False)
class PolicyRates:
    """Rates the central bank sets, percent, by calendar day.

    days         : (D,) every calendar day
    upper, lower : (D,) target range
    on_reserves  : (D,) missing before interest on reserves began
    reverse_repo : (D,) award rate; missing before the facility began
    outlook      : (D,) upper limit the market expects to see within eighteen months
    """

    days: Days
    upper: Array
    lower: Array
    on_reserves: Array
    reverse_repo: Array
    outlook: Array


def policy_rates(days: Days, rng: np.random.Generator) -> PolicyRates:
    """Rates that move by quarters of a percent on the day after scheduled meetings."""
    knots = _moved_knots(rng)
    meetings = _meetings(days)
    decided = np.round(along(meetings, knots) * 4) / 4
    upper = decided[np.maximum(np.searchsorted(meetings, days, side="right") - 1, 0)]
    lower = upper - 0.25
    ahead = [along(days + np.timedelta64(int(lead * 365), "D"), knots) for lead in (0.25, 0.5, 0.75, 1.0, 1.25, 1.5)]
    return PolicyRates(
        days,
        upper,
        lower,
        lower + _by_date(days, RESERVE_RATE),
        lower + _by_date(days, REVERSE_REPO_RATE),
        np.mean(ahead, axis=0),
    )


def _moved_knots(rng: np.random.Generator) -> Knots:
    moves = rng.uniform(-0.05, 0.05, size=len(TARGET))
    times = np.sort([time + move for (time, _), move in zip(TARGET, moves, strict=True)])
    return tuple((float(time), level) for time, (_, level) in zip(times, TARGET, strict=True))


def _meetings(days: Days) -> Days:
    """Effective days: every sixth or seventh Thursday."""
    first = np.datetime64("2005-12-15", "D")
    count = int((days[-1] - first).astype(np.int64) / 45.6) + 1
    weeks = np.round(np.arange(count) * 45.66 / 7).astype(np.int64)
    return np.asarray(first + (7 * weeks).astype("timedelta64[D]"))


def _by_date(days: Days, levels: tuple[tuple[str, float], ...]) -> Array:
    """Level in force on each day; missing before the first."""
    starts = np.array([start for start, _ in levels], dtype="datetime64[D]")
    values = np.array([np.nan, *(value for _, value in levels)])
    return values[np.searchsorted(starts, days, side="right")]
