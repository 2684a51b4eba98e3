"""How a function of arrays becomes machine code: strict arithmetic, kept on disk, other threads run meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from numba import njit


def kernel[F: Callable[..., Any]](function: F) -> F:
    """Compile at the first call; the compiled function keeps its written signature for readers and type checkers.

    Never with fast-math: sums would then depend on the machine, and tests for missing values would vanish.

    What is kept on disk is renewed when the function's own file changes, not when a kernel of another file that it
    calls does: after such a change delete the ``*.nbi`` and ``*.nbc`` files beside the modules.
    """
    return cast("F", njit(cache=True, nogil=True, error_model="numpy")(function))
