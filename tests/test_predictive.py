"""Everything is read off the draws."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from forecast.errors import ModelError, NeedsScenarioError, UsageError
from forecast.predictive import PredictiveDistribution
from forecast.scenario import Scenario
from forecast.units import UNITS

WEEKS = pd.date_range("2025-01-01", periods=3, freq="7D", unit="us")
UNIT = {"a": UNITS["bp"], "b": UNITS["percent"]}


def distribution(values: np.ndarray) -> PredictiveDistribution:
    return PredictiveDistribution(values, WEEKS, ("a", "b"), UNIT)


def test_points_quantiles_and_probabilities_are_read_off_the_draws() -> None:
    values = np.arange(5 * 3 * 2, dtype=float).reshape(5, 3, 2)
    forecast = distribution(values)
    pd.testing.assert_frame_equal(forecast.mean(), pd.DataFrame(values.mean(0), WEEKS, ["a", "b"]))
    table = forecast.quantile([0.25, 0.5])
    assert table.loc[(WEEKS[2], 0.5), "b"] == np.median(values[:, 2, 1])
    assert table.loc[(WEEKS[0], 0.25), "a"] == np.quantile(values[:, 0, 0], 0.25)
    assert forecast.probability(above=6.0, below=24.0).loc[WEEKS[0], "a"] == 2 / 5  # strictly inside


def test_xarray_draws_have_named_dimensions() -> None:
    draws = distribution(np.zeros((4, 3, 2))).draws
    assert dict(draws.sizes) == {"draw": 4, "period": 3, "target": 2}
    assert list(draws["target"].values) == ["a", "b"]


def test_wrong_shapes_and_infinite_draws_are_refused() -> None:
    with pytest.raises(ModelError, match="shape"):
        distribution(np.zeros((4, 2, 2)))
    bad = np.zeros((4, 3, 2))
    bad[1, 1, 1] = np.inf
    with pytest.raises(ModelError, match="not finite"):
        distribution(bad)


def test_a_question_without_a_threshold_is_refused() -> None:
    with pytest.raises(UsageError, match="above="):
        distribution(np.zeros((4, 3, 2))).probability()
    with pytest.raises(UsageError, match="probabilities"):
        distribution(np.zeros((4, 3, 2))).quantile([1.5])


def test_forecast_draw_i_uses_path_i_modulo_the_number_of_paths() -> None:
    values = np.array([[[1.0], [2.0], [3.0]], [[10.0], [20.0], [30.0]]])
    scenario = Scenario("two paths", values, WEEKS, ("x",))
    np.testing.assert_array_equal(scenario.path("x", WEEKS[1:], 5)[:, 0], [2, 20, 2, 20, 2])


def test_a_path_that_is_not_there_is_named() -> None:
    scenario = Scenario("s", np.array([[[1.0], [np.nan], [3.0]]]), WEEKS, ("x",))
    with pytest.raises(NeedsScenarioError, match="2025-01-08"):
        scenario.path("x", WEEKS, 2)
    with pytest.raises(NeedsScenarioError, match="'y'"):
        scenario.path("y", WEEKS, 2)
    with pytest.raises(NeedsScenarioError, match="2025-01-22"):
        scenario.path("x", WEEKS[2:].append(pd.DatetimeIndex(["2025-01-22"])), 2)
