"""Large arrays a few cells at a time, on all cores."""

from __future__ import annotations

from collections.abc import Callable

# Half a megabyte of draws: a chunk and what is computed from it stay in a core's cache.
_CHUNK = 2**16
# Below this a thread costs more than it saves.
_WORTH_THREADS = 16


def in_chunks(work: Callable[[slice], None], n: int, *, each: int) -> None:
    """Call ``work`` on slices that together are ``range(n)``.

    NumPy sorts, adds and multiplies without holding the interpreter, so threads share the memory and the work.
    The slices depend on the sizes alone: the numbers are the same on any number of cores.

    Parameters
    ----------
    work : writes its slice of a result
    n    : items
    each : numbers an item holds
    """
    size = max(1, _CHUNK // max(each, 1))
    slices = [slice(start, min(start + size, n)) for start in range(0, n, size)]
    if len(slices) < _WORTH_THREADS:
        for some in slices:
            work(some)
        return
    from concurrent.futures import ThreadPoolExecutor

    from joblib import cpu_count

    with ThreadPoolExecutor(cpu_count()) as pool:
        for _ in pool.map(work, slices):
            pass
