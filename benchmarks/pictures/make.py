"""Draw the README's pictures again.

Fans of a stored run  : python benchmarks/pictures/make.py RUN TARGET FILE [CONDITIONING]
Demand curves of the embedded economy, with the true one:
                        python benchmarks/pictures/make.py demand-curve FILE [MODEL ...]
"""

from __future__ import annotations

import re
import sys
from importlib.resources import files
from pathlib import Path

from forecast.backtest.stored import load_result
from forecast.cli.ampleness import Question, ask
from forecast.report.charts import fan_models, fans, sampled_models
from forecast.report.demand_curve import curve_figure
from forecast.report.svg import looks


def standalone(svg: str) -> str:
    """An inline drawing with the report's light colours written out, on white, so that it can stand in a file."""
    style = (files("forecast.report") / "templates" / "style.css").read_text(encoding="utf-8")
    light = dict(reversed(re.findall(r"--([\w-]+): (#[0-9a-f]+)", style)))
    svg = re.sub(r"var\(--([\w-]+)\)", lambda found: light[found[1]], svg)
    if "xmlns=" not in svg:
        svg = svg.replace(
            "<svg",
            '<svg font-family="sans-serif" xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"',
            1,
        )
    return re.sub(r"(<svg[^>]*>)", r'\1<rect width="100%" height="100%" fill="#fff"/>', svg, count=1)


def demand_curve(file: str, *models: str) -> None:
    """Spread against reserves in the embedded economy, with what each model makes of it and what is true."""
    assessment = ask(Question(models=models), "synthetic")
    drawing = curve_figure(assessment)
    if drawing is None:
        raise SystemExit("No model with a curve answered.")
    Path(file).write_text(standalone(drawing), encoding="utf-8")


def fan_charts(run: str, target: str, file: str, conditioning: str = "none") -> None:
    result = load_result(run)
    plan = result.plan
    models = fan_models(
        result.scorecard.against(plan.benchmark),
        target,
        conditioning,
        benchmark=plan.benchmark,
        sampled=sampled_models(plan),
    )
    chart = fans(result, target, conditioning, models, looks([entry.label for entry in plan.models], plan.benchmark))
    if chart is None:
        raise SystemExit(f"{run} has no forecasts of {target}.")
    Path(file).write_text(standalone(chart.svg), encoding="utf-8")


if __name__ == "__main__":
    if sys.argv[1:2] == ["demand-curve"]:
        demand_curve(*sys.argv[2:])
    else:
        fan_charts(*sys.argv[1:])
