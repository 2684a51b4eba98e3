"""Typed errors. Each message says what is wrong, where, and how to fix it.

``exit_code`` is what the command line returns: 2 usage, 3 data, 4 model.
"""

from __future__ import annotations


class ForecastError(Exception):
    """Root of every error this package raises on purpose."""

    exit_code = 4


class UsageError(ForecastError):
    """The request itself is wrong: a plan, an option, a name."""

    exit_code = 2


class PlanError(UsageError):
    """A backtest plan does not say what it should; names file, key and fix."""


class UnknownNameError(UsageError):
    """No series, feature, model or analysis has this name."""


class MissingExtraError(UsageError):
    """A model needs an optional part of the package that is not installed."""


class ShadowedPackageError(UsageError):
    """A ``models.py`` or ``models/`` of the user's own hides ours."""


class DataError(ForecastError):
    """Data are absent, unreadable or not what they claim to be."""

    exit_code = 3


class UnitError(DataError):
    """A unit is unknown, missing, or disagrees with what is expected."""


class MissingSeriesError(DataError):
    """A series has no value that was released before the origin."""


class VintageError(DataError):
    """A vintage is undated, inconsistent, or holds values before they were public."""


class ModelError(ForecastError):
    """A model cannot answer."""


class ShortHistoryError(ModelError):
    """Fewer observations than the model needs."""


class NeedsScenarioError(ModelError):
    """A model needs the future of a feature and was given none."""


class DiagnosticsError(ModelError):
    """A sampler did not pass its convergence diagnostics."""


class RankDeficientError(ModelError):
    """Some regressors are linear combinations of others; names them."""
