"""Tables on disk come back as they were, and are never half written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from forecast.tables import read_table, write_atomically, write_table


def table() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "origin": pd.date_range("2020-03-05 17:00", periods=3, freq="7D", tz="America/New_York").as_unit("us"),
            "period": pd.date_range("2020-03-11", periods=3, freq="7D", unit="us"),
            "model": ["a", "it's; b", ""],
            "value": [1.0, np.nan, -0.1 + 0.2],
            "n": [1, 2, 3],
        }
    )


def test_a_table_comes_back_bit_for_bit_with_its_instants(tmp_path: Path) -> None:
    path = tmp_path / "it's" / "table.parquet"
    write_table(table(), path)
    pd.testing.assert_frame_equal(read_table(path), table(), check_exact=True)


def test_writing_again_replaces_and_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    write_table(table(), path)
    write_table(table().head(1), path)
    assert len(read_table(path)) == 1
    assert [file.name for file in tmp_path.iterdir()] == ["table.parquet"]


def test_an_interrupted_write_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "run.json"
    write_atomically(path, b"old")

    def fail(self: Path, target: Path) -> None:
        raise OSError("power cut")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError, match="power cut"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"


def test_rows_that_run_backwards_in_memory_are_written(tmp_path: Path) -> None:
    table = pd.DataFrame({"value": np.arange(3.0), "name": ["a", "b", "c"]})[::-1]
    write_table(table, tmp_path / "table.parquet")
    assert read_table(tmp_path / "table.parquet")["value"].tolist() == [2.0, 1.0, 0.0]
