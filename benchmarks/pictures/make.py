"""Draw the README's pictures again.

Fans of a stored run  : python benchmarks/pictures/make.py RUN TARGET FILE [CONDITIONING]
Demand curves of the embedded economy, with the true one:
                        python benchmarks/pictures/make.py demand-curve FILE [MODEL ...]
Delay of real-time slopes in simulated economies:
                        python benchmarks/pictures/make.py slope-delay FILE
"""

from __future__ import annotations

import re
import sys
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from forecast.backtest.stored import load_result
from forecast.report.ampleness_question import AmplenessQuestion, ask_ampleness
from forecast.report.charts import fan_models, fans, sampled_models
from forecast.report.demand_curve import curve_figure
from forecast.report.svg import drawn, hue, looks
from models.reserve_demand.slope_delay import Descent, slope_delay


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
    assessment = ask_ampleness(AmplenessQuestion(models=models, data="synthetic"))
    drawing = curve_figure(assessment)
    if drawing is None:
        raise SystemExit("No model with a curve answered.")
    Path(file).write_text(standalone(drawing), encoding="utf-8")


def slope_delays(file: str) -> None:
    """Median real-time slope, by memory, in economies that become short of reserves, beside the true one and least squares."""
    economy, runs = Descent(), 200
    curves = {
        memory: slope_delay(economy, np.random.default_rng(1), runs=runs, forgetting=memory)
        for memory in (0.97, 0.98, 0.99)
    }

    def draw(figure: Any) -> None:
        axes = figure.subplots(1, 2, sharex=True)
        for k, (memory, curve) in enumerate(curves.items()):
            weeks, colour = curve.index - economy.flat, hue(k).mark
            window = f"window {1 / (1 - memory):.0f} weeks"
            axes[0].plot(weeks, curve["instrumental_median"], color=colour, label=window)
            axes[0].plot(weeks, curve["least_squares_median"], color=colour, linestyle=":")
            axes[1].plot(weeks, curve["instrumental_rmse"], color=colour)
            axes[1].plot(weeks, curve["least_squares_rmse"], color=colour, linestyle=":")
        axes[0].plot(weeks, curve["truth"], color="#000000", label="truth")
        axes[0].set_title("median slope; dotted: least squares", loc="left")
        axes[1].set_title("root mean squared error", loc="left")
        for each in axes:
            each.set_xlabel("weeks since the slope began to change")
            each.set_ylabel("bp per percentage point")
        axes[0].legend(frameon=False, loc="lower left")

    Path(file).write_text(
        standalone(drawn(draw, height=3.2, name="slope delay", margins=(0.6, 0.1, 0.3, 0.5))), "utf-8"
    )


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
    elif sys.argv[1:2] == ["slope-delay"]:
        slope_delays(*sys.argv[2:])
    else:
        fan_charts(*sys.argv[1:])
