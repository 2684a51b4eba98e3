"""How fast a panel is cut: 60 series of 5,000 periods, every third in five vintages that revise all of it.

pytest benchmarks/speed/test_panel_cutting.py
"""

from __future__ import annotations

import resource
import subprocess
import sys
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from forecast.data.catalog import catalog
from forecast.data.vintages import Vintages, VintageTable

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

PERIODS, SERIES = 5000, 60
LAST_DAY = pd.Timestamp("2026-02-01")
MILLISECOND = 1e-3


def tables(rng: np.random.Generator) -> list[VintageTable]:
    specs = [spec for spec in catalog().values() if spec.frequency in ("D", "W-WED")]
    # Those whose missing days mean zero cost most, so they are among the sixty.
    specs.sort(key=lambda spec: spec.absent_means != "zero")
    days = np.arange("2000-01-03", "2025-12-24", dtype="datetime64[D]")
    business = days[np.is_busday(days)][-PERIODS:]
    weeks = np.datetime64("2025-12-24") - np.arange(PERIODS)[::-1] * np.timedelta64(7, "D")
    made = []
    for i, spec in enumerate(specs[:SERIES]):
        periods, values = business if spec.frequency == "D" else weeks, rng.normal(100, 1, PERIODS)
        for earlier in range(5 if i % 3 == 0 else 1):
            as_of = LAST_DAY - pd.Timedelta(days=400 * earlier)
            there = periods < np.datetime64(as_of, "D") - np.timedelta64(20, "D")
            numbers = values[there] + earlier * rng.normal(0, 1, int(there.sum()))
            made.append(VintageTable(spec.name, as_of, periods[there], numbers))
    return made


@pytest.fixture(scope="module")
def vintages() -> Vintages:
    return Vintages.from_tables(tables(np.random.default_rng(0)), catalog())


@pytest.fixture(scope="module")
def origins() -> list[pd.Timestamp]:
    seconds = np.random.default_rng(1).integers(0, 8 * 365 * 86400, 500)
    first = pd.Timestamp("2018-01-01 17:00", tz="America/New_York")
    return [first + pd.Timedelta(int(s), "s") for s in seconds]


def test_arrays_of_every_series_at_a_random_origin(
    benchmark: BenchmarkFixture, vintages: Vintages, origins: list[pd.Timestamp]
) -> None:
    following = cycle(origins)

    def cut() -> None:
        panel = vintages.as_of(next(following))
        for name in vintages.names:
            panel.arrays(name)

    benchmark.pedantic(cut, rounds=len(origins), warmup_rounds=1)
    assert benchmark.stats.stats.median < MILLISECOND


def test_pandas_series_of_every_series_at_a_random_origin(
    benchmark: BenchmarkFixture, vintages: Vintages, origins: list[pd.Timestamp]
) -> None:
    following = cycle(origins)

    def cut() -> None:
        panel = vintages.as_of(next(following))
        for name in vintages.names:
            panel.series(name)

    benchmark.pedantic(cut, rounds=100, warmup_rounds=1)


def test_arranging_the_releases(benchmark: BenchmarkFixture, vintages: Vintages) -> None:
    benchmark.pedantic(Vintages, (vintages.observations, vintages.catalog), rounds=3)


def test_memory_of_arranged_releases(benchmark: Any, row: Any) -> None:
    # In a process of its own: this one remembers the peak of every benchmark before.
    command = [sys.executable, str(Path(__file__).resolve())]
    megabytes = float(benchmark.pedantic(subprocess.check_output, (command,), rounds=1))
    row("memory of a process that arranges the releases", megabytes, "MB", target="< 500 MB", holds=megabytes < 500)
    assert megabytes < 500


def peak_megabytes() -> float:
    """Peak memory of this process, with Python, pandas and the tables themselves."""
    status = Path("/proc/self/status")
    if (
        status.exists()
    ):  # what Linux tells through ``resource`` begins with the peak of the process that started this one
        return int(status.read_text(encoding="utf-8").partition("VmHWM:")[2].split()[0]) / 2**10
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used / (2**20 if sys.platform == "darwin" else 2**10)


if __name__ == "__main__":
    Vintages.from_tables(tables(np.random.default_rng(0)), catalog())
    print(peak_megabytes())
