"""What the tables of published facts say, on answers whose slopes are known."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest

from forecast.answers.ampleness import Ampleness

WEEKS = pd.date_range("2010-01-06", "2012-03-28", freq="7D")


@pytest.fixture(scope="module")
def script(benchmark_script: Callable[[str], ModuleType]) -> ModuleType:
    return benchmark_script("demand_curve_facts")


def answer(slope: np.ndarray, draws_are: Any = "posterior") -> Ampleness:
    return Ampleness("effr_iorb", draws_are, WEEKS, np.full(len(WEEKS), 12.0), slope, {}, {}, sign_free=False)


def test_a_period_holds_its_own_weeks_and_no_others(script: ModuleType) -> None:
    steep_in_2012_only = np.where(WEEKS.year == 2012, -3.0, 0.0)[None].repeat(5, axis=0)
    found = answer(steep_in_2012_only)
    assert script._steep(found, "2010-11") == (0.0, 0.0, 0.0)
    assert script._steep(found, "2012-17") == (1.0, -3.0, 1.0)
    assert script._steep(found, "2018H2-19") is None


def test_the_mean_slope_may_be_steep_while_most_weeks_are_flat(script: ModuleType) -> None:
    weeks_of = WEEKS.year < 2012
    slope = np.zeros((4, len(WEEKS)))
    slope[:, np.flatnonzero(weeks_of)[::4]] = -2.0
    chance, median, of_mean = script._steep(answer(slope), "2010-11")
    assert chance == pytest.approx(0.25, abs=0.01)
    assert (median, of_mean) == (0.0, 1.0)


def test_a_slope_at_the_limit_is_not_below_it(script: ModuleType) -> None:
    slope = np.full((3, len(WEEKS)), -0.25)
    assert script._steep(answer(slope), "2010-11")[0] == 0.0
    assert script._steep(answer(slope - 1e-9), "2010-11")[0] == 1.0


def test_draws_of_a_filter_have_no_mean_over_weeks(script: ModuleType) -> None:
    assert np.isnan(script._steep(answer(np.zeros((3, len(WEEKS))), "filter"), "2010-11")[2])


def told(script: ModuleType, posterior: np.ndarray, prior: np.ndarray) -> Any:
    return script.Told({}, {}, {-0.5: (posterior, prior)}, {-0.5: 1.0}, sign_free=False)


@pytest.mark.parametrize(
    ("sd", "move", "says"), [(1.9, 0.9, "yes"), (2.1, 0.9, "no"), (1.9, 1.1, "no"), (1.9, -1.1, "no")]
)
def test_information_is_half_the_prior_and_less_than_a_point(
    script: ModuleType, sd: float, move: float, says: str
) -> None:
    base = np.array([-1.0, 0.0, 1.0]) / np.std([-1.0, 0.0, 1.0])
    prior = 12 + 4 * base
    found = [told(script, 12 + sd * base + shift, prior) for shift in (0.0, move, 0.0)]
    assert script._information(found, -0.5)[-1] == says


def test_a_failed_fit_is_no_information(script: ModuleType) -> None:
    base = np.array([11.0, 12.0, 13.0])
    assert script._information([told(script, base, base), "did not converge", "x"], -0.5) == ("did not converge",)


def test_draws_that_never_reach_a_slope_are_left_out(script: ModuleType) -> None:
    assert script._inside(np.array([0.0, np.inf, np.nan, 12.0])).tolist() == [12.0]
