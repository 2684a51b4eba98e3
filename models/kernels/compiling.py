"""How a function of arrays becomes machine code: strict arithmetic, kept on disk, other threads run meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any, cast

from numba import njit

_HERE = Path(__file__).parent


def kernel[F: Callable[..., Any]](function: F) -> F:
    """Compile at the first call; the compiled function keeps its written signature for readers and type checkers.

    Never with fast-math: sums would then depend on the machine, and tests for missing values would vanish.

    Machine code holds that of the kernels it calls, but numba renews what it keeps on disk only when the function's own
    file changes. Here it is renewed when any source of kernels does.
    """
    compiled = njit(cache=True, nogil=True, error_model="numpy")(function)
    kept = getattr(getattr(compiled, "_cache", None), "_cache_file", None)
    if kept is not None:
        # numba has no public way. Were this renamed, its own rule would hold again, and a test would say so.
        kept._source_stamp = _stamp()  # noqa: SLF001
    return cast("F", compiled)


@lru_cache(maxsize=1)
def _stamp() -> str:
    """Of every file whose functions are compiled: this folder's, and the shapes that are fitted."""
    files = [*sorted(_HERE.glob("*.py")), _HERE.parent / "reserve_demand" / "curve_shapes.py"]
    return sha256(b"".join(file.read_bytes() for file in files)).hexdigest()
