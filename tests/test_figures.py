"""Figures as SVG: true to the arrays, the same bytes every time, nothing in them but drawing."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from xml.etree import ElementTree as ET

import numpy as np
import pandas as pd
import pytest

from forecast.evaluation.calibration import coverage_by_horizon, pit_histogram
from forecast.report.figures import (
    FAN,
    Fan,
    coverage_lines,
    fan_chart,
    pit_histograms,
    score_differences,
    shorten,
    weeks_ahead,
)
from forecast.report.svg import Look, inline, looks

STYLES = looks(["walk", "a", "b"], "walk")


def fan(level: float = 0.0) -> Fan:
    weeks = np.arange(1.0, 5.0)
    ends = np.array([[level - width, level + width] for width in (3.0, 2.0, 1.0)])
    return Fan(
        past_weeks=np.arange(-3.0, 1.0),
        past=np.full(4, level),
        weeks=weeks,
        median=np.full(4, level),
        outcome=np.array([level, level + 1, np.nan, np.nan]),
        bands=np.repeat(ends[:, :, None], 4, axis=2),
    )


def fans(name: str = "one", label: str = "a") -> str:
    return fan_chart([(label, STYLES["a"], [fan(), None])], ["2020-01-02", "2021-01-07"], unit="bp", name=name)


def histograms(values: np.ndarray) -> str:
    return pit_histograms({("a", 1): pit_histogram(values)}, STYLES, name="pit")


def coverage() -> str:
    rng = np.random.default_rng(1)
    rows = pd.DataFrame({"model": np.repeat(["walk", "a"], 60), "horizon": np.tile([1, 4, 13], 40)})
    rows = rows.assign(conditioning="none", target="y", outcome=1.0)
    for column in ("covered_50", "covered_80", "covered_90", "covered_95"):
        rows[column] = rng.integers(0, 2, len(rows)).astype(float)
    return coverage_lines(coverage_by_horizon(rows), STYLES, name="coverage")


def differences(lines: Mapping[str, pd.Series], names: tuple[str, ...] = ("calm", "storm")) -> str:
    bounds = pd.date_range("2015-01-01", periods=len(names) + 1, freq="365D")
    regimes = [(name, bounds[k], bounds[k + 1]) for k, name in enumerate(names)]
    return score_differences({1: lines, 4: lines}, STYLES, regimes, unit="bp", name="gain")


def walk(n: int, slope: float) -> pd.Series:
    return pd.Series(slope * np.arange(n), pd.date_range("2015-01-08", periods=n, freq="7D"))


def texts(svg: str) -> list[str]:
    return [node.text or "" for node in parsed(svg).iter("text")]


def parsed(svg: str) -> ET.Element:
    return ET.fromstring(svg.replace("xlink:href", "href"))  # noqa: S314  our own drawing


def paths(svg: str, variable: str) -> list[np.ndarray]:
    """(n, 2) points of every path drawn in a colour, where it is drawn."""
    root = parsed(svg)
    named = {node.get("id"): node.get("d", "") for node in root.iter("path")}
    found = []
    for node in root.iter():
        if f"var(--{variable})" in node.get("style", "") and node.tag in ("path", "use"):
            d = node.get("d") or named.get(node.get("href", "#")[1:], "")
            points = np.array(re.findall(r"(-?[\d.]+) (-?[\d.]+)", d), dtype=float)
            found.append(points + np.array([node.get("x", "0"), node.get("y", "0")], dtype=float))
    return found


ALL = {
    "fan": fans,
    "pit": lambda: histograms(np.linspace(0, 1, 50)),
    "coverage": coverage,
    "differences": lambda: differences({"a": walk(50, 1.0), "b": walk(50, -1.0)}),
}


@pytest.mark.parametrize("draw", ALL.values(), ids=ALL)
def test_a_figure_is_one_svg_element_without_fixed_size_or_colour(draw) -> None:  # type: ignore[no-untyped-def]
    svg = draw()
    root = parsed(svg)
    assert root.tag == "svg"
    assert set(root.attrib) == {"viewBox", "aria-hidden"}
    assert not re.search(r"(fill|stroke): #", svg)
    assert "var(--ink)" in svg


@pytest.mark.parametrize("draw", ALL.values(), ids=ALL)
def test_a_figure_holds_nothing_but_drawing(draw) -> None:  # type: ignore[no-untyped-def]
    svg = draw()
    allowed = {"svg", "g", "path", "use", "defs", "text", "clipPath", "rect"}
    assert {node.tag for node in parsed(svg).iter()} <= allowed
    assert "http" not in svg
    assert "<!--" not in svg


@pytest.mark.parametrize("draw", ALL.values(), ids=ALL)
def test_a_figure_is_the_same_every_time(draw) -> None:  # type: ignore[no-untyped-def]
    assert draw() == draw()


@pytest.mark.parametrize("draw", ALL.values(), ids=ALL)
def test_every_identifier_is_used_in_the_figure(draw) -> None:  # type: ignore[no-untyped-def]
    svg = draw()
    defined = set(re.findall(r' id="([^"]+)"', svg))
    assert defined == set(re.findall(r'(?:href="|url\()#([^")]+)', svg))


def test_two_figures_share_no_identifier() -> None:
    one, other = (set(re.findall(r' id="([^"]+)"', fans(name))) for name in ("one", "other"))
    assert one
    assert one.isdisjoint(other)


def test_drawing_changes_nothing_global() -> None:
    import matplotlib as mpl

    before, had_pyplot = mpl.rcParams.copy(), "matplotlib.pyplot" in sys.modules
    fans()
    assert mpl.rcParams.copy() == before
    assert ("matplotlib.pyplot" in sys.modules) == had_pyplot


def test_coordinates_are_short() -> None:
    assert not re.search(r' d="[^"]*\d\.\d{2}', fans())


# --------------------------------------------------------------------------- true to the arrays


def test_bands_lie_inside_each_other_around_the_median() -> None:
    filled = [path for path in paths(fans(), "hue-0") if len(path) > 6]
    heights = [float(np.ptp(path[:, 1])) for path in filled]
    assert len(heights) == len(FAN)
    assert heights == sorted(heights, reverse=True)
    np.testing.assert_allclose(heights, heights[0] * np.array([1, 2 / 3, 1 / 3]), atol=0.3)
    centres = [path[:, 1].min() + np.ptp(path[:, 1]) / 2 for path in filled]
    np.testing.assert_allclose(centres, centres[0], atol=0.2)


def test_a_missing_outcome_ends_the_line() -> None:
    outcomes = [path for path in paths(fans(), "ink") if len(path)]
    assert max(len(path) for path in outcomes) <= 6  # four weeks before the origin and two after


def test_a_model_without_a_forecast_says_so() -> None:
    assert texts(fans()).count("no forecast") == 1


def test_fans_name_model_unit_and_origin() -> None:
    assert {"a", "bp", "2020-01-02", "2021-01-07", "weeks from the origin"} <= set(texts(fans()))


def test_a_flat_histogram_stands_on_the_line() -> None:
    svg = histograms((np.arange(100) + 0.5) / 100)
    bars = next(path for path in paths(svg, "hue-0") if len(path) > 4)
    line, floor = (path for path in (*paths(svg, "ink"), *paths(svg, "muted")) if len(path) == 2)
    assert bars[:, 1].min() == pytest.approx(line[0, 1], abs=0.15)
    assert bars[:, 1].max() == pytest.approx(floor[0, 1], abs=0.15)


def test_a_bar_twice_as_high_as_expected_is_drawn_twice_as_high() -> None:
    values = np.r_[(np.arange(100) + 0.5) / 100, np.full(25, 0.95)]  # 35 of 125 in the last bin, 10 in the others
    svg = histograms(values)
    bars = next(path for path in paths(svg, "hue-0") if len(path) > 4)
    floor, levels = bars[:, 1].max(), np.unique(bars[:, 1])
    heights = np.unique(floor - levels[levels < floor])
    np.testing.assert_allclose(heights[-1] / heights[0], min(3.5, 1.1 / 0.4 * 12.5 / 10), rtol=0.03)


def test_an_empty_histogram_draws_nothing_but_its_name() -> None:
    svg = histograms(np.array([np.nan]))
    assert paths(svg, "hue-0") == []
    assert "a" in texts(svg)


def test_coverage_has_a_panel_for_every_nominal_level() -> None:
    said = texts(coverage())
    assert [f"{level} % intervals" in said for level in (50, 80, 90, 95)] == [True] * 4
    assert {"1", "4", "13"} <= set(said)


def test_a_rising_sum_rises_on_the_page() -> None:
    svg = differences({"a": walk(50, 1.0), "b": walk(50, -1.0)})
    up, down = paths(svg, "hue-0")[0], paths(svg, "hue-1")[0]
    assert up[-1, 1] < up[0, 1]  # SVG counts downwards
    assert down[-1, 1] > down[0, 1]


def test_thinning_keeps_both_ends() -> None:
    styles = looks(["walk", "a"], "walk")
    wave = pd.Series(np.sin(np.arange(2000)), pd.date_range("2015-01-08", periods=2000, freq="7D"))
    line = paths(score_differences({1: {"a": wave}}, styles, [], unit="bp", name="x"), "hue-0")[0]
    assert len(line) <= 160
    full = paths(score_differences({1: {"a": wave.iloc[[0, -1]]}}, styles, [], unit="bp", name="x"), "hue-0")[0]
    np.testing.assert_allclose(line[[0, -1], 0], full[[0, -1], 0], atol=0.11)


def test_a_hopeless_model_does_not_flatten_the_others() -> None:
    styles = looks(["walk", "a", "b", "c", "d", "e", "f"], "walk")
    good = {name: walk(50, slope) for name, slope in zip("abc", (1.0, 0.5, -1.0), strict=True)}
    bad = {name: walk(50, -1000.0) for name in "def"}
    alone, among = (score_differences({1: lines}, styles, [], unit="bp", name="x") for lines in (good, {**good, **bad}))
    np.testing.assert_allclose(paths(among, "hue-0")[0], paths(alone, "hue-0")[0], atol=0.11)


def test_regimes_are_shaded_and_named() -> None:
    svg = differences({"a": walk(100, 1.0)})
    assert {"calm", "storm"} <= set(texts(svg))
    shaded = [*paths(svg, "band"), *paths(svg, "shade")]
    assert len(shaded) == 4  # two regimes behind two panels


def test_a_regime_outside_the_origins_is_left_out() -> None:
    late = [("later", pd.Timestamp("2050-01-01"), pd.Timestamp("2051-01-01"))]
    svg = score_differences({1: {"a": walk(50, 1.0)}}, STYLES, late, unit="bp", name="x")
    assert "later" not in texts(svg)


# --------------------------------------------------------------------------- names and looks


@pytest.mark.parametrize(
    "label", ["<b>x</b>", "a & b", '"><i>', "]]>", "--><i>", "$x_1$", r"\frac", "漢字", "x\x00\x1b\n\u202ey", ""]
)
def test_any_label_is_text(label: str) -> None:
    svg = fans(label=label)
    said = texts(svg)
    assert shorten(label, 22) in said or not label
    assert "<b>" not in svg
    assert "<i>" not in svg


def test_the_benchmark_is_grey_and_the_others_keep_their_order() -> None:
    styles = looks(["a", "walk", "b"], "walk")
    assert list(styles) == ["walk", "a", "b"]
    assert [look.variable for look in styles.values()] == ["benchmark", "hue-0", "hue-1"]


def test_many_models_stay_distinct() -> None:
    styles = looks([f"m{k}" for k in range(20)], "m0")
    assert len({(look.variable, look.dashes) for look in styles.values()}) == 20
    assert isinstance(styles["m0"], Look)


def test_dashes_are_drawn() -> None:
    styles = looks([f"m{k}" for k in range(9)], "m0")
    svg = score_differences({1: {"m8": walk(50, 1.0)}}, styles, [], unit="bp", name="x")
    assert "stroke-dasharray" in svg


def test_horizons_are_words() -> None:
    assert [weeks_ahead(1), weeks_ahead(13)] == ["1 week ahead", "13 weeks ahead"]


@pytest.mark.parametrize(
    ("text", "short"),
    [("abc", "abc"), ("abcdef", "abcd…"), ("a\n b\x00", "a b"), ("ab cd", "ab cd"), ("ab cd ef", "ab c…")],
)
def test_long_names_are_cut_with_a_mark(text: str, short: str) -> None:
    assert shorten(text, 5) == short


def test_inlining_keeps_what_is_referenced_and_drops_the_rest() -> None:
    svg = (
        '<?xml version="1.0"?><!DOCTYPE svg PUBLIC "x" "http://x">\n<svg width="9pt" viewBox="0 0 9 9" xmlns="http://s">'
        '<metadata>\n<a href="http://x"/></metadata><style type="text/css">*{}</style><!-- note -->'
        '<g id="axes_1"><path id="m1" d="M 1.2345 -0.04 L 2 3" style="fill: #010101"/><use xlink:href="#m1"/></g></svg>'
    )  # fmt: skip
    expected = '<svg viewBox="0 0 9 9" aria-hidden="true"><g><path id="m1" d="M 1.2 -0 L 2 3" style="fill: var(--ink)"/><use xlink:href="#m1"/></g></svg>'
    assert inline(svg) == expected
