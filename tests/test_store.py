"""The archive keeps the evidence, and gives back what was put in."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from forecast.data.catalog import catalog
from forecast.data.sources.directory import ImportReport
from forecast.data.store import entries, import_directory, load_vintages, provenance
from forecast.data.vintages import Vintages
from forecast.errors import DataError, UnitError

SHARED = Path(__file__).resolve().parents[2] / "shared"
needs_shared = pytest.mark.skipif(not SHARED.exists(), reason="no shared data beside the project")

MANIFEST = "series_id,units,as_of,file,obtained_from,checks\n"
BASE = "date,value\n2023-10-01,56.005\n2023-11-01,57.0025\n2023-12-01,58.00125\n"
IN_MILLIONS = "date,value\n2023-10-01,56005\n2023-11-01,57002.5\n"


def folder(path: Path, rows: str = "", **files: str) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    (path / "MANIFEST.csv").write_text(MANIFEST + rows, encoding="utf-8")
    for name, text in files.items():
        (path / f"{name}.csv").write_text(text, encoding="utf-8")
    return path


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    return tmp_path / "archive"


@pytest.fixture
def current(tmp_path: Path) -> Path:
    """The newest vintage of the monetary base, its unit stated."""
    return folder(tmp_path / "current", "BOGMBASE,USD billions,2026-07-02,,board,\n", BOGMBASE=BASE)


def older(tmp_path: Path, text: str = IN_MILLIONS, units: str = "") -> Path:
    row = f"BOGMBASE,{units},2023-12-28,BOGMBASE__2023-12-28.csv,copy,\n"
    return folder(tmp_path / "older", row, **{"BOGMBASE__2023-12-28": text})


def counts(report: ImportReport) -> tuple[int, int, int]:
    return len(report.imported), len(report.unchanged), len(report.refused)


def contents(archive: Path) -> dict[str, bytes]:
    return {str(p.relative_to(archive)): p.read_bytes() for p in sorted(archive.rglob("*")) if p.is_file()}


def base(held: Vintages) -> list[float]:
    return held.final().series("monetary_base").tolist()


# ---- in and out


def test_what_was_imported_comes_back(current: Path, archive: Path) -> None:
    assert counts(import_directory(current, archive=archive)) == (1, 0, 0)
    series = load_vintages(archive).final().series("monetary_base")
    assert series.tolist() == [56.005, 57.0025, 58.00125]
    assert pd.DatetimeIndex(series.index).strftime("%Y-%m-%d").tolist() == ["2023-10-01", "2023-11-01", "2023-12-01"]


def test_the_bytes_of_every_file_are_kept_under_their_own_hash(current: Path, archive: Path) -> None:
    import_directory(current, archive=archive)
    (entry,) = entries(archive)
    assert (archive / "raw" / entry.sha256).read_bytes() == (current / "BOGMBASE.csv").read_bytes()
    assert entry.sha256 == hashlib.sha256(BASE.encode()).hexdigest()


def test_a_line_says_everything_about_a_vintage(tmp_path: Path, archive: Path) -> None:
    row = "H8_DEPOSITS_NSA,USD millions,2023-04-27,,a copy [TRANSCRIBED],checked\n"
    text = "date,value\n2023-04-12,17368675\n2023-04-05,17300000\n2023-04-26,17094529\n"
    import_directory(folder(tmp_path / "in", row, H8_DEPOSITS_NSA=text), archive=archive)
    line = json.loads((archive / "manifest.jsonl").read_text(encoding="utf-8"))
    said = {key: line[key] for key in ("id", "as_of", "file", "unit", "unit_read", "unit_assumed", "values")}
    assert said == {
        "id": "H8_DEPOSITS_NSA",
        "as_of": "2023-04-27",
        "file": "H8_DEPOSITS_NSA.csv",
        "unit": "usd_bn",
        "unit_read": "usd_mn",
        "unit_assumed": False,
        "values": 2,
    }
    assert (line["first"], line["last"]) == ("2023-04-05", "2023-04-12")
    assert line["repairs"] == ["rows sorted by date"]
    assert [(value["period"], value["value"]) for value in line["refused"]] == [("2023-04-26", 17094.529)]
    assert line["provenance"]["obtained_from"] == "a copy [TRANSCRIBED]"
    assert pd.Timestamp(line["imported_at"]).tzinfo is not None


def test_empty_cells_survive_as_deletions(tmp_path: Path, archive: Path, current: Path) -> None:
    import_directory(
        older(tmp_path, "date,value\n2023-10-01,56.005\n2023-11-01,56.99\n", "USD billions"), archive=archive
    )
    gone = folder(
        tmp_path / "gone", "BOGMBASE,USD billions,2026-08-01,,,\n", BOGMBASE="date,value\n2023-10-01,.\n2023-11-01,1\n"
    )
    import_directory(gone, archive=archive)
    assert base(load_vintages(archive)) == [1.0]


def test_vintages_of_one_series_are_combined(tmp_path: Path, archive: Path, current: Path) -> None:
    import_directory(current, archive=archive)
    import_directory(
        older(tmp_path, "date,value\n2023-10-01,56.005\n2023-11-01,56.99\n", "USD billions"), archive=archive
    )
    held = load_vintages(archive)
    assert held.first_release().series("monetary_base").tolist() == [56.005, 56.99, 58.00125]
    assert base(held) == [56.005, 57.0025, 58.00125]
    assert held.single_vintage() == ()


def test_the_same_number_in_another_unit_is_no_revision(tmp_path: Path, archive: Path, current: Path) -> None:
    import_directory(current, archive=archive)
    import_directory(older(tmp_path, units="USD millions"), archive=archive)
    assert len(load_vintages(archive).observations) == 3


# ---- again


def test_importing_the_same_folder_again_changes_nothing(current: Path, archive: Path) -> None:
    import_directory(current, archive=archive)
    before = contents(archive)
    assert counts(import_directory(current, archive=archive)) == (0, 1, 0)
    assert contents(archive) == before


def test_the_manifest_only_grows(tmp_path: Path, archive: Path, current: Path) -> None:
    import_directory(current, archive=archive)
    before = (archive / "manifest.jsonl").read_bytes()
    import_directory(older(tmp_path, units="USD millions"), archive=archive)
    assert (archive / "manifest.jsonl").read_bytes().startswith(before)
    assert len((archive / "manifest.jsonl").read_bytes()) > len(before)


def test_another_file_of_the_same_day_is_refused_and_the_first_stays(
    tmp_path: Path, archive: Path, current: Path
) -> None:
    import_directory(current, archive=archive)
    other = folder(
        tmp_path / "other", "BOGMBASE,USD billions,2026-07-02,,,\n", BOGMBASE=BASE.replace("56.005", "56.01")
    )
    report = import_directory(other, archive=archive)
    assert counts(report) == (0, 0, 1)
    assert "already holds another file of BOGMBASE as of 2026-07-02" in report.refused[0].reason
    assert base(load_vintages(archive))[0] == 56.005


# ---- units


def test_an_unstated_unit_that_is_off_by_a_thousand_is_refused_with_the_remedy(
    tmp_path: Path, archive: Path, current: Path
) -> None:
    import_directory(current, archive=archive)
    before = contents(archive)
    report = import_directory(older(tmp_path), archive=archive)
    assert counts(report) == (0, 0, 1)
    assert "1000 times those of the vintage of 2026-07-02" in report.refused[0].reason
    assert "--unit BOGMBASE=usd_mn" in report.refused[0].reason
    assert contents(archive) == before


def test_the_remedy_works_and_need_not_be_repeated(tmp_path: Path, archive: Path, current: Path) -> None:
    import_directory(current, archive=archive)
    assert counts(import_directory(older(tmp_path), archive=archive, units={"BOGMBASE": "usd_mn"})) == (1, 0, 0)
    assert base(load_vintages(archive)) == [56.005, 57.0025, 58.00125]
    assert counts(import_directory(older(tmp_path), archive=archive, units={"BOGMBASE": "usd_mn"})) == (0, 1, 0)
    assert counts(import_directory(older(tmp_path), archive=archive)) == (0, 1, 0)
    assert base(load_vintages(archive)) == [56.005, 57.0025, 58.00125]


def test_a_stated_unit_that_is_wrong_by_a_thousand_is_refused_too(tmp_path: Path, archive: Path, current: Path) -> None:
    import_directory(current, archive=archive)
    report = import_directory(older(tmp_path, units="USD billions"), archive=archive)
    assert counts(report) == (0, 0, 1)
    assert "--unit BOGMBASE=usd_mn" in report.refused[0].reason


def test_a_wrong_first_assumption_can_be_put_right(tmp_path: Path, archive: Path, current: Path) -> None:
    """Alone, an unstated unit has nothing to contradict it; the same file read again replaces the wrong reading."""
    report = import_directory(older(tmp_path), archive=archive)
    assert [name for name, _ in report.assumed_units] == ["BOGMBASE__2023-12-28.csv"]
    refused = import_directory(current, archive=archive)
    assert "If that vintage is the wrong one" in refused.refused[0].reason
    assert counts(import_directory(older(tmp_path), archive=archive, units={"BOGMBASE": "usd_mn"})) == (1, 0, 0)
    assert counts(import_directory(current, archive=archive)) == (1, 0, 0)
    assert base(load_vintages(archive)) == [56.005, 57.0025, 58.00125]
    assert len(entries(archive)) == 2
    assert len((archive / "manifest.jsonl").read_text(encoding="utf-8").splitlines()) == 3


def test_in_one_batch_the_stated_unit_judges_the_unstated(tmp_path: Path, archive: Path) -> None:
    rows = "BOGMBASE,USD billions,2026-07-02,BOGMBASE.csv,,\nBOGMBASE,,2023-12-28,BOGMBASE__2023-12-28.csv,,\n"
    both = folder(tmp_path / "both", rows, BOGMBASE=BASE, **{"BOGMBASE__2023-12-28": IN_MILLIONS})
    report = import_directory(both, archive=archive)
    assert [file.name for file in report.imported] == ["BOGMBASE.csv"]
    assert [aside.name for aside in report.refused] == ["BOGMBASE__2023-12-28.csv"]


def test_a_catalogue_that_changes_a_unit_is_noticed(current: Path, archive: Path) -> None:
    from dataclasses import replace

    from forecast.units import UNITS

    import_directory(current, archive=archive)
    changed = {**catalog(), "monetary_base": replace(catalog()["monetary_base"], unit=UNITS["usd_mn"])}
    with pytest.raises(UnitError, match="BOGMBASE was archived in usd_bn, and the catalogue now says usd_mn"):
        load_vintages(archive, known=changed)


# ---- when something is missing


def test_an_empty_archive_says_how_to_fill_it(archive: Path) -> None:
    for read in (load_vintages, provenance, entries):
        with pytest.raises(DataError, match="forecast data import DIR"):
            read(archive)


def test_the_archive_stands_in_the_home_folder(tmp_path: Path, current: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORECAST_HOME", str(tmp_path / "home"))
    import_directory(current)
    assert (tmp_path / "home" / "archive" / "manifest.jsonl").exists()
    assert len(base(load_vintages())) == 3


def test_a_missing_observation_file_is_named_and_heals_on_import(current: Path, archive: Path) -> None:
    import_directory(current, archive=archive)
    shutil.rmtree(archive / "observations")
    with pytest.raises(DataError, match=r"BOGMBASE__2026-07-02.*Import BOGMBASE\.csv again"):
        load_vintages(archive)
    assert counts(import_directory(current, archive=archive)) == (1, 0, 0)
    assert len(base(load_vintages(archive))) == 3


def test_a_damaged_line_is_named(current: Path, archive: Path) -> None:
    import_directory(current, archive=archive)
    with (archive / "manifest.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"id": "BOGM')
    with pytest.raises(DataError, match="line 2 is damaged"):
        load_vintages(archive)


def test_an_import_that_is_interrupted_leaves_the_archive_as_it_was(
    tmp_path: Path, archive: Path, current: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import_directory(current, archive=archive)

    def crash(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("forecast.data.store._write_parquet", crash)
    with pytest.raises(OSError, match="disk full"):
        import_directory(older(tmp_path, units="USD millions"), archive=archive)
    monkeypatch.undo()
    assert len(entries(archive)) == 1
    assert counts(import_directory(older(tmp_path, units="USD millions"), archive=archive)) == (1, 0, 0)


def test_no_partial_files_are_left_behind(current: Path, archive: Path) -> None:
    import_directory(current, archive=archive)
    assert [name for name in contents(archive) if ".part" in name or name.rpartition("/")[2].startswith(".")] == []


# ---- where the numbers come from


def test_provenance_tells_copies_and_constructions_from_downloads(tmp_path: Path, archive: Path) -> None:
    rows = (
        "WRESBAL,USD millions,2026-07-30,,board,\n"
        "WCURCIR,USD millions,2026-07-30,,a page [TRANSCRIBED],\n"
        "WLRRAFOIAL_DERIVED,USD millions,2026-07-30,,(derived):a - b,\n"
        "IOER,percent,2021-07-29,,implementation notes [STEP-CODED],\n"
    )
    weeks = "date,value\n2025-06-18,1000000\n2025-06-25,2000000\n"
    files = {"WRESBAL": weeks, "WCURCIR": weeks, "WLRRAFOIAL_DERIVED": weeks, "IOER": "date,value\n2021-07-28,0.15\n"}
    import_directory(folder(tmp_path / "in", rows, **files), archive=archive)
    table = provenance(archive).set_index("name")
    expected = {
        "reserves_average": "",
        "currency_average": "transcribed",
        "foreign_rrp_wednesday": "derived",
        "ioer": "step-coded",
    }
    assert table["note"].to_dict() == expected
    assert set(table["vintages"]) == {"single"}
    row = table.loc["reserves_average"]
    assert (row["id"], row["unit"], row["first"], row["last"]) == ("WRESBAL", "usd_bn", "2025-06-18", "2025-06-25")
    assert row["provider"] == "Board of Governors"


def test_several_vintages_are_called_several(tmp_path: Path, archive: Path, current: Path) -> None:
    import_directory(current, archive=archive)
    import_directory(older(tmp_path, units="USD millions"), archive=archive)
    (row,) = provenance(archive).to_dict("records")
    assert (row["vintages"], row["first"], row["last"]) == ("several", "2023-10-01", "2023-12-01")


# ---- the official files


@needs_shared
def test_the_official_files_enter_and_load_quickly(archive: Path) -> None:
    assert counts(import_directory(SHARED / "data/fed", archive=archive)) == (180, 0, 0)
    report = import_directory(SHARED / "data/vintages", archive=archive)
    assert {aside.name.partition("__")[0] for aside in report.refused} == {"BOGMBASE"}
    assert counts(import_directory(SHARED / "data/vintages", archive=archive, units={"BOGMBASE": "usd_mn"})) == (
        2,
        13,
        0,
    )
    began = time.perf_counter()
    held = load_vintages(archive)
    assert time.perf_counter() - began < 6  # about one second on a quiet machine
    panel = held.as_of("2025-06-30 17:00")
    assert panel.series("reserves_average").iloc[-1] == 3369.328
    assert panel.series("reserves_wednesday").loc["2025-04-16"] == 3280.845
    assert held.final().series("monetary_base").iloc[-1] == pytest.approx(5648.1)
    # What was known of bank assets in January 2022 is the copy made then, not today's numbers.
    was, now = (p.series("bank_assets").loc["2021-12-29"] for p in (held.as_of("2022-01-12"), held.final()))
    assert was != now
    assert abs(was / now - 1) < 0.01
    rows = held.observations[held.observations["series"] == "monetary_base"].sort_values(["period", "released"])
    period, value = rows["period"].to_numpy(), rows["value"].to_numpy()
    again = period[1:] == period[:-1]
    assert again.any()
    assert np.abs(value[1:][again] / value[:-1][again] - 1).max() < 0.01
