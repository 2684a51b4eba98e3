"""``forecast ampleness``: how near reserves are to scarce, by every model that can tell."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from forecast.cli import HELP, emit_json

if TYPE_CHECKING:
    from forecast.answers.assessment import Assessment, Progress


@click.command(context_settings=HELP)
@click.option("--as-of", metavar="DATE", help="Use only what was public by the end of this day; by default everything.")
@click.option("--model", "models", multiple=True, metavar="NAME", help="Ask only this model; may be repeated.")
@click.option(
    "--spread", default="effr_iorb", show_default=True, help="Price of reserves: effr_iorb, sofr_iorb or tgcr_iorb."
)
@click.option(
    "--data", type=click.Choice(["archive", "synthetic"]), help="By default the archive if it has the series."
)
@click.option("--start", metavar="DATE", default="2009-01-01", show_default=True, help="First day of the sample.")
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="Of models estimated by simulation.")
@click.option(
    "--quick", is_flag=True, help="Leave out models estimated by simulation, which take minutes, unless named."
)
@click.option("--json", "as_json", is_flag=True, help="Print the answer as one JSON object.")
@click.option("--html", type=click.Path(path_type=Path, dir_okay=False), help="Page with pictures to write.")
def command(
    *,
    as_of: str | None,
    models: tuple[str, ...],
    spread: str,
    data: Literal["archive", "synthetic"] | None,
    start: str,
    seed: int,
    quick: bool,
    as_json: bool,
    html: Path | None,
) -> None:
    """Where reserves stand: abundant, ample, scarce, or cannot tell.

    One more percentage point of bank assets held as reserves lowers the spread: by less than 0.25 bp where reserves are
    abundant, by more than 1 bp where they are scarce. A model says so where it gives at least two chances in three; all
    say so together, or the answer is "cannot tell".

    Fits every demand curve that can tell, on what was known, and shows what each says: the slope now, how far away the
    bend is, how many reserves keep the slope within a tolerance. Models are shown side by side, never averaged.
    """
    from forecast.report.ampleness_document import ampleness_document
    from forecast.report.ampleness_question import AmplenessQuestion, ask_ampleness
    from forecast.report.ampleness_screen import print_assessment

    question = AmplenessQuestion(spread, as_of, start, models, seed, quick, data)
    with _progress() as progress:
        assessment = ask_ampleness(question, progress=progress)
    page = _write(assessment, html) if html else None
    if as_json:
        emit_json(ampleness_document(assessment) | {"page": None if page is None else str(page)})
    else:
        print_assessment(assessment)
        if page is not None:
            click.echo(f"\nPage: {page}")


@contextmanager
def _progress() -> Iterator[Progress]:
    """A bar on standard error where that is a screen, gone when all models have answered."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Bar(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("data", total=None)
        yield lambda done, total, name: bar.update(task, completed=done, total=total, description=name or "done")


def _write(assessment: Assessment, path: Path) -> Path:
    from forecast.errors import UsageError
    from forecast.report.ampleness import write_ampleness

    try:
        return write_ampleness(assessment, path)
    except OSError as error:
        raise UsageError(f"--html: cannot write {path}: {error.strerror}. Name a file in another folder.") from error
