"""How much of the kink of the reserve demand curve is data, and how much is prior. Prints Markdown.

Fits the satiation curve to imported data over several samples, with independent and autocorrelated errors, under a
flat and a normal prior of the kink. A posterior counts as information only if its standard deviation is below half
that of the prior and moving the centre of the prior by four percentage points moves it by less than one. The table shows
what a number owes to its prior; it is not a means to choose a specification.

    forecast data import DIR
    python benchmarks/kink_prior_table.py
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

import forecast.features  # noqa: F401  features register on import
from forecast.data.store import load_vintages
from forecast.errors import DiagnosticsError
from forecast.features.feature_set import Design, FeatureSet
from models._posterior import flat
from models.reserve_demand.fitted_satiation import FittedSatiationCurve
from models.reserve_demand.satiation_curve import SatiationCurve

SAMPLES = {
    "2009-14": ("2009-01-01", "2014-12-31"),
    "2015-19": ("2015-01-01", "2019-12-31"),
    "2009-2025-06": ("2009-01-01", "2025-06-30"),
}
CENTRE, MOVE = 12.0, 4.0  # percent of bank assets, percentage points
HEADER = (
    "| sample | errors | prior of the kink | kink, % of bank assets | sd / prior sd | moved by prior centre ± 4 pp | "
    "slope beta, bp per pp | phi | information |\n|---|---|---|---|---|---|---|---|---|"
)


@dataclass(frozen=True)
class Row:
    """One line of the table; ``moved`` in percentage points, missing for the flat prior."""

    sample: str
    spec: SatiationCurve
    fitted: FittedSatiationCurve
    moved: float

    def __str__(self) -> str:
        kink, beta = self.fitted.kink(), flat(self.fitted.posterior, "beta")[:, 0]
        flat_prior = self.spec.kink_prior == "flat"
        low, high = self.spec.kink_low, self.spec.kink_high
        prior_sd = (high - low) / 12**0.5 if flat_prior else self.spec.kink_sd
        ratio = kink.std() / prior_sd
        informative = ratio < 0.5 and (flat_prior or self.moved < 1.0)
        cells = (
            self.sample,
            self.spec.errors,
            f"flat on [{low:g}, {high:g}]" if flat_prior else f"Normal({CENTRE:g}, {prior_sd:g})",
            interval(kink),
            f"{kink.std():.2f} / {prior_sd:.2f}",
            "" if flat_prior else f"{self.moved:.2f} pp",
            interval(beta),
            f"{flat(self.fitted.posterior, 'phi').mean():.2f}" if self.spec.errors == "autoregressive" else "0",
            ("by its sd" if flat_prior else "yes") if informative else "no",
        )
        return f"| {' | '.join(cells)} |"


def interval(draws: NDArray[np.float64]) -> str:
    """Median and 90 percent interval."""
    low, middle, high = np.quantile(draws, [0.05, 0.5, 0.95])
    return f"{middle:.2f} [{low:.2f}, {high:.2f}]"


def cut(design: Design, first: str, last: str) -> Design:
    """The rows of a design between two days."""
    return replace(design, targets=design.targets.loc[first:last], features=design.features.loc[first:last])


def rows(designs: dict[str, Design], spec: SatiationCurve, seed: int) -> Iterator[Row | str]:
    """The table's lines, or what went wrong in their place. Each specification compiles once for all samples."""
    for errors in ("independent", "autoregressive"):
        uninformed = replace(spec, errors=errors, kink_prior="flat")
        centred = replace(spec, errors=errors, kink_mean=CENTRE)
        for sample, design in designs.items():
            try:
                yield Row(sample, uninformed, fit(uninformed, design, seed), np.nan)
                fitted = fit(centred, design, seed)
                yield Row(sample, centred, fitted, moved(centred, fitted, design, seed))
            except DiagnosticsError as error:
                yield f"| {sample} | {errors} | did not converge: {error} |"


def fit(spec: SatiationCurve, design: Design, seed: int) -> FittedSatiationCurve:
    """One posterior."""
    return spec.fit(design, rng=np.random.default_rng(seed))


def moved(spec: SatiationCurve, fitted: FittedSatiationCurve, design: Design, seed: int) -> float:
    """Largest move of the posterior median of the kink, percentage points, when the prior's centre moves either way."""
    shifted = [fit(replace(spec, kink_mean=CENTRE + move), design, seed).kink() for move in (-MOVE, MOVE)]
    return max(abs(float(np.median(kink) - np.median(fitted.kink()))) for kink in shifted)


def main() -> None:
    parser = argparse.ArgumentParser(description="Kink of the reserve demand curve: data or prior?")
    parser.add_argument("--spread", default="effr_iorb", help="spread over the rate on reserves, bp")
    parser.add_argument("--steps", action=argparse.BooleanOptionalAction, default=True, help="dated steps")
    parser.add_argument("--phi-max", type=float, default=0.95, help="bound of the weekly autocorrelation")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    spec = SatiationCurve(
        spreads=(arguments.spread,),
        kink="constant",
        volatility="constant",
        steps=arguments.steps,
        phi_max=arguments.phi_max,
        tune=1000,
        draws=1000,
    )
    design = FeatureSet(spec.targets, spec.features).build(load_vintages().final())
    print(HEADER)
    for row in rows({name: cut(design, *ends) for name, ends in SAMPLES.items()}, spec, arguments.seed):
        print(row, flush=True)


if __name__ == "__main__":
    main()
