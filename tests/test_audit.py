"""What has happened to an archive since it was filled is found, named and can be repaired as said."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from forecast.data.audit import check_archive
from forecast.data.catalog import catalog
from forecast.data.plausibility import Finding
from forecast.data.store import entries, import_directory, load_vintages
from forecast.errors import DataError
from forecast.tables import write_table

SHARED = Path(__file__).resolve().parents[2] / "shared"
needs_shared = pytest.mark.skipif(not SHARED.exists(), reason="no shared data beside the project")

HEAD = "series_id,units,as_of,file\n"
WEEKS = [str(np.datetime64("2025-07-16") - 7 * np.timedelta64(29 - i, "D")) for i in range(30)]
LEVELS = [round(3300 + 40 * np.sin(i) + i, 3) for i in range(30)]


def text(values: Sequence[object] = LEVELS, days: Sequence[str] = WEEKS) -> str:
    return "date,value\n" + "".join(f"{day},{value}\n" for day, value in zip(days, values, strict=True))


def put(archive: Path, key: str, content: str, as_of: str = "2025-07-24", units: str = "USD billions") -> Path:
    folder = archive.parent / f"in-{key}-{as_of}"
    folder.mkdir()
    (folder / "MANIFEST.csv").write_text(f"{HEAD}{key},{units},{as_of},{key}.csv\n", encoding="utf-8")
    (folder / f"{key}.csv").write_text(content, encoding="utf-8")
    report = import_directory(folder, archive=archive)
    assert [aside.reason for aside in report.refused] == []
    return folder


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    put(tmp_path / "archive", "WRESBAL", text())
    return tmp_path / "archive"


def only(found: list[Finding]) -> Finding:
    (finding,) = found
    return finding


def rewrite(archive: Path, **fields: object) -> None:
    """Change what the manifest says of its only vintage."""
    (row,) = [json.loads(line) for line in (archive / "manifest.jsonl").read_bytes().splitlines()]
    (archive / "manifest.jsonl").write_text(json.dumps({**row, **fields}) + "\n", encoding="utf-8")


def test_a_sound_archive_has_no_findings(archive: Path) -> None:
    assert check_archive(archive) == []


def test_an_empty_archive_says_how_to_fill_it(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="forecast data import DIR"):
        check_archive(tmp_path / "nowhere")


# ---- evidence


def test_changed_raw_bytes_are_an_error(archive: Path) -> None:
    raw = archive / entries(archive)[0].raw
    raw.write_bytes(raw.read_bytes().replace(b"3300.0", b"3301.0"))
    finding = only(check_archive(archive))
    assert (finding.series, finding.as_of, finding.check, finding.severity) == (
        "WRESBAL",
        "2025-07-24",
        "file",
        "error",
    )
    assert "its bytes have changed" in finding.said
    assert "WRESBAL.csv" in finding.fix


def test_a_missing_raw_file_is_an_error(archive: Path) -> None:
    (archive / entries(archive)[0].raw).unlink()
    assert "is missing" in only(check_archive(archive)).said


@pytest.mark.parametrize("content", [b"", b"PAR1", b"no parquet at all"])
def test_unreadable_observations_are_an_error_and_heal_as_said(archive: Path, tmp_path: Path, content: bytes) -> None:
    stored = archive / entries(archive)[0].observations
    stored.write_bytes(content)
    with pytest.raises(DataError, match=r"is damaged\. Delete it and import WRESBAL\.csv again"):
        load_vintages(archive)
    finding = only(check_archive(archive))
    assert "is damaged" in finding.said
    assert f"Delete {stored} and import WRESBAL.csv again" in finding.fix
    stored.unlink()
    assert len(import_directory(tmp_path / "in-WRESBAL-2025-07-24", archive=archive).imported) == 1
    assert check_archive(archive) == []


def test_missing_observations_are_an_error(archive: Path) -> None:
    (archive / entries(archive)[0].observations).unlink()
    assert only(check_archive(archive)).severity == "error"


def test_one_stored_number_that_is_not_the_files_is_an_error(archive: Path) -> None:
    entry = entries(archive)[0]
    rows = load_vintages(archive).final().series("reserves_average").rename("value").rename_axis("period").reset_index()
    rows["value"] += np.where(np.arange(30) == 7, 1e-9, 0.0)
    write_table(rows, archive / entry.observations)
    assert "not those of the file" in only(check_archive(archive)).said


@pytest.mark.parametrize("fields", [{"values": 29}, {"first": "2020-01-01"}, {"last": "2025-07-23"}])
def test_a_manifest_that_counts_otherwise_is_an_error(archive: Path, fields: dict[str, object]) -> None:
    rewrite(archive, **fields)
    assert "the manifest counts" in only(check_archive(archive)).said


def test_a_manifest_that_says_another_unit_is_an_error(archive: Path) -> None:
    rewrite(archive, unit_read="usd_mn")
    assert "not those of the file" in only(check_archive(archive)).said


def test_a_file_that_can_no_longer_be_read_is_an_error(archive: Path) -> None:
    rewrite(archive, unit_read="furlongs")
    assert "can no longer be read: WRESBAL.csv: unknown unit 'furlongs'" in only(check_archive(archive)).said


def test_a_series_that_left_the_catalogue_is_a_warning(archive: Path) -> None:
    known = {name: spec for name, spec in catalog().items() if name != "reserves_average"}
    finding = only(check_archive(archive, known=known))
    assert (finding.check, finding.severity) == ("catalogue", "warning")


def test_files_of_nobody_are_a_warning(archive: Path) -> None:
    (archive / "observations" / ".x.parquet.1.part").write_bytes(b"")
    (archive / "raw" / ("0" * 64)).write_bytes(b"")
    found = check_archive(archive)
    assert [finding.severity for finding in found] == ["warning", "warning"]
    assert all("belongs to no vintage" in finding.said for finding in found)


# ---- numbers


def forged(archive: Path, key: str, values: Sequence[float], as_of: str, name: str) -> None:
    """A vintage as an import without today's checks would have left it: consistent, and wrong."""
    content = text([repr(float(value)) for value in values]).encode()
    digest = hashlib.sha256(content).hexdigest()
    stored = f"observations/{key}__{as_of}__usd_bn__{digest[:12]}.parquet"
    (archive / "raw").mkdir(parents=True, exist_ok=True)
    (archive / "raw" / digest).write_bytes(content)
    write_table(pd.DataFrame({"period": pd.to_datetime(WEEKS), "value": values}), archive / stored)
    row = {
        "id": key, "as_of": as_of, "file": name, "sha256": digest, "imported_at": "2025-01-01", "unit": "usd_bn",
        "unit_read": "usd_bn", "unit_assumed": False, "observations": stored, "values": len(values),
        "first": WEEKS[0], "last": WEEKS[-1], "repairs": [], "refused": [], "provenance": {},
    }  # fmt: skip
    with (archive / "manifest.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")


def test_a_manifest_of_an_older_kind_is_read(archive: Path) -> None:
    """It has no warnings."""
    forged(archive, "WTREGEN", LEVELS, "2025-07-24", "WTREGEN.csv")
    assert check_archive(archive) == []
    assert entries(archive)[1].warnings == ()


def test_implausible_values_are_an_error_with_the_unit_that_fits(archive: Path) -> None:
    forged(archive, "WTREGEN", [v * 1000 for v in LEVELS], "2025-07-24", "WTREGEN.csv")
    finding = only(check_archive(archive))
    assert (finding.series, finding.check, finding.severity) == ("WTREGEN", "bounds", "error")
    assert "--unit WTREGEN=usd_mn" in finding.fix


def test_a_vintage_in_another_unit_is_an_error(archive: Path) -> None:
    forged(archive, "M2SL", LEVELS, "2025-07-24", "M2SL.csv")
    forged(archive, "M2SL", [v / 1000 for v in LEVELS], "2025-07-31", "M2SL.csv")
    found = [finding for finding in check_archive(archive) if finding.check == "vintages"]
    assert only(found).said == "its values are 0.001 times those of the vintage of 2025-07-24"


def test_a_vintage_of_the_opposite_sign_and_one_of_shifted_labels_are_errors(archive: Path) -> None:
    premium = [round(0.2 + 0.01 * i, 2) for i in range(30)]
    for as_of, values in (("2025-07-24", premium), ("2025-07-31", [-v for v in premium])):
        forged(archive, "WUDSHO", [-100 - v if v > 0 else 100 - v for v in values], as_of, "WUDSHO.csv")
    forged(archive, "WTREGEN", LEVELS, "2025-07-24", "WTREGEN.csv")
    forged(archive, "WTREGEN", [LEVELS[0], *LEVELS[:-1]], "2025-07-31", "WTREGEN.csv")
    said = {finding.series: finding.said for finding in check_archive(archive) if finding.check == "vintages"}
    assert said["WUDSHO"] == "its values are -1 times those of the vintage of 2025-07-24"
    assert said["WTREGEN"] == "its values stand one period later than in the vintage of 2025-07-24"


def test_a_later_vintage_that_ends_earlier_is_a_warning(archive: Path) -> None:
    put(archive, "WRESBAL", text(LEVELS[:25], WEEKS[:25]), "2025-07-25")
    found = [finding for finding in check_archive(archive) if finding.check == "vintages"]
    assert (only(found).severity, only(found).as_of) == ("warning", "2025-07-25")
    assert "before the vintage of 2025-07-24" in only(found).said


def test_an_average_that_is_its_wednesday_is_an_error(archive: Path) -> None:
    forged(archive, "WRBWFRBL", LEVELS, "2025-07-24", "WRBWFRBL.csv")
    found = check_archive(archive)
    assert {(finding.series, finding.check, finding.severity) for finding in found} == {
        ("WRESBAL", "twin", "error"),
        ("WRBWFRBL", "twin", "error"),
    }


def test_errors_come_before_warnings(archive: Path) -> None:
    put(archive, "WTREGEN", text([value / 10 for value in LEVELS]), "2025-12-01")
    (archive / entries(archive)[0].raw).unlink()
    assert [finding.severity for finding in check_archive(archive)] == ["error", "warning"]


# ---- the official files


@needs_shared
def test_the_official_files_have_known_gaps_and_no_error(tmp_path: Path) -> None:
    import_directory(SHARED / "data/fed", archive=tmp_path / "archive")
    began = time.perf_counter()
    found = check_archive(tmp_path / "archive")
    assert time.perf_counter() - began < 40  # four seconds on a quiet machine
    assert [finding for finding in found if finding.severity == "error"] == []
    gaps = {finding.series for finding in found if finding.check == "gap"}
    assert {"OBFR", "BGCR", "TERMT"} <= gaps
    assert not gaps & {"EFFR", "SOFR", "WRESBAL", "WTREGEN", "RRPONTSYD", "DGS10", "IORB", "CPIAUCSL", "GDP"}
