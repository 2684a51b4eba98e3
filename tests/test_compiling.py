"""What is kept of compiled kernels: renewed when any source of kernels changes, and only then."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("numba")

SOURCE = Path(__file__).resolve().parents[1] / "models" / "kernels" / "compiling.py"
CALLED = "from .compiling import kernel\n\n@kernel\ndef called(x):\n    return x + {}\n"
CALLING = (
    "from .compiling import kernel\nfrom .called import called\n\n@kernel\ndef calling(x):\n    return 10 * called(x)\n"
)
ASKED = "from package.kernels.calling import calling; print(calling(1), sum(calling.stats.cache_hits.values()))"


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A package of two kernels in two files, one of which calls the other."""
    kernels, shapes = tmp_path / "package" / "kernels", tmp_path / "package" / "reserve_demand"
    kernels.mkdir(parents=True)
    shapes.mkdir()
    for file in (tmp_path / "package" / "__init__.py", kernels / "__init__.py", shapes / "curve_shapes.py"):
        file.write_text("")
    (kernels / "compiling.py").write_text(SOURCE.read_text(encoding="utf-8"), encoding="utf-8")
    (kernels / "called.py").write_text(CALLED.format(1))
    (kernels / "calling.py").write_text(CALLING)
    return tmp_path


def answer(package: Path, **variables: str) -> str:
    command = [sys.executable, "-B", "-c", ASKED]
    run = subprocess.run(
        command, cwd=package, env=os.environ | variables, capture_output=True, text=True, check=True, timeout=120
    )
    return run.stdout.strip()


def test_a_change_in_a_kernel_reaches_those_that_call_it_from_other_files(package: Path) -> None:
    assert answer(package) == "20 0"
    assert answer(package) == "20 1"
    (package / "package" / "kernels" / "called.py").write_text(CALLED.format(2))
    assert answer(package) == "30 0"
    assert answer(package) == "30 1"


def test_a_file_that_is_touched_but_says_the_same_costs_nothing(package: Path) -> None:
    assert answer(package) == "20 0"
    for file in (package / "package" / "kernels").glob("*.py"):
        os.utime(file, (1, 1))
    assert answer(package) == "20 1"


def test_arithmetic_is_strict() -> None:
    from models.kernels.compiling import kernel

    def left_to_right(x: np.ndarray) -> float:
        total = 0.0
        for value in x:
            total += value
        return float(total if not np.isnan(total) else -1.0)

    compiled, x = kernel(left_to_right), np.array([1e16, 1.0, -1e16, 1.0])
    assert compiled(x) == left_to_right(x) == 1.0
    assert compiled(np.array([np.nan])) == -1.0
