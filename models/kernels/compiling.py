"""How a function of arrays becomes machine code: strict arithmetic, kept on disk, other threads run meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from numba import njit


def kernel[F: Callable[..., Any]](function: F) -> F:
    """Compile at the first call; the compiled function keeps its written signature for readers and type checkers.

    Never with fast-math: sums would then depend on the machine, and tests for missing values would vanish.
    """
    return cast("F", njit(cache=True, nogil=True, error_model="numpy")(function))
