"""The scorecard: every score of a backtest, and comparisons on the cells that two models share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from forecast.calendar import NEW_YORK
from forecast.errors import DataError, UsageError
from forecast.evaluation.comparison import worsened
from forecast.evaluation.inference import diebold_mariano, giacomini_white, overlap, windows
from forecast.evaluation.leaders import Regime, by_regime, confidence_sets, superior
from forecast.evaluation.scores import COLUMNS, SCORES, column_threshold
from forecast.tables import read_table, write_atomically, write_table

KEY = ("model", "conditioning", "target", "origin", "horizon")
_GROUP = ["model", "conditioning", "target", "unit", "horizon"]
_IDENTITY = {
    "model": "str",
    "conditioning": "str",
    "target": "str",
    "origin": f"datetime64[us, {NEW_YORK}]",
    "horizon": "int64",
    "period": "datetime64[us]",
    "unit": "str",
    "outcome": "float64",
}
_TYPES = _IDENTITY | dict.fromkeys(COLUMNS, "float64")
_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True, eq=False)
class Scorecard:
    """Scores of a backtest; lower is better.

    table : one row a model x conditioning x target x origin x horizon. Columns: model, conditioning,
            target, origin (New York time), horizon (weeks), period (the reserve week), unit, outcome, then
            the scores of :data:`forecast.evaluation.scores.COLUMNS`: in the unit of the row, but squared_error
            in its square, log_score in nats, pit and covered_* without unit. Missing where the outcome is unknown.
            energy may be left out, as in scorecards of earlier versions, and is then missing. Last, any columns of
            :func:`forecast.evaluation.scores.threshold_columns`, missing for targets without that threshold:
            brier_above_* without unit, twcrps_above_* in the unit of the row.

    Raises
    ------
    DataError : columns are missing or unknown, an origin has no time zone, or a cell stands twice
    """

    table: pd.DataFrame

    def __post_init__(self) -> None:
        object.__setattr__(self, "table", _checked(self.table))

    def summary(self) -> pd.DataFrame:
        """Mean scores of each model on its own cells.

        Returns
        -------
        One row a model x conditioning x target x unit x horizon: n cells with a known outcome, the mean of each
        score, rmse (root of the mean squared error, in the unit), and the coverage shares covered_*. With each mean
        brier_above_* also events_above_*: how many of the n outcomes exceeded the threshold.
        The n differ between models that were not asked at the same origins: compare with :meth:`against`.
        """
        known = self.table[self.table["outcome"].notna()]
        grouped = known.groupby(_GROUP)
        means = grouped[[name for name in known.columns[len(_IDENTITY) :] if name != "pit"]].mean()
        means.insert(0, "n", grouped.size())
        means.insert(1 + len(SCORES), "rmse", np.sqrt(means["squared_error"]))
        for name, level in _thresholds(known, "brier"):
            above = (known["outcome"] > level + _ROUNDING).astype(float).where(known[name].notna())
            means[f"events_above_{level:g}"] = above.groupby([known[by] for by in _GROUP]).sum(min_count=1)
        return _in_order(means.reset_index(), self.table)

    def against(self, benchmark: str, *, score: str = "crps", regimes: Sequence[Regime] = ()) -> pd.DataFrame:
        """Every other model against the benchmark, on the cells that both have.

        Parameters
        ----------
        benchmark : label of a model; its unconditional forecasts (conditioning "none") are the yardstick
        score     : one of :data:`forecast.evaluation.scores.SCORES` or a threshold column
        regimes   : stretches of origins reported beside "all"; fix them before looking at scores

        Returns
        -------
        One row a model x conditioning x target x unit x horizon x regime with at least one common cell:
        n               : common cells
        windows         : how many of them span weeks of their own (see :func:`forecast.evaluation.inference.windows`)
        mean, benchmark : mean scores on them
        skill           : 1 - mean / benchmark; missing if the benchmark's mean is zero. Not meaningful for the
                          log score, whose zero is arbitrary
        difference, standard_error, statistic, p_value, test, reason : Diebold-Mariano, negative is better than the
                          benchmark; the overlap is counted from the origins at hand
        conditional_p_value : Giacomini-White: does the last loss difference that was known at the origin tell
                          which of the two will be better?
        share_zero      : share of cells where both scores are equal
        moved           : share of cells whose outcome differs from the one at the origin before: low on flat stretches

        Raises
        ------
        UsageError : no such score, or the benchmark has no unconditional forecasts here
        """
        self._check(score)
        known = self.table[self.table[score].notna()].sort_values("origin")
        ours = (known["model"] == benchmark) & (known["conditioning"] == "none")
        if not ours.any():
            raise UsageError(
                f"benchmark {benchmark!r} has no scored unconditional forecast. Models here: {', '.join(pd.unique(self.table['model']))}."
            )
        cell = ["target", "horizon", "origin"]
        yardstick = known.loc[ours, [*cell, score]].rename(columns={score: "benchmark"})
        others = known[known["model"] != benchmark].merge(_moved(known), on=cell)
        common = others.merge(yardstick, on=cell).sort_values("origin").rename(columns={score: "score"})
        groups: Iterable[tuple[Any, pd.DataFrame]] = common.groupby(_GROUP)
        rows = [
            dict(zip(_GROUP, key, strict=True)) | {"regime": name} | _compare(cells, horizon=key[-1])
            for key, group in groups
            for name, cells in by_regime(group, regimes)
        ]
        return _in_order(pd.DataFrame(rows, columns=[*_GROUP, "regime", *_COMPARISON]), self.table)

    def worse_than(self, reference: Scorecard, *, score: str = "crps", tolerance: float = 1.0) -> pd.DataFrame:
        """What became worse since an accepted scorecard of the same plan; empty if nothing did.

        Parameters
        ----------
        reference : the accepted scorecard
        score     : one of :data:`forecast.evaluation.scores.SCORES`
        tolerance : by how many standard errors of the paired difference a mean score may rise

        Returns
        -------
        One row a model x conditioning x target x horizon that worsened, or that cannot be held against the reference
        because one side lacks all or some of its cells or the outcomes differ; see
        :func:`forecast.evaluation.comparison.worsened`

        Raises
        ------
        UsageError : no such score
        """
        self._check(score)
        rows = worsened(self.table, reference.table, score=score, tolerance=tolerance)
        return _in_order(rows, pd.concat([reference.table, self.table]))

    def confidence_sets(
        self, *, score: str = "crps", regimes: Sequence[Regime] = (), size: float = 0.1
    ) -> pd.DataFrame:
        """Which models may be the best? Model confidence sets, on the origins that the models share.

        A model that was asked at fewer than nine tenths of the origins of the one asked most is left out, with the
        reason: it would take those origins from all others. Models are compared under one conditioning at a time.

        Parameters
        ----------
        score   : one of :data:`forecast.evaluation.scores.SCORES` or a threshold column
        regimes : stretches of origins reported beside "all"
        size    : probability of leaving out a best model

        Returns
        -------
        One row a conditioning x target x unit x horizon x regime x model: n origins, mean score on them, p_value and
        inside; see :func:`forecast.evaluation.confidence_set.confidence_set`. Missing with a reason where a model or
        the whole case cannot be compared

        Raises
        ------
        UsageError : no such score
        """
        self._check(score)
        return _in_order(confidence_sets(self.table, score=score, regimes=regimes, size=size), self.table)

    def superior(self, benchmark: str, *, score: str = "crps", regimes: Sequence[Regime] = ()) -> pd.DataFrame:
        """Which models beat the benchmark, counting that all of them were tried? Unconditional forecasts only.

        Parameters
        ----------
        benchmark : label of a model
        score, regimes : as in :meth:`confidence_sets`, which also says which models take part

        Returns
        -------
        One row a target x unit x horizon x regime x other model: n, difference, t, p_value, reason; see
        :func:`forecast.evaluation.confidence_set.superior_models`

        Raises
        ------
        UsageError : no such score
        """
        self._check(score)
        rows = superior(self.table, benchmark, score=score, regimes=regimes)
        return _in_order(rows.assign(conditioning="none"), self.table).drop(columns="conditioning")

    def _check(self, score: str) -> None:
        scores = (*SCORES, *(name for name in self.table if column_threshold(str(name))))
        if score not in scores:
            raise UsageError(f"no score {score!r} to compare by; use one of {', '.join(map(str, scores))}.")

    def write(self, path: Path) -> None:
        """Write as Parquet or, if the name ends in ``.csv``, as text; whole or not at all."""
        if path.suffix == ".csv":
            write_atomically(path, self.table.to_csv(index=False).encode())
        else:
            write_table(self.table, path)

    @classmethod
    def read(cls, path: Path) -> Scorecard:
        """Read what :meth:`write` wrote, every number and instant unchanged.

        Raises
        ------
        DataError : there is no such file, or it is not a scorecard
        """
        if not path.is_file():
            raise DataError(f"{path}: no such scorecard.")
        if path.suffix != ".csv":
            return cls(read_table(path))
        texts = ["model", "conditioning", "target", "unit"]
        table = pd.read_csv(path, dtype=dict.fromkeys(texts, "str"), keep_default_na=False, na_values=[""])
        if "origin" in table:
            table["origin"] = pd.to_datetime(table["origin"], utc=True).dt.tz_convert(NEW_YORK)
        return cls(table)


_COMPARISON = (
    "n", "windows", "mean", "benchmark", "skill", "difference", "standard_error", "statistic", "p_value", "test", "conditional_p_value",
    "share_zero", "moved", "reason",
)  # fmt: skip


def _compare(cells: pd.DataFrame, *, horizon: int) -> dict[str, Any]:
    lags = overlap(cells["origin"], horizon)
    test = diebold_mariano(cells["score"], cells["benchmark"], lags=lags)
    known = (cells["score"] - cells["benchmark"]).shift(lags + 1)
    mean, benchmark = float(cells["score"].mean()), float(cells["benchmark"].mean())
    return {
        "n": test.n,
        "windows": windows(cells["origin"], horizon),
        "mean": mean,
        "benchmark": benchmark,
        "skill": 1 - mean / benchmark if benchmark != 0 else np.nan,
        "difference": test.mean_difference,
        "standard_error": test.standard_error,
        "statistic": test.statistic,
        "p_value": test.p_value,
        "test": test.version,
        "conditional_p_value": giacomini_white(cells["score"], cells["benchmark"], known, lags=lags).p_value,
        "share_zero": test.share_zero,
        "moved": float(cells["moved"].mean()),
        "reason": test.reason,
    }


def _moved(known: pd.DataFrame) -> pd.DataFrame:
    """1 where the outcome differs from the same target's and horizon's at the origin before, 0 where not."""
    cell = ["target", "horizon", "origin"]
    outcomes = known.drop_duplicates(cell)[[*cell, "outcome"]].sort_values("origin")
    before = outcomes.groupby(["target", "horizon"])["outcome"].shift()
    # Spreads are differences of published rates: equal ones differ by a rounding error.
    same = np.isclose(outcomes["outcome"], before, rtol=1e-9, atol=_ROUNDING)
    return outcomes[cell].assign(moved=np.where(before.isna(), np.nan, ~same))


def _thresholds(table: pd.DataFrame, kind: str) -> Iterator[tuple[str, float]]:
    for name in map(str, table.columns):
        found = column_threshold(name)
        if found and found[0] == kind:
            yield name, found[1]


def _in_order(rows: pd.DataFrame, table: pd.DataFrame) -> pd.DataFrame:
    """Models and targets as they first appear in the table, which is as the plan lists them."""
    ranks = {name: {label: i for i, label in enumerate(pd.unique(table[name]))} for name in ("model", "target")}
    by = ["model", "conditioning", "target", "horizon"]
    order = rows[by].assign(**{name: rows[name].map(rank) for name, rank in ranks.items()})
    return rows.loc[order.sort_values(by, kind="stable").index].reset_index(drop=True)


_dtype = cache(pd.api.types.pandas_dtype)


def _checked(table: pd.DataFrame) -> pd.DataFrame:
    """The columns in their order and types."""
    at_thresholds = [str(name) for name in table.columns if column_threshold(str(name))]
    types = _TYPES | dict.fromkeys(at_thresholds, "float64")
    there = set(map(str, table.columns))
    missing, unknown = set(types) - there - {"energy"}, there - set(types)
    if missing or unknown:
        raise DataError(
            f"not a scorecard: columns missing: {sorted(missing) or 'none'}, unknown: {sorted(unknown) or 'none'}."
        )
    if not isinstance(table["origin"].dtype, pd.DatetimeTZDtype):
        raise DataError("not a scorecard: origins need a time zone; localize them to New York.")
    if "energy" not in there:
        table = table.assign(energy=np.nan)
    typed = table[list(types)]
    # Converting what has its type already would take longer than scoring some models.
    other = {name: kind for name, kind in types.items() if typed.dtypes[name] != _dtype(kind)}
    if other:
        typed = typed.assign(origin=typed["origin"].dt.tz_convert(NEW_YORK)).astype(other)
    twice = typed.duplicated(list(KEY))
    if twice.any():
        raise DataError(
            f"not a scorecard: a cell stands twice: {', '.join(map(str, typed.loc[twice, list(KEY)].iloc[0]))}."
        )
    return typed.reset_index(drop=True)
