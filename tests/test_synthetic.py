"""The simulated economy: accounts that add up, known truth, complications that come and go one at a time."""

from __future__ import annotations

import hashlib
import pickle
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import FrozenInstanceError, fields, replace
from functools import cache

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from forecast.calendar import is_business_day, released_at, reserve_week
from forecast.data.catalog import catalog
from forecast.data.synthetic import Economy, Truth, simulate
from forecast.data.synthetic.economy import COMPONENTS, along, ar1, business_days, first_on_or_after
from forecast.data.synthetic.money_market import curve, curve_slope, percentiles, pressure, standing_repo
from forecast.data.synthetic.policy import Step, announcement_surprises, expected_stock
from forecast.data.synthetic.publication import week_averages
from forecast.data.synthetic.yields import duration_effect, term_profile
from forecast.data.vintages import Panel, Vintages, end_of_day
from forecast.errors import UsageError

COMPLICATIONS = ("drifting_kink", "vertical_shifts", "stochastic_volatility", "spikes", "rounding", "revisions")
PLAIN = Economy(**dict.fromkeys(COMPLICATIONS, False))
ASSETS = ["treasuries", "mbs", "premiums", "repo", "loans"]
LIABILITIES = ["currency", "reserves", "tga", "on_rrp", "foreign_rrp", "other"]


@cache
def run(economy: Economy) -> tuple[Vintages, Truth]:
    return simulate(economy)


@cache
def final(economy: Economy) -> Panel:
    return run(economy)[0].final()


def without(complication: str) -> Economy:
    return replace(Economy(), **{complication: False})


def on_reserves(panel: Panel) -> pd.Series:
    spliced: pd.Series = pd.concat([panel.series("ioer"), panel.series("iorb")])
    return spliced


def spread(economy: Economy, rate: str = "effr") -> pd.Series:
    """Published rate less the rate on reserves, bp, by business day."""
    panel = final(economy)
    over: pd.Series = 100 * (panel.series(rate) - on_reserves(panel))
    return over.dropna()


def weekly_spread(economy: Economy, rate: str = "effr") -> pd.Series:
    daily = spread(economy, rate)
    return daily.groupby(reserve_week(daily.index)).mean().round(9)


def ratio(economy: Economy) -> pd.Series:
    panel = final(economy)
    percent: pd.Series = 100 * panel.series("reserves_average") / panel.series("bank_assets")
    return percent.dropna()


def slope_of(x: pd.Series, y: pd.Series) -> float:
    """Least-squares slope of y on x."""
    both = x.index.intersection(y.index)
    covariance = np.cov(x.loc[both], y.loc[both])
    return float(covariance[0, 1] / covariance[0, 0])


def fingerprint(economy: Economy) -> str:
    observations = simulate(economy)[0].observations
    digest = hashlib.sha256()
    for name in ("period", "released", "value", "pseudo"):
        digest.update(observations[name].to_numpy().tobytes() if name != "released" else released_bytes(observations))
    return digest.hexdigest()


def released_bytes(observations: pd.DataFrame) -> bytes:
    return pd.DatetimeIndex(observations["released"]).tz_localize(None).to_numpy().tobytes()


# ------------------------------------------------------------------------------------------ accounts


@pytest.mark.parametrize("economy", [Economy(), Economy(seed=3), PLAIN, Economy(seed=1, years=6.0)])
def test_accounts_add_up_every_day(economy: Economy) -> None:
    sheet = run(economy)[1].sheet
    gap = sheet[ASSETS].sum(axis=1) - sheet[LIABILITIES].sum(axis=1)
    assert sorted(sheet.columns) == sorted(ASSETS + LIABILITIES)
    assert gap.abs().max() < 1e-9


def test_the_published_statement_adds_up_on_both_sides() -> None:
    s = final(Economy()).series
    total = s("total_assets_wednesday")
    right = (
        s("currency_wednesday")
        + s("reverse_repo_wednesday")
        + s("tga_wednesday")
        + s("other_deposits_wednesday")
        + s("reserves_wednesday")
    )
    left = s("securities_wednesday") + s("premiums_wednesday") + s("repo_wednesday") + s("loans_wednesday")
    assert len(total) > 1000
    assert (total - right).abs().max() < 1e-9
    assert (total - left).abs().max() < 1e-9
    assert (s("securities_wednesday") - s("treasuries_wednesday") - s("mbs_wednesday")).abs().max() < 1e-9
    pool = s("other_reverse_repo_wednesday") + s("foreign_rrp_wednesday")
    assert (s("reverse_repo_wednesday") - pool).abs().max() < 1e-9


def test_every_account_is_an_amount_one_can_hold() -> None:
    for seed in range(4):
        sheet = run(Economy(seed=seed))[1].sheet
        assert (sheet >= 0).all().all()
        assert (sheet[["reserves", "currency", "tga", "treasuries"]] > 0).all().all()


def test_accounts_are_kept_in_whole_millions() -> None:
    sheet = run(Economy())[1].sheet
    assert np.allclose(1000 * sheet, np.round(1000 * sheet), atol=1e-6, rtol=0)


def test_a_week_average_covers_seven_days_from_thursday_with_friday_standing_for_the_weekend() -> None:
    days = pd.DatetimeIndex(["2024-01-04", "2024-01-05", "2024-01-08", "2024-01-09", "2024-01-10"]).as_unit("us")
    frame = pd.DataFrame({"item": [1.0, 2.0, 3.0, 4.0, 5.0]}, index=days)
    average = week_averages(frame, np.datetime64("2024-01-10", "D"))["item"]
    assert average.to_dict() == {pd.Timestamp("2024-01-10"): pytest.approx((1 + 2 + 2 + 2 + 3 + 4 + 5) / 7)}


def test_published_week_averages_are_those_of_the_daily_accounts() -> None:
    panel, sheet = final(Economy()), run(Economy())[1].sheet
    every_day = sheet.reindex(pd.date_range("2019-06-06", "2019-06-12", unit="us"), method="ffill")
    wednesday = pd.Timestamp("2019-06-12")
    for item in ("reserves", "tga", "currency"):
        assert panel.series(f"{item}_average")[wednesday] == pytest.approx(every_day[item].mean(), abs=1e-9)
        assert panel.series(f"{item}_wednesday")[wednesday] == sheet[item][wednesday]


# ------------------------------------------------------------------------------------------ randomness


def test_the_same_seed_gives_the_same_bytes_in_this_and_another_process() -> None:
    here = fingerprint(Economy(seed=7, years=6.0))
    script = (
        "import importlib.util as u, sys; s = u.spec_from_file_location('t', sys.argv[1]); m = u.module_from_spec(s);"
        "s.loader.exec_module(m); print(m.fingerprint(m.Economy(seed=7, years=6.0)))"
    )
    # The interpreter's hash salt differs between processes; bytes must not.
    there = subprocess.run([sys.executable, "-c", script, __file__], capture_output=True, text=True, check=True)
    assert here == fingerprint(Economy(seed=7, years=6.0)) == there.stdout.strip()


def test_truth_repeats_and_another_seed_differs() -> None:
    again, other = simulate(Economy())[1], run(Economy(seed=1))[1]
    assert again.daily.to_numpy().tobytes() == run(Economy())[1].daily.to_numpy().tobytes()
    assert again.sheet.to_numpy().tobytes() != other.sheet.to_numpy().tobytes()
    assert fingerprint(Economy(years=6.0)) != fingerprint(Economy(seed=1, years=6.0))


def test_each_component_has_its_own_stream() -> None:
    streams = Economy(seed=5).streams()
    first = {name: stream.standard_normal() for name, stream in streams.items()}
    assert tuple(first) == COMPONENTS
    assert len(set(first.values())) == len(COMPONENTS)


@pytest.mark.parametrize(
    "complication", ["vertical_shifts", "stochastic_volatility", "spikes", "rounding", "revisions"]
)
def test_switching_off_a_complication_of_prices_leaves_quantities_and_the_kink_alone(complication: str) -> None:
    default, simpler = run(Economy())[1], run(without(complication))[1]
    pd.testing.assert_series_equal(default.daily["kink"], simpler.daily["kink"])
    pd.testing.assert_series_equal(default.daily["ratio"], simpler.daily["ratio"])
    pd.testing.assert_frame_equal(
        default.sheet[["tga", "currency", "on_rrp"]], simpler.sheet[["tga", "currency", "on_rrp"]]
    )


@pytest.mark.parametrize("complication", ["rounding", "revisions"])
def test_what_is_only_published_differently_is_not_different_in_truth(complication: str) -> None:
    pd.testing.assert_frame_equal(run(Economy())[1].daily, run(without(complication))[1].daily)


def test_the_noise_draws_are_the_same_with_and_without_spikes() -> None:
    noisy, calm = run(Economy())[1].daily, run(without("spikes"))[1].daily
    pd.testing.assert_series_equal(noisy["spread"] - noisy["spikes"], calm["spread"], check_names=False, atol=1e-9)


# ------------------------------------------------------------------------------------------ switches


def test_the_default_economy_has_every_complication() -> None:
    assert all(getattr(Economy(), name) for name in COMPLICATIONS)
    assert {f.name for f in fields(Economy) if f.type == "bool"} == set(COMPLICATIONS)


def test_the_kink_drifts_unless_told_not_to() -> None:
    assert run(without("drifting_kink"))[1].daily["kink"].unique().tolist() == [12.0]
    weekly = run(Economy())[1].weekly["kink"]
    assert 0.03 < weekly.diff().std() < 0.08  # percentage points a week
    assert weekly.between(8, 16).all()


def test_alpha_moves_only_at_its_dated_steps_and_not_at_all_when_switched_off() -> None:
    truth = run(Economy())[1]
    assert run(without("vertical_shifts"))[1].daily["alpha"].unique().tolist() == [-7.0]
    moves = truth.daily["alpha"].diff().dropna()
    moves = moves[moves != 0]
    known = truth.effects[truth.effects["kind"] == "alpha"]["bp"]
    assert len(moves) == len(known) == 7
    np.testing.assert_allclose(moves.to_numpy(), known.to_numpy(), atol=1e-12)
    assert truth.daily["alpha"].iloc[-1] == -7.0


def test_sigma_is_constant_without_stochastic_volatility_and_tiny_in_late_abundance_with_it() -> None:
    assert run(without("stochastic_volatility"))[1].daily["sigma"].unique().tolist() == [0.8]
    sigma = run(Economy())[1].daily["sigma"]
    assert sigma.loc["2023"].median() < 0.2
    assert sigma.loc["2019"].median() > 0.5


def test_noise_of_the_plain_economy_has_the_stated_scale_and_persistence() -> None:
    daily = run(PLAIN)[1].daily
    noise = (daily["spread"] - daily["alpha"] - daily["curve"] - daily["spikes"]).dropna()
    assert noise.std() == pytest.approx(PLAIN.sigma, rel=0.06)
    assert noise.autocorr(1) == pytest.approx(PLAIN.persistence, abs=0.04)


def test_spikes_come_on_known_days_when_reserves_are_scarce_and_go_with_the_switch() -> None:
    assert (run(without("spikes"))[1].daily["spikes"] == 0).all()
    daily = run(Economy())[1].daily["2009":]
    days = daily.index.to_numpy().astype("datetime64[D]")
    on_pressure = pressure(days) > 0
    scarce = (daily["ratio"] < daily["kink"] - 1).to_numpy()
    jump = daily["spikes"].to_numpy()
    assert jump[on_pressure & scarce].mean() > 5 * jump[on_pressure & ~scarce].mean()
    assert jump[on_pressure & scarce].mean() > 2 * jump[~on_pressure & scarce].mean()


def test_the_market_seizes_up_once_on_a_tax_and_settlement_day() -> None:
    sofr = spread(Economy(), "sofr")
    assert sofr.idxmax() == pd.Timestamp("2019-09-17")
    assert sofr.max() > 150
    assert spread(without("spikes"), "sofr").max() < 30


def test_the_published_rate_is_the_rounded_rate() -> None:
    for economy, tolerance in ((Economy(), 0.5), (without("rounding"), 1e-9)):
        truth = run(economy)[1].daily["spread"].dropna()
        error = spread(economy).loc[truth.index] - truth
        assert error.abs().max() <= tolerance + 1e-9
    published = spread(Economy())
    assert np.allclose(published, published.round(), atol=1e-9)
    assert not np.allclose(spread(without("rounding")), published, atol=0.1)


def test_yields_are_rounded_only_if_the_economy_rounds() -> None:
    rounded, exact = final(Economy()).series("treasury_10y"), final(without("rounding")).series("treasury_10y")
    pd.testing.assert_series_equal(rounded, exact.round(2))
    assert (rounded != exact).mean() > 0.9


@pytest.mark.parametrize("seed", range(4))
def test_a_long_flat_stretch_exists(seed: int) -> None:
    moved = weekly_spread(Economy(seed=seed)).diff().abs() > 1e-6
    longest = (~moved).groupby(moved.cumsum()).sum().max()
    assert longest >= 40
    assert (~moved["2021-09":]).mean() > 0.6
    # Repo rates keep moving there.
    assert (weekly_spread(Economy(seed=seed), "sofr").diff().abs() > 1e-6)["2021-09":].mean() > 0.9


def test_revisions_are_visible_in_panels_before_and_after_a_benchmark() -> None:
    vintages = run(Economy())[0]
    before, after = vintages.as_of("2018-08-27 12:00"), vintages.as_of("2018-08-29 12:00")
    for name in ("bank_assets", "gdp"):
        old, new = before.series(name), after.series(name)
        assert old.index[-1] == new.index[-1]
        change = (new - old) / new
        assert 1e-5 < change.loc["2017-09":].abs().max() < 0.03
        assert (change.loc[:"2017-06-30"] == 0).all()
        assert (vintages.first_release().series(name) != vintages.final().series(name)).mean() > 0.9
        assert name not in vintages.single_vintage()


def test_without_revisions_every_series_has_one_vintage() -> None:
    vintages = run(without("revisions"))[0]
    assert set(vintages.single_vintage()) == set(vintages.names)


def test_revisions_end_at_the_truth_up_to_the_last_benchmark() -> None:
    exact, revised = final(without("revisions")), final(Economy())
    for name in ("bank_assets", "gdp"):
        pd.testing.assert_series_equal(revised.series(name)[:"2024-06-30"], exact.series(name)[:"2024-06-30"])


# ------------------------------------------------------------------------------------------ magnitudes


@pytest.mark.parametrize("seed", range(4))
def test_magnitudes_are_those_of_a_large_central_bank(seed: int) -> None:
    economy = Economy(seed=seed)
    s = final(economy).series
    x = ratio(economy)["2009-10":]
    assert 6 < x.min() < 9.5
    assert 16 < x.max() < 20.5
    assert spread(economy)["2009-01":].between(-20, 35).all()
    assert weekly_spread(economy)["2009-10":].between(-16, 20).all()
    assert s("total_assets_wednesday").iloc[0] == pytest.approx(850, abs=100)
    assert s("total_assets_wednesday").max() == pytest.approx(9000, abs=500)
    assert s("bank_assets").iloc[0] == pytest.approx(9000, abs=600)
    assert s("bank_assets").iloc[-1] == pytest.approx(24000, abs=1200)
    assert s("tga_wednesday")["2016":].between(30, 1850).all()
    assert s("on_rrp").max() == pytest.approx(2300, abs=400)
    assert s("treasury_10y").between(0.1, 7).all()
    assert s("treasury_3m").gt(0).all()


def test_the_second_episode_of_scarcity_is_real_and_the_third_is_near() -> None:
    for seed in range(4):
        weekly = run(Economy(seed=seed))[1].weekly
        assert (weekly["kink"] - weekly["ratio"])["2019-08":"2019-10"].min() > 2
        distance = (weekly["ratio"] - weekly["kink"])["2025"]
        assert distance.mean() < 4
        assert distance.min() > -1


# ------------------------------------------------------------------------------------------ truth


def test_the_slope_is_the_derivative_of_the_curve() -> None:
    x, step = np.linspace(4, 20, 200), 1e-5
    for beta, tau in ((2.5, 0.5), (1.0, 2.0), (4.0, 0.05)):
        k = np.full_like(x, 12.0)
        numerical = (curve(x + step, k, beta, tau) - curve(x - step, k, beta, tau)) / (2 * step)
        np.testing.assert_allclose(curve_slope(x, k, beta, tau), numerical, atol=1e-5 * beta / tau)


def test_the_curve_is_a_hinge_far_from_the_kink() -> None:
    x, k = np.array([2.0, 22.0]), np.full(2, 12.0)
    np.testing.assert_allclose(curve(x, k, 2.5, 0.5), [25.0, 0.0], atol=1e-6)


def test_the_stored_slope_belongs_to_the_stored_ratio_and_kink() -> None:
    truth = run(Economy())[1]
    d = truth.daily
    expected = -truth.beta / (1 + np.exp(-(d["kink"] - d["ratio"]) / truth.tau))
    np.testing.assert_allclose(d["slope"], expected, atol=1e-9)
    assert d["slope"].between(-truth.beta, 0).all()


def test_the_true_ratio_is_the_published_one_up_to_the_timing_within_the_week() -> None:
    truth = run(Economy())[1].weekly["ratio"]["2009":]
    published = ratio(Economy())["2009":]
    assert (truth - published).abs().max() < 0.6
    assert (truth - published).abs().mean() < 0.1


def test_least_squares_recovers_the_slope_of_the_plain_economy_below_the_kink() -> None:
    x = ratio(PLAIN)["2009-01":]
    below = x[(x < PLAIN.kink - 1.5)]
    assert len(below) > 100
    assert slope_of(below, weekly_spread(PLAIN)) == pytest.approx(-PLAIN.beta, abs=0.12)
    above = x[x > PLAIN.kink + 2.0]
    assert slope_of(above, weekly_spread(PLAIN)) == pytest.approx(0.0, abs=0.1)


def test_repo_shares_the_kink_with_a_steeper_slope() -> None:
    x = ratio(PLAIN)["2014-09":]
    below = x[x < PLAIN.kink - 1.5]
    steep = slope_of(below, weekly_spread(PLAIN, "sofr"))
    assert steep == pytest.approx(-PLAIN.repo_slope * PLAIN.beta, rel=0.15)


def test_structure_is_what_the_economy_says() -> None:
    other = run(replace(PLAIN, kink=10.0, alpha=-3.0, beta=4.0))[1].daily
    assert other["kink"].unique().tolist() == [10.0]
    assert other["alpha"].unique().tolist() == [-3.0]
    assert other["slope"].min() == pytest.approx(-4.0, abs=1e-6)


# ------------------------------------------------------------------------------------------ liquidity and money funds


@pytest.mark.parametrize("seed", range(4))
def test_reverse_repo_absorbs_runoff_before_reserves_do(seed: int) -> None:
    weekly = run(Economy(seed=seed))[1].sheet.resample("W-WED").mean()["2022-12":]
    dry = int(np.argmax(weekly["on_rrp"] < 250))
    assert weekly["on_rrp"].iloc[0] > 1200
    change = weekly.iloc[dry] - weekly.iloc[0]
    assert change["on_rrp"] < -1000
    assert abs(change["reserves"]) < 0.35 * abs(change["on_rrp"])


def test_before_the_facility_opened_nobody_lent_to_it() -> None:
    sheet = run(Economy())[1].sheet
    assert (sheet["on_rrp"][:"2013-09-20"] == 0).all()
    assert sheet["on_rrp"].loc["2013-09-23"] > 0
    assert final(Economy()).series("on_rrp_rate").index[0] == pd.Timestamp("2013-09-23")


def test_standing_repo_is_used_only_when_the_dearest_trades_exceed_its_rate_and_after_it_opened() -> None:
    days = np.array(["2021-07-28", "2021-07-29", "2021-07-30"], dtype="datetime64[D]")
    np.testing.assert_allclose(standing_repo(days, np.array([9.0, 9.0, -4.0])), [0.0, 16.0, 0.0])
    s = final(Economy(seed=3)).series
    used = s("srf")[s("srf") > 0]
    assert len(used) > 0
    assert (s("sofr_p99").loc[used.index] > s("target_upper").loc[used.index]).all()
    assert s("srf").index[0] == pd.Timestamp("2021-07-29")


def test_standing_repo_lends_reserves() -> None:
    panel, truth = final(Economy(seed=3)), run(Economy(seed=3))[1]
    used = panel.series("srf")[panel.series("srf") > 0]
    assert (truth.sheet["repo"].loc[used.index] >= used).all()


def test_the_debt_limit_empties_and_refills_the_treasury_account() -> None:
    tga = run(Economy())[1].sheet["tga"]
    assert tga["2023-05":"2023-07"].min() < 0.4 * tga["2022-10":"2022-12"].mean()
    assert tga["2023-10":"2023-12"].mean() > 2 * tga["2023-05":"2023-07"].min()


def test_the_treasury_is_richer_after_the_april_tax_date() -> None:
    gains = []
    for year in (2014, 2016, 2018, 2022, 2024):
        tga = run(Economy())[1].sheet["tga"]
        gains.append(tga[f"{year}-04-25"].mean() - tga[f"{year}-04-01" : f"{year}-04-12"].mean())
    assert np.mean(gains) > 50


# ------------------------------------------------------------------------------------------ duration and yields


def a_step(announced: str, effective: str, treasuries: float, months: float) -> Step:
    return Step(np.datetime64(announced), np.datetime64(effective), treasuries, 0.0, 0.0, months)


def test_an_announced_purchase_moves_the_expected_stock_by_its_present_value() -> None:
    days = np.arange("2010-01-01", "2010-03-01", dtype="datetime64[D]")
    step = a_step("2010-02-01", "2011-02-01", 100.0, 12)
    stock = expected_stock(days, (step,), np.zeros(len(days)))
    assert (stock[:31] == 0).all()
    # 720 of ten-year equivalents a year for one year, starting in a year, discounted at 12 percent.
    value = 720 * (np.exp(-0.12) - np.exp(-0.24)) / 0.12
    assert stock[31] == pytest.approx(value, rel=1e-3)
    assert (np.diff(stock[31:]) > 0).all()  # the day of purchase comes nearer
    assert announcement_surprises(days, (step,)) == {np.datetime64("2010-02-01"): pytest.approx(value, rel=1e-3)}


def test_cutting_an_announced_programme_short_takes_the_rest_back() -> None:
    days = np.arange("2010-01-01", "2010-12-01", dtype="datetime64[D]")
    start, stop = a_step("2010-02-01", "2010-02-01", 100.0, 24), a_step("2010-06-01", "2010-06-01", 0.0, 24)
    surprises = announcement_surprises(days, (start, stop))
    assert surprises[np.datetime64("2010-02-01")] > 0 > surprises[np.datetime64("2010-06-01")]
    after = expected_stock(days, (start, stop), np.zeros(len(days)))[days >= np.datetime64("2010-06-01")]
    np.testing.assert_allclose(after, 0.0, atol=1e-9)


def test_a_permanent_percent_of_gdp_lowers_the_term_premium_by_the_stated_effect() -> None:
    effect = duration_effect(np.array([100.0, 300.0]), np.array([20000.0, 20000.0]), 8.0)
    np.testing.assert_allclose(effect, [0.0, -8.0])


def test_the_term_premium_answers_announcements_before_holdings_change() -> None:
    truth = run(Economy())[1]
    events = truth.effects[truth.effects["kind"] == "duration"]["bp"]
    runoff = events["2017-05":"2017-08"]
    assert len(runoff) == 1
    assert 5 < runoff.iloc[0] < 40
    day = runoff.index[0]
    position = int(np.flatnonzero(truth.daily.index == day)[0])
    jump = truth.daily["duration_effect"].iloc[position] - truth.daily["duration_effect"].iloc[position - 1]
    assert jump == pytest.approx(runoff.iloc[0], abs=0.3)
    held = truth.sheet["treasuries"]
    assert held.iloc[position + 40] == held.iloc[position - 1]
    assert held[day + pd.DateOffset(years=1)] < held[day] - 50


def test_term_premium_and_yields_contain_the_duration_effect() -> None:
    strong, none = Economy(duration_effect=8.0), Economy(duration_effect=0.0)
    truth = run(strong)[1].daily["duration_effect"] / 100
    exact = replace(strong, rounding=False), replace(none, rounding=False)
    premium = [final(e).series("term_premium_10y") for e in exact]
    shown = (premium[0] - premium[1]).dropna()
    np.testing.assert_allclose(shown, truth.loc[shown.index], atol=1e-9)
    curves = [final(e).series("treasury_30y") for e in exact]
    difference = (curves[0] - curves[1])["2010":"2019"]
    np.testing.assert_allclose(difference / truth.loc[difference.index], term_profile(30.0), rtol=0.02)


def test_term_premia_rise_with_maturity_from_nothing() -> None:
    assert term_profile(10.0) == 1.0
    assert 0 < term_profile(0.25) < 0.1 < term_profile(2.0) < term_profile(5.0) < 1.0 < term_profile(30.0) < 1.5


def test_every_purchase_announcement_has_an_effect_of_the_right_sign() -> None:
    truth = run(Economy())[1]
    effects = truth.effects[truth.effects["kind"] == "duration"]["bp"]
    assert effects["2020-03"].sum() < -20
    assert effects["2022-04":"2022-06"].sum() > 5
    assert (effects["2024-04":"2024-06"] < 0).all()  # runoff slows


# ------------------------------------------------------------------------------------------ publication


def test_every_published_series_is_catalogued_on_its_own_calendar() -> None:
    panel = final(Economy())
    first_of = {"M": lambda i: i.day == 1, "Q": lambda i: (i.day == 1) & (i.month % 3 == 1)}
    calendars: dict[str, Callable[[pd.DatetimeIndex], NDArray[np.bool_]]] = {
        "D": is_business_day,
        "D7": lambda i: np.diff(i.to_numpy()) == np.timedelta64(1, "D"),
        "W-WED": lambda i: i.day_of_week == 2,
        **first_of,
    }
    for name in panel.names:
        spec, index = catalog()[name], pd.DatetimeIndex(panel.series(name).index)
        assert np.all(calendars[spec.frequency](index)), name
        assert spec.starts is None or index[0] >= pd.Timestamp(spec.starts), name


def test_nothing_is_published_before_its_release_time() -> None:
    vintages = run(Economy())[0]
    known_last = end_of_day(pd.Timestamp("2025-07-01"))
    for name, rows in vintages.observations.groupby("series", observed=True):
        spec = catalog()[str(name)]
        rule = released_at(spec.release, rows["period"], spec.frequency)
        assert (pd.DatetimeIndex(rows["released"]) >= rule).all(), name
        assert rows["released"].max() <= known_last


def test_the_rate_on_reserves_changes_its_name_without_a_gap() -> None:
    s = final(Economy()).series
    assert s("ioer").index[0] == pd.Timestamp("2008-10-09")
    assert s("ioer").index[-1] == pd.Timestamp("2021-07-28")
    assert s("iorb").index[0] == pd.Timestamp("2021-07-29")
    assert s("ioer").iloc[-1] == s("iorb").iloc[0]
    inside = on_reserves(final(Economy()))["2008-12-16":]
    assert inside.between(s("target_lower"), s("target_upper")).all()
    assert (s("target_upper") - s("target_lower")).round(9).unique().tolist() == [0.25]


def test_a_decision_is_public_the_afternoon_before_it_takes_effect() -> None:
    vintages = run(Economy())[0]
    upper = vintages.final().series("target_upper")["2016":]
    change = pd.DatetimeIndex(upper.index[upper.diff().abs() > 0])[0]
    eve = change - pd.Timedelta(days=1)
    assert vintages.as_of(eve + pd.Timedelta(hours=13)).series("target_upper").index[-1] < change
    assert vintages.as_of(eve + pd.Timedelta(hours=15)).series("target_upper").iloc[-1] == upper[change]


@pytest.mark.parametrize("rate", ["effr", "sofr"])
def test_percentiles_are_in_order(rate: str) -> None:
    s = final(Economy()).series
    columns = [s(f"{rate}_p1"), s(f"{rate}_p25"), s(rate), s(f"{rate}_p75"), s(f"{rate}_p99")]
    assert (np.diff(pd.concat(columns, axis=1).dropna().to_numpy(), axis=1) >= -1e-12).all()


def test_percentiles_are_wider_when_reserves_are_scarce() -> None:
    rng = np.random.default_rng(0)
    median, kink = np.zeros(400), np.full(400, 12.0)
    x = np.r_[np.full(200, 8.0), np.full(200, 16.0)]
    bands = percentiles(median, x, kink, rng, width=3.0)
    width = bands["p99"] - bands["p1"]
    assert width[:200].mean() > 1.5 * width[200:].mean()


def test_secured_rates_are_ordered() -> None:
    s = final(Economy()).series
    assert (s("tgcr") <= s("sofr")).all()
    assert (s("bgcr") <= s("sofr")).all()


def test_nothing_of_the_truth_can_be_reached_from_the_vintages() -> None:
    vintages, truth = run(Economy())
    blob = pickle.dumps(vintages.observations) + pickle.dumps(vintages.names) + pickle.dumps(dir(vintages))
    assert not [word for word in (b"kink", b"Truth", b"Economy", b"expected_duration", b"slope") if word in blob]
    values = {values.to_numpy().tobytes() for _, values in vintages.observations.groupby("series")["value"]}
    assert values.isdisjoint({column.dropna().to_numpy().tobytes() for _, column in truth.daily.items()})
    for economy in (Economy(), PLAIN):
        assert not np.isin(run(economy)[1].daily["kink"].unique(), run(economy)[0].observations["value"]).any()


# ------------------------------------------------------------------------------------------ the specification


def test_specification_and_truth_are_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        Economy().seed = 1  # type: ignore[misc]
    with pytest.raises(FrozenInstanceError):
        run(Economy())[1].economy = PLAIN  # type: ignore[misc]


@pytest.mark.parametrize(
    "change", [{"years": 2.0}, {"years": 40.0}, {"tau": 0.0}, {"sigma": -1.0}, {"beta": -2.0}, {"persistence": 1.0}]
)
def test_an_impossible_economy_is_refused(change: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="Economy"):
        Economy(**change)  # type: ignore[arg-type]


@pytest.mark.parametrize("years", [4.0, 12.5, 22.0])
def test_an_economy_is_as_long_as_asked(years: float) -> None:
    economy = Economy(years=years)
    vintages, truth = run(economy)
    end = pd.Timestamp("2006-01-01") + pd.DateOffset(months=round(12 * years))
    assert end - pd.Timedelta(days=5) < truth.sheet.index[-1] < end
    assert truth.weekly.index[-1] < end
    assert vintages.final().series("effr").index[-1] == truth.sheet.index[-2 if is_business_day([end])[0] == 0 else -1]


def test_a_longer_economy_begins_like_a_shorter_one() -> None:
    short, long = run(Economy(years=12.5))[1].economy, run(Economy())[1].economy
    assert short.last_day < long.last_day
    assert business_days(long)[: len(business_days(short))].tolist() == business_days(short).tolist()


def test_simulating_and_publishing_two_decades_takes_seconds() -> None:
    start = time.perf_counter()
    simulate(Economy(seed=11))
    assert time.perf_counter() - start < 6.0  # about half a second on an idle machine


# ------------------------------------------------------------------------------------------ building stones


def test_lines_through_knots_are_flat_beyond_their_ends() -> None:
    days = np.array(["2000-01-01", "2010-07-02", "2030-01-01"], dtype="datetime64[D]")
    np.testing.assert_allclose(along(days, ((2010.0, 0.0), (2011.0, 10.0))), [0.0, 5.0, 10.0], atol=0.02)


def test_the_autoregression_is_its_recursion() -> None:
    shocks = np.array([1.0, -2.0, 0.5])
    np.testing.assert_allclose(ar1(shocks, 0.5), [1.0, -1.5, -0.25])


def test_marks_fall_on_the_first_day_from_each_date() -> None:
    days = np.array(["2024-03-14", "2024-03-18", "2024-03-19"], dtype="datetime64[D]")
    dates = np.array(["2024-03-15", "2024-03-19", "2024-04-01"], dtype="datetime64[D]")
    assert first_on_or_after(days, dates).tolist() == [False, True, True]


def test_pressure_adds_up_where_calendar_events_meet() -> None:
    days = np.arange("2019-09-01", "2020-01-03", dtype="datetime64[D]")
    days = days[is_business_day(days)]
    at = dict(zip(days.astype(str), pressure(days), strict=True))
    assert at["2019-09-16"] == pytest.approx(1.2)  # a tax date and a coupon settlement
    assert at["2019-09-30"] == pytest.approx(1.3)
    assert at["2019-12-31"] == pytest.approx(1.9)
    assert at["2019-09-11"] == 0
