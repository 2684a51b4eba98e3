"""Plans: what is wrong is said with file, key and fix."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from forecast.backtest.plan import BacktestPlan, parse_plan, read_plan
from forecast.backtest.plan_json import plan_from_json, plan_to_json
from forecast.errors import PlanError

ROOT = Path(__file__).resolve().parents[1]

GOOD = """
title = "A plan"
targets = ["effr_iorb"]
benchmark = "random_walk"
horizons = [1, 4]
[origins]
first = "2019-01-01"
last = "2019-03-31"
every = 2
[window]
start = "2010-01-01"
weeks = 260
[minimum_history]
default = 52
sofr_iorb = 104
[steps]
effr_iorb = 0.5
[models.random_walk]
[models.slow]
model = "ar"
every = 13
conditioning = ["none"]
lags = 2
[regimes]
"all of it" = ["2019-01-01", "2019-12-31"]
"""


def parsed(text: str = GOOD) -> BacktestPlan:
    return parse_plan(text, where="plan.toml")


def test_a_good_plan_says_what_it_means() -> None:
    plan = parsed()
    assert plan.origins[0] == pd.Timestamp("2019-01-03 17:00", tz="America/New_York")
    assert plan.origins[1] - plan.origins[0] == pd.Timedelta(weeks=2)
    assert [(m.label, m.name, m.every, dict(m.options)) for m in plan.models] == [
        ("random_walk", "random_walk", 1, {}),
        ("slow", "ar", 13, {"lags": 2}),
    ]
    assert (plan.history_needed("effr_iorb"), plan.history_needed("sofr_iorb")) == (52, 104)
    assert (plan.step_of("effr_iorb"), plan.step_of("other")) == (0.5, 1.0)
    assert plan.window.weeks == 260
    assert plan.regimes[0].name == "all of it"


def test_origins_stay_at_five_in_the_afternoon_across_daylight_saving() -> None:
    origins = parsed().origins
    assert {origin.hour for origin in origins} == {17}
    assert {origin.utcoffset() for origin in origins} == {pd.Timedelta(hours=-5), pd.Timedelta(hours=-4)}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("horizons", "horizon"), ("plan.toml", "'horizon'", "Did you mean 'horizons'")),
        (("title", "titel"), ("'title' is missing", "'titel'")),
        (("every = 2", "evry = 2"), ("[origins]", "'evry'", "'every'")),
        (("[1, 4]", "[4, 1]"), ("horizons", "rising whole numbers")),
        (("[1, 4]", "[true]"), ("horizons", "rising whole numbers")),
        (("[1, 4]", "1"), ("horizons", "rising whole numbers")),
        (('benchmark = "random_walk"', 'benchmark = "rw"'), ("benchmark = 'rw'", "random_walk, slow")),
        (('"2019-01-01"\nlast', '"soon"\nlast'), ("[origins]: first", "not a day")),
        (("every = 13", "every = 0"), ("[slow]", "every = 0", "at least 1")),
        (('["effr_iorb"]', '"effr_iorb"'), ("targets", "list of names")),
        (("default = 52", "default = -1"), ("[minimum_history]", "positive int")),
        (('["2019-01-01", "2019-12-31"]', '["2019-01-01"]'), ("[regimes]", "[first day, last day]")),
        (("[origins]", "outcome = 'last'\n[origins]"), ("outcome = 'last'", "'first_release', 'final'")),
        (
            ("[origins]", "conditioning = ['some']\n[origins]"),
            ("conditioning = 'some'", "'none', 'projected', 'realised'"),
        ),
        (("[window]", "[window"), ("not valid TOML",)),
        (("every = 2", "time = 'noon'"), ("time = 'noon'", "'17:00'")),
        (('last = "2019-03-31"', 'last = "2018-03-31"'), ("no thursday between",)),
    ],
)
def test_a_mistake_is_named_with_its_place_and_its_fix(change: tuple[str, str], said: tuple[str, ...]) -> None:
    assert change[0] in GOOD
    with pytest.raises(PlanError) as raised:
        parsed(GOOD.replace(change[0], change[1], 1))
    for words in said:
        assert words in str(raised.value)


def test_a_plan_without_models_is_refused() -> None:
    text = GOOD[: GOOD.index("[models.random_walk]")] + "[models]\n"
    with pytest.raises(PlanError, match="no models"):
        parsed(text)


def test_a_missing_file_is_a_plan_error() -> None:
    with pytest.raises(PlanError, match=r"nowhere.toml: cannot be read"):
        read_plan(Path("nowhere.toml"))


def test_a_plan_survives_storage() -> None:
    plan = replace(parsed(), synthetic={"seed": 3})
    assert plan_from_json(plan_to_json(plan)) == plan


@pytest.mark.parametrize("path", sorted((ROOT / "benchmarks" / "plans").glob("*.toml")), ids=lambda path: path.stem)
def test_every_plan_in_the_tree_can_be_read(path: Path) -> None:
    assert read_plan(path).title
