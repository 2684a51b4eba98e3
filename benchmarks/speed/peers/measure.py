"""Time every peer on our data, in an environment of their own; prints JSON: peer -> task -> timing, or the reason why not.

    python benchmarks/speed/peers/measure.py DATA.csv

The environment is made once by uv, outside the tree, and kept: under ``$XDG_CACHE_HOME`` or ``~/.cache``, named by the
pinned versions. A peer that cannot be installed or fails is reported with its reason and stops nobody else.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
REQUIREMENTS = HERE / "requirements.txt"
PEERS = ("statsforecast", "skforecast", "darts", "sktime", "statsmodels")
LONGEST = 600  # seconds a peer may take

type Outcome = dict[str, dict[str, object]]


def environment() -> Path:
    """The interpreter of the peers' environment; installs one peer at a time where not all go in at once."""
    pinned = REQUIREMENTS.read_text(encoding="utf-8")
    name = hashlib.sha256(f"{sys.version}{pinned}".encode()).hexdigest()[:12]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "reserve-forecast" / f"peers-{name}"
    python = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    if not (folder / "installed").exists():
        uv = shutil.which("uv")
        if uv is None:
            raise FileNotFoundError("uv is not on the path; it makes the peers' environment")
        _run([uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(folder)])
        install = [uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", str(python)]
        if _run([*install, "-r", str(REQUIREMENTS)]).returncode:
            for line in pinned.splitlines():
                if line and not line.startswith("#"):
                    _run([*install, line])
        (folder / "installed").touch()
    return python


def measure(python: Path, data: Path, peer: str) -> Outcome:
    """One peer's timings, one thread."""
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out.json"
        done = _run([str(python), str(HERE / "tasks.py"), str(data), peer, str(out)], env={**os.environ, **threads})
        if not out.exists():
            lines = done.stderr.strip().splitlines() or [f"exit {done.returncode}"]
            return {"": {"reason": lines[-1][:300]}}
        found: Outcome = json.loads(out.read_text(encoding="utf-8"))
        return found


def _run(command: list[str], env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(command, env=env, capture_output=True, text=True, timeout=LONGEST, check=False)
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, 1, "", f"took more than {LONGEST} s")


def main(data: str) -> None:
    try:
        python = environment()
    except OSError as error:
        print(json.dumps({peer: {"": {"reason": str(error)}} for peer in PEERS}))
        return
    print(json.dumps({peer: measure(python, Path(data), peer) for peer in PEERS}))


if __name__ == "__main__":
    main(*sys.argv[1:])
