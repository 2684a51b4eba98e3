"""``forecast ampleness`` as a user meets it: screen, JSON, page, and what is said when something is wrong."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar
from xml.etree import ElementTree as ET

import numpy as np
import pandas as pd
import pytest

import forecast as fc
import forecast.data.store
import forecast.data.synthetic
import forecast.features
from forecast import registry
from forecast.answers.ampleness import CONFIDENT, TOLERANCES, Ampleness, CurveDraws
from forecast.answers.assessment import Assessment
from forecast.answers.verdict import sentence
from forecast.cli import main
from forecast.cli.ampleness import command
from forecast.data.synthetic import Economy, Truth, simulate
from forecast.data.vintages import Vintages
from forecast.errors import DiagnosticsError, UnknownNameError
from forecast.report.ampleness import render_ampleness
from forecast.report.ampleness_document import ampleness_document
from forecast.report.ampleness_question import AmplenessQuestion, ask_ampleness
from forecast.report.demand_curve import curve_figure, distance_figure, slope_figure

type Run = Callable[..., tuple[int, str, str]]

SPECIFICATION = {"frozen": True, "slots": True}


@dataclass(**SPECIFICATION)  # type: ignore[call-overload]
class ToyCurve:
    """Softplus curves whose kinks spread around that of the economy."""

    spread: str = "effr_iorb"
    kink: float = 11.0
    steps: bool = True
    name: ClassVar[str] = "toy_curve"
    needs: ClassVar[tuple[str, ...]] = ()
    features: ClassVar[tuple[str, ...]] = ("reserve_ratio",)
    sampled: ClassVar[bool] = True
    tells_ampleness: ClassVar[bool] = True

    @property
    def targets(self) -> tuple[str, ...]:
        return (self.spread,)

    def fit(self, design: Any, *, rng: np.random.Generator) -> Any:
        return ToyFit(self, design, rng.normal(size=200))


@dataclass(**SPECIFICATION)  # type: ignore[call-overload]
class ToyFit:
    spec: ToyCurve
    design: Any
    z: Any

    def ampleness(self) -> Ampleness:
        x, kinks = self.design.features["reserve_ratio"].dropna(), self.spec.kink + 0.4 * self.z
        slope = -2.5 / (1 + np.exp(-(kinks[:, None] - x.to_numpy()) / 0.5))
        thresholds = {c: kinks - 0.5 * np.log(-c / (2.5 + c)) for c in TOLERANCES}
        grid = np.linspace(6, 20, 60)
        curve = CurveDraws(grid, 1.25 * np.logaddexp(0, (kinks[:, None] - grid) / 0.5) - 7)
        prior = {"slope": slope[:, -1] * 3, "-0.5": 12 + 4 * self.z}
        notes = (f"steps {'in' if self.spec.steps else 'out'}",)
        return Ampleness(
            self.spec.spread, "posterior", x.index, x.to_numpy(), slope, thresholds, prior, False, notes, curve
        )  # fmt: skip


@dataclass(**SPECIFICATION)  # type: ignore[call-overload]
class ToySlope:
    """A slope without a curve, missing in its first weeks."""

    spread: str = "effr_iorb"
    name: ClassVar[str] = "toy_slope"
    needs: ClassVar[tuple[str, ...]] = ()
    features: ClassVar[tuple[str, ...]] = ("reserve_ratio",)
    sampled: ClassVar[bool] = False
    tells_ampleness: ClassVar[bool] = True

    @property
    def targets(self) -> tuple[str, ...]:
        return (self.spread,)

    def fit(self, design: Any, *, rng: np.random.Generator) -> Any:
        return ToySlopeFit(self, design, rng.normal(size=(200, 1)))


@dataclass(**SPECIFICATION)  # type: ignore[call-overload]
class ToySlopeFit:
    spec: ToySlope
    design: Any
    z: Any

    def ampleness(self) -> Ampleness:
        x = self.design.features["reserve_ratio"].dropna()
        slope = -0.6 + 0.01 * self.z + 0.001 * np.arange(len(x))
        slope[:, :20] = np.nan
        return Ampleness(self.spec.spread, "filter", x.index, x.to_numpy(), slope, {}, {}, sign_free=True)


@dataclass(**SPECIFICATION)  # type: ignore[call-overload]
class ToyStuck(ToySlope):
    """A sampler that does not converge."""

    name: ClassVar[str] = "toy_stuck"

    def fit(self, design: Any, *, rng: np.random.Generator) -> Any:
        raise DiagnosticsError("R-hat of 'kink' is 1.3 (must be below 1.01)")


class ToyMute(ToySlope):
    """A model that forecasts only."""

    name: ClassVar[str] = "toy_mute"
    tells_ampleness: ClassVar[bool] = False


TOYS = {toy.name: toy for toy in (ToyCurve, ToySlope, ToyStuck, ToyMute)}


@pytest.fixture(scope="module")
def economy() -> tuple[Vintages, Truth]:
    return simulate(Economy(seed=1, years=7.0))


@pytest.fixture(autouse=True)
def toys(monkeypatch: pytest.MonkeyPatch, economy: tuple[Vintages, Truth]) -> dict[str, Any]:
    """Only toys are registered, and the embedded economy is short."""
    known: dict[str, Any] = dict(TOYS)

    def model_class(name: str, *, where: str = "") -> Any:
        if name not in known:
            raise UnknownNameError(f"unknown model {name!r}. Did you mean: toy_slope? List them with: forecast models")
        if isinstance(known[name], Exception):
            raise known[name]
        return known[name]

    monkeypatch.setattr(registry, "registered", lambda *_: tuple(sorted(known)))
    monkeypatch.setattr(registry, "model_class", model_class)
    monkeypatch.setattr(registry, "create", lambda name, *_: model_class(name)())
    monkeypatch.setattr(forecast.data.synthetic, "simulate", lambda _: economy)
    return known


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """The command with arguments -> exit code, output, errors; there is no archive."""
    monkeypatch.setenv("FORECAST_HOME", str(tmp_path))

    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["forecast", "ampleness", *arguments])
        with pytest.raises(SystemExit) as stopped:
            main()
        said = capsys.readouterr()
        return int(stopped.value.code or 0), said.out, said.err

    return call


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, economy: tuple[Vintages, Truth]) -> Vintages:
    """An archive that holds what the economy published."""
    (tmp_path / "archive").mkdir()
    (tmp_path / "archive" / "manifest.jsonl").touch()
    monkeypatch.setattr(forecast.data.store, "load_vintages", lambda: economy[0])
    return economy[0]


@pytest.fixture(scope="module")
def assessment(economy: tuple[Vintages, Truth]) -> Assessment:
    """What the toys say, without the command."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "registered", lambda *_: tuple(sorted(TOYS)))
        patch.setattr(registry, "model_class", lambda name, **_: TOYS[name])
        patch.setattr(registry, "create", lambda name, *_: TOYS[name]())
        patch.setattr(forecast.data.synthetic, "simulate", lambda _: economy)
        return ask_ampleness(AmplenessQuestion(data="synthetic"))


def words(text: str) -> str:
    return " ".join(text.split())


# --------------------------------------------------------------------------- the screen


def test_the_screen_says_state_tables_reasons_and_limits(run: Run, assessment: Assessment) -> None:
    code, out, _ = run("--data", "synthetic")
    said = words(out)
    assert code == 0
    assert said.startswith("Reserves judged by effr_iorb (simulated economy), as of 2012-12-31")
    assert sentence(assessment) in said
    for part in (
        "this is the simulated economy, not actual data",
        "bp per percentage point of bank assets",
        "bp per USD 100 bn",
        "Prior beside posterior",
        "toy_stuck: its sampler failed the diagnostics: R-hat of 'kink' is 1.3",
        "What would change the answer",
        "says nothing about actual reserves",
        "steps out",  # dated steps are those of another history
    ):
        assert part in said


def test_the_screen_fits_a_hundred_columns(run: Run) -> None:
    _, out, _ = run("--data", "synthetic")
    assert max(map(len, out.splitlines())) <= 100
    assert "…" not in out


def test_the_truth_stands_beside_the_models(run: Run, assessment: Assessment) -> None:
    _, out, _ = run("--data", "synthetic")
    assert assessment.truth is not None
    (row,) = [line for line in out.splitlines() if re.match(r"truth\s+\w", line)]
    assert f"{assessment.truth.slope.iloc[-1]:.2f}".replace("-", "−") in row
    assert any(f"{at:.1f}" in out for at in assessment.truth.thresholds.values())


def test_the_tables_hold_the_numbers_of_the_models(run: Run, assessment: Assessment) -> None:
    _, out, _ = run("--data", "synthetic")
    told = assessment.answers[0].ampleness
    (row,) = [line for line in out.splitlines() if line.startswith("toy_curve ")]
    median = f"{np.median(told.slope[:, -1]):.2f}".replace("-", "−")
    assert row.split()[2] == median
    assert row.rstrip().endswith(f"{100 * told.slope_below(-1.0):.0f} %")
    (line,) = [line for line in out.splitlines() if re.match(r"-0\.5 +100 %", line)]
    needed = f"{np.median(told.reserves_needed(-0.5, assessment.bank_assets)):,.0f}"
    assert line.split()[-1] == needed


def test_asking_twice_gives_the_same_numbers_in_any_company(run: Run) -> None:
    _, first, _ = run("--data", "synthetic", "--json")
    _, alone, _ = run("--data", "synthetic", "--json", "--model", "toy_curve")
    _, other, _ = run("--data", "synthetic", "--json", "--model", "toy_curve", "--seed", "2")
    one, two, three = (
        next(m for m in json.loads(out)["models"] if m["model"] == "toy_curve") | {"seconds": 0}
        for out in (first, alone, other)
    )
    assert one == two
    assert one != three


def test_quick_leaves_sampled_models_out_and_says_so(run: Run) -> None:
    _, out, _ = run("--data", "synthetic", "--quick")
    assert "toy_curve: left out by --quick" in words(out)
    _, out, _ = run("--data", "synthetic", "--quick", "--model", "toy_curve")
    assert "left out" not in out


def test_another_spread_reaches_the_models(run: Run) -> None:
    code, out, _ = run("--data", "synthetic", "--spread", "tgcr_iorb", "--json", "--model", "toy_slope")
    # Repo rates are published from 2018 on, later than this economy lives.
    assert code == 3
    assert out == ""


# --------------------------------------------------------------------------- JSON


def test_json_is_the_document_of_the_assessment(run: Run, assessment: Assessment) -> None:
    code, out, err = run("--data", "synthetic", "--json")
    document, expected = json.loads(out), json.loads(json.dumps(ampleness_document(assessment), allow_nan=False))
    assert (code, err) == (0, "")
    assert document.pop("page") is None
    for each in (*document["models"], *expected["models"]):
        assert each.pop("seconds") >= 0
    assert document == expected


def test_the_document_holds_the_numbers_of_the_draws(assessment: Assessment) -> None:
    document = ampleness_document(assessment)
    curve, slope = document["models"]
    told = assessment.answers[0].ampleness
    now = told.slope[:, -1]
    assert curve["slope_bp_per_pp_of_bank_assets"]["low_95"] == pytest.approx(np.quantile(now, 0.025))
    per_100bn = curve["slope_bp_per_usd_100bn"]["median"] / curve["slope_bp_per_pp_of_bank_assets"]["median"]
    assert per_100bn == pytest.approx(1e4 / assessment.bank_assets)
    middle = curve["thresholds"][1]
    assert middle["slope_bp_per_pp_of_bank_assets"] == -0.5
    assert middle["ratio_percent_of_bank_assets"]["median"] == pytest.approx(np.median(told.thresholds[-0.5]))
    assert middle["distance_usd_bn"]["median"] + middle["reserves_needed_usd_bn"]["median"] == pytest.approx(
        document["reserves_usd_bn"]
    )
    assert [each["learnt_from"] for each in curve["prior_beside_posterior"]] == ["the data", "the data"]
    assert slope["thresholds"] == slope["prior_beside_posterior"] == []
    assert slope["slope_may_be_positive"] is True
    assert document["silent"] == [
        {
            "model": "toy_stuck",
            "reason": "its sampler failed the diagnostics: R-hat of 'kink' is 1.3 (must be below 1.01)",
        }
    ]
    assert document["truth"]["ratio_percent_of_bank_assets"]["-0.5"] == pytest.approx(
        assessment.truth.thresholds[-0.5]  # type: ignore[union-attr]
    )


# --------------------------------------------------------------------------- data and time


def test_without_an_archive_the_simulated_economy_answers_and_it_is_said(run: Run) -> None:
    code, out, _ = run()
    assert code == 0
    assert "There is no archive in" in out
    assert "not actual data" in words(out)


def test_an_archive_that_has_the_series_is_taken(run: Run, archive: Vintages) -> None:
    _, out, _ = run("--json")
    document = json.loads(out)
    assert document["data"] == "archive"
    assert document["truth"] is None
    assert document["notes"] == []


def test_an_archive_without_the_series_is_not_taken_and_named(
    run: Run, archive: Vintages, monkeypatch: pytest.MonkeyPatch
) -> None:
    fewer = archive.only([name for name in archive.names if name != "bank_assets"])
    monkeypatch.setattr(forecast.data.store, "load_vintages", lambda: fewer)
    _, out, _ = run("--json")
    document = json.loads(out)
    assert document["data"] == "synthetic"
    assert "has no bank_assets" in document["notes"][0]
    code, _, err = run("--data", "archive")
    assert code == 3
    assert "has no bank_assets" in err
    assert "forecast data import" in err


def test_now_is_when_the_last_new_number_came_out(run: Run, archive: Vintages) -> None:
    _, out, _ = run("--json")
    at = pd.Timestamp(json.loads(out)["as_of"])
    inputs = ["effr", "ioer", "reserves_average", "bank_assets"]
    rows = archive.observations
    latest = {name: rows[(rows["series"] == name)].groupby("period")["released"].min().iloc[-1] for name in inputs}
    assert at == max(latest.values())


def test_as_of_a_day_means_its_end(run: Run, archive: Vintages) -> None:
    # H.8 of the week to Wednesday 7 March 2012 comes on Friday the 16th at 16:15.
    for asked, last in (("2012-03-16", "2012-03-07"), ("2012-03-16 12:00", "2012-02-29")):
        _, out, _ = run("--json", "--as-of", asked)
        assert json.loads(out)["last_week"] == last


def test_an_as_of_after_the_data_is_said_not_hidden(run: Run, archive: Vintages) -> None:
    _, out, _ = run("--as-of", "2016-05-01")
    assert "Nothing new became known after 2012-12-31" in words(out)
    assert "not on 2016-05-01" in words(out)
    _, soon, _ = run("--json", "--as-of", "2013-01-04")
    assert json.loads(soon)["notes"] == []


# --------------------------------------------------------------------------- what is wrong


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--model", "toy_slop"), 2, "Did you mean: toy_slope"),
        (("--model", "toy_mute"), 2, "cannot tell ampleness. These can: toy_curve, toy_slope, toy_stuck"),
        (("--spread", "effr_iorbb"), 2, "Did you mean: effr_iorb"),
        (("--spread", "reserve_ratio"), 2, "Use one of: effr_iorb, sofr_iorb, tgcr_iorb"),
        (("--as-of", "soon"), 2, "--as-of 'soon' is not a date; write it as 2024-03-07"),
        (("--start", "long ago"), 2, "--start 'long ago' is not a date"),
        (("--as-of", "2001-01-01"), 3, "later --as-of"),
        (("--as-of", "2008-01-01"), 3, "later --as-of"),
        (("--start", "2030-01-01"), 3, "earlier --start"),
        (("--data", "archive"), 3, "forecast data import"),
        (("--data", "guess"), 2, "'archive', 'synthetic'"),
        (("--seed", "-1"), 2, "--seed"),
        (("--model", "toy_stuck"), 4, "no model answered. toy_stuck: its sampler failed"),
        (("--html", "/dev/null/page.html"), 2, "--html: cannot write"),
    ],
    ids=str,
)
def test_what_is_wrong_is_said_in_one_line_with_its_exit_code(
    run: Run, arguments: tuple[str, ...], code: int, said: str
) -> None:
    found, out, err = run(*arguments)
    assert found == code
    assert said in err
    assert out == ""
    assert "Traceback" not in err


def test_a_broken_plug_in_is_listed_and_stops_nobody(run: Run, toys: dict[str, Any]) -> None:
    toys["toy_broken"] = ImportError("no module\nnamed 'gone'")
    code, out, _ = run("--data", "synthetic", "--json")
    assert code == 0
    assert {"model": "toy_broken", "reason": "no module named 'gone'"} in json.loads(out)["silent"]


def test_help_loads_nothing_heavy() -> None:
    check = (
        "import sys; sys.argv = ['forecast', 'ampleness', '--help']\n"
        "from forecast.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = {'numpy', 'pandas', 'scipy', 'matplotlib', 'duckdb', 'rich', 'models'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "--as-of" in done.stdout
    said = words(done.stdout)
    assert f"by less than {-TOLERANCES[0]:g} bp where reserves are abundant" in said
    assert f"by more than {-TOLERANCES[-1]:g} bp where they are scarce" in said
    assert round(3 * CONFIDENT) == 2
    assert "gives at least two chances in three" in said


# --------------------------------------------------------------------------- in a notebook


def test_one_call_gives_the_same_answer_in_a_notebook(run: Run, tmp_path: Path, capsys: Any) -> None:
    _, shown, _ = run("--data", "synthetic")
    assessment = fc.ask_ampleness(fc.AmplenessQuestion(data="synthetic"))
    fc.print_assessment(assessment)
    assert capsys.readouterr().out == shown
    assert fc.write_ampleness(assessment, tmp_path / "page.html").exists()
    assert fc.ask_ampleness().data == "synthetic"  # there is no archive


def test_the_command_asks_what_the_question_asks_by_default() -> None:
    defaults = {option.name: option.default for option in command.params}
    question = fc.AmplenessQuestion()
    assert (defaults["spread"], defaults["start"], defaults["seed"]) == (question.spread, question.start, question.seed)


def test_on_a_screen_a_bar_counts_the_models_and_leaves_nothing(run: Run, monkeypatch: Any) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # a screen
    _, out, err = run("--data", "synthetic", "--json")
    assert json.loads(out)["state"]
    assert "3/3" in err
    assert err.endswith("\x1b[2K")


# --------------------------------------------------------------------------- the page


@pytest.fixture(scope="module")
def page(assessment: Assessment) -> str:
    return render_ampleness(assessment)


def test_the_page_is_written_where_it_is_told(run: Run, tmp_path: Path) -> None:
    target = tmp_path / "new" / "page.html"
    code, out, _ = run("--data", "synthetic", "--html", str(target))
    assert code == 0
    assert f"Page: {target}" in out
    assert target.read_text(encoding="utf-8").startswith("<!doctype html>")


def test_the_page_is_self_contained_and_the_same_every_time(page: str, assessment: Assessment) -> None:
    assert "<script" not in page
    assert not re.search(r"(src|href)=\"(?!#)", page)
    assert "default-src 'none'" in page
    assert render_ampleness(assessment) == page


def test_the_page_says_what_the_screen_says(page: str, assessment: Assessment) -> None:
    for part in (sentence(assessment), "toy_stuck", "What would change the answer", "nothing about actual", "truth"):
        assert part in page
    assert page.count("<svg viewBox") == 3


def test_names_on_the_page_are_text(assessment: Assessment) -> None:
    first = replace(assessment.answers[0], model="<b>x</b>")
    hostile = render_ampleness(replace(assessment, answers=(first,), notes=("<script>alert(1)</script>",)))
    assert "<b>x" not in hostile
    assert "<script" not in hostile


def test_a_page_without_a_curve_or_a_prior_has_none(assessment: Assessment) -> None:
    slopes = replace(assessment, answers=assessment.answers[1:], truth=None)
    said = render_ampleness(slopes)
    assert "No model with a curve answered" in said
    assert said.count("<svg viewBox") == 1
    assert curve_figure(slopes) is None
    assert distance_figure(slopes) is None


# --------------------------------------------------------------------------- the pictures


def lines(svg: str, variable: str) -> list[np.ndarray]:
    """Points of every line in a colour, in drawing units; SVG counts downwards."""
    root = ET.fromstring(svg.replace("xlink:href", "href"))  # noqa: S314  our own text
    styles = [(node.get("style", ""), node.get("d", "")) for node in root.iter("path")]
    found = [d for style, d in styles if "fill: none" in style and f"stroke: var(--{variable})" in style]
    return [np.array(re.findall(r"(-?[\d.]+) (-?[\d.]+)", d), dtype=float) for d in found]


def test_the_curve_on_the_picture_is_the_median_curve(assessment: Assessment) -> None:
    """If the truth were the median curve both would be one line; one bp higher, every point lies as much higher."""
    curve, truth = assessment.answers[0].ampleness.curve, assessment.truth
    assert curve is not None
    assert truth is not None
    middle = np.median(curve.spread, axis=0)
    drawn = []
    for shift in (0.0, 1.0):
        svg = curve_figure(replace(assessment, truth=replace(truth, ratio=curve.ratio, spread=middle + shift)))
        assert svg is not None
        drawn.append([max(lines(svg, colour), key=len) for colour in ("hue-0", "ink")])
    np.testing.assert_array_equal(drawn[0][0], drawn[0][1])
    np.testing.assert_array_equal(drawn[0][0], drawn[1][0])
    lifted = drawn[1][1][-20:, 1] - drawn[1][0][-20:, 1]
    assert lifted.max() < -1
    assert np.ptp(lifted) < 0.25  # coordinates are rounded to tenths


def test_the_true_curve_is_drawn_only_where_there_is_one(assessment: Assessment) -> None:
    with_truth, without = curve_figure(assessment), curve_figure(replace(assessment, truth=None))
    assert with_truth is not None
    assert without is not None
    assert "true curve" in with_truth
    assert "true curve" not in without


def test_pictures_have_a_panel_for_every_model_that_has_one(assessment: Assessment) -> None:
    first = assessment.answers[0]
    many = replace(assessment, answers=tuple(replace(first, model=f"m{k}") for k in range(5)))
    for figure in (curve_figure(many), slope_figure(many), distance_figure(many)):
        assert figure is not None
        assert all(f">m{k}<" in figure for k in range(5))


def test_the_distance_is_above_zero_where_the_ratio_is_above_the_threshold(assessment: Assessment) -> None:
    told = assessment.answers[0].ampleness
    svg = distance_figure(assessment)
    assert svg is not None
    drawn = max(lines(svg, "hue-0"), key=len)
    zero = next(line for line in lines(svg, "ink") if len(line) == 2)[0, 1]
    at = np.interp(np.linspace(0, 1, len(told.weeks)), np.linspace(0, 1, len(drawn)), drawn[:, 1])
    above = told.ratio > np.median(told.thresholds[-0.5])
    assert 0.1 < above.mean() < 0.9
    assert ((at < zero) == above).mean() > 0.97
