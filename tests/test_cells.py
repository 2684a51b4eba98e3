"""Cells: on which rows, under which name, and on disk, where every damage is noticed."""

from __future__ import annotations

import multiprocessing
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import forecast.features  # noqa: F401  registers the features
from forecast.backtest import fingerprints
from forecast.backtest.cell_files import encoded, one_writer, read_cells, write_cells
from forecast.backtest.cells import Cell, cell_rng, first_row, last_complete_week, sub_design, weeks_known
from forecast.backtest.fingerprints import cell_key, data_digest, entry_digest, model_code, plan_digest, series_digests
from forecast.backtest.plan import BacktestPlan, ModelEntry, Window
from forecast.calendar import NEW_YORK
from forecast.data.catalog import catalog
from forecast.data.vintages import Vintages, VintageTable
from forecast.errors import DataError, UsageError
from forecast.features.feature_set import Design, future_weeks
from forecast.model import Model
from forecast.registry import create, model_class
from forecast.units import UNITS

ORIGIN = pd.Timestamp("2019-01-03 17:00", tz=NEW_YORK)


def cell(**changes: Any) -> Cell:
    rng = np.random.default_rng(1)
    whole = Cell(
        "a", "none", ORIGIN, reason="naïve", seconds=0.25, targets=("effr_iorb", "reserve_ratio"),
        periods=future_weeks(pd.Timestamp("2019-01-02"), 4), quantiles=rng.standard_normal((12, 4, 2)),
        outcomes=np.full((4, 2), np.nan), scores=rng.standard_normal((3, 2, 2)), score_names=("crps", "pit", "energy"),
        content="c0ffee",
    )  # fmt: skip
    return replace(whole, **changes)


def same(one: Cell, other: Cell) -> bool:
    for name in Cell.__dataclass_fields__:
        mine, yours = getattr(one, name), getattr(other, name)
        if isinstance(mine, np.ndarray):
            if not np.array_equal(mine, yours, equal_nan=True):
                return False
        elif isinstance(mine, pd.DatetimeIndex):
            if not mine.equals(yours) or mine.dtype != yours.dtype:
                return False
        elif mine != yours:
            return False
    return True


# --------------------------------------------------------------------------- on disk


def test_cells_come_back_to_the_last_bit(tmp_path: Path) -> None:
    failed = Cell("b", "realised", ORIGIN, "failed", "ValueError: no", "x.py:1 in f: g()", 1.5, ("effr_iorb",))
    none = Cell("c", "none", ORIGIN, "not_asked")
    written = {"k1": cell(), "k2": failed, "k3": none}
    write_cells(tmp_path, written.items())
    again = read_cells(tmp_path, {"k1", "k2", "k3", "k4"})
    assert set(again) == set(written)
    assert all(same(again[key], written[key]) for key in written)
    assert set(read_cells(tmp_path, {"k2"})) == {"k2"}


def test_a_file_cut_off_anywhere_loses_only_cells_that_are_not_whole(tmp_path: Path) -> None:
    records = [encoded(f"k{i}", cell(seconds=float(i))) for i in range(3)]
    ends, content = np.cumsum([len(record) for record in records]), b"".join(records)
    for cut in np.linspace(0, len(content), 64).astype(int):
        (tmp_path / "one.cells").write_bytes(content[:cut])
        assert len(read_cells(tmp_path, {"k0", "k1", "k2"})) == int((ends <= cut).sum())


def test_a_flipped_bit_anywhere_loses_one_cell_and_no_other(tmp_path: Path) -> None:
    cells = {f"k{i}": cell(seconds=float(i)) for i in range(3)}
    records = [encoded(key, each) for key, each in cells.items()]
    ends, content = np.cumsum([len(record) for record in records]), b"".join(records)
    rng = np.random.default_rng(2)
    # The first hundred bytes hold magic, hash and lengths: the places where a flip could mislead the reader.
    for at in (*range(100), *rng.integers(0, len(content), 64).tolist()):
        damaged = bytearray(content)
        damaged[at] ^= 1 << int(rng.integers(8))
        (tmp_path / "one.cells").write_bytes(bytes(damaged))
        again = read_cells(tmp_path, set(cells))
        assert set(again) == set(cells) - {f"k{int(np.searchsorted(ends, at, side='right'))}"}
        assert all(same(each, cells[key]) for key, each in again.items())


def test_what_is_not_a_cell_is_passed_over(tmp_path: Path) -> None:
    write_cells(tmp_path, [("k", cell())])
    (tmp_path / "empty.cells").write_bytes(b"")
    (tmp_path / "noise.cells").write_bytes(np.random.default_rng(3).bytes(10_000))
    (tmp_path / ".half.cells.x1").write_bytes(encoded("k", cell())[:50])
    assert set(read_cells(tmp_path, {"k"})) == {"k"}
    assert read_cells(tmp_path / "nowhere", {"k"}) == {}


def test_the_same_cell_in_two_files_is_the_same_cell(tmp_path: Path) -> None:
    write_cells(tmp_path, [("k", cell()), ("l", cell())])
    write_cells(tmp_path, [("k", cell())])
    write_cells(tmp_path, [("k", cell())])
    assert len(list(tmp_path.iterdir())) == 2, "files are named by their content"
    assert same(read_cells(tmp_path, {"k"})["k"], cell())


def test_a_folder_that_cannot_be_written_is_a_data_error(tmp_path: Path) -> None:
    (tmp_path / "cells").write_text("a file where a folder should be")
    with pytest.raises(DataError, match="--run-id"):
        write_cells(tmp_path / "cells", [("k", cell())])


def _hold(folder: Path, ready: Any) -> None:
    with one_writer(folder):
        ready.send(True)
        time.sleep(60)


def test_one_process_writes_a_run_and_its_death_frees_it(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    ready, told = context.Pipe(duplex=False)
    other = context.Process(target=_hold, args=(tmp_path / "kept", told))
    other.start()
    try:
        assert ready.poll(30)
        said = r"'kept' is being written by another process.*--run-id"
        with pytest.raises(UsageError, match=said), one_writer(tmp_path / "kept"):
            pass
        with one_writer(tmp_path / "another"):
            pass
    finally:
        other.kill()
        other.join(30)
    with one_writer(tmp_path / "kept"):
        pass


# --------------------------------------------------------------------------- keys


def plan(**changes: Any) -> BacktestPlan:
    return replace(BacktestPlan("t", ("effr_iorb",), (ModelEntry("a", "ar"),), "a", (ORIGIN,)), **changes)


def test_what_shapes_a_cell_is_in_its_key_and_what_only_names_it_is_not() -> None:
    base = plan_digest(plan())
    told_apart: list[dict[str, Any]] = [
        {"targets": ("effr_iorb", "yield_2y")}, {"n_draws": 7}, {"seed": 2}, {"horizons": (1, 2)},
        {"window": Window(weeks=99)}, {"steps": {"effr_iorb": 0.5}}, {"outcome": "final"},
        {"minimum_history": {"default": 99}},
    ]  # fmt: skip
    assert len({base, *(plan_digest(plan(**changes)) for changes in told_apart)}) == 1 + len(told_apart)
    for changes in ({"title": "x"}, {"origins": (ORIGIN,) * 2}, {"benchmark": "b"}, {"question": "?"}, {"models": ()}):
        assert plan_digest(plan(**changes)) == base


def test_a_plan_field_added_later_is_in_the_key_unless_somebody_says_otherwise() -> None:
    named = set(fingerprints._NOT_IN_A_CELL)
    assert named <= set(BacktestPlan.__dataclass_fields__)
    assert {"targets", "horizons", "minimum_history", "window", "outcome", "n_draws", "seed", "steps"}.isdisjoint(named)


def test_a_model_is_its_options_and_its_code_and_not_its_label() -> None:
    def of(entry: ModelEntry) -> str:
        return entry_digest(entry, create(entry.name, entry.options))

    assert of(ModelEntry("a", "ar", {"lags": 2})) == of(ModelEntry("b", "ar", {"lags": 2}))
    assert of(ModelEntry("a", "ar", {"lags": 2})) != of(ModelEntry("a", "ar", {"lags": 3}))
    assert of(ModelEntry("a", "drift")) != of(ModelEntry("a", "random_walk")), "two models of one file"


def test_keys_of_origins_and_conditionings_differ() -> None:
    keys = {cell_key("p", how, origin=ORIGIN + pd.Timedelta(weeks=w)) for how in ("none", "realised") for w in range(3)}
    assert len(keys) == 6
    assert cell_key("p", "none", origin=ORIGIN) == cell_key("p", "none", origin=ORIGIN.tz_convert("UTC"))


def releases(*, revised: float = 1.0, name: str = "effr", days: int = 40) -> list[VintageTable]:
    periods = pd.bdate_range("2019-01-02", periods=days).to_numpy().astype("M8[us]")
    values = np.arange(days, dtype=float)
    later = values.copy()
    later[3] *= revised
    return [
        VintageTable(name, pd.Timestamp("2019-04-01"), periods, values),
        VintageTable(name, pd.Timestamp("2019-05-01"), periods, later),
    ]


def test_the_data_digest_sees_a_revision_and_not_the_order_of_import() -> None:
    def of(tables: list[VintageTable]) -> str:
        return series_digests(Vintages.from_tables(tables, catalog()))["effr"]

    base = of(releases())
    assert of(releases()[::-1]) == base
    assert of([*releases(), *releases(name="obfr")]) == base, "another series changes nothing"
    assert len({base, of(releases(revised=2.0)), of(releases(days=41)), of(releases()[:1])}) == 3, (
        "no change, no release"
    )
    assert of(releases()[:1]) == base


def test_only_series_that_are_read_are_in_the_key() -> None:
    series = {"effr": "1", "iorb": "2", "ioer": "3", "sofr": "4"}
    base = data_digest(["effr_iorb", "quarter_end_week"], series)
    assert data_digest(["effr_iorb"], series) == base
    assert data_digest(["effr_iorb"], {**series, "sofr": "5"}) == base
    assert data_digest(["effr_iorb"], {**series, "effr": "5"}) != base
    assert data_digest(["effr_iorb"], {"iorb": "2", "ioer": "3"}) != base


def copy_of_package(folder: Path) -> Path:
    """A package of three models: two share a file, the third stands alone."""
    package = folder / "wares"
    (package / "inner").mkdir(parents=True)
    files = {
        "__init__.py": "", "inner/__init__.py": "", "shared.py": "X = 1\n", "alone.py": "class Alone: ...\n",
        "first.py": "def fit():\n    from .shared import X\n\nclass First: ...\n",
        "inner/second.py": "import wares.first\nclass Second: ...\n",
    }  # fmt: skip
    for name, text in files.items():
        (package / name).write_text(text)
    return package


def codes(monkeypatch: pytest.MonkeyPatch, folder: Path) -> dict[str, str]:
    import importlib
    import sys

    monkeypatch.syspath_prepend(str(folder))
    for name in [name for name in sys.modules if name.split(".")[0] == "wares"]:
        monkeypatch.delitem(sys.modules, name)
    model_code.cache_clear()
    importlib.invalidate_caches()
    kinds = {"alone": "Alone", "first": "First", "inner.second": "Second"}
    return {name: model_code(getattr(importlib.import_module(f"wares.{name}"), kind)) for name, kind in kinds.items()}


@pytest.mark.parametrize(
    ("changed", "affected"),
    [("alone.py", {"alone"}), ("shared.py", {"first", "inner.second"}), ("inner/second.py", {"inner.second"})],
)
def test_changed_code_affects_the_models_that_use_it(
    changed: str, affected: set[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = copy_of_package(tmp_path)
    before = codes(monkeypatch, tmp_path)
    with (package / changed).open("a") as file:
        file.write("# another line\n")
    after = codes(monkeypatch, tmp_path)
    assert {name for name in before if before[name] != after[name]} == affected


def test_the_code_of_our_models_holds_the_files_they_import() -> None:
    files = {path.name for path in fingerprints._closure(model_class("arx").__module__)}
    assert {"autoregression.py", "ragged_edge.py", "residual_rows.py", "regression.py"} <= files
    assert "baseline.py" not in files


def test_a_class_without_a_file_is_like_no_other() -> None:
    kind: type[Model] = type("Typed", (), {"__module__": "__nowhere__"})
    before = model_code(kind)
    model_code.cache_clear()
    assert model_code(kind) != before


# --------------------------------------------------------------------------- rows


def design(weeks: int = 30, ahead: int = 3) -> Design:
    index = pd.date_range("2019-01-02", periods=weeks + ahead, freq="7D", unit="us")
    targets = pd.DataFrame({"y": np.arange(weeks, dtype=float), "z": np.arange(weeks) / 2}, index[:weeks])
    targets.iloc[:5, 0] = np.nan
    targets.iloc[:8, 1] = np.nan
    targets.iloc[-2:, 1] = np.nan
    features = pd.DataFrame({"x": np.arange(weeks + ahead, dtype=float), "w": np.ones(weeks + ahead)}, index)
    features.iloc[weeks - 1 :, 0] = np.nan
    return Design(targets, features, dict.fromkeys(("y", "z", "x", "w"), UNITS["percent"]), frozenset({"w"}))


@pytest.mark.parametrize(
    "window", [Window(), Window(weeks=10), Window(weeks=99), Window(start=pd.Timestamp("2019-03-01"))]
)
@pytest.mark.parametrize("targets", [("y", "z"), ("z",)])
def test_a_part_of_a_design_begins_with_the_first_known_week_in_the_window(
    window: Window, targets: tuple[str, ...]
) -> None:
    whole = design()
    part = sub_design(whole, targets, ("w",), plan(window=window))
    rows = whole.targets[list(targets)]
    if window.weeks is not None:
        rows = rows.iloc[-window.weeks :]
    if window.start is not None:
        rows = rows[rows.index >= window.start]
    expected = rows.loc[rows.dropna(how="all").index[0] :]
    pd.testing.assert_frame_equal(part.targets, expected, check_freq=False)
    pd.testing.assert_frame_equal(part.features, whole.features.loc[expected.index[0] :, ["w"]], check_freq=False)
    assert part.known_ahead == {"w"}
    assert set(part.units) == {*targets, "w"}


def test_a_window_that_begins_after_the_last_week_leaves_nothing() -> None:
    part = sub_design(design(), ("y",), (), plan(window=Window(start=pd.Timestamp("2030-01-01"))))
    assert part.targets.empty
    assert weeks_known(part) == {"y": 0}


def test_weeks_known_are_counted_in_the_window() -> None:
    whole = design()
    assert weeks_known(whole) == {"y": 25, "z": 20}
    assert weeks_known(whole, first_row(whole.targets.index, Window(weeks=10))) == {"y": 10, "z": 8}


def test_parts_can_be_read_and_not_written() -> None:
    part = sub_design(design(), ("y",), ("x",), plan())
    for table in (part.targets, part.features):
        with pytest.raises(ValueError, match="read-only"):
            table.iloc[0, 0] = 1.0


def test_the_last_complete_week_is_the_last_one_over_in_which_all_needs_are_known() -> None:
    assert last_complete_week(("w",), design()) == 29, "weeks to come do not count"
    assert last_complete_week(("w", "x"), design()) == 28
    nothing = replace(design(), features=design().features * np.nan)
    assert last_complete_week(("x",), nothing) is None


@pytest.mark.parametrize("seed", [0, 1, 2**31, 2**32 - 1, 2**32, 2**64 + 5, 2**127, 2**128, 2**200 + 3])
def test_the_generator_of_a_cell_is_numpys_of_its_seed_and_words(seed: int) -> None:
    for words in ((1, 2, 3, 4), (0, 0, 0, 0), (2**32 - 1, 0, 7, 2**31)):
        ours, theirs = cell_rng(seed, words), np.random.SeedSequence(seed, spawn_key=words)
        expected = np.random.Generator(np.random.PCG64(theirs))
        assert ours.bit_generator.state == expected.bit_generator.state
        assert ours.spawn(2)[1].random() == expected.spawn(2)[1].random()


@pytest.mark.parametrize(
    "members", [["random_walk", "ar"], ["random_walk", {"model": "linear_pool", "members": ["drift", "ar"]}]]
)
def test_the_code_of_its_members_and_of_theirs_is_code_of_a_combination(
    members: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = ModelEntry("pool", "linear_pool", {"members": members})
    pool = create(entry.name, dict(entry.options))
    before = entry_digest(entry, pool)
    true = fingerprints.model_code
    changed = type(create("ar"))
    monkeypatch.setattr(fingerprints, "model_code", lambda kind: "edited" if kind is changed else true(kind))
    assert entry_digest(entry, pool) != before
