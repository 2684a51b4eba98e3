"""How late and how wrong a real-time slope is, and how far it depends on two choices. Prints Markdown.

First in a simulated economy, where the truth is known: the slope is flat at zero for five years, steepens to -1 within one,
and stays. For every memory (lambda) and delay (h): bias and error of the instrumental slope of the drifting-slope
model while nothing changes, half a year and two years after the change, by how many weeks half of the way is seen too
late; and the same of weighted least squares over the same window. Then on imported data: the surface of the slope over
both choices by period. No choice is made by it.

    forecast data import DIR
    python benchmarks/real_time_slope.py
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from rich.progress import track

import forecast.features  # noqa: F401  features register on import
from forecast.data.store import load_vintages
from forecast.errors import DataError
from forecast.features.feature_set import FeatureSet
from models.reserve_demand.drifting_slope import DriftingSlope
from models.reserve_demand.slope_delay import Descent, delay, slope_delay

MEMORIES = (0.97, 0.98, 0.99, 0.995)  # lambda: effective windows of 33, 50, 100 and 200 weeks
DELAYS = (1, 2, 4)  # h, weeks
RUNS, SEED = 200, 1
PERIODS = {
    "2010-11": ("2010-01-01", "2011-12-31"),
    "2012-17": ("2012-01-01", "2017-12-31"),
    "2018H2-19": ("2018-07-01", "2019-12-31"),
    "mid-2020-24": ("2020-07-01", "2024-06-30"),
}


def simulated(memory: float, weeks_after: int) -> pd.DataFrame:
    """Bias and error by week of one pair of choices; the same histories for every pair."""
    rng = np.random.default_rng(SEED)
    return slope_delay(Descent(), rng, runs=RUNS, forgetting=memory, weeks_after=weeks_after)


def simulation_lines(workers: int) -> Iterator[str]:
    """One line a pair, then one a memory for least squares."""
    economy = Descent()
    ends = economy.flat + economy.ramp
    moments = {"flat": economy.flat - 1, "26 weeks after": ends + 26, "104 weeks after": ends + 104}
    pairs = [(memory, h) for memory in MEMORIES for h in DELAYS]
    found = Parallel(n_jobs=workers, return_as="generator")(delayed(simulated)(*pair) for pair in pairs)
    heads = " | ".join(f"{moment}: bias, rmse" for moment in moments)
    yield f"| slope | lambda | window, weeks | h | {heads} | weeks late |\n|---|---|---:|---:|---|---|---|---:|"
    for (memory, h), curve in zip(pairs, track(found, total=len(pairs), description="simulations"), strict=True):
        for name in ("instrumental", *(["least_squares"] if h == DELAYS[0] else [])):
            rows = [(curve[f"{name}_bias"][week], curve[f"{name}_rmse"][week]) for week in moments.values()]
            cells = " | ".join(f"{bias:+.2f}, {rmse:.2f}" for bias, rmse in rows)
            delays = str(h) if name == "instrumental" else ""
            kind = name.replace("_", " ")
            late = delay(curve, name)
            seen = f"{late:.0f}" if np.isfinite(late) else f"over {economy.steep}"
            yield f"| {kind} | {memory:g} | {1 / (1 - memory):.0f} | {delays} | {cells} | {seen} |"


def surface_lines() -> Iterator[str]:
    """Mean slope by period on final data, for every pair of choices."""
    spec = DriftingSlope()
    full = FeatureSet(spec.targets, spec.features).build(load_vintages().final())
    fitted = spec.fit(full, rng=np.random.default_rng(SEED))
    surface = fitted.surface(MEMORIES, DELAYS)
    yield f"\n| lambda | h | {' | '.join(PERIODS)} |\n|---|---:|{'---:|' * len(PERIODS)}"
    for memory, h in surface.columns:
        slopes = (surface[memory, h].loc[first:last].median() for first, last in PERIODS.values())
        yield f"| {memory:g} | {h} | {' | '.join(f'{slope:+.2f}' for slope in slopes)} |"
    least = fitted.least_squares_slope()
    slopes = (least.loc[first:last].median() for first, last in PERIODS.values())
    yield f"| least squares, {spec.forgetting:g} | | {' | '.join(f'{slope:+.2f}' for slope in slopes)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description="How late and how wrong is a real-time slope?")
    parser.add_argument("--workers", type=int, default=4)
    for line in simulation_lines(parser.parse_args().workers):
        print(line, flush=True)
    try:
        for line in surface_lines():
            print(line)
    except DataError as error:
        print(f"\nNo surface on real data: {error}")


if __name__ == "__main__":
    main()
