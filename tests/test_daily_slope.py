"""The drifting slope on business days, and benchmarks/daily_slope.py: rows enter when they were first known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest

from forecast.calendar import released_at, reserve_week
from forecast.checks.lookahead import check_pipeline
from forecast.data.catalog import catalog
from forecast.data.synthetic import Economy, simulate
from forecast.data.vintages import Vintages
from forecast.errors import ModelError, ShortHistoryError
from forecast.features.daily_reserves import daily_design, daily_reserves
from forecast.features.feature_set import Design
from forecast.units import UNITS
from models.reserve_demand.drifting_slope import FIRST_SLOPE, DriftingSlope, FittedDriftingSlope
from models.reserve_demand.forgetting_filter import filter_path, follows_on, instrumental_slope

DAILY = DriftingSlope(lags=3, forgetting=0.995, volatility=0.98, weeks_after=2, draws=50, spacing="business_day")


@pytest.fixture(scope="module")
def script(benchmark_script: Callable[[str], ModuleType]) -> ModuleType:
    return benchmark_script("daily_slope")


def walks(days: int, slope: float = -1.2) -> np.ndarray:
    """(T, 2) ratio and spread."""
    steps = np.random.default_rng(0).normal(size=(days, 2)) * [0.15, 0.3]
    steps[:, 1] += slope * steps[:, 0]
    return np.array([12.0, -5.0]) + np.cumsum(steps, axis=0)


def design_of(values: np.ndarray, index: pd.DatetimeIndex) -> Design:
    units = {"effr_iorb": UNITS["bp"], "reserve_ratio": UNITS["percent"]}
    targets = pd.DataFrame({"effr_iorb": values[:, 1]}, index)
    return Design(targets, pd.DataFrame({"reserve_ratio": values[:, 0]}, index), units, frozenset())


def fit(design: Design, spec: DriftingSlope = DAILY) -> FittedDriftingSlope:
    return spec.fit(design, rng=np.random.default_rng(0))


# --------------------------------------------------------------------------- the filter on business days


@pytest.mark.parametrize(
    ("last", "day", "spacing", "expected"),
    [
        ("2021-11-19", "2021-11-22", "business_day", True),  # over a week-end
        ("2021-11-24", "2021-11-26", "business_day", True),  # over Thanksgiving
        ("2022-04-14", "2022-04-15", "business_day", True),  # Good Friday is one
        ("2021-11-22", "2021-11-24", "business_day", False),
        ("2021-11-17", "2021-11-24", "business_day", False),
        ("2021-11-17", "2021-11-24", "week", True),
        ("2021-11-23", "2021-11-24", "week", False),
        ("2021-11-17", "2021-12-01", "week", False),
    ],
)
def test_what_follows_on_what(last: str, day: str, spacing: str, expected: bool) -> None:
    assert follows_on(pd.Timestamp(last), pd.Timestamp(day), spacing) is expected  # type: ignore[arg-type]


def test_daily_rows_go_through_the_same_filter(script: ModuleType) -> None:
    index = script.business_days("2021-06-24", "2022-04-29")
    values = walks(len(index))
    moments = list(filter_path(values, lags=3, forgetting=0.995, volatility=0.98))[FIRST_SLOPE:]
    means, scales = (np.stack([getattr(each, name) for each in moments]) for name in ("mean", "scale"))
    found = fit(design_of(values, index)).slope()
    np.testing.assert_allclose(found, instrumental_slope(means, scales, 2), rtol=1e-12)
    pd.testing.assert_index_equal(pd.DatetimeIndex(found.index), index[3 + FIRST_SLOPE :])


def test_a_steep_daily_curve_is_found(script: ModuleType) -> None:
    index = script.business_days("2021-06-24", "2025-06-30")
    told = fit(design_of(walks(len(index)), index)).ampleness()
    assert np.median(told.slope[:, -1]) == pytest.approx(-1.2, abs=0.4)
    assert told.slope_below(-0.5) > 0.9


def test_scarcity_is_seen_day_by_day_in_the_embedded_economy() -> None:
    vintages, truth = simulate(Economy(seed=1))
    design = daily_design(vintages.final())
    told = fit(design, replace(DAILY, lags=10, weeks_after=5)).slope()
    means = {year: (told[year].mean(), truth.daily["slope"][year].mean()) for year in ("2015", "2019", "2023")}
    assert means["2019"][1] < -2
    assert means["2019"][0] < -1
    for year in ("2015", "2023"):
        assert means[year][1] > -0.1
        assert abs(means[year][0]) < 0.5


def test_a_missing_day_costs_as_many_rows_as_there_are_lags(script: ModuleType) -> None:
    index = script.business_days("2021-06-24", "2022-04-29")
    design = design_of(walks(len(index)), index)
    spread = design.targets["effr_iorb"].where(design.targets.index != index[90])
    holed = replace(design, targets=spread.to_frame())
    whole, lacking = (fit(each).folded.state.past for each in (design, holed))
    assert len(whole) - len(lacking) == 1 + DAILY.lags
    assert {day for day, _ in whole} - {day for day, _ in lacking} == set(index[90 : 91 + DAILY.lags])


def test_a_weekly_model_takes_no_days_and_a_daily_one_no_weeks(script: ModuleType) -> None:
    days = script.business_days("2021-06-24", "2022-04-29")
    weeks = pd.date_range("2015-01-07", periods=300, freq="7D", unit="us")
    with pytest.raises(ShortHistoryError):
        fit(design_of(walks(len(days)), days), replace(DAILY, spacing="week"))
    with pytest.raises(ShortHistoryError):
        fit(design_of(walks(300), weeks))


def test_updating_a_daily_fit_equals_refitting_it(script: ModuleType) -> None:
    index = script.business_days("2021-06-24", "2022-04-29")
    values = walks(len(index))
    early, late = (design_of(values[:n], index[:n]) for n in (150, len(index)))
    updated = fit(early).update(late)
    assert isinstance(updated, FittedDriftingSlope)
    pd.testing.assert_series_equal(updated.slope(), fit(late).slope(), check_exact=True)


def test_a_daily_slope_makes_no_forecast(script: ModuleType) -> None:
    index = script.business_days("2021-06-24", "2022-04-29")
    design = design_of(walks(len(index)), index)
    with pytest.raises(ModelError, match="makes no forecasts"):
        fit(design).predict(design.future(4), n_draws=10, rng=np.random.default_rng(0))


def test_the_note_counts_in_the_spacing_of_the_rows(script: ModuleType) -> None:
    index = script.business_days("2021-06-24", "2022-04-29")
    assert "window of 200 business days" in fit(design_of(walks(len(index)), index)).ampleness().notes[0]


def test_an_unknown_spacing_is_refused() -> None:
    with pytest.raises(ValueError, match="'week' or 'business_day'"):
        DriftingSlope(spacing="month")  # type: ignore[arg-type]


# --------------------------------------------------------------------------- the demonstration


NEEDED = (
    "reserves_average", "reserves_wednesday", "total_assets_wednesday", "tga_daily", "on_rrp", "srf",
    "foreign_rrp_wednesday", "currency_average", "bank_assets", "effr", "iorb", "ioer",
)  # fmt: skip


@cache
def economy() -> Vintages:
    vintages, _ = simulate(Economy(seed=4, years=16.6))
    rows = vintages.only(NEEDED).observations
    inside = (rows["period"] >= pd.Timestamp("2021-04-28")) & (rows["period"] <= pd.Timestamp("2022-02-16"))
    return Vintages(rows[inside].reset_index(drop=True), catalog())


KNOWN: list[Any] = []


def first_known(script: ModuleType) -> Any:
    """Of the embedded economy, once."""
    if not KNOWN:
        KNOWN.append(script.first_known(economy()))
    return KNOWN[0]


@pytest.fixture
def short(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script on a few months of the embedded economy."""
    monkeypatch.setattr(script, "LAST", "2022-02-16")
    monkeypatch.setattr(script, "FIRST", "2022-01-20")
    monkeypatch.setattr(script, "N_DRAWS", 100)
    monkeypatch.setattr(script, "WEEKLY_SINCE", "2021-04-28")
    return script


def test_rows_are_dated_by_when_they_were_first_known(short: ModuleType) -> None:
    vintages, known = economy(), first_known(short)
    lag = known.since.dt.tz_localize(None).dt.normalize() - known.ratio.index.to_series()
    assert lag.min() == pd.Timedelta(days=1)
    # Christmas of 2021 fell on a Saturday: on Friday the Treasury was closed and published nothing.
    assert known.since["2021-12-23"] == pd.Timestamp("2021-12-27 16:15", tz="America/New_York")
    assert pd.Timestamp("2021-12-23") not in known.ratio_by(pd.Timestamp("2021-12-24 17:00", tz="America/New_York"))
    panel = vintages.as_of(known.since["2021-11-17"])
    assert known.reserves["2021-11-17"] == daily_reserves(panel).reserves.iloc[-1]


def test_rows_known_only_after_their_week_was_published_are_left_out_of_the_errors(short: ModuleType) -> None:
    known = first_known(short)
    statements = released_at("h41", reserve_week(known.reserves.index), "W-WED")
    assert ((known.since < statements) == known.reserves.notna()).all()
    assert known.reserves.notna().mean() > 0.95


def test_designs_of_the_demonstration_see_no_future(short: ModuleType) -> None:
    def pipeline(vintages: Vintages, origin: pd.Timestamp) -> pd.DataFrame:
        with np.errstate(all="ignore"):  # days after the origin are poisoned
            known = short.first_known(vintages)
        made = short.designs(vintages.as_of(origin), known, "effr_iorb")
        columns = {kind: made[kind].features["reserve_ratio"] for kind in (short.HISTORY, short.KNOWN)}
        return pd.DataFrame(columns).assign(spread=made[short.HISTORY].targets["effr_iorb"])

    assert check_pipeline(pipeline, economy(), ["2021-12-24 17:00"], hows=("huge",)) == []


def test_the_proxy_beats_its_peers_in_the_embedded_economy(short: ModuleType) -> None:
    errors = short.wednesday_errors(economy().final(), first_known(short))
    mean = errors.abs().mean()
    published, eve = ("once the week is published: ", "on the eve: ")
    assert mean[f"{published}proxy"] < 0.6 * mean[f"{published}straight lines between week averages"]
    assert mean[f"{eve}proxy"] < 0.6 * mean[f"{eve}last Wednesday's level"]
    lines = list(short.error_lines(errors))
    assert len(lines) == 2 + errors.shape[1]
    assert f"| {eve}proxy | {mean[f'{eve}proxy']:.1f} |" in "\n".join(lines)


def test_days_on_which_the_spread_moved_are_counted(short: ModuleType) -> None:
    panel = economy().final()
    days = [f"{day:%Y-%m-%d}" for day in short.business_days("2022-01-20", "2022-02-16")]
    spread = (panel.series("effr") - panel.series("iorb")).dropna().round(6)[days]
    text = short.movement(panel, "effr_iorb")
    assert text.startswith(f"effr_iorb moved on {int((np.diff(spread) != 0).sum())} of {len(days) - 1} days")


def test_straight_lines_meet_the_averages_in_the_middle_of_their_weeks(script: ModuleType) -> None:
    averages = pd.Series([100.0, 170.0], pd.DatetimeIndex(["2022-03-09", "2022-03-16"]))
    days = pd.DatetimeIndex(["2022-03-06", "2022-03-07", "2022-03-13"])
    np.testing.assert_allclose(script.straight_lines(averages, days), [100, 110, 170])


def test_table_and_picture_hold_every_pair_of_memories(script: ModuleType) -> None:
    days = pd.DatetimeIndex(["2022-01-03", "2022-08-01"])
    numbers = {str(p): [p, p - 1] for p in script.PROBS} | {"least squares": [0.1, 0.3]}
    names = {kind: [script.label(*pair) for pair in script.GRID] for kind in (script.HISTORY, script.KNOWN)}
    names[script.WEEKLY] = ["its defaults"]
    rows = [
        pd.DataFrame(numbers).assign(origin=days, rows=kind, memories=name) for kind in names for name in names[kind]
    ]
    slopes = pd.concat(rows, ignore_index=True)
    text = "\n".join(script.slope_lines(slopes))
    assert text.count("+0.50 [+0.03, +0.97], +0.10") == 9
    assert text.count("| 2022H2 | 1 |") == 3
    assert script.label(0.995, 0.98) in text


def test_the_latest_slope_has_its_quantiles_in_order(short: ModuleType) -> None:
    design = daily_design(economy().final())
    fitted = replace(DAILY, lags=10, weeks_after=5).fit(design, rng=np.random.default_rng(0))
    told = short.latest(fitted, np.random.default_rng(1))
    quantiles = [told[str(p)] for p in short.PROBS]
    assert quantiles == sorted(quantiles)
    assert told == short.latest(fitted, np.random.default_rng(1))
    assert told["least squares"] == fitted.least_squares_slope().iloc[-1]
