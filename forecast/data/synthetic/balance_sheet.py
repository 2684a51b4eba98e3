"""The central bank's accounts, day by day: every item moves for its own reason and reserves are what is left.

    treasuries + mbs + premiums + repo + loans = currency + reserves + tga + on_rrp + foreign_rrp + other

holds on every business day to the million. ``other`` is other deposits, other liabilities and capital.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from forecast.calendar import Days, tax_dates
from forecast.data.synthetic.economy import (
    Array,
    Knots,
    along,
    ar1,
    decimal_years,
    first_on_or_after,
    softplus,
)
from forecast.data.synthetic.policy import Portfolio

type Streams = dict[str, np.random.Generator]

ASSETS = ("treasuries", "mbs", "premiums", "repo", "loans")
LIABILITIES = ("currency", "reserves", "tga", "on_rrp", "foreign_rrp", "other")

REVERSE_REPO_OPENS = np.datetime64("2013-09-23", "D")
STANDING_REPO_OPENS = np.datetime64("2021-07-29", "D")
CORRIDOR_ENDS = np.datetime64("2008-09-15", "D")
SEIZURE = np.datetime64(
    "2019-09-16", "D"
)  # a corporate-tax and settlement day; the central bank lends from the next day

CURRENCY: Knots = (
    (2006.0, 760), (2008.5, 790), (2009.2, 890), (2012.0, 1070), (2016.0, 1420), (2020.1, 1800), (2021.2, 2110),
    (2022.3, 2260), (2025.5, 2380), (2028.0, 2560),
)  # fmt: skip
FOREIGN: Knots = (
    (2006.0, 12), (2008.8, 60), (2014.0, 105), (2016.0, 235), (2019.5, 280), (2021.5, 255), (2023.0, 340), (2025.5, 375),
)  # fmt: skip
OTHER: Knots = (
    (2006.0, 8), (2008.5, 15), (2009.0, 200), (2009.5, 70), (2011.0, 90), (2011.4, 40), (2014.5, 90), (2019.5, 75),
    (2020.4, 230), (2022.0, 330), (2023.2, 190), (2025.5, 60),
)  # fmt: skip
TREASURY_CASH: Knots = (
    (2006.0, 5), (2008.7, 5), (2009.0, 45), (2015.2, 70), (2015.95, 260), (2018.0, 285), (2020.2, 350), (2020.45, 1520),
    (2020.75, 1650), (2021.1, 1500), (2021.55, 600), (2022.3, 720), (2023.2, 620), (2025.5, 760),
)  # fmt: skip
# Debt limit: the Treasury runs its cash down from the first date until the second, then refills it.
DEBT_LIMITS = (
    (2011.38, 2011.60), (2015.20, 2015.84), (2017.20, 2017.69), (2019.17, 2019.60), (2021.58, 2021.95), (2023.05, 2023.43),
    (2025.05, 2025.52),
)  # fmt: skip
EMERGENCIES: tuple[Knots, ...] = (
    (
        (2007.9, 0), (2008.5, 300), (2008.7, 430), (2008.93, 1500), (2009.25, 1330), (2010.1, 380), (2010.6, 220), (2013.0, 0),
    ),
    ((2020.2, 0), (2020.27, 560), (2020.5, 330), (2021.0, 140), (2022.5, 40), (2023.3, 25), (2025.5, 8)),
    ((2023.19, 0), (2023.21, 310), (2023.4, 290), (2023.9, 125), (2024.05, 165), (2024.8, 100), (2025.05, 0)),
)  # fmt: skip
# Share of yearly GDP that reaches the Treasury on each tax date, by month.
TAX = {3: 0.0015, 4: 0.0085, 6: 0.0032, 9: 0.0032, 12: 0.0025}
# Ratio of reserves to bank assets (percent) at which money funds rather than banks hold more liquidity: after the
# flood banks turn deposits away until they hold only what comfort asks for.
APPETITE: Knots = ((2021.1, 1.0), (2022.3, 0.0))
APPETITE_BEFORE = 21.0


def bank_core(days: Days, rng: np.random.Generator) -> Array:
    """Bank assets other than those that reserves create, usd_bn."""
    knots: Knots = (
        (2006.0, 8900), (2008.7, 11300), (2009.3, 10950), (2011.5, 10850), (2015.0, 12850), (2019.7, 15950), (2020.4, 17350),
        (2022.5, 19650), (2025.5, 21200), (2028.0, 23300),
    )  # fmt: skip
    return along(days, knots) * np.exp(ar1(0.0004 * rng.standard_normal(len(days)), 0.998))


def bank_assets(core: Array, reserves: Array) -> Array:
    """Assets of commercial banks, usd_bn: a dollar of reserves lengthens their balance sheet by ninety cents, slowly."""
    weight = 1 / 40  # two months of business days
    smoothed = ar1(np.r_[reserves[:1], weight * reserves[1:]], 1 - weight)
    return core + 0.9 * smoothed


@dataclass(frozen=True, slots=True, eq=False)
class Surroundings:
    """What the central bank's accounts answer to, by business day.

    core : (T,) usd_bn, bank assets other than those that reserves create
    kink : (T,) percent of bank assets, what banks want to stay clear of
    gdp  : (T,) usd_bn, annual rate, scales tax receipts
    """

    core: Array
    kink: Array
    gdp: Array


def accounts(
    days: Days, securities: Portfolio, surroundings: Surroundings, *, comfort: float, streams: Streams
) -> pd.DataFrame:
    """Every item of the balance sheet before standing repo, usd_bn, by business day; they add up exactly.

    Parameters
    ----------
    comfort : percentage points above the kink that banks keep before money funds lend to the central bank
    """
    size = len(days)
    items = {
        "treasuries": securities.treasuries,
        "mbs": securities.mbs,
        "premiums": 0.052 * (securities.treasuries + securities.mbs) * along(days, ((2008.9, 0.0), (2012.0, 1.0))),
        "repo": _repo(days),
        "loans": _loans(days, streams["facilities"]),
        "currency": _currency(days, streams["currency"]),
        "tga": _treasury_account(days, surroundings.gdp, streams["tga"], streams["debt_limit"]),
        "foreign_rrp": along(days, FOREIGN) * np.exp(ar1(0.012 * streams["foreign_rrp"].standard_normal(size), 0.98)),
        "other": along(days, OTHER) * np.exp(ar1(0.02 * streams["other"].standard_normal(size), 0.97)),
    }
    sheet = pd.DataFrame(items, index=pd.DatetimeIndex(days).as_unit("us")).round(3)
    needed = _corridor_reserves(size, streams["facilities"]) - _liquidity(sheet)
    sheet["repo"] = np.round(sheet["repo"] + _open_market_operations(days, needed), 3)
    liquidity = _liquidity(sheet)
    sheet["on_rrp"] = np.round(_reverse_repo(days, liquidity, surroundings, comfort, streams["on_rrp"]), 3)
    sheet["reserves"] = np.round(liquidity - sheet["on_rrp"], 3)
    return sheet[[*ASSETS, *LIABILITIES]]


def _liquidity(sheet: pd.DataFrame) -> Array:
    """What banks and money funds hold together: assets less every other liability, usd_bn."""
    elsewhere = sheet[["currency", "tga", "foreign_rrp", "other"]].sum(axis=1)
    return np.asarray(sheet[list(ASSETS)].sum(axis=1) - elsewhere, dtype=np.float64)


def _open_market_operations(days: Days, needed: Array) -> Array:
    """Repo that fills the corridor's need for reserves day by day, and matures over a quarter once it is given up."""
    end = int(np.searchsorted(days, CORRIDOR_ENDS))
    since = (days[end:] - CORRIDOR_ENDS).astype(np.float64)
    return np.concatenate([needed[:end], needed[end - 1] * np.exp(-since / 30)])


def _corridor_reserves(size: int, rng: np.random.Generator) -> Array:
    """While reserves earned nothing, the desk offset every other account day by day to keep reserves small."""
    return 12 * np.exp(0.15 * rng.standard_normal(size))


def with_standing_repo(sheet: pd.DataFrame, take_up: Array) -> pd.DataFrame:
    """Standing repo lent on a day is an asset and, on the other side, reserves."""
    lent = np.round(take_up, 3)
    return sheet.assign(repo=np.round(sheet["repo"] + lent, 3), reserves=np.round(sheet["reserves"] + lent, 3))


def _bell(days: Days, start: float, peak: float, end: float, height: float) -> Array:
    return along(days, ((start, 0.0), (peak, height), (end, 0.0)))


def _repo(days: Days) -> Array:
    """Lending to the market after the seizure of September 2019 and in March 2020."""
    after_seizure = ((2019.712, 0.0), (2019.99, 210.0), (2020.55, 0.0))
    pandemic = ((2020.19, 0.0), (2020.23, 200.0), (2020.5, 0.0))
    return along(days, after_seizure) + along(days, pandemic)


def _loans(days: Days, rng: np.random.Generator) -> Array:
    """Emergency lending, swap lines and facilities: 2008-12, 2020 and the bank runs of 2023."""
    sizes = np.exp(0.06 * rng.standard_normal(len(EMERGENCIES)))
    return np.sum([size * along(days, knots) for size, knots in zip(sizes, EMERGENCIES, strict=True)], axis=0)


def _currency(days: Days, rng: np.random.Generator) -> Array:
    """Trend, a peak at Christmas and slow surprises."""
    season = 0.006 * np.cos(2 * np.pi * (decimal_years(days) - 0.98)) + 0.003 * np.cos(
        4 * np.pi * (decimal_years(days) - 0.98)
    )
    return along(days, CURRENCY) * (1 + season) * np.exp(ar1(0.0004 * rng.standard_normal(len(days)), 0.998))


def _treasury_account(days: Days, gdp: Array, rng: np.random.Generator, limits: np.random.Generator) -> Array:
    """Cash of the Treasury: a target, taxes in and outlays out, the debt limit, and noise; always positive."""
    target = along(days, TREASURY_CASH)
    size = np.minimum(target / 250, 1.0)
    noise = ar1(rng.standard_normal(len(days)), 0.93) * np.minimum(0.03 * target + 3.0, 18.0)
    cash = (target + size * _taxes(days, gdp)) * _debt_limit(days, limits) + size * noise
    floor = 0.12 * target
    return np.asarray(floor * softplus(cash / floor))


def _taxes(days: Days, gdp: Array) -> Array:
    """Receipts of the tax dates, spent over the two months after, around zero on average, usd_bn."""
    dates = tax_dates(days[0], days[-1])
    arrivals = np.zeros(len(days))
    months = days.astype("datetime64[M]").astype(np.int64) % 12 + 1
    on_date = first_on_or_after(days, dates)
    # A tax date may roll into the next month; its share is that of the month in which it was due.
    due = np.where(np.isin(months, list(TAX)), months, months - 1)
    shares = np.array([TAX.get(int(month), 0.0) for month in due])
    arrivals[on_date] = (shares * gdp)[on_date]
    receipts = ar1(arrivals, 0.965)
    return receipts - ar1(receipts, 0.995) * 0.005


def _debt_limit(days: Days, rng: np.random.Generator) -> Array:
    """Share of its cash the Treasury keeps: falls while the limit binds, refills in about two months."""
    share = np.ones(len(days))
    times = decimal_years(days)
    for starts, resolved in DEBT_LIMITS:
        move, depth, refill = rng.uniform(-0.03, 0.03), rng.uniform(0.78, 0.93), rng.uniform(0.04, 0.07)
        fall = np.clip((times - starts - move) / (resolved - starts), 0.0, 1.0)
        after = np.maximum(times - resolved - move, 0.0)
        share *= 1 - depth * fall * np.exp(-after / refill)
    return share


def _reverse_repo(
    days: Days, liquidity: Array, surroundings: Surroundings, comfort: float, rng: np.random.Generator
) -> Array:
    """Money funds' lending to the central bank, usd_bn: what liquidity exceeds the banks' comfort, and small change.

    With comfort at r percent of bank assets and bank assets = core + 0.9 * reserves, banks hold at most
    R = r * core / (1 - 0.9 * r); a fall of liquidity therefore drains reverse repo first and reserves when it is dry.
    """
    unwilling = along(days, APPETITE)
    ratio = (unwilling * APPETITE_BEFORE + (1 - unwilling) * (surroundings.kink + comfort)) / 100
    most = ratio * surroundings.core / (1 - 0.9 * ratio)
    # An even split where both are wanted: 45 bn wide.
    absorbed = 45 * softplus((liquidity - most) / 45)
    usual = along(
        days,
        ((2013.7, 10.0), (2014.2, 90.0), (2017.7, 110.0), (2018.3, 6.0), (2021.2, 4.0), (2022.0, 60.0), (2026.0, 60.0)),
    )
    noise = np.exp(0.25 * ar1(rng.standard_normal(len(days)), 0.8))
    take_up = absorbed + usual * noise * (1 + 2.0 * _window_dressing(days))
    opened = days >= REVERSE_REPO_OPENS
    return np.where(opened, np.minimum(take_up, 0.9 * np.maximum(liquidity, 0.0)), 0.0)


def _window_dressing(days: Days) -> Array:
    """One on the last business day of a quarter, a little the days around."""
    quarter = days.astype("datetime64[M]").astype(np.int64) // 3
    last = np.r_[quarter[1:] != quarter[:-1], False].astype(np.float64)
    return np.asarray(last + 0.3 * np.r_[last[1:], 0.0] + 0.3 * np.r_[0.0, last[:-1]])
