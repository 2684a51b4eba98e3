"""The answer's bands, table, words and picture, from numbers given by hand."""

from __future__ import annotations

from dataclasses import replace
from xml.etree import ElementTree as ET

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecast.answers.impulse_response import ImpulseResponse, ResponseQuestion
from forecast.errors import UsageError
from forecast.report.response_figure import draw_response, response_figure
from forecast.units import UNITS


def answer(estimate: list[float] | None = None) -> ImpulseResponse:
    path = np.array([1.0, -4.0, 0.5, 0.0] if estimate is None else estimate)
    return ImpulseResponse(
        question=ResponseQuestion("reserve_ratio", "yield_10y", horizon=len(path) - 1, lags=4),
        size=1.0,
        shock_unit=UNITS["pp"],
        unit=UNITS["bp"],
        dollars=245.0,
        estimate=path,
        standard_error=np.full(len(path), 2.0),
        n=np.arange(500, 500 - len(path), -1),
        first=pd.Timestamp("2010-01-06"),
        last=pd.Timestamp("2024-03-06"),
    )


def test_bands_are_normal_around_the_estimate() -> None:
    low, high = answer().interval(0.95)
    np.testing.assert_allclose(high - answer().estimate, 1.959963984540054 * 2)
    np.testing.assert_allclose(answer().estimate - low, 1.959963984540054 * 2)
    assert answer().interval(0.68).shape == (2, 4)


@given(st.floats(0.01, 0.98), st.floats(0.001, 0.009))
def test_a_higher_level_is_a_wider_band(level: float, more: float) -> None:
    narrow, wide = answer().interval(level), answer().interval(level + more)
    assert (wide[0] < narrow[0]).all()
    assert (wide[1] > narrow[1]).all()


@pytest.mark.parametrize("level", [0.0, 1.0, 95.0])
def test_a_level_that_is_no_probability_is_refused(level: float) -> None:
    with pytest.raises(UsageError, match="between 0 and 1"):
        answer().interval(level)


def test_the_table_holds_both_bands_by_horizon() -> None:
    table = answer().table()
    assert list(table.index) == [0, 1, 2, 3]
    assert table.index.name == "horizon"
    assert list(table.columns) == ["estimate", "standard_error", "low_68", "high_68", "low_95", "high_95", "n"]
    np.testing.assert_array_equal(table[["low_68", "high_68"]].to_numpy().T, answer().interval(0.68))
    np.testing.assert_array_equal(table[["low_95", "high_95"]].to_numpy().T, answer().interval(0.95))
    assert list(table["n"]) == [500, 499, 498, 497]


def test_the_sentence_says_size_direction_unit_and_how_many_bands_exclude_zero() -> None:
    said = answer().sentence()
    assert "reserve_ratio rose 1 percentage point more" in said
    assert "yield_10y stood 4.0 bp lower 1 week later" in said
    assert "-7.9 to -0.1" in said
    assert "at 1 of 4 horizons" in said
    assert "6.0 bp higher in the same week" in answer([6.0, 1]).sentence()
    assert "5.0 bp higher 2 weeks later" in answer([0, 0, 5.0]).sentence()


def test_the_caveat_says_that_it_is_no_cause_and_why() -> None:
    said = answer().caveat()
    assert "correlation, not a cause" in said
    assert all(word in said for word in ("policy", "news", "announce", "reserve_ratio", "yield_10y"))


def test_the_size_of_the_shock_is_said_in_its_own_unit() -> None:
    assert answer().shock == "1 percentage point rise in reserve_ratio"
    money = replace(answer(), size=100.0, shock_unit=UNITS["usd_bn"])
    assert money.shock == "USD 100 bn rise in reserve_ratio"
    assert replace(answer(), size=10.0, shock_unit=UNITS["bp"]).shock == "10 bp rise in reserve_ratio"


@pytest.mark.parametrize(("horizon", "lags"), [(-1, 8), (26, 0)])
def test_a_question_without_horizon_or_history_is_refused(horizon: int, lags: int) -> None:
    with pytest.raises(UsageError, match="at least 0 and 1"):
        ResponseQuestion("reserve_ratio", "yield_10y", horizon, lags)


def test_the_picture_is_one_self_contained_document() -> None:
    text = response_figure(answer())
    root = ET.fromstring(text)  # noqa: S314  our own text
    assert root.tag.endswith("svg")
    links = [value for node in root.iter() for key, value in node.attrib.items() if key.endswith("href")]
    assert links
    assert all(link.startswith("#") for link in links)
    assert "<script" not in text
    assert "<text" not in text  # letters are outlines: no font needed


def test_equal_answers_have_equal_pictures() -> None:
    assert response_figure(answer()) == response_figure(answer())
    assert response_figure(answer()) != response_figure(answer([1.0, 2.0]))


def test_the_picture_names_both_axes_with_units_and_shows_bands_and_zero() -> None:
    (axes,) = draw_response(answer()).axes
    assert axes.get_xlabel() == "weeks after the rise"
    assert axes.get_ylabel() == "response of yield_10y, bp"
    assert axes.get_title(loc="left") == "yield_10y after a 1 percentage point rise in reserve_ratio"
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels == ["95% band", "68% band", "estimate"]
    estimate, zero = axes.get_lines()
    np.testing.assert_array_equal(estimate.get_ydata(), answer().estimate)
    assert list(zero.get_ydata()) == [0, 0]
    outer = axes.collections[0].get_paths()[0].vertices[:, 1]
    assert outer.min() == pytest.approx(answer().interval(0.95)[0].min())
    assert outer.max() == pytest.approx(answer().interval(0.95)[1].max())
