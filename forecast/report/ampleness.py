"""An assessment as one self-contained HTML page: sentence, tables, and the demand curve itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from forecast.answers.ampleness import CONFIDENT, TOLERANCES
from forecast.answers.assessment import Assessment, reasons
from forecast.answers.verdict import chances, changes, limits, model_notes, sentence
from forecast.report.ampleness_tables import prior_table, summary_table, threshold_table
from forecast.report.charts import Chart
from forecast.report.demand_curve import curve_figure, distance_figure, slope_figure
from forecast.report.page import page
from forecast.tables import write_atomically


def write_ampleness(assessment: Assessment, path: Path) -> Path:
    """Write the page of an assessment, whole or not at all."""
    write_atomically(path, render_ampleness(assessment).encode())
    return path


def render_ampleness(assessment: Assessment) -> str:
    """The page as HTML. The same assessment gives the same text."""
    thresholds = threshold_table(assessment)
    return page("ampleness.html.j2", _context(assessment) | {"thresholds": thresholds if thresholds.groups else None})


def rule() -> str:
    """How a model's state is told, in a sentence."""
    flat, steep = TOLERANCES[0], TOLERANCES[-1]
    return (
        f"Abundant: the slope is flatter than {flat:g} bp per percentage point of bank assets; scarce: steeper than "
        f"{steep:g}; ample: between. A model says so where it gives a chance of at least {CONFIDENT:.0%}."
    )


def _context(assessment: Assessment) -> dict[str, Any]:
    return {
        "title": f"Where reserves stand, judged by {assessment.spread}",
        "sentence": sentence(assessment),
        "chances": chances(assessment),
        "rule": rule(),
        "asked": _asked(assessment),
        "notes": assessment.notes,
        "model_notes": list(model_notes(assessment)),
        "summary": summary_table(assessment),
        "priors": prior_table(assessment),
        "silent": list(reasons(assessment.silent)),
        "changes": list(changes(assessment)),
        "limits": limits(assessment),
        "charts": list(_charts(assessment)),
        "styles": {},
        "benchmark": "",
    }


def _asked(assessment: Assessment) -> list[tuple[str, str]]:
    simulated = "simulated economy, not actual data"
    return [
        ("Spread", f"{assessment.spread}, bp"),
        ("Data", simulated if assessment.data == "synthetic" else "imported archive"),
        ("As of", f"{assessment.as_of:%Y-%m-%d %H:%M} New York time"),
        ("Sample", f"{assessment.first_week:%Y-%m-%d} to {assessment.last_week:%Y-%m-%d}, reserve weeks"),
        (
            "Last week",
            f"reserves {assessment.ratio:.2f} percent of bank assets, USD {assessment.ratio * assessment.bank_assets / 100:,.0f} bn",
        ),
    ]


def _charts(assessment: Assessment) -> Iterator[Chart]:
    truth = "; dashed: the truth" if assessment.truth is not None else ""
    curve = curve_figure(assessment)
    if curve is not None:
        caption = (
            f"Demand curves: {assessment.spread} against reserves in percent of bank assets, one dot a week, with each model's "
            "median curve, 68 and 95 percent bands. Curves stand at the level that the model gives the last week (diamond); "
            "earlier weeks may lie above or below, because rules and facilities have changed. Dots on a curve, from right to "
            f"left: median ratios at which the slope is {', '.join(f'{c:g}' for c in TOLERANCES)}, where such ratios have "
            f"been seen. The most extreme percent of weeks lies outside the frame{truth}."
        )
        yield Chart(caption, curve)
    yield Chart(
        "Slope in every week, bp per percentage point of bank assets, with 68 and 95 percent bands, as seen from the end of "
        f"the sample. Dotted: {TOLERANCES[0]:g} and {TOLERANCES[-1]:g}{truth}.",
        slope_figure(assessment),
    )
    distance = distance_figure(assessment)
    if distance is not None:
        yield Chart(
            f"Reserves less those at which the slope is {TOLERANCES[1]:g}, USD bn, with 68 and 95 percent bands: every week is "
            "held against the curve as it stands now, not as it stood then.",
            distance,
        )
