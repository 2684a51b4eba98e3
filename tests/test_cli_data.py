"""What a user sees: clear sentences, whole names, and exit codes that cannot be overlooked."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from forecast.cli import forecast
from forecast.data.catalog import catalog
from forecast.errors import DataError, UnknownNameError, UsageError

ROWS = "series_id,units,as_of,file,obtained_from\n"
CURRENT = "BOGMBASE,USD billions,2026-07-02,BOGMBASE.csv,a page [TRANSCRIBED]\n"
BASE = "date,value\n2023-10-01,5600.5\n2023-11-01,5700.25\n"
IN_MILLIONS = "date,value\n2023-10-01,5600500\n2023-11-01,5700250\n"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FORECAST_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def folder(path: Path, rows: str = "", **files: str) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    if rows:
        (path / "MANIFEST.csv").write_text(ROWS + rows, encoding="utf-8")
    for name, text in files.items():
        (path / f"{name}.csv").write_text(text, encoding="utf-8")
    return path


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(forecast, ["data", *(str(argument) for argument in arguments)])


@pytest.fixture
def filled(tmp_path: Path) -> Path:
    there = folder(tmp_path / "current", CURRENT, BOGMBASE=BASE)
    assert run("import", there).exit_code == 0
    return there


def test_a_good_import_ends_in_one_clear_sentence(tmp_path: Path, home: Path) -> None:
    result = run("import", folder(tmp_path / "in", CURRENT, BOGMBASE=BASE))
    assert result.exit_code == 0
    assert f"Imported 1 files (2 values) into {home / 'archive'}; 0 were there already, 0 refused." in result.stdout


def test_importing_again_says_that_nothing_is_new(filled: Path) -> None:
    result = run("import", filled)
    assert result.exit_code == 0
    assert "Imported 0 files (0 values)" in result.stdout
    assert "1 were there already" in result.stdout


def test_a_refused_file_is_shown_with_its_remedy_and_ends_as_a_data_error(tmp_path: Path, filled: Path) -> None:
    files = {"BOGMBASE__2023-12-28": IN_MILLIONS, "UNRATE__2024-01-31": "date,value\n2023-10-01,3.9\n"}
    there = folder(tmp_path / "older", **files)
    result = run("import", there)
    assert isinstance(result.exception, DataError)
    assert "1 of 2 files refused" in str(result.exception)
    assert "Refused: BOGMBASE__2023-12-28.csv" in result.stdout
    assert "--unit BOGMBASE=usd_mn" in result.stdout
    assert "UNRATE__2024-01-31.csv states no unit; read in percent" in result.stdout
    again = run("import", there, "--unit", "BOGMBASE=usd_mn")
    assert again.exit_code == 0
    assert "Imported 1 files (2 values)" in again.stdout


def test_values_left_out_are_listed(tmp_path: Path) -> None:
    text = "date,value\n2023-04-12,17368.7\n2023-04-26,17094.5\n"
    result = run("import", folder(tmp_path / "in", **{"H8_DEPOSITS_NSA__2023-04-27": text}))
    assert result.exit_code == 0
    assert "2023-04-26" in result.stdout
    assert "not public before 2023-05-05 16:15" in result.stdout


def test_a_long_list_of_values_is_cut_and_says_so(tmp_path: Path) -> None:
    rows = "".join(f"2021-{month:02d}-04,1\n" for month in range(1, 8)) + "".join(
        f"2021-06-{d:02d},1\n" for d in range(5, 28)
    )
    result = run("import", folder(tmp_path / "in", **{"SRF_ACCEPTED__2025-07-01": f"date,value\n{rows}2025-06-25,1\n"}))
    assert result.exit_code == 0
    assert "... and 10 more; --json lists them all." in result.stdout


def test_what_is_left_out_and_what_is_put_right_is_said(tmp_path: Path) -> None:
    unsorted = "date,value\n2023-11-01,5700.25\n2023-10-01,5600.5\n"
    result = run("import", folder(tmp_path / "in", CURRENT, BOGMBASE=unsorted, MOON=BASE))
    assert result.exit_code == 0
    assert "Left out, not in the catalogue: MOON.csv" in result.stdout
    assert "Put right, rows sorted by date: BOGMBASE.csv" in result.stdout


def test_a_folder_without_any_known_series_is_a_data_error(tmp_path: Path) -> None:
    result = run("import", folder(tmp_path / "in", **{"MOON__2025-01-01": BASE}))
    assert isinstance(result.exception, DataError)
    assert "forecast data status --all" in str(result.exception)


@pytest.mark.parametrize("option", ["BOGMBASE", "=usd_mn", "BOGMBASE=", "BOGMBASE:usd_mn"])
def test_a_unit_option_that_is_none_says_how_to_write_it(tmp_path: Path, option: str) -> None:
    result = run("import", folder(tmp_path / "in", CURRENT, BOGMBASE=BASE), "--unit", option)
    assert isinstance(result.exception, UsageError)
    assert "ID=UNIT" in str(result.exception)


def test_a_unit_for_a_series_that_is_not_there_is_a_usage_error(tmp_path: Path) -> None:
    result = run("import", folder(tmp_path / "in", CURRENT, BOGMBASE=BASE), "--unit", "BOGBASE=usd_mn")
    assert isinstance(result.exception, UnknownNameError)
    assert "Did you mean: BOGMBASE?" in str(result.exception)


def test_the_import_report_is_also_json(tmp_path: Path) -> None:
    files = {
        "H8_DEPOSITS_NSA__2023-04-27": "date,value\n2023-04-12,17368.7\n2023-04-26,17094.5\n",
        "MOON": BASE,
        "M1SL": BASE,
    }
    result = run("import", folder(tmp_path / "in", **files), "--json")
    document = json.loads(result.stdout)
    assert [file["series"] for file in document["imported"]] == ["deposits"]
    assert document["imported"][0]["unit_assumed"] is True
    assert [value["period"] for value in document["refused_values"]] == ["2023-04-26"]
    assert [aside["file"] for aside in document["refused"]] == ["M1SL.csv"]
    assert [aside["file"] for aside in document["left_out"]] == ["MOON.csv"]
    assert isinstance(result.exception, DataError)


def test_status_of_an_empty_archive_says_how_to_fill_it() -> None:
    result = run("status")
    assert isinstance(result.exception, DataError)
    assert "forecast data import DIR" in str(result.exception)


def test_status_lists_what_is_there(filled: Path, home: Path) -> None:
    result = run("status")
    assert result.exit_code == 0
    cells = result.stdout.splitlines()[1].split()
    assert cells == ["monetary_base", "BOGMBASE", "usd_bn", "2023-10-01", "2023-11-01", "single", "transcribed"]
    assert f"1 series in {home / 'archive'}." in result.stdout


def test_status_as_json_is_the_same_table(filled: Path) -> None:
    (row,) = json.loads(run("status", "--json").stdout)
    assert (row["name"], row["last"], row["vintages"]) == ("monetary_base", "2023-11-01", "single")
    assert row["title"] == "Monetary base"


def test_status_all_lists_the_catalogue_with_what_is_absent(filled: Path) -> None:
    rows = json.loads(run("status", "--all", "--json").stdout)
    assert [row["name"] for row in rows] == list(catalog())
    present = [row["name"] for row in rows if row["vintages"] != "absent"]
    assert present == ["monetary_base"]
    assert {frozenset(row) for row in rows} == {frozenset(rows[0])}
    shown = run("status", "--all").stdout
    assert all(name in shown for name in catalog())
    assert f"{len(catalog()) - 1} of the catalogue are absent" in shown


def test_status_all_needs_no_archive() -> None:
    result = run("status", "--all")
    assert result.exit_code == 0
    assert "0 series in" in result.stdout


def test_the_program_exits_3_so_that_nobody_overlooks_a_refusal(tmp_path: Path) -> None:
    there = folder(tmp_path / "in", **{"BOGMBASE__2023-12-28": ""})
    done = subprocess.run(
        [sys.executable, "-m", "forecast", "data", "import", str(there)],
        capture_output=True, text=True, check=False, env=dict(os.environ),
    )  # fmt: skip
    assert done.returncode == 3
    assert done.stderr.strip() == "DataError: 1 of 1 files refused. Correct them as said and import again."
    assert "the file is empty" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


# ---- an archive in one file


def test_an_archive_goes_out_and_comes_back(
    tmp_path: Path, filled: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = run("export", tmp_path / "archive.tar.gz")
    assert out.exit_code == 0
    assert f"Exported 1 vintages to {tmp_path / 'archive.tar.gz'} (0.0 MB)." in out.stdout
    monkeypatch.setenv("FORECAST_HOME", str(tmp_path / "elsewhere"))
    back = run("import", tmp_path / "archive.tar.gz")
    assert back.exit_code == 0
    assert "Imported 1 vintages from archive.tar.gz into" in back.stdout
    assert "0 were there already" in back.stdout
    for path in ("manifest.jsonl", "raw", "observations"):
        here, there = (root / "archive" / path for root in (home, tmp_path / "elsewhere"))
        pairs = [(here, there)] if here.is_file() else zip(sorted(here.iterdir()), sorted(there.iterdir()), strict=True)
        assert all(a.read_bytes() == b.read_bytes() and a.name == b.name for a, b in pairs)


def test_an_imported_archive_is_also_json(tmp_path: Path, filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run("export", tmp_path / "archive.tar")
    monkeypatch.setenv("FORECAST_HOME", str(tmp_path / "elsewhere"))
    document = json.loads(run("import", tmp_path / "archive.tar", "--json").stdout)
    assert document == {
        "imported": [{"id": "BOGMBASE", "as_of": "2026-07-02", "file": "BOGMBASE.csv"}],
        "unchanged": 0,
    }
    assert json.loads(run("import", tmp_path / "archive.tar", "--json").stdout) == {"imported": [], "unchanged": 1}


def test_a_damaged_export_is_a_data_error(tmp_path: Path, filled: Path) -> None:
    run("export", tmp_path / "archive.tar.gz")
    whole = (tmp_path / "archive.tar.gz").read_bytes()
    (tmp_path / "cut.tar.gz").write_bytes(whole[:-100])
    result = run("import", tmp_path / "cut.tar.gz")
    assert isinstance(result.exception, DataError)
    assert "cut.tar.gz: damaged" in str(result.exception)


def test_an_export_has_no_units_to_state(tmp_path: Path, filled: Path) -> None:
    run("export", tmp_path / "archive.tar")
    result = run("import", tmp_path / "archive.tar", "--unit", "BOGMBASE=usd_mn")
    assert isinstance(result.exception, UsageError)


def test_a_source_that_does_not_exist_is_a_usage_error(tmp_path: Path) -> None:
    assert run("import", tmp_path / "nowhere").exit_code == 2


# ---- the check


def test_a_sound_archive_ends_in_one_clear_sentence(filled: Path, home: Path) -> None:
    result = run("check")
    assert result.exit_code == 0
    # The file ends in November 2023 and says that it was current in July 2026.
    assert f"0 errors and 1 warnings in {home / 'archive'}." in result.stdout
    assert "BOGMBASE" in result.stdout
    assert "Import a newer file" in " ".join(result.stdout.split())


def test_an_error_in_the_archive_cannot_be_overlooked(filled: Path, home: Path) -> None:
    (raw,) = (home / "archive" / "raw").iterdir()
    raw.write_bytes(b"changed")
    result = run("check")
    assert isinstance(result.exception, DataError)
    assert "1 errors in the archive" in str(result.exception)
    assert result.stdout.index("error") < result.stdout.index("warning")


def test_findings_are_also_json(filled: Path) -> None:
    (finding,) = json.loads(run("check", "--json").stdout)
    assert set(finding) == {"series", "as_of", "check", "severity", "said", "fix"}
    assert (finding["series"], finding["check"], finding["severity"]) == ("BOGMBASE", "stale", "warning")


def test_what_is_remarkable_is_said_on_import(tmp_path: Path) -> None:
    there = folder(tmp_path / "in", CURRENT, BOGMBASE=BASE)
    assert "Remarkable, stale: BOGMBASE" in run("import", there).stdout
    line = json.loads((tmp_path / "home" / "archive" / "manifest.jsonl").read_text(encoding="utf-8"))
    assert line["warnings"] == ["it ends on 2023-11-30, and the next value was due 891 days before its as_of"]


def test_many_names_are_cut_and_counted(tmp_path: Path) -> None:
    ids = [spec.id for spec in catalog().values() if spec.unit.name == "usd_bn" and spec.frequency == "W-WED"][:25]
    files = {f"{key}__2025-07-01": "date,value\r\n2025-06-18,500\r\n" for key in ids}
    shown = run("import", folder(tmp_path / "in", **files)).stdout
    assert "Put right, line ends made uniform: " in shown
    assert " and 5 more" in shown
