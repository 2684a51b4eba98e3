"""An archive travels in one file and arrives bit for bit, or not at all."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from forecast.data import unpacking
from forecast.data.store import archive_writer, entries, import_directory, load_vintages
from forecast.data.transfer import export_archive, import_archive
from forecast.errors import DataError, ForecastError, UnitError, UsageError, VintageError
from forecast.tables import write_atomically

HEAD = "series_id,units,as_of,file\n"
BASE = "date,value\n2023-10-01,56.005\n2023-11-01,57.0025\n"
IN_MILLIONS = "date,value\n2023-10-01,56005\n2023-11-01,57002.5\n"
M2 = "date,value\n2023-10-01,20700\n2023-11-01,.\n2023-12-01,20800.5\n"


def filled(archive: Path, *files: tuple[str, str, str, str]) -> Path:
    """An archive with some vintages: id, unit, as_of, content."""
    for i, (key, unit, as_of, content) in enumerate(files):
        folder = archive.parent / f"{archive.name}-{i}-{as_of}"
        folder.mkdir()
        (folder / "MANIFEST.csv").write_text(f"{HEAD}{key},{unit},{as_of},{key}.csv\n", encoding="utf-8")
        (folder / f"{key}.csv").write_text(content, encoding="utf-8")
        assert len(import_directory(folder, archive=archive).imported) == 1
    return archive


BASE_FILE = ("BOGMBASE", "USD billions", "2024-01-31", BASE)
M2_FILE = ("M2SL", "USD billions", "2024-02-29", M2)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return filled(tmp_path / "source", BASE_FILE, M2_FILE)


@pytest.fixture
def exported(source: Path, tmp_path: Path) -> Path:
    export_archive(tmp_path / "archive.tar.gz", source)
    return tmp_path / "archive.tar.gz"


def contents(archive: Path) -> dict[str, bytes]:
    files = (path for path in sorted(archive.rglob("*")) if path.is_file())
    return {path.relative_to(archive).as_posix(): path.read_bytes() for path in files if path.name != "lock"}


# ---- out and back


@pytest.mark.parametrize("name", ["archive.tar", "archive.tar.gz"])
def test_an_archive_comes_back_bit_for_bit(source: Path, tmp_path: Path, name: str) -> None:
    assert export_archive(tmp_path / name, source) == 2
    done = import_archive(tmp_path / name, tmp_path / "copy")
    assert (len(done.imported), len(done.unchanged)) == (2, 0)
    assert contents(tmp_path / "copy") == contents(source)
    before, after = load_vintages(source), load_vintages(tmp_path / "copy")
    assert before.observations.equals(after.observations)


def test_the_same_archive_makes_the_same_bytes(source: Path, exported: Path, tmp_path: Path) -> None:
    import_archive(exported, tmp_path / "copy")
    time.sleep(1.1)  # gzip and tar count in seconds
    export_archive(tmp_path / "again.tar.gz", tmp_path / "copy")
    assert (tmp_path / "again.tar.gz").read_bytes() == exported.read_bytes()


def test_a_superseded_reading_travels_too(tmp_path: Path) -> None:
    source = filled(tmp_path / "source", ("BOGMBASE", "", "2024-01-31", BASE))
    folder = next(tmp_path.glob("source-0-*"))
    assert len(import_directory(folder, archive=source, units={"BOGMBASE": "usd_mn"}).imported) == 1
    export_archive(tmp_path / "a.tar", source)
    import_archive(tmp_path / "a.tar", tmp_path / "copy")
    assert contents(tmp_path / "copy") == contents(source)
    assert len((tmp_path / "copy" / "manifest.jsonl").read_bytes().splitlines()) == 2
    assert entries(tmp_path / "copy")[0].unit_read == "usd_mn"


def test_an_export_that_exists_is_not_overwritten(source: Path, exported: Path) -> None:
    before = exported.read_bytes()
    with pytest.raises(UsageError, match=r"archive\.tar\.gz exists"):
        export_archive(exported, source)
    assert exported.read_bytes() == before


def test_an_export_has_a_name_that_says_what_it_is(source: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"FILE\.tar or FILE\.tar\.gz"):
        export_archive(tmp_path / "archive.zip", source)


def test_nothing_is_exported_from_an_empty_archive(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is empty"):
        export_archive(tmp_path / "a.tar", tmp_path / "nowhere")
    assert list(tmp_path.iterdir()) == []


def test_evidence_that_has_changed_is_not_exported(source: Path, tmp_path: Path) -> None:
    raw = source / entries(source)[0].raw
    raw.write_bytes(raw.read_bytes() + b"\n")
    with pytest.raises(DataError, match="is not what was imported"):
        export_archive(tmp_path / "a.tar", source)
    raw.unlink()
    with pytest.raises(DataError, match="the archive lacks"):
        export_archive(tmp_path / "a.tar", source)
    assert not list(tmp_path.glob("*a.tar*"))


# ---- into an archive that holds something


def test_what_is_there_already_is_left_alone(source: Path, exported: Path) -> None:
    before = contents(source)
    done = import_archive(exported, source)
    assert (len(done.imported), len(done.unchanged)) == (0, 2)
    assert contents(source) == before


def test_vintages_are_added_to_those_that_are_there(exported: Path, tmp_path: Path) -> None:
    newer = "date,value\n2023-10-01,56.005\n2023-11-01,57.1\n2023-12-01,58\n"
    target = filled(tmp_path / "target", BASE_FILE, ("BOGMBASE", "USD billions", "2024-03-31", newer))
    lines = (target / "manifest.jsonl").read_bytes()
    done = import_archive(exported, target)
    assert [entry.id for entry in done.imported] == ["M2SL"]
    assert [entry.id for entry in done.unchanged] == ["BOGMBASE"]
    assert (target / "manifest.jsonl").read_bytes().startswith(lines)
    assert [(e.id, e.as_of) for e in entries(target)] == [
        ("BOGMBASE", "2024-01-31"),
        ("BOGMBASE", "2024-03-31"),
        ("M2SL", "2024-02-29"),
    ]
    assert load_vintages(target).final().series("m2").tolist() == [20700.0, 20800.5]


def test_another_file_of_one_vintage_refuses_the_whole_export(exported: Path, tmp_path: Path) -> None:
    other = ("BOGMBASE", "USD billions", "2024-01-31", BASE.replace("56.005", "56.5"))
    target = filled(tmp_path / "target", other)
    before = contents(target)
    with pytest.raises(VintageError, match="another file of BOGMBASE as of 2024-01-31"):
        import_archive(exported, target)
    assert contents(target) == before


def test_another_reading_of_one_vintage_refuses_the_whole_export(exported: Path, tmp_path: Path) -> None:
    target = filled(tmp_path / "target", ("BOGMBASE", "USD millions", "2024-01-31", BASE))
    before = contents(target)
    with pytest.raises(VintageError, match="a reading in usd_mn of BOGMBASE"):
        import_archive(exported, target)
    assert contents(target) == before


def test_a_unit_that_contradicts_the_archive_refuses_the_whole_export(tmp_path: Path) -> None:
    source = filled(tmp_path / "source", ("BOGMBASE", "USD billions", "2024-01-31", IN_MILLIONS))
    export_archive(tmp_path / "a.tar", source)
    target = filled(tmp_path / "target", ("BOGMBASE", "USD billions", "2024-02-29", BASE))
    before = contents(target)
    with pytest.raises(UnitError, match="BOGMBASE as of 2024-01-31 are 1000 times"):
        import_archive(tmp_path / "a.tar", target)
    assert contents(target) == before


def test_damaged_evidence_in_the_archive_heals(source: Path, exported: Path) -> None:
    before = contents(source)
    first, second = entries(source)
    (source / first.raw).write_bytes(b"damaged")
    (source / second.observations).unlink()
    import_archive(exported, source)
    assert contents(source) == before


# ---- hostile or damaged files

Member = tuple[str | tarfile.TarInfo, bytes]


def members(file: Path) -> list[Member]:
    with tarfile.open(file) as tar:
        found = [(member.name, tar.extractfile(member)) for member in tar.getmembers()]
        return [(name, stream.read()) for name, stream in found if stream]


def written(path: Path, parts: list[Member], *, described: bool = True) -> Path:
    """A tar file of members; ``described`` makes the contents fit them, as a careful forger would."""
    if described:
        table = {
            str(name): {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
            for name, content in parts
            if isinstance(name, str) and name != "contents.json"
        }
        head = json.dumps({"format": "forecast archive 1", "members": table}).encode()
        parts = [("contents.json", head), *(part for part in parts if part[0] != "contents.json")]
    with tarfile.open(path, "w") as tar:
        for name, content in parts:
            info = tarfile.TarInfo(name) if isinstance(name, str) else name
            info.size = len(content) if info.isreg() else 0
            tar.addfile(info, io.BytesIO(content))
    return path


def refused(file: Path, tmp_path: Path, words: str, error: type[ForecastError] = DataError) -> None:
    """The export is refused in these words, and nothing is written: neither into a new archive nor beside it."""
    before = set(tmp_path.rglob("*"))
    with pytest.raises(error, match=words) as caught:
        import_archive(file, tmp_path / "home" / "archive")
    assert file.name in str(caught.value)
    assert "Nothing was imported" in str(caught.value)
    assert set(tmp_path.rglob("*")) == before


def special(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


@pytest.mark.parametrize(
    "name",
    [
        "../evil",
        "/etc/passwd",
        "raw/../../evil",
        "observations/../../evil.parquet",
        "observations/..parquet",
        "C:\\evil",
        "raw\\evil",
        "observations/a/b.parquet",
        "observations/\x1b[31m.parquet",
        "observations/" + "a" * 300 + ".parquet",
        "lock",
        "raw/0",
        "runs/x/report.html",
        "",
        ".",
    ],
)
def test_a_name_that_is_no_file_of_an_archive_is_refused(exported: Path, tmp_path: Path, name: str) -> None:
    hostile = written(tmp_path / "hostile.tar", [*members(exported), (name, b"evil")])
    refused(hostile, tmp_path, "is no file of an archive")
    sneaked = written(tmp_path / "sneaked.tar", [*members(exported), (name, b"evil")], described=False)
    refused(sneaked, tmp_path, "is not in its contents.json|is no plain file")


@pytest.mark.parametrize(
    ("kind", "target"),
    [
        (tarfile.SYMTYPE, "/etc/passwd"),
        (tarfile.LNKTYPE, "manifest.jsonl"),
        (tarfile.DIRTYPE, ""),
        (tarfile.CHRTYPE, ""),
        (tarfile.FIFOTYPE, ""),
        (tarfile.GNUTYPE_SPARSE, ""),
    ],
)
def test_links_devices_and_folders_are_refused(exported: Path, tmp_path: Path, kind: bytes, target: str) -> None:
    parts = members(exported)
    name = next(str(name) for name, _ in parts if str(name).startswith("raw/"))
    replaced: list[Member] = [(special(name, kind, target), b"") if part[0] == name else part for part in parts]
    refused(written(tmp_path / "hostile.tar", replaced, described=False), tmp_path, "is no plain file|damaged")


def test_a_repeated_member_is_refused(exported: Path, tmp_path: Path) -> None:
    parts = members(exported)
    refused(written(tmp_path / "twice.tar", [*parts, parts[-1]], described=False), tmp_path, "is there twice")


def test_a_missing_member_is_refused(exported: Path, tmp_path: Path) -> None:
    refused(written(tmp_path / "short.tar", members(exported)[:-1], described=False), tmp_path, "1 members are missing")


def test_an_export_without_contents_or_manifest_is_refused(exported: Path, tmp_path: Path) -> None:
    parts = members(exported)
    refused(written(tmp_path / "bare.tar", parts[1:], described=False), tmp_path, r"does not begin with contents\.json")
    refused(
        written(tmp_path / "headless.tar", [p for p in parts if p[0] != "manifest.jsonl"]), tmp_path, "has no manifest"
    )
    refused(written(tmp_path / "nothing.tar", [], described=False), tmp_path, r"does not begin with contents\.json")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"{", "cannot be read"),
        (b"[]", "cannot be read"),
        (b"\xff\xfe", "cannot be read"),
        (b'{"format": "forecast archive 2", "members": {}}', "its format is 'forecast archive 2'"),
        (
            b'{"format": "forecast archive 1", "members": {"manifest.jsonl": {"size": -1, "sha256": ""}}}',
            "is too large",
        ),
        (b'{"format": "forecast archive 1", "members": {"manifest.jsonl": {"size": 1e18, "sha256": ""}}}', "too large"),
        (b'{"format": "forecast archive 1", "members": {"manifest.jsonl": {}}}', "cannot be read"),
        (b"[" * 100_000, "cannot be read"),
    ],
)
def test_contents_that_cannot_be_right_are_refused(exported: Path, tmp_path: Path, text: bytes, words: str) -> None:
    parts: list[Member] = [("contents.json", text), *members(exported)[1:]]
    refused(written(tmp_path / "odd.tar", parts, described=False), tmp_path, words)


@pytest.mark.parametrize("which", ["manifest.jsonl", "raw/", "observations/"])
def test_one_changed_bit_in_a_member_is_found(exported: Path, tmp_path: Path, which: str) -> None:
    parts: list[Member] = []
    for name, content in members(exported):
        flipped = bytes([content[0], content[1] ^ 1]) + content[2:] if str(name).startswith(which) else content
        parts.append((name, flipped))
    refused(written(tmp_path / "bit.tar", parts, described=False), tmp_path, "its SHA-256 is another")


def test_a_member_of_another_length_is_found(exported: Path, tmp_path: Path) -> None:
    parts: list[Member] = [(n, c + b"\n" if n == "manifest.jsonl" else c) for n, c in members(exported)]
    refused(written(tmp_path / "long.tar", parts, described=False), tmp_path, r"bytes instead of")


def test_a_careful_forger_of_numbers_is_found_by_the_raw_bytes(exported: Path, source: Path, tmp_path: Path) -> None:
    """Contents and hashes fit, but the observations are another vintage's."""
    first, second = entries(source)
    swap = {first.observations: second.observations, second.observations: first.observations}
    by_name = dict(members(exported))
    parts: list[Member] = [(name, by_name[swap.get(str(name), name)]) for name in by_name]
    refused(written(tmp_path / "forged.tar", parts), tmp_path, "the manifest counts|not those of the file")


def test_a_careful_forger_of_raw_bytes_is_found_by_their_name(exported: Path, tmp_path: Path) -> None:
    parts: list[Member] = [(n, b"forged" if str(n).startswith("raw/") else c) for n, c in members(exported)]
    refused(written(tmp_path / "forged.tar", parts), tmp_path, "is not named after its SHA-256")


@pytest.mark.parametrize(("field", "value"), [("observations", "../../evil"), ("sha256", "../../etc/passwd")])
def test_a_manifest_that_points_outside_is_refused(exported: Path, tmp_path: Path, field: str, value: str) -> None:
    parts: list[Member] = []
    for name, content in members(exported):
        if name == "manifest.jsonl":
            rows = [json.loads(line) for line in content.splitlines()]
            content = b"".join(json.dumps({**row, field: value}).encode() + b"\n" for row in rows)  # noqa: PLW2901
        parts.append((name, content))
    refused(written(tmp_path / "pointing.tar", parts), tmp_path, r"line 1 is damaged: .* is no path of the archive")


def test_a_manifest_that_speaks_of_files_that_are_not_there_is_refused(exported: Path, tmp_path: Path) -> None:
    parts: list[Member] = [part for part in members(exported) if not str(part[0]).startswith("raw/")]
    refused(written(tmp_path / "hollow.tar", parts), tmp_path, r"raw/\w+ is missing")


def test_a_member_larger_than_any_series_is_refused(
    exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unpacking, "_LARGEST_MEMBER", 100)
    refused(exported, tmp_path, "too large")


def test_an_export_larger_than_any_archive_is_refused(
    exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unpacking, "_LARGEST_EXPORT", 2000)
    refused(exported, tmp_path, "too large|more than an export holds")


def test_too_many_members_are_refused(exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpacking, "_MOST_MEMBERS", 3)
    refused(exported, tmp_path, "too many members")


def test_a_header_that_asks_for_gigabytes_gets_none(tmp_path: Path) -> None:
    """An extended header is read into memory whole, so its size is held against the limit before it is read."""
    info = special("pax", tarfile.XHDTYPE)
    info.size = 2**33 - 512
    block = info.tobuf(tarfile.USTAR_FORMAT)
    (tmp_path / "bomb.tar.gz").write_bytes(gzip.compress(block + b"\0" * 2**22))
    refused(tmp_path / "bomb.tar.gz", tmp_path, "more than an export holds")


def test_something_after_the_end_is_refused(exported: Path, tmp_path: Path) -> None:
    (tmp_path / "more.tar").write_bytes(gzip.decompress(exported.read_bytes()) + b"more")
    refused(tmp_path / "more.tar", tmp_path, "something follows its end")


@pytest.mark.parametrize("content", [b"", b"not a tar", b"\x1f\x8bgarbage", b"PK\x03\x04", b"\0" * 10240])
def test_what_is_no_tar_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "odd.tar").write_bytes(content)
    refused(tmp_path / "odd.tar", tmp_path, "no export of an archive|does not begin with")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(1, 255), st.booleans()))
def test_a_damaged_export_changes_nothing_or_nothing_is_damaged(
    exported: Path, tmp_path: Path, source: Path, damage: tuple[float, int, bool]
) -> None:
    """Any byte changed, or the file cut off anywhere: refused, or, where the change means nothing, the same archive."""
    where, what, cut = damage
    content = exported.read_bytes()
    at = int(where * len(content))
    damaged = content[:at] if cut else content[:at] + bytes([content[at] ^ what]) + content[at + 1 :]
    file = tmp_path / "damaged.tar.gz"
    file.write_bytes(damaged)
    target = tmp_path / f"target-{time.monotonic_ns()}" / "archive"
    try:
        import_archive(file, target)
    except DataError:
        assert not target.parent.exists()
    else:
        assert contents(target) == contents(source)


# ---- two at once


def in_another_process(code: str, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)], stdout=subprocess.PIPE, text=True, env=dict(os.environ)
    )


HOLD = """
import sys, time
from pathlib import Path
from forecast.data.store import archive_writer
with archive_writer(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def holder(archive: Path) -> subprocess.Popen[str]:
    process = in_another_process(HOLD, archive)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_a_second_writer_waits_and_then_says_why(tmp_path: Path) -> None:
    process = holder(tmp_path)
    try:
        with pytest.raises(DataError, match="another process is importing"), archive_writer(tmp_path, patience=0.2):
            pass
    finally:
        process.kill()
        process.communicate()


def test_a_writer_that_is_killed_holds_nothing_up(tmp_path: Path) -> None:
    process = holder(tmp_path)
    os.kill(process.pid, signal.SIGKILL if hasattr(signal, "SIGKILL") else signal.SIGTERM)
    process.communicate()
    with archive_writer(tmp_path, patience=0.2):
        pass


def test_a_writer_that_fails_holds_nothing_up(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), archive_writer(tmp_path):
        raise RuntimeError
    with archive_writer(tmp_path, patience=0.0):
        pass


IMPORT = """
import sys
from pathlib import Path
from forecast.data.store import import_directory
report = import_directory(Path(sys.argv[1]), archive=Path(sys.argv[2]))
print(len(report.imported), len(report.unchanged), len(report.refused))
"""


def test_imports_at_once_do_not_mix(tmp_path: Path) -> None:
    """Four processes with different series and one vintage in common: each line is there once, and every file."""
    archive = tmp_path / "archive"
    processes = []
    for i, key in enumerate(("M2SL", "GDP", "UNRATE", "CPIAUCSL")):
        folder = tmp_path / f"in{i}"
        folder.mkdir()
        rows = "".join(f"{series},{unit},2024-05-31,\n" for series, unit in ((key, ""), ("BOGMBASE", "USD billions")))
        (folder / "MANIFEST.csv").write_text(HEAD + rows, encoding="utf-8")
        (folder / "BOGMBASE.csv").write_text(BASE, encoding="utf-8")
        (folder / f"{key}.csv").write_text("date,value\n2023-10-01,10\n", encoding="utf-8")
        processes.append(in_another_process(IMPORT, folder, archive))
    said = sorted(process.communicate()[0].strip() for process in processes)
    assert said == ["1 1 0", "1 1 0", "1 1 0", "2 0 0"]
    lines = [json.loads(line) for line in (archive / "manifest.jsonl").read_bytes().splitlines()]
    assert sorted(line["id"] for line in lines) == ["BOGMBASE", "CPIAUCSL", "GDP", "M2SL", "UNRATE"]
    assert set(load_vintages(archive).names) == {"monetary_base", "cpi", "gdp", "m2", "unemployment"}


def test_two_conflicting_vintages_at_once_leave_one(tmp_path: Path) -> None:
    archive = tmp_path / "archive"
    processes = []
    for i in range(3):
        folder = tmp_path / f"in{i}"
        folder.mkdir()
        (folder / "MANIFEST.csv").write_text(f"{HEAD}BOGMBASE,USD billions,2024-01-31,\n", encoding="utf-8")
        (folder / "BOGMBASE.csv").write_text(BASE.replace("57.0025", f"57.{i}"), encoding="utf-8")
        processes.append(in_another_process(IMPORT, folder, archive))
    said = sorted(process.communicate()[0].strip() for process in processes)
    assert said == ["0 0 1", "0 0 1", "1 0 0"]
    assert len(entries(archive)) == 1


def test_a_crash_while_merging_leaves_the_archive_as_it_was(
    exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = filled(tmp_path / "target", ("GDP", "", "2024-05-31", "date,value\n2023-10-01,27900\n"))
    before = load_vintages(target).observations
    for survivors in (0, 1, 1, 1):
        left = iter(range(survivors))

        def crash(path: Path, content: bytes, left: Iterator[int] = left) -> None:
            if next(left, None) is None:
                raise OSError("disk full")
            write_atomically(path, content)

        monkeypatch.setattr("forecast.data.transfer.write_atomically", crash)
        monkeypatch.setattr("forecast.data.store.write_atomically", crash)
        with pytest.raises(OSError, match="disk full"):
            import_archive(exported, target)
        monkeypatch.undo()
        assert load_vintages(target).observations.equals(before)
    assert len(import_archive(exported, target).imported) == 2
    assert np.isin(["m2", "monetary_base", "gdp"], load_vintages(target).names).all()
