"""Run plans and compare their scores with the accepted ones; the result is Markdown for a pull request.

    python benchmarks/compare.py                      every plan that CI runs
    python benchmarks/compare.py --plan PLAN.toml     this one; may be repeated
    python benchmarks/compare.py --accept             what was scored becomes the reference
    python benchmarks/compare.py --markdown FILE      write the table to a file as well

Exit 1 if a mean CRPS rose by more than its standard error, or if scored cells were lost; 2 if the request is wrong or
nothing has been accepted yet; 3 if data are missing. Plans on official data need an archive (forecast data import);
where the archive is empty and the folder ``../shared/data`` exists, its files are imported into a temporary one.
"""

from __future__ import annotations

import argparse
import gzip
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from forecast.backtest.plan import read_plan
from forecast.backtest.result import BacktestResult
from forecast.backtest.run import load_vintages, run_backtest
from forecast.data.store import import_directory
from forecast.errors import ForecastError, UsageError
from forecast.evaluation.comparison import SERIES
from forecast.evaluation.scorecard import Scorecard
from forecast.evaluation.scores import COLUMNS
from forecast.home import archive_folder
from forecast.tables import write_atomically

BENCHMARKS = Path(__file__).resolve().parent
REFERENCE = BENCHMARKS / "reference"
SHARED = BENCHMARKS.parents[1] / "shared" / "data"
SYNTHETIC, REAL = BENCHMARKS / "plans" / "ci_synthetic.toml", BENCHMARKS / "plans" / "ci_real.toml"

SCORE = "crps"
# What a reference keeps of each cell; scores with six digits, outcomes with twelve because they must be the same.
CELL = ["target", "unit", "horizon", "origin", "period", "outcome"]


@dataclass(frozen=True, slots=True, eq=False)
class Accepted:
    """An accepted scorecard.

    scorecard : CRPS of every scored cell, rounded to six digits; the other scores are missing
    about     : content hash of the run and the versions it was made with
    """

    scorecard: Scorecard
    about: Mapping[str, str]


# --------------------------------------------------------------------------- references on disk


def reference_of(plan: Path) -> Path:
    """Where the accepted scores of a plan are kept; compressed unless CI runs it, for only those are read as a diff."""
    return REFERENCE / f"{plan.stem}.csv{'' if plan.stem in (SYNTHETIC.stem, REAL.stem) else '.gz'}"


def write_reference(path: Path, accepted: Accepted) -> None:
    """Lines ``# key: value``, then one row a target x horizon x origin and one column a model and conditioning."""
    table = accepted.scorecard.table
    label = (table["model"] + ":" + table["conditioning"]).rename(None)
    order = {name: i for i, name in enumerate(pd.unique(table["target"]))}
    # A column a model makes the file a tenth of the long table, and a changed score one number in the diff.
    wide = table.assign(rank=table["target"].map(order), label=label).pivot_table(
        index=["rank", *CELL], columns="label", values=SCORE, sort=False
    )
    rows = wide[list(pd.unique(label))].sort_index().reset_index()
    rows["origin"] = rows["origin"].dt.strftime("%Y-%m-%d %H:%M%z")
    rows["period"] = rows["period"].dt.strftime("%Y-%m-%d")
    rows["outcome"] = [f"{outcome:.12g}" for outcome in rows["outcome"]]
    head = "".join(f"# {key}: {value}\n" for key, value in accepted.about.items())
    text = rows.drop(columns="rank").to_csv(index=False, float_format="%.6g", lineterminator="\n")
    content = (head + text).encode()
    # Without a time stamp, so that the same scores are the same file.
    write_atomically(path, gzip.compress(content, mtime=0) if path.suffix == ".gz" else content)


def read_reference(path: Path) -> Accepted:
    """Read what :func:`write_reference` wrote."""
    content = path.read_bytes()
    lines = (gzip.decompress(content) if path.suffix == ".gz" else content).decode().splitlines()
    head = [line.removeprefix("# ") for line in lines if line.startswith("# ")]
    wide = pd.read_csv(path, skiprows=len(head), dtype={"target": "str", "unit": "str"})
    long = wide.melt(CELL, var_name="label", value_name=SCORE).dropna(subset=[SCORE])
    long[["model", "conditioning"]] = long.pop("label").str.rsplit(":", n=1, expand=True).to_numpy()
    long["origin"] = pd.to_datetime(long["origin"], utc=True)
    long["period"] = pd.to_datetime(long["period"])
    about = dict(line.split(": ", 1) for line in head)
    return Accepted(Scorecard(long.assign(**dict.fromkeys(set(COLUMNS) - {SCORE}, np.nan))), about)


def accepted_of(result: BacktestResult) -> Accepted:
    """A finished run as the reference would keep it."""
    table = result.scorecard.table
    known = table[table["outcome"].notna()]
    rounded = [float(f"{score:.6g}") for score in known[SCORE]]
    versions = ", ".join(f"{name} {number}" for name, number in result.about["versions"].items())
    about = {
        "content": result.about["content"],
        "versions": f"python {result.about['python']}, {versions}",
        "machine": result.about["machine"],
    }
    return Accepted(Scorecard(known.assign(**{SCORE: rounded})), about)


# --------------------------------------------------------------------------- comparison


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """Scores now against the accepted ones, on the cells of the reference.

    worse    : series (model x conditioning x target x horizon) that worsened or lost cells, with a reason
    better   : series whose mean score fell by more than its standard error; their difference is negative
    scores   : one row a series: unit, n cells, mean now, mean in the reference (missing if it is new)
    same     : the two runs agree bit for bit
    """

    worse: pd.DataFrame
    better: pd.DataFrame
    scores: pd.DataFrame
    same: bool


def compare(now: Accepted, before: Accepted) -> Comparison:
    """Hold every series of the reference against what is scored now, beyond one standard error of the difference."""
    cell = [*SERIES, "origin"]
    # Cells that are new since then (another model, later outcomes) can be neither better nor worse.
    shared = now.scorecard.table.merge(before.scorecard.table[cell], on=cell)
    common = Scorecard(shared)
    better = before.scorecard.worse_than(common, score=SCORE)
    better = better[(better["difference"] > 0) & ~(better["difference"] <= better["standard_error"])]
    swapped = better.rename(columns={"mean": "reference", "reference": "mean"})
    return Comparison(
        worse=common.worse_than(before.scorecard, score=SCORE),
        better=swapped.assign(difference=-better["difference"], reason=""),
        scores=_scores(now.scorecard.table, before.scorecard.table),
        same=now.about["content"] == before.about["content"],
    )


def _scores(now: pd.DataFrame, before: pd.DataFrame) -> pd.DataFrame:
    def means(table: pd.DataFrame) -> pd.DataFrame:
        return table.groupby([*SERIES, "unit"], sort=False)[SCORE].agg(["size", "mean"])

    both = means(now).join(means(before).rename(columns={"mean": "reference"})["reference"], how="left")
    return both.rename(columns={"size": "n"}).reset_index()


# --------------------------------------------------------------------------- Markdown


def markdown(name: str, result: BacktestResult, now: Accepted, before: Accepted | None) -> str:
    """What a reviewer reads of one plan; ``before`` is None where nothing has been accepted yet."""
    if before is None:
        return "\n\n".join([f"## {name}: first scores", _about(result), _all_scores(compare(now, now))])
    found = compare(now, before)
    new = int(found.scores["reference"].isna().sum())
    moved = pd.concat([found.worse, found.better])[SERIES].drop_duplicates()
    unchanged = before.scorecard.table[SERIES].drop_duplicates().merge(moved, how="left", indicator=True)["_merge"]
    counts = f"{len(found.worse)} worse, {len(found.better)} better, {(unchanged == 'left_only').sum()} unchanged"
    counts += f", {new} new" if new else ""
    units = before.scorecard.table.groupby("target")["unit"].first().to_dict()
    parts = [
        f"## {name}: {counts}",
        "Bit-identical to the accepted run: every draw and every score." if found.same else _how_compared(),
        _about(result),
        _changes("Worse, or cells lost", found.worse, units),
        _changes("Better", found.better, units),
        _all_scores(found),
        _versions(now.about, before.about),
    ]
    return "\n\n".join(part for part in parts if part)


def _about(result: BacktestResult) -> str:
    status = ", ".join(f"{n} {what}" for what, n in result.cells["status"].value_counts().items())
    return (
        f"{len(result.plan.origins)} origins, {result.plan.n_draws} draws, outcome {result.plan.outcome}; "
        f"cells: {status}; {result.about['seconds']:.0f} s."
    )


def _how_compared() -> str:
    return (
        "Mean CRPS, lower is better. Worse or better: the paired difference exceeds one standard error, overlapping "
        "horizons allowed for. A change that merely draws other random numbers moves one series in three that far."
    )


def _changes(title: str, rows: pd.DataFrame, units: Mapping[Any, str]) -> str:
    if rows.empty:
        return ""
    head = ("model", "conditioning", "target", "weeks", "n", "CRPS", "accepted", "difference", "s.e.", "unit", "why")
    lines = [
        (
            row.model, row.conditioning, row.target, row.horizon, row.n, _number(row.mean, ".5g"),
            _number(row.reference, ".5g"), _number(row.difference, "+.2g"), _number(row.standard_error, ".2g"),
            units[str(row.target)], row.reason,
        )
        for row in rows.itertuples()
    ]  # fmt: skip
    return f"### {title}\n\n" + _table(head, lines, left=3)


def _number(value: Any, how: str) -> str:
    return "" if np.isnan(value) else format(value, how)


def _all_scores(found: Comparison) -> str:
    horizons = sorted(found.scores["horizon"].unique())
    marks = {tuple(row): " ▲" for row in found.worse[SERIES].itertuples(index=False)}
    marks |= {tuple(row): " ▼" for row in found.better[SERIES].itertuples(index=False)}
    lines = []
    for key, rows in found.scores.groupby(["model", "conditioning", "target", "unit"], sort=False):
        means = dict(zip(rows["horizon"], rows["mean"], strict=True))
        cells = [f"{means[h]:.4g}{marks.get((*key[:3], h), '')}" if h in means else "" for h in horizons]
        lines.append((*key, rows["n"].max(), *cells))
    head = ("model", "conditioning", "target", "unit", "n", *(f"{h} wk" for h in horizons))
    table = _table(head, lines, left=4)
    return f"<details><summary>All mean scores (▲ worse, ▼ better)</summary>\n\n{table}\n\n</details>"


def _versions(now: Mapping[str, str], before: Mapping[str, str]) -> str:
    said = f"Versions: {now['versions']}. {now['machine']}."
    changed = [key for key in ("versions", "machine") if before.get(key) != now[key]]
    return said + "".join(f" Accepted with: {before.get(key, 'not recorded')}." for key in changed)


def _table(head: Sequence[str], rows: Sequence[Sequence[object]], *, left: int) -> str:
    rule = ["---"] * left + ["---:"] * (len(head) - left)
    cells = [head, rule, *([str(cell).replace("|", "\\|") for cell in row] for row in rows)]
    return "\n".join("| " + " | ".join(row) + " |" for row in cells)


# --------------------------------------------------------------------------- command


def check(plan: Path, *, accept: bool) -> tuple[str, int]:
    """Run one plan. Returns its Markdown and the exit code."""
    asked = read_plan(plan)
    path = reference_of(plan)
    if not accept and not path.exists():
        raise UsageError(
            f"{plan}: nothing accepted yet. Look at its scores and accept them with: "
            f"python benchmarks/compare.py --plan {plan} --accept"
        )
    vintages = load_vintages(asked)[0]
    with temporary_home():  # cells of an earlier run must not stand in for this one's
        result = run_backtest(asked, vintages=vintages)
    now = accepted_of(result)
    before = read_reference(path) if path.exists() else None
    text = markdown(plan.stem, result, now, before)
    if accept or before is None:
        write_reference(path, now)
        return f"{text}\n\nAccepted: {path.name}, {path.stat().st_size / 1024:.0f} KB.", 0
    return text, int(not compare(now, before).worse.empty)


@contextmanager
def temporary_home() -> Iterator[None]:
    """A home that is forgotten."""
    before = os.environ.get("FORECAST_HOME")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["FORECAST_HOME"] = folder
        try:
            yield
        finally:
            del os.environ["FORECAST_HOME"]
            if before is not None:
                os.environ["FORECAST_HOME"] = before


@contextmanager
def official_data() -> Iterator[bool]:
    """Whether there is an archive to run on; a temporary one is made of the shared files if it is empty."""
    if (archive_folder() / "manifest.jsonl").exists():
        yield True
    elif not SHARED.is_dir():
        yield False
    else:
        with temporary_home():
            import_directory(SHARED / "fed")
            import_directory(SHARED / "vintages", units={"BOGMBASE": "usd_mn"})
            yield True


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Compare the scores of plans with the accepted ones.")
    parser.add_argument("--plan", type=Path, action="append", help="a plan; by default those that CI runs")
    parser.add_argument("--accept", action="store_true", help="what is scored now becomes the reference")
    parser.add_argument("--markdown", type=Path, help="write the tables to this file as well")
    asked = parser.parse_args(arguments)
    try:
        needed = not asked.plan or any(read_plan(plan).data == "archive" for plan in asked.plan)
        with official_data() if needed else nullcontext(enter_result=False) as available:
            plans = asked.plan or [SYNTHETIC, *([REAL] if available else [])]
            checked = [check(plan, accept=asked.accept) for plan in plans]
    except ForecastError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return error.exit_code
    texts = [text for text, _ in checked]
    if not asked.plan and not available:
        texts.append(f"{REAL.stem} was not run: no official data. Import them with: forecast data import DIR")
    document = "\n\n".join(texts) + "\n"
    print(document)
    if asked.markdown:
        asked.markdown.write_text(document, encoding="utf-8")
    return max(code for _, code in checked)


if __name__ == "__main__":
    sys.exit(main())
