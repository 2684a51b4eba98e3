"""Measure everything side by side in one session and rewrite the table of README.md.

    python benchmarks/speed/run.py [PYTEST ARGUMENTS]

Takes some minutes and wants a quiet machine. With arguments, say one file, the table is printed and README.md left alone.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
README = HERE / "README.md"
# Milliseconds promised by tests that state nothing for the table themselves.
PROMISED = {"arrays of every series at a random origin": 1.0}
BEGIN, END = "<!-- table: written by run.py -->", "<!-- end of table -->"
# Of linear algebra; set before NumPy is imported. Code of ours that runs in threads says so.
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
PACKAGES = ("numpy", "pandas", "scipy", "statsmodels", "numba", "pytest-benchmark")


def rows(benchmarks: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """Lines of the table; a test that says nothing of itself stands there with its name and median."""
    for test in benchmarks:
        stated = test["extra_info"].get("rows")
        if stated:
            yield from stated
        else:
            name, median = test["name"].removeprefix("test_").replace("_", " "), test["stats"]["median"] * 1e3
            longest = PROMISED.get(name)
            said = (
                {"target": f"≤ {longest:g} ms", "holds": median <= longest}
                if longest
                else {"target": "", "holds": None}
            )
            yield {"what": name, "measured": median, "unit": "ms", "peers": {}, "note": "", **said}


def markdown(lines: Sequence[Mapping[str, Any]]) -> str:
    head = "| what | ours | target | kept | others (multiple of ours) | note |\n|---|---:|---|---|---|---|"
    body = [
        f"| {line['what']} | {number(line['measured'])} {line['unit']} | {line['target']} | {kept(line)} | {others(line)} | {line['note']} |"
        for line in lines
    ]
    return "\n".join([head, *body])


def number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def kept(line: Mapping[str, Any]) -> str:
    return {True: "yes", False: "**no**", None: ""}[line["holds"]]


def others(line: Mapping[str, Any]) -> str:
    """Peers' times and how many times ours they are."""
    said = []
    for name, theirs in line["peers"].items():
        text = theirs if isinstance(theirs, str) else f"{number(theirs)} ({theirs / line['measured']:.3g}×)"
        said.append(f"{name}: {text}")
    return "; ".join(said).replace("|", "\\|").replace("\n", " ")


def promises(lines: Sequence[Mapping[str, Any]]) -> str:
    """Which targets were missed, by how much no reader should have to search for."""
    missed = [
        f"{line['what']} ({number(line['measured'])} {line['unit']}, target {line['target']})"
        for line in lines
        if line["holds"] is False
    ]
    kept = sum(line["holds"] is True for line in lines)
    return f"Targets kept: {kept}. Missed: {'; '.join(missed) or 'none'}."


def circumstances(load: tuple[float, ...]) -> str:
    versions = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    return (
        f"Measured {datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {platform.system()} {platform.machine()}, {processor()}, "
        f"{os.cpu_count()} cores, load before the start {load[0]:.1f}; Python {platform.python_version()}, {versions}."
    )


def processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor() or "unknown processor"
    names = [line.partition(": ")[2] for line in text.splitlines() if line.startswith("model name")]
    return names[0] if names else "unknown processor"


def main(arguments: Sequence[str]) -> int:
    load = os.getloadavg() if hasattr(os, "getloadavg") else (float("nan"),)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "benchmark.json"
        command = [sys.executable, "-m", "pytest", "-q", f"--benchmark-json={out}", *(arguments or [str(HERE)])]
        code = subprocess.call(command, cwd=HERE.parents[1], env={**os.environ, **ONE_THREAD})
        if not out.exists():
            return code or 1
        measured = json.loads(out.read_text(encoding="utf-8"))["benchmarks"]
    lines = list(rows(measured))
    table = "\n\n".join([circumstances(load), markdown(lines), promises(lines)])
    print(table)
    if not arguments:
        before, _, rest = README.read_text(encoding="utf-8").partition(BEGIN)
        README.write_text(f"{before}{BEGIN}\n{table}\n{END}{rest.partition(END)[2]}", encoding="utf-8")
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
