"""What was put into a simulated economy is found again: intervals cover as often as they say.

With the complications off that the model does not know of, coverage is a test. With all of them on
the model is wrong, and what it then finds is printed, not asserted: run with ``-m slow -s`` to read it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("pymc")

from forecast.data.synthetic import Economy, simulate
from forecast.errors import DiagnosticsError
from forecast.features.feature_set import Design, FeatureSet
from models._posterior import flat
from models.reserve_demand.satiation_curve import SatiationCurve

SEEDS = 40
# Of 40 intervals of 90 percent between 31 and 40 cover with probability 0.995 if they are calibrated.
FEWEST = 31
CALM = {"drifting_kink": False, "vertical_shifts": False, "stochastic_volatility": False}


def economy_design(economy: Economy) -> tuple[Design, float]:
    """The weekly design at the end of the simulation, from 2009 on, and the true mean kink there (percent)."""
    import forecast.features  # noqa: F401  features register on import

    vintages, truth = simulate(economy)
    model = SatiationCurve()
    design = FeatureSet(model.targets, model.features).build(vintages.final())
    start = "2009-01-01"
    design = replace(design, targets=design.targets.loc[start:], features=design.features.loc[start:])
    return design, float(truth.weekly.loc[start:, "kink"].mean())


def tell(text: str) -> None:
    print(text)  # noqa: T201  the numbers are what these tests are run for


def recover(seed: int, options: dict[str, Any]) -> tuple[float, ...] | None:
    """5, 50 and 95 percent quantiles of kink and beta, and the true mean kink; nothing if the sampler failed."""
    design, kink = economy_design(Economy(seed=seed, **options))
    try:
        fitted = SatiationCurve().fit(design, rng=np.random.default_rng(seed))
    except DiagnosticsError as error:
        tell(f"seed {seed}: {error}")
        return None
    probs = [0.05, 0.5, 0.95]
    return (*np.quantile(fitted.kink(), probs), *np.quantile(flat(fitted.posterior, "beta"), probs), kink)


def recover_all(options: dict[str, Any], n: int) -> np.ndarray:
    """(fits that converged, 7) over seeds; two processes, because more share the compiler's memory."""
    from joblib import Parallel, delayed

    first = recover(0, options)  # compiles before the others start
    rest = Parallel(n_jobs=2)(delayed(recover)(seed, options) for seed in range(1, n))
    return np.array([found for found in (first, *rest) if found is not None])


def inside(table: np.ndarray, column: int, truth: Any) -> int:
    return int(((table[:, column] <= truth) & (truth <= table[:, column + 2])).sum())


@pytest.mark.slow
def test_kink_and_slope_are_recovered_where_the_model_is_right() -> None:
    table = recover_all(CALM, SEEDS)
    assert len(table) == SEEDS
    truth = Economy()
    kinks, slopes = inside(table, 0, truth.kink), inside(table, 3, truth.beta)
    bias = table[:, [1, 4]].mean(axis=0) - [truth.kink, truth.beta]
    tell(f"\nconstant kink: 90 % intervals cover kink {kinks}, slope {slopes} of {SEEDS}; bias {bias.round(3)}")
    assert FEWEST <= kinks <= SEEDS
    assert FEWEST <= slopes <= SEEDS
    # Percentage points: an interval that covers because it is wide would tell nothing.
    assert np.median(table[:, 2] - table[:, 0]) < 0.5


@pytest.mark.slow
def test_the_full_economy_is_reported_as_it_is() -> None:
    n = 20
    table = recover_all({}, n)
    kinks, slopes = inside(table, 0, table[:, 6]), inside(table, 3, Economy().beta)
    bias = np.array([(table[:, 1] - table[:, 6]).mean(), table[:, 4].mean() - Economy().beta])
    width = np.median(table[:, [2, 5]] - table[:, [0, 3]], axis=0)
    tell(
        f"\ndrifting kink, shifts, volatility: {len(table)} of {n} converged; 90 % intervals cover the mean kink {kinks}, "
        f"the slope {slopes} times; bias {bias.round(3)} (percent, bp per pp); median widths {width.round(2)}"
    )
    assert len(table) >= n - 2
    assert np.isfinite(table).all()
