"""What the simulated publishers print: weekly statements, daily rates, revised statistics, each with its date."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from forecast.calendar import Days, released_at
from forecast.data.catalog import Catalog, SeriesSpec
from forecast.data.synthetic.economy import Array, Economy, decimal_years, every_day
from forecast.data.synthetic.macro import revised
from forecast.data.vintages import VintageTable, end_of_day

# First days of series whose market or publication is younger than the simulation.
FIRST_PUBLISHED = {
    "on_rrp": "2013-09-23",
    "on_rrp_rate": "2013-09-23",
    "sofr": "2014-08-22",
    "tgcr": "2014-08-22",
    "bgcr": "2014-08-22",
    "obfr": "2016-03-01",
}
REVISED = {"bank_assets": 0.004, "gdp": 0.004}  # standard deviation of the error a year after a benchmark
BENCHMARK_MONTH = 10


def to_basis_point(rate: Array) -> Array:
    """Percent, rounded to the whole basis point."""
    return np.asarray(np.round(rate, 2))


def weekly_statement(sheet: pd.DataFrame, last: np.datetime64) -> dict[str, pd.Series]:
    """Items of the balance sheet as the weekly statement names them, usd_bn, by Wednesday.

    An average covers the seven days from Thursday to Wednesday, a day without business counting as the business
    day before. ``other_deposits_wednesday`` holds everything else on the liability side, capital included, so that

        total_assets = currency + reverse_repo + tga + other_deposits + reserves
        total_assets = securities + premiums + repo + loans
    """
    values, days = every_day(sheet.to_numpy(), sheet.index.to_numpy().astype("datetime64[D]"), last)
    daily = pd.DataFrame(values, index=days, columns=sheet.columns)
    # Sums are rounded to the million, which the items are: no dust of floating point is published.
    daily["reverse_repo"] = (daily["on_rrp"] + daily["foreign_rrp"]).round(3)
    daily["securities"] = (daily["treasuries"] + daily["mbs"]).round(3)
    daily["total_assets"] = (daily["securities"] + daily["premiums"] + daily["repo"] + daily["loans"]).round(3)
    level = daily[daily.index.dayofweek == 2]
    average = week_averages(daily)
    named = {f"{item}_wednesday": level[item] for item in daily.columns if item not in ("on_rrp", "other")}
    named |= {"other_deposits_wednesday": level["other"], "other_reverse_repo_wednesday": level["on_rrp"]}
    named |= {f"{item}_average": average[item] for item in ("reserves", "tga", "currency", "reverse_repo", "foreign_rrp")}
    return named | {"other_deposits_average": average["other"], "other_reverse_repo_average": average["on_rrp"]}


def week_averages(daily: pd.DataFrame) -> pd.DataFrame:
    """Means over whole weeks from Thursday to Wednesday of calendar days, by Wednesday."""
    first = int(np.argmax(daily.index.dayofweek == 3))
    weeks = (len(daily) - first) // 7
    blocks = daily.to_numpy()[first : first + 7 * weeks].reshape(weeks, 7, -1)
    return pd.DataFrame(blocks.mean(axis=1), index=daily.index[first + 6 :: 7][:weeks], columns=daily.columns)


def by_period(values: Array, days: Days, last: np.datetime64, unit: str) -> pd.Series:
    """Means over whole months (``M``) or quarters (``Q``), by their first day."""
    calendar_values, calendar = every_day(values, days, last)
    series = pd.Series(calendar_values, index=calendar)
    means = series.resample("MS" if unit == "M" else "QS").mean()
    months = 1 if unit == "M" else 3
    whole = means.index + pd.DateOffset(months=months) <= pd.Timestamp(last) + pd.Timedelta(days=1)
    return means[whole]


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
    times = decimal_years(values.index.to_numpy().astype("datetime64[D]"))
    years = range(values.index[0].year + 1, final.year + 1)
    dates = [day for year in years if (day := pd.Timestamp(year, BENCHMARK_MONTH, 28)) < final]
    before = times[0]
    for date in dates:
        first = pd.Series(revised(times, values.to_numpy(), before, rng, error=REVISED[spec.name]), index=values.index)
        yield from _table(spec, first, date - pd.Timedelta(days=1))
        yield from _table(spec, values[first.index <= date], date)
        before = float(decimal_years(np.array([date], dtype="datetime64[D]"))[0])
    last = pd.Series(revised(times, values.to_numpy(), before, rng, error=REVISED[spec.name]), index=values.index)
    yield from _table(spec, last, final)
