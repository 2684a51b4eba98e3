"""The answer in sentences, computed from the comparisons with the benchmark."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from forecast.evaluation.multiplicity import holm
from forecast.report.figures import weeks_ahead
from forecast.report.tables import SIGNIFICANT, groups, number, p_value, percent, records, unit_label

# A benchmark that is exactly right this often leaves few origins on which models can differ.
_MOSTLY = 0.5


@dataclass(frozen=True, slots=True)
class Finding:
    """What came out for one target under one conditioning: (horizon in words, sentences) pairs."""

    target: str
    conditioning: str
    lines: tuple[tuple[str, str], ...]


def findings(compared: pd.DataFrame, zeros: pd.DataFrame, *, benchmark: str) -> list[Finding]:
    """Per target, conditioning and horizon: who beat the benchmark, by how much, and is it luck?

    Parameters
    ----------
    compared : ``Scorecard.against``, all regimes together
    zeros    : rows of :func:`exact_zeros`
    """
    share = zeros.set_index(["target", "horizon"])["share"]
    ordered = compared.sort_values("conditioning", key=lambda words: words != "none", kind="stable")
    return [
        Finding(target, conditioning, tuple(_lines(rows, share, benchmark)))
        for (conditioning, target), rows in groups(ordered, ["conditioning", "target"])
    ]


def _lines(rows: pd.DataFrame, share: pd.Series, benchmark: str) -> Iterator[tuple[str, str]]:
    still = []
    for weeks, panel in groups(rows.sort_values("horizon", kind="stable"), "horizon"):
        yield weeks_ahead(weeks), _verdict(panel, benchmark)
        zero = float(share.get((panel["target"].iloc[0], weeks), 0.0))
        if zero > _MOSTLY:
            still.append(f"{percent(zero)} ({weeks_ahead(weeks)})")
    if still:
        yield "Mostly still", _still(still, float(rows["moved"].mean()), benchmark)


def _verdict(panel: pd.DataFrame, benchmark: str) -> str:
    ranked = panel.sort_values("skill", ascending=False)
    better = ranked[(ranked["p_value"] < SIGNIFICANT) & (ranked["difference"] < 0)]
    worse = int(((ranked["p_value"] < SIGNIFICANT) & (ranked["difference"] > 0)).sum())
    if better.empty:
        said = "The one other model did not" if len(panel) == 1 else f"None of {len(panel)} models"
        text = f"{said} beat {benchmark} significantly. {_closest(ranked)}"
    else:
        named = _listed([_named(row) for row in records(better.head(3))])
        more = f", and {len(better) - 3} more" if len(better) > 3 else ""
        text = f"{len(better)} of {len(panel)} models beat {benchmark} significantly: {named}{more}."
    return text + (f" {worse} {'was' if worse == 1 else 'were'} significantly worse." if worse else "")


def _closest(ranked: pd.DataFrame) -> str:
    tested = ranked[ranked["skill"].notna()]
    if tested.empty:
        return "Skill cannot be computed: the benchmark's score is zero everywhere."
    first = "It was" if len(ranked) == 1 else "The nearest was"
    return f"{first} {_named(next(records(tested)))}."


def _named(row: Any) -> str:
    unit = unit_label(row.unit)
    change = "lower" if row.difference < 0 else "higher"
    test = f"p\u00a0{p_value(row.p_value)}" if row.p_value == row.p_value else f"not tested: {row.reason}"
    return (
        f"{row.model} (CRPS {number(row.mean)} against {number(row.benchmark)} {unit}, "
        f"{percent(abs(row.skill))} {change}, {test}, {row.n} origins)"
    )


def _still(shares: Sequence[str], moved: float, benchmark: str) -> str:
    return (
        f"{benchmark}'s median was exactly right at {_listed(shares)} of its origins; the outcome differed from that of the "
        f"origin before in {percent(moved)}. Relative scores rest on the few origins where it moved."
    )


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def exact_zeros(table: pd.DataFrame, benchmark: str) -> pd.DataFrame:
    """How often the benchmark's median is exactly the outcome.

    Parameters
    ----------
    table : a scorecard's table

    Returns
    -------
    One row a target x horizon: ``share`` of the benchmark's cells with an absolute error of zero
    """
    own = (table["model"] == benchmark) & (table["conditioning"] == "none") & table["outcome"].notna()
    exact = table[own].assign(share=lambda rows: (rows["absolute_error"] == 0).astype(float))
    return exact.groupby(["target", "horizon"], sort=False)["share"].mean().reset_index()


def overall(compared: pd.DataFrame, *, benchmark: str) -> list[str]:
    """The answer of the whole run in two or three sentences, with what luck alone would give."""
    fair = compared[compared["conditioning"] == "none"]
    tested = fair[fair["p_value"].notna()]
    if tested.empty:
        return [f"No model could be compared with {benchmark}: there are too few common cells, or no other model."]
    case = ["target", "horizon"]
    cases, won = (len(rows.drop_duplicates(case)) for rows in (fair, fair[_better(fair)]))
    count, luck = int(_better(tested).sum()), len(tested) * SIGNIFICANT / 2
    robust = int((_better(tested) & (holm(tested["p_value"]) < SIGNIFICANT)).sum())
    among = f"the {cases} combinations of target and horizon"
    first = f"In {won} of {among} at least one model" if won else f"In none of {among} any model"
    return [
        f"{first} beat {benchmark} significantly (CRPS, Diebold-Mariano test, p < 0.05).",
        (
            f"{len(tested)} comparisons were made and {count} of them came out significantly better. If every model were "
            f"exactly as good as {benchmark}, about {number(luck, 2)} would do so by luck. After Holm's correction for the "
            f"number of comparisons {robust} remain{'s' if robust == 1 else ''}."
        ),
    ]


def _better(rows: pd.DataFrame) -> pd.Series:
    return (rows["p_value"] < SIGNIFICANT) & (rows["difference"] < 0)
