"""Large arrays a few cells at a time, on all cores."""

from __future__ import annotations

from collections.abc import Callable

# Chunks below which threads cost more than they save.
_WORTH_THREADS = 4


def in_chunks[S](work: Callable[[slice, S], None], n: int, *, size: int, scratch: Callable[[], S]) -> None:
    """Call ``work`` on slices that together are ``range(n)``.

    NumPy sorts, adds and multiplies without holding the interpreter, so threads share the memory and the work. Each
    thread keeps one scratch, because asking for memory is what they would wait for. The slices depend on the sizes
    alone: the numbers are the same on any number of cores.

    Parameters
    ----------
    work    : takes a slice and a scratch that is its own while it runs
    n       : items
    size    : items of a slice, as many as fit into a core's cache
    scratch : makes one
    """
    slices = [slice(start, min(start + size, n)) for start in range(0, n, size)]

    def share(which: int, threads: int) -> None:
        own = scratch()
        for some in slices[which::threads]:
            work(some, own)

    if len(slices) < _WORTH_THREADS:
        share(0, 1)
        return
    from concurrent.futures import ThreadPoolExecutor

    from joblib import cpu_count

    threads = min(cpu_count(), len(slices))
    with ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(share, range(threads), [threads] * threads):
            pass
