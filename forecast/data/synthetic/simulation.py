"""One run of the economy, and the truth about it that no estimator may read."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd

from forecast.calendar import Days, reserve_week
from forecast.data.catalog import catalog
from forecast.data.synthetic import balance_sheet, macro, money_market, policy, publication, yields
from forecast.data.synthetic.economy import FIRST_DAY, Array, Economy, business_days
from forecast.data.vintages import Vintages


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """What the simulation knows and the published data do not say.

    economy : the specification
    daily   : (T, ...) by business day: ratio (percent, before standing repo), kink (percent), alpha, sigma, curve, spikes,
              spread, sofr_spread, tgcr_spread (bp, before rounding), slope (bp per percentage point of bank assets),
              duration_effect (bp, on the 10-year term premium), expected_duration (usd_bn of ten-year equivalents)
    weekly  : (W, ...) the same, averaged over the business days of reserve weeks (Thursday to Wednesday), by Wednesday
    effects : (E, 2) known effects: kind ("duration", on the 10-year term premium at an announcement; "alpha", a vertical
              shift), bp, by date
    sheet   : (T, 11) every item of the balance sheet, usd_bn, by business day
    beta    : bp per percentage point of bank assets
    tau     : percentage points
    """

    economy: Economy
    daily: pd.DataFrame
    weekly: pd.DataFrame
    effects: pd.DataFrame
    sheet: pd.DataFrame

    @property
    def beta(self) -> float:
        return self.economy.beta

    @property
    def tau(self) -> float:
        return self.economy.tau


@dataclass(frozen=True, slots=True, eq=False)
class _Run:
    """One run by business day, before anything is rounded or published; units as in ``Truth``."""

    economy: Economy
    streams: balance_sheet.Streams
    days: Days
    steps: tuple[policy.Step, ...]
    rates: policy.PolicyRates
    gdp: Array
    core: Array
    bank_assets: Array
    demand: money_market.Demand
    alpha_steps: dict[np.datetime64, float]
    sigma: Array
    spreads: money_market.Spreads
    expected: Array
    effect: Array
    sheet: pd.DataFrame

    def in_force(self, rate: Array) -> Array:
        """A rate of every calendar day, on business days."""
        return rate[np.searchsorted(self.rates.days, self.days)]


def simulate(economy: Economy) -> tuple[Vintages, Truth]:
    """Run an economy: what its statisticians publish, and the truth behind it."""
    run = _run(economy)
    market = _overnight_rates(run)
    take_up = money_market.standing_repo(run.days, 100 * (market["sofr_p99"] - run.in_force(run.rates.upper)))
    sheet = balance_sheet.with_standing_repo(run.sheet, take_up)
    published = _published(run, market, take_up, sheet)
    tables = publication.tables(published, catalog(), economy, run.streams["revisions"])
    return Vintages.from_tables(tables, catalog()), _truth(run, sheet)


def _run(economy: Economy) -> _Run:
    days, streams = business_days(economy), economy.streams()
    calendar = np.arange(FIRST_DAY, economy.last_day + np.timedelta64(1, "D"))
    steps, gdp = policy.schedule(streams["programmes"]), macro.gdp(days, streams["macro"])
    securities = policy.portfolio(days, steps, streams["paydowns"])
    core, kink = balance_sheet.bank_core(days, streams["banks"]), money_market.kink_path(economy, days, streams["kink"])
    sheet = balance_sheet.accounts(
        days, securities, balance_sheet.Surroundings(core, kink, gdp), comfort=economy.comfort, streams=streams
    )
    assets = balance_sheet.bank_assets(core, sheet["reserves"].to_numpy())
    ratio = 100 * sheet["reserves"].to_numpy() / assets
    alpha, alpha_steps = money_market.alpha_path(economy, days, streams["alpha"])
    demand = money_market.Demand(ratio, kink, alpha)
    sigma = money_market.volatility(economy, days, ratio, kink, streams["volatility"])
    expected = policy.expected_stock(days, steps, securities.duration)
    return _Run(
        economy,
        streams,
        days,
        steps,
        policy.policy_rates(calendar, streams["target"]),
        gdp,
        core,
        assets,
        demand,
        alpha_steps,
        sigma[0],
        money_market.spreads(economy, days, demand, sigma, streams=streams),
        expected,
        yields.duration_effect(expected, gdp, economy.duration_effect),
        sheet,
    )


def _overnight_rates(run: _Run) -> dict[str, Array]:
    """Overnight rates by series name, percent, as published. Before interest on reserves fed funds trade near the target."""
    on_reserves, upper = run.in_force(run.rates.on_reserves), run.in_force(run.rates.upper)
    spreads, rng = run.spreads, run.streams["percentiles"]
    near_target = upper + 0.04 * rng.standard_normal(len(upper))
    rates = {
        "effr": np.where(np.isnan(on_reserves), near_target, on_reserves + spreads.effr / 100),
        "sofr": on_reserves + spreads.sofr / 100,
        "tgcr": on_reserves + spreads.tgcr / 100,
    }
    rates["bgcr"] = 0.9 * rates["tgcr"] + 0.1 * rates["sofr"]
    rates["obfr"] = rates["effr"] - 0.005
    for name, width in (("effr", 3.0), ("sofr", 3.3)):
        around = money_market.percentiles(100 * rates[name], run.demand.ratio, run.demand.kink, rng, width=width)
        rates |= {f"{name}_{percentile}": values / 100 for percentile, values in around.items()}
    return publication.rates_as_published(rates, rounding=run.economy.rounding)


def _published(run: _Run, market: dict[str, Array], take_up: Array, sheet: pd.DataFrame) -> dict[str, pd.Series]:
    """Everything the public may learn, by catalogue name."""
    days, last = run.days, run.economy.last_day
    upper, on_reserves = run.in_force(run.rates.upper), run.in_force(run.rates.on_reserves)
    overnight = np.where(np.isnan(on_reserves), upper, on_reserves + run.demand.alpha / 100)
    curve = yields.yield_curve(days, overnight, run.in_force(run.rates.outlook), run.effect, run.streams["yields"])
    banks = macro.bank_books(run.core, run.bank_assets, sheet["reserves"].to_numpy(), run.streams["banks"])
    monthly = macro.prices_and_jobs(days, run.streams["macro"]) | {
        "m2": macro.money(sheet["currency"].to_numpy(), banks["deposits"]),
        "monetary_base": (sheet["currency"] + sheet["reserves"]).to_numpy(),
    }
    daily = {
        **market,
        **publication.rates_as_published(curve, rounding=run.economy.rounding),
        **money_market.volumes(days, run.streams["volumes"]),
        "on_rrp": sheet["on_rrp"].to_numpy(),
        "on_rrp_rate": run.in_force(run.rates.reverse_repo),
        "srf": np.round(take_up, 3),
        "tga_daily": sheet["tga"].to_numpy(),
    }
    table = partial(pd.DataFrame, index=sheet.index)
    return {
        **publication.weekly_statement(sheet, last),
        **publication.policy_announcements(run.rates),
        **{str(name): column for name, column in table(daily).items()},
        **publication.wednesdays(table({"bank_assets": run.bank_assets, **banks}), last),
        **publication.period_averages(table(monthly), last, "M"),
        **publication.period_averages(table({"gdp": run.gdp}), last, "Q"),
    }


def _truth(run: _Run, sheet: pd.DataFrame) -> Truth:
    paid = ~np.isnan(run.in_force(run.rates.on_reserves))
    columns = {
        "ratio": run.demand.ratio,
        "kink": run.demand.kink,
        "alpha": run.demand.alpha,
        "sigma": run.sigma,
        "curve": run.spreads.curve,
        "spikes": run.spreads.spikes,
        "slope": money_market.curve_slope(run.demand.ratio, run.demand.kink, run.economy.beta, run.economy.tau),
        "spread": np.where(paid, run.spreads.effr, np.nan),
        "sofr_spread": np.where(paid, run.spreads.sofr, np.nan),
        "tgcr_spread": np.where(paid, run.spreads.tgcr, np.nan),
        "duration_effect": run.effect,
        "expected_duration": run.expected,
    }
    daily = pd.DataFrame(columns, index=sheet.index)
    week = reserve_week(daily.index)
    weekly = daily.groupby(week).mean()
    return Truth(run.economy, daily, weekly[weekly.index <= pd.Timestamp(run.economy.last_day)], _effects(run), sheet)


def _effects(run: _Run) -> pd.DataFrame:
    """Known effects, bp, by the day on which they arrive."""
    surprises = policy.announcement_surprises(run.days, run.steps)
    at = {day: int(np.searchsorted(run.days, day)) for day in surprises}
    per_gdp = {day: 100 * stock / run.gdp[at[day]] for day, stock in surprises.items()}
    rows = [(day, "duration", -run.economy.duration_effect * share) for day, share in per_gdp.items()]
    rows += [(day, "alpha", step) for day, step in run.alpha_steps.items()]
    table = pd.DataFrame(rows, columns=["date", "kind", "bp"]).sort_values(["date", "kind"])
    return table.set_index(pd.DatetimeIndex(table.pop("date")).as_unit("us"))
