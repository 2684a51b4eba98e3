"""One writer at a time. The operating system holds the lock, and releases it however the process ends."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from forecast.errors import ForecastError

if sys.platform == "win32":
    import msvcrt

    def _acquire(handle: int) -> None:
        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _acquire(handle: int) -> None:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


@contextmanager
def only_writer(folder: Path, *, busy: ForecastError, patience: float = 60.0) -> Iterator[None]:
    """Be the only process that writes into a folder, which is created if need be.

    Parameters
    ----------
    busy     : raised if another process does not finish in time
    patience : seconds to wait for another writer
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("ab") as file:
        end = time.monotonic() + patience
        while not _free(file.fileno()):
            if time.monotonic() > end:
                raise busy
            time.sleep(0.05)
        # Closing the file releases the lock.
        yield


def _free(handle: int) -> bool:
    try:
        _acquire(handle)
    except (BlockingIOError, PermissionError):
        return False
    return True
