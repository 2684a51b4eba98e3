"""``forecast response`` as a user meets it: what is printed, written, and said when something is wrong."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pandas as pd
import pytest

import forecast.data.store
import forecast.features
from forecast.answers.impulse_response import ImpulseResponse, ResponseQuestion
from forecast.cli import main
from forecast.data.catalog import catalog
from forecast.data.vintages import Vintages, VintageTable
from forecast.registry import analysis

ASK = ("--shock", "reserve_ratio", "--of", "treasury_10y", "--horizon", "6", "--lags", "2")

type Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def vintages() -> Vintages:
    """Six years of a reserve ratio and a yield that follows it."""
    rng, weeks = np.random.default_rng(1), pd.date_range("2012-01-04", periods=312, freq="7D")
    ratio = 12 + np.cumsum(rng.normal(size=312)) / 10
    values = {
        "reserves_average": ratio * 200,
        "bank_assets": np.full(312, 20_000.0),
        "treasury_10y": 3 - 0.2 * ratio + rng.normal(size=312) / 20,
    }
    periods, as_of = weeks.to_numpy().astype("M8[us]"), pd.Timestamp("2020-01-01")
    return Vintages.from_tables([VintageTable(n, as_of, periods, v) for n, v in values.items()], catalog())


@pytest.fixture
def run(vintages: Vintages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """The command with arguments -> exit code, output, errors; the archive holds ``vintages``."""
    monkeypatch.setenv("FORECAST_HOME", str(tmp_path))
    (tmp_path / "archive").mkdir()
    monkeypatch.setattr(forecast.data.store, "load_vintages", lambda: vintages)

    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["forecast", "response", *arguments])
        with pytest.raises(SystemExit) as stopped:
            main()
        said = capsys.readouterr()
        return int(stopped.value.code or 0), said.out, said.err

    return call


def answer(vintages: Vintages, as_of: str = "2020-01-02") -> ImpulseResponse:
    question = ResponseQuestion("reserve_ratio", "yield_10y", horizon=6, lags=2)
    found: ImpulseResponse = analysis("local_projection")(vintages.as_of(as_of), question)
    return found


def test_it_prints_question_table_sentence_caveat_and_picture(run: Run, vintages: Vintages, tmp_path: Path) -> None:
    code, out, err = run(*ASK)
    expected = answer(vintages)
    assert (code, err) == (0, "")
    assert "Response of yield_10y to a 1 percentage point rise in reserve_ratio" in out
    assert "USD 200 bn at the latest bank assets" in out
    assert "weeks 2012-01-04 to 2017-12-20 (archive)" in out
    unfolded = " ".join(out.split())
    assert expected.sentence() in unfolded
    assert expected.caveat() in unfolded
    assert "correlation, not a cause" in unfolded
    assert f"Picture: {tmp_path / 'response-reserve_ratio-treasury_10y.svg'}" in out
    header, *rows = out[out.index("weeks after ") :].splitlines()[:8]
    assert all(word in header for word in ("weeks after", "bp", "68% band", "95% band"))
    for row, (h, numbers) in zip(rows, expected.table().iterrows(), strict=True):
        shown = [float(word) for word in row.replace(" to ", " ").split()]
        order = ["estimate", "standard_error", "low_68", "high_68", "low_95", "high_95", "n"]
        assert shown == pytest.approx([h, *numbers[order]], abs=0.00501)


def test_json_holds_the_numbers_of_the_answer(run: Run, vintages: Vintages, tmp_path: Path) -> None:
    code, out, _ = run(*ASK, "--json")
    document, expected = json.loads(out), answer(vintages)
    assert code == 0
    assert set(document) == {"shock", "response", "lags", "sample", "table", "sentence", "caveat", "picture"}
    assert document["shock"] == {
        "feature": "reserve_ratio",
        "size": 1.0,
        "unit": "pp",
        "usd_bn": pytest.approx(200.0),
    }
    assert document["response"] == {"feature": "yield_10y", "unit": "bp"}
    assert document["sample"] == {"data": "archive", "first": "2012-01-04", "last": "2017-12-20"}
    pd.testing.assert_frame_equal(
        pd.DataFrame(document["table"]), expected.table().reset_index(), check_dtype=False, rtol=1e-12
    )
    assert document["sentence"] == expected.sentence()
    assert Path(document["picture"]).is_relative_to(tmp_path)


def test_the_picture_goes_where_it_is_told(run: Run, tmp_path: Path) -> None:
    target = tmp_path / "new" / "answer.svg"
    code, out, _ = run(*ASK, "--picture", str(target))
    assert code == 0
    assert str(target) in out
    assert ET.parse(target).getroot().tag.endswith("svg")  # noqa: S314  our own text


def test_as_of_a_day_means_its_end(run: Run, vintages: Vintages) -> None:
    # The week to Wednesday 4 March 2015 needs H.8 of Friday 13 March at 16:15.
    _, out, _ = run(*ASK, "--as-of", "2015-03-13", "--json")
    document = json.loads(out)
    assert document["sample"]["last"] == "2015-03-04"
    expected = answer(vintages, "2015-03-13 23:59:59").table()["estimate"]
    assert [row["estimate"] for row in document["table"]] == pytest.approx(list(expected), rel=1e-12)
    _, before, _ = run(*ASK, "--as-of", "2015-03-13 12:00", "--json")
    assert json.loads(before)["sample"]["last"] == "2015-02-25"


@pytest.mark.parametrize(
    ("change", "code", "said"),
    [
        (("--shock", "reserve_ration"), 2, "Did you mean: reserve_ratio"),
        (("--of", "treasury_10"), 2, "unknown feature 'treasury_10'"),
        (("--of", "reserve_ratio"), 2, "stands twice"),
        (("--of", "effr_iorb"), 3, "has no value released"),
        (("--lags", "200"), 4, "ShortHistoryError: "),
        (("--horizon", "300"), 2, "Ask for a horizon of at most 271 weeks"),
        (("--as-of", "soon"), 2, "write it as 2024-03-07"),
        (("--as-of", "NaT"), 2, "write it as 2024-03-07"),
        (("--as-of", "2011-01-01"), 3, "has no value released by 2011-01-01"),
        (("--data", "guess"), 2, "'archive', 'synthetic'"),
        (("--lags", "0"), 2, "--lags"),
        (("--picture", "/dev/null/answer.svg"), 2, "cannot write"),
    ],
)
def test_what_is_wrong_is_said_in_one_line_with_its_exit_code(
    run: Run, change: tuple[str, str], code: int, said: str
) -> None:
    found, out, err = run(*ASK, *change)
    assert found == code
    assert said in err
    assert out == ""
    assert "Traceback" not in err


def test_without_an_archive_it_says_how_to_get_data(run: Run, tmp_path: Path) -> None:
    (tmp_path / "archive").rmdir()
    code, _, err = run(*ASK)
    assert code == 3
    assert "forecast data import" in err
    assert "--data synthetic" in err


def test_the_simulated_economy_answers_without_data(run: Run, tmp_path: Path) -> None:
    (tmp_path / "archive").rmdir()
    code, out, _ = run("--shock", "reserve_ratio", "--of", "effr_iorb", "--data", "synthetic", "--json")
    document = json.loads(out)
    assert code == 0
    assert document["sample"]["data"] == "synthetic"
    assert len(document["table"]) == 27
    # Below satiation more reserves mean a lower spread: demand slopes down in that economy.
    assert document["table"][4]["high_95"] < 0


def test_help_loads_nothing_heavy() -> None:
    check = (
        "import sys; sys.argv = ['forecast', 'response', '--help']\n"
        "from forecast.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = {'numpy', 'pandas', 'scipy', 'matplotlib', 'duckdb', 'statsmodels', 'models'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "--shock" in done.stdout
