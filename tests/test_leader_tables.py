from dataclasses import replace

import pandas as pd
import pytest

from forecast.backtest.plan import parse_plan
from forecast.report.leader_tables import calibration_table, confidence_table, thin_cases, threshold_table

PLAN = parse_plan(
    """
title = "t"
targets = ["effr_iorb"]
benchmark = "walk"
horizons = [1, 26]
[origins]
first = "2019-01-01"
last = "2020-12-31"
[models.walk]
""",
    where="plan.toml",
)


def sets(**columns):
    rows = {
        "conditioning": "none",
        "target": "effr_iorb",
        "unit": "bp",
        "horizon": 4,
        "regime": "all",
        "model": "curve",
    }
    values = {"n": 80, "mean": 1.0, "p_value": 0.4, "inside": True, "reason": ""}
    return pd.DataFrame([rows | values | columns])


def beaten(p=0.03, regime="all"):
    return pd.DataFrame({"horizon": [4, 4], "regime": regime, "model": ["curve", "drift"], "p_value": [p, 0.5]})


def texts(table):
    return [[(entry.text, entry.small) for entry in row] for _, rows in table.groups for row in rows]


def test_the_table_of_confidence_sets_says_who_is_inside_and_whether_the_benchmark_is_beaten():
    rows = pd.concat(
        [sets(), sets(model="drift", inside=False, p_value=0.01), sets(model="slow", reason="asked at 6 of 80 origins")]
    )
    table = confidence_table(rows, beaten(), benchmark="walk")
    assert table.head == ("Model", "Confidence set")
    assert [heading for heading, _ in table.groups] == ["4 weeks ahead"]
    assert texts(table) == [
        [("curve", ""), ("inside", "p 0.400 · n 80")],
        [("drift", ""), ("out", "p 0.010 · n 80")],
        [("slow", ""), ("–", "asked at 6 of 80 origins")],
        [("p-value: none beats walk", ""), ("0.030", "")],
    ]


def test_regimes_stand_side_by_side_and_conditional_forecasts_are_labelled():
    rows = pd.concat([sets(), sets(regime="scarce", inside=False), sets(regime="scarce", conditioning="realised")])
    table = confidence_table(rows, beaten(regime="scarce"), benchmark="walk")
    assert table.head == ("Model", "All origins", "scarce")
    assert texts(table) == [
        [("curve", ""), ("inside", "p 0.400 · n 80"), ("out", "p 0.400 · n 80")],
        [("curve (given what came true)", ""), ("–", ""), ("inside", "p 0.400 · n 80")],
        [("p-value: none beats walk", ""), ("–", ""), ("0.030", "")],
    ]


def test_the_table_of_calibration_shows_shares_with_their_p_values():
    row = {"model": "walk", "conditioning": "none", "horizon": 1, "n": 500, "pit_p_value": 0.2}
    row |= {f"covered_{c}": c / 100 for c in (50, 80, 90, 95)}
    row |= {f"covered_{c}_p_value": 0.9 for c in (50, 80, 90)} | {"covered_95_p_value": float("nan")}
    table = calibration_table(pd.DataFrame([row]))
    assert table.head == ("Model", "Cells", "Distribution", "Inside 50 %", "Inside 80 %", "Inside 90 %", "Inside 95 %")
    assert texts(table) == [
        [("walk", ""), ("500", ""), ("0.200", "")]
        + [(f"{c}.0\u00a0%", "p 0.900") for c in (50, 80, 90)]
        + [("95.0\u00a0%", "p –")]
    ]


def test_the_table_of_thresholds_counts_the_events():
    row = {"model": "walk", "conditioning": "none", "unit": "bp", "horizon": 13, "n": 500}
    scores = {f"{name}_above_{level}": value for level in ("0", "5") for name, value in
              (("brier", 0.12), ("twcrps", 0.5), ("events", 7.0))}  # fmt: skip
    table = threshold_table(pd.DataFrame([row | scores]), (0.0, 5.0))
    assert table.head == ("Model", "Above 0 bp", "Above 5.00 bp")
    assert texts(table) == [[("walk", ""), *[("0.120", "CRPS above 0.500 · 7 of 500")] * 2]]


@pytest.mark.parametrize(("n", "warned"), [(104, True), (259, True), (260, False)])
def test_few_cells_without_overlap_are_said_to_be_few(n, warned):
    compared = pd.DataFrame({"horizon": [1, 26, 26], "regime": ["all", "all", "scarce"], "n": [n, 600, n]})
    said = thin_cases(compared, PLAN)
    assert (f"26 weeks ahead in “scarce” ({n} origins" in said) == warned
    assert "1 week ahead" not in said
    assert "over all origins" not in said


def test_rare_origins_do_not_overlap_and_are_not_said_to():
    compared = pd.DataFrame({"horizon": [26], "regime": ["all"], "n": [20]})
    assert "over all origins (20 origins, 0.77 without overlap)" in thin_cases(compared, PLAN)
    assert thin_cases(compared, replace(PLAN, origins=PLAN.origins[::26])) == ""
    assert thin_cases(compared.iloc[:0], PLAN) == ""
