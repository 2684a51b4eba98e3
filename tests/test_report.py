"""The report of a run: complete, true to the scorecard, and harmless whatever names it is given."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from forecast.backtest.plan import BacktestPlan, ModelEntry, Regime, Window
from forecast.backtest.result import QUANTILES, BacktestResult, quantile_column
from forecast.calendar import NEW_YORK
from forecast.evaluation.scorecard import Scorecard
from forecast.evaluation.scores import score_cell
from forecast.report.charts import fan_models, fan_origins
from forecast.report.findings import exact_zeros, overall
from forecast.report.html import render, write_report
from forecast.report.provenance import data_warnings, plan_listing
from forecast.report.tables import number, p_value, percent, regime_table, score_matrix

SECTIONS = ["answer", "scores", "forecasts", "calibration", "over-time", "failures", "data", "about"]
ATTACKS = [
    "<script>alert(1)</script>",
    "</style><script>x</script>",
    '"><img src=x onerror=alert(1)>',
    "</svg><script>alert(2)</script>",
    "<svg/onload=alert(3)>",
    "]]><iframe src=http://evil.test></iframe>",
    "' onmouseover='alert(4)",
    "{{ 7 * 191 }}{% for x in y %}",
    r"$\frac{1}{$ & 漢字",
    "javascript:alert(5)\x00\x1b[31m\n\u202e",
]


# --------------------------------------------------------------------------- a result with known shape


def make_result(
    *,
    models: Sequence[str] = ("walk", "sharp", "wide"),
    targets: Sequence[str] = ("spread", "ratio"),
    n_origins: int = 60,
    horizons: tuple[int, ...] = (1, 4, 13),
    conditioned: Sequence[str] = ("wide",),
    regimes: Sequence[str] = ("early", "late"),
    failed: int = 3,
    reason: str = "ModelError: singular",
    every: int = 1,
    flat: bool = True,
) -> BacktestResult:
    """Models see a random walk, noisier by one tenth for each place in the list; the first is the benchmark.

    ``flat`` makes the first target exactly constant over the middle half of its weeks.
    """
    rng = np.random.default_rng(7)
    origins = pd.date_range("2015-01-08", periods=n_origins, freq="7D", unit="us") + pd.Timedelta("17h")
    local = tuple(origins.tz_localize(NEW_YORK))
    weeks = pd.date_range("2015-01-14", periods=n_origins + max(horizons), freq="7D", unit="us")
    plan = BacktestPlan(
        title="Test run",
        question="Who wins?",
        targets=tuple(targets),
        models=tuple(ModelEntry(label, "toy", every=every if k == 1 else 1) for k, label in enumerate(models)),
        benchmark=models[0],
        origins=local,
        horizons=horizons,
        window=Window(pd.Timestamp("2009-01-01")),
        conditioning=("none", "realised") if conditioned else ("none",),
        regimes=_regimes(regimes, origins),
    )
    forecasts, scores = [], []
    for number_, target in enumerate(targets):
        steps = np.round(rng.normal(size=len(weeks)), 2)
        if flat and number_ == 0:
            steps[len(weeks) // 8 : 7 * len(weeks) // 8] = 0.0
        path = 5 + np.cumsum(steps)
        for place, model in enumerate(models):
            for conditioning in ("none", *(["realised"] if model in conditioned else [])):
                own = np.arange(0, n_origins, every if place == 1 else 1)
                rows, scored = _forecasts(rng, path, own, horizons, 1 + 0.1 * place)
                keys = {"model": model, "conditioning": conditioning, "target": target, "unit": "bp"}
                for frame in (rows, scored):
                    frame.insert(2, "origin", pd.DatetimeIndex([local[i] for i in frame.pop("at")]))
                    frame.insert(3, "period", weeks[frame.pop("week")])
                forecasts.append(rows.assign(**keys))
                scores.append(scored.assign(**keys))
    return BacktestResult(
        run_id="run-test",
        plan=plan,
        scorecard=Scorecard(pd.concat(scores, ignore_index=True)),
        forecasts=pd.concat(forecasts, ignore_index=True),
        cells=_cells(models, local, failed, reason),
        data=_data(targets),
        about={"finished": "2026-01-02 03:04 UTC", "seconds": 12.3, "content": "abc123", "machine": "Linux, 4 cores",
               "python": "3.13", "versions": {"numpy": "2.5"}},
    )  # fmt: skip


def tiny(**options: Any) -> BacktestResult:
    """A result whose report is drawn in a fraction of a second."""
    small: dict[str, Any] = {"models": ("walk", "sharp"), "targets": ("ratio",), "horizons": (1,), "conditioned": (),
                             "n_origins": 12, "flat": False}  # fmt: skip
    return make_result(**{**small, **options})


def _regimes(names: Sequence[str], origins: pd.DatetimeIndex) -> tuple[Regime, ...]:
    parts = np.array_split(origins.normalize(), max(len(names), 1))
    return tuple(Regime(name, part[0], part[-1]) for name, part in zip(names, parts, strict=False))


def _forecasts(
    rng: np.random.Generator, path: Any, origins: Any, horizons: tuple[int, ...], spread: float
) -> tuple[pd.DataFrame, pd.DataFrame]:
    h = np.arange(1, max(horizons) + 1)
    at, ahead = (grid.ravel() for grid in np.meshgrid(origins, h, indexing="ij"))
    known = np.where(at > 0, path[np.maximum(at - 1, 0)], 5.0)
    # Symmetric draws: the median is exactly the last value, so a flat stretch is forecast without error.
    half = np.abs(rng.normal(size=(50, len(at)))) * np.sqrt(ahead) * spread
    draws = known + np.concatenate([half, np.zeros((1, len(at))), -half])
    outcome = path[at + ahead - 1]
    quantiles = np.quantile(draws, QUANTILES, axis=0)
    rows = pd.DataFrame({"at": at, "horizon": ahead, "week": at + ahead - 1, "outcome": outcome, "mean": draws.mean(0)})
    for prob, values in zip(QUANTILES, quantiles, strict=True):
        rows[quantile_column(prob)] = values
    kept = np.isin(ahead, horizons)
    scores = score_cell(draws[:, kept, None], outcome[kept, None], np.array([0.01]), rng=rng)
    scored = rows.loc[kept, ["at", "horizon", "week", "outcome"]].assign(**{k: v[:, 0] for k, v in scores.items()})
    return rows, scored


def _cells(models: Sequence[str], origins: Sequence[pd.Timestamp], failed: int, reason: str) -> pd.DataFrame:
    cells = pd.DataFrame(
        [(model, "none", origin, "ok", "") for model in models for origin in origins],
        columns=["model", "conditioning", "origin", "status", "reason"],
    )
    last = cells.index[-failed:] if failed else cells.index[:0]
    cells.loc[last, ["status", "reason"]] = "failed", reason
    return cells.assign(seconds=0.1, targets="spread,ratio", content="0")


def _data(names: Sequence[str]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "name": names,
            "id": [name.upper() for name in names],
            "title": "A series",
            "unit": "bp",
            "provider": "Board",
            "first": pd.Timestamp("2009-01-07"),
            "last": pd.Timestamp("2016-01-06"),
            "vintages": "single",
            "pseudo_share": 1.0,
            "note": "simulated",
        }
    )


@pytest.fixture(scope="module")
def result() -> BacktestResult:
    return make_result()


@pytest.fixture(scope="module")
def page(result: BacktestResult) -> str:
    return render(result)


class Parsed(HTMLParser):
    """What a browser would find: elements, attributes, text by section."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, str] = {}
        self._section = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag == "section":
            self._section = dict(attrs)["id"] or ""

    def handle_data(self, data: str) -> None:
        self.texts[self._section] = self.texts.get(self._section, "") + data

    def names(self) -> set[str]:
        return {tag for tag, _ in self.elements}


def tables_of(html: str) -> list[list[list[str]]]:
    """Rows of cells (first lines only) of every table."""
    tables = []
    for table in re.findall(r"<table>.*?</table>", html, flags=re.DOTALL):
        rows = re.findall(r"<tr>(.*?)</tr>", table, flags=re.DOTALL)
        cells = [re.findall(r"<t[hd][^>]*>(?:<b>)?([^<]*)", row) for row in rows]
        tables.append(cells)
    return tables


# --------------------------------------------------------------------------- completeness


def test_every_section_is_present(page: str) -> None:
    assert [attrs["id"] for tag, attrs in Parsed(page).elements if tag == "section"] == SECTIONS


def test_every_link_inside_the_page_leads_somewhere(page: str) -> None:
    elements = Parsed(page).elements
    ids = [attrs["id"] for _, attrs in elements if "id" in attrs]
    hrefs = [value for _, attrs in elements for key, value in attrs.items() if key in ("href", "xlink:href")]
    assert hrefs
    assert {href.removeprefix("#") for href in hrefs if href} <= set(ids)


def test_identifiers_are_unique_over_all_figures(page: str) -> None:
    ids = [attrs["id"] for _, attrs in Parsed(page).elements if "id" in attrs]
    assert len(ids) == len(set(ids))


def test_there_is_a_figure_of_every_kind_for_every_target_and_conditioning(page: str) -> None:
    # fan, PIT, coverage, differences: for two targets under "none" and one model each under "realised"
    assert sum(tag == "figure" for tag, _ in Parsed(page).elements) == 4 * 2 * 2


def test_every_tag_that_opens_closes(page: str) -> None:
    void = {"meta"}
    opened: list[str] = []

    class Balance(HTMLParser):
        def handle_starttag(self, tag: str, attrs: Any) -> None:
            if tag not in void:
                opened.append(tag)

        def handle_endtag(self, tag: str) -> None:
            assert opened.pop() == tag

    Balance().feed(page)
    assert opened == []


def test_the_same_result_gives_the_same_bytes(result: BacktestResult, page: str) -> None:
    assert render(result) == page


def test_the_report_is_small_and_written_whole(result: BacktestResult, page: str, tmp_path: Path) -> None:
    path = write_report(result, tmp_path / "runs" / "report.html")
    assert path.read_text(encoding="utf-8") == page
    assert [p.name for p in path.parent.iterdir()] == ["report.html"]
    assert len(page) < 2_000_000


def test_what_was_asked_stands_at_the_top(page: str) -> None:
    text = Parsed(page).texts["answer"]
    for said in ("spread (bp), ratio (bp)", "60: 2015-01-08 to 2016-02-25, 17:00 New York time", "1, 4, 13 reserve weeks",
                 "expanding window, from 2009-01-01", "given what came true", "first release of each value"):  # fmt: skip
        assert said in text


def test_conditional_forecasts_never_stand_unlabelled(page: str) -> None:
    names = {row[0] for table in tables_of(page) for row in table if row and row[0].startswith("wide")}
    assert names == {"wide", "wide (given what came true)"}
    assert "spread, given what came true (conditional)" in Parsed(page).texts["answer"]


def test_colours_follow_the_reader_in_light_and_dark(page: str) -> None:
    assert "prefers-color-scheme: dark" in page
    assert "@media print" in page
    drawn = set(re.findall(r"var\(--([a-z0-9-]+)\)", page))
    defined = set(re.findall(r"--([a-z0-9-]+):", page))
    assert drawn <= defined
    assert not re.search(r"(fill|stroke): #", page)  # no colour is fixed


# --------------------------------------------------------------------------- numbers


def test_scores_in_the_table_are_the_scorecards(result: BacktestResult, page: str) -> None:
    tables = [t for t in tables_of(page) if t[0] == ["Model", "1 week ahead", "4 weeks ahead", "13 weeks ahead"]]
    matrices = [t for t in tables if t[1][0] == "walk"]
    summary = result.scorecard.summary()
    for target, matrix in zip(result.plan.targets, matrices[:2], strict=True):
        for name, *cells in matrix[1:]:
            model, given = name.partition(" (")[0], "realised" if "(" in name else "none"
            own = summary[
                (summary["target"] == target) & (summary["model"] == model) & (summary["conditioning"] == given)
            ]
            expected = own.set_index("horizon")["crps"].loc[[1, 4, 13]]
            np.testing.assert_allclose([float(cell) for cell in cells], expected, rtol=6e-3)


def test_the_details_repeat_the_comparison(result: BacktestResult, page: str) -> None:
    compared = result.scorecard.against("walk")
    details = [t for t in tables_of(page) if "Benchmark's CRPS" in [c.replace("&#39;", "'") for c in t[0]]]
    rows = [row for table in details for row in table[1:] if len(row) == 11]
    assert len(rows) == len(compared)
    windows = sorted((int(row[1]), int(row[2])) for row in rows)
    assert windows == sorted(zip(compared["n"], compared["windows"], strict=True))
    shown = sorted((float(row[3]), float(row[4])) for row in rows)
    expected = sorted(zip(compared["mean"], compared["benchmark"], strict=True))
    np.testing.assert_allclose(shown, expected, rtol=6e-3)


def test_the_matrix_says_skill_p_value_and_cells(result: BacktestResult) -> None:
    summary, compared = result.scorecard.summary(), result.scorecard.against("walk")
    own, tests = summary[summary["target"] == "ratio"], compared[compared["target"] == "ratio"]
    table = score_matrix(own, tests, benchmark="walk", horizons=(1, 4, 13))
    row = next(row for row in table.groups[0][1] if row[0].text == "sharp")
    test = tests[(tests["model"] == "sharp") & (tests["horizon"] == 4)].iloc[0]
    assert row[2].small == f"{percent(test['skill'], signed=True)} · p {p_value(test['p_value'])} · n 60 · 15 windows"
    assert row[1].small.endswith("· n 60"), "a week ahead nothing overlaps"
    assert row[3].small.endswith("· n 60 · 5 windows")
    assert table.groups[0][1][0][0].text == "walk"


def test_a_model_with_fewer_origins_shows_the_benchmark_on_those() -> None:
    sparse = make_result(every=7)
    summary, compared = sparse.scorecard.summary(), sparse.scorecard.against("walk")
    own, tests = summary[summary["target"] == "ratio"], compared[compared["target"] == "ratio"]
    rows = score_matrix(own, tests, benchmark="walk", horizons=(1, 4, 13)).groups[0][1]
    there = tests[(tests["model"] == "sharp") & (tests["horizon"] == 1)]["benchmark"].iloc[0]
    small = {row[0].text: row[1].small for row in rows}
    assert small["sharp"].endswith(f"n 9\nbenchmark there {number(there)}")
    assert small["wide"].endswith("n 60")


def test_models_stand_in_the_order_of_the_plan_after_the_benchmark() -> None:
    html = render(tiny(models=("walk", "zebra", "ant")))
    first = next(table for table in tables_of(html) if table[0][0] == "Model")
    assert [row[0] for row in first[1:]] == ["walk", "zebra", "ant"]


def test_exactly_one_unconditional_model_is_best_at_each_horizon(result: BacktestResult) -> None:
    summary, compared = result.scorecard.summary(), result.scorecard.against("walk")
    for target in result.plan.targets:
        rows = score_matrix(
            summary[summary["target"] == target],
            compared[compared["target"] == target],
            benchmark="walk",
            horizons=(1, 4, 13),
        ).groups[0][1]
        for column in (1, 2, 3):
            best = [row[0].text for row in rows if row[column].best]
            assert len(best) == 1
            assert "given" not in best[0]


def test_regimes_have_their_own_columns(result: BacktestResult, page: str) -> None:
    regimes = [("early", *_bounds(result, 0)), ("late", *_bounds(result, 1))]
    compared = result.scorecard.against("walk", regimes=regimes)
    table = regime_table(compared[compared["target"] == "ratio"], benchmark="walk")
    assert table.head == ("Model", "All origins", "early", "late")
    late = compared[(compared["target"] == "ratio") & (compared["regime"] == "late") & (compared["horizon"] == 1)]
    assert table.groups[0][1][0][3].text == percent(float(late["skill"].iloc[0]), signed=True)
    weeks = int(late["n"].iloc[0])
    assert table.groups[2][1][0][3].small.endswith(f"· n {weeks} · {-(-weeks // 13)} windows")
    assert ["Model", "All origins", "early", "late"] in [table[0] for table in tables_of(page)]


def _bounds(result: BacktestResult, place: int) -> tuple[pd.Timestamp, pd.Timestamp]:
    return result.plan.regimes[place].first, result.plan.regimes[place].last


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (1.2345, "1.23"),
        (-0.012345, "−0.0123"),
        (1234.5, "1,234"),
        (1e-12, "0.00000000"),
        (np.nan, "–"),
        (np.inf, "–"),
    ],
)
def test_numbers_are_written_without_exponents(value: float, text: str) -> None:
    assert number(value) == text


def test_small_p_values_are_not_zero() -> None:
    assert [p_value(p) for p in (0.0, 0.0009, 0.001, 0.5, np.nan)] == ["< 0.001", "< 0.001", "0.001", "0.500", "–"]


def test_shares_are_percent_with_their_sign() -> None:
    assert [percent(s, signed=True) for s in (0.123, -0.05, -1e-5, -23.559, 0.9999, np.nan)] == [
        "+12.3\u00a0%", "−5.0\u00a0%", "0.0\u00a0%", "−2,356\u00a0%", "+100\u00a0%", "–",
    ]  # fmt: skip


# --------------------------------------------------------------------------- the answer


def comparisons(p_values: Sequence[float], difference: float = -1.0, **columns: Any) -> pd.DataFrame:
    n = len(p_values)
    row = {"conditioning": "none", "target": "y", "unit": "bp", "horizon": 1, "regime": "all", "n": 50, "mean": 1.0,
           "benchmark": 2.0, "skill": 0.5, "standard_error": 0.1, "share_zero": 0.0, "moved": 1.0, "reason": ""}  # fmt: skip
    models = [f"m{k}" for k in range(n)]
    return pd.DataFrame({"model": models, "p_value": p_values, "difference": difference}).assign(**{**row, **columns})


def test_the_answer_is_none_when_nobody_wins() -> None:
    said = overall(comparisons([0.4, 0.06]), benchmark="walk")
    assert said[0].startswith("In none of the 1 combinations")
    assert "2 comparisons were made and 0 of them" in said[1]


def test_a_significant_loss_is_no_win() -> None:
    said = overall(comparisons([0.001], difference=1.0), benchmark="walk")
    assert said[0].startswith("In none of the 1 combinations")


def test_luck_and_the_correction_are_counted() -> None:
    said = " ".join(overall(comparisons([0.0001, 0.04, 0.5, 0.9]), benchmark="walk"))
    assert "In 1 of the 1 combinations" in said
    assert "4 comparisons were made and 2 of them" in said
    assert "about 0.10 would" in said
    assert "1 remains" in said


def test_conditional_comparisons_do_not_enter_the_answer() -> None:
    both = pd.concat([comparisons([0.5]), comparisons([0.001], conditioning="realised")], ignore_index=True)
    assert overall(both, benchmark="walk")[0].startswith("In none of")


def test_the_winner_is_named_with_score_unit_and_test() -> None:
    result = tiny(n_origins=60, horizons=(1, 4))
    strong = dataclasses.replace(
        result,
        scorecard=Scorecard(
            result.scorecard.table.assign(crps=lambda t: t["crps"] * np.where(t["model"] == "sharp", 0.5, 1))
        ),
    )
    text = Parsed(render(strong)).texts["answer"]
    row = strong.scorecard.against("walk").query("model == 'sharp' and target == 'ratio' and horizon == 4").iloc[0]
    assert row["p_value"] < 0.05
    sentence = f"sharp (CRPS {number(row['mean'])} against {number(row['benchmark'])} bp, {percent(row['skill'])} lower"
    assert sentence in text


def test_a_benchmark_that_is_mostly_exact_is_said_to_be(result: BacktestResult, page: str) -> None:
    zeros = exact_zeros(result.scorecard.table, "walk").set_index(["target", "horizon"])["share"]
    own = result.scorecard.table.query("model == 'walk' and target == 'spread' and horizon == 1")
    assert zeros["spread", 1] == pytest.approx((own["absolute_error"] == 0).mean())
    assert zeros["spread", 1] > 0.5 > zeros["ratio", 1]
    text = Parsed(page).texts["answer"]
    moved = result.scorecard.against("walk").query("target == 'spread' and conditioning == 'none'")["moved"]
    assert f"walk's median was exactly right at {percent(zeros['spread', 1])} (1 week ahead)" in text
    assert f"differed from that of the origin before in {percent(moved.mean())}" in text


# --------------------------------------------------------------------------- figures by rule


def test_fans_stand_at_even_places_and_at_the_benchmarks_worst_miss(result: BacktestResult) -> None:
    headings = fan_origins(result, "ratio", [("walk", "none"), ("sharp", "none")])
    origins = result.plan.origins
    own = result.scorecard.table.query("model == 'walk' and target == 'ratio' and horizon == 13")
    worst = own["origin"].iloc[int(own["crps"].to_numpy().argmax())]
    assert set(headings) == {origins[10], origins[30], origins[50], worst}
    assert list(headings) == sorted(headings)
    assert headings[worst].endswith(f"(worst: CRPS {number(own['crps'].max())})")


def test_fans_prefer_origins_that_all_models_have() -> None:
    sparse = make_result(every=7)
    asked = set(sparse.plan.origins[::7])
    headings = fan_origins(sparse, "ratio", [("walk", "none"), ("sharp", "none")])
    assert set(headings) <= asked


def test_fans_show_the_benchmark_and_the_best(result: BacktestResult) -> None:
    compared = result.scorecard.against("walk")
    ratio = compared.query("target == 'ratio' and conditioning == 'none'").assign(
        r=lambda t: t["mean"] / t["benchmark"]
    )
    best = ratio.groupby("model")["r"].mean().idxmin()
    best = str(best)
    other = ({"sharp", "wide"} - {best}).pop()
    benchmark, winner = ("walk", "none"), (best, "none")
    assert fan_models(compared, "ratio", "none", benchmark="walk", sampled=set()) == [benchmark, winner]
    assert fan_models(compared, "ratio", "none", benchmark="walk", sampled={best}) == [benchmark, winner]
    assert fan_models(compared, "ratio", "none", benchmark="walk", sampled={other}) == [
        benchmark,
        winner,
        (other, "none"),
    ]
    assert fan_models(compared, "ratio", "realised", benchmark="walk", sampled=set()) == [
        benchmark,
        ("wide", "realised"),
    ]


# --------------------------------------------------------------------------- hostile names


@pytest.fixture(scope="module")
def hostile() -> str:
    base = make_result(models=("walk", *ATTACKS[:5]), conditioned=(), regimes=ATTACKS[5:8], reason=ATTACKS[2])
    data = base.data.assign(**{name: ATTACKS[k] for k, name in enumerate(("name", "id", "title", "unit", "provider"))})
    plan = dataclasses.replace(
        base.plan,
        title=ATTACKS[0],
        question=ATTACKS[3],
        synthetic={ATTACKS[6]: ATTACKS[4]},
        models=tuple(dataclasses.replace(entry, options={"x": ATTACKS[1]}) for entry in base.plan.models),
    )
    about = {"machine": ATTACKS[2], ATTACKS[0]: ATTACKS[4], "versions": {ATTACKS[3]: ATTACKS[0]}}
    return render(dataclasses.replace(base, plan=plan, data=data.assign(note=ATTACKS[7]), about=about))


def test_hostile_names_bring_no_elements_in(page: str, hostile: str) -> None:
    assert Parsed(hostile).names() == Parsed(page).names()
    assert Parsed(page).names().isdisjoint({"script", "iframe", "img", "object", "embed", "link", "form", "base"})


def test_hostile_names_bring_no_handlers_and_no_addresses_in(hostile: str) -> None:
    for tag, attrs in Parsed(hostile).elements:
        assert not any(name.startswith("on") for name in attrs), (tag, attrs)
        for name in ("src", "href", "xlink:href", "action", "data"):
            assert (attrs.get(name) or "#").startswith("#")
        assert "url(" not in (attrs.get("style") or "").replace("url(#", "")


def test_hostile_names_are_shown_as_text(hostile: str) -> None:
    shown = Parsed(hostile).texts
    assert ATTACKS[0] in shown["scores"]
    assert ATTACKS[2] in shown["failures"]
    assert ATTACKS[7] in shown["data"]
    assert "1337" not in hostile  # names are no templates
    svg_text = re.findall(r"<text[^>]*>([^<]*)</text>", hostile)
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in svg_text


@pytest.mark.parametrize("name", ATTACKS)
def test_any_name_can_be_model_target_regime_and_reason(name: str) -> None:
    html = render(tiny(models=("walk", name), targets=(name,), regimes=(name,), reason=name))
    assert Parsed(html).names().isdisjoint({"script", "iframe", "img"})
    for raw in ("<script", "<img", "<iframe", "onload=alert(3)>", "</style><"):
        assert raw not in html


def test_the_benchmark_may_be_called_anything() -> None:
    html = render(tiny(models=(ATTACKS[0], "other")))
    assert "<script" not in html


def test_the_page_forbids_scripts_and_requests(page: str) -> None:
    policies = [
        attrs["content"] for tag, attrs in Parsed(page).elements if attrs.get("http-equiv") == "Content-Security-Policy"
    ]
    assert policies == ["default-src 'none'; style-src 'unsafe-inline'; img-src data:"]
    assert "http://" not in page
    assert "https://" not in page
    assert "@import" not in page


# --------------------------------------------------------------------------- empty and odd cases


def test_one_model_only() -> None:
    html = render(tiny(models=("walk",)))
    assert "No model could be compared with walk" in html
    assert "There is no other model to compare with walk." in html


def test_no_failures_is_said(page: str) -> None:
    assert "None failed." in render(tiny(failed=0))
    assert "3 failed." in page


def test_failures_are_counted_by_reason(page: str) -> None:
    tables = [t for t in tables_of(page) if t[0][-1] == "Reason"]
    assert tables == [[["Model", "Status", "Cells", "First origin", "Last origin", "Reason"],
                       ["wide", "failed", "3", "2016-02-11", "2016-02-25", "ModelError: singular"]]]  # fmt: skip


def test_refusals_are_not_called_failures() -> None:
    result = tiny()
    cells = result.cells.assign(status=result.cells["status"].replace("failed", "refused"))
    text = Parsed(render(dataclasses.replace(result, cells=cells))).texts["failures"]
    assert "None failed." in text
    assert "3 were refused" in text


def test_many_reasons_are_cut_and_counted() -> None:
    result = tiny(n_origins=40)
    cells = result.cells.assign(status="failed", reason=[f"reason {k}" for k in range(len(result.cells))])
    html = render(dataclasses.replace(result, cells=cells))
    assert f"{len(cells) - 60} rarer reasons are left out" in html


def test_no_regimes() -> None:
    html = render(tiny(regimes=()))
    assert "All origins" not in html


def test_only_unconditional_forecasts() -> None:
    html = render(tiny())
    assert "(given what came true)" not in html


def test_few_origins() -> None:
    html = render(tiny(n_origins=2, failed=0))
    assert "2 cells; at least 8 are needed" in html


def test_a_single_origin() -> None:
    assert "1: 2015-01-08 to 2015-01-08" in render(tiny(n_origins=1, failed=0, regimes=("all of it",)))


def test_a_target_nobody_was_asked_for() -> None:
    result = tiny()
    plan = dataclasses.replace(result.plan, targets=(*result.plan.targets, "never"))
    html = render(dataclasses.replace(result, plan=plan))
    assert "ratio (bp), never" in html


def test_a_benchmark_without_any_score() -> None:
    result = tiny()
    table = result.scorecard.table
    lost = dataclasses.replace(
        result,
        scorecard=Scorecard(table[table["model"] != "walk"]),
        forecasts=result.forecasts[result.forecasts["model"] != "walk"],
    )
    assert "No model could be compared with walk" in render(lost)


def test_a_constant_target_and_a_perfect_benchmark() -> None:
    result = tiny(n_origins=20)
    table = result.scorecard.table
    ours = table["model"] == "walk"
    perfect = table.assign(
        outcome=1.0, crps=table["crps"].where(~ours, 0.0), absolute_error=table["absolute_error"].where(~ours, 0.0)
    )
    text = Parsed(render(dataclasses.replace(result, scorecard=Scorecard(perfect)))).texts["answer"]
    assert "the benchmark's score is zero everywhere" in text
    assert f"exactly right at {percent(1.0)} (1 week ahead)" in text


def test_outcomes_not_known_yet() -> None:
    result = tiny(horizons=(1, 4))
    late = result.forecasts["period"] > pd.Timestamp("2015-03-15")
    forecasts = result.forecasts.assign(outcome=result.forecasts["outcome"].mask(late))
    table = result.scorecard.table
    unknown = table["period"] > pd.Timestamp("2015-03-15")
    values = table.columns[table.columns.get_loc("outcome") :]
    scorecard = Scorecard(table.assign(**{name: table[name].mask(unknown) for name in values}))
    assert (
        "nan"
        not in Parsed(render(dataclasses.replace(result, forecasts=forecasts, scorecard=scorecard))).texts["scores"]
    )


# --------------------------------------------------------------------------- data and plan


def test_single_vintages_say_what_they_mean(page: str) -> None:
    text = Parsed(page).texts["data"]
    assert "Single vintage (all 2 series): first release and final value are the same numbers." in text
    assert "Simulated (all 2 series)" in text


def test_only_the_series_concerned_are_named() -> None:
    data = _data(("a", "b", "c")).assign(
        vintages=["single", "several", "several"], pseudo_share=[0.0, 0.5, 0.0], note=["transcribed", "", ""]
    )
    said = data_warnings(data)
    assert [sentence.partition(":")[0] for sentence in said] == [
        "Single vintage (1 of 3 series", "Release times by rule (1 of 3 series", "Transcribed (1 of 3 series",
    ]  # fmt: skip
    assert said[2].startswith("Transcribed (1 of 3 series: a)")


def test_clean_data_bring_no_warning() -> None:
    assert data_warnings(_data(("a",)).assign(vintages="several", pseudo_share=0.0, note="")) == []


def test_the_plan_listing_is_toml(result: BacktestResult) -> None:
    import tomllib

    plan = dataclasses.replace(result.plan, synthetic={"seed": 3, "odd key": [1.5, True]}, steps={"spread": 0.01})
    read = tomllib.loads(plan_listing(plan))
    assert read["targets"] == ["spread", "ratio"]
    assert read["window"] == {"start": "2009-01-01"}
    assert read["synthetic"] == {"seed": 3, "odd key": [1.5, True]}
    assert read["steps"] == {"spread": 0.01}
    assert list(read["models"]) == ["walk", "sharp", "wide"]
    assert read["regimes"]["early"][0] == "2015-01-08"
    assert read["origins"] == {"first": "2015-01-08", "last": "2016-02-25", "time": "17:00"}


def test_about_gives_what_a_repetition_needs(page: str) -> None:
    text = Parsed(page).texts["about"]
    for said in ("run-test", "abc123", "12.30 s", "Linux, 4 cores", "numpy 2.5", "Seed"):
        assert said in text


# --------------------------------------------------------------------------- speed


@pytest.mark.slow
def test_a_run_of_real_size_takes_seconds() -> None:
    import time

    models = ("walk", *(f"model_{k}" for k in range(11)))
    large = make_result(
        models=models,
        targets=("a", "b", "c"),
        n_origins=550,
        horizons=(1, 4, 13, 26),
        conditioned=(),
        regimes=tuple("uvwxyz"),
    )
    started = time.perf_counter()
    html = render(large)
    assert time.perf_counter() - started < 15  # about 5 s on an idle core
    assert len(html) < 4_000_000
