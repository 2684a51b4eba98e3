"""No feature and no model of ours sees the future: what is released after an origin changes neither design nor draws.

Origins, poisons and seeds are drawn by hypothesis; the embedded economy is completed with made-up releases of the
series that it does not simulate, so that every feature has values. The exhaustive version is slow.
"""

from __future__ import annotations

import hashlib
import sys
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import forecast.features  # noqa: F401  registers the features
from forecast.backtest.plan import BacktestPlan, ModelEntry
from forecast.backtest.replay import CellRunner
from forecast.backtest.run import run_backtest
from forecast.calendar import NEW_YORK
from forecast.checks.forecasts import check_model, draws_of
from forecast.checks.lookahead import (
    POISONS,
    Poison,
    check_features,
    check_pipeline,
    check_truncation,
    eves,
    poison,
)
from forecast.checks.past_rows import check_past_rows, computed
from forecast.data.catalog import SeriesSpec, catalog
from forecast.data.synthetic import Economy, simulate
from forecast.data.vintages import Vintages, VintageTable
from forecast.errors import UsageError
from forecast.features.feature_set import FEATURES, CalendarEffect, Design, Feature, FeatureSet
from forecast.model import FittedModel, Model
from forecast.predictive import PredictiveDistribution
from forecast.registry import create, registered

TARGETS = ("effr_iorb", "sofr_iorb", "reserve_ratio", "yield_2y", "yield_10y")
CALENDAR = tuple(name for name, item in FEATURES.items() if isinstance(item, CalendarEffect))
COMPUTED = tuple(name for name, item in FEATURES.items() if isinstance(item, Feature))
EVERYTHING = FeatureSet(("effr_iorb", "reserve_ratio", "yield_2y"), tuple(FEATURES))
FIRST, LAST = pd.Timestamp("2016-01-01", tz=NEW_YORK), pd.Timestamp("2025-03-31", tz=NEW_YORK)

PUBLISHED = ("reserve_ratio_known", "effr_iorb", "tga_change", "on_rrp_take_up", "yield_slope", "quarter_end_week")
OPTIONS: dict[str, dict[str, Any]] = {"direct_regression": {"steps": (1, 4, 13)}}
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "arx_with_effects": ("arx", {"features": CALENDAR}),
    "local_level_plain": ("local_level", {"features": ()}),
    "ridge_with_features": ("direct_regression", {"features": PUBLISHED, "steps": (1, 4, 13)}),
    "ols_with_features": ("direct_regression", {"features": PUBLISHED, "steps": (1, 13), "regressor": "ols"}),
}
# Asked with the paths of what they need, which may come from the future; everything else may not.
CONDITIONED = {"arx_with_needs": ("arx", {"features": ("reserve_ratio", "quarter_end_week")})}


def model(label: str) -> Model:
    name, options = (VARIANTS | CONDITIONED).get(label, (label, OPTIONS.get(label, {})))
    return create(name, options)


THREE: tuple[Poison, ...] = ("missing", "huge", "permuted")
SAMPLED = tuple(name for name in registered() if create(name).sampled)
QUICK = (*(name for name in registered() if name not in SAMPLED), *VARIANTS)


@cache
def economy() -> Vintages:
    """Nineteen years of releases of every series that some feature reads."""
    simulated, _ = simulate(Economy(seed=11))
    inputs = {name for item in FEATURES.values() if isinstance(item, Feature) for name in item.inputs}
    made_up = [_made_up(catalog()[name]) for name in sorted(inputs - set(simulated.names))]
    rows = [simulated.observations, Vintages.from_tables(made_up, catalog()).observations]
    return Vintages(pd.concat(rows, ignore_index=True), catalog())


def _made_up(spec: SeriesSpec) -> VintageTable:
    offset = {"D": "B", "D7": "D", "M": "MS", "Q": "QS"}.get(spec.frequency, spec.frequency)
    periods = pd.date_range("2006-01-01", "2025-01-01", freq=offset, unit="us")
    walk = np.random.default_rng(len(spec.name)).normal(size=len(periods)).cumsum()
    return VintageTable(spec.name, pd.Timestamp("2025-07-01"), periods.to_numpy(), 10_000 + 10 * walk)


@cache
def unrevised() -> Vintages:
    """Only the newest value of each period, at the time of its first release: truncation speaks of these."""
    rows = economy().observations.sort_values(["series", "period", "released"])
    newest = rows.groupby(["series", "period"], observed=True)["value"].transform("last")
    once = rows.assign(value=newest).drop_duplicates(["series", "period"])
    return Vintages(once.reset_index(drop=True), catalog())


@cache
def series_of(*names: str) -> Vintages:
    """The releases that some features read, and no others: poisoning them takes less time."""
    read = {series for name in names if isinstance(item := FEATURES[name], Feature) for series in item.inputs}
    return economy().only(read)


def read_by(asked: Model) -> Vintages:
    return series_of(*(asked.targets or TARGETS), *asked.features)


minutes = st.datetimes(FIRST.tz_localize(None).to_pydatetime(), LAST.tz_localize(None).to_pydatetime()).map(
    lambda instant: pd.Timestamp(instant, tz="UTC").floor("min").tz_convert(NEW_YORK)
)


def origins(vintages: Vintages) -> st.SearchStrategy[pd.Timestamp]:
    """Any minute, or the last moment before a release, or the release itself."""
    released = pd.DatetimeIndex(vintages.observations["released"].unique()).tz_convert(NEW_YORK)
    inside = released[(released > FIRST) & (released < LAST)]
    before = st.sampled_from([pd.Timedelta(seconds=1), pd.Timedelta(microseconds=1), pd.Timedelta(0)])
    at_release = st.builds(lambda i, delta: inside[i] - delta, st.integers(0, len(inside) - 1), before)
    return st.one_of(minutes, at_release)


quickly = settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
poisons, seeds = st.sampled_from(POISONS), st.integers(0, 2**32 - 1)


# ----------------------------------------------------------------------------- features


def test_every_feature_has_values_to_be_poisoned() -> None:
    design = EVERYTHING.build(economy().final())
    assert len(COMPUTED) >= 40
    assert design.features.notna().sum().min() > 100


@settings(quickly, max_examples=20)
@given(data=st.data(), how=poisons, seed=seeds)
def test_no_feature_sees_the_future(data: st.DataObject, how: Poison, seed: int) -> None:
    origin = data.draw(origins(economy()))
    assert check_features(EVERYTHING, economy(), [origin], hows=[how], seed=seed) == []


# ------------------------------------------------------------------------------- models


@pytest.mark.parametrize("label", QUICK)
def test_no_draw_of_a_quick_model_sees_the_future(label: str) -> None:
    asked = model(label)
    vintages = read_by(asked)

    @quickly
    @given(origin=origins(vintages), how=poisons, seed=seeds)
    def property_holds(origin: pd.Timestamp, how: Poison, seed: int) -> None:
        assert check_model(asked, TARGETS, vintages, [origin], hows=[how], seed=seed, n_draws=20) == []

    property_holds()


@pytest.mark.parametrize("label", CONDITIONED)
def test_given_the_paths_that_came_true_a_model_sees_nothing_else_of_the_future(label: str) -> None:
    asked = model(label)
    vintages = read_by(asked)
    origins = eves(vintages, 3, after=FIRST, before=LAST)
    assert check_model(asked, ("effr_iorb",), vintages, origins, conditioning="realised", n_draws=20) == []


@pytest.mark.parametrize("label", SAMPLED)
@settings(quickly)
@given(data=st.data(), how=poisons, seed=seeds)
def test_no_design_of_a_sampled_model_sees_the_future(label: str, data: st.DataObject, how: Poison, seed: int) -> None:
    asked = model(label)
    vintages = read_by(asked)
    origin = data.draw(origins(vintages))
    columns = FeatureSet(asked.targets or TARGETS, asked.features)
    assert check_features(columns, vintages, [origin], hows=[how], seed=seed) == []


@pytest.mark.slow
@pytest.mark.parametrize("label", SAMPLED)
def test_no_draw_of_a_sampled_model_sees_the_future(label: str) -> None:
    """Short chains and small clouds, whatever their diagnostics say: a leak shows in the first draw."""
    slow = model(label)
    quick = {"chains": 2, "tune": 300, "burn_in": 100, "draws": 50, "max_rhat": 1e3, "min_ess": 1.0, "particles": 100}
    asked = replace(slow, **{name: value for name, value in quick.items() if hasattr(slow, name)})  # type: ignore[type-var]
    vintages = read_by(asked)
    where = eves(vintages, 5, after=FIRST, before=LAST)
    leaks = check_model(asked, TARGETS, vintages, where, hows=["missing", "huge", "permuted"], n_draws=50)
    assert leaks == []


# -------------------------------------------------------------- many origins, counted


def mixed_origins(vintages: Vintages, n: int) -> list[pd.Timestamp]:
    """Half at the hour of the weekly plans, half a second before something is released."""
    thursdays = pd.date_range("2016-01-07 17:00", "2025-03-27 17:00", freq="W-THU", tz=NEW_YORK)
    chosen = np.random.default_rng(3).choice(len(thursdays), n - n // 2, replace=False)
    return sorted([*thursdays[chosen], *eves(vintages, n // 2, after=FIRST, before=LAST, seed=4)])


def poisoned_features(n: int) -> int:
    """Number of checks: features x origins x poisons, none of which may find anything."""
    assert check_features(EVERYTHING, economy(), mixed_origins(economy(), n), hows=THREE) == []
    return len(EVERYTHING.features) * n * len(THREE)


def poisoned_models(n: int) -> int:
    for label in QUICK:
        vintages = read_by(model(label))
        where = mixed_origins(vintages, n)
        assert check_model(model(label), TARGETS, vintages, where, hows=THREE, n_draws=20) == []
    return len(QUICK) * n * len(THREE)


def poisoned_designs(n: int) -> int:
    for label in SAMPLED:
        asked = model(label)
        vintages = read_by(asked)
        columns = FeatureSet(asked.targets or TARGETS, asked.features)
        assert check_features(columns, vintages, mixed_origins(vintages, n), hows=THREE) == []
    return len(SAMPLED) * n * len(THREE)


def truncated_features(n: int) -> int:
    where = mixed_origins(unrevised(), n)
    assert check_truncation(EVERYTHING, unrevised(), where) == []
    return len(EVERYTHING.features) * n


def rows_of_the_past(n: int) -> int:
    days = pd.date_range("2008-01-01", "2024-12-31", freq="D")
    cuts = days[np.random.default_rng(5).choice(len(days), n, replace=False)]
    assert check_past_rows(computed(*COMPUTED), economy(), cuts) == []
    return len(COMPUTED) * n * 2


def test_over_a_thousand_poisoned_features_and_models(capsys: pytest.CaptureFixture[str]) -> None:
    counts = {
        "poisoned features": poisoned_features(6),
        "poisoned models": poisoned_models(4),
        "poisoned designs of sampled models": poisoned_designs(6),
    }
    assert sum(counts.values()) >= 1_100
    told(counts, capsys)


def test_features_truncated_at_an_origin_are_those_of_the_full_sample(capsys: pytest.CaptureFixture[str]) -> None:
    told({"truncated features": truncated_features(20)}, capsys)


def test_rows_of_the_past_rest_on_nothing_later(capsys: pytest.CaptureFixture[str]) -> None:
    told({"rows of the past": rows_of_the_past(8)}, capsys)


@pytest.mark.slow
def test_tens_of_thousands_of_poisoned_features_and_models(capsys: pytest.CaptureFixture[str]) -> None:
    counts = {
        "poisoned features": poisoned_features(200),
        "poisoned models": poisoned_models(200),
        "poisoned designs of sampled models": poisoned_designs(200),
        "truncated features": truncated_features(200),
        "rows of the past": rows_of_the_past(100),
    }
    assert sum(counts.values()) >= 24_000
    told(counts, capsys)


def told(counts: dict[str, int], capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        sys.stdout.write(
            f"\n{sum(counts.values()):,} checks, nothing found: {', '.join(f'{n:,} {k}' for k, n in counts.items())}\n"
        )


# ---------------------------------------------------------------- a whole backtest


def test_a_backtest_says_the_same_whatever_comes_after_its_last_origin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Models that carry their state from one origin to the next, shared fits, projected paths: all in one run."""
    monkeypatch.setenv("FORECAST_HOME", str(tmp_path))
    targets = ("effr_iorb", "reserve_ratio")
    entries = tuple(
        ModelEntry(label, *(VARIANTS | CONDITIONED).get(label, (label, OPTIONS.get(label, {}))))
        for label in (*QUICK, *CONDITIONED)
    )
    plan = BacktestPlan(
        "poisoned",
        targets,
        entries,
        "random_walk",
        tuple(pd.date_range("2018-02-01 17:00", periods=3, freq="28D", tz=NEW_YORK)),
        horizons=(1, 13),
        conditioning=("none", "projected"),
        projection=ModelEntry("projection", "drift"),
        n_draws=20,
    )
    clean = series_of(*targets, *{name for entry in entries for name in model(entry.label).features})
    changed = poison(clean, plan.origins[-1], "permuted", np.random.default_rng(6))
    first, second = (
        run_backtest(plan, vintages=vintages, workers=1, run_id=f"run-{i}").cells.drop(columns="seconds")
        for i, vintages in enumerate((clean, changed))
    )
    assert (first["status"] == "ok").sum() >= 3 * len(QUICK)
    pd.testing.assert_frame_equal(first, second)


# ------------------------------------------------------- the check draws what a backtest draws, and can fail


def test_the_check_draws_what_a_backtest_draws() -> None:
    asked, origin = model("ar"), pd.Timestamp("2019-05-16 17:00", tz=NEW_YORK)
    vintages = read_by(asked)
    entry = ModelEntry("ar", "ar")
    plan = BacktestPlan("check", TARGETS, (entry,), "ar", (origin,), horizons=(13,), n_draws=30)
    runner = CellRunner(plan, {"ar": asked}, FeatureSet(TARGETS).build(vintages.first_release()))
    cell = runner.run(entry, "none", origin, FeatureSet(TARGETS).build(vintages.as_of(origin), ahead=13))
    draws = draws_of(lambda _: asked, TARGETS, n_draws=30)(vintages, origin)
    assert cell is not None
    assert cell.content == hashlib.sha256(np.ascontiguousarray(draws.to_numpy()).tobytes()).hexdigest()


@dataclass(frozen=True, slots=True, eq=False)
class Clairvoyant:
    """Adds a bit of the final value of the week to come to a random walk."""

    vintages: Vintages
    name: str = "clairvoyant"
    targets: tuple[str, ...] = ("effr_iorb", "yield_2y")
    features: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    sampled: bool = False

    def fit(self, design: Design, *, rng: np.random.Generator) -> FittedModel:
        truth = FeatureSet(("yield_2y",)).build(self.vintages.final()).targets["yield_2y"]
        return _Seer(design, truth)


@dataclass(frozen=True, slots=True, eq=False)
class _Seer:
    design: Design
    truth: pd.Series

    def predict(
        self, periods: pd.DatetimeIndex, *, scenario: Any = None, n_draws: int, rng: np.random.Generator
    ) -> PredictiveDistribution:
        values = self.design.targets.ffill().iloc[-1].to_numpy() + rng.normal(size=(n_draws, len(periods), 2))
        values[-1, -1, 1] += 1e-12 * np.nan_to_num(self.truth.reindex(periods).iloc[-1])
        return PredictiveDistribution(values, periods, self.targets, self.design.units)

    @property
    def targets(self) -> tuple[str, ...]:
        return tuple(self.design.targets.columns)


@pytest.mark.parametrize("how", POISONS)
def test_a_model_that_peeks_by_the_last_digit_is_caught(how: Poison) -> None:
    vintages = series_of("effr_iorb", "yield_2y")
    run = draws_of(Clairvoyant, ("effr_iorb", "yield_2y"), n_draws=5)
    leaks = check_pipeline(run, vintages, ["2018-06-14 17:00"], hows=[how])
    assert [(leak.feature, leak.how, f"{leak.period:%Y-%m-%d}") for leak in leaks] == [("yield_2y", how, "2018-09-12")]


def test_a_model_that_no_target_is_known_to_is_not_passed_in_silence() -> None:
    with pytest.raises(UsageError, match="known for two years"):
        check_model(model("ar"), ("sofr_iorb",), economy(), ["2015-01-08 17:00"])
