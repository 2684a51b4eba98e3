"""What the simulated publishers print: weekly statements, daily rates, revised statistics, each with its date."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from forecast.calendar import period_end, released_at
from forecast.data.catalog import Catalog, SeriesSpec
from forecast.data.synthetic.economy import Array, Economy, decimal_years
from forecast.data.synthetic.macro import revised
from forecast.data.synthetic.policy import PolicyRates
from forecast.data.vintages import VintageTable, end_of_day

# First days of series whose market or publication is younger than the simulation.
FIRST_PUBLISHED = {
    "on_rrp_rate": "2013-09-23",
    "sofr": "2014-08-22",
    "tgcr": "2014-08-22",
    "bgcr": "2014-08-22",
    "obfr": "2016-03-01",
}
AVERAGED = ("reserves", "tga", "currency", "reverse_repo", "foreign_rrp", "other_reverse_repo", "other_deposits")
REVISED = {"bank_assets": 0.004, "gdp": 0.004}  # standard deviation of the error a year after a benchmark
BENCHMARK_MONTH = 8
ONE_RATE_ON_RESERVES = pd.Timestamp("2021-07-29")


def rates_as_published(rates: dict[str, Array], *, rounding: bool) -> dict[str, Array]:
    """Rates and yields in percent, in whole basis points if the economy rounds."""
    return {name: np.round(rate, 2) for name, rate in rates.items()} if rounding else rates


def policy_announcements(rates: PolicyRates) -> dict[str, pd.Series]:
    """Target range and rates on reserves, percent, every calendar day; the catalogue says when each begins.

    The rate on excess reserves ends the day before the rate on reserve balances begins.
    """
    index = pd.DatetimeIndex(rates.days).as_unit("us")
    on_reserves = pd.Series(rates.on_reserves.round(2), index=index)
    return {
        "target_upper": pd.Series(rates.upper, index=index),
        "target_lower": pd.Series(rates.lower, index=index),
        "ioer": on_reserves[index < ONE_RATE_ON_RESERVES],
        "iorb": on_reserves[index >= ONE_RATE_ON_RESERVES],
    }


def every_day(frame: pd.DataFrame, last: np.datetime64) -> pd.DataFrame:
    """Business days to calendar days: a day without business keeps the value of the business day before."""
    return frame.reindex(pd.date_range(frame.index[0], last, freq="D", unit="us"), method="ffill")


def wednesdays(frame: pd.DataFrame, last: np.datetime64) -> dict[str, pd.Series]:
    """Levels on Wednesdays of business-day columns, by name."""
    daily = every_day(frame, last)
    levels = daily[pd.DatetimeIndex(daily.index).day_of_week == 2]
    return {str(name): column for name, column in levels.items()}


def week_averages(frame: pd.DataFrame, last: np.datetime64) -> dict[str, pd.Series]:
    """Means of business-day columns over whole reserve weeks, by Wednesday and name.

    As the Federal Reserve averages: over the seven days from Thursday to Wednesday, where a day without business
    counts as the business day before.
    """
    daily = every_day(frame, last)
    first = int(np.argmax(pd.DatetimeIndex(daily.index).day_of_week == 3))
    weeks = (len(daily) - first) // 7
    means = daily.to_numpy()[first : first + 7 * weeks].reshape(weeks, 7, -1).mean(axis=1)
    averages = pd.DataFrame(means, index=daily.index[first + 6 :: 7][:weeks], columns=daily.columns)
    return {str(name): column for name, column in averages.items()}


def period_averages(frame: pd.DataFrame, last: np.datetime64, frequency: str) -> dict[str, pd.Series]:
    """Means of business-day columns over whole months (``M``) or quarters (``Q``), by their first day and name."""
    means = every_day(frame, last).resample(f"{frequency}S").mean()
    whole = period_end(means.index, frequency) <= last
    return {str(name): column for name, column in means[whole].items()}


def weekly_statement(sheet: pd.DataFrame, last: np.datetime64) -> dict[str, pd.Series]:
    """Items of the balance sheet as the weekly statement names them, usd_bn, by Wednesday.

    ``other_deposits`` holds everything else on the liability side, capital included, so that on Wednesdays

        total_assets = currency + reverse_repo + tga + other_deposits + reserves
        total_assets = treasuries + mbs + premiums + repo + loans

    add up exactly, and ``reverse_repo`` = ``other_reverse_repo`` (overnight) + ``foreign_rrp``.
    """
    # Sums are rounded to the million, which the items are: no dust of floating point is published.
    items = sheet.rename(columns={"on_rrp": "other_reverse_repo", "other": "other_deposits"}).assign(
        reverse_repo=(sheet["on_rrp"] + sheet["foreign_rrp"]).round(3),
        securities=(sheet["treasuries"] + sheet["mbs"]).round(3),
        total_assets=sheet[["treasuries", "mbs", "premiums", "repo", "loans"]].sum(axis=1).round(3),
    )
    level = {f"{item}_wednesday": values for item, values in wednesdays(items, last).items()}
    average = {f"{item}_average": values for item, values in week_averages(items[list(AVERAGED)], last).items()}
    return level | average


def tables(
    published: dict[str, pd.Series], catalog: Catalog, economy: Economy, rng: np.random.Generator
) -> Iterator[VintageTable]:
    """Vintages of every series: one, dated the day after the end, or a pair around each benchmark if it is revised."""
    final = pd.Timestamp(economy.last_day) + pd.Timedelta(days=1)
    for name, series in published.items():
        spec = catalog[name]
        shown = series[series.index >= _first_day(spec)].dropna()
        if economy.revisions and name in REVISED:
            yield from _revised_tables(spec, shown, final, rng)
        elif len(shown):
            yield from _table(spec, shown, final)


def _first_day(spec: SeriesSpec) -> pd.Timestamp:
    if spec.starts is not None:
        return pd.Timestamp(spec.starts)
    return pd.Timestamp(FIRST_PUBLISHED.get(spec.name.split("_p")[0].removesuffix("_volume"), "1900-01-01"))


def _table(spec: SeriesSpec, values: pd.Series, as_of: pd.Timestamp) -> Iterator[VintageTable]:
    """What was out by the end of a day, if anything."""
    out = released_at(spec.release, values.index, spec.frequency) <= end_of_day(as_of)
    if out.any():
        shown = values[out]
        yield VintageTable(spec.name, as_of, shown.index.to_numpy(), shown.to_numpy(dtype=np.float64))


def _revised_tables(
    spec: SeriesSpec, values: pd.Series, final: pd.Timestamp, rng: np.random.Generator
) -> Iterator[VintageTable]:
    """The table on the eve of each benchmark and on its day, and the last one."""
    times = decimal_years(period_end(values.index, spec.frequency))
    years = range(values.index[0].year + 1, final.year + 1)
    dates = [day for year in years if (day := pd.Timestamp(year, BENCHMARK_MONTH, 28)) < final]
    before = times[0]
    for date in dates:
        first = pd.Series(revised(times, values.to_numpy(), before, rng, error=REVISED[spec.name]), index=values.index)
        yield from _table(spec, first, date - pd.Timedelta(days=1))
        yield from _table(spec, values, date)
        before = float(decimal_years(np.array([date], dtype="datetime64[D]"))[0])
    last = pd.Series(revised(times, values.to_numpy(), before, rng, error=REVISED[spec.name]), index=values.index)
    yield from _table(spec, last, final)
