"""Where things are kept: ``$FORECAST_HOME``, else ``.forecast/`` in the working directory."""

from __future__ import annotations

import os
import re
from pathlib import Path

from forecast.errors import UsageError

_RUN_ID = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


def home() -> Path:
    """The home folder; not created until something is written."""
    return Path(os.environ.get("FORECAST_HOME") or ".forecast").resolve()


def archive_folder() -> Path:
    """Imported series and their vintages."""
    return home() / "archive"


def run_folder(run_id: str) -> Path:
    """Everything one backtest left behind.

    Raises
    ------
    UsageError : the id does not match ``[a-z0-9][a-z0-9._-]{0,63}``
    """
    if not _RUN_ID.fullmatch(run_id):
        raise UsageError(f"{run_id!r} is not a run id: lower-case letters, digits, '.', '_' and '-', at most 64.")
    return home() / "runs" / run_id
