"""Thresholds of a plan become columns of the scorecard."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from forecast.backtest.plan import parse_plan
from forecast.backtest.plan_json import plan_from_json, plan_to_json
from forecast.errors import PlanError

PLAN = """
title = "Thresholds"
data = "synthetic"
targets = ["effr_iorb", "reserve_ratio"]
benchmark = "random_walk"
horizons = [1, 4]
n_draws = 100
[origins]
first = "2019-01-01"
last = "2019-06-30"
every = 2
[models.random_walk]
[models.drift]
"""
THRESHOLDS = """
[thresholds]
effr_iorb = [-2.5, 5]
reserve_ratio = [5.0]
"""


def parsed(text):
    return parse_plan(text, where="plan.toml")


def test_thresholds_are_read_in_the_unit_of_their_target():
    plan = parsed(PLAN + THRESHOLDS)
    assert plan.thresholds == {"effr_iorb": (-2.5, 5.0), "reserve_ratio": (5.0,)}
    asked = plan.thresholds_of(("reserve_ratio", "effr_iorb"))
    assert list(asked) == [-2.5, 5.0]
    assert asked[-2.5].tolist() == [False, True]
    assert asked[5.0].tolist() == [True, True]


def test_a_plan_need_not_have_thresholds():
    plan = parsed(PLAN)
    assert plan.thresholds == {}
    assert plan.thresholds_of(plan.targets) == {}


def test_thresholds_survive_json_and_older_plans_had_none():
    plan = parsed(PLAN + THRESHOLDS)
    assert plan_from_json(plan_to_json(plan)) == plan
    encoded = plan_to_json(plan)
    del encoded["thresholds"]
    assert plan_from_json(encoded) == replace(plan, thresholds={})


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("effr_iorb = 5.0", "rising numbers"),
        ("effr_iorb = [5.0, 0.0]", "rising numbers"),
        ("effr_iorb = [0.0, 0.0]", "rising numbers"),
        ("effr_iorb = []", "rising numbers"),
        ("effr_iorb = [true]", "rising numbers"),
        ("effr_iorb = [inf]", "rising numbers"),
        ('effr_iorb = ["5"]', "rising numbers"),
        ("sofr_iorb = [5.0]", "not one of the plan's targets: effr_iorb, reserve_ratio"),
    ],
)
def test_a_threshold_that_is_none_is_refused_with_the_fix(line, said):
    with pytest.raises(PlanError, match=r"plan\.toml \[thresholds\]") as raised:
        parsed(f"{PLAN}[thresholds]\n{line}\n")
    assert said in str(raised.value)


def test_a_backtest_scores_the_thresholds_of_its_plan(tmp_path, monkeypatch):
    from forecast.backtest.run import run_backtest

    monkeypatch.setenv("FORECAST_HOME", str(tmp_path))
    result = run_backtest(parsed(PLAN + THRESHOLDS), workers=1)
    table = result.scorecard.table
    low, both = ["brier_above_-2.5", "twcrps_above_-2.5"], ["brier_above_5", "twcrps_above_5"]
    assert list(table.columns[-4:]) == [*low, *both]
    spread = table["target"] == "effr_iorb"
    assert table.loc[~spread, low].isna().all(axis=None)
    known = table["outcome"].notna()
    assert table.loc[known & spread, [*low, *both]].notna().all(axis=None)
    assert table.loc[known & ~spread, both].notna().all(axis=None)
    assert (table[both[1]] <= table["crps"] + 1e-9)[known].all()
    summary = result.scorecard.summary().set_index(["model", "target", "horizon"])
    outcomes = table[known & spread & (table["model"] == "drift") & (table["horizon"] == 4)]["outcome"]
    assert summary.loc[("drift", "effr_iorb", 4), "events_above_-2.5"] == (outcomes > -2.5).sum()
    assert np.isnan(summary.loc[("drift", "reserve_ratio", 4), "events_above_-2.5"])
