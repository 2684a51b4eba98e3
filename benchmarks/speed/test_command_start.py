"""How long ``forecast --help`` takes to answer, against the interpreter alone and the import of what it must not import."""

from __future__ import annotations

import shutil
import statistics
import subprocess
import sys
import sysconfig
import time
from pathlib import Path
from typing import Any

SECONDS = 0.3


def median(command: list[str], rounds: int = 7) -> float:
    """Median wall time, seconds."""
    times = []
    for _ in range(rounds):
        started = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def test_help_answers_at_once(benchmark: Any, row: Any) -> None:
    command = shutil.which("forecast", path=str(Path(sysconfig.get_path("scripts"))))
    assert command is not None
    benchmark.pedantic(
        lambda: subprocess.run([command, "--help"], check=True, capture_output=True), rounds=9, warmup_rounds=2
    )
    ours = benchmark.stats.stats.median
    imports = {
        name: median([sys.executable, "-c", f"import {name}"]) for name in ("click", "pandas", "statsmodels.api")
    }
    theirs: dict[str, float | str] = {"python alone": median([sys.executable, "-c", "pass"])}
    theirs |= {f"import {name}": seconds for name, seconds in imports.items()}
    row("forecast --help", ours, "s", target="≤ 0.3 s", holds=ours <= SECONDS, peers=theirs)
