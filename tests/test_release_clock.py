"""The release clock to the second, against a calendar written down here without the one that is tested."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest

from forecast.calendar import NEW_YORK, RELEASE_RULES, period_end, released_at
from forecast.checks.release_clock import check_releases
from forecast.data.catalog import SeriesSpec, catalog
from forecast.data.synthetic import Economy, simulate
from forecast.data.vintages import Vintages, VintageTable

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data" / "fed"
ZONE = ZoneInfo("America/New_York")

# ------------------------------------------------------------ the calendar, by hand

# Closings of the Reserve Banks around the days that are asked about.
BANKS = {
    "2022-01-17", "2023-10-09", "2023-11-23", "2023-12-25", "2024-01-01", "2024-01-15", "2024-02-19",
    "2024-05-27", "2024-06-19", "2024-07-04", "2024-09-02", "2024-10-14", "2024-11-11", "2024-11-28", "2024-12-25",
    "2025-02-17", "2025-06-19", "2025-07-04", "2025-11-11", "2025-11-27", "2025-12-25",
}  # fmt: skip
# Holidays on a Saturday: federal offices are closed on the Friday before, the Reserve Banks are not. And by order.
OFFICES = BANKS | {"2021-12-24", "2021-12-31", "2023-11-10", "2024-12-24"}
# The bond market keeps Good Friday, and Christmas Eve where Christmas is a Saturday.
REPO = BANKS | {"2023-04-07", "2021-12-24"}

# What is asked around each day: the last business day before it, and the statement's Wednesday before that.
DAYS = {
    "clocks go forward 2023": ("2023-03-10", "2023-03-08"),
    "clocks go back 2023": ("2023-11-03", "2023-11-01"),
    "clocks go forward 2024": ("2024-03-08", "2024-03-06"),
    "clocks go back 2025": ("2025-10-31", "2025-10-29"),
    "New Year's Day, a Saturday": ("2021-12-30", "2021-12-29"),
    "Birthday of Martin Luther King": ("2024-01-12", "2024-01-10"),
    "Washington's Birthday": ("2025-02-14", "2025-02-12"),
    "Good Friday with an employment report": ("2023-04-06", "2023-04-05"),
    "Memorial Day": ("2024-05-24", "2024-05-22"),
    "Juneteenth, a Thursday": ("2025-06-18", "2025-06-18"),
    "Independence Day, a Thursday": ("2024-07-03", "2024-07-03"),
    "Labor Day": ("2024-08-30", "2024-08-28"),
    "Columbus Day": ("2023-10-06", "2023-10-04"),
    "Veterans Day, a Saturday": ("2023-11-09", "2023-11-08"),
    "Thanksgiving": ("2024-11-27", "2024-11-27"),
    "Christmas Day, a Saturday": ("2021-12-23", "2021-12-22"),
}


def open_day(day: date, closed: set[str]) -> date:
    while day.weekday() >= 5 or day.isoformat() in closed:
        day += timedelta(days=1)
    return day


def fourth_tuesday(month: date) -> date:
    return [day for n in range(1, 29) if (day := month.replace(day=n)).weekday() == 1][3]


def at(day: date, clock: str) -> datetime:
    return datetime.combine(day, time.fromisoformat(clock), tzinfo=ZONE)


def month_after(day: date, months: int = 1) -> date:
    """First day of a later month."""
    return date(day.year + (day.month - 1 + months) // 12, (day.month - 1 + months) % 12 + 1, 1)


def z1(first: date) -> datetime:
    last = month_after(first, 3) - AFTER
    released = open_day(last + timedelta(days=88 if last.month == 6 else 74), OFFICES)
    # The third quarter of 2025 came after the shutdown.
    return at(date(2026, 1, 9) if released == date(2025, 12, 15) else released, "12:00")


AFTER = timedelta(days=1)
type Rule = Callable[[date], datetime]

# Instant of release as the publisher announces it, from the last day of a period, or the first of a month or quarter.
PUBLISHERS: dict[str, Rule] = {
    "h41": lambda day: at(open_day(day + AFTER, BANKS), "16:30"),
    "h8": lambda day: at(open_day(day + 9 * AFTER, OFFICES), "16:15"),
    "h15": lambda day: at(open_day(day + AFTER, OFFICES), "16:15"),
    "dts": lambda day: at(open_day(day + AFTER, OFFICES), "16:00"),
    "fed_funds": lambda day: at(open_day(day + AFTER, BANKS), "09:00"),
    "repo_rates": lambda day: at(open_day(day + AFTER, REPO), "08:00"),
    "on_rrp": lambda day: at(day, "13:15"),
    "standing_repo": lambda day: at(day, "13:45"),
    "treasury_curve": lambda day: at(day, "18:00"),
    "announced": lambda day: at(day - AFTER, "14:00"),
    "h6": lambda day: at(open_day(fourth_tuesday(month_after(day)), OFFICES), "13:00"),
    "z1": z1,
}


def expected(source: str, occasion: str) -> tuple[date, datetime]:
    """Period that is asked about on an occasion, and its instant of release."""
    day, week = map(date.fromisoformat, DAYS[occasion])
    periods = {"h41": week, "h8": week, "h6": day.replace(day=1), "z1": date(day.year, (day.month - 1) // 3 * 3 + 1, 1)}
    period = periods.get(source, day)
    return period, PUBLISHERS[source](period)


SOURCES = {
    "h41": "reserves_average",
    "h8": "bank_assets",
    "h15": "treasury_10y",
    "dts": "tga_daily",
    "fed_funds": "effr",
    "repo_rates": "sofr",
    "on_rrp": "on_rrp",
    "standing_repo": "srf",
    "treasury_curve": "treasury_2y",
    "announced": "iorb",
    "h6": "m2",
    "z1": "business_debt",
}


def spec_of(source: str) -> SeriesSpec:
    return replace(catalog()[SOURCES[source]], release=source)


def only_value(spec: SeriesSpec, period: date) -> Vintages:
    table = VintageTable(spec.name, pd.Timestamp("2026-06-30"), np.array([period], "M8[us]"), np.array([1.0]))
    return Vintages.from_tables([table], {spec.name: spec})


@pytest.mark.parametrize("occasion", DAYS)
@pytest.mark.parametrize("source", SOURCES)
def test_a_value_appears_at_its_release_and_not_a_second_before(source: str, occasion: str) -> None:
    period, instant = expected(source, occasion)
    spec = spec_of(source)
    vintages = only_value(spec, period)
    known = [
        vintages.as_of(pd.Timestamp(instant) + pd.Timedelta(seconds=seconds)).has(spec.name) for seconds in (-1, 0, 1)
    ]
    assert known == [False, True, True]


def test_there_are_576_such_checks() -> None:
    assert len(SOURCES) * len(DAYS) * 3 == 576


@pytest.mark.parametrize(
    ("source", "occasion", "utc"),
    [
        ("repo_rates", "clocks go forward 2023", "2023-03-13 12:00"),
        ("fed_funds", "clocks go back 2023", "2023-11-06 14:00"),
        ("announced", "clocks go forward 2024", "2024-03-07 19:00"),
        ("h15", "Christmas Day, a Saturday", "2021-12-27 21:15"),
        ("fed_funds", "Christmas Day, a Saturday", "2021-12-24 14:00"),
        ("repo_rates", "Christmas Day, a Saturday", "2021-12-27 13:00"),
        ("repo_rates", "Good Friday with an employment report", "2023-04-10 12:00"),
        ("h41", "Thanksgiving", "2024-11-29 21:30"),
        ("h8", "Christmas Day, a Saturday", "2022-01-03 21:15"),
        ("h6", "Labor Day", "2024-09-24 17:00"),
        ("z1", "clocks go back 2025", "2026-03-16 16:00"),
        ("dts", "Veterans Day, a Saturday", "2023-11-13 21:00"),
    ],
)
def test_the_calendar_of_this_file_is_the_one_on_the_wall(source: str, occasion: str, utc: str) -> None:
    assert pd.Timestamp(expected(source, occasion)[1]).tz_convert("UTC") == pd.Timestamp(utc, tz="UTC")


# ------------------------------------------------------------ releases that came late


@pytest.mark.parametrize(
    ("rule", "period", "frequency", "came"),
    [
        ("employment", "2008-12-01", "M", "2009-01-09"),
        ("employment", "2012-02-01", "M", "2012-03-09"),
        ("employment", "2013-09-01", "M", "2013-10-22"),  # shutdown
        ("employment", "2013-10-01", "M", "2013-11-08"),
        ("employment", "2014-12-01", "M", "2015-01-09"),
        ("employment", "2017-02-01", "M", "2017-03-10"),
        ("employment", "2018-02-01", "M", "2018-03-09"),
        ("employment", "2023-02-01", "M", "2023-03-10"),
        ("employment", "2024-12-01", "M", "2025-01-10"),
        ("cpi", "2013-09-01", "M", "2013-10-30"),
        ("cpi", "2014-07-01", "M", "2014-08-19"),
        ("cpi", "2015-01-01", "M", "2015-02-26"),
        ("cpi", "2024-04-01", "M", "2024-05-15"),
        ("pce", "2009-06-01", "M", "2009-08-04"),
        ("pce", "2014-06-01", "M", "2014-08-01"),
        ("pce", "2018-12-01", "M", "2019-03-01"),
        ("gdp", "2009-04-01", "Q", "2009-07-31"),
        ("gdp", "2013-07-01", "Q", "2013-11-07"),
        ("gdp", "2018-10-01", "Q", "2019-02-28"),
        ("housing", "2008-12-01", "M", "2009-01-22"),
        ("housing", "2018-12-01", "M", "2019-02-26"),
        ("retail", "2018-12-01", "M", "2019-02-14"),
        ("g17", "2013-09-01", "M", "2013-10-28"),
        ("z1", "2013-04-01", "Q", "2013-09-25"),
        ("z1", "2014-10-01", "Q", "2015-03-12"),
        ("recession_dates", "2001-12-01", "M", "2003-07-17"),
        ("recession_dates", "2009-07-01", "M", "2010-09-20"),
        ("recession_dates", "2020-05-01", "M", "2021-07-19"),
        ("weekly_index", "2024-01-12", "W-FRI", "2024-01-18"),  # a holiday on Monday moves it to Thursday
    ],
)
def test_no_rule_is_ahead_of_a_release_that_came_late(rule: str, period: str, frequency: str, came: str) -> None:
    released = released_at(rule, [period], frequency).tz_convert(NEW_YORK)[0]
    assert released.normalize() >= pd.Timestamp(came, tz=NEW_YORK)
    assert released < pd.Timestamp(came, tz=NEW_YORK) + pd.Timedelta(days=260), "so cautious that nothing is ever known"


@pytest.mark.skipif(not SHARED.exists(), reason="no shared data beside the project")
@pytest.mark.parametrize("series", ["IOER", "IORB", "DFEDTARU", "DFEDTARL", "DPCREDIT"])
def test_no_change_of_a_policy_rate_is_known_before_its_statement(series: str) -> None:
    rates = pd.read_csv(SHARED / f"{series}.csv", parse_dates=["date"]).dropna().set_index("date").iloc[:, 0]
    changed = rates.index[rates.diff().fillna(0) != 0]
    statements = pd.DatetimeIndex(read_calendar_days(SHARED / "FOMC_STATEMENT_DATES.csv"))
    released = released_at("announced", changed, "D7").tz_convert(NEW_YORK)
    assert len(changed) >= 14
    for day, instant in zip(changed, released, strict=True):
        statement = statements[statements <= day].max()
        assert instant >= pd.Timestamp(statement, tz=NEW_YORK) + pd.Timedelta(hours=10), f"{series} of {day:%Y-%m-%d}"


def read_calendar_days(path: Path) -> list[pd.Timestamp]:
    return list(pd.read_csv(path, parse_dates=["date"])["date"])


@pytest.mark.skipif(not SHARED.exists(), reason="no shared data beside the project")
def test_no_archived_file_ends_before_what_the_clock_says_was_out() -> None:
    """A file of a day that lacks a period which the rule says was public would prove the rule too early."""
    ids = {spec.id: spec for spec in catalog().values()}
    asked, early = 0, []
    for path in sorted((SHARED.parent / "vintages").glob("*__*.csv")):
        key, _, day = path.stem.partition("__")
        spec = ids[key]
        last = pd.read_csv(path, parse_dates=["date"]).dropna()["date"].max()
        following = last + {"M": pd.DateOffset(months=1), "W-WED": pd.DateOffset(weeks=1)}[spec.frequency]
        asked += 1
        if released_at(spec.release, [following], spec.frequency)[0] <= pd.Timestamp(day, tz=NEW_YORK):
            early.append((path.name, f"{following:%Y-%m-%d}"))
    assert early == []
    assert asked == 15


# ------------------------------------------------------------ the whole catalogue

# Which frequencies a rule may carry, and the longest a regular value may take, in days after its period's end.
ALLOWED = {
    "announced": ({"D", "D7"}, 0),
    "claims": ({"W-SAT"}, 55),
    "continued_claims": ({"W-SAT"}, 61),
    "cpi": ({"M"}, 80),
    "debt": ({"Q"}, 80),
    "dts": ({"D"}, 6),
    "employment": ({"M"}, 80),
    "fed_funds": ({"D"}, 5),
    "g17": ({"M"}, 90),
    "gdp": ({"Q"}, 85),
    "h15": ({"D", "D7"}, 6),
    "h3": ({"M"}, 35),
    "h41": ({"W-WED"}, 6),
    "h6": ({"M", "W-MON"}, 59),
    "h8": ({"W-WED"}, 13),
    "housing": ({"M"}, 150),
    "monthly_rates": ({"M"}, 5),
    "oecd": ({"M"}, 50),
    "on_rrp": ({"D"}, 0),
    "on_rrp_detail": ({"D"}, 190),
    "pce": ({"M"}, 85),
    "recession_dates": ({"M"}, 615),
    "repo_rates": ({"D"}, 5),
    "retail": ({"M"}, 150),
    "standing_repo": ({"D"}, 0),
    "stress_index": ({"W-FRI"}, 8),
    "term_structure_model": ({"D", "Q"}, 19),
    "weekly_index": ({"W-FRI"}, 7),
    "weekly_rates": ({"D"}, 15),
    "z1": ({"Q"}, 105),
}
# Results of the day's own operations, and announcements: all else comes after its period is over.
SAME_DAY = {"on_rrp", "standing_repo", "treasury_curve"}
BEFORE = {"announced"}


@pytest.mark.parametrize("name", catalog())
def test_every_series_has_a_rule_that_fits_its_frequency(name: str) -> None:
    spec = catalog()[name]
    frequencies, longest = ALLOWED[spec.release]
    assert spec.release in RELEASE_RULES
    assert spec.frequency in frequencies
    offset = {"D": "B", "D7": "D", "M": "MS", "Q": "QS"}.get(spec.frequency, spec.frequency)
    periods = pd.date_range(spec.starts or "2009-01-01", "2026-06-30", freq=offset)
    released = released_at(spec.release, periods, spec.frequency).tz_convert(NEW_YORK).tz_localize(None)
    ends = pd.DatetimeIndex(period_end(periods, spec.frequency))
    if spec.release not in BEFORE:
        assert (released.normalize() >= ends).all()
        assert (released.normalize() > ends).all() or spec.release in SAME_DAY
    assert (released.normalize() - ends).max() <= pd.Timedelta(days=longest)
    assert released.is_monotonic_increasing


@pytest.mark.parametrize("name", [name for name, spec in catalog().items() if spec.release in BEFORE])
def test_only_standing_rates_are_announced_in_advance(name: str) -> None:
    assert name in {"iorb", "ioer", "target_upper", "target_lower", "primary_credit_rate"}


@pytest.mark.parametrize("rule", RELEASE_RULES)
def test_a_release_does_not_depend_on_what_else_is_asked(rule: str) -> None:
    frequency = next((spec.frequency for spec in catalog().values() if spec.release == rule), "D")
    offset = {"D": "B", "D7": "D", "M": "MS", "Q": "QS"}.get(frequency, frequency)
    periods = pd.date_range("2013-06-01", "2014-03-31", freq=offset)
    one_by_one = [released_at(rule, [period], frequency)[0] for period in periods]
    assert list(released_at(rule, periods, frequency)) == one_by_one


# ------------------------------------------------------------ the audit of vintages


def test_the_embedded_economy_dates_nothing_too_early_but_its_model_estimates() -> None:
    vintages, _ = simulate(Economy(seed=2, years=6.0))
    found = check_releases(vintages)
    assert [early.series for early in found] == ["term_premium_10y"]
    assert found[0].earliest is None
    assert "estimates made with later data" in str(found[0])


def test_the_audit_says_which_series_is_too_early_since_when_and_by_how_much() -> None:
    vintages = only_value(catalog()["reserves_average"], date(2024, 11, 27))
    midnight = pd.Timestamp("2024-11-28", tz=NEW_YORK).tz_convert("UTC")
    hurried = replace(vintages, observations=vintages.observations.assign(released=midnight))
    assert check_releases(vintages) == []
    (early,) = check_releases(hurried)
    assert str(early) == (
        "'reserves_average': 1 values, first that for 2024-11-27 at 2024-11-28 00:00, are dated too early; "
        "it came at 2024-11-29 16:30"
    )


def test_a_catalogue_with_another_rule_does_not_deceive_the_audit() -> None:
    hasty = replace(catalog()["tga_daily"], release="standing_repo")
    (early,) = check_releases(only_value(hasty, date(2024, 7, 3)))
    assert (f"{early.released:%d %H:%M}", f"{early.earliest:%d %H:%M}") == ("03 13:45", "05 16:00")


def test_a_series_of_ones_own_is_held_to_its_own_rule() -> None:
    own = replace(catalog()["tga_daily"], name="receipts", id="RECEIPTS")
    vintages = only_value(own, date(2024, 7, 3))
    assert check_releases(vintages) == []
    hurried = vintages.observations.assign(released=pd.Timestamp("2024-07-03 20:00", tz="UTC"))
    assert [early.series for early in check_releases(replace(vintages, observations=hurried))] == ["receipts"]
